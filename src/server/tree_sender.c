/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tree of one moment to a learner, from a forked child that writes to the socket itself: first
 * what the link had to send, then the tree and the signature. The child waits for a byte of the
 * parent before it writes, since libuv may still be at what came before.
 *
 * The socket is one and the same in both, so that it stays non-blocking for the child too.
 *
 * With TLS the child has a pipe in place of the socket, and the parent encrypts what comes out of
 * it, as fast as the socket takes it. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
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
    uv_os_fd_t socket; /* or the child's end of the pipe */
    uv_pipe_t pipe;
    bool piped;
    bool child_ended;
    bool pipe_ended;
    uint64_t started_ms;
    uint64_t moved_ms; /* with TLS: when the socket last took something */
    int stall_ms;      /* the learner takes something in that time */
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
        else if ((n = poll(&p, 1, ts->stall_ms)) == 0)
            return -ETIMEDOUT;
        else if (n < 0 && errno != EINTR)
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

static void on_pipe_closed(uv_handle_t *h)
{
    sender_free(h->data);
}

/* When the child is gone and all that it wrote has been sent. */
static void finish(struct tree_sender *ts)
{
    struct child *child = &ts->child;
    if (!ts->child_ended || (ts->piped && !ts->pipe_ended))
        return;
    if (ts->stream)
        tell(ts->stream, &child->report, uv_now(child->poll.loop) - ts->started_ms);
    if (ts->piped)
        uv_close((uv_handle_t *)&ts->pipe, on_pipe_closed);
    else
        sender_free(ts);
}

static void on_ended(struct child *child)
{
    struct tree_sender *ts = container_of(child, struct tree_sender, child);
    ts->child_ended = true;
    finish(ts);
}

/* ---- With TLS ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct tree_sender *ts = h->data;
    (void)suggested;
    *buf = uv_buf_init(ts->stream->server->read_buffer, READ_SIZE);
}

static void on_piece(uv_stream_t *pipe, ssize_t n, const uv_buf_t *buf)
{
    struct tree_sender *ts = pipe->data;
    if (n == 0)
        return;
    uv_read_stop(pipe);
    if (n > 0) {
        buf_append(&ts->stream->clear, buf->base, (size_t)n);
        stream_send(ts->stream);
    } else {
        ts->pipe_ended = true;
        finish(ts);
    }
}

void tree_sender_more(struct tree_sender *ts)
{
    ts->moved_ms = uv_now(&ts->stream->server->loop);
    if (!ts->pipe_ended)
        uv_read_start((uv_stream_t *)&ts->pipe, on_alloc, on_piece);
}

/* The child's end, or a negative errno. */
static int open_pipe(struct tree_sender *ts, uv_loop_t *loop)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -errno;
    uv_pipe_init(loop, &ts->pipe, 0);
    ts->pipe.data = ts;
    ts->piped = true;
    if (uv_pipe_open(&ts->pipe, fds[0]) != 0)
        ensure(!"a new socket can be opened");
    return fds[1];
}

/* ---- Its life ---- */

static int start_child(struct tree_sender *ts, struct stream *st)
{
    uv_loop_t *loop = &st->server->loop;
    if (!st->secure.tls) {
        uv_fileno((uv_handle_t *)&st->tcp, &ts->socket);
        return child_start(&ts->child, loop, ts->socket, child_run, ts, on_ended);
    }
    ts->socket = open_pipe(ts, loop);
    if (ts->socket < 0)
        return ts->socket;
    int rc = child_start(&ts->child, loop, ts->socket, child_run, ts, on_ended);
    close(ts->socket);
    if (rc == 0)
        tree_sender_go(ts);
    return rc;
}

struct tree_sender *tree_sender_start(struct stream *st, const struct tree *t, size_t before)
{
    struct tree_sender *ts = mem_zalloc(sizeof(*ts));
    ts->stream = st;
    ts->tree = t;
    ts->started_ms = ts->moved_ms = uv_now(&st->server->loop);
    ts->stall_ms = (int)(st->server->config->init_limit * st->server->config->tick_ms);
    ensure(before <= st->pub->out.len);
    buf_append(&ts->before, st->pub->out.data, before);
    buf_reserve(&ts->piece, PIECE_SIZE);
    int rc = start_child(ts, st);
    if (rc != 0) {
        log_error("no process to send the tree to a learner: %s", strerror(-rc));
        if (ts->piped)
            uv_close((uv_handle_t *)&ts->pipe, on_pipe_closed);
        else
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

bool tree_sender_is_stuck(const struct tree_sender *ts)
{
    return ts->piped && uv_now(&ts->stream->server->loop) - ts->moved_ms > (uint64_t)ts->stall_ms;
}

void tree_sender_cancel(struct tree_sender *ts)
{
    ts->stream = NULL;
    ts->pipe_ended = true;
    if (ts->piped)
        uv_read_stop((uv_stream_t *)&ts->pipe);
    child_kill(&ts->child);
    if (ts->child_ended)
        finish(ts);
}
