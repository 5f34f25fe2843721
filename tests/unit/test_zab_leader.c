/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zab_lib.h"

/* ---- Discovery ---- */

/* ZOOKEEPER-790, -1264, -1282, -1291 */
static void the_epoch_is_durable_before_it_is_told(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_at(Z(1, 2), 1, 1));
    assert_string_equal(learner_info(&c, 11, ZAB_FOLLOWERINFO, 1, 6), "SAVE_ACCEPTED 7");
    assert_string_equal(learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 3), "");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0),
                        "SEND 11 LEADERINFO 7.0; SEND 12 LEADERINFO 7.0");
    struct jute_reader r = jute_reader_of(c.fx.list[0].data);
    assert_int_equal(jute_read_int(&r), 0x10000);
    assert_string_equal(ack_epoch(&c, 11, Z(1, 1), 1), "SAVE_CURRENT 7");
    assert_int_equal(zab_epoch(c.z), 1);
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0),
                        "STATE leading synchronization; CHOOSE_SYNC 11 1.1 1.2");
    assert_int_equal(zab_epoch(c.z), 7);
    core_close(&c);
}

static void an_observer_raises_the_epoch_but_makes_no_quorum(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 1, history_at(Z(1, 2), 1, 1));
    assert_string_equal(learner_info(&c, 14, ZAB_OBSERVERINFO, 4, 8), "");
    assert_string_equal(learner_info(&c, 11, ZAB_FOLLOWERINFO, 1, 1), "SAVE_ACCEPTED 9");
    event(&c, ZAB_EV_SAVED, 0);
    assert_string_equal(ack_epoch(&c, 14, Z(1, 2), 1), "");
    core_close(&c);
}

/* Its answer says that it accepted the epoch before: that may have been for another leader. */
static void an_epoch_of_minus_1_acknowledges_nothing(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_at(Z(1, 2), 1, 1));
    learner_info(&c, 11, ZAB_FOLLOWERINFO, 1, 1);
    event(&c, ZAB_EV_SAVED, 0);
    assert_string_equal(ack_epoch(&c, 11, Z(1, 2), -1), "");
    learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1);
    assert_string_equal(ack_epoch(&c, 12, Z(1, 2), 1), "SAVE_CURRENT 2");
    core_close(&c);
}

static void a_learner_that_is_ahead_is_refused(void **state)
{
    (void)state;
    static const struct {
        int64_t zxid;
        int32_t epoch;
    } ahead[] = {{Z(1, 3), 1}, {Z(1, 1), 2}};
    for (size_t i = 0; i < ARRAY_LEN(ahead); i++) {
        struct core c;
        lead(&c, 0, history_at(Z(1, 2), 1, 1));
        learner_info(&c, 11, ZAB_FOLLOWERINFO, 1, 1);
        event(&c, ZAB_EV_SAVED, 0);
        assert_string_equal(ack_epoch(&c, 11, ahead[i].zxid, ahead[i].epoch), "CLOSE_LEARNER 11");
        core_close(&c);
    }
}

/* A leader that was never of an epoch does not take that number for more than it has. */
static void who_asks_for_the_tree_is_not_ahead(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_at(Z(0, 2), 0, 0));
    learner_info(&c, 11, ZAB_FOLLOWERINFO, 1, 0);
    event(&c, ZAB_EV_SAVED, 0);
    assert_string_equal(ack_epoch(&c, 11, ZXID_WANTS_TREE, 0), "SAVE_CURRENT 1");
    core_close(&c);
}

static void strangers_and_old_protocols_are_closed(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_at(Z(1, 2), 1, 1));
    assert_string_equal(learner_info(&c, 19, ZAB_FOLLOWERINFO, 9, 1), "CLOSE_LEARNER 19");
    assert_string_equal(learner_info(&c, 13, ZAB_FOLLOWERINFO, 3, 1), "CLOSE_LEARNER 13");
    assert_string_equal(learner_info(&c, 15, ZAB_FOLLOWERINFO, 1, 0x7fffffff), "CLOSE_LEARNER 15");
    step(&c, (struct zab_event){.type = ZAB_EV_LEARNER_OPENED, .conn = 16});
    assert_string_equal(learner_says(&c, 16, ZAB_FOLLOWERINFO, 0), "CLOSE_LEARNER 16");
    step(&c, (struct zab_event){.type = ZAB_EV_LEARNER_OPENED, .conn = 17});
    assert_string_equal(learner_says(&c, 17, ZAB_REQUEST, 0), "CLOSE_LEARNER 17");
    assert_string_equal(learner_says(&c, 17, ZAB_REQUEST, 0), "");
    core_close(&c);
}

