/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store_lib.h"

#define LAST_LOG "/d/version-2/log.100000006"

/* Three files: 1-2, 3-5 and 6-10, all durable; small entries, so that sectors hold several. */
static void make_log(struct fixture *f, uint64_t prealloc, size_t size)
{
    struct txnlog l;
    struct err e;
    txnlog_init(&l, &f->store, prealloc);
    write_txns(&l, ZXID(1), ZXID(2), size);
    assert_int_equal(txnlog_roll(&l, &e), 0);
    write_txns(&l, ZXID(3), ZXID(5), size);
    assert_int_equal(txnlog_roll(&l, &e), 0);
    for (int n = 6; n <= 10; n++)
        write_txns(&l, ZXID(n), ZXID(n), size);
    txnlog_close(&l);
}

static int64_t file_size(struct fixture *f, const char *path)
{
    struct disk_file *file;
    if (disk_open(disk_mem_disk(f->mem), path, DISK_READ, &file) < 0)
        return -1;
    int64_t size = disk_size(file);
    disk_close(file);
    return size;
}

static void reading_gives_what_was_written(void **state)
{
    (void)state;
    struct fixture f;
    struct err e;
    int64_t last;
    fixture_open(&f, 1);
    make_log(&f, TEST_PREALLOC, 300);
    for (int64_t after = 0; after <= 10; after++) {
        assert_int_equal(read_all(&f.store, after ? ZXID(after) : 0, &last, &e), 0);
        assert_int_equal(last, ZXID(10));
    }
    assert_int_equal(read_all(&f.store, ZXID(11), &last, &e), 0);
    assert_int_equal(last, ZXID(11));
    fixture_close(&f);
}

static int copy(struct fixture *f, int after, int to, size_t max, int64_t *floor, int *n)
{
    struct buf batch = {0};
    struct slice txn;
    struct err e;
    size_t pos = 0;
    int rc = txnlog_copy(&f->store, ZXID(after), ZXID(to), max, &batch, floor, &e);
    for (*n = 0; rc == 0 && txn_batch_next(&batch, &pos, &txn); ++*n)
        assert_int_equal(txn_zxid(txn.data), ZXID(after + 1 + *n));
    buf_close(&batch);
    return rc;
}

static void a_part_of_the_log_can_be_copied_out(void **state)
{
    (void)state;
    struct fixture f;
    int64_t floor;
    int n;
    fixture_open(&f, 1);
    make_log(&f, TEST_PREALLOC, 300);
    for (int after = 1; after <= 10; after++) {
        for (int to = after; to <= 10; to++) {
            assert_int_equal(copy(&f, after, to, 1 << 20, &floor, &n), 0);
            assert_int_equal(floor, ZXID(after));
            assert_int_equal(n, to - after);
        }
    }
    assert_int_equal(copy(&f, 0, 5, 1 << 20, &floor, &n), -ENODATA);
    assert_int_equal(copy(&f, 5, 11, 1 << 20, &floor, &n), -ENODATA);
    assert_int_equal(copy(&f, 5, 10, 1000, &floor, &n), -E2BIG);
    fixture_close(&f);
}

static void the_rest_of_the_log_can_be_copied_out(void **state)
{
    (void)state;
    struct fixture f;
    struct err e;
    fixture_open(&f, 1);
    make_log(&f, TEST_PREALLOC, 300);
    for (int after = 1; after <= 10; after++) {
        struct buf batch = {0};
        struct slice txn;
        int n = 0;
        assert_int_equal(txnlog_copy_rest(&f.store, ZXID(after), 1 << 20, &batch, &e), 0);
        for (size_t pos = 0; txn_batch_next(&batch, &pos, &txn); n++)
            assert_int_equal(txn_zxid(txn.data), ZXID(after + 1 + n));
        assert_int_equal(n, 10 - after);
        buf_reset(&batch);
        int rc = txnlog_copy_rest(&f.store, ZXID(after), 1000, &batch, &e);
        assert_int_equal(rc, n > 2 ? -E2BIG : 0);
        buf_close(&batch);
    }
    fixture_close(&f);
}

