/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One TCP connection to one host: resolve its name, try its addresses one after the other, shake
 * hands if it speaks TLS, read, write.
 *
 * libuv may still hold a handle or a request when the user has no more use for the connection.
 * So each has memory of its own; dropping it cuts the tie to the user, and the last callback
 * frees it. */
#include "client_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct client_conn {
    struct conn_user *user; /* NULL: dropped */
    char host_port[CLIENT_SERVER_SIZE];
    const char *host; /* in it */
    unsigned attempt;
    uv_getaddrinfo_t resolve;
    struct addrinfo *addresses; /* of the name, NULL before the answer */
    unsigned n_addresses, n_tried;
    bool resolving, connected, writing;
    uv_tcp_t tcp;
    bool tcp_open;
    uv_connect_t connect;
    uv_write_t write;
    struct buf rest; /* being written in the background */
    struct tls_conn *tls;
    struct buf plain; /* of what was read now, with TLS */
};

static void try_address(struct client_conn *conn);

static void conn_free_if_idle(struct client_conn *conn)
{
    if (conn->user || conn->resolving || conn->tcp_open)
        return;
    uv_freeaddrinfo(conn->addresses);
    tls_conn_close(conn->tls);
    buf_close(&conn->plain);
    buf_close(&conn->rest);
    free(conn);
}

static void on_tcp_closed(uv_handle_t *handle)
{
    struct client_conn *conn = handle->data;
    conn->tcp_open = false;
    if (conn->user)
        try_address(conn);
    else
        conn_free_if_idle(conn);
}

static void conn_lost(struct client_conn *conn, const char *why)
{
    if (conn->user)
        conn->user->on_lost(conn->user, why);
}

/* ---- Reading and writing ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct client_conn *conn = handle->data;
    *buf = uv_buf_init(NULL, 0); /* not now: UV_ENOBUFS */
    if (!conn->user || conn->user->reads_left == 0)
        return;
    conn->user->reads_left--;
    *buf = uv_buf_init((char *)conn->user->read_buf, CLIENT_READ_SIZE);
}

static void write_out(struct client_conn *conn, struct buf *out);

/* TLS: what the other side says, behind the handshake. */
static void receive_encrypted(struct client_conn *conn, struct slice bytes)
{
    struct err e;
    buf_reset(&conn->plain);
    int rc = tls_conn_receive(conn->tls, bytes, &conn->plain, &e);
    if (!conn->writing)
        write_out(conn, tls_conn_output(conn->tls));
    if (conn->user && !conn->connected && tls_conn_ready(conn->tls)) {
        conn->connected = true;
        conn->user->on_connected(conn->user);
    }
    if (conn->user && conn->plain.len > 0)
        conn->user->on_bytes(conn->user, buf_slice(&conn->plain));
    if (rc != 0)
        conn_lost(conn, rc == -EPIPE ? "closed by the server" : e.text);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client_conn *conn = stream->data;
    if (n > 0 && conn->tls)
        receive_encrypted(conn, slice_of(buf->base, (size_t)n));
    else if (n > 0 && conn->user)
        conn->user->on_bytes(conn->user, slice_of(buf->base, (size_t)n));
    else if (n < 0 && n != UV_ENOBUFS)
        conn_lost(conn, n == UV_EOF ? "closed by the server" : uv_strerror((int)n));
}

static void on_written(uv_write_t *req, int status)
{
    struct client_conn *conn = req->data;
    conn->writing = false;
    buf_reset(&conn->rest);
    if (status < 0)
        conn_lost(conn, uv_strerror(status));
    else if (conn->tls && conn->user)
        write_out(conn, tls_conn_output(conn->tls));
}

void client_conn_write(struct client_conn *conn, struct buf *out)
{
    struct err e;
    if (!conn->connected || conn->writing || out->len == 0)
        return;
    if (!conn->tls) {
        write_out(conn, out);
    } else if (tls_conn_send(conn->tls, buf_slice(out), &e) == 0) {
        buf_reset(out);
        write_out(conn, tls_conn_output(conn->tls));
    } else {
        conn_lost(conn, e.text);
    }
}

