/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zab_lib.h"

#define BYTES(literal) slice_of(literal, sizeof(literal) - 1)

static const char *raw(struct core *c, int64_t sid, struct slice message)
{
    return step(c, (struct zab_event){.type = ZAB_EV_NOTIFICATION, .sid = sid, .data = message});
}

/* ---- Messages ---- */

static void a_vote_is_told_in_version_2_with_the_configuration(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_at(Z(1, 2), 1, 1));
    assert_string_equal(tick(&c, 0), "NOTIFY 2 looking leader=1 zxid= 1.2 round=1 epoch=1; "
                                     "NOTIFY 3 looking leader=1 zxid= 1.2 round=1 epoch=1");
    const struct zab_effect *e = &c.fx.list[1];
    assert_true(slice_eq(e->data, BYTES("\0\0\0\0"
                                        "\0\0\0\0\0\0\0\x01"
                                        "\0\0\0\x01\0\0\0\x02"
                                        "\0\0\0\0\0\0\0\x01"
                                        "\0\0\0\0\0\0\0\x01"
                                        "\0\0\0\x02"
                                        "\0\0\0\x18" TEXT "zabd"
                                        "\0\0\0\0\0\0\0\0"
                                        "\0")));
    core_close(&c);
}

/* 28 bytes: the epoch is the zxid's. 40: no version. 44: version 1. */
static void all_lengths_of_history_are_read(void **state)
{
    (void)state;
    static const char message[] = "\0\0\0\0"
                                  "\0\0\0\0\0\0\0\x03"
                                  "\0\0\0\x05\0\0\0\x02"
                                  "\0\0\0\0\0\0\0\x01"
                                  "\0\0\0\0\0\0\0\x05"
                                  "\0\0\0\x01"
                                  "\0\0\0\0";
    static const size_t lengths[] = {28, 40, 44};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct core c;
        core_open(&c, 1, 3, 0, history_at(Z(1, 2), 1, 1));
        tick(&c, 0);
        raw(&c, 3, slice_of(message, lengths[i]));
        assert_string_equal(tick(&c, 200), "STATE following discovery; CONNECT 3");
        core_close(&c);
    }
}

/* ZOOKEEPER-3769 */
static void a_malformed_message_is_skipped(void **state)
{
    (void)state;
    static const char message[] = "\0\0\0\0"
                                  "\0\0\0\0\0\0\0\x03"
                                  "\0\0\0\x05\0\0\0\x02"
                                  "\0\0\0\0\0\0\0\x01"
                                  "\0\0\0\0\0\0\0\x05"
                                  "\0\0\0\x02"
                                  "\0\0\0\x03"
                                  "abc";
    struct core c;
    core_open(&c, 1, 3, 0, history_at(Z(1, 2), 1, 1));
    tick(&c, 0);
    for (size_t len = 0; len < sizeof(message) - 1; len++) {
        if (len != 28 && len != 40)
            assert_string_equal(raw(&c, 3, slice_of(message, len)), "");
    }
    assert_string_equal(raw(&c, 3,
                            BYTES("\0\0\0\x04\0\0\0\0\0\0\0\x03\0\0\0\x05\0\0\0\x02"
                                  "\0\0\0\0\0\0\0\x01")),
                        ""); /* there is no state 4 */
    assert_string_equal(raw(&c, 3,
                            BYTES("\0\0\0\0\0\0\0\0\0\0\0\x03\0\0\0\x05\0\0\0\x02"
                                  "\x7f\xff\xff\xff\xff\xff\xff\xff")),
                        ""); /* nor that many rounds */
    assert_int_equal(zab_state(c.z), ZAB_LOOKING);
    core_close(&c);
}

/* ---- Rounds ---- */

#define assert_told(said, format, sid)                                                             \
    do {                                                                                           \
        char want[128];                                                                            \
        snprintf(want, sizeof(want), format, sid);                                                 \
        assert_string_equal(said, want);                                                           \
    } while (0)

