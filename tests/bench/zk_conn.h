/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections of the load generators: ZooKeeper sessions with many requests outstanding, on one
 * epoll. They speak the protocol themselves, so that every server is measured with the same
 * bytes. What goes wrong with a connection ends the program, with a sentence. */
#ifndef ZK_CONN_H
#define ZK_CONN_H

#include "zab/records.h"

enum {
    ZK_CONN_OUTSTANDING_MAX = 1024,
};

struct zk_conn {
    int fd;
    bool has_session;
    bool blocked; /* `out` waits for the socket */
    struct buf in;
    struct buf out;
    int32_t last_xid;
    unsigned first, outstanding; /* the requests without an answer, in `sent_us` */
    uint64_t *sent_us;
    uint64_t n_events; /* watch events */
};

struct zk_loop {
    int epfd;
    void *arg;
    /* NULL, or: `c` has got the answer `err` to a request that was made `us` ago. */
    void (*on_reply)(void *arg, struct zk_conn *c, int32_t err, uint64_t us);
    /* NULL, or: all answers that came with one read were told; what `c` asks now is sent. */
    void (*on_read)(void *arg, struct zk_conn *c);
};

uint64_t now_us(void);

void zk_loop_init(struct zk_loop *loop);

/* Connect to "HOST:PORT", HOST an IPv4 address, and ask for a session. */
void zk_conn_open(struct zk_loop *loop, struct zk_conn *c, const char *host);

void zk_conn_create(struct zk_conn *c, const char *path, struct slice data);
void zk_conn_delete(struct zk_conn *c, const char *path);
void zk_conn_set(struct zk_conn *c, const char *path, struct slice data);
void zk_conn_get(struct zk_conn *c, const char *path, bool watch);
/* The answer comes when this server has what the leader had committed before. */
void zk_conn_sync(struct zk_conn *c, const char *path);

/* Send what was asked, as far as the socket takes it; the loop sends the rest. */
void zk_conn_flush(struct zk_loop *loop, struct zk_conn *c);

/* Wait for the network, at most so long, and handle what came. */
void zk_loop_poll(struct zk_loop *loop, int timeout_ms);

/* Send, and wait for all answers. */
void zk_conn_finish(struct zk_loop *loop, struct zk_conn *c);

#endif
