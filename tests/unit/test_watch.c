/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "zab/watch.h"

struct world {
    struct watches watches;
    struct watcher who[4];
    struct watch_fired fired;
};

static int set_up(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    watches_init(&w->watches, 1);
    for (size_t i = 0; i < ARRAY_LEN(w->who); i++)
        watcher_init(&w->who[i]);
    *state = w;
    return 0;
}

/* Also shows that nothing is left when all watchers are gone. */
static int tear_down(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(w->who); i++)
        assert_true(watcher_drop(&w->watches, &w->who[i], SIZE_MAX));
    assert_int_equal(w->watches.n_recursive, 0);
    watches_close(&w->watches);
    watch_fired_close(&w->fired);
    free(w);
    return 0;
}

static void add(struct world *w, int who, const char *path, unsigned modes)
{
    watch_add(&w->watches, &w->who[who], slice_str(path), modes);
}

static unsigned modes(struct world *w, int who, const char *path)
{
    return watch_modes(&w->watches, &w->who[who], slice_str(path));
}

/* Fire, and expect these watchers, each a digit, in this order. */
static void assert_told(struct world *w, enum zk_event_type type, const char *path,
                        const char *expected)
{
    char told[16] = "";
    watch_fire(&w->watches, type, slice_str(path), &w->fired);
    assert_true(w->fired.n < sizeof(told));
    for (size_t i = 0; i < w->fired.n; i++)
        told[i] = (char)('0' + (w->fired.who[i] - w->who));
    assert_string_equal(told, expected);
}

