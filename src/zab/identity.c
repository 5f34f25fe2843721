/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which ensemble this server belongs to.
 *
 * The first leader of an ensemble proposes a number. Each server of its quorum makes that durable
 * before it acknowledges NEWLEADER, as it does the epoch, and it is the ensemble's id once the
 * leader is established: every later leader has the history of such a server, and with it the id.
 * A proposed id whose leader was never established gives way to that of a leader whose history is
 * taken; an id never does. So a server with another id is of another history, whatever its epochs
 * and zxids are: its votes are not counted, and it neither leads us nor learns from us.
 *
 * ZooKeeper's servers have no id. While one is part of the quorum none is proposed, and a server of
 * ours gets it from the others that follow the same leader. A server with a history but no id
 * (ZooKeeper's data, or a copy) cannot show that its history is a part of ours: it does not lead
 * servers that have one, and as a learner it takes the leader's tree, unless that ends before its
 * own log. */
#include "internal.h"

enum {
    SAY_EVERY_MS = 60000,
};

bool identity_is_foreign(const struct zab *z, int64_t id)
{
    return id != 0 && z->identity.id != 0 && id != z->identity.id;
}

/* Of each server, now and then. */
static bool may_say(struct zab *z, int64_t sid)
{
    int i = quorum_find(&z->quorum, sid);
    int64_t *next_ms = &z->identity.say_next_ms[MAX(i, 0)];
    if (z->now_ms < *next_ms)
        return false;
    *next_ms = z->now_ms + SAY_EVERY_MS;
    return true;
}

void identity_say_foreign(struct zab *z, int64_t sid, int64_t id)
{
    if (!may_say(z, sid))
        return;
    fx_log(
        z, LOG_LEVEL_ERROR,
        "server %lld belongs to another ensemble: its id (version-2/ensembleId) is %lld, ours is "
        "%lld, and neither takes the other's history. The one that does not belong here can join "
        "after its version-2 directories were moved aside",
        (long long)sid, (long long)id, (long long)z->identity.id);
}

void identity_say_without(struct zab *z, int64_t sid)
{
    if (!may_say(z, sid))
        return;
    fx_log(
        z, LOG_LEVEL_WARN,
        "server %lld has a history, but no id of an ensemble (version-2/ensembleId; ours is %lld): "
        "it is not elected here, and gets the id and the tree from a leader that has them. If it "
        "is known to be of this ensemble, copy that file to it and restart it",
        (long long)sid, (long long)z->identity.id);
}

/* It serves in the same epoch of the same leader. */
static bool is_with_us(const struct zab *z, const struct notification *n)
{
    return z->phase == ZAB_BROADCAST && n->state != ZAB_LOOKING && n->leader == z->vote.leader &&
           n->epoch == z->current_epoch;
}

/* What our notifications say. A proposed id shows those who know that it became the ensemble's that
 * we have met its first leader. */
struct trailer identity_told(const struct zab *z)
{
    const struct identity *i = &z->identity;
    return (struct trailer){true, i->id ? i->id : i->proposed, i->id == 0 && i->proposed != 0};
}

/* By a server of ours that serves with us, behind a leader that does not know it. */
bool identity_is_asked_for(const struct zab *z, const struct notification *n)
{
    bool has_none = n->trailer.ensemble_id == 0 || n->trailer.is_new;
    return z->identity.id != 0 && n->trailer.is_ours && has_none && is_with_us(z, n);
}

/* What the server's notification says of its ensemble. False: it is not ours, do not count it. */
bool identity_heard(struct zab *z, int64_t sid, const struct notification *n)
{
    int64_t id = n->trailer.is_new ? 0 : n->trailer.ensemble_id;
    z->identity.peers[quorum_find(&z->quorum, sid)] = n->trailer;
    if (identity_is_foreign(z, id)) {
        identity_say_foreign(z, sid, id);
        return false;
    }
    if (z->saving == SAVING_NONE && is_with_us(z, n))
        identity_established(z, id);
    return true;
}

/* Not a server of ours that has a history of no ensemble. */
bool identity_may_lead(const struct zab *z, int64_t sid)
{
    int i = quorum_find(&z->quorum, sid);
    return i < 0 || sid == z->sid || z->identity.id == 0 || !z->identity.peers[i].is_ours ||
           z->identity.peers[i].ensemble_id == z->identity.id;
}

/* A quorum has told that it never accepted an epoch: so there was no leader before. A later epoch
 * may be that of an ensemble whose servers lost their disks. */
bool identity_is_first(bool is_new, int64_t epoch)
{
    return is_new && epoch == 1;
}

/* The leader has heard a quorum: what its ensemble is called. */
void identity_choose(struct zab *z)
{
    struct leader *ld = &z->leader;
    ld->id = z->identity.id;
    ld->id_is_new = ld->id == 0;
    if (ld->id_is_new && (ld->connecting & ~ld->ours) == 0)
        ld->id = z->identity.proposed ? z->identity.proposed : z->identity.fresh;
}

/* True: it is being made durable, and ZAB_EV_SAVED will come. */
bool identity_propose(struct zab *z, int64_t id)
{
    if (id == 0 || z->identity.id != 0 || z->identity.proposed == id)
        return false;
    zab_save(z, SAVING_PROPOSED_ID, id);
    return true;
}

/* True: as above. */
bool identity_established(struct zab *z, int64_t id)
{
    if (id == 0 || z->identity.id != 0)
        return false;
    zab_save(z, SAVING_ID, id);
    return true;
}

/* Whether the leader's id makes its tree the only thing to build on. */
bool identity_wants_tree(const struct zab *z)
{
    const struct follow *f = &z->follow;
    return f->id != 0 && !f->id_is_new && z->identity.id == 0 && z->identity.proposed != f->id &&
           z->logged != 0;
}

/* The learner takes the id of its leader's ensemble before it logs anything of it; one that has to
 * take the tree has its own history, or none, until then. What is proposed in the first epoch is
 * noted at once: it shows that nobody has acknowledged anything before (election.c). */
bool identity_join(struct zab *z)
{
    const struct follow *f = &z->follow;
    if (f->id_is_new)
        return identity_is_first(true, f->epoch) && z->identity.proposed == 0 &&
               !learner_has_forgotten(z) && identity_propose(z, f->id);
    return !identity_wants_tree(z) && identity_established(z, f->id);
}
