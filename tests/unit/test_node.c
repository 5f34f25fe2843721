/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The replica as its clients see it. Bytes in hexadecimal are what ZooKeeper 3.8 answered to the
 * same requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>

#include "node_lib.h"

static int setup(void **state)
{
    struct rig *rig = malloc(sizeof(*rig));
    rig_open(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

/* ---- Sessions ---- */

static void a_session_is_durable_before_it_is_told(void **state)
{
    struct rig *rig = *state;
    rig_hold(rig);
    struct test_client *c = client_at(rig, "10.0.0.1:4000");
    client_hello(rig, c, TEST_TIMEOUT_MS, 0, NULL, 0);
    assert_said(c, "");
    rig_release(rig);
    assert_said(c, "session 4000 ms");
    assert_int_equal((uint64_t)c->session_id >> 56, 1);
}

static void the_timeout_is_held_within_its_limits(void **state)
{
    struct rig *rig = *state;
    struct test_client *hasty = client_at(rig, "10.0.0.1:1"), *lazy = client_at(rig, "10.0.0.1:2");
    client_hello(rig, hasty, 1, 0, NULL, 0);
    assert_said(hasty, "session 2000 ms");
    client_hello(rig, lazy, 1000000, 0, NULL, 0);
    assert_said(lazy, "session 20000 ms");
}

static void a_session_goes_on_at_another_connection(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    client_gone(rig, c);
    struct test_client *again = client_resume(rig, c);
    assert_said(again, "session 4000 ms");
    assert_true(again->session_id == c->session_id);
    assert_memory_equal(again->password, c->password, ZK_PASSWORD_SIZE);
}

static void the_old_connection_of_a_session_is_closed(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    struct test_client *again = client_resume(rig, c);
    assert_said(c, "closed");
    assert_said(again, "session 4000 ms");
}

static void of_two_that_resume_at_once_the_last_one_has_the_session(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *other = client_open(rig);
    rig_hold(rig);
    do_create(rig, other, "/a", ZK_PERSISTENT);
    struct test_client *first = client_resume(rig, c), *last = client_resume(rig, c);
    assert_said(c, "closed");
    rig_release(rig);
    assert_said(first, "session 4000 ms\nclosed");
    assert_said(last, "session 4000 ms");
}

static void a_resumed_session_sees_what_it_did_before(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    rig_hold(rig);
    do_create(rig, c, "/a", ZK_PERSISTENT);
    client_gone(rig, c);
    struct test_client *again = client_resume(rig, c);
    assert_said(again, "");
    rig_release(rig);
    assert_said(again, "session 4000 ms");
    do_read(rig, again, ZK_OP_getChildren, "/", false);
    assert_said(again, "#1@2 OK zookeeper a");
}

static void a_wrong_password_is_refused(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *thief = client_at(rig, "10.0.0.2:1");
    uint8_t guess[ZK_PASSWORD_SIZE];
    memcpy(guess, c->password, sizeof(guess));
    guess[15] ^= 1;
    client_hello(rig, thief, TEST_TIMEOUT_MS, c->session_id, guess, 0);
    assert_said(thief, "refused\nclosed");
    assert_said(c, "");
}

static void a_session_that_is_gone_is_refused(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    do_close(rig, c);
    assert_said(c, "#1@2 OK\nclosed");
    assert_said(client_resume(rig, c), "refused\nclosed");
}

static void the_end_of_a_session_is_told_when_it_is_durable(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    rig_hold(rig);
    do_close(rig, c);
    client_gone(rig, c);
    struct test_client *again = client_resume(rig, c);
    assert_said(again, "");
    rig_release(rig);
    assert_said(again, "refused\nclosed");
}

static void a_client_that_knows_more_than_the_replica_is_sent_away(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_at(rig, "10.0.0.1:1");
    client_hello(rig, c, TEST_TIMEOUT_MS, 0, NULL, 1);
    assert_said(c, "closed");
}

/* Ids and passwords as ZooKeeper gave them out. */
static void passwords_are_those_of_zookeeper(void **state)
{
    static const struct {
        int64_t id;
        uint8_t password[ZK_PASSWORD_SIZE];
    } known[] = {
        {0x1000038c16b0000,
         {0x97, 0x7e, 0x7c, 0xc4, 0xd8, 0xc1, 0x86, 0xf4, 0xcd, 0x64, 0xa9, 0xda, 0xe1, 0x61, 0x4e,
          0x93}},
        {0x1000038c16b0001,
         {0xaa, 0x9f, 0x76, 0xc4, 0x78, 0x0d, 0x66, 0x39, 0xc2, 0xa7, 0x10, 0x06, 0xb5, 0xea, 0x62,
          0x60}},
    };
    struct tree *tree = tree_open(1);
    struct tree_outcome outcome = {0};
    struct rig rig = {.config = test_config()};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        struct zk_txn_header h = {known[i].id, 0, (int64_t)i + 1, 0, ZK_OP_createSession};
        struct buf txn = {0};
        jute_write_int(&txn, 5000);
        assert_int_equal(tree_apply(tree, &h, buf_slice(&txn), &outcome), 0);
        buf_close(&txn);
    }
    tree_outcome_close(&outcome);
    rig.node = node_open(&rig.config, tree, 0);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        struct test_client *c = client_at(&rig, "10.0.0.1:1");
        client_hello(&rig, c, 5000, known[i].id, known[i].password, 0);
        assert_said(c, "session 5000 ms");
        assert_true(c->session_id == known[i].id);
        assert_memory_equal(c->password, known[i].password, ZK_PASSWORD_SIZE);
    }
    rig_close(&rig);
}