/* Who only says that it is server 1 takes nothing from the one that is in sync. */
static void a_new_connection_replaces_the_old_one_when_it_is_in_sync(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    assert_string_equal(learner_info(&c, 21, ZAB_FOLLOWERINFO, 1, 2), "SEND 21 LEADERINFO 2.0");
    assert_string_equal(learner_info(&c, 31, ZAB_FOLLOWERINFO, 1, 2), "SEND 31 LEADERINFO 2.0");
    event(&c, ZAB_EV_LOGGED, Z(2, 1));
    event(&c, ZAB_EV_PERSISTED, Z(2, 1));
    assert_string_equal(learner_says(&c, 11, ZAB_ACK, Z(2, 1)), "SEND 11 COMMIT 2.1; COMMIT 2.1");
    assert_non_null(strstr(ack_epoch(&c, 31, Z(2, 1), -1), "CLOSE_LEARNER 21;"));
    sync_chosen(&c, 31, ZAB_SYNC_DIFF, 0);
    assert_string_equal(learner_says(&c, 31, ZAB_ACK, Z(2, 0)),
                        "CLOSE_LEARNER 11; SEND 31 UPTODATE -1; LEARNER_READY 31");
    core_close(&c);
}

/* The server itself comes to the end, however many say that they are it. */
static void who_only_says_whose_it_is_replaces_nobody(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_at(Z(1, 2), 1, 1));
    learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1);
    for (uint64_t conn = 100; conn < 110; conn++)
        assert_string_equal(learner_info(&c, conn, ZAB_FOLLOWERINFO, 2, 1), "");
    event(&c, ZAB_EV_SAVED, 0);
    learner_info(&c, 110, ZAB_FOLLOWERINFO, 2, 1);
    ack_epoch(&c, 12, Z(1, 2), 1);
    learner_info(&c, 111, ZAB_FOLLOWERINFO, 2, 1);
    event(&c, ZAB_EV_SAVED, 0);
    sync_chosen(&c, 12, ZAB_SYNC_DIFF, 0);
    for (uint64_t conn = 200; conn < 400; conn++)
        learner_info(&c, conn, ZAB_FOLLOWERINFO, 2, 1);
    assert_non_null(strstr(learner_says(&c, 12, ZAB_ACK, Z(2, 0)), "SEND 12 UPTODATE -1"));
    core_close(&c);
}

/* ---- Synchronisation ---- */

/* ZOOKEEPER-3104: NEWLEADER is behind what it is about. */
static void newleader_comes_behind_the_history(void **state)
{
    (void)state;
    static const struct {
        enum zab_sync sync;
        int64_t zxid;
        const char *trace;
    } cases[] = {
        {ZAB_SYNC_DIFF, 0, "SEND 12 DIFF 1.2; SEND_HISTORY 12 1.1 1.2; SEND 12 NEWLEADER 2.0"},
        {ZAB_SYNC_SNAP, 0, "SEND_TREE 12 1.2; SEND 12 NEWLEADER 2.0"},
        {ZAB_SYNC_TRUNC, 1, "SEND_TREE 12 1.2; SEND 12 NEWLEADER 2.0"}, /* it is across epochs */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct core c;
        lead(&c, 0, history_at(Z(1, 2), 1, 1));
        learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1);
        event(&c, ZAB_EV_SAVED, 0);
        ack_epoch(&c, 12, Z(1, 1), 1);
        event(&c, ZAB_EV_SAVED, 0);
        assert_string_equal(sync_chosen(&c, 12, cases[i].sync, cases[i].zxid), cases[i].trace);
        core_close(&c);
    }
}

