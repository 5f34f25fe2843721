/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the client's shell share. */
#ifndef ZAB_CLIENT_IMPL_H
#define ZAB_CLIENT_IMPL_H

#include "zab/client.h"

enum {
    CLIENT_READ_SIZE = 64 << 10,
    CLIENT_READS_A_TURN = 2,  /* what else there is to do does not wait for more */
    CLIENT_SERVER_SIZE = 280, /* a name of 255 bytes and a port */
};

/* Who uses a connection: the client, or a four-letter word. */
struct conn_user {
    uv_loop_t *loop;
    struct tls_context *tls; /* NULL: plain */
    void (*on_connected)(struct conn_user *user);
    void (*on_bytes)(struct conn_user *user, struct slice bytes);
    /* It could not be made, or is of no use any more: the user drops it. */
    void (*on_lost)(struct conn_user *user, const char *why);
    unsigned reads_left; /* the user sets how often it may be read before he sets it again */
    uint8_t read_buf[CLIENT_READ_SIZE];
};

struct client {
    struct conn_user user;
    uv_loop_t *loop;
    struct session session;
    struct client_hosts hosts;
    struct slice chroot; /* empty if there is none */
    struct client_config config;
    struct client_conn *conn; /* the connection or the attempt, NULL between two */
    unsigned *attempts;       /* at each host, to go through the addresses of its name */
    uv_timer_t timer;
    int64_t armed; /* when the timer fires */
    uv_prepare_t prepare;
    uv_check_t check;
    unsigned open_handles;
    struct client_probe *probe; /* under way, or NULL */
    struct buf scratch;         /* a reply without the chroot */
    char problem[256];
    char server[CLIENT_SERVER_SIZE];
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

/* client_conn.c: one connection. A connection that is dropped may outlive its user: it waits for
 * libuv alone and frees itself. */
struct client_conn;

/* `host_port` is valid; `attempt` counts those at this host, to go through its addresses. */
struct client_conn *client_conn_open(struct conn_user *user, const char *host_port,
                                     unsigned attempt);
void client_conn_drop(struct client_conn *conn);

/* Write as much of `out` as goes at once, and the rest in the background; `out` is empty then.
 * Does nothing while there is no connection, with TLS a handshake, or a rest of before is still
 * under way. */
void client_conn_write(struct client_conn *conn, struct buf *out);

/* client_probe.c: ask a host whether it has a quorum, one at a time; client_on_probed() is told,
 * unless the probe was dropped. */
void client_probe_start(struct client *c, unsigned host);
void client_probe_drop(struct client *c);

/* client.c */
void client_on_probed(struct client *c, unsigned host, bool has_quorum);

/* client_request.c */
/* Sets *path to what it is below the chroot; false if it is not below. */
bool client_strip_chroot(const struct client *c, struct slice *path);
void client_deliver(struct client *c, const struct session_reply *reply);

#endif
