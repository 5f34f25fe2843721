/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of children go into the model, one after the other. A long one does in parts (work.c). The
 * events that come meanwhile are about what is after the list: they are held back until it is in.
 */
#include "core.h"

#include <stdlib.h>

struct listing {
    struct list link;
    struct node *dir;
    struct buf bytes; /* of the names */
    struct jute_reader it;
    int32_t left;
    int32_t count;
    uint64_t id;
    int64_t zxid;
    struct cursor cursor; /* of those that are looked at for being gone */
    bool is_in;
    listing_done *done;
    void *arg;
};

struct held_event {
    int32_t type;
    int32_t state;
    int64_t zxid;
    size_t path_len;
};

/* ---- The parts ---- */

static void add_name(struct mount *m, struct node *dir, struct slice name, uint64_t id,
                     int64_t zxid)
{
    if (!map_is_name(name))
        return; /* no server has it; one of them ends the whole listing in the kernel */
    struct node *n = node_child(&m->nodes, dir, name);
    if (!n) {
        n = node_add(&m->nodes, dir, name);
        bool news = dir->listed || dir->list_moved;
        n->told = !news;
        n->told_mzxid = news ? 0 : zxid;
        if (news)
            know_dirty(m, n);
    } else if (n->life == NODE_PENDING) {
        know_dirty(m, n);
    } else if (!dir->listed && n->told_mzxid == INT64_MAX) {
        /* Looked up before there was a list; from now on its changes are told. */
        n->told_mzxid = n->life == NODE_LIVE ? n->stat.mzxid : zxid;
        know_dirty(m, n);
    }
    n->seen = id;
}

/* Each of these does as many as `n` allows; false: there are more. */
static bool add_names(struct mount *m, struct listing *l, size_t *n)
{
    for (; l->left > 0; l->left--, (*n)--) {
        if (*n == 0)
            return false;
        struct slice name = jute_read_buffer(&l->it);
        if (!jute_ok(&l->it))
            return true;
        add_name(m, l->dir, name, l->id, l->zxid);
    }
    return true;
}

/* It has got its name since, through this mount. */
static bool is_younger(const struct node *n, int64_t zxid)
{
    int64_t since = n->life == NODE_LIVE ? n->stat.czxid : n->told_mzxid;
    return since > zxid && since != INT64_MAX;
}

static bool is_unseen(const struct listing *l, const struct node *n)
{
    return n->kind == NODE_ZNODE && n->life != NODE_PENDING && n->seen != l->id &&
           !is_younger(n, l->zxid);
}

static bool remove_unseen(struct mount *m, struct listing *l, size_t *n)
{
    while (*n > 0) {
        struct node *child = cursor_next(&l->cursor);
        (*n)--;
        if (!child)
            return true;
        if (!is_unseen(l, child))
            continue;
        if (!know_gone_below(m, child, n)) {
            l->cursor.next = &child->siblings;
            return false;
        }
        know_gone(m, child);
    }
    return false;
}

static void finish(struct mount *m, const struct listing *l)
{
    struct node *dir = l->dir;
    dir->listed = true;
    dir->dirty_list = dir->list_moved = false;
    dir->too_long = 0;
    dir->list_id = 0;
    if (l->count > NODE_MANY_CHILDREN)
        dir->many = true;
    watch_apply(m, dir);
    for (struct list *p = dir->children.next; !dir->many && p != &dir->children; p = p->next)
        watch_apply(m, LIST_ENTRY(p, struct node, siblings));
}

/* ---- Events that wait ---- */

bool listing_holds(struct mount *m, const struct zk_watcher_event *event, int64_t zxid)
{
    if (list_is_empty(&m->listings))
        return false;
    const struct held_event h = {event->type, event->state, zxid, slice_size(event->path)};
    buf_append(&m->held, &h, sizeof(h));
    buf_append(&m->held, event->path.data, h.path_len);
    return true;
}

static bool release_events(struct mount *m, size_t *n)
{
    for (; m->held_at < m->held.len; (*n)--) {
        struct held_event h;
        if (*n == 0)
            return false;
        memcpy(&h, m->held.data + m->held_at, sizeof(h));
        m->held_at += sizeof(h);
        const struct zk_watcher_event event = {.type = h.type,
                                               .state = h.state,
                                               .path =
                                                   slice_of(m->held.data + m->held_at, h.path_len)};
        watch_take_event(m, &event, h.zxid);
        m->held_at += h.path_len;
    }
    buf_close(&m->held);
    m->held_at = 0;
    return true;
}

/* ---- The course ---- */

static void listing_end(struct mount *m, struct listing *l)
{
    listing_done *done = l->done;
    void *arg = l->arg;
    bool there = node_is_linked(l->dir);
    list_remove(&l->link);
    cursor_close(&m->nodes, &l->cursor);
    buf_close(&l->bytes);
    done(arg, there);
    node_unref(&m->nodes, l->dir);
    free(l);
}

static bool take(struct mount *m, struct listing *l, size_t *n)
{
    if (!node_is_linked(l->dir))
        return true;
    l->dir->list_id = l->id;
    if (!l->cursor.dir) {
        if (!add_names(m, l, n))
            return false;
        cursor_open(&m->nodes, &l->cursor, l->dir);
    }
    if (!remove_unseen(m, l, n))
        return false;
    finish(m, l);
    return true;
}

/* The events wait for all lists that have come. */
static bool go_on(struct mount *m, struct listing *l, size_t n)
{
    if (!l->is_in && !take(m, l, &n))
        return true;
    l->is_in = true;
    l->dir->list_id = 0;
    return l->link.next == &m->listings && !release_events(m, &n);
}

static bool listings_go_on(struct work *w, size_t n)
{
    struct mount *m = container_of(w, struct mount, listing);
    struct listing *l = LIST_FIRST(&m->listings, struct listing, link);
    if (!go_on(m, l, n))
        listing_end(m, l);
    return !list_is_empty(&m->listings) && !work_waits(w);
}

void listing_start(struct mount *m, struct node *dir, const struct jute_vector *names, int64_t zxid,
                   listing_done *done, void *arg)
{
    struct listing *l = mem_zalloc(sizeof(*l));
    *l = (struct listing){.dir = node_ref(dir),
                          .left = names->count,
                          .count = names->count,
                          .id = ++m->nodes.lists,
                          .zxid = zxid,
                          .done = done,
                          .arg = arg};
    bool waits = !list_is_empty(&m->listings);
    buf_append(&l->bytes, names->bytes.data, slice_size(names->bytes));
    l->it = jute_reader_of(buf_slice(&l->bytes));
    list_append(&m->listings, &l->link);
    if (waits)
        return;
    if (go_on(m, l, m->config.step_names))
        work_queue(m, &m->listing, listings_go_on);
    else
        listing_end(m, l);
}