static void files_are_as_zookeeper_writes_them(void **state)
{
    (void)state;
    struct fixture f;
    struct disk_file *file;
    struct err e;
    struct txnlog l;
    uint8_t bytes[200];
    fixture_open(&f, 1);
    txnlog_init(&l, &f.store, 0);
    write_txns(&l, ZXID(1), ZXID(1), 0);
    assert_int_equal(txnlog_roll(&l, &e), 0);
    assert_int_equal(
        disk_open(disk_mem_disk(f.mem), "/d/version-2/log.100000001", DISK_READ, &file), 0);
    int64_t n = disk_read(file, bytes, sizeof(bytes), 0);
    disk_close(file);
    assert_memory_equal(bytes, "ZKLG\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    uint32_t len = be32_get(bytes + 24);
    assert_int_equal(n, 16 + 12 + len + 1);
    assert_int_equal(bytes[n - 1], 'B');
    uint32_t a = 1, b = 0; /* adler32, by its definition */
    for (uint32_t i = 0; i < len; i++) {
        a = (a + bytes[28 + i]) % 65521;
        b = (b + a) % 65521;
    }
    assert_int_equal(be32_get(bytes + 20), b << 16 | a);
    txnlog_close(&l);
    fixture_close(&f);
}

static void zeros_are_written_ahead_and_cut_off_by_a_roll(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    struct err e;
    fixture_open(&f, 1);
    txnlog_init(&l, &f.store, 64 << 10);
    write_txns(&l, ZXID(6), ZXID(7), 100);
    int64_t size = file_size(&f, LAST_LOG);
    assert_true(size > 64 << 10);
    write_txns(&l, ZXID(8), ZXID(100), 100);
    assert_int_equal(file_size(&f, LAST_LOG), size);
    int64_t used = (int64_t)l.size;
    assert_int_equal(txnlog_roll(&l, &e), 0);
    assert_int_equal(file_size(&f, LAST_LOG), used);
    txnlog_close(&l);
    fixture_close(&f);
}

/* A flipped byte is found wherever it is: nothing that was synced is lost without a word. */
static void check_flip(struct fixture *f, const char *path, uint64_t at, uint8_t mask)
{
    struct err e;
    int64_t last;
    assert_int_equal(disk_mem_flip(f->mem, path, at, mask), 0);
    int64_t rc = read_all(&f->store, 0, &last, &e);
    if (rc == 0) {
        assert_int_equal(last, ZXID(10));
    } else {
        assert_int_equal(rc, -EUCLEAN);
        assert_non_null(strstr(e.text, path));
        assert_non_null(strstr(e.text, "byte "));
        assert_non_null(strstr(e.text, "restore version-2 from a backup"));
    }
    assert_int_equal(disk_mem_flip(f->mem, path, at, mask), 0);
}

static void a_flipped_byte_is_never_taken_for_a_torn_tail(void **state)
{
    (void)state;
    static const char *const paths[] = {"/d/version-2/log.100000001", "/d/version-2/log.100000003",
                                        LAST_LOG};
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    static const size_t sizes[] = {0, 100, 700};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        struct fixture f;
        fixture_open(&f, 1);
        make_log(&f, TEST_PREALLOC, sizes[s]);
        for (size_t p = 0; p < ARRAY_LEN(paths); p++) {
            uint64_t size = (uint64_t)file_size(&f, paths[p]);
            for (uint64_t at = 0; at < size * ARRAY_LEN(masks); at++)
                check_flip(&f, paths[p], at / ARRAY_LEN(masks), masks[at % ARRAY_LEN(masks)]);
        }
        fixture_close(&f);
    }
}

