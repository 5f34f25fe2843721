/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests on open files. */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct opening {
    struct mount *m;
    fuse_req_t req;
    struct node *n;
    struct fuse_file_info fi;
    pid_t pid;
    bool looked_again;
};

static void opening_end(struct opening *o)
{
    node_unref(&o->m->nodes, o->n);
    free(o);
}

static void opening_fail(struct opening *o, int err)
{
    reply_err(o->req, err);
    opening_end(o);
}

static void opened(struct opening *o, struct content *content)
{
    struct handle *h = handle_new(o->m, o->n, &o->fi, o->pid);
    h->expect_truncate = h->writable;
    h->pinned = content ? content_ref(content) : NULL;
    if (content)
        h->draft.base = content->version;
    if (fuse_reply_open(o->req, &o->fi) != 0)
        handle_free(h);
    opening_end(o);
}

/* ---- open ---- */

static void on_open_content(void *arg, struct node *n, int32_t err)
{
    struct opening *o = arg;
    struct node *mine = o->n;
    bool other = mine->kind == NODE_ZNODE && n != mine;
    if (other || err == ZK_NONODE)
        opening_fail(o, ESTALE); /* the kernel looks the name up again */
    else if (err != ZK_OK)
        opening_fail(o, map_errno(err, false));
    else if (mine->is_dir)
        opening_fail(o, EISDIR);
    else
        opened(o, mine->content);
}

static void on_open_write(void *arg, struct node *n, int32_t err)
{
    struct opening *o = arg;
    struct mount *m = o->m;
    struct node *z = node_znode(o->n);
    if (err == ZK_NONODE || (o->n->kind == NODE_ZNODE && n != o->n))
        opening_fail(o, ESTALE);
    else if (err != ZK_OK)
        opening_fail(o, map_errno(err, true));
    else if (!(z->perms_own & ZK_PERM_WRITE) && z->life == NODE_LIVE && !o->looked_again) {
        /* No event tells of a new ACL. */
        o->looked_again = true;
        fetch_stat(m, z, on_open_write, o);
    } else if (!(z->perms_own & ZK_PERM_WRITE) && z->life == NODE_LIVE)
        opening_fail(o, EACCES);
    else if ((o->fi.flags & O_ACCMODE) == O_RDWR)
        fetch_content(m, o->n, on_open_content, o);
    else
        opened(o, NULL);
}

static void on_open_sync(void *arg, const struct client_reply *reply)
{
    struct opening *o = arg;
    if (reply->err != ZK_OK && reply->err != ZK_NONODE)
        opening_fail(o, map_errno(reply->err, false));
    else
        fetch_content(o->m, o->n, on_open_content, o);
}

static void open_read(struct opening *o)
{
    struct mount *m = o->m;
    if (m->opt.stale_error && mount_is_stale(m)) {
        opening_fail(o, EIO);
        return;
    }
    if (!m->opt.sync) {
        fetch_content(m, o->n, on_open_content, o);
        return;
    }
    struct buf path = {0};
    node_path(o->n, &path);
    client_sync(m->client, buf_slice(&path), on_open_sync, o);
    buf_close(&path);
}

static void open_status(struct opening *o)
{
    struct buf text = {0};
    struct zk_stat none = {0};
    status_text(o->m, &text);
    struct content *c = content_new(buf_slice(&text), &none);
    opened(o, c);
    content_unref(c);
    buf_close(&text);
}

void req_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *m = req_mount(req);
    struct node *n = node_find(&m->nodes, ino);
    bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
    if (!n) {
        reply_err(req, ESTALE);
        return;
    }
    if (injected_open(req, n, fi))
        return;
    struct opening *o = mem_zalloc(sizeof(*o));
    *o = (struct opening){
        .m = m, .req = req, .n = node_ref(n), .fi = *fi, .pid = fuse_req_ctx(req)->pid};
    if (n->kind == NODE_STATUS) {
        if (writes)
            opening_fail(o, EACCES);
        else
            open_status(o);
    } else if (!writes) {
        open_read(o);
    } else if (reply_write_error(m) != 0) {
        opening_fail(o, reply_write_error(m));
    } else if (!m->connected && n->life == NODE_LIVE) {
        fetch_stat(m, node_znode(n), on_open_write, o); /* is there a quorum? */
    } else {
        fetch_attr(m, n, on_open_write, o);
    }
}

