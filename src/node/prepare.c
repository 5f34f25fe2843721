/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One operation against the tree as all proposals will leave it (ZooKeeper's
 * PrepRequestProcessor): refused with an error, or its transaction record appended and its effect
 * recorded in the changes. Each prepare_* returns an enum zk_error; on an error nothing was
 * recorded, and what was appended does not count. */
#include "internal.h"

#include <stdio.h>

static bool is_special(struct slice path)
{
    return slice_eq_str(path, "/") || slice_eq_str(path, "/zookeeper") ||
           slice_eq_str(path, "/zookeeper/quota") || slice_eq_str(path, "/zookeeper/config");
}

/* The next version. -1 is skipped, since in a request it means "any" (ZOOKEEPER-4743). */
static int32_t check_version(int32_t have, int32_t want, int32_t *next)
{
    if (want != -1 && want != have)
        return ZK_BADVERSION;
    *next = (int32_t)((uint32_t)have + 1);
    if (*next == -1)
        *next = 0;
    return ZK_OK;
}

static int32_t check_quota(struct node *n, struct slice path, int64_t bytes, int64_t count)
{
    if (n->config.enforce_quota && tree_quota_exceeded(n->tree, path, bytes, count))
        return ZK_QUOTAEXCEEDED;
    return ZK_OK;
}

/* ---- create ---- */

struct create {
    struct zk_create_ttl_request q;
    bool ephemeral, sequential;
    int64_t owner;
};

static void read_create(struct jute_reader *r, int32_t op, struct zk_create_ttl_request *q)
{
    if (op == ZK_OP_createTTL) {
        zk_create_ttl_request_read(r, q);
        return;
    }
    struct zk_create_request plain;
    zk_create_request_read(r, &plain);
    *q = (struct zk_create_ttl_request){plain.path, plain.data, plain.acl, plain.flags, -1};
}

/* What the flags mean (CreateMode, EphemeralType). As with ZooKeeper they are checked alone:
 * whether a container or a TTL node is made is a matter of the operation. */
static int32_t check_mode(struct node *n, const struct requester *who, int32_t op,
                          struct create *cr)
{
    int32_t mode = cr->q.flags;
    bool ttl = mode == ZK_PERSISTENT_TTL || mode == ZK_PERSISTENT_SEQUENTIAL_TTL;
    if (mode < ZK_PERSISTENT || mode > ZK_PERSISTENT_SEQUENTIAL_TTL)
        return ZK_BADARGUMENTS;
    if (ttl && !n->config.extended_types)
        return ZK_UNIMPLEMENTED;
    if (ttl != (op == ZK_OP_createTTL) || (ttl && (cr->q.ttl <= 0 || cr->q.ttl >= 1ll << 40)))
        return ZK_BADARGUMENTS;
    cr->ephemeral = mode == ZK_EPHEMERAL || mode == ZK_EPHEMERAL_SEQUENTIAL;
    cr->sequential = mode == ZK_PERSISTENT_SEQUENTIAL || mode == ZK_EPHEMERAL_SEQUENTIAL ||
                     mode == ZK_PERSISTENT_SEQUENTIAL_TTL;
    cr->owner = ttl                           ? ephemeral_owner_of_ttl(cr->q.ttl)
                : op == ZK_OP_createContainer ? INT64_MIN
                : cr->ephemeral               ? who->session_id
                                              : 0;
    return ZK_OK;
}

static void write_create_txn(int32_t op, const struct create *cr, struct slice path,
                             const struct jute_vector *acl, int32_t parent_cversion,
                             struct buf *out)
{
    if (op == ZK_OP_createTTL) {
        struct zk_create_ttl_txn t = {path, cr->q.data, *acl, parent_cversion, cr->q.ttl};
        zk_create_ttl_txn_write(out, &t);
    } else if (op == ZK_OP_createContainer) {
        struct zk_create_container_txn t = {path, cr->q.data, *acl, parent_cversion};
        zk_create_container_txn_write(out, &t);
    } else {
        struct zk_create_txn t = {path, cr->q.data, *acl, cr->ephemeral, parent_cversion};
        zk_create_txn_write(out, &t);
    }
}

