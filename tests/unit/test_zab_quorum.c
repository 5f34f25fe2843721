/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/zab/internal.h"

static uint64_t set_of(const struct quorum *q, const char *sids)
{
    uint64_t set = 0;
    for (; *sids; sids++)
        set |= quorum_bit(q, *sids - '0');
    return set;
}

static void a_majority_of_the_voters_is_a_quorum(void **state)
{
    (void)state;
    struct quorum q;
    for (size_t n = 1; n <= ZAB_SERVERS_MAX; n++) {
        struct zab_server servers[ZAB_SERVERS_MAX];
        for (size_t i = 0; i < n; i++)
            servers[i] = (struct zab_server){(int64_t)i + 1, false, 1, 0};
        quorum_init(&q, servers, n);
        for (size_t k = 0; k <= n; k++) {
            uint64_t set = k == 64 ? UINT64_MAX : (UINT64_C(1) << k) - 1;
            assert_int_equal(quorum_contains(&q, set), k >= n / 2 + 1);
        }
    }
}

static void observers_and_strangers_do_not_count(void **state)
{
    (void)state;
    struct quorum q;
    struct zab_server servers[] = {
        {1, false, 1, 0}, {2, true, 1, 0}, {3, false, 1, 0}, {4, true, 1, 0}, {5, false, 1, 0}};
    quorum_init(&q, servers, ARRAY_LEN(servers));
    assert_false(quorum_contains(&q, set_of(&q, "124")));
    assert_true(quorum_contains(&q, set_of(&q, "15")));
    assert_false(quorum_contains(&q, set_of(&q, "19")));
    assert_false(quorum_is_voter(&q, 2));
    assert_true(quorum_is_voter(&q, 3));
    assert_int_equal(quorum_find(&q, 9), -1);
    assert_int_equal(quorum_weight(&q, 9), 0);
}

/* The example of ZooKeeper's manual: three groups of three. */
static void groups_need_a_majority_each_and_a_majority_of_them(void **state)
{
    (void)state;
    struct quorum q;
    struct zab_server servers[9];
    for (int i = 0; i < 9; i++)
        servers[i] = (struct zab_server){i + 1, false, 1, i / 3 + 1};
    quorum_init(&q, servers, 9);
    assert_true(quorum_contains(&q, set_of(&q, "1245")));
    assert_true(quorum_contains(&q, set_of(&q, "4589")));
    assert_false(quorum_contains(&q, set_of(&q, "12347")));
    assert_false(quorum_contains(&q, set_of(&q, "123")));
}

static void weights_count_inside_a_group(void **state)
{
    (void)state;
    struct quorum q;
    struct zab_server servers[] = {
        {1, false, 3, 1}, {2, false, 1, 1}, {3, false, 1, 1},
        {4, false, 0, 2}, {5, false, 0, 2}, /* a group without weight is none */
    };
    quorum_init(&q, servers, ARRAY_LEN(servers));
    assert_true(quorum_contains(&q, set_of(&q, "1")));
    assert_false(quorum_contains(&q, set_of(&q, "2345")));
    assert_false(quorum_contains(&q, 0));
    assert_int_equal(quorum_weight(&q, 1), 3);
    assert_int_equal(quorum_weight(&q, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_majority_of_the_voters_is_a_quorum),
        cmocka_unit_test(observers_and_strangers_do_not_count),
        cmocka_unit_test(groups_need_a_majority_each_and_a_majority_of_them),
        cmocka_unit_test(weights_count_inside_a_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
