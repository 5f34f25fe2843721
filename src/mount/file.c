/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests on open files. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct opening {
    struct mount *m;
    struct req req;
    struct node *n;
    int flags;
    bool looked_again;
    unsigned tries;
};

enum {
    REOPENS_MAX = 16,
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
    struct handle *h = handle_new(o->m, o->n, o->flags, o->req.pid);
    h->expect_truncate = h->writable;
    h->pinned = content ? content_ref(content) : NULL;
    if (content)
        h->draft.base = content->version;
    reply_add(o->req, MOUNT_REPLY_OPEN)->opened = handle_opened(h);
    opening_end(o);
}

/* ---- open ---- */

/* Who replaces a file while it is opened must not make the open fail: the kernel tries again only
 * once. */
static struct node *successor(const struct mount *m, const struct node *n)
{
    struct node *now = lookup_successor(m, n);
    return now && !now->is_dir ? now : NULL;
}

static void on_open_content(void *arg, struct node *n, int32_t err)
{
    struct opening *o = arg;
    struct node *mine = o->n;
    bool gone = err == ZK_NONODE || (mine->kind == NODE_ZNODE && n != mine);
    struct node *now = gone ? successor(o->m, mine) : NULL;
    if (now && ++o->tries < REOPENS_MAX) {
        o->n = node_ref(now);
        node_unref(&o->m->nodes, mine);
        fetch_content(o->m, now, on_open_content, o);
    } else if (gone)
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
    else if (o->n->is_dir)
        opening_fail(o, EISDIR);
    else if (!(z->perms_own & ZK_PERM_WRITE) && z->life == NODE_LIVE && !o->looked_again) {
        /* No event tells of a new ACL. */
        o->looked_again = true;
        fetch_stat(m, z, on_open_write, o);
    } else if (!(z->perms_own & ZK_PERM_WRITE) && z->life == NODE_LIVE)
        opening_fail(o, EACCES);
    else if ((o->flags & O_ACCMODE) == O_RDWR)
        fetch_content(m, o->n, on_open_content, o);
    else
        opened(o, NULL);
}

static void on_open_sync(void *arg, const struct answer *reply)
{
    struct opening *o = arg;
    if (reply->err != ZK_OK && reply->err != ZK_NONODE)
        opening_fail(o, map_errno(reply->err, false));
    else
        fetch_content(o->m, o->n, on_open_content, o);
}

/* The right to read it was looked at not too long ago. */
static void on_open_attr(void *arg, struct node *n, int32_t err)
{
    struct opening *o = arg;
    if (err != ZK_OK || (o->n->kind == NODE_ZNODE && n != o->n))
        on_open_content(o, n, err);
    else
        fetch_content(o->m, o->n, on_open_content, o);
}

