/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A list of znodes, looked through for each request. A multi is carried out step by step: where
 * one of them fails, those before it have happened, which no server does. */
#include "znodes.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- The list ---- */

static struct znode *find(struct znodes *t, struct slice path)
{
    for (size_t i = 0; i < t->n; i++) {
        if (slice_eq_str(path, t->list[i].path))
            return &t->list[i];
    }
    return NULL;
}

static bool is_child(const struct znode *z, struct slice dir)
{
    struct slice path = slice_str(z->path);
    return path.len > 1 && slice_eq(zk_path_parent(path), dir);
}

static struct zk_stat stat_of(struct znodes *t, const struct znode *z)
{
    struct zk_stat stat = z->stat;
    stat.data_length = (int32_t)z->data.len;
    for (size_t i = 0; i < t->n; i++)
        stat.num_children += is_child(&t->list[i], slice_str(z->path));
    return stat;
}

static void write_acl(struct buf *b, int32_t perms, const char *scheme, const char *id)
{
    zk_acl_write(b, &(struct zk_acl){perms, {slice_str(scheme), slice_str(id)}});
}

static void set_acl(struct znode *z, enum znodes_acl kind)
{
    buf_reset(&z->acl);
    jute_write_int(&z->acl, kind == ZNODES_READABLE ? 2 : 1);
    if (kind == ZNODES_OPEN)
        write_acl(&z->acl, ZK_PERM_ALL, "world", "anyone");
    else if (kind == ZNODES_ADDRESS)
        write_acl(&z->acl, ZK_PERM_ALL, "ip", "127.0.0.0/10");
    else
        write_acl(&z->acl, ZK_PERM_ALL, "digest", kind == ZNODES_READABLE ? "me:x" : "other:x");
    if (kind == ZNODES_READABLE)
        write_acl(&z->acl, ZK_PERM_READ, "world", "anyone");
    z->closed = kind == ZNODES_CLOSED;
}

/* ---- Watches ---- */

static void tell(struct znodes *t, struct slice path, enum zk_event_type type)
{
    for (size_t i = 0; i < t->n_watches; i++) {
        const struct znodes_watch *w = &t->watches[i];
        size_t len = strlen(w->path);
        bool below = w->below && slice_starts_with(path, slice_str(w->path)) &&
                     (len == 1 || slice_size(path) == len || path.data[len] == '/');
        if (!below && (w->below || !slice_eq_str(path, w->path)))
            continue;
        if (below && type == ZK_EVENT_CHILDREN_CHANGED)
            continue;
        struct znodes_event *e = (void *)buf_extend(&t->events, sizeof(*e));
        *e = (struct znodes_event){type, slice_dup_str(path), t->zxid};
        return;
    }
}

static void remove_watch(struct znodes *t, struct slice path)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->n_watches; i++) {
        if (slice_eq_str(path, t->watches[i].path))
            free(t->watches[i].path);
        else
            t->watches[kept++] = t->watches[i];
    }
    t->n_watches = kept;
}

static int32_t add_watch(struct znodes *t, struct slice path, bool below)
{
    remove_watch(t, path);
    if (t->n_watches == ZNODES_WATCHES_MAX)
        return ZK_SYSTEMERROR;
    t->watches[t->n_watches++] = (struct znodes_watch){slice_dup_str(path), below};
    return ZK_OK;
}

/* ---- Changes ---- */

static void child_changed(struct znodes *t, struct slice path)
{
    struct znode *dir = path.len > 1 ? find(t, zk_path_parent(path)) : NULL;
    if (!dir)
        return;
    dir->stat.cversion++;
    dir->stat.pzxid = t->zxid;
    tell(t, zk_path_parent(path), ZK_EVENT_CHILDREN_CHANGED);
}

