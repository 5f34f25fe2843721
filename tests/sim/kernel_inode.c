/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inodes. One lives as long as a name, a watch or a call refers to it, and is forgotten at once
 * behind that, with all the lookups that were counted (FUSE keeps no unused inodes:
 * generic_delete_inode).
 *
 * Attributes have a version of the whole mount's: what was asked for before the last change of
 * the inode is not taken (fuse_change_attributes). */
#include "sim.h"
#include "kernel.h"

#include <errno.h>
#include <sys/inotify.h>

bool inode_is_dir(const struct inode *i)
{
    return S_ISDIR(i->st.st_mode);
}

struct inode *inode_find(struct kernel *k, uint64_t nodeid)
{
    LIST_FOR_EACH (i, &k->inodes, struct inode, link) {
        if (i->nodeid == nodeid && !i->bad)
            return i;
    }
    return NULL;
}

struct inode *inode_ref(struct inode *i)
{
    i->refs++;
    return i;
}

static void forget(struct kernel *k, uint64_t nodeid, uint64_t lookups)
{
    const struct mount_request r = {.op = MOUNT_FORGET, .ino = nodeid, .lookups = lookups};
    cover_mount(MOUNT_POINT_forget);
    queue_send(k, chance(k->w, 4) ? between(k->w, 1, 20) : 0, &r);
}

void inode_put(struct inode *i)
{
    struct kernel *k = i->kernel;
    if (--i->refs > 0)
        return;
    ensure(list_is_empty(&i->names) && list_is_empty(&i->watches));
    list_remove(&i->link);
    if (i->nlookup > 0)
        forget(k, i->nodeid, i->nlookup);
    if (i->st.st_nlink > 0)
        k->evictions++;
    listing_close(i);
    buf_close(&i->pages);
    free(i);
}

/* One lookup more than there is a place for. */
void inode_force_forget(struct kernel *k, uint64_t nodeid)
{
    forget(k, nodeid, 1);
}

/* ---- Attributes ---- */

/* With FUSE_CAP_EXPLICIT_INVAL_DATA another size leaves the pages that are within it, and the last
 * one has zeros behind what was its end. */
static void resize_pages(struct inode *i, size_t size)
{
    size_t len = i->pages.len, page_end = (len + 4095) / 4096 * 4096;
    if (size <= len) {
        i->pages.len = size;
    } else if (size <= page_end) {
        memset(buf_extend(&i->pages, size - len), 0, size - len);
    } else {
        inode_drop_pages(i);
    }
}

static void change_now(struct inode *i, const struct mount_entry *e)
{
    struct kernel *k = i->kernel;
    off_t size = i->st.st_size;
    i->attr_version = ++k->attr_version;
    i->attr_until_ms = e->attr_ms > 0 ? k->w->now_ms + e->attr_ms : -1;
    i->attr_invalid = false;
    i->st = e->st;
    if (!inode_is_dir(i) && i->has_pages && size != i->st.st_size)
        resize_pages(i, (size_t)i->st.st_size);
}

void inode_change(struct inode *i, const struct mount_entry *e, uint64_t version)
{
    if (i->attr_version > version || i->size_unstable) {
        cover_mount(MOUNT_POINT_attr_old);
        return;
    }
    change_now(i, e);
}

void inode_invalidate_attr(struct inode *i)
{
    i->attr_invalid = true;
}

/* A name in it came or went. */
void inode_dir_changed(struct inode *i)
{
    inode_invalidate_attr(i);
    i->iversion++;
}

void inode_unlinked(struct inode *i)
{
    i->attr_version = ++i->kernel->attr_version;
    if (inode_is_dir(i))
        i->st.st_nlink = 0;
    else if (i->st.st_nlink > 0)
        i->st.st_nlink--;
    inode_invalidate_attr(i);
}

void inode_drop_pages(struct inode *i)
{
    i->has_pages = false;
    i->page_drops++;
    buf_reset(&i->pages);
}

