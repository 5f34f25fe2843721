/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens when, and what is told about it. Events of one moment happen in the order in which
 * they were planned. */
#include "mountpoint.h"

#include <stdarg.h>
#include <unistd.h>

static struct world *running;

/* In a script nothing is left to chance, so that its trace stays the same. */
bool chance(struct world *w, unsigned one_in)
{
    return !w->options.script && rng_one_in(&w->rng, one_in);
}

int64_t between(struct world *w, int64_t low, int64_t high)
{
    if (w->options.script)
        return low + (high - low) / 2;
    return low + (int64_t)rng_below(&w->rng, (uint64_t)(high - low + 1));
}

/* ---- The heap of events ---- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->seq < b->seq;
}

static void swap_events(struct sim_event *a, struct sim_event *b)
{
    struct sim_event c = *a;
    *a = *b;
    *b = c;
}

void sim_at(struct world *w, int64_t delay_ms, void (*happen)(struct world *w, void *arg),
            void *arg)
{
    ROOM_FOR_ONE(w->heap, w->n_heap, w->cap_heap);
    size_t i = w->n_heap++;
    w->heap[i] = (struct sim_event){w->now_ms + delay_ms, w->n_events++, happen, arg};
    for (; i > 0 && is_before(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap_events(&w->heap[i], &w->heap[(i - 1) / 2]);
}

static struct sim_event first_event(struct world *w)
{
    struct sim_event first = w->heap[0];
    w->heap[0] = w->heap[--w->n_heap];
    for (size_t i = 0, least;; i = least) {
        least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < w->n_heap; child++) {
            if (is_before(&w->heap[child], &w->heap[least]))
                least = child;
        }
        if (least == i)
            return first;
        swap_events(&w->heap[i], &w->heap[least]);
    }
}

/* The next thing happens. False if there is none. */
bool sim_step(struct world *w)
{
    if (w->n_heap == 0)
        return false;
    struct sim_event ev = first_event(w);
    w->now_ms = ev.at_ms;
    ev.happen(w, ev.arg);
    check_no_stall(w);
    return true;
}

/* ---- The trace ---- */

static void trace(struct world *w, bool keep, const char *fmt, va_list ap)
{
    char *line = w->lines[w->n_lines++ % SIM_LINES];
    int len = snprintf(line, sizeof(w->lines[0]), "[%6" PRId64 "] ", w->now_ms);
    vsnprintf(line + len, sizeof(w->lines[0]) - (size_t)len, fmt, ap);
    if (w->options.trace)
        printf("%s\n", line);
    if (w->options.script && keep)
        buf_printf(&w->said, "  %s\n", line);
}

void sim_trace(struct world *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    trace(w, true, fmt, ap);
    va_end(ap);
}

void sim_detail(struct world *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    trace(w, false, fmt, ap);
    va_end(ap);
}

void world_dump(void)
{
    struct world *w = running;
    if (!w)
        return;
    uint64_t first = w->n_lines > SIM_LINES ? w->n_lines - SIM_LINES : 0;
    for (uint64_t i = first; !w->options.trace && i < w->n_lines; i++)
        fprintf(stderr, "%s\n", w->lines[i % SIM_LINES]);
    options_print(&w->options, stderr);
}

void sim_fail(struct world *w, enum sim_exit code, const char *fmt, ...)
{
    va_list ap;
    (void)w;
    fflush(stdout);
    world_dump();
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", code == SIM_STALLED ? "stalled" : "broken");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    fflush(stderr);
    _exit(code);
}

/* ---- A run ---- */

void world_set_servers(struct world *w, unsigned voters, unsigned observers)
{
    w->n_voters = voters;
    w->n_servers = voters + observers;
    for (unsigned i = 0; i < w->n_servers; i++)
        w->zab_servers[i] = (struct zab_server){i + 1, i >= voters, 1, 0};
    if (!is_ensemble(w))
        cover_point(COVER_single);
    if (observers > 0)
        cover_point(COVER_observers);
    draw_world(w);
    if (is_ensemble(w))
        journal_set_config(w);
    for (unsigned i = 0; i < w->n_servers; i++)
        server_open(w, &w->servers[i], i);
}

