/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How far the log was once durable: the place and the checksum of the last entry that a sync has
 * covered, in a file of its own, since the log's format has no room for it.
 *
 * It is written behind each sync and not synced itself, so that it may be an older one, or gone,
 * after a loss of power. It proves one thing only: if that very entry is where it says, all before
 * it was durable, and a hole there is damage. */
#include "store_impl.h"

#include <zlib.h>

#define MARK_NAME "synced"

enum {
    MARK_SIZE = 8 + 8 + 8 + 4 + 4,
};

static char *mark_path(const struct store *s)
{
    return store_path(s->log_dir, MARK_NAME);
}

struct disk_file *txnlog_mark_open(struct store *s)
{
    struct disk_file *file = NULL;
    char *path = mark_path(s);
    int rc = disk_open(s->disk, path, DISK_WRITE, &file);
    if (rc == -ENOENT)
        rc = disk_open(s->disk, path, DISK_WRITE | DISK_CREATE, &file);
    free(path);
    return rc < 0 ? NULL : file;
}

void txnlog_mark_write(struct disk_file *file, const struct txnlog_mark *m)
{
    uint8_t bytes[MARK_SIZE];
    be64_put(bytes, (uint64_t)m->file_zxid);
    be64_put(bytes + 8, m->offset);
    be64_put(bytes + 16, (uint64_t)m->zxid);
    be32_put(bytes + 24, m->sum);
    be32_put(bytes + 28, (uint32_t)adler32(1, bytes, 28));
    (void)disk_write(file, bytes, sizeof(bytes), 0);
}

bool txnlog_mark_read(struct store *s, struct txnlog_mark *m)
{
    uint8_t bytes[MARK_SIZE];
    struct disk_file *file;
    char *path = mark_path(s);
    int rc = disk_open(s->disk, path, DISK_READ, &file);
    free(path);
    if (rc < 0)
        return false;
    int64_t n = disk_read(file, bytes, sizeof(bytes), 0);
    disk_close(file);
    if (n != MARK_SIZE || be32_get(bytes + 28) != (uint32_t)adler32(1, bytes, 28))
        return false;
    *m = (struct txnlog_mark){(int64_t)be64_get(bytes), be64_get(bytes + 8),
                              (int64_t)be64_get(bytes + 16), be32_get(bytes + 24)};
    return true;
}

/* Another history may have the same entry in the same place, not durable yet. */
int txnlog_mark_remove(struct store *s, struct err *e)
{
    char *path = mark_path(s);
    int rc = disk_unlink(s->disk, path);
    if (rc == 0)
        rc = disk_sync_dir(s->disk, s->log_dir);
    rc = rc == -ENOENT ? 0 : rc;
    if (rc < 0)
        store_io_error(s, e, rc, "remove", path);
    free(path);
    return rc;
}

/* Are the bytes at `data`, which are at `offset` in that file, from before the marked entry? */
bool txnlog_mark_disproves(struct store *s, int64_t file_zxid, const uint8_t *data, size_t len,
                           uint64_t offset)
{
    struct txnlog_mark m;
    if (!txnlog_mark_read(s, &m) || m.file_zxid != file_zxid || m.offset <= offset ||
        m.offset - offset >= len)
        return false;
    const uint8_t *entry = data + (m.offset - offset);
    return txn_entry_check(entry, len - (size_t)(m.offset - offset)) > 0 &&
           be32_get(entry + 4) == m.sum && txn_zxid(entry + TXN_ENTRY_HEAD) == m.zxid;
}
