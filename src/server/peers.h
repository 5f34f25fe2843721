/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Election connections: one for each pair of servers, as QuorumCnxManager has them.
 *
 * The server with the larger sid is the one that connects. When the other has something to say and
 * there is no connection, it connects and greets, which is closed and answered by a connection the
 * other way. After the greeting both sides send messages: int length, bytes. */
#ifndef ZAB_SERVER_PEERS_H
#define ZAB_SERVER_PEERS_H

#include "zab/buf.h"
#include "zab/err.h"

struct server;
struct peers;

/* Listen on this server's election addresses. */
int peers_start(struct server *s, struct err *e);

/* The newest message for a server replaces one that was not sent yet. */
void peers_send(struct peers *p, int64_t sid, struct slice message);

void peers_tick(struct peers *p);
void peers_close_connections(struct peers *p);
void peers_free(struct peers *p); /* when the loop has ended */

#endif
