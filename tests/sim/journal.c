/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was proposed, in the order of zxids, and the model after each transaction.
 *
 * Of a transaction only its header is believed: whose request it is. What it does is what the
 * model makes of that request. A crash cuts the journal where recovery ends. */
#include "sim.h"

static struct journal_entry *entry_add(struct world *w)
{
    ROOM_FOR_ONE(w->journal, w->n_journal, w->cap_journal);
    struct journal_entry *e = &w->journal[w->n_journal++];
    *e = (struct journal_entry){0};
    return e;
}

static void entry_close(struct journal_entry *e)
{
    if (e->request) {
        free(e->request->expected);
        e->request->expected = NULL;
        e->request->zxid = 0;
    }
    buf_close(&e->txn);
    model_close(&e->after);
}

void journal_open(struct world *w)
{
    model_open(&entry_add(w)->after);
    w->shadow = tree_open(0);
}

void journal_close(struct world *w)
{
    while (w->n_journal > 0)
        entry_close(&w->journal[--w->n_journal]);
    free(w->journal);
    tree_close(w->shadow);
    tree_outcome_close(&w->shadow_outcome);
}

const struct model *journal_model(struct world *w, int64_t zxid)
{
    if (zxid < 0 || zxid > journal_last(w))
        sim_fail(w, SIM_BROKEN, "zxid 0x%" PRIx64 " was never proposed", (uint64_t)zxid);
    return &w->journal[zxid].after;
}

/* The replica has got a frame of this session. */
void journal_heard(struct world *w, int64_t session_id)
{
    struct model_session *s = model_session(&w->journal[journal_last(w)].after, session_id);
    if (s)
        s->heard_ms = w->now_ms;
}

/* ---- What is proposed ---- */

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
    if (!s)
        sim_fail(w, SIM_BROKEN, "zxid 0x%" PRIx64 " is of session 0x%" PRIx64 ", which is gone",
                 (uint64_t)h->zxid, (uint64_t)h->client_id);
    if (r->zxid != 0 || h->cxid <= s->last_cxid)
        sim_fail(w, SIM_BROKEN, "request %d of session 0x%" PRIx64 " is proposed out of order",
                 h->cxid, (uint64_t)h->client_id);
    if (r->op.type != h->type)
        sim_fail(w, SIM_BROKEN, "request %d of session 0x%" PRIx64 " is proposed as %s", h->cxid,
                 (uint64_t)h->client_id, zk_op_name(h->type));
    s->last_cxid = h->cxid;
    r->zxid = h->zxid;
    return r;
}

static void set_expected(struct request *r, struct buf *answer)
{
    *buf_extend(answer, 1) = '\0';
    r->expected = (char *)answer->data;
}

static struct request *propose_request(struct world *w, const struct zk_txn_header *h,
                                       struct model *m)
{
    struct request *r = claim_request(w, h, m);
    struct model_actor who = {r->ids, h->client_id, h->zxid, h->time};
    struct buf answer = {0};
    if (!model_write(m, r, &who, &answer))
        sim_fail(w, SIM_BROKEN, "request %d of session 0x%" PRIx64 " is proposed, but: %.*s",
                 h->cxid, (uint64_t)h->client_id, (int)answer.len, (char *)answer.data);
    set_expected(r, &answer);
    return r;
}

/* Asked for by the client, or since it was silent for too long. */
static struct request *propose_close(struct world *w, const struct zk_txn_header *h,
                                     struct model *m)
{
    struct request *r = NULL;
    struct buf answer = {0};
    const struct model_session *s = model_session(m, h->client_id);
    if (s && h->cxid == 0 && w->now_ms - s->heard_ms < s->timeout_ms)
        sim_fail(w, SIM_BROKEN,
                 "session 0x%" PRIx64 " expires after %" PRId64 " ms, its timeout is %d",
                 (uint64_t)s->id, w->now_ms - s->heard_ms, s->timeout_ms);
    if (h->cxid != 0) {
        r = claim_request(w, h, m);
        buf_printf(&answer, "OK ");
        set_expected(r, &answer);
    } else if (!s) {
        sim_fail(w, SIM_BROKEN, "session 0x%" PRIx64 " expires, but is gone",
                 (uint64_t)h->client_id);
    }
    model_close_session(m, h->client_id, h->zxid);
    return r;
}

