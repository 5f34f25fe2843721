/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Client connections. What a connection has to send is written when the turn of the loop ends, in
 * one system call; what the socket does not take then is handed to libuv, and more gathers in
 * conn->out until it is through. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "server.h"

struct conn {
    uv_tcp_t tcp;
    struct list link;
    struct list drained_link; /* server.drained */
    struct server *server;
    struct node_conn *node;
    struct node_conn_public *pub;
    uv_write_t write;
    struct buf sending; /* what libuv writes now, of which pub->in_flight counts */
    bool closing;       /* ends when all is sent, or overdue */
    bool ended;         /* uv_close() was called */
    uint64_t close_deadline_ms;
};

static struct conn *conn_of(struct node_conn *node)
{
    return node_conn_public(node)->owner;
}

static void on_closed(uv_handle_t *h)
{
    struct conn *c = h->data;
    struct node_event ev = {.type = NODE_CONN_CLOSED, .conn = c->node};
    list_remove(&c->link);
    list_remove(&c->drained_link);
    c->server->n_conns--;
    server_step(c->server, &ev);
    buf_close(&c->sending);
    free(c);
}

static void conn_end(struct conn *c)
{
    if (c->ended)
        return;
    c->ended = true;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_written(uv_write_t *w, int status);

/* Hand what the socket did not take to libuv. */
static void conn_write_rest(struct conn *c)
{
    struct buf spare = c->sending;
    buf_reset(&spare);
    c->sending = c->pub->out;
    c->pub->out = spare;
    c->pub->in_flight = c->sending.len;
    uv_buf_t b = uv_buf_init((char *)c->sending.data, (unsigned)c->sending.len);
    c->write.data = c;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0) {
        c->pub->in_flight = 0;
        conn_end(c);
    }
}

static void conn_send(struct conn *c)
{
    struct buf *out = &c->pub->out;
    if (c->ended || c->pub->in_flight > 0)
        return;
    while (out->len > 0) {
        uv_buf_t b = uv_buf_init((char *)out->data, (unsigned)MIN(out->len, 1u << 30));
        int n = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
        if (n == UV_EAGAIN) {
            conn_write_rest(c);
            return;
        }
        if (n < 0) {
            conn_end(c);
            return;
        }
        buf_consume(out, (size_t)n);
    }
    if (out->cap > OUT_KEEP_MAX)
        buf_close(out);
    if (c->closing)
        conn_end(c);
    else if (c->pub->more && list_is_empty(&c->drained_link))
        list_append(&c->server->drained, &c->drained_link);
}

static void on_written(uv_write_t *w, int status)
{
    struct conn *c = w->data;
    if (c->ended)
        return;
    c->pub->in_flight = 0;
    buf_reset(&c->sending);
    if (status != 0) {
        conn_end(c);
        return;
    }
    conn_send(c);
}

/* Say so of those that took all that was there, and have more to come. */
void net_tell_drained(struct server *s)
{
    LIST_FOR_EACH_SAFE (c, &s->drained, struct conn, drained_link) {
        struct node_event ev = {.type = NODE_CONN_DRAINED, .conn = c->node};
        list_remove(&c->drained_link);
        if (!c->ended)
            server_step(s, &ev); /* what it has to send goes with the flush that follows */
    }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = h->data;
    (void)suggested;
    *buf = uv_buf_init(c->server->read_buffer, READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (n < 0) {
        conn_end(c);
        return;
    }
    if (n == 0 || c->closing)
        return;
    struct node_event ev = {
        .type = NODE_CONN_DATA, .conn = c->node, .data = slice_of(buf->base, (size_t)n)};
    server_step(c->server, &ev);
    if (c->pub->paused && !c->ended)
        uv_read_stop(stream);
}

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

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;
    if (status < 0) {
        log_warn("a connection could not be accepted: %s", uv_strerror(status));
        return;
    }
    struct conn *c = mem_zalloc(sizeof(*c));
    char address[64];
    uv_tcp_init(&s->loop, &c->tcp);
    c->tcp.data = c;
    c->server = s;
    list_append(&s->conns, &c->link);
    list_init(&c->drained_link);
    s->n_conns++;
    int rc = uv_accept(listener, (uv_stream_t *)&c->tcp);
    address_text(&c->tcp, address, sizeof(address));
    uv_tcp_nodelay(&c->tcp, 1);
    if (s->config->keep_alive)
        uv_tcp_keepalive(&c->tcp, 1, 60);
    struct node_event ev = {.type = NODE_CONN_OPENED, .owner = c, .address = address};
    server_step(s, &ev);
    if (rc != 0 || c->ended || c->closing ||
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        conn_end(c);
}

void net_opened(void *owner, struct node_conn *node)
{
    struct conn *c = owner;
    c->node = node;
    c->pub = node_conn_public(node);
}

void net_send(struct node_conn *node)
{
    conn_send(conn_of(node));
}

void net_close(struct node_conn *node)
{
    struct conn *c = conn_of(node);
    c->closing = true;
    c->close_deadline_ms = uv_now(&c->server->loop) + CLOSE_WAIT_MS;
    uv_read_stop((uv_stream_t *)&c->tcp);
    conn_send(c);
    if (c->pub->in_flight == 0)
        conn_end(c);
}

void net_resume(struct node_conn *node)
{
    struct conn *c = conn_of(node);
    if (!c->ended && !c->closing && uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        conn_end(c);
}

void net_close_overdue(struct server *s)
{
    LIST_FOR_EACH (c, &s->conns, struct conn, link) {
        if (c->closing && c->close_deadline_ms <= uv_now(&s->loop))
            conn_end(c);
    }
}

void net_close_all(struct server *s)
{
    LIST_FOR_EACH (c, &s->conns, struct conn, link)
        conn_end(c);
}

static int bind_to(struct server *s, const char *host, int family, struct err *e)
{
    struct addrinfo hints = {
        .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *ai = NULL;
    char port[16];
    snprintf(port, sizeof(port), "%d", (int)s->config->client_port);
    int rc = getaddrinfo(host, port, &hints, &ai);
    if (rc != 0)
        return err_set(e, -EADDRNOTAVAIL, "clientPortAddress %s: %s", host ? host : "",
                       gai_strerror(rc));
    uv_tcp_init(&s->loop, &s->listener);
    s->listener.data = s;
    rc = uv_tcp_bind(&s->listener, ai->ai_addr, 0);
    freeaddrinfo(ai);
    int backlog = s->config->backlog < 0 ? 4096 : (int)s->config->backlog;
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&s->listener, backlog, on_connection);
    if (rc != 0) {
        uv_close((uv_handle_t *)&s->listener, NULL);
        uv_run(&s->loop, UV_RUN_NOWAIT);
        return err_set(
            e, rc,
            "cannot listen on port %s of %s: %s; choose another clientPort or stop what uses it",
            port, host ? host : "all addresses", uv_strerror(rc));
    }
    return 0;
}

int net_listen(struct server *s, struct err *e)
{
    if (s->config->client_address)
        return bind_to(s, s->config->client_address, AF_UNSPEC, e);
    int rc = bind_to(s, NULL, AF_INET6, e);
    return rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL ? bind_to(s, NULL, AF_INET, e) : rc;
}
