/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "ensemble.h"
#include "greeting.h"
#include "zab/jute.h"

static const struct ensemble_server *add(struct ensemble *en, const char *sid, const char *value)
{
    struct err e = {0};
    assert_int_equal(ensemble_add(en, "zoo.cfg:1", sid, value, &e), 0);
    return en->n > 0 ? &en->servers[en->n - 1] : NULL;
}

static void a_server_line_has_all_its_parts(void **state)
{
    (void)state;
    struct ensemble en = {0};
    const struct ensemble_server *s = add(&en, "3", "[fe80::1]:2888:3888:observer;[::1]:2181");
    assert_int_equal(s->zab.sid, 3);
    assert_true(s->zab.observer);
    assert_int_equal(s->zab.weight, 1);
    assert_int_equal(s->n_addresses, 1);
    assert_string_equal(s->addresses[0].host, "fe80::1");
    assert_int_equal(s->addresses[0].quorum_port, 2888);
    assert_int_equal(s->addresses[0].election_port, 3888);
    assert_string_equal(s->client_host, "::1");
    assert_int_equal(s->client_port, 2181);
    ensemble_close(&en);
}

static void a_server_line_can_have_a_secure_port(void **state)
{
    (void)state;
    struct ensemble en = {0};
    struct buf text = {0};
    const struct ensemble_server *s = add(&en, "1", "a:1:2;b:2181;[::1]:2281");
    assert_int_equal(s->client_port, 2181);
    assert_int_equal(s->secure_client_port, 2281);
    assert_string_equal(s->secure_client_host, "::1");
    s = add(&en, "2", "a:1:2:observer;;2281");
    assert_int_equal(s->client_port, 0);
    assert_int_equal(s->secure_client_port, 2281);
    ensemble_text(&en, 0, &text);
    assert_true(slice_eq_str(buf_slice(&text), "server.1=a:1:2:participant;b:2181;[::1]:2281\n"
                                               "server.2=a:1:2:observer;;0.0.0.0:2281\n"
                                               "version=0"));
    buf_close(&text);
    ensemble_close(&en);
}

static void servers_are_in_the_order_of_their_numbers(void **state)
{
    (void)state;
    struct ensemble en = {0};
    add(&en, "10", "c:1:2");
    add(&en, "2", "b:1:2");
    add(&en, "1", "a:1:2");
    assert_int_equal(en.servers[0].zab.sid, 1);
    assert_int_equal(en.servers[1].zab.sid, 2);
    assert_int_equal(en.servers[2].zab.sid, 10);
    assert_ptr_equal(ensemble_find(&en, 2), &en.servers[1]);
    assert_null(ensemble_find(&en, 3));
    ensemble_close(&en);
}

static void bad_server_lines_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "a",
        "a:1",
        "a:1:0",
        "a:0:1",
        "a:1:65536",
        ":1:2",
        "a:1:1",
        "a:1:2:x",
        "a:1:2;",
        "a:1:2;0",
        "a:1:2;h:",
        "a:1:2;;",
        "a:1:2;3;",
        "a:1:2;3;h:x",
        "a:1:2|",
        "a:1:2|b:1",
        "a:1:2:",
        "a:-1:2",
        "a:1:2:observer:x",
        "a:1:2|a:1:2|a:1:2|a:1:2|a:1:2|a:1:2|a:1:2|a:1:2|a:1:2",
    };
    struct ensemble en = {0};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        assert_int_equal(ensemble_add(&en, "zoo.cfg:7", "1", bad[i], &e), -EINVAL);
        assert_non_null(strstr(e.text, "zoo.cfg:7: server.1"));
    }
    struct err e;
    assert_int_equal(ensemble_add(&en, "f:1", "x", "a:1:2", &e), -EINVAL);
    assert_int_equal(ensemble_add(&en, "f:1", "-1", "a:1:2", &e), -EINVAL);
    assert_int_equal(en.n, 0);
    add(&en, "1", "a:1:2");
    assert_int_equal(ensemble_add(&en, "f:1", "1", "b:1:2", &e), -EINVAL);
    ensemble_close(&en);
}

