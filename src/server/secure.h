/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS of the server's ports, as zoo.cfg sets it (ClientX509Util, QuorumX509Util,
 * UnifiedServerSocket), and what a secure connection has of its own. */
#ifndef ZAB_SERVER_SECURE_H
#define ZAB_SERVER_SECURE_H

#include "config.h"
#include "zab/tls.h"

struct secure_rules {
    struct tls_context *tls; /* NULL: no port needs it */
    uint64_t stamp;          /* of the files that it was read from */
};

struct secure {
    struct secure_rules clients;
    struct secure_rules servers;
    uint64_t look_ms; /* when to look at the files again */
};

/* What a port takes. */
struct secure_port {
    const struct secure_rules *rules; /* NULL: plain connections only */
    bool plain_too;
    uint64_t handshake_ms; /* for the handshake, or the byte that shows that there is none */
};

/* Read the stores that the configuration needs. Close in either case. */
int secure_open(struct secure *s, const struct config *c, struct err *e);
void secure_close(struct secure *s);

/* For connections from now on: read stores again that have changed, if zoo.cfg asks for it. */
void secure_tick(struct secure *s, const struct config *c, uint64_t now_ms);

struct secure_port secure_client_port(const struct secure *s, const struct config *c, bool secure);
struct secure_port secure_quorum_port(const struct secure *s, const struct config *c);

/* All zero: a plain connection. */
struct secure_conn {
    struct tls_conn *tls; /* NULL: plain */
    bool plain_too;       /* until its first byte */
};

void secure_conn_accept(struct secure_conn *x, const struct secure_port *port, const char *ip);
void secure_conn_connect(struct secure_conn *x, const struct secure_rules *rules, const char *host);
void secure_conn_close(struct secure_conn *x);

/* *data came: set it to what it says, which is in `plain` or where it was. It can be empty, and
 * something even if there is an error; -EPIPE is the other side's orderly end. */
int secure_conn_receive(struct secure_conn *x, struct slice *data, struct buf *plain,
                        struct err *e);

/* May something be sent? */
static inline bool secure_conn_ready(const struct secure_conn *x)
{
    return x->tls ? tls_conn_ready(x->tls) && !x->plain_too : true;
}

#endif
