/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests between replicas. A learner hands the writes and syncs of its clients to the leader and
 * answers them when their transactions come back; whether a session may go on is the leader's to
 * say, and the leader hears in answers to its pings which sessions live on its learners.
 * (FollowerRequestProcessor, LearnerHandler, LearnerSessionTracker.) */
#include "internal.h"

#include <stdlib.h>

enum {
    REQUEST_HEAD = 16, /* session, cxid, type */
};

bool node_is_learner(const struct node *n)
{
    return n->zab && n->state != ZAB_LEADING;
}

/* ---- On the learner ---- */

/* False: the leader is gone, and with it this connection. */
static bool to_leader(struct node *n, struct node_conn *c, int64_t session_id, int32_t cxid,
                      int32_t type, struct slice body)
{
    struct node_link *l = link_to_leader(n);
    if (!l) {
        conn_close(n, c);
        return false;
    }
    struct jute_vector ids = auth_ids(c);
    buf_reset(&n->scratch);
    jute_write_long(&n->scratch, session_id);
    jute_write_int(&n->scratch, cxid);
    jute_write_int(&n->scratch, type);
    buf_append(&n->scratch, body.data, slice_size(body));
    link_ask(n, l, ZAB_REQUEST, buf_slice(&n->scratch), &ids);
    return true;
}

void forward_write(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                   struct slice body)
{
    if (to_leader(n, c, c->session->id, h->xid, h->type, body))
        request_push_asked(n, c, h, slice_size(body));
}

/* The queue of the connection and the syncs know of it. */
static void sync_push(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                      struct slice body)
{
    struct sync_wait wait = {n->last_proposed, zab_ping_round(n->zab) + 1, c};
    request_push(n, c, PENDING_READ, h->xid, h->type, ZK_OK, ZXID_ASKED, body);
    c->refs++;
    c->n_syncs++;
    buf_append(&n->syncs, &wait, sizeof(wait));
}

void forward_sync(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                  struct slice body)
{
    if (to_leader(n, c, c->session->id, h->xid, h->type, body))
        sync_push(n, c, h, body);
}

/* On the leader. */
void forward_own_sync(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                      struct slice body)
{
    sync_push(n, c, h, body);
    n->confirm = true;
}

void forward_create_session(struct node *n, struct node_conn *c, int64_t session_id)
{
    uint8_t timeout[4];
    be32_put(timeout, (uint32_t)c->timeout_ms);
    c->opening_id = session_id;
    if (to_leader(n, c, session_id, 0, ZK_OP_createSession, slice_of(timeout, sizeof(timeout))))
        request_push(n, c, PENDING_WRITE, 0, ZK_OP_createSession, ZK_OK, ZXID_ASKED, SLICE_EMPTY);
}

void forward_revalidate(struct node *n, struct node_conn *c, int64_t session_id)
{
    struct node_link *l = link_to_leader(n);
    uint8_t data[12];
    if (!l) {
        conn_close(n, c);
        return;
    }
    c->opening_id = session_id;
    be64_put(data, (uint64_t)session_id);
    be32_put(data + 8, (uint32_t)c->timeout_ms);
    link_ask(n, l, ZAB_REVALIDATE, slice_of(data, sizeof(data)), &JUTE_VECTOR_NULL);
}

/* The connection that waits for this session; it is paused meanwhile. */
static struct node_conn *opening_conn(struct node *n, int64_t session_id)
{
    LIST_FOR_EACH (c, &n->paused, struct node_conn, pause_link) {
        if (c->state == CONN_OPENING && c->opening_id == session_id)
            return c;
    }
    return NULL;
}

/* A proposal of the leader: the connection of ours that asked for it, or NULL. */
struct node_conn *forward_proposed(struct node *n, int64_t zxid, struct slice txn)
{
    struct jute_reader r = jute_reader_of(txn);
    struct zk_txn_header h;
    zk_txn_header_read(&r, &h);
    struct session *s = tracker_find(n, h.client_id);
    struct node_conn *c = s ? s->conn : NULL;
    if (h.type == ZK_OP_createSession)
        c = opening_conn(n, h.client_id);
    return c && request_asked(c, h.cxid, zxid) ? c : NULL;
}

static bool sync_first(const struct buf *syncs, struct sync_wait *wait)
{
    if (syncs->len < sizeof(*wait))
        return false;
    memcpy(wait, syncs->data, sizeof(*wait));
    return true;
}

