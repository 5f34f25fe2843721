/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes wrong in a run, and that all is well once it no longer does. */
#include "sim.h"

/* Has the disk met what was planned for it? */
bool faults_hit(const struct world *w)
{
    return w->faults.armed && disk_mem_counters(w->disk).operations >= w->faults.hits_at;
}

void faults_clear(struct world *w)
{
    w->faults.armed = false;
    disk_mem_fail_after(w->disk, 0, DISK_MEM_EIO);
}

static void arm(struct world *w, enum disk_mem_fault kind, uint64_t n)
{
    static const char *const names[] = {"EIO", "ENOSPC", "a crash"};
    sim_trace(w, "disk: %s in %" PRIu64 " operations", names[kind], n);
    w->faults.armed = true;
    w->faults.kind = kind;
    w->faults.hits_at = disk_mem_counters(w->disk).operations + n;
    disk_mem_fail_after(w->disk, n, kind);
}

void faults_crash_in(struct world *w, uint64_t n_operations)
{
    arm(w, DISK_MEM_CRASH, n_operations);
}

static void give_room(struct world *w, void *arg)
{
    (void)arg;
    sim_trace(w, "disk: has room");
    w->faults.squeezed = false;
    disk_mem_set_capacity(w->disk, INT64_MAX);
}

static void squeeze(struct world *w)
{
    sim_trace(w, "disk: is full");
    w->faults.squeezed = true;
    disk_mem_set_capacity(w->disk, (uint64_t)between(w, 0, 30000));
    sim_at(w, between(w, 50, 1500), give_room, NULL);
}

static void cut_any(struct world *w)
{
    struct client *c = &w->clients[rng_below(&w->rng, w->n_clients)];
    if (c->conn)
        net_cut(w, c->conn);
}

static void turn_clock(struct world *w)
{
    int64_t by = between(w, -3000, 3000);
    sim_trace(w, "clock: turned by %" PRId64 " ms", by);
    w->wall_offset_ms += by;
}

static void go_wrong(struct world *w, void *arg)
{
    if (w->faults.off)
        return;
    switch (between(w, 0, 16)) {
    case 0:
    case 1:
        server_stop(w, true, "at random");
        break;
    case 2:
        server_stop(w, false, "at random");
        break;
    case 3:
    case 4:
    case 5:
        arm(w, DISK_MEM_CRASH, (uint64_t)between(w, 1, 60));
        break;
    case 6:
        arm(w, DISK_MEM_EIO, (uint64_t)between(w, 1, 60));
        break;
    case 7:
        arm(w, DISK_MEM_ENOSPC, (uint64_t)between(w, 1, 60));
        break;
    case 8:
        if (!w->faults.squeezed)
            squeeze(w);
        break;
    case 9:
        turn_clock(w);
        break;
    case 10:
    case 11:
        logger_purge(w);
        break;
    default:
        cut_any(w);
        break;
    }
    sim_at(w, between(w, 0, 400), go_wrong, arg);
}

void faults_begin(struct world *w)
{
    sim_at(w, between(w, 0, 1000), go_wrong, NULL);
}

/* ---- A bit that rots ---- */

/* Any file of the replica's. */
static char *any_file(struct world *w)
{
    static const char *const dirs[] = {"/data/version-2", "/log/version-2"};
    struct buf names = {0}, path = {0};
    const char *dir = dirs[rng_below(&w->rng, ARRAY_LEN(dirs))];
    size_t n = 0;
    disk_list(disk_mem_disk(w->disk), dir, &names);
    for (size_t i = 0; i < names.len; i += strlen((char *)names.data + i) + 1)
        n++;
    size_t chosen = n > 0 ? rng_below(&w->rng, n) : 0, at = 0;
    while (chosen-- > 0)
        at += strlen((char *)names.data + at) + 1;
    if (n > 0)
        buf_printf(&path, "%s/%s", dir, (char *)names.data + at);
    buf_close(&names);
    return (char *)path.data;
}

/* A bit of what is on the disk turns over, before a start of the replica: it may refuse to start,
 * or start with all that it had. */
bool faults_flip_bit(struct world *w)
{
    struct faults *f = &w->faults;
    if (f->off || f->armed || f->squeezed || w->options.script || !chance(w, 6))
        return false;
    char *path = any_file(w);
    f->flipped_at = rng_below(&w->rng, chance(w, 2) ? 200 : 5000);
    f->flipped_bit = (uint8_t)(1 << rng_below(&w->rng, 8));
    if (!path || disk_mem_flip(w->disk, path, f->flipped_at, f->flipped_bit) < 0) {
        free(path);
        return false;
    }
    sim_trace(w, "disk: bit 0x%x at %" PRIu64 " of %s turns over", f->flipped_bit, f->flipped_at,
              path);
    f->flipped = path;
    return true;
}

void faults_flip_back(struct world *w)
{
    disk_mem_flip(w->disk, w->faults.flipped, w->faults.flipped_at, w->faults.flipped_bit);
    free(w->faults.flipped);
    w->faults.flipped = NULL;
}

/* ---- The end ---- */

static bool all_answered(const struct world *w)
{
    for (unsigned i = 0; i < w->n_clients; i++) {
        const struct client *c = &w->clients[i];
        if (c->running && (c->n_waiting > 0 || session_state(&c->session) == CLIENT_CONNECTING))
            return false;
    }
    return w->server.up && w->server.n_orders == 0 &&
           node_last_committed(w->server.node) == journal_last(w);
}

static bool all_gone(const struct world *w)
{
    return w->server.up && tree_session_count(node_tree(w->server.node)) == 0 &&
           node_last_committed(w->server.node) == journal_last(w);
}

static void wait_for(struct world *w, bool (*done)(const struct world *w), const char *what)
{
    int64_t deadline = w->now_ms + SIM_PATIENCE_MS;
    while (!done(w)) {
        if (!sim_step(w) || w->now_ms > deadline)
            sim_fail(w, SIM_STALLED, "nothing goes wrong any more, but: %s", what);
    }
}

static bool is_up(const struct world *w)
{
    return w->server.up;
}

/* When nothing goes wrong any more, all is answered; when the clients are gone, so are their
 * sessions and all that they own; and the disk has it all. */
void world_end_well(struct world *w)
{
    w->faults.off = true;
    faults_clear(w);
    give_room(w, NULL);
    wait_for(w, is_up, "the replica does not start");
    wait_for(w, all_answered, "not all requests are answered");
    journal_compare(w, node_tree(w->server.node), "at the end");
    for (unsigned i = 0; i < w->n_clients; i++) {
        if (w->clients[i].running && session_state(&w->clients[i].session) != CLIENT_CLOSED)
            client_end(w, &w->clients[i], chance(w, 2));
    }
    wait_for(w, all_gone, "sessions do not end");
    if (tree_ephemeral_count(node_tree(w->server.node)) > 0)
        sim_fail(w, SIM_BROKEN, "all sessions are gone, but not all ephemeral nodes");
    journal_compare(w, node_tree(w->server.node), "without sessions");
    server_stop(w, chance(w, 2), "once more");
    wait_for(w, is_up, "the replica does not start");
}
