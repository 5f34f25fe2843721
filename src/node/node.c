/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The entrance: each event goes to the file that knows it. */
#include "internal.h"

#include <stdlib.h>

void node_effect(struct node *n, enum node_effect_type type, struct node_conn *conn)
{
    struct node_effects *fx = n->fx;
    if (fx->n == fx->cap) {
        fx->cap = fx->cap ? fx->cap * 2 : 64;
        fx->list = mem_realloc(fx->list, fx->cap * sizeof(*fx->list));
    }
    fx->list[fx->n++] = (struct node_effect){.type = type, .conn = conn};
}

/* The text is kept as an offset until the end of the step, since the buffer may move. */
void node_log(struct node *n, enum log_level level, const char *fmt, ...)
{
    va_list ap;
    node_effect(n, NODE_LOG, NULL);
    struct node_effect *e = &n->fx->list[n->fx->n - 1];
    e->level = level;
    e->text = (const char *)n->fx->text.len;
    va_start(ap, fmt);
    buf_vprintf(&n->fx->text, fmt, ap);
    va_end(ap);
    *buf_extend(&n->fx->text, 1) = '\0';
}

static void effects_finish(struct node_effects *fx)
{
    for (size_t i = 0; i < fx->n; i++) {
        struct node_effect *e = &fx->list[i];
        if (e->type == NODE_LOG)
            e->text = (const char *)fx->text.data + (size_t)e->text;
        else if (e->type == NODE_PEER_SEND)
            e->data.data = fx->text.data + (size_t)e->data.data;
    }
}

void node_effects_close(struct node_effects *fx)
{
    free(fx->list);
    buf_close(&fx->text);
    *fx = (struct node_effects){0};
}

static void choose_next_snapshot(struct node *n)
{
    uint32_t half = MAX(n->config.snap_count / 2, 1);
    n->snapshot_at = half + (uint32_t)rng_below(&n->rng, half);
}

struct node_limits node_limits_default(void)
{
    return (struct node_limits){
        .held_max = 16 << 20,
        .in_flight_max = 64 << 20,
        .asked_max = 8 << 20,
        .batch_keep_max = 256 << 10,
        .history_max = 8 << 20,
        .log_read_max = 64 << 20,
        .log_read_min = 1 << 20,
        .link_unsent_max = 256 << 20,
        .link_fed_max = 256 << 10,
        .link_held_max = 4 << 20,
        .close_paths_max = 512 << 10,
        .containers_per_check = 10000,
        .turn_work = 60000, /* about 3 ms */
        .conn_work = 20000,
        .sends_max = 500,
        .due_looks = 5000,
        .due_closed = 500,
        .watches_bytes_max = 64 << 20,
        .watches_all_max = 1 << 30,
        .repair_every_ms = 3600 * 1000,
        .repair_gap_ms = 60 * 1000,
        .decided_every_ms = 30 * 1000,
        .digest_bits = 7,
    };
}

struct node *node_open(const struct node_config *config, struct tree *tree, int64_t now_ms)
{
    struct node *n = mem_zalloc(sizeof(*n));
    n->config = *config;
    n->tree = tree;
    n->now_ms = n->started_ms = n->looking_since_ms = n->last_tick_ms = now_ms;
    n->rng.state = config->seed;
    n->hash_seed = rng_next(&n->rng);
    watches_init(&n->watches, rng_next(&n->rng));
    list_init(&n->conns);
    list_init(&n->touched);
    list_init(&n->dirty);
    list_init(&n->paused);
    list_init(&n->deferred);
    list_init(&n->dropping);
    n->turn_end = n->config.limits.turn_work;
    n->resumed = UINT64_MAX;
    list_init(&n->links);
    list_init(&n->dirty_links);
    list_init(&n->changes);
    list_init(&n->free_changes);
    n->last_proposed = n->last_committed = n->persisted = tree_last_zxid(tree);
    n->history_base = n->logged = n->persisted;
    n->decided = config->ensemble ? n->persisted : INT64_MAX;
    n->serving = !config->ensemble;
    n->proposing = true;
    n->room = INT64_MAX;
    bool is_wrong = config->history.decided_zxid > config->history.last_zxid;
    n->next_decided_ms = now_ms + (is_wrong ? 0 : config->limits.decided_every_ms);
    digest_forget(n);
    n->next_container_check_ms = now_ms + config->container_check_ms;
    n->stats.min_latency_ms = -1;
    n->txns_since_snapshot = (uint32_t)MIN(config->log_txns, UINT32_MAX / 2);
    n->bytes_since_snapshot = config->log_bytes;
    choose_next_snapshot(n);
    tracker_init(n);
    tracker_load(n);
    if (config->ensemble) {
        n->history_max = config->limits.history_max;
        tree_set_config(tree, config->ensemble->config_text, config->ensemble->config_version);
        n->log_base = config->log_base;
        n->zab = zab_open(config->ensemble, &config->history, now_ms);
    }
    return n;
}

/* A tree that another takes the place of: it may be large. */
void node_drop_tree(struct node *n, struct tree *t)
{
    buf_append(&n->old_trees, &t, sizeof(t));
}

