/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a learner gets the leader's history, and then its broadcast.
 *
 * Every transaction is appended as it comes, and must follow on the one before. Those that come
 * before NEWLEADER are durable, and then currentEpoch is, before NEWLEADER is acknowledged; no
 * other ACK is sent until then. What the leader calls committed before UPTODATE is decided only
 * with UPTODATE: the leader may not be established yet. So is what we had logged ourselves, and
 * the leader did not take back. */
#include "internal.h"

/* ---- DIFF, TRUNC, SNAP ---- */

static void sync_from(struct zab *z)
{
    struct follow *f = &z->follow;
    f->sync_zxid = f->committed = z->logged;
    learner_wait(z, FOLLOW_SYNCING);
}

static void begin_truncate(struct zab *z, int64_t zxid)
{
    z->follow.sync_zxid = zxid;
    z->rewinding = true;
    learner_wait(z, FOLLOW_TRUNCATING);
    fx_add(z, ZAB_FX_TRUNCATE)->zxid = zxid;
}

static void begin_receive(struct zab *z, int64_t zxid)
{
    z->follow.sync_zxid = zxid;
    z->rewinding = true;
    learner_wait(z, FOLLOW_RECEIVING);
    fx_add(z, ZAB_FX_RECEIVE_TREE)->zxid = zxid;
}

void learner_sync_begin(struct zab *z, const struct zk_quorum_packet *p)
{
    struct follow *f = &z->follow;
    bool tree_wanted = learner_wants_tree(z);
    if (p->type != ZAB_DIFF && p->type != ZAB_TRUNC && p->type != ZAB_SNAP) {
        learner_packet_bad(z, p, "DIFF, TRUNC or SNAP is what comes here");
    } else if (p->type != ZAB_SNAP && tree_wanted) {
        learner_packet_bad(z, p, "only its tree can be built on: empty the data directory");
    } else if (p->type == ZAB_DIFF) {
        f->sync = ZAB_SYNC_DIFF;
        sync_from(z);
    } else if (p->zxid < z->decided || zxid_epoch(p->zxid) > f->epoch) {
        learner_packet_bad(z, p, "it would take back what is decided");
    } else if (p->type == ZAB_SNAP && p->zxid < z->logged && zxid_epoch(z->logged) == f->epoch) {
        learner_packet_bad(z, p, "it would take back what was acknowledged to this leader");
    } else if (p->type == ZAB_SNAP && p->zxid < z->logged && identity_wants_tree(z)) {
        learner_packet_bad(z, p,
                           "its tree ends before our log, and nothing shows that our history is a "
                           "part of its; if it is to be replaced, move the version-2 directories "
                           "aside");
    } else if (p->type == ZAB_SNAP) {
        f->sync = ZAB_SYNC_SNAP;
        begin_receive(z, p->zxid);
    } else if (p->zxid > z->logged) {
        learner_packet_bad(z, p, "our log ends before it");
    } else {
        f->sync = ZAB_SYNC_TRUNC;
        begin_truncate(z, p->zxid);
    }
}

/* A log that ends earlier than the leader means has a hole that what follows would hide. We come
 * back with the zxid that is left. A zxid with counter 0 only names an epoch. */
void learner_truncated(struct zab *z, int64_t zxid)
{
    int64_t wanted = z->follow.sync_zxid;
    ensure(z->follow.step == FOLLOW_TRUNCATING && zxid <= wanted);
    if (zxid != wanted && zxid_counter(wanted) != 0)
        zab_look(z, "the log has no 0x%llx to go back to: it ends at 0x%llx now", (long long)wanted,
                 (long long)zxid);
    else
        sync_from(z);
}

void learner_truncate_failed(struct zab *z)
{
    struct follow *f = &z->follow;
    ensure(f->step == FOLLOW_TRUNCATING);
    fx_log(z, LOG_LEVEL_WARN, "the log cannot go back to 0x%llx: asking for the leader's tree",
           (long long)f->sync_zxid);
    f->tree_wanted_epoch = f->epoch;
    learner_reconnect(z);
}

