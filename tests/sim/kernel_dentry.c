/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names. A dentry says what a name in a directory is, or that there is none, for as long as the
 * core has said; behind that the core is asked again, and a name that has another inode now is
 * dropped. Dentries without a user stay until memory is needed (FUSE does not drop expired ones:
 * tried with 6.18), and a directory has only one. */
#include "sim.h"
#include "kernel.h"

#include <errno.h>
#include <sys/inotify.h>

struct dentry *dentry_ref(struct dentry *d)
{
    d->refs++;
    return d;
}

static void take_inode_off(struct dentry *d)
{
    struct inode *i = d->inode;
    if (!i)
        return;
    d->inode = NULL;
    list_remove(&d->of_inode);
    if (i->st.st_nlink == 0)
        notify_inode_gone(i);
    inode_put(i);
}

static void dentry_free(struct dentry *d)
{
    struct dentry *parent = d->parent;
    ensure(list_is_empty(&d->children) && list_is_empty(&d->lookers));
    take_inode_off(d);
    list_remove(&d->of_parent);
    free(d->name);
    free(d);
    if (parent != d)
        dentry_put(parent);
}

void dentry_put(struct dentry *d)
{
    ensure(d->refs > 0);
    if (--d->refs == 0 && !d->hashed)
        dentry_free(d);
}

struct dentry *dentry_new(struct dentry *dir, const char *name)
{
    struct dentry *d = mem_zalloc(sizeof(*d));
    d->name = mem_strdup(name);
    d->refs = 1;
    d->until_ms = -1;
    d->parent = dir ? dentry_ref(dir) : d;
    list_init(&d->children);
    list_init(&d->lookers);
    list_init(&d->of_parent);
    list_init(&d->of_inode);
    if (dir)
        list_append(&dir->children, &d->of_parent);
    return d;
}

struct dentry *dentry_find(struct dentry *dir, const char *name)
{
    LIST_FOR_EACH (d, &dir->children, struct dentry, of_parent) {
        if (d->hashed && !d->looking && strcmp(d->name, name) == 0)
            return d;
    }
    return NULL;
}

void dentry_hash(struct dentry *d, struct inode *i)
{
    ensure(!d->inode);
    d->inode = i;
    if (i)
        list_append(&i->names, &d->of_inode);
    d->hashed = true;
}

void dentry_drop(struct dentry *d)
{
    d->hashed = false;
}

/* Those that nobody uses go, from below. */
static void shrink_children(struct dentry *d)
{
    dentry_ref(d);
    LIST_FOR_EACH_SAFE (child, &d->children, struct dentry, of_parent) {
        dentry_ref(child);
        shrink_children(child);
        if (child->refs == 1)
            child->hashed = false;
        dentry_put(child);
    }
    dentry_put(d);
}

void dentry_invalidate(struct dentry *d)
{
    if (!d->hashed || d == d->parent)
        return;
    d->hashed = false;
    if (d->inode)
        shrink_children(d);
}

void dentry_expire(struct dentry *d)
{
    d->until_ms = -1;
}

void dentry_believe(struct dentry *d, int64_t entry_ms)
{
    struct inode *root = d->inode ? d->inode : d->parent->inode;
    d->until_ms = entry_ms > 0 ? root->kernel->w->now_ms + entry_ms : -1;
}

/* d_delete(): negative if nobody else uses it, else without a place. */
void dentry_delete(struct dentry *d)
{
    if (d->refs == 1)
        take_inode_off(d);
    else
        d->hashed = false;
}

static void set_place(struct dentry *d, struct dentry *parent, const char *name)
{
    struct dentry *before = d->parent;
    char *copy = mem_strdup(name);
    list_remove(&d->of_parent);
    list_append(&parent->children, &d->of_parent);
    d->parent = dentry_ref(parent);
    free(d->name);
    d->name = copy;
    dentry_put(before);
}

