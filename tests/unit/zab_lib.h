/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For the tests of one consensus core: a test plays the rest of the world and compares the effects
 * of each step, as text, with what it expects. Include behind cmocka.h.
 *
 * One effect is "NAME arguments"; several are joined by "; ". Zxids are written EPOCH.COUNTER. */
#ifndef ZAB_LIB_H
#define ZAB_LIB_H

#include <stdio.h>

#include "../../src/zab/internal.h"

#define Z(epoch, counter) ((int64_t)(epoch) << 32 | (counter))
#define TEXT "server.1=a:1:2\nversion=0"

enum {
    TICK_MS = 100,
    INIT_LIMIT = 10,
    SYNC_LIMIT = 5,
};

struct core {
    struct zab *z;
    struct zab_effects fx;
    int64_t now_ms;
    char trace[4096];
};

/* What the cores that are opened propose as their ensemble's id. */
static int64_t core_fresh_id;

static inline struct zab_history history_at(int64_t last_zxid, int64_t accepted, int64_t current)
{
    return (struct zab_history){
        .last_zxid = last_zxid, .accepted_epoch = accepted, .current_epoch = current};
}

static inline void core_open(struct core *c, int64_t sid, size_t n_voters, size_t n_observers,
                             struct zab_history history)
{
    struct zab_server servers[8];
    size_t n = n_voters + n_observers;
    for (size_t i = 0; i < n; i++)
        servers[i] = (struct zab_server){(int64_t)i + 1, i >= n_voters, 1, 0};
    struct zab_config config = {.sid = sid,
                                .servers = servers,
                                .n_servers = n,
                                .tick_ms = TICK_MS,
                                .init_limit = INIT_LIMIT,
                                .sync_limit = SYNC_LIMIT,
                                .config_text = slice_str(TEXT),
                                .fresh_id = core_fresh_id};
    *c = (struct core){.now_ms = 1000};
    c->z = zab_open(&config, &history, c->now_ms);
}

static inline void core_close(struct core *c)
{
    zab_close(c->z);
    zab_effects_close(&c->fx);
}

static inline const char *packet_name(int32_t type)
{
    static const char *const names[] = {
        "?",         "REQUEST",      "PROPOSAL",   "ACK",      "COMMIT",
        "PING",      "REVALIDATE",   "SYNC",       "INFORM",   "?",
        "NEWLEADER", "FOLLOWERINFO", "UPTODATE",   "DIFF",     "TRUNC",
        "SNAP",      "OBSERVERINFO", "LEADERINFO", "ACKEPOCH", "?"};
    return type >= 0 && (size_t)type < ARRAY_LEN(names) ? names[type] : "?";
}

static inline void trace_zxid(struct buf *b, int64_t zxid)
{
    if (zxid == -1)
        buf_printf(b, " -1");
    else
        buf_printf(b, " %lld.%lld", (long long)zxid_epoch(zxid), (long long)zxid_counter(zxid));
}

static inline void trace_notification(struct buf *b, const struct zab_effect *e)
{
    struct jute_reader r = jute_reader_of(e->data);
    int32_t state = jute_read_int(&r);
    long long leader = jute_read_long(&r);
    int64_t zxid = jute_read_long(&r);
    long long round = jute_read_long(&r), epoch = jute_read_long(&r);
    buf_printf(b, "NOTIFY %lld %s leader=%lld zxid=", (long long)e->sid,
               zab_state_name((enum zab_state)state), leader);
    trace_zxid(b, zxid);
    buf_printf(b, " round=%lld epoch=%lld", round, epoch);
}

static inline void trace_packet(struct buf *b, const struct zab_effect *e)
{
    if (e->type == ZAB_FX_SEND)
        buf_printf(b, "SEND %d %s", (int)e->conn, packet_name(e->packet_type));
    else
        buf_printf(b, "SEND_LEADER %s", packet_name(e->packet_type));
    trace_zxid(b, e->zxid);
    struct jute_reader r = jute_reader_of(e->data);
    if (e->packet_type == ZAB_ACKEPOCH)
        buf_printf(b, " epoch=%d", jute_read_int(&r));
}

