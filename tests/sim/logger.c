/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log: what the daemon's log thread does, on the simulated disk. Work takes no time here, but
 * it waits for some, and any operation of the disk may be the last one. */
#include "sim.h"

#include <errno.h>

/* After work on the disk that ended with `rc`: did the machine or the process end in it? What
 * fails although nothing was to fail is a defect. */
bool logger_is_over(struct world *w, struct server *s, int rc, bool must_work, const struct err *e)
{
    struct faults *f = &s->faults;
    bool hit = faults_hit(s);
    if (rc < 0 && !hit && !f->squeezed && !f->no_files && !f->rotten)
        sim_fail(w, SIM_BROKEN, "%s: the disk works, but: %s", s->name, e->text);
    bool crash = hit && f->kind == DISK_MEM_CRASH;
    if (hit)
        cover_point(crash                        ? COVER_fault_disk_crash
                    : f->kind == DISK_MEM_ENOSPC ? COVER_fault_disk_enospc
                                                 : COVER_fault_disk_eio);
    if (crash || (rc < 0 && must_work)) {
        server_stop(w, s, crash && (w->options.script || chance(w, 2)),
                    rc < 0 ? e->text : "in between");
        return true;
    }
    if (hit)
        faults_clear(s);
    return false;
}

/* The disk, or the process, stands still: look again later. */
static bool is_stalled(struct world *w, struct server *s,
                       void (*again)(struct world *w, void *server))
{
    int64_t ms = MAX(s->paused_until_ms, s->disk_until_ms) - w->now_ms;
    if (ms > 0)
        sim_at(w, w->options.script ? ms : MIN(ms, scaled(w, 100)), again, s);
    return ms > 0;
}

/* ---- Epochs ---- */

static int save_epoch(struct world *w, struct server *s, const char *name, int64_t epoch,
                      struct err *e)
{
    int rc = breaks(w, BREAK_unsaved_epoch, 4) ? 0 : store_epoch_write(&s->store, name, epoch, e);
    if (rc < 0)
        return rc;
    if (strcmp(name, "acceptedEpoch") == 0)
        s->memory.accepted_epoch = epoch;
    else if (strcmp(name, "currentEpoch") == 0)
        s->memory.current_epoch = epoch;
    server_later(s, &(struct node_event){.type = NODE_EPOCH_SAVED});
    return 0;
}

/* In its place among what the log has to do; in a script at once. */
void logger_save_epoch(struct world *w, struct server *s, const char *name, int64_t epoch)
{
    struct err e = {0};
    if (!w->options.script) {
        logger_order(w, s, (struct log_order){.work = LOG_SAVE, .epoch_name = name, .zxid = epoch});
        return;
    }
    int rc = save_epoch(w, s, name, epoch, &e);
    logger_is_over(w, s, rc, true, &e);
}

/* ---- The log ---- */

static void tell(struct world *w, void *arg)
{
    struct server *s = arg;
    s->mute |= breaks(w, BREAK_mute_log, 20);
    if (s->up && !s->mute)
        s->to_tell = s->synced;
    server_turn_soon(w, s);
}

/* The low byte of the first transaction's time. */
static void spoil(struct buf *entries)
{
    entries->data[TXN_ENTRY_HEAD + 27] ^= 1;
}

static int append(struct world *w, struct server *s, struct node_batch *b, struct err *e)
{
    if (breaks(w, BREAK_wrong_data, 20))
        spoil(&b->entries);
    if (!breaks(w, BREAK_drop_batch, 50))
        return txnlog_append(&s->log, &b->entries, b->first_zxid, b->last_zxid, e);
    s->log.last_zxid = b->last_zxid;
    return 0;
}

static void change_is_made(struct world *w, void *arg)
{
    struct server *s = arg;
    s->change_due = s->change_made;
    s->change_made = false;
    server_turn_soon(w, s);
}

static void tell_change(struct world *w, struct server *s, enum node_event_type change,
                        struct tree *tree)
{
    s->change = change;
    s->changed = tree;
    s->change_made = true;
    sim_at(w, between(w, 0, 20), change_is_made, s);
}

static int truncate_log(struct world *w, struct server *s, int64_t zxid, struct err *e)
{
    struct tree *tree = NULL;
    struct store_recovery r;
    bool skip = breaks(w, BREAK_skip_truncate, 2);
    invariant_truncating(w, s, zxid);
    w->n_truncates++;
    int rc = skip ? 0 : txnlog_truncate(&s->log, zxid, e);
    if (rc == 0) {
        tree = tree_open(rng_next(&w->rng));
        rc = recover_tree(w, s, tree, &r, e);
        if (skip) {
            tree_set_last_zxid(tree, MIN(zxid, tree_last_zxid(tree)));
            s->log.last_zxid = tree_last_zxid(tree);
        }
    } else if (rc == -ENODATA) {
        rc = 0;
    }
    if (rc < 0) {
        if (tree)
            tree_close(tree);
        return rc;
    }
    sim_trace(w, "%s: truncates its log to 0x%" PRIx64 "%s", s->name, (uint64_t)zxid,
              tree ? "" : ": no snapshot is old enough");
    invariant_truncated(w, s, tree);
    if (tree)
        s->synced = s->persisted = s->to_tell = tree_last_zxid(tree);
    tell_change(w, s, NODE_TRUNCATED, tree);
    return 0;
}

