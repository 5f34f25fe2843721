/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The input as a row of choices. */
#include "fuzz.h"

#include <stdlib.h>

uint8_t fuzz_byte(struct fuzz_input *in)
{
    return in->pos < in->end ? *in->pos++ : 0;
}

struct slice fuzz_copy(const uint8_t *data, size_t len)
{
    uint8_t *copy = mem_alloc(len);
    memcpy(copy, data, len);
    return slice_of(copy, len);
}

struct slice fuzz_piece(struct fuzz_input *in)
{
    size_t len = (size_t)fuzz_byte(in) << 8;
    len |= fuzz_byte(in);
    len = MIN(len, (size_t)(in->end - in->pos));
    struct slice piece = fuzz_copy(in->pos, len);
    in->pos += len;
    return piece;
}

void fuzz_piece_free(struct slice piece)
{
    free((void *)piece.data);
}
