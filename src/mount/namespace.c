/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mkdir, mknod, unlink, rmdir: one transaction each. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

struct change {
    struct mount *m;
    struct req req;
    struct node *dir;
    struct node *n;
    char *name;
    struct slice data;
    mode_t mode;
    int64_t zxid; /* the last that was seen when it was sent */
    int64_t deadline_ms;
    create_done *done;
    void *arg;
};

static struct change *change_new(struct mount *m, struct node *dir, struct slice name)
{
    struct change *c = mem_zalloc(sizeof(*c));
    *c = (struct change){.m = m, .dir = node_ref(dir), .name = slice_dup_str(name)};
    c->deadline_ms = m->now_ms + m->config.timeo_ms;
    return c;
}

static void change_free(struct change *c)
{
    if (c->n)
        node_unref(&c->m->nodes, c->n);
    node_unref(&c->m->nodes, c->dir);
    free(c->name);
    free(c);
}

static void change_path(const struct change *c, struct buf *path)
{
    node_path(c->dir, path);
    if (path->len > 1)
        buf_append(path, "/", 1);
    buf_append(path, c->name, strlen(c->name));
}

static bool is_lost(const struct change *c, int32_t err)
{
    return mount_may_retry(c->m, err, c->deadline_ms);
}

/* ---- create ---- */

bool create_acl(const struct mount *m, bool is_dir, mode_t mode, struct buf *out)
{
    return !m->config.ignore_modes && map_create_acl(&m->who, is_dir, mode, out);
}

static void create_send(struct change *c);

static void create_end(struct change *c, int err, struct node *n)
{
    if (n)
        node_ref(n);
    c->done(c->arg, err, n);
    if (n)
        node_unref(&c->m->nodes, n);
    change_free(c);
}

static void on_created_listed(void *arg, struct node *n, int32_t err)
{
    struct change *c = arg;
    if (c->n->made_here && !pending_waits(c->req)) {
        /* The caller has given up since, so that the kernel knows of no new name. */
        c->n->told = c->n->made_here = false;
        know_dirty(c->m, c->n);
    }
    create_end(c, err == ZK_NONODE ? ENOENT : 0, n);
}

static void create_landed(struct change *c, const struct zk_stat *stat)
{
    struct mount *m = c->m;
    bool is_dir = slice_is_null(c->data);
    struct node *dir = know_place(m, c->dir);
    struct node *n = node_child(&m->nodes, dir, slice_str(c->name));
    if (n && n->life == NODE_LIVE && n->stat.czxid != stat->czxid) {
        know_gone_untold(m, n); /* the list knew better than we what was there before */
        n = NULL;
    }
    if (!n)
        n = node_add(&m->nodes, dir, slice_str(c->name));
    n->is_dir = is_dir;
    n = know_stat(m, n, stat, is_dir);
    if (pending_waits(c->req)) {
        sync_told(n);
        n->told = n->made_here = true;
    }
    know_dirty(m, n);
    c->n = node_ref(n);
    if (is_dir)
        fetch_entry(m, n, on_created_listed, c);
    else
        fetch_attr(m, n, on_created_listed, c);
}

/* Is it there after all, and from whom? One that was there before is not ours; of one that came
 * meanwhile nobody can tell. */
static void on_create_verify(void *arg, const struct answer *reply)
{
    struct change *c = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_stat stat;
    if (reply->err == ZK_NONODE) {
        create_send(c);
        return;
    }
    zk_stat_read(&in, &stat);
    if (reply->err != ZK_OK)
        create_end(c, map_errno_unknown(reply->err), NULL);
    else if (!jute_ok(&in))
        create_end(c, EIO, NULL);
    else
        create_end(c, stat.czxid > c->zxid ? EIO : EEXIST, NULL);
}