void learner_tree_installed(struct zab *z)
{
    ensure(z->follow.step == FOLLOW_RECEIVING);
    if (z->logged != z->follow.sync_zxid) {
        zab_look(z, "the leader's tree is of another zxid than it said");
        return;
    }
    z->follow.tree_wanted_epoch = -1;
    z->diverged = false;
    if (!z->follow.id_is_new)
        identity_established(z, z->follow.id);
    sync_from(z);
}

/* ---- Transactions ---- */

/* ZooKeeper's snapshots are taken while it goes on: transactions that the tree has already may
 * come again behind it. */
static bool is_in_tree(const struct zab *z, int64_t zxid)
{
    return z->follow.sync == ZAB_SYNC_SNAP && zxid <= z->follow.sync_zxid;
}

/* Whether the packet's transaction may be appended; NULL, or what is wrong. While something of an
 * epoch is not committed no later epoch begins. */
static const char *check_transaction(const struct zab *z, int64_t zxid, struct slice data)
{
    const struct follow *f = &z->follow;
    struct jute_reader r = jute_reader_of(data);
    struct zk_txn_header header;
    zk_txn_header_read(&r, &header);
    if (!jute_ok(&r) || header.zxid != zxid)
        return "its transaction has another zxid, or none";
    if (!zxid_follows(zxid, z->logged))
        return "it does not follow on the log";
    if (zxid_epoch(zxid) > f->epoch || (f->step > FOLLOW_SYNCING && zxid_epoch(zxid) != f->epoch))
        return "it is not of the leader's epoch";
    if (zxid_epoch(zxid) != zxid_epoch(z->logged) && f->committed != z->logged)
        return "its epoch begins before the last one is committed";
    return NULL;
}

static bool append(struct zab *z, const struct zk_quorum_packet *p, struct slice data)
{
    const char *wrong = check_transaction(z, p->zxid, data);
    if (wrong) {
        learner_packet_bad(z, p, wrong);
        return false;
    }
    z->logged = p->zxid;
    struct zab_effect *e = fx_add(z, ZAB_FX_APPEND);
    e->zxid = p->zxid;
    e->data = data;
    return true;
}

static void commit(struct zab *z, const struct zk_quorum_packet *p)
{
    struct follow *f = &z->follow;
    if (p->zxid > z->logged || !zxid_follows(p->zxid, f->committed)) {
        learner_packet_bad(z, p, "it commits what is not next");
        return;
    }
    f->committed = p->zxid;
    if (f->step == FOLLOW_SERVING)
        zab_decide(z, f->committed);
}

/* INFORM is a proposal and its commit in one. */
static void inform(struct zab *z, const struct zk_quorum_packet *p)
{
    if (z->state != ZAB_OBSERVING)
        learner_packet_bad(z, p, "it is for observers");
    else if (append(z, p, p->data))
        commit(z, p);
}

/* ---- NEWLEADER and UPTODATE ---- */

static void handle_newleader(struct zab *z, const struct zk_quorum_packet *p)
{
    struct follow *f = &z->follow;
    bool stale = f->committed != z->logged && zxid_epoch(z->logged) != f->epoch;
    if (f->step != FOLLOW_SYNCING || p->zxid != zxid_make(f->epoch, 0) || stale) {
        learner_packet_bad(z, p, "NEWLEADER does not belong here");
        return;
    }
    if (!membership_told(z, p->data))
        return;
    f->newleader_zxid = z->logged;
    learner_wait(z, FOLLOW_PERSISTING);
    learner_persisted(z);
}

static void adopted(struct zab *z)
{
    struct follow *f = &z->follow;
    ensure(f->step == FOLLOW_ADOPTING && z->current_epoch == f->epoch);
    fx_send_leader(z, ZAB_ACK, zxid_make(f->epoch, 0));
    f->acked = f->committed;
    learner_wait(z, FOLLOW_SYNCED);
    learner_send_acks(z);
}

