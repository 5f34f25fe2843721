/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the server has, compared with what the watchers have been told: the difference is what is
 * injected. So a change is told once, be it made here or elsewhere, be it one of many that came
 * together or one that happened during an outage. */
#include "model.h"

unsigned sync_changes(const struct node *n)
{
    if (n->life == NODE_GONE)
        return n->told ? SYNC_DELETED : 0;
    if (n->life != NODE_LIVE)
        return 0;
    unsigned changes = 0;
    bool has_data = n->stat.data_length > 0;
    if (!n->told)
        return SYNC_CREATED | (has_data ? SYNC_DATA : 0);
    if (n->stat.mzxid > n->told_mzxid)
        changes |= SYNC_DATA;
    if (n->told_aversion >= 0 && n->stat.aversion != n->told_aversion)
        changes |= SYNC_ACL;
    return changes;
}

void sync_told(struct node *n)
{
    n->told = n->life != NODE_GONE;
    n->told_mzxid = MAX(n->told_mzxid, n->stat.mzxid);
    n->told_aversion = n->stat.aversion;
    n->told_length = n->stat.data_length;
}

bool sync_is_rename(const struct node *from, const struct node *to)
{
    return from->told && from->life == NODE_GONE && to->life == NODE_LIVE &&
           from->stat.czxid != 0 && from->is_dir == to->is_dir && from->parent &&
           to->stat.mzxid == from->parent->stat.pzxid &&
           from->stat.data_length == to->stat.data_length &&
           from->stat.num_children == to->stat.num_children;
}
