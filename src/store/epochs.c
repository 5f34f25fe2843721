/* SPDX-License-Identifier: GPL-3.0-or-later */
/* acceptedEpoch, currentEpoch and the numbers of ours beside them: each in decimal, as ZooKeeper
 * writes it. */
#include "store_impl.h"

#include <stdio.h>

enum {
    EPOCH_TEXT_MAX = 32,
};

/* Digits, and perhaps the end of the line behind them. */
static bool epoch_parse(char *text, int64_t *epoch)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *epoch = strtoll(text, &end, 10);
    return errno == 0 && end[strspn(end, " \r\n")] == '\0';
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
    if (!epoch_parse(text, epoch))
        rc = err_set(e, -EUCLEAN, "%s: not an epoch in decimal digits: %s", path, store_remedy(s));
out:
    if (file)
        disk_close(file);
    free(path);
    return rc;
}

int store_epoch_write(struct store *s, const char *name, int64_t epoch, struct err *e)
{
    struct buf text = {0};
    char *path = store_path(s->data_dir, name);
    struct disk_file *file;
    buf_printf(&text, "%" PRId64, epoch);
    int rc = store_replace_begin(s, path, &file, e);
    if (rc < 0)
        goto out;
    rc = disk_write(file, text.data, text.len, 0);
    if (rc < 0) {
        store_io_error(s, e, rc, "write", path);
        store_replace_abandon(s, path, file);
        goto out;
    }
    rc = store_replace_publish(s, path, file, e);
out:
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
    if (rc == 0 && out->accepted < out->current)
        rc = err_set(e, -EUCLEAN,
                     "%s: acceptedEpoch %" PRId64 " is less than currentEpoch %" PRId64
                     "; restore both from one backup, or empty dataDir but for myid, so that "
                     "this server starts from its leader's state",
                     s->data_dir, out->accepted, out->current);
    return rc;
}
