/* SPDX-License-Identifier: GPL-3.0-or-later */
/* acceptedEpoch, currentEpoch and the numbers of ours beside them: each in decimal, as ZooKeeper
 * writes it; ours with a checksum after it, since a wrong one would be believed. A small file is
 * kept in reserve, which becomes the next one when the disk is full. */
#include "store_impl.h"

#include <stdio.h>
#include <zlib.h>

enum {
    EPOCH_TEXT_MAX = 48,
    SPARE_SIZE = 64,
};

#define SPARE_NAME "spare"

static bool is_zookeepers(const char *name)
{
    return strcmp(name, "acceptedEpoch") == 0 || strcmp(name, "currentEpoch") == 0;
}

static void number_text(const char *name, int64_t number, struct buf *text)
{
    buf_printf(text, "%" PRId64, number);
    if (!is_zookeepers(name))
        buf_printf(text, " %08lx\n", adler32(adler32(1, NULL, 0), text->data, (uInt)text->len));
}

/* Digits; of ZooKeeper's, perhaps the end of the line after them. */
static bool number_parse(const char *name, const char *text, int64_t *number)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *number = strtoll(text, &end, 10);
    if (errno != 0)
        return false;
    if (is_zookeepers(name))
        return end[strspn(end, " \r\n")] == '\0';
    struct buf right = {0};
    number_text(name, *number, &right);
    bool same = strlen(text) == right.len && memcmp(text, right.data, right.len) == 0;
    buf_close(&right);
    return same;
}

int store_epoch_read(struct store *s, const char *name, int64_t *epoch, struct err *e)
{
    char text[EPOCH_TEXT_MAX + 1];
    char *path = store_path(s->data_dir, name);
    struct disk_file *file = NULL;
    int rc = disk_open(s->disk, path, DISK_READ, &file);
    int64_t n = rc < 0 ? rc : disk_read(file, text, EPOCH_TEXT_MAX, 0);
    if (n < 0) {
        rc = store_io_error(s, e, (int)n, "read", path);
        goto out;
    }
    text[n] = '\0';
    if (!number_parse(name, text, epoch))
        rc = err_set(e, -EUCLEAN, "%s: not a number%s: %s", path,
                     is_zookeepers(name) ? " in decimal digits" : " with its checksum",
                     store_remedy(s));
out:
    if (file)
        disk_close(file);
    free(path);
    return rc;
}

static int write_whole(struct store *s, const char *path, const struct buf *text, struct err *e)
{
    struct disk_file *file;
    int rc = store_replace_begin(s, path, &file, e);
    if (rc < 0)
        return rc;
    rc = disk_write(file, text->data, text->len, 0);
    if (rc < 0) {
        store_io_error(s, e, rc, "write", path);
        store_replace_abandon(s, path, file);
        return rc;
    }
    return store_replace_publish(s, path, file, e);
}

/* The file that was kept for that becomes the new one. `e` says already why it is needed. */
static int write_by_spare(struct store *s, const char *path, const struct buf *text, struct err *e)
{
    struct disk_file *file;
    char *spare = store_path(s->data_dir, SPARE_NAME);
    int rc = disk_open(s->disk, spare, DISK_WRITE, &file);
    if (rc == 0) {
        rc = disk_write(file, text->data, text->len, 0);
        if (rc == 0)
            rc = disk_truncate(file, text->len);
        if (rc == 0)
            rc = disk_sync(file);
        disk_close(file);
    }
    if (rc == 0)
        rc = disk_rename(s->disk, spare, path);
    if (rc == 0 && (rc = disk_sync_dir(s->disk, s->data_dir)) < 0)
        store_io_error(s, e, rc, "sync the directory of", path);
    free(spare);
    return rc == -ENOENT ? -ENOSPC : rc;
}

/* As long as there is room: elections go on where there is none. Without it they wait. */
static void keep_spare(struct store *s)
{
    static const uint8_t zeros[SPARE_SIZE];
    struct disk_stat st;
    struct disk_file *file;
    char *spare = store_path(s->data_dir, SPARE_NAME);
    if (disk_stat(s->disk, spare, &st) == -ENOENT &&
        disk_open(s->disk, spare, DISK_WRITE | DISK_CREATE, &file) == 0) {
        int rc = disk_write(file, zeros, sizeof(zeros), 0);
        if (rc == 0)
            rc = disk_sync(file);
        disk_close(file);
        if (rc < 0)
            disk_unlink(s->disk, spare);
    }
    free(spare);
}

int store_epoch_write(struct store *s, const char *name, int64_t epoch, struct err *e)
{
    struct buf text = {0};
    char *path = store_path(s->data_dir, name);
    number_text(name, epoch, &text);
    int rc = write_whole(s, path, &text, e);
    if (rc == -ENOSPC)
        rc = write_by_spare(s, path, &text, e);
    if (rc == 0)
        keep_spare(s);
    buf_close(&text);
    free(path);
    return rc;
}

static int recover_epoch(struct store *s, const char *name, int64_t least, int64_t *epoch,
                         struct store_epochs *out, struct err *e)
{
    int rc = store_epoch_read(s, name, epoch, e);
    if ((rc == 0 && *epoch >= least) || (rc != 0 && rc != -ENOENT))
        return rc;
    if (rc == 0)
        snprintf(out->note, sizeof(out->note),
                 "%s/%s is %" PRId64 ", but the log ends in epoch %" PRId64 ", which is taken",
                 s->data_dir, name, *epoch, least);
    *epoch = least;
    return store_epoch_write(s, name, *epoch, e);
}

/* A number that need not be there. */
static int read_optional(struct store *s, const char *name, int64_t *value, struct err *e)
{
    *value = 0;
    int rc = store_epoch_read(s, name, value, e);
    return rc == -ENOENT ? 0 : rc;
}

static int read_optionals(struct store *s, struct store_epochs *out, struct err *e)
{
    const struct {
        const char *name;
        int64_t *value;
    } files[] = {
        {"ensembleId", &out->ensemble_id},
        {"ensembleIdProposed", &out->proposed_id},
        {"decidedZxid", &out->decided_zxid},
        {"acceptedLoss", &out->accepted_loss},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(files); i++)
        rc = read_optional(s, files[i].name, files[i].value, e);
    return rc;
}

int store_recover_epochs(struct store *s, int64_t last_zxid, struct store_epochs *out,
                         struct err *e)
{
    int64_t least = (int64_t)((uint64_t)last_zxid >> 32);
    out->note[0] = '\0';
    int rc = read_optionals(s, out, e);
    if (rc == 0)
        rc = recover_epoch(s, "currentEpoch", least, &out->current, out, e);
    if (rc == 0)
        rc = recover_epoch(s, "acceptedEpoch", least, &out->accepted, out, e);
    if (rc == 0)
        keep_spare(s);
    if (rc == 0 && out->accepted < out->current)
        rc = err_set(e, -EUCLEAN,
                     "%s: acceptedEpoch %" PRId64 " is less than currentEpoch %" PRId64
                     "; restore both from one backup, or empty dataDir but for myid, so that "
                     "this server starts from its leader's state",
                     s->data_dir, out->accepted, out->current);
    return rc;
}
