/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "greeting.h"

#include <errno.h>

#include "zab/jute.h"

#define VERSION_ONE_ADDRESS (-65536)
#define VERSION_ADDRESSES (-65535)

enum {
    GREETING_HEAD = 20,
    ADDRESSES_MAX = 2048,
};

int greeting_parse(struct slice in, struct greeting *g)
{
    struct jute_reader r = jute_reader_of(in);
    if (jute_left(&r) < 8)
        return 0;
    int64_t version = jute_read_long(&r);
    if (version != VERSION_ONE_ADDRESS && version != VERSION_ADDRESSES)
        return -EPROTO;
    if (jute_left(&r) < GREETING_HEAD - 8)
        return 0;
    g->sid = jute_read_long(&r);
    int32_t len = jute_read_int(&r);
    if (len <= 0 || len > ADDRESSES_MAX)
        return -EPROTO;
    if (jute_left(&r) < (size_t)len)
        return 0;
    g->addresses = slice_of(r.pos, (size_t)len);
    return GREETING_HEAD + len;
}

void greeting_write(const struct ensemble_server *own, struct buf *out)
{
    struct buf text = {0};
    for (size_t i = 0; i < own->n_addresses; i++) {
        if (i > 0)
            buf_append(&text, "|", 1);
        ensemble_host_text(own->addresses[i].host, &text);
        buf_printf(&text, ":%d", own->addresses[i].election_port);
    }
    jute_write_long(out, own->n_addresses > 1 ? VERSION_ADDRESSES : VERSION_ONE_ADDRESS);
    jute_write_long(out, own->zab.sid);
    jute_write_buffer(out, buf_slice(&text));
    buf_close(&text);
}
