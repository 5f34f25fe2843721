/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deliberate wrongs between a mount's core and its shell, to see that the checks notice (--break):
 * what the core is told is changed or kept from it, and so is what it says. The core is always the
 * production code as it is. */
#include "mountpoint.h"

#include <errno.h>
#include <sys/inotify.h>

struct question {
    enum zk_op op;
    char path[MODEL_PATH_MAX];
};

struct tamper {
    struct question *asked; /* that have no answer yet */
    size_t n_asked, cap_asked;
    struct buf body;                 /* of an answer that is changed */
    struct buf rights[MOUNT_CLOSED]; /* answers to getACL, when it could be read */
    struct mount_event held;         /* an answer that comes behind the next one */
    struct buf held_body;
    bool holds, lets_go;
    struct mount_request request; /* that is changed */
    uint64_t early;               /* the close that was answered before its time */
    bool has_failed;              /* a commit, and the wrong one is to be told */
    char *from;                   /* of a move that was none */
    char *told;                   /* a file in /keep of whose change was told too early */
};

struct tamper *tamper_open(const struct world *w)
{
    return w->options.breakage == BREAK_NOTHING ? NULL : mem_zalloc(sizeof(struct tamper));
}

void tamper_close(struct tamper *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < MOUNT_CLOSED; i++)
        buf_close(&t->rights[i]);
    buf_close(&t->body);
    buf_close(&t->held_body);
    free(t->asked);
    free(t->from);
    free(t->told);
    free(t);
}

static bool is_below(const char *path, const char *dir)
{
    return strncmp(path, dir, strlen(dir)) == 0;
}

/* ---- What the core is told ---- */

static void empty_data(struct tamper *t, struct mount_event *e)
{
    struct jute_reader in = jute_reader_of(e->answer.body);
    struct zk_get_data_response get;
    zk_get_data_response_read(&in, &get);
    get.data = SLICE_EMPTY;
    buf_reset(&t->body);
    zk_get_data_response_write(&t->body, &get);
    e->answer.body = buf_slice(&t->body);
}

static void keep_right(struct mountpoint *m, const char *path, struct mount_event *e)
{
    struct buf *rights = &m->tamper->rights[path[strlen(path) - 1] == '1'];
    if (e->answer.err == ZK_OK) {
        buf_reset(rights);
        buf_append(rights, e->answer.body.data, slice_size(e->answer.body));
    } else if (e->answer.err == ZK_NOAUTH && rights->len > 0 &&
               breaks(m->w, BREAK_mount_keep_right, 1)) {
        e->answer.err = ZK_OK;
        e->answer.body = buf_slice(rights);
    }
}

/* The next one, which follows for sure, is of the same kind: it can be taken for this one. */
static bool swap_answers(struct mountpoint *m, const struct question *q,
                         const struct mount_event *e)
{
    struct tamper *t = m->tamper;
    if (t->holds) {
        t->holds = false;
        t->lets_go = true;
        mountpoint_after(m, &t->held);
    } else if (t->n_asked > 0 && q->op == ZK_OP_getData && t->asked[0].op == q->op &&
               breaks(m->w, BREAK_mount_swap_answers, 2)) {
        buf_reset(&t->held_body);
        buf_append(&t->held_body, e->answer.body.data, slice_size(e->answer.body));
        t->held = *e;
        t->held.answer.body = buf_slice(&t->held_body);
        return !(t->holds = true);
    }
    return true;
}

static bool tamper_answer(struct mountpoint *m, struct mount_event *e)
{
    struct tamper *t = m->tamper;
    if (t->lets_go) { /* the one that was held */
        t->lets_go = false;
        return true;
    }
    ensure(t->n_asked > 0);
    struct question q = t->asked[0];
    memmove(t->asked, t->asked + 1, --t->n_asked * sizeof(q));
    switch (m->w->options.breakage) {
    case BREAK_mount_empty_base:
        if (q.op == ZK_OP_getData && is_below(q.path, "/log/") && e->answer.err == ZK_OK &&
            breaks(m->w, BREAK_mount_empty_base, 4))
            empty_data(t, e);
        return true;
    case BREAK_mount_keep_right:
        if (q.op == ZK_OP_getACL && is_below(q.path, "/closed/"))
            keep_right(m, q.path, e);
        return true;
    case BREAK_mount_swap_answers:
        return swap_answers(m, &q, e);
    default:
        return true;
    }
}

static const struct file *file_of(const struct mountpoint *m, uint64_t fh)
{
    LIST_FOR_EACH (f, &m->kernel->files, struct file, link) {
        if (f->opened.fh == fh)
            return f;
    }
    return NULL;
}

static void reply_now(struct mountpoint *m, const struct mount_request *q, int err)
{
    struct mount_reply r = {.id = q->id, .op = q->op, .type = MOUNT_REPLY_ERR, .err = err};
    kernel_reply(m->kernel, &r);
}

