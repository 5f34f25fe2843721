/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file is two byte strings, what was written last and what is durable; a name points to two
 * files in the same way. Syncing copies the sectors that were written since the last sync from the
 * first to the second, a crash mixes them. Files that no name and no open handle needs are freed
 * when the disk is. */
#include "disk_mem_impl.h"

#include <errno.h>
#include <stdlib.h>

struct mem_handle {
    struct disk_file base;
    struct mem_file *file;
    uint64_t boot;
    bool writable;
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

static void mem_name_set(struct disk_mem *m, struct mem_name *n, struct mem_file *file)
{
    n->now = file;
    n->changed_s = m->now_s;
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
    if (m->n_open >= m->files_max)
        return -EMFILE;
    if (there == !!(flags & DISK_CREATE))
        return there ? -EEXIST : -ENOENT;
    if (!there) {
        struct mem_file *file = mem_zalloc(sizeof(*file));
        file->next = m->files;
        m->files = file;
        n = mem_name_make(m, path);
        mem_name_set(m, n, file);
    }
    struct mem_handle *h = mem_zalloc(sizeof(*h));
    h->base.disk = d;
    m->n_open++;
    h->file = n->now;
    h->boot = m->boot;
    h->writable = flags & DISK_WRITE;
    *out = &h->base;
    return 0;
}

static void mem_op_close(struct disk_file *f)
{
    mem_of(f->disk)->n_open--;
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

/* Make the file `len` bytes long, and have its sectors from byte `from` up to that be dirty. */
static void file_resize(struct mem_file *f, size_t from, size_t len)
{
    buf_resize(&f->now, len);
    buf_resize(&f->dirty, sectors(len));
    for (size_t i = from / SECTOR; i < f->dirty.len; i++)
        f->dirty.data[i] = 1;
}

static uint64_t mem_used(struct disk_mem *m)
{
    uint64_t used = 0;
    m->n_counts++;
    for (struct mem_name *n = m->names; n; n = n->next) {
        if (n->now && n->now->counted != m->n_counts)
            used += n->now->now.len;
        if (n->now)
            n->now->counted = m->n_counts;
    }
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
    struct mem_file *file = handle_of(f)->file;
    struct buf *now = &file->now;
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
        file_resize(file, MIN(now->len, offset), offset + done);
    for (size_t i = offset / SECTOR; done > 0 && i <= (offset + done - 1) / SECTOR; i++)
        file->dirty.data[i] = 1;
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

/* A sector of `now` that `durable` is long enough for. */
static void sector_write_back(struct mem_file *f, size_t i)
{
    size_t at = i * SECTOR, end = MIN(at + SECTOR, MIN(f->now.len, f->durable.len));
    if (at < end)
        memcpy(f->durable.data + at, f->now.data + at, end - at);
}

/* Each sector is written back or is not, and is clean. So is the size. */
static void file_fail_sync(struct disk_mem *m, struct mem_file *f)
{
    if (rng_one_in(&m->rng, 2))
        buf_resize(&f->durable, f->now.len);
    for (size_t i = 0; i < f->dirty.len; i++) {
        if (f->dirty.data[i] && rng_one_in(&m->rng, 2))
            sector_write_back(f, i);
        f->dirty.data[i] = 0;
    }
}

static int mem_op_sync(struct disk_file *f)
{
    struct disk_mem *m = mem_of(f->disk);
    struct mem_file *file = handle_of(f)->file;
    int rc = mem_begin_on(f);
    if (rc < 0 && handle_of(f)->boot == m->boot && !m->down)
        file_fail_sync(m, file);
    if (rc < 0)
        return rc;
    m->counters.syncs++;
    buf_resize(&file->durable, file->now.len);
    for (size_t i = 0; i < file->dirty.len; i++) {
        if (file->dirty.data[i])
            sector_write_back(file, i);
        file->dirty.data[i] = 0;
    }
    return 0;
}

static int mem_op_truncate(struct disk_file *f, uint64_t size)
{
    struct mem_file *file = handle_of(f)->file;
    int rc = mem_begin_on(f);
    if (rc < 0)
        return rc;
    ensure(handle_of(f)->writable);
    file_resize(file, MIN(file->now.len, (size_t)size), (size_t)size);
    return 0;
}

static int mem_begin_on_name(struct disk_mem *m, const char *path, struct mem_name **n)
{
    int rc = mem_begin(m);
    if (rc < 0)
        return rc;
    *n = mem_find(m, path);
    return *n && (*n)->now ? 0 : -ENOENT;
}

static int mem_op_rename(struct disk *d, const char *from, const char *to)
{
    struct disk_mem *m = mem_of(d);
    struct mem_name *n;
    int rc = mem_begin_on_name(m, from, &n);
    if (rc < 0)
        return rc;
    mem_name_set(m, mem_name_make(m, to), n->now);
    mem_name_set(m, n, NULL);
    return 0;
}

static int mem_op_link(struct disk *d, const char *from, const char *to)
{
    struct disk_mem *m = mem_of(d);
    struct mem_name *n;
    int rc = mem_begin_on_name(m, from, &n);
    if (rc < 0)
        return rc;
    struct mem_name *other = mem_name_make(m, to);
    if (other->now)
        return -EEXIST;
    mem_name_set(m, other, n->now);
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
    mem_name_set(m, n, NULL);
    return 0;
}

/* A directory is there as soon as a name in it is. */
static int mem_op_mkdir(struct disk *d, const char *path)
{
    (void)path;
    return mem_begin(mem_of(d));
}

/* The first name below the directory, at any depth, from `n` on. */
static struct mem_name *mem_next_below(struct mem_name *n, const char *dir)
{
    size_t len = strlen(dir);
    while (n && (!n->now || strncmp(n->path, dir, len) != 0 || n->path[len] != '/'))
        n = n->next;
    return n;
}

static int mem_op_rmdir(struct disk *d, const char *path)
{
    struct disk_mem *m = mem_of(d);
    int rc = mem_begin(m);
    if (rc == 0 && mem_next_below(m->names, path))
        rc = -ENOTEMPTY;
    return rc;
}

/* A directory changed when the last of its names did. */
static int mem_op_stat(struct disk *d, const char *path, struct disk_stat *out)
{
    struct disk_mem *m = mem_of(d);
    struct mem_name *n = mem_find(m, path);
    *out = (struct disk_stat){0};
    if (n && n->now) {
        *out = (struct disk_stat){(int64_t)n->now->now.len, n->changed_s * 1000000000};
        return 0;
    }
    n = mem_next_below(m->names, path);
    if (!n)
        return -ENOENT;
    for (; n; n = mem_next_below(n->next, path))
        out->mtime_ns = MAX(out->mtime_ns, n->changed_s * 1000000000);
    return 0;
}

static int64_t mem_op_now_s(struct disk *d)
{
    return mem_of(d)->now_s;
}

static int mem_op_sync_dir(struct disk *d, const char *path)
{
    struct disk_mem *m = mem_of(d);
    int rc = mem_begin(m);
    if (rc < 0)
        return rc;
    if (m->n_open >= m->files_max)
        return -EMFILE;
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
    size_t len = strlen(path) + 1, last = 0, last_len = 0;
    for (struct mem_name *n = m->names; (n = mem_next_below(n, path)); n = n->next) {
        const char *name = n->path + len;
        size_t name_len = strcspn(name, "/");
        if (name_len == last_len && memcmp(names->data + last, name, name_len) == 0)
            continue; /* another one of that directory */
        last = names->len;
        last_len = name_len;
        buf_append(names, name, name_len);
        *buf_extend(names, 1) = '\0';
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
    .link = mem_op_link,
    .unlink = mem_op_unlink,
    .mkdir = mem_op_mkdir,
    .rmdir = mem_op_rmdir,
    .sync_dir = mem_op_sync_dir,
    .list = mem_op_list,
    .free_bytes = mem_op_free_bytes,
    .stat = mem_op_stat,
    .now_s = mem_op_now_s,
};

struct disk_mem *disk_mem_open(uint64_t seed)
{
    struct disk_mem *m = mem_zalloc(sizeof(*m));
    m->base.ops = &mem_ops;
    m->rng.state = seed;
    m->capacity = INT64_MAX;
    m->files_max = UINT32_MAX;
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
        buf_close(&f->dirty);
        free(f);
    }
    free(m);
}

struct disk *disk_mem_disk(struct disk_mem *m)
{
    return &m->base;
}

void disk_mem_fail_after(struct disk_mem *m, uint64_t n, enum disk_mem_fault fault)
{
    m->countdown = n;
    m->fault = fault;
}

void disk_mem_set_time(struct disk_mem *m, int64_t seconds)
{
    m->now_s = seconds;
}

void disk_mem_set_capacity(struct disk_mem *m, uint64_t bytes)
{
    m->capacity = MIN(bytes, (uint64_t)INT64_MAX);
}

void disk_mem_set_files_max(struct disk_mem *m, unsigned n)
{
    m->files_max = n;
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
    n->now->dirty.len = sectors(size);
    return 0;
}
