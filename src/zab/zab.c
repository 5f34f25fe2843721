/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core as a whole: one event in, effects out. A replica looks for a leader, or is one, or is a
 * learner of one. Whatever goes wrong in a role ends it, and the replica looks again: when all it
 * appended is durable and all it asked of the disk is answered, so that its vote is true. */
#include <stdlib.h>

#include "internal.h"

struct zab *zab_open(const struct zab_config *config, const struct zab_history *history,
                     int64_t now_ms)
{
    struct zab *z = mem_zalloc(sizeof(*z));
    z->sid = config->sid;
    quorum_init(&z->quorum, config->servers, config->n_servers);
    ensure(quorum_find(&z->quorum, z->sid) >= 0);
    z->tick_ms = config->tick_ms;
    z->init_limit = config->init_limit;
    z->sync_limit = config->sync_limit;
    buf_append(&z->config_text, config->config_text.data, slice_size(config->config_text));
    z->config_version = config->config_version;
    z->counter_full = config->counter_full > 0 ? config->counter_full : COUNTER_FULL;
    z->finalize_ms = config->finalize_ms > 0 ? config->finalize_ms : FINALIZE_MS;
    z->now_ms = now_ms;
    z->look_at_ms = now_ms;
    z->logged = z->persisted = z->tree_zxid = history->last_zxid;
    z->current_epoch = history->current_epoch;
    z->accepted_epoch = MAX(history->accepted_epoch, history->current_epoch);
    z->decided = z->committed = MIN(history->decided_zxid, history->last_zxid);
    z->known_decided = history->decided_zxid;
    z->loss_accepted = history->loss_accepted;
    z->identity.id = history->ensemble_id;
    z->identity.proposed = history->proposed_id;
    z->identity.fresh = config->fresh_id;
    z->vote.leader = -1;
    return z;
}

void zab_close(struct zab *z)
{
    if (!z)
        return;
    buf_close(&z->config_text);
    free(z);
}

enum zab_state zab_state(const struct zab *z)
{
    return z->state;
}

enum zab_phase zab_phase(const struct zab *z)
{
    return z->phase;
}

int64_t zab_leader(const struct zab *z)
{
    return z->state == ZAB_LOOKING ? -1 : z->vote.leader;
}

int64_t zab_epoch(const struct zab *z)
{
    return z->current_epoch;
}

size_t zab_quorum_size(const struct zab *z)
{
    size_t n = 0;
    for (uint64_t rest = z->quorum.voters; rest != 0; rest &= rest - 1)
        n++;
    return n;
}

int64_t zab_decided(const struct zab *z)
{
    return z->decided;
}

const char *zab_state_name(enum zab_state state)
{
    static const char *const names[] = {
        [ZAB_LOOKING] = "looking",
        [ZAB_FOLLOWING] = "following",
        [ZAB_LEADING] = "leading",
        [ZAB_OBSERVING] = "observing",
    };
    return names[state];
}

/* The phases that may come behind each. A learner whose log cannot be truncated connects anew. */
static const unsigned next_phases[] = {
    [ZAB_ELECTION] = 1u << ZAB_DISCOVERY,
    [ZAB_DISCOVERY] = 1u << ZAB_SYNCHRONIZATION | 1u << ZAB_ELECTION,
    [ZAB_SYNCHRONIZATION] = 1u << ZAB_BROADCAST | 1u << ZAB_DISCOVERY | 1u << ZAB_ELECTION,
    [ZAB_BROADCAST] = 1u << ZAB_ELECTION,
};

void zab_enter(struct zab *z, enum zab_state state, enum zab_phase phase)
{
    ensure(next_phases[z->phase] >> phase & 1);
    ensure((state == ZAB_LOOKING) == (phase == ZAB_ELECTION));
    ensure(state == z->state || state == ZAB_LOOKING || z->state == ZAB_LOOKING);
    z->state = state;
    z->phase = phase;
    if (phase == ZAB_BROADCAST) { /* what was forgotten is no matter any more */
        z->loss_accepted = false;
        z->known_decided = 0;
    }
    struct zab_effect *e = fx_add(z, ZAB_FX_STATE);
    e->state = state;
    e->phase = phase;
    e->epoch = z->current_epoch;
    e->sid = zab_leader(z);
}

