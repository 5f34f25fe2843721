/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tree of znodes with its sessions: what all replicas agree on.
 *
 * tree_apply() is the only way to change it, and a function of (tree, transaction) alone: two
 * trees that applied the same transactions dump to the same bytes. The rules are those of
 * ZooKeeper's DataTree and DataNode.
 *
 * Reads borrow: what is returned stays valid until the next tree_apply(), tree_load_begin() or
 * tree_close().
 * Nothing here checks permissions; the ACL of each node is there for the caller to check. */
#ifndef ZAB_TREE_H
#define ZAB_TREE_H

#include "zab/err.h"
#include "zab/records.h"

struct tree;
struct znode;

/* `seed` keys the hash of paths, so that nobody outside can choose colliding names. It has no
 * influence on anything that can be seen. A new tree has /, /zookeeper, /zookeeper/quota and
 * /zookeeper/config, as a new ZooKeeper has. */
struct tree *tree_open(uint64_t seed);
void tree_close(struct tree *t);

/* The same piece by piece, at most so many nodes of it: true when that was all. Between the calls
 * it is of no other use. */
bool tree_close_some(struct tree *t, size_t limit);

/* The zxid of the last transaction applied or loaded. */
int64_t tree_last_zxid(const struct tree *t);
void tree_set_last_zxid(struct tree *t, int64_t zxid);

/* The content of /zookeeper/config, which no transaction sets: the server lines and their version.
 * Its Stat is the same for one content. */
void tree_set_config(struct tree *t, struct slice text, int64_t version);

/* What mntr and srvr show. As in ZooKeeper, where the root has two names, it counts twice: a new
 * tree has 5 nodes. The data size is that of all paths and data, in bytes: 44 in a new tree. */
size_t tree_count(const struct tree *t);
size_t tree_ephemeral_count(const struct tree *t);
uint64_t tree_data_size(const struct tree *t);

/* ---- Reading ---- */

/* NULL if there is none. The path needs no check before. */
const struct znode *tree_find(const struct tree *t, struct slice path);

/* The Stat that clients see: its cversion counts creations and deletions of children
 * (2 * StatPersisted.cversion - numChildren). */
void znode_stat(const struct znode *n, struct zk_stat *stat);

/* The Stat as it is stored: its cversion counts creations only; sequence numbers come from it. */
void znode_stat_persisted(const struct znode *n, struct zk_stat_persisted *stat);
uint32_t znode_num_children(const struct znode *n);

/* Null data and empty data are different. */
struct slice znode_data(const struct znode *n);
struct slice znode_name(const struct znode *n);

/* Interned ACLs: nodes with equal ACLs have equal ids. Id -1 is world:anyone with all
 * permissions. An id in an event of tree_apply() can be asked for until the next tree_apply(),
 * even if no node has it any more. */
int64_t znode_acl_id(const struct znode *n);
struct jute_vector tree_acl(const struct tree *t, int64_t acl_id);

/* Children, in the order of their creation (a dump keeps it); NULL at the end. */
const struct znode *tree_first_child(const struct tree *t, const struct znode *n);
const struct znode *tree_next_child(const struct tree *t, const struct znode *child);

/* Append the names of all children, in that order, each as a jute string. */
void tree_write_children(const struct tree *t, const struct znode *n, struct buf *out);

/* Append the node's path. */
void tree_path(const struct tree *t, const struct znode *n, struct buf *path);

/* The number of all nodes below this one, which is known. */
size_t tree_count_below(const struct tree *t, const struct znode *n);

/* Ephemeral nodes of a session, in the order of their creation or, in a loaded tree, of the
 * stream; NULL at the end. */
const struct znode *tree_first_ephemeral(const struct tree *t, int64_t session_id);
const struct znode *tree_next_ephemeral(const struct tree *t, const struct znode *n);

/* What kind of lifetime an ephemeralOwner means (EphemeralType). */
enum ephemeral_type {
    EPHEMERAL_NONE,      /* 0 */
    EPHEMERAL_SESSION,   /* a session id */
    EPHEMERAL_CONTAINER, /* INT64_MIN */
    EPHEMERAL_TTL,       /* 0xff, two bytes of zero, 40 bits of milliseconds */
};
enum ephemeral_type ephemeral_type_of(int64_t owner);
bool ephemeral_ttl_is_valid(int64_t ttl_ms); /* 1 .. 2^40 - 1 */
int64_t ephemeral_owner_of_ttl(int64_t ttl_ms);
int64_t ephemeral_ttl_of(int64_t owner);

/* Containers and TTL nodes that could be removed now: a container that is empty and has had a
 * child, a TTL node that is empty and was not changed for its time. tree_sweep_next() looks at as
 * many of them as it may, appends the path of each that is found as a jute string, at most `limit`,
 * and goes on there when it is called again; false when it has come to the end. The tree may change
 * between. `now_ms` is wall-clock time. */