static void newleader_bears_the_configuration_with_a_version(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1);
    ack_epoch(&c, 12, Z(1, 2), 1);
    assert_string_equal(sync_chosen(&c, 12, ZAB_SYNC_DIFF, 0),
                        "SEND 12 DIFF 1.2; SEND 12 NEWLEADER 2.0");
    const struct zab_effect *e = &c.fx.list[c.fx.n - 1];
    assert_true(slice_eq_str(e->data, "server.1=a:1:2\nversion=200000000"));
    core_close(&c);
}

/* ZOOKEEPER-1154, -1156 */
static void a_trunc_stays_in_the_epoch_or_becomes_a_tree(void **state)
{
    (void)state;
    static const struct {
        int64_t last, to;
        const char *first;
    } cases[] = {
        {Z(1, 5), Z(1, 2), "SEND 12 TRUNC 1.2; "}, /* a tail of its epoch */
        {Z(0, 9), Z(0, 8), "SEND 12 TRUNC 0.8; "},
        {Z(1, 1), Z(0, 8), "SEND_TREE 12 1.2; "},  /* it may lack what is behind 0.8 */
        {Z(2, 4), Z(1, 2), "SEND 12 TRUNC 1.2; "}, /* it had our initial history */
        {Z(1, 5), Z(1, 5), "SEND_TREE 12 1.2; "},
        {Z(1, 5), Z(1, 4), "SEND_TREE 12 1.2; "}, /* we have no such zxid */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct core c;
        lead_serving(&c, 0);
        learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1);
        ack_epoch(&c, 12, cases[i].last, 1);
        const char *trace = sync_chosen(&c, 12, ZAB_SYNC_TRUNC, cases[i].to);
        assert_int_equal(strncmp(trace, cases[i].first, strlen(cases[i].first)), 0);
        core_close(&c);
    }
}

static void a_diff_for_one_that_is_ahead_becomes_a_tree(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1);
    ack_epoch(&c, 12, Z(1, 5), 1);
    assert_string_equal(sync_chosen(&c, 12, ZAB_SYNC_DIFF, 0),
                        "SEND_TREE 12 1.2; SEND 12 NEWLEADER 2.0");
    core_close(&c);
    lead_serving(&c, 0);
    learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1);
    ack_epoch(&c, 12, Z(2, 0), 1); /* an epoch without transactions */
    assert_string_equal(sync_chosen(&c, 12, ZAB_SYNC_DIFF, 0),
                        "SEND 12 DIFF 1.2; SEND 12 NEWLEADER 2.0");
    core_close(&c);
}

/* Its own tail, of which nobody knew, is part of the initial history. */
static void the_initial_history_is_decided_by_a_quorum(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_at(Z(1, 2), 1, 1));
    learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1);
    event(&c, ZAB_EV_SAVED, 0);
    ack_epoch(&c, 12, Z(1, 1), 1);
    event(&c, ZAB_EV_SAVED, 0);
    sync_chosen(&c, 12, ZAB_SYNC_DIFF, 0);
    assert_string_equal(learner_says(&c, 12, ZAB_ACK, Z(2, 0)),
                        "COMMIT 1.2; STATE leading broadcast; SEND 12 UPTODATE -1; "
                        "LEARNER_READY 12");
    assert_string_equal(learner_says(&c, 12, ZAB_ACK, Z(2, 0)), ""); /* that of UPTODATE */
    core_close(&c);
}

/* A follower that becomes the leader has not applied the end of its log. */
static void the_tree_is_brought_to_the_end_of_the_log(void **state)
{
    (void)state;
    struct core c;
    follow_serving(&c, Z(3, 5), 4);
    proposal(&c, Z(4, 1));
    event(&c, ZAB_EV_PERSISTED, Z(4, 1));
    event(&c, ZAB_EV_LEADER_CLOSED, 0);
    notified(&c, 2, ZAB_LOOKING, 1, Z(4, 1), 2, 4);
    tick(&c, 200);
    learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 4);
    event(&c, ZAB_EV_SAVED, 0);
    ack_epoch(&c, 12, Z(3, 5), 4);
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0),
                        "STATE leading synchronization; APPLY_ALL 4.1; CHOOSE_SYNC 12 3.5 4.1");
    core_close(&c);
}

