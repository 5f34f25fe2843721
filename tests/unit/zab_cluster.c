/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zab_cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    RANDOM_WRITES_MAX = 4000,
    LOG_MAX = 8192,
    EPOCHS_MAX = 4096,
    WRITE_EVERY_MS = 20,
    FAULT_EVERY_MS = 400,
    CLOCK_MS = 10,
};

struct entry {
    int64_t zxid;
    int64_t value; /* one proposal is unlike any other */
};

enum what {
    TO_CORE,     /* `event`, `data` */
    TO_LEADER,   /* a packet, or its end */
    TO_LEARNER,  /* likewise */
    TRY_CONNECT, /* to the leader of attempt `n` */
    DISK,        /* an operation is durable */
    CLOCK,
};

enum disk_op {
    DISK_LOG, /* all up to entry `n` */
    DISK_ACCEPTED,
    DISK_CURRENT,
    DISK_PROPOSED_ID,
    DISK_ID,
    DISK_TRUNCATE,
    DISK_TREE,
};

struct event {
    int64_t at;
    uint64_t seq;
    enum what what;
    size_t server;
    unsigned life; /* of the server; an event of an earlier one is void */
    struct zab_event event;
    uint64_t conn;
    int32_t type; /* packet type, 0: closed */
    int64_t zxid;
    enum disk_op op;
    size_t n;
    struct slice data; /* owned */
};

struct conn {
    uint64_t id;
    size_t learner, leader;
    bool learner_open, leader_open;
    bool cut; /* by a fault: nothing arrives any more */
    int64_t last_to_leader, last_to_learner;
};

struct server {
    struct zab *z;
    struct zab_effects fx;
    bool up;
    bool lost; /* its disk, and has not served since: it counts as one that has all */
    unsigned life;
    int64_t disk_ms;
    int64_t disk_free_at;
    bool syncing; /* one sync of the log at a time: for all that was appended before it */
    /* Disk. */
    struct entry log[LOG_MAX];
    size_t n, durable, floor;
    int64_t accepted, current, proposed_id, id;
    /* Memory. */
    enum zab_state state;
    enum zab_phase phase;
    int64_t tree_zxid;
    size_t applied;
    uint64_t conn; /* to the leader */
    unsigned attempt;
    size_t wanted_leader;
    bool holding; /* packets of the leader wait for the disk */
    struct event *held;
    size_t n_held;
    const struct event *at_hand;
};

struct cluster {
    struct rng rng;
    enum breakage breakage;
    size_t n, n_voters;
    struct zab_server servers_of[CLUSTER_MAX];
    struct server servers[CLUSTER_MAX];
    bool cut[CLUSTER_MAX][CLUSTER_MAX];
    int64_t last_notify[CLUSTER_MAX][CLUSTER_MAX];
    struct event *heap;
    size_t n_heap, cap_heap;
    uint64_t seq, next_conn;
    int64_t now;
    struct conn *conns;
    size_t n_conns, cap_conns;
    int64_t next_value;
    struct entry committed[LOG_MAX];
    size_t n_committed;
    int leader_of[EPOCHS_MAX]; /* sid, 0: none */
    size_t n_epochs, n_truncates, n_trees;
    bool writing;
    char failure[256];
};

