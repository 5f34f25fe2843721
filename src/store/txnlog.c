/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing the log.
 *
 * A file is made with its header durable and its name too, before the first entry is written.
 * Zeros are written ahead of the entries, in steps, so that a sync behind an entry has no
 * metadata to write. What is not synced yet is never more than TXNLOG_UNSYNCED_MAX bytes or one
 * entry: what reading takes for a torn tail is bounded by that.
 *
 * The first failure is final, unless it is that there is no room: what was not written then is
 * written again, in the same place. */
#include "store_impl.h"

#include <zlib.h>

enum {
    ZERO_STEP_MAX = 512 << 10,
};

void txnlog_init(struct txnlog *l, struct store *s, uint64_t prealloc_bytes)
{
    *l = (struct txnlog){.store = s, .prealloc = prealloc_bytes, .last_zxid = -1};
}

static void txnlog_close_file(struct txnlog *l)
{
    if (l->file)
        disk_close(l->file);
    free(l->path);
    l->file = NULL;
    l->path = NULL;
    l->size = l->allocated = l->unsynced = 0;
    l->ended = false;
}

void txnlog_forget_mark(struct txnlog *l)
{
    if (l->mark)
        disk_close(l->mark);
    l->mark = NULL;
    l->mark_is_old = false;
}

void txnlog_mark_synced(struct txnlog *l)
{
    const struct txnlog_place *at = &l->synced_entry;
    if (l->mark && l->mark_is_old)
        txnlog_mark_write(l->mark,
                          &(struct txnlog_mark){l->file_zxid, at->offset, at->zxid, at->sum});
    l->mark_is_old = false;
}

void txnlog_close(struct txnlog *l)
{
    txnlog_mark_synced(l);
    txnlog_close_file(l);
    txnlog_forget_mark(l);
    free(l->given_up);
    l->given_up = NULL;
}

static int txnlog_fail(struct txnlog *l, int code, const char *doing, struct err *e)
{
    l->failed = code;
    return store_io_error(l->store, e, code, doing, l->path);
}

/* Of a write, which may be done again; a sync that failed may not. */
static int txnlog_fail_unless_short(struct txnlog *l, int code, const char *doing, struct err *e)
{
    if (store_is_short(code))
        return store_io_error(l->store, e, code, doing, l->path);
    return txnlog_fail(l, code, doing, e);
}

static int txnlog_check(const struct txnlog *l, struct err *e)
{
    if (l->failed == 0)
        return 0;
    return err_set(e, l->failed, "the log failed before (%s): start the replica again",
                   strerror(-l->failed));
}

static uint64_t zero_step(const struct txnlog *l)
{
    return MIN(l->prealloc, (uint64_t)ZERO_STEP_MAX);
}

/* Zeros behind `end`, up to which the next write goes. They are only there for speed: without space
 * for them the entry may still fit. */
static int txnlog_allocate(struct txnlog *l, uint64_t end)
{
    if (l->prealloc == 0 || end <= l->allocated)
        return 0;
    uint64_t step = zero_step(l);
    int rc = disk_zero(l->file, end, step);
    if (rc == 0)
        l->allocated = end + step;
    return rc == -ENOSPC ? 0 : rc;
}

/* Header and zeros, durably; without space for the zeros entries may still fit. `*end`: where the
 * zeros end. `*final`: the sync itself has failed. */
static int fill_file(struct txnlog *l, struct disk_file *file, uint64_t *end, bool *final)
{
    struct buf header = {0};
    zk_file_header_write(&header, &(struct zk_file_header){LOG_MAGIC, FILE_VERSION, 0});
    int rc = disk_write(file, header.data, header.len, 0);
    buf_close(&header);
    if (rc < 0)
        return rc;
    *end = FILE_HEADER_SIZE + zero_step(l);
    if (l->prealloc > 0)
        rc = disk_zero(file, FILE_HEADER_SIZE, zero_step(l));
    if (rc == -ENOSPC) {
        *end = FILE_HEADER_SIZE;
        rc = disk_truncate(file, *end);
    }
    if (rc < 0)
        return rc;
    rc = disk_sync(file);
    if (rc == 0)
        rc = disk_sync_dir(l->store->disk, l->store->log_dir);
    *final = rc < 0 && rc != -EMFILE && rc != -ENFILE; /* the directory could not be opened */
    return rc;
}

/* Durably: should the file that was given up come back with a crash, the last one has gone beyond
 * where it begins. What could not be done is left for the next time. */
static int txnlog_forget_given_up(struct txnlog *l)
{
    struct disk *disk = l->store->disk;
    if (l->given_up) {
        int rc = disk_unlink(disk, l->given_up);
        if (rc < 0)
            return rc;
        free(l->given_up);
        l->given_up = NULL;
        l->name_may_return = true;
    }
    int rc = l->name_may_return ? disk_sync_dir(disk, l->store->log_dir) : 0;
    if (rc == 0)
        l->name_may_return = false;
    return rc;
}

/* Begin another file. If there cannot be one now the last one goes on, if there is one; its zeros
 * do no harm, should it not be possible to cut them off. */
