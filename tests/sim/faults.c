/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes wrong in a run: disks, machines, processes, clocks, connections, the network. */
#include "sim.h"

/* ---- Disks ---- */

/* Has the disk met what was planned for it? */
bool faults_hit(const struct server *s)
{
    return s->faults.armed && disk_mem_counters(s->disk).operations >= s->faults.hits_at;
}

void faults_clear(struct server *s)
{
    s->faults.armed = false;
    disk_mem_fail_after(s->disk, 0, DISK_MEM_EIO);
}

static void arm(struct world *w, struct server *s, enum disk_mem_fault kind, uint64_t n)
{
    static const char *const names[] = {"EIO", "ENOSPC", "a crash"};
    sim_trace(w, "%s: its disk meets %s in %" PRIu64 " operations", s->name, names[kind], n);
    s->faults.armed = true;
    s->faults.kind = kind;
    s->faults.hits_at = disk_mem_counters(s->disk).operations + n;
    disk_mem_fail_after(s->disk, n, kind);
}

void faults_crash_in(struct world *w, struct server *s, uint64_t n_operations)
{
    arm(w, s, DISK_MEM_CRASH, n_operations);
}

void faults_give_room(struct world *w, void *server)
{
    struct server *s = server;
    (void)w;
    s->faults.squeezed = false;
    disk_mem_set_capacity(s->disk, INT64_MAX);
}

static void give_files(struct world *w, void *server)
{
    struct server *s = server;
    (void)w;
    s->faults.no_files = false;
    disk_mem_set_files_max(s->disk, UINT32_MAX);
}

static void crash_soon(struct world *w, struct server *s)
{
    arm(w, s, DISK_MEM_CRASH, (uint64_t)between(w, 1, 60));
}

static void fail_soon(struct world *w, struct server *s)
{
    arm(w, s, chance(w, 2) ? DISK_MEM_EIO : DISK_MEM_ENOSPC, (uint64_t)between(w, 1, 60));
}

static void squeeze(struct world *w, struct server *s)
{
    if (s->faults.squeezed)
        return;
    cover_point(COVER_fault_disk_full);
    sim_trace(w, "%s: its disk is full", s->name);
    s->faults.squeezed = true;
    disk_mem_set_capacity(s->disk, (uint64_t)between(w, 0, 30000));
    sim_at(w, between(w, 50, scaled(w, 1500)), faults_give_room, s);
}

/* Descriptors run out, for a while. */
static void take_files(struct world *w, struct server *s)
{
    cover_point(COVER_fault_no_files);
    sim_trace(w, "%s: it has no file descriptors left", s->name);
    s->faults.no_files = true;
    disk_mem_set_files_max(s->disk, 0);
    sim_at(w, between(w, 50, scaled(w, 1500)), give_files, s);
}

static void squeeze_several(struct world *w, struct server *s)
{
    cover_point(COVER_fault_disks_full);
    for (unsigned i = 0; i < w->n_servers; i++) {
        if (&w->servers[i] != s)
            squeeze(w, &w->servers[i]);
    }
}

static void slow_down(struct world *w, struct server *s)
{
    cover_point(COVER_fault_disk_slow);
    s->faults.slow_ms = chance(w, 2) ? between(w, 20, scaled(w, 300)) : 0;
    sim_trace(w, "%s: its disk takes %" PRId64 " ms longer", s->name, s->faults.slow_ms);
}

/* An empty disk in the place of what it had. */
void faults_replace(struct world *w, struct server *s)
{
    cover_point(COVER_fault_disk_lost);
    sim_trace(w, "%s: its disk is lost", s->name);
    disk_mem_close(s->disk);
    s->disk = disk_mem_open(rng_next(&w->rng));
    s->faults.armed = s->faults.no_files = s->faults.rotten = false;
    struct memory *m = &s->memory;
    m->lost = m->lost && m->lost->index > m->durable->index ? m->lost : m->durable;
    m->log_end = m->durable = m->applied = w->chain[0];
    m->accepted_epoch = m->current_epoch = 0;
}

/* One voter at a time may lose its disk, if all others have been in an epoch: it counts as lost
 * until it serves again. */
bool faults_may_lose(const struct world *w, const struct server *s)
{
    if (s->index >= w->n_voters)
        return true;
    for (unsigned i = 0; i < w->n_voters; i++) {
        const struct memory *m = &w->servers[i].memory;
        if (&w->servers[i] != s &&
            (m->lost || m->current_epoch == 0 || w->servers[i].faults.rotten))
            return false;
    }
    return w->n_voters >= 3;
}

