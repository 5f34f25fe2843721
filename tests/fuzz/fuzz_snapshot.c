/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A snapshot file, plain, gzip or zstd. One that loads can be saved, and loads again to the same
 * tree. With an odd first byte the seal at the end is made right, for a plain file. */
#include "fuzz.h"
#include "zab/disk_mem.h"

#include <zlib.h>

enum {
    SEAL_SIZE = 8 + 4 + 1,
};

static void write_seal(uint8_t *bytes, size_t size)
{
    if (size < SEAL_SIZE)
        return;
    uint8_t *seal = bytes + size - SEAL_SIZE;
    be64_put(seal, adler32(1, bytes, (uInt)(size - SEAL_SIZE)));
    be32_put(seal + 8, 1);
    seal[12] = '/';
}

static void check_save(struct store *s, struct tree *t)
{
    struct err e;
    struct tree *again = tree_open(2);
    tree_set_last_zxid(t, 6);
    ensure(snapshot_save(s, t, NULL, &e) == 0);
    ensure(snapshot_load(s, "snapshot.6.zst", again, &e) == 0);
    ensure(fuzz_trees_equal(t, again));
    tree_close(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = fuzz_copy(data + 1, size - 1);
    if (data[0] & 1)
        write_seal((uint8_t *)bytes.data, slice_size(bytes));
    struct disk_mem *mem = disk_mem_open(1);
    struct store store;
    struct err e;
    struct tree *t = tree_open(1);
    ensure(store_open(&store, disk_mem_disk(mem), "/d", NULL, &e) == 0);
    fuzz_write_file(store.disk, "/d/version-2/snapshot.5", bytes);
    if (snapshot_load(&store, "snapshot.5", t, &e) == 0)
        check_save(&store, t);
    tree_close(t);
    store_close(&store);
    disk_mem_close(mem);
    fuzz_piece_free(bytes);
    return 0;
}
