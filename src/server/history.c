/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Purges run on libuv's pool, changes of history on the log thread, in order behind what was
 * appended. A change that fails is final, as a failed write is: the tree in memory would not be
 * that of the disk any more. */
#include "history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "server.h"

enum {
    FIRST_PURGE_MS = 60000,
    RELIEF_EVERY_MS = 60000,
    REST_MAX = 1 << 20, /* bytes of transactions that the loop may apply in one turn */
};

static int new_tree(struct tree **tree, struct err *e)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), 0) < 0)
        return err_set(e, -errno, "no random numbers: %s", strerror(errno));
    *tree = tree_open(seed);
    return 0;
}

static void say_what_was_found(const struct store_recovery *r)
{
    if (r->replaced[0])
        log_warn("recovery: %s", r->replaced);
    if (r->note[0])
        log_warn("recovery: %s", r->note);
    if (r->torn_tail && r->n_cut == 0)
        log_warn("recovery: dropped an incomplete transaction at the end of the log; it was never "
                 "acknowledged (normal after a crash)");
    else if (r->torn_tail)
        log_warn("recovery: dropped an incomplete transaction at the end of the log, and %" PRIu64
                 " whole ones after it, 0x%" PRIx64 " to 0x%" PRIx64
                 "; one sync was to cover them, so that none was acknowledged (normal after a "
                 "crash, but only after one)",
                 r->n_cut, (uint64_t)r->cut_first, (uint64_t)r->cut_last);
}

int history_recover(struct server *s, struct tree **tree, struct store_recovery *r, struct err *e)
{
    uint64_t start = uv_hrtime();
    int rc = new_tree(tree, e);
    if (rc == 0)
        rc = store_recover(&s->store, *tree, r, e);
    if (rc != 0) {
        if (*tree)
            tree_close(*tree);
        *tree = NULL;
        return rc;
    }
    say_what_was_found(r);
    log_info("recovered %zu nodes to zxid 0x%" PRIx64 ", %" PRIu64
             " transactions replayed, in %" PRIu64 " ms",
             tree_count(*tree), (uint64_t)r->last_zxid, r->n_txns, (uv_hrtime() - start) / 1000000);
    return 0;
}

bool history_waits_for_room(int rc, const struct err *e, bool *told)
{
    if (!store_is_short(rc))
        return false;
    if (!*told)
        log_error("%s; the start waits for that", e->text);
    *told = true;
    sleep(1);
    return true;
}

/* ---- Epochs ---- */

int history_read_epochs(struct server *s, struct zab_history *h, struct err *e)
{
    struct store_epochs epochs;
    int rc = store_recover_epochs(&s->store, h->last_zxid, &epochs, e);
    if (rc != 0)
        return rc;
    if (epochs.note[0])
        log_warn("recovery: %s", epochs.note);
    h->accepted_epoch = epochs.accepted;
    h->current_epoch = epochs.current;
    h->ensemble_id = epochs.ensemble_id;
    h->proposed_id = epochs.proposed_id;
    h->decided_zxid = epochs.decided_zxid;
    h->loss_accepted = epochs.accepted_loss != 0;
    return 0;
}

/* What the log thread has done is told in the same order. */
struct epoch_order {
    struct list link;
    struct server *server;
    const char *name;
    int64_t epoch;
};

static int save_epoch(struct txnlog *log, void *arg, struct err *e)
{
    struct epoch_order *o = arg;
    struct history *h = &o->server->history;
    (void)log;
    int rc = store_epoch_write(&o->server->store, o->name, o->epoch, e);
    if (rc == 0) {
        atomic_fetch_add(&h->n_epochs_saved, 1);
        uv_async_send(&h->epoch_saved);
    }
    return rc;
}

static void on_epoch_saved(uv_async_t *async)
{
    struct server *s = async->data;
    struct history *h = &s->history;
    while (h->n_epochs_told != atomic_load(&h->n_epochs_saved)) {
        struct node_event ev = {.type = NODE_EPOCH_SAVED};
        struct epoch_order *o = LIST_FIRST(&h->epochs, struct epoch_order, link);
        list_remove(&o->link);
        free(o);
        h->n_epochs_told++;
        server_step(s, &ev);
    }
}

