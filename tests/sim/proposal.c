/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes to the logs: on the leader new proposals, on the others those that are known.
 *
 * Of a transaction only its header is believed: whose request it is. What it does is what the
 * model makes of that request. */
#include "sim.h"

static struct request *find_request(struct world *w, const struct zk_txn_header *h)
{
    for (size_t i = w->n_requests; i > 0; i--) {
        struct request *r = w->requests[i - 1];
        if (r->session_id == h->client_id && r->xid == h->cxid)
            return r;
    }
    sim_fail(w, SIM_BROKEN,
             "zxid 0x%" PRIx64 " is request %d of session 0x%" PRIx64 ", which nobody made",
             (uint64_t)h->zxid, h->cxid, (uint64_t)h->client_id);
}

/* A session's requests are proposed in their order, each once. */
static struct request *claim_request(struct world *w, const struct zk_txn_header *h,
                                     struct model *m)
{
    struct request *r = find_request(w, h);
    struct model_session *s = model_session(m, h->client_id);
    if (!s && h->type != ZK_OP_error)
        sim_fail(w, SIM_BROKEN, "zxid 0x%" PRIx64 " is of session 0x%" PRIx64 ", which is gone",
                 (uint64_t)h->zxid, (uint64_t)h->client_id);
    if (r->zxid != 0 || (s && h->type != ZK_OP_error && h->cxid <= s->last_cxid))
        sim_fail(w, SIM_BROKEN, "request %d of session 0x%" PRIx64 " is proposed out of order",
                 h->cxid, (uint64_t)h->client_id);
    if (r->op.type != h->type && h->type != ZK_OP_error)
        sim_fail(w, SIM_BROKEN, "request %d of session 0x%" PRIx64 " is proposed as %s", h->cxid,
                 (uint64_t)h->client_id, zk_op_name(h->type));
    if (s)
        s->last_cxid = h->cxid;
    r->zxid = h->zxid;
    return r;
}

static void set_expected(struct request *r, struct buf *answer)
{
    *buf_extend(answer, 1) = '\0';
    r->expected = (char *)answer->data;
}

/* What is refused is proposed only if a learner asked for it, since that is how it gets the
 * answer: an error, or a multi of errors. */
static struct request *propose_request(struct world *w, const struct zk_txn_header *h,
                                       struct model *m)
{
    struct request *r = claim_request(w, h, m);
    struct model_actor who = {r->ids, h->client_id, h->zxid, h->time};
    struct buf answer = {0};
    bool written = model_write(m, r, &who, &answer);
    bool multi = is_ensemble(w) && h->type == ZK_OP_multi;
    if (!written && !multi)
        sim_fail(w, SIM_BROKEN, "request %d of session 0x%" PRIx64 " is proposed, but: %.*s",
                 h->cxid, (uint64_t)h->client_id, (int)answer.len, (char *)answer.data);
    set_expected(r, &answer);
    return r;
}

static struct request *propose_error(struct world *w, const struct zk_txn_header *h, int32_t err,
                                     struct model *m)
{
    struct request *r = claim_request(w, h, m);
    struct model_actor who = {r->ids, h->client_id, h->zxid, h->time};
    struct buf answer = {0};
    bool written = false;
    cover_point(COVER_check_error_txn);
    if (err == ZK_SESSIONMOVED)
        buf_printf(&answer, "%s", zk_error_name(err));
    else if (!model_session(m, h->client_id))
        buf_printf(&answer, "%s", zk_error_name(ZK_SESSIONEXPIRED));
    else
        written = model_write(m, r, &who, &answer);
    if (written || !slice_eq_str(buf_slice(&answer), zk_error_name(err)))
        sim_fail(w, SIM_BROKEN, "request %d of session 0x%" PRIx64 " is refused with %s, but: %.*s",
                 h->cxid, (uint64_t)h->client_id, zk_error_name(err), (int)answer.len,
                 (char *)answer.data);
    set_expected(r, &answer);
    return r;
}

/* A single replica hears of its sessions itself, so that it is known when it may give one up. */
static void check_expiry(struct world *w, const struct model_session *s)
{
    const struct session_seen *seen = journal_session(w, s->id);
    cover_point(COVER_check_expiry);
    if (!is_ensemble(w) && seen && w->now_ms - seen->heard_ms < s->timeout_ms)
        sim_fail(w, SIM_BROKEN,
                 "session 0x%" PRIx64 " expires after %" PRId64 " ms, its timeout is %d",
                 (uint64_t)s->id, w->now_ms - seen->heard_ms, s->timeout_ms);
}

/* Asked for by the client, or since it was silent for too long. */
static struct request *propose_close(struct world *w, const struct zk_txn_header *h,
                                     struct model *m)
{
    struct request *r = NULL;
    struct buf answer = {0};
    const struct model_session *s = model_session(m, h->client_id);
    if (!s)
        sim_fail(w, SIM_BROKEN, "session 0x%" PRIx64 " is closed, but is gone",
                 (uint64_t)h->client_id);
    if (h->cxid == 0) {
        check_expiry(w, s);
    } else if (!w->unmodelled) {
        r = claim_request(w, h, m);
        buf_printf(&answer, "OK ");
        set_expected(r, &answer);
    }
    model_close_session(m, h->client_id, h->zxid);
    return r;
}

