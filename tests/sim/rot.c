/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bit that rots: of what is on the disk it turns over, before a start of the replica, which may
 * refuse to start, or start with all that it had. Then it turns back, or stays so: a replica that
 * refuses gets an empty disk from its operator, if that may be lost. Epoch files have no checksum,
 * in ZooKeeper's format: they are spared. */
#include "sim.h"

/* The n-th file of a directory that may rot, or how many there are. */
static size_t files(struct server *s, const char *dir, size_t n, struct buf *path)
{
    struct buf names = {0};
    size_t found = 0;
    disk_list(disk_mem_disk(s->disk), dir, &names);
    for (size_t i = 0; i < names.len; i += strlen((char *)names.data + i) + 1) {
        const char *name = (char *)names.data + i;
        if (strstr(name, "Epoch"))
            continue;
        if (found++ == n)
            buf_printf(path, "%s/%s", dir, name);
    }
    buf_close(&names);
    return found;
}

static char *any_file(struct world *w, struct server *s)
{
    static const char *const dirs[] = {"/data/version-2", "/log/version-2"};
    struct buf path = {0};
    const char *dir = dirs[rng_below(&w->rng, ARRAY_LEN(dirs))];
    size_t n = files(s, dir, SIZE_MAX, &path);
    if (n > 0)
        files(s, dir, rng_below(&w->rng, n), &path);
    return (char *)path.data;
}

bool rot_flip_bit(struct world *w, struct server *s)
{
    struct faults *f = &s->faults;
    if (w->faults_off || f->armed || f->squeezed || f->rotten || f->no_files || !chance(w, 6))
        return false;
    char *path = any_file(w, s);
    f->flipped_at = rng_below(&w->rng, chance(w, 2) ? 200 : 5000);
    f->flipped_bit = (uint8_t)(1 << rng_below(&w->rng, 8));
    if (!path || disk_mem_flip(s->disk, path, f->flipped_at, f->flipped_bit) < 0) {
        free(path);
        return false;
    }
    sim_trace(w, "%s: bit 0x%x at %" PRIu64 " of %s turns over", s->name, f->flipped_bit,
              f->flipped_at, path);
    f->flipped = path;
    return true;
}

/* The replica has started with it, or not. */
void rot_settle(struct world *w, struct server *s, bool started)
{
    struct faults *f = &s->faults;
    cover_point(started ? COVER_fault_rot_survived : COVER_fault_rot_refused);
    f->rotten = chance(w, 2) && faults_may_lose(w, s);
    if (!f->rotten)
        disk_mem_flip(s->disk, f->flipped, f->flipped_at, f->flipped_bit);
    free(f->flipped);
    f->flipped = NULL;
}
