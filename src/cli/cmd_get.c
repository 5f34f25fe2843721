/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"

#include <getopt.h>
#include <stdio.h>

static const struct cli_option options[] = {
    {'s', "stat", NULL, "Print the Stat after the data."},
    {'o', "raw", NULL, "Print the data exactly, without a newline at the end."},
    {0},
};

static void print_json(struct slice path, const struct zk_get_data_response *response)
{
    json_t *object = json_object();
    json_object_set_new(object, "path", cli_json_slice(path));
    cli_json_set_data(object, response->data);
    json_object_set_new(object, "stat", cli_json_stat(&response->stat));
    cli_json_print(object);
}

static void print_text(const struct zk_get_data_response *response, bool stat, bool raw)
{
    struct slice data = response->data;
    cli_print_slice(data);
    if (!raw && data.len > 0 && data.data[data.len - 1] != '\n')
        putchar('\n');
    if (stat)
        cli_print_stat(&response->stat);
}

static int run(struct cli *cli, int argc, char **argv)
{
    bool stat = false, raw = false;
    struct slice path;
    int opt;
    while ((opt = cli_getopt(cli, argc, argv)) != -1) {
        if (opt == 's')
            stat = true;
        else if (opt == 'o')
            raw = true;
        else
            return CLI_USAGE;
    }
    int rc = cli_check_args(cli, argc, 1, 1);
    if (rc == 0)
        rc = cli_parse_path(argv[optind], false, &path);
    if (rc != 0)
        return rc;
    struct cli_call call = {0};
    struct zk_get_data_response response;
    client_get(cli_client(cli), path, false, cli_call_done, &call);
    if (cli_wait_record(cli, &call, get_data_response, &response) != 0)
        rc = cli_fail(cli, path, call.err);
    else if (cli->json)
        print_json(path, &response);
    else
        print_text(&response, stat, raw);
    buf_close(&call.body);
    return rc;
}

const struct command command_get = {
    .name = "get",
    .args = "PATH",
    .summary = "Print the data of a node",
    .text = "A line break is added where the data does not end in one.\n\n"
            "In JSON, data that is not UTF-8 text is \"base64\" in place of \"data\", and a node "
            "without data has null.",
    .options = options,
    .run = run,
};
