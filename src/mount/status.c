/* SPDX-License-Identifier: GPL-3.0-or-later */
/* .zabfs/status: one "key: value" a line. */
#include "core.h"

#include <inttypes.h>
#include <time.h>

static void append_time(struct buf *out, const char *key, int64_t wall_ms)
{
    char text[32];
    struct tm tm;
    time_t at = (time_t)(wall_ms / 1000);
    gmtime_r(&at, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_printf(out, "%s: %s\n", key, text);
}

void status_text(struct mount *m, struct buf *out)
{
    size_t watches = 0, held = 0;
    HMAP_FOR_EACH (n, &m->nodes.by_id, struct node, by_id) {
        watches += n->watch != NODE_WATCH_NONE;
        held += n->lookups > 0;
    }
    buf_printf(out, "source: %s\n", m->config.source);
    buf_printf(out, "state: %s\n", client_state_name(m->session.state));
    buf_printf(out, "stale: %s\n", m->connected ? "no" : "yes");
    if (!m->connected)
        append_time(out, "stale_since", m->disconnected_wall_ms);
    buf_printf(out, "server: %s\n", m->session.server);
    buf_printf(out, "session: 0x%" PRIx64 "\n", (uint64_t)m->session.id);
    buf_printf(out, "session_timeout_ms: %d\n", m->session.timeout_ms);
    buf_printf(out, "last_zxid: 0x%" PRIx64 "\n", (uint64_t)m->last_zxid);
    buf_printf(out, "nodes: %zu\n", m->nodes.by_id.count);
    buf_printf(out, "nodes_held: %zu\n", held);
    buf_printf(out, "watches: %zu\n", watches);
    buf_printf(out, "cached_bytes: %zu\n", m->nodes.cached_bytes);
    buf_printf(out, "requests: %" PRIu64 "\n", m->count.requests);
    buf_printf(out, "commits: %" PRIu64 "\n", m->count.commits);
    buf_printf(out, "injections: %" PRIu64 "\n", m->count.injections);
    buf_printf(out, "injections_waiting: %zu\n", m->n_injections);
    buf_printf(out, "rounds: %" PRIu64 "\n", m->count.rounds);
}