static void better_votes_win_by_epoch_then_zxid_then_server(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2, 5, 0, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    const char *ours = "NOTIFY %d looking leader=2 zxid= 2.5 round=1 epoch=2";
    assert_told(notified(&c, 5, ZAB_LOOKING, 5, Z(2, 9), 1, 1), ours, 5);
    assert_told(notified(&c, 4, ZAB_LOOKING, 4, Z(2, 4), 1, 2), ours, 4);
    assert_told(notified(&c, 1, ZAB_LOOKING, 1, Z(2, 5), 1, 2), ours, 1);
    assert_non_null(strstr(notified(&c, 3, ZAB_LOOKING, 3, Z(2, 5), 1, 2),
                           "NOTIFY 1 looking leader=3 zxid= 2.5 round=1 epoch=2"));
    assert_non_null(strstr(notified(&c, 1, ZAB_LOOKING, 1, Z(2, 6), 1, 2), "leader=1"));
    assert_non_null(strstr(notified(&c, 5, ZAB_LOOKING, 5, Z(1, 1), 1, 3), "leader=5"));
    core_close(&c);
}

/* It may have acknowledged what the others do not know of. */
static void an_empty_disk_votes_for_no_history_before_all_have_voted(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, (struct zab_history){0});
    tick(&c, 0);
    assert_string_equal(notified(&c, 2, ZAB_LOOKING, 2, Z(1, 5), 1, 1), "");
    assert_null(strstr(notified(&c, 2, ZAB_LOOKING, 2, Z(1, 5), 2, 1), "leader=2"));
    assert_non_null(strstr(notified(&c, 3, ZAB_LOOKING, 3, Z(1, 4), 2, 1), "leader=2"));
    core_close(&c);

    core_open(&c, 1, 3, 0, (struct zab_history){0});
    tick(&c, 0);
    notified(&c, 2, ZAB_FOLLOWING, 3, Z(1, 5), 7, 1);
    assert_int_equal(zab_state(c.z), ZAB_LOOKING);
    notified(&c, 3, ZAB_LEADING, 3, Z(1, 5), 7, 1);
    assert_int_equal(zab_state(c.z), ZAB_FOLLOWING);
    core_close(&c);

    core_open(&c, 1, 3, 0, (struct zab_history){0});
    tick(&c, 0);
    assert_non_null(strstr(notified(&c, 2, ZAB_LOOKING, 2, Z(0, 0), 1, 0), "leader=2"));
    core_close(&c);

    /* Nor do empty ones elect one of theirs beside somebody who has a history. */
    core_open(&c, 1, 5, 0, (struct zab_history){0});
    tick(&c, 0);
    notified(&c, 4, ZAB_LOOKING, 4, Z(1, 5), 1, 1);
    notified(&c, 2, ZAB_LOOKING, 3, Z(0, 0), 1, 0);
    notified(&c, 3, ZAB_LOOKING, 3, Z(0, 0), 1, 0);
    tick(&c, 1000);
    assert_int_equal(zab_state(c.z), ZAB_LOOKING);
    assert_non_null(strstr(notified(&c, 5, ZAB_LOOKING, 4, Z(1, 5), 1, 1), "leader=4"));
    core_close(&c);
}

static void a_later_round_is_joined_an_earlier_one_is_answered(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2, 3, 0, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    assert_string_equal(notified(&c, 1, ZAB_LOOKING, 1, Z(1, 1), 7, 1),
                        "NOTIFY 1 looking leader=2 zxid= 2.5 round=7 epoch=2; "
                        "NOTIFY 3 looking leader=2 zxid= 2.5 round=7 epoch=2");
    assert_string_equal(notified(&c, 3, ZAB_LOOKING, 3, Z(9, 1), 6, 9),
                        "NOTIFY 3 looking leader=2 zxid= 2.5 round=7 epoch=2");
    core_close(&c);
}

static void a_better_vote_may_come_while_the_outcome_waits(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2, 3, 0, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    notified(&c, 1, ZAB_LOOKING, 2, Z(2, 5), 1, 2);
    assert_string_equal(tick(&c, 190), "");
    notified(&c, 3, ZAB_LOOKING, 3, Z(2, 6), 1, 2);
    assert_string_equal(tick(&c, 10), "");
    assert_string_equal(tick(&c, 190), "STATE following discovery; CONNECT 3");
    core_close(&c);
}

/* One that looked while the outcome was waited for gets it. */
static void who_looked_meanwhile_is_answered_at_the_end(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2, 3, 0, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    notified(&c, 1, ZAB_LOOKING, 2, Z(2, 5), 1, 2);
    assert_string_equal(notified(&c, 3, ZAB_LOOKING, 3, Z(1, 1), 5, 1), "");
    assert_string_equal(tick(&c, 200), "STATE leading discovery; "
                                       "NOTIFY 3 leading leader=2 zxid= 2.5 round=1 epoch=2");
    core_close(&c);
}

