/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the client's shell does without a server: host lists, and the results of multis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "zab/client.h"

static void host_lists_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *list, *first, *chroot;
        unsigned n;
    } cases[] = {
        {"a", "a:2181", "", 1},
        {"a:1,b:65535", "a:1", "", 2},
        {"127.0.0.1:2182,c/", "127.0.0.1:2182", "", 2},
        {"a,b,c/app/x", "a:2181", "/app/x", 3},
        {"[::1]:5,[fe80::2]", "[::1]:5", "", 2},
        {"[::1]/r", "[::1]:2181", "/r", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client_hosts h;
        assert_int_equal(client_hosts_parse(&h, cases[i].list, NULL), 0);
        assert_int_equal(h.n, cases[i].n);
        assert_string_equal(h.host_port[0], cases[i].first);
        assert_string_equal(h.chroot, cases[i].chroot);
        client_hosts_close(&h);
    }
}

static void bad_host_lists_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "",     ",",    "a,",    "a,,b",     ":2181", "a:",   "a:0", "a:65536", "a:1x", "::1",
        "[::1", "[]:1", "a:1:2", "a:999999", "a//x",  "a/x/", "/x",  "[::1]x",  "a:-1", "a/../b",
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct err e = {0};
        assert_true(client_check_hosts(lists[i], &e) < 0);
        assert_true(e.text[0] != '\0');
    }
}

static void sizes_of_answers_have_units_and_limits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t bytes; /* 0: refused */
    } cases[] = {
        {"1048576", 1 << 20},
        {"1024K", 1 << 20},
        {"1M", 1 << 20},
        {"16M", 16 << 20},
        {"1024M", 1 << 30},
        {"1G", 1 << 30},
        {"", 0},
        {"M", 0},
        {"0", 0},
        {"-1M", 0},
        {"1048575", 0},
        {"1073741825", 0},
        {"1025M", 0},
        {"2G", 0},
        {"16MB", 0},
        {"16m", 0},
        {"16 M", 0},
        {"0x100000", 0},
        {"1048576\n", 0},
        {"99999999999999999999", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int32_t bytes = 0;
        int rc = client_parse_reply_max(cases[i].text, &bytes);
        assert_int_equal(rc == 0, cases[i].bytes > 0);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void put_multi_header(struct buf *b, int32_t type, bool done, int32_t err)
{
    const struct zk_multi_header header = {.type = type, .done = done, .err = err};
    zk_multi_header_write(b, &header);
}

static void put_multi_results(struct buf *b)
{
    const struct zk_stat stat = {.version = 7};
    put_multi_header(b, ZK_OP_create2, false, 0);
    jute_write_buffer(b, slice_str("/a"));
    zk_stat_write(b, &stat);
    put_multi_header(b, ZK_OP_check, false, 0);
    put_multi_header(b, ZK_OP_setData, false, 0);
    zk_stat_write(b, &stat);
    put_multi_header(b, ZK_OP_create, false, 0);
    jute_write_buffer(b, slice_str("/b"));
    put_multi_header(b, ZK_OP_delete, false, 0);
    put_multi_header(b, ZK_OP_error, false, ZK_NONODE);
    jute_write_int(b, ZK_NONODE);
    put_multi_header(b, -1, true, -1);
}

static void results_of_a_multi_come_one_by_one(void **state)
{
    (void)state;
    static const int32_t ops[] = {ZK_OP_create2, ZK_OP_check,  ZK_OP_setData,
                                  ZK_OP_create,  ZK_OP_delete, ZK_OP_error};
    struct buf b = {0};
    put_multi_results(&b);
    struct jute_reader r = jute_reader_of(buf_slice(&b));
    struct zk_stat stat;
    int32_t op, err;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        assert_true(request_multi_next(&r, &op, &err, &stat));
        assert_int_equal(op, ops[i]);
        assert_int_equal(err, op == ZK_OP_error ? ZK_NONODE : 0);
        assert_int_equal(stat.version, op == ZK_OP_create2 || op == ZK_OP_setData ? 7 : 0);
    }
    assert_false(request_multi_next(&r, &op, &err, &stat));
    assert_true(jute_done(&r));
    buf_close(&b);
}

static void results_cut_short_end_early_and_say_so(void **state)
{
    (void)state;
    struct buf b = {0};
    put_multi_results(&b);
    for (size_t len = 0; len < b.len; len++) {
        uint8_t *copy = mem_alloc(len); /* of its own, so that a read too far is seen */
        memcpy(copy, b.data, len);
        struct jute_reader r = jute_reader_of(slice_of(copy, len));
        struct zk_stat stat;
        int32_t op, err;
        while (request_multi_next(&r, &op, &err, &stat))
            ;
        assert_false(jute_ok(&r));
        free(copy);
    }
    buf_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_lists_are_taken_apart),
        cmocka_unit_test(bad_host_lists_are_refused_with_a_reason),
        cmocka_unit_test(sizes_of_answers_have_units_and_limits),
        cmocka_unit_test(results_of_a_multi_come_one_by_one),
        cmocka_unit_test(results_cut_short_end_early_and_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
