/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon: node and store on a libuv loop. */
#ifndef ZAB_SERVER_H
#define ZAB_SERVER_H

#include <stdatomic.h>
#include <uv.h>

#include "config.h"
#include "history.h"
#include "links.h"
#include "logthread.h"
#include "peers.h"
#include "process.h"
#include "secure.h"
#include "snapshotter.h"
#include "stream.h"
#include "zab/list.h"

enum {
    READ_SIZE = 256 << 10,
    CLOSE_WAIT_MS = 2000, /* for a peer to take the last bytes */
    OUT_KEEP_MAX = 64 << 10,
};

/* Events that wait for the end of the turn. */
struct later {
    struct node_event *list;
    size_t n, cap;
};

struct server {
    uv_loop_t loop;
    const struct config *config;
    struct zab_config ensemble; /* the node's view of config->ensemble */
    struct zab_server zab_servers[ZAB_SERVERS_MAX];
    struct buf ensemble_text;
    struct buf conf_text;
    struct store store;
    struct node *node;
    struct node_effects fx;
    struct later later;
    struct log_thread *log;
    _Atomic int64_t persisted_zxid;
    uv_async_t persisted;
    struct snapshotter snapshotter;
    uint64_t n_snapshots;
    struct history history;
    struct secure secure;
    struct list listeners;
    int client_port;     /* that is listened to; 0: none */
    struct peers *peers; /* NULL: a single replica */
    struct links links;
    uv_timer_t tick;
    uv_check_t turn_end;
    uv_signal_t sigterm, sigint;
    struct list streams;
    size_t n_streams;
    struct list drained; /* streams to be told of */
    uv_idle_t soon;      /* runs while there is something to do at the end of a turn at once */
    int64_t base_fds;
    int64_t turn_ms; /* the longest turn since the last tick */
    char *envi_text;
    char *read_buffer;
    struct buf plain;         /* of what was read now, with TLS */
    int lock_fd, log_lock_fd; /* of dataDir, and of another dataLogDir */
    bool stopping;
};

/* Recover, listen, serve until SIGTERM or SIGINT. 0 or a negative errno with a sentence. */
int server_run(const struct config *config, struct err *e);

/* net.c: listening. `key` is what an operator would change in zoo.cfg. */
struct listener {
    uv_tcp_t tcp;
    struct list link; /* server.listeners */
    int port;
    struct secure_port secure;
};

struct listen_at {
    const char *host; /* NULL: all addresses */
    int port;
    const char *key;
    uv_connection_cb on_connection;
    struct secure_port secure;
};

int net_listen(struct server *s, const struct listen_at *at, struct err *e);
int net_listen_for_clients(struct server *s, struct err *e);
int net_listen_for_servers(struct server *s, bool election, uv_connection_cb on_connection,
                           struct err *e);

/* The other end's port, 0 if it is gone, and its address; that of IPv4 over IPv6 as itself. */
void net_set_user_timeout(const uv_tcp_t *tcp, int ms);
int net_peer_address(const uv_tcp_t *tcp, char ip[INET6_ADDRSTRLEN], bool *v6);

/* server.c: tell the node of something, and do what it says. Not from within an effect. */
void server_step(struct server *s, struct node_event *event);

/* The same at the end of this turn or the next. */
void server_step_later(struct server *s, const struct node_event *event);

/* The end of a turn comes at once, not with the next thing that happens. */
void server_wake(struct server *s);

#endif
