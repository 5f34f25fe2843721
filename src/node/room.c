/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Room for the log: on this disk, and on those of a quorum. Learners of ours say in their answers
 * to PINGs whether they have it (digest.c); ZooKeeper's are taken to have it. */
#include "internal.h"

/* What was appended may not have taken its space yet. */
void node_set_gauges(struct node *n, const struct node_gauges *gauges)
{
    n->gauges = *gauges;
    n->gauged_conns = n->n_conns;
    n->stats.max_turn_ms = MAX(n->stats.max_turn_ms, gauges->turn_ms);
    n->room = gauges->free_bytes < 0 ? INT64_MAX : gauges->free_bytes - (int64_t)n->in_flight_bytes;
}

/* For a write of a client with so many bytes. */
bool node_has_room(const struct node *n, size_t more)
{
    size_t open = n->open ? n->open->entries.len : 0;
    return n->room - n->config.reserved_bytes >= (int64_t)(open + more);
}

/* Before a write with so many bytes: what is refused, and what is said about it, are one. It takes
 * writes again when there is room for the one that did not fit, and for some more. */
static void check_own_room(struct node *n, size_t more)
{
    size_t again = MAX((size_t)n->config.reserved_bytes / 4, n->full_for);
    bool full = !node_has_room(n, n->is_full ? again : more);
    if (full && !n->is_full) {
        n->full_for = more;
        node_log(n, LOG_LEVEL_ERROR,
                 "the disk of the log is full but for %lld KiB: writes are refused; make room "
                 "(zab.reservedSpace)",
                 (long long)MAX(n->room, 0) >> 10);
    } else if (!full && n->is_full) {
        n->full_for = 0;
        node_log(n, LOG_LEVEL_INFO, "the disk of the log has room again: writes are taken");
    }
    n->is_full = full;
}

bool node_takes_write(struct node *n, size_t size)
{
    check_own_room(n, size);
    return !n->is_full && !n->others_are_full;
}

/* ---- Room on the disks of a quorum ---- */

/* Learners in sync, all or only those with room, are a quorum. */
static bool is_quorum(struct node *n, bool with_room, bool with_self)
{
    uint64_t conns[2 * ZAB_SERVERS_MAX];
    size_t n_conns = 0;
    LIST_FOR_EACH (l, &n->links, struct node_link, link) {
        if (l->ready && !(with_room && l->is_full) && n_conns < ARRAY_LEN(conns))
            conns[n_conns++] = l->id;
    }
    return zab_is_quorum(n->zab, conns, n_conns, with_self);
}

/* A leader without room gives way if a quorum of others has it; one with room takes no writes that
 * a quorum has no room for. */
static void check_others_room(struct node *n)
{
    bool leads = n->state == ZAB_LEADING && n->serving;
    bool was_full = n->others_are_full;
    n->others_are_full =
        leads && !n->is_full && is_quorum(n, false, true) && !is_quorum(n, true, true);
    if (n->others_are_full && !was_full)
        node_log(
            n, LOG_LEVEL_ERROR,
            "the disks of a majority are full (zab.reservedSpace): writes are refused until they "
            "have room");
    else if (!n->others_are_full && was_full)
        node_log(n, LOG_LEVEL_INFO, "a majority has room again: writes are accepted");
    bool say = n->is_full && (!leads || is_quorum(n, true, false));
    if (say == n->told_full)
        return;
    n->told_full = say;
    ensemble_tell(n, ZAB_EV_FULL, say);
}

void room_check(struct node *n)
{
    check_own_room(n, 0);
    if (n->zab)
        check_others_room(n);
}
