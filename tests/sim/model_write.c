/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What each write does to the model, or why it is refused. */
#include "sim.h"

static bool is_part(const char *start, const char *end)
{
    size_t len = (size_t)(end - start);
    return len > 0 && !(len == 1 && start[0] == '.') &&
           !(len == 2 && start[0] == '.' && start[1] == '.');
}

/* In a sequential create the last part may be empty: a number is appended. */
bool model_is_path(const char *path, bool sequential)
{
    if (path[0] != '/')
        return false;
    if (path[1] == '\0')
        return true;
    for (const char *start = path + 1;;) {
        const char *slash = strchr(start, '/');
        if (!slash)
            return sequential || is_part(start, start + strlen(start));
        if (!is_part(start, slash))
            return false;
        start = slash + 1;
    }
}

/* "auth" means each that the client is. */
static int32_t fix_acl(const struct model_acl *asked, unsigned ids, struct model_acl *acl)
{
    *acl = (struct model_acl){0};
    if (asked->n == 0)
        return ZK_INVALIDACL;
    for (int i = 0; i < asked->n; i++) {
        const struct model_ace *a = &asked->entry[i];
        unsigned who = a->who == MODEL_AUTH ? ids : a->who;
        if (who == 0)
            return ZK_INVALIDACL;
        for (unsigned bit = MODEL_WORLD; bit <= MODEL_BOB; bit <<= 1) {
            if (who & bit)
                acl->entry[acl->n++] = (struct model_ace){a->perms, (enum model_who)bit};
        }
    }
    return ZK_OK;
}

static bool is_ttl(int32_t mode)
{
    return mode == ZK_PERSISTENT_TTL || mode == ZK_PERSISTENT_SEQUENTIAL_TTL;
}

static bool is_ephemeral(int32_t mode)
{
    return mode == ZK_EPHEMERAL || mode == ZK_EPHEMERAL_SEQUENTIAL;
}

static bool is_sequential(int32_t mode)
{
    return mode == ZK_PERSISTENT_SEQUENTIAL || mode == ZK_EPHEMERAL_SEQUENTIAL ||
           mode == ZK_PERSISTENT_SEQUENTIAL_TTL;
}

static int64_t owner_of(const struct op *op, int64_t session_id)
{
    if (is_ttl(op->mode))
        return (int64_t)(0xff00000000000000ull | (uint64_t)op->ttl_ms);
    if (op->mode == ZK_CONTAINER)
        return INT64_MIN;
    return is_ephemeral(op->mode) ? session_id : 0;
}

static void say_created(const struct model *m, const struct op *op, const char *path,
                        struct buf *answer)
{
    buf_printf(answer, "%s", path);
    if (op->type != ZK_OP_create)
        model_stat_text(m, model_find(m, path), answer);
}

static int32_t write_create(struct model *m, const struct op *op, const struct model_actor *who,
                            struct buf *answer)
{
    struct model_acl acl;
    char parent_path[MODEL_PATH_MAX], path[MODEL_PATH_MAX + 16];
    if (is_ttl(op->mode) && op->ttl_ms <= 0)
        return ZK_BADARGUMENTS;
    if (!model_is_path(op->path, is_sequential(op->mode)))
        return ZK_BADARGUMENTS;
    int32_t err = fix_acl(&op->acl, who->ids, &acl);
    if (err != ZK_OK)
        return err;
    if (strcmp(op->path, "/") == 0 && !is_sequential(op->mode))
        return ZK_NODEEXISTS;
    model_parent(op->path, parent_path);
    struct model_node *parent = model_find(m, parent_path);
    if (!parent)
        return ZK_NONODE;
    if (!model_allows(&parent->acl, who->ids, ZK_PERM_CREATE))
        return ZK_NOAUTH;
    int len = snprintf(path, sizeof(path), "%s", op->path);
    if (is_sequential(op->mode))
        snprintf(path + len, sizeof(path) - (size_t)len, "%010d", (int)parent->creations);
    if (model_find(m, path))
        return ZK_NODEEXISTS;
    if (model_is_of_session(parent->owner))
        return ZK_NOCHILDRENFOREPHEMERALS;

