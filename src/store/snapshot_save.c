/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing a snapshot: file header, the tree's stream and the seal pass through one zstd frame in
 * pieces of about 64 KiB. All buffers are there before the first piece, since this may run in the
 * forked child of a process with threads. */
#include "store_impl.h"

#include <zlib.h>
#include <zstd.h>

enum {
    /* Measured: higher levels cost twice the time and gain a few percent. */
    SNAPSHOT_LEVEL = 1,
    PIECE_MAX = 128 << 10,
};

struct snapshot_writer {
    ZSTD_CCtx *zstd;
    struct buf plain;
    uint8_t *packed;
    size_t packed_size;
    struct store *store;
    struct disk_file *file;
    uint64_t offset; /* bytes written to the file */
    uint32_t sum;    /* adler32 of the stream so far */
};

struct snapshot_writer *snapshot_writer_open(void)
{
    struct snapshot_writer *w = mem_zalloc(sizeof(*w));
    w->packed_size = ZSTD_CStreamOutSize();
    w->packed = mem_alloc(w->packed_size);
    buf_reserve(&w->plain, PIECE_MAX);
    w->zstd = ZSTD_createCCtx();
    ensure(w->zstd != NULL);
    ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, SNAPSHOT_LEVEL);
    ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1);
    /* zstd makes its tables with the first byte. */
    ZSTD_inBuffer in = {"", 1, 0};
    ZSTD_outBuffer out = {w->packed, w->packed_size, 0};
    ensure(!ZSTD_isError(ZSTD_compressStream2(w->zstd, &out, &in, ZSTD_e_continue)));
    return w;
}

void snapshot_writer_close(struct snapshot_writer *w)
{
    ZSTD_freeCCtx(w->zstd);
    buf_close(&w->plain);
    free(w->packed);
    free(w);
}

/* Compress and write what is in w->plain; with ZSTD_e_end also what zstd still holds. */
static int writer_flush(struct snapshot_writer *w, ZSTD_EndDirective how)
{
    ZSTD_inBuffer in = {w->plain.data, w->plain.len, 0};
    size_t left;
    do {
        ZSTD_outBuffer out = {w->packed, w->packed_size, 0};
        left = ZSTD_compressStream2(w->zstd, &out, &in, how);
        ensure(!ZSTD_isError(left));
        int rc = out.pos > 0 ? disk_write(w->file, w->packed, out.pos, w->offset) : 0;
        if (rc < 0)
            return rc;
        w->offset += out.pos;
    } while (in.pos < in.size || (how == ZSTD_e_end && left > 0));
    buf_reset(&w->plain);
    return 0;
}

static void writer_sum(struct snapshot_writer *w)
{
    w->sum = (uint32_t)adler32_z(w->sum, w->plain.data, w->plain.len);
}

static int writer_write_tree(struct snapshot_writer *w, const struct tree *t)
{
    struct tree_dump dump;
    bool more = true;
    int rc = 0;
    ZSTD_CCtx_reset(w->zstd, ZSTD_reset_session_only);
    buf_reset(&w->plain);
    w->sum = 1;
    w->offset = 0;
    zk_file_header_write(&w->plain, &(struct zk_file_header){SNAPSHOT_MAGIC, FILE_VERSION, -1});
    tree_dump_begin(&dump, t);
    while (rc == 0 && more) {
        more = tree_dump_next(&dump, &w->plain);
        writer_sum(w);
        if (!more) {
            jute_write_long(&w->plain, w->sum);
            jute_write_buffer(&w->plain, slice_str("/"));
        }
        rc = writer_flush(w, more ? ZSTD_e_continue : ZSTD_e_end);
    }
    tree_dump_close(&dump);
    return rc;
}

static int writer_save(struct snapshot_writer *w, const char *prefix, struct store *s,
                       const struct tree *t, uint64_t *bytes, struct err *e)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s%" PRIx64 ".zst", s->data_dir, prefix, (uint64_t)tree_last_zxid(t));
    const char *name = (const char *)path.data;
    int rc = store_replace_begin(s, name, &w->file, e);
    if (rc < 0)
        goto out;
    rc = writer_write_tree(w, t);
    if (rc < 0) {
        store_io_error(s, e, rc, "write", name);
        store_replace_abandon(s, name, w->file);
        goto out;
    }
    rc = store_replace_publish(s, name, w->file, e);
    if (rc == 0 && bytes)
        *bytes = w->offset;
out:
    buf_close(&path);
    return rc;
}

int snapshot_save_with(struct snapshot_writer *w, struct store *s, const struct tree *t,
                       uint64_t *bytes, struct err *e)
{
    return writer_save(w, SNAPSHOT_PREFIX, s, t, bytes, e);
}

int snapshot_save(struct store *s, const struct tree *t, uint64_t *bytes, struct err *e)
{
    struct snapshot_writer *w = snapshot_writer_open();
    int rc = snapshot_save_with(w, s, t, bytes, e);
    snapshot_writer_close(w);
    return rc;
}

int snapshot_save_as(const char *prefix, struct store *s, const struct tree *t, struct err *e)
{
    struct snapshot_writer *w = snapshot_writer_open();
    int rc = writer_save(w, prefix, s, t, NULL, e);
    snapshot_writer_close(w);
    return rc;
}
