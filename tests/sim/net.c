/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections: bytes arrive late, in pieces of any size, and at times not at all. Where nothing
 * goes through for a while, bytes wait, as TCP has them wait. Of a connection that breaks, each
 * side learns in its own time. */
#include "sim.h"

enum {
    CLOSE_WAIT_MS = 2000, /* for a peer to take the last bytes */
    CRAWL_PIECES = 16,
};

int64_t net_delay(struct world *w)
{
    bool late = chance(w, 300) && !(w->faults_off && is_ensemble(w));
    if (late)
        cover_point(COVER_fault_late);
    return late ? between(w, 100, 600) : between(w, 0, 10);
}

struct end *net_other(struct end *end)
{
    return end == &end->conn->ends[0] ? &end->conn->ends[1] : &end->conn->ends[0];
}

/* Is there somebody on this side? */
bool net_is_alive(const struct end *end)
{
    return !end->left && (!end->server || (end->server->up && end->life == end->server->life));
}

static unsigned place_of(const struct end *end)
{
    return end->server ? end->server->index : SERVERS_MAX + end->conn->client->index;
}

bool net_is_blocked(const struct world *w, const struct end *from, const struct end *to)
{
    return w->blocked[place_of(from)][place_of(to)];
}

/* ---- Opening ---- */

static struct conn *conn_new(struct world *w)
{
    ROOM_FOR_ONE(w->conns, w->n_conns, w->cap_conns);
    struct conn *conn = mem_zalloc(sizeof(*conn));
    conn->id = (unsigned)w->n_conns;
    conn->ends[0].conn = conn->ends[1].conn = conn;
    w->conns[w->n_conns++] = conn;
    return conn;
}

static void end_open(struct world *w, struct end *end, struct server *s)
{
    end->server = s;
    end->life = s->life;
    end->open_due = true;
    ROOM_FOR_ONE(s->ends, s->n_ends, s->cap_ends);
    s->ends[s->n_ends++] = end;
    server_turn_soon(w, s);
}

struct conn *net_connect(struct world *w, struct client *c, struct server *s)
{
    struct conn *conn = conn_new(w);
    conn->client = c;
    conn->session_id = c->session.id;
    end_open(w, &conn->ends[1], s);
    return conn;
}

struct conn *net_link(struct world *w, struct server *learner, struct server *leader)
{
    struct conn *conn = conn_new(w);
    end_open(w, &conn->ends[0], learner);
    end_open(w, &conn->ends[1], leader);
    return conn;
}

/* ---- Ends ---- */

static void learn(struct world *w, void *arg)
{
    struct end *end = arg;
    if (!net_is_alive(end))
        return;
    if (net_is_blocked(w, net_other(end), end)) {
        sim_at(w, between(w, 20, 200), learn, end);
        return;
    }
    if (end->server) {
        end->close_due = true;
        server_turn_soon(w, end->server);
        return;
    }
    end->conn->cut = end->left = true;
    sim_trace(w, "client %u: connection %u is gone", end->conn->client->index, end->conn->id);
    client_disconnected(w, end->conn->client);
}

/* This side is closed; the other one will find out. */
void net_leave(struct world *w, struct end *end)
{
    if (end->left)
        return;
    end->left = true;
    sim_at(w, net_delay(w) + (end->conn->cut ? 0 : 20), learn, net_other(end));
}

/* The client drops the connection. What it has sent may still arrive. */
void net_client_leaves(struct world *w, struct conn *conn)
{
    if (chance(w, 2))
        conn->cut = true;
    net_leave(w, &conn->ends[0]);
}

/* The node said NODE_CLOSE, and all that it had to say has left. */
static void node_closed(struct world *w, struct end *end)
{
    end->close_due = true;
    server_turn_soon(w, end->server);
}

static void overdue(struct world *w, void *arg)
{
    struct end *end = arg;
    if (net_is_alive(end) && !end->close_due)
        node_closed(w, end);
}

void net_node_closes(struct world *w, struct end *end)
{
    end->closing = true;
    sim_at(w, CLOSE_WAIT_MS, overdue, end);
    net_send(w, end);
}

/* The replica has been told that it is closed. */
void net_forget(struct server *s, struct end *end)
{
    for (size_t i = 0; i < s->n_ends; i++) {
        if (s->ends[i] == end) {
            memmove(&s->ends[i], &s->ends[i + 1], (--s->n_ends - i) * sizeof(struct end *));
            return;
        }
    }
}

/* From now on nothing goes through. */
void net_cut(struct world *w, struct conn *conn)
{
    if (conn->cut || conn->ends[0].left || conn->ends[1].left)
        return;
    if (conn->client)
        sim_trace(w, "client %u: connection %u is cut", conn->client->index, conn->id);
    conn->cut = true;
    if (!chance(w, 4))
        sim_at(w, net_delay(w), learn, &conn->ends[0]);
    sim_at(w, chance(w, 4) ? 5000 : net_delay(w), learn, &conn->ends[1]);
}