/* ZOOKEEPER-4685, and 3.8.0 that acknowledges the history too. */
static void acks_before_that_of_newleader_do_not_count(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_at(Z(1, 2), 1, 1));
    learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1);
    event(&c, ZAB_EV_SAVED, 0);
    ack_epoch(&c, 12, Z(1, 1), 1);
    event(&c, ZAB_EV_SAVED, 0);
    sync_chosen(&c, 12, ZAB_SYNC_DIFF, 0);
    assert_string_equal(learner_says(&c, 12, ZAB_ACK, Z(1, 2)), "");
    assert_int_equal(zab_phase(c.z), ZAB_SYNCHRONIZATION);
    assert_non_null(strstr(learner_says(&c, 12, ZAB_ACK, Z(2, 0)), "STATE leading broadcast"));
    assert_string_equal(learner_says(&c, 12, ZAB_ACK, Z(1, 1)), "");
    assert_string_equal(learner_says(&c, 12, ZAB_ACK, Z(2, 1)), "CLOSE_LEARNER 12");
    core_close(&c);
}

/* Proposals that are pending, then all that comes; it counts when it has acknowledged. */
static void a_late_learner_gets_what_is_pending(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 1);
    event(&c, ZAB_EV_LOGGED, Z(2, 1));
    event(&c, ZAB_EV_LOGGED, Z(2, 2));
    event(&c, ZAB_EV_PERSISTED, Z(2, 2));
    learner_says(&c, 11, ZAB_ACK, Z(2, 1));
    event(&c, ZAB_EV_LOGGED, Z(2, 3));
    learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1);
    assert_string_equal(ack_epoch(&c, 12, Z(1, 2), 1), "CHOOSE_SYNC 12 1.2 2.1");
    assert_string_equal(sync_chosen(&c, 12, ZAB_SYNC_DIFF, 0),
                        "SEND 12 DIFF 2.1; SEND_HISTORY 12 1.2 2.1; SEND_PENDING 12 2.1; "
                        "SEND 12 NEWLEADER 2.0");
    assert_string_equal(event(&c, ZAB_EV_LOGGED, Z(2, 4)), "PROPOSE 11 2.4; PROPOSE 12 2.4");
    assert_string_equal(learner_says(&c, 12, ZAB_ACK, Z(2, 0)),
                        "SEND 12 UPTODATE -1; LEARNER_READY 12");
    assert_string_equal(learner_says(&c, 12, ZAB_ACK, Z(2, 2)),
                        "SEND 11 COMMIT 2.2; SEND 12 COMMIT 2.2; COMMIT 2.2");
    /* an observer gets no proposals */
    learner_info(&c, 14, ZAB_OBSERVERINFO, 4, 1);
    ack_epoch(&c, 14, Z(1, 2), 1);
    assert_string_equal(sync_chosen(&c, 14, ZAB_SYNC_DIFF, 0),
                        "SEND 14 DIFF 2.2; SEND_HISTORY 14 1.2 2.2; SEND 14 NEWLEADER 2.0");
    core_close(&c);
}

/* ---- Broadcast ---- */

static void a_quorum_commits_in_order(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 1);
    join(&c, 14, ZAB_OBSERVERINFO, 4, Z(1, 2), 1);
    assert_string_equal(event(&c, ZAB_EV_LOGGED, Z(2, 1)), "PROPOSE 11 2.1");
    assert_string_equal(event(&c, ZAB_EV_LOGGED, Z(2, 2)), "PROPOSE 11 2.2");
    assert_string_equal(learner_says(&c, 14, ZAB_ACK, Z(2, 2)), "");
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(2, 2)), "");
    assert_string_equal(learner_says(&c, 11, ZAB_ACK, Z(2, 2)),
                        "SEND 11 COMMIT 2.1; INFORM 14 2.1; COMMIT 2.1; "
                        "SEND 11 COMMIT 2.2; INFORM 14 2.2; COMMIT 2.2");
    core_close(&c);
}

