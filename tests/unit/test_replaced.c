/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store_lib.h"

#define DIR "/d/version-2"
#define DIR_AT(t) DIR "/replaced-" t

enum {
    N_TXNS = 15,
    SIZE = 50,
};

/* Snapshots of zxid 0, 5 and 10, log files from 1, 6 and 11; the last has entries up to 15. */
static void make_history(struct fixture *f)
{
    struct txnlog l;
    struct err e;
    struct tree *t;
    struct store_recovery r;
    disk_mem_set_time(f->mem, 1000);
    assert_int_equal(recover(&f->store, &t, &r, &e), 0);
    txnlog_init(&l, &f->store, TEST_PREALLOC);
    for (int n = 1; n <= N_TXNS; n++) {
        write_txns(&l, ZXID(n), ZXID(n), SIZE);
        apply_txns(t, ZXID(n), ZXID(n), SIZE);
        if (n % 5 != 0 || n == N_TXNS)
            continue;
        assert_int_equal(txnlog_roll(&l, &e), 0);
        assert_int_equal(snapshot_save(&f->store, t, NULL, &e), 0);
    }
    txnlog_close(&l);
    tree_close(t);
}

static bool is_there(struct fixture *f, const char *path)
{
    struct disk_stat st;
    return disk_stat(disk_mem_disk(f->mem), path, &st) == 0;
}

/* The names in a directory, with a space behind each. */
static const char *names_in(struct fixture *f, const char *dir)
{
    static char text[512];
    struct buf names = {0};
    assert_int_equal(disk_list(disk_mem_disk(f->mem), dir, &names), 0);
    assert_true(names.len < sizeof(text));
    for (size_t i = 0; i < names.len; i++)
        text[i] = names.data[i] ? (char)names.data[i] : ' ';
    text[names.len] = '\0';
    buf_close(&names);
    return text;
}

/* ---- What stands aside ---- */

static void a_truncation_puts_aside_just_what_it_cuts(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    struct err e;
    struct store aside;
    int64_t last;
    fixture_open(&f, 1);
    make_history(&f);
    txnlog_init(&l, &f.store, TEST_PREALLOC);
    assert_int_equal(txnlog_truncate(&l, ZXID(13), &e), 0);
    assert_non_null(
        strstr(l.note, "history to 0x10000000f of epoch 1 is replaced by the leader's"));
    assert_non_null(strstr(l.note, "the old files are in " DIR_AT("1000") ";"));
    assert_string_equal(names_in(&f, DIR_AT("1000")), "log.10000000e ");
    /* It is a log as any other. */
    aside = (struct store){.disk = f.store.disk, .data_dir = DIR, .log_dir = DIR_AT("1000")};
    assert_int_equal(read_all(&aside, ZXID(13), &last, &e), 0);
    assert_int_equal(last, ZXID(15));
    assert_int_equal(read_all(&f.store, 0, &last, &e), 0);
    assert_int_equal(last, ZXID(13));
    assert_int_equal(txnlog_truncate(&l, ZXID(13), &e), 0); /* nothing more */
    assert_string_equal(l.note, "");
    assert_int_equal(txnlog_truncate(&l, ZXID(7), &e), 0);
    assert_string_equal(names_in(&f, DIR_AT("1000-1")),
                        "log.100000008 log.10000000b snapshot.10000000a.zst ");
    txnlog_close(&l);
    fixture_close(&f);
}

static void an_installed_tree_puts_all_aside(void **state)
{
    (void)state;
    for (int n = 8; n <= 20; n += 2) { /* 10: a snapshot of that zxid is there */
        struct fixture f;
        struct txnlog l;
        struct err e;
        struct tree *t = tree_open(1);
        fixture_open(&f, 1);
        make_history(&f);
        apply_txns(t, ZXID(1), ZXID(n), SIZE);
        txnlog_init(&l, &f.store, TEST_PREALLOC);
        assert_int_equal(txnlog_install(&l, t, &e), 0);
        assert_non_null(strstr(l.note, "history to 0x10000000f of epoch 1"));
        assert_string_equal(names_in(&f, DIR_AT("1000")),
                            "log.100000001 log.100000006 log.10000000b snapshot.0.zst "
                            "snapshot.100000005.zst snapshot.10000000a.zst ");
        char expect[64];
        snprintf(expect, sizeof(expect), "replaced-1000 snapshot.%llx.zst ",
                 (unsigned long long)ZXID(n));
        assert_string_equal(names_in(&f, DIR), expect);
        txnlog_close(&l);
        tree_close(t);
        fixture_close(&f);
    }
}

