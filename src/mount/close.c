/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flush, fsync, release: when a draft becomes a transaction. The kernel sends a FLUSH for each
 * descriptor that is closed, by whomever: /proc says whether the opener has let go. */
#include "core.h"

#include <fcntl.h>
#include <stdlib.h>

static void on_synced(void *arg, int err)
{
    struct req *req = arg;
    reply_err(*req, err);
    free(req);
}

/* A close, and what waits for it: first for what /proc says of the opener. */
enum {
    OTHERS_MAX = 32,
};

struct look {
    struct list link;
    uint64_t id;
    struct handle *h;
    struct req req;
    pid_t others[OTHERS_MAX];
    unsigned n_others;
};

/* Who closed the file knows of the error, and will not find it done after all. */
static void on_closed(void *arg, int err)
{
    struct look *l = arg;
    if (err != 0) {
        l->h->lost = err; /* for a copy of the descriptor that was not seen */
        l->h->draft.dirty = l->h->draft.written = false;
        commit_free(l->h->doubt);
        l->h->doubt = NULL;
    }
    reply_err(l->req, err);
    handle_unref(l->h);
    free(l);
}

/* The opener's descriptors on this file beyond those of its other opens are copies of this one. */
static int copies(const struct look *l, int count, uint32_t same)
{
    LIST_FOR_EACH (other, &l->h->mount->drafts, struct handle, drafts) {
        if (other == l->h || other->node != l->h->node || other->released)
            continue;
        bool mine = other->opener == l->h->opener;
        for (unsigned i = 0; i < l->n_others && !mine; i++)
            mine = other->opener == l->others[i] && same >> i & 1;
        count -= mine;
    }
    return MAX(count, 0);
}

static void opener_seen(struct look *l, int count, enum mount_yes own, uint32_t same)
{
    const struct handle *h = l->h;
    /* The close of another process is a child's exit, as long as the opener has any descriptor.
     * Where they cannot be counted, its own close that follows a write is taken for the last. */
    bool untouched = !h->draft.written && !h->commit;
    bool holds = count < 0         ? own == MOUNT_NO || untouched
                 : own == MOUNT_NO ? count > 0
                                   : copies(l, count, same) > 0;
    list_remove(&l->link);
    if (holds)
        on_closed(l, 0);
    else
        commit_start(l->h, &l->req, on_closed, l);
}

static void look_and_commit(struct handle *h, struct req req)
{
    struct mount *m = h->mount;
    struct look *l = mem_zalloc(sizeof(*l));
    *l = (struct look){.id = ++m->next_look, .h = handle_ref(h), .req = req};
    list_init(&l->link);
    if (h->opener <= 0 || m->closed) {
        commit_start(h, &l->req, on_closed, l);
        return;
    }
    LIST_FOR_EACH (other, &m->drafts, struct handle, drafts) {
        if (other->node == h->node && other->opener != h->opener && other->opener > 0 &&
            l->n_others < OTHERS_MAX)
            l->others[l->n_others++] = other->opener;
    }
    list_append(&m->looking, &l->link);
    struct mount_effect *e = effect_add(m, MOUNT_LOOK_AT_OPENER);
    e->opener.id = l->id;
    e->opener.pid = h->opener;
    e->opener.closer = req.pid;
    e->opener.others = l->others;
    e->opener.n_others = l->n_others;
    e->opener.ino = h->node->id;
}

void file_opener_seen(struct mount *m, uint64_t id, int count, enum mount_yes own, uint32_t same)
{
    LIST_FOR_EACH (l, &m->looking, struct look, link) {
        if (l->id == id) {
            opener_seen(l, count, own, same);
            return;
        }
    }
}

void req_flush(struct mount *m, const struct mount_request *q, struct req req)
{
    struct handle *h = handle_find(m, q->fh);
    if (!h || !h->writable)
        reply_err(req, 0);
    else if (h->draft.dirty || h->commit)
        look_and_commit(h, req);
    else
        reply_err(req, h->lost);
}

/* A close follows, which tells: an event of ours would disturb what the kernel knows of the size.
 */
static void sync_and_reply(struct handle *h, struct req req)
{
    struct req *kept = req_keep(req);
    commit_start(h, kept, on_synced, kept);
}

void req_fsync(struct mount *m, const struct mount_request *q, struct req req)
{
    struct handle *h = handle_find(m, q->fh);
    if (!h || !h->writable)
        reply_err(req, 0);
    else if (h->lost && !h->draft.dirty && !h->commit)
        reply_err(req, h->lost);
    else
        sync_and_reply(h, req);
}

void req_release(struct mount *m, const struct mount_request *q, struct req req)
{
    struct handle *h = handle_find(m, q->fh);
    reply_err(req, 0);
    if (!h)
        return;
    h->released = true;
    if (q->abandoned)
        h->draft.dirty = false;
    if (h->draft.dirty && !h->commit)
        commit_start(h, NULL, NULL, NULL);
    else
        handle_free_unused(h);
}
