/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A cluster of consensus cores in memory, with a network, disks and a clock that one seed decides
 * in full. A disk holds a log of zxids, of which a crash keeps what is durable and perhaps a part
 * of the rest; connections deliver in order, late, or not at all.
 *
 * After every step it is checked that each epoch has one established leader, that what servers
 * commit is one sequence, that a quorum holds all of it durably, and that a leader that serves has
 * all of it. */
#ifndef ZAB_CLUSTER_H
#define ZAB_CLUSTER_H

#include "zab/rng.h"
#include "zab/zab.h"

/* What a driver or a core could do wrong: the checks have to find each. */
enum breakage {
    BREAK_NOTHING,
    BREAK_PERSISTED_EARLY, /* durable is said before it is */
    BREAK_ACCEPTED_EPOCH,  /* not saved */
    BREAK_CURRENT_EPOCH,
    BREAK_TRUNCATE,     /* the log keeps its tail */
    BREAK_TREE,         /* a tree is said to be durable before it is */
    BREAK_SYNC,         /* DIFF for everybody */
    BREAK_APPEND,       /* a transaction is now and then not logged */
    BREAK_SYNC_PENDING, /* learners do not get what is not decided yet */
    BREAK_QUORUM,       /* one server takes itself for a quorum */
    BREAKAGES,
};

enum {
    CLUSTER_MAX = 7,
    CLUSTER_TICK_MS = 100,
};

struct cluster;
struct cluster *cluster_open(uint64_t seed, size_t n_voters, size_t n_observers,
                             enum breakage breakage);
void cluster_close(struct cluster *c);

/* Until then, or until a check fails. Faults are made at random if `faults`. */
void cluster_run(struct cluster *c, int64_t ms, bool faults);

/* The next thing happens. True if it was more than the passing of time; false also at the end. */
bool cluster_step(struct cluster *c);

/* What failed first, or NULL. */
const char *cluster_failure(const struct cluster *c);

/* All servers up, all links and disks well. */
void cluster_heal(struct cluster *c);
void cluster_crash(struct cluster *c, size_t server);
void cluster_restart(struct cluster *c, size_t server);
void cluster_wipe(struct cluster *c, size_t server); /* of one that is down: its disk is gone */
bool cluster_may_wipe(const struct cluster *c, size_t server);
/* It has met the ensemble: its disk is not one that may have been lost. */
bool cluster_remembers(const struct cluster *c, size_t server);
void cluster_isolate(struct cluster *c, size_t server);

/* The server that leads and serves, or -1. */
int cluster_leader(const struct cluster *c);
bool cluster_serves(const struct cluster *c, size_t server);

/* Propose through the leader; false if there is none. */
bool cluster_write(struct cluster *c);

/* Transactions that were committed anywhere, that the server has applied, that its log has. */
size_t cluster_committed(const struct cluster *c);
size_t cluster_applied(const struct cluster *c, size_t server);
size_t cluster_logged(const struct cluster *c, size_t server);

/* Epochs in which a leader was established; TRUNCs and SNAPs that were carried out. */
size_t cluster_epochs(const struct cluster *c);
size_t cluster_truncates(const struct cluster *c);
size_t cluster_trees(const struct cluster *c);

/* The server's disk takes this long. */
void cluster_slow_disk(struct cluster *c, size_t server, int64_t ms);

#endif
