/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thread that writes the log: takes all batches that wait, appends them, syncs once, and says
 * up to which zxid. A failed write or sync ends the process: what was promised is on disk, and
 * what the disk does after a failure nobody knows. For room, and for file descriptors, it waits:
 * the write that found none is done again each second, and all behind it comes after it. */
#ifndef ZAB_SERVER_LOGTHREAD_H
#define ZAB_SERVER_LOGTHREAD_H

#include "zab/node.h"
#include "zab/store.h"

struct log_thread;

/* `persisted` is called on the log thread, after all up to `zxid` is durable. */
struct log_thread *log_thread_start(struct store *store, uint64_t prealloc_bytes, bool sync,
                                    int64_t warning_ms, void (*persisted)(void *arg, int64_t zxid),
                                    void *arg);

/* Any thread. The batch is the log thread's until its last zxid is persisted. */
void log_thread_append(struct log_thread *t, struct node_batch *batch);

/* The batches appended from now on go to a new file. */
void log_thread_roll(struct log_thread *t);

/* Run `run` there, behind all that it was told before; what that fails with is final as well, and
 * for want of room it is run again. */
void log_thread_run(struct log_thread *t, int (*run)(struct txnlog *log, void *arg, struct err *e),
                    void *arg);

/* Everything appended is written before this returns, unless there is no room for it. */
void log_thread_stop(struct log_thread *t);

#endif
