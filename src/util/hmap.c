/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chained buckets, a power of two of them, doubled when there are more nodes than buckets. Then
 * each insertion moves some buckets of the old table, from the first one on, and a node is in the
 * old table if its bucket there was not moved: all nodes of one hash are always in one chain. */
#include "zab/hmap.h"

#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS_MIN = 16,
    BUCKETS_MOVED = 4, /* by one insertion: twice as many as must be */
};

void hmap_close(struct hmap *m)
{
    free(m->buckets);
    free(m->old);
    *m = (struct hmap){0};
}

static struct hmap_node **hmap_link(struct hmap *m, uint64_t hash)
{
    return hmap_is_old(m, hash) ? &m->old[hash & m->old_mask] : &m->buckets[hash & m->mask];
}

static void hmap_push(struct hmap_node **bucket, struct hmap_node *node)
{
    node->next = *bucket;
    *bucket = node;
}

static void hmap_grow(struct hmap *m)
{
    size_t n = m->buckets ? (m->mask + 1) * 2 : BUCKETS_MIN;
    ensure(!m->old);
    m->old = m->buckets;
    m->old_mask = m->mask;
    m->moved = 0;
    m->buckets = mem_zalloc(n * sizeof(struct hmap_node *));
    m->mask = n - 1;
}

static void hmap_move_some(struct hmap *m)
{
    for (int i = 0; i < BUCKETS_MOVED && m->old; i++) {
        struct hmap_node *node = m->old[m->moved++], *next;
        for (; node; node = next) {
            next = node->next;
            hmap_push(&m->buckets[node->hash & m->mask], node);
        }
        if (m->moved > m->old_mask) {
            free(m->old);
            m->old = NULL;
        }
    }
}

void hmap_insert(struct hmap *m, struct hmap_node *node, uint64_t hash)
{
    if (!m->buckets || m->count > m->mask)
        hmap_grow(m);
    hmap_move_some(m);
    node->hash = hash;
    hmap_push(hmap_link(m, hash), node);
    m->count++;
}

void hmap_remove(struct hmap *m, struct hmap_node *node)
{
    struct hmap_node **link = hmap_link(m, node->hash);
    while (*link != node) {
        ensure(*link != NULL);
        link = &(*link)->next;
    }
    *link = node->next;
    m->count--;
}

struct hmap_node *hmap_next_with_hash(struct hmap_node *node, uint64_t hash)
{
    while (node && node->hash != hash)
        node = node->next;
    return node;
}

static struct hmap_node *first_from(const struct hmap *m, size_t bucket)
{
    for (; m->buckets && bucket <= m->mask; bucket++) {
        if (m->buckets[bucket])
            return m->buckets[bucket];
    }
    return NULL;
}

static struct hmap_node *first_old_from(const struct hmap *m, size_t bucket)
{
    for (; m->old && bucket <= m->old_mask; bucket++) {
        if (m->old[bucket])
            return m->old[bucket];
    }
    return first_from(m, 0);
}

struct hmap_node *hmap_first(const struct hmap *m)
{
    return first_old_from(m, m->moved);
}

struct hmap_node *hmap_next(const struct hmap *m, const struct hmap_node *node)
{
    if (node->next)
        return node->next;
    if (hmap_is_old(m, node->hash))
        return first_old_from(m, (node->hash & m->old_mask) + 1);
    return first_from(m, (node->hash & m->mask) + 1);
}

/* A multiply-fold hash: eight bytes a step, each step a 64 x 64 -> 128 bit product folded. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t hash_bytes(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *p = data;
    uint64_t h = seed ^ fold(len ^ 0x2d358dccaa6c78a5ull, 0x8bb84b93962eacc9ull);
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = fold(h ^ w, 0x9e3779b97f4a7c15ull);
    }
    uint64_t tail = 0;
    if (len > 0)
        memcpy(&tail, p, len);
    return fold(h ^ tail, 0xbf58476d1ce4e5b9ull);
}
