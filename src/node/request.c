/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queue of a connection: requests are answered in the order in which they came.
 *
 * A read that finds the queue empty is answered at once. What must wait, waits for a zxid: a
 * write for its own, and so does a refusal in an ensemble; that of a single replica for the last
 * one that was proposed when it was decided, since what it was decided by may not be committed
 * yet; a sync likewise. */
#include "internal.h"

#include <stdlib.h>

static struct pending *queue_at(struct node_conn *c, uint32_t i)
{
    return &c->queue[(c->queue_head + i) & (c->queue_cap - 1)];
}

static void queue_grow(struct node_conn *c)
{
    uint32_t cap = c->queue_cap ? c->queue_cap * 2 : 4;
    struct pending *queue = mem_alloc(cap * sizeof(*queue));
    for (uint32_t i = 0; i < c->queue_len; i++)
        queue[i] = *queue_at(c, i);
    free(c->queue);
    c->queue = queue;
    c->queue_head = 0;
    c->queue_cap = cap;
}

void request_push(struct node *n, struct node_conn *c, enum pending_kind kind, int32_t xid,
                  int32_t op, int32_t err, int64_t zxid, struct slice body)
{
    size_t cost = kind == PENDING_READ ? read_estimate(n, op, body) : 1 + slice_size(body) / 64;
    if (c->queue_len == c->queue_cap)
        queue_grow(c);
    *queue_at(c, c->queue_len++) = (struct pending){.kind = kind,
                                                    .xid = xid,
                                                    .op = op,
                                                    .err = err,
                                                    .body_len = (uint32_t)slice_size(body),
                                                    .cost = cost,
                                                    .zxid = zxid,
                                                    .since_ms = n->now_ms};
    buf_append(&c->held, body.data, slice_size(body));
    c->queue_cost += cost;
    n->outstanding++;
    if (kind != PENDING_WRITE && zxid > n->last_committed && zxid != ZXID_ASKED)
        wait_push(n, c, zxid);
}

/* A write that the leader was asked for, in so many bytes. */
void request_push_asked(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                        size_t len)
{
    request_push(n, c, PENDING_WRITE, h->xid, h->type, ZK_OK, ZXID_ASKED, SLICE_EMPTY);
    queue_at(c, c->queue_len - 1)->asked_len = (uint32_t)len;
    n->asked_bytes += len;
}

/* The leader proposes as `zxid` what the connection asked for first, if that is request `xid`. */
bool request_asked(struct node_conn *c, int32_t xid, int64_t zxid)
{
    for (uint32_t i = 0; i < c->queue_len; i++) {
        struct pending *p = queue_at(c, i);
        if (p->kind == PENDING_WRITE && p->zxid == ZXID_ASKED) {
            if (p->xid == xid)
                p->zxid = zxid;
            return p->xid == xid;
        }
    }
    return false;
}

/* The leader has answered the connection's first sync: all up to `zxid` is to be seen. */
void request_synced(struct node *n, struct node_conn *c, int64_t zxid)
{
    for (uint32_t i = 0; i < c->queue_len; i++) {
        struct pending *p = queue_at(c, i);
        if (p->kind == PENDING_READ && p->zxid == ZXID_ASKED) {
            p->zxid = zxid;
            if (zxid > n->last_committed)
                wait_push(n, c, zxid);
            request_drain(n, c);
            return;
        }
    }
}

static void queue_pop(struct node *n, struct node_conn *c)
{
    c->held_pos += queue_at(c, 0)->body_len;
    n->asked_bytes -= queue_at(c, 0)->asked_len;
    c->queue_cost -= queue_at(c, 0)->cost;
    c->queue_head = (c->queue_head + 1) & (c->queue_cap - 1);
    c->queue_len--;
    n->outstanding--;
    if (c->queue_len == 0) {
        buf_reset(&c->held);
        c->held_pos = 0;
    } else if (c->held_pos > HELD_SLACK) {
        buf_consume(&c->held, c->held_pos);
        c->held_pos = 0;
    }
}

void request_drop_all(struct node *n, struct node_conn *c)
{
    while (c->queue_len > 0)
        queue_pop(n, c);
}

static void count_latency(struct node *n, struct node_conn *c, const struct pending *p)
{
    int64_t ms = n->now_ms - p->since_ms;
    struct conn_stats *cs = &c->stats;
    struct node_stats *ns = &n->stats;
    cs->last_latency_ms = ms;
    cs->last_response_ms = n->now_ms;
    cs->last_zxid = n->last_committed;
    cs->last_op = p->op;
    cs->last_cxid = p->xid;
    cs->min_latency_ms = cs->min_latency_ms < 0 ? ms : MIN(cs->min_latency_ms, ms);
    cs->max_latency_ms = MAX(cs->max_latency_ms, ms);
    cs->total_latency_ms += ms;
    cs->n_latencies++;
    ns->min_latency_ms = ns->min_latency_ms < 0 ? ms : MIN(ns->min_latency_ms, ms);
    ns->max_latency_ms = MAX(ns->max_latency_ms, ms);
    ns->total_latency_ms += (uint64_t)ms;
    ns->n_latencies++;
}