void faults_wipe(struct world *w, struct server *s)
{
    if (w->options.breakage != BREAK_wipe_quorum && !faults_may_lose(w, s))
        return;
    server_stop(w, s, true, "and its disk is gone");
    if (!s->up)
        faults_replace(w, s);
}

/* ---- Clocks and processes ---- */

static void turn_clock(struct world *w, struct server *s)
{
    int64_t by = between(w, -3000, 3000);
    cover_point(COVER_fault_clock);
    sim_trace(w, "%s: its clock is turned by %" PRId64 " ms", s->name, by);
    s->wall_ahead_ms += by;
}

static void lose_power(struct world *w, struct server *s)
{
    cover_point(COVER_fault_power);
    server_stop(w, s, true, "at random");
}

static void end_process(struct world *w, struct server *s)
{
    cover_point(COVER_fault_kill);
    server_stop(w, s, false, "at random");
}

void faults_pause(struct world *w, struct server *s, int64_t ms)
{
    cover_point(COVER_fault_pause);
    sim_trace(w, "%s: stands still for %" PRId64 " ms", s->name, ms);
    s->paused_until_ms = w->now_ms + ms;
}

static void stand_still(struct world *w, struct server *s)
{
    faults_pause(w, s,
                 chance(w, 2) ? between(w, 10, scaled(w, 500)) : between(w, 500, scaled(w, 4000)));
}

/* The leader stands still until another one serves, or is cut off from the others; its clients stay
 * with it. */
static void depose(struct world *w, struct server *s)
{
    for (unsigned i = 0; i < w->n_servers; i++) {
        if (w->servers[i].up && node_is_serving(w->servers[i].node) &&
            node_state(w->servers[i].node) == ZAB_LEADING)
            s = &w->servers[i];
    }
    cover_point(COVER_fault_depose);
    if (chance(w, 4))
        faults_isolate(w, s->index);
    else
        faults_pause(w, s,
                     sync_limit_ms(w) + w->times.finalize_ms + between(w, 1, scaled(w, 1500)));
}

static void stop_several(struct world *w, struct server *s)
{
    (void)s;
    bool all = chance(w, 2), power_lost = chance(w, 2);
    cover_point(COVER_fault_several);
    for (unsigned i = 0; i < w->n_servers; i++) {
        if (all || chance(w, 2))
            server_stop(w, &w->servers[i], power_lost, "as others do");
    }
}

/* ---- The network ---- */

static void cut_any(struct world *w, struct server *s)
{
    (void)s;
    struct client *c = &w->clients[rng_below(&w->rng, w->n_clients)];
    if (!c->conn)
        return;
    cover_point(COVER_fault_cut);
    net_cut(w, c->conn);
}

static void cut_links(struct world *w, struct server *s)
{
    for (size_t i = s->n_ends; i > 0; i--) {
        if (s->ends[i - 1]->conn->client || !chance(w, 2))
            continue;
        cover_point(COVER_fault_links);
        net_cut(w, s->ends[i - 1]->conn);
    }
}

void faults_block(struct world *w, unsigned from, unsigned to)
{
    w->blocked[from][to] = from != to;
}

void faults_isolate(struct world *w, unsigned place)
{
    for (unsigned i = 0; i < w->n_servers; i++) {
        faults_block(w, i, place);
        faults_block(w, place, i);
    }
}

static void unblock(struct world *w, struct server *s)
{
    (void)s;
    cover_point(COVER_fault_unblock);
    sim_trace(w, "the network: all is connected");
    memset(w->blocked, 0, sizeof(w->blocked));
}

/* Two sides; clients are on one, or see both. With `bridge` one server sees both as well. */
static void split(struct world *w, bool bridge)
{
    bool side[PLACES], sees_both[PLACES] = {false};
    cover_point(bridge ? COVER_fault_bridge : COVER_fault_split);
    for (unsigned i = 0; i < PLACES; i++) {
        side[i] = chance(w, 2);
        sees_both[i] = i >= SERVERS_MAX && chance(w, 2);
    }
    if (bridge)
        sees_both[rng_below(&w->rng, w->n_servers)] = true;
    for (unsigned i = 0; i < PLACES; i++) {
        for (unsigned j = 0; j < PLACES; j++) {
            if (side[i] != side[j] && !sees_both[i] && !sees_both[j])
                faults_block(w, i, j);
        }
    }
}

