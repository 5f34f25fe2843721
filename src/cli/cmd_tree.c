/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct totals {
    int64_t nodes, bytes, ephemeral;
};

static struct totals sum(const struct cli_walk *walk)
{
    struct totals t = {0};
    for (size_t i = 0; i < walk->n; i++) {
        if (walk->nodes[i].err == ZK_NONODE)
            continue;
        t.nodes++;
        t.bytes += walk->nodes[i].stat.data_length;
        t.ephemeral += strcmp(cli_kind_text(&walk->nodes[i].stat), "ephemeral") == 0;
    }
    return t;
}

static struct slice name_at(const struct cli_walk *walk, size_t i)
{
    struct slice path = cli_walk_path(walk, i);
    return i == 0 ? path : zk_path_name(path);
}

static void print_text(const struct cli_walk *walk)
{
    for (size_t i = 0; i < walk->n && !ferror(stdout); i = cli_walk_next(walk, i)) {
        const struct cli_walk_node *node = &walk->nodes[i];
        if (node->err == ZK_NONODE)
            continue;
        printf("%*s", (int)(2 * cli_walk_depth(walk, i)), "");
        cli_print_slice(name_at(walk, i));
        if (node->n_children > 0)
            printf("  (%zu)", node->n_children);
        putchar('\n');
    }
    struct totals t = sum(walk);
    printf("\n%lld nodes, %lld bytes, %lld ephemeral\n", (long long)t.nodes, (long long)t.bytes,
           (long long)t.ephemeral);
}

/* Children stand behind their parents, so that going backwards each is whole when its parent
 * takes it. */
static json_t *nest(const struct cli_walk *walk)
{
    json_t **objects = mem_zalloc(walk->n * sizeof(*objects));
    for (size_t i = walk->n; i-- > 0;) {
        const struct cli_walk_node *node = &walk->nodes[i];
        if (node->err == ZK_NONODE)
            continue;
        json_t *children = json_array();
        for (size_t k = 0; k < node->n_children; k++) {
            if (objects[node->first_child + k])
                json_array_append_new(children, objects[node->first_child + k]);
        }
        objects[i] = json_object();
        json_object_set_new(objects[i], "name", cli_json_slice(name_at(walk, i)));
        json_object_set_new(objects[i], "bytes", json_integer(node->stat.data_length));
        json_object_set_new(objects[i], "children", children);
    }
    json_t *root = objects[0];
    free(objects);
    return root;
}

static void print_json(const struct cli_walk *walk)
{
    struct totals t = sum(walk);
    json_t *object = json_object();
    json_object_set_new(object, "nodes", json_integer(t.nodes));
    json_object_set_new(object, "bytes", json_integer(t.bytes));
    json_object_set_new(object, "ephemeral", json_integer(t.ephemeral));
    json_object_set_new(object, "tree", nest(walk));
    cli_json_print(object);
}

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
    struct cli_walk walk;
    rc = cli_walk(cli, path, &walk);
    if (rc == 0 && cli->json)
        print_json(&walk);
    else if (rc == 0)
        print_text(&walk);
    if (rc == 0)
        rc = cli_walk_report(&walk);
    cli_walk_close(&walk);
    return rc;
}

const struct command command_tree = {
    .name = "tree",
    .args = "[PATH]",
    .summary = "Print the nodes below a node, indented, and count them",
    .text = "The number of children follows each name that has some.",
    .run = run,
};
