/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core.h"

#include <stdlib.h>

void mount_effects_close(struct mount_effects *fx)
{
    free(fx->list);
    arena_close(&fx->arena);
    *fx = (struct mount_effects){0};
}

struct mount_effect *effect_add(struct mount *m, enum mount_effect_type type)
{
    struct mount_effects *fx = m->fx;
    if (fx->n == fx->cap) {
        fx->cap = MAX(64, 2 * fx->cap);
        fx->list = mem_realloc(fx->list, fx->cap * sizeof(*fx->list));
    }
    fx->list[fx->n] = (struct mount_effect){.type = type};
    return &fx->list[fx->n++];
}

void effect_log(struct mount *m, enum log_level level, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct mount_effect *e = effect_add(m, MOUNT_LOG);
    e->log.level = level;
    e->log.text = arena_vprintf(&m->fx->arena, fmt, ap);
    va_end(ap);
}

static void forget(struct mount *m, uint64_t ino)
{
    struct node *n = node_find(&m->nodes, ino);
    if (n)
        watch_forget(m, n, 1);
}

static void take_back(struct mount *m, const struct mount_reply *r)
{
    if (r->type == MOUNT_REPLY_OPEN || r->type == MOUNT_REPLY_CREATE)
        handle_abandon(m, r->opened.fh);
    if (r->type == MOUNT_REPLY_ENTRY || r->type == MOUNT_REPLY_CREATE)
        forget(m, r->entry.ino);
    for (size_t i = 0; i < r->n_entries; i++) {
        if (r->entries[i].held)
            forget(m, r->entries[i].ino);
    }
}

void effects_finish(struct mount *m)
{
    struct mount_effects *fx = m->fx;
    size_t kept = 0;
    for (size_t i = 0; i < fx->n; i++) {
        if (fx->list[i].type == MOUNT_REPLY && fx->list[i].in_vain)
            take_back(m, fx->list[i].reply); /* which may add effects */
    }
    for (size_t i = 0; i < fx->n; i++) {
        if (fx->list[i].type != MOUNT_REPLY || !fx->list[i].in_vain)
            fx->list[kept++] = fx->list[i];
    }
    fx->n = kept;
}
