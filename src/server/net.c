/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ports that are listened to. */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>

#include "server.h"

enum {
    BIND_RETRY = 3, /* for an address of several, where electionPortBindRetry has no end */
};

/* An IPv6 address may have a zone; the resolver wants one only where it has a meaning. */
static int resolve(const char *host, const char *port, int family, struct addrinfo **ai)
{
    struct addrinfo hints = {
        .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int rc = getaddrinfo(host, port, &hints, ai);
    const char *zone = host ? strchr(host, '%') : NULL;
    if (rc != EAI_NONAME || !zone)
        return rc;
    char *address = slice_dup_str(slice_of(host, (size_t)(zone - host)));
    hints.ai_flags |= AI_NUMERICHOST;
    rc = getaddrinfo(address, port, &hints, ai);
    free(address);
    return rc;
}

static int port_of(const uv_tcp_t *tcp)
{
    struct sockaddr_storage ss;
    int len = sizeof(ss);
    if (uv_tcp_getsockname(tcp, (struct sockaddr *)&ss, &len) != 0)
        return 0;
    return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
                                          : ((struct sockaddr_in *)&ss)->sin_port);
}

static int bind_to(struct server *s, const struct listen_at *at, int family, struct err *e)
{
    struct addrinfo *ai = NULL;
    char port[16];
    snprintf(port, sizeof(port), "%d", at->port);
    int rc = resolve(at->host, port, family, &ai);
    if (rc != 0)
        return err_set(e, -EADDRNOTAVAIL, "%s: the address %s: %s", at->key,
                       at->host ? at->host : "", gai_strerror(rc));
    struct listener *l = mem_zalloc(sizeof(*l));
    l->secure = at->secure;
    list_append(&s->listeners, &l->link);
    uv_tcp_init(&s->loop, &l->tcp);
    l->tcp.data = s;
    rc = uv_tcp_bind(&l->tcp, ai->ai_addr, 0);
    freeaddrinfo(ai);
    int backlog = s->config->backlog < 0 ? 4096 : (int)s->config->backlog;
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&l->tcp, backlog, at->on_connection);
    if (rc == 0) {
        l->port = port_of(&l->tcp);
        return 0;
    }
    uv_close((uv_handle_t *)&l->tcp, NULL);
    return err_set(e, rc,
                   "cannot listen on port %s of %s: %s; choose another %s or stop what uses it",
                   port, at->host ? at->host : "all addresses", uv_strerror(rc), at->key);
}

int net_listen(struct server *s, const struct listen_at *at, struct err *e)
{
    if (at->host)
        return bind_to(s, at, AF_UNSPEC, e);
    int rc = bind_to(s, at, AF_INET6, e);
    return rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL ? bind_to(s, at, AF_INET, e) : rc;
}

static void on_client(uv_stream_t *listener, int status)
{
    stream_accept(listener, status, NODE_CONN_OPENED);
}

int net_listen_for_clients(struct server *s, struct err *e)
{
    const struct config *c = s->config;
    struct listen_at plain = {c->client_address, (int)c->client_port, "clientPort", on_client,
                              secure_client_port(&s->secure, c, false)};
    struct listen_at tls = {c->secure_client_address, (int)c->secure_client_port,
                            "secureClientPort", on_client, secure_client_port(&s->secure, c, true)};
    int rc = c->client_port > 0 || c->client_port_any ? net_listen(s, &plain, e) : 0;
    if (rc == 0 && !list_is_empty(&s->listeners))
        s->client_port = container_of(s->listeners.prev, struct listener, link)->port;
    if (rc == 0 && c->secure_client_port > 0)
        rc = net_listen(s, &tls, e);
    return rc;
}

/* Those of the addresses of this server that are not listened to yet: how many are then. */
static size_t listen_at_own(struct server *s, const struct listen_at *like, bool election,
                            bool listening[ENSEMBLE_ADDRESSES_MAX], struct err *e)
{
    const struct ensemble_server *own = s->config->own;
    size_t n = 0;
    for (size_t i = 0; i < own->n_addresses; i++) {
        const struct ensemble_address *a = &own->addresses[i];
        struct listen_at at = *like;
        at.host = s->config->listen_on_all ? NULL : a->host;
        at.port = election ? a->election_port : a->quorum_port;
        listening[i] = listening[i] || net_listen(s, &at, e) == 0;
        n += listening[i];
    }
    return n;
}

/* A link of several may be down: one address is enough. */
int net_listen_for_servers(struct server *s, bool election, uv_connection_cb on_connection,
                           struct err *e)
{
    const struct config *c = s->config;
    bool listening[ENSEMBLE_ADDRESSES_MAX] = {0};
    char key[64];
    snprintf(key, sizeof(key), "%s port in server.%" PRId64, election ? "election" : "quorum",
             c->own->zab.sid);
    struct listen_at like = {
        .key = key, .on_connection = on_connection, .secure = secure_quorum_port(&s->secure, c)};
    struct err why = {0};
    for (int64_t tries = 1;; tries++) {
        size_t n = listen_at_own(s, &like, election, listening, &why);
        bool last = tries >= (c->bind_retry > 0 ? c->bind_retry : n > 0 ? BIND_RETRY : INT64_MAX);
        if (n == c->own->n_addresses)
            return 0;
        if (last && n == 0)
            return err_set(e, why.code, "%s", why.text);
        log_warn("%s; %s", why.text, last ? "its other addresses are used" : "trying again");
        if (last)
            return 0;
        uv_sleep(1000);
    }
}

/* Give the connection up when what was sent is not acknowledged in that time: TCP would try again
 * ever more rarely, long after the network is well. The peer must read all the time. */
void net_set_user_timeout(const uv_tcp_t *tcp, int ms)
{
    uv_os_fd_t fd;
    unsigned v = (unsigned)ms;
    if (uv_fileno((const uv_handle_t *)tcp, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, sizeof(v));
}

int net_peer_address(const uv_tcp_t *tcp, char ip[INET6_ADDRSTRLEN], bool *v6)
{
    struct sockaddr_storage ss;
    int len = sizeof(ss);
    snprintf(ip, INET6_ADDRSTRLEN, "?");
    *v6 = false;
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&ss, &len) != 0)
        return 0;
    if (ss.ss_family != AF_INET6) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;
        uv_inet_ntop(AF_INET, &in->sin_addr, ip, INET6_ADDRSTRLEN);
        return ntohs(in->sin_port);
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;
    *v6 = !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
    if (*v6)
        uv_inet_ntop(AF_INET6, &in6->sin6_addr, ip, INET6_ADDRSTRLEN);
    else
        uv_inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, ip, INET6_ADDRSTRLEN);
    return ntohs(in6->sin6_port);
}
