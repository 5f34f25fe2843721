/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "zab/records.h"

#define BYTES(literal) slice_of(literal, sizeof(literal) - 1)

static void numbers_are_big_endian(void **state)
{
    (void)state;
    struct buf b = {0};
    jute_write_int(&b, -2);
    jute_write_long(&b, 0x0102030405060708);
    jute_write_bool(&b, true);
    assert_true(
        slice_eq(buf_slice(&b), BYTES("\xff\xff\xff\xfe\x01\x02\x03\x04\x05\x06\x07\x08\x01")));
    struct jute_reader r = jute_reader_of(buf_slice(&b));
    assert_int_equal(jute_read_int(&r), -2);
    assert_int_equal(jute_read_long(&r), 0x0102030405060708);
    assert_true(jute_read_bool(&r));
    assert_true(jute_done(&r));
    buf_close(&b);
}

static void null_and_empty_buffers_differ(void **state)
{
    (void)state;
    struct jute_reader r = jute_reader_of(BYTES("\xff\xff\xff\xff\0\0\0\0"));
    assert_true(slice_is_null(jute_read_buffer(&r)));
    struct slice empty = jute_read_buffer(&r);
    assert_int_equal(empty.len, 0);
    assert_true(jute_done(&r));
}

static void lengths_are_bounded_by_what_is_left(void **state)
{
    (void)state;
    struct slice bad[] = {BYTES("\x7f\xff\xff\xff"), BYTES("\0\0\0\x02x"),
                          BYTES("\xff\xff\xff\xfe"), BYTES("\0\0")};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct jute_reader r = jute_reader_of(bad[i]);
        assert_true(slice_is_null(jute_read_buffer(&r)));
        assert_false(jute_ok(&r));
        assert_int_equal(jute_read_long(&r), 0); /* the error sticks */
    }
}

static void vectors_check_each_element(void **state)
{
    (void)state;
    /* two ACLs are announced, one is there */
    struct jute_reader r = jute_reader_of(BYTES("\0\0\0\x01\0\0\0\x02\0\0\0\x1f"
                                                "\0\0\0\x05world\0\0\0\x06"
                                                "anyone"));
    struct zk_strings strings;
    zk_strings_read(&r, &strings);
    struct slice huge = BYTES("\x7f\xff\xff\xff\0\0\0\0");
    r = jute_reader_of(huge);
    zk_strings_read(&r, &strings);
    assert_false(jute_ok(&r));
    assert_int_equal(strings.strings.count, -1);
}

/* A create of /a by zkCli.sh 3.8, without the frame's length. */
static void reads_a_create_request(void **state)
{
    (void)state;
    struct slice packet = BYTES("\0\0\0\x03\0\0\0\x0f\0\0\0\x02/a\0\0\0\x01x\0\0\0\x01\0\0\0\x1f"
                                "\0\0\0\x05world\0\0\0\x06"
                                "anyone\0\0\0\0");
    struct jute_reader r = jute_reader_of(packet);
    struct zk_request_header header;
    struct zk_create_request create;
    zk_request_header_read(&r, &header);
    zk_create_request_read(&r, &create);
    assert_true(jute_done(&r));
    assert_int_equal(header.type, ZK_OP_create2);
    assert_true(slice_eq_str(create.path, "/a"));
    struct jute_reader it = jute_vector_iter(&create.acl);
    struct zk_acl acl;
    zk_acl_read(&it, &acl);
    assert_int_equal(acl.perms, ZK_PERM_ALL);
    assert_true(slice_eq_str(acl.id.scheme, "world"));

    struct buf again = {0};
    zk_request_header_write(&again, &header);
    zk_create_request_write(&again, &create);
    assert_true(slice_eq(buf_slice(&again), packet));
    buf_close(&again);
}

static void paths_follow_zookeeper(void **state)
{
    (void)state;
    const char *good[] = {"/", "/a", "/a/b.c", "/...", "/a..", "/\xc3\xa4", "/a b", "/zookeeper/x"};
    const char *bad[] = {"",
                         "a",
                         "//",
                         "/a/",
                         "/a//b",
                         "/.",
                         "/..",
                         "/a/./b",
                         "/a/..",
                         "/\x01",
                         "/\x7f",
                         "/\xc2\x80",
                         "/\xff",
                         "/\xc0\xaf",
                         "/\xf0\x9f\x98\x80",
                         "/\xed\xa0\x80",
                         "/\xef\xbf\xbe"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_null(zk_path_check(slice_str(good[i]), false));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_non_null(zk_path_check(slice_str(bad[i]), false));
    assert_null(zk_path_check(slice_str("/a/"), true));
    assert_null(zk_path_check(slice_str("/a/."), true));
    assert_non_null(zk_path_check(slice_str("/a//b"), true));
    assert_non_null(zk_path_check(slice_of("/a\0b", 4), false));
}

static void paths_split(void **state)
{
    (void)state;
    assert_true(slice_eq_str(zk_path_parent(slice_str("/a/b")), "/a"));
    assert_true(slice_eq_str(zk_path_parent(slice_str("/a")), "/"));
    assert_true(slice_eq_str(zk_path_name(slice_str("/a/b")), "b"));
}

static void names_exist_for_all_numbers(void **state)
{
    (void)state;
    assert_string_equal(zk_op_name(ZK_OP_setWatches2), "setWatches2");
    assert_null(zk_op_name(77));
    assert_string_equal(zk_error_name(ZK_NONODE), "NONODE");
    assert_string_equal(zk_error_text(-9999), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(null_and_empty_buffers_differ),
        cmocka_unit_test(lengths_are_bounded_by_what_is_left),
        cmocka_unit_test(vectors_check_each_element),
        cmocka_unit_test(reads_a_create_request),
        cmocka_unit_test(paths_follow_zookeeper),
        cmocka_unit_test(paths_split),
        cmocka_unit_test(names_exist_for_all_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
