/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rename: one multi. A new name is created with the same data and ACL, a name that is there is set,
 * and the old one is deleted, if it still has the version that was copied. So nobody ever sees
 * both, neither, or an empty file. */
#include "core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE (1 << 1)
#endif

struct rename {
    struct mount *m;
    struct req req;
    struct node *a;
    struct node *b; /* what has the new name, or NULL */
    struct node *to_dir;
    char *to_name;
    unsigned flags;
    bool replace;
    bool other_read;         /* for an exchange */
    struct content *moved_a; /* as it was sent */
    struct content *moved_b; /* the same, in an exchange; or what was checked */
    unsigned place;          /* of `a`: with the name that was asked for */
    unsigned tries;
    int64_t deadline_ms;
};

enum {
    TRIES_MAX = 20,
};

static void rename_begin(struct rename *r);

static void rename_end(struct rename *r, int err)
{
    struct nodes *t = &r->m->nodes;
    reply_err(r->req, err);
    node_unref(t, r->a);
    if (r->b)
        node_unref(t, r->b);
    node_unref(t, r->to_dir);
    content_unref(r->moved_a);
    content_unref(r->moved_b);
    free(r->to_name);
    free(r);
}

static void to_path(const struct rename *r, struct buf *path)
{
    node_path(r->to_dir, path);
    if (path->len > 1)
        buf_append(path, "/", 1);
    buf_append(path, r->to_name, strlen(r->to_name));
}

static void forget_name(struct rename *r)
{
    if (r->m->closed)
        return;
    struct mount_effect *e = effect_add(r->m, MOUNT_INVAL_ENTRY);
    e->inval.ino = r->to_dir->id;
    e->inval.name = arena_str(&r->m->fx->arena, r->to_name);
    know_dirty_list(r->m, r->to_dir);
}

/* As if another machine had made it: what is there is read again, and told. */
static void seen_from_outside(struct rename *r)
{
    know_dirty_list(r->m, r->a->parent);
    know_dirty_list(r->m, r->to_dir);
    know_dirty(r->m, r->a);
    if (r->b)
        know_dirty(r->m, r->b);
}

/* Events and lists may have told of it, or of what came after it, before the answer did. */
static bool is_overtaken(const struct rename *r)
{
    if (r->flags & RENAME_EXCHANGE)
        return !node_is_linked(r->b) || node_is_below(r->a, r->b) || node_is_below(r->b, r->a);
    const struct node *to = node_child(&r->m->nodes, r->to_dir, slice_str(r->to_name));
    return !node_is_linked(r->to_dir) || node_is_below(r->to_dir, r->a) ||
           (to && to != r->a && node_is_below(r->a, to));
}

static void rename_landed(struct rename *r, int64_t zxid)
{
    struct mount *m = r->m;
    if (!node_is_linked(r->a))
        forget_name(r); /* the kernel gives it to a node that is gone */
    else if (is_overtaken(r))
        know_dirty(m, r->a);
    else if (!pending_waits(r->req))
        seen_from_outside(r); /* the kernel knows nothing of it */
    else if (r->flags & RENAME_EXCHANGE)
        know_exchanged(m, r->a, r->b, zxid);
    else {
        know_renamed(m, r->a, r->to_dir, slice_str(r->to_name), zxid);
        if (r->a->lookups == 0) { /* what the kernel had, and has moved, was another */
            forget_name(r);
            r->a->told = false;
        }
    }
    rename_end(r, 0);
}

/* Who has it open for writing goes on from what it is under its new name: the same bytes, in
 * another znode. */
static void rebase(struct mount *m, const struct node *n, const struct content *moved,
                   const struct zk_stat *now)
{
    LIST_FOR_EACH (h, &m->drafts, struct handle, drafts) {
        if (h->node != n || h->draft.base != moved->version)
            continue;
        h->draft.base = now->version;
        if (h->pinned && h->pinned->version == moved->version) {
            content_unref(h->pinned);
            h->pinned = content_new(content_slice(moved), now);
        }
    }
}

static void multi_landed(struct rename *r, const struct answer *reply)
{
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_stat first, second;
    int32_t op, err;
    bool read = request_multi_next(&in, &op, &err, &first);
    if (read && (r->flags & RENAME_EXCHANGE)) {
        if (request_multi_next(&in, &op, &err, &second)) {
            rebase(r->m, r->a, r->moved_a, &second);
            rebase(r->m, r->b, r->moved_b, &first);
        }
    } else if (read) {
        if (op == ZK_OP_check)
            first.version = r->moved_b->version;
        first.mzxid = reply->zxid;
        rebase(r->m, r->a, r->moved_a, &first);
    }
    rename_landed(r, reply->zxid);
}