/* Data that looks like lost sectors does not hide a flipped byte. */
static void a_flipped_byte_among_zeros_is_found(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    struct err e;
    struct buf batch = {0};
    fixture_open(&f, 1);
    txnlog_init(&l, &f.store, TEST_PREALLOC);
    add_txn(&batch, ZXID(6), 2000);
    size_t head = batch.len - TXN_ENTRY_TAIL - 2000 - 9; /* ACL and flags are behind the data */
    memset(batch.data + head, 0, 2000);
    assert_int_equal(txnlog_append(&l, &batch, ZXID(6), ZXID(6), &e), 0);
    buf_close(&batch);
    write_txns(&l, ZXID(7), ZXID(10), 10);
    uint64_t size = l.size;
    txnlog_close(&l);
    for (uint64_t at = 0; at < size; at++)
        check_flip(&f, LAST_LOG, at, 0x10);
    fixture_close(&f);
}

static void the_last_file_may_end_anywhere(void **state)
{
    (void)state;
    struct fixture f;
    struct err e;
    int64_t last, before = ZXID(5);
    fixture_open(&f, 1);
    make_log(&f, 0, 100);
    uint64_t size = (uint64_t)file_size(&f, LAST_LOG);
    fixture_close(&f);
    for (uint64_t len = 0; len <= size; len++) {
        fixture_open(&f, 1);
        make_log(&f, 0, 100);
        assert_int_equal(disk_mem_cut(f.mem, LAST_LOG, len), 0);
        assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
        assert_true(last == before || last == before + 1);
        before = last;
        fixture_close(&f);
    }
    assert_int_equal(last, ZXID(10));
}

static void an_earlier_file_may_not_end_early(void **state)
{
    (void)state;
    struct fixture f;
    struct err e;
    int64_t last;
    fixture_open(&f, 1);
    make_log(&f, TEST_PREALLOC, 100);
    const char *path = "/d/version-2/log.100000003";
    uint64_t size = (uint64_t)file_size(&f, path);
    for (uint64_t len = size - 1; len > 0; len--) {
        assert_int_equal(disk_mem_cut(f.mem, path, len), 0);
        assert_int_equal(read_all(&f.store, 0, &last, &e), -EUCLEAN);
    }
    assert_int_equal(disk_unlink(disk_mem_disk(f.mem), path), 0);
    assert_int_equal(read_all(&f.store, 0, &last, &e), -EUCLEAN);
    assert_non_null(strstr(e.text, "missing"));
    assert_int_equal(read_all(&f.store, ZXID(5), &last, &e), 0);
    fixture_close(&f);
}

/* ZooKeeper leaves a torn entry where it was and goes on in the next file. */
static void a_torn_end_of_an_earlier_file_is_fine_if_the_next_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    struct err e;
    struct txnlog l;
    struct disk_file *file;
    int64_t last;
    fixture_open(&f, 1);
    make_log(&f, 0, 100);
    assert_int_equal(disk_open(disk_mem_disk(f.mem), LAST_LOG, DISK_WRITE, &file), 0);
    uint8_t torn[40] = {0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 90, 9, 9, 9};
    assert_int_equal(disk_write(file, torn, sizeof(torn), (uint64_t)disk_size(file)), 0);
    disk_close(file);
    txnlog_init(&l, &f.store, 0);
    write_txns(&l, ZXID(11), ZXID(12), 100);
    txnlog_close(&l);
    assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
    assert_int_equal(last, ZXID(12));
    fixture_close(&f);
}

static void zxids_must_rise_but_one_entry_may_be_there_twice(void **state)
{
    (void)state;
    for (int again = 9; again <= 10; again++) {
        struct fixture f;
        struct err e;
        struct txnlog l;
        int64_t last;
        fixture_open(&f, 1);
        make_log(&f, 0, 100);
        txnlog_init(&l, &f.store, 0);
        write_txns(&l, ZXID(again), ZXID(11), 100);
        txnlog_close(&l);
        assert_int_equal(read_all(&f.store, 0, &last, &e), again == 10 ? 0 : -EUCLEAN);
        assert_int_equal(last, again == 10 ? ZXID(11) : ZXID(10));
        fixture_close(&f);
    }
}

