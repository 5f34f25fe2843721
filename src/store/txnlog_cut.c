/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dropping the end of history: TRUNC and SNAP.
 *
 * Whole files go first, the newest first, each durably before the next, so that a crash leaves no
 * gap. */
#include "store_impl.h"

static int cut_file(struct store *s, const char *name, uint64_t size, struct err *e)
{
    if (size <= FILE_HEADER_SIZE)
        return store_remove(s, s->log_dir, name, e);
    char *path = store_path(s->log_dir, name);
    struct disk_file *file = NULL;
    int rc = disk_open(s->disk, path, DISK_WRITE, &file);
    if (rc == 0)
        rc = disk_truncate(file, size);
    if (rc == 0)
        rc = disk_sync(file);
    if (rc < 0)
        store_io_error(s, e, rc, "cut", path);
    if (file)
        disk_close(file);
    free(path);
    return rc;
}

/* Drop what follows `zxid` from the log. */
static int drop_log_after(struct store *s, int64_t zxid, struct err *e)
{
    struct txnlog_reader *r;
    struct slice txn;
    int rc = txnlog_read_loosely(s, zxid, &r, e);
    if (rc < 0)
        return rc;
    rc = txnlog_reader_next(r, &txn, e);
    if (rc == 1) {
        const struct store_files *files = txnlog_reader_files(r);
        size_t first = txnlog_reader_file(r);
        rc = 0;
        for (size_t i = files->n - 1; rc == 0 && i > first; i--)
            rc = store_remove(s, s->log_dir, files->at[i].name, e);
        if (rc == 0)
            rc = cut_file(s, files->at[first].name, txnlog_reader_offset(r), e);
    }
    txnlog_reader_close(r);
    return rc;
}

int txnlog_cut_tail(struct store *s, const struct txnlog_reader *r, bool *torn, struct err *e)
{
    const struct store_files *files = txnlog_reader_files(r);
    bool more;
    uint64_t end = txnlog_reader_end(r, torn, &more);
    if (files->n == 0 || (!more && end > FILE_HEADER_SIZE))
        return 0;
    return cut_file(s, files->at[files->n - 1].name, end, e);
}

/* Remove the snapshots newer than `zxid`, the newest first. */
static int drop_snapshots_after(struct store *s, const struct store_files *files, int64_t zxid,
                                struct err *e)
{
    int rc = 0;
    for (size_t i = files->n; rc == 0 && i > 0 && files->at[i - 1].zxid > zxid; i--)
        rc = store_remove(s, s->data_dir, files->at[i - 1].name, e);
    return rc;
}

/* 0 if there is a good snapshot at or below `zxid`. */
static int check_snapshot_before(struct store *s, const struct store_files *files, int64_t zxid,
                                 struct err *e)
{
    for (size_t i = files->n; i > 0; i--) {
        if (files->at[i - 1].zxid <= zxid && snapshot_verify(s, files->at[i - 1].name, NULL) == 0)
            return 0;
    }
    return err_set(e, -ENODATA, "%s: no good snapshot is as old as zxid 0x%" PRIx64, s->data_dir,
                   (uint64_t)zxid);
}

int txnlog_truncate(struct txnlog *l, int64_t zxid, struct err *e)
{
    struct store *s = l->store;
    struct store_files snapshots;
    int rc = txnlog_end(l, e);
    if (rc == 0)
        rc = store_files_list(s, s->data_dir, SNAPSHOT_PREFIX, &snapshots, e);
    if (rc < 0)
        return rc;
    bool newer = snapshots.n > 0 && snapshots.at[snapshots.n - 1].zxid > zxid;
    if (newer)
        rc = check_snapshot_before(s, &snapshots, zxid, e);
    if (newer && rc == 0)
        rc = drop_snapshots_after(s, &snapshots, zxid, e);
    if (rc == 0)
        rc = drop_log_after(s, zxid, e);
    store_files_close(&snapshots);
    return rc;
}

/* All but the snapshot of `zxid`: it has no connection to what was here before. */
static int drop_all_else(struct store *s, int64_t zxid, struct err *e)
{
    struct store_files snapshots, logs;
    int rc = store_files_list(s, s->data_dir, SNAPSHOT_PREFIX, &snapshots, e);
    if (rc < 0)
        return rc;
    rc = store_files_list(s, s->log_dir, LOG_PREFIX, &logs, e);
    if (rc < 0)
        goto out;
    for (size_t i = snapshots.n; rc == 0 && i > 0; i--) {
        if (snapshots.at[i - 1].zxid != zxid)
            rc = store_remove(s, s->data_dir, snapshots.at[i - 1].name, e);
    }
    for (size_t i = logs.n; rc == 0 && i > 0; i--)
        rc = store_remove(s, s->log_dir, logs.at[i - 1].name, e);
    store_files_close(&logs);
out:
    store_files_close(&snapshots);
    return rc;
}

int txnlog_install(struct txnlog *l, const struct tree *t, struct err *e)
{
    struct store *s = l->store;
    int64_t zxid = tree_last_zxid(t);
    int rc = txnlog_end(l, e);
    if (rc == 0)
        rc = drop_log_after(s, zxid, e);
    if (rc == 0)
        rc = snapshot_save(s, t, NULL, e);
    return rc == 0 ? drop_all_else(s, zxid, e) : rc;
}