static int32_t do_create(struct znodes *t, struct slice path, struct slice data,
                         const struct jute_vector *acl, bool ephemeral)
{
    if (find(t, path))
        return ZK_NODEEXISTS;
    if (path.len > 1 && !find(t, zk_path_parent(path)))
        return ZK_NONODE;
    if (t->n == ZNODES_MAX || zk_path_check(path, false))
        return ZK_BADARGUMENTS;
    struct znode *z = &t->list[t->n++];
    t->time++;
    *z = (struct znode){.path = slice_dup_str(path), .null = slice_is_null(data)};
    z->stat = (struct zk_stat){.czxid = t->zxid,
                               .mzxid = t->zxid,
                               .pzxid = t->zxid,
                               .ctime = t->time,
                               .mtime = t->time,
                               .ephemeral_owner = ephemeral};
    buf_append(&z->data, data.data, slice_size(data));
    jute_write_vector(&z->acl, acl);
    tell(t, path, ZK_EVENT_CREATED);
    child_changed(t, path);
    return ZK_OK;
}

static int32_t check(const struct znode *z, int32_t version)
{
    if (!z)
        return ZK_NONODE;
    return version >= 0 && version != z->stat.version ? ZK_BADVERSION : ZK_OK;
}

static int32_t do_set(struct znodes *t, struct slice path, struct slice data, int32_t version)
{
    struct znode *z = find(t, path);
    int32_t err = check(z, version);
    if (err != ZK_OK)
        return err;
    buf_reset(&z->data);
    buf_append(&z->data, data.data, slice_size(data));
    z->null = slice_is_null(data);
    z->stat.version++;
    z->stat.mzxid = t->zxid;
    z->stat.mtime = ++t->time;
    tell(t, path, ZK_EVENT_DATA_CHANGED);
    return ZK_OK;
}

static void znode_close(struct znode *z)
{
    free(z->path);
    buf_close(&z->data);
    buf_close(&z->acl);
}

static int32_t do_delete(struct znodes *t, struct slice path, int32_t version)
{
    struct znode *z = find(t, path);
    int32_t err = check(z, version);
    if (err != ZK_OK)
        return err;
    if (stat_of(t, z).num_children > 0)
        return ZK_NOTEMPTY;
    znode_close(z);
    *z = t->list[--t->n];
    tell(t, path, ZK_EVENT_DELETED);
    child_changed(t, path);
    return ZK_OK;
}

/* ---- Requests ---- */

static struct slice below_chroot(const struct znodes *t, struct slice path)
{
    size_t len = strlen(t->chroot);
    if (len == 0 || !slice_starts_with(path, slice_str(t->chroot)))
        return path;
    return slice_size(path) == len ? slice_str("/")
                                   : slice_of(path.data + len, slice_size(path) - len);
}

static void write_list(struct znodes *t, const struct znode *dir, struct buf *body)
{
    struct jute_builder vb = jute_vector_begin(body);
    for (size_t i = 0; i < t->n; i++) {
        if (!is_child(&t->list[i], slice_str(dir->path)))
            continue;
        jute_write_buffer(body, zk_path_name(slice_str(t->list[i].path)));
        vb.count++;
    }
    jute_vector_end(&vb);
    struct zk_stat stat = stat_of(t, dir);
    zk_stat_write(body, &stat);
}

static int32_t answer_read(struct znodes *t, enum zk_op op, struct slice path, struct buf *body)
{
    const struct znode *z = find(t, below_chroot(t, path));
    if (op == ZK_OP_sync) {
        zk_path_write(body, &(struct zk_path){path});
        return ZK_OK;
    }
    if (!z && t->quota && slice_starts_with(path, slice_str("/zookeeper/quota/"))) {
        jute_write_buffer(body, slice_str(t->quota));
        zk_stat_write(body, &(struct zk_stat){0});
        return ZK_OK;
    }
    if (!z)
        return ZK_NONODE;
    if (z->closed)
        return ZK_NOAUTH;
    struct zk_stat stat = stat_of(t, z);
    if (op == ZK_OP_getChildren2) {
        write_list(t, z, body);
        return ZK_OK;
    }
    if (op == ZK_OP_getData)
        jute_write_buffer(body, z->null ? SLICE_NULL : buf_slice(&z->data));
    else if (op == ZK_OP_getACL)
        buf_append(body, z->acl.data, z->acl.len);
    zk_stat_write(body, &stat);
    return ZK_OK;
}

