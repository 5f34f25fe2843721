/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open(): the name is looked up and created under the directory's lock, the rest is not. Of
 * O_TRUNC the core hears behind the OPEN, by a SETATTR without a handle, since it does not want
 * FUSE_CAP_ATOMIC_O_TRUNC; behind a CREATE there is none. */
#include "sim.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>

/* ---- Files ---- */

static struct file *file_new(struct process *p, struct dentry *d, int flags,
                             const struct mount_opened *opened)
{
    struct kernel *k = p->kernel;
    struct file *f = mem_zalloc(sizeof(*f));
    f->serial = ++k->next_serial;
    f->dentry = dentry_ref(d);
    f->inode = inode_ref(d->inode);
    f->refs = 1;
    f->flags = flags;
    f->opened = *opened;
    f->opener = p->pid;
    lock_init(&f->pos_lock);
    list_append(&k->files, &f->link);
    return f;
}

struct file *file_ref(struct file *f)
{
    f->refs++;
    return f;
}

bool file_is_written(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_RDONLY;
}

/* The last reference: CLOSE is raised now, and RELEASE comes behind whatever is under way. */
void file_put(struct file *f)
{
    struct kernel *k = f->inode->kernel;
    if (--f->refs > 0)
        return;
    bool dir = inode_is_dir(f->inode);
    const struct mount_request r = {.op = dir ? MOUNT_RELEASEDIR : MOUNT_RELEASE,
                                    .ino = f->inode->nodeid,
                                    .fh = f->opened.fh,
                                    .open_flags = f->flags};
    notify_dentry(f->dentry, file_is_written(f) ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
    queue_send(k, chance(k->w, 3) ? between(k->w, 1, 30) : 0, &r);
    list_remove(&f->link);
    dentry_put(f->dentry);
    inode_put(f->inode);
    free(f);
}

/* close() of one descriptor, by whomever. */
int file_close(struct process *p, struct file *f)
{
    int rc = 0;
    if (!inode_is_dir(f->inode) && !f->opened.no_flush && !f->inode->bad) {
        const struct mount_request r = {
            .op = MOUNT_FLUSH, .ino = f->inode->nodeid, .fh = f->opened.fh};
        rc = queue_ask_plain(p->kernel, p, &r);
    }
    file_put(f);
    return rc;
}

/* ---- OPEN ---- */

/* The reply may have come too late for somebody. */
static int do_open(struct process *p, struct dentry *d, int flags, struct file **out)
{
    struct kernel *k = p->kernel;
    struct inode *i = d->inode;
    struct pending *a;
    bool dir = inode_is_dir(i);
    const struct mount_request r = {.op = dir ? MOUNT_OPENDIR : MOUNT_OPEN,
                                    .ino = i->nodeid,
                                    .open_flags = flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC)};
    int rc = queue_ask(k, p, &r, &a);
    if (rc < 0)
        return rc;
    *out = file_new(p, d, flags, &a->reply.opened);
    queue_done(a);
    if (!(*out)->opened.keep_cache || (*out)->opened.direct_io) {
        inode_drop_pages(i);
        if (dir)
            i->listing.has_pages = false;
    }
    notify_dentry(d, IN_OPEN);
    return 0;
}

