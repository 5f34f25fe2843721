/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulator: the production replica, store and client session over a simulated disk, network
 * and clock, with random clients, and a model that knows what each answer must be.
 *
 * Everything random comes from one seed, and nothing depends on addresses or on the real time,
 * so that a seed gives the same run always. Whatever the run finds wrong ends the process in
 * sim_fail(), with the line that replays it.
 *
 *     main.c      options, seeds, exit codes
 *     world.c     what happens when; the trace; failing
 *     server.c    the shell around node_step()
 *     logger.c    the log, snapshots and recovery on the simulated disk
 *     net.c       connections that delay, split and break
 *     client.c    the shell around a client's session
 *     tamper.c    what --break does to the bytes
 *     request.c   random requests and their records
 *     answer.c    answers as text
 *     model.c     the tree as it must be, written naively
 *     model_write.c, model_read.c   what each request does to it and what it answers
 *     journal.c   what was proposed, and the model after each transaction
 *     check.c     answers against the model
 *     watchcheck.c  watch events against the model
 *     faults.c    what goes wrong, and how a run ends
 *     script.c    requests and faults from a file, for a trace that is kept */
#ifndef SIM_H
#define SIM_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "zab/disk_mem.h"
#include "zab/node.h"
#include "zab/session.h"
#include "zab/store.h"

#include "model.h"

enum sim_exit {
    SIM_FINE,
    SIM_BROKEN,  /* an invariant */
    SIM_CRASHED, /* a signal or a failed assertion */
    SIM_STALLED,
    SIM_USAGE,
};

enum {
    SIM_TICK_MS = 100,
    SIM_TIMEOUT_MIN_MS = 300,
    SIM_TIMEOUT_MAX_MS = 3000,
    SIM_PATIENCE_MS = 30000, /* when all is well, everything is done within this */
    SIM_CLIENTS = 5,
    SIM_PIPELINE = 16,
    SIM_LINES = 64, /* of the trace that a failure shows */
};

/* Ways to break the replica's promises, to see that the checks notice. All are in the shell. */
#define BREAKAGES(B)                                                                               \
    B(ack_before_sync, "say that transactions are durable before they are synced")                 \
    B(drop_batch, "leave a batch out of the log, and say that it is durable")                      \
    B(lose_event, "lose a watch event")                                                            \
    B(repeat_event, "tell a watch event twice")                                                    \
    B(late_event, "tell a watch event behind the answer that follows it")                          \
    B(swap_answers, "give two answers in the wrong order")                                         \
    B(lose_answer, "lose an answer")                                                               \
    B(wrong_snapshot, "number a snapshot one too high")                                            \
    B(request_twice, "take a request twice")                                                       \
    B(hasty_clock, "let the replica's clock run ahead, so that sessions expire early")             \
    B(wrong_data, "change a byte of a transaction on its way to the log")                          \
    B(mute_log, "say no more what is durable")

enum breakage {
    BREAK_NOTHING,
#define BREAKAGE_ENUM(name, text) BREAK_##name,
    BREAKAGES(BREAKAGE_ENUM)
#undef BREAKAGE_ENUM
};

struct world;
struct client;
struct conn;

struct sim_event {
    int64_t at_ms;
    uint64_t seq;
    void (*happen)(struct world *w, void *arg);
    void *arg;
};

/* ---- The server's side ---- */

/* What waits for the log: a batch, or NULL for a new file. */
struct log_order {
    struct node_batch *batch;
};

struct server {
    bool up;
    unsigned life; /* counts starts, so that events of an earlier one are known */
    struct node *node;
    struct node_effects fx;
    struct store store;
    struct txnlog log;
    struct log_order *orders;
    size_t n_orders, cap_orders;
    bool log_busy, turn_due;
    bool mute;         /* for mute_log */
    int64_t persisted; /* what the node was told is durable */
    int64_t to_tell;   /* what it will be told in the next turn */
    bool tick_due, snapshot_done_due;
    int64_t next_tick_ms;
    int64_t ahead_ms; /* how wrong its clock is, for hasty_clock */
};

struct faults {
    bool armed; /* a countdown of the disk is running */
    enum disk_mem_fault kind;
    uint64_t hits_at; /* the disk's operation that meets it */
    bool squeezed;    /* the disk is full */
    bool off;         /* no more of them: the run ends */
    char *flipped;    /* the file with a bad bit, or NULL */
    uint64_t flipped_at;
    uint8_t flipped_bit;
};

/* ---- Connections ---- */

struct pipe {
    struct buf bytes;
    bool moving; /* a delivery is on its way */
};

/* A request on its way on one connection, or setWatches (without `request`). */
struct sent {
    int32_t xid;
    struct request *request;
    struct buf frame;
    int64_t at_ms;
};

struct watch_seen {
    enum zk_event_type type;
    int64_t zxid;
    char path[MODEL_PATH_MAX];
};

struct conn {
    unsigned id;
    struct client *client;
    unsigned life; /* of the server */
    struct pipe up, down;
    struct buf inbox;      /* has arrived, was not read yet */
    struct buf frame_head; /* of the frame that is being read: its length and xid */
    size_t frame_left;
    struct node_conn *node_conn; /* NULL before OPENED and after CLOSED */
    bool open_due, drained_due, close_due;
    bool server_closing; /* NODE_CLOSE was said: send what is left, then close */
    bool cut;            /* nothing goes through any more */
    bool client_left;
    /* What the checks know. */
    bool greeting_sent;
    bool hailed;  /* ConnectRequest seen */
    bool greeted; /* ConnectResponse seen */
    bool tapped;  /* the first bytes behind it were checked */
    int64_t session_id;
    struct buf tap_up, tap_down; /* beginnings of frames */
    struct sent *sent;
    size_t n_sent, cap_sent;
    int64_t seen_zxid; /* watches are checked up to here */
    int64_t last_zxid; /* of the last answer in order */
    struct watch_seen *seen;
    size_t n_seen, cap_seen;
};

