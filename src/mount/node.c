/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of nodes: by id for the kernel, by (parent, name) for paths and events.
 *
 * A node is freed when nothing knows it any more: no lookup of the kernel's, no reference of ours,
 * no child, and no listed directory that has it. A child keeps its parent. */
#include "model.h"

#include <stdlib.h>

struct content *content_new(struct slice data, const struct zk_stat *stat)
{
    struct content *c = mem_alloc(sizeof(*c) + slice_size(data));
    *c = (struct content){
        .refs = 1, .version = stat->version, .mzxid = stat->mzxid, .len = slice_size(data)};
    if (c->len > 0)
        memcpy(c->bytes, data.data, c->len);
    return c;
}

struct content *content_ref(struct content *c)
{
    c->refs++;
    return c;
}

void content_unref(struct content *c)
{
    if (c && --c->refs == 0)
        free(c);
}

struct slice content_slice(const struct content *c)
{
    return c ? slice_of(c->bytes, c->len) : SLICE_EMPTY;
}

static uint64_t name_hash(uint64_t parent_id, struct slice name)
{
    return hash_bytes(name.data, slice_size(name), hash_u64(parent_id));
}

static struct node *node_new(struct nodes *t, uint64_t id, enum node_kind kind, struct slice name)
{
    struct node *n = mem_zalloc(sizeof(*n));
    n->id = n->slot = id;
    n->kind = kind;
    n->life = NODE_NAMED;
    n->name = n->shown = slice_dup_str(name);
    n->acl = SLICE_NULL;
    n->told_aversion = -1;
    n->acl_version = -1;
    list_init(&n->siblings);
    list_init(&n->children);
    list_init(&n->cached);
    list_init(&n->dirty);
    list_init(&n->by_acl);
    hmap_insert(&t->by_id, &n->by_id, hash_u64(id));
    return n;
}

static void free_name(struct node *n)
{
    if (n->shown != n->name)
        free(n->shown);
    free(n->name);
}

/* Takes `name`, which is on the heap. */
static void set_name(struct node *n, char *name, const struct node *parent)
{
    n->name = n->shown = name;
    if (n->kind == NODE_ZNODE && map_is_taken(slice_str(name), parent->id == NODE_ROOT_ID)) {
        struct buf shown = {0};
        buf_printf(&shown, "%s" MAP_SUFFIX, name);
        buf_append(&shown, "", 1);
        n->shown = (char *)shown.data;
    }
}

static void node_link(struct nodes *t, struct node *n, struct node *parent)
{
    n->parent = parent;
    n->place++;
    list_append(&parent->children, &n->siblings);
    parent->n_children++;
    hmap_insert(&t->by_name, &n->by_name, name_hash(parent->id, slice_str(n->name)));
}

static void node_unlink(struct nodes *t, struct node *n)
{
    LIST_FOR_EACH (c, &t->cursors, struct cursor, link) {
        if (c->next == &n->siblings)
            c->next = n->siblings.next;
    }
    hmap_remove(&t->by_name, &n->by_name);
    list_remove(&n->siblings);
    n->parent->n_children--;
}

static struct node *add_control(struct nodes *t, struct node *parent, uint64_t id,
                                enum node_kind kind, const char *name)
{
    struct node *n = node_new(t, id, kind, slice_str(name));
    n->life = NODE_LIVE;
    n->is_dir = kind == NODE_CONTROL_DIR;
    n->listed = n->is_dir;
    n->told = true;
    n->fresh = true;
    n->refs = 1;
    node_link(t, n, parent);
    return n;
}

void nodes_init(struct nodes *t)
{
    *t = (struct nodes){.next_id = NODE_FIRST_ID};
    list_init(&t->cached);
    list_init(&t->by_acl);
    list_init(&t->cursors);
    t->root = node_new(t, NODE_ROOT_ID, NODE_ZNODE, slice_str(""));
    t->root->refs = 1;
    t->root->is_dir = true;
    t->root->told = true;
    struct node *control =
        add_control(t, t->root, NODE_CONTROL_DIR_ID, NODE_CONTROL_DIR, "/.zabfs");
    add_control(t, control, NODE_STATUS_ID, NODE_STATUS, "status");
}

void node_drop_content(struct nodes *t, struct node *n)
{
    if (!n->content)
        return;
    t->cached_bytes -= n->content->len;
    content_unref(n->content);
    n->content = NULL;
    list_remove(&n->cached);
}

