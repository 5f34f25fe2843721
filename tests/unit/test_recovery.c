/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store_lib.h"

#define DIR "/d/version-2/"

static void expect_recovery(struct fixture *f, int64_t last_zxid, const char *note)
{
    struct tree *t;
    struct store_recovery r;
    struct err e;
    if (recover(&f->store, &t, &r, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(r.last_zxid, last_zxid);
    assert_int_equal(tree_last_zxid(t), last_zxid);
    if (note)
        assert_non_null(strstr(r.note, note));
    else
        assert_string_equal(r.note, "");
    tree_close(t);
}

static void expect_refusal(struct fixture *f, const char *text)
{
    struct tree *t;
    struct store_recovery r;
    struct err e;
    assert_int_equal(recover(&f->store, &t, &r, &e), -EUCLEAN);
    if (!strstr(e.text, text))
        fail_msg("'%s' is not in '%s'", text, e.text);
}

/* A replica with snapshots of zxid 0, 5 and 10, and log files from 1, 6 and 11 up to 15. */
static void make_history(struct fixture *f)
{
    struct txnlog l;
    struct err e;
    struct tree *t;
    struct store_recovery r;
    assert_int_equal(recover(&f->store, &t, &r, &e), 0);
    txnlog_init(&l, &f->store, TEST_PREALLOC);
    for (int n = 1; n <= 15; n++) {
        write_txns(&l, ZXID(n), ZXID(n), 50);
        apply_txns(t, ZXID(n), ZXID(n), 50);
        if (n % 5 != 0 || n == 15)
            continue;
        assert_int_equal(txnlog_roll(&l, &e), 0);
        assert_int_equal(snapshot_save(&f->store, t, NULL, &e), 0);
    }
    txnlog_close(&l);
    tree_close(t);
}

static void remove_file(struct fixture *f, const char *path)
{
    assert_int_equal(disk_unlink(disk_mem_disk(f->mem), path), 0);
    assert_int_equal(disk_sync_dir(disk_mem_disk(f->mem), "/d/version-2"), 0);
}

static bool is_there(struct fixture *f, const char *path)
{
    struct disk_file *file;
    if (disk_open(disk_mem_disk(f->mem), path, DISK_READ, &file) < 0)
        return false;
    disk_close(file);
    return true;
}

static void an_empty_directory_is_a_new_replica(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 1);
    expect_recovery(&f, 0, NULL);
    disk_mem_crash(f.mem);
    assert_true(is_there(&f, DIR "snapshot.0.zst"));
    expect_recovery(&f, 0, NULL);
    fixture_close(&f);
}

static void the_newest_snapshot_and_the_log_behind_it_are_the_tree(void **state)
{
    (void)state;
    struct fixture f;
    struct tree *t, *expect = tree_open(3);
    struct store_recovery r;
    struct err e;
    struct buf a = {0}, b = {0};
    fixture_open(&f, 1);
    make_history(&f);
    assert_int_equal(recover(&f.store, &t, &r, &e), 0);
    assert_int_equal(r.snapshot_zxid, ZXID(10));
    assert_int_equal(r.n_txns, 5);
    assert_false(r.torn_tail);
    apply_txns(expect, ZXID(1), ZXID(15), 50);
    tree_bytes(t, &a);
    tree_bytes(expect, &b);
    assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
    tree_close(t);
    tree_close(expect);
    buf_close(&a);
    buf_close(&b);
    fixture_close(&f);
}

static void a_bad_snapshot_is_named_and_the_one_before_it_taken(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 1);
    make_history(&f);
    assert_int_equal(disk_mem_flip(f.mem, DIR "snapshot.10000000a.zst", 40, 1), 0);
    expect_recovery(&f, ZXID(15), "snapshot.10000000a.zst");
    assert_int_equal(disk_mem_cut(f.mem, DIR "snapshot.100000005.zst", 20), 0);
    expect_recovery(&f, ZXID(15), "snapshot.10000000a.zst");
    assert_int_equal(disk_mem_cut(f.mem, DIR "snapshot.0.zst", 20), 0);
    expect_refusal(&f, "no snapshot can be read");
    fixture_close(&f);
}

