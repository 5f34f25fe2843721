/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that come from the injector's own system calls. They are known by its process id and are
 * answered at once from what is known: a change is told as if it happened now, so a name that was
 * made is not there yet, and one that was removed still is. */
#include "inject.h"

#include <errno.h>

static bool is_injectors(fuse_req_t req)
{
    const struct mount *m = req_mount(req);
    return m->injector && fuse_req_ctx(req)->pid == m->child.pid;
}

static const struct injection *current(fuse_req_t req)
{
    struct injector *j = req_mount(req)->injector;
    pthread_mutex_lock(&j->lock);
    const struct injection *i = j->current;
    pthread_mutex_unlock(&j->lock);
    return i;
}

static bool is_subject(const struct injection *i, const struct node *parent, const char *name)
{
    return i->parent == parent && strcmp(i->name, name) == 0;
}

/* The event is told with this answer: the kernel may keep it. */
static void reply_told(fuse_req_t req, const struct injection *i)
{
    i->n->injecting--;
    reply_entry(req_mount(req), req, i->n);
    i->n->injecting++;
}

static void on_listed(void *arg, struct node *n, int32_t err)
{
    (void)arg;
    (void)n;
    (void)err;
}

/* A directory on the way to the subject. It may be gone already, and then is in no table. */
static void lookup_on_the_way(fuse_req_t req, const struct injection *i, struct node *parent,
                              const char *name)
{
    struct mount *m = req_mount(req);
    struct node *starts[] = {i->parent, i->from_parent};
    for (size_t k = 0; k < ARRAY_LEN(starts); k++) {
        for (struct node *n = starts[k]; n && n->parent; n = n->parent) {
            if (n->parent != parent || strcmp(n->name, name) != 0)
                continue;
            if (node_is_linked(n) && !n->listed)
                fetch_list(m, n, on_listed, NULL);
            reply_entry(m, req, n);
            return;
        }
    }
    reply_err(req, ENOENT);
}

static void lookup_subject(fuse_req_t req, const struct injection *i)
{
    struct node *target = i->target;
    /* A name that was free before the rename has a node as new as the rename. */
    if (target && (target->lookups == 0 || target->stat.czxid >= i->n->told_mzxid))
        target = NULL;
    if (i->kind == INJECT_RENAME && target)
        reply_entry(req_mount(req), req, target);
    else if (i->kind == INJECT_RENAME || i->kind == INJECT_CREATE)
        reply_err(req, ENOENT);
    else
        reply_told(req, i);
}

bool injected_lookup(fuse_req_t req, struct node *parent, const char *name)
{
    if (!is_injectors(req))
        return false;
    const struct injection *i = current(req);
    if (!i)
        reply_err(req, ENOENT);
    else if (is_subject(i, parent, name))
        lookup_subject(req, i);
    else if (i->from_parent == parent && strcmp(i->from_name, name) == 0)
        reply_entry(req_mount(req), req, i->n);
    else
        lookup_on_the_way(req, i, parent, name);
    return true;
}

bool injected_make(fuse_req_t req, struct node *parent, const char *name)
{
    if (!is_injectors(req))
        return false;
    const struct injection *i = current(req);
    if (i && i->kind == INJECT_CREATE && is_subject(i, parent, name))
        reply_told(req, i);
    else
        reply_err(req, EEXIST);
    return true;
}

bool injected_remove(fuse_req_t req, struct node *parent, const char *name)
{
    if (!is_injectors(req))
        return false;
    const struct injection *i = current(req);
    bool subject = i && i->kind == INJECT_DELETE && is_subject(i, parent, name);
    reply_err(req, subject ? 0 : ENOENT);
    return true;
}

bool injected_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
    if (!is_injectors(req))
        return false;
    const struct injection *i = current(req);
    if (!i || i->n != n) {
        reply_err(req, ESTALE); /* the kernel looks the name up again */
        return true;
    }
    fi->fh = 0;
    fi->direct_io = 1;
    fuse_reply_open(req, fi);
    return true;
}

bool injected_setattr(fuse_req_t req, struct node *n)
{
    if (!is_injectors(req))
        return false;
    const struct injection *i = current(req);
    bool subject = i && i->n == n;
    n->injecting -= subject;
    reply_attr(req_mount(req), req, n);
    n->injecting += subject;
    return true;
}

bool injected_other(fuse_req_t req)
{
    if (!is_injectors(req))
        return false;
    reply_err(req, 0);
    return true;
}
