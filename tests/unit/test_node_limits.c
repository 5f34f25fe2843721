/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must not hurt the replica: frames that are none, clients that do not read, and more of
 * anything than there may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node_lib.h"
#include "zab/rng.h"

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

/* ---- Four-letter words ---- */

static void words_on_the_list_are_answered(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_at(rig, "10.0.0.1:1"), *d = client_at(rig, "10.0.0.1:2");
    client_bytes(rig, c, "ru", 2);
    assert_true(c->bytes.len == 0 && !c->closed);
    client_bytes(rig, c, "ok", 2);
    assert_true(c->closed && slice_eq_str(buf_slice(&c->bytes), "imok"));
    client_bytes(rig, d, "srvr\n", 5);
    static const char expected[] = "Zookeeper version: zabd\nLatency min/avg/max: 0/0/0\n"
                                   "Received: 0\nSent: 0\nConnections: 2\nOutstanding: 0\n"
                                   "Zxid: 0x0\nMode: standalone\nNode count: 5\n";
    assert_true(d->closed);
    assert_true(slice_eq_str(buf_slice(&d->bytes), expected));
}

static void words_that_are_not_on_the_list_are_not_carried_out(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_at(rig, "10.0.0.1:1");
    client_bytes(rig, c, "dump", 4);
    assert_true(c->closed);
    assert_true(slice_eq_str(buf_slice(&c->bytes),
                             "dump is not executed because it is not in the whitelist.\n"));
}

static void every_word_has_an_answer(void **state)
{
    static const char *const words[][2] = {
        {"conf", "clientPort=2181"},
        {"cons", "10.0.0.1:4000"},
        {"dump", "/e"},
        {"envi", "host.name=here"},
        {"isro", "rw"},
        {"mntr", "zk_znode_count\t6"},
        {"ruok", "imok"},
        {"srvr", "Node count: 6"},
        {"stat", "10.0.0.1:4000"},
        {"wchc", "\t/e"},
        {"wchs", "1 connections"},
        {"wchp", "/e\n\t0x"},
        {"hash", "does not have"},
        {"crst", "reset"},
        {"srst", "reset"},
    };
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.four_letter = "*";
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    do_create(&rig, c, "/e", ZK_EPHEMERAL);
    do_read(&rig, c, ZK_OP_exists, "/e", true);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        rig.n_clients = 1;
        struct test_client *w = client_at(&rig, "10.0.0.9:1");
        client_bytes(&rig, w, words[i][0], 4);
        *buf_extend(&w->bytes, 1) = '\0';
        assert_non_null(strstr((char *)w->bytes.data, words[i][1]));
        assert_true(w->closed);
        w->closed = false;
        client_gone(&rig, w);
        buf_reset(&w->bytes);
    }
    rig_close(&rig);
}

static void word_is(struct rig *rig, const char *word, const char *answer)
{
    rig->n_clients = 0;
    struct test_client *w = client_at(rig, "10.0.0.9:1");
    client_bytes(rig, w, word, 4);
    *buf_extend(&w->bytes, 1) = '\0';
    assert_string_equal((char *)w->bytes.data, answer);
    w->closed = false;
    client_gone(rig, w);
    buf_reset(&w->bytes);
}

/* zkServer.sh asks srvr, and clients of a read-only server isro, whatever the list says. */
static void clients_own_words_are_always_allowed(void **state)
{
    static const char refused[] = " is not executed because it is not in the whitelist.\n";
    struct node_config config = test_config();
    (void)state;
    for (int read_only_mode = 0; read_only_mode <= 1; read_only_mode++) {
        struct rig rig;
        char isro[128], wchp[128];
        config.four_letter = "ruok";
        config.read_only_mode = read_only_mode;
        rig_open_with(&rig, &config);
        snprintf(isro, sizeof(isro), "isro%s", refused);
        snprintf(wchp, sizeof(wchp), "wchp%s", refused);
        word_is(&rig, "ruok", "imok");
        word_is(&rig, "isro", read_only_mode ? "rw" : isro);
        word_is(&rig, "wchp", wchp);
        rig.n_clients = 0;
        struct test_client *w = client_at(&rig, "10.0.0.9:1");
        client_bytes(&rig, w, "srvr", 4);
        assert_memory_equal(w->bytes.data, "Zookeeper version: ", 19);
        rig_close(&rig);
    }
}

