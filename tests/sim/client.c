/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shell around a client's session, which is the production code, and what clients do. */
#include "mountpoint.h"

/* ---- Effects of the session ---- */

static struct server *chosen_server(struct world *w, struct client *c)
{
    return c->only ? c->only : &w->servers[c->host];
}

/* Where nothing goes through the attempt ends when the session loses its patience. */
static void connect_now(struct world *w, void *arg)
{
    struct client *c = arg;
    if (!c->running || c->session.phase != SESSION_CONNECTING || c->conn)
        return;
    struct server *s = chosen_server(w, c);
    unsigned place = SERVERS_MAX + c->index;
    if (!s->up) {
        session_disconnected(&c->session, w->now_ms);
    } else if (!w->blocked[place][s->index] && !w->blocked[s->index][place]) {
        c->conn = net_connect(w, c, s);
        session_connected(&c->session, w->now_ms);
    }
    client_pump(w, c);
}

static void tell_reply(struct world *w, struct client *c, const struct session_reply *reply)
{
    struct request *r = reply->tag.arg;
    if (c->mount) {
        mountpoint_answered(c->mount, reply);
        return;
    }
    if (c->n_waiting == 0 || c->waiting[0] != r)
        sim_fail(w, SIM_BROKEN, "client %u: a session tells of request %d out of order", c->index,
                 r->xid);
    c->n_waiting--;
    memmove(c->waiting, c->waiting + 1, c->n_waiting * sizeof(c->waiting[0]));
    r->told = true;
    if (w->lenient && !slice_is_null(reply->body))
        operators_told(r, reply->err);
    w->n_told++;
    if (w->unmodelled && reply->err != ZK_CONNECTIONLOSS && reply->err != ZK_OPERATIONTIMEOUT) {
        r->answered = true;
        r->err = reply->err;
    }
    if (r->answered && !slice_is_null(reply->body) && r->err != reply->err)
        sim_fail(w, SIM_BROKEN, "client %u: request %d was answered %s, and its session says %s",
                 c->index, r->xid, zk_error_name(r->err), zk_error_name(reply->err));
    if (!r->answered)
        sim_trace(w, "client %u: #%d %s", c->index, r->xid, zk_error_name(reply->err));
}

static void tell_state(struct world *w, struct client *c, enum client_state state)
{
    sim_trace(w, "client %u: %s, session 0x%" PRIx64, c->index, client_state_name(state),
              (uint64_t)c->session.id);
    cover(COVER_SESSION, (int32_t)state, 0);
    if (state == CLIENT_EXPIRED)
        watchcheck_expired(c);
    if (c->mount)
        mountpoint_state(c->mount, state);
    if (state == CLIENT_CLOSED)
        c->running = false;
}

static void leave(struct world *w, struct client *c)
{
    if (c->conn && !c->conn->ends[0].left)
        net_client_leaves(w, c->conn);
    c->conn = NULL;
}

static void carry_out(struct world *w, struct client *c, const struct session_effect *fx)
{
    switch (fx->type) {
    case SESSION_DO_CONNECT:
        c->host = fx->host;
        sim_at(w, between(w, 0, 10), connect_now, c);
        break;
    case SESSION_DO_DISCONNECT:
        leave(w, c);
        break;
    case SESSION_DO_PROBE:
        break; /* only a read-only server is probed */
    case SESSION_TELL_STATE:
        tell_state(w, c, fx->state);
        break;
    case SESSION_TELL_REPLY:
        tell_reply(w, c, &fx->reply);
        break;
    case SESSION_TELL_EVENT:
        c->n_events_told++;
        if (c->mount)
            mountpoint_watch(c->mount, fx);
        break;
    case SESSION_TELL_NOTE:
        sim_trace(w, "client %u: %s", c->index, fx->note);
        break;
    }
}

static void tick(struct world *w, void *arg)
{
    struct client *c = arg;
    if (c->tick_at > w->now_ms)
        return;
    c->tick_at = INT64_MAX;
    if (!c->running)
        return;
    if (session_deadline(&c->session) <= w->now_ms)
        session_tick(&c->session, w->now_ms);
    client_pump(w, c);
}

static void plan_tick(struct world *w, struct client *c)
{
    int64_t deadline = session_deadline(&c->session);
    if (!c->running || deadline >= c->tick_at || deadline == INT64_MAX)
        return;
    c->tick_at = MAX(deadline, w->now_ms + 1);
    sim_at(w, c->tick_at - w->now_ms, tick, c);
}

