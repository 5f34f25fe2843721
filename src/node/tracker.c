/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions that are alive, and when they expire (ZooKeeper's SessionTracker).
 *
 * The tree knows which sessions exist; here is when each was last heard of. A session's id is a
 * server's own byte and a number that starts from the clock, as ZooKeeper makes it; its password
 * follows from the id, so that every server can check it. */
#include "internal.h"

#include <stdlib.h>

struct session *tracker_find(struct node *n, int64_t id)
{
    HMAP_FOR_EACH_WITH_HASH (s, &n->sessions, hash_u64((uint64_t)id), struct session, by_id) {
        if (s->id == id)
            return s;
    }
    return NULL;
}

struct session *tracker_add(struct node *n, int64_t id, int32_t timeout_ms)
{
    struct session *s = tracker_find(n, id);
    if (!s) {
        s = mem_zalloc(sizeof(*s));
        s->id = id;
        list_init(&s->touched_link);
        hmap_insert(&n->sessions, &s->by_id, hash_u64((uint64_t)id));
    }
    s->timeout_ms = timeout_ms;
    tracker_touch(n, s);
    return s;
}

void tracker_remove(struct node *n, struct session *s)
{
    if (s->conn)
        s->conn->session = NULL;
    hmap_remove(&n->sessions, &s->by_id);
    list_remove(&s->touched_link);
    free(s);
}

void tracker_touch(struct node *n, struct session *s)
{
    if (list_is_empty(&s->touched_link))
        list_append(&n->touched, &s->touched_link);
    s->expires_ms = n->now_ms + s->timeout_ms;
}

/* From now on it is `owner` who makes requests for it; where it was before they are refused. */
void tracker_own(struct node *n, struct session *s, uint64_t owner)
{
    s->owner = owner;
    if (owner != OWNER_SELF && s->conn)
        conn_close(n, s->conn);
}

/* The sessions of the tree, each with its whole timeout from now on. */
void tracker_load(struct node *n)
{
    size_t cursor = 0;
    int64_t id;
    int32_t timeout_ms;
    while (tree_session_next(n->tree, &cursor, &id, &timeout_ms))
        tracker_add(n, id, timeout_ms);
}

/* Looked for a few times a tick, which is the unit that timeouts are given in. */
void tracker_expire(struct node *n)
{
    if (n->now_ms < n->next_expiry_ms || node_is_learner(n) || !n->serving || !n->proposing)
        return;
    n->next_expiry_ms = n->now_ms + n->config.tick_ms / 4;
    HMAP_FOR_EACH (s, &n->sessions, struct session, by_id) {
        if (s->closing || s->expires_ms > n->now_ms)
            continue;
        node_log(n, LOG_LEVEL_INFO, "session 0x%llx: expired, nothing heard for %d ms",
                 (unsigned long long)s->id, (int)s->timeout_ms);
        struct node_conn *c = s->conn;
        propose_close_session(n, NULL, s->id, 0);
        if (c)
            conn_close(n, c);
    }
}

int64_t tracker_new_id(struct node *n)
{
    if (n->next_session_id == 0) {
        uint64_t start = (uint64_t)n->wall_ms << 24 >> 8;
        n->next_session_id = (int64_t)((uint64_t)n->config.server_id << 56 | start);
    }
    int64_t id;
    do
        id = n->next_session_id++;
    while (id == 0 || ephemeral_type_of(id) != EPHEMERAL_SESSION || tracker_find(n, id));
    return id;
}

/* java.util.Random(id ^ superSecret).nextBytes(): the same password on every server. */
void tracker_password(int64_t id, uint8_t password[ZK_PASSWORD_SIZE])
{
    const uint64_t mask = (1ull << 48) - 1;
    uint64_t seed = (((uint64_t)id ^ 0xb3415c00ull) ^ 0x5deece66dull) & mask;
    for (int i = 0; i < ZK_PASSWORD_SIZE; i += 4) {
        seed = (seed * 0x5deece66dull + 0xb) & mask;
        uint32_t v = (uint32_t)(seed >> 16);
        for (int j = 0; j < 4; j++)
            password[i + j] = (uint8_t)(v >> (8 * j));
    }
}

bool tracker_password_ok(int64_t id, struct slice password)
{
    uint8_t right[ZK_PASSWORD_SIZE];
    unsigned difference = 0;
    if (password.len != ZK_PASSWORD_SIZE)
        return false;
    tracker_password(id, right);
    for (int i = 0; i < ZK_PASSWORD_SIZE; i++)
        difference |= right[i] ^ password.data[i];
    return difference == 0;
}
