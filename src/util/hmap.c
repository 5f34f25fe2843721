/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chained buckets, a power of two of them, doubled when there are more nodes than buckets. */
#include "zab/hmap.h"

#include <stdlib.h>
#include <string.h>

void hmap_close(struct hmap *m)
{
    free(m->buckets);
    *m = (struct hmap){0};
}

static void hmap_resize(struct hmap *m, size_t n_buckets)
{
    struct hmap_node **buckets = mem_zalloc(n_buckets * sizeof(*buckets));
    for (size_t i = 0; m->buckets && i <= m->mask; i++) {
        for (struct hmap_node *node = m->buckets[i], *next; node; node = next) {
            next = node->next;
            node->next = buckets[node->hash & (n_buckets - 1)];
            buckets[node->hash & (n_buckets - 1)] = node;
        }
    }
    free(m->buckets);
    m->buckets = buckets;
    m->mask = n_buckets - 1;
}

void hmap_insert(struct hmap *m, struct hmap_node *node, uint64_t hash)
{
    if (!m->buckets)
        hmap_resize(m, 16);
    else if (m->count > m->mask)
        hmap_resize(m, (m->mask + 1) * 2);
    struct hmap_node **bucket = &m->buckets[hash & m->mask];
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    m->count++;
}

void hmap_remove(struct hmap *m, struct hmap_node *node)
{
    struct hmap_node **link = &m->buckets[node->hash & m->mask];
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

static struct hmap_node *hmap_first_from(const struct hmap *m, size_t bucket)
{
    for (; m->buckets && bucket <= m->mask; bucket++) {
        if (m->buckets[bucket])
            return m->buckets[bucket];
    }
    return NULL;
}

struct hmap_node *hmap_first(const struct hmap *m)
{
    return hmap_first_from(m, 0);
}

struct hmap_node *hmap_next(const struct hmap *m, const struct hmap_node *node)
{
    return node->next ? node->next : hmap_first_from(m, (node->hash & m->mask) + 1);
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