static void open_read(struct opening *o)
{
    struct mount *m = o->m;
    if (o->n->kind == NODE_ZNODE && o->n->life == NODE_GONE) {
        on_open_content(o, o->n, ZK_NONODE); /* by a name that the kernel had kept */
        return;
    }
    if (m->config.stale_error && mount_is_stale(m)) {
        opening_fail(o, EIO);
        return;
    }
    if (!m->config.sync) {
        fetch_attr(m, o->n, on_open_attr, o);
        return;
    }
    struct buf path = {0};
    node_path(o->n, &path);
    ask_sync(m, buf_slice(&path), on_open_sync, o);
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

void req_open(struct mount *m, const struct mount_request *q, struct req req)
{
    struct node *n = node_find(&m->nodes, q->ino);
    bool writes = (q->open_flags & O_ACCMODE) != O_RDONLY;
    if (!n) {
        reply_err(req, ESTALE);
        return;
    }
    struct opening *o = mem_zalloc(sizeof(*o));
    *o = (struct opening){.m = m, .req = req, .n = node_ref(n), .flags = q->open_flags};
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
    struct req req;
    struct node *dir;
    char *name;
    mode_t mode;
    int flags;
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
    struct handle *h = handle_new(m, n, c->flags, c->req.pid);
    h->mode = c->mode;
    bool pending = n->life == NODE_PENDING;
    if ((c->flags & O_TRUNC) || (pending && !h->draft.append))
        draft_truncate(&h->draft, 0, 0);
    if (n->life == NODE_LIVE && n->kind == NODE_ZNODE && n->stat.data_length == 0)
        h->pinned = content_new(SLICE_EMPTY, &n->stat); /* also when it has no name any more */
    else if (!(c->flags & O_TRUNC) && (c->flags & O_ACCMODE) != O_WRONLY && n->content)
        h->pinned = content_ref(n->content);
    if (h->pinned)
        h->draft.base = h->pinned->version;
    h->draft.dirty = pending || (c->flags & O_TRUNC && n->stat.data_length > 0);
    if (h->draft.dirty)
        handle_changed(h); /* the node is to be made, be it empty */
    struct mount_reply *r = reply_add(c->req, MOUNT_REPLY_CREATE);
    reply_entry_fill(m, n, &r->entry);
    r->opened = handle_opened(h);
    reply_give(m, n);
    creating_end(c, 0);
}

/* Where somebody else has made it meanwhile, the kernel looks it up again and opens it. */
static void on_made(void *arg, int err, struct node *n)
{
    struct creating *c = arg;
    if (err == EEXIST && !(c->flags & O_EXCL))
        creating_end(c, ESTALE);
    else if (err != 0)
        creating_end(c, err);
    else if (n->is_dir)
        creating_end(c, EISDIR);
    else
        created(c, n);
}

static void on_existing_content(void *arg, struct node *n, int32_t err)
{
    struct creating *c = arg;
    if (err != ZK_OK)
        creating_end(c, err == ZK_NONODE ? ESTALE : map_errno(err, false));
    else
        created(c, n);
}

/* Somebody made it since the kernel looked: open what is there, as open() does. */
static void on_existing(void *arg, struct node *n, int32_t err)
{
    struct creating *c = arg;
    int access = c->flags & O_ACCMODE;
    if (err != ZK_OK)
        creating_end(c, err == ZK_NONODE ? ESTALE : map_errno(err, true));
    else if (n->is_dir)
        creating_end(c, EISDIR);
    else if (access != O_RDONLY && !(n->perms_own & ZK_PERM_WRITE))
        creating_end(c, EACCES);
    else if (access == O_WRONLY || (c->flags & O_TRUNC))
        created(c, n);
    else
        fetch_content(c->m, n, on_existing_content, c);
}

static void create_there(struct creating *c)
{
    struct mount *m = c->m;
    struct slice name = lookup_real_name(c->dir, c->name);
    struct node *n = node_child(&m->nodes, c->dir, name);
    if (strcmp(c->name, ".data") == 0) {
        created(c, node_data_file(&m->nodes, c->dir));
        return;
    }
    bool reads = (c->flags & O_ACCMODE) == O_RDONLY; /* its close brings no FLUSH: make it now */
    bool there = n && n->life != NODE_PENDING;
    if (c->flags & O_EXCL || (reads && !there)) {
        namespace_create(c->req, c->dir, name, SLICE_EMPTY, c->mode, on_made, c);
        return;
    }
    if (there) {
        fetch_attr(m, n, on_existing, c);
        return;
    }
    if (!n) {
        n = node_add(&m->nodes, c->dir, name);
        n->life = NODE_PENDING;
        n->made_here = true;
    }
    created(c, n);
}

static void on_create_dir(void *arg, struct node *n, int32_t err)
{
    struct creating *c = arg;
    if (err != ZK_OK)
        creating_end(c, map_errno(err, true));
    else if (n != c->dir || !node_is_linked(n))
        creating_end(c, ESTALE);
    else if (!(n->perms_own & ZK_PERM_CREATE) && !c->looked_again) {
        c->looked_again = true;
        fetch_stat(c->m, n, on_create_dir, c);
    } else if (!(n->perms_own & ZK_PERM_CREATE))
        creating_end(c, EACCES);
    else
        create_there(c);
}

void req_create(struct mount *m, const struct mount_request *q, struct req req)
{
    struct node *dir = lookup_dir(m, q->ino);
    int err = reply_write_error(m);
    if (!dir)
        err = ESTALE;
    else if (dir->kind != NODE_ZNODE)
        err = EPERM;
    else if (!dir->is_dir)
        err = ENOTDIR;
    else if (err == 0)
        err = map_check_name(slice_str(q->name));
    if (err != 0) {
        reply_err(req, err);
        return;
    }
    struct creating *c = mem_zalloc(sizeof(*c));
    *c = (struct creating){.m = m,
                           .req = req,
                           .dir = node_ref(dir),
                           .name = mem_strdup(q->name),
                           .mode = q->mode,
                           .flags = q->open_flags};
    if (m->connected)
        fetch_attr(m, dir, on_create_dir, c);
    else
        fetch_stat(m, dir, on_create_dir, c);
}

/* ---- read ---- */

struct io {
    struct handle *h;
    struct req req;
    uint64_t size;
    uint64_t off;
    struct buf data;
};

static struct io *io_new(struct req req, struct handle *h, uint64_t size, uint64_t off)
{
    struct io *io = mem_zalloc(sizeof(*io));
    *io = (struct io){.h = handle_ref(h), .req = req, .size = size, .off = off};
    return io;
}

static void io_end(struct io *io)
{
    buf_close(&io->data);
    handle_unref(io->h);
    free(io);
}

static void reply_bytes(struct req req, const struct handle *h, const struct content *base,
                        uint64_t size, uint64_t off)
{
    struct buf joined = {0};
    struct slice all = content_slice(base);
    if (h->writable)
        all = draft_whole(&h->draft, base, &joined);
    size_t from = MIN(off, slice_size(all));
    reply_data(req, slice_of(all.data + from, MIN(size, slice_size(all) - from)));
    buf_close(&joined);
}

/* A page that the kernel fills with it ends where the kernel's size does: where that is another
 * version's, what is beyond would be zeros when the size is told. */
static void note_page(struct handle *h, int64_t mzxid)
{
    struct node *n = h->node;
    bool fits = n->size_mzxid == mzxid && (n->pages_mzxid == 0 || n->pages_mzxid == mzxid);
    if (!fits && n->pages_mzxid != -1 && !h->mount->closed)
        effect_add(h->mount, MOUNT_INVAL_INODE)->inval.ino = n->id;
    n->pages_mzxid = fits ? mzxid : -1;
}

static void on_page(void *arg, struct node *n, int32_t err)
{
    struct io *io = arg;
    (void)n;
    struct handle *h = io->h;
    struct content *c = h->node->content ? h->node->content : h->pinned;
    if (err != ZK_OK && err != ZK_NONODE) {
        reply_err(io->req, map_errno(err, false));
    } else {
        reply_bytes(io->req, h, c, io->size, io->off);
        if (h->paged)
            note_page(h, c ? c->mzxid : 0);
    }
    io_end(io);
}

/* Somebody has read to the end of what was there. If there is more behind the same beginning now
 * (tail -f), the version that is open moves on. */
static void on_more(void *arg, struct node *n, int32_t err)
{
    struct io *io = arg;
    struct handle *h = io->h;
    struct content *now = h->node->content;
    if (err == ZK_OK && n == h->node && now && now != h->pinned &&
        slice_starts_with(content_slice(now), content_slice(h->pinned))) {
        content_unref(h->pinned);
        h->pinned = content_ref(now);
    }
    reply_bytes(io->req, h, h->pinned, io->size, io->off);
    io_end(io);
}

/* Is there another version than the one that is open? */
static bool has_moved_on(const struct handle *h)
{
    const struct node *z = h->node;
    if (z->kind != NODE_ZNODE || !h->pinned)
        return false;
    if (z->life == NODE_GONE)
        return z->content && z->content != h->pinned;
    return z->life == NODE_LIVE && h->mount->connected &&
           (!z->fresh || h->pinned->mzxid != z->stat.mzxid);
}

void req_read(struct mount *m, const struct mount_request *q, struct req req)
{
    struct handle *h = handle_find(m, q->fh);
    if (!h || h->dir) {
        reply_err(req, EBADF);
        return;
    }
    h->expect_truncate = false;
    /* A page is shared by all who open the file: it must be of what is there now. */
    if (m->config.cache == MOUNT_CACHE_PAGES && !h->writable && h->node->kind != NODE_STATUS)
        fetch_content(m, h->node, on_page, io_new(req, h, q->size, q->offset));
    else if (!h->writable && h->pinned && q->offset == h->pinned->len && q->offset > 0 &&
             has_moved_on(h))
        fetch_content(m, h->node, on_more, io_new(req, h, q->size, q->offset));
    else
        reply_bytes(req, h, h->pinned, q->size, q->offset);
}

/* ---- write ---- */

static void write_now(struct req req, struct handle *h, struct slice data, uint64_t off)
{
    int rc = draft_write(&h->draft, data, off, handle_limit(h));
    handle_changed(h); /* also if it does not fit: a commit under way is not of this draft */
    if (rc < 0) {
        reply_err(req, -rc);
        return;
    }
    h->writer = req.pid;
    reply_size(req, slice_size(data));
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

void req_write(struct mount *m, const struct mount_request *q, struct req req)
{
    struct handle *h = handle_find(m, q->fh);
    if (!h || !h->writable) {
        reply_err(req, EBADF);
        return;
    }
    if (!draft_needs_base(&h->draft)) {
        write_now(req, h, q->data, q->offset);
        return;
    }
    struct io *io = io_new(req, h, 0, q->offset);
    buf_append(&io->data, q->data.data, slice_size(q->data));
    if (h->pinned)
        on_write_base(io, h->node, ZK_OK);
    else
        fetch_content(m, h->node, on_write_base, io);
}