static void weights_and_groups_are_of_servers(void **state)
{
    (void)state;
    struct ensemble en = {0};
    struct err e;
    for (int i = 1; i <= 4; i++)
        add(&en, (const char *[]){"1", "2", "3", "4"}[i - 1], "a:1:2");
    assert_int_equal(ensemble_set_weight(&en, "f:1", "2", "5", &e), 0);
    assert_int_equal(ensemble_find(&en, 2)->zab.weight, 5);
    assert_int_equal(ensemble_set_weight(&en, "f:1", "9", "5", &e), -EINVAL);
    assert_int_equal(ensemble_set_weight(&en, "f:1", "2", "-5", &e), -EINVAL);
    assert_int_equal(ensemble_set_group(&en, "f:1", "7", "1:2", &e), 0);
    assert_int_equal(ensemble_find(&en, 1)->zab.group, 7);
    assert_int_equal(ensemble_find(&en, 3)->zab.group, 0);
    assert_int_equal(ensemble_set_group(&en, "f:1", "8", "2:3", &e), -EINVAL);
    assert_int_equal(ensemble_set_group(&en, "f:1", "8", "3:9", &e), -EINVAL);
    ensemble_close(&en);
}

static void the_text_is_that_of_zookeeper(void **state)
{
    (void)state;
    struct ensemble en = {0};
    struct buf text = {0};
    add(&en, "2", "b:2:3|[::1]:4:5:observer");
    add(&en, "1", "a:2888:3888;2181");
    ensemble_text(&en, 0x1f, &text);
    assert_true(slice_eq_str(buf_slice(&text), "server.1=a:2888:3888:participant;0.0.0.0:2181\n"
                                               "server.2=b:2:3|[::1]:4:5:observer\n"
                                               "version=1f"));
    buf_close(&text);
    ensemble_close(&en);
}

/* ---- Greetings ---- */

static void a_greeting_is_what_zookeeper_sends(void **state)
{
    (void)state;
    static const uint8_t one[] = "\xff\xff\xff\xff\xff\xff\x00\x00" /* -65536 */
                                 "\x00\x00\x00\x00\x00\x00\x00\x03"
                                 "\x00\x00\x00\x0e"
                                 "127.0.0.1:3888";
    struct ensemble en = {0};
    struct buf b = {0};
    greeting_write(add(&en, "3", "127.0.0.1:2888:3888"), &b);
    assert_int_equal(b.len, sizeof(one) - 1);
    assert_memory_equal(b.data, one, b.len);
    buf_close(&b);
    ensemble_close(&en);
}

static void a_greeting_with_several_addresses_has_its_version(void **state)
{
    (void)state;
    struct ensemble en = {0};
    struct buf b = {0};
    struct greeting g;
    greeting_write(add(&en, "3", "a:2888:3888|[::1]:2889:3889"), &b);
    assert_int_equal((int64_t)be64_get(b.data), -65535);
    assert_int_equal(greeting_parse(buf_slice(&b), &g), b.len);
    assert_int_equal(g.sid, 3);
    assert_true(slice_eq_str(g.addresses, "a:3888|[::1]:3889"));
    buf_close(&b);
    ensemble_close(&en);
}

static void a_greeting_may_come_in_pieces(void **state)
{
    (void)state;
    struct ensemble en = {0};
    struct buf b = {0};
    struct greeting g;
    greeting_write(add(&en, "7", "host:1:2"), &b);
    size_t len = b.len;
    for (size_t n = 0; n < len; n++)
        assert_int_equal(greeting_parse(slice_of(b.data, n), &g), 0);
    buf_append(&b, "more", 4);
    assert_int_equal(greeting_parse(buf_slice(&b), &g), len);
    buf_close(&b);
    ensemble_close(&en);
}

static void what_is_no_greeting_is_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    struct greeting g;
    assert_int_equal(greeting_parse(slice_str("GET / HTTP/1.1\r\n"), &g), -EPROTO);
    static const int32_t lengths[] = {0, -1, 2049, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        buf_reset(&b);
        jute_write_long(&b, -65536);
        jute_write_long(&b, 1);
        jute_write_int(&b, lengths[i]);
        assert_int_equal(greeting_parse(buf_slice(&b), &g), -EPROTO);
    }
    buf_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_line_has_all_its_parts),
        cmocka_unit_test(a_server_line_can_have_a_secure_port),
        cmocka_unit_test(servers_are_in_the_order_of_their_numbers),
        cmocka_unit_test(bad_server_lines_are_refused),
        cmocka_unit_test(weights_and_groups_are_of_servers),
        cmocka_unit_test(the_text_is_that_of_zookeeper),
        cmocka_unit_test(a_greeting_is_what_zookeeper_sends),
        cmocka_unit_test(a_greeting_with_several_addresses_has_its_version),
        cmocka_unit_test(a_greeting_may_come_in_pieces),
        cmocka_unit_test(what_is_no_greeting_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
