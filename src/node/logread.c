/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Learners that are further behind than the history in memory reaches: what they lack is read from
 * the log on disk, unless that is so much that the tree is less (ZooKeeper: a third of it). Nothing
 * leaves the history meanwhile, so that it goes on where the log's part ends. */
#include "internal.h"

#include <stdlib.h>

/* True: NODE_LOG_READ will come, and the sync is chosen then. */
bool log_read_ask(struct node *n, struct node_link *l, int64_t zxid)
{
    if (l->log_read || zxid < n->log_base)
        return false;
    struct node_log_read *r = mem_zalloc(sizeof(*r));
    const struct node_limits *limits = &n->config.limits;
    size_t third = (size_t)tree_data_size(n->tree) / 3;
    *r = (struct node_log_read){.zxid = zxid,
                                .to_zxid = n->history_base,
                                .bytes_max =
                                    MIN(MAX(third, limits->log_read_min), limits->log_read_max),
                                .link_id = l->id};
    l->log_read = r;
    n->n_log_reads++;
    node_effect(n, NODE_READ_LOG, NULL);
    n->fx->list[n->fx->n - 1].log_read = r;
    return true;
}

void log_read_done(struct node *n, struct node_log_read *r)
{
    struct node_link *l = link_find(n, r->link_id);
    bool wanted = l && l->log_read == r && !l->closing;
    if (wanted)
        ensemble_log_read(n, l);
    n->n_log_reads--;
    if (wanted)
        l->log_read = NULL;
    buf_close(&r->entries);
    free(r);
}
