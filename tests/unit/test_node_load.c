/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Very much at once: what one turn does is bounded, counted in units of work, and the rest is done
 * in the turns that follow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node_lib.h"

enum {
    SESSIONS = 3000,
    TURN_MAX = 150000, /* units of work: two turns' worth, and one request that is longer */
};

/* Sessions with an ephemeral node each, whose connections are gone. */
static void open_sessions(struct rig *rig, unsigned n)
{
    char path[32];
    for (unsigned i = 0; i < n; i++) {
        rig->n_clients = 0;
        struct test_client *c = client_open(rig);
        snprintf(path, sizeof(path), "/e%u", i);
        do_create(rig, c, path, ZK_EPHEMERAL);
        client_gone(rig, c);
        buf_reset(&c->said);
        buf_close(&c->frame);
        buf_close(&c->bytes);
        buf_close(&c->said);
        *c = (struct test_client){0};
    }
    rig->n_clients = 0;
}

static void many_sessions_that_expire_at_once_do_not_hold_a_turn(void **state)
{
    struct rig rig;
    (void)state;
    rig_open(&rig);
    open_sessions(&rig, SESSIONS);
    rig_hold(&rig);
    rig.now_ms += 2 * TEST_TIMEOUT_MS;
    rig_step(&rig, (struct node_event){.type = NODE_TICK}); /* it stood still: nobody is given up */
    int64_t before = node_last_proposed(rig.node), all = before + SESSIONS;
    rig.now_ms += 1000;
    rig_step(&rig, (struct node_event){.type = NODE_TICK});
    unsigned turns = 0;
    for (; node_last_proposed(rig.node) < all; turns++) {
        uint64_t work = node_work(rig.node);
        int64_t last = node_last_proposed(rig.node);
        assert_true(turns == 0 || node_wants_turn(rig.node));
        rig_flush(&rig);
        assert_in_range(node_last_proposed(rig.node) - last, 1, 500);
        assert_in_range(node_work(rig.node) - work, 1, 50 * 500);
    }
    assert_in_range(turns, SESSIONS / 500 - 1, SESSIONS / 500);
    rig_release(&rig);
    assert_false(node_wants_turn(rig.node));
    assert_int_equal(tree_ephemeral_count(node_tree(rig.node)), 0);
    assert_int_equal(tree_session_count(node_tree(rig.node)), 0);
    rig_close(&rig);
}

/* A session's own nodes in flight are what its end costs, not those of all others. */
static void the_end_of_a_session_costs_what_it_has_in_flight(void **state)
{
    struct rig rig;
    char path[32];
    (void)state;
    rig_open(&rig);
    struct test_client *a = client_open(&rig), *b = client_open(&rig);
    rig_hold(&rig);
    do_create(&rig, a, "/a", ZK_EPHEMERAL);
    for (int i = 0; i < 400; i++) {
        snprintf(path, sizeof(path), "/b%d", i);
        do_create(&rig, b, path, ZK_EPHEMERAL);
    }
    uint64_t work = node_work(rig.node);
    ask_begin(a, 99, ZK_OP_closeSession);
    a->ops[99] = ZK_OP_closeSession;
    frame_send(&rig, a);
    assert_in_range(node_work(rig.node) - work, 1, 60);
    rig_release(&rig);
    assert_int_equal(tree_ephemeral_count(node_tree(rig.node)), 400);
    assert_null(tree_find(node_tree(rig.node), slice_str("/a")));
    rig_close(&rig);
}

/* ---- Reads ---- */

static void ask_path(struct buf *out, int32_t xid, int32_t op, const char *path)
{
    struct zk_request_header h = {xid, op};
    size_t start = out->len;
    jute_write_int(out, 0);
    zk_request_header_write(out, &h);
    jute_write_buffer(out, slice_str(path));
    if (op == ZK_OP_getChildren || op == ZK_OP_exists)
        jute_write_bool(out, false);
    be32_put(out->data + start, (uint32_t)(out->len - start - 4));
}

/* How many answers the client has. */
static unsigned count_answers(struct test_client *c)
{
    unsigned n = 0;
    size_t pos = 0;
    while (c->bytes.len - pos >= 4 && c->bytes.len - pos - 4 >= be32_get(c->bytes.data + pos)) {
        pos += 4 + be32_get(c->bytes.data + pos);
        n++;
    }
    buf_consume(&c->bytes, pos);
    return n;
}

