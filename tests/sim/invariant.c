/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What holds between the replicas, and between a replica and its disk, at every step: the
 * properties of Zab as ZooKeeper's TLA+ specifications name them (one leader an epoch; integrity,
 * agreement and total order by the journal's one chain; local and global primary order by the
 * zxids of proposals; primary integrity by what a new leader begins with), and that nothing is
 * said before what it promises is durable. */
#include "sim.h"

enum {
    COMPARE_EVERY = 16, /* changes of a tree */
};

static _Noreturn void fail_at(struct world *w, const struct server *s, const char *what,
                              int64_t zxid)
{
    sim_fail(w, SIM_BROKEN, "%s %s 0x%" PRIx64, s->name, what, (uint64_t)zxid);
}

static struct entry *entry_of(struct world *w, const struct server *s, const struct tree *tree)
{
    struct entry *e = journal_find(w, tree_last_zxid(tree));
    if (!e)
        fail_at(w, s, "has a tree of a zxid that was never proposed,", tree_last_zxid(tree));
    return e;
}

/* ---- What is on the disk ---- */

void invariant_synced(struct world *w, struct server *s, int64_t zxid)
{
    if (w->lenient)
        return;
    struct memory *m = &s->memory;
    m->durable = journal_back_to(m->log_end, zxid);
    if (m->durable->zxid != zxid)
        fail_at(w, s, "has written what it was not told to write,", zxid);
}

/* A disk that was lost counts: a replica without a memory does not vote as one with an empty one.
 */
static bool in_quorum(const struct world *w, const struct entry *e)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->n_voters; i++) {
        const struct memory *m = &w->servers[i].memory;
        n += journal_has(m->durable, e) || (m->lost && journal_has(m->lost, e));
    }
    return 2 * n > w->n_voters;
}

/* The replica starts with all that it said is durable. */
void invariant_started(struct world *w, struct server *s, const struct tree *tree,
                       const struct zab_history *h)
{
    if (w->lenient)
        return;
    struct memory *m = &s->memory;
    struct entry *e = entry_of(w, s, tree);
    cover_point(COVER_check_started);
    if (!journal_has(e, m->durable))
        sim_fail(w, SIM_BROKEN, "%s starts at zxid 0x%" PRIx64 ", and 0x%" PRIx64 " was durable",
                 s->name, (uint64_t)e->zxid, (uint64_t)m->durable->zxid);
    compare_tree(w, tree, e, "after recovery");
    if (!is_ensemble(w)) {
        journal_cut(w, e);
        for (size_t i = 0; i < w->n_sessions; i++)
            w->sessions[i].heard_ms = w->now_ms;
    } else if (h->accepted_epoch < m->accepted_epoch || h->current_epoch < m->current_epoch) {
        sim_fail(w, SIM_BROKEN,
                 "%s starts with the epochs %" PRId64 " and %" PRId64 ", and %" PRId64
                 " and %" PRId64 " were durable",
                 s->name, h->accepted_epoch, h->current_epoch, m->accepted_epoch, m->current_epoch);
    }
    m->log_end = m->durable = m->applied = e;
    m->accepted_epoch = h->accepted_epoch;
    m->current_epoch = h->current_epoch;
    m->serving = false;
}

static struct entry *common(struct entry *a, struct entry *b)
{
    while (a != b) {
        if (a->index >= b->index)
            a = a->prev;
        else
            b = b->prev;
    }
    return a;
}

/* What is committed stays on the disks of a quorum, also when this replica takes it back: it may
 * have had what its leader commits with others. */
static void take_back(struct world *w, struct server *s, struct entry *kept)
{
    struct memory *m = &s->memory;
    struct entry *e = m->log_end;
    cover_point(COVER_check_took_back);
    while (!journal_is_committed(w, e))
        e = e->prev;
    m->durable = common(m->durable, kept);
    if (!in_quorum(w, e))
        sim_fail(w, SIM_BROKEN, "%s takes 0x%" PRIx64 " back, which is committed", s->name,
                 (uint64_t)e->zxid);
}

void invariant_truncating(struct world *w, struct server *s, int64_t zxid)
{
    if (w->lenient)
        return;
    take_back(w, s, journal_back_to(s->memory.log_end, zxid));
}

void invariant_truncated(struct world *w, struct server *s, const struct tree *tree)
{
    if (w->lenient)
        return;
    struct memory *m = &s->memory;
    if (!tree) {
        m->durable = m->log_end;
        return;
    }
    struct entry *e = entry_of(w, s, tree);
    if (!journal_has(m->log_end, e))
        fail_at(w, s, "is truncated to what was not in its log,", e->zxid);
    compare_tree(w, tree, e, "after a truncate");
    m->log_end = m->durable = m->applied = e;
}

void invariant_installing(struct world *w, struct server *s, const struct tree *tree)
{
    if (w->lenient)
        return;
    struct entry *e = entry_of(w, s, tree);
    compare_tree(w, tree, e, "the leader's tree");
    take_back(w, s, e);
}

