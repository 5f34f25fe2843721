/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A follower or an observer: its connection to the leader, its clock, and discovery (Learner).
 *
 * It tells the epoch that it accepted last, and is told the new one. It never goes back to a lower
 * one; a higher one is durable before it is acknowledged, with what our history is. If the epoch
 * is the one we accepted before, the answer promises nothing again: its epoch is -1. */
#include "internal.h"

enum {
    CONNECT_MIN_MS = 1000,
    BUSY_LIMITS_MAX = 30, /* initLimits that our disk may need for a tree */
};

/* The limit of the step begins anew. Steps that wait for our own disk have none. */
void learner_wait(struct zab *z, enum follow_step step)
{
    struct follow *f = &z->follow;
    int64_t init_ms = (int64_t)z->init_limit * z->tick_ms;
    bool goes_on = f->step == step;
    f->step = step;
    switch (step) {
    case FOLLOW_CONNECTING:
        f->deadline_ms = z->now_ms + MIN(init_ms, MAX(z->tick_ms, CONNECT_MIN_MS));
        break;
    case FOLLOW_REGISTERING:
    case FOLLOW_WAIT_SYNC:
    case FOLLOW_SYNCING:
    case FOLLOW_SYNCED:
        f->deadline_ms = z->now_ms + init_ms;
        break;
    case FOLLOW_SERVING:
        f->deadline_ms = z->now_ms + (int64_t)z->sync_limit * z->tick_ms;
        break;
    default:
        f->deadline_ms = INT64_MAX;
        f->busy_since_ms = goes_on ? f->busy_since_ms : z->now_ms;
    }
}

static void connect_leader(struct zab *z)
{
    fx_add(z, ZAB_FX_CONNECT)->sid = z->vote.leader;
    learner_wait(z, FOLLOW_CONNECTING);
}

void learner_begin(struct zab *z)
{
    z->follow = (struct follow){.tree_wanted_epoch = -1};
    connect_leader(z);
}

void learner_reconnect(struct zab *z)
{
    fx_add(z, ZAB_FX_CLOSE_LEADER);
    zab_enter(z, z->state, ZAB_DISCOVERY);
    connect_leader(z);
}

/* A leader of ours hears that we are at it, while a tree comes and while our disk takes it: for as
 * long as that may take. ZooKeeper's takes no PING before the ACK of NEWLEADER. */
static void ping_while_busy(struct zab *z)
{
    struct follow *f = &z->follow;
    int64_t limit_ms = (int64_t)BUSY_LIMITS_MAX * z->init_limit * z->tick_ms;
    if (f->deadline_ms != INT64_MAX || !f->leader_is_ours || z->phase != ZAB_SYNCHRONIZATION ||
        z->now_ms < f->next_ping_ms || z->now_ms - f->busy_since_ms > limit_ms)
        return;
    f->next_ping_ms = z->now_ms + z->tick_ms;
    fx_send_leader(z, ZAB_PING, 0);
}

void learner_tick(struct zab *z)
{
    ping_while_busy(z);
    if (z->now_ms >= z->follow.deadline_ms)
        zab_look(z, "the leader, server %lld, has been silent for too long",
                 (long long)z->vote.leader);
}

void learner_packet_bad(struct zab *z, const struct zk_quorum_packet *p, const char *why)
{
    zab_look(z, "packet type %d, zxid 0x%llx, from the leader: %s", p->type, (long long)p->zxid,
             why);
}

/* ---- Discovery ---- */

void learner_opened(struct zab *z)
{
    struct buf *bytes = &z->fx->bytes;
    size_t at = bytes->len;
    struct zk_learner_info info = {z->sid, LEARNER_PROTOCOL, z->config_version};
    if (z->follow.step != FOLLOW_CONNECTING)
        return;
    zk_learner_info_write(bytes, &info);
    trailer_write(bytes, z->identity.id, false);
    struct zab_effect *e = fx_add(z, ZAB_FX_SEND_LEADER);
    e->packet_type = z->state == ZAB_OBSERVING ? ZAB_OBSERVERINFO : ZAB_FOLLOWERINFO;
    e->zxid = zxid_make(z->accepted_epoch, 0);
    fx_set_data(z, e, at);
    learner_wait(z, FOLLOW_REGISTERING);
}

/* One that has forgotten takes all of the leader's history in one, if that has any. */
bool learner_has_forgotten(const struct zab *z)
{
    return election_has_no_memory(z) && (z->vote.epoch > 0 || z->vote.zxid > 0);
}