static inline void trace_state(struct buf *b, const struct zab_effect *e)
{
    static const char *const phases[] = {"election", "discovery", "synchronization", "broadcast"};
    buf_printf(b, "STATE %s %s", zab_state_name(e->state), phases[e->phase]);
}

static inline void trace_effect(struct buf *b, const struct zab_effect *e)
{
    static const char *const names[] = {
        [ZAB_FX_CLOSE_LEADER] = "CLOSE_LEADER",
        [ZAB_FX_CLOSE_LEARNER] = "CLOSE_LEARNER",
        [ZAB_FX_APPLY_ALL] = "APPLY_ALL",
        [ZAB_FX_CHOOSE_SYNC] = "CHOOSE_SYNC",
        [ZAB_FX_SEND_HISTORY] = "SEND_HISTORY",
        [ZAB_FX_SEND_PENDING] = "SEND_PENDING",
        [ZAB_FX_SEND_TREE] = "SEND_TREE",
        [ZAB_FX_PROPOSE] = "PROPOSE",
        [ZAB_FX_INFORM] = "INFORM",
        [ZAB_FX_APPEND] = "APPEND",
        [ZAB_FX_TRUNCATE] = "TRUNCATE",
        [ZAB_FX_RECEIVE_TREE] = "RECEIVE_TREE",
        [ZAB_FX_COMMIT] = "COMMIT",
        [ZAB_FX_LEARNER_READY] = "LEARNER_READY",
        [ZAB_FX_DELIVER] = "DELIVER",
        [ZAB_FX_NEED_TOUCHES] = "NEED_TOUCHES",
        [ZAB_FX_NEW_EPOCH] = "NEW_EPOCH",
        [ZAB_FX_CONFIRMED] = "CONFIRMED",
        [ZAB_FX_LOG] = NULL,
    };
    switch (e->type) {
    case ZAB_FX_NOTIFY:
        trace_notification(b, e);
        return;
    case ZAB_FX_SEND:
    case ZAB_FX_SEND_LEADER:
        trace_packet(b, e);
        return;
    case ZAB_FX_STATE:
        trace_state(b, e);
        return;
    case ZAB_FX_SAVE_ACCEPTED_EPOCH:
        buf_printf(b, "SAVE_ACCEPTED %lld", (long long)e->value);
        return;
    case ZAB_FX_SAVE_CURRENT_EPOCH:
        buf_printf(b, "SAVE_CURRENT %lld", (long long)e->value);
        return;
    case ZAB_FX_SAVE_PROPOSED_ID:
        buf_printf(b, "SAVE_PROPOSED_ID %lld", (long long)e->value);
        return;
    case ZAB_FX_SAVE_ENSEMBLE_ID:
        buf_printf(b, "SAVE_ID %lld", (long long)e->value);
        return;
    case ZAB_FX_CONNECT:
        buf_printf(b, "CONNECT %lld", (long long)e->sid);
        return;
    default:
        break;
    }
    buf_printf(b, "%s", names[e->type]);
    if (e->conn)
        buf_printf(b, " %d", (int)e->conn);
    if (e->zxid)
        trace_zxid(b, e->zxid);
    if (e->to_zxid)
        trace_zxid(b, e->to_zxid);
}

/* One step; its effects as text, without LOG. */
static inline const char *step(struct core *c, struct zab_event ev)
{
    struct buf b = {0};
    ev.now_ms = c->now_ms;
    zab_step(c->z, &ev, &c->fx);
    for (size_t i = 0; i < c->fx.n; i++) {
        if (c->fx.list[i].type == ZAB_FX_LOG)
            continue;
        if (b.len > 0)
            buf_printf(&b, "; ");
        trace_effect(&b, &c->fx.list[i]);
    }
    snprintf(c->trace, sizeof(c->trace), "%.*s", (int)b.len, b.data ? (char *)b.data : "");
    buf_close(&b);
    return c->trace;
}

static inline const char *event(struct core *c, enum zab_event_type type, int64_t zxid)
{
    return step(c, (struct zab_event){.type = type, .zxid = zxid});
}

static inline const char *tick(struct core *c, int64_t later_ms)
{
    c->now_ms += later_ms;
    return step(c, (struct zab_event){.type = ZAB_EV_TICK});
}

