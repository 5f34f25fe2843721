/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The nodes of a subtree, level by level, with many requests under way. Replies come in the order
 * of the requests, so that the nodes are in the order of their levels. */
#include "cli.h"

#include <stdlib.h>

enum {
    WINDOW = 256, /* requests under way */
};

static void add_node(struct cli_walk *walk, char *path, size_t parent)
{
    if (walk->n == walk->cap) {
        walk->cap = MAX(walk->cap * 2, 64);
        walk->nodes = mem_realloc(walk->nodes, walk->cap * sizeof(*walk->nodes));
    }
    walk->nodes[walk->n++] = (struct cli_walk_node){.path = path, .parent = parent};
}

static int compare_paths(const void *a, const void *b)
{
    const struct cli_walk_node *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static char *child_path(const char *parent, struct slice name)
{
    struct buf b = {0};
    buf_printf(&b, "%s/%.*s", strcmp(parent, "/") == 0 ? "" : parent, SLICE_ARG(name));
    *buf_extend(&b, 1) = '\0';
    return (char *)b.data;
}

/* The first reason counts. */
static void give_up(struct cli_walk *walk, size_t i, int32_t err)
{
    if (walk->err != 0)
        return;
    walk->err = err;
    walk->failed = i;
}

static void add_children(struct cli_walk *walk, size_t i, struct slice body)
{
    struct jute_reader r = jute_reader_of(body);
    struct zk_get_children2_response response;
    zk_get_children2_response_read(&r, &response);
    if (!jute_ok(&r)) {
        give_up(walk, i, ZK_MARSHALLINGERROR);
        return;
    }
    walk->nodes[i].stat = response.stat;
    walk->nodes[i].first_child = walk->n;
    struct jute_reader names = jute_vector_iter(&response.children);
    for (int32_t k = 0; k < response.children.count; k++)
        add_node(walk, child_path(walk->nodes[i].path, jute_read_buffer(&names)), i);
    size_t first = walk->nodes[i].first_child;
    walk->nodes[i].n_children = walk->n - first;
    if (walk->n > first)
        qsort(&walk->nodes[first], walk->n - first, sizeof(*walk->nodes), compare_paths);
}

static void on_children(void *arg, const struct client_reply *reply)
{
    struct cli_walk *walk = arg;
    size_t i = walk->n_answered++;
    walk->nodes[i].err = reply->err;
    if (walk->err == 0 && reply->err == ZK_REPLYTOOLONG)
        walk->cli->too_long = reply->too_long;
    if (reply->err == 0)
        add_children(walk, i, reply->body);
    else if (i == 0 || (reply->err != ZK_NONODE && reply->err != ZK_NOAUTH))
        give_up(walk, i, reply->err);
}

int cli_walk(struct cli *cli, struct slice path, struct cli_walk *walk)
{
    *walk = (struct cli_walk){.cli = cli};
    struct client *c = cli_client(cli);
    add_node(walk, slice_dup_str(path), 0);
    while (walk->n_answered < walk->n_asked || (walk->err == 0 && walk->n_asked < walk->n)) {
        while (walk->err == 0 && walk->n_asked < walk->n &&
               walk->n_asked - walk->n_answered < WINDOW)
            client_children(c, cli_walk_path(walk, walk->n_asked++), false, on_children, walk);
        uv_run(&cli->loop, UV_RUN_ONCE);
    }
    return walk->err == 0 ? 0 : cli_fail(cli, cli_walk_path(walk, walk->failed), walk->err);
}

void cli_walk_close(struct cli_walk *walk)
{
    for (size_t i = 0; i < walk->n; i++)
        free(walk->nodes[i].path);
    free(walk->nodes);
}

struct slice cli_walk_path(const struct cli_walk *walk, size_t i)
{
    return slice_str(walk->nodes[i].path);
}

size_t cli_walk_next(const struct cli_walk *walk, size_t i)
{
    if (walk->nodes[i].n_children > 0)
        return walk->nodes[i].first_child;
    while (i > 0) {
        const struct cli_walk_node *parent = &walk->nodes[walk->nodes[i].parent];
        if (i + 1 < parent->first_child + parent->n_children)
            return i + 1;
        i = walk->nodes[i].parent;
    }
    return walk->n;
}

size_t cli_walk_depth(const struct cli_walk *walk, size_t i)
{
    size_t depth = 0;
    for (; i > 0; i = walk->nodes[i].parent)
        depth++;
    return depth;
}

int cli_walk_report(const struct cli_walk *walk)
{
    int rc = 0;
    for (size_t i = 0; i < walk->n; i++) {
        if (walk->nodes[i].err == ZK_NOAUTH)
            rc = cli_fail(walk->cli, cli_walk_path(walk, i), ZK_NOAUTH);
    }
    return rc;
}
