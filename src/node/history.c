/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Batches of transactions in the order of zxids: first those that were applied and are kept for
 * learners that are a little behind, then those on their way to the disk and through the
 * ensemble, last the open one. */
#include "internal.h"

#include <stdlib.h>

struct node_batch *history_open(struct node *n)
{
    if (!n->open) {
        n->open = n->spare;
        if (n->open) {
            n->spare = n->open->next;
            n->n_spare--;
        } else {
            n->open = mem_zalloc(sizeof(*n->open));
        }
        n->open->next = NULL;
    }
    return n->open;
}

/* Lend the open batch to the log. */
void history_append_open(struct node *n)
{
    struct node_batch *b = n->open;
    if (!b || b->entries.len == 0)
        return;
    n->open = NULL;
    if (n->end)
        n->end->next = b;
    else
        n->first = b;
    n->end = b;
    if (!n->apply_batch) {
        n->apply_batch = b;
        n->apply_pos = 0;
    }
    n->in_flight_bytes += b->entries.len;
    n->room -= (int64_t)b->entries.len;
    n->bytes_since_snapshot += b->entries.len;
    node_effect(n, NODE_APPEND, NULL);
    n->fx->list[n->fx->n - 1].batch = b;
}

static void batch_recycle(struct node *n, struct node_batch *b)
{
    if (n->n_spare == SPARE_BATCHES_MAX) {
        buf_close(&b->entries);
        free(b);
        return;
    }
    if (b->entries.cap > n->config.limits.batch_keep_max)
        buf_close(&b->entries);
    buf_reset(&b->entries);
    b->next = n->spare;
    n->spare = b;
    n->n_spare++;
}

/* Let go of the oldest, as far as they are applied and more than is to be kept. */
static void history_trim(struct node *n)
{
    while (n->first && n->first != n->apply_batch && n->history_bytes > n->history_max &&
           n->n_log_reads == 0) {
        struct node_batch *b = n->first;
        n->first = b->next;
        if (!n->first)
            n->end = NULL;
        n->history_bytes -= b->entries.len;
        n->history_base = b->last_zxid;
        n->found.batch = NULL;
        batch_recycle(n, b);
    }
}

static void batch_applied(struct node *n)
{
    struct node_batch *b = n->apply_batch;
    if (n->history_max > 0)
        buf_fit(&b->entries);
    n->apply_batch = b->next;
    n->apply_pos = 0;
    n->in_flight_bytes -= b->entries.len;
    n->history_bytes += b->entries.len;
}

/* The next transaction to apply, if its zxid is not beyond `limit`. Valid until the next call. */
bool history_next(struct node *n, int64_t limit, struct slice *txn)
{
    while (n->apply_batch) {
        size_t pos = n->apply_pos;
        if (!txn_batch_next(&n->apply_batch->entries, &pos, txn)) {
            batch_applied(n);
            continue;
        }
        if (txn_zxid(txn->data) > limit)
            return false;
        n->apply_pos = pos;
        return true;
    }
    history_trim(n);
    return false;
}

/* What was proposed since the last flush never was. */
void history_drop_open(struct node *n)
{
    if (n->open)
        buf_reset(&n->open->entries);
    n->found.batch = NULL;
}

/* The history is another's: keep none of it. */
void history_reset(struct node *n)
{
    history_drop_open(n);
    while (n->first) {
        struct node_batch *b = n->first;
        n->first = b->next;
        batch_recycle(n, b);
    }
    n->end = n->apply_batch = n->found.batch = NULL;
    n->history_bytes = n->in_flight_bytes = 0;
}

/* ---- Looking back ---- */

/* The next transaction, which may be in the open batch. False at the end. */
bool history_read(struct node *n, struct history_cursor *at, struct slice *txn, int64_t *zxid)
{
    while (at->batch) {
        if (txn_batch_next(&at->batch->entries, &at->pos, txn)) {
            *zxid = txn_zxid(txn->data);
            return true;
        }
        at->batch = at->batch->next ? at->batch->next : at->batch == n->open ? NULL : n->open;
        at->pos = 0;
    }
    return false;
}

/* Before the first transaction that is behind `zxid`. */
struct history_cursor history_after(struct node *n, int64_t zxid)
{
    struct history_cursor at = {n->first ? n->first : n->open, 0}, before;
    struct slice txn;
    int64_t found;
    while (at.batch && at.batch->next && at.batch->last_zxid <= zxid)
        at.batch = at.batch->next;
    do
        before = at;
    while (history_read(n, &at, &txn, &found) && found <= zxid);
    return before;
}

/* One transaction. They are asked for in their order, most often, each once for every learner: so
 * look on from where the last was found. */
bool history_find(struct node *n, int64_t zxid, struct slice *txn)
{
    struct history_cursor next = n->found;
    int64_t found = INT64_MAX;
    while (history_read(n, &next, txn, &found) && found < zxid)
        n->found = next;
    if (found == zxid)
        return true;
    n->found = next = history_after(n, zxid - 1);
    return history_read(n, &next, txn, &found) && found == zxid;
}

/* The largest zxid of the history that is not larger than `zxid`; -1 if that is older than what
 * is kept. */
int64_t history_floor(struct node *n, int64_t zxid)
{
    struct history_cursor at = {n->first ? n->first : n->open, 0};
    struct slice txn;
    int64_t found, floor = n->history_base;
    if (zxid < floor)
        return -1;
    while (history_read(n, &at, &txn, &found) && found <= zxid)
        floor = found;
    return floor;
}

void history_close(struct node *n)
{
    struct node_batch *lists[] = {n->open, n->first, n->spare};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (struct node_batch *b = lists[i], *next; b; b = next) {
            next = b->next;
            buf_close(&b->entries);
            free(b);
        }
    }
}
