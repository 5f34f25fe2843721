/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that read names and attributes. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    TRIES_MAX = 16,
};

/* A request that waits for the server. */
struct wait {
    struct mount *m;
    struct req req;
    struct node *n;
    uint64_t fh;
    int mask;
    char *name;
    uint64_t size;
    unsigned tries;
};

static struct wait *wait_new(struct req req, struct node *n)
{
    struct wait *w = mem_zalloc(sizeof(*w));
    *w = (struct wait){.m = req.m, .req = req, .n = node_ref(n)};
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

/* It is there, and not for us to read: a file that grants nothing. */
static bool is_closed_to_us(const struct node *n, int32_t err)
{
    return err == ZK_NOAUTH && n->life == NODE_NAMED && n->parent && n->parent->listed;
}

struct node *lookup_successor(const struct mount *m, const struct node *n)
{
    if (n->kind != NODE_ZNODE || n->life != NODE_GONE || !node_is_linked(n->parent))
        return NULL;
    struct node *now = node_child(&m->nodes, n->parent, slice_str(n->name));
    return now && now->life != NODE_PENDING ? now : NULL;
}

static void on_lookup(void *arg, struct node *n, int32_t err);

/* It was replaced while it was looked at. */
static bool look_again(struct wait *w)
{
    struct node *before = w->n, *now = lookup_successor(w->m, before);
    if (!now || ++w->tries == TRIES_MAX)
        return false;
    w->n = node_ref(now);
    node_unref(&w->m->nodes, before);
    fetch_entry(w->m, now, on_lookup, w);
    return true;
}

static void on_lookup(void *arg, struct node *n, int32_t err)
{
    struct wait *w = arg;
    struct mount *m = w->m;
    n = wait_node(w, n);
    if ((err == ZK_NONODE || (err == ZK_OK && !node_is_linked(n))) && look_again(w))
        return;
    if (is_closed_to_us(n, err))
        err = ZK_OK;
    if (err != ZK_OK && err != ZK_NONODE)
        reply_err(w->req, map_errno(err, false));
    else if (err == ZK_NONODE || !node_is_linked(n))
        reply_err(w->req, ENOENT);
    else if (n->life == NODE_PENDING && !pending_is_visible(m, n, w->req.pid))
        reply_err(w->req, ENOENT);
    else if (n->kind == NODE_DATA && n->parent->stat.data_length == 0 && n->writers == 0)
        reply_err(w->req, ENOENT);
    else
        reply_entry(w->req, n);
    wait_end(w);
}

struct slice lookup_real_name(const struct node *dir, const char *name)
{
    return map_real_name(slice_str(name), dir->id == NODE_ROOT_ID);
}

struct node *lookup_dir(struct mount *m, uint64_t ino)
{
    struct node *dir = node_find(&m->nodes, ino);
    return dir && node_is_linked(dir) ? dir : NULL;
}

struct node *lookup_known(struct mount *m, struct node *dir, const char *name)
{
    if (dir->id == NODE_ROOT_ID && strcmp(name, ".zabfs") == 0)
        return node_find(&m->nodes, NODE_CONTROL_DIR_ID);
    if (dir->kind == NODE_ZNODE && strcmp(name, ".data") == 0)
        return node_data_file(&m->nodes, dir);
    return node_child(&m->nodes, dir, lookup_real_name(dir, name));
}

static void lookup_in(struct req req, struct node *dir, const char *name)
{
    struct mount *m = req.m;
    struct node *n = lookup_known(m, dir, name);
    if (!n && (dir->listed || dir->life != NODE_LIVE)) {
        reply_none_in(req, dir);
        return;
    }
    if (!n) {
        n = node_add(&m->nodes, dir, lookup_real_name(dir, name));
        n->told = true;
        n->told_mzxid = INT64_MAX; /* the list cannot be read: nothing is told of what is in it */
    }
    fetch_entry(m, n, on_lookup, wait_new(req, n));
}

static bool refuse_stale(struct req req, const struct node *n)
{
    struct mount *m = req.m;
    if (n->kind == NODE_CONTROL_DIR || n->kind == NODE_STATUS || !m->config.stale_error ||
        !mount_is_stale(m))
        return false;
    reply_err(req, EIO);
    return true;
}

static bool is_control_name(const struct node *dir, const char *name)
{
    return dir->id == NODE_ROOT_ID && strcmp(name, ".zabfs") == 0;
}

void req_lookup(struct mount *m, const struct mount_request *q, struct req req)
{
    struct node *dir = node_find(&m->nodes, q->ino);
    if (!dir || !dir->is_dir)
        reply_err(req, dir ? ENOTDIR : ESTALE);
    else if (!is_control_name(dir, q->name) && refuse_stale(req, dir))
        return;
    else if (map_check_name(slice_str(q->name)) == EILSEQ)
        reply_none(req);
    else
        lookup_in(req, dir, q->name);
}

static void forget(struct mount *m, uint64_t ino, uint64_t lookups)
{
    struct node *n = node_find(&m->nodes, ino);
    if (n)
        watch_forget(m, n, lookups);
}

/* When memory is short the kernel forgets very many at once, and a directory after what is in it.
 */
struct forgetting {
    struct work work;
    struct mount *m;
    size_t n, at;
    struct mount_forget list[];
};

static bool forget_some(struct work *w, size_t n)
{
    struct forgetting *f = container_of(w, struct forgetting, work);
    for (; n > 0 && f->at < f->n; n--, f->at++)
        forget(f->m, f->list[f->at].ino, f->list[f->at].lookups);
    if (f->at < f->n)
        return true;
    free(f);
    return false;
}

void req_forget(struct mount *m, const struct mount_request *q, struct req req)
{
    (void)req;
    if (q->n_forgets == 0) {
        forget(m, q->ino, q->lookups);
        return;
    }
    size_t size = q->n_forgets * sizeof(*q->forgets);
    struct forgetting *f = mem_alloc(sizeof(*f) + size);
    *f = (struct forgetting){.m = m, .n = q->n_forgets};
    memcpy(f->list, q->forgets, size);
    work_queue(m, &f->work, forget_some);
}

/* ---- attributes ---- */

/* Whose draft this request is to see: of the descriptor that it came with or, as the kernel does
 * not say that of fstat, of who writes. */
static const struct handle *draft_seen(const struct wait *w)
{
    const struct handle *newest = NULL;
    LIST_FOR_EACH (h, &w->m->drafts, struct handle, drafts) {
        bool mine = h->fh == w->fh || (w->fh == 0 && h->writer > 0 && h->writer == w->req.pid);
        if (h->node == w->n && mine && h->draft.dirty)
            newest = h;
    }
    return newest;
}

static void on_getattr(void *arg, struct node *n, int32_t err)
{
    struct wait *w = arg;
    struct node *asked = w->n;
    if (is_closed_to_us(asked, err))
        err = ZK_OK;
    if (err != ZK_OK && err != ZK_NONODE)
        reply_err(w->req, map_errno(err, false));
    else if (wait_node(w, n) != asked)
        reply_err(w->req, ESTALE); /* another znode has its name now */
    else
        reply_attr_of(w->req, asked, draft_seen(w));
    wait_end(w);
}

void req_getattr(struct mount *m, const struct mount_request *q, struct req req)
{
    struct node *n = node_find(&m->nodes, q->ino);
    if (!n)
        reply_err(req, ESTALE);
    else if (!refuse_stale(req, n)) {
        struct wait *w = wait_new(req, n);
        w->fh = q->fh;
        fetch_attr(m, n, on_getattr, w);
    }
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
    else if ((w->mask & W_OK) && w->m->config.read_only)
        reply_err(w->req, EROFS);
    else
        reply_err(w->req, (w->mask & 7 & ~granted) ? EACCES : 0);
    wait_end(w);
}

void req_access(struct mount *m, const struct mount_request *q, struct req req)
{
    struct node *n = node_find(&m->nodes, q->ino);
    if (!n) {
        reply_err(req, ESTALE);
        return;
    }
    struct wait *w = wait_new(req, n);
    w->mask = q->mask;
    fetch_attr(m, n, on_access, w);
}

/* ---- extended attributes ---- */

static void reply_value(struct req req, const struct buf *value, uint64_t size)
{
    if (size == 0)
        reply_size(req, value->len);
    else if (value->len > size)
        reply_err(req, ERANGE);
    else
        reply_data(req, buf_slice(value));
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

void req_getxattr(struct mount *m, const struct mount_request *q, struct req req)
{
    struct node *n = node_find(&m->nodes, q->ino);
    if (!n) {
        reply_err(req, ESTALE);
        return;
    }
    /* That there are no labels and no POSIX ACLs: ls -l then does not ask for them again. */
    if (strncmp(q->name, "user.", 5) != 0) {
        reply_err(req, EOPNOTSUPP);
        return;
    }
    if (n->kind == NODE_CONTROL_DIR || n->kind == NODE_STATUS) {
        reply_err(req, ENODATA);
        return;
    }
    struct wait *w = wait_new(req, n);
    w->name = mem_strdup(q->name);
    w->size = q->size;
    fetch_attr(m, n, on_getxattr, w);
}

void req_listxattr(struct mount *m, const struct mount_request *q, struct req req)
{
    struct node *n = node_find(&m->nodes, q->ino);
    struct buf names = {0};
    if (n && n->kind != NODE_CONTROL_DIR && n->kind != NODE_STATUS)
        map_xattr_list(&names);
    reply_value(req, &names, q->size);
    buf_close(&names);
}
