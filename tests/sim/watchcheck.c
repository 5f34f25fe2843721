/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Watch events against the model: each watch fires when the model says, once, and before the
 * client can see the new state; after a reconnect none is missed.
 *
 * Events are gathered as they come. An answer with a zxid says that all transactions up to it
 * have been told: then the events since the last answer must be just those that the model has
 * for what this client watches. */
#include "sim.h"

static struct watched *watched_at(struct client *c, const char *path)
{
    for (size_t i = 0; i < c->n_watched; i++) {
        if (strcmp(c->watched[i].path, path) == 0)
            return &c->watched[i];
    }
    ROOM_FOR_ONE(c->watched, c->n_watched, c->cap_watched);
    struct watched *at = &c->watched[c->n_watched++];
    *at = (struct watched){0};
    snprintf(at->path, sizeof(at->path), "%s", path);
    return at;
}

/* A new connection: the server knows of no watch yet. */
void watchcheck_greeted(struct client *c)
{
    for (size_t i = 0; i < c->n_watched; i++)
        c->watched[i].armed = c->watched[i].reset = 0;
}

/* A new session: only the persistent watches go over to it. */
void watchcheck_expired(struct client *c)
{
    for (size_t i = 0; i < c->n_watched; i++)
        c->watched[i].believed &= WATCHED_PERSISTENT | WATCHED_RECURSIVE;
}

/* ---- Events ---- */

/* What watches of a path an event ends. */
static unsigned ended_by(enum zk_event_type type)
{
    switch (type) {
    case ZK_EVENT_CHILDREN_CHANGED:
        return WATCHED_CHILD;
    case ZK_EVENT_DELETED:
        return WATCHED_DATA | WATCHED_EXIST | WATCHED_CHILD;
    default:
        return WATCHED_DATA | WATCHED_EXIST;
    }
}

void watchcheck_event(struct world *w, struct conn *conn, const struct zk_reply_header *h,
                      struct slice record)
{
    struct client *c = conn->client;
    struct jute_reader in = jute_reader_of(record);
    struct zk_watcher_event ev;
    zk_watcher_event_read(&in, &ev);
    if (!jute_done(&in) || ev.state != ZK_STATE_SYNC_CONNECTED)
        sim_fail(w, SIM_BROKEN, "client %u: a bad event", c->index);
    ROOM_FOR_ONE(conn->events, conn->n_events, conn->cap_events);
    struct watch_seen *seen = &conn->events[conn->n_events++];
    *seen = (struct watch_seen){.type = (enum zk_event_type)ev.type, .zxid = h->zxid};
    snprintf(seen->path, sizeof(seen->path), "%.*s", SLICE_ARG(ev.path));
    sim_trace(w, "client %u: event %d %s at 0x%" PRIx64, c->index, ev.type, seen->path,
              (uint64_t)h->zxid);
    watched_at(c, seen->path)->believed &= ~ended_by(seen->type);
    if (c->session.phase != SESSION_CLOSING)
        c->n_events_seen++;
}

/* Does this client's connection get the event? Its standard watches end in any case. */
static bool fire(struct client *c, const struct model_event *ev)
{
    bool told = false;
    unsigned ended = ended_by(ev->type);
    for (size_t i = 0; i < c->n_watched; i++) {
        struct watched *at = &c->watched[i];
        bool here = strcmp(at->path, ev->path) == 0;
        for (unsigned kind = WATCHED_DATA; here && kind <= WATCHED_PERSISTENT; kind <<= 1) {
            if (!(at->armed & (ended | WATCHED_PERSISTENT) & kind))
                continue;
            told = true;
            cover(COVER_WATCH, (int32_t)ev->type, (int32_t)kind);
        }
        if (here)
            at->armed &= ~ended;
        if ((at->armed & WATCHED_RECURSIVE) && ev->type != ZK_EVENT_CHILDREN_CHANGED &&
            (here || model_is_below(ev->path, at->path))) {
            told = true;
            cover(COVER_WATCH, (int32_t)ev->type, WATCHED_RECURSIVE);
        }
    }
    return told && model_allows(&ev->acl, c->ids, ZK_PERM_READ);
}

static _Noreturn void fail_event(struct world *w, const struct conn *conn,
                                 const struct watch_seen *must)
{
    const struct watch_seen *is = conn->n_events > 0 ? &conn->events[0] : NULL;
    sim_fail(w, SIM_BROKEN,
             "client %u: event %d %s at zxid 0x%" PRIx64
             " is due, and the next is %d %s at 0x%" PRIx64,
             conn->client->index, must->type, must->path, (uint64_t)must->zxid, is ? is->type : 0,
             is ? is->path : "none", is ? (uint64_t)is->zxid : 0);
}

