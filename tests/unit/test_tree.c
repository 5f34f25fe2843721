/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tree_zookeeper.h"
#include "zab/rng.h"
#include "zab/tree.h"

/* ---- A tree, and transactions for it ---- */

struct world {
    struct tree *tree;
    struct tree_outcome out;
    struct buf txn;
    int64_t zxid;
    int64_t time_ms;
    int64_t client_id;
};

static const char open_acl[] = "world:anyone:31";

static int set_up(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    w->tree = tree_open(1);
    w->client_id = 7;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    tree_close(w->tree);
    tree_outcome_close(&w->out);
    buf_close(&w->txn);
    free(w);
    return 0;
}

/* Apply what is in w->txn as the next transaction. */
static int32_t apply(struct world *w, int32_t type)
{
    struct zk_txn_header header = {
        .client_id = w->client_id, .zxid = ++w->zxid, .time = w->time_ms += 10, .type = type};
    assert_int_equal(tree_apply(w->tree, &header, buf_slice(&w->txn), &w->out), 0);
    assert_int_equal(tree_last_zxid(w->tree), w->zxid);
    buf_reset(&w->txn);
    return w->out.err;
}

/* "scheme:id:perms" as a vector of one; NULL is a null vector. The bytes are static. */
static struct jute_vector acl_of(const char *text)
{
    static struct buf b;
    char scheme[16], id[32];
    int perms;
    if (!text)
        return JUTE_VECTOR_NULL;
    assert_int_equal(sscanf(text, "%15[^:]:%31[^:]:%d", scheme, id, &perms), 3);
    buf_close(&b);
    zk_acl_write(&b, &(struct zk_acl){perms, {slice_str(scheme), slice_str(id)}});
    return (struct jute_vector){1, buf_slice(&b)};
}

static int32_t create_as(struct world *w, int32_t type, const char *path, const char *acl,
                         bool ephemeral, int32_t parent_cversion)
{
    struct zk_create_txn txn = {slice_str(path), slice_str("data"), acl_of(acl), ephemeral,
                                parent_cversion};
    zk_create_txn_write(&w->txn, &txn);
    return apply(w, type);
}

static int32_t create(struct world *w, const char *path)
{
    return create_as(w, ZK_OP_create, path, open_acl, false, -1);
}

static int32_t create_ttl(struct world *w, const char *path, int64_t ttl_ms)
{
    struct zk_create_ttl_txn txn = {slice_str(path), SLICE_EMPTY, acl_of(open_acl), -1, ttl_ms};
    zk_create_ttl_txn_write(&w->txn, &txn);
    return apply(w, ZK_OP_createTTL);
}

static int32_t create_container(struct world *w, const char *path)
{
    struct zk_create_container_txn txn = {slice_str(path), SLICE_EMPTY, acl_of(open_acl), -1};
    zk_create_container_txn_write(&w->txn, &txn);
    return apply(w, ZK_OP_createContainer);
}

static int32_t delete_node(struct world *w, const char *path)
{
    zk_path_write(&w->txn, &(struct zk_path){slice_str(path)});
    return apply(w, ZK_OP_delete);
}

static int32_t set_data(struct world *w, const char *path, struct slice data, int32_t version)
{
    zk_set_data_write(&w->txn, &(struct zk_set_data){slice_str(path), data, version});
    return apply(w, ZK_OP_setData);
}

static int32_t set_acl(struct world *w, const char *path, const char *acl, int32_t version)
{
    zk_set_acl_write(&w->txn, &(struct zk_set_acl){slice_str(path), acl_of(acl), version});
    return apply(w, ZK_OP_setACL);
}

/* A multi of operations that are written into `ops` one by one. */
static void multi_add(struct jute_builder *vb, int32_t type, const struct buf *record)
{
    zk_txn_write(vb->buf, &(struct zk_txn){type, buf_slice(record)});
    vb->count++;
}

static const struct znode *node(struct world *w, const char *path)
{
    return tree_find(w->tree, slice_str(path));
}

static struct zk_stat stat_of(struct world *w, const char *path)
{
    struct zk_stat stat;
    assert_non_null(node(w, path));
    znode_stat(node(w, path), &stat);
    return stat;
}

static void assert_events(struct world *w, const char *expected)
{
    static const char *const names[] = {"?", "created", "deleted", "data", "children"};
    struct buf text = {0};
    for (size_t i = 0; i < w->out.n_events; i++) {
        const struct tree_event *event = &w->out.events[i];
        buf_printf(&text, "%s%s %.*s", i > 0 ? ", " : "", names[event->type],
                   SLICE_ARG(event->path));
    }
    buf_append(&text, "", 1);
    assert_string_equal(text.data, expected);
    buf_close(&text);
}

static void assert_data(struct world *w, const char *path, const char *expected)
{
    assert_non_null(node(w, path));
    assert_true(slice_eq_str(znode_data(node(w, path)), expected));
}

static void dump(const struct tree *t, struct buf *out)
{
    struct tree_dump d;
    tree_dump_begin(&d, t);
    while (tree_dump_next(&d, out))
        continue;
    tree_dump_close(&d);
}

/* Feed a stream in chunks; returns what the last feed did. */
static int load(struct tree *t, struct slice stream, size_t chunk, struct err *e)
{
    struct tree_load *l = tree_load_begin(t);
    size_t pos = 0, used;
    int rc = 0;
    while (rc == 0 && pos < (size_t)stream.len) {
        size_t n = MIN(chunk, (size_t)stream.len - pos);
        rc = tree_load_feed(l, slice_of(stream.data + pos, n), &used, e);
        assert_true(used <= n && (rc != 0 || used == n));
        pos += used;
    }
    if (rc == 1)
        assert_int_equal(pos, stream.len);
    tree_load_close(l);
    return rc;
}

