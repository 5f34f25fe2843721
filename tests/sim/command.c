/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commands of a script. Servers have the numbers 1, 2, ..., clients 0, 1, ...
 *
 *     servers N[+OBSERVERS]         first of all; without it there is a single replica
 *     clients N                     start so many, that go to any server
 *     client N S                    start client N, which goes to server S only
 *     N create PATH [MODE] | delete PATH | set PATH | get PATH | exists PATH | children PATH
 *       | watch PATH | sync PATH    client N asks; a read that ends in ! sets a watch
 *     N many COUNT                  it creates so many sequential nodes, one after the other
 *     cut N | close N | die N       its connection, its session, itself
 *     power [S] | kill [S]          the machine or the process of a server ends, and starts again
 *     crash N [S]                   the same at the N-th operation of its disk from now
 *     hold S | start S              when it ends it stays down; until it is started
 *     wipe S                        it ends, and its disk is lost
 *     pause S MS                    it stands still, and its clock goes on
 *     slow S MS                     its disk takes so much longer
 *     block A B                     nothing goes from server A to server B
 *     isolate S | heal              nothing goes to or from server S; all is well again
 *     run MS                        let time pass
 *     settle                        until one server leads and all that are up have all there is
 *     mounts | mount [DRAFT_MS] | on M.P ... | wait   see mount_command.c */
#include "program.h"

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

/* ---- Clients ---- */

static bool ask_many(struct world *w, unsigned index, unsigned count)
{
    char create[] = "create";
    int64_t deadline = w->now_ms + w->times.patience_ms;
    for (unsigned i = 0; i < count; i++) {
        ask(w, index, create, "/s", "2");
        while (w->clients[index].n_waiting > 0 && w->now_ms < deadline)
            sim_step(w);
    }
    return true;
}

static bool of_client(struct world *w, const char *word, unsigned index)
{
    struct client *c = &w->clients[index];
    if (index >= w->n_clients)
        return false;
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

static bool start_clients(struct world *w, unsigned n)
{
    for (; w->n_clients < MIN(n, (unsigned)CLIENTS_MAX); w->n_clients++)
        client_start(w, &w->clients[w->n_clients], w->n_clients);
    return true;
}

static bool start_client(struct world *w, unsigned index, unsigned server)
{
    if (index != w->n_clients || index >= CLIENTS_MAX || server - 1 >= w->n_servers)
        return false;
    w->clients[index].only = &w->servers[server - 1];
    return start_clients(w, index + 1);
}

/* ---- Servers ---- */

static void start_servers(struct world *w, unsigned voters, unsigned observers)
{
    world_set_servers(w, voters, observers);
    for (unsigned i = 0; i < w->n_servers; i++)
        server_start(w, &w->servers[i]);
}

static bool set_servers(struct world *w, const char *text)
{
    unsigned voters = 0, observers = 0;
    sscanf(text, "%u+%u", &voters, &observers);
    if (w->n_servers > 0 || voters == 0 || voters + observers > SERVERS_MAX)
        return false;
    start_servers(w, voters, observers);
    return true;
}

static bool of_server(struct world *w, const char *word, struct server *s, int64_t value)
{
    if (strcmp(word, "power") == 0 || strcmp(word, "kill") == 0) {
        server_stop(w, s, *word == 'p', "by the script");
    } else if (strcmp(word, "hold") == 0) {
        s->held = true;
    } else if (strcmp(word, "start") == 0) {
        s->held = false;
        server_start(w, s);
    } else if (strcmp(word, "wipe") == 0) {
        faults_wipe(w, s);
    } else if (strcmp(word, "pause") == 0) {
        faults_pause(w, s, value);
    } else if (strcmp(word, "slow") == 0) {
        s->faults.slow_ms = value;
    } else if (strcmp(word, "isolate") == 0) {
        faults_isolate(w, s->index);
    } else {
        return false;
    }
    return true;
}

static bool all_up_are_settled(const struct world *w)
{
    return servers_are_settled(w, true);
}

static bool of_world(struct world *w, const char *word, unsigned a, unsigned b)
{
    if (strcmp(word, "run") == 0)
        pass_time(w, a);
    else if (strcmp(word, "settle") == 0)
        wait_for(w, all_up_are_settled, "there is no leader");
    else if (strcmp(word, "wait") == 0)
        wait_for(w, mount_commands_ended, "a call does not end");
    else if (strcmp(word, "heal") == 0)
        faults_heal(w);
    else if (strcmp(word, "block") == 0 && a - 1 < w->n_servers && b - 1 < w->n_servers)
        faults_block(w, a - 1, b - 1);
    else if (strcmp(word, "crash") == 0 && MAX(b, 1) <= w->n_servers)
        faults_crash_in(w, &w->servers[MAX(b, 1) - 1], a);
    else
        return false;
    return true;
}

/* ---- Mounts: see mount_command.c ---- */

static bool begin_mounts(struct world *w)
{
    if (w->n_servers > 0)
        return false;
    w->unmodelled = true;
    mountcheck_open(w);
    mount_commands_begin();
    return true;
}

/* ---- All of them ---- */

bool command_carry_out(struct world *w, const char *line)
{
    char word[16] = "", op[16] = "", path[MODEL_PATH_MAX] = "", mode[8] = "0", *end;
    int n = sscanf(line, "%15s %15s %63s %7s", word, op, path, mode);
    unsigned index = (unsigned)strtoul(word, &end, 10);
    if (strcmp(word, "servers") == 0)
        return set_servers(w, op);
    if (strcmp(word, "mounts") == 0)
        return begin_mounts(w);
    if (w->n_servers == 0)
        start_servers(w, 1, 0);
    if (end != word && index < w->n_clients && strcmp(op, "many") == 0)
        return ask_many(w, index, (unsigned)strtoul(path, NULL, 10));
    if (end != word)
        return n >= 3 && index < w->n_clients && ask(w, index, op, path, mode);
    if (strcmp(word, "mount") == 0 && w->unmodelled && w->n_mounts < MOUNTS_MAX) {
        mountpoint_start(w, w->n_mounts++, op[0] ? atoi(op) : 1000);
        return true;
    }
    if (strcmp(word, "on") == 0)
        return mount_command(w, line);
    unsigned a = (unsigned)strtoul(op, NULL, 10), b = (unsigned)strtoul(path, NULL, 10);
    if (strcmp(word, "clients") == 0)
        return start_clients(w, a);
    if (strcmp(word, "client") == 0)
        return start_client(w, a, b);
    if (of_world(w, word, a, b) || of_client(w, word, a))
        return true;
    return MAX(a, 1) <= w->n_servers && of_server(w, word, &w->servers[MAX(a, 1) - 1], b);
}
