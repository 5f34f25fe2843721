/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which paths are watched, and what an event makes of the nodes there.
 *
 * The kernel lets its caches of a node live without a time limit, and an inotify watch may sit on
 * any directory that it holds, unseen by us. So each node that it holds is watched, and each
 * child of a directory that it holds: one watch a child, or a recursive one if there are many. */
#include "core.h"

#include <stdlib.h>

struct watching {
    struct mount *m;
    struct node *n;
};

/* A request that was lost with its connection has set no watch, and what changed since was not
 * told: the node is read again, with a watch. */
static void on_watched(void *arg, const struct answer *answer)
{
    struct watching *w = arg;
    struct mount *m = w->m;
    struct node *n = w->n;
    free(w);
    if (answer->err != ZK_OK && !m->closed && node_is_linked(n) && n->watch != NODE_WATCH_NONE) {
        n->watch = NODE_WATCH_NONE;
        m->n_watches--;
        if (n->listed)
            know_dirty_list(m, n);
        else
            know_dirty(m, n);
    }
    node_unref(&m->nodes, n);
}

static void add_watch(struct mount *m, struct node *n, struct slice path, enum node_watch want)
{
    struct watching *w = mem_alloc(sizeof(*w));
    *w = (struct watching){m, node_ref(n)};
    ask_add_watch(m, path,
                  want == NODE_WATCH_BELOW ? ZK_WATCH_PERSISTENT_RECURSIVE : ZK_WATCH_PERSISTENT,
                  on_watched, w);
}

void watch_set(struct mount *m, struct node *n, enum node_watch want)
{
    /* The servers know a watch by its path, which may be another node's by now. */
    if (!node_is_linked(n) && want != NODE_WATCH_NONE)
        return;
    if (n->watch == want)
        return;
    struct buf path = {0};
    node_path(n, &path);
    /* A recursive watch takes the place of the other kind, not the other way round. */
    if (want == NODE_WATCH_NONE || n->watch == NODE_WATCH_BELOW)
        ask_remove_watch(m, buf_slice(&path));
    if (want != NODE_WATCH_NONE)
        add_watch(m, n, buf_slice(&path), want);
    else
        n->fresh = false;
    m->n_watches -= n->watch != NODE_WATCH_NONE;
    m->n_watches += want != NODE_WATCH_NONE;
    n->watch = want;
    buf_close(&path);
}

void watch_apply(struct mount *m, struct node *n)
{
    watch_set(m, n, node_wanted_watch(n));
}

void watch_end(struct mount *m, struct node *n)
{
    watch_set(m, n, NODE_WATCH_NONE);
}

/* Until all children that nobody holds are forgotten the directory is watched as before, so that
 * what is still known of them is true. */
struct release {
    struct work work;
    struct mount *m;
    struct cursor cursor;
};

static bool release_some(struct work *w, size_t n)
{
    struct release *r = container_of(w, struct release, work);
    struct mount *m = r->m;
    struct node *dir = r->cursor.dir, *child = NULL;
    bool again = false; /* it is listed again, or will be */
    for (; n > 0; n--) {
        again = dir->listed || dir->list_id != 0;
        child = again ? NULL : cursor_next(&r->cursor);
        if (!child)
            break;
        watch_apply(m, child);
        if (child->watch == NODE_WATCH_NONE)
            child->fresh = false;
        node_free_unneeded(&m->nodes, child);
    }
    if (child)
        return true;
    dir->releasing = false;
    dir->many = dir->many && again;
    watch_apply(m, dir);
    cursor_close(&m->nodes, &r->cursor);
    free(r);
    return false;
}

void watch_unlist(struct mount *m, struct node *dir)
{
    dir->listed = false;
    if (dir->releasing)
        return;
    struct release *r = mem_zalloc(sizeof(*r));
    r->m = m;
    cursor_open(&m->nodes, &r->cursor, dir);
    dir->releasing = true;
    if (release_some(&r->work, m->config.step_names))
        work_queue(m, &r->work, release_some);
}

