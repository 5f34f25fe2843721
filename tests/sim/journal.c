/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was proposed, and what of it is committed.
 *
 * Proposals are a tree: each has the one behind which it was proposed. Of a leader that was lost
 * some are on a branch that nobody goes on with. What a replica serves is committed, and all that
 * is committed is one chain of them: no two replicas may disagree on it, and nothing of it may
 * ever be taken back. */
#include "mountpoint.h"

/* ---- All proposals ---- */

struct entry *journal_find(const struct world *w, int64_t zxid)
{
    HMAP_FOR_EACH_WITH_HASH (e, &w->entries, hash_u64((uint64_t)zxid), struct entry, by_zxid) {
        if (e->zxid == zxid)
            return e;
    }
    return NULL;
}

struct entry *journal_add(struct world *w, struct entry *prev, int64_t zxid, struct slice txn)
{
    struct entry *e = mem_zalloc(sizeof(*e));
    e->zxid = zxid;
    e->prev = prev;
    buf_append(&e->txn, txn.data, slice_size(txn));
    if (prev) {
        e->index = prev->index + 1;
        model_copy(&e->after, &prev->after);
    } else {
        model_open(&e->after);
    }
    hmap_insert(&w->entries, &e->by_zxid, hash_u64((uint64_t)zxid));
    return e;
}

static void entry_free(struct world *w, struct entry *e)
{
    if (e->request) {
        free(e->request->expected);
        e->request->expected = NULL;
        e->request->zxid = 0;
    }
    hmap_remove(&w->entries, &e->by_zxid);
    buf_close(&e->txn);
    model_close(&e->after);
    free(e);
}

/* The last of the history that ends with `e` that is not behind `zxid`. */
struct entry *journal_back_to(struct entry *e, int64_t zxid)
{
    while (e->zxid > zxid)
        e = e->prev;
    return e;
}

/* Is `e` in the history that ends with `history`? */
bool journal_has(const struct entry *history, const struct entry *e)
{
    while (history->index > e->index)
        history = history->prev;
    return history == e;
}

/* A single replica that starts again forgets what was behind `end`, and its zxids are used again.
 */
void journal_cut(struct world *w, struct entry *end)
{
    HMAP_FOR_EACH_SAFE (e, &w->entries, struct entry, by_zxid) {
        if (e->index > end->index)
            entry_free(w, e);
    }
}

/* ---- What is committed ---- */

struct entry *journal_tip(const struct world *w)
{
    return w->chain[w->n_chain - 1];
}

bool journal_is_committed(const struct world *w, const struct entry *e)
{
    return e->index < w->n_chain && w->chain[e->index] == e;
}

struct epoch *journal_epoch(const struct world *w, int64_t epoch)
{
    for (size_t i = w->n_epochs; i > 0; i--) {
        if (w->epochs[i - 1].epoch == epoch)
            return &w->epochs[i - 1];
    }
    return NULL;
}

/* A zxid with counter 0 names the beginning of an epoch. */
struct entry *journal_at(struct world *w, int64_t zxid)
{
    bool names_epoch = is_ensemble(w) && zxid > 0 && zxid_counter(zxid) == 0;
    const struct epoch *ep = names_epoch ? journal_epoch(w, zxid_epoch(zxid)) : NULL;
    struct entry *e = ep ? ep->base : journal_find(w, zxid);
    if (!e || !journal_is_committed(w, e))
        sim_fail(w, SIM_BROKEN, "zxid 0x%" PRIx64 " was never committed", (uint64_t)zxid);
    return e;
}

static void shadow_apply(struct world *w, const struct entry *e)
{
    struct jute_reader r = jute_reader_of(buf_slice(&e->txn));
    struct zk_txn_header h;
    zk_txn_header_read(&r, &h);
    if (tree_apply(w->shadow, &h, jute_read_rest(&r), &w->shadow_outcome) < 0)
        sim_fail(w, SIM_BROKEN, "zxid 0x%" PRIx64 " cannot be applied", (uint64_t)e->zxid);
    if (w->mountcheck)
        mountcheck_committed(w, &h, &w->shadow_outcome);
}

