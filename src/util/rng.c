/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zab/rng.h"

uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *r, uint64_t limit)
{
    ensure(limit > 0);
    return (uint64_t)(((unsigned __int128)rng_next(r) * limit) >> 64);
}
