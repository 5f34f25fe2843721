/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Have replicas that applied the same transactions come to the same? (ZOOKEEPER-2846, 4352.)
 *
 * What each transaction of a window of zxids was and came to, its Stats above all, is summed up. A
 * leader's PING names its last whole window, and a learner's answer bears its own sum of that. The
 * leader puts right only with a quorum: a learner that a quorum with the leader disagrees with
 * takes the leader's tree, one at a time; a leader that a quorum disagrees with gives way, does not
 * lead again, and takes a tree itself. Else it is said and nothing is done.
 *
 * ZooKeeper's servers leave the data of a leader's PING empty, and ignore it; what a learner's
 * answer has in front of the sessions is for a leader of ours alone. */
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

/* ---- Windows ---- */

static const struct digest_window *find_recent(const struct node *n, int64_t window)
{
    const struct digests *d = &n->digests;
    for (size_t i = 0; i < MIN(d->n_recent, (uint64_t)DIGESTS_KEPT); i++) {
        if (d->recent[i].window == window)
            return &d->recent[i];
    }
    return NULL;
}

/* On a learner: the leader's window has ended here, too. */
static void compare(struct node *n, const struct digest_window *own)
{
    struct digests *d = &n->digests;
    if (d->leaders.window != own->window)
        return;
    n->has_diverged |= d->leaders.sum != own->sum;
    d->leaders.window = -1;
    d->answer = *own;
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

/* The tree is another: nothing is known of how it came about. */
void digest_forget(struct node *n)
{
    n->digests = (struct digests){.current.window = -1, .leaders.window = -1, .answer.window = -1};
    n->has_diverged = false;
}

/* ---- On the leader ---- */

/* Ask for the last whole window, if that is a new one. */
static void ask(struct node *n)
{
    struct digests *d = &n->digests;
    if (d->n_recent == 0)
        return;
    const struct digest_window *last = &d->recent[(d->n_recent - 1) % DIGESTS_KEPT];
    if (d->n_asked > 0 && d->asked[(d->n_asked - 1) % DIGESTS_ASKED].window == last->window)
        return;
    size_t slot = d->n_asked++ % DIGESTS_ASKED;
    d->asked[slot] = *last;
    LIST_FOR_EACH (l, &n->links, struct node_link, link)
        l->answered &= ~(1u << slot);
}

void digest_tell(struct node *n, struct node_link *l, struct buf *data)
{
    const struct digests *d = &n->digests;
    struct digest_window last = {.window = -1};
    ask(n);
    if (d->n_asked > 0)
        last = d->asked[(d->n_asked - 1) % DIGESTS_ASKED];
    jute_write_int(data, MARK);
    jute_write_long(data, last.window);
    jute_write_long(data, (int64_t)last.sum);
    jute_write_bool(data, l->repair);
    l->repair = false;
}

/* Whether those that gave `sum` for the window in `slot` are a quorum. */
static bool is_quorums(struct node *n, size_t slot, uint64_t sum, bool with_self)
{
    uint64_t conns[2 * ZAB_SERVERS_MAX];
    size_t n_conns = 0;
    LIST_FOR_EACH (l, &n->links, struct node_link, link) {
        if (l->ready && (l->answered >> slot & 1) && l->sums[slot] == sum &&
            n_conns < ARRAY_LEN(conns))
            conns[n_conns++] = l->id;
    }
    return zab_is_quorum(n->zab, conns, n_conns, with_self);
}

/* Its sum is not ours: one of us is wrong, and whom a quorum agrees with is not. One learner at a
 * time is put right. */
static void judge(struct node *n, struct node_link *l, size_t slot)
{
    const struct digest_window *own = &n->digests.asked[slot];
    if (is_quorums(n, slot, own->sum, true)) {
        if (n->now_ms < n->next_repair_ms)
            return;
        n->next_repair_ms = n->now_ms + n->config.limits.repair_gap_ms;
        l->repair = true;
        node_log(n, LOG_LEVEL_ERROR,
                 "%s: the learner's tree differs from ours and a quorum's: it is to take ours",
                 l->address);
    } else if (is_quorums(n, slot, l->sums[slot], false)) {
        ensemble_has_diverged(n);
    }
}

/* What a learner came to in a window that we asked for. */
static void answered(struct node *n, struct node_link *l, const struct digest_window *answer)
{
    struct digests *d = &n->digests;
    for (size_t slot = 0; slot < MIN(d->n_asked, (uint64_t)DIGESTS_ASKED); slot++) {
        if (d->asked[slot].window != answer->window)
            continue;
        l->answered |= 1u << slot;
        l->sums[slot] = answer->sum;
        LIST_FOR_EACH (other, &n->links, struct node_link, link) {
            if ((other->answered >> slot & 1) && other->sums[slot] != d->asked[slot].sum)
                judge(n, other, slot);
        }
    }
}

/* ---- On a learner ---- */

void digest_told(struct node *n, struct node_link *l, struct slice data)
{
    struct digests *d = &n->digests;
    struct jute_reader r = jute_reader_of(data);
    if (jute_read_int(&r) != MARK)
        return;
    d->leaders.window = jute_read_long(&r);
    d->leaders.sum = (uint64_t)jute_read_long(&r);
    if (!jute_ok(&r))
        d->leaders.window = -1;
    const struct digest_window *own = find_recent(n, d->leaders.window);
    if (own)
        compare(n, own);
    l->ours =
        jute_left(&r) > 0; /* earlier leaders said no more, and read our answers as sessions */
    if (l->ours && jute_read_bool(&r))
        ensemble_repair(n);
}

/* In front of the sessions that a PING's answer names, for a leader of ours. */
void digest_answer(struct node *n, struct buf *data)
{
    const struct digest_window *answer = &n->digests.answer;
    jute_write_int(data, MARK);
    jute_write_bool(data, !n->is_full);
    jute_write_long(data, answer->window);
    jute_write_long(data, (int64_t)answer->sum);
}

/* False: it is not there. */
bool digest_heard(struct node *n, struct node_link *l, struct jute_reader *r)
{
    struct jute_reader ours = *r;
    struct digest_window answer;
    if (jute_left(r) < 4 || jute_read_int(&ours) != MARK)
        return false;
    l->ours = true;
    l->is_full = !jute_read_bool(&ours);
    answer.window = jute_read_long(&ours);
    answer.sum = (uint64_t)jute_read_long(&ours);
    if (!jute_ok(&ours))
        return false;
    *r = ours;
    answered(n, l, &answer);
    return true;
}
