/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel keeps of a mount, names, attributes, pages and listings, must be what is in the
 * tree once all is quiet: nobody would ask the core again. */
#include "mountpoint.h"

#include <errno.h>

/* A name that is no znode's: .zabfs and .data. */
static bool is_own_name(const char *name)
{
    return name[0] == '.';
}

static bool is_checked(const struct kernel *k)
{
    return checks(k->w, MOUNT_CHECK_cache);
}

/* Servers tell nobody of a change that he may not read. */
static bool may_be_secret(const char *path)
{
    return strncmp(path, "/closed/", 8) == 0;
}

static void check_size(const struct kernel *k, const struct inode *i, const struct znode *z,
                       const char *path)
{
    struct slice data = slice_is_null(znode_data(z)) ? SLICE_EMPTY : znode_data(z);
    if (!i->attr_invalid && i->attr_until_ms >= k->w->now_ms) {
        cover_mount(MOUNT_POINT_check_attr);
        if (i->st.st_size != data.len && is_checked(k))
            sim_fail(k->w, SIM_BROKEN,
                     "%s: the kernel keeps it that %s has %" PRId64 " bytes of %d", k->name, path,
                     (int64_t)i->st.st_size, data.len);
    }
    if (i->has_pages) {
        cover_mount(MOUNT_POINT_check_pages);
        if (!slice_eq(buf_slice(&i->pages), data) && is_checked(k))
            sim_fail(k->w, SIM_BROKEN, "%s: the kernel keeps '%.*s' of %s, where '%.*s' is",
                     k->name, (int)i->pages.len, (char *)i->pages.data, path, SLICE_ARG(data));
    }
}

static void check_listing(const struct kernel *k, const struct inode *i, const struct znode *z,
                          const char *path)
{
    const struct dir_cache *l = &i->listing;
    size_t n = 0;
    if (!listing_is_believed(i))
        return;
    cover_mount(MOUNT_POINT_check_kept_list);
    for (size_t at = 0; at < l->n; at++) {
        struct buf below = {0};
        if (is_own_name(l->entries[at].name))
            continue;
        buf_printf(&below, "%s/%s", path[1] == '\0' ? "" : path, l->entries[at].name);
        if (!tree_find(k->w->shadow, buf_slice(&below)) && is_checked(k))
            sim_fail(k->w, SIM_BROKEN, "%s: the kernel keeps a listing with %.*s, which is gone",
                     k->name, (int)below.len, (char *)below.data);
        buf_close(&below);
        n++;
    }
    if (n != znode_num_children(z) && is_checked(k))
        sim_fail(k->w, SIM_BROKEN, "%s: the kernel keeps a listing of %s with %zu names of %u",
                 k->name, path, n, znode_num_children(z));
}

static void check_children(const struct kernel *k, const struct dentry *dir, const struct znode *z,
                           const char *path);

static void check_name(const struct kernel *k, const struct dentry *d, const char *path)
{
    const struct znode *z = tree_find(k->w->shadow, slice_str(path));
    if (!d->inode) {
        cover_mount(MOUNT_POINT_check_none);
        if (z && is_checked(k))
            sim_fail(k->w, SIM_BROKEN,
                     "%s: the kernel keeps it that there is no %s, and it is there", k->name, path);
        return;
    }
    cover_mount(MOUNT_POINT_check_cache);
    if (!z && is_checked(k))
        sim_fail(k->w, SIM_BROKEN, "%s: the kernel keeps %s, which is gone", k->name, path);
    if (!z)
        return;
    if (inode_is_dir(d->inode) != shown_as_dir(z) && is_checked(k))
        sim_fail(k->w, SIM_BROKEN, "%s: the kernel keeps %s as a %s", k->name, path,
                 inode_is_dir(d->inode) ? "directory" : "file");
    if (inode_is_dir(d->inode))
        check_children(k, d, z, path);
    else if (!may_be_secret(path))
        check_size(k, d->inode, z, path);
}

static void check_children(const struct kernel *k, const struct dentry *dir, const struct znode *z,
                           const char *path)
{
    check_listing(k, dir->inode, z, path);
    LIST_FOR_EACH (d, &dir->children, struct dentry, of_parent) {
        struct buf below = {0};
        if (!d->hashed || d->looking || d->until_ms < k->w->now_ms || is_own_name(d->name) ||
            (d->inode && d->inode->bad))
            continue;
        buf_printf(&below, "%s/%s%c", path[1] == '\0' ? "" : path, d->name, '\0');
        check_name(k, d, (char *)below.data);
        buf_close(&below);
    }
}

void cachecheck_quiet(const struct mountpoint *m)
{
    const struct znode *root = tree_find(m->w->shadow, slice_str("/"));
    check_children(m->kernel, m->kernel->root, root, "/");
}
