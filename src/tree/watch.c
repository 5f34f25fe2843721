/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A watch is in three places: in the list of its path, in that of its watcher, and in a map by
 * both, so that adding, removing and firing cost what they touch and no more. */
#include "zab/watch.h"

#include <stdlib.h>

#include "path.h"

/* A path that somebody watches. */
struct watched {
    struct hmap_node by_path;
    struct list watches; /* in the order in which they were added */
    size_t n_recursive;
    struct watched *above; /* while firing: the next one up */
    int32_t len;
    uint8_t path[];
};

struct watch {
    struct hmap_node by_pair;
    struct list in_path;
    struct list in_watcher;
    struct watched *at;
    struct watcher *who;
    unsigned modes;
};

void watches_init(struct watches *w, uint64_t seed)
{
    *w = (struct watches){.seed = seed};
}

void watches_close(struct watches *w)
{
    ensure(w->n_watches == 0 && w->n_paths == 0);
    hmap_close(&w->paths);
    hmap_close(&w->pairs);
}

void watcher_init(struct watcher *who)
{
    *who = (struct watcher){0};
    list_init(&who->watches);
}

/* ---- Paths ---- */

static uint64_t path_hash(const struct watches *w, struct slice path)
{
    struct path_parts parts = path_parts_of(path);
    struct slice name;
    uint64_t hash = w->seed;
    while (path_parts_next(&parts, &name))
        hash = path_hash_child(hash, name);
    return hash;
}

static struct slice watched_path(const struct watched *at)
{
    return (struct slice){at->path, at->len};
}

static struct watched *watched_find(const struct watches *w, struct slice path, uint64_t hash)
{
    HMAP_FOR_EACH_WITH_HASH (at, &w->paths, hash, struct watched, by_path) {
        if (slice_eq(watched_path(at), path))
            return at;
    }
    return NULL;
}

static struct watched *watched_get(struct watches *w, struct slice path)
{
    uint64_t hash = path_hash(w, path);
    struct watched *at = watched_find(w, path, hash);
    if (!at) {
        at = mem_alloc(sizeof(*at) + slice_size(path));
        *at = (struct watched){.len = path.len};
        memcpy(at->path, path.data, slice_size(path));
        list_init(&at->watches);
        hmap_insert(&w->paths, &at->by_path, hash);
        w->n_paths++;
        w->bytes += sizeof(*at) + slice_size(path);
    }
    return at;
}

static void watched_free_unused(struct watches *w, struct watched *at)
{
    if (!list_is_empty(&at->watches))
        return;
    hmap_remove(&w->paths, &at->by_path);
    w->n_paths--;
    w->bytes -= sizeof(*at) + slice_size(watched_path(at));
    free(at);
}

/* ---- Watches ---- */

static uint64_t pair_hash(const struct watched *at, const struct watcher *who)
{
    return hash_u64((uintptr_t)at ^ hash_u64((uintptr_t)who));
}

static struct watch *watch_find(const struct watches *w, const struct watcher *who,
                                struct slice path)
{
    const struct watched *at = watched_find(w, path, path_hash(w, path));
    if (!at)
        return NULL;
    HMAP_FOR_EACH_WITH_HASH (watch, &w->pairs, pair_hash(at, who), struct watch, by_pair) {
        if (watch->at == at && watch->who == who)
            return watch;
    }
    return NULL;
}

/* Its path stays, even if this was the last watch there. */
static void watch_set_modes(struct watches *w, struct watch *watch, unsigned modes)
{
    size_t was = (watch->modes & WATCH_RECURSIVE) != 0, is = (modes & WATCH_RECURSIVE) != 0;
    w->n_recursive += is - was;
    watch->at->n_recursive += is - was;
    watch->modes = modes;
    if (modes == 0) {
        hmap_remove(&w->pairs, &watch->by_pair);
        list_remove(&watch->in_path);
        list_remove(&watch->in_watcher);
        watch->who->count--;
        watch->who->bytes -= slice_size(watched_path(watch->at));
        w->n_watches--;
        w->bytes -= sizeof(*watch);
        free(watch);
    }
}

static struct watch *watch_new(struct watches *w, struct watcher *who, struct slice path)
{
    struct watch *watch = mem_zalloc(sizeof(*watch));
    watch->at = watched_get(w, path);
    watch->who = who;
    list_append(&watch->at->watches, &watch->in_path);
    list_append(&who->watches, &watch->in_watcher);
    hmap_insert(&w->pairs, &watch->by_pair, pair_hash(watch->at, who));
    who->count++;
    who->bytes += slice_size(path);
    w->n_watches++;
    w->bytes += sizeof(*watch);
    return watch;
}