/* ---- Frames ---- */

static void the_first_frame_must_be_a_session(void **state)
{
    static const uint8_t cases[][8] = {
        {0xff, 0xff, 0xff, 0xff}, /* -1 bytes */
        {0x80, 0, 0, 0},          /* the most negative */
        {0, 0x10, 0, 0},          /* longer than jute.maxbuffer */
        {0, 0, 0, 0},             /* nothing */
        {0, 0, 0, 4, 1, 2, 3, 4}, /* too short */
        {'G', 'E', 'T', ' '},
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_client *c = client_at(rig, "10.0.0.1:1");
        client_bytes(rig, c, cases[i], sizeof(cases[i]));
        assert_true(c->closed && c->bytes.len == 0);
    }
}

static void a_bad_length_closes_a_session_s_connection(void **state)
{
    static const uint8_t cases[][4] = {
        {0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0, 0x10, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 7}};
    struct rig *rig = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_client *c = client_open(rig);
        uint8_t bytes[16] = {0};
        memcpy(bytes, cases[i], 4);
        client_bytes(rig, c, bytes, sizeof(bytes));
        assert_said(c, "closed");
    }
    assert_non_null(rig->log.data);
}

/* A client whose requests end too early gets an error for each, and is not hurt otherwise. */
static void a_record_that_is_cut_off_is_an_error(void **state)
{
    static const int32_t ops[] = {
        ZK_OP_create,       ZK_OP_create2,       ZK_OP_createContainer,
        ZK_OP_createTTL,    ZK_OP_delete,        ZK_OP_setData,
        ZK_OP_setACL,       ZK_OP_exists,        ZK_OP_getData,
        ZK_OP_getChildren,  ZK_OP_getChildren2,  ZK_OP_getACL,
        ZK_OP_sync,         ZK_OP_addWatch,      ZK_OP_removeWatches,
        ZK_OP_checkWatches, ZK_OP_getEphemerals, ZK_OP_getAllChildrenNumber,
        ZK_OP_multi,        ZK_OP_multiRead,     ZK_OP_setWatches,
        ZK_OP_setWatches2,
    };
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        char expected[64];
        struct buf *b = ask(c, ops[i]);
        jute_write_int(b, 1000);
        jute_write_int(b, 0);
        frame_send(rig, c);
        snprintf(expected, sizeof(expected), "#%d@1 MARSHALLINGERROR", c->xid);
        assert_said(c, expected);
    }
    do_create(rig, c, "/a", ZK_PERSISTENT);
    said(c);
    assert_true(node_last_committed(rig->node) == 2);
}

static void an_unknown_operation_closes_the_connection(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    ask(c, 4711);
    frame_send(rig, c);
    assert_said(c, "#1@1 UNIMPLEMENTED\nclosed");
    c = client_open(rig); /* a check is one of multi only (ZOOKEEPER-2623) */
    do_versioned(rig, c, ZK_OP_check, "/", -1);
    assert_said(c, "#1@2 UNIMPLEMENTED\nclosed");
}

static void a_multi_with_anything_else_in_it_is_refused_whole(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    struct buf *b = ask(c, ZK_OP_multi);
    multi_op(b, ZK_OP_create);
    write_create(b, "/a", "", ZK_PERSISTENT);
    multi_op(b, ZK_OP_multi);
    multi_op(b, ZK_OP_create);
    write_create(b, "/b", "", ZK_PERSISTENT);
    multi_end(rig, c);
    do_read(rig, c, ZK_OP_getChildren, "/", false);
    assert_said(c, "#1@1 MARSHALLINGERROR\n#2@1 OK zookeeper");
}

/* ---- Random bytes ---- */

