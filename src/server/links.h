/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The learner port: links that learners open are taken always, the node decides what becomes of
 * them; and the link to the leader, which is tried until it is there. */
#ifndef ZAB_SERVER_LINKS_H
#define ZAB_SERVER_LINKS_H

#include <stddef.h>
#include <stdint.h>

#include "zab/err.h"

struct dial;
struct server;

struct links {
    const struct ensemble_server *leader; /* to connect to; NULL: none */
    struct dial *dial;
    size_t next_address;
    uint64_t retry_ms;
    uint64_t delay_ms;
};

/* Listen on this server's quorum addresses. */
int links_start(struct server *s, struct err *e);

void links_connect(struct server *s, int64_t sid);
void links_stop_connecting(struct server *s);
void links_tick(struct server *s);

#endif