void watch_add(struct watches *w, struct watcher *who, struct slice path, unsigned modes)
{
    ensure(modes != 0);
    struct watch *watch = watch_find(w, who, path);
    if (!watch)
        watch = watch_new(w, who, path);
    watch_set_modes(w, watch, watch->modes | modes);
}

unsigned watch_modes(const struct watches *w, const struct watcher *who, struct slice path)
{
    const struct watch *watch = watch_find(w, who, path);
    return watch ? watch->modes : 0;
}

unsigned watch_remove(struct watches *w, struct watcher *who, struct slice path, unsigned modes)
{
    struct watch *watch = watch_find(w, who, path);
    if (!watch)
        return 0;
    struct watched *at = watch->at;
    unsigned removed = watch->modes & modes;
    watch_set_modes(w, watch, watch->modes & ~modes);
    watched_free_unused(w, at);
    return removed;
}

bool watcher_drop(struct watches *w, struct watcher *who, size_t limit)
{
    while (!list_is_empty(&who->watches) && limit-- > 0) {
        struct watch *watch = LIST_FIRST(&who->watches, struct watch, in_watcher);
        struct watched *at = watch->at;
        watch_set_modes(w, watch, 0);
        watched_free_unused(w, at);
    }
    return list_is_empty(&who->watches);
}

const struct watch *watcher_next(const struct watcher *who, const struct watch *watch)
{
    const struct list *next = watch ? watch->in_watcher.next : who->watches.next;
    return next != &who->watches ? container_of(next, const struct watch, in_watcher) : NULL;
}

struct slice watch_path(const struct watch *watch)
{
    return watched_path(watch->at);
}

/* ---- Firing ---- */

static void fired_add(struct watches *w, struct watch_fired *out, struct watcher *who)
{
    if (who->last_event == w->n_events)
        return;
    who->last_event = w->n_events;
    if (out->n == out->cap) {
        out->cap = MAX(out->cap * 2, 16);
        out->who = mem_realloc(out->who, out->cap * sizeof(struct watcher *));
    }
    out->who[out->n++] = who;
}

static unsigned modes_told(enum zk_event_type type)
{
    switch (type) {
    case ZK_EVENT_CREATED:
    case ZK_EVENT_DATA_CHANGED:
        return WATCH_DATA | WATCH_PERSISTENT | WATCH_RECURSIVE;
    case ZK_EVENT_DELETED:
        return WATCH_DATA | WATCH_CHILD | WATCH_PERSISTENT | WATCH_RECURSIVE;
    case ZK_EVENT_CHILDREN_CHANGED:
        return WATCH_CHILD | WATCH_PERSISTENT;
    default:
        return 0;
    }
}

/* The path itself: what is told and standard is gone. */
static void fire_at(struct watches *w, struct watched *at, unsigned told, struct watch_fired *out)
{
    LIST_FOR_EACH_SAFE (watch, &at->watches, struct watch, in_path) {
        if (watch->modes & told) {
            fired_add(w, out, watch->who);
            watch_set_modes(w, watch, watch->modes & ~(told & (WATCH_DATA | WATCH_CHILD)));
        }
    }
    watched_free_unused(w, at);
}

static void fire_above(struct watches *w, const struct watched *at, struct watch_fired *out)
{
    LIST_FOR_EACH (watch, &at->watches, struct watch, in_path) {
        if (watch->modes & WATCH_RECURSIVE)
            fired_add(w, out, watch->who);
    }
}

/* The ancestors of `path` that have recursive watches, the nearest first. */
static struct watched *watched_above(const struct watches *w, struct slice path)
{
    struct path_parts parts = path_parts_of(path);
    struct watched *nearest = NULL;
    struct slice above = slice_of("/", 1), name;
    uint64_t hash = w->seed;
    while (path_parts_next(&parts, &name)) {
        struct watched *at = watched_find(w, above, hash);
        if (at && at->n_recursive > 0) {
            at->above = nearest;
            nearest = at;
        }
        hash = path_hash_child(hash, name);
        above = slice_of(path.data, (size_t)(parts.pos - path.data));
    }
    return nearest;
}

void watch_fire(struct watches *w, enum zk_event_type type, struct slice path,
                struct watch_fired *out)
{
    unsigned told = modes_told(type);
    out->n = 0;
    if (w->n_watches == 0)
        return;
    w->n_events++;
    struct watched *at = watched_find(w, path, path_hash(w, path));
    if (at)
        fire_at(w, at, told, out);
    if (w->n_recursive > 0 && (told & WATCH_RECURSIVE)) {
        for (at = watched_above(w, path); at; at = at->above)
            fire_above(w, at, out);
    }
}

void watch_fired_close(struct watch_fired *out)
{
    free(out->who);
    *out = (struct watch_fired){0};
}