static void two_directories_have_one_each(void **state)
{
    (void)state;
    struct fixture f;
    struct txnlog l;
    struct err e;
    struct tree *t = tree_open(1);
    struct store_recovery r;
    f.mem = disk_mem_open(1);
    assert_int_equal(store_open(&f.store, disk_mem_disk(f.mem), "/d", "/l", &e), 0);
    make_history(&f);
    apply_txns(t, ZXID(1), ZXID(20), SIZE);
    txnlog_init(&l, &f.store, TEST_PREALLOC);
    assert_int_equal(txnlog_install(&l, t, &e), 0);
    assert_non_null(strstr(l.note, DIR_AT("1000") " and /l/version-2/replaced-1000;"));
    assert_string_equal(names_in(&f, "/l/version-2/replaced-1000"),
                        "log.100000001 log.100000006 log.10000000b ");
    assert_string_equal(names_in(&f, DIR_AT("1000")),
                        "snapshot.0.zst snapshot.100000005.zst snapshot.10000000a.zst ");
    disk_mem_set_time(f.mem, 2000);
    write_txns(&l, ZXID(21), ZXID(23), SIZE);
    assert_int_equal(txnlog_truncate(&l, ZXID(21), &e), 0);
    assert_non_null(strstr(l.note, "0x100000017 of epoch 1 "));
    assert_non_null(strstr(l.note, " are in /l/version-2/replaced-2000;")); /* no snapshot went */
    disk_mem_crash(f.mem);
    tree_close(t);
    assert_int_equal(recover(&f.store, &t, &r, &e), 0);
    assert_int_equal(r.last_zxid, ZXID(21));
    txnlog_close(&l);
    tree_close(t);
    fixture_close(&f);
}

/* ---- A change that ends at any of its operations ---- */

enum change {
    TRUNC_IN_FILE,
    TRUNC_FILES,
    SNAP_BELOW,
    SNAP_SAME, /* as a snapshot that is there */
    SNAP_ABOVE,
    N_CHANGES,
};

static const int ends[N_CHANGES] = {13, 7, 8, 10, 20};

static bool is_snap(enum change change)
{
    return change >= SNAP_BELOW;
}

/* The leader's tree: other data in the same nodes. */
static struct tree *leaders_tree(enum change change)
{
    struct tree *t = tree_open(1);
    apply_txns(t, ZXID(1), ZXID(ends[change]), SIZE + 1);
    return t;
}

static int make_change(struct fixture *f, enum change change)
{
    struct txnlog l;
    struct err e = {0};
    txnlog_init(&l, &f->store, TEST_PREALLOC);
    int rc;
    if (is_snap(change)) {
        struct tree *t = leaders_tree(change);
        rc = txnlog_install(&l, t, &e);
        tree_close(t);
    } else {
        rc = txnlog_truncate(&l, ZXID(ends[change]), &e);
    }
    txnlog_close(&l);
    return rc;
}

static bool same(const struct tree *a, const struct tree *b)
{
    struct buf x = {0}, y = {0};
    tree_bytes(a, &x);
    tree_bytes(b, &y);
    bool same = slice_eq(buf_slice(&x), buf_slice(&y));
    buf_close(&x);
    buf_close(&y);
    return same;
}

/* Which of the old transactions are in the log files of that directory, as bits. */
static unsigned txns_in(struct fixture *f, const char *dir)
{
    struct store s = {.disk = f->store.disk, .data_dir = DIR, .log_dir = (char *)dir};
    struct txnlog_reader *r;
    struct slice txn;
    struct err e;
    unsigned found = 0;
    assert_int_equal(txnlog_read(&s, -1, &r, &e), 0);
    while (txnlog_reader_next(r, &txn, &e) == 1)
        found |= 1u << (txn_zxid(txn.data) & 31);
    txnlog_reader_close(r);
    return found;
}

