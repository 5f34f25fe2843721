/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks: a stack each, of which one runs at a time. A task runs until it sleeps; it is woken from
 * the heap of events, never at once, so that what happens does not depend on who calls whom. */
#include "sim.h"
#include "kernel.h"

#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TASK_ASAN
#elif __has_feature(thread_sanitizer)
#define TASK_TSAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define TASK_ASAN
#endif
#ifdef __SANITIZE_THREAD__
#define TASK_TSAN
#endif
#ifdef TASK_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef TASK_TSAN
#include <sanitizer/tsan_interface.h>
#endif

enum {
    STACK_SIZE = 256 << 10,
    STACKS_KEPT = 64,
};

struct task {
    ucontext_t context;
    char *stack;
    task_main *run;
    void *arg;
    struct world *w;
    bool over;
    void *fake_stack; /* of the address sanitizer */
    void *fiber;      /* of the thread sanitizer */
};

static struct task *running;
static ucontext_t loop;
static size_t alive;
static char *kept[STACKS_KEPT];
static size_t n_kept;
#ifdef TASK_ASAN
static const void *loop_stack;
static size_t loop_size;
#endif
#ifdef TASK_TSAN
static void *loop_fiber;
#endif

struct task *task_running(void)
{
    return running;
}

size_t tasks_alive(void)
{
    return alive;
}

/* ---- Switching ---- */

static void leave(struct task *t)
{
#ifdef TASK_ASAN
    __sanitizer_start_switch_fiber(t->over ? NULL : &t->fake_stack, loop_stack, loop_size);
#endif
#ifdef TASK_TSAN
    __tsan_switch_to_fiber(loop_fiber, 0);
#endif
    swapcontext(&t->context, &loop);
#ifdef TASK_ASAN
    __sanitizer_finish_switch_fiber(t->fake_stack, &loop_stack, &loop_size);
#endif
}

static void entry(void)
{
    struct task *t = running;
#ifdef TASK_ASAN
    __sanitizer_finish_switch_fiber(NULL, &loop_stack, &loop_size);
#endif
    t->run(t->w, t->arg);
    t->over = true;
    leave(t);
}

static void task_free(struct task *t)
{
    if (n_kept < STACKS_KEPT)
        kept[n_kept++] = t->stack;
    else
        free(t->stack);
#ifdef TASK_TSAN
    __tsan_destroy_fiber(t->fiber);
#endif
    free(t);
    alive--;
}

static void enter(struct world *w, void *arg)
{
    struct task *t = arg;
    (void)w;
    ensure(!running);
    running = t;
#ifdef TASK_ASAN
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, t->stack, STACK_SIZE);
#endif
#ifdef TASK_TSAN
    loop_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(t->fiber, 0);
#endif
    swapcontext(&loop, &t->context);
#ifdef TASK_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    running = NULL;
    if (t->over)
        task_free(t);
}

void task_start(struct world *w, int64_t delay_ms, task_main *run, void *arg)
{
    struct task *t = mem_zalloc(sizeof(*t));
    *t = (struct task){.run = run, .arg = arg, .w = w};
    t->stack = n_kept > 0 ? kept[--n_kept] : mem_alloc(STACK_SIZE);
    getcontext(&t->context);
    t->context.uc_stack.ss_sp = t->stack;
    t->context.uc_stack.ss_size = STACK_SIZE;
    makecontext(&t->context, entry, 0);
#ifdef TASK_TSAN
    t->fiber = __tsan_create_fiber(0);
#endif
    alive++;
    sim_at(w, delay_ms, enter, t);
}

void task_sleep(struct world *w)
{
    (void)w;
    leave(running);
}

void task_wake(struct world *w, struct task *t, int64_t delay_ms)
{
    sim_at(w, delay_ms, enter, t);
}

/* ---- Locks: first come, first served ---- */

struct waiter {
    struct list link;
    struct task *task;
    bool exclusive;
};

void lock_init(struct rwlock *l)
{
    *l = (struct rwlock){0};
    list_init(&l->waiting);
}

static bool grant(struct rwlock *l, bool exclusive)
{
    if (l->written || (exclusive && l->readers > 0))
        return false;
    l->written = exclusive;
    l->readers += !exclusive;
    return true;
}

static void lock(struct world *w, struct rwlock *l, bool exclusive)
{
    if (list_is_empty(&l->waiting) && grant(l, exclusive))
        return;
    struct waiter me = {.task = running, .exclusive = exclusive};
    cover_mount(MOUNT_POINT_lock);
    list_append(&l->waiting, &me.link);
    task_sleep(w);
}

void lock_shared(struct world *w, struct rwlock *l)
{
    lock(w, l, false);
}

void lock_exclusive(struct world *w, struct rwlock *l)
{
    lock(w, l, true);
}

void lock_release(struct world *w, struct rwlock *l)
{
    if (l->written)
        l->written = false;
    else
        l->readers--;
    while (!list_is_empty(&l->waiting)) {
        struct waiter *next = LIST_FIRST(&l->waiting, struct waiter, link);
        if (!grant(l, next->exclusive))
            return;
        list_remove(&next->link);
        task_wake(w, next->task, 0);
    }
}
