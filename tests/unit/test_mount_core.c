/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mount's core, step by step, with a small tree of znodes as its servers. What is here was
 * found by tests/fuzz/fuzz_mount.c. */
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

enum {
    RENAME_BOTH = 2, /* RENAME_EXCHANGE */
};

static int setup_unmounted(void **state)
{
    (void)state;
    open_mount(MOUNT_CACHE_VERSIONS);
    return 0;
}

static void nothing_is_mounted_after_the_end(void **state)
{
    (void)state;
    step(MOUNT_STOP);
    assert_int_equal(n_effects[MOUNT_END], 1);
    answer_all();
    assert_int_equal(n_effects[MOUNT_DO_MOUNT], 0);
    assert_int_equal(n_effects[MOUNT_END], 1);
}

static void what_comes_after_the_end_is_answered_without_the_servers(void **state)
{
    (void)state;
    uint64_t ino = lookup(1, "a");
    step(MOUNT_STOP);
    size_t before = n_effects[MOUNT_ASK];
    n_replies = 0;
    event.now_ms += 5000;
    request((struct mount_request){.op = MOUNT_OPEN, .ino = ino});
    assert_int_equal(n_replies, 1);
    assert_int_equal(last.err, ETIMEDOUT);
    assert_int_equal(n_effects[MOUNT_ASK], before);
}

static void a_directory_is_not_cut(void **state)
{
    (void)state;
    request((struct mount_request){.op = MOUNT_SETATTR, .ino = 1, .set = MOUNT_SET_SIZE});
    assert_int_equal(last.err, EISDIR);
    request((struct mount_request){.op = MOUNT_OPEN, .ino = 1, .open_flags = O_WRONLY});
    answer_all();
    assert_int_equal(last.err, EISDIR);
}

static void a_size_below_zero_is_none(void **state)
{
    (void)state;
    struct buf body = {0};
    const struct zk_stat stat = {.czxid = 1, .mzxid = 1, .mtime = -1, .data_length = -5};
    request((struct mount_request){.op = MOUNT_LOOKUP, .ino = 1, .name = "a"});
    answer_until(ZK_OP_getACL);
    jute_write_int(&body, 0);
    zk_stat_write(&body, &stat);
    struct slice bytes = buf_slice(&body);
    answer_as(ZK_OK, &bytes);
    answer_all();
    assert_int_equal(last.entry.st.st_size, 0);
    assert_int_equal(last.entry.st.st_mtim.tv_sec, -1);
    assert_int_equal(last.entry.st.st_mtim.tv_nsec, 999000000);
    buf_close(&body);
}

/* What the status says of the nodes. */
static int nodes_known(void)
{
    char text[4096] = "";
    request((struct mount_request){.op = MOUNT_OPEN, .ino = 3});
    uint64_t fh = last.opened.fh;
    request((struct mount_request){.op = MOUNT_READ, .fh = fh, .size = sizeof(text) - 1});
    memcpy(text, last.data.data, slice_size(last.data));
    request((struct mount_request){.op = MOUNT_RELEASE, .fh = fh});
    assert_non_null(strstr(text, "\nnodes: "));
    return atoi(strstr(text, "\nnodes: ") + strlen("\nnodes: "));
}

static void a_data_file_that_was_only_named_is_forgotten(void **state)
{
    (void)state;
    int before = nodes_known();
    request((struct mount_request){
        .op = MOUNT_RENAME, .ino = 1, .name = "a", .new_ino = 1, .new_name = ".data"});
    assert_int_equal(last.err, EXDEV);
    request((struct mount_request){.op = MOUNT_UNLINK, .ino = 1, .name = ".data"});
    answer_until(ZK_OP_setData);
    answer_as(ZK_NOAUTH, NULL);
    answer_all();
    assert_int_equal(last.err, EACCES);
    assert_int_equal(nodes_known(), before);
}

