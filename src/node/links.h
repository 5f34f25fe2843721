/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files share that deal with other servers. Part of internal.h. */
#ifndef ZAB_NODE_LINKS_H
#define ZAB_NODE_LINKS_H

/* ---- Links ---- */

/* Quorum packets that wait, each after its length. */
struct packets {
    struct buf bytes;
    size_t pos; /* of the first */
};

struct node_link {
    struct node_conn_public pub;
    struct list link;       /* node.links */
    struct list dirty_link; /* node.dirty_links */
    uint64_t id;
    char address[CONN_ADDRESS_MAX];
    bool to_leader;
    bool closing;
    bool waiting;                 /* opened while it was not known who leads */
    bool held;                    /* what has come is left alone for now */
    bool ours;                    /* not one of ZooKeeper's: it has said so in a PING */
    bool is_full;                 /* a learner without room on its disk */
    bool repair;                  /* a learner that is to take our tree */
    uint32_t answered;            /* of digests.asked, */
    uint64_t sums[DIGESTS_ASKED]; /* with this */
    bool ready;                   /* a learner that has shown by its ACK of NEWLEADER whose it is */
    int64_t heard_ms;
    struct buf in;
    struct packets requests;        /* to the leader */
    struct packets parked;          /* of a learner, until there is room for them */
    struct tree_load *load;         /* while a tree comes */
    bool tree_whole;                /* but for the signature */
    struct buf syncs;               /* struct sync_wait, in order */
    struct node_log_read *log_read; /* what the learner lacks of the history in memory */
    bool tree_goes;                 /* a tree is being sent, */
    int64_t tree_by_ms;             /* or is to be by then, 0: no */
};

/* A sync that waits: for the leader's answer, or on the leader for a zxid and for a round of PINGs
 * that began behind it. */
struct sync_wait {
    int64_t zxid;
    int64_t round;
    struct node_conn *conn; /* of a client of ours */
};

/* A place in the history, and where it can be looked for next. */
struct history_cursor {
    struct node_batch *batch;
    size_t pos;
};

/* ---- Digests ---- */

struct digest_window {
    int64_t window; /* high bits of its zxids; -1: none */
    uint64_t sum;
};

struct digests {
    struct digest_window current;
    bool is_whole;                             /* all of the current one was applied here */
    struct digest_window recent[DIGESTS_KEPT]; /* a ring */
    uint64_t n_recent;                         /* that were ever put into it */
    struct digest_window leaders;              /* told, and not compared yet */
    struct digest_window answer;               /* for the leader's last window that ended here */
    struct digest_window asked[DIGESTS_ASKED]; /* on the leader: a ring, */
    uint64_t n_asked;                          /* of so many */
};

/* logread.c: learners that lack more than the history has */
bool log_read_ask(struct node *n, struct node_link *l, int64_t zxid);
void log_read_done(struct node *n, struct node_log_read *r);

/* treequeue.c: learners that get the tree, one after the other */
bool tree_queue_enter(struct node *n, struct node_link *l);
bool tree_queue_is_free(const struct node *n);
void tree_queue_run(struct node *n);

/* digest.c */
void digest_applied(struct node *n, struct slice txn);
void digest_tell(struct node *n, struct node_link *l, struct buf *data);
void digest_told(struct node *n, struct node_link *l, struct slice data);
void digest_answer(struct node *n, struct buf *data);
bool digest_heard(struct node *n, struct node_link *l, struct jute_reader *r);
void digest_forget(struct node *n);

/* link.c */
void link_opened(struct node *n, struct node_event *event);
void link_data(struct node *n, struct node_link *l, struct slice data);
void link_closed(struct node *n, struct node_link *l);
void link_take(struct node *n, struct node_link *l);
void link_hold(struct node_link *l, bool hold);
void link_close(struct node *n, struct node_link *l);
void link_free(struct node_link *l);
struct node_link *link_find(struct node *n, uint64_t id);
struct node_link *link_to_leader(struct node *n);
void link_send(struct node *n, struct node_link *l, int32_t type, int64_t zxid, struct slice data);
void link_ask(struct node *n, struct node_link *l, int32_t type, struct slice data,
              const struct jute_vector *ids);
void link_park(struct node_link *l, const struct zk_quorum_packet *p);
bool link_unpark(struct node_link *l, struct zk_quorum_packet *p);
void link_unparked(struct node_link *l);
void link_drained(struct node *n, struct node_link *l);
void link_send_tree(struct node *n, struct node_link *l, int64_t zxid);
void link_receive_tree(struct node *n, struct node_link *l, int64_t zxid);
void link_drop_tree(struct node *n, struct node_link *l);
void link_flush(struct node *n);

/* rewind.c: the log or the tree is another */
void ensemble_truncated(struct node *n, const struct node_event *event);
void ensemble_tree_installed(struct node *n);

/* ensemble.c: the driver of the consensus core */
void ensemble_tick(struct node *n);
/* The step that this belongs to commits nothing: trees that wait are sent. */
void ensemble_send_trees(struct node *n);
void ensemble_peer(struct node *n, const struct node_event *event);
void ensemble_logged(struct node *n);
void ensemble_confirm(struct node *n);
void ensemble_persisted(struct node *n);
void ensemble_epoch_saved(struct node *n);
void ensemble_link_opened(struct node *n, struct node_link *l);
void ensemble_packet(struct node *n, struct node_link *l, const struct zk_quorum_packet *p);
void ensemble_link_closed(struct node *n, struct node_link *l);
void ensemble_link_failed(struct node *n, struct node_link *l);
void ensemble_tree_failed(struct node *n);
void ensemble_log_read(struct node *n, struct node_link *l);
void ensemble_repair(struct node *n);
void ensemble_has_diverged(struct node *n);
void ensemble_tell(struct node *n, enum zab_event_type type, int64_t zxid);
void ensemble_tree_sent(struct node *n, struct node_link *l);
void ensemble_tree_turn(struct node *n, struct node_link *l);

/* forward.c: requests between replicas */
bool node_is_learner(const struct node *n);
void forward_write(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                   struct slice body);
void forward_sync(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                  struct slice body);
void forward_create_session(struct node *n, struct node_conn *c, int64_t session_id);
void forward_revalidate(struct node *n, struct node_conn *c, int64_t session_id);
struct node_conn *forward_proposed(struct node *n, int64_t zxid, struct slice txn);
void forward_touches(struct node *n, struct node_link *l, int64_t zxid);
void forward_own_sync(struct node *n, struct node_conn *c, const struct zk_request_header *h,
                      struct slice body);
void forward_answer_syncs(struct node *n, struct node_link *l, int64_t zxid);
void forward_confirmed(struct node *n);
void forward_answer_waits(struct node *n);
void forward_deliver(struct node *n, uint64_t from, const struct zk_quorum_packet *p);
void forward_resume(struct node *n);
void forward_stop(struct node *n);

#endif
