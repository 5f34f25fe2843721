/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stream that speaks TLS. Of what it has to send, one piece at a time is encrypted, and the next
 * when the socket has taken that, so that a slow reader costs its output once and no more.
 *
 * A tree that is sent comes from its child through a pipe, as the connection's keys have to move on
 * in this process; it is read when what came before is through. */
#include <errno.h>

#include "server.h"

enum {
    PIECE_SIZE = 128 << 10,
};

static void log_failure(const struct stream *st, const struct err *e)
{
    char address[64];
    stream_address(st, address, sizeof(address));
    log_line(st->link ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "%s: %s", address, e->text);
}

/* The handshake is through, or there is none. */
static void on_ready(struct stream *st)
{
    struct tls_conn *tls = st->secure.tls;
    struct node_event ev = {
        .type = NODE_CONN_SECURED, .conn = st->conn, .x509 = tls ? tls_conn_subject(tls) : NULL};
    st->deadline_ms = 0;
    if (st->conn && ev.x509)
        server_step(st->server, &ev);
}

int stream_tls_receive(struct stream *st, struct slice *data)
{
    struct err e;
    bool was_ready = secure_conn_ready(&st->secure);
    int rc = secure_conn_receive(&st->secure, data, &st->server->plain, &e);
    bool ready = !was_ready && secure_conn_ready(&st->secure);
    if (rc != 0 && rc != -EPIPE)
        log_failure(st, &e);
    if (ready)
        on_ready(st);
    if (!st->ended && (ready || (st->secure.tls && tls_conn_output(st->secure.tls)->len > 0)))
        stream_send(st);
    return rc;
}

static bool encrypt(struct stream *st, struct slice plain)
{
    struct err e;
    if (tls_conn_send(st->secure.tls, plain, &e) == 0)
        return true;
    log_failure(st, &e);
    stream_end(st);
    return false;
}

/* Something to encrypt, if there is more: from the tree that is sent, or what the node has put
 * out meanwhile. */
static bool refill(struct stream *st)
{
    struct buf spare = st->clear;
    buf_reset(&spare);
    st->clear_at = 0;
    if (spare.cap > OUT_KEEP_MAX)
        buf_close(&spare);
    if (st->sender) {
        st->clear = spare;
        tree_sender_more(st->sender);
        return false;
    }
    st->clear = st->pub->out;
    st->pub->out = spare;
    return st->clear.len > 0;
}

/* True if there is more to be written. */
static bool encrypt_next(struct stream *st)
{
    if (st->clear_at == st->clear.len && !refill(st)) {
        if (st->closing)
            tls_conn_end(st->secure.tls);
        return tls_conn_output(st->secure.tls)->len > 0;
    }
    st->pub->in_flight = st->clear.len - st->clear_at;
    size_t n = MIN(st->pub->in_flight, PIECE_SIZE);
    if (!encrypt(st, slice_of(st->clear.data + st->clear_at, n)))
        return false;
    st->clear_at += n;
    return true;
}

bool stream_tls_send(struct stream *st)
{
    for (;;) {
        if (!stream_write(st, tls_conn_output(st->secure.tls)))
            return false;
        st->pub->in_flight = st->clear.len - st->clear_at;
        if (!secure_conn_ready(&st->secure))
            return false;
        if (!encrypt_next(st))
            return !st->ended && !st->sender;
    }
}
