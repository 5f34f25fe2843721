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

/* Made and removed in one transaction: the new node's zxid is the one of the last change of the old
 * one's directory. If both are in one directory that is true of each new node; but a rename makes
 * before it removes. What somebody has read here is the same afterwards. */
bool sync_is_rename(const struct node *from, const struct node *to)
{
    if (!from->told || from->life != NODE_GONE || from->stat.czxid == 0 || !from->parent ||
        to->life != NODE_LIVE)
        return false;
    bool other_data = from->content && to->content &&
                      !slice_eq(content_slice(from->content), content_slice(to->content));
    bool made_after = !to->told && from->parent == to->parent && !from->after_change;
    return !other_data && !made_after && to->stat.mzxid == from->parent->stat.pzxid &&
           from->is_dir == to->is_dir && from->stat.data_length == to->stat.data_length &&
           from->stat.num_children == to->stat.num_children;
}
