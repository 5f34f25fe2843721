/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots by a forked child. */
#ifndef ZAB_SERVER_SNAPSHOTTER_H
#define ZAB_SERVER_SNAPSHOTTER_H

#include "child.h"
#include "zab/store.h"

struct snapshotter {
    struct child child;
    struct snapshot_writer *writer; /* its buffers are made before the fork */
    struct store *store;
    const struct tree *tree;
    int64_t zxid;
    uint64_t started_ms;
    bool given_up;
    void (*done)(void *arg);
    void *arg;
};

/* One at a time. `done` is called when it has ended, well or not; what went wrong is logged. */
void snapshotter_start(struct snapshotter *s, uv_loop_t *loop, struct store *store,
                       const struct tree *tree, void (*done)(void *arg), void *arg);

/* End a child that still runs; an unfinished snapshot is no harm. */
void snapshotter_cancel(struct snapshotter *s);
void snapshotter_close(struct snapshotter *s);

#endif
