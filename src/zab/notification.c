/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The messages of FastLeaderElection. They grew with time: 28 bytes end before the epoch, which
 * is then the zxid's; 40 have no version; from version 2 on the configuration follows. We
 * read all of them and write the newest, with our trailer. */
#include "internal.h"

enum {
    SIZE_WITHOUT_EPOCH = 28,
    SIZE_WITHOUT_VERSION = 40,
    VERSION_WITH_CONFIG = 2,
};

/* Far more elections than there will be; the next round still fits. */
static const int64_t round_max = INT64_MAX / 2;

bool notification_read(struct slice message, struct notification *n)
{
    struct jute_reader r = jute_reader_of(message);
    *n = (struct notification){.config_text = SLICE_EMPTY};
    int32_t state = jute_read_int(&r);
    n->leader = jute_read_long(&r);
    n->zxid = jute_read_long(&r);
    n->round = jute_read_long(&r);
    n->epoch = message.len == SIZE_WITHOUT_EPOCH ? zxid_epoch(n->zxid) : jute_read_long(&r);
    if (message.len != SIZE_WITHOUT_EPOCH && message.len != SIZE_WITHOUT_VERSION)
        n->version = jute_read_int(&r);
    if (n->version >= VERSION_WITH_CONFIG)
        n->config_text = jute_read_buffer(&r);
    n->trailer = trailer_read(&r);
    if (!jute_ok(&r) || slice_is_null(n->config_text) || state < ZAB_LOOKING ||
        state > ZAB_OBSERVING || n->round > round_max)
        return false;
    n->state = (enum zab_state)state;
    return true;
}

void notification_write(struct buf *b, const struct notification *n)
{
    jute_write_int(b, n->state);
    jute_write_long(b, n->leader);
    jute_write_long(b, n->zxid);
    jute_write_long(b, n->round);
    jute_write_long(b, n->epoch);
    jute_write_int(b, VERSION_WITH_CONFIG);
    jute_write_buffer(b, n->config_text);
    trailer_write(b, n->trailer.ensemble_id, n->trailer.is_new);
}
