/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Removing what no recovery will need. */
#include "store_impl.h"

/* The index of the oldest of the newest `retain` good snapshots, 0 if there are not so many. */
static size_t oldest_to_keep(struct store *s, const struct store_files *snapshots, unsigned retain)
{
    unsigned good = 0;
    for (size_t i = snapshots->n; i > 0; i--) {
        if (snapshot_verify(s, snapshots->at[i - 1].name, NULL) == 0 && ++good == retain)
            return i - 1;
    }
    return 0;
}

/* Remove the first `n` files. */
static int remove_first(struct store *s, const char *dir, const struct store_files *files, size_t n,
                        struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        int rc = store_remove(s, dir, files->at[i].name, e);
        if (rc < 0)
            return rc;
    }
    return (int)n;
}

int store_purge(struct store *s, unsigned retain, struct err *e)
{
    struct store_files snapshots = {0}, logs = {0};
    int n_logs = 0;
    ensure(retain > 0);
    int rc = store_files_list(s, s->data_dir, SNAPSHOT_PREFIX, &snapshots, e);
    if (rc == 0)
        rc = store_files_list(s, s->log_dir, LOG_PREFIX, &logs, e);
    if (rc < 0 || snapshots.n == 0)
        goto out;
    size_t keep = oldest_to_keep(s, &snapshots, retain);
    if (keep == 0)
        goto out;
    /* The file that has the first transaction behind the oldest snapshot is the first to stay. */
    size_t first_log = store_files_before(&logs, snapshots.at[keep].zxid + 1);
    rc = remove_first(s, s->data_dir, &snapshots, keep, e);
    n_logs = rc < 0 ? 0 : remove_first(s, s->log_dir, &logs, first_log, e);
out:
    store_files_close(&snapshots);
    store_files_close(&logs);
    return rc < 0 || n_logs < 0 ? MIN(rc, n_logs) : rc + n_logs;
}
