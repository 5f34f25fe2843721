/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests: random ones, their records, and answers in the words of the model. */
#include "sim.h"

struct request *request_new(struct world *w, struct client *c)
{
    ROOM_FOR_ONE(w->requests, w->n_requests, w->cap_requests);
    struct request *r = mem_zalloc(sizeof(*r));
    w->requests[w->n_requests++] = r;
    r->client = c;
    r->ids = c->ids;
    return r;
}

/* ---- At random ---- */

static const char *any_path(struct world *w)
{
    static const char *const paths[] = {"/a",   "/b",     "/c",     "/a/x", "/a/y",
                                        "/b/x", "/a/x/1", "/a/x/2", "/c/q", "/"};
    static const char *const bad[] = {"a", "/a//x", "/a/", "/a/..", "/./b"};
    const struct model *m = &journal_tip(w)->after;
    if (w->hot)
        return paths[rng_below(&w->rng, 2)];
    if (chance(w, 100))
        return bad[rng_below(&w->rng, ARRAY_LEN(bad))];
    const char *path = m->nodes[rng_below(&w->rng, m->n_nodes)].path;
    if (chance(w, 2) || strncmp(path, "/zookeeper", 10) == 0)
        return paths[rng_below(&w->rng, ARRAY_LEN(paths))];
    return path;
}

static void set_path(struct world *w, struct op *op, bool to_create)
{
    const char *path = any_path(w);
    snprintf(op->path, sizeof(op->path), "%s", path);
    size_t len = strlen(op->path);
    if (to_create && len > 1 && !w->hot && len < MODEL_PATH_MAX / 2 && chance(w, 2))
        snprintf(op->path + len, sizeof(op->path) - len, "/%c", (int)between(w, 'm', 'p'));
}

static void set_data(struct world *w, struct op *op)
{
    if (chance(w, 20)) {
        op->data_len = -1;
        return;
    }
    op->data_len = (int)between(w, 0, MODEL_DATA_MAX);
    for (int i = 0; i < op->data_len; i++)
        op->data[i] = (char)between(w, 'a', 'z');
    if (w->pad_max > 0 && chance(w, 6))
        op->pad = (int)between(w, 1, w->pad_max);
    if (op->pad > 1000)
        cover_point(COVER_large_data);
}

static struct model_acl any_acl(struct world *w)
{
    static const struct model_acl acls[] = {
        {1, {{ZK_PERM_ALL, MODEL_WORLD}}},
        {1, {{ZK_PERM_ALL, MODEL_AUTH}}},
        {2, {{ZK_PERM_ALL, MODEL_AUTH}, {ZK_PERM_READ, MODEL_WORLD}}},
        {2, {{ZK_PERM_ALL, MODEL_ALICE}, {ZK_PERM_READ | ZK_PERM_CREATE, MODEL_WORLD}}},
        {2, {{ZK_PERM_ALL, MODEL_BOB}, {ZK_PERM_READ | ZK_PERM_ADMIN, MODEL_WORLD}}},
        {0, {{0, MODEL_WORLD}}},
    };
    return acls[chance(w, 4) ? rng_below(&w->rng, ARRAY_LEN(acls)) : 0];
}

static int32_t any_version(struct world *w)
{
    return chance(w, 2) ? -1 : (int32_t)between(w, 0, 3);
}

static void fill_create(struct world *w, struct op *op)
{
    static const int32_t modes[] = {
        ZK_PERSISTENT, ZK_PERSISTENT,     ZK_PERSISTENT_SEQUENTIAL, ZK_EPHEMERAL,
        ZK_EPHEMERAL,  ZK_EPHEMERAL,      ZK_EPHEMERAL_SEQUENTIAL,  ZK_CONTAINER,
        ZK_CONTAINER,  ZK_PERSISTENT_TTL, ZK_PERSISTENT_TTL,        ZK_PERSISTENT_SEQUENTIAL_TTL,
    };
    op->mode = modes[rng_below(&w->rng, ARRAY_LEN(modes))];
    op->type = chance(w, 2) ? ZK_OP_create : ZK_OP_create2;
    if (op->mode == ZK_CONTAINER)
        op->type = ZK_OP_createContainer;
    if (op->mode == ZK_PERSISTENT_TTL || op->mode == ZK_PERSISTENT_SEQUENTIAL_TTL) {
        op->type = ZK_OP_createTTL;
        op->ttl_ms = chance(w, 20) ? 0 : between(w, 1, 2000);
    }
    do
        set_path(w, op, true);
    while (strlen(op->path) > MODEL_PATH_MAX - 12);
    if (chance(w, 4) &&
        (op->mode == ZK_PERSISTENT_SEQUENTIAL || op->mode == ZK_EPHEMERAL_SEQUENTIAL))
        strncat(op->path, "/", sizeof(op->path) - strlen(op->path) - 1);
    set_data(w, op);
    op->acl = any_acl(w);
}

