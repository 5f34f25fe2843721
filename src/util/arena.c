/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zab/arena.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CHUNK_SIZE = 16 << 10,
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    alignas(max_align_t) uint8_t bytes[];
};

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    size = (size + align - 1) / align * align;
    if (!a->chunks || size > a->chunks->size - a->used) {
        struct arena_chunk *c = mem_alloc(sizeof(*c) + MAX(size, CHUNK_SIZE));
        c->next = a->chunks;
        c->size = MAX(size, CHUNK_SIZE);
        a->chunks = c;
        a->used = 0;
    }
    void *p = a->chunks->bytes + a->used;
    a->used += size;
    return p;
}

struct slice arena_copy(struct arena *a, struct slice bytes)
{
    if (bytes.len <= 0)
        return bytes;
    uint8_t *copy = arena_alloc(a, slice_size(bytes));
    memcpy(copy, bytes.data, slice_size(bytes));
    return slice_of(copy, slice_size(bytes));
}

char *arena_str(struct arena *a, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(arena_alloc(a, size), text, size);
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    ensure(len >= 0);
    char *text = arena_alloc(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, ap);
    return text;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return text;
}

void arena_reset(struct arena *a)
{
    while (a->chunks && (a->chunks->next || a->chunks->size > CHUNK_SIZE)) {
        struct arena_chunk *next = a->chunks->next;
        free(a->chunks);
        a->chunks = next;
    }
    a->used = 0;
}

void arena_close(struct arena *a)
{
    arena_reset(a);
    free(a->chunks);
    *a = (struct arena){0};
}
