/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading transactions: whatever the type, the result is one struct op. */
#include "internal.h"

/* Before ZooKeeper 3.4 a create did not say its parent's cversion. */
static void read_create(struct jute_reader *r, struct op *op, int64_t client_id)
{
    struct jute_reader again = *r;
    struct zk_create_txn txn;
    zk_create_txn_read(r, &txn);
    if (!jute_ok(r) && op->type == ZK_OP_create) {
        struct zk_create_txn_v0 old;
        *r = again;
        zk_create_txn_v0_read(r, &old);
        txn = (struct zk_create_txn){old.path, old.data, old.acl, old.ephemeral, -1};
    }
    op->path = txn.path;
    op->data = txn.data;
    op->acl = txn.acl;
    op->version = txn.parent_cversion;
    op->owner = txn.ephemeral ? client_id : 0;
}

static void read_create_ttl(struct jute_reader *r, struct op *op)
{
    struct zk_create_ttl_txn txn;
    zk_create_ttl_txn_read(r, &txn);
    op->path = txn.path;
    op->data = txn.data;
    op->acl = txn.acl;
    op->version = txn.parent_cversion;
    if (ephemeral_ttl_is_valid(txn.ttl))
        op->owner = ephemeral_owner_of_ttl(txn.ttl);
    else
        jute_fail(r);
}

static void read_create_container(struct jute_reader *r, struct op *op)
{
    struct zk_create_container_txn txn;
    zk_create_container_txn_read(r, &txn);
    op->path = txn.path;
    op->data = txn.data;
    op->acl = txn.acl;
    op->version = txn.parent_cversion;
    op->owner = INT64_MIN;
}

static void read_set_data(struct jute_reader *r, struct op *op)
{
    struct zk_set_data txn;
    zk_set_data_read(r, &txn);
    op->path = txn.path;
    op->data = txn.data;
    op->version = txn.version;
}

static void read_set_acl(struct jute_reader *r, struct op *op)
{
    struct zk_set_acl txn;
    zk_set_acl_read(r, &txn);
    op->path = txn.path;
    op->acl = txn.acl;
    op->version = txn.version;
}

/* Before ZooKeeper 3.6 there was no record; what is there may be a digest. */
static void read_close_session(struct jute_reader *r, struct op *op)
{
    struct zk_strings txn;
    zk_strings_read(r, &txn);
    op->parts = jute_ok(r) ? txn.strings : JUTE_VECTOR_NULL;
    r->failed = false;
}

static void read_multi(struct jute_reader *r, struct op *op)
{
    struct zk_multi_txn txn;
    zk_multi_txn_read(r, &txn);
    op->parts = txn.txns;
}

bool op_read(struct op *op, int32_t type, int64_t client_id, struct slice record)
{
    struct jute_reader r = jute_reader_of(record);
    *op = (struct op){.type = type, .path = SLICE_NULL, .parts = JUTE_VECTOR_NULL};
    switch (type) {
    case ZK_OP_create:
    case ZK_OP_create2:
        read_create(&r, op, client_id);
        break;
    case ZK_OP_createTTL:
        read_create_ttl(&r, op);
        break;
    case ZK_OP_createContainer:
        read_create_container(&r, op);
        break;
    case ZK_OP_delete:
    case ZK_OP_deleteContainer:
    case ZK_OP_check:
        op->path = jute_read_buffer(&r);
        break;
    case ZK_OP_setData:
    case ZK_OP_reconfig:
        read_set_data(&r, op);
        break;
    case ZK_OP_setACL:
        read_set_acl(&r, op);
        break;
    case ZK_OP_createSession:
        op->timeout_ms = jute_read_int(&r);
        break;
    case ZK_OP_closeSession:
        read_close_session(&r, op);
        break;
    case ZK_OP_error:
        op->err = jute_read_int(&r);
        break;
    case ZK_OP_multi:
        read_multi(&r, op);
        break;
    default:
        return false;
    }
    return jute_ok(&r);
}

static bool may_be_in_multi(int32_t type)
{
    switch (type) {
    case ZK_OP_create:
    case ZK_OP_create2:
    case ZK_OP_createTTL:
    case ZK_OP_createContainer:
    case ZK_OP_delete:
    case ZK_OP_deleteContainer:
    case ZK_OP_setData:
    case ZK_OP_check:
    case ZK_OP_error:
        return true;
    default:
        return false;
    }
}

bool op_check_multi(const struct op *multi, int64_t client_id, bool *failed)
{
    struct jute_reader r = jute_vector_iter(&multi->parts);
    struct zk_txn txn;
    struct op op;
    *failed = false;
    for (int32_t i = 0; i < multi->parts.count; i++) {
        zk_txn_read(&r, &txn);
        if (!may_be_in_multi(txn.type) || !op_read(&op, txn.type, client_id, txn.data))
            return false;
        *failed |= txn.type == ZK_OP_error;
    }
    return true;
}