static int open_found(struct process *p, struct dentry *d, int flags, struct file **out)
{
    struct inode *i = d->inode;
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
    if ((flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if (inode_is_dir(i) && (writes || (flags & O_CREAT)))
        return -EISDIR;
    if ((flags & O_DIRECTORY) && !inode_is_dir(i))
        return -ENOTDIR;
    if (i->bad)
        return -EIO;
    int rc = do_open(p, d, flags, out);
    if (rc < 0 || !(flags & O_TRUNC) || inode_is_dir(i))
        return rc;
    rc = file_truncate(p, d, NULL, 0);
    if (rc < 0) { /* the file goes again, without a FLUSH */
        file_put(*out);
        *out = NULL;
    }
    return rc;
}

/* ---- CREATE ---- */

/* `d` is negative, or was not looked up; its reference goes over. */
static int do_create(struct process *p, struct dentry *d, int flags, mode_t mode, struct file **out)
{
    struct kernel *k = p->kernel;
    struct inode *dir = d->parent->inode;
    struct pending *a;
    uint64_t evictions = k->evictions;
    int without = O_NOCTTY | (flags & O_EXCL ? O_TRUNC : 0);
    const struct mount_request r = {.op = MOUNT_CREATE,
                                    .ino = dir->nodeid,
                                    .name = d->name,
                                    .mode = S_IFREG | mode,
                                    .open_flags = flags & ~without};
    int rc = queue_ask(k, p, &r, &a);
    if (rc < 0) {
        if (rc == -EEXIST)
            dentry_invalidate(d);
        dentry_put(d);
        return rc;
    }
    const struct mount_entry *e = &a->reply.entry;
    struct inode *i = inode_get(k, e, UINT64_MAX, evictions);
    if (!S_ISREG(i->st.st_mode))
        sim_fail(k->w, SIM_BROKEN, "%s: CREATE of %s gives what is no file", k->name, d->name);
    dentry_hash(d, i);
    dentry_believe(d, e->entry_ms);
    inode_dir_changed(dir);
    *out = file_new(p, d, flags, &a->reply.opened);
    queue_done(a);
    if (!(*out)->opened.keep_cache)
        inode_drop_pages(i);
    notify_name(dir, d->name, IN_CREATE, 0);
    notify_dentry(d, IN_OPEN);
    dentry_put(d);
    return 0;
}

/* The last name, where it may have to be made. A file in *out, or a dentry in *found. */
static int create_last(struct process *p, struct dentry *dir, const char *last,
                       const struct call *c, int flags, struct file **out, struct dentry **found)
{
    struct world *w = p->kernel->w;
    struct dentry *d = dentry_find(dir, last);
    bool excl = c->flags & O_EXCL;
    if (d && d->inode && !excl) { /* a name that is believed needs no lock */
        int rc = name_revalidate(p, dentry_ref(d), flags);
        *found = d;
        if (rc > 0)
            return 0;
        *found = NULL;
        if (rc == 0)
            dentry_invalidate(d);
        dentry_put(d);
        if (rc < 0)
            return rc;
    }
    lock_exclusive(w, &dir->inode->lock);
    int rc = dir->inode->dead ? -ENOENT : 0;
    if (rc == 0)
        rc = name_lookup(p, dir, last, flags | (excl ? WALK_EXCL : 0), true, &d);
    if (rc == 0 && !d->inode)
        rc = do_create(p, d, c->flags, c->mode, out);
    else if (rc == 0)
        *found = d;
    lock_release(w, &dir->inode->lock);
    return rc;
}

static int try_open(struct process *p, struct call *c, int flags, struct file **out)
{
    struct dentry *dir, *found = NULL;
    const char *last;
    int rc;
    *out = NULL;
    if (c->flags & O_CREAT) {
        rc = path_parent(p, c->path, flags, &dir, &last);
        if (rc < 0)
            return rc == -EBUSY ? -EISDIR : rc;
        rc = create_last(p, dir, last, c, flags, out, &found);
        dentry_put(dir);
    } else {
        rc = path_walk(p, c->path, flags, &found);
    }
    if (rc == 0 && found)
        rc = open_found(p, found, c->flags, out);
    if (found)
        dentry_put(found);
    return rc;
}

static int free_fd(const struct process *p)
{
    int fd = 0;
    while (fd < KERNEL_FDS && p->fds[fd])
        fd++;
    return fd < KERNEL_FDS ? fd : -EMFILE;
}

void call_open(struct process *p, struct call *c)
{
    struct file *f;
    int fd = free_fd(p);
    bool unclear = (c->flags & O_CREAT) && (c->flags & O_DIRECTORY); /* since Linux 6.4 */
    c->rc = fd < 0 ? fd : unclear ? -EINVAL : try_open(p, c, 0, &f);
    if (c->rc == -ESTALE) {
        cover_mount(MOUNT_POINT_estale);
        c->rc = try_open(p, c, WALK_REVAL, &f);
    }
    if (c->rc < 0)
        return;
    fd = free_fd(p);
    p->fds[fd] = f;
    p->cloexec[fd] = c->flags & O_CLOEXEC;
    c->rc = fd;
}
