/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections: limits, frames, and how a connection gets a session.
 *
 * Bytes are taken from where the shell read them; only the beginning of a frame, or what comes
 * while the connection is paused, is kept in conn->in. */
#include "internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- What is unsent ---- */

static size_t conn_unsent(const struct node_conn *c)
{
    return c->pub.out.len + c->pub.in_flight;
}

/* One that is closing is the shell's, which gives it a little time. */
static void count_unsent(struct node *n, struct node_conn *c)
{
    size_t unsent = c->state < CONN_CLOSING ? conn_unsent(c) : 0;
    n->unsent += unsent - c->counted;
    c->counted = unsent;
}

static size_t output_all_max(const struct node *n)
{
    return n->config.output_max * OUTPUT_SHARES;
}

/* Does it take what it asked for? When much is unsent for all of them together, a little that it
 * has not taken is enough to wait. */
bool conn_keeps_up(const struct node *n, const struct node_conn *c)
{
    bool tight = n->unsent > output_all_max(n) / 2;
    return conn_unsent(c) <=
           (tight ? MIN(OUTPUT_TIGHT, n->config.output_max / 4) : n->config.output_max / 4);
}

static struct node_conn *most_unsent(struct node *n)
{
    struct node_conn *most = NULL;
    LIST_FOR_EACH (c, &n->conns, struct node_conn, link) {
        count_unsent(n, c);
        if (!most || c->counted > most->counted)
            most = c;
    }
    return most;
}

/* Bytes that were sent meanwhile are still counted: so look first, and close only then. */
void conn_limit_output(struct node *n)
{
    while (n->unsent > output_all_max(n) / 2) {
        struct node_conn *c = most_unsent(n);
        if (n->unsent <= output_all_max(n))
            return;
        node_log(n, LOG_LEVEL_WARN,
                 "%s: closed, %zu bytes wait for slow readers, most of all for this one: %zu "
                 "(%d times zab.maxOutput)",
                 c->address, n->unsent, c->counted, OUTPUT_SHARES);
        buf_close(&c->pub.out);
        conn_close(n, c);
    }
}

/* ---- Addresses ---- */

static struct peer *peer_find(struct node *n, const char *ip, uint64_t hash)
{
    HMAP_FOR_EACH_WITH_HASH (p, &n->peers, hash, struct peer, by_ip) {
        if (strcmp(p->ip, ip) == 0)
            return p;
    }
    return NULL;
}

/* Who is counted as one: an IPv4 address, or the 64 bits of an IPv6 address that a network has,
 * whose machines choose the rest at will. */
static void peer_name(const char *address, char name[CONN_ADDRESS_MAX])
{
    uint8_t v6[16];
    snprintf(name, CONN_ADDRESS_MAX, "%s", address + (address[0] == '['));
    char *end = strrchr(name, address[0] == '[' ? ']' : ':');
    if (end)
        *end = '\0';
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (address[0] == '[' && inet_pton(AF_INET6, name, v6) == 1 && memcmp(v6, mapped, 12) != 0)
        snprintf(name, CONN_ADDRESS_MAX, "%x:%x:%x:%x::/64", v6[0] << 8 | v6[1], v6[2] << 8 | v6[3],
                 v6[4] << 8 | v6[5], v6[6] << 8 | v6[7]);
}

static struct peer *peer_ref(struct node *n, const char *address)
{
    char ip[CONN_ADDRESS_MAX];
    peer_name(address, ip);
    uint64_t hash = hash_bytes(ip, strlen(ip), n->hash_seed);
    struct peer *p = peer_find(n, ip, hash);
    if (!p) {
        p = mem_zalloc(sizeof(*p));
        memcpy(p->ip, ip, sizeof(ip));
        hmap_insert(&n->peers, &p->by_ip, hash);
    }
    p->n_conns++;
    return p;
}

static void peer_unref(struct node *n, struct peer *p)
{
    if (--p->n_conns > 0)
        return;
    hmap_remove(&n->peers, &p->by_ip);
    free(p);
}

