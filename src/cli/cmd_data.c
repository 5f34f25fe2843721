/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A data directory on this machine: what is in it, and what only an operator can say of it. All but
 * show hold the locks that a zabd would hold. */
#include "data.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    OPT_LOG_DIR = 'L',
    OPT_YES = 'y',

    /* Above what the old ensemble may have come to after the backup: no zxid is used twice, and
     * clients that have seen more than the backup has are served. */
    EPOCHS_OF_RESTORE = 1000,
};

const char *const data_numbers[DATA_NUMBERS] = {"ensembleId",   "ensembleIdProposed",
                                                "currentEpoch", "acceptedEpoch",
                                                "decidedZxid",  "acceptedLoss"};

bool data_number(struct data *d, const char *name, int64_t *value)
{
    return store_epoch_read(&d->store, name, value, NULL) == 0;
}

static int fail(const struct err *e)
{
    cli_error("data: %s", e->text);
    return CLI_FAILED;
}

/* ---- The directory ---- */

/* A new disk has no version-2 yet: `empty` allows that. */
static int check_dir(const char *dir, bool empty)
{
    char path[4096];
    struct stat st;
    snprintf(path, sizeof(path), "%s%s", dir, empty ? "" : "/version-2");
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    cli_error("data: %s: %s; name a dataDir of zoo.cfg", path,
              errno == ENOENT ? "there is no such directory" : "it cannot be read");
    return CLI_FAILED;
}

static int lock(const char *dir, int *fd)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/zabd.lock", dir);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*fd < 0) {
        cli_error("data: %s: %s", path, strerror(errno));
        return CLI_FAILED;
    }
    return flock(*fd, LOCK_EX | LOCK_NB) == 0 ? 0 : CLI_EXISTS;
}

static bool is_in_use(const char *dir)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/zabd.lock", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool in_use = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return in_use;
}

