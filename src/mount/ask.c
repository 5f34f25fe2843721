/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests to the servers, and who waits for their answers, which come in the same order. */
#include "core.h"

#include <stdlib.h>

struct asked {
    answer_done *done; /* NULL: nobody waits */
    void *arg;
};

/* ---- The ring ---- */

static void asked_push(struct mount *m, answer_done *done, void *arg)
{
    if (m->n_asked == m->asked_cap) {
        size_t cap = MAX(64, 2 * m->asked_cap);
        struct asked *ring = mem_alloc(cap * sizeof(*ring));
        for (size_t i = 0; i < m->n_asked; i++)
            ring[i] = m->asked[(m->asked_head + i) % m->asked_cap];
        free(m->asked);
        m->asked = ring;
        m->asked_cap = cap;
        m->asked_head = 0;
    }
    m->asked[(m->asked_head + m->n_asked++) % m->asked_cap] = (struct asked){done, arg};
    m->quiet_since_ms = MIN(m->quiet_since_ms, m->now_ms);
}

static bool is_of_a_server(int32_t err)
{
    return err != ZK_CONNECTIONLOSS && err != ZK_SESSIONEXPIRED && err != ZK_OPERATIONTIMEOUT &&
           err != ZK_AUTHFAILED;
}

void ask_answered(struct mount *m, const struct answer *answer)
{
    ensure(m->n_asked > 0);
    struct asked a = m->asked[m->asked_head];
    m->asked_head = (m->asked_head + 1) % m->asked_cap;
    m->n_asked--;
    m->last_zxid = MAX(m->last_zxid, answer->zxid);
    if (is_of_a_server(answer->err))
        m->quiet_since_ms = m->n_asked > 0 ? m->now_ms : INT64_MAX;
    if (a.done)
        a.done(a.arg, answer);
}

void ask_finish(struct mount *m)
{
    while (m->n_unsent > 0 && m->n_unsent == m->n_asked) {
        m->n_unsent--;
        ask_answered(m, &(struct answer){.err = ZK_CONNECTIONLOSS, .body = SLICE_EMPTY});
    }
}

void ask_close(struct mount *m)
{
    free(m->asked);
    buf_close(&m->record);
}

/* ---- Requests ---- */

/* Where the record is written. */
static struct buf *record_begin(struct mount *m)
{
    buf_reset(&m->record);
    return &m->record;
}

static void submit_record(struct mount *m, enum zk_op op, struct slice record, answer_done *done,
                          void *arg)
{
    asked_push(m, done, arg);
    if (m->closed) {
        m->n_unsent++;
        return;
    }
    struct mount_effect *e = effect_add(m, MOUNT_ASK);
    e->ask.op = op;
    e->ask.record = arena_copy(&m->fx->arena, record);
}

static void submit(struct mount *m, enum zk_op op, answer_done *done, void *arg)
{
    submit_record(m, op, buf_slice(&m->record), done, arg);
}

static void ask_read(struct mount *m, enum zk_op op, struct slice path, answer_done *done,
                     void *arg)
{
    request_read(record_begin(m), m->config.chroot, path, false);
    submit(m, op, done, arg);
}

static void ask_path(struct mount *m, enum zk_op op, struct slice path, answer_done *done,
                     void *arg)
{
    request_path(record_begin(m), m->config.chroot, path);
    submit(m, op, done, arg);
}

static void ask_path_int(struct mount *m, enum zk_op op, struct slice path, int32_t number,
                         answer_done *done, void *arg)
{
    request_path_int(record_begin(m), m->config.chroot, path, number);
    submit(m, op, done, arg);
}

void ask_get(struct mount *m, struct slice path, answer_done *done, void *arg)
{
    ask_read(m, ZK_OP_getData, path, done, arg);
}

void ask_get_absolute(struct mount *m, struct slice path, answer_done *done, void *arg)
{
    request_read(record_begin(m), SLICE_EMPTY, path, false);
    submit(m, ZK_OP_getData, done, arg);
}

void ask_exists(struct mount *m, struct slice path, answer_done *done, void *arg)
{
    ask_read(m, ZK_OP_exists, path, done, arg);
}

void ask_children(struct mount *m, struct slice path, answer_done *done, void *arg)
{
    ask_read(m, ZK_OP_getChildren2, path, done, arg);
}

void ask_set(struct mount *m, struct slice path, struct slice data, int32_t version,
             answer_done *done, void *arg)
{
    request_set(record_begin(m), m->config.chroot, path, data, version);
    submit(m, ZK_OP_setData, done, arg);
}

void ask_create(struct mount *m, struct slice path, struct slice data,
                const struct jute_vector *acl, answer_done *done, void *arg)
{
    request_create(record_begin(m), m->config.chroot, path, data, acl, ZK_PERSISTENT, 0);
    submit(m, request_create_op(ZK_PERSISTENT), done, arg);
}

void ask_delete(struct mount *m, struct slice path, int32_t version, answer_done *done, void *arg)
{
    ask_path_int(m, ZK_OP_delete, path, version, done, arg);
}

void ask_sync(struct mount *m, struct slice path, answer_done *done, void *arg)
{
    ask_path(m, ZK_OP_sync, path, done, arg);
}

void ask_get_acl(struct mount *m, struct slice path, answer_done *done, void *arg)
{
    ask_path(m, ZK_OP_getACL, path, done, arg);
}

void ask_set_acl(struct mount *m, struct slice path, const struct jute_vector *acl, int32_t version,
                 answer_done *done, void *arg)
{
    request_set_acl(record_begin(m), m->config.chroot, path, acl, version);
    submit(m, ZK_OP_setACL, done, arg);
}

void ask_add_watch(struct mount *m, struct slice path, enum zk_watch_mode mode, answer_done *done,
                   void *arg)
{
    ask_path_int(m, ZK_OP_addWatch, path, mode, done, arg);
}

void ask_remove_watch(struct mount *m, struct slice path)
{
    ask_path_int(m, ZK_OP_removeWatches, path, ZK_WATCHER_ANY, NULL, NULL);
}

void ask_who_am_i(struct mount *m, answer_done *done, void *arg)
{
    record_begin(m);
    submit(m, ZK_OP_whoAmI, done, arg);
}

void ask_multi(struct mount *m, struct request_multi *multi, answer_done *done, void *arg)
{
    submit_record(m, ZK_OP_multi, request_multi_end(multi), done, arg);
    request_multi_close(multi);
}