/* ---- create ---- */

struct creating {
    struct mount *m;
    fuse_req_t req;
    struct node *dir;
    char *name;
    mode_t mode;
    struct fuse_file_info fi;
    pid_t pid;
    bool looked_again;
};

static void creating_end(struct creating *c, int err)
{
    if (err != 0)
        reply_err(c->req, err);
    node_unref(&c->m->nodes, c->dir);
    free(c->name);
    free(c);
}

static void created(struct creating *c, struct node *n)
{
    struct mount *m = c->m;
    struct fuse_entry_param e;
    struct handle *h = handle_new(m, n, &c->fi, c->pid);
    h->mode = c->mode;
    bool pending = n->life == NODE_PENDING;
    if ((c->fi.flags & O_TRUNC) || (pending && !h->draft.append))
        draft_truncate(&h->draft, 0, 0);
    h->draft.dirty = pending || (c->fi.flags & O_TRUNC && n->stat.data_length > 0);
    if (h->draft.dirty)
        handle_changed(h); /* the node is to be made, be it empty */
    reply_entry_param(m, n, &e);
    n->lookups++;
    watch_apply(m, n);
    if (fuse_reply_create(c->req, &e, &c->fi) != 0) {
        h->draft.dirty = false;
        handle_free(h);
        watch_forget(m, n, 1);
    }
    creating_end(c, 0);
}

static void on_exclusive(void *arg, int err, struct node *n)
{
    struct creating *c = arg;
    if (err != 0)
        creating_end(c, err);
    else
        created(c, n);
}

/* Somebody made it since the kernel looked: open what is there. */
static void on_existing(void *arg, struct node *n, int32_t err)
{
    struct creating *c = arg;
    if (err != ZK_OK)
        creating_end(c, map_errno(err, true));
    else if (n->is_dir)
        creating_end(c, EISDIR);
    else
        created(c, n);
}

static void create_there(struct creating *c)
{
    struct mount *m = c->m;
    struct slice name = slice_str(c->name);
    struct node *n = node_child(&m->nodes, c->dir, name);
    if (strcmp(c->name, ".data") == 0) {
        created(c, node_data_file(&m->nodes, c->dir));
        return;
    }
    if (c->fi.flags & O_EXCL) {
        namespace_create(m, c->dir, name, SLICE_EMPTY, c->mode, on_exclusive, c);
        return;
    }
    if (n && n->life != NODE_PENDING) {
        fetch_attr(m, n, on_existing, c);
        return;
    }
    if (!n) {
        n = node_add(&m->nodes, c->dir, name);
        n->life = NODE_PENDING;
    }
    created(c, n);
}

static void on_create_dir(void *arg, struct node *n, int32_t err)
{
    struct creating *c = arg;
    if (err != ZK_OK)
        creating_end(c, map_errno(err, true));
    else if (n != c->dir)
        creating_end(c, ESTALE);
    else if (!(n->perms_own & ZK_PERM_CREATE) && !c->looked_again) {
        c->looked_again = true;
        fetch_stat(c->m, n, on_create_dir, c);
    } else if (!(n->perms_own & ZK_PERM_CREATE))
        creating_end(c, EACCES);
    else
        create_there(c);
}

void req_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                struct fuse_file_info *fi)
{
    struct mount *m = req_mount(req);
    struct node *dir = node_find(&m->nodes, parent);
    int err = reply_write_error(m);
    if (!dir)
        err = ESTALE;
    else if (dir->kind != NODE_ZNODE)
        err = EPERM;
    else if (err == 0)
        err = map_check_name(slice_str(name));
    if (err != 0) {
        reply_err(req, err);
        return;
    }
    struct creating *c = mem_zalloc(sizeof(*c));
    *c = (struct creating){.m = m,
                           .req = req,
                           .dir = node_ref(dir),
                           .name = mem_strdup(name),
                           .mode = mode,
                           .fi = *fi,
                           .pid = fuse_req_ctx(req)->pid};
    if (m->connected)
        fetch_attr(m, dir, on_create_dir, c);
    else
        fetch_stat(m, dir, on_create_dir, c);
}

/* ---- read ---- */

struct io {
    struct handle *h;
    fuse_req_t req;
    size_t size;
    off_t off;
    struct buf data;
};

static struct io *io_new(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
    struct io *io = mem_zalloc(sizeof(*io));
    *io = (struct io){.h = h, .req = req, .size = size, .off = off};
    return io;
}

