/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Servers have no event for a new ACL. Who uses a file finds it after acl_timeo at the latest; for
 * those who only watch, the ACLs of what the kernel holds are read again and again, a few at a
 * time.
 */
#include "core.h"

enum {
    PERIOD_MS = 100,
    AT_A_TIME = 100,
};

bool acl_is_old(const struct mount *m, const struct node *n)
{
    return m->config.acl_timeo_ms > 0 && m->now_ms - n->acl_ms >= m->config.acl_timeo_ms;
}

int64_t acl_age_left(const struct mount *m, const struct node *n)
{
    if (m->config.acl_timeo_ms == 0)
        return INT64_MAX;
    return MAX(n->acl_ms + m->config.acl_timeo_ms - m->now_ms, 0);
}

static void on_read(void *arg, struct node *n, int32_t err)
{
    (void)arg;
    (void)n;
    (void)err;
}

void acl_refresh(struct mount *m)
{
    unsigned n_read = 0;
    m->acl_at = m->now_ms + PERIOD_MS;
    while (!list_is_empty(&m->nodes.by_acl) && n_read < AT_A_TIME) {
        struct node *n = LIST_FIRST(&m->nodes.by_acl, struct node, by_acl);
        if (!acl_is_old(m, n))
            return;
        list_remove(&n->by_acl);
        if (n->life != NODE_LIVE || n->lookups == 0 || mount_is_cut_off(m))
            continue; /* who uses it next reads it */
        fetch_stat(m, n, on_read, m);
        n_read++;
    }
}

int64_t acl_deadline(const struct mount *m)
{
    if (m->config.acl_timeo_ms == 0 || list_is_empty(&m->nodes.by_acl))
        return INT64_MAX;
    const struct node *n = LIST_FIRST(&m->nodes.by_acl, struct node, by_acl);
    return MAX(n->acl_ms + m->config.acl_timeo_ms, m->acl_at);
}
