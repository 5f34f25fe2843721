/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zab_lib.h"

enum {
    OURS = 71,
    THEIRS = 99,
};

static struct zab_history history_of(int64_t id, int64_t last_zxid, int64_t epoch)
{
    struct zab_history h = history_at(last_zxid, epoch, epoch);
    h.ensemble_id = id;
    return h;
}

/* ---- How an ensemble gets its id ---- */

static void the_first_leader_proposes_an_id(void **state)
{
    (void)state;
    struct core c;
    core_fresh_id = OURS;
    lead(&c, 0, history_at(0, 0, 0));
    core_fresh_id = 0;
    assert_string_equal(our_learner_info(&c, 11, 1, 0, 0), "SAVE_PROPOSED_ID 71");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SAVE_ACCEPTED 1");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SEND 11 LEADERINFO 1.0");
    struct jute_reader r = jute_reader_of(c.fx.list[0].data);
    assert_int_equal(jute_read_int(&r), 0x10000);
    struct trailer t = trailer_read(&r);
    assert_int_equal(t.ensemble_id, OURS);
    assert_true(t.is_new);
    assert_string_equal(ack_epoch(&c, 11, 0, 0), "SAVE_CURRENT 1");
    event(&c, ZAB_EV_SAVED, 0);
    sync_chosen(&c, 11, ZAB_SYNC_DIFF, 0);
    assert_non_null(strstr(learner_says(&c, 11, ZAB_ACK, Z(1, 0)), "SAVE_ID 71"));
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "");
    assert_string_equal(our_learner_info(&c, 12, 2, 0, 0), "SEND 12 LEADERINFO 1.0");
    r = jute_reader_of(c.fx.list[0].data);
    jute_read_int(&r);
    assert_false(trailer_read(&r).is_new);
    core_close(&c);
}

/* Of ZooKeeper's servers nobody could say afterwards whose they are. */
static void beside_zookeeper_there_is_no_id(void **state)
{
    (void)state;
    struct core c;
    core_fresh_id = OURS;
    lead(&c, 0, history_at(0, 0, 0));
    core_fresh_id = 0;
    assert_string_equal(learner_info(&c, 11, ZAB_FOLLOWERINFO, 1, 0), "SAVE_ACCEPTED 1");
    core_close(&c);
}

/* ZOOKEEPER-790 holds for the id, too: durable before the epoch is accepted. A server with it and
 * without an epoch has met nobody who could have acknowledged anything: it may vote. */
static void a_learner_of_the_first_leader_saves_what_is_proposed(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_at(0, 0, 0));
    tick(&c, 0);
    notified_by(&c, 0, 3, ZAB_LOOKING, 3, 0, 1, 0);
    tick(&c, 200);
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    assert_string_equal(our_leader_info(&c, 1, OURS, true), "SAVE_PROPOSED_ID 71");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SAVE_ACCEPTED 1");
    assert_non_null(strstr(event(&c, ZAB_EV_SAVED, 0), "SEND_LEADER ACKEPOCH 0.0 epoch=0"));
    leader_says(&c, ZAB_DIFF, 0);
    assert_string_equal(leader_says(&c, ZAB_NEWLEADER, Z(1, 0)), "SAVE_CURRENT 1");
    event(&c, ZAB_EV_SAVED, 0);
    assert_non_null(strstr(leader_says(&c, ZAB_UPTODATE, -1), "SAVE_ID 71"));
    core_close(&c);

    struct zab_history killed = history_at(0, 1, 0);
    killed.proposed_id = OURS;
    core_open(&c, 1, 3, 0, killed);
    tick(&c, 0);
    assert_non_null(strstr(notified_by(&c, 0, 3, ZAB_LOOKING, 3, 0, 1, 1), "leader=3"));
    core_close(&c);
    core_open(&c, 1, 3, 0, history_at(0, 1, 0));
    tick(&c, 0);
    assert_string_equal(notified_by(&c, 0, 3, ZAB_LOOKING, 3, 0, 1, 1), "");
    core_close(&c);
}