static void going_back_in_history_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 1);
    make_history(&f);
    assert_int_equal(disk_mem_flip(f.mem, DIR "snapshot.10000000a.zst", 40, 1), 0);
    remove_file(&f, DIR "log.10000000b");
    expect_recovery(&f, ZXID(10), "snapshot.10000000a.zst"); /* the log reaches it */
    remove_file(&f, DIR "log.100000006");
    expect_refusal(&f, "before the snapshot");
    fixture_close(&f);
}

static void a_gap_in_the_log_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 1);
    make_history(&f);
    remove_file(&f, DIR "log.100000006");
    expect_recovery(&f, ZXID(15), NULL); /* not needed behind the newest snapshot */
    remove_file(&f, DIR "snapshot.10000000a.zst");
    expect_refusal(&f, "missing");
    fixture_close(&f);
}

static void a_vanished_snapshot_is_not_an_empty_tree(void **state)
{
    (void)state;
    struct fixture f;
    struct err e;
    fixture_open(&f, 1);
    make_history(&f);
    remove_file(&f, DIR "snapshot.0.zst");
    remove_file(&f, DIR "snapshot.100000005.zst");
    remove_file(&f, DIR "snapshot.10000000a.zst");
    expect_refusal(&f, "has no snapshot");
    remove_file(&f, DIR "log.100000001");
    remove_file(&f, DIR "log.100000006");
    remove_file(&f, DIR "log.10000000b");
    assert_int_equal(store_epoch_write(&f.store, "currentEpoch", 1, &e), 0);
    expect_refusal(&f, "currentEpoch");
    fixture_close(&f);
}

static void log_files_in_the_wrong_directory_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct store other;
    struct tree *t;
    struct store_recovery r;
    struct err e;
    fixture_open(&f, 1);
    make_history(&f);
    assert_int_equal(store_open(&other, disk_mem_disk(f.mem), "/d", "/elsewhere", &e), 0);
    assert_int_equal(recover(&other, &t, &r, &e), -EINVAL);
    assert_non_null(strstr(e.text, "dataLogDir"));
    store_close(&other);
    fixture_close(&f);
}

static void temporary_files_go(void **state)
{
    (void)state;
    static const char *const names[] = {DIR "snapshot.10000000f.zst.tmp", DIR "currentEpoch.tmp"};
    struct fixture f;
    struct disk_file *file;
    fixture_open(&f, 1);
    make_history(&f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(disk_open(disk_mem_disk(f.mem), names[i], DISK_WRITE | DISK_CREATE, &file),
                         0);
        disk_close(file);
    }
    expect_recovery(&f, ZXID(15), NULL);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_false(is_there(&f, names[i]));
    fixture_close(&f);
}

static void a_torn_tail_is_cut_and_the_log_goes_on(void **state)
{
    (void)state;
    for (uint64_t len = 0; len < 600; len++) {
        struct fixture f;
        struct tree *t;
        struct store_recovery r;
        struct txnlog l;
        struct err e;
        fixture_open(&f, len);
        make_history(&f);
        assert_int_equal(disk_mem_cut(f.mem, DIR "log.10000000b", len), 0);
        assert_int_equal(recover(&f.store, &t, &r, &e), 0);
        assert_true(r.last_zxid >= ZXID(10) && r.last_zxid < ZXID(15));
        txnlog_init(&l, &f.store, TEST_PREALLOC);
        write_txns(&l, r.last_zxid + 1, ZXID(20), 50);
        txnlog_close(&l);
        disk_mem_crash(f.mem);
        expect_recovery(&f, ZXID(20), NULL);
        tree_close(t);
        fixture_close(&f);
    }
}

static void what_a_killed_process_left_in_the_cache_is_kept_once_it_was_seen(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct fixture f;
        struct txnlog l;
        struct err e;
        fixture_open(&f, seed);
        expect_recovery(&f, 0, NULL);
        txnlog_init(&l, &f.store, TEST_PREALLOC);
        assert_int_equal(append_txns(&l, ZXID(1), ZXID(5), 50, &e), 0);
        disk_mem_kill(f.mem);
        txnlog_close(&l);
        expect_recovery(&f, ZXID(5), NULL);
        disk_mem_crash(f.mem);
        expect_recovery(&f, ZXID(5), NULL);
        fixture_close(&f);
    }
}

/* The sync fails, the process ends, the next one reads what the kernel still has, and takes it for
 * durable: no power loss may take it away from then on. */