/* A machine without power says nothing more: its peers may find out much later. */
void net_server_died(struct world *w, struct server *s, bool power_lost)
{
    for (size_t i = 0; i < s->n_ends; i++) {
        struct end *end = s->ends[i], *other = net_other(end);
        end->pub = NULL;
        end->left = true;
        if (!net_is_alive(other))
            continue;
        if (chance(w, 2))
            end->conn->cut = true; /* else what is on its way arrives first */
        bool silent = power_lost && is_ensemble(w) && chance(w, 2);
        if (silent)
            cover_point(COVER_fault_silent);
        sim_at(w, silent ? between(w, 100, scaled(w, 4000)) : 20 + net_delay(w), learn, other);
    }
    s->n_ends = 0;
}

static void end_close(struct end *end)
{
    buf_close(&end->in.bytes);
    buf_close(&end->inbox);
}

void net_close_all(struct world *w)
{
    for (size_t i = 0; i < w->n_conns; i++) {
        struct conn *conn = w->conns[i];
        end_close(&conn->ends[0]);
        end_close(&conn->ends[1]);
        buf_close(&conn->frame_head);
        buf_close(&conn->tap_up);
        buf_close(&conn->tap_down);
        for (size_t j = 0; j < conn->n_sent; j++)
            buf_close(&conn->sent[j].frame);
        free(conn->sent);
        free(conn->events);
        free(conn);
    }
    free(w->conns);
}

/* ---- Bytes ---- */

static size_t piece(struct world *w, size_t len)
{
    return chance(w, 4) ? (size_t)between(w, 1, (int64_t)len) : len;
}

/* So many bytes of what the replica has sent have arrived. */
static void arrived(struct world *w, struct end *from, size_t n)
{
    if (!net_is_alive(from) || !from->pub)
        return;
    from->pub->in_flight -= MIN(n, from->pub->in_flight);
    if (from->pub->in_flight > 0)
        return;
    from->drained_due = true;
    if (from->closing && from->pub->out.len == 0 && !from->sending_tree)
        node_closed(w, from);
    server_turn_soon(w, from->server);
}

/* What is sent to it takes so long, piece by piece. */
void net_crawl(struct end *to, int64_t ms)
{
    to->in.crawl_left = CRAWL_PIECES;
    to->in.crawl_ms = MAX(ms / CRAWL_PIECES, 1);
}

/* How much of it arrives now; and in how long the next. */
static size_t take_piece(struct world *w, struct pipe *p, int64_t *next_ms)
{
    if (w->faults_off)
        p->crawl_left = 0;
    if (p->crawl_left == 0) {
        *next_ms = -1;
        return piece(w, p->bytes.len);
    }
    *next_ms = p->crawl_ms;
    return MAX(p->bytes.len / p->crawl_left--, 1);
}

static void arrive(struct world *w, void *arg)
{
    struct end *end = arg;
    struct conn *conn = end->conn;
    end->in.moving = false;
    if (conn->cut || !net_is_alive(end) || end->in.bytes.len == 0)
        return;
    bool blocked = net_is_blocked(w, net_other(end), end);
    int64_t next_ms = -1;
    size_t n = blocked ? 0 : take_piece(w, &end->in, &next_ms);
    struct buf bytes = {0};
    buf_append(&bytes, end->in.bytes.data, n);
    buf_consume(&end->in.bytes, n);
    if (end->in.bytes.len > 0) {
        end->in.moving = true;
        sim_at(w,
               blocked        ? between(w, 20, 60)
               : next_ms >= 0 ? next_ms
                              : net_delay(w),
               arrive, end);
    }
    if (net_other(end)->server)
        arrived(w, net_other(end), n);
    if (end->server && n > 0) {
        buf_append(&end->inbox, bytes.data, n);
        server_turn_soon(w, end->server);
    } else if (n > 0) {
        check_received(w, conn, buf_slice(&bytes));
        client_received(w, conn->client, buf_slice(&bytes));
    }
    buf_close(&bytes);
}

void net_push(struct world *w, struct end *to, const void *data, size_t len)
{
    buf_append(&to->in.bytes, data, len);
    if (len == 0 || to->in.moving)
        return;
    to->in.moving = true;
    sim_at(w, net_delay(w), arrive, to);
}

static void send_to_client(struct world *w, struct end *end)
{
    struct node_conn_public *pub = end->pub;
    tamper(w, end->conn, &pub->out);
    size_t room = end->closing || tamper_is_on(w) ? SIZE_MAX : (size_t)between(w, 100, 9000);
    size_t n = pub->in_flight >= room ? 0 : MIN(pub->out.len, room - pub->in_flight);
    pub->in_flight += n;
    net_push(w, net_other(end), pub->out.data, n);
    buf_consume(&pub->out, n);
}

/* Take what there is room for from the replica. */
void net_send(struct world *w, struct end *end)
{
    if (!end->pub || end->left || end->sending_tree)
        return;
    if (end->conn->cut || net_other(end)->left) {
        if (end->closing)
            node_closed(w, end);
        return;
    }
    if (end->conn->client)
        send_to_client(w, end);
    else
        links_send(w, end, end->pub->out.len);
    if (end->closing && end->pub->in_flight == 0 && end->pub->out.len == 0)
        node_closed(w, end);
}