bool learner_wants_tree(const struct zab *z)
{
    return z->diverged || z->follow.tree_wanted_epoch == z->follow.epoch ||
           identity_wants_tree(z) || learner_has_forgotten(z);
}

/* Who asks for the tree does not say what it has, and the leader cannot see that it is more. */
static bool hides_more(const struct zab *z)
{
    const struct vote *of_leader = &z->vote;
    int64_t own = zab_history_epoch(z);
    bool more = own > of_leader->epoch || (own == of_leader->epoch && z->logged > of_leader->zxid);
    return more && learner_wants_tree(z);
}

/* ZooKeeper's leader that has been of no epoch would take ZXID_WANTS_TREE for more than it has. */
static bool may_ask_for_tree(const struct zab *z)
{
    int leader = quorum_find(&z->quorum, z->vote.leader);
    bool is_ours = leader >= 0 && z->identity.peers[leader].is_ours;
    return is_ours || z->vote.epoch > 0;
}

/* Votes that show a leader may be of its life before, or somebody else's: so one that has forgotten
 * promises nothing, and the leader needs a quorum without it, if there can be one. */
static void ack_epoch(struct zab *z, int64_t epoch)
{
    if ((learner_has_forgotten(z) && !z->election.needs_us) || hides_more(z))
        epoch = -1;
    size_t at = z->fx->bytes.len;
    jute_write_int(&z->fx->bytes, (int32_t)epoch);
    struct zab_effect *e = fx_add(z, ZAB_FX_SEND_LEADER);
    e->packet_type = ZAB_ACKEPOCH;
    e->zxid = learner_wants_tree(z) && may_ask_for_tree(z) ? ZXID_WANTS_TREE : z->logged;
    fx_set_data(z, e, at);
    learner_wait(z, FOLLOW_WAIT_SYNC);
    zab_enter(z, z->state, ZAB_SYNCHRONIZATION);
}

static void handle_leader_info(struct zab *z, const struct zk_quorum_packet *p)
{
    struct follow *f = &z->follow;
    struct jute_reader r = jute_reader_of(p->data);
    int32_t protocol = jute_read_int(&r);
    struct trailer t = trailer_read(&r);
    f->epoch = zxid_epoch(p->zxid);
    f->leader_is_ours = t.is_ours;
    f->id = t.ensemble_id;
    f->id_is_new = t.is_new;
    if (p->type != ZAB_LEADERINFO || !jute_ok(&r) || protocol < LEARNER_PROTOCOL ||
        f->epoch > EPOCH_MAX) {
        learner_packet_bad(z, p, "LEADERINFO is what comes here");
    } else if (z->identity.id != 0 && t.is_ours && f->id != z->identity.id) {
        identity_say_foreign(z, z->vote.leader, f->id);
        zab_look(z, "the leader, server %lld, belongs to another ensemble",
                 (long long)z->vote.leader);
    } else if (f->epoch < z->accepted_epoch) {
        zab_look(
            z,
            "the leader's epoch is %lld, and this server has accepted %lld: it joins after the "
            "next election",
            (long long)f->epoch, (long long)z->accepted_epoch);
    } else {
        learner_wait(z, FOLLOW_NAMING);
        if (!identity_join(z))
            learner_named(z);
    }
}

void learner_named(struct zab *z)
{
    if (z->follow.epoch == z->accepted_epoch) {
        ack_epoch(z, -1);
        return;
    }
    learner_wait(z, FOLLOW_ACCEPTING);
    zab_save(z, SAVING_ACCEPTED, z->follow.epoch);
}

void learner_accepted(struct zab *z)
{
    ack_epoch(z, zab_history_epoch(z));
}

/* ---- Packets ---- */

void learner_packet(struct zab *z, const struct zk_quorum_packet *p)
{
    struct follow *f = &z->follow;
    switch (f->step) {
    case FOLLOW_REGISTERING:
        handle_leader_info(z, p);
        return;
    case FOLLOW_WAIT_SYNC:
        learner_sync_begin(z, p);
        return;
    case FOLLOW_SYNCING:
    case FOLLOW_PERSISTING:
    case FOLLOW_JOINING:
    case FOLLOW_ADOPTING:
    case FOLLOW_SYNCED:
    case FOLLOW_SERVING:
        learner_wait(z, f->step);
        learner_stream(z, p);
        return;
    default:
        learner_packet_bad(z, p, "nothing is expected now");
    }
}
