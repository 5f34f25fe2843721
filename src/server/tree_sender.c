/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tree of one moment to a learner, from a forked child that writes to the socket itself: first
 * what the link had to send, then the tree and the signature. The child waits for a byte of the
 * parent before it writes, since libuv may still be at what came before.
 *
 * The socket is one and the same in both, so that it stays non-blocking for the child too. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "child.h"
#include "server.h"
#include "zab/jute.h"

#define SIGNATURE "BenWasHere"

enum {
    PIECE_SIZE = 128 << 10,
};

struct tree_sender {
    struct child child;
    struct stream *stream; /* NULL: nobody waits for it any more */
    const struct tree *tree;
    struct buf before; /* what the link has to send before the tree */
    struct buf piece;  /* made before the fork */
    uv_os_fd_t socket;
    uint64_t started_ms;
};

static void sender_free(struct tree_sender *ts)
{
    buf_close(&ts->before);
    buf_close(&ts->piece);
    free(ts);
}

static int write_piece(struct tree_sender *ts, struct buf *b)
{
    size_t done = 0;
    while (done < b->len) {
        struct pollfd p = {.fd = ts->socket, .events = POLLOUT};
        ssize_t n = write(ts->socket, b->data + done, b->len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            return -errno;
        else if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return -errno;
    }
    buf_reset(b);
    return 0;
}

static void child_run(void *arg, int fd, struct child_report *r)
{
    struct tree_sender *ts = arg;
    struct tree_dump dump;
    bool more = true;
    char go;
    if (read(fd, &go, 1) != 1)
        _exit(1);
    r->rc = write_piece(ts, &ts->before);
    tree_dump_begin(&dump, ts->tree);
    while (r->rc == 0 && more) {
        more = tree_dump_next(&dump, &ts->piece);
        if (!more)
            jute_write_buffer(&ts->piece, slice_str(SIGNATURE));
        r->bytes += ts->piece.len;
        r->rc = write_piece(ts, &ts->piece);
    }
    if (r->rc != 0)
        snprintf(r->text, sizeof(r->text), "%s", strerror(-r->rc));
}

static void tell(struct stream *st, const struct child_report *r, uint64_t took_ms)
{
    st->sender = NULL;
    if (r->rc != 0) {
        log_warn("a learner did not take the tree: %s; its connection is closed", r->text);
        stream_end(st);
        return;
    }
    log_info("a learner took the tree: %" PRIu64 " bytes in %" PRIu64 " ms", r->bytes, took_ms);
    struct node_event ev = {.type = NODE_TREE_SENT, .link = st->link};
    server_step(st->server, &ev);
    stream_send(st);
    server_wake(st->server);
}

static void on_ended(struct child *child)
{
    struct tree_sender *ts = container_of(child, struct tree_sender, child);
    if (ts->stream)
        tell(ts->stream, &child->report, uv_now(child->poll.loop) - ts->started_ms);
    sender_free(ts);
}

struct tree_sender *tree_sender_start(struct stream *st, const struct tree *t, size_t before)
{
    struct tree_sender *ts = mem_zalloc(sizeof(*ts));
    ts->stream = st;
    ts->tree = t;
    ts->started_ms = uv_now(&st->server->loop);
    ensure(before <= st->pub->out.len);
    buf_append(&ts->before, st->pub->out.data, before);
    buf_reserve(&ts->piece, PIECE_SIZE);
    uv_fileno((uv_handle_t *)&st->tcp, &ts->socket);
    int rc = child_start(&ts->child, &st->server->loop, ts->socket, child_run, ts, on_ended);
    if (rc != 0) {
        log_error("no process to send the tree to a learner: %s", strerror(-rc));
        sender_free(ts);
        return NULL;
    }
    buf_consume(&st->pub->out, before);
    return ts;
}

void tree_sender_go(struct tree_sender *ts)
{
    if (write(ts->child.fd, "", 1) != 1)
        log_warn("the process that sends the tree to a learner is gone");
}

void tree_sender_cancel(struct tree_sender *ts)
{
    ts->stream = NULL;
    child_kill(&ts->child);
}
