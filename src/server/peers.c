/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection that says anything wrong is closed, and nothing else happens (ZOOKEEPER-3769): each
 * side connects again when it has something to say. A connection that replaces an older one for
 * the same server is the one that counts, since its other end has given up the older one. */
#include "peers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "dial.h"
#include "greeting.h"
#include "server.h"

enum {
    MESSAGE_MAX = 512 << 10,
    STRANGERS_MAX = 64, /* connections that have not greeted yet */
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 2000,
    KEEP_ALIVE_S = 30,
    UNHEARD_MIN_MS = 2000, /* what was sent is acknowledged in so long, or in two ticks */
    DIAL_MIN_MS = 1000,    /* for an attempt to connect, or a tick: a lost SYN costs no more */
};

struct peer;

struct peer_conn {
    uv_tcp_t tcp;
    struct list link; /* peers.conns */
    struct peers *peers;
    struct peer *peer;         /* NULL: it has not greeted yet */
    char ip[INET6_ADDRSTRLEN]; /* "" unless it was accepted */
    struct peer *to;           /* to whom it was made; NULL: it was accepted, or stands */
    struct buf in;
    uv_write_t write;
    struct buf sending;
    struct secure_conn secure;
    bool encrypted;    /* `sending` is, in what follows */
    struct buf cipher; /* with TLS, in place of `sending`: what libuv writes */
    bool writing;
    bool last; /* ends when this is sent */
    bool ended;
    uint64_t deadline_ms; /* for a greeting, or more of a message, in or out; 0: none is begun */
};

struct peer {
    struct peers *peers;
    const struct ensemble_server *server;
    struct peer_conn *conn;     /* NULL: none stands */
    struct peer_conn *greeting; /* of ours, on its way */
    struct dial *dial;
    size_t next_address;
    struct buf message; /* that waits to be sent, with its length in front */
    uint64_t retry_ms;  /* not before */
    uint64_t delay_ms;
    bool failing; /* was logged */
};

struct peers {
    struct server *server;
    struct list conns;
    size_t n_strangers;
    size_t n;
    struct peer at[ZAB_SERVERS_MAX];
};

static uint64_t now_ms(const struct peers *p)
{
    return uv_now(&p->server->loop);
}

static uint64_t deadline(const struct peers *p)
{
    return now_ms(p) + (uint64_t)p->server->config->quorum_timeout_ms;
}

static int64_t own_sid(const struct peers *p)
{
    return p->server->config->own->zab.sid;
}

static struct peer *peer_find(struct peers *p, int64_t sid)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->at[i].server->zab.sid == sid)
            return &p->at[i];
    }
    return NULL;
}

/* ---- Connections ---- */

static struct peer_conn *conn_new(struct peers *p)
{
    struct peer_conn *c = mem_zalloc(sizeof(*c));
    uv_tcp_init(&p->server->loop, &c->tcp);
    c->tcp.data = c;
    c->peers = p;
    c->deadline_ms = deadline(p);
    list_append(&p->conns, &c->link);
    p->n_strangers++;
    return c;
}

static void on_closed(uv_handle_t *h)
{
    struct peer_conn *c = h->data;
    list_remove(&c->link);
    secure_conn_close(&c->secure);
    buf_close(&c->in);
    buf_close(&c->sending);
    buf_close(&c->cipher);
    free(c);
}

