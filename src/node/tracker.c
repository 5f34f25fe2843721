/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions that are alive, and when they expire (ZooKeeper's SessionTracker).
 *
 * The tree knows which sessions exist; here is when each was last heard of. Each is in a slot of a
 * wheel of deadlines and is looked at when that is due: most often it was heard of since, and goes
 * to the slot of its deadline of now. So hearing of one costs next to nothing, and nobody walks
 * over all of them. What changes for every session with a new leader is made up for when the
 * session is next looked for. One turn looks at so many and closes so many; the next goes on.
 *
 * A session's id is a server's own byte and a number that starts from the clock, as ZooKeeper makes
 * it; its password follows from the id, so that every server can check it. */
#include "internal.h"

#include <stdlib.h>

enum {
    LINES_MAX = 10, /* about expired sessions, in one turn */
};

/* ---- The wheel ---- */

static int64_t slot_ms(const struct node *n)
{
    return MAX(n->config.tick_ms / 8, 1);
}

/* To be looked at when `due_ms` is over, or before that if it is far away. */
static void set_due(struct node *n, struct session *s, int64_t due_ms)
{
    int64_t slot = (due_ms + slot_ms(n) - 1) / slot_ms(n);
    slot = MIN(MAX(slot, n->due_next), n->due_next + DUE_SLOTS - 1);
    list_remove(&s->due_link);
    list_append(&n->due[slot % DUE_SLOTS], &s->due_link);
    s->due_ms = due_ms;
}

void tracker_init(struct node *n)
{
    n->due_next = n->now_ms / slot_ms(n);
    for (size_t i = 0; i < DUE_SLOTS; i++)
        list_init(&n->due[i]);
}

static void set_deadline(struct node *n, struct session *s, int64_t expires_ms)
{
    s->expires_ms = expires_ms;
    if (expires_ms < s->due_ms)
        set_due(n, s, expires_ms);
}

/* ---- Sessions ---- */

/* A session from before the last election: nobody has asked for it yet, and nobody has proposed
 * its end. Each has its whole timeout from that election on, and they do not all expire at once.
 * False if it was among those that were proposed and never committed. */
static bool renew(struct node *n, struct session *s)
{
    int32_t timeout_ms;
    int64_t later_ms = (int64_t)(n->n_renewed++ * (uint64_t)n->config.tick_ms / DUE_SPREAD);
    s->era = n->era;
    s->closing = false;
    s->owner = 0;
    set_deadline(n, s, n->era_began_ms + s->timeout_ms + later_ms);
    return tree_session_timeout(n->tree, s->id, &timeout_ms);
}

/* There is a leader, here or elsewhere. */
void tracker_begin_era(struct node *n)
{
    n->era++;
    n->era_began_ms = n->now_ms;
    n->n_renewed = 0;
    n->due_left = true;
}

struct session *tracker_find(struct node *n, int64_t id)
{
    HMAP_FOR_EACH_WITH_HASH (s, &n->sessions, hash_u64((uint64_t)id), struct session, by_id) {
        if (s->id != id)
            continue;
        if (s->era == n->era || renew(n, s))
            return s;
        tracker_remove(n, s);
        return NULL;
    }
    return NULL;
}

struct session *tracker_add(struct node *n, int64_t id, int32_t timeout_ms)
{
    struct session *s = tracker_find(n, id);
    if (!s) {
        s = mem_zalloc(sizeof(*s));
        s->id = id;
        s->era = n->era;
        list_init(&s->touched_link);
        list_init(&s->due_link);
        list_init(&s->in_flight);
        hmap_insert(&n->sessions, &s->by_id, hash_u64((uint64_t)id));
        set_due(n, s, n->now_ms + timeout_ms);
    }
    s->timeout_ms = timeout_ms;
    tracker_touch(n, s);
    return s;
}

void tracker_remove(struct node *n, struct session *s)
{
    if (s->conn)
        s->conn->session = NULL;
    LIST_FOR_EACH_SAFE (ch, &s->in_flight, struct change, owned_link)
        list_remove(&ch->owned_link);
    hmap_remove(&n->sessions, &s->by_id);
    list_remove(&s->touched_link);
    list_remove(&s->due_link);
    free(s);
}

void tracker_touch(struct node *n, struct session *s)
{
    if (list_is_empty(&s->touched_link))
        list_append(&n->touched, &s->touched_link);
    set_deadline(n, s, n->now_ms + s->timeout_ms);
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

/* ---- Expiry ---- */

static void expire(struct node *n, struct session *s, unsigned n_before)
{
    if (n_before < LINES_MAX)
        node_log(n, LOG_LEVEL_INFO, "session 0x%llx: expired, nothing heard for %d ms",
                 (unsigned long long)s->id, (int)s->timeout_ms);
    struct node_conn *c = s->conn;
    propose_close_session(n, NULL, s->id, 0);
    if (c)
        conn_close(n, c);
}

/* It is due: true if it has expired. One whose end was proposed stays in the wheel, since a new
 * leader may not know of that. */
static bool look_at(struct node *n, struct session *s)
{
    bool expired = !s->closing && s->expires_ms <= n->now_ms;
    set_due(n, s, MAX(s->expires_ms, n->now_ms + slot_ms(n)));
    return expired;
}

/* The next session of those that are due, or NULL. */
static struct session *next_due(struct node *n)
{
    int64_t now = n->now_ms / slot_ms(n);
    n->due_next = MAX(n->due_next, now - DUE_SLOTS + 1);
    for (; n->due_next <= now; n->due_next++) {
        struct list *slot = &n->due[n->due_next % DUE_SLOTS];
        if (!list_is_empty(slot))
            return LIST_FIRST(slot, struct session, due_link);
    }
    return NULL;
}

bool tracker_has_more(const struct node *n)
{
    return n->due_left && n->now_ms >= n->next_expiry_ms && !node_is_learner(n) && n->serving &&
           n->proposing;
}

/* Looked for in each turn until all that are due were looked at. */
void tracker_expire_more(struct node *n)
{
    struct session *s;
    unsigned looks = 0, closed = 0;
    if (!tracker_has_more(n))
        return;
    while (looks < n->config.limits.due_looks && closed < n->config.limits.due_closed &&
           (s = next_due(n)) != NULL) {
        looks++;
        if (s->era != n->era && !renew(n, s))
            tracker_remove(n, s);
        else if (look_at(n, s))
            expire(n, s, closed++);
    }
    if (closed > LINES_MAX)
        node_log(n, LOG_LEVEL_INFO, "%u more sessions expired", closed - LINES_MAX);
    n->due_left = looks == n->config.limits.due_looks || closed == n->config.limits.due_closed;
}

void tracker_expire(struct node *n)
{
    n->due_left = true;
    tracker_expire_more(n);
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
