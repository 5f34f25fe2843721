/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What inject.c and injected.c share. */
#ifndef ZAB_MOUNT_INJECT_H
#define ZAB_MOUNT_INJECT_H

#include <pthread.h>
#include <stdatomic.h>

#include "mount.h"

/* One change to be told. All but the link is set once, by the loop. */
struct injection {
    struct list link;
    enum inject_kind kind;
    struct node *n;
    struct node *parent;
    char *name;
    char *path; /* absolute */
    struct node *from_parent;
    char *from_name;
    char *from_path;
    struct node *target; /* what a rename replaces */
    off_t size;
    bool is_dir;
    bool shed;
};

struct injector {
    struct mount *mount;
    pthread_t thread;
    uv_async_t async;
    atomic_int tid;
    atomic_bool answers;  /* the mount has answered a system call */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool stop;
    struct list waiting;
    struct list done;
    struct injection *current;
    size_t backlog; /* the loop's: pushed and not yet freed */
};

#endif
