/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "zab/disk_mem.h"

static struct disk_file *make(struct disk *d, const char *path, const char *text)
{
    struct disk_file *f;
    assert_int_equal(disk_open(d, path, DISK_WRITE | DISK_CREATE, &f), 0);
    assert_int_equal(disk_write(f, text, strlen(text), 0), 0);
    return f;
}

/* What the file has, or "-" if it is not there. */
static const char *text_of(struct disk *d, const char *path)
{
    static char text[64];
    struct disk_file *f;
    if (disk_open(d, path, DISK_READ, &f) < 0)
        return "-";
    int64_t n = disk_read(f, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    disk_close(f);
    return text;
}

/* What both disks must do. */
static void behaves(struct disk *d, const char *dir)
{
    char a[256], b[256];
    struct disk_file *f;
    struct buf names = {0};
    snprintf(a, sizeof(a), "%s/x/y/a", dir);
    snprintf(b, sizeof(b), "%s/x/y/b", dir);
    snprintf(a, sizeof(a), "%s/x/y", dir);
    assert_int_equal(disk_mkdir(d, a), 0);
    assert_int_equal(disk_mkdir(d, a), 0);
    snprintf(a, sizeof(a), "%s/x/y/a", dir);
    assert_int_equal(disk_open(d, a, DISK_READ, &f), -ENOENT);
    f = make(d, a, "hello");
    assert_int_equal(disk_zero(f, 5, 1000), 0);
    assert_int_equal(disk_size(f), 1005);
    assert_int_equal(disk_truncate(f, 4), 0);
    assert_int_equal(disk_sync(f), 0);
    disk_close(f);
    assert_string_equal(text_of(d, a), "hell");
    assert_int_equal(disk_open(d, a, DISK_WRITE | DISK_CREATE, &f), -EEXIST);
    disk_close(make(d, b, "old"));
    snprintf(b, sizeof(b), "%s/x/y", dir);
    assert_int_equal(disk_list(d, b, &names), 0);
    assert_int_equal(names.len, 4);
    assert_memory_equal(names.data, "a\0b", 4);
    snprintf(b, sizeof(b), "%s/x/y/b", dir);
    assert_int_equal(disk_link(d, a, b), -EEXIST);
    assert_int_equal(disk_unlink(d, b), 0);
    assert_int_equal(disk_link(d, a, b), 0);
    assert_string_equal(text_of(d, b), "hell");
    struct disk_stat st;
    assert_int_equal(disk_stat(d, b, &st), 0);
    assert_int_equal(st.size, 4);
    snprintf(b, sizeof(b), "%s/x", dir);
    assert_int_equal(disk_stat(d, b, &st), 0);
    assert_true(disk_now_s(d) - st.mtime_ns / 1000000000 < 1000);
    assert_int_equal(disk_rmdir(d, b), -ENOTEMPTY);
    buf_reset(&names);
    assert_int_equal(disk_list(d, b, &names), 0);
    assert_int_equal(names.len, 2);
    assert_memory_equal(names.data, "y", 2);
    snprintf(b, sizeof(b), "%s/x/z", dir);
    assert_int_equal(disk_stat(d, b, &st), -ENOENT);
    snprintf(b, sizeof(b), "%s/x/y/b", dir);
    assert_int_equal(disk_unlink(d, b), 0);
    assert_int_equal(disk_rename(d, a, b), 0);
    assert_string_equal(text_of(d, b), "hell");
    assert_string_equal(text_of(d, a), "-");
    assert_int_equal(disk_unlink(d, b), 0);
    assert_int_equal(disk_unlink(d, b), -ENOENT);
    snprintf(b, sizeof(b), "%s/x/y", dir);
    assert_int_equal(disk_sync_dir(d, b), 0);
    assert_true(disk_free_bytes(d, b) > 0);
    buf_close(&names);
}

static void the_real_disk_behaves(void **state)
{
    (void)state;
    char dir[] = "/tmp/store-disk-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    behaves(disk_posix(), dir);
    snprintf(path, sizeof(path), "%s/x/y", dir);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/x", dir);
    rmdir(path);
    assert_int_equal(rmdir(dir), 0);
}

static void the_disk_in_memory_behaves(void **state)
{
    (void)state;
    struct disk_mem *m = disk_mem_open(1);
    behaves(disk_mem_disk(m), "/dir");
    disk_mem_close(m);
}

/* One history, power lost behind it: which of its outcomes, as bits. */
static unsigned outcome_of(uint64_t seed)
{
    struct disk_mem *m = disk_mem_open(seed);
    struct disk *d = disk_mem_disk(m);
    struct disk_file *synced = make(d, "/d/synced", "kept");
    assert_int_equal(disk_sync(synced), 0);
    assert_int_equal(disk_sync_dir(d, "/d"), 0);
    assert_int_equal(disk_write(synced, "more", 4, 4), 0);
    struct disk_file *named = make(d, "/d/nameless", "x");
    assert_int_equal(disk_sync(named), 0);
    disk_mem_crash(m);
    assert_int_equal(disk_read(synced, (char[1]){0}, 1, 0), -EIO);
    disk_close(synced);
    disk_close(named);
    assert_memory_equal(text_of(d, "/d/synced"), "kept", 4);
    unsigned outcome = strcmp(text_of(d, "/d/nameless"), "-") == 0;
    outcome |= (strcmp(text_of(d, "/d/synced"), "keptmore") == 0) << 1;
    outcome |= (strcmp(text_of(d, "/d/synced"), "kept") == 0) << 2;
    disk_mem_close(m);
    return outcome;
}

static void power_loss_keeps_what_was_synced_and_may_lose_the_rest(void **state)
{
    (void)state;
    unsigned seen = 0, cleared = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        unsigned outcome = outcome_of(seed);
        assert_int_equal(outcome, outcome_of(seed));
        seen |= outcome;
        cleared |= ~outcome;
    }
    assert_int_equal(seen & 7, 7);
    assert_int_equal(cleared & 7, 7);
}

