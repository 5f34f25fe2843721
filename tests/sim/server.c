/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shell around node_step(), in the place of the daemon's loop: in each turn the replica is told
 * what has come, then it is flushed. */
#include "sim.h"

int64_t server_clock(const struct world *w, const struct server *s)
{
    return w->now_ms + s->ahead_ms + w->now_ms * s->drift / 1000;
}

int64_t server_wall(const struct world *w, const struct server *s)
{
    return w->now_ms + w->wall_offset_ms + s->wall_ahead_ms;
}

static int64_t sid_of(const struct server *s)
{
    return s->index + 1;
}

static struct node_config config_of(struct world *w, struct server *s)
{
    struct node_config config = {
        .server_id = 1 + s->index * 30 + s->life % 30,
        .tick_ms = w->times.tick_ms,
        .min_session_timeout_ms = w->times.timeout_min_ms,
        .max_session_timeout_ms = w->times.timeout_max_ms,
        .packet_max = ZK_PACKET_MAX,
        .outstanding_max = 1000,
        .watches_max = 10000,
        .output_max = 1 << 20,
        .handshake_ms = (int)scaled(w, 1000),
        .container_check_ms = (int)scaled(w, 300),
        .extended_types = true,
        .four_letter = "*",
        .version = "0",
        .conf_text = "",
        .envi_text = "",
    };
    draw_config(w, &config);
    if (!is_ensemble(w))
        return config;
    s->zab = (struct zab_config){.sid = sid_of(s),
                                 .servers = w->zab_servers,
                                 .n_servers = s->n_known,
                                 .tick_ms = config.tick_ms,
                                 .init_limit = w->times.init_limit,
                                 .sync_limit = w->times.sync_limit,
                                 .finalize_ms = w->times.finalize_ms,
                                 .counter_full = w->counter_full,
                                 .config_text = slice_str(SIM_CONFIG),
                                 .fresh_id = (int64_t)(rng_next(&w->rng) >> 1 | 1)};
    if (w->options.breakage == BREAK_no_identity)
        s->zab.fresh_id = 0;
    config.ensemble = &s->zab;
    return config;
}

/* ---- Effects ---- */

static struct end *end_of(const struct node_effect *fx)
{
    if (fx->link)
        return node_link_public(fx->link)->owner;
    return fx->conn ? node_conn_public(fx->conn)->owner : NULL;
}

static void carry_out_one(struct world *w, struct server *s, const struct node_effect *fx)
{
    cover(COVER_EFFECT, (int32_t)fx->type, 0);
    switch (fx->type) {
    case NODE_APPEND:
        proposals_append(w, s, fx->batch);
        logger_order(w, s, (struct log_order){.work = LOG_APPEND, .batch = fx->batch});
        break;
    case NODE_SEND:
        net_send(w, end_of(fx));
        break;
    case NODE_CLOSE:
        net_node_closes(w, end_of(fx));
        break;
    case NODE_RESUME:
        server_turn_soon(w, s);
        break;
    case NODE_SNAPSHOT:
        logger_order(w, s, (struct log_order){.work = LOG_ROLL});
        snapshot_begin(w, s);
        break;
    case NODE_LOG:
        if (fx->level != LOG_LEVEL_DEBUG || !w->options.script)
            sim_trace(w, "%s: %s", s->name, fx->text);
        break;
    case NODE_PEER_SEND:
        peers_send(w, s, fx->sid, fx->data);
        break;
    case NODE_LEADER_CONNECT:
        links_connect(w, s, fx->sid);
        break;
    case NODE_LEADER_CLOSE:
        links_stop_connecting(w, s);
        break;
    case NODE_SAVE_EPOCH:
        logger_save_epoch(w, s, fx->epoch_name, fx->epoch);
        break;
    case NODE_SEND_TREE:
        if (tree_last_zxid(node_tree(s->node)) != fx->zxid)
            sim_fail(w, SIM_BROKEN, "%s sends the tree of 0x%" PRIx64 " as that of 0x%" PRIx64,
                     s->name, (uint64_t)tree_last_zxid(node_tree(s->node)), (uint64_t)fx->zxid);
        links_send_tree(w, end_of(fx), node_tree(s->node), fx->before);
        break;
    case NODE_TRUNCATE:
        snapshot_cancel(w, s);
        logger_order(w, s, (struct log_order){.work = LOG_TRUNCATE, .zxid = fx->zxid});
        break;
    case NODE_INSTALL_TREE:
        snapshot_cancel(w, s);
        logger_order(w, s, (struct log_order){.work = LOG_INSTALL});
        break;
    case NODE_READ_LOG:
        reads_begin(w, s, fx->log_read);
        break;
    }
}

