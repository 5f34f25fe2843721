/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zab_lib.h"

/* Behind a leader of ZooKeeper's: whose ensemble is it? */
#define SERVES                                                                                     \
    "; NOTIFY 2 following leader=3 zxid= 4.0 round=1 epoch=4"                                      \
    "; NOTIFY 3 following leader=3 zxid= 4.0 round=1 epoch=4"
#define TO_LOOKING "CLOSE_LEADER; STATE looking election"

/* Has a prefix of the history of leader 3, whose epoch is 4. */
static void follow_from(struct core *c, int64_t last)
{
    follow(c, history_at(last, 2, 2), 4);
}

/* ---- Discovery ---- */

/* ZOOKEEPER-790, -1264, -1282, -1291, -2307 */
static void the_epoch_is_durable_before_it_is_acknowledged(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_at(Z(1, 2), 2, 1));
    tick(&c, 0);
    notified(&c, 3, ZAB_LOOKING, 3, Z(4, 0), 1, 4);
    tick(&c, 200);
    assert_string_equal(event(&c, ZAB_EV_LEADER_OPENED, 0), "SEND_LEADER FOLLOWERINFO 2.0");
    const struct zab_effect *e = &c.fx.list[0];
    struct jute_reader r = jute_reader_of(e->data);
    assert_int_equal(jute_read_long(&r), 1);
    assert_int_equal(jute_read_int(&r), 0x10000);
    assert_int_equal(jute_read_long(&r), 0);
    assert_true(trailer_read(&r).is_ours); /* which ZooKeeper's leader does not look at */
    assert_true(jute_done(&r));
    assert_string_equal(leader_info(&c, 4), "SAVE_ACCEPTED 4");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0),
                        "SEND_LEADER ACKEPOCH 1.2 epoch=1; STATE following synchronization");
    core_close(&c);
}

static void an_epoch_that_was_not_saved_was_not_accepted(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_at(Z(1, 2), 2, 1));
    tick(&c, 0);
    notified(&c, 3, ZAB_LOOKING, 3, Z(4, 0), 1, 4);
    tick(&c, 200);
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    leader_info(&c, 4);
    assert_string_equal(event(&c, ZAB_EV_LEADER_CLOSED, 0), TO_LOOKING);
    assert_string_equal(tick(&c, 5000), ""); /* the disk has not answered yet */
    assert_non_null(strstr(event(&c, ZAB_EV_SAVED, 0), "looking leader=1"));
    core_close(&c);
}

static void an_epoch_accepted_before_is_not_acknowledged_again(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_at(Z(1, 2), 4, 1));
    tick(&c, 0);
    notified(&c, 3, ZAB_LOOKING, 3, Z(4, 0), 1, 4);
    tick(&c, 200);
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    assert_string_equal(leader_info(&c, 4),
                        "SEND_LEADER ACKEPOCH 1.2 epoch=-1; STATE following synchronization");
    core_close(&c);
}

static void a_lower_epoch_is_refused(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_at(Z(1, 2), 5, 1));
    tick(&c, 0);
    notified(&c, 3, ZAB_LOOKING, 3, Z(4, 0), 1, 4);
    tick(&c, 200);
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    assert_string_equal(leader_info(&c, 4), TO_LOOKING);
    core_close(&c);
}

/* ---- DIFF ---- */

/* ZOOKEEPER-4643, -3911, -4646, -4785: history, then currentEpoch, then the ACK. */
static void newleader_is_acknowledged_behind_history_and_epoch(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(2, 5));
    assert_string_equal(leader_says(&c, ZAB_DIFF, Z(3, 1)), "");
    assert_string_equal(proposal(&c, Z(2, 6)), "APPEND 2.6");
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(2, 6)), "");
    assert_string_equal(proposal(&c, Z(3, 1)), "APPEND 3.1");
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(3, 1)), "");
    assert_string_equal(leader_says(&c, ZAB_NEWLEADER, Z(4, 0)), "");
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(2, 6)), "");
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(3, 1)), "SAVE_CURRENT 4");
    assert_int_equal(zab_epoch(c.z), 2);
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SEND_LEADER ACK 4.0");
    assert_int_equal(zab_epoch(c.z), 4);
    assert_string_equal(leader_says(&c, ZAB_UPTODATE, -1),
                        "SEND_LEADER ACK 4.0; COMMIT 3.1; STATE following broadcast" SERVES);
    core_close(&c);
}

