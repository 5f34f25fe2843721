/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "zab/log_limit.h"
#include "zab/buf.h"
#include "zab/err.h"
#include "zab/hmap.h"
#include "zab/list.h"
#include "zab/rng.h"
#include "zab/sort.h"

static void buf_grows_and_keeps_its_bytes(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%03d,", i);
    assert_int_equal(b.len, 4000);
    assert_memory_equal(b.data + 4 * 417, "417,", 4);
    buf_consume(&b, 4 * 999);
    assert_true(slice_eq_str(buf_slice(&b), "999,"));
    buf_close(&b);
}

static void slices_tell_null_from_empty(void **state)
{
    (void)state;
    assert_true(slice_is_null(SLICE_NULL));
    assert_false(slice_is_null(SLICE_EMPTY));
    assert_false(slice_eq(SLICE_NULL, SLICE_EMPTY));
    assert_true(slice_starts_with(slice_str("/a/b"), slice_str("/a")));
    assert_false(slice_starts_with(slice_str("/a"), slice_str("/a/b")));
}

struct item {
    struct hmap_node by_hash;
    struct list link;
    uint64_t key;
};

static struct item *find(struct hmap *m, uint64_t key)
{
    HMAP_FOR_EACH_WITH_HASH (it, m, key % 97, struct item, by_hash) {
        if (it->key == key)
            return it;
    }
    return NULL;
}

static void hmap_finds_what_was_inserted_and_no_more(void **state)
{
    (void)state;
    struct hmap m = {0};
    struct item items[500];
    for (uint64_t i = 0; i < ARRAY_LEN(items); i++) {
        items[i].key = i;
        hmap_insert(&m, &items[i].by_hash, i % 97); /* many of one hash */
    }
    for (uint64_t i = 0; i < ARRAY_LEN(items); i += 2)
        hmap_remove(&m, &items[i].by_hash);
    for (uint64_t i = 0; i < ARRAY_LEN(items); i++)
        assert_ptr_equal(find(&m, i), i % 2 ? &items[i] : NULL);
    size_t n = 0;
    HMAP_FOR_EACH_SAFE (it, &m, struct item, by_hash) {
        hmap_remove(&m, &it->by_hash);
        n++;
    }
    assert_int_equal(n, 250);
    assert_int_equal(m.count, 0);
    hmap_close(&m);
}

static struct item *find_own(struct hmap *m, uint64_t key)
{
    HMAP_FOR_EACH_WITH_HASH (it, m, hash_u64(key), struct item, by_hash) {
        if (it->key == key)
            return it;
    }
    return NULL;
}

static size_t count_all(const struct hmap *m)
{
    size_t n = 0;
    HMAP_FOR_EACH (it, m, struct item, by_hash)
        n += it->key < 5000;
    return n;
}

/* No insertion moves more than a few buckets, and all is found in whichever table it is. */
static void hmap_grows_a_little_at_a_time(void **state)
{
    enum { ITEMS = 5000 };
    (void)state;
    struct hmap m = {0};
    struct item *items = calloc(ITEMS, sizeof(*items));
    size_t growing = 0;
    for (uint64_t i = 0; i < ITEMS; i++) {
        size_t moved = m.old ? m.moved : 0;
        items[i].key = i;
        hmap_insert(&m, &items[i].by_hash, hash_u64(i));
        if (m.old) {
            growing++;
            assert_in_range(m.moved - moved, 1, 4);
        }
        if (i % 3 == 0 && i > 0) {
            hmap_remove(&m, &items[i / 2].by_hash);
            assert_null(find_own(&m, i / 2));
            assert_int_equal(count_all(&m), m.count);
            hmap_insert(&m, &items[i / 2].by_hash, hash_u64(i / 2));
        }
        assert_ptr_equal(find_own(&m, i), &items[i]);
        assert_ptr_equal(find_own(&m, i / 3), &items[i / 3]);
    }
    assert_true(growing > 500);
    assert_int_equal(count_all(&m), ITEMS);
    HMAP_FOR_EACH_SAFE (it, &m, struct item, by_hash)
        hmap_remove(&m, &it->by_hash);
    assert_int_equal(m.count, 0);
    hmap_close(&m);
    free(items);
}

static void list_keeps_order(void **state)
{
    (void)state;
    struct list head;
    struct item items[3];
    list_init(&head);
    for (uint64_t i = 0; i < 3; i++) {
        items[i].key = i;
        list_append(&head, &items[i].link);
    }
    list_remove(&items[1].link);
    list_remove(&items[1].link); /* twice does no harm */
    uint64_t expect = 0;
    LIST_FOR_EACH (it, &head, struct item, link) {
        assert_int_equal(it->key, expect);
        expect += 2;
    }
    assert_int_equal(expect, 4);
}

