/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the mount knows of the tree, how a znode looks as a file, and drafts. */
#ifndef ZAB_MOUNT_MODEL_H
#define ZAB_MOUNT_MODEL_H

#include <sys/stat.h>
#include <sys/types.h>

#include "zab/err.h"
#include "zab/hmap.h"
#include "zab/list.h"
#include "zab/records.h"

/* ---- Content: the data of one version, shared by all who read it ---- */

struct content {
    unsigned refs;
    int32_t version;
    int64_t mzxid;
    size_t len;
    uint8_t bytes[];
};

struct content *content_new(struct slice data, const struct zk_stat *stat);
struct content *content_ref(struct content *c);
void content_unref(struct content *c); /* NULL is fine */
struct slice content_slice(const struct content *c);

/* ---- Nodes: node.c ----
 *
 * A node is a znode, or a file of ours, that the mount knows of. Its id is its inode number, never
 * used twice. Nodes are known because the kernel holds them (lookups), because we do (refs), or
 * because their parent is a directory that is listed: all its children are known then, be it by
 * name only. */

enum node_kind {
    NODE_ZNODE,
    NODE_DATA,        /* .data in a directory: the directory's own data */
    NODE_CONTROL_DIR, /* .zabfs */
    NODE_STATUS,      /* .zabfs/status */
};

enum node_life {
    NODE_PENDING, /* created by an open; the znode appears with its content */
    NODE_NAMED,   /* it is there, no more is known */
    NODE_LIVE,    /* with a Stat */
    NODE_GONE,    /* it was removed; the kernel or a handle still has it */
};

enum node_watch {
    NODE_WATCH_NONE,
    NODE_WATCH_OWN,   /* the node and its list of children */
    NODE_WATCH_BELOW, /* the node and all below it: for directories with many children */
};

struct injection;

struct node {
    struct hmap_node by_id;
    struct hmap_node by_name;
    struct node *parent; /* NULL for the root */
    struct list siblings;
    struct list children;
    struct node *data_file; /* .data, once somebody asked for it */
    char *name;
    char *shown; /* the name that the kernel knows; the same, unless that is taken (map.c) */
    uint64_t id;
    uint64_t slot; /* its place in listings: that of the node that had its name before */
    uint64_t lookups;
    unsigned refs;
    unsigned place; /* counts its moves: an answer about another path is not about it */
    size_t n_children;
    enum node_kind kind;
    enum node_life life;
    enum node_watch watch;
    bool is_dir;
    bool listed;
    bool releasing;    /* it was, and children that nobody needs are still there */
    bool many;         /* too many children for a watch on each */
    int32_t too_long;  /* so many that their list was longer than what is taken; 0: not so */
    bool removed_here; /* through this mount, which is where that was told */
    bool made_here;    /* it got its name through this mount: the same */
    bool fresh;        /* the Stat is the server's, as far as watches told */

    struct zk_stat stat;
    unsigned perms_own; /* enum zk_perm, of this mount's identity */
    unsigned perms_world;
    struct slice acl;        /* vector<ACL> with its count, on the heap; null: open to the world */
    int32_t acl_version;     /* the aversion that it is of, -1: not known */
    int64_t acl_ms;          /* when it was read */
    struct list by_acl;      /* in that order */
    bool closed;             /* a right to read it was there, and is not any more */
    struct content *content; /* that was read last; its mzxid says whether it is still so */
    struct list cached;      /* in the order of use, while there is content */
    uint64_t seen;           /* the list of children that it was in last */
    uint64_t list_id; /* of the list of its own that is on its way into the model; 0: none is */

    /* What the watchers have been told of. */
    bool told;
    bool given; /* somebody was given this name, or told of it: its end is to be told */
    int64_t told_mzxid;
    int32_t told_aversion; /* -1: of any */
    int32_t told_length;
    uint64_t moved_in;         /* the round that has asked whether it is what was moved */
    bool unread;               /* they were, and whoever wanted to read it could not */
    unsigned unsettled;        /* how often it waits to be compared or told */
    struct node *unsettled_in; /* its directory then */
    size_t unsettled_below;    /* so many names in this directory are unsettled */
    unsigned injecting;        /* injections that wait or run */
    struct injection *queued;  /* the last of them */

    /* Of which versions the kernel has the size, and pages; 0: it has none, -1: of several. */
    int64_t size_mzxid;
    int64_t pages_mzxid;

    unsigned writers; /* handles open for writing */
    struct list dirty;
    bool dirty_list;
    bool list_moved; /* it took the place of another, unlisted: what its next list adds is told */
    bool list_lacks; /* a name that is pending is not in what the kernel has of its list */
    uint64_t changed_in; /* the round before whose end its children changed last */
    bool after_change;   /* its directory had changed already when it was removed */
    int64_t gone_zxid;   /* the transaction that removed it; 0 or less: not known */
};

