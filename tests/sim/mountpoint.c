/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shell around mount_step(): what src/mount/shell does with libfuse, libuv and /proc. */
#include "mountpoint.h"

#include <errno.h>

enum { IDLE_MS = 1000 };

struct mount_later {
    struct mount_event event;
    struct mount_request request; /* of a MOUNT_REQUEST */
};

static void step(struct mountpoint *m, struct mount_event *e);

/* ---- Effects ---- */

static struct mount_later *later(struct mountpoint *m, enum mount_event_type type)
{
    ROOM_FOR_ONE(m->later, m->n_later, m->cap_later);
    struct mount_later *l = &m->later[m->n_later++];
    *l = (struct mount_later){.event.type = type};
    return l;
}

void mountpoint_after(struct mountpoint *m, const struct mount_event *e)
{
    struct mount_later *l = later(m, e->type);
    l->event = *e;
    if (e->type == MOUNT_REQUEST)
        l->request = *e->request;
}

static void undo(struct mountpoint *m, const struct mount_request *q)
{
    later(m, MOUNT_REQUEST)->request = *q;
}

static void undo_lookup(struct mountpoint *m, uint64_t ino)
{
    if (ino != 0)
        undo(m, &(struct mount_request){.op = MOUNT_FORGET, .ino = ino, .lookups = 1});
}

/* The kernel did not take it. */
void mountpoint_undo(struct mountpoint *m, const struct mount_reply *r)
{
    bool opened = r->type == MOUNT_REPLY_OPEN || r->type == MOUNT_REPLY_CREATE;
    if (opened)
        undo(m, &(struct mount_request){.op = r->op == MOUNT_OPENDIR ? MOUNT_RELEASEDIR
                                                                     : MOUNT_RELEASE,
                                        .fh = r->opened.fh,
                                        .abandoned = true});
    if (r->type == MOUNT_REPLY_ENTRY || r->type == MOUNT_REPLY_CREATE)
        undo_lookup(m, r->entry.ino);
    for (size_t i = 0; i < r->n_entries; i++) {
        if (r->entries[i].held)
            undo_lookup(m, r->entries[i].ino);
    }
}

/* The path that most records begin with. */
struct slice mountpoint_path_of(const struct mount_effect *e)
{
    struct jute_reader in = jute_reader_of(e->ask.record);
    if (e->ask.op == ZK_OP_multi || e->ask.op == ZK_OP_whoAmI)
        return SLICE_EMPTY;
    return jute_read_buffer(&in);
}

static void send(struct mountpoint *m, const struct mount_effect *e)
{
    struct buf *b = session_request_begin(&m->client->session, e->ask.op);
    cover(COVER_MOUNT_ASK, (int32_t)e->ask.op, 0);
    buf_append(b, e->ask.record.data, slice_size(e->ask.record));
    session_request_end(&m->client->session, m->w->now_ms, (struct session_tag){.arg = m});
    sim_detail(m->w, "%s: asks #%d %s %.*s", m->kernel->name, m->client->session.last_xid,
               zk_op_name((int32_t)e->ask.op), SLICE_ARG(mountpoint_path_of(e)));
}

struct question {
    struct mountpoint *m;
    uint64_t id, ino;
    pid_t pid, closer;
};

static void answer_question(struct world *w, void *arg)
{
    struct question *q = arg;
    struct mount_event e = {.type = MOUNT_OPENER_SEEN};
    (void)w;
    e.opener.id = q->id;
    e.opener.count = q->m->dead ? -1 : kernel_count_open(q->m->kernel, q->pid, q->ino);
    e.opener.own = q->pid == q->closer ? MOUNT_YES : MOUNT_NO;
    if (!q->m->dead)
        step(q->m, &e);
    free(q);
}

static void look_at_opener(struct mountpoint *m, const struct mount_effect *e)
{
    struct question *q = mem_zalloc(sizeof(*q));
    *q = (struct question){m, e->opener.id, e->opener.ino, e->opener.pid, e->opener.closer};
    sim_at(m->w, chance(m->w, 3) ? between(m->w, 0, 10) : 0, answer_question, q);
}

static void end(struct mountpoint *m, const struct mount_effect *e)
{
    sim_trace(m->w, "%s: ends%s%s", m->kernel->name, e->end.text ? ": " : "",
              e->end.text ? e->end.text : "");
    m->ended = true;
    kernel_vanish(m->kernel);
}

