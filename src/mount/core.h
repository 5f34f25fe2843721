/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the mount's core share.
 *
 * A request is answered when the servers have answered: between the two a struct of its handler
 * waits, with a function that goes on. All of them live in one mount_step() at a time. */
#ifndef ZAB_MOUNT_CORE_H
#define ZAB_MOUNT_CORE_H

#include "model.h"
#include "zab/mount.h"

/* What a request leaves behind until it is answered. */
struct req {
    struct mount *m;
    uint64_t serial; /* no other request has it */
    uint64_t id;
    enum mount_op op;
    pid_t pid;
};

struct asked;

struct work;
/* Do so much of it: that many names, nodes or events. False: there is nothing left to do now. */
typedef bool work_go_on(struct work *w, size_t n);

struct work {
    struct list link;
    work_go_on *go_on; /* NULL: it does not wait for its turn */
};

struct mount {
    struct mount_config config;
    struct mount_effects *fx; /* of the step that runs */
    int64_t now_ms;
    int64_t wall_ms;

    struct nodes nodes;
    struct identity who;
    size_t n_watches;
    size_t n_own; /* of `who`: what the shell told; the rest said the server */

    struct asked *asked; /* a ring: what was sent and has no answer */
    size_t asked_cap, asked_head, n_asked;
    size_t n_unsent;   /* the last of them: asked since MOUNT_END */
    struct buf record; /* of the request that is made */
    int64_t last_zxid;
    struct mount_session session;
    char server[280];

    struct hmap pending; /* requests without a reply */
    struct list due;     /* the same, the oldest first */
    uint64_t serial;
    uint64_t handling; /* its handler runs, and has not replied */

    struct hmap handles; /* open files and directories */
    uint64_t next_fh;
    struct list drafts;  /* handles open for writing */
    struct list looking; /* flushes that wait for /proc */
    uint64_t next_look;

    struct list works;

    struct list listings; /* lists that are on their way into the model, */
    struct work listing;
    struct buf held;   /* and the events that wait for them */
    size_t held_at;    /* where those begin that still do */
    struct list dirty; /* nodes that the next round compares */
    size_t n_dirty;
    struct round *round;
    int64_t round_at; /* INT64_MAX: none is planned */
    int64_t draft_at;
    int64_t acl_at; /* not before */

    struct list injections; /* that wait */
    struct injection *injecting;
    size_t n_injections; /* with the one that runs */
    bool can_inject;

    bool connected;
    bool closed;            /* MOUNT_END has been told: nothing but replies and log lines since */
    int64_t quiet_since_ms; /* no server has said what it should since; INT64_MAX: all is well */
    int64_t disconnected_wall_ms;
    bool asked_mount;
    bool mounted;
    bool stopping;

    struct buf last_error; /* of a commit, with its path */
    struct {
        uint64_t requests, commits, injections, rounds, injector_restarts, lost_events, reconnects,
            commits_failed;
        uint64_t by_op[MOUNT_N_OPS];
    } count;
};

/* ---- core.c ---- */

/* No server answers, as far as is known by now; and it has been so for timeo. */
bool mount_is_cut_off(const struct mount *m);
bool mount_is_stale(const struct mount *m);

/* Was a request's answer lost with its connection, and is there time to find out more? */
bool mount_may_retry(const struct mount *m, int32_t zk_err, int64_t deadline_ms);

/* ---- work.c: what grows with the number of names is done in parts ---- */

void work_queue(struct mount *m, struct work *w, work_go_on *go_on);
bool work_waits(const struct work *w);
void work_end(struct work *w); /* It waits no more */
void work_do_some(struct mount *m);

/* Do all that is left, in vain. */
void work_close(struct mount *m);

/* ---- pending.c: no request waits longer than timeo ---- */

/* The request has no reply yet, and its handler has returned. */
void pending_add(struct req req);

/* Is there still somebody who waits for it? Not any more after this. */
bool pending_take(struct req req);
bool pending_waits(struct req req); /* the same, and goes on waiting */
void pending_expire(struct mount *m);
int64_t pending_deadline(const struct mount *m);
void pending_close(struct mount *m);

/* ---- acl.c: servers do not tell of a new ACL, so its age is bounded ---- */

bool acl_is_old(const struct mount *m, const struct node *n);
int64_t acl_age_left(const struct mount *m, const struct node *n);

/* Read some of the oldest again, if they are in use. */
void acl_refresh(struct mount *m);
int64_t acl_deadline(const struct mount *m);

/* ---- effects.c ---- */

