/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zkload HOST:PORT[,HOST:PORT...] MODE [options]: load for a ZooKeeper server or an ensemble, over
 * which the sessions are spread; one line of figures, name=value.
 *
 *     set, get    of one of -k nodes at a time, chosen at random, for -d seconds
 *     mix         seven gets to three sets
 *     create      -n nodes, in -w directories
 *     delete      the same nodes again
 *     fanout      one change is told to all sessions, -n times
 *     connect     open the sessions
 *
 * Each of -c sessions has -p requests outstanding all the time. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "zab/rng.h"
#include "zk_conn.h"

enum {
    PATH_SIZE = 256,
    HOSTS_MAX = 9,
    OTHER_FILES = 16, /* open beside the sessions */
};

struct sample {
    uint64_t end_us; /* since 1970 */
    uint32_t us;
};

struct load {
    const char *hosts[HOSTS_MAX];
    unsigned n_hosts;
    unsigned sessions, outstanding, keys, directories;
    double seconds;
    long count;
    size_t size;
    bool distinct;      /* other data for each node */
    const char *prefix; /* of all paths */
    const char *samples_file;

    struct zk_loop loop;
    struct zk_conn *conns;
    struct rng rng;
    struct buf value;
    void (*next)(struct load *l, struct zk_conn *c); /* make one request */
    long made;
    uint64_t errors;
    int32_t last_error;
    struct sample *samples;
    size_t n_samples, cap_samples;
    bool stopping;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- Requests ---- */

static struct slice value(struct load *l)
{
    if (l->distinct || l->value.len == 0) {
        buf_reset(&l->value);
        for (size_t i = 0; i < l->size; i++)
            *buf_extend(&l->value, 1) = (uint8_t)('a' + rng_below(&l->rng, 26));
    }
    return buf_slice(&l->value);
}

static void key_path(const struct load *l, unsigned key, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/k%u", l->prefix, key);
}

static void next_set(struct load *l, struct zk_conn *c)
{
    char path[PATH_SIZE];
    key_path(l, (unsigned)rng_below(&l->rng, l->keys), path);
    zk_conn_set(c, path, value(l));
}

static void next_get(struct load *l, struct zk_conn *c)
{
    char path[PATH_SIZE];
    key_path(l, (unsigned)rng_below(&l->rng, l->keys), path);
    zk_conn_get(c, path, false);
}

static void next_mix(struct load *l, struct zk_conn *c)
{
    if (rng_below(&l->rng, 10) < 7)
        next_get(l, c);
    else
        next_set(l, c);
}

static void made_path(const struct load *l, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/d%ld/n%ld", l->prefix, l->made % l->directories, l->made);
}

static void next_create(struct load *l, struct zk_conn *c)
{
    char path[PATH_SIZE];
    made_path(l, path);
    zk_conn_create(c, path, value(l));
}

static void next_delete(struct load *l, struct zk_conn *c)
{
    char path[PATH_SIZE];
    made_path(l, path);
    zk_conn_delete(c, path);
}

/* ---- The loop ---- */

static void on_reply(void *arg, struct zk_conn *c, int32_t err, uint64_t us)
{
    struct load *l = arg;
    (void)c;
    if (err != 0) {
        l->errors++;
        l->last_error = err;
    }
    if (l->n_samples == l->cap_samples) {
        l->cap_samples = MAX(l->cap_samples * 2, 1u << 20);
        l->samples = mem_realloc(l->samples, l->cap_samples * sizeof(*l->samples));
    }
    l->samples[l->n_samples++] = (struct sample){now_us(), (uint32_t)MIN(us, UINT32_MAX)};
}

static void top_up(void *arg, struct zk_conn *c)
{
    struct load *l = arg;
    while (!l->stopping && c->outstanding < l->outstanding) {
        if (l->count > 0 && l->made == l->count)
            return;
        l->next(l, c);
        l->made++;
    }
}

static unsigned all_outstanding(const struct load *l)
{
    unsigned n = 0;
    for (unsigned i = 0; i < l->sessions; i++)
        n += l->conns[i].outstanding;
    return n;
}

/* Keep all sessions busy until the time or the count is over. Returns the seconds it took. */
static double run(struct load *l)
{
    uint64_t start = now_us(), end = start + (uint64_t)(l->seconds * 1e6);
    l->loop.on_reply = on_reply;
    l->loop.on_read = top_up;
    for (unsigned i = 0; i < l->sessions; i++) {
        top_up(l, &l->conns[i]);
        zk_conn_flush(&l->loop, &l->conns[i]);
    }
    while (!l->stopping) {
        zk_loop_poll(&l->loop, 100);
        l->stopping = interrupted || (l->count > 0 ? l->made == l->count : now_us() >= end);
    }
    while (all_outstanding(l) > 0)
        zk_loop_poll(&l->loop, 100);
    l->loop.on_reply = NULL;
    l->loop.on_read = NULL;
    return (double)(now_us() - start) / 1e6;
}

static void open_sessions(struct load *l)
{
    l->conns = mem_zalloc(l->sessions * sizeof(*l->conns));
    for (unsigned i = 0; i < l->sessions; i++) {
        zk_conn_open(&l->loop, &l->conns[i], l->hosts[i % l->n_hosts]);
        if (i % 64 == 63)
            zk_loop_poll(&l->loop, 0);
    }
    for (unsigned i = 0; i < l->sessions; i++) {
        while (!l->conns[i].has_session)
            zk_loop_poll(&l->loop, 100);
    }
}

/* Each server has by now what any session was told. */
static void sync_hosts(struct load *l)
{
    for (unsigned i = 0; i < MIN(l->n_hosts, l->sessions); i++) {
        zk_conn_sync(&l->conns[i], l->prefix);
        zk_conn_finish(&l->loop, &l->conns[i]);
    }
}

/* Create PREFIX and NAME0, NAME1, ... below it; they may be there. */
static void make_nodes(struct load *l, const char *name, unsigned n)
{
    char path[PATH_SIZE];
    struct zk_conn *c = &l->conns[0];
    zk_conn_create(c, l->prefix, SLICE_EMPTY);
    for (unsigned i = 0; i < n; i++) {
        if (c->outstanding == 64)
            zk_conn_finish(&l->loop, c);
        snprintf(path, sizeof(path), "%s/%s%u", l->prefix, name, i);
        zk_conn_create(c, path, value(l));
    }
    zk_conn_finish(&l->loop, c);
    sync_hosts(l);
}

/* ---- Figures ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct sample *)a)->us, y = ((const struct sample *)b)->us;
    return (x > y) - (x < y);
}

static uint32_t percentile(const struct load *l, double part)
{
    return l->n_samples ? l->samples[(size_t)((double)(l->n_samples - 1) * part)].us : 0;
}

static void write_samples(const struct load *l)
{
    FILE *f = fopen(l->samples_file, "we");
    for (size_t i = 0; f && i < l->n_samples; i++)
        fprintf(f, "%llu %u\n", (unsigned long long)l->samples[i].end_us, l->samples[i].us);
    if (!f || fclose(f) != 0) {
        perror(l->samples_file);
        exit(1);
    }
}

static int report(struct load *l, double seconds)
{
    if (l->samples_file)
        write_samples(l);
    if (l->n_samples > 0)
        qsort(l->samples, l->n_samples, sizeof(*l->samples), compare);
    printf("ops=%zu errors=%llu last_error=%s seconds=%.3f ops_per_s=%.0f p50_us=%u p99_us=%u\n",
           l->n_samples, (unsigned long long)l->errors, zk_error_name(l->last_error), seconds,
           (double)l->n_samples / seconds, percentile(l, 0.5), percentile(l, 0.99));
    return l->errors > 0;
}

/* ---- Modes ---- */

static int mode_keys(struct load *l)
{
    make_nodes(l, "k", l->keys);
    l->count = 0;
    return report(l, run(l));
}

static int mode_create(struct load *l)
{
    make_nodes(l, "d", l->directories);
    return report(l, run(l));
}

static int mode_delete(struct load *l)
{
    return report(l, run(l));
}

static uint64_t fan_out_once(struct load *l, const char *path)
{
    for (unsigned i = 0; i < l->sessions; i++) {
        l->conns[i].n_events = 0;
        zk_conn_get(&l->conns[i], path, true);
        zk_conn_flush(&l->loop, &l->conns[i]);
    }
    while (all_outstanding(l) > 0)
        zk_loop_poll(&l->loop, 100);
    uint64_t start = now_us();
    zk_conn_set(&l->conns[0], path, value(l));
    zk_conn_flush(&l->loop, &l->conns[0]);
    for (unsigned i = 0; i < l->sessions; i++) {
        while (l->conns[i].n_events == 0)
            zk_loop_poll(&l->loop, 100);
    }
    uint64_t us = now_us() - start;
    zk_conn_finish(&l->loop, &l->conns[0]);
    return us;
}

static int mode_fanout(struct load *l)
{
    char path[PATH_SIZE];
    double total_ms = 0, worst_ms = 0;
    make_nodes(l, "k", 1);
    key_path(l, 0, path);
    for (long i = 0; i < l->count; i++) {
        double ms = (double)fan_out_once(l, path) / 1e3;
        total_ms += ms;
        worst_ms = MAX(worst_ms, ms);
    }
    printf("mean_ms=%.2f max_ms=%.2f\n", total_ms / (double)l->count, worst_ms);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct load *l);
    void (*next)(struct load *l, struct zk_conn *c);
} modes[] = {
    {"set", mode_keys, next_set},         {"get", mode_keys, next_get},
    {"mix", mode_keys, next_mix},         {"create", mode_create, next_create},
    {"delete", mode_delete, next_delete}, {"fanout", mode_fanout, NULL},
};