static int32_t answer_write(struct znodes *t, int32_t op, struct jute_reader *in, struct buf *body)
{
    struct zk_create_request create;
    struct zk_set_data set;
    struct zk_path_version pv;
    struct slice path;
    int32_t err;
    switch (op) {
    case ZK_OP_create:
    case ZK_OP_create2:
        zk_create_request_read(in, &create);
        path = create.path;
        err = do_create(t, below_chroot(t, path), create.data, &create.acl, create.flags & 1);
        break;
    case ZK_OP_setData:
        zk_set_data_read(in, &set);
        path = set.path;
        err = do_set(t, below_chroot(t, path), set.data, set.version);
        break;
    default:
        zk_path_version_read(in, &pv);
        path = below_chroot(t, pv.path);
        return op == ZK_OP_delete ? do_delete(t, path, pv.version)
                                  : check(find(t, path), pv.version);
    }
    if (err != ZK_OK)
        return err;
    struct zk_stat stat = stat_of(t, find(t, below_chroot(t, path)));
    if (op != ZK_OP_setData)
        jute_write_buffer(body, path);
    if (op != ZK_OP_create)
        zk_stat_write(body, &stat);
    return ZK_OK;
}

static int32_t answer_multi(struct znodes *t, struct jute_reader *in, struct buf *body)
{
    for (;;) {
        struct zk_multi_header header;
        zk_multi_header_read(in, &header);
        ensure(jute_ok(in));
        if (!header.done)
            header.err = 0;
        zk_multi_header_write(body, &header);
        if (header.done)
            return ZK_OK;
        int32_t err = answer_write(t, header.type, in, body);
        if (err != ZK_OK)
            return err;
    }
}

static int32_t answer_set_acl(struct znodes *t, struct jute_reader *in, struct buf *body)
{
    struct zk_set_acl set;
    zk_set_acl_read(in, &set);
    struct znode *z = find(t, below_chroot(t, set.path));
    if (!z)
        return ZK_NONODE;
    if (set.version >= 0 && set.version != z->stat.aversion)
        return ZK_BADVERSION;
    buf_reset(&z->acl);
    jute_write_vector(&z->acl, &set.acl);
    z->stat.aversion++;
    struct zk_stat stat = stat_of(t, z);
    zk_stat_write(body, &stat);
    return ZK_OK;
}

static void write_identity(struct buf *body)
{
    struct jute_builder vb = jute_vector_begin(body);
    zk_client_info_write(body, &(struct zk_client_info){slice_str("ip"), slice_str("127.0.0.1")});
    vb.count++;
    jute_vector_end(&vb);
}

int32_t znodes_answer(struct znodes *t, enum zk_op op, struct slice record, struct buf *body)
{
    struct jute_reader in = jute_reader_of(record);
    struct zk_watch_request watch;
    switch (op) {
    case ZK_OP_whoAmI:
        write_identity(body);
        return ZK_OK;
    case ZK_OP_addWatch:
    case ZK_OP_removeWatches:
        zk_watch_request_read(&in, &watch);
        ensure(jute_ok(&in));
        watch.path = below_chroot(t, watch.path);
        if (op == ZK_OP_addWatch)
            return add_watch(t, watch.path, watch.type == ZK_WATCH_PERSISTENT_RECURSIVE);
        remove_watch(t, watch.path);
        return ZK_OK;
    case ZK_OP_multi:
        t->zxid++;
        return answer_multi(t, &in, body);
    case ZK_OP_setACL:
        t->zxid++;
        return answer_set_acl(t, &in, body);
    case ZK_OP_create2:
    case ZK_OP_setData:
    case ZK_OP_delete:
        t->zxid++;
        return answer_write(t, op, &in, body);
    default:
        return answer_read(t, op, jute_read_buffer(&in), body);
    }
}

/* ---- Others ---- */