static void create_children(struct rig *rig, struct test_client *c, const char *parent, unsigned n)
{
    char path[64];
    do_create(rig, c, parent, ZK_PERSISTENT);
    for (unsigned i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/child-number-%u", parent, i);
        c->xid = 0;
        do_create(rig, c, path, ZK_PERSISTENT);
    }
    said(c);
}

/* Send `requests` as they come out of one read of a socket, and follow the turns. */
static unsigned take_in_turns(struct rig *rig, struct test_client *c, const struct buf *requests)
{
    unsigned turns = 0;
    uint64_t work = node_work(rig->node);
    rig_step(rig, (struct node_event){
                      .type = NODE_CONN_DATA, .conn = c->conn, .data = buf_slice(requests)});
    do {
        rig_flush(rig);
        assert_in_range(node_work(rig->node) - work, 0, TURN_MAX);
        work = node_work(rig->node);
        turns++;
    } while (node_wants_turn(rig->node));
    return turns;
}

static void many_dear_reads_of_one_read_take_many_turns(void **state)
{
    enum { READS = 200, CHILDREN = 2000 };
    struct rig rig;
    struct buf requests = {0};
    (void)state;
    rig_open(&rig);
    struct test_client *c = client_open(&rig), *d = client_open(&rig);
    create_children(&rig, c, "/d", CHILDREN);
    for (int i = 0; i < READS; i++)
        ask_path(&requests, i + 1, ZK_OP_getChildren, "/d");
    ask_begin(d, ZK_XID_PING, ZK_OP_ping);
    be32_put(d->frame.data, (uint32_t)(d->frame.len - 4));

    rig_step(&rig, (struct node_event){
                       .type = NODE_CONN_DATA, .conn = c->conn, .data = buf_slice(&requests)});
    uint64_t work = node_work(rig.node);
    rig_step(&rig, (struct node_event){
                       .type = NODE_CONN_DATA, .conn = d->conn, .data = buf_slice(&d->frame)});
    assert_in_range(node_work(rig.node) - work, 1, 100);
    rig_flush(&rig);
    assert_said(d, "#-2@2003 OK"); /* another's turn comes in between */
    assert_true(node_wants_turn(rig.node));
    unsigned answers = count_answers(c), turns = 1;
    for (; node_wants_turn(rig.node); turns++) {
        work = node_work(rig.node);
        rig_flush(&rig);
        assert_in_range(node_work(rig.node) - work, 1, TURN_MAX);
        answers += count_answers(c);
    }
    assert_int_equal(answers, READS);
    assert_true(turns > READS * CHILDREN / TURN_MAX);
    buf_close(&requests);
    rig_close(&rig);
}

/* Reads that waited for a write are answered in turns, too, and in their order. */
static void reads_behind_a_write_take_many_turns(void **state)
{
    enum { READS = 100, CHILDREN = 2000 };
    struct rig rig;
    struct buf requests = {0};
    (void)state;
    rig_open(&rig);
    struct test_client *c = client_open(&rig);
    create_children(&rig, c, "/d", CHILDREN);
    rig_hold(&rig);
    c->xid = 0;
    do_create(&rig, c, "/w", ZK_PERSISTENT);
    for (int i = 0; i < READS; i++)
        ask_path(&requests, i + 2, ZK_OP_getChildren, "/d");
    take_in_turns(&rig, c, &requests);
    c->xid = READS + 1;
    do_create(&rig, c, "/x", ZK_PERSISTENT);
    assert_int_equal(count_answers(c), 0);
    assert_true(node_conn_public(c->conn)->paused); /* /x waits for what is in front of it */
    unsigned answers = 0, turns = 0;
    uint64_t work = node_work(rig.node);
    rig_step(&rig, (struct node_event){.type = NODE_PERSISTED, .zxid = rig.appended});
    for (; turns == 0 || node_wants_turn(rig.node); turns++) {
        rig_flush(&rig);
        assert_in_range(node_work(rig.node) - work, 1, TURN_MAX);
        work = node_work(rig.node);
        answers += count_answers(c);
    }
    assert_int_equal(answers, READS + 1);
    assert_true(turns > READS * CHILDREN / TURN_MAX);
    rig_release(&rig);
    assert_int_equal(count_answers(c), 1);
    buf_close(&requests);
    rig_close(&rig);
}

