/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Consensus among replicas: Zab as ZooKeeper runs it (Junqueira, Reed, Serafini, DSN 2011; the
 * messages and numbers of FastLeaderElection, Leader, LearnerHandler, Learner, Follower and
 * Observer of ZooKeeper 3.8 and 3.9).
 *
 * A pure core that holds zxids, epochs and votes, never transactions. It is told what happened
 * and answers with effects, in order:
 *
 *  1. One thread. The driver calls zab_step() and carries out the effects in their order before
 *     it calls again. What goes to one connection leaves in the order of the effects.
 *  2. What is to be durable is asked for by an effect and confirmed by an event; what depends on
 *     it is sent only then. acceptedEpoch is durable before LEADERINFO or ACKEPOCH leaves; the
 *     history, and then currentEpoch, before the ACK of NEWLEADER; a transaction before its ACK.
 *     No ACK leaves between those of the transactions before NEWLEADER and that of NEWLEADER.
 *  3. The log of the driver is one sequence. ZAB_EV_LOGGED says on the leader that a proposal was
 *     appended (its zxid is the next one: epoch << 32 | 1 is the first of an epoch); ZAB_FX_APPEND
 *     asks a learner for it. ZAB_EV_PERSISTED says that all up to a zxid is durable. While a
 *     TRUNCATE or RECEIVE_TREE is carried out nothing else is asked of the log, and the driver
 *     keeps the leader's further packets back until it has answered.
 *  4. Connections of learners are the driver's; the core knows them by a number that is not 0 and
 *     never used again. They carry packets, whole and in order. The driver accepts them only
 *     between STATE LEADING and the next STATE. After CLOSE_LEADER, CLOSE_LEARNER or an event that
 *     says it is closed, a connection has no more events.
 *  5. ZAB_TICK comes at least ten times a tick. Deadlines are looked at in it alone.
 *  6. What of the history is decided is told by COMMIT. A log may end in transactions of which
 *     nobody knows yet whether they are. A new leader makes its whole log the initial history: it
 *     applies it (APPLY_ALL), sends it to learners as if it were decided, and learns that it is
 *     when a quorum has it. A learner learns it with UPTODATE. So a tree that is not served may
 *     be ahead of COMMIT, and a TRUNCATE may take it back; no snapshot of it is kept before
 *     BROADCAST.
 *
 * A replica votes only with a history that is durable: it starts when recovery has ended, and goes
 * back to LOOKING when all that was appended is persisted and all that it asked for is answered. */
#ifndef ZAB_ZAB_H
#define ZAB_ZAB_H

#include "zab/buf.h"
#include "zab/log.h"
#include "zab/records.h"

/* ZXIDs: the epoch in the high half, a counter in the low one. */
static inline int64_t zxid_make(int64_t epoch, int64_t counter)
{
    return (int64_t)((uint64_t)epoch << 32 | ((uint64_t)counter & 0xffffffffu));
}

static inline int64_t zxid_epoch(int64_t zxid)
{
    return (int64_t)((uint64_t)zxid >> 32);
}

static inline int64_t zxid_counter(int64_t zxid)
{
    return zxid & 0xffffffff;
}

/* Types of QuorumPacket (Leader). */
enum zab_packet_type {
    ZAB_REQUEST = 1,
    ZAB_PROPOSAL = 2,
    ZAB_ACK = 3,
    ZAB_COMMIT = 4,
    ZAB_PING = 5,
    ZAB_REVALIDATE = 6,
    ZAB_SYNC = 7,
    ZAB_INFORM = 8,
    ZAB_COMMITANDACTIVATE = 9,
    ZAB_NEWLEADER = 10,
    ZAB_FOLLOWERINFO = 11,
    ZAB_UPTODATE = 12,
    ZAB_DIFF = 13,
    ZAB_TRUNC = 14,
    ZAB_SNAP = 15,
    ZAB_OBSERVERINFO = 16,
    ZAB_LEADERINFO = 17,
    ZAB_ACKEPOCH = 18,
    ZAB_INFORMANDACTIVATE = 19,
};

/* QuorumPeer.ServerState, as notifications carry it. */
enum zab_state {
    ZAB_LOOKING = 0,
    ZAB_FOLLOWING = 1,
    ZAB_LEADING = 2,
    ZAB_OBSERVING = 3,
};

/* How far the state has come (QuorumPeer.ZabState). */
enum zab_phase {
    ZAB_ELECTION,
    ZAB_DISCOVERY,
    ZAB_SYNCHRONIZATION,
    ZAB_BROADCAST, /* the replica serves */
};

enum {
    ZAB_SERVERS_MAX = 64, /* so that a set of servers is one word */
};

/* A `server.N` line, with `weight.N` and `group.N`. */
struct zab_server {
    int64_t sid;
    bool observer;
    int64_t weight; /* 1 unless said otherwise */
    int64_t group;  /* 0 for all: majority; else a majority of groups, by weight */
};

