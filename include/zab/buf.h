/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Byte strings.
 *
 * struct slice is bytes that belong to somebody else: copy it freely, do not free it. A slice of
 * length -1 is null, which jute keeps apart from an empty one.
 *
 * struct buf is bytes that grow at the end and belong to the struct. All zero is an empty buf. */
#ifndef ZAB_BUF_H
#define ZAB_BUF_H

#include <stdarg.h>
#include <string.h>

#include "zab/base.h"

struct slice {
    const uint8_t *data;
    int32_t len;
};

#define SLICE_NULL ((struct slice){NULL, -1})
#define SLICE_EMPTY ((struct slice){(const uint8_t *)"", 0})

/* printf("%.*s", SLICE_ARG(s)) */
#define SLICE_ARG(s) ((s).len > 0 ? (int)(s).len : 0), (const char *)(s).data

static inline struct slice slice_of(const void *data, size_t len)
{
    ensure(len <= INT32_MAX);
    return (struct slice){data, (int32_t)len};
}

static inline struct slice slice_str(const char *s)
{
    return slice_of(s, strlen(s));
}

static inline bool slice_is_null(struct slice s)
{
    return s.len < 0;
}

/* The length to count with: a null slice has no bytes. */
static inline size_t slice_size(struct slice s)
{
    return s.len > 0 ? (size_t)s.len : 0;
}

bool slice_eq(struct slice a, struct slice b);
bool slice_eq_str(struct slice a, const char *b);
bool slice_starts_with(struct slice s, struct slice prefix);

/* A C string on the heap, the caller's to free. Bytes after a NUL are lost to C. */
char *slice_dup_str(struct slice s);

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

void buf_close(struct buf *b);
void buf_reserve(struct buf *b, size_t more);
void buf_fit(struct buf *b); /* give back what is not used, if that is much */
void buf_append(struct buf *b, const void *data, size_t len);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* Drop the first `len` bytes. */
void buf_consume(struct buf *b, size_t len);

/* Make room for `len` bytes at the end and count them in; the caller fills them. */
static inline uint8_t *buf_extend(struct buf *b, size_t len)
{
    if (b->cap - b->len < len)
        buf_reserve(b, len);
    size_t at = b->len;
    b->len += len;
    return at == 0 ? b->data : b->data + at; /* which may be null, where nothing is added */
}

static inline void buf_reset(struct buf *b)
{
    b->len = 0;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->data ? b->data : (const uint8_t *)"", b->len);
}

#endif
