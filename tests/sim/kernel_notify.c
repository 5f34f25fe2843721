/* SPDX-License-Identifier: GPL-3.0-or-later */
/* inotify: a watch is on an inode, and keeps it. Events are raised by what system calls do, to the
 * watches of the directory with a name and to those of the inode without one, in that order. */
#include "sim.h"
#include "kernel.h"

#include <sys/inotify.h>

/* ---- The queue ---- */

static void queue_push(struct inotify *in, int wd, uint32_t mask, uint32_t cookie, const char *name)
{
    ROOM_FOR_ONE(in->queue, in->n, in->cap);
    in->queue[in->n++] = (struct notice){wd, mask, cookie, name ? mem_strdup(name) : NULL};
    if (in->on_event)
        in->on_event(in);
}

static bool same_name(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What is the same as the last that waits is not told again; behind the queue's limit there is one
 * event that says so. */
static void raise_one(struct inotify *in, int wd, uint32_t mask, uint32_t cookie, const char *name)
{
    const struct notice *last = in->n > 0 ? &in->queue[in->n - 1] : NULL;
    in->n_raised++;
    cover(COVER_NOTIFY, (int32_t)(mask & ~(uint32_t)IN_ISDIR), 0);
    if (in->n >= in->limit) {
        if (!(last->mask & IN_Q_OVERFLOW)) {
            in->n_overflows++;
            queue_push(in, -1, IN_Q_OVERFLOW, 0, NULL);
        }
        return;
    }
    if (last && last->wd == wd && last->mask == mask && same_name(last->name, name))
        return;
    queue_push(in, wd, mask, cookie, name);
}

bool inotify_next(struct inotify *in, struct notice *out)
{
    if (in->n == 0)
        return false;
    *out = in->queue[0];
    in->n--;
    memmove(in->queue, in->queue + 1, in->n * sizeof(in->queue[0]));
    return true;
}

/* ---- Watches ---- */

static void watch_free(struct watch *at)
{
    struct inode *i = at->inode;
    list_remove(&at->of_inode);
    list_remove(&at->of_instance);
    free(at);
    inode_put(i);
}

struct inotify *inotify_new(struct process *p, size_t limit)
{
    struct inotify *in = mem_zalloc(sizeof(*in));
    *in = (struct inotify){.process = p, .limit = limit > 0 ? limit : KERNEL_EVENTS};
    list_init(&in->watches);
    list_append(&p->instances, &in->link);
    return in;
}

int inotify_add(struct inotify *in, struct inode *i, uint32_t mask)
{
    LIST_FOR_EACH (at, &i->watches, struct watch, of_inode) {
        if (at->instance == in) {
            at->mask = mask;
            return at->wd;
        }
    }
    struct watch *at = mem_zalloc(sizeof(*at));
    *at = (struct watch){.instance = in, .inode = inode_ref(i), .wd = ++in->next_wd, .mask = mask};
    list_append(&i->watches, &at->of_inode);
    list_append(&in->watches, &at->of_instance);
    return at->wd;
}

void inotify_close(struct inotify *in)
{
    LIST_FOR_EACH_SAFE (at, &in->watches, struct watch, of_instance)
        watch_free(at);
    for (struct notice n; inotify_next(in, &n);)
        free(n.name);
    list_remove(&in->link);
    free(in->queue);
    free(in);
}

/* ---- Events ---- */

static void raise_at(struct inode *i, uint32_t mask, uint32_t cookie, const char *name)
{
    LIST_FOR_EACH (at, &i->watches, struct watch, of_inode) {
        if (at->mask & mask & ~(uint32_t)IN_ISDIR)
            raise_one(at->instance, at->wd, mask, cookie, name);
    }
}

void notify_inode(struct inode *i, uint32_t mask)
{
    bool self = mask & (IN_DELETE_SELF | IN_MOVE_SELF);
    raise_at(i, mask | (inode_is_dir(i) && !self ? IN_ISDIR : 0), 0, NULL);
}

void notify_name(struct inode *dir, const char *name, uint32_t mask, uint32_t cookie)
{
    raise_at(dir, mask, cookie, name);
}

void notify_dentry(struct dentry *d, uint32_t mask)
{
    if (d->parent != d)
        notify_name(d->parent->inode, d->name, mask | (inode_is_dir(d->inode) ? IN_ISDIR : 0), 0);
    notify_inode(d->inode, mask);
}

/* Its last name is gone: its watches are, too. */
void notify_inode_gone(struct inode *i)
{
    notify_inode(i, IN_DELETE_SELF);
    LIST_FOR_EACH_SAFE (at, &i->watches, struct watch, of_inode) {
        raise_one(at->instance, at->wd, IN_IGNORED, 0, NULL);
        watch_free(at);
    }
}

void notice_text(uint32_t mask, struct buf *out)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {IN_ACCESS, "ACCESS"},
        {IN_MODIFY, "MODIFY"},
        {IN_ATTRIB, "ATTRIB"},
        {IN_CLOSE_WRITE, "CLOSE_WRITE"},
        {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"},
        {IN_OPEN, "OPEN"},
        {IN_MOVED_FROM, "MOVED_FROM"},
        {IN_MOVED_TO, "MOVED_TO"},
        {IN_CREATE, "CREATE"},
        {IN_DELETE, "DELETE"},
        {IN_DELETE_SELF, "DELETE_SELF"},
        {IN_MOVE_SELF, "MOVE_SELF"},
        {IN_Q_OVERFLOW, "Q_OVERFLOW"},
        {IN_IGNORED, "IGNORED"},
        {IN_ISDIR, "ISDIR"},
    };
    const char *comma = "";
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!(mask & names[i].bit))
            continue;
        buf_printf(out, "%s%s", comma, names[i].name);
        comma = ",";
    }
}
