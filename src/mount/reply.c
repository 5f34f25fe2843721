/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers: attributes and entries, and for how long the kernel may keep them. For ever is what it
 * is told, unless something about the node is under way: a draft, or an event still to be told. */
#include "core.h"

#include <errno.h>

enum {
    STALE_ERROR_MS = 1000,
};
static const int64_t for_ever_ms = 100000000000; /* three years */

static int64_t timeout_of(const struct mount *m)
{
    return m->config.stale_error ? STALE_ERROR_MS : for_ever_ms;
}

static int64_t attr_timeout(struct mount *m, struct node *n)
{
    const struct node *z = node_znode(n);
    bool stays = z->life == NODE_LIVE && z->fresh && n->writers == 0 && n->injecting == 0 &&
                 n->life == NODE_LIVE;
    return n->kind == NODE_STATUS || !stays ? 0 : MIN(timeout_of(m), acl_age_left(m, z));
}

/* A directory that could be listed, and was not: what changes in it is not noticed. Each lookup of
 * it must come to us, so that it is listed before a watch is set on it. */
static bool is_to_be_listed(const struct node *n)
{
    return n->is_dir && n->kind == NODE_ZNODE && !n->listed && n->too_long == 0 &&
           (n->perms_own & ZK_PERM_READ);
}

static int64_t entry_timeout(struct mount *m, const struct node *n)
{
    bool stays = n->life == NODE_LIVE && n->told && n->injecting == 0 && !is_to_be_listed(n) &&
                 !inject_takes_name(m, n);
    return stays && (n->kind != NODE_DATA || n->writers == 0) ? timeout_of(m) : 0;
}

static void set_time(struct stat *st, int64_t ms)
{
    int64_t rest = ms % 1000;
    st->st_mtim.tv_sec = ms / 1000 - (rest < 0);
    st->st_mtim.tv_nsec = (rest + (rest < 0 ? 1000 : 0)) * 1000000;
    st->st_ctim = st->st_atim = st->st_mtim;
}

void reply_fill(struct mount *m, struct node *n, struct stat *st)
{
    const struct node *z = node_znode(n);
    bool control = n->kind == NODE_CONTROL_DIR || n->kind == NODE_STATUS;
    int64_t mtime_ms = z->life == NODE_PENDING ? m->wall_ms : control ? 0 : z->stat.mtime;
    *st = (struct stat){.st_ino = n->id,
                        .st_mode = map_mode(n->is_dir, z->perms_own, z->perms_world),
                        .st_nlink = node_is_linked(n) ? 1 : 0,
                        .st_uid = m->config.uid,
                        .st_gid = m->config.gid,
                        .st_blksize = 4096};
    if (control)
        st->st_mode = n->is_dir ? S_IFDIR | 0555 : S_IFREG | 0444;
    else if (z->life == NODE_PENDING)
        st->st_mode = S_IFREG | 0666;
    st->st_mode &= ~m->config.umask;
    set_time(st, mtime_ms);
    if (!n->is_dir && !control)
        st->st_size = z->stat.data_length;
    st->st_blocks = (st->st_size + 511) / 512;
}

void reply_entry_fill(struct mount *m, struct node *n, struct mount_entry *e)
{
    *e = (struct mount_entry){
        .ino = n->id, .attr_ms = attr_timeout(m, n), .entry_ms = entry_timeout(m, n)};
    reply_fill(m, n, &e->st);
    n->size_mzxid = node_znode(n)->stat.mzxid;
}

struct req *req_keep(struct req req)
{
    struct req *kept = mem_alloc(sizeof(*kept));
    *kept = req;
    return kept;
}

struct mount_reply *reply_add(struct req req, enum mount_reply_type type)
{
    struct mount_reply *r = arena_alloc(&req.m->fx->arena, sizeof(*r));
    *r = (struct mount_reply){.id = req.id, .op = req.op, .type = type};
    struct mount_effect *e = effect_add(req.m, MOUNT_REPLY);
    e->reply = r;
    e->in_vain = !pending_take(req);
    return r;
}

void reply_give(struct mount *m, struct node *n)
{
    node_hold(&m->nodes, n);
    n->given |= node_is_linked(n); /* else its end is told already, or will be */
    watch_apply(m, n);
}

void reply_entry(struct req req, struct node *n)
{
    reply_entry_fill(req.m, n, &reply_add(req, MOUNT_REPLY_ENTRY)->entry);
    reply_give(req.m, n);
}

void reply_attr_of(struct req req, struct node *n, const struct handle *h)
{
    struct mount_entry *e = &reply_add(req, MOUNT_REPLY_ATTR)->entry;
    reply_entry_fill(req.m, n, e);
    if (!h)
        return;
    n->size_mzxid = -1;
    e->attr_ms = 0;
    e->st.st_size = (off_t)draft_size(&h->draft, (size_t)e->st.st_size);
    e->st.st_blocks = (e->st.st_size + 511) / 512;
    set_time(&e->st, h->changed_wall_ms);
}

void reply_attr(struct req req, struct node *n)
{
    reply_attr_of(req, n, NULL);
}

void reply_none(struct req req)
{
    reply_add(req, MOUNT_REPLY_ENTRY)->entry.entry_ms = timeout_of(req.m);
}

void reply_none_in(struct req req, const struct node *dir)
{
    bool stays = dir->unsettled_below == 0 && !dir->dirty_list;
    reply_add(req, MOUNT_REPLY_ENTRY)->entry.entry_ms = stays ? timeout_of(req.m) : 0;
}

void reply_err(struct req req, int err)
{
    reply_add(req, MOUNT_REPLY_ERR)->err = err;
}

void reply_data(struct req req, struct slice data)
{
    reply_add(req, MOUNT_REPLY_DATA)->data = arena_copy(&req.m->fx->arena, data);
}

void reply_size(struct req req, uint64_t size)
{
    reply_add(req, MOUNT_REPLY_SIZE)->size = size;
}

int reply_write_error(struct mount *m)
{
    return m->config.read_only || mount_is_stale(m) ? EROFS : 0;
}
