/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulator: the production replica, store and client session over simulated disks, network
 * and clocks, with random clients, and a model that knows what each answer must be. A run has one
 * server, a single replica, or several and observers, an ensemble.
 *
 * Everything random comes from one seed, and nothing depends on addresses or on the real time,
 * so that a seed gives the same run always. Whatever the run finds wrong ends the process in
 * sim_fail(), with the line that replays it.
 *
 *     main.c      seeds and processes, exit codes
 *     options.c   the command line
 *     shrink.c    a run that failed, made smaller
 *     world.c     what happens when; the trace; failing
 *     coverage.c  what a swarm has covered, and what it must have
 *     core.c      what goes into the consensus core and comes out of it
 *     draw.c      what a seed draws of the configuration
 *     server.c    the shell around node_step()
 *     ends.c      what comes over a server's connections
 *     logger.c    the log and its changes of history, on the simulated disk
 *     reads.c     reading the log for a learner
 *     snapshots.c snapshots, purges, and recovery
 *     net.c       connections that delay, split and break
 *     links.c     learners connect to their leader; trees go to them
 *     peers.c     election messages
 *     client.c    the shell around a client's session
 *     tamper.c, tamper_link.c, tamper_mount.c   what --break does
 *     request.c   random requests and their records
 *     answer.c    answers as text
 *     model.c     the tree as it must be, written naively
 *     model_write.c, model_read.c   what each request does to it and what it answers
 *     journal.c   what was proposed, and the one history that is committed
 *     proposal.c  each proposal against the model
 *     compare.c   trees against the model and against each other
 *     invariant.c what holds between the replicas at every step
 *     check.c     answers against the model
 *     watchcheck.c  watch events against the model
 *     faults.c, stalls.c, rot.c, hostile.c   what goes wrong
 *     ending.c    how a run ends
 *     operators.c, disks.c   what operators do with disks and servers (--operators)
 *     minority.c  service of a majority while the others stay behind
 *     mountpoint.c  the shell around a mount's core; kernel*.c is below it (kernel.h)
 *     program.c, mirror.c   what processes do on mounts
 *     mountcheck.c, cachecheck.c, movecheck.c, aclcheck.c  what they see against the tree
 *     script.c, command.c   requests and faults from a file, for a trace that is kept */
#ifndef SIM_H
#define SIM_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "coverage.h"
#include "journal.h"
#include "server.h"

/* What the servers of an ensemble say of their configuration, also in /zookeeper/config. */
#define SIM_CONFIG "version=0"

enum sim_exit {
    SIM_FINE,
    SIM_BROKEN,  /* an invariant */
    SIM_CRASHED, /* a signal or a failed assertion */
    SIM_STALLED,
    SIM_USAGE,
    SIM_UNCOVERED, /* a swarm did not cover what it must */
};

enum {
    SIM_TICK_MS = 200, /* other times of the simulator are for this one, see scaled() */
    SIM_PIPELINE = 16,
    MOUNTS_MAX = 4,
    SIM_LINES = 64, /* of the trace that a failure shows */
};

/* Ways to break a mount's promises: each with the check that must notice it (mountpoint.h). */
#define MOUNT_BREAKAGES(B)                                                                         \
    B(mount_empty_base, line, "read nothing where an append's base is")                            \
    B(mount_draft_size, size, "let stat know nothing of a draft")                                  \
    B(mount_unlistable, acl, "refuse a listing that has a name which may not be read")             \
    B(mount_lose_event, mirror, "do not inject, and say that it is done")                          \
    B(mount_false_move, moved, "tell a removal and a creation as a move")                          \
    B(mount_drop_draft, content, "drop a draft while its descriptor is open")                      \
    B(mount_lose_error, content, "let a close say 0 when its commit has failed")                   \
    B(mount_wrong_error, error, "tell a process that only exits of a commit that has failed")      \
    B(mount_keep_right, acl, "do not notice that a right to read is gone")                         \
    B(mount_flood, step, "do very much in one step")                                               \
    B(mount_list_again, listed, "begin a listing again in its middle")                             \
    B(mount_miss_name, missed, "do not find a name that is there")                                 \
    B(mount_keep_part, content, "forget that a write did not fit")                                 \
    B(mount_no_reply, wait, "do not reply to a request")                                           \
    B(mount_lose_death, mirror, "do not notice that the injector was killed")                      \
    B(mount_early_close, content, "reply to a close before its commit")                            \
    B(mount_keep_none, cache, "let the kernel keep it that there is no such name")                 \
    B(mount_meet_none, mirror, "inject where the kernel keeps it that there is no such name")      \
    B(mount_keep_attr, cache, "let the kernel keep attributes")                                    \
    B(mount_early_event, mirror, "tell of a change before anybody can read it")                    \
    B(mount_no_more, follow, "do not let a reader go beyond what was there when he opened")        \
    B(mount_swap_answers, read, "take two answers in the wrong order")