static int install(struct world *w, struct server *s, struct err *e)
{
    const struct tree *tree = node_incoming_tree(s->node);
    invariant_installing(w, s, tree);
    w->n_installs++;
    int rc = breaks(w, BREAK_unsaved_tree, 2) ? 0 : txnlog_install(&s->log, tree, e);
    if (rc < 0)
        return rc;
    sim_trace(w, "%s: installs the leader's tree of 0x%" PRIx64, s->name,
              (uint64_t)tree_last_zxid(tree));
    invariant_installed(w, s, tree);
    s->synced = s->persisted = s->to_tell = tree_last_zxid(tree);
    tell_change(w, s, NODE_TREE_INSTALLED, NULL);
    return 0;
}

/* The first `n` orders are done. */
static void drop_orders(struct server *s, size_t n)
{
    s->n_orders -= n;
    memmove(s->orders, s->orders + n, s->n_orders * sizeof(*s->orders));
}

/* As the log thread: all of them, then one sync for what was appended. */
static int carry_out(struct world *w, struct server *s, size_t n, bool *appended, struct err *e)
{
    int rc = 0;
    size_t done;
    for (done = 0; rc == 0 && done < n; done++) {
        const struct log_order *o = &s->orders[done];
        switch (o->work) {
        case LOG_APPEND:
            rc = append(w, s, o->batch, e);
            *appended = s->log_appended = true;
            break;
        case LOG_ROLL:
            rc = txnlog_roll(&s->log, e);
            break;
        case LOG_TRUNCATE:
            rc = truncate_log(w, s, o->zxid, e);
            break;
        case LOG_INSTALL:
            rc = install(w, s, e);
            break;
        case LOG_SAVE:
            rc = save_epoch(w, s, o->epoch_name, o->zxid, e);
            server_turn_soon(w, s);
            break;
        }
    }
    drop_orders(s, rc < 0 ? done - 1 : done);
    *appended = s->log_appended;
    if (rc < 0 || !*appended)
        return rc;
    s->log_appended = false;
    s->synced = s->log.last_zxid;
    if (w->options.breakage == BREAK_ack_before_sync)
        return 0;
    rc = txnlog_sync(&s->log, e);
    if (rc == 0) {
        txnlog_mark_synced(&s->log);
        invariant_synced(w, s, s->synced);
    }
    return rc;
}

/* What has no room, or no descriptor, waits for it. */
static bool waits_for_room(struct world *w, struct server *s, int rc, const struct err *e)
{
    if (!store_is_short(rc) || s->log.failed != 0 || s->n_orders == 0 ||
        s->orders[0].work != LOG_APPEND)
        return false;
    cover_point(COVER_log_waits);
    if (!s->log_waits)
        sim_trace(w, "%s: %s; it waits", s->name, e->text);
    return true;
}

static void run(struct world *w, void *arg)
{
    struct server *s = arg;
    struct err e = {0};
    bool appended = false;
    s->log_busy = false;
    if (!s->up || s->n_orders == 0)
        return;
    if (is_stalled(w, s, run)) {
        s->log_busy = true;
        return;
    }
    size_t n = chance(w, 4) ? (size_t)between(w, 1, (int64_t)s->n_orders) : s->n_orders;
    int rc = carry_out(w, s, n, &appended, &e);
    s->log_waits = waits_for_room(w, s, rc, &e);
    if (logger_is_over(w, s, rc, !s->log_waits, &e))
        return;
    if (s->log_waits) {
        s->log_busy = true;
        sim_at(w, between(w, 100, 1000), run, s);
        return;
    }
    if (appended)
        sim_at(w, between(w, 0, 5), tell, s);
    if (s->n_orders > 0) {
        s->log_busy = true;
        sim_at(w, s->faults.slow_ms + between(w, 0, 5), run, s);
    }
}

void logger_order(struct world *w, struct server *s, struct log_order order)
{
    ROOM_FOR_ONE(s->orders, s->n_orders, s->cap_orders);
    s->orders[s->n_orders++] = order;
    if (s->log_busy)
        return;
    s->log_busy = true;
    int64_t delay_ms = chance(w, 50) ? between(w, 100, 400) : between(w, 0, 15);
    sim_at(w, s->faults.slow_ms + delay_ms, run, s);
}
