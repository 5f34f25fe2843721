/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hash maps whose links are members of what they hold. The caller hashes and compares; the map
 * owns nothing but its buckets. All zero is an empty map. Growing is spread over the insertions
 * that follow, so that none of them costs more than a few.
 *
 * Iteration order depends only on the hashes and on the order of insertion, so that it is the
 * same in every run. */
#ifndef ZAB_HMAP_H
#define ZAB_HMAP_H

#include "zab/base.h"

struct hmap_node {
    struct hmap_node *next;
    uint64_t hash;
};

struct hmap {
    struct hmap_node **buckets;
    size_t mask; /* buckets - 1; 0 while there are none */
    size_t count;
    struct hmap_node **old; /* while it grows: from bucket `moved` on they are still here */
    size_t old_mask;
    size_t moved;
};

void hmap_close(struct hmap *m);
void hmap_insert(struct hmap *m, struct hmap_node *node, uint64_t hash);
void hmap_remove(struct hmap *m, struct hmap_node *node);

/* The first node of this hash at or behind `node` in its bucket. */
struct hmap_node *hmap_next_with_hash(struct hmap_node *node, uint64_t hash);

/* Iteration over all nodes; NULL at the end. */
struct hmap_node *hmap_first(const struct hmap *m);
struct hmap_node *hmap_next(const struct hmap *m, const struct hmap_node *node);

static inline bool hmap_is_old(const struct hmap *m, uint64_t hash)
{
    return m->old && (hash & m->old_mask) >= m->moved;
}

static inline struct hmap_node *hmap_bucket(const struct hmap *m, uint64_t hash)
{
    if (hmap_is_old(m, hash))
        return m->old[hash & m->old_mask];
    return m->buckets ? m->buckets[hash & m->mask] : NULL;
}

/* Nodes that may be equal to the key: compare each. */
#define HMAP_FOR_EACH_WITH_HASH(it, m, h, type, member)                                            \
    for (struct hmap_node *it##_n = hmap_next_with_hash(hmap_bucket(m, h), h); it##_n;             \
         it##_n = hmap_next_with_hash(it##_n->next, h))                                            \
        for (type *it = container_of(it##_n, type, member); it; it = NULL)

#define HMAP_FOR_EACH(it, m, type, member)                                                         \
    for (struct hmap_node *it##_n = hmap_first(m); it##_n; it##_n = hmap_next(m, it##_n))          \
        for (type *it = container_of(it##_n, type, member); it; it = NULL)

/* As above; the body may remove and free `it`. */
#define HMAP_FOR_EACH_SAFE(it, m, type, member)                                                    \
    for (struct hmap_node *it##_n = hmap_first(m), *it##_next = NULL;                              \
         it##_n && (it##_next = hmap_next(m, it##_n), true); it##_n = it##_next)                   \
        for (type *it = container_of(it##_n, type, member); it; it = NULL)

uint64_t hash_bytes(const void *data, size_t len, uint64_t seed);

static inline uint64_t hash_u64(uint64_t v)
{
    v = (v ^ (v >> 32)) * 0x9e3779b97f4a7c15ull;
    v = (v ^ (v >> 29)) * 0xbf58476d1ce4e5b9ull;
    return v ^ (v >> 32);
}

#endif