static void random_frame(struct rng *rng, struct test_client *c)
{
    static const int32_t ops[] = {1,  2,  3,  4,  5,  6,  7,   8,   9,   11,  12,  13,  14,  15,
                                  16, 17, 18, 19, 21, 22, 100, 101, 103, 104, 105, 106, 107, -10};
    static const char *const paths[] = {"/", "/a", "/a/b", "", "a", "/zookeeper", "//", "/."};
    int32_t op = ops[rng_below(rng, ARRAY_LEN(ops))];
    if (rng_one_in(rng, 50))
        op = (int32_t)rng_next(rng);
    struct buf *b = ask_begin(c, (int32_t)rng_below(rng, 1000), op);
    for (uint64_t n = rng_below(rng, 12); n > 0; n--) {
        switch (rng_below(rng, 6)) {
        case 0:
            jute_write_int(b, (int32_t)rng_below(rng, 40) - 2);
            break;
        case 1:
            jute_write_long(b, (int64_t)rng_next(rng));
            break;
        case 2:
            write_world(b, (int32_t)rng_below(rng, 32));
            break;
        case 3:
            jute_write_bool(b, rng_one_in(rng, 2));
            break;
        default:
            jute_write_buffer(b, slice_str(paths[rng_below(rng, ARRAY_LEN(paths))]));
            break;
        }
    }
    for (uint64_t n = rng_below(rng, 3); n > 0; n--) {
        uint8_t *byte = b->data + 4 + rng_below(rng, b->len - 4);
        *byte ^= (uint8_t)(1 << rng_below(rng, 8));
    }
}

/* Whatever comes, the replica stays well and serves the others. */
static void random_requests_do_no_harm(void **state)
{
    struct rig *rig = *state;
    struct rng rng = {20240229};
    struct test_client *good = client_open(rig);
    for (int i = 0; i < 3000; i++) {
        rig->n_clients = 1;
        struct test_client *c = client_open(rig);
        for (int j = 0; j < 30 && !c->closed; j++) {
            random_frame(&rng, c);
            frame_send(rig, c);
        }
        buf_reset(&c->bytes);
        buf_reset(&c->said);
        c->closed = c->greeted = false;
        client_gone(rig, c);
        rig_step(rig, (struct node_event){.type = NODE_TICK});
    }
    do_path(rig, good, ZK_OP_sync, "/good");
    assert_non_null(strstr(said(good), "OK /good"));
}

static void random_bytes_do_no_harm(void **state)
{
    struct rig *rig = *state;
    struct rng rng = {7};
    for (int i = 0; i < 3000; i++) {
        uint8_t bytes[256];
        rig->n_clients = 0;
        struct test_client *c = client_at(rig, "10.0.0.1:1");
        for (size_t j = 0; j < sizeof(bytes); j++)
            bytes[j] = (uint8_t)rng_next(&rng);
        be32_put(bytes, (uint32_t)rng_below(&rng, 64));
        for (size_t pos = 0; pos < sizeof(bytes) && !c->closed;) {
            size_t n = MIN(1 + rng_below(&rng, 64), sizeof(bytes) - pos);
            client_bytes(rig, c, bytes + pos, n);
            pos += n;
        }
        buf_reset(&c->bytes);
        c->closed = false;
        client_gone(rig, c);
    }
}

/* ---- Limits ---- */

static void connections_of_one_address_are_limited(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.conns_per_ip_max = 2;
    rig_open_with(&rig, &config);
    struct test_client *a = client_at(&rig, "10.0.0.1:1"), *b = client_at(&rig, "10.0.0.1:2");
    struct test_client *c = client_at(&rig, "10.0.0.1:3"), *d = client_at(&rig, "10.0.0.2:1");
    struct test_client *e = client_at(&rig, "[::1]:1");
    assert_true(!a->closed && !b->closed && c->closed && !d->closed && !e->closed);
    client_gone(&rig, c);
    client_gone(&rig, a);
    assert_false(client_at(&rig, "10.0.0.1:4")->closed);
    assert_true(client_at(&rig, "10.0.0.1:5")->closed);
    rig_close(&rig);
}

static void all_connections_are_limited(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.conns_max = 2;
    rig_open_with(&rig, &config);
    client_at(&rig, "10.0.0.1:1");
    client_at(&rig, "10.0.0.2:1");
    assert_true(client_at(&rig, "10.0.0.3:1")->closed);
    rig_close(&rig);
}

