/* SPDX-License-Identifier: GPL-3.0-or-later */
/* explore: every place for faults, one after the other, in the life of three consensus cores.
 *
 * A run is a delivery order (a seed) and faults at places in it, which are counted in things that
 * happen: a server crashes before the i-th, another or the same before the j-th, each starts again
 * some things later, and the second one may have lost its disk, or stays away. All of them are run,
 * for the first places from the beginning on: elections, discovery, synchronisation, writes. Behind
 * them all is well, and a leader must serve, with all that was committed, on the disks of all that
 * are there. The checks of each step are those of zab_cluster.c.
 *
 *     explore [PLACES [STRIDE [ORDERS]]]    the second fault is at every STRIDE-th place
 *     explore --plan ORDER FAULT FAULT      one run; FAULT: server,crashes at,starts at,wiped
 * With ZAB_CLUSTER_LOG set the cores say what they do. */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/zab_cluster.h"

enum {
    SERVERS = 3,
    WRITE_EVERY = 12,
    SETTLE_MS = 6000,
    STEPS_MAX = 20000, /* of which most are ticks */
};

/* A fault at a place. */
struct fault {
    unsigned at, back; /* starts again at that place; 0: never */
    size_t server;
    bool wipe;
};

struct plan {
    uint64_t order;
    struct fault faults[2];
};

static void print_plan(const struct plan *p)
{
    printf("explore --plan %llu", (unsigned long long)p->order);
    for (size_t i = 0; i < ARRAY_LEN(p->faults); i++) {
        const struct fault *f = &p->faults[i];
        printf(" %zu,%u,%u,%d", f->server + 1, f->at, f->back, f->wipe);
    }
    printf("\n");
}

static bool read_fault(const char *text, struct fault *f)
{
    int wipe;
    if (sscanf(text, "%zu,%u,%u,%d", &f->server, &f->at, &f->back, &wipe) != 4 ||
        f->server - 1 >= SERVERS)
        return false;
    f->server--;
    f->wipe = wipe;
    return true;
}

static void fault_at(struct cluster *c, const struct fault *f, unsigned place)
{
    if (place == f->at)
        cluster_crash(c, f->server);
    if (place != f->back)
        return;
    if (f->wipe && cluster_may_wipe(c, f->server))
        cluster_wipe(c, f->server);
    cluster_restart(c, f->server);
}

static bool stays_away(const struct plan *p, size_t server)
{
    const struct fault *last = &p->faults[1];
    return last->back == 0 && server == last->server;
}

static void restart_all(struct cluster *c, const struct plan *p)
{
    for (size_t i = 0; i < SERVERS; i++) {
        if (!stays_away(p, i))
            cluster_restart(c, i);
    }
}

/* One that may have lost its disk waits for all that there are. */
static bool waits_for_who_stays_away(struct cluster *c, const struct plan *p)
{
    for (size_t i = 0; i < SERVERS && p->faults[1].back == 0; i++) {
        if (!stays_away(p, i) && !cluster_remembers(c, i))
            return true;
    }
    return false;
}

/* What is wrong at the end, or NULL. */
static const char *check_end(struct cluster *c, const struct plan *p)
{
    size_t committed = cluster_committed(c);
    if (cluster_failure(c))
        return cluster_failure(c);
    if (cluster_leader(c) < 0)
        return waits_for_who_stays_away(c, p) ? NULL : "nobody leads";
    if (!cluster_write(c))
        return "the leader takes no write";
    cluster_run(c, 1000, false);
    if (cluster_committed(c) <= committed)
        return "a write is not committed";
    for (size_t i = 0; i < SERVERS; i++) {
        if (!stays_away(p, i) &&
            (!cluster_serves(c, i) || cluster_applied(c, i) != cluster_committed(c)))
            return "not all servers have all";
    }
    return cluster_failure(c);
}

static bool run(const struct plan *p)
{
    struct cluster *c = cluster_open(p->order, SERVERS, 0, BREAK_NOTHING);
    unsigned place = 0, last = MAX(p->faults[0].back, MAX(p->faults[1].back, p->faults[1].at));
    for (unsigned steps = 0; place <= last && steps < STEPS_MAX && !cluster_failure(c); steps++) {
        if (!cluster_step(c))
            continue;
        place++;
        fault_at(c, &p->faults[0], place);
        fault_at(c, &p->faults[1], place);
        if (place % WRITE_EVERY == 0)
            cluster_write(c);
    }
    restart_all(c, p);
    cluster_run(c, SETTLE_MS, false);
    const char *wrong = check_end(c, p);
    if (wrong) {
        printf("explore: %s\n", wrong);
        print_plan(p);
    }
    cluster_close(c);
    return !wrong;
}

/* The second fault, at each place behind the first one. */
static unsigned explore_second(struct plan *p, unsigned places, unsigned stride, unsigned *runs)
{
    unsigned failed = 0;
    static const unsigned away[] = {1, 30};
    for (unsigned at = p->faults[0].at + 1; at <= places; at += stride) {
        for (size_t server = 0; server < SERVERS; server++) {
            for (unsigned kind = 0; kind < 2 * ARRAY_LEN(away); kind++) {
                p->faults[1] = (struct fault){at, at + away[kind / 2], server, kind % 2};
                failed += !run(p);
                ++*runs;
            }
            p->faults[1] = (struct fault){at, 0, server, false};
            failed += !run(p);
            ++*runs;
        }
    }
    return failed;
}

static int run_plan(char **args)
{
    struct plan p = {.order = strtoull(args[0], NULL, 10)};
    if (!read_fault(args[1], &p.faults[0]) || !read_fault(args[2], &p.faults[1]))
        return 2;
    return run(&p) ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--plan") == 0)
        return run_plan(argv + 2);
    unsigned places = argc > 1 ? (unsigned)atoi(argv[1]) : 100;
    unsigned stride = argc > 2 ? (unsigned)atoi(argv[2]) : 5;
    unsigned orders = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
    unsigned failed = 0, runs = 0;
    if (stride == 0)
        return 2;
    for (uint64_t order = 1; order <= orders; order++) {
        for (unsigned at = 1; at <= places && failed < 10; at++) {
            for (size_t server = 0; server < SERVERS; server++) {
                struct plan p = {.order = order};
                p.faults[0] = (struct fault){at, at + 1 + at % 25, server, false};
                failed += explore_second(&p, places, stride, &runs);
            }
        }
    }
    printf("explore: %u runs, %u wrong\n", runs, failed);
    return failed > 0;
}
