/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/mount/model.h"

static struct nodes t;

static int setup(void **state)
{
    (void)state;
    nodes_init(&t);
    t.root->life = NODE_LIVE;
    t.root->listed = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nodes_close(&t);
    return 0;
}

static struct node *add(struct node *parent, const char *name, bool is_dir)
{
    struct node *n = node_add(&t, parent, slice_str(name));
    n->life = NODE_LIVE;
    n->is_dir = n->listed = is_dir;
    n->told = true;
    return n;
}

static void assert_path(const struct node *n, const char *want)
{
    struct buf path = {0};
    node_path(n, &path);
    assert_true(slice_eq_str(buf_slice(&path), want));
    buf_close(&path);
}

static void a_node_has_its_path(void **state)
{
    (void)state;
    struct node *a = add(t.root, "a", true);
    struct node *b = add(a, "b", false);
    assert_path(t.root, "/");
    assert_path(b, "/a/b");
    assert_path(node_data_file(&t, a), "/a");
    assert_ptr_equal(node_child(&t, a, slice_str("b")), b);
    assert_null(node_child(&t, t.root, slice_str("b")));
}

static void a_moved_directory_takes_its_nodes_along(void **state)
{
    (void)state;
    struct node *a = add(t.root, "a", true), *b = add(a, "b", false), *c = add(t.root, "c", true);
    unsigned place = a->place;
    node_move(&t, a, c, slice_str("d"));
    assert_path(b, "/c/d/b");
    assert_int_not_equal(a->place, place);
    assert_null(node_child(&t, t.root, slice_str("a")));
}

static void an_inode_number_is_never_used_twice(void **state)
{
    (void)state;
    uint64_t id = add(t.root, "a", false)->id;
    node_remove(&t, node_find(&t, id));
    assert_null(node_find(&t, id));
    assert_int_not_equal(add(t.root, "a", false)->id, id);
}

static void a_removed_node_stays_while_the_kernel_has_it(void **state)
{
    (void)state;
    struct node *a = add(t.root, "a", false);
    uint64_t id = a->id;
    a->lookups = 2;
    node_remove(&t, a);
    assert_null(node_child(&t, t.root, slice_str("a")));
    assert_ptr_equal(node_find(&t, id), a);
    assert_path(a, "/a");
    node_forget(&t, a, 1);
    assert_ptr_equal(node_find(&t, id), a);
    node_forget(&t, a, 1);
    assert_null(node_find(&t, id));
}

static void removal_takes_all_below(void **state)
{
    (void)state;
    struct node *a = add(t.root, "a", true);
    add(add(a, "b", true), "c", false);
    size_t before = t.by_id.count;
    node_remove(&t, a);
    assert_int_equal(t.by_id.count, before - 3);
}

static void an_unlisted_directory_forgets_children_that_nobody_holds(void **state)
{
    (void)state;
    struct node *a = add(t.root, "a", true), *held = add(a, "held", false);
    struct cursor c = {0};
    add(a, "free", false);
    node_hold(&t, held);
    a->listed = false;
    cursor_open(&t, &c, a);
    for (struct node *n; (n = cursor_next(&c));)
        node_free_unneeded(&t, n);
    cursor_close(&t, &c);
    assert_ptr_equal(node_child(&t, a, slice_str("held")), held);
    assert_null(node_child(&t, a, slice_str("free")));
}

static void watches_follow_what_the_kernel_holds(void **state)
{
    (void)state;
    struct node *a = add(t.root, "a", true), *b = add(a, "b", false);
    assert_int_equal(node_wanted_watch(a), NODE_WATCH_OWN);
    assert_int_equal(node_wanted_watch(b), NODE_WATCH_OWN);
    a->many = true; /* one recursive watch instead of one for each child */
    assert_int_equal(node_wanted_watch(a), NODE_WATCH_BELOW);
    assert_int_equal(node_wanted_watch(b), NODE_WATCH_NONE);
    a->listed = a->many = false;
    assert_int_equal(node_wanted_watch(b), NODE_WATCH_NONE);
    b->lookups = 1;
    assert_int_equal(node_wanted_watch(b), NODE_WATCH_OWN);
}

