/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The consensus core's parts, shared by the files of this folder. */
#ifndef ZAB_ZAB_INTERNAL_H
#define ZAB_ZAB_INTERNAL_H

#include "zab/zab.h"

/* ---- Quorums (quorum.c) ---- */

/* The servers of the configuration. A set of them is a word, a bit for each place in `servers`. */
struct quorum {
    struct zab_server servers[ZAB_SERVERS_MAX];
    size_t n;
    uint64_t voters;
    bool by_group; /* a majority of groups, by weight; else a majority of voters */
};

void quorum_init(struct quorum *q, const struct zab_server *servers, size_t n);

/* The server's place, or -1. */
int quorum_find(const struct quorum *q, int64_t sid);
bool quorum_is_voter(const struct quorum *q, int64_t sid);
int64_t quorum_weight(const struct quorum *q, int64_t sid);
bool quorum_contains(const struct quorum *q, uint64_t set);

/* The server as a set of its own; empty if it is unknown. */
uint64_t quorum_bit(const struct quorum *q, int64_t sid);

/* ---- What our servers add to ZooKeeper's messages (trailer.c) ---- */

struct trailer {
    bool is_ours;        /* it is there: a server of ours has sent the message */
    int64_t ensemble_id; /* 0: none */
    bool is_new;         /* it was only proposed: its leader was not established yet */
};

void trailer_write(struct buf *b, int64_t ensemble_id, bool is_new);

/* What follows the fields that were read. */
struct trailer trailer_read(struct jute_reader *r);

/* ---- Notifications (notification.c) ---- */

struct notification {
    enum zab_state state;
    int64_t leader;
    int64_t zxid;
    int64_t round; /* the election's logical clock */
    int64_t epoch;
    int32_t version;
    struct slice config_text;
    struct trailer trailer;
};

/* False if the message is malformed. */
bool notification_read(struct slice message, struct notification *n);
void notification_write(struct buf *b, const struct notification *n);

/* ---- The ensemble's id (identity.c) ---- */

struct identity {
    int64_t id;       /* of an ensemble that was established; durable; 0: none */
    int64_t proposed; /* of a leader that may not have been; durable; 0: none */
    int64_t fresh;    /* what we propose when nobody has one */
    struct trailer peers[ZAB_SERVERS_MAX]; /* as each said last */
    int64_t say_next_ms[ZAB_SERVERS_MAX];
};

bool identity_is_foreign(const struct zab *z, int64_t id);
void identity_say_foreign(struct zab *z, int64_t sid, int64_t id);
void identity_say_without(struct zab *z, int64_t sid);
struct trailer identity_told(const struct zab *z);
bool identity_is_asked_for(const struct zab *z, const struct notification *n);
bool identity_heard(struct zab *z, int64_t sid, const struct notification *n);
bool identity_may_lead(const struct zab *z, int64_t sid);
bool identity_is_first(bool is_new, int64_t epoch);
void identity_choose(struct zab *z);
bool identity_propose(struct zab *z, int64_t id);
bool identity_established(struct zab *z, int64_t id);
bool identity_wants_tree(const struct zab *z);
bool identity_join(struct zab *z);

/* ---- The configuration (membership.c) ---- */

bool membership_told(struct zab *z, struct slice text);
void membership_write(const struct zab *z, struct buf *b);

/* ---- Elections (election.c) ---- */

struct vote {
    int32_t version;
    int64_t leader;
    int64_t zxid;
    int64_t round;
    int64_t epoch;
    enum zab_state state; /* of the server that voted */
};

struct election {
    bool running;
    int64_t round;
    struct vote proposed;
    struct vote received[ZAB_SERVERS_MAX]; /* of this round */
    uint64_t have_received;
    struct vote outside[ZAB_SERVERS_MAX]; /* of servers that follow or lead */
    uint64_t have_outside;
    bool passive; /* it does not propose itself, before that time at least */
    int64_t passive_until_ms;
    bool waits_for_all; /* it has no memory, and others have: was logged */
    bool needs_us;   /* the outcome: all voters took part, and those that remember are no quorum */
    bool finalizing; /* a quorum agrees: wait a little for a better vote */
    int64_t finalize_at_ms;
    uint64_t unanswered; /* looked while we waited, and get the outcome */
    int interval_ms;     /* until the vote is told again */
    int64_t resend_at_ms;
};

