/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ports that are listened to. */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "server.h"

static int bind_to(struct server *s, const struct listen_at *at, int family, struct err *e)
{
    struct addrinfo hints = {
        .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *ai = NULL;
    char port[16];
    snprintf(port, sizeof(port), "%d", at->port);
    int rc = getaddrinfo(at->host, port, &hints, &ai);
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
    if (rc == 0)
        return 0;
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
    int rc = c->client_port > 0 ? net_listen(s, &plain, e) : 0;
    if (rc == 0 && c->secure_client_port > 0)
        rc = net_listen(s, &tls, e);
    return rc;
}

int net_listen_for_servers(struct server *s, bool election, uv_connection_cb on_connection,
                           struct err *e)
{
    const struct config *c = s->config;
    const struct ensemble_server *own = c->own;
    char key[64];
    int rc = 0;
    snprintf(key, sizeof(key), "%s port in server.%" PRId64, election ? "election" : "quorum",
             own->zab.sid);
    for (size_t i = 0; rc == 0 && i < own->n_addresses; i++) {
        const struct ensemble_address *a = &own->addresses[i];
        struct listen_at at = {c->listen_on_all ? NULL : a->host,
                               election ? a->election_port : a->quorum_port, key, on_connection,
                               secure_quorum_port(&s->secure, c)};
        rc = net_listen(s, &at, e);
        for (int64_t n = 1; rc != 0 && (c->bind_retry == 0 || n < c->bind_retry); n++) {
            log_warn("%s; trying again", e->text);
            uv_sleep(1000);
            rc = net_listen(s, &at, e);
        }
    }
    return rc;
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