/* The path with its sequence number, which is the parent's count of creations. */
static struct slice create_path(struct node *n, const struct create *cr, int32_t cversion)
{
    if (!cr->sequential)
        return cr->q.path;
    buf_reset(&n->path_scratch);
    buf_append(&n->path_scratch, cr->q.path.data, slice_size(cr->q.path));
    buf_printf(&n->path_scratch, "%010d", (int)cversion);
    return buf_slice(&n->path_scratch);
}

/* A sequential create may ask for "/": its number becomes the name. */
static struct slice create_parent(struct slice path)
{
    return path.len == 1 ? path : zk_path_parent(path);
}

static int32_t prepare_create(struct node *n, const struct requester *who, int64_t zxid, int32_t op,
                              struct jute_reader *r, struct buf *out)
{
    struct create cr;
    struct view parent, node;
    read_create(r, op, &cr.q);
    if (!jute_ok(r))
        return ZK_MARSHALLINGERROR;
    int32_t err = check_mode(n, who, op, &cr);
    if (err != ZK_OK)
        return err;
    if (zk_path_check(cr.q.path, cr.sequential))
        return ZK_BADARGUMENTS;
    buf_reset(&n->acl_scratch);
    err = acl_fixup(n, &who->ids, &cr.q.acl, &n->acl_scratch);
    if (err != ZK_OK)
        return err;
    if (slice_eq_str(cr.q.path, "/") && !cr.sequential)
        return ZK_NODEEXISTS;
    struct slice parent_path = create_parent(cr.q.path);
    if (!view_get(n, parent_path, &parent))
        return ZK_NONODE;
    if (!acl_allows(n, &who->ids, &parent.acl, ZK_PERM_CREATE))
        return ZK_NOAUTH;
    struct slice path = create_path(n, &cr, parent.cversion);
    if (view_get(n, path, &node))
        return ZK_NODEEXISTS;
    if (ephemeral_type_of(parent.ephemeral_owner) == EPHEMERAL_SESSION)
        return ZK_NOCHILDRENFOREPHEMERALS;
    err = check_quota(n, path, (int64_t)slice_size(cr.q.data), 1);
    if (err != ZK_OK)
        return err;

    struct jute_vector acl = acl_encoded(&n->acl_scratch);
    parent.cversion = (int32_t)((uint32_t)parent.cversion + 1); /* as Java's, which wraps */
    parent.num_children++;
    write_create_txn(op, &cr, path, &acl, parent.cversion, out);
    view_put(n, parent_path, &parent, zxid);
    node = (struct view){.exists = true,
                         .acl_is_new = true,
                         .data_len = (int32_t)slice_size(cr.q.data),
                         .ephemeral_owner = cr.owner,
                         .acl = acl};
    view_put(n, path, &node, zxid);
    return ZK_OK;
}

/* ---- delete ---- */

static void record_delete(struct node *n, int64_t zxid, struct slice path)
{
    struct slice parent_path = zk_path_parent(path);
    struct view parent, gone = {.exists = false};
    if (view_get(n, parent_path, &parent)) {
        parent.num_children--;
        view_put(n, parent_path, &parent, zxid);
    }
    view_put(n, path, &gone, zxid);
}

static void write_delete_txn(struct slice path, struct buf *out)
{
    struct zk_path t = {path};
    zk_path_write(out, &t);
}