/* Two others are a quorum: they commit before our own disk has it, and before we apply it. */
static void the_others_may_commit_without_the_leaders_disk(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    join(&c, 12, ZAB_FOLLOWERINFO, 2, Z(1, 2), 1);
    event(&c, ZAB_EV_LOGGED, Z(2, 1));
    assert_string_equal(learner_says(&c, 11, ZAB_ACK, Z(2, 1)), "");
    assert_string_equal(learner_says(&c, 12, ZAB_ACK, Z(2, 1)),
                        "SEND 11 COMMIT 2.1; SEND 12 COMMIT 2.1");
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(2, 1)), "COMMIT 2.1");
    core_close(&c);
}

static void an_ack_is_forgotten_with_its_connection(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    event(&c, ZAB_EV_LOGGED, Z(2, 1));
    learner_says(&c, 11, ZAB_ACK, Z(2, 1));
    step(&c, (struct zab_event){.type = ZAB_EV_LEARNER_CLOSED, .conn = 11});
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(2, 1)), "");
    core_close(&c);
}

static void requests_go_to_the_replica(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    assert_string_equal(learner_says(&c, 11, ZAB_REQUEST, -1), "DELIVER 11");
    assert_string_equal(learner_says(&c, 11, ZAB_REVALIDATE, -1), "DELIVER 11");
    assert_string_equal(learner_says(&c, 11, ZAB_PING, Z(2, 0)), "DELIVER 11");
    assert_string_equal(learner_says(&c, 11, ZAB_COMMIT, Z(2, 1)), "CLOSE_LEARNER 11");
    core_close(&c);
}

/* ---- Time ---- */

static void pings_go_twice_a_tick(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    assert_string_equal(tick(&c, TICK_MS / 2 - 1), "");
    assert_string_equal(tick(&c, 1), "SEND 11 PING 0.1");
    event(&c, ZAB_EV_LOGGED, Z(2, 1));
    assert_string_equal(tick(&c, TICK_MS / 2), "SEND 11 PING 0.2");
    core_close(&c);
}

/* What the leader knows is known to be the newest when a quorum follows it still. */
static void a_round_of_pings_is_confirmed_by_a_quorum(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    assert_string_equal(event(&c, ZAB_EV_CONFIRM, 0), "SEND 11 PING 0.1");
    assert_int_equal(zab_confirmed_round(c.z), 0);
    assert_string_equal(learner_says(&c, 11, ZAB_PING, 1), "CONFIRMED; DELIVER 11");
    assert_int_equal(zab_confirmed_round(c.z), 1);
    assert_string_equal(learner_says(&c, 11, ZAB_PING, 7), "DELIVER 11");
    assert_int_equal(zab_confirmed_round(c.z), 1);
    core_close(&c);
}

static void a_silent_learner_is_closed_and_a_lost_quorum_noticed(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    tick(&c, SYNC_LIMIT * TICK_MS - 1);
    learner_says(&c, 11, ZAB_PING, Z(2, 0));
    assert_null(strstr(tick(&c, SYNC_LIMIT * TICK_MS - 1), "CLOSE"));
    assert_non_null(strstr(tick(&c, 1), "CLOSE_LEARNER 11"));
    tick(&c, TICK_MS / 2);
    assert_non_null(strstr(tick(&c, TICK_MS / 2), "STATE looking election"));
    core_close(&c);
}

/* It answers pings, but its log does not go on (ZOOKEEPER-2247, on the other side). */
static void a_learner_that_does_not_acknowledge_is_closed(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    event(&c, ZAB_EV_LOGGED, Z(2, 1));
    for (int i = 0; i < SYNC_LIMIT; i++) {
        assert_null(strstr(tick(&c, TICK_MS - 1), "CLOSE"));
        learner_says(&c, 11, ZAB_PING, Z(2, 0));
    }
    assert_non_null(strstr(tick(&c, SYNC_LIMIT), "CLOSE_LEARNER 11"));
    core_close(&c);
}

