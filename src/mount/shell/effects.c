/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Steps of the core, and what it wants done. */
#include "shell.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>

enum {
    NODES_MANY = 1 << 15,
};

static void on_answer(void *arg, const struct client_reply *reply)
{
    struct mount_event e = {.type = MOUNT_ANSWERED};
    e.answer.err = reply->err;
    e.answer.zxid = reply->zxid;
    e.answer.body = reply->body;
    e.answer.too_long = reply->too_long;
    shell_step(arg, &e);
}

/* What happens while effects are carried out waits until they are. */
static struct mount_event *later(struct shell *sh, enum mount_event_type type)
{
    if (sh->n_later == sh->cap_later) {
        sh->cap_later = MAX(16, 2 * sh->cap_later);
        sh->later = mem_realloc(sh->later, sh->cap_later * sizeof(*sh->later));
    }
    struct later *l = &sh->later[sh->n_later++];
    *l = (struct later){.event.type = type};
    return &l->event;
}

/* The kernel did not take a reply: what it gave is given back. */
void shell_undo(struct shell *sh, const struct mount_request *q)
{
    later(sh, MOUNT_REQUEST);
    sh->later[sh->n_later - 1].request = *q;
}

static void look_at_opener(struct shell *sh, const struct mount_effect *e)
{
    struct mount_event seen;
    if (opener_look(sh, e, &seen))
        *later(sh, MOUNT_OPENER_SEEN) = seen;
}

static void do_mount(struct shell *sh)
{
    struct err e;
    if (fuse_shell_mount(sh, &e) < 0) {
        shell_end(sh, e.code, e.text);
        return;
    }
    fuse_shell_start(sh);
    if (inject_start(sh) < 0)
        shell_end(sh, -EAGAIN, "cannot start a thread");
    else
        later(sh, MOUNT_MOUNTED);
}

static void perform(struct shell *sh, const struct mount_effect *e)
{
    switch (e->type) {
    case MOUNT_REPLY:
        fuse_shell_reply(sh, e->reply);
        break;
    case MOUNT_ASK:
        client_request(sh->client, e->ask.op, e->ask.record, on_answer, sh);
        break;
    case MOUNT_INJECT:
    case MOUNT_INVAL_ENTRY:
    case MOUNT_INVAL_INODE:
        inject_job(sh, e);
        break;
    case MOUNT_LOOK_AT_OPENER:
        look_at_opener(sh, e);
        break;
    case MOUNT_LOG:
        log_line(e->log.level, "%s", e->log.text);
        break;
    case MOUNT_DO_MOUNT:
        do_mount(sh);
        break;
    case MOUNT_READY:
        shell_ready(sh);
        break;
    case MOUNT_END:
        shell_end(sh, e->end.err, e->end.text);
        break;
    }
}

/* ---- Steps ---- */

static void on_timer(uv_timer_t *timer)
{
    struct shell *sh = timer->data;
    sh->armed = INT64_MAX;
    shell_step(sh, &(struct mount_event){.type = MOUNT_TICK});
}

static void on_idle(uv_idle_t *idle)
{
    struct shell *sh = idle->data;
    uv_idle_stop(idle);
    shell_step(sh, &(struct mount_event){.type = MOUNT_TICK});
}

/* The C library keeps what was freed between the rest, some 500 bytes a node: it is given back for
 * each so many nodes that are known no more. */
static void give_back_memory(struct shell *sh)
{
    size_t nodes = mount_nodes(sh->core);
    sh->most_nodes = MAX(sh->most_nodes, nodes);
    if (sh->most_nodes - nodes < NODES_MANY)
        return;
    sh->most_nodes = nodes;
    malloc_trim(0);
}

/* What is due now is done in the next turn of the loop: a timer that is set again and again would
 * fire again and again within this one. */
static void arm(struct shell *sh)
{
    int64_t deadline = mount_deadline(sh->core), now_ms = (int64_t)uv_now(sh->loop);
    if (deadline <= now_ms) {
        uv_idle_start(&sh->core_idle, on_idle);
    } else if (deadline < sh->armed) {
        sh->armed = deadline;
        uv_timer_start(&sh->core_timer, on_timer, (uint64_t)(deadline - now_ms), 0);
    }
}

static void step(struct shell *sh, struct mount_event *event)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME_COARSE, &wall);
    event->now_ms = (int64_t)uv_now(sh->loop);
    event->wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    mount_step(sh->core, event, &sh->fx);
    for (size_t i = 0; i < sh->fx.n; i++)
        perform(sh, &sh->fx.list[i]);
}

void shell_step(struct shell *sh, struct mount_event *event)
{
    step(sh, event);
    for (size_t i = 0; i < sh->n_later; i++) {
        struct later l = sh->later[i];
        if (l.event.type == MOUNT_REQUEST)
            l.event.request = &l.request;
        step(sh, &l.event);
    }
    sh->n_later = 0;
    give_back_memory(sh);
    arm(sh);
}

void shell_request(struct shell *sh, const struct mount_request *q)
{
    struct mount_event e = {.type = MOUNT_REQUEST};
    e.request = q;
    shell_step(sh, &e);
}
