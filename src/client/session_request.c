/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests: from their making to their one answer.
 *
 * The ring holds those without an answer, oldest first. Without a connection their frames gather in
 * `waiting`, and leave in one piece once there is one. All have the same time limit, so that the
 * oldest is always the first to run out of it. */
#include "session_impl.h"

#include <stdlib.h>

static struct session_request *request_at(const struct session *s, size_t i)
{
    return &s->ring[(s->head + i) & (s->cap - 1)];
}

const struct session_request *session_oldest(const struct session *s)
{
    return s->n > 0 ? request_at(s, 0) : NULL;
}

static void ring_grow(struct session *s)
{
    size_t cap = MAX(s->cap * 2, 64);
    struct session_request *ring = mem_alloc(cap * sizeof(*ring));
    for (size_t i = 0; i < s->n; i++)
        ring[i] = *request_at(s, i);
    free(s->ring);
    s->ring = ring;
    s->cap = cap;
    s->head = 0;
}

static struct session_request *ring_push(struct session *s)
{
    if (s->n == s->cap)
        ring_grow(s);
    return request_at(s, s->n++);
}

static struct session_request ring_pop(struct session *s)
{
    ensure(s->n > 0);
    struct session_request r = *request_at(s, 0);
    s->head = (s->head + 1) & (s->cap - 1);
    s->n--;
    if (s->n_sent > 0)
        s->n_sent--;
    else
        s->waiting_used += r.frame_size;
    if (s->n == s->n_sent) {
        buf_reset(&s->waiting);
        s->waiting_used = 0;
    }
    return r;
}

static int32_t next_xid(struct session *s)
{
    s->last_xid = s->last_xid == INT32_MAX ? 1 : s->last_xid + 1;
    return s->last_xid;
}

static struct buf *request_buf(struct session *s)
{
    return session_is_online(s) ? &s->out : &s->waiting;
}

struct buf *session_request_begin(struct session *s, enum zk_op op)
{
    struct buf *b = request_buf(s);
    s->begin = session_frame_begin(b, next_xid(s), op);
    return b;
}

void session_request_end(struct session *s, int64_t now_ms, struct session_tag tag)
{
    struct buf *b = request_buf(s);
    session_frame_end(b, s->begin);
    struct jute_reader frame = jute_reader_of(slice_of(b->data + s->begin, b->len - s->begin));
    jute_read_int(&frame);
    struct session_request *r = ring_push(s);
    *r = (struct session_request){.xid = jute_read_int(&frame),
                                  .op = jute_read_int(&frame),
                                  .frame_size = (uint32_t)(b->len - s->begin),
                                  .deadline = now_ms + s->config.request_timeout_ms,
                                  .tag = tag};
    r->watch = session_watch_claim(s, r, jute_read_rest(&frame));
    if (session_is_online(s)) {
        s->n_sent++;
        s->last_send = now_ms;
    } else if (s->phase == SESSION_AUTH_FAILED) {
        session_answer_error(s, 1, ZK_AUTHFAILED);
    } else if (s->phase == SESSION_CLOSING || s->phase == SESSION_CLOSED) {
        session_answer_error(s, 1, ZK_CONNECTIONLOSS);
    }
}

void session_send_waiting(struct session *s)
{
    if (s->n > 0)
        buf_append(&s->out, s->waiting.data + s->waiting_used, s->waiting.len - s->waiting_used);
    buf_reset(&s->waiting);
    s->waiting_used = 0;
    s->n_sent = s->n;
}

void session_answer(struct session *s, const struct session_reply *reply)
{
    struct session_request r = ring_pop(s);
    if (r.watch)
        session_watch_settle(s, &r, reply->err);
    struct session_reply *told = &session_add_effect(s, SESSION_TELL_REPLY)->reply;
    *told = *reply;
    told->tag = r.tag;
    told->op = r.op;
    if (reply->err != 0 && r.op != ZK_OP_multi)
        told->body = SLICE_EMPTY;
    if (reply->err != 0)
        told->too_long = 0;
    else if (reply->too_long > 0)
        told->err = ZK_REPLYTOOLONG;
}

void session_answer_error(struct session *s, size_t count, enum zk_error err)
{
    const struct session_reply reply = {.err = err, .body = SLICE_EMPTY};
    for (size_t i = 0; i < count; i++)
        session_answer(s, &reply);
}

void session_add_auth(struct session *s, int64_t now_ms, struct slice scheme, struct slice auth)
{
    const struct zk_auth_packet packet = {.scheme = scheme, .auth = auth};
    size_t old = s->auths.len;
    size_t start = session_frame_begin(&s->auths, ZK_XID_AUTH, ZK_OP_auth);
    zk_auth_packet_write(&s->auths, &packet);
    session_frame_end(&s->auths, start);
    if (session_is_online(s)) {
        buf_append(&s->out, s->auths.data + old, s->auths.len - old);
        s->last_send = now_ms;
    }
}
