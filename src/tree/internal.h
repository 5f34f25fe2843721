/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tree's parts, shared by the files of this folder. */
#ifndef ZAB_TREE_INTERNAL_H
#define ZAB_TREE_INTERNAL_H

#include "zab/hmap.h"
#include "zab/list.h"
#include "zab/tree.h"

/* ---- ACLs (acl.c) ---- */

struct acl {
    struct hmap_node by_id;
    struct hmap_node by_content;
    struct list by_order; /* ascending ids */
    struct list dead;     /* in acls.dead while nobody refers to it */
    int64_t id;
    size_t refs;
    int32_t count;
    int32_t size;
    uint8_t bytes[]; /* the elements of a vector<ACL> */
};

struct acls {
    struct hmap by_id;
    struct hmap by_content;
    struct list by_order;
    struct list dead;
    uint64_t seed;
};

void acls_init(struct acls *a, uint64_t seed);
void acls_close(struct acls *a);

/* The ACL equal to `v`, with one more reference; NULL for world:anyone and for a null vector. */
struct acl *acl_intern(struct acls *a, const struct jute_vector *v);
void acl_ref(struct acl *acl);

/* The last one to leave makes it dead: it stays readable until acls_purge(). */
void acl_unref(struct acls *a, struct acl *acl);
void acls_purge(struct acls *a);

/* An ACL from a snapshot, not referred to yet. Ids must come in ascending order. */
struct acl *acl_insert(struct acls *a, int64_t id, const struct jute_vector *v);

static inline int64_t acl_id(const struct acl *acl)
{
    return acl ? acl->id : -1;
}

static inline struct jute_vector acl_vector(const struct acl *acl)
{
    return (struct jute_vector){acl->count, slice_of(acl->bytes, (size_t)acl->size)};
}

/* ---- Nodes (znode.c) ---- */

/* Nodes are addressed by 32-bit numbers, which are slots in chunks. */
enum {
    NODE_NONE = 0,
    NODE_ROOT = 1,
    CHUNK_BITS = 12,
    CHUNK_NODES = 1 << CHUNK_BITS,
};

/* What most nodes, leaves that belong to nobody, do without. A node that has none has no
 * children, no owner, a pzxid equal to its czxid, and zeros elsewhere. */
struct extra {
    int64_t owner;
    int64_t pzxid;
    uint32_t last_child;
    uint32_t num_children;
    uint32_t owned_prev; /* among those of the same owner, or of the same kind */
    uint32_t owned_next;
    int32_t cversion;
    int32_t aversion;
    int64_t bytes_below; /* of data, but for that of stats nodes, which are counted with it */
    uint32_t n_below;    /* nodes */
};

/* What a search looks at stands together. */
struct znode {
    uint8_t *bytes; /* struct extra if has_extra, the name, the data; NULL in a free slot */
    uint32_t hash;
    uint32_t hash_next; /* in the same bucket; in a free slot: the next free one */
    uint32_t parent;
    uint32_t name_len : 31;
    uint32_t has_extra : 1;
    int32_t data_len; /* -1: null */
    int32_t version;
    uint32_t next; /* siblings in a ring, in the order of creation */
    uint32_t prev;
    struct acl *acl; /* NULL: world:anyone with all permissions */
    int64_t czxid;
    int64_t mzxid;
    int64_t ctime;
    int64_t mtime;
};

struct node_list {
    uint32_t first;
    uint32_t last;
};

/* A session that is open, or that owns nodes, or both. */
struct session {
    struct hmap_node by_id;
    int64_t id;
    int32_t timeout_ms;
    bool open;
    struct node_list owned;
};

/* Where a search for nodes that may be removed is; see tree_sweep_begin(). */
struct sweep {
    enum { SWEEP_OVER, SWEEP_CONTAINERS, SWEEP_TTLS } stage;
    uint32_t next;
};

struct tree {
    uint64_t seed;
    struct znode **chunks;
    uint32_t n_slots; /* ever used, slot 0 (NODE_NONE) counted */
    uint32_t free_slot;
    uint32_t n_nodes;
    uint32_t bucket_mask, old_bucket_mask;
    uint32_t *buckets, *old_buckets; /* the old ones while the table grows */
    uint32_t buckets_moved;
    uint32_t n_closed; /* slots, while it is being closed */
    int64_t last_zxid;
    uint64_t data_size;
    size_t n_ephemerals;
    size_t n_sessions;
    size_t n_quotas; /* limit nodes below /zookeeper/quota */
    struct hmap sessions;
    struct node_list containers;
    struct node_list ttls;
    struct sweep sweep;
    struct acls acls;
};

