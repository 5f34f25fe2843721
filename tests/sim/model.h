/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tree as it must be: ZooKeeper's rules written as plainly as possible, without any code of
 * the replica's. Nodes are in an array that is sorted by path; there is one model for each zxid. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "zab/buf.h"
#include "zab/protocol.h"

enum {
    MODEL_PATH_MAX = 64,
    MODEL_DATA_MAX = 24,
    MODEL_PARTS_MAX = 4,
    MODEL_ACL_MAX = 3,
};

/* Who somebody can be. */
enum model_who {
    MODEL_WORLD = 1 << 0,
    MODEL_ALICE = 1 << 1,
    MODEL_BOB = 1 << 2,
    MODEL_AUTH = 1 << 3, /* in a request only: all that its client is */
};

struct model_acl {
    int n;
    struct model_ace {
        int32_t perms;
        enum model_who who;
    } entry[MODEL_ACL_MAX];
};

struct model_node {
    char path[MODEL_PATH_MAX];
    char data[MODEL_DATA_MAX];
    int data_len; /* -1: null */
    int pad;      /* so many '~' more */
    struct model_acl acl;
    int64_t czxid, mzxid, pzxid, ctime, mtime, owner;
    int32_t version, aversion;
    int32_t creations; /* of children, ever */
};

struct model_session {
    int64_t id;
    int32_t timeout_ms;
    int32_t last_cxid;
};

struct model_event {
    enum zk_event_type type;
    char path[MODEL_PATH_MAX];
    struct model_acl acl; /* of the node, when it happened */
};

struct model {
    struct model_node *nodes;
    size_t n_nodes, cap_nodes;
    struct model_session *sessions;
    size_t n_sessions, cap_sessions;
    struct model_event *events; /* of the transaction that led here */
    size_t n_events, cap_events;
    bool any_order; /* of the events */
};

/* One operation of a request. */
struct op {
    int32_t type;
    char path[MODEL_PATH_MAX];
    char data[MODEL_DATA_MAX];
    int data_len;
    int pad;
    int32_t version;
    int32_t mode; /* of a create or of a watch */
    int64_t ttl_ms;
    struct model_acl acl;
    bool watch;
};

struct client;

struct request {
    struct op op;
    struct op parts[MODEL_PARTS_MAX]; /* of a multi */
    int n_parts;
    struct client *client;
    unsigned ids;       /* who the client is */
    int64_t session_id; /* 0 until it is sent */
    int32_t xid;
    int64_t zxid;         /* as which it was proposed, 0 if it was not */
    int64_t acked_before; /* the highest zxid that anybody knew of when it was sent */
    int64_t arrived_zxid; /* the last that its server knew of when it arrived */
    char *expected;       /* the answer, once it was proposed */
    bool told;            /* to the one who made it */
    bool answered;        /* on the wire */
    int32_t err;          /* then */
};

/* Whom an operation is done for, and as what. */
struct model_actor {
    unsigned ids;
    int64_t session_id;
    int64_t zxid;
    int64_t time;
};

/* model.c */
void model_open(struct model *m);
void model_copy(struct model *to, const struct model *from);
void model_close(struct model *m);
struct model_node *model_find(const struct model *m, const char *path);
struct model_session *model_session(const struct model *m, int64_t id);
int32_t model_children(const struct model *m, const char *path);
void model_parent(const char *path, char parent[MODEL_PATH_MAX]);
bool model_is_below(const char *path, const char *above);
bool model_is_path(const char *path, bool sequential);
bool model_is_of_session(int64_t owner);
bool model_allows(const struct model_acl *acl, unsigned ids, int32_t perms);
void model_stat_text(const struct model *m, const struct model_node *n, struct buf *out);
void model_data_text(const struct model_node *n, struct buf *out);
void model_acl_text(const struct model_acl *acl, bool masked, struct buf *out);
struct model_node *model_add(struct model *m, const char *path);
void model_remove(struct model *m, struct model_node *n);
void model_event(struct model *m, enum zk_event_type type, const struct model_node *n);

/* model_write.c: true if the request changes something; `answer` is its answer in any case. */
bool model_write(struct model *m, const struct request *r, const struct model_actor *who,
                 struct buf *answer);
void model_open_session(struct model *m, int64_t id, int32_t timeout_ms);
void model_close_session(struct model *m, int64_t id, int64_t zxid);
bool model_delete_container(struct model *m, const char *path, int64_t zxid);
bool model_is_expired(const struct model *m, const char *path, int64_t wall_ms);

/* model_read.c */
void model_read(const struct model *m, const struct request *r, struct buf *answer);

#endif
