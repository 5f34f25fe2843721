/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The replica as a pure core: sessions, the request pipeline, the tree and its watches.
 *
 * The contract for the shell (the daemon's loop, or the simulator):
 *  1. One thread. The shell tells each thing that happens with node_step() and then carries out
 *     the effects in their order. The core never waits, reads no clock and does no I/O.
 *  2. After all events of one turn it sends NODE_FLUSH: only then are there NODE_APPEND and
 *     NODE_SEND, one for each batch and connection.
 *     When node_wants_turn() says so then, there is work left that was too much for one turn: the
 *     next NODE_FLUSH comes soon, behind what else has happened meanwhile.
 *  3. NODE_APPEND lends a batch of log entries to the log. They go to disk in the order of the
 *     effects. When all up to a zxid are durable, the shell says NODE_PERSISTED; nobody is told of
 *     a transaction before that. The batch is the core's again after it. The log fills in
 * checksums.
 *  4. NODE_SEND says that conn->out has bytes. The shell takes from its front what it can send,
 *     and keeps conn->in_flight at the bytes that it took and has not sent. When all is sent and
 *     conn->more is set, there is more that waits for that: it says NODE_CONN_DRAINED or
 *     NODE_LINK_DRAINED, in a later turn.
 *  5. After NODE_CLOSE the shell sends what conn->out has, closes the socket and says
 *     NODE_CONN_CLOSED; then it forgets the connection. It says NODE_CONN_CLOSED as well when the
 *     peer closes or the socket fails. It reads nothing from a connection while conn->paused.
 *  6. NODE_SNAPSHOT asks for the tree of this moment (node_tree()) to be written, and for the log
 *     to go on in a new file behind the batches that were appended before; the shell says
 *     NODE_SNAPSHOT_DONE when it has ended, well or not. One at a time.
 *  7. NODE_TICK comes a few times a second; sessions expire in it.
 *     NODE_CONN_SECURED comes before any NODE_CONN_DATA of a connection whose TLS handshake
 *     has shown a certificate that is trusted: its name is an identity of the connection, of
 *     the scheme "x509".
 *
 * In an ensemble (config.ensemble) there are other replicas too; zab.h has their side of it:
 *  8. NODE_PEER_SEND is an election message for a server: the newest for it replaces one that was
 *     not sent yet. NODE_PEER_MESSAGE and NODE_PEER_UP are what comes from there.
 *  9. Learner connections are links. NODE_LINK_OPENED comes for each that the learner port accepts,
 *     and for the one that NODE_LEADER_CONNECT asked for (again and again until it is there or
 *     NODE_LEADER_CLOSE comes). NODE_SEND, NODE_CLOSE and NODE_RESUME are for a link where
 *     effect->link is set; 4 and 5 hold for links too.
 * 10. NODE_SAVE_EPOCH: store_epoch_write(), then NODE_EPOCH_SAVED.
 * 11. NODE_SEND_TREE: the first `before` bytes of the link's `out`, then tree_dump of the tree of
 *     this moment and the jute string "BenWasHere", then NODE_TREE_SENT; the rest of `out`, and
 *     what is put into it meanwhile, follows. A snapshot that is being written may be given up
 *     for it.
 * 12. NODE_TRUNCATE comes when all that was appended is persisted: txnlog_truncate(), then
 *     store_recover() into a new tree, then NODE_TRUNCATED with that tree. If the log is not cut
 *     below the end of node_tree(), that may stay: NODE_TRUNCATED has no tree then, but the rest
 *     of the log behind it (txnlog_copy_rest()). -ENODATA: NODE_TRUNCATED with neither.
 *     NODE_INSTALL_TREE likewise: txnlog_install() of node_incoming_tree(), then
 *     NODE_TREE_INSTALLED. Both leave the log ready for more.
 * 13. NODE_READ_LOG lends a struct node_log_read: txnlog_copy() with what it says, on any thread,
 *     then NODE_LOG_READ, before node_close() in any case.
 *
 * A write goes: request -> prepared against the tree and all changes in flight -> transaction ->
 * appended -> committed -> applied -> watches told, then the reply. Between "appended" and
 * "committed" is where consensus decides; a single replica commits what is persisted. */
#ifndef ZAB_NODE_H
#define ZAB_NODE_H

#include "zab/buf.h"
#include "zab/log.h"
#include "zab/tree.h"
#include "zab/zab.h"

struct node;
struct node_conn;
struct node_link;

/* Bounds without a name in zoo.cfg. The daemon takes the defaults; the simulator draws them, so
 * that what lies behind each of them is reached with little data as well. */
struct node_limits {
    size_t held_max;             /* bytes of requests of one connection that wait */
    size_t in_flight_max;        /* bytes of transactions that are not committed */
    size_t asked_max;            /* bytes of requests that the leader has not answered */
    size_t batch_keep_max;       /* a larger batch gives its memory back */
    size_t history_max;          /* bytes of transactions kept for learners */
    size_t log_read_max;         /* bytes of the log that are read for one learner */
    size_t log_read_min;         /* as many are not worth a tree instead */
    size_t link_unsent_max;      /* bytes that wait for a learner */
    size_t link_fed_max;         /* bytes before which PINGs and ACKs to the leader do not wait */
    size_t link_held_max;        /* bytes of a link that wait, before it is not read from */
    size_t close_paths_max;      /* bytes of paths in one closeSession */
    size_t containers_per_check; /* deleted in one round */
    size_t turn_work;            /* units of work for clients in one turn, 1 or more; work.c */
    size_t conn_work;            /* of which one connection has so many at once */
    size_t sends_max;            /* connections that are sent to in one turn: a system call each */
    size_t due_looks;         /* sessions looked at in one turn, because they may have expired, */
    size_t due_closed;        /* of which so many are closed */
    size_t watches_bytes_max; /* of the paths that one connection watches */
    size_t watches_all_max;   /* bytes of memory for all watches */
    int64_t repair_every_ms;  /* by the leader's tree, at most */
    int64_t repair_gap_ms;    /* on the leader, between two learners that it puts right */
    int64_t decided_every_ms; /* what is decided is noted on the disk, at most */
    unsigned digest_bits;     /* replicas compare windows of 1 << so many transactions; all
                               * replicas of an ensemble must have the same */
};
struct node_limits node_limits_default(void);

/* Limits that have a name in zoo.cfg are described in zabd.conf(5). Strings are borrowed and stay
 * valid as long as the node. */
struct node_config {
    int64_t server_id; /* top byte of session ids */
    int tick_ms;
    int min_session_timeout_ms;
    int max_session_timeout_ms;
    uint32_t packet_max;       /* jute.maxbuffer */
    uint32_t outstanding_max;  /* globalOutstandingLimit */
    uint32_t snap_count;       /* snapCount */
    uint32_t conns_max;        /* maxCnxns, 0: no limit */
    uint32_t conns_per_ip_max; /* maxClientCnxns, 0: no limit */
    uint32_t watches_max;      /* zab.maxWatches, for each connection */
    size_t output_max;         /* zab.maxOutput: bytes that wait for a slow reader */
    int64_t reserved_bytes;    /* zab.reservedSpace: of the log's disk, not for writes of clients */
    int handshake_ms;          /* zab.handshakeTimeout */
    int container_check_ms;    /* znode.container.checkIntervalMs */
    bool skip_acl;             /* skipACL */
    bool enforce_quota;        /* enforceQuota */
    bool extended_types;       /* extendedTypesEnabled: TTL nodes */
    bool leader_is_reserved;   /* leaderServes=no: while it leads it takes no clients */
    bool read_only_mode;       /* readonlymode.enabled: serve reads while there is no quorum */
    bool digest_disabled;      /* DigestAuthenticationProvider.enabled=false */
    const char *digest_alg;    /* DigestAuthenticationProvider.digestAlg for OpenSSL; NULL: SHA1 */
    const char *super_digest;  /* DigestAuthenticationProvider.superDigest, or NULL */
    const char *super_x509;    /* X509AuthenticationProvider.superUser, or NULL */
    const char *four_letter;   /* 4lw.commands.whitelist: "srvr, stat" or "*" */
    const char *version;       /* as srvr and mntr show it */
    const char *conf_text;     /* answers of conf and envi */
    const char *envi_text;
    struct node_limits limits;
    uint64_t seed;                     /* hash keys, snapshot jitter */
    const struct zab_config *ensemble; /* NULL: a single replica */
    struct zab_history history;        /* of an ensemble's replica: what recovery found, */
    int64_t log_base;                  /* and the zxid of the snapshot that it began with */
    uint64_t log_txns, log_bytes;      /* what the log had behind that snapshot */
};

/* What the shell alone can know; shown by mntr. With less than config.reserved_bytes free, writes
 * are refused with ZK_SYSTEMERROR, and all else goes on. */
struct node_gauges {
    int64_t open_fds;
    int64_t max_fds;
    int64_t turn_ms;    /* the longest turn of the loop since the last time */
    int64_t free_bytes; /* of the log's disk; negative: not known */
};

enum node_event_type {
    NODE_CONN_OPENED,
    NODE_CONN_SECURED,
    NODE_CONN_DATA,
    NODE_CONN_DRAINED,
    NODE_CONN_CLOSED,
    NODE_PERSISTED,
    NODE_SNAPSHOT_DONE,
    NODE_TICK,
    NODE_FLUSH,
    NODE_PEER_UP,
    NODE_PEER_MESSAGE,
    NODE_LINK_OPENED,
    NODE_LINK_DATA,
    NODE_LINK_DRAINED,
    NODE_LINK_CLOSED,
    NODE_EPOCH_SAVED,
    NODE_TREE_SENT,
    NODE_TRUNCATED,
    NODE_TREE_INSTALLED,
    NODE_LOG_READ,
};

struct node_event {
    enum node_event_type type;
    int64_t now_ms;         /* monotonic */
    int64_t wall_ms;        /* since 1970: what transactions carry */
    struct node_conn *conn; /* set by NODE_CONN_OPENED; needed for the other NODE_CONN events */
    void *owner;            /* OPENED: the shell's own, kept in conn->owner */
    const char *address;    /* OPENED: "1.2.3.4:5678" or "[::1]:5678" */
    const char *x509;       /* SECURED: the certificate's name, as tls_conn_subject() has it */
    struct slice data;      /* DATA: bytes as they came; PEER_MESSAGE: the message */
    int64_t zxid;           /* PERSISTED; TRUNCATED: where the log ends now */
    struct node_link *link; /* set by LINK_OPENED; needed for the other LINK events, TREE_SENT */
    bool to_leader;         /* LINK_OPENED: the one that NODE_LEADER_CONNECT asked for */
    int64_t sid;            /* PEER events: the server */
    struct tree *tree;      /* TRUNCATED: the node's from now on */
    const struct buf *rest; /* TRUNCATED: of the log, behind the tree that stays; entries that
                             * tree_check_txn() takes */
    struct node_log_read *log_read; /* LOG_READ: the node's again */
};

/* A batch of log entries (store.h), lent to the log between NODE_APPEND and NODE_PERSISTED. */
struct node_batch {
    struct buf entries;
    int64_t first_zxid;
    int64_t last_zxid;
    struct node_batch *next;
};

/* What a learner lacks, wanted from the log on disk. */
struct node_log_read {
    int64_t zxid, to_zxid; /* as txnlog_copy() takes them */
    size_t bytes_max;
    int rc; /* its result, */
    int64_t floor;
    struct buf entries;
    uint64_t link_id; /* the node's own */
};

enum node_effect_type {
    NODE_APPEND,
    NODE_SEND,
    NODE_CLOSE,
    NODE_RESUME, /* conn->paused has ended: read again */
    NODE_SNAPSHOT,
    NODE_LOG,
    NODE_PEER_SEND,
    NODE_LEADER_CONNECT,
    NODE_LEADER_CLOSE, /* stop trying; a link that is there gets NODE_CLOSE */
    NODE_SAVE_EPOCH,
    NODE_SEND_TREE,
    NODE_TRUNCATE,
    NODE_INSTALL_TREE,
    NODE_READ_LOG,
};

struct node_effect {
    enum node_effect_type type;
    struct node_conn *conn;         /* SEND, CLOSE, RESUME */
    struct node_link *link;         /* the same, and SEND_TREE */
    int64_t sid;                    /* PEER_SEND, LEADER_CONNECT */
    struct slice data;              /* PEER_SEND: valid until the next node_step() */
    const char *epoch_name;         /* SAVE_EPOCH: as in store_epoch_write() */
    int64_t epoch;                  /* SAVE_EPOCH */
    int64_t zxid;                   /* TRUNCATE; SEND_TREE: the tree's */
    size_t before;                  /* SEND_TREE */
    struct node_batch *batch;       /* APPEND */
    struct node_log_read *log_read; /* READ_LOG */
    enum log_level level;           /* LOG */
    const char *text;               /* LOG: valid until the next node_step() */
};

/* The caller's, all zero to begin with; each node_step() starts it anew. */
struct node_effects {
    struct node_effect *list;
    size_t n, cap;
    struct buf text;
};
void node_effects_close(struct node_effects *fx);

/* What of a connection or a link the shell may see and change. */
struct node_conn_public {
    void *owner;
    struct buf out;
    size_t in_flight;
    bool paused;
    bool more;
};

/* `tree` is what recovery found; the node owns it from now on. Sessions in it get their whole
 * timeout from `now_ms` on. */
struct node *node_open(const struct node_config *config, struct tree *tree, int64_t now_ms);
void node_close(struct node *n);

void node_step(struct node *n, struct node_event *event, struct node_effects *fx);

struct node_conn_public *node_conn_public(struct node_conn *conn);
struct node_conn_public *node_link_public(struct node_link *link);

/* The tree that NODE_INSTALL_TREE is about. */
const struct tree *node_incoming_tree(const struct node *n);
const struct tree *node_tree(const struct node *n);
bool node_wants_turn(const struct node *n);
uint64_t node_work(const struct node *n); /* the units of work that were done, see node/work.c */
void node_set_gauges(struct node *n, const struct node_gauges *gauges);

/* What it is in its ensemble, and whether it serves clients. A single replica leads. */
enum zab_state node_state(const struct node *n);
bool node_is_serving(const struct node *n);

/* The last transaction that was given a number, and the last one that was applied. */
int64_t node_last_proposed(const struct node *n);
int64_t node_last_committed(const struct node *n);

#endif
