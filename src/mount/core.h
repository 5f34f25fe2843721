/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shell of the mount: libfuse, the client and the model on one loop thread, and the injector
 * on a thread of its own.
 *
 * Every request is answered when the client has answered; nothing on the loop thread blocks, and
 * nothing on it touches the mount itself or calls fuse_lowlevel_notify_*: both can wait for locks
 * that a request to us holds. */
#ifndef ZAB_MOUNT_H
#define ZAB_MOUNT_H

#define FUSE_USE_VERSION 31
#include <fuse_lowlevel.h>

#include "model.h"
#include "zab/client.h"
#include "zab/log.h"

/* ---- The mount ---- */

struct injector;

/* The process that makes the system calls; started before the mount, so that it does not have it
 * open. */
struct inject_child {
    pid_t pid;
    int fd;
};

struct mount {
    struct options opt;
    uv_loop_t *loop;
    struct client *client;
    struct tls_context *tls; /* NULL: plain connections */
    struct fuse_session *session;
    struct fuse_buf fuse_buf;
    uv_poll_t poll;
    uv_timer_t round_timer;
    uv_timer_t draft_timer;
    uv_signal_t signals[3];
    struct nodes nodes;
    struct identity who;
    struct injector *injector;
    struct inject_child child;
    struct standalone *standalone;

    struct list drafts; /* handles open for writing */
    struct list dirty;  /* nodes that the next round compares */
    bool round_active;

    bool connected;
    bool closed;              /* the client is closed or closing: no further requests */
    uint64_t disconnected_ms; /* on the loop's clock, when `connected` went */
    time_t disconnected_at;
    bool stopping;
    int exit_code;
    int ready_fd; /* the parent that waits for the mount, or -1 */

    struct {
        uint64_t requests, commits, injections, rounds;
    } count;
};

uint64_t mount_now_ms(const struct mount *m);
bool mount_is_stale(const struct mount *m);

/* Was a request's answer lost with its connection, and is there time to find out more? */
bool mount_may_retry(const struct mount *m, int32_t zk_err, uint64_t deadline_ms);
void mount_stop(struct mount *m);
/* The mount answers: let the parent go. */
void mount_ready(struct mount *m);

/* ---- know.c: what is learned goes into the model ---- */

/* A node's Stat came. Returns the node that it describes: a new one in place of `n` if the znode
 * is not the one that it was. */
struct node *know_stat(struct mount *m, struct node *n, const struct zk_stat *stat, bool is_dir);
void know_acl(struct mount *m, struct node *n, const struct jute_vector *acl);
void know_gone(struct mount *m, struct node *n);

/* The list of children came, as of `zxid`. */
void know_list(struct mount *m, struct node *dir, const struct jute_vector *names, int64_t zxid);

/* `from` has got this name in the transaction `zxid`, in place of what had it before. */
void know_renamed(struct mount *m, struct node *from, struct node *parent, struct slice name,
                  int64_t zxid);
/* `from`, which was gone, is back in the place of `to`, whose children it takes over. */
void know_revived(struct mount *m, struct node *from, struct node *to, int64_t zxid);
void know_exchanged(struct mount *m, struct node *a, struct node *b, int64_t zxid);

/* Compare this node, or its list of children too, in the next round. */
void know_dirty(struct mount *m, struct node *n);
void know_dirty_list(struct mount *m, struct node *dir);

/* ---- watch.c ---- */

/* Make the watches of a node what they should be. */
void watch_apply(struct mount *m, struct node *n);
void watch_drop(struct mount *m, struct node *n);
void watch_set(struct mount *m, struct node *n, enum node_watch want);
void watch_event(struct mount *m, const struct zk_watcher_event *event);

/* The kernel holds it, or does not any more. */
void watch_forget(struct mount *m, struct node *n, uint64_t lookups);

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

/* ---- reply.c ---- */

void reply_fill(struct mount *m, struct node *n, struct stat *st);
void reply_entry_param(struct mount *m, struct node *n, struct fuse_entry_param *e);
void reply_entry(struct mount *m, fuse_req_t req, struct node *n);
void reply_attr(struct mount *m, fuse_req_t req, struct node *n);
void reply_none(struct mount *m, fuse_req_t req); /* no such entry; may be cached */
void reply_err(fuse_req_t req, int err);

/* 0, or why this mount cannot change anything now. */
int reply_write_error(struct mount *m);

/* ---- handle.c: open files ---- */