static void a_silent_session_expires_with_its_nodes(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *other = client_open(rig);
    do_create(rig, c, "/e", ZK_EPHEMERAL);
    do_create(rig, c, "/p", ZK_PERSISTENT);
    do_read(rig, other, ZK_OP_exists, "/e", true);
    said(c);
    said(other);
    rig_tick(rig, 2000);
    do_read(rig, other, ZK_OP_exists, "/p", false);
    said(other);
    rig_tick(rig, TEST_TIMEOUT_MS - 2001);
    assert_said(c, "");
    rig_tick(rig, 1000);
    assert_said(c, "closed");
    assert_said(other, "event deleted /e");
    do_read(rig, other, ZK_OP_getChildren, "/", false);
    assert_said(other, "#3@5 OK zookeeper p");
    client_gone(rig, c);
    assert_said(client_resume(rig, c), "refused\nclosed");
}

static void pings_keep_a_session(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    for (int i = 0; i < 5; i++) {
        rig_tick(rig, TEST_TIMEOUT_MS - 1000);
        ask_begin(c, ZK_XID_PING, ZK_OP_ping);
        frame_send(rig, c);
        assert_said(c, "#-2@1 OK");
    }
}

static void nodes_in_flight_go_with_their_session(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *other = client_open(rig);
    do_create(rig, c, "/old", ZK_EPHEMERAL);
    said(c);
    rig_hold(rig);
    do_versioned(rig, c, ZK_OP_delete, "/old", -1);
    do_create(rig, c, "/old", ZK_EPHEMERAL);
    do_create(rig, c, "/new", ZK_EPHEMERAL);
    do_create(rig, c, "/gone", ZK_EPHEMERAL);
    do_versioned(rig, c, ZK_OP_delete, "/gone", -1);
    do_close(rig, c);
    do_create(rig, c, "/late", ZK_EPHEMERAL);
    do_create(rig, other, "/new", ZK_PERSISTENT);
    rig_release(rig);
    assert_said(c, "#2@4 OK\n#3@5 OK /old\n#4@6 OK /new\n#5@7 OK /gone\n#6@8 OK\n#7@9 OK\nclosed");
    assert_said(other, "#1@10 OK /new");
    do_read(rig, other, ZK_OP_getChildren, "/", false);
    assert_said(other, "#2@10 OK zookeeper new");
}

static void a_thousand_ephemerals_go_at_once(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *other = client_open(rig);
    char path[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof(path), "/e%d", i);
        if (i == 500)
            rig_hold(rig);
        c->xid = 0;
        do_create(rig, c, path, ZK_EPHEMERAL);
    }
    do_close(rig, c);
    rig_release(rig);
    said(c);
    assert_int_equal(tree_ephemeral_count(node_tree(rig->node)), 0);
    do_path(rig, other, ZK_OP_getAllChildrenNumber, "/");
    assert_said(other, "#1@1003 OK 3");
}

/* ---- Writes ---- */

static void creates_answer_with_what_they_made(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    do_create(rig, c, "/a", ZK_PERSISTENT);
    assert_said(c, "#1@2 OK /a");
    write_create(ask(c, ZK_OP_create2), "/a/b", "data", ZK_EPHEMERAL);
    frame_send(rig, c);
    assert_said(c, "#2@3 OK /a/b {c3 m3 p3 v0 cv0 av0 len4 kids0 ephemeral}");
    write_create(ask(c, ZK_OP_createContainer), "/c", "", ZK_CONTAINER);
    frame_send(rig, c);
    assert_said(c, "#3@4 OK /c {c4 m4 p4 v0 cv0 av0 len0 kids0}");
    write_create(ask(c, ZK_OP_createTTL), "/t", "", ZK_PERSISTENT_TTL);
    jute_write_long(&c->frame, 1000);
    frame_send(rig, c);
    assert_said(c, "#4@5 OK /t {c5 m5 p5 v0 cv0 av0 len0 kids0}");
}

