/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where znodes live: in chunks of slots, addressed by 32-bit numbers, found by a chained hash
 * table of their paths. A slot holds what every node has; name and data (and what only some nodes
 * have) are one allocation, sized exactly. A plain leaf costs its slot, that allocation and a
 * bucket. */
#include "internal.h"

#include <stdlib.h>

#include "path.h"

enum {
    BUCKETS_MIN = 1024,
    BUCKETS_MOVED = 4, /* by one node that is added: twice as many as must be */
};

static size_t znode_head(const struct znode *n)
{
    return n->has_extra ? sizeof(struct extra) : 0;
}

static size_t znode_data_size(const struct znode *n)
{
    return n->data_len > 0 ? (size_t)n->data_len : 0;
}

struct slice znode_name(const struct znode *n)
{
    return slice_of(n->bytes + znode_head(n), n->name_len);
}

struct slice znode_data(const struct znode *n)
{
    return (struct slice){n->bytes + znode_head(n) + n->name_len, n->data_len};
}

/* ---- Slots and buckets ---- */

static uint32_t slot_take(struct tree *t)
{
    uint32_t i = t->free_slot;
    if (i != NODE_NONE) {
        t->free_slot = znode_at(t, i)->hash_next;
        return i;
    }
    ensure(t->n_slots < UINT32_MAX);
    i = t->n_slots++;
    if ((i & (CHUNK_NODES - 1)) == 0) {
        size_t n_chunks = (size_t)(i >> CHUNK_BITS) + 1;
        t->chunks = mem_realloc(t->chunks, n_chunks * sizeof(struct znode *));
        t->chunks[n_chunks - 1] = mem_zalloc(CHUNK_NODES * sizeof(struct znode));
    }
    return i;
}

/* While the table grows, buckets from `moved` on are still in the old one (as in util/hmap.c). */
static uint32_t *bucket_at(const struct tree *t, uint32_t hash)
{
    if (t->old_buckets && (hash & t->old_bucket_mask) >= t->buckets_moved)
        return &t->old_buckets[hash & t->old_bucket_mask];
    return &t->buckets[hash & t->bucket_mask];
}

static void bucket_push(struct tree *t, uint32_t *bucket, uint32_t i)
{
    znode_at(t, i)->hash_next = *bucket;
    *bucket = i;
}

static void bucket_remove(struct tree *t, uint32_t i)
{
    struct znode *n = znode_at(t, i);
    uint32_t *link = bucket_at(t, n->hash);
    while (*link != i) {
        ensure(*link != NODE_NONE);
        link = &znode_at(t, *link)->hash_next;
    }
    *link = n->hash_next;
}

static void buckets_grow(struct tree *t, uint32_t n_buckets)
{
    ensure(!t->old_buckets);
    t->old_buckets = t->buckets;
    t->old_bucket_mask = t->bucket_mask;
    t->buckets_moved = 0;
    t->buckets = mem_zalloc(n_buckets * sizeof(*t->buckets));
    t->bucket_mask = n_buckets - 1;
}

static void buckets_move_some(struct tree *t)
{
    for (int k = 0; k < BUCKETS_MOVED && t->old_buckets; k++) {
        uint32_t i = t->old_buckets[t->buckets_moved++], next;
        for (; i != NODE_NONE; i = next) {
            next = znode_at(t, i)->hash_next;
            bucket_push(t, &t->buckets[znode_at(t, i)->hash & t->bucket_mask], i);
        }
        if (t->buckets_moved > t->old_bucket_mask) {
            free(t->old_buckets);
            t->old_buckets = NULL;
        }
    }
}

/* ---- One node ---- */

struct extra *znode_make_extra(struct znode *n)
{
    if (!n->has_extra) {
        size_t size = n->name_len + znode_data_size(n);
        uint8_t *bytes = mem_alloc(sizeof(struct extra) + size);
        *(struct extra *)(void *)bytes = (struct extra){.pzxid = n->czxid};
        memcpy(bytes + sizeof(struct extra), n->bytes, size);
        free(n->bytes);
        n->bytes = bytes;
        n->has_extra = true;
    }
    return (struct extra *)(void *)n->bytes;
}

/* ---- What is below ---- */

size_t znode_n_below(const struct znode *n)
{
    const struct extra *e = znode_extra(n);
    return e ? e->n_below : 0;
}

