/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes in flight: the tree as it will be when all that was proposed is committed (ZooKeeper's
 * outstandingChanges). A write is checked against this, so that a hundred writes to one node can
 * be on their way at once.
 *
 * Only nodes that a proposal touches are here; all others are as in the tree. A change is dropped
 * when its last proposal has been applied. A multi records what it overwrites, so that it can be
 * taken back as a whole. */
#include "internal.h"

#include <stdlib.h>

enum {
    FREE_CHANGES_MAX = 8192,
};

static uint64_t path_hash(const struct node *n, struct slice path)
{
    return hash_bytes(path.data, slice_size(path), n->hash_seed);
}

static struct change *change_find(const struct node *n, struct slice path, uint64_t hash)
{
    HMAP_FOR_EACH_WITH_HASH (ch, &n->changes_by_path, hash, struct change, by_path) {
        if (slice_eq(buf_slice(&ch->path), path))
            return ch;
    }
    return NULL;
}

static void view_of_znode(const struct node *n, const struct znode *z, struct view *v)
{
    struct zk_stat_persisted stat;
    znode_stat_persisted(z, &stat);
    *v = (struct view){.exists = true,
                       .version = stat.version,
                       .cversion = stat.cversion,
                       .aversion = stat.aversion,
                       .num_children = znode_num_children(z),
                       .data_len = (int32_t)slice_size(znode_data(z)),
                       .ephemeral_owner = stat.ephemeral_owner,
                       .acl = tree_acl(n->tree, znode_acl_id(z))};
}

/* Nothing that is on its way changes the node, or makes another of that path. */
bool view_is_of_tree(const struct node *n, struct slice path)
{
    return !change_find(n, path, path_hash(n, path));
}

/* The node as all proposals leave it; false if it will not exist. */
bool view_get(struct node *n, struct slice path, struct view *v)
{
    const struct change *ch = change_find(n, path, path_hash(n, path));
    if (!ch) {
        const struct znode *z = tree_find(n->tree, path);
        *v = (struct view){0};
        if (z)
            view_of_znode(n, z, v);
        return z != NULL;
    }
    *v = ch->view;
    v->acl_is_new = false;
    if (ch->own_acl.len > 0) {
        v->acl = acl_encoded(&ch->own_acl);
    } else if (v->exists) {
        const struct znode *z = tree_find(n->tree, path);
        ensure(z != NULL);
        v->acl = tree_acl(n->tree, znode_acl_id(z));
    }
    return v->exists;
}

static struct change *change_new(struct node *n)
{
    struct change *ch;
    if (list_is_empty(&n->free_changes)) {
        ch = mem_zalloc(sizeof(*ch));
        list_init(&ch->owned_link);
        return ch;
    }
    ch = LIST_FIRST(&n->free_changes, struct change, link);
    list_remove(&ch->link);
    n->n_free_changes--;
    return ch;
}

static void change_free(struct change *ch)
{
    buf_close(&ch->own_acl);
    buf_close(&ch->path);
    free(ch);
}

static void change_drop(struct node *n, struct change *ch)
{
    hmap_remove(&n->changes_by_path, &ch->by_path);
    list_remove(&ch->link);
    list_remove(&ch->owned_link);
    if (n->n_free_changes >= FREE_CHANGES_MAX) {
        change_free(ch);
        return;
    }
    buf_reset(&ch->own_acl);
    buf_reset(&ch->path);
    list_append(&n->free_changes, &ch->link);
    n->n_free_changes++;
}

static void undo_record(struct node *n, struct slice path, const struct change *before)
{
    if (n->n_undo == n->cap_undo) {
        n->cap_undo = n->cap_undo ? n->cap_undo * 2 : 16;
        n->undo = mem_realloc(n->undo, n->cap_undo * sizeof(*n->undo));
    }
    struct undo *u = &n->undo[n->n_undo++];
    *u = (struct undo){.was_there = before != NULL};
    buf_append(&u->path, path.data, slice_size(path));
    if (before) {
        u->zxid = before->zxid;
        u->view = before->view;
        buf_append(&u->own_acl, before->own_acl.data, before->own_acl.len);
    }
}

static void set_own_acl(struct change *ch, const struct view *v)
{
    if (!v->exists)
        buf_reset(&ch->own_acl);
    if (!v->exists || !v->acl_is_new)
        return;
    buf_reset(&ch->own_acl);
    jute_write_vector(&ch->own_acl, &v->acl);
}

/* The session whose ephemeral node this makes finds it when it ends. */
static void set_owner(struct node *n, struct change *ch)
{
    bool owned =
        ch->view.exists && ephemeral_type_of(ch->view.ephemeral_owner) == EPHEMERAL_SESSION;
    if (owned != list_is_empty(&ch->owned_link))
        return;
    struct session *s = owned ? tracker_find(n, ch->view.ephemeral_owner) : NULL;
    list_remove(&ch->owned_link);
    if (s)
        list_append(&s->in_flight, &ch->owned_link);
}

/* Record what a proposal makes of a node. */
void view_put(struct node *n, struct slice path, const struct view *v, int64_t zxid)
{
    uint64_t hash = path_hash(n, path);
    struct change *ch = change_find(n, path, hash);
    if (n->undo_active)
        undo_record(n, path, ch);
    if (!ch) {
        ch = change_new(n);
        buf_append(&ch->path, path.data, slice_size(path));
        hmap_insert(&n->changes_by_path, &ch->by_path, hash);
    } else {
        list_remove(&ch->link);
    }
    set_own_acl(ch, v);
    ch->view = *v;
    ch->view.acl = JUTE_VECTOR_NULL;
    set_owner(n, ch);
    ch->zxid = zxid;
    list_append(&n->changes, &ch->link);
}

void change_forget(struct node *n, int64_t committed_zxid)
{
    while (!list_is_empty(&n->changes)) {
        struct change *ch = LIST_FIRST(&n->changes, struct change, link);
        if (ch->zxid > committed_zxid)
            return;
        change_drop(n, ch);
    }
}

void change_close(struct node *n)
{
    change_forget(n, INT64_MAX);
    LIST_FOR_EACH_SAFE (ch, &n->free_changes, struct change, link)
        change_free(ch);
    hmap_close(&n->changes_by_path);
    free(n->undo);
}

void undo_begin(struct node *n)
{
    ensure(!n->undo_active);
    n->undo_active = true;
}

/* Back to what was, newest first. A restored change has an older zxid than its neighbours in the
 * list: it is then dropped with them, a little later than it could be. */
static void undo_one(struct node *n, const struct undo *u)
{
    struct slice path = buf_slice(&u->path);
    struct change *ch = change_find(n, path, path_hash(n, path));
    ensure(ch != NULL);
    if (!u->was_there) {
        change_drop(n, ch);
        return;
    }
    ch->zxid = u->zxid;
    ch->view = u->view;
    set_owner(n, ch);
    buf_reset(&ch->own_acl);
    buf_append(&ch->own_acl, u->own_acl.data, u->own_acl.len);
}

void undo_end(struct node *n, bool roll_back)
{
    n->undo_active = false;
    while (n->n_undo > 0) {
        struct undo *u = &n->undo[--n->n_undo];
        if (roll_back)
            undo_one(n, u);
        buf_close(&u->path);
        buf_close(&u->own_acl);
    }
}
