/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a stream has to send is written when the turn of the loop ends, in one system call; what
 * the socket does not take then is handed to libuv, and more gathers in pub->out until it is
 * through. */
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
    buf_close(&st->sending);
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
static void write_rest(struct stream *st)
{
    struct buf spare = st->sending;
    buf_reset(&spare);
    st->sending = st->pub->out;
    st->pub->out = spare;
    st->pub->in_flight = st->sending.len;
    uv_buf_t b = uv_buf_init((char *)st->sending.data, (unsigned)st->sending.len);
    st->write.data = st;
    if (uv_write(&st->write, (uv_stream_t *)&st->tcp, &b, 1, on_written) != 0) {
        st->pub->in_flight = 0;
        stream_end(st);
    }
}

void stream_send(struct stream *st)
{
    struct buf *out = &st->pub->out;
    if (st->ended || st->sender || st->pub->in_flight > 0)
        return;
    while (out->len > 0) {
        uv_buf_t b = uv_buf_init((char *)out->data, (unsigned)MIN(out->len, 1u << 30));
        int n = uv_try_write((uv_stream_t *)&st->tcp, &b, 1);
        if (n == UV_EAGAIN) {
            write_rest(st);
            return;
        }
        if (n < 0) {
            stream_end(st);
            return;
        }
        buf_consume(out, (size_t)n);
    }
    if (out->cap > OUT_KEEP_MAX)
        buf_close(out);
    if (st->closing)
        stream_end(st);
    else if (st->conn && st->pub->more && list_is_empty(&st->drained_link))
        list_append(&st->server->drained, &st->drained_link);
}

static void on_written(uv_write_t *w, int status)
{
    struct stream *st = w->data;
    if (st->ended)
        return;
    st->pub->in_flight = 0;
    buf_reset(&st->sending);
    if (status != 0)
        stream_end(st);
    else if (st->sender)
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
    else if (st->pub->in_flight == 0)
        tree_sender_go(st->sender);
}

void stream_close(struct stream *st)
{
    st->closing = true;
    st->close_deadline_ms = uv_now(&st->server->loop) + CLOSE_WAIT_MS;
    uv_read_stop((uv_stream_t *)&st->tcp);
    stream_send(st);
    if (st->pub->in_flight == 0)
        stream_end(st);
}

/* Say so of those that took all that was there, and have more to come. */
void streams_tell_drained(struct server *s)
{
    LIST_FOR_EACH_SAFE (st, &s->drained, struct stream, drained_link) {
        struct node_event ev = {.type = NODE_CONN_DRAINED, .conn = st->conn};
        list_remove(&st->drained_link);
        if (!st->ended)
            server_step(s, &ev); /* what it has to send goes with the flush that follows */
    }
}

void streams_close_overdue(struct server *s)
{
    LIST_FOR_EACH (st, &s->streams, struct stream, open_link) {
        if (st->closing && st->close_deadline_ms <= uv_now(&s->loop))
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
    struct node_event ev = event_of(st, NODE_CONN_DATA, NODE_LINK_DATA);
    ev.data = slice_of(buf->base, (size_t)n);
    server_step(st->server, &ev);
    if (st->pub->paused && !st->ended)
        uv_read_stop(tcp);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct stream *st = h->data;
    (void)suggested;
    *buf = uv_buf_init(st->server->read_buffer, READ_SIZE);
}

void stream_resume(struct stream *st)
{
    if (!st->ended && !st->closing &&
        uv_read_start((uv_stream_t *)&st->tcp, on_alloc, on_read) != 0)
        stream_end(st);
}

/* ---- Opening ---- */

/* "1.2.3.4:5" or "[::1]:5"; an IPv4 address that came in over IPv6 as itself. */
static void address_text(uv_tcp_t *tcp, char *text, size_t size)
{
    struct sockaddr_storage ss;
    char ip[INET6_ADDRSTRLEN] = "?";
    int len = sizeof(ss), port = 0;
    bool v6 = false;
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&ss, &len) == 0) {
        if (ss.ss_family == AF_INET6) {
            const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;
            v6 = !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
            port = ntohs(in6->sin6_port);
            if (v6)
                uv_inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
            else
                uv_inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, ip, sizeof(ip));
        } else {
            const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;
            port = ntohs(in->sin_port);
            uv_inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
        }
    }
    snprintf(text, size, v6 ? "[%s]:%d" : "%s:%d", ip, port);
}

static void stream_open(struct stream *st, enum node_event_type type, bool to_leader)
{
    char address[64];
    address_text(&st->tcp, address, sizeof(address));
    uv_tcp_nodelay(&st->tcp, 1);
    if (st->server->config->keep_alive)
        uv_tcp_keepalive(&st->tcp, 1, 60);
    struct node_event ev = {.type = type, .owner = st, .address = address, .to_leader = to_leader};
    server_step(st->server, &ev);
    if (!st->pub->paused)
        stream_resume(st);
}

void stream_accept(uv_stream_t *listener, int status, enum node_event_type type)
{
    if (status < 0) {
        log_warn("a connection could not be accepted: %s", uv_strerror(status));
        return;
    }
    struct stream *st = stream_new(listener->data);
    if (uv_accept(listener, (uv_stream_t *)&st->tcp) == 0)
        stream_open(st, type, false);
    else
        stream_end(st);
}

void stream_open_leader(struct server *s, int fd)
{
    struct stream *st = stream_new(s);
    if (uv_tcp_open(&st->tcp, fd) == 0) {
        stream_open(st, NODE_LINK_OPENED, true);
    } else {
        close(fd);
        stream_end(st);
    }
}

void stream_opened(const struct node_event *event)
{
    struct stream *st = event->owner;
    st->conn = event->conn;
    st->link = event->link;
    st->pub = st->link ? node_link_public(st->link) : node_conn_public(st->conn);
}
