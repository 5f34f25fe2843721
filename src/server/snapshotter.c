/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshotter.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zab/log.h"

struct report {
    int rc;
    uint64_t bytes;
    char text[sizeof(((struct err *)0)->text)];
};

static _Noreturn void child_main(struct snapshotter *s, int fd, struct store *store,
                                 const struct tree *tree, pid_t parent)
{
    struct report r = {0};
    struct err e = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    if (nice(10) < 0 && errno != 0)
        errno = 0; /* it is slower then, or faster */
    r.rc = snapshot_save_with(s->writer, store, tree, &r.bytes, &e);
    memcpy(r.text, e.text, sizeof(r.text));
    if (write(fd, &r, sizeof(r)) != sizeof(r))
        _exit(1);
    _exit(r.rc ? 1 : 0);
}

static void finish(struct snapshotter *s)
{
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, NULL);
    close(s->fd);
    while (waitpid(s->child, NULL, 0) < 0 && errno == EINTR)
        ;
    s->child = 0;
}

static void on_report(uv_poll_t *poll, int status, int events)
{
    struct snapshotter *s = poll->data;
    struct report r;
    (void)status;
    (void)events;
    ssize_t n = read(s->fd, &r, sizeof(r));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    finish(s);
    uint64_t took = uv_now(poll->loop) - s->started_ms;
    if (n != sizeof(r))
        log_error("snapshot at 0x%" PRIx64 ": the process that wrote it died; the log is kept",
                  (uint64_t)s->zxid);
    else if (r.rc != 0)
        log_error("snapshot at 0x%" PRIx64 ": %s; the log is kept", (uint64_t)s->zxid, r.text);
    else
        log_info("snapshot at 0x%" PRIx64 ": %" PRIu64 " bytes in %" PRIu64 " ms",
                 (uint64_t)s->zxid, r.bytes, took);
    s->done(s->arg);
}

void snapshotter_start(struct snapshotter *s, uv_loop_t *loop, struct store *store,
                       const struct tree *tree, void (*done)(void *arg), void *arg)
{
    int fds[2];
    ensure(s->child == 0);
    s->zxid = tree_last_zxid(tree);
    if (!s->writer)
        s->writer = snapshot_writer_open();
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        log_error("snapshot at 0x%" PRIx64 ": no pipe: %s", (uint64_t)s->zxid, strerror(errno));
        done(arg);
        return;
    }
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0)
        child_main(s, fds[1], store, tree, parent);
    close(fds[1]);
    if (child < 0) {
        log_error("snapshot at 0x%" PRIx64 ": no process for it: %s", (uint64_t)s->zxid,
                  strerror(errno));
        close(fds[0]);
        done(arg);
        return;
    }
    s->child = child;
    s->fd = fds[0];
    s->done = done;
    s->arg = arg;
    s->started_ms = uv_now(loop);
    uv_poll_init(loop, &s->poll, s->fd);
    s->poll.data = s;
    uv_poll_start(&s->poll, UV_READABLE, on_report);
}

void snapshotter_stop(struct snapshotter *s)
{
    if (s->child != 0) {
        kill(s->child, SIGKILL);
        finish(s);
    }
    if (s->writer)
        snapshot_writer_close(s->writer);
    s->writer = NULL;
}
