/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server's sides of its connections: in a turn the replica is told what has come over each. */
#include "sim.h"

static void step_end(struct world *w, struct end *end, enum node_event_type conn_type,
                     enum node_event_type link_type, struct slice data)
{
    bool link = end->node_link != NULL;
    server_step(w, end->server,
                (struct node_event){.type = link ? link_type : conn_type,
                                    .conn = end->node_conn,
                                    .link = end->node_link,
                                    .data = data});
}

static void open_end(struct world *w, struct end *end)
{
    struct conn *conn = end->conn;
    char address[32];
    end->open_due = false;
    snprintf(address, sizeof(address), "10.0.0.%u:%u",
             conn->client ? conn->client->index : 100 + net_other(end)->server->index,
             1000 + conn->id);
    struct node_event ev = {.type = conn->client ? NODE_CONN_OPENED : NODE_LINK_OPENED,
                            .owner = end,
                            .address = address,
                            .to_leader = !conn->client && end == &conn->ends[0]};
    server_step(w, end->server, ev);
}

/* Count the client's frames that are whole with these bytes. For each, the last zxid that is
 * proposed now is noted: what it asks for is decided after it. */
static unsigned count_frames(struct conn *conn, struct slice bytes)
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
        check_arrived(conn, (int32_t)be32_get(conn->frame_head.data + 4));
        buf_reset(&conn->frame_head);
        whole++;
    }
    return whole;
}

static void client_data(struct world *w, struct end *end, struct slice bytes)
{
    struct conn *conn = end->conn;
    bool from_start = conn->frame_head.len == 0;
    unsigned frames = count_frames(conn, bytes);
    bool to_end = conn->frame_head.len == 0;
    /* A greeting may wait its turn, and is not read any more where its client has gone by then. */
    if (frames > 0 && conn->greeted)
        journal_heard(w, conn->session_id);
    step_end(w, end, NODE_CONN_DATA, NODE_LINK_DATA, bytes);
    if (from_start && to_end && conn->greeted && net_is_alive(end) && !end->closing &&
        breaks(w, BREAK_request_twice, 20))
        step_end(w, end, NODE_CONN_DATA, NODE_LINK_DATA, bytes);
}

static void read_end(struct world *w, struct end *end)
{
    if (end->pub->paused)
        cover_point(COVER_read_paused);
    if (end->inbox.len == 0 || end->closing || end->pub->paused)
        return;
    size_t n = chance(w, 4) ? (size_t)between(w, 1, (int64_t)end->inbox.len) : end->inbox.len;
    struct buf bytes = {0};
    buf_append(&bytes, end->inbox.data, n);
    buf_consume(&end->inbox, n);
    if (end->conn->client)
        client_data(w, end, buf_slice(&bytes));
    else
        step_end(w, end, NODE_CONN_DATA, NODE_LINK_DATA, buf_slice(&bytes));
    buf_close(&bytes);
    if (end->inbox.len > 0)
        server_turn_soon(w, end->server);
}

static bool is_named(const struct end *end)
{
    return net_is_alive(end) && end->pub;
}

static void attend(struct world *w, struct end *end)
{
    if (end->open_due)
        open_end(w, end);
    if (is_named(end) && end->tree_sent_due) {
        end->tree_sent_due = end->sending_tree = false;
        step_end(w, end, NODE_TREE_SENT, NODE_TREE_SENT, SLICE_EMPTY);
    }
    if (is_named(end) && end->drained_due && end->pub->more)
        step_end(w, end, NODE_CONN_DRAINED, NODE_LINK_DRAINED, SLICE_EMPTY);
    end->drained_due = false;
    if (is_named(end) && !(end->close_due && chance(w, 2)))
        read_end(w, end);
    if (!is_named(end) || !end->close_due)
        return;
    net_leave(w, end);
    end->pub = NULL;
    step_end(w, end, NODE_CONN_CLOSED, NODE_LINK_CLOSED, SLICE_EMPTY);
    net_forget(end->server, end);
}

void ends_attend(struct world *w, struct server *s)
{
    size_t n = s->n_ends;
    if (n == 0)
        return;
    struct end **ends = mem_alloc(n * sizeof(struct end *));
    memcpy(ends, s->ends, n * sizeof(struct end *));
    for (size_t i = 0, first = rng_below(&w->rng, n); s->up && i < n; i++)
        attend(w, ends[(first + i) % n]);
    free(ends);
}
