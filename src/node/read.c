/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that change nothing: answered from the tree of the last committed transaction. */
#include "internal.h"

/* The node, if it is there and may be read. */
static int32_t find_readable(struct node *n, struct node_conn *c, struct slice path, int32_t perms,
                             const struct znode **out)
{
    const struct znode *z = tree_find(n->tree, path);
    if (!z)
        return ZK_NONODE;
    struct jute_vector acl = tree_acl(n->tree, znode_acl_id(z)), ids = auth_ids(c);
    work_add(n, 1 + (size_t)(MAX(acl.count, 0) * (int64_t)ids.count) / 4);
    if (!acl_allows(n, &ids, &acl, perms))
        return ZK_NOAUTH;
    *out = z;
    return ZK_OK;
}

/* The node that a read may set a watch on asks for, with that watch set; exists sets it on a node
 * that is missing, too. */
static int32_t find_watched(struct node *n, struct node_conn *c, struct jute_reader *r,
                            enum watch_mode mode, bool missing_too, const struct znode **out)
{
    struct zk_watched_read q;
    zk_watched_read_read(r, &q);
    if (!jute_ok(r))
        return ZK_MARSHALLINGERROR;
    int32_t err = find_readable(n, c, q.path, ZK_PERM_READ, out);
    if (err == ZK_NOAUTH || (err == ZK_NONODE && !missing_too))
        return err;
    if (err == ZK_NONODE && zk_path_check(q.path, false))
        return ZK_BADARGUMENTS;
    if (q.watch && !watchop_room(n, c, q.path))
        return ZK_THROTTLEDOP;
    if (q.watch)
        watch_add(&n->watches, &c->watcher, q.path, mode);
    return err;
}

static void write_stat(const struct znode *z, struct buf *out)
{
    struct zk_stat stat;
    znode_stat(z, &stat);
    zk_stat_write(out, &stat);
}

static int32_t read_exists(struct node *n, struct node_conn *c, struct jute_reader *r,
                           struct buf *out)
{
    const struct znode *z;
    int32_t err = find_watched(n, c, r, WATCH_DATA, true, &z);
    if (err == ZK_OK)
        write_stat(z, out);
    return err;
}

static int32_t read_data(struct node *n, struct node_conn *c, struct jute_reader *r,
                         struct buf *out)
{
    const struct znode *z;
    int32_t err = find_watched(n, c, r, WATCH_DATA, false, &z);
    if (err != ZK_OK)
        return err;
    jute_write_buffer(out, znode_data(z));
    write_stat(z, out);
    return ZK_OK;
}

static int32_t read_children(struct node *n, struct node_conn *c, struct jute_reader *r,
                             bool with_stat, struct buf *out)
{
    const struct znode *z;
    int32_t err = find_watched(n, c, r, WATCH_CHILD, false, &z);
    if (err != ZK_OK)
        return err;
    struct jute_builder vb = jute_vector_begin(out);
    vb.count = (int32_t)znode_num_children(z);
    tree_write_children(n->tree, z, out);
    jute_vector_end(&vb);
    work_add(n, (size_t)vb.count);
    if (with_stat)
        write_stat(z, out);
    return ZK_OK;
}

static int32_t read_acl(struct node *n, struct node_conn *c, struct jute_reader *r, struct buf *out)
{
    struct zk_path q;
    const struct znode *z;
    zk_path_read(r, &q);
    if (!jute_ok(r))
        return ZK_MARSHALLINGERROR;
    int32_t err = find_readable(n, c, q.path, ZK_PERM_READ | ZK_PERM_ADMIN, &z);
    if (err != ZK_OK)
        return err;
    struct jute_vector acl = tree_acl(n->tree, znode_acl_id(z)), ids = auth_ids(c);
    if (acl_allows(n, &ids, &acl, ZK_PERM_ADMIN))
        jute_write_vector(out, &acl);
    else
        acl_mask_digests(&acl, out);
    write_stat(z, out);
    return ZK_OK;
}

static int32_t read_count_below(struct node *n, struct node_conn *c, struct jute_reader *r,
                                struct buf *out)
{
    struct zk_path q;
    const struct znode *z;
    zk_path_read(r, &q);
    if (!jute_ok(r))
        return ZK_MARSHALLINGERROR;
    int32_t err = find_readable(n, c, q.path, ZK_PERM_READ, &z);
    if (err == ZK_OK)
        jute_write_int(out, (int32_t)MIN(tree_count_below(n->tree, z), INT32_MAX));
    return err;
}

static int32_t read_ephemerals(struct node *n, struct node_conn *c, struct jute_reader *r,
                               struct buf *out)
{
    struct zk_path q;
    zk_path_read(r, &q);
    if (!jute_ok(r))
        return ZK_MARSHALLINGERROR;
    struct jute_builder vb = jute_vector_begin(out);
    for (const struct znode *z = tree_first_ephemeral(n->tree, c->session->id); z;
         z = tree_next_ephemeral(n->tree, z)) {
        buf_reset(&n->scratch);
        tree_path(n->tree, z, &n->scratch);
        work_add(n, 2);
        if (slice_size(q.path) > 0 && !slice_starts_with(buf_slice(&n->scratch), q.path))
            continue;
        jute_write_buffer(out, buf_slice(&n->scratch));
        vb.count++;
    }
    jute_vector_end(&vb);
    return ZK_OK;
}

static int32_t read_sync(struct jute_reader *r, struct buf *out)
{
    struct zk_path q;
    zk_path_read(r, &q);
    if (!jute_ok(r))
        return ZK_MARSHALLINGERROR;
    jute_write_buffer(out, q.path);
    return ZK_OK;
}

