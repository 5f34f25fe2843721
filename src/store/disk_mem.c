/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file is two byte strings, what was written last and what is durable; a name points to two
 * files in the same way. Syncing copies the first to the second, a crash mixes them. Files that
 * no name and no open handle needs are freed when the disk is. */
#include "zab/disk_mem.h"

#include <errno.h>
#include <stdlib.h>

enum {
    SECTOR = 512,
};

struct mem_file {
    struct mem_file *next;
    struct buf now;
    struct buf durable;
};

struct mem_name {
    struct mem_name *next; /* sorted by path */
    char *path;
    struct mem_file *now; /* NULL: no such name */
    struct mem_file *durable;
};

struct mem_handle {
    struct disk_file base;
    struct mem_file *file;
    uint64_t boot;
    bool writable;
};

struct disk_mem {
    struct disk base;
    struct rng rng;
    struct mem_file *files;
    struct mem_name *names;
    uint64_t boot; /* counts crashes and kills */
    uint64_t capacity;
    uint64_t countdown;
    enum disk_mem_fault fault;
    bool down;
    struct disk_mem_counters counters;
};

static struct disk_mem *mem_of(struct disk *d)
{
    return container_of(d, struct disk_mem, base);
}

static struct mem_handle *handle_of(struct disk_file *f)
{
    return container_of(f, struct mem_handle, base);
}

/* Each operation asks here first: 0, or the fault that it meets. */
static int mem_begin(struct disk_mem *m)
{
    m->counters.operations++;
    if (m->down)
        return -EIO;
    if (m->countdown == 0 || --m->countdown > 0)
        return 0;
    m->down = m->fault == DISK_MEM_CRASH;
    return m->fault == DISK_MEM_ENOSPC ? -ENOSPC : -EIO;
}

static int mem_begin_on(struct disk_file *f)
{
    struct disk_mem *m = mem_of(f->disk);
    int rc = mem_begin(m);
    return handle_of(f)->boot == m->boot ? rc : -EIO;
}

static struct mem_name **mem_slot(struct disk_mem *m, const char *path)
{
    struct mem_name **slot = &m->names;
    while (*slot && strcmp((*slot)->path, path) < 0)
        slot = &(*slot)->next;
    return slot;
}

static struct mem_name *mem_find(struct disk_mem *m, const char *path)
{
    struct mem_name *n = *mem_slot(m, path);
    return n && strcmp(n->path, path) == 0 ? n : NULL;
}

static struct mem_name *mem_name_make(struct disk_mem *m, const char *path)
{
    struct mem_name **slot = mem_slot(m, path);
    if (!*slot || strcmp((*slot)->path, path) != 0) {
        struct mem_name *n = mem_zalloc(sizeof(*n));
        n->path = mem_strdup(path);
        n->next = *slot;
        *slot = n;
    }
    return *slot;
}

/* The part of `path` behind `dir` and its slash, if it is a name in that directory. */
static const char *mem_name_in(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    if (strncmp(path, dir, len) != 0 || path[len] != '/' || strchr(path + len + 1, '/'))
        return NULL;
    return path + len + 1;
}

static int mem_op_open(struct disk *d, const char *path, unsigned flags, struct disk_file **out)
{
    struct disk_mem *m = mem_of(d);
    int rc = mem_begin(m);
    if (rc < 0)
        return rc;
    struct mem_name *n = mem_find(m, path);
    bool there = n && n->now;
    if (there == !!(flags & DISK_CREATE))
        return there ? -EEXIST : -ENOENT;
    if (!there) {
        struct mem_file *file = mem_zalloc(sizeof(*file));
        file->next = m->files;
        m->files = file;
        n = mem_name_make(m, path);
        n->now = file;
    }
    struct mem_handle *h = mem_zalloc(sizeof(*h));
    h->base.disk = d;
    h->file = n->now;
    h->boot = m->boot;
    h->writable = flags & DISK_WRITE;
    *out = &h->base;
    return 0;
}

static void mem_op_close(struct disk_file *f)
{
    free(handle_of(f));
}

static int64_t mem_op_size(struct disk_file *f)
{
    return (int64_t)handle_of(f)->file->now.len;
}

static int64_t mem_op_read(struct disk_file *f, void *data, size_t len, uint64_t offset)
{
    int rc = mem_begin_on(f);
    if (rc < 0)
        return rc;
    struct buf *now = &handle_of(f)->file->now;
    if (offset >= now->len)
        return 0;
    len = MIN(len, now->len - offset);
    memcpy(data, now->data + offset, len);
    return (int64_t)len;
}

static void buf_resize(struct buf *b, size_t len)
{
    size_t old = b->len;
    if (len > old)
        memset(buf_extend(b, len - old), 0, len - old);
    b->len = len;
}