/* Carry out what the session wants, and write what it has to say. */
void client_pump(struct world *w, struct client *c)
{
    struct session_effect fx;
    if (c->pumping)
        return;
    c->pumping = true;
    while (session_next_effect(&c->session, &fx))
        carry_out(w, c, &fx);
    c->pumping = false;
    struct buf *out = session_output(&c->session);
    if (c->conn && out->len > 0) {
        check_sent(w, c->conn, buf_slice(out));
        net_push(w, &c->conn->ends[1], out->data, out->len);
        buf_reset(out);
    }
    if (c->n_events_told != c->n_events_seen && !w->unmodelled)
        sim_fail(w, SIM_BROKEN, "client %u: its session told %zu events, %zu came", c->index,
                 c->n_events_told, c->n_events_seen);
    plan_tick(w, c);
}

void client_received(struct world *w, struct client *c, struct slice bytes)
{
    session_received(&c->session, w->now_ms, bytes);
    client_pump(w, c);
}

void client_disconnected(struct world *w, struct client *c)
{
    c->conn = NULL;
    session_disconnected(&c->session, w->now_ms);
    client_pump(w, c);
}

/* ---- What clients do ---- */

void client_request(struct world *w, struct client *c, struct request *r)
{
    struct buf text = {0};
    struct session_tag tag = {.arg = r};
    ROOM_FOR_ONE(c->waiting, c->n_waiting, c->cap_waiting);
    c->waiting[c->n_waiting++] = r;
    request_write(session_request_begin(&c->session, (enum zk_op)r->op.type), r);
    session_request_end(&c->session, w->now_ms, tag);
    r->xid = c->session.last_xid;
    request_text(r, &text);
    sim_trace(w, "client %u: #%d %.*s", c->index, r->xid, (int)text.len, (char *)text.data);
    buf_close(&text);
    client_pump(w, c);
}

static void start_again(struct world *w, void *arg)
{
    struct client *c = arg;
    if (c->running)
        return;
    client_free(c);
    client_start(w, c, c->index);
}

/* Close the session, or be gone without a word. */
void client_end(struct world *w, struct client *c, bool politely)
{
    sim_trace(w, "client %u: %s", c->index, politely ? "closes its session" : "dies");
    if (politely) {
        session_close(&c->session, w->now_ms);
        client_pump(w, c);
    } else {
        leave(w, c);
        c->running = false;
    }
}

static void act(struct world *w, void *arg)
{
    struct client *c = arg;
    if (w->faults_off || w->options.script)
        return;
    int64_t burst = w->hot ? 1 : chance(w, 10) ? SIM_PIPELINE : between(w, 0, 3);
    while (c->running && session_state(&c->session) != CLIENT_CLOSED && burst-- > 0 &&
           c->n_waiting < (w->hot ? 10 * SIM_PIPELINE : SIM_PIPELINE)) {
        struct request *r = request_new(w, c);
        if (w->unmodelled)
            raw_fill(w, r);
        else
            request_fill_randomly(w, r);
        client_request(w, c, r);
    }
    if (c->running && session_state(&c->session) != CLIENT_CLOSED && chance(w, 100))
        client_end(w, c, chance(w, 2));
    else if (!c->running && chance(w, 4))
        start_again(w, c);
    int64_t pace_ms = is_ensemble(w) ? scaled(w, w->hot ? 200 : 80) : 30;
    sim_at(w, between(w, 1, pace_ms), act, c);
}

static void act_first(struct world *w, struct client *c)
{
    if (!c->acting)
        sim_at(w, between(w, 0, 50), act, c);
    c->acting = true;
}

void client_start(struct world *w, struct client *c, unsigned index)
{
    static const unsigned who[] = {0, MODEL_ALICE, MODEL_BOB, MODEL_ALICE | MODEL_BOB, 0};
    *c = (struct client){.index = index,
                         .ids = who[index % ARRAY_LEN(who)],
                         .running = true,
                         .acting = c->acting,
                         .mount = c->mount,
                         .only = c->only};
    c->tick_at = INT64_MAX;
    int64_t least_ms = w->hot           ? w->times.timeout_max_ms
                       : is_ensemble(w) ? w->times.timeout_max_ms / 3
                                        : w->times.timeout_min_ms / 2;
    struct session_config config = {
        .n_hosts = c->only ? 1 : w->n_servers,
        .timeout_ms = (int)between(w, least_ms, w->times.timeout_max_ms * 3 / 2),
        .request_timeout_ms = c->mount ? c->mount->config.timeo_ms : 4 * (int)w->times.patience_ms,
    };
    config.seed = rng_next(&w->rng);
    session_init(&c->session, &config);
    if (c->ids & MODEL_ALICE)
        session_add_auth(&c->session, w->now_ms, slice_str("digest"), slice_str("alice:secret"));
    if (c->ids & MODEL_BOB)
        session_add_auth(&c->session, w->now_ms, slice_str("digest"), slice_str("bob:secret"));
    session_start(&c->session, w->now_ms);
    client_pump(w, c);
    act_first(w, c);
}

void client_free(struct client *c)
{
    session_free(&c->session);
    free(c->waiting);
    free(c->watched);
}
