/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"

#include <getopt.h>
#include <stdio.h>

enum {
    OPT_TTL = 256,
};

static const struct cli_option options[] = {
    {'p', "parents", NULL, "Create the nodes above too where they are missing, without data."},
    {'s', "sequential", NULL,
     "Append a number to the name that only this node gets, and print the "
     "path."},
    {'e', "ephemeral", NULL,
     "The node lives as long as this command, which stays in the foreground "
     "until a signal ends it."},
    {'c', "container", NULL, "The server removes the node after its last child."},
    {OPT_TTL, "ttl", "MILLISECONDS",
     "The server removes the node when it is empty and was not "
     "changed for so long."},
    {0},
};

struct request {
    struct slice path;
    struct buf data;
    bool has_data, parents, sequential, ephemeral, container;
    int64_t ttl_ms; /* 0: none */
};

static int32_t mode_of(const struct request *rq)
{
    if (rq->container)
        return ZK_CONTAINER;
    if (rq->ttl_ms > 0)
        return rq->sequential ? ZK_PERSISTENT_SEQUENTIAL_TTL : ZK_PERSISTENT_TTL;
    if (rq->ephemeral)
        return rq->sequential ? ZK_EPHEMERAL_SEQUENTIAL : ZK_EPHEMERAL;
    return rq->sequential ? ZK_PERSISTENT_SEQUENTIAL : ZK_PERSISTENT;
}

static int parse(struct cli *cli, int argc, char **argv, struct request *rq)
{
    int opt;
    while ((opt = cli_getopt(cli, argc, argv)) != -1) {
        switch (opt) {
        case 'p':
            rq->parents = true;
            break;
        case 's':
            rq->sequential = true;
            break;
        case 'e':
            rq->ephemeral = true;
            break;
        case 'c':
            rq->container = true;
            break;
        case OPT_TTL:
            if (cli_parse_number("--ttl", optarg, 1, (1ll << 40) - 1, &rq->ttl_ms) != 0)
                return CLI_USAGE;
            break;
        default:
            return CLI_USAGE;
        }
    }
    if (rq->ephemeral + rq->container + (rq->ttl_ms > 0) > 1 || (rq->container && rq->sequential)) {
        cli_error("create: -e, -c and --ttl exclude each other, and -c excludes -s");
        return CLI_USAGE;
    }
    int rc = cli_check_args(cli, argc, 1, 2);
    if (rc == 0)
        rc = cli_parse_path(argv[optind], rq->sequential, &rq->path);
    rq->has_data = optind + 2 == argc;
    if (rc == 0 && rq->has_data)
        rc = cli_read_data(argv[optind + 1], &rq->data);
    return rc;
}

/* All parents at once, from the top; those that are there already are fine. */
static int create_parents(struct cli *cli, struct slice path)
{
    struct cli_call call = {0};
    int rc = 0;
    for (int32_t end = 1; end < path.len && rc == 0; end++) {
        if (path.data[end] != '/')
            continue;
        struct slice parent = slice_of(path.data, (size_t)end);
        cli_call_reset(&call);
        client_create(cli_client(cli), parent, SLICE_NULL, NULL, ZK_PERSISTENT, 0, cli_call_done,
                      &call);
        if (cli_wait(cli, &call) != 0 && call.err != ZK_NODEEXISTS)
            rc = cli_fail_change(cli, parent, call.err);
    }
    buf_close(&call.body);
    return rc;
}

static void print_created(struct cli *cli, const struct request *rq, struct slice path)
{
    if (cli->json) {
        json_t *object = json_object();
        json_object_set_new(object, "path", cli_json_slice(path));
        cli_json_print(object);
    } else if (rq->sequential || rq->ephemeral) {
        cli_print_slice(path);
        putchar('\n');
    }
}

static void on_state(struct cli *cli, enum client_state state)
{
    if (state == CLIENT_EXPIRED)
        cli->stop = true;
}

/* Hold the session. The node is gone when it expires, and then there is nothing to wait for. */
static int hold(struct cli *cli, struct slice path)
{
    int64_t session = client_session_id(cli->client);
    cli->on_state = on_state;
    int rc = cli_flush();
    if (rc != 0)
        return rc;
    cli_run_until_stopped(cli);
    return client_session_id(cli->client) == session ? 0 : cli_fail(cli, path, ZK_SESSIONEXPIRED);
}

static int create(struct cli *cli, const struct request *rq)
{
    struct cli_call call = {0};
    struct zk_create2_response response;
    int rc = 0;
    struct slice data = rq->has_data ? buf_slice(&rq->data) : SLICE_NULL;
    client_create(cli_client(cli), rq->path, data, NULL, mode_of(rq), rq->ttl_ms, cli_call_done,
                  &call);
    if (cli_wait_record(cli, &call, create2_response, &response) != 0) {
        rc = call.err == ZK_NONODE
                 ? cli_fail_with(cli, rq->path, call.err, "its parent is missing; -p creates it")
                 : cli_fail_change(cli, rq->path, call.err);
    } else {
        print_created(cli, rq, response.path);
        if (rq->ephemeral)
            rc = hold(cli, response.path);
    }
    buf_close(&call.body);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct request rq = {0};
    int rc = parse(cli, argc, argv, &rq);
    if (rc == 0 && rq.parents)
        rc = create_parents(cli, rq.path);
    if (rc == 0)
        rc = create(cli, &rq);
    buf_close(&rq.data);
    return rc;
}

const struct command command_create = {
    .name = "create",
    .args = "PATH [DATA|-]",
    .summary = "Create a node",
    .text = "Without DATA the node has none (null), which a zabfs mount shows as a directory; with "
            "an empty DATA it is an empty file there. With - the data is standard input, byte by "
            "byte.",
    .options = options,
    .run = run,
};
