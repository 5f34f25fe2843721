/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The jute encoding, as ZooKeeper's BinaryInputArchive and BinaryOutputArchive have it:
 * big-endian numbers, a boolean is one byte, strings and buffers are a 32-bit length and bytes
 * (length -1: null), a vector is a 32-bit count and its elements (count -1: null).
 *
 * Reading borrows: strings, buffers and vectors point into the input, nothing is allocated, so
 * that no number from the wire sizes anything. Every length is bounded by what is left. The
 * first error sticks: read all fields, then ask jute_ok() once.
 *
 * A vector is read as the bytes of its elements, each checked; walk it with jute_vector_iter().
 * It is written from the same struct, so that a vector can be passed on unparsed. */
#ifndef ZAB_JUTE_H
#define ZAB_JUTE_H

#include "zab/buf.h"

struct jute_reader {
    const uint8_t *pos;
    const uint8_t *end;
    bool failed;
};

struct jute_vector {
    int32_t count;      /* -1: null */
    struct slice bytes; /* the elements, one behind the other */
};

#define JUTE_VECTOR_NULL ((struct jute_vector){-1, {NULL, 0}})
#define JUTE_VECTOR_EMPTY ((struct jute_vector){0, {NULL, 0}})

static inline struct jute_reader jute_reader_of(struct slice s)
{
    return (struct jute_reader){s.data, s.data ? s.data + slice_size(s) : NULL, false};
}

static inline bool jute_ok(const struct jute_reader *r)
{
    return !r->failed;
}

/* True if all was read, and read without an error. */
static inline bool jute_done(const struct jute_reader *r)
{
    return !r->failed && r->pos == r->end;
}

static inline size_t jute_left(const struct jute_reader *r)
{
    return (size_t)(r->end - r->pos);
}

/* Mark the input as bad; all further reads give zeros. */
void jute_fail(struct jute_reader *r);

bool jute_read_bool(struct jute_reader *r);
int32_t jute_read_int(struct jute_reader *r);
int64_t jute_read_long(struct jute_reader *r);
struct slice jute_read_buffer(struct jute_reader *r); /* strings too */

/* All that is left, as one slice. */
struct slice jute_read_rest(struct jute_reader *r);

void jute_write_bool(struct buf *b, bool v);
void jute_write_int(struct buf *b, int32_t v);
void jute_write_long(struct buf *b, int64_t v);
void jute_write_buffer(struct buf *b, struct slice v);
void jute_write_vector(struct buf *b, const struct jute_vector *v);

static inline struct jute_reader jute_vector_iter(const struct jute_vector *v)
{
    return jute_reader_of(v->bytes);
}

/* A vector of strings written by hand: begin, append each, end.
 *
 *     struct jute_builder vb = jute_vector_begin(b);
 *     ... jute_write_buffer(b, s); vb.count++; ...
 *     jute_vector_end(&vb); */
struct jute_builder {
    struct buf *buf;
    size_t start;
    int32_t count;
};

struct jute_builder jute_vector_begin(struct buf *b);
void jute_vector_end(struct jute_builder *vb);

/* What the builder has gathered so far, as a vector that borrows the buf. */
struct jute_vector jute_vector_built(const struct jute_builder *vb);

#endif