/* Our own tail is the leader's too if it was not taken back. */
static void an_empty_diff_decides_what_we_had(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(2, 5));
    leader_says(&c, ZAB_DIFF, Z(2, 5));
    assert_string_equal(leader_says(&c, ZAB_NEWLEADER, Z(4, 0)), "SAVE_CURRENT 4");
    event(&c, ZAB_EV_SAVED, 0);
    assert_string_equal(leader_says(&c, ZAB_UPTODATE, -1),
                        "SEND_LEADER ACK 4.0; COMMIT 2.5; STATE following broadcast" SERVES);
    core_close(&c);
}

/* ZOOKEEPER-4685, -4394: proposals that are not decided when NEWLEADER comes. */
static void no_ack_overtakes_that_of_newleader(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(3, 5));
    leader_says(&c, ZAB_DIFF, Z(4, 1));
    proposal(&c, Z(4, 1));
    leader_says(&c, ZAB_COMMIT, Z(4, 1));
    assert_string_equal(proposal(&c, Z(4, 2)), "APPEND 4.2");
    assert_string_equal(proposal(&c, Z(4, 3)), "APPEND 4.3");
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(4, 2)), "");
    leader_says(&c, ZAB_NEWLEADER, Z(4, 0));
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(4, 3)), "SAVE_CURRENT 4");
    assert_string_equal(proposal(&c, Z(4, 4)), "APPEND 4.4");
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(4, 4)), "");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0),
                        "SEND_LEADER ACK 4.0; SEND_LEADER ACK 4.2; SEND_LEADER ACK 4.3; "
                        "SEND_LEADER ACK 4.4");
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(4, 2)), "");
    assert_string_equal(leader_says(&c, ZAB_UPTODATE, -1),
                        "SEND_LEADER ACK 4.0; COMMIT 4.2; STATE following broadcast" SERVES);
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(4, 3)), "COMMIT 4.3");
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(4, 4)), "COMMIT 4.4");
    core_close(&c);
}

/* ---- What does not follow on ---- */

/* ZOOKEEPER-4925 */
static void a_hole_is_not_taken(void **state)
{
    (void)state;
    static const int64_t holes[] = {Z(2, 5), Z(2, 7), Z(2, 4), Z(3, 2), Z(3, 0), Z(5, 1), Z(1, 1)};
    for (size_t i = 0; i < ARRAY_LEN(holes); i++) {
        struct core c;
        follow_from(&c, Z(2, 5));
        leader_says(&c, ZAB_DIFF, Z(3, 9));
        assert_string_equal(proposal(&c, holes[i]), TO_LOOKING);
        core_close(&c);
    }
}

static void an_epoch_ends_committed(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(2, 5));
    leader_says(&c, ZAB_DIFF, Z(3, 9));
    assert_string_equal(proposal(&c, Z(2, 6)), "APPEND 2.6");
    assert_string_equal(proposal(&c, Z(3, 1)), TO_LOOKING);
    core_close(&c);
    follow_from(&c, Z(2, 5));
    leader_says(&c, ZAB_DIFF, Z(3, 9));
    proposal(&c, Z(2, 6));
    assert_string_equal(leader_says(&c, ZAB_NEWLEADER, Z(4, 0)), TO_LOOKING);
    core_close(&c);
}

static void commits_come_in_order(void **state)
{
    (void)state;
    static const int64_t wrong[] = {Z(4, 2), Z(4, 3), Z(4, 0), Z(3, 5)};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct core c;
        follow_serving(&c, Z(3, 5), 4);
        proposal(&c, Z(4, 1));
        proposal(&c, Z(4, 2));
        assert_string_equal(leader_says(&c, ZAB_COMMIT, wrong[i]), TO_LOOKING);
        core_close(&c);
    }
}

static void a_packet_and_its_transaction_agree(void **state)
{
    (void)state;
    struct core c;
    follow_serving(&c, Z(3, 5), 4);
    assert_non_null(strstr(transaction(&c, ZAB_PROPOSAL, Z(4, 1), Z(4, 2)), TO_LOOKING));
    core_close(&c);
    follow_serving(&c, Z(3, 5), 4);
    assert_non_null(strstr(leader_says(&c, ZAB_PROPOSAL, Z(4, 1)), TO_LOOKING));
    core_close(&c);
}