static void sequence_numbers_count_creations(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    do_create(rig, c, "/q-", ZK_PERSISTENT_SEQUENTIAL);
    assert_said(c, "#1@2 OK /q-0000000000");
    do_versioned(rig, c, ZK_OP_delete, "/q-0000000000", -1);
    do_create(rig, c, "/q-", ZK_EPHEMERAL_SEQUENTIAL);
    assert_said(c, "#2@3 OK\n#3@4 OK /q-0000000001");
    do_create(rig, c, "/", ZK_PERSISTENT_SEQUENTIAL);
    assert_said(c, "#4@5 OK /0000000002");
    do_create(rig, c, "/q-0000000001/", ZK_PERSISTENT_SEQUENTIAL);
    assert_said(c, "#5@5 NOCHILDRENFOREPHEMERALS");
    do_create(rig, c, "/0000000002/", ZK_PERSISTENT_SEQUENTIAL);
    assert_said(c, "#6@6 OK /0000000002/0000000000");
}

static void creates_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *path;
        int32_t mode;
        const char *answer;
    } cases[] = {
        {"/e", ZK_EPHEMERAL, "#1@2 OK /e"},
        {"/e", ZK_PERSISTENT, "#2@2 NODEEXISTS"},
        {"/", ZK_PERSISTENT, "#3@2 NODEEXISTS"},
        {"/e/child", ZK_PERSISTENT, "#4@2 NOCHILDRENFOREPHEMERALS"},
        {"/no/child", ZK_PERSISTENT, "#5@2 NONODE"},
        {"relative", ZK_PERSISTENT, "#6@2 BADARGUMENTS"},
        {"", ZK_PERSISTENT_SEQUENTIAL, "#7@2 BADARGUMENTS"},
        {"/a/", ZK_PERSISTENT, "#8@2 BADARGUMENTS"},
        {"/a//b", ZK_PERSISTENT, "#9@2 BADARGUMENTS"},
        {"/..", ZK_PERSISTENT, "#10@2 BADARGUMENTS"},
        {"/a", 7, "#11@2 BADARGUMENTS"},
        {"/a", -1, "#12@2 BADARGUMENTS"},
    };
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        do_create(rig, c, cases[i].path, cases[i].mode);
        assert_said(c, cases[i].answer);
    }
}

/* The flags are checked alone; whether a container is made is a matter of the operation. */
static void the_operation_makes_containers_not_the_flags(void **state)
{
    static const struct {
        int32_t op;
        int32_t mode;
        int64_t ttl_ms;
        const char *answer;
        int64_t owner; /* 1: the session */
    } cases[] = {
        {ZK_OP_create, ZK_CONTAINER, 0, "OK", 0},
        {ZK_OP_create2, ZK_CONTAINER, 0, "OK", 0},
        {ZK_OP_createContainer, ZK_PERSISTENT, 0, "OK", INT64_MIN},
        {ZK_OP_createContainer, ZK_EPHEMERAL, 0, "OK", INT64_MIN},
        {ZK_OP_createContainer, ZK_CONTAINER, 0, "OK", INT64_MIN},
        {ZK_OP_create, ZK_EPHEMERAL, 0, "OK", 1},
        {ZK_OP_createContainer, ZK_PERSISTENT_TTL, 0, "BADARGUMENTS", 0},
        {ZK_OP_create, ZK_PERSISTENT_TTL, 0, "BADARGUMENTS", 0},
        {ZK_OP_createTTL, ZK_PERSISTENT, 5, "BADARGUMENTS", 0},
        {ZK_OP_createTTL, ZK_PERSISTENT, -1, "BADARGUMENTS", 0},
        {ZK_OP_createTTL, ZK_CONTAINER, 5, "BADARGUMENTS", 0},
    };
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[8];
        snprintf(path, sizeof(path), "/%zu", i);
        write_create(ask(c, cases[i].op), path, "", cases[i].mode);
        if (cases[i].op == ZK_OP_createTTL)
            jute_write_long(&c->frame, cases[i].ttl_ms);
        frame_send(rig, c);
        assert_non_null(strstr(said(c), cases[i].answer));
        const struct znode *z = tree_find(node_tree(rig->node), slice_str(path));
        assert_true((z != NULL) == (strcmp(cases[i].answer, "OK") == 0));
        struct zk_stat_persisted stat = {0};
        if (z)
            znode_stat_persisted(z, &stat);
        assert_true(cases[i].owner == 1 ? stat.ephemeral_owner > 1
                                        : stat.ephemeral_owner == cases[i].owner);
    }
}

static void times_to_live_have_limits(void **state)
{
    static const struct {
        int64_t ttl_ms;
        const char *answer;
    } cases[] = {
        {0, "#1@1 BADARGUMENTS"},
        {-1, "#2@1 BADARGUMENTS"},
        {1ll << 40, "#3@1 BADARGUMENTS"},
        {INT64_MIN, "#4@1 BADARGUMENTS"},
        {(1ll << 40) - 1, "#5@2 OK /t {c2 m2 p2 v0 cv0 av0 len0 kids0}"},
    };
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_create(ask(c, ZK_OP_createTTL), "/t", "", ZK_PERSISTENT_TTL);
        jute_write_long(&c->frame, cases[i].ttl_ms);
        frame_send(rig, c);
        assert_said(c, cases[i].answer);
    }
}

