/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the store share. */
#ifndef STORE_IMPL_H
#define STORE_IMPL_H

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "zab/store.h"

#define LOG_PREFIX "log."
#define SNAPSHOT_PREFIX "snapshot."
#define TEMPORARY_SUFFIX ".tmp"

enum {
    FILE_HEADER_SIZE = 16,
    TXN_HEADER_SIZE = 32,
};

/* The two kinds of file header. */
enum {
    LOG_MAGIC = 0x5a4b4c47,      /* "ZKLG" */
    SNAPSHOT_MAGIC = 0x5a4b534e, /* "ZKSN" */
    FILE_VERSION = 2,
};

/* What an operator can do about a file that cannot be trusted. */
const char *store_remedy(const struct store *s);

/* "dir/name", the caller's to free. */
char *store_path(const char *dir, const char *name);

/* The zxid in PREFIX ZXID [.EXTENSION], or -1 if the name is another one or a temporary one. */
int64_t store_zxid_of_name(const char *name, const char *prefix);

/* Files named PREFIX ZXID [.EXTENSION], by rising zxid. */
struct store_file {
    int64_t zxid;
    char *name;
};

struct store_files {
    struct store_file *at;
    size_t n;
};

int store_files_list(struct store *s, const char *dir, const char *prefix,
                     struct store_files *files, struct err *e);
void store_files_close(struct store_files *files);

/* The index of the last file that starts at or below `zxid`; 0 if there is none. */
size_t store_files_before(const struct store_files *files, int64_t zxid);

/* PREFIX ZXID ".zst", the caller's to free. */
char *store_snapshot_name(const char *prefix, int64_t zxid);

/* What the purge remembers. */
void store_forget_verified(struct store *s);

/* Remove a file, durably. */
int store_remove(struct store *s, const char *dir, const char *name, struct err *e);

/* A file that appears whole or not at all: begin gives the temporary file, publish syncs it and
 * gives it its name, durably; abandon removes it. Both close it. */
int store_replace_begin(struct store *s, const char *path, struct disk_file **file, struct err *e);
int store_replace_publish(struct store *s, const char *path, struct disk_file *file, struct err *e);
void store_replace_abandon(struct store *s, const char *path, struct disk_file *file);

/* Name the file, what was tried and the reason; -ENOSPC with the bytes that are free. */
int store_io_error(struct store *s, struct err *e, int code, const char *doing, const char *path);

/* ---- The log's entries ---- */

/* The size of the whole entry at `p` if it is well formed, its checksum right; else 0. */
size_t txn_entry_check(const uint8_t *p, size_t left);

/* True if a power loss explains the bytes at `data`, which begin where an entry should and end at
 * the last byte of the file that is not zero; false if they are corrupt. `offset` is their place
 * in the file, `last_zxid` that of the last good entry. */
bool txnlog_tail_is_torn(const uint8_t *data, size_t len, uint64_t offset, int64_t last_zxid);

/* Is there a good entry of a zxid above `last_zxid` anywhere in these bytes? */
bool txnlog_has_entry(const uint8_t *data, size_t len, int64_t last_zxid);

/* The whole entries of rising zxids in these bytes, however far apart. */
struct txnlog_found {
    uint64_t n;
    int64_t first, last;
};
struct txnlog_found txnlog_find_entries(const uint8_t *data, size_t len, int64_t last_zxid);

/* Where the last entry that a sync has covered is: txnlog_mark.c. */
struct txnlog_mark {
    int64_t file_zxid; /* in the file's name */
    uint64_t offset;
    int64_t zxid;
    uint32_t sum;
};

/* To be written to; NULL: there cannot be one. */
struct disk_file *txnlog_mark_open(struct store *s);
void txnlog_mark_write(struct disk_file *file, const struct txnlog_mark *m);
bool txnlog_mark_read(struct store *s, struct txnlog_mark *m);
int txnlog_mark_remove(struct store *s, struct err *e);
bool txnlog_mark_disproves(struct store *s, int64_t file_zxid, const uint8_t *data, size_t len,
                           uint64_t offset);

/* As txnlog_read(). In the order of the log, without the rule that nothing may be missing. */
int txnlog_read_loosely(struct store *s, int64_t after, struct txnlog_reader **out, struct err *e);

/* Where the transaction that was read last is: index into the reader's files, offset. */
const struct store_files *txnlog_reader_files(const struct txnlog_reader *r);
size_t txnlog_reader_file(const struct txnlog_reader *r);
uint64_t txnlog_reader_offset(const struct txnlog_reader *r);

/* Where the last file's good entries end. */
struct txnlog_tail {
    uint64_t offset;
    bool more;                 /* something is behind them, */
    bool torn;                 /* and it is not only zeros, */
    struct txnlog_found found; /* but has these in it */
};
struct txnlog_tail txnlog_reader_tail(const struct txnlog_reader *r);

/* -EUCLEAN that names the place of the transaction that was read last. */
int txnlog_reader_corrupt(const struct txnlog_reader *r, struct err *e, const char *what);

/* Let a file of the log end there, durably; one without an entry goes. */
int store_cut_file(struct store *s, const char *name, uint64_t size, struct err *e);

/* The reader came to the end: cut off, durably, the torn tail that it met there, if it met one, and
 * zeros; a file without an entry goes, so that its name is free again. */
int txnlog_cut_tail(struct store *s, const struct txnlog_reader *r, struct err *e);

/* Close it, before it is removed. */
void txnlog_forget_mark(struct txnlog *l);

/* Close the file so that history can be cut; the next append starts another, at any zxid. */
int txnlog_end(struct txnlog *l, struct err *e);

/* ---- Snapshots ---- */

/* snapshot_save() under another prefix. */
int snapshot_save_as(const char *prefix, struct store *s, const struct tree *t, struct err *e);

/* Read it all and check its checksums and its end; then sync it, since it will be counted on. */
int snapshot_verify(struct store *s, const char *name, struct err *e);

#endif
