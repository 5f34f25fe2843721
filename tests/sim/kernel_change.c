/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What makes, removes and moves names. The directory is locked for all of it, the lookup of the
 * last name and the request included. A name that is to be made, and the target of a rename, is
 * asked for even where it is known; one that is removed or moved is believed as long as it may be.
 */
#include "sim.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>

/* ---- mkdir, mknod ---- */

static int make_here(struct process *p, struct dentry *d, const struct call *c)
{
    struct kernel *k = p->kernel;
    struct inode *dir = d->parent->inode;
    struct pending *a;
    bool is_dir = c->type == CALL_MKDIR;
    uint64_t evictions = k->evictions;
    const struct mount_request r = {.op = is_dir ? MOUNT_MKDIR : MOUNT_MKNOD,
                                    .ino = dir->nodeid,
                                    .name = d->name,
                                    .mode = (is_dir ? S_IFDIR : S_IFREG) | c->mode};
    int rc = queue_ask(k, p, &r, &a);
    if (rc < 0) {
        if (rc == -EEXIST)
            dentry_invalidate(d);
        return rc;
    }
    const struct mount_entry *e = &a->reply.entry;
    if (((e->st.st_mode ^ r.mode) & S_IFMT) != 0) {
        cover_mount(MOUNT_POINT_made_other);
        inode_force_forget(k, e->ino);
        queue_done(a);
        return -EIO;
    }
    struct inode *i = inode_get(k, e, UINT64_MAX, evictions);
    dentry_drop(d);
    struct dentry *is = dentry_splice(d, i);
    if (is)
        dentry_believe(is, e->entry_ms);
    inode_dir_changed(dir);
    queue_done(a);
    notify_name(dir, d->name, IN_CREATE | (is_dir ? IN_ISDIR : 0), 0);
    if (is && is != d)
        dentry_put(is);
    return is ? 0 : -EIO;
}

static int make(struct process *p, struct call *c, int flags)
{
    struct world *w = p->kernel->w;
    struct dentry *dir, *d;
    const char *last;
    int rc = path_parent(p, c->path, flags, &dir, &last);
    if (rc < 0)
        return rc == -EBUSY ? -EEXIST : rc;
    lock_exclusive(w, &dir->inode->lock);
    rc = dir->inode->dead ? -ENOENT : 0;
    if (rc == 0)
        rc = name_lookup(p, dir, last, flags | WALK_EXCL, true, &d);
    if (rc == 0) {
        rc = d->inode ? -EEXIST : make_here(p, d, c);
        dentry_put(d);
    }
    lock_release(w, &dir->inode->lock);
    dentry_put(dir);
    return rc;
}

void call_make(struct process *p, struct call *c)
{
    c->rc = make(p, c, 0);
    if (c->rc == -ESTALE)
        c->rc = make(p, c, WALK_REVAL);
}

/* ---- unlink, rmdir ---- */

static void shrink_below(struct dentry *d)
{
    bool hashed = d->hashed;
    dentry_invalidate(d);
    d->hashed = hashed;
}

static int remove_here(struct process *p, struct dentry *d, bool is_dir)
{
    struct world *w = p->kernel->w;
    struct inode *i = d->inode, *dir = d->parent->inode;
    const struct mount_request r = {
        .op = is_dir ? MOUNT_RMDIR : MOUNT_UNLINK, .ino = dir->nodeid, .name = d->name};
    if (is_dir != inode_is_dir(i))
        return is_dir ? -ENOTDIR : -EISDIR;
    inode_ref(i);
    lock_exclusive(w, &i->lock);
    int rc = queue_ask_plain(p->kernel, p, &r);
    if (rc == 0) {
        inode_dir_changed(dir);
        inode_unlinked(i);
        dentry_expire(d);
        if (is_dir) {
            shrink_below(d);
            i->dead = true;
        }
    } else if (rc == -EINTR || rc == -ENOENT) {
        dentry_invalidate(d);
    }
    lock_release(w, &i->lock);
    if (rc == 0) {
        if (!is_dir)
            notify_inode(i, IN_ATTRIB);
        dentry_delete(d);
        notify_name(dir, d->name, IN_DELETE | (is_dir ? IN_ISDIR : 0), 0);
    }
    inode_put(i);
    return rc;
}

