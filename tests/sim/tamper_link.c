/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deliberate wrongs in what replicas say to each other, to see that the checks notice (--break). */
#include "sim.h"

enum {
    VOTE_LEADER_AT = 4, /* in an election message: behind the state */
    VOTE_ZXID_AT = 12,
    TXN_TIME_AT = 27, /* the low byte of a transaction's time */
};

/* Another proposal, of the same zxid. The bytes are the packet's own copy. */
static void change_proposal(struct zk_quorum_packet *p, struct buf *copy)
{
    buf_append(copy, p->data.data, slice_size(p->data));
    copy->data[TXN_TIME_AT] ^= 1;
    p->data = buf_slice(copy);
}

/* `p` is about to be written behind what is in `out`. */
void tamper_packet(struct world *w, struct end *end, struct zk_quorum_packet *p, struct buf *out)
{
    static struct buf copy;
    buf_reset(&copy);
    if (p->type == ZAB_PROPOSAL && breaks(w, BREAK_change_proposal, 20)) {
        change_proposal(p, &copy);
    } else if (p->type == ZAB_PROPOSAL && breaks(w, BREAK_early_commit, 10)) {
        struct zk_quorum_packet proposal = *p;
        zk_quorum_packet_write(out, &proposal);
        *p = (struct zk_quorum_packet){ZAB_COMMIT, p->zxid, SLICE_NULL, JUTE_VECTOR_NULL};
    } else if (p->type == ZAB_PING && end == &end->conn->ends[0] &&
               w->options.breakage == BREAK_lose_touches) {
        p->data = SLICE_EMPTY;
    }
}

/* One server always says that its own history is longer. */
void tamper_vote(struct world *w, const struct server *from, struct buf *message)
{
    bool own = message->len >= VOTE_ZXID_AT + 8 &&
               be64_get(message->data + VOTE_LEADER_AT) == from->index + 1;
    if (w->options.breakage == BREAK_wrong_vote && from->index == 0 && own)
        be64_put(message->data + VOTE_ZXID_AT, be64_get(message->data + VOTE_ZXID_AT) + 1000000);
}
