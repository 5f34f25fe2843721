/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The readers and writers that the table in records.h asks for. */
#include "zab/records.h"

/* Read and drop the elements of a vector, so that each is known to be well formed; keep their
 * bytes. */
#define VECTOR_OF(kind, element)                                                                   \
    static struct jute_vector read_##kind(struct jute_reader *r)                                   \
    {                                                                                              \
        int32_t count = jute_read_int(r);                                                          \
        const uint8_t *start = r->pos;                                                             \
        if (count < -1)                                                                            \
            jute_fail(r);                                                                          \
        for (int32_t i = 0; i < count && !r->failed; i++)                                          \
            element;                                                                               \
        if (r->failed || count < 0)                                                                \
            return JUTE_VECTOR_NULL;                                                               \
        return (struct jute_vector){count, slice_of(start, (size_t)(r->pos - start))};             \
    }

#define read_bool jute_read_bool
#define read_int jute_read_int
#define read_long jute_read_long
#define read_buffer jute_read_buffer
#define read_string jute_read_buffer

static struct zk_id read_id(struct jute_reader *r)
{
    struct zk_id v;
    zk_id_read(r, &v);
    return v;
}

static struct zk_stat read_stat(struct jute_reader *r)
{
    struct zk_stat v;
    zk_stat_read(r, &v);
    return v;
}

VECTOR_OF(strings, jute_read_buffer(r))
VECTOR_OF(ids, zk_id_read(r, &(struct zk_id){0}))
VECTOR_OF(acls, zk_acl_read(r, &(struct zk_acl){0}))
VECTOR_OF(client_infos, zk_client_info_read(r, &(struct zk_client_info){0}))
VECTOR_OF(txns, zk_txn_read(r, &(struct zk_txn){0}))

#define write_bool(b, v) jute_write_bool(b, *(v))
#define write_int(b, v) jute_write_int(b, *(v))
#define write_long(b, v) jute_write_long(b, *(v))
#define write_buffer(b, v) jute_write_buffer(b, *(v))
#define write_string write_buffer
#define write_id zk_id_write
#define write_stat zk_stat_write
#define write_strings jute_write_vector
#define write_ids jute_write_vector
#define write_acls jute_write_vector
#define write_client_infos jute_write_vector
#define write_txns jute_write_vector

#define READ_FIELD(kind, name) v->name = read_##kind(r);
#define WRITE_FIELD(kind, name) write_##kind(b, &v->name);
#define RECORD(rec, FIELDS)                                                                        \
    void zk_##rec##_read(struct jute_reader *r, struct zk_##rec *v)                                \
    {                                                                                              \
        FIELDS(READ_FIELD)                                                                         \
    }                                                                                              \
    void zk_##rec##_write(struct buf *b, const struct zk_##rec *v)                                 \
    {                                                                                              \
        FIELDS(WRITE_FIELD)                                                                        \
    }
ZK_RECORDS(RECORD)