static void content_beyond_the_limit_is_forgotten_oldest_first(void **state)
{
    (void)state;
    struct zk_stat stat = {0};
    size_t len = 16 << 20;
    uint8_t *bytes = mem_zalloc(len);
    struct node *n[5];
    for (size_t i = 0; i < ARRAY_LEN(n); i++) {
        n[i] = add(t.root, (char[]){(char)('a' + (char)i), '\0'}, false);
        struct content *c = content_new(slice_of(bytes, len), &stat);
        node_set_content(&t, n[i], c);
        content_unref(c);
    }
    assert_null(n[0]->content);
    assert_non_null(n[1]->content);
    assert_non_null(n[4]->content);
    free(bytes);
}

static void what_was_told_is_not_told_again(void **state)
{
    (void)state;
    struct node *a = add(t.root, "a", false);
    a->told = false;
    a->stat = (struct zk_stat){.czxid = 5, .mzxid = 7, .data_length = 1};
    assert_int_equal(sync_changes(a), SYNC_CREATED | SYNC_DATA);
    sync_told(a);
    assert_int_equal(sync_changes(a), 0);
    a->stat.mzxid = 9;
    a->stat.aversion = 1;
    assert_int_equal(sync_changes(a), SYNC_DATA | SYNC_ACL);
    sync_told(a);
    a->refs = 1;
    node_remove(&t, a);
    assert_int_equal(sync_changes(a), SYNC_DELETED);
    node_unref(&t, a);
}

static void a_rename_is_one_transaction(void **state)
{
    (void)state;
    struct node *d = add(t.root, "d", true), *e = add(t.root, "e", true);
    struct node *from = add(d, "from", false), *to = add(e, "to", false);
    from->refs = 1;
    from->stat = (struct zk_stat){.czxid = 3, .mzxid = 3, .data_length = 4};
    to->stat = (struct zk_stat){.czxid = 8, .mzxid = 8, .data_length = 4};
    to->told = false;
    from->gone_zxid = 8;
    assert_false(sync_is_rename(from, to, false)); /* it is still there */
    node_remove(&t, from);
    assert_true(sync_is_rename(from, to, false));
    from->gone_zxid = 7; /* removed in another transaction */
    assert_false(sync_is_rename(from, to, true));
    from->gone_zxid = 8;
    to->stat.data_length = 5;
    assert_false(sync_is_rename(from, to, true));
    node_unref(&t, from);
}

static void hold(struct node *n, const char *text)
{
    struct content *c = content_new(slice_str(text), &n->stat);
    node_set_content(&t, n, c);
    content_unref(c);
}

static void where_no_zxid_is_told_the_contents_decide(void **state)
{
    (void)state;
    struct node *d = add(t.root, "d", true), *e = add(t.root, "e", true);
    struct node *from = add(d, "from", false), *to = add(e, "to", false);
    from->refs = 1;
    from->stat = (struct zk_stat){.czxid = 3, .mzxid = 3, .data_length = 4};
    to->stat = (struct zk_stat){.czxid = 8, .mzxid = 8, .data_length = 4};
    to->told = false;
    d->stat.pzxid = 8;
    node_remove(&t, from);
    assert_true(sync_is_rename(from, to, true));
    assert_false(sync_is_rename(from, to, false));
    hold(from, "same");
    hold(to, "same");
    assert_true(sync_is_rename(from, to, false));
    hold(to, "else");
    assert_false(sync_is_rename(from, to, true));
    node_unref(&t, from);
}

static void remove_and_then_create_in_one_directory_is_no_rename(void **state)
{
    (void)state;
    struct node *from = add(t.root, "from", false), *to = add(t.root, "to", false);
    from->refs = 1;
    from->stat = (struct zk_stat){.czxid = 3, .mzxid = 3};
    to->stat = (struct zk_stat){.czxid = 8, .mzxid = 8};
    to->told = false;
    t.root->stat.pzxid = 8;
    node_remove(&t, from);
    hold(from, "");
    hold(to, "");
    assert_false(sync_is_rename(from, to, false));
    from->after_change = true;
    assert_true(sync_is_rename(from, to, false));
    node_unref(&t, from);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_node_has_its_path),
        TEST(a_moved_directory_takes_its_nodes_along),
        TEST(an_inode_number_is_never_used_twice),
        TEST(a_removed_node_stays_while_the_kernel_has_it),
        TEST(removal_takes_all_below),
        TEST(an_unlisted_directory_forgets_children_that_nobody_holds),
        TEST(watches_follow_what_the_kernel_holds),
        TEST(content_beyond_the_limit_is_forgotten_oldest_first),
        TEST(what_was_told_is_not_told_again),
        TEST(a_rename_is_one_transaction),
        TEST(where_no_zxid_is_told_the_contents_decide),
        TEST(remove_and_then_create_in_one_directory_is_no_rename),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