struct nodes {
    struct hmap by_id;
    struct hmap by_name;
    uint64_t next_id;
    uint64_t lists; /* lists of children that were compared */
    struct node *root;
    struct list cached; /* nodes with content, the least recently used first */
    struct list by_acl; /* nodes whose ACL was read, the longest ago first */
    size_t cached_bytes;
    size_t n_held; /* by the kernel */
    struct list cursors;
};

enum {
    NODE_ROOT_ID = 1,
    NODE_CONTROL_DIR_ID = 2,
    NODE_STATUS_ID = 3,
    NODE_FIRST_ID = 16,
    NODE_NAME_MAX = 255,
    NODE_MANY_CHILDREN = 128,
    NODE_CACHED_BYTES_MAX = 64 << 20,
};

void nodes_init(struct nodes *t);
void nodes_close(struct nodes *t);
struct node *node_find(const struct nodes *t, uint64_t id);
struct node *node_child(const struct nodes *t, const struct node *parent, struct slice name);

/* A new child, NODE_NAMED and not told. The name is not taken yet. */
struct node *node_add(struct nodes *t, struct node *parent, struct slice name);

/* The file of the directory's own data; made when it is asked for the first time. */
struct node *node_data_file(struct nodes *t, struct node *dir);

/* Remember the content, and forget the least recently used of others beyond a limit. */
void node_set_content(struct nodes *t, struct node *n, struct content *c);
void node_drop_content(struct nodes *t, struct node *n);

/* The path of its znode. */
void node_path(const struct node *n, struct buf *path);

/* The path below the mount point, with a leading slash. */
void node_mount_path(const struct node *n, struct buf *path);

/* It is not in its directory any more, nor are those below it. It may be freed by this. */
void node_remove(struct nodes *t, struct node *n);
/* A node that is gone comes back under this name. */
void node_restore(struct nodes *t, struct node *n, struct node *parent, struct slice name);
void node_move(struct nodes *t, struct node *n, struct node *parent, struct slice name);
void node_swap(struct nodes *t, struct node *a, struct node *b);

/* A change of its name or its state is known, or may be, and its watchers were not told yet: until
 * then nobody may keep what is said of that name. */
void node_unsettle(struct node *n);
void node_settle(struct nodes *t, struct node *n);

/* The kernel has been given one more lookup of it. */
void node_hold(struct nodes *t, struct node *n);

struct node *node_ref(struct node *n);
void node_unref(struct nodes *t, struct node *n);
void node_forget(struct nodes *t, struct node *n, uint64_t lookups);

void node_free_unneeded(struct nodes *t, struct node *n);

/* A place among the children of a directory, which holds while they come and go. Those that come
 * are behind it. */
struct cursor {
    struct list link;
    struct node *dir; /* NULL: it is not open */
    struct list *next;
};

void cursor_open(struct nodes *t, struct cursor *c, struct node *dir);
struct node *cursor_next(struct cursor *c); /* NULL: that was the last */
void cursor_close(struct nodes *t, struct cursor *c);

/* In the table under a name. */
static inline bool node_is_linked(const struct node *n)
{
    return n->life != NODE_GONE;
}

/* Whose Stat describes this node. */
static inline struct node *node_znode(struct node *n)
{
    return n->kind == NODE_DATA ? n->parent : n;
}

bool node_is_below(const struct node *n, const struct node *dir);

/* Is it, or could it be, looked at by an inotify watch? */
static inline bool node_is_held(const struct node *n)
{
    return n->lookups > 0 || n->id == NODE_ROOT_ID;
}

bool node_is_watched(const struct node *n);

/* Which watch it should have now. */
enum node_watch node_wanted_watch(const struct node *n);

/* ---- Mapping: map.c ---- */

struct identity_id {
    char *scheme;
    char *id;
};

struct identity {
    struct identity_id *ids;
    size_t n;
};

void identity_add(struct identity *who, struct slice scheme, struct slice id);
void identity_close(struct identity *who);

/* Does the Stat of a znode say directory? */
bool map_is_dir(const struct zk_stat *stat, bool data_is_null);

/* What the ACL grants to us and to world:anyone. */
void map_acl_perms(const struct jute_vector *acl, const struct identity *who, unsigned *own,
                   unsigned *world);
mode_t map_mode(bool is_dir, unsigned own, unsigned world);

/* The ACL that `mode` asks for. MAP_CHMOD_SET: it is appended to `out` as a vector. */
enum map_chmod {
    MAP_CHMOD_NOTHING, /* as good as it is */
    MAP_CHMOD_SET,
    MAP_CHMOD_DENIED, /* it would hide, and cannot be enforced */
};
enum map_chmod map_chmod(const struct jute_vector *acl, const struct identity *who, bool is_dir,
                         mode_t mode, struct buf *out);

/* The ACL of a new node: false if it is open to the world. */
bool map_create_acl(const struct identity *who, bool is_dir, mode_t mode, struct buf *out);
struct jute_vector map_acl_vector(struct slice acl);
void map_acl_text(struct slice acl, struct buf *out);

/* A positive errno. `writing`: for a request that changes something. */
int map_errno(int32_t zk_err, bool writing);

