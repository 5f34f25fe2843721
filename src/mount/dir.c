/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listings. The first read of an open directory takes a list of its nodes, with all the Stats in
 * flight together; further reads go on in that list. The kernel keeps what it read, and reads no
 * more until something in the directory changes.
 *
 * Subdirectories that the kernel does not hold are given without a node: holding one means to
 * watch what is in it, which is due only when somebody looks at it. */
#include "mount.h"

#include <errno.h>
#include <stdlib.h>

struct dir {
    struct mount *m;
    struct node *n;
    struct node **entries;
    size_t n_entries;
    size_t waiting;
    int32_t err;
    /* the read that waits */
    fuse_req_t req;
    size_t size;
    bool plus;
};

static struct dir *dir_of(const struct fuse_file_info *fi)
{
    return (struct dir *)(uintptr_t)fi->fh;
}

void req_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *m = req_mount(req);
    struct node *n = node_find(&m->nodes, ino);
    if (!n || !n->is_dir) {
        reply_err(req, n ? ENOTDIR : ESTALE);
        return;
    }
    if (m->opt.stale_error && mount_is_stale(m) && n->kind == NODE_ZNODE) {
        reply_err(req, EIO);
        return;
    }
    struct dir *d = mem_zalloc(sizeof(*d));
    *d = (struct dir){.m = m, .n = node_ref(n)};
    fi->fh = (uintptr_t)d;
    fi->cache_readdir = 1;
    fi->keep_cache = 1;
    if (fuse_reply_open(req, fi) != 0) {
        node_unref(&m->nodes, n);
        free(d);
    }
}

static void forget_entries(struct dir *d)
{
    for (size_t i = 0; i < d->n_entries; i++)
        node_unref(&d->m->nodes, d->entries[i]);
    free(d->entries);
    d->entries = NULL;
    d->n_entries = 0;
}

void req_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    struct dir *d = dir_of(fi);
    forget_entries(d);
    node_unref(&d->m->nodes, d->n);
    free(d);
    reply_err(req, 0);
}

/* ---- The answer from the list ---- */

/* Entry 0 is ".", 1 is "..", then the nodes. */
static size_t add_entry(struct dir *d, size_t i, char *buf, size_t room)
{
    struct mount *m = d->m;
    struct fuse_entry_param e = {0};
    const char *name = i == 0 ? "." : "..";
    struct node *n = i == 0 || !d->n->parent ? d->n : d->n->parent;
    if (i >= 2) {
        n = d->entries[i - 2];
        name = n->name;
    }
    reply_entry_param(m, n, &e);
    if (!d->plus)
        return fuse_add_direntry(d->req, buf, room, name, &e.attr, (off_t)i + 1);
    bool give = i >= 2 && n->life == NODE_LIVE && (!n->is_dir || node_is_held(n));
    if (!give)
        e.ino = 0;
    size_t len = fuse_add_direntry_plus(d->req, buf, room, name, &e, (off_t)i + 1);
    if (give && len <= room) {
        n->lookups++;
        watch_apply(m, n);
    }
    return len;
}

static void reply_from(struct dir *d, size_t offset)
{
    char *buf = mem_alloc(d->size);
    size_t used = 0;
    for (size_t i = offset; i < d->n_entries + 2; i++) {
        if (i >= 2 && d->entries[i - 2]->life == NODE_GONE)
            continue;
        size_t len = add_entry(d, i, buf + used, d->size - used);
        if (len > d->size - used)
            break;
        used += len;
    }
    fuse_req_t req = d->req;
    d->req = NULL;
    fuse_reply_buf(req, buf, used);
    free(buf);
}

/* ---- Taking the list ---- */

static void list_finished(struct dir *d)
{
    if (d->err == ZK_OK) {
        reply_from(d, 0);
        return;
    }
    reply_err(d->req, map_errno(d->err, false));
    d->req = NULL;
}

static void on_entry(void *arg, struct node *n, int32_t err)
{
    struct dir *d = arg;
    (void)n;
    if (err != ZK_OK && err != ZK_NONODE)
        d->err = err;
    if (--d->waiting == 0)
        list_finished(d);
}

static bool is_listed(const struct dir *d, const struct node *n)
{
    return n->kind == NODE_ZNODE && n->life != NODE_PENDING &&
           !(d->n == d->m->nodes.root && strcmp(n->name, ".zabfs") == 0) &&
           strcmp(n->name, ".data") != 0;
}

static void take_list(struct dir *d)
{
    struct nodes *t = &d->m->nodes;
    forget_entries(d);
    d->entries = mem_alloc((d->n->n_children + 2) * sizeof(*d->entries));
    if (d->n->kind == NODE_ZNODE && d->n->stat.data_length > 0)
        d->entries[d->n_entries++] = node_ref(node_data_file(t, d->n));
    if (d->n->kind == NODE_CONTROL_DIR)
        LIST_FOR_EACH (n, &d->n->children, struct node, siblings)
            d->entries[d->n_entries++] = node_ref(n);
    LIST_FOR_EACH (n, &d->n->children, struct node, siblings) {
        if (is_listed(d, n))
            d->entries[d->n_entries++] = node_ref(n);
    }
    d->err = ZK_OK;
    d->waiting = d->n_entries + 1;
    for (size_t i = 0; i < d->n_entries; i++)
        fetch_attr(d->m, d->entries[i], on_entry, d);
    on_entry(d, d->n, ZK_OK);
}

static void on_list(void *arg, struct node *n, int32_t err)
{
    struct dir *d = arg;
    if (n != d->n)
        err = ZK_NONODE;
    if (err == ZK_OK && !n->listed && n->kind == NODE_ZNODE)
        err = ZK_NOAUTH;
    if (err == ZK_OK) {
        take_list(d);
    } else {
        d->err = err;
        list_finished(d);
    }
}

static void read_list(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
    struct dir *d = dir_of(fi);
    struct node *n = d->n;
    if (d->req) {
        reply_err(req, EBUSY); /* the kernel reads a directory one call at a time */
        return;
    }
    d->req = req;
    d->size = size;
    d->plus = plus;
    if (off > 0 && d->entries)
        reply_from(d, (size_t)off);
    else if (n->kind != NODE_ZNODE || n->life == NODE_GONE)
        take_list(d);
    else if (n->dirty_list && d->m->connected)
        fetch_list(d->m, n, on_list, d);
    else
        fetch_entry(d->m, n, on_list, d);
}

void req_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    (void)ino;
    read_list(req, size, off, fi, false);
}

void req_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    (void)ino;
    read_list(req, size, off, fi, true);
}