/* Ways to break the replica's promises, to see that the checks notice. All are in the shell. */
#define BREAKAGES(B)                                                                               \
    B(ack_before_sync, "say that transactions are durable before they are synced")                 \
    B(drop_batch, "leave a batch out of the log, and say that it is durable")                      \
    B(lose_event, "lose a watch event")                                                            \
    B(repeat_event, "tell a watch event twice")                                                    \
    B(late_event, "tell a watch event behind the answer that follows it")                          \
    B(swap_answers, "give two answers in the wrong order")                                         \
    B(lose_answer, "lose an answer")                                                               \
    B(wrong_zxid, "say that an answer is of the next zxid")                                        \
    B(wrong_snapshot, "number a snapshot one too high")                                            \
    B(request_twice, "take a request twice")                                                       \
    B(hasty_clock, "let a single replica's clock run ahead, so that sessions expire early")        \
    B(wrong_data, "change a byte of a transaction on its way to the log")                          \
    B(mute_log, "say no more what is durable")                                                     \
    B(unsaved_epoch, "say that an epoch is saved, and do not save it")                             \
    B(skip_truncate, "say that the log is truncated, and leave it on the disk")                    \
    B(unsaved_tree, "say that the leader's tree is installed, and do not save it")                 \
    B(stale_tree, "send a learner a tree of an earlier moment")                                    \
    B(change_proposal, "change a byte of a proposal on its way to a learner")                      \
    B(early_commit, "tell a learner that a proposal is committed together with it")                \
    B(wrong_vote, "tell in elections of a longer history than there is")                           \
    B(stop_ticks, "stop a leader's clock")                                                         \
    B(lose_touches, "tell a leader of no session that is alive on its learners")                   \
    B(wipe_quorum, "wipe disks of more servers than may be lost")                                  \
    B(no_identity,                                                                                 \
      "operators: ensembles do not know themselves, and what is replaced is unlinked")             \
    B(no_digests, "operators: replicas never compare what they have come to")                      \
    B(only_exists, "let clients read nothing but whether a node exists")

enum breakage {
    BREAK_NOTHING,
#define BREAKAGE_ENUM(name, text) BREAK_##name,
    BREAKAGES(BREAKAGE_ENUM)
#undef BREAKAGE_ENUM
#define BREAKAGE_ENUM(name, check, text) BREAK_##name,
        MOUNT_BREAKAGES(BREAKAGE_ENUM)
#undef BREAKAGE_ENUM
};

struct sim_event {
    int64_t at_ms;
    uint64_t seq;
    void (*happen)(struct world *w, void *arg);
    void *arg;
};

/* What a seed has drawn for all of its servers. */
struct times {
    int tick_ms, init_limit, sync_limit, finalize_ms;
    int timeout_min_ms, timeout_max_ms; /* of sessions */
    int64_t patience_ms;                /* when all is well, everything is done within this */
    int64_t step_us;                    /* of the loop, for each event */
};

/* ---- Clients ---- */

/* Kinds of watches. */
enum {
    WATCHED_DATA = 1 << 0,
    WATCHED_EXIST = 1 << 1,
    WATCHED_CHILD = 1 << 2,
    WATCHED_PERSISTENT = 1 << 3,
    WATCHED_RECURSIVE = 1 << 4,
};

/* What a client watches: `believed` is what its session must hold, `armed` what the server has. */
struct watched {
    char path[MODEL_PATH_MAX];
    unsigned believed, armed, reset;
};

struct client {
    struct mountpoint *mount; /* whose session this is; NULL: of no mount */
    unsigned index;
    unsigned ids; /* MODEL_ALICE, MODEL_BOB */
    struct session session;
    bool running;
    bool pumping;
    bool acting;         /* its act() is planned */
    struct server *only; /* where it connects to; NULL: to any */
    unsigned host;       /* that its session wants to connect to */
    struct conn *conn;
    int64_t tick_at;
    struct request **waiting; /* not told yet, in order */
    size_t n_waiting, cap_waiting;
    int64_t replied_zxid; /* the highest in an answer to a request */
    struct watched *watched;
    size_t n_watched, cap_watched;
    size_t n_events_told, n_events_seen;
};

/* ---- Everything ---- */

