/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"

#include <getopt.h>

static int run(struct cli *cli, int argc, char **argv)
{
    struct slice path;
    if (cli_getopt(cli, argc, argv) != -1)
        return CLI_USAGE;
    int rc = cli_check_args(cli, argc, 1, 1);
    if (rc == 0)
        rc = cli_parse_path(argv[optind], false, &path);
    if (rc != 0)
        return rc;
    struct cli_call call = {0};
    struct zk_stat stat;
    client_exists(cli_client(cli), path, false, cli_call_done, &call);
    if (cli_wait_record(cli, &call, stat, &stat) != 0)
        rc = cli_fail(cli, path, call.err);
    else if (cli->json)
        cli_json_print(cli_json_stat(&stat));
    else
        cli_print_stat(&stat);
    buf_close(&call.body);
    return rc;
}

const struct command command_stat = {
    .name = "stat",
    .args = "PATH",
    .summary = "Print what is known about a node",
    .text = "Transaction and session ids are hexadecimal, times are UTC.",
    .run = run,
};
