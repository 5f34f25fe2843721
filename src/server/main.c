/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zabd: the command line. */
#include <getopt.h>
#include <stdio.h>

#include "server.h"

static void usage(FILE *f)
{
    fprintf(f, "usage: zabd [OPTION] ZOO.CFG\n"
               "The replicated tree daemon: serves ZooKeeper's client protocol.\n"
               "\n"
               "  --check-config  read ZOO.CFG, say what is wrong with it, and exit\n"
               "  --help-config   list the keys of ZOO.CFG with their defaults\n"
               "  --help          this\n"
               "  --version       the version\n"
               "\n"
               "It stays in the foreground, logs to standard error and ends on SIGTERM.\n"
               "Exit status: 0 ended by a signal, 1 failed, 2 wrong usage.\n");
}

enum { OPT_CHECK = 1, OPT_HELP_CONFIG, OPT_HELP, OPT_VERSION };

static const struct option options[] = {
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"help-config", optional_argument, NULL, OPT_HELP_CONFIG},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {0},
};

static int run(const char *path, bool check_only)
{
    struct config config;
    struct secure secure;
    struct err e;
    int rc = config_load(&config, path, &e);
    if (rc == 0)
        rc = config_check_directory(&config, &e);
    if (rc == 0 && !check_only) {
        log_set_level((enum log_level)log_level_parse(config.log_level));
        log_info("zabd %s starts with %s", PACKAGE_VERSION, path);
        rc = server_run(&config, &e);
    }
    if (rc == 0 && check_only) {
        rc = secure_open(&secure, &config, &e);
        secure_close(&secure);
    }
    config_close(&config);
    if (rc != 0)
        fprintf(stderr, "zabd: %s\n", e.text);
    else if (check_only)
        printf("%s: ok\n", path);
    return rc ? 1 : 0;
}

int main(int argc, char **argv)
{
    bool check_only = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case OPT_CHECK:
            check_only = true;
            break;
        case OPT_HELP_CONFIG:
            config_print_keys(optarg && strcmp(optarg, "roff") == 0);
            return 0;
        case OPT_HELP:
            usage(stdout);
            return 0;
        case OPT_VERSION:
            printf("zabd %s\n", PACKAGE_VERSION);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (argc - optind != 1) {
        usage(stderr);
        return 2;
    }
    return run(argv[optind], check_only);
}
