/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FastLeaderElection as a state machine over time. Each server proposes the best vote that it has
 * seen in its round: by epoch, then zxid, then server id. When a quorum proposes the same, and a
 * little later nobody has come with a better one, it is the leader. A server that comes late joins
 * a leader whom a quorum follows and who says itself that it leads.
 *
 * Votes of servers that look are equal if all of them is; votes of those that follow or lead are
 * compared by leader and epoch alone, since the rest may differ in an ensemble that grew together
 * over several rounds (ZOOKEEPER-1732). */
#include "internal.h"

enum {
    INTERVAL_MIN_MS = 200,     /* doubled up to a tick */
    PASSIVE_MIN_MS = 1000,     /* of one without room on its disk */
    INTERVAL_SETTLED_MS = 800, /* while there are servers that follow or lead */
};

static bool is_voter(const struct zab *z)
{
    return quorum_is_voter(&z->quorum, z->sid);
}

/* What an observer proposes, or one that is not to lead, loses against any vote. */
static struct vote own_vote(const struct zab *z)
{
    if (!is_voter(z) || z->election.passive)
        return (struct vote){.leader = INT64_MIN, .zxid = INT64_MIN, .epoch = INT64_MIN};
    return (struct vote){.leader = z->sid, .zxid = z->logged, .epoch = zab_history_epoch(z)};
}

static bool vote_is_better(const struct zab *z, const struct vote *a, const struct vote *b)
{
    if (quorum_weight(&z->quorum, a->leader) == 0 || !identity_may_lead(z, a->leader))
        return false;
    if (a->epoch != b->epoch)
        return a->epoch > b->epoch;
    if (a->zxid != b->zxid)
        return a->zxid > b->zxid;
    return a->leader > b->leader;
}

/* One that is not to lead is no reason to follow somebody who has less than it has: what it has
 * acknowledged is in its log, also if its tree is not to be built on. */
static bool vote_will_do(const struct zab *z, const struct vote *vote)
{
    int64_t epoch = zab_history_epoch(z);
    return !z->election.passive || vote->epoch > epoch ||
           (vote->epoch == epoch && vote->zxid >= z->logged);
}

static bool vote_equal(const struct vote *a, const struct vote *b)
{
    if (a->state == ZAB_LOOKING || b->state == ZAB_LOOKING)
        return a->leader == b->leader && a->zxid == b->zxid && a->round == b->round &&
               a->epoch == b->epoch;
    if ((a->version > 0) != (b->version > 0))
        return a->leader == b->leader;
    return a->leader == b->leader && a->epoch == b->epoch;
}

/* Whether a quorum of those who voted did so for `vote`. */
static bool has_quorum(const struct zab *z, const struct vote *votes, uint64_t have,
                       const struct vote *vote)
{
    uint64_t set = 0;
    for (size_t i = 0; i < z->quorum.n; i++) {
        if ((have >> i & 1) && vote_equal(vote, &votes[i]))
            set |= UINT64_C(1) << i;
    }
    return quorum_contains(&z->quorum, set);
}

/* The leader itself has said that it leads; or we are meant, and in the same round. */
static bool leader_agrees(const struct zab *z, const struct vote *votes, uint64_t have,
                          const struct vote *vote)
{
    if (vote->leader == z->sid)
        return z->election.round == vote->round;
    int i = quorum_find(&z->quorum, vote->leader);
    return i >= 0 && (have >> i & 1) && votes[i].state == ZAB_LEADING;
}

/* ---- A disk that is gone ---- */

/* It has met the leader of the first epoch before that was established, and noted what that
 * proposed (identity.c), with a disk as empty: nobody has acknowledged anything before, however
 * many leaders came to nothing since, and whoever was established under that id. */
static bool is_new_with_all(const struct zab *z)
{
    const struct identity *i = &z->identity;
    return i->proposed != 0 && (i->id == 0 || i->id == i->proposed);
}

/* Before it has been of any epoch it cannot know what it has acknowledged before, if its disk was
 * lost; nor can it if its log ends before what it knew to be decided. With the votes of others it
 * may follow only whom a quorum of them elects without it, whom all servers that there are have
 * agreed on, or who has no more than it has: so none of what was decided can be forgotten. As a
 * learner it takes the tree, so that it has all of a leader's history or none. */
bool election_has_no_memory(const struct zab *z)
{
    bool is_empty = zab_history_epoch(z) == 0 && !z->saw_all_empty && !is_new_with_all(z);
    return is_voter(z) && !z->loss_accepted && (is_empty || z->known_decided > z->logged);
}

