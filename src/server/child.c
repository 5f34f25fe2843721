/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_files_but(int a, int b)
{
    unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);
    if (a < 0 || b < 0)
        low = high;
    if (low > 3)
        close_range(3, low - 1, 0);
    if (high > low + 1)
        close_range(low + 1, high - 1, 0);
    close_range(high + 1, ~0u, 0);
}

/* Where memory runs out it is the child that goes, not the replica: its work is done again. To
 * offer oneself is always allowed. */
static void offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "1000", 4) != 4)
        errno = 0; /* it is as any process then */
    close(fd);
}

static _Noreturn void child_main(int fd, int keep_fd, pid_t parent,
                                 void (*run)(void *arg, int fd, struct child_report *r), void *arg)
{
    struct child_report r = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    signal(SIGTERM, SIG_DFL); /* libuv's handlers want files that are closed now */
    signal(SIGINT, SIG_DFL);
    close_files_but(fd, keep_fd);
    offer_to_oom_killer();
    if (nice(10) < 0 && errno != 0)
        errno = 0; /* it is slower then, or faster */
    run(arg, fd, &r);
    if (write(fd, &r, sizeof(r)) != sizeof(r))
        _exit(1);
    _exit(r.rc ? 1 : 0);
}

static void on_poll_closed(uv_handle_t *poll)
{
    struct child *c = poll->data;
    c->ended(c);
}

static void finish(struct child *c)
{
    uv_close((uv_handle_t *)&c->poll, on_poll_closed);
    close(c->fd);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    c->pid = 0;
}

static void on_report(uv_poll_t *poll, int status, int events)
{
    struct child *c = poll->data;
    struct child_report r;
    (void)status;
    (void)events;
    ssize_t n = read(c->fd, &r, sizeof(r));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == sizeof(r))
        c->report = r;
    finish(c);
}

int child_start(struct child *c, uv_loop_t *loop, int keep_fd,
                void (*run)(void *arg, int fd, struct child_report *r), void *arg,
                void (*ended)(struct child *c))
{
    int fds[2];
    ensure(c->pid == 0);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -errno;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        child_main(fds[1], keep_fd, parent, run, arg);
    int rc = pid < 0 ? -errno : 0;
    close(fds[1]);
    if (rc != 0) {
        close(fds[0]);
        return rc;
    }
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    c->pid = pid;
    c->fd = fds[0];
    c->ended = ended;
    c->report = (struct child_report){.rc = -ECHILD};
    snprintf(c->report.text, sizeof(c->report.text), "the process that wrote it died");
    uv_poll_init(loop, &c->poll, c->fd);
    c->poll.data = c;
    uv_poll_start(&c->poll, UV_READABLE, on_report);
    return 0;
}

void child_kill(struct child *c)
{
    if (c->pid == 0)
        return;
    kill(c->pid, SIGKILL);
    finish(c);
}