static void a_rename_is_lost_or_not_but_a_synced_one_stays(void **state)
{
    (void)state;
    unsigned old = 0, new = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct disk_mem *m = disk_mem_open(seed);
        struct disk *d = disk_mem_disk(m);
        const char *names[] = {"/d/e", "/d/e.tmp"};
        for (size_t i = 0; i < 2; i++) {
            struct disk_file *f = make(d, names[i], i ? "new" : "old");
            disk_sync(f);
            disk_close(f);
        }
        disk_sync_dir(d, "/d");
        disk_rename(d, "/d/e.tmp", "/d/e");
        if (seed % 2)
            disk_sync_dir(d, "/d");
        disk_mem_crash(m);
        old += strcmp(text_of(d, "/d/e"), "old") == 0;
        new += strcmp(text_of(d, "/d/e"), "new") == 0;
        if (seed % 2)
            assert_string_equal(text_of(d, "/d/e"), "new");
        disk_mem_close(m);
    }
    assert_int_equal(old + new, 50);
    assert_true(old > 0);
}

static void a_kill_keeps_all_that_was_written(void **state)
{
    (void)state;
    struct disk_mem *m = disk_mem_open(1);
    struct disk *d = disk_mem_disk(m);
    struct disk_file *f = make(d, "/d/a", "text");
    disk_mem_kill(m);
    assert_int_equal(disk_sync(f), -EIO);
    disk_close(f);
    assert_string_equal(text_of(d, "/d/a"), "text");
    disk_mem_close(m);
}

static void faults_come_at_the_operation_they_were_set_for(void **state)
{
    (void)state;
    struct disk_mem *m = disk_mem_open(1);
    struct disk_file *f = make(disk_mem_disk(m), "/d/a", "text");
    disk_mem_fail_after(m, 2, DISK_MEM_EIO);
    assert_int_equal(disk_sync(f), 0);
    assert_int_equal(disk_sync(f), -EIO);
    assert_int_equal(disk_sync(f), 0);
    disk_mem_fail_after(m, 1, DISK_MEM_ENOSPC);
    assert_int_equal(disk_write(f, "text", 4, 4), -ENOSPC);
    disk_mem_fail_after(m, 1, DISK_MEM_CRASH);
    assert_int_equal(disk_sync(f), -EIO);
    assert_int_equal(disk_sync(f), -EIO);
    disk_close(f);
    assert_int_equal(disk_mem_counters(m).syncs, 2);
    disk_mem_close(m);
}

/* A sync that failed leaves pages that are no more dirty; only writing makes them so. */
static void a_failed_sync_is_not_made_good_by_the_next_one(void **state)
{
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct disk_mem *m = disk_mem_open(seed);
        struct disk *d = disk_mem_disk(m);
        struct disk_file *f = make(d, "/d/a", "old");
        assert_int_equal(disk_sync(f), 0);
        assert_int_equal(disk_sync_dir(d, "/d"), 0);
        assert_int_equal(disk_write(f, "new", 3, 0), 0);
        disk_mem_fail_after(m, 1, DISK_MEM_EIO);
        assert_int_equal(disk_sync(f), -EIO);
        assert_string_equal(text_of(d, "/d/a"), "new");
        if (seed % 2)
            assert_int_equal(disk_write(f, "new", 3, 0), 0);
        assert_int_equal(disk_sync(f), 0);
        disk_close(f);
        disk_mem_crash(m);
        lost += strcmp(text_of(d, "/d/a"), "old") == 0;
        if (seed % 2)
            assert_string_equal(text_of(d, "/d/a"), "new");
        disk_mem_close(m);
    }
    assert_in_range(lost, 5, 25);
}

static void a_full_disk_says_so(void **state)
{
    (void)state;
    struct disk_mem *m = disk_mem_open(1);
    struct disk_file *f = make(disk_mem_disk(m), "/d/a", "text");
    disk_mem_set_capacity(m, 6);
    assert_int_equal(disk_free_bytes(disk_mem_disk(m), "/d"), 2);
    assert_int_equal(disk_write(f, "text", 4, 4), -ENOSPC);
    assert_int_equal(disk_write(f, "TEXT", 4, 0), 0);
    disk_close(f);
    disk_mem_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_disk_behaves),
        cmocka_unit_test(the_disk_in_memory_behaves),
        cmocka_unit_test(power_loss_keeps_what_was_synced_and_may_lose_the_rest),
        cmocka_unit_test(a_rename_is_lost_or_not_but_a_synced_one_stays),
        cmocka_unit_test(a_kill_keeps_all_that_was_written),
        cmocka_unit_test(faults_come_at_the_operation_they_were_set_for),
        cmocka_unit_test(a_failed_sync_is_not_made_good_by_the_next_one),
        cmocka_unit_test(a_full_disk_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
