/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"

#include <getopt.h>
#include <stdio.h>

static const struct cli_option options[] = {
    {'v', "version", "VERSION", "Set it only if the aversion is this still."},
    {0},
};

static json_t *json_acl(const struct zk_acl *acl, struct slice text)
{
    const char *perms = memrchr(text.data, ':', (size_t)text.len);
    json_t *object = json_object();
    json_object_set_new(object, "scheme", cli_json_slice(acl->id.scheme));
    json_object_set_new(object, "id", cli_json_slice(acl->id.id));
    json_object_set_new(
        object, "perms",
        json_stringn(perms + 1, (size_t)text.len - (size_t)(perms + 1 - (const char *)text.data)));
    return object;
}

static void print_acls(struct cli *cli, const struct zk_get_acl_response *response)
{
    json_t *list = json_array();
    struct buf text = {0};
    struct jute_reader r = jute_vector_iter(&response->acl);
    for (int32_t i = 0; i < response->acl.count; i++) {
        struct zk_acl acl;
        zk_acl_read(&r, &acl);
        buf_reset(&text);
        cli_acl_print(&text, &acl);
        if (cli->json) {
            json_array_append_new(list, json_acl(&acl, buf_slice(&text)));
        } else {
            cli_print_slice(buf_slice(&text));
            putchar('\n');
        }
    }
    if (cli->json)
        cli_json_print(json_incref(list));
    json_decref(list);
    buf_close(&text);
}

static int get_acl(struct cli *cli, struct slice path)
{
    struct cli_call call = {0};
    struct zk_get_acl_response response;
    int rc = 0;
    client_get_acl(cli_client(cli), path, cli_call_done, &call);
    if (cli_wait_record(cli, &call, get_acl_response, &response) != 0)
        rc = cli_fail(cli, path, call.err);
    else
        print_acls(cli, &response);
    buf_close(&call.body);
    return rc;
}

static int set_acl(struct cli *cli, struct slice path, char **texts, int n, int32_t version)
{
    struct buf b = {0};
    struct cli_call call = {0};
    struct jute_builder vb = jute_vector_begin(&b);
    int rc = 0;
    for (; vb.count < n; vb.count++) {
        struct zk_acl acl;
        const char *bad = cli_acl_parse(texts[vb.count], &acl);
        if (bad) {
            cli_error("acl: '%s': %s", texts[vb.count], bad);
            rc = CLI_USAGE;
            goto out;
        }
        zk_acl_write(&b, &acl);
    }
    const struct jute_vector acls = jute_vector_built(&vb);
    client_set_acl(cli_client(cli), path, &acls, version, cli_call_done, &call);
    if (cli_wait(cli, &call) != 0)
        rc = cli_fail_change(cli, path, call.err);
out:
    buf_close(&call.body);
    buf_close(&b);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    int64_t version = -1;
    struct slice path;
    int opt;
    while ((opt = cli_getopt(cli, argc, argv)) != -1) {
        if (opt != 'v' || cli_parse_number("-v", optarg, -1, INT32_MAX, &version) != 0)
            return CLI_USAGE;
    }
    int rc = cli_check_args(cli, argc, 1, INT32_MAX);
    if (rc == 0)
        rc = cli_parse_path(argv[optind], false, &path);
    if (rc != 0)
        return rc;
    int n = argc - optind - 1;
    return n > 0 ? set_acl(cli, path, argv + optind + 1, n, (int32_t)version) : get_acl(cli, path);
}

const struct command command_acl = {
    .name = "acl",
    .args = "PATH [SCHEME:ID:PERMS...]",
    .summary = "Print who may do what with a node, or set it",
    .text =
        "PERMS are letters: c create children, d delete children, r read, w write, a change this "
        "list. world:anyone:cdrwa lets everybody do everything; auth::cdrwa lets whoever the "
        "client is authenticated as; digest:USER:HASH:PERMS lets those who authenticate with "
        "--auth digest:USER:PASSWORD.",
    .options = options,
    .run = run,
};