static void fill_change(struct world *w, struct op *op, bool in_multi)
{
    set_path(w, op, false);
    op->version = any_version(w);
    bool crowded = journal_tip(w)->after.n_nodes > w->crowd;
    switch (crowded ? 0 : between(w, 0, in_multi ? 5 : 6)) {
    case 0:
    case 1:
    case 2:
        op->type = ZK_OP_delete;
        break;
    case 3:
    case 4:
        op->type = ZK_OP_setData;
        set_data(w, op);
        break;
    case 5:
        if (in_multi) { /* alone it is UNIMPLEMENTED, and ends the connection */
            op->type = ZK_OP_check;
            break;
        } /* fall through */
    default:
        op->type = ZK_OP_setACL;
        op->acl = any_acl(w);
        if (strcmp(op->path, "/") == 0)
            op->acl.n = 0; /* a root that is closed to all would end everything */
        break;
    }
}

static void fill_multi(struct world *w, struct request *r)
{
    r->op.type = ZK_OP_multi;
    r->n_parts = (int)between(w, 0, MODEL_PARTS_MAX);
    for (int i = 0; i < r->n_parts; i++) {
        if (chance(w, 2))
            fill_create(w, &r->parts[i]);
        else
            fill_change(w, &r->parts[i], true);
    }
}

static void fill_read(struct world *w, struct op *op)
{
    static const int32_t types[] = {
        ZK_OP_getData,     ZK_OP_getData, ZK_OP_getData,       ZK_OP_exists,
        ZK_OP_exists,      ZK_OP_exists,  ZK_OP_getChildren,   ZK_OP_getChildren2,
        ZK_OP_getChildren, ZK_OP_getACL,  ZK_OP_getEphemerals, ZK_OP_getAllChildrenNumber,
        ZK_OP_sync,        ZK_OP_sync,    ZK_OP_sync,          ZK_OP_getACL,
    };
    op->type = types[rng_below(&w->rng, ARRAY_LEN(types))];
    if (breaks(w, BREAK_only_exists, 1))
        op->type = ZK_OP_exists;
    set_path(w, op, op->type == ZK_OP_exists);
    op->version = any_version(w);
    op->watch = op->type != ZK_OP_getACL && chance(w, 2);
}

static void fill_watch(struct world *w, struct op *op)
{
    static const int32_t kinds[] = {ZK_WATCHER_CHILDREN, ZK_WATCHER_DATA, ZK_WATCHER_ANY,
                                    ZK_WATCHER_PERSISTENT, ZK_WATCHER_PERSISTENT_RECURSIVE};
    do
        set_path(w, op, false);
    while (strchr(op->path, '.') || strstr(op->path, "//") || op->path[0] != '/' ||
           (op->path[1] && op->path[strlen(op->path) - 1] == '/'));
    if (chance(w, 3)) {
        op->type = ZK_OP_removeWatches;
        op->mode = kinds[rng_below(&w->rng, ARRAY_LEN(kinds))];
    } else {
        op->type = ZK_OP_addWatch;
        op->mode = chance(w, 2) ? ZK_WATCH_PERSISTENT : ZK_WATCH_PERSISTENT_RECURSIVE;
    }
}

void request_fill_randomly(struct world *w, struct request *r)
{
    int64_t dice = between(w, 0, w->hot ? 65 : 99);
    if (dice < 25)
        fill_create(w, &r->op);
    else if (dice < 48)
        fill_change(w, &r->op, false);
    else if (dice < 60)
        fill_multi(w, r);
    else if (dice < 94)
        fill_read(w, &r->op);
    else
        fill_watch(w, &r->op);
}