bool election_has_no_memory(const struct zab *z);
void election_begin(struct zab *z);
void election_notified(struct zab *z, int64_t sid, struct slice message);
void election_peer_up(struct zab *z, int64_t sid);
void election_serves(struct zab *z);
void election_tick(struct zab *z);

/* What a learner says is its last zxid when only the tree will do: nobody ever proposes it. */
#define ZXID_WANTS_TREE UINT32_MAX

/* ---- The leader (leader.c, leader_sync.c, leader_commit.c) ---- */

enum {
    LEARNERS_MAX = 2 * ZAB_SERVERS_MAX,
};

/* In the order in which a learner goes through them. */
enum learner_step {
    LEARNER_NEW,           /* FOLLOWERINFO or OBSERVERINFO comes next */
    LEARNER_WAIT_EPOCH,    /* until a quorum has told its acceptedEpoch */
    LEARNER_ACKING_EPOCH,  /* LEADERINFO was sent, ACKEPOCH comes next */
    LEARNER_WAIT_ELECTION, /* until a quorum has acknowledged the epoch */
    LEARNER_CHOOSING,      /* the driver looks for its last zxid */
    LEARNER_SYNCING,       /* NEWLEADER was sent, its ACK comes next */
    LEARNER_SYNCED,        /* until a quorum has */
    LEARNER_READY,         /* UPTODATE was sent */
};

struct learner {
    uint64_t conn;
    enum learner_step step;
    int64_t sid;
    uint64_t bit; /* 0 unless it votes */
    bool observer;
    int64_t last_zxid; /* as ACKEPOCH told */
    int64_t acked;     /* it has all up to here */
    int64_t deadline_ms;
    int64_t tree_least;   /* a tree that it gets has all up to here, */
    bool waits_for_tree;  /* which is not so yet */
    int64_t chosen_ms;    /* SYNCING: since then */
    int64_t heard_ms;     /* READY: when its last packet came */
    int64_t awaited_zxid; /* an ACK of this or a later one is due, 0: none */
    int64_t awaited_since_ms;
    int64_t answered_round; /* of PINGs; it is the zxid of theirs, which learners send back */
};

enum leader_step {
    LEADER_COLLECTING, /* acceptedEpochs of a quorum */
    LEADER_NAMING,     /* the id of a new ensemble is made durable */
    LEADER_ACCEPTING,  /* the new epoch is made durable as acceptedEpoch */
    LEADER_ELECTING,   /* ACKEPOCHs of a quorum */
    LEADER_JOINING,    /* so is that of one that came to nothing before */
    LEADER_ADOPTING,   /* the new epoch is made durable as currentEpoch */
    LEADER_SYNCING,    /* ACKs of NEWLEADER of a quorum */
    LEADER_SERVING,
};

struct leader {
    enum leader_step step;
    int64_t epoch;
    int64_t id;     /* the ensemble's; 0: it has none */
    bool id_is_new; /* and gets it when we are established */
    uint64_t ours;  /* learners that are servers of ours, and this one */
    uint64_t connecting;
    uint64_t electing;
    uint64_t synced;
    int64_t deadline_ms;
    int64_t next_ping_ms;
    bool odd_ping; /* pings are sent twice a tick, the quorum is looked at once */
    int64_t ping_round, confirmed_round;
    int64_t last_proposed;
    int64_t own_persisted;   /* what our own disk had taken, */
    int64_t own_progress_ms; /* then */
    bool epoch_full;
    struct learner learners[LEARNERS_MAX];
    size_t n_learners;
};

