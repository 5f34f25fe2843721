/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A forked child that has the memory of one moment for itself, while the replica goes on. A socket
 * pair is between the two: its report comes through it, and its end is the child's end. */
#ifndef ZAB_SERVER_CHILD_H
#define ZAB_SERVER_CHILD_H

#include <sys/types.h>
#include <uv.h>

#include "zab/err.h"

struct child_report {
    int rc; /* 0 or a negative errno, then with a sentence */
    uint64_t bytes;
    char text[sizeof(((struct err *)0)->text)];
};

struct child {
    uv_poll_t poll;
    pid_t pid; /* 0: none */
    int fd;    /* the parent's end of the pair */
    struct child_report report;
    void (*ended)(struct child *c);
};

/* Run `run` in a child; `fd` is its end of the pair. Of the other open files it has only standard
 * ones and `keep_fd` (-1: none), so that it keeps no connection open that the parent closes.
 * `ended` is called from the loop, when c->report is there and *c may be used again. */
int child_start(struct child *c, uv_loop_t *loop, int keep_fd,
                void (*run)(void *arg, int fd, struct child_report *r), void *arg,
                void (*ended)(struct child *c));

/* It is gone when this returns; `ended` comes as always. */
void child_kill(struct child *c);

#endif