bool znodes_create(struct znodes *t, const char *path, struct slice data, bool ephemeral)
{
    t->zxid++;
    if (do_create(t, slice_str(path), data, &JUTE_VECTOR_EMPTY, ephemeral) != ZK_OK)
        return false;
    set_acl(find(t, slice_str(path)), ZNODES_OPEN);
    return true;
}

bool znodes_set(struct znodes *t, const char *path, struct slice data)
{
    t->zxid++;
    return do_set(t, slice_str(path), data, -1) == ZK_OK;
}

bool znodes_delete(struct znodes *t, const char *path)
{
    t->zxid++;
    return do_delete(t, slice_str(path), -1) == ZK_OK;
}

static bool is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* A parent is before its children in the list, or is not found yet: as many turns as it takes. */
static void copy_below(struct znodes *t, const char *from, const char *to)
{
    struct buf path = {0};
    for (size_t i = 0, turn = 0; turn < 4; i++) {
        if (i == t->n) {
            i = 0;
            turn++;
        }
        const struct znode *z = &t->list[i];
        if (!is_below(z->path, from))
            continue;
        struct jute_vector acl = JUTE_VECTOR_EMPTY;
        buf_reset(&path);
        buf_printf(&path, "%s%s", to, z->path + strlen(from));
        do_create(t, buf_slice(&path), z->null ? SLICE_NULL : buf_slice(&z->data), &acl, false);
        struct znode *copy = find(t, buf_slice(&path));
        if (copy && copy->acl.len <= 4)
            set_acl(copy, ZNODES_OPEN);
    }
    buf_close(&path);
}

bool znodes_move(struct znodes *t, const char *from, const char *to)
{
    char *source = slice_dup_str(slice_str(from));
    bool ok = source[1] && find(t, slice_str(source)) && !find(t, slice_str(to)) &&
              !is_below(to, source) && find(t, zk_path_parent(slice_str(to)));
    t->zxid++;
    if (ok)
        copy_below(t, source, to);
    for (size_t i = 0; ok && i < t->n;) {
        struct znode *z = &t->list[i];
        bool leaf = is_below(z->path, source) && stat_of(t, z).num_children == 0;
        char *path = leaf ? slice_dup_str(slice_str(z->path)) : NULL;
        if (leaf)
            do_delete(t, slice_str(path), -1);
        free(path);
        i = leaf ? 0 : i + 1;
    }
    free(source);
    return ok;
}

bool znodes_set_acl(struct znodes *t, const char *path, enum znodes_acl kind)
{
    struct znode *z = find(t, slice_str(path));
    t->zxid++;
    if (!z)
        return false;
    set_acl(z, kind);
    z->stat.aversion++;
    return true;
}

/* ---- Beginning and end ---- */

void znodes_open(struct znodes *t, const char *chroot, bool many)
{
    static const struct {
        const char *path, *data; /* NULL: a directory's */
    } nodes[] = {{"/", NULL},          {"/a", "hello"}, {"/b", NULL},       {"/b/a", "hello"},
                 {"/b/b", "good bye"}, {"/c", NULL},    {"/d", ""},         {"/e", "with a child"},
                 {"/e/a", NULL},       {"/.data", "x"}, {"/.zabfs", "ours"}};
    *t = (struct znodes){.chroot = chroot, .zxid = 0x100000000, .time = 1700000000000};
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
        znodes_create(t, nodes[i].path, nodes[i].data ? slice_str(nodes[i].data) : SLICE_NULL,
                      false);
    znodes_set_acl(t, "/b/b", ZNODES_READABLE);
    for (unsigned i = 0; many && i < 136; i++) {
        char path[16];
        snprintf(path, sizeof(path), "/c/%u", i);
        znodes_create(t, path, SLICE_EMPTY, false);
    }
}

void znodes_close(struct znodes *t)
{
    const struct znodes_event *events = (void *)t->events.data;
    for (size_t i = 0; i < t->n; i++)
        znode_close(&t->list[i]);
    for (size_t i = 0; i < t->n_watches; i++)
        free(t->watches[i].path);
    for (size_t i = 0; i < t->events.len / sizeof(*events); i++)
        free(events[i].path);
    buf_close(&t->events);
}
