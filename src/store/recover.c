/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the files to the tree. */
#include <stdio.h>

#include "replaced.h"

enum {
    REWRITE_PIECE = 256 << 10,
};

/* A wrong dataLogDir would hide acknowledged transactions. */
static int check_places(struct store *s, struct err *e)
{
    struct store_files stray;
    if (strcmp(s->data_dir, s->log_dir) == 0)
        return 0;
    int rc = store_files_list(s, s->data_dir, LOG_PREFIX, &stray, e);
    if (rc == 0 && stray.n > 0)
        rc = err_set(e, -EINVAL,
                     "%s has the log file %s, but the log is to be in %s: correct dataLogDir, or "
                     "move the log files there",
                     s->data_dir, stray.at[0].name, s->log_dir);
    store_files_close(&stray);
    return rc;
}

/* Files of one directory that a crash left half written: only names that the store gives. */
static bool is_temporary(const char *name)
{
    static const char *const prefixes[] = {SNAPSHOT_PREFIX, INCOMING_PREFIX, "acceptedEpoch",
                                           "currentEpoch", "replacement"};
    size_t len = strlen(name), suffix = strlen(TEMPORARY_SUFFIX);
    if (strncmp(name, INCOMING_PREFIX, strlen(INCOMING_PREFIX)) == 0)
        return true; /* and nothing said yet that it is to be installed */
    if (len < suffix || strcmp(name + len - suffix, TEMPORARY_SUFFIX) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

/* What a crash left half written. */
static int remove_temporaries(struct store *s, struct err *e)
{
    struct buf names = {0};
    int rc = disk_list(s->disk, s->data_dir, &names);
    if (rc < 0)
        store_io_error(s, e, rc, "list", s->data_dir);
    for (size_t i = 0; rc == 0 && i < names.len; i += strlen((char *)names.data + i) + 1) {
        const char *name = (char *)names.data + i;
        if (is_temporary(name))
            rc = store_remove(s, s->data_dir, name, e);
    }
    buf_close(&names);
    return rc;
}

/* Nothing is there that a replica with a history would have. */
static int check_new(struct store *s, struct err *e)
{
    static const char *const epochs[] = {"currentEpoch", "acceptedEpoch"};
    struct txnlog_reader *log;
    struct slice txn;
    int rc = txnlog_read(s, -1, &log, e);
    if (rc < 0)
        return rc;
    rc = txnlog_reader_next(log, &txn, e);
    txnlog_reader_close(log);
    if (rc == 1)
        return err_set(e, -EUCLEAN, "%s has transactions, but %s has no snapshot: %s", s->log_dir,
                       s->data_dir, store_remedy(s));
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(epochs); i++) {
        int64_t epoch;
        rc = store_epoch_read(s, epochs[i], &epoch, e);
        if (rc == 0)
            return err_set(e, -EUCLEAN, "%s has the file %s, but no snapshot: %s", s->data_dir,
                           epochs[i], store_remedy(s));
        rc = rc == -ENOENT ? 0 : rc;
    }
    return rc;
}

/* The first start: a snapshot of the empty tree tells every later start that there was one. */
static int start_new(struct store *s, struct tree *t, struct store_recovery *r, struct err *e)
{
    int rc = check_new(s, e);
    if (rc < 0)
        return rc;
    tree_set_last_zxid(t, 0);
    r->snapshot_zxid = 0;
    return snapshot_save(s, t, NULL, e);
}

/* Load the newest snapshot that is good. The newest bad one is remembered in the note. */
static int load_newest(struct store *s, const struct store_files *snapshots, struct tree *t,
                       struct store_recovery *r, struct err *e)
{
    struct err why = {0};
    int rc = -ENOENT;
    for (size_t i = snapshots->n; rc < 0 && i > 0; i--) {
        rc = snapshot_load(s, snapshots->at[i - 1].name, t, r->note[0] ? NULL : &why);
        if (rc < 0 && !r->note[0])
            snprintf(r->note, sizeof(r->note), "%.*s", (int)sizeof(r->note) - 1, why.text);
        if (rc == 0)
            r->snapshot_zxid = snapshots->at[i - 1].zxid;
    }
    return rc < 0 ? err_set(e, why.code, "no snapshot can be read; the newest: %s", why.text) : 0;
}

static int replay_txn(struct txnlog_reader *log, struct slice txn, struct tree *t,
                      struct tree_outcome *outcome, struct err *e)
{
    struct zk_txn_header header;
    struct jute_reader in = jute_reader_of(txn);
    zk_txn_header_read(&in, &header);
    if (tree_apply(t, &header, jute_read_rest(&in), outcome) < 0)
        return txnlog_reader_corrupt(log, e, "a transaction that cannot be parsed");
    return 0;
}

/* Write bytes `from` .. `end` once more. */
static int rewrite(struct disk_file *file, uint64_t from, uint64_t end)
{
    uint8_t *bytes = mem_alloc(REWRITE_PIECE);
    int rc = 0;
    while (rc == 0 && from < end) {
        size_t len = (size_t)MIN(end - from, (uint64_t)REWRITE_PIECE);
        int64_t n = disk_read(file, bytes, len, from);
        rc = n <= 0 ? (n < 0 ? (int)n : -EIO) : disk_write(file, bytes, (size_t)n, from);
        from += n < 0 ? 0 : (uint64_t)n;
    }
    free(bytes);
    return rc;
}

/* What was only in the page cache so far will be counted on from now on. A sync that failed in the
 * life before has left pages that the kernel takes for written: it writes them again only if they
 * are written to again. That can be all that one sync had to cover, the last entry at least. */
static int sync_log(struct store *s, const char *name, bool last, uint64_t last_entry,
                    struct err *e)
{
    struct disk_file *file = NULL;
    char *path = store_path(s->log_dir, name);
    const char *doing = "open";
    int rc = disk_open(s->disk, path, last ? DISK_WRITE : DISK_READ, &file);
    int64_t size = rc < 0 ? rc : disk_size(file);
    if (size < 0) {
        rc = (int)size;
    } else if (last) {
        uint64_t end = (uint64_t)size;
        doing = "write the end again of";
        rc = rewrite(
            file, MIN(end > TXNLOG_UNSYNCED_MAX ? end - TXNLOG_UNSYNCED_MAX : 0, last_entry), end);
    }
    if (rc == 0) {
        doing = "sync";
        rc = disk_sync(file);
    }
    if (rc < 0)
        store_io_error(s, e, rc, doing, path);
    if (file)
        disk_close(file);
    free(path);
    return rc;
}

static int sync_logs(struct store *s, uint64_t last_entry, struct err *e)
{
    struct store_files logs;
    int rc = store_files_list(s, s->log_dir, LOG_PREFIX, &logs, e);
    for (size_t i = logs.n > 2 ? logs.n - 2 : 0; rc == 0 && i < logs.n; i++)
        rc = sync_log(s, logs.at[i].name, i + 1 == logs.n, last_entry, e);
    store_files_close(&logs);
    const char *dirs[] = {s->log_dir, s->data_dir};
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(dirs); i++) {
        rc = disk_sync_dir(s->disk, dirs[i]);
        if (rc < 0)
            store_io_error(s, e, rc, "sync", dirs[i]);
    }
    return rc;
}

