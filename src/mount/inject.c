/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events for changes that were made elsewhere: the injector makes the system call that a local
 * process would have made, one at a time, so that the kernel raises them.
 *
 * The call must reach us. So what the kernel keeps of its names is dropped before it, and once more
 * if it has failed; a rename that fails is told as a removal and a creation. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

static void injection_free(struct mount *m, struct injection *i)
{
    struct node *nodes[] = {i->n, i->parent, i->from_parent, i->target};
    if (i->n && i->n->queued == i)
        i->n->queued = NULL;
    if (i->n) {
        i->n->injecting--;
        node_settle(&m->nodes, i->n);
    }
    for (size_t k = 0; k < ARRAY_LEN(nodes); k++) {
        if (nodes[k])
            node_unref(&m->nodes, nodes[k]);
    }
    free(i->name);
    free(i->real_name);
    free(i->from_name);
    free(i);
}

/* ---- One ---- */

static void inval_entry(struct mount *m, const struct node *dir, const char *name)
{
    struct mount_effect *e = effect_add(m, MOUNT_INVAL_ENTRY);
    e->inval.ino = dir->id;
    e->inval.name = arena_str(&m->fx->arena, name);
}

static void inval_names(struct mount *m, const struct injection *i)
{
    inval_entry(m, i->parent, i->name);
    if (i->from_parent)
        inval_entry(m, i->from_parent, i->from_name);
}

static void inval_inode(struct mount *m, const struct node *n, bool attr_only)
{
    struct mount_effect *e = effect_add(m, MOUNT_INVAL_INODE);
    e->inval.ino = n->id;
    e->inval.attr_only = attr_only;
}

/* As it is now: a directory above may have been renamed since the change was seen. */
static const char *full_path(struct mount *m, const struct node *dir, const char *name)
{
    struct buf path = {0};
    buf_printf(&path, "%s", m->config.mountpoint);
    node_mount_path(dir, &path);
    if (path.data[path.len - 1] != '/')
        buf_append(&path, "/", 1);
    buf_append(&path, name, strlen(name) + 1);
    char *copy = arena_str(&m->fx->arena, (const char *)path.data);
    buf_close(&path);
    return copy;
}

static void call(struct mount *m, const struct injection *i)
{
    struct mount_effect *e = effect_add(m, MOUNT_INJECT);
    e->inject.kind = i->kind;
    e->inject.is_dir = i->is_dir;
    /* Beside somebody who writes here: the kernel's size is the draft's. */
    e->inject.size = i->n && i->n->writers > 0 ? -1 : i->size;
    e->inject.path = i->n ? full_path(m, i->parent, i->name) : m->config.mountpoint;
    e->inject.from = i->from_parent ? full_path(m, i->from_parent, i->from_name) : NULL;
}

/* The name that goes with this change. False: none does. */
static bool name_that_goes(const struct injection *i, struct node **dir, const char **shown)
{
    bool renames = i->kind == MOUNT_INJECT_RENAME;
    *dir = renames ? i->from_parent : i->parent;
    *shown = renames ? i->from_name : i->name;
    return renames || (i->kind == MOUNT_INJECT_DELETE && i->n->kind == NODE_ZNODE);
}

/* What has that name by now. */
static struct node *successor(struct mount *m, const struct injection *i)
{
    struct node *dir;
    const char *shown;
    struct node *now = name_that_goes(i, &dir, &shown) ? lookup_known(m, dir, shown) : NULL;
    return now != i->n ? now : NULL;
}

/* Somebody may have been given it already, in a list that was made before the end of the other is
 * told: it is told after it. */
static void tell_successor(struct mount *m, const struct injection *i)
{
    struct node *now = successor(m, i);
    if (!now || !now->told || now->injecting > 0)
        return;
    now->told = false;
    know_dirty(m, now);
}

bool inject_takes_name(const struct mount *m, const struct node *n)
{
    struct node *dir;
    const char *shown;
    const struct injection *i = m->injecting;
    return i && i->n && i->n != n && name_that_goes(i, &dir, &shown) && n->parent == dir &&
           strcmp(n->shown, shown) == 0;
}

static void begin(struct mount *m, const struct injection *i)
{
    switch (i->kind) {
    case MOUNT_INJECT_CREATE:
        inval_names(m, i);
        break;
    case MOUNT_INJECT_DATA:
        if (i->n->writers == 0) /* else nothing of it is kept */
            inval_inode(m, i->n, false);
        break;
    case MOUNT_INJECT_ATTRIB:
        inval_inode(m, i->n, true);
        break;
    case MOUNT_INJECT_RENAME: /* the kernel may have another there, that is gone as well */
        inval_entry(m, i->from_parent, i->from_name);
        tell_successor(m, i);
        break;
    case MOUNT_INJECT_DELETE:
        if (successor(m, i)) { /* the kernel must not take that one for what goes */
            inval_names(m, i);
            tell_successor(m, i);
        }
        break;
    case MOUNT_INJECT_PROBE:
        break;
    }
    call(m, i);
}

