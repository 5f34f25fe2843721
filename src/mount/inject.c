/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The injector: it has the system calls made that a local process would have made, so that the
 * kernel raises the inotify events of changes made elsewhere.
 *
 * The loop fills a queue, one entry a change; a thread takes one at a time and hands it to the
 * process of inject_child.c. The requests that its system calls become are answered by injected.c
 * from the entry that is current. The thread alone calls fuse_lowlevel_notify_*, which wait for
 * locks of the kernel's. What has been told comes back to the loop. */
#include "inject.h"

#include <stdlib.h>

/* ---- On the injector's thread ---- */

static void inval_entry(struct injector *j, uint64_t parent, const char *name)
{
    fuse_lowlevel_notify_inval_entry(j->mount->session, parent, name, strlen(name));
}

static void run(struct injector *j, const struct injection *i)
{
    struct fuse_session *se = j->mount->session;
    struct inject_call call = {.kind = i->kind, .is_dir = i->is_dir, .size = i->size};
    if (i->kind == INJECT_CREATE)
        inval_entry(j, i->parent->id, i->name);
    else if (i->kind == INJECT_DATA)
        fuse_lowlevel_notify_inval_inode(se, i->n->id, 0, 0);
    else if (i->kind == INJECT_ATTRIB)
        fuse_lowlevel_notify_inval_inode(se, i->n->id, -1, 0);
    int rc = inject_child_call(&j->mount->child, &call, i->path, i->from_path);
    if (rc < 0) {
        log_debug("no event for %s: %s", i->path, strerror(-rc));
        inval_entry(j, i->parent->id, i->name);
        if (i->from_parent)
            inval_entry(j, i->from_parent->id, i->from_name);
    }
    if (i->kind == INJECT_RENAME)
        fuse_lowlevel_notify_inval_inode(se, i->n->id, 0, 0);
    /* What was not held before shall be forgotten again, unless somebody watches it by now. */
    if (i->shed)
        inval_entry(j, i->parent->id, i->name);
}

static void *thread_main(void *arg)
{
    struct injector *j = arg;
    struct inject_call probe = {.kind = INJECT_PROBE};
    if (inject_child_call(&j->mount->child, &probe, j->mount->opt.mountpoint, NULL) == 0)
        atomic_store(&j->answers, true);
    uv_async_send(&j->async);
    pthread_mutex_lock(&j->lock);
    while (!j->stop) {
        if (list_is_empty(&j->waiting)) {
            pthread_cond_wait(&j->wake, &j->lock);
            continue;
        }
        struct injection *i = LIST_FIRST(&j->waiting, struct injection, link);
        list_remove(&i->link);
        j->current = i;
        pthread_mutex_unlock(&j->lock);
        run(j, i);
        pthread_mutex_lock(&j->lock);
        j->current = NULL;
        list_append(&j->done, &i->link);
        uv_async_send(&j->async);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* ---- On the loop's thread ---- */

static void injection_free(struct mount *m, struct injection *i)
{
    struct node *nodes[] = {i->n, i->parent, i->from_parent, i->target};
    if (i->n->queued == i)
        i->n->queued = NULL;
    i->n->injecting--;
    for (size_t k = 0; k < ARRAY_LEN(nodes); k++) {
        if (nodes[k])
            node_unref(&m->nodes, nodes[k]);
    }
    free(i->name);
    free(i->path);
    free(i->from_name);
    free(i->from_path);
    free(i);
}

static void take_done(struct injector *j)
{
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&j->lock);
    while (!list_is_empty(&j->done)) {
        struct list *link = j->done.next;
        list_remove(link);
        list_append(&done, link);
    }
    pthread_mutex_unlock(&j->lock);
    LIST_FOR_EACH_SAFE (i, &done, struct injection, link) {
        j->backlog--;
        injection_free(j->mount, i);
    }
}

static void on_async(uv_async_t *async)
{
    struct injector *j = async->data;
    take_done(j);
    if (atomic_exchange(&j->answers, false))
        mount_ready(j->mount);
}

int inject_start(struct mount *m)
{
    struct injector *j = mem_zalloc(sizeof(*j));
    j->mount = m;
    list_init(&j->waiting);
    list_init(&j->done);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->wake, NULL);
    uv_async_init(m->loop, &j->async, on_async);
    j->async.data = j;
    m->injector = j;
    return -pthread_create(&j->thread, NULL, thread_main, j);
}

static void on_async_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void inject_stop(struct mount *m)
{
    struct injector *j = m->injector;
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->stop = true;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
    take_done(j);
    LIST_FOR_EACH_SAFE (i, &j->waiting, struct injection, link)
        injection_free(m, i);
    m->injector = NULL;
    uv_close((uv_handle_t *)&j->async, on_async_closed);
}

static char *full_path(struct mount *m, const struct node *dir, const char *name)
{
    struct buf path = {0};
    buf_printf(&path, "%s", m->opt.mountpoint);
    node_mount_path(dir, &path);
    if (path.data[path.len - 1] != '/')
        buf_append(&path, "/", 1);
    buf_append(&path, name, strlen(name) + 1);
    return (char *)path.data;
}

void inject_push(struct mount *m, enum inject_kind kind, struct node *n, struct node *from_parent,
                 const char *from_name, struct node *target)
{
    struct injector *j = m->injector;
    if (!j || !n->parent)
        return;
    pthread_mutex_lock(&j->lock);
    /* One that waits will tell of this change too. */
    bool merged = kind == INJECT_DATA && n->queued && n->queued != j->current &&
                  n->queued->kind == INJECT_DATA && !list_is_empty(&n->queued->link);
    pthread_mutex_unlock(&j->lock);
    if (merged)
        return;
    struct injection *i = mem_zalloc(sizeof(*i));
    *i = (struct injection){.kind = kind,
                            .n = node_ref(n),
                            .parent = node_ref(n->parent),
                            .name = mem_strdup(n->name),
                            .is_dir = n->is_dir,
                            .shed = !node_is_held(n) && kind != INJECT_DELETE,
                            .size = node_znode(n)->stat.data_length,
                            .path = full_path(m, n->parent, n->name)};
    if (from_parent) {
        i->from_parent = node_ref(from_parent);
        i->from_name = mem_strdup(from_name);
        i->from_path = full_path(m, from_parent, from_name);
    }
    if (target)
        i->target = node_ref(target);
    n->injecting++;
    n->queued = i;
    j->backlog++;
    m->count.injections++;
    pthread_mutex_lock(&j->lock);
    list_append(&j->waiting, &i->link);
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
}

size_t inject_backlog(const struct mount *m)
{
    return m->injector ? m->injector->backlog : 0;
}
