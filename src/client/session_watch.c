/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is watched, so that it can be watched again on the next connection.
 *
 * A watch counts from the reply that confirms it until its event. An event may overtake the reply
 * to the read that set its watch; then the watch is taken for unfired, and set once more after a
 * reconnect: an event too many does no harm, one too few would. */
#include "session_impl.h"

#include <stdlib.h>

#define KIND(k) (1u << SESSION_WATCH_##k)
#define KINDS_PERSISTENT (KIND(PERSISTENT) | KIND(RECURSIVE))

static struct session_watch *watch_find(struct session *s, struct slice path, uint64_t hash)
{
    HMAP_FOR_EACH_WITH_HASH (w, &s->watches, hash, struct session_watch, by_path) {
        if (slice_eq(w->path, path))
            return w;
    }
    return NULL;
}

static uint64_t path_hash(const struct session *s, struct slice path)
{
    return hash_bytes(path.data, slice_size(path), s->watch_seed);
}

static struct session_watch *watch_claim(struct session *s, struct slice path)
{
    uint64_t hash = path_hash(s, path);
    struct session_watch *w = watch_find(s, path, hash);
    if (!w) {
        w = mem_zalloc(sizeof(*w) + slice_size(path));
        memcpy(w + 1, path.data, slice_size(path));
        w->path = slice_of(w + 1, slice_size(path));
        hmap_insert(&s->watches, &w->by_path, hash);
    }
    w->pending++;
    return w;
}

static void watch_release(struct session *s, struct session_watch *w)
{
    if (w->kinds == 0 && w->pending == 0) {
        hmap_remove(&s->watches, &w->by_path);
        free(w);
    }
}

struct session_watch *session_watch_claim(struct session *s, struct session_request *r,
                                          struct slice record)
{
    struct jute_reader in = jute_reader_of(record);
    struct zk_watched_read read;
    struct zk_watch_request request;
    switch (r->op) {
    case ZK_OP_getData:
    case ZK_OP_exists:
    case ZK_OP_getChildren:
    case ZK_OP_getChildren2:
        zk_watched_read_read(&in, &read);
        return jute_ok(&in) && read.watch ? watch_claim(s, read.path) : NULL;
    case ZK_OP_addWatch:
    case ZK_OP_removeWatches:
        zk_watch_request_read(&in, &request);
        r->watch_type = request.type;
        return jute_ok(&in) ? watch_claim(s, request.path) : NULL;
    default:
        return NULL;
    }
}

static unsigned kinds_of_type(int32_t type)
{
    switch (type) {
    case ZK_WATCHER_CHILDREN:
        return KIND(CHILD);
    case ZK_WATCHER_DATA:
        return KIND(DATA) | KIND(EXIST);
    case ZK_WATCHER_PERSISTENT:
        return KIND(PERSISTENT);
    case ZK_WATCHER_PERSISTENT_RECURSIVE:
        return KIND(RECURSIVE);
    default:
        return ~0u;
    }
}

/* What the reply to `r` says that the server now watches. */
static unsigned kinds_added(const struct session_request *r, int32_t err)
{
    if (r->op == ZK_OP_exists && err == ZK_NONODE)
        return KIND(EXIST);
    if (err != 0)
        return 0;
    switch (r->op) {
    case ZK_OP_exists:
    case ZK_OP_getData:
        return KIND(DATA);
    case ZK_OP_getChildren:
    case ZK_OP_getChildren2:
        return KIND(CHILD);
    case ZK_OP_addWatch:
        return r->watch_type == ZK_WATCH_PERSISTENT ? KIND(PERSISTENT) : KIND(RECURSIVE);
    default:
        return 0;
    }
}

void session_watch_settle(struct session *s, const struct session_request *r, int32_t err)
{
    struct session_watch *w = r->watch;
    ensure(w->pending > 0);
    w->pending--;
    w->kinds |= kinds_added(r, err);
    if (r->op == ZK_OP_removeWatches && (err == 0 || err == ZK_NOWATCHER))
        w->kinds &= ~kinds_of_type(r->watch_type);
    watch_release(s, w);
}

