/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A mount of the world: the production core between the model of the kernel and a client's
 * session, and the programs that run on it. What the servers' model knows of trees ends where a
 * world has mounts: then each transaction is taken as it is, and the checks of mountcheck.c hold
 * the mounts against the tree that comes of them. */
#ifndef SIM_MOUNTPOINT_H
#define SIM_MOUNTPOINT_H

#include "sim.h"
#include "kernel.h"

/* Checks, by the names that --skip takes: what is known to fail hides what is not. */
#define MOUNT_CHECKS(C)                                                                            \
    C(draft)   /* a descriptor reads its own draft */                                              \
    C(size)    /* fstat and SEEK_END know it */                                                    \
    C(line)    /* an appended line is there once, and stays */                                     \
    C(made)    /* a call says what became of its name */                                           \
    C(content) /* what was closed is there */                                                      \
    C(missed)  /* a name that was there is found */                                                \
    C(read)    /* a reader sees a whole version */                                                 \
    C(listed)  /* a listing has each name once */                                                  \
    C(mirror)  /* a mirror that follows events has the tree */                                     \
    C(wait)    /* a request ends in time */                                                        \
    C(cache)   /* what the kernel keeps is what is in the tree */                                  \
    C(moved)   /* what is told as a move was one */                                                \
    C(error)   /* a failed commit is told to who wrote */                                          \
    C(step)    /* a step does no more than it may */                                               \
    C(follow)  /* who stands at the end gets what is appended */                                   \
    C(acl)     /* what is forbidden is not served, and hides nothing else */

enum mount_check {
#define MOUNT_CHECK_ENUM(name) MOUNT_CHECK_##name,
    MOUNT_CHECKS(MOUNT_CHECK_ENUM)
#undef MOUNT_CHECK_ENUM
        MOUNT_N_CHECKS,
};

static inline bool checks(const struct world *w, enum mount_check c)
{
    return !(w->options.skip >> c & 1);
}

enum {
    MOUNT_LOGS = 2,   /* files in /log */
    MOUNT_CLOSED = 2, /* and in /closed */
};

struct mount_later;

struct mountpoint {
    struct world *w;
    unsigned index;
    struct client *client;
    struct kernel *kernel;
    struct mount *core;
    struct mount_effects fx;
    struct mount_config config;
    char path[16];
    struct mount_later *later; /* at the end of this step */
    size_t n_later, cap_later;
    int64_t tick_at;
    bool closed_seen[MOUNT_CLOSED]; /* in a listing */
    bool stepping, ready, stopping, ended, dead;
    bool without_zxids;    /* its events do not say of which transaction they are */
    int64_t idle_since_ms; /* -1: it is not */
    int64_t connected_ms;  /* since when its session is */
    size_t n_effects_max;
    int64_t *sessions; /* all that it ever had */
    size_t n_sessions;
    unsigned n_programs; /* that run */
    struct mirror *mirror;
    struct tamper *tamper; /* NULL: nothing is broken */
};

/* mountpoint.c */
void mountpoint_start(struct world *w, unsigned index, int draft_ms); /* -1: any */
void mountpoint_stop(struct mountpoint *m);
void mountpoint_free(struct mountpoint *m);
void mountpoint_state(struct mountpoint *m, enum client_state state);
void mountpoint_answered(struct mountpoint *m, const struct session_reply *reply);
void mountpoint_watch(struct mountpoint *m, const struct session_effect *fx);
bool mountpoint_is_quiet(struct mountpoint *m);
bool mountpoint_owns(const struct mountpoint *m, int64_t session_id);
void mountpoint_after(struct mountpoint *m, const struct mount_event *e); /* behind this step */
void mountpoint_undo(struct mountpoint *m, const struct mount_reply *r);
struct slice mountpoint_path_of(const struct mount_effect *ask); /* empty: it has none */

/* tamper_mount.c: what --break does to what the core is told and says. False: it is left out. */
struct tamper *tamper_open(const struct world *w);
void tamper_close(struct tamper *t);
bool tamper_event(struct mountpoint *m, struct mount_event *e);
bool tamper_effect(struct mountpoint *m, struct mount_effect *e);
void tamper_step(struct mountpoint *m);
void tamper_committed(struct world *w, const struct tree_outcome *outcome);

/* program.c */
void programs_begin(struct mountpoint *m);
void programs_drop(struct world *w, void *mountpoint); /* caches, the injector, at random */
void raw_fill(struct world *w, struct request *r);     /* what a client does that is no mount */

/* mirror.c */
void mirror_begin(struct mountpoint *m);
void mirror_compare(struct mountpoint *m);
void mirror_end(struct mountpoint *m);
bool mirror_is_quiet(const struct mountpoint *m);
bool mirror_is_over(const struct mountpoint *m);
void mirror_free(struct mountpoint *m);
bool shown_as_dir(const struct znode *z);

/* aclcheck.c */
void aclcheck_fill(struct world *w, struct op *op);
void aclcheck_listed(struct mountpoint *m, int64_t rc, const struct buf *names);
void aclcheck_end(struct mountpoint *m);

/* cachecheck.c, movecheck.c */
void cachecheck_quiet(const struct mountpoint *m);
void movecheck_open(struct world *w);
void movecheck_close(struct world *w);
void movecheck_committed(struct world *w, const struct tree_outcome *outcome);
void movecheck_inject(const struct mountpoint *m, const struct mount_effect *e);

/* mountcheck.c */
void mountcheck_open(struct world *w);
void mountcheck_close(struct world *w);
void mountcheck_committed(struct world *w, const struct zk_txn_header *h,
                          const struct tree_outcome *outcome);
const char *text_line(struct slice data, char *out, size_t size);
void mountcheck_step(struct mountpoint *m, const struct mount_event *e);
void mountcheck_end(struct world *w);

/* What the programs say. */
void mountcheck_append_begins(struct world *w, const char *line);
void mountcheck_append_ended(struct world *w, const char *line, int64_t rc);
void mountcheck_made(struct mountpoint *m, const struct call *c);
void mountcheck_missed(struct mountpoint *m, const struct call *c);
void mountcheck_read(struct mountpoint *m, const char *path, struct slice data, int64_t began_ms);
void mountcheck_begins(struct mountpoint *m, int log, struct slice data);
void mountcheck_content(struct mountpoint *m, const char *path, struct slice must,
                        const char *what);
void mountcheck_listed(struct mountpoint *m, const struct buf *names);

#endif
