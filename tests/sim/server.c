/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shell around node_step(), in the place of the daemon's loop: in each turn the replica is told
 * what has come, then it is flushed. */
#include "sim.h"

static struct node_config config_of(struct world *w)
{
    struct node_config config = {
        .server_id = 1 + w->server.life % 100,
        .tick_ms = SIM_TICK_MS,
        .min_session_timeout_ms = SIM_TIMEOUT_MIN_MS,
        .max_session_timeout_ms = SIM_TIMEOUT_MAX_MS,
        .packet_max = ZK_PACKET_MAX,
        .outstanding_max = 1000,
        .watches_max = 10000,
        .output_max = 1 << 20,
        .handshake_ms = 1000,
        .container_check_ms = 300,
        .extended_types = true,
        .four_letter = "*",
        .version = "0",
        .conf_text = "",
        .envi_text = "",
    };
    config.snap_count = (uint32_t)between(w, 6, 60);
    config.seed = rng_next(&w->rng);
    if (chance(w, 4))
        config.outstanding_max = (uint32_t)between(w, 0, 8);
    return config;
}

static void carry_out(struct world *w)
{
    struct server *s = &w->server;
    for (size_t i = 0; s->up && i < s->fx.n; i++) {
        const struct node_effect *fx = &s->fx.list[i];
        struct conn *conn = fx->conn ? node_conn_public(fx->conn)->owner : NULL;
        switch (fx->type) {
        case NODE_APPEND:
            journal_append(w, fx->batch);
            logger_order(w, fx->batch);
            break;
        case NODE_SEND:
            net_send_down(w, conn);
            break;
        case NODE_CLOSE:
            conn->server_closing = true;
            net_send_down(w, conn);
            break;
        case NODE_RESUME:
            server_turn_soon(w);
            break;
        case NODE_SNAPSHOT:
            logger_order(w, NULL);
            logger_snapshot(w);
            break;
        case NODE_LOG:
            sim_trace(w, "server: %s", fx->text);
            break;
        default:
            ensure(!"a single replica has no peers");
        }
    }
}

static void step(struct world *w, struct node_event ev, struct conn *conn)
{
    struct server *s = &w->server;
    if (!s->up)
        return;
    ev.now_ms = w->now_ms + s->ahead_ms;
    ev.wall_ms = wall_ms(w);
    if (conn && ev.type != NODE_CONN_OPENED)
        ev.conn = conn->node_conn;
    node_step(s->node, &ev, &s->fx);
    if (ev.type == NODE_CONN_OPENED)
        conn->node_conn = ev.conn;
    else if (ev.type == NODE_CONN_CLOSED)
        conn->node_conn = NULL;
    carry_out(w);
}

static void open_conn(struct world *w, struct conn *conn)
{
    char address[32];
    conn->open_due = false;
    snprintf(address, sizeof(address), "10.0.0.%u:%u", conn->client->index, 1000 + conn->id);
    step(w, (struct node_event){.type = NODE_CONN_OPENED, .owner = conn, .address = address}, conn);
}

/* Count the frames that are whole with these bytes. For each, the last zxid that is proposed now is
 * noted: what it asks for is decided after it. */
static unsigned count_frames(struct world *w, struct conn *conn, struct slice bytes)
{
    unsigned whole = 0;
    for (size_t pos = 0; pos < slice_size(bytes);) {
        if (conn->frame_head.len < 8) {
            buf_append(&conn->frame_head, bytes.data + pos++, 1);
            if (conn->frame_head.len < 8)
                continue;
            conn->frame_left = be32_get(conn->frame_head.data) - 4;
        }
        size_t n = MIN(conn->frame_left, slice_size(bytes) - pos);
        pos += n;
        conn->frame_left -= n;
        if (conn->frame_left > 0)
            continue;
        check_arrived(w, conn, (int32_t)be32_get(conn->frame_head.data + 4));
        buf_reset(&conn->frame_head);
        whole++;
    }
    return whole;
}

static void read_conn(struct world *w, struct conn *conn)
{
    if (conn->inbox.len == 0 || conn->server_closing || node_conn_public(conn->node_conn)->paused)
        return;
    size_t n = chance(w, 4) ? (size_t)between(w, 1, (int64_t)conn->inbox.len) : conn->inbox.len;
    struct buf bytes = {0};
    buf_append(&bytes, conn->inbox.data, n);
    buf_consume(&conn->inbox, n);
    bool from_start = conn->frame_head.len == 0;
    unsigned frames = count_frames(w, conn, buf_slice(&bytes));
    bool to_end = conn->frame_head.len == 0;
    if (frames > 0)
        journal_heard(w, conn->session_id);
    step(w, (struct node_event){.type = NODE_CONN_DATA, .data = buf_slice(&bytes)}, conn);
    if (from_start && to_end && conn->greeted && w->server.up && !conn->server_closing &&
        breaks(w, BREAK_request_twice, 20))
        step(w, (struct node_event){.type = NODE_CONN_DATA, .data = buf_slice(&bytes)}, conn);
    buf_close(&bytes);
    if (conn->inbox.len > 0)
        server_turn_soon(w);
}