/* ---- TRUNC ---- */

static void a_tail_is_cut_and_replaced(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(2, 5));
    assert_string_equal(leader_says(&c, ZAB_TRUNC, Z(2, 3)), "TRUNCATE 2.3");
    assert_string_equal(event(&c, ZAB_EV_TRUNCATED, Z(2, 3)), "");
    assert_string_equal(proposal(&c, Z(3, 1)), "APPEND 3.1");
    leader_says(&c, ZAB_COMMIT, Z(3, 1));
    leader_says(&c, ZAB_NEWLEADER, Z(4, 0));
    event(&c, ZAB_EV_PERSISTED, Z(3, 1));
    event(&c, ZAB_EV_SAVED, 0);
    assert_non_null(strstr(leader_says(&c, ZAB_UPTODATE, -1), "COMMIT 3.1"));
    core_close(&c);
    follow_from(&c, Z(2, 5));
    leader_says(&c, ZAB_TRUNC, Z(2, 3));
    event(&c, ZAB_EV_TRUNCATED, Z(2, 3));
    assert_string_equal(proposal(&c, Z(2, 5)), TO_LOOKING);
    core_close(&c);
}

/* ZOOKEEPER-1156: what is missing in between would stay missing. */
static void a_log_that_ends_too_early_is_synchronised_anew(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(2, 5));
    leader_says(&c, ZAB_TRUNC, Z(2, 3));
    assert_string_equal(event(&c, ZAB_EV_TRUNCATED, Z(2, 2)), TO_LOOKING);
    assert_non_null(strstr(tick(&c, 200), "zxid= 2.2"));
    core_close(&c);
}

/* ZooKeeper's leaders without transactions have such a zxid. */
static void a_trunc_to_the_begin_of_an_epoch_needs_no_entry(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(2, 5));
    assert_string_equal(leader_says(&c, ZAB_TRUNC, Z(2, 0)), "TRUNCATE 2.0");
    assert_string_equal(event(&c, ZAB_EV_TRUNCATED, Z(1, 7)), "");
    assert_string_equal(proposal(&c, Z(3, 1)), "APPEND 3.1");
    core_close(&c);
}

static void what_is_decided_is_not_taken_back(void **state)
{
    (void)state;
    static const int32_t types[] = {ZAB_TRUNC, ZAB_SNAP};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct core c;
        follow_serving(&c, Z(3, 5), 4);
        event(&c, ZAB_EV_LEADER_CLOSED, 0);
        notified(&c, 3, ZAB_LOOKING, 3, Z(4, 9), 9, 9);
        tick(&c, 200);
        event(&c, ZAB_EV_LEADER_OPENED, 0);
        leader_info(&c, 5);
        event(&c, ZAB_EV_SAVED, 0);
        assert_string_equal(leader_says(&c, types[i], Z(3, 4)), TO_LOOKING);
        core_close(&c);
    }
}

/* The snapshot that we have is ahead: the leader has to send its tree. */
static void a_trunc_that_cannot_be_done_asks_for_the_tree(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(2, 5));
    leader_says(&c, ZAB_TRUNC, Z(2, 3));
    assert_string_equal(event(&c, ZAB_EV_TRUNCATE_FAILED, 0),
                        "CLOSE_LEADER; STATE following discovery; CONNECT 3");
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    assert_string_equal(leader_info(&c, 4), "SEND_LEADER ACKEPOCH 0.4294967295 epoch=-1; "
                                            "STATE following synchronization");
    assert_string_equal(leader_says(&c, ZAB_SNAP, Z(2, 3)), "RECEIVE_TREE 2.3");
    assert_string_equal(event(&c, ZAB_EV_TREE_INSTALLED, Z(2, 3)), "");
    assert_string_equal(leader_says(&c, ZAB_NEWLEADER, Z(4, 0)), "SAVE_CURRENT 4");
    core_close(&c);
}

/* ---- SNAP ---- */

