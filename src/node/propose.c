/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a request to a transaction: prepared, numbered, serialised once into the batch that the
 * log writes and the commit reads. */
#include "internal.h"

enum {
    TXN_HEADER_SIZE = 32,
    MULTI_HEAD = 4096, /* more than what is around the operations */
};

bool propose_is_known(int32_t op)
{
    return op == ZK_OP_setACL || op == ZK_OP_multi ||
           (op != ZK_OP_check && prepare_op_in_multi(op));
}

/* Open a log entry with its header; the record follows. */
static size_t entry_begin(struct node *n, struct buf *entries, int64_t session_id, int32_t cxid,
                          int32_t type)
{
    size_t start = txn_entry_begin(entries);
    struct zk_txn_header h = {.client_id = session_id,
                              .cxid = cxid,
                              .zxid = n->last_proposed + 1,
                              .time = n->wall_ms,
                              .type = type};
    zk_txn_header_write(entries, &h);
    return start;
}

static void entry_end(struct node *n, struct node_batch *b, size_t start, struct node_conn *c)
{
    txn_entry_end(&b->entries, start);
    n->last_proposed++;
    if (start == 0)
        b->first_zxid = n->last_proposed;
    b->last_zxid = n->last_proposed;
    proposal_push(n, n->last_proposed, c);
}

/* ---- multi ---- */

/* Which operation of a multi was refused, and why. */
struct refusal {
    int32_t n_ops;
    int32_t failed; /* -1: none */
    int32_t err;
};

/* The answer of such a multi: all others are errors too, 0 for those before it. */
static void multi_refusal(const struct refusal *refused, struct buf *answer)
{
    for (int32_t i = 0; i < refused->n_ops; i++) {
        int32_t e = i < refused->failed    ? ZK_OK
                    : i == refused->failed ? refused->err
                                           : ZK_RUNTIMEINCONSISTENCY;
        struct zk_multi_header mh = {.type = ZK_OP_error, .err = e};
        zk_multi_header_write(answer, &mh);
        jute_write_int(answer, e);
    }
    struct zk_multi_header end = {.type = -1, .done = true, .err = -1};
    zk_multi_header_write(answer, &end);
}

/* Read past one operation, so that those behind a refused one can be counted. */
static void multi_skip(struct jute_reader *r, int32_t op)
{
    switch (op) {
    case ZK_OP_createTTL:
        zk_create_ttl_request_read(r, &(struct zk_create_ttl_request){0});
        break;
    case ZK_OP_delete:
    case ZK_OP_check:
        zk_path_version_read(r, &(struct zk_path_version){0});
        break;
    case ZK_OP_setData:
        zk_set_data_read(r, &(struct zk_set_data){0});
        break;
    default:
        zk_create_request_read(r, &(struct zk_create_request){0});
        break;
    }
}

/* "auth" in ACLs makes more of a multi than the packet was. */
static size_t multi_max(const struct node *n)
{
    return MIN(2 * (size_t)n->config.packet_max, (size_t)TXN_SIZE_MAX - MULTI_HEAD);
}

/* Count the operations and see that the request is well formed, before anything is recorded. */
static int32_t multi_count(struct slice body)
{
    struct jute_reader r = jute_reader_of(body);
    for (int32_t n_ops = 0;; n_ops++) {
        struct zk_multi_header mh;
        zk_multi_header_read(&r, &mh);
        if (!jute_ok(&r))
            return -1;
        if (mh.done)
            return n_ops;
        if (!prepare_op_in_multi(mh.type))
            return -1;
        multi_skip(&r, mh.type);
    }
}

/* Append a MultiTxn. It may be larger than the request, but not by as much as ACLs of many
 * identities can make it: ZooKeeper reads no transaction of more than twice a packet. */
static int32_t prepare_multi(struct node *n, const struct requester *who, struct slice body,
                             struct buf *out, struct refusal *refusal)
{
    int32_t n_ops = multi_count(body), err = ZK_OK;
    if (n_ops < 0)
        return ZK_MARSHALLINGERROR;
    struct jute_reader r = jute_reader_of(body);
    struct jute_builder vb = jute_vector_begin(out);
    undo_begin(n);
    while (vb.count < n_ops) {
        struct zk_multi_header mh;
        zk_multi_header_read(&r, &mh);
        jute_write_int(out, mh.type);
        jute_write_int(out, 0);
        size_t start = out->len;
        err = prepare_op(n, who, n->last_proposed + 1, mh.type, &r, out);
        if (err == ZK_OK && out->len - vb.start > multi_max(n))
            err = ZK_MARSHALLINGERROR;
        if (err != ZK_OK)
            break;
        be32_put(out->data + start - 4, (uint32_t)(out->len - start));
        vb.count++;
    }
    undo_end(n, err != ZK_OK);
    if (err != ZK_OK)
        *refusal = (struct refusal){n_ops, vb.count, err};
    jute_vector_end(&vb);
    return ZK_OK;
}