static void propose_session(struct world *w, const struct zk_txn_header *h, int32_t timeout_ms,
                            struct model *m)
{
    if (model_session(m, h->client_id))
        sim_fail(w, SIM_BROKEN, "session 0x%" PRIx64 " is there already", (uint64_t)h->client_id);
    if (timeout_ms < w->times.timeout_min_ms || timeout_ms > w->times.timeout_max_ms)
        sim_fail(w, SIM_BROKEN, "session 0x%" PRIx64 " has a timeout of %d ms",
                 (uint64_t)h->client_id, timeout_ms);
    model_open_session(m, h->client_id, timeout_ms);
}

static void propose_delete_container(struct world *w, const struct server *s,
                                     const struct zk_txn_header *h, struct slice path,
                                     struct model *m)
{
    char text[MODEL_PATH_MAX];
    cover_point(COVER_check_container);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(path));
    const struct entry *applied = journal_find(w, tree_last_zxid(node_tree(s->node)));
    bool expired = model_is_expired(&applied->after, text, h->time);
    if (!expired || !model_delete_container(m, text, h->zxid))
        sim_fail(w, SIM_BROKEN, "zxid 0x%" PRIx64 " removes %s, which is not due for it",
                 (uint64_t)h->zxid, text);
}

/* Zxids follow on each other, and only one who was established proposes in an epoch. */
static void check_header(struct world *w, const struct server *s, const struct zk_txn_header *h)
{
    int64_t last = s->memory.log_end->zxid;
    bool follows = h->zxid == last + 1;
    if (is_ensemble(w) && zxid_epoch(h->zxid) != zxid_epoch(last))
        follows = h->zxid > last && zxid_counter(h->zxid) == 1;
    if (!follows || h->time != server_wall(w, s))
        sim_fail(w, SIM_BROKEN,
                 "%s proposes zxid 0x%" PRIx64 " at time %" PRId64 " behind 0x%" PRIx64
                 " at %" PRId64,
                 s->name, (uint64_t)h->zxid, h->time, (uint64_t)last, server_wall(w, s));
    const struct epoch *ep = is_ensemble(w) ? journal_epoch(w, zxid_epoch(h->zxid)) : NULL;
    if (is_ensemble(w) && (!ep || ep->leader != s || !node_is_serving(s->node)))
        sim_fail(w, SIM_BROKEN, "%s appends zxid 0x%" PRIx64 ", which its leader did not propose",
                 s->name, (uint64_t)h->zxid);
}

static struct entry *propose(struct world *w, struct server *s, struct slice txn)
{
    struct zk_txn_header h;
    struct jute_reader r = jute_reader_of(txn);
    zk_txn_header_read(&r, &h);
    check_header(w, s, &h);
    struct entry *e = journal_add(w, s->memory.log_end, h.zxid, txn);
    sim_trace(w, "%s: proposes 0x%" PRIx64 ": %s #%d of 0x%" PRIx64, s->name, (uint64_t)h.zxid,
              zk_op_name(h.type), h.cxid, (uint64_t)h.client_id);
    if (w->unmodelled && h.type != ZK_OP_createSession && h.type != ZK_OP_closeSession)
        return e;
    switch (h.type) {
    case ZK_OP_createSession:
        propose_session(w, &h, jute_read_int(&r), &e->after);
        break;
    case ZK_OP_closeSession:
        e->request = propose_close(w, &h, &e->after);
        break;
    case ZK_OP_deleteContainer:
        propose_delete_container(w, s, &h, jute_read_buffer(&r), &e->after);
        break;
    case ZK_OP_error:
        e->request = propose_error(w, &h, jute_read_int(&r), &e->after);
        break;
    default:
        e->request = propose_request(w, &h, &e->after);
        break;
    }
    return e;
}

static void check_known(struct world *w, const struct server *s, const struct entry *e,
                        struct slice txn)
{
    cover_point(COVER_check_known);
    if (e->prev != s->memory.log_end)
        sim_fail(w, SIM_BROKEN,
                 "%s appends zxid 0x%" PRIx64 " behind 0x%" PRIx64 ", it was proposed behind "
                 "0x%" PRIx64,
                 s->name, (uint64_t)e->zxid, (uint64_t)s->memory.log_end->zxid,
                 (uint64_t)(e->prev ? e->prev->zxid : 0));
    if (!slice_eq(txn, buf_slice(&e->txn)))
        sim_fail(w, SIM_BROKEN, "%s appends zxid 0x%" PRIx64 " with other bytes than were proposed",
                 s->name, (uint64_t)e->zxid);
}

void proposals_append(struct world *w, struct server *s, const struct node_batch *batch)
{
    struct slice txn;
    if (w->lenient)
        return;
    for (size_t pos = 0; txn_batch_next(&batch->entries, &pos, &txn);) {
        struct zk_txn_header h;
        struct jute_reader r = jute_reader_of(txn);
        zk_txn_header_read(&r, &h);
        struct entry *e = journal_find(w, h.zxid);
        if (e)
            check_known(w, s, e, txn);
        else
            e = propose(w, s, txn);
        s->memory.log_end = e;
    }
}