struct session_seen *journal_session(const struct world *w, int64_t id)
{
    for (size_t i = w->n_sessions; i > 0; i--) {
        if (w->sessions[i - 1].id == id)
            return &w->sessions[i - 1];
    }
    return NULL;
}

/* The replica has got a frame of this session. */
void journal_heard(struct world *w, int64_t session_id)
{
    struct session_seen *seen = journal_session(w, session_id);
    if (seen)
        seen->heard_ms = w->now_ms;
}

static void commit_session(struct world *w, const struct entry *e)
{
    struct jute_reader r = jute_reader_of(buf_slice(&e->txn));
    struct zk_txn_header h;
    zk_txn_header_read(&r, &h);
    struct session_seen *seen = journal_session(w, h.client_id);
    if (h.type == ZK_OP_createSession && !seen) {
        ROOM_FOR_ONE(w->sessions, w->n_sessions, w->cap_sessions);
        w->sessions[w->n_sessions++] =
            (struct session_seen){.id = h.client_id, .created_zxid = h.zxid, .heard_ms = w->now_ms};
    } else if (h.type == ZK_OP_closeSession && seen) {
        seen->closed_zxid = h.zxid;
        if (w->calm_since_ms > 0 && h.cxid == 0)
            sim_fail(w, SIM_BROKEN, "session 0x%" PRIx64 " expires while all is well",
                     (uint64_t)h.client_id);
    }
}

/* A write that was asked for when another had been acknowledged comes behind that. */
static void commit_one(struct world *w, struct entry *e)
{
    const struct request *r = e->request;
    if (r)
        cover_point(COVER_check_real_time);
    if (r && e->zxid <= r->acked_before)
        sim_fail(w, SIM_BROKEN,
                 "client %u: #%d is committed as 0x%" PRIx64 ", but clients knew of 0x%" PRIx64
                 " when it was sent",
                 r->client->index, r->xid, (uint64_t)e->zxid, (uint64_t)r->acked_before);
    ROOM_FOR_ONE(w->chain, w->n_chain, w->cap_chain);
    w->chain[w->n_chain++] = e;
    shadow_apply(w, e);
    e->digest = tree_digest(w->shadow);
    commit_session(w, e);
}

/* Replica `s` serves what comes of the history that ends with `e`. */
void journal_commit(struct world *w, const struct server *s, struct entry *e)
{
    const struct entry *back = e, *tip = journal_tip(w);
    while (back->index > tip->index)
        back = back->prev;
    if (!journal_is_committed(w, back))
        sim_fail(w, SIM_BROKEN,
                 "%s serves a history with 0x%" PRIx64 ", where 0x%" PRIx64 " is committed",
                 s->name, (uint64_t)back->zxid, (uint64_t)w->chain[back->index]->zxid);
    while (journal_tip(w) != e && e->index >= w->n_chain) {
        struct entry *next = e;
        while (next->index > w->n_chain)
            next = next->prev;
        commit_one(w, next);
    }
}

/* ---- Beginning and end ---- */

void journal_open(struct world *w)
{
    w->shadow = tree_open(0);
    ROOM_FOR_ONE(w->chain, w->n_chain, w->cap_chain);
    w->chain[w->n_chain++] = journal_add(w, NULL, 0, SLICE_EMPTY);
    w->chain[0]->digest = tree_digest(w->shadow);
}

/* An ensemble's trees begin with its configuration in them. */
void journal_set_config(struct world *w)
{
    struct model_node *n = model_find(&w->chain[0]->after, "/zookeeper/config");
    n->data_len = snprintf(n->data, sizeof(n->data), "%s", SIM_CONFIG);
    n->version = -1;
    tree_set_config(w->shadow, slice_str(SIM_CONFIG), 0);
    w->chain[0]->digest = tree_digest(w->shadow);
}

void journal_close(struct world *w)
{
    HMAP_FOR_EACH_SAFE (e, &w->entries, struct entry, by_zxid)
        entry_free(w, e);
    hmap_close(&w->entries);
    free(w->chain);
    free(w->epochs);
    free(w->sessions);
    tree_close(w->shadow);
    tree_outcome_close(&w->shadow_outcome);
}
