/* SPDX-License-Identifier: GPL-3.0-or-later */
/* No step of the mount's core does more for a directory with very many names than it may: what
 * comes and goes in each of them is counted, and another request is answered between any two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "zab/mount.h"
#include "zab/records.h"

enum {
    NAMES = 200000,
    STEP_NAMES = 500,
    IN_FLIGHT = 1000,
    /* What a step may do besides: the directory, and its watches and events. */
    SOME_MORE = 16,
    PARTS = NAMES / STEP_NAMES,
};

/* The servers: the root, one directory in it, and its names. */
enum {
    ROOT = -2,
    DIR = -1,
};

static struct {
    bool dir_gone;
    bool gone[NAMES];
    int64_t zxid;
} servers;

static struct asked {
    enum zk_op op;
    int node;
} * asked;
static size_t first_asked, n_asked, cap_asked;

static struct mount *m;
static struct mount_effects fx;
static struct mount_event event;
static size_t n_replies, n_injects;
static struct mount_reply last; /* its pointers are not valid any more */
static uint64_t last_offset;    /* of a MOUNT_REPLY_DIR */
static bool injecting;

static int node_of(struct slice record)
{
    struct jute_reader in = jute_reader_of(record);
    struct slice path = jute_read_buffer(&in);
    int node = DIR;
    char text[32];
    if (!jute_ok(&in) || path.len <= 1)
        return ROOT;
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(path));
    sscanf(text, "/dir/%d", &node);
    return node;
}

static bool is_asked(enum zk_op op)
{
    for (size_t i = first_asked; i < n_asked; i++) {
        if (asked[i].op == op)
            return true;
    }
    return false;
}

static void take_ask(const struct mount_effect *e)
{
    if (first_asked == n_asked)
        first_asked = n_asked = 0;
    if (n_asked == cap_asked) {
        cap_asked = MAX(1024, 2 * cap_asked);
        asked = mem_realloc(asked, cap_asked * sizeof(*asked));
    }
    asked[n_asked++] = (struct asked){e->ask.op, node_of(e->ask.record)};
}

static void step(enum mount_event_type type)
{
    size_t before = mount_nodes(m), asks = 0, injects = 0;
    event.type = type;
    mount_step(m, &event, &fx);
    for (size_t i = 0; i < fx.n; i++) {
        const struct mount_effect *e = &fx.list[i];
        if (e->type == MOUNT_ASK) {
            take_ask(e);
            asks++;
        } else if (e->type == MOUNT_INJECT) {
            injecting = true;
            n_injects++;
            injects++;
        } else if (e->type == MOUNT_REPLY) {
            last = *e->reply;
            n_replies++;
            if (last.n_entries > 0)
                last_offset = last.entries[last.n_entries - 1].next;
        }
    }
    size_t after = mount_nodes(m);
    assert_true(MAX(before, after) - MIN(before, after) <= STEP_NAMES + SOME_MORE);
    assert_true(asks <= STEP_NAMES + SOME_MORE);
    assert_true(injects <= 1);
    assert_true(n_asked - first_asked <= IN_FLIGHT + STEP_NAMES + SOME_MORE);
}

/* ---- The servers' part ---- */

static void write_list(struct buf *b)
{
    struct jute_builder v = jute_vector_begin(b);
    for (int i = 0; i < NAMES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        if (servers.gone[i])
            continue;
        jute_write_buffer(b, slice_str(name));
        v.count++;
    }
    jute_vector_end(&v);
}

static int32_t answer_of(const struct asked *a, struct buf *b)
{
    static const struct zk_acl anyone = {ZK_PERM_ALL,
                                         {{(const uint8_t *)"world", 5}, //
                                          {(const uint8_t *)"anyone", 6}}};
    const struct zk_stat stat = {.czxid = 1,
                                 .mzxid = 1,
                                 .data_length = a->node >= 0,
                                 .num_children = a->node == DIR ? NAMES : a->node == ROOT};
    if (a->node == DIR ? servers.dir_gone : a->node >= 0 && servers.gone[a->node])
        return a->op == ZK_OP_addWatch || a->op == ZK_OP_removeWatches ? ZK_OK : ZK_NONODE;
    if (a->op == ZK_OP_getChildren2 && a->node == DIR) {
        write_list(b);
    } else if (a->op == ZK_OP_getChildren2) {
        jute_write_int(b, !servers.dir_gone);
        if (!servers.dir_gone)
            jute_write_buffer(b, slice_str("dir"));
    } else if (a->op == ZK_OP_getACL) {
        jute_write_int(b, 1);
        zk_acl_write(b, &anyone);
    } else if (a->op == ZK_OP_whoAmI) {
        return ZK_UNIMPLEMENTED;
    }
    zk_stat_write(b, &stat);
    return ZK_OK;
}

