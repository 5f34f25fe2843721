/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An open file: the version that it reads, and the draft that it writes. */
#include "mount.h"

#include <fcntl.h>
#include <stdlib.h>

enum {
    /* Of a create with two entries of ACL; what is left of a packet is path and data. */
    PACKET_OVERHEAD = 512,
};

struct handle *handle_new(struct mount *m, struct node *n, struct fuse_file_info *fi, pid_t opener)
{
    struct handle *h = mem_zalloc(sizeof(*h));
    *h = (struct handle){.mount = m, .node = node_ref(n), .opener = opener, .flags = fi->flags};
    h->writable = (fi->flags & O_ACCMODE) != O_RDONLY;
    draft_init(&h->draft, fi->flags & O_APPEND);
    h->draft.base = node_znode(n)->stat.version;
    list_init(&h->drafts);
    list_init(&h->waiters);
    if (h->writable) {
        list_append(&m->drafts, &h->drafts);
        n->writers++;
        commit_watch_idle(m);
    }
    fi->fh = (uintptr_t)h;
    fi->direct_io = m->opt.cache == CACHE_VERSIONS || h->writable;
    fi->keep_cache = !fi->direct_io;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 11)
    fi->noflush = !h->writable;
#endif
    return h;
}

void handle_free(struct handle *h)
{
    struct mount *m = h->mount;
    ensure(!h->commit && list_is_empty(&h->waiters));
    if (h->writable)
        h->node->writers--;
    list_remove(&h->drafts);
    draft_close(&h->draft);
    content_unref(h->pinned);
    node_unref(&m->nodes, h->node);
    free(h);
}

struct handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct handle *)(uintptr_t)fi->fh;
}

size_t handle_limit(const struct handle *h)
{
    struct buf path = {0};
    node_path(h->node, &path);
    size_t limit = ZK_PACKET_MAX - PACKET_OVERHEAD - MIN(path.len, ZK_PACKET_MAX / 2);
    buf_close(&path);
    return limit;
}

void handle_changed(struct handle *h)
{
    h->changes++;
    h->changed_ms = mount_now_ms(h->mount);
    h->expect_truncate = false;
}