void node_set_content(struct nodes *t, struct node *n, struct content *c)
{
    content_ref(c);
    node_drop_content(t, n);
    n->content = c;
    t->cached_bytes += c->len;
    list_append(&t->cached, &n->cached);
    while (t->cached_bytes > NODE_CACHED_BYTES_MAX &&
           LIST_FIRST(&t->cached, struct node, cached) != n)
        node_drop_content(t, LIST_FIRST(&t->cached, struct node, cached));
}

static void node_free(struct nodes *t, struct node *n)
{
    hmap_remove(&t->by_id, &n->by_id);
    node_drop_content(t, n);
    list_remove(&n->dirty);
    list_remove(&n->by_acl);
    free((void *)n->acl.data);
    free_name(n);
    free(n);
}

void nodes_close(struct nodes *t)
{
    HMAP_FOR_EACH_SAFE (n, &t->by_id, struct node, by_id)
        node_free(t, n);
    hmap_close(&t->by_id);
    hmap_close(&t->by_name);
}

struct node *node_find(const struct nodes *t, uint64_t id)
{
    HMAP_FOR_EACH_WITH_HASH (n, &t->by_id, hash_u64(id), struct node, by_id) {
        if (n->id == id)
            return n;
    }
    return NULL;
}

struct node *node_child(const struct nodes *t, const struct node *parent, struct slice name)
{
    HMAP_FOR_EACH_WITH_HASH (n, &t->by_name, name_hash(parent->id, name), struct node, by_name) {
        if (n->parent == parent && slice_eq_str(name, n->name))
            return n;
    }
    return NULL;
}

struct node *node_add(struct nodes *t, struct node *parent, struct slice name)
{
    struct node *n = node_new(t, t->next_id++, NODE_ZNODE, name);
    set_name(n, n->name, parent);
    n->seen = parent->list_id;
    node_link(t, n, parent);
    return n;
}

struct node *node_data_file(struct nodes *t, struct node *dir)
{
    if (!dir->data_file) {
        struct node *n = node_new(t, t->next_id++, NODE_DATA, slice_str(".data"));
        n->life = NODE_LIVE;
        n->parent = node_ref(dir);
        dir->data_file = n;
    }
    return dir->data_file;
}

static bool node_is_needed(const struct node *n)
{
    bool listed = n->parent && (n->parent->listed || n->parent->list_id != 0);
    bool known = listed && n->kind != NODE_DATA && (n->life == NODE_NAMED || n->life == NODE_LIVE);
    return known || n->lookups > 0 || n->refs > 0 || !list_is_empty(&n->children);
}

/* Free `n`, and then its parents, as far as nothing needs them. */
void node_free_unneeded(struct nodes *t, struct node *n)
{
    while (n && !node_is_needed(n)) {
        struct node *parent = n->parent;
        if (n->kind == NODE_DATA) {
            if (parent->data_file == n)
                parent->data_file = NULL;
            parent->refs--;
        } else if (node_is_linked(n)) {
            node_unlink(t, n);
        } else if (parent) {
            parent->refs--;
        }
        node_free(t, n);
        n = parent;
    }
}

struct node *node_ref(struct node *n)
{
    n->refs++;
    return n;
}

void node_unref(struct nodes *t, struct node *n)
{
    ensure(n->refs > 0);
    n->refs--;
    node_free_unneeded(t, n);
}

void node_unsettle(struct node *n)
{
    if (n->unsettled++ > 0 || !n->parent)
        return;
    n->unsettled_in = node_ref(n->parent);
    n->unsettled_in->unsettled_below++;
}

void node_settle(struct nodes *t, struct node *n)
{
    ensure(n->unsettled > 0);
    if (--n->unsettled > 0 || !n->unsettled_in)
        return;
    struct node *dir = n->unsettled_in;
    n->unsettled_in = NULL;
    dir->unsettled_below--;
    node_unref(t, dir);
}

void node_hold(struct nodes *t, struct node *n)
{
    t->n_held += n->lookups == 0;
    n->lookups++;
}

void node_forget(struct nodes *t, struct node *n, uint64_t lookups)
{
    t->n_held -= n->lookups > 0 && lookups >= n->lookups;
    n->lookups -= MIN(lookups, n->lookups);
    node_free_unneeded(t, n);
}

