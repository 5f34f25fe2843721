/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options by getopt_long, from the tables that the help is made of; and the kinds of arguments that
 * several commands take. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    OPTIONS_MAX = 16,
    OPT_JSON = 1000,
    OPT_HELP,
};

static const struct cli_option everywhere[] = {
    {OPT_JSON, "json", NULL, ""}, {OPT_HELP, "help", NULL, ""}, {0}};

struct tables {
    char letters[2 * OPTIONS_MAX + 2];
    struct option longs[OPTIONS_MAX + 1];
    size_t n_letters, n_longs;
};

static void add_table(struct tables *t, const struct cli_option *options)
{
    for (; options && options->name; options++) {
        ensure(t->n_longs < OPTIONS_MAX);
        t->longs[t->n_longs++] = (struct option){
            options->name, options->arg ? required_argument : no_argument, NULL, options->letter};
        if (options->letter > 255)
            continue;
        t->letters[t->n_letters++] = (char)options->letter;
        if (options->arg)
            t->letters[t->n_letters++] = ':';
    }
}

/* getopt itself says what is wrong, with argv[0] in front. */
static int next_option(struct tables *t, const char *who, int argc, char **argv)
{
    char *given = argv[0], name[64];
    snprintf(name, sizeof(name), "%s", who);
    argv[0] = name;
    int opt = getopt_long(argc, argv, t->letters, t->longs, NULL);
    argv[0] = given;
    return opt;
}

int cli_getopt_global(int argc, char **argv)
{
    /* The '+': options behind the command are the command's. */
    struct tables t = {.letters = "+", .n_letters = 1};
    add_table(&t, cli_options);
    return next_option(&t, "zabctl", argc, argv);
}

int cli_getopt(struct cli *cli, int argc, char **argv)
{
    struct tables t = {0};
    char who[64];
    add_table(&t, cli->command->options);
    add_table(&t, everywhere);
    snprintf(who, sizeof(who), "zabctl: %s", cli->command->name);
    for (;;) {
        int opt = next_option(&t, who, argc, argv);
        if (opt == OPT_JSON) {
            cli->json = true;
        } else if (opt == OPT_HELP) {
            cli_print_command_help(cli->command);
            exit(cli_flush());
        } else {
            return opt;
        }
    }
}

int cli_check_args(struct cli *cli, int argc, int min, int max)
{
    int n = argc - optind;
    if (n >= min && n <= max)
        return 0;
    cli_error("%s: %s; usage: zabctl %s %s", cli->command->name,
              n < min ? "an argument is missing" : "too many arguments", cli->command->name,
              cli->command->args);
    return CLI_USAGE;
}

int cli_parse_number(const char *option, const char *value, int64_t min, int64_t max,
                     int64_t *number)
{
    char *end;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || v < min || v > max) {
        cli_error("%s '%s': must be a number from %lld to %lld", option, value, (long long)min,
                  (long long)max);
        return CLI_USAGE;
    }
    *number = v;
    return 0;
}

int cli_parse_path(const char *arg, bool sequential, struct slice *path)
{
    *path = slice_str(arg);
    const char *bad = zk_path_check(*path, sequential);
    if (!bad)
        return 0;
    cli_error("path '%s': %s", arg, bad);
    return CLI_USAGE;
}

static int read_stdin(struct buf *data)
{
    for (;;) {
        buf_reserve(data, 64 << 10);
        ssize_t n = read(STDIN_FILENO, data->data + data->len, 64 << 10);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            cli_error("standard input: %s", strerror(errno));
            return CLI_FAILED;
        }
        if (n == 0)
            return 0;
        data->len += (size_t)n;
        if (data->len > ZK_PACKET_MAX)
            return 0; /* too large already, and cli_read_data says so */
    }
}

int cli_read_data(const char *arg, struct buf *data)
{
    int rc = 0;
    if (strcmp(arg, "-") == 0)
        rc = read_stdin(data);
    else
        buf_append(data, arg, strlen(arg));
    if (rc == 0 && data->len > ZK_PACKET_MAX) {
        cli_error("the data is larger than a server takes (%d bytes)", ZK_PACKET_MAX);
        return CLI_FAILED;
    }
    return rc;
}
