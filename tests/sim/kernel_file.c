/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading, writing, seeking and truncating. What is opened with direct_io goes to the core as it is
 * asked for, in pieces; else there are pages, which belong to the inode and are shared by all who
 * have it open. A write goes to the core in any case, under the inode's lock. */
#include "sim.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

/* ---- read ---- */

/* So many bytes at an offset, until a piece is short. */
static int64_t read_pieces(struct process *p, struct file *f, uint64_t offset, uint64_t size,
                           struct buf *out)
{
    struct kernel *k = p->kernel;
    uint64_t got = 0;
    while (got < size) {
        struct pending *a;
        uint64_t piece = MIN(size - got, k->io_max);
        const struct mount_request r = {.op = MOUNT_READ,
                                        .ino = f->inode->nodeid,
                                        .fh = f->opened.fh,
                                        .offset = offset + got,
                                        .size = piece};
        int rc = queue_ask(k, p, &r, &a);
        if (rc < 0)
            return got > 0 ? (int64_t)got : rc;
        size_t len = slice_size(a->reply.data);
        if (len > piece)
            sim_fail(k->w, SIM_BROKEN, "%s: %zu bytes to a READ of %" PRIu64, k->name, len, piece);
        buf_append(out, a->reply.data.data, len);
        queue_done(a);
        got += len;
        if (len < piece)
            break;
    }
    return (int64_t)got;
}

/* All pages at once, as the size of the inode is known: readahead, more or less. A page is locked
 * while it is read: who drops the pages meanwhile drops this one too, after it. */
static int fill_pages(struct process *p, struct file *f)
{
    struct inode *i = f->inode;
    struct buf all = {0};
    if (i->has_pages)
        return 0;
    uint64_t size = (uint64_t)i->st.st_size, drops = i->page_drops;
    int64_t got = size > 0 ? read_pieces(p, f, 0, size, &all) : 0;
    if (got >= 0 && !i->has_pages && (uint64_t)i->st.st_size == size && i->page_drops == drops) {
        buf_reset(&i->pages);
        buf_append(&i->pages, all.data, all.len);
        if (size > (uint64_t)got)
            memset(buf_extend(&i->pages, size - (uint64_t)got), 0, size - (uint64_t)got);
        i->has_pages = true;
    }
    buf_close(&all);
    return got < 0 ? (int)got : 0;
}

static int64_t read_pages(struct process *p, struct file *f, uint64_t offset, uint64_t size,
                          struct buf *out)
{
    struct inode *i = f->inode;
    int rc = 0;
    do {
        if (offset + size > (uint64_t)i->st.st_size) /* where it ends is asked for, if need be */
            rc = inode_getattr(p, i, f, true);
        if (rc == 0)
            rc = fill_pages(p, f);
        if (rc < 0)
            return rc;
    } while (!i->has_pages);
    size_t from = MIN(offset, i->pages.len), n = MIN(size, i->pages.len - from);
    if (n > 0)
        buf_append(out, i->pages.data + from, n);
    return (int64_t)n;
}

void call_read(struct process *p, struct call *c, struct file *f)
{
    struct world *w = p->kernel->w;
    bool own = c->offset < 0;
    if (inode_is_dir(f->inode) || (f->flags & O_ACCMODE) == O_WRONLY) {
        c->rc = inode_is_dir(f->inode) ? -EISDIR : -EBADF;
        return;
    }
    if (f->inode->bad) {
        c->rc = -EIO;
        return;
    }
    if (own)
        lock_exclusive(w, &f->pos_lock);
    uint64_t at = own ? f->pos : (uint64_t)c->offset;
    c->rc = f->opened.direct_io ? read_pieces(p, f, at, c->size, &c->data)
                                : read_pages(p, f, at, c->size, &c->data);
    if (own && c->rc > 0)
        f->pos += (uint64_t)c->rc;
    if (own)
        lock_release(w, &f->pos_lock);
    if (c->rc >= 0)
        notify_dentry(f->dentry, IN_ACCESS);
}

/* ---- write ---- */

/* fuse_write_update_attr(): the size that is known grows, and is not believed any more. */
static void written(struct inode *i, uint64_t end)
{
    i->attr_version = ++i->kernel->attr_version;
    if ((uint64_t)i->st.st_size < end)
        i->st.st_size = (off_t)end;
    inode_invalidate_attr(i);
}

