/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Service of a majority: when all is well with most of the voters, and the others stay dead, cut
 * off or at a standstill, clients of these are served within a bound.
 *
 * A voter whose disk is empty or was lost does not count: it may vote for no history before all
 * voters are there. */
#include "sim.h"

static bool has_memory(const struct server *s)
{
    return s->memory.current_epoch > 0 && !s->memory.lost;
}

/* Choose who stays behind: fewer than half of the voters, and observers. */
static bool choose(struct world *w)
{
    unsigned n_memories = 0, n_left = 0;
    for (unsigned i = 0; i < w->n_servers; i++) {
        struct server *s = &w->servers[i];
        bool voter = i < w->n_voters;
        s->outside = chance(w, 2) && (!voter || 2 * (n_left + 1) < w->n_voters);
        n_left += voter && s->outside;
        n_memories += voter && !s->outside && has_memory(s);
    }
    return n_left > 0 && 2 * n_memories > w->n_voters;
}

/* From the majority, and not from the others that stay behind. */
static void cut_off(struct world *w, const struct server *s)
{
    for (unsigned i = 0; i < w->n_servers; i++) {
        if (!w->servers[i].outside) {
            faults_block(w, s->index, i);
            faults_block(w, i, s->index);
        }
    }
}

static void suffer(struct world *w, struct server *s, enum plight plight)
{
    static const char *const names[] = {"dead", "cut off", "with a disk that stands still", "busy"};
    bool leads = s->up && node_state(s->node) == ZAB_LEADING;
    sim_trace(w, "%s: stays %s", s->name, names[plight]);
    cover(COVER_PLIGHT, (int32_t)plight, leads);
    switch (plight) {
    case PLIGHT_CUT_OFF:
        cut_off(w, s);
        break;
    case PLIGHT_SLOW_DISK:
        s->disk_until_ms = INT64_MAX / 2;
        break;
    case PLIGHT_BUSY:
        s->busy_until_ms = INT64_MAX / 2;
        break;
    default:
        s->held = true;
        server_stop(w, s, chance(w, 2), "for long");
    }
}

/* One whose disk stands still leads as long as nothing waits for that. */
static bool leads_without_its_disk(const struct world *w, const struct server *s)
{
    return s->up && w->now_ms < s->disk_until_ms && node_is_serving(s->node) &&
           node_state(s->node) == ZAB_LEADING;
}

static bool core_is_settled(const struct world *w)
{
    unsigned leaders = 0;
    for (unsigned i = 0; i < w->n_servers; i++) {
        const struct server *s = &w->servers[i];
        if (s->outside) {
            leaders += leads_without_its_disk(w, s);
            continue;
        }
        if (!server_is_settled(w, s))
            return false;
        leaders += node_state(s->node) == ZAB_LEADING;
    }
    return leaders == 1;
}

static bool core_has_answered(const struct world *w)
{
    return w->clients[w->n_clients - 1].n_waiting == 0;
}

static struct server *any_of_core(struct world *w)
{
    unsigned i = (unsigned)rng_below(&w->rng, w->n_servers);
    while (w->servers[i].outside)
        i = (i + 1) % w->n_servers;
    return &w->servers[i];
}

static struct request *write_once(struct world *w, struct client *c)
{
    struct request *r = request_new(w, c);
    r->op = (struct op){.type = ZK_OP_create,
                        .path = "/core",
                        .mode = ZK_PERSISTENT_SEQUENTIAL,
                        .acl = {1, {{ZK_PERM_ALL, MODEL_WORLD}}}};
    client_request(w, c, r);
    wait_for(w, core_has_answered, "a majority does not answer a write");
    return r;
}

/* The connection may break in between. */
static void write_to_core(struct world *w)
{
    struct client *c = &w->clients[w->n_clients];
    int64_t deadline = w->now_ms + w->times.patience_ms;
    c->only = any_of_core(w);
    client_start(w, c, w->n_clients++);
    struct request *r = write_once(w, c);
    while (!r->answered && w->now_ms < deadline)
        r = write_once(w, c);
    if (!r->answered || r->err != ZK_OK)
        sim_fail(w, SIM_BROKEN, "a majority does not take a write: %s", zk_error_name(r->err));
}

void minority_stays_behind(struct world *w)
{
    if (!is_ensemble(w) || w->options.script || w->n_clients == CLIENTS_MAX || !chance(w, 2) ||
        !choose(w))
        return;
    for (unsigned i = 0; i < w->n_servers; i++) {
        if (w->servers[i].outside)
            suffer(w, &w->servers[i], (enum plight)rng_below(&w->rng, N_PLIGHTS));
    }
    cover_point(COVER_check_core);
    int64_t began_ms = w->now_ms;
    wait_for(w, core_is_settled, "a majority does not serve");
    write_to_core(w);
    sim_trace(w, "a majority serves, %" PRId64 " ms behind the last fault", w->now_ms - began_ms);
    faults_heal(w);
}
