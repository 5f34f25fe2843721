/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim: runs of the simulator, from seeds or from a script. */
#include "sim.h"

#include <getopt.h>
#include <signal.h>
#include <unistd.h>

enum {
    STEPS = 4000,
};

static const char usage[] =
    "usage: sim [--seed N | --seeds FROM-TO] [--steps N] [--servers N[+OBSERVERS]]\n"
    "           [--script FILE [--rewrite]] [--break NAME] [--trace]\n"
    "Runs replicas in a simulated world. One seed gives one run, always.\n"
    "exit status: 0 fine, 1 an invariant was broken, 2 crashed, 3 stalled, 4 usage\n"
    "--break NAME breaks a promise on purpose:\n";

static const struct {
    const char *name, *text;
} breakages[] = {{"nothing", "nothing"},
#define BREAKAGE_TEXT(name, text) {#name, text},
                 BREAKAGES(BREAKAGE_TEXT)
#undef BREAKAGE_TEXT
};

static void print_usage(FILE *to)
{
    fputs(usage, to);
    for (size_t i = 1; i < ARRAY_LEN(breakages); i++)
        fprintf(to, "    %-18s %s\n", breakages[i].name, breakages[i].text);
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

static void on_crash(int sig)
{
    signal(sig, SIG_DFL);
    fflush(stdout);
    world_dump();
    fprintf(stderr, "crashed: signal %d\n", sig);
    _exit(SIM_CRASHED);
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

struct range {
    uint64_t from, to;
};

static struct range range_of(const char *text)
{
    char *end;
    struct range r;
    r.from = number(text, &end);
    if (*end != '-')
        say_usage();
    r.to = whole_number(end + 1);
    return r;
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

static void parse(int argc, char **argv, struct sim_options *o, struct range *seeds)
{
    static const struct option longs[] = {
        {"seed", required_argument, NULL, 's'},  {"seeds", required_argument, NULL, 'S'},
        {"steps", required_argument, NULL, 'n'}, {"servers", required_argument, NULL, 'v'},
        {"break", required_argument, NULL, 'b'}, {"script", required_argument, NULL, 'f'},
        {"trace", no_argument, NULL, 't'},       {"rewrite", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 's')
            seeds->from = seeds->to = whole_number(optarg);
        else if (c == 'S')
            *seeds = range_of(optarg);
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
}

int main(int argc, char **argv)
{
    struct sim_options options = {.steps = STEPS};
    struct range seeds = {1, 1};
    parse(argc, argv, &options, &seeds);
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    signal(SIGBUS, on_crash);
    signal(SIGFPE, on_crash);
    for (uint64_t seed = seeds.from; seed <= seeds.to; seed++) {
        options.seed = seed;
        world_run(&options);
    }
    return SIM_FINE;
}