static void a_failed_sync_is_not_believed_by_the_next_life(void **state)
{
    (void)state;
    static const size_t sizes[] = {50, 3000, TXNLOG_UNSYNCED_MAX + 100};
    for (uint64_t seed = 0; seed < 90; seed++) {
        struct fixture f;
        struct txnlog l;
        struct err e;
        size_t size = sizes[seed % ARRAY_LEN(sizes)];
        fixture_open(&f, seed);
        expect_recovery(&f, 0, NULL);
        txnlog_init(&l, &f.store, TEST_PREALLOC);
        write_txns(&l, ZXID(1), ZXID(2), 50);
        assert_int_equal(append_txns(&l, ZXID(3), ZXID(3), size, &e), 0);
        disk_mem_fail_after(f.mem, 1, DISK_MEM_EIO);
        assert_int_equal(txnlog_sync(&l, &e), -EIO);
        disk_mem_kill(f.mem);
        txnlog_close(&l);
        expect_recovery(&f, ZXID(3), NULL);
        disk_mem_crash(f.mem);
        expect_recovery(&f, ZXID(3), NULL);
        fixture_close(&f);
    }
}

/* What was verified stays so in this life: all are read again in the next one. */
static void next_life(struct fixture *f)
{
    struct err e;
    store_close(&f->store);
    assert_int_equal(store_open(&f->store, disk_mem_disk(f->mem), "/d", NULL, &e), 0);
}

static void purge_counts_only_good_snapshots(void **state)
{
    (void)state;
    struct fixture f;
    struct err e;
    fixture_open(&f, 1);
    make_history(&f);
    assert_int_equal(store_purge(&f.store, 3, &e), 0);
    assert_int_equal(disk_mem_flip(f.mem, DIR "snapshot.10000000a.zst", 40, 1), 0);
    next_life(&f);
    assert_int_equal(store_purge(&f.store, 2, &e), 0);
    assert_int_equal(store_purge(&f.store, 1, &e), 2);
    assert_false(is_there(&f, DIR "snapshot.0.zst"));
    assert_false(is_there(&f, DIR "log.100000001"));
    expect_recovery(&f, ZXID(15), "snapshot.10000000a.zst");
    assert_int_equal(disk_mem_flip(f.mem, DIR "snapshot.10000000a.zst", 40, 1), 0);
    assert_int_equal(store_purge(&f.store, 1, &e), 2);
    assert_true(is_there(&f, DIR "log.10000000b"));
    disk_mem_crash(f.mem);
    expect_recovery(&f, ZXID(15), NULL);
    fixture_close(&f);
}

/* A snapshot is read once, and the next purges cost nothing; a file that has changed is read. */
static void purge_reads_a_snapshot_once(void **state)
{
    (void)state;
    struct fixture f;
    struct err e;
    int64_t keep;
    fixture_open(&f, 1);
    make_history(&f);
    for (int i = 0; i < 3; i++) {
        uint64_t before = disk_mem_counters(f.mem).operations;
        assert_int_equal(store_purge_look(&f.store, 2, &keep, &e), 0);
        assert_int_equal(keep, ZXID(5));
        uint64_t n = disk_mem_counters(f.mem).operations - before;
        assert_true(i == 0 ? n > 6 : n == 1);
    }
    /* The history was changed since the look: that snapshot is not there any more. */
    remove_file(&f, DIR "snapshot.100000005.zst");
    assert_int_equal(store_purge_before(&f.store, keep, &e), 0);
    assert_true(is_there(&f, DIR "snapshot.0.zst"));
    /* Another file of that name. */
    assert_int_equal(disk_mem_cut(f.mem, DIR "snapshot.10000000a.zst", 100), 0);
    assert_int_equal(store_purge_look(&f.store, 1, &keep, &e), 0);
    assert_int_equal(keep, 0);
    fixture_close(&f);
}

static void truncate_takes_newer_snapshots_with_it(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    struct err e;
    fixture_open(&f, 1);
    make_history(&f);
    txnlog_init(&l, &f.store, TEST_PREALLOC);
    assert_int_equal(txnlog_truncate(&l, ZXID(7), &e), 0);
    expect_recovery(&f, ZXID(7), NULL);
    remove_file(&f, DIR "snapshot.0.zst");
    assert_int_equal(txnlog_truncate(&l, ZXID(3), &e), -ENODATA);
    expect_recovery(&f, ZXID(7), NULL);
    txnlog_close(&l);
    fixture_close(&f);
}