static int32_t prepare_delete(struct node *n, const struct requester *who, int64_t zxid,
                              struct jute_reader *r, struct buf *out)
{
    struct zk_path_version q;
    struct view parent, node;
    int32_t next;
    zk_path_version_read(r, &q);
    if (!jute_ok(r))
        return ZK_MARSHALLINGERROR;
    if (zk_path_check(q.path, false) || is_special(q.path))
        return ZK_BADARGUMENTS;
    if (!view_get(n, zk_path_parent(q.path), &parent))
        return ZK_NONODE;
    if (!acl_allows(n, &who->ids, &parent.acl, ZK_PERM_DELETE))
        return ZK_NOAUTH;
    if (!view_get(n, q.path, &node))
        return ZK_NONODE;
    int32_t err = check_version(node.version, q.version, &next);
    if (err != ZK_OK)
        return err;
    if (node.num_children > 0)
        return ZK_NOTEMPTY;
    write_delete_txn(q.path, out);
    record_delete(n, zxid, q.path);
    return ZK_OK;
}

/* Asked for by the replica itself, since the node in the tree is due: it may have come to life
 * again, or another of that path may be on its way. */
int32_t prepare_delete_container(struct node *n, int64_t zxid, struct slice path, struct buf *out)
{
    struct view node;
    if (!view_get(n, path, &node))
        return ZK_NONODE;
    if (node.num_children > 0)
        return ZK_NOTEMPTY;
    if (!view_is_of_tree(n, path))
        return ZK_BADVERSION;
    enum ephemeral_type type = ephemeral_type_of(node.ephemeral_owner);
    if (type != EPHEMERAL_CONTAINER && type != EPHEMERAL_TTL)
        return ZK_BADVERSION;
    write_delete_txn(path, out);
    record_delete(n, zxid, path);
    return ZK_OK;
}

/* ---- setData, setACL, check ---- */

static int32_t prepare_set_data(struct node *n, const struct requester *who, int64_t zxid,
                                struct jute_reader *r, struct buf *out)
{
    struct zk_set_data q;
    struct view node;
    zk_set_data_read(r, &q);
    if (!jute_ok(r))
        return ZK_MARSHALLINGERROR;
    if (zk_path_check(q.path, false))
        return ZK_BADARGUMENTS;
    if (!view_get(n, q.path, &node))
        return ZK_NONODE;
    if (!acl_allows(n, &who->ids, &node.acl, ZK_PERM_WRITE))
        return ZK_NOAUTH;
    int32_t size = (int32_t)slice_size(q.data);
    int32_t err = check_quota(n, q.path, (int64_t)size - node.data_len, 0);
    if (err == ZK_OK)
        err = check_version(node.version, q.version, &node.version);
    if (err != ZK_OK)
        return err;
    struct zk_set_data t = {q.path, q.data, node.version};
    zk_set_data_write(out, &t);
    node.data_len = size;
    view_put(n, q.path, &node, zxid);
    return ZK_OK;
}

static int32_t prepare_set_acl(struct node *n, const struct requester *who, int64_t zxid,
                               struct jute_reader *r, struct buf *out)
{
    struct zk_set_acl q;
    struct view node;
    zk_set_acl_read(r, &q);
    if (!jute_ok(r))
        return ZK_MARSHALLINGERROR;
    if (zk_path_check(q.path, false))
        return ZK_BADARGUMENTS;
    buf_reset(&n->acl_scratch);
    int32_t err = acl_fixup(n, &who->ids, &q.acl, &n->acl_scratch);
    if (err != ZK_OK)
        return err;
    if (!view_get(n, q.path, &node))
        return ZK_NONODE;
    if (!acl_allows(n, &who->ids, &node.acl, ZK_PERM_ADMIN))
        return ZK_NOAUTH;
    err = check_version(node.aversion, q.version, &node.aversion);
    if (err != ZK_OK)
        return err;
    node.acl = acl_encoded(&n->acl_scratch);
    node.acl_is_new = true;
    struct zk_set_acl t = {q.path, node.acl, node.aversion};
    zk_set_acl_write(out, &t);
    view_put(n, q.path, &node, zxid);
    return ZK_OK;
}