static void close_trees(struct node *n, size_t limit)
{
    struct tree *t;
    if (n->old_trees.len == 0)
        return;
    memcpy(&t, n->old_trees.data, sizeof(t));
    if (tree_close_some(t, limit))
        buf_consume(&n->old_trees, sizeof(t));
}

void node_close(struct node *n)
{
    struct node_effects fx = {0};
    n->fx = &fx;
    LIST_FOR_EACH_SAFE (c, &n->conns, struct node_conn, link)
        conn_closed(n, c);
    watch_drop_more(n, SIZE_MAX);
    forward_stop(n);
    rings_close(n);
    LIST_FOR_EACH_SAFE (l, &n->links, struct node_link, link) {
        link_drop_tree(n, l);
        link_free(l);
    }
    if (n->zab)
        zab_close(n->zab);
    zab_effects_close(&n->zab_fx);
    buf_close(&n->zab_later);
    buf_close(&n->syncs);
    buf_close(&n->saves);
    buf_close(&n->learner_waits);
    if (n->incoming)
        tree_close(n->incoming);
    HMAP_FOR_EACH_SAFE (s, &n->sessions, struct session, by_id)
        tracker_remove(n, s);
    hmap_close(&n->sessions);
    hmap_close(&n->peers);
    watches_close(&n->watches);
    change_close(n);
    history_close(n);
    tree_outcome_close(&n->outcome);
    free(n->fired.who);
    buf_close(&n->scratch);
    buf_close(&n->path_scratch);
    buf_close(&n->acl_scratch);
    node_drop_tree(n, n->tree);
    while (n->old_trees.len > 0)
        close_trees(n, SIZE_MAX);
    buf_close(&n->old_trees);
    node_effects_close(&fx);
    free(n);
}

/* ---- Small numbers on the disk ---- */

static void ask_to_save(struct node *n, const char *name, int64_t value, uint8_t is_core)
{
    buf_append(&n->saves, &is_core, 1);
    node_effect(n, NODE_SAVE_EPOCH, NULL);
    struct node_effect *fx = &n->fx->list[n->fx->n - 1];
    fx->epoch_name = name;
    fx->epoch = value;
}

void node_save_number(struct node *n, const char *name, int64_t value)
{
    ask_to_save(n, name, value, 0);
}

/* For the core, which hears when it is saved. */
void node_save_for_core(struct node *n, const char *name, int64_t value)
{
    ask_to_save(n, name, value, 1);
}

/* They are saved in the order in which that was asked for. */
static void number_saved(struct node *n)
{
    ensure(n->saves.len > 0);
    bool is_core = n->saves.data[0];
    buf_consume(&n->saves, 1);
    if (is_core)
        ensemble_epoch_saved(n);
}

/* What is known to be decided, now and then, so that nobody can take it back after a start. */
static void save_decided(struct node *n)
{
    int64_t zxid = tree_last_zxid(n->tree);
    if (!n->serving || n->now_ms < n->next_decided_ms || zxid == n->saved_decided ||
        n->saves.len > 0)
        return;
    n->next_decided_ms = n->now_ms + n->config.limits.decided_every_ms;
    n->saved_decided = zxid;
    node_save_number(n, "decidedZxid", zxid);
}

/* ---- A turn ---- */

/* A snapshot costs as much as the tree is large, reading a log as much as that is long: so not
 * before the log behind the last one is half as large as the tree. */
static bool snapshot_is_due(const struct node *n)
{
    return n->snapshot_again || (n->txns_since_snapshot >= n->snapshot_at &&
                                 n->bytes_since_snapshot >= tree_data_size(n->tree) / 2);
}

static void start_snapshot_if_due(struct node *n)
{
    if (!n->serving || n->snapshot_running || !snapshot_is_due(n) || !tree_queue_is_free(n) ||
        !node_has_room(n, tree_data_size(n->tree) / 2))
        return;
    n->snapshot_running = true;
    n->snapshot_again = false;
    n->txns_since_snapshot = 0;
    n->bytes_since_snapshot = 0;
    choose_next_snapshot(n);
    node_effect(n, NODE_SNAPSHOT, NULL);
}

/* Those that are found are deleted as they are found, so many in one turn. */
static void sweep_more(struct node *n)
{
    struct buf paths = {0};
    if (node_is_learner(n) || !n->serving || !n->proposing)
        n->sweep_left = 0;
    if (n->sweep_left == 0)
        return;
    bool more = tree_sweep_next(n->tree, n->wall_ms, SWEEP_LOOKS, SWEEP_DELETES, &paths);
    struct jute_reader r = jute_reader_of(buf_slice(&paths));
    for (; jute_left(&r) > 0 && n->sweep_left > 0; n->sweep_left--)
        propose_delete_container(n, jute_read_buffer(&r));
    if (!more)
        n->sweep_left = 0;
    buf_close(&paths);
}

