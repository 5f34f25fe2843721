/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading the log: a window of bytes moves over each file in turn. Where no good entry is, the
 * file ends if only zeros follow; else txnlog_damage.c says what the bytes are. */
#include "store_impl.h"

#include <stdio.h>

enum {
    WINDOW = 256 << 10,
    ENTRY_MAX = TXN_ENTRY_HEAD + TXN_SIZE_MAX + TXN_ENTRY_TAIL,
};

struct txnlog_reader {
    struct store *store;
    struct store_files files;
    size_t index; /* of the file that is read, or will be when `file` is NULL */
    struct disk_file *file;
    char *path;
    uint64_t size;
    uint64_t offset; /* of the next entry */
    struct buf window;
    uint64_t window_at; /* its first byte's place in the file */
    int64_t after;
    int64_t seen;        /* the last zxid in the files, -1 at first */
    int64_t last;        /* the last zxid that counts: `after` at first */
    uint64_t txn_offset; /* of the entry that was given last */
    uint8_t seen_head[TXN_ENTRY_HEAD];
    bool loose;
    bool torn;
    struct txnlog_found found; /* behind what is torn */
};

static int reader_open(struct store *s, int64_t after, bool loose, struct txnlog_reader **out,
                       struct err *e)
{
    struct txnlog_reader *r = mem_zalloc(sizeof(*r));
    *r = (struct txnlog_reader){
        .store = s, .after = after, .seen = -1, .last = after, .loose = loose};
    int rc = store_files_list(s, s->log_dir, LOG_PREFIX, &r->files, e);
    if (rc < 0) {
        free(r);
        return rc;
    }
    r->index = after < 0 ? 0 : store_files_before(&r->files, after + 1);
    *out = r;
    return 0;
}

int txnlog_read(struct store *s, int64_t after, struct txnlog_reader **out, struct err *e)
{
    return reader_open(s, after, false, out, e);
}

int txnlog_read_loosely(struct store *s, int64_t after, struct txnlog_reader **out, struct err *e)
{
    return reader_open(s, after, true, out, e);
}

static void reader_close_file(struct txnlog_reader *r)
{
    if (r->file)
        disk_close(r->file);
    free(r->path);
    r->file = NULL;
    r->path = NULL;
}

void txnlog_reader_close(struct txnlog_reader *r)
{
    reader_close_file(r);
    store_files_close(&r->files);
    buf_close(&r->window);
    free(r);
}

const struct store_files *txnlog_reader_files(const struct txnlog_reader *r)
{
    return &r->files;
}

size_t txnlog_reader_file(const struct txnlog_reader *r)
{
    return r->index;
}

uint64_t txnlog_reader_offset(const struct txnlog_reader *r)
{
    return r->txn_offset;
}

struct txnlog_tail txnlog_reader_tail(const struct txnlog_reader *r)
{
    return (struct txnlog_tail){r->offset, r->size > r->offset, r->torn, r->found};
}

static bool zxid_is_next(int64_t before, int64_t zxid)
{
    return (uint64_t)zxid == (uint64_t)before + 1;
}

static bool is_last_file(const struct txnlog_reader *r)
{
    return r->index + 1 >= r->files.n;
}

static int corrupt_at(const struct txnlog_reader *r, struct err *e, uint64_t offset,
                      const char *what)
{
    return err_set(e, -EUCLEAN, "log file %s, byte %" PRIu64 ": %s: %s", r->path, offset, what,
                   store_remedy(r->store));
}

static int reader_corrupt(const struct txnlog_reader *r, struct err *e, const char *what)
{
    return corrupt_at(r, e, r->offset, what);
}

int txnlog_reader_corrupt(const struct txnlog_reader *r, struct err *e, const char *what)
{
    return corrupt_at(r, e, r->txn_offset, what);
}

/* `len` bytes from `offset` on, or fewer at the end of the file, into `out`. */
static int reader_get(struct txnlog_reader *r, struct buf *out, uint64_t offset, size_t len,
                      struct err *e)
{
    int64_t n = disk_read(r->file, buf_extend(out, len), len, offset);
    out->len -= len - (n < 0 ? 0 : (size_t)n);
    return n < 0 ? store_io_error(r->store, e, (int)n, "read", r->path) : 0;
}