static void joined(struct zab *z)
{
    learner_wait(z, FOLLOW_ADOPTING);
    if (z->current_epoch == z->follow.epoch)
        adopted(z);
    else
        zab_save(z, SAVING_CURRENT, z->follow.epoch);
}

void learner_persisted(struct zab *z)
{
    struct follow *f = &z->follow;
    if (f->step >= FOLLOW_SYNCED) {
        learner_send_acks(z);
        return;
    }
    if (f->step != FOLLOW_PERSISTING || z->persisted < f->newleader_zxid ||
        z->saving != SAVING_NONE)
        return;
    learner_wait(z, FOLLOW_JOINING);
    if (!f->id_is_new || !identity_propose(z, f->id))
        joined(z);
}

void learner_saved(struct zab *z)
{
    switch (z->follow.step) {
    case FOLLOW_NAMING:
        learner_named(z);
        break;
    case FOLLOW_ACCEPTING:
        learner_accepted(z);
        break;
    case FOLLOW_JOINING:
        joined(z);
        break;
    case FOLLOW_ADOPTING:
        adopted(z);
        break;
    default: /* the id */
        learner_persisted(z);
    }
}

/* One ACK for each: ZooKeeper's leader counts them so. */
void learner_send_acks(struct zab *z)
{
    struct follow *f = &z->follow;
    if (z->state == ZAB_OBSERVING)
        return;
    for (int64_t zxid = zxid_next(f->acked, f->epoch); zxid <= z->persisted; zxid++) {
        fx_send_leader(z, ZAB_ACK, zxid);
        f->acked = zxid;
    }
}

static void handle_uptodate(struct zab *z, const struct zk_quorum_packet *p)
{
    struct follow *f = &z->follow;
    if (f->step != FOLLOW_SYNCED) {
        learner_packet_bad(z, p, "NEWLEADER was not acknowledged");
        return;
    }
    fx_send_leader(z, ZAB_ACK, zxid_make(f->epoch, 0));
    zab_restamp_vote(z);
    zab_decide(z, f->committed);
    learner_wait(z, FOLLOW_SERVING);
    zab_enter(z, z->state, ZAB_BROADCAST);
    identity_established(z, f->id);
    election_serves(z);
}

/* ---- Packets ---- */

/* What the replica deals with; before it serves a PING says nothing. */
static void handle_other(struct zab *z, const struct zk_quorum_packet *p)
{
    if (p->type == ZAB_PING && z->follow.step != FOLLOW_SERVING)
        return;
    if (p->type == ZAB_PING)
        fx_add(z, ZAB_FX_NEED_TOUCHES)->zxid = p->zxid;
    else if (z->follow.step == FOLLOW_SERVING && (p->type == ZAB_REVALIDATE || p->type == ZAB_SYNC))
        fx_add(z, ZAB_FX_DELIVER)->packet = p;
    else
        learner_packet_bad(z, p, "it is unexpected");
}

void learner_stream(struct zab *z, const struct zk_quorum_packet *p)
{
    switch (p->type) {
    case ZAB_PROPOSAL:
        if (!is_in_tree(z, p->zxid))
            append(z, p, p->data);
        break;
    case ZAB_COMMIT:
        if (!is_in_tree(z, p->zxid))
            commit(z, p);
        break;
    case ZAB_COMMITANDACTIVATE:
    case ZAB_INFORMANDACTIVATE:
        learner_packet_bad(z, p,
                           "the ensemble was reconfigured, which zabd cannot follow: make this "
                           "server's lines those of the others and restart it");
        break;
    case ZAB_INFORM:
        if (!is_in_tree(z, p->zxid))
            inform(z, p);
        break;
    case ZAB_NEWLEADER:
        handle_newleader(z, p);
        break;
    case ZAB_UPTODATE:
        handle_uptodate(z, p);
        break;
    default:
        handle_other(z, p);
    }
}