struct handle {
    struct mount *mount;
    struct node *node;
    struct list drafts;
    pid_t opener;
    int flags;
    bool writable;
    bool expect_truncate; /* the SETATTR of an O_TRUNC may still come */
    struct content *pinned;
    struct draft draft;
    mode_t mode; /* of a node that this open creates */
    uint64_t changes;
    uint64_t changed_ms;
    uint64_t commits;
    int error; /* of a commit that nobody waited for */
    struct commit *commit;
    struct list waiters; /* of the commit */
    bool released;
};

struct handle *handle_new(struct mount *m, struct node *n, struct fuse_file_info *fi, pid_t opener);
void handle_free(struct handle *h);
struct handle *handle_of(const struct fuse_file_info *fi);
size_t handle_limit(const struct handle *h);
void handle_changed(struct handle *h);

/* ---- commit.c ---- */

typedef void commit_done(void *arg, int err);

/* Commit what the draft has; `done` may be NULL. */
void commit_start(struct handle *h, commit_done *done, void *arg);

/* Commit all drafts of a node, or of the mount (NULL); `done` once, with the first error. */
void commit_all(struct mount *m, struct node *n, commit_done *done, void *arg);

/* From now on until all are closed: commit drafts that nobody has written to for a while. */
void commit_watch_idle(struct mount *m);

/* opener.c: does the process that opened the file still have it open for writing? 1, 0, or -1 if
 * /proc does not tell. */
int opener_has_file(pid_t opener, uint64_t ino);

/* ---- Requests, by file ---- */

/* lookup.c */
void req_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void req_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n);
void req_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void req_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void req_access(fuse_req_t req, fuse_ino_t ino, int mask);
void req_statfs(fuse_req_t req, fuse_ino_t ino);
void req_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void req_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

/* dir.c */
void req_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void req_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void req_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     struct fuse_file_info *fi);
void req_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* file.c */
void req_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void req_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                struct fuse_file_info *fi);
void req_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void req_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
               struct fuse_file_info *fi);
void req_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void req_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void req_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* setattr.c */
void req_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                 struct fuse_file_info *fi);

/* namespace.c */
void req_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void req_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void req_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void req_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void req_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void req_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);

/* Create at once: `data` null for a directory; `done` gets a positive errno and the node. */
typedef void create_done(void *arg, int err, struct node *n);
void namespace_create(struct mount *m, struct node *parent, struct slice name, struct slice data,
                      mode_t mode, create_done *done, void *arg);

/* rename.c, and movedir.c for directories */
void req_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                const char *new_name, unsigned flags);

typedef void movedir_done(void *arg, int err);
void movedir_start(struct mount *m, struct node *from, struct slice to_path, bool replace,
                   movedir_done *done, void *arg);

/* ---- round.c: compare and tell ---- */

void round_schedule(struct mount *m);
void round_everything(struct mount *m); /* after an outage */

/* ---- inject.c: the injector's thread and its queue ---- */

enum inject_kind {
    INJECT_CREATE,
    INJECT_DELETE,
    INJECT_DATA,
    INJECT_ATTRIB,
    INJECT_RENAME,
    INJECT_PROBE, /* does the mount answer? */
};

/* It detaches the mount if zabfs ends without doing so; not if `mountpoint` is NULL. */
int inject_child_start(struct inject_child *child, const char *mountpoint, bool auto_unmount);

int inject_start(struct mount *m);
void inject_stop(struct mount *m);

/* `from` is where a renamed node was before, else NULL. */
void inject_push(struct mount *m, enum inject_kind kind, struct node *n, struct node *from_parent,
                 const char *from_name, struct node *target);
size_t inject_backlog(const struct mount *m);

/* injected.c: the requests that the injector's system calls become. Each returns true if it has
 * answered the request. */
bool injected_lookup(fuse_req_t req, struct node *parent, const char *name);
bool injected_make(fuse_req_t req, struct node *parent, const char *name);
bool injected_remove(fuse_req_t req, struct node *parent, const char *name);
bool injected_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi);
bool injected_setattr(fuse_req_t req, struct node *n);
bool injected_other(fuse_req_t req);

/* ---- fuse.c ---- */

int fuse_shell_mount(struct mount *m, struct err *e);
void fuse_shell_start(struct mount *m);
void fuse_shell_unmount(struct mount *m);

/* ---- status.c ---- */
void status_text(struct mount *m, struct buf *out);

/* ---- standalone.c: a private zabd ---- */
struct standalone;
int standalone_start(struct mount *m, const char *data_dir, struct err *e);
const char *standalone_hosts(const struct standalone *s);
void standalone_stop(struct standalone *s);

/* The mount that a request belongs to, and the node; NULL: it was answered ESTALE. */
static inline struct mount *req_mount(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

#endif
