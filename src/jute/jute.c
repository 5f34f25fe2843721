/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zab/jute.h"

void jute_fail(struct jute_reader *r)
{
    r->failed = true;
    r->pos = r->end;
}

/* The next `len` bytes, or NULL with the error set. */
static const uint8_t *jute_take(struct jute_reader *r, size_t len)
{
    if (jute_left(r) < len) {
        jute_fail(r);
        return NULL;
    }
    const uint8_t *p = r->pos;
    r->pos += len;
    return p;
}

bool jute_read_bool(struct jute_reader *r)
{
    const uint8_t *p = jute_take(r, 1);
    return p && *p != 0;
}

int32_t jute_read_int(struct jute_reader *r)
{
    const uint8_t *p = jute_take(r, 4);
    return p ? (int32_t)be32_get(p) : 0;
}

int64_t jute_read_long(struct jute_reader *r)
{
    const uint8_t *p = jute_take(r, 8);
    return p ? (int64_t)be64_get(p) : 0;
}

struct slice jute_read_buffer(struct jute_reader *r)
{
    int32_t len = jute_read_int(r);
    if (len < -1)
        jute_fail(r);
    if (r->failed || len == -1)
        return SLICE_NULL;
    const uint8_t *p = jute_take(r, (size_t)len);
    return p ? (struct slice){p, len} : SLICE_NULL;
}

struct slice jute_read_rest(struct jute_reader *r)
{
    struct slice rest = slice_of(r->pos, jute_left(r));
    r->pos = r->end;
    return rest;
}

void jute_write_bool(struct buf *b, bool v)
{
    *buf_extend(b, 1) = v;
}

void jute_write_int(struct buf *b, int32_t v)
{
    be32_put(buf_extend(b, 4), (uint32_t)v);
}

void jute_write_long(struct buf *b, int64_t v)
{
    be64_put(buf_extend(b, 8), (uint64_t)v);
}

void jute_write_buffer(struct buf *b, struct slice v)
{
    jute_write_int(b, v.len);
    buf_append(b, v.data, slice_size(v));
}

void jute_write_vector(struct buf *b, const struct jute_vector *v)
{
    jute_write_int(b, v->count);
    buf_append(b, v->bytes.data, slice_size(v->bytes));
}

struct jute_builder jute_vector_begin(struct buf *b)
{
    jute_write_int(b, 0);
    return (struct jute_builder){b, b->len, 0};
}

void jute_vector_end(struct jute_builder *vb)
{
    be32_put(vb->buf->data + vb->start - 4, (uint32_t)vb->count);
}

struct jute_vector jute_vector_built(const struct jute_builder *vb)
{
    return (struct jute_vector){vb->count,
                                slice_of(vb->buf->data + vb->start, vb->buf->len - vb->start)};
}
