/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The life of a session: its phases, its clocks, and the way from host to host.
 *
 * The hosts are tried in an order shuffled once. The first round goes on at once; after it each
 * attempt waits longer, up to a second. A connection that lasted for a second begins a new
 * round, so that a server that accepts and drops is not asked in a tight loop. */
#include "session_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BACKOFF_MIN_MS = 50,
    LASTING_MS = 1000,
    INTERVAL_MIN_MS = 10, /* whatever timeout a server grants */
};

#define PHASE(p) (1u << SESSION_##p)

/* The phases that may follow each phase. */
static const unsigned allowed[] = {
    [SESSION_WAITING] = PHASE(CONNECTING) | PHASE(CLOSED),
    [SESSION_CONNECTING] = PHASE(HANDSHAKE) | PHASE(CONNECTING) | PHASE(WAITING) | PHASE(CLOSED),
    [SESSION_HANDSHAKE] =
        PHASE(ESTABLISHED) | PHASE(READ_ONLY) | PHASE(CONNECTING) | PHASE(WAITING) | PHASE(CLOSED),
    [SESSION_ESTABLISHED] =
        PHASE(CONNECTING) | PHASE(WAITING) | PHASE(AUTH_FAILED) | PHASE(CLOSING),
    [SESSION_READ_ONLY] = PHASE(CONNECTING) | PHASE(WAITING) | PHASE(AUTH_FAILED) | PHASE(CLOSING),
    [SESSION_AUTH_FAILED] = PHASE(CLOSED),
    [SESSION_CLOSING] = PHASE(CLOSED),
    [SESSION_CLOSED] = 0,
};

static const enum client_state state_of_phase[] = {
    [SESSION_WAITING] = CLIENT_CONNECTING,   [SESSION_CONNECTING] = CLIENT_CONNECTING,
    [SESSION_HANDSHAKE] = CLIENT_CONNECTING, [SESSION_ESTABLISHED] = CLIENT_CONNECTED,
    [SESSION_READ_ONLY] = CLIENT_READ_ONLY,  [SESSION_AUTH_FAILED] = CLIENT_AUTH_FAILED,
    [SESSION_CLOSING] = CLIENT_CLOSED,       [SESSION_CLOSED] = CLIENT_CLOSED,
};

const char *client_state_name(enum client_state state)
{
    static const char *const names[] = {
        [CLIENT_CONNECTING] = "connecting",   [CLIENT_CONNECTED] = "connected",
        [CLIENT_READ_ONLY] = "read-only",     [CLIENT_EXPIRED] = "expired",
        [CLIENT_AUTH_FAILED] = "auth-failed", [CLIENT_CLOSED] = "closed",
    };
    return names[state];
}

enum client_state session_state(const struct session *s)
{
    return state_of_phase[s->phase];
}

bool session_is_online(const struct session *s)
{
    return s->phase == SESSION_ESTABLISHED || s->phase == SESSION_READ_ONLY;
}

static void set_phase(struct session *s, enum session_phase phase)
{
    ensure(allowed[s->phase] & 1u << phase);
    s->phase = phase;
}

/* ---- Effects ---- */

struct session_effect *session_add_effect(struct session *s, enum session_effect_type type)
{
    if (s->n_effects == s->cap_effects) {
        s->cap_effects = MAX(s->cap_effects * 2, 16);
        s->effects = mem_realloc(s->effects, s->cap_effects * sizeof(*s->effects));
    }
    struct session_effect *fx = &s->effects[s->n_effects++];
    fx->type = type;
    return fx;
}

bool session_next_effect(struct session *s, struct session_effect *out)
{
    if (s->next_effect == s->n_effects) {
        s->next_effect = s->n_effects = 0;
        return false;
    }
    *out = s->effects[s->next_effect++];
    return true;
}

static void tell_state(struct session *s, enum client_state state)
{
    if (s->told == state)
        return;
    s->told = state;
    session_add_effect(s, SESSION_TELL_STATE)->state = state;
}

/* ---- From host to host ---- */

static void connect_next(struct session *s, int64_t now_ms)
{
    set_phase(s, SESSION_CONNECTING);
    /* A host that hangs leaves the requests that wait time for the others. */
    int all_hosts_ms = MIN(s->timeout_ms, s->config.request_timeout_ms);
    s->connect_by = now_ms + MAX(all_hosts_ms / (int)s->config.n_hosts, INTERVAL_MIN_MS);
    session_add_effect(s, SESSION_DO_CONNECT)->host = s->order[s->next_host];
    s->next_host = (s->next_host + 1) % s->config.n_hosts;
}

