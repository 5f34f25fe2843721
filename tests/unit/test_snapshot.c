/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#include "store_lib.h"

#define SNAPSHOT "snapshot.100000014.zst"
#define DIR "/d/version-2/"

/* 20 nodes, and their stream. */
static struct tree *make_tree(struct buf *bytes)
{
    struct tree *t = tree_open(1);
    apply_txns(t, ZXID(1), ZXID(20), 200);
    tree_bytes(t, bytes);
    return t;
}

static void put_file(struct fixture *f, const char *path, const struct buf *bytes)
{
    struct disk *d = disk_mem_disk(f->mem);
    struct disk_file *file;
    disk_unlink(d, path);
    assert_int_equal(disk_open(d, path, DISK_WRITE | DISK_CREATE, &file), 0);
    assert_int_equal(disk_write(file, bytes->data, bytes->len, 0), 0);
    assert_int_equal(disk_sync(file), 0);
    disk_close(file);
}

static void seal(struct buf *b)
{
    jute_write_long(b, (int64_t)adler32(1, b->data, (uInt)b->len));
    jute_write_buffer(b, slice_str("/"));
}

/* What ZooKeeper would write: plain, with a digest or not, with the last zxid or not. */
static void plain_snapshot(struct buf *b, const struct buf *tree, int digest, bool zxid)
{
    buf_reset(b);
    buf_append(b, "ZKSN\0\0\0\2\xff\xff\xff\xff\xff\xff\xff\xff", 16);
    buf_append(b, tree->data, tree->len);
    seal(b);
    if (digest > 0) {
        jute_write_long(b, ZXID(20));
        jute_write_int(b, digest);
        if (digest < 2)
            jute_write_buffer(b, slice_str("5f3a"));
        else
            jute_write_long(b, 0x5f3a);
        seal(b);
    }
    if (zxid) {
        jute_write_long(b, ZXID(20));
        seal(b);
    }
}

static void check_loads(struct fixture *f, const char *name, const struct buf *expect)
{
    struct tree *t = tree_open(2);
    struct buf bytes = {0};
    struct err e;
    if (snapshot_load(&f->store, name, t, &e) < 0)
        fail_msg("%s", e.text);
    tree_bytes(t, &bytes);
    assert_true(slice_eq(buf_slice(&bytes), buf_slice(expect)));
    assert_int_equal(tree_last_zxid(t), ZXID(20));
    buf_close(&bytes);
    tree_close(t);
}

/* Refused by name; or, if it may be, loaded as it was. */
static void check_refused(struct fixture *f, const char *name, const struct buf *or_equal)
{
    struct tree *t = tree_open(2);
    struct buf bytes = {0};
    struct err e;
    int rc = snapshot_load(&f->store, name, t, &e);
    if (rc == 0 && or_equal) {
        tree_bytes(t, &bytes);
        assert_true(slice_eq(buf_slice(&bytes), buf_slice(or_equal)));
    } else {
        assert_int_equal(rc, -EUCLEAN);
        assert_non_null(strstr(e.text, name));
        assert_non_null(strstr(e.text, "near byte "));
        assert_non_null(strstr(e.text, "restore version-2 from a backup"));
    }
    buf_close(&bytes);
    tree_close(t);
}

static void a_tree_comes_back_as_it_was(void **state)
{
    (void)state;
    struct fixture f;
    struct buf expect = {0};
    struct err e;
    uint64_t bytes = 0;
    fixture_open(&f, 1);
    struct tree *t = make_tree(&expect);
    assert_int_equal(snapshot_save(&f.store, t, &bytes, &e), 0);
    assert_true(bytes > 0 && bytes < expect.len);
    disk_mem_crash(f.mem);
    check_loads(&f, SNAPSHOT, &expect);
    tree_close(t);
    buf_close(&expect);
    fixture_close(&f);
}

static void one_writer_serves_many_snapshots(void **state)
{
    (void)state;
    struct fixture f;
    struct buf expect = {0};
    struct err e;
    fixture_open(&f, 1);
    struct tree *t = tree_open(1);
    struct snapshot_writer *w = snapshot_writer_open();
    assert_int_equal(snapshot_save_with(w, &f.store, t, NULL, &e), 0);
    apply_txns(t, ZXID(1), ZXID(20), 5000); /* more than one piece */
    tree_bytes(t, &expect);
    assert_int_equal(snapshot_save_with(w, &f.store, t, NULL, &e), 0);
    check_loads(&f, SNAPSHOT, &expect);
    snapshot_writer_close(w);
    tree_close(t);
    buf_close(&expect);
    fixture_close(&f);
}

