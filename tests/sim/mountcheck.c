/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must hold of mounts, by what their programs were told and by the one tree that the committed
 * transactions make. Each function here is one promise with a sentence of its own:
 *
 *     a close, fsync, mkdir, rename or unlink says what became of its transaction
 *     an appended line is there once if its close has said so, and no line goes away
 *     a descriptor reads its own draft (own_file.c)
 *     a reader sees whole versions, none older than what its mount knew of
 *     a name that was there all the time is there, and once in a listing
 *     a mirror that follows events has the tree (mirror.c)
 *     who stands at the end of a file gets what is appended (follow.c)
 *     what the kernel keeps is what is in the tree (cachecheck.c)
 *     what may not be read is not served for long, and hides nothing else (aclcheck.c)
 *     what is told as a move was one (movecheck.c)
 *     a request ends in time, and a step says no more than it may */
#include "mountpoint.h"

#include <errno.h>

enum {
    KEEPS = 3,
    EFFECTS_MAX = 2000, /* of a step */
    QUIET_MS = 120000,  /* for all to come to rest */
    ACL_TIMEO_MAX_MS = 11000,
};

enum line_state { LINE_UNKNOWN, LINE_THERE, LINE_NOT_THERE };

struct line {
    char *text;
    enum line_state state;
};

/* What a name in /keep has been. */
struct versions {
    struct buf *data;
    size_t n, cap;
};

struct mountcheck {
    struct line *lines;
    size_t n_lines, cap_lines;
    struct buf logs[MOUNT_LOGS];
    struct versions keep[KEEPS];
    size_t known[MOUNTS_MAX][KEEPS]; /* version + 1 that a mount has given to somebody */
    bool seen[MOUNTS_MAX][KEEPS];
};

void mountcheck_open(struct world *w)
{
    w->mountcheck = mem_zalloc(sizeof(*w->mountcheck));
    movecheck_open(w);
}

void mountcheck_close(struct world *w)
{
    struct mountcheck *c = w->mountcheck;
    if (!c)
        return;
    for (size_t i = 0; i < c->n_lines; i++)
        free(c->lines[i].text);
    free(c->lines);
    for (size_t i = 0; i < MOUNT_LOGS; i++)
        buf_close(&c->logs[i]);
    for (size_t i = 0; i < KEEPS; i++) {
        for (size_t n = 0; n < c->keep[i].n; n++)
            buf_close(&c->keep[i].data[n]);
        free(c->keep[i].data);
    }
    free(c);
    w->mountcheck = NULL;
    movecheck_close(w);
}

/* An error after which nobody knows: the promise is only that it was done once or not at all. */
static bool is_open(int64_t rc)
{
    return rc == -EIO || rc == -EINTR || rc == -ESRCH || rc == -ETIMEDOUT || rc == -ENOTCONN;
}

/* ---- Transactions ---- */

static struct slice data_at(const struct world *w, const char *path)
{
    const struct znode *z = tree_find(w->shadow, slice_str(path));
    return z && !slice_is_null(znode_data(z)) ? znode_data(z) : SLICE_EMPTY;
}

static int number_in(struct slice path, const char *dir, int limit)
{
    char text[64];
    int n = -1, len = 0;
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(path));
    if (strncmp(text, dir, strlen(dir)) != 0 ||
        sscanf(text + strlen(dir), "/%d%n", &n, &len) != 1 ||
        text[strlen(dir) + (size_t)len] != '\0')
        return -1;
    return n >= 0 && n < limit ? n : -1;
}

/* Nothing happens to a log but lines behind those that are there. */
static void log_changed(struct world *w, int n, const struct zk_txn_header *h)
{
    char path[24];
    snprintf(path, sizeof(path), "/log/%d", n);
    struct slice now = data_at(w, path);
    struct buf *before = &w->mountcheck->logs[n];
    cover_mount(MOUNT_POINT_check_log);
    if (!slice_starts_with(now, buf_slice(before)) && checks(w, MOUNT_CHECK_line))
        sim_fail(w, SIM_BROKEN,
                 "zxid 0x%" PRIx64 " of session 0x%" PRIx64
                 " takes lines away: %s was\n%.*sand is\n%.*s",
                 (uint64_t)h->zxid, (uint64_t)h->client_id, path, (int)before->len,
                 (char *)before->data, SLICE_ARG(now));
    buf_reset(before);
    buf_append(before, now.data, slice_size(now));
}