/* A snapshot that was passed over must be one of the history that the log has: what a leader's tree
 * replaced has no connection to what comes behind it, which only the zxid at its end shows, since
 * the first one of a later epoch may follow on any. */
static int check_passed(struct store *s, const struct store_files *snapshots, size_t *next,
                        int64_t zxid, struct err *e)
{
    for (; *next < snapshots->n && snapshots->at[*next].zxid <= zxid; ++*next) {
        if (snapshots->at[*next].zxid != zxid)
            return err_set(e, -EUCLEAN,
                           "%s/%s is bad, and the log in %s has no transaction of its zxid: %s",
                           s->data_dir, snapshots->at[*next].name, s->log_dir, store_remedy(s));
    }
    return 0;
}

/* `*last_entry`: where the last one is in its file. */
static int replay(struct store *s, const struct store_files *snapshots, struct tree *t,
                  struct store_recovery *r, uint64_t *last_entry, struct err *e)
{
    struct tree_outcome outcome = {0};
    struct txnlog_reader *log;
    struct slice txn;
    size_t next = store_files_before(snapshots, r->snapshot_zxid) + 1;
    int rc = txnlog_read(s, r->snapshot_zxid, &log, e);
    if (rc < 0)
        return rc;
    while ((rc = txnlog_reader_next(log, &txn, e)) == 1) {
        rc = replay_txn(log, txn, t, &outcome, e);
        if (rc == 0)
            rc = check_passed(s, snapshots, &next, tree_last_zxid(t), e);
        if (rc < 0)
            break;
        r->n_txns++;
        r->n_bytes += TXN_ENTRY_HEAD + slice_size(txn) + TXN_ENTRY_TAIL;
    }
    *last_entry = txnlog_reader_offset(log);
    struct txnlog_tail tail = txnlog_reader_tail(log);
    r->torn_tail = tail.torn;
    r->n_cut = tail.found.n;
    r->cut_first = tail.found.first;
    r->cut_last = tail.found.last;
    if (rc == 0)
        rc = txnlog_cut_tail(s, log, e);
    tree_outcome_close(&outcome);
    txnlog_reader_close(log);
    return rc;
}

int store_recover(struct store *s, struct tree *t, struct store_recovery *r, struct err *e)
{
    struct store_files snapshots = {0};
    char dir[REPLACED_NAME_MAX];
    uint64_t last_entry = 0;
    *r = (struct store_recovery){.snapshot_zxid = -1};
    int rc = check_places(s, e);
    if (rc == 0)
        rc = replaced_finish(s, dir, e);
    if (rc == 1)
        snprintf(r->replaced, sizeof(r->replaced),
                 "a change to the leader's history that was cut short is completed; the old files "
                 "are in %s/%s; they are removed after a day",
                 s->data_dir, dir);
    if (rc >= 0)
        rc = remove_temporaries(s, e);
    if (rc == 0)
        rc = store_files_list(s, s->data_dir, SNAPSHOT_PREFIX, &snapshots, e);
    if (rc == 0)
        rc = snapshots.n > 0 ? load_newest(s, &snapshots, t, r, e) : start_new(s, t, r, e);
    if (rc == 0)
        rc = replay(s, &snapshots, t, r, &last_entry, e);
    if (rc == 0)
        rc = sync_logs(s, last_entry, e);
    if (rc < 0)
        goto out;
    r->last_zxid = tree_last_zxid(t);
    if (snapshots.n > 0 && snapshots.at[snapshots.n - 1].zxid > r->last_zxid)
        rc = err_set(e, -EUCLEAN, "the log ends at zxid 0x%" PRIx64 ", before the snapshot: %s",
                     (uint64_t)r->last_zxid, r->note);
out:
    store_files_close(&snapshots);
    return rc;
}