static void fail_check(struct cluster *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fail_check(struct cluster *c, const char *fmt, ...)
{
    va_list ap;
    if (c->failure[0])
        return;
    int at = snprintf(c->failure, sizeof(c->failure), "at %" PRId64 " ms: ", c->now);
    va_start(ap, fmt);
    vsnprintf(c->failure + at, sizeof(c->failure) - (size_t)at, fmt, ap);
    va_end(ap);
}

/* ---- The queue of what will happen ---- */

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void push(struct cluster *c, struct event ev, int64_t delay)
{
    if (c->n_heap == c->cap_heap) {
        c->cap_heap = MAX(c->cap_heap * 2, 256);
        c->heap = mem_realloc(c->heap, c->cap_heap * sizeof(*c->heap));
    }
    ev.at = c->now + delay;
    ev.seq = c->seq++;
    ev.life = c->servers[ev.server].life;
    size_t i = c->n_heap++;
    for (; i > 0 && is_before(&ev, &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
        c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = ev;
}

static struct event pop(struct cluster *c)
{
    struct event first = c->heap[0], last = c->heap[--c->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < c->n_heap && is_before(&c->heap[child + 1], &c->heap[child]))
            child++;
        if (child >= c->n_heap || !is_before(&c->heap[child], &last))
            break;
        c->heap[i] = c->heap[child];
        i = child;
    }
    c->heap[i] = last;
    return first;
}

static struct slice copy(struct slice s)
{
    if (slice_is_null(s))
        return s;
    uint8_t *bytes = mem_alloc(slice_size(s));
    memcpy(bytes, s.data, slice_size(s));
    return slice_of(bytes, slice_size(s));
}

static void drop(struct event *ev)
{
    free((void *)ev->data.data);
    ev->data = SLICE_NULL;
}

static int64_t net_delay(struct cluster *c)
{
    return rng_one_in(&c->rng, 50) ? 50 + (int64_t)rng_below(&c->rng, 200)
                                   : 1 + (int64_t)rng_below(&c->rng, 5);
}

/* ---- Logs ---- */

static size_t log_find(const struct server *s, int64_t zxid)
{
    size_t n = s->n;
    while (n > 0 && s->log[n - 1].zxid > zxid)
        n--;
    return n; /* entries up to zxid */
}

static int64_t log_last(const struct server *s)
{
    return s->n > 0 ? s->log[s->n - 1].zxid : 0;
}

static bool same(struct entry a, struct entry b)
{
    return a.zxid == b.zxid && a.value == b.value;
}

static void check_durable(struct cluster *c)
{
    size_t holders = 0;
    for (size_t i = 0; i < c->n_voters; i++) {
        const struct server *s = &c->servers[i];
        holders += c->n_committed == 0 || s->lost ||
                   (s->durable >= c->n_committed &&
                    same(s->log[c->n_committed - 1], c->committed[c->n_committed - 1]));
    }
    if (holders <= c->n_voters / 2)
        fail_check(c, "only %zu servers hold what is committed, up to 0x%" PRIx64, holders,
                   c->committed[c->n_committed - 1].zxid);
}

static void check_commit(struct cluster *c, size_t i, int64_t zxid)
{
    struct server *s = &c->servers[i];
    size_t n = log_find(s, zxid);
    if (n == 0 || s->log[n - 1].zxid != zxid) {
        fail_check(c, "server %zu commits 0x%" PRIx64 ", which its log has not", i + 1, zxid);
        return;
    }
    for (size_t k = s->applied; k < n; k++) {
        if (k == c->n_committed)
            c->committed[c->n_committed++] = s->log[k];
        else if (!same(c->committed[k], s->log[k]))
            fail_check(c, "server %zu commits 0x%" PRIx64 " at %zu, others 0x%" PRIx64, i + 1,
                       s->log[k].zxid, k, c->committed[k].zxid);
    }
    s->applied = MAX(s->applied, n);
    s->tree_zxid = MAX(s->tree_zxid, zxid);
    check_durable(c);
}

static void check_established(struct cluster *c, size_t i, int64_t epoch)
{
    const struct server *s = &c->servers[i];
    ensure(epoch < EPOCHS_MAX);
    if (c->leader_of[epoch] != 0)
        fail_check(c, "epoch %" PRId64 " has leaders %d and %zu", epoch, c->leader_of[epoch],
                   i + 1);
    c->leader_of[epoch] = (int)i + 1;
    c->n_epochs++;
    if (s->n < c->n_committed)
        fail_check(c, "leader %zu lacks committed transactions", i + 1);
    for (size_t k = 0; k < MIN(s->n, c->n_committed); k++) {
        if (!same(s->log[k], c->committed[k]))
            fail_check(c, "leader %zu has another history at %zu", i + 1, k);
    }
}

/* ---- The network ---- */

static struct conn *conn_find(struct cluster *c, uint64_t id)
{
    for (size_t i = c->n_conns; i-- > 0;) {
        if (c->conns[i].id == id)
            return &c->conns[i];
    }
    return NULL;
}

static void send_on(struct cluster *c, struct conn *k, enum what what, int32_t type, int64_t zxid,
                    struct slice data)
{
    int64_t *last = what == TO_LEADER ? &k->last_to_leader : &k->last_to_learner;
    int64_t delay = net_delay(c);
    int64_t at = *last = MAX(*last, c->now + delay);
    struct event ev = {.what = what,
                       .server = what == TO_LEADER ? k->leader : k->learner,
                       .conn = k->id,
                       .type = type,
                       .zxid = zxid,
                       .data = copy(data)};
    push(c, ev, at - c->now);
}

static void send_entry(struct cluster *c, struct conn *k, int32_t type, struct entry e)
{
    struct buf b = {0};
    struct zk_txn_header h = {.client_id = e.value, .zxid = e.zxid};
    zk_txn_header_write(&b, &h);
    send_on(c, k, TO_LEARNER, type, e.zxid, buf_slice(&b));
    buf_close(&b);
}

static void close_side(struct cluster *c, uint64_t id, bool leader_side)
{
    struct conn *k = conn_find(c, id);
    if (!k)
        return;
    bool *open = leader_side ? &k->leader_open : &k->learner_open;
    if (!*open)
        return;
    *open = false;
    send_on(c, k, leader_side ? TO_LEARNER : TO_LEADER, 0, 0, SLICE_NULL);
}

static void try_connect(struct cluster *c, size_t i, unsigned attempt)
{
    struct server *s = &c->servers[i], *l = &c->servers[s->wanted_leader];
    if (attempt != s->attempt)
        return;
    if (!l->up || l->state != ZAB_LEADING || c->cut[i][s->wanted_leader]) {
        push(c, (struct event){.what = TRY_CONNECT, .server = i, .n = attempt, .data = SLICE_NULL},
             50);
        return;
    }
    if (c->n_conns == c->cap_conns) {
        c->cap_conns = MAX(c->cap_conns * 2, 64);
        c->conns = mem_realloc(c->conns, c->cap_conns * sizeof(*c->conns));
    }
    struct conn *k = &c->conns[c->n_conns++];
    *k = (struct conn){.id = ++c->next_conn,
                       .learner = i,
                       .leader = s->wanted_leader,
                       .learner_open = true,
                       .leader_open = true};
    s->conn = k->id;
    struct event opened = {.what = TO_CORE, .server = k->leader, .data = SLICE_NULL};
    opened.event = (struct zab_event){.type = ZAB_EV_LEARNER_OPENED, .conn = k->id};
    push(c, opened, 0);
    opened.server = i;
    opened.conn = k->id;
    opened.event.type = ZAB_EV_LEADER_OPENED;
    push(c, opened, 0);
}

/* ---- The disk ---- */

static void disk_begin(struct cluster *c, size_t i, enum disk_op op, size_t n, int64_t zxid,
                       struct slice data)
{
    struct server *s = &c->servers[i];
    int64_t wait = (int64_t)rng_below(&c->rng, 4) + s->disk_ms;
    s->disk_free_at = MAX(s->disk_free_at, c->now) + wait;
    push(c,
         (struct event){
             .what = DISK, .server = i, .op = op, .n = n, .zxid = zxid, .data = copy(data)},
         s->disk_free_at - c->now);
}

static void disk_tree(struct server *s, const struct event *ev)
{
    s->n = 0;
    for (size_t at = 0; at < slice_size(ev->data); at += sizeof(struct entry))
        memcpy(&s->log[s->n++], ev->data.data + at, sizeof(struct entry));
    s->durable = s->floor = s->n;
}

/* The operation takes effect on the medium. */
static void disk_do(struct cluster *c, struct server *s, const struct event *ev)
{
    bool is_broken = false;
    switch (ev->op) {
    case DISK_LOG:
        s->durable = MAX(s->durable, MIN(ev->n, s->n));
        break;
    case DISK_ACCEPTED:
        is_broken = c->breakage == BREAK_ACCEPTED_EPOCH;
        s->accepted = is_broken ? s->accepted : ev->zxid;
        break;
    case DISK_CURRENT:
        is_broken = c->breakage == BREAK_CURRENT_EPOCH;
        s->current = is_broken ? s->current : ev->zxid;
        break;
    case DISK_PROPOSED_ID:
        s->proposed_id = ev->zxid;
        break;
    case DISK_ID:
        s->id = ev->zxid;
        break;
    case DISK_TRUNCATE:
        if (c->breakage == BREAK_TRUNCATE)
            break;
        s->n = log_find(s, ev->zxid);
        s->durable = MIN(s->durable, s->n);
        c->n_truncates++;
        break;
    case DISK_TREE:
        disk_tree(s, ev);
        c->n_trees++;
        break;
    }
}

static void sync_log(struct cluster *c, size_t i);
static void step(struct cluster *c, size_t i, struct zab_event ev);
static void deliver_held(struct cluster *c, size_t i);

static void disk_done(struct cluster *c, size_t i, struct event *ev)
{
    struct server *s = &c->servers[i];
    struct zab_event out = {0};
    const struct conn *k = conn_find(c, s->conn);
    disk_do(c, s, ev);
    check_durable(c);
    switch (ev->op) {
    case DISK_LOG:
        s->syncing = false;
        sync_log(c, i);
        if (c->breakage == BREAK_PERSISTED_EARLY || s->durable == 0)
            return;
        out = (struct zab_event){.type = ZAB_EV_PERSISTED, .zxid = s->log[s->durable - 1].zxid};
        break;
    case DISK_ACCEPTED:
    case DISK_CURRENT:
    case DISK_PROPOSED_ID:
    case DISK_ID:
        out.type = ZAB_EV_SAVED;
        break;
    case DISK_TRUNCATE:
        out = (struct zab_event){.type = ZAB_EV_TRUNCATED, .zxid = log_last(s)};
        if (c->breakage == BREAK_TRUNCATE)
            out.zxid = ev->zxid;
        s->tree_zxid = out.zxid;
        s->applied = MIN(s->applied, s->n);
        break;
    case DISK_TREE:
        out = (struct zab_event){.type = ZAB_EV_TREE_INSTALLED, .zxid = ev->zxid};
        s->tree_zxid = ev->zxid;
        break;
    }
    step(c, i, out);
    if (s->holding && (ev->op == DISK_TRUNCATE || (ev->op == DISK_TREE && k)))
        deliver_held(c, i);
}

static void sync_log(struct cluster *c, size_t i)
{
    struct server *s = &c->servers[i];
    if (s->syncing || s->durable == s->n)
        return;
    s->syncing = true;
    disk_begin(c, i, DISK_LOG, s->n, 0, SLICE_NULL);
}

static void append(struct cluster *c, size_t i, struct entry e)
{
    struct server *s = &c->servers[i];
    ensure(s->n < LOG_MAX);
    bool is_broken = c->breakage == BREAK_APPEND && s->state != ZAB_LEADING;
    if (!is_broken || !rng_one_in(&c->rng, 10))
        s->log[s->n++] = e;
    sync_log(c, i);
    if (c->breakage != BREAK_PERSISTED_EARLY)
        return;
    struct event ev = {.what = TO_CORE, .server = i, .data = SLICE_NULL};
    ev.event = (struct zab_event){.type = ZAB_EV_PERSISTED, .zxid = e.zxid};
    push(c, ev, 0);
}

/* ---- Effects ---- */

static void choose_sync(struct cluster *c, size_t i, const struct zab_effect *e)
{
    const struct server *s = &c->servers[i];
    size_t n = log_find(s, MIN(e->zxid, e->to_zxid));
    struct event ev = {.what = TO_CORE, .server = i, .data = SLICE_NULL};
    ev.event = (struct zab_event){.type = ZAB_EV_SYNC_CHOSEN, .conn = e->conn};
    if (rng_one_in(&c->rng, 10))
        ev.event.sync = ZAB_SYNC_SNAP;
    else if (zxid_counter(e->zxid) == 0 || (n > 0 && s->log[n - 1].zxid == e->zxid))
        ev.event.sync = ZAB_SYNC_DIFF;
    else if (n > 0)
        ev.event.sync = ZAB_SYNC_TRUNC, ev.event.zxid = s->log[n - 1].zxid;
    else
        ev.event.sync = ZAB_SYNC_SNAP;
    if (c->breakage == BREAK_SYNC)
        ev.event.sync = ZAB_SYNC_DIFF;
    push(c, ev, (int64_t)rng_below(&c->rng, 3));
}

static void send_log(struct cluster *c, size_t i, const struct zab_effect *e)
{
    const struct server *s = &c->servers[i];
    struct conn *k = conn_find(c, e->conn);
    bool pending = e->type == ZAB_FX_SEND_PENDING;
    size_t from = log_find(s, pending ? e->to_zxid : e->zxid);
    size_t to = pending ? s->n : log_find(s, e->to_zxid);
    if (pending && c->breakage == BREAK_SYNC_PENDING)
        return;
    for (size_t at = from; at < to; at++) {
        send_entry(c, k, ZAB_PROPOSAL, s->log[at]);
        if (!pending)
            send_on(c, k, TO_LEARNER, ZAB_COMMIT, s->log[at].zxid, SLICE_NULL);
    }
}

static void send_tree(struct cluster *c, size_t i, const struct zab_effect *e)
{
    const struct server *s = &c->servers[i];
    size_t n = log_find(s, e->zxid);
    if (e->zxid != s->tree_zxid)
        fail_check(c, "the tree of server %zu is of 0x%" PRIx64 ", not of 0x%" PRIx64, i + 1,
                   s->tree_zxid, e->zxid);
    send_on(c, conn_find(c, e->conn), TO_LEARNER, ZAB_SNAP, e->zxid,
            slice_of(s->log, n * sizeof(s->log[0])));
}

static void send_one(struct cluster *c, size_t i, const struct zab_effect *e)
{
    const struct server *s = &c->servers[i];
    size_t n = log_find(s, e->zxid);
    if (n > 0 && s->log[n - 1].zxid == e->zxid)
        send_entry(c, conn_find(c, e->conn), e->type == ZAB_FX_PROPOSE ? ZAB_PROPOSAL : ZAB_INFORM,
                   s->log[n - 1]);
}

static void begin_truncate(struct cluster *c, size_t i, int64_t zxid)
{
    struct server *s = &c->servers[i];
    s->holding = true;
    if (s->floor > 0 && zxid < s->log[s->floor - 1].zxid && c->breakage != BREAK_TRUNCATE) {
        struct event ev = {.what = TO_CORE, .server = i, .data = SLICE_NULL};
        ev.event.type = ZAB_EV_TRUNCATE_FAILED;
        push(c, ev, 1);
        return;
    }
    disk_begin(c, i, DISK_TRUNCATE, 0, zxid, SLICE_NULL);
}

static void begin_tree(struct cluster *c, size_t i, int64_t zxid)
{
    struct server *s = &c->servers[i];
    const struct event *ev = s->at_hand;
    s->holding = true;
    if (rng_one_in(&c->rng, 10)) {
        struct event failed = {.what = TO_CORE, .server = i, .data = SLICE_NULL};
        failed.event.type = ZAB_EV_TREE_FAILED;
        push(c, failed, 1 + (int64_t)rng_below(&c->rng, 50));
        return;
    }
    if (c->breakage != BREAK_TREE) {
        disk_begin(c, i, DISK_TREE, 0, zxid, ev->data);
        return;
    }
    struct event early = {.what = TO_CORE, .server = i, .data = SLICE_NULL};
    early.event = (struct zab_event){.type = ZAB_EV_TREE_INSTALLED, .zxid = zxid};
    push(c, early, 0);
    disk_tree(s, ev);
    s->durable = 0;
    disk_begin(c, i, DISK_LOG, s->n, 0, SLICE_NULL);
}

static void drop_held(struct server *s)
{
    for (size_t k = 0; k < s->n_held; k++)
        drop(&s->held[k]);
    s->n_held = 0;
    s->holding = false;
}

static void close_leader(struct cluster *c, struct server *s)
{
    close_side(c, s->conn, false);
    s->conn = 0;
    s->attempt++;
    drop_held(s);
}

static void enter(struct cluster *c, size_t i, const struct zab_effect *e)
{
    struct server *s = &c->servers[i];
    s->state = e->state;
    s->phase = e->phase;
    s->lost &= s->phase != ZAB_BROADCAST;
    if (s->state == ZAB_LEADING && s->phase == ZAB_BROADCAST)
        check_established(c, i, e->epoch);
}

static void notify(struct cluster *c, size_t i, const struct zab_effect *e)
{
    struct event ev = {.what = TO_CORE, .server = (size_t)e->sid - 1, .data = copy(e->data)};
    ev.event = (struct zab_event){.type = ZAB_EV_NOTIFICATION, .sid = (int64_t)i + 1};
    if (c->cut[i][ev.server]) {
        drop(&ev);
        return;
    }
    int64_t delay = net_delay(c), *last = &c->last_notify[i][ev.server];
    *last = MAX(*last, c->now + delay);
    push(c, ev, *last - c->now);
}

static void carry_out(struct cluster *c, size_t i, const struct zab_effect *e)
{
    struct server *s = &c->servers[i];
    struct conn *k = conn_find(c, e->conn ? e->conn : s->conn);
    switch (e->type) {
    case ZAB_FX_NOTIFY:
        notify(c, i, e);
        break;
    case ZAB_FX_CONNECT:
        s->wanted_leader = (size_t)e->sid - 1;
        push(
            c,
            (struct event){.what = TRY_CONNECT, .server = i, .n = ++s->attempt, .data = SLICE_NULL},
            net_delay(c));
        break;
    case ZAB_FX_CLOSE_LEADER:
        close_leader(c, s);
        break;
    case ZAB_FX_CLOSE_LEARNER:
        close_side(c, e->conn, true);
        break;
    case ZAB_FX_SEND_LEADER:
        send_on(c, k, TO_LEADER, e->packet_type, e->zxid, e->data);
        break;
    case ZAB_FX_SEND:
        send_on(c, k, TO_LEARNER, e->packet_type, e->zxid, e->data);
        break;
    case ZAB_FX_SAVE_ACCEPTED_EPOCH:
        disk_begin(c, i, DISK_ACCEPTED, 0, e->value, SLICE_NULL);
        break;
    case ZAB_FX_SAVE_CURRENT_EPOCH:
        disk_begin(c, i, DISK_CURRENT, 0, e->value, SLICE_NULL);
        break;
    case ZAB_FX_SAVE_PROPOSED_ID:
        disk_begin(c, i, DISK_PROPOSED_ID, 0, e->value, SLICE_NULL);
        break;
    case ZAB_FX_SAVE_ENSEMBLE_ID:
        disk_begin(c, i, DISK_ID, 0, e->value, SLICE_NULL);
        break;
    case ZAB_FX_APPLY_ALL:
        s->tree_zxid = e->zxid;
        break;
    case ZAB_FX_CHOOSE_SYNC:
        choose_sync(c, i, e);
        break;
    case ZAB_FX_SEND_HISTORY:
    case ZAB_FX_SEND_PENDING:
        send_log(c, i, e);
        break;
    case ZAB_FX_SEND_TREE:
        send_tree(c, i, e);
        break;
    case ZAB_FX_PROPOSE:
    case ZAB_FX_INFORM:
        send_one(c, i, e);
        break;
    case ZAB_FX_APPEND: {
        struct jute_reader r = jute_reader_of(e->data);
        struct zk_txn_header h;
        zk_txn_header_read(&r, &h);
        append(c, i, (struct entry){e->zxid, h.client_id});
        break;
    }
    case ZAB_FX_TRUNCATE:
        begin_truncate(c, i, e->zxid);
        break;
    case ZAB_FX_RECEIVE_TREE:
        begin_tree(c, i, e->zxid);
        break;
    case ZAB_FX_COMMIT:
        check_commit(c, i, e->zxid);
        break;
    case ZAB_FX_STATE:
        enter(c, i, e);
        break;
    case ZAB_FX_NEED_TOUCHES:
        send_on(c, k, TO_LEADER, ZAB_PING, e->zxid, SLICE_EMPTY);
        break;
    case ZAB_FX_LOG:
        if (getenv("ZAB_CLUSTER_LOG"))
            printf("%6" PRId64 " server %zu: %.*s\n", c->now, i + 1, SLICE_ARG(e->data));
        break;
    case ZAB_FX_LEARNER_READY:
    case ZAB_FX_DELIVER:
    case ZAB_FX_CONFIRMED:
    case ZAB_FX_NEW_EPOCH:
        break;
    }
}

static void step(struct cluster *c, size_t i, struct zab_event ev)
{
    struct server *s = &c->servers[i];
    ev.now_ms = c->now;
    zab_step(s->z, &ev, &s->fx);
    for (size_t k = 0; k < s->fx.n && !c->failure[0]; k++)
        carry_out(c, i, &s->fx.list[k]);
}

/* ---- What happens ---- */

static void to_leader(struct cluster *c, const struct event *ev)
{
    struct conn *k = conn_find(c, ev->conn);
    struct zk_quorum_packet p = {ev->type, ev->zxid, ev->data, JUTE_VECTOR_NULL};
    if (k->cut || !k->leader_open)
        return;
    if (ev->type == 0)
        k->leader_open = false;
    step(c, k->leader,
         (struct zab_event){.type = ev->type ? ZAB_EV_LEARNER_PACKET : ZAB_EV_LEARNER_CLOSED,
                            .conn = ev->conn,
                            .packet = &p});
}

static void hold(struct server *s, struct event *ev)
{
    s->held = mem_realloc(s->held, (s->n_held + 1) * sizeof(*s->held));
    s->held[s->n_held++] = *ev;
    ev->data = SLICE_NULL;
}

static void to_learner(struct cluster *c, struct event *ev)
{
    struct conn *k = conn_find(c, ev->conn);
    struct server *s = &c->servers[k->learner];
    struct zk_quorum_packet p = {ev->type, ev->zxid, ev->data, JUTE_VECTOR_NULL};
    if (k->cut || !k->learner_open || s->conn != ev->conn)
        return;
    if (s->holding && ev->type != 0) {
        hold(s, ev);
        return;
    }
    if (ev->type == 0)
        k->learner_open = false;
    s->at_hand = ev;
    step(c, k->learner,
         (struct zab_event){.type = ev->type ? ZAB_EV_LEADER_PACKET : ZAB_EV_LEADER_CLOSED,
                            .packet = &p});
}

static void deliver_held(struct cluster *c, size_t i)
{
    struct server *s = &c->servers[i];
    struct event *held = s->held;
    size_t n = s->n_held;
    s->held = NULL;
    s->n_held = 0;
    s->holding = false;
    for (size_t k = 0; k < n; k++) {
        to_learner(c, &held[k]);
        drop(&held[k]);
    }
    free(held);
}

static void to_core(struct cluster *c, struct event *ev)
{
    struct server *s = &c->servers[ev->server];
    struct conn *k = conn_find(c, ev->event.conn);
    if (ev->event.type == ZAB_EV_LEADER_OPENED && (s->conn != ev->conn || !k->learner_open))
        return;
    if (ev->event.type == ZAB_EV_LEARNER_OPENED && !k->leader_open)
        return;
    ev->event.data = ev->data;
    step(c, ev->server, ev->event);
}

static void random_write(struct cluster *c)
{
    if (c->writing && c->n_committed < RANDOM_WRITES_MAX &&
        rng_one_in(&c->rng, WRITE_EVERY_MS / CLOCK_MS))
        cluster_write(c);
}

static void happen(struct cluster *c, struct event *ev)
{
    const struct server *s = &c->servers[ev->server];
    if (ev->life != s->life || !s->up)
        return;
    switch (ev->what) {
    case TO_CORE:
        to_core(c, ev);
        break;
    case TO_LEADER:
        to_leader(c, ev);
        break;
    case TO_LEARNER:
        to_learner(c, ev);
        break;
    case TRY_CONNECT:
        try_connect(c, ev->server, (unsigned)ev->n);
        break;
    case DISK:
        disk_done(c, ev->server, ev);
        break;
    case CLOCK:
        push(c, (struct event){.what = CLOCK, .server = ev->server, .data = SLICE_NULL}, CLOCK_MS);
        step(c, ev->server, (struct zab_event){.type = ZAB_EV_TICK});
        step(c, ev->server, (struct zab_event){.type = ZAB_EV_TREES});
        random_write(c);
        break;
    }
}

/* ---- Faults ---- */

static void peer_up(struct cluster *c, size_t a, size_t b)
{
    struct event ev = {.what = TO_CORE, .server = a, .data = SLICE_NULL};
    ev.event = (struct zab_event){.type = ZAB_EV_PEER_UP, .sid = (int64_t)b + 1};
    if (a != b && c->servers[a].up && c->servers[b].up && !c->cut[a][b])
        push(c, ev, net_delay(c));
}

static void boot(struct cluster *c, size_t i)
{
    struct server *s = &c->servers[i];
    bool alone = c->breakage == BREAK_QUORUM && i == 0;
    struct zab_config config = {
        .sid = (int64_t)i + 1,
        .servers = c->servers_of,
        .n_servers = alone ? 1 : c->n,
        .tick_ms = CLUSTER_TICK_MS,
        .init_limit = 10,
        .sync_limit = 5,
        .config_text = SLICE_EMPTY,
        .fresh_id = (int64_t)(rng_next(&c->rng) >> 1 | 1),
    };
    struct zab_history h = {.last_zxid = log_last(s),
                            .accepted_epoch = s->accepted,
                            .current_epoch = s->current,
                            .ensemble_id = s->id,
                            .proposed_id = s->proposed_id};
    s->z = zab_open(&config, &h, c->now);
    s->up = true;
    s->state = ZAB_LOOKING;
    s->phase = ZAB_ELECTION;
    s->tree_zxid = h.last_zxid;
    s->applied = 0;
    s->disk_free_at = c->now;
    push(c, (struct event){.what = CLOCK, .server = i, .data = SLICE_NULL}, 0);
    for (size_t k = 0; k < c->n; k++) {
        peer_up(c, i, k);
        peer_up(c, k, i);
    }
}

/* What the disk was about to do may be done or not, in order. */
static void crash_disk(struct cluster *c, size_t i)
{
    struct server *s = &c->servers[i];
    bool last_was_done = true;
    for (uint64_t seq = 0; last_was_done;) {
        struct event *next = NULL;
        for (size_t k = 0; k < c->n_heap; k++) {
            struct event *ev = &c->heap[k];
            if (ev->what == DISK && ev->server == i && ev->life == s->life && ev->seq >= seq &&
                (!next || ev->seq < next->seq))
                next = ev;
        }
        last_was_done = next && rng_one_in(&c->rng, 2);
        if (last_was_done) {
            disk_do(c, s, next);
            seq = next->seq + 1;
        }
    }
    s->n = s->durable;
}

void cluster_crash(struct cluster *c, size_t i)
{
    struct server *s = &c->servers[i];
    if (!s->up)
        return;
    crash_disk(c, i);
    s->up = false;
    s->life++;
    zab_close(s->z);
    s->z = NULL;
    drop_held(s);
    s->syncing = false;
    s->conn = 0;
    s->attempt++;
    for (size_t k = 0; k < c->n_conns; k++) {
        struct conn *conn = &c->conns[k];
        if (conn->leader == i)
            close_side(c, conn->id, true);
        if (conn->learner == i)
            close_side(c, conn->id, false);
    }
    check_durable(c);
}

void cluster_wipe(struct cluster *c, size_t i)
{
    struct server *s = &c->servers[i];
    ensure(!s->up);
    s->lost = true;
    s->n = s->durable = s->floor = 0;
    s->accepted = s->current = s->proposed_id = s->id = 0;
}

/* All others have been in an epoch, know their ensemble, and have their disks. */
bool cluster_may_wipe(const struct cluster *c, size_t i)
{
    for (size_t k = 0; k < c->n_voters; k++) {
        const struct server *s = &c->servers[k];
        if (k != i && (s->current == 0 || s->lost))
            return false;
    }
    return !c->servers[i].up;
}

bool cluster_remembers(const struct cluster *c, size_t i)
{
    const struct server *s = &c->servers[i];
    return s->current > 0 || s->proposed_id != 0 || zxid_epoch(log_last(s)) > 0;
}

void cluster_restart(struct cluster *c, size_t i)
{
    if (!c->servers[i].up)
        boot(c, i);
}

static void cut_link(struct cluster *c, size_t a, size_t b)
{
    if (a == b)
        return;
    c->cut[a][b] = c->cut[b][a] = true;
    bool told = rng_one_in(&c->rng, 2);
    for (size_t k = 0; k < c->n_conns; k++) {
        struct conn *conn = &c->conns[k];
        if ((conn->leader != a || conn->learner != b) && (conn->leader != b || conn->learner != a))
            continue;
        if (!told)
            conn->cut = true;
        close_side(c, told ? conn->id : 0, true);
    }
}

void cluster_isolate(struct cluster *c, size_t i)
{
    for (size_t k = 0; k < c->n; k++)
        cut_link(c, i, k);
}

static void heal_links(struct cluster *c)
{
    memset(c->cut, 0, sizeof(c->cut));
    for (size_t a = 0; a < c->n; a++) {
        for (size_t b = 0; b < c->n; b++)
            peer_up(c, a, b);
    }
}

void cluster_heal(struct cluster *c)
{
    for (size_t i = 0; i < c->n; i++) {
        c->servers[i].disk_ms = 0;
        cluster_restart(c, i);
    }
    heal_links(c);
}

static void random_fault(struct cluster *c)
{
    size_t a = rng_below(&c->rng, c->n), b = rng_below(&c->rng, c->n);
    int leader = cluster_leader(c);
    if (leader >= 0 && rng_one_in(&c->rng, 3))
        a = (size_t)leader;
    switch (rng_below(&c->rng, 9)) {
    case 0:
    case 1:
        cluster_crash(c, a);
        break;
    case 2:
    case 3:
        for (size_t i = 0; i < c->n; i++)
            cluster_restart(c, i);
        break;
    case 4:
        cut_link(c, a, b);
        break;
    case 5:
        cluster_isolate(c, a);
        break;
    case 6:
        heal_links(c);
        break;
    case 7:
        c->servers[a].disk_ms = (int64_t)rng_below(&c->rng, 150);
        break;
    default:
        for (size_t i = 0; i < c->n; i++) {
            if (rng_one_in(&c->rng, 2))
                cluster_crash(c, i);
        }
    }
}

/* ---- For the tests ---- */

struct cluster *cluster_open(uint64_t seed, size_t n_voters, size_t n_observers,
                             enum breakage breakage)
{
    struct cluster *c = mem_zalloc(sizeof(*c));
    c->rng.state = seed;
    c->breakage = breakage;
    c->n = n_voters + n_observers;
    c->n_voters = n_voters;
    ensure(c->n <= CLUSTER_MAX);
    for (size_t i = 0; i < c->n; i++)
        c->servers_of[i] = (struct zab_server){(int64_t)i + 1, i >= n_voters, 1, 0};
    for (size_t i = 0; i < c->n; i++)
        boot(c, i);
    return c;
}

void cluster_close(struct cluster *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct server *s = &c->servers[i];
        drop_held(s);
        free(s->held);
        zab_close(s->z);
        zab_effects_close(&s->fx);
    }
    for (size_t k = 0; k < c->n_heap; k++)
        drop(&c->heap[k]);
    free(c->heap);
    free(c->conns);
    free(c);
}

void cluster_run(struct cluster *c, int64_t ms, bool faults)
{
    int64_t end = c->now + ms, fault_at = c->now + FAULT_EVERY_MS;
    c->writing = faults;
    while (!c->failure[0] && c->n_heap > 0 && c->heap[0].at <= end) {
        struct event ev = pop(c);
        c->now = ev.at;
        happen(c, &ev);
        drop(&ev);
        if (faults && c->now >= fault_at) {
            random_fault(c);
            fault_at = c->now + (int64_t)rng_below(&c->rng, 2 * FAULT_EVERY_MS);
        }
    }
    c->now = end;
}

bool cluster_step(struct cluster *c)
{
    if (c->failure[0] || c->n_heap == 0)
        return false;
    struct event ev = pop(c);
    bool is_clock = ev.what == CLOCK;
    c->now = ev.at;
    happen(c, &ev);
    drop(&ev);
    return !is_clock;
}

const char *cluster_failure(const struct cluster *c)
{
    return c->failure[0] ? c->failure : NULL;
}

bool cluster_serves(const struct cluster *c, size_t i)
{
    return c->servers[i].up && c->servers[i].phase == ZAB_BROADCAST;
}

/* Of several that believe so, the one of the highest epoch. */
int cluster_leader(const struct cluster *c)
{
    int leader = -1;
    for (size_t i = 0; i < c->n; i++) {
        const struct server *s = &c->servers[i];
        if (s->state == ZAB_LEADING && cluster_serves(c, i) &&
            (leader < 0 || zab_epoch(s->z) > zab_epoch(c->servers[leader].z)))
            leader = (int)i;
    }
    return leader;
}

bool cluster_write(struct cluster *c)
{
    size_t from = rng_below(&c->rng, c->n);
    for (size_t k = 0; k < c->n; k++) {
        size_t i = (from + k) % c->n;
        struct server *s = &c->servers[i];
        if (s->state != ZAB_LEADING || !cluster_serves(c, i) || s->n == LOG_MAX)
            continue;
        int64_t epoch = zab_epoch(s->z), last = log_last(s);
        struct entry e = {zxid_epoch(last) == epoch ? last + 1 : zxid_make(epoch, 1),
                          ++c->next_value};
        append(c, i, e);
        step(c, i, (struct zab_event){.type = ZAB_EV_LOGGED, .zxid = e.zxid});
        return true;
    }
    return false;
}

size_t cluster_committed(const struct cluster *c)
{
    return c->n_committed;
}

size_t cluster_applied(const struct cluster *c, size_t i)
{
    return c->servers[i].applied;
}

size_t cluster_logged(const struct cluster *c, size_t i)
{
    return c->servers[i].n;
}

size_t cluster_epochs(const struct cluster *c)
{
    return c->n_epochs;
}

size_t cluster_truncates(const struct cluster *c)
{
    return c->n_truncates;
}

size_t cluster_trees(const struct cluster *c)
{
    return c->n_trees;
}

void cluster_slow_disk(struct cluster *c, size_t i, int64_t ms)
{
    c->servers[i].disk_ms = ms;
}
