/* SPDX-License-Identifier: GPL-3.0-or-later */
/* truncate, chmod, touch, chown. One request may ask for several; they are done one behind the
 * other. What ZooKeeper has no place for (owners, given times) is accepted and ignored, so that
 * cp -p, tar and rsync work. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct setattr {
    struct mount *m;
    struct req req;
    struct node *n;
    struct handle *h;      /* the descriptor it came with, or NULL */
    struct handle *borrow; /* for a truncation by name: a handle of our own */
    unsigned to_set;
    mode_t mode;
    uint64_t size;
    unsigned tries;
    bool fetched;
};

enum {
    TRIES_MAX = 100,
};

static void setattr_next(struct setattr *s);

static void setattr_end(struct setattr *s, int err)
{
    if (err != 0)
        reply_err(s->req, err);
    else
        reply_attr_of(s->req, s->n, s->h && s->h->draft.dirty ? s->h : NULL);
    if (s->borrow)
        handle_free(s->borrow);
    if (s->h)
        handle_unref(s->h);
    node_unref(&s->m->nodes, s->n);
    free(s);
}

/* ---- truncate ---- */

static void on_truncated(void *arg, int err)
{
    struct setattr *s = arg;
    if (err != 0)
        setattr_end(s, err);
    else
        setattr_next(s);
}

static void truncate_draft(struct setattr *s, struct handle *h)
{
    int rc = draft_truncate(&h->draft, s->size, handle_limit(h));
    if (rc < 0) {
        setattr_end(s, -rc);
        return;
    }
    handle_changed(h);
    h->writer = s->req.pid;
    if (h == s->borrow) {
        s->borrow = NULL; /* it goes with its commit */
        h->released = true;
        commit_start(h, &s->req, on_truncated, s);
    } else {
        setattr_next(s);
    }
}

static void on_truncate_base(void *arg, struct node *n, int32_t err)
{
    struct setattr *s = arg;
    struct handle *h = s->h ? s->h : s->borrow;
    struct content *base = h->pinned && !h->draft.append ? h->pinned : s->n->content;
    if (err != ZK_OK)
        setattr_end(s, map_errno(err, true));
    else if ((s->n->kind == NODE_ZNODE && n != s->n) || !base ||
             (s->h && !h->draft.append && base->version != h->draft.base))
        setattr_end(s, ESTALE);
    else {
        if (draft_needs_base_to_truncate(&h->draft, s->size))
            draft_load(&h->draft, base);
        truncate_draft(s, h);
    }
}

/* The handle of the open(O_TRUNC) that this request belongs to: it comes from the same thread,
 * right behind. */
static struct handle *truncating_open(struct setattr *s)
{
    pid_t pid = s->req.pid;
    struct handle *newest = NULL;
    LIST_FOR_EACH (h, &s->m->drafts, struct handle, drafts) {
        if (h->node == s->n && h->opener == pid && h->expect_truncate)
            newest = h;
    }
    return newest;
}

static void on_drained(void *arg, int err)
{
    struct setattr *s = arg;
    if (err != 0) {
        setattr_end(s, err);
        return;
    }
    s->to_set |= MOUNT_SET_SIZE;
    setattr_next(s);
}

static void do_truncate(struct setattr *s)
{
    struct handle *h = s->h;
    s->to_set &= ~(unsigned)MOUNT_SET_SIZE;
    if (!h && s->size == 0)
        h = truncating_open(s);
    if (h && !s->h)
        s->h = handle_ref(h); /* the kernel takes the size that it is answered */
    if (!h) {
        if (s->n->life == NODE_PENDING) {
            setattr_next(s);
            return;
        }
        h = s->borrow = handle_new(s->m, s->n, O_WRONLY, 0);
    }
    if (h->draft.append && h->commit) {
        commit_start(h, NULL, on_drained, s); /* what is cut is what is there by then */
        return;
    }
    if (s->n->life == NODE_PENDING)
        draft_begins(&h->draft);
    if (draft_needs_base_to_truncate(&h->draft, s->size))
        fetch_content(s->m, s->n, on_truncate_base, s);
    else
        truncate_draft(s, h);
}

/* ---- chmod ---- */

static void on_set_acl(void *arg, const struct answer *reply)
{
    struct setattr *s = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_stat stat;
    if (reply->err == ZK_BADVERSION && ++s->tries < TRIES_MAX) {
        s->to_set |= MOUNT_SET_MODE;
        s->fetched = false;
        setattr_next(s);
        return;
    }
    if (reply->err != ZK_OK) {
        setattr_end(s, reply->err == ZK_NOAUTH ? EPERM : map_errno(reply->err, true));
        return;
    }
    zk_stat_read(&in, &stat);
    if (jute_ok(&in) && s->n->life == NODE_LIVE) {
        struct node *z = node_znode(s->n);
        if (pending_waits(s->req))
            z->told_aversion = stat.aversion;
        z->fresh = false; /* the ACL is what the server made of it: read it */
    }
    setattr_next(s);
}

/* What was asked for when it was created was accepted then, enforced or not. */
static bool is_mode_of_create(struct setattr *s)
{
    LIST_FOR_EACH (h, &s->m->drafts, struct handle, drafts) {
        if (h->node == s->n && h->mode != 0 && (h->mode & 0777) == (s->mode & 0777))
            return true;
    }
    return false;
}