static int64_t backoff_ms(struct session *s)
{
    if (s->failures < s->config.n_hosts)
        return 0;
    unsigned doublings = MIN(s->failures - s->config.n_hosts, 10);
    int64_t most = MIN((int64_t)BACKOFF_MIN_MS << doublings, SESSION_BACKOFF_MAX_MS);
    return most / 2 + (int64_t)rng_below(&s->rng, (uint64_t)(most / 2 + 1));
}

/* The connection or the attempt is gone. What was sent has an unknown fate. */
static void connection_lost(struct session *s, int64_t now_ms)
{
    bool lasted = session_is_online(s) && now_ms - s->established_at >= LASTING_MS;
    s->failures = lasted ? 0 : s->failures + 1;
    buf_reset(&s->out);
    session_answer_error(s, s->n_sent, ZK_CONNECTIONLOSS);
    tell_state(s, CLIENT_CONNECTING);
    int64_t delay_ms = backoff_ms(s);
    if (delay_ms == 0) {
        connect_next(s, now_ms);
    } else {
        set_phase(s, SESSION_WAITING);
        s->retry_at = now_ms + delay_ms;
    }
}

void session_fail(struct session *s, int64_t now_ms, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->note, sizeof(s->note), fmt, ap);
    va_end(ap);
    session_add_effect(s, SESSION_TELL_NOTE)->note = s->note;
    session_add_effect(s, SESSION_DO_DISCONNECT);
    connection_lost(s, now_ms);
}

void session_connected(struct session *s, int64_t now_ms)
{
    set_phase(s, SESSION_HANDSHAKE);
    buf_reset(&s->in);
    s->in_used = s->skip = 0;
    s->last_recv = s->last_send = now_ms;
    session_write_connect(s);
}

void session_disconnected(struct session *s, int64_t now_ms)
{
    if (s->phase == SESSION_CLOSING)
        session_closed(s);
    else if (s->phase != SESSION_AUTH_FAILED)
        connection_lost(s, now_ms);
}

void session_established(struct session *s, int64_t now_ms, bool read_only)
{
    set_phase(s, read_only ? SESSION_READ_ONLY : SESSION_ESTABLISHED);
    s->established_at = s->last_send = now_ms;
    s->seen_read_write = s->seen_read_write || !read_only;
    s->probe_ms = SESSION_PROBE_MIN_MS;
    s->probe_at = now_ms + s->probe_ms;
    tell_state(s, session_state(s));
    buf_append(&s->out, s->auths.data, s->auths.len);
    session_watch_write(s);
    session_send_waiting(s);
}

void session_expired(struct session *s, int64_t now_ms)
{
    s->id = 0;
    memset(s->password, 0, sizeof(s->password));
    s->seen_read_write = false;
    s->timeout_ms = s->config.timeout_ms;
    session_watch_forget_standard(s);
    session_answer_error(s, s->n, ZK_SESSIONEXPIRED);
    session_add_effect(s, SESSION_DO_DISCONNECT);
    tell_state(s, CLIENT_EXPIRED);
    tell_state(s, CLIENT_CONNECTING);
    connect_next(s, now_ms);
}

static void probe_next(struct session *s, int64_t now_ms)
{
    session_add_effect(s, SESSION_DO_PROBE)->host = s->order[s->next_host];
    s->next_host = (s->next_host + 1) % s->config.n_hosts;
    s->probe_ms = MIN(s->probe_ms * 2, SESSION_PROBE_MAX_MS);
    s->probe_at = now_ms + s->probe_ms;
}

void session_probed(struct session *s, int64_t now_ms, unsigned host, bool has_quorum)
{
    if (s->phase != SESSION_READ_ONLY || !has_quorum)
        return;
    while (s->order[s->next_host] != host)
        s->next_host = (s->next_host + 1) % s->config.n_hosts;
    session_add_effect(s, SESSION_DO_DISCONNECT);
    connection_lost(s, now_ms);
}

/* The server has closed the connection, or will. There is no way back. */
void session_auth_refused(struct session *s)
{
    set_phase(s, SESSION_AUTH_FAILED);
    buf_reset(&s->out);
    session_add_effect(s, SESSION_DO_DISCONNECT);
    tell_state(s, CLIENT_AUTH_FAILED);
    session_answer_error(s, s->n, ZK_AUTHFAILED);
}

/* ---- Beginning and end ---- */

void session_init(struct session *s, const struct session_config *config)
{
    ensure(config->n_hosts > 0 && config->timeout_ms > 0);
    *s = (struct session){.config = *config, .told = CLIENT_CLOSED};
    s->rng.state = config->seed;
    s->timeout_ms = config->timeout_ms;
    if (s->config.request_timeout_ms == 0)
        s->config.request_timeout_ms = config->timeout_ms;
    if (s->config.reply_max == 0)
        s->config.reply_max = SESSION_REPLY_DEFAULT;
    ensure(s->config.reply_max >= SESSION_REPLY_MIN && s->config.reply_max <= SESSION_FRAME_MAX);
    s->order = mem_alloc(config->n_hosts * sizeof(*s->order));
    for (unsigned i = 0; i < config->n_hosts; i++) {
        unsigned j = (unsigned)rng_below(&s->rng, i + 1);
        s->order[i] = s->order[j];
        s->order[j] = i;
    }
    s->watch_seed = rng_next(&s->rng);
}