static void propose_session(struct world *w, const struct zk_txn_header *h, int32_t timeout_ms,
                            struct model *m)
{
    if (model_session(m, h->client_id))
        sim_fail(w, SIM_BROKEN, "session 0x%" PRIx64 " is there already", (uint64_t)h->client_id);
    if (timeout_ms < SIM_TIMEOUT_MIN_MS || timeout_ms > SIM_TIMEOUT_MAX_MS)
        sim_fail(w, SIM_BROKEN, "session 0x%" PRIx64 " has a timeout of %d ms",
                 (uint64_t)h->client_id, timeout_ms);
    model_open_session(m, h->client_id, timeout_ms, h->zxid, w->now_ms);
}

static void propose_delete_container(struct world *w, const struct zk_txn_header *h,
                                     struct slice path, struct model *m)
{
    char text[MODEL_PATH_MAX];
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(path));
    const struct model *committed = journal_model(w, node_last_committed(w->server.node));
    bool expired = model_is_expired(committed, text, h->time);
    if (!expired || !model_delete_container(m, text, h->zxid))
        sim_fail(w, SIM_BROKEN, "zxid 0x%" PRIx64 " removes %s, which is not due for it",
                 (uint64_t)h->zxid, text);
}

static void propose(struct world *w, struct slice txn)
{
    struct zk_txn_header h;
    struct jute_reader r = jute_reader_of(txn);
    zk_txn_header_read(&r, &h);
    if (h.zxid != journal_last(w) + 1 || h.time != wall_ms(w))
        sim_fail(w, SIM_BROKEN,
                 "zxid 0x%" PRIx64 " at time %" PRId64 " where 0x%" PRIx64 " at %" PRId64
                 " was due",
                 (uint64_t)h.zxid, h.time, (uint64_t)journal_last(w) + 1, wall_ms(w));
    struct journal_entry *e = entry_add(w);
    buf_append(&e->txn, txn.data, slice_size(txn));
    model_copy(&e->after, &e[-1].after);
    sim_trace(w, "server: proposes 0x%" PRIx64 ": %s #%d of 0x%" PRIx64, (uint64_t)h.zxid,
              zk_op_name(h.type), h.cxid, (uint64_t)h.client_id);
    switch (h.type) {
    case ZK_OP_createSession:
        propose_session(w, &h, jute_read_int(&r), &e->after);
        break;
    case ZK_OP_closeSession:
        e->request = propose_close(w, &h, &e->after);
        break;
    case ZK_OP_deleteContainer:
        propose_delete_container(w, &h, jute_read_buffer(&r), &e->after);
        break;
    default:
        e->request = propose_request(w, &h, &e->after);
        break;
    }
}

void journal_append(struct world *w, const struct node_batch *batch)
{
    struct slice txn;
    for (size_t pos = 0; txn_batch_next(&batch->entries, &pos, &txn);)
        propose(w, txn);
}

/* ---- What is recovered ---- */

static void shadow_to(struct world *w, int64_t zxid)
{
    while (tree_last_zxid(w->shadow) < zxid) {
        struct jute_reader r =
            jute_reader_of(buf_slice(&w->journal[tree_last_zxid(w->shadow) + 1].txn));
        struct zk_txn_header h;
        zk_txn_header_read(&r, &h);
        int rc = tree_apply(w->shadow, &h, jute_read_rest(&r), &w->shadow_outcome);
        if (rc < 0)
            sim_fail(w, SIM_BROKEN, "zxid 0x%" PRIx64 " cannot be applied", (uint64_t)h.zxid);
    }
}

static void dump(const struct tree *t, struct buf *out)
{
    struct tree_dump d;
    tree_dump_begin(&d, t);
    while (tree_dump_next(&d, out))
        continue;
    tree_dump_close(&d);
}

/* The same transactions give the same bytes. */
static void compare_with_shadow(struct world *w, const struct tree *tree, const char *what)
{
    struct buf a = {0}, b = {0};
    shadow_to(w, tree_last_zxid(tree));
    dump(tree, &a);
    dump(w->shadow, &b);
    if (!slice_eq(buf_slice(&a), buf_slice(&b)))
        sim_fail(w, SIM_BROKEN, "%s: its bytes differ from those of a tree with the same log",
                 what);
    buf_close(&a);
    buf_close(&b);
}

