/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the server has, compared with what the watchers have been told: the difference is what is
 * injected. So a change is told once, be it made here or elsewhere, be it one of many that came
 * together or one that happened during an outage. */
#include "model.h"

unsigned sync_changes(const struct node *n)
{
    if (n->life == NODE_GONE && n->given) /* nothing is deleted that was not created */
        return n->told ? SYNC_DELETED : SYNC_CREATED | SYNC_DELETED;
    if (n->life == NODE_NAMED && n->closed && !n->told)
        return SYNC_CREATED; /* no more is known of it than its name */
    if (n->life != NODE_LIVE)
        return 0;
    unsigned changes = 0;
    bool has_data = n->stat.data_length > 0;
    if (!n->told)
        return SYNC_CREATED | (has_data ? SYNC_DATA : 0);
    if (n->stat.mzxid > n->told_mzxid || n->unread)
        changes |= SYNC_DATA;
    if (n->told_aversion >= 0 && n->stat.aversion != n->told_aversion)
        changes |= SYNC_ACL;
    return changes;
}

static void note_data(struct node *n)
{
    n->told_mzxid = MAX(n->told_mzxid, n->stat.mzxid);
    n->told_length = n->stat.data_length;
    n->unread = false;
}

void sync_told(struct node *n)
{
    n->told = n->given = n->life != NODE_GONE;
    n->told_aversion = n->stat.aversion;
    note_data(n);
}

void sync_data_told(struct node *n)
{
    if (n->told)
        note_data(n);
}

/* The content, if it is of the version that is there. */
static const struct content *content_now(const struct node *n)
{
    return n->content && n->content->mzxid == n->stat.mzxid ? n->content : NULL;
}

/* Where the server says which transaction removed the old one, that transaction must have made the
 * new one. Else the zxid of the last change of the old one's directory has to do, which is also
 * that of whatever was made there later: then what both hold must be known, and be the same. */
static bool is_one_transaction(const struct node *from, const struct node *to, bool maybe)
{
    bool same = from->is_dir || (content_now(from) && content_now(to));
    /* A multi may remove one thing and change another: what somebody has read here must be the
     * same; and what somebody writes here must not go into another file. */
    bool unknown = !from->content && from->writers == 0;
    if (from->gone_zxid > 0)
        return to->stat.mzxid == from->gone_zxid && (maybe || same || unknown);
    bool made_after = !to->told && from->parent == to->parent && !from->after_change;
    return (maybe || same) && !made_after && to->stat.mzxid == from->parent->stat.pzxid;
}

bool sync_is_rename(const struct node *from, const struct node *to, bool maybe)
{
    if (!from->told || from->life != NODE_GONE || from->stat.czxid == 0 || !from->parent ||
        to->life != NODE_LIVE || from->is_dir != to->is_dir)
        return false;
    if (to->made_here && to->stat.czxid == to->stat.mzxid)
        return false; /* which the kernel has told */
    const struct content *a = content_now(from), *b = content_now(to);
    bool other_data = a && b && !slice_eq(content_slice(a), content_slice(b));
    return !other_data && from->stat.data_length == to->stat.data_length &&
           from->stat.num_children == to->stat.num_children && is_one_transaction(from, to, maybe);
}