/* At the end of a step: what was given with replies that nobody waits for is taken back. */
void effects_finish(struct mount *m);

struct mount_effect *effect_add(struct mount *m, enum mount_effect_type type);
void effect_log(struct mount *m, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- reply.c ---- */

struct handle;

void reply_fill(struct mount *m, struct node *n, struct stat *st);
void reply_entry_fill(struct mount *m, struct node *n, struct mount_entry *e);
/* With a reply that gives this node the kernel has it, and counts it once more. */
void reply_give(struct mount *m, struct node *n);
void reply_entry(struct req req, struct node *n);
void reply_attr(struct req req, struct node *n);
/* The same as who writes through `h` is to see it; NULL: nobody. */
void reply_attr_of(struct req req, struct node *n, const struct handle *h);
void reply_none(struct req req);                            /* no such entry, nor will there be */
void reply_none_in(struct req req, const struct node *dir); /* not now */
void reply_err(struct req req, int err);
void reply_data(struct req req, struct slice data);
void reply_size(struct req req, uint64_t size);

/* A request on the heap, for a callback that frees it. */
struct req *req_keep(struct req req);

/* Any other: the caller fills in what is not in every reply. */
struct mount_reply *reply_add(struct req req, enum mount_reply_type type);

/* 0, or why this mount cannot change anything now. */
int reply_write_error(struct mount *m);

/* ---- ask.c: requests to the servers ---- */

/* `err` is an enum zk_error, as client.h has it; the body is valid during the call. */
struct answer {
    int32_t err;
    int64_t zxid;
    struct slice body;
    int32_t too_long;
};

/* Once for each request, later than the call. */
typedef void answer_done(void *arg, const struct answer *answer);

void ask_get(struct mount *m, struct slice path, answer_done *done, void *arg);
/* A path from the server's root, not the CHROOT's. */
void ask_get_absolute(struct mount *m, struct slice path, answer_done *done, void *arg);
void ask_exists(struct mount *m, struct slice path, answer_done *done, void *arg);
void ask_children(struct mount *m, struct slice path, answer_done *done, void *arg);
void ask_set(struct mount *m, struct slice path, struct slice data, int32_t version,
             answer_done *done, void *arg);
void ask_create(struct mount *m, struct slice path, struct slice data,
                const struct jute_vector *acl, answer_done *done, void *arg);
void ask_delete(struct mount *m, struct slice path, int32_t version, answer_done *done, void *arg);
void ask_sync(struct mount *m, struct slice path, answer_done *done, void *arg);
void ask_get_acl(struct mount *m, struct slice path, answer_done *done, void *arg);
void ask_set_acl(struct mount *m, struct slice path, const struct jute_vector *acl, int32_t version,
                 answer_done *done, void *arg);
void ask_add_watch(struct mount *m, struct slice path, enum zk_watch_mode mode, answer_done *done,
                   void *arg);
void ask_remove_watch(struct mount *m, struct slice path);
void ask_who_am_i(struct mount *m, answer_done *done, void *arg);

/* Closes `multi`. */
void ask_multi(struct mount *m, struct request_multi *multi, answer_done *done, void *arg);

void ask_answered(struct mount *m, const struct answer *answer);
/* At the end of a step: what was asked since MOUNT_END, and so was not sent, has no answer. */
void ask_finish(struct mount *m);
void ask_close(struct mount *m);

/* namespace.c: the ACL of a new node; false: open to the world. */
bool create_acl(const struct mount *m, bool is_dir, mode_t mode, struct buf *out);

/* ---- know.c: what is learned goes into the model ---- */

/* A node's Stat came. Returns the node that it describes: a new one in place of `n` if the znode
 * is not the one that it was. */
struct node *know_stat(struct mount *m, struct node *n, const struct zk_stat *stat, bool is_dir);
void know_acl(struct mount *m, struct node *n, const struct jute_vector *acl);
void know_closed(struct mount *m, struct node *n); /* it may not be looked at any more */
/* The node that has this one's path: itself, or where it is gone what took its place. */
struct node *know_place(struct mount *m, struct node *n);

void know_gone(struct mount *m, struct node *n);
void know_gone_untold(struct mount *m, struct node *n); /* the watchers know, or shall not */
/* What has this place shall be another node, whose making is to be told. */
void know_other(struct mount *m, struct node *n);

/* Those below it, which may be very many: at most so many of them. False: there are more. */
bool know_gone_below(struct mount *m, struct node *dir, size_t *n);

/* Is this the Stat of another znode, which has its name now? */
bool know_is_another(const struct node *n, const struct zk_stat *stat, bool is_dir);

/* The list came, and was longer than what is taken. */
void know_too_long(struct mount *m, struct node *dir, int32_t bytes);

/* `from` has got this name in the transaction `zxid`, in place of what had it before. */
void know_renamed(struct mount *m, struct node *from, struct node *parent, struct slice name,
                  int64_t zxid);
/* `from`, which was gone, is back in the place of `to`, whose children it takes over. */
void know_revived(struct mount *m, struct node *from, struct node *to, int64_t zxid);
void know_exchanged(struct mount *m, struct node *a, struct node *b, int64_t zxid);

/* Compare this node, or its list of children too, in the next round. */
void know_dirty(struct mount *m, struct node *n);
void know_dirty_list(struct mount *m, struct node *dir);

/* ---- listing.c ---- */

/* The list of children came, as of `zxid`. `done` is called when it is in the model, which may be
 * later; `there`: the directory still is. */
typedef void listing_done(void *arg, bool there);
void listing_start(struct mount *m, struct node *dir, const struct jute_vector *names, int64_t zxid,
                   listing_done *done, void *arg);

/* Is the event held back for a list that is on its way into the model? */
bool listing_holds(struct mount *m, const struct zk_watcher_event *event, int64_t zxid);

/* ---- watch.c ---- */

/* Make the watches of a node what they should be. */
void watch_apply(struct mount *m, struct node *n);
void watch_end(struct mount *m, struct node *n);
void watch_set(struct mount *m, struct node *n, enum node_watch want);
void watch_event(struct mount *m, const struct zk_watcher_event *event, int64_t zxid);
void watch_take_event(struct mount *m, const struct zk_watcher_event *event, int64_t zxid);

/* The directory is listed no more: children that nobody holds are not known any more. */
void watch_unlist(struct mount *m, struct node *dir);

/* The kernel holds it, or does not any more. */
void watch_forget(struct mount *m, struct node *n, uint64_t lookups);

/* lookup.c: what has this name, as the kernel knows it; NULL: nothing that is known. */
struct node *lookup_known(struct mount *m, struct node *dir, const char *name);

/* The directory in which something is to be changed; NULL: it is gone, and its path may be
 * another's by now. */
struct node *lookup_dir(struct mount *m, uint64_t ino);

/* What has the name of a node that is gone; NULL: it is not gone, or nothing has. */
struct node *lookup_successor(const struct mount *m, const struct node *n);

/* The name of the znode. */
struct slice lookup_real_name(const struct node *dir, const char *name);

/* ---- fetch.c: reads from the server ----
 *
 * `done` is called once, later or (if it is known already) at once, with the node that is now at
 * this place. It holds no reference after that. */

typedef void fetch_done(void *arg, struct node *n, int32_t zk_err);

void fetch_stat(struct mount *m, struct node *n, fetch_done *done, void *arg);
void fetch_data(struct mount *m, struct node *n, fetch_done *done, void *arg);
void fetch_list(struct mount *m, struct node *dir, fetch_done *done, void *arg);

/* As far as it is not known: the Stat; and for a directory its children, so that the kernel may
 * hold it. */
void fetch_entry(struct mount *m, struct node *n, fetch_done *done, void *arg);
void fetch_attr(struct mount *m, struct node *n, fetch_done *done, void *arg);
void fetch_content(struct mount *m, struct node *n, fetch_done *done, void *arg);

/* ---- handle.c: open files and directories ---- */

struct handle {
    struct hmap_node by_fh;
    uint64_t fh;
    struct mount *mount;
    struct node *node;
    struct dir *dir; /* of a directory, else NULL */
    struct list drafts;
    pid_t opener;
    pid_t writer; /* who wrote last */
    int flags;
    bool writable;
    bool paged;           /* the kernel reads it from its page cache */
    bool expect_truncate; /* the SETATTR of an O_TRUNC may still come */
    struct content *pinned;
    struct draft draft;
    mode_t mode; /* of a node that this open creates */
    uint64_t changes;
    int64_t changed_ms;
    int64_t changed_wall_ms;
    uint64_t commits;
    bool refused; /* the last commit, for a reason that stays: not again before a change */
    int lost;     /* the error with which a close gave up what was written; 0: nothing was lost */
    struct commit *commit;
    struct commit *doubt; /* one that failed and may have taken place */
    struct list waiters;  /* of the commit */
    bool released;
    unsigned users; /* requests that wait */
};

struct handle *handle_new(struct mount *m, struct node *n, int flags, pid_t opener);
struct handle *handle_new_dir(struct mount *m, struct node *n);
void handle_free(struct handle *h);

/* Frees a handle that was released, unless a commit or a request is under way; then that does. */
void handle_free_unused(struct handle *h);
/* It was opened for nobody. */
void handle_abandon(struct mount *m, uint64_t fh);
struct handle *handle_ref(struct handle *h);
void handle_unref(struct handle *h);
struct handle *handle_find(const struct mount *m, uint64_t fh); /* NULL: there is none */
struct mount_opened handle_opened(struct handle *h);
size_t handle_limit(const struct handle *h);
void handle_changed(struct handle *h);

/* dir.c: what an open directory has besides */
struct dir *dir_new(struct mount *m, struct node *n);
void dir_free(struct dir *d);

/* ---- commit.c ---- */

typedef void commit_done(void *arg, int err);

/* Commit what the draft has; `done` may be NULL. `telling`: the request, valid until then, whose
 * end raises the event that tells of it; NULL: there is none. */
void commit_start(struct handle *h, const struct req *telling, commit_done *done, void *arg);

void commit_free(struct commit *c); /* NULL is fine */

/* ---- drafts.c ---- */

/* Commit all drafts of a node, or of the mount (NULL); `done` once, with the first error. */
void commit_all(struct mount *m, struct node *n, commit_done *done, void *arg);

/* Has a transaction for this node been sent, and is not known how it ended? */
bool commit_is_under_way(const struct mount *m, const struct node *n);

/* From now on until all are closed: commit drafts that nobody has written to for a while. */
void commit_watch_idle(struct mount *m);
void commit_idle(struct mount *m);

/* close.c: /proc has told of the opener */
void file_opener_seen(struct mount *m, uint64_t id, int count, enum mount_yes own, uint32_t same);

/* ---- namespace.c ---- */

/* Create at once: `data` null for a directory; `done` gets a positive errno and the node. */
typedef void create_done(void *arg, int err, struct node *n);
void namespace_create(struct req req, struct node *parent, struct slice name, struct slice data,
                      mode_t mode, create_done *done, void *arg);

/* ---- rename.c, and movedir.c for directories ---- */

typedef void movedir_done(void *arg, int err);
void movedir_start(struct mount *m, struct node *from, struct slice to_path, bool replace,
                   movedir_done *done, void *arg);

/* ---- round.c: compare and tell ---- */

void round_schedule(struct mount *m);
void round_begin(struct mount *m);
void round_everything(struct mount *m); /* after an outage */
void round_close(struct mount *m);

/* ---- inject.c: the events that the injector's system calls raise, one at a time ---- */

/* One change to be told. */
struct injection {
    struct list link;
    enum mount_inject kind;
    struct node *n; /* NULL: the probe */
    struct node *parent;
    char *name;               /* as the kernel knows it, */
    char *real_name;          /* and the znode's */
    struct node *from_parent; /* of a rename */
    char *from_name;
    struct node *target; /* what a rename replaces */
    int64_t size;
    bool is_dir;
    bool shed;  /* nobody held it before */
    bool again; /* it has failed once */
};

void inject_push(struct mount *m, enum mount_inject kind, struct node *n, struct node *from_parent,
                 const char *from_name, struct node *target);
bool inject_is_late(struct mount *m, const struct injection *i);

/* Does the one that runs take away the name of this node, which was another's before? */
bool inject_takes_name(const struct mount *m, const struct node *n);
void inject_probe(struct mount *m);
void inject_done(struct mount *m, int rc);
void inject_close(struct mount *m);

/* ---- status.c ---- */
void status_text(struct mount *m, struct buf *out);

/* ---- Requests by file; the injector's own are in injected.c ---- */

typedef void request_handler(struct mount *m, const struct mount_request *q, struct req req);

request_handler req_lookup, req_forget, req_getattr, req_access, req_statfs, req_getxattr,
    req_listxattr;                                                       /* lookup.c */
request_handler req_opendir, req_readdir, req_releasedir;                /* dir.c */
request_handler req_open, req_create, req_read, req_write;               /* file.c */
request_handler req_flush, req_release, req_fsync;                       /* close.c */
request_handler req_setattr;                                             /* setattr.c */
request_handler req_mkdir, req_mknod, req_unlink, req_rmdir, req_refuse; /* namespace.c */
request_handler req_rename;                                              /* rename.c */
request_handler injected_lookup, injected_make, injected_remove, injected_open, injected_setattr,
    injected_ok;

#endif