static void an_error_is_final(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 11; n++) {
        struct fixture f;
        struct txnlog l;
        struct err e;
        fixture_open(&f, n);
        txnlog_init(&l, &f.store, TEST_PREALLOC);
        disk_mem_fail_after(f.mem, n, DISK_MEM_EIO);
        int rc = append_txns(&l, ZXID(1), ZXID(40), 100, &e);
        if (rc == 0)
            rc = txnlog_sync(&l, &e);
        bool of_mark = n == 6 || n == 7 || n == 11; /* which is not needed */
        if (!of_mark) {
            assert_int_equal(rc, -EIO);
            assert_non_null(strstr(e.text, "/d/version-2/log.100000001"));
            uint64_t operations = disk_mem_counters(f.mem).operations;
            assert_int_equal(txnlog_sync(&l, &e), -EIO);
            assert_int_equal(append_txns(&l, ZXID(41), ZXID(41), 100, &e), -EIO);
            assert_int_equal(txnlog_roll(&l, &e), -EIO);
            assert_int_equal(disk_mem_counters(f.mem).operations, operations);
        } else {
            assert_int_equal(rc, 0);
        }
        txnlog_close(&l);
        fixture_close(&f);
    }
}

static void a_bound_is_kept_on_what_waits_for_a_sync(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    struct err e;
    int64_t last;
    fixture_open(&f, 1);
    txnlog_init(&l, &f.store, 0);
    assert_int_equal(append_txns(&l, ZXID(1), ZXID(5), TXNLOG_UNSYNCED_MAX / 2, &e), 0);
    assert_int_equal(l.unsynced > TXNLOG_UNSYNCED_MAX, 0);
    assert_true(disk_mem_counters(f.mem).syncs >= 4);
    assert_int_equal(txnlog_sync(&l, &e), 0);
    assert_int_equal(append_txns(&l, ZXID(6), ZXID(6), TXN_SIZE_MAX, &e), -EMSGSIZE);
    assert_int_equal(append_txns(&l, ZXID(7), ZXID(7), 10, &e), -EMSGSIZE);
    txnlog_close(&l);
    assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
    assert_int_equal(last, ZXID(5));
    fixture_close(&f);
}

static void a_full_disk_fails_the_append_and_keeps_what_was_synced(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    struct err e;
    int64_t last, n = 1;
    fixture_open(&f, 1);
    disk_mem_set_capacity(f.mem, 10000);
    txnlog_init(&l, &f.store, TEST_PREALLOC);
    int rc = 0;
    for (; rc == 0; n++) {
        rc = append_txns(&l, ZXID(n), ZXID(n), 100, &e);
        if (rc == 0)
            assert_int_equal(txnlog_sync(&l, &e), 0);
    }
    assert_int_equal(rc, -ENOSPC);
    assert_non_null(strstr(e.text, "no space left"));
    assert_non_null(strstr(e.text, "/d/version-2/log.100000001"));
    assert_true(n * 200 > 9000);
    txnlog_close(&l);
    disk_mem_crash(f.mem);
    assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
    assert_int_equal(last, ZXID(n - 2));
    fixture_close(&f);
}

/* Whatever the room: the batch that found none is written when there is some, once. */
static void a_batch_waits_for_room(void **state)
{
    (void)state;
    unsigned waited = 0;
    for (uint64_t room = 0; room < 3000; room += 7) {
        struct fixture f;
        struct txnlog l;
        struct err e;
        struct buf batch = {0};
        int64_t last;
        fixture_open(&f, room);
        disk_mem_set_capacity(f.mem, room);
        txnlog_init(&l, &f.store, room % 2 ? TEST_PREALLOC : 0);
        for (int64_t n = 1; n <= 12; n += 3) {
            for (int64_t zxid = n; zxid < n + 3; zxid++)
                add_txn(&batch, ZXID(zxid), 100);
            int rc;
            while ((rc = txnlog_append(&l, &batch, ZXID(n), ZXID(n + 2), &e)) < 0) {
                assert_int_equal(rc, -ENOSPC);
                assert_int_equal(l.failed, 0);
                waited++;
                room += 100;
                disk_mem_set_capacity(f.mem, room);
            }
            assert_int_equal(txnlog_sync(&l, &e), 0);
            buf_reset(&batch);
        }
        buf_close(&batch);
        txnlog_close(&l);
        disk_mem_crash(f.mem);
        assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
        assert_int_equal(last, ZXID(12));
        fixture_close(&f);
    }
    assert_true(waited > 20);
}