void invariant_installed(struct world *w, struct server *s, const struct tree *tree)
{
    if (w->lenient)
        return;
    struct memory *m = &s->memory;
    m->log_end = m->durable = m->applied = entry_of(w, s, tree);
}

/* ---- What is served ---- */

/* It leads an epoch from now on: nobody else does, and all that was ever committed in the epochs
 * before is in its history. (It may have stood still while a later epoch began.) */
static void established(struct world *w, struct server *s, int64_t epoch)
{
    const struct epoch *known = journal_epoch(w, epoch);
    cover_point(COVER_check_established);
    const struct entry *must = journal_back_to(journal_tip(w), zxid_make(epoch, 0));
    if (known)
        sim_fail(w, SIM_BROKEN, "%s leads epoch %" PRId64 ", which %s has led", s->name, epoch,
                 known->leader->name);
    if (!journal_has(s->memory.applied, must))
        sim_fail(w, SIM_BROKEN,
                 "%s leads epoch %" PRId64 " from 0x%" PRIx64 ", and 0x%" PRIx64 " is committed",
                 s->name, epoch, (uint64_t)s->memory.applied->zxid, (uint64_t)must->zxid);
    ROOM_FOR_ONE(w->epochs, w->n_epochs, w->cap_epochs);
    w->epochs[w->n_epochs++] = (struct epoch){epoch, s, s->memory.applied};
}

static void begins_to_serve(struct world *w, struct server *s)
{
    int64_t epoch = zxid_epoch(node_last_committed(s->node));
    if (!is_ensemble(w))
        return;
    s->memory.lost = NULL;
    if (node_state(s->node) == ZAB_LEADING)
        established(w, s, epoch);
    sim_trace(w, "%s: serves epoch %" PRId64 " from 0x%" PRIx64, s->name, epoch,
              (uint64_t)s->memory.applied->zxid);
}

static void check_begin(struct world *w, const struct server *s, int64_t zxid)
{
    const struct epoch *ep = journal_epoch(w, zxid_epoch(zxid));
    cover_point(COVER_check_begin);
    if (!ep || ep->base != s->memory.applied)
        sim_fail(w, SIM_BROKEN,
                 "%s serves the beginning of epoch %" PRId64 " with a tree of 0x%" PRIx64, s->name,
                 zxid_epoch(zxid), (uint64_t)s->memory.applied->zxid);
}

static void applied(struct world *w, struct server *s)
{
    struct entry *e = s->memory.applied;
    journal_commit(w, s, e);
    cover_point(COVER_check_in_quorum);
    if (!in_quorum(w, e) && e == journal_tip(w))
        fail_at(w, s, "serves what no quorum has on its disks,", e->zxid);
    if (s->memory.n_steps++ % COMPARE_EVERY == 0)
        compare_tree(w, node_tree(s->node), e, s->name);
}

/* Behind each step of the node. */
void invariant_stepped(struct world *w, struct server *s)
{
    if (w->lenient)
        return;
    struct memory *m = &s->memory;
    const struct tree *tree = node_tree(s->node);
    bool serving = node_is_serving(s->node), was_serving = m->serving;
    m->serving = serving;
    if (serving == was_serving && tree_last_zxid(tree) == m->applied->zxid)
        return;
    m->applied = entry_of(w, s, tree);
    if (serving && !was_serving)
        begins_to_serve(w, s);
    /* A leader whose epoch is used up serves the last of it and stops in one step. */
    if (serving || was_serving)
        applied(w, s);
    if (!serving)
        return;
    int64_t zxid = node_last_committed(s->node);
    if (is_ensemble(w) && zxid_counter(zxid) == 0)
        check_begin(w, s, zxid);
}

/* ---- What is said between replicas ---- */

static void check_ack(struct world *w, const struct server *s, int64_t zxid)
{
    const struct memory *m = &s->memory;
    bool of_epoch = zxid_counter(zxid) == 0;
    cover_point(of_epoch ? COVER_check_ack_epoch : COVER_check_ack);
    if (of_epoch && m->current_epoch < zxid_epoch(zxid))
        fail_at(w, s, "acknowledges an epoch that is not durable,", zxid);
    if (!of_epoch && m->durable->zxid < zxid)
        fail_at(w, s, "acknowledges what is not durable,", zxid);
}

void invariant_packet(struct world *w, const struct server *s, const struct zk_quorum_packet *p)
{
    const struct memory *m = &s->memory;
    int64_t epoch = zxid_epoch(p->zxid);
    cover(COVER_PACKET, p->type, 0);
    if (w->lenient)
        return;
    switch (p->type) {
    case ZAB_FOLLOWERINFO:
    case ZAB_OBSERVERINFO:
    case ZAB_LEADERINFO:
        cover_point(COVER_check_epoch_told);
        if (m->accepted_epoch < epoch)
            fail_at(w, s, "tells an epoch that it has not accepted durably,", p->zxid);
        break;
    case ZAB_NEWLEADER:
        if (m->current_epoch < epoch)
            fail_at(w, s, "leads an epoch that is not durable,", p->zxid);
        break;
    case ZAB_ACK:
        check_ack(w, s, p->zxid);
        break;
    default:
        break;
    }
}
