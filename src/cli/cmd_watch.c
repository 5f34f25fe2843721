/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"

#include <getopt.h>
#include <stdio.h>

static const struct cli_option options[] = {
    {'r', "recursive", NULL, "Changes of all nodes below too."},
    {'1', "once", NULL, "End after the first event."},
    {0},
};

static bool once;

static const char *event_name(int32_t type)
{
    switch (type) {
    case ZK_EVENT_CREATED:
        return "created";
    case ZK_EVENT_DELETED:
        return "deleted";
    case ZK_EVENT_DATA_CHANGED:
        return "changed";
    case ZK_EVENT_CHILDREN_CHANGED:
        return "children";
    default:
        return NULL;
    }
}

static void on_event(struct cli *cli, const struct zk_watcher_event *event)
{
    const char *name = event_name(event->type);
    if (!name || cli->stop)
        return;
    if (cli->json) {
        json_t *object = json_object();
        json_object_set_new(object, "event", json_string(name));
        json_object_set_new(object, "path", cli_json_slice(event->path));
        cli_json_print(object);
    } else {
        printf("%s ", name);
        cli_print_slice(event->path);
        putchar('\n');
    }
    if (fflush(stdout) != 0 || once)
        cli->stop = true;
}

static void on_state(struct cli *cli, enum client_state state)
{
    if (state == CLIENT_CONNECTING)
        cli_error("watch: connection lost: %s", client_problem(cli->client));
    else if (state == CLIENT_CONNECTED)
        cli_error("watch: connected to %s again; what changed meanwhile was not seen",
                  client_server(cli->client));
}

static int run(struct cli *cli, int argc, char **argv)
{
    enum zk_watch_mode mode = ZK_WATCH_PERSISTENT;
    struct slice path;
    int opt;
    while ((opt = cli_getopt(cli, argc, argv)) != -1) {
        if (opt == 'r')
            mode = ZK_WATCH_PERSISTENT_RECURSIVE;
        else if (opt == '1')
            once = true;
        else
            return CLI_USAGE;
    }
    int rc = cli_check_args(cli, argc, 1, 1);
    if (rc == 0)
        rc = cli_parse_path(argv[optind], false, &path);
    if (rc != 0)
        return rc;
    struct cli_call call = {0};
    cli->on_event = on_event;
    client_add_watch(cli_client(cli), path, mode, cli_call_done, &call);
    if (cli_wait(cli, &call) != 0) {
        rc = cli_fail(cli, path, call.err);
    } else {
        cli->on_state = on_state;
        cli_run_until_stopped(cli);
    }
    buf_close(&call.body);
    return rc;
}

const struct command command_watch = {
    .name = "watch",
    .args = "PATH",
    .summary = "Print the changes of a node as they happen",
    .text =
        "One line for each: created, deleted, changed (its data) or children (one came or went), "
        "and the path. The node need not be there yet. With -r there are no lines for "
        "children: each has its own.\n\n"
        "The watch goes on after a lost connection or a new session; what changed meanwhile is "
        "not printed, and a line on standard error says so. Needs servers of ZooKeeper 3.6 or "
        "later.",
    .options = options,
    .run = run,
};