static void without_a_quorum_in_time_it_looks_again(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_at(Z(1, 2), 1, 1));
    learner_info(&c, 11, ZAB_FOLLOWERINFO, 1, 1);
    event(&c, ZAB_EV_SAVED, 0);
    assert_string_equal(tick(&c, INIT_LIMIT * TICK_MS - 1), "");
    assert_string_equal(tick(&c, 1), "CLOSE_LEARNER 11; STATE looking election");
    core_close(&c);
}

/* ---- Epochs end ---- */

static void before_the_counter_ends_a_new_epoch_begins(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    c.z->leader.last_proposed = c.z->logged = c.z->persisted = c.z->decided = Z(2, 0xfffefffe);
    assert_string_equal(event(&c, ZAB_EV_LOGGED, Z(2, 0xfffeffff)), "PROPOSE 11 2.4294901759");
    assert_string_equal(event(&c, ZAB_EV_LOGGED, Z(2, 0xffff0000)),
                        "PROPOSE 11 2.4294901760; NEW_EPOCH 2.4294901760");
    event(&c, ZAB_EV_PERSISTED, Z(2, 0xffff0000));
    assert_null(strstr(learner_says(&c, 11, ZAB_ACK, Z(2, 0xfffeffff)), "STATE"));
    assert_non_null(strstr(learner_says(&c, 11, ZAB_ACK, Z(2, 0xffff0000)),
                           "COMMIT 2.4294901760; CLOSE_LEARNER 11; STATE looking election"));
    core_close(&c);
}

/* It followed a leader that came to nothing, and its epoch is ahead of ours: it stays away until
 * the next election, whose epoch is beyond its own. */
static void a_serving_leader_does_not_give_way_to_a_later_epoch(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    assert_string_equal(learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 6), "SEND 12 LEADERINFO 2.0");
    step(&c, (struct zab_event){.type = ZAB_EV_LEARNER_CLOSED, .conn = 12});
    step(&c, (struct zab_event){.type = ZAB_EV_LEARNER_CLOSED, .conn = 11});
    tick(&c, TICK_MS);
    assert_int_equal(zab_state(c.z), ZAB_LEADING);
    tick(&c, TICK_MS);
    assert_int_equal(zab_state(c.z), ZAB_LOOKING);
    notified(&c, 1, ZAB_LOOKING, 3, Z(1, 2), 2, 2);
    tick(&c, 200);
    assert_string_equal(learner_info(&c, 21, ZAB_FOLLOWERINFO, 1, 2), "SAVE_ACCEPTED 7");
    core_close(&c);
}

/* Epochs would be used up for ever by one packet. */
static void an_absurd_epoch_is_not_believed(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 1);
    assert_string_equal(learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 0x7ffffffd), "CLOSE_LEARNER 12");
    assert_string_equal(learner_info(&c, 14, ZAB_OBSERVERINFO, 4, 3 + EPOCH_AHEAD_MAX),
                        "CLOSE_LEARNER 14");
    core_close(&c);
    lead(&c, 0, history_at(Z(1, 2), 1, 1));
    assert_string_equal(learner_info(&c, 11, ZAB_FOLLOWERINFO, 1, 2 + EPOCH_AHEAD_MAX),
                        "CLOSE_LEARNER 11");
    assert_string_equal(learner_info(&c, 12, ZAB_FOLLOWERINFO, 2, 1), "SAVE_ACCEPTED 2");
    core_close(&c);
}