/* The vote of one that follows or leads says nothing of its own history: only those that look
 * count. */
static bool has_heard_all(const struct zab *z)
{
    const struct election *e = &z->election;
    for (size_t i = 0; i < z->quorum.n; i++) {
        bool heard = (e->have_received >> i & 1) && e->received[i].state == ZAB_LOOKING;
        if ((z->quorum.voters >> i & 1) && !heard)
            return false;
    }
    return true;
}

/* Those of the others that have not forgotten either are a quorum. One of ours shows by the
 * ensemble's id that it has not; one of ZooKeeper's is believed. */
static bool others_remember(const struct zab *z)
{
    uint64_t set = 0;
    for (size_t i = 0; i < z->quorum.n; i++) {
        struct trailer t = z->identity.peers[i];
        bool remembers = !t.is_ours || (t.ensemble_id != 0 && !t.is_new);
        if (z->quorum.servers[i].sid != z->sid && (z->election.have_received >> i & 1) && remembers)
            set |= UINT64_C(1) << i;
    }
    return quorum_contains(&z->quorum, set);
}

/* All that there are have voted, and none had anything: nothing was acknowledged before. */
static bool all_are_empty(const struct zab *z)
{
    for (size_t i = 0; i < z->quorum.n; i++) {
        const struct vote *vote = &z->election.received[i];
        if ((z->quorum.voters >> i & 1) && (vote->epoch != 0 || vote->zxid != 0))
            return false;
    }
    return has_heard_all(z);
}

static bool may_vote_for(struct zab *z, const struct vote *vote)
{
    if (!vote_will_do(z, vote))
        return false;
    if (!election_has_no_memory(z) || has_heard_all(z) ||
        (vote->epoch == 0 && vote->zxid <= z->logged))
        return true;
    if (!z->election.waits_for_all)
        fx_log(z, LOG_LEVEL_WARN,
               "the disk was empty, or its log has lost transactions, and others have a history: "
               "no vote before they have a leader, or all of them are there (zabctl data "
               "accept-loss)");
    z->election.waits_for_all = true;
    return false;
}

/* ---- What is told ---- */

static struct vote vote_to_tell(const struct zab *z)
{
    struct vote v = z->state == ZAB_LOOKING ? z->election.proposed : z->vote;
    v.round = z->election.round;
    return v;
}

static size_t write_vote(struct zab *z)
{
    size_t at = z->fx->bytes.len;
    struct vote v = vote_to_tell(z);
    struct notification n = {
        .state = z->state,
        .leader = v.leader,
        .zxid = v.zxid,
        .round = v.round,
        .epoch = v.epoch,
        .config_text = buf_slice(&z->config_text),
        .trailer = identity_told(z),
    };
    notification_write(&z->fx->bytes, &n);
    return at;
}

static void tell(struct zab *z, int64_t sid)
{
    size_t at = write_vote(z);
    struct zab_effect *e = fx_add(z, ZAB_FX_NOTIFY);
    e->sid = sid;
    fx_set_data(z, e, at);
}

static void tell_all(struct zab *z)
{
    size_t at = write_vote(z);
    for (size_t i = 0; i < z->quorum.n; i++) {
        int64_t sid = z->quorum.servers[i].sid;
        if (sid == z->sid || !(z->quorum.voters >> i & 1))
            continue;
        struct zab_effect *e = fx_add(z, ZAB_FX_NOTIFY);
        e->sid = sid;
        fx_set_data(z, e, at);
    }
}

/* ---- The round ---- */

static void count_votes(struct zab *z)
{
    struct election *e = &z->election;
    if (e->finalizing || !quorum_is_voter(&z->quorum, e->proposed.leader) ||
        (e->waits_for_all && !has_heard_all(z)) ||
        !has_quorum(z, e->received, e->have_received, &e->proposed))
        return;
    e->finalizing = true;
    e->finalize_at_ms = z->now_ms + z->finalize_ms;
}

static void propose(struct zab *z, const struct vote *vote)
{
    struct election *e = &z->election;
    e->proposed = *vote;
    e->proposed.version = 0;
    e->proposed.state = ZAB_LOOKING;
    e->proposed.round = e->round;
    if (is_voter(z) && quorum_is_voter(&z->quorum, vote->leader)) {
        e->received[quorum_find(&z->quorum, z->sid)] = e->proposed;
        e->have_received |= quorum_bit(&z->quorum, z->sid);
    }
    tell_all(z);
}

