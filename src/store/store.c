/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names, listings and the way in which a file is replaced. */
#include "store_impl.h"

#include <stdio.h>

char *store_path(const char *dir, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "%s/%s", dir, name);
    return (char *)b.data;
}

char *store_snapshot_name(const char *prefix, int64_t zxid)
{
    struct buf b = {0};
    buf_printf(&b, "%s%" PRIx64 ".zst", prefix, (uint64_t)zxid);
    return (char *)b.data;
}

/* A single replica that is started on an empty directory has an empty tree. */
const char *store_remedy(const struct store *s)
{
    return s->has_peers
               ? "restore version-2 from a backup; or, if the other servers of the ensemble are "
                 "running, move the version-2 directories aside (keep myid) and start: the tree is "
                 "then copied from the leader"
               : "restore version-2 from a backup";
}

int store_io_error(struct store *s, struct err *e, int code, const char *doing, const char *path)
{
    if (code != -ENOSPC)
        return err_set(e, code, "cannot %s %s: %s", doing, path, strerror(-code));
    int64_t left = disk_free_bytes(s->disk, s->data_dir);
    return err_set(e, code,
                   "cannot %s %s: no space left on the device (%" PRId64
                   " bytes are free): make room",
                   doing, path, left < 0 ? 0 : left);
}

int store_open(struct store *s, struct disk *disk, const char *data_dir, const char *log_dir,
               struct err *e)
{
    *s = (struct store){.disk = disk,
                        .data_dir = store_path(data_dir, "version-2"),
                        .log_dir = store_path(log_dir ? log_dir : data_dir, "version-2")};
    const char *dirs[] = {s->data_dir, s->log_dir};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        int rc = disk_mkdir(disk, dirs[i]);
        if (rc < 0) {
            store_io_error(s, e, rc, "make the directory", dirs[i]);
            store_close(s);
            return rc;
        }
    }
    return 0;
}

void store_close(struct store *s)
{
    free(s->data_dir);
    free(s->log_dir);
    store_forget_verified(s);
    *s = (struct store){0};
}

/* ---- Listing ---- */

int64_t store_zxid_of_name(const char *name, const char *prefix)
{
    size_t len = strlen(prefix);
    if (strncmp(name, prefix, len) != 0 || !strchr("0123456789abcdef", name[len]) || !name[len])
        return -1;
    char *end;
    errno = 0;
    unsigned long long zxid = strtoull(name + len, &end, 16);
    bool temporary = strcmp(end, TEMPORARY_SUFFIX) == 0;
    if (errno != 0 || zxid >= INT64_MAX || (*end != '\0' && *end != '.') || temporary)
        return -1;
    return (int64_t)zxid;
}

static int compare_files(const void *a, const void *b)
{
    const struct store_file *x = a, *y = b;
    if (x->zxid != y->zxid)
        return x->zxid < y->zxid ? -1 : 1;
    return strcmp(x->name, y->name);
}

int store_files_list(struct store *s, const char *dir, const char *prefix,
                     struct store_files *files, struct err *e)
{
    struct buf names = {0};
    *files = (struct store_files){0};
    int rc = disk_list(s->disk, dir, &names);
    if (rc < 0) {
        buf_close(&names);
        return store_io_error(s, e, rc, "list", dir);
    }
    size_t n_names = 0;
    for (size_t i = 0; i < names.len; i++)
        n_names += names.data[i] == '\0';
    files->at = mem_alloc(n_names * sizeof(*files->at));
    for (size_t i = 0; i < names.len; i += strlen((char *)names.data + i) + 1) {
        const char *name = (char *)names.data + i;
        int64_t zxid = store_zxid_of_name(name, prefix);
        if (zxid >= 0)
            files->at[files->n++] = (struct store_file){zxid, mem_strdup(name)};
    }
    qsort(files->at, files->n, sizeof(*files->at), compare_files);
    buf_close(&names);
    return 0;
}

void store_files_close(struct store_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        free(files->at[i].name);
    free(files->at);
    *files = (struct store_files){0};
}

size_t store_files_before(const struct store_files *files, int64_t zxid)
{
    size_t i = 0;
    while (i + 1 < files->n && files->at[i + 1].zxid <= zxid)
        i++;
    return i;
}

/* ---- Changing ---- */

int store_remove(struct store *s, const char *dir, const char *name, struct err *e)
{
    char *path = store_path(dir, name);
    int rc = disk_unlink(s->disk, path);
    if (rc == 0)
        rc = disk_sync_dir(s->disk, dir);
    if (rc < 0)
        store_io_error(s, e, rc, "remove", path);
    free(path);
    return rc;
}

static char *temporary_of(const char *path)
{
    struct buf b = {0};
    buf_printf(&b, "%s" TEMPORARY_SUFFIX, path);
    return (char *)b.data;
}

int store_replace_begin(struct store *s, const char *path, struct disk_file **file, struct err *e)
{
    char *temporary = temporary_of(path);
    int rc = disk_unlink(s->disk, temporary);
    if (rc == 0 || rc == -ENOENT)
        rc = disk_open(s->disk, temporary, DISK_WRITE | DISK_CREATE, file);
    if (rc < 0)
        store_io_error(s, e, rc, "create", temporary);
    free(temporary);
    return rc;
}

static int sync_dir_of(struct store *s, const char *path)
{
    char *dir = mem_strdup(path);
    *strrchr(dir, '/') = '\0';
    int rc = disk_sync_dir(s->disk, dir);
    free(dir);
    return rc;
}

int store_replace_publish(struct store *s, const char *path, struct disk_file *file, struct err *e)
{
    char *temporary = temporary_of(path);
    const char *doing = "sync";
    int rc = disk_sync(file);
    disk_close(file);
    if (rc == 0) {
        doing = "rename";
        rc = disk_rename(s->disk, temporary, path);
    }
    if (rc < 0)
        disk_unlink(s->disk, temporary);
    else if ((rc = sync_dir_of(s, path)) < 0)
        doing = "sync the directory of";
    if (rc < 0)
        store_io_error(s, e, rc, doing, path);
    free(temporary);
    return rc;
}

void store_replace_abandon(struct store *s, const char *path, struct disk_file *file)
{
    char *temporary = temporary_of(path);
    disk_close(file);
    disk_unlink(s->disk, temporary);
    free(temporary);
}
