/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Links: connections of the learner port. Packets are jute records without a length in front; a
 * tree that is sent on one is the stream of a snapshot and a signature. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

#define SIGNATURE "BenWasHere"

enum {
    LINK_PACKET_MAX = TXN_SIZE_MAX + 4096,
    LINK_STRANGER_MAX =
        2 << 10,              /* of a packet, and of what waits, before it is known whose it is */
    PACKETS_SLACK = 64 << 10, /* bytes that were taken before the others move up */
    PACKETS_KEEP_MAX = 256 << 10, /* of memory for those that come next */
    PACKET_HEAD = 16,             /* type, zxid, length of the data */
};

void link_opened(struct node *n, struct node_event *event)
{
    struct node_link *l = mem_zalloc(sizeof(*l));
    l->pub.owner = event->owner;
    l->id = ++n->last_link_id;
    l->to_leader = event->to_leader;
    l->heard_ms = n->now_ms;
    snprintf(l->address, sizeof(l->address), "%s", event->address);
    list_append(&n->links, &l->link);
    list_init(&l->dirty_link);
    event->link = l;
    ensemble_link_opened(n, l);
}

struct node_link *link_find(struct node *n, uint64_t id)
{
    LIST_FOR_EACH (l, &n->links, struct node_link, link) {
        if (l->id == id)
            return l;
    }
    return NULL;
}

struct node_link *link_to_leader(struct node *n)
{
    LIST_FOR_EACH (l, &n->links, struct node_link, link) {
        if (l->to_leader && !l->closing)
            return l;
    }
    return NULL;
}

static void link_effect(struct node *n, enum node_effect_type type, struct node_link *l)
{
    node_effect(n, type, NULL);
    n->fx->list[n->fx->n - 1].link = l;
}

void link_close(struct node *n, struct node_link *l)
{
    if (l->closing)
        return;
    l->closing = true;
    list_remove(&l->dirty_link);
    link_effect(n, NODE_CLOSE, l);
}

void link_free(struct node_link *l)
{
    list_remove(&l->link);
    list_remove(&l->dirty_link);
    buf_close(&l->pub.out);
    buf_close(&l->in);
    buf_close(&l->requests.bytes);
    buf_close(&l->parked.bytes);
    buf_close(&l->syncs);
    if (l->load)
        tree_load_close(l->load);
    free(l);
}

void link_closed(struct node *n, struct node_link *l)
{
    bool was_closing = l->closing;
    l->closing = true;
    if (!was_closing)
        ensemble_link_closed(n, l);
    link_free(l);
}

static void touch(struct node *n, struct node_link *l)
{
    if (list_is_empty(&l->dirty_link))
        list_append(&n->dirty_links, &l->dirty_link);
}

void link_send(struct node *n, struct node_link *l, int32_t type, int64_t zxid, struct slice data)
{
    struct zk_quorum_packet p = {type, zxid, data, JUTE_VECTOR_NULL};
    if (l->closing)
        return;
    zk_quorum_packet_write(&l->pub.out, &p);
    touch(n, l);
}

/* ---- Packets that wait ---- */

static void packet_push(struct packets *q, const struct zk_quorum_packet *p)
{
    size_t at = q->bytes.len;
    buf_extend(&q->bytes, 4);
    zk_quorum_packet_write(&q->bytes, p);
    be32_put(q->bytes.data + at, (uint32_t)(q->bytes.len - at - 4));
}

static bool packets_wait(const struct packets *q)
{
    return q->bytes.len > 0;
}

static struct slice packet_first(const struct packets *q)
{
    const uint8_t *first = q->bytes.data + q->pos;
    return slice_of(first + 4, be32_get(first));
}

/* What was taken is moved out of the way when it is most of all, so that each byte moves once. */
static void packet_pop(struct packets *q)
{
    struct buf *b = &q->bytes;
    q->pos += 4 + (size_t)be32_get(b->data + q->pos);
    if (q->pos == b->len) {
        buf_reset(b);
        if (b->cap > PACKETS_KEEP_MAX)
            buf_close(b);
        q->pos = 0;
    } else if (q->pos > b->len / 2 && q->pos > PACKETS_SLACK) {
        buf_consume(b, q->pos);
        q->pos = 0;
    }
}

/* Requests may be large, and wait for their turn here: what says that we are alive does not queue
 * after them. */
void link_ask(struct node *n, struct node_link *l, int32_t type, struct slice data,
              const struct jute_vector *ids)
{
    struct zk_quorum_packet p = {type, -1, data, *ids};
    if (l->closing)
        return;
    packet_push(&l->requests, &p);
    touch(n, l);
}

static void feed(const struct node *n, struct node_link *l)
{
    while (packets_wait(&l->requests) &&
           l->pub.out.len + l->pub.in_flight < n->config.limits.link_fed_max) {
        struct slice first = packet_first(&l->requests);
        buf_append(&l->pub.out, first.data, slice_size(first));
        packet_pop(&l->requests);
    }
    l->pub.more = packets_wait(&l->requests);
}

void link_drained(struct node *n, struct node_link *l)
{
    if (!l->closing)
        touch(n, l);
}

void link_park(struct node_link *l, const struct zk_quorum_packet *p)
{
    packet_push(&l->parked, p);
}

/* The first packet that was parked, valid until link_unparked(). */
bool link_unpark(struct node_link *l, struct zk_quorum_packet *p)
{
    if (l->closing || !packets_wait(&l->parked))
        return false;
    struct slice first = packet_first(&l->parked);
    struct jute_reader r = jute_reader_of(first);
    zk_quorum_packet_read(&r, p);
    ensure(jute_ok(&r));
    return true;
}