/* What its followers have is decided without it; its clients wait, and it must not lead on. */
static void a_leader_whose_disk_stands_still_resigns(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    join(&c, 12, ZAB_FOLLOWERINFO, 2, Z(1, 2), 1);
    for (int64_t i = 1; i <= 3; i++) {
        event(&c, ZAB_EV_LOGGED, Z(2, i));
        learner_says(&c, 11, ZAB_ACK, Z(2, i));
        learner_says(&c, 12, ZAB_ACK, Z(2, i));
    }
    tick(&c, 0);
    for (int ms = 0; ms < SYNC_LIMIT * TICK_MS; ms += TICK_MS / 2) {
        assert_int_equal(zab_state(c.z), ZAB_LEADING);
        tick(&c, TICK_MS / 2);
        learner_says(&c, 11, ZAB_PING, zab_ping_round(c.z));
        learner_says(&c, 12, ZAB_PING, zab_ping_round(c.z));
    }
    assert_int_equal(zab_state(c.z), ZAB_LOOKING);
    assert_string_equal(tick(&c, TICK_MS), ""); /* nor does it vote before its log is durable */
    assert_non_null(strstr(event(&c, ZAB_EV_PERSISTED, Z(2, 3)), "NOTIFY 1 looking"));
    core_close(&c);
}

static void a_leader_whose_disk_is_slow_leads_on(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    join(&c, 12, ZAB_FOLLOWERINFO, 2, Z(1, 2), 1);
    for (int64_t i = 1; i <= 4 * SYNC_LIMIT; i++) {
        event(&c, ZAB_EV_LOGGED, Z(2, i));
        learner_says(&c, 11, ZAB_ACK, Z(2, i));
        learner_says(&c, 12, ZAB_ACK, Z(2, i));
        event(&c, ZAB_EV_PERSISTED, Z(2, MAX(i - 2, 0)));
        tick(&c, TICK_MS);
        learner_says(&c, 11, ZAB_PING, zab_ping_round(c.z));
        learner_says(&c, 12, ZAB_PING, zab_ping_round(c.z));
    }
    assert_int_equal(zab_state(c.z), ZAB_LEADING);
    core_close(&c);
}

/* What others have decided with the learner's help may not be in it before our disk has it; the
 * learner waits for that, and is not sent away. */
static void a_tree_has_what_was_decided_when_it_was_asked_for(void **state)
{
    (void)state;
    struct core c;
    lead_serving(&c, 0);
    join(&c, 12, ZAB_FOLLOWERINFO, 2, Z(1, 2), 1);
    for (int64_t i = 1; i <= 2; i++) {
        event(&c, ZAB_EV_LOGGED, Z(2, i));
        learner_says(&c, 11, ZAB_ACK, Z(2, i));
        learner_says(&c, 12, ZAB_ACK, Z(2, i));
    }
    step(&c, (struct zab_event){.type = ZAB_EV_LEARNER_CLOSED, .conn = 12});
    learner_info(&c, 22, ZAB_FOLLOWERINFO, 2, 2);
    assert_string_equal(ack_epoch(&c, 22, ZXID_WANTS_TREE, -1), "CHOOSE_SYNC 22 0.4294967295 2.2");
    assert_string_equal(sync_chosen(&c, 22, ZAB_SYNC_SNAP, -1), "");
    event(&c, ZAB_EV_PERSISTED, Z(2, 1));
    assert_null(strstr(event(&c, ZAB_EV_TREES, 0), "SEND_TREE"));
    event(&c, ZAB_EV_LOGGED, Z(2, 3));
    assert_null(strstr(event(&c, ZAB_EV_PERSISTED, Z(2, 2)), "SEND_TREE"));
    assert_non_null(strstr(event(&c, ZAB_EV_TREES, 0), "SEND_TREE 22 2.2"));
    core_close(&c);
}

/* ---- The configuration ---- */