struct zab_config {
    int64_t sid;
    const struct zab_server *servers; /* borrowed */
    size_t n_servers;                 /* at most ZAB_SERVERS_MAX */
    int tick_ms;
    int init_limit; /* ticks */
    int sync_limit;
    struct slice config_text; /* QuorumVerifier.toString(): in notifications and NEWLEADER */
    int64_t config_version;
    int64_t fresh_id;     /* random and positive: the id of the ensemble, if nobody has one */
    int64_t counter_full; /* a new epoch begins behind so many transactions; 0: 0xffff0000 */
    int finalize_ms;      /* how long the winner of an election waits for a better vote; 0: 200 */
};

/* What recovery found. */
struct zab_history {
    int64_t last_zxid; /* the last in the log, durable; the tree is of it */
    int64_t accepted_epoch;
    int64_t current_epoch;
    int64_t ensemble_id;  /* 0: none; so the next two */
    int64_t proposed_id;  /* of a leader that may never have been established */
    int64_t decided_zxid; /* all up to it is known to be decided */
    bool loss_accepted;   /* this server may vote although its disk may have forgotten promises */
};

struct zab;

/* Copies all of it. The first step begins the first election. */
struct zab *zab_open(const struct zab_config *config, const struct zab_history *history,
                     int64_t now_ms);
void zab_close(struct zab *z);

/* ---- Events ---- */

enum zab_event_type {
    ZAB_EV_TICK,
    /* Election port. */
    ZAB_EV_NOTIFICATION, /* from `sid`: `data` is the message behind its length */
    ZAB_EV_PEER_UP,      /* there is an election connection with `sid` now */
    /* Learner port, on the leader. */
    ZAB_EV_LEARNER_OPENED, /* `conn` */
    ZAB_EV_LEARNER_PACKET, /* `conn`, `packet` */
    ZAB_EV_LEARNER_CLOSED, /* `conn` */
    /* Learner port, on a learner. */
    ZAB_EV_LEADER_OPENED, /* the connection that ZAB_FX_CONNECT asked for */
    ZAB_EV_LEADER_PACKET, /* `packet` */
    ZAB_EV_LEADER_CLOSED, /* or could not be opened */
    /* Disk. */
    ZAB_EV_SAVED,           /* the number that was asked for */
    ZAB_EV_LOGGED,          /* leader, in BROADCAST: the proposal `zxid` was appended */
    ZAB_EV_PERSISTED,       /* all up to `zxid` */
    ZAB_EV_TRUNCATED,       /* the log ends at `zxid` now, and the tree is of it */
    ZAB_EV_TRUNCATE_FAILED, /* no snapshot is old enough; nothing was changed */
    ZAB_EV_TREE_INSTALLED,  /* the leader's tree is durable here, the log goes on behind `zxid` */
    ZAB_EV_TREE_FAILED,     /* it did not come whole, or is no tree; nothing was changed */
    ZAB_EV_CONFIRM,         /* leader: ask the learners now whether they still follow */
    ZAB_EV_DIVERGED,        /* the tree is not that of a quorum: give up what it is, and take the
                             * tree of a leader that has the quorum's */
    ZAB_EV_FULL,            /* this disk has no room, `zxid` not 0; or has it again, 0. A leader
                             * without room resigns if the driver says that others have it */
    ZAB_EV_TREES,           /* leader: those that wait for the tree may have it as it is at the
                             * end of this step, in which nothing is committed */
    ZAB_EV_TREE_SENT,       /* leader: all of the tree that went to `conn` is on its way */
    ZAB_EV_SYNC_CHOSEN,     /* answer to ZAB_FX_CHOOSE_SYNC for `conn`: `sync`, `zxid` */
};

/* How a learner is brought to the leader's history. A TRUNC across epochs is made a SNAP. */
enum zab_sync {
    ZAB_SYNC_DIFF,  /* it has a prefix of the history: send what follows */
    ZAB_SYNC_TRUNC, /* it goes back to `zxid`, then what follows */
    ZAB_SYNC_SNAP,  /* it gets the tree */
};

struct zab_event {
    enum zab_event_type type;
    int64_t now_ms;
    int64_t sid;
    uint64_t conn;
    int64_t zxid;
    struct slice data;
    const struct zk_quorum_packet *packet; /* borrowed */
    enum zab_sync sync;
};

/* ---- Effects ---- */