/* Before anything of the ensemble's is logged here, which could not be told from another's. */
static void an_empty_server_takes_the_id_first(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_at(0, 0, 0));
    tick(&c, 0);
    notified_by(&c, OURS, 2, ZAB_FOLLOWING, 3, Z(4, 7), 3, 4);
    notified_by(&c, OURS, 3, ZAB_LEADING, 3, Z(4, 7), 3, 4);
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    assert_string_equal(our_leader_info(&c, 4, OURS, false), "SAVE_ID 71");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SAVE_ACCEPTED 4");
    core_close(&c);
}

static void a_proposed_id_gives_way_and_an_id_does_not(void **state)
{
    (void)state;
    struct core c;
    struct zab_history h = history_at(0, 1, 1);
    h.proposed_id = THEIRS;
    core_open(&c, 1, 3, 0, h);
    tick(&c, 0);
    notified_by(&c, 0, 3, ZAB_LOOKING, 3, Z(1, 1), 1, 1);
    tick(&c, 200);
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    assert_string_equal(our_leader_info(&c, 2, OURS, true), "SAVE_ACCEPTED 2");
    event(&c, ZAB_EV_SAVED, 0); /* the leader may come to nothing, and the other id be right */
    leader_says(&c, ZAB_DIFF, 0);
    assert_string_equal(leader_says(&c, ZAB_NEWLEADER, Z(2, 0)), "SAVE_PROPOSED_ID 71");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SAVE_CURRENT 2");
    core_close(&c);

    core_open(&c, 1, 3, 0, history_of(THEIRS, Z(1, 1), 1));
    tick(&c, 0);
    notified(&c, 3, ZAB_LOOKING, 3, Z(1, 1), 1, 1);
    tick(&c, 200);
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    assert_string_equal(our_leader_info(&c, 2, OURS, false),
                        "CLOSE_LEADER; STATE looking election");
    core_close(&c);
}

/* Behind a leader of ZooKeeper's it comes from those who serve with us. */
static void servers_of_one_leader_share_their_id(void **state)
{
    (void)state;
    struct core c;
    follow_serving(&c, Z(2, 5), 3);
    assert_string_equal(notified_by(&c, OURS, 2, ZAB_FOLLOWING, 3, Z(2, 5), 9, 2), "");
    assert_string_equal(notified_by(&c, OURS, 2, ZAB_FOLLOWING, 3, Z(2, 5), 9, 3), "SAVE_ID 71");
    core_close(&c);
}

/* Nobody else says anything once all serve: who has none asks, and is answered. */
static void who_has_no_id_behind_zookeepers_leader_asks(void **state)
{
    (void)state;
    struct core c;
    follow(&c, history_of(OURS, Z(2, 5), 2), 3);
    leader_says(&c, ZAB_DIFF, Z(2, 5));
    leader_says(&c, ZAB_NEWLEADER, Z(3, 0));
    event(&c, ZAB_EV_SAVED, 0);
    assert_non_null(strstr(leader_says(&c, ZAB_UPTODATE, -1), "NOTIFY 2 following leader=3"));
    assert_non_null(strstr(notified_by(&c, 0, 2, ZAB_FOLLOWING, 3, Z(2, 5), 9, 3),
                           "NOTIFY 2 following leader=3"));
    assert_string_equal(notified_by(&c, OURS, 2, ZAB_FOLLOWING, 3, Z(2, 5), 9, 3), "");
    assert_string_equal(notified(&c, 2, ZAB_FOLLOWING, 3, Z(2, 5), 9, 3), "");
    core_close(&c);
}

/* A server whose leader fell before it said UPTODATE knows the id as a proposal, and may have what
 * nobody else has: those who know that it became the ensemble's vote for it. */