static void behind_a_tree_the_next_transaction_follows_on(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(2, 5));
    assert_string_equal(leader_says(&c, ZAB_SNAP, Z(3, 7)), "RECEIVE_TREE 3.7");
    assert_string_equal(tick(&c, 100000), ""); /* a tree takes its time */
    assert_string_equal(event(&c, ZAB_EV_TREE_INSTALLED, Z(3, 7)), "");
    /* the tree was taken while the leader went on */
    assert_string_equal(proposal(&c, Z(3, 6)), "");
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(3, 6)), "");
    assert_string_equal(proposal(&c, Z(3, 7)), "");
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(3, 7)), "");
    assert_string_equal(proposal(&c, Z(3, 8)), "APPEND 3.8");
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(3, 8)), "");
    assert_string_equal(proposal(&c, Z(3, 10)), TO_LOOKING);
    core_close(&c);
}

static void a_tree_may_end_in_a_zxid_that_only_names_an_epoch(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(2, 5));
    leader_says(&c, ZAB_SNAP, Z(4, 0));
    event(&c, ZAB_EV_TREE_INSTALLED, Z(4, 0));
    assert_string_equal(proposal(&c, Z(4, 1)), "APPEND 4.1");
    leader_says(&c, ZAB_NEWLEADER, Z(4, 0));
    event(&c, ZAB_EV_PERSISTED, Z(4, 1));
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SEND_LEADER ACK 4.0; SEND_LEADER ACK 4.1");
    core_close(&c);
}

/* ZOOKEEPER-3642, -2872: the old history is what is voted with. */
static void a_tree_that_fails_leaves_all_as_it_was(void **state)
{
    (void)state;
    struct core c;
    follow_from(&c, Z(2, 5));
    leader_says(&c, ZAB_SNAP, Z(3, 7));
    assert_string_equal(event(&c, ZAB_EV_LEADER_CLOSED, 0), TO_LOOKING);
    assert_string_equal(tick(&c, 1000), ""); /* whether it is installed is not known yet */
    assert_non_null(strstr(event(&c, ZAB_EV_TREE_FAILED, 0), "zxid= 2.5"));
    core_close(&c);
    follow_from(&c, Z(2, 5));
    leader_says(&c, ZAB_SNAP, Z(3, 7));
    event(&c, ZAB_EV_LEADER_CLOSED, 0);
    tick(&c, 1000);
    assert_non_null(strstr(event(&c, ZAB_EV_TREE_INSTALLED, Z(3, 7)), "zxid= 3.7"));
    core_close(&c);
}

/* ---- Broadcast ---- */

static void each_proposal_is_acknowledged_when_it_is_durable(void **state)
{
    (void)state;
    struct core c;
    follow_serving(&c, Z(3, 5), 4);
    assert_string_equal(proposal(&c, Z(4, 1)), "APPEND 4.1");
    assert_string_equal(proposal(&c, Z(4, 2)), "APPEND 4.2");
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(4, 2)),
                        "SEND_LEADER ACK 4.1; SEND_LEADER ACK 4.2");
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(4, 1)), "COMMIT 4.1");
    core_close(&c);
}

/* ZOOKEEPER-2355: what is applied is decided, and durable here. */
static void a_commit_waits_for_our_own_disk(void **state)
{
    (void)state;
    struct core c;
    follow_serving(&c, Z(3, 5), 4);
    proposal(&c, Z(4, 1));
    proposal(&c, Z(4, 2));
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(4, 1)), "");
    assert_string_equal(leader_says(&c, ZAB_COMMIT, Z(4, 2)), "");
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(4, 1)), "COMMIT 4.1; SEND_LEADER ACK 4.1");
    core_close(&c);
}

static void pings_are_answered_with_sessions(void **state)
{
    (void)state;
    struct core c;
    follow_serving(&c, Z(3, 5), 4);
    assert_string_equal(leader_says(&c, ZAB_PING, Z(4, 0)), "NEED_TOUCHES 4.0");
    assert_string_equal(leader_says(&c, ZAB_SYNC, 0), "DELIVER");
    assert_string_equal(leader_says(&c, ZAB_REVALIDATE, 0), "DELIVER");
    core_close(&c);
}