void session_start(struct session *s, int64_t now_ms)
{
    connect_next(s, now_ms);
}

void session_close(struct session *s, int64_t now_ms)
{
    ensure(s->phase != SESSION_CLOSING && s->phase != SESSION_CLOSED);
    bool online = session_is_online(s);
    session_answer_error(s, s->n, ZK_CONNECTIONLOSS);
    if (!online) {
        session_closed(s);
        return;
    }
    set_phase(s, SESSION_CLOSING);
    s->close_by = now_ms + SESSION_CLOSE_MS;
    s->close_xid = ++s->last_xid;
    session_frame_end(&s->out, session_frame_begin(&s->out, s->close_xid, ZK_OP_closeSession));
}

void session_closed(struct session *s)
{
    set_phase(s, SESSION_CLOSED);
    buf_reset(&s->out);
    session_add_effect(s, SESSION_DO_DISCONNECT);
    /* Also where nothing was told before, which counts as closed. */
    s->told = CLIENT_CLOSED;
    session_add_effect(s, SESSION_TELL_STATE)->state = CLIENT_CLOSED;
}

void session_free(struct session *s)
{
    session_watch_free(s);
    buf_close(&s->waiting);
    buf_close(&s->out);
    buf_close(&s->in);
    buf_close(&s->auths);
    free(s->ring);
    free(s->order);
    free(s->effects);
}

/* ---- Clocks ---- */

static int64_t ping_at(const struct session *s)
{
    return s->last_send + MIN(MAX(s->timeout_ms / 3, INTERVAL_MIN_MS), SESSION_PING_MAX_MS);
}

static int64_t dead_at(const struct session *s)
{
    return s->last_recv + MAX((int64_t)s->timeout_ms * 2 / 3, 2 * INTERVAL_MIN_MS);
}

static int64_t phase_deadline(const struct session *s)
{
    switch (s->phase) {
    case SESSION_WAITING:
        return s->retry_at;
    case SESSION_CONNECTING:
    case SESSION_HANDSHAKE:
        return s->connect_by;
    case SESSION_ESTABLISHED:
        return MIN(ping_at(s), dead_at(s));
    case SESSION_READ_ONLY:
        return MIN(MIN(ping_at(s), dead_at(s)), s->probe_at);
    case SESSION_CLOSING:
        return s->close_by;
    case SESSION_AUTH_FAILED:
    case SESSION_CLOSED:
        break;
    }
    return INT64_MAX;
}

int64_t session_deadline(const struct session *s)
{
    const struct session_request *oldest = session_oldest(s);
    return MIN(phase_deadline(s), oldest ? oldest->deadline : INT64_MAX);
}

static void tick_online(struct session *s, int64_t now_ms)
{
    if (now_ms >= dead_at(s)) {
        session_fail(s, now_ms, "nothing heard for %lld ms", (long long)(now_ms - s->last_recv));
    } else if (now_ms >= ping_at(s)) {
        session_frame_end(&s->out, session_frame_begin(&s->out, ZK_XID_PING, ZK_OP_ping));
        s->last_send = now_ms;
    }
    if (s->phase == SESSION_READ_ONLY && now_ms >= s->probe_at)
        probe_next(s, now_ms);
}

static void tick_phase(struct session *s, int64_t now_ms)
{
    if (session_is_online(s)) {
        tick_online(s, now_ms);
    } else if (now_ms >= phase_deadline(s)) {
        if (s->phase == SESSION_WAITING)
            connect_next(s, now_ms);
        else if (s->phase == SESSION_CLOSING)
            session_closed(s);
        else
            session_fail(s, now_ms, "no session within the time for one host");
    }
}

/* A request that was sent and has no answer makes the connection suspect: replies come in order,
 * so that nothing behind it would be answered either. */
static void tick_requests(struct session *s, int64_t now_ms)
{
    const struct session_request *oldest = session_oldest(s);
    if (s->n_sent > 0 && oldest->deadline <= now_ms)
        session_fail(s, now_ms, "no answer to a %s request for %d ms", zk_op_name(oldest->op),
                     s->config.request_timeout_ms);
    while ((oldest = session_oldest(s)) && oldest->deadline <= now_ms)
        session_answer_error(s, 1, ZK_OPERATIONTIMEOUT);
}

void session_tick(struct session *s, int64_t now_ms)
{
    tick_phase(s, now_ms);
    tick_requests(s, now_ms);
}