static void who_was_there_when_it_was_proposed_may_lead(void **state)
{
    (void)state;
    struct core c;
    struct zab_history h = history_at(Z(1, 3), 1, 1);
    h.proposed_id = OURS;
    core_open(&c, 2, 3, 0, h);
    tick(&c, 0);
    struct notification n;
    assert_true(notification_read(c.fx.list[c.fx.n - 1].data, &n));
    assert_int_equal(n.trailer.ensemble_id, OURS);
    assert_true(n.trailer.is_new);
    core_close(&c);

    for (int64_t proposed = OURS; proposed <= OURS + 1; proposed++) {
        core_open(&c, 1, 3, 0, history_of(OURS, Z(1, 2), 1));
        tick(&c, 0);
        const char *told = notified_with(&c, (struct trailer){true, proposed, true}, 2, ZAB_LOOKING,
                                         2, Z(1, 3), 1, 1);
        assert_true((strstr(told, "leader=2") != NULL) == (proposed == OURS));
        core_close(&c);
    }
}

/* The first leader may come to nothing, and the next one's epoch is the second: the servers that
 * took the proposal with empty disks have still forgotten nothing, also when it has become the id.
 */
static void a_server_that_took_the_proposal_remembers(void **state)
{
    (void)state;
    for (int64_t id = 0; id <= OURS; id += OURS) {
        struct core c;
        struct zab_history h = history_at(0, 2, 0);
        h.proposed_id = OURS;
        h.ensemble_id = id;
        core_open(&c, 1, 3, 0, h);
        tick(&c, 0);
        assert_non_null(
            strstr(notified_by(&c, OURS, 3, ZAB_LOOKING, 3, Z(1, 2), 1, 1), "leader=3"));
        tick(&c, 200);
        event(&c, ZAB_EV_LEADER_OPENED, 0);
        assert_string_equal(our_leader_info(&c, 3, OURS, false),
                            id ? "SAVE_ACCEPTED 3" : "SAVE_ID 71");
        const char *told = event(&c, ZAB_EV_SAVED, 0);
        if (!id) {
            assert_string_equal(told, "SAVE_ACCEPTED 3");
            told = event(&c, ZAB_EV_SAVED, 0);
        }
        assert_non_null(strstr(told, "ACKEPOCH 0.0 epoch=0"));
        core_close(&c);
    }
}

/* A single server with a history becomes the first of three: the empty ones are of its ensemble
 * when they have its tree. Else two of them could begin without it, and it would lose everything.
 */
static void an_empty_server_takes_a_proposal_only_with_the_history(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_at(0, 0, 0));
    tick(&c, 0);
    notified_by(&c, 0, 2, ZAB_LOOKING, 3, Z(0, 500), 1, 0);
    notified_by(&c, 0, 3, ZAB_LOOKING, 3, Z(0, 500), 1, 0);
    tick(&c, 200);
    event(&c, ZAB_EV_LEADER_OPENED, 0);
    assert_string_equal(our_leader_info(&c, 1, OURS, true), "SAVE_ACCEPTED 1");
    assert_non_null(strstr(event(&c, ZAB_EV_SAVED, 0), "ACKEPOCH 0.4294967295 epoch=0"));
    leader_says(&c, ZAB_SNAP, Z(0, 500));
    assert_string_equal(event(&c, ZAB_EV_TREE_INSTALLED, Z(0, 500)), "");
    assert_string_equal(leader_says(&c, ZAB_NEWLEADER, Z(1, 0)), "SAVE_PROPOSED_ID 71");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SAVE_CURRENT 1");
    core_close(&c);
}

/* ---- Strangers ---- */

/* A machine of an earlier life of the ensemble is switched on again: its epoch is far ahead. */
static void a_foreign_vote_is_not_counted(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_of(OURS, Z(1, 500), 1));
    tick(&c, 0);
    assert_string_equal(notified_by(&c, THEIRS, 3, ZAB_LOOKING, 3, Z(5, 9), 1, 5), "");
    assert_non_null(strstr(notified_by(&c, OURS, 2, ZAB_LOOKING, 2, Z(1, 500), 1, 1), "leader=2"));
    assert_string_equal(tick(&c, 200), "STATE following discovery; CONNECT 2");
    core_close(&c);
}

