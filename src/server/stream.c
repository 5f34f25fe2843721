/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a stream has to send is written when the turn of the loop ends, in one system call; what
 * the socket does not take then is handed to libuv, and more gathers in pub->out until it is
 * through. What is different with TLS is in stream_tls.c. */
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server.h"

/* An event about the stream. */
static struct node_event event_of(const struct stream *st, enum node_event_type conn_type,
                                  enum node_event_type link_type)
{
    return (struct node_event){
        .type = st->link ? link_type : conn_type, .conn = st->conn, .link = st->link};
}

static struct stream *stream_new(struct server *s)
{
    struct stream *st = mem_zalloc(sizeof(*st));
    uv_tcp_init(&s->loop, &st->tcp);
    st->tcp.data = st;
    st->server = s;
    list_append(&s->streams, &st->open_link);
    list_init(&st->drained_link);
    s->n_streams++;
    return st;
}

static void on_closed(uv_handle_t *h)
{
    struct stream *st = h->data;
    struct server *s = st->server;
    struct node_event ev = event_of(st, NODE_CONN_CLOSED, NODE_LINK_CLOSED);
    list_remove(&st->open_link);
    list_remove(&st->drained_link);
    s->n_streams--;
    if (st->pub)
        server_step(s, &ev);
    server_wake(s);
    secure_conn_close(&st->secure);
    buf_close(&st->sending);
    buf_close(&st->clear);
    free(st);
}

void stream_end(struct stream *st)
{
    if (st->ended)
        return;
    st->ended = true;
    if (st->sender)
        tree_sender_cancel(st->sender);
    uv_close((uv_handle_t *)&st->tcp, on_closed);
}

/* ---- Sending ---- */

static void on_written(uv_write_t *w, int status);

/* Hand what the socket did not take to libuv. */
static void write_rest(struct stream *st, struct buf *b)
{
    struct buf spare = st->sending;
    buf_reset(&spare);
    st->sending = *b;
    *b = spare;
    uv_buf_t rest = uv_buf_init((char *)st->sending.data, (unsigned)st->sending.len);
    st->write.data = st;
    st->writing = uv_write(&st->write, (uv_stream_t *)&st->tcp, &rest, 1, on_written) == 0;
    if (!st->writing)
        stream_end(st);
    else if (b == &st->pub->out)
        st->pub->in_flight = st->sending.len;
}

bool stream_write(struct stream *st, struct buf *b)
{
    while (b->len > 0) {
        uv_buf_t now = uv_buf_init((char *)b->data, (unsigned)MIN(b->len, 1u << 30));
        int n = uv_try_write((uv_stream_t *)&st->tcp, &now, 1);
        if (n == UV_EAGAIN) {
            write_rest(st, b);
            return false;
        }
        if (n < 0) {
            stream_end(st);
            return false;
        }
        buf_consume(b, (size_t)n);
    }
    return true;
}

void stream_send(struct stream *st)
{
    if (st->ended || st->writing)
        return;
    struct buf *out = st->secure.tls ? tls_conn_output(st->secure.tls) : &st->pub->out;
    bool all = st->secure.tls ? stream_tls_send(st) : !st->sender && stream_write(st, out);
    if (all && out->cap > OUT_KEEP_MAX)
        buf_close(out);
    if (st->closing && !st->writing)
        stream_end(st);
    else if (all && st->pub && st->pub->more && list_is_empty(&st->drained_link))
        list_append(&st->server->drained, &st->drained_link);
}

static void on_written(uv_write_t *w, int status)
{
    struct stream *st = w->data;
    if (st->ended)
        return;
    st->writing = false;
    st->pub->in_flight = 0;
    buf_reset(&st->sending);
    if (status != 0)
        stream_end(st);
    else if (st->sender && !st->secure.tls)
        tree_sender_go(st->sender);
    else
        stream_send(st);
}

void stream_send_tree(struct stream *st, const struct tree *t, size_t before)
{
    if (st->ended || st->closing)
        return;
    ensure(!st->sender);
    st->sender = tree_sender_start(st, t, before);
    if (!st->sender)
        stream_end(st);
    else if (st->secure.tls)
        stream_send(st);
    else if (!st->writing)
        tree_sender_go(st->sender);
}

void stream_close(struct stream *st)
{
    st->closing = true;
    st->deadline_ms = uv_now(&st->server->loop) + CLOSE_WAIT_MS;
    uv_read_stop((uv_stream_t *)&st->tcp);
    stream_send(st);
}

