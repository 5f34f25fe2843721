/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests wait in a queue until the core reads them, one behind the other and late at times. The
 * caller sleeps until there is a reply, and what the reply changes in the kernel happens when it
 * runs again, not when the core has said it.
 *
 * A caller that is killed goes away without an answer as long as its request was not read; then it
 * waits for the reply, as Linux has it (request_wait_answer). In some runs it does not wait, and
 * the reply is not taken: the contract with the core has that case too. */
#include "sim.h"
#include "kernel.h"

#include <errno.h>

void queue_init(struct kernel *k)
{
    list_init(&k->queue);
    list_init(&k->asked);
}

static void pending_free(struct pending *a)
{
    list_remove(&a->link);
    buf_close(&a->bytes);
    arena_close(&a->arena);
    free(a);
}

void queue_close(struct kernel *k)
{
    LIST_FOR_EACH_SAFE (a, &k->queue, struct pending, link)
        pending_free(a);
    LIST_FOR_EACH_SAFE (a, &k->asked, struct pending, link)
        pending_free(a);
}

/* ---- To the core ---- */

static struct pending *pending_new(struct kernel *k, const struct mount_request *r)
{
    struct pending *a = mem_zalloc(sizeof(*a));
    a->request = *r;
    a->request.id = ++k->next_id;
    list_init(&a->link);
    if (r->name)
        a->request.name = arena_str(&a->arena, r->name);
    if (r->new_name)
        a->request.new_name = arena_str(&a->arena, r->new_name);
    if (r->data.len > 0) {
        buf_append(&a->bytes, r->data.data, slice_size(r->data));
        a->request.data = buf_slice(&a->bytes);
    }
    return a;
}

static void pending_text(const struct mount_request *r, struct buf *out)
{
    buf_printf(out, "%s %" PRIu64, mount_op_name(r->op), r->ino);
    if (r->name)
        buf_printf(out, " %s", r->name);
    if (r->new_name)
        buf_printf(out, " to %" PRIu64 " %s", r->new_ino, r->new_name);
    if (r->op == MOUNT_READ || r->op == MOUNT_READDIR || r->op == MOUNT_READDIRPLUS)
        buf_printf(out, " %" PRIu64 "+%" PRIu64, r->offset, r->size);
    if (r->op == MOUNT_WRITE)
        buf_printf(out, " %" PRIu64 "+%zu", r->offset, slice_size(r->data));
    if (r->op == MOUNT_FORGET)
        buf_printf(out, " %" PRIu64, r->lookups);
    if (r->op == MOUNT_SETATTR && (r->set & MOUNT_SET_SIZE))
        buf_printf(out, " size %" PRIu64, r->size);
    if (r->op == MOUNT_OPEN || r->op == MOUNT_CREATE)
        buf_printf(out, " flags %#x", (unsigned)r->open_flags);
    if (r->fh != 0)
        buf_printf(out, " fh");
    buf_printf(out, "%s", r->injected ? " (injected)" : "");
}

static void trace_request(struct kernel *k, const struct pending *a)
{
    struct buf text = {0};
    pending_text(&a->request, &text);
    sim_detail(k->w, "%s: %s<- #%" PRIu64 " %.*s", k->name,
               a->process ? a->process->name : "kernel ", a->request.id, (int)text.len,
               (char *)text.data);
    buf_close(&text);
}

static void read_more(struct kernel *k);

static void read_one(struct world *w, void *arg)
{
    struct kernel *k = arg;
    (void)w;
    k->reading = false;
    if (list_is_empty(&k->queue) || k->gone)
        return;
    struct pending *a = LIST_FIRST(&k->queue, struct pending, link);
    list_remove(&a->link);
    a->delivered = true;
    k->n_requests++;
    cover(COVER_MOUNT_REQUEST, (int32_t)a->request.op, 0);
    trace_request(k, a);
    if (a->request.op == MOUNT_FORGET) {
        k->n_forgets++;
        k->deliver(k, &a->request);
        pending_free(a);
    } else {
        a->sent_ms = k->w->now_ms;
        list_append(&k->asked, &a->link);
        k->deliver(k, &a->request);
    }
    read_more(k);
}

static void read_more(struct kernel *k)
{
    if (k->reading || list_is_empty(&k->queue))
        return;
    k->reading = true;
    sim_at(k->w, chance(k->w, 4) ? between(k->w, 1, 5) : 0, read_one, k);
}

static void enqueue(struct kernel *k, struct pending *a)
{
    list_append(&k->queue, &a->link);
    read_more(k);
}

/* What is sent and waited for whatever happens to the caller. */
static bool is_forced(enum mount_op op)
{
    return op == MOUNT_FLUSH || op == MOUNT_RELEASE || op == MOUNT_RELEASEDIR;
}