static void on_create(void *arg, const struct answer *reply)
{
    struct change *c = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_create2_response created;
    if (is_lost(c, reply->err)) {
        struct buf path = {0};
        change_path(c, &path);
        ask_sync(c->m, buf_slice(&path), NULL, NULL); /* what is on its way has landed by then */
        ask_exists(c->m, buf_slice(&path), on_create_verify, c);
        buf_close(&path);
        return;
    }
    if (reply->err != ZK_OK) {
        create_end(c, map_errno(reply->err, true), NULL);
        return;
    }
    zk_create2_response_read(&in, &created);
    if (jute_ok(&in))
        create_landed(c, &created.stat);
    else
        create_end(c, EIO, NULL);
}

static void create_send(struct change *c)
{
    struct buf path = {0}, acl = {0};
    struct jute_vector v;
    change_path(c, &path);
    bool own = create_acl(c->m, slice_is_null(c->data), c->mode, &acl);
    v = map_acl_vector(buf_slice(&acl));
    c->zxid = c->m->last_zxid;
    ask_create(c->m, buf_slice(&path), c->data, own ? &v : NULL, on_create, c);
    buf_close(&path);
    buf_close(&acl);
}

void namespace_create(struct req req, struct node *parent, struct slice name, struct slice data,
                      mode_t mode, create_done *done, void *arg)
{
    struct mount *m = req.m;
    struct change *c = change_new(m, parent, name);
    c->req = req;
    c->data = data.len > 0 ? SLICE_EMPTY : data;
    c->mode = mode;
    c->done = done;
    c->arg = arg;
    create_send(c);
}

static void on_made(void *arg, int err, struct node *n)
{
    struct req *req = arg;
    if (err != 0)
        reply_err(*req, err);
    else
        reply_entry(*req, n);
    free(req);
}

/* Why a name cannot be made here, or 0. */
static int make_error(struct mount *m, const struct node *dir, const char *name)
{
    if (!dir)
        return ESTALE;
    if (dir->kind != NODE_ZNODE || strcmp(name, ".data") == 0)
        return EPERM;
    if (!dir->is_dir)
        return ENOTDIR;
    if (dir->id == NODE_ROOT_ID && strcmp(name, ".zabfs") == 0)
        return EEXIST;
    int err = reply_write_error(m);
    return err != 0 ? err : map_check_name(slice_str(name));
}

static void make(struct mount *m, const struct mount_request *q, struct req req, struct slice data)
{
    struct node *dir = lookup_dir(m, q->ino);
    int err = make_error(m, dir, q->name);
    if (err != 0)
        reply_err(req, err);
    else
        namespace_create(req, dir, lookup_real_name(dir, q->name), data, q->mode, on_made,
                         req_keep(req));
}

void req_mkdir(struct mount *m, const struct mount_request *q, struct req req)
{
    make(m, q, req, SLICE_NULL);
}

void req_mknod(struct mount *m, const struct mount_request *q, struct req req)
{
    if (S_ISREG(q->mode))
        make(m, q, req, SLICE_EMPTY);
    else
        reply_err(req, EPERM);
}

/* symlink, link: ZooKeeper has none. */
void req_refuse(struct mount *m, const struct mount_request *q, struct req req)
{
    (void)m;
    (void)q;
    reply_err(req, EPERM);
}

/* ---- remove ---- */

static void remove_send(struct change *c);

static void remove_end(struct change *c, int err)
{
    reply_err(c->req, err);
    change_free(c);
}

static void remove_landed(struct change *c)
{
    if (c->n) {
        c->n->removed_here = true;
        if (pending_waits(c->req))
            know_gone_untold(c->m, c->n); /* the kernel tells */
        else
            know_gone(c->m, c->n);
    }
    remove_end(c, 0);
}

static void on_remove_verify(void *arg, const struct answer *reply)
{
    struct change *c = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_stat stat;
    zk_stat_read(&in, &stat);
    if (reply->err == ZK_NONODE)
        remove_landed(c);
    else if (reply->err != ZK_OK)
        remove_end(c, map_errno_unknown(reply->err));
    else if (!jute_ok(&in))
        remove_end(c, EIO);
    else if (c->n && c->n->life == NODE_LIVE && c->n->stat.czxid != stat.czxid)
        remove_landed(c); /* this one is another */
    else
        remove_send(c);
}

