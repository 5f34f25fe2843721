/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mount: what a tree of znodes is as a filesystem. The core of zabfs, as a state machine.
 *
 * The contract for the shell (zabfs, or the simulator):
 *  1. One thread. The shell tells each thing that happens with mount_step() and then carries out
 *     the effects in their order. The core never waits, reads no clock and does no I/O.
 *  2. MOUNT_REQUEST is a system call that has reached the mount. Each but MOUNT_FORGET gets
 *     exactly one MOUNT_REPLY, then or later. A reply that the kernel does not take (the caller was
 *     killed) is undone by the shell: MOUNT_FORGET of one lookup for an entry, and MOUNT_RELEASE or
 *     MOUNT_RELEASEDIR, `abandoned`, for what was opened.
 *  3. Requests of the injector's own process have `injected` set.
 *  4. MOUNT_ASK is a request to the servers: its op and its record, to be sent in the order of the
 *     effects. Each gets its MOUNT_ANSWERED, in that order. When the session was told to be
 *     CONNECTED, all persistent watches that were asked for are set again.
 *  5. MOUNT_INJECT, MOUNT_INVAL_ENTRY and MOUNT_INVAL_INODE are carried out one after the other,
 *     in their order, but not on this thread: all of them may wait for locks that a request to us
 *     holds. MOUNT_INJECTED comes when a MOUNT_INJECT has ended; until then there is no other.
 * There is no MOUNT_INVAL_ before MOUNT_DO_MOUNT, and no MOUNT_INJECT before MOUNT_MOUNTED.
 *  6. MOUNT_LOOK_AT_OPENER asks /proc how often a process has a file open for writing (if it has
 *     few descriptors), and whether it is the one that closes: MOUNT_OPENER_SEEN, in any order.
 *  7. MOUNT_DO_MOUNT comes once, when the root has been read; MOUNT_MOUNTED says that it worked.
 *     MOUNT_READY: the mount answers. MOUNT_STOP asks the core to commit what is open;
 *     MOUNT_END is its last effect: unmount, end the session. Answers that come after it are told.
 *  8. MOUNT_TICK when mount_deadline() has come. */
#ifndef ZAB_MOUNT_H
#define ZAB_MOUNT_H

#include <sys/stat.h>
#include <sys/types.h>

#include "zab/arena.h"
#include "zab/log.h"
#include "zab/request.h"
#include "zab/session.h" /* enum client_state */

struct mount;

/* ---- Configuration ---- */

enum mount_cache {
    MOUNT_CACHE_VERSIONS, /* an open file is one version */
    MOUNT_CACHE_PAGES,    /* the kernel's page cache */
};

struct mount_config {
    const char *source;     /* as the status shows it */
    const char *mountpoint; /* absolute; the paths of MOUNT_INJECT begin with it */
    struct slice chroot;    /* in front of each path of a MOUNT_ASK; empty: none */
    int timeo_ms;
    int draft_ms; /* a draft that nobody writes to is committed after it; 0: never */
    enum mount_cache cache;
    int acl_timeo_ms; /* ACLs in use are read again after it; 0: never */
    bool sync;
    bool stale_error;
    bool read_only;
    bool skip_unchanged; /* a close that changes nothing makes no transaction */
    bool ignore_modes;   /* modes that cannot be enforced are accepted and change nothing */
    size_t step_names;   /* a step goes through so many names, nodes or events; 0: 1,024 */
    mode_t umask;        /* taken from all modes */
    uid_t uid;
    gid_t gid;
};

/* ---- What comes from the kernel ---- */