int queue_ask(struct kernel *k, struct process *p, const struct mount_request *r,
              struct pending **reply)
{
    *reply = NULL;
    if (k->gone)
        return -ENOTCONN;
    if (p && p->killed && !is_forced(r->op))
        return -EINTR;
    struct pending *a = pending_new(k, r);
    a->task = task_running();
    a->process = p;
    a->request.pid = p ? p->pid : 0;
    a->request.injected = p && p->injector;
    if (p)
        p->waits_for = a;
    enqueue(k, a);
    task_sleep(k->w);
    if (p)
        p->waits_for = NULL;
    a->task = NULL;
    if (!a->answered) { /* killed, or the mount is gone */
        int rc = k->gone ? -ENOTCONN : -EINTR;
        a->process = NULL;
        if (!a->delivered || a->untaken || k->gone)
            pending_free(a);
        return rc;
    }
    int rc = a->reply.type == MOUNT_REPLY_ERR ? -a->reply.err : 0;
    if (rc < 0) {
        pending_free(a);
        return rc;
    }
    *reply = a;
    return 0;
}

void queue_done(struct pending *a)
{
    if (a)
        pending_free(a);
}

int queue_ask_plain(struct kernel *k, struct process *p, const struct mount_request *r)
{
    struct pending *a;
    int rc = queue_ask(k, p, r, &a);
    queue_done(a);
    return rc;
}

/* ---- What nobody waits for ---- */

struct delayed {
    struct kernel *k;
    struct pending *a;
};

static void send_delayed(struct world *w, void *arg)
{
    struct delayed *d = arg;
    (void)w;
    if (d->k->gone)
        pending_free(d->a);
    else
        enqueue(d->k, d->a);
    free(d);
}

void queue_send(struct kernel *k, int64_t delay_ms, const struct mount_request *r)
{
    struct delayed *d = mem_zalloc(sizeof(*d));
    if (k->gone) {
        free(d);
        return;
    }
    *d = (struct delayed){k, pending_new(k, r)};
    if (delay_ms > 0) {
        sim_at(k->w, delay_ms, send_delayed, d);
    } else {
        enqueue(k, d->a);
        free(d);
    }
}

/* ---- From the core ---- */

static void copy_reply(struct pending *a, const struct mount_reply *reply)
{
    a->reply = *reply;
    a->reply.data = arena_copy(&a->arena, reply->data);
    a->reply.entry.name = NULL;
    if (reply->n_entries == 0)
        return;
    size_t size = reply->n_entries * sizeof(*reply->entries);
    a->reply.entries = arena_alloc(&a->arena, size);
    memcpy(a->reply.entries, reply->entries, size);
    for (size_t i = 0; i < reply->n_entries; i++)
        a->reply.entries[i].name = arena_str(&a->arena, reply->entries[i].name);
}

static void entries_text(const struct mount_reply *r, struct buf *out)
{
    buf_printf(out, "%zu entries", r->n_entries);
    for (size_t i = 0; i < r->n_entries; i++)
        buf_printf(out, " %s%s@%" PRIu64, r->entries[i].name, r->entries[i].held ? "+" : "",
                   r->entries[i].next);
}

static void mount_reply_text(const struct mount_reply *r, struct buf *out)
{
    if (r->type == MOUNT_REPLY_ERR && r->err != 0)
        buf_printf(out, "%s", strerror(r->err));
    else if (r->type == MOUNT_REPLY_ENTRY || r->type == MOUNT_REPLY_CREATE)
        buf_printf(out, "ino %" PRIu64 " for %" PRId64 " ms, size %" PRId64 " for %" PRId64 " ms",
                   r->entry.ino, r->entry.entry_ms, (int64_t)r->entry.st.st_size, r->entry.attr_ms);
    else if (r->type == MOUNT_REPLY_ATTR)
        buf_printf(out, "size %" PRId64 " for %" PRId64 " ms", (int64_t)r->entry.st.st_size,
                   r->entry.attr_ms);
    else if (r->type == MOUNT_REPLY_DATA)
        buf_printf(out, "%zu bytes", slice_size(r->data));
    else if (r->type == MOUNT_REPLY_DIR)
        entries_text(r, out);
    else
        buf_printf(out, "ok");
}

static bool opens(enum mount_op op)
{
    return op == MOUNT_OPEN || op == MOUNT_OPENDIR || op == MOUNT_CREATE;
}

static bool fits(const struct mount_request *q, const struct mount_reply *r)
{
    switch (r->type) {
    case MOUNT_REPLY_ERR:
        return r->err >= 0 && (r->err > 0 || (q->op != MOUNT_LOOKUP && !opens(q->op)));
    case MOUNT_REPLY_ENTRY:
        return q->op == MOUNT_LOOKUP || q->op == MOUNT_MKDIR || q->op == MOUNT_MKNOD ||
               q->op == MOUNT_SYMLINK || q->op == MOUNT_LINK;
    case MOUNT_REPLY_ATTR:
        return q->op == MOUNT_GETATTR || q->op == MOUNT_SETATTR;
    case MOUNT_REPLY_OPEN:
        return q->op == MOUNT_OPEN || q->op == MOUNT_OPENDIR;
    case MOUNT_REPLY_CREATE:
        return q->op == MOUNT_CREATE;
    case MOUNT_REPLY_DATA:
        return q->op == MOUNT_READ || q->op == MOUNT_GETXATTR || q->op == MOUNT_LISTXATTR;
    case MOUNT_REPLY_SIZE:
        return q->op == MOUNT_WRITE || q->op == MOUNT_GETXATTR || q->op == MOUNT_LISTXATTR;
    case MOUNT_REPLY_DIR:
        return q->op == MOUNT_READDIR || q->op == MOUNT_READDIRPLUS;
    case MOUNT_REPLY_STATFS:
        return q->op == MOUNT_STATFS;
    }
    return false;
}