static void carry_out(struct mountpoint *m, const struct mount_effect *e)
{
    cover(COVER_MOUNT_EFFECT, (int32_t)e->type, 0);
    switch (e->type) {
    case MOUNT_REPLY:
        if (e->reply->id != 0 && !kernel_reply(m->kernel, e->reply))
            mountpoint_undo(m, e->reply);
        break;
    case MOUNT_ASK:
        send(m, e);
        break;
    case MOUNT_INJECT:
        movecheck_inject(m, e);
        kernel_effect(m->kernel, e);
        break;
    case MOUNT_INVAL_ENTRY:
    case MOUNT_INVAL_INODE:
        kernel_effect(m->kernel, e);
        break;
    case MOUNT_LOOK_AT_OPENER:
        look_at_opener(m, e);
        break;
    case MOUNT_LOG:
        sim_detail(m->w, "%s: log: %s", m->kernel->name, e->log.text);
        break;
    case MOUNT_DO_MOUNT:
        later(m, MOUNT_MOUNTED);
        break;
    case MOUNT_READY:
        sim_trace(m->w, "%s: is ready", m->kernel->name);
        if (!m->ready)
            programs_begin(m);
        m->ready = true;
        break;
    case MOUNT_END:
        end(m, e);
        break;
    }
}

/* ---- Steps ---- */

static void tick(struct world *w, void *arg)
{
    struct mountpoint *m = arg;
    if (m->tick_at > w->now_ms || m->dead)
        return;
    m->tick_at = INT64_MAX;
    struct mount_event e = {.type = MOUNT_TICK};
    step(m, &e);
}

static void plan_tick(struct mountpoint *m)
{
    int64_t deadline = mount_deadline(m->core);
    if (deadline >= m->tick_at || deadline == INT64_MAX)
        return;
    m->tick_at = MAX(deadline, m->w->now_ms);
    sim_at(m->w, m->tick_at - m->w->now_ms, tick, m);
}

static void step_once(struct mountpoint *m, struct mount_event *e)
{
    e->now_ms = m->w->now_ms;
    e->wall_ms = m->w->wall_offset_ms + m->w->now_ms;
    if (!tamper_event(m, e))
        return;
    cover(COVER_MOUNT_EVENT, (int32_t)e->type, 0);
    mount_step(m->core, e, &m->fx);
    tamper_step(m);
    mountcheck_step(m, e);
    for (size_t i = 0; i < m->fx.n; i++) {
        if (tamper_effect(m, &m->fx.list[i]))
            carry_out(m, &m->fx.list[i]);
    }
}

/* What is undone while effects are carried out comes behind them. */
static void step(struct mountpoint *m, struct mount_event *e)
{
    ensure(!m->stepping);
    m->stepping = true;
    step_once(m, e);
    for (size_t i = 0; i < m->n_later; i++) {
        struct mount_later l = m->later[i];
        if (l.event.type == MOUNT_REQUEST)
            l.event.request = &l.request;
        step_once(m, &l.event);
    }
    m->n_later = 0;
    m->stepping = false;
    plan_tick(m);
    client_pump(m->w, m->client);
}

static void deliver(struct kernel *k, const struct mount_request *r)
{
    struct mount_event e = {.type = MOUNT_REQUEST};
    e.request = r;
    step(k->arg, &e);
}

static void on_injected(struct kernel *k, int rc)
{
    struct mountpoint *m = k->arg;
    struct mount_event e = {.type = MOUNT_INJECTED};
    e.rc = rc;
    if (!m->dead)
        step(m, &e);
}

/* ---- The session ---- */

bool mountpoint_owns(const struct mountpoint *m, int64_t session_id)
{
    for (size_t i = 0; i < m->n_sessions; i++) {
        if (m->sessions[i] == session_id)
            return true;
    }
    return false;
}

void mountpoint_state(struct mountpoint *m, enum client_state state)
{
    struct mount_event e = {.type = MOUNT_SESSION};
    const struct session *s = &m->client->session;
    cover(COVER_MOUNT_SESSION, (int32_t)state, 0);
    if (s->id != 0 && !mountpoint_owns(m, s->id)) {
        m->sessions = mem_realloc(m->sessions, (m->n_sessions + 1) * sizeof(*m->sessions));
        m->sessions[m->n_sessions++] = s->id;
    }
    m->connected_ms = state == CLIENT_CONNECTED ? m->w->now_ms : -1;
    e.session = (struct mount_session){state, "", s->id, s->timeout_ms};
    step(m, &e);
}

void mountpoint_answered(struct mountpoint *m, const struct session_reply *reply)
{
    struct mount_event e = {.type = MOUNT_ANSWERED};
    e.answer.err = reply->err;
    e.answer.zxid = reply->zxid;
    e.answer.body = reply->body;
    if (reply->op == ZK_OP_multi && reply->err == 0)
        e.answer.err = request_multi_error(reply->body);
    cover(COVER_MOUNT_ANSWER, reply->op, e.answer.err);
    sim_detail(m->w, "%s: answered %s: %s", m->kernel->name, zk_op_name(reply->op),
               zk_error_name(e.answer.err));
    step(m, &e);
}