static void deletes_check_version_and_children(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    do_create(rig, c, "/a", ZK_PERSISTENT);
    do_create(rig, c, "/a/b", ZK_PERSISTENT);
    do_versioned(rig, c, ZK_OP_delete, "/a", -1);
    do_versioned(rig, c, ZK_OP_delete, "/a/b", 1);
    do_versioned(rig, c, ZK_OP_delete, "/a/b", 0);
    do_versioned(rig, c, ZK_OP_delete, "/a/b", -1);
    do_versioned(rig, c, ZK_OP_delete, "/no/b", -1);
    do_versioned(rig, c, ZK_OP_delete, "/", -1);
    do_versioned(rig, c, ZK_OP_delete, "/zookeeper", -1);
    do_versioned(rig, c, ZK_OP_delete, "/a", 0);
    assert_said(c,
                "#1@2 OK /a\n#2@3 OK /a/b\n#3@3 NOTEMPTY\n#4@3 BADVERSION\n#5@4 OK\n#6@4 NONODE\n"
                "#7@4 NONODE\n#8@4 BADARGUMENTS\n#9@4 BADARGUMENTS\n#10@5 OK");
}

static void data_and_acl_have_versions_of_their_own(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    do_create(rig, c, "/a", ZK_PERSISTENT);
    do_versioned(rig, c, ZK_OP_setData, "/a", 0);
    do_versioned(rig, c, ZK_OP_setData, "/a", 0);
    do_versioned(rig, c, ZK_OP_setData, "/b", -1);
    assert_said(c, "#1@2 OK /a\n#2@3 OK {c2 m3 p2 v1 cv0 av0 len3 kids0}\n#3@3 BADVERSION\n"
                   "#4@3 NONODE");
    do_versioned(rig, c, ZK_OP_setACL, "/a", 1);
    do_versioned(rig, c, ZK_OP_setACL, "/a", 0);
    do_versioned(rig, c, ZK_OP_setData, "/a", -1);
    do_versioned(rig, c, ZK_OP_setACL, "/b", -1);
    assert_said(c, "#5@3 BADVERSION\n#6@4 OK {c2 m3 p2 v1 cv0 av1 len3 kids0}\n#7@4 NOAUTH\n"
                   "#8@4 NONODE");
    do_path(rig, c, ZK_OP_getACL, "/a");
    assert_said(c, "#9@4 OK 17:world:anyone {c2 m3 p2 v1 cv0 av1 len3 kids0}");
}

static void null_data_stays_null(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    struct buf *b = ask(c, ZK_OP_create);
    jute_write_buffer(b, slice_str("/a"));
    jute_write_buffer(b, SLICE_NULL);
    write_world(b, ZK_PERM_ALL);
    jute_write_int(b, 0);
    frame_send(rig, c);
    do_read(rig, c, ZK_OP_getData, "/a", false);
    assert_said(c, "#1@2 OK /a\n#2@2 OK null {c2 m2 p2 v0 cv0 av0 len0 kids0}");
}

/* ---- Multi ---- */

static void multi_is_all(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    struct buf *b = ask(c, ZK_OP_multi);
    multi_op(b, ZK_OP_create);
    write_create(b, "/a", "x", ZK_PERSISTENT);
    multi_op(b, ZK_OP_create2);
    write_create(b, "/a/b", "x", ZK_PERSISTENT);
    multi_op(b, ZK_OP_setData);
    zk_set_data_write(b, &(struct zk_set_data){slice_str("/a/b"), slice_str("xyz"), 0});
    multi_op(b, ZK_OP_check);
    zk_path_version_write(b, &(struct zk_path_version){slice_str("/a/b"), 1});
    multi_op(b, ZK_OP_delete);
    zk_path_version_write(b, &(struct zk_path_version){slice_str("/a/b"), 1});
    multi_end(rig, c);
    assert_said(c, "#1@2 OK ( /a) ( /a/b {c2 m2 p2 v0 cv0 av0 len1 kids0}) "
                   "( {c2 m2 p2 v1 cv0 av0 len3 kids0}) () ()");
}

