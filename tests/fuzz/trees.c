/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Trees and the files that they come from. */
#include "fuzz.h"

#include <zlib.h>

void fuzz_tree_dump(const struct tree *t, struct buf *out)
{
    struct tree_dump d;
    tree_dump_begin(&d, t);
    while (tree_dump_next(&d, out))
        continue;
    tree_dump_close(&d);
}

bool fuzz_trees_equal(const struct tree *a, const struct tree *b)
{
    struct buf bytes_a = {0}, bytes_b = {0};
    fuzz_tree_dump(a, &bytes_a);
    fuzz_tree_dump(b, &bytes_b);
    bool equal = slice_eq(buf_slice(&bytes_a), buf_slice(&bytes_b));
    buf_close(&bytes_a);
    buf_close(&bytes_b);
    return equal;
}

void fuzz_tree_apply(struct tree *t, const struct buf *batch)
{
    struct tree_outcome outcome = {0};
    struct slice txn;
    for (size_t pos = 0; txn_batch_next(batch, &pos, &txn);) {
        struct jute_reader r = jute_reader_of(txn);
        struct zk_txn_header header;
        zk_txn_header_read(&r, &header);
        int rc = tree_apply(t, &header, jute_read_rest(&r), &outcome);
        ensure(rc == 0);
    }
    tree_outcome_close(&outcome);
}

struct tree *fuzz_sample_tree(void)
{
    struct tree *t = tree_open(1);
    struct buf batch = {0};
    fuzz_sample_log(&batch);
    fuzz_tree_apply(t, &batch);
    buf_close(&batch);
    return t;
}

void fuzz_seal_log(uint8_t *entries, size_t len)
{
    const size_t frame = TXN_ENTRY_HEAD + TXN_ENTRY_TAIL;
    for (size_t at = 0, size; len - at >= frame; at += frame + size) {
        size = be32_get(entries + at + 8);
        if (size > len - at - frame)
            break;
        be64_put(entries + at, adler32(1, entries + at + TXN_ENTRY_HEAD, (uInt)size));
    }
}

void fuzz_write_file(struct disk *disk, const char *path, struct slice bytes)
{
    struct disk_file *file;
    int rc = disk_open(disk, path, DISK_WRITE | DISK_CREATE, &file);
    ensure(rc == 0);
    rc = disk_write(file, bytes.data, slice_size(bytes), 0);
    ensure(rc == 0);
    disk_close(file);
}
