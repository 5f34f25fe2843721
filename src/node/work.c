/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much is done for clients in one turn. The core knows no clock, so work is counted: a request,
 * a node that was looked at, so many bytes that were copied are units of it, of about 50 ns. A turn
 * has so many, and of those one connection has so many at once. Whoever has had them waits in
 * node.deferred, in the order of coming, with its frames in conn->in and its queue as it is; the
 * next flush goes on there, with as many units again. One request is never cut into two but for
 * setWatches: so what one of them may cost at most is what a turn can be longer, and of those that
 * cost that much there is one in a turn. */
#include "internal.h"

void work_add(struct node *n, size_t units)
{
    n->work += units;
}

/* Up to where a connection may go on now. */
uint64_t work_limit(const struct node *n)
{
    return MIN(n->work + n->config.limits.conn_work, n->turn_end);
}

bool work_is_left(const struct node *n, uint64_t limit)
{
    return n->work < limit;
}

/* The rest of what is there for this connection is for the next turn. */
void work_defer(struct node *n, struct node_conn *c)
{
    if (c->state < CONN_CLOSING && list_is_empty(&c->defer_link))
        list_append(&n->deferred, &c->defer_link);
}

/* Whether nothing was done yet since the flush began: a dear request may be. */
bool work_is_first(const struct node *n)
{
    return n->work == n->resumed;
}

/* Go on where the last turn stopped; what comes until the next flush has a turn's work, too. */
void work_resume(struct node *n)
{
    n->resumed = n->work;
    n->turn_end = n->work + n->config.limits.turn_work;
    n->dear_waits = false;
    while (!list_is_empty(&n->deferred) && work_is_left(n, n->turn_end) && !n->dear_waits) {
        struct node_conn *c = LIST_FIRST(&n->deferred, struct node_conn, defer_link);
        list_remove(&c->defer_link);
        request_drain(n, c);
        if (n->dear_waits) {
            list_remove(&c->defer_link);
            list_append(n->deferred.next, &c->defer_link); /* in front */
        }
        conn_go_on(n, c);
    }
    n->resumed = UINT64_MAX;
    n->turn_end = n->work + n->config.limits.turn_work;
}

uint64_t node_work(const struct node *n)
{
    return n->work;
}
