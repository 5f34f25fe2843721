/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The disk that is one: file descriptors and the system calls on them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "zab/disk.h"

struct posix_file {
    struct disk_file base;
    int fd;
};

static int fd_of(struct disk_file *f)
{
    return container_of(f, struct posix_file, base)->fd;
}

/* A quota is as good as a full disk. */
static int write_error(void)
{
    return errno == EDQUOT ? -ENOSPC : -errno;
}

static int posix_open(struct disk *d, const char *path, unsigned flags, struct disk_file **out)
{
    int how = O_CLOEXEC | O_NOCTTY | (flags & DISK_WRITE ? O_RDWR : O_RDONLY);
    if (flags & DISK_CREATE)
        how |= O_CREAT | O_EXCL;
    int fd;
    do
        fd = open(path, how, 0644);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return write_error();
    struct posix_file *file = mem_alloc(sizeof(*file));
    *file = (struct posix_file){{d}, fd};
    *out = &file->base;
    return 0;
}

/* What was written is safe only after a sync, so that an error of close() says nothing new. */
static void posix_close(struct disk_file *f)
{
    close(fd_of(f));
    free(container_of(f, struct posix_file, base));
}

static int64_t posix_size(struct disk_file *f)
{
    struct stat st;
    return fstat(fd_of(f), &st) < 0 ? -errno : (int64_t)st.st_size;
}

static int64_t posix_read(struct disk_file *f, void *data, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd_of(f), (uint8_t *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int64_t posix_write(struct disk_file *f, const void *data, size_t len, uint64_t offset)
{
    ssize_t n;
    do
        n = pwrite(fd_of(f), data, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? write_error() : (int64_t)n;
}

/* Zeros that were really written: blocks that are only reserved have to be marked as written at
 * the first sync behind, which costs as much as growing the file does. */
static int posix_zero(struct disk_file *f, uint64_t offset, uint64_t len)
{
    static const uint8_t zeros[256 << 10];
    for (uint64_t done = 0; done < len;) {
        size_t step = (size_t)MIN(len - done, (uint64_t)sizeof(zeros));
        int rc = disk_write(f, zeros, step, offset + done);
        if (rc < 0)
            return rc;
        done += step;
    }
    return 0;
}

static int posix_sync(struct disk_file *f)
{
    int rc;
    do
        rc = fdatasync(fd_of(f));
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static int posix_truncate(struct disk_file *f, uint64_t size)
{
    int rc;
    do
        rc = ftruncate(fd_of(f), (off_t)size);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static int posix_rename(struct disk *d, const char *from, const char *to)
{
    (void)d;
    return rename(from, to) < 0 ? write_error() : 0;
}

static int posix_unlink(struct disk *d, const char *path)
{
    (void)d;
    return unlink(path) < 0 ? -errno : 0;
}

static int posix_link(struct disk *d, const char *from, const char *to)
{
    (void)d;
    return link(from, to) < 0 ? write_error() : 0;
}

static int posix_rmdir(struct disk *d, const char *path)
{
    (void)d;
    return rmdir(path) < 0 ? -errno : 0;
}

static int posix_stat(struct disk *d, const char *path, struct disk_stat *out)
{
    struct stat st;
    (void)d;
    if (stat(path, &st) < 0)
        return -errno;
    *out = (struct disk_stat){st.st_size,
                              (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
    return 0;
}

static int64_t posix_now_s(struct disk *d)
{
    (void)d;
    return (int64_t)time(NULL);
}

static int posix_sync_dir(struct disk *d, const char *path)
{
    (void)d;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

/* Make one directory and its name durable. */
static int posix_mkdir_one(struct disk *d, char *path)
{
    if (mkdir(path, 0755) < 0)
        return errno == EEXIST ? 0 : write_error();
    char *slash = strrchr(path, '/');
    if (!slash)
        return posix_sync_dir(d, ".");
    if (slash == path)
        return posix_sync_dir(d, "/");
    *slash = '\0';
    int rc = posix_sync_dir(d, path);
    *slash = '/';
    return rc;
}

static int posix_mkdir(struct disk *d, const char *path)
{
    char *copy = mem_strdup(path);
    struct stat st;
    int rc = 0;
    for (char *p = copy + 1; rc == 0 && *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        rc = posix_mkdir_one(d, copy);
        *p = '/';
    }
    if (rc == 0)
        rc = posix_mkdir_one(d, copy);
    if (rc == 0 && stat(copy, &st) < 0)
        rc = -errno;
    else if (rc == 0 && !S_ISDIR(st.st_mode))
        rc = -ENOTDIR;
    free(copy);
    return rc;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_not_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int posix_list(struct disk *d, const char *path, struct buf *names)
{
    struct dirent **entries;
    (void)d;
    int n = scandir(path, &entries, is_not_dots, by_name);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        buf_append(names, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static int64_t posix_free_bytes(struct disk *d, const char *path)
{
    struct statvfs st;
    (void)d;
    return statvfs(path, &st) < 0 ? -errno : (int64_t)((uint64_t)st.f_bavail * st.f_frsize);
}

struct disk *disk_posix(void)
{
    static const struct disk_ops ops = {
        .open = posix_open,
        .size = posix_size,
        .read = posix_read,
        .write = posix_write,
        .zero = posix_zero,
        .sync = posix_sync,
        .truncate = posix_truncate,
        .close = posix_close,
        .rename = posix_rename,
        .link = posix_link,
        .unlink = posix_unlink,
        .mkdir = posix_mkdir,
        .rmdir = posix_rmdir,
        .sync_dir = posix_sync_dir,
        .list = posix_list,
        .free_bytes = posix_free_bytes,
        .stat = posix_stat,
        .now_s = posix_now_s,
    };
    static struct disk disk = {&ops};
    return &disk;
}
