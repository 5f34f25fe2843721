/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The side of a mount that is the Linux kernel's: names and attributes that it keeps, open files,
 * listings, locks of inodes, inotify, and processes that make system calls. A model of what VFS,
 * FUSE and fsnotify do in Linux 6.18, tried there where that is said.
 *
 * A system call is written as the kernel has it, one step behind the other, and sleeps in the
 * middle: it runs on a stack of its own, a task (kernel_task.c). Only one runs at a time, and what
 * wakes it is planned with sim_at(), so that a seed gives the same run always.
 *
 *     kernel_task.c    stacks, sleeping, locks
 *     kernel_queue.c   requests on their way to the core, and replies
 *     kernel_inode.c   inodes: attributes, lookups that are counted, forgetting
 *     kernel_dentry.c  names: their cache
 *     kernel_path.c    lookups, one step of a path behind the other
 *     kernel_open.c    opening and creating
 *     kernel_file.c    reading, writing, seeking, truncating; the last close
 *     kernel_dir.c     listings
 *     kernel_change.c  what adds, moves and removes names
 *     kernel_notify.c  inotify
 *     kernel_inject.c  invalidations and the injector's calls, one behind the other
 *     kernel_call.c    processes, descriptors and system calls */
#ifndef SIM_KERNEL_H
#define SIM_KERNEL_H

#include "zab/buf.h"
#include "zab/list.h"
#include "zab/mount.h"

struct world;
struct kernel;
struct process;
struct dentry;

enum {
    KERNEL_FDS = 24,
    KERNEL_EVENTS = 512, /* of an inotify queue, at most */
    KERNEL_ROOT = 1,     /* the number of the root's inode */
};

/* ---- Tasks ---- */

struct task;
typedef void task_main(struct world *w, void *arg);

/* It begins in `delay_ms`. */
void task_start(struct world *w, int64_t delay_ms, task_main *run, void *arg);
struct task *task_running(void);
void task_sleep(struct world *w); /* until somebody wakes it */
void task_wake(struct world *w, struct task *t, int64_t delay_ms);
size_t tasks_alive(void);

struct rwlock {
    unsigned readers;
    bool written;
    struct list waiting;
};

void lock_init(struct rwlock *l);
void lock_shared(struct world *w, struct rwlock *l);
void lock_exclusive(struct world *w, struct rwlock *l);
void lock_release(struct world *w, struct rwlock *l);

/* ---- inotify ---- */

struct notice {
    int wd;
    uint32_t mask;
    uint32_t cookie;
    char *name; /* NULL: of the watched inode itself */
};

/* An instance, of one process. */
struct inotify {
    struct process *process;
    struct list link; /* of the process */
    struct list watches;
    int next_wd;
    size_t limit;
    struct notice *queue;
    size_t n, cap;
    uint64_t n_raised, n_overflows;
    void (*on_event)(struct inotify *i); /* something is to be read; may be NULL */
    void *arg;
};

struct watch {
    struct list of_inode, of_instance;
    struct inotify *instance;
    struct inode *inode;
    int wd;
    uint32_t mask;
};

/* ---- Inodes and names ---- */

/* A listing as the kernel keeps it. */
struct dir_cache {
    bool whole;     /* up to the end */
    bool has_pages; /* they were not dropped */
    uint64_t version, iversion;
    struct timespec mtime;
    uint64_t end; /* the offset behind the last */
    struct dir_entry {
        char *name;
        uint64_t ino, offset, next;
    } * entries;
    size_t n, cap;
};

struct inode {
    struct list link; /* of the kernel */
    struct kernel *kernel;
    uint64_t nodeid;
    uint64_t nlookup; /* that the core counts too */
    unsigned refs;    /* names, watches, system calls */
    struct stat st;   /* st_size is the kernel's own */
    int64_t attr_until_ms;
    bool attr_invalid;
    uint64_t attr_version;
    bool size_unstable; /* while it is truncated */
    bool bad;           /* its type has changed: EIO from now on */
    bool dead;          /* an rmdir has removed it */
    struct rwlock lock;
    struct list names; /* dentries */
    struct list watches;
    uint64_t iversion; /* of what is in it */
    struct dir_cache listing;
    bool has_pages;      /* of a file */
    uint64_t page_drops; /* how often they were dropped */
    struct buf pages;
};