static void keep_changed(struct world *w, int n)
{
    char path[24];
    struct versions *v = &w->mountcheck->keep[n];
    snprintf(path, sizeof(path), "/keep/%d", n);
    struct slice now = data_at(w, path);
    ROOM_FOR_ONE(v->data, v->n, v->cap);
    v->data[v->n] = (struct buf){0};
    buf_append(&v->data[v->n++], now.data, slice_size(now));
}

/* On one line. */
const char *text_line(struct slice data, char *out, size_t size)
{
    size_t n = 0;
    for (int32_t i = 0; i < data.len && n + 3 < size; i++) {
        char c = (char)data.data[i];
        if (c == '\n' || c == '\0')
            out[n++] = '\\';
        out[n++] = c == '\n' ? 'n' : c == '\0' ? '0' : c;
    }
    out[n] = '\0';
    return out;
}

static void trace_event(struct world *w, const struct zk_txn_header *h, const struct tree_event *ev)
{
    static const char *const what[] = {
        [ZK_EVENT_CREATED] = "is made",
        [ZK_EVENT_DELETED] = "is gone",
        [ZK_EVENT_DATA_CHANGED] = "is",
    };
    char text[48];
    if (ev->type == ZK_EVENT_CHILDREN_CHANGED)
        return;
    const struct znode *z = tree_find(w->shadow, ev->path);
    struct slice data = z && znode_data(z).len > 0 ? znode_data(z) : SLICE_EMPTY;
    sim_trace(w, "tree: 0x%" PRIx64 " %.*s %s '%s'", (uint64_t)h->zxid, SLICE_ARG(ev->path),
              what[ev->type], text_line(data, text, sizeof(text)));
}

void mountcheck_committed(struct world *w, const struct zk_txn_header *h,
                          const struct tree_outcome *outcome)
{
    movecheck_committed(w, outcome);
    tamper_committed(w, outcome);
    for (size_t i = 0; i < outcome->n_events; i++) {
        const struct tree_event *ev = &outcome->events[i];
        trace_event(w, h, ev);
        int log = number_in(ev->path, "/log", MOUNT_LOGS),
            keep = number_in(ev->path, "/keep", KEEPS);
        if (ev->type == ZK_EVENT_DELETED && (log >= 0 || keep >= 0) && checks(w, MOUNT_CHECK_made))
            sim_fail(w, SIM_BROKEN, "zxid 0x%" PRIx64 " removes %.*s, which nobody asked for",
                     (uint64_t)h->zxid, SLICE_ARG(ev->path));
        if (log >= 0)
            log_changed(w, log, h);
        if (keep >= 0)
            keep_changed(w, keep);
    }
}

/* ---- Lines ---- */

void mountcheck_append_begins(struct world *w, const char *line)
{
    struct mountcheck *c = w->mountcheck;
    ROOM_FOR_ONE(c->lines, c->n_lines, c->cap_lines);
    c->lines[c->n_lines++] = (struct line){mem_strdup(line), LINE_UNKNOWN};
}

static size_t count_lines(struct slice text, const char *line)
{
    size_t n = 0, len = strlen(line);
    for (size_t i = 0; i + len <= slice_size(text); i++)
        n += memcmp(text.data + i, line, len) == 0;
    return n;
}

static void check_line(struct world *w, const struct line *l)
{
    size_t n = 0;
    if (!checks(w, MOUNT_CHECK_line))
        return;
    for (size_t i = 0; i < MOUNT_LOGS; i++)
        n += count_lines(buf_slice(&w->mountcheck->logs[i]), l->text);
    if (l->state == LINE_THERE && n != 1)
        sim_fail(w, SIM_BROKEN,
                 "close has said that a line is there, and it is there %zu times: %s", n, l->text);
    if (n > 1 || (l->state == LINE_NOT_THERE && n > 0))
        sim_fail(w, SIM_BROKEN, "a line %s is there %zu times: %s",
                 l->state == LINE_NOT_THERE ? "that was refused" : "of an error", n, l->text);
}

void mountcheck_append_ended(struct world *w, const char *line, int64_t rc)
{
    struct mountcheck *c = w->mountcheck;
    for (size_t i = c->n_lines; i > 0; i--) {
        struct line *l = &c->lines[i - 1];
        if (strcmp(l->text, line) != 0)
            continue;
        cover_mount(MOUNT_POINT_check_line);
        l->state = rc >= 0 ? LINE_THERE : is_open(rc) ? LINE_UNKNOWN : LINE_NOT_THERE;
        check_line(w, l);
        return;
    }
}

