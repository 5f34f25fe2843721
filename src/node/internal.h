/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the node share. See include/zab/node.h for the contract and the way of a
 * write. */
#ifndef ZAB_NODE_INTERNAL_H
#define ZAB_NODE_INTERNAL_H

#include "zab/hmap.h"
#include "zab/list.h"
#include "zab/node.h"
#include "zab/records.h"
#include "zab/rng.h"
#include "zab/store.h"
#include "zab/watch.h"

enum {
    CONN_ADDRESS_MAX = 64,
    AUTH_MAX = 64,             /* identities of one connection */
    AUTH_BYTES_MAX = 64 << 10, /* of all of them */
    ACL_ENTRIES_MAX = 1024,    /* of one node */
    ACL_BYTES_MAX = 1 << 20,   /* of all of them */
    HELD_SLACK = 256 << 10,    /* bytes of answered requests before conn->held is moved up */
    FOUR_LETTER_MAX = 4 << 20, /* bytes of one answer */
    READ_ONLY_AFTER_MS = 2000, /* without a quorum, or a tick if that is longer */
    DIGESTS_ASKED = 8,         /* windows that learners may still answer for */
    DIGESTS_KEPT = 64,         /* windows of zxids */
    SPARE_BATCHES_MAX = 4,     /* kept for the next ones: a burst gives its memory back */
    WRITE_WORK = 20,           /* of one write, until it is applied */
    DEFER_MAX = 64 << 10,      /* bytes of frames that wait, before a connection is not read */
    DUE_SLOTS = 1024,          /* of the wheel of sessions' deadlines */
    DUE_SPREAD = 10000,        /* sessions of one tick after a change of the leader */
    MULTI_READ_WORK = 40,      /* of each byte of a multiRead, at most but for large answers */
    BEHIND_WORK = 2000,        /* of what is answered before a write that is taken */
    SWEEP_LOOKS = 20000,       /* containers and TTL nodes that one turn looks at, */
    SWEEP_DELETES = 500,       /* and deletes */
    NODES_FREED = 20000,       /* of a tree that was replaced, in one turn */
    FDS_KEPT = 64,             /* descriptors that are not for clients */
    SET_WATCH_WORK = 15,       /* of one path of a setWatches */
    SET_WATCHES_SOME = 1024,   /* of its paths are set at once */
    WATCHES_DROPPED = 20000,   /* of connections that have ended, in one turn */
    OUTPUT_SHARES = 16,        /* all that is unsent: as many times config.output_max */
    OUTPUT_TIGHT = 64 << 10,   /* unsent bytes that one may have when half of that is used */
};

/* The zxid of a request that was handed to the leader. */
#define ZXID_ASKED INT64_MAX

/* A session's owner: this replica. Others are numbers of links. */
#define OWNER_SELF UINT64_MAX

/* ---- Connections ---- */

enum conn_state {
    CONN_NEW,         /* no frame yet: a four-letter word or a session */
    CONN_OPENING,     /* its createSession is on the way */
    CONN_ESTABLISHED, /* a session */
    CONN_CLOSING,     /* NODE_CLOSE was said; nothing more is taken from it */
    CONN_CLOSED,      /* the shell has forgotten it */
};

/* A request that was not answered yet. All before it in the connection's queue are answered
 * first; then it waits until `zxid` is committed. */
enum pending_kind {
    PENDING_WRITE, /* proposed as `zxid`; answered with what applying it gives */
    PENDING_READ,  /* `body` is the request */
    PENDING_ERROR, /* refused with `err`; `body` is the body of the answer */
};

struct pending {
    enum pending_kind kind;
    int32_t xid;
    int32_t op;
    int32_t err;
    uint32_t body_len;  /* bytes of conn->held */
    uint32_t asked_len; /* bytes that the leader was asked with, and has not answered */
    int64_t zxid;
    int64_t since_ms;
    size_t cost; /* in units of work */
};

struct conn_stats {
    uint64_t received;
    uint64_t sent;
    int64_t established_ms; /* wall clock */
    int64_t last_zxid;
    int64_t last_response_ms;
    int64_t last_latency_ms;
    int64_t min_latency_ms; /* -1: none yet */
    int64_t max_latency_ms;
    int64_t total_latency_ms;
    uint64_t n_latencies;
    int32_t last_cxid;
    int32_t last_op;
};