static void multi_or_nothing(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    do_create(rig, c, "/a", ZK_PERSISTENT);
    said(c);
    rig_hold(rig);
    do_versioned(rig, c, ZK_OP_setData, "/a", 0);
    struct buf *b = ask(c, ZK_OP_multi);
    multi_op(b, ZK_OP_setData);
    zk_set_data_write(b, &(struct zk_set_data){slice_str("/a"), slice_str("no"), 1});
    multi_op(b, ZK_OP_create);
    write_create(b, "/a/b", "x", ZK_PERSISTENT);
    multi_op(b, ZK_OP_delete);
    zk_path_version_write(b, &(struct zk_path_version){slice_str("/nope"), -1});
    multi_op(b, ZK_OP_check);
    zk_path_version_write(b, &(struct zk_path_version){slice_str("/a"), -1});
    multi_end(rig, c);
    do_create(rig, c, "/a/b/c", ZK_PERSISTENT);
    do_versioned(rig, c, ZK_OP_setData, "/a", 1);
    do_versioned(rig, c, ZK_OP_delete, "/a", 2);
    rig_release(rig);
    assert_said(c, "#2@3 OK {c2 m3 p2 v1 cv0 av0 len3 kids0}\n"
                   "#3@3 OK (OK/OK) (OK/OK) (NONODE/NONODE) "
                   "(RUNTIMEINCONSISTENCY/RUNTIMEINCONSISTENCY)\n"
                   "#4@3 NONODE\n#5@4 OK {c2 m4 p2 v2 cv0 av0 len3 kids0}\n#6@5 OK");
}

static void hex(const struct buf *bytes, char *out)
{
    for (size_t i = 0; i < bytes->len; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes->data[i]);
    out[2 * bytes->len] = '\0';
}

/* The last answer, without its length and its header's zxid. */
static void assert_bytes(struct test_client *c, const char *expected)
{
    char text[2048];
    buf_consume(&c->bytes, 4);
    be64_put(c->bytes.data + 4, 0);
    hex(&c->bytes, text);
    assert_string_equal(text, expected);
    buf_reset(&c->bytes);
}

/* At the time and with the zxids that it was there. */
static struct test_client *open_as_there(struct rig *rig)
{
    struct test_client *c = client_at(rig, "127.0.0.1:4000");
    rig->wall_ms = 0x1a20c4744aa;
    client_hello(rig, c, 10000, 0, NULL, 0);
    do_create(rig, c, "/first", ZK_PERSISTENT);
    said(c);
    c->xid = 0;
    do_create(rig, c, "/a", ZK_PERSISTENT);
    return c;
}

static void answers_to_writes_are_zookeepers_to_the_byte(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = open_as_there(rig);
    assert_bytes(c, "00000001000000000000000000000000000000022f61");
    struct buf *b = ask(c, ZK_OP_multi);
    multi_op(b, ZK_OP_create);
    write_create(b, "/b", "", ZK_PERSISTENT);
    multi_op(b, ZK_OP_delete);
    zk_path_version_write(b, &(struct zk_path_version){slice_str("/nope"), -1});
    multi_op(b, ZK_OP_check);
    zk_path_version_write(b, &(struct zk_path_version){slice_str("/a"), -1});
    multi_end(rig, c);
    assert_bytes(c, "00000002000000000000000000000000"
                    "ffffffff000000000000000000ffffffff00ffffff9bffffff9b"
                    "ffffffff00fffffffefffffffeffffffff01ffffffff");
    b = ask(c, ZK_OP_multi);
    multi_op(b, ZK_OP_create);
    write_create(b, "/b", "", ZK_PERSISTENT);
    multi_op(b, ZK_OP_check);
    zk_path_version_write(b, &(struct zk_path_version){slice_str("/a"), -1});
    multi_op(b, ZK_OP_delete);
    zk_path_version_write(b, &(struct zk_path_version){slice_str("/b"), -1});
    multi_end(rig, c);
    assert_bytes(c, "0000000300000000000000000000000000000001000000000000000002"
                    "2f620000000d0000000000000000020000000000ffffffff01ffffffff");
    c->xid = 12;
    ask(c, ZK_OP_multi);
    multi_end(rig, c);
    assert_bytes(c, "0000000d000000000000000000000000ffffffff01ffffffff");
}

static void answers_to_reads_are_zookeepers_to_the_byte(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = open_as_there(rig);
    said(c);
    c->xid = 4;
    do_path(rig, c, ZK_OP_sync, "/a");
    assert_bytes(c, "00000005000000000000000000000000000000022f61");
    do_watch(rig, c, ZK_OP_addWatch, "/a", ZK_WATCH_PERSISTENT);
    assert_bytes(c, "0000000600000000000000000000000000000000");
    c->xid = 9;
    do_path(rig, c, ZK_OP_getEphemerals, "/");
    assert_bytes(c, "0000000a00000000000000000000000000000000");
    ask(c, ZK_OP_whoAmI);
    frame_send(rig, c);
    assert_bytes(c, "0000000b00000000000000000000000000000001"
                    "000000026970000000093132372e302e302e31");
    struct buf *b = ask(c, ZK_OP_multiRead);
    multi_op(b, ZK_OP_getData);
    zk_watched_read_write(b, &(struct zk_watched_read){slice_str("/a"), false});
    multi_op(b, ZK_OP_getChildren);
    zk_watched_read_write(b, &(struct zk_watched_read){slice_str("/nope"), false});
    multi_end(rig, c);
    assert_bytes(c, "0000000c00000000000000000000000000000004000000000000000001780000000000000003"
                    "0000000000000003000001a20c4744aa000001a20c4744aa000000000000000000000000"
                    "000000000000000000000001000000000000000000000003"
                    "ffffffff00ffffff9bffffff9bffffffff01ffffffff");
    c->xid = 13;
    do_path(rig, c, ZK_OP_getACL, "/a");
    assert_bytes(c, "0000000e000000000000000000000000000000010000001f00000005776f726c64"
                    "00000006616e796f6e6500000000000000030000000000000003000001a20c4744aa"
                    "000001a20c4744aa000000000000000000000000000000000000000000000001"
                    "000000000000000000000003");
}

