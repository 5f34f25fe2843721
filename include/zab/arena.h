/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory that is given back all at once. What was taken does not move.
 *
 * All zero is an empty arena. */
#ifndef ZAB_ARENA_H
#define ZAB_ARENA_H

#include "zab/buf.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* the one that is taken from first */
    size_t used;                /* of it */
};

/* `size` bytes, aligned for anything. */
void *arena_alloc(struct arena *a, size_t size);
struct slice arena_copy(struct arena *a, struct slice bytes); /* null stays null */
char *arena_str(struct arena *a, const char *text);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);

/* All of it is free again; a chunk of the usual size stays for the next time. */
void arena_reset(struct arena *a);
void arena_close(struct arena *a);

#endif