static void a_silent_leader_is_left(void **state)
{
    (void)state;
    struct core c;
    follow_serving(&c, Z(3, 5), 4);
    assert_string_equal(tick(&c, SYNC_LIMIT * TICK_MS - 1), "");
    leader_says(&c, ZAB_PING, Z(4, 0));
    assert_string_equal(tick(&c, SYNC_LIMIT * TICK_MS - 1), "");
    assert_non_null(strstr(tick(&c, 1), TO_LOOKING));
    core_close(&c);
    follow_from(&c, Z(2, 5));
    assert_string_equal(tick(&c, INIT_LIMIT * TICK_MS - 1), "");
    assert_string_equal(tick(&c, 1), TO_LOOKING);
    core_close(&c);
}

/* A disk that takes nothing for 30 initLimits is not one that the leader waits for any longer,
 * whatever the leader says meanwhile. */
static void a_disk_that_stands_still_is_not_spoken_for(void **state)
{
    (void)state;
    struct core c;
    int pings = 0;
    core_open(&c, 1, 3, 0, history_at(Z(3, 5), 3, 3));
    tick(&c, 0);
    notified(&c, 3, ZAB_LOOKING, 3, Z(3, 6), 1, 3);
    tick(&c, 200);
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    our_leader_info(&c, 4, 0, false);
    event(&c, ZAB_EV_SAVED, 0);
    leader_says(&c, ZAB_DIFF, Z(3, 6));
    proposal(&c, Z(3, 6));
    leader_says(&c, ZAB_COMMIT, Z(3, 6));
    leader_says(&c, ZAB_NEWLEADER, Z(4, 0));
    for (int ticks = 0; ticks < 40 * INIT_LIMIT; ticks++) {
        leader_says(&c, ZAB_PING, ticks + 1);
        pings += strstr(tick(&c, TICK_MS), "SEND_LEADER PING") != NULL;
    }
    assert_in_range(pings, 29 * INIT_LIMIT, 31 * INIT_LIMIT);
    core_close(&c);
}

/* ZOOKEEPER-2845: the vote is of a log that is durable. */
static void the_next_election_waits_for_the_disk(void **state)
{
    (void)state;
    struct core c;
    follow_serving(&c, Z(3, 5), 4);
    proposal(&c, Z(4, 1));
    assert_string_equal(event(&c, ZAB_EV_LEADER_CLOSED, 0), TO_LOOKING);
    assert_string_equal(tick(&c, 1000), "");
    assert_string_equal(notified(&c, 3, ZAB_LOOKING, 3, Z(4, 9), 9, 9), "");
    assert_non_null(strstr(event(&c, ZAB_EV_PERSISTED, Z(4, 1)), "zxid= 4.1"));
    core_close(&c);
}

static void unexpected_packets_end_it(void **state)
{
    (void)state;
    static const int32_t types[] = {ZAB_REQUEST,
                                    ZAB_ACK,
                                    ZAB_NEWLEADER,
                                    ZAB_UPTODATE,
                                    ZAB_FOLLOWERINFO,
                                    ZAB_LEADERINFO,
                                    ZAB_DIFF,
                                    ZAB_SNAP,
                                    ZAB_INFORM,
                                    0,
                                    -1,
                                    77};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct core c;
        follow_serving(&c, Z(3, 5), 4);
        assert_non_null(strstr(leader_says(&c, types[i], Z(4, 1)), TO_LOOKING));
        core_close(&c);
    }
}

/* Whatever comes, in whatever state: no assertion, and the replica looks or goes on. */
static void any_packet_in_any_step_is_survived(void **state)
{
    (void)state;
    for (int steps = 0; steps < 6; steps++) {
        for (int32_t type = -1; type < 22; type++) {
            for (int k = 0; k < 6; k++) {
                static const int64_t zxids[] = {0, -1, Z(2, 6), Z(4, 0), INT64_MIN, INT64_MAX};
                struct core c;
                core_open(&c, 1, 3, 0, history_at(Z(2, 5), 2, 2));
                tick(&c, 0);
                notified(&c, 3, ZAB_LOOKING, 3, Z(4, 0), 1, 4);
                tick(&c, 200);
                if (steps > 0)
                    event(&c, ZAB_EV_LEADER_OPENED, 0);
                if (steps > 1)
                    leader_info(&c, 4);
                if (steps > 2)
                    event(&c, ZAB_EV_SAVED, 0);
                if (steps > 3)
                    leader_says(&c, ZAB_DIFF, Z(2, 5));
                if (steps > 4)
                    leader_says(&c, ZAB_NEWLEADER, Z(4, 0));
                number(&c, 0, type, zxids[k], 0x10000);
                leader_says(&c, type, zxids[k]);
                core_close(&c);
            }
        }
    }
}