/* ---- Reads ---- */

static void reads_answer_or_say_why_not(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    do_create(rig, c, "/a", ZK_PERSISTENT);
    do_create(rig, c, "/a/z", ZK_EPHEMERAL);
    do_create(rig, c, "/a/y", ZK_PERSISTENT);
    said(c);
    c->xid = 0;
    do_read(rig, c, ZK_OP_getData, "/a", false);
    assert_said(c, "#1@4 OK x {c2 m2 p4 v0 cv2 av0 len1 kids2}");
    do_read(rig, c, ZK_OP_exists, "/a/z", false);
    assert_said(c, "#2@4 OK {c3 m3 p3 v0 cv0 av0 len1 kids0 ephemeral}");
    do_read(rig, c, ZK_OP_getChildren, "/a", false);
    assert_said(c, "#3@4 OK z y");
    do_read(rig, c, ZK_OP_getChildren2, "/a", false);
    assert_said(c, "#4@4 OK z y {c2 m2 p4 v0 cv2 av0 len1 kids2}");
    do_path(rig, c, ZK_OP_getAllChildrenNumber, "/a");
    do_path(rig, c, ZK_OP_getEphemerals, "/a");
    do_path(rig, c, ZK_OP_getEphemerals, "/b");
    assert_said(c, "#5@4 OK 2\n#6@4 OK /a/z\n#7@4 OK");
    c->xid = 0;
    do_read(rig, c, ZK_OP_getData, "/no", false);
    do_read(rig, c, ZK_OP_exists, "/no", false);
    do_read(rig, c, ZK_OP_getChildren, "/no", false);
    do_read(rig, c, ZK_OP_getChildren2, "/no", false);
    do_path(rig, c, ZK_OP_getACL, "/no");
    do_path(rig, c, ZK_OP_getAllChildrenNumber, "/no");
    assert_said(c, "#1@4 NONODE\n#2@4 NONODE\n#3@4 NONODE\n#4@4 NONODE\n#5@4 NONODE\n#6@4 NONODE");
}

/* ---- Order ---- */

static void a_read_waits_for_the_write_before_it(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *other = client_open(rig);
    rig_hold(rig);
    do_create(rig, c, "/a", ZK_PERSISTENT);
    do_read(rig, c, ZK_OP_exists, "/a", false);
    do_read(rig, other, ZK_OP_exists, "/a", false);
    assert_said(c, "");
    assert_said(other, "#1@2 NONODE");
    rig_release(rig);
    assert_said(c, "#1@3 OK /a\n#2@3 OK {c3 m3 p3 v0 cv0 av0 len1 kids0}");
}

static void a_refusal_waits_for_what_it_was_decided_by(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *other = client_open(rig);
    rig_hold(rig);
    do_create(rig, c, "/a", ZK_PERSISTENT);
    do_create(rig, other, "/a", ZK_PERSISTENT);
    do_read(rig, other, ZK_OP_exists, "/a", false);
    assert_said(other, "");
    rig_release(rig);
    assert_said(c, "#1@3 OK /a");
    assert_said(other, "#1@3 NODEEXISTS\n#2@3 OK {c3 m3 p3 v0 cv0 av0 len1 kids0}");
}

static void a_sync_waits_for_all_that_was_proposed(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *other = client_open(rig);
    rig_hold(rig);
    do_create(rig, c, "/a", ZK_PERSISTENT);
    do_path(rig, other, ZK_OP_sync, "/");
    do_read(rig, other, ZK_OP_exists, "/a", false);
    assert_said(other, "");
    rig_release(rig);
    assert_said(other, "#1@3 OK /\n#2@3 OK {c3 m3 p3 v0 cv0 av0 len1 kids0}");
}

