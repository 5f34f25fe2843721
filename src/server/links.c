/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "links.h"

#include <errno.h>
#include <inttypes.h>

#include "dial.h"
#include "server.h"

enum {
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 1000,
};

static void on_learner(uv_stream_t *listener, int status)
{
    stream_accept(listener, status, NODE_LINK_OPENED);
}

int links_start(struct server *s, struct err *e)
{
    return net_listen_for_servers(s, false, on_learner, e);
}

static void retry_later(struct server *s)
{
    struct links *l = &s->links;
    l->delay_ms = l->delay_ms ? MIN(l->delay_ms * 2, RETRY_MAX_MS) : RETRY_MIN_MS;
    l->retry_ms = uv_now(&s->loop) + l->delay_ms;
}

static void on_dialled(void *arg, int fd)
{
    struct server *s = arg;
    struct links *l = &s->links;
    const struct ensemble_address *a = &l->leader->addresses[l->next_address];
    l->dial = NULL;
    if (fd >= 0) {
        l->leader = NULL;
        stream_open_leader(s, fd, a->host);
        return;
    }
    log_debug("no connection to the leader server.%" PRId64 " at %s:%d: %s; trying again",
              l->leader->zab.sid, a->host, a->quorum_port, uv_strerror(fd));
    l->next_address = (l->next_address + 1) % l->leader->n_addresses;
    retry_later(s);
}

static void connect_now(struct server *s)
{
    struct links *l = &s->links;
    const struct ensemble_address *a = &l->leader->addresses[l->next_address];
    l->dial = dial_start(&s->loop, a->host, a->quorum_port, (uint64_t)s->config->quorum_timeout_ms,
                         on_dialled, s);
    if (!l->dial)
        retry_later(s);
}

void links_connect(struct server *s, int64_t sid)
{
    links_stop_connecting(s);
    if (s->stopping)
        return;
    for (size_t i = 0; i < s->config->ensemble.n; i++) {
        if (s->config->ensemble.servers[i].zab.sid == sid)
            s->links.leader = &s->config->ensemble.servers[i];
    }
    if (s->links.leader)
        connect_now(s);
    else
        log_warn("server.%" PRId64
                 " was elected, but is missing from this configuration; make the server "
                 "lines the same on all servers",
                 sid);
}

void links_stop_connecting(struct server *s)
{
    if (s->links.dial)
        dial_cancel(s->links.dial);
    s->links = (struct links){0};
}

void links_tick(struct server *s)
{
    struct links *l = &s->links;
    if (l->leader && !l->dial && l->retry_ms <= uv_now(&s->loop))
        connect_now(s);
}
