/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mount's step: what happened goes to its handler. */
#include "core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STEP_NAMES = 1024,
};

#define NAME(op) [MOUNT_##op] = #op

const char *mount_op_name(enum mount_op op)
{
    static const char *const names[MOUNT_N_OPS] = {
        NAME(LOOKUP),      NAME(FORGET),     NAME(GETATTR),   NAME(SETATTR), NAME(ACCESS),
        NAME(STATFS),      NAME(GETXATTR),   NAME(LISTXATTR), NAME(OPENDIR), NAME(READDIR),
        NAME(READDIRPLUS), NAME(RELEASEDIR), NAME(OPEN),      NAME(CREATE),  NAME(READ),
        NAME(WRITE),       NAME(FLUSH),      NAME(RELEASE),   NAME(FSYNC),   NAME(MKDIR),
        NAME(MKNOD),       NAME(UNLINK),     NAME(RMDIR),     NAME(SYMLINK), NAME(LINK),
        NAME(RENAME),
    };
    return names[op];
}

/* ---- Requests ---- */

static request_handler *const handlers[MOUNT_N_OPS] = {
    [MOUNT_LOOKUP] = req_lookup,       [MOUNT_FORGET] = req_forget,
    [MOUNT_GETATTR] = req_getattr,     [MOUNT_SETATTR] = req_setattr,
    [MOUNT_ACCESS] = req_access,       [MOUNT_STATFS] = req_statfs,
    [MOUNT_GETXATTR] = req_getxattr,   [MOUNT_LISTXATTR] = req_listxattr,
    [MOUNT_OPENDIR] = req_opendir,     [MOUNT_READDIR] = req_readdir,
    [MOUNT_READDIRPLUS] = req_readdir, [MOUNT_RELEASEDIR] = req_releasedir,
    [MOUNT_OPEN] = req_open,           [MOUNT_CREATE] = req_create,
    [MOUNT_READ] = req_read,           [MOUNT_WRITE] = req_write,
    [MOUNT_FLUSH] = req_flush,         [MOUNT_RELEASE] = req_release,
    [MOUNT_FSYNC] = req_fsync,         [MOUNT_MKDIR] = req_mkdir,
    [MOUNT_MKNOD] = req_mknod,         [MOUNT_UNLINK] = req_unlink,
    [MOUNT_RMDIR] = req_rmdir,         [MOUNT_SYMLINK] = req_refuse,
    [MOUNT_LINK] = req_refuse,         [MOUNT_RENAME] = req_rename,
};

/* What the injector's system calls become; it makes no others. */
static request_handler *const injected_handlers[MOUNT_N_OPS] = {
    [MOUNT_LOOKUP] = injected_lookup, [MOUNT_FORGET] = req_forget,
    [MOUNT_GETATTR] = req_getattr,    [MOUNT_SETATTR] = injected_setattr,
    [MOUNT_ACCESS] = injected_ok,     [MOUNT_STATFS] = req_statfs,
    [MOUNT_OPEN] = injected_open,     [MOUNT_CREATE] = injected_make,
    [MOUNT_FLUSH] = injected_ok,      [MOUNT_RELEASE] = injected_ok,
    [MOUNT_MKDIR] = injected_make,    [MOUNT_MKNOD] = injected_make,
    [MOUNT_UNLINK] = injected_remove, [MOUNT_RMDIR] = injected_remove,
    [MOUNT_RENAME] = injected_ok,
};

static void handle_request(struct mount *m, const struct mount_request *q)
{
    struct req req = {.m = m, .serial = ++m->serial, .id = q->id, .op = q->op, .pid = q->pid};
    request_handler *handler = q->injected ? injected_handlers[q->op] : handlers[q->op];
    m->count.requests++;
    m->count.by_op[q->op]++;
    m->handling = req.serial;
    if (handler)
        handler(m, q, req);
    else
        reply_err(req, q->injected ? EPERM : ENOSYS);
    if (m->handling != 0 && q->op != MOUNT_FORGET)
        pending_add(req);
    m->handling = 0;
}

/* ---- The session ---- */

bool mount_is_cut_off(const struct mount *m)
{
    return !m->connected || mount_is_stale(m);
}

bool mount_is_stale(const struct mount *m)
{
    return m->now_ms - m->config.timeo_ms >= m->quiet_since_ms;
}

bool mount_may_retry(const struct mount *m, int32_t zk_err, int64_t deadline_ms)
{
    return (zk_err == ZK_CONNECTIONLOSS || zk_err == ZK_SESSIONEXPIRED) && !m->closed &&
           m->now_ms < deadline_ms;
}

static void identity_cut(struct identity *who, size_t n)
{
    while (who->n > n) {
        who->n--;
        free(who->ids[who->n].scheme);
        free(who->ids[who->n].id);
    }
}

static void on_who(void *arg, const struct answer *answer)
{
    struct mount *m = arg;
    struct zk_who_am_i_response who;
    struct jute_reader in = jute_reader_of(answer->body);
    if (answer->err != ZK_OK)
        return; /* before 3.7: what we know ourselves has to do */
    zk_who_am_i_response_read(&in, &who);
    if (!jute_ok(&in))
        return;
    identity_cut(&m->who, m->n_own);
    struct jute_reader it = jute_vector_iter(&who.client_info);
    for (int32_t i = 0; i < who.client_info.count; i++) {
        struct zk_client_info info;
        zk_client_info_read(&it, &info);
        if (jute_ok(&it) && !slice_eq_str(info.auth_scheme, "digest"))
            identity_add(&m->who, info.auth_scheme, info.user);
    }
}

static void end(struct mount *m, int err, const char *text)
{
    struct mount_effect *e = effect_add(m, MOUNT_END);
    e->end.err = err;
    e->end.text = text;
    m->closed = true;
}