static void assert_same_dump(const struct tree *a, const struct tree *b)
{
    struct buf da = {0}, db = {0};
    dump(a, &da);
    dump(b, &db);
    assert_true(slice_eq(buf_slice(&da), buf_slice(&db)));
    buf_close(&da);
    buf_close(&db);
}

/* What one tree has, the other has. */
static void assert_nodes_equal(const struct tree *a, const struct tree *b, const struct znode *na)
{
    struct buf path = {0}, sa = {0}, sb = {0};
    struct zk_stat_persisted stat;
    tree_path(a, na, &path);
    const struct znode *nb = tree_find(b, buf_slice(&path));
    assert_non_null(nb);
    znode_stat_persisted(na, &stat);
    zk_stat_persisted_write(&sa, &stat);
    znode_stat_persisted(nb, &stat);
    zk_stat_persisted_write(&sb, &stat);
    assert_true(slice_eq(buf_slice(&sa), buf_slice(&sb)));
    assert_true(slice_eq(znode_data(na), znode_data(nb)));
    struct jute_vector va = tree_acl(a, znode_acl_id(na)), vb = tree_acl(b, znode_acl_id(nb));
    assert_int_equal(va.count, vb.count);
    assert_true(slice_eq(va.bytes, vb.bytes));
    assert_int_equal(znode_num_children(na), znode_num_children(nb));
    buf_close(&path);
    buf_close(&sa);
    buf_close(&sb);
    for (const struct znode *c = tree_first_child(a, na); c; c = tree_next_child(a, c))
        assert_nodes_equal(a, b, c);
}

static void unhex(const char *hex, struct buf *out)
{
    unsigned byte;
    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        *buf_extend(out, 1) = (uint8_t)byte;
}

/* ---- Against ZooKeeper ---- */

static void a_new_tree_is_that_of_zookeeper(void **state)
{
    struct world *w = *state;
    struct buf theirs = {0}, ours = {0};
    unhex(zookeeper_fresh_hex, &theirs);
    dump(w->tree, &ours);
    assert_int_equal(ours.len, theirs.len);
    assert_memory_equal(ours.data, theirs.data, ours.len);
    assert_int_equal(stat_of(w, "/").cversion, -1);
    assert_int_equal(stat_of(w, "/zookeeper").cversion, -2);
    assert_int_equal(stat_of(w, "/zookeeper/config").aversion, -1);
    assert_int_equal(tree_count(w->tree), 5);
    assert_int_equal(tree_data_size(w->tree), 44);
    buf_close(&theirs);
    buf_close(&ours);
}

static void apply_log(struct tree *t, struct slice log, struct tree_outcome *out)
{
    struct jute_reader r = jute_reader_of(log);
    while (jute_left(&r) > 0) {
        struct jute_reader entry = jute_reader_of(jute_read_buffer(&r));
        struct zk_txn_header header;
        zk_txn_header_read(&entry, &header);
        assert_int_equal(tree_apply(t, &header, jute_read_rest(&entry), out), 0);
    }
    assert_true(jute_done(&r));
}

static void zookeepers_log_leads_to_zookeepers_snapshot(void **state)
{
    struct world *w = *state;
    struct tree *theirs = tree_open(2);
    struct buf log = {0}, snapshot = {0};
    struct err e = {0};
    unhex(zookeeper_txns_hex, &log);
    unhex(zookeeper_snapshot_hex, &snapshot);
    assert_int_equal(load(theirs, buf_slice(&snapshot), 4096, &e), 1);
    apply_log(w->tree, buf_slice(&log), &w->out);
    for (int again = 0; again < 2; again++) {
        assert_nodes_equal(w->tree, theirs, node(w, "/"));
        assert_int_equal(tree_count(w->tree), tree_count(theirs));
        assert_int_equal(tree_data_size(w->tree), tree_data_size(theirs));
        assert_int_equal(tree_session_count(w->tree), 1);
        assert_int_equal(tree_session_count(theirs), 1);
        assert_int_equal(tree_ephemeral_count(theirs), 1);
        /* A snapshot may be ahead of its zxid by all of the log. */
        apply_log(theirs, buf_slice(&log), &w->out);
    }
    tree_close(theirs);
    buf_close(&log);
    buf_close(&snapshot);
}

/* ---- Operations ---- */

static void create_sets_both_stats(void **state)
{
    struct world *w = *state;
    assert_int_equal(create_as(w, ZK_OP_create2, "/a", open_acl, false, 1), ZK_OK);
    assert_events(w, "created /a, children /");
    struct zk_stat stat = w->out.results[0].stat;
    assert_int_equal(stat.czxid, 1);
    assert_int_equal(stat.mzxid, 1);
    assert_int_equal(stat.pzxid, 1);
    assert_int_equal(stat.ctime, 10);
    assert_int_equal(stat.mtime, 10);
    assert_int_equal(stat.data_length, 4);
    assert_true(slice_eq_str(w->out.results[0].path, "/a"));
    assert_int_equal(stat_of(w, "/").pzxid, 1);
    assert_int_equal(stat_of(w, "/").cversion, 2 * 1 - 2);
    assert_int_equal(stat_of(w, "/").num_children, 2);
}

static void parents_cversion_counts_creations_and_deletions(void **state)
{
    struct world *w = *state;
    create(w, "/a");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(create(w, "/a/b"), ZK_OK);
        assert_int_equal(delete_node(w, "/a/b"), ZK_OK);
    }
    assert_events(w, "deleted /a/b, children /a");
    assert_int_equal(stat_of(w, "/a").cversion, 6);
    assert_int_equal(stat_of(w, "/a").pzxid, w->zxid);
    struct zk_stat_persisted stat;
    znode_stat_persisted(node(w, "/a"), &stat);
    assert_int_equal(stat.cversion, 3);
}

