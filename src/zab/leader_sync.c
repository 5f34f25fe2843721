/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the leader brings a learner to its history, and how it is established.
 *
 * What goes to a learner, in this order: DIFF, TRUNC, or SNAP with the tree; what of the history
 * it lacks, as decided; proposals that are not decided yet; NEWLEADER; from then on all that is
 * proposed and committed. The learner's ACK of NEWLEADER says that it has the history. With a
 * quorum of them the initial history is decided and the leader serves; each learner that has
 * acknowledged gets UPTODATE. */
#include <stdio.h>

#include "internal.h"

/* The end of what a learner gets as decided: before the leader serves, all that it has. */
static int64_t history_end(const struct zab *z)
{
    return z->leader.step == LEADER_SERVING ? z->decided : z->logged;
}

void leader_sync(struct zab *z, struct learner *l)
{
    l->step = LEARNER_CHOOSING;
    l->tree_least = z->decided;
    struct zab_effect *e = fx_add(z, ZAB_FX_CHOOSE_SYNC);
    e->conn = l->conn;
    e->sid = l->sid;
    e->zxid = l->last_zxid;
    e->to_zxid = history_end(z);
}

/* A learner that is to go back across epochs may lack what we have in between, and gets the tree;
 * but one that has transactions of our epoch has our initial history. */
static enum zab_sync safe_choice(const struct zab *z, const struct learner *l, enum zab_sync choice,
                                 int64_t zxid)
{
    int64_t epoch = zxid_epoch(l->last_zxid);
    if (l->last_zxid == ZXID_WANTS_TREE)
        return ZAB_SYNC_SNAP;
    if (choice == ZAB_SYNC_TRUNC && (zxid >= l->last_zxid || zxid > history_end(z) ||
                                     (zxid_epoch(zxid) != epoch && epoch != z->leader.epoch)))
        return ZAB_SYNC_SNAP;
    if (choice == ZAB_SYNC_DIFF && l->last_zxid > history_end(z) && zxid_counter(l->last_zxid) != 0)
        return ZAB_SYNC_SNAP;
    return choice;
}

static void send_history(struct zab *z, struct learner *l, int64_t from)
{
    int64_t end = history_end(z);
    if (from < end) {
        struct zab_effect *e = fx_add(z, ZAB_FX_SEND_HISTORY);
        e->conn = l->conn;
        e->zxid = from;
        e->to_zxid = end;
    }
    if (end < z->logged && !l->observer) {
        struct zab_effect *e = fx_add(z, ZAB_FX_SEND_PENDING);
        e->conn = l->conn;
        e->to_zxid = end;
    }
    l->acked = end;
}

static void send_newleader(struct zab *z, struct learner *l)
{
    size_t at = z->fx->bytes.len;
    membership_write(z, &z->fx->bytes);
    struct zab_effect *e = fx_add(z, ZAB_FX_SEND);
    e->conn = l->conn;
    e->packet_type = ZAB_NEWLEADER;
    e->zxid = zxid_make(z->leader.epoch, 0);
    fx_set_data(z, e, at);
}

/* Who goes back takes what it has acknowledged on an older connection with it. As long as somebody
 * answers there, the newcomer is not believed; then that connection ends, and with it what was
 * acknowledged. Returns NULL if the newcomer was rejected. */
static struct learner *end_older(struct zab *z, struct learner *l)
{
    struct leader *ld = &z->leader;
    for (size_t i = 0; i < ld->n_learners; i++) {
        struct learner *other = &ld->learners[i];
        uint64_t conn = l->conn;
        if (other == l || other->sid != l->sid)
            continue;
        if (other->step == LEARNER_READY && z->now_ms - other->heard_ms < 2 * z->tick_ms) {
            leader_reject(z, l, "learner %lld is connected already, and answers there",
                          (long long)l->sid);
            return NULL;
        }
        leader_reject(z, other, "learner %lld has reconnected", (long long)l->sid);
        return leader_find(z, conn);
    }
    return l;
}

