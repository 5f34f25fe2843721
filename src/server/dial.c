/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sockets are the kernel's own, watched by a poll handle, so that a failed address costs no
 * stream handle and the one that answers can become whatever the caller likes. */
#include "dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zab/base.h"

struct dial {
    uv_getaddrinfo_t resolve;
    uv_poll_t poll;
    uv_timer_t timer;
    struct addrinfo *addresses, *next;
    int fd; /* -1: none; else the poll handle is its */
    int rc; /* why the last address failed */
    uint64_t timeout_ms;
    bool resolving;
    void (*done)(void *arg, int fd);
    void *arg;
};

static void dial_next(struct dial *d);

static void dial_free(struct dial *d)
{
    uv_freeaddrinfo(d->addresses);
    free(d);
}

static void on_timer_closed(uv_handle_t *h)
{
    dial_free(h->data);
}

static void dial_end(struct dial *d, int fd)
{
    void (*done)(void *arg, int fd) = d->done;
    void *arg = d->arg;
    d->done = NULL;
    uv_close((uv_handle_t *)&d->timer, on_timer_closed);
    if (done)
        done(arg, fd);
    else if (fd >= 0)
        close(fd);
}

/* Not before: the next address uses the handle again, and the socket is not another's. */
static void on_poll_closed(uv_handle_t *h)
{
    struct dial *d = h->data;
    int fd = d->fd;
    d->fd = -1;
    if (d->rc == 0) {
        dial_end(d, fd);
        return;
    }
    close(fd);
    dial_next(d);
}

static void attempt_end(struct dial *d, int rc)
{
    d->rc = rc;
    uv_timer_stop(&d->timer);
    if (!uv_is_closing((uv_handle_t *)&d->poll))
        uv_close((uv_handle_t *)&d->poll, on_poll_closed);
}

static void on_timeout(uv_timer_t *timer)
{
    attempt_end(timer->data, -ETIMEDOUT);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct dial *d = poll->data;
    int error = 0;
    socklen_t len = sizeof(error);
    (void)events;
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    attempt_end(d, error ? -error : status);
}

/* True if the outcome will be told by on_writable() or on_timeout(). */
static bool attempt(struct dial *d, const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        d->rc = -errno;
        return false;
    }
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0 && errno != EINPROGRESS) {
        d->rc = -errno;
        close(fd);
        return false;
    }
    d->fd = fd;
    uv_poll_init(d->timer.loop, &d->poll, fd);
    d->poll.data = d;
    uv_poll_start(&d->poll, UV_WRITABLE, on_writable);
    uv_timer_start(&d->timer, on_timeout, d->timeout_ms, 0);
    return true;
}

static void dial_next(struct dial *d)
{
    while (d->done && d->next) {
        const struct addrinfo *ai = d->next;
        d->next = ai->ai_next;
        if (attempt(d, ai))
            return;
    }
    dial_end(d, d->rc);
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *addresses)
{
    struct dial *d = resolve->data;
    d->resolving = false;
    d->addresses = d->next = addresses;
    d->rc = status ? status : -EADDRNOTAVAIL;
    if (!d->done) {
        dial_free(d);
        return;
    }
    uv_timer_init(resolve->loop, &d->timer);
    d->timer.data = d;
    dial_next(d);
}

struct dial *dial_start(uv_loop_t *loop, const char *host, int port, uint64_t timeout_ms,
                        void (*done)(void *arg, int fd), void *arg)
{
    struct dial *d = mem_zalloc(sizeof(*d));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[16];
    snprintf(service, sizeof(service), "%d", port);
    d->fd = -1;
    d->timeout_ms = timeout_ms;
    d->done = done;
    d->arg = arg;
    d->resolve.data = d;
    d->resolving = true;
    if (uv_getaddrinfo(loop, &d->resolve, on_resolved, host, service, &hints) != 0) {
        free(d);
        return NULL;
    }
    return d;
}

/* What is under way comes to its callback, which finds that nobody is to be told. */
void dial_cancel(struct dial *d)
{
    d->done = NULL;
    if (d->resolving)
        uv_cancel((uv_req_t *)&d->resolve);
    else
        attempt_end(d, -ECANCELED);
}
