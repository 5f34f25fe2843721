/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"

#include <getopt.h>

static const struct cli_option options[] = {
    {'v', "version", "VERSION", "Only if the node has this version still."},
    {0},
};

static int set_data(struct cli *cli, struct slice path, struct slice data, int32_t version)
{
    struct cli_call call = {0};
    struct zk_stat stat;
    int rc = 0;
    client_set(cli_client(cli), path, data, version, cli_call_done, &call);
    if (cli_wait_record(cli, &call, stat, &stat) != 0)
        rc = cli_fail_change(cli, path, call.err);
    else if (cli->json)
        cli_json_print(cli_json_stat(&stat));
    buf_close(&call.body);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    int64_t version = -1;
    struct slice path;
    struct buf data = {0};
    int opt;
    while ((opt = cli_getopt(cli, argc, argv)) != -1) {
        if (opt != 'v' || cli_parse_number("-v", optarg, -1, INT32_MAX, &version) != 0)
            return CLI_USAGE;
    }
    int rc = cli_check_args(cli, argc, 2, 2);
    if (rc == 0)
        rc = cli_parse_path(argv[optind], false, &path);
    if (rc == 0)
        rc = cli_read_data(argv[optind + 1], &data);
    if (rc == 0)
        rc = set_data(cli, path, buf_slice(&data), (int32_t)version);
    buf_close(&data);
    return rc;
}

const struct command command_set = {
    .name = "set",
    .args = "PATH DATA|-",
    .summary = "Set the data of a node",
    .text = "With - the data is standard input, byte by byte. In JSON the new Stat is printed.",
    .options = options,
    .run = run,
};