enum zab_effect_type {
    ZAB_FX_NOTIFY,  /* send `data` to `sid` on the election port (connect if need be); the newest
                     * message for a sid replaces one that was not sent */
    ZAB_FX_CONNECT, /* connect to the learner port of `sid`, try again until CLOSE_LEADER */
    ZAB_FX_CLOSE_LEADER,
    ZAB_FX_SEND_LEADER, /* a packet to the leader: `packet_type`, `zxid`, `data` */
    ZAB_FX_SEND,        /* a packet to the learner `conn` */
    ZAB_FX_CLOSE_LEARNER,
    ZAB_FX_SAVE_ACCEPTED_EPOCH, /* `value`; answer with SAVED; so the next three */
    ZAB_FX_SAVE_CURRENT_EPOCH,
    ZAB_FX_SAVE_PROPOSED_ID,
    ZAB_FX_SAVE_ENSEMBLE_ID,
    ZAB_FX_APPLY_ALL,    /* the leader's whole log, up to `zxid`, to the tree; serves nobody yet */
    ZAB_FX_CHOOSE_SYNC,  /* learner `conn` ends at `zxid`: is that in the history that ends at
                          * `to_zxid`, can it be made so? A `zxid` with counter 0 is one that
                          * ZooKeeper gives to a leader without transactions: all of the epochs
                          * below it is there. Answer with SYNC_CHOSEN, at once or later */
    ZAB_FX_SEND_HISTORY, /* to `conn`: the log from behind `zxid` up to `to_zxid`, each as PROPOSAL
                          * and COMMIT */
    ZAB_FX_SEND_PENDING, /* to `conn`: the log behind `to_zxid` as it is now, each as PROPOSAL */
    ZAB_FX_SEND_TREE,    /* to `conn`: packet SNAP with `zxid`, the tree, which is of that zxid now,
                          * the signature */
    ZAB_FX_PROPOSE,      /* to `conn`: `zxid`, just logged, as PROPOSAL */
    ZAB_FX_INFORM,       /* to `conn`: `zxid`, just committed, as INFORM */
    ZAB_FX_APPEND,       /* the transaction `zxid`, whose bytes are `data`, to the log */
    ZAB_FX_TRUNCATE,     /* the log to `zxid`; the tree too; answer with TRUNCATED */
    ZAB_FX_RECEIVE_TREE, /* the tree follows on the leader's connection; `zxid` is its last one.
                          * Make it durable in place of the log, so that a crash leaves all of
                          * the one or all of the other; answer with TREE_INSTALLED. If the
                          * connection closes or is silent for long: LEADER_CLOSED, TREE_FAILED */
    ZAB_FX_COMMIT,       /* all up to `zxid` is decided, and persisted here: apply it */
    ZAB_FX_STATE,        /* `state`, `phase`, `epoch`, `sid` of the leader or -1; BROADCAST: begin
                          * to serve, else stop it */
    ZAB_FX_LEARNER_READY, /* the learner `conn` (server `sid`) serves from now on */
    ZAB_FX_DELIVER,       /* a packet that is not consensus's: REQUEST, REVALIDATE, SYNC, or the
                           * sessions in a PING; from `conn`, or from the leader if that is 0 */
    ZAB_FX_NEED_TOUCHES,  /* a PING of the leader is answered with the sessions heard of since the
                           * last; the driver sends packet PING with `zxid` to the leader */
    ZAB_FX_NEW_EPOCH,     /* the counter of zxids is nearly used up: stop proposing; when all that
                           * was proposed is decided the leader goes LOOKING */
    ZAB_FX_CONFIRMED,     /* zab_confirmed_round() has risen */
    ZAB_FX_LOG,           /* `level`, `data` */
};

struct zab_effect {
    enum zab_effect_type type;
    int64_t sid;
    uint64_t conn;
    int64_t zxid, to_zxid;
    int64_t epoch;
    int64_t value;
    int32_t packet_type;
    enum zab_state state;
    enum zab_phase phase;
    enum log_level level;
    struct slice data; /* valid until the next zab_step(); APPEND: part of the event's packet */
    const struct zk_quorum_packet *packet; /* DELIVER: of the event */
    size_t data_at;                        /* the core's own */
};

/* The caller's, all zero to begin with; each zab_step() starts it anew. */
struct zab_effects {
    struct zab_effect *list;
    size_t n, cap;
    struct buf bytes;
};
void zab_effects_close(struct zab_effects *fx);

void zab_step(struct zab *z, const struct zab_event *event, struct zab_effects *fx);

/* ---- What it knows ---- */

enum zab_state zab_state(const struct zab *z);
enum zab_phase zab_phase(const struct zab *z);
int64_t zab_leader(const struct zab *z); /* its sid, -1 while there is none */
int64_t zab_epoch(const struct zab *z);  /* current epoch */

/* All up to it is decided, as far as this replica was told; it may not be persisted here yet. */
int64_t zab_decided(const struct zab *z);

const char *zab_state_name(enum zab_state state);

/* A leader's PINGs come in rounds, of which a quorum has answered all up to the confirmed one. What
 * a leader knew when a round began, no other leader had gone beyond when it is confirmed. */
int64_t zab_ping_round(const struct zab *z); /* the last that began */
int64_t zab_confirmed_round(const struct zab *z);

/* On the leader: its learners, and those of them that serve. */
struct zab_learners {
    size_t n, ready_followers, ready_observers;
};
struct zab_learners zab_learners(const struct zab *z);
size_t zab_quorum_size(const struct zab *z); /* servers that vote */

/* Whether the learners of those connections are a quorum, with this server or without it. */
bool zab_is_quorum(const struct zab *z, const uint64_t *conns, size_t n, bool with_self);

#endif