static void a_connection_without_a_session_is_closed_in_time(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_at(rig, "10.0.0.1:1");
    client_bytes(rig, c, "\0\0", 2);
    rig_tick(rig, 9999);
    assert_false(c->closed);
    rig_tick(rig, 1);
    assert_true(c->closed);
}

static void a_client_that_does_not_read_is_paused_and_then_closed(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.output_max = 100000;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig), *w = client_open(&rig);
    do_watch(&rig, c, ZK_OP_addWatch, "/", ZK_WATCH_PERSISTENT_RECURSIVE);
    said(c);
    struct node_conn_public *pub = node_conn_public(c->conn);
    pub->in_flight = 30000; /* sent, and not taken by its peer */
    do_read(&rig, c, ZK_OP_exists, "/no", false);
    assert_true(pub->paused);
    pub->in_flight = 0;
    rig_step(&rig, (struct node_event){.type = NODE_CONN_DRAINED, .conn = c->conn});
    rig.resumed = false;
    rig_flush(&rig);
    assert_true(rig.resumed && !pub->paused);
    said(c);
    pub->in_flight = 99980;
    do_create(&rig, w, "/a", ZK_PERSISTENT);
    assert_true(c->closed && c->bytes.len == 0);
    rig_close(&rig);
}

/* A read that waits for its reader is answered when its session has just ended. */
static void a_late_reader_s_session_may_end_before_its_reads(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.output_max = 100000;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    struct node_conn_public *pub = node_conn_public(c->conn);
    rig_hold(&rig);
    do_create(&rig, c, "/a", ZK_PERSISTENT);
    do_path(&rig, c, ZK_OP_getEphemerals, "/");
    do_close(&rig, c);
    said(c);
    pub->in_flight = 30000;
    rig_step(&rig, (struct node_event){.type = NODE_PERSISTED, .zxid = rig.appended - 1});
    pub->in_flight = 0;
    rig_persist(&rig);
    assert_true(c->closed);
    assert_non_null(strstr(said(c), "#2@"));
    rig_close(&rig);
}

static void watches_are_limited(void **state)
{
    static const int32_t reads[] = {ZK_OP_exists, ZK_OP_getData, ZK_OP_getChildren};
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.watches_max = 3;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    do_read(&rig, c, ZK_OP_exists, "/a", true);
    do_read(&rig, c, ZK_OP_exists, "/b", true);
    do_watch(&rig, c, ZK_OP_addWatch, "/c", ZK_WATCH_PERSISTENT);
    said(c);
    c->xid = 0;
    for (size_t i = 0; i < ARRAY_LEN(reads); i++)
        do_read(&rig, c, reads[i], "/", true);
    do_watch(&rig, c, ZK_OP_addWatch, "/d", ZK_WATCH_PERSISTENT);
    do_read(&rig, c, ZK_OP_getChildren, "/", false);
    assert_said(c, "#1@1 THROTTLEDOP\n#2@1 THROTTLEDOP\n#3@1 THROTTLEDOP\n#4@1 THROTTLEDOP\n"
                   "#5@1 OK zookeeper");
    do_watch(&rig, c, ZK_OP_removeWatches, "/c", ZK_WATCHER_ANY);
    do_read(&rig, c, ZK_OP_getChildren, "/", true);
    assert_said(c, "#6@1 OK\n#7@1 OK zookeeper");
    rig_close(&rig);
}

static void outstanding_requests_pause_who_makes_them(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.outstanding_max = 3;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig), *d = client_open(&rig);
    rig_hold(&rig);
    for (int i = 0; i < 8; i++)
        do_create(&rig, c, "/s", ZK_PERSISTENT_SEQUENTIAL);
    assert_true(node_conn_public(c->conn)->paused);
    assert_true(node_last_proposed(rig.node) == 2 + 4);
    do_read(&rig, d, ZK_OP_getChildren, "/", false);
    assert_said(d, "#1@2 OK zookeeper");
    assert_false(node_conn_public(d->conn)->paused);
    rig_release(&rig);
    rig_turn(&rig);
    assert_false(node_conn_public(c->conn)->paused);
    assert_true(node_last_committed(rig.node) == 2 + 8);
    rig_close(&rig);
}

