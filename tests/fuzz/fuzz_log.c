/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A log file that recovery finds. If it accepts it, a second recovery gives the same tree, and the
 * log can be written on. The first byte says whether the checksums are made right, so that damage
 * gets past them, and where the file is cut in two. */
#include "fuzz.h"
#include "zab/disk_mem.h"

enum {
    SEALED = 1 << 0,
    IN_TWO = 1 << 1,
    HEADER_SIZE = 16,
};

#define DIR "/d/version-2"

/* The snapshot that a new replica writes; made once. */
static struct slice empty_snapshot(void)
{
    static struct buf bytes;
    if (bytes.len > 0)
        return buf_slice(&bytes);
    struct disk_mem *mem = disk_mem_open(1);
    struct store store;
    struct err e;
    struct tree *t = tree_open(1);
    struct disk_file *file;
    int rc = store_open(&store, disk_mem_disk(mem), "/d", NULL, &e);
    ensure(rc == 0 && snapshot_save(&store, t, NULL, &e) == 0);
    ensure(disk_open(store.disk, DIR "/snapshot.0.zst", DISK_READ, &file) == 0);
    size_t size = (size_t)disk_size(file);
    ensure(disk_read(file, buf_extend(&bytes, size), size, 0) == (int64_t)size);
    disk_close(file);
    tree_close(t);
    store_close(&store);
    disk_mem_close(mem);
    return buf_slice(&bytes);
}

static int recover(struct store *s, struct tree **t, struct store_recovery *r)
{
    struct err e;
    *t = tree_open(1);
    return store_recover(s, *t, r, &e);
}

/* Append one transaction of the next epoch, and see that it is there after a crash. */
static void check_append(struct disk_mem *mem, struct store *s)
{
    struct txnlog log;
    struct tree *t;
    struct store_recovery found;
    struct err e;
    struct buf batch = {0};
    struct zk_create_session_txn txn = {1000};
    struct zk_txn_header header = {9, 0, (INT32_MAX - 1ll) << 32 | 1, 1, ZK_OP_createSession};
    size_t start = txn_entry_begin(&batch);
    zk_txn_header_write(&batch, &header);
    zk_create_session_txn_write(&batch, &txn);
    txn_entry_end(&batch, start);
    txnlog_init(&log, s, 0);
    ensure(txnlog_append(&log, &batch, header.zxid, header.zxid, &e) == 0);
    ensure(txnlog_sync(&log, &e) == 0);
    txnlog_close(&log);
    disk_mem_crash(mem);
    ensure(recover(s, &t, &found) == 0 && found.last_zxid == header.zxid);
    tree_close(t);
    buf_close(&batch);
}

static void check_recovery(struct disk_mem *mem, struct store *s)
{
    struct tree *first, *second;
    struct store_recovery found, again;
    if (recover(s, &first, &found) == 0) {
        disk_mem_crash(mem);
        ensure(recover(s, &second, &again) == 0);
        ensure(found.last_zxid == again.last_zxid && found.n_txns == again.n_txns);
        ensure(fuzz_trees_equal(first, second));
        tree_close(second);
        if (found.last_zxid >> 32 < INT32_MAX - 1)
            check_append(mem, s);
    }
    tree_close(first);
}

static void write_snapshot(struct disk *disk)
{
    struct disk_file *file;
    fuzz_write_file(disk, DIR "/snapshot.0.zst", empty_snapshot());
    ensure(disk_open(disk, DIR "/snapshot.0.zst", DISK_READ, &file) == 0);
    ensure(disk_sync(file) == 0 && disk_sync_dir(disk, DIR) == 0);
    disk_close(file);
}

/* Not synced, as a process that was killed may leave it. */
static void write_log(struct disk *disk, uint8_t settings, struct slice bytes)
{
    size_t size = slice_size(bytes), cut = size;
    if (settings & IN_TWO)
        cut = size * (settings >> 2) / 64;
    fuzz_write_file(disk, DIR "/log.100000001", slice_of(bytes.data, cut));
    if (cut < size)
        fuzz_write_file(disk, DIR "/log.100000005", slice_of(bytes.data + cut, size - cut));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = fuzz_copy(data + 1, size - 1);
    if (data[0] & SEALED && size - 1 > HEADER_SIZE)
        fuzz_seal_log((uint8_t *)bytes.data + HEADER_SIZE, size - 1 - HEADER_SIZE);
    struct disk_mem *mem = disk_mem_open(1);
    struct store store;
    struct err e;
    ensure(store_open(&store, disk_mem_disk(mem), "/d", NULL, &e) == 0);
    write_snapshot(store.disk);
    write_log(store.disk, data[0], bytes);
    check_recovery(mem, &store);
    store_close(&store);
    disk_mem_close(mem);
    fuzz_piece_free(bytes);
    return 0;
}