void mountpoint_watch(struct mountpoint *m, const struct session_effect *fx)
{
    struct mount_event e = {.type = MOUNT_WATCH_FIRED};
    e.watch.event = fx->event;
    e.watch.zxid = m->without_zxids ? -1 : fx->event_zxid;
    sim_detail(m->w, "%s: event %d %.*s", m->kernel->name, fx->event.type,
               SLICE_ARG(fx->event.path));
    step(m, &e);
}

/* ---- Beginning and end ---- */

static int any_draft_ms(struct world *w)
{
    static const int all_ms[] = {1000, 1000, 0, 50};
    return all_ms[rng_below(&w->rng, ARRAY_LEN(all_ms))];
}

static int acl_timeo_ms(struct world *w)
{
    static const int all_ms[] = {0, 3000, 10000};
    return w->options.script ? 0 : all_ms[rng_below(&w->rng, ARRAY_LEN(all_ms))];
}

void mountpoint_start(struct world *w, unsigned index, int draft_ms)
{
    static const int timeos_ms[] = {1000, 3000, 10000};
    struct mountpoint *m = mem_zalloc(sizeof(*m));
    w->mounts[index] = m;
    m->w = w;
    m->index = index;
    m->tick_at = INT64_MAX;
    m->connected_ms = m->idle_since_ms = -1;
    snprintf(m->path, sizeof(m->path), "/mnt%u", index);
    m->config = (struct mount_config){
        .source = "sim",
        .mountpoint = m->path,
        .chroot = SLICE_EMPTY,
        .timeo_ms = timeos_ms[w->options.script ? 2 : rng_below(&w->rng, ARRAY_LEN(timeos_ms))],
        .draft_ms = draft_ms >= 0 ? draft_ms : any_draft_ms(w),
        .cache = chance(w, 4) ? MOUNT_CACHE_PAGES : MOUNT_CACHE_VERSIONS,
        .sync = chance(w, 8),
        .acl_timeo_ms = acl_timeo_ms(w),
        /* Every fourth seed does in parts what else needs a directory of thousands. */
        .step_names = w->options.script || w->options.seed % 4 != 3 ? 0 : 2,
        .uid = 1,
        .gid = 1,
    };
    m->without_zxids = chance(w, 6);
    m->kernel = kernel_open(w, index, m->path);
    m->kernel->deliver = deliver;
    m->kernel->on_injected = on_injected;
    m->kernel->arg = m;
    if (checks(w, MOUNT_CHECK_wait))
        m->kernel->limit_ms = 4 * m->config.timeo_ms + 2 * w->times.timeout_max_ms;
    m->tamper = tamper_open(w);
    m->core = mount_open(&m->config, w->now_ms);
    unsigned at = w->n_clients++;
    m->client = &w->clients[at];
    m->client->mount = m;
    m->client->acting = true;
    client_start(w, m->client, at);
    if (m->without_zxids)
        cover_mount(MOUNT_POINT_without_zxids);
    if (m->config.cache == MOUNT_CACHE_PAGES)
        cover_mount(MOUNT_POINT_pages);
    if (m->config.sync)
        cover_mount(MOUNT_POINT_sync_option);
    if (m->config.acl_timeo_ms > 0)
        cover_mount(MOUNT_POINT_acl_timeo);
    sim_trace(w, "%s: timeo %d ms, draft %d ms, cache %s%s", m->kernel->name, m->config.timeo_ms,
              m->config.draft_ms, m->config.cache == MOUNT_CACHE_PAGES ? "pages" : "versions",
              m->config.sync ? ", sync" : "");
    programs_drop(w, m);
}

void mountpoint_stop(struct mountpoint *m)
{
    struct mount_event e = {.type = MOUNT_STOP};
    m->stopping = true;
    sim_trace(m->w, "%s: is stopped", m->kernel->name);
    step(m, &e);
}

/* Nothing is due soon. With acl_timeo something always is: then it must be idle for a while. */
bool mountpoint_is_quiet(struct mountpoint *m)
{
    int64_t now_ms = m->w->now_ms, wait_ms = m->config.draft_ms;
    bool idle = m->n_programs == 0 && kernel_is_idle(m->kernel) && mirror_is_quiet(m);
    if (!idle)
        m->idle_since_ms = -1;
    else if (m->idle_since_ms < 0)
        m->idle_since_ms = now_ms;
    bool long_idle = idle && now_ms > m->idle_since_ms + wait_ms + IDLE_MS;
    return idle && (mount_deadline(m->core) > now_ms + wait_ms ||
                    (m->config.acl_timeo_ms > 0 && long_idle));
}

void mountpoint_free(struct mountpoint *m)
{
    m->dead = true;
    mirror_free(m);
    kernel_close(m->kernel);
    mount_close(m->core);
    mount_effects_close(&m->fx);
    tamper_close(m->tamper);
    free(m->sessions);
    free(m->later);
    free(m);
}