/* Up to once a tick, so that a healed network has a leader within two. */
static void the_vote_is_told_again_at_least_every_tick(void **state)
{
    (void)state;
    enum { LONG_TICK_MS = 2000 };
    struct core c = {.now_ms = 1000};
    struct zab_server servers[] = {{1, false, 1, 0}, {2, false, 1, 0}, {3, false, 1, 0}};
    struct zab_config config = {.sid = 2,
                                .servers = servers,
                                .n_servers = 3,
                                .tick_ms = LONG_TICK_MS,
                                .init_limit = INIT_LIMIT,
                                .sync_limit = SYNC_LIMIT};
    struct zab_history history = history_at(Z(2, 5), 2, 2);
    c.z = zab_open(&config, &history, c.now_ms);
    tick(&c, 0);
    for (int64_t wait = 200; wait < LONG_TICK_MS; wait *= 2) {
        assert_string_equal(tick(&c, wait - 1), "");
        assert_non_null(strstr(tick(&c, 1), "NOTIFY 3"));
    }
    for (int i = 0; i < 3; i++) {
        assert_string_equal(tick(&c, LONG_TICK_MS - 1), "");
        assert_non_null(strstr(tick(&c, 1), "NOTIFY 3"));
    }
    core_close(&c);
}

/* Else no election would ever end again, until all processes were restarted. */
static void an_absurd_round_is_not_joined(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2, 3, 0, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    assert_string_equal(notified(&c, 3, ZAB_LOOKING, 3, Z(2, 6), INT64_MAX / 2, 2), "");
    notified(&c, 1, ZAB_FOLLOWING, 3, Z(2, 5), 7, 3);
    assert_non_null(strstr(notified(&c, 3, ZAB_LEADING, 3, Z(2, 5), INT64_MAX / 2, 3),
                           "STATE following discovery"));
    assert_true(c.z->election.round < 10);
    core_close(&c);
}

static void what_is_ignored_does_not_put_the_outcome_off(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 3, 3, 0, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    notified(&c, 2, ZAB_LOOKING, 3, Z(2, 5), 1, 2);
    assert_true(c.z->election.finalizing);
    for (int i = 0; i < 10 && c.z->state == ZAB_LOOKING; i++) {
        notified(&c, 2, ZAB_LOOKING, 2, Z(2, 6), INT64_MAX / 2, 2);
        notified(&c, 1, ZAB_LOOKING, 1, Z(2, 6), 0, 2);
        tick(&c, 50);
    }
    assert_int_equal(c.z->state, ZAB_LEADING);
    core_close(&c);
}

/* It would be answered, and answer, without end. */
static void an_observer_does_not_argue(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 4, 3, 1, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    notified(&c, 3, ZAB_LOOKING, 3, Z(2, 6), 1, 2);
    assert_string_equal(notified(&c, 1, ZAB_LOOKING, 1, Z(2, 1), 1, 2), "");
    core_close(&c);
}

static void a_new_connection_gets_the_vote(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2, 3, 1, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    assert_string_equal(step(&c, (struct zab_event){.type = ZAB_EV_PEER_UP, .sid = 1}),
                        "NOTIFY 1 looking leader=2 zxid= 2.5 round=1 epoch=2");
    assert_string_equal(step(&c, (struct zab_event){.type = ZAB_EV_PEER_UP, .sid = 4}), "");
    core_close(&c);
}

/* Instead of a vote that waits there since before the election ended. */
static void a_new_connection_gets_the_outcome(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_at(Z(1, 2), 1, 1));
    assert_string_equal(step(&c, (struct zab_event){.type = ZAB_EV_PEER_UP, .sid = 2}),
                        "NOTIFY 2 leading leader=3 zxid= 1.2 round=1 epoch=1");
    core_close(&c);
}

