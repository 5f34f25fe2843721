/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who owns nodes: sessions own ephemeral nodes; containers and TTL nodes are kept in a list of
 * their kind. The links are in the nodes' extra part, so that plain nodes pay nothing. */
#include "internal.h"

#include <stdlib.h>

#define TTL_MARK 0xff00000000000000ull
#define TTL_MAX_MS 0xffffffffffll

enum ephemeral_type ephemeral_type_of(int64_t owner)
{
    if (owner == 0)
        return EPHEMERAL_NONE;
    if (owner == INT64_MIN)
        return EPHEMERAL_CONTAINER;
    return ((uint64_t)owner & ~(uint64_t)TTL_MAX_MS) == TTL_MARK ? EPHEMERAL_TTL
                                                                 : EPHEMERAL_SESSION;
}

bool ephemeral_ttl_is_valid(int64_t ttl_ms)
{
    return ttl_ms > 0 && ttl_ms <= TTL_MAX_MS;
}

int64_t ephemeral_owner_of_ttl(int64_t ttl_ms)
{
    ensure(ephemeral_ttl_is_valid(ttl_ms));
    return (int64_t)(TTL_MARK | (uint64_t)ttl_ms);
}

int64_t ephemeral_ttl_of(int64_t owner)
{
    return owner & TTL_MAX_MS;
}

/* ---- Sessions ---- */

struct session *tree_session_find(const struct tree *t, int64_t id)
{
    HMAP_FOR_EACH_WITH_HASH (s, &t->sessions, hash_u64((uint64_t)id), struct session, by_id) {
        if (s->id == id)
            return s;
    }
    return NULL;
}

static struct session *session_get(struct tree *t, int64_t id)
{
    struct session *s = tree_session_find(t, id);
    if (!s) {
        s = mem_zalloc(sizeof(*s));
        s->id = id;
        hmap_insert(&t->sessions, &s->by_id, hash_u64((uint64_t)id));
    }
    return s;
}

static void session_free_unused(struct tree *t, struct session *s)
{
    if (!s->open && s->owned.first == NODE_NONE) {
        hmap_remove(&t->sessions, &s->by_id);
        free(s);
    }
}

void tree_session_open(struct tree *t, int64_t id, int32_t timeout_ms)
{
    struct session *s = session_get(t, id);
    t->n_sessions += !s->open;
    s->open = true;
    s->timeout_ms = timeout_ms;
}

void tree_session_close(struct tree *t, int64_t id)
{
    struct session *s = tree_session_find(t, id);
    if (!s)
        return;
    t->n_sessions -= s->open;
    s->open = false;
    session_free_unused(t, s);
}

void tree_sessions_clear(struct tree *t)
{
    HMAP_FOR_EACH_SAFE (s, &t->sessions, struct session, by_id)
        free(s);
    hmap_close(&t->sessions);
    t->n_sessions = 0;
}

bool tree_session_timeout(const struct tree *t, int64_t session_id, int32_t *timeout_ms)
{
    const struct session *s = tree_session_find(t, session_id);
    if (!s || !s->open)
        return false;
    *timeout_ms = s->timeout_ms;
    return true;
}

size_t tree_session_count(const struct tree *t)
{
    return t->n_sessions;
}

/* The cursor is the map's node. */
bool tree_session_next(const struct tree *t, size_t *cursor, int64_t *session_id,
                       int32_t *timeout_ms)
{
    const struct hmap_node *node = (const struct hmap_node *)*cursor;
    while ((node = node ? hmap_next(&t->sessions, node) : hmap_first(&t->sessions))) {
        const struct session *s = container_of(node, const struct session, by_id);
        if (s->open) {
            *session_id = s->id;
            *timeout_ms = s->timeout_ms;
            *cursor = (size_t)node;
            return true;
        }
    }
    return false;
}

/* ---- What is owned ---- */

static struct node_list *owned_list(struct tree *t, int64_t owner)
{
    switch (ephemeral_type_of(owner)) {
    case EPHEMERAL_SESSION:
        return &session_get(t, owner)->owned;
    case EPHEMERAL_CONTAINER:
        return &t->containers;
    case EPHEMERAL_TTL:
        return &t->ttls;
    case EPHEMERAL_NONE:
        break;
    }
    return NULL;
}

