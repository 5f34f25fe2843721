/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the server said goes into the model here, and what follows from it: nodes that are others
 * than they were, content that is old, watches that are wanted. */
#include "core.h"

#include <stdlib.h>

void know_dirty(struct mount *m, struct node *n)
{
    n->fresh = false;
    if (!list_is_empty(&n->dirty))
        return;
    list_append(&m->dirty, &n->dirty);
    m->n_dirty++;
    node_ref(n);
    node_unsettle(n);
    round_schedule(m);
}

void know_dirty_list(struct mount *m, struct node *dir)
{
    dir->dirty_list = true;
    know_dirty(m, dir);
}

/* The directory that is mounted is not there: that must not look like an empty one. */
static void know_no_root(struct mount *m, struct node *root)
{
    LIST_FOR_EACH_SAFE (child, &root->children, struct node, siblings) {
        if (child->kind == NODE_ZNODE)
            know_gone(m, child);
    }
    if (m->mounted && !m->closed) /* the listing that the kernel keeps */
        effect_add(m, MOUNT_INVAL_INODE)->inval.ino = root->id;
    root->dirty_list = true;
    root->fresh = false;
}

void know_gone(struct mount *m, struct node *n)
{
    if (!node_is_linked(n))
        return;
    if (!n->parent) {
        know_no_root(m, n);
        return;
    }
    node_ref(n);
    LIST_FOR_EACH_SAFE (child, &n->children, struct node, siblings)
        know_gone(m, child);
    watch_end(m, n);
    /* Nobody can read any more what it had last: it is as long as what is known of it. */
    if (n->content)
        n->stat.data_length = (int32_t)n->content->len;
    if (n->life == NODE_PENDING)
        n->told = true; /* the open has told of it */
    if (n->given)
        know_dirty(m, n);
    node_remove(&m->nodes, n);
    node_unref(&m->nodes, n);
}

static void forget_told(struct node *n)
{
    n->told = n->given = false;
    LIST_FOR_EACH (child, &n->children, struct node, siblings)
        forget_told(child);
}

void know_gone_untold(struct mount *m, struct node *n)
{
    forget_told(n);
    know_gone(m, n);
}

struct node *know_place(struct mount *m, struct node *n)
{
    if (node_is_linked(n))
        return n;
    struct node *dir = know_place(m, n->parent);
    struct node *now = node_child(&m->nodes, dir, slice_str(n->name));
    if (!now) {
        now = node_add(&m->nodes, dir, slice_str(n->name));
        know_dirty(m, now);
    }
    return now;
}

static struct node *leaf_below(struct node *n)
{
    while (!list_is_empty(&n->children))
        n = LIST_FIRST(&n->children, struct node, siblings);
    return n;
}

bool know_gone_below(struct mount *m, struct node *dir, size_t *n)
{
    struct node *leaf;
    for (; (leaf = leaf_below(dir)) != dir; (*n)--) {
        if (*n == 0)
            return false;
        know_gone(m, leaf);
    }
    return true;
}

/* The same name, another znode: the old one is gone, the new one has not been told of. */
static struct node *replace(struct mount *m, struct node *n, bool untold)
{
    struct node *parent = node_ref(n->parent);
    char *name = mem_strdup(n->name);
    uint64_t slot = n->slot;
    if (untold)
        know_gone_untold(m, n);
    else
        know_gone(m, n);
    struct node *other = node_add(&m->nodes, parent, slice_str(name));
    other->slot = slot;
    free(name);
    know_dirty(m, other);
    node_unref(&m->nodes, parent);
    return other;
}

void know_other(struct mount *m, struct node *n)
{
    replace(m, n, true);
}

bool know_is_another(const struct node *n, const struct zk_stat *stat, bool is_dir)
{
    if (!n->parent)
        return false;
    bool kind_is_known = n->life != NODE_NAMED || n->lookups > 0 || n->stat.czxid != 0;
    if (n->is_dir != is_dir && kind_is_known)
        return true;
    if (n->life == NODE_NAMED)
        return n->told && stat->czxid > n->told_mzxid;
    return n->life == NODE_LIVE && n->stat.czxid != stat->czxid;
}

struct node *know_stat(struct mount *m, struct node *n, const struct zk_stat *stat, bool is_dir)
{
    if (!node_is_linked(n))
        return n;
    if (know_is_another(n, stat, is_dir))
        n = replace(m, n, false);
    if (n->life == NODE_PENDING) {
        n->told = true; /* the open that creates it has told */
        if (n->parent->list_lacks && m->mounted && !m->closed)
            effect_add(m, MOUNT_INVAL_INODE)->inval.ino = n->parent->id;
    }
    n->life = NODE_LIVE;
    n->is_dir = is_dir || !n->parent;
    n->stat = *stat;
    /* No server's numbers: the kernel takes a size below zero for a broken mount. */
    n->stat.data_length = MAX(stat->data_length, 0);
    n->stat.num_children = MAX(stat->num_children, 0);
    if (n->told_aversion < 0)
        n->told_aversion = stat->aversion;
    watch_apply(m, n);
    n->fresh = node_is_watched(n); /* it stays true as long as events come */
    return n;
}

static bool is_open_acl(const struct jute_vector *acl)
{
    static const char open_acl[] = "\0\0\0\x1f\0\0\0\x05world\0\0\0\x06"
                                   "anyone";
    return acl->count == 1 && slice_eq(acl->bytes, slice_of(open_acl, sizeof(open_acl) - 1));
}

