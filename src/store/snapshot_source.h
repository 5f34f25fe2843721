/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes of a snapshot's stream, piece by piece, whatever the file is packed in. */
#ifndef SNAPSHOT_SOURCE_H
#define SNAPSHOT_SOURCE_H

#include "store_impl.h"

struct snapshot_source;

int snapshot_source_open(struct store *s, const char *name, struct snapshot_source **out,
                         struct err *e);
void snapshot_source_close(struct snapshot_source *src);

/* The next piece, valid until the next call; an empty one at the end. The end of the file is the
 * end of the frame, and the frame's own checksum was right. */
int snapshot_source_next(struct snapshot_source *src, struct slice *piece, struct err *e);

/* Sync the file. */
int snapshot_source_sync(struct snapshot_source *src, struct err *e);

/* -EUCLEAN with the file's name, how far it was read, and the remedy. */
int snapshot_source_corrupt(const struct snapshot_source *src, struct err *e, const char *what);

#endif
