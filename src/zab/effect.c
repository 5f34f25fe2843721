/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The list of effects of one step. Bytes that belong to effects are gathered in one buf, which
 * moves as it grows: an effect holds the offset until the step ends. */
#include <stdlib.h>

#include "internal.h"

void fx_begin(struct zab_effects *fx)
{
    fx->n = 0;
    buf_reset(&fx->bytes);
}

void fx_end(struct zab_effects *fx)
{
    for (size_t i = 0; i < fx->n; i++) {
        struct zab_effect *e = &fx->list[i];
        if (e->data_at > 0)
            e->data.data = fx->bytes.data + e->data_at - 1;
    }
}

void zab_effects_close(struct zab_effects *fx)
{
    free(fx->list);
    buf_close(&fx->bytes);
    *fx = (struct zab_effects){0};
}

struct zab_effect *fx_add(struct zab *z, enum zab_effect_type type)
{
    struct zab_effects *fx = z->fx;
    if (fx->n == fx->cap) {
        fx->cap = MAX(fx->cap * 2, 32);
        fx->list = mem_realloc(fx->list, fx->cap * sizeof(*fx->list));
    }
    struct zab_effect *e = &fx->list[fx->n++];
    *e = (struct zab_effect){.type = type, .data = SLICE_NULL};
    return e;
}

void fx_set_data(struct zab *z, struct zab_effect *e, size_t at)
{
    ensure(at <= z->fx->bytes.len);
    e->data = slice_of(NULL, z->fx->bytes.len - at);
    e->data_at = at + 1;
}

void fx_send(struct zab *z, uint64_t conn, enum zab_packet_type type, int64_t zxid)
{
    struct zab_effect *e = fx_add(z, ZAB_FX_SEND);
    e->conn = conn;
    e->packet_type = type;
    e->zxid = zxid;
}

void fx_send_leader(struct zab *z, enum zab_packet_type type, int64_t zxid)
{
    struct zab_effect *e = fx_add(z, ZAB_FX_SEND_LEADER);
    e->packet_type = type;
    e->zxid = zxid;
}

void fx_vlog(struct zab *z, enum log_level level, const char *fmt, va_list ap)
{
    size_t at = z->fx->bytes.len;
    buf_vprintf(&z->fx->bytes, fmt, ap);
    struct zab_effect *e = fx_add(z, ZAB_FX_LOG);
    e->level = level;
    fx_set_data(z, e, at);
}

void fx_log(struct zab *z, enum log_level level, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fx_vlog(z, level, fmt, ap);
    va_end(ap);
}