static bool tamper_request(struct mountpoint *m, struct mount_event *e)
{
    struct tamper *t = m->tamper;
    const struct mount_request *q = e->request;
    struct mount_request *change = &t->request;
    bool lists = q->op == MOUNT_READDIR || q->op == MOUNT_READDIRPLUS;
    *change = *q;
    if (lists && q->offset > 0 && breaks(m->w, BREAK_mount_list_again, 2)) {
        change->offset = 0;
        e->request = change;
    } else if (q->op == MOUNT_WRITE && q->offset > ZK_PACKET_MAX &&
               breaks(m->w, BREAK_mount_keep_part, 1)) {
        reply_now(m, q, EFBIG);
        return false;
    } else if (q->op == MOUNT_WRITE && breaks(m->w, BREAK_mount_drop_draft, 20)) {
        *change = (struct mount_request){.op = MOUNT_RELEASE, .fh = q->fh, .abandoned = true};
        mountpoint_after(m, &(struct mount_event){.type = MOUNT_REQUEST, .request = change});
    } else if (q->op == MOUNT_FLUSH && t->early == 0 && file_of(m, q->fh) &&
               file_is_written(file_of(m, q->fh)) && breaks(m->w, BREAK_mount_early_close, 5)) {
        t->early = q->id;
        reply_now(m, q, 0);
    }
    return true;
}

bool tamper_event(struct mountpoint *m, struct mount_event *e)
{
    if (!m->tamper)
        return true;
    switch (e->type) {
    case MOUNT_ANSWERED:
        return tamper_answer(m, e);
    case MOUNT_REQUEST:
        return e->request->op == MOUNT_FORGET || tamper_request(m, e);
    case MOUNT_INJECTED:
        return e->rc != -EPIPE || !breaks(m->w, BREAK_mount_lose_death, 1);
    default:
        return true;
    }
}

/* ---- What the core says ---- */

static void note_question(struct tamper *t, const struct mount_effect *e)
{
    ROOM_FOR_ONE(t->asked, t->n_asked, t->cap_asked);
    struct question *q = &t->asked[t->n_asked++];
    q->op = e->ask.op;
    snprintf(q->path, sizeof(q->path), "%.*s", SLICE_ARG(mountpoint_path_of(e)));
}

static bool injected(struct mountpoint *m)
{
    mountpoint_after(m, &(struct mount_event){.type = MOUNT_INJECTED});
    return false;
}

static bool ends_with(const char *path, const char *end)
{
    size_t len = strlen(path), n = strlen(end);
    return len >= n && strcmp(path + len - n, end) == 0;
}

static bool tamper_inject(struct mountpoint *m, struct mount_effect *e)
{
    struct tamper *t = m->tamper;
    enum mount_inject kind = e->inject.kind;
    if (kind != MOUNT_INJECT_PROBE && breaks(m->w, BREAK_mount_lose_event, 10))
        return injected(m);
    if (kind == MOUNT_INJECT_DATA && t->told && ends_with(e->inject.path, t->told)) {
        free(t->told);
        t->told = NULL;
        return injected(m);
    }
    if (e->inject.is_dir || m->w->options.breakage != BREAK_mount_false_move)
        return true;
    if (kind == MOUNT_INJECT_DELETE && !t->from && breaks(m->w, BREAK_mount_false_move, 3)) {
        t->from = mem_strdup(e->inject.path);
        return injected(m);
    }
    bool other = t->from && strcmp(t->from, e->inject.path) != 0;
    if (kind == MOUNT_INJECT_CREATE && other && !strstr(e->inject.path, "/.data")) {
        e->inject.kind = MOUNT_INJECT_RENAME;
        e->inject.from = arena_str(&m->fx.arena, t->from);
        free(t->from);
        t->from = NULL;
    }
    return true;
}

static void forget_draft(const struct mountpoint *m, const struct mount_request *q,
                         struct mount_reply *r)
{
    struct buf path = {0};
    const struct inode *i = inode_find(m->kernel, q->ino);
    if (i && !list_is_empty(&i->names) && breaks(m->w, BREAK_mount_draft_size, 1)) {
        buf_append(&path, "/", 1);
        dentry_path(LIST_FIRST(&i->names, struct dentry, of_inode), &path);
        const struct znode *z = tree_find(m->w->shadow, buf_slice(&path));
        r->entry.st.st_size = z && znode_data(z).len > 0 ? znode_data(z).len : 0;
    }
    buf_close(&path);
}

static bool has_unknown(const struct mount_reply *r)
{
    for (size_t i = 0; i < r->n_entries; i++) {
        if (r->entries[i].st.st_mode == 0)
            return true;
    }
    return false;
}

static void refuse(struct mountpoint *m, struct mount_reply *r, int err)
{
    mountpoint_undo(m, r);
    *r = (struct mount_reply){.id = r->id, .op = r->op, .type = MOUNT_REPLY_ERR, .err = err};
}

static void keep_none(struct mountpoint *m, struct mount_reply *r)
{
    bool none = (r->type == MOUNT_REPLY_ENTRY && r->entry.ino == 0) ||
                (r->type == MOUNT_REPLY_ERR && r->err == ENOENT);
    if (!none ||
        !(breaks(m->w, BREAK_mount_keep_none, 1) || breaks(m->w, BREAK_mount_meet_none, 1)))
        return;
    *r = (struct mount_reply){.id = r->id, .op = r->op, .type = MOUNT_REPLY_ENTRY};
    r->entry.entry_ms = 1000000000;
}