static void a_create_that_is_behind_changes_no_cversion(void **state)
{
    struct world *w = *state;
    create(w, "/a");
    create_as(w, ZK_OP_create, "/a/x", open_acl, false, 5);
    create_as(w, ZK_OP_create, "/a/y", open_acl, false, 4);
    assert_int_equal(stat_of(w, "/a").cversion, 2 * 5 - 2);
    assert_int_equal(stat_of(w, "/a").pzxid, 2);
}

static void create_of_what_is_there_sets_acl_and_cversion(void **state)
{
    struct world *w = *state;
    create(w, "/a");
    create_as(w, ZK_OP_create, "/a/x", open_acl, false, 1);
    assert_int_equal(create_as(w, ZK_OP_create, "/a/x", "digest:joe:31", false, 9), ZK_NODEEXISTS);
    assert_events(w, "");
    assert_int_equal(w->out.results[0].err, ZK_NODEEXISTS);
    assert_int_not_equal(znode_acl_id(node(w, "/a/x")), -1);
    assert_int_equal(stat_of(w, "/a").cversion, 2 * 9 - 1);
    assert_int_equal(stat_of(w, "/a").pzxid, w->zxid);
    assert_int_equal(create_as(w, ZK_OP_create2, "/a/x", open_acl, false, 20), ZK_NODEEXISTS);
    assert_int_equal(stat_of(w, "/a").cversion, 2 * 9 - 1);
}

static void delete_of_what_is_not_there_sets_pzxid(void **state)
{
    struct world *w = *state;
    create(w, "/a");
    assert_int_equal(delete_node(w, "/a/x"), ZK_NONODE);
    assert_events(w, "");
    assert_int_equal(stat_of(w, "/a").pzxid, w->zxid);
    assert_int_equal(delete_node(w, "/nope/x"), ZK_NONODE);
    assert_int_equal(create(w, "/nope/x"), ZK_NONODE);
}

static void paths_that_are_none_are_refused(void **state)
{
    struct world *w = *state;
    static const char *const bad[] = {"", "/", "a", "/zookeeper/", "//a", "/zookeeper//a"};
    create(w, "/a");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_not_equal(create(w, bad[i]), ZK_OK);
        assert_int_not_equal(delete_node(w, bad[i]), ZK_OK);
        assert_true(slice_eq_str(slice_str(bad[i]), "/") || !node(w, bad[i]));
    }
    assert_null(tree_find(w->tree, SLICE_NULL));
    assert_int_equal(tree_count(w->tree), 6);
}

static void delete_takes_what_a_replay_finds_below(void **state)
{
    struct world *w = *state;
    create(w, "/a");
    create(w, "/a/b");
    create(w, "/a/b/c");
    create_as(w, ZK_OP_create, "/a/b/e", "digest:joe:31", true, -1);
    create(w, "/a/d");
    assert_int_equal(delete_node(w, "/a"), ZK_OK);
    assert_events(w, "deleted /a, children /");
    assert_null(node(w, "/a/b/c"));
    assert_int_equal(tree_count(w->tree), 5);
    assert_int_equal(tree_data_size(w->tree), 44);
    assert_int_equal(tree_ephemeral_count(w->tree), 0);
}

static void set_data_tells_null_from_empty(void **state)
{
    struct world *w = *state;
    create(w, "/a");
    assert_int_equal(set_data(w, "/a", slice_str("xy"), 1), ZK_OK);
    assert_events(w, "data /a");
    assert_data(w, "/a", "xy");
    assert_int_equal(w->out.results[0].stat.version, 1);
    assert_int_equal(w->out.results[0].stat.mzxid, 2);
    assert_int_equal(w->out.results[0].stat.mtime, 20);
    assert_int_equal(stat_of(w, "/a").pzxid, 1);
    set_data(w, "/a", SLICE_NULL, 2);
    assert_true(slice_is_null(znode_data(node(w, "/a"))));
    set_data(w, "/a", SLICE_EMPTY, 3);
    assert_false(slice_is_null(znode_data(node(w, "/a"))));
    assert_int_equal(set_data(w, "/b", SLICE_EMPTY, 3), ZK_NONODE);
    assert_int_equal(tree_data_size(w->tree), 44 + 2);
}

static void equal_acls_share_a_number_until_the_last_one_goes(void **state)
{
    struct world *w = *state;
    create_as(w, ZK_OP_create, "/a", "digest:joe:31", false, -1);
    create_as(w, ZK_OP_create, "/b", "digest:joe:31", false, -1);
    create_as(w, ZK_OP_create, "/c", "digest:ann:31", false, -1);
    create_as(w, ZK_OP_create, "/d", NULL, false, -1);
    int64_t id = znode_acl_id(node(w, "/a"));
    assert_int_equal(id, 2); /* 1 is that of /zookeeper/config */
    assert_int_equal(znode_acl_id(node(w, "/b")), id);
    assert_int_equal(znode_acl_id(node(w, "/c")), 3);
    assert_int_equal(znode_acl_id(node(w, "/d")), -1);
    assert_int_equal(set_acl(w, "/a", open_acl, 1), ZK_OK);
    assert_events(w, "");
    assert_int_equal(w->out.results[0].stat.aversion, 1);
    delete_node(w, "/b");
    assert_int_equal(w->out.events[0].acl_id, id);
    assert_true(slice_eq(tree_acl(w->tree, id).bytes, acl_of("digest:joe:31").bytes));
    delete_node(w, "/c");
    struct buf stream = {0};
    dump(w->tree, &stream);
    assert_null(memmem(stream.data, stream.len, "ann", 3));
    buf_close(&stream);
    create_as(w, ZK_OP_create, "/e", "digest:eve:31", false, -1);
    assert_int_equal(znode_acl_id(node(w, "/e")), 2);
}