static void conn_end(struct peer_conn *c)
{
    if (c->ended)
        return;
    c->ended = true;
    if (c->to)
        c->to->greeting = NULL;
    if (!c->peer)
        c->peers->n_strangers--;
    else if (c->peer->conn == c)
        c->peer->conn = NULL;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* Something went through. */
static void conn_renew_deadline(struct peer_conn *c)
{
    c->deadline_ms = c->in.len > 0 || c->sending.len > 0 ? deadline(c->peers) : 0;
}

static void conn_send(struct peer_conn *c);
static void conn_write(struct peer_conn *c);

/* `sending` is through. With TLS the other side closes behind the last greeting: what it may have
 * said of the handshake meanwhile would make our close a reset, that could overtake the greeting.
 */
static void conn_sent(struct peer_conn *c)
{
    c->encrypted = false;
    buf_reset(&c->sending);
    if (!c->last) {
        conn_renew_deadline(c);
        conn_send(c);
    } else if (!c->secure.tls) {
        conn_end(c);
    }
}

static void on_written(uv_write_t *w, int status)
{
    struct peer_conn *c = w->data;
    c->writing = false;
    buf_reset(&c->cipher);
    if (c->ended)
        return;
    if (status != 0)
        conn_end(c);
    else if (!c->secure.tls || (c->encrypted && tls_conn_output(c->secure.tls)->len == 0))
        conn_sent(c);
    else
        conn_write(c);
}

/* What TLS has for the network; `sending` is in it when the handshake is through. */
static bool conn_encrypt(struct peer_conn *c)
{
    struct tls_conn *tls = c->secure.tls;
    struct buf spare = c->cipher;
    if (c->sending.len > 0 && !c->encrypted && secure_conn_ready(&c->secure)) {
        if (tls_conn_send(tls, buf_slice(&c->sending), NULL) != 0)
            return false;
        c->encrypted = true;
    }
    c->cipher = *tls_conn_output(tls);
    *tls_conn_output(tls) = spare;
    return true;
}

static void conn_write(struct peer_conn *c)
{
    if (c->ended || c->writing)
        return;
    if (c->secure.tls && !conn_encrypt(c)) {
        conn_end(c);
        return;
    }
    const struct buf *bytes = c->secure.tls ? &c->cipher : &c->sending;
    uv_buf_t b = uv_buf_init((char *)bytes->data, (unsigned)bytes->len);
    if (b.len == 0)
        return;
    c->write.data = c;
    c->writing = true;
    c->deadline_ms = deadline(c->peers);
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0)
        conn_end(c);
}

/* The message that waits, if the one before it is through. */
static void conn_send(struct peer_conn *c)
{
    struct buf *message = &c->peer->message, spare = c->sending;
    if (c->ended || c->sending.len > 0 || message->len == 0)
        return;
    c->sending = *message;
    *message = spare;
    conn_write(c);
}

/* The address is not to be had, or not who it should be. */
static void peer_failed(struct peer *peer)
{
    peer->failing = true;
    peer->next_address = (peer->next_address + 1) % peer->server->n_addresses;
}

static void peer_works(struct peer *peer)
{
    peer->failing = false;
    peer->delay_ms = 0;
}

/* Whether the other side takes our certificate shows later, when it says something. */
static void conn_stands(struct peer_conn *c, struct peer *peer)
{
    struct peer_conn *older = peer->conn;
    struct node_event ev = {.type = NODE_PEER_UP, .sid = peer->server->zab.sid};
    c->peer = peer;
    if (c->to)
        peer->greeting = NULL;
    else
        peer_works(peer);
    c->to = NULL;
    c->peers->n_strangers--;
    conn_renew_deadline(c);
    peer->conn = c;
    if (older)
        conn_end(older);
    if (peer->greeting)
        conn_end(peer->greeting);
    if (peer->dial)
        dial_cancel(peer->dial);
    peer->dial = NULL;
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, KEEP_ALIVE_S);
    net_set_user_timeout(&c->tcp, MAX(2 * (int)c->peers->server->config->tick_ms, UNHEARD_MIN_MS));
    log_info("election connection with server.%" PRId64, ev.sid);
    server_step(c->peers->server, &ev);
    conn_send(c);
}

/* ---- What comes in ---- */

static void peer_connect(struct peer *peer);

/* Takes it from the front of c->in. */
static void take_greeting(struct peer_conn *c)
{
    struct greeting g;
    struct peers *p = c->peers;
    int n = greeting_parse(buf_slice(&c->in), &g);
    if (n == 0)
        return;
    struct peer *peer = n > 0 ? peer_find(p, g.sid) : NULL;
    if (n < 0) {
        log_warn("election port: closed, what came is not the election protocol of ZooKeeper's "
                 "servers; a "
                 "client, a port scanner, or TLS on one side only?");
        conn_end(c);
    } else if (!peer) {
        log_warn("election port: server %" PRId64 " is %s; closed", g.sid,
                 g.sid == own_sid(p)
                     ? "this one; give each server a number of its own in dataDir/myid"
                     : "in none of the server lines");
        conn_end(c);
    } else if (g.sid < own_sid(p)) {
        if (peer->conn)
            conn_end(peer->conn); /* its other end does not know it any more */
        conn_end(c);
        peer_connect(peer);
    } else {
        buf_consume(&c->in, (size_t)n);
        conn_stands(c, peer);
    }
}

