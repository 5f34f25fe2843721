/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zab/buf.h"

#include <stdio.h>
#include <stdlib.h>

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len <= 0 || memcmp(a.data, b.data, (size_t)a.len) == 0);
}

bool slice_eq_str(struct slice a, const char *b)
{
    return slice_eq(a, slice_str(b));
}

bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_of(s.data, slice_size(prefix)), prefix);
}

char *slice_dup_str(struct slice s)
{
    size_t len = slice_size(s);
    char *copy = mem_alloc(len + 1);
    if (len > 0)
        memcpy(copy, s.data, len);
    copy[len] = '\0';
    return copy;
}

void buf_close(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_reserve(struct buf *b, size_t more)
{
    if (b->cap - b->len >= more)
        return;
    size_t cap = MAX(b->cap * 2, MAX(b->len + more, 64));
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

void buf_fit(struct buf *b)
{
    if (b->len == 0 || b->cap - b->len < b->len / 4)
        return;
    b->data = mem_realloc(b->data, b->len);
    b->cap = b->len;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
    if (len > 0)
        memcpy(buf_extend(b, len), data, len);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, ap);
    ensure(len >= 0);
    buf_reserve(b, (size_t)len + 1);
    vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, again);
    b->len += (size_t)len;
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t len)
{
    ensure(len <= b->len);
    b->len -= len;
    if (b->len > 0)
        memmove(b->data, b->data + len, b->len);
}