/* Append the record of a request's transaction. */
static int32_t prepare_request(struct node *n, const struct requester *who, int32_t type,
                               struct slice body, struct buf *out, struct refusal *refusal)
{
    struct jute_reader r = jute_reader_of(body);
    if (type == ZK_OP_multi)
        return prepare_multi(n, who, body, out, refusal);
    return prepare_op(n, who, n->last_proposed + 1, type, &r, out);
}

/* Turn a request into a proposal. ZK_OK with an empty `refusal`: proposed. Otherwise refused, and
 * `refusal` is the body of the answer. */
int32_t propose_request(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                        struct slice body, struct buf *refusal)
{
    struct node_batch *b = history_open(n);
    struct requester who = {c->session->id, auth_ids(c)};
    struct refusal refused = {.failed = -1};
    size_t start = entry_begin(n, &b->entries, c->session->id, h->xid, h->type);
    int32_t err = prepare_request(n, &who, h->type, body, &b->entries, &refused);
    if (refused.failed >= 0)
        multi_refusal(&refused, refusal);
    if (err != ZK_OK || refused.failed >= 0)
        b->entries.len = start;
    else
        entry_end(n, b, start, c);
    return err;
}

/* ---- In an ensemble: what is refused is a transaction too, since that is the answer ---- */

/* The MultiTxn of a multi of which operation `failed` was refused. */
static void multi_error(int32_t n_ops, int32_t failed, int32_t err, struct buf *out)
{
    struct jute_builder vb = jute_vector_begin(out);
    for (; vb.count < n_ops; vb.count++) {
        int32_t e = vb.count < failed ? ZK_OK : vb.count == failed ? err : ZK_RUNTIMEINCONSISTENCY;
        jute_write_int(out, ZK_OP_error);
        jute_write_int(out, 4);
        jute_write_int(out, e);
    }
    jute_vector_end(&vb);
}

static void error_entry(struct node *n, struct node_batch *b, struct node_conn *c,
                        const struct requester *who, int32_t xid, int32_t err)
{
    size_t start = entry_begin(n, &b->entries, who->session_id, xid, ZK_OP_error);
    jute_write_int(&b->entries, err);
    entry_end(n, b, start, c);
}

void propose_error(struct node *n, const struct requester *who, const struct zk_request_header *h,
                   int32_t err)
{
    error_entry(n, history_open(n), NULL, who, h->xid, err);
}

/* `c` is to be answered, or NULL for a learner's. */
void propose_in_ensemble(struct node *n, struct node_conn *c, const struct requester *who,
                         const struct zk_request_header *h, struct slice body)
{
    struct node_batch *b = history_open(n);
    struct buf *entries = &b->entries;
    struct refusal refusal = {.failed = -1};
    size_t start = entry_begin(n, entries, who->session_id, h->xid, h->type);
    int32_t err = ZK_UNIMPLEMENTED; /* ZooKeeper's followers forward a bare check, too */
    if (propose_is_known(h->type))
        err = prepare_request(n, who, h->type, body, entries, &refusal);
    if (err != ZK_OK) {
        entries->len = start;
        error_entry(n, b, c, who, h->xid, err);
        return;
    }
    if (refusal.failed >= 0) {
        entries->len = start + TXN_ENTRY_HEAD + TXN_HEADER_SIZE;
        multi_error(refusal.n_ops, refusal.failed, refusal.err, entries);
    }
    entry_end(n, b, start, c);
}

void propose_create_session(struct node *n, struct node_conn *c, int64_t session_id,
                            int32_t timeout_ms)
{
    struct node_batch *b = history_open(n);
    size_t start = entry_begin(n, &b->entries, session_id, 0, ZK_OP_createSession);
    struct zk_create_session_txn t = {timeout_ms};
    zk_create_session_txn_write(&b->entries, &t);
    entry_end(n, b, start, c);
    /* A learner may have applied this, and its client ask for more, before it is on this disk. */
    tracker_add(n, session_id, timeout_ms);
    if (c)
        request_push(n, c, PENDING_WRITE, 0, ZK_OP_createSession, ZK_OK, n->last_proposed,
                     SLICE_EMPTY);
}

/* `c` is to be answered, or NULL if nobody asked. */
void propose_close_session(struct node *n, struct node_conn *c, int64_t session_id, int32_t xid)
{
    struct session *s = tracker_find(n, session_id);
    ensure(s != NULL && !s->closing);
    work_add(n, WRITE_WORK);
    s->closing = true;
    struct node_batch *b = history_open(n);
    size_t start = entry_begin(n, &b->entries, session_id, xid, ZK_OP_closeSession);
    prepare_close_session(n, n->last_proposed + 1, session_id, &b->entries);
    entry_end(n, b, start, c);
    if (c)
        request_push(n, c, PENDING_WRITE, xid, ZK_OP_closeSession, ZK_OK, n->last_proposed,
                     SLICE_EMPTY);
}

void propose_delete_container(struct node *n, struct slice path)
{
    struct node_batch *b = history_open(n);
    size_t start = entry_begin(n, &b->entries, 0, 0, ZK_OP_deleteContainer);
    if (prepare_delete_container(n, n->last_proposed + 1, path, &b->entries) == ZK_OK)
        entry_end(n, b, start, NULL);
    else
        b->entries.len = start;
}
