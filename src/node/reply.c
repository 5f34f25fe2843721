/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replies, written where they are sent from. */
#include "internal.h"

/* Open a frame with its reply header; the caller appends the body and calls reply_end(). */
size_t reply_begin(struct node_conn *c, int32_t xid, int64_t zxid, int32_t err)
{
    size_t start = c->pub.out.len;
    uint8_t *p = buf_extend(&c->pub.out, 20);
    be32_put(p, 0);
    be32_put(p + 4, (uint32_t)xid);
    be64_put(p + 8, (uint64_t)zxid);
    be32_put(p + 16, (uint32_t)err);
    return start;
}

void reply_end(struct node *n, struct node_conn *c, size_t start)
{
    struct buf *out = &c->pub.out;
    be32_put(out->data + start, (uint32_t)(out->len - start - 4));
    c->stats.sent++;
    n->stats.sent++;
    conn_touch_output(n, c);
}

void reply_empty(struct node *n, struct node_conn *c, int32_t xid, int32_t err)
{
    reply_end(n, c, reply_begin(c, xid, n->last_committed, err));
}

/* The result of one operation, without its header. */
static void write_result(struct buf *out, int32_t op, const struct tree_result *res)
{
    switch (op) {
    case ZK_OP_create:
        jute_write_buffer(out, res->path);
        break;
    case ZK_OP_create2:
    case ZK_OP_createTTL:
    case ZK_OP_createContainer:
        jute_write_buffer(out, res->path);
        zk_stat_write(out, &res->stat);
        break;
    case ZK_OP_setData:
    case ZK_OP_setACL:
        zk_stat_write(out, &res->stat);
        break;
    case ZK_OP_error:
        jute_write_int(out, res->err);
        break;
    default:
        break;
    }
}

static void write_multi(struct node *n, struct buf *out)
{
    for (size_t i = 0; i < n->outcome.n_results; i++) {
        const struct tree_result *res = &n->outcome.results[i];
        bool creates = res->type == ZK_OP_createTTL || res->type == ZK_OP_createContainer;
        bool failed = res->type == ZK_OP_error;
        struct zk_multi_header mh = {.type = creates ? ZK_OP_create2 : res->type,
                                     .err = failed ? res->err : ZK_OK};
        zk_multi_header_write(out, &mh);
        write_result(out, res->type, res);
    }
    struct zk_multi_header end = {.type = -1, .done = true, .err = -1};
    zk_multi_header_write(out, &end);
}

/* Answer a write from what applying its transaction gave (node.outcome). */
void reply_write(struct node *n, struct node_conn *c, const struct pending *p)
{
    struct buf *out = &c->pub.out;
    if (p->op == ZK_OP_createSession) {
        conn_session_opened(n, c, n->applying.client_id);
        return;
    }
    bool refused = n->applying.type == ZK_OP_error, multi = p->op == ZK_OP_multi && !refused;
    if (refused && n->outcome.err == ZK_SESSIONMOVED) {
        conn_close(n, c); /* the client has left it for another */
        return;
    }
    size_t start = reply_begin(c, p->xid, p->zxid, multi ? ZK_OK : n->outcome.err);
    if (multi)
        write_multi(n, out);
    else if (n->outcome.err == ZK_OK && n->outcome.n_results > 0)
        write_result(out, p->op, &n->outcome.results[0]);
    reply_end(n, c, start);
    if (p->op == ZK_OP_closeSession)
        conn_close(n, c);
}