/* ---- Multi ---- */

static void multi_applies_all_in_order(void **state)
{
    struct world *w = *state;
    struct buf record = {0};
    create(w, "/a");
    struct jute_builder vb = jute_vector_begin(&w->txn);
    zk_create_txn_write(&record, &(struct zk_create_txn){slice_str("/a/b"), SLICE_EMPTY,
                                                         acl_of(open_acl), false, -1});
    multi_add(&vb, ZK_OP_create2, &record);
    buf_reset(&record);
    zk_path_version_write(&record, &(struct zk_path_version){slice_str("/a"), 0});
    multi_add(&vb, ZK_OP_check, &record);
    buf_reset(&record);
    zk_path_write(&record, &(struct zk_path){slice_str("/a/b")});
    multi_add(&vb, ZK_OP_delete, &record);
    buf_reset(&record);
    zk_set_data_write(&record, &(struct zk_set_data){slice_str("/a"), slice_str("z"), 4});
    multi_add(&vb, ZK_OP_setData, &record);
    jute_vector_end(&vb);
    assert_int_equal(apply(w, ZK_OP_multi), ZK_OK);
    assert_events(w, "created /a/b, children /a, deleted /a/b, children /a, data /a");
    assert_int_equal(w->out.n_results, 4);
    assert_int_equal(w->out.results[0].stat.czxid, 2);
    assert_int_equal(w->out.results[1].type, ZK_OP_check);
    assert_int_equal(w->out.results[3].stat.version, 4);
    buf_close(&record);
}

static void failed_multi_changes_nothing(void **state)
{
    struct world *w = *state;
    struct buf record = {0};
    struct jute_builder vb = jute_vector_begin(&w->txn);
    const int32_t expected[] = {ZK_OK, ZK_BADVERSION, ZK_RUNTIMEINCONSISTENCY};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        buf_reset(&record);
        if (expected[i] == ZK_BADVERSION)
            zk_error_response_write(&record, &(struct zk_error_response){ZK_BADVERSION});
        else
            zk_path_write(&record, &(struct zk_path){slice_str("/zookeeper")});
        multi_add(&vb, expected[i] == ZK_BADVERSION ? ZK_OP_error : ZK_OP_delete, &record);
    }
    jute_vector_end(&vb);
    assert_int_equal(apply(w, ZK_OP_multi), ZK_BADVERSION);
    assert_events(w, "");
    assert_int_equal(w->out.n_results, 3);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_int_equal(w->out.results[i].type, ZK_OP_error);
        assert_int_equal(w->out.results[i].err, expected[i]);
        assert_true(slice_is_null(w->out.results[i].path));
    }
    assert_non_null(node(w, "/zookeeper"));
    buf_close(&record);
}

static void a_bad_record_changes_nothing(void **state)
{
    struct world *w = *state;
    struct buf record = {0}, before = {0}, after = {0};
    dump(w->tree, &before);
    static const int32_t types[] = {ZK_OP_create,   ZK_OP_createTTL, ZK_OP_createContainer,
                                    ZK_OP_delete,   ZK_OP_setData,   ZK_OP_setACL,
                                    ZK_OP_multi,    ZK_OP_error,     ZK_OP_createSession,
                                    ZK_OP_reconfig, ZK_OP_check,     ZK_OP_getData};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct zk_txn_header header = {.zxid = 1, .type = types[i]};
        assert_int_equal(tree_apply(w->tree, &header, slice_of("\0\0", 2), &w->out), -EBADMSG);
    }
    /* The second operation of a multi is cut off. */
    zk_path_write(&record, &(struct zk_path){slice_str("/zookeeper/config")});
    struct jute_builder vb = jute_vector_begin(&w->txn);
    multi_add(&vb, ZK_OP_delete, &record);
    record.len--;
    multi_add(&vb, ZK_OP_delete, &record);
    jute_vector_end(&vb);
    struct zk_txn_header header = {.zxid = 1, .type = ZK_OP_multi};
    assert_int_equal(tree_apply(w->tree, &header, buf_slice(&w->txn), &w->out), -EBADMSG);
    dump(w->tree, &after);
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
    assert_int_equal(tree_last_zxid(w->tree), 0);
    buf_close(&record);
    buf_close(&before);
    buf_close(&after);
}

static void error_transactions_only_count(void **state)
{
    struct world *w = *state;
    zk_error_response_write(&w->txn, &(struct zk_error_response){ZK_NONODE});
    assert_int_equal(apply(w, ZK_OP_error), ZK_NONODE);
    assert_int_equal(w->out.n_results, 1);
    assert_int_equal(tree_last_zxid(w->tree), 1);
}

/* ---- Sessions and other owners ---- */

static void sessions_end_with_their_ephemeral_nodes(void **state)
{
    struct world *w = *state;
    int32_t timeout_ms = 0;
    jute_write_int(&w->txn, 4000);
    apply(w, ZK_OP_createSession);
    assert_true(tree_session_timeout(w->tree, 7, &timeout_ms));
    assert_int_equal(timeout_ms, 4000);
    create_as(w, ZK_OP_create, "/e1", open_acl, true, -1);
    create_as(w, ZK_OP_create, "/e2", open_acl, true, -1);
    create_as(w, ZK_OP_create, "/e3", open_acl, true, -1);
    create(w, "/stays");
    assert_int_equal(stat_of(w, "/e1").ephemeral_owner, 7);
    delete_node(w, "/e2");
    assert_int_equal(tree_ephemeral_count(w->tree), 2);
    assert_ptr_equal(tree_first_ephemeral(w->tree, 7), node(w, "/e1"));
    assert_ptr_equal(tree_next_ephemeral(w->tree, node(w, "/e1")), node(w, "/e3"));
    assert_null(tree_next_ephemeral(w->tree, node(w, "/e3")));
    apply(w, ZK_OP_closeSession);
    assert_events(w, "deleted /e1, children /, deleted /e3, children /");
    assert_null(node(w, "/e1"));
    assert_non_null(node(w, "/stays"));
    assert_false(tree_session_timeout(w->tree, 7, &timeout_ms));
    assert_null(tree_first_ephemeral(w->tree, 7));
}

