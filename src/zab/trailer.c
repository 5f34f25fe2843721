/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What our servers say to each other after the fields that ZooKeeper's servers know. Those read the
 * fields that they expect in FOLLOWERINFO, LEADERINFO and notifications and ignore the rest. */
#include "internal.h"

enum {
    TRAILER_MARK = 0x7a616264, /* "zabd" */
};

void trailer_write(struct buf *b, int64_t ensemble_id, bool is_new)
{
    jute_write_int(b, TRAILER_MARK);
    jute_write_long(b, ensemble_id);
    jute_write_bool(b, is_new);
}

struct trailer trailer_read(struct jute_reader *r)
{
    struct trailer t = {0};
    if (!jute_ok(r) || jute_left(r) == 0 || jute_read_int(r) != TRAILER_MARK)
        return t;
    t.ensemble_id = jute_read_long(r);
    t.is_new = jute_read_bool(r);
    t.is_ours = jute_ok(r) && t.ensemble_id >= 0;
    return t.is_ours ? t : (struct trailer){0};
}
