/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Have replicas that applied the same transactions come to the same? (ZOOKEEPER-2846, 4352.)
 *
 * What each transaction of a window of zxids was and came to, its Stats above all, is summed up; a
 * leader puts the sum of its last whole window into its PINGs, and a learner compares it with its
 * own. One that differs takes the leader's tree. ZooKeeper's servers leave that part of a PING
 * empty, and ignore it. */
#include "internal.h"

enum {
    MARK = 0x7a616264, /* "zabd" */
};

static uint64_t mix(uint64_t h, uint64_t v)
{
    return hash_u64(h ^ v) + v;
}

static uint64_t mix_stat(uint64_t h, const struct zk_stat *s)
{
    h = mix(h, (uint64_t)s->czxid);
    h = mix(h, (uint64_t)s->mzxid);
    h = mix(h, (uint64_t)s->pzxid);
    h = mix(h, (uint64_t)(uint32_t)s->version << 32 | (uint32_t)s->cversion);
    h = mix(h, (uint64_t)(uint32_t)s->aversion << 32 | (uint32_t)s->num_children);
    return mix(h, (uint64_t)s->ephemeral_owner + (uint32_t)s->data_length);
}

/* Its bytes are in the checksum that the log has put in front of them. */
static uint64_t digest_of(const struct node *n, struct slice txn)
{
    uint64_t h = mix((uint64_t)n->applying.zxid, be64_get(txn.data - TXN_ENTRY_HEAD));
    h = mix(h, (uint64_t)tree_count(n->tree) << 32 | tree_ephemeral_count(n->tree));
    for (size_t i = 0; i < n->outcome.n_results; i++) {
        const struct tree_result *res = &n->outcome.results[i];
        h = mix(h, (uint64_t)(uint32_t)res->err);
        if (res->err == ZK_OK)
            h = mix_stat(h, &res->stat);
    }
    return h;
}

static void compare(struct node *n, const struct digest_window *own)
{
    struct digests *d = &n->digests;
    if (d->leaders.window != own->window)
        return;
    n->has_diverged |= d->leaders.sum != own->sum;
    d->leaders.window = -1;
}

/* The transaction in n->applying has come to n->outcome. */
void digest_applied(struct node *n, struct slice txn)
{
    struct digests *d = &n->digests;
    unsigned bits = n->config.limits.digest_bits;
    int64_t zxid = n->applying.zxid, window = zxid >> bits;
    if (window != d->current.window) {
        d->current = (struct digest_window){window, 0};
        d->is_whole = zxid == window << bits || zxid_counter(zxid) == 1;
    }
    d->current.sum += digest_of(n, txn);
    if (!d->is_whole || zxid != (window << bits | ((INT64_C(1) << bits) - 1)))
        return;
    d->recent[d->n_recent++ % DIGESTS_KEPT] = d->current;
    compare(n, &d->current);
}

/* On the leader: what a PING says of its last whole window. */
void digest_tell(struct node *n, struct buf *data)
{
    const struct digests *d = &n->digests;
    if (d->n_recent == 0)
        return;
    const struct digest_window *last = &d->recent[(d->n_recent - 1) % DIGESTS_KEPT];
    jute_write_int(data, MARK);
    jute_write_long(data, last->window);
    jute_write_long(data, (int64_t)last->sum);
}

/* On a learner: what the leader's PING says. */
void digest_told(struct node *n, struct slice data)
{
    struct digests *d = &n->digests;
    struct jute_reader r = jute_reader_of(data);
    if (jute_read_int(&r) != MARK)
        return;
    d->leaders.window = jute_read_long(&r);
    d->leaders.sum = (uint64_t)jute_read_long(&r);
    if (!jute_ok(&r))
        d->leaders.window = -1;
    for (size_t i = 0; i < MIN(d->n_recent, (uint64_t)DIGESTS_KEPT); i++)
        compare(n, &d->recent[i]);
}

/* The tree is another: nothing is known of how it came about. */
void digest_forget(struct node *n)
{
    n->digests = (struct digests){.current.window = -1, .leaders.window = -1};
    n->has_diverged = false;
}