/* Bytes from r->offset on: at least `need` of them, if the file has so many. */
static int reader_fill(struct txnlog_reader *r, size_t need, struct slice *bytes, struct err *e)
{
    uint64_t end = r->window_at + r->window.len;
    if (r->offset + need > end && end < r->size) {
        buf_consume(&r->window, (size_t)(MIN(r->offset, end) - r->window_at));
        r->window_at = r->offset;
        size_t len = MIN((uint64_t)MAX(need, (size_t)WINDOW) - r->window.len,
                         r->size - r->window_at - r->window.len);
        int rc = reader_get(r, &r->window, r->window_at + r->window.len, len, e);
        if (rc < 0)
            return rc;
    }
    size_t skip = (size_t)(r->offset - r->window_at);
    struct slice window = buf_slice(&r->window);
    *bytes = slice_of(window.data + skip, slice_size(window) - skip);
    return 0;
}

/* ---- Where no good entry is ---- */

/* One behind the last byte of the file from r->offset on that is not zero. */
static int reader_find_zeros(struct txnlog_reader *r, uint64_t *end, struct err *e)
{
    struct buf chunk = {0};
    int rc = 0;
    *end = r->offset;
    for (uint64_t at = r->offset; rc == 0 && at < r->size; at += chunk.len) {
        buf_reset(&chunk);
        rc = reader_get(r, &chunk, at, (size_t)MIN((uint64_t)WINDOW, r->size - at), e);
        if (rc == 0 && chunk.len == 0)
            break;
        size_t i = chunk.len;
        while (i > 0 && chunk.data[i - 1] == 0)
            i--;
        if (i > 0)
            *end = at + i;
    }
    buf_close(&chunk);
    return rc;
}

/* May a loss of power have left these bytes at r->offset? */
static bool may_be_torn(const struct txnlog_reader *r, const struct buf *tail)
{
    if (r->offset == 0) /* the header is durable before the first entry is written */
        return !txnlog_has_entry(tail->data, tail->len, r->seen);
    return txnlog_tail_is_torn(tail->data, tail->len, r->offset, r->seen) &&
           !txnlog_mark_disproves(r->store, r->files.at[r->index].zxid, tail->data, tail->len,
                                  r->offset);
}

static int reader_corrupt_tail(const struct txnlog_reader *r, struct err *e)
{
    char what[160];
    const char *bad = r->offset == 0 ? "bad file header" : "bad entry";
    if (r->found.n == 0)
        return reader_corrupt(r, e, bad);
    snprintf(what, sizeof(what),
             "%s, and %" PRIu64 " whole transactions follow, 0x%" PRIx64 " to 0x%" PRIx64, bad,
             r->found.n, (uint64_t)r->found.first, (uint64_t)r->found.last);
    return reader_corrupt(r, e, what);
}

/* 0 if the file may end at r->offset, -EUCLEAN if what is there is corrupt. */
static int reader_judge(struct txnlog_reader *r, uint64_t end, struct err *e)
{
    struct buf tail = {0};
    bool torn = false;
    if (end - r->offset <= ENTRY_MAX) {
        int rc = reader_get(r, &tail, r->offset, (size_t)(end - r->offset), e);
        if (rc < 0) {
            buf_close(&tail);
            return rc;
        }
        torn = may_be_torn(r, &tail);
        r->found = txnlog_find_entries(tail.data, tail.len, r->seen);
    }
    buf_close(&tail);
    if (!torn)
        return reader_corrupt_tail(r, e);
    if (!is_last_file(r) && !zxid_is_next(r->seen, r->files.at[r->index + 1].zxid))
        return reader_corrupt(r, e, "bad entry, and the next file does not go on from here");
    r->torn = is_last_file(r);
    return 0;
}

static int reader_end_file(struct txnlog_reader *r, struct err *e)
{
    uint64_t end;
    int rc = reader_find_zeros(r, &end, e);
    if (rc == 0 && end > r->offset)
        rc = reader_judge(r, end, e);
    return rc;
}

/* ---- File by file, entry by entry ---- */

