/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For fuzz_mount: a small tree of znodes that answers requests as a server does, and tells of
 * changes where a persistent watch is. It knows no sessions, and of ACLs only whether all may read.
 */
#ifndef FUZZ_ZNODES_H
#define FUZZ_ZNODES_H

#include "fuzz.h"

enum {
    ZNODES_MAX = 192,
    ZNODES_WATCHES_MAX = 512,
};

struct znode {
    char *path;
    struct zk_stat stat; /* data_length and num_children are filled in when it is asked for */
    struct buf data;
    struct buf acl; /* a vector */
    bool null;
    bool closed; /* reading it is NOAUTH */
};

struct znodes_watch {
    char *path;
    bool below;
};

struct znodes {
    const char *chroot; /* in front of the paths of requests */
    const char *quota;  /* what both nodes of a quota say; NULL: there are none */
    struct znode list[ZNODES_MAX];
    size_t n;
    struct znodes_watch watches[ZNODES_WATCHES_MAX];
    size_t n_watches;
    int64_t zxid, time;
    struct buf events; /* struct znodes_event */
};

struct znodes_event {
    enum zk_event_type type;
    char *path; /* whoever takes the event frees it */
    int64_t zxid;
};

enum znodes_acl {
    ZNODES_OPEN,
    ZNODES_READABLE, /* to the world, and ours to change */
    ZNODES_FOREIGN,  /* somebody else's */
    ZNODES_CLOSED,
    ZNODES_ADDRESS, /* to those of our network */
    ZNODES_ACLS,
};

/* `many`: a directory with more children than get a watch each. */
void znodes_open(struct znodes *t, const char *chroot, bool many);
void znodes_close(struct znodes *t);

/* What a server does with a request: an enum zk_error, and its answer appended to `body`. */
int32_t znodes_answer(struct znodes *t, enum zk_op op, struct slice record, struct buf *body);

/* Changes that others make; false: it is not possible. */
bool znodes_create(struct znodes *t, const char *path, struct slice data, bool ephemeral);
bool znodes_set(struct znodes *t, const char *path, struct slice data);
bool znodes_delete(struct znodes *t, const char *path);
/* In one transaction, with all that is below it. */
bool znodes_move(struct znodes *t, const char *from, const char *to);
bool znodes_set_acl(struct znodes *t, const char *path, enum znodes_acl kind);

#endif
