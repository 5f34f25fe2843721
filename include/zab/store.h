/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A replica's memory on disk: the transaction log, snapshots, epochs, and recovery from them.
 * Blocking; each object below belongs to one thread at a time.
 *
 * Files, all ZooKeeper's:
 *     LOGDIR/version-2/log.ZXID            transactions from ZXID on (hexadecimal)
 *     DATADIR/version-2/snapshot.ZXID.zst  the tree after ZXID, ZooKeeper's stream in one zstd
 * frame DATADIR/version-2/acceptedEpoch, currentEpoch DATADIR/myid Read as well: snapshot.ZXID
 * (plain), snapshot.ZXID.gz.
 *
 * Rules: bytes are fdatasynced before anybody is told; every create and rename that recovery needs
 * is followed by an fsync of its directory; a failed write or sync of the log is final, the
 * caller ends the process. */
#ifndef ZAB_STORE_H
#define ZAB_STORE_H

#include "zab/disk.h"
#include "zab/err.h"
#include "zab/tree.h"

struct store {
    struct disk *disk;
    char *data_dir; /* DATADIR/version-2 */
    char *log_dir;  /* LOGDIR/version-2 */
};

/* Make the directories if they are not there. `data_dir` and `log_dir` as in zoo.cfg; `log_dir`
 * NULL: the same. */
int store_open(struct store *s, struct disk *disk, const char *data_dir, const char *log_dir,
               struct err *e);
void store_close(struct store *s);

/* ---- Transactions in memory ----
 *
 * A batch is the bytes of log entries one behind the other, each
 *     8 bytes adler32 of the transaction, 4 bytes its length, the transaction, 'B'
 * The core writes the entries with a checksum of zero (txn_entry_begin, txn_entry_end);
 * txnlog_append fills it in. So a transaction is serialised once. */

enum {
    TXN_ENTRY_HEAD = 12,
    TXN_ENTRY_TAIL = 1,
};

/* Append the head of an entry; the caller then appends zk_txn_header and the record. */
static inline size_t txn_entry_begin(struct buf *batch)
{
    size_t start = batch->len;
    memset(buf_extend(batch, TXN_ENTRY_HEAD), 0, TXN_ENTRY_HEAD);
    return start;
}

static inline void txn_entry_end(struct buf *batch, size_t start)
{
    be32_put(batch->data + start + 8, (uint32_t)(batch->len - start - TXN_ENTRY_HEAD));
    *buf_extend(batch, TXN_ENTRY_TAIL) = 'B';
}

/* Walk a batch: the transaction at *pos, and *pos behind it. False at the end. */
bool txn_batch_next(const struct buf *batch, size_t *pos, struct slice *txn);

/* ---- The log ---- */

struct txnlog {
    struct store *store;
    struct disk_file *file; /* NULL: the next append starts a new file */
    uint64_t size;          /* bytes of entries and header in it */
    uint64_t allocated;     /* bytes that are there, zeros behind `size` */
    uint64_t prealloc;      /* grow by so much at a time */
    int64_t last_zxid;
};

/* Writing starts a new file, named by the first zxid, as ZooKeeper does after a start. */
void txnlog_init(struct txnlog *l, struct store *s, uint64_t prealloc_bytes);
void txnlog_close(struct txnlog *l);

/* Write a batch whose zxids are first .. last, behind what was written before; fills in the
 * checksums. Not durable before txnlog_sync(). */
int txnlog_append(struct txnlog *l, struct buf *batch, int64_t first_zxid, int64_t last_zxid,
                  struct err *e);
int txnlog_sync(struct txnlog *l, struct err *e);

/* End this file (cut the zeros off its end); the next append starts another. */
int txnlog_roll(struct txnlog *l, struct err *e);

/* Drop all behind `zxid` from the log on disk, durably: TRUNC. The log is closed first. */
int txnlog_truncate(struct txnlog *l, int64_t zxid, struct err *e);

/* Reading entries of zxid > `after`, across files, in order. */
struct txnlog_reader;
int txnlog_read(struct store *s, int64_t after, struct txnlog_reader **out, struct err *e);

/* 1 and the next transaction (valid until the next call), 0 at the end, or a negative errno:
 * -EUCLEAN for a bad entry before the tail, with file and offset in the sentence. A torn tail of
 * the last file is the end; its place is remembered for txnlog_reader_tail(). */
int txnlog_reader_next(struct txnlog_reader *r, struct slice *txn, struct err *e);
void txnlog_reader_close(struct txnlog_reader *r);

/* ---- Snapshots ---- */

/* Write the tree as snapshot.ZXID.zst, ZXID its last zxid: to a temporary name, synced, renamed,
 * directory synced. `*bytes`: the size of the file. `nice`: called in a child process that may
 * take its time. */
int snapshot_save(struct store *s, const struct tree *t, uint64_t *bytes, struct err *e);

/* Load that one file into the tree, checksums and end verified. */
int snapshot_load(struct store *s, const char *name, struct tree *t, struct err *e);

/* ---- Recovery and purge ---- */

struct store_recovery {
    int64_t snapshot_zxid; /* -1: none */
    int64_t last_zxid;
    uint64_t n_txns; /* replayed */
    bool torn_tail;  /* bytes behind the last whole entry were cut off */
    char note[256];  /* what an operator should know, "" if nothing */
};

/* Load the newest good snapshot and replay the log behind it.
 *
 * Refused, with file, place and remedy: a bad log entry before the tail; a gap between the
 * snapshot and the log; log files without any snapshot whose first is not the beginning of
 * history; snapshots of which none can be read. A snapshot that is bad is named in a note and the
 * one before it is taken if the log reaches back to it. */
int store_recover(struct store *s, struct tree *t, struct store_recovery *r, struct err *e);

/* Remove snapshots older than the newest `retain` good ones and the logs that only they need.
 * Returns how many files, or a negative errno. */
int store_purge(struct store *s, unsigned retain, struct err *e);

/* acceptedEpoch or currentEpoch: decimal text, replaced by temporary file, fsync, rename, fsync of
 * the directory. Reading gives -ENOENT if there is none. */
int store_epoch_read(struct store *s, const char *name, int64_t *epoch, struct err *e);
int store_epoch_write(struct store *s, const char *name, int64_t epoch, struct err *e);

#endif