/* Zeros are for speed. */
static void without_room_for_zeros_an_entry_may_fit(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    fixture_open(&f, 1);
    disk_mem_set_capacity(f.mem, 1000);
    txnlog_init(&l, &f.store, 64 << 10);
    write_txns(&l, ZXID(6), ZXID(7), 100);
    assert_true(file_size(&f, LAST_LOG) > 300);
    txnlog_close(&l);
    fixture_close(&f);
}

/* A batch of which a part was written, and synced in between. */
static void a_large_batch_goes_on_where_it_stopped(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    struct err e;
    struct buf batch = {0};
    int64_t last;
    fixture_open(&f, 1);
    for (int n = 1; n <= 4; n++)
        add_txn(&batch, ZXID(n), TXNLOG_UNSYNCED_MAX / 2 + 1000);
    disk_mem_set_capacity(f.mem, batch.len / 2 + 100000);
    txnlog_init(&l, &f.store, 0);
    assert_int_equal(txnlog_append(&l, &batch, ZXID(1), ZXID(4), &e), -ENOSPC);
    assert_true(l.appended > 0);
    disk_mem_set_capacity(f.mem, batch.len * 2);
    assert_int_equal(txnlog_append(&l, &batch, ZXID(1), ZXID(4), &e), 0);
    assert_int_equal(txnlog_sync(&l, &e), 0);
    txnlog_close(&l);
    buf_close(&batch);
    disk_mem_crash(f.mem);
    assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
    assert_int_equal(last, ZXID(4));
    assert_true(file_size(&f, "/d/version-2/log.100000001") < 9 << 20);
    fixture_close(&f);
}

static void without_a_descriptor_the_file_goes_on(void **state)
{
    (void)state;
    for (unsigned free_files = 0; free_files < 3; free_files++) {
        struct fixture f;
        struct txnlog l;
        struct err e;
        int64_t last;
        fixture_open(&f, 1);
        txnlog_init(&l, &f.store, TEST_PREALLOC);
        disk_mem_set_files_max(f.mem, 0);
        assert_int_equal(append_txns(&l, ZXID(1), ZXID(1), 100, &e), -EMFILE);
        assert_int_equal(l.failed, 0);
        disk_mem_set_files_max(f.mem, 100);
        write_txns(&l, ZXID(1), ZXID(5), 100);
        /* The log and what is known of its syncs are open. */
        disk_mem_set_files_max(f.mem, 2 + free_files);
        assert_int_equal(txnlog_roll(&l, &e), 0);
        assert_int_equal(append_txns(&l, ZXID(6), ZXID(6), 100, &e), 0);
        write_txns(&l, ZXID(7), ZXID(9), 100);
        assert_int_equal(file_size(&f, LAST_LOG) >= 0, free_files > 1);
        disk_mem_set_files_max(f.mem, 100);
        write_txns(&l, ZXID(10), ZXID(11), 100);
        assert_int_equal(file_size(&f, "/d/version-2/log.10000000a") >= 0, free_files <= 1);
        txnlog_close(&l);
        disk_mem_crash(f.mem);
        assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
        assert_int_equal(last, ZXID(11));
        fixture_close(&f);
    }
}

