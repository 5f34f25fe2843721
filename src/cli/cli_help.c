/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The help on the screen and the manual page, both from the tables of commands and options. */
#include "cli.h"

#include <stdio.h>

enum {
    WIDTH = 80,
    INDENT = 8,
};

static const struct {
    enum cli_exit code;
    const char *meaning;
} exits[] = {
    {CLI_OK, "done"},
    {CLI_FAILED, "the operation failed"},
    {CLI_USAGE, "wrong usage"},
    {CLI_NO_NODE, "no such node"},
    {CLI_EXISTS, "the node exists"},
    {CLI_BAD_VERSION, "version conflict"},
    {CLI_NOT_EMPTY, "the node has children"},
    {CLI_NO_PERMISSION, "permission denied, or authentication refused"},
    {CLI_TOO_LONG, "the answer is longer than this client takes"},
    {CLI_NO_CONNECTION, "no connection within the time limit, or it was lost"},
};

const struct command *cli_find_command(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    }
    return NULL;
}

/* ---- On the screen ---- */

/* Words with line breaks between them where the line is full; '\n' in the text begins a new one. */
static void print_wrapped(const char *text, int indent)
{
    int column = 0;
    for (const char *word = text; *word;) {
        int len = (int)strcspn(word, " \n");
        if (column > 0 && column + 1 + len > WIDTH) {
            putchar('\n');
            column = 0;
        }
        column += printf("%*s%.*s", column > 0 ? 1 : indent, "", len, word);
        word += len;
        if (*word == '\n') {
            putchar('\n');
            column = 0;
        }
        word += *word != '\0';
    }
    if (column > 0)
        putchar('\n');
}

static void print_options(const struct cli_option *options)
{
    for (; options && options->name; options++) {
        if (options->letter <= 255)
            printf("  -%c, ", options->letter);
        else
            printf("      ");
        printf("--%s%s%s\n", options->name, options->arg ? " " : "",
               options->arg ? options->arg : "");
        print_wrapped(options->help, INDENT);
    }
}

void cli_print_help(void)
{
    puts("Usage: zabctl [OPTION...] COMMAND [ARGUMENT...]\n"
         "Look at and change the tree of a ZooKeeper ensemble.\n\nCommands:");
    for (size_t i = 0; cli_commands[i]; i++)
        printf("  %-8s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    puts("\nOptions:");
    print_options(cli_options);
    puts("\nExit status:");
    for (size_t i = 0; i < ARRAY_LEN(exits); i++)
        printf("  %-3d %s\n", exits[i].code, exits[i].meaning);
    puts("\nzabctl COMMAND --help says more about a command.");
}

void cli_print_command_help(const struct command *command)
{
    printf("Usage: zabctl %s%s %s\n%s.\n", command->name, command->options ? " [OPTION...]" : "",
           command->args, command->summary);
    if (*command->text) {
        putchar('\n');
        print_wrapped(command->text, 0);
    }
    if (command->options)
        puts("\nOptions:");
    print_options(command->options);
}

/* ---- As a manual page ---- */

/* Text for roff: a backslash, a hyphen and a leading dot would mean something else. */
static void roff_text(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            fputs("\\e", stdout);
        else if (*p == '-')
            fputs("\\-", stdout);
        else if (*p == '\n' && p[1] == '\n')
            fputs("\n.PP", stdout);
        else
            putchar(*p);
    }
    putchar('\n');
}

static void roff_options(const struct cli_option *options)
{
    for (; options && options->name; options++) {
        printf(".TP\n");
        if (options->letter <= 255)
            printf("\\fB\\-%c\\fR, ", options->letter);
        printf("\\fB\\-\\-%s\\fR", options->name);
        if (options->arg)
            printf(" \\fI%s\\fR", options->arg);
        putchar('\n');
        roff_text(options->help);
    }
}

static void roff_command(const struct command *command)
{
    printf(".SS \"zabctl %s %s\"\n%s.\n", command->name, command->args, command->summary);
    if (*command->text) {
        printf(".PP\n");
        roff_text(command->text);
    }
    roff_options(command->options);
}

void cli_print_roff(void)
{
    puts(".\\\" SPDX-License-Identifier: GPL-3.0-or-later");
    printf(".TH ZABCTL 1 \"\" \"zabfs %s\" \"User Commands\"\n"
           ".SH NAME\nzabctl \\- look at and change the tree of a ZooKeeper ensemble\n"
           ".SH SYNOPSIS\n.B zabctl\n[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n"
           ".SH OPTIONS\n",
           PACKAGE_VERSION);
    roff_options(cli_options);
    puts(".SH COMMANDS");
    for (size_t i = 0; cli_commands[i]; i++)
        roff_command(cli_commands[i]);
    puts(".SH EXIT STATUS");
    for (size_t i = 0; i < ARRAY_LEN(exits); i++)
        printf(".TP\n%d\n%s\n", exits[i].code, exits[i].meaning);
    puts(".SH ENVIRONMENT\n.TP\n.B ZABCTL_SERVERS\nThe servers if there is no \\fB\\-s\\fR.\n"
         ".TP\n.BR ZABCTL_TLS_CA \", \" ZABCTL_TLS_CERT \", \" ZABCTL_TLS_KEY\n"
         "The files if there is no \\fB\\-\\-tls\\-ca\\fR, "
         "\\fB\\-\\-tls\\-cert\\fR, \\fB\\-\\-tls\\-key\\fR.\n"
         ".SH SEE ALSO\n.BR zabd (8),\n.BR zabd.conf (5),\n.BR zabfs (8)");
}
