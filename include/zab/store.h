/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A replica's memory on disk: the transaction log, snapshots, epochs, and recovery from them.
 * Blocking; each object below belongs to one thread at a time.
 *
 * Files, ZooKeeper's:
 *     LOGDIR/version-2/log.ZXID            transactions from ZXID on (hexadecimal)
 *     DATADIR/version-2/snapshot.ZXID.zst  the tree after ZXID, ZooKeeper's stream in a zstd frame
 *     DATADIR/version-2/acceptedEpoch, currentEpoch
 * Ours, which ZooKeeper ignores:
 *     DATADIR/version-2/ensembleId, ensembleIdProposed, decidedZxid, acceptedLoss
 *     replaced-TIME[-N]/                   beside logs and snapshots: what a leader's history has
 *                                          replaced, at that time in seconds since 1970
 *     DATADIR/version-2/replacement        while that is done: what
 *     LOGDIR/version-2/synced              how far the log was durable, more or less
 * Read as well: snapshot.ZXID (plain), snapshot.ZXID.gz; the content says which it is.
 *
 * Rules: bytes are fdatasynced before anybody is told; every create and rename that recovery needs
 * is followed by an fsync of its directory; a failed write or sync of the log is final, the
 * caller ends the process, unless only room was wanting. */
#ifndef ZAB_STORE_H
#define ZAB_STORE_H

#include <errno.h>

#include "zab/disk.h"
#include "zab/err.h"
#include "zab/tree.h"

