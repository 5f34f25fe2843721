/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of children go into the model. A short one does at once; a long one in slices, one a step,
 * so that other requests do not wait for it. The events that come meanwhile are about what is
 * behind the list: they are held back until it is in. */
#include "core.h"

#include <stdlib.h>

enum {
    SLICE = 2048, /* names, or nodes, in a step */
};

struct listing {
    struct list link;
    struct node *dir;
    struct buf bytes; /* of the names */
    struct jute_reader it;
    int32_t left;
    int32_t count;
    uint64_t id;
    int64_t zxid;
    struct node *at; /* that is looked at next for being gone; NULL: names are still to come */
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

/* False: the record ends before its names do. */
static bool add_names(struct mount *m, struct listing *l, int32_t n)
{
    for (; n > 0 && l->left > 0; n--, l->left--) {
        struct slice name = jute_read_buffer(&l->it);
        if (!jute_ok(&l->it))
            return false;
        add_name(m, l->dir, name, l->id, l->zxid);
    }
    return true;
}

static bool is_unseen(const struct node *n, uint64_t id)
{
    return n->kind == NODE_ZNODE && n->life != NODE_PENDING && n->seen != id;
}

/* Look at so many children from l->at on, and remove those that were not in the list. False: that
 * was the last. */
static bool remove_unseen(struct mount *m, struct listing *l, int n)
{
    struct nodes *t = &m->nodes;
    while (n-- > 0) {
        struct node *at = l->at;
        /* One that was removed or moved meanwhile is no place to go on from. */
        bool lost = at != l->dir && (!node_is_linked(at) || at->parent != l->dir);
        struct list *next = at == l->dir || lost ? l->dir->children.next : at->siblings.next;
        if (next == &l->dir->children)
            return false;
        struct node *child = LIST_ENTRY(next, struct node, siblings);
        l->at = node_ref(child);
        if (at != l->dir && is_unseen(at, l->id))
            know_gone(m, at);
        node_unref(t, at);
    }
    return true;
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

static void release_events(struct mount *m)
{
    struct buf held = m->held;
    m->held = (struct buf){0};
    for (size_t i = 0; i < held.len;) {
        struct held_event h;
        memcpy(&h, held.data + i, sizeof(h));
        i += sizeof(h);
        const struct zk_watcher_event event = {
            .type = h.type, .state = h.state, .path = slice_of(held.data + i, h.path_len)};
        watch_event(m, &event, h.zxid);
        i += h.path_len;
    }
    buf_close(&held);
}

/* ---- The course ---- */

static void listing_free(struct mount *m, struct listing *l)
{
    list_remove(&l->link);
    if (l->at)
        node_unref(&m->nodes, l->at);
    node_unref(&m->nodes, l->dir);
    buf_close(&l->bytes);
    free(l);
}

static void listing_end(struct mount *m, struct listing *l)
{
    struct node *dir = node_ref(l->dir);
    listing_done *done = l->done;
    void *arg = l->arg;
    bool there = node_is_linked(dir);
    dir->list_id = 0;
    listing_free(m, l);
    if (list_is_empty(&m->listings))
        release_events(m);
    done(arg, there);
    node_unref(&m->nodes, dir);
}

static bool go_on(struct mount *m, struct listing *l, int n)
{
    if (!node_is_linked(l->dir))
        return false;
    l->dir->list_id = l->id;
    if (!l->at) {
        if (add_names(m, l, n) && l->left > 0)
            return true;
        l->at = node_ref(l->dir);
        return true;
    }
    if (remove_unseen(m, l, n))
        return true;
    if (l->at != l->dir && is_unseen(l->at, l->id))
        know_gone(m, l->at);
    finish(m, l);
    return false;
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
    if (waits || names->count > SLICE)
        return;
    while (go_on(m, l, INT32_MAX))
        ;
    listing_end(m, l);
}

void listing_slice(struct mount *m)
{
    struct listing *l = LIST_FIRST(&m->listings, struct listing, link);
    if (!go_on(m, l, SLICE))
        listing_end(m, l);
}

void listings_close(struct mount *m)
{
    LIST_FOR_EACH_SAFE (l, &m->listings, struct listing, link)
        listing_free(m, l);
    buf_close(&m->held);
}
