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

/* An epoch that was given by an election: 0 if there is none. */
static int64_t epoch_of(const char *dir, const char *name)
{
    struct store s = {.disk = disk_posix(), .data_dir = (char *)dir};
    int64_t epoch;
    return store_epoch_read(&s, name, &epoch, NULL) == 0 ? epoch : 0;
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

int config_check_directory(const struct config *c, struct err *e)
{
    struct buf dir = {0}, myid = {0};
    const char *what = NULL;
    int64_t epoch = 0;
    if (c->own)
        return 0;
    buf_printf(&dir, "%s/version-2", c->data_dir);
    buf_printf(&myid, "%s/myid", c->data_dir);
    bool numbered = access((char *)myid.data, F_OK) == 0;
    static const char *const names[] = {"currentEpoch", "acceptedEpoch"};
    for (size_t i = 0; i < ARRAY_LEN(names) && epoch == 0; i++) {
        what = names[i];
        epoch = epoch_of((char *)dir.data, what);
    }
    if (epoch == 0 && numbered) {
        what = "myid, and a snapshot of epoch";
        epoch = epoch_of_snapshots((char *)dir.data);
    }
    if (epoch == 0 && numbered && c->ensemble.n == 0)
        log_warn("%s: %s has no effect without server lines; this is a single replica", c->path,
                 (char *)myid.data);
    int rc = epoch == 0
                 ? 0
                 : err_set(e, -EINVAL,
                           "%s has been a server of an ensemble (%s %" PRId64 "), but %s has no "
                           "%s: add them, or name their file with dynamicConfigFile. To make "
                           "a single replica of it for good: zabctl data make-single %s",
                           c->data_dir, what, epoch, c->path,
                           c->ensemble.n > 0 ? "lines of the other servers" : "server lines",
                           c->data_dir);
    buf_close(&dir);
    buf_close(&myid);
    return rc;
}
