/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What inject.c and injected.c share. */
#ifndef ZAB_MOUNT_INJECT_H
#define ZAB_MOUNT_INJECT_H

#include <pthread.h>
#include <stdatomic.h>

#include "mount.h"

enum {
    INJECT_PACKET_MAX = 16384,
};

/* What the process is asked to do; two paths follow, each with its NUL. */
struct inject_call {
    enum inject_kind kind;
    bool is_dir;
    int64_t size;
};

/* Blocks until it is done: 0 or a negative errno. */
int inject_child_call(struct inject_child *child, const struct inject_call *call, const char *path,
                      const char *from);

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
