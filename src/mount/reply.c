/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers: attributes and entries, and for how long the kernel may keep them. For ever is what it
 * is told, unless something about the node is under way: a draft, or an event still to be told. */
#include "mount.h"

#include <errno.h>

static const double for_ever = 1e8; /* seconds: three years */

static double timeout_of(const struct mount *m)
{
    return m->opt.stale_error ? 1.0 : for_ever;
}

static double attr_timeout(struct mount *m, struct node *n)
{
    const struct node *z = node_znode(n);
    bool stays = z->life == NODE_LIVE && z->fresh && n->writers == 0 && n->injecting == 0 &&
                 n->life == NODE_LIVE;
    return n->kind == NODE_STATUS || !stays ? 0 : timeout_of(m);
}

static double entry_timeout(struct mount *m, const struct node *n)
{
    bool stays = n->life == NODE_LIVE && n->told && n->injecting == 0;
    return stays && (n->kind != NODE_DATA || n->writers == 0) ? timeout_of(m) : 0;
}

void reply_fill(struct mount *m, struct node *n, struct stat *st)
{
    const struct node *z = node_znode(n);
    bool control = n->kind == NODE_CONTROL_DIR || n->kind == NODE_STATUS;
    *st = (struct stat){.st_ino = n->id,
                        .st_mode = map_mode(n->is_dir, z->perms_own, z->perms_world),
                        .st_nlink = node_is_linked(n) ? 1 : 0,
                        .st_uid = m->opt.uid,
                        .st_gid = m->opt.gid,
                        .st_blksize = 4096};
    if (control) {
        st->st_mode = n->is_dir ? S_IFDIR | 0555 : S_IFREG | 0444;
    } else if (z->life == NODE_PENDING) {
        st->st_mode = S_IFREG | 0666;
        st->st_mtim.tv_sec = time(NULL);
    } else {
        st->st_mtim.tv_sec = z->stat.mtime / 1000;
        st->st_mtim.tv_nsec = z->stat.mtime % 1000 * 1000000;
    }
    st->st_ctim = st->st_atim = st->st_mtim;
    if (!n->is_dir && !control)
        st->st_size = z->stat.data_length;
    st->st_blocks = (st->st_size + 511) / 512;
}

void reply_entry_param(struct mount *m, struct node *n, struct fuse_entry_param *e)
{
    *e = (struct fuse_entry_param){.ino = n->id,
                                   .generation = 1,
                                   .attr_timeout = attr_timeout(m, n),
                                   .entry_timeout = entry_timeout(m, n)};
    reply_fill(m, n, &e->attr);
}

/* The kernel has it now, and every name of it counts. */
void reply_entry(struct mount *m, fuse_req_t req, struct node *n)
{
    struct fuse_entry_param e;
    reply_entry_param(m, n, &e);
    n->lookups++;
    watch_apply(m, n);
    if (fuse_reply_entry(req, &e) != 0)
        watch_forget(m, n, 1);
}

void reply_attr(struct mount *m, fuse_req_t req, struct node *n)
{
    struct stat st;
    reply_fill(m, n, &st);
    fuse_reply_attr(req, &st, attr_timeout(m, n));
}

void reply_none(struct mount *m, fuse_req_t req)
{
    struct fuse_entry_param e = {.entry_timeout = timeout_of(m)};
    fuse_reply_entry(req, &e);
}

void reply_err(fuse_req_t req, int err)
{
    fuse_reply_err(req, err);
}

int reply_write_error(struct mount *m)
{
    return m->opt.read_only || mount_is_stale(m) ? EROFS : 0;
}
