/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tree's stream, in one piece and in pieces that the first byte chooses: both give the same. A
 * tree that was loaded can be dumped, and what was dumped loads again to the same bytes. */
#include "fuzz.h"
#include "zab/rng.h"

enum {
    PIECE_MAX = 40,
};

static int load_whole(struct tree *t, struct slice stream, size_t *used)
{
    struct err e;
    struct tree_load *load = tree_load_begin(t);
    int rc = tree_load_feed(load, stream, used, &e);
    tree_load_close(load);
    return rc;
}

static int load_in_pieces(struct tree *t, struct slice stream, uint8_t seed, size_t *used)
{
    struct err e;
    struct rng rng = {seed};
    struct tree_load *load = tree_load_begin(t);
    int rc = 0;
    *used = 0;
    for (size_t at = 0, len; rc == 0 && at < slice_size(stream); at += len) {
        size_t taken;
        len = 1 + (size_t)rng_below(&rng, PIECE_MAX);
        len = MIN(len, slice_size(stream) - at);
        struct slice piece = fuzz_copy(stream.data + at, len);
        rc = tree_load_feed(load, piece, &taken, &e);
        fuzz_piece_free(piece);
        *used = at + taken;
    }
    tree_load_close(load);
    return rc;
}

static void check_dump(const struct tree *t)
{
    struct buf dump = {0};
    size_t used;
    fuzz_tree_dump(t, &dump);
    struct tree *again = tree_open(3);
    int rc = load_whole(again, buf_slice(&dump), &used);
    ensure(rc == 1 && used == dump.len);
    ensure(fuzz_trees_equal(t, again));
    tree_close(again);
    buf_close(&dump);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice stream = slice_of(data + 1, size - 1);
    struct tree *whole = tree_open(1), *pieces = tree_open(2);
    size_t used_whole, used_pieces;
    bool loaded = load_whole(whole, stream, &used_whole) == 1;
    ensure(loaded == (load_in_pieces(pieces, stream, data[0], &used_pieces) == 1));
    if (loaded) {
        ensure(used_whole == used_pieces);
        ensure(fuzz_trees_equal(whole, pieces));
        check_dump(whole);
    }
    tree_close(whole);
    tree_close(pieces);
    return 0;
}