static void writes_in_flight_build_on_each_other(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    rig_hold(rig);
    do_create(rig, c, "/a", ZK_PERSISTENT);
    do_create(rig, c, "/a/s", ZK_PERSISTENT_SEQUENTIAL);
    do_create(rig, c, "/a/s", ZK_PERSISTENT_SEQUENTIAL);
    do_versioned(rig, c, ZK_OP_setData, "/a", 0);
    do_versioned(rig, c, ZK_OP_setData, "/a", 1);
    do_versioned(rig, c, ZK_OP_delete, "/a", 2);
    do_versioned(rig, c, ZK_OP_setACL, "/a", 0);
    do_versioned(rig, c, ZK_OP_setData, "/a", 2);
    assert_said(c, "");
    rig_release(rig);
    assert_said(c, "#1@2 OK /a\n#2@3 OK /a/s0000000000\n#3@4 OK /a/s0000000001\n"
                   "#4@5 OK {c2 m5 p4 v1 cv2 av0 len3 kids2}\n"
                   "#5@6 OK {c2 m6 p4 v2 cv2 av0 len3 kids2}\n#6@6 NOTEMPTY\n"
                   "#7@7 OK {c2 m6 p4 v2 cv2 av1 len3 kids2}\n#8@7 NOAUTH");
}

static void a_batch_answers_in_the_order_of_requests(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    struct buf all = {0};
    for (int i = 0; i < 40; i++) {
        struct buf *b = ask(c, i % 3 == 0 ? ZK_OP_create : ZK_OP_exists);
        if (i % 3 == 0)
            write_create(b, "/s", "x", ZK_PERSISTENT_SEQUENTIAL);
        else
            zk_watched_read_write(b, &(struct zk_watched_read){slice_str("/no"), false});
        be32_put(b->data, (uint32_t)(b->len - 4));
        buf_append(&all, b->data, b->len);
    }
    for (size_t i = 0; i < all.len; i++)
        client_bytes(rig, c, all.data + i, 1);
    buf_close(&all);
    const char *text = said(c);
    for (int i = 1; i <= 40; i++) {
        int xid, len;
        assert_int_equal(sscanf(text, "#%d@%*d %*[^\n]\n%n", &xid, &len), 1);
        assert_int_equal(xid, i);
        text += len;
    }
}

/* ---- Nodes that go by themselves ---- */

static void an_empty_container_goes(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *w = client_open(rig);
    write_create(ask(c, ZK_OP_createContainer), "/c", "", ZK_CONTAINER);
    frame_send(rig, c);
    do_watch(rig, w, ZK_OP_addWatch, "/c", ZK_WATCH_PERSISTENT);
    said(w);
    rig->now_ms += 60000; /* without a tick between, in which sessions would end */
    ask_begin(c, ZK_XID_PING, ZK_OP_ping);
    frame_send(rig, c);
    ask_begin(w, ZK_XID_PING, ZK_OP_ping);
    frame_send(rig, w);
    said(w);
    rig_tick(rig, 0);
    assert_said(w, ""); /* it never had a child */
    do_create(rig, c, "/c/a", ZK_PERSISTENT);
    do_versioned(rig, c, ZK_OP_delete, "/c/a", -1);
    said(w);
    for (int i = 0; i < 61; i++) {
        rig_tick(rig, 1000);
        ask_begin(w, ZK_XID_PING, ZK_OP_ping);
        frame_send(rig, w);
    }
    assert_non_null(strstr(said(w), "event deleted /c"));
}

static void a_time_to_live_begins_with_each_change(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.container_check_ms = 100;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    write_create(ask(c, ZK_OP_createTTL), "/t", "", ZK_PERSISTENT_TTL);
    jute_write_long(&c->frame, 500);
    frame_send(&rig, c);
    rig_tick(&rig, 400);
    do_versioned(&rig, c, ZK_OP_setData, "/t", -1);
    rig_tick(&rig, 400);
    do_read(&rig, c, ZK_OP_exists, "/t", false);
    rig_tick(&rig, 200);
    do_read(&rig, c, ZK_OP_exists, "/t", false);
    assert_said(c, "#1@2 OK /t {c2 m2 p2 v0 cv0 av0 len0 kids0}\n"
                   "#2@3 OK {c2 m3 p2 v1 cv0 av0 len3 kids0}\n"
                   "#3@3 OK {c2 m3 p2 v1 cv0 av0 len3 kids0}\n#4@4 NONODE");
    rig_close(&rig);
}

static void a_container_with_a_child_in_flight_stays(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.container_check_ms = 100;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    write_create(ask(c, ZK_OP_createContainer), "/c", "", ZK_CONTAINER);
    frame_send(&rig, c);
    do_create(&rig, c, "/c/a", ZK_PERSISTENT);
    do_versioned(&rig, c, ZK_OP_delete, "/c/a", -1);
    said(c);
    rig_hold(&rig);
    do_create(&rig, c, "/c/b", ZK_PERSISTENT);
    rig_tick(&rig, 200);
    rig_release(&rig);
    assert_said(c, "#4@5 OK /c/b");
    do_read(&rig, c, ZK_OP_getChildren, "/c", false);
    assert_said(c, "#5@5 OK b");
    rig_close(&rig);
}

static void without_extended_types_there_is_no_ttl(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.extended_types = false;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    write_create(ask(c, ZK_OP_createTTL), "/t", "", ZK_PERSISTENT_TTL);
    jute_write_long(&c->frame, 500);
    frame_send(&rig, c);
    assert_said(c, "#1@1 UNIMPLEMENTED");
    do_create(&rig, c, "/a", ZK_PERSISTENT);
    assert_said(c, "#2@2 OK /a");
    rig_close(&rig);
}