/* The first sync of a client of ours is to see all up to `zxid`. */
static void sync_pop(struct node *n, struct node_conn *c, int64_t zxid)
{
    buf_consume(&n->syncs, sizeof(struct sync_wait));
    c->n_syncs--;
    if (c->state < CONN_CLOSING)
        request_synced(n, c, zxid);
    conn_unref(n, c);
}

static void synced(struct node *n)
{
    struct sync_wait wait;
    if (sync_first(&n->syncs, &wait))
        sync_pop(n, wait.conn, zab_decided(n->zab));
}

static void revalidated(struct node *n, struct slice data)
{
    struct jute_reader r = jute_reader_of(data);
    int64_t id = jute_read_long(&r);
    bool valid = jute_read_bool(&r);
    struct node_conn *c = opening_conn(n, id);
    if (!jute_ok(&r) || !c)
        return;
    c->opening_id = 0; /* a second answer is for another connection that asked */
    if (valid)
        conn_open_when_committed(n, c, id);
    else
        conn_refuse_session(n, c);
}

/* Answer a ping with the sessions that were heard of since the last. */
void forward_touches(struct node *n, struct node_link *l, int64_t zxid)
{
    conn_touch_paused(n);
    buf_reset(&n->scratch);
    if (l->ours)
        digest_answer(n, &n->scratch);
    while (!list_is_empty(&n->touched)) {
        struct session *s = LIST_FIRST(&n->touched, struct session, touched_link);
        list_remove(&s->touched_link);
        if (!s->conn)
            continue;
        jute_write_long(&n->scratch, s->id);
        jute_write_int(&n->scratch, s->timeout_ms);
    }
    link_send(n, l, ZAB_PING, zxid, buf_slice(&n->scratch));
}

/* ---- On the leader ---- */

/* SYNC follows the COMMIT of all that was proposed when it was asked for, and a quorum's word that
 * nobody else can have gone on meanwhile. `zxid`: the last COMMIT that was sent on the link. */
void forward_answer_syncs(struct node *n, struct node_link *l, int64_t zxid)
{
    struct sync_wait wait;
    while (sync_first(&l->syncs, &wait)) {
        if (wait.zxid > zxid || wait.round > zab_confirmed_round(n->zab))
            return;
        buf_consume(&l->syncs, sizeof(wait));
        link_send(n, l, ZAB_SYNC, 0, SLICE_NULL);
    }
}

void forward_confirmed(struct node *n)
{
    struct sync_wait wait;
    LIST_FOR_EACH (l, &n->links, struct node_link, link)
        forward_answer_syncs(n, l, zab_decided(n->zab));
    while (sync_first(&n->syncs, &wait) && wait.round <= zab_confirmed_round(n->zab))
        sync_pop(n, wait.conn, wait.zxid);
}

static void learner_sync(struct node *n, struct node_link *l)
{
    struct sync_wait wait = {.zxid = n->last_proposed, .round = zab_ping_round(n->zab) + 1};
    buf_append(&l->syncs, &wait, sizeof(wait));
    n->confirm = true;
}

/* A session that goes on elsewhere, if it is still there when all that was proposed is applied. */
struct learner_wait {
    int64_t zxid;
    uint64_t link;
    int64_t session_id;
};

static void answer_wait(struct node *n, struct node_link *l, int64_t session_id)
{
    struct session *s = tracker_find(n, session_id);
    buf_reset(&n->scratch);
    jute_write_long(&n->scratch, session_id);
    jute_write_bool(&n->scratch, s && !s->closing);
    link_send(n, l, ZAB_REVALIDATE, -1, buf_slice(&n->scratch));
}

void forward_answer_waits(struct node *n)
{
    struct learner_wait wait;
    while (n->learner_waits.len >= sizeof(wait)) {
        memcpy(&wait, n->learner_waits.data, sizeof(wait));
        if (wait.zxid > n->last_committed)
            return;
        buf_consume(&n->learner_waits, sizeof(wait));
        struct node_link *l = link_find(n, wait.link);
        if (l)
            answer_wait(n, l, wait.session_id);
    }
}