/* Take the event out of those that came: the first one, or any of this transaction's. */
static void take(struct world *w, struct conn *conn, const struct watch_seen *must, bool any_order)
{
    for (size_t i = 0; i < (any_order ? conn->n_events : MIN(conn->n_events, (size_t)1)); i++) {
        struct watch_seen *is = &conn->events[i];
        if (is->type != must->type || is->zxid != must->zxid || strcmp(is->path, must->path) != 0)
            continue;
        conn->n_events--;
        memmove(is, is + 1, (conn->n_events - i) * sizeof(*is));
        return;
    }
    fail_event(w, conn, must);
}

static void take_one(struct world *w, struct conn *conn, enum zk_event_type type, const char *path,
                     int64_t zxid, bool any_order)
{
    struct watch_seen must = {.type = type, .zxid = zxid};
    snprintf(must.path, sizeof(must.path), "%s", path);
    take(w, conn, &must, any_order);
}

/* All up to there has been told. */
void watchcheck_settle(struct world *w, struct conn *conn, const struct entry *at)
{
    struct client *c = conn->client;
    bool any = false;
    for (size_t i = 0; i < c->n_watched; i++)
        any |= c->watched[i].armed != 0;
    for (size_t z = conn->seen + 1; any && z <= at->index; z++) {
        const struct model *m = &w->chain[z]->after;
        for (size_t i = 0; i < m->n_events; i++) {
            if (fire(c, &m->events[i]))
                take_one(w, conn, m->events[i].type, m->events[i].path, w->chain[z]->zxid,
                         m->any_order);
        }
    }
    conn->seen = MAX(conn->seen, at->index);
}

void watchcheck_nothing_open(struct world *w, struct conn *conn)
{
    if (conn->n_events > 0)
        sim_fail(w, SIM_BROKEN, "client %u: event %d %s at 0x%" PRIx64 " is one too many",
                 conn->client->index, conn->events[0].type, conn->events[0].path,
                 (uint64_t)conn->events[0].zxid);
}

/* ---- Setting ---- */

static unsigned kinds_of_type(int32_t type)
{
    switch (type) {
    case ZK_WATCHER_CHILDREN:
        return WATCHED_CHILD;
    case ZK_WATCHER_DATA:
        return WATCHED_DATA | WATCHED_EXIST;
    case ZK_WATCHER_PERSISTENT:
        return WATCHED_PERSISTENT;
    case ZK_WATCHER_PERSISTENT_RECURSIVE:
        return WATCHED_RECURSIVE;
    default:
        return WATCHED_DATA | WATCHED_EXIST | WATCHED_CHILD | WATCHED_PERSISTENT |
               WATCHED_RECURSIVE;
    }
}

static void removed(struct world *w, struct client *c, const struct request *r, int32_t err)
{
    struct watched *at = watched_at(c, r->op.path);
    unsigned kinds = kinds_of_type(r->op.mode);
    cover_point(COVER_check_watch_removed);
    int32_t must = at->armed & kinds ? ZK_OK : ZK_NOWATCHER;
    if (err != must)
        sim_fail(w, SIM_BROKEN, "client %u: #%d removeWatches %s is answered %s, must be %s",
                 c->index, r->xid, r->op.path, zk_error_name(err), zk_error_name(must));
    at->armed &= ~kinds;
    at->believed &= ~kinds;
}

/* What the answer to a request means for the watches. */
void watchcheck_answered(struct world *w, struct conn *conn, const struct request *r, int32_t err)
{
    struct client *c = conn->client;
    unsigned kind = 0;
    switch (r->op.type) {
    case ZK_OP_removeWatches:
        removed(w, c, r, err);
        return;
    case ZK_OP_addWatch:
        if (err != ZK_OK)
            sim_fail(w, SIM_BROKEN, "client %u: #%d addWatch: %s", c->index, r->xid,
                     zk_error_name(err));
        kind = r->op.mode == ZK_WATCH_PERSISTENT ? WATCHED_PERSISTENT : WATCHED_RECURSIVE;
        break;
    case ZK_OP_exists:
        kind = err == ZK_NONODE ? WATCHED_EXIST : err == ZK_OK ? WATCHED_DATA : 0;
        break;
    case ZK_OP_getData:
        kind = err == ZK_OK ? WATCHED_DATA : 0;
        break;
    case ZK_OP_getChildren:
    case ZK_OP_getChildren2:
        kind = err == ZK_OK ? WATCHED_CHILD : 0;
        break;
    }
    if (kind == 0 || (!r->op.watch && r->op.type != ZK_OP_addWatch))
        return;
    struct watched *at = watched_at(c, r->op.path);
    at->believed |= kind;
    at->armed |= kind;
}

