/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What fuzz_mount starts from: ways through the mount's core that need many steps. */
#include "seeds.h"

#include "zab/mount.h"

/* Numbers of names, as name_of() in fuzz_mount.c has them. */
enum name {
    NAME_A,
    NAME_B,
    NAME_C,
    NAME_D,
    NAME_E,
    NAME_DATA,
    NAME_CONTROL,
    NAME_STATUS,
    NAME_F = 9,
};

/* Open flags, in `more`. */
enum {
    WRONLY = 1,
    RDWR = 2,
    APPEND = 4,
    EXCL = 8,
    TRUNC = 16,
};

static void begin(struct buf *b, unsigned settings)
{
    settings |= FUZZ_MOUNT_SET(FUZZ_MOUNT_BEGUN);
    append_byte(b, (uint8_t)settings);
    append_byte(b, (uint8_t)(settings >> 8));
}

static void step(struct buf *b, enum fuzz_mount_step kind, unsigned number)
{
    append_byte(b, FUZZ_STEP(kind, number));
}

/* The request of process 1. */
static void ask(struct buf *b, enum mount_op op, uint8_t ino, uint8_t name, uint8_t more)
{
    step(b, FUZZ_MOUNT_REQUEST, 1);
    append_byte(b, op);
    append_byte(b, ino);
    append_byte(b, name);
    append_byte(b, more);
}

/* ... and all that the servers say of it. */
static void request(struct buf *b, enum mount_op op, uint8_t ino, uint8_t name, uint8_t more)
{
    ask(b, op, ino, name, more);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
}

static void request_fh(struct buf *b, enum mount_op op, uint8_t ino, uint8_t more)
{
    step(b, FUZZ_MOUNT_REQUEST, 5);
    append_byte(b, op);
    append_byte(b, ino);
    append_byte(b, 0);
    append_byte(b, more);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
}

static void ask_write(struct buf *b, uint8_t fh, uint8_t more, const char *text)
{
    struct buf piece = {0};
    buf_append(&piece, text, strlen(text));
    ask(b, MOUNT_WRITE, fh, 0, more);
    append_piece(b, &piece);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    buf_close(&piece);
}

static void ask_rename(struct buf *b, uint8_t ino, uint8_t name, uint8_t to_ino, uint8_t to_name,
                       uint8_t flags)
{
    uint8_t more = (uint8_t)(5 * to_name);
    ask(b, MOUNT_RENAME, ino, name, (uint8_t)(more + flags));
    append_byte(b, to_ino);
}

static void with_byte(struct buf *b, enum fuzz_mount_step kind, unsigned number, uint8_t byte)
{
    step(b, kind, number);
    append_byte(b, byte);
}

static void others(struct buf *b, uint8_t which, uint8_t name, uint8_t how)
{
    step(b, FUZZ_MOUNT_OTHERS, 0);
    append_byte(b, which);
    append_byte(b, name);
    append_byte(b, how);
}

/* The round that events have called for, to its end. */
static void round_of(struct buf *b)
{
    for (int i = 0; i < 6; i++) {
        step(b, FUZZ_MOUNT_DEADLINE, 0);
        step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    }
}

static void lose_connection(struct buf *b, bool done)
{
    step(b, FUZZ_MOUNT_LOST, done);
    step(b, FUZZ_MOUNT_SESSION, 1);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
}

/* ---- Writing ---- */

/* O_APPEND; the connection is lost over the transaction, which took place or not. */
static void write_append(struct buf *b, bool done)
{
    begin(b, 0);
    request(b, MOUNT_LOOKUP, 0, NAME_A, 0);
    request(b, MOUNT_OPEN, 1, 0, WRONLY | APPEND);
    ask_write(b, 0, 0, " world");
    ask(b, MOUNT_FSYNC, 0, 0, 0);
    step(b, FUZZ_MOUNT_ANSWER, 0);
    lose_connection(b, done);
    ask_write(b, 0, 0, "!");
    ask(b, MOUNT_FLUSH, 0, 0, 0);
    with_byte(b, FUZZ_MOUNT_OPENER, 0, 5);
    step(b, FUZZ_MOUNT_ANSWER, 1);
    lose_connection(b, done);
    with_byte(b, FUZZ_MOUNT_RELEASE, 0, 0);
    write_seed("mount", done ? "append-done" : "append-lost", b);
}

