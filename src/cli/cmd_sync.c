/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"

#include <getopt.h>

static int run(struct cli *cli, int argc, char **argv)
{
    struct slice path = slice_str("/");
    if (cli_getopt(cli, argc, argv) != -1)
        return CLI_USAGE;
    int rc = cli_check_args(cli, argc, 0, 1);
    if (rc == 0 && optind < argc)
        rc = cli_parse_path(argv[optind], false, &path);
    if (rc != 0)
        return rc;
    struct cli_call call = {0};
    client_sync(cli_client(cli), path, cli_call_done, &call);
    if (cli_wait(cli, &call) != 0)
        rc = cli_fail(cli, path, call.err);
    buf_close(&call.body);
    return rc;
}

const struct command command_sync = {
    .name = "sync",
    .args = "[PATH]",
    .summary = "Wait until the server has caught up with the leader",
    .text = "It fails when the ensemble has no quorum, which makes it a check that changes can be "
            "made.",
    .run = run,
};