/* Of an ensemble with reconfigEnabled: the first version is that of a leader's NEWLEADER. */
static void a_learner_may_know_a_version_but_no_reconfiguration(void **state)
{
    (void)state;
    static const struct {
        int64_t version;
        const char *trace;
    } cases[] = {{Z(1, 0), "SAVE_ACCEPTED 2"}, {Z(1, 3), "CLOSE_LEARNER 11"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct core c;
        struct buf b = {0};
        lead(&c, 0, history_at(Z(1, 2), 1, 1));
        step(&c, (struct zab_event){.type = ZAB_EV_LEARNER_OPENED, .conn = 11});
        zk_learner_info_write(&b, &(struct zk_learner_info){1, 0x10000, cases[i].version});
        assert_string_equal(packet(&c, 11, ZAB_FOLLOWERINFO, Z(1, 0), &b), cases[i].trace);
        buf_close(&b);
        core_close(&c);
    }
}

/* ---- Whatever comes ---- */

static void any_packet_in_any_step_is_survived(void **state)
{
    (void)state;
    static const int64_t zxids[] = {0, -1, Z(1, 2), Z(2, 0), Z(2, 1), INT64_MIN, INT64_MAX};
    for (int steps = 0; steps < 5; steps++) {
        for (int32_t type = -1; type < 22; type++) {
            for (size_t k = 0; k < ARRAY_LEN(zxids); k++) {
                struct core c;
                lead_serving(&c, 1);
                step(&c, (struct zab_event){.type = ZAB_EV_LEARNER_OPENED, .conn = 12});
                if (steps > 0)
                    learner_info(&c, 22, ZAB_FOLLOWERINFO, 2, 1);
                if (steps > 1)
                    ack_epoch(&c, 22, Z(1, 1), 1);
                if (steps > 2)
                    sync_chosen(&c, 22, ZAB_SYNC_DIFF, 0);
                if (steps > 3)
                    learner_says(&c, 22, ZAB_ACK, Z(2, 0));
                uint64_t conn = steps > 0 ? 22 : 12;
                number(&c, conn, type, zxids[k], 7);
                learner_says(&c, conn, type, zxids[k]);
                assert_int_equal(zab_state(c.z), ZAB_LEADING);
                core_close(&c);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_epoch_is_durable_before_it_is_told),
        cmocka_unit_test(an_observer_raises_the_epoch_but_makes_no_quorum),
        cmocka_unit_test(an_epoch_of_minus_1_acknowledges_nothing),
        cmocka_unit_test(a_learner_that_is_ahead_is_refused),
        cmocka_unit_test(who_asks_for_the_tree_is_not_ahead),
        cmocka_unit_test(strangers_and_old_protocols_are_closed),
        cmocka_unit_test(a_new_connection_replaces_the_old_one_when_it_is_in_sync),
        cmocka_unit_test(who_only_says_whose_it_is_replaces_nobody),
        cmocka_unit_test(newleader_comes_behind_the_history),
        cmocka_unit_test(newleader_bears_the_configuration_with_a_version),
        cmocka_unit_test(a_trunc_stays_in_the_epoch_or_becomes_a_tree),
        cmocka_unit_test(a_diff_for_one_that_is_ahead_becomes_a_tree),
        cmocka_unit_test(the_initial_history_is_decided_by_a_quorum),
        cmocka_unit_test(the_tree_is_brought_to_the_end_of_the_log),
        cmocka_unit_test(acks_before_that_of_newleader_do_not_count),
        cmocka_unit_test(a_late_learner_gets_what_is_pending),
        cmocka_unit_test(a_quorum_commits_in_order),
        cmocka_unit_test(the_others_may_commit_without_the_leaders_disk),
        cmocka_unit_test(an_ack_is_forgotten_with_its_connection),
        cmocka_unit_test(requests_go_to_the_replica),
        cmocka_unit_test(pings_go_twice_a_tick),
        cmocka_unit_test(a_round_of_pings_is_confirmed_by_a_quorum),
        cmocka_unit_test(a_silent_learner_is_closed_and_a_lost_quorum_noticed),
        cmocka_unit_test(a_learner_that_does_not_acknowledge_is_closed),
        cmocka_unit_test(without_a_quorum_in_time_it_looks_again),
        cmocka_unit_test(before_the_counter_ends_a_new_epoch_begins),
        cmocka_unit_test(a_serving_leader_does_not_give_way_to_a_later_epoch),
        cmocka_unit_test(an_absurd_epoch_is_not_believed),
        cmocka_unit_test(a_leader_whose_disk_stands_still_resigns),
        cmocka_unit_test(a_leader_whose_disk_is_slow_leads_on),
        cmocka_unit_test(a_tree_has_what_was_decided_when_it_was_asked_for),
        cmocka_unit_test(a_learner_may_know_a_version_but_no_reconfiguration),
        cmocka_unit_test(any_packet_in_any_step_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
