/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SIM_TEST_KERNEL_H
#define SIM_TEST_KERNEL_H

#include "kernel.h"
#include "sim.h"

enum { NODES = 64, SIZE_MAX_FILE = 4096 };

struct node {
    uint64_t parent; /* 0: not there */
    char name[32];
    bool is_dir;
    char data[SIZE_MAX_FILE];
    size_t size;
    int64_t lookups;
    unsigned links;
};

extern struct node nodes[NODES]; /* 1 is the root */
extern struct world w;
extern struct kernel *k;
extern struct buf seen; /* the requests, a line each */
extern int64_t entry_ms, late_ms;
extern int open_errors; /* so many OPENs get ESTALE */

struct node *add(uint64_t parent, const char *name, bool is_dir);
void deliver(struct kernel *kernel, const struct mount_request *r);
void on_injected(struct kernel *kernel, int rc);

#endif
