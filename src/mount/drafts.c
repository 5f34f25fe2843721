/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Many drafts: all of a node or of the mount, and those that nobody writes to. */
#include "core.h"

#include <stdlib.h>

struct gather {
    size_t waiting;
    int err;
    commit_done *done;
    void *arg;
};

static void on_one(void *arg, int err)
{
    struct gather *g = arg;
    if (g->err == 0)
        g->err = err;
    if (--g->waiting == 0) {
        g->done(g->arg, g->err);
        free(g);
    }
}

void commit_all(struct mount *m, struct node *n, commit_done *done, void *arg)
{
    struct gather *g = mem_zalloc(sizeof(*g));
    *g = (struct gather){.waiting = 1, .done = done, .arg = arg};
    LIST_FOR_EACH_SAFE (h, &m->drafts, struct handle, drafts) {
        if ((!n || h->node == n) && (h->draft.dirty || h->commit)) {
            g->waiting++;
            commit_start(h, NULL, on_one, g);
        }
    }
    on_one(g, 0);
}

bool commit_is_under_way(const struct mount *m, const struct node *n)
{
    LIST_FOR_EACH (h, &m->drafts, struct handle, drafts) {
        if (h->node == n && (h->commit || h->doubt))
            return true;
    }
    return false;
}

void commit_idle(struct mount *m)
{
    LIST_FOR_EACH_SAFE (h, &m->drafts, struct handle, drafts) {
        bool idle = m->now_ms - h->changed_ms >= m->config.draft_ms;
        if (h->draft.dirty && h->draft.written && !h->commit && !h->refused && idle)
            commit_start(h, NULL, NULL, NULL);
    }
    commit_watch_idle(m);
}

void commit_watch_idle(struct mount *m)
{
    enum {
        PERIOD_MS = 250,
    };
    if (m->config.draft_ms > 0 && !list_is_empty(&m->drafts))
        m->draft_at = MIN(m->draft_at, m->now_ms + PERIOD_MS);
}