static inline struct znode *znode_at(const struct tree *t, uint32_t i)
{
    return &t->chunks[i >> CHUNK_BITS][i & (CHUNK_NODES - 1)];
}

static inline const struct extra *znode_extra(const struct znode *n)
{
    return n->has_extra ? (const struct extra *)(const void *)n->bytes : NULL;
}

static inline int64_t znode_pzxid(const struct znode *n)
{
    const struct extra *e = znode_extra(n);
    return e ? e->pzxid : n->czxid;
}

static inline int64_t znode_owner(const struct znode *n)
{
    const struct extra *e = znode_extra(n);
    return e ? e->owner : 0;
}

void znodes_init(struct tree *t);
bool znodes_close(struct tree *t, size_t limit); /* so many slots; true when that was all */

/* The number of the node at `path` and, if it is there, the hash of the path. */
uint32_t znode_find(const struct tree *t, struct slice path, uint64_t *hash);
uint32_t znode_find_child(const struct tree *t, uint32_t parent, uint64_t hash, struct slice name);

/* A new last child of `parent`; `hash` is that of its path. Its Stat is zero. */
uint32_t znode_add(struct tree *t, uint32_t parent, uint64_t hash, struct slice name,
                   struct slice data);

/* The node has no children. */
void znode_remove(struct tree *t, uint32_t i);

/* The node's extra part, made if there is none. Pointers into the node's bytes go stale. */
struct extra *znode_make_extra(struct znode *n);
void znode_set_data(struct tree *t, struct znode *n, struct slice data);
void znode_set_acl(struct tree *t, struct znode *n, const struct jute_vector *acl);

uint32_t znode_first_child(const struct tree *t, const struct znode *n);
size_t znode_n_below(const struct znode *n);
int64_t znode_bytes_at_and_below(const struct tree *t, const struct znode *n);
size_t znode_path_len(const struct tree *t, const struct znode *n);

/* The node behind `i` in a walk, parents first, of all that is below `top`. */
uint32_t znode_walk(const struct tree *t, uint32_t top, uint32_t i);

/* Add those of /zookeeper, /zookeeper/quota and /zookeeper/config that are missing. */
void tree_add_builtin(struct tree *t);

/* Forget all, back to a root without anything. */
void tree_clear(struct tree *t);

/* ---- Sessions and other owners (session.c) ---- */

struct session *tree_session_find(const struct tree *t, int64_t id);
void tree_session_open(struct tree *t, int64_t id, int32_t timeout_ms);
void tree_session_close(struct tree *t, int64_t id); /* it owns nothing any more */
void tree_sessions_clear(struct tree *t);

void znode_set_owner(struct tree *t, uint32_t i, int64_t owner);
void znode_clear_owner(struct tree *t, uint32_t i);

/* ---- Transactions as they are read (op.c) ---- */

/* Borrows from the transaction. */
struct op {
    int32_t type;
    int32_t err;     /* error */
    int32_t version; /* setData, setACL; of the parent's children: create */
    int32_t timeout_ms;
    int64_t owner; /* create */
    struct slice path;
    struct slice data;
    struct jute_vector acl;
    struct jute_vector parts; /* multi: operations; closeSession: paths, or null */
};

/* False if the record cannot be read, or if there is no such transaction. */
bool op_read(struct op *op, int32_t type, int64_t client_id, struct slice record);

/* True if all operations of a multi can be read. *failed: one of them is an error, so that none
 * is to be applied. */
bool op_check_multi(const struct op *multi, int64_t client_id, bool *failed);

/* ---- Quotas (quota.c) ---- */

/* True for a limit node, which znode_add() and znode_remove() count. */
bool quota_is_limit(const struct tree *t, uint32_t parent, struct slice name);
bool quota_is_stats(const struct tree *t, uint32_t parent, struct slice name);
void quota_node_changed(struct tree *t, uint32_t i);

/* What is at or below `path` is not what it was. Free of cost in a tree without quotas. */
void quota_update(struct tree *t, struct slice path);
void quota_recompute_all(struct tree *t);

#endif