/* The file that cannot be begun cannot be removed either: some filesystems need room for that. */
static void a_file_that_could_not_be_begun_is_removed_later(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 6; n++) {
        struct fixture f;
        struct txnlog l;
        struct err e;
        int64_t last;
        fixture_open(&f, 1);
        txnlog_init(&l, &f.store, 0);
        disk_mem_set_capacity(f.mem, 10);
        disk_mem_fail_after(f.mem, n, DISK_MEM_ENOSPC);
        assert_int_equal(append_txns(&l, ZXID(1), ZXID(1), 100, &e), -ENOSPC);
        assert_int_equal(append_txns(&l, ZXID(1), ZXID(1), 100, &e), -ENOSPC);
        assert_int_equal(l.failed, 0);
        disk_mem_set_capacity(f.mem, 100000);
        disk_mem_fail_after(f.mem, 0, DISK_MEM_ENOSPC);
        write_txns(&l, ZXID(1), ZXID(3), 100);
        txnlog_close(&l);
        disk_mem_crash(f.mem);
        assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
        assert_int_equal(last, ZXID(3));
        fixture_close(&f);
    }
}

static void truncating_drops_what_is_behind(void **state)
{
    (void)state;
    for (int keep = 0; keep <= 10; keep++) {
        struct fixture f;
        struct txnlog l;
        struct err e;
        int64_t last;
        fixture_open(&f, 1);
        make_log(&f, TEST_PREALLOC, 100);
        txnlog_init(&l, &f.store, TEST_PREALLOC);
        assert_int_equal(txnlog_truncate(&l, ZXID(keep), &e), 0);
        disk_mem_crash(f.mem);
        assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
        assert_int_equal(last, keep ? ZXID(keep) : 0);
        int64_t next = (int64_t)(EPOCH + 1) << 32 | 1;
        write_txns(&l, next, next + 1, 100);
        assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
        assert_int_equal(last, next + 1);
        txnlog_close(&l);
        fixture_close(&f);
    }
}

/* Several entries wait for one sync; the drive writes their sectors in any order. */
static void a_power_loss_never_makes_the_log_unreadable(void **state)
{
    (void)state;
    unsigned lost = 0, kept = 0;
    for (uint64_t seed = 0; seed < 5000; seed++) {
        struct fixture f;
        struct txnlog l;
        struct err e;
        int64_t last;
        struct rng rng = {seed};
        fixture_open(&f, seed);
        txnlog_init(&l, &f.store, seed % 3 ? 20000 : 0);
        write_txns(&l, ZXID(1), ZXID(2), rng_below(&rng, 900));
        write_txns(&l, ZXID(3), ZXID(3), rng_below(&rng, 900));
        for (int64_t n = 4; n < 20; n += 4)
            assert_int_equal(append_txns(&l, ZXID(n), ZXID(n + 3), rng_below(&rng, 900), &e), 0);
        txnlog_close(&l);
        disk_mem_crash(f.mem);
        if (read_all(&f.store, 0, &last, &e) != 0)
            fail_msg("seed %d: %s", (int)seed, e.text);
        assert_true(last >= ZXID(3) && last <= ZXID(19));
        lost += last < ZXID(19);
        kept += last > ZXID(3);
        fixture_close(&f);
    }
    assert_true(lost > 100 && kept > 100);
}

static void zero(struct fixture *f, const char *path, uint64_t from, size_t len)
{
    struct disk_file *file;
    assert_int_equal(disk_open(f->store.disk, path, DISK_WRITE, &file), 0);
    assert_int_equal(disk_zero(file, from, MIN(len, (size_t)disk_size(file) - from)), 0);
    assert_int_equal(disk_sync(file), 0);
    disk_close(file);
}

/* A sector of zeros looks like one that power loss kept from being written. It is damage if an
 * entry behind it was covered by a sync. */