/* Reads that waited for a write, all of them together more than a reader could be made to take. */
static void large_answers_wait_for_their_reader(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    char *data = malloc(900001);
    memset(data, 'x', 900000);
    data[900000] = '\0';
    struct buf *b = ask(c, ZK_OP_create);
    write_create(b, "/a", data, ZK_PERSISTENT);
    frame_send(rig, c);
    said(c);
    rig_hold(rig);
    for (int round = 0; round < 2; round++) {
        do_create(rig, c, "/s", ZK_PERSISTENT_SEQUENTIAL);
        for (int i = 0; i < 30; i++)
            do_read(rig, c, ZK_OP_getData, "/a", false);
    }
    rig_release(rig);
    unsigned turns = 0;
    const struct node_conn_public *pub = node_conn_public(c->conn);
    for (; pub->more || pub->paused; turns++) {
        if (pub->more)
            rig_step(rig, (struct node_event){.type = NODE_CONN_DRAINED, .conn = c->conn});
        rig_turn(rig);
    }
    assert_false(c->closed);
    assert_in_range(turns, 5, 20);
    say_frames(c); /* more than said() gives */
    *buf_extend(&c->said, 1) = '\0';
    const char *second = strstr((const char *)c->said.data, "\n#33@4 OK /s0000000002\n");
    assert_non_null(second);
    assert_non_null(strstr(second, "\n#63@4 OK "));
    free(data);
}

static void identities_are_limited(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    char auth[32];
    for (int i = 0; i < 63; i++) {
        snprintf(auth, sizeof(auth), "user%d:secret", i);
        do_auth(rig, c, "digest", auth);
        assert_said(c, "#-4@1 OK");
    }
    do_auth(rig, c, "digest", "user0:secret");
    assert_said(c, "#-4@1 OK");
    do_auth(rig, c, "digest", "another:secret");
    assert_said(c, "#-4@1 AUTHFAILED\nclosed");
}

static void long_identities_are_limited(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    char *auth = malloc(40001);
    memset(auth, 'a', 40000);
    memcpy(auth + 39990, "1:secret", 9);
    do_auth(rig, c, "digest", auth);
    assert_said(c, "#-4@1 OK");
    auth[39990] = '2';
    do_auth(rig, c, "digest", auth);
    assert_said(c, "#-4@1 AUTHFAILED\nclosed");
    free(auth);
}

static void do_create_with_acls(struct rig *rig, struct test_client *c, int n, const char *scheme)
{
    struct buf *b = ask(c, ZK_OP_create);
    jute_write_buffer(b, slice_str("/a"));
    jute_write_buffer(b, slice_str(""));
    jute_write_int(b, n);
    for (int i = 0; i < n; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%d:x", i);
        zk_acl_write(b, &(struct zk_acl){i + 1, {slice_str(scheme), slice_str(id)}});
    }
    jute_write_int(b, ZK_PERSISTENT);
    frame_send(rig, c);
}

/* "auth" stands for all that the client is, so that a small request could ask for much. */
static void acls_are_limited(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    char auth[32];
    do_create_with_acls(rig, c, 1025, "digest");
    do_create_with_acls(rig, c, 1024, "digest");
    do_versioned(rig, c, ZK_OP_delete, "/a", -1);
    assert_said(c, "#1@1 INVALIDACL\n#2@2 OK /a\n#3@3 OK");
    for (int i = 0; i < 60; i++) {
        snprintf(auth, sizeof(auth), "user%d:secret", i);
        do_auth(rig, c, "digest", auth);
    }
    said(c);
    do_create_with_acls(rig, c, 18, "auth");
    do_create_with_acls(rig, c, 17, "auth");
    assert_said(c, "#4@3 INVALIDACL\n#5@4 OK /a");
}