/* Descriptors are counted once a tick, connections at once. */
static bool is_short_of_files(const struct node *n)
{
    int64_t max = n->gauges.max_fds, kept = MIN(FDS_KEPT, max / 4);
    int64_t open = n->gauges.open_fds + (int64_t)n->n_conns - (int64_t)n->gauged_conns;
    return max > 0 && open > max - kept;
}

void conn_opened(struct node *n, struct node_event *event)
{
    struct node_conn *c = mem_zalloc(sizeof(*c));
    c->pub.owner = event->owner;
    c->refs = 1;
    c->deadline_ms = n->now_ms + n->config.handshake_ms;
    c->stats.established_ms = n->wall_ms;
    c->stats.min_latency_ms = -1;
    c->stats.last_cxid = -1;
    snprintf(c->address, sizeof(c->address), "%s", event->address);
    list_append(&n->conns, &c->link);
    list_init(&c->dirty_link);
    list_init(&c->pause_link);
    list_init(&c->defer_link);
    list_init(&c->drop_link);
    watcher_init(&c->watcher);
    auth_init(c);
    c->peer = peer_ref(n, c->address);
    n->n_conns++;
    event->conn = c;

    if (n->config.conns_per_ip_max > 0 && c->peer->n_conns > n->config.conns_per_ip_max) {
        node_log(n, LOG_LEVEL_WARN,
                 "%s: closed, this address has %u connections already (maxClientCnxns)", c->address,
                 n->config.conns_per_ip_max);
        conn_close(n, c);
    } else if (n->config.conns_max > 0 && n->n_conns > n->config.conns_max) {
        node_log(n, LOG_LEVEL_WARN, "%s: closed, there are %u connections already (maxCnxns)",
                 c->address, n->config.conns_max);
        conn_close(n, c);
    } else if (is_short_of_files(n)) {
        node_log(n, LOG_LEVEL_WARN,
                 "%s: closed, nearly all of %lld file descriptors are open and the rest is for the "
                 "log and the other servers (ulimit -n)",
                 c->address, (long long)n->gauges.max_fds);
        conn_close(n, c);
    }
}

void conn_unref(struct node *n, struct node_conn *c)
{
    (void)n;
    if (--c->refs > 0)
        return;
    ensure(c->state == CONN_CLOSED);
    buf_close(&c->pub.out);
    buf_close(&c->in);
    buf_close(&c->auth);
    buf_close(&c->held);
    free(c->queue);
    free(c);
}

/* Leave the session to whoever connects next. Without a quorum there are some that nobody else
 * knows of. */
static void conn_detach(struct node *n, struct node_conn *c)
{
    struct session *s = c->session;
    int32_t timeout_ms;
    watch_drop(n, c);
    c->session = NULL;
    if (s)
        s->conn = NULL;
    if (s && n->read_only && !tree_session_timeout(n->tree, s->id, &timeout_ms))
        tracker_remove(n, s);
    request_drop_all(n, c);
}

void conn_close(struct node *n, struct node_conn *c)
{
    if (c->state >= CONN_CLOSING)
        return;
    c->state = CONN_CLOSING;
    count_unsent(n, c);
    conn_detach(n, c);
    list_remove(&c->dirty_link);
    list_remove(&c->pause_link);
    list_remove(&c->defer_link);
    node_effect(n, NODE_CLOSE, c);
}

void conn_closed(struct node *n, struct node_conn *c)
{
    ensure(c->state != CONN_CLOSED);
    conn_detach(n, c);
    c->state = CONN_CLOSED;
    list_remove(&c->link);
    list_remove(&c->dirty_link);
    list_remove(&c->pause_link);
    list_remove(&c->defer_link);
    count_unsent(n, c);
    peer_unref(n, c->peer);
    n->n_conns--;
    conn_unref(n, c);
}

static void conn_pause(struct node *n, struct node_conn *c)
{
    if (c->pub.paused)
        return;
    c->pub.paused = true;
    c->paused_ms = n->now_ms;
    list_append(&n->paused, &c->pause_link);
}