/* Open the next file and read its header. 1, or 0 if it has no entries. */
static int reader_open_file(struct txnlog_reader *r, struct err *e)
{
    r->path = store_path(r->store->log_dir, r->files.at[r->index].name);
    int rc = disk_open(r->store->disk, r->path, DISK_READ, &r->file);
    int64_t size = rc < 0 ? rc : disk_size(r->file);
    if (rc < 0)
        r->file = NULL;
    if (size < 0)
        return store_io_error(r->store, e, (int)size, "open", r->path);
    r->size = (uint64_t)size;
    r->offset = r->window_at = 0;
    buf_reset(&r->window);
    struct slice bytes;
    rc = reader_fill(r, FILE_HEADER_SIZE, &bytes, e);
    if (rc < 0)
        return rc;
    struct jute_reader in = jute_reader_of(bytes);
    struct zk_file_header header;
    zk_file_header_read(&in, &header);
    if (!jute_ok(&in) || header.magic != LOG_MAGIC || header.version != FILE_VERSION)
        return reader_end_file(r, e);
    r->offset = FILE_HEADER_SIZE;
    return 1;
}

/* The entry at r->offset, whole, in the window. 1, or 0 if there is no good one. */
static int reader_entry(struct txnlog_reader *r, struct slice *entry, struct err *e)
{
    struct slice bytes;
    int rc = reader_fill(r, TXN_ENTRY_HEAD, &bytes, e);
    if (rc < 0 || bytes.len < TXN_ENTRY_HEAD)
        return rc;
    uint64_t whole = (uint64_t)be32_get(bytes.data + 8) + TXN_ENTRY_HEAD + TXN_ENTRY_TAIL;
    if (whole > ENTRY_MAX || whole > r->size - r->offset)
        return 0;
    rc = reader_fill(r, (size_t)whole, &bytes, e);
    if (rc < 0)
        return rc;
    size_t size = txn_entry_check(bytes.data, slice_size(bytes));
    *entry = slice_of(bytes.data, size);
    return size > 0;
}

static bool zxid_follows(int64_t before, int64_t zxid)
{
    bool first_of_epoch = zxid >> 32 > before >> 32 && (zxid & UINT32_MAX) == 1;
    return zxid_is_next(before, zxid) || first_of_epoch;
}

/* 1 if this entry is the caller's, 0 if it is one to skip. */
static int reader_accept(struct txnlog_reader *r, struct slice entry, struct err *e)
{
    int64_t zxid = txn_zxid(entry.data + TXN_ENTRY_HEAD);
    char what[128];
    if (zxid == r->seen && memcmp(entry.data, r->seen_head, TXN_ENTRY_HEAD) == 0)
        return 0;
    if (zxid <= r->seen) {
        snprintf(what, sizeof(what), "zxid 0x%" PRIx64 " behind 0x%" PRIx64, (uint64_t)zxid,
                 (uint64_t)r->seen);
        return reader_corrupt(r, e, what);
    }
    r->seen = zxid;
    memcpy(r->seen_head, entry.data, TXN_ENTRY_HEAD);
    if (zxid <= r->after)
        return 0;
    if (!r->loose && r->last >= 0 && !zxid_follows(r->last, zxid)) {
        snprintf(what, sizeof(what),
                 "zxid 0x%" PRIx64 " follows 0x%" PRIx64 ": transactions between them are missing",
                 (uint64_t)zxid, (uint64_t)r->last);
        return reader_corrupt(r, e, what);
    }
    r->last = zxid;
    return 1;
}

/* The next entry of this file: 1 and it is the caller's, 0 at the end of the file. */
static int reader_next_in_file(struct txnlog_reader *r, struct slice *txn, struct err *e)
{
    struct slice entry = SLICE_EMPTY;
    int rc;
    while ((rc = reader_entry(r, &entry, e)) == 1) {
        rc = reader_accept(r, entry, e);
        if (rc < 0)
            return rc;
        r->txn_offset = r->offset;
        r->offset += slice_size(entry);
        if (rc == 1) {
            *txn = slice_of(entry.data + TXN_ENTRY_HEAD,
                            slice_size(entry) - TXN_ENTRY_HEAD - TXN_ENTRY_TAIL);
            return 1;
        }
    }
    return rc < 0 ? rc : reader_end_file(r, e);
}

int txnlog_reader_next(struct txnlog_reader *r, struct slice *txn, struct err *e)
{
    while (r->index < r->files.n) {
        int rc = r->file ? 1 : reader_open_file(r, e);
        if (rc == 1)
            rc = reader_next_in_file(r, txn, e);
        if (rc != 0)
            return rc;
        if (is_last_file(r))
            return 0;
        reader_close_file(r);
        r->index++;
    }
    return 0;
}