struct node_conn {
    struct node_conn_public pub;
    struct list link;       /* node.conns */
    struct list dirty_link; /* node.dirty, while pub.out has news */
    struct list pause_link; /* node.paused, */
    int64_t paused_ms;      /* since when */
    struct list defer_link; /* node.deferred, while it has frames or answers for the next turn */
    struct watcher watcher;
    struct list drop_link; /* node.dropping, while it has ended and its watches are not all gone */
    struct {
        size_t list, offset;
        int32_t done;
    } setting;      /* of the first request, a setWatches: where it goes on */
    size_t counted; /* in node.unsent */
    enum conn_state state;
    unsigned refs; /* proposals and waits that will come back to it */
    char address[CONN_ADDRESS_MAX];
    struct peer *peer;
    int64_t deadline_ms; /* of the handshake */
    int32_t timeout_ms;  /* negotiated */
    bool has_read_only;  /* its ConnectRequest had the flag */
    uint32_t n_syncs;    /* not answered; nothing behind them is taken before they are */
    int64_t opening_id;  /* OPENING on a learner: the session that it waits for */
    struct session *session;
    struct buf in;   /* the beginning of a frame, or what came while paused */
    struct buf auth; /* Ids, encoded */
    int32_t n_auth;
    struct pending *queue; /* a ring */
    uint32_t queue_head, queue_len, queue_cap;
    struct buf held; /* bodies of the queue, in order */
    size_t held_pos;
    size_t queue_cost; /* of what is in the queue, in units of work */
    bool behind_reads; /* paused with a write in front, until less is to be answered before it */
    struct conn_stats stats;
};

/* Who asks for a change: a connection of ours, or one of another replica. */
struct requester {
    int64_t session_id;
    struct jute_vector ids; /* vector<Id> that it has authenticated as */
};

/* Connections of one address. */
struct peer {
    struct hmap_node by_ip;
    char ip[CONN_ADDRESS_MAX];
    uint32_t n_conns;
};

/* ---- Sessions ---- */

struct session {
    struct hmap_node by_id;
    int64_t id;
    int32_t timeout_ms;
    int64_t expires_ms;
    struct list due_link;     /* node.due: when it is looked at next, */
    int64_t due_ms;           /* which may be before it expires */
    uint64_t era;             /* node.era, or what is below is from before the last election */
    uint64_t owner;           /* on the leader: where its requests come from; 0: nobody's yet */
    bool closing;             /* its closeSession was proposed */
    struct list touched_link; /* node.touched: heard of since the leader was told */
    struct list in_flight;    /* changes that make an ephemeral node of its */
    struct node_conn *conn;   /* NULL while no connection has it */
};

#include "links.h"

/* ---- Changes in flight ---- */

/* A znode as it will be when all that was proposed is committed. */
struct view {
    bool exists;
    bool acl_is_new; /* `acl` is not (yet) the tree's */
    int32_t version, cversion, aversion;
    uint32_t num_children;
    int32_t data_len;
    int64_t ephemeral_owner;
    struct jute_vector acl; /* borrowed until the next view_put() or commit */
};

struct change {
    struct hmap_node by_path;
    struct list link;       /* node.changes, in the order of zxids */
    struct list owned_link; /* session.in_flight, while it makes an ephemeral node */
    int64_t zxid;
    struct view view; /* view.acl is unused: own_acl, or the tree's */
    struct buf own_acl;
    struct buf path;
};

/* What a multi must put back when one of its operations fails. */
struct undo {
    struct buf path;
    bool was_there;
    int64_t zxid;
    struct view view;
    struct buf own_acl;
};

/* A proposal on its way, in the order of zxids. */
struct proposal {
    int64_t zxid;
    struct node_conn *conn; /* who is to be answered */
};

/* A connection whose first pending request waits for a zxid that is not its own. */
struct wait {
    int64_t zxid;
    struct node_conn *conn;
};

struct node_stats {
    uint64_t received, sent;
    int64_t min_latency_ms, max_latency_ms; /* min -1: none yet */
    uint64_t total_latency_ms, n_latencies;
    int64_t max_turn_ms;
};

#define RING(type)                                                                                 \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t head, len, cap;                                                                     \
    }