/* ---- After a lost connection ---- */

static void again(struct rename *r)
{
    if (++r->tries >= TRIES_MAX || r->m->now_ms > r->deadline_ms)
        rename_end(r, EIO);
    else
        rename_begin(r);
}

/* The old name is gone. If the new one has what was moved, it was: whoever did it. */
static void on_verify_new(void *arg, const struct answer *reply)
{
    struct rename *r = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_get_data_response get = {.data = SLICE_EMPTY};
    if (reply->err != ZK_OK) {
        rename_end(r, reply->err == ZK_NONODE ? ENOENT : map_errno_unknown(reply->err));
        return;
    }
    zk_get_data_response_read(&in, &get);
    struct slice sent = content_slice(r->a->content);
    bool same = r->a->content && slice_size(get.data) == slice_size(sent) &&
                slice_starts_with(get.data, sent);
    if (jute_ok(&in) && same) {
        rebase(r->m, r->a, r->moved_a, &get.stat);
        rename_landed(r, get.stat.mzxid);
    } else {
        rename_end(r, EIO);
    }
}

static void on_verify_old(void *arg, const struct answer *reply)
{
    struct rename *r = arg;
    if (reply->err == ZK_NONODE) {
        struct buf path = {0};
        to_path(r, &path);
        ask_get(r->m, buf_slice(&path), on_verify_new, r);
        buf_close(&path);
    } else if (reply->err == ZK_OK) {
        again(r);
    } else {
        rename_end(r, map_errno_unknown(reply->err));
    }
}

static void verify(struct rename *r)
{
    struct buf path = {0};
    node_path(r->a, &path);
    ask_sync(r->m, buf_slice(&path), NULL, NULL); /* what is on its way has landed by then */
    ask_exists(r->m, buf_slice(&path), on_verify_old, r);
    buf_close(&path);
}

/* ---- The multi ---- */

static void on_multi(void *arg, const struct answer *reply)
{
    struct rename *r = arg;
    switch (reply->err) {
    case ZK_OK:
        multi_landed(r, reply);
        break;
    case ZK_CONNECTIONLOSS:
    case ZK_SESSIONEXPIRED:
        if (mount_may_retry(r->m, reply->err, r->deadline_ms) && !(r->flags & RENAME_EXCHANGE))
            verify(r);
        else
            rename_end(r, map_errno(reply->err, true));
        break;
    case ZK_NODEEXISTS:
        if (r->flags & RENAME_NOREPLACE) {
            rename_end(r, EEXIST);
            break;
        }
        r->replace = true;
        again(r);
        break;
    case ZK_NONODE: /* the old one: reading it again will say so */
        r->replace = false;
        again(r);
        break;
    case ZK_BADVERSION:
        again(r);
        break;
    default:
        rename_end(r, map_errno(reply->err, true));
    }
}

/* What is replaced has the same content: then nothing happens to it. */
static bool is_unchanged(const struct rename *r)
{
    return r->m->config.skip_unchanged && r->other_read && r->b->content &&
           slice_eq(content_slice(r->a->content), content_slice(r->b->content));
}

static void keep_content(struct content **kept, struct content *c)
{
    content_ref(c);
    content_unref(*kept);
    *kept = c;
}

static void send_multi(struct rename *r)
{
    struct request_multi multi;
    struct buf from = {0}, to = {0};
    struct content *a = r->a->content;
    struct jute_vector acl = map_acl_vector(r->a->acl);
    node_path(r->a, &from);
    to_path(r, &to);
    request_multi_begin(&multi, r->m->config.chroot);
    keep_content(&r->moved_a, a);
    if (r->flags & RENAME_EXCHANGE) {
        struct content *b = r->b->content;
        keep_content(&r->moved_b, b);
        request_multi_set(&multi, buf_slice(&from), content_slice(b), a->version);
        request_multi_set(&multi, buf_slice(&to), content_slice(a), b->version);
    } else {
        if (r->replace && is_unchanged(r)) {
            keep_content(&r->moved_b, r->b->content);
            request_multi_check(&multi, buf_slice(&to), r->moved_b->version);
        } else if (r->replace) {
            request_multi_set(&multi, buf_slice(&to), content_slice(a), -1);
        } else {
            request_multi_create(&multi, buf_slice(&to), content_slice(a),
                                 slice_is_null(r->a->acl) ? NULL : &acl, ZK_PERSISTENT);
        }
        request_multi_delete(&multi, buf_slice(&from), a->version);
    }
    ask_multi(r->m, &multi, on_multi, r);
    buf_close(&from);
    buf_close(&to);
}