/* ---- Clients ---- */

/* What a client watches: `believed` is what its session must hold, `armed` what the server has. */
struct watched {
    char path[MODEL_PATH_MAX];
    unsigned believed, armed, reset;
};

struct client {
    unsigned index;
    unsigned ids; /* MODEL_ALICE, MODEL_BOB */
    struct session session;
    bool running;
    bool acting; /* its act() is planned */
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

struct journal_entry {
    struct buf txn;
    struct request *request; /* NULL: the replica's own */
    struct model after;
};

struct sim_options {
    uint64_t seed;
    uint64_t steps;
    enum breakage breakage;
    bool trace;
    const char *script;
    bool rewrite; /* the script, with the trace that it gives */
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

    struct disk_mem *disk;
    struct faults faults;
    struct server server;
    struct conn **conns;
    size_t n_conns, cap_conns;
    struct client clients[SIM_CLIENTS];
    unsigned n_clients;
    struct request **requests;
    size_t n_requests, cap_requests;

    struct journal_entry *journal; /* entry i has zxid i; entry 0 is the empty tree */
    size_t n_journal, cap_journal;
    int64_t max_acked; /* the highest zxid that a client was told of */
    struct tree *shadow;
    struct tree_outcome shadow_outcome;
    uint64_t n_answers, n_told, n_crashes, n_snapshots;
};

/* world.c */
void world_run(const struct sim_options *options);
void world_dump(void); /* the last lines of the trace of the world that is running */
void sim_at(struct world *w, int64_t delay_ms, void (*happen)(struct world *w, void *arg),
            void *arg);
bool sim_step(struct world *w);
void sim_trace(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
_Noreturn void sim_fail(struct world *w, enum sim_exit code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
bool chance(struct world *w, unsigned one_in);
int64_t between(struct world *w, int64_t low, int64_t high);
static inline int64_t wall_ms(const struct world *w)
{
    return w->now_ms + w->wall_offset_ms;
}
static inline bool breaks(struct world *w, enum breakage b, unsigned one_in)
{
    return w->options.breakage == b && chance(w, one_in);
}

/* Grow an array of `n` items so that one more fits. */
#define ROOM_FOR_ONE(array, n, cap)                                                                \
    do {                                                                                           \
        if ((n) == (cap)) {                                                                        \
            (cap) = MAX((cap)*2, 16);                                                              \
            (array) = mem_realloc((array), (cap) * sizeof(*(array)));                              \
        }                                                                                          \
    } while (0)

/* server.c */
void server_start(struct world *w, void *arg);
void server_stop(struct world *w, bool power_lost, const char *why);
void server_turn_soon(struct world *w);

/* logger.c */
bool logger_recover(struct world *w, struct tree **tree);
void logger_order(struct world *w, struct node_batch *batch);
void logger_snapshot(struct world *w);
void logger_purge(struct world *w);
void logger_stop(struct world *w);

/* net.c */
struct conn *net_connect(struct world *w, struct client *c);
void net_send_up(struct world *w, struct conn *conn, struct buf *bytes);
void net_send_down(struct world *w, struct conn *conn);
void net_client_leaves(struct world *w, struct conn *conn);
void net_server_closed(struct world *w, struct conn *conn);
void net_server_died(struct world *w);
void net_cut(struct world *w, struct conn *conn);
void net_close_all(struct world *w);

/* tamper.c */
void tamper(struct world *w, struct conn *conn, struct buf *out);
bool tamper_is_on(const struct world *w);

/* client.c */
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

/* journal.c */
void journal_open(struct world *w);
void journal_append(struct world *w, const struct node_batch *batch);
void journal_recovered(struct world *w, const struct tree *tree, int64_t zxid);
void journal_heard(struct world *w, int64_t session_id);
void journal_close(struct world *w);
void journal_compare(struct world *w, const struct tree *tree, const char *what);
const struct model *journal_model(struct world *w, int64_t zxid);
static inline int64_t journal_last(const struct world *w)
{
    return (int64_t)w->n_journal - 1;
}

/* check.c */
void check_sent(struct world *w, struct conn *conn, struct slice bytes);
void check_arrived(struct world *w, const struct conn *conn, int32_t xid);
void check_received(struct world *w, struct conn *conn, struct slice bytes);
void check_no_stall(struct world *w);

/* watchcheck.c */
void watchcheck_greeted(struct client *c);
void watchcheck_expired(struct client *c);
void watchcheck_event(struct world *w, struct conn *conn, const struct zk_reply_header *h,
                      struct slice record);
void watchcheck_settle(struct world *w, struct conn *conn, int64_t zxid);
void watchcheck_nothing_open(struct world *w, struct conn *conn);
void watchcheck_resetting(struct world *w, struct conn *conn, struct slice frame);
void watchcheck_all_reset(struct world *w, struct conn *conn);
void watchcheck_reset(struct world *w, struct conn *conn, struct slice frame, int64_t zxid);
void watchcheck_answered(struct world *w, struct conn *conn, const struct request *r, int32_t err);

/* faults.c */
void faults_begin(struct world *w);
bool faults_hit(const struct world *w);
bool faults_flip_bit(struct world *w);
void faults_flip_back(struct world *w);
void faults_crash_in(struct world *w, uint64_t n_operations);
void faults_clear(struct world *w);
void world_end_well(struct world *w);

/* script.c */
void script_run(struct world *w, const char *path);

#endif