static void a_transaction_is_not_much_larger_than_its_request(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    do_auth(rig, c, "digest", "alice:secret");
    do_auth(rig, c, "digest", "bob:secret");
    said(c);
    struct buf *b = ask(c, ZK_OP_multi);
    for (int i = 0; i < 20000; i++) {
        multi_op(b, ZK_OP_create);
        jute_write_buffer(b, slice_str("/s"));
        jute_write_buffer(b, slice_str(""));
        write_acl(b, ZK_PERM_ALL, "auth", "");
        jute_write_int(b, ZK_PERSISTENT_SEQUENTIAL);
    }
    multi_end(rig, c);
    assert_non_null(strstr(said(c), "#1@1 OK (OK/OK) (OK/OK) "));
    assert_true(node_last_proposed(rig->node) == 1);
    do_create(rig, c, "/s", ZK_PERSISTENT_SEQUENTIAL);
    assert_said(c, "#2@2 OK /s0000000000");
}

static void writes_are_refused_before_the_disk_is_full(void **state)
{
    struct node_config config = test_config();
    struct node_gauges gauges = {.free_bytes = 10200};
    struct rig rig;
    (void)state;
    config.reserved_bytes = 10000;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    do_create(&rig, c, "/a", ZK_PERSISTENT);
    assert_said(c, "#1@2 OK /a");
    node_set_gauges(rig.node, &gauges);
    do_create(&rig, c, "/b", ZK_PERSISTENT);
    assert_said(c, "#2@3 OK /b");
    do_create(&rig, c, "/c", ZK_PERSISTENT);
    do_create(&rig, c, "/d", ZK_PERSISTENT);
    do_create(&rig, c, "/e", ZK_PERSISTENT);
    assert_non_null(strstr(said(c), "#5@4 SYSTEMERROR"));
    do_read(&rig, c, ZK_OP_getChildren, "/", false);
    assert_said(c, "#6@4 OK zookeeper a b c");
    struct test_client *d = client_open(&rig);
    do_read(&rig, d, ZK_OP_getChildren, "/", false);
    assert_said(d, "#1@5 OK zookeeper a b c");
    gauges.free_bytes = 20000;
    node_set_gauges(rig.node, &gauges);
    do_create(&rig, d, "/e", ZK_PERSISTENT);
    assert_said(d, "#2@6 OK /e");
    rig_close(&rig);
}

/* Whatever is refused for want of room, there is a line that says so, and until another says that
 * there is room again all is refused. */
static void what_is_refused_for_want_of_room_is_said(void **state)
{
    struct node_config config = test_config();
    struct node_gauges gauges = {.free_bytes = 10500};
    struct rig rig;
    char big[1001];
    (void)state;
    memset(big, 'x', 1000);
    big[1000] = '\0';
    config.reserved_bytes = 10000;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    node_set_gauges(rig.node, &gauges);
    rig_tick(&rig, 100);
    assert_int_equal(rig.log.len, 0);
    write_create(ask(c, ZK_OP_create), "/big", big, ZK_PERSISTENT);
    frame_send(&rig, c);
    assert_said(c, "#1@1 SYSTEMERROR");
    assert_non_null(memmem(rig.log.data, rig.log.len, "writes are refused", 18));
    do_create(&rig, c, "/small", ZK_PERSISTENT);
    assert_said(c, "#2@1 SYSTEMERROR");
    rig_tick(&rig, 100);
    assert_null(memmem(rig.log.data, rig.log.len, "room again", 10));
    gauges.free_bytes = 10000 + 3000;
    node_set_gauges(rig.node, &gauges);
    rig_tick(&rig, 100);
    assert_non_null(memmem(rig.log.data, rig.log.len, "room again", 10));
    write_create(ask(c, ZK_OP_create), "/big", big, ZK_PERSISTENT);
    frame_send(&rig, c);
    assert_said(c, "#3@2 OK /big");
    rig_close(&rig);
}

static bool is_refused(struct rig *rig, const char *address)
{
    return client_at(rig, address)->closed;
}

