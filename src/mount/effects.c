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