static void check_history(struct fixture *f, enum change change, bool done, uint64_t at)
{
    struct tree *t, *before = tree_open(1), *after;
    struct store_recovery r;
    struct err e;
    apply_txns(before, ZXID(1), ZXID(N_TXNS), SIZE);
    after = leaders_tree(change);
    if (!is_snap(change)) {
        tree_close(after);
        after = tree_open(1);
        apply_txns(after, ZXID(1), ZXID(ends[change]), SIZE);
    }
    if (recover(&f->store, &t, &r, &e) < 0)
        fail_msg("change %d, operation %d: %s", (int)change, (int)at, e.text);
    bool is_old = same(t, before), is_new = same(t, after);
    if (!is_new && (done || !is_old))
        fail_msg("change %d, operation %d: ends at 0x%llx", (int)change, (int)at,
                 (unsigned long long)r.last_zxid);
    /* Nothing is lost, whichever it is. */
    unsigned all = (2u << N_TXNS) - 2, kept = txns_in(f, DIR) | txns_in(f, DIR_AT("1000"));
    if ((kept & all) != all)
        fail_msg("change %d, operation %d: transactions %x", (int)change, (int)at, kept);
    assert_false(is_there(f, DIR "/replacement"));
    tree_close(t);
    tree_close(before);
    tree_close(after);
}

/* True if the change was made before its `at`-th operation. */
static bool change_and_die(enum change change, uint64_t at, enum disk_mem_fault fault, bool kill,
                           uint64_t recovery_at)
{
    struct fixture f;
    struct tree *t;
    struct store_recovery r;
    struct err e;
    fixture_open(&f, at);
    make_history(&f);
    disk_mem_fail_after(f.mem, at, fault);
    bool done = make_change(&f, change) == 0;
    (kill ? disk_mem_kill : disk_mem_crash)(f.mem);
    if (recovery_at > 0) {
        disk_mem_fail_after(f.mem, recovery_at, fault);
        if (recover(&f.store, &t, &r, &e) == 0)
            tree_close(t);
        disk_mem_crash(f.mem);
    }
    check_history(&f, change, done, at);
    fixture_close(&f);
    return done;
}

static void a_crash_leaves_one_history_or_the_other(void **state)
{
    (void)state;
    static const enum disk_mem_fault faults[] = {DISK_MEM_CRASH, DISK_MEM_EIO, DISK_MEM_ENOSPC};
    for (int change = 0; change < N_CHANGES; change++) {
        for (size_t i = 0; i < ARRAY_LEN(faults) * 2; i++) {
            unsigned cut_short = 0;
            for (uint64_t at = 1; at < 100; at++)
                cut_short += !change_and_die((enum change)change, at, faults[i / 2], i % 2, 0);
            assert_in_range(cut_short, 15, 90);
        }
    }
}

static void the_start_that_goes_on_may_end_too(void **state)
{
    (void)state;
    for (int change = 0; change < N_CHANGES; change++) {
        for (uint64_t at = 1; at < 60; at += 3) {
            for (uint64_t recovery_at = 1 + at % 4; recovery_at < 60; recovery_at += 4)
                change_and_die((enum change)change, at, DISK_MEM_CRASH, at % 2, recovery_at);
        }
    }
}

/* Whatever is free: the change is made, or refused and nothing is changed. */
static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    for (int change = 0; change < N_CHANGES; change++) {
        unsigned made = 0, refused = 0;
        for (uint64_t room = 0; room < 2000; room += 10) {
            struct fixture f;
            fixture_open(&f, room);
            make_history(&f);
            uint64_t huge = 1 << 30;
            disk_mem_set_capacity(f.mem, huge);
            uint64_t used = huge - (uint64_t)disk_free_bytes(f.store.disk, DIR);
            disk_mem_set_capacity(f.mem, used + room);
            int rc = make_change(&f, (enum change)change);
            assert_true(rc == 0 || rc == -ENOSPC);
            made += rc == 0;
            refused += rc < 0;
            if (rc < 0) { /* and it may be tried again */
                assert_false(is_there(&f, DIR "/replacement"));
                disk_mem_set_capacity(f.mem, huge);
                assert_int_equal(make_change(&f, (enum change)change), 0);
            }
            disk_mem_set_capacity(f.mem, huge);
            check_history(&f, (enum change)change, true, room);
            fixture_close(&f);
        }
        assert_true(made > 0 && refused > 0);
    }
}