static bool is_same_dir(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* What root writes here is to be the daemon's. */
static int become_owner(const char *dir)
{
    struct stat st;
    if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
        return 0;
    if (setegid(st.st_gid) == 0 && seteuid(st.st_uid) == 0)
        return 0;
    cli_error("data: cannot act as the owner of %s: %s", dir, strerror(errno));
    return CLI_FAILED;
}

static int data_open(struct data *d, bool empty, bool locked)
{
    struct err e;
    int rc = check_dir(d->dir, empty);
    if (rc == 0)
        rc = become_owner(d->dir);
    if (rc == 0 && d->log_dir)
        rc = check_dir(d->log_dir, empty);
    if (rc == 0 && d->log_dir && is_same_dir(d->dir, d->log_dir))
        d->log_dir = NULL;
    if (rc == 0 && locked)
        rc = lock(d->dir, &d->locks[0]);
    if (rc == 0 && locked && d->log_dir)
        rc = lock(d->log_dir, &d->locks[1]);
    if (rc == CLI_EXISTS)
        cli_error("data: %s is in use by a zabd; stop that first", d->dir);
    if (rc == 0 && store_open(&d->store, disk_posix(), d->dir, d->log_dir, &e) != 0)
        rc = fail(&e);
    return rc == CLI_EXISTS ? CLI_FAILED : rc;
}

static void data_close(struct data *d)
{
    store_close(&d->store);
    for (size_t i = 0; i < ARRAY_LEN(d->locks); i++) {
        if (d->locks[i] >= 0)
            close(d->locks[i]);
    }
}

static bool has_snapshot(struct data *d)
{
    struct buf names = {0};
    bool found = false;
    if (disk_list(d->store.disk, d->store.data_dir, &names) == 0) {
        for (size_t i = 0; i < names.len && !found; i += strlen((char *)names.data + i) + 1)
            found = strncmp((char *)names.data + i, "snapshot.", 9) == 0;
    }
    buf_close(&names);
    return found;
}

/* A history that zabd would start with, and that is not nothing: where it ends. */
static int read_history(struct data *d, int64_t *last_zxid)
{
    struct store_recovery r;
    uint64_t seed = 0;
    struct err e;
    if (!has_snapshot(d)) {
        cli_error("data: %s has no history: there is no snapshot in it", d->store.data_dir);
        return CLI_FAILED;
    }
    if (getrandom(&seed, sizeof(seed), 0) < 0)
        seed = (uint64_t)time(NULL);
    struct tree *t = tree_open(seed);
    int rc = store_recover(&d->store, t, &r, &e);
    size_t nodes = tree_count(t);
    tree_close(t);
    if (rc != 0)
        return fail(&e);
    if (r.last_zxid == 0) {
        cli_error("data: %s has no history: it ends at zxid 0x0", d->store.data_dir);
        return CLI_FAILED;
    }
    if (r.note[0])
        cli_error("data: %s", r.note);
    *last_zxid = r.last_zxid;
    printf("The history is whole: it ends at zxid 0x%" PRIx64 ", with %zu nodes.\n",
           (uint64_t)r.last_zxid, nodes);
    return 0;
}

static int write_number(struct data *d, const char *name, int64_t value)
{
    struct err e;
    return store_epoch_write(&d->store, name, value, &e) == 0 ? 0 : fail(&e);
}

static int remove_number(struct data *d, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", d->store.data_dir, name);
    int rc = disk_unlink(d->store.disk, path);
    if (rc == 0)
        rc = disk_sync_dir(d->store.disk, d->store.data_dir);
    if (rc == 0 || rc == -ENOENT)
        return 0;
    cli_error("data: %s: %s", path, strerror(-rc));
    return CLI_FAILED;
}

/* ---- Setting aside ---- */

/* version-2/replaced-TIME, where zabd removes it after a day. */
static int make_aside(struct data *d, char *path, size_t size)
{
    for (int n = 0; n < 100; n++) {
        int len =
            snprintf(path, size, "%s/replaced-%lld", d->store.data_dir, (long long)time(NULL));
        if (n > 0)
            snprintf(path + len, size - (size_t)len, "-%d", n);
        if (mkdir(path, 0755) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    cli_error("data: %s: %s", path, strerror(errno));
    return CLI_FAILED;
}

/* What is not there need not be moved. */
static int move_aside(struct data *d, const char *from_dir, const char *name, const char *aside)
{
    char from[4096], to[4096];
    snprintf(from, sizeof(from), "%s/%s", from_dir, name);
    snprintf(to, sizeof(to), "%s/%s", aside, name);
    int rc = disk_rename(d->store.disk, from, to);
    if (rc == 0)
        rc = disk_sync_dir(d->store.disk, aside);
    if (rc == 0)
        rc = disk_sync_dir(d->store.disk, from_dir);
    if (rc == 0 || rc == -ENOENT)
        return 0;
    cli_error("data: %s cannot be moved to %s: %s", from, to, strerror(-rc));
    return CLI_FAILED;
}

/* ---- What it does ---- */

static int show(struct cli *cli, struct data *d)
{
    int rc = data_open(d, false, false);
    return rc ? rc : data_show(cli, d, is_in_use(d->dir));
}

static int new_id(int64_t *id)
{
    uint64_t bytes = 0;
    while (bytes == 0) {
        if (getrandom(&bytes, sizeof(bytes), 0) != sizeof(bytes)) {
            cli_error("data: no random numbers: %s", strerror(errno));
            return CLI_FAILED;
        }
        bytes &= INT64_MAX;
    }
    *id = (int64_t)bytes;
    return 0;
}

/* The epochs first: a crash in between leaves a directory without a new identity, and the command
 * can be given again. */
static int init_restore(struct cli *cli, struct data *d)
{
    int64_t zxid, id, current = 0, accepted = 0;
    (void)cli;
    int rc = data_open(d, false, true);
    if (rc == 0)
        rc = read_history(d, &zxid);
    if (rc == 0)
        rc = new_id(&id);
    if (rc != 0)
        return rc;
    data_number(d, "currentEpoch", &current);
    data_number(d, "acceptedEpoch", &accepted);
    current = MAX(current, (int64_t)((uint64_t)zxid >> 32));
    rc = write_number(d, "acceptedEpoch", MAX(accepted, current) + EPOCHS_OF_RESTORE);
    if (rc == 0)
        rc = write_number(d, "currentEpoch", current);
    if (rc == 0)
        rc = write_number(d, "decidedZxid", zxid);
    if (rc == 0)
        rc = remove_number(d, "acceptedLoss");
    if (rc == 0)
        rc = remove_number(d, "ensembleIdProposed");
    if (rc == 0)
        rc = write_number(d, "ensembleId", id);
    if (rc == 0)
        printf("%s begins a new ensemble with it, of the id %" PRId64 ".\n"
               "Copy version-2 to each of its servers, or start this one first and let the others, "
               "with "
               "empty directories, follow.\n",
               d->dir, id);
    return rc;
}

static bool confirmed(const struct data *d)
{
    char line[16] = "";
    if (d->yes)
        return true;
    printf("Type yes to go on: ");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        line[0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return strcmp(line, "yes") == 0;
}

static int accept_loss(struct cli *cli, struct data *d)
{
    (void)cli;
    int rc = data_open(d, true, true);
    if (rc != 0)
        return rc;
    printf(
        "The disk of %s may have forgotten what its server promised to the others. Its server then "
        "waits for all of them before it helps to elect a leader.\n"
        "With this it will not wait: writes that were acknowledged and are on the disks of servers "
        "that do not come back are lost, and what is left is taken for the whole. Do it only if "
        "those servers are gone for good.\n",
        d->dir);
    if (!confirmed(d)) {
        cli_error("data: accept-loss: nothing was changed");
        return CLI_FAILED;
    }
    rc = write_number(d, "acceptedLoss", 1);
    if (rc == 0)
        printf("%s: the loss is accepted.\n", d->dir);
    return rc;
}

/* Nothing that says "ensemble" stays where zabd looks. */
static int make_single(struct cli *cli, struct data *d)
{
    char aside[4096];
    int64_t zxid;
    (void)cli;
    int rc = data_open(d, false, true);
    if (rc == 0)
        rc = read_history(d, &zxid);
    if (rc == 0)
        rc = make_aside(d, aside, sizeof(aside));
    for (size_t i = 0; rc == 0 && i < DATA_NUMBERS; i++)
        rc = move_aside(d, d->store.data_dir, data_numbers[i], aside);
    if (rc == 0)
        rc = move_aside(d, d->dir, "myid", aside);
    if (rc == 0)
        printf("%s is a single replica's. Its epochs and its myid are in %s.\n"
               "It must not be a server of its ensemble again: empty it before.\n",
               d->dir, aside);
    return rc;
}

static const struct {
    const char *name;
    int (*run)(struct cli *cli, struct data *d);
} actions[] = {
    {"show", show},
    {"init-restore", init_restore},
    {"accept-loss", accept_loss},
    {"make-single", make_single},
};

static const struct cli_option data_options[] = {
    {OPT_LOG_DIR, "log-dir", "DIR", "The dataLogDir, if zoo.cfg has one."},
    {OPT_YES, "yes", NULL, "Do not ask (accept-loss)."},
    {0},
};

static int run(struct cli *cli, int argc, char **argv)
{
    struct data d = {.locks = {-1, -1}};
    for (int opt; (opt = cli_getopt(cli, argc, argv)) != -1;) {
        if (opt == OPT_LOG_DIR)
            d.log_dir = optarg;
        else if (opt == OPT_YES)
            d.yes = true;
        else
            return CLI_USAGE;
    }
    int rc = cli_check_args(cli, argc, 2, 2);
    if (rc != 0)
        return rc;
    d.dir = argv[optind + 1];
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(argv[optind], actions[i].name) != 0)
            continue;
        rc = actions[i].run(cli, &d);
        data_close(&d);
        return rc;
    }
    cli_error("data: '%s' is none of show, init-restore, accept-loss, make-single", argv[optind]);
    return CLI_USAGE;
}

const struct command command_data = {
    .name = "data",
    .args = "show|init-restore|accept-loss|make-single DIR",
    .summary = "Look at a data directory on this machine, or say what only an operator knows",
    .text =
        "DIR is a dataDir of zoo.cfg. All but show refuse while a zabd uses it.\n\n"
        "show prints the snapshots and logs with their zxids and whether they can be read, the "
        "epochs, and what was set aside.\n\n"
        "init-restore makes a directory with a history, such as a restored backup, the start of a "
        "new ensemble: servers of the old one, with what they have, cannot join it. An empty or "
        "damaged history is refused.\n\n"
        "accept-loss lets a server whose disk was lost help to elect a leader before all servers "
        "are there. It asks before: acknowledged writes may be lost.\n\n"
        "make-single makes a single replica of a directory that has been in an ensemble. What it "
        "was "
        "there is set aside, in version-2/replaced-TIME.",
    .options = data_options,
    .run = run,
};
