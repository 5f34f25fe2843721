/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Election messages: for each other server the newest waits until there is a connection, and one
 * that was on its way may be lost with it. */
#include "sim.h"

static bool is_blocked(const struct world *w, const struct mail *m)
{
    return w->blocked[m->from->index][m->to->index];
}

static bool is_blocked_back(const struct world *w, const struct mail *m)
{
    return w->blocked[m->to->index][m->from->index];
}

static void post(struct world *w, struct server *to, const struct server *from,
                 const struct buf *message)
{
    ROOM_FOR_ONE(to->post, to->n_post, to->cap_post);
    struct post *p = &to->post[to->n_post++];
    *p = (struct post){.sid = from->index + 1, .up = !message};
    if (message)
        buf_append(&p->message, message->data, message->len);
    server_turn_soon(w, to);
}

void peers_forge(struct world *w, struct server *to, const struct server *from,
                 const struct buf *message)
{
    post(w, to, from, message);
}

static void set_connected(struct server *a, struct server *b, bool connected)
{
    a->mail[b->index].connected = b->mail[a->index].connected = connected;
}

static void connect_both(struct world *w, const struct mail *m)
{
    set_connected(m->from, m->to, true);
    post(w, m->to, m->from, NULL);
    post(w, m->from, m->to, NULL);
}

static void deliver(struct world *w, struct mail *m)
{
    m->waits = false;
    if (!w->faults_off && chance(w, 200)) {
        cover_point(COVER_fault_mail);
        set_connected(m->from, m->to, false); /* and the message is lost */
    } else {
        post(w, m->to, m->from, &m->message);
    }
}

static void try_to_deliver(struct world *w, void *arg)
{
    struct mail *m = arg;
    int64_t again_ms = 0;
    if (!m->from->up || !m->waits) {
        m->waits = false;
    } else if (!m->to->up || is_blocked(w, m)) {
        again_ms = between(w, 100, 1500);
        if (!m->to->up || chance(w, 4))
            set_connected(m->from, m->to, false);
    } else if (!m->connected && is_blocked_back(w, m)) {
        again_ms = between(w, 100, 1500);
    } else if (!m->connected) {
        connect_both(w, m);
        again_ms = 1 + net_delay(w);
    } else {
        deliver(w, m);
    }
    m->moving = again_ms > 0;
    if (m->moving)
        sim_at(w, again_ms, try_to_deliver, m);
}

void peers_send(struct world *w, struct server *from, int64_t sid, struct slice message)
{
    struct server *to = &w->servers[sid - 1];
    struct mail *m = &from->mail[to->index];
    m->from = from;
    m->to = to;
    buf_reset(&m->message);
    buf_append(&m->message, message.data, slice_size(message));
    tamper_vote(w, from, &m->message);
    m->waits = true;
    if (m->moving)
        return;
    m->moving = true;
    sim_at(w, net_delay(w), try_to_deliver, m);
}

static void drop_post(struct server *s)
{
    for (size_t i = 0; i < s->n_post; i++)
        buf_close(&s->post[i].message);
    s->n_post = 0;
}

/* In its turn the replica is told what has come. */
void peers_take(struct world *w, struct server *s)
{
    for (size_t i = 0; s->up && i < s->n_post; i++) {
        const struct post *p = &s->post[i];
        server_step(w, s,
                    (struct node_event){.type = p->up ? NODE_PEER_UP : NODE_PEER_MESSAGE,
                                        .sid = p->sid,
                                        .data = buf_slice(&p->message)});
    }
    drop_post(s);
}

void peers_died(struct world *w, struct server *s)
{
    drop_post(s);
    for (unsigned i = 0; i < w->n_servers; i++) {
        s->mail[i].waits = false;
        set_connected(s, &w->servers[i], false);
    }
}

void peers_close(struct server *s)
{
    drop_post(s);
    free(s->post);
    for (size_t i = 0; i < SERVERS_MAX; i++)
        buf_close(&s->mail[i].message);
}
