/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests that play a replica's disk: where NODE_SAVE_EPOCH's number belongs. */
#ifndef HISTORY_NUMBER_H
#define HISTORY_NUMBER_H

#include <string.h>

#include "zab/zab.h"

static inline int64_t *history_number(struct zab_history *h, const char *name)
{
    const struct {
        const char *name;
        int64_t *number;
    } all[] = {
        {"acceptedEpoch", &h->accepted_epoch},   {"currentEpoch", &h->current_epoch},
        {"ensembleIdProposed", &h->proposed_id}, {"ensembleId", &h->ensemble_id},
        {"decidedZxid", &h->decided_zxid},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (strcmp(all[i].name, name) == 0)
            return all[i].number;
    }
    ensure(!"a number that a history has");
    return NULL;
}

#endif