static int remove_name(struct process *p, struct call *c, int flags)
{
    struct world *w = p->kernel->w;
    struct dentry *dir, *d;
    const char *last;
    int rc = path_parent(p, c->path, flags, &dir, &last);
    if (rc < 0)
        return rc;
    lock_exclusive(w, &dir->inode->lock);
    rc = name_lookup(p, dir, last, flags, true, &d);
    if (rc == 0) {
        rc = d->inode ? remove_here(p, d, c->type == CALL_RMDIR) : -ENOENT;
        dentry_put(d);
    }
    lock_release(w, &dir->inode->lock);
    dentry_put(dir);
    return rc;
}

void call_remove(struct process *p, struct call *c)
{
    c->rc = remove_name(p, c, 0);
    if (c->rc == -ESTALE)
        c->rc = remove_name(p, c, WALK_REVAL);
}

/* ---- rename ---- */

struct move {
    struct process *p;
    struct dentry *from_dir, *to_dir;
    struct dentry *from, *to;
    unsigned flags;
};

static bool is_above(const struct dentry *above, const struct dentry *d)
{
    while (d != above && d != d->parent)
        d = d->parent;
    return d == above;
}

static void lock_two(struct world *w, struct inode *a, struct inode *b)
{
    if (a == b)
        b = NULL;
    if (a && b && a->nodeid > b->nodeid) {
        struct inode *c = a;
        a = b;
        b = c;
    }
    if (a)
        lock_exclusive(w, &a->lock);
    if (b)
        lock_exclusive(w, &b->lock);
}

static void unlock_two(struct world *w, struct inode *a, struct inode *b)
{
    if (a)
        lock_release(w, &a->lock);
    if (b && b != a)
        lock_release(w, &b->lock);
}

static void lock_dirs(struct move *m)
{
    struct world *w = m->p->kernel->w;
    struct inode *a = m->from_dir->inode, *b = m->to_dir->inode;
    if (a != b)
        lock_exclusive(w, &m->p->kernel->rename_lock);
    if (a != b && is_above(m->to_dir, m->from_dir)) {
        lock_exclusive(w, &b->lock);
        lock_exclusive(w, &a->lock);
    } else if (a != b && is_above(m->from_dir, m->to_dir)) {
        lock_exclusive(w, &a->lock);
        lock_exclusive(w, &b->lock);
    } else {
        lock_two(w, a, b);
    }
}

static void unlock_dirs(struct move *m)
{
    struct world *w = m->p->kernel->w;
    unlock_two(w, m->from_dir->inode, m->to_dir->inode);
    if (m->from_dir->inode != m->to_dir->inode)
        lock_release(w, &m->p->kernel->rename_lock);
}

static int may_move(const struct move *m)
{
    const struct inode *source = m->from->inode, *target = m->to->inode;
    bool exchange = m->flags & RENAME_EXCHANGE;
    if (!source || (exchange && !target))
        return -ENOENT;
    if ((m->flags & RENAME_NOREPLACE) && target)
        return -EEXIST;
    if (m->from == m->to)
        return 0;
    if (is_above(m->from, m->to))
        return -EINVAL;
    if (is_above(m->to, m->from))
        return exchange ? -EINVAL : -ENOTEMPTY;
    if (!target || exchange)
        return 0;
    if (inode_is_dir(source) != inode_is_dir(target))
        return inode_is_dir(source) ? -ENOTDIR : -EISDIR;
    return 0;
}

static void tell_move(struct kernel *k, struct inode *from, const char *name, struct inode *to,
                      const char *new_name, struct inode *moved, struct inode *target)
{
    uint32_t cookie = ++k->next_cookie, dir = inode_is_dir(moved) ? IN_ISDIR : 0;
    notify_name(from, name, IN_MOVED_FROM | dir, cookie);
    notify_name(to, new_name, IN_MOVED_TO | dir, cookie);
    if (target)
        notify_inode(target, IN_ATTRIB);
    notify_inode(moved, IN_MOVE_SELF);
}