/* AuthUtil.getClientInfos: a digest's user without its hash. */
static int32_t read_who_am_i(struct node_conn *c, struct buf *out)
{
    struct jute_builder vb = jute_vector_begin(out);
    struct jute_vector ids = auth_ids(c);
    struct jute_reader it = jute_vector_iter(&ids);
    for (; vb.count < ids.count; vb.count++) {
        struct zk_id id;
        zk_id_read(&it, &id);
        const uint8_t *colon = id.id.len > 0 ? memchr(id.id.data, ':', (size_t)id.id.len) : NULL;
        bool cut = colon && slice_eq_str(id.scheme, "digest");
        struct zk_client_info info = {
            .auth_scheme = id.scheme,
            .user = cut ? slice_of(id.id.data, (size_t)(colon - id.id.data)) : id.id};
        zk_client_info_write(out, &info);
    }
    jute_vector_end(&vb);
    return ZK_OK;
}

/* The reads of a multiRead, each with an error of its own. */
static int32_t read_multi(struct node *n, struct node_conn *c, struct jute_reader *r,
                          struct buf *out)
{
    struct zk_multi_header mh;
    for (;;) {
        zk_multi_header_read(r, &mh);
        if (!jute_ok(r) || (!mh.done && mh.type != ZK_OP_getData && mh.type != ZK_OP_getChildren))
            return ZK_MARSHALLINGERROR;
        if (mh.done)
            break;
        size_t start = out->len;
        struct zk_multi_header reply = {.type = mh.type};
        zk_multi_header_write(out, &reply);
        int32_t err =
            mh.type == ZK_OP_getData ? read_data(n, c, r, out) : read_children(n, c, r, false, out);
        if (err == ZK_MARSHALLINGERROR)
            return err;
        if (err != ZK_OK) {
            out->len = start;
            reply = (struct zk_multi_header){.type = ZK_OP_error, .err = err};
            zk_multi_header_write(out, &reply);
            jute_write_int(out, err);
        }
        work_add(n, 3);
        if (out->len > n->config.output_max / 4)
            return ZK_MARSHALLINGERROR; /* more than a reader could be made to take */
    }
    struct zk_multi_header end = {.type = -1, .done = true, .err = -1};
    zk_multi_header_write(out, &end);
    return ZK_OK;
}

bool read_is_known(int32_t op)
{
    switch (op) {
    case ZK_OP_exists:
    case ZK_OP_getData:
    case ZK_OP_getChildren:
    case ZK_OP_getChildren2:
    case ZK_OP_getACL:
    case ZK_OP_getAllChildrenNumber:
    case ZK_OP_getEphemerals:
    case ZK_OP_sync:
    case ZK_OP_whoAmI:
    case ZK_OP_multiRead:
    case ZK_OP_setWatches:
    case ZK_OP_setWatches2:
    case ZK_OP_addWatch:
    case ZK_OP_checkWatches:
    case ZK_OP_removeWatches:
        return true;
    default:
        return false;
    }
}

/* How many units of work it is, roughly, as things are now. */
size_t read_estimate(struct node *n, int32_t op, struct slice body)
{
    struct jute_reader r = jute_reader_of(body);
    const struct znode *z;
    switch (op) {
    case ZK_OP_getData:
        z = tree_find(n->tree, jute_read_buffer(&r));
        return z ? 4 + slice_size(znode_data(z)) / 64 : 4;
    case ZK_OP_getChildren:
    case ZK_OP_getChildren2:
        z = tree_find(n->tree, jute_read_buffer(&r));
        return z ? 4 + (size_t)znode_num_children(z) : 4;
    case ZK_OP_getEphemerals:
        return 4 + 2 * tree_ephemeral_count(n->tree);
    case ZK_OP_multiRead:
        return 4 + slice_size(body) * MULTI_READ_WORK;
    default:
        return 4 + slice_size(body) / 16;
    }
}

/* Is it so much that it should have a turn for itself? Asked of every read: most are not, and that
 * is known without a look. */
bool read_is_dear(struct node *n, int32_t op, struct slice body)
{
    bool lists = op == ZK_OP_getChildren || op == ZK_OP_getChildren2 || op == ZK_OP_getEphemerals;
    if (op != ZK_OP_multiRead && !(lists && tree_count(n->tree) > n->config.limits.conn_work / 2))
        return false;
    return read_estimate(n, op, body) > n->config.limits.conn_work;
}

/* Append the answer's body; on an error what was appended does not count. Not for setWatches,
 * whose events must leave before the answer: watchop_set(). */
int32_t read_execute(struct node *n, struct node_conn *c, int32_t op, struct slice body,
                     struct buf *out)
{
    struct jute_reader r = jute_reader_of(body);
    switch (op) {
    case ZK_OP_exists:
        return read_exists(n, c, &r, out);
    case ZK_OP_getData:
        return read_data(n, c, &r, out);
    case ZK_OP_getChildren:
        return read_children(n, c, &r, false, out);
    case ZK_OP_getChildren2:
        return read_children(n, c, &r, true, out);
    case ZK_OP_getACL:
        return read_acl(n, c, &r, out);
    case ZK_OP_getAllChildrenNumber:
        return read_count_below(n, c, &r, out);
    case ZK_OP_getEphemerals:
        return read_ephemerals(n, c, &r, out);
    case ZK_OP_sync:
        return read_sync(&r, out);
    case ZK_OP_whoAmI:
        return read_who_am_i(c, out);
    case ZK_OP_multiRead:
        return read_multi(n, c, &r, out);
    case ZK_OP_addWatch:
        return watchop_add(n, c, body, out);
    case ZK_OP_checkWatches:
    case ZK_OP_removeWatches:
        return watchop_check(n, c, body, op == ZK_OP_removeWatches);
    default:
        ensure(!"a read that read_is_known() does not know");
        return ZK_UNIMPLEMENTED;
    }
}