/* Nor is one for it that came by way of somebody else. */
static void nobody_without_an_id_leads_servers_that_have_one(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1, 3, 0, history_of(OURS, Z(1, 500), 1));
    tick(&c, 0);
    assert_string_equal(notified_by(&c, 0, 3, ZAB_LOOKING, 3, Z(5, 9), 1, 5), "");
    assert_string_equal(notified(&c, 2, ZAB_LOOKING, 3, Z(5, 9), 1, 5), "");
    core_close(&c);
}

static void a_foreign_learner_is_refused(void **state)
{
    (void)state;
    struct core c;
    lead(&c, 0, history_of(OURS, Z(1, 2), 1));
    assert_string_equal(our_learner_info(&c, 12, 2, 5, THEIRS), "CLOSE_LEARNER 12");
    assert_string_equal(our_learner_info(&c, 11, 1, 1, OURS), "SAVE_ACCEPTED 2");
    core_close(&c);
}

/* ---- A history without an id ---- */

static void follow_without_id(struct core *c, int64_t last)
{
    core_open(c, 1, 3, 0, history_at(last, 1, 1));
    tick(c, 0);
    notified_by(c, OURS, 3, ZAB_LOOKING, 3, Z(4, 0), 1, 4);
    tick(c, 200);
    event(c, ZAB_EV_LEADER_OPENED, 0);
    assert_string_equal(our_leader_info(c, 5, OURS, false), "SAVE_ACCEPTED 5");
}

static void a_history_without_id_is_replaced_by_the_leaders_tree(void **state)
{
    (void)state;
    struct core c;
    follow_without_id(&c, Z(1, 7));
    assert_non_null(strstr(event(&c, ZAB_EV_SAVED, 0), "ACKEPOCH 0.4294967295"));
    assert_string_equal(leader_says(&c, ZAB_SNAP, Z(4, 2)), "RECEIVE_TREE 4.2");
    assert_string_equal(event(&c, ZAB_EV_TREE_INSTALLED, Z(4, 2)), "SAVE_ID 71");
    assert_string_equal(leader_says(&c, ZAB_NEWLEADER, Z(5, 0)), "");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SAVE_CURRENT 5");
    assert_string_equal(event(&c, ZAB_EV_SAVED, 0), "SEND_LEADER ACK 5.0");
    core_close(&c);
}

/* A restored server that comes after the empty ones have begun without it. */
static void a_history_without_id_is_not_cut(void **state)
{
    (void)state;
    static const struct {
        int32_t type;
        int64_t zxid;
    } back[] = {{ZAB_TRUNC, Z(1, 23)}, {ZAB_SNAP, Z(1, 23)}, {ZAB_DIFF, Z(1, 202)}};
    for (size_t i = 0; i < ARRAY_LEN(back); i++) {
        struct core c;
        follow_without_id(&c, Z(1, 202));
        event(&c, ZAB_EV_SAVED, 0);
        assert_string_equal(leader_says(&c, back[i].type, back[i].zxid),
                            "CLOSE_LEADER; STATE looking election");
        core_close(&c);
    }
}

/* What the disk knows to be decided is not taken back, whoever says so. */
static void what_is_known_to_be_decided_stays(void **state)
{
    (void)state;
    static const int32_t types[] = {ZAB_TRUNC, ZAB_SNAP};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct core c;
        struct zab_history h = history_at(Z(1, 9), 1, 1);
        h.decided_zxid = Z(1, 7);
        follow(&c, h, 4);
        assert_string_equal(leader_says(&c, types[i], Z(1, 6)),
                            "CLOSE_LEADER; STATE looking election");
        core_close(&c);
        follow(&c, h, 4);
        assert_null(strstr(leader_says(&c, types[i], Z(1, 7)), "CLOSE_LEADER"));
        core_close(&c);
    }
}