void watch_forget(struct mount *m, struct node *n, uint64_t lookups)
{
    node_ref(n);
    node_forget(&m->nodes, n, lookups);
    if (!node_is_held(n)) {
        if (n->listed && n->kind == NODE_ZNODE)
            watch_unlist(m, n);
        watch_apply(m, n);
    }
    node_unref(&m->nodes, n);
}

static struct node *find_path(const struct mount *m, struct slice path)
{
    struct node *n = m->nodes.root;
    const uint8_t *p = path.data + 1, *end = path.data + path.len;
    while (n && p < end) {
        const uint8_t *slash = memchr(p, '/', (size_t)(end - p));
        const uint8_t *stop = slash ? slash : end;
        n = node_child(&m->nodes, n, slice_of(p, (size_t)(stop - p)));
        p = stop + 1;
    }
    return n && n->kind == NODE_ZNODE ? n : NULL;
}

/* In a directory that cannot be listed only the events say what is there. What nobody knew of is
 * known from now on as it was before the event. */
static struct node *known_by_event(struct mount *m, const struct zk_watcher_event *event,
                                   int64_t zxid)
{
    struct node *dir = event->path.len > 1 ? find_path(m, zk_path_parent(event->path)) : NULL;
    if (!dir || dir->too_long == 0 || dir->listed)
        return NULL;
    struct node *n = node_add(&m->nodes, dir, zk_path_name(event->path));
    n->told = n->given = event->type != ZK_EVENT_CREATED;
    n->told_mzxid = zxid > 0 ? zxid - 1 : INT64_MAX;
    return n;
}

/* A name came or went in a directory; `n` is the node there, if one is known. */
static void child_event(struct mount *m, const struct zk_watcher_event *event, struct node *n)
{
    struct node *dir = event->path.len > 1 ? find_path(m, zk_path_parent(event->path)) : NULL;
    if (n && dir && event->type == ZK_EVENT_DELETED)
        n->after_change = dir->changed_in > 0 && dir->changed_in >= m->count.rounds;
    if (n && !n->parent)
        know_dirty_list(m, n);
    else if (n)
        know_dirty(m, n);
    if (dir && !dir->is_dir)
        know_dirty(m, dir); /* a file that has got a child */
    if (!dir || !dir->listed)
        return;
    if (!dir->many) {
        know_dirty_list(m, dir);
        return;
    }
    dir->changed_in = m->count.rounds + 1;
    know_dirty(m, dir);
    if (!n && event->type == ZK_EVENT_CREATED) {
        n = node_add(&m->nodes, dir, zk_path_name(event->path));
        know_dirty(m, n);
    }
}

void watch_event(struct mount *m, const struct zk_watcher_event *event, int64_t zxid)
{
    if (!zk_path_check(event->path, false) && !listing_holds(m, event, zxid))
        watch_take_event(m, event, zxid);
}

void watch_take_event(struct mount *m, const struct zk_watcher_event *event, int64_t zxid)
{
    struct node *n = find_path(m, event->path);
    if (!n && event->type != ZK_EVENT_CHILDREN_CHANGED)
        n = known_by_event(m, event, zxid);
    if (n && event->type == ZK_EVENT_DELETED)
        n->gone_zxid = zxid;
    switch (event->type) {
    case ZK_EVENT_CREATED:
    case ZK_EVENT_DELETED:
        child_event(m, event, n);
        break;
    case ZK_EVENT_CHILDREN_CHANGED:
        if (n)
            n->changed_in = m->count.rounds + 1;
        if (n && n->listed)
            know_dirty_list(m, n);
        else if (n)
            know_dirty(m, n);
        break;
    case ZK_EVENT_DATA_CHANGED:
        if (n)
            know_dirty(m, n);
        break;
    default:
        break;
    }
}
