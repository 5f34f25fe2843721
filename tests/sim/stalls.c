/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is slow, and may be for longer than syncLimit or initLimit: a disk, a loop, a tree on its
 * way to a learner; one at a time, or all of them. Slow is not dead: none of them ends by itself.
 */
#include "sim.h"

static int64_t how_long(struct world *w)
{
    return chance(w, 2) ? between(w, 1, sync_limit_ms(w)) : between(w, 1, 3 * sync_limit_ms(w));
}

void stall_disk(struct world *w, struct server *s)
{
    int64_t ms = how_long(w);
    cover_point(COVER_fault_stall_disk);
    sim_trace(w, "%s: its disk stands still for %" PRId64 " ms", s->name, ms);
    s->disk_until_ms = w->now_ms + ms;
}

void stall_loop(struct world *w, struct server *s)
{
    int64_t ms = how_long(w);
    cover_point(COVER_fault_stall_loop);
    sim_trace(w, "%s: its loop is busy for %" PRId64 " ms", s->name, ms);
    s->busy_until_ms = w->now_ms + ms;
}

/* Of the trees that it sends from now on. */
void stall_tree(struct world *w, struct server *s)
{
    int64_t init_limit_ms = (int64_t)w->times.init_limit * w->times.tick_ms;
    cover_point(COVER_fault_stall_tree);
    s->faults.tree_ms = chance(w, 3) ? 0 : between(w, 1, 2 * init_limit_ms);
    sim_trace(w, "%s: the trees that it sends take %" PRId64 " ms", s->name, s->faults.tree_ms);
}

void stall_all(struct world *w, struct server *s)
{
    cover_point(COVER_fault_stall_all);
    stall_disk(w, s);
    stall_loop(w, s);
    stall_tree(w, s);
}

/* The loop has taken its time for an event; for some few, a lot of it. */
void stall_cost(struct world *w, struct server *s)
{
    s->spent_us += w->times.step_us;
    if (w->times.step_us > 0 && !w->faults_off && chance(w, 20000))
        s->spent_us += 1000 * how_long(w);
}

/* At the end of a turn. */
void stall_charge(struct world *w, struct server *s)
{
    int64_t ms = s->spent_us / 1000;
    s->spent_us -= ms * 1000;
    s->busy_until_ms = MAX(s->busy_until_ms, w->now_ms + ms);
}

void stall_end(struct world *w, struct server *s)
{
    s->disk_until_ms = s->busy_until_ms = s->paused_until_ms = 0;
    s->faults.tree_ms = 0;
    if (s->up)
        server_turn_soon(w, s);
}