/* Say so of those that took all that was there, and have more to come. */
void streams_tell_drained(struct server *s)
{
    LIST_FOR_EACH_SAFE (st, &s->drained, struct stream, drained_link) {
        struct node_event ev = event_of(st, NODE_CONN_DRAINED, NODE_LINK_DRAINED);
        list_remove(&st->drained_link);
        if (!st->ended)
            server_step(s, &ev); /* what it has to send goes with the flush that follows */
    }
}

void streams_close_overdue(struct server *s)
{
    LIST_FOR_EACH (st, &s->streams, struct stream, open_link) {
        if ((st->deadline_ms != 0 && st->deadline_ms <= uv_now(&s->loop)) ||
            (st->sender && tree_sender_is_stuck(st->sender)))
            stream_end(st);
    }
}

void streams_end_all(struct server *s)
{
    LIST_FOR_EACH (st, &s->streams, struct stream, open_link)
        stream_end(st);
}

/* ---- Receiving ---- */

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
    struct stream *st = tcp->data;
    if (n < 0) {
        stream_end(st);
        return;
    }
    if (n == 0 || st->closing)
        return;
    int rc = 0;
    struct node_event ev = event_of(st, NODE_CONN_DATA, NODE_LINK_DATA);
    ev.data = slice_of(buf->base, (size_t)n);
    if (st->secure.tls)
        rc = stream_tls_receive(st, &ev.data);
    if (ev.data.len > 0 && !st->ended)
        server_step(st->server, &ev);
    if (rc != 0)
        stream_end(st);
    else if (st->pub->paused && !st->ended)
        uv_read_stop(tcp);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct stream *st = h->data;
    (void)suggested;
    *buf = uv_buf_init(st->server->read_buffer, READ_SIZE);
}

/* It may never have stopped: the node may pause a connection when nothing was read from it. */
void stream_resume(struct stream *st)
{
    if (st->ended || st->closing)
        return;
    int rc = uv_read_start((uv_stream_t *)&st->tcp, on_alloc, on_read);
    if (rc != 0 && rc != UV_EALREADY)
        stream_end(st);
}

/* ---- Opening ---- */

void stream_address(const struct stream *st, char *text, size_t size)
{
    char ip[INET6_ADDRSTRLEN];
    bool v6;
    int port = net_peer_address(&st->tcp, ip, &v6);
    snprintf(text, size, v6 ? "[%s]:%d" : "%s:%d", ip, port);
}

static void stream_open(struct stream *st, enum node_event_type type, bool to_leader)
{
    char address[64];
    stream_address(st, address, sizeof(address));
    uv_tcp_nodelay(&st->tcp, 1);
    if (st->server->config->keep_alive)
        uv_tcp_keepalive(&st->tcp, 1, 60);
    struct node_event ev = {.type = type, .owner = st, .address = address, .to_leader = to_leader};
    server_step(st->server, &ev);
    if (!st->pub->paused)
        stream_resume(st);
}

static void secure(struct stream *st, const struct secure_port *port)
{
    char ip[INET6_ADDRSTRLEN];
    bool v6;
    net_peer_address(&st->tcp, ip, &v6);
    secure_conn_accept(&st->secure, port, ip);
    if (port->rules)
        st->deadline_ms = uv_now(&st->server->loop) + port->handshake_ms;
}

void stream_accept(uv_stream_t *listener, int status, enum node_event_type type)
{
    const struct listener *l = container_of(listener, struct listener, tcp);
    if (status < 0) {
        log_warn("a connection could not be accepted: %s", uv_strerror(status));
        return;
    }
    struct stream *st = stream_new(listener->data);
    if (uv_accept(listener, (uv_stream_t *)&st->tcp) == 0) {
        secure(st, &l->secure);
        stream_open(st, type, false);
    } else {
        stream_end(st);
    }
}

void stream_open_leader(struct server *s, int fd, const char *host)
{
    struct stream *st = stream_new(s);
    if (uv_tcp_open(&st->tcp, fd) != 0) {
        close(fd);
        stream_end(st);
        return;
    }
    if (s->config->quorum_secure) {
        secure_conn_connect(&st->secure, &s->secure.servers, host);
        st->deadline_ms = uv_now(&s->loop) + (uint64_t)s->config->quorum_tls.handshake_ms;
    }
    stream_open(st, NODE_LINK_OPENED, true);
    if (st->secure.tls)
        stream_send(st);
}

void stream_opened(const struct node_event *event)
{
    struct stream *st = event->owner;
    st->conn = event->conn;
    st->link = event->link;
    st->pub = st->link ? node_link_public(st->link) : node_conn_public(st->conn);
}