struct sim_options {
    uint64_t seed;
    uint64_t steps;
    uint64_t without; /* a bit each: kinds of faults that do not happen */
    unsigned clients; /* at most so many; 0: as the seed says */
    unsigned mounts;
    bool draws_mounts; /* as the seed says */
    unsigned skip;     /* a bit each: checks of mounts that are not made (enum mount_check) */
    enum breakage breakage;
    unsigned voters, observers; /* 0: as the seed says */
    bool trace;
    bool operators;
    const char *script;
    bool rewrite; /* the script, with the trace that it gives */
};

/* Which seeds are run, and how. */
struct sim_seeds {
    uint64_t from, to;
    unsigned jobs;
    bool coverage; /* print it */
};

struct world {
    struct sim_options options;
    struct rng rng;
    int64_t now_ms;
    int64_t wall_offset_ms;
    struct sim_event *heap;
    size_t n_heap, cap_heap;
    uint64_t n_events;
    char lines[SIM_LINES][256];
    uint64_t n_lines;
    struct buf said; /* the trace since the script's last command */

    struct server servers[SERVERS_MAX];
    unsigned n_servers, n_voters;
    struct zab_server zab_servers[SERVERS_MAX];
    struct times times;
    unsigned digest_bits;
    unsigned crowd;   /* with so many nodes clients only delete */
    unsigned pad_max; /* bytes of large data */
    bool hostile;     /* somebody says what is not so */
    bool hot;         /* clients contend for two paths, and write most often */
    int64_t counter_full;
    bool blocked[PLACES][PLACES]; /* nothing goes from the one to the other */
    uint64_t fault_kinds;         /* a bit each: those of this run */
    int64_t fault_every_ms;
    bool lenient;    /* operators: nothing is compared with the model */
    bool unmodelled; /* with mounts: the model knows sessions, but no nodes */
    struct mountpoint *mounts[MOUNTS_MAX];
    unsigned n_mounts;
    struct mountcheck *mountcheck;
    struct movecheck *movecheck;
    uint64_t n_tokens;     /* of what programs write */
    uint64_t n_killed;     /* programs */
    bool faults_off;       /* no more of them: the run ends */
    int64_t calm_since_ms; /* all is well, so that no session may expire; 0: it is not */
    struct conn **conns;
    size_t n_conns, cap_conns;
    struct client clients[CLIENTS_MAX];
    unsigned n_clients;
    struct request **requests;
    size_t n_requests, cap_requests;

    struct hmap entries;
    struct entry **chain; /* what is committed, from the empty tree on */
    size_t n_chain, cap_chain;
    struct epoch *epochs;
    size_t n_epochs, cap_epochs;
    struct session_seen *sessions;
    size_t n_sessions, cap_sessions;
    int64_t max_acked; /* the highest zxid that a client was told of */
    struct tree *shadow;
    struct tree_outcome shadow_outcome;
    uint64_t n_answers, n_told, n_crashes, n_snapshots, n_truncates, n_installs;
};

static inline bool is_ensemble(const struct world *w)
{
    return w->n_servers > 1;
}

/* shrink.c */
void shrink(const struct sim_options *failed, int status);

/* options.c */
void options_parse(int argc, char **argv, struct sim_options *o, struct sim_seeds *seeds);
void options_print(const struct sim_options *o, FILE *to);

/* A time of the run in proportion to its ticks. */
static inline int64_t scaled(const struct world *w, int64_t ms)
{
    return is_ensemble(w) ? MAX(ms * w->times.tick_ms / SIM_TICK_MS, 1) : ms;
}

static inline int64_t sync_limit_ms(const struct world *w)
{
    return (int64_t)w->times.sync_limit * w->times.tick_ms;
}

/* world.c */
void world_run(const struct sim_options *options);
void world_set_servers(struct world *w, unsigned voters, unsigned observers);
void world_dump(void); /* the last lines of the trace of the world that is running */
void sim_at(struct world *w, int64_t delay_ms, void (*happen)(struct world *w, void *arg),
            void *arg);