/* Its name has been given to another node here, or it to another name, which the kernel has told:
 * nothing is to be raised about what is not there. */
bool inject_is_late(struct mount *m, const struct injection *i)
{
    if (!i->n || i->n->kind != NODE_ZNODE)
        return false;
    const struct node *other = i->kind == MOUNT_INJECT_RENAME ? successor(m, i) : NULL;
    if (other && other->made_here)
        return true;
    const struct node *now = node_child(&m->nodes, i->parent, slice_str(i->real_name));
    if (i->kind != MOUNT_INJECT_DELETE && i->n->life != NODE_GONE && i->n->made_here && now != i->n)
        return true;
    return now && now != i->n && now->made_here;
}

/* ---- The queue ---- */

static void next(struct mount *m);

static void push(struct mount *m, struct injection *i)
{
    list_append(&m->injections, &i->link);
    m->n_injections++;
    next(m);
}

/* About the node at a place that it has, or had. */
static struct injection *injection_new(struct mount *m, enum mount_inject kind, struct node *n,
                                       struct node *parent, const char *shown)
{
    struct injection *i = mem_zalloc(sizeof(*i));
    *i = (struct injection){.kind = kind,
                            .n = node_ref(n),
                            .parent = node_ref(parent),
                            .name = mem_strdup(shown),
                            .real_name = slice_dup_str(lookup_real_name(parent, shown)),
                            .is_dir = n->is_dir,
                            .shed = !node_is_held(n) && kind != MOUNT_INJECT_DELETE,
                            .size = node_znode(n)->stat.data_length};
    n->injecting++;
    n->queued = i;
    node_unsettle(n);
    m->count.injections++;
    return i;
}

void inject_push(struct mount *m, enum mount_inject kind, struct node *n, struct node *from_parent,
                 const char *from_name, struct node *target)
{
    if (!m->can_inject || m->closed || !n->parent)
        return;
    /* One that waits will tell of this change too. */
    if (kind == MOUNT_INJECT_DATA && n->queued && n->queued != m->injecting &&
        n->queued->kind == MOUNT_INJECT_DATA)
        return;
    struct injection *i = injection_new(m, kind, n, n->parent, n->shown);
    if (from_parent) {
        i->from_parent = node_ref(from_parent);
        i->from_name = mem_strdup(from_name);
    }
    if (target)
        i->target = node_ref(target);
    push(m, i);
}

/* It cannot be told as a rename: what had the old name goes, and another node is made, which has
 * the new one. */
static void split(struct mount *m, const struct injection *i)
{
    if (node_is_linked(i->n))
        know_other(m, i->n);
    push(m, injection_new(m, MOUNT_INJECT_DELETE, i->n, i->from_parent, i->from_name));
}

static void next(struct mount *m)
{
    while (!m->injecting && !m->closed && !list_is_empty(&m->injections)) {
        struct injection *i = LIST_FIRST(&m->injections, struct injection, link);
        list_remove(&i->link);
        if (!inject_is_late(m, i)) {
            m->injecting = i;
            begin(m, i);
            return;
        }
        if (i->kind == MOUNT_INJECT_RENAME)
            split(m, i);
        m->n_injections--;
        injection_free(m, i);
    }
}

/* ---- The end of one ---- */

static void failed(struct mount *m, struct injection *i, int rc)
{
    m->count.lost_events++;
    effect_log(m, LOG_LEVEL_DEBUG, "no event for %s: %s", i->name, strerror(-rc));
    inval_names(m, i);
    if (i->kind == MOUNT_INJECT_RENAME)
        split(m, i);
}

void inject_done(struct mount *m, int rc)
{
    struct injection *i = m->injecting;
    ensure(i);
    if (m->closed)
        return; /* mount_close() frees it */
    if (rc == -EPIPE) {
        m->count.injector_restarts++;
        effect_log(m, LOG_LEVEL_ERROR, "the injector has died, and was started again");
    }
    if (i->kind == MOUNT_INJECT_PROBE) {
        m->can_inject = rc == 0;
        if (rc == 0)
            effect_add(m, MOUNT_READY);
    } else {
        if (rc < 0 && !i->again && !m->closed) {
            i->again = true;
            inval_names(m, i);
            call(m, i);
            return;
        }
        if (rc < 0)
            failed(m, i, rc);
        if (i->kind == MOUNT_INJECT_RENAME)
            inval_inode(m, i->n, false);
        tell_successor(m, i);
        /* What was not held before shall be forgotten again, unless somebody watches it by now. */
        if (i->shed)
            inval_entry(m, i->parent, i->name);
    }
    m->injecting = NULL;
    m->n_injections--;
    injection_free(m, i);
    next(m);
}

void inject_probe(struct mount *m)
{
    struct injection *i = mem_zalloc(sizeof(*i));
    i->kind = MOUNT_INJECT_PROBE;
    push(m, i);
}

void inject_close(struct mount *m)
{
    if (m->injecting)
        injection_free(m, m->injecting);
    LIST_FOR_EACH_SAFE (i, &m->injections, struct injection, link)
        injection_free(m, i);
}
