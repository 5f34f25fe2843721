/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the disk in memory share. */
#ifndef DISK_MEM_IMPL_H
#define DISK_MEM_IMPL_H

#include "zab/disk_mem.h"

enum {
    SECTOR = 512,
};

struct mem_file {
    struct mem_file *next;
    struct buf now;
    struct buf durable;
    struct buf dirty; /* for each sector of `now`: was it written since the last sync? */
    uint64_t counted; /* by mem_used() */
};

struct mem_name {
    struct mem_name *next; /* sorted by path */
    char *path;
    struct mem_file *now; /* NULL: no such name */
    struct mem_file *durable;
    int64_t changed_s;
};

struct disk_mem {
    struct disk base;
    struct rng rng;
    struct mem_file *files;
    struct mem_name *names;
    uint64_t boot; /* counts crashes and kills */
    uint64_t capacity;
    unsigned n_open, files_max;
    uint64_t n_counts; /* of mem_used() */
    int64_t now_s;
    uint64_t countdown;
    enum disk_mem_fault fault;
    bool down;
    struct disk_mem_counters counters;
};

static inline void buf_resize(struct buf *b, size_t len)
{
    size_t old = b->len;
    if (len > old)
        memset(buf_extend(b, len - old), 0, len - old);
    b->len = len;
}

static inline size_t sectors(size_t len)
{
    return (len + SECTOR - 1) / SECTOR;
}

#endif