static uint64_t mem_used(const struct disk_mem *m)
{
    uint64_t used = 0;
    for (struct mem_name *n = m->names; n; n = n->next)
        used += n->now ? n->now->now.len : 0;
    return used;
}

static int64_t mem_op_free_bytes(struct disk *d, const char *path)
{
    struct disk_mem *m = mem_of(d);
    uint64_t used = mem_used(m);
    (void)path;
    return used < m->capacity ? (int64_t)(m->capacity - used) : 0;
}

/* Write `len` bytes, NULL for zeros. A fault leaves a part of them. */
static int64_t mem_put(struct disk_file *f, const void *data, size_t len, uint64_t offset)
{
    struct disk_mem *m = mem_of(f->disk);
    struct buf *now = &handle_of(f)->file->now;
    bool was_down = m->down;
    int rc = mem_begin_on(f);
    ensure(handle_of(f)->writable);
    if (handle_of(f)->boot != m->boot || was_down)
        return -EIO;
    size_t done = rc < 0 ? rng_below(&m->rng, len + 1) : len;
    uint64_t space = (uint64_t)mem_op_free_bytes(f->disk, NULL) + now->len;
    if (offset + done > MAX(space, now->len)) {
        done = space > offset ? space - offset : 0;
        rc = rc < 0 ? rc : -ENOSPC;
    }
    if (done > 0 && offset + done > now->len)
        buf_resize(now, offset + done);
    if (done > 0 && data)
        memcpy(now->data + offset, data, done);
    else if (done > 0)
        memset(now->data + offset, 0, done);
    m->counters.writes++;
    return rc < 0 ? rc : (int64_t)done;
}

static int64_t mem_op_write(struct disk_file *f, const void *data, size_t len, uint64_t offset)
{
    return mem_put(f, data, len, offset);
}

static int mem_op_zero(struct disk_file *f, uint64_t offset, uint64_t len)
{
    int64_t n = mem_put(f, NULL, len, offset);
    return n < 0 ? (int)n : 0;
}

static void buf_copy(struct buf *to, const struct buf *from)
{
    buf_reset(to);
    buf_append(to, from->data, from->len);
}

static int mem_op_sync(struct disk_file *f)
{
    int rc = mem_begin_on(f);
    if (rc < 0)
        return rc;
    mem_of(f->disk)->counters.syncs++;
    buf_copy(&handle_of(f)->file->durable, &handle_of(f)->file->now);
    return 0;
}

static int mem_op_truncate(struct disk_file *f, uint64_t size)
{
    int rc = mem_begin_on(f);
    if (rc < 0)
        return rc;
    ensure(handle_of(f)->writable);
    buf_resize(&handle_of(f)->file->now, size);
    return 0;
}

static int mem_op_rename(struct disk *d, const char *from, const char *to)
{
    struct disk_mem *m = mem_of(d);
    int rc = mem_begin(m);
    if (rc < 0)
        return rc;
    struct mem_name *n = mem_find(m, from);
    if (!n || !n->now)
        return -ENOENT;
    mem_name_make(m, to)->now = n->now;
    n->now = NULL;
    return 0;
}

static int mem_op_unlink(struct disk *d, const char *path)
{
    struct disk_mem *m = mem_of(d);
    int rc = mem_begin(m);
    if (rc < 0)
        return rc;
    struct mem_name *n = mem_find(m, path);
    if (!n || !n->now)
        return -ENOENT;
    n->now = NULL;
    return 0;
}

/* A directory is there as soon as a name in it is. */
static int mem_op_mkdir(struct disk *d, const char *path)
{
    (void)path;
    return mem_begin(mem_of(d));
}

static int mem_op_sync_dir(struct disk *d, const char *path)
{
    struct disk_mem *m = mem_of(d);
    int rc = mem_begin(m);
    if (rc < 0)
        return rc;
    m->counters.dir_syncs++;
    for (struct mem_name *n = m->names; n; n = n->next) {
        if (mem_name_in(n->path, path))
            n->durable = n->now;
    }
    return 0;
}

static int mem_op_list(struct disk *d, const char *path, struct buf *names)
{
    struct disk_mem *m = mem_of(d);
    int rc = mem_begin(m);
    if (rc < 0)
        return rc;
    for (struct mem_name *n = m->names; n; n = n->next) {
        const char *name = mem_name_in(n->path, path);
        if (name && n->now)
            buf_append(names, name, strlen(name) + 1);
    }
    return 0;
}

static const struct disk_ops mem_ops = {
    .open = mem_op_open,
    .size = mem_op_size,
    .read = mem_op_read,
    .write = mem_op_write,
    .zero = mem_op_zero,
    .sync = mem_op_sync,
    .truncate = mem_op_truncate,
    .close = mem_op_close,
    .rename = mem_op_rename,
    .unlink = mem_op_unlink,
    .mkdir = mem_op_mkdir,
    .sync_dir = mem_op_sync_dir,
    .list = mem_op_list,
    .free_bytes = mem_op_free_bytes,
};

