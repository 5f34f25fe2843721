/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For the tests of the mount's core: a mount, a small tree of znodes as its servers
 * (tests/fuzz/znodes.h), and what the last reply was. Include after cmocka.h. */
#ifndef MOUNT_LIB_H
#define MOUNT_LIB_H

#include "../fuzz/znodes.h"
#include "zab/mount.h"

static struct znodes servers;
static struct mount *m;
static struct mount_effects fx;
static struct mount_event event;
static struct {
    enum zk_op op;
    struct buf record;
} asked[4096];
static size_t first_asked, n_asked;
static size_t n_multis, n_effects[MOUNT_END + 1];
static struct mount_reply last; /* its pointers are not valid any more */
static size_t n_replies;
static uint64_t opener_id; /* of the last MOUNT_LOOK_AT_OPENER */
static struct {
    enum mount_inject kind; /* MOUNT_INJECT_PROBE: none runs */
    char path[64];
} injecting = {.kind = MOUNT_INJECT_PROBE};

static inline void step(enum mount_event_type type)
{
    event.type = type;
    mount_step(m, &event, &fx);
    for (size_t i = 0; i < fx.n; i++) {
        const struct mount_effect *e = &fx.list[i];
        n_effects[e->type]++;
        if (e->type == MOUNT_REPLY) {
            last = *e->reply;
            n_replies++;
        }
        if (e->type == MOUNT_LOOK_AT_OPENER)
            opener_id = e->opener.id;
        if (e->type == MOUNT_INJECT) {
            injecting.kind = e->inject.kind;
            snprintf(injecting.path, sizeof(injecting.path), "%s", e->inject.path);
        }
        if (e->type != MOUNT_ASK)
            continue;
        assert_true(n_asked < ARRAY_LEN(asked));
        asked[n_asked].op = e->ask.op;
        buf_append(&asked[n_asked].record, e->ask.record.data, slice_size(e->ask.record));
        n_asked++;
    }
}

static inline void tell_events(void)
{
    struct buf events = servers.events;
    const struct znodes_event *e = (void *)events.data;
    servers.events = (struct buf){0};
    for (size_t i = 0; i < events.len / sizeof(*e); i++) {
        event.watch.event = (struct zk_watcher_event){e[i].type, 3, slice_str(e[i].path)};
        event.watch.zxid = e[i].zxid;
        step(MOUNT_WATCH_FIRED);
        free(e[i].path);
    }
    buf_close(&events);
}

/* The oldest request is carried out; the mount is told so, or `told`. */
static inline void answer_as(int32_t told, struct slice *body)
{
    struct buf b = {0};
    assert_true(first_asked < n_asked);
    n_multis += asked[first_asked].op == ZK_OP_multi;
    int32_t err =
        znodes_answer(&servers, asked[first_asked].op, buf_slice(&asked[first_asked].record), &b);
    buf_close(&asked[first_asked].record);
    first_asked++;
    tell_events();
    event.answer.err = told != ZK_OK ? told : err;
    event.answer.zxid = servers.zxid;
    event.answer.body = body ? *body : buf_slice(&b);
    step(MOUNT_ANSWERED);
    buf_close(&b);
}

static inline void answer_all(void)
{
    while (first_asked < n_asked)
        answer_as(ZK_OK, NULL);
    first_asked = n_asked = 0;
}

static inline bool is_next(enum zk_op op)
{
    return first_asked < n_asked && asked[first_asked].op == op;
}

static inline void answer_until(enum zk_op op)
{
    while (!is_next(op))
        answer_as(ZK_OK, NULL);
}

/* What is known to have changed is compared, and told. */
static inline void pass_rounds(void)
{
    for (int i = 0; i < 20; i++) {
        step(MOUNT_TICK);
        answer_all();
    }
}

static inline void set_state(enum client_state state)
{
    event.session = (struct mount_session){.state = state, .server = "h:1"};
    step(MOUNT_SESSION);
}

static inline void request(struct mount_request q)
{
    static uint64_t id;
    q.id = ++id;
    q.pid = 1;
    event.request = &q;
    step(MOUNT_REQUEST);
}

/* The injector's system call has been made, whatever it has asked for. */
static inline void injected(void)
{
    injecting.kind = MOUNT_INJECT_PROBE;
    event.rc = 0;
    step(MOUNT_INJECTED);
}

static inline uint64_t lookup(uint64_t dir, const char *name)
{
    request((struct mount_request){.op = MOUNT_LOOKUP, .ino = dir, .name = name});
    answer_all();
    assert_int_equal(last.type, MOUNT_REPLY_ENTRY);
    return last.entry.ino;
}

static inline void open_mount(enum mount_cache cache)
{
    const struct mount_config config = {.source = "h:1",
                                        .mountpoint = "/mnt",
                                        .chroot = SLICE_EMPTY,
                                        .cache = cache,
                                        .timeo_ms = 3000,
                                        .acl_timeo_ms = 1000};
    znodes_open(&servers, "", false);
    first_asked = n_asked = n_multis = n_replies = 0;
    memset(n_effects, 0, sizeof(n_effects));
    event = (struct mount_event){.now_ms = 1000, .wall_ms = 1000};
    m = mount_open(&config, event.now_ms);
    set_state(CLIENT_CONNECTED);
}

static inline int setup_with(void **state, enum mount_cache cache)
{
    (void)state;
    open_mount(cache);
    answer_all();
    assert_int_equal(n_effects[MOUNT_DO_MOUNT], 1);
    step(MOUNT_MOUNTED);
    injected();
    assert_int_equal(n_effects[MOUNT_READY], 1);
    return 0;
}

static inline int setup(void **state)
{
    return setup_with(state, MOUNT_CACHE_VERSIONS);
}

static inline int teardown(void **state)
{
    (void)state;
    answer_all();
    mount_close(m);
    mount_effects_close(&fx);
    znodes_close(&servers);
    return 0;
}

#endif
