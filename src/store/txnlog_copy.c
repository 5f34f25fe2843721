/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A part of the log, as a batch. */
#include "store_impl.h"

/* The reader begins with the file that has the last transaction not larger than `zxid`. */
static int open_before(struct store *s, int64_t zxid, struct txnlog_reader **r, struct err *e)
{
    struct store_files files;
    int rc = store_files_list(s, s->log_dir, LOG_PREFIX, &files, e);
    if (rc < 0)
        return rc;
    if (files.n == 0 || files.at[0].zxid > zxid)
        rc = err_set(e, -ENODATA, "%s: the log does not reach back to zxid 0x%" PRIx64, s->log_dir,
                     (uint64_t)zxid);
    else
        rc = txnlog_read(s, files.at[store_files_before(&files, zxid)].zxid - 1, r, e);
    store_files_close(&files);
    return rc;
}

int txnlog_copy(struct store *s, int64_t zxid, int64_t to_zxid, size_t bytes_max, struct buf *batch,
                int64_t *floor, struct err *e)
{
    struct txnlog_reader *r;
    struct slice txn;
    int64_t at = -1;
    int rc = open_before(s, zxid, &r, e);
    if (rc < 0)
        return rc;
    *floor = -1;
    while (at < to_zxid && (rc = txnlog_reader_next(r, &txn, e)) == 1) {
        at = txn_zxid(txn.data);
        if (at <= zxid)
            *floor = at;
        else if (at <= to_zxid)
            txn_entry_append(batch, txn);
        if (batch->len > bytes_max) {
            rc = err_set(e, -E2BIG, "more than %zu bytes of the log", bytes_max);
            break;
        }
    }
    txnlog_reader_close(r);
    if (rc >= 0 && (at < to_zxid || *floor < 0))
        rc = err_set(e, -ENODATA, "%s: the log has no zxid 0x%" PRIx64, s->log_dir,
                     (uint64_t)(at < to_zxid ? to_zxid : zxid));
    return rc < 0 ? rc : 0;
}

int txnlog_copy_rest(struct store *s, int64_t after, size_t bytes_max, struct buf *batch,
                     struct err *e)
{
    struct txnlog_reader *r;
    struct slice txn;
    int rc = txnlog_read(s, after, &r, e);
    if (rc < 0)
        return rc;
    while ((rc = txnlog_reader_next(r, &txn, e)) == 1) {
        txn_entry_append(batch, txn);
        if (batch->len > bytes_max) {
            rc = err_set(e, -E2BIG, "more than %zu bytes of the log", bytes_max);
            break;
        }
    }
    txnlog_reader_close(r);
    return rc;
}