struct disk_mem *disk_mem_open(uint64_t seed)
{
    struct disk_mem *m = mem_zalloc(sizeof(*m));
    m->base.ops = &mem_ops;
    m->rng.state = seed;
    m->capacity = INT64_MAX;
    return m;
}

void disk_mem_close(struct disk_mem *m)
{
    for (struct mem_name *n = m->names, *next; n; n = next) {
        next = n->next;
        free(n->path);
        free(n);
    }
    for (struct mem_file *f = m->files, *next; f; f = next) {
        next = f->next;
        buf_close(&f->now);
        buf_close(&f->durable);
        free(f);
    }
    free(m);
}

struct disk *disk_mem_disk(struct disk_mem *m)
{
    return &m->base;
}

/* ---- Losing power ---- */

enum fate {
    FATE_LOST,
    FATE_KEPT,
    FATE_REORDERED, /* each sector for itself */
    FATE_CUT_OFF,   /* a first part; its last sector is garbage */
};

/* Sector `at` of what the file will be: from `now` or from `durable`. Both have `len` bytes. */
static void crash_sector(struct disk_mem *m, struct mem_file *f, size_t at, enum fate *fate)
{
    size_t len = MIN((size_t)SECTOR, f->now.len - at);
    uint8_t *now = f->now.data + at, *durable = f->durable.data + at;
    if (memcmp(now, durable, len) == 0)
        return;
    bool garbage = *fate == FATE_CUT_OFF && rng_one_in(&m->rng, 8);
    bool keep = *fate == FATE_KEPT || *fate == FATE_CUT_OFF ||
                (*fate == FATE_REORDERED && rng_one_in(&m->rng, 2));
    for (size_t i = 0; garbage && i < len; i++) {
        if (now[i] != durable[i])
            now[i] = (uint8_t)rng_next(&m->rng);
    }
    if (garbage)
        *fate = FATE_LOST;
    if (!keep)
        memcpy(now, durable, len);
}

static void crash_file(struct disk_mem *m, struct mem_file *f)
{
    enum fate fate = (enum fate)rng_below(&m->rng, 4);
    size_t size = fate == FATE_KEPT || (fate != FATE_LOST && rng_one_in(&m->rng, 2))
                      ? f->now.len
                      : f->durable.len;
    size_t len = MAX(f->now.len, f->durable.len);
    /* A size that was cut and then lost brings the old bytes back. */
    if (f->now.len < len)
        buf_append(&f->now, f->durable.data + f->now.len, len - f->now.len);
    buf_resize(&f->durable, len);
    for (size_t at = 0; at < len; at += SECTOR)
        crash_sector(m, f, at, &fate);
    buf_resize(&f->now, size);
    buf_copy(&f->durable, &f->now);
}

static void mem_restart(struct disk_mem *m)
{
    m->boot++;
    m->down = false;
    m->countdown = 0;
}

void disk_mem_crash(struct disk_mem *m)
{
    for (struct mem_name *n = m->names; n; n = n->next) {
        if (n->now != n->durable && rng_one_in(&m->rng, 2))
            n->now = n->durable;
        n->durable = n->now;
    }
    for (struct mem_file *f = m->files; f; f = f->next)
        crash_file(m, f);
    mem_restart(m);
}

void disk_mem_kill(struct disk_mem *m)
{
    mem_restart(m);
}

void disk_mem_fail_after(struct disk_mem *m, uint64_t n, enum disk_mem_fault fault)
{
    m->countdown = n;
    m->fault = fault;
}

void disk_mem_set_capacity(struct disk_mem *m, uint64_t bytes)
{
    m->capacity = MIN(bytes, (uint64_t)INT64_MAX);
}

struct disk_mem_counters disk_mem_counters(const struct disk_mem *m)
{
    return m->counters;
}

int disk_mem_flip(struct disk_mem *m, const char *path, uint64_t offset, uint8_t mask)
{
    struct mem_name *n = mem_find(m, path);
    if (!n || !n->now)
        return -ENOENT;
    if (offset >= n->now->now.len || offset >= n->now->durable.len)
        return -ERANGE;
    n->now->now.data[offset] ^= mask;
    n->now->durable.data[offset] ^= mask;
    return 0;
}

int disk_mem_cut(struct disk_mem *m, const char *path, uint64_t size)
{
    struct mem_name *n = mem_find(m, path);
    if (!n || !n->now)
        return -ENOENT;
    if (size > n->now->now.len || size > n->now->durable.len)
        return -ERANGE;
    n->now->now.len = n->now->durable.len = size;
    return 0;
}
