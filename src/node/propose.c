/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a request to a transaction: prepared, numbered, serialised once into the batch that the
 * log writes and the commit reads. */
#include "internal.h"

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

/* The answer of a multi of which operation `failed` was refused: all others are errors too, 0 for
 * those before it. */
static void multi_refusal(int32_t n_ops, int32_t failed, int32_t err, struct buf *refusal)
{
    for (int32_t i = 0; i < n_ops; i++) {
        int32_t e = i < failed ? ZK_OK : i == failed ? err : ZK_RUNTIMEINCONSISTENCY;
        struct zk_multi_header mh = {.type = ZK_OP_error, .err = e};
        zk_multi_header_write(refusal, &mh);
        jute_write_int(refusal, e);
    }
    struct zk_multi_header end = {.type = -1, .done = true, .err = -1};
    zk_multi_header_write(refusal, &end);
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
static int32_t propose_multi(struct node *n, const struct requester *who, struct slice body,
                             struct buf *out, struct buf *refusal)
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
        if (err == ZK_OK && out->len - vb.start > 2 * (size_t)n->config.packet_max)
            err = ZK_MARSHALLINGERROR;
        if (err != ZK_OK)
            break;
        be32_put(out->data + start - 4, (uint32_t)(out->len - start));
        vb.count++;
    }
    undo_end(n, err != ZK_OK);
    if (err != ZK_OK)
        multi_refusal(n_ops, vb.count, err, refusal);
    jute_vector_end(&vb);
    return ZK_OK;
}

/* Turn a request into a proposal. ZK_OK with an empty `refusal`: proposed. Otherwise refused, and
 * `refusal` is the body of the answer. */
int32_t propose_request(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                        struct slice body, struct buf *refusal)
{
    struct node_batch *b = history_open(n);
    struct buf *entries = &b->entries;
    size_t start = entry_begin(n, entries, c->session->id, h->xid, h->type);
    struct jute_reader r = jute_reader_of(body);
    struct requester who = {c->session->id, auth_ids(c)};
    int32_t err = h->type == ZK_OP_multi
                      ? propose_multi(n, &who, body, entries, refusal)
                      : prepare_op(n, &who, n->last_proposed + 1, h->type, &r, entries);
    if (err != ZK_OK || refusal->len > 0)
        entries->len = start;
    else
        entry_end(n, b, start, c);
    return err;
}

void propose_create_session(struct node *n, struct node_conn *c, int64_t session_id,
                            int32_t timeout_ms)
{
    struct node_batch *b = history_open(n);
    size_t start = entry_begin(n, &b->entries, session_id, 0, ZK_OP_createSession);
    struct zk_create_session_txn t = {timeout_ms};
    zk_create_session_txn_write(&b->entries, &t);
    entry_end(n, b, start, c);
    request_push(n, c, PENDING_WRITE, 0, ZK_OP_createSession, ZK_OK, n->last_proposed, SLICE_EMPTY);
}

/* `c` is to be answered, or NULL if nobody asked. */
void propose_close_session(struct node *n, struct node_conn *c, int64_t session_id, int32_t xid)
{
    struct session *s = tracker_find(n, session_id);
    ensure(s != NULL && !s->closing);
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
