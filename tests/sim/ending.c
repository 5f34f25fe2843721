/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a run ends: when nothing goes wrong any more, all is answered and all replicas have all;
 * when the clients are gone, so are their sessions and all that they own; and the disks have it
 * all. */
#include "mountpoint.h"

enum { EPOCHS_AHEAD_MAX = 3 };

bool server_is_settled(const struct world *w, const struct server *s)
{
    return s->up && node_is_serving(s->node) && s->n_orders == 0 &&
           s->memory.applied == journal_tip(w) && s->memory.log_end == journal_tip(w) &&
           node_last_proposed(s->node) <= node_last_committed(s->node);
}

/* One leads, all serve, and each has all that was ever proposed. */
bool servers_are_settled(const struct world *w, bool only_those_up)
{
    unsigned leaders = 0;
    for (unsigned i = 0; i < w->n_servers; i++) {
        const struct server *s = &w->servers[i];
        if (!s->up && only_those_up)
            continue;
        if (!server_is_settled(w, s))
            return false;
        leaders += node_state(s->node) == ZAB_LEADING;
    }
    return leaders == 1;
}

static bool all_is_settled(const struct world *w)
{
    return servers_are_settled(w, false);
}

static bool all_answered(const struct world *w)
{
    for (unsigned i = 0; i < w->n_clients; i++) {
        const struct client *c = &w->clients[i];
        if (c->running && (c->n_waiting > 0 || session_state(&c->session) == CLIENT_CONNECTING))
            return false;
    }
    return all_is_settled(w);
}

static bool all_gone(const struct world *w)
{
    return all_is_settled(w) && journal_tip(w)->after.n_sessions == 0;
}

static bool is_calm_for_long(const struct world *w)
{
    return w->now_ms - w->calm_since_ms >= 2 * w->times.timeout_max_ms / 3;
}

void wait_for(struct world *w, bool (*done)(const struct world *w), const char *what)
{
    int64_t deadline = w->now_ms + w->times.patience_ms;
    while (!done(w)) {
        if (!sim_step(w) || w->now_ms > deadline)
            sim_fail(w, SIM_STALLED, "nothing goes wrong any more, but: %s", what);
    }
}

static void compare_all(struct world *w, const char *what)
{
    for (unsigned i = 0; i < w->n_servers; i++)
        compare_tree(w, node_tree(w->servers[i].node), journal_tip(w), what);
}

static bool is_live(const struct world *w, int64_t session_id)
{
    for (unsigned i = 0; i < w->n_clients; i++) {
        if (w->clients[i].running && w->clients[i].session.id == session_id)
            return true;
    }
    return false;
}

static bool only_live_sessions(const struct world *w)
{
    const struct model *m = &journal_tip(w)->after;
    for (size_t i = 0; i < m->n_sessions; i++) {
        if (!is_live(w, m->sessions[i].id))
            return false;
    }
    return all_answered(w);
}

/* Sessions of clients that are connected live on, wherever they are, and nobody looks for another
 * leader. Sessions of clients that are gone end first. */
static void stay_calm(struct world *w)
{
    if (!is_ensemble(w))
        return;
    int64_t deadline = w->now_ms + 2 * w->times.timeout_max_ms;
    while (w->now_ms < deadline && sim_step(w))
        continue;
    wait_for(w, only_live_sessions, "sessions of clients that are gone do not end");
    size_t n_epochs = w->n_epochs;
    w->calm_since_ms = w->now_ms;
    wait_for(w, is_calm_for_long, "time stands still");
    w->calm_since_ms = 0;
    cover_point(COVER_check_calm);
    if (w->n_epochs != n_epochs && w->counter_full == 0)
        sim_fail(w, SIM_BROKEN, "another leader is elected while all is well");
}

static void end_clients(struct world *w)
{
    for (unsigned i = 0; i < w->n_clients; i++) {
        struct client *c = &w->clients[i];
        if (c->running && session_state(&c->session) != CLIENT_CLOSED)
            client_end(w, c, chance(w, 2));
    }
}

static struct server *leader_of(struct world *w)
{
    for (unsigned i = 0; i < w->n_servers; i++) {
        struct server *s = &w->servers[i];
        if (s->up && node_is_serving(s->node) && node_state(s->node) == ZAB_LEADING)
            return s;
    }
    return NULL;
}

/* A leader does not give way to the number of an epoch: who has accepted a later one, which never
 * began, follows again when the others have come to it, one election an epoch. False: there is
 * nobody. */
static bool elect_for_those_ahead(struct world *w)
{
    int64_t deadline = w->now_ms + w->times.patience_ms / 2;
    while (w->now_ms < deadline && !all_is_settled(w) && sim_step(w))
        continue;
    struct server *leader = leader_of(w);
    for (unsigned i = 0; leader && i < w->n_servers; i++) {
        if (w->servers[i].memory.accepted_epoch <= leader->memory.current_epoch)
            continue;
        server_stop(w, leader, false, "so that another epoch begins");
        return true;
    }
    return false;
}

void world_end_well(struct world *w)
{
    int64_t healed_ms = w->now_ms;
    w->faults_off = true;
    faults_heal(w);
    minority_stays_behind(w);
    for (int i = 0; i < EPOCHS_AHEAD_MAX && elect_for_those_ahead(w); i++)
        continue;
    wait_for(w, all_is_settled, "not all replicas serve all there is");
    sim_trace(w, "all replicas serve, %" PRId64 " ms behind the last fault", w->now_ms - healed_ms);
    wait_for(w, all_answered, "not all requests are answered");
    compare_all(w, "at the end");
    mountcheck_end(w);
    stay_calm(w);
    end_clients(w);
    wait_for(w, all_gone, "sessions do not end");
    for (unsigned i = 0; i < w->n_servers; i++) {
        if (tree_ephemeral_count(node_tree(w->servers[i].node)) > 0)
            sim_fail(w, SIM_BROKEN, "all sessions are gone, but not all ephemeral nodes");
    }
    compare_all(w, "without sessions");
    for (unsigned i = 0; i < w->n_servers; i++)
        server_stop(w, &w->servers[i], chance(w, 2), "once more");
    wait_for(w, all_is_settled, "the replicas do not start again");
}
