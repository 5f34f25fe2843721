/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the server lines of a whole file mean for this server. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "zab/log.h"

/* DATADIR/myid says which of the servers this is. */
static int read_own_id(struct config *c, struct err *e)
{
    char path[4096], text[32] = "", *end;
    snprintf(path, sizeof(path), "%s/myid", c->data_dir);
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, -errno,
                       "%s: %s; with server lines it must hold this server's number, the N of its "
                       "line server.N",
                       path, strerror(errno));
    bool read = fgets(text, sizeof(text), f) != NULL;
    fclose(f);
    text[strcspn(text, " \t\r\n")] = '\0';
    errno = 0;
    int64_t sid = strtoll(text, &end, 10);
    if (!read || errno || *text < '0' || *text > '9' || *end)
        return err_set(e, -EINVAL,
                       "%s: \"%s\" is not a server number; write the N of this "
                       "server's line server.N",
                       path, text);
    c->own = ensemble_find(&c->ensemble, sid);
    if (!c->own)
        return err_set(e, -EINVAL,
                       "%s: %" PRId64 " has no line server.%" PRId64 " in %s; correct "
                       "one of the two",
                       path, sid, sid, c->path);
    return 0;
}

/* A port of a server line is the same thing as the key for it. */
static int take_port(const struct config *c, const char *key, int64_t *port, char **address,
                     const struct ensemble_server *line, int64_t line_port, const char *line_host,
                     struct err *e)
{
    if (line_port > 0 && *port > 0 && *port != line_port)
        return err_set(e, -EINVAL,
                       "%s: %s %" PRId64 " is not the client port %" PRId64 " of server.%" PRId64
                       "; remove one of the two",
                       c->path, key, *port, line_port, line->zab.sid);
    if (*port <= 0 && line_port > 0)
        *port = line_port;
    if (line_host && !*address)
        *address = mem_strdup(line_host);
    return 0;
}

static int take_client_ports(struct config *c, const struct ensemble_server *line, struct err *e)
{
    static const struct ensemble_server none;
    if (!line)
        line = &none;
    int rc = take_port(c, "clientPort", &c->client_port, &c->client_address, line,
                       line->client_port, line->client_host, e);
    if (rc == 0)
        rc = take_port(c, "secureClientPort", &c->secure_client_port, &c->secure_client_address,
                       line, line->secure_client_port, line->secure_client_host, e);
    if (rc == 0 && c->secure_client_port == 0 && c->secure_client_address)
        rc = err_set(e, -EINVAL, "%s: secureClientPortAddress is set, but no secureClientPort",
                     c->path);
    c->client_port_any = c->client_port == 0;
    if (c->client_port == CLIENT_PORT_UNSET)
        c->client_port = c->secure_client_port == 0 || c->client_unified ? atoi(CLIENT_PORT) : 0;
    return rc;
}

static size_t count_participants(const struct config *c)
{
    size_t participants = 0;
    for (size_t i = 0; i < c->ensemble.n; i++)
        participants += !c->ensemble.servers[i].zab.observer;
    return participants;
}

static int check_groups(const struct config *c, struct err *e)
{
    bool grouped = false;
    for (size_t i = 0; i < c->ensemble.n; i++)
        grouped = grouped || c->ensemble.servers[i].zab.group != 0;
    for (size_t i = 0; grouped && i < c->ensemble.n; i++) {
        const struct zab_server *s = &c->ensemble.servers[i].zab;
        if (!s->observer && s->group == 0)
            return err_set(e, -EINVAL, "%s: server.%" PRId64 " is in no group; put it into one",
                           c->path, s->sid);
    }
    return 0;
}

/* Do the lines make an ensemble, as ZooKeeper has it? */
static int check_servers(const struct config *c, bool *is_ensemble, struct err *e)
{
    size_t participants = count_participants(c);
    bool alone = participants == 1 && c->standalone;
    *is_ensemble = participants > 0 && !alone;
    if (c->ensemble.n == 0 && !c->standalone)
        return err_set(
            e, -EINVAL,
            "%s: standaloneEnabled=false, but there is no server line; add them, or name "
            "their file with dynamicConfigFile",
            c->path);
    if (c->ensemble.n > participants && !*is_ensemble)
        return err_set(e, -EINVAL,
                       "%s: observers need two participants or more; only %zu of the server lines "
                       "%s one",
                       c->path, participants, participants == 1 ? "is" : "are");
    if (c->ensemble.n > 0 && !*is_ensemble)
        log_warn("%s: one server line is not an ensemble; this is a single replica", c->path);
    if (participants == 2)
        log_warn("%s: with two servers, losing either stops the service; use three to survive "
                 "the loss of one",
                 c->path);
    return check_groups(c, e);
}

int config_check_ensemble(struct config *c, struct err *e)
{
    bool is_ensemble;
    if (c->peer_type && strcasecmp(c->peer_type, "participant") != 0 &&
        strcasecmp(c->peer_type, "observer") != 0)
        return err_set(e, -EINVAL, "%s: peerType: \"%s\" is neither participant nor observer",
                       c->path, c->peer_type);
    int rc = check_servers(c, &is_ensemble, e);
    if (rc == 0 && is_ensemble)
        rc = read_own_id(c, e);
    const struct ensemble_server *line = c->ensemble.n == 1 ? &c->ensemble.servers[0] : c->own;
    if (rc == 0)
        rc = take_client_ports(c, line, e);
    if (rc == 0 && c->own && c->peer_type &&
        (strcasecmp(c->peer_type, "observer") == 0) != c->own->zab.observer)
        log_warn("%s: peerType %s is not what server.%" PRId64 " says; the server line is followed",
                 c->path, c->peer_type, c->own->zab.sid);
    return rc;
}