void election_begin(struct zab *z)
{
    struct election *e = &z->election;
    int64_t round = e->round + 1;
    *e = (struct election){.running = true,
                           .round = round,
                           .interval_ms = INTERVAL_MIN_MS,
                           .passive = is_voter(z) && (z->diverged || z->full)};
    int64_t patience_ms = (int64_t)(z->diverged ? MAX(z->init_limit, 2) : 2) * z->tick_ms;
    e->passive_until_ms = z->now_ms + MAX(patience_ms, PASSIVE_MIN_MS);
    struct vote own = own_vote(z);
    e->resend_at_ms = z->now_ms + e->interval_ms;
    fx_log(z, LOG_LEVEL_INFO, "looking for a leader: round %lld, epoch %lld, last zxid 0x%llx",
           (long long)round, (long long)zab_history_epoch(z), (long long)z->logged);
    propose(z, &own);
    count_votes(z);
}

/* A round is one election of a server's life: nobody has had so many more than we. */
static bool round_is_absurd(const struct zab *z, const struct vote *vote)
{
    return vote->round > z->election.round + ROUND_AHEAD_MAX;
}

static void finish(struct zab *z, const struct vote *vote)
{
    struct election *e = &z->election;
    e->running = false;
    e->needs_us = has_heard_all(z) && !others_remember(z);
    z->saw_all_empty |= all_are_empty(z);
    if (!round_is_absurd(z, vote))
        e->round = vote->round;
    z->vote = *vote;
    enum zab_state state = vote->leader == z->sid ? ZAB_LEADING
                           : is_voter(z)          ? ZAB_FOLLOWING
                                                  : ZAB_OBSERVING;
    fx_log(z, LOG_LEVEL_INFO, "%s: server %lld was elected in round %lld", zab_state_name(state),
           (long long)vote->leader, (long long)vote->round);
    zab_enter(z, state, ZAB_DISCOVERY);
    for (size_t i = 0; i < z->quorum.n; i++) {
        if (e->unanswered >> i & 1)
            tell(z, z->quorum.servers[i].sid);
    }
    if (state == ZAB_LEADING)
        leader_begin(z);
    else
        learner_begin(z);
}

/* The last one has voted: the best of all is nobody's loss. */
static void vote_with_all(struct zab *z)
{
    struct election *e = &z->election;
    struct vote best = e->proposed;
    for (size_t i = 0; i < z->quorum.n; i++) {
        if ((z->quorum.voters >> i & 1) && vote_is_better(z, &e->received[i], &best))
            best = e->received[i];
    }
    if (!vote_equal(&best, &e->proposed))
        propose(z, &best);
}

static void hear(struct election *e, int from, const struct vote *vote)
{
    e->received[from] = *vote;
    e->have_received |= UINT64_C(1) << from;
}

static void looking_vote(struct zab *z, int from, const struct vote *vote)
{
    struct election *e = &z->election;
    struct vote own = own_vote(z);
    if (vote->zxid == -1 || vote->round < e->round) {
        count_votes(z);
        return;
    }
    if (vote->round > e->round) {
        e->round = vote->round;
        e->have_received = 0;
        propose(z, vote_is_better(z, vote, &own) && may_vote_for(z, vote) ? vote : &own);
    } else if (vote_is_better(z, vote, &e->proposed)) {
        if (may_vote_for(z, vote))
            propose(z, vote);
    } else if (is_voter(z) && vote_is_better(z, &e->proposed, vote)) {
        tell(z, z->quorum.servers[from].sid); /* ours may have come while it still followed */
    }
    bool heard_all = has_heard_all(z);
    hear(e, from, vote);
    if (!heard_all && has_heard_all(z))
        vote_with_all(z);
    count_votes(z);
}

/* Of a server that follows or leads. In our round it votes with us; else a quorum of such servers
 * and their leader show that the election is over without us. */
static void settled_vote(struct zab *z, int from, const struct vote *vote)
{
    struct election *e = &z->election;
    uint64_t bit = UINT64_C(1) << from;
    if (vote->round == e->round) {
        e->received[from] = *vote;
        e->received[from].version = 0;
        e->have_received |= bit;
        if (has_quorum(z, e->received, e->have_received, vote) &&
            leader_agrees(z, e->received, e->have_received, vote)) {
            finish(z, vote);
            return;
        }
    }
    e->outside[from] = *vote;
    e->have_outside |= bit;
    e->interval_ms = MIN(e->interval_ms, INTERVAL_SETTLED_MS);
    e->resend_at_ms = z->now_ms + e->interval_ms;
    if (has_quorum(z, e->outside, e->have_outside, vote) &&
        leader_agrees(z, e->outside, e->have_outside, vote))
        finish(z, vote);
}

