/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Four-letter words: a connection of its own, a word, and all that comes until the server closes
 * it. */
#include "client_impl.h"

#include <limits.h>
#include <stdlib.h>

enum {
    TEXT_MAX = 1 << 20,
};

struct word {
    struct conn_user user;
    struct client_conn *conn;
    uv_timer_t timer;
    struct buf out;
    struct buf text;
    client_done *done;
    void *arg;
};

static void on_timer_closed(uv_handle_t *handle)
{
    struct word *w = handle->data;
    buf_close(&w->out);
    buf_close(&w->text);
    free(w);
}

/* A server may close with unread bytes, which looks like a reset: the text counts. */
static void word_done(struct word *w)
{
    const struct client_reply reply = {.err = w->text.len > 0 ? 0 : ZK_CONNECTIONLOSS,
                                       .body = buf_slice(&w->text)};
    client_conn_drop(w->conn);
    uv_close((uv_handle_t *)&w->timer, on_timer_closed);
    w->done(w->arg, &reply);
}

static void on_connected(struct conn_user *user)
{
    struct word *w = container_of(user, struct word, user);
    client_conn_write(w->conn, &w->out);
}

static void on_bytes(struct conn_user *user, struct slice bytes)
{
    struct word *w = container_of(user, struct word, user);
    buf_append(&w->text, bytes.data, slice_size(bytes));
    if (w->text.len >= TEXT_MAX)
        word_done(w);
}

static void on_lost(struct conn_user *user, const char *why)
{
    (void)why;
    word_done(container_of(user, struct word, user));
}

static void on_timer(uv_timer_t *timer)
{
    struct word *w = timer->data;
    buf_reset(&w->text);
    word_done(w);
}

int client_four_letter(uv_loop_t *loop, struct tls_context *tls, const char *host_port,
                       const char *word, int timeout_ms, client_done *done, void *arg,
                       struct err *e)
{
    struct client_hosts hosts;
    int rc = client_hosts_parse(&hosts, host_port, e);
    if (rc != 0)
        return rc;
    struct word *w = mem_zalloc(sizeof(*w));
    w->user.loop = loop;
    w->user.tls = tls;
    w->user.on_connected = on_connected;
    w->user.on_bytes = on_bytes;
    w->user.on_lost = on_lost;
    w->user.reads_left = UINT_MAX;
    w->done = done;
    w->arg = arg;
    buf_append(&w->out, word, strlen(word));
    uv_timer_init(loop, &w->timer);
    w->timer.data = w;
    uv_update_time(loop);
    uv_timer_start(&w->timer, on_timer, (uint64_t)timeout_ms, 0);
    w->conn = client_conn_open(&w->user, hosts.host_port[0], 0);
    client_hosts_close(&hosts);
    return 0;
}
