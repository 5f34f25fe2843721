/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The libuv shell of the session: carries out its effects and tells it what happened.
 *
 * Requests only queue bytes. A prepare and a check handle, before and behind each poll of the
 * loop, write what has gathered, so that the requests of one turn leave in one write, and none
 * waits for a turn. The timer is moved only when it would come too late; when it comes too early
 * it is set again. */
#include "client_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "zab/log.h"

enum {
    DEFAULT_TIMEOUT_MS = 30000,
};

static int64_t now_ms(const struct client *c)
{
    return (int64_t)uv_now(c->loop);
}

/* ---- Effects ---- */

/* In a long outage each host is heard of once in the log, and then only for debugging. */
static void report_problem(struct client *c, enum log_level level, const char *why)
{
    snprintf(c->problem, sizeof(c->problem), "%s", why);
    if (c->session.failures > c->hosts.n)
        level = LOG_LEVEL_DEBUG;
    log_line(level, "%s: %s", c->server, why);
}

static void connect_to(struct client *c, unsigned host)
{
    snprintf(c->server, sizeof(c->server), "%s", c->hosts.host_port[host]);
    c->conn = client_conn_open(&c->user, c->server, c->attempts[host]++);
}

static void disconnect(struct client *c)
{
    if (c->conn)
        client_conn_drop(c->conn);
    c->conn = NULL;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    if (--c->open_handles > 0)
        return;
    if (c->on_closed)
        c->on_closed(c->on_closed_arg);
    session_free(&c->session);
    client_hosts_close(&c->hosts);
    buf_close(&c->scratch);
    free(c->attempts);
    free(c);
}

static void close_handles(struct client *c)
{
    client_probe_drop(c);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
    uv_close((uv_handle_t *)&c->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&c->check, on_handle_closed);
}

static void tell_state(struct client *c, enum client_state state)
{
    if (state == CLIENT_CONNECTED || state == CLIENT_READ_ONLY)
        c->problem[0] = '\0';
    if (c->config.on_state)
        c->config.on_state(c->config.arg, state);
    if (state == CLIENT_CLOSED)
        close_handles(c);
}

static void tell_event(struct client *c, struct zk_watcher_event event, int64_t zxid)
{
    if (!client_strip_chroot(c, &event.path))
        log_warn("%s: watch event for %.*s, which is not below the chroot", c->server,
                 SLICE_ARG(event.path));
    else if (c->config.on_event)
        c->config.on_event(c->config.arg, &event, zxid);
}

static void perform(struct client *c, const struct session_effect *fx)
{
    switch (fx->type) {
    case SESSION_DO_CONNECT:
        connect_to(c, fx->host);
        break;
    case SESSION_DO_DISCONNECT:
        disconnect(c);
        break;
    case SESSION_DO_PROBE:
        client_probe_start(c, fx->host);
        break;
    case SESSION_TELL_STATE:
        tell_state(c, fx->state);
        break;
    case SESSION_TELL_REPLY:
        client_deliver(c, &fx->reply);
        break;
    case SESSION_TELL_EVENT:
        tell_event(c, fx->event, fx->event_zxid);
        break;
    case SESSION_TELL_NOTE:
        report_problem(c, LOG_LEVEL_WARN, fx->note);
        break;
    }
}

static void perform_all(struct client *c)
{
    struct session_effect fx;
    while (session_next_effect(&c->session, &fx))
        perform(c, &fx);
}

/* ---- What happened ---- */

static void on_connected(struct conn_user *user)
{
    struct client *c = container_of(user, struct client, user);
    session_connected(&c->session, now_ms(c));
    perform_all(c);
}

static void on_bytes(struct conn_user *user, struct slice bytes)
{
    struct client *c = container_of(user, struct client, user);
    session_received(&c->session, now_ms(c), bytes);
    perform_all(c);
}

static void on_lost(struct conn_user *user, const char *why)
{
    struct client *c = container_of(user, struct client, user);
    report_problem(c, LOG_LEVEL_INFO, why);
    disconnect(c);
    session_disconnected(&c->session, now_ms(c));
    perform_all(c);
}

void client_on_probed(struct client *c, unsigned host, bool has_quorum)
{
    session_probed(&c->session, now_ms(c), host, has_quorum);
    perform_all(c);
}