static void partition(struct world *w, struct server *s)
{
    unsigned a = s->index;
    unsigned b = (unsigned)rng_below(&w->rng, w->n_servers);
    sim_trace(w, "the network: partitioned");
    switch (between(w, 0, 4)) {
    case 0:
        cover_point(COVER_fault_isolate);
        faults_isolate(w, a);
        break;
    case 1:
        cover_point(COVER_fault_one_way);
        faults_block(w, a, b);
        break;
    case 2:
        cover_point(COVER_fault_both_ways);
        faults_block(w, a, b);
        faults_block(w, b, a);
        break;
    default:
        split(w, chance(w, 3));
        break;
    }
}

void faults_heal(struct world *w)
{
    unblock(w, NULL);
    for (unsigned i = 0; i < w->n_servers; i++) {
        struct server *s = &w->servers[i];
        faults_clear(s);
        faults_give_room(w, s);
        give_files(w, s);
        s->faults.slow_ms = 0;
        stall_end(w, s);
        s->held = false;
        if (!s->up && !s->starting)
            server_start(w, s);
    }
}

/* ---- At random ---- */

/* Often the leader. */
static struct server *any_server(struct world *w)
{
    bool leader = chance(w, 3);
    for (unsigned i = 0; leader && i < w->n_servers; i++) {
        struct server *s = &w->servers[i];
        if (s->up && node_state(s->node) == ZAB_LEADING)
            return s;
    }
    return &w->servers[rng_below(&w->rng, w->n_servers)];
}

static const struct fault {
    void (*happen)(struct world *w, struct server *s);
    unsigned weight;
    bool of_ensemble;
} faults[] = {
    {cut_any, 10, false},   {lose_power, 5, false},     {end_process, 3, false},
    {crash_soon, 9, false}, {fail_soon, 6, false},      {squeeze, 3, false},
    {turn_clock, 3, false}, {slow_down, 5, false},      {snapshots_purge, 5, false},
    {partition, 9, true},   {unblock, 6, true},         {cut_links, 4, true},
    {take_files, 2, false}, {squeeze_several, 1, true}, {hostile_vote, 20, true},
    {depose, 4, true},      {stop_several, 3, true},    {stand_still, 4, true},
    {faults_wipe, 4, true}, {stall_disk, 3, true},      {stall_loop, 2, true},
    {stall_tree, 3, true},  {stall_all, 1, true},
};

unsigned faults_kinds(void)
{
    return ARRAY_LEN(faults);
}

/* What is cut may always be connected again, and some connection of a client break. */
static unsigned weight_of(const struct world *w, size_t i)
{
    bool always = faults[i].happen == unblock || faults[i].happen == cut_any ||
                  (w->hot && faults[i].happen == depose);
    if (faults[i].happen == hostile_vote && !w->hostile)
        return 0;
    if (w->options.without >> i & 1 || (faults[i].of_ensemble && !is_ensemble(w)) ||
        !(always || (w->fault_kinds >> i & 1)))
        return 0;
    return faults[i].happen == depose && w->hot ? 10 * faults[i].weight : faults[i].weight;
}

static void go_wrong(struct world *w, void *arg)
{
    unsigned total = 0;
    size_t i = 0;
    if (w->faults_off)
        return;
    for (size_t k = 0; k < ARRAY_LEN(faults); k++)
        total += weight_of(w, k);
    if (total == 0)
        return;
    for (uint64_t dice = rng_below(&w->rng, total); dice >= weight_of(w, i); i++)
        dice -= weight_of(w, i);
    if (w->now_ms > 0)
        faults[i].happen(w, any_server(w));
    sim_at(w, between(w, 1, scaled(w, w->fault_every_ms)), go_wrong, arg);
}

/* Each seed has some kinds of faults only, and its own pace, so that each kind has runs in which
 * no other hides it. */
void faults_begin(struct world *w)
{
    static const int64_t paces_ms[] = {150, 500, 1000, 1000, 3000};
    w->fault_kinds = chance(w, 3) ? UINT64_MAX : rng_next(&w->rng);
    w->fault_every_ms = is_ensemble(w) ? paces_ms[rng_below(&w->rng, ARRAY_LEN(paces_ms))] : 400;
    go_wrong(w, NULL);
}