void tree_sweep_begin(struct tree *t);
bool tree_sweep_next(struct tree *t, int64_t now_ms, size_t looks, size_t limit, struct buf *paths);

/* Would a change at `path` by so many bytes and nodes go beyond a hard limit that is set in
 * /zookeeper/quota for it or for a node above it (ZooKeeperServer.checkQuota)? Of several quotas
 * the deepest counts. Costs nothing in a tree without quotas.
 *
 * The stats nodes are kept by tree_apply(), whatever clients write there: those that have limits
 * say at each zxid what is there. ZooKeeper's tools allow no quota inside of another; where there
 * is one, both are kept, but only the limits of the inner one hold. */
bool tree_quota_exceeded(const struct tree *t, struct slice path, int64_t bytes, int64_t count);

/* ---- Sessions, as transactions made them ---- */

bool tree_session_timeout(const struct tree *t, int64_t session_id, int32_t *timeout_ms);
size_t tree_session_count(const struct tree *t);

/* Calls nothing back: start with *cursor = 0, until it returns false. No tree_apply() between. */
bool tree_session_next(const struct tree *t, size_t *cursor, int64_t *session_id,
                       int32_t *timeout_ms);

/* ---- Applying ---- */

/* What one operation did. In a multi there is one for each of its operations. */
struct tree_result {
    int32_t type;        /* enum zk_op; ZK_OP_error in a failed multi */
    int32_t err;         /* enum zk_error */
    struct slice path;   /* borrowed from the transaction; null where there is none */
    struct zk_stat stat; /* right after this operation: all creates, setData, setACL */
};

/* A change that watches may want to know, in the order in which watches must be told.
 * `acl_id` is the node's ACL when it happened (for NodeDeleted: the one it had). */
struct tree_event {
    enum zk_event_type type;
    struct slice path;
    int64_t acl_id;
};

/* The caller's, all zero to begin with, used again for each call; slices in it stay valid until
 * the next call or until the transaction's bytes go. */
struct tree_outcome {
    int32_t err; /* of the transaction as a whole */
    struct tree_result *results;
    size_t n_results, cap_results;
    struct tree_event *events;
    size_t n_events, cap_events;
    struct buf scratch;
};
void tree_outcome_close(struct tree_outcome *out);

/* Whether it can be applied: it is whole, and of a kind that is known. */
bool tree_check_txn(const struct zk_txn_header *header, struct slice txn);

/* Apply one committed transaction. `txn` is the record behind the header; what follows the record
 * (ZooKeeper's TxnDigest) is ignored. Sets the last zxid.
 *
 * Operations that do not fit the tree (create of a node that is there, delete of one that is
 * not) leave their error in the results and change what ZooKeeper's DataTree changes in that
 * case (parent's cversion and pzxid, ACL), so that replaying a log over a fuzzy snapshot ends in
 * the right tree. For the same reason a node that is deleted takes with it what is below it.
 *
 * Returns 0, or -EBADMSG if the record cannot be parsed or is of no type that ZooKeeper logs:
 * then nothing was changed. */
int tree_apply(struct tree *t, const struct zk_txn_header *header, struct slice txn,
               struct tree_outcome *out);

/* ---- Dump and load: SerializeUtils.serializeSnapshot ----
 *
 * The stream: sessions (count, then id and timeout each, by id), the ACL map (count, then id and
 * vector<ACL> each, by id), the nodes (path, data, acl, StatPersisted; a parent before its
 * children; the root's path is ""), and the path "/" as the end mark. */

struct tree_dump {
    const struct tree *tree;
    int stage;
    uint32_t node;
    struct buf path;
};

void tree_dump_begin(struct tree_dump *d, const struct tree *t);

/* Append about 64 KiB more (at least one whole node). False when that was the end; close then. */
bool tree_dump_next(struct tree_dump *d, struct buf *out);
void tree_dump_close(struct tree_dump *d);

/* Loading replaces what is in the tree, piece by piece as bytes arrive: it is empty from the
 * beginning, complete at the end, and after an error fit only to be closed or loaded again. The
 * last zxid is for the caller to set. */
struct tree_load;
struct tree_load *tree_load_begin(struct tree *t);

/* Take in `chunk`. *used: how much of it belongs to the tree's stream (less than all of it only
 * at the end). Returns 0 for more, 1 at the end of the stream, or a negative errno with a
 * sentence in `e` (bad path, no parent, negative count, ...). A record is never larger than
 * TREE_RECORD_MAX.
 *
 * What ZooKeeper's snapshots may have is accepted: ACLs that no node has are dropped, a node whose
 * ACL is missing is closed to all until the log sets its ACL, and built-in nodes that ZooKeeper
 * did not have yet are added. */
int tree_load_feed(struct tree_load *l, struct slice chunk, size_t *used, struct err *e);
void tree_load_close(struct tree_load *l);

enum {
    TREE_RECORD_MAX = 64 << 20,
};

#endif
