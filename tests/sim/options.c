/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line: what is run, and the line that runs it again. */
#include "mountpoint.h"

#include <getopt.h>

static const char usage[] =
    "usage: sim [--seed N | --seeds FROM-TO] [--steps N] [--servers N[+OBSERVERS]]\n"
    "           [--script FILE [--rewrite]] [--break NAME] [--trace]\n"
    "           [--jobs N] [--coverage]\n"
    "           [--operators] [--without MASK] [--clients N] [--mounts N [--skip CHECKS]]\n"
    "A seed of a swarm that fails is run again with fewer steps, kinds of faults (--without) and\n"
    "clients (--clients), and the smallest run that fails as well is named.\n"
    "With --mounts so many mounts are beside the clients, with programs on them; without it, a "
    "part\n"
    "of the seeds has some. --skip names their checks that are not made, with commas between.\n"
    "Runs replicas in a simulated world. One seed gives one run, always.\n"
    "exit status: 0 fine, 1 an invariant was broken, 2 crashed, 3 stalled, 4 usage\n"
    "        5 a swarm of many seeds does not cover all that it should\n"
    "--coverage prints what was covered.\n"
    "--break NAME breaks a promise on purpose; of mounts (two, unless --mounts says another "
    "number)\n"
    "only the check that must notice it is made, unless --skip names others:\n";

static const struct {
    const char *name, *text;
    int notices; /* enum mount_check, -1: it is not of mounts */
} breakages[] = {{"nothing", "nothing", -1},
#define BREAKAGE_TEXT(name, text) {#name, text, -1},
                 BREAKAGES(BREAKAGE_TEXT)
#undef BREAKAGE_TEXT
#define BREAKAGE_TEXT(name, check, text) {#name, text, MOUNT_CHECK_##check},
                     MOUNT_BREAKAGES(BREAKAGE_TEXT)
#undef BREAKAGE_TEXT
};

static const char *const mount_checks[] = {
#define MOUNT_CHECK_NAME(name) #name,
    MOUNT_CHECKS(MOUNT_CHECK_NAME)
#undef MOUNT_CHECK_NAME
};

static void print_usage(FILE *to)
{
    fputs(usage, to);
    for (size_t i = 1; i < ARRAY_LEN(breakages); i++) {
        int check = breakages[i].notices;
        fprintf(to, "    %-20s %s%s%s\n", breakages[i].name, check < 0 ? "" : mount_checks[check],
                check < 0 ? "" : ": ", breakages[i].text);
    }
}

static _Noreturn void say_usage(void)
{
    print_usage(stderr);
    exit(SIM_USAGE);
}

static _Noreturn void help(void)
{
    print_usage(stdout);
    exit(SIM_FINE);
}

static uint64_t number(const char *text, char **end)
{
    uint64_t v = strtoull(text, end, 10);
    if (*end == text)
        say_usage();
    return v;
}

static uint64_t whole_number(const char *text)
{
    char *end;
    uint64_t v = number(text, &end);
    if (*end)
        say_usage();
    return v;
}

static enum breakage breakage_of(const char *name)
{
    for (size_t i = 1; i < ARRAY_LEN(breakages); i++) {
        if (strcmp(breakages[i].name, name) == 0)
            return (enum breakage)i;
    }
    say_usage();
}

/* Breakages of mounts have two of them, and only the check that must notice is made: others may as
 * well, and prove nothing of that one. */
static void break_mounts(struct sim_options *o)
{
    int check = breakages[o->breakage].notices;
    if (check < 0)
        return;
    if (o->mounts == 0)
        o->mounts = 2;
    if (o->skip == 0)
        o->skip = ((1u << MOUNT_N_CHECKS) - 1) & ~(1u << check);
}

/* Names with commas between them. */
static unsigned checks_of(const char *text)
{
    unsigned mask = 0;
    for (size_t len; *text; text += len + (text[len] == ',')) {
        unsigned before = mask;
        len = strcspn(text, ",");
        for (size_t i = 0; i < ARRAY_LEN(mount_checks); i++) {
            if (strlen(mount_checks[i]) == len && strncmp(mount_checks[i], text, len) == 0)
                mask |= 1u << i;
        }
        if (mask == before)
            say_usage();
    }
    return mask;
}

