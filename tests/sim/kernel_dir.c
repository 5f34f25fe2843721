/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listings: fs/fuse/readdir.c. Where the core allows it, what was read from the beginning to the
 * end is kept with the inode, for all who read the directory later. At the beginning of a reading
 * it is dropped if a name came or went since; when its pages are gone, reading goes on with the
 * core, at the offset that was reached. */
#include "sim.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>

static void entries_free(struct dir_cache *l)
{
    for (size_t n = 0; n < l->n; n++)
        free(l->entries[n].name);
    l->n = 0;
}

/* fuse_rdc_reset() */
void listing_reset(struct inode *i)
{
    struct dir_cache *l = &i->listing;
    entries_free(l);
    l->whole = false;
    l->end = 0;
    l->version++;
}

void listing_close(struct inode *i)
{
    entries_free(&i->listing);
    free(i->listing.entries);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static void emit(struct call *c, const char *name, uint64_t ino, uint64_t next)
{
    ROOM_FOR_ONE(c->entries, c->n_entries, c->cap_entries);
    c->entries[c->n_entries++] = (struct call_entry){mem_strdup(name), ino, next};
}

/* ---- From what is kept ---- */

enum from_cache { FROM_CORE, TAKEN };

static bool is_current(const struct inode *i)
{
    return i->listing.iversion == i->iversion && same_time(&i->listing.mtime, &i->st.st_mtim);
}

bool listing_is_believed(const struct inode *i)
{
    return i->listing.whole && i->listing.has_pages && is_current(i);
}

/* Where a stream stands in the kept listing; it begins again if that is another one now. */
static void find_place(struct file *f, const struct dir_cache *l)
{
    if (f->cache_pos != f->pos || f->seen_version != l->version) {
        f->cache_pos = 0;
        f->cache_index = 0;
        f->seen_version = l->version;
    }
}

static enum from_cache read_kept(struct file *f, struct call *c)
{
    struct inode *i = f->inode;
    struct dir_cache *l = &i->listing;
    if (l->whole && f->pos == 0 && !is_current(i))
        listing_reset(i);
    if (!l->whole) {
        if (f->pos == 0 && l->n == 0) {
            l->mtime = i->st.st_mtim;
            l->iversion = i->iversion;
        }
        return FROM_CORE;
    }
    find_place(f, l);
    if (!l->has_pages && l->n > 0) { /* memory was needed */
        cover_mount(MOUNT_POINT_listing_lost);
        listing_reset(i);
        return FROM_CORE;
    }
    cover_mount(MOUNT_POINT_listing_kept);
    size_t room = c->size;
    for (; f->cache_index < l->n; f->cache_index++) {
        const struct dir_entry *e = &l->entries[f->cache_index];
        if (f->cache_pos == f->pos) {
            size_t size = mount_entry_size(strlen(e->name), false);
            if (size > room)
                break;
            room -= size;
            emit(c, e->name, e->ino, e->next);
            f->pos = e->next;
        }
        f->cache_pos = e->next;
    }
    return TAKEN;
}

/* ---- From the core ---- */

/* An entry goes to what is kept only behind the one before it. */
static void keep(struct inode *i, const struct mount_entry *e, uint64_t offset)
{
    struct dir_cache *l = &i->listing;
    if (l->whole || offset != l->end)
        return;
    ROOM_FOR_ONE(l->entries, l->n, l->cap);
    l->entries[l->n++] = (struct dir_entry){
        .name = mem_strdup(e->name), .ino = e->ino, .offset = offset, .next = e->next};
    l->end = e->next;
    l->has_pages = true;
}

/* fuse_direntplus_link(): what counts as a lookup makes a name. */
static int link_entry(struct process *p, struct dentry *dir, const struct mount_entry *e,
                      uint64_t version, uint64_t evictions)
{
    struct kernel *k = p->kernel;
    bool mine;
    struct dentry *d = dentry_find(dir, e->name);
    if (d) {
        dentry_ref(d);
        bool same = d->inode && d->inode->nodeid == e->ino;
        if (same && ((d->inode->st.st_mode ^ e->st.st_mode) & S_IFMT) == 0 && !d->inode->bad) {
            d->inode->nlookup++;
            inode_change(d->inode, e, version);
            dentry_believe(d, e->entry_ms);
            dentry_put(d);
            return 0;
        }
        cover_mount(MOUNT_POINT_plus_other);
        if (same)
            d->inode->bad = true;
        dentry_invalidate(d);
        dentry_put(d);
    }
    d = dentry_begin_lookup(dir, e->name, &mine);
    if (!mine) { /* somebody else has looked it up meanwhile */
        dentry_put(d);
        return -EAGAIN;
    }
    struct dentry *is = dentry_splice(d, inode_get(k, e, version, evictions));
    if (is)
        dentry_believe(is, e->entry_ms);
    dentry_end_lookup(d);
    if (is && is != d)
        dentry_put(is);
    dentry_put(d);
    return 0;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* All entries of a reply are linked and kept, also those that the caller has no room for. */
static void take_entries(struct process *p, struct file *f, struct call *c, struct pending *a,
                         uint64_t version, uint64_t evictions)
{
    uint64_t offset = f->pos, emitted_to = f->pos;
    size_t room = c->size;
    bool over = false;
    for (size_t n = 0; n < a->reply.n_entries; n++) {
        const struct mount_entry *e = &a->reply.entries[n];
        size_t size = mount_entry_size(strlen(e->name), false);
        if (f->opened.cache_dir)
            keep(f->inode, e, offset);
        over = over || size > room;
        if (!over) {
            room -= size;
            emit(c, e->name, e->st.st_ino, e->next);
            emitted_to = e->next;
        }
        offset = e->next;
        if (!e->held || e->ino == 0 || is_dots(e->name))
            continue;
        cover_mount(MOUNT_POINT_plus);
        if (link_entry(p, f->dentry, e, version, evictions) < 0)
            inode_force_forget(p->kernel, e->ino);
    }
    f->pos = emitted_to;
}

/* The sizes of entries as they go over the wire must fit into what was asked for. */
static void check_size(struct kernel *k, const struct mount_request *r, const struct pending *a)
{
    size_t size = 0;
    for (size_t n = 0; n < a->reply.n_entries; n++)
        size += mount_entry_size(strlen(a->reply.entries[n].name), r->op == MOUNT_READDIRPLUS);
    if (size > r->size)
        sim_fail(k->w, SIM_BROKEN, "%s: %zu bytes of entries to a %s of %" PRIu64, k->name, size,
                 mount_op_name(r->op), r->size);
}

static int read_core(struct process *p, struct file *f, struct call *c)
{
    struct kernel *k = p->kernel;
    struct inode *i = f->inode;
    struct pending *a;
    uint64_t version = k->attr_version, evictions = k->evictions;
    const struct mount_request r = {.op = MOUNT_READDIRPLUS,
                                    .ino = i->nodeid,
                                    .fh = f->opened.fh,
                                    .offset = f->pos,
                                    .size = MAX(c->size, k->dirbuf_max)};
    int rc = queue_ask(k, p, &r, &a);
    if (rc < 0)
        return rc;
    check_size(k, &r, a);
    if (a->reply.n_entries == 0 && f->opened.cache_dir && !i->listing.whole &&
        i->listing.end == f->pos)
        i->listing.whole = true;
    take_entries(p, f, c, a, version, evictions);
    queue_done(a);
    return 0;
}

/* With the inode's lock shared: two may list at once, one stream only one. */
void call_getdents(struct process *p, struct call *c, struct file *f)
{
    struct world *w = p->kernel->w;
    if (!inode_is_dir(f->inode)) {
        c->rc = -ENOTDIR;
        return;
    }
    lock_exclusive(w, &f->pos_lock);
    lock_shared(w, &f->inode->lock);
    c->rc = f->inode->dead ? -ENOENT : 0;
    enum from_cache from = f->opened.cache_dir && c->rc == 0 ? read_kept(f, c) : FROM_CORE;
    if (c->rc == 0 && from == FROM_CORE)
        c->rc = read_core(p, f, c);
    lock_release(w, &f->inode->lock);
    lock_release(w, &f->pos_lock);
    if (c->rc == 0) {
        c->rc = (int64_t)c->n_entries;
        notify_dentry(f->dentry, IN_ACCESS);
    }
}
