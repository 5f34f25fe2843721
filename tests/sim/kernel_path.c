/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking names up: one step of a path behind the other, each from the cache or asked for. */
#include "sim.h"
#include "kernel.h"

#include <errno.h>

/* A name that is not believed any more, or must not be, is asked for again: fuse_dentry_revalidate.
 * 1: it is still what it was; 0: it is not; or a negative errno. */
int name_revalidate(struct process *p, struct dentry *d, int flags)
{
    struct kernel *k = p->kernel;
    struct inode *i = d->inode;
    struct pending *a;
    if (i && i->bad)
        return 0;
    if (k->w->now_ms <= d->until_ms && flags == 0) {
        cover_mount(i ? MOUNT_POINT_name_cached : MOUNT_POINT_none_cached);
        return 1;
    }
    if (!i)
        return 0;
    uint64_t version = k->attr_version;
    const struct mount_request r = {
        .op = MOUNT_LOOKUP, .ino = d->parent->inode->nodeid, .name = d->name};
    cover_mount(MOUNT_POINT_revalidate);
    inode_ref(i);
    int rc = queue_ask(k, p, &r, &a);
    const struct mount_entry *e = rc < 0 ? NULL : &a->reply.entry;
    if (rc == -EINTR || rc == -ENOTCONN) {
        inode_put(i);
        return rc;
    }
    bool same = e && e->ino == i->nodeid;
    if (e && e->ino != 0 && !same)
        inode_force_forget(k, e->ino);
    if (same)
        i->nlookup++;
    if (same && ((i->st.st_mode ^ e->st.st_mode) & S_IFMT) == 0) {
        inode_change(i, e, version);
        dentry_believe(d, e->entry_ms);
        rc = 1;
    } else {
        cover_mount(MOUNT_POINT_name_stale);
        rc = 0;
    }
    queue_done(a);
    inode_put(i);
    return rc;
}

/* The LOOKUP of a dentry that is being looked up. Its reference goes over to *found. */
int name_ask(struct process *p, struct dentry *d, struct dentry **found)
{
    struct kernel *k = p->kernel;
    struct pending *a;
    uint64_t version = k->attr_version, evictions = k->evictions;
    const struct mount_request r = {
        .op = MOUNT_LOOKUP, .ino = d->parent->inode->nodeid, .name = d->name};
    int rc = queue_ask(k, p, &r, &a);
    struct dentry *is = d;
    if (rc == -ENOENT) {
        dentry_splice(d, NULL);
    } else if (rc == 0) {
        const struct mount_entry *e = &a->reply.entry;
        struct inode *i = e->ino != 0 ? inode_get(k, e, version, evictions) : NULL;
        is = dentry_splice(d, i);
        if (is)
            dentry_believe(is, e->entry_ms);
        else
            rc = -EIO;
    }
    queue_done(a);
    dentry_end_lookup(d);
    if (rc < 0 && rc != -ENOENT) {
        dentry_put(d);
        return rc;
    }
    if (is != d)
        dentry_put(d);
    *found = is;
    return 0;
}

/* From the cache: *out NULL if it has to be asked for. */
static int name_cached(struct process *p, struct dentry *dir, const char *name, int flags,
                       struct dentry **out)
{
    struct dentry *d = dentry_find(dir, name);
    *out = NULL;
    if (!d)
        return 0;
    dentry_ref(d);
    int rc = name_revalidate(p, d, flags);
    if (rc > 0) {
        *out = d;
        return 0;
    }
    if (rc == 0)
        dentry_invalidate(d);
    dentry_put(d);
    return rc;
}

int name_lookup(struct process *p, struct dentry *dir, const char *name, int flags, bool locked,
                struct dentry **out)
{
    struct world *w = p->kernel->w;
    struct inode *i = dir->inode;
    bool mine;
    int rc = name_cached(p, dir, name, flags, out);
    if (rc < 0 || *out)
        return rc;
    if (!locked)
        lock_shared(w, &i->lock);
    rc = i->dead ? -ENOENT : i->bad ? -EIO : 0;
    if (rc == 0) {
        struct dentry *d = dentry_find(dir, name); /* meanwhile */
        if (d && name_revalidate(p, dentry_ref(d), flags) == 1) {
            *out = d;
        } else {
            if (d) {
                dentry_invalidate(d);
                dentry_put(d);
            }
            d = dentry_begin_lookup(dir, name, &mine);
            if (mine)
                rc = name_ask(p, d, out);
            else
                *out = d;
        }
    }
    if (!locked)
        lock_release(w, &i->lock);
    return rc;
}

/* ---- Paths ---- */

/* The next name of a path; false at its end. */
static bool next_name(const char **path, char name[256])
{
    while (**path == '/')
        (*path)++;
    size_t len = strcspn(*path, "/");
    if (len == 0)
        return false;
    snprintf(name, 256, "%.*s", (int)len, *path);
    *path += len;
    while (**path == '/')
        (*path)++;
    return true;
}

static int step(struct process *p, struct dentry **at, const char *name, int flags)
{
    struct dentry *next = NULL;
    int rc = (*at)->inode && !inode_is_dir((*at)->inode) ? -ENOTDIR : 0;
    if (rc == 0)
        rc = name_lookup(p, *at, name, flags, false, &next);
    if (rc == 0 && next->inode && next->inode->bad)
        rc = -EIO;
    dentry_put(*at);
    *at = NULL;
    if (rc < 0) {
        if (next)
            dentry_put(next);
        return rc;
    }
    if (!next->inode) {
        dentry_put(next);
        return -ENOENT;
    }
    *at = next;
    return 0;
}

int path_parent(struct process *p, const char *path, int flags, struct dentry **dir,
                const char **last)
{
    char name[256];
    const char *slash = strrchr(path, '/');
    struct dentry *at = dentry_ref(p->kernel->root);
    *last = slash ? slash + 1 : path;
    int rc = **last == '\0' ? -EBUSY : 0;
    while (rc == 0 && slash && path < slash && next_name(&path, name))
        rc = step(p, &at, name, flags & WALK_REVAL);
    if (rc == 0 && !inode_is_dir(at->inode))
        rc = -ENOTDIR;
    if (rc < 0 && at)
        dentry_put(at);
    *dir = rc < 0 ? NULL : at;
    return rc;
}

int path_walk(struct process *p, const char *path, int flags, struct dentry **out)
{
    char name[256];
    struct dentry *at = dentry_ref(p->kernel->root);
    int rc = 0;
    while (rc == 0 && next_name(&path, name))
        rc = step(p, &at, name, flags & WALK_REVAL);
    *out = rc < 0 ? NULL : at;
    return rc;
}