static void write_create(struct buf *b, unsigned settings, const char *name)
{
    begin(b, settings);
    request(b, MOUNT_CREATE, 0, NAME_F, WRONLY | TRUNC);
    ask_write(b, 0, 0, "new");
    request(b, MOUNT_GETATTR, 1, 0, 0);
    request_fh(b, MOUNT_SETATTR, 0, 2 | 2 << 3);
    ask(b, MOUNT_FLUSH, 0, 0, 0);
    with_byte(b, FUZZ_MOUNT_OPENER, 0, 0);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    with_byte(b, FUZZ_MOUNT_RELEASE, 0, 0);
    request(b, MOUNT_CREATE, 0, NAME_C + 9, RDWR | EXCL);
    request(b, MOUNT_LOOKUP, 0, NAME_B, 0);
    request(b, MOUNT_CREATE, 3, NAME_DATA, WRONLY);
    ask_write(b, 0, 0, "of the directory");
    with_byte(b, FUZZ_MOUNT_RELEASE, 0, 0);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    with_byte(b, FUZZ_MOUNT_TICK, 0, 255);
    step(b, FUZZ_MOUNT_WAIT, 1);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    write_seed("mount", name, b);
}

/* A draft that others overtake, truncations, modes and times. */
static void write_edit(struct buf *b)
{
    begin(b, FUZZ_MOUNT_SET(FUZZ_MOUNT_IDENTITY));
    request(b, MOUNT_LOOKUP, 0, NAME_A, 0);
    request(b, MOUNT_OPEN, 1, 0, RDWR);
    request(b, MOUNT_READ, 0, 0, 4);
    ask_write(b, 0, 1 << 3, "ELL");
    others(b, 1, 0, FUZZ_MOUNT_SET_DATA);
    request(b, MOUNT_FSYNC, 0, 0, 0);
    request(b, MOUNT_SETATTR, 1, 0, 2 | 2 << 3);
    request(b, MOUNT_SETATTR, 1, 0, 1);
    request(b, MOUNT_SETATTR, 1, 0, 4);
    request(b, MOUNT_GETXATTR, 1, 1, 5);
    request(b, MOUNT_ACCESS, 1, 0, 6);
    round_of(b);
    step(b, FUZZ_MOUNT_RELEASE, 0);
    append_byte(b, 0);
    step(b, FUZZ_MOUNT_STOP, 0);
    write_seed("mount", "edit", b);
}

/* ---- Names ---- */

static void write_rename(struct buf *b)
{
    begin(b, 0);
    request(b, MOUNT_LOOKUP, 0, NAME_A, 0);
    request(b, MOUNT_LOOKUP, 0, NAME_B, 0);
    ask_rename(b, 0, NAME_A, 2, NAME_F, 0);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    round_of(b);
    ask_rename(b, 2, NAME_F, 2, NAME_A, 0); /* one is there */
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    ask_rename(b, 2, NAME_A, 2, NAME_B, 2); /* both ways */
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    ask_rename(b, 0, NAME_B, 0, NAME_F, 0); /* a directory */
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    round_of(b);
    ask_rename(b, 0, NAME_D, 0, NAME_C, 0);
    step(b, FUZZ_MOUNT_ANSWER, 3);
    lose_connection(b, true);
    round_of(b);
    write_seed("mount", "rename", b);
}

/* The connection is lost over it, and it was done or not. */
static void write_rename_lost(struct buf *b, bool done)
{
    begin(b, FUZZ_MOUNT_SET(FUZZ_MOUNT_SKIP_UNCHANGED));
    request(b, MOUNT_LOOKUP, 0, NAME_A, 0);
    ask_rename(b, 0, NAME_A, 0, NAME_F, 0);
    step(b, FUZZ_MOUNT_ANSWER, 0);
    lose_connection(b, done);
    others(b, 0, NAME_A, FUZZ_MOUNT_CREATE_FILE);
    ask_rename(b, 0, NAME_A, 0, NAME_F, 0); /* the same content, or one that has gone */
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    round_of(b);
    write_seed("mount", done ? "rename-done" : "rename-lost", b);
}

/* O_APPEND, and it is cut while it is committed. */
static void write_cut(struct buf *b)
{
    begin(b, 0);
    request(b, MOUNT_LOOKUP, 0, NAME_A, 0);
    request(b, MOUNT_OPEN, 1, 0, WRONLY | APPEND);
    ask_write(b, 0, 0, " world");
    ask(b, MOUNT_FSYNC, 0, 0, 0);
    step(b, FUZZ_MOUNT_ANSWER, 0);
    step(b, FUZZ_MOUNT_REQUEST, 5);
    append_byte(b, MOUNT_SETATTR);
    append_byte(b, 9); /* is 1 among four inodes, and 0 among three descriptors */
    append_byte(b, 0);
    append_byte(b, 2 | 2 << 3);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    write_seed("mount", "cut", b);
}

