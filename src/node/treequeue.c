/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Learners that are to get the tree get it one after the other: each tree that is sent is held by a
 * process of its own, beside ours, in which all that changes meanwhile is kept a second time. So is
 * a snapshot, which gives way.
 *
 * Who waits does so for a part of initLimit only, which is how long it waits to hear of us. */
#include "internal.h"

static unsigned trees_that_go(const struct node *n)
{
    unsigned going = 0;
    LIST_FOR_EACH (l, &n->links, struct node_link, link)
        going += l->tree_goes && !l->closing;
    return going;
}

bool tree_queue_is_free(const struct node *n)
{
    return trees_that_go(n) == 0;
}

/* True: it waits, and ensemble_tree_turn() will come. */
bool tree_queue_enter(struct node *n, struct node_link *l)
{
    const struct zab_config *c = n->config.ensemble;
    if (tree_queue_is_free(n))
        return false;
    l->tree_by_ms = n->now_ms + (int64_t)c->init_limit * c->tick_ms / 2;
    return true;
}

/* The first of those that wait when nobody is before it, and all that have waited long enough. */
void tree_queue_run(struct node *n)
{
    LIST_FOR_EACH_SAFE (l, &n->links, struct node_link, link) {
        if (l->tree_by_ms == 0 || l->closing ||
            (!tree_queue_is_free(n) && n->now_ms < l->tree_by_ms))
            continue;
        l->tree_by_ms = 0;
        ensemble_tree_turn(n, l);
    }
}