static void epochs_are_replaced_whole(void **state)
{
    (void)state;
    unsigned failures = 0;
    for (uint64_t n = 1; n <= 8; n++) {
        struct fixture f;
        struct err e;
        int64_t epoch;
        fixture_open(&f, n);
        assert_int_equal(store_epoch_read(&f.store, "acceptedEpoch", &epoch, &e), -ENOENT);
        assert_int_equal(store_epoch_write(&f.store, "acceptedEpoch", 41, &e), 0);
        disk_mem_fail_after(f.mem, n, n % 2 ? DISK_MEM_CRASH : DISK_MEM_EIO);
        int rc = store_epoch_write(&f.store, "acceptedEpoch", 42, &e);
        disk_mem_crash(f.mem);
        assert_int_equal(store_epoch_read(&f.store, "acceptedEpoch", &epoch, &e), 0);
        assert_true(epoch == 42 || (epoch == 41 && rc < 0));
        failures += rc < 0;
        fixture_close(&f);
    }
    assert_int_equal(failures, 6);
}

/* One that is there is replaced without any room. */
static void an_epoch_needs_no_room(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fixture f;
        struct err e;
        int64_t epoch;
        fixture_open(&f, seed);
        assert_int_equal(store_epoch_write(&f.store, "acceptedEpoch", 4, &e), 0);
        disk_mem_set_capacity(f.mem, 0);
        assert_int_equal(store_epoch_write(&f.store, "acceptedEpoch", 5, &e), 0);
        disk_mem_crash(f.mem);
        assert_int_equal(store_epoch_read(&f.store, "acceptedEpoch", &epoch, &e), 0);
        assert_int_equal(epoch, 5);
        /* The one in reserve is used up. */
        assert_int_equal(store_epoch_write(&f.store, "currentEpoch", 5, &e), -ENOSPC);
        assert_int_equal(store_epoch_read(&f.store, "currentEpoch", &epoch, &e), -ENOENT);
        disk_mem_set_capacity(f.mem, 1 << 20);
        assert_int_equal(store_epoch_write(&f.store, "currentEpoch", 5, &e), 0);
        fixture_close(&f);
    }
}

static void an_epoch_that_is_no_number_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "-1", "x", "5x", "99999999999999999999", "5\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fixture f;
        struct disk_file *file;
        struct err e;
        int64_t epoch;
        fixture_open(&f, 1);
        assert_int_equal(
            disk_open(disk_mem_disk(f.mem), DIR "currentEpoch", DISK_WRITE | DISK_CREATE, &file),
            0);
        assert_int_equal(disk_write(file, texts[i], strlen(texts[i]), 0), 0);
        disk_close(file);
        int rc = store_epoch_read(&f.store, "currentEpoch", &epoch, &e);
        assert_int_equal(rc, i + 1 == ARRAY_LEN(texts) ? 0 : -EUCLEAN);
        fixture_close(&f);
    }
}

/* ---- A scripted life, ended at any of its operations ---- */

/* The replica's history, as the caller of the store knows it. */
struct life {
    struct fixture f;
    struct txnlog log;
    struct tree *tree;
    int64_t zxids[64]; /* appended, in order; the first is 0 */
    size_t n;
    size_t least; /* how many of them may not be lost */
    int rc;       /* the first error */
};

static void life_append(struct life *l, int64_t first, int count, size_t size)
{
    struct err e;
    if (l->rc < 0)
        return;
    for (int i = 0; i < count; i++)
        l->zxids[l->n++] = first + i;
    l->rc = append_txns(&l->log, first, first + count - 1, size, &e);
}

static void life_sync(struct life *l, size_t size)
{
    struct err e;
    if (l->rc == 0)
        l->rc = txnlog_sync(&l->log, &e);
    if (l->rc < 0)
        return;
    for (size_t i = l->least; i < l->n; i++)
        apply_txns(l->tree, l->zxids[i], l->zxids[i], size);
    l->least = l->n;
}

static void life_snapshot(struct life *l)
{
    struct err e;
    if (l->rc == 0)
        l->rc = txnlog_roll(&l->log, &e);
    if (l->rc == 0)
        l->rc = snapshot_save(&l->f.store, l->tree, NULL, &e);
}

