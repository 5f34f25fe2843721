/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shell of the mount: libfuse, the client and the core on one loop thread, and the injector on
 * a thread of its own.
 *
 * Nothing on the loop thread blocks, and nothing on it touches the mount itself or calls
 * fuse_lowlevel_notify_*: both can wait for locks that a request to us holds. */
#ifndef ZAB_MOUNT_SHELL_H
#define ZAB_MOUNT_SHELL_H

#define FUSE_USE_VERSION 31
#include <fuse_lowlevel.h>
#include <stdatomic.h>

#include "options.h"
#include "zab/client.h"
#include "zab/log.h"
#include "zab/mount.h"

struct injector;
struct standalone;

/* The process that makes the injector's system calls; started before the mount, so that it does not
 * have it open. */
struct inject_child {
    atomic_int pid; /* the injector's thread starts another when it dies */
    int fd;
};

struct later {
    struct mount_event event;
    struct mount_request request;
};

struct shell {
    struct options opt;
    uv_loop_t *loop;
    struct client *client;
    struct tls_context *tls; /* NULL: plain connections */
    struct fuse_session *session;
    struct fuse_buf fuse_buf;
    uv_poll_t poll;
    uv_timer_t connect_timer;
    uv_timer_t core_timer;
    uv_idle_t core_idle;
    int64_t armed;     /* when core_timer fires */
    size_t most_nodes; /* since memory was given back */
    uv_signal_t signals[3];
    struct mount *core;
    struct mount_effects fx;
    struct later *later; /* events that effects have brought about */
    size_t n_later, cap_later;
    struct injector *injector;
    struct inject_child child;
    struct standalone *standalone;
    dev_t dev;  /* of the mount */
    bool ended; /* MOUNT_END has come */
    int exit_code;
    int ready_fd; /* the parent that waits for the mount, or -1 */
};

/* ---- main.c ---- */

/* The mount answers: let the parent go. */
void shell_ready(struct shell *sh);
void shell_end(struct shell *sh, int err, const char *text);

/* ---- effects.c ---- */

/* Tell the core what happened, and carry out what it wants. The event's times are filled in. */
void shell_step(struct shell *sh, struct mount_event *event);
void shell_request(struct shell *sh, const struct mount_request *q);
void shell_undo(struct shell *sh, const struct mount_request *q);

/* ---- fuse.c, requests.c, replies.c ---- */

struct fuse_lowlevel_ops shell_fuse_ops(const struct shell *sh);

int fuse_shell_mount(struct shell *sh, struct err *e);
void fuse_shell_start(struct shell *sh);
void fuse_shell_unmount(struct shell *sh);
void fuse_shell_reply(struct shell *sh, const struct mount_reply *r);

/* ---- inject.c: jobs for the injector's thread ---- */

/* It detaches the mount if zabfs ends without doing so. */
int inject_child_start(struct inject_child *child, const char *mountpoint, bool auto_unmount);

int inject_start(struct shell *sh);
void inject_stop(struct shell *sh);
void inject_job(struct shell *sh, const struct mount_effect *e);

/* opener.c: carries out MOUNT_LOOK_AT_OPENER. False: the event comes later. */
bool opener_look(struct shell *sh, const struct mount_effect *e, struct mount_event *seen);

/* ---- standalone.c: a private zabd ---- */
int standalone_start(struct shell *sh, const char *data_dir, struct err *e);
const char *standalone_hosts(const struct standalone *s);
void standalone_stop(struct standalone *s);

#endif