struct dentry {
    struct list of_parent, of_inode;
    struct list children;
    struct dentry *parent; /* itself: the root */
    struct inode *inode;   /* NULL: there is none of that name */
    char *name;
    unsigned refs; /* children, open files, system calls */
    bool hashed;
    bool looking; /* a lookup of it is under way */
    struct list lookers;
    int64_t until_ms; /* as long it is believed */
};

/* ---- Open files ---- */

struct file {
    struct list link; /* of the kernel */
    uint64_t serial;
    struct dentry *dentry;
    struct inode *inode;
    unsigned refs; /* descriptors, and calls under way */
    int flags;
    uint64_t pos;
    struct mount_opened opened;
    pid_t opener;
    struct rwlock pos_lock;
    /* Of a directory: its place in the kept listing. */
    uint64_t seen_version, cache_pos;
    size_t cache_index;
    void *arg; /* of the checks */
};

/* ---- Processes ---- */

enum call_type {
    CALL_OPEN, /* path, flags, mode: a descriptor */
    CALL_CLOSE,
    CALL_DUP,   /* fd; to `offset` if that is not -1 (dup2) */
    CALL_READ,  /* fd, size, and `offset` or -1 */
    CALL_WRITE, /* fd, data, and `offset` or -1 */
    CALL_LSEEK, /* fd, offset, whence */
    CALL_FSTAT,
    CALL_STAT,
    CALL_FTRUNCATE, /* fd, size */
    CALL_TRUNCATE,  /* path, size */
    CALL_FSYNC,
    CALL_UTIMES, /* path: now */
    CALL_CHMOD,  /* path, mode */
    CALL_ACCESS,
    CALL_GETDENTS, /* fd, size: of the buffer */
    CALL_MKDIR,
    CALL_MKNOD,
    CALL_UNLINK,
    CALL_RMDIR,
    CALL_RENAME, /* path, path2, flags */
    CALL_STATFS,
    CALL_WATCH, /* path, flags: the mask; `size` is the queue's length: an instance of its own */
    CALL_FORK,
    CALL_EXEC, /* descriptors with O_CLOEXEC are closed */
    CALL_EXIT,
    CALL_N_TYPES,
};

struct call_entry {
    char *name;
    uint64_t ino, next;
};

struct call {
    enum call_type type;
    char path[256], path2[256]; /* below the mount; "" is its root */
    int fd, whence, flags;
    mode_t mode;
    int64_t offset;
    uint64_t size;
    struct buf data; /* to write; that was read */
    struct stat st;
    struct call_entry *entries; /* of CALL_GETDENTS */
    size_t n_entries, cap_entries;
    struct inotify *inotify; /* of CALL_WATCH */
    struct process *child;   /* of CALL_FORK */
    int64_t rc;              /* a negative errno, or what the call gives */
    int64_t began_ms;
};

struct process {
    struct list link; /* of the kernel */
    struct kernel *kernel;
    pid_t pid;
    char name[24];
    bool injector;
    bool busy;   /* in a call */
    bool killed; /* it ends as soon as its call lets it */
    bool exiting, gone;
    struct file *fds[KERNEL_FDS];
    bool cloexec[KERNEL_FDS];
    struct list instances;
    struct pending *waits_for; /* the request that its call is in */
    struct call call;
    void (*done)(struct process *p, struct call *c);
    void *arg;
};

/* Begins a call; `done` comes later, with the call's own struct, which is emptied after it. A
 * process that ended has no descriptors and makes no calls. */
struct process *kernel_process(struct kernel *k, const char *name);
void kernel_call(struct process *p, const struct call *c,
                 void (*done)(struct process *p, struct call *c));
void kernel_kill(struct process *p); /* SIGKILL */
void kernel_end_killed(struct process *p);
void kernel_call_now(struct process *p, struct call *c); /* in a task */
void call_perform(struct process *p, struct call *c);
void call_end(struct call *c); /* frees what is in it */
const char *call_name(enum call_type type);
void call_text(const struct call *c, struct buf *out);

