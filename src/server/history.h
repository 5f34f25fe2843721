/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens to the data directory beside appending: recovery, epochs, purges, and the changes
 * of history that a leader asks for. */
#ifndef ZAB_SERVER_HISTORY_H
#define ZAB_SERVER_HISTORY_H

#include <stdatomic.h>
#include <uv.h>

#include "zab/list.h"
#include "zab/node.h"
#include "zab/store.h"

struct server;

struct history {
    uv_timer_t purge_timer;
    uv_work_t purge_work;
    bool purging;
    uint64_t next_relief_ms; /* a purge for want of space */
    uv_mutex_t lock;         /* removing old files and changing exclude each other */
    unsigned n_changes;      /* so far */
    struct list epochs;      /* to be saved, in order */
    _Atomic unsigned n_epochs_saved;
    unsigned n_epochs_told;
    uv_async_t epoch_saved;
    uv_async_t changed;
    enum node_event_type change; /* one at a time: NODE_TRUNCATED or NODE_TREE_INSTALLED */
    int64_t zxid;
    const struct tree *incoming;
    struct tree *tree; /* result of a truncation, until the node has it; */
    bool tree_stays;   /* or the node's own does, with this behind it */
    struct buf rest;
    int64_t tree_zxid; /* where that ends */
};

/* A new tree, and all that is on disk in it. */
int history_recover(struct server *s, struct tree **tree, struct store_recovery *r, struct err *e);

/* The epochs of a replica whose log ends at h->last_zxid. */
int history_read_epochs(struct server *s, struct zab_history *h, struct err *e);

/* At a start that failed with `rc`: true, after a while, if it is to be tried again since there was
 * no room. `*told`: it was said already. */
bool history_waits_for_room(int rc, const struct err *e, bool *told);

/* On the log thread; NODE_EPOCH_SAVED comes when it is done. */
void history_save_epoch(struct server *s, const char *name, int64_t epoch);

void history_start(struct server *s);
void history_purge(struct server *s);
void history_make_room(struct server *s, int64_t free_bytes);

/* On the log thread; the event comes when it is done. */
void history_truncate(struct server *s, int64_t zxid);
void history_install(struct server *s, const struct tree *t);

/* On libuv's pool; the event comes when it is done. */
void history_read_log(struct server *s, struct node_log_read *r);

/* When the log thread and the loop have ended. */
void history_stop(struct server *s);

#endif