/* What it asks for behind a read is not there yet when that is answered, however little work is
 * done in a turn. */
static void reads_do_not_see_what_is_asked_for_behind_them(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.limits.turn_work = config.limits.conn_work = 1;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    rig_hold(&rig);
    do_create(&rig, c, "/a", ZK_PERSISTENT);
    for (int i = 0; i < 5; i++)
        do_read(&rig, c, ZK_OP_exists, "/b", false);
    do_create(&rig, c, "/b", ZK_PERSISTENT);
    do_read(&rig, c, ZK_OP_exists, "/c", false);
    do_create(&rig, c, "/c", ZK_PERSISTENT);
    rig_release(&rig);
    assert_said(c, "#1@2 OK /a\n#2@2 NONODE\n#3@2 NONODE\n#4@2 NONODE\n#5@2 NONODE\n#6@2 NONODE\n"
                   "#7@3 OK /b\n#8@3 NONODE\n#9@4 OK /c");
    rig_close(&rig);
}

/* ---- Watches ---- */

static void set_many_watches(struct rig *rig, struct test_client *c, unsigned n)
{
    char path[32];
    struct buf b = {0};
    struct zk_request_header h = {ZK_XID_SET_WATCHES, ZK_OP_setWatches};
    jute_write_int(&b, 0);
    zk_request_header_write(&b, &h);
    jute_write_long(&b, 1000);
    jute_write_int(&b, 1);
    jute_write_buffer(&b, slice_str("/zookeeper"));
    jute_write_int(&b, (int32_t)n);
    for (unsigned i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "/w%u", i);
        jute_write_buffer(&b, slice_str(path));
    }
    jute_write_int(&b, 1);
    jute_write_buffer(&b, slice_str("/"));
    be32_put(b.data, (uint32_t)(b.len - 4));
    assert_true(take_in_turns(rig, c, &b) > n * 4 / TURN_MAX);
    buf_close(&b);
}

static void watches_set_again_take_many_turns(void **state)
{
    enum { WATCHES = 80000 };
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.watches_max = 1000000;
    config.four_letter = "*";
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig), *d = client_open(&rig);
    do_create(&rig, d, "/w0", ZK_PERSISTENT);
    said(d);
    set_many_watches(&rig, c, WATCHES);
    assert_said(c, "event created /w0\n#-8@3 OK");
    do_create(&rig, d, "/w79999", ZK_PERSISTENT);
    assert_said(c, "event created /w79999\nevent children /");

    /* They are forgotten in as many turns, and tell nobody meanwhile. */
    rig_step(&rig, (struct node_event){.type = NODE_CONN_CLOSED, .conn = c->conn});
    struct test_client *w = client_at(&rig, "10.0.0.9:1");
    rig_step(&rig, (struct node_event){
                       .type = NODE_CONN_DATA, .conn = w->conn, .data = slice_str("wchs")});
    buf_append(&w->bytes, "", 1);
    assert_null(strstr((char *)w->bytes.data, "Total watches:0"));
    do_create(&rig, d, "/w79998", ZK_PERSISTENT);
    unsigned turns = 1;
    for (; node_wants_turn(rig.node); turns++)
        rig_flush(&rig);
    w = client_at(&rig, "10.0.0.9:2");
    client_bytes(&rig, w, "wchs", 4);
    buf_append(&w->bytes, "", 1);
    assert_non_null(strstr((char *)w->bytes.data, "Total watches:0"));
    rig_close(&rig);
}

/* Few watches may be much memory. */
static void long_paths_that_are_watched_are_counted(void **state)
{
    enum { LENGTH = 1000000, ROOM = (64 << 20) / LENGTH };
    struct rig rig;
    (void)state;
    rig_open(&rig);
    assert_true(rig.config.limits.watches_bytes_max >> 26 == 1);
    struct test_client *c = client_open(&rig);
    char *path = malloc(LENGTH + 1);
    memset(path, 'p', LENGTH);
    path[0] = '/';
    path[LENGTH] = '\0';
    for (int i = 0; i < ROOM; i++) {
        snprintf(path + 1, 8, "%07d", i);
        path[8] = 'p';
        do_read(&rig, c, ZK_OP_exists, path, true);
        assert_non_null(strstr(said(c), "NONODE"));
    }
    path[1] = 'q';
    do_read(&rig, c, ZK_OP_exists, path, true);
    assert_non_null(strstr(said(c), "THROTTLEDOP"));
    do_read(&rig, c, ZK_OP_exists, "/short", true);
    assert_non_null(strstr(said(c), "NONODE"));
    path[1] = '0';
    do_watch(&rig, c, ZK_OP_removeWatches, path, ZK_WATCHER_ANY);
    assert_non_null(strstr(said(c), "OK"));
    path[1] = 'q';
    do_read(&rig, c, ZK_OP_exists, path, true);
    assert_non_null(strstr(said(c), "NONODE"));
    free(path);
    rig_close(&rig);
}

