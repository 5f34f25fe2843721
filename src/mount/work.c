/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Work that grows with the number of names is done in parts, one a step, so that requests are
 * answered between them. Several works take turns. */
#include "core.h"

void work_queue(struct mount *m, struct work *w, work_go_on *go_on)
{
    ensure(!w->go_on);
    w->go_on = go_on;
    list_append(&m->works, &w->link);
}

bool work_waits(const struct work *w)
{
    return w->go_on != NULL;
}

void work_end(struct work *w)
{
    if (w->go_on)
        list_remove(&w->link);
    w->go_on = NULL;
}

void work_do_some(struct mount *m)
{
    if (list_is_empty(&m->works))
        return;
    struct work *w = LIST_FIRST(&m->works, struct work, link);
    work_go_on *go_on = w->go_on;
    work_end(w);
    if (go_on(w, m->config.step_names))
        work_queue(m, w, go_on);
}

void work_close(struct mount *m)
{
    struct mount_effects fx = {0};
    m->fx = &fx;
    m->closed = true;
    while (!list_is_empty(&m->works))
        work_do_some(m);
    m->fx = NULL;
    mount_effects_close(&fx);
}