struct store {
    struct disk *disk;
    char *data_dir; /* DATADIR/version-2 */
    char *log_dir;  /* LOGDIR/version-2 */
    bool has_peers; /* other servers have the tree too: what a refusal may advise */
    struct store_verified *verified; /* the purge's: snapshots that were read to their end */
    size_t n_verified;
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

/* A whole transaction as an entry. */
static inline void txn_entry_append(struct buf *batch, struct slice txn)
{
    size_t start = txn_entry_begin(batch);
    buf_append(batch, txn.data, slice_size(txn));
    txn_entry_end(batch, start);
}

/* Walk a batch: the transaction at *pos, and *pos behind it. False at the end. */
static inline bool txn_batch_next(const struct buf *batch, size_t *pos, struct slice *txn)
{
    if (*pos == batch->len)
        return false;
    ensure(batch->len - *pos >= TXN_ENTRY_HEAD + TXN_ENTRY_TAIL);
    size_t len = be32_get(batch->data + *pos + 8);
    ensure(batch->len - *pos - TXN_ENTRY_HEAD - TXN_ENTRY_TAIL >= len);
    *txn = slice_of(batch->data + *pos + TXN_ENTRY_HEAD, len);
    *pos += TXN_ENTRY_HEAD + len + TXN_ENTRY_TAIL;
    return true;
}

/* Of a transaction, which begins with client_id and cxid. */
static inline int64_t txn_zxid(const uint8_t *txn)
{
    return (int64_t)be64_get(txn + 12);
}

/* ---- The log ---- */

enum {
    TXN_SIZE_MAX = 64 << 20,       /* one transaction; a larger one is refused */
    TXNLOG_UNSYNCED_MAX = 4 << 20, /* append syncs by itself before more than this waits for it */
};

/* An entry in its file. */
struct txnlog_place {
    uint64_t offset;
    uint32_t sum;
    int64_t zxid;
};

struct txnlog {
    struct store *store;
    struct disk_file *file; /* NULL: the next append starts a new file */
    bool ended;             /* it does so as well, if there can be one */
    char *path;
    uint64_t size;      /* bytes of entries and header in it */
    uint64_t allocated; /* zeros are written up to here */
    uint64_t unsynced;  /* bytes appended since the last sync */
    size_t appended;    /* of a batch that there was no room for: so much was written */
    uint64_t prealloc;  /* write so many zeros ahead at a time, 512 KiB at most; 0: none */
    int64_t last_zxid;
    int64_t file_zxid; /* in the file's name */
    struct txnlog_place last_entry, synced_entry;
    bool mark_is_old;       /* it is not of synced_entry yet */
    char *given_up;         /* path of a file that could not be begun, and is still there */
    bool name_may_return;   /* of one that is gone */
    struct disk_file *mark; /* says how far it was synced; NULL: there is none */
    int failed;             /* the negative errno that ended it: every later call gives it again */
    char note[1024]; /* what an operator should know of the last truncation or installation */
};

/* Writing starts a new file, named by the first zxid, as ZooKeeper does after a start. On a
 * directory that store_recover() has seen. */
void txnlog_init(struct txnlog *l, struct store *s, uint64_t prealloc_bytes);
void txnlog_close(struct txnlog *l);

/* Want of space or of file descriptors: it may pass. */
static inline bool store_is_short(int rc)
{
    return rc == -ENOSPC || rc == -EMFILE || rc == -ENFILE;
}

/* Write a batch whose zxids are first .. last, behind what was written before; fills in the
 * checksums. Not durable before txnlog_sync().
 *
 * While l->failed is 0 an error is one of store_is_short(): call again with that same batch, before
 * any other. */
int txnlog_append(struct txnlog *l, struct buf *batch, int64_t first_zxid, int64_t last_zxid,
                  struct err *e);
int txnlog_sync(struct txnlog *l, struct err *e);

/* Note on the disk how far that was; now and then, when nobody waits for it: a loss of power then
 * finds a hole in what was synced before (txnlog_mark.c). */
void txnlog_mark_synced(struct txnlog *l);

/* End this file (cut the zeros off its end, sync it); the next append starts another, unless there
 * is no room or no descriptor for one: then it goes on in this one, and the one after it tries. */
int txnlog_roll(struct txnlog *l, struct err *e);

/* TRUNC: drop all behind `zxid` from the disk, durably, so that store_recover() ends at `zxid` or,
 * if that was never here, at the last zxid below it. Snapshots newer than `zxid` go too.
 * -ENODATA: no good snapshot is as old as that, so ask for a snapshot instead. The log is closed
 * first.
 *
 * What goes, here and by txnlog_install(), is moved to replaced-TIME, a part of a log file as a log
 * file of its own; l->note says so. A crash leaves the history before or the one after, for the
 * next store_recover() to complete. -ENODATA and -ENOSPC change nothing, and may be tried again. */
int txnlog_truncate(struct txnlog *l, int64_t zxid, struct err *e);

/* SNAP: make the tree, as received from the leader, all that the disk remembers. */
int txnlog_install(struct txnlog *l, const struct tree *t, struct err *e);

/* Reading entries of zxid > `after`, across files, in order; -1: from the first there is.
 *
 * zxids follow on: each is one more than the one before (the first: than `after`), or it is the
 * first of a higher epoch. What does not is a gap, -EUCLEAN. An entry that is there twice in a
 * row, byte for byte, as a ZooKeeper that met its leader again may have logged it, counts once;
 * any other zxid that does not rise is -EUCLEAN. */
struct txnlog_reader;
int txnlog_read(struct store *s, int64_t after, struct txnlog_reader **out, struct err *e);

/* 1 and the next transaction (valid until the next call), 0 at the end, or a negative errno:
 * -EUCLEAN for a bad entry before the tail, with file and offset in the sentence. A torn tail of
 * the last file is the end; so is one of an earlier file if the next file goes on with the very
 * next zxid. */
int txnlog_reader_next(struct txnlog_reader *r, struct slice *txn, struct err *e);
void txnlog_reader_close(struct txnlog_reader *r);

/* What somebody lacks whose history ends at `zxid`: append to `batch` the transactions behind
 * `zxid` up to `to_zxid`, which is one of the log that is durable. `*floor`: the last zxid of the
 * log that is not larger than `zxid`. -ENODATA: the log does not reach back so far; -E2BIG: it
 * would be more than `bytes_max`. May run while the log is appended to; -ENOENT or -EUCLEAN may
 * then mean that it was purged or truncated meanwhile. */
int txnlog_copy(struct store *s, int64_t zxid, int64_t to_zxid, size_t bytes_max, struct buf *batch,
                int64_t *floor, struct err *e);

/* All that the log has behind `after`, where the caller's tree ends: -E2BIG as above. */
int txnlog_copy_rest(struct store *s, int64_t after, size_t bytes_max, struct buf *batch,
                     struct err *e);

/* ---- Snapshots ---- */

/* Write the tree as snapshot.ZXID.zst, ZXID its last zxid: to a temporary name, synced, renamed,
 * directory synced. `*bytes` (or NULL): the size of the file. */
int snapshot_save(struct store *s, const struct tree *t, uint64_t *bytes, struct err *e);

/* The same with buffers that the caller made before, for a child process that was forked from a
 * process with threads. */
struct snapshot_writer;
struct snapshot_writer *snapshot_writer_open(void);
void snapshot_writer_close(struct snapshot_writer *w);
int snapshot_save_with(struct snapshot_writer *w, struct store *s, const struct tree *t,
                       uint64_t *bytes, struct err *e);

/* Load that one file into the tree, checksums and end verified. */
int snapshot_load(struct store *s, const char *name, struct tree *t, struct err *e);

/* ---- Recovery and purge ---- */

struct store_recovery {
    int64_t snapshot_zxid; /* that it started from */
    int64_t last_zxid;
    uint64_t n_txns, n_bytes;    /* replayed */
    bool torn_tail;              /* bytes behind the last whole entry were cut off, */
    uint64_t n_cut;              /* and so many whole ones among them, */
    int64_t cut_first, cut_last; /* the first and the last of them */
    char note[512];              /* what an operator should know, "" if nothing */
    char replaced[512];          /* the same, of a change of history that a crash had cut short */
};

/* Load the newest good snapshot, replay the log behind it, and sync what was read: what a killed
 * process left in the page cache may not be taken back any more. Cuts a torn tail off the log and
 * removes temporary files. The tree must be new.
 *
 * A directory with nothing in it is a new replica: zxid 0, and a snapshot of the empty tree is
 * written at once, as ZooKeeper does. So no snapshot means that one was lost, as soon as there is
 * a transaction or an epoch file.
 *
 * Refused, with file, place and remedy: a bad log entry before the tail, or before an entry that a
 * sync is known to have covered, or one that is whole but for one byte; a gap between the snapshot
 * and the log, or in the log; transactions or an epoch without any snapshot; snapshots of which
 * none can be read; log files in DATADIR when LOGDIR is another. A snapshot that is bad is named in
 * the note and the one before it is taken, if the log from there reaches at least the zxid of the
 * bad one. */
int store_recover(struct store *s, struct tree *t, struct store_recovery *r, struct err *e);

/* Which snapshots older than the newest `retain` (1 or more) good ones need not be kept: `*keep` is
 * the zxid of the oldest one to keep, -1 if all are. Good is one that was read to its end, once in
 * the life of this process if it has not changed since. May run while the log is appended to, and
 * while history is changed. */
int store_purge_look(struct store *s, unsigned retain, int64_t *keep, struct err *e);

/* Remove the snapshots before that one, and the logs that only they need; nothing if it is not
 * there any more. May run while the log is appended to, but not while history is changed. Returns
 * how many files, or a negative errno. */
int store_purge_before(struct store *s, int64_t keep, struct err *e);

/* One after the other. */
int store_purge(struct store *s, unsigned retain, struct err *e);

/* Remove what was replaced more than a day ago, and the oldest of what was replaced more than an
 * hour ago as long as less than `wanted_bytes` are free. Returns how many directories, or a
 * negative errno. */
int store_purge_replaced(struct store *s, int64_t wanted_bytes, struct err *e);

/* acceptedEpoch or currentEpoch: decimal text, replaced by temporary file, fsync, rename, fsync of
 * the directory. Reading gives -ENOENT if there is none. */
int store_epoch_read(struct store *s, const char *name, int64_t *epoch, struct err *e);
int store_epoch_write(struct store *s, const char *name, int64_t epoch, struct err *e);

struct store_epochs {
    int64_t accepted;
    int64_t current;
    int64_t ensemble_id; /* as in struct zab_history; 0: there is none; so the next three */
    int64_t proposed_id;
    int64_t decided_zxid;
    int64_t accepted_loss; /* not 0: the operator has accepted that promises may be forgotten */
    char note[512];        /* as in struct store_recovery */
};

/* Both, of a replica whose log ends at `last_zxid`. One that is not there, or behind the log, is
 * given the epoch of the log's end, durably. Behind it is one when the process died between the
 * history and the epoch that it was of. -EUCLEAN: accepted is less than current. */
int store_recover_epochs(struct store *s, int64_t last_zxid, struct store_epochs *out,
                         struct err *e);

#endif
