/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshotter.h"

#include <inttypes.h>
#include <string.h>

#include "zab/log.h"

static void child_run(void *arg, int fd, struct child_report *r)
{
    struct snapshotter *s = arg;
    struct err e = {0};
    (void)fd;
    r->rc = snapshot_save_with(s->writer, s->store, s->tree, &r->bytes, &e);
    memcpy(r->text, e.text, sizeof(r->text));
}

static void on_ended(struct child *child)
{
    struct snapshotter *s = container_of(child, struct snapshotter, child);
    const struct child_report *r = &child->report;
    uint64_t took = uv_now(child->poll.loop) - s->started_ms;
    if (s->given_up)
        log_info("snapshot at 0x%" PRIx64 ": given up; the log is kept", (uint64_t)s->zxid);
    else if (r->rc != 0)
        log_error("snapshot at 0x%" PRIx64 ": %s; the log is kept", (uint64_t)s->zxid, r->text);
    else
        log_info("snapshot at 0x%" PRIx64 ": %" PRIu64 " bytes in %" PRIu64 " ms",
                 (uint64_t)s->zxid, r->bytes, took);
    s->done(s->arg);
}

void snapshotter_start(struct snapshotter *s, uv_loop_t *loop, struct store *store,
                       const struct tree *tree, void (*done)(void *arg), void *arg)
{
    s->store = store;
    s->tree = tree;
    s->zxid = tree_last_zxid(tree);
    s->started_ms = uv_now(loop);
    s->done = done;
    s->given_up = false;
    s->arg = arg;
    if (!s->writer)
        s->writer = snapshot_writer_open();
    int rc = child_start(&s->child, loop, -1, child_run, s, on_ended);
    if (rc != 0) {
        log_error("snapshot at 0x%" PRIx64 ": no process for it: %s", (uint64_t)s->zxid,
                  strerror(-rc));
        done(arg);
    }
}

void snapshotter_cancel(struct snapshotter *s)
{
    s->given_up |= s->child.pid != 0;
    child_kill(&s->child);
}

void snapshotter_close(struct snapshotter *s)
{
    snapshotter_cancel(s);
    if (s->writer)
        snapshot_writer_close(s->writer);
    s->writer = NULL;
}
