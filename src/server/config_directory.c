/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose the data directory is. Reads alone, so that it can be asked before anything starts. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "zab/log.h"
#include "zab/store.h"

/* A number that only a server of an ensemble writes: 0 if there is none, and 1 for one that cannot
 * be read. */
static int64_t number_of(const char *dir, const char *name)
{
    struct store s = {.disk = disk_posix(), .data_dir = (char *)dir};
    int64_t value;
    int rc = store_epoch_read(&s, name, &value, NULL);
    return rc == 0 ? value : rc == -EUCLEAN;
}

/* The epoch in the name of the newest snapshot. */
static int64_t epoch_of_snapshots(const char *dir)
{
    static const char prefix[] = "snapshot.";
    uint64_t newest = 0;
    DIR *d = opendir(dir);
    for (struct dirent *f; d && (f = readdir(d)) != NULL;) {
        if (strncmp(f->d_name, prefix, strlen(prefix)) == 0)
            newest = MAX(newest, strtoull(f->d_name + strlen(prefix), NULL, 16));
    }
    if (d)
        closedir(d);
    return (int64_t)(newest >> 32);
}

/* What of the directory shows that it has been in an ensemble: appended to `what`, if there is any.
 */
static void find_traces(const char *dir, bool numbered, struct buf *what)
{
    static const char *const names[] = {"currentEpoch", "acceptedEpoch", "ensembleId"};
    for (size_t i = 0; i < ARRAY_LEN(names) && what->len == 0; i++) {
        int64_t value = number_of(dir, names[i]);
        if (value != 0)
            buf_printf(what, "%s %" PRId64, names[i], value);
    }
    int64_t epoch = numbered && what->len == 0 ? epoch_of_snapshots(dir) : 0;
    if (epoch > 0)
        buf_printf(what, "myid, and a snapshot of epoch %" PRId64, epoch);
}

int config_check_directory(const struct config *c, struct err *e)
{
    struct buf dir = {0}, myid = {0}, what = {0};
    int rc = 0;
    if (c->own)
        return 0;
    buf_printf(&dir, "%s/version-2", c->data_dir);
    buf_printf(&myid, "%s/myid", c->data_dir);
    bool numbered = access((char *)myid.data, F_OK) == 0;
    find_traces((char *)dir.data, numbered, &what);
    if (what.len > 0)
        rc =
            err_set(e, -EINVAL,
                    "%s has been a server of an ensemble (%.*s), but %s has no %s: add them, or "
                    "name their file with dynamicConfigFile. To make a single replica of it for "
                    "good: zabctl data make-single %s",
                    c->data_dir, SLICE_ARG(buf_slice(&what)), c->path,
                    c->ensemble.n > 0 ? "lines of the other servers" : "server lines", c->data_dir);
    else if (numbered && c->ensemble.n == 0)
        log_warn("%s: %s has no effect without server lines; this is a single replica", c->path,
                 (char *)myid.data);
    buf_close(&dir);
    buf_close(&myid);
    buf_close(&what);
    return rc;
}