/* A third of the seeds has a single replica. */
static void choose_servers(struct world *w)
{
    static const struct {
        unsigned voters, observers;
    } shapes[] = {{1, 0}, {1, 0}, {1, 0}, {3, 0}, {3, 0}, {3, 0},
                  {3, 1}, {3, 2}, {5, 0}, {5, 0}, {5, 1}, {1, 1}};
    size_t i = rng_below(&w->rng, ARRAY_LEN(shapes));
    if (w->options.voters > 0)
        world_set_servers(w, w->options.voters, w->options.observers);
    else
        world_set_servers(w, shapes[i].voters, shapes[i].observers);
}

static void world_open(struct world *w, const struct sim_options *options)
{
    *w = (struct world){.options = *options};
    running = w;
    w->rng.state = options->seed;
    w->wall_offset_ms = 1700000000000;
    journal_open(w);
}

static void world_close(struct world *w)
{
    for (unsigned i = 0; i < w->n_mounts; i++)
        mountpoint_free(w->mounts[i]);
    for (unsigned i = 0; i < w->n_clients; i++)
        client_free(&w->clients[i]);
    mountcheck_close(w);
    for (unsigned i = 0; i < w->n_servers; i++)
        server_close(w, &w->servers[i]);
    net_close_all(w);
    journal_close(w);
    for (size_t i = 0; i < w->n_requests; i++) {
        free(w->requests[i]->expected);
        free(w->requests[i]);
    }
    free(w->requests);
    free(w->heap);
    buf_close(&w->said);
    running = NULL;
}

/* Where clients contend, one is at who is most likely to lead, and the others are elsewhere. */
static void start_somewhere(struct world *w, unsigned i)
{
    if (w->hot && w->n_voters > 1)
        w->clients[i].only = &w->servers[i == 0 ? w->n_voters - 1 : i % (w->n_voters - 1)];
    client_start(w, &w->clients[i], i);
}

static void run_randomly(struct world *w)
{
    w->unmodelled = w->options.mounts > 0;
    if (w->unmodelled)
        mountcheck_open(w);
    choose_servers(w);
    w->n_clients = (unsigned)between(w, 2, w->hot ? 4 : chance(w, 8) ? CLIENTS_MAX : 5);
    if (w->options.mounts > 0)
        w->n_clients = MIN(w->n_clients, (unsigned)CLIENTS_MAX - 1 - MOUNTS_MAX);
    if (w->options.clients > 0)
        w->n_clients = MIN(w->n_clients, w->options.clients);
    for (unsigned i = 0; i < w->n_servers; i++)
        server_start(w, &w->servers[i]);
    for (unsigned i = 0; i < w->n_clients; i++)
        start_somewhere(w, i);
    for (; w->n_mounts < w->options.mounts; w->n_mounts++)
        mountpoint_start(w, w->n_mounts, -1);
    if (w->n_clients > 5)
        cover_point(COVER_many_clients);
    if (is_ensemble(w) && w->times.tick_ms == 2000)
        cover_point(COVER_times_production);
    faults_begin(w);
    uint64_t steps = w->options.steps * w->n_servers * (w->unmodelled ? 4 : 1);
    for (uint64_t i = 0; i < steps; i++)
        sim_step(w);
}

void world_run(const struct sim_options *options)
{
    static struct world w;
    world_open(&w, options);
    if (options->operators)
        operators_run(&w);
    else if (options->script)
        script_run(&w, options->script);
    else
        run_randomly(&w);
    if (!options->operators)
        world_end_well(&w);
    sim_trace(&w,
              "seed %" PRIu64 ": %u servers, %zu transactions, %" PRIu64 " answers, %" PRIu64
              " crashes, %" PRIu64 " snapshots, %zu epochs, %" PRIu64 " truncates, %" PRIu64
              " trees",
              options->seed, w.n_servers, w.n_chain - 1, w.n_answers, w.n_crashes, w.n_snapshots,
              w.n_epochs, w.n_truncates, w.n_installs);
    world_close(&w);
}
