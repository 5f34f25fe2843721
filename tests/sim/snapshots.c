/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots, which a child process writes from the tree of one moment; purges; and recovery. */
#include "sim.h"

#include <errno.h>

struct tree *tree_copy(const struct tree *from)
{
    struct tree *t = tree_open(0);
    struct tree_dump d;
    struct buf b = {0};
    struct err e;
    size_t used;
    tree_dump_begin(&d, from);
    while (tree_dump_next(&d, &b))
        continue;
    tree_dump_close(&d);
    struct tree_load *l = tree_load_begin(t);
    ensure(tree_load_feed(l, buf_slice(&b), &used, &e) == 1);
    tree_load_close(l);
    tree_set_last_zxid(t, tree_last_zxid(from));
    buf_close(&b);
    return t;
}

/* ---- Snapshots ---- */

static void done(struct world *w, struct server *s)
{
    s->snapshot_done_due = true;
    server_turn_soon(w, s);
}

/* The child is killed, if there is one: it has written nothing. */
static void forget(struct world *w, struct server *s)
{
    if (!s->snapshot)
        return;
    tree_close(s->snapshot);
    s->snapshot = NULL;
    done(w, s);
}

void snapshot_cancel(struct world *w, struct server *s)
{
    if (s->snapshot)
        cover_point(COVER_snapshot_cancelled);
    forget(w, s);
}

static void write_snapshot(struct world *w, void *arg)
{
    struct server *s = arg;
    struct err e = {0};
    if (!s->up || !s->snapshot || w->now_ms < s->snapshot_at_ms)
        return;
    int64_t zxid = tree_last_zxid(s->snapshot);
    if (breaks(w, BREAK_wrong_snapshot, 2))
        tree_set_last_zxid(s->snapshot, zxid + 1);
    int rc = snapshot_save(&s->store, s->snapshot, NULL, &e);
    w->n_snapshots++;
    sim_trace(w, "%s: snapshot 0x%" PRIx64 " %s", s->name, (uint64_t)zxid,
              rc < 0 ? e.text : "saved");
    if (rc == 0)
        cover_point(COVER_snapshot_saved);
    if (!logger_is_over(w, s, rc, false, &e))
        forget(w, s);
}

void snapshot_begin(struct world *w, struct server *s)
{
    int64_t delay_ms = between(w, 0, 300);
    ensure(!s->snapshot);
    s->snapshot = tree_copy(node_tree(s->node));
    s->snapshot_at_ms = w->now_ms + delay_ms;
    sim_at(w, delay_ms, write_snapshot, s);
}

void snapshots_purge(struct world *w, struct server *s)
{
    struct err e = {0};
    if (!s->up)
        return;
    cover_point(COVER_fault_purge);
    int rc = store_purge(&s->store, (unsigned)between(w, 1, 3), &e);
    sim_trace(w, "%s: purge: %d files %s", s->name, rc, rc < 0 ? e.text : "");
    logger_is_over(w, s, rc, false, &e);
}

/* ---- Recovery ---- */

/* What is on disk, and in it the configuration, as the node will have it. */
int recover_tree(struct world *w, struct server *s, struct tree *tree, struct store_recovery *r,
                 struct err *e)
{
    int rc = store_recover(&s->store, tree, r, e);
    if (rc == 0 && is_ensemble(w))
        tree_set_config(tree, slice_str(SIM_CONFIG), 0);
    return rc;
}

static int read_epochs(struct server *s, struct zab_history *h, struct err *e)
{
    struct store_epochs epochs;
    int rc = store_recover_epochs(&s->store, h->last_zxid, &epochs, e);
    if (rc == 0) {
        h->accepted_epoch = epochs.accepted;
        h->current_epoch = epochs.current;
        h->ensemble_id = epochs.ensemble_id;
        h->proposed_id = epochs.proposed_id;
        h->decided_zxid = epochs.decided_zxid;
        h->loss_accepted = epochs.accepted_loss != 0;
    }
    return rc;
}

static int recover_all(struct world *w, struct server *s, struct tree *tree,
                       struct store_recovery *r, struct zab_history *h, struct err *e)
{
    int rc = store_open(&s->store, disk_mem_disk(s->disk), "/data",
                        w->options.seed % 2 ? "/log" : NULL, e);
    if (rc == 0)
        rc = recover_tree(w, s, tree, r, e);
    if (rc == 0)
        h->last_zxid = tree_last_zxid(tree);
    if (rc == 0 && is_ensemble(w))
        rc = read_epochs(s, h, e);
    return rc;
}

bool recover(struct world *w, struct server *s, struct tree **tree, struct zab_history *h)
{
    struct store_recovery r;
    struct err e = {0};
    bool flipped = rot_flip_bit(w, s);
    *tree = tree_open(rng_next(&w->rng));
    int rc = recover_all(w, s, *tree, &r, h, &e);
    if (flipped)
        rot_settle(w, s, rc == 0);
    /* The machine may end in what recovery does not look at. */
    if (rc == 0 && faults_hit(s) && s->faults.kind == DISK_MEM_CRASH)
        rc = err_set(&e, -EIO, "the disk is gone");
    if (rc == 0) {
        if (r.torn_tail)
            cover_point(COVER_fault_torn);
        sim_trace(w, "%s: starts at zxid 0x%" PRIx64 ", snapshot 0x%" PRIx64 "%s%s", s->name,
                  (uint64_t)r.last_zxid, (uint64_t)r.snapshot_zxid,
                  r.torn_tail ? ", cut a torn tail, " : "", r.note);
        s->log_base = r.snapshot_zxid;
        txnlog_init(&s->log, &s->store, 4096);
        invariant_started(w, s, *tree, h);
        return true;
    }
    tree_close(*tree);
    store_close(&s->store);
    if (w->lenient) {
        s->held = true; /* its operator has to do something */
        return false;
    }
    if (!faults_hit(s) && !s->faults.squeezed && !s->faults.no_files && !flipped &&
        !s->faults.rotten)
        sim_fail(w, SIM_BROKEN, "%s does not start: %s", s->name, e.text);
    sim_trace(w, "%s: does not start: %s", s->name, e.text);
    if (s->faults.rotten && !faults_hit(s) && !s->faults.squeezed && !s->faults.no_files) {
        cover_point(COVER_fault_replaced);
        faults_replace(w, s);
        return false;
    }
    if (s->faults.kind == DISK_MEM_CRASH && chance(w, 2))
        disk_mem_crash(s->disk);
    else
        disk_mem_kill(s->disk);
    return false;
}
