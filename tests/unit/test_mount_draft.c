/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/mount/model.h"

enum {
    LIMIT = 100,
};

static struct content *content_of(const char *text, int32_t version)
{
    struct zk_stat stat = {.version = version};
    return content_new(slice_str(text), &stat);
}

static void assert_result(const struct draft *d, const struct content *now, const char *want)
{
    struct buf out = {0};
    draft_result(d, now, &out);
    assert_true(slice_eq_str(buf_slice(&out), want));
    buf_close(&out);
}

static void a_truncation_makes_it_the_whole_content(void **state)
{
    (void)state;
    struct draft d;
    draft_init(&d, false);
    assert_true(draft_needs_base(&d));
    assert_int_equal(draft_truncate(&d, 0, LIMIT), 0);
    assert_int_equal(d.mode, DRAFT_WHOLE);
    assert_true(d.dirty);
    assert_false(d.written);
    assert_int_equal(draft_write(&d, slice_str("new"), 0, LIMIT), 0);
    assert_true(d.written);
    struct content *old = content_of("something else", 3);
    assert_result(&d, old, "new");
    content_unref(old);
    draft_close(&d);
}

static void an_edit_keeps_what_it_does_not_write(void **state)
{
    (void)state;
    struct draft d;
    struct content *base = content_of("abcdef", 7);
    draft_init(&d, false);
    draft_load(&d, base);
    draft_write(&d, slice_str("XY"), 2, LIMIT);
    assert_result(&d, base, "abXYef");
    assert_int_equal(d.base, 7);
    draft_truncate(&d, 3, LIMIT);
    assert_result(&d, base, "abX");
    content_unref(base);
    draft_close(&d);
}

static void a_hole_is_filled_with_zeros(void **state)
{
    (void)state;
    struct draft d;
    struct buf out = {0};
    draft_init(&d, false);
    draft_truncate(&d, 0, LIMIT);
    draft_write(&d, slice_str("x"), 2, LIMIT);
    draft_result(&d, NULL, &out);
    assert_true(slice_eq(buf_slice(&out), slice_of("\0\0x", 3)));
    buf_close(&out);
    draft_close(&d);
}

static void an_append_comes_behind_whatever_is_there(void **state)
{
    (void)state;
    struct draft d;
    struct content *now = content_of("a\n", 1);
    draft_init(&d, true);
    assert_false(draft_needs_base(&d));
    draft_write(&d, slice_str("b\n"), 999999, LIMIT); /* the kernel's offset says nothing */
    draft_write(&d, slice_str("c\n"), 0, LIMIT);
    assert_result(&d, now, "a\nb\nc\n");
    content_unref(now);
    draft_close(&d);
}

static void bytes_written_during_a_commit_are_appended_next(void **state)
{
    (void)state;
    struct draft d;
    draft_init(&d, true);
    draft_write(&d, slice_str("one"), 0, LIMIT);
    size_t sent = d.data.len;
    draft_write(&d, slice_str("two"), 0, LIMIT);
    draft_committed(&d, sent, d.cuts, false, 4);
    assert_true(d.dirty);
    assert_result(&d, NULL, "two");
    draft_committed(&d, d.data.len, d.cuts, true, 5);
    assert_false(d.dirty);
    assert_result(&d, NULL, "");
    draft_close(&d);
}

static void a_whole_draft_stays_whole_after_its_commit(void **state)
{
    (void)state;
    struct draft d;
    draft_init(&d, false);
    draft_truncate(&d, 0, LIMIT);
    draft_write(&d, slice_str("a\n"), 0, LIMIT);
    draft_committed(&d, d.data.len, d.cuts, true, 1);
    assert_false(d.dirty);
    draft_write(&d, slice_str("b\n"), 2, LIMIT);
    assert_result(&d, NULL, "a\nb\n");
    draft_close(&d);
}

static void too_much_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct draft d;
    draft_init(&d, false);
    draft_truncate(&d, 0, LIMIT);
    draft_write(&d, slice_str("kept"), 0, LIMIT);
    assert_int_equal(draft_write(&d, slice_str("xx"), LIMIT - 1, LIMIT), -EFBIG);
    assert_int_equal(draft_write(&d, slice_str("x"), UINT64_MAX, LIMIT), -EFBIG);
    assert_int_equal(draft_truncate(&d, LIMIT + 1, LIMIT), -EFBIG);
    assert_result(&d, NULL, "kept");
    draft_close(&d);
}