/* An outcome waits for no other votes than these: what does not change it does not put it off. */
static bool reopens(const struct zab *z, const struct vote *vote)
{
    const struct election *e = &z->election;
    return vote_is_better(z, vote, &e->proposed) &&
           (vote->state != ZAB_LOOKING || vote->round >= e->round);
}

/* It does not: it gets the outcome, and has been heard. */
static void late_vote(struct election *e, int from, const struct vote *vote)
{
    if (vote->state != ZAB_LOOKING)
        return;
    e->unanswered |= UINT64_C(1) << from;
    if (vote->round == e->round)
        hear(e, from, vote);
}

static void count_notification(struct zab *z, int64_t sid, const struct notification *n)
{
    struct election *e = &z->election;
    struct vote vote = {.leader = n->leader,
                        .zxid = n->zxid,
                        .round = n->round,
                        .epoch = n->epoch,
                        .state = n->state};
    if (!quorum_is_voter(&z->quorum, n->leader))
        return;
    if (sid == n->leader && n->zxid > 0 && !identity_may_lead(z, sid))
        identity_say_without(z, sid);
    if (n->state == ZAB_LOOKING && round_is_absurd(z, &vote)) {
        fx_log(z, LOG_LEVEL_WARN, "server %lld votes in round %lld; ours is %lld: ignored",
               (long long)sid, (long long)vote.round, (long long)e->round);
        return;
    }
    int from = quorum_find(&z->quorum, sid);
    if (e->finalizing && !reopens(z, &vote)) {
        late_vote(e, from, &vote);
        return;
    }
    e->finalizing = false;
    e->resend_at_ms = z->now_ms + e->interval_ms;
    if (n->state == ZAB_LOOKING) {
        looking_vote(z, from, &vote);
    } else if (n->state != ZAB_OBSERVING) {
        vote.version = n->version;
        settled_vote(z, from, &vote);
    }
}

void election_notified(struct zab *z, int64_t sid, struct slice message)
{
    struct election *e = &z->election;
    struct notification n;
    if (sid == z->sid || quorum_find(&z->quorum, sid) < 0)
        return;
    if (!notification_read(message, &n)) {
        fx_log(z, LOG_LEVEL_WARN, "a malformed notification of %d bytes from server %lld",
               (int)message.len, (long long)sid);
        return;
    }
    fx_log(z, LOG_LEVEL_DEBUG, "server %lld is %s and votes for %lld: round %lld, zxid 0x%llx",
           (long long)sid, zab_state_name(n.state), (long long)n.leader, (long long)n.round,
           (long long)n.zxid);
    if (z->state == ZAB_LOOKING && !e->running)
        return;
    bool voter = quorum_is_voter(&z->quorum, sid);
    bool behind = z->state != ZAB_LOOKING || !voter || n.round < e->round;
    bool argues = z->state == ZAB_LOOKING && !is_voter(z); /* it would be answered without end */
    if (n.state == ZAB_LOOKING && behind && !argues)
        tell(z, sid);
    if (!identity_heard(z, sid, &n))
        return;
    if (identity_is_asked_for(z, &n))
        tell(z, sid);
    if (voter && z->state == ZAB_LOOKING)
        count_notification(z, sid, &n);
}

/* What waits to be sent may be of an election that is over, and would come as if we still looked:
 * to a server that has lost its disk meanwhile, as a word on what nobody has acknowledged yet. */
void election_peer_up(struct zab *z, int64_t sid)
{
    if ((z->state != ZAB_LOOKING || z->election.running) && sid != z->sid &&
        quorum_is_voter(&z->quorum, sid))
        tell(z, sid);
}

/* ZooKeeper's leader says nothing of the ensemble's id: those who serve with it tell each other,
 * and who has none is answered. */
void election_serves(struct zab *z)
{
    if (!z->follow.leader_is_ours)
        tell_all(z);
}

void election_tick(struct zab *z)
{
    struct election *e = &z->election;
    if (!e->running)
        return;
    if (e->passive && z->now_ms >= e->passive_until_ms &&
        !quorum_is_voter(&z->quorum, e->proposed.leader)) {
        e->passive = false; /* nobody else will do */
        struct vote own = own_vote(z);
        propose(z, &own);
        count_votes(z);
    }
    if (e->finalizing && z->now_ms >= e->finalize_at_ms) {
        finish(z, &e->proposed);
    } else if (z->now_ms >= e->resend_at_ms) {
        tell_all(z);
        e->interval_ms = MIN(e->interval_ms * 2, MAX(z->tick_ms, INTERVAL_MIN_MS));
        e->resend_at_ms = z->now_ms + e->interval_ms;
    }
}
