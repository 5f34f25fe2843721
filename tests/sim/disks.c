/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What operators do with directories: copies of a disk's files, all of them or a backup's, and a
 * look for what is anywhere on it. */
#include "sim.h"

static const char *const roots[] = {"/data/version-2", "/log/version-2"};

static void each_below(struct disk *d, const char *dir, bool deep, disk_visitor *visit, void *arg)
{
    struct buf names = {0}, bytes = {0};
    disk_list(d, dir, &names);
    for (size_t i = 0; i < names.len; i += strlen((char *)names.data + i) + 1) {
        char path[256];
        struct disk_file *f;
        snprintf(path, sizeof(path), "%s/%s", dir, (char *)names.data + i);
        if (disk_open(d, path, DISK_READ, &f) < 0) {
            if (deep)
                each_below(d, path, true, visit, arg);
            continue;
        }
        buf_reset(&bytes);
        size_t size = (size_t)disk_size(f);
        if (size > 0)
            disk_read(f, buf_extend(&bytes, size), size, 0);
        disk_close(f);
        visit(arg, path, buf_slice(&bytes));
    }
    buf_close(&names);
    buf_close(&bytes);
}

/* Every file of the disk; `deep`: also of what was replaced. */
void disks_each_file(struct disk_mem *m, bool deep, disk_visitor *visit, void *arg)
{
    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        each_below(disk_mem_disk(m), roots[i], deep, visit, arg);
}

static void put_file(struct disk *d, const char *path, struct slice bytes)
{
    struct disk_file *f;
    if (disk_open(d, path, DISK_WRITE | DISK_CREATE, &f) < 0)
        return;
    ensure(disk_write(f, bytes.data, slice_size(bytes), 0) == 0 && disk_sync(f) == 0);
    disk_close(f);
}

static void copy_file(void *to, const char *path, struct slice bytes)
{
    put_file(to, path, bytes);
}

/* Snapshots and logs, and nothing else. */
static void copy_history(void *to, const char *path, struct slice bytes)
{
    const char *name = strrchr(path, '/') + 1;
    if (strncmp(name, "snapshot.", 9) == 0 || strncmp(name, "log.", 4) == 0)
        put_file(to, path, bytes);
}

struct disk_mem *disks_copy(struct world *w, struct disk_mem *from, bool only_history)
{
    struct disk_mem *to = disk_mem_open(rng_next(&w->rng));
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        each_below(disk_mem_disk(from), roots[i], !only_history,
                   only_history ? copy_history : copy_file, disk_mem_disk(to));
        disk_sync_dir(disk_mem_disk(to), roots[i]);
    }
    return to;
}
