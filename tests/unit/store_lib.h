/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For the tests of the store: a disk in memory with a store on it, transactions that can be
 * applied, and trees as bytes. Include behind cmocka.h. */
#ifndef STORE_LIB_H
#define STORE_LIB_H

#include <errno.h>
#include <stdio.h>

#include "zab/disk_mem.h"
#include "zab/store.h"

enum {
    TEST_PREALLOC = 2048,
    EPOCH = 1, /* of the zxids that tests write */
};

#define ZXID(n) ((int64_t)EPOCH << 32 | (n))

struct fixture {
    struct disk_mem *mem;
    struct store store;
};

static inline void fixture_open(struct fixture *f, uint64_t seed)
{
    struct err e;
    f->mem = disk_mem_open(seed);
    if (store_open(&f->store, disk_mem_disk(f->mem), "/d", NULL, &e) < 0)
        fail_msg("%s", e.text);
}

static inline void fixture_close(struct fixture *f)
{
    store_close(&f->store);
    disk_mem_close(f->mem);
}

/* An entry that creates /n<ZXID> with `size` bytes that depend on the zxid. */
static inline void add_txn(struct buf *batch, int64_t zxid, size_t size)
{
    struct buf path = {0}, data = {0};
    buf_printf(&path, "/n%llx", (unsigned long long)zxid);
    struct rng rng = {(uint64_t)zxid};
    for (size_t i = 0; i < size; i++)
        *buf_extend(&data, 1) = (uint8_t)('a' + rng_below(&rng, 26));
    struct zk_txn_header header = {7, 1, zxid, 1700000000000 + zxid, ZK_OP_create};
    struct zk_create_txn txn = {buf_slice(&path), buf_slice(&data), JUTE_VECTOR_EMPTY, false, -1};
    size_t start = txn_entry_begin(batch);
    zk_txn_header_write(batch, &header);
    zk_create_txn_write(batch, &txn);
    txn_entry_end(batch, start);
    buf_close(&path);
    buf_close(&data);
}

/* Append first .. last as one batch. */
static inline int append_txns(struct txnlog *l, int64_t first, int64_t last, size_t size,
                              struct err *e)
{
    struct buf batch = {0};
    for (int64_t zxid = first; zxid <= last; zxid++)
        add_txn(&batch, zxid, size);
    int rc = txnlog_append(l, &batch, first, last, e);
    buf_close(&batch);
    return rc;
}

/* Append and sync; it must work. */
static inline void write_txns(struct txnlog *l, int64_t first, int64_t last, size_t size)
{
    struct err e;
    if (append_txns(l, first, last, size, &e) < 0 || txnlog_sync(l, &e) < 0)
        fail_msg("%s", e.text);
    txnlog_mark_synced(l);
}

/* The last zxid that reading everything behind `after` comes to, or a negative errno. */
static inline int64_t read_all(struct store *s, int64_t after, int64_t *last, struct err *e)
{
    struct txnlog_reader *r;
    struct slice txn;
    int rc = txnlog_read(s, after, &r, e);
    *last = after;
    if (rc < 0)
        return rc;
    while ((rc = txnlog_reader_next(r, &txn, e)) == 1) {
        struct jute_reader in = jute_reader_of(txn);
        struct zk_txn_header header;
        zk_txn_header_read(&in, &header);
        *last = header.zxid;
    }
    txnlog_reader_close(r);
    return rc;
}

static inline void tree_bytes(const struct tree *t, struct buf *out)
{
    struct tree_dump d;
    buf_reset(out);
    tree_dump_begin(&d, t);
    while (tree_dump_next(&d, out))
        continue;
    tree_dump_close(&d);
}

static inline void tree_apply_batch(struct tree *t, const struct buf *batch)
{
    struct tree_outcome outcome = {0};
    struct slice txn;
    for (size_t pos = 0; txn_batch_next(batch, &pos, &txn);) {
        struct jute_reader in = jute_reader_of(txn);
        struct zk_txn_header header;
        zk_txn_header_read(&in, &header);
        assert_int_equal(tree_apply(t, &header, jute_read_rest(&in), &outcome), 0);
    }
    tree_outcome_close(&outcome);
}

static inline void apply_txns(struct tree *t, int64_t first, int64_t last, size_t size)
{
    struct buf batch = {0};
    for (int64_t zxid = first; zxid <= last; zxid++)
        add_txn(&batch, zxid, size);
    tree_apply_batch(t, &batch);
    buf_close(&batch);
}

static inline int recover(struct store *s, struct tree **t, struct store_recovery *r, struct err *e)
{
    *t = tree_open(1);
    int rc = store_recover(s, *t, r, e);
    if (rc < 0) {
        tree_close(*t);
        *t = NULL;
    }
    return rc;
}

#endif
