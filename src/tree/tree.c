/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tree as a whole, and what readers see of it. */
#include "internal.h"

#include <stdlib.h>

#include "path.h"

enum {
    PREFETCH_AHEAD = 16,
};

static void tree_init(struct tree *t, uint64_t seed)
{
    *t = (struct tree){.seed = seed};
    acls_init(&t->acls, seed);
    znodes_init(t);
}

static bool tree_drop(struct tree *t, size_t limit)
{
    if (!znodes_close(t, limit))
        return false;
    tree_sessions_clear(t);
    acls_close(&t->acls);
    return true;
}

struct tree *tree_open(uint64_t seed)
{
    struct tree *t = mem_alloc(sizeof(*t));
    tree_init(t, seed);
    tree_add_builtin(t);
    return t;
}

bool tree_close_some(struct tree *t, size_t limit)
{
    if (!tree_drop(t, limit))
        return false;
    free(t);
    return true;
}

void tree_close(struct tree *t)
{
    bool all = tree_close_some(t, SIZE_MAX);
    ensure(all);
}

void tree_clear(struct tree *t)
{
    uint64_t seed = t->seed;
    tree_drop(t, SIZE_MAX);
    tree_init(t, seed);
}

/* True if it had to be added. */
static bool builtin_add(struct tree *t, struct slice path)
{
    uint64_t hash;
    if (znode_find(t, path, &hash) != NODE_NONE)
        return false;
    uint32_t parent = znode_find(t, zk_path_parent(path), &hash);
    struct slice name = zk_path_name(path);
    znode_add(t, parent, path_hash_child(hash, name), name, SLICE_EMPTY);
    return true;
}

/* The configuration may be read by anyone; its aversion begins at -1. */
static void config_protect(struct tree *t)
{
    struct znode *n = znode_at(t, znode_find(t, slice_str("/zookeeper/config"), &(uint64_t){0}));
    const struct zk_acl read_only = {ZK_PERM_READ, {slice_str("world"), slice_str("anyone")}};
    struct buf acl = {0};
    zk_acl_write(&acl, &read_only);
    znode_set_acl(t, n, &(struct jute_vector){1, buf_slice(&acl)});
    znode_make_extra(n)->aversion = -1;
    buf_close(&acl);
}

/* In the order in which ZooKeeper's first snapshot has them. */
void tree_add_builtin(struct tree *t)
{
    builtin_add(t, slice_str("/zookeeper"));
    if (builtin_add(t, slice_str("/zookeeper/config")))
        config_protect(t);
    builtin_add(t, slice_str("/zookeeper/quota"));
}

/* As ZooKeeper does it, but for mtime, which is the clock's there. */
void tree_set_config(struct tree *t, struct slice text, int64_t version)
{
    tree_add_builtin(t);
    struct znode *n = znode_at(t, znode_find(t, slice_str("/zookeeper/config"), &(uint64_t){0}));
    znode_set_data(t, n, text);
    n->version = -1;
    n->mzxid = version;
    n->mtime = 0;
}

int64_t tree_last_zxid(const struct tree *t)
{
    return t->last_zxid;
}

void tree_set_last_zxid(struct tree *t, int64_t zxid)
{
    t->last_zxid = zxid;
}

size_t tree_count(const struct tree *t)
{
    return (size_t)t->n_nodes + 1;
}

uint64_t tree_data_size(const struct tree *t)
{
    return t->data_size;
}

const struct znode *tree_find(const struct tree *t, struct slice path)
{
    uint64_t hash;
    uint32_t i = znode_find(t, path, &hash);
    return i != NODE_NONE ? znode_at(t, i) : NULL;
}

uint32_t znode_num_children(const struct znode *n)
{
    const struct extra *e = znode_extra(n);
    return e ? e->num_children : 0;
}

void znode_stat_persisted(const struct znode *n, struct zk_stat_persisted *stat)
{
    const struct extra *e = znode_extra(n);
    *stat = (struct zk_stat_persisted){
        .czxid = n->czxid,
        .mzxid = n->mzxid,
        .ctime = n->ctime,
        .mtime = n->mtime,
        .version = n->version,
        .cversion = e ? e->cversion : 0,
        .aversion = e ? e->aversion : 0,
        .ephemeral_owner = znode_owner(n),
        .pzxid = znode_pzxid(n),
    };
}

void znode_stat(const struct znode *n, struct zk_stat *stat)
{
    const struct extra *e = znode_extra(n);
    uint32_t num_children = znode_num_children(n);
    bool ephemeral = ephemeral_type_of(znode_owner(n)) == EPHEMERAL_SESSION;
    *stat = (struct zk_stat){
        .czxid = n->czxid,
        .mzxid = n->mzxid,
        .ctime = n->ctime,
        .mtime = n->mtime,
        .version = n->version,
        .cversion = (int32_t)((e ? (uint32_t)e->cversion : 0) * 2 - num_children),
        .aversion = e ? e->aversion : 0,
        .ephemeral_owner = ephemeral ? znode_owner(n) : 0,
        .data_length = MAX(n->data_len, 0),
        .num_children = (int32_t)num_children,
        .pzxid = znode_pzxid(n),
    };
}

int64_t znode_acl_id(const struct znode *n)
{
    return acl_id(n->acl);
}

const struct znode *tree_first_child(const struct tree *t, const struct znode *n)
{
    uint32_t child = znode_first_child(t, n);
    return child != NODE_NONE ? znode_at(t, child) : NULL;
}

const struct znode *tree_next_child(const struct tree *t, const struct znode *child)
{
    const struct extra *e = znode_extra(znode_at(t, child->parent));
    return znode_at(t, e->last_child) != child ? znode_at(t, child->next) : NULL;
}

/* There may be very many, whose names are all over the memory: they are asked for ahead. */
void tree_write_children(const struct tree *t, const struct znode *n, struct buf *out)
{
    uint32_t left = znode_num_children(n), i = left > 0 ? znode_first_child(t, n) : NODE_NONE;
    uint32_t ahead = i;
    for (uint32_t k = 0; k < MIN(left, PREFETCH_AHEAD); k++, ahead = znode_at(t, ahead)->next)
        __builtin_prefetch(znode_at(t, ahead)->bytes);
    for (; left > 0; left--, i = znode_at(t, i)->next, ahead = znode_at(t, ahead)->next) {
        __builtin_prefetch(znode_at(t, ahead)->bytes);
        jute_write_buffer(out, znode_name(znode_at(t, i)));
    }
}

/* Written from its end, since the links lead upwards. */
void tree_path(const struct tree *t, const struct znode *n, struct buf *path)
{
    size_t len = znode_path_len(t, n);
    uint8_t *start = buf_extend(path, len), *end = start + len;
    *start = '/';
    for (; n->parent != NODE_NONE; n = znode_at(t, n->parent)) {
        struct slice name = znode_name(n);
        end -= name.len;
        memcpy(end, name.data, (size_t)name.len);
        *--end = '/';
    }
}

size_t tree_count_below(const struct tree *t, const struct znode *n)
{
    (void)t;
    return znode_n_below(n);
}
