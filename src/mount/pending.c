/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests without a reply. One that has waited for longer than timeo is answered with an error;
 * what it was waiting for goes on, and its reply finds nobody. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

enum {
    /* The client gives up a request that it could not send after timeo, and knows more. */
    MARGIN_MS = 250,
};

struct pending {
    struct hmap_node by_serial;
    struct list due;
    struct req req;
    int64_t since_ms;
    int64_t deadline_ms;
};

void pending_add(struct req req)
{
    struct mount *m = req.m;
    struct pending *p = mem_alloc(sizeof(*p));
    p->req = req;
    p->since_ms = m->now_ms;
    p->deadline_ms = m->now_ms + m->config.timeo_ms + MARGIN_MS;
    list_append(&m->due, &p->due);
    hmap_insert(&m->pending, &p->by_serial, hash_u64(req.serial));
}

static void pending_free(struct mount *m, struct pending *p)
{
    list_remove(&p->due);
    hmap_remove(&m->pending, &p->by_serial);
    free(p);
}

static struct pending *find(const struct mount *m, uint64_t serial)
{
    HMAP_FOR_EACH_WITH_HASH (p, &m->pending, hash_u64(serial), struct pending, by_serial) {
        if (p->req.serial == serial)
            return p;
    }
    return NULL;
}

bool pending_waits(struct req req)
{
    return req.serial == req.m->handling || find(req.m, req.serial);
}

bool pending_take(struct req req)
{
    struct mount *m = req.m;
    if (req.serial == m->handling) {
        m->handling = 0;
        return true;
    }
    struct pending *p = find(m, req.serial);
    if (p)
        pending_free(m, p);
    return p != NULL;
}

/* From when on no server has answered for timeo: then nobody waits any longer, whenever he came. So
 * the requests of one system call, and those that wait for each other's locks, do not add up. */
static int64_t stale_from(const struct mount *m)
{
    if (m->quiet_since_ms == INT64_MAX)
        return INT64_MAX;
    return m->quiet_since_ms + m->config.timeo_ms + MARGIN_MS;
}

void pending_expire(struct mount *m)
{
    while (pending_deadline(m) <= m->now_ms) {
        struct pending *p = LIST_FIRST(&m->due, struct pending, due);
        int64_t waited_ms = m->now_ms - p->since_ms;
        if (waited_ms > 0)
            effect_log(m, LOG_LEVEL_WARN, "%s has waited for %d ms: no answer from the servers",
                       mount_op_name(p->req.op), (int)waited_ms);
        reply_err(p->req, ETIMEDOUT);
    }
}

int64_t pending_deadline(const struct mount *m)
{
    if (list_is_empty(&m->due))
        return INT64_MAX;
    int64_t first = LIST_FIRST(&m->due, struct pending, due)->deadline_ms;
    return MIN(first, stale_from(m));
}

void pending_close(struct mount *m)
{
    LIST_FOR_EACH_SAFE (p, &m->due, struct pending, due)
        pending_free(m, p);
    hmap_close(&m->pending);
}