static struct extra *owned_at(struct tree *t, uint32_t i)
{
    return znode_make_extra(znode_at(t, i));
}

void znode_set_owner(struct tree *t, uint32_t i, int64_t owner)
{
    struct node_list *list = owned_list(t, owner);
    if (!list)
        return;
    struct extra *e = owned_at(t, i);
    ensure(e->owner == 0);
    e->owner = owner;
    e->owned_prev = list->last;
    if (list->last != NODE_NONE)
        owned_at(t, list->last)->owned_next = i;
    else
        list->first = i;
    list->last = i;
    t->n_ephemerals += ephemeral_type_of(owner) == EPHEMERAL_SESSION;
}

void znode_clear_owner(struct tree *t, uint32_t i)
{
    int64_t owner = znode_owner(znode_at(t, i));
    struct node_list *list = owned_list(t, owner);
    if (!list)
        return;
    struct extra *e = owned_at(t, i);
    if (t->sweep.next == i)
        t->sweep.next = e->owned_next;
    if (e->owned_prev != NODE_NONE)
        owned_at(t, e->owned_prev)->owned_next = e->owned_next;
    else
        list->first = e->owned_next;
    if (e->owned_next != NODE_NONE)
        owned_at(t, e->owned_next)->owned_prev = e->owned_prev;
    else
        list->last = e->owned_prev;
    e->owner = e->owned_prev = e->owned_next = NODE_NONE;
    if (ephemeral_type_of(owner) == EPHEMERAL_SESSION) {
        t->n_ephemerals--;
        session_free_unused(t, tree_session_find(t, owner));
    }
}

size_t tree_ephemeral_count(const struct tree *t)
{
    return t->n_ephemerals;
}

static const struct znode *znode_or_null(const struct tree *t, uint32_t i)
{
    return i != NODE_NONE ? znode_at(t, i) : NULL;
}

const struct znode *tree_first_ephemeral(const struct tree *t, int64_t session_id)
{
    const struct session *s = tree_session_find(t, session_id);
    return s ? znode_or_null(t, s->owned.first) : NULL;
}

const struct znode *tree_next_ephemeral(const struct tree *t, const struct znode *n)
{
    return znode_or_null(t, znode_extra(n)->owned_next);
}

/* ---- What may be removed ---- */

static bool znode_is_expired(const struct znode *n, int64_t now_ms)
{
    const struct extra *e = znode_extra(n);
    if (e->num_children > 0)
        return false;
    if (e->owner == INT64_MIN)
        return e->cversion > 0;
    int64_t age_ms = (int64_t)((uint64_t)now_ms - (uint64_t)n->mtime);
    return ephemeral_ttl_of(e->owner) != 0 && age_ms > ephemeral_ttl_of(e->owner);
}

void tree_sweep_begin(struct tree *t)
{
    t->sweep = (struct sweep){.stage = SWEEP_CONTAINERS, .next = t->containers.first};
}

/* The next node of the sweep, or NODE_NONE at its end. */
static uint32_t sweep_take(struct tree *t)
{
    struct sweep *s = &t->sweep;
    if (s->stage == SWEEP_CONTAINERS && s->next == NODE_NONE)
        *s = (struct sweep){.stage = SWEEP_TTLS, .next = t->ttls.first};
    uint32_t i = s->next;
    if (i != NODE_NONE)
        s->next = znode_extra(znode_at(t, i))->owned_next;
    else
        s->stage = SWEEP_OVER;
    return i;
}

bool tree_sweep_next(struct tree *t, int64_t now_ms, size_t looks, size_t limit, struct buf *paths)
{
    for (size_t found = 0; looks > 0 && found < limit; looks--) {
        uint32_t i = sweep_take(t);
        if (i == NODE_NONE)
            return false;
        const struct znode *n = znode_at(t, i);
        if (znode_is_expired(n, now_ms)) {
            jute_write_int(paths, (int32_t)znode_path_len(t, n));
            tree_path(t, n, paths);
            found++;
        }
    }
    return true;
}