static void a_reader_of_the_descriptor_sees_its_draft(void **state)
{
    (void)state;
    struct draft d;
    struct content *base = content_of("abcdef", 7);
    draft_init(&d, false);
    assert_true(slice_eq_str(draft_whole(&d, base, NULL), "abcdef"));
    assert_int_equal(draft_size(&d, 6), 6);
    draft_load(&d, base);
    draft_write(&d, slice_str("Zz"), 5, LIMIT);
    assert_true(slice_eq_str(draft_whole(&d, base, NULL), "abcdeZz"));
    assert_int_equal(draft_size(&d, 6), 7);
    content_unref(base);
    draft_close(&d);
}

static void a_reader_of_an_append_sees_it_behind_what_is_there(void **state)
{
    (void)state;
    struct draft d;
    struct buf joined = {0};
    struct content *base = content_of("ab", 7);
    draft_init(&d, true);
    draft_write(&d, slice_str("c"), 0, LIMIT);
    assert_true(slice_eq_str(draft_whole(&d, base, &joined), "abc"));
    assert_int_equal(draft_size(&d, 2), 3);
    buf_close(&joined);
    content_unref(base);
    draft_close(&d);
}

static void an_append_that_is_cut_is_an_edit(void **state)
{
    (void)state;
    struct draft d;
    struct content *base = content_of("abcd", 7);
    draft_init(&d, true);
    draft_write(&d, slice_str("ef"), 0, LIMIT);
    assert_true(draft_needs_base_to_truncate(&d, 5));
    assert_false(draft_needs_base_to_truncate(&d, 0));
    draft_load(&d, base);
    draft_truncate(&d, 5, LIMIT);
    draft_write(&d, slice_str("g"), 0, LIMIT);
    assert_result(&d, base, "abcdeg");
    assert_int_equal(d.base, 7);
    content_unref(base);
    draft_close(&d);
}

static void what_is_written_behind_a_cut_is_not_taken_for_what_was_sent(void **state)
{
    (void)state;
    struct draft d;
    draft_init(&d, true);
    draft_truncate(&d, 0, LIMIT);
    draft_write(&d, slice_str("sent"), 0, LIMIT);
    size_t sent = d.data.len;
    unsigned cuts = d.cuts;
    draft_truncate(&d, 0, LIMIT);
    draft_write(&d, slice_str("new"), 0, LIMIT);
    draft_committed(&d, sent, cuts, false, 4);
    assert_true(d.dirty);
    assert_int_equal(d.mode, DRAFT_WHOLE);
    assert_result(&d, NULL, "new");
    draft_close(&d);
}

static void a_write_that_does_not_fit_voids_the_draft_until_it_is_cut(void **state)
{
    (void)state;
    struct draft d;
    draft_init(&d, false);
    draft_truncate(&d, 0, LIMIT);
    assert_int_equal(draft_write(&d, slice_str("x"), LIMIT, LIMIT), -EFBIG);
    assert_true(d.too_large && d.dirty);
    assert_int_equal(draft_write(&d, slice_str("x"), 0, LIMIT), -EFBIG);
    draft_truncate(&d, 0, LIMIT);
    assert_false(d.too_large);
    assert_int_equal(draft_write(&d, slice_str("x"), 0, LIMIT), 0);
    draft_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_of_an_append_sees_it_behind_what_is_there),
        cmocka_unit_test(an_append_that_is_cut_is_an_edit),
        cmocka_unit_test(what_is_written_behind_a_cut_is_not_taken_for_what_was_sent),
        cmocka_unit_test(a_write_that_does_not_fit_voids_the_draft_until_it_is_cut),
        cmocka_unit_test(a_truncation_makes_it_the_whole_content),
        cmocka_unit_test(an_edit_keeps_what_it_does_not_write),
        cmocka_unit_test(a_hole_is_filled_with_zeros),
        cmocka_unit_test(an_append_comes_behind_whatever_is_there),
        cmocka_unit_test(bytes_written_during_a_commit_are_appended_next),
        cmocka_unit_test(a_whole_draft_stays_whole_after_its_commit),
        cmocka_unit_test(too_much_is_refused_and_changes_nothing),
        cmocka_unit_test(a_reader_of_the_descriptor_sees_its_draft),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