    parent->creations++;
    parent->pzxid = who->zxid;
    struct model_node *n = model_add(m, path);
    n->acl = acl;
    n->data_len = op->data_len;
    n->pad = op->pad;
    memcpy(n->data, op->data, sizeof(n->data));
    n->czxid = n->mzxid = n->pzxid = who->zxid;
    n->ctime = n->mtime = who->time;
    n->owner = owner_of(op, who->session_id);
    model_event(m, ZK_EVENT_CREATED, n);
    model_event(m, ZK_EVENT_CHILDREN_CHANGED, model_find(m, parent_path));
    say_created(m, op, path, answer);
    return ZK_OK;
}

static void delete_node(struct model *m, struct model_node *n, int64_t zxid)
{
    char parent_path[MODEL_PATH_MAX];
    model_parent(n->path, parent_path);
    struct model_node *parent = model_find(m, parent_path);
    parent->pzxid = zxid;
    model_event(m, ZK_EVENT_DELETED, n);
    model_event(m, ZK_EVENT_CHILDREN_CHANGED, parent);
    model_remove(m, n);
}

static int32_t write_delete(struct model *m, const struct op *op, const struct model_actor *who)
{
    char parent_path[MODEL_PATH_MAX];
    if (!model_is_path(op->path, false) || strcmp(op->path, "/") == 0)
        return ZK_BADARGUMENTS;
    model_parent(op->path, parent_path);
    const struct model_node *parent = model_find(m, parent_path);
    if (!parent)
        return ZK_NONODE;
    if (!model_allows(&parent->acl, who->ids, ZK_PERM_DELETE))
        return ZK_NOAUTH;
    struct model_node *n = model_find(m, op->path);
    if (!n)
        return ZK_NONODE;
    if (op->version != -1 && op->version != n->version)
        return ZK_BADVERSION;
    if (model_children(m, op->path) > 0)
        return ZK_NOTEMPTY;
    delete_node(m, n, who->zxid);
    return ZK_OK;
}

static int32_t write_set_data(struct model *m, const struct op *op, const struct model_actor *who,
                              struct buf *answer)
{
    if (!model_is_path(op->path, false))
        return ZK_BADARGUMENTS;
    struct model_node *n = model_find(m, op->path);
    if (!n)
        return ZK_NONODE;
    if (!model_allows(&n->acl, who->ids, ZK_PERM_WRITE))
        return ZK_NOAUTH;
    if (op->version != -1 && op->version != n->version)
        return ZK_BADVERSION;
    n->version++;
    n->mzxid = who->zxid;
    n->mtime = who->time;
    n->data_len = op->data_len;
    n->pad = op->pad;
    memcpy(n->data, op->data, sizeof(n->data));
    model_event(m, ZK_EVENT_DATA_CHANGED, n);
    model_stat_text(m, n, answer);
    return ZK_OK;
}

static int32_t write_set_acl(struct model *m, const struct op *op, const struct model_actor *who,
                             struct buf *answer)
{
    struct model_acl acl;
    if (!model_is_path(op->path, false))
        return ZK_BADARGUMENTS;
    int32_t err = fix_acl(&op->acl, who->ids, &acl);
    if (err != ZK_OK)
        return err;
    struct model_node *n = model_find(m, op->path);
    if (!n)
        return ZK_NONODE;
    if (!model_allows(&n->acl, who->ids, ZK_PERM_ADMIN))
        return ZK_NOAUTH;
    if (op->version != -1 && op->version != n->aversion)
        return ZK_BADVERSION;
    n->aversion++;
    n->acl = acl;
    model_stat_text(m, n, answer);
    return ZK_OK;
}