/* What was read of a log, which only grows. */
void mountcheck_begins(struct mountpoint *m, int log, struct slice data)
{
    const struct buf *is = &m->w->mountcheck->logs[log];
    if (!slice_starts_with(buf_slice(is), data))
        sim_fail(m->w, SIM_BROKEN, "%s: who follows /log/%d gets\n%.*swhere\n%.*sis",
                 m->kernel->name, log, SLICE_ARG(data), (int)is->len, (char *)is->data);
}

/* ---- Names of one process ---- */

static bool is_there(const struct world *w, const char *path)
{
    char full[300];
    snprintf(full, sizeof(full), "/%s", path);
    return tree_find(w->shadow, slice_str(full));
}

static _Noreturn void fail_call(const struct mountpoint *m, const struct call *c, const char *what)
{
    struct buf text = {0};
    call_text(c, &text);
    sim_fail(m->w, SIM_BROKEN, "%s: %.*s says %s, but %s", m->kernel->name, (int)text.len,
             (char *)text.data, c->rc < 0 ? strerror((int)-c->rc) : "0", what);
}

void mountcheck_made(struct mountpoint *m, const struct call *c)
{
    bool there = is_there(m->w, c->path), done = c->rc >= 0;
    cover_mount(MOUNT_POINT_check_made);
    if (is_open(c->rc) || !checks(m->w, MOUNT_CHECK_made))
        return;
    bool removes = c->type == CALL_RMDIR || c->type == CALL_UNLINK || c->type == CALL_RENAME;
    if (there == (removes ? done : !done))
        fail_call(m, c, there ? "it is there" : "it is not there");
    if (c->type == CALL_RENAME && is_there(m->w, c->path2) != done)
        fail_call(m, c, done ? "the new name is not there" : "the new name is there");
}

void mountcheck_content(struct mountpoint *m, const char *path, struct slice must, const char *what)
{
    char full[64];
    snprintf(full, sizeof(full), "/%s", path);
    struct slice is = data_at(m->w, full);
    cover_mount(MOUNT_POINT_check_content);
    if (!checks(m->w, MOUNT_CHECK_content))
        return;
    if (!is_there(m->w, path))
        sim_fail(m->w, SIM_BROKEN, "%s: %s of %s says 0, and it is not there", m->kernel->name,
                 what, full);
    if (!slice_eq(is, must))
        sim_fail(m->w, SIM_BROKEN, "%s: %s of %s says 0, and there is '%.*s' instead of '%.*s'",
                 m->kernel->name, what, full, SLICE_ARG(is), SLICE_ARG(must));
}

/* ---- Names that are always there ---- */

static int keep_of(const char *path)
{
    char full[300];
    snprintf(full, sizeof(full), "/%s", path);
    return number_in(slice_str(full), "/keep", KEEPS);
}

void mountcheck_missed(struct mountpoint *m, const struct call *c)
{
    int n = keep_of(c->path);
    bool *seen = &m->w->mountcheck->seen[m->index][n];
    cover_mount(MOUNT_POINT_check_missed);
    if ((c->rc == -ENOENT || c->rc == -ESTALE) && *seen && checks(m->w, MOUNT_CHECK_missed))
        fail_call(m, c, "it was there all the time");
    if (c->rc >= 0)
        *seen = true;
}

static bool is_whole(struct slice data)
{
    char text[64];
    unsigned long long token;
    size_t pad;
    int head = 0;
    snprintf(text, sizeof(text), "%.*s", MIN(data.len, 48), (const char *)data.data);
    if (sscanf(text, "%llu:%zu:%n", &token, &pad, &head) != 2 || head == 0 ||
        slice_size(data) != (size_t)head + pad)
        return false;
    for (size_t i = (size_t)head; i < slice_size(data); i++) {
        if (data.data[i] != '~')
            return false;
    }
    return true;
}

/* Each reader of a mount sees what another one has seen there, or later. */
void mountcheck_read(struct mountpoint *m, const char *path, struct slice data, int64_t began_ms)
{
    struct world *w = m->w;
    int n = keep_of(path);
    struct versions *v = &w->mountcheck->keep[n];
    size_t *known = &w->mountcheck->known[m->index][n], at = v->n;
    (void)began_ms;
    cover_mount(MOUNT_POINT_check_read);
    if (!checks(w, MOUNT_CHECK_read) || m->config.cache == MOUNT_CACHE_PAGES)
        return; /* pages are of several versions at times, as the manual says */
    if (!is_whole(data) && w->n_killed == 0) /* a writer that is killed leaves a part */
        sim_fail(w, SIM_BROKEN, "%s: a reader of /%s sees a part: '%.*s'", m->kernel->name, path,
                 SLICE_ARG(data));
    while (at > 0 && !slice_eq(buf_slice(&v->data[at - 1]), data))
        at--;
    if (at == 0)
        sim_fail(w, SIM_BROKEN, "%s: a reader of /%s sees '%.*s', which it never was",
                 m->kernel->name, path, SLICE_ARG(data));
    *known = MAX(*known, at);
}