static void make_bad(struct inode *i)
{
    sim_trace(i->kernel->w, "%s: inode %" PRIu64 " has another type now: EIO", i->kernel->name,
              i->nodeid);
    cover_mount(MOUNT_POINT_bad_inode);
    i->bad = true;
}

static bool same_type(const struct inode *i, const struct mount_entry *e)
{
    return (i->st.st_mode & S_IFMT) == (e->st.st_mode & S_IFMT);
}

/* An inode whose number has become a file of another type is bad. */
static int check_type(struct inode *i, const struct mount_entry *e)
{
    if (same_type(i, e))
        return 0;
    make_bad(i);
    return -EIO;
}

/* ---- Making ---- */

static struct inode *inode_new(struct kernel *k, const struct mount_entry *e, uint64_t version,
                               uint64_t evictions)
{
    struct inode *i = mem_zalloc(sizeof(*i));
    i->kernel = k;
    i->nodeid = e->ino;
    i->refs = 1;
    i->iversion = 1;
    lock_init(&i->lock);
    list_init(&i->names);
    list_init(&i->watches);
    list_append(&k->inodes, &i->link);
    i->st.st_mode = e->st.st_mode;
    change_now(i, e);
    (void)version;
    if (evictions != k->evictions) /* an older inode of this number may have known better */
        inode_invalidate_attr(i);
    return i;
}

struct inode *inode_get(struct kernel *k, const struct mount_entry *e, uint64_t version,
                        uint64_t evictions)
{
    if (e->ino == 0 || !(S_ISDIR(e->st.st_mode) || S_ISREG(e->st.st_mode)))
        sim_fail(k->w, SIM_BROKEN, "%s: an entry with inode %" PRIu64 " and mode %o", k->name,
                 e->ino, (unsigned)e->st.st_mode);
    struct inode *i = inode_find(k, e->ino);
    if (i && !same_type(i, e)) { /* a stale inode: another takes its number */
        make_bad(i);
        i = NULL;
    }
    if (i) {
        inode_ref(i);
        inode_change(i, e, version);
    } else {
        i = inode_new(k, e, version, evictions);
    }
    i->nlookup++;
    return i;
}

/* ---- Requests about attributes ---- */

/* fstat() comes without a handle too, only SEEK_END with one: tried with 6.18. */
int inode_getattr(struct process *p, struct inode *i, struct file *f, bool cached_will_do)
{
    struct kernel *k = i->kernel;
    if (i->bad)
        return -EIO;
    if (cached_will_do && !i->attr_invalid && k->w->now_ms <= i->attr_until_ms) {
        cover_mount(MOUNT_POINT_attr_cached);
        return 0;
    }
    struct pending *a;
    uint64_t version = k->attr_version;
    const struct mount_request r = {
        .op = MOUNT_GETATTR,
        .ino = i->nodeid,
        .fh = f && !inode_is_dir(i) ? f->opened.fh : 0,
    };
    int rc = queue_ask(k, p, &r, &a);
    if (rc < 0)
        return rc;
    rc = check_type(i, &a->reply.entry);
    if (rc == 0)
        inode_change(i, &a->reply.entry, version);
    queue_done(a);
    return rc;
}

int inode_setattr(struct process *p, struct inode *i, const struct file *f, unsigned set,
                  mode_t mode, uint64_t size)
{
    struct kernel *k = i->kernel;
    struct pending *a;
    bool truncate = set & MOUNT_SET_SIZE;
    const struct mount_request r = {.op = MOUNT_SETATTR,
                                    .ino = i->nodeid,
                                    .set = set,
                                    .mode = mode,
                                    .size = size,
                                    .fh = f ? f->opened.fh : 0};
    if (i->bad)
        return -EIO;
    i->size_unstable = truncate;
    int rc = queue_ask(k, p, &r, &a);
    i->size_unstable = false;
    if (rc < 0)
        return rc;
    rc = check_type(i, &a->reply.entry);
    if (rc == 0) {
        change_now(i, &a->reply.entry);
        if (truncate)
            inode_drop_pages(i);
    }
    queue_done(a);
    return rc;
}