static void moved(struct move *m)
{
    struct kernel *k = m->p->kernel;
    struct inode *from = m->from_dir->inode, *to = m->to_dir->inode;
    struct inode *source = m->from->inode, *target = m->to->inode;
    char *name = mem_strdup(m->from->name), *new_name = mem_strdup(m->to->name);
    bool exchange = m->flags & RENAME_EXCHANGE;
    inode_dir_changed(from);
    if (to != from)
        inode_dir_changed(to);
    inode_invalidate_attr(source);
    if (exchange) {
        inode_invalidate_attr(target);
        dentry_exchange(m->from, m->to);
    } else {
        if (target)
            inode_unlinked(target);
        if (target && inode_is_dir(target)) {
            shrink_below(m->to);
            target->dead = true;
        }
        dentry_move(m->from, m->to);
    }
    tell_move(k, from, name, to, new_name, source, exchange ? NULL : target);
    if (exchange)
        tell_move(k, to, new_name, from, name, target, NULL);
    free(name);
    free(new_name);
}

static int move_here(struct move *m)
{
    struct world *w = m->p->kernel->w;
    int rc = may_move(m);
    struct inode *source = m->from->inode, *target = m->to->inode;
    if (rc < 0 || source == target)
        return rc;
    bool dirs_differ = m->from_dir->inode != m->to_dir->inode;
    struct inode *a = inode_is_dir(source) && !dirs_differ ? NULL : source;
    const struct mount_request r = {.op = MOUNT_RENAME,
                                    .ino = m->from_dir->inode->nodeid,
                                    .name = m->from->name,
                                    .new_ino = m->to_dir->inode->nodeid,
                                    .new_name = m->to->name,
                                    .flags = m->flags};
    inode_ref(source);
    if (target)
        inode_ref(target);
    lock_two(w, a, target);
    rc = queue_ask_plain(m->p->kernel, m->p, &r);
    unlock_two(w, a, target);
    if (rc == 0) {
        moved(m);
    } else if (rc == -EINTR || rc == -ENOENT) {
        dentry_invalidate(m->from);
        if (m->to->inode)
            dentry_invalidate(m->to);
    }
    inode_put(source);
    if (target)
        inode_put(target);
    return rc;
}

static int rename_names(struct move *m, const char *last, const char *new_last, int flags)
{
    int target = m->flags & RENAME_EXCHANGE ? 0 : WALK_TARGET;
    int rc = name_lookup(m->p, m->from_dir, last, flags, true, &m->from);
    if (rc < 0)
        return rc;
    rc = m->from->inode ? 0 : -ENOENT;
    if (rc == 0)
        rc = name_lookup(m->p, m->to_dir, new_last, flags | target, true, &m->to);
    if (rc == 0) {
        rc = move_here(m);
        dentry_put(m->to);
    }
    dentry_put(m->from);
    return rc;
}

static int rename_once(struct process *p, struct call *c, int flags)
{
    struct move m = {.p = p, .flags = (unsigned)c->flags};
    const char *last, *new_last;
    int rc = path_parent(p, c->path, flags, &m.from_dir, &last);
    if (rc < 0)
        return rc;
    rc = path_parent(p, c->path2, flags, &m.to_dir, &new_last);
    if (rc == 0) {
        lock_dirs(&m);
        rc = m.to_dir->inode->dead ? -ENOENT : rename_names(&m, last, new_last, flags);
        unlock_dirs(&m);
        dentry_put(m.to_dir);
    }
    dentry_put(m.from_dir);
    return rc;
}

void call_rename(struct process *p, struct call *c)
{
    c->rc = rename_once(p, c, 0);
    if (c->rc == -ESTALE)
        c->rc = rename_once(p, c, WALK_REVAL);
}
