/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deterministic random numbers (splitmix64): one seed gives one sequence, always. Not for
 * secrets. */
#ifndef ZAB_RNG_H
#define ZAB_RNG_H

#include "zab/base.h"

struct rng {
    uint64_t state;
};

uint64_t rng_next(struct rng *r);

/* 0 .. limit-1; limit > 0. */
uint64_t rng_below(struct rng *r, uint64_t limit);

/* True once in `n` times. */
static inline bool rng_one_in(struct rng *r, uint64_t n)
{
    return rng_below(r, n) == 0;
}

#endif
