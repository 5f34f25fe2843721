/* SPDX-License-Identifier: GPL-3.0-or-later */
/* With -r: walk, then remove in the opposite order, children before parents, in multis of bounded
 * size. A multi that fails because somebody else changed the tree meanwhile is done again node by
 * node. */
#include "cli.h"

#include <getopt.h>

enum {
    BATCH_MAX = 500,
    BATCH_SIZE_MAX = 256 << 10,
};

static const struct cli_option options[] = {
    {'r', "recursive", NULL,
     "The nodes below too. Not one transaction where they are many: the "
     "lowest go first, several hundred at a time."},
    {'f', "force", NULL, "A node that is not there is no error."},
    {'v', "version", "VERSION", "Only if the node has this version still."},
    {0},
};

static int remove_one(struct cli *cli, struct slice path, int32_t version, bool force)
{
    struct cli_call call = {0};
    client_delete(cli_client(cli), path, version, cli_call_done, &call);
    int32_t err = cli_wait(cli, &call);
    buf_close(&call.body);
    return err == 0 || (force && err == ZK_NONODE) ? 0 : cli_fail_change(cli, path, err);
}

/* Which of the operations of a multi failed. */
static size_t failed_op(struct slice body)
{
    struct jute_reader r = jute_reader_of(body);
    struct zk_stat stat;
    int32_t op, err = 0;
    size_t n = 0;
    while (request_multi_next(&r, &op, &err, &stat) && err == 0)
        n++;
    return err != 0 ? n : 0;
}

/* Remove the nodes `first` to before `end`, the last first. */
static int remove_batch(struct cli_walk *walk, size_t first, size_t end)
{
    struct cli *cli = walk->cli;
    struct request_multi multi;
    struct cli_call call = {0};
    request_multi_begin(&multi, client_chroot(cli_client(cli)));
    for (size_t i = end; i > first; i--)
        request_multi_delete(&multi, cli_walk_path(walk, i - 1), -1);
    client_multi(cli_client(cli), &multi, cli_call_done, &call);
    int32_t err = cli_wait(cli, &call);
    size_t failed = end - 1 - MIN(failed_op(buf_slice(&call.body)), end - 1 - first);
    buf_close(&call.body);
    if (err == 0)
        return 0;
    if (err != ZK_NONODE && err != ZK_NOTEMPTY)
        return cli_fail_change(cli, cli_walk_path(walk, failed), err);
    int rc = 0;
    for (size_t i = end; i > first && rc == 0; i--)
        rc = remove_one(cli, cli_walk_path(walk, i - 1), -1, true);
    return rc;
}

static int remove_tree(struct cli *cli, struct slice path, bool force)
{
    struct cli_walk walk;
    int rc = cli_walk(cli, path, &walk);
    if (rc == CLI_NO_NODE && force)
        rc = 0;
    else if (rc == 0)
        rc = cli_walk_report(&walk);
    for (size_t end = walk.n; rc == 0 && walk.err == 0 && end > 0;) {
        size_t first = end, bytes = 0;
        while (first > 0 && end - first < BATCH_MAX && bytes < BATCH_SIZE_MAX)
            bytes += (size_t)cli_walk_path(&walk, --first).len;
        rc = remove_batch(&walk, first, end);
        end = first;
    }
    cli_walk_close(&walk);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    bool recursive = false, force = false;
    int64_t version = -1;
    struct slice path;
    int opt;
    while ((opt = cli_getopt(cli, argc, argv)) != -1) {
        if (opt == 'r')
            recursive = true;
        else if (opt == 'f')
            force = true;
        else if (opt != 'v' || cli_parse_number("-v", optarg, -1, INT32_MAX, &version) != 0)
            return CLI_USAGE;
    }
    int rc = cli_check_args(cli, argc, 1, 1);
    if (rc == 0)
        rc = cli_parse_path(argv[optind], false, &path);
    if (rc != 0)
        return rc;
    if (recursive && version >= 0) {
        cli_error("rm: -r and -v exclude each other");
        return CLI_USAGE;
    }
    if (path.len == 1) {
        cli_error("rm: / cannot be removed; name its children");
        return CLI_USAGE;
    }
    return recursive ? remove_tree(cli, path, force)
                     : remove_one(cli, path, (int32_t)version, force);
}

const struct command command_rm = {
    .name = "rm",
    .args = "PATH",
    .summary = "Remove a node",
    .text = "",
    .options = options,
    .run = run,
};
