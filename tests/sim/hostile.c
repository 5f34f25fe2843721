/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Somebody who may connect to the ports of an ensemble without TLS, and says what is not so:
 * election messages in the name of any server, and learners that have accepted any epoch. Nothing
 * that is committed may be lost for it, and when it stops the ensemble must serve. */
#include "sim.h"

static int64_t any_of(struct world *w, int64_t usual)
{
    switch (between(w, 0, 4)) {
    case 0:
        return (int64_t)rng_next(&w->rng);
    case 1:
        return INT64_MAX / 2;
    case 2:
        return usual + between(w, 0, 3);
    default:
        return usual;
    }
}

/* As notification_write() writes it; from any server to any other. */
void hostile_vote(struct world *w, struct server *to)
{
    const struct server *from = &w->servers[rng_below(&w->rng, w->n_servers)];
    int64_t zxid = journal_tip(w)->zxid, epoch = zxid_epoch(zxid);
    struct buf message = {0};
    if (from == to || !to->up)
        return;
    cover_point(COVER_hostile_vote);
    jute_write_int(&message, (int32_t)between(w, ZAB_LOOKING, ZAB_OBSERVING));
    jute_write_long(&message, 1 + (int64_t)rng_below(&w->rng, w->n_servers));
    jute_write_long(&message, any_of(w, zxid));
    jute_write_long(&message, any_of(w, 1 + (int64_t)w->n_epochs));
    jute_write_long(&message, any_of(w, epoch));
    jute_write_int(&message, 2);
    jute_write_buffer(&message, slice_str(SIM_CONFIG));
    peers_forge(w, to, from, &message);
    buf_close(&message);
}

/* A learner says that it has accepted another epoch. */
void hostile_packet(struct world *w, struct zk_quorum_packet *p)
{
    if (!w->hostile || w->faults_off || p->type != ZAB_FOLLOWERINFO || !chance(w, 8))
        return;
    cover_point(COVER_hostile_epoch);
    p->zxid = zxid_make(any_of(w, zxid_epoch(p->zxid)) & 0x7fffffff, 0);
}
