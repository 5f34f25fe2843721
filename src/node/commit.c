/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From committed transactions to the tree, the watchers and the answers. Each transaction is read
 * from the very bytes that were logged. */
#include "internal.h"

#include <stdlib.h>

#define RING_PUSH(ring, item)                                                                      \
    do {                                                                                           \
        if ((ring)->len == (ring)->cap)                                                            \
            ring_grow((void **)&(ring)->items, &(ring)->head, &(ring)->cap, (ring)->len,           \
                      sizeof(*(ring)->items));                                                     \
        (ring)->items[((ring)->head + (ring)->len++) & ((ring)->cap - 1)] = (item);                \
    } while (0)

#define RING_POP(ring)                                                                             \
    ((ring)->len--, (ring)->head = ((ring)->head + 1) & ((ring)->cap - 1),                         \
     &(ring)->items[((ring)->head - 1) & ((ring)->cap - 1)])

static void ring_grow(void **items, size_t *head, size_t *cap, size_t len, size_t size)
{
    size_t new_cap = *cap ? *cap * 2 : 64;
    char *grown = mem_alloc(new_cap * size);
    for (size_t i = 0; i < len; i++)
        memcpy(grown + i * size, (char *)*items + ((*head + i) & (*cap - 1)) * size, size);
    free(*items);
    *items = grown;
    *head = 0;
    *cap = new_cap;
}

/* Answer `c`, if there is one, when `zxid` has been applied. */
void proposal_push(struct node *n, int64_t zxid, struct node_conn *c)
{
    if (!c)
        return;
    c->refs++;
    RING_PUSH(&n->proposals, ((struct proposal){zxid, c}));
}

static struct wait *wait_at(struct node *n, size_t i)
{
    return &n->waits.items[(n->waits.head + i) & (n->waits.cap - 1)];
}

/* Look at the connection's queue again when `zxid` is committed. They come in order but for those
 * of a sync that a leader has answered. */
void wait_push(struct node *n, struct node_conn *c, int64_t zxid)
{
    c->refs++;
    RING_PUSH(&n->waits, ((struct wait){zxid, c}));
    size_t i = n->waits.len - 1;
    for (; i > 0 && wait_at(n, i - 1)->zxid > zxid; i--)
        *wait_at(n, i) = *wait_at(n, i - 1);
    *wait_at(n, i) = (struct wait){zxid, c};
}

void rings_drop(struct node *n)
{
    while (n->proposals.len > 0)
        conn_unref(n, RING_POP(&n->proposals)->conn);
    while (n->waits.len > 0)
        conn_unref(n, RING_POP(&n->waits)->conn);
}

void rings_close(struct node *n)
{
    rings_drop(n);
    free(n->proposals.items);
    free(n->waits.items);
}

/* ---- Commit ---- */

/* Returns the session that has just ended, or NULL. */
static struct session *apply_to_sessions(struct node *n, const struct zk_txn_header *h)
{
    struct session *s = NULL;
    if (h->type == ZK_OP_createSession) {
        int32_t timeout_ms;
        bool there = tree_session_timeout(n->tree, h->client_id, &timeout_ms);
        ensure(there);
        tracker_add(n, h->client_id, timeout_ms);
    } else if (h->type == ZK_OP_closeSession) {
        s = tracker_find(n, h->client_id);
        if (s)
            s->closing = true;
    }
    return s;
}

/* When what its connection waited for is answered. */
static void end_session(struct node *n, struct session *s)
{
    struct node_conn *c = s->conn;
    tracker_remove(n, s);
    if (c)
        conn_close(n, c);
}

static void answer_waits(struct node *n)
{
    while (n->waits.len > 0 && n->waits.items[n->waits.head].zxid <= n->last_committed) {
        struct node_conn *c = RING_POP(&n->waits)->conn;
        if (c->state < CONN_CLOSING)
            request_drain(n, c);
        conn_unref(n, c);
    }
}

/* The connection that waits for this transaction, or NULL. */
static struct node_conn *asked_for(const struct node *n, int64_t zxid)
{
    const struct proposal *p = n->proposals.len > 0 ? &n->proposals.items[n->proposals.head] : NULL;
    return p && p->zxid == zxid ? p->conn : NULL;
}

static void commit_txn(struct node *n, struct slice txn)
{
    struct jute_reader r = jute_reader_of(txn);
    struct zk_txn_header *h = &n->applying;
    zk_txn_header_read(&r, h);
    ensure(jute_ok(&r) && h->zxid > n->last_committed);
    struct node_conn *c = asked_for(n, h->zxid);
    if (c)
        request_before_commit(n, c);
    int rc = tree_apply(n->tree, h, jute_read_rest(&r), &n->outcome);
    ensure(rc == 0);
    n->last_committed = h->zxid;
    n->txns_since_snapshot++;
    if (n->zab)
        digest_applied(n, txn);
    watch_tell(n);
    struct session *ended = apply_to_sessions(n, h);

    if (c) {
        (void)RING_POP(&n->proposals);
        request_committed(n, c, h->zxid);
        conn_unref(n, c);
    }
    answer_waits(n);
    if (ended)
        end_session(n, ended);
}

/* Apply what is decided and on this disk. */
void commit_ready(struct node *n)
{
    struct slice txn;
    while (history_next(n, MIN(n->decided, n->persisted), &txn))
        commit_txn(n, txn);
    change_forget(n, n->last_committed);
}