/* The data of a node, as its ancestors count it. */
static int64_t bytes_counted(const struct tree *t, const struct znode *n)
{
    bool is_stats = n->parent != NODE_NONE && quota_is_stats(t, n->parent, znode_name(n));
    return is_stats ? 0 : (int64_t)znode_data_size(n);
}

int64_t znode_bytes_at_and_below(const struct tree *t, const struct znode *n)
{
    const struct extra *e = znode_extra(n);
    return bytes_counted(t, n) + (e ? e->bytes_below : 0);
}

/* A node came or went, or its data is another, below `parent`. */
static void count_below(struct tree *t, uint32_t parent, int32_t nodes, int64_t bytes)
{
    for (uint32_t i = parent; i != NODE_NONE; i = znode_at(t, i)->parent) {
        struct extra *e = znode_make_extra(znode_at(t, i));
        e->n_below += (uint32_t)nodes;
        e->bytes_below += bytes;
    }
}

void znode_set_data(struct tree *t, struct znode *n, struct slice data)
{
    int64_t counted = bytes_counted(t, n);
    size_t old_size = znode_data_size(n), size = slice_size(data);
    size_t offset = znode_head(n) + n->name_len;
    if (size != old_size)
        n->bytes = mem_realloc(n->bytes, offset + size);
    if (size > 0)
        memcpy(n->bytes + offset, data.data, size);
    n->data_len = data.len;
    t->data_size += size - old_size;
    if (size != old_size)
        count_below(t, n->parent, 0, bytes_counted(t, n) - counted);
}

void znode_set_acl(struct tree *t, struct znode *n, const struct jute_vector *acl)
{
    struct acl *old = n->acl;
    n->acl = acl_intern(&t->acls, acl);
    acl_unref(&t->acls, old);
}

/* ---- The links between nodes ---- */

static void child_link(struct tree *t, uint32_t parent, uint32_t child)
{
    struct znode *n = znode_at(t, child);
    struct extra *e = znode_make_extra(znode_at(t, parent));
    n->parent = parent;
    n->next = n->prev = child;
    if (e->last_child != NODE_NONE) {
        struct znode *last = znode_at(t, e->last_child);
        n->next = last->next;
        n->prev = e->last_child;
        znode_at(t, last->next)->prev = child;
        last->next = child;
    }
    e->last_child = child;
    e->num_children++;
}

static void child_unlink(struct tree *t, uint32_t child)
{
    struct znode *n = znode_at(t, child);
    struct extra *e = znode_make_extra(znode_at(t, n->parent));
    ensure(e->num_children > 0);
    znode_at(t, n->next)->prev = n->prev;
    znode_at(t, n->prev)->next = n->next;
    if (e->last_child == child)
        e->last_child = n->prev == child ? NODE_NONE : n->prev;
    e->num_children--;
}

static uint32_t znode_new(struct tree *t, uint64_t hash, struct slice name, struct slice data)
{
    uint32_t i = slot_take(t);
    struct znode *n = znode_at(t, i);
    size_t name_size = slice_size(name), size = slice_size(data);
    *n = (struct znode){.hash = (uint32_t)hash, .name_len = (uint32_t)name_size};
    n->bytes = mem_alloc(name_size + size);
    n->data_len = data.len;
    if (name_size > 0)
        memcpy(n->bytes, name.data, name_size);
    if (size > 0)
        memcpy(n->bytes + name_size, data.data, size);
    t->n_nodes++;
    return i;
}

uint32_t znode_add(struct tree *t, uint32_t parent, uint64_t hash, struct slice name,
                   struct slice data)
{
    uint32_t i = znode_new(t, hash, name, data);
    if (t->n_nodes > t->bucket_mask)
        buckets_grow(t, (t->bucket_mask + 1) * 2);
    buckets_move_some(t);
    bucket_push(t, bucket_at(t, znode_at(t, i)->hash), i);
    child_link(t, parent, i);
    count_below(t, parent, 1, bytes_counted(t, znode_at(t, i)));
    t->data_size += znode_path_len(t, znode_at(t, i)) + slice_size(data);
    t->n_quotas += quota_is_limit(t, parent, name);
    return i;
}