void zab_look(struct zab *z, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fx_vlog(z, LOG_LEVEL_WARN, fmt, ap);
    va_end(ap);
    ensure(z->state != ZAB_LOOKING);
    if (z->state == ZAB_LEADING)
        leader_end(z);
    else
        fx_add(z, ZAB_FX_CLOSE_LEADER);
    z->look_at_ms = z->now_ms + (z->phase == ZAB_BROADCAST ? 0 : RETRY_PAUSE_MS);
    z->election.running = false;
    zab_enter(z, ZAB_LOOKING, ZAB_ELECTION);
}

void zab_restamp_vote(struct zab *z)
{
    z->vote.epoch = z->current_epoch;
}

/* ---- The log ---- */

static void tell_committed(struct zab *z)
{
    int64_t zxid = MIN(z->decided, z->persisted);
    if (zxid <= z->committed)
        return;
    z->committed = zxid;
    z->tree_zxid = MAX(z->tree_zxid, zxid);
    fx_add(z, ZAB_FX_COMMIT)->zxid = zxid;
}

void zab_decide(struct zab *z, int64_t zxid)
{
    ensure(zxid <= z->logged);
    z->decided = MAX(z->decided, zxid);
    tell_committed(z);
}

static void persisted(struct zab *z, int64_t zxid)
{
    ensure(zxid <= z->logged);
    if (zxid <= z->persisted)
        return;
    z->persisted = zxid;
    tell_committed(z);
    if (z->state == ZAB_LEADING)
        leader_try_commit(z);
    else if (z->state != ZAB_LOOKING)
        learner_persisted(z);
}

/* The log ends elsewhere now. A role that asked for it may have ended meanwhile. */
static void rewound(struct zab *z, const struct zab_event *ev)
{
    bool waited_for = z->state == ZAB_FOLLOWING || z->state == ZAB_OBSERVING;
    ensure(z->rewinding);
    z->rewinding = false;
    if (ev->type == ZAB_EV_TRUNCATED || ev->type == ZAB_EV_TREE_INSTALLED)
        z->logged = z->persisted = z->tree_zxid = ev->zxid;
    if (!waited_for)
        return;
    switch (ev->type) {
    case ZAB_EV_TRUNCATED:
        learner_truncated(z, ev->zxid);
        break;
    case ZAB_EV_TRUNCATE_FAILED:
        learner_truncate_failed(z);
        break;
    case ZAB_EV_TREE_INSTALLED:
        learner_tree_installed(z);
        break;
    default:
        zab_look(z, "the leader's tree did not come whole");
    }
}

void zab_save(struct zab *z, enum saving what, int64_t value)
{
    static const enum zab_effect_type effects[] = {
        [SAVING_ACCEPTED] = ZAB_FX_SAVE_ACCEPTED_EPOCH,
        [SAVING_CURRENT] = ZAB_FX_SAVE_CURRENT_EPOCH,
        [SAVING_PROPOSED_ID] = ZAB_FX_SAVE_PROPOSED_ID,
        [SAVING_ID] = ZAB_FX_SAVE_ENSEMBLE_ID,
    };
    ensure(z->saving == SAVING_NONE && what != SAVING_NONE);
    z->saving = what;
    z->saving_value = value;
    fx_add(z, effects[what])->value = value;
}

static void saved(struct zab *z)
{
    enum saving what = z->saving;
    int64_t *const values[] = {
        [SAVING_ACCEPTED] = &z->accepted_epoch,
        [SAVING_CURRENT] = &z->current_epoch,
        [SAVING_PROPOSED_ID] = &z->identity.proposed,
        [SAVING_ID] = &z->identity.id,
    };
    ensure(what != SAVING_NONE);
    *values[what] = z->saving_value;
    z->saving = SAVING_NONE;
    if (z->state == ZAB_LEADING)
        leader_saved(z);
    else if (z->state != ZAB_LOOKING)
        learner_saved(z);
}