static void on_timer(uv_timer_t *timer)
{
    struct client *c = timer->data;
    c->armed = INT64_MAX;
    session_tick(&c->session, now_ms(c));
    perform_all(c);
}

static void arm_timer(struct client *c)
{
    int64_t deadline = session_deadline(&c->session);
    if (deadline >= c->armed)
        return;
    c->armed = deadline;
    uv_timer_start(&c->timer, on_timer, (uint64_t)MAX(deadline - now_ms(c), 0), 0);
}

static void turn(struct client *c)
{
    perform_all(c);
    c->user.reads_left = CLIENT_READS_A_TURN;
    if (c->conn)
        client_conn_write(c->conn, session_output(&c->session));
    if (!uv_is_closing((uv_handle_t *)&c->timer))
        arm_timer(c);
}

static void on_prepare(uv_prepare_t *handle)
{
    turn(handle->data);
}

static void on_check(uv_check_t *handle)
{
    turn(handle->data);
}

/* ---- Beginning and end ---- */

int client_parse_reply_max(const char *text, int32_t *reply_max)
{
    static const char units[] = "KMG";
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    if (errno != 0 || end == text || end[unit ? 1 : 0] != '\0' || n <= 0 ||
        n > SESSION_FRAME_MAX >> shift || n << shift < SESSION_REPLY_MIN)
        return -EINVAL;
    *reply_max = (int32_t)(n << shift);
    return 0;
}

static void init_handles(struct client *c)
{
    uv_timer_init(c->loop, &c->timer);
    uv_prepare_init(c->loop, &c->prepare);
    uv_check_init(c->loop, &c->check);
    c->timer.data = c->prepare.data = c->check.data = c;
    c->open_handles = 3;
    c->armed = INT64_MAX;
    uv_prepare_start(&c->prepare, on_prepare);
    uv_check_start(&c->check, on_check);
}

int client_open(uv_loop_t *loop, const struct client_config *config, struct client **out,
                struct err *e)
{
    struct client_hosts hosts;
    int rc = client_hosts_parse(&hosts, config->hosts, e);
    if (rc != 0)
        return rc;
    struct client *c = mem_zalloc(sizeof(*c));
    c->loop = c->user.loop = loop;
    c->user.tls = config->tls;
    c->user.on_connected = on_connected;
    c->user.on_bytes = on_bytes;
    c->user.on_lost = on_lost;
    c->config = *config;
    c->config.hosts = NULL; /* the caller's */
    c->hosts = hosts;
    c->chroot = slice_str(hosts.chroot);
    c->attempts = mem_zalloc(hosts.n * sizeof(*c->attempts));
    struct session_config session = {
        .n_hosts = hosts.n,
        .timeout_ms = config->timeout_ms ? config->timeout_ms : DEFAULT_TIMEOUT_MS,
        .request_timeout_ms = config->request_timeout_ms,
        .reply_max = config->reply_max,
        .read_only_ok = config->read_only_ok,
        .seed = uv_hrtime() ^ (uint64_t)uv_os_getpid() << 32,
    };
    session_init(&c->session, &session);
    init_handles(c);
    uv_update_time(loop);
    session_start(&c->session, now_ms(c));
    *out = c;
    return 0;
}

void client_close(struct client *c, void (*on_closed)(void *arg), void *arg)
{
    c->on_closed = on_closed;
    c->on_closed_arg = arg;
    session_close(&c->session, now_ms(c));
}

void client_add_auth(struct client *c, const char *scheme, struct slice auth)
{
    session_add_auth(&c->session, now_ms(c), slice_str(scheme), auth);
}

enum client_state client_state(const struct client *c)
{
    return session_state(&c->session);
}

int64_t client_session_id(const struct client *c)
{
    return c->session.id;
}

int client_timeout_ms(const struct client *c)
{
    return c->session.timeout_ms;
}

int64_t client_last_zxid(const struct client *c)
{
    return c->session.last_zxid;
}

const char *client_server(const struct client *c)
{
    enum client_state state = client_state(c);
    return state == CLIENT_CONNECTED || state == CLIENT_READ_ONLY ? c->server : "";
}

const char *client_problem(const struct client *c)
{
    return c->problem;
}