static int usage(void)
{
    fprintf(
        stderr,
        "usage: zkload HOST:PORT[,HOST:PORT...] set|get|mix|create|delete|fanout|connect\n"
        "    [-c sessions] [-p outstanding] [-d seconds] [-n count] [-k keys] [-s bytes]\n"
        "    [-w directories] [-r (other data for each node)] [-x prefix] [-o file-for-samples]\n");
    return 2;
}

static bool parse_options(struct load *l, int argc, char **argv)
{
    optind = 3;
    for (int o; (o = getopt(argc, argv, "c:p:d:n:k:s:w:rx:o:")) > 0;) {
        if (o == 'c')
            l->sessions = (unsigned)atoi(optarg);
        else if (o == 'p')
            l->outstanding = (unsigned)atoi(optarg);
        else if (o == 'd')
            l->seconds = atof(optarg);
        else if (o == 'n')
            l->count = atol(optarg);
        else if (o == 'k')
            l->keys = (unsigned)atoi(optarg);
        else if (o == 's')
            l->size = (size_t)atol(optarg);
        else if (o == 'w')
            l->directories = (unsigned)atoi(optarg);
        else if (o == 'r')
            l->distinct = true;
        else if (o == 'x')
            l->prefix = optarg;
        else if (o == 'o')
            l->samples_file = optarg;
        else
            return false;
    }
    return l->sessions > 0 && l->outstanding > 0 && l->keys > 0 && l->count > 0 &&
           l->directories > 0 && l->outstanding <= ZK_CONN_OUTSTANDING_MAX;
}