static void answer(void)
{
    struct asked a = asked[first_asked++];
    struct buf b = {0};
    event.answer.err = answer_of(&a, &b);
    event.answer.zxid = servers.zxid;
    event.answer.body = buf_slice(&b);
    step(MOUNT_ANSWERED);
    buf_close(&b);
}

/* ---- The kernel's part ---- */

static void request(struct mount_request q)
{
    static uint64_t id;
    q.id = ++id;
    q.pid = 1;
    event.request = &q;
    step(MOUNT_REQUEST);
}

/* Somebody else, who needs no server. */
static void another(void)
{
    struct mount_reply kept = last;
    size_t before = n_replies;
    request((struct mount_request){.op = MOUNT_LISTXATTR, .ino = 1});
    assert_int_equal(n_replies, before + 1);
    n_replies = before;
    last = kept;
}

static bool is_due(void)
{
    return mount_deadline(m) <= event.now_ms;
}

/* Until nothing is left to do; answers take their time. Returns how many parts it took. */
static size_t settle(void)
{
    for (size_t parts = 0;;) {
        if (is_due()) {
            step(MOUNT_TICK);
            another();
            parts++;
        } else if (first_asked < n_asked) {
            answer();
        } else if (injecting) {
            injecting = false;
            event.rc = 0;
            step(MOUNT_INJECTED);
        } else if (mount_deadline(m) < event.now_ms + 100) {
            event.now_ms = mount_deadline(m); /* a round that waits for the injector */
        } else {
            return parts;
        }
    }
}

static uint64_t lookup_dir(void)
{
    request((struct mount_request){.op = MOUNT_LOOKUP, .ino = 1, .name = "dir"});
    size_t parts = settle();
    assert_true(last.entry.ino != 0);
    assert_true(parts >= 2 * PARTS); /* the names, and which of the known are gone */
    return last.entry.ino;
}

static size_t list(uint64_t ino)
{
    size_t names = 0;
    request((struct mount_request){.op = MOUNT_OPENDIR, .ino = ino});
    uint64_t fh = last.opened.fh;
    last_offset = 0;
    do {
        n_replies = 0;
        request((struct mount_request){.op = MOUNT_READDIRPLUS,
                                       .ino = ino,
                                       .fh = fh,
                                       .offset = last_offset,
                                       .size = 128 << 10});
        settle();
        assert_int_equal(n_replies, 1);
        assert_int_equal(last.type, MOUNT_REPLY_DIR);
        names += last.n_entries;
    } while (last.n_entries > 0);
    request((struct mount_request){.op = MOUNT_RELEASEDIR, .ino = ino, .fh = fh});
    settle();
    return names - 2;
}

static void delete_event(const char *path)
{
    event.watch.event = (struct zk_watcher_event){ZK_EVENT_DELETED, 3, slice_str(path)};
    event.watch.zxid = ++servers.zxid;
    step(MOUNT_WATCH_FIRED);
}

static void delete_names(int from, int to)
{
    for (int i = from; i < to; i++) {
        char path[32];
        servers.gone[i] = true;
        snprintf(path, sizeof(path), "/dir/%d", i);
        delete_event(path);
    }
}

/* ---- Tests ---- */

static int setup(void **state)
{
    (void)state;
    const struct mount_config config = {.source = "h:1",
                                        .mountpoint = "/mnt",
                                        .chroot = SLICE_EMPTY,
                                        .timeo_ms = 3000,
                                        .step_names = STEP_NAMES};
    memset(&servers, 0, sizeof(servers));
    servers.zxid = 1;
    first_asked = n_asked = n_injects = 0;
    event = (struct mount_event){.now_ms = 1000, .wall_ms = 1000};
    m = mount_open(&config, event.now_ms);
    event.session = (struct mount_session){.state = CLIENT_CONNECTED, .server = "h:1"};
    step(MOUNT_SESSION);
    settle();
    step(MOUNT_MOUNTED);
    settle();
    n_injects = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mount_close(m);
    mount_effects_close(&fx);
    free(asked);
    asked = NULL;
    cap_asked = 0;
    return 0;
}