static void answer_read(struct node *n, struct node_conn *c, const struct pending *p,
                        struct slice body)
{
    if (p->op == ZK_OP_createSession) {
        conn_session_opened(n, c, (int64_t)be64_get(body.data));
        return;
    }
    struct buf *out = &c->pub.out;
    size_t start = reply_begin(c, p->xid, n->last_committed, ZK_OK);
    size_t body_start = out->len;
    int32_t err = read_execute(n, c, p->op, body, out);
    if (err != ZK_OK) {
        out->len = body_start;
        be32_put(out->data + body_start - 4, (uint32_t)err);
    }
    work_add(n, (out->len - start) / 64);
    count_latency(n, c, p);
    reply_end(n, c, start);
}

static bool sets_watches(int32_t op)
{
    return op == ZK_OP_setWatches || op == ZK_OP_setWatches2;
}

/* False: the rest of the paths is for the next turn. */
static bool answer_set_watches(struct node *n, struct node_conn *c, const struct pending *p,
                               struct slice body, uint64_t limit)
{
    int32_t err;
    if (!watchop_set(n, c, p->op == ZK_OP_setWatches2, body, limit, &err))
        return false;
    if (c->state < CONN_CLOSING)
        reply_empty(n, c, p->xid, err);
    return true;
}

static void answer_error(struct node *n, struct node_conn *c, const struct pending *p,
                         struct slice body)
{
    size_t start = reply_begin(c, p->xid, n->last_committed, p->err);
    work_add(n, 1 + slice_size(body) / 64);
    buf_append(&c->pub.out, body.data, slice_size(body));
    count_latency(n, c, p);
    reply_end(n, c, start);
    if (p->err == ZK_UNIMPLEMENTED && !propose_is_known(p->op))
        conn_close(n, c);
}

/* False: it is to wait for the next turn. */
static bool answer_first(struct node *n, struct node_conn *c, struct pending *p, uint64_t limit)
{
    struct slice body =
        p->body_len > 0 ? slice_of(c->held.data + c->held_pos, p->body_len) : SLICE_EMPTY;
    if (p->kind == PENDING_READ && sets_watches(p->op))
        return answer_set_watches(n, c, p, body, limit);
    if (p->kind == PENDING_READ)
        answer_read(n, c, p, body);
    else
        answer_error(n, c, p, body);
    return true;
}

/* A request that needs a turn for itself, and this is not at the beginning of one. */
static bool waits_for_turn(struct node *n, const struct pending *p)
{
    if (p->kind != PENDING_READ || work_is_first(n) || p->cost <= n->config.limits.conn_work)
        return false;
    n->dear_waits = n->resumed != UINT64_MAX;
    return true;
}

/* Answer from the front of the queue what waits for nothing more: as far as the reader keeps up and
 * there is work left, or all of it. */
static void drain(struct node *n, struct node_conn *c, uint64_t limit, bool all)
{
    c->pub.more = false;
    while (c->queue_len > 0) {
        struct pending p = *queue_at(c, 0);
        if (p.kind == PENDING_WRITE || p.zxid > n->last_committed)
            return;
        if (!all && !conn_keeps_up(n, c)) {
            c->pub.more = true;
            return;
        }
        if (!all && (!work_is_left(n, limit) || waits_for_turn(n, &p))) {
            work_defer(n, c);
            return;
        }
        if (!answer_first(n, c, &p, limit)) {
            work_defer(n, c);
            return;
        }
        if (c->queue_len > 0) /* else the connection was closed */
            queue_pop(n, c);
    }
}

void request_drain(struct node *n, struct node_conn *c)
{
    drain(n, c, work_limit(n), false);
}

/* Reads see nothing of what the client asked for behind them: so before a write is applied those in
 * front of it are answered, in any case. They are few: see request_must_wait(). */
void request_before_commit(struct node *n, struct node_conn *c)
{
    if (c->state < CONN_CLOSING)
        drain(n, c, UINT64_MAX, true);
}

/* A write is not taken while what is to be answered before it is applied is more than a little. */
bool request_must_wait(const struct node *n, const struct node_conn *c)
{
    return c->queue_cost > MIN(BEHIND_WORK, n->config.output_max / 256);
}

bool request_makes_change(int32_t op)
{
    return op == ZK_OP_closeSession || propose_is_known(op);
}

/* The connection's proposal `zxid` has just been applied. */
void request_committed(struct node *n, struct node_conn *c, int64_t zxid)
{
    if (c->state >= CONN_CLOSING)
        return;
    ensure(c->queue_len > 0 && queue_at(c, 0)->kind == PENDING_WRITE &&
           queue_at(c, 0)->zxid == zxid);
    struct pending answered = *queue_at(c, 0);
    queue_pop(n, c);
    count_latency(n, c, &answered);
    reply_write(n, c, &answered);
    request_drain(n, c);
}

