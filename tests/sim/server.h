/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A simulated server and its connections: what the daemon's loop, threads and sockets are. */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "zab/disk_mem.h"
#include "zab/node.h"
#include "zab/session.h"
#include "zab/store.h"

#include "model.h"

enum {
    SERVERS_MAX = 8,
    CLIENTS_MAX = 24,
    PLACES = SERVERS_MAX + CLIENTS_MAX, /* of the network: servers, then clients */
};

struct world;
struct client;
struct server;
struct conn;
struct entry;

/* ---- Connections: of a client to a server, or of a learner to its leader ---- */

struct pipe {
    struct buf bytes;
    bool moving;         /* a delivery is on its way */
    unsigned crawl_left; /* so many pieces come slowly, */
    int64_t crawl_ms;    /* each after so long */
};

/* One side of a connection. */
struct end {
    struct conn *conn;
    struct server *server; /* NULL: a client's side */
    unsigned life;         /* of the server */
    struct node_conn *node_conn;
    struct node_link *node_link;
    struct node_conn_public *pub; /* NULL before OPENED and behind CLOSED */
    struct pipe in;               /* on its way to here */
    struct buf inbox;             /* has arrived, was not read yet */
    bool open_due, drained_due, close_due, tree_sent_due;
    bool closing;      /* NODE_CLOSE was said: send what is left, then close */
    bool left;         /* no side of this connection any more */
    bool sending_tree; /* what the node has to send comes behind it */
    int64_t tree_until_ms;
};

/* A request on its way on one connection, or setWatches (without `request`). */
struct sent {
    int32_t xid;
    struct request *request;
    struct buf frame;
    int64_t at_ms;
};

struct watch_seen {
    enum zk_event_type type;
    int64_t zxid;
    char path[MODEL_PATH_MAX];
};

struct conn {
    unsigned id;
    struct client *client; /* NULL: a link */
    struct end ends[2];    /* who connected, who accepted */
    bool cut;              /* nothing goes through any more */
    struct buf frame_head; /* of the client's frame that is being read: its length and xid */
    size_t frame_left;
    /* What the checks know of a client's. */
    bool greeting_sent;
    bool hailed;  /* ConnectRequest seen */
    bool greeted; /* ConnectResponse seen */
    bool tapped;  /* the first bytes behind it were checked */
    int64_t session_id;
    struct buf tap_up, tap_down; /* beginnings of frames */
    struct sent *sent;
    size_t n_sent, cap_sent;
    size_t seen;       /* watches are checked up to this place in the history */
    int64_t last_zxid; /* of the last answer in order */
    struct watch_seen *events;
    size_t n_events, cap_events;
};

/* ---- Servers ---- */

/* What waits for the log, in order. */
enum log_work {
    LOG_APPEND,
    LOG_ROLL,
    LOG_TRUNCATE,
    LOG_INSTALL,
    LOG_SAVE,
};

struct log_order {
    enum log_work work;
    struct node_batch *batch;
    int64_t zxid;
    const char *epoch_name; /* and its number in `zxid` */
};

/* What the node wants from the log. */
struct log_reading {
    struct node_log_read *what;
    bool done;
};

struct faults {
    bool armed; /* a countdown of the disk is running */
    enum disk_mem_fault kind;
    uint64_t hits_at; /* the disk's operation that meets it */
    bool squeezed;    /* the disk is full */
    bool no_files;    /* there are no descriptors */
    int64_t slow_ms;  /* how long each sync takes at least */
    int64_t tree_ms;  /* how long a tree takes that it sends; 0: as usual */
    bool rotten;      /* a bit that turned over stays so */
    char *flipped;    /* the file with a bad bit, or NULL */
    uint64_t flipped_at;
    uint8_t flipped_bit;
};

/* An election message that waits to be sent; the newest replaces it. */
struct mail {
    struct server *from, *to;
    struct buf message;
    bool waits, moving, connected;
};

struct post {
    int64_t sid;
    bool up; /* the news that there is a connection */
    struct buf message;
};

/* What the checks know of a replica's memory. */
struct memory {
    struct entry *log_end; /* the last that the log was told of */
    struct entry *durable; /* all up to it survives */
    struct entry *applied;
    struct entry *lost; /* what was durable on a disk that is lost, until it serves again */
    int64_t accepted_epoch, current_epoch; /* durable ones */
    bool serving;
    uint64_t n_steps;
};

struct server {
    unsigned index;
    char name[16]; /* in the trace */
    struct disk_mem *disk;
    struct faults faults;
    struct memory memory;
    bool up;
    bool held;        /* stays down until it is told to start */
    bool starting;    /* its start is planned */
    unsigned n_known; /* how many servers its configuration lists */
    bool outside;     /* of the majority that is well */
    unsigned life;    /* counts starts, so that events of an earlier one are known */
    int64_t ahead_ms; /* how wrong its clock is, */
    int64_t drift;    /* and by how many thousandths it is too fast */
    int64_t wall_ahead_ms;
    int64_t paused_until_ms; /* the whole process, */
    int64_t busy_until_ms;   /* its loop, */
    int64_t disk_until_ms;   /* or its disk */
    int64_t spent_us;        /* of the loop's time, in this turn */
    struct node *node;
    struct node_effects fx;
    struct zab_config zab;
    size_t turn_work;         /* of its limits */
    struct node_event *later; /* at the end of this turn */
    size_t n_later, cap_later;
    struct end **ends;
    size_t n_ends, cap_ends;
    int64_t next_turn_ms; /* INT64_MAX: none is planned */
    bool tick_due, ticking;
    bool no_ticks; /* for stop_ticks */

    struct store store;
    struct txnlog log;
    struct log_order *orders;
    size_t n_orders, cap_orders;
    bool log_busy;
    bool log_appended;      /* since the last sync */
    bool log_waits;         /* for room */
    const char *epoch_name; /* that is being saved, or NULL */
    int64_t epoch;
    bool mute;                   /* for mute_log */
    int64_t synced;              /* what is said to be durable, */
    int64_t persisted;           /* what the node was told of it, */
    int64_t to_tell;             /* and what it will be told in the next turn */
    enum node_event_type change; /* NODE_TRUNCATED, NODE_TREE_INSTALLED: to tell in the next turn */
    struct tree *changed;        /* with the first of these */
    bool change_made, change_due;

    struct log_reading *readings;
    size_t n_readings, cap_readings;
    int64_t log_base;      /* the snapshot that it started from */
    struct tree *snapshot; /* that is being written */
    int64_t snapshot_at_ms;
    bool snapshot_done_due;

    int64_t leader_sid; /* connecting to it; 0: to nobody */
    int64_t dial_at_ms;
    struct mail mail[SERVERS_MAX]; /* for each other */
    struct post *post;
    size_t n_post, cap_post;
    struct buf old_tree; /* for stale_tree */
};

#endif