void history_save_epoch(struct server *s, const char *name, int64_t epoch)
{
    struct epoch_order *o = mem_zalloc(sizeof(*o));
    *o = (struct epoch_order){.server = s, .name = name, .epoch = epoch};
    list_append(&s->history.epochs, &o->link);
    log_thread_run(s->log, save_epoch, o);
}

/* ---- Purge ---- */

/* Snapshots are read without the lock. If history was changed meanwhile they are looked at another
 * time. */
static int purge_snapshots(struct server *s, struct err *e)
{
    struct history *h = &s->history;
    int64_t keep;
    uv_mutex_lock(&h->lock);
    unsigned n_changes = h->n_changes;
    uv_mutex_unlock(&h->lock);
    int rc = store_purge_look(&s->store, (unsigned)s->config->purge_retain, &keep, e);
    if (rc < 0 || keep < 0)
        return rc;
    uv_mutex_lock(&h->lock);
    rc = h->n_changes == n_changes ? store_purge_before(&s->store, keep, e) : 0;
    uv_mutex_unlock(&h->lock);
    return rc;
}

static void purge(uv_work_t *work)
{
    struct server *s = work->data;
    struct err e;
    int n = s->config->purge_hours > 0 ? purge_snapshots(s, &e) : 0;
    if (n < 0)
        log_warn("purge: %s", e.text);
    else if (n > 0)
        log_info("purge: removed %d old snapshots and logs", n);
    uv_mutex_lock(&s->history.lock);
    n = store_purge_replaced(&s->store, s->config->reserved_kib << 10, &e);
    uv_mutex_unlock(&s->history.lock);
    if (n < 0)
        log_warn("purge: %s", e.text);
    else if (n > 0)
        log_info("purge: removed %d directories of replaced history", n);
}

static void on_purged(uv_work_t *work, int status)
{
    struct server *s = work->data;
    (void)status;
    s->history.purging = false;
}

void history_purge(struct server *s)
{
    if (s->history.purging)
        return;
    s->history.purging = true;
    s->history.purge_work.data = s;
    uv_queue_work(&s->loop, &s->history.purge_work, purge, on_purged);
}

/* Before the disk is full. */
void history_make_room(struct server *s, int64_t free_bytes)
{
    struct history *h = &s->history;
    if (free_bytes < 0 || free_bytes / 4 > s->config->reserved_kib << 10 ||
        uv_now(&s->loop) < h->next_relief_ms)
        return;
    h->next_relief_ms = uv_now(&s->loop) + RELIEF_EVERY_MS;
    history_purge(s);
}

static void on_purge_timer(uv_timer_t *timer)
{
    history_purge(timer->data);
}

/* ---- Reading the log ---- */

struct log_reading {
    uv_work_t work;
    struct server *server;
    struct node_log_read *r;
    struct err e;
};

static void read_log(uv_work_t *work)
{
    struct log_reading *g = work->data;
    struct node_log_read *r = g->r;
    r->rc = txnlog_copy(&g->server->store, r->zxid, r->to_zxid, r->bytes_max, &r->entries,
                        &r->floor, &g->e);
}

static void on_log_read(uv_work_t *work, int status)
{
    struct log_reading *g = work->data;
    struct node_event ev = {.type = NODE_LOG_READ, .log_read = g->r};
    if (status != 0)
        g->r->rc = status;
    else if (g->r->rc != 0)
        log_info("no DIFF from the log: %s", g->e.text);
    server_step(g->server, &ev);
    free(g);
}

void history_read_log(struct server *s, struct node_log_read *r)
{
    struct log_reading *g = mem_zalloc(sizeof(*g));
    *g = (struct log_reading){.work.data = g, .server = s, .r = r};
    int rc = uv_queue_work(&s->loop, &g->work, read_log, on_log_read);
    ensure(rc == 0);
}

/* ---- Changes of history ---- */