void leader_sync_chosen(struct zab *z, const struct zab_event *ev)
{
    struct learner *l = z->state == ZAB_LEADING ? leader_find(z, ev->conn) : NULL;
    if (!l || l->step != LEARNER_CHOOSING)
        return;
    enum zab_sync sync = safe_choice(z, l, ev->sync, ev->zxid);
    int64_t from = l->last_zxid;
    l = sync == ZAB_SYNC_DIFF ? l : end_older(z, l);
    if (!l)
        return;
    if (sync == ZAB_SYNC_DIFF) {
        fx_send(z, l->conn, ZAB_DIFF, history_end(z));
    } else if (sync == ZAB_SYNC_TRUNC) {
        from = ev->zxid;
        fx_send(z, l->conn, ZAB_TRUNC, from);
    } else if (z->tree_zxid < l->tree_least) {
        /* It may be one of those by whom something is decided that our tree does not have yet. */
        l->waits_for_tree = true;
        return;
    } else if (zxid_epoch(from) == z->leader.epoch && from > z->tree_zxid) {
        /* It may hold what is decided and not in our tree yet: nothing of that may go back. */
        leader_reject(z, l, "learner %lld at 0x%llx may be ahead of our tree", (long long)l->sid,
                      (long long)from);
        return;
    } else {
        from = z->tree_zxid;
        struct zab_effect *e = fx_add(z, ZAB_FX_SEND_TREE);
        e->conn = l->conn;
        e->zxid = from;
    }
    fx_log(z, LOG_LEVEL_INFO, "learner %lld at 0x%llx: %s from 0x%llx", (long long)l->sid,
           (long long)l->last_zxid,
           sync == ZAB_SYNC_DIFF    ? "DIFF"
           : sync == ZAB_SYNC_TRUNC ? "TRUNC"
                                    : "SNAP",
           (long long)from);
    send_history(z, l, from);
    send_newleader(z, l);
    l->step = LEARNER_SYNCING;
    l->chosen_ms = z->now_ms;
    l->deadline_ms = sync == ZAB_SYNC_SNAP ? INT64_MAX /* TREE_SENT comes, or the connection ends */
                                           : z->now_ms + (int64_t)z->init_limit * z->tick_ms;
}

/* Those that wait get the tree once it has what they need. */
void leader_send_trees(struct zab *z)
{
    struct leader *ld = &z->leader;
    for (size_t i = ld->n_learners; i-- > 0;) {
        struct learner *l = &ld->learners[i];
        if (!l->waits_for_tree || z->tree_zxid < l->tree_least)
            continue;
        l->waits_for_tree = false;
        leader_sync_chosen(z, &(struct zab_event){.conn = l->conn, .sync = ZAB_SYNC_SNAP});
    }
}

static void make_ready(struct zab *z, struct learner *l)
{
    l->step = LEARNER_READY;
    l->heard_ms = z->now_ms;
    l->deadline_ms = z->now_ms + (int64_t)z->sync_limit * z->tick_ms;
    fx_send(z, l->conn, ZAB_UPTODATE, -1);
    struct zab_effect *e = fx_add(z, ZAB_FX_LEARNER_READY);
    e->conn = l->conn;
    e->sid = l->sid;
}

void leader_newleader_acked(struct zab *z, struct learner *l)
{
    l->step = LEARNER_SYNCED;
    l = leader_replace_older(z, l);
    z->leader.synced |= l->bit;
    if (z->leader.step == LEADER_SERVING) {
        make_ready(z, l);
        leader_try_commit(z);
    } else {
        leader_try_establish(z);
    }
}

void leader_try_establish(struct zab *z)
{
    struct leader *ld = &z->leader;
    if (ld->step != LEADER_SYNCING || !quorum_contains(&z->quorum, ld->synced))
        return;
    ld->step = LEADER_SERVING;
    ld->next_ping_ms = z->now_ms + z->tick_ms / 2;
    ld->own_persisted = z->persisted;
    ld->own_progress_ms = z->now_ms;
    zab_restamp_vote(z);
    z->diverged = false;
    zab_decide(z, z->logged);
    zab_enter(z, ZAB_LEADING, ZAB_BROADCAST);
    identity_established(z, ld->id);
    ld->id_is_new = false;
    for (size_t i = 0; i < ld->n_learners; i++) {
        if (ld->learners[i].step == LEARNER_SYNCED)
            make_ready(z, &ld->learners[i]);
    }
}