/* Back to what the disk has, as after TRUNC. */
static void life_truncate(struct life *l, size_t n)
{
    struct err e;
    struct store_recovery r;
    if (l->rc < 0)
        return;
    l->least = n;
    l->rc = txnlog_truncate(&l->log, l->zxids[n - 1], &e);
    if (l->rc < 0)
        return;
    l->n = n;
    tree_close(l->tree);
    l->rc = recover(&l->f.store, &l->tree, &r, &e);
    if (l->rc == 0)
        assert_int_equal(r.last_zxid, l->zxids[n - 1]);
}

static void life_live(struct life *l)
{
    struct err e;
    struct store_recovery r;
    l->rc = recover(&l->f.store, &l->tree, &r, &e);
    txnlog_init(&l->log, &l->f.store, TEST_PREALLOC);
    life_append(l, ZXID(1), 3, 100);
    life_sync(l, 100);
    life_append(l, ZXID(4), 3, 100);
    life_append(l, ZXID(7), 4, 100);
    life_sync(l, 100);
    life_snapshot(l);
    life_append(l, ZXID(11), 5, 100);
    life_sync(l, 100);
    life_truncate(l, 14); /* zxid 13 is the last */
    life_append(l, ZXID(14) + (1ll << 32) - 13, 4, 100);
    life_sync(l, 100);
    life_snapshot(l);
    life_append(l, ZXID(18) + (1ll << 32) - 13, 4, 100);
    life_sync(l, 100);
    if (l->rc == 0)
        l->rc = MIN(0, store_purge(&l->f.store, 1, &e));
    life_append(l, ZXID(22) + (1ll << 32) - 13, 4, 100);
}

/* What was recovered is the history up to one of its zxids, and reaches all that was synced. */
static void life_check(struct life *l, uint64_t seed, uint64_t at)
{
    struct tree *t, *expect = tree_open(5);
    struct store_recovery r;
    struct err e;
    struct buf a = {0}, b = {0};
    if (recover(&l->f.store, &t, &r, &e) < 0)
        fail_msg("seed %d, operation %d: %s", (int)seed, (int)at, e.text);
    size_t i = 1;
    for (; i < l->n && l->zxids[i - 1] != r.last_zxid; i++)
        apply_txns(expect, l->zxids[i], l->zxids[i], 100);
    if (l->zxids[i - 1] != r.last_zxid || i < l->least)
        fail_msg("seed %d, operation %d: zxid %llx of %d, %d synced", (int)seed, (int)at,
                 (unsigned long long)r.last_zxid, (int)l->n, (int)l->least);
    tree_bytes(t, &a);
    tree_set_last_zxid(expect, r.last_zxid);
    tree_bytes(expect, &b);
    assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
    tree_close(t);
    tree_close(expect);
    buf_close(&a);
    buf_close(&b);
}

/* One life whose `at`-th operation meets the fault. How many operations it had. */
static uint64_t live_and_die(uint64_t seed, uint64_t at, enum disk_mem_fault fault, bool kill)
{
    struct life l = {.n = 1, .least = 1};
    fixture_open(&l.f, seed);
    disk_mem_fail_after(l.f.mem, at, fault);
    life_live(&l);
    uint64_t operations = disk_mem_counters(l.f.mem).operations;
    txnlog_close(&l.log);
    if (l.tree)
        tree_close(l.tree);
    if (kill)
        disk_mem_kill(l.f.mem);
    else
        disk_mem_crash(l.f.mem);
    life_check(&l, seed, at);
    fixture_close(&l.f);
    return operations;
}

static void live_with(enum disk_mem_fault fault, bool kill, uint64_t seeds)
{
    for (uint64_t seed = 0; seed < seeds; seed++) {
        uint64_t operations = live_and_die(seed, 0, fault, kill);
        assert_true(operations > 60);
        for (uint64_t at = 1; at <= operations; at++)
            live_and_die(seed, at, fault, kill);
    }
}

static void power_may_be_lost_at_any_operation(void **state)
{
    (void)state;
    live_with(DISK_MEM_CRASH, false, 40);
}

static void a_process_may_be_killed_at_any_operation(void **state)
{
    (void)state;
    live_with(DISK_MEM_CRASH, true, 4);
}

static void any_operation_may_fail(void **state)
{
    (void)state;
    live_with(DISK_MEM_EIO, false, 20);
    live_with(DISK_MEM_ENOSPC, false, 20);
}