/* What a server with a wrong tree has acknowledged is in its log all the same. */
static void a_diverged_server_follows_nobody_who_has_less(void **state)
{
    (void)state;
    struct core c;
    follow_serving(&c, Z(2, 5), 3);
    proposal(&c, Z(3, 1));
    event(&c, ZAB_EV_PERSISTED, Z(3, 1));
    assert_non_null(strstr(event(&c, ZAB_EV_DIVERGED, 0), "STATE looking"));
    assert_null(strstr(notified(&c, 2, ZAB_LOOKING, 2, Z(2, 5), 2, 3), "leader=2"));
    tick(&c, INIT_LIMIT * TICK_MS - 1);
    assert_int_equal(zab_state(c.z), ZAB_LOOKING);
    assert_non_null(strstr(notified(&c, 2, ZAB_LOOKING, 2, Z(3, 1), 2, 3), "leader=2"));
    core_close(&c);

    follow_serving(&c, Z(2, 5), 3); /* and where nobody else has as much it leads */
    proposal(&c, Z(3, 1));
    event(&c, ZAB_EV_PERSISTED, Z(3, 1));
    event(&c, ZAB_EV_DIVERGED, 0);
    notified(&c, 2, ZAB_LOOKING, 2, Z(2, 5), 2, 3);
    assert_non_null(strstr(tick(&c, INIT_LIMIT * TICK_MS), "leader=1 zxid= 3.1"));
    core_close(&c);
}

/* It asks for the tree, so the leader cannot see that it has more. */
static void a_diverged_server_promises_nothing_to_who_has_less(void **state)
{
    (void)state;
    for (int64_t counter = 1; counter <= 2; counter++) {
        struct core c;
        follow_serving(&c, Z(2, 5), 3);
        proposal(&c, Z(3, 1));
        proposal(&c, Z(3, 2));
        event(&c, ZAB_EV_PERSISTED, Z(3, 2));
        event(&c, ZAB_EV_DIVERGED, 0);
        notified(&c, 2, ZAB_FOLLOWING, 3, Z(3, counter), 4, 3);
        notified(&c, 3, ZAB_LEADING, 3, Z(3, counter), 4, 3);
        assert_int_equal(zab_state(c.z), ZAB_FOLLOWING);
        event(&c, ZAB_EV_LEADER_OPENED, 0);
        leader_info(&c, 4);
        assert_non_null(strstr(event(&c, ZAB_EV_SAVED, 0), counter == 2
                                                               ? "ACKEPOCH 0.4294967295 epoch=3"
                                                               : "ACKEPOCH 0.4294967295 epoch=-1"));
        core_close(&c);
    }
}

/* All have voted and none had anything: who joins late, and finds its leader gone, has not
 * forgotten what the others did meanwhile. */
static void who_has_seen_all_without_a_history_has_forgotten_nothing(void **state)
{
    (void)state;
    for (int n_heard = 1; n_heard <= 2; n_heard++) {
        struct core c;
        core_open(&c, 1, 3, 0, history_at(0, 0, 0));
        tick(&c, 0);
        notified(&c, 3, ZAB_LOOKING, 3, 0, 1, 0);
        if (n_heard == 2)
            notified(&c, 2, ZAB_LOOKING, 3, 0, 1, 0);
        tick(&c, 200);
        assert_int_equal(zab_state(c.z), ZAB_FOLLOWING);
        event(&c, ZAB_EV_LEADER_CLOSED, 0);
        tick(&c, 200);
        const char *told = notified(&c, 2, ZAB_LOOKING, 2, Z(1, 1), 2, 1);
        assert_true((strstr(told, "leader=2") != NULL) == (n_heard == 2));
        core_close(&c);
    }
}

/* As recovery would say: what a leader has sent is of its history, also without its NEWLEADER. */
static void a_log_is_of_the_epoch_in_which_it_ends(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_at(0, 0, 0));
    tick(&c, 0);
    notified(&c, 3, ZAB_LOOKING, 3, 0, 1, 0);
    tick(&c, 200);
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    leader_info(&c, 1);
    event(&c, ZAB_EV_SAVED, 0);
    leader_says(&c, ZAB_DIFF, Z(1, 1));
    proposal(&c, Z(1, 1));
    event(&c, ZAB_EV_PERSISTED, Z(1, 1));
    event(&c, ZAB_EV_LEADER_CLOSED, 0);
    assert_non_null(strstr(tick(&c, 200), "leader=1 zxid= 1.1 round=2 epoch=1"));
    assert_non_null(strstr(notified(&c, 2, ZAB_LOOKING, 2, Z(1, 2), 2, 1), "leader=2"));
    core_close(&c);
}

