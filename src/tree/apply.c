/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transactions, as ZooKeeper's DataTree.processTxn applies them. A transaction is read whole
 * before anything is changed, so that a record that cannot be parsed leaves the tree as it was. */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"
#include "path.h"

struct apply {
    struct tree *tree;
    const struct zk_txn_header *header;
    struct tree_outcome *out;
};

/* ---- What comes out ---- */

static struct tree_result *result_add(struct tree_outcome *out, int32_t type, struct slice path)
{
    if (out->n_results == out->cap_results) {
        out->cap_results = MAX(out->cap_results * 2, 4);
        out->results = mem_realloc(out->results, out->cap_results * sizeof(*out->results));
    }
    struct tree_result *result = &out->results[out->n_results++];
    *result = (struct tree_result){.type = type, .path = path};
    return result;
}

static void event_add(struct tree_outcome *out, enum zk_event_type type, struct slice path,
                      int64_t acl)
{
    if (out->n_events == out->cap_events) {
        out->cap_events = MAX(out->cap_events * 2, 8);
        out->events = mem_realloc(out->events, out->cap_events * sizeof(*out->events));
    }
    out->events[out->n_events++] = (struct tree_event){type, path, acl};
}

void tree_outcome_close(struct tree_outcome *out)
{
    free(out->results);
    free(out->events);
    buf_close(&out->scratch);
    *out = (struct tree_outcome){0};
}

/* ---- Operations ---- */

/* Creations are counted. A replay may be behind what a fuzzy snapshot has already. */
static void raise_cversion(struct znode *parent, int32_t cversion, int64_t zxid)
{
    struct extra *e = znode_make_extra(parent);
    if (cversion == -1)
        cversion = (int32_t)((uint32_t)e->cversion + 1);
    if (cversion > e->cversion) {
        e->cversion = cversion;
        e->pzxid = zxid;
    }
}

static void raise_pzxid(struct znode *parent, int64_t zxid)
{
    if (zxid > znode_pzxid(parent))
        znode_make_extra(parent)->pzxid = zxid;
}

static int32_t apply_create(struct apply *a, const struct op *op, struct tree_result *result)
{
    struct tree *t = a->tree;
    int64_t zxid = a->header->zxid;
    struct slice parent_path, name;
    uint64_t hash;
    if (!path_split(op->path, &parent_path, &name))
        return ZK_BADARGUMENTS;
    uint32_t parent = znode_find(t, parent_path, &hash);
    if (parent == NODE_NONE)
        return ZK_NONODE;
    hash = path_hash_child(hash, name);
    uint32_t child = znode_find_child(t, parent, hash, name);
    if (child != NODE_NONE) {
        znode_set_acl(t, znode_at(t, child), &op->acl);
        if (op->type == ZK_OP_create)
            raise_cversion(znode_at(t, parent), op->version, zxid);
        return ZK_NODEEXISTS;
    }
    raise_cversion(znode_at(t, parent), op->version, zxid);
    child = znode_add(t, parent, hash, name, op->data);
    struct znode *n = znode_at(t, child);
    n->czxid = n->mzxid = zxid;
    n->ctime = n->mtime = a->header->time;
    n->acl = acl_intern(&t->acls, &op->acl);
    znode_set_owner(t, child, op->owner);
    znode_stat(n, &result->stat);
    quota_node_changed(t, child);
    quota_update(t, op->path);
    event_add(a->out, ZK_EVENT_CREATED, op->path, acl_id(n->acl));
    event_add(a->out, ZK_EVENT_CHILDREN_CHANGED, parent_path, acl_id(znode_at(t, parent)->acl));
    return ZK_OK;
}

/* A node that a replay deletes can have children, since a fuzzy snapshot may have those of a
 * later node of this path: they go too, and are created again by their own transactions. */
static void remove_subtree(struct tree *t, uint32_t top, struct slice path)
{
    for (uint32_t i = top, up; i != NODE_NONE; i = up) {
        uint32_t child;
        while ((child = znode_first_child(t, znode_at(t, i))) != NODE_NONE)
            i = child;
        up = i == top ? NODE_NONE : znode_at(t, i)->parent;
        znode_remove(t, i);
    }
    quota_update(t, path);
}

static int32_t apply_delete(struct apply *a, struct slice path)
{
    struct tree *t = a->tree;
    struct slice parent_path, name;
    uint64_t hash;
    if (!path_split(path, &parent_path, &name))
        return ZK_BADARGUMENTS;
    uint32_t parent = znode_find(t, parent_path, &hash);
    if (parent == NODE_NONE)
        return ZK_NONODE;
    raise_pzxid(znode_at(t, parent), a->header->zxid);
    uint32_t child = znode_find_child(t, parent, path_hash_child(hash, name), name);
    if (child == NODE_NONE)
        return ZK_NONODE;
    event_add(a->out, ZK_EVENT_DELETED, path, acl_id(znode_at(t, child)->acl));
    event_add(a->out, ZK_EVENT_CHILDREN_CHANGED, parent_path, acl_id(znode_at(t, parent)->acl));
    remove_subtree(t, child, path);
    return ZK_OK;
}