struct node {
    struct node_config config;
    struct node_gauges gauges;
    size_t gauged_conns; /* that there were then */
    struct tree *tree;
    struct watches watches;
    struct hmap sessions;
    struct list touched;
    struct list due[DUE_SLOTS]; /* sessions, by when they are looked at */
    int64_t due_next;           /* the first slot that was not, of all time */
    bool due_left;              /* some are to be looked at in the next turn */
    uint64_t era;               /* elections that were over */
    int64_t era_began_ms;
    uint64_t n_renewed; /* sessions that have got a deadline since the last one */
    struct hmap peers;
    struct list conns;
    struct list dirty;
    struct list paused;
    struct list deferred;
    struct list dropping;
    struct buf old_trees; /* struct tree *, which are closed piece by piece */
    size_t unsent;        /* bytes for all connections, as far as is known */
    uint64_t work;        /* that was done, of all time; see work.c */
    uint64_t turn_end;    /* the work at which this turn has done enough */
    uint64_t resumed;     /* the work when work_resume() began; UINT64_MAX outside of it */
    bool dear_waits;      /* it is to be the first one of the next turn */
    size_t n_conns;
    uint64_t hash_seed;
    struct rng rng;

    struct hmap changes_by_path;
    struct list changes;
    struct list free_changes;
    size_t n_free_changes;
    struct undo *undo;
    size_t n_undo, cap_undo;
    bool undo_active;

    int64_t last_proposed;
    int64_t last_committed;
    int64_t next_session_id;
    int64_t persisted; /* all up to it is on this disk */
    int64_t
        decided; /* all up to it is committed by the ensemble; a single replica decides at once */
    struct node_batch *open;        /* gathers proposals until NODE_FLUSH */
    struct node_batch *first, *end; /* lent to the log or applied, in the order of zxids */
    struct node_batch *apply_batch; /* the first that is not applied, */
    size_t apply_pos;               /* from there on */
    struct node_batch *spare;
    unsigned n_spare;
    size_t history_bytes; /* of applied batches that are kept */
    size_t history_max;
    size_t in_flight_bytes; /* of those that are not applied */
    RING(struct proposal) proposals;
    RING(struct wait) waits;
    size_t outstanding; /* requests in the queues of all connections */
    size_t asked_bytes; /* of those that the leader was asked for */

    uint32_t txns_since_snapshot;
    uint64_t bytes_since_snapshot; /* of the log */
    uint32_t snapshot_at;
    bool snapshot_running;
    bool snapshot_again; /* one was given up for a tree that a learner needs */
    int64_t next_container_check_ms;
    size_t sweep_left; /* containers and TTL nodes that the round may still delete; 0: it is over */
    int64_t next_expiry_ms;

    /* An ensemble's replica: zab is NULL otherwise. */
    struct zab *zab;
    struct zab_effects zab_fx;
    struct buf zab_later; /* events that effects caused */
    bool in_zab;
    bool state_is_new;
    bool serving;
    bool read_only; /* there is no quorum, and it serves reads to those who asked for that */
    int64_t looking_since_ms, serving_since_ms;
    bool proposing; /* the epoch has zxids left */
    enum zab_state state;
    int64_t logged; /* the last zxid that the core knows of */
    struct list links;
    struct list dirty_links;
    uint64_t last_link_id;
    struct tree *incoming; /* from the leader */
    int64_t incoming_zxid;
    int64_t history_base; /* the zxid before the first that is kept */
    int64_t log_base;     /* from behind it on the log on disk is whole */
    size_t n_log_reads;   /* under way */
    struct digests digests;
    bool has_diverged; /* from the leader: take its tree */
    uint64_t n_divergences;
    int64_t next_repair_ms;
    int64_t room; /* bytes that the log's disk has for what is appended from now on */
    bool is_full; /* that was less than is reserved, or than that and a write of `full_for` bytes */
    size_t full_for;
    bool others_are_full;    /* on the leader: there is no quorum with room */
    bool told_full;          /* the core */
    struct buf saves;        /* a byte for each NODE_SAVE_EPOCH under way: it is the core's */
    int64_t saved_decided;   /* decidedZxid on the disk, */
    int64_t next_decided_ms; /* which is written again then */
    struct history_cursor found;
    struct buf syncs;         /* struct sync_wait of clients of ours, in order */
    bool confirm;             /* one that came since the last flush waits for a round */
    struct buf learner_waits; /* struct learner_wait */