/* False if there is no whole one. */
static bool take_message(struct peer_conn *c)
{
    if (c->ended || c->in.len < 4)
        return false;
    uint32_t len = be32_get(c->in.data);
    if (len == 0 || len > MESSAGE_MAX) {
        log_warn("election port: a message of server.%" PRId64 " has the length %" PRId32
                 "; closed",
                 c->peer->server->zab.sid, (int32_t)len);
        conn_end(c);
        return false;
    }
    if (c->in.len - 4 < len)
        return false;
    struct node_event ev = {.type = NODE_PEER_MESSAGE,
                            .sid = c->peer->server->zab.sid,
                            .data = slice_of(c->in.data + 4, len)};
    peer_works(c->peer);
    server_step(c->peers->server, &ev);
    buf_consume(&c->in, 4 + (size_t)len);
    return true;
}

static void take(struct peer_conn *c, struct slice data)
{
    if (c->ended || c->last || c->to)
        return;
    buf_append(&c->in, data.data, slice_size(data));
    if (!c->peer)
        take_greeting(c);
    if (!c->peer)
        return;
    while (take_message(c))
        ;
    conn_renew_deadline(c);
}

/* As secure_conn_receive(). A connection of ours stands when the handshake is through. */
static int decrypt(struct peer_conn *c, struct slice *data)
{
    struct err e;
    struct peer *to = c->to;
    bool was_ready = secure_conn_ready(&c->secure);
    int rc = secure_conn_receive(&c->secure, data, &c->peers->server->plain, &e);
    if (rc != 0 && rc != -EPIPE && !(to && to->failing))
        log_warn("election connection%s%s: %s", to ? " to " : "",
                 to ? to->server->addresses[to->next_address].host : "", e.text);
    if (rc != 0 && to)
        peer_failed(to);
    conn_write(c);
    if (!c->ended && !was_ready && secure_conn_ready(&c->secure)) {
        c->deadline_ms = deadline(c->peers);
        if (to && !c->last)
            conn_stands(c, to);
    }
    return rc;
}

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
    struct peer_conn *c = tcp->data;
    if (n == 0)
        return;
    struct slice data = slice_of(buf->base, n > 0 ? (size_t)n : 0);
    int rc = n < 0 ? (int)n : c->secure.tls ? decrypt(c, &data) : 0;
    if (slice_size(data) > 0)
        take(c, data);
    if (rc != 0)
        conn_end(c);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct peer_conn *c = h->data;
    (void)suggested;
    *buf = uv_buf_init(c->peers->server->read_buffer, READ_SIZE);
}

static bool is_stranger(const struct peer_conn *c)
{
    return !c->peer && !c->ended && c->ip[0] != '\0';
}

static size_t strangers_of(const struct peers *p, const char *ip)
{
    size_t n = 0;
    LIST_FOR_EACH (c, &p->conns, struct peer_conn, link)
        n += is_stranger(c) && strcmp(c->ip, ip) == 0;
    return n;
}

/* Of the address that most are from, the oldest goes: those that say nothing, however many connect,
 * do not keep out one that would. */
static void limit_strangers(struct peers *p)
{
    struct peer_conn *worst = NULL;
    size_t most = 0;
    if (p->n_strangers <= STRANGERS_MAX)
        return;
    LIST_FOR_EACH (c, &p->conns, struct peer_conn, link) {
        size_t n = is_stranger(c) ? strangers_of(p, c->ip) : 0;
        if (n > most) {
            most = n;
            worst = c;
        }
    }
    if (worst)
        conn_end(worst);
}

/* False: its address cannot be told. */
static bool conn_secure(struct peer_conn *c, const uv_stream_t *listener)
{
    const struct secure_port *port = &container_of(listener, struct listener, tcp)->secure;
    bool v6;
    if (net_peer_address(&c->tcp, c->ip, &v6) == 0)
        return false;
    if (!port->rules)
        return true;
    secure_conn_accept(&c->secure, port, c->ip);
    c->deadline_ms = now_ms(c->peers) + port->handshake_ms;
    return true;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;
    if (status < 0) {
        log_warn("an election connection could not be accepted: %s", uv_strerror(status));
        return;
    }
    struct peer_conn *c = conn_new(s->peers);
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 || !conn_secure(c, listener) ||
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        conn_end(c);
    limit_strangers(s->peers);
}