static int32_t write_check(const struct model *m, const struct op *op,
                           const struct model_actor *who)
{
    if (!model_is_path(op->path, false))
        return ZK_BADARGUMENTS;
    const struct model_node *n = model_find(m, op->path);
    if (!n)
        return ZK_NONODE;
    if (!model_allows(&n->acl, who->ids, ZK_PERM_READ))
        return ZK_NOAUTH;
    return op->version == -1 || op->version == n->version ? ZK_OK : ZK_BADVERSION;
}

static int32_t write_one(struct model *m, const struct op *op, const struct model_actor *who,
                         struct buf *answer)
{
    switch (op->type) {
    case ZK_OP_delete:
        return write_delete(m, op, who);
    case ZK_OP_setData:
        return write_set_data(m, op, who, answer);
    case ZK_OP_setACL:
        return write_set_acl(m, op, who, answer);
    case ZK_OP_check:
        return write_check(m, op, who);
    default:
        return write_create(m, op, who, answer);
    }
}

/* All of a multi, or nothing: then each part before the one that failed has no error of its own,
 * and those behind it were not tried. */
static bool write_multi(struct model *m, const struct request *r, const struct model_actor *who,
                        struct buf *answer)
{
    struct model before;
    int32_t err = ZK_OK;
    int i;
    model_copy(&before, m);
    buf_printf(answer, "OK ");
    size_t start = answer->len;
    for (i = 0; i < r->n_parts; i++) {
        buf_printf(answer, "(");
        err = write_one(m, &r->parts[i], who, answer);
        if (err != ZK_OK)
            break;
        buf_printf(answer, ")");
    }
    if (err == ZK_OK) {
        model_close(&before);
        return true;
    }
    answer->len = start;
    for (int j = 0; j < r->n_parts; j++)
        buf_printf(answer, "(error %s)",
                   zk_error_name(j < i    ? ZK_OK
                                 : j == i ? err
                                          : ZK_RUNTIMEINCONSISTENCY));
    model_close(m);
    *m = before;
    return false;
}

bool model_write(struct model *m, const struct request *r, const struct model_actor *who,
                 struct buf *answer)
{
    if (r->op.type == ZK_OP_multi)
        return write_multi(m, r, who, answer);
    buf_printf(answer, "OK ");
    int32_t err = write_one(m, &r->op, who, answer);
    if (err == ZK_OK)
        return true;
    buf_reset(answer);
    buf_printf(answer, "%s", zk_error_name(err));
    return false;
}

/* ---- What the replica does by itself ---- */

void model_open_session(struct model *m, int64_t id, int32_t timeout_ms)
{
    ROOM_FOR_ONE(m->sessions, m->n_sessions, m->cap_sessions);
    m->sessions[m->n_sessions++] = (struct model_session){id, timeout_ms, INT32_MIN};
}

void model_close_session(struct model *m, int64_t id, int64_t zxid)
{
    for (size_t i = 0; i < m->n_nodes;) {
        if (m->nodes[i].owner == id)
            delete_node(m, &m->nodes[i], zxid);
        else
            i++;
    }
    m->any_order = true;
    struct model_session *s = model_session(m, id);
    *s = m->sessions[--m->n_sessions];
}

bool model_delete_container(struct model *m, const char *path, int64_t zxid)
{
    struct model_node *n = model_find(m, path);
    if (!n || model_children(m, path) > 0 || n->owner == 0 || model_is_of_session(n->owner))
        return false;
    delete_node(m, n, zxid);
    return true;
}

/* An empty container that has had a child; an empty node that outlived its time. */
bool model_is_expired(const struct model *m, const char *path, int64_t wall)
{
    const struct model_node *n = model_find(m, path);
    if (!n || n->owner == 0 || model_is_of_session(n->owner) || model_children(m, path) > 0)
        return false;
    if (n->owner == INT64_MIN)
        return n->creations > 0;
    return wall - n->mtime > (n->owner & 0xffffffffff);
}
