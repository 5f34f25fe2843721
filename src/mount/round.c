/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rounds: what events or an outage have made doubtful is read again, all of it in flight together;
 * then it is compared with what the watchers know, and the difference goes to the injector.
 *
 * While the injector is behind, the next round waits, so that changes come together per node. */
#include "core.h"

#include <stdlib.h>

enum {
    BACKLOG_MAX = 256,
    BACKLOG_RETRY_MS = 5,
    PASSES_MAX = 8,
};

struct round {
    struct mount *m;
    struct node **nodes;
    size_t n;
    size_t waiting;
    unsigned passes;
    bool compared; /* the contents of what may have been renamed */
};

void round_schedule(struct mount *m)
{
    if (!m->round_active && !m->stopping)
        m->round_at = MIN(m->round_at, m->now_ms);
}

static void take_dirty(struct round *r)
{
    LIST_FOR_EACH_SAFE (n, &r->m->dirty, struct node, dirty) {
        list_remove(&n->dirty);
        r->nodes = mem_realloc(r->nodes, (r->n + 1) * sizeof(*r->nodes));
        r->nodes[r->n++] = n; /* with the list's reference */
    }
}

/* ---- Telling ---- */

static size_t depth(const struct node *n)
{
    size_t d = 0;
    for (; n->parent; n = n->parent)
        d++;
    return d;
}

/* What is gone first, from below; then what is there, from above, in the order of its making. */
static int by_order(const void *pa, const void *pb)
{
    const struct node *a = *(struct node *const *)pa, *b = *(struct node *const *)pb;
    bool gone_a = a->life == NODE_GONE, gone_b = b->life == NODE_GONE;
    if (gone_a != gone_b)
        return gone_a ? -1 : 1;
    size_t depth_a = depth(a), depth_b = depth(b);
    if (depth_a != depth_b)
        return (depth_a < depth_b) == gone_a ? 1 : -1;
    int64_t zxid_a = a->told ? a->stat.mzxid : a->stat.czxid;
    int64_t zxid_b = b->told ? b->stat.mzxid : b->stat.czxid;
    return zxid_a < zxid_b ? -1 : zxid_a > zxid_b;
}

static bool is_watchable(const struct node *n)
{
    return node_is_held(n) || (n->parent && node_is_held(n->parent));
}

/* The new or changed node that `from` has become, or NULL. */
static struct node *find_renamed(struct round *r, const struct node *from)
{
    for (size_t i = 0; i < r->n; i++) {
        struct node *to = r->nodes[i];
        if (to != from && to->kind == NODE_ZNODE && sync_is_rename(from, to) &&
            sync_changes(to) & (SYNC_CREATED | SYNC_DATA))
            return to;
    }
    return NULL;
}

static void tell_data_file(struct mount *m, struct node *dir, int32_t before)
{
    struct node *n = node_data_file(&m->nodes, dir);
    bool was = before > 0, is = dir->stat.data_length > 0;
    if (was && is)
        inject_push(m, MOUNT_INJECT_DATA, n, NULL, NULL, NULL);
    else if (is)
        inject_push(m, MOUNT_INJECT_CREATE, n, NULL, NULL, NULL);
    else if (was)
        inject_push(m, MOUNT_INJECT_DELETE, n, NULL, NULL, NULL);
}

static void tell(struct mount *m, struct node *n)
{
    unsigned changes = sync_changes(n);
    if (changes == 0)
        return;
    int32_t told_length = n->told_length;
    bool watchable = is_watchable(n);
    sync_told(n);
    if (!watchable)
        return;
    if (changes & SYNC_DELETED)
        inject_push(m, MOUNT_INJECT_DELETE, n, NULL, NULL, NULL);
    if (changes & SYNC_CREATED)
        inject_push(m, MOUNT_INJECT_CREATE, n, NULL, NULL, NULL);
    if ((changes & SYNC_DATA) && n->is_dir)
        tell_data_file(m, n, told_length);
    else if (changes & SYNC_DATA)
        inject_push(m, MOUNT_INJECT_DATA, n, NULL, NULL, NULL);
    if (changes & SYNC_ACL)
        inject_push(m, MOUNT_INJECT_ATTRIB, n, NULL, NULL, NULL);
}

/* The nodes below a directory that was renamed are found again by their names. */
static void revive_below(struct round *r, struct node *dir, int64_t zxid)
{
    for (size_t i = 0; i < r->n; i++) {
        struct node *n = r->nodes[i];
        if (n->life != NODE_GONE || n->parent != dir || n->kind != NODE_ZNODE)
            continue;
        struct node *to = node_child(&r->m->nodes, dir, slice_str(n->name));
        if (to && to != n && to->is_dir == n->is_dir && to->life == NODE_LIVE) {
            know_revived(r->m, n, to, zxid);
            revive_below(r, n, zxid);
        }
    }
}

/* The old node takes the new one's place, in the model as in the kernel. */
static void tell_renamed(struct round *r, struct node *from, struct node *to)
{
    struct mount *m = r->m;
    struct node *from_parent = node_ref(from->parent);
    char *from_name = mem_strdup(from->name);
    int64_t zxid = to->stat.mzxid;
    bool watchable = is_watchable(from) || is_watchable(to);
    know_revived(m, from, to, zxid);
    revive_below(r, from, zxid);
    if (watchable)
        inject_push(m, MOUNT_INJECT_RENAME, from, from_parent, from_name, to);
    node_unref(&m->nodes, from_parent);
    free(from_name);
}

