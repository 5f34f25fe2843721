/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The injector's thread: it takes one job at a time. System calls go to the process of
 * inject_child.c; it alone calls fuse_lowlevel_notify_*, which wait for locks of the kernel's. */
#include "inject.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "zab/list.h"

struct job {
    struct list link;
    enum mount_effect_type type;
    struct inject_call call;
    uint64_t ino;
    bool attr_only;
    char *text; /* INJECT: the two paths; INVAL_ENTRY: the name */
    char *from;
};

struct injector {
    struct shell *sh;
    pthread_t thread;
    uv_async_t async;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool stop;
    bool done; /* a call has ended, with `rc` */
    int rc;
    struct list jobs;
};

/* ---- On the injector's thread ---- */

/* The process has died. The one that follows has to learn which mount is ours. */
static void restart_child(struct injector *j)
{
    const struct inject_call probe = {.kind = MOUNT_INJECT_PROBE};
    const struct options *o = &j->sh->opt;
    inject_child_end(&j->sh->child);
    if (inject_child_start(&j->sh->child, o->mountpoint, o->auto_unmount) == 0)
        inject_child_call(&j->sh->child, &probe, o->mountpoint, NULL);
}

static void run(struct injector *j, const struct job *job)
{
    struct fuse_session *se = j->sh->session;
    int rc;
    switch (job->type) {
    case MOUNT_INVAL_ENTRY:
        fuse_lowlevel_notify_inval_entry(se, job->ino, job->text, strlen(job->text));
        break;
    case MOUNT_INVAL_INODE:
        fuse_lowlevel_notify_inval_inode(se, job->ino, job->attr_only ? -1 : 0, 0);
        break;
    default:
        rc = inject_child_call(&j->sh->child, &job->call, job->text, job->from);
        if (rc == -EPIPE)
            restart_child(j);
        pthread_mutex_lock(&j->lock);
        j->done = true;
        j->rc = rc;
        pthread_mutex_unlock(&j->lock);
        uv_async_send(&j->async);
    }
}

static void job_free(struct job *job)
{
    free(job->text);
    free(job->from);
    free(job);
}

static void *thread_main(void *arg)
{
    struct injector *j = arg;
    pthread_mutex_lock(&j->lock);
    while (!j->stop) {
        if (list_is_empty(&j->jobs)) {
            pthread_cond_wait(&j->wake, &j->lock);
            continue;
        }
        struct job *job = LIST_FIRST(&j->jobs, struct job, link);
        list_remove(&job->link);
        pthread_mutex_unlock(&j->lock);
        run(j, job);
        job_free(job);
        pthread_mutex_lock(&j->lock);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* ---- On the loop's thread ---- */

static void on_async(uv_async_t *async)
{
    struct injector *j = async->data;
    struct mount_event e = {.type = MOUNT_INJECTED};
    pthread_mutex_lock(&j->lock);
    bool done = j->done;
    j->done = false;
    e.rc = j->rc;
    pthread_mutex_unlock(&j->lock);
    if (done)
        shell_step(j->sh, &e);
}

int inject_start(struct shell *sh)
{
    struct injector *j = mem_zalloc(sizeof(*j));
    j->sh = sh;
    list_init(&j->jobs);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->wake, NULL);
    uv_async_init(sh->loop, &j->async, on_async);
    j->async.data = j;
    sh->injector = j;
    return -pthread_create(&j->thread, NULL, thread_main, j);
}

static void on_async_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void inject_stop(struct shell *sh)
{
    struct injector *j = sh->injector;
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->stop = true;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
    LIST_FOR_EACH_SAFE (job, &j->jobs, struct job, link)
        job_free(job);
    sh->injector = NULL;
    uv_close((uv_handle_t *)&j->async, on_async_closed);
}

void inject_job(struct shell *sh, const struct mount_effect *e)
{
    struct injector *j = sh->injector;
    struct job *job = mem_zalloc(sizeof(*job));
    job->type = e->type;
    if (e->type == MOUNT_INJECT) {
        job->call = (struct inject_call){e->inject.kind, e->inject.is_dir, e->inject.size};
        job->text = mem_strdup(e->inject.path);
        job->from = e->inject.from ? mem_strdup(e->inject.from) : NULL;
    } else {
        job->ino = e->inval.ino;
        job->attr_only = e->inval.attr_only;
        job->text = e->inval.name ? mem_strdup(e->inval.name) : NULL;
    }
    pthread_mutex_lock(&j->lock);
    list_append(&j->jobs, &job->link);
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
}
