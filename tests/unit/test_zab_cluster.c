/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "zab_cluster.h"

enum {
    FAULTS_MS = 20000,
    HEAL_MS = 6000,
};

/* As many as the environment says: more are for runs by hand. */
static uint64_t seeds(uint64_t usual)
{
    const char *n = getenv("ZAB_CLUSTER_SEEDS");
    return n ? strtoull(n, NULL, 10) : usual;
}

static struct cluster *cluster_of(uint64_t seed, enum breakage breakage, size_t *n)
{
    size_t n_voters = seed % 2 ? 3 : 5, n_observers = seed % 3 == 0;
    *n = n_voters + n_observers;
    return cluster_open(seed, n_voters, n_observers, breakage);
}

static bool all_serve(const struct cluster *c, size_t n)
{
    bool all = cluster_leader(c) >= 0;
    for (size_t i = 0; i < n; i++)
        all = all && cluster_serves(c, i);
    return all;
}

static void run_until_all_serve(struct cluster *c, size_t n)
{
    for (int ms = 0; ms < HEAL_MS && !all_serve(c, n) && !cluster_failure(c); ms += 100)
        cluster_run(c, 100, false);
}

static void expect_well(const struct cluster *c, uint64_t seed)
{
    if (cluster_failure(c))
        fail_msg("seed %" PRIu64 " %s", seed, cluster_failure(c));
}

static void open_serving(struct cluster **c, size_t n)
{
    *c = cluster_open(7, n, 0, BREAK_NOTHING);
    run_until_all_serve(*c, n);
    assert_true(all_serve(*c, n));
    cluster_write(*c);
    cluster_run(*c, 100, false);
    assert_int_equal(cluster_committed(*c), 1);
}

/* Nothing that is committed is lost or changed, whatever happens; and then all go on as one. */
static void faults_lose_nothing_and_end(void **state)
{
    (void)state;
    size_t truncates = 0, trees = 0, epochs = 0;
    for (uint64_t seed = 1; seed <= seeds(300); seed++) {
        size_t n;
        struct cluster *c = cluster_of(seed, BREAK_NOTHING, &n);
        cluster_run(c, FAULTS_MS, true);
        expect_well(c, seed);
        cluster_heal(c);
        run_until_all_serve(c, n);
        if (!all_serve(c, n))
            fail_msg("seed %" PRIu64 ": not all serve %d ms after the faults", seed, HEAL_MS);
        size_t before = cluster_committed(c);
        for (int i = 0; i < 20 && cluster_committed(c) == before; i++) {
            run_until_all_serve(c, n);
            cluster_write(c);
            cluster_run(c, 1000, false);
        }
        expect_well(c, seed);
        if (cluster_committed(c) == before)
            fail_msg("seed %" PRIu64 ": nothing is committed after the faults", seed);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(cluster_applied(c, i), cluster_committed(c));
            assert_int_equal(cluster_logged(c, i), cluster_committed(c));
        }
        truncates += cluster_truncates(c);
        trees += cluster_trees(c);
        epochs += cluster_epochs(c);
        cluster_close(c);
    }
    assert_true(truncates > 0 && trees > 0 && epochs > 0);
}

/* Each defect is found by one of the seeds. One that forgets acceptedEpochs needs many; one that
 * forgets currentEpochs does no harm that is seen here, since a log is of the epoch in which it
 * ends, and an epoch without transactions has nothing to lose. */
static void defects_are_found(void **state)
{
    (void)state;
    static const uint64_t seeds_needed[BREAKAGES] = {
        [BREAK_PERSISTED_EARLY] = 300,
        [BREAK_ACCEPTED_EPOCH] = 20000,
        [BREAK_TRUNCATE] = 300,
        [BREAK_TREE] = 300,
        [BREAK_SYNC] = 300,
        [BREAK_APPEND] = 300,
        [BREAK_QUORUM] = 300,
    };
    uint64_t limit = seeds(300);
    for (size_t i = 0; i < BREAKAGES; i++) {
        bool found = seeds_needed[i] == 0 || seeds_needed[i] > limit;
        for (uint64_t seed = 1; seed <= limit && !found; seed++) {
            size_t n;
            struct cluster *c = cluster_of(seed, (enum breakage)i, &n);
            cluster_run(c, FAULTS_MS, true);
            if (!cluster_failure(c)) {
                cluster_heal(c);
                run_until_all_serve(c, n);
            }
            found = cluster_failure(c);
            cluster_close(c);
        }
        if (!found)
            fail_msg("defect %zu was not found by %" PRIu64 " seeds", i, limit);
    }
}

/* A leader that forgets proposals has learners that refuse what follows: nothing is lost. */
static void holes_do_not_spread(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(100); seed++) {
        size_t n;
        struct cluster *c = cluster_of(seed, BREAK_SYNC_PENDING, &n);
        cluster_run(c, FAULTS_MS, true);
        expect_well(c, seed);
        cluster_close(c);
    }
}

