/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quorums: a majority of the voters (QuorumMaj), or a majority of groups, each with a majority of
 * its weight (QuorumHierarchical). Groups without weight do not count. */
#include "internal.h"

void quorum_init(struct quorum *q, const struct zab_server *servers, size_t n)
{
    ensure(n <= ZAB_SERVERS_MAX);
    *q = (struct quorum){.n = n};
    for (size_t i = 0; i < n; i++) {
        q->servers[i] = servers[i];
        if (servers[i].observer)
            continue;
        q->voters |= UINT64_C(1) << i;
        q->by_group |= servers[i].group != 0;
    }
}

int quorum_find(const struct quorum *q, int64_t sid)
{
    for (size_t i = 0; i < q->n; i++) {
        if (q->servers[i].sid == sid)
            return (int)i;
    }
    return -1;
}

uint64_t quorum_bit(const struct quorum *q, int64_t sid)
{
    int i = quorum_find(q, sid);
    return i < 0 ? 0 : UINT64_C(1) << i;
}

bool quorum_is_voter(const struct quorum *q, int64_t sid)
{
    return quorum_bit(q, sid) & q->voters;
}

int64_t quorum_weight(const struct quorum *q, int64_t sid)
{
    int i = quorum_find(q, sid);
    if (i < 0)
        return 0;
    return q->by_group ? q->servers[i].weight : 1;
}

/* The weight of the members of `set` in the group. */
static int64_t group_weight(const struct quorum *q, int64_t group, uint64_t set)
{
    int64_t weight = 0;
    for (size_t i = 0; i < q->n; i++) {
        if ((set >> i & 1) && q->servers[i].group == group)
            weight += q->servers[i].weight;
    }
    return weight;
}

static bool is_first_of_group(const struct quorum *q, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if ((q->voters >> i & 1) && q->servers[i].group == q->servers[at].group)
            return false;
    }
    return true;
}

static bool contains_by_group(const struct quorum *q, uint64_t set)
{
    size_t groups = 0, won = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (!(q->voters >> i & 1) || !is_first_of_group(q, i))
            continue;
        int64_t group = q->servers[i].group;
        int64_t whole = group_weight(q, group, q->voters);
        groups += whole > 0;
        won += group_weight(q, group, set) > whole / 2;
    }
    return won > groups / 2;
}

static int set_size(uint64_t set)
{
    int n = 0;
    for (; set; set &= set - 1)
        n++;
    return n;
}

bool quorum_contains(const struct quorum *q, uint64_t set)
{
    set &= q->voters;
    if (q->by_group)
        return contains_by_group(q, set);
    return set_size(set) > set_size(q->voters) / 2;
}