static void on_root(void *arg, struct node *n, int32_t zk_err)
{
    struct mount *m = arg;
    (void)n;
    if (m->stopping)
        return;
    if (zk_err == ZK_OK) {
        effect_add(m, MOUNT_DO_MOUNT);
        return;
    }
    m->stopping = true;
    if (zk_err == ZK_NONODE)
        end(m, -ENOENT, "the chroot does not exist on the server");
    else
        end(m, -EIO,
            arena_printf(&m->fx->arena, "cannot read the root: %s", zk_error_text(zk_err)));
}

static void session_changed(struct mount *m, const struct mount_session *session)
{
    bool connected = session->state == CLIENT_CONNECTED;
    bool came = connected && !m->connected;
    if (m->connected && !connected) {
        m->quiet_since_ms = MIN(m->quiet_since_ms, m->now_ms);
        m->disconnected_wall_ms = m->wall_ms;
    }
    if (came)
        m->quiet_since_ms = m->n_asked > 0 ? m->now_ms : INT64_MAX;
    m->connected = connected;
    m->session = *session;
    snprintf(m->server, sizeof(m->server), "%s", session->server ? session->server : "");
    m->session.server = m->server;
    effect_log(m, LOG_LEVEL_INFO, "%s %s", client_state_name(session->state), m->server);
    if (!came || m->stopping)
        return;
    m->count.reconnects += m->asked_mount;
    ask_who_am_i(m, on_who, m);
    if (m->mounted) {
        round_everything(m);
    } else if (!m->asked_mount) {
        m->asked_mount = true;
        fetch_entry(m, m->nodes.root, on_root, m);
    }
}

/* ---- The end ---- */

static void on_all_committed(void *arg, int err)
{
    struct mount *m = arg;
    if (err != 0)
        effect_log(m, LOG_LEVEL_ERROR, "a write was lost at the end: %s", strerror(err));
    end(m, 0, NULL);
}

static void stop(struct mount *m)
{
    if (m->stopping)
        return;
    m->stopping = true;
    m->round_at = INT64_MAX;
    commit_all(m, NULL, on_all_committed, m);
}

/* ---- The step ---- */

static void tick(struct mount *m)
{
    work_do_some(m);
    if (m->round_at <= m->now_ms) {
        m->round_at = INT64_MAX;
        round_begin(m);
    }
    if (m->draft_at <= m->now_ms) {
        m->draft_at = INT64_MAX;
        commit_idle(m);
    }
    if (acl_deadline(m) <= m->now_ms)
        acl_refresh(m);
    pending_expire(m);
}

/* struct fuse_dirent and fuse_direntplus are 24 and 152 bytes, and the name is filled up to 8. */
size_t mount_entry_size(size_t name_len, bool plus)
{
    return ((plus ? 152 : 24) + name_len + 7) / 8 * 8;
}

int64_t mount_deadline(const struct mount *m)
{
    if (!list_is_empty(&m->works))
        return m->now_ms;
    return MIN(MIN(m->round_at, m->draft_at), MIN(pending_deadline(m), acl_deadline(m)));
}

size_t mount_nodes(const struct mount *m)
{
    return m->nodes.by_id.count;
}

void mount_step(struct mount *m, const struct mount_event *event, struct mount_effects *fx)
{
    fx->n = 0;
    arena_reset(&fx->arena);
    m->fx = fx;
    m->now_ms = event->now_ms;
    m->wall_ms = event->wall_ms;
    switch (event->type) {
    case MOUNT_REQUEST:
        handle_request(m, event->request);
        break;
    case MOUNT_ANSWERED:
        ask_answered(m, &(struct answer){event->answer.err, event->answer.zxid, event->answer.body,
                                         event->answer.too_long});
        break;
    case MOUNT_WATCH_FIRED:
        watch_event(m, &event->watch.event, event->watch.zxid);
        break;
    case MOUNT_SESSION:
        session_changed(m, &event->session);
        break;
    case MOUNT_INJECTED:
        inject_done(m, event->rc);
        break;
    case MOUNT_OPENER_SEEN:
        file_opener_seen(m, event->opener.id, event->opener.count, event->opener.own,
                         event->opener.same);
        break;
    case MOUNT_MOUNTED:
        m->mounted = true;
        inject_probe(m);
        break;
    case MOUNT_TICK:
        tick(m);
        break;
    case MOUNT_STOP:
        stop(m);
        break;
    }
    ask_finish(m);
    effects_finish(m);
    m->fx = NULL;
}

/* ---- Beginning and end ---- */

struct mount *mount_open(const struct mount_config *config, int64_t now_ms)
{
    struct mount *m = mem_zalloc(sizeof(*m));
    m->config = *config;
    if (m->config.step_names == 0)
        m->config.step_names = STEP_NAMES;
    m->now_ms = m->quiet_since_ms = now_ms;
    m->round_at = m->draft_at = INT64_MAX;
    m->session.server = m->server;
    nodes_init(&m->nodes);
    list_init(&m->due);
    list_init(&m->drafts);
    list_init(&m->looking);
    list_init(&m->dirty);
    list_init(&m->works);
    list_init(&m->listings);
    list_init(&m->injections);
    return m;
}

void mount_add_identity(struct mount *m, struct slice scheme, struct slice id)
{
    identity_add(&m->who, scheme, id);
    m->n_own = m->who.n;
}

void mount_close(struct mount *m)
{
    work_close(m);
    inject_close(m);
    round_close(m);
    ask_close(m);
    pending_close(m);
    hmap_close(&m->handles);
    nodes_close(&m->nodes);
    identity_close(&m->who);
    buf_close(&m->held);
    buf_close(&m->last_error);
    free(m);
}