static void an_ipv6_network_is_one_address(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.conns_per_ip_max = 2;
    rig_open_with(&rig, &config);
    assert_false(is_refused(&rig, "[2001:db8:0:1::1]:1"));
    assert_false(is_refused(&rig, "[2001:db8:0:1:ffff::2]:2"));
    assert_true(is_refused(&rig, "[2001:db8:0:1:1:2:3:4]:3"));
    assert_false(is_refused(&rig, "[2001:db8:0:2::1]:1"));
    assert_false(is_refused(&rig, "10.0.0.1:1"));
    assert_false(is_refused(&rig, "[::ffff:10.0.0.2]:1"));
    assert_false(is_refused(&rig, "[::ffff:10.0.0.3]:1"));
    assert_false(is_refused(&rig, "[::ffff:10.0.0.4]:1"));
    assert_false(is_refused(&rig, "10.0.0.1:2"));
    assert_true(is_refused(&rig, "10.0.0.1:3"));
    rig_close(&rig);
}

/* The log and the other servers need some, too. */
static void the_last_descriptors_are_not_for_clients(void **state)
{
    struct rig *rig = *state;
    struct node_gauges gauges = {.open_fds = 190, .max_fds = 256, .free_bytes = -1};
    node_set_gauges(rig->node, &gauges);
    assert_false(is_refused(rig, "10.0.0.1:1"));
    assert_false(is_refused(rig, "10.0.0.1:2"));
    assert_true(is_refused(rig, "10.0.0.1:3"));
    assert_non_null(memmem(rig->log.data, rig->log.len, "file descriptors", 16));
    gauges.open_fds = 180;
    node_set_gauges(rig->node, &gauges);
    assert_false(is_refused(rig, "10.0.0.1:4"));
}

/* What a client says while it is not read cannot be heard. */
static void a_client_that_is_not_read_lives_one_timeout_longer(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.outstanding_max = 0;
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig), *d = client_open(&rig);
    rig_hold(&rig);
    rig_tick(&rig, 900);
    do_create(&rig, c, "/a", ZK_PERSISTENT);
    do_create(&rig, c, "/b", ZK_PERSISTENT);
    assert_true(node_conn_public(c->conn)->paused);
    for (int i = 0; i < 6; i++)
        rig_tick(&rig, 1000);
    assert_false(c->closed);
    assert_true(d->closed);
    for (int i = 0; i < 4; i++)
        rig_tick(&rig, 1000);
    assert_true(c->closed);
    rig_close(&rig);
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(words_on_the_list_are_answered),
        NODE_TEST(words_that_are_not_on_the_list_are_not_carried_out),
        cmocka_unit_test(clients_own_words_are_always_allowed),
        cmocka_unit_test(every_word_has_an_answer),
        NODE_TEST(the_first_frame_must_be_a_session),
        NODE_TEST(a_bad_length_closes_a_session_s_connection),
        NODE_TEST(a_record_that_is_cut_off_is_an_error),
        NODE_TEST(an_unknown_operation_closes_the_connection),
        NODE_TEST(a_multi_with_anything_else_in_it_is_refused_whole),
        NODE_TEST(random_requests_do_no_harm),
        NODE_TEST(random_bytes_do_no_harm),
        cmocka_unit_test(connections_of_one_address_are_limited),
        cmocka_unit_test(all_connections_are_limited),
        NODE_TEST(a_connection_without_a_session_is_closed_in_time),
        cmocka_unit_test(a_client_that_does_not_read_is_paused_and_then_closed),
        cmocka_unit_test(a_late_reader_s_session_may_end_before_its_reads),
        cmocka_unit_test(watches_are_limited),
        cmocka_unit_test(outstanding_requests_pause_who_makes_them),
        cmocka_unit_test(writes_are_refused_before_the_disk_is_full),
        cmocka_unit_test(what_is_refused_for_want_of_room_is_said),
        cmocka_unit_test(an_ipv6_network_is_one_address),
        NODE_TEST(the_last_descriptors_are_not_for_clients),
        cmocka_unit_test(a_client_that_is_not_read_lives_one_timeout_longer),
        NODE_TEST(large_answers_wait_for_their_reader),
        NODE_TEST(identities_are_limited),
        NODE_TEST(long_identities_are_limited),
        NODE_TEST(acls_are_limited),
        NODE_TEST(a_transaction_is_not_much_larger_than_its_request),
    };
    return cmocka_run_group_tests_name("node limits", tests, NULL, NULL);
}