static int txnlog_create(struct txnlog *l, int64_t first_zxid, struct err *e)
{
    struct buf text = {0};
    struct disk *disk = l->store->disk;
    struct disk_file *file = NULL;
    uint64_t end = 0;
    bool final = false;
    buf_printf(&text, "%s/" LOG_PREFIX "%" PRIx64, l->store->log_dir, (uint64_t)first_zxid);
    char *path = (char *)text.data;
    int rc = l->given_up ? txnlog_forget_given_up(l) : 0;
    if (rc == 0)
        rc = disk_open(disk, path, DISK_WRITE | DISK_CREATE, &file);
    if (rc == 0 && (rc = fill_file(l, file, &end, &final)) < 0)
        disk_close(file);
    if (rc < 0) {
        bool passes = store_is_short(rc) && !final;
        if (file && passes)
            l->given_up = mem_strdup(path);
        int gone = passes ? txnlog_forget_given_up(l) : 0;
        if (!passes || (gone < 0 && !store_is_short(gone)))
            l->failed = rc;
        bool goes_on = l->failed == 0 && gone == 0 && l->file;
        rc = goes_on ? 0 : store_io_error(l->store, e, rc, "create", path);
        free(path);
        return rc;
    }
    l->name_may_return = false;
    if (l->file)
        (void)disk_truncate(l->file, l->size);
    txnlog_close_file(l);
    l->file = file;
    l->path = path;
    l->file_zxid = first_zxid;
    l->size = FILE_HEADER_SIZE;
    l->allocated = end;
    if (!l->mark)
        l->mark = txnlog_mark_open(l->store);
    return 0;
}

/* Fill in the checksums of some entries from `*pos` on: as many as may wait for one sync, at
 * least one. `*last`: where the last of them is. -EMSGSIZE: an entry is too large to be read
 * again. */
static int txnlog_seal(struct buf *batch, size_t *pos, size_t *last)
{
    size_t start = *pos, next = *pos;
    struct slice txn;
    while (txn_batch_next(batch, &next, &txn)) {
        if (next - start > TXNLOG_UNSYNCED_MAX && *pos > start)
            break;
        ensure(txn.len >= TXN_HEADER_SIZE);
        if (txn.len > TXN_SIZE_MAX)
            return -EMSGSIZE;
        uint32_t sum = (uint32_t)adler32(1, txn.data, (uInt)txn.len);
        be64_put(batch->data + *pos, sum);
        *last = *pos;
        *pos = next;
    }
    return 0;
}

/* Write bytes start .. end of the batch; its last entry there is at `last`. */
static int txnlog_write(struct txnlog *l, const struct buf *batch, size_t start, size_t last,
                        size_t end, struct err *e)
{
    size_t len = end - start;
    if (l->unsynced > 0 && l->unsynced + len > TXNLOG_UNSYNCED_MAX) {
        int rc = txnlog_sync(l, e);
        if (rc < 0)
            return rc;
    }
    int rc = txnlog_allocate(l, l->size + len);
    if (rc == 0)
        rc = disk_write(l->file, batch->data + start, len, l->size);
    if (rc < 0)
        return txnlog_fail_unless_short(l, rc, "write", e);
    const uint8_t *entry = batch->data + last;
    l->last_entry = (struct txnlog_place){l->size + (last - start), be32_get(entry + 4),
                                          txn_zxid(entry + TXN_ENTRY_HEAD)};
    l->size += len;
    l->unsynced += len;
    return 0;
}

int txnlog_append(struct txnlog *l, struct buf *batch, int64_t first_zxid, int64_t last_zxid,
                  struct err *e)
{
    ensure(batch->len > 0 && first_zxid <= last_zxid && first_zxid > l->last_zxid);
    int rc = txnlog_check(l, e);
    bool begins = !l->file || (l->ended && l->unsynced == 0);
    if (rc == 0 && begins && l->appended == 0) {
        txnlog_mark_synced(l); /* of the file before */
        rc = txnlog_create(l, first_zxid, e);
    }
    for (size_t pos = l->appended; rc == 0 && pos < batch->len;) {
        size_t start = pos, last = pos;
        rc = txnlog_seal(batch, &pos, &last);
        rc = rc < 0 ? txnlog_fail(l, rc, "write a transaction to", e)
                    : txnlog_write(l, batch, start, last, pos, e);
        if (rc == 0)
            l->appended = pos;
    }
    if (rc < 0)
        return rc;
    l->appended = 0;
    l->last_zxid = last_zxid;
    return 0;
}

int txnlog_sync(struct txnlog *l, struct err *e)
{
    int rc = txnlog_check(l, e);
    if (rc < 0 || l->unsynced == 0)
        return rc;
    rc = disk_sync(l->file);
    if (rc < 0)
        return txnlog_fail(l, rc, "sync", e);
    l->unsynced = 0;
    l->synced_entry = l->last_entry;
    l->mark_is_old = true;
    return 0;
}

int txnlog_roll(struct txnlog *l, struct err *e)
{
    int rc = txnlog_check(l, e);
    if (rc < 0 || !l->file)
        return rc;
    rc = disk_truncate(l->file, l->size);
    if (rc == 0)
        rc = disk_sync(l->file);
    if (rc < 0)
        return txnlog_fail(l, rc, "end", e);
    l->allocated = l->size;
    l->unsynced = 0;
    l->ended = true;
    return 0;
}

int txnlog_end(struct txnlog *l, struct err *e)
{
    int rc = txnlog_roll(l, e);
    if (rc < 0)
        return rc;
    txnlog_close_file(l);
    l->last_zxid = -1;
    return 0;
}
