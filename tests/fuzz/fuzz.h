/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the fuzzers share: the input as a row of choices, a sample of what a log and a tree can
 * have, and trees as bytes. */
#ifndef FUZZ_H
#define FUZZ_H

#include "zab/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- The input ---- */

struct fuzz_input {
    const uint8_t *pos;
    const uint8_t *end;
};

/* Zeros behind the end. */
uint8_t fuzz_byte(struct fuzz_input *in);

/* Two bytes of length, then so many bytes or as many as are left. A copy of its own on the heap,
 * so that the sanitizer sees a read beyond it; the caller's to free with fuzz_piece_free(). */
struct slice fuzz_piece(struct fuzz_input *in);
struct slice fuzz_copy(const uint8_t *data, size_t len);
void fuzz_piece_free(struct slice piece);

/* How an input of fuzz_node, fuzz_ensemble and fuzz_session is written: behind one byte of
 * settings, steps of one byte and what belongs to them. In the lower five bits is the kind of the
 * step, in the upper three a number that it may use. */
#define FUZZ_STEP(kind, number) ((uint8_t)((kind) | (number) << 5))
#define FUZZ_STEP_KIND(byte) ((byte)&31)
#define FUZZ_STEP_NUMBER(byte) ((byte) >> 5)

/* The number is that of the connection. */
enum fuzz_node_step {
    FUZZ_NODE_BYTES,   /* a piece, as it is */
    FUZZ_NODE_FRAME,   /* a piece, its length before it */
    FUZZ_NODE_CONNECT, /* a byte: 0 for a new session, n for that of connection n-1 */
    FUZZ_NODE_HANG_UP,
    FUZZ_NODE_READ,    /* a byte: odd if it reads from now on what is sent to it */
    FUZZ_NODE_TURN,    /* end of a turn, nothing is persisted */
    FUZZ_NODE_PERSIST, /* end of a turn, all is persisted */
    FUZZ_NODE_TICK,    /* a byte: tenths of seconds that have passed */
    FUZZ_NODE_STEPS
};

enum fuzz_session_step {
    FUZZ_SESSION_CONNECTED,
    FUZZ_SESSION_DISCONNECTED,
    FUZZ_SESSION_BYTES,   /* a piece, as it is */
    FUZZ_SESSION_FRAME,   /* a piece, its length before it */
    FUZZ_SESSION_REQUEST, /* number: of the request */
    FUZZ_SESSION_AUTH,
    FUZZ_SESSION_TICK,   /* a byte: tenths of seconds that have passed */
    FUZZ_SESSION_PROBED, /* number: odd if there is a quorum */
    FUZZ_SESSION_CLOSE,
    FUZZ_SESSION_STEPS
};

/* An input of fuzz_mount has two bytes of settings: enum fuzz_mount_setting, of which the second
 * byte has those from FUZZ_MOUNT_BEGUN on. The servers are a tree of znodes (znodes.h) that answers
 * as it should; the other steps say something else. */
enum fuzz_mount_step {
    FUZZ_MOUNT_SESSION,  /* number: an enum client_state */
    FUZZ_MOUNT_REQUEST,  /* op, ino, name, more: see request() */
    FUZZ_MOUNT_INJECTED, /* the same, from the injector */
    FUZZ_MOUNT_ANSWER,   /* to the oldest, and `number` more: what the servers say, */
    FUZZ_MOUNT_ANSWER_ALL,
    FUZZ_MOUNT_FAIL,         /* a byte: an error; odd number: it was done nevertheless */
    FUZZ_MOUNT_MUTATE,       /* where, two bytes; what is changed there */
    FUZZ_MOUNT_ANSWER_BYTES, /* a piece, as it is */
    FUZZ_MOUNT_LOST,         /* the connection, with all that was asked; odd: which was done */
    FUZZ_MOUNT_OTHERS,       /* others change a znode: which, its name, how */
    FUZZ_MOUNT_EVENT,        /* number: its type; a piece: its path */
    FUZZ_MOUNT_TOLD,         /* the injection has ended. number: how */
    FUZZ_MOUNT_OPENER,       /* seen. a byte: its descriptors and whether it closed itself */
    FUZZ_MOUNT_TICK,         /* a byte: milliseconds that have passed */
    FUZZ_MOUNT_DEADLINE,     /* the time has come that the core waits for */
    FUZZ_MOUNT_WAIT,         /* number: seconds that have passed */
    FUZZ_MOUNT_FORGET,       /* ino; number + 1 lookups, or as many as there were */
    FUZZ_MOUNT_RELEASE,      /* fh; odd number: nobody got it */
    FUZZ_MOUNT_MOUNTED,
    FUZZ_MOUNT_STOP,
    FUZZ_MOUNT_STEPS
};