/* ---- A mount of the kernel's ---- */

struct kernel_order; /* what is to be carried out off the core's thread */

struct kernel {
    struct world *w;
    unsigned index;
    char name[16]; /* in the trace */
    const char *mountpoint;
    /* Who answers. `deliver` gets one request at a time; its strings are borrowed. */
    void (*deliver)(struct kernel *k, const struct mount_request *r);
    void (*on_injected)(struct kernel *k, int rc);
    void *arg;

    bool gone;        /* the file system is not there any more: ENOTCONN */
    int64_t limit_ms; /* a request that waits longer is a failure; 0: none is */
    uint32_t io_max;  /* of one READ or WRITE */
    uint32_t dirbuf_max;
    bool kills; /* programs are killed at times */
    bool reply_lost_once_killed;

    uint64_t attr_version, evictions, next_serial, next_id;
    pid_t next_pid;
    uint32_t next_cookie;
    struct dentry *root;
    struct list inodes, files, processes;
    struct list queue; /* requests that the core has not read, in order */
    struct list asked; /* that it has read */
    bool reading;      /* a delivery is planned */
    struct rwlock rename_lock;
    struct list orders;
    bool working; /* on the orders */
    struct process *injector;
    uint64_t n_requests, n_forgets, n_injected;
};

struct kernel *kernel_open(struct world *w, unsigned index, const char *mountpoint);
void kernel_close(struct kernel *k);

/* What the core says. kernel_reply() takes a copy; false: nobody waits for it any more. */
bool kernel_reply(struct kernel *k, const struct mount_reply *reply);
/* What waits for this reply; NULL: nothing. */
const struct mount_request *kernel_asked(struct kernel *k, uint64_t id);
void kernel_effect(struct kernel *k, const struct mount_effect *e);
int kernel_count_open(struct kernel *k, pid_t pid, uint64_t ino);
void kernel_kill_injector(struct kernel *k);
void kernel_drop_caches(struct kernel *k, unsigned one_in);
void kernel_vanish(struct kernel *k); /* the mount is gone: all that waits gets ENOTCONN */
void kernel_check_waits(struct kernel *k);
bool kernel_is_idle(const struct kernel *k);

/* ---- kernel_queue.c ---- */

/* A request, and its reply once there is one. */
struct pending {
    struct list link;
    struct mount_request request;
    struct buf bytes; /* that it owns: names, data */
    int64_t sent_ms;
    struct process *process;
    struct task *task; /* NULL: nobody waits */
    bool delivered, answered;
    bool interrupted; /* its task goes on without the reply, */
    bool untaken;     /* which has come since */
    struct mount_reply reply;
    struct arena arena; /* what the reply points to */
};

void queue_init(struct kernel *k);
void queue_close(struct kernel *k);

/* Sends it and sleeps: 0 with *reply, to be given to queue_done(), or a negative errno. `p` NULL:
 * in nobody's name. */
int queue_ask(struct kernel *k, struct process *p, const struct mount_request *r,
              struct pending **reply);
void queue_done(struct pending *a);
int queue_ask_plain(struct kernel *k, struct process *p, const struct mount_request *r);
/* Without an answer that anybody waits for; with `delay_ms` it is sent later. */
void queue_send(struct kernel *k, int64_t delay_ms, const struct mount_request *r);

/* ---- kernel_inode.c ---- */

struct inode *inode_find(struct kernel *k, uint64_t nodeid);
/* The inode of an entry that counts as a lookup. A reference of the caller's; NULL: EIO. */
struct inode *inode_get(struct kernel *k, const struct mount_entry *e, uint64_t version,
                        uint64_t evictions);
struct inode *inode_ref(struct inode *i);
void inode_put(struct inode *i);
void inode_force_forget(struct kernel *k, uint64_t nodeid);
bool inode_is_dir(const struct inode *i);
void inode_change(struct inode *i, const struct mount_entry *e, uint64_t version);
void inode_invalidate_attr(struct inode *i);
void inode_dir_changed(struct inode *i);
void inode_unlinked(struct inode *i); /* one name less */
void inode_drop_pages(struct inode *i);
int inode_getattr(struct process *p, struct inode *i, struct file *f, bool cached_will_do);
/* SETATTR; with the inode's lock held by the caller. */
int inode_setattr(struct process *p, struct inode *i, const struct file *f, unsigned set,
                  mode_t mode, uint64_t size);

