/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A log that has everything: each type of transaction, each kind of node, ACLs, quotas, a multi
 * that failed, and a session that ended. */
#include "fuzz.h"

enum {
    SESSION_A = 0x1001,
    SESSION_B = 0x1002,
    SESSION_MS = 6000,
};

struct sample {
    struct buf *batch;
    int64_t zxid;
    size_t start; /* of the entry */
};

static struct buf *txn_begin(struct sample *s, int64_t session_id, int32_t type)
{
    struct zk_txn_header header = {session_id, 1, ++s->zxid, 1700000000000 + s->zxid, type};
    s->start = txn_entry_begin(s->batch);
    zk_txn_header_write(s->batch, &header);
    return s->batch;
}

static void txn_end(struct sample *s)
{
    txn_entry_end(s->batch, s->start);
}

/* An ACL of one entry, encoded in `b`. */
static struct jute_vector make_acl(struct buf *b, const char *scheme, const char *id, int32_t perms)
{
    struct zk_acl acl = {perms, {slice_str(scheme), slice_str(id)}};
    buf_reset(b);
    zk_acl_write(b, &acl);
    return (struct jute_vector){1, buf_slice(b)};
}

static void add_create(struct sample *s, const char *path, const char *data,
                       const struct jute_vector *acl, int64_t owner)
{
    struct zk_create_txn txn = {slice_str(path), data ? slice_str(data) : SLICE_NULL, *acl,
                                owner != 0, -1};
    zk_create_txn_write(txn_begin(s, owner ? owner : SESSION_A, ZK_OP_create), &txn);
    txn_end(s);
}

static void add_sessions(struct sample *s)
{
    static const int64_t ids[] = {SESSION_A, SESSION_B};
    struct zk_create_session_txn txn = {SESSION_MS};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        zk_create_session_txn_write(txn_begin(s, ids[i], ZK_OP_createSession), &txn);
        txn_end(s);
    }
}

static void add_nodes(struct sample *s)
{
    struct buf open_acl = {0}, digest_acl = {0};
    struct jute_vector open = make_acl(&open_acl, "world", "anyone", ZK_PERM_ALL);
    struct jute_vector digest =
        make_acl(&digest_acl, "digest", "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=", ZK_PERM_ALL);
    add_create(s, "/a", "value", &open, 0);
    add_create(s, "/a/b", NULL, &open, 0);
    add_create(s, "/a/c", "", &open, 0);
    add_create(s, "/locked", "secret", &digest, 0);
    add_create(s, "/locked/in", "inside", &open, 0);
    add_create(s, "/mine", "a", &open, SESSION_A);
    add_create(s, "/a/yours", "b", &open, SESSION_B);
    add_create(s, "/zookeeper/quota/a", "", &open, 0);
    add_create(s, "/zookeeper/quota/a/zookeeper_limits", "count=4,bytes=-1=;byteHardLimit=64",
               &open, 0);
    add_create(s, "/zookeeper/quota/a/zookeeper_stats", "count=4,bytes=6", &open, 0);

    struct zk_create_container_txn container = {slice_str("/box"), SLICE_EMPTY, open, -1};
    zk_create_container_txn_write(txn_begin(s, SESSION_A, ZK_OP_createContainer), &container);
    txn_end(s);
    add_create(s, "/box/item", "x", &open, 0);
    struct zk_create_ttl_txn ttl = {slice_str("/short"), SLICE_EMPTY, open, -1, 1000};
    zk_create_ttl_txn_write(txn_begin(s, SESSION_A, ZK_OP_createTTL), &ttl);
    txn_end(s);

    struct zk_set_acl set_acl = {slice_str("/a/c"), digest, 1};
    zk_set_acl_write(txn_begin(s, SESSION_A, ZK_OP_setACL), &set_acl);
    txn_end(s);
    buf_close(&open_acl);
    buf_close(&digest_acl);
}

static void add_multi(struct sample *s, bool failed)
{
    struct buf ops = {0}, set_record = {0}, error_record = {0};
    struct zk_set_data set = {slice_str("/a/b"), slice_str("multi"), 1};
    struct zk_error_response error = {ZK_NONODE};
    zk_set_data_write(&set_record, &set);
    zk_error_response_write(&error_record, &error);
    struct zk_txn part = {ZK_OP_setData, buf_slice(&set_record)};
    if (failed)
        part = (struct zk_txn){ZK_OP_error, buf_slice(&error_record)};
    zk_txn_write(&ops, &part);
    struct zk_multi_txn multi = {{1, buf_slice(&ops)}};
    zk_multi_txn_write(txn_begin(s, SESSION_B, ZK_OP_multi), &multi);
    txn_end(s);
    buf_close(&ops);
    buf_close(&set_record);
    buf_close(&error_record);
}

static void add_changes(struct sample *s)
{
    struct zk_set_data set = {slice_str("/a"), slice_str("other value"), 1};
    zk_set_data_write(txn_begin(s, SESSION_A, ZK_OP_setData), &set);
    txn_end(s);
    add_multi(s, false);
    add_multi(s, true);
    struct zk_path gone = {slice_str("/box/item")};
    zk_path_write(txn_begin(s, SESSION_A, ZK_OP_delete), &gone);
    txn_end(s);
    struct zk_error_response error = {ZK_BADVERSION};
    zk_error_response_write(txn_begin(s, SESSION_A, ZK_OP_error), &error);
    txn_end(s);
}

static void add_close(struct sample *s)
{
    struct buf *b = txn_begin(s, SESSION_B, ZK_OP_closeSession);
    struct jute_builder paths = jute_vector_begin(b);
    jute_write_buffer(b, slice_str("/a/yours"));
    paths.count++;
    jute_vector_end(&paths);
    txn_end(s);
}

void fuzz_sample_log(struct buf *batch)
{
    struct sample s = {.batch = batch, .zxid = 1ll << 32};
    add_sessions(&s);
    add_nodes(&s);
    add_changes(&s);
    add_close(&s);
}