void mountcheck_listed(struct mountpoint *m, const struct buf *names)
{
    size_t count[KEEPS] = {0};
    for (size_t i = 0; i < names->len; i += strlen((char *)names->data + i) + 1) {
        char path[300];
        snprintf(path, sizeof(path), "keep/%s", (char *)names->data + i);
        int n = keep_of(path);
        if (n >= 0)
            count[n]++;
    }
    cover_mount(MOUNT_POINT_check_listed);
    for (int n = 0; n < KEEPS; n++) {
        if (count[n] != 1 && checks(m->w, MOUNT_CHECK_listed) &&
            m->w->mountcheck->seen[m->index][n])
            sim_fail(m->w, SIM_BROKEN, "%s: a listing has keep/%d %zu times", m->kernel->name, n,
                     count[n]);
    }
}

/* ---- Steps ---- */

void mountcheck_step(struct mountpoint *m, const struct mount_event *e)
{
    cover_mount(MOUNT_POINT_check_step);
    m->n_effects_max = MAX(m->n_effects_max, m->fx.n);
    if (m->fx.n > EFFECTS_MAX && checks(m->w, MOUNT_CHECK_step))
        sim_fail(m->w, SIM_BROKEN, "%s: %zu effects of one event of type %d", m->kernel->name,
                 m->fx.n, (int)e->type);
}

/* ---- The end ---- */

static bool all_quiet(const struct world *w)
{
    for (unsigned i = 0; i < w->n_mounts; i++) {
        if (!mountpoint_is_quiet(w->mounts[i]))
            return false;
    }
    return true;
}

static void pass_until(struct world *w, bool (*done)(const struct world *w), const char *what)
{
    int64_t deadline = w->now_ms + QUIET_MS;
    while (!done(w)) {
        for (unsigned i = 0; i < w->n_mounts; i++)
            kernel_check_waits(w->mounts[i]->kernel);
        if (!sim_step(w) || w->now_ms > deadline)
            sim_fail(w, SIM_STALLED, "nothing goes wrong any more, but: %s", what);
    }
}

static void pass(struct world *w, int64_t ms)
{
    int64_t end = w->now_ms + ms;
    while (w->n_heap > 0 && w->heap[0].at_ms <= end)
        sim_step(w);
    w->now_ms = end;
}

static bool all_ended(const struct world *w)
{
    for (unsigned i = 0; i < w->n_mounts; i++) {
        const struct mountpoint *m = w->mounts[i];
        if (!m->ended || !mirror_is_over(m) || !kernel_is_idle(m->kernel))
            return false;
    }
    return tasks_alive() == 0;
}

/* Those of scripts: others have ended by themselves. */
static void end_processes(struct kernel *k)
{
    LIST_FOR_EACH (p, &k->processes, struct process, link) {
        if (k->w->options.script && !p->injector)
            kernel_end_killed(p);
    }
}

void mountcheck_end(struct world *w)
{
    if (w->n_mounts == 0)
        return;
    pass_until(w, all_quiet, "mounts do not come to rest");
    pass(w, 3000);
    pass_until(w, all_quiet, "mounts do not come to rest again");
    pass(w, w->options.script ? 0 : ACL_TIMEO_MAX_MS);
    for (unsigned i = 0; i < w->n_mounts; i++)
        aclcheck_end(w->mounts[i]);
    pass_until(w, all_quiet, "mounts do not come to rest for the third time");
    sim_trace(w, "the mounts are quiet");
    for (size_t i = 0; i < w->mountcheck->n_lines; i++)
        check_line(w, &w->mountcheck->lines[i]);
    for (unsigned i = 0; i < w->n_mounts; i++) {
        cachecheck_quiet(w->mounts[i]);
        mirror_compare(w->mounts[i]);
    }
    for (unsigned i = 0; i < w->n_mounts; i++) {
        mirror_end(w->mounts[i]);
        end_processes(w->mounts[i]->kernel);
    }
    pass(w, 1000);
    for (unsigned i = 0; i < w->n_mounts; i++)
        mountpoint_stop(w->mounts[i]);
    pass_until(w, all_ended, "mounts do not end");
}