static void one_server_elects_itself(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 1, 0, history_at(Z(2, 5), 2, 2));
    assert_string_equal(tick(&c, 0), "");
    assert_string_equal(tick(&c, 200), "STATE leading discovery; SAVE_ACCEPTED 3");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SAVE_CURRENT 3");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0),
                        "STATE leading synchronization; COMMIT 2.5; STATE leading broadcast");
    core_close(&c);
}

/* ---- Who votes, who leads ---- */

static void observers_elect_without_voting(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 4, 3, 1, history_at(Z(9, 5), 9, 9));
    assert_non_null(strstr(tick(&c, 0), "NOTIFY 1 looking leader=-9223372036854775808"));
    notified(&c, 1, ZAB_FOLLOWING, 3, Z(2, 5), 4, 2);
    assert_string_equal(notified(&c, 3, ZAB_LEADING, 3, Z(2, 5), 4, 2),
                        "STATE observing discovery; CONNECT 3");
    core_close(&c);
}

static void an_observer_is_answered_but_not_counted(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2, 3, 1, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    assert_string_equal(notified(&c, 4, ZAB_LOOKING, 2, Z(2, 5), 1, 2),
                        "NOTIFY 4 looking leader=2 zxid= 2.5 round=1 epoch=2");
    assert_string_equal(tick(&c, 199), "");
    assert_non_null(strstr(tick(&c, 1), "NOTIFY"));
    assert_int_equal(zab_state(c.z), ZAB_LOOKING);
    /* one that observes already would answer in turn, without end */
    assert_string_equal(notified(&c, 4, ZAB_OBSERVING, 2, Z(2, 5), 1, 2), "");
    core_close(&c);
}

static void strangers_are_nobody(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2, 3, 0, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    assert_string_equal(notified(&c, 9, ZAB_LOOKING, 9, Z(9, 9), 9, 9), "");
    assert_string_equal(notified(&c, 3, ZAB_LOOKING, 9, Z(9, 9), 1, 9), "");
    core_close(&c);
}

static void weight_0_never_leads(void **state)
{
    (void)state;
    struct core c = {.now_ms = 1000};
    struct zab_server servers[] = {
        {1, false, 1, 1}, {2, false, 1, 1}, {3, false, 1, 1}, {4, false, 0, 1}};
    struct zab_config config = {.sid = 1,
                                .servers = servers,
                                .n_servers = 4,
                                .tick_ms = TICK_MS,
                                .init_limit = INIT_LIMIT,
                                .sync_limit = SYNC_LIMIT};
    struct zab_history history = history_at(Z(1, 1), 1, 1);
    c.z = zab_open(&config, &history, c.now_ms);
    tick(&c, 0);
    assert_string_equal(notified(&c, 4, ZAB_LOOKING, 4, Z(1, 9), 1, 1), "");
    assert_non_null(strstr(notified(&c, 2, ZAB_LOOKING, 2, Z(1, 1), 1, 1), "leader=2"));
    core_close(&c);
}

/* ---- Leaders that are there already ---- */

/* ZOOKEEPER-1732, -1818, -3109: followers may differ in round and zxid, not in leader and epoch. */
static void a_late_server_joins_whom_a_quorum_follows(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 5, 0, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    assert_string_equal(notified(&c, 2, ZAB_FOLLOWING, 5, Z(2, 1), 4, 3), "");
    assert_string_equal(notified(&c, 3, ZAB_FOLLOWING, 5, Z(2, 2), 6, 3), "");
    assert_string_equal(notified(&c, 4, ZAB_FOLLOWING, 5, Z(2, 2), 6, 2), "");
    assert_string_equal(notified(&c, 5, ZAB_LEADING, 5, Z(2, 3), 5, 3),
                        "STATE following discovery; CONNECT 5");
    core_close(&c);
}

static void a_leader_that_does_not_say_so_is_not_followed(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 5, 0, history_at(Z(2, 5), 2, 2));
    tick(&c, 0);
    for (int64_t sid = 2; sid <= 4; sid++)
        assert_string_equal(notified(&c, sid, ZAB_FOLLOWING, 5, Z(2, 1), 4, 3), "");
    assert_int_equal(zab_state(c.z), ZAB_LOOKING);
    core_close(&c);
}