/* ---- Observers ---- */

static void an_observer_takes_informs_and_acknowledges_none(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 4, 3, 1, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    notified(&c, 1, ZAB_FOLLOWING, 3, Z(2, 5), 4, 4);
    notified(&c, 3, ZAB_LEADING, 3, Z(2, 5), 4, 4);
    assert_string_equal(event(&c, ZAB_EV_LEADER_OPENED, 0), "SEND_LEADER OBSERVERINFO 2.0");
    leader_info(&c, 4);
    event(&c, ZAB_EV_SAVED, 0);
    leader_says(&c, ZAB_DIFF, Z(2, 6));
    proposal(&c, Z(2, 6));
    leader_says(&c, ZAB_COMMIT, Z(2, 6));
    assert_string_equal(transaction(&c, ZAB_INFORM, Z(4, 1), Z(4, 1)), "APPEND 4.1");
    leader_says(&c, ZAB_NEWLEADER, Z(4, 0));
    event(&c, ZAB_EV_PERSISTED, Z(4, 1));
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SEND_LEADER ACK 4.0");
    assert_string_equal(
        leader_says(&c, ZAB_UPTODATE, -1),
        "SEND_LEADER ACK 4.0; COMMIT 4.1; STATE observing broadcast; NOTIFY 1 observing leader=3 "
        "zxid= 2.5 round=4 epoch=4; NOTIFY 2 observing leader=3 zxid= 2.5 round=4 epoch=4; NOTIFY "
        "3 observing leader=3 zxid= 2.5 round=4 epoch=4");
    assert_string_equal(transaction(&c, ZAB_INFORM, Z(4, 2), Z(4, 2)), "APPEND 4.2");
    assert_string_equal(event(&c, ZAB_EV_PERSISTED, Z(4, 2)), "COMMIT 4.2");
    assert_non_null(strstr(transaction(&c, ZAB_INFORM, Z(4, 4), Z(4, 4)), TO_LOOKING));
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_epoch_is_durable_before_it_is_acknowledged),
        cmocka_unit_test(an_epoch_that_was_not_saved_was_not_accepted),
        cmocka_unit_test(an_epoch_accepted_before_is_not_acknowledged_again),
        cmocka_unit_test(a_lower_epoch_is_refused),
        cmocka_unit_test(newleader_is_acknowledged_behind_history_and_epoch),
        cmocka_unit_test(an_empty_diff_decides_what_we_had),
        cmocka_unit_test(no_ack_overtakes_that_of_newleader),
        cmocka_unit_test(a_hole_is_not_taken),
        cmocka_unit_test(an_epoch_ends_committed),
        cmocka_unit_test(commits_come_in_order),
        cmocka_unit_test(a_packet_and_its_transaction_agree),
        cmocka_unit_test(a_tail_is_cut_and_replaced),
        cmocka_unit_test(a_log_that_ends_too_early_is_synchronised_anew),
        cmocka_unit_test(a_trunc_to_the_begin_of_an_epoch_needs_no_entry),
        cmocka_unit_test(what_is_decided_is_not_taken_back),
        cmocka_unit_test(a_trunc_that_cannot_be_done_asks_for_the_tree),
        cmocka_unit_test(behind_a_tree_the_next_transaction_follows_on),
        cmocka_unit_test(a_tree_may_end_in_a_zxid_that_only_names_an_epoch),
        cmocka_unit_test(a_tree_that_fails_leaves_all_as_it_was),
        cmocka_unit_test(each_proposal_is_acknowledged_when_it_is_durable),
        cmocka_unit_test(a_commit_waits_for_our_own_disk),
        cmocka_unit_test(pings_are_answered_with_sessions),
        cmocka_unit_test(a_silent_leader_is_left),
        cmocka_unit_test(a_disk_that_stands_still_is_not_spoken_for),
        cmocka_unit_test(the_next_election_waits_for_the_disk),
        cmocka_unit_test(unexpected_packets_end_it),
        cmocka_unit_test(any_packet_in_any_step_is_survived),
        cmocka_unit_test(an_observer_takes_informs_and_acknowledges_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
