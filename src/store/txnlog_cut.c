/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Another history: TRUNC and SNAP, and the end of a log that a crash tore. */
#include <stdio.h>

#include "replaced.h"

int store_cut_file(struct store *s, const char *name, uint64_t size, struct err *e)
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

int txnlog_cut_tail(struct store *s, const struct txnlog_reader *r, struct err *e)
{
    const struct store_files *files = txnlog_reader_files(r);
    struct txnlog_tail tail = txnlog_reader_tail(r);
    if (files->n == 0 || (!tail.more && tail.offset > FILE_HEADER_SIZE))
        return 0;
    return store_cut_file(s, files->at[files->n - 1].name, tail.offset, e);
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

/* The last zxid that the files have, as far as they can be read. */
static int64_t find_end(struct store *s, const struct store_files *snapshots)
{
    struct store_files logs;
    struct txnlog_reader *r;
    struct slice txn;
    int64_t end = snapshots->n > 0 ? snapshots->at[snapshots->n - 1].zxid : -1;
    if (store_files_list(s, s->log_dir, LOG_PREFIX, &logs, NULL) < 0)
        return end;
    int64_t after = logs.n > 0 ? logs.at[logs.n - 1].zxid - 1 : INT64_MAX;
    if (logs.n > 0 && txnlog_read_loosely(s, after, &r, NULL) == 0) {
        while (txnlog_reader_next(r, &txn, NULL) == 1)
            end = MAX(end, txn_zxid(txn.data));
        txnlog_reader_close(r);
    }
    store_files_close(&logs);
    return end;
}

/* Name PARENT/DIR, if it is there. */
static void name_dir(struct store *s, const char *parent, const char *dir, struct buf *text)
{
    struct disk_stat st;
    char *path = store_path(parent, dir);
    if (disk_stat(s->disk, path, &st) == 0)
        buf_printf(text, "%s%s", text->len > 0 ? " and " : "", path);
    free(path);
}

/* `dir` is empty if nothing was begun. */
static void note_replaced(struct txnlog *l, int64_t zxid, const char *dir)
{
    struct store *s = l->store;
    struct buf dirs = {0};
    if (!dir[0])
        return;
    name_dir(s, s->data_dir, dir, &dirs);
    if (strcmp(s->data_dir, s->log_dir) != 0)
        name_dir(s, s->log_dir, dir, &dirs);
    snprintf(
        l->note, sizeof(l->note),
        "history to 0x%" PRIx64 " of epoch %" PRIu64
        " is replaced by the leader's; the old files are in %.*s; they are removed after a day",
        (uint64_t)zxid, (uint64_t)zxid >> 32, (int)dirs.len, (const char *)dirs.data);
    buf_close(&dirs);
}

/* 1: an attempt before found the disk full in the middle, and it is done now. */
static int begin_change(struct txnlog *l, struct err *e)
{
    char dir[REPLACED_NAME_MAX];
    int rc = txnlog_end(l, e);
    txnlog_forget_mark(l);
    if (rc == 0)
        rc = replaced_finish(l->store, dir, e);
    if (rc == 0)
        l->note[0] = '\0';
    return rc == 0 ? txnlog_mark_remove(l->store, e) : rc;
}

int txnlog_truncate(struct txnlog *l, int64_t zxid, struct err *e)
{
    struct store *s = l->store;
    struct store_files snapshots;
    struct replaced_cut cut = {0};
    char dir[REPLACED_NAME_MAX] = "";
    int rc = begin_change(l, e);
    if (rc == 0)
        rc = store_files_list(s, s->data_dir, SNAPSHOT_PREFIX, &snapshots, e);
    if (rc != 0)
        return MIN(rc, 0);
    bool newer = snapshots.n > 0 && snapshots.at[snapshots.n - 1].zxid > zxid;
    if (newer)
        rc = check_snapshot_before(s, &snapshots, zxid, e);
    if (rc == 0)
        rc = replaced_find_cut(s, zxid, &cut, e);
    if (rc == 1 || (rc == 0 && newer)) {
        int64_t end = find_end(s, &snapshots);
        rc = replaced_truncate(s, zxid, &cut, dir, e);
        note_replaced(l, end, dir);
    }
    free(cut.name);
    store_files_close(&snapshots);
    return rc;
}

int txnlog_install(struct txnlog *l, const struct tree *t, struct err *e)
{
    struct store *s = l->store;
    struct store_files snapshots;
    char dir[REPLACED_NAME_MAX] = "";
    int rc = begin_change(l, e);
    if (rc == 0)
        rc = store_files_list(s, s->data_dir, SNAPSHOT_PREFIX, &snapshots, e);
    if (rc != 0)
        return MIN(rc, 0);
    int64_t end = find_end(s, &snapshots);
    store_files_close(&snapshots);
    rc = snapshot_save_as(INCOMING_PREFIX, s, t, e);
    if (rc == 0)
        rc = replaced_install(s, tree_last_zxid(t), dir, e);
    if (end > 0)
        note_replaced(l, end, dir);
    return rc;
}