static bool parse_hosts(struct load *l, char *list)
{
    for (char *host; l->n_hosts < HOSTS_MAX && (host = strsep(&list, ","));)
        l->hosts[l->n_hosts++] = host;
    return !list;
}

/* The hard limit is for the one who starts us to raise. */
static void raise_file_limit(unsigned sessions)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < sessions + OTHER_FILES) {
        fprintf(stderr, "zkload: %u sessions do not fit into %llu open files; raise ulimit -Hn\n",
                sessions, (unsigned long long)files.rlim_max);
        exit(1);
    }
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
    struct load l = {.sessions = 1, .outstanding = 1, .keys = 1000, .seconds = 5, .count = 5};
    l.directories = 1000;
    l.size = 100;
    l.prefix = "/load";
    if (argc < 3 || !parse_options(&l, argc, argv) || !parse_hosts(&l, argv[1]))
        return usage();
    raise_file_limit(l.sessions);
    signal(SIGTERM, on_signal);
    zk_loop_init(&l.loop);
    l.loop.arg = &l;
    uint64_t start = now_us();
    open_sessions(&l);
    if (strcmp(argv[2], "connect") == 0) {
        printf("per_s=%.0f\n", l.sessions / ((double)(now_us() - start) / 1e6));
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (strcmp(argv[2], modes[i].name) == 0) {
            l.next = modes[i].next;
            return modes[i].run(&l);
        }
    }
    return usage();
}