static void learner_request(struct node *n, struct node_link *l, const struct zk_quorum_packet *p)
{
    struct jute_reader r = jute_reader_of(p->data);
    struct requester who = {.session_id = jute_read_long(&r), .ids = p->authinfo};
    struct zk_request_header h = {.xid = jute_read_int(&r), .type = jute_read_int(&r)};
    if (!jute_ok(&r) || !n->proposing)
        return;
    struct session *s = tracker_find(n, who.session_id);
    if (h.type == ZK_OP_sync) {
        learner_sync(n, l);
    } else if (h.type == ZK_OP_createSession) {
        propose_create_session(n, NULL, who.session_id, jute_read_int(&r));
    } else if (!s || s->closing) {
        propose_error(n, &who, &h, ZK_SESSIONEXPIRED);
    } else if (h.type == ZK_OP_closeSession) {
        propose_close_session(n, NULL, who.session_id, h.xid);
    } else if (s->owner != 0 && s->owner != l->id) {
        propose_error(n, &who, &h, ZK_SESSIONMOVED);
    } else if (slice_size(p->data) > REQUEST_HEAD + (size_t)n->config.packet_max) {
        propose_error(n, &who, &h, ZK_MARSHALLINGERROR); /* no client can have asked for that */
    } else if (!node_takes_write(n, slice_size(p->data))) {
        propose_error(n, &who, &h, ZK_SYSTEMERROR);
    } else {
        s->owner = l->id;
        propose_in_ensemble(n, NULL, &who, &h, jute_read_rest(&r));
    }
}

static void learner_revalidate(struct node *n, struct node_link *l, struct slice data)
{
    struct jute_reader r = jute_reader_of(data);
    int64_t id = jute_read_long(&r);
    int32_t timeout_ms = jute_read_int(&r);
    if (!jute_ok(&r))
        return;
    struct session *s = tracker_find(n, id);
    if (s && !s->closing) {
        s->timeout_ms = timeout_ms;
        tracker_touch(n, s);
        tracker_own(n, s, l->id);
    }
    /* A session that is known, and whose end nobody has proposed, goes on whatever is on the way:
     * the answer waits for no disk. */
    if (s && !s->closing) {
        answer_wait(n, l, id);
        return;
    }
    struct learner_wait wait = {n->last_proposed, l->id, id};
    buf_append(&n->learner_waits, &wait, sizeof(wait));
    forward_answer_waits(n);
}

static void learner_touches(struct node *n, struct node_link *l, struct slice data)
{
    struct jute_reader r = jute_reader_of(data);
    digest_heard(n, l, &r);
    while (jute_left(&r) > 0) {
        struct session *s = tracker_find(n, jute_read_long(&r));
        int32_t timeout_ms = jute_read_int(&r);
        if (jute_ok(&r) && s) {
            s->timeout_ms = timeout_ms;
            tracker_touch(n, s);
        }
    }
}

/* ---- Room for requests of learners ---- */

static bool has_room(const struct node *n)
{
    size_t open = n->open ? n->open->entries.len : 0;
    return n->in_flight_bytes + open <= n->config.limits.in_flight_max;
}

static void learner_packet(struct node *n, struct node_link *l, const struct zk_quorum_packet *p)
{
    if (p->type == ZAB_REQUEST)
        learner_request(n, l, p);
    else
        learner_revalidate(n, l, p->data);
}

/* While so much is in flight that our own clients are not read from either, requests wait, and what
 * comes after them on the same link. A server of ours asks for a bounded number of bytes. */
static void learner_asks(struct node *n, struct node_link *l, const struct zk_quorum_packet *p)
{
    if (l->parked.bytes.len > 0 || !has_room(n))
        link_park(l, p);
    else
        learner_packet(n, l, p);
}

void forward_resume(struct node *n)
{
    struct zk_quorum_packet p;
    LIST_FOR_EACH (l, &n->links, struct node_link, link) {
        while (has_room(n) && link_unpark(l, &p)) {
            learner_packet(n, l, &p);
            link_unparked(l);
        }
    }
}

/* ---- Both ---- */

/* A packet that is not consensus's, from link `from`, or from the leader if that is 0. */
void forward_deliver(struct node *n, uint64_t from, const struct zk_quorum_packet *p)
{
    struct node_link *l = from ? link_find(n, from) : NULL;
    if (!from && p->type == ZAB_SYNC)
        synced(n);
    else if (!from && p->type == ZAB_REVALIDATE)
        revalidated(n, p->data);
    else if (l && (p->type == ZAB_REQUEST || p->type == ZAB_REVALIDATE))
        learner_asks(n, l, p);
    else if (l && p->type == ZAB_PING)
        learner_touches(n, l, p->data);
}

void forward_stop(struct node *n)
{
    struct sync_wait wait;
    while (sync_first(&n->syncs, &wait)) {
        buf_consume(&n->syncs, sizeof(wait));
        conn_unref(n, wait.conn);
    }
    n->confirm = false;
    buf_reset(&n->learner_waits);
}