/* ---- Snapshots ---- */

static void a_snapshot_is_asked_for_now_and_then_one_at_a_time(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.snap_count = 10;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    for (int i = 0; i < 60; i++)
        do_create(&rig, c, "/s", ZK_PERSISTENT_SEQUENTIAL);
    assert_int_equal(rig.n_snapshots, 1);
    for (unsigned done = 1; done < 4; done++) {
        rig_step(&rig, (struct node_event){.type = NODE_SNAPSHOT_DONE});
        for (int i = 0; i < 10; i++)
            do_create(&rig, c, "/s", ZK_PERSISTENT_SEQUENTIAL);
        assert_int_equal(rig.n_snapshots, done + 1);
    }
    rig_close(&rig);
}

/* What recovery has replayed counts: a replica that is restarted every day writes a snapshot too.
 */
static void the_log_of_the_lives_before_counts(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.snap_count = 10;
    config.log_txns = 9;
    config.log_bytes = 1000;
    rig_open_with(&rig, &config);
    client_open(&rig);
    assert_int_equal(rig.n_snapshots, 1);
    rig_close(&rig);
}

/* ---- Memory of bursts ---- */

static void do_set_size(struct rig *rig, struct test_client *c, size_t size)
{
    struct buf *b = ask(c, ZK_OP_setData);
    jute_write_buffer(b, slice_str("/a"));
    jute_write_int(b, (int32_t)size);
    memset(buf_extend(b, size), 'x', size);
    jute_write_int(b, -1);
    frame_send(rig, c);
}

/* Many large batches are on their way at once; when all is done their memory is given back. */
static void a_burst_leaves_no_memory_behind(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    do_create(&rig, c, "/a", ZK_PERSISTENT);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    rig.hold = true;
    for (int i = 0; i < 60; i++)
        do_set_size(&rig, c, 300000);
    rig.hold = false;
    rig_persist(&rig);
    do_set_size(&rig, c, 1);
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_true(after < before + (4 << 20));
    rig_close(&rig);
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(a_session_is_durable_before_it_is_told),
        NODE_TEST(the_timeout_is_held_within_its_limits),
        NODE_TEST(a_session_goes_on_at_another_connection),
        NODE_TEST(the_old_connection_of_a_session_is_closed),
        NODE_TEST(of_two_that_resume_at_once_the_last_one_has_the_session),
        NODE_TEST(a_resumed_session_sees_what_it_did_before),
        NODE_TEST(a_wrong_password_is_refused),
        NODE_TEST(a_session_that_is_gone_is_refused),
        NODE_TEST(the_end_of_a_session_is_told_when_it_is_durable),
        NODE_TEST(a_client_that_knows_more_than_the_replica_is_sent_away),
        cmocka_unit_test(passwords_are_those_of_zookeeper),
        NODE_TEST(a_silent_session_expires_with_its_nodes),
        NODE_TEST(pings_keep_a_session),
        NODE_TEST(nodes_in_flight_go_with_their_session),
        NODE_TEST(a_thousand_ephemerals_go_at_once),
        NODE_TEST(creates_answer_with_what_they_made),
        NODE_TEST(sequence_numbers_count_creations),
        NODE_TEST(creates_are_refused_with_a_reason),
        NODE_TEST(the_operation_makes_containers_not_the_flags),
        NODE_TEST(times_to_live_have_limits),
        NODE_TEST(deletes_check_version_and_children),
        NODE_TEST(data_and_acl_have_versions_of_their_own),
        NODE_TEST(null_data_stays_null),
        NODE_TEST(multi_is_all),
        NODE_TEST(multi_or_nothing),
        NODE_TEST(answers_to_writes_are_zookeepers_to_the_byte),
        NODE_TEST(answers_to_reads_are_zookeepers_to_the_byte),
        NODE_TEST(reads_answer_or_say_why_not),
        NODE_TEST(a_read_waits_for_the_write_before_it),
        NODE_TEST(a_refusal_waits_for_what_it_was_decided_by),
        NODE_TEST(a_sync_waits_for_all_that_was_proposed),
        NODE_TEST(writes_in_flight_build_on_each_other),
        NODE_TEST(a_batch_answers_in_the_order_of_requests),
        NODE_TEST(an_empty_container_goes),
        cmocka_unit_test(a_time_to_live_begins_with_each_change),
        cmocka_unit_test(a_container_with_a_child_in_flight_stays),
        cmocka_unit_test(without_extended_types_there_is_no_ttl),
        cmocka_unit_test(the_log_of_the_lives_before_counts),
        cmocka_unit_test(a_burst_leaves_no_memory_behind),
        cmocka_unit_test(a_snapshot_is_asked_for_now_and_then_one_at_a_time),
    };
    return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
