/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run from a file. A line is a command, and the lines behind it that begin with two spaces are
 * the trace that it must give; with --rewrite, the script is written again with the trace that it
 * gave. Empty lines and those that begin with # stay as they are.
 *
 *     clients N                     start so many
 *     N create PATH [MODE] | delete PATH | set PATH | get PATH | exists PATH | children PATH
 *       | watch PATH | sync PATH    client N asks; a read that ends in ! sets a watch
 *     cut N | close N | die N       its connection, its session, itself
 *     power | kill                  the machine or the process of the replica ends
 *     crash N                       the same at the N-th operation of the disk from now
 *     run MS                        let time pass */
#include "sim.h"

#include <errno.h>

static void fail_usage(const char *path, const char *line)
{
    fprintf(stderr, "%s: not understood: %s\n", path, line);
    exit(SIM_USAGE);
}

static void pass_time(struct world *w, int64_t ms)
{
    int64_t end = w->now_ms + ms;
    while (w->n_heap > 0 && w->heap[0].at_ms <= end)
        sim_step(w);
    w->now_ms = end;
}

static bool ask(struct world *w, unsigned index, char *op, const char *path, const char *mode)
{
    static const struct {
        const char *name;
        int32_t type;
    } ops[] = {
        {"create", ZK_OP_create}, {"delete", ZK_OP_delete},  {"set", ZK_OP_setData},
        {"get", ZK_OP_getData},   {"exists", ZK_OP_exists},  {"children", ZK_OP_getChildren},
        {"sync", ZK_OP_sync},     {"watch", ZK_OP_addWatch},
    };
    struct request *r = request_new(w, &w->clients[index]);
    size_t len = strlen(op);
    r->op.watch = op[len - 1] == '!';
    op[r->op.watch ? len - 1 : len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (strcmp(ops[i].name, op) == 0)
            r->op.type = ops[i].type;
    }
    snprintf(r->op.path, sizeof(r->op.path), "%s", path);
    r->op.mode = atoi(mode);
    r->op.version = -1;
    r->op.acl = (struct model_acl){1, {{ZK_PERM_ALL, MODEL_WORLD}}};
    if (r->op.type != 0)
        client_request(w, r->client, r);
    return r->op.type != 0;
}

static bool of_client(struct world *w, const char *word, unsigned index)
{
    struct client *c = &w->clients[index];
    if (strcmp(word, "cut") == 0 && c->conn)
        net_cut(w, c->conn);
    else if (strcmp(word, "close") == 0)
        client_end(w, c, true);
    else if (strcmp(word, "die") == 0)
        client_end(w, c, false);
    else
        return false;
    return true;
}

static bool of_world(struct world *w, const char *word, unsigned n)
{
    if (strcmp(word, "run") == 0)
        pass_time(w, n);
    else if (strcmp(word, "power") == 0 || strcmp(word, "kill") == 0)
        server_stop(w, *word == 'p', "by the script");
    else if (strcmp(word, "crash") == 0)
        faults_crash_in(w, n);
    else
        return false;
    return true;
}

static bool start_clients(struct world *w, unsigned n)
{
    for (; w->n_clients < MIN(n, (unsigned)SIM_CLIENTS); w->n_clients++)
        client_start(w, &w->clients[w->n_clients], w->n_clients);
    return true;
}

static bool carry_out(struct world *w, const char *line)
{
    char word[16] = "", op[16] = "", path[MODEL_PATH_MAX] = "", mode[8] = "0", *end;
    int n = sscanf(line, "%15s %15s %63s %7s", word, op, path, mode);
    unsigned index = (unsigned)strtoul(word, &end, 10);
    if (end != word)
        return n >= 3 && index < w->n_clients && ask(w, index, op, path, mode);
    unsigned value = (unsigned)strtoul(op, NULL, 10);
    if (strcmp(word, "clients") == 0)
        return start_clients(w, value);
    return of_world(w, word, value) || (value < w->n_clients && of_client(w, word, value));
}

static bool is_command(const char *line)
{
    return line[0] != '\0' && line[0] != '#' && line[0] != ' ';
}

/* What the last command said and what it must have said. */
static void compare(struct world *w, struct buf *expected)
{
    if (w->options.rewrite) {
        printf("%.*s", (int)w->said.len, w->said.data ? (char *)w->said.data : "");
    } else if (!slice_eq(buf_slice(&w->said), buf_slice(expected))) {
        sim_fail(w, SIM_BROKEN, "%s: it said\n%.*sand must say\n%.*s", w->options.script,
                 (int)w->said.len, w->said.data ? (char *)w->said.data : "", (int)expected->len,
                 expected->data ? (char *)expected->data : "");
    }
    buf_reset(&w->said);
    buf_reset(expected);
}

void script_run(struct world *w, const char *path)
{
    char line[512];
    struct buf expected = {0};
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(SIM_USAGE);
    }
    server_start(w, NULL);
    buf_reset(&w->said);
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == ' ') {
            buf_printf(&expected, "%s\n", line);
            continue;
        }
        compare(w, &expected);
        if (w->options.rewrite)
            printf("%s\n", line);
        if (is_command(line) && !carry_out(w, line))
            fail_usage(path, line);
    }
    compare(w, &expected);
    buf_close(&expected);
    fclose(f);
}