/* ---- Packets ---- */

static inline const char *packet(struct core *c, uint64_t conn, int32_t type, int64_t zxid,
                                 const struct buf *data)
{
    struct zk_quorum_packet p = {type, zxid, data ? buf_slice(data) : SLICE_NULL, JUTE_VECTOR_NULL};
    return step(c, (struct zab_event){.type = conn ? ZAB_EV_LEARNER_PACKET : ZAB_EV_LEADER_PACKET,
                                      .conn = conn,
                                      .packet = &p});
}

/* From the leader, without data. */
static inline const char *leader_says(struct core *c, int32_t type, int64_t zxid)
{
    return packet(c, 0, type, zxid, NULL);
}

static inline const char *learner_says(struct core *c, uint64_t conn, int32_t type, int64_t zxid)
{
    return packet(c, conn, type, zxid, NULL);
}

/* PROPOSAL or INFORM: a packet for `zxid` with the transaction `txn_zxid`. */
static inline const char *transaction(struct core *c, int32_t type, int64_t zxid, int64_t txn_zxid)
{
    struct buf b = {0};
    zk_txn_header_write(&b, &(struct zk_txn_header){.zxid = txn_zxid});
    const char *trace = packet(c, 0, type, zxid, &b);
    buf_close(&b);
    return trace;
}

static inline const char *proposal(struct core *c, int64_t zxid)
{
    return transaction(c, ZAB_PROPOSAL, zxid, zxid);
}

static inline const char *number(struct core *c, uint64_t conn, int32_t type, int64_t zxid,
                                 int32_t n)
{
    struct buf b = {0};
    jute_write_int(&b, n);
    const char *trace = packet(c, conn, type, zxid, &b);
    buf_close(&b);
    return trace;
}

static inline const char *leader_info(struct core *c, int64_t epoch)
{
    return number(c, 0, ZAB_LEADERINFO, Z(epoch, 0), 0x10000);
}

static inline const char *ack_epoch(struct core *c, uint64_t conn, int64_t zxid, int32_t epoch)
{
    return number(c, conn, ZAB_ACKEPOCH, zxid, epoch);
}

static inline const char *learner_info(struct core *c, uint64_t conn, int32_t type, int64_t sid,
                                       int64_t accepted)
{
    struct buf b = {0};
    step(c, (struct zab_event){.type = ZAB_EV_LEARNER_OPENED, .conn = conn});
    zk_learner_info_write(&b, &(struct zk_learner_info){sid, 0x10000, 0});
    const char *trace = packet(c, conn, type, Z(accepted, 0), &b);
    buf_close(&b);
    return trace;
}

/* The same from a server of ours, which belongs to the ensemble `id`. */
static inline const char *our_learner_info(struct core *c, uint64_t conn, int64_t sid,
                                           int64_t accepted, int64_t id)
{
    struct buf b = {0};
    step(c, (struct zab_event){.type = ZAB_EV_LEARNER_OPENED, .conn = conn});
    zk_learner_info_write(&b, &(struct zk_learner_info){sid, 0x10000, 0});
    trailer_write(&b, id, false);
    const char *trace = packet(c, conn, ZAB_FOLLOWERINFO, Z(accepted, 0), &b);
    buf_close(&b);
    return trace;
}

static inline const char *our_leader_info(struct core *c, int64_t epoch, int64_t id, bool is_new)
{
    struct buf b = {0};
    jute_write_int(&b, 0x10000);
    trailer_write(&b, id, is_new);
    const char *trace = packet(c, 0, ZAB_LEADERINFO, Z(epoch, 0), &b);
    buf_close(&b);
    return trace;
}

static inline const char *sync_chosen(struct core *c, uint64_t conn, enum zab_sync sync,
                                      int64_t zxid)
{
    return step(c, (struct zab_event){
                       .type = ZAB_EV_SYNC_CHOSEN, .conn = conn, .sync = sync, .zxid = zxid});
}

/* ---- Notifications ---- */

