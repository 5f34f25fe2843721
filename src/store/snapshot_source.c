/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plain, gzip and zstd files behind one function. The first bytes tell which it is, not the name:
 * an operator may have unpacked or renamed the file. */
#include "snapshot_source.h"

#include <zlib.h>
#include <zstd.h>

enum {
    ZSTD_WINDOW_LOG_MAX_READ = 23, /* 8 MiB: all levels of zstd without --ultra or --long */
    CHUNK = 256 << 10,
    ZSTD_MAGIC = 0x28b52ffd,
    GZIP_MAGIC = 0x1f8b,
    GZIP_WINDOW_BITS = 16 + MAX_WBITS,
};

enum packing {
    PACKING_NONE,
    PACKING_GZIP,
    PACKING_ZSTD,
};

struct snapshot_source {
    struct store *store;
    char *path;
    struct disk_file *file;
    uint64_t offset; /* bytes read from the file */
    uint8_t *in;
    size_t in_at;
    size_t in_len;
    uint8_t *out;
    enum packing packing;
    bool frame_ended;
    ZSTD_DCtx *zstd;
    z_stream gzip;
};

int snapshot_source_corrupt(const struct snapshot_source *src, struct err *e, const char *what)
{
    return err_set(e, -EUCLEAN, "snapshot %s, near byte %" PRIu64 ": %s: %s", src->path,
                   src->offset - (src->in_len - src->in_at), what, store_remedy(src->store));
}

/* Bytes of the file in `in`, unless it has ended. */
static int source_fill(struct snapshot_source *src, struct err *e)
{
    if (src->in_at < src->in_len)
        return 0;
    int64_t n = disk_read(src->file, src->in, CHUNK, src->offset);
    if (n < 0)
        return store_io_error(src->store, e, (int)n, "read", src->path);
    src->offset += (uint64_t)n;
    src->in_at = 0;
    src->in_len = (size_t)n;
    return 0;
}

static int source_detect(struct snapshot_source *src, struct err *e)
{
    int rc = source_fill(src, e);
    if (rc < 0)
        return rc;
    uint32_t magic = src->in_len >= 4 ? be32_get(src->in) : 0;
    if (magic == ZSTD_MAGIC) {
        src->packing = PACKING_ZSTD;
        src->zstd = ZSTD_createDCtx();
        ensure(src->zstd != NULL);
        /* A frame's head says how much memory it takes to read it: no more than ours do. */
        ZSTD_DCtx_setParameter(src->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX_READ);
    } else if (magic >> 16 == GZIP_MAGIC) {
        src->packing = PACKING_GZIP;
        ensure(inflateInit2(&src->gzip, GZIP_WINDOW_BITS) == Z_OK);
    } else if (magic != SNAPSHOT_MAGIC) {
        return snapshot_source_corrupt(src, e, "neither a plain, a gzip nor a zstd snapshot");
    }
    return 0;
}

int snapshot_source_open(struct store *s, const char *name, struct snapshot_source **out,
                         struct err *e)
{
    struct snapshot_source *src = mem_zalloc(sizeof(*src));
    src->store = s;
    src->path = store_path(s->data_dir, name);
    int rc = disk_open(s->disk, src->path, DISK_READ, &src->file);
    if (rc < 0) {
        src->file = NULL;
        store_io_error(s, e, rc, "open", src->path);
        goto fail;
    }
    src->in = mem_alloc(CHUNK);
    src->out = mem_alloc(CHUNK);
    rc = source_detect(src, e);
    if (rc < 0)
        goto fail;
    *out = src;
    return 0;
fail:
    snapshot_source_close(src);
    return rc;
}

void snapshot_source_close(struct snapshot_source *src)
{
    if (src->packing == PACKING_ZSTD)
        ZSTD_freeDCtx(src->zstd);
    if (src->packing == PACKING_GZIP)
        inflateEnd(&src->gzip);
    if (src->file)
        disk_close(src->file);
    free(src->path);
    free(src->in);
    free(src->out);
    free(src);
}

/* Each of the next two unpacks from `in` to `out` and says how much came, or -1 if it is bad. */
static ssize_t source_unpack_zstd(struct snapshot_source *src)
{
    ZSTD_inBuffer in = {src->in, src->in_len, src->in_at};
    ZSTD_outBuffer out = {src->out, CHUNK, 0};
    size_t rc = ZSTD_decompressStream(src->zstd, &out, &in);
    src->in_at = in.pos;
    src->frame_ended = rc == 0;
    return ZSTD_isError(rc) ? -1 : (ssize_t)out.pos;
}

static ssize_t source_unpack_gzip(struct snapshot_source *src)
{
    src->gzip.next_in = src->in + src->in_at;
    src->gzip.avail_in = (uInt)(src->in_len - src->in_at);
    src->gzip.next_out = src->out;
    src->gzip.avail_out = CHUNK;
    int rc = inflate(&src->gzip, Z_NO_FLUSH);
    src->in_at = src->in_len - src->gzip.avail_in;
    src->frame_ended = rc == Z_STREAM_END;
    return rc == Z_OK || rc == Z_STREAM_END ? (ssize_t)(CHUNK - src->gzip.avail_out) : -1;
}

int snapshot_source_next(struct snapshot_source *src, struct slice *piece, struct err *e)
{
    *piece = SLICE_EMPTY;
    while (piece->len == 0) {
        int rc = source_fill(src, e);
        if (rc < 0)
            return rc;
        bool file_ended = src->in_len == 0;
        if (file_ended && (src->frame_ended || src->packing == PACKING_NONE))
            return 0;
        if (src->frame_ended)
            return snapshot_source_corrupt(src, e, "bytes behind the end of the frame");
        if (file_ended)
            return snapshot_source_corrupt(src, e, "the file is cut off");
        if (src->packing == PACKING_NONE) {
            *piece = slice_of(src->in + src->in_at, src->in_len - src->in_at);
            src->in_at = src->in_len;
            return 0;
        }
        ssize_t n =
            src->packing == PACKING_ZSTD ? source_unpack_zstd(src) : source_unpack_gzip(src);
        if (n < 0)
            return snapshot_source_corrupt(src, e, "the compressed data is damaged");
        *piece = slice_of(src->out, (size_t)n);
    }
    return 0;
}

int snapshot_source_sync(struct snapshot_source *src, struct err *e)
{
    int rc = disk_sync(src->file);
    return rc < 0 ? store_io_error(src->store, e, rc, "sync", src->path) : 0;
}