static void each_event_fires_its_modes(void **state)
{
    struct world *w = *state;
    static const struct {
        enum zk_event_type type;
        unsigned told;
    } table[] = {
        {ZK_EVENT_CREATED, WATCH_DATA | WATCH_PERSISTENT | WATCH_RECURSIVE},
        {ZK_EVENT_DATA_CHANGED, WATCH_DATA | WATCH_PERSISTENT | WATCH_RECURSIVE},
        {ZK_EVENT_CHILDREN_CHANGED, WATCH_CHILD | WATCH_PERSISTENT},
        {ZK_EVENT_DELETED, WATCH_DATA | WATCH_CHILD | WATCH_PERSISTENT | WATCH_RECURSIVE},
        {ZK_EVENT_NONE, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        for (unsigned mode = WATCH_DATA; mode <= WATCH_RECURSIVE; mode <<= 1) {
            bool standard = mode == WATCH_DATA || mode == WATCH_CHILD;
            bool told = table[i].told & mode;
            add(w, 0, "/a", mode);
            assert_told(w, table[i].type, "/a", told ? "0" : "");
            assert_told(w, table[i].type, "/a", told && !standard ? "0" : "");
            assert_int_equal(modes(w, 0, "/a"), told && standard ? 0 : mode);
            assert_true(watcher_drop(&w->watches, &w->who[0], SIZE_MAX));
        }
    }
}

static void one_event_is_told_once(void **state)
{
    struct world *w = *state;
    add(w, 0, "/a/b", WATCH_DATA | WATCH_CHILD | WATCH_PERSISTENT | WATCH_RECURSIVE);
    add(w, 0, "/a", WATCH_RECURSIVE);
    add(w, 0, "/", WATCH_RECURSIVE);
    assert_told(w, ZK_EVENT_DELETED, "/a/b", "0");
    assert_int_equal(modes(w, 0, "/a/b"), WATCH_PERSISTENT | WATCH_RECURSIVE);
    assert_told(w, ZK_EVENT_CREATED, "/a/b", "0");
}

static void own_path_comes_first_then_its_parents(void **state)
{
    struct world *w = *state;
    add(w, 3, "/", WATCH_RECURSIVE);
    add(w, 2, "/a", WATCH_RECURSIVE);
    add(w, 1, "/a/b", WATCH_DATA);
    add(w, 0, "/a/b", WATCH_PERSISTENT);
    assert_told(w, ZK_EVENT_DATA_CHANGED, "/a/b", "1023");
    assert_told(w, ZK_EVENT_DATA_CHANGED, "/a/b", "023");
    assert_told(w, ZK_EVENT_DATA_CHANGED, "/a", "23");
    assert_told(w, ZK_EVENT_DATA_CHANGED, "/", "3");
    assert_told(w, ZK_EVENT_CHILDREN_CHANGED, "/a/b", "0");
}

static void only_recursive_watches_see_what_is_below(void **state)
{
    struct world *w = *state;
    add(w, 0, "/a", WATCH_DATA | WATCH_CHILD | WATCH_PERSISTENT);
    add(w, 1, "/a", WATCH_RECURSIVE);
    add(w, 2, "/a/b", WATCH_DATA);
    assert_told(w, ZK_EVENT_CREATED, "/a/b/c", "1");
    assert_told(w, ZK_EVENT_CHILDREN_CHANGED, "/a/b", "");
    assert_told(w, ZK_EVENT_CREATED, "/ab", "");
    assert_told(w, ZK_EVENT_CREATED, "/b/a", "");
}

static void remove_takes_only_what_it_names(void **state)
{
    struct world *w = *state;
    add(w, 0, "/a", WATCH_DATA | WATCH_RECURSIVE);
    add(w, 1, "/a", WATCH_DATA);
    assert_int_equal(watch_remove(&w->watches, &w->who[0], slice_str("/a"), WATCH_CHILD), 0);
    assert_int_equal(watch_remove(&w->watches, &w->who[2], slice_str("/a"), WATCH_DATA), 0);
    assert_int_equal(watch_remove(&w->watches, &w->who[0], slice_str("/b"), WATCH_DATA), 0);
    assert_int_equal(
        watch_remove(&w->watches, &w->who[0], slice_str("/a"), WATCH_RECURSIVE | WATCH_CHILD),
        WATCH_RECURSIVE);
    assert_int_equal(w->watches.n_recursive, 0);
    assert_int_equal(modes(w, 0, "/a"), WATCH_DATA);
    assert_int_equal(watch_remove(&w->watches, &w->who[0], slice_str("/a"), WATCH_DATA),
                     WATCH_DATA);
    assert_int_equal(w->who[0].count, 0);
    assert_told(w, ZK_EVENT_DATA_CHANGED, "/a", "1");
    assert_int_equal(w->watches.n_paths, 0);
}

static void adding_again_adds_modes_not_watches(void **state)
{
    struct world *w = *state;
    add(w, 0, "/a", WATCH_DATA);
    add(w, 0, "/a", WATCH_DATA);
    add(w, 0, "/a", WATCH_CHILD);
    assert_int_equal(w->watches.n_watches, 1);
    assert_int_equal(w->who[0].count, 1);
    assert_int_equal(modes(w, 0, "/a"), WATCH_DATA | WATCH_CHILD);
    assert_told(w, ZK_EVENT_DATA_CHANGED, "/a", "0");
    assert_int_equal(modes(w, 0, "/a"), WATCH_CHILD);
}

static void a_watchers_paths_are_listed_and_dropped(void **state)
{
    struct world *w = *state;
    add(w, 0, "/a", WATCH_DATA);
    add(w, 1, "/a", WATCH_DATA);
    add(w, 0, "/b", WATCH_RECURSIVE);
    const struct watch *watch = watcher_next(&w->who[0], NULL);
    assert_true(slice_eq_str(watch_path(watch), "/a"));
    watch = watcher_next(&w->who[0], watch);
    assert_true(slice_eq_str(watch_path(watch), "/b"));
    assert_null(watcher_next(&w->who[0], watch));
    assert_true(watcher_drop(&w->watches, &w->who[0], SIZE_MAX));
    assert_int_equal(w->watches.n_paths, 1);
    assert_int_equal(w->watches.n_watches, 1);
    assert_told(w, ZK_EVENT_DATA_CHANGED, "/b", "");
    assert_told(w, ZK_EVENT_DATA_CHANGED, "/a", "1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_event_fires_its_modes),
        TEST(one_event_is_told_once),
        TEST(own_path_comes_first_then_its_parents),
        TEST(only_recursive_watches_see_what_is_below),
        TEST(remove_takes_only_what_it_names),
        TEST(adding_again_adds_modes_not_watches),
        TEST(a_watchers_paths_are_listed_and_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