/* The kernel gives up a whole listing for one of them. */
static void a_name_that_no_server_has_is_not_listed(void **state)
{
    static const char *const names[] = {"a/b", "", ".", "..", "a"};
    struct buf body = {0};
    (void)state;
    struct jute_builder vb = jute_vector_begin(&body);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        jute_write_buffer(&body, slice_str(names[i]));
    jute_write_buffer(&body, slice_of("\0x", 2));
    vb.count = ARRAY_LEN(names) + 1;
    jute_vector_end(&vb);
    zk_stat_write(&body, &(struct zk_stat){0});
    struct slice bytes = buf_slice(&body);
    request((struct mount_request){.op = MOUNT_LOOKUP, .ino = 1, .name = "b"});
    answer_until(ZK_OP_getChildren2);
    answer_as(ZK_OK, &bytes);
    answer_all();
    request((struct mount_request){.op = MOUNT_OPENDIR, .ino = last.entry.ino});
    uint64_t fh = last.opened.fh;
    request((struct mount_request){.op = MOUNT_READDIR, .fh = fh, .size = 4096});
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_DIR);
    assert_int_equal(last.n_entries, 3); /* with "." and ".." */
    request((struct mount_request){.op = MOUNT_RELEASEDIR, .fh = fh});
    buf_close(&body);
}

/* Of what the answer to `op` says nothing can be read. */
static void move_unread(enum zk_op op)
{
    struct slice nothing = SLICE_EMPTY;
    lookup(1, "b");
    request((struct mount_request){
        .op = MOUNT_RENAME, .ino = 1, .name = "b", .new_ino = 1, .new_name = "f"});
    answer_until(op);
    answer_as(ZK_OK, &nothing);
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_ERR);
    assert_int_equal(last.err, EIO);
    assert_int_equal(n_multis, 0);
}

static void a_directory_does_not_move_without_its_data(void **state)
{
    (void)state;
    move_unread(ZK_OP_getData);
}

static void a_directory_does_not_move_without_its_acl(void **state)
{
    (void)state;
    move_unread(ZK_OP_getACL);
}

static void a_directory_does_not_move_without_its_children(void **state)
{
    (void)state;
    move_unread(ZK_OP_getChildren2);
}

static void a_touch_whose_answer_was_lost_is_tried_again(void **state)
{
    (void)state;
    uint64_t ino = lookup(1, "a");
    request((struct mount_request){.op = MOUNT_SETATTR, .ino = ino, .set = MOUNT_SET_MTIME_NOW});
    answer_until(ZK_OP_setData);
    answer_as(ZK_CONNECTIONLOSS, NULL);
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_ATTR);
}

/* Of the two that are exchanged one is removed and made again while they are: what is asked before
 * the multi says that it is gone. */
static void an_exchange_may_be_overtaken(void **state)
{
    (void)state;
    uint64_t dir = lookup(1, "b");
    lookup(dir, "a");
    lookup(dir, "b");
    request((struct mount_request){.op = MOUNT_RENAME,
                                   .ino = dir,
                                   .name = "a",
                                   .new_ino = dir,
                                   .new_name = "b",
                                   .flags = RENAME_BOTH});
    answer_until(ZK_OP_getData);
    answer_as(ZK_OK, NULL);
    answer_until(ZK_OP_getData);
    event.watch.event = (struct zk_watcher_event){ZK_EVENT_DATA_CHANGED, 3, slice_str("/b/b")};
    event.watch.zxid = servers.zxid;
    step(MOUNT_WATCH_FIRED);
    step(MOUNT_TICK);
    answer_as(ZK_OK, NULL);
    znodes_delete(&servers, "/b/b");
    answer_until(ZK_OP_multi);
    znodes_create(&servers, "/b/b", slice_str("new"), false);
    n_replies = 0;
    answer_as(ZK_OK, NULL);
    assert_int_equal(n_replies, 1);
    assert_int_equal(last.op, MOUNT_RENAME);
    assert_int_equal(last.err, 0);
}

/* A tree of directories that all have the same name is renamed: each is read once or twice. */
static void a_name_that_recurs_does_not_multiply(void **state)
{
    uint64_t ino = lookup(1, "b");
    char path[32];
    (void)state;
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof(path), "/b%.*s", 2 * (i + 1), "/s/s/s/s/s/s");
        assert_true(znodes_create(&servers, path, SLICE_NULL, false));
    }
    tell_events();
    step(MOUNT_TICK);
    answer_all();
    for (int i = 0; i < 6; i++)
        ino = lookup(ino, "s");
    size_t before = n_effects[MOUNT_ASK];
    assert_true(znodes_move(&servers, "/b", "/f"));
    tell_events();
    pass_rounds();
    assert_true(n_effects[MOUNT_ASK] - before < 200);
}