    struct zk_txn_header applying; /* the transaction whose outcome is in `outcome` */
    struct tree_outcome outcome;
    struct watch_fired fired;
    struct buf path_scratch, acl_scratch; /* of the operation being prepared */
    struct buf scratch;
    struct node_stats stats;
    int64_t started_ms;
    int64_t last_tick_ms;
    int64_t now_ms, wall_ms; /* of the event being handled */
    bool wants_turn;
    struct node_effects *fx;
};

/* node.c */
void node_effect(struct node *n, enum node_effect_type type, struct node_conn *conn);
void node_drop_tree(struct node *n, struct tree *t);
void node_save_number(struct node *n, const char *name, int64_t value);
void node_save_for_core(struct node *n, const char *name, int64_t value);
void node_log(struct node *n, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* room.c */
bool node_takes_write(struct node *n, size_t size);
bool node_has_room(const struct node *n, size_t more);
void room_check(struct node *n);

/* work.c: how much one turn may do */
void work_add(struct node *n, size_t units);
uint64_t work_limit(const struct node *n);
bool work_is_left(const struct node *n, uint64_t limit);
void work_defer(struct node *n, struct node_conn *c);
bool work_is_first(const struct node *n);
void work_resume(struct node *n);

/* conn.c */
void conn_opened(struct node *n, struct node_event *event);
void conn_data(struct node *n, struct node_conn *c, struct slice data);
void conn_closed(struct node *n, struct node_conn *c);
void conn_close(struct node *n, struct node_conn *c);
void conn_unref(struct node *n, struct node_conn *c);
void conn_touch_output(struct node *n, struct node_conn *c);
bool conn_keeps_up(const struct node *n, const struct node_conn *c);
void conn_resume_paused(struct node *n);
void conn_touch_paused(struct node *n);
void conn_limit_output(struct node *n);
void conn_go_on(struct node *n, struct node_conn *c);
void conn_check_deadlines(struct node *n);
void conn_session_opened(struct node *n, struct node_conn *c, int64_t session_id);
void conn_refuse_session(struct node *n, struct node_conn *c);
void conn_open_when_committed(struct node *n, struct node_conn *c, int64_t session_id);

/* request.c: the queue of a connection */
void request_receive(struct node *n, struct node_conn *c, struct slice frame);
void request_push_asked(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                        size_t len);
void request_push(struct node *n, struct node_conn *c, enum pending_kind kind, int32_t xid,
                  int32_t op, int32_t err, int64_t zxid, struct slice body);
void request_before_commit(struct node *n, struct node_conn *c);
bool request_must_wait(const struct node *n, const struct node_conn *c);
bool request_makes_change(int32_t op);
void request_committed(struct node *n, struct node_conn *c, int64_t zxid);
void request_drain(struct node *n, struct node_conn *c);
bool request_asked(struct node_conn *c, int32_t xid, int64_t zxid);
void request_synced(struct node *n, struct node_conn *c, int64_t zxid);
void request_drop_all(struct node *n, struct node_conn *c);

/* reply.c */
size_t reply_begin(struct node_conn *c, int32_t xid, int64_t zxid, int32_t err);
void reply_end(struct node *n, struct node_conn *c, size_t start);
void reply_empty(struct node *n, struct node_conn *c, int32_t xid, int32_t err);
void reply_write(struct node *n, struct node_conn *c, const struct pending *p);

/* read.c: requests that change nothing */
bool read_is_known(int32_t op);
size_t read_estimate(struct node *n, int32_t op, struct slice body);
bool read_is_dear(struct node *n, int32_t op, struct slice body);
int32_t read_execute(struct node *n, struct node_conn *c, int32_t op, struct slice body,
                     struct buf *out);

/* watchops.c */
bool watchop_set(struct node *n, struct node_conn *c, bool second, struct slice body,
                 uint64_t limit, int32_t *err);
int32_t watchop_add(struct node *n, struct node_conn *c, struct slice body, struct buf *out);
int32_t watchop_check(struct node *n, struct node_conn *c, struct slice body, bool remove);
bool watchop_room(struct node *n, struct node_conn *c, struct slice path);
void watch_drop(struct node *n, struct node_conn *c);
void watch_drop_more(struct node *n, size_t limit);
void watch_tell(struct node *n);

/* propose.c: requests that become transactions */
bool propose_is_known(int32_t op);
int32_t propose_request(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                        struct slice body, struct buf *refusal);
void propose_create_session(struct node *n, struct node_conn *c, int64_t session_id,
                            int32_t timeout_ms);
void propose_close_session(struct node *n, struct node_conn *c, int64_t session_id, int32_t xid);
void propose_delete_container(struct node *n, struct slice path);
void propose_in_ensemble(struct node *n, struct node_conn *c, const struct requester *who,
                         const struct zk_request_header *h, struct slice body);
void propose_error(struct node *n, const struct requester *who, const struct zk_request_header *h,
                   int32_t err);

/* prepare.c: one operation against the view of all that was proposed; appends its record */
int32_t prepare_op(struct node *n, const struct requester *who, int64_t zxid, int32_t op,
                   struct jute_reader *r, struct buf *out);
bool prepare_op_in_multi(int32_t op);
int32_t prepare_delete_container(struct node *n, int64_t zxid, struct slice path, struct buf *out);
void prepare_close_session(struct node *n, int64_t zxid, int64_t session_id, struct buf *out);

/* change.c */
bool view_get(struct node *n, struct slice path, struct view *v);
bool view_is_of_tree(const struct node *n, struct slice path);
void view_put(struct node *n, struct slice path, const struct view *v, int64_t zxid);
void change_forget(struct node *n, int64_t committed_zxid);
void change_close(struct node *n);
void undo_begin(struct node *n);
void undo_end(struct node *n, bool roll_back);

/* history.c: batches of transactions, from those that learners may still need to the open one */
struct node_batch *history_open(struct node *n);
void history_append_open(struct node *n);
bool history_next(struct node *n, int64_t limit, struct slice *txn);
void history_drop_open(struct node *n);
void history_reset(struct node *n);
struct history_cursor history_after(struct node *n, int64_t zxid);
bool history_read(struct node *n, struct history_cursor *at, struct slice *txn, int64_t *zxid);
bool history_find(struct node *n, int64_t zxid, struct slice *txn);
int64_t history_floor(struct node *n, int64_t zxid);
void history_close(struct node *n);

/* commit.c */
void commit_ready(struct node *n);
void rings_drop(struct node *n);
void rings_close(struct node *n);
void wait_push(struct node *n, struct node_conn *c, int64_t zxid);
void proposal_push(struct node *n, int64_t zxid, struct node_conn *c);

/* tracker.c: the sessions that are alive */
struct session *tracker_find(struct node *n, int64_t id);
struct session *tracker_add(struct node *n, int64_t id, int32_t timeout_ms);
void tracker_remove(struct node *n, struct session *s);
void tracker_touch(struct node *n, struct session *s);
void tracker_own(struct node *n, struct session *s, uint64_t owner);
void tracker_expire(struct node *n);
void tracker_expire_more(struct node *n);
bool tracker_has_more(const struct node *n);
void tracker_init(struct node *n);
void tracker_begin_era(struct node *n);
void tracker_load(struct node *n);
int64_t tracker_new_id(struct node *n);
void tracker_password(int64_t id, uint8_t password[ZK_PASSWORD_SIZE]);
bool tracker_password_ok(int64_t id, struct slice password);

/* acl.c */
bool acl_allows(const struct node *n, const struct jute_vector *ids, const struct jute_vector *acl,
                int32_t perms);
int32_t acl_fixup(const struct node *n, const struct jute_vector *ids,
                  const struct jute_vector *acl, struct buf *out);
struct jute_vector acl_encoded(const struct buf *encoded);
struct jute_vector auth_ids(const struct node_conn *c);
void acl_mask_digests(const struct jute_vector *acl, struct buf *out);
void auth_secured(struct node *n, struct node_conn *c, const char *x509);
int32_t auth_add(struct node *n, struct node_conn *c, struct slice scheme, struct slice auth);
void auth_init(struct node_conn *c);

/* fourletter.c */
bool four_letter_try(struct node *n, struct node_conn *c, const uint8_t word[4]);

#endif
