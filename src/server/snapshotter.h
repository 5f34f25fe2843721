/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots by a forked child: it has the tree of one moment for itself, while the replica goes
 * on. What the child has to say comes through a pipe, whose end is the child's end. */
#ifndef ZAB_SERVER_SNAPSHOTTER_H
#define ZAB_SERVER_SNAPSHOTTER_H

#include <uv.h>

#include "zab/store.h"

struct snapshotter {
    uv_poll_t poll;
    struct snapshot_writer *writer; /* its buffers are made before the fork */
    pid_t child;                    /* 0: none */
    int fd;
    int64_t zxid;
    uint64_t started_ms;
    void (*done)(void *arg);
    void *arg;
};

/* One at a time. `done` is called when it has ended, well or not; what went wrong is logged. */
void snapshotter_start(struct snapshotter *s, uv_loop_t *loop, struct store *store,
                       const struct tree *tree, void (*done)(void *arg), void *arg);

/* End a child that still runs; an unfinished snapshot is no harm. */
void snapshotter_stop(struct snapshotter *s);

#endif