static void attend(struct world *w, struct conn *conn)
{
    if (conn->open_due)
        open_conn(w, conn);
    if (w->server.up && conn->node_conn && conn->drained_due) {
        conn->drained_due = false;
        step(w, (struct node_event){.type = NODE_CONN_DRAINED}, conn);
    }
    if (w->server.up && conn->node_conn && !(conn->close_due && chance(w, 2)))
        read_conn(w, conn);
    if (w->server.up && conn->node_conn && conn->close_due)
        step(w, (struct node_event){.type = NODE_CONN_CLOSED}, conn);
}

static void tell_persisted(struct world *w)
{
    struct server *s = &w->server;
    if (s->to_tell <= s->persisted)
        return;
    s->persisted = s->to_tell;
    step(w, (struct node_event){.type = NODE_PERSISTED, .zxid = s->persisted}, NULL);
}

static void turn(struct world *w, void *arg)
{
    struct server *s = &w->server;
    (void)arg;
    if (!s->up || !s->turn_due)
        return;
    s->turn_due = false;
    if (breaks(w, BREAK_hasty_clock, 300))
        s->ahead_ms += SIM_TIMEOUT_MIN_MS;
    bool persisted_first = chance(w, 2);
    if (persisted_first)
        tell_persisted(w);
    for (size_t i = 0, first = rng_below(&w->rng, w->n_conns + 1); s->up && i < w->n_conns; i++) {
        struct conn *conn = w->conns[(first + i) % w->n_conns];
        if (conn->life == s->life)
            attend(w, conn);
    }
    tell_persisted(w);
    if (s->snapshot_done_due)
        step(w, (struct node_event){.type = NODE_SNAPSHOT_DONE}, NULL);
    s->snapshot_done_due = false;
    if (s->tick_due)
        step(w, (struct node_event){.type = NODE_TICK}, NULL);
    s->tick_due = false;
    step(w, (struct node_event){.type = NODE_FLUSH}, NULL);
    for (size_t i = 0; s->up && i < w->n_conns; i++) {
        struct conn *conn = w->conns[i];
        if (conn->life == s->life && conn->node_conn)
            net_send_down(w, conn);
    }
}

void server_turn_soon(struct world *w)
{
    struct server *s = &w->server;
    if (!s->up || s->turn_due)
        return;
    s->turn_due = true;
    sim_at(w, between(w, 0, 1), turn, NULL);
}

static void tick(struct world *w, void *arg)
{
    w->server.tick_due = true;
    server_turn_soon(w);
    sim_at(w, between(w, SIM_TICK_MS / 2, SIM_TICK_MS), tick, arg);
}

void server_start(struct world *w, void *arg)
{
    struct server *s = &w->server;
    struct tree *tree;
    (void)arg;
    if (s->up)
        return;
    if (!logger_recover(w, &tree)) {
        faults_clear(w);
        sim_at(w, between(w, 1, 200), server_start, NULL);
        return;
    }
    bool first = s->life++ == 0;
    struct node_config config = config_of(w);
    s->node = node_open(&config, tree, w->now_ms + s->ahead_ms);
    s->up = true;
    s->turn_due = s->log_busy = s->snapshot_done_due = s->mute = false;
    s->persisted = s->to_tell = tree_last_zxid(tree);
    if (first)
        tick(w, NULL);
}

/* The process ends, or the whole machine. */
void server_stop(struct world *w, bool power_lost, const char *why)
{
    struct server *s = &w->server;
    if (!s->up)
        return;
    sim_trace(w, "server: %s (%s)", power_lost ? "the power fails" : "the process ends", why);
    s->up = false;
    w->n_crashes++;
    node_close(s->node);
    logger_stop(w);
    if (power_lost)
        disk_mem_crash(w->disk);
    else
        disk_mem_kill(w->disk);
    w->faults.armed = false;
    net_server_died(w);
    sim_at(w, between(w, 1, chance(w, 4) ? 3000 : 200), server_start, NULL);
}
