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

static void append_options(const struct mount *m, struct buf *out)
{
    const struct mount_config *c = &m->config;
    buf_printf(
        out,
        "options: %s,timeo=%g,draft=%g,acl_timeo=%g,cache=%s,stale=%s,unchanged=%s,modes=%s%s\n",
        c->read_only ? "ro" : "rw", c->timeo_ms / 1000.0, c->draft_ms / 1000.0,
        c->acl_timeo_ms / 1000.0, c->cache == MOUNT_CACHE_PAGES ? "pages" : "versions",
        c->stale_error ? "error" : "serve", c->skip_unchanged ? "skip" : "write",
        c->ignore_modes ? "ignore" : "strict", c->sync ? ",sync" : "");
}

static const char *why_no_writes(struct mount *m)
{
    if (m->config.read_only)
        return "-o ro";
    return mount_is_stale(m) ? "no server with a quorum answers" : "";
}

static size_t drafts_waiting(const struct mount *m)
{
    size_t n = 0;
    LIST_FOR_EACH (h, &m->drafts, struct handle, drafts)
        n += h->draft.dirty;
    return n;
}

static void append_requests(const struct mount *m, struct buf *out)
{
    buf_printf(out, "requests: %" PRIu64 "\n", m->count.requests);
    for (int op = 0; op < MOUNT_N_OPS; op++) {
        if (m->count.by_op[op] == 0)
            continue;
        buf_printf(out, "requests_");
        for (const char *p = mount_op_name((enum mount_op)op); *p; p++)
            buf_printf(out, "%c", *p - 'A' + 'a');
        buf_printf(out, ": %" PRIu64 "\n", m->count.by_op[op]);
    }
}

void status_text(struct mount *m, struct buf *out)
{
    buf_printf(out, "source: %s\n", m->config.source);
    append_options(m, out);
    buf_printf(out, "state: %s\n", client_state_name(m->session.state));
    buf_printf(out, "stale: %s\n", mount_is_cut_off(m) ? "yes" : "no");
    if (!m->connected)
        append_time(out, "stale_since", m->disconnected_wall_ms);
    if (*why_no_writes(m) != '\0')
        buf_printf(out, "read_only: %s\n", why_no_writes(m));
    buf_printf(out, "server: %s\n", m->session.server);
    buf_printf(out, "session: 0x%" PRIx64 "\n", (uint64_t)m->session.id);
    buf_printf(out, "session_timeout_ms: %d\n", m->session.timeout_ms);
    buf_printf(out, "last_zxid: 0x%" PRIx64 "\n", (uint64_t)m->last_zxid);
    buf_printf(out, "reconnects: %" PRIu64 "\n", m->count.reconnects);
    buf_printf(out, "nodes: %zu\n", m->nodes.by_id.count);
    buf_printf(out, "nodes_held: %zu\n", m->nodes.n_held);
    buf_printf(out, "watches: %zu\n", m->n_watches);
    buf_printf(out, "cached_bytes: %zu\n", m->nodes.cached_bytes);
    append_requests(m, out);
    buf_printf(out, "requests_waiting: %zu\n", m->pending.count);
    buf_printf(out, "commits: %" PRIu64 "\n", m->count.commits);
    buf_printf(out, "commits_failed: %" PRIu64 "\n", m->count.commits_failed);
    buf_printf(out, "drafts_waiting: %zu\n", drafts_waiting(m));
    if (m->last_error.len > 0)
        buf_printf(out, "last_error: %.*s\n", SLICE_ARG(buf_slice(&m->last_error)));
    buf_printf(out, "injections: %" PRIu64 "\n", m->count.injections);
    buf_printf(out, "injections_waiting: %zu\n", m->n_injections);
    buf_printf(out, "injections_failed: %" PRIu64 "\n", m->count.lost_events);
    buf_printf(out, "injector_restarts: %" PRIu64 "\n", m->count.injector_restarts);
    buf_printf(out, "rounds: %" PRIu64 "\n", m->count.rounds);
}
