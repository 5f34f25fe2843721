/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The few things that the store asks of a file system, so that the simulator can give it one that
 * loses power. All calls block. Errors are negative errno. Paths are C strings.
 *
 * What is promised: bytes are durable after disk_sync(); a file's name (created, renamed or
 * unlinked) is durable after disk_sync_dir() of its directory. Nothing else is. */
#ifndef ZAB_DISK_H
#define ZAB_DISK_H

#include "zab/buf.h"

struct disk;
struct disk_file;

enum disk_open_flags {
    DISK_READ = 0,
    DISK_WRITE = 1 << 0,  /* and read */
    DISK_CREATE = 1 << 1, /* it must not be there */
};

struct disk_stat {
    int64_t size;
    int64_t mtime_ns;
};

struct disk_ops {
    int (*open)(struct disk *d, const char *path, unsigned flags, struct disk_file **out);
    int64_t (*size)(struct disk_file *f);
    /* Bytes read or written, less than asked for only at the end of the file (read) or with an
     * error the next time (write). */
    int64_t (*read)(struct disk_file *f, void *data, size_t len, uint64_t offset);
    int64_t (*write)(struct disk_file *f, const void *data, size_t len, uint64_t offset);
    /* Make sure that `len` bytes from `offset` are zeros on disk, so that writing them later
     * changes no metadata. */
    int (*zero)(struct disk_file *f, uint64_t offset, uint64_t len);
    int (*sync)(struct disk_file *f); /* also of a file opened to read */
    int (*truncate)(struct disk_file *f, uint64_t size);
    void (*close)(struct disk_file *f);
    int (*rename)(struct disk *d, const char *from, const char *to);
    /* A second name for a file: -EEXIST if it is there. */
    int (*link)(struct disk *d, const char *from, const char *to);
    int (*unlink)(struct disk *d, const char *path);
    int (*mkdir)(struct disk *d, const char *path); /* and its parents, durably; may be there */
    int (*rmdir)(struct disk *d, const char *path); /* an empty one */
    int (*sync_dir)(struct disk *d, const char *path);
    /* Append each name in the directory, NUL-terminated, sorted. */
    int (*list)(struct disk *d, const char *path, struct buf *names);
    int64_t (*free_bytes)(struct disk *d, const char *path);
    /* Of a file or a directory. */
    int (*stat)(struct disk *d, const char *path, struct disk_stat *out);
    int64_t (*now_s)(struct disk *d); /* wall clock, by which files have their times */
};

struct disk {
    const struct disk_ops *ops;
};

struct disk_file {
    struct disk *disk;
};

/* The real one. It has no state. */
struct disk *disk_posix(void);

/* The one in memory: disk_mem.h. */

static inline int disk_open(struct disk *d, const char *path, unsigned flags,
                            struct disk_file **out)
{
    return d->ops->open(d, path, flags, out);
}

static inline int64_t disk_size(struct disk_file *f)
{
    return f->disk->ops->size(f);
}

static inline int64_t disk_read(struct disk_file *f, void *data, size_t len, uint64_t offset)
{
    return f->disk->ops->read(f, data, len, offset);
}

/* All of `data`: 0 or a negative errno. */
int disk_write(struct disk_file *f, const void *data, size_t len, uint64_t offset);

static inline int disk_zero(struct disk_file *f, uint64_t offset, uint64_t len)
{
    return f->disk->ops->zero(f, offset, len);
}

static inline int disk_sync(struct disk_file *f)
{
    return f->disk->ops->sync(f);
}

static inline int disk_truncate(struct disk_file *f, uint64_t size)
{
    return f->disk->ops->truncate(f, size);
}

static inline void disk_close(struct disk_file *f)
{
    f->disk->ops->close(f);
}

static inline int disk_rename(struct disk *d, const char *from, const char *to)
{
    return d->ops->rename(d, from, to);
}

static inline int disk_unlink(struct disk *d, const char *path)
{
    return d->ops->unlink(d, path);
}

static inline int disk_mkdir(struct disk *d, const char *path)
{
    return d->ops->mkdir(d, path);
}

static inline int disk_link(struct disk *d, const char *from, const char *to)
{
    return d->ops->link(d, from, to);
}

static inline int disk_rmdir(struct disk *d, const char *path)
{
    return d->ops->rmdir(d, path);
}

static inline int disk_stat(struct disk *d, const char *path, struct disk_stat *out)
{
    return d->ops->stat(d, path, out);
}

static inline int64_t disk_now_s(struct disk *d)
{
    return d->ops->now_s(d);
}

static inline int disk_sync_dir(struct disk *d, const char *path)
{
    return d->ops->sync_dir(d, path);
}

static inline int disk_list(struct disk *d, const char *path, struct buf *names)
{
    return d->ops->list(d, path, names);
}

static inline int64_t disk_free_bytes(struct disk *d, const char *path)
{
    return d->ops->free_bytes(d, path);
}

#endif