/* The same where it cannot be found out whether a change was made: such an error must not say that
 * it was not. */
int map_errno_unknown(int32_t zk_err);

/* Could the kernel take it for a name in a directory? */
bool map_is_name(struct slice name);

/* 0, or the errno for a name that a new node cannot have. */
int map_check_name(struct slice name);

/* A znode whose name is that of a file of ours is shown with a suffix. Does this one need it? */
bool map_is_taken(struct slice name, bool in_root);
#define MAP_SUFFIX "@znode"

/* The znode's name for one that the kernel asks for: without the suffix. */
struct slice map_real_name(struct slice shown, bool in_root);

/* The value of a user.zk.NAME attribute, false if there is none of this name. */
bool map_xattr(const struct node *n, const char *name, struct buf *value);
void map_xattr_list(struct buf *names);

/* ---- Diff: sync.c ---- */

/* What the watchers of a node have to be told; in this order. */
enum sync_change {
    SYNC_CREATED = 1 << 0,
    SYNC_DELETED = 1 << 1,
    SYNC_DATA = 1 << 2,
    SYNC_ACL = 1 << 3,
};

unsigned sync_changes(const struct node *n);

/* They have been told. */
void sync_told(struct node *n);

/* The kernel has told of its data, through a system call made here. What else there is to be told,
 * its making above all, still is. */
void sync_data_told(struct node *n);

/* Was `to` made from `from`, which is gone, in the transaction that removed it? `maybe`: it may
 * turn out so when the contents of both are known. */
bool sync_is_rename(const struct node *from, const struct node *to, bool maybe);

/* ---- Drafts: draft.c ---- */

enum draft_mode {
    DRAFT_EDIT,   /* changes to a known version */
    DRAFT_WHOLE,  /* all of the content, whatever there was */
    DRAFT_APPEND, /* only what comes behind the end, wherever that will be */
};

struct draft {
    enum draft_mode mode;
    bool append;    /* the descriptor is O_APPEND */
    bool loaded;    /* DRAFT_EDIT: `data` began as the version `base` */
    bool dirty;     /* something to commit */
    bool written;   /* ... and not only a truncation */
    bool too_large; /* a write did not fit: none of it is committed */
    int32_t base;
    unsigned cuts; /* counts truncations: before one of them the bytes were others */
    struct buf data;
};

void draft_init(struct draft *d, bool append);
void draft_close(struct draft *d);

/* Does the next write, or a truncation to that size, need the base first? */
bool draft_needs_base(const struct draft *d);
bool draft_needs_base_to_truncate(const struct draft *d, uint64_t size);

/* What was appended to the draft so far comes behind it. */
void draft_load(struct draft *d, const struct content *base);

/* There is nothing that it could come behind. */
void draft_begins(struct draft *d);

/* Change it; -EFBIG beyond `limit` bytes. */
int draft_write(struct draft *d, struct slice data, uint64_t offset, size_t limit);
int draft_truncate(struct draft *d, uint64_t size, size_t limit);

/* The size of what is there with it, given the size of what was committed. */
size_t draft_size(const struct draft *d, size_t committed);

/* What a reader of the descriptor sees; `base` for what is not in the draft. Valid as long as all
 * three. */
struct slice draft_whole(const struct draft *d, const struct content *base, struct buf *joined);

/* The content to set, given what is there now (DRAFT_APPEND), appended to `out`. */
void draft_result(const struct draft *d, const struct content *now, struct buf *out);

/* `sent` bytes of it, as they were at `cuts`, are in the tree as `version`; what was written since
 * stays. */
void draft_committed(struct draft *d, size_t sent, unsigned cuts, bool unchanged, int32_t version);

/* ---- Decisions: decide.c ---- */

enum commit_next {
    COMMIT_LANDED,
    COMMIT_AGAIN,   /* from the start */
    COMMIT_CREATE,  /* the node is to be made */
    COMMIT_SET,     /* it is there: set it */
    COMMIT_VERIFY,  /* look whether what was sent took place */
    COMMIT_NOWHERE, /* the file has no name any more */
    COMMIT_RACED,   /* somebody else was first */
    COMMIT_UNKNOWN, /* it may have taken place or not */
    COMMIT_FAIL,    /* with the error */
};

struct commit_failure {
    int32_t err; /* enum zk_error */
    bool sent;   /* a transaction, and its answer has not come */
    bool late;   /* there is no time for another try */
    enum draft_mode mode;
    enum node_life life;
    bool exists;     /* a create has found the node there */
    bool anew;       /* this was a create of a node that had gone */
    bool moved;      /* renamed since it was sent */
    bool may_create; /* where it is gone */
};
enum commit_next decide_after_failure(const struct commit_failure *f);

struct commit_look {
    bool gone;
    enum draft_mode mode;
    int32_t version; /* before it was sent, -1: none */
    int32_t now;
    bool same;   /* the data are what was sent, */
    bool begins; /* or begin with that */
};
enum commit_next decide_after_look(const struct commit_look *l);

#endif