/* The kernel does not ask for it. */
static void nothing_is_renamed_over_its_directory(void **state)
{
    (void)state;
    uint64_t dir = lookup(1, "b");
    lookup(dir, "a");
    request((struct mount_request){
        .op = MOUNT_RENAME, .ino = dir, .name = "a", .new_ino = 1, .new_name = "b"});
    assert_int_equal(last.err, ENOTEMPTY);
    request((struct mount_request){
        .op = MOUNT_RENAME, .ino = 1, .name = "b", .new_ino = dir, .new_name = "c"});
    assert_int_equal(last.err, EINVAL);
    request((struct mount_request){
        .op = MOUNT_RENAME, .ino = 1, .name = "b", .new_ino = 1, .new_name = "b"});
    assert_int_equal(last.err, 0);
    uint64_t file = lookup(1, "a");
    request((struct mount_request){.op = MOUNT_MKDIR, .ino = file, .name = "c"});
    assert_int_equal(last.err, ENOTDIR);
}

/* The opener closes its last descriptor. */
static void flush(uint64_t fh)
{
    request((struct mount_request){.op = MOUNT_FLUSH, .fh = fh});
    event.opener.id = opener_id;
    event.opener.count = 0;
    event.opener.own = MOUNT_YES;
    event.opener.same = 0;
    step(MOUNT_OPENER_SEEN);
}

static void a_write_that_does_not_fit_is_told_at_close(void **state)
{
    (void)state;
    uint64_t ino = lookup(1, "a");
    request((struct mount_request){.op = MOUNT_OPEN, .ino = ino, .open_flags = O_WRONLY});
    answer_all();
    uint64_t fh = last.opened.fh;
    request((struct mount_request){
        .op = MOUNT_SETATTR, .ino = ino, .fh = fh, .set = MOUNT_SET_SIZE, .size = 0});
    request((struct mount_request){.op = MOUNT_WRITE, .fh = fh, .data = slice_str("x")});
    request((struct mount_request){.op = MOUNT_FSYNC, .fh = fh});
    answer_until(ZK_OP_setData);
    request((struct mount_request){
        .op = MOUNT_WRITE, .fh = fh, .offset = 2 << 20, .data = slice_str("x")});
    assert_int_equal(last.err, EFBIG);
    flush(fh);
    answer_all();
    assert_int_equal(last.op, MOUNT_FLUSH);
    assert_int_equal(last.err, EFBIG);
    request((struct mount_request){.op = MOUNT_RELEASE, .fh = fh});
}

/* Somebody else makes it while it is open, and does not let us write to it. */
static void a_name_that_is_not_ours_is_there_after_a_create_that_failed(void **state)
{
    (void)state;
    request((struct mount_request){
        .op = MOUNT_CREATE, .ino = 1, .name = "new", .mode = 0666, .open_flags = O_WRONLY});
    uint64_t fh = last.opened.fh;
    assert_true(znodes_create(&servers, "/new", slice_str("theirs"), false));
    assert_true(znodes_set_acl(&servers, "/new", ZNODES_CLOSED));
    tell_events();
    for (int i = 0; i < 20; i++) {
        step(MOUNT_TICK);
        while (first_asked < n_asked)
            answer_as(is_next(ZK_OP_exists) ? ZK_NOAUTH : ZK_OK, NULL);
    }
    flush(fh);
    answer_until(ZK_OP_setData);
    answer_as(ZK_NOAUTH, NULL);
    answer_all();
    assert_int_equal(last.op, MOUNT_FLUSH);
    assert_int_equal(last.err, EACCES);
    request((struct mount_request){.op = MOUNT_RELEASE, .fh = fh});
    pass_rounds();
    assert_int_not_equal(lookup(1, "new"), 0);
}

static void a_file_that_is_being_made_is_removed_after_that(void **state)
{
    (void)state;
    request((struct mount_request){
        .op = MOUNT_CREATE, .ino = 1, .name = "new", .mode = 0666, .open_flags = O_WRONLY});
    uint64_t fh = last.opened.fh;
    request((struct mount_request){.op = MOUNT_FSYNC, .fh = fh});
    answer_until(ZK_OP_create2);
    request((struct mount_request){.op = MOUNT_UNLINK, .ino = 1, .name = "new"});
    answer_all();
    assert_int_equal(last.op, MOUNT_UNLINK);
    assert_int_equal(last.err, 0);
    assert_false(znodes_delete(&servers, "/new"));
    request((struct mount_request){.op = MOUNT_RELEASE, .fh = fh});
}

