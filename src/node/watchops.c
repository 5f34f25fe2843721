/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests about watches, and telling the watchers.
 *
 * Events are written when their transaction is applied, so that a connection gets them before
 * any answer that shows the new state. Whoever may not read the node is not told. */
#include "internal.h"

bool watchop_room(struct node *n, struct node_conn *c, struct slice path)
{
    return c->watcher.count < n->config.watches_max &&
           c->watcher.bytes + slice_size(path) <= n->config.limits.watches_bytes_max &&
           n->watches.bytes + slice_size(path) <= n->config.limits.watches_all_max;
}

/* A connection has ended. Many watches are forgotten in the turns that follow; until then it is
 * not told of what they would fire for. */
void watch_drop(struct node *n, struct node_conn *c)
{
    if (list_is_empty(&c->drop_link) && !watcher_drop(&n->watches, &c->watcher, 16)) {
        c->refs++;
        list_append(&n->dropping, &c->drop_link);
    }
}

void watch_drop_more(struct node *n, size_t limit)
{
    while (!list_is_empty(&n->dropping) && limit > 0) {
        struct node_conn *c = LIST_FIRST(&n->dropping, struct node_conn, drop_link);
        size_t before = c->watcher.count;
        bool all = watcher_drop(&n->watches, &c->watcher, limit);
        limit -= before - c->watcher.count;
        if (!all)
            return;
        list_remove(&c->drop_link);
        conn_unref(n, c);
    }
}

static void send_event(struct node *n, struct node_conn *c, enum zk_event_type type,
                       struct slice path, int64_t zxid)
{
    struct zk_watcher_event ev = {.type = type, .state = ZK_STATE_SYNC_CONNECTED, .path = path};
    size_t start = reply_begin(c, ZK_XID_WATCH, zxid, ZK_OK);
    zk_watcher_event_write(&c->pub.out, &ev);
    reply_end(n, c, start);
}

/* Tell whom the events of the applied transaction concern. */
void watch_tell(struct node *n)
{
    for (size_t i = 0; i < n->outcome.n_events; i++) {
        const struct tree_event *ev = &n->outcome.events[i];
        watch_fire(&n->watches, ev->type, ev->path, &n->fired);
        if (n->fired.n == 0)
            continue;
        struct jute_vector acl = tree_acl(n->tree, ev->acl_id);
        for (size_t j = 0; j < n->fired.n; j++) {
            struct node_conn *c = container_of(n->fired.who[j], struct node_conn, watcher);
            struct jute_vector ids = auth_ids(c);
            if (c->state < CONN_CLOSING && acl_allows(n, &ids, &acl, ZK_PERM_READ))
                send_event(n, c, ev->type, ev->path, n->applying.zxid);
        }
    }
}

enum list_kind { LIST_DATA, LIST_EXIST, LIST_CHILD, LIST_PERSISTENT, LIST_RECURSIVE };

/* What happened to `path` since `zxid`, if the watch would have fired and the connection may know
 * of it; else ZK_EVENT_NONE. */
static enum zk_event_type missed(struct node *n, const struct node_conn *c, enum list_kind kind,
                                 struct slice path, int64_t zxid)
{
    const struct znode *z = tree_find(n->tree, path);
    struct zk_stat stat;
    if (!z)
        return kind == LIST_EXIST ? ZK_EVENT_NONE : ZK_EVENT_DELETED;
    struct jute_vector acl = tree_acl(n->tree, znode_acl_id(z)), ids = auth_ids(c);
    if (!acl_allows(n, &ids, &acl, ZK_PERM_READ))
        return ZK_EVENT_NONE;
    if (kind == LIST_EXIST)
        return ZK_EVENT_CREATED;
    znode_stat(z, &stat);
    if (kind == LIST_DATA)
        return stat.mzxid > zxid ? ZK_EVENT_DATA_CHANGED : ZK_EVENT_NONE;
    return stat.pzxid > zxid ? ZK_EVENT_CHILDREN_CHANGED : ZK_EVENT_NONE;
}

static int32_t set_one(struct node *n, struct node_conn *c, enum list_kind kind, struct slice path,
                       int64_t zxid)
{
    static const unsigned modes[] = {[LIST_DATA] = WATCH_DATA,
                                     [LIST_EXIST] = WATCH_DATA,
                                     [LIST_CHILD] = WATCH_CHILD,
                                     [LIST_PERSISTENT] = WATCH_PERSISTENT,
                                     [LIST_RECURSIVE] = WATCH_RECURSIVE};
    enum zk_event_type ev = ZK_EVENT_NONE;
    work_add(n, SET_WATCH_WORK + slice_size(path) / 64);
    if (zk_path_check(path, false))
        return ZK_BADARGUMENTS;
    if (kind < LIST_PERSISTENT)
        ev = missed(n, c, kind, path, zxid);
    if (ev != ZK_EVENT_NONE)
        send_event(n, c, ev, path, n->last_committed);
    else if (!watchop_room(n, c, path))
        return ZK_THROTTLEDOP;
    else
        watch_add(&n->watches, &c->watcher, path, modes[kind]);
    return ZK_OK;
}

