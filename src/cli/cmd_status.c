/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One srvr word to each server, all at once. srvr is the one word that ZooKeeper allows by
 * default. */
#include "cli.h"

#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum field {
    FIELD_MODE,
    FIELD_ZXID,
    FIELD_EPOCH,
    FIELD_LAG,
    FIELD_CONNECTIONS,
    FIELD_LATENCY,
    FIELD_NODES,
    FIELD_VERSION,
    FIELDS,
};

/* The key in srvr's text (NULL: it follows from the zxids), the name in ours, the width of the
 * column. */
static const struct {
    const char *key;
    const char *name;
    int width;
} fields[FIELDS] = {
    [FIELD_MODE] = {"Mode: ", "mode", 12},
    [FIELD_ZXID] = {"Zxid: ", "zxid", 14},
    [FIELD_EPOCH] = {NULL, "epoch", 6},
    [FIELD_LAG] = {NULL, "lag", 6},
    [FIELD_CONNECTIONS] = {"Connections: ", "connections", 11},
    [FIELD_LATENCY] = {"Latency min/avg/max: ", "latency", 14},
    [FIELD_NODES] = {"Node count: ", "nodes", 8},
    [FIELD_VERSION] = {"Zookeeper version: ", "version", 0},
};

struct server {
    struct cli_call call;
    char values[FIELDS][48]; /* "" where there is none */
};

static void read_line(struct server *server, const char *line, size_t len)
{
    for (int f = 0; f < FIELDS; f++) {
        size_t key = fields[f].key ? strlen(fields[f].key) : 0;
        if (key == 0 || len < key || memcmp(line, fields[f].key, key) != 0)
            continue;
        const char *value = line + key;
        size_t n = MIN(len - key, sizeof(server->values[f]) - 1);
        const char *comma = memchr(value, ',', n); /* the version has its date behind one */
        n = comma ? (size_t)(comma - value) : n;
        memcpy(server->values[f], value, n);
        for (size_t i = 0; i < n; i++) {
            if (iscntrl((unsigned char)value[i]))
                server->values[f][i] = '?';
        }
    }
}

static void read_text(struct server *server)
{
    struct buf *text = &server->call.body;
    *buf_extend(text, 1) = '\n';
    for (size_t pos = 0; pos < text->len;) {
        const char *line = (const char *)text->data + pos;
        size_t len = (size_t)((const char *)memchr(line, '\n', text->len - pos) - line);
        read_line(server, line, len);
        pos += len + 1;
    }
}

static uint64_t zxid_of(const struct server *server)
{
    return strtoull(server->values[FIELD_ZXID], NULL, 16);
}

/* How many transactions a server is behind the one that has the most, if both are of one epoch. */
static void compare_zxids(struct server *servers, unsigned n)
{
    uint64_t newest = 0;
    for (unsigned i = 0; i < n; i++)
        newest = MAX(newest, zxid_of(&servers[i]));
    for (unsigned i = 0; i < n; i++) {
        struct server *s = &servers[i];
        uint64_t zxid = zxid_of(s);
        if (!s->values[FIELD_ZXID][0])
            continue;
        snprintf(s->values[FIELD_EPOCH], sizeof(s->values[0]), "%" PRIu64, zxid >> 32);
        if (zxid >> 32 == newest >> 32)
            snprintf(s->values[FIELD_LAG], sizeof(s->values[0]), "%" PRIu64, newest - zxid);
        else
            snprintf(s->values[FIELD_LAG], sizeof(s->values[0]), "epochs");
    }
}

/* What to say of a server whose text has no mode: its first line, since it is a sentence. */
static void print_trouble(const struct server *server)
{
    const struct buf *text = &server->call.body;
    const char *end = text->len > 0 ? memchr(text->data, '\n', text->len) : NULL;
    if (server->call.err == 0 && end)
        printf("%.*s\n", (int)(end - (const char *)text->data), (const char *)text->data);
    else
        puts("no answer");
}

static void print_text(const struct client_hosts *hosts, const struct server *servers)
{
    printf("%-24s", "server");
    for (int f = 0; f < FIELDS; f++)
        printf(" %-*s", fields[f].width, fields[f].name);
    putchar('\n');
    for (unsigned i = 0; i < hosts->n; i++) {
        printf("%-24s ", hosts->host_port[i]);
        if (!servers[i].values[FIELD_MODE][0]) {
            print_trouble(&servers[i]);
            continue;
        }
        for (int f = 0; f < FIELDS; f++)
            printf("%-*s%s", fields[f].width, servers[i].values[f], f + 1 < FIELDS ? " " : "\n");
    }
}

static void print_json(const struct client_hosts *hosts, const struct server *servers)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < hosts->n; i++) {
        json_t *object = json_object();
        json_object_set_new(object, "server", json_string(hosts->host_port[i]));
        for (int f = 0; f < FIELDS; f++) {
            const char *value = servers[i].values[f];
            json_object_set_new(object, fields[f].name, *value ? json_string(value) : json_null());
        }
        json_array_append_new(list, object);
    }
    cli_json_print(list);
}

/* All answer, and one leads or is alone. */
static int judge(const struct server *servers, unsigned n)
{
    unsigned leaders = 0;
    for (unsigned i = 0; i < n; i++) {
        const char *mode = servers[i].values[FIELD_MODE];
        if (!*mode || strcmp(mode, "read-only") == 0)
            return CLI_FAILED;
        leaders += strcmp(mode, "leader") == 0 || strcmp(mode, "standalone") == 0;
    }
    return leaders == 1 ? CLI_OK : CLI_FAILED;
}

static void ask(struct cli *cli, const struct client_hosts *hosts, struct server *servers)
{
    for (unsigned i = 0; i < hosts->n; i++)
        client_four_letter(&cli->loop, cli->tls_context, hosts->host_port[i], "srvr",
                           cli->timeout_ms, cli_call_done, &servers[i].call, NULL);
    for (unsigned i = 0; i < hosts->n; i++) {
        if (cli_wait(cli, &servers[i].call) == 0)
            read_text(&servers[i]);
    }
    compare_zxids(servers, hosts->n);
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct client_hosts hosts;
    if (cli_getopt(cli, argc, argv) != -1 || cli_check_args(cli, argc, 0, 0) != 0)
        return CLI_USAGE;
    int rc = client_hosts_parse(&hosts, cli->servers, NULL);
    ensure(rc == 0); /* main checked the list */
    struct server *servers = mem_zalloc(hosts.n * sizeof(*servers));
    uv_loop_init(&cli->loop);
    ask(cli, &hosts, servers);
    if (cli->json)
        print_json(&hosts, servers);
    else
        print_text(&hosts, servers);
    rc = judge(servers, hosts.n);
    for (unsigned i = 0; i < hosts.n; i++)
        buf_close(&servers[i].call.body);
    uv_run(&cli->loop, UV_RUN_NOWAIT);
    uv_loop_close(&cli->loop);
    free(servers);
    client_hosts_close(&hosts);
    return rc;
}

const struct command command_status = {
    .name = "status",
    .args = "",
    .summary = "Print how the servers of the list are",
    .text = "One line for each: mode, last transaction, its epoch, how many the "
            "server is behind the one with the most, connections, latency (minimum, average and "
            "maximum in milliseconds), nodes and version. The exit status is 0 only if all answer "
            "and exactly one leads or stands alone.",
    .run = run,
};