enum mount_op {
    MOUNT_LOOKUP, /* ino, name */
    MOUNT_FORGET, /* ino, lookups; or forgets */
    MOUNT_GETATTR,
    MOUNT_SETATTR, /* set, mode, size, fh */
    MOUNT_ACCESS,  /* mask */
    MOUNT_STATFS,
    MOUNT_GETXATTR,  /* name, size */
    MOUNT_LISTXATTR, /* size */
    MOUNT_OPENDIR,
    MOUNT_READDIR, /* fh, offset, size */
    MOUNT_READDIRPLUS,
    MOUNT_RELEASEDIR, /* fh */
    MOUNT_OPEN,       /* open_flags */
    MOUNT_CREATE,     /* ino, name, mode, open_flags */
    MOUNT_READ,       /* fh, offset, size */
    MOUNT_WRITE,      /* fh, offset, data */
    MOUNT_FLUSH,      /* fh */
    MOUNT_RELEASE,    /* fh */
    MOUNT_FSYNC,      /* fh */
    MOUNT_MKDIR,      /* ino, name, mode */
    MOUNT_MKNOD,      /* the same */
    MOUNT_UNLINK,     /* ino, name */
    MOUNT_RMDIR,      /* ino, name */
    MOUNT_SYMLINK,
    MOUNT_LINK,
    MOUNT_RENAME, /* ino, name, new_ino, new_name, flags */
    MOUNT_N_OPS,
};

const char *mount_op_name(enum mount_op op);

enum mount_set {
    MOUNT_SET_MODE = 1 << 0,
    MOUNT_SET_SIZE = 1 << 1,
    MOUNT_SET_MTIME_NOW = 1 << 2,
};

struct mount_forget {
    uint64_t ino;
    uint64_t lookups;
};

/* Fields that an operation does not have are zero. Strings and bytes are borrowed. */
struct mount_request {
    uint64_t id; /* the shell's, comes back with the reply */
    enum mount_op op;
    bool injected;
    bool abandoned;
    pid_t pid; /* the thread that made the system call, as FUSE has it; 0: not known */
    uint64_t ino;
    const char *name;
    uint64_t new_ino;
    const char *new_name;
    unsigned flags; /* RENAME_NOREPLACE, RENAME_EXCHANGE */
    int open_flags;
    uint64_t fh; /* as MOUNT_REPLY_OPEN gave it; 0: without */
    uint64_t offset;
    uint64_t size;
    struct slice data;
    mode_t mode;
    int mask;
    unsigned set; /* enum mount_set */
    uint64_t lookups;
    const struct mount_forget *forgets;
    size_t n_forgets;
};

/* ---- Events ---- */

enum mount_event_type {
    MOUNT_REQUEST,
    MOUNT_ANSWERED, /* the oldest MOUNT_ASK that has no answer yet */
    MOUNT_WATCH_FIRED,
    MOUNT_SESSION, /* its state has changed */
    MOUNT_INJECTED,
    MOUNT_OPENER_SEEN,
    MOUNT_MOUNTED,
    MOUNT_TICK,
    MOUNT_STOP,
};

enum mount_yes {
    MOUNT_UNKNOWN,
    MOUNT_NO,
    MOUNT_YES,
};

/* What the status shows of the session. */
struct mount_session {
    enum client_state state;
    const char *server; /* HOST:PORT, "" if there is none */
    int64_t id;
    int timeout_ms;
};

struct mount_event {
    enum mount_event_type type;
    int64_t now_ms;  /* of a clock that never goes back */
    int64_t wall_ms; /* since 1970 */
    union {
        const struct mount_request *request;
        struct {
            int32_t err; /* enum zk_error, as client.h has it */
            int64_t zxid;
            struct slice body;
            int32_t too_long; /* with ZK_REPLYTOOLONG: the bytes that it had */
        } answer;
        struct {
            struct zk_watcher_event event; /* its path below the chroot */
            int64_t zxid;                  /* -1: the server does not say */
        } watch;
        struct mount_session session;
        int rc; /* INJECTED: 0 or a negative errno */
        struct {
            uint64_t id;
            int count;          /* of its descriptors; -1: not known */
            enum mount_yes own; /* does it close itself, by whichever thread? */
            uint32_t same;      /* a bit for each of `others` that is of its process */
        } opener;
    };
};

/* ---- Effects ---- */

enum mount_effect_type {
    MOUNT_REPLY,
    MOUNT_ASK,
    MOUNT_INJECT,
    MOUNT_INVAL_ENTRY,
    MOUNT_INVAL_INODE,
    MOUNT_LOOK_AT_OPENER,
    MOUNT_LOG,
    MOUNT_DO_MOUNT,
    MOUNT_READY,
    MOUNT_END,
};