static inline const char *notified_with(struct core *c, struct trailer trailer, int64_t sid,
                                        enum zab_state state, int64_t leader, int64_t zxid,
                                        int64_t round, int64_t epoch)
{
    struct buf b = {0};
    jute_write_int(&b, state);
    jute_write_long(&b, leader);
    jute_write_long(&b, zxid);
    jute_write_long(&b, round);
    jute_write_long(&b, epoch);
    jute_write_int(&b, 2);
    jute_write_buffer(&b, slice_str(TEXT));
    if (trailer.is_ours)
        trailer_write(&b, trailer.ensemble_id, trailer.is_new);
    const char *trace =
        step(c, (struct zab_event){.type = ZAB_EV_NOTIFICATION, .sid = sid, .data = buf_slice(&b)});
    buf_close(&b);
    return trace;
}

/* From a server of ours of the ensemble `id`; -1: from one of ZooKeeper's. */
static inline const char *notified_by(struct core *c, int64_t id, int64_t sid, enum zab_state state,
                                      int64_t leader, int64_t zxid, int64_t round, int64_t epoch)
{
    return notified_with(c, (struct trailer){id >= 0, id, false}, sid, state, leader, zxid, round,
                         epoch);
}

static inline const char *notified(struct core *c, int64_t sid, enum zab_state state,
                                   int64_t leader, int64_t zxid, int64_t round, int64_t epoch)
{
    return notified_by(c, -1, sid, state, leader, zxid, round, epoch);
}

/* ---- Ways to get somewhere; the core is one of three voters ---- */

/* Server 1 follows server 3, whose epoch is `epoch`, and has told what it has. */
static inline void follow(struct core *c, struct zab_history history, int64_t epoch)
{
    core_open(c, 1, 3, 0, history);
    tick(c, 0);
    notified(c, 3, ZAB_LOOKING, 3, Z(epoch, 0), 1, epoch);
    assert_string_equal(tick(c, 200), "STATE following discovery; CONNECT 3");
    event(c, ZAB_EV_LEADER_OPENED, 0);
    leader_info(c, epoch);
    event(c, ZAB_EV_SAVED, 0);
}

/* Server 1 is a follower that serves; its history is the leader's and ends at `last`. */
static inline void follow_serving(struct core *c, int64_t last, int64_t epoch)
{
    follow(c, history_at(last, epoch - 1, epoch - 1), epoch);
    leader_says(c, ZAB_DIFF, last);
    leader_says(c, ZAB_NEWLEADER, Z(epoch, 0));
    event(c, ZAB_EV_SAVED, 0);
    leader_says(c, ZAB_UPTODATE, -1);
    assert_int_equal(zab_phase(c->z), ZAB_BROADCAST);
}

/* Server 3 leads and waits for the epochs of learners. */
static inline void lead(struct core *c, size_t n_observers, struct zab_history history)
{
    core_open(c, 3, 3, n_observers, history);
    tick(c, 0);
    notified(c, 1, ZAB_LOOKING, 3, history.last_zxid, 1, history.current_epoch);
    assert_string_equal(tick(c, 200), "STATE leading discovery");
}

/* Learner `conn`, server `sid`, is synchronised and has acknowledged NEWLEADER. */
static inline void join(struct core *c, uint64_t conn, int32_t type, int64_t sid, int64_t last,
                        int32_t epoch)
{
    learner_info(c, conn, type, sid, epoch);
    ack_epoch(c, conn, last, epoch);
    sync_chosen(c, conn, ZAB_SYNC_DIFF, 0);
    learner_says(c, conn, ZAB_ACK, Z(zab_epoch(c->z), 0));
}

/* Server 3 leads epoch 2 and serves, with learner 11, server 1; its history ends at 1.2. */
static inline void lead_serving(struct core *c, size_t n_observers)
{
    lead(c, n_observers, history_at(Z(1, 2), 1, 1));
    learner_info(c, 11, ZAB_FOLLOWERINFO, 1, 1);
    event(c, ZAB_EV_SAVED, 0);
    ack_epoch(c, 11, Z(1, 2), 1);
    event(c, ZAB_EV_SAVED, 0);
    sync_chosen(c, 11, ZAB_SYNC_DIFF, 0);
    learner_says(c, 11, ZAB_ACK, Z(2, 0));
    assert_int_equal(zab_phase(c->z), ZAB_BROADCAST);
}

#endif