void znode_remove(struct tree *t, uint32_t i)
{
    struct znode *n = znode_at(t, i);
    ensure(i != NODE_ROOT && znode_num_children(n) == 0);
    t->n_quotas -= quota_is_limit(t, n->parent, znode_name(n));
    t->data_size -= znode_path_len(t, n) + znode_data_size(n);
    znode_clear_owner(t, i);
    count_below(t, n->parent, -1, -bytes_counted(t, n));
    child_unlink(t, i);
    bucket_remove(t, i);
    acl_unref(&t->acls, n->acl);
    free(n->bytes);
    *n = (struct znode){.hash_next = t->free_slot};
    t->free_slot = i;
    t->n_nodes--;
}

uint32_t znode_first_child(const struct tree *t, const struct znode *n)
{
    const struct extra *e = znode_extra(n);
    return e && e->last_child != NODE_NONE ? znode_at(t, e->last_child)->next : NODE_NONE;
}

uint32_t znode_walk(const struct tree *t, uint32_t top, uint32_t i)
{
    uint32_t child = znode_first_child(t, znode_at(t, i));
    if (child != NODE_NONE)
        return child;
    for (; i != top; i = znode_at(t, i)->parent) {
        const struct znode *n = znode_at(t, i);
        if (znode_extra(znode_at(t, n->parent))->last_child != i)
            return n->next;
    }
    return NODE_NONE;
}

/* ---- Paths ---- */

size_t znode_path_len(const struct tree *t, const struct znode *n)
{
    size_t len = 0;
    for (; n->parent != NODE_NONE; n = znode_at(t, n->parent))
        len += n->name_len + 1u;
    return len > 0 ? len : 1;
}

static bool znode_is_at(const struct tree *t, const struct znode *n, struct slice path)
{
    size_t left = slice_size(path);
    for (; n->parent != NODE_NONE; n = znode_at(t, n->parent)) {
        if (left < n->name_len + 1u)
            return false;
        left -= n->name_len + 1u;
        if (path.data[left] != '/' ||
            memcmp(path.data + left + 1, n->bytes + znode_head(n), n->name_len) != 0)
            return false;
    }
    return left == 0;
}

uint32_t znode_find(const struct tree *t, struct slice path, uint64_t *hash)
{
    if (path.len < 1 || path.data[0] != '/')
        return NODE_NONE;
    struct path_parts parts = path_parts_of(path);
    struct slice name;
    *hash = t->seed;
    if (path.len == 1)
        return NODE_ROOT;
    while (path_parts_next(&parts, &name))
        *hash = path_hash_child(*hash, name);
    uint32_t i = *bucket_at(t, (uint32_t)*hash);
    for (; i != NODE_NONE; i = znode_at(t, i)->hash_next) {
        const struct znode *n = znode_at(t, i);
        if (n->hash == (uint32_t)*hash && znode_is_at(t, n, path))
            break;
    }
    return i;
}

uint32_t znode_find_child(const struct tree *t, uint32_t parent, uint64_t hash, struct slice name)
{
    uint32_t i = *bucket_at(t, (uint32_t)hash);
    for (; i != NODE_NONE; i = znode_at(t, i)->hash_next) {
        const struct znode *n = znode_at(t, i);
        if (n->hash == (uint32_t)hash && n->parent == parent && slice_eq(znode_name(n), name))
            break;
    }
    return i;
}

/* ---- All of them ---- */

/* A root, without anything. */
void znodes_init(struct tree *t)
{
    t->n_slots = NODE_ROOT;
    t->chunks = mem_alloc(sizeof(struct znode *));
    t->chunks[0] = mem_zalloc(CHUNK_NODES * sizeof(struct znode));
    uint32_t root = znode_new(t, t->seed, SLICE_EMPTY, SLICE_EMPTY);
    ensure(root == NODE_ROOT);
    buckets_grow(t, BUCKETS_MIN);
    bucket_push(t, bucket_at(t, znode_at(t, root)->hash), root);
    t->data_size = 1;
}

bool znodes_close(struct tree *t, size_t limit)
{
    for (; t->n_closed < t->n_slots && limit > 0; limit--) {
        uint32_t i = t->n_closed++;
        free(znode_at(t, i)->bytes);
        if ((t->n_closed & (CHUNK_NODES - 1)) == 0 || t->n_closed == t->n_slots)
            free(t->chunks[i >> CHUNK_BITS]);
    }
    if (t->n_closed < t->n_slots)
        return false;
    free(t->chunks);
    free(t->buckets);
    free(t->old_buckets);
    return true;
}