static void one_seed_is_one_run(void **state)
{
    (void)state;
    size_t committed[2], epochs[2];
    for (int i = 0; i < 2; i++) {
        struct cluster *c = cluster_open(42, 5, 1, BREAK_NOTHING);
        cluster_run(c, FAULTS_MS, true);
        committed[i] = cluster_committed(c);
        epochs[i] = cluster_epochs(c);
        cluster_close(c);
    }
    assert_int_equal(committed[0], committed[1]);
    assert_int_equal(epochs[0], epochs[1]);
}

/* ---- Certain courses ---- */

static void a_new_leader_follows_a_lost_one(void **state)
{
    (void)state;
    struct cluster *c;
    open_serving(&c, 3);
    int old = cluster_leader(c);
    cluster_isolate(c, (size_t)old);
    cluster_run(c, 3000, false);
    int new = cluster_leader(c);
    assert_true(new >= 0 && new != old);
    assert_false(cluster_serves(c, (size_t)old));
    cluster_heal(c);
    run_until_all_serve(c, 3);
    assert_true(all_serve(c, 3));
    assert_int_equal(cluster_leader(c), new); /* who comes back does not disturb */
    expect_well(c, 7);
    cluster_close(c);
}

/* What only the lost leader has is taken back, and what the others did meanwhile is kept. */
static void a_stale_tail_is_truncated(void **state)
{
    (void)state;
    struct cluster *c;
    open_serving(&c, 3);
    size_t old = (size_t)cluster_leader(c);
    cluster_write(c);
    cluster_run(c, 100, false);
    size_t truncates = cluster_truncates(c), trees = cluster_trees(c);
    cluster_isolate(c, old);
    cluster_write(c);
    cluster_write(c);
    cluster_run(c, 3000, false);
    assert_int_equal(cluster_logged(c, old), 4);
    cluster_write(c);
    cluster_run(c, 100, false);
    assert_int_equal(cluster_committed(c), 3);
    cluster_heal(c);
    run_until_all_serve(c, 3);
    assert_int_equal(cluster_logged(c, old), 3);
    assert_int_equal(cluster_applied(c, old), 3);
    assert_true(cluster_truncates(c) + cluster_trees(c) > truncates + trees);
    expect_well(c, 7);
    cluster_close(c);
}

static void all_at_once_come_back_with_all(void **state)
{
    (void)state;
    struct cluster *c;
    open_serving(&c, 5);
    for (int i = 0; i < 50; i++)
        cluster_write(c);
    cluster_run(c, 1000, false);
    assert_int_equal(cluster_committed(c), 51);
    for (size_t i = 0; i < 5; i++)
        cluster_crash(c, i);
    cluster_heal(c);
    run_until_all_serve(c, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(cluster_applied(c, i), 51);
    expect_well(c, 7);
    cluster_close(c);
}

static void a_minority_commits_nothing(void **state)
{
    (void)state;
    struct cluster *c;
    open_serving(&c, 5);
    size_t leader = (size_t)cluster_leader(c);
    for (size_t i = 0, down = 0; i < 5 && down < 3; i++) {
        if (i != leader)
            down++, cluster_crash(c, i);
    }
    cluster_write(c);
    cluster_run(c, 3000, false);
    assert_int_equal(cluster_committed(c), 1);
    assert_int_equal(cluster_leader(c), -1);
    cluster_heal(c);
    run_until_all_serve(c, 5);
    assert_true(all_serve(c, 5));
    assert_int_equal(cluster_committed(c), 2); /* its tail became part of the history */
    expect_well(c, 7);
    cluster_close(c);
}

static void a_slow_disk_of_one_holds_up_nobody_else(void **state)
{
    (void)state;
    struct cluster *c;
    open_serving(&c, 3);
    size_t slow = (size_t)(cluster_leader(c) + 1) % 3;
    cluster_slow_disk(c, slow, 300);
    for (int i = 0; i < 10; i++)
        cluster_write(c);
    cluster_run(c, 100, false);
    assert_int_equal(cluster_committed(c), 11);
    assert_int_equal(cluster_applied(c, slow), 1);
    cluster_run(c, 1000, false);
    assert_int_equal(cluster_applied(c, slow), 11);
    assert_int_equal(cluster_epochs(c), 1);
    expect_well(c, 7);
    cluster_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_lose_nothing_and_end),
        cmocka_unit_test(defects_are_found),
        cmocka_unit_test(holes_do_not_spread),
        cmocka_unit_test(one_seed_is_one_run),
        cmocka_unit_test(a_new_leader_follows_a_lost_one),
        cmocka_unit_test(a_stale_tail_is_truncated),
        cmocka_unit_test(all_at_once_come_back_with_all),
        cmocka_unit_test(a_minority_commits_nothing),
        cmocka_unit_test(a_slow_disk_of_one_holds_up_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