/* `from` takes the place of `to`, which is found no more. */
void dentry_move(struct dentry *from, struct dentry *to)
{
    set_place(from, to->parent, to->name);
    from->hashed = true;
    to->hashed = false;
}

void dentry_exchange(struct dentry *a, struct dentry *b)
{
    struct dentry *parent = dentry_ref(a->parent);
    char *name = mem_strdup(a->name);
    set_place(a, b->parent, b->name);
    set_place(b, parent, name);
    free(name);
    dentry_put(parent);
}

static bool is_above(const struct dentry *above, const struct dentry *d)
{
    while (d != above && d != d->parent)
        d = d->parent;
    return d == above;
}

/* d_splice_alias(): `i`, whose reference goes over, is what `d` names. Another dentry is the result
 * where a directory has one already, NULL when the two are in a loop. */
struct dentry *dentry_splice(struct dentry *d, struct inode *i)
{
    if (!i || !inode_is_dir(i) || list_is_empty(&i->names)) {
        dentry_hash(d, i);
        return d;
    }
    struct dentry *alias = LIST_FIRST(&i->names, struct dentry, of_inode);
    if (is_above(alias, d)) {
        inode_put(i);
        return NULL;
    }
    cover_mount(MOUNT_POINT_dir_moved);
    dentry_ref(alias);
    dentry_move(alias, d);
    inode_put(i);
    return alias;
}

void dentry_path(const struct dentry *d, struct buf *out)
{
    if (d == d->parent)
        return;
    dentry_path(d->parent, out);
    buf_printf(out, "%s%s", out->len > 0 ? "/" : "", d->name);
}

/* ---- Several who look the same name up: one asks ---- */

struct looker {
    struct list link;
    struct task *task;
};

static struct dentry *find_looking(struct dentry *dir, const char *name)
{
    LIST_FOR_EACH (d, &dir->children, struct dentry, of_parent) {
        if (d->looking && strcmp(d->name, name) == 0)
            return d;
    }
    return NULL;
}

struct dentry *dentry_begin_lookup(struct dentry *dir, const char *name, bool *mine)
{
    struct world *w = dir->inode->kernel->w;
    *mine = false;
    for (struct dentry *d; (d = find_looking(dir, name));) {
        struct looker me = {.task = task_running()};
        cover_mount(MOUNT_POINT_lookup_shared);
        dentry_ref(d);
        list_append(&d->lookers, &me.link);
        task_sleep(w);
        bool same = d->hashed && d->parent == dir && strcmp(d->name, name) == 0;
        if (same)
            return d;
        dentry_put(d);
        if ((d = dentry_find(dir, name)))
            return dentry_ref(d);
    }
    *mine = true;
    struct dentry *d = dentry_new(dir, name);
    d->looking = true;
    return d;
}

void dentry_end_lookup(struct dentry *d)
{
    struct world *w = d->parent->inode->kernel->w;
    d->looking = false;
    while (!list_is_empty(&d->lookers)) {
        struct looker *l = LIST_FIRST(&d->lookers, struct looker, link);
        list_remove(&l->link);
        task_wake(w, l->task, 0);
    }
}

/* ---- Memory ---- */

static void drop_some(struct kernel *k, struct dentry *d, unsigned one_in)
{
    dentry_ref(d);
    LIST_FOR_EACH_SAFE (child, &d->children, struct dentry, of_parent) {
        dentry_ref(child);
        drop_some(k, child, one_in);
        if (child->refs == 1 && (one_in <= 1 || chance(k->w, one_in)))
            child->hashed = false;
        dentry_put(child);
    }
    dentry_put(d);
}

/* Names that nobody uses, and pages. */
void kernel_drop_caches(struct kernel *k, unsigned one_in)
{
    cover_mount(MOUNT_POINT_drop_caches);
    LIST_FOR_EACH (i, &k->inodes, struct inode, link) {
        if (one_in > 1 && !chance(k->w, one_in))
            continue;
        inode_drop_pages(i);
        i->listing.has_pages = false;
    }
    drop_some(k, k->root, one_in);
}
