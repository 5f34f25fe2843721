/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quotas, as ZooKeeper's DataTree keeps them. The quota of /a/b is two nodes below
 * /zookeeper/quota/a/b: zookeeper_limits, which operators write, and zookeeper_stats, which each
 * replica keeps up to date by itself. A change counts for the deepest path above it that has
 * limits. */
#include <stdlib.h>

#include "internal.h"
#include "path.h"

#define QUOTA_ROOT "/zookeeper/quota"
#define LIMITS_NAME "zookeeper_limits"
#define STATS_NAME "zookeeper_stats"

/* StatsTrack: the four numbers, -1 where there is none. */
struct stats {
    int64_t count;
    int64_t bytes;
    int64_t byte_hard_limit;
    int64_t count_hard_limit;
    bool has_byte_hard_limit;
    bool has_count_hard_limit;
};

/* The number between `pos` and `end`, -1 if it is none. */
static int64_t parse_number(const char *pos, const char *end)
{
    char digits[24];
    size_t len = (size_t)(end - pos);
    if (len == 0 || len >= sizeof(digits))
        return -1;
    memcpy(digits, pos, len);
    digits[len] = '\0';
    char *rest;
    long long v = strtoll(digits, &rest, 10);
    return *rest == '\0' ? v : -1;
}

static void stats_set(struct stats *s, struct slice key, int64_t value)
{
    if (slice_eq_str(key, "count")) {
        s->count = value;
    } else if (slice_eq_str(key, "bytes")) {
        s->bytes = value;
    } else if (slice_eq_str(key, "byteHardLimit")) {
        s->byte_hard_limit = value;
        s->has_byte_hard_limit = true;
    } else if (slice_eq_str(key, "countHardLimit")) {
        s->count_hard_limit = value;
        s->has_count_hard_limit = true;
    }
}

/* key=number, separated by commas and semicolons; what stands behind a second '=' does not count.
 */
static struct stats stats_parse(struct slice text)
{
    struct stats s = {-1, -1, -1, -1, false, false};
    const char *pos = (const char *)text.data, *end = pos + slice_size(text);
    while (pos < end) {
        const char *stop = pos;
        while (stop < end && *stop != ',' && *stop != ';')
            stop++;
        const char *eq = memchr(pos, '=', (size_t)(stop - pos));
        if (eq) {
            const char *eq2 = memchr(eq + 1, '=', (size_t)(stop - eq - 1));
            stats_set(&s, slice_of(pos, (size_t)(eq - pos)),
                      parse_number(eq + 1, eq2 ? eq2 : stop));
        }
        pos = stop + (stop < end);
    }
    return s;
}

/* The order, and the second '=' behind bytes, are what ZooKeeper writes so that its old versions
 * can read it. */
static void stats_write(struct tree *t, uint32_t node, const struct stats *s)
{
    struct buf text = {0};
    buf_printf(&text, "count=%lld,bytes=%lld", (long long)s->count, (long long)s->bytes);
    if (s->has_byte_hard_limit || s->has_count_hard_limit)
        buf_printf(&text, "=");
    if (s->has_byte_hard_limit)
        buf_printf(&text, ";byteHardLimit=%lld", (long long)s->byte_hard_limit);
    if (s->has_count_hard_limit)
        buf_printf(&text, ";countHardLimit=%lld", (long long)s->count_hard_limit);
    znode_set_data(t, znode_at(t, node), buf_slice(&text));
    buf_close(&text);
}

static int64_t add_wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static bool is_below_quota_root(const struct tree *t, uint32_t i)
{
    uint32_t root = znode_find(t, slice_str(QUOTA_ROOT), &(uint64_t){0});
    while (i != NODE_NONE && i != root)
        i = znode_at(t, i)->parent;
    return i != NODE_NONE;
}

bool quota_is_limit(const struct tree *t, uint32_t parent, struct slice name)
{
    return slice_eq_str(name, LIMITS_NAME) && is_below_quota_root(t, parent);
}

/* A node below /zookeeper/quota. */
struct quota {
    uint32_t node;
    uint64_t hash;
};

static uint32_t quota_child(const struct tree *t, const struct quota *q, struct slice name,
                            uint64_t *hash)
{
    *hash = path_hash_child(q->hash, name);
    return znode_find_child(t, q->node, *hash, name);
}