static void znode_text(const struct tree *tree, const struct znode *z, struct buf *out)
{
    struct buf answer = {0};
    struct zk_stat stat;
    struct request as_data = {.op.type = ZK_OP_getData}, as_acl = {.op.type = ZK_OP_getACL};
    struct jute_vector acl = tree_acl(tree, znode_acl_id(z));
    znode_stat(z, &stat);
    jute_write_buffer(&answer, znode_data(z));
    zk_stat_write(&answer, &stat);
    answer_text(&as_data, ZK_OK, buf_slice(&answer), out);
    buf_reset(&answer);
    jute_write_vector(&answer, &acl);
    zk_stat_write(&answer, &stat);
    answer_text(&as_acl, ZK_OK, buf_slice(&answer), out);
    buf_close(&answer);
}

static void node_text(const struct model *m, const struct model_node *n, struct buf *out)
{
    buf_printf(out, "OK ");
    if (n->data_len < 0)
        buf_printf(out, "null");
    else
        buf_printf(out, "'%.*s'", n->data_len, n->data);
    model_stat_text(m, n, out);
    buf_printf(out, "OK ");
    model_acl_text(&n->acl, false, out);
    model_stat_text(m, n, out);
}

static void compare_node(struct world *w, const struct tree *tree, const struct model *m,
                         const struct model_node *n, const char *what)
{
    struct buf is = {0}, must = {0};
    const struct znode *z = tree_find(tree, slice_str(n->path));
    if (z)
        znode_text(tree, z, &is);
    node_text(m, n, &must);
    if (!slice_eq(buf_slice(&is), buf_slice(&must)))
        sim_fail(w, SIM_BROKEN, "%s: %s is\n  %.*s\nand must be\n  %.*s", what, n->path,
                 (int)is.len, (char *)is.data, (int)must.len, (char *)must.data);
    buf_close(&is);
    buf_close(&must);
}

void journal_compare(struct world *w, const struct tree *tree, const char *what)
{
    const struct model *m = journal_model(w, tree_last_zxid(tree));
    for (size_t i = 0; i < m->n_nodes; i++)
        compare_node(w, tree, m, &m->nodes[i], what);
    if (tree_count(tree) != m->n_nodes + 1)
        sim_fail(w, SIM_BROKEN, "%s: %zu nodes, %zu must be there", what, tree_count(tree) - 1,
                 m->n_nodes);
    for (size_t i = 0; i < m->n_sessions; i++) {
        int32_t timeout_ms;
        if (!tree_session_timeout(tree, m->sessions[i].id, &timeout_ms) ||
            timeout_ms != m->sessions[i].timeout_ms)
            sim_fail(w, SIM_BROKEN, "%s: session 0x%" PRIx64 " is not right", what,
                     (uint64_t)m->sessions[i].id);
    }
    if (tree_session_count(tree) != m->n_sessions)
        sim_fail(w, SIM_BROKEN, "%s: %zu sessions, %zu must be there", what,
                 tree_session_count(tree), m->n_sessions);
    compare_with_shadow(w, tree, what);
}

/* The replica starts with what it had up to `zxid`: nothing that a client knows of may be lost. */
void journal_recovered(struct world *w, const struct tree *tree, int64_t zxid)
{
    if (zxid < w->max_acked)
        sim_fail(w, SIM_BROKEN,
                 "the replica starts at zxid 0x%" PRIx64 ", and clients know of 0x%" PRIx64,
                 (uint64_t)zxid, (uint64_t)w->max_acked);
    if (zxid > journal_last(w))
        sim_fail(w, SIM_BROKEN, "the replica starts at zxid 0x%" PRIx64 ", 0x%" PRIx64 " was last",
                 (uint64_t)zxid, (uint64_t)journal_last(w));
    journal_compare(w, tree, "after recovery");
    while (journal_last(w) > zxid)
        entry_close(&w->journal[--w->n_journal]);
    struct model *m = &w->journal[zxid].after;
    for (size_t i = 0; i < m->n_sessions; i++)
        m->sessions[i].heard_ms = w->now_ms;
}