/* ---- Connecting ---- */

static void retry_later(struct peer *peer)
{
    peer->delay_ms = peer->delay_ms ? MIN(peer->delay_ms * 2, RETRY_MAX_MS) : RETRY_MIN_MS;
    peer->retry_ms = now_ms(peer->peers) + peer->delay_ms;
}

/* Greet; then the connection stands, or the other side, whose sid is larger, connects. */
static void greet(struct peer *peer, int fd, const char *host)
{
    struct peers *p = peer->peers;
    const struct server *s = p->server;
    struct peer_conn *c = conn_new(p);
    if (uv_tcp_open(&c->tcp, fd) != 0) {
        close(fd);
        conn_end(c);
        return;
    }
    greeting_write(p->server->config->own, &c->sending);
    c->last = peer->server->zab.sid > own_sid(p);
    if (s->config->quorum_secure) {
        secure_conn_connect(&c->secure, &s->secure.servers, host);
        c->to = peer;
        peer->greeting = c;
    }
    conn_write(c);
    if (!c->ended && uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        conn_end(c);
    if (!c->ended && !c->last && !c->to)
        conn_stands(c, peer);
}

static void on_dialled(void *arg, int fd)
{
    struct peer *peer = arg;
    const struct ensemble_address *a = &peer->server->addresses[peer->next_address];
    peer->dial = NULL;
    retry_later(peer);
    if (fd >= 0) {
        greet(peer, fd, a->host);
        return;
    }
    if (!peer->failing)
        log_warn("no connection to server.%" PRId64 " at its election address %s:%d: %s; trying "
                 "again",
                 peer->server->zab.sid, a->host, a->election_port, uv_strerror(fd));
    peer_failed(peer);
}

static uint64_t dial_ms(const struct config *c)
{
    return (uint64_t)MIN(c->quorum_timeout_ms, MAX(c->tick_ms, DIAL_MIN_MS));
}

static void peer_connect(struct peer *peer)
{
    struct server *s = peer->peers->server;
    const struct ensemble_address *a = &peer->server->addresses[peer->next_address];
    if (peer->dial || peer->greeting || peer->conn || s->stopping)
        return;
    peer->dial =
        dial_start(&s->loop, a->host, a->election_port, dial_ms(s->config), on_dialled, peer);
    if (!peer->dial)
        retry_later(peer);
}

void peers_send(struct peers *p, int64_t sid, struct slice message)
{
    struct peer *peer = peer_find(p, sid);
    if (!peer)
        return;
    buf_reset(&peer->message);
    be32_put(buf_extend(&peer->message, 4), (uint32_t)slice_size(message));
    buf_append(&peer->message, message.data, slice_size(message));
    if (peer->conn)
        conn_send(peer->conn);
    else if (peer->retry_ms <= now_ms(p))
        peer_connect(peer);
}

/* ---- Life ---- */

void peers_tick(struct peers *p)
{
    LIST_FOR_EACH (c, &p->conns, struct peer_conn, link) {
        if (c->deadline_ms != 0 && c->deadline_ms <= now_ms(p))
            conn_end(c);
    }
    for (size_t i = 0; i < p->n; i++) {
        struct peer *peer = &p->at[i];
        if (peer->message.len > 0 && peer->retry_ms <= now_ms(p))
            peer_connect(peer);
    }
}

int peers_start(struct server *s, struct err *e)
{
    struct peers *p = mem_zalloc(sizeof(*p));
    const struct ensemble *en = &s->config->ensemble;
    s->peers = p;
    p->server = s;
    list_init(&p->conns);
    for (size_t i = 0; i < en->n; i++) {
        if (en->servers[i].zab.sid != own_sid(p))
            p->at[p->n++] = (struct peer){.peers = p, .server = &en->servers[i]};
    }
    return net_listen_for_servers(s, true, on_connection, e);
}

void peers_close_connections(struct peers *p)
{
    LIST_FOR_EACH (c, &p->conns, struct peer_conn, link)
        conn_end(c);
    for (size_t i = 0; i < p->n; i++) {
        if (p->at[i].dial)
            dial_cancel(p->at[i].dial);
        p->at[i].dial = NULL;
    }
}

void peers_free(struct peers *p)
{
    for (size_t i = 0; i < p->n; i++)
        buf_close(&p->at[i].message);
    free(p);
}