static void a_directory_is_listed_in_parts(void **state)
{
    (void)state;
    uint64_t ino = lookup_dir();
    assert_true(mount_nodes(m) >= NAMES);
    assert_int_equal(list(ino), NAMES);
}

static void a_known_list_is_taken_in_parts(void **state)
{
    (void)state;
    uint64_t ino = lookup_dir();
    list(ino);
    request((struct mount_request){.op = MOUNT_OPENDIR, .ino = ino});
    uint64_t fh = last.opened.fh;
    n_replies = 0;
    request(
        (struct mount_request){.op = MOUNT_READDIRPLUS, .ino = ino, .fh = fh, .size = 128 << 10});
    assert_int_equal(n_replies, 0);
    assert_true(settle() >= 2 * PARTS); /* taken, and looked at whether it is known */
    assert_int_equal(n_replies, 1);
    request((struct mount_request){.op = MOUNT_RELEASEDIR, .ino = ino, .fh = fh});
    assert_true(settle() >= PARTS - 1);
}

static void removed_names_are_told_in_parts(void **state)
{
    (void)state;
    uint64_t ino = lookup_dir();
    list(ino);
    delete_names(0, NAMES / 2);
    /* Read, indexed, compared, placed, sorted, told, and left. */
    assert_true(settle() > 17 * PARTS / 2);
    assert_int_equal(n_injects, NAMES / 2);
    assert_int_equal(list(ino), NAMES / 2);
}

static void events_that_waited_for_a_list_are_taken_in_parts(void **state)
{
    (void)state;
    request((struct mount_request){.op = MOUNT_LOOKUP, .ino = 1, .name = "dir"});
    while (first_asked < n_asked)
        answer(); /* the list has begun to be taken in */
    delete_names(0, NAMES / 2);
    size_t parts = 0;
    for (; !is_asked(ZK_OP_exists); parts++)
        step(MOUNT_TICK); /* ... until it is in, and so are the events */
    assert_true(parts >= 2 * PARTS + PARTS / 2);
    settle();
    assert_int_equal(list(last.entry.ino), NAMES / 2);
}

static void a_removed_directory_goes_in_parts(void **state)
{
    (void)state;
    lookup_dir();
    memset(servers.gone, 1, sizeof(servers.gone));
    servers.dir_gone = true;
    delete_event("/dir");
    step(MOUNT_TICK);
    while (first_asked < n_asked)
        answer();
    size_t parts = 0;
    for (; is_due() && first_asked == n_asked; parts++)
        step(MOUNT_TICK);
    assert_true(parts >= PARTS - 2);
    settle();
    assert_true(mount_nodes(m) < SOME_MORE);
}

static void a_forgotten_directory_goes_in_parts(void **state)
{
    (void)state;
    uint64_t ino = lookup_dir();
    struct mount_forget *forgets = mem_alloc((NAMES + 1) * sizeof(*forgets));
    list(ino);
    for (size_t i = 0; i < NAMES; i++)
        forgets[i] = (struct mount_forget){ino + 1 + i, 1};
    forgets[NAMES] = (struct mount_forget){ino, 1};
    request((struct mount_request){.op = MOUNT_FORGET, .forgets = forgets, .n_forgets = NAMES + 1});
    assert_true(settle() >= 2 * PARTS); /* forgotten, and released */
    assert_true(mount_nodes(m) < SOME_MORE);
    free(forgets);
}

static void the_end_comes_while_names_are_taken_in(void **state)
{
    (void)state;
    request((struct mount_request){.op = MOUNT_LOOKUP, .ino = 1, .name = "dir"});
    while (first_asked < n_asked)
        answer();
    step(MOUNT_TICK);
    assert_true(is_due());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_directory_is_listed_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_known_list_is_taken_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(removed_names_are_told_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(events_that_waited_for_a_list_are_taken_in_parts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_removed_directory_goes_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_forgotten_directory_goes_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_comes_while_names_are_taken_in, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
