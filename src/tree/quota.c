/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quotas, as ZooKeeper's DataTree keeps them. The quota of /a/b is two nodes below
 * /zookeeper/quota/a/b: zookeeper_limits, which operators write, and zookeeper_stats, which each
 * replica keeps up to date by itself. Limits hold for the deepest path above a change that has
 * some.
 *
 * Every node knows how much is below it, so that what stats say is looked up and not added up: it
 * is always what a load would find, whoever wrote there meanwhile, and replicas that were restarted
 * agree with those that were not. The data of stats nodes is not counted, since it changes by being
 * counted. */
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

bool quota_is_stats(const struct tree *t, uint32_t parent, struct slice name)
{
    return slice_eq_str(name, STATS_NAME) && is_below_quota_root(t, parent);
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

/* Say how much is at and below the node `top`, which may not be there. */
static void stats_update(struct tree *t, uint32_t stats_node, uint32_t top)
{
    struct stats s = {0};
    if (top != NODE_NONE) {
        const struct znode *n = znode_at(t, top);
        s.count = (int64_t)znode_n_below(n) + 1;
        s.bytes = znode_bytes_at_and_below(t, n);
    }
    stats_write(t, stats_node, &s);
}

static void quota_refresh(struct tree *t, const struct quota *q, uint32_t top)
{
    uint32_t stats = quota_file(t, q, STATS_NAME);
    if (stats != NODE_NONE && quota_file(t, q, LIMITS_NAME) != NODE_NONE)
        stats_update(t, stats, top);
}

/* Down both trees, as far as there are quotas. */
void quota_update(struct tree *t, struct slice path)
{
    struct path_parts parts = path_parts_of(path);
    struct slice name;
    struct quota q, at = {NODE_ROOT, t->seed};
    if (t->n_quotas == 0)
        return;
    q.node = znode_find(t, slice_str(QUOTA_ROOT), &q.hash);
    while (q.node != NODE_NONE) {
        quota_refresh(t, &q, at.node);
        if (!path_parts_next(&parts, &name))
            return;
        q.node = quota_child(t, &q, name, &q.hash);
        at.node = quota_child(t, &at, name, &at.hash);
    }
}

/* The node that the quota node `i` is about; *q is `i`. */
static uint32_t quota_top(const struct tree *t, uint32_t i, struct quota *q)
{
    size_t skip = strlen(QUOTA_ROOT);
    struct buf path = {0};
    tree_path(t, znode_at(t, i), &path);
    q->node = znode_find(t, buf_slice(&path), &q->hash);
    struct slice top = slice_of(path.data + skip, path.len - skip);
    uint32_t found = znode_find(t, top.len > 0 ? top : slice_str("/"), &(uint64_t){0});
    buf_close(&path);
    return found;
}

/* The node was created, or its data is new. Stats that are new are right from the beginning, and
 * when there are limits again, too. */
void quota_node_changed(struct tree *t, uint32_t i)
{
    const struct znode *n = znode_at(t, i);
    struct quota q;
    bool is_stats = quota_is_stats(t, n->parent, znode_name(n));
    if (!is_stats && !quota_is_limit(t, n->parent, znode_name(n)))
        return;
    uint32_t top = quota_top(t, n->parent, &q);
    if (is_stats && n->version == 0)
        stats_update(t, i, top);
    else
        quota_refresh(t, &q, top);
}

void quota_recompute_all(struct tree *t)
{
    uint32_t root = znode_find(t, slice_str(QUOTA_ROOT), &(uint64_t){0});
    size_t left = root != NODE_NONE ? t->n_quotas : 0;
    for (uint32_t i = root; left > 0 && i != NODE_NONE; i = znode_walk(t, root, i)) {
        struct quota q;
        if (i == root || !slice_eq_str(znode_name(znode_at(t, i)), LIMITS_NAME))
            continue;
        left--;
        uint32_t top = quota_top(t, znode_at(t, i)->parent, &q);
        quota_refresh(t, &q, top);
    }
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