enum fuzz_mount_setting {
    FUZZ_MOUNT_PAGES,
    FUZZ_MOUNT_SYNC,
    FUZZ_MOUNT_STALE_ERROR,
    FUZZ_MOUNT_SKIP_UNCHANGED,
    FUZZ_MOUNT_IGNORE_MODES,
    FUZZ_MOUNT_CHROOT,
    FUZZ_MOUNT_NO_ACL_TIMEO,
    FUZZ_MOUNT_NO_DRAFT_TIME,
    FUZZ_MOUNT_BEGUN, /* it is mounted already */
    FUZZ_MOUNT_READ_ONLY,
    FUZZ_MOUNT_IDENTITY,
    FUZZ_MOUNT_MANY,    /* a directory has many children */
    FUZZ_MOUNT_NO_ZXID, /* events are told without one */
    FUZZ_MOUNT_QUOTA,
    FUZZ_MOUNT_CUT_OFF, /* no server answers at the end */
};
#define FUZZ_MOUNT_SET(setting) (1u << (setting))

/* What a step of OTHERS does. */
enum fuzz_mount_change {
    FUZZ_MOUNT_CREATE_FILE,
    FUZZ_MOUNT_CREATE_DIR,
    FUZZ_MOUNT_CREATE_EPHEMERAL,
    FUZZ_MOUNT_SET_DATA,
    FUZZ_MOUNT_DELETE,
    FUZZ_MOUNT_SET_ACL, /* how / FUZZ_MOUNT_CHANGES: an enum znodes_acl */
    FUZZ_MOUNT_MOVE,    /* how / FUZZ_MOUNT_CHANGES: to which directory; under the name */
    FUZZ_MOUNT_CHANGES
};

/* The number is that of the connection, of the server or of the link; that of link 3 is to the
 * leader, the others are learners'. A zxid is a byte, FUZZ_ZXID, for LITERAL eight more. */
enum fuzz_ensemble_step {
    FUZZ_ENSEMBLE_MESSAGE,    /* of a server: a piece */
    FUZZ_ENSEMBLE_VOTE,       /* of a server: its state, whom it votes for, the zxid */
    FUZZ_ENSEMBLE_LINK,       /* a link is opened */
    FUZZ_ENSEMBLE_UNLINK,     /* it is closed */
    FUZZ_ENSEMBLE_LINK_BYTES, /* a piece */
    FUZZ_ENSEMBLE_PACKET,     /* type, zxid, a piece */
    FUZZ_ENSEMBLE_REQUEST,    /* of a learner: which session, type, a piece */
    FUZZ_ENSEMBLE_TXN,        /* of the leader: type of the packet and of the transaction, zxid, a
                               * piece */
    FUZZ_ENSEMBLE_ANSWER,     /* to what the leader was asked first; committed if the number is 0 */
    FUZZ_ENSEMBLE_REVALIDATE, /* a byte: odd if the session that was asked for may go on */
    FUZZ_ENSEMBLE_TREE,       /* of the leader: how many bytes of it are missing */
    FUZZ_ENSEMBLE_FRAME,      /* of a client: a piece, its length before it */
    FUZZ_ENSEMBLE_CONNECT,    /* of a client, as FUZZ_NODE_CONNECT */
    FUZZ_ENSEMBLE_HANG_UP,
    FUZZ_ENSEMBLE_TURN,    /* end of a turn, nothing is persisted */
    FUZZ_ENSEMBLE_PERSIST, /* end of a turn, all is persisted, or one batch if the number is not 0
                            */
    FUZZ_ENSEMBLE_DONE,    /* what was asked of the disk, but for persisting, is done */
    FUZZ_ENSEMBLE_TICK,    /* a byte: tenths of seconds that have passed */
    FUZZ_ENSEMBLE_STEPS
};

enum fuzz_zxid {
    FUZZ_ZXID_LITERAL,
    FUZZ_ZXID_LOGGED,
    FUZZ_ZXID_NEXT,  /* behind it, of the same epoch */
    FUZZ_ZXID_EPOCH, /* of the accepted epoch the one with counter 0, */
    FUZZ_ZXID_NEW,   /* of the one behind that */
    FUZZ_ZXID_FIRST, /* of the log */
    FUZZ_ZXID_ZERO,
    FUZZ_ZXIDS
};

/* With a distance to it. */
#define FUZZ_ZXID(which, distance) ((uint8_t)((which) << 4 | ((distance)&15)))

/* ---- Trees and logs ---- */

void fuzz_tree_dump(const struct tree *t, struct buf *out);
bool fuzz_trees_equal(const struct tree *a, const struct tree *b);

/* Append entries with at least one transaction of each type, from zxid 0x100000001 on. They can
 * be applied to a new tree. */
void fuzz_sample_log(struct buf *batch);

/* Apply a batch of good transactions. */
void fuzz_tree_apply(struct tree *t, const struct buf *batch);
struct tree *fuzz_sample_tree(void);

/* Fill in the checksum of each entry that is whole. */
void fuzz_seal_log(uint8_t *entries, size_t len);

/* ---- The disk ---- */

/* Write a file on the disk in memory; nothing of it is durable. */
void fuzz_write_file(struct disk *disk, const char *path, struct slice bytes);

#endif