static void close_session_deletes_what_it_names_first(void **state)
{
    struct world *w = *state;
    create_as(w, ZK_OP_create, "/e1", open_acl, true, -1);
    create_as(w, ZK_OP_create, "/e2", open_acl, true, -1);
    struct jute_builder vb = jute_vector_begin(&w->txn);
    jute_write_buffer(&w->txn, slice_str("/e2"));
    jute_write_buffer(&w->txn, slice_str("/gone"));
    vb.count = 2;
    jute_vector_end(&vb);
    assert_int_equal(apply(w, ZK_OP_closeSession), ZK_OK);
    assert_events(w, "deleted /e2, children /, deleted /e1, children /");
    assert_int_equal(tree_ephemeral_count(w->tree), 0);
}

static void sessions_are_listed(void **state)
{
    struct world *w = *state;
    for (w->client_id = 1; w->client_id <= 50; w->client_id++) {
        jute_write_int(&w->txn, 100);
        apply(w, ZK_OP_createSession);
    }
    size_t cursor = 0;
    int64_t id, sum = 0;
    int32_t timeout_ms;
    while (tree_session_next(w->tree, &cursor, &id, &timeout_ms))
        sum += id;
    assert_int_equal(sum, 50 * 51 / 2);
    assert_int_equal(tree_session_count(w->tree), 50);
}

static void assert_expired(struct world *w, int64_t now_ms, size_t looks, const char *expected)
{
    struct buf paths = {0}, text = {0};
    tree_sweep_begin(w->tree);
    while (tree_sweep_next(w->tree, now_ms, looks, SIZE_MAX, &paths))
        ;
    struct jute_reader r = jute_reader_of(buf_slice(&paths));
    while (jute_left(&r) > 0) {
        struct slice path = jute_read_buffer(&r);
        buf_printf(&text, "%.*s ", SLICE_ARG(path));
    }
    assert_true(jute_done(&r));
    buf_append(&text, "", 1);
    assert_string_equal(text.data, expected);
    buf_close(&paths);
    buf_close(&text);
}

static void containers_and_ttl_nodes_expire(void **state)
{
    struct world *w = *state;
    create_container(w, "/c");
    create_container(w, "/unused");
    create(w, "/c/x");
    create_ttl(w, "/t", 1000); /* at 40 ms */
    create_ttl(w, "/u", 1000); /* at 50 ms */
    assert_int_equal(stat_of(w, "/c").ephemeral_owner, 0);
    assert_int_equal(stat_of(w, "/t").ephemeral_owner, 0);
    assert_int_equal(tree_ephemeral_count(w->tree), 0);
    assert_expired(w, 1040, 10, "");
    assert_expired(w, 1041, 10, "/t ");
    delete_node(w, "/c/x");
    assert_expired(w, 2000, 10, "/c /t /u ");
    assert_expired(w, 2000, 1, "/c /t /u ");
    create(w, "/t/x");
    delete_node(w, "/u");
    assert_expired(w, 2000, 10, "/c ");
}

/* It is at a node that goes, and at the last one. */
static void a_sweep_goes_on_while_the_tree_changes(void **state)
{
    struct world *w = *state;
    struct buf paths = {0};
    for (int i = 0; i < 3; i++) {
        char path[8];
        snprintf(path, sizeof(path), "/t%d", i);
        create_ttl(w, path, 10);
    }
    tree_sweep_begin(w->tree);
    assert_true(tree_sweep_next(w->tree, 2000, 10, 1, &paths));
    delete_node(w, "/t0");
    delete_node(w, "/t1");
    assert_true(tree_sweep_next(w->tree, 2000, 1, 10, &paths));
    delete_node(w, "/t2");
    create_ttl(w, "/t3", 10);
    assert_false(tree_sweep_next(w->tree, 2000, 10, 10, &paths));
    assert_false(tree_sweep_next(w->tree, 2000, 10, 10, &paths));
    struct jute_reader r = jute_reader_of(buf_slice(&paths));
    assert_true(slice_eq_str(jute_read_buffer(&r), "/t0"));
    assert_true(slice_eq_str(jute_read_buffer(&r), "/t2"));
    assert_true(jute_done(&r));
    buf_close(&paths);
}

static void owners_say_what_they_are(void **state)
{
    (void)state;
    assert_int_equal(ephemeral_type_of(0), EPHEMERAL_NONE);
    assert_int_equal(ephemeral_type_of(0x1000012345), EPHEMERAL_SESSION);
    assert_int_equal(ephemeral_type_of(INT64_MIN), EPHEMERAL_CONTAINER);
    assert_int_equal(ephemeral_type_of(ephemeral_owner_of_ttl(5)), EPHEMERAL_TTL);
    assert_int_equal(ephemeral_owner_of_ttl(1), (int64_t)0xff00000000000001ull);
    assert_int_equal(ephemeral_ttl_of(ephemeral_owner_of_ttl(123456)), 123456);
    assert_false(ephemeral_ttl_is_valid(0));
    assert_false(ephemeral_ttl_is_valid(1ll << 40));
}

/* ---- Quotas ---- */