struct numbered {
    uint8_t key;
    uint16_t number;
};

static int by_key(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    return x->key - y->key;
}

static void sorting_in_parts_is_stable(void **state)
{
    (void)state;
    struct rng rng = {.state = 7};
    for (size_t n = 0; n < 200; n++) {
        struct numbered *items = mem_alloc((n + 1) * sizeof(*items));
        struct sorter s;
        size_t parts = 0;
        for (size_t i = 0; i < n; i++)
            items[i] = (struct numbered){(uint8_t)rng_below(&rng, 20), (uint16_t)i};
        sorter_begin(&s, items, n, sizeof(*items), by_key);
        while (sorter_go_on(&s, 1 + n / 7))
            parts++;
        assert_true(parts >= (n > 8 ? 7 : 0));
        items = sorter_take(&s);
        for (size_t i = 1; i < n; i++) {
            assert_true(items[i - 1].key <= items[i].key);
            assert_true(items[i - 1].key < items[i].key || items[i - 1].number < items[i].number);
        }
        free(items);
    }
}

static void one_seed_gives_one_sequence(void **state)
{
    (void)state;
    struct rng a = {42}, b = {42};
    for (int i = 0; i < 100; i++) {
        uint64_t v = rng_below(&a, 10);
        assert_true(v < 10);
        assert_int_equal(v, rng_below(&b, 10));
    }
}

static void err_set_keeps_the_sentence(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set(&e, -5, "%s: %d", "port", 70000), -5);
    assert_string_equal(e.text, "port: 70000");
    assert_int_equal(err_set(NULL, -5, "nobody listens"), -5);
}

/* ---- Log lines ---- */

static void lines_of_one_kind_are_limited(void **state)
{
    struct log_limit l = {0};
    struct log_limit_kind k;
    char text[128];
    int written = 0;
    (void)state;
    for (int i = 0; i < 1244; i++) {
        snprintf(text, sizeof(text), "10.0.0.%d:%d: no scheme \"%c\" for 0x%x", i % 256, i,
                 'a' + i % 26, i * 77);
        written += log_limit_admits(&l, text, 1, false, 5000 + i / 2);
    }
    assert_int_equal(written, LOG_LIMIT_PER_KIND);
    assert_true(log_limit_admits(&l, "something else", 2, false, 5900));
    assert_false(log_limit_next(&l, 5999, false, &k));
    assert_true(log_limit_next(&l, 6000, false, &k));
    assert_int_equal(k.suppressed, 1234);
    assert_int_equal(k.level, 1);
    assert_string_equal(k.sample, "10.0.0.10:10: no scheme \"k\" for 0x302");
    assert_false(log_limit_next(&l, 6000, false, &k));
    assert_true(log_limit_admits(&l, text, 1, false, 6000));
}

/* Whoever can choose the words of a line has no more of them. */
static void all_lines_are_limited_but_the_urgent_ones(void **state)
{
    struct log_limit l = {0};
    struct log_limit_kind k;
    char text[128];
    uint64_t written = 0, suppressed = 0;
    (void)state;
    for (int i = 0; i < 5000; i++) {
        int a = 'g' + i % 17, b = 'g' + i / 17 % 17, c = 'g' + i / 289;
        snprintf(text, sizeof(text), "%c%c%c is refused", a, b, c);
        written += log_limit_admits(&l, text, 1, false, 5000);
    }
    assert_int_equal(written, LOG_LIMIT_IN_ALL);
    assert_false(log_limit_admits(&l, "a warning", 1, false, 5000));
    assert_true(log_limit_admits(&l, "an error", 0, true, 5000));
    while (log_limit_next(&l, 5000, true, &k))
        suppressed += k.suppressed;
    assert_int_equal(suppressed, 5001 - LOG_LIMIT_IN_ALL);
    assert_true(log_limit_admits(&l, "a warning", 1, false, 6000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_grows_and_keeps_its_bytes),
        cmocka_unit_test(slices_tell_null_from_empty),
        cmocka_unit_test(hmap_finds_what_was_inserted_and_no_more),
        cmocka_unit_test(hmap_grows_a_little_at_a_time),
        cmocka_unit_test(list_keeps_order),
        cmocka_unit_test(sorting_in_parts_is_stable),
        cmocka_unit_test(one_seed_gives_one_sequence),
        cmocka_unit_test(err_set_keeps_the_sentence),
        cmocka_unit_test(lines_of_one_kind_are_limited),
        cmocka_unit_test(all_lines_are_limited_but_the_urgent_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