/* Snapshots and logs. */
static int count_files(struct fixture *f)
{
    struct buf names = {0};
    int n = 0;
    assert_int_equal(disk_list(disk_mem_disk(f->mem), "/d/version-2", &names), 0);
    for (size_t i = 0; i < names.len; i += strlen((char *)names.data + i) + 1)
        n += strncmp((char *)names.data + i, "log.", 4) == 0 ||
             strncmp((char *)names.data + i, "snapshot.", 9) == 0;
    buf_close(&names);
    return n;
}

/* SNAP: the leader's tree replaces a history that went elsewhere. */
static bool install_and_die(uint64_t at)
{
    struct fixture f;
    struct txnlog l;
    struct err e;
    struct tree *t = tree_open(1), *back;
    struct store_recovery r;
    fixture_open(&f, at);
    make_history(&f);
    apply_txns(t, ZXID(1), ZXID(8), 50);
    int64_t zxid = ZXID(8);
    txnlog_init(&l, &f.store, TEST_PREALLOC);
    disk_mem_fail_after(f.mem, at, DISK_MEM_CRASH);
    int rc = txnlog_install(&l, t, &e);
    disk_mem_crash(f.mem);
    assert_int_equal(recover(&f.store, &back, &r, &e), 0);
    assert_true(r.last_zxid == zxid || (rc < 0 && r.last_zxid <= ZXID(15)));
    if (rc == 0)
        assert_int_equal(count_files(&f), 1);
    txnlog_close(&l);
    tree_close(t);
    tree_close(back);
    fixture_close(&f);
    return rc == 0;
}

static void an_installed_snapshot_is_all_that_is_remembered(void **state)
{
    (void)state;
    uint64_t at = 1;
    while (!install_and_die(at))
        at++;
    assert_true(at > 10);
}

/* What an installation that was cut short has left, and then the new snapshot rots. */
static void an_older_snapshot_is_no_way_round_an_installed_one(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    struct err e;
    struct tree *t = tree_open(1), *back;
    struct store_recovery r;
    fixture_open(&f, 1);
    make_history(&f);
    apply_txns(t, ZXID(1), ZXID(20), 50);
    assert_int_equal(snapshot_save(&f.store, t, NULL, &e), 0);
    txnlog_init(&l, &f.store, TEST_PREALLOC);
    write_txns(&l, 0x200000001, 0x200000002, 50);
    txnlog_close(&l);
    assert_int_equal(recover(&f.store, &back, &r, &e), 0);
    tree_close(back);
    assert_int_equal(disk_mem_flip(f.mem, DIR "snapshot.100000014.zst", 40, 1), 0);
    assert_int_equal(recover(&f.store, &back, &r, &e), -EUCLEAN);
    assert_non_null(strstr(e.text, "snapshot.100000014"));
    tree_close(t);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_directory_is_a_new_replica),
        cmocka_unit_test(the_newest_snapshot_and_the_log_behind_it_are_the_tree),
        cmocka_unit_test(a_bad_snapshot_is_named_and_the_one_before_it_taken),
        cmocka_unit_test(going_back_in_history_is_refused),
        cmocka_unit_test(a_gap_in_the_log_is_refused),
        cmocka_unit_test(a_vanished_snapshot_is_not_an_empty_tree),
        cmocka_unit_test(log_files_in_the_wrong_directory_are_refused),
        cmocka_unit_test(temporary_files_go),
        cmocka_unit_test(a_torn_tail_is_cut_and_the_log_goes_on),
        cmocka_unit_test(what_a_killed_process_left_in_the_cache_is_kept_once_it_was_seen),
        cmocka_unit_test(a_failed_sync_is_not_believed_by_the_next_life),
        cmocka_unit_test(purge_counts_only_good_snapshots),
        cmocka_unit_test(purge_reads_a_snapshot_once),
        cmocka_unit_test(truncate_takes_newer_snapshots_with_it),
        cmocka_unit_test(epochs_are_replaced_whole),
        cmocka_unit_test(an_epoch_needs_no_room),
        cmocka_unit_test(an_epoch_that_is_no_number_is_refused),
        cmocka_unit_test(power_may_be_lost_at_any_operation),
        cmocka_unit_test(a_process_may_be_killed_at_any_operation),
        cmocka_unit_test(any_operation_may_fail),
        cmocka_unit_test(an_installed_snapshot_is_all_that_is_remembered),
        cmocka_unit_test(an_older_snapshot_is_no_way_round_an_installed_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
