/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Learner links: how a learner comes to its leader, and what goes over them. */
#include "sim.h"

/* ---- Connecting ---- */

static bool can_reach(const struct world *w, const struct server *a, const struct server *b)
{
    return b->up && !w->blocked[a->index][b->index] && !w->blocked[b->index][a->index];
}

static void dial(struct world *w, void *arg);

static void dial_in(struct world *w, struct server *s, int64_t delay_ms)
{
    s->dial_at_ms = w->now_ms + delay_ms;
    sim_at(w, delay_ms, dial, s);
}

static void dial(struct world *w, void *arg)
{
    struct server *s = arg;
    if (!s->up || s->leader_sid == 0 || w->now_ms < s->dial_at_ms)
        return;
    struct server *leader = &w->servers[s->leader_sid - 1];
    if (w->now_ms < s->paused_until_ms) {
        dial_in(w, s, s->paused_until_ms - w->now_ms);
    } else if (!can_reach(w, s, leader)) {
        dial_in(w, s, between(w, 100, 1000));
    } else {
        s->leader_sid = 0;
        net_link(w, s, leader);
    }
}

void links_connect(struct world *w, struct server *s, int64_t sid)
{
    links_stop_connecting(w, s);
    s->leader_sid = sid;
    dial_in(w, s, net_delay(w));
}

/* A link that is there and that the node was not told of yet goes as well. */
void links_stop_connecting(struct world *w, struct server *s)
{
    s->leader_sid = 0;
    for (size_t i = 0; i < s->n_ends;) {
        struct end *end = s->ends[i];
        if (!end->open_due || end->conn->client || end != &end->conn->ends[0]) {
            i++;
            continue;
        }
        end->open_due = false;
        net_leave(w, end);
        net_forget(s, end);
    }
}

/* ---- Sending ---- */

/* The first `len` bytes of what the node has to send, which are whole packets. */
void links_send(struct world *w, struct end *end, size_t len)
{
    struct buf *out = &end->pub->out, packets = {0};
    struct jute_reader in = jute_reader_of(slice_of(len > 0 ? out->data : NULL, len));
    while (jute_left(&in) > 0) {
        struct zk_quorum_packet p;
        zk_quorum_packet_read(&in, &p);
        if (!jute_ok(&in))
            sim_fail(w, SIM_BROKEN, "%s: what it sends over a link is no packet",
                     end->server->name);
        invariant_packet(w, end->server, &p);
        tamper_packet(w, end, &p, &packets);
        hostile_packet(w, &p);
        zk_quorum_packet_write(&packets, &p);
    }
    end->pub->in_flight += packets.len;
    net_push(w, net_other(end), packets.data, packets.len);
    buf_consume(out, len);
    buf_close(&packets);
}

static void tree_sent(struct world *w, void *arg)
{
    struct end *end = arg;
    int64_t left_ms = w->faults_off ? 0 : end->tree_until_ms - w->now_ms;
    if (!net_is_alive(end))
        return;
    if (left_ms > 0) {
        sim_at(w, MIN(left_ms, scaled(w, 100)), tree_sent, end);
        return;
    }
    end->tree_sent_due = true;
    server_turn_soon(w, end->server);
}

static void dump(const struct tree *t, struct buf *out)
{
    struct tree_dump d;
    tree_dump_begin(&d, t);
    while (tree_dump_next(&d, out))
        continue;
    tree_dump_close(&d);
}

static void break_link(struct world *w, void *arg)
{
    struct end *end = arg;
    if (!w->faults_off && net_is_alive(end))
        net_cut(w, end->conn);
}

/* What the daemon's child writes to the socket. */
void links_send_tree(struct world *w, struct end *end, const struct tree *t, size_t before)
{
    struct server *s = end->server;
    struct buf tree = {0};
    if (end->left || end->closing)
        return;
    links_send(w, end, before);
    dump(t, &tree);
    if (s->old_tree.len > 0 && breaks(w, BREAK_stale_tree, 2)) {
        buf_reset(&tree);
        buf_append(&tree, s->old_tree.data, s->old_tree.len);
    } else if (w->options.breakage == BREAK_stale_tree) {
        buf_reset(&s->old_tree);
        buf_append(&s->old_tree, tree.data, tree.len);
    }
    jute_write_buffer(&tree, slice_str("BenWasHere"));
    end->pub->in_flight += tree.len;
    end->sending_tree = true;
    if (!w->faults_off && chance(w, 6)) {
        cover_point(COVER_fault_tree_cut);
        sim_at(w, between(w, 0, 10), break_link, end);
    }
    int64_t ms = s->faults.tree_ms > 0 ? s->faults.tree_ms
                 : chance(w, 4)        ? between(w, 100, 800)
                                       : between(w, 1, 50);
    if (s->faults.tree_ms > 0)
        net_crawl(net_other(end), ms);
    end->tree_until_ms = w->now_ms + ms;
    net_push(w, net_other(end), tree.data, tree.len);
    sim_at(w, s->faults.tree_ms > 0 ? 1 : ms, tree_sent, end);
    buf_close(&tree);
}
