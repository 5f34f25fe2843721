/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon: node and store on a libuv loop. */
#ifndef ZAB_SERVER_H
#define ZAB_SERVER_H

#include <stdatomic.h>
#include <uv.h>

#include "config.h"
#include "logthread.h"
#include "snapshotter.h"
#include "zab/list.h"

enum {
    READ_SIZE = 256 << 10,
    CLOSE_WAIT_MS = 2000, /* for a peer to take the last bytes */
    OUT_KEEP_MAX = 64 << 10,
};

struct server {
    uv_loop_t loop;
    const struct config *config;
    struct store store;
    struct node *node;
    struct node_effects fx;
    struct log_thread *log;
    _Atomic int64_t persisted_zxid;
    uv_async_t persisted;
    struct snapshotter snapshotter;
    bool snapshot_ended;
    uint64_t n_snapshots;
    uv_tcp_t listener;
    uv_timer_t tick;
    uv_timer_t purge_timer;
    uv_work_t purge_work;
    bool purging;
    uv_check_t turn_end;
    uv_signal_t sigterm, sigint;
    struct list conns;
    struct list drained; /* connections to be told of */
    uv_idle_t soon;      /* runs while there are any, so that the next turn comes at once */
    size_t n_conns;
    int64_t base_fds;
    char *envi_text;
    char *read_buffer;
    int lock_fd;
    bool stopping;
};

/* Recover, listen, serve until SIGTERM or SIGINT. 0 or a negative errno with a sentence. */
int server_run(const struct config *config, struct err *e);

/* net.c: connections. net_opened() before the effects of NODE_CONN_OPENED are carried out. */
int net_listen(struct server *s, struct err *e);
void net_opened(void *owner, struct node_conn *conn);
void net_send(struct node_conn *conn);
void net_close(struct node_conn *conn);
void net_resume(struct node_conn *conn);
void net_tell_drained(struct server *s);
void net_close_overdue(struct server *s);
void net_close_all(struct server *s);

/* server.c: tell the node of something, and do what it says */
void server_step(struct server *s, struct node_event *event);

#endif
