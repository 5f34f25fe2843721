/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the program `seeds` share. */
#ifndef FUZZ_SEEDS_H
#define FUZZ_SEEDS_H

#include "fuzz.h"

/* Write TO/fuzzer/name: the bytes in `b`, which is emptied. */
void write_seed(const char *fuzzer, const char *name, struct buf *b);

void append_byte(struct buf *b, uint8_t v);
void append_piece(struct buf *b, const struct buf *piece);

/* The lines of one of the recorded files. */
typedef void take_line(void *arg, const struct buf *line);
void read_hex(const char *name, take_line *take, void *arg);

void write_ensemble_seeds(struct buf *b);
void write_mount_seeds(struct buf *b);

#endif