static void a_lost_sector_before_what_a_sync_covered_is_damage(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    struct err e;
    int64_t last;
    unsigned refused = 0;
    for (uint64_t at = 512; at < 12 * 512; at += 512) {
        fixture_open(&f, at);
        txnlog_init(&l, &f.store, TEST_PREALLOC);
        for (int n = 6; n <= 50; n++)
            write_txns(&l, ZXID(n), ZXID(n), 90);
        assert_int_equal(append_txns(&l, ZXID(51), ZXID(60), 90, &e), 0);
        uint64_t synced = l.last_entry.offset - 9 * (l.size - l.last_entry.offset);
        txnlog_close(&l);
        disk_mem_kill(f.mem);
        zero(&f, LAST_LOG, at, 512);
        int rc = (int)read_all(&f.store, ZXID(5), &last, &e);
        if (at + 512 < synced - 200) {
            assert_int_equal(rc, -EUCLEAN);
            assert_non_null(strstr(e.text, LAST_LOG));
            if (!strstr(e.text, "whole transactions follow, 0x1000000"))
                fail_msg("at %d: %s", (int)at, e.text);
            assert_non_null(strstr(e.text, " to 0x10000003c: restore"));
            refused++;
        } else if (at >= synced) {
            assert_int_equal(rc, 0);
            assert_true(last >= ZXID(50));
        }
        fixture_close(&f);
    }
    assert_true(refused > 3);
}

/* A tree that the leader sent, and then the same transactions, of the same file, once more: what
 * was known of the log before says nothing about them. */
static void a_new_history_does_not_know_what_was_synced_in_the_old_one(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct fixture f;
        struct txnlog l;
        struct err e;
        int64_t last;
        struct tree *t = tree_open(1);
        fixture_open(&f, seed);
        apply_txns(t, ZXID(1), ZXID(5), 10);
        txnlog_init(&l, &f.store, TEST_PREALLOC);
        write_txns(&l, ZXID(6), ZXID(9), 700);
        assert_int_equal(txnlog_install(&l, t, &e), 0);
        assert_int_equal(append_txns(&l, ZXID(6), ZXID(9), 700, &e), 0);
        txnlog_close(&l);
        disk_mem_crash(f.mem);
        assert_int_equal(read_all(&f.store, ZXID(5), &last, &e), 0);
        tree_close(t);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_gives_what_was_written),
        cmocka_unit_test(a_part_of_the_log_can_be_copied_out),
        cmocka_unit_test(the_rest_of_the_log_can_be_copied_out),
        cmocka_unit_test(files_are_as_zookeeper_writes_them),
        cmocka_unit_test(zeros_are_written_ahead_and_cut_off_by_a_roll),
        cmocka_unit_test(a_flipped_byte_is_never_taken_for_a_torn_tail),
        cmocka_unit_test(a_flipped_byte_among_zeros_is_found),
        cmocka_unit_test(the_last_file_may_end_anywhere),
        cmocka_unit_test(an_earlier_file_may_not_end_early),
        cmocka_unit_test(a_torn_end_of_an_earlier_file_is_fine_if_the_next_goes_on),
        cmocka_unit_test(zxids_must_rise_but_one_entry_may_be_there_twice),
        cmocka_unit_test(an_error_is_final),
        cmocka_unit_test(a_bound_is_kept_on_what_waits_for_a_sync),
        cmocka_unit_test(a_full_disk_fails_the_append_and_keeps_what_was_synced),
        cmocka_unit_test(a_batch_waits_for_room),
        cmocka_unit_test(without_room_for_zeros_an_entry_may_fit),
        cmocka_unit_test(a_large_batch_goes_on_where_it_stopped),
        cmocka_unit_test(without_a_descriptor_the_file_goes_on),
        cmocka_unit_test(a_file_that_could_not_be_begun_is_removed_later),
        cmocka_unit_test(truncating_drops_what_is_behind),
        cmocka_unit_test(a_power_loss_never_makes_the_log_unreadable),
        cmocka_unit_test(a_lost_sector_before_what_a_sync_covered_is_damage),
        cmocka_unit_test(a_new_history_does_not_know_what_was_synced_in_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