static void receive_auth(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                         struct jute_reader *r)
{
    struct zk_auth_packet auth;
    zk_auth_packet_read(r, &auth);
    int32_t err = jute_ok(r) ? auth_add(n, c, auth.scheme, auth.auth) : ZK_AUTHFAILED;
    reply_empty(n, c, h->xid, err);
    if (err != ZK_OK) {
        node_log(n, LOG_LEVEL_WARN, "%s: closed, authentication by scheme \"%.*s\" failed",
                 c->address, SLICE_ARG(auth.scheme));
        conn_close(n, c);
    }
}

static void receive_read(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                         struct slice body)
{
    struct pending p = {.kind = PENDING_READ, .xid = h->xid, .op = h->type, .since_ms = n->now_ms};
    int64_t zxid = h->type == ZK_OP_sync ? n->last_proposed : 0;
    bool at_once = c->queue_len == 0 && zxid <= n->last_committed;
    if (at_once && !sets_watches(h->type) && !read_is_dear(n, h->type, body)) {
        answer_read(n, c, &p, body);
        return;
    }
    request_push(n, c, PENDING_READ, h->xid, h->type, ZK_OK, zxid, body);
    if (at_once)
        request_drain(n, c);
}

/* In an ensemble the refusal is a transaction, too: a leader that others have replaced without its
 * knowing would decide by what it alone has. */
static void receive_write_in_ensemble(struct node *n, struct node_conn *c,
                                      const struct zk_request_header *h, struct slice body)
{
    struct requester who = {c->session->id, auth_ids(c)};
    propose_in_ensemble(n, c, &who, h, body);
    request_push(n, c, PENDING_WRITE, h->xid, h->type, ZK_OK, n->last_proposed, SLICE_EMPTY);
    request_drain(n, c);
}

static void receive_write(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                          struct slice body)
{
    struct buf refusal = {0};
    int32_t err = node_takes_write(n, slice_size(body)) ? propose_request(n, c, h, body, &refusal)
                                                        : ZK_SYSTEMERROR;
    if (err == ZK_OK && refusal.len == 0)
        request_push(n, c, PENDING_WRITE, h->xid, h->type, ZK_OK, n->last_proposed, SLICE_EMPTY);
    else
        request_push(n, c, PENDING_ERROR, h->xid, h->type, err, n->last_proposed,
                     buf_slice(&refusal));
    buf_close(&refusal);
    request_drain(n, c);
}

static void refuse(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                   int32_t err)
{
    request_push(n, c, PENDING_ERROR, h->xid, h->type, err, 0, SLICE_EMPTY);
    request_drain(n, c);
}

/* True: it needs a quorum, and was answered. (ReadOnlyRequestProcessor.) */
static bool receive_read_only(struct node *n, struct node_conn *c,
                              const struct zk_request_header *h)
{
    if (h->type == ZK_OP_closeSession) {
        reply_empty(n, c, h->xid, ZK_OK);
        conn_close(n, c);
    } else if (h->type == ZK_OP_sync || h->type == ZK_OP_reconfig || propose_is_known(h->type)) {
        refuse(n, c, h, ZK_NOTREADONLY);
    } else {
        return false;
    }
    return true;
}

/* A frame on a connection that has a session. */
void request_receive(struct node *n, struct node_conn *c, struct slice frame)
{
    struct jute_reader r = jute_reader_of(frame);
    struct zk_request_header h;
    zk_request_header_read(&r, &h);
    if (!jute_ok(&r)) {
        node_log(n, LOG_LEVEL_WARN, "%s: closed, a frame of %d bytes is too short for a request",
                 c->address, (int)frame.len);
        conn_close(n, c);
        return;
    }
    struct slice body = slice_of(r.pos, jute_left(&r));
    tracker_touch(n, c->session);
    if (propose_is_known(h.type))
        work_add(n, WRITE_WORK);
    if (n->read_only && receive_read_only(n, c, &h))
        return;
    if (h.type == ZK_OP_ping)
        reply_empty(n, c, ZK_XID_PING, ZK_OK);
    else if (h.type == ZK_OP_auth)
        receive_auth(n, c, &h, &r);
    else if (c->session->closing)
        request_push(n, c, PENDING_ERROR, h.xid, h.type, ZK_SESSIONEXPIRED, n->last_proposed,
                     SLICE_EMPTY);
    else if (node_is_learner(n) && h.type == ZK_OP_sync)
        forward_sync(n, c, &h, body);
    else if (n->zab && h.type == ZK_OP_sync)
        forward_own_sync(n, c, &h, body);
    else if (node_is_learner(n) && (h.type == ZK_OP_closeSession || propose_is_known(h.type)))
        forward_write(n, c, &h, body);
    else if (h.type == ZK_OP_closeSession)
        propose_close_session(n, c, c->session->id, h.xid);
    else if (propose_is_known(h.type) && n->zab && node_takes_write(n, slice_size(body)))
        receive_write_in_ensemble(n, c, &h, body);
    else if (propose_is_known(h.type))
        receive_write(n, c, &h, body);
    else if (read_is_known(h.type))
        receive_read(n, c, &h, body);
    else
        refuse(n, c, &h, h.type == ZK_OP_reconfig ? ZK_RECONFIGDISABLED : ZK_UNIMPLEMENTED);
}