/* ---- kernel_dentry.c ---- */

enum {
    WALK_REVAL = 1,  /* believe no name: after ESTALE */
    WALK_EXCL = 2,   /* of the last name: it is to be made */
    WALK_TARGET = 4, /* of a rename */
};

struct dentry *dentry_ref(struct dentry *d);
void dentry_put(struct dentry *d);
struct dentry *dentry_find(struct dentry *dir, const char *name);
struct dentry *dentry_new(struct dentry *dir, const char *name);
void dentry_hash(struct dentry *d, struct inode *i); /* takes over the reference; NULL: none */
void dentry_drop(struct dentry *d);                  /* it is found no more */
void dentry_invalidate(struct dentry *d);            /* nor what is below and not used */
void dentry_expire(struct dentry *d);
void dentry_believe(struct dentry *d, int64_t entry_ms);
void dentry_delete(struct dentry *d); /* its inode has lost this name */
void dentry_move(struct dentry *from, struct dentry *to);
void dentry_exchange(struct dentry *a, struct dentry *b);
struct dentry *dentry_splice(struct dentry *d, struct inode *i);
void dentry_path(const struct dentry *d, struct buf *out);
/* A dentry for a new lookup, or one that another call has looked up meanwhile. */
struct dentry *dentry_begin_lookup(struct dentry *dir, const char *name, bool *mine);
void dentry_end_lookup(struct dentry *d);

/* ---- kernel_path.c ---- */

/* Negative errno, 0: not to be believed, or 1. */
int name_revalidate(struct process *p, struct dentry *d, int flags);
/* The LOOKUP itself, for a dentry that is being looked up; gives another in its place at times. */
int name_ask(struct process *p, struct dentry *d, struct dentry **found);
/* `name` in `dir`, whose lock is held when `locked`. A reference in *out, negative or not. */
int name_lookup(struct process *p, struct dentry *dir, const char *name, int flags, bool locked,
                struct dentry **out);
/* The directory of a path, and its last name. */
int path_parent(struct process *p, const char *path, int flags, struct dentry **dir,
                const char **last);
int path_walk(struct process *p, const char *path, int flags, struct dentry **out);

/* ---- kernel_open.c, kernel_file.c, kernel_dir.c, kernel_change.c ---- */

void call_open(struct process *p, struct call *c);
struct file *file_ref(struct file *f);
bool file_is_written(const struct file *f);
void file_put(struct file *f); /* the last one sends RELEASE, later */
int file_close(struct process *p, struct file *f);
void call_read(struct process *p, struct call *c, struct file *f);
void call_write(struct process *p, struct call *c, struct file *f);
void call_lseek(struct process *p, struct call *c, struct file *f);
void call_fsync(struct process *p, struct call *c, struct file *f);
void call_ftruncate(struct process *p, struct call *c, struct file *f);
int file_truncate(struct process *p, struct dentry *d, const struct file *f, uint64_t size);
void call_getdents(struct process *p, struct call *c, struct file *f);
void listing_reset(struct inode *i);
void listing_close(struct inode *i);
bool listing_is_believed(const struct inode *i); /* the next reader gets what is kept */
void call_make(struct process *p, struct call *c);
void call_remove(struct process *p, struct call *c);
void call_rename(struct process *p, struct call *c);

/* ---- kernel_notify.c ---- */

void notify_inode(struct inode *i, uint32_t mask);
void notify_name(struct inode *dir, const char *name, uint32_t mask, uint32_t cookie);
void notify_dentry(struct dentry *d, uint32_t mask); /* its directory, then itself */
void notify_inode_gone(struct inode *i);
struct inotify *inotify_new(struct process *p, size_t limit);
int inotify_add(struct inotify *in, struct inode *i, uint32_t mask);
void inotify_close(struct inotify *in);
bool inotify_next(struct inotify *in, struct notice *out); /* its name is the caller's */
void notice_text(uint32_t mask, struct buf *out);

#endif
