/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was proposed, and the one history that is committed: see journal.c. */
#ifndef SIM_JOURNAL_H
#define SIM_JOURNAL_H

#include "model.h"
#include "zab/hmap.h"

struct world;
struct server;

/* A transaction, behind the one that it was proposed on. */
struct entry {
    struct hmap_node by_zxid;
    int64_t zxid;
    struct entry *prev;
    size_t index; /* how many are before it */
    struct buf txn;
    struct request *request; /* NULL: the replica's own */
    struct model after;
    uint64_t digest; /* of the tree, once it is committed */
};

/* An epoch that was established. */
struct epoch {
    int64_t epoch;
    const struct server *leader;
    struct entry *base; /* the end of its initial history */
};

/* A session that was ever committed. */
struct session_seen {
    int64_t id;
    int64_t created_zxid;
    int64_t heard_ms;
    int64_t closed_zxid;
};

void journal_open(struct world *w);
void journal_close(struct world *w);
void journal_set_config(struct world *w);
struct entry *journal_find(const struct world *w, int64_t zxid); /* NULL: none */
struct entry *journal_add(struct world *w, struct entry *prev, int64_t zxid, struct slice txn);
struct entry *journal_at(struct world *w, int64_t zxid); /* where a replica at `zxid` is */
struct entry *journal_tip(const struct world *w);
struct entry *journal_back_to(struct entry *e, int64_t zxid); /* the last not behind `zxid` */
bool journal_has(const struct entry *history, const struct entry *e);
bool journal_is_committed(const struct world *w, const struct entry *e);
void journal_commit(struct world *w, const struct server *s, struct entry *e);
void journal_cut(struct world *w, struct entry *end);
struct epoch *journal_epoch(const struct world *w, int64_t epoch);
struct session_seen *journal_session(const struct world *w, int64_t id);
void journal_heard(struct world *w, int64_t session_id);

#endif