static int64_t write_pieces(struct process *p, struct file *f, uint64_t offset, struct slice data)
{
    struct kernel *k = p->kernel;
    uint64_t size = slice_size(data), done = 0;
    int rc = 0;
    while (done < size && rc == 0) {
        struct pending *a;
        uint64_t piece = MIN(size - done, k->io_max);
        const struct mount_request r = {.op = MOUNT_WRITE,
                                        .ino = f->inode->nodeid,
                                        .fh = f->opened.fh,
                                        .offset = offset + done,
                                        .data = slice_of(data.data + done, piece)};
        rc = queue_ask(k, p, &r, &a);
        if (rc < 0)
            break;
        uint64_t n = a->reply.size;
        queue_done(a);
        if (n > piece || n == 0)
            sim_fail(k->w, SIM_BROKEN, "%s: %" PRIu64 " bytes of %" PRIu64 " are written", k->name,
                     n, piece);
        done += n;
        rc = n < piece ? -EIO : 0;
    }
    if (done > 0)
        written(f->inode, offset + done);
    return done > 0 ? (int64_t)done : rc;
}

void call_write(struct process *p, struct call *c, struct file *f)
{
    struct world *w = p->kernel->w;
    bool own = c->offset < 0;
    if (!file_is_written(f) || f->inode->bad) {
        c->rc = file_is_written(f) ? -EIO : -EBADF;
        return;
    }
    if (own)
        lock_exclusive(w, &f->pos_lock);
    lock_exclusive(w, &f->inode->lock);
    uint64_t at = own ? f->pos : (uint64_t)c->offset;
    if (f->flags & O_APPEND)
        at = (uint64_t)f->inode->st.st_size;
    c->rc = write_pieces(p, f, at, buf_slice(&c->data));
    if (c->rc > 0)
        inode_drop_pages(f->inode);
    lock_release(w, &f->inode->lock);
    c->offset = (int64_t)at; /* where it went, for the checks */
    if (own && c->rc > 0)
        f->pos = at + (uint64_t)c->rc;
    if (own)
        lock_release(w, &f->pos_lock);
    if (c->rc > 0)
        notify_dentry(f->dentry, IN_MODIFY);
}

/* ---- The rest ---- */

void call_lseek(struct process *p, struct call *c, struct file *f)
{
    struct world *w = p->kernel->w;
    lock_exclusive(w, &f->pos_lock);
    int64_t base = c->whence == SEEK_CUR ? (int64_t)f->pos : 0;
    c->rc = 0;
    if (c->whence == SEEK_END && !inode_is_dir(f->inode)) {
        lock_exclusive(w, &f->inode->lock);
        c->rc = inode_getattr(p, f->inode, f, true);
        base = (int64_t)f->inode->st.st_size;
        lock_release(w, &f->inode->lock);
    }
    if (c->rc == 0 && base + c->offset < 0)
        c->rc = -EINVAL;
    if (c->rc == 0) {
        f->pos = (uint64_t)(base + c->offset);
        c->rc = (int64_t)f->pos;
    }
    lock_release(w, &f->pos_lock);
}

void call_fsync(struct process *p, struct call *c, struct file *f)
{
    struct world *w = p->kernel->w;
    const struct mount_request r = {.op = MOUNT_FSYNC, .ino = f->inode->nodeid, .fh = f->opened.fh};
    if (inode_is_dir(f->inode) || f->inode->bad) {
        c->rc = f->inode->bad ? -EIO : 0;
        return;
    }
    lock_exclusive(w, &f->inode->lock);
    c->rc = queue_ask_plain(p->kernel, p, &r);
    lock_release(w, &f->inode->lock);
}

/* By a handle, by name, or behind open(O_TRUNC): the last two without a handle. */
int file_truncate(struct process *p, struct dentry *d, const struct file *f, uint64_t size)
{
    struct inode *i = d->inode;
    struct world *w = p->kernel->w;
    lock_exclusive(w, &i->lock);
    int rc = inode_setattr(p, i, f, MOUNT_SET_SIZE, 0, size);
    lock_release(w, &i->lock);
    if (rc == 0)
        notify_dentry(d, IN_MODIFY);
    return rc;
}

void call_ftruncate(struct process *p, struct call *c, struct file *f)
{
    if (inode_is_dir(f->inode) || !(f->flags & (O_WRONLY | O_RDWR)))
        c->rc = -EINVAL;
    else
        c->rc = file_truncate(p, f->dentry, f, c->size);
}
