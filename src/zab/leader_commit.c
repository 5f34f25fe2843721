/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Broadcast on the leader: what is logged is proposed, what a quorum has is committed. An ACK says
 * that the learner has all up to its zxid, for a learner logs in order; our own one is that all up
 * to there is persisted. */
#include "internal.h"

/* An ACK is due for this proposal, or for the first one behind that which was acknowledged. */
static void await_ack(struct zab *z, struct learner *l, int64_t zxid)
{
    if (l->step < LEARNER_READY || l->observer || l->awaited_zxid != 0)
        return;
    l->awaited_zxid = zxid;
    l->awaited_since_ms = z->now_ms;
}

void leader_logged(struct zab *z, int64_t zxid)
{
    struct leader *ld = &z->leader;
    ensure(z->state == ZAB_LEADING && ld->step == LEADER_SERVING);
    ensure(zxid == ld->last_proposed + 1 && zxid_epoch(zxid) == ld->epoch);
    ld->last_proposed = z->logged = zxid;
    for (size_t i = 0; i < ld->n_learners; i++) {
        struct learner *l = &ld->learners[i];
        if (!learner_is_forwarding(l) || l->observer)
            continue;
        struct zab_effect *e = fx_add(z, ZAB_FX_PROPOSE);
        e->conn = l->conn;
        e->zxid = zxid;
        await_ack(z, l, zxid);
    }
    if (!ld->epoch_full && zxid_counter(zxid) >= z->counter_full) {
        ld->epoch_full = true;
        fx_add(z, ZAB_FX_NEW_EPOCH)->zxid = zxid;
    }
}

static void commit(struct zab *z, int64_t zxid)
{
    struct leader *ld = &z->leader;
    for (size_t i = 0; i < ld->n_learners; i++) {
        struct learner *l = &ld->learners[i];
        if (!learner_is_forwarding(l))
            continue;
        if (!l->observer) {
            fx_send(z, l->conn, ZAB_COMMIT, zxid);
            continue;
        }
        struct zab_effect *e = fx_add(z, ZAB_FX_INFORM);
        e->conn = l->conn;
        e->zxid = zxid;
    }
    zab_decide(z, zxid);
}

/* The servers that have all up to `zxid`. */
static uint64_t holders(const struct zab *z, int64_t zxid)
{
    const struct leader *ld = &z->leader;
    uint64_t set = z->persisted >= zxid ? quorum_bit(&z->quorum, z->sid) : 0;
    for (size_t i = 0; i < ld->n_learners; i++) {
        if (ld->learners[i].step >= LEARNER_SYNCED && ld->learners[i].acked >= zxid)
            set |= ld->learners[i].bit;
    }
    return set;
}

void leader_try_commit(struct zab *z)
{
    struct leader *ld = &z->leader;
    if (ld->step != LEADER_SERVING)
        return;
    int64_t best = z->decided;
    if (z->persisted > best && quorum_contains(&z->quorum, holders(z, z->persisted)))
        best = z->persisted;
    for (size_t i = 0; i < ld->n_learners; i++) {
        int64_t zxid = ld->learners[i].acked;
        if (zxid > best && quorum_contains(&z->quorum, holders(z, zxid)))
            best = zxid;
    }
    while (z->decided < best)
        commit(z, zxid_next(z->decided, ld->epoch));
    if (ld->epoch_full && z->decided == z->logged)
        zab_look(z, "the zxids of epoch %lld are used up", (long long)ld->epoch);
}

/* Beside those of this epoch's proposals there are ACKs that mean nothing: that of UPTODATE, with
 * the zxid of NEWLEADER, and those of ZooKeeper 3.8.0 for the history that it was sent. They may
 * come before the ACK of NEWLEADER, which alone makes the learner count (ZOOKEEPER-4685). */
void leader_acked(struct zab *z, struct learner *l, int64_t zxid)
{
    if (zxid > z->leader.last_proposed) {
        leader_reject(z, l, "learner %lld acknowledges 0x%llx, which was not proposed",
                      (long long)l->sid, (long long)zxid);
        return;
    }
    if (l->observer || zxid_counter(zxid) == 0 || zxid_epoch(zxid) != z->leader.epoch)
        return;
    if (zxid > l->acked)
        l->awaited_since_ms = z->now_ms; /* slow is not dead */
    l->acked = MAX(l->acked, zxid);
    if (l->awaited_zxid != 0 && zxid >= l->awaited_zxid) {
        l->awaited_zxid = 0;
        if (z->leader.last_proposed > zxid)
            await_ack(z, l, z->leader.last_proposed);
    }
    leader_try_commit(z);
}