static struct pending *find_pending(struct kernel *k, uint64_t id)
{
    LIST_FOR_EACH (a, &k->asked, struct pending, link) {
        if (a->request.id == id && !a->answered)
            return a;
    }
    return NULL;
}

const struct mount_request *kernel_asked(struct kernel *k, uint64_t id)
{
    const struct pending *a = find_pending(k, id);
    return a ? &a->request : NULL;
}

static struct pending *find_asked(struct kernel *k, uint64_t id)
{
    struct pending *a = find_pending(k, id);
    if (a)
        return a;
    sim_fail(k->w, SIM_BROKEN, "%s: a reply to request %" PRIu64 ", which does not wait for one",
             k->name, id);
}

bool kernel_reply(struct kernel *k, const struct mount_reply *reply)
{
    if (k->gone)
        return false;
    struct pending *a = find_asked(k, reply->id);
    struct buf text = {0};
    mount_reply_text(reply, &text);
    sim_detail(k->w, "%s: -> #%" PRIu64 " %s: %.*s%s", k->name, reply->id,
               mount_op_name(a->request.op), (int)text.len, (char *)text.data,
               (a->task && !a->interrupted) || a->request.pid == 0 ? "" : " (not taken)");
    buf_close(&text);
    if (reply->op != a->request.op || !fits(&a->request, reply))
        sim_fail(k->w, SIM_BROKEN, "%s: request %" PRIu64 ", %s, gets a reply of type %d to %s",
                 k->name, reply->id, mount_op_name(a->request.op), (int)reply->type,
                 mount_op_name(reply->op));
    if (reply->type == MOUNT_REPLY_ERR && reply->err > 0)
        cover(COVER_MOUNT_ERROR, (int32_t)reply->op, reply->err);
    else
        cover(COVER_MOUNT_REPLY, (int32_t)reply->op, (int32_t)reply->type);
    if (!a->task || a->interrupted) {
        bool taken = a->request.pid == 0; /* nobody ever waited */
        if (!taken)
            cover_mount(MOUNT_POINT_reply_lost);
        a->untaken = true;
        list_remove(&a->link);
        if (!a->task)
            pending_free(a);
        return taken;
    }
    copy_reply(a, reply);
    a->answered = true;
    task_wake(k->w, a->task, chance(k->w, 6) ? between(k->w, 1, 4) : 0);
    return true;
}

/* In runs that have it so, what only reads is not waited for: what changes something raises an
 * event in any case. */
static bool may_be_untaken(const struct kernel *k, enum mount_op op)
{
    return k->reply_lost_once_killed &&
           (op == MOUNT_LOOKUP || op == MOUNT_OPEN || op == MOUNT_OPENDIR || op == MOUNT_READ);
}

/* Its caller is killed. */
void kernel_kill(struct process *p)
{
    struct kernel *k = p->kernel;
    struct pending *a = p->waits_for;
    if (p->killed || p->gone)
        return;
    p->killed = true;
    sim_trace(k->w, "%s: %s is killed", k->name, p->name);
    if (!p->busy && !p->injector)
        kernel_end_killed(p);
    if (!a || a->answered || a->interrupted || is_forced(a->request.op) ||
        (a->delivered && !may_be_untaken(k, a->request.op)))
        return;
    cover(COVER_MOUNT_KILLED, (int32_t)a->request.op, a->delivered);
    a->interrupted = true;
    if (!a->delivered)
        list_remove(&a->link);
    task_wake(k->w, a->task, 0);
}

static void let_go(struct kernel *k, struct list *all)
{
    LIST_FOR_EACH_SAFE (a, all, struct pending, link) {
        if (a->answered)
            continue;
        list_remove(&a->link);
        if (!a->task)
            pending_free(a);
        else if (!a->interrupted)
            task_wake(k->w, a->task, 0);
    }
}

/* The mount is gone, as when /dev/fuse is closed. */
void kernel_vanish(struct kernel *k)
{
    k->gone = true;
    let_go(k, &k->queue);
    let_go(k, &k->asked);
}

/* No request waits longer than it may. */
void kernel_check_waits(struct kernel *k)
{
    if (k->limit_ms == 0)
        return;
    LIST_FOR_EACH (a, &k->asked, struct pending, link) {
        cover_mount(MOUNT_POINT_check_wait);
        if (a->answered || k->w->now_ms - a->sent_ms <= k->limit_ms)
            continue;
        struct buf text = {0};
        pending_text(&a->request, &text);
        sim_fail(k->w, SIM_STALLED, "%s: no reply to #%" PRIu64 " %.*s for %" PRId64 " ms", k->name,
                 a->request.id, (int)text.len, (char *)text.data, k->w->now_ms - a->sent_ms);
    }
}