static void a_name_is_found_while_it_is_replaced(void **state)
{
    (void)state;
    lookup(1, "a");
    lookup(1, "d");
    request((struct mount_request){
        .op = MOUNT_RENAME, .ino = 1, .name = "a", .new_ino = 1, .new_name = "d"});
    answer_until(ZK_OP_multi);
    event.now_ms += 2000; /* so that an ACL has to be read again */
    request((struct mount_request){.op = MOUNT_LOOKUP, .ino = 1, .name = "d"});
    answer_all();
    assert_int_equal(last.op, MOUNT_LOOKUP);
    assert_int_equal(last.type, MOUNT_REPLY_ENTRY);
    assert_int_not_equal(last.entry.ino, 0);
}

static void a_name_whose_maker_gave_up_is_told(void **state)
{
    (void)state;
    request((struct mount_request){.op = MOUNT_MKDIR, .ino = 1, .name = "new", .mode = 0777});
    answer_until(ZK_OP_create2);
    answer_as(ZK_OK, NULL);
    event.now_ms += 5000;
    step(MOUNT_TICK);
    assert_int_equal(last.op, MOUNT_MKDIR);
    assert_int_equal(last.err, ETIMEDOUT);
    size_t before = n_effects[MOUNT_INJECT];
    answer_all();
    pass_rounds();
    assert_int_equal(n_effects[MOUNT_INJECT], before + 1);
}

/* Somebody has made it since the kernel was told that there is none. */
static void a_create_of_what_is_there_opens_it(void **state)
{
    (void)state;
    request((struct mount_request){
        .op = MOUNT_CREATE, .ino = 1, .name = "a", .mode = 0644, .open_flags = O_RDWR | O_CREAT});
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_CREATE);
    uint64_t ino = last.entry.ino, fh = last.opened.fh;
    request((struct mount_request){.op = MOUNT_READ, .ino = ino, .fh = fh, .size = 4096});
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_DATA);
    assert_int_equal(slice_size(last.data), strlen("hello"));
    request((struct mount_request){.op = MOUNT_RELEASE, .fh = fh});
}

static uint64_t open_to_edit(const char *name)
{
    uint64_t ino = lookup(1, name);
    request((struct mount_request){.op = MOUNT_OPEN, .ino = ino, .open_flags = O_RDWR});
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_OPEN);
    return last.opened.fh;
}

static void edit(uint64_t fh)
{
    request((struct mount_request){.op = MOUNT_WRITE, .fh = fh, .data = slice_str("J")});
    answer_all();
    request((struct mount_request){.op = MOUNT_FSYNC, .fh = fh});
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_ERR);
    assert_int_equal(last.err, 0);
    request((struct mount_request){.op = MOUNT_RELEASE, .fh = fh});
}

/* It is another znode then, of another version, with the same bytes. */
static void what_is_renamed_while_it_is_edited_is_edited_on(void **state)
{
    (void)state;
    assert_true(znodes_set(&servers, "/a", slice_str("hello")));
    assert_true(znodes_set(&servers, "/d", slice_str("another")));
    assert_true(znodes_create(&servers, "/x", slice_str("third"), false));
    tell_events();
    pass_rounds();
    uint64_t fh = open_to_edit("a");
    request((struct mount_request){
        .op = MOUNT_RENAME, .ino = 1, .name = "a", .new_ino = 1, .new_name = "d"});
    answer_all();
    assert_int_equal(last.err, 0);
    edit(fh);
    fh = open_to_edit("d");
    uint64_t other = open_to_edit("x");
    request((struct mount_request){.op = MOUNT_RENAME,
                                   .ino = 1,
                                   .name = "d",
                                   .new_ino = 1,
                                   .new_name = "x",
                                   .flags = RENAME_BOTH});
    answer_all();
    assert_int_equal(last.err, 0);
    edit(fh);
    edit(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_mounted_after_the_end, setup_unmounted,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_comes_after_the_end_is_answered_without_the_servers,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_is_not_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(a_size_below_zero_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_data_file_that_was_only_named_is_forgotten, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_name_that_no_server_has_is_not_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_does_not_move_without_its_data, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_directory_does_not_move_without_its_acl, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_does_not_move_without_its_children, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_touch_whose_answer_was_lost_is_tried_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_name_that_recurs_does_not_multiply, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_renamed_over_its_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(an_exchange_may_be_overtaken, setup, teardown),
        cmocka_unit_test_setup_teardown(a_write_that_does_not_fit_is_told_at_close, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_name_that_is_not_ours_is_there_after_a_create_that_failed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_being_made_is_removed_after_that, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_name_is_found_while_it_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_whose_maker_gave_up_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_create_of_what_is_there_opens_it, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_renamed_while_it_is_edited_is_edited_on, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
