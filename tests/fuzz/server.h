/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For fuzz_ensemble: a node as one of three servers, its disk, and what it says to others. Whatever
 * the node does is checked: what is appended follows on and can be applied; what leaves is whole
 * packets and whole answers; the tree is what the log, as far as it is committed, makes of the tree
 * that it begins with. */
#ifndef FUZZ_SERVER_H
#define FUZZ_SERVER_H

#include "fuzz.h"
#include "zab/node.h"

enum {
    N_CONNS = 4,
    N_LINKS = 4,
    TO_LEADER = 3,
    N_SERVERS = 4,
};

struct client {
    struct node_conn *conn; /* NULL: not connected */
    bool has_session;       /* the ConnectResponse has come */
    bool closing;
    int64_t session_id; /* the last one it had */
    uint8_t password[ZK_PASSWORD_SIZE];
};

struct link {
    struct node_link *link; /* NULL: not connected */
    bool closing;
};

/* What the leader was asked for. */
struct asked {
    int64_t session_id;
    int32_t cxid, type;
};

struct server {
    struct zab_config ensemble;
    struct node *node;
    struct node_effects fx;
    struct node_event event; /* holds the time */
    struct client clients[N_CONNS];
    struct link links[N_LINKS];
    bool connecting;

    struct buf base; /* a dump: the tree that the log begins with */
    int64_t base_zxid;
    struct buf log;
    struct buf batches; /* int64_t: the last zxid of each that is not persisted */
    int64_t appended;
    struct zab_history numbers; /* on the disk */
    int64_t saved_number;
    int64_t *saving; /* one of those, or NULL */
    int64_t truncate_zxid;
    bool truncating, installing, snapshot_running;
    struct buf log_reads; /* struct node_log_read * */

    int64_t round;            /* of its election */
    struct buf asked;         /* struct asked */
    struct buf revalidations; /* int64_t: session ids */
};

/* Bit 0: clients that read little, 1: no ACLs, 2: read-only mode, 3: an observer. */
void server_open(struct server *s, uint8_t settings);

/* Checks the tree, too. */
void server_close(struct server *s);

void server_step(struct server *s, enum node_event_type type);
void server_hang_up(struct server *s, struct client *c);
void server_unlink(struct server *s, struct link *l);
void server_end_turn(struct server *s);
void server_persist(struct server *s, bool one);
void server_tick(struct server *s, uint8_t tenths);

/* What was asked of the disk, but for persisting. */
void server_finish_disk(struct server *s);

#endif