/* What the core says of how it brings a learner to its history. */
static void cover_sync(const struct node_effect *fx, bool log_was_read)
{
    if (fx->type != NODE_LOG || strncmp(fx->text, "learner ", 8) != 0)
        return;
    if (strstr(fx->text, ": DIFF from "))
        cover_point(log_was_read ? COVER_sync_diff_log : COVER_sync_diff_memory);
    else if (strstr(fx->text, ": TRUNC from "))
        cover_point(log_was_read ? COVER_sync_trunc_log : COVER_sync_trunc_memory);
    else if (strstr(fx->text, ": SNAP from "))
        cover_point(log_was_read ? COVER_sync_snap_log : COVER_sync_snap_memory);
}

static void name_end(const struct node_event *ev)
{
    struct end *end = ev->owner;
    end->node_conn = ev->conn;
    end->node_link = ev->link;
    end->pub = ev->link ? node_link_public(ev->link) : node_conn_public(ev->conn);
}

void server_step(struct world *w, struct server *s, struct node_event ev)
{
    if (!s->up)
        return;
    ev.now_ms = server_clock(w, s);
    ev.wall_ms = server_wall(w, s);
    cover(COVER_EVENT, (int32_t)ev.type, 0);
    node_step(s->node, &ev, &s->fx);
    stall_cost(w, s);
    if (ev.type == NODE_CONN_OPENED || ev.type == NODE_LINK_OPENED)
        name_end(&ev);
    for (size_t i = 0; i < s->fx.n; i++)
        cover_sync(&s->fx.list[i], ev.type == NODE_LOG_READ);
    for (size_t i = 0; s->up && i < s->fx.n; i++)
        carry_out_one(w, s, &s->fx.list[i]);
    if (s->up)
        invariant_stepped(w, s);
}

/* ---- A turn ---- */

static void tell_persisted(struct world *w, struct server *s)
{
    if (s->to_tell <= s->persisted)
        return;
    s->persisted = s->to_tell;
    server_step(w, s, (struct node_event){.type = NODE_PERSISTED, .zxid = s->persisted});
}

/* As the daemon: after a truncation the node's tree stays where it is not beyond the log's end. */
static bool read_rest(struct world *w, struct server *s, const struct tree *tree, struct buf *rest)
{
    int64_t at = tree_last_zxid(node_tree(s->node));
    return tree && s->change == NODE_TRUNCATED && at <= tree_last_zxid(tree) && !s->faults.armed &&
           w->options.breakage != BREAK_skip_truncate &&
           txnlog_copy_rest(&s->store, at, 1 << 20, rest, NULL) == 0;
}

static void tell_change(struct world *w, struct server *s)
{
    struct tree *tree = s->changed;
    struct buf rest = {0};
    if (!s->change_due)
        return;
    s->change_due = false;
    s->changed = NULL;
    struct node_event ev = {
        .type = s->change, .tree = tree, .zxid = tree ? tree_last_zxid(tree) : 0};
    if (read_rest(w, s, tree, &rest)) {
        ev.rest = &rest;
        ev.tree = NULL;
        tree_close(tree);
    }
    server_step(w, s, ev);
    buf_close(&rest);
}

void server_later(struct server *s, const struct node_event *ev)
{
    ROOM_FOR_ONE(s->later, s->n_later, s->cap_later);
    s->later[s->n_later++] = *ev;
}

static void end_turn(struct world *w, struct server *s)
{
    do {
        for (size_t i = 0; s->up && i < s->n_later; i++)
            server_step(w, s, s->later[i]);
        s->n_later = 0;
        server_step(w, s, (struct node_event){.type = NODE_FLUSH});
    } while (s->up && s->n_later > 0);
    for (size_t i = 0; s->up && i < s->n_ends; i++) {
        if (s->ends[i]->pub)
            net_send(w, s->ends[i]);
    }
    if (s->up && node_wants_turn(s->node))
        server_turn_by(w, s, w->now_ms + 1);
}

static void take_turn(struct world *w, struct server *s)
{
    if (breaks(w, BREAK_hasty_clock, 300) && !is_ensemble(w))
        s->ahead_ms += w->times.timeout_min_ms;
    if (chance(w, 2))
        tell_persisted(w, s);
    ends_attend(w, s);
    peers_take(w, s);
    reads_take(w, s);
    tell_persisted(w, s);
    tell_change(w, s);
    if (s->snapshot_done_due)
        server_step(w, s, (struct node_event){.type = NODE_SNAPSHOT_DONE});
    s->snapshot_done_due = false;
    s->no_ticks |= s->up && is_ensemble(w) && node_state(s->node) == ZAB_LEADING &&
                   node_is_serving(s->node) && breaks(w, BREAK_stop_ticks, 1000);
    if (s->tick_due && !s->no_ticks)
        server_step(w, s, (struct node_event){.type = NODE_TICK});
    s->tick_due = false;
    end_turn(w, s);
}