static bool is_pending(const struct node *n)
{
    return n && n->life == NODE_PENDING;
}

static void on_removed(void *arg, const struct answer *reply)
{
    struct change *c = arg;
    if (is_lost(c, reply->err)) {
        struct buf path = {0};
        change_path(c, &path);
        ask_sync(c->m, buf_slice(&path), NULL, NULL); /* what is on its way has landed by then */
        ask_exists(c->m, buf_slice(&path), on_remove_verify, c);
        buf_close(&path);
    } else if (reply->err == ZK_OK || (reply->err == ZK_NONODE && is_pending(c->n))) {
        remove_landed(c);
    } else if (reply->err == ZK_NOTEMPTY && !S_ISDIR(c->mode)) {
        remove_end(c, EISDIR); /* it got a child since it was looked at */
    } else {
        remove_end(c, map_errno(reply->err, true));
    }
}

static void remove_send(struct change *c)
{
    struct buf path = {0};
    change_path(c, &path);
    ask_delete(c->m, buf_slice(&path), -1, on_removed, c);
    buf_close(&path);
}

static void on_data_removed(void *arg, const struct answer *reply)
{
    struct change *c = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_stat stat;
    zk_stat_read(&in, &stat);
    if (reply->err == ZK_OK && jute_ok(&in)) {
        struct node *z = know_stat(c->m, c->dir, &stat, true);
        if (pending_waits(c->req))
            sync_data_told(z);
        if (z->data_file)
            node_remove(&c->m->nodes, z->data_file);
    }
    remove_end(c, map_errno(reply->err, true));
}

static void remove_data(struct change *c)
{
    struct buf path = {0};
    node_path(c->dir, &path);
    ask_set(c->m, buf_slice(&path), SLICE_NULL, -1, on_data_removed, c);
    buf_close(&path);
}

static void on_rmdir_attr(void *arg, struct node *n, int32_t err)
{
    struct change *c = arg;
    if (err == ZK_OK && n->is_dir && n->stat.data_length > 0)
        remove_end(c, ENOTEMPTY); /* there is a .data in it */
    else if (err != ZK_OK && err != ZK_NONODE)
        remove_end(c, map_errno(err, true));
    else
        remove_send(c);
}

/* The transaction that was to make it has ended somehow. */
static void on_commit_ended(void *arg, int err)
{
    struct change *c = arg;
    if (err == 0 && is_pending(c->n))
        remove_landed(c);
    else
        remove_send(c);
}

/* Its draft has no place to go to now. */
static void remove_pending(struct change *c)
{
    if (commit_is_under_way(c->m, c->n))
        commit_all(c->m, c->n, on_commit_ended, c);
    else
        remove_landed(c);
}

static void remove_name(struct mount *m, const struct mount_request *q, struct req req, mode_t mode)
{
    const char *name = q->name;
    struct node *dir = lookup_dir(m, q->ino);
    struct node *n = dir ? lookup_known(m, dir, name) : NULL;
    int err = !dir ? ESTALE : reply_write_error(m);
    bool data = n && n->kind == NODE_DATA;
    if (dir && (dir->kind != NODE_ZNODE || (n && n->kind != NODE_ZNODE && !data)))
        err = EPERM;
    if (err != 0) {
        reply_err(req, err);
        if (n)
            node_unref(&m->nodes, node_ref(n)); /* a .data that nobody had asked for */
        return;
    }
    struct change *c = change_new(m, dir, lookup_real_name(dir, name));
    c->req = req;
    c->mode = mode;
    c->n = n ? node_ref(n) : NULL;
    if (data)
        remove_data(c);
    else if (is_pending(n))
        remove_pending(c);
    else if (n && S_ISDIR(mode))
        fetch_attr(m, n, on_rmdir_attr, c);
    else
        remove_send(c);
}

void req_unlink(struct mount *m, const struct mount_request *q, struct req req)
{
    remove_name(m, q, req, S_IFREG);
}

void req_rmdir(struct mount *m, const struct mount_request *q, struct req req)
{
    remove_name(m, q, req, S_IFDIR);
}
