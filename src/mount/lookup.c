/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that read names and attributes. */
#include "mount.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A request that waits for the server. */
struct wait {
    struct mount *m;
    fuse_req_t req;
    struct node *n;
    int mask;
    char *name;
    size_t size;
};

static struct wait *wait_new(fuse_req_t req, struct node *n)
{
    struct wait *w = mem_zalloc(sizeof(*w));
    *w = (struct wait){.m = req_mount(req), .req = req, .n = node_ref(n)};
    return w;
}

/* What the answer is about: .data is described by its directory. */
static struct node *wait_node(const struct wait *w, struct node *n)
{
    return w->n->kind == NODE_ZNODE ? n : w->n;
}

static void wait_end(struct wait *w)
{
    node_unref(&w->m->nodes, w->n);
    free(w->name);
    free(w);
}

/* ---- lookup ---- */

/* Only the open that creates it sees a file that has no content yet. */
static bool pending_is_visible(struct mount *m, const struct node *n, pid_t pid)
{
    LIST_FOR_EACH (h, &m->drafts, struct handle, drafts) {
        if (h->node == n && h->opener == pid)
            return true;
    }
    return false;
}

static void on_lookup(void *arg, struct node *n, int32_t err)
{
    struct wait *w = arg;
    struct mount *m = w->m;
    n = wait_node(w, n);
    const struct fuse_ctx *ctx = fuse_req_ctx(w->req);
    if (err != ZK_OK && err != ZK_NONODE)
        reply_err(w->req, map_errno(err, false));
    else if (err == ZK_NONODE || !node_is_linked(n))
        reply_err(w->req, ENOENT);
    else if (n->life == NODE_PENDING && !pending_is_visible(m, n, ctx->pid))
        reply_err(w->req, ENOENT);
    else if (n->kind == NODE_DATA && n->parent->stat.data_length == 0 && n->writers == 0)
        reply_err(w->req, ENOENT);
    else
        reply_entry(m, w->req, n);
    wait_end(w);
}

static void lookup_in(fuse_req_t req, struct node *dir, const char *name)
{
    struct mount *m = req_mount(req);
    struct slice s = slice_str(name);
    struct node *n = node_child(&m->nodes, dir, s);
    if (strcmp(name, ".data") == 0 && dir->kind == NODE_ZNODE)
        n = node_data_file(&m->nodes, dir);
    if (!n && (dir->listed || dir->life != NODE_LIVE)) {
        reply_none(m, req);
        return;
    }
    if (!n) {
        n = node_add(&m->nodes, dir, s);
        n->told = true;
        n->told_mzxid = INT64_MAX; /* the list cannot be read: nothing is told of what is in it */
    }
    fetch_entry(m, n, on_lookup, wait_new(req, n));
}

static bool refuse_stale(fuse_req_t req, const struct node *n)
{
    struct mount *m = req_mount(req);
    if (n->kind == NODE_CONTROL_DIR || n->kind == NODE_STATUS || !m->opt.stale_error ||
        !mount_is_stale(m))
        return false;
    reply_err(req, EIO);
    return true;
}

static bool is_control_name(const struct node *dir, const char *name)
{
    return dir->id == NODE_ROOT_ID && strcmp(name, ".zabfs") == 0;
}

void req_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *m = req_mount(req);
    struct node *dir = node_find(&m->nodes, parent);
    if (!dir || !dir->is_dir)
        reply_err(req, dir ? ENOTDIR : ESTALE);
    else if (injected_lookup(req, dir, name))
        return;
    else if (!is_control_name(dir, name) && refuse_stale(req, dir))
        return;
    else if (strlen(name) > NODE_NAME_MAX)
        reply_err(req, ENAMETOOLONG);
    else if (map_check_name(slice_str(name)) != 0)
        reply_none(m, req);
    else
        lookup_in(req, dir, name);
}

void req_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
    struct mount *m = req_mount(req);
    struct node *node = node_find(&m->nodes, ino);
    if (node)
        watch_forget(m, node, n);
    fuse_reply_none(req);
}