/* A log that ends before what was decided has forgotten promises, as an empty disk has. */
static void a_log_that_lost_its_end_does_not_vote_alone(void **state)
{
    (void)state;
    struct core c;
    struct zab_history h = history_at(Z(1, 9), 1, 1);
    h.decided_zxid = Z(1, 12);
    core_open(&c, 1, 3, 0, h);
    tick(&c, 0);
    assert_string_equal(notified(&c, 3, ZAB_LOOKING, 3, Z(1, 10), 1, 1), "");
    core_close(&c);
    h.loss_accepted = true;
    core_open(&c, 1, 3, 0, h);
    tick(&c, 0);
    assert_non_null(strstr(notified(&c, 3, ZAB_LOOKING, 3, Z(1, 10), 1, 1), "leader=3"));
    core_close(&c);
}

/* The votes of those that follow may be of their leader's life before, which they do not know to be
 * over: what they have acknowledged meanwhile, with the disk that is lost, the leader lacks. */
static void who_has_forgotten_promises_nothing(void **state)
{
    (void)state;
    static const struct {
        int64_t id_of_2;
        enum zab_state leader;
        const char *ack;
    } cases[] = {
        {OURS, ZAB_LEADING, "ACKEPOCH 0.4294967295 epoch=-1"},
        {OURS, ZAB_LOOKING, "ACKEPOCH 0.4294967295 epoch=-1"}, /* those two are a quorum */
        {0, ZAB_LOOKING, "ACKEPOCH 0.4294967295 epoch=0"},     /* 2 has forgotten, too */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct core c;
        core_open(&c, 1, 3, 0, history_at(0, 0, 0));
        tick(&c, 0);
        notified_by(&c, cases[i].id_of_2, 2, ZAB_LOOKING, 3, Z(4, 3), 1, 4);
        notified_by(&c, OURS, 3, cases[i].leader, 3, Z(4, 3), 1, 4);
        tick(&c, 200);
        assert_int_equal(zab_state(c.z), ZAB_FOLLOWING);
        event(&c, ZAB_EV_LEADER_OPENED, 0);
        our_leader_info(&c, 5, OURS, false);
        event(&c, ZAB_EV_SAVED, 0);
        assert_non_null(strstr(event(&c, ZAB_EV_SAVED, 0), cases[i].ack));
        core_close(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_leader_proposes_an_id),
        cmocka_unit_test(beside_zookeeper_there_is_no_id),
        cmocka_unit_test(a_learner_of_the_first_leader_saves_what_is_proposed),
        cmocka_unit_test(an_empty_server_takes_the_id_first),
        cmocka_unit_test(a_proposed_id_gives_way_and_an_id_does_not),
        cmocka_unit_test(servers_of_one_leader_share_their_id),
        cmocka_unit_test(who_has_no_id_behind_zookeepers_leader_asks),
        cmocka_unit_test(who_was_there_when_it_was_proposed_may_lead),
        cmocka_unit_test(a_server_that_took_the_proposal_remembers),
        cmocka_unit_test(an_empty_server_takes_a_proposal_only_with_the_history),
        cmocka_unit_test(a_foreign_vote_is_not_counted),
        cmocka_unit_test(nobody_without_an_id_leads_servers_that_have_one),
        cmocka_unit_test(a_foreign_learner_is_refused),
        cmocka_unit_test(a_history_without_id_is_replaced_by_the_leaders_tree),
        cmocka_unit_test(a_history_without_id_is_not_cut),
        cmocka_unit_test(what_is_known_to_be_decided_stays),
        cmocka_unit_test(a_log_that_lost_its_end_does_not_vote_alone),
        cmocka_unit_test(who_has_forgotten_promises_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