static void write_out(struct client_conn *conn, struct buf *out)
{
    if (out->len == 0)
        return;
    uv_buf_t b = uv_buf_init((char *)out->data, (unsigned)MIN(out->len, INT32_MAX));
    int n = uv_try_write((uv_stream_t *)&conn->tcp, &b, 1);
    if (n == UV_EAGAIN)
        n = 0;
    if (n < 0) {
        conn_lost(conn, uv_strerror(n));
        return;
    }
    if ((size_t)n < out->len) {
        buf_append(&conn->rest, out->data + n, out->len - (size_t)n);
        b = uv_buf_init((char *)conn->rest.data, (unsigned)conn->rest.len);
        conn->write.data = conn;
        conn->writing = uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &b, 1, on_written) == 0;
        ensure(conn->writing);
    }
    buf_reset(out);
}

/* ---- Connecting ---- */

static void on_connect(uv_connect_t *req, int status)
{
    struct client_conn *conn = req->data;
    if (!conn->user)
        return;
    if (status < 0) {
        conn->n_tried++;
        if (conn->n_tried < conn->n_addresses)
            uv_close((uv_handle_t *)&conn->tcp, on_tcp_closed);
        else
            conn_lost(conn, uv_strerror(status));
        return;
    }
    uv_tcp_nodelay(&conn->tcp, 1);
    status = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
    if (status < 0) {
        conn_lost(conn, uv_strerror(status));
    } else if (conn->user->tls) {
        conn->tls = tls_conn_open(conn->user->tls, TLS_CLIENT, conn->host);
        write_out(conn, tls_conn_output(conn->tls));
    } else {
        conn->connected = true;
        conn->user->on_connected(conn->user);
    }
}

/* Another attempt begins with another address, so that one that swallows packets is not
 * the only one that is ever tried. */
static const struct addrinfo *next_address(const struct client_conn *conn)
{
    const struct addrinfo *a = conn->addresses;
    for (unsigned skip = (conn->attempt + conn->n_tried) % conn->n_addresses; skip > 0; skip--)
        a = a->ai_next;
    return a;
}

static void try_address(struct client_conn *conn)
{
    int rc = uv_tcp_init(conn->user->loop, &conn->tcp);
    conn->tcp.data = conn;
    conn->connect.data = conn;
    conn->tcp_open = rc == 0;
    if (rc == 0)
        rc = uv_tcp_connect(&conn->connect, &conn->tcp, next_address(conn)->ai_addr, on_connect);
    if (rc < 0)
        conn_lost(conn, uv_strerror(rc));
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct client_conn *conn = req->data;
    conn->resolving = false;
    conn->addresses = res;
    if (!conn->user) {
        conn_free_if_idle(conn);
        return;
    }
    if (status < 0) {
        conn_lost(conn, uv_strerror(status));
        return;
    }
    for (const struct addrinfo *a = res; a; a = a->ai_next)
        conn->n_addresses++;
    try_address(conn);
}

struct client_conn *client_conn_open(struct conn_user *user, const char *host_port,
                                     unsigned attempt)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct client_conn *conn = mem_zalloc(sizeof(*conn));
    conn->user = user;
    conn->attempt = attempt;
    snprintf(conn->host_port, sizeof(conn->host_port), "%s", host_port);
    char *port = strrchr(conn->host_port, ':');
    *port++ = '\0';
    char *host = conn->host_port;
    if (*host == '[') {
        host[strlen(host) - 1] = '\0';
        host++;
    }
    conn->host = host;
    conn->resolve.data = conn;
    conn->resolving =
        uv_getaddrinfo(user->loop, &conn->resolve, on_resolved, host, port, &hints) == 0;
    return conn;
}

void client_conn_drop(struct client_conn *conn)
{
    conn->user = NULL;
    if (conn->resolving)
        uv_cancel((uv_req_t *)&conn->resolve);
    if (conn->tcp_open && !uv_is_closing((uv_handle_t *)&conn->tcp))
        uv_close((uv_handle_t *)&conn->tcp, on_tcp_closed);
    conn_free_if_idle(conn);
}
