/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the four-letter word "conf" says: ZooKeeper's lines in its order, since programs parse
 * them, then what else the file has set. */
#include <inttypes.h>
#include <string.h>

#include "config.h"

static void say_ensemble(const struct config *c, struct buf *out)
{
    const struct ensemble_address *a = &c->own->addresses[0];
    buf_printf(out,
               "initLimit=%" PRId64 "\nsyncLimit=%" PRId64 "\nelectionAlg=3\nelectionPort=%d\n"
               "quorumPort=%d\npeerType=%d\nmembership: \n",
               c->init_limit, c->sync_limit, a->election_port, a->quorum_port,
               c->own->zab.observer);
    ensemble_text(&c->ensemble, c->version, out);
    buf_printf(out, "\n");
}

static bool has_key(const struct buf *out, const char *key, size_t len)
{
    for (size_t at = 0; at + len < out->len; at++) {
        if ((at == 0 || out->data[at - 1] == '\n') && memcmp(out->data + at, key, len) == 0)
            return true;
    }
    return false;
}

static void say_rest(const struct config *c, struct buf *out)
{
    struct slice rest = buf_slice(&c->text);
    while (slice_size(rest) > 0) {
        const uint8_t *end = memchr(rest.data, '\n', slice_size(rest));
        const uint8_t *key_end = memchr(rest.data, '=', (size_t)(end - rest.data));
        size_t line = (size_t)(end - rest.data) + 1, key = (size_t)(key_end - rest.data) + 1;
        if (!has_key(out, (const char *)rest.data, key))
            buf_append(out, rest.data, line);
        rest = slice_of(rest.data + line, slice_size(rest) - line);
    }
}

void conf_text(const struct config *c, int client_port, struct buf *out)
{
    buf_printf(out,
               "clientPort=%d\nsecureClientPort=%" PRId64 "\ndataDir=%s/version-2\n"
               "dataLogDir=%s/version-2\ntickTime=%" PRId64 "\nmaxClientCnxns=%" PRId64 "\n"
               "minSessionTimeout=%" PRId64 "\nmaxSessionTimeout=%" PRId64
               "\nclientPortListenBacklog=%" PRId64 "\nserverId=%" PRId64 "\n",
               client_port ? client_port : -1, c->secure_client_port ? c->secure_client_port : -1,
               c->data_dir, c->log_dir ? c->log_dir : c->data_dir, c->tick_ms, c->max_client_conns,
               c->min_session_timeout_ms, c->max_session_timeout_ms, c->backlog,
               c->own ? c->own->zab.sid : 0);
    if (c->own)
        say_ensemble(c, out);
    say_rest(c, out);
}
