/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every record of the table: what can be read is written again as the same bytes. The first byte
 * of the input chooses the record. */
#include "fuzz.h"
#include "zab/records.h"

/* A boolean may be any byte but zero; it is written as one. */
static bool same_but_booleans(const uint8_t *in, const struct buf *out)
{
    for (size_t i = 0; i < out->len; i++) {
        if (in[i] != out->data[i] && !(in[i] > 1 && out->data[i] == 1))
            return false;
    }
    return true;
}

#define CHECK(rec, FIELDS)                                                                         \
    static void check_##rec(struct slice bytes)                                                    \
    {                                                                                              \
        struct jute_reader r = jute_reader_of(bytes);                                              \
        struct buf out = {0};                                                                      \
        struct zk_##rec v;                                                                         \
        zk_##rec##_read(&r, &v);                                                                   \
        if (!jute_ok(&r))                                                                          \
            return;                                                                                \
        zk_##rec##_write(&out, &v);                                                                \
        ensure(out.len == slice_size(bytes) - jute_left(&r));                                      \
        ensure(same_but_booleans(bytes.data, &out));                                               \
        buf_close(&out);                                                                           \
    }
ZK_RECORDS(CHECK)

#define CHECK_NAME(rec, FIELDS) check_##rec,
static void (*const checks[])(struct slice) = {ZK_RECORDS(CHECK_NAME)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        checks[data[0] % ARRAY_LEN(checks)](slice_of(data + 1, size - 1));
    return 0;
}
