/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core's replies, as libfuse takes them. */
#include "shell.h"

#include <stdlib.h>
#include <sys/statvfs.h>

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

static struct fuse_entry_param entry_of(const struct mount_entry *e)
{
    return (struct fuse_entry_param){.ino = e->ino,
                                     .generation = 1,
                                     .attr = e->st,
                                     .attr_timeout = seconds(e->attr_ms),
                                     .entry_timeout = seconds(e->entry_ms)};
}

static struct fuse_file_info info_of(const struct mount_opened *o)
{
    struct fuse_file_info fi = {.fh = o->fh,
                                .direct_io = o->direct_io,
                                .keep_cache = o->keep_cache,
                                .cache_readdir = o->cache_dir};
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 11)
    fi.noflush = o->no_flush;
#endif
    return fi;
}

/* ---- What the kernel did not take ---- */

static void forget(struct shell *sh, uint64_t ino)
{
    const struct mount_request q = {.op = MOUNT_FORGET, .ino = ino, .lookups = 1};
    if (ino != 0)
        shell_undo(sh, &q);
}

static void release(struct shell *sh, const struct mount_reply *r)
{
    const struct mount_request q = {.op = r->op == MOUNT_OPENDIR ? MOUNT_RELEASEDIR : MOUNT_RELEASE,
                                    .fh = r->opened.fh,
                                    .abandoned = true};
    shell_undo(sh, &q);
}

/* ---- Replies ---- */

static void reply_entry(struct shell *sh, fuse_req_t req, const struct mount_reply *r)
{
    struct fuse_entry_param e = entry_of(&r->entry);
    if (fuse_reply_entry(req, &e) != 0)
        forget(sh, e.ino);
}

static void reply_open(struct shell *sh, fuse_req_t req, const struct mount_reply *r)
{
    struct fuse_file_info fi = info_of(&r->opened);
    if (fuse_reply_open(req, &fi) != 0)
        release(sh, r);
}

static void reply_create(struct shell *sh, fuse_req_t req, const struct mount_reply *r)
{
    struct fuse_entry_param e = entry_of(&r->entry);
    struct fuse_file_info fi = info_of(&r->opened);
    if (fuse_reply_create(req, &e, &fi) == 0)
        return;
    release(sh, r);
    forget(sh, e.ino);
}

static void reply_dir(struct shell *sh, fuse_req_t req, const struct mount_reply *r)
{
    bool plus = r->op == MOUNT_READDIRPLUS;
    struct buf out = {0};
    for (size_t i = 0; i < r->n_entries; i++) {
        const struct mount_entry *entry = &r->entries[i];
        struct fuse_entry_param e = entry_of(entry);
        size_t size = mount_entry_size(strlen(entry->name), plus);
        char *at = (char *)buf_extend(&out, size);
        if (plus && !entry->held)
            e.ino = 0;
        size_t len =
            plus ? fuse_add_direntry_plus(req, at, size, entry->name, &e, (off_t)entry->next)
                 : fuse_add_direntry(req, at, size, entry->name, &e.attr, (off_t)entry->next);
        ensure(len == size);
    }
    if (fuse_reply_buf(req, (char *)out.data, out.len) != 0) {
        for (size_t i = 0; i < r->n_entries; i++)
            forget(sh, r->entries[i].held ? r->entries[i].ino : 0);
    }
    buf_close(&out);
}

static void reply_attr(fuse_req_t req, const struct mount_reply *r)
{
    fuse_reply_attr(req, &r->entry.st, seconds(r->entry.attr_ms));
}

static void reply_size(fuse_req_t req, const struct mount_reply *r)
{
    if (r->op == MOUNT_WRITE)
        fuse_reply_write(req, r->size);
    else
        fuse_reply_xattr(req, r->size);
}

static void reply_statfs(fuse_req_t req, const struct mount_reply *r)
{
    struct statvfs st = {.f_bsize = r->room.block,
                         .f_frsize = r->room.block,
                         .f_blocks = r->room.blocks,
                         .f_bfree = r->room.free,
                         .f_bavail = r->room.free,
                         .f_files = r->room.names,
                         .f_ffree = r->room.names_free,
                         .f_favail = r->room.names_free,
                         .f_namemax = 255};
    fuse_reply_statfs(req, &st);
}

void fuse_shell_reply(struct shell *sh, const struct mount_reply *r)
{
    fuse_req_t req = (fuse_req_t)(uintptr_t)r->id;
    if (!req)
        return; /* to what was undone */
    switch (r->type) {
    case MOUNT_REPLY_ERR:
        fuse_reply_err(req, r->err);
        break;
    case MOUNT_REPLY_ENTRY:
        reply_entry(sh, req, r);
        break;
    case MOUNT_REPLY_ATTR:
        reply_attr(req, r);
        break;
    case MOUNT_REPLY_OPEN:
        reply_open(sh, req, r);
        break;
    case MOUNT_REPLY_CREATE:
        reply_create(sh, req, r);
        break;
    case MOUNT_REPLY_DATA:
        fuse_reply_buf(req, (const char *)r->data.data, slice_size(r->data));
        break;
    case MOUNT_REPLY_SIZE:
        reply_size(req, r);
        break;
    case MOUNT_REPLY_DIR:
        reply_dir(sh, req, r);
        break;
    case MOUNT_REPLY_STATFS:
        reply_statfs(req, r);
        break;
    }
}
