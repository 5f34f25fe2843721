/* SPDX-License-Identifier: GPL-3.0-or-later */
/* acceptedEpoch and currentEpoch: a number in decimal, as ZooKeeper writes it. */
#include "store_impl.h"

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
        rc = err_set(e, -EUCLEAN, "%s: not an epoch in decimal digits: " REMEDY, path);
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
