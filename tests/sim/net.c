/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections: bytes arrive late, in pieces of any size, and at times not at all. Of a connection
 * that breaks, each side learns in its own time. */
#include "sim.h"

static int64_t delay(struct world *w)
{
    return chance(w, 300) ? between(w, 100, 600) : between(w, 0, 10);
}

struct conn *net_connect(struct world *w, struct client *c)
{
    ROOM_FOR_ONE(w->conns, w->n_conns, w->cap_conns);
    struct conn *conn = mem_zalloc(sizeof(*conn));
    conn->id = (unsigned)w->n_conns;
    conn->client = c;
    conn->life = w->server.life;
    conn->open_due = true;
    conn->session_id = c->session.id;
    w->conns[w->n_conns++] = conn;
    server_turn_soon(w);
    return conn;
}

static size_t piece(struct world *w, size_t len)
{
    return chance(w, 4) ? (size_t)between(w, 1, (int64_t)len) : len;
}

static bool server_has(const struct world *w, const struct conn *conn)
{
    return w->server.up && conn->life == w->server.life;
}

static void arrive_up(struct world *w, void *arg)
{
    struct conn *conn = arg;
    conn->up.moving = false;
    if (conn->cut || !server_has(w, conn) || conn->up.bytes.len == 0)
        return;
    size_t n = piece(w, conn->up.bytes.len);
    buf_append(&conn->inbox, conn->up.bytes.data, n);
    buf_consume(&conn->up.bytes, n);
    server_turn_soon(w);
    if (conn->up.bytes.len > 0) {
        conn->up.moving = true;
        sim_at(w, delay(w), arrive_up, conn);
    }
}

void net_send_up(struct world *w, struct conn *conn, struct buf *bytes)
{
    buf_append(&conn->up.bytes, bytes->data, bytes->len);
    buf_reset(bytes);
    if (!conn->up.moving) {
        conn->up.moving = true;
        sim_at(w, delay(w), arrive_up, conn);
    }
}

/* ---- To the client ---- */

static void client_learns(struct world *w, void *arg)
{
    struct conn *conn = arg;
    if (conn->client_left)
        return;
    conn->cut = conn->client_left = true;
    sim_trace(w, "client %u: connection %u is gone", conn->client->index, conn->id);
    client_disconnected(w, conn->client);
}

static void server_learns(struct world *w, void *arg)
{
    struct conn *conn = arg;
    conn->close_due = true;
    server_turn_soon(w);
}

/* The replica said NODE_CLOSE, and all that it had to say has left. */
void net_server_closed(struct world *w, struct conn *conn)
{
    if (conn->close_due)
        return;
    conn->close_due = true;
    server_turn_soon(w);
    sim_at(w, delay(w), client_learns, conn);
}

static void arrived(struct world *w, struct conn *conn, size_t n)
{
    if (!server_has(w, conn) || !conn->node_conn)
        return;
    struct node_conn_public *pub = node_conn_public(conn->node_conn);
    pub->in_flight -= n;
    if (pub->in_flight > 0)
        return;
    conn->drained_due = true;
    if (conn->server_closing && pub->out.len == 0)
        net_server_closed(w, conn);
    server_turn_soon(w);
}

static void arrive_down(struct world *w, void *arg)
{
    struct conn *conn = arg;
    conn->down.moving = false;
    if (conn->cut || conn->client_left || conn->down.bytes.len == 0)
        return;
    size_t n = piece(w, conn->down.bytes.len);
    struct buf bytes = {0};
    buf_append(&bytes, conn->down.bytes.data, n);
    buf_consume(&conn->down.bytes, n);
    if (conn->down.bytes.len > 0) {
        conn->down.moving = true;
        sim_at(w, delay(w), arrive_down, conn);
    }
    arrived(w, conn, n);
    check_received(w, conn, buf_slice(&bytes));
    client_received(w, conn->client, buf_slice(&bytes));
    buf_close(&bytes);
}

/* Take what there is room for from the replica. */
void net_send_down(struct world *w, struct conn *conn)
{
    if (!conn->node_conn)
        return;
    struct node_conn_public *pub = node_conn_public(conn->node_conn);
    if (conn->cut || conn->client_left) {
        if (conn->server_closing)
            net_server_closed(w, conn);
        return;
    }
    tamper(w, conn, &pub->out);
    size_t room =
        conn->server_closing || tamper_is_on(w) ? SIZE_MAX : (size_t)between(w, 100, 9000);
    size_t n = pub->in_flight >= room ? 0 : MIN(pub->out.len, room - pub->in_flight);
    buf_append(&conn->down.bytes, pub->out.data, n);
    buf_consume(&pub->out, n);
    pub->in_flight += n;
    if (pub->in_flight == 0 && conn->server_closing)
        net_server_closed(w, conn);
    if (n > 0 && !conn->down.moving) {
        conn->down.moving = true;
        sim_at(w, delay(w), arrive_down, conn);
    }
}

/* ---- Ends ---- */

/* The client drops the connection. What it has sent may still arrive. */
void net_client_leaves(struct world *w, struct conn *conn)
{
    conn->client_left = true;
    if (chance(w, 2))
        conn->cut = true;
    sim_at(w, delay(w) + (conn->cut ? 0 : 20), server_learns, conn);
}

/* From now on nothing goes through. */
void net_cut(struct world *w, struct conn *conn)
{
    if (conn->cut || conn->client_left)
        return;
    sim_trace(w, "client %u: connection %u is cut", conn->client->index, conn->id);
    conn->cut = true;
    if (!chance(w, 4))
        sim_at(w, delay(w), client_learns, conn);
    sim_at(w, chance(w, 4) ? 5000 : delay(w), server_learns, conn);
}

void net_server_died(struct world *w)
{
    for (size_t i = 0; i < w->n_conns; i++) {
        struct conn *conn = w->conns[i];
        conn->node_conn = NULL;
        if (conn->life != w->server.life || conn->client_left)
            continue;
        if (chance(w, 2))
            conn->cut = true; /* else what is on its way arrives first */
        sim_at(w, 20 + delay(w), client_learns, conn);
    }
}

void net_close_all(struct world *w)
{
    for (size_t i = 0; i < w->n_conns; i++) {
        struct conn *conn = w->conns[i];
        struct buf *bufs[] = {&conn->up.bytes,   &conn->down.bytes, &conn->inbox,
                              &conn->frame_head, &conn->tap_up,     &conn->tap_down};
        for (size_t j = 0; j < ARRAY_LEN(bufs); j++)
            buf_close(bufs[j]);
        for (size_t j = 0; j < conn->n_sent; j++)
            buf_close(&conn->sent[j].frame);
        free(conn->sent);
        free(conn->seen);
        free(conn);
    }
    free(w->conns);
}