static void write_names(struct buf *b)
{
    begin(b, FUZZ_MOUNT_SET(FUZZ_MOUNT_CHROOT) | FUZZ_MOUNT_SET(FUZZ_MOUNT_QUOTA));
    request(b, MOUNT_STATFS, 0, 0, 0);
    request(b, MOUNT_MKDIR, 0, NAME_F, 0);
    request(b, MOUNT_MKNOD, 1, NAME_A, 0);
    ask(b, MOUNT_UNLINK, 1, NAME_A, 0);
    lose_connection(b, false);
    request(b, MOUNT_RMDIR, 0, NAME_F, 0);
    ask(b, MOUNT_MKDIR, 0, NAME_F, 0);
    lose_connection(b, true);
    request(b, MOUNT_LOOKUP, 0, NAME_CONTROL, 0);
    request(b, MOUNT_LOOKUP, 3, NAME_STATUS, 0);
    request(b, MOUNT_OPEN, 4, 0, 0);
    request(b, MOUNT_READ, 0, 0, 6);
    request(b, MOUNT_LISTXATTR, 1, 0, 6);
    request(b, MOUNT_SYMLINK, 0, NAME_F, 0);
    round_of(b);
    write_seed("mount", "names", b);
}

/* ---- Listing ---- */

static void write_listing(struct buf *b, unsigned settings, const char *name)
{
    begin(b, settings);
    request(b, MOUNT_OPENDIR, 0, 0, 0);
    request(b, MOUNT_READDIRPLUS, 0, 0, 5);
    request(b, MOUNT_READDIRPLUS, 0, 0, 6 | 2 << 3);
    request(b, MOUNT_READDIR, 0, 0, 6);
    request(b, MOUNT_LOOKUP, 0, NAME_C, 0);
    request(b, MOUNT_OPENDIR, 1, 0, 0);
    ask(b, MOUNT_READDIR, 1, 0, 6);
    with_byte(b, FUZZ_MOUNT_RELEASE, 0, 1); /* while it waits */
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    others(b, 4, NAME_F, FUZZ_MOUNT_CREATE_FILE + FUZZ_MOUNT_CHANGES);
    round_of(b);
    step(b, FUZZ_MOUNT_TOLD, 0);
    with_byte(b, FUZZ_MOUNT_FORGET, 0, 1);
    write_seed("mount", name, b);
}

/* A list that is longer than what is taken; what is in it is known by name. */
static void write_too_long(struct buf *b)
{
#define COUNT(name, number, text) +1
    const uint8_t too_long = 0 ZK_ERRORS(COUNT) - 2; /* the last but ZK_OK, see fail() */
    begin(b, 0);
    ask(b, MOUNT_LOOKUP, 0, NAME_B, 0);
    step(b, FUZZ_MOUNT_ANSWER, 0);
    with_byte(b, FUZZ_MOUNT_FAIL, 1, too_long);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    request(b, MOUNT_OPENDIR, 1, 0, 0);
    ask(b, MOUNT_READDIRPLUS, 0, 0, 6);
    with_byte(b, FUZZ_MOUNT_FAIL, 1, too_long);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    request(b, MOUNT_LOOKUP, 1, NAME_A, 0);
    others(b, 3, 0, FUZZ_MOUNT_DELETE);
    others(b, 2, NAME_F, FUZZ_MOUNT_CREATE_FILE);
    round_of(b);
    step(b, FUZZ_MOUNT_TOLD, 0);
    step(b, FUZZ_MOUNT_TOLD, 0);
    write_seed("mount", "too-long", b);
}

/* ---- What others do ---- */

/* A file that others rename, one that they make, and injections that fail. */
static void write_injection(struct buf *b)
{
    begin(b, 0);
    request(b, MOUNT_LOOKUP, 0, NAME_A, 0);
    request(b, MOUNT_LOOKUP, 0, NAME_B, 0);
    request(b, MOUNT_OPEN, 1, 0, 0);
    others(b, 1, 0, FUZZ_MOUNT_DELETE);
    others(b, 0, NAME_F, FUZZ_MOUNT_CREATE_FILE);
    round_of(b);
    step(b, FUZZ_MOUNT_TOLD, 1);
    step(b, FUZZ_MOUNT_INJECTED, 0);
    append_byte(b, MOUNT_LOOKUP);
    append_byte(b, 0);
    append_byte(b, NAME_F);
    append_byte(b, 0);
    step(b, FUZZ_MOUNT_TOLD, 1);
    step(b, FUZZ_MOUNT_TOLD, 0);
    step(b, FUZZ_MOUNT_TOLD, 2);
    others(b, 2, NAME_A, FUZZ_MOUNT_SET_DATA);
    others(b, 2, NAME_B, FUZZ_MOUNT_SET_ACL + FUZZ_MOUNT_CHANGES * 3);
    others(b, 2, NAME_F, FUZZ_MOUNT_CREATE_DIR);
    round_of(b);
    for (uint8_t i = 0; i < 6; i++)
        step(b, FUZZ_MOUNT_TOLD, i & 1);
    step(b, FUZZ_MOUNT_WAIT, 2);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    write_seed("mount", "injection", b);
}