static void quotas_follow_what_happens_below(void **state)
{
    struct world *w = *state;
    create(w, "/q");
    create(w, "/q/a");
    create(w, "/zookeeper/quota/q");
    create(w, "/zookeeper/quota/q/zookeeper_limits");
    set_data(w, "/zookeeper/quota/q/zookeeper_limits",
             slice_str("count=3,bytes=-1=;byteHardLimit=20;countHardLimit=4"), 1);
    create(w, "/zookeeper/quota/q/zookeeper_stats");
    const char *stats = "/zookeeper/quota/q/zookeeper_stats";
    assert_data(w, stats, "count=2,bytes=8");
    create(w, "/q/a/b");
    set_data(w, "/q/a", slice_str("123456"), 1);
    assert_data(w, stats, "count=3,bytes=14");
    assert_false(tree_quota_exceeded(w->tree, slice_str("/q/x"), 6, 1));
    assert_true(tree_quota_exceeded(w->tree, slice_str("/q/x"), 7, 1));
    assert_true(tree_quota_exceeded(w->tree, slice_str("/q/x"), 0, 2));
    assert_false(tree_quota_exceeded(w->tree, slice_str("/qq"), 100, 100));
    delete_node(w, "/q/a/b");
    assert_data(w, stats, "count=2,bytes=10");
    create(w, "/qq");
    assert_data(w, stats, "count=2,bytes=10");
    delete_node(w, "/zookeeper/quota/q/zookeeper_limits");
    create(w, "/q/y");
    assert_data(w, stats, "count=2,bytes=10");
    assert_false(tree_quota_exceeded(w->tree, slice_str("/q/x"), 7, 100));
}

static void quotas_are_counted_anew_by_a_load(void **state)
{
    struct world *w = *state;
    struct buf stream = {0};
    create(w, "/q");
    create(w, "/zookeeper/quota/q");
    create(w, "/zookeeper/quota/q/zookeeper_limits");
    create(w, "/zookeeper/quota/q/zookeeper_stats");
    dump(w->tree, &stream);
    uint8_t *stats = memmem(stream.data, stream.len, "count=1,bytes=4", 15);
    assert_non_null(stats);
    memcpy(stats, "count=7,bytes=7", 15); /* of a fuzzy snapshot */
    assert_int_equal(load(w->tree, buf_slice(&stream), 100, NULL), 1);
    assert_data(w, "/zookeeper/quota/q/zookeeper_stats", "count=1,bytes=4");
    create(w, "/q/a");
    assert_data(w, "/zookeeper/quota/q/zookeeper_stats", "count=2,bytes=8");
    buf_close(&stream);
}

/* Replicas that were restarted count what is there: so must those that were not. */
static void assert_quotas_as_loaded(struct world *w)
{
    struct buf stream = {0}, again = {0};
    struct tree *t = tree_open(7);
    dump(w->tree, &stream);
    assert_int_equal(load(t, buf_slice(&stream), 100, NULL), 1);
    dump(t, &again);
    assert_true(slice_eq(buf_slice(&stream), buf_slice(&again)));
    tree_close(t);
    buf_close(&stream);
    buf_close(&again);
}

static void quotas_say_what_a_load_would_find(void **state)
{
    struct world *w = *state;
    const char *stats = "/zookeeper/quota/q/zookeeper_stats",
               *root = "/zookeeper/quota/zookeeper_stats";
    create(w, "/q");
    create(w, "/q/a");
    create(w, "/zookeeper/quota/q");
    create(w, "/zookeeper/quota/q/zookeeper_limits");
    create(w, stats);
    delete_node(w, "/zookeeper/quota/q/zookeeper_limits");
    create(w, "/q/a/b");
    create(w, "/q/a/c");
    assert_data(w, stats, "count=2,bytes=8");
    create(w, "/zookeeper/quota/q/zookeeper_limits"); /* limits are back, the stats were left */
    assert_data(w, stats, "count=4,bytes=16");
    assert_quotas_as_loaded(w);
    delete_node(w, "/q/a/b");
    delete_node(w, "/q/a/c");
    assert_data(w, stats, "count=2,bytes=8");
    set_data(w, stats, slice_str("count=77,bytes=77=;countHardLimit=9"), 1);
    assert_quotas_as_loaded(w);
    create(w, "/zookeeper/quota/q/a"); /* inside of another */
    create(w, "/zookeeper/quota/q/a/zookeeper_limits");
    create(w, "/zookeeper/quota/q/a/zookeeper_stats");
    create(w, "/q/a/d");
    assert_data(w, stats, "count=3,bytes=12");
    assert_data(w, "/zookeeper/quota/q/a/zookeeper_stats", "count=2,bytes=8");
    assert_quotas_as_loaded(w);
    create(w, "/zookeeper/quota/zookeeper_limits"); /* of all, itself too */
    create(w, root);
    assert_quotas_as_loaded(w);
    for (int i = 0; i < 20; i++) {
        char path[16];
        snprintf(path, sizeof(path), "/q/n%d", i);
        create(w, path);
        assert_quotas_as_loaded(w);
    }
    delete_node(w, "/q/a/d");
    delete_node(w, "/q/a");
    assert_data(w, "/zookeeper/quota/q/a/zookeeper_stats", "count=0,bytes=0");
    assert_quotas_as_loaded(w);
}

/* ---- Dump and load ---- */