void cursor_open(struct nodes *t, struct cursor *c, struct node *dir)
{
    c->dir = node_ref(dir);
    c->next = dir->children.next;
    list_append(&t->cursors, &c->link);
}

struct node *cursor_next(struct cursor *c)
{
    if (c->next == &c->dir->children)
        return NULL;
    struct node *n = LIST_ENTRY(c->next, struct node, siblings);
    c->next = c->next->next;
    return n;
}

void cursor_close(struct nodes *t, struct cursor *c)
{
    if (!c->dir)
        return;
    list_remove(&c->link);
    node_unref(t, c->dir);
    c->dir = NULL;
}

void node_remove(struct nodes *t, struct node *n)
{
    if (!node_is_linked(n))
        return;
    node_ref(n);
    LIST_FOR_EACH_SAFE (child, &n->children, struct node, siblings)
        node_remove(t, child);
    /* A node that is gone keeps its parent for the path of the events that tell of it. */
    if (n->kind == NODE_DATA) {
        if (n->parent->data_file == n)
            n->parent->data_file = NULL;
    } else {
        node_unlink(t, n);
        node_ref(n->parent);
    }
    n->life = NODE_GONE;
    n->listed = false;
    node_unref(t, n);
}

void node_move(struct nodes *t, struct node *n, struct node *parent, struct slice name)
{
    struct node *before = node_ref(n->parent);
    char *copy = slice_dup_str(name);
    node_unlink(t, n);
    free_name(n);
    set_name(n, copy, parent);
    node_link(t, n, parent);
    node_unref(t, before);
}

void node_restore(struct nodes *t, struct node *n, struct node *parent, struct slice name)
{
    struct node *before = n->parent;
    ensure(n->life == NODE_GONE && n->kind == NODE_ZNODE && before);
    char *copy = slice_dup_str(name);
    free_name(n);
    set_name(n, copy, parent);
    n->life = NODE_LIVE;
    node_link(t, n, parent);
    node_unref(t, before); /* which it had as a node that is gone */
}

void node_swap(struct nodes *t, struct node *a, struct node *b)
{
    struct node *parent_a = a->parent, *parent_b = b->parent;
    char *name_a = mem_strdup(a->name), *name_b = mem_strdup(b->name);
    uint64_t slot_a = a->slot;
    a->slot = b->slot;
    b->slot = slot_a;
    node_unlink(t, a);
    node_unlink(t, b);
    free_name(a);
    free_name(b);
    set_name(a, name_b, parent_b);
    set_name(b, name_a, parent_a);
    node_link(t, a, parent_b);
    node_link(t, b, parent_a);
}

/* Appends "/a/b" for a node, nothing for the root. */
static void append_path(const struct node *n, bool shown, struct buf *path)
{
    if (!n->parent)
        return;
    append_path(n->parent, shown, path);
    const char *name = shown ? n->shown : n->name;
    buf_append(path, "/", 1);
    buf_append(path, name, strlen(name));
}

static void whole_path(const struct node *n, bool shown, struct buf *path)
{
    append_path(n, shown, path);
    if (!n->parent)
        buf_append(path, "/", 1);
}

void node_mount_path(const struct node *n, struct buf *path)
{
    whole_path(n, true, path);
}

void node_path(const struct node *n, struct buf *path)
{
    whole_path(n->kind == NODE_DATA ? n->parent : n, false, path);
}

bool node_is_below(const struct node *n, const struct node *dir)
{
    while (n && n != dir)
        n = n->parent;
    return n != NULL;
}

/* By the watch of its directory? */
static bool is_covered(const struct node *n)
{
    return n->parent && n->parent->listed && n->parent->many;
}

bool node_is_watched(const struct node *n)
{
    return n->watch != NODE_WATCH_NONE || is_covered(n);
}

enum node_watch node_wanted_watch(const struct node *n)
{
    if (n->kind != NODE_ZNODE || n->life == NODE_GONE || n->life == NODE_PENDING)
        return NODE_WATCH_NONE;
    if (n->is_dir && n->too_long > 0 && node_is_held(n))
        return NODE_WATCH_BELOW;
    if (n->is_dir && (n->listed || n->releasing))
        return n->many ? NODE_WATCH_BELOW : NODE_WATCH_OWN;
    if (is_covered(n))
        return NODE_WATCH_NONE;
    if (node_is_held(n) || (n->parent && n->parent->listed))
        return NODE_WATCH_OWN;
    return NODE_WATCH_NONE;
}