/* Others rename files and directories, which is told as such, or fails. */
static void write_moves(struct buf *b)
{
    begin(b, 0);
    request(b, MOUNT_LOOKUP, 0, NAME_A, 0);
    request(b, MOUNT_LOOKUP, 0, NAME_B, 0);
    request(b, MOUNT_LOOKUP, 2, NAME_A, 0);
    others(b, 1, NAME_F, FUZZ_MOUNT_MOVE); /* /a to /f */
    round_of(b);
    step(b, FUZZ_MOUNT_INJECTED, 0);
    append_byte(b, MOUNT_LOOKUP);
    append_byte(b, 0);
    append_byte(b, NAME_A);
    append_byte(b, 0);
    step(b, FUZZ_MOUNT_TOLD, 1);
    step(b, FUZZ_MOUNT_TOLD, 1);
    step(b, FUZZ_MOUNT_TOLD, 0);
    others(b, 2, NAME_F + 2, FUZZ_MOUNT_MOVE); /* /b, with what is in it */
    round_of(b);
    for (int i = 0; i < 4; i++)
        step(b, FUZZ_MOUNT_TOLD, 0);
    request(b, MOUNT_LOOKUP, 2, NAME_A, 0);
    write_seed("mount", "moves", b);
}

/* No answer for longer than timeo, and what has changed by then. */
static void write_outage(struct buf *b, unsigned settings, const char *name)
{
    begin(b, settings);
    request(b, MOUNT_LOOKUP, 0, NAME_A, 0);
    request(b, MOUNT_OPEN, 1, 0, WRONLY);
    ask_write(b, 0, 0, "late");
    ask(b, MOUNT_LOOKUP, 0, NAME_B, 0);
    ask(b, MOUNT_FSYNC, 0, 0, 0);
    step(b, FUZZ_MOUNT_WAIT, 4); /* all of them are given up */
    step(b, FUZZ_MOUNT_ANSWER, 0);
    step(b, FUZZ_MOUNT_LOST, 0);
    ask(b, MOUNT_GETATTR, 1, 0, 0);
    ask(b, MOUNT_OPENDIR, 0, 0, 0);
    ask(b, MOUNT_READDIR, 1, 0, 6);
    ask(b, MOUNT_CREATE, 0, NAME_F, WRONLY);
    others(b, 1, 0, FUZZ_MOUNT_DELETE);
    others(b, 0, NAME_F, FUZZ_MOUNT_CREATE_DIR);
    step(b, FUZZ_MOUNT_WAIT, 4);
    step(b, FUZZ_MOUNT_SESSION, 1);
    step(b, FUZZ_MOUNT_ANSWER_ALL, 0);
    round_of(b);
    ask(b, MOUNT_FSYNC, 0, 0, 0);
    step(b, FUZZ_MOUNT_STOP, 0);
    write_seed("mount", name, b);
}

/* The end comes before the root has been read. */
static void write_early_stop(struct buf *b)
{
    append_byte(b, 0);
    append_byte(b, 0);
    step(b, FUZZ_MOUNT_SESSION, 1);
    step(b, FUZZ_MOUNT_ANSWER, 0);
    step(b, FUZZ_MOUNT_STOP, 0);
    write_seed("mount", "early-stop", b);
}

void write_mount_seeds(struct buf *b)
{
    write_append(b, false);
    write_append(b, true);
    write_create(b, 0, "create");
    write_create(b, FUZZ_MOUNT_SET(FUZZ_MOUNT_SKIP_UNCHANGED) | FUZZ_MOUNT_SET(FUZZ_MOUNT_PAGES),
                 "create-pages");
    write_edit(b);
    write_rename(b);
    write_rename_lost(b, false);
    write_rename_lost(b, true);
    write_cut(b);
    write_names(b);
    write_listing(b, 0, "list");
    write_listing(b, FUZZ_MOUNT_SET(FUZZ_MOUNT_MANY), "list-many");
    write_too_long(b);
    write_injection(b);
    write_moves(b);
    write_outage(b, 0, "outage");
    write_outage(b, FUZZ_MOUNT_SET(FUZZ_MOUNT_STALE_ERROR) | FUZZ_MOUNT_SET(FUZZ_MOUNT_CUT_OFF),
                 "outage-error");
    write_early_stop(b);
}
