/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a snapshot, into a tree or only to see that it is good.
 *
 * Behind the tree's stream is a seal, the adler32 of all before it and the path "/". ZooKeeper may
 * add a digest with a seal and the last zxid with a seal; each seal covers all that is before it,
 * so that the last one vouches for the whole file. */
#include "snapshot_source.h"

#include <stdio.h>
#include <zlib.h>

enum {
    SEAL_SIZE = 8 + 4 + 1,
    /* Three seals, a digest (20 bytes; in its first version up to 36) and a zxid. */
    TRAILER_MAX = 3 * SEAL_SIZE + 36 + 8,
};

struct scan {
    struct snapshot_source *source;
    struct tree_load *load; /* NULL: only verify */
    uint64_t offset;        /* in the stream */
    uint8_t header[FILE_HEADER_SIZE];
    uint8_t held[SEAL_SIZE]; /* the last bytes, perhaps the seal */
    size_t n_held;
    uint32_t sum; /* of all before `held` */
    bool tree_ended;
    size_t trailer; /* bytes behind the tree */
};

static void scan_add(struct scan *sc, const uint8_t *data, size_t len)
{
    sc->sum = (uint32_t)adler32_z(sc->sum, data, len);
}

/* Sum up all but the last SEAL_SIZE bytes. */
static void scan_sum(struct scan *sc, struct slice piece)
{
    size_t len = slice_size(piece);
    if (len >= SEAL_SIZE) {
        scan_add(sc, sc->held, sc->n_held);
        scan_add(sc, piece.data, len - SEAL_SIZE);
        memcpy(sc->held, piece.data + len - SEAL_SIZE, SEAL_SIZE);
        sc->n_held = SEAL_SIZE;
        return;
    }
    size_t out = sc->n_held + len > SEAL_SIZE ? sc->n_held + len - SEAL_SIZE : 0;
    scan_add(sc, sc->held, out);
    memmove(sc->held, sc->held + out, sc->n_held - out);
    sc->n_held -= out;
    memcpy(sc->held + sc->n_held, piece.data, len);
    sc->n_held += len;
}

/* Take the file header off the front of the stream. */
static int scan_header(struct scan *sc, struct slice *piece, struct err *e)
{
    if (sc->offset >= FILE_HEADER_SIZE)
        return 0;
    size_t n = MIN(FILE_HEADER_SIZE - (size_t)sc->offset, slice_size(*piece));
    memcpy(sc->header + sc->offset, piece->data, n);
    sc->offset += n;
    *piece = slice_of(piece->data + n, slice_size(*piece) - n);
    if (sc->offset < FILE_HEADER_SIZE)
        return 0;
    struct jute_reader in = jute_reader_of(slice_of(sc->header, FILE_HEADER_SIZE));
    struct zk_file_header header;
    zk_file_header_read(&in, &header);
    if (header.magic != SNAPSHOT_MAGIC || header.version != FILE_VERSION)
        return snapshot_source_corrupt(sc->source, e, "not the header of a snapshot");
    return 0;
}

static int scan_tree(struct scan *sc, struct slice piece, struct err *e)
{
    size_t used = 0;
    if (!sc->load)
        return 0;
    if (!sc->tree_ended) {
        struct err why;
        int rc = tree_load_feed(sc->load, piece, &used, &why);
        if (rc < 0) {
            char what[sizeof(why.text) + 64];
            snprintf(what, sizeof(what), "byte %" PRIu64 " of the stream: %s", sc->offset + used,
                     why.text);
            return snapshot_source_corrupt(sc->source, e, what);
        }
        sc->tree_ended = rc == 1;
    }
    sc->offset += slice_size(piece);
    sc->trailer += slice_size(piece) - used;
    if (sc->tree_ended && sc->trailer > TRAILER_MAX)
        return snapshot_source_corrupt(sc->source, e, "bytes behind the end of the snapshot");
    return 0;
}

static int scan_end(const struct scan *sc, struct err *e)
{
    struct jute_reader in = jute_reader_of(slice_of(sc->held, sc->n_held));
    uint64_t sum = (uint64_t)jute_read_long(&in);
    struct slice end = jute_read_buffer(&in);
    if (sc->load && !sc->tree_ended)
        return snapshot_source_corrupt(sc->source, e, "the tree is cut off");
    if (!jute_done(&in) || !slice_eq_str(end, "/"))
        return snapshot_source_corrupt(sc->source, e, "no seal at the end");
    if (sum != sc->sum || (sc->load && sc->trailer < SEAL_SIZE))
        return snapshot_source_corrupt(sc->source, e, "the checksum is wrong");
    return 0;
}

static int scan_run(struct scan *sc, struct err *e)
{
    for (;;) {
        struct slice piece;
        int rc = snapshot_source_next(sc->source, &piece, e);
        if (rc < 0)
            return rc;
        if (piece.len == 0)
            return scan_end(sc, e);
        scan_sum(sc, piece);
        rc = scan_header(sc, &piece, e);
        if (rc == 0 && piece.len > 0)
            rc = scan_tree(sc, piece, e);
        if (rc < 0)
            return rc;
    }
}

int snapshot_load(struct store *s, const char *name, struct tree *t, struct err *e)
{
    struct scan sc = {.sum = 1};
    int rc = snapshot_source_open(s, name, &sc.source, e);
    if (rc < 0)
        return rc;
    sc.load = tree_load_begin(t);
    rc = scan_run(&sc, e);
    tree_load_close(sc.load);
    snapshot_source_close(sc.source);
    if (rc == 0)
        tree_set_last_zxid(t, store_zxid_of_name(name, SNAPSHOT_PREFIX));
    return rc;
}

int snapshot_verify(struct store *s, const char *name, struct err *e)
{
    struct scan sc = {.sum = 1};
    int rc = snapshot_source_open(s, name, &sc.source, e);
    if (rc < 0)
        return rc;
    rc = scan_run(&sc, e);
    if (rc == 0)
        rc = snapshot_source_sync(sc.source, e);
    snapshot_source_close(sc.source);
    return rc;
}