/* ---- Output ---- */

/* Telling very many of a change is a system call for each. */
static void many_watchers_are_told_in_turns(void **state)
{
    enum { WATCHERS = 9 };
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.limits.sends_max = 4;
    rig_open_with(&rig, &config);
    struct test_client *c[WATCHERS];
    for (int i = 0; i < WATCHERS; i++) {
        c[i] = client_open(&rig);
        do_read(&rig, c[i], ZK_OP_exists, "/a", true);
        said(c[i]);
    }
    rig_hold(&rig);
    do_create(&rig, c[0], "/a", ZK_PERSISTENT);
    rig_step(&rig, (struct node_event){.type = NODE_PERSISTED, .zxid = rig.appended});
    for (int told = 4; told <= WATCHERS; told += 4) {
        rig_flush(&rig);
        int n = 0;
        for (int i = 0; i < WATCHERS; i++)
            n += c[i]->bytes.len > 0;
        assert_int_equal(n, told);
        assert_true(node_wants_turn(rig.node));
    }
    rig_flush(&rig);
    assert_false(node_wants_turn(rig.node));
    assert_said(c[0], "event created /a\n#2@10 OK /a");
    for (int i = 1; i < WATCHERS; i++)
        assert_said(c[i], "event created /a");
    rig_close(&rig);
}

/* Each has less than it may, but all of them together have more. */
static void slow_readers_together_have_a_limit(void **state)
{
    enum { SLOW = 28, UNSENT = 600000 };
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.output_max = 1 << 20;
    rig_open_with(&rig, &config);
    struct test_client *c[SLOW];
    for (int i = 0; i < SLOW; i++)
        c[i] = client_open(&rig);
    struct test_client *d = client_open(&rig);
    do_create(&rig, d, "/a", ZK_PERSISTENT);
    said(d);
    for (int i = 0; i < SLOW; i++) {
        assert_false(c[0]->closed);
        do_read(&rig, c[i], ZK_OP_exists, "/a", false);
        node_conn_public(c[i]->conn)->in_flight = UNSENT + (i == 5 ? 1000 : 0);
        do_read(&rig, c[i], ZK_OP_exists, "/a", false);
    }
    int closed = 0;
    for (int i = 0; i < SLOW; i++)
        closed += c[i]->closed;
    assert_int_equal(closed, SLOW - (16 << 20) / UNSENT);
    assert_true(c[5]->closed);
    assert_false(d->closed);
    assert_non_null(memmem(rig.log.data, rig.log.len, "wait for slow readers", 21));
    node_conn_public(d->conn)->in_flight = 100000; /* a little, but too much now */
    do_read(&rig, d, ZK_OP_exists, "/a", false);
    do_read(&rig, d, ZK_OP_exists, "/a", false);
    assert_true(node_conn_public(d->conn)->paused);
    for (int i = 0; i < SLOW; i++)
        node_conn_public(c[i]->conn)->in_flight = 0;
    rig_turn(&rig);
    assert_false(node_conn_public(d->conn)->paused);
    rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_sessions_that_expire_at_once_do_not_hold_a_turn),
        cmocka_unit_test(the_end_of_a_session_costs_what_it_has_in_flight),
        cmocka_unit_test(many_dear_reads_of_one_read_take_many_turns),
        cmocka_unit_test(reads_behind_a_write_take_many_turns),
        cmocka_unit_test(reads_do_not_see_what_is_asked_for_behind_them),
        cmocka_unit_test(watches_set_again_take_many_turns),
        cmocka_unit_test(long_paths_that_are_watched_are_counted),
        cmocka_unit_test(many_watchers_are_told_in_turns),
        cmocka_unit_test(slow_readers_together_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
