/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log, snapshots and recovery: what the daemon's threads and its child processes do, on the
 * simulated disk. Work takes no time here, but it waits for some, and any operation of the disk
 * may be the last one. */
#include "sim.h"

/* After work on the disk that ended with `rc`: did the machine or the process end in it? What
 * fails although nothing was to fail is a defect. */
static bool is_over(struct world *w, int rc, bool must_work, const struct err *e)
{
    bool hit = faults_hit(w);
    if (rc < 0 && !hit && !w->faults.squeezed)
        sim_fail(w, SIM_BROKEN, "the disk works, but: %s", e->text);
    bool crash = hit && w->faults.kind == DISK_MEM_CRASH;
    if (crash || (rc < 0 && must_work)) {
        server_stop(w, crash && chance(w, 2), rc < 0 ? e->text : "in between");
        return true;
    }
    if (hit)
        faults_clear(w);
    return false;
}

bool logger_recover(struct world *w, struct tree **tree)
{
    struct server *s = &w->server;
    struct store_recovery r;
    struct err e = {0};
    *tree = tree_open(rng_next(&w->rng));
    int rc = store_open(&s->store, disk_mem_disk(w->disk), "/data",
                        w->options.seed % 2 ? "/log" : NULL, &e);
    bool flipped = faults_flip_bit(w);
    if (rc == 0)
        rc = store_recover(&s->store, *tree, &r, &e);
    if (flipped)
        faults_flip_back(w);
    if (rc == 0) {
        sim_trace(w, "server: starts at zxid 0x%" PRIx64 ", snapshot 0x%" PRIx64 "%s%s",
                  (uint64_t)r.last_zxid, (uint64_t)r.snapshot_zxid,
                  r.torn_tail ? ", cut a torn tail, " : "", r.note);
        journal_recovered(w, *tree, r.last_zxid);
        txnlog_init(&s->log, &s->store, 4096);
        return true;
    }
    tree_close(*tree);
    store_close(&s->store);
    if (!faults_hit(w) && !w->faults.squeezed && !flipped)
        sim_fail(w, SIM_BROKEN, "the replica does not start: %s", e.text);
    sim_trace(w, "server: does not start: %s", e.text);
    if (w->faults.kind == DISK_MEM_CRASH && chance(w, 2))
        disk_mem_crash(w->disk);
    else
        disk_mem_kill(w->disk);
    return false;
}

void logger_stop(struct world *w)
{
    struct server *s = &w->server;
    txnlog_close(&s->log);
    store_close(&s->store);
    s->n_orders = 0;
}

/* ---- The log ---- */

static void tell(struct world *w, void *arg)
{
    struct server *s = &w->server;
    (void)arg;
    s->mute |= breaks(w, BREAK_mute_log, 20);
    if (s->up && !s->mute)
        s->to_tell = s->log.last_zxid;
    server_turn_soon(w);
}

/* The low byte of the first transaction's time. */
static void spoil(struct buf *entries)
{
    entries->data[TXN_ENTRY_HEAD + 27] ^= 1;
}

static int carry_out(struct world *w, size_t n, struct err *e)
{
    struct server *s = &w->server;
    for (size_t i = 0; i < n; i++) {
        struct node_batch *b = s->orders[i].batch;
        if (b && breaks(w, BREAK_wrong_data, 20))
            spoil(&b->entries);
        int rc = 0;
        if (b && breaks(w, BREAK_drop_batch, 50))
            s->log.last_zxid = b->last_zxid;
        else if (b)
            rc = txnlog_append(&s->log, &b->entries, b->first_zxid, b->last_zxid, e);
        else
            rc = txnlog_roll(&s->log, e);
        if (rc < 0)
            return rc;
    }
    return w->options.breakage == BREAK_ack_before_sync ? 0 : txnlog_sync(&s->log, e);
}

static void run(struct world *w, void *arg)
{
    struct server *s = &w->server;
    struct err e = {0};
    (void)arg;
    s->log_busy = false;
    if (!s->up || s->n_orders == 0)
        return;
    size_t n = chance(w, 4) ? (size_t)between(w, 1, (int64_t)s->n_orders) : s->n_orders;
    if (is_over(w, carry_out(w, n, &e), true, &e))
        return;
    s->n_orders -= n;
    memmove(s->orders, s->orders + n, s->n_orders * sizeof(*s->orders));
    sim_at(w, between(w, 0, 5), tell, NULL);
    if (s->n_orders > 0) {
        s->log_busy = true;
        sim_at(w, between(w, 0, 5), run, NULL);
    }
}

/* A batch, or NULL: begin a new file. */
void logger_order(struct world *w, struct node_batch *batch)
{
    struct server *s = &w->server;
    ROOM_FOR_ONE(s->orders, s->n_orders, s->cap_orders);
    s->orders[s->n_orders++].batch = batch;
    if (!s->log_busy) {
        s->log_busy = true;
        sim_at(w, chance(w, 50) ? between(w, 100, 400) : between(w, 0, 15), run, NULL);
    }
}

/* ---- Snapshots ---- */

static void snapshot_done(struct world *w, void *arg)
{
    (void)arg;
    w->server.snapshot_done_due = true;
    server_turn_soon(w);
}

void logger_snapshot(struct world *w)
{
    struct server *s = &w->server;
    struct err e = {0};
    struct tree *tree = (struct tree *)node_tree(s->node);
    int64_t zxid = tree_last_zxid(tree);
    bool wrong = breaks(w, BREAK_wrong_snapshot, 2);
    if (wrong)
        tree_set_last_zxid(tree, zxid + 1);
    int rc = snapshot_save(&s->store, tree, NULL, &e);
    if (wrong)
        tree_set_last_zxid(tree, zxid);
    w->n_snapshots++;
    sim_trace(w, "server: snapshot 0x%" PRIx64 " %s", (uint64_t)zxid, rc < 0 ? e.text : "saved");
    if (is_over(w, rc, false, &e))
        return;
    sim_at(w, between(w, 0, 300), snapshot_done, NULL);
}

void logger_purge(struct world *w)
{
    struct err e = {0};
    if (!w->server.up)
        return;
    int rc = store_purge(&w->server.store, (unsigned)between(w, 1, 3), &e);
    sim_trace(w, "server: purge: %d files %s", rc, rc < 0 ? e.text : "");
    is_over(w, rc, false, &e);
}