static void io_end(struct io *io)
{
    buf_close(&io->data);
    free(io);
}

static void reply_bytes(fuse_req_t req, const struct handle *h, const struct content *base,
                        size_t size, off_t off)
{
    struct slice all =
        h->writable ? draft_read(&h->draft, base, (uint64_t)off, size) : content_slice(base);
    if (!h->writable) {
        size_t from = MIN((size_t)off, slice_size(all));
        all = slice_of(all.data + from, MIN(size, slice_size(all) - from));
    }
    fuse_reply_buf(req, (const char *)all.data, slice_size(all));
}

static void on_page(void *arg, struct node *n, int32_t err)
{
    struct io *io = arg;
    (void)n;
    struct content *c = io->h->node->content ? io->h->node->content : io->h->pinned;
    if (err != ZK_OK && err != ZK_NONODE)
        reply_err(io->req, map_errno(err, false));
    else
        reply_bytes(io->req, io->h, c, io->size, io->off);
    io_end(io);
}

void req_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    struct mount *m = req_mount(req);
    struct handle *h = handle_of(fi);
    (void)ino;
    if (!h) {
        reply_err(req, EBADF);
        return;
    }
    h->expect_truncate = false;
    /* A page is shared by all who open the file: it must be of what is there now. */
    if (m->opt.cache == CACHE_PAGES && !h->writable && h->node->kind != NODE_STATUS)
        fetch_content(m, h->node, on_page, io_new(req, h, size, off));
    else
        reply_bytes(req, h, h->pinned, size, off);
}

/* ---- write ---- */

static void write_now(fuse_req_t req, struct handle *h, struct slice data, off_t off)
{
    int rc = draft_write(&h->draft, data, (uint64_t)off, handle_limit(h));
    if (rc < 0) {
        reply_err(req, -rc);
        return;
    }
    handle_changed(h);
    fuse_reply_write(req, slice_size(data));
}

/* What was opened is what is edited. */
static int load_base(struct handle *h, struct node *n, int32_t err)
{
    struct content *base = h->node->content;
    if (h->pinned)
        base = h->pinned;
    else if (err != ZK_OK)
        return map_errno(err, false);
    else if (!base || (h->node->kind == NODE_ZNODE && n != h->node))
        return ESTALE;
    if (base->version != h->draft.base)
        return ESTALE;
    if (draft_needs_base(&h->draft))
        draft_load(&h->draft, base);
    return 0;
}

static void on_write_base(void *arg, struct node *n, int32_t err)
{
    struct io *io = arg;
    int rc = load_base(io->h, n, err);
    if (rc != 0)
        reply_err(io->req, rc);
    else
        write_now(io->req, io->h, buf_slice(&io->data), io->off);
    io_end(io);
}

void req_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
               struct fuse_file_info *fi)
{
    struct handle *h = handle_of(fi);
    (void)ino;
    if (!h) {
        reply_err(req, EBADF);
        return;
    }
    if (!draft_needs_base(&h->draft)) {
        write_now(req, h, slice_of(data, size), off);
        return;
    }
    struct io *io = io_new(req, h, size, off);
    buf_append(&io->data, data, size);
    if (h->pinned)
        on_write_base(io, h->node, ZK_OK);
    else
        fetch_content(h->mount, h->node, on_write_base, io);
}

/* ---- flush, fsync, release ---- */

static void on_committed(void *arg, int err)
{
    reply_err(arg, err);
}

void req_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct handle *h = handle_of(fi);
    if (!h || !h->writable) {
        reply_err(req, 0);
        return;
    }
    int has = h->draft.dirty || h->commit ? opener_has_file(h->opener, ino) : 0;
    if (has > 0 || (has < 0 && !h->draft.written && !h->commit))
        reply_err(req, 0);
    else
        commit_start(h, on_committed, req);
}

void req_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    struct handle *h = handle_of(fi);
    (void)ino;
    (void)datasync;
    if (!h || !h->writable)
        reply_err(req, 0);
    else
        commit_start(h, on_committed, req);
}

void req_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct handle *h = handle_of(fi);
    (void)ino;
    reply_err(req, 0);
    if (!h)
        return;
    h->released = true;
    if (h->draft.dirty && !h->commit)
        commit_start(h, NULL, NULL);
    else if (!h->commit)
        handle_free(h);
}
