/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes into the consensus core of a replica, and what comes out of it: the linker puts this
 * between the core and the node (--wrap), to count it. */
#include "coverage.h"
#include "sim.h"

void __real_zab_step(struct zab *z, const struct zab_event *event, struct zab_effects *fx);
void __wrap_zab_step(struct zab *z, const struct zab_event *event, struct zab_effects *fx);

void __wrap_zab_step(struct zab *z, const struct zab_event *event, struct zab_effects *fx)
{
    enum zab_phase phase = zab_phase(z);
    cover(COVER_CORE_EVENT, (int32_t)event->type, 0);
    __real_zab_step(z, event, fx);
    for (size_t i = 0; i < fx->n; i++) {
        const struct zab_effect *e = &fx->list[i];
        cover(COVER_CORE_EFFECT, (int32_t)e->type, 0);
        if (e->type != ZAB_FX_STATE)
            continue;
        cover(COVER_PHASE, (int32_t)phase, (int32_t)e->phase);
        phase = e->phase;
    }
}