/* May it be read from: it has a session, its reader keeps up, the replica keeps up? */
static bool conn_may_go_on(const struct node *n, const struct node_conn *c)
{
    const struct node_limits *limits = &n->config.limits;
    bool busy = n->outstanding > n->config.outstanding_max ||
                n->in_flight_bytes > limits->in_flight_max || n->asked_bytes > limits->asked_max ||
                c->held.len > limits->held_max;
    return c->state != CONN_OPENING && conn_keeps_up(n, c) && !(busy && c->queue_len > 0) &&
           c->n_syncs == 0 && n->proposing && list_is_empty(&c->defer_link) &&
           !(c->behind_reads && request_must_wait(n, c));
}

/* There is news in conn->out: have it sent at the next flush, unless the peer does not read. */
void conn_touch_output(struct node *n, struct node_conn *c)
{
    if (c->state >= CONN_CLOSING)
        return;
    if (conn_unsent(c) > n->config.output_max) {
        node_log(n, LOG_LEVEL_WARN,
                 "%s: closed, it does not read and %zu bytes wait for it (zab.maxOutput)",
                 c->address, conn_unsent(c));
        buf_reset(&c->pub.out);
        conn_close(n, c);
        return;
    }
    count_unsent(n, c);
    if (list_is_empty(&c->dirty_link))
        list_append(&n->dirty, &c->dirty_link);
}

void conn_check_deadlines(struct node *n)
{
    LIST_FOR_EACH_SAFE (c, &n->conns, struct node_conn, link) {
        if (c->state == CONN_NEW && c->deadline_ms <= n->now_ms) {
            node_log(n, LOG_LEVEL_INFO, "%s: closed, no session after %d ms (zab.handshakeTimeout)",
                     c->address, n->config.handshake_ms);
            conn_close(n, c);
        }
    }
}

/* ---- Sessions ---- */

static void connect_response(struct node *n, struct node_conn *c, int64_t session_id,
                             int32_t timeout_ms)
{
    uint8_t password[ZK_PASSWORD_SIZE] = {0};
    if (session_id != 0)
        tracker_password(session_id, password);
    struct buf *out = &c->pub.out;
    size_t start = out->len;
    struct zk_connect_response r = {.timeout = timeout_ms,
                                    .session_id = session_id,
                                    .password = slice_of(password, sizeof(password))};
    jute_write_int(out, 0);
    zk_connect_response_write(out, &r);
    if (c->has_read_only)
        jute_write_bool(out, n->read_only);
    reply_end(n, c, start);
}

void conn_refuse_session(struct node *n, struct node_conn *c)
{
    connect_response(n, c, 0, 0);
    conn_close(n, c);
}

/* All that the session did before is committed: it may go on here. */
void conn_session_opened(struct node *n, struct node_conn *c, int64_t session_id)
{
    struct session *s = tracker_find(n, session_id);
    if (!s || s->closing) {
        conn_refuse_session(n, c);
        return;
    }
    if (!node_is_learner(n) && s->owner != 0 && s->owner != OWNER_SELF) {
        conn_close(n, c); /* it has gone on to another server meanwhile */
        return;
    }
    if (s->conn && s->conn != c)
        conn_close(n, s->conn);
    s->conn = c;
    s->timeout_ms = c->timeout_ms;
    tracker_touch(n, s);
    c->session = s;
    c->state = CONN_ESTABLISHED;
    connect_response(n, c, s->id, s->timeout_ms);
}

/* Whether the session may go on is decided when all that was proposed is committed: a client must
 * not hear of the end of a session that a crash would bring back. */
static void conn_resume_session(struct node *n, struct node_conn *c,
                                const struct zk_connect_request *q)
{
    struct session *s = tracker_find(n, q->session_id);
    if (!tracker_password_ok(q->session_id, q->password)) {
        node_log(n, LOG_LEVEL_WARN, "%s: wrong password for session 0x%llx", c->address,
                 (unsigned long long)q->session_id);
        s = NULL;
    }
    if (!s) {
        conn_refuse_session(n, c);
        return;
    }
    if (s->conn && !s->closing)
        conn_close(n, s->conn);
    tracker_touch(n, s);
    tracker_own(n, s, OWNER_SELF);
    conn_open_when_committed(n, c, s->id);
}