void leader_begin(struct zab *z);
void leader_end(struct zab *z);
void leader_saved(struct zab *z);
void leader_tick(struct zab *z);
void leader_confirm(struct zab *z);
void leader_tree_sent(struct zab *z, uint64_t conn);
void leader_learner_opened(struct zab *z, uint64_t conn);
void leader_learner_closed(struct zab *z, uint64_t conn);
void leader_learner_packet(struct zab *z, uint64_t conn, const struct zk_quorum_packet *p);
void leader_reject(struct zab *z, struct learner *l, const char *fmt, ...) PRINTF_LIKE(3, 4);
struct learner *leader_find(struct zab *z, uint64_t conn);
struct learner *leader_replace_older(struct zab *z, struct learner *l);

void leader_sync(struct zab *z, struct learner *l);
void leader_sync_chosen(struct zab *z, const struct zab_event *ev);
void leader_send_trees(struct zab *z);
void leader_newleader_acked(struct zab *z, struct learner *l);
void leader_try_establish(struct zab *z);

void leader_logged(struct zab *z, int64_t zxid);
void leader_acked(struct zab *z, struct learner *l, int64_t zxid);
void leader_try_commit(struct zab *z);

static inline bool learner_is_forwarding(const struct learner *l)
{
    return l->step >= LEARNER_SYNCING;
}

/* ---- The learner (learner.c, learner_sync.c) ---- */

enum follow_step {
    FOLLOW_CONNECTING,
    FOLLOW_REGISTERING, /* LEADERINFO comes next */
    FOLLOW_NAMING,      /* the ensemble's id is made durable, if this server has none */
    FOLLOW_ACCEPTING,   /* the leader's epoch is made durable as acceptedEpoch */
    FOLLOW_WAIT_SYNC,   /* DIFF, TRUNC or SNAP comes next */
    FOLLOW_TRUNCATING,
    FOLLOW_RECEIVING,
    FOLLOW_SYNCING,    /* transactions, then NEWLEADER */
    FOLLOW_PERSISTING, /* what came before NEWLEADER is made durable */
    FOLLOW_JOINING,    /* so is its ensemble's id, in place of another that was proposed */
    FOLLOW_ADOPTING,   /* its epoch is made durable as currentEpoch */
    FOLLOW_SYNCED,     /* NEWLEADER is acknowledged, UPTODATE comes next */
    FOLLOW_SERVING,
};

struct follow {
    enum follow_step step;
    int64_t epoch;
    bool leader_is_ours;
    int64_t id; /* of the leader's ensemble; 0: none */
    bool id_is_new;
    int64_t deadline_ms;
    int64_t busy_since_ms; /* with our own disk */
    int64_t next_ping_ms;
    enum zab_sync sync;
    int64_t sync_zxid;      /* where DIFF, TRUNC or SNAP left the log */
    int64_t committed;      /* as the leader told; decided only when it is established */
    int64_t newleader_zxid; /* the last that came before NEWLEADER */
    int64_t acked;
    int64_t tree_wanted_epoch; /* a TRUNC of this epoch's leader could not be done */
};

void learner_begin(struct zab *z);
bool learner_has_forgotten(const struct zab *z);
bool learner_wants_tree(const struct zab *z);
void learner_opened(struct zab *z);
void learner_packet(struct zab *z, const struct zk_quorum_packet *p);
void learner_saved(struct zab *z);
void learner_tick(struct zab *z);
void learner_persisted(struct zab *z);
void learner_packet_bad(struct zab *z, const struct zk_quorum_packet *p, const char *why);
void learner_wait(struct zab *z, enum follow_step step);
void learner_reconnect(struct zab *z);

void learner_sync_begin(struct zab *z, const struct zk_quorum_packet *p);
void learner_truncated(struct zab *z, int64_t zxid);
void learner_truncate_failed(struct zab *z);
void learner_tree_installed(struct zab *z);
void learner_stream(struct zab *z, const struct zk_quorum_packet *p);
void learner_named(struct zab *z);
void learner_accepted(struct zab *z);
void learner_send_acks(struct zab *z);

/* ---- The whole (zab.c) ---- */

enum saving {
    SAVING_NONE,
    SAVING_ACCEPTED,
    SAVING_CURRENT,
    SAVING_PROPOSED_ID,
    SAVING_ID,
};

/* The last counter of an epoch that is proposed is not much behind this one. */
#define COUNTER_FULL INT64_C(0xffff0000)