/* Set those of a list, from where the last turn stopped. False: there are more of them. */
static bool set_list(struct node *n, struct node_conn *c, enum list_kind kind,
                     const struct jute_vector *paths, int64_t zxid, uint64_t limit, int32_t *err)
{
    struct jute_reader it = jute_vector_iter(paths);
    const uint8_t *start = it.pos;
    if (c->setting.offset > 0)
        it.pos += c->setting.offset;
    for (bool more = c->setting.done > 0; c->setting.done < paths->count && *err == ZK_OK;
         c->setting.done++) {
        if (c->state >= CONN_CLOSING)
            break;
        bool some = c->setting.done > 0 && c->setting.done % SET_WATCHES_SOME == 0;
        if (some && !more && !work_is_left(n, limit)) {
            c->setting.offset = (size_t)(it.pos - start);
            return false;
        }
        *err = set_one(n, c, kind, jute_read_buffer(&it), zxid);
        more = false;
    }
    return true;
}

static bool read_set_watches(struct slice body, bool second, struct zk_set_watches2 *q)
{
    struct jute_reader r = jute_reader_of(body);
    *q = (struct zk_set_watches2){0};
    if (second) {
        zk_set_watches2_read(&r, q);
    } else {
        struct zk_set_watches q1;
        zk_set_watches_read(&r, &q1);
        q->relative_zxid = q1.relative_zxid;
        q->data_watches = q1.data_watches;
        q->exist_watches = q1.exist_watches;
        q->child_watches = q1.child_watches;
    }
    return jute_ok(&r);
}

/* After a reconnect: watches that would have fired meanwhile fire now, the others are set. False:
 * there was more to do than up to `limit`, call it again; else *err is the answer. */
bool watchop_set(struct node *n, struct node_conn *c, bool second, struct slice body,
                 uint64_t limit, int32_t *err)
{
    struct zk_set_watches2 q;
    *err = read_set_watches(body, second, &q) ? ZK_OK : ZK_MARSHALLINGERROR;
    const struct jute_vector *lists[] = {&q.data_watches, &q.exist_watches, &q.child_watches,
                                         &q.persistent_watches, &q.persistent_recursive_watches};
    while (c->setting.list < ARRAY_LEN(lists) && *err == ZK_OK) {
        size_t i = c->setting.list;
        if (!set_list(n, c, (enum list_kind)i, lists[i], q.relative_zxid, limit, err))
            return false;
        c->setting.list++;
        c->setting.offset = 0;
        c->setting.done = 0;
    }
    c->setting.list = 0;
    return true;
}

int32_t watchop_add(struct node *n, struct node_conn *c, struct slice body, struct buf *out)
{
    struct jute_reader r = jute_reader_of(body);
    struct zk_watch_request q;
    zk_watch_request_read(&r, &q);
    if (!jute_ok(&r))
        return ZK_MARSHALLINGERROR;
    if (q.type != ZK_WATCH_PERSISTENT && q.type != ZK_WATCH_PERSISTENT_RECURSIVE)
        return ZK_BADARGUMENTS;
    if (zk_path_check(q.path, false))
        return ZK_BADARGUMENTS;
    if (!watchop_room(n, c, q.path))
        return ZK_THROTTLEDOP;
    watch_add(&n->watches, &c->watcher, q.path,
              q.type == ZK_WATCH_PERSISTENT ? WATCH_PERSISTENT : WATCH_RECURSIVE);
    jute_write_int(out, 0); /* ErrorResponse */
    return ZK_OK;
}

static unsigned modes_of_type(int32_t type)
{
    switch (type) {
    case ZK_WATCHER_CHILDREN:
        return WATCH_CHILD;
    case ZK_WATCHER_DATA:
        return WATCH_DATA;
    case ZK_WATCHER_PERSISTENT:
        return WATCH_PERSISTENT;
    case ZK_WATCHER_PERSISTENT_RECURSIVE:
        return WATCH_RECURSIVE;
    case ZK_WATCHER_ANY:
        return WATCH_CHILD | WATCH_DATA | WATCH_PERSISTENT | WATCH_RECURSIVE;
    default:
        return 0;
    }
}

int32_t watchop_check(struct node *n, struct node_conn *c, struct slice body, bool remove)
{
    struct jute_reader r = jute_reader_of(body);
    struct zk_watch_request q;
    zk_watch_request_read(&r, &q);
    if (!jute_ok(&r))
        return ZK_MARSHALLINGERROR;
    unsigned modes = modes_of_type(q.type);
    if (modes == 0 || zk_path_check(q.path, false))
        return ZK_BADARGUMENTS;
    if (remove)
        return watch_remove(&n->watches, &c->watcher, q.path, modes) ? ZK_OK : ZK_NOWATCHER;
    return watch_modes(&n->watches, &c->watcher, q.path) & modes ? ZK_OK : ZK_NOWATCHER;
}