/* A history of `n` transactions that are right or wrong, the same for each seed. */
static void live(struct world *w, uint64_t seed, int n)
{
    struct rng rng = {seed};
    static const char *const acls[] = {open_acl, "digest:joe:31", "digest:ann:1", "ip:1.2.3.4:3"};
    char path[64];
    for (int i = 0; i < n; i++) {
        int len = snprintf(path, sizeof(path), "/n%d", (int)rng_below(&rng, 12));
        if (rng_one_in(&rng, 2))
            len +=
                snprintf(path + len, sizeof(path) - (size_t)len, "/m%d", (int)rng_below(&rng, 9));
        if (rng_one_in(&rng, 4))
            snprintf(path + len, sizeof(path) - (size_t)len, "/l%d", (int)rng_below(&rng, 3));
        const char *acl = acls[rng_below(&rng, ARRAY_LEN(acls))];
        w->client_id = 1 + (int64_t)rng_below(&rng, 5);
        switch (rng_below(&rng, 40) / 3) {
        case 0:
            delete_node(w, path);
            break;
        case 1:
            set_data(w, path, slice_of("0123456789", rng_below(&rng, 10)), i);
            break;
        case 2:
            set_acl(w, path, acl, i);
            break;
        case 3:
            jute_write_int(&w->txn, 100 + i);
            apply(w, ZK_OP_createSession);
            break;
        case 4:
            apply(w, ZK_OP_closeSession);
            break;
        case 5:
            create_ttl(w, path, 1 + i);
            break;
        default:
            create_as(w, ZK_OP_create, path, acl, rng_one_in(&rng, 3), -1);
        }
    }
}

/* A large tree need not go in one go. */
static void a_tree_is_closed_piece_by_piece(void **state)
{
    struct world *w = *state;
    char path[16];
    for (int i = 0; i < 9000; i++) {
        snprintf(path, sizeof(path), "/n%d", i);
        create(w, path);
        assert_non_null(node(w, path));
        snprintf(path, sizeof(path), "/n%d", i / 2);
        assert_non_null(node(w, path));
    }
    int pieces = 1;
    while (!tree_close_some(w->tree, 1000))
        pieces++;
    assert_int_equal(pieces, 10);
    w->tree = tree_open(1);
}

static void equal_histories_dump_equal_bytes(void **state)
{
    struct world *a = *state;
    void *other;
    set_up(&other);
    struct world *b = other;
    tree_close(b->tree);
    b->tree = tree_open(0xdeadbeef);
    live(a, 5, 3000);
    live(b, 5, 3000);
    assert_true(tree_count(a->tree) > 20);
    assert_same_dump(a->tree, b->tree);
    tear_down(&other);
}

static void a_loaded_tree_goes_on_like_the_first(void **state)
{
    struct world *a = *state;
    struct buf stream = {0};
    void *other;
    set_up(&other);
    struct world *b = other;
    live(a, 6, 1000);
    live(b, 9, 500); /* all of it is replaced */
    dump(a->tree, &stream);
    assert_int_equal(load(b->tree, buf_slice(&stream), 1 << 20, NULL), 1);
    b->zxid = a->zxid;
    b->time_ms = a->time_ms;
    assert_same_dump(a->tree, b->tree);
    assert_int_equal(tree_data_size(a->tree), tree_data_size(b->tree));
    assert_int_equal(tree_ephemeral_count(a->tree), tree_ephemeral_count(b->tree));
    live(a, 7, 1000);
    live(b, 7, 1000);
    assert_same_dump(a->tree, b->tree);
    tear_down(&other);
    buf_close(&stream);
}

static void chunks_may_be_of_any_size(void **state)
{
    struct world *w = *state;
    struct buf stream = {0};
    live(w, 8, 300);
    dump(w->tree, &stream);
    static const size_t sizes[] = {1, 2, 3, 7, 64, 1000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct tree *t = tree_open(i);
        assert_int_equal(load(t, buf_slice(&stream), sizes[i], NULL), 1);
        assert_same_dump(w->tree, t);
        tree_close(t);
    }
    buf_close(&stream);
}

static void load_stops_at_the_end_mark(void **state)
{
    struct world *w = *state;
    struct buf stream = {0};
    size_t used;
    dump(w->tree, &stream);
    size_t len = stream.len;
    buf_append(&stream, "what follows", 12);
    struct tree_load *l = tree_load_begin(w->tree);
    assert_int_equal(tree_load_feed(l, buf_slice(&stream), &used, NULL), 1);
    assert_int_equal(used, len);
    tree_load_close(l);
    buf_close(&stream);
}

static void deep_trees_need_no_deep_stack(void **state)
{
    struct world *w = *state;
    struct buf path = {0}, stream = {0};
    enum { DEPTH = 3000 };
    for (int i = 0; i < DEPTH; i++) {
        buf_append(&path, "/d\0", 3);
        path.len--;
        create(w, (const char *)path.data);
    }
    assert_int_equal(tree_count_below(w->tree, node(w, "/d")), DEPTH - 1);
    assert_int_equal(tree_count_below(w->tree, node(w, "/")), DEPTH + 3);
    dump(w->tree, &stream);
    assert_int_equal(load(w->tree, buf_slice(&stream), 65536, NULL), 1);
    assert_non_null(tree_find(w->tree, buf_slice(&path)));
    delete_node(w, "/d");
    assert_int_equal(tree_count(w->tree), 5);
    buf_close(&path);
    buf_close(&stream);
}

/* A stream up to its nodes, with one ACL. */
static void write_head(struct buf *b, int64_t acl_id)
{
    struct jute_vector acl = acl_of("digest:joe:31");
    jute_write_int(b, 1);
    jute_write_long(b, 77);
    jute_write_int(b, 4000);
    jute_write_int(b, 1);
    jute_write_long(b, acl_id);
    jute_write_vector(b, &acl);
}

static void write_node(struct buf *b, const char *path, int64_t acl)
{
    jute_write_buffer(b, slice_str(path));
    jute_write_buffer(b, SLICE_EMPTY);
    jute_write_long(b, acl);
    zk_stat_persisted_write(b, &(struct zk_stat_persisted){.czxid = 5, .pzxid = 5});
}

