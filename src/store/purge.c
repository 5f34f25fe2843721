/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Removing what no recovery will need. */
#include "replaced.h"

enum {
    DAY_S = 24 * 3600,
    HOUR_S = 3600,
};

struct store_verified {
    char *name;
    struct disk_stat stat;
};

static struct store_verified *find_verified(struct store *s, const char *name)
{
    for (size_t i = 0; i < s->n_verified; i++) {
        if (strcmp(s->verified[i].name, name) == 0)
            return &s->verified[i];
    }
    return NULL;
}

static bool is_good(struct store *s, const char *name)
{
    struct disk_stat st = {0};
    char *path = store_path(s->data_dir, name);
    bool known = disk_stat(s->disk, path, &st) == 0;
    struct store_verified *v = find_verified(s, name);
    free(path);
    if (known && v && v->stat.size == st.size && v->stat.mtime_ns == st.mtime_ns)
        return true;
    if (snapshot_verify(s, name, NULL) < 0)
        return false;
    if (!v) {
        s->verified = mem_realloc(s->verified, (s->n_verified + 1) * sizeof(*v));
        v = &s->verified[s->n_verified++];
        v->name = mem_strdup(name);
    }
    v->stat = st;
    return true;
}

void store_forget_verified(struct store *s)
{
    for (size_t i = 0; i < s->n_verified; i++)
        free(s->verified[i].name);
    free(s->verified);
    s->verified = NULL;
    s->n_verified = 0;
}

/* Those that are not there any more. */
static void forget_others(struct store *s, const struct store_files *snapshots)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_verified; i++) {
        bool there = false;
        for (size_t k = 0; k < snapshots->n; k++)
            there |= strcmp(snapshots->at[k].name, s->verified[i].name) == 0;
        if (there)
            s->verified[n++] = s->verified[i];
        else
            free(s->verified[i].name);
    }
    s->n_verified = n;
}

int store_purge_look(struct store *s, unsigned retain, int64_t *keep, struct err *e)
{
    struct store_files snapshots;
    unsigned good = 0;
    ensure(retain > 0);
    *keep = -1;
    int rc = store_files_list(s, s->data_dir, SNAPSHOT_PREFIX, &snapshots, e);
    if (rc < 0)
        return rc;
    forget_others(s, &snapshots);
    for (size_t i = snapshots.n; i > 0 && *keep < 0; i--) {
        if (is_good(s, snapshots.at[i - 1].name) && ++good == retain)
            *keep = snapshots.at[i - 1].zxid;
    }
    store_files_close(&snapshots);
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

int store_purge_before(struct store *s, int64_t keep, struct err *e)
{
    struct store_files snapshots = {0}, logs = {0};
    int n_logs = 0;
    int rc = store_files_list(s, s->data_dir, SNAPSHOT_PREFIX, &snapshots, e);
    if (rc == 0)
        rc = store_files_list(s, s->log_dir, LOG_PREFIX, &logs, e);
    size_t n = 0;
    while (rc == 0 && n < snapshots.n && snapshots.at[n].zxid < keep)
        n++;
    if (rc < 0 || n == 0 || n == snapshots.n || snapshots.at[n].zxid != keep)
        goto out;
    /* The file that has the first transaction behind the oldest snapshot is the first to stay. */
    size_t first_log = store_files_before(&logs, keep + 1);
    rc = remove_first(s, s->data_dir, &snapshots, n, e);
    n_logs = rc < 0 ? 0 : remove_first(s, s->log_dir, &logs, first_log, e);
out:
    store_files_close(&snapshots);
    store_files_close(&logs);
    return rc < 0 || n_logs < 0 ? MIN(rc, n_logs) : rc + n_logs;
}

int store_purge(struct store *s, unsigned retain, struct err *e)
{
    int64_t keep;
    int rc = store_purge_look(s, retain, &keep, e);
    return rc == 0 && keep >= 0 ? store_purge_before(s, keep, e) : rc;
}

/* ---- What was replaced ---- */

/* Seconds since it was put aside, by its name and by its own time: the younger of the two. */
static int64_t age_of(struct store *s, const char *path, const char *name)
{
    struct disk_stat st;
    int64_t now_s = disk_now_s(s->disk);
    int64_t made_s = strtoll(name + strlen(REPLACED_PREFIX), NULL, 10);
    if (disk_stat(s->disk, path, &st) < 0)
        return -1;
    return now_s - MAX(made_s, st.mtime_ns / 1000000000);
}

static int remove_dir(struct store *s, const char *path, struct err *e)
{
    struct buf names = {0};
    int rc = disk_list(s->disk, path, &names);
    for (size_t i = 0; rc == 0 && i < names.len; i += strlen((char *)names.data + i) + 1) {
        char *file = store_path(path, (char *)names.data + i);
        rc = disk_unlink(s->disk, file);
        free(file);
    }
    if (rc == 0)
        rc = disk_rmdir(s->disk, path);
    buf_close(&names);
    return rc < 0 ? store_io_error(s, e, rc, "remove", path) : 0;
}

/* The oldest directory in `dir`: 1, 0 if there is none. */
static int find_oldest(struct store *s, const char *dir, char **oldest, int64_t *age_s,
                       struct err *e)
{
    struct buf names = {0};
    int rc = disk_list(s->disk, dir, &names);
    *oldest = NULL;
    *age_s = -1;
    if (rc < 0)
        store_io_error(s, e, rc, "list", dir);
    for (size_t i = 0; rc == 0 && i < names.len; i += strlen((char *)names.data + i) + 1) {
        const char *name = (char *)names.data + i;
        if (strncmp(name, REPLACED_PREFIX, strlen(REPLACED_PREFIX)) != 0)
            continue;
        char *path = store_path(dir, name);
        int64_t age = age_of(s, path, name);
        if (age > *age_s) {
            free(*oldest);
            *oldest = path;
            *age_s = age;
        } else {
            free(path);
        }
    }
    buf_close(&names);
    return rc < 0 ? rc : *oldest != NULL;
}

static int purge_replaced_in(struct store *s, const char *dir, int64_t wanted_bytes, struct err *e)
{
    char *oldest;
    int64_t age_s;
    int rc, n = 0;
    while ((rc = find_oldest(s, dir, &oldest, &age_s, e)) == 1) {
        int64_t free_bytes = disk_free_bytes(s->disk, dir);
        bool short_of = free_bytes >= 0 && free_bytes < wanted_bytes;
        bool goes = age_s > DAY_S || (short_of && age_s > HOUR_S);
        rc = goes ? remove_dir(s, oldest, e) : 0;
        free(oldest);
        if (rc < 0 || !goes)
            break;
        n++;
    }
    return rc < 0 ? rc : n;
}

int store_purge_replaced(struct store *s, int64_t wanted_bytes, struct err *e)
{
    int n = purge_replaced_in(s, s->data_dir, wanted_bytes, e), m = 0;
    if (n >= 0 && strcmp(s->data_dir, s->log_dir) != 0)
        m = purge_replaced_in(s, s->log_dir, wanted_bytes, e);
    return n < 0 || m < 0 ? MIN(n, m) : n + m;
}
