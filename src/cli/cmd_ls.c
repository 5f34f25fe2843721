/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const struct cli_option options[] = {
    {'l', "long", NULL,
     "A line for each: kind (p or e for persistent or ephemeral), children, bytes, version, time "
     "of "
     "the last change, name."},
    {'R', "recursive", NULL, "All nodes below too, with their paths."},
    {0},
};

static void print_long(const struct zk_stat *stat, struct slice name)
{
    printf("%c %6d %8d %6d %s ", cli_kind_text(stat)[0], stat->num_children, stat->data_length,
           stat->version, cli_time_text(stat->mtime));
    cli_print_slice(name);
    putchar('\n');
}

static json_t *json_entry(const char *key, struct slice name, const struct zk_stat *stat, bool lng)
{
    if (!lng)
        return cli_json_slice(name);
    json_t *entry = json_object();
    json_object_set_new(entry, key, cli_json_slice(name));
    json_object_set_new(entry, "stat", cli_json_stat(stat));
    return entry;
}

static int list_recursive(struct cli *cli, struct slice path, bool lng)
{
    struct cli_walk walk;
    json_t *list = json_array();
    int rc = cli_walk(cli, path, &walk);
    for (size_t i = 0; rc == 0 && i < walk.n && !ferror(stdout); i = cli_walk_next(&walk, i)) {
        struct slice at = cli_walk_path(&walk, i);
        if (walk.nodes[i].err == ZK_NONODE)
            continue;
        if (cli->json) {
            json_array_append_new(list, json_entry("path", at, &walk.nodes[i].stat, lng));
        } else if (lng) {
            print_long(&walk.nodes[i].stat, at);
        } else {
            cli_print_slice(at);
            putchar('\n');
        }
    }
    if (rc == 0)
        rc = cli_walk_report(&walk);
    if (cli->json && walk.err == 0)
        cli_json_print(json_incref(list));
    json_decref(list);
    cli_walk_close(&walk);
    return rc;
}

/* ---- One level ---- */

struct entry {
    struct slice name;
    struct cli_call call; /* exists, for the Stat */
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = memcmp(x->name.data, y->name.data, MIN(slice_size(x->name), slice_size(y->name)));
    return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

/* Ask for all Stats at once, then wait for each. */
static int stat_entries(struct cli *cli, struct slice path, struct entry *entries, int32_t n)
{
    struct buf full = {0};
    for (int32_t i = 0; i < n; i++) {
        buf_reset(&full);
        buf_printf(&full, "%.*s/%.*s", SLICE_ARG(path.len > 1 ? path : SLICE_EMPTY),
                   SLICE_ARG(entries[i].name));
        client_exists(cli_client(cli), buf_slice(&full), false, cli_call_done, &entries[i].call);
    }
    buf_close(&full);
    int rc = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t err = cli_wait(cli, &entries[i].call);
        if (err != 0 && err != ZK_NONODE && rc == 0)
            rc = cli_fail(cli, path, err);
    }
    return rc;
}

static void print_entries(struct cli *cli, const struct entry *entries, int32_t n, bool lng)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < n; i++) {
        struct zk_stat stat = {0};
        if (lng && entries[i].call.err == ZK_NONODE)
            continue;
        struct jute_reader r = jute_reader_of(buf_slice(&entries[i].call.body));
        if (lng)
            zk_stat_read(&r, &stat);
        if (cli->json) {
            json_array_append_new(list, json_entry("name", entries[i].name, &stat, lng));
        } else if (lng) {
            print_long(&stat, entries[i].name);
        } else {
            cli_print_slice(entries[i].name);
            putchar('\n');
        }
    }
    if (cli->json)
        cli_json_print(json_incref(list));
    json_decref(list);
}

static int list_children(struct cli *cli, struct slice path, bool lng)
{
    struct cli_call call = {0};
    client_children(cli_client(cli), path, false, cli_call_done, &call);
    int rc = cli_wait(cli, &call) == 0 ? 0 : cli_fail(cli, path, call.err);
    struct jute_reader r = jute_reader_of(buf_slice(&call.body));
    struct zk_get_children2_response response = {0};
    if (rc == 0)
        zk_get_children2_response_read(&r, &response);
    int32_t n = MAX(response.children.count, 0);
    struct entry *entries = mem_zalloc((size_t)n * sizeof(*entries));
    struct jute_reader names = jute_vector_iter(&response.children);
    for (int32_t i = 0; i < n; i++)
        entries[i].name = jute_read_buffer(&names);
    qsort(entries, (size_t)n, sizeof(*entries), compare_entries);
    if (rc == 0 && lng)
        rc = stat_entries(cli, path, entries, n);
    if (rc == 0)
        print_entries(cli, entries, n, lng);
    for (int32_t i = 0; i < n; i++)
        buf_close(&entries[i].call.body);
    free(entries);
    buf_close(&call.body);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    bool lng = false, recursive = false;
    struct slice path = slice_str("/");
    int opt;
    while ((opt = cli_getopt(cli, argc, argv)) != -1) {
        if (opt == 'l')
            lng = true;
        else if (opt == 'R')
            recursive = true;
        else
            return CLI_USAGE;
    }
    int rc = cli_check_args(cli, argc, 0, 1);
    if (rc == 0 && optind < argc)
        rc = cli_parse_path(argv[optind], false, &path);
    if (rc != 0)
        return rc;
    return recursive ? list_recursive(cli, path, lng) : list_children(cli, path, lng);
}

const struct command command_ls = {
    .name = "ls",
    .args = "[PATH]",
    .summary = "List the children of a node, of / without a path",
    .text = "The names come sorted, one a line.",
    .options = options,
    .run = run,
};