void req_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct mount *m = req_mount(req);
    for (size_t i = 0; i < count; i++) {
        struct node *node = node_find(&m->nodes, forgets[i].ino);
        if (node)
            watch_forget(m, node, forgets[i].nlookup);
    }
    fuse_reply_none(req);
}

/* ---- attributes ---- */

static void on_getattr(void *arg, struct node *n, int32_t err)
{
    struct wait *w = arg;
    struct node *asked = w->n;
    if (err != ZK_OK && err != ZK_NONODE)
        reply_err(w->req, map_errno(err, false));
    else if (wait_node(w, n) != asked)
        reply_err(w->req, ESTALE); /* another znode has its name now */
    else
        reply_attr(w->m, w->req, asked);
    wait_end(w);
}

void req_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct mount *m = req_mount(req);
    struct node *n = node_find(&m->nodes, ino);
    if (!n)
        reply_err(req, ESTALE);
    else if (!refuse_stale(req, n))
        fetch_attr(m, n, on_getattr, wait_new(req, n));
}

static void on_access(void *arg, struct node *n, int32_t err)
{
    struct wait *w = arg;
    struct stat st;
    (void)n;
    reply_fill(w->m, w->n, &st);
    int granted = (int)(st.st_mode >> 6 & 7);
    if (err != ZK_OK)
        reply_err(w->req, map_errno(err, false));
    else if ((w->mask & W_OK) && w->m->opt.read_only)
        reply_err(w->req, EROFS);
    else
        reply_err(w->req, (w->mask & 7 & ~granted) ? EACCES : 0);
    wait_end(w);
}

void req_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
    struct mount *m = req_mount(req);
    struct node *n = node_find(&m->nodes, ino);
    if (!n) {
        reply_err(req, ESTALE);
        return;
    }
    if (injected_other(req))
        return;
    struct wait *w = wait_new(req, n);
    w->mask = mask;
    fetch_attr(m, n, on_access, w);
}

/* ---- extended attributes ---- */

static void reply_value(fuse_req_t req, const struct buf *value, size_t size)
{
    if (size == 0)
        fuse_reply_xattr(req, value->len);
    else if (value->len > size)
        reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, (const char *)value->data, value->len);
}

static void on_getxattr(void *arg, struct node *n, int32_t err)
{
    struct wait *w = arg;
    struct buf value = {0};
    (void)n;
    if (err != ZK_OK)
        reply_err(w->req, map_errno(err, false));
    else if (!map_xattr(node_znode(w->n), w->name, &value))
        reply_err(w->req, ENODATA);
    else
        reply_value(w->req, &value, w->size);
    buf_close(&value);
    wait_end(w);
}

void req_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct mount *m = req_mount(req);
    struct node *n = node_find(&m->nodes, ino);
    if (!n || n->kind == NODE_CONTROL_DIR || n->kind == NODE_STATUS ||
        strncmp(name, "user.", 5) != 0) {
        reply_err(req, n ? ENODATA : ESTALE);
        return;
    }
    struct wait *w = wait_new(req, n);
    w->name = mem_strdup(name);
    w->size = size;
    fetch_attr(m, n, on_getxattr, w);
}

void req_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct mount *m = req_mount(req);
    struct node *n = node_find(&m->nodes, ino);
    struct buf names = {0};
    if (n && n->kind != NODE_CONTROL_DIR && n->kind != NODE_STATUS)
        map_xattr_list(&names);
    reply_value(req, &names, size);
    buf_close(&names);
}

/* ---- statfs ---- */

void req_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    /* ZooKeeper tells of no limit. Programs that look for room before they write shall find it. */
    struct statvfs st = {.f_bsize = 4096,
                         .f_frsize = 4096,
                         .f_blocks = 1 << 28,
                         .f_bfree = 1 << 28,
                         .f_bavail = 1 << 28,
                         .f_files = 1 << 28,
                         .f_ffree = 1 << 28,
                         .f_favail = 1 << 28,
                         .f_namemax = NODE_NAME_MAX};
    fuse_reply_statfs(req, &st);
}