/* Where the tree is not beyond the new end of the log it stays. False: it must be loaded again. */
static bool read_rest(struct server *s)
{
    struct history *h = &s->history;
    struct slice txn;
    buf_reset(&h->rest);
    if (h->zxid < h->tree_zxid ||
        txnlog_copy_rest(&s->store, h->tree_zxid, REST_MAX, &h->rest, NULL) != 0)
        return false;
    for (size_t pos = 0; txn_batch_next(&h->rest, &pos, &txn);) {
        struct zk_txn_header header;
        struct jute_reader in = jute_reader_of(txn);
        zk_txn_header_read(&in, &header);
        if (!jute_ok(&in) || !tree_check_txn(&header, jute_read_rest(&in)))
            return false;
        h->tree_zxid = header.zxid;
    }
    return true;
}

static int truncate_log(struct txnlog *log, void *arg, struct err *e)
{
    struct server *s = arg;
    struct history *h = &s->history;
    struct tree *tree = NULL;
    struct store_recovery r;
    uv_mutex_lock(&h->lock);
    h->n_changes++;
    int rc = txnlog_truncate(log, h->zxid, e);
    h->tree_stays = rc == 0 && read_rest(s);
    if (rc == 0 && !h->tree_stays)
        rc = history_recover(s, &tree, &r, e);
    else if (rc == -ENODATA)
        rc = 0;
    uv_mutex_unlock(&h->lock);
    if (log->note[0])
        log_warn("%s", log->note);
    h->tree = tree;
    if (rc == 0)
        uv_async_send(&h->changed);
    return rc;
}

static int install_tree(struct txnlog *log, void *arg, struct err *e)
{
    struct server *s = arg;
    struct history *h = &s->history;
    uv_mutex_lock(&h->lock);
    h->n_changes++;
    int rc = txnlog_install(log, h->incoming, e);
    uv_mutex_unlock(&h->lock);
    if (log->note[0])
        log_warn("%s", log->note);
    if (rc == 0)
        uv_async_send(&h->changed);
    return rc;
}

static void on_changed(uv_async_t *async)
{
    struct server *s = async->data;
    struct tree *tree = s->history.tree;
    struct node_event ev = {
        .type = s->history.change, .tree = tree, .zxid = tree ? tree_last_zxid(tree) : 0};
    if (s->history.tree_stays) {
        ev.rest = &s->history.rest;
        ev.zxid = s->history.tree_zxid;
    }
    s->history.tree = NULL;
    s->history.tree_stays = false;
    server_step(s, &ev);
}

/* A snapshot that a child still writes is of the old history. */
void history_truncate(struct server *s, int64_t zxid)
{
    snapshotter_cancel(&s->snapshotter);
    s->history.change = NODE_TRUNCATED;
    s->history.zxid = zxid;
    s->history.tree_zxid = tree_last_zxid(node_tree(s->node));
    log_thread_run(s->log, truncate_log, s);
}

void history_install(struct server *s, const struct tree *t)
{
    snapshotter_cancel(&s->snapshotter);
    s->history.change = NODE_TREE_INSTALLED;
    s->history.incoming = t;
    log_thread_run(s->log, install_tree, s);
}

void history_start(struct server *s)
{
    struct history *h = &s->history;
    uv_mutex_init(&h->lock);
    list_init(&h->epochs);
    uv_async_init(&s->loop, &h->changed, on_changed);
    uv_async_init(&s->loop, &h->epoch_saved, on_epoch_saved);
    uv_timer_init(&s->loop, &h->purge_timer);
    h->changed.data = h->epoch_saved.data = h->purge_timer.data = s;
    uint64_t hours = (uint64_t)MAX(s->config->purge_hours, 1);
    uv_timer_start(&h->purge_timer, on_purge_timer, FIRST_PURGE_MS, hours * 3600 * 1000);
}

void history_stop(struct server *s)
{
    if (s->history.tree)
        tree_close(s->history.tree);
    s->history.tree = NULL;
    buf_close(&s->history.rest);
    LIST_FOR_EACH_SAFE (o, &s->history.epochs, struct epoch_order, link)
        free(o);
    uv_mutex_destroy(&s->history.lock);
}