/* ---- Who is not to lead ---- */

static void diverged(struct zab *z)
{
    if (z->phase != ZAB_BROADCAST)
        return;
    z->diverged = true;
    zab_look(z, "this server's tree differs from that of a quorum, which is to replace it");
}

static void full(struct zab *z, bool is_full)
{
    bool was_full = z->full;
    z->full = is_full;
    if (is_full && !was_full && z->state == ZAB_LEADING && z->phase == ZAB_BROADCAST)
        zab_look(z, "this server's disk is full, and a quorum of others has room: one of them is "
                    "to lead");
}

/* ---- Events ---- */

static void handle_connection(struct zab *z, const struct zab_event *ev)
{
    bool leading = z->state == ZAB_LEADING;
    bool learning = z->state == ZAB_FOLLOWING || z->state == ZAB_OBSERVING;
    if (ev->type == ZAB_EV_LEARNER_OPENED && leading)
        leader_learner_opened(z, ev->conn);
    else if (ev->type == ZAB_EV_LEARNER_OPENED)
        fx_add(z, ZAB_FX_CLOSE_LEARNER)->conn = ev->conn;
    else if (ev->type == ZAB_EV_LEARNER_PACKET && leading)
        leader_learner_packet(z, ev->conn, ev->packet);
    else if (ev->type == ZAB_EV_LEARNER_CLOSED && leading)
        leader_learner_closed(z, ev->conn);
    else if (ev->type == ZAB_EV_LEADER_OPENED && learning)
        learner_opened(z);
    else if (ev->type == ZAB_EV_LEADER_PACKET && learning)
        learner_packet(z, ev->packet);
    else if (ev->type == ZAB_EV_LEADER_CLOSED && learning)
        zab_look(z, "the connection to the leader, server %lld, has closed",
                 (long long)z->vote.leader);
}

static void handle(struct zab *z, const struct zab_event *ev)
{
    switch (ev->type) {
    case ZAB_EV_TICK:
        if (z->state == ZAB_LOOKING)
            election_tick(z);
        else if (z->state == ZAB_LEADING)
            leader_tick(z);
        else
            learner_tick(z);
        break;
    case ZAB_EV_NOTIFICATION:
        election_notified(z, ev->sid, ev->data);
        break;
    case ZAB_EV_PEER_UP:
        election_peer_up(z, ev->sid);
        break;
    case ZAB_EV_SAVED:
        saved(z);
        break;
    case ZAB_EV_LOGGED:
        leader_logged(z, ev->zxid);
        break;
    case ZAB_EV_PERSISTED:
        persisted(z, ev->zxid);
        break;
    case ZAB_EV_TRUNCATED:
    case ZAB_EV_TRUNCATE_FAILED:
    case ZAB_EV_TREE_INSTALLED:
    case ZAB_EV_TREE_FAILED:
        rewound(z, ev);
        break;
    case ZAB_EV_CONFIRM:
        leader_confirm(z);
        break;
    case ZAB_EV_DIVERGED:
        diverged(z);
        break;
    case ZAB_EV_FULL:
        full(z, ev->zxid != 0);
        break;
    case ZAB_EV_TREES:
        if (z->state == ZAB_LEADING)
            leader_send_trees(z);
        break;
    case ZAB_EV_TREE_SENT:
        leader_tree_sent(z, ev->conn);
        break;
    case ZAB_EV_SYNC_CHOSEN:
        leader_sync_chosen(z, ev);
        break;
    default:
        handle_connection(z, ev);
    }
}

static bool may_begin_election(const struct zab *z)
{
    return z->state == ZAB_LOOKING && !z->election.running && z->saving == SAVING_NONE &&
           !z->rewinding && z->persisted == z->logged && z->now_ms >= z->look_at_ms;
}

void zab_step(struct zab *z, const struct zab_event *event, struct zab_effects *fx)
{
    fx_begin(fx);
    z->fx = fx;
    z->now_ms = MAX(z->now_ms, event->now_ms);
    handle(z, event);
    if (may_begin_election(z))
        election_begin(z);
    fx_end(fx);
    z->fx = NULL;
}