static void zookeepers_plain_and_gzip_files_load(void **state)
{
    (void)state;
    struct fixture f;
    struct buf expect = {0}, plain = {0}, packed = {0};
    fixture_open(&f, 1);
    struct tree *t = make_tree(&expect);
    for (int i = 0; i < 6; i++) {
        z_stream z = {0};
        plain_snapshot(&plain, &expect, i / 2, i % 2);
        put_file(&f, DIR "snapshot.100000014", &plain);
        check_loads(&f, "snapshot.100000014", &expect);
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, 0), Z_OK);
        buf_reset(&packed);
        z.next_in = plain.data;
        z.avail_in = (uInt)plain.len;
        z.next_out = buf_extend(&packed, plain.len);
        z.avail_out = (uInt)plain.len;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        packed.len = z.total_out;
        deflateEnd(&z);
        put_file(&f, DIR "snapshot.100000014.gz", &packed);
        check_loads(&f, "snapshot.100000014.gz", &expect);
    }
    tree_close(t);
    buf_close(&expect);
    buf_close(&plain);
    buf_close(&packed);
    fixture_close(&f);
}

static int64_t size_of(struct fixture *f, const char *path)
{
    struct disk_file *file;
    assert_int_equal(disk_open(disk_mem_disk(f->mem), path, DISK_READ, &file), 0);
    int64_t size = disk_size(file);
    disk_close(file);
    return size;
}

static void a_flipped_byte_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct buf expect = {0}, plain = {0};
    struct err e;
    fixture_open(&f, 1);
    struct tree *t = make_tree(&expect);
    assert_int_equal(snapshot_save(&f.store, t, NULL, &e), 0);
    plain_snapshot(&plain, &expect, 2, true);
    put_file(&f, DIR "snapshot.100000014", &plain);
    static const char *const names[] = {SNAPSHOT, "snapshot.100000014"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[64];
        snprintf(path, sizeof(path), DIR "%s", names[i]);
        int64_t size = size_of(&f, path);
        for (int64_t at = 0; at < size; at++) {
            assert_int_equal(disk_mem_flip(f.mem, path, (uint64_t)at, 1u << (at % 8)), 0);
            check_refused(&f, names[i], i == 0 ? &expect : NULL);
            assert_int_equal(disk_mem_flip(f.mem, path, (uint64_t)at, 1u << (at % 8)), 0);
        }
        check_loads(&f, names[i], &expect);
    }
    tree_close(t);
    buf_close(&expect);
    buf_close(&plain);
    fixture_close(&f);
}

static void a_file_that_is_cut_off_or_too_long_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct buf expect = {0}, plain = {0};
    struct err e;
    fixture_open(&f, 1);
    struct tree *t = make_tree(&expect);
    assert_int_equal(snapshot_save(&f.store, t, NULL, &e), 0);
    for (int64_t len = size_of(&f, DIR SNAPSHOT) - 1; len >= 0; len--) {
        assert_int_equal(disk_mem_cut(f.mem, DIR SNAPSHOT, (uint64_t)len), 0);
        check_refused(&f, SNAPSHOT, NULL);
    }
    plain_snapshot(&plain, &expect, 0, false);
    buf_append(&plain, "x", 1);
    put_file(&f, DIR "snapshot.100000014", &plain);
    check_refused(&f, "snapshot.100000014", NULL);
    for (size_t len = plain.len - 1; len-- > 0;) {
        assert_int_equal(disk_mem_cut(f.mem, DIR "snapshot.100000014", len), 0);
        check_refused(&f, "snapshot.100000014", NULL);
    }
    tree_close(t);
    buf_close(&expect);
    buf_close(&plain);
    fixture_close(&f);
}

/* Whatever fails, and when: the old snapshot stays, the new one is whole or not there. */
static void check_save_fails_well(uint64_t n, enum disk_mem_fault fault, bool *done)
{
    struct fixture f;
    struct err e;
    struct tree *t = tree_open(1), *back;
    struct store_recovery r;
    fixture_open(&f, n);
    assert_int_equal(snapshot_save(&f.store, t, NULL, &e), 0);
    apply_txns(t, ZXID(1), ZXID(20), 200);
    disk_mem_fail_after(f.mem, n, fault);
    int rc = snapshot_save(&f.store, t, NULL, &e);
    *done = rc == 0;
    if (rc < 0)
        assert_non_null(strstr(e.text, "snapshot.100000014.zst"));
    disk_mem_crash(f.mem);
    assert_int_equal(recover(&f.store, &back, &r, &e), 0);
    assert_true(r.last_zxid == (rc == 0 ? ZXID(20) : 0) || r.last_zxid == ZXID(20));
    assert_string_equal(r.note, "");
    tree_close(back);
    tree_close(t);
    fixture_close(&f);
}

static void a_failed_save_leaves_the_old_snapshot(void **state)
{
    (void)state;
    static const enum disk_mem_fault faults[] = {DISK_MEM_EIO, DISK_MEM_ENOSPC, DISK_MEM_CRASH};
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        bool done = false;
        uint64_t n = 1;
        for (; !done; n++)
            check_save_fails_well(n, faults[i], &done);
        assert_true(n > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_comes_back_as_it_was),
        cmocka_unit_test(one_writer_serves_many_snapshots),
        cmocka_unit_test(zookeepers_plain_and_gzip_files_load),
        cmocka_unit_test(a_flipped_byte_is_refused),
        cmocka_unit_test(a_file_that_is_cut_off_or_too_long_is_refused),
        cmocka_unit_test(a_failed_save_leaves_the_old_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
