/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zabctl: the options in front of the command, the table of commands, and one call. */
#include "cli.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "zab/log.h"

enum {
    TIMEOUT_DEFAULT_S = 10,
    OPT_AUTH = 256,
    OPT_TLS_CA,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_TLS_ANY_HOST,
    OPT_MAX_REPLY,
    OPT_JSON,
    OPT_HELP,
    OPT_VERSION,
};

/* In the order of the help. */
#define COMMANDS(C)                                                                                \
    C(ls) C(get) C(set) C(create) C(rm) C(stat) C(acl) C(tree) C(watch) C(sync) C(status) C(data)

#define COMMAND_DECLARE(name) extern const struct command command_##name;
COMMANDS(COMMAND_DECLARE)

#define COMMAND_POINTER(name) &command_##name,
const struct command *const cli_commands[] = {COMMANDS(COMMAND_POINTER) NULL};

const struct cli_option cli_options[] = {
    {'s', "servers", "HOSTS[/CHROOT]",
     "The servers, as HOST:PORT[,HOST:PORT...], and the node that is taken for the root. Without "
     "it $ZABCTL_SERVERS, and then 127.0.0.1:2181."},
    {'t', "timeout", "SECONDS",
     "How long to wait for a server, and the session timeout to ask for (10)."},
    {OPT_AUTH, "auth", "SCHEME:CREDENTIALS",
     "Authenticate, as with digest:USER:PASSWORD. May be given more than once."},
    {OPT_TLS_CA, "tls-ca", "FILE",
     "Use TLS; trust servers whose certificate is signed by a CA in FILE (PEM). Default: "
     "$ZABCTL_TLS_CA; without either, connections are plain."},
    {OPT_TLS_CERT, "tls-cert", "FILE",
     "The certificate to show to servers that want one, with its chain (PEM). Without it "
     "$ZABCTL_TLS_CERT."},
    {OPT_TLS_KEY, "tls-key", "FILE",
     "Its private key (PEM), if that is not in the same file. Without it $ZABCTL_TLS_KEY."},
    {OPT_TLS_ANY_HOST, "tls-any-host", NULL,
     "Do not check that the server's certificate names the host you connect to (insecure: any "
     "server certified by that CA is accepted)."},
    {OPT_MAX_REPLY, "max-reply", "SIZE",
     "Take answers of up to SIZE bytes, 1M to 1G (4M). The list of a node with more than about "
     "50,000 children may be longer; a command that needs it fails and says how long it is."},
    {OPT_JSON, "json", NULL, "Print JSON. Also accepted after the command."},
    {OPT_HELP, "help", NULL, "Print help; after a command, help for that command."},
    {OPT_VERSION, "version", NULL, "Print the version."},
    {0},
};

static int add_auth(struct cli *cli, char *auth)
{
    if (!strchr(auth, ':')) {
        cli_error("--auth '%s': must be SCHEME:CREDENTIALS, such as digest:USER:PASSWORD", auth);
        return CLI_USAGE;
    }
    cli->auths = mem_realloc(cli->auths, (cli->n_auths + 1) * sizeof(*cli->auths));
    cli->auths[cli->n_auths++] = auth;
    return 0;
}

static int set_timeout(struct cli *cli, const char *value)
{
    int64_t seconds;
    int rc = cli_parse_number("-t", value, 1, 3600, &seconds);
    if (rc == 0)
        cli->timeout_ms = (int)seconds * 1000;
    return rc;
}

static int set_max_reply(struct cli *cli, const char *value)
{
    if (client_parse_reply_max(value, &cli->max_reply) == 0)
        return 0;
    cli_error("--max-reply '%s': must be a size from 1M to 1G, such as 16M", value);
    return CLI_USAGE;
}

/* -1: go on with the command; else the exit code. */
static int parse_globals(struct cli *cli, int argc, char **argv)
{
    int opt, rc = 0;
    while (rc == 0 && (opt = cli_getopt_global(argc, argv)) != -1) {
        switch (opt) {
        case 's':
            cli->servers = optarg;
            break;
        case 't':
            rc = set_timeout(cli, optarg);
            break;
        case OPT_AUTH:
            rc = add_auth(cli, optarg);
            break;
        case OPT_TLS_CA:
            cli->tls.ca = optarg;
            break;
        case OPT_TLS_CERT:
            cli->tls.cert = optarg;
            break;
        case OPT_TLS_KEY:
            cli->tls.key = optarg;
            break;
        case OPT_TLS_ANY_HOST:
            cli->tls.any_host = true;
            break;
        case OPT_MAX_REPLY:
            rc = set_max_reply(cli, optarg);
            break;
        case OPT_JSON:
            cli->json = true;
            break;
        case OPT_HELP:
            cli_print_help();
            return cli_flush();
        case OPT_VERSION:
            printf("zabctl %s\n", PACKAGE_VERSION);
            return cli_flush();
        default:
            return CLI_USAGE;
        }
    }
    return rc != 0 ? rc : -1;
}

static int run_help(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--roff") == 0) {
        cli_print_roff();
    } else if (argc > 1) {
        const struct command *command = cli_find_command(argv[1]);
        if (!command) {
            cli_error("help: no command '%s'; zabctl --help lists them", argv[1]);
            return CLI_USAGE;
        }
        cli_print_command_help(command);
    } else {
        cli_print_help();
    }
    return cli_flush();
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    struct err e;
    if (argc == 0) {
        cli_error("no command; zabctl --help lists them");
        return CLI_USAGE;
    }
    if (strcmp(argv[0], "help") == 0)
        return run_help(argc, argv);
    cli->command = cli_find_command(argv[0]);
    if (!cli->command) {
        cli_error("no command '%s'; zabctl --help lists them", argv[0]);
        return CLI_USAGE;
    }
    if (client_check_hosts(cli->servers, &e) != 0 ||
        client_tls_open(&cli->tls_context, &cli->tls, &e) != 0) {
        cli_error("%s", e.text);
        return CLI_USAGE;
    }
    optind = 0;
    int rc = cli->command->run(cli, argc, argv);
    cli_close(cli);
    int flushed = cli_flush();
    return rc != 0 ? rc : flushed;
}

/* A standard descriptor that is closed would be the next file's or socket's: hold its place with
 * something that refuses its use. */
static void keep_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            abort();
    }
}

/* NULL if it is not set, or empty. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

int main(int argc, char **argv)
{
    const char *servers = environment("ZABCTL_SERVERS");
    struct cli cli = {.servers = servers ? servers : "127.0.0.1:2181",
                      .timeout_ms = TIMEOUT_DEFAULT_S * 1000,
                      .max_reply = SESSION_REPLY_DEFAULT,
                      .tls = {.prefix = "--tls-",
                              .ca = environment("ZABCTL_TLS_CA"),
                              .cert = environment("ZABCTL_TLS_CERT"),
                              .key = environment("ZABCTL_TLS_KEY")}};
    keep_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    int rc = parse_globals(&cli, argc, argv);
    if (rc == -1)
        rc = run_command(&cli, argc - optind, argv + optind);
    tls_context_close(cli.tls_context);
    free(cli.auths);
    return rc;
}