/* Of the same round: others elected us before we knew. Of an earlier one: that is over. */
static void we_lead_if_others_follow_us_in_this_round(void **state)
{
    (void)state;
    for (int64_t round = 0; round <= 1; round++) {
        struct core c;
        core_open(&c, 3, 3, 0, history_at(Z(2, 5), 2, 2));
        tick(&c, 0);
        notified(&c, 1, ZAB_FOLLOWING, 3, Z(2, 5), round, 2);
        notified(&c, 2, ZAB_FOLLOWING, 3, Z(2, 5), round, 2);
        assert_int_equal(zab_state(c.z), round == 1 ? ZAB_LEADING : ZAB_LOOKING);
        core_close(&c);
    }
}

static void lookers_are_answered_by_those_who_follow(void **state)
{
    (void)state;
    struct core c;
    follow(&c, history_at(Z(1, 2), 1, 1), 4);
    assert_string_equal(notified(&c, 2, ZAB_LOOKING, 2, Z(1, 1), 9, 1),
                        "NOTIFY 2 following leader=3 zxid= 4.0 round=1 epoch=4");
    assert_string_equal(notified(&c, 2, ZAB_FOLLOWING, 3, Z(1, 1), 1, 1), "");
    core_close(&c);
}

/* ZOOKEEPER-1732: the vote that was elected has the epoch of before. */
static void votes_bear_the_new_epoch_when_it_is_established(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_at(Z(1, 2), 1, 1));
    assert_string_equal(notified(&c, 2, ZAB_LOOKING, 2, Z(1, 1), 1, 1),
                        "NOTIFY 2 leading leader=3 zxid= 1.2 round=1 epoch=1");
    core_close(&c);
    lead_serving(&c, 0);
    assert_string_equal(notified(&c, 2, ZAB_LOOKING, 2, Z(1, 1), 1, 1),
                        "NOTIFY 2 leading leader=3 zxid= 1.2 round=1 epoch=2");
    core_close(&c);
    follow_serving(&c, Z(1, 2), 4);
    assert_string_equal(notified(&c, 2, ZAB_LOOKING, 2, Z(1, 1), 1, 1),
                        "NOTIFY 2 following leader=3 zxid= 4.0 round=1 epoch=4");
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vote_is_told_in_version_2_with_the_configuration),
        cmocka_unit_test(all_lengths_of_history_are_read),
        cmocka_unit_test(a_malformed_message_is_skipped),
        cmocka_unit_test(better_votes_win_by_epoch_then_zxid_then_server),
        cmocka_unit_test(an_empty_disk_votes_for_no_history_before_all_have_voted),
        cmocka_unit_test(a_later_round_is_joined_an_earlier_one_is_answered),
        cmocka_unit_test(a_better_vote_may_come_while_the_outcome_waits),
        cmocka_unit_test(who_looked_meanwhile_is_answered_at_the_end),
        cmocka_unit_test(the_vote_is_told_again_at_least_every_tick),
        cmocka_unit_test(an_absurd_round_is_not_joined),
        cmocka_unit_test(what_is_ignored_does_not_put_the_outcome_off),
        cmocka_unit_test(an_observer_does_not_argue),
        cmocka_unit_test(a_new_connection_gets_the_vote),
        cmocka_unit_test(a_new_connection_gets_the_outcome),
        cmocka_unit_test(a_diverged_server_follows_nobody_who_has_less),
        cmocka_unit_test(a_diverged_server_promises_nothing_to_who_has_less),
        cmocka_unit_test(who_has_seen_all_without_a_history_has_forgotten_nothing),
        cmocka_unit_test(a_log_is_of_the_epoch_in_which_it_ends),
        cmocka_unit_test(one_server_elects_itself),
        cmocka_unit_test(observers_elect_without_voting),
        cmocka_unit_test(an_observer_is_answered_but_not_counted),
        cmocka_unit_test(strangers_are_nobody),
        cmocka_unit_test(weight_0_never_leads),
        cmocka_unit_test(a_late_server_joins_whom_a_quorum_follows),
        cmocka_unit_test(a_leader_that_does_not_say_so_is_not_followed),
        cmocka_unit_test(we_lead_if_others_follow_us_in_this_round),
        cmocka_unit_test(lookers_are_answered_by_those_who_follow),
        cmocka_unit_test(votes_bear_the_new_epoch_when_it_is_established),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
