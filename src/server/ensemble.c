/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ensemble.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static bool parse_number(const char *text, int64_t max, int64_t *v)
{
    char *end;
    errno = 0;
    *v = strtoll(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *v <= max;
}

static int parse_sid(const char *where, const char *key, const char *text, int64_t *sid,
                     struct err *e)
{
    if (parse_number(text, INT64_MAX, sid))
        return 0;
    return err_set(e, -EINVAL, "%s: %s.%s: \"%s\" is not a server number", where, key, text, text);
}

struct ensemble_server *ensemble_find(struct ensemble *en, int64_t sid)
{
    for (size_t i = 0; i < en->n; i++) {
        if (en->servers[i].zab.sid == sid)
            return &en->servers[i];
    }
    return NULL;
}

static void server_close(struct ensemble_server *s)
{
    for (size_t i = 0; i < s->n_addresses; i++)
        free(s->addresses[i].host);
    free(s->client_host);
    free(s->secure_client_host);
}

void ensemble_close(struct ensemble *en)
{
    for (size_t i = 0; i < en->n; i++)
        server_close(&en->servers[i]);
    *en = (struct ensemble){0};
}

/* Cut the next part off `*rest` at `separator`, which inside of brackets is no separator. NULL at
 * the end. */
static char *next_part(char **rest, char separator)
{
    char *part = *rest, *p = part;
    bool bracket = false;
    if (!part)
        return NULL;
    for (; *p && (bracket || *p != separator); p++)
        bracket = *p == '[' || (bracket && *p != ']');
    *rest = *p ? p + 1 : NULL;
    *p = '\0';
    return part;
}

/* A host, without the brackets of an IPv6 address. */
static char *host_of(const char *text)
{
    size_t len = strlen(text);
    bool bracket = len > 2 && text[0] == '[' && text[len - 1] == ']';
    return slice_dup_str(bracket ? slice_of(text + 1, len - 2) : slice_of(text, len));
}

static bool parse_role(const char *text, bool *observer)
{
    *observer = strcasecmp(text, "observer") == 0;
    return *observer || strcasecmp(text, "participant") == 0;
}

/* HOST:PORT:PORT[:ROLE] */
static bool parse_address(struct ensemble_server *s, char *text)
{
    char *host = next_part(&text, ':');
    char *quorum = next_part(&text, ':');
    char *election = next_part(&text, ':');
    int64_t quorum_port, election_port;
    if (s->n_addresses == ENSEMBLE_ADDRESSES_MAX || !*host || !quorum || !election)
        return false;
    if (!parse_number(quorum, 65535, &quorum_port) || quorum_port == 0 ||
        !parse_number(election, 65535, &election_port) || election_port == 0 ||
        quorum_port == election_port)
        return false;
    if (text && !parse_role(text, &s->zab.observer))
        return false;
    s->addresses[s->n_addresses++] =
        (struct ensemble_address){host_of(host), (int)quorum_port, (int)election_port};
    return true;
}

/* [HOST:]PORT */
static bool parse_client(char *text, char **client_host, int *client_port)
{
    char *host = next_part(&text, ':'), *port = text ? text : host;
    int64_t v;
    if (!parse_number(port, 65535, &v) || v == 0)
        return false;
    *client_host = host == port ? NULL : host_of(host);
    *client_port = (int)v;
    return true;
}

/* The client port, the secure one, or both with ';' between them. */
static bool parse_clients(struct ensemble_server *s, char *text)
{
    char *plain = next_part(&text, ';');
    if (*plain == '\0' && !text)
        return false;
    if (*plain != '\0' && !parse_client(plain, &s->client_host, &s->client_port))
        return false;
    return !text || parse_client(text, &s->secure_client_host, &s->secure_client_port);
}

static bool parse_server(struct ensemble_server *s, char *text)
{
    char *servers = next_part(&text, ';');
    for (char *address; (address = next_part(&servers, '|')) != NULL;) {
        if (!parse_address(s, address))
            return false;
    }
    return s->n_addresses > 0 && (!text || parse_clients(s, text));
}

static void insert(struct ensemble *en, const struct ensemble_server *s)
{
    size_t i = en->n++;
    for (; i > 0 && en->servers[i - 1].zab.sid > s->zab.sid; i--)
        en->servers[i] = en->servers[i - 1];
    en->servers[i] = *s;
}

int ensemble_add(struct ensemble *en, const char *where, const char *sid, const char *value,
                 struct err *e)
{
    struct ensemble_server s = {.zab.weight = 1};
    int rc = parse_sid(where, "server", sid, &s.zab.sid, e);
    if (rc != 0)
        return rc;
    if (ensemble_find(en, s.zab.sid))
        return err_set(e, -EINVAL, "%s: server.%s is there already; each number once", where, sid);
    if (en->n == ZAB_SERVERS_MAX)
        return err_set(e, -EINVAL, "%s: server.%s: more than %d servers", where, sid,
                       ZAB_SERVERS_MAX);
    char *text = mem_strdup(value);
    if (parse_server(&s, text)) {
        insert(en, &s);
    } else {
        server_close(&s);
        rc = err_set(
            e, -EINVAL,
            "%s: server.%s: \"%s\" is not of the form "
            "HOST:PORT:PORT[:participant|:observer][;[HOST:]PORT[;[HOST:]SECUREPORT]], with two "
            "different ports",
            where, sid, value);
    }
    free(text);
    return rc;
}

int ensemble_set_weight(struct ensemble *en, const char *where, const char *sid, const char *value,
                        struct err *e)
{
    int64_t id, weight;
    int rc = parse_sid(where, "weight", sid, &id, e);
    if (rc != 0)
        return rc;
    struct ensemble_server *s = ensemble_find(en, id);
    if (!s)
        return err_set(e, -EINVAL, "%s: weight.%s: there is no server.%s", where, sid, sid);
    if (!parse_number(value, INT32_MAX, &weight))
        return err_set(e, -EINVAL, "%s: weight.%s: \"%s\" is not a weight", where, sid, value);
    s->zab.weight = weight;
    return 0;
}

int ensemble_set_group(struct ensemble *en, const char *where, const char *gid, const char *value,
                       struct err *e)
{
    int64_t group, sid;
    int rc = parse_sid(where, "group", gid, &group, e);
    if (rc == 0 && group == 0)
        rc = err_set(e, -EINVAL, "%s: group.%s: the numbers of groups begin at 1", where, gid);
    char *text = mem_strdup(value), *rest = text;
    for (char *part; rc == 0 && (part = next_part(&rest, ':')) != NULL;) {
        struct ensemble_server *s = NULL;
        if (parse_number(part, INT64_MAX, &sid))
            s = ensemble_find(en, sid);
        if (!s)
            rc = err_set(e, -EINVAL, "%s: group.%s: there is no server.%s", where, gid, part);
        else if (s->zab.group != 0)
            rc = err_set(e, -EINVAL, "%s: group.%s: server.%s is in group.%" PRId64 " already",
                         where, gid, part, s->zab.group);
        else
            s->zab.group = group;
    }
    free(text);
    return rc;
}

void ensemble_host_text(const char *host, struct buf *out)
{
    buf_printf(out, strchr(host, ':') ? "[%s]" : "%s", host);
}

static void client_text(const char *host, int port, const char *separator, struct buf *out)
{
    buf_printf(out, "%s", separator);
    ensemble_host_text(host ? host : "0.0.0.0", out);
    buf_printf(out, ":%d", port);
}

void ensemble_text(const struct ensemble *en, int64_t version, struct buf *out)
{
    for (size_t i = 0; i < en->n; i++) {
        const struct ensemble_server *s = &en->servers[i];
        buf_printf(out, "server.%" PRId64 "=", s->zab.sid);
        for (size_t j = 0; j < s->n_addresses; j++) {
            ensemble_host_text(s->addresses[j].host, out);
            buf_printf(out, ":%d:%d%s", s->addresses[j].quorum_port, s->addresses[j].election_port,
                       j + 1 < s->n_addresses ? "|" : "");
        }
        buf_printf(out, ":%s", s->zab.observer ? "observer" : "participant");
        if (s->client_port > 0)
            client_text(s->client_host, s->client_port, ";", out);
        if (s->secure_client_port > 0)
            client_text(s->secure_client_host, s->secure_client_port,
                        s->client_port > 0 ? ";" : ";;", out);
        buf_printf(out, "\n");
    }
    buf_printf(out, "version=%" PRIx64, (uint64_t)version);
}