static void turn(struct world *w, void *arg)
{
    struct server *s = arg;
    if (!s->up || w->now_ms < s->next_turn_ms)
        return;
    s->next_turn_ms = INT64_MAX;
    int64_t until_ms = MAX(s->paused_until_ms, s->busy_until_ms);
    if (w->now_ms < until_ms) {
        server_turn_by(w, s, until_ms);
    } else {
        take_turn(w, s);
        stall_charge(w, s);
    }
}

void server_turn_by(struct world *w, struct server *s, int64_t at_ms)
{
    if (!s->up || s->next_turn_ms <= at_ms)
        return;
    s->next_turn_ms = at_ms;
    sim_at(w, at_ms - w->now_ms, turn, s);
}

void server_turn_soon(struct world *w, struct server *s)
{
    if (s->next_turn_ms > w->now_ms + 1)
        server_turn_by(w, s, w->now_ms + between(w, 0, 1));
}

static void tick(struct world *w, void *arg)
{
    struct server *s = arg;
    int64_t ms = is_ensemble(w) ? w->times.tick_ms / 10 : w->times.tick_ms;
    s->ticking = s->up;
    if (!s->up)
        return;
    s->tick_due = true;
    server_turn_soon(w, s);
    sim_at(w, between(w, ms / 2, ms), tick, s);
}

/* ---- Start and stop ---- */

static void plan_start(struct world *w, struct server *s, int64_t delay_ms)
{
    if (s->starting || s->held)
        return;
    s->starting = true;
    sim_at(w, delay_ms, server_start, s);
}

void server_start(struct world *w, void *server)
{
    struct server *s = server;
    struct zab_history h = {0};
    struct tree *tree;
    s->starting = false;
    if (s->up || s->held)
        return;
    if (!recover(w, s, &tree, &h)) {
        faults_clear(s);
        plan_start(w, s, between(w, 1, 200));
        return;
    }
    s->life++;
    struct node_config config = config_of(w, s);
    config.history = h;
    config.log_base = s->log_base;
    s->node = node_open(&config, tree, server_clock(w, s));
    s->up = true;
    s->log_appended = s->log_waits = false;
    s->log_busy = s->snapshot_done_due = s->mute = s->no_ticks = false;
    s->change_made = s->change_due = false;
    s->next_turn_ms = INT64_MAX;
    s->synced = s->persisted = s->to_tell = tree_last_zxid(tree);
    invariant_stepped(w, s);
    if (!s->ticking)
        tick(w, s);
}

/* The process ends, or the whole machine. */
void server_stop(struct world *w, struct server *s, bool power_lost, const char *why)
{
    if (!s->up)
        return;
    sim_trace(w, "%s: %s (%s)", s->name, power_lost ? "the power fails" : "the process ends", why);
    s->up = false;
    s->paused_until_ms = s->busy_until_ms = s->spent_us = 0;
    w->n_crashes++;
    reads_died(w, s);
    node_close(s->node);
    txnlog_close(&s->log);
    store_close(&s->store);
    s->n_orders = s->n_later = 0;
    if (s->changed)
        tree_close(s->changed);
    s->changed = NULL;
    snapshot_cancel(w, s);
    if (power_lost)
        disk_mem_crash(s->disk);
    else
        disk_mem_kill(s->disk);
    s->faults.armed = false;
    s->memory.serving = false;
    net_server_died(w, s, power_lost);
    peers_died(w, s);
    s->leader_sid = 0;
    plan_start(w, s, between(w, 1, chance(w, 4) ? scaled(w, 3000) : 200));
}

void server_open(struct world *w, struct server *s, unsigned index)
{
    *s = (struct server){.index = index, .next_turn_ms = INT64_MAX, .n_known = w->n_servers};
    snprintf(s->name, sizeof(s->name), is_ensemble(w) ? "server %u" : "server", index + 1);
    s->disk = disk_mem_open(rng_next(&w->rng));
    s->memory.log_end = s->memory.durable = s->memory.applied = w->chain[0];
    if (is_ensemble(w) && !w->options.script) {
        s->drift = between(w, -20, 20);
        s->ahead_ms = between(w, 1000, 100000);
        s->wall_ahead_ms = between(w, -500, 500);
    }
}

void server_close(struct world *w, struct server *s)
{
    s->held = true;
    server_stop(w, s, false, "the end");
    node_effects_close(&s->fx);
    peers_close(s);
    buf_close(&s->old_tree);
    free(s->orders);
    free(s->later);
    free(s->readings);
    free(s->ends);
    disk_mem_close(s->disk);
}