bool sim_step(struct world *w);
void sim_trace(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sim_detail(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3); /* not kept of a script */
_Noreturn void sim_fail(struct world *w, enum sim_exit code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
bool chance(struct world *w, unsigned one_in);
int64_t between(struct world *w, int64_t low, int64_t high);
static inline bool breaks(struct world *w, enum breakage b, unsigned one_in)
{
    bool now = w->options.breakage == b && chance(w, one_in);
    if (now)
        cover(COVER_BREAKAGE, b, 0);
    return now;
}

/* Grow an array of `n` items so that one more fits. */
#define ROOM_FOR_ONE(array, n, cap)                                                                \
    do {                                                                                           \
        if ((n) == (cap)) {                                                                        \
            (cap) = MAX((cap)*2, 16);                                                              \
            (array) = mem_realloc((array), (cap) * sizeof(*(array)));                              \
        }                                                                                          \
    } while (0)

/* draw.c */
void draw_config(struct world *w, struct node_config *c);
void draw_world(struct world *w);
void draw_mounts(struct sim_options *o);

/* server.c */
void server_start(struct world *w, void *server);
void server_stop(struct world *w, struct server *s, bool power_lost, const char *why);
void server_turn_soon(struct world *w, struct server *s);
void server_turn_by(struct world *w, struct server *s, int64_t at_ms);
void server_step(struct world *w, struct server *s, struct node_event ev);
void server_later(struct server *s, const struct node_event *ev);
void server_open(struct world *w, struct server *s, unsigned index);
void server_close(struct world *w, struct server *s);
int64_t server_clock(const struct world *w, const struct server *s);
int64_t server_wall(const struct world *w, const struct server *s);

/* ends.c */
void ends_attend(struct world *w, struct server *s);

/* logger.c */
void logger_order(struct world *w, struct server *s, struct log_order order);
bool logger_is_over(struct world *w, struct server *s, int rc, bool must_work, const struct err *e);
void logger_save_epoch(struct world *w, struct server *s, const char *name, int64_t epoch);

/* reads.c */
void reads_begin(struct world *w, struct server *s, struct node_log_read *r);
void reads_take(struct world *w, struct server *s);
void reads_died(struct world *w, struct server *s);

/* snapshots.c */
bool recover(struct world *w, struct server *s, struct tree **tree, struct zab_history *h);
int recover_tree(struct world *w, struct server *s, struct tree *tree, struct store_recovery *r,
                 struct err *e);
void snapshot_begin(struct world *w, struct server *s);
void snapshot_cancel(struct world *w, struct server *s);
void snapshots_purge(struct world *w, struct server *s);
struct tree *tree_copy(const struct tree *from);

/* net.c */
struct conn *net_connect(struct world *w, struct client *c, struct server *s);
struct conn *net_link(struct world *w, struct server *learner, struct server *leader);
bool net_is_blocked(const struct world *w, const struct end *from, const struct end *to);
struct end *net_other(struct end *end);
bool net_is_alive(const struct end *end);
void net_crawl(struct end *to, int64_t ms);
void net_push(struct world *w, struct end *to, const void *data, size_t len);
void net_send(struct world *w, struct end *end);
void net_node_closes(struct world *w, struct end *end);
void net_forget(struct server *s, struct end *end);
void net_leave(struct world *w, struct end *end);
void net_client_leaves(struct world *w, struct conn *conn);
void net_cut(struct world *w, struct conn *conn);
void net_server_died(struct world *w, struct server *s, bool power_lost);
void net_close_all(struct world *w);
int64_t net_delay(struct world *w);

/* links.c */
void links_connect(struct world *w, struct server *s, int64_t sid);
void links_stop_connecting(struct world *w, struct server *s);
void links_send(struct world *w, struct end *end, size_t len);
void links_send_tree(struct world *w, struct end *end, const struct tree *t, size_t before);

/* peers.c */
void peers_send(struct world *w, struct server *from, int64_t sid, struct slice message);
void peers_forge(struct world *w, struct server *to, const struct server *from,
                 const struct buf *message);
void peers_take(struct world *w, struct server *s);
void peers_died(struct world *w, struct server *s);
void peers_close(struct server *s);

/* tamper.c, tamper_link.c */
void tamper(struct world *w, struct conn *conn, struct buf *out);
bool tamper_is_on(const struct world *w);
void tamper_packet(struct world *w, struct end *end, struct zk_quorum_packet *p, struct buf *out);
void tamper_vote(struct world *w, const struct server *from, struct buf *message);

/* client.c */
void client_pump(struct world *w, struct client *c);
void client_start(struct world *w, struct client *c, unsigned index);
void client_received(struct world *w, struct client *c, struct slice bytes);
void client_disconnected(struct world *w, struct client *c);
void client_request(struct world *w, struct client *c, struct request *r);
void client_end(struct world *w, struct client *c, bool politely);
void client_free(struct client *c);

/* request.c, answer.c */
struct request *request_new(struct world *w, struct client *c);
void request_fill_randomly(struct world *w, struct request *r);
void request_write(struct buf *out, const struct request *r);
void request_text(const struct request *r, struct buf *out);
bool request_is_write(const struct request *r);
void answer_text(const struct request *r, int32_t err, struct slice body, struct buf *out);

/* proposal.c */
void proposals_append(struct world *w, struct server *s, const struct node_batch *batch);

/* compare.c */
uint64_t tree_digest(const struct tree *t);
void compare_tree(struct world *w, const struct tree *tree, const struct entry *e,
                  const char *what);

/* invariant.c */
void invariant_started(struct world *w, struct server *s, const struct tree *tree,
                       const struct zab_history *h);
void invariant_stepped(struct world *w, struct server *s);
void invariant_synced(struct world *w, struct server *s, int64_t zxid);
void invariant_packet(struct world *w, const struct server *s, const struct zk_quorum_packet *p);
void invariant_truncating(struct world *w, struct server *s, int64_t zxid);
void invariant_truncated(struct world *w, struct server *s, const struct tree *tree);
void invariant_installing(struct world *w, struct server *s, const struct tree *tree);
void invariant_installed(struct world *w, struct server *s, const struct tree *tree);

/* check.c */
void check_sent(struct world *w, struct conn *conn, struct slice bytes);
void check_arrived(const struct conn *conn, int32_t xid);
void check_received(struct world *w, struct conn *conn, struct slice bytes);
void check_no_stall(struct world *w);

/* watchcheck.c */
void watchcheck_greeted(struct client *c);
void watchcheck_expired(struct client *c);
void watchcheck_event(struct world *w, struct conn *conn, const struct zk_reply_header *h,
                      struct slice record);
void watchcheck_settle(struct world *w, struct conn *conn, const struct entry *at);
void watchcheck_nothing_open(struct world *w, struct conn *conn);
void watchcheck_resetting(struct world *w, struct conn *conn, struct slice frame);
void watchcheck_all_reset(struct world *w, struct conn *conn);
void watchcheck_reset(struct world *w, struct conn *conn, struct slice frame, int64_t zxid);
void watchcheck_answered(struct world *w, struct conn *conn, const struct request *r, int32_t err);

/* faults.c */
void faults_begin(struct world *w);
unsigned faults_kinds(void);
bool faults_hit(const struct server *s);
void faults_crash_in(struct world *w, struct server *s, uint64_t n_operations);
void faults_clear(struct server *s);
void faults_give_room(struct world *w, void *server);
void faults_heal(struct world *w);
void faults_block(struct world *w, unsigned from, unsigned to);
void faults_isolate(struct world *w, unsigned place);
void faults_pause(struct world *w, struct server *s, int64_t ms);
bool faults_may_lose(const struct world *w, const struct server *s);
void faults_replace(struct world *w, struct server *s);
void faults_wipe(struct world *w, struct server *s);

/* stalls.c */
void stall_disk(struct world *w, struct server *s);
void stall_loop(struct world *w, struct server *s);
void stall_tree(struct world *w, struct server *s);
void stall_all(struct world *w, struct server *s);
void stall_cost(struct world *w, struct server *s);
void stall_charge(struct world *w, struct server *s);
void stall_end(struct world *w, struct server *s);

/* hostile.c */
void hostile_vote(struct world *w, struct server *to);
void hostile_packet(struct world *w, struct zk_quorum_packet *p);

/* rot.c */
bool rot_flip_bit(struct world *w, struct server *s);
void rot_settle(struct world *w, struct server *s, bool started);

/* ending.c */
bool server_is_settled(const struct world *w, const struct server *s);
bool servers_are_settled(const struct world *w, bool only_those_up);
void wait_for(struct world *w, bool (*done)(const struct world *w), const char *what);
void world_end_well(struct world *w);

/* disks.c */
typedef void disk_visitor(void *arg, const char *path, struct slice bytes);
void disks_each_file(struct disk_mem *m, bool deep, disk_visitor *visit, void *arg);
struct disk_mem *disks_copy(struct world *w, struct disk_mem *from, bool only_history);

/* operators.c */
enum deed {
    DEED_OLD_DISK,
    DEED_RESTORE,
    DEED_SET_UP_BESIDE,
    DEED_DIVERGE,
    DEED_GROW,
    N_DEEDS,
};
void operators_run(struct world *w);
void operators_told(const struct request *r, int32_t err);

/* minority.c: how those are who stay behind */
enum plight {
    PLIGHT_DEAD,
    PLIGHT_CUT_OFF,
    PLIGHT_SLOW_DISK,
    PLIGHT_BUSY,
    N_PLIGHTS,
};

void minority_stays_behind(struct world *w);

/* script.c, command.c */
void script_run(struct world *w, const char *path);
bool command_carry_out(struct world *w, const char *line);

#endif