enum mount_reply_type {
    MOUNT_REPLY_ERR, /* err: 0 or a positive errno */
    MOUNT_REPLY_ENTRY,
    MOUNT_REPLY_ATTR,
    MOUNT_REPLY_OPEN,
    MOUNT_REPLY_CREATE, /* ENTRY and OPEN */
    MOUNT_REPLY_DATA,   /* data */
    MOUNT_REPLY_SIZE,   /* size: that was written, or that an attribute has */
    MOUNT_REPLY_DIR,    /* entries; none: the end */
    MOUNT_REPLY_STATFS,
};

/* Times are milliseconds. An entry with ino 0 says that there is none of that name, and for how
 * long that may be kept. */
struct mount_entry {
    uint64_t ino;
    int64_t entry_ms;
    int64_t attr_ms;
    struct stat st;
    const char *name; /* of a MOUNT_REPLY_DIR */
    uint64_t next;    /* the offset behind it */
    bool held;        /* READDIRPLUS: counts as a lookup */
};

struct mount_opened {
    uint64_t fh;
    bool direct_io;
    bool keep_cache;
    bool cache_dir;
    bool no_flush;
};

struct mount_reply {
    uint64_t id;
    enum mount_op op;
    enum mount_reply_type type;
    int err;
    uint64_t size;
    struct slice data;
    struct mount_entry entry; /* ENTRY, CREATE; ATTR: st and attr_ms */
    struct mount_opened opened;
    struct {
        uint32_t block; /* bytes */
        uint64_t blocks, free;
        uint64_t names, names_free; /* 0: no limit */
    } room;                         /* STATFS */
    struct mount_entry *entries;
    size_t n_entries;
};

enum mount_inject {
    MOUNT_INJECT_CREATE, /* mkdir or mknod */
    MOUNT_INJECT_DELETE, /* rmdir or unlink */
    MOUNT_INJECT_DATA,   /* open for writing, ftruncate to `size` (-1: not), close */
    MOUNT_INJECT_ATTRIB, /* utimensat */
    MOUNT_INJECT_RENAME, /* from `from` */
    MOUNT_INJECT_PROBE,  /* statfs: does the mount answer? */
};

struct mount_effect {
    enum mount_effect_type type;
    bool in_vain; /* the core's own: nobody waits for this reply */
    union {
        struct mount_reply *reply;
        struct {
            enum zk_op op;
            struct slice record;
        } ask;
        struct {
            enum mount_inject kind;
            bool is_dir;
            int64_t size;
            const char *path;
            const char *from;
        } inject;
        struct {
            uint64_t ino;     /* INVAL_INODE; INVAL_ENTRY: of the directory */
            const char *name; /* INVAL_ENTRY */
            bool attr_only;   /* INVAL_INODE: its pages stay */
        } inval;
        struct {
            uint64_t id;
            pid_t pid;    /* who opened, */
            pid_t closer; /* and who closes a descriptor now */
            uint64_t ino;
            const pid_t *others; /* threads that have it open too: are they of the same process? */
            unsigned n_others;   /* at most 32 */
        } opener;
        struct {
            enum log_level level;
            const char *text;
        } log;
        struct {
            int err; /* MOUNT_END: 0, or a negative errno with `text` */
            const char *text;
        } end;
    };
};

/* The caller's, all zero to begin with. What the effects point to is valid until the next
 * mount_step(). */
struct mount_effects {
    struct mount_effect *list;
    size_t n, cap;
    struct arena arena;
};

void mount_effects_close(struct mount_effects *fx);

/* ---- Calls ---- */

/* An identity of the session, as ACLs name it. */
void mount_add_identity(struct mount *m, struct slice scheme, struct slice id);

struct mount *mount_open(const struct mount_config *config, int64_t now_ms);
void mount_close(struct mount *m);
void mount_step(struct mount *m, const struct mount_event *event, struct mount_effects *fx);

/* When the next MOUNT_TICK is due; INT64_MAX: none is. */
int64_t mount_deadline(const struct mount *m);

/* So many nodes are known. */
size_t mount_nodes(const struct mount *m);

/* What an entry of this name takes of the size of a READDIR or READDIRPLUS. */
size_t mount_entry_size(size_t name_len, bool plus);

#endif