/* A node that 10,000 watch changes: each of them is a system call. */
static void send_some(struct node *n)
{
    for (size_t left = n->config.limits.sends_max; left > 0 && !list_is_empty(&n->dirty); left--) {
        struct node_conn *c = LIST_FIRST(&n->dirty, struct node_conn, dirty_link);
        list_remove(&c->dirty_link);
        node_effect(n, NODE_SEND, c);
    }
}

static void flush(struct node *n)
{
    conn_limit_output(n);
    work_resume(n);
    conn_resume_paused(n);
    if (n->zab && n->state == ZAB_LEADING)
        forward_resume(n);
    tracker_expire_more(n);
    sweep_more(n);
    watch_drop_more(n, WATCHES_DROPPED);
    close_trees(n, NODES_FREED);
    if (n->zab && n->state == ZAB_LEADING)
        ensemble_logged(n);
    if (n->confirm)
        ensemble_confirm(n);
    history_append_open(n);
    link_flush(n);
    send_some(n);
    start_snapshot_if_due(n);
    n->wants_turn = tracker_has_more(n) || !list_is_empty(&n->deferred) || n->sweep_left > 0 ||
                    !list_is_empty(&n->dropping) || n->old_trees.len > 0 ||
                    !list_is_empty(&n->dirty);
}

static void check_containers(struct node *n)
{
    if (n->now_ms < n->next_container_check_ms || node_is_learner(n) || !n->serving ||
        !n->proposing)
        return;
    n->next_container_check_ms = n->now_ms + n->config.container_check_ms;
    n->sweep_left = n->config.limits.containers_per_check;
    tree_sweep_begin(n->tree);
    sweep_more(n);
}

static void tick(struct node *n)
{
    /* What came while it stood still is heard before anybody is given up. */
    if (n->now_ms - n->last_tick_ms > n->config.tick_ms)
        n->next_expiry_ms = n->now_ms + n->config.tick_ms;
    n->last_tick_ms = n->now_ms;
    if (n->zab)
        ensemble_tick(n);
    room_check(n);
    save_decided(n);
    conn_check_deadlines(n);
    conn_touch_paused(n);
    tracker_expire(n);
    check_containers(n);
}

void node_step(struct node *n, struct node_event *event, struct node_effects *fx)
{
    fx->n = 0;
    buf_reset(&fx->text);
    n->fx = fx;
    n->now_ms = event->now_ms;
    n->wall_ms = event->wall_ms;
    /* A process that stood still looks at its deadlines before it answers anybody. */
    bool asks = event->type == NODE_CONN_DATA || event->type == NODE_LINK_DATA;
    if (asks && n->zab && n->now_ms - n->last_tick_ms > n->config.tick_ms)
        tick(n);
    switch (event->type) {
    case NODE_CONN_OPENED:
        conn_opened(n, event);
        break;
    case NODE_CONN_SECURED:
        auth_secured(n, event->conn, event->x509);
        break;
    case NODE_CONN_DATA:
        conn_data(n, event->conn, event->data);
        break;
    case NODE_CONN_DRAINED:
        request_drain(n, event->conn);
        break;
    case NODE_CONN_CLOSED:
        conn_closed(n, event->conn);
        break;
    case NODE_PERSISTED:
        n->persisted = event->zxid;
        if (n->zab)
            ensemble_persisted(n);
        commit_ready(n);
        break;
    case NODE_SNAPSHOT_DONE:
        n->snapshot_running = false;
        break;
    case NODE_TICK:
        tick(n);
        if (n->zab)
            ensemble_send_trees(n);
        break;
    case NODE_FLUSH:
        flush(n);
        break;
    case NODE_PEER_UP:
    case NODE_PEER_MESSAGE:
        ensemble_peer(n, event);
        break;
    case NODE_LINK_OPENED:
        link_opened(n, event);
        break;
    case NODE_LINK_DATA:
        link_data(n, event->link, event->data);
        break;
    case NODE_LINK_DRAINED:
        link_drained(n, event->link);
        break;
    case NODE_LINK_CLOSED:
        link_closed(n, event->link);
        break;
    case NODE_EPOCH_SAVED:
        number_saved(n);
        break;
    case NODE_TREE_SENT: /* the shell goes on with the link by itself */
        event->link->tree_goes = false;
        ensemble_tree_sent(n, event->link);
        tree_queue_run(n);
        break;
    case NODE_TRUNCATED:
        ensemble_truncated(n, event);
        break;
    case NODE_TREE_INSTALLED:
        ensemble_tree_installed(n);
        break;
    case NODE_LOG_READ:
        log_read_done(n, event->log_read);
        break;
    }
    effects_finish(fx);
}

struct node_conn_public *node_conn_public(struct node_conn *conn)
{
    return &conn->pub;
}

const struct tree *node_tree(const struct node *n)
{
    return n->tree;
}

enum zab_state node_state(const struct node *n)
{
    return n->zab ? n->state : ZAB_LEADING;
}

bool node_is_serving(const struct node *n)
{
    return n->serving;
}

bool node_wants_turn(const struct node *n)
{
    return n->wants_turn;
}

int64_t node_last_proposed(const struct node *n)
{
    return n->last_proposed;
}

int64_t node_last_committed(const struct node *n)
{
    return n->last_committed;
}