/* ---- Setting again, on a new connection ---- */

struct reset {
    int64_t relative_zxid;
    unsigned kind;
    char path[MODEL_PATH_MAX];
};

/* Walk the paths of a setWatches or setWatches2 packet. */
static void each_reset(struct world *w, struct conn *conn, struct slice frame, int64_t zxid,
                       void (*each)(struct world *w, struct conn *conn, const struct reset *what,
                                    int64_t zxid))
{
    struct jute_reader in = jute_reader_of(frame);
    struct zk_request_header h;
    zk_request_header_read(&in, &h);
    struct reset what = {.relative_zxid = jute_read_long(&in)};
    unsigned end = h.type == ZK_OP_setWatches2 ? WATCHED_RECURSIVE : WATCHED_CHILD;
    for (what.kind = WATCHED_DATA; what.kind <= end; what.kind <<= 1) {
        for (int32_t n = jute_read_int(&in); n > 0 && jute_ok(&in); n--) {
            struct slice path = jute_read_buffer(&in);
            snprintf(what.path, sizeof(what.path), "%.*s", SLICE_ARG(path));
            each(w, conn, &what, zxid);
        }
    }
    if (!jute_done(&in))
        sim_fail(w, SIM_BROKEN, "client %u: a bad setWatches", conn->client->index);
}

static void resetting(struct world *w, struct conn *conn, const struct reset *what, int64_t zxid)
{
    struct client *c = conn->client;
    struct watched *at = watched_at(c, what->path);
    (void)zxid;
    if (!(at->believed & what->kind))
        sim_fail(w, SIM_BROKEN, "client %u: its session sets a watch of kind %u at %s for nothing",
                 c->index, what->kind, what->path);
    if (what->relative_zxid != c->replied_zxid)
        sim_fail(w, SIM_BROKEN,
                 "client %u: its session has seen 0x%" PRIx64 ", and says 0x%" PRIx64, c->index,
                 (uint64_t)c->replied_zxid, (uint64_t)what->relative_zxid);
    at->reset |= what->kind;
}

/* The client's session asks for its watches again. */
void watchcheck_resetting(struct world *w, struct conn *conn, struct slice frame)
{
    each_reset(w, conn, frame, 0, resetting);
}

void watchcheck_all_reset(struct world *w, struct conn *conn)
{
    struct client *c = conn->client;
    for (size_t i = 0; i < c->n_watched; i++) {
        if (c->watched[i].believed & ~c->watched[i].reset)
            sim_fail(w, SIM_BROKEN, "client %u: its session forgot a watch at %s", c->index,
                     c->watched[i].path);
    }
}

/* What would have been told of since, if the watch had been there all the time; 0: nothing. */
static int missed(const struct model_node *n, const struct reset *what)
{
    switch (what->kind) {
    case WATCHED_DATA:
        return !n ? ZK_EVENT_DELETED : n->mzxid > what->relative_zxid ? ZK_EVENT_DATA_CHANGED : 0;
    case WATCHED_EXIST:
        return n ? ZK_EVENT_CREATED : 0;
    case WATCHED_CHILD:
        return !n                               ? ZK_EVENT_DELETED
               : n->pzxid > what->relative_zxid ? ZK_EVENT_CHILDREN_CHANGED
                                                : 0;
    default:
        return 0;
    }
}

static void reset(struct world *w, struct conn *conn, const struct reset *what, int64_t zxid)
{
    struct client *c = conn->client;
    const struct model_node *n = model_find(&journal_at(w, zxid)->after, what->path);
    int type = missed(n, what);
    cover_point(COVER_check_watch_reset);
    cover(COVER_MISSED, type, (int32_t)what->kind);
    if (type != 0 && (!n || model_allows(&n->acl, c->ids, ZK_PERM_READ)))
        take_one(w, conn, (enum zk_event_type)type, what->path, zxid, false);
    else
        watched_at(c, what->path)->armed |= what->kind;
}

/* The server has set them: at `zxid`, with events for what was missed. */
void watchcheck_reset(struct world *w, struct conn *conn, struct slice frame, int64_t zxid)
{
    each_reset(w, conn, frame, zxid, reset);
    watchcheck_nothing_open(w, conn);
}