void conn_open_when_committed(struct node *n, struct node_conn *c, int64_t session_id)
{
    uint8_t id[8];
    be64_put(id, (uint64_t)session_id);
    request_push(n, c, PENDING_READ, 0, ZK_OP_createSession, 0, n->last_proposed,
                 slice_of(id, sizeof(id)));
    request_drain(n, c);
}

/* A learner has the leader say whether the session may go on. */
static void conn_ask_session(struct node *n, struct node_conn *c,
                             const struct zk_connect_request *q)
{
    if (q->session_id == 0)
        forward_create_session(n, c, tracker_new_id(n));
    else if (tracker_password_ok(q->session_id, q->password))
        forward_revalidate(n, c, q->session_id);
    else
        conn_refuse_session(n, c);
}

/* Without a quorum a session is a matter of this connection alone. */
static void conn_open_read_only(struct node *n, struct node_conn *c,
                                const struct zk_connect_request *q)
{
    if (q->session_id != 0 && !tracker_password_ok(q->session_id, q->password)) {
        conn_refuse_session(n, c);
        return;
    }
    int64_t id = q->session_id ? q->session_id : tracker_new_id(n);
    struct session *old = tracker_find(n, id);
    if (old && old->conn)
        conn_close(n, old->conn); /* which may end it */
    tracker_add(n, id, c->timeout_ms)->closing = false;
    conn_session_opened(n, c, id);
}

static void conn_connect(struct node *n, struct node_conn *c, struct slice frame)
{
    struct jute_reader r = jute_reader_of(frame);
    struct zk_connect_request q;
    zk_connect_request_read(&r, &q);
    if (!jute_ok(&r)) {
        node_log(n, LOG_LEVEL_WARN, "%s: closed, its first frame is no ConnectRequest", c->address);
        conn_close(n, c);
        return;
    }
    c->has_read_only = jute_left(&r) > 0;
    bool takes_read_only = c->has_read_only && jute_read_bool(&r);
    if (!n->serving && !(n->read_only && takes_read_only)) {
        node_log(n, LOG_LEVEL_DEBUG, "%s: closed, there is no quorum", c->address);
        conn_close(n, c);
        return;
    }
    if (n->config.leader_is_reserved && n->state == ZAB_LEADING) {
        node_log(n, LOG_LEVEL_DEBUG, "%s: closed, the leader takes no clients (leaderServes)",
                 c->address);
        conn_close(n, c);
        return;
    }
    if (q.last_zxid_seen > n->last_committed) {
        node_log(n, LOG_LEVEL_WARN,
                 "%s: closed, it has seen zxid 0x%llx and the last one here is 0x%llx", c->address,
                 (unsigned long long)q.last_zxid_seen, (unsigned long long)n->last_committed);
        conn_close(n, c);
        return;
    }
    c->timeout_ms =
        MAX(n->config.min_session_timeout_ms, MIN(n->config.max_session_timeout_ms, q.timeout));
    c->state = CONN_OPENING;
    conn_pause(n, c);
    if (n->read_only)
        conn_open_read_only(n, c, &q);
    else if (node_is_learner(n))
        conn_ask_session(n, c, &q);
    else if (q.session_id == 0)
        propose_create_session(n, c, tracker_new_id(n), c->timeout_ms);
    else
        conn_resume_session(n, c, &q);
}

/* ---- Frames ---- */

static void conn_frame(struct node *n, struct node_conn *c, struct slice frame)
{
    c->stats.received++;
    n->stats.received++;
    work_add(n, 4 + slice_size(frame) / 64);
    if (c->state == CONN_NEW)
        conn_connect(n, c, frame);
    else
        request_receive(n, c, frame);
    if (c->state < CONN_CLOSING && !conn_may_go_on(n, c))
        conn_pause(n, c);
}

/* A write that so much is in front of that it is to wait for that. */
static bool must_wait(const struct node *n, const struct node_conn *c, struct slice frame)
{
    return c->state == CONN_ESTABLISHED && frame.len >= 8 && request_must_wait(n, c) &&
           request_makes_change((int32_t)be32_get(frame.data + 4));
}