static void print_checks(unsigned mask, FILE *to)
{
    const char *before = " --skip ";
    for (size_t i = 0; i < ARRAY_LEN(mount_checks); i++) {
        if (!(mask >> i & 1))
            continue;
        fprintf(to, "%s%s", before, mount_checks[i]);
        before = ",";
    }
}

static void range_of(const char *text, struct sim_seeds *seeds)
{
    char *end;
    seeds->from = number(text, &end);
    if (*end != '-')
        say_usage();
    seeds->to = whole_number(end + 1);
}

static void parse_servers(const char *text, struct sim_options *o)
{
    char *end;
    uint64_t voters = number(text, &end), observers = 0;
    if (*end == '+')
        observers = whole_number(end + 1);
    else if (*end)
        say_usage();
    if (voters == 0 || voters > SERVERS_MAX || observers > SERVERS_MAX - voters)
        say_usage();
    o->voters = (unsigned)voters;
    o->observers = (unsigned)observers;
}

void options_parse(int argc, char **argv, struct sim_options *o, struct sim_seeds *seeds)
{
    static const struct option longs[] = {{"seed", required_argument, NULL, 's'},
                                          {"seeds", required_argument, NULL, 'S'},
                                          {"steps", required_argument, NULL, 'n'},
                                          {"servers", required_argument, NULL, 'v'},
                                          {"break", required_argument, NULL, 'b'},
                                          {"script", required_argument, NULL, 'f'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"rewrite", no_argument, NULL, 'r'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"without", required_argument, NULL, 'w'},
                                          {"clients", required_argument, NULL, 'C'},
                                          {"mounts", required_argument, NULL, 'm'},
                                          {"skip", required_argument, NULL, 'k'},
                                          {"operators", no_argument, NULL, 'o'},
                                          {"coverage", no_argument, NULL, 'c'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 's')
            seeds->from = seeds->to = whole_number(optarg);
        else if (c == 'S')
            range_of(optarg, seeds);
        else if (c == 'j')
            seeds->jobs = (unsigned)MIN(MAX(whole_number(optarg), 1u), 64u);
        else if (c == 'c')
            seeds->coverage = true;
        else if (c == 'w')
            o->without = strtoull(optarg, NULL, 16);
        else if (c == 'C')
            o->clients = (unsigned)MIN(whole_number(optarg), (uint64_t)CLIENTS_MAX);
        else if (c == 'k')
            o->skip = checks_of(optarg);
        else if (c == 'm') {
            o->draws_mounts = false;
            o->mounts = (unsigned)MIN(whole_number(optarg), (uint64_t)MOUNTS_MAX);
        } else if (c == 'o')
            o->operators = true;
        else if (c == 'n')
            o->steps = whole_number(optarg);
        else if (c == 'v')
            parse_servers(optarg, o);
        else if (c == 'b')
            o->breakage = breakage_of(optarg);
        else if (c == 'f')
            o->script = optarg;
        else if (c == 't')
            o->trace = true;
        else if (c == 'r')
            o->rewrite = true;
        else if (c == 'h')
            help();
        else
            say_usage();
    }
    if (optind < argc)
        say_usage();
    o->draws_mounts &= !o->script && !o->operators && o->breakage == BREAK_NOTHING;
    break_mounts(o);
}

/* The line that runs it again. */
void options_print(const struct sim_options *o, FILE *to)
{
    fprintf(to, "replay: sim --seed %" PRIu64 " --steps %" PRIu64, o->seed, o->steps);
    if (o->without > 0)
        fprintf(to, " --without %" PRIx64, o->without);
    if (o->clients > 0)
        fprintf(to, " --clients %u", o->clients);
    if (o->mounts > 0)
        fprintf(to, " --mounts %u", o->mounts);
    print_checks(o->skip, to);
    if (o->voters > 0)
        fprintf(to, " --servers %u+%u", o->voters, o->observers);
    if (o->breakage != BREAK_NOTHING)
        fprintf(to, " --break %s", breakages[o->breakage].name);
    if (o->operators)
        fprintf(to, " --operators");
    if (o->script)
        fprintf(to, " --script %s", o->script);
    fprintf(to, " --trace\n");
}