enum {
    LEARNER_PROTOCOL = 0x10000,
    EPOCH_MAX = 0x7ffffffe,    /* ACKEPOCH carries a signed word, and the next one has to fit */
    EPOCH_AHEAD_MAX = 1 << 16, /* of a server's epoch beyond ours that is believed */
    ROUND_AHEAD_MAX = 1 << 20,
    RETRY_PAUSE_MS = 200, /* before the next election when a role came to nothing */
    FINALIZE_MS = 200,
};

struct zab {
    int64_t sid;
    struct quorum quorum;
    int tick_ms;
    int init_limit;
    int sync_limit;
    struct buf config_text;
    int64_t config_version;
    int64_t counter_full;
    int finalize_ms;

    int64_t now_ms;
    struct zab_effects *fx; /* of the step at hand */
    enum zab_state state;
    enum zab_phase phase;
    int64_t look_at_ms; /* the next election begins not before */

    /* The log, and what of it is known. */
    int64_t logged;
    int64_t persisted;
    int64_t decided;       /* by a quorum */
    int64_t committed;     /* as told by ZAB_FX_COMMIT */
    bool diverged;         /* the tree is not to be built on */
    bool full;             /* the disk has no room: another server is to lead */
    int64_t tree_zxid;     /* what the driver's tree is of */
    int64_t known_decided; /* by the disk, at the start */
    bool saw_all_empty;    /* and so this server has forgotten nothing, though it has nothing */
    bool loss_accepted;    /* the operator takes it that promises may be forgotten */
    int64_t accepted_epoch;
    int64_t current_epoch;
    int64_t epoch_seen; /* the highest that a learner said it has accepted */
    enum saving saving;
    int64_t saving_value;
    bool rewinding; /* a TRUNCATE or RECEIVE_TREE is carried out */

    struct vote vote; /* for the leader of now */
    struct identity identity;
    struct election election;
    struct leader leader;
    struct follow follow;
};

/* Change state and phase; only what the table allows. */
void zab_enter(struct zab *z, enum zab_state state, enum zab_phase phase);

/* Give up what it is and look for a leader. */
void zab_look(struct zab *z, const char *fmt, ...) PRINTF_LIKE(2, 3);
void zab_save(struct zab *z, enum saving what, int64_t value);
void zab_decide(struct zab *z, int64_t zxid);

/* The server serves: others who ask get a vote that bears the epoch (ZOOKEEPER-1732). */
void zab_restamp_vote(struct zab *z);

/* What our history is of, as votes and ACKEPOCH tell it. A leader whose history we took, in part or
 * as a tree, was elected with all that is decided: so our log is of its last epoch, as recovery
 * will say, also if we never acknowledged NEWLEADER. */
static inline int64_t zab_history_epoch(const struct zab *z)
{
    return MAX(z->current_epoch, zxid_epoch(z->logged));
}

/* The zxid behind `zxid` in the log if all between is of `epoch`. */
static inline int64_t zxid_next(int64_t zxid, int64_t epoch)
{
    return zxid_epoch(zxid) == epoch ? zxid + 1 : zxid_make(epoch, 1);
}

/* Whether `next` follows on `zxid`, in its epoch or as the first of a later one. */
static inline bool zxid_follows(int64_t next, int64_t zxid)
{
    return next > zxid && next == zxid_next(zxid, zxid_epoch(next));
}

/* ---- Effects (effect.c) ---- */

/* A new effect, valid until the next one. */
struct zab_effect *fx_add(struct zab *z, enum zab_effect_type type);

/* The effect's data are the bytes that were written to fx->bytes from `at` on. */
void fx_set_data(struct zab *z, struct zab_effect *e, size_t at);
void fx_send(struct zab *z, uint64_t conn, enum zab_packet_type type, int64_t zxid);
void fx_send_leader(struct zab *z, enum zab_packet_type type, int64_t zxid);
void fx_log(struct zab *z, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);
void fx_vlog(struct zab *z, enum log_level level, const char *fmt, va_list ap);
void fx_begin(struct zab_effects *fx);
void fx_end(struct zab_effects *fx);

#endif
