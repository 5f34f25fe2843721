/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run from a file. A line is a command (command.c), and the lines behind it that begin with two
 * spaces are the trace that it must give; with --rewrite, the script is written again with the
 * trace that it gave. Of a command behind "- " the trace is not kept. Empty lines and those that
 * begin with # stay as they are. */
#include "sim.h"

#include <errno.h>

static void fail_usage(const char *path, const char *line)
{
    fprintf(stderr, "%s: not understood: %s\n", path, line);
    exit(SIM_USAGE);
}

static bool is_command(const char *line)
{
    return line[0] != '\0' && line[0] != '#' && line[0] != ' ';
}

static bool carry_out(struct world *w, const char *line)
{
    bool quiet = strncmp(line, "- ", 2) == 0;
    bool understood = command_carry_out(w, quiet ? line + 2 : line);
    if (quiet)
        buf_reset(&w->said);
    return understood;
}

/* What the last command said and what it must have said. */
static void compare(struct world *w, struct buf *expected)
{
    if (w->options.rewrite) {
        printf("%.*s", (int)w->said.len, w->said.data ? (char *)w->said.data : "");
    } else if (!slice_eq(buf_slice(&w->said), buf_slice(expected))) {
        sim_fail(w, SIM_BROKEN, "%s: it said\n%.*sand must say\n%.*s", w->options.script,
                 (int)w->said.len, w->said.data ? (char *)w->said.data : "", (int)expected->len,
                 expected->data ? (char *)expected->data : "");
    }
    buf_reset(&w->said);
    buf_reset(expected);
}

void script_run(struct world *w, const char *path)
{
    char line[512];
    struct buf expected = {0};
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(SIM_USAGE);
    }
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == ' ') {
            buf_printf(&expected, "%s\n", line);
            continue;
        }
        compare(w, &expected);
        if (w->options.rewrite)
            printf("%s\n", line);
        if (is_command(line) && !carry_out(w, line))
            fail_usage(path, line);
    }
    compare(w, &expected);
    buf_close(&expected);
    fclose(f);
}