static void a_replacement_that_is_no_text_of_ours_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "install",
                                        "install 5 elsewhere\n",
                                        "truncate 5 replaced-1/../x\n",
                                        "drop 5 replaced-1\n",
                                        "install 5 replaced-1\n",
                                        "install 5 replaced-1 00000001\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fixture f;
        struct disk_file *file;
        struct tree *t;
        struct store_recovery r;
        struct err e;
        fixture_open(&f, 1);
        make_history(&f);
        assert_int_equal(
            disk_open(f.store.disk, DIR "/replacement", DISK_WRITE | DISK_CREATE, &file), 0);
        assert_int_equal(disk_write(file, texts[i], strlen(texts[i]), 0), 0);
        disk_close(file);
        assert_int_equal(recover(&f.store, &t, &r, &e), -EUCLEAN);
        assert_non_null(strstr(e.text, DIR "/replacement"));
        fixture_close(&f);
    }
}

/* ---- Purge ---- */

static void what_was_replaced_goes_after_a_day(void **state)
{
    (void)state;
    struct fixture f;
    struct err e;
    fixture_open(&f, 1);
    make_history(&f);
    assert_int_equal(make_change(&f, TRUNC_IN_FILE), 0);
    disk_mem_set_time(f.mem, 40000);
    assert_int_equal(make_change(&f, TRUNC_FILES), 0);
    disk_mem_set_time(f.mem, 1000 + 86400);
    assert_int_equal(store_purge_replaced(&f.store, 0, &e), 0);
    disk_mem_set_time(f.mem, 1001 + 86400);
    assert_int_equal(store_purge_replaced(&f.store, 0, &e), 1);
    assert_false(is_there(&f, DIR_AT("1000")));
    assert_true(is_there(&f, DIR_AT("40000")));
    /* Files that came there since are not thrown away with it. */
    struct disk_file *file;
    assert_int_equal(
        disk_open(f.store.disk, DIR_AT("40000") "/mine", DISK_WRITE | DISK_CREATE, &file), 0);
    disk_close(file);
    disk_mem_set_time(f.mem, 40001 + 86400);
    assert_int_equal(store_purge_replaced(&f.store, 0, &e), 0);
    fixture_close(&f);
}

static void a_full_disk_takes_the_oldest_but_none_of_the_last_hour(void **state)
{
    (void)state;
    struct fixture f;
    struct err e;
    fixture_open(&f, 1);
    make_history(&f);
    assert_int_equal(make_change(&f, TRUNC_IN_FILE), 0);
    disk_mem_set_time(f.mem, 1000 + 3000);
    assert_int_equal(make_change(&f, TRUNC_FILES), 0);
    disk_mem_set_capacity(f.mem, 100000);
    assert_int_equal(store_purge_replaced(&f.store, 1 << 20, &e), 0);
    disk_mem_set_time(f.mem, 1001 + 3600);
    assert_int_equal(store_purge_replaced(&f.store, 1 << 10, &e), 0); /* enough is free */
    assert_int_equal(store_purge_replaced(&f.store, 1 << 20, &e), 1);
    assert_true(is_there(&f, DIR_AT("4000")));
    assert_int_equal(store_purge_replaced(&f.store, 1 << 20, &e), 0);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_truncation_puts_aside_just_what_it_cuts),
        cmocka_unit_test(an_installed_tree_puts_all_aside),
        cmocka_unit_test(two_directories_have_one_each),
        cmocka_unit_test(a_crash_leaves_one_history_or_the_other),
        cmocka_unit_test(the_start_that_goes_on_may_end_too),
        cmocka_unit_test(a_full_disk_loses_nothing),
        cmocka_unit_test(a_replacement_that_is_no_text_of_ours_is_refused),
        cmocka_unit_test(what_was_replaced_goes_after_a_day),
        cmocka_unit_test(a_full_disk_takes_the_oldest_but_none_of_the_last_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
