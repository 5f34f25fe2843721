/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first message on an election connection, from the server that connects
 * (QuorumCnxManager.InitialMessage):
 *     long protocol version, long sid, int length, "HOST:PORT" of the sender's election address
 * Version -65536 has one address, -65535 has several, joined by '|'. */
#ifndef ZAB_SERVER_GREETING_H
#define ZAB_SERVER_GREETING_H

#include "ensemble.h"
#include "zab/buf.h"

struct greeting {
    int64_t sid;
    struct slice addresses; /* borrowed */
};

/* How many bytes of `in` it is, 0 if it has not all come, or a negative errno: it is none. */
int greeting_parse(struct slice in, struct greeting *g);

void greeting_write(const struct ensemble_server *own, struct buf *out);

#endif