/* A check outside of a multi changes nothing. */
bool request_is_write(const struct request *r)
{
    switch (r->op.type) {
    case ZK_OP_create:
    case ZK_OP_create2:
    case ZK_OP_createTTL:
    case ZK_OP_createContainer:
    case ZK_OP_delete:
    case ZK_OP_setData:
    case ZK_OP_setACL:
    case ZK_OP_multi:
        return true;
    default:
        return false;
    }
}

/* ---- As records ---- */

static void write_acl(struct buf *out, const struct model_acl *acl)
{
    jute_write_int(out, acl->n);
    for (int i = 0; i < acl->n; i++) {
        struct zk_acl a = {.perms = acl->entry[i].perms};
        switch (acl->entry[i].who) {
        case MODEL_WORLD:
            a.id = (struct zk_id){slice_str("world"), slice_str("anyone")};
            break;
        case MODEL_ALICE:
            a.id = (struct zk_id){slice_str("digest"),
                                  slice_str("alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=")};
            break;
        case MODEL_BOB:
            a.id =
                (struct zk_id){slice_str("digest"), slice_str("bob:fyVmFCwVbTJYrznoSu1koqYEYF0=")};
            break;
        case MODEL_AUTH:
            a.id = (struct zk_id){slice_str("auth"), SLICE_EMPTY};
            break;
        }
        zk_acl_write(out, &a);
    }
}

static void write_data(struct buf *out, const struct op *op)
{
    size_t len = (size_t)MAX(op->data_len, 0), pad = (size_t)op->pad;
    if (op->data_len < 0) {
        jute_write_buffer(out, SLICE_NULL);
        return;
    }
    jute_write_int(out, (int32_t)(len + pad));
    buf_append(out, op->data, len);
    memset(buf_extend(out, pad), '~', pad);
}

static void write_op(struct buf *out, const struct op *op)
{
    jute_write_buffer(out, slice_str(op->path));
    switch (op->type) {
    case ZK_OP_create:
    case ZK_OP_create2:
    case ZK_OP_createContainer:
    case ZK_OP_createTTL:
        write_data(out, op);
        write_acl(out, &op->acl);
        jute_write_int(out, op->mode);
        if (op->type == ZK_OP_createTTL)
            jute_write_long(out, op->ttl_ms);
        break;
    case ZK_OP_delete:
    case ZK_OP_check:
        jute_write_int(out, op->version);
        break;
    case ZK_OP_setData:
        write_data(out, op);
        jute_write_int(out, op->version);
        break;
    case ZK_OP_setACL:
        write_acl(out, &op->acl);
        jute_write_int(out, op->version);
        break;
    case ZK_OP_addWatch:
    case ZK_OP_removeWatches:
        jute_write_int(out, op->mode);
        break;
    case ZK_OP_getData:
    case ZK_OP_exists:
    case ZK_OP_getChildren:
    case ZK_OP_getChildren2:
        jute_write_bool(out, op->watch);
        break;
    default:
        break;
    }
}

void request_write(struct buf *out, const struct request *r)
{
    if (r->op.type != ZK_OP_multi) {
        write_op(out, &r->op);
        return;
    }
    for (int i = 0; i < r->n_parts; i++) {
        zk_multi_header_write(out, &(struct zk_multi_header){r->parts[i].type, false, -1});
        write_op(out, &r->parts[i]);
    }
    zk_multi_header_write(out, &(struct zk_multi_header){-1, true, -1});
}

static void op_text(const struct op *op, struct buf *out)
{
    buf_printf(out, "%s %s", zk_op_name(op->type), op->path);
    if (op->watch)
        buf_printf(out, " watch");
    if (op->type == ZK_OP_delete || op->type == ZK_OP_setData || op->type == ZK_OP_check ||
        op->type == ZK_OP_setACL)
        buf_printf(out, " version %d", op->version);
    else if (op->mode != 0)
        buf_printf(out, " mode %d", op->mode);
}

void request_text(const struct request *r, struct buf *out)
{
    op_text(&r->op, out);
    for (int i = 0; i < r->n_parts; i++) {
        buf_printf(out, " (");
        op_text(&r->parts[i], out);
        buf_printf(out, ")");
    }
}