/* What is not ours to read any more is not kept: the server decides at the next read. */
static void drop_contents(struct mount *m, struct node *n)
{
    node_drop_content(&m->nodes, n);
    if (n->data_file)
        node_drop_content(&m->nodes, n->data_file);
}

void know_closed(struct mount *m, struct node *n)
{
    bool news = !n->closed && n->life == NODE_LIVE;
    if (n->life == NODE_NAMED && !n->told) /* of what was made after this it is told apart */
        n->told_mzxid = m->last_zxid;
    drop_contents(m, n);
    n->perms_own = n->perms_world = 0;
    n->closed = true;
    n->acl_ms = m->now_ms;
    list_remove(&n->by_acl);
    list_append(&m->nodes.by_acl, &n->by_acl);
    if (news && n->told && (node_is_held(n) || (n->parent && node_is_held(n->parent))))
        inject_push(m, MOUNT_INJECT_ATTRIB, n, NULL, NULL, NULL);
}

void know_acl(struct mount *m, struct node *n, const struct jute_vector *acl)
{
    free((void *)n->acl.data);
    n->acl = SLICE_NULL;
    n->acl_version = n->stat.aversion;
    n->acl_ms = m->now_ms;
    n->closed = false;
    list_remove(&n->by_acl);
    list_append(&m->nodes.by_acl, &n->by_acl);
    map_acl_perms(acl, &m->who, &n->perms_own, &n->perms_world);
    if (!(n->perms_own & ZK_PERM_READ))
        drop_contents(m, n);
    if (sync_changes(n) & SYNC_ACL)
        know_dirty(m, n);
    if (is_open_acl(acl))
        return;
    struct buf b = {0};
    jute_write_vector(&b, acl);
    n->acl = buf_slice(&b); /* the node's now */
}

void know_too_long(struct mount *m, struct node *dir, int32_t bytes)
{
    struct buf path = {0};
    node_mount_path(dir, &path);
    effect_log(m, LOG_LEVEL_WARN, "the list of %.*s has %d bytes, more than -o maxreply= takes",
               SLICE_ARG(buf_slice(&path)), bytes);
    buf_close(&path);
    dir->too_long = MAX(dir->stat.num_children, 1);
    dir->dirty_list = false;
    watch_unlist(m, dir);
    watch_apply(m, dir);
}

static void drop_watches_below(struct mount *m, struct node *n)
{
    watch_end(m, n);
    LIST_FOR_EACH (child, &n->children, struct node, siblings)
        drop_watches_below(m, child);
}

/* The same nodes are other znodes now, which were not watched yet: compare them once more. An
 * answer that is under way is about their old path. */
static void renew_below(struct mount *m, struct node *n, int64_t zxid)
{
    n->place++;
    n->life = n->life == NODE_LIVE ? NODE_NAMED : n->life;
    n->told_mzxid = zxid;
    n->told_aversion = -1;
    watch_apply(m, n);
    if (n->listed)
        know_dirty_list(m, n);
    else
        know_dirty(m, n);
    LIST_FOR_EACH (child, &n->children, struct node, siblings)
        renew_below(m, child, zxid);
}

void know_renamed(struct mount *m, struct node *from, struct node *parent, struct slice name,
                  int64_t zxid)
{
    struct node *to = node_child(&m->nodes, parent, name);
    if (to && to != from) {
        to->removed_here = true;
        from->slot = to->slot;
        know_gone_untold(m, to);
    }
    drop_watches_below(m, from);
    node_move(&m->nodes, from, parent, name);
    from->made_here = true;
    renew_below(m, from, zxid);
}

void know_exchanged(struct mount *m, struct node *a, struct node *b, int64_t zxid)
{
    drop_watches_below(m, a);
    drop_watches_below(m, b);
    node_swap(&m->nodes, a, b);
    renew_below(m, a, zxid);
    renew_below(m, b, zxid);
}

void know_revived(struct mount *m, struct node *from, struct node *to, int64_t zxid)
{
    struct node *parent = node_ref(to->parent);
    struct content *content = to->content ? content_ref(to->content) : NULL;
    node_ref(to);
    LIST_FOR_EACH_SAFE (child, &to->children, struct node, siblings) {
        char *name = mem_strdup(child->name);
        node_move(&m->nodes, child, from, slice_str(name));
        child->told = false; /* unless it takes the place of one that was in `from` (round.c) */
        know_dirty(m, child);
        free(name);
    }
    from->list_moved = to->is_dir && !to->listed;
    from->listed = to->listed;
    from->many = to->many;
    from->is_dir = to->is_dir;
    from->stat = to->stat;
    from->slot = to->slot;
    know_gone_untold(m, to);
    node_restore(&m->nodes, from, parent, slice_str(to->name));
    from->made_here = false;
    if (content) /* what it had was another version's */
        node_set_content(&m->nodes, from, content);
    else
        node_drop_content(&m->nodes, from);
    content_unref(content);
    from->told = true;
    from->told_mzxid = zxid;
    from->told_aversion = -1;
    watch_apply(m, from);
    if (from->list_moved)
        know_dirty_list(m, from);
    else
        know_dirty(m, from);
    node_unref(&m->nodes, to);
    node_unref(&m->nodes, parent);
}
