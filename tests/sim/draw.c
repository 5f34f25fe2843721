/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a seed draws of the configuration: bounds, often so small that little data comes to what
 * lies behind them. In a script all of it is as in production. */
#include "mountpoint.h"

static size_t small(struct world *w, size_t most, size_t usual)
{
    return chance(w, 2) ? (size_t)between(w, 0, (int64_t)most) : usual;
}

/* What a learner is sent in one go must fit into what may wait for it, as it does in production.
 * The largest tree of a run and what is proposed while it is sent are less than 64 KiB. */
static void draw_link_bounds(struct world *w, struct node_limits *l)
{
    if (!chance(w, 2))
        return;
    l->history_max = (size_t)between(w, 0, 8000);
    l->log_read_max = (size_t)between(w, 0, 16000);
    l->log_read_min = (size_t)between(w, 0, 4000);
    if (chance(w, 2))
        l->link_unsent_max = (128 << 10) + (size_t)w->crowd * (300 + w->pad_max);
}

/* For one life of a server. */
static void draw_limits(struct world *w, struct node_limits *l)
{
    draw_link_bounds(w, l);
    l->held_max = small(w, 4000, l->held_max);
    l->in_flight_max = small(w, 2000, l->in_flight_max);
    l->asked_max = small(w, 500, l->asked_max);
    l->link_fed_max = 1 + small(w, 500, l->link_fed_max);
    l->batch_keep_max = small(w, 500, l->batch_keep_max);
    l->link_held_max = small(w, 2000, l->link_held_max);
    l->close_paths_max = small(w, 60, l->close_paths_max);
    l->containers_per_check = 1 + small(w, 3, l->containers_per_check);
    l->turn_work = 1 + small(w, 200, l->turn_work);
    l->conn_work = 1 + small(w, 100, l->conn_work);
    l->sends_max = 1 + small(w, 3, l->sends_max);
    l->due_looks = 1 + small(w, 3, l->due_looks);
    l->due_closed = 1 + small(w, 2, l->due_closed);
    if (chance(w, 2))
        l->repair_every_ms = between(w, 1, 5000);
    l->repair_gap_ms = between(w, 1, 3000);
    l->decided_every_ms = between(w, 100, 5000);
}

void draw_config(struct world *w, struct node_config *c)
{
    c->limits = node_limits_default();
    draw_limits(w, &c->limits);
    c->limits.digest_bits = w->options.breakage == BREAK_no_digests ? 31 : w->digest_bits;
    c->snap_count = (uint32_t)between(w, 6, 60);
    c->seed = rng_next(&w->rng);
    if (chance(w, 4))
        c->outstanding_max = (uint32_t)between(w, 0, 8);
    if (chance(w, 4))
        c->output_max = (size_t)between(w, 400, 6000);
}

/* ZooKeeper's sample configuration, and others: a tick, initLimit, syncLimit, the wait for a better
 * vote, and what the loop needs for each event. */
static void draw_times(struct world *w)
{
    static const struct times all[] = {
        {.tick_ms = 200, .init_limit = 10, .sync_limit = 5, .finalize_ms = 200},
        {.tick_ms = 200, .init_limit = 10, .sync_limit = 5, .finalize_ms = 200, .step_us = 100},
        {.tick_ms = 200, .init_limit = 10, .sync_limit = 5, .finalize_ms = 20, .step_us = 20},
        {.tick_ms = 2000, .init_limit = 10, .sync_limit = 5, .finalize_ms = 200, .step_us = 50},
        {.tick_ms = 2000, .init_limit = 10, .sync_limit = 5, .finalize_ms = 200, .step_us = 1000},
        {.tick_ms = 500, .init_limit = 5, .sync_limit = 3, .finalize_ms = 200, .step_us = 500},
    };
    struct times *t = &w->times;
    *t = all[w->options.script ? 0 : rng_below(&w->rng, ARRAY_LEN(all))];
    if (!is_ensemble(w))
        *t = (struct times){
            .tick_ms = SIM_TICK_MS / 2, .sync_limit = 5, .step_us = chance(w, 2) ? 50 : 0};
    int unit_ms = is_ensemble(w) ? t->tick_ms : SIM_TICK_MS;
    t->timeout_min_ms = unit_ms * 3 / 2;
    t->timeout_max_ms = unit_ms * (w->hot ? 40 : 15);
    t->patience_ms = 9000 + 2 * (int64_t)(t->init_limit + t->sync_limit) * unit_ms;
    if (!is_ensemble(w))
        t->patience_ms = 15000;
    if (w->hot)
        t->patience_ms += 2 * t->timeout_max_ms;
}

/* What all servers of a run have alike, and how much its clients do. */
void draw_world(struct world *w)
{
    w->hot = is_ensemble(w) && chance(w, 5);
    draw_times(w);
    w->hostile = is_ensemble(w) && chance(w, 6);
    w->crowd = chance(w, 12) ? 200 : 50;
    w->pad_max = chance(w, 4) ? (unsigned)between(w, 1, 8000) : 0;
    w->digest_bits = node_limits_default().digest_bits;
    w->counter_full = chance(w, 4) ? between(w, 40, 400) : 0;
    if (w->counter_full > 0 || chance(w, 2)) /* a window is within an epoch */
        w->digest_bits = (unsigned)between(w, 1, 4);
}

/* One seed in eight has mounts, and the dice of the others are not touched. What is left out is
 * known to fail: see HACKING. */
void draw_mounts(struct sim_options *o)
{
    uint64_t dice = hash_u64(o->seed ^ 0x6d6f756e74);
    if (!o->draws_mounts || dice % 8 != 0)
        return;
    o->mounts = 1 + dice / 8 % 2;
}
