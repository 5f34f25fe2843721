/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What to do when a transaction of a draft did not simply succeed. */
#include "model.h"

static bool is_lost(int32_t zk_err)
{
    return zk_err == ZK_CONNECTIONLOSS || zk_err == ZK_SESSIONEXPIRED;
}

enum commit_next decide_after_failure(const struct commit_failure *f)
{
    bool pending = f->life == NODE_PENDING;
    if (f->late)
        return COMMIT_FAIL;
    if (is_lost(f->err))
        return f->sent ? COMMIT_VERIFY : COMMIT_AGAIN;
    if (f->err == ZK_NODEEXISTS)
        return COMMIT_SET;
    if (f->err == ZK_BADVERSION)
        return f->mode == DRAFT_APPEND ? COMMIT_AGAIN : COMMIT_FAIL;
    if (f->err != ZK_NONODE)
        return COMMIT_FAIL;
    if (f->exists && pending)
        return COMMIT_CREATE; /* it came and went */
    if (f->moved)
        return COMMIT_AGAIN;
    if (f->may_create && !f->anew)
        return COMMIT_CREATE;
    return pending || f->anew ? COMMIT_FAIL : COMMIT_NOWHERE;
}

/* The node has another version than the one before: was that made by what was sent? A set of an
 * edit or an append checks that version, so that the next one tells. */
enum commit_next decide_after_look(const struct commit_look *l)
{
    if (l->gone)
        return COMMIT_AGAIN;
    bool known = l->version >= 0;
    bool newer = !known || l->now > l->version;
    bool next = known && l->now == l->version + 1;
    if (newer && (l->same || (l->mode == DRAFT_APPEND && l->begins)))
        return COMMIT_LANDED;
    if (!newer || l->mode == DRAFT_WHOLE)
        return COMMIT_AGAIN;
    if (next)
        return l->mode == DRAFT_APPEND ? COMMIT_AGAIN : COMMIT_RACED;
    return COMMIT_UNKNOWN;
}