void link_unparked(struct node_link *l)
{
    packet_pop(&l->parked);
}

/* ---- Trees ---- */

/* The tree follows what is in the link now. */
void link_send_tree(struct node *n, struct node_link *l, int64_t zxid)
{
    link_send(n, l, ZAB_SNAP, zxid, SLICE_NULL);
    l->tree_goes = true;
    n->snapshot_again |= n->snapshot_running;
    link_effect(n, NODE_SEND_TREE, l);
    struct node_effect *fx = &n->fx->list[n->fx->n - 1];
    fx->before = l->pub.out.len;
    fx->zxid = zxid;
}

void link_receive_tree(struct node *n, struct node_link *l, int64_t zxid)
{
    n->incoming = tree_open(n->hash_seed);
    n->incoming_zxid = zxid;
    l->load = tree_load_begin(n->incoming);
}

void link_hold(struct node_link *l, bool hold)
{
    l->held = hold;
}

static void tree_failed(struct node *n, struct node_link *l, const char *why)
{
    node_log(n, LOG_LEVEL_ERROR, "%s: the leader's tree cannot be taken: %s", l->address, why);
    link_drop_tree(n, l);
    ensemble_tree_failed(n);
}

void link_drop_tree(struct node *n, struct node_link *l)
{
    if (!l->load)
        return;
    tree_load_close(l->load);
    l->load = NULL;
    node_drop_tree(n, n->incoming);
    n->incoming = NULL;
    l->tree_whole = false;
}

/* Behind the tree: the signature. Returns the bytes used, 0 for more. */
static size_t take_signature(struct node *n, struct node_link *l, struct slice data)
{
    struct jute_reader r = jute_reader_of(data);
    struct slice signature = jute_read_buffer(&r);
    if (slice_size(data) < 4 + strlen(SIGNATURE))
        return 0;
    if (!jute_ok(&r) || !slice_eq_str(signature, SIGNATURE)) {
        tree_failed(n, l, "the signature behind it is missing");
        return 0;
    }
    tree_load_close(l->load);
    l->load = NULL;
    l->tree_whole = false;
    l->held = true;
    tree_set_last_zxid(n->incoming, n->incoming_zxid);
    node_effect(n, NODE_INSTALL_TREE, NULL);
    return 4 + strlen(SIGNATURE);
}

static size_t take_tree(struct node *n, struct node_link *l, struct slice data)
{
    struct err e;
    size_t used;
    if (l->tree_whole)
        return take_signature(n, l, data);
    int rc = tree_load_feed(l->load, data, &used, &e);
    if (rc < 0) {
        tree_failed(n, l, e.text);
        return 0;
    }
    l->tree_whole = rc == 1;
    return used;
}

static size_t packet_max(const struct node_link *l)
{
    return l->to_leader || l->ready ? LINK_PACKET_MAX : LINK_STRANGER_MAX;
}

/* One packet. Returns the bytes used, 0 for more. */
static size_t take_packet(struct node *n, struct node_link *l, struct slice data)
{
    struct zk_quorum_packet p;
    struct jute_reader r = jute_reader_of(data);
    zk_quorum_packet_read(&r, &p);
    if (jute_ok(&r)) {
        size_t used = (size_t)(r.pos - data.data);
        ensemble_packet(n, l, &p);
        return used;
    }
    bool bad = data.len >= PACKET_HEAD && (int32_t)be32_get(data.data + 12) < -1;
    bool large = data.len >= PACKET_HEAD &&
                 (int32_t)be32_get(data.data + 12) > (int32_t)packet_max(l) - PACKET_HEAD;
    if (bad || large || slice_size(data) > packet_max(l)) {
        node_log(n, LOG_LEVEL_WARN, "%s: closed, what it sent is no quorum packet", l->address);
        ensemble_link_failed(n, l);
    }
    return 0;
}

/* Go on with what has come, until a packet or the tree is not whole, or the link is held. */
void link_take(struct node *n, struct node_link *l)
{
    size_t pos = 0;
    while (!l->closing && !l->held && pos < l->in.len) {
        struct slice rest = slice_of(l->in.data + pos, l->in.len - pos);
        size_t used = l->load ? take_tree(n, l, rest) : take_packet(n, l, rest);
        if (used == 0)
            break;
        pos += used;
    }
    buf_consume(&l->in, pos);
    size_t held_max = l->waiting ? LINK_STRANGER_MAX : n->config.limits.link_held_max;
    bool paused = l->held && l->in.len > held_max;
    if (l->pub.paused && !paused && !l->closing)
        link_effect(n, NODE_RESUME, l);
    l->pub.paused = paused;
}

void link_data(struct node *n, struct node_link *l, struct slice data)
{
    if (l->closing)
        return;
    if (!l->waiting)
        l->heard_ms = n->now_ms;
    buf_append(&l->in, data.data, slice_size(data));
    link_take(n, l);
}

void link_flush(struct node *n)
{
    while (!list_is_empty(&n->dirty_links)) {
        struct node_link *l = LIST_FIRST(&n->dirty_links, struct node_link, dirty_link);
        list_remove(&l->dirty_link);
        feed(n, l);
        if (l->pub.out.len + l->pub.in_flight <= n->config.limits.link_unsent_max) {
            link_effect(n, NODE_SEND, l);
            continue;
        }
        node_log(n, LOG_LEVEL_WARN, "%s: closed, it does not read and %zu bytes wait for it",
                 l->address, l->pub.out.len + l->pub.in_flight);
        buf_reset(&l->pub.out);
        ensemble_link_failed(n, l);
    }
}

struct node_conn_public *node_link_public(struct node_link *l)
{
    return &l->pub;
}
