/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the mount's core tells watchers, and lets the kernel keep. What is here was found by the
 * simulator's mirror, a program that believes nothing but inotify. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>

#include "mount_lib.h"

/* ---- Events ---- */

static struct {
    bool create, data, delete;
} told;

/* Rounds and injections, until nothing is to be told any more. */
static void tell(const char *path)
{
    told.create = told.data = told.delete = false;
    for (int i = 0; i < 40; i++) {
        step(MOUNT_TICK);
        answer_all();
        while (injecting.kind != MOUNT_INJECT_PROBE) {
            bool it = strcmp(injecting.path, path) == 0;
            told.create |= it && injecting.kind == MOUNT_INJECT_CREATE;
            told.data |= it && injecting.kind == MOUNT_INJECT_DATA;
            told.delete |= it && injecting.kind == MOUNT_INJECT_DELETE;
            injected();
        }
    }
}

static void change(bool worked)
{
    assert_true(worked);
    tell_events();
}

/* May the kernel keep what it had? Then it is listed. */
static bool keeps_listing(uint64_t dir)
{
    request((struct mount_request){.op = MOUNT_OPENDIR, .ino = dir});
    struct mount_opened o = last.opened;
    request((struct mount_request){.op = MOUNT_READDIR, .ino = dir, .fh = o.fh, .size = 4096});
    answer_all();
    request((struct mount_request){.op = MOUNT_RELEASEDIR, .fh = o.fh});
    return o.keep_cache;
}

/* The list could not be had when it was looked up; then it could. */
static void a_name_that_was_looked_up_before_its_list_is_told_of(void **state)
{
    struct slice nothing = SLICE_EMPTY;
    (void)state;
    request((struct mount_request){.op = MOUNT_LOOKUP, .ino = 1, .name = "b"});
    answer_until(ZK_OP_getChildren2);
    answer_as(ZK_NOAUTH, &nothing);
    answer_all();
    uint64_t dir = last.entry.ino;
    lookup(dir, "a");
    (void)keeps_listing(dir);
    tell("/mnt/b/a");
    change(znodes_set(&servers, "/b/a", slice_str("new")));
    tell("/mnt/b/a");
    assert_true(told.data);
}

/* A touch raises an event of its own, which tells nobody that the file was made a moment ago. */
static void a_touch_does_not_hide_that_it_was_made(void **state)
{
    (void)state;
    lookup(1, "a");
    change(znodes_delete(&servers, "/a"));
    change(znodes_create(&servers, "/a", slice_str("another"), false));
    uint64_t ino = lookup(1, "a");
    request((struct mount_request){.op = MOUNT_SETATTR, .ino = ino, .set = MOUNT_SET_MTIME_NOW});
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_ATTR);
    tell("/mnt/a");
    assert_true(told.delete &&told.create);
}

/* Nor that somebody else has written to it. */
static void a_touch_does_not_hide_what_others_wrote(void **state)
{
    (void)state;
    uint64_t ino = lookup(1, "a");
    assert_true(znodes_set(&servers, "/a", slice_str("another")));
    request((struct mount_request){.op = MOUNT_SETATTR, .ino = ino, .set = MOUNT_SET_MTIME_NOW});
    answer_all();
    tell("/mnt/a");
    assert_true(told.data);
}

/* It comes and goes before it is told, and somebody has seen it: both are told then, in order. */
static void the_end_is_told_of_what_somebody_was_given(void **state)
{
    (void)state;
    change(znodes_create(&servers, "/x", slice_str("short-lived"), false));
    step(MOUNT_TICK);
    answer_until(ZK_OP_exists); /* its name is known now */
    n_replies = 0;
    request((struct mount_request){.op = MOUNT_LOOKUP, .ino = 1, .name = "x"});
    while (n_replies == 0)
        answer_as(ZK_OK, NULL);
    assert_int_not_equal(last.entry.ino, 0);
    change(znodes_delete(&servers, "/x"));
    tell("/mnt/x");
    assert_true(told.create && told.delete);
}

/* Nobody here may read it; there it is. */
static void what_may_not_be_read_is_told_of(void **state)
{
    (void)state;
    assert_true(znodes_create(&servers, "/x", slice_str("secret"), false));
    change(znodes_set_acl(&servers, "/x", ZNODES_CLOSED));
    tell("/mnt/x");
    assert_true(told.create);
    change(znodes_delete(&servers, "/x"));
    tell("/mnt/x");
    assert_true(told.delete);
}

/* ---- What the kernel may keep ---- */

/* It was listed while a file was written that had not been made yet. */
static void a_listing_without_a_pending_name_is_not_kept(void **state)
{
    (void)state;
    uint64_t dir = lookup(1, "b");
    assert_true(keeps_listing(dir));
    request((struct mount_request){.op = MOUNT_CREATE,
                                   .ino = dir,
                                   .name = "new",
                                   .mode = 0644,
                                   .open_flags = O_WRONLY | O_CREAT});
    answer_all();
    uint64_t fh = last.opened.fh;
    assert_true(keeps_listing(dir));
    size_t before = n_effects[MOUNT_INVAL_INODE];
    request((struct mount_request){.op = MOUNT_FSYNC, .fh = fh});
    answer_all();
    assert_int_equal(last.err, 0);
    assert_int_equal(n_effects[MOUNT_INVAL_INODE], before + 1); /* for what is open */
    assert_false(keeps_listing(dir));
    assert_true(keeps_listing(dir));
    request((struct mount_request){.op = MOUNT_RELEASE, .fh = fh});
}

static int setup_pages(void **state)
{
    return setup_with(state, MOUNT_CACHE_PAGES);
}

