/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Losing power: what of the unsynced sectors and names is there afterwards. */
#include "disk_mem_impl.h"

static void buf_copy(struct buf *to, const struct buf *from)
{
    buf_reset(to);
    buf_append(to, from->data, from->len);
}

enum fate {
    FATE_LOST,
    FATE_KEPT,
    FATE_REORDERED, /* each sector for itself */
    FATE_CUT_OFF,   /* a first part; its last sector is garbage */
};

/* Sector `at` of what the file will be: from `now` or from `durable`. Both have `len` bytes. */
static void crash_sector(struct disk_mem *m, struct mem_file *f, size_t at, enum fate *fate)
{
    size_t len = MIN((size_t)SECTOR, f->now.len - at);
    uint8_t *now = f->now.data + at, *durable = f->durable.data + at;
    if (memcmp(now, durable, len) == 0)
        return;
    if (at / SECTOR >= f->dirty.len || !f->dirty.data[at / SECTOR]) {
        memcpy(now, durable, len); /* what a failed sync has left */
        return;
    }
    bool garbage = *fate == FATE_CUT_OFF && rng_one_in(&m->rng, 8);
    bool keep = *fate == FATE_KEPT || *fate == FATE_CUT_OFF ||
                (*fate == FATE_REORDERED && rng_one_in(&m->rng, 2));
    for (size_t i = 0; garbage && i < len; i++) {
        if (now[i] != durable[i])
            now[i] = (uint8_t)rng_next(&m->rng);
    }
    if (garbage)
        *fate = FATE_LOST;
    if (!keep)
        memcpy(now, durable, len);
}

static void crash_file(struct disk_mem *m, struct mem_file *f)
{
    enum fate fate = (enum fate)rng_below(&m->rng, 4);
    size_t size = fate == FATE_KEPT || (fate != FATE_LOST && rng_one_in(&m->rng, 2))
                      ? f->now.len
                      : f->durable.len;
    size_t len = MAX(f->now.len, f->durable.len);
    /* A size that was cut and then lost brings the old bytes back. */
    if (f->now.len < len)
        buf_append(&f->now, f->durable.data + f->now.len, len - f->now.len);
    buf_resize(&f->durable, len);
    for (size_t at = 0; at < len; at += SECTOR)
        crash_sector(m, f, at, &fate);
    buf_resize(&f->now, size);
    buf_copy(&f->durable, &f->now);
    buf_reset(&f->dirty);
    buf_resize(&f->dirty, sectors(size));
}

static void mem_restart(struct disk_mem *m)
{
    m->boot++;
    m->down = false;
    m->countdown = 0;
}

void disk_mem_crash(struct disk_mem *m)
{
    for (struct mem_name *n = m->names; n; n = n->next) {
        if (n->now != n->durable && rng_one_in(&m->rng, 2))
            n->now = n->durable;
        n->durable = n->now;
    }
    for (struct mem_file *f = m->files; f; f = f->next)
        crash_file(m, f);
    mem_restart(m);
}

void disk_mem_kill(struct disk_mem *m)
{
    mem_restart(m);
}