/* Does it take what the other name has? */
static bool wants_other(const struct rename *r)
{
    bool compare = r->m->config.skip_unchanged && r->replace && r->b && r->b->life == NODE_LIVE &&
                   !r->b->is_dir;
    return compare || (r->flags & RENAME_EXCHANGE);
}

static void on_content(void *arg, struct node *n, int32_t err)
{
    struct rename *r = arg;
    struct node *wanted = r->other_read ? r->b : r->a;
    if (err != ZK_OK) {
        rename_end(r, map_errno(err, true));
    } else if (n != wanted || !n->content) {
        rename_end(r, ESTALE);
    } else if (n->is_dir || n->stat.ephemeral_owner != 0) {
        rename_end(r, EXDEV); /* mv copies */
    } else if (wants_other(r) && !r->other_read) {
        r->other_read = true;
        fetch_data(r->m, r->b, on_content, r);
    } else {
        send_multi(r);
    }
}

static void on_moved(void *arg, int err)
{
    struct rename *r = arg;
    if (err != 0)
        rename_end(r, err);
    else
        rename_landed(r, r->m->last_zxid);
}

static void rename_begin(struct rename *r)
{
    r->other_read = false;
    if (r->a->place != r->place) {
        rename_end(r, ENOENT); /* what had the name has another by now */
        return;
    }
    if (!r->a->is_dir) {
        fetch_data(r->m, r->a, on_content, r);
        return;
    }
    if (r->flags & RENAME_EXCHANGE) {
        rename_end(r, EXDEV);
        return;
    }
    struct buf path = {0};
    to_path(r, &path);
    movedir_start(r->m, r->a, buf_slice(&path), r->replace, on_moved, r);
    buf_close(&path);
}

/* ---- The beginning ---- */

static void on_drafts(void *arg, int err)
{
    struct rename *r = arg;
    if (err != 0)
        rename_end(r, err);
    else
        rename_begin(r);
}

static void on_attr(void *arg, struct node *n, int32_t err)
{
    struct rename *r = arg;
    if (err != ZK_OK)
        rename_end(r, map_errno(err, true));
    else if (n != r->a)
        rename_end(r, ESTALE);
    else
        commit_all(r->m, r->a, on_drafts, r);
}

static int rename_error(struct mount *m, const struct node *a, const struct node *b,
                        const struct node *to_dir, const char *to_name, unsigned flags)
{
    if (!a)
        return ENOENT;
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return EINVAL;
    if (a->kind != NODE_ZNODE || (b && b->kind != NODE_ZNODE) || to_dir->kind != NODE_ZNODE)
        return EPERM;
    if ((flags & RENAME_NOREPLACE) && b && b->life != NODE_PENDING)
        return EEXIST;
    if ((flags & RENAME_EXCHANGE) && !b)
        return ENOENT;
    if (node_is_below(to_dir, a))
        return EINVAL;
    if (b && node_is_below(a, b))
        return ENOTEMPTY;
    if (!to_dir->is_dir)
        return ENOTDIR;
    if (!(flags & RENAME_EXCHANGE) && b && b->is_dir &&
        (b->stat.num_children > 0 || b->stat.data_length > 0))
        return ENOTEMPTY;
    int err = reply_write_error(m);
    return err != 0 ? err : map_check_name(slice_str(to_name));
}

void req_rename(struct mount *m, const struct mount_request *q, struct req req)
{
    if (strcmp(q->name, ".data") == 0 || strcmp(q->new_name, ".data") == 0) {
        reply_err(req, EXDEV);
        return;
    }
    struct node *dir = lookup_dir(m, q->ino), *to_dir = lookup_dir(m, q->new_ino);
    struct node *a = dir ? lookup_known(m, dir, q->name) : NULL;
    struct node *b = to_dir ? lookup_known(m, to_dir, q->new_name) : NULL;
    bool same = a && a == b;
    int err = !dir || !to_dir ? ESTALE
              : same          ? 0
                              : rename_error(m, a, b, to_dir, q->new_name, q->flags);
    if (err != 0 || same) {
        reply_err(req, err);
        return;
    }
    struct rename *r = mem_zalloc(sizeof(*r));
    *r = (struct rename){.m = m,
                         .req = req,
                         .a = node_ref(a),
                         .b = b ? node_ref(b) : NULL,
                         .to_dir = node_ref(to_dir),
                         .to_name = slice_dup_str(lookup_real_name(to_dir, q->new_name)),
                         .flags = q->flags,
                         .place = a->place,
                         .replace = b && b->life != NODE_PENDING};
    r->deadline_ms = m->now_ms + m->config.timeo_ms;
    fetch_attr(m, a, on_attr, r);
}
