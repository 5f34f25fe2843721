/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An open file, with the version that it reads and the draft that it writes; or an open directory.
 */
#include "core.h"

#include <fcntl.h>
#include <stdlib.h>

enum {
    HEADER_SIZE = 8, /* of a request */
};

static struct handle *handle_add(struct mount *m, struct node *n)
{
    struct handle *h = mem_zalloc(sizeof(*h));
    h->mount = m;
    h->node = node_ref(n);
    h->fh = ++m->next_fh;
    list_init(&h->drafts);
    list_init(&h->waiters);
    hmap_insert(&m->handles, &h->by_fh, hash_u64(h->fh));
    return h;
}

struct handle *handle_new(struct mount *m, struct node *n, int flags, pid_t opener)
{
    struct handle *h = handle_add(m, n);
    h->opener = opener;
    h->flags = flags;
    h->writable = (flags & O_ACCMODE) != O_RDONLY;
    draft_init(&h->draft, flags & O_APPEND);
    h->draft.base = node_znode(n)->stat.version;
    if (h->writable) {
        list_append(&m->drafts, &h->drafts);
        n->writers++;
        commit_watch_idle(m);
    }
    return h;
}

struct handle *handle_new_dir(struct mount *m, struct node *n)
{
    struct handle *h = handle_add(m, n);
    h->dir = dir_new(m, n);
    return h;
}

/* The kernel may read this file from its page cache: the size and the pages that it has are of the
 * version that is opened. Where they are older, and are still to be dropped, it comes to us. */
static bool may_use_pages(const struct handle *h)
{
    const struct node *n = h->node;
    int64_t now = h->pinned ? h->pinned->mzxid : 0;
    return h->mount->config.cache == MOUNT_CACHE_PAGES && !h->writable && n->size_mzxid == now &&
           (n->pages_mzxid == 0 || n->pages_mzxid == now);
}

struct mount_opened handle_opened(struct handle *h)
{
    struct mount_opened o = {.fh = h->fh};
    if (h->dir) {
        o.cache_dir = true;
        o.keep_cache = !h->node->list_lacks;
    } else {
        h->paged = o.keep_cache = may_use_pages(h);
        o.direct_io = !h->paged;
        o.no_flush = !h->writable;
        if (!o.keep_cache)
            h->node->pages_mzxid = 0;
    }
    return o;
}

void handle_free(struct handle *h)
{
    struct mount *m = h->mount;
    ensure(!h->commit && list_is_empty(&h->waiters));
    if (h->writable && --h->node->writers == 0 && h->node->life == NODE_PENDING) {
        /* It did not come to be, and watchers have seen it. Another may have been made meanwhile,
         * for which there was no room in the table. */
        know_dirty_list(m, h->node->parent);
        know_gone(m, h->node);
    }
    if (h->dir)
        dir_free(h->dir);
    hmap_remove(&m->handles, &h->by_fh);
    commit_free(h->doubt);
    list_remove(&h->drafts);
    draft_close(&h->draft);
    content_unref(h->pinned);
    node_unref(&m->nodes, h->node);
    free(h);
}

void handle_free_unused(struct handle *h)
{
    if (h->released && h->users == 0 && !h->commit && list_is_empty(&h->waiters))
        handle_free(h);
}

void handle_abandon(struct mount *m, uint64_t fh)
{
    struct handle *h = handle_find(m, fh);
    if (!h)
        return;
    h->draft.dirty = false;
    h->released = true;
    handle_free_unused(h);
}

struct handle *handle_ref(struct handle *h)
{
    h->users++;
    return h;
}

void handle_unref(struct handle *h)
{
    h->users--;
    handle_free_unused(h);
}

struct handle *handle_find(const struct mount *m, uint64_t fh)
{
    HMAP_FOR_EACH_WITH_HASH (h, &m->handles, hash_u64(fh), struct handle, by_fh) {
        if (h->fh == fh && !h->released)
            return h;
    }
    return NULL;
}

/* What is left of the longest packet when all but the data is in it. */
size_t handle_limit(const struct handle *h)
{
    struct mount *m = h->mount;
    struct buf path = {0}, acl = {0}, record = {0};
    node_path(h->node, &path);
    if (h->node->life == NODE_PENDING) {
        bool own = create_acl(m, false, h->mode, &acl);
        struct jute_vector v = map_acl_vector(buf_slice(&acl));
        request_create(&record, m->config.chroot, buf_slice(&path), SLICE_EMPTY, own ? &v : NULL,
                       ZK_PERSISTENT, 0);
    } else {
        request_set(&record, m->config.chroot, buf_slice(&path), SLICE_EMPTY, 0);
    }
    size_t limit = ZK_PACKET_MAX - MIN(HEADER_SIZE + record.len, ZK_PACKET_MAX);
    buf_close(&path);
    buf_close(&acl);
    buf_close(&record);
    return limit;
}

void handle_changed(struct handle *h)
{
    h->changes++;
    h->changed_ms = h->mount->now_ms;
    h->changed_wall_ms = h->mount->wall_ms;
    h->expect_truncate = false;
    h->refused = false;
}