static int32_t prepare_check(struct node *n, const struct requester *who, struct jute_reader *r,
                             struct buf *out)
{
    struct zk_path_version q;
    struct view node;
    int32_t next;
    zk_path_version_read(r, &q);
    if (!jute_ok(r))
        return ZK_MARSHALLINGERROR;
    if (zk_path_check(q.path, false))
        return ZK_BADARGUMENTS;
    if (!view_get(n, q.path, &node))
        return ZK_NONODE;
    if (!acl_allows(n, &who->ids, &node.acl, ZK_PERM_READ))
        return ZK_NOAUTH;
    int32_t err = check_version(node.version, q.version, &next);
    if (err != ZK_OK)
        return err;
    struct zk_path_version t = {q.path, next};
    zk_path_version_write(out, &t);
    return ZK_OK;
}

/* ---- closeSession ---- */

/* List one ephemeral node in the transaction and record that it goes, as far as there is room:
 * what is not listed goes all the same when the transaction is applied (ZOOKEEPER-4306). */
static void close_one(struct node *n, int64_t zxid, struct slice path, struct jute_builder *vb)
{
    if (vb->buf->len - vb->start < n->config.limits.close_paths_max) {
        jute_write_buffer(vb->buf, path);
        vb->count++;
    }
    record_delete(n, zxid, path);
    work_add(n, WRITE_WORK);
}

/* The session's ephemeral nodes that are still to be created, other than those that are in the tree
 * already. Recording that one goes takes its change from the list. */
static void close_pending_ephemerals(struct node *n, int64_t zxid, int64_t session_id,
                                     struct jute_builder *vb)
{
    struct session *s = tracker_find(n, session_id);
    while (s && !list_is_empty(&s->in_flight)) {
        const struct change *ch = LIST_FIRST(&s->in_flight, struct change, owned_link);
        buf_reset(&n->path_scratch);
        buf_append(&n->path_scratch, ch->path.data, ch->path.len);
        close_one(n, zxid, buf_slice(&n->path_scratch), vb);
    }
}

void prepare_close_session(struct node *n, int64_t zxid, int64_t session_id, struct buf *out)
{
    struct jute_builder vb = jute_vector_begin(out);
    for (const struct znode *z = tree_first_ephemeral(n->tree, session_id); z;
         z = tree_next_ephemeral(n->tree, z)) {
        struct view v;
        buf_reset(&n->path_scratch);
        tree_path(n->tree, z, &n->path_scratch);
        struct slice path = buf_slice(&n->path_scratch);
        if (view_get(n, path, &v) && v.ephemeral_owner == session_id)
            close_one(n, zxid, path, &vb); /* from here on its view does not exist */
    }
    close_pending_ephemerals(n, zxid, session_id, &vb);
    jute_vector_end(&vb);
}

bool prepare_op_in_multi(int32_t op)
{
    switch (op) {
    case ZK_OP_create:
    case ZK_OP_create2:
    case ZK_OP_createTTL:
    case ZK_OP_createContainer:
    case ZK_OP_delete:
    case ZK_OP_setData:
    case ZK_OP_check:
        return true;
    default:
        return false;
    }
}

int32_t prepare_op(struct node *n, const struct requester *who, int64_t zxid, int32_t op,
                   struct jute_reader *r, struct buf *out)
{
    switch (op) {
    case ZK_OP_create:
    case ZK_OP_create2:
    case ZK_OP_createTTL:
    case ZK_OP_createContainer:
        return prepare_create(n, who, zxid, op, r, out);
    case ZK_OP_delete:
        return prepare_delete(n, who, zxid, r, out);
    case ZK_OP_setData:
        return prepare_set_data(n, who, zxid, r, out);
    case ZK_OP_setACL:
        return prepare_set_acl(n, who, zxid, r, out);
    case ZK_OP_check:
        return prepare_check(n, who, r, out);
    default:
        return ZK_UNIMPLEMENTED;
    }
}