static int32_t apply_set_data(struct apply *a, const struct op *op, struct tree_result *result)
{
    struct tree *t = a->tree;
    uint32_t i = znode_find(t, op->path, &(uint64_t){0});
    if (i == NODE_NONE)
        return ZK_NONODE;
    struct znode *n = znode_at(t, i);
    znode_set_data(t, n, op->data);
    n->mtime = a->header->time;
    n->mzxid = a->header->zxid;
    n->version = op->version;
    znode_stat(n, &result->stat);
    quota_node_changed(t, i);
    quota_update(t, op->path);
    event_add(a->out, ZK_EVENT_DATA_CHANGED, op->path, acl_id(n->acl));
    return ZK_OK;
}

static int32_t apply_set_acl(struct apply *a, const struct op *op, struct tree_result *result)
{
    uint32_t i = znode_find(a->tree, op->path, &(uint64_t){0});
    if (i == NODE_NONE)
        return ZK_NONODE;
    struct znode *n = znode_at(a->tree, i);
    znode_set_acl(a->tree, n, &op->acl);
    znode_make_extra(n)->aversion = op->version;
    znode_stat(n, &result->stat);
    return ZK_OK;
}

/* The paths of nodes that the transaction does not name must outlive them: they are kept in the
 * outcome's scratch, which must not move while slices point into it. */
static void reserve_paths(struct apply *a, const struct session *s)
{
    size_t size = 0;
    for (uint32_t i = s->owned.first; i != NODE_NONE;) {
        const struct znode *n = znode_at(a->tree, i);
        size += znode_path_len(a->tree, n);
        i = znode_extra(n)->owned_next;
    }
    buf_reserve(&a->out->scratch, size);
}

static void apply_close_session(struct apply *a, const struct op *op)
{
    int64_t id = a->header->client_id;
    struct tree *t = a->tree;
    struct jute_reader r = jute_vector_iter(&op->parts);
    for (int32_t i = 0; i < op->parts.count; i++)
        apply_delete(a, jute_read_buffer(&r));
    const struct session *s = tree_session_find(t, id);
    if (s)
        reserve_paths(a, s);
    const struct znode *n;
    while ((n = tree_first_ephemeral(t, id))) {
        struct buf *scratch = &a->out->scratch;
        size_t start = scratch->len;
        tree_path(t, n, scratch);
        apply_delete(a, slice_of(scratch->data + start, scratch->len - start));
    }
    tree_session_close(t, id);
}

static void apply_op(struct apply *a, const struct op *op)
{
    struct tree_result *result = result_add(a->out, op->type, op->path);
    switch (op->type) {
    case ZK_OP_create:
    case ZK_OP_create2:
    case ZK_OP_createTTL:
    case ZK_OP_createContainer:
        result->err = apply_create(a, op, result);
        break;
    case ZK_OP_delete:
    case ZK_OP_deleteContainer:
        result->err = apply_delete(a, op->path);
        break;
    case ZK_OP_setData:
    case ZK_OP_reconfig:
        result->err = apply_set_data(a, op, result);
        break;
    case ZK_OP_setACL:
        result->err = apply_set_acl(a, op, result);
        break;
    case ZK_OP_createSession:
        tree_session_open(a->tree, a->header->client_id, op->timeout_ms);
        break;
    case ZK_OP_closeSession:
        apply_close_session(a, op);
        break;
    case ZK_OP_error:
        result->err = op->err;
        break;
    }
    if (a->out->err == ZK_OK)
        a->out->err = result->err;
}

/* In a multi that failed, the operations before the one that failed have no error of their own,
 * and those behind it were not tried. */
static void apply_multi(struct apply *a, const struct op *multi, bool failed)
{
    struct jute_reader r = jute_vector_iter(&multi->parts);
    bool behind = false;
    for (int32_t i = 0; i < multi->parts.count; i++) {
        struct zk_txn txn;
        struct op op;
        zk_txn_read(&r, &txn);
        if (failed && txn.type != ZK_OP_error) {
            op = (struct op){.type = ZK_OP_error, .path = SLICE_NULL};
            op.err = behind ? ZK_RUNTIMEINCONSISTENCY : ZK_OK;
        } else {
            bool ok = op_read(&op, txn.type, a->header->client_id, txn.data);
            ensure(ok);
        }
        behind |= txn.type == ZK_OP_error;
        apply_op(a, &op);
    }
}

static bool read_txn(const struct zk_txn_header *header, struct slice txn, struct op *op,
                     bool *failed)
{
    *failed = false;
    if (!op_read(op, header->type, header->client_id, txn) || op->type == ZK_OP_check)
        return false;
    return op->type != ZK_OP_multi || op_check_multi(op, header->client_id, failed);
}

bool tree_check_txn(const struct zk_txn_header *header, struct slice txn)
{
    struct op op;
    bool failed;
    return read_txn(header, txn, &op, &failed);
}

int tree_apply(struct tree *t, const struct zk_txn_header *header, struct slice txn,
               struct tree_outcome *out)
{
    struct apply a = {t, header, out};
    struct op op;
    bool failed;
    if (!read_txn(header, txn, &op, &failed))
        return -EBADMSG;
    acls_purge(&t->acls);
    out->err = ZK_OK;
    out->n_results = out->n_events = 0;
    buf_reset(&out->scratch);
    if (op.type == ZK_OP_multi)
        apply_multi(&a, &op, failed);
    else
        apply_op(&a, &op);
    t->last_zxid = MAX(t->last_zxid, header->zxid);
    return 0;
}
