/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which connection watches which path (ZooKeeper's WatchManager, data and child watches in one).
 *
 * A watcher is one connection. What it watches at one path is a set of modes; a standard watch
 * is gone when it fires, the persistent ones stay. For one event a watcher is told once, however
 * many of its watches match. */
#ifndef ZAB_WATCH_H
#define ZAB_WATCH_H

#include "zab/hmap.h"
#include "zab/list.h"
#include "zab/protocol.h"

enum watch_mode {
    WATCH_DATA = 1 << 0,       /* standard, by getData and exists */
    WATCH_CHILD = 1 << 1,      /* standard, by getChildren */
    WATCH_PERSISTENT = 1 << 2, /* data and children of this node */
    WATCH_RECURSIVE = 1 << 3,  /* data of this node and of all below; no NodeChildrenChanged */
};

/* A member of the caller's connection; watch_fire() returns pointers to it. */
struct watcher {
    struct list watches;
    size_t count; /* paths watched, */
    size_t bytes; /* and how long they are together */
    uint64_t last_event;
};

struct watches {
    struct hmap paths;
    struct hmap pairs; /* of a path and a watcher */
    uint64_t seed;
    uint64_t n_events;
    size_t n_paths;
    size_t n_watches;   /* pairs */
    size_t bytes;       /* of memory, but for the maps */
    size_t n_recursive; /* without any, an event needs to look at its own path alone */
};

void watches_init(struct watches *w, uint64_t seed);
void watches_close(struct watches *w); /* all watchers were dropped before */

void watcher_init(struct watcher *who);

/* Forget what this watcher watches, at most `limit` of it; true when all is forgotten. */
bool watcher_drop(struct watches *w, struct watcher *who, size_t limit);

void watch_add(struct watches *w, struct watcher *who, struct slice path, unsigned modes);

/* The modes that `who` has at `path`, 0 if none. */
unsigned watch_modes(const struct watches *w, const struct watcher *who, struct slice path);

/* Take `modes` away; returns those of them that were there. */
unsigned watch_remove(struct watches *w, struct watcher *who, struct slice path, unsigned modes);

/* Those who are told: the caller's, all zero to begin with, reused from call to call. */
struct watch_fired {
    struct watcher **who;
    size_t n, cap;
};
void watch_fired_close(struct watch_fired *out);

/* Who is to be told of `type` at `path`, each once, in the order in which they began to watch
 * (own path first, then its parents'); their standard watches that match are gone after it. */
void watch_fire(struct watches *w, enum zk_event_type type, struct slice path,
                struct watch_fired *out);

/* For wchs and wchc: iterate over one watcher's paths; start with NULL, NULL at the end. */
struct watch;
const struct watch *watcher_next(const struct watcher *who, const struct watch *watch);
struct slice watch_path(const struct watch *watch);

#endif