void session_watch_fired(struct session *s, const struct zk_watcher_event *event)
{
    unsigned fired;
    switch (event->type) {
    case ZK_EVENT_CREATED:
    case ZK_EVENT_DATA_CHANGED:
        fired = KIND(DATA) | KIND(EXIST);
        break;
    case ZK_EVENT_CHILDREN_CHANGED:
        fired = KIND(CHILD);
        break;
    case ZK_EVENT_DELETED:
        fired = KIND(DATA) | KIND(EXIST) | KIND(CHILD);
        break;
    default:
        return;
    }
    struct session_watch *w = watch_find(s, event->path, path_hash(s, event->path));
    if (w) {
        w->kinds &= ~fired;
        watch_release(s, w);
    }
}

void session_watch_forget_standard(struct session *s)
{
    HMAP_FOR_EACH_SAFE (w, &s->watches, struct session_watch, by_path) {
        w->kinds &= KINDS_PERSISTENT;
        watch_release(s, w);
    }
}

void session_watch_free(struct session *s)
{
    HMAP_FOR_EACH_SAFE (w, &s->watches, struct session_watch, by_path) {
        hmap_remove(&s->watches, &w->by_path);
        free(w);
    }
    hmap_close(&s->watches);
}

/* ---- setWatches2 ---- */

/* The packet being written. Servers before 3.6 know only the packet without the last two
 * vectors, so that is what they get while nothing asks for more. */
struct packet {
    struct session *session;
    int n_kinds;
    size_t start;
    int kind; /* of the open vector */
    struct jute_builder vector;
};

static void vector_next(struct packet *p)
{
    jute_vector_end(&p->vector);
    p->kind++;
    if (p->kind < p->n_kinds)
        p->vector = jute_vector_begin(&p->session->out);
}

static void packet_begin(struct packet *p)
{
    struct buf *out = &p->session->out;
    bool standard_only = p->n_kinds == SESSION_WATCH_PERSISTENT;
    p->start = session_frame_begin(out, ZK_XID_SET_WATCHES,
                                   standard_only ? ZK_OP_setWatches : ZK_OP_setWatches2);
    jute_write_long(out, p->session->last_zxid);
    p->kind = 0;
    p->vector = jute_vector_begin(out);
}

static void packet_end(struct packet *p)
{
    while (p->kind < p->n_kinds)
        vector_next(p);
    session_frame_end(&p->session->out, p->start);
}

static void packet_add(struct packet *p, int kind, struct slice path)
{
    size_t size = p->session->out.len - p->start + 4 + slice_size(path);
    size_t vectors = 4 * (size_t)p->n_kinds;
    if (size + vectors > SESSION_WATCH_PACKET_MAX) {
        packet_end(p);
        packet_begin(p);
    }
    while (p->kind < kind)
        vector_next(p);
    jute_write_buffer(&p->session->out, path);
    p->vector.count++;
}

static unsigned kinds_in_use(struct session *s)
{
    unsigned kinds = 0;
    HMAP_FOR_EACH (w, &s->watches, struct session_watch, by_path)
        kinds |= w->kinds;
    return kinds;
}

void session_watch_write(struct session *s)
{
    unsigned kinds = kinds_in_use(s);
    if (kinds == 0)
        return;
    struct packet p = {.session = s, .n_kinds = SESSION_WATCH_PERSISTENT};
    if (kinds & KINDS_PERSISTENT)
        p.n_kinds = SESSION_WATCH_KINDS;
    packet_begin(&p);
    for (int kind = 0; kind < p.n_kinds; kind++) {
        HMAP_FOR_EACH (w, &s->watches, struct session_watch, by_path) {
            if (w->kinds & 1u << kind)
                packet_add(&p, kind, w->path);
        }
    }
    packet_end(&p);
}