static struct mount_opened open_and_read(uint64_t ino)
{
    request((struct mount_request){.op = MOUNT_OPEN, .ino = ino});
    answer_all();
    struct mount_opened o = last.opened;
    request((struct mount_request){.op = MOUNT_READ, .ino = ino, .fh = o.fh, .size = 4096});
    answer_all();
    request((struct mount_request){.op = MOUNT_RELEASE, .fh = o.fh});
    return o;
}

/* With -o cache=pages: the kernel is not told yet that its pages, and its size, are old. */
static void old_pages_are_not_used_for_a_new_version(void **state)
{
    (void)state;
    uint64_t ino = lookup(1, "a");
    assert_true(open_and_read(ino).keep_cache);
    assert_true(open_and_read(ino).keep_cache);
    change(znodes_set(&servers, "/a", slice_str("longer than before")));
    assert_true(open_and_read(ino).direct_io);
    lookup(1, "a"); /* the size */
    assert_true(open_and_read(ino).keep_cache);
}

/* ---- Directories that are gone ---- */

/* Their path is another's by now. */
static void nothing_is_done_in_a_directory_that_is_gone(void **state)
{
    (void)state;
    uint64_t dir = lookup(1, "b"), other = lookup(1, "c");
    lookup(dir, "a");
    change(znodes_delete(&servers, "/b/a") && znodes_delete(&servers, "/b/b") &&
           znodes_delete(&servers, "/b") && znodes_create(&servers, "/b", SLICE_NULL, false) &&
           znodes_create(&servers, "/b/a", slice_str("another's"), false));
    step(MOUNT_TICK);
    answer_all();
    const struct mount_request requests[] = {
        {.op = MOUNT_UNLINK, .ino = dir, .name = "a"},
        {.op = MOUNT_MKDIR, .ino = dir, .name = "x", .mode = 0755},
        {.op = MOUNT_CREATE, .ino = dir, .name = "x", .open_flags = O_WRONLY | O_CREAT},
        {.op = MOUNT_RENAME, .ino = dir, .name = "a", .new_ino = other, .new_name = "x"},
        {.op = MOUNT_RENAME, .ino = 1, .name = "d", .new_ino = dir, .new_name = "x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        request(requests[i]);
        answer_all();
        assert_int_equal(last.type, MOUNT_REPLY_ERR);
        assert_int_equal(last.err, ESTALE);
    }
    assert_true(znodes_delete(&servers, "/b/a"));
}

/* ---- Descriptors ---- */

/* With copies of the descriptor that nobody could count, a close may be taken for the last. */
static void what_a_close_gave_up_is_no_success_for_its_copies(void **state)
{
    (void)state;
    uint64_t ino = lookup(1, "a");
    request((struct mount_request){.op = MOUNT_OPEN, .ino = ino, .open_flags = O_WRONLY});
    answer_all();
    uint64_t fh = last.opened.fh;
    request(
        (struct mount_request){.op = MOUNT_WRITE, .ino = ino, .fh = fh, .data = slice_str("x")});
    answer_all();
    request((struct mount_request){.op = MOUNT_FLUSH, .ino = ino, .fh = fh});
    event.opener.id = opener_id;
    event.opener.count = -1;
    event.opener.own = MOUNT_YES;
    step(MOUNT_OPENER_SEEN);
    answer_until(ZK_OP_setData);
    answer_as(ZK_NOAUTH, NULL);
    answer_all();
    assert_int_equal(last.err, EACCES);
    request((struct mount_request){.op = MOUNT_FSYNC, .ino = ino, .fh = fh});
    answer_all();
    assert_int_equal(last.err, EACCES);
    request((struct mount_request){.op = MOUNT_FLUSH, .ino = ino, .fh = fh});
    answer_all();
    assert_int_equal(last.err, EACCES);
    request((struct mount_request){.op = MOUNT_RELEASE, .fh = fh});
}

/* The kernel takes the size of the answer. */
static void a_truncating_open_is_answered_its_size(void **state)
{
    (void)state;
    uint64_t ino = lookup(1, "a");
    request((struct mount_request){.op = MOUNT_OPEN, .ino = ino, .open_flags = O_WRONLY});
    answer_all();
    uint64_t fh = last.opened.fh;
    request((struct mount_request){.op = MOUNT_SETATTR, .ino = ino, .set = MOUNT_SET_SIZE});
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_ATTR);
    assert_int_equal(last.entry.st.st_size, 0);
    request((struct mount_request){.op = MOUNT_RELEASE, .fh = fh});
}

/* tail waits for ever where fstat promises what no read gives. */
static void a_file_that_is_gone_is_as_long_as_what_can_be_read(void **state)
{
    (void)state;
    uint64_t ino = lookup(1, "a");
    (void)open_and_read(ino);
    change(znodes_set(&servers, "/a", slice_str("hello, and more")));
    tell("/mnt/a");
    change(znodes_delete(&servers, "/a"));
    tell("/mnt/a");
    assert_true(told.delete);
    request((struct mount_request){.op = MOUNT_GETATTR, .ino = ino});
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_ATTR);
    assert_int_equal(last.entry.st.st_size, strlen("hello"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_that_was_looked_up_before_its_list_is_told_of, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_touch_does_not_hide_that_it_was_made, setup, teardown),
        cmocka_unit_test_setup_teardown(a_touch_does_not_hide_what_others_wrote, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_is_told_of_what_somebody_was_given, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_may_not_be_read_is_told_of, setup, teardown),
        cmocka_unit_test_setup_teardown(a_listing_without_a_pending_name_is_not_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(old_pages_are_not_used_for_a_new_version, setup_pages,
                                        teardown),
        cmocka_unit_test_setup_teardown(nothing_is_done_in_a_directory_that_is_gone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_a_close_gave_up_is_no_success_for_its_copies, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_truncating_open_is_answered_its_size, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_gone_is_as_long_as_what_can_be_read, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
