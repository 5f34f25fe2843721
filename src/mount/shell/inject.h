/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What inject.c and inject_child.c share. */
#ifndef ZAB_MOUNT_INJECT_H
#define ZAB_MOUNT_INJECT_H

#include "shell.h"

enum {
    INJECT_PACKET_MAX = 16384,
};

/* What the process is asked to do; two paths follow, each with its NUL. */
struct inject_call {
    enum mount_inject kind;
    bool is_dir;
    int64_t size;
};

/* Waits for it; it has died, or is made to. */
void inject_child_end(struct inject_child *child);

/* Blocks until it is done: 0 or a negative errno. */
int inject_child_call(struct inject_child *child, const struct inject_call *call, const char *path,
                      const char *from);

#endif
