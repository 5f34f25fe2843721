/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that come from the injector's own system calls. They are answered at once from what is
 * known: a change is told as if it happened now, so a name that was made is not there yet, and one
 * that was removed still is. */
#include "core.h"

#include <errno.h>

static bool is_subject(const struct injection *i, const struct node *parent, const char *name)
{
    return i->parent == parent && strcmp(i->name, name) == 0;
}

/* The event is told with this answer: the kernel may keep it. */
static void reply_told(struct req req, const struct injection *i)
{
    i->n->injecting--;
    reply_entry(req, i->n);
    i->n->injecting++;
}

/* A directory on the way to the subject. It may be gone already, and then is in no table. */
static void lookup_on_the_way(struct req req, const struct injection *i, const struct node *parent,
                              const char *name)
{
    struct node *starts[] = {i->parent, i->from_parent};
    for (size_t k = 0; k < ARRAY_LEN(starts); k++) {
        for (struct node *n = starts[k]; n && n->parent; n = n->parent) {
            if (n->parent != parent || strcmp(n->shown, name) != 0)
                continue;
            reply_entry(req, n);
            return;
        }
    }
    reply_err(req, ENOENT);
}

/* A name that has gone to another here while this was on its way must not come back. */
static void lookup_subject(struct req req, const struct injection *i)
{
    struct node *target = i->target;
    /* A name that was free before the rename has a node as new as the rename. */
    if (target && (target->lookups == 0 || target->stat.czxid >= i->n->told_mzxid))
        target = NULL;
    if (i->kind == MOUNT_INJECT_RENAME && target)
        reply_entry(req, target);
    else if (i->kind == MOUNT_INJECT_RENAME || i->kind == MOUNT_INJECT_CREATE)
        reply_err(req, ENOENT);
    else if (inject_is_late(req.m, i))
        reply_err(req, ESTALE); /* not ENOENT, which others who look it up now would take over */
    else
        reply_told(req, i);
}

/* What the injector is at, if it is about a node. */
static const struct injection *current(const struct mount *m)
{
    return m->injecting && m->injecting->n ? m->injecting : NULL;
}

void injected_lookup(struct mount *m, const struct mount_request *q, struct req req)
{
    const struct injection *i = current(m);
    const struct node *parent = node_find(&m->nodes, q->ino);
    if (!i || !parent)
        reply_err(req, ENOENT);
    else if (is_subject(i, parent, q->name))
        lookup_subject(req, i);
    else if (i->from_parent == parent && strcmp(i->from_name, q->name) == 0)
        reply_entry(req, i->n);
    else
        lookup_on_the_way(req, i, parent, q->name);
}

void injected_make(struct mount *m, const struct mount_request *q, struct req req)
{
    const struct injection *i = current(m);
    if (i && i->kind == MOUNT_INJECT_CREATE && is_subject(i, node_find(&m->nodes, q->ino), q->name))
        reply_told(req, i);
    else
        reply_err(req, EEXIST);
}

void injected_remove(struct mount *m, const struct mount_request *q, struct req req)
{
    const struct injection *i = current(m);
    bool subject = i && i->kind == MOUNT_INJECT_DELETE && !inject_is_late(m, i) &&
                   is_subject(i, node_find(&m->nodes, q->ino), q->name);
    reply_err(req, subject ? 0 : ENOENT);
}

void injected_open(struct mount *m, const struct mount_request *q, struct req req)
{
    const struct injection *i = current(m);
    if (!i || i->n->id != q->ino)
        reply_err(req, ESTALE); /* the kernel looks the name up again */
    else
        reply_add(req, MOUNT_REPLY_OPEN)->opened.direct_io = true;
}

void injected_setattr(struct mount *m, const struct mount_request *q, struct req req)
{
    struct node *n = node_find(&m->nodes, q->ino);
    if (!n) {
        reply_err(req, ESTALE);
        return;
    }
    bool subject = current(m) && current(m)->n == n;
    n->injecting -= subject;
    reply_attr(req, n);
    n->injecting += subject;
}

void injected_ok(struct mount *m, const struct mount_request *q, struct req req)
{
    (void)m;
    (void)q;
    reply_err(req, 0);
}