/* Handle the whole frames at the front of `data`, as far as there is work for this turn; returns
 * how many bytes they took. */
static size_t conn_frames(struct node *n, struct node_conn *c, struct slice data)
{
    size_t pos = 0, len = slice_size(data);
    uint64_t limit = work_limit(n);
    while (c->state < CONN_CLOSING && !c->pub.paused && len - pos >= 4) {
        if (!work_is_left(n, limit)) {
            work_defer(n, c);
            break;
        }
        if (c->state == CONN_NEW && four_letter_try(n, c, data.data + pos))
            return len;
        uint32_t size = be32_get(data.data + pos);
        if (size > n->config.packet_max) {
            node_log(n, LOG_LEVEL_WARN,
                     "%s: closed, a frame of %u bytes, %u are allowed (jute.maxbuffer)", c->address,
                     size, n->config.packet_max);
            conn_close(n, c);
            return len;
        }
        if (len - pos - 4 < size)
            break;
        if (must_wait(n, c, slice_of(data.data + pos + 4, size))) {
            c->behind_reads = true;
            conn_pause(n, c);
            break;
        }
        conn_frame(n, c, slice_of(data.data + pos + 4, size));
        pos += 4 + size;
    }
    return c->state < CONN_CLOSING ? pos : len;
}

/* Frames that wait for the next turn are kept in order, and are not to become ever more. */
static void conn_take(struct node *n, struct node_conn *c, struct slice data)
{
    bool waits = !list_is_empty(&c->defer_link);
    if (c->in.len > 0 || waits) {
        buf_append(&c->in, data.data, slice_size(data));
        if (!waits)
            buf_consume(&c->in, conn_frames(n, c, buf_slice(&c->in)));
    } else {
        size_t used = conn_frames(n, c, data);
        buf_append(&c->in, data.data + used, slice_size(data) - used);
    }
    if (c->in.len == 0 && c->in.cap > 4096)
        buf_close(&c->in);
    if ((c->pub.paused || !list_is_empty(&c->defer_link)) && c->session)
        tracker_touch(n, c->session); /* it is heard of, though not listened to yet */
    if (!list_is_empty(&c->defer_link) && c->in.len > DEFER_MAX)
        conn_pause(n, c);
}

void conn_data(struct node *n, struct node_conn *c, struct slice data)
{
    if (c->state >= CONN_CLOSING)
        return;
    if (!n->proposing)
        conn_pause(n, c);
    conn_take(n, c, data);
}

/* With what has come meanwhile, and with reading, unless there is a reason to wait. */
void conn_go_on(struct node *n, struct node_conn *c)
{
    bool was_paused = c->pub.paused;
    if (c->state >= CONN_CLOSING || (was_paused && !conn_may_go_on(n, c)))
        return;
    list_remove(&c->pause_link);
    c->pub.paused = c->behind_reads = false;
    if (c->in.len > 0)
        conn_take(n, c, SLICE_EMPTY);
    if (was_paused && !list_is_empty(&c->defer_link))
        conn_pause(n, c);
    if (was_paused && !c->pub.paused && c->state < CONN_CLOSING)
        node_effect(n, NODE_RESUME, c);
}

/* The pings of a client that is not read lie in its socket: it is not for that to expire. But who
 * is paused for more than a timeout may be gone. */
void conn_touch_paused(struct node *n)
{
    LIST_FOR_EACH (c, &n->paused, struct node_conn, pause_link) {
        if (c->session && n->now_ms - c->paused_ms < c->session->timeout_ms)
            tracker_touch(n, c->session);
    }
}

/* Each of them once, though a connection that goes on may close another. */
void conn_resume_paused(struct node *n)
{
    struct list all;
    list_init(&all);
    list_append(&n->paused, &all);
    list_remove(&n->paused);
    while (!list_is_empty(&all)) {
        struct node_conn *c = LIST_FIRST(&all, struct node_conn, pause_link);
        list_remove(&c->pause_link);
        list_append(&n->paused, &c->pause_link);
        conn_go_on(n, c);
    }
}