static uint32_t quota_file(const struct tree *t, const struct quota *q, const char *name)
{
    return quota_child(t, q, slice_str(name), &(uint64_t){0});
}

/* The quota that counts for `path`: of those that have limits, the deepest. */
static bool quota_of(const struct tree *t, struct slice path, struct quota *found)
{
    struct path_parts parts = path_parts_of(path);
    struct slice name;
    struct quota q;
    found->node = NODE_NONE;
    q.node = znode_find(t, slice_str(QUOTA_ROOT), &q.hash);
    while (q.node != NODE_NONE && path_parts_next(&parts, &name)) {
        q.node = quota_child(t, &q, name, &q.hash);
        if (q.node != NODE_NONE && quota_file(t, &q, LIMITS_NAME) != NODE_NONE)
            *found = q;
    }
    return found->node != NODE_NONE;
}

void quota_add(struct tree *t, struct slice path, int64_t bytes, int64_t count)
{
    struct quota q;
    if (t->n_quotas == 0 || !quota_of(t, path, &q))
        return;
    uint32_t node = quota_file(t, &q, STATS_NAME);
    if (node == NODE_NONE)
        return;
    struct stats s = stats_parse(znode_data(znode_at(t, node)));
    s.count = add_wrapping(s.count, count);
    s.bytes = add_wrapping(s.bytes, bytes);
    stats_write(t, node, &s);
}

/* Count what is at and below the path that the stats node at `stats_path` is for. */
static void quota_recompute(struct tree *t, uint32_t stats_node, struct slice stats_path)
{
    size_t skip = strlen(QUOTA_ROOT), tail = strlen("/" STATS_NAME);
    ensure((size_t)stats_path.len >= skip + tail);
    struct slice path = slice_of(stats_path.data + skip, (size_t)stats_path.len - skip - tail);
    struct stats s = {0};
    uint32_t top = znode_find(t, path.len > 0 ? path : slice_str("/"), &(uint64_t){0});
    for (uint32_t i = top; i != NODE_NONE; i = znode_walk(t, top, i)) {
        s.count++;
        s.bytes += MAX(znode_at(t, i)->data_len, 0);
    }
    stats_write(t, stats_node, &s);
}

void quota_node_created(struct tree *t, uint32_t i, struct slice path)
{
    const struct znode *n = znode_at(t, i);
    if (slice_eq_str(znode_name(n), STATS_NAME) && is_below_quota_root(t, n->parent))
        quota_recompute(t, i, path);
}

void quota_recompute_all(struct tree *t)
{
    uint32_t top = znode_find(t, slice_str(QUOTA_ROOT), &(uint64_t){0});
    struct buf path = {0};
    size_t left = top != NODE_NONE ? t->n_quotas : 0;
    for (uint32_t i = top; left > 0 && i != NODE_NONE; i = znode_walk(t, top, i)) {
        struct quota q = {.node = znode_at(t, i)->parent};
        if (i == top || !slice_eq_str(znode_name(znode_at(t, i)), LIMITS_NAME))
            continue;
        left--;
        buf_reset(&path);
        tree_path(t, znode_at(t, q.node), &path);
        q.node = znode_find(t, buf_slice(&path), &q.hash);
        buf_append(&path, "/" STATS_NAME, strlen("/" STATS_NAME));
        uint32_t stats = quota_file(t, &q, STATS_NAME);
        if (stats != NODE_NONE)
            quota_recompute(t, stats, buf_slice(&path));
    }
    buf_close(&path);
}

/* A soft limit is for operators to look at: it refuses nothing. */
static bool limit_exceeded(int64_t hard_limit, int64_t now, int64_t delta)
{
    return delta != 0 && hard_limit > -1 && add_wrapping(now, delta) > hard_limit;
}

bool tree_quota_exceeded(const struct tree *t, struct slice path, int64_t bytes, int64_t count)
{
    struct quota q;
    if (t->n_quotas == 0 || !quota_of(t, path, &q))
        return false;
    uint32_t stats_node = quota_file(t, &q, STATS_NAME);
    if (stats_node == NODE_NONE)
        return false;
    struct stats now = stats_parse(znode_data(znode_at(t, stats_node)));
    struct stats max = stats_parse(znode_data(znode_at(t, quota_file(t, &q, LIMITS_NAME))));
    return limit_exceeded(max.count_hard_limit, now.count, count) ||
           limit_exceeded(max.byte_hard_limit, now.bytes, bytes);
}
