/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose turn it is to get the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/node/internal.h"

enum {
    TICK_MS = 200,
    INIT_LIMIT = 10,
};

static struct node_effects effects;

static struct node *open_node(void)
{
    static const struct zab_server servers[] = {{.sid = 1, .weight = 1}, {.sid = 2, .weight = 1}};
    static const struct zab_config ensemble = {.sid = 1,
                                               .servers = servers,
                                               .n_servers = ARRAY_LEN(servers),
                                               .tick_ms = TICK_MS,
                                               .init_limit = INIT_LIMIT,
                                               .sync_limit = 5};
    static const struct node_config config = {
        .server_id = 1, .tick_ms = TICK_MS, .snap_count = 1000, .ensemble = &ensemble};
    struct node *n = node_open(&config, tree_open(1), 1000);
    node_step(n, &(struct node_event){.type = NODE_TICK, .now_ms = 1000}, &effects);
    return n;
}

static void close_node(struct node *n)
{
    node_close(n);
    node_effects_close(&effects);
}

static struct node_link *add_link(struct node *n)
{
    struct node_link *l = mem_zalloc(sizeof(*l));
    list_append(&n->links, &l->link);
    list_init(&l->dirty_link);
    return l;
}

static void the_second_waits_for_the_first(void **state)
{
    (void)state;
    struct node *n = open_node();
    struct node_link *a = add_link(n), *b = add_link(n);
    assert_false(tree_queue_enter(n, a));
    a->tree_goes = true;
    assert_false(tree_queue_is_free(n));
    assert_true(tree_queue_enter(n, b));
    tree_queue_run(n);
    assert_true(b->tree_by_ms > 0);
    a->tree_goes = false; /* it is sent */
    tree_queue_run(n);
    assert_int_equal(b->tree_by_ms, 0);
    assert_true(tree_queue_is_free(n));
    close_node(n);
}

static void a_link_that_closes_lets_the_next_one_go(void **state)
{
    (void)state;
    struct node *n = open_node();
    struct node_link *a = add_link(n), *b = add_link(n);
    a->tree_goes = true;
    assert_true(tree_queue_enter(n, b));
    a->closing = true;
    tree_queue_run(n);
    assert_int_equal(b->tree_by_ms, 0);
    node_close(n);
}

/* A learner gives up when it hears nothing for initLimit. */
static void nobody_waits_longer_than_half_of_its_deadline(void **state)
{
    (void)state;
    struct node *n = open_node();
    struct node_link *a = add_link(n), *b = add_link(n);
    a->tree_goes = true;
    assert_true(tree_queue_enter(n, b));
    n->now_ms += TICK_MS * INIT_LIMIT / 2 - 1;
    tree_queue_run(n);
    assert_true(b->tree_by_ms > 0);
    n->now_ms++;
    tree_queue_run(n);
    assert_int_equal(b->tree_by_ms, 0);
    assert_true(a->tree_goes);
    close_node(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_waits_for_the_first),
        cmocka_unit_test(a_link_that_closes_lets_the_next_one_go),
        cmocka_unit_test(nobody_waits_longer_than_half_of_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