static void do_chmod(struct setattr *s)
{
    struct node *z = node_znode(s->n);
    struct buf acl = {0}, path = {0};
    static const char open_acl[] = "\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06"
                                   "anyone";
    struct jute_vector now =
        map_acl_vector(slice_is_null(z->acl) ? slice_of(open_acl, sizeof(open_acl) - 1) : z->acl);
    s->to_set &= ~(unsigned)MOUNT_SET_MODE;
    if (z->life != NODE_LIVE || s->m->config.ignore_modes || is_mode_of_create(s)) {
        setattr_next(s);
        return;
    }
    switch (map_chmod(&now, &s->m->who, z->is_dir, s->mode, &acl)) {
    case MAP_CHMOD_NOTHING:
        setattr_next(s);
        break;
    case MAP_CHMOD_DENIED:
        setattr_end(s, EPERM);
        break;
    case MAP_CHMOD_SET:
        now = map_acl_vector(buf_slice(&acl));
        node_path(z, &path);
        ask_set_acl(s->m, buf_slice(&path), &now, z->stat.aversion, on_set_acl, s);
        break;
    }
    buf_close(&acl);
    buf_close(&path);
}

/* ---- touch ---- */

static void on_touched(void *arg, const struct answer *reply)
{
    struct setattr *s = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_stat stat;
    if (mount_may_retry(s->m, reply->err, INT64_MAX) && ++s->tries < 3) {
        s->to_set |= MOUNT_SET_MTIME_NOW;
        node_znode(s->n)->fresh = false;
        setattr_next(s);
        return;
    }
    /* Another version than the one that was read: somebody else touched it. */
    if (reply->err != ZK_OK && reply->err != ZK_BADVERSION) {
        setattr_end(s, map_errno(reply->err, true));
        return;
    }
    zk_stat_read(&in, &stat);
    if (reply->err == ZK_OK && jute_ok(&in)) {
        struct node *before = node_znode(s->n);
        /* The event that the kernel raises is of a touch: it tells nobody of other data. */
        bool told = pending_waits(s->req) && !(sync_changes(before) & SYNC_DATA);
        struct node *z = know_stat(s->m, before, &stat, before->is_dir);
        if (told)
            sync_data_told(z);
        else
            know_dirty(s->m, z);
    }
    setattr_next(s);
}

static void on_touch_content(void *arg, struct node *n, int32_t err)
{
    struct setattr *s = arg;
    struct node *z = node_znode(s->n);
    (void)n;
    if (err != ZK_OK || !s->n->content) {
        setattr_end(s, err != ZK_OK ? map_errno(err, true) : ESTALE);
        return;
    }
    struct slice data = content_slice(s->n->content);
    struct buf path = {0};
    if (z->is_dir && data.len == 0)
        data = SLICE_NULL;
    node_path(z, &path);
    ask_set(s->m, buf_slice(&path), data, s->n->content->version, on_touched, s);
    buf_close(&path);
}

/* What waits to be written gets the time when it is. */
static bool has_draft(const struct setattr *s)
{
    LIST_FOR_EACH (h, &s->m->drafts, struct handle, drafts) {
        bool mine = h == s->h || (h->writer > 0 && h->writer == s->req.pid);
        if (h->node == s->n && h->draft.dirty && mine)
            return true;
    }
    return false;
}

static void do_touch(struct setattr *s)
{
    s->to_set &= ~(unsigned)MOUNT_SET_MTIME_NOW;
    if (s->n->life == NODE_LIVE && !has_draft(s))
        fetch_content(s->m, s->n, on_touch_content, s);
    else
        setattr_next(s);
}

/* ---- One behind the other ---- */

static void on_attr(void *arg, struct node *n, int32_t err)
{
    struct setattr *s = arg;
    s->fetched = true;
    if (err != ZK_OK)
        setattr_end(s, map_errno(err, true));
    else if (s->n->kind == NODE_ZNODE && n != s->n)
        setattr_end(s, ESTALE);
    else
        setattr_next(s);
}

static void setattr_next(struct setattr *s)
{
    if (s->to_set & MOUNT_SET_SIZE) {
        do_truncate(s);
    } else if (!s->fetched || (s->to_set == 0 && !node_znode(s->n)->fresh && s->tries == 0)) {
        s->tries += s->fetched;
        fetch_attr(s->m, s->n, on_attr, s);
    } else if (s->to_set & MOUNT_SET_MODE) {
        do_chmod(s);
    } else if (s->to_set & MOUNT_SET_MTIME_NOW) {
        do_touch(s);
    } else {
        setattr_end(s, 0);
    }
}

void req_setattr(struct mount *m, const struct mount_request *q, struct req req)
{
    struct node *n = node_find(&m->nodes, q->ino);
    int err = !n ? ESTALE : reply_write_error(m);
    if (n && (n->kind == NODE_CONTROL_DIR || n->kind == NODE_STATUS))
        err = EPERM;
    else if (n && n->is_dir && (q->set & MOUNT_SET_SIZE))
        err = EISDIR;
    if (err != 0) {
        reply_err(req, err);
        return;
    }
    struct handle *h = handle_find(m, q->fh);
    struct setattr *s = mem_zalloc(sizeof(*s));
    *s = (struct setattr){.m = m,
                          .req = req,
                          .n = node_ref(n),
                          .h = h && h->writable ? handle_ref(h) : NULL,
                          .to_set = q->set,
                          .mode = q->mode,
                          .size = q->size};
    setattr_next(s);
}