static void load_takes_what_a_fuzzy_snapshot_has(void **state)
{
    struct world *w = *state;
    struct buf b = {0};
    write_head(&b, 9); /* nobody's ACL */
    write_node(&b, "", -1);
    jute_write_buffer(&b, slice_str("/"));
    assert_int_equal(load(w->tree, buf_slice(&b), 10, NULL), 1);
    assert_int_equal(znode_acl_id(node(w, "/zookeeper/config")), 1);
    buf_reset(&b);
    write_head(&b, 9);
    write_node(&b, "", -1);
    write_node(&b, "/a", 12); /* younger than the ACLs */
    jute_write_buffer(&b, slice_str("/"));
    assert_int_equal(load(w->tree, buf_slice(&b), 10, NULL), 1);
    struct jute_vector nobody = tree_acl(w->tree, znode_acl_id(node(w, "/a")));
    assert_int_equal(nobody.count, 1);
    assert_int_equal(be32_get(nobody.bytes.data), 0); /* permissions; an empty one allows all */
    assert_non_null(node(w, "/zookeeper/quota"));
    w->zxid = 4;
    assert_int_equal(create_as(w, ZK_OP_create, "/a", "digest:ann:31", false, 1), ZK_NODEEXISTS);
    assert_int_equal(tree_acl(w->tree, znode_acl_id(node(w, "/a"))).count, 1);
    assert_int_equal(tree_session_count(w->tree), 1);
    buf_close(&b);
}

static void assert_refused(struct tree *t, struct buf *stream, const char *sentence)
{
    struct err e = {0};
    int rc = load(t, buf_slice(stream), 5, &e);
    assert_true(rc < 0 && rc == e.code);
    if (!strstr(e.text, sentence))
        fail_msg("\"%s\" instead of \"%s\"", e.text, sentence);
    buf_reset(stream);
}

static void load_refuses_what_is_malformed(void **state)
{
    struct world *w = *state;
    struct buf b = {0};
    jute_write_int(&b, -1);
    assert_refused(w->tree, &b, "negative number of sessions: -1");
    write_head(&b, 0);
    assert_refused(w->tree, &b, "ACL number 0");
    write_head(&b, 2);
    jute_write_buffer(&b, slice_str("/"));
    assert_refused(w->tree, &b, "no root");
    write_head(&b, 2);
    write_node(&b, "/a", 2);
    assert_refused(w->tree, &b, "bad path \"/a\"");
    static const char *const bad[] = {"", "a", "/a/", "//a"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        write_head(&b, 2);
        write_node(&b, "", 2);
        write_node(&b, bad[i], 2);
        assert_refused(w->tree, &b, bad[i]);
    }
    write_head(&b, 2);
    write_node(&b, "", 2);
    write_node(&b, "/a/b", 2);
    assert_refused(w->tree, &b, "no parent before \"/a/b\"");
    write_head(&b, 2);
    write_node(&b, "", 2);
    write_node(&b, "/a", 2);
    write_node(&b, "/a", 2);
    assert_refused(w->tree, &b, "second node \"/a\"");
    write_head(&b, 2);
    jute_write_int(&b, INT32_MAX);
    buf_append(&b, "/many bytes", 11);
    assert_refused(w->tree, &b, "more than");
    write_head(&b, 2);
    jute_write_int(&b, -2);
    buf_append(&b, (uint8_t[100]){0}, 100);
    assert_refused(w->tree, &b, "cannot be read");
    buf_close(&b);
}

/* Whatever the stream, the tree can be closed, and nothing is read or written out of bounds. */
static void load_survives_flipped_bits(void **state)
{
    struct world *w = *state;
    struct buf stream = {0};
    struct rng rng = {3};
    live(w, 4, 60);
    dump(w->tree, &stream);
    for (int i = 0; i < 2000; i++) {
        struct err e;
        size_t at = rng_below(&rng, stream.len), used;
        uint8_t bit = (uint8_t)(1u << rng_below(&rng, 8));
        struct tree *t = tree_open(1);
        struct tree_load *l = tree_load_begin(t);
        stream.data[at] ^= bit;
        tree_load_feed(l, buf_slice(&stream), &used, &e);
        stream.data[at] ^= bit;
        tree_load_close(l);
        tree_close(t);
    }
    buf_close(&stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_tree_is_that_of_zookeeper),
        TEST(zookeepers_log_leads_to_zookeepers_snapshot),
        TEST(create_sets_both_stats),
        TEST(parents_cversion_counts_creations_and_deletions),
        TEST(a_create_that_is_behind_changes_no_cversion),
        TEST(create_of_what_is_there_sets_acl_and_cversion),
        TEST(delete_of_what_is_not_there_sets_pzxid),
        TEST(paths_that_are_none_are_refused),
        TEST(delete_takes_what_a_replay_finds_below),
        TEST(set_data_tells_null_from_empty),
        TEST(equal_acls_share_a_number_until_the_last_one_goes),
        TEST(multi_applies_all_in_order),
        TEST(failed_multi_changes_nothing),
        TEST(a_bad_record_changes_nothing),
        TEST(error_transactions_only_count),
        TEST(sessions_end_with_their_ephemeral_nodes),
        TEST(close_session_deletes_what_it_names_first),
        TEST(sessions_are_listed),
        TEST(containers_and_ttl_nodes_expire),
        TEST(a_sweep_goes_on_while_the_tree_changes),
        TEST(owners_say_what_they_are),
        TEST(quotas_follow_what_happens_below),
        TEST(quotas_are_counted_anew_by_a_load),
        TEST(quotas_say_what_a_load_would_find),
        TEST(a_tree_is_closed_piece_by_piece),
        TEST(equal_histories_dump_equal_bytes),
        TEST(a_loaded_tree_goes_on_like_the_first),
        TEST(chunks_may_be_of_any_size),
        TEST(load_stops_at_the_end_mark),
        TEST(deep_trees_need_no_deep_stack),
        TEST(load_takes_what_a_fuzzy_snapshot_has),
        TEST(load_refuses_what_is_malformed),
        TEST(load_survives_flipped_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