static void tamper_close_reply(struct mountpoint *m, const struct mount_request *q,
                               struct mount_reply *r)
{
    const struct file *f = file_of(m, q->fh);
    if (r->err > 0 && r->err != EFBIG && breaks(m->w, BREAK_mount_lose_error, 1))
        r->err = 0;
    if (r->err == 0 && m->tamper->has_failed && f && f->opener != q->pid &&
        breaks(m->w, BREAK_mount_wrong_error, 1)) {
        m->tamper->has_failed = false;
        r->err = EROFS;
    }
}

enum {
    MINUTE_MS = 60000,
};

static bool tamper_reply(struct mountpoint *m, struct mount_reply *r)
{
    const struct mount_request *q = kernel_asked(m->kernel, r->id);
    struct world *w = m->w;
    if (r->id != 0 && r->id == m->tamper->early) {
        m->tamper->early = 0;
        return false;
    }
    if (!q)
        return true;
    if (breaks(w, BREAK_mount_no_reply, 1000))
        return false;
    if ((r->type == MOUNT_REPLY_ENTRY || r->type == MOUNT_REPLY_ATTR) && r->entry.attr_ms == 0 &&
        breaks(w, BREAK_mount_keep_attr, 1))
        r->entry.attr_ms = MINUTE_MS;
    if (r->op == MOUNT_FLUSH || r->op == MOUNT_FSYNC)
        tamper_close_reply(m, q, r);
    else if (r->type == MOUNT_REPLY_DIR && has_unknown(r) && breaks(w, BREAK_mount_unlistable, 1))
        refuse(m, r, EACCES);
    else if (r->type == MOUNT_REPLY_DATA && q->offset > 0 && breaks(w, BREAK_mount_no_more, 1))
        r->data = SLICE_EMPTY;
    else if (r->op == MOUNT_GETATTR && r->type == MOUNT_REPLY_ATTR)
        forget_draft(m, q, r);
    else if (r->op == MOUNT_LOOKUP && r->type == MOUNT_REPLY_ENTRY && strcmp(q->name, "1") == 0 &&
             breaks(w, BREAK_mount_miss_name, 20))
        refuse(m, r, ENOENT);
    else if (r->op == MOUNT_LOOKUP)
        keep_none(m, r);
    return true;
}

bool tamper_effect(struct mountpoint *m, struct mount_effect *e)
{
    if (!m->tamper)
        return true;
    switch (e->type) {
    case MOUNT_ASK:
        note_question(m->tamper, e);
        return true;
    case MOUNT_INJECT:
        return tamper_inject(m, e);
    case MOUNT_INVAL_ENTRY:
        return !breaks(m->w, BREAK_mount_meet_none, 1);
    case MOUNT_INVAL_INODE:
        return !breaks(m->w, BREAK_mount_keep_attr, 1);
    case MOUNT_REPLY:
        return tamper_reply(m, e->reply);
    case MOUNT_LOG:
        m->tamper->has_failed |= strstr(e->log.text, "was not committed") != NULL;
        return true;
    default:
        return true;
    }
}

/* The event that is to come later, and is left out then. */
static void tell_early(struct mountpoint *m, struct slice path)
{
    struct dentry *dir = dentry_find(m->kernel->root, "keep");
    char name[MODEL_PATH_MAX];
    snprintf(name, sizeof(name), "%.*s", SLICE_ARG(zk_path_name(path)));
    struct dentry *d = dir ? dentry_find(dir, name) : NULL;
    if (!d || !d->inode || m->tamper->told || !breaks(m->w, BREAK_mount_early_event, 3))
        return;
    m->tamper->told = mem_zalloc(slice_size(path) + 1);
    memcpy(m->tamper->told, path.data, slice_size(path));
    notify_dentry(d, IN_MODIFY);
}

void tamper_committed(struct world *w, const struct tree_outcome *outcome)
{
    for (size_t i = 0; i < outcome->n_events; i++) {
        const struct tree_event *ev = &outcome->events[i];
        bool is_keep = slice_starts_with(ev->path, slice_str("/keep/"));
        for (unsigned k = 0; k < w->n_mounts; k++) {
            if (w->mounts[k]->tamper && ev->type == ZK_EVENT_DATA_CHANGED && is_keep)
                tell_early(w->mounts[k], ev->path);
        }
    }
}

/* A step that does what is due for thousands of names at once. */
void tamper_step(struct mountpoint *m)
{
    struct mount_effects *fx = &m->fx;
    if (!m->tamper || fx->n == 0 || !breaks(m->w, BREAK_mount_flood, 1000))
        return;
    for (int i = 0; i < 5000; i++) {
        ROOM_FOR_ONE(fx->list, fx->n, fx->cap);
        fx->list[fx->n++] = (struct mount_effect){.type = MOUNT_LOG, .log.text = "again"};
    }
}