static void tell_all(struct round *r)
{
    struct mount *m = r->m;
    qsort(r->nodes, r->n, sizeof(*r->nodes), by_order);
    /* A directory before those in it, which it takes along. */
    for (size_t i = r->n; i-- > 0;) {
        struct node *from = r->nodes[i];
        struct node *to = from->life == NODE_GONE ? find_renamed(r, from) : NULL;
        if (to)
            tell_renamed(r, from, to);
    }
    for (size_t i = 0; i < r->n; i++)
        tell(m, r->nodes[i]);
}

/* ---- Reading ---- */

static void round_end(struct round *r)
{
    struct mount *m = r->m;
    if (r->n > 0 && m->connected && !m->stopping)
        tell_all(r);
    for (size_t i = 0; i < r->n; i++) {
        node_settle(&m->nodes, r->nodes[i]);
        node_unref(&m->nodes, r->nodes[i]);
    }
    free(r->nodes);
    free(r);
    m->count.rounds++;
    m->round_active = false;
    if (!list_is_empty(&m->dirty))
        round_schedule(m);
}

static void pass(struct round *r);
static void compare_contents(struct round *r);

static void on_one(void *arg, struct node *n, int32_t err)
{
    struct round *r = arg;
    (void)n;
    (void)err;
    if (--r->waiting > 0)
        return;
    /* What was found to be new or gone belongs to this round: both halves of a rename do. */
    if (r->passes < PASSES_MAX && !list_is_empty(&r->m->dirty) && r->m->connected)
        pass(r);
    else if (!r->compared)
        compare_contents(r);
    else
        round_end(r);
}

/* Content that somebody has read here must not seem to have moved to a file that has another. */
static void compare_contents(struct round *r)
{
    r->compared = true;
    r->waiting = 1;
    for (size_t i = 0; i < r->n; i++) {
        struct node *from = r->nodes[i];
        struct node *to = from->content && !from->is_dir ? find_renamed(r, from) : NULL;
        if (to) {
            r->waiting++;
            fetch_content(r->m, to, on_one, r);
        }
    }
    on_one(r, r->m->nodes.root, ZK_OK);
}

static void on_moved_stat(void *arg, struct node *n, int32_t err);

/* The list of a new directory. It may be one that was renamed: what has the name of something that
 * is gone is read too, for revive_below. */
static void on_new_list(void *arg, struct node *dir, int32_t err)
{
    struct round *r = arg;
    for (size_t i = 0; err == ZK_OK && i < r->n; i++) {
        struct node *gone = r->nodes[i];
        struct node *n = NULL;
        if (gone->life == NODE_GONE && gone->parent->life == NODE_GONE)
            n = node_child(&r->m->nodes, dir, slice_str(gone->name));
        if (n && n->life == NODE_NAMED) {
            r->waiting++;
            fetch_stat(r->m, n, on_moved_stat, r);
        }
    }
    on_one(r, dir, err);
}

static bool is_unlisted_dir(const struct node *n)
{
    return n->is_dir && n->life == NODE_LIVE && !n->listed;
}

static void on_moved_stat(void *arg, struct node *n, int32_t err)
{
    struct round *r = arg;
    if (err == ZK_OK && is_unlisted_dir(n))
        fetch_list(r->m, n, on_new_list, r);
    else
        on_one(r, n, err);
}

static void on_stat(void *arg, struct node *n, int32_t err)
{
    struct round *r = arg;
    /* Its making will be told, and the kernel will hold it from then on: list it before. */
    if (err == ZK_OK && is_unlisted_dir(n) && is_watchable(n) && !n->told)
        fetch_list(r->m, n, on_new_list, r);
    else
        on_one(r, n, err);
}

static void read_one(struct round *r, struct node *n)
{
    if (n->life == NODE_GONE || n->kind != NODE_ZNODE)
        return;
    if (n->dirty_list && n->listed) {
        r->waiting++;
        fetch_list(r->m, n, on_one, r);
    }
    r->waiting++;
    fetch_stat(r->m, n, on_stat, r);
}

static void pass(struct round *r)
{
    size_t from = r->n;
    r->passes++;
    r->waiting = 1;
    take_dirty(r);
    for (size_t i = from, n = r->n; i < n; i++)
        read_one(r, r->nodes[i]);
    on_one(r, r->m->nodes.root, ZK_OK);
}

void round_begin(struct mount *m)
{
    if (!m->connected || m->round_active)
        return;
    if (m->n_injections > BACKLOG_MAX) {
        m->round_at = m->now_ms + BACKLOG_RETRY_MS;
        return;
    }
    struct round *r = mem_zalloc(sizeof(*r));
    r->m = m;
    m->round_active = true;
    pass(r);
}

void round_everything(struct mount *m)
{
    HMAP_FOR_EACH (n, &m->nodes.by_id, struct node, by_id) {
        if (n->kind != NODE_ZNODE || n->life == NODE_GONE)
            continue;
        if (n->listed)
            know_dirty_list(m, n);
        else
            know_dirty(m, n);
    }
    if (!list_is_empty(&m->dirty))
        round_schedule(m);
}
