/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "logthread.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum {
    MARK_EVERY_MS = 20,
};

/* What waits, in order: a batch, or something to run. */
struct order {
    struct node_batch *batch;
    int (*run)(struct txnlog *log, void *arg, struct err *e);
    void *arg;
};

struct log_thread {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct order *waiting, *taken; /* swapped, so that the lock is held for moments only */
    size_t n_waiting, cap_waiting, cap_taken;
    bool stop;
    bool sync;
    int64_t warning_ms;
    int64_t next_mark_ms;
    struct txnlog log;
    void (*persisted)(void *arg, int64_t zxid);
    void *arg;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static _Noreturn void die(const struct err *e)
{
    log_error("%s; exiting, because further writes could not be made durable. Check the disk, then "
              "restart.",
              e->text);
    _exit(1);
}

static void sync_log(struct log_thread *t)
{
    struct err e;
    int64_t start = now_ms();
    if (txnlog_sync(&t->log, &e) != 0)
        die(&e);
    int64_t took = now_ms() - start;
    if (took > t->warning_ms)
        log_warn("syncing the log took %" PRId64 " ms; a slow disk makes every write slow", took);
}

static void mark_synced(struct log_thread *t)
{
    if (t->sync)
        txnlog_mark_synced(&t->log);
    t->next_mark_ms = now_ms() + MARK_EVERY_MS;
}

/* What was appended is durable, up to `*last`; -1: nothing was. */
static void persist(struct log_thread *t, int64_t *last)
{
    if (*last < 0)
        return;
    if (t->sync)
        sync_log(t);
    t->persisted(t->arg, *last);
    if (now_ms() >= t->next_mark_ms)
        mark_synced(t);
    *last = -1;
}

static struct timespec time_in(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
    t.tv_sec += ms / 1000 + ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    return t;
}

/* False: it is to stop. */
static bool wait_a_second(struct log_thread *t)
{
    struct timespec until = time_in(1000);
    pthread_mutex_lock(&t->lock);
    while (!t->stop && pthread_cond_timedwait(&t->wake, &t->lock, &until) == 0)
        continue;
    bool stop = t->stop;
    pthread_mutex_unlock(&t->lock);
    return !stop;
}

/* Again and again, while there is no room for it or no descriptor. False: it is to stop. */
static bool carry_out_one(struct log_thread *t, const struct order *o, int64_t *last)
{
    struct err e;
    struct node_batch *b = o->batch;
    for (bool waited = false;; waited = true) {
        int rc = b ? txnlog_append(&t->log, &b->entries, b->first_zxid, b->last_zxid, &e)
                   : o->run(&t->log, o->arg, &e);
        if (rc == 0 && waited)
            log_info("the log goes on");
        if (rc == 0)
            return true;
        if (!store_is_short(rc) || t->log.failed != 0)
            die(&e);
        if (!waited) {
            log_error("%s; writes wait until it can go on", e.text);
            persist(t, last);
        }
        if (!wait_a_second(t))
            return false;
    }
}

static void carry_out(struct log_thread *t, size_t n)
{
    int64_t last = -1;
    for (size_t i = 0; i < n; i++) {
        const struct order *o = &t->taken[i];
        if (!carry_out_one(t, o, &last))
            return; /* who waits for these is told nothing */
        if (o->batch)
            last = o->batch->last_zxid;
    }
    persist(t, &last);
}

/* When there is none for a while, what was synced last is noted. */
static void wait_for_work(struct log_thread *t)
{
    struct timespec until = time_in(MARK_EVERY_MS);
    while (t->n_waiting == 0 && !t->stop) {
        if (!t->log.mark_is_old)
            pthread_cond_wait(&t->wake, &t->lock);
        else if (pthread_cond_timedwait(&t->wake, &t->lock, &until) != 0)
            mark_synced(t);
    }
}

static void *log_main(void *arg)
{
    struct log_thread *t = arg;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        wait_for_work(t);
        size_t n = t->n_waiting;
        if (n == 0)
            break;
        struct order *taken = t->waiting;
        size_t cap = t->cap_waiting;
        t->waiting = t->taken;
        t->cap_waiting = t->cap_taken;
        t->taken = taken;
        t->cap_taken = cap;
        t->n_waiting = 0;
        pthread_mutex_unlock(&t->lock);
        carry_out(t, n);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

struct log_thread *log_thread_start(struct store *store, uint64_t prealloc_bytes, bool sync,
                                    int64_t warning_ms, void (*persisted)(void *arg, int64_t zxid),
                                    void *arg)
{
    struct log_thread *t = mem_zalloc(sizeof(*t));
    sigset_t all, before;
    t->sync = sync;
    t->warning_ms = warning_ms;
    t->persisted = persisted;
    t->arg = arg;
    txnlog_init(&t->log, store, prealloc_bytes);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->wake, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int rc = pthread_create(&t->thread, NULL, log_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ensure(rc == 0);
    return t;
}

static void push(struct log_thread *t, struct order order)
{
    pthread_mutex_lock(&t->lock);
    if (t->n_waiting == t->cap_waiting) {
        t->cap_waiting = t->cap_waiting ? t->cap_waiting * 2 : 64;
        t->waiting = mem_realloc(t->waiting, t->cap_waiting * sizeof(*t->waiting));
    }
    t->waiting[t->n_waiting++] = order;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

void log_thread_append(struct log_thread *t, struct node_batch *batch)
{
    push(t, (struct order){.batch = batch});
}

void log_thread_run(struct log_thread *t, int (*run)(struct txnlog *log, void *arg, struct err *e),
                    void *arg)
{
    push(t, (struct order){.run = run, .arg = arg});
}

static int roll(struct txnlog *log, void *arg, struct err *e)
{
    (void)arg;
    return txnlog_roll(log, e);
}

void log_thread_roll(struct log_thread *t)
{
    log_thread_run(t, roll, NULL);
}

void log_thread_stop(struct log_thread *t)
{
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    txnlog_close(&t->log);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->wake);
    free(t->waiting);
    free(t->taken);
    free(t);
}
