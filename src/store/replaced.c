/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is cut from a history or replaced by another stands aside, in replaced-TIME[-N] beside it,
 * until the purge finds it old enough.
 *
 * First all is made that may fail for want of room: the directory, a copy of the entries that are
 * cut out of a file, the tree that comes instead. Then the file "replacement" says, in one step,
 * what is to be done. What follows is to move and to cut; a start that finds the file does it
 * again, from wherever it was cut short. So a crash leaves the one history or the other. */
#include "replaced.h"

#include <stdio.h>
#include <zlib.h>

#define REPLACEMENT "replacement"

enum {
    REPLACEMENT_TEXT_MAX = 128,
    COPY_PIECE = 256 << 10,
};

/* ---- Directories ---- */

static bool is_in(const struct buf *names, const char *name)
{
    for (size_t i = 0; i < names->len; i += strlen((char *)names->data + i) + 1) {
        if (strcmp((char *)names->data + i, name) == 0)
            return true;
    }
    return false;
}

/* A name that is in neither directory. */
static int choose_dir(struct store *s, struct replacement *r, struct err *e)
{
    struct buf names = {0};
    const char *dirs[] = {s->data_dir, s->log_dir};
    int64_t now_s = disk_now_s(s->disk);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(dirs); i++) {
        rc = disk_list(s->disk, dirs[i], &names);
        if (rc < 0)
            store_io_error(s, e, rc, "list", dirs[i]);
    }
    snprintf(r->dir, sizeof(r->dir), REPLACED_PREFIX "%" PRId64, now_s);
    for (int i = 1; rc == 0 && is_in(&names, r->dir); i++)
        snprintf(r->dir, sizeof(r->dir), REPLACED_PREFIX "%" PRId64 "-%d", now_s, i);
    buf_close(&names);
    return rc;
}

/* DIR/replaced-..., made if it is not there. */
static int make_dir(struct store *s, const struct replacement *r, const char *dir, char **path,
                    struct err *e)
{
    *path = store_path(dir, r->dir);
    int rc = disk_mkdir(s->disk, *path);
    return rc < 0 ? store_io_error(s, e, rc, "make the directory", *path) : 0;
}

/* ---- What is to be done ---- */

static const char *const kind_names[] = {
    [REPLACEMENT_TRUNCATE] = "truncate",
    [REPLACEMENT_INSTALL] = "install",
    [REPLACEMENT_INSTALL_OVER] = "install-over",
};

/* With a checksum: what a wrong one says would be done. */
static void replacement_text(const struct replacement *r, struct buf *text)
{
    buf_printf(text, "%s %" PRIx64 " %s", kind_names[r->kind], (uint64_t)r->zxid, r->dir);
    buf_printf(text, " %08lx\n", adler32(adler32(1, NULL, 0), text->data, (uInt)text->len));
}

static int write_replacement(struct store *s, const struct replacement *r, struct err *e)
{
    struct buf text = {0};
    struct disk_file *file;
    char *path = store_path(s->data_dir, REPLACEMENT);
    replacement_text(r, &text);
    int rc = store_replace_begin(s, path, &file, e);
    if (rc < 0)
        goto out;
    rc = disk_write(file, text.data, text.len, 0);
    if (rc < 0) {
        store_io_error(s, e, rc, "write", path);
        store_replace_abandon(s, path, file);
    } else {
        rc = store_replace_publish(s, path, file, e);
    }
out:
    buf_close(&text);
    free(path);
    return rc;
}

static bool parse_replacement(const char *text, struct replacement *r)
{
    char what[16];
    uint64_t zxid;
    struct buf right = {0};
    *r = (struct replacement){0};
    if (sscanf(text, "%15s %" SCNx64 " %63s", what, &zxid, r->dir) != 3 || zxid > INT64_MAX ||
        strchr(r->dir, '/') || strncmp(r->dir, REPLACED_PREFIX, strlen(REPLACED_PREFIX)) != 0)
        return false;
    r->zxid = (int64_t)zxid;
    size_t kind = 0;
    while (kind < ARRAY_LEN(kind_names) && strcmp(what, kind_names[kind]) != 0)
        kind++;
    if (kind == ARRAY_LEN(kind_names))
        return false;
    r->kind = (enum replacement_kind)kind;
    replacement_text(r, &right);
    bool same = slice_eq_str(buf_slice(&right), text);
    buf_close(&right);
    return same;
}

/* 1, or 0 if nothing is to be done. */
static int read_replacement(struct store *s, struct replacement *r, struct err *e)
{
    char text[REPLACEMENT_TEXT_MAX];
    char *path = store_path(s->data_dir, REPLACEMENT);
    struct disk_file *file;
    int rc = disk_open(s->disk, path, DISK_READ, &file);
    if (rc == -ENOENT) {
        free(path);
        return 0;
    }
    int64_t n = rc;
    if (rc == 0) {
        n = disk_read(file, text, sizeof(text) - 1, 0);
        disk_close(file);
    }
    if (n < 0) {
        rc = store_io_error(s, e, (int)n, "read", path);
    } else {
        text[n] = '\0';
        rc = parse_replacement(text, r)
                 ? 1
                 : err_set(e, -EUCLEAN, "%s: not what zabd writes: %s", path, store_remedy(s));
    }
    free(path);
    return rc;
}

/* ---- Moving ---- */

/* Give those files of `dir` a second name in replaced-..., then take the first one away. */
static int move_files(struct store *s, const struct replacement *r, const char *dir,
                      const struct store_files *files, struct err *e)
{
    char *to;
    if (files->n == 0)
        return 0;
    int rc = make_dir(s, r, dir, &to, e);
    for (int pass = 0; rc == 0 && pass < 2; pass++) {
        for (size_t i = 0; rc == 0 && i < files->n; i++) {
            char *from_path = store_path(dir, files->at[i].name);
            char *to_path = store_path(to, files->at[i].name);
            rc = pass == 0 ? disk_link(s->disk, from_path, to_path)
                           : disk_unlink(s->disk, from_path);
            if (pass == 0 && rc == -EEXIST)
                rc = 0; /* it was cut short here */
            if (rc < 0)
                store_io_error(s, e, rc, "move aside", from_path);
            free(from_path);
            free(to_path);
        }
        const char *changed = pass == 0 ? to : dir;
        if (rc == 0 && (rc = disk_sync_dir(s->disk, changed)) < 0)
            store_io_error(s, e, rc, "sync", changed);
    }
    free(to);
    return rc;
}

static void keep_in_list(struct store_files *files, const struct replacement *r,
                         bool (*moves)(const struct replacement *r, const struct store_file *f))
{
    size_t n = 0;
    for (size_t i = 0; i < files->n; i++) {
        if (moves(r, &files->at[i]))
            files->at[n++] = files->at[i];
        else
            free(files->at[i].name);
    }
    files->n = n;
}

static bool is_behind(const struct replacement *r, const struct store_file *f)
{
    return f->zxid > r->zxid;
}

static bool is_not_installed(const struct replacement *r, const struct store_file *f)
{
    char *name = store_snapshot_name(SNAPSHOT_PREFIX, r->zxid);
    bool same = strcmp(f->name, name) == 0;
    free(name);
    return !same;
}

static bool is_any(const struct replacement *r, const struct store_file *f)
{
    (void)r;
    (void)f;
    return true;
}

static int move_some(struct store *s, const struct replacement *r, const char *dir,
                     const char *prefix,
                     bool (*moves)(const struct replacement *r, const struct store_file *f),
                     struct err *e)
{
    struct store_files files;
    int rc = store_files_list(s, dir, prefix, &files, e);
    if (rc == 0) {
        keep_in_list(&files, r, moves);
        rc = move_files(s, r, dir, &files, e);
    }
    store_files_close(&files);
    return rc;
}

/* ---- TRUNC ---- */

int replaced_find_cut(struct store *s, int64_t zxid, struct replaced_cut *cut, struct err *e)
{
    struct txnlog_reader *reader;
    struct slice txn;
    *cut = (struct replaced_cut){0};
    int rc = txnlog_read_loosely(s, zxid, &reader, e);
    if (rc < 0)
        return rc;
    rc = txnlog_reader_next(reader, &txn, e);
    if (rc == 1) {
        const struct store_file *f = &txnlog_reader_files(reader)->at[txnlog_reader_file(reader)];
        cut->first_zxid = txn_zxid(txn.data);
        cut->offset = txnlog_reader_offset(reader);
        if (f->zxid <= zxid)
            cut->name = mem_strdup(f->name);
    }
    txnlog_reader_close(reader);
    return rc;
}

/* Bytes from `from` on of one file, to `to` in the other. */
static int copy_bytes(struct disk_file *in, uint64_t from, struct disk_file *out, uint64_t to)
{
    uint8_t *bytes = mem_alloc(COPY_PIECE);
    int64_t n;
    while ((n = disk_read(in, bytes, COPY_PIECE, from)) > 0) {
        int rc = disk_write(out, bytes, (size_t)n, to);
        if (rc < 0) {
            n = rc;
            break;
        }
        from += (uint64_t)n;
        to += (uint64_t)n;
    }
    free(bytes);
    return (int)n;
}

/* The entries that are cut, as a log file of their own. */
static int copy_tail(struct store *s, const struct replacement *r, const struct replaced_cut *cut,
                     struct err *e)
{
    char name[64], *dir = NULL;
    struct disk_file *in = NULL, *out = NULL;
    struct buf header = {0};
    char *from = store_path(s->log_dir, cut->name);
    int rc = make_dir(s, r, s->log_dir, &dir, e);
    snprintf(name, sizeof(name), LOG_PREFIX "%" PRIx64, (uint64_t)cut->first_zxid);
    char *to = store_path(dir, name);
    if (rc < 0 || (rc = store_replace_begin(s, to, &out, e)) < 0)
        goto out;
    zk_file_header_write(&header, &(struct zk_file_header){LOG_MAGIC, FILE_VERSION, 0});
    rc = disk_open(s->disk, from, DISK_READ, &in);
    if (rc == 0)
        rc = disk_write(out, header.data, header.len, 0);
    if (rc == 0)
        rc = copy_bytes(in, cut->offset, out, header.len);
    if (rc < 0) {
        store_io_error(s, e, rc, "copy what is cut to", to);
        store_replace_abandon(s, to, out);
    } else {
        rc = store_replace_publish(s, to, out, e);
    }
    if (in)
        disk_close(in);
out:
    buf_close(&header);
    free(from);
    free(dir);
    free(to);
    return rc;
}

static int cut_log(struct store *s, const struct replacement *r, struct err *e)
{
    struct replaced_cut cut;
    int rc = replaced_find_cut(s, r->zxid, &cut, e);
    if (rc == 1 && cut.name)
        rc = store_cut_file(s, cut.name, cut.offset, e);
    free(cut.name);
    return rc < 0 ? rc : move_some(s, r, s->log_dir, LOG_PREFIX, is_behind, e);
}

/* ---- SNAP ---- */

/* What was received gets its name, unless it had that before a crash. */
static int name_incoming(struct store *s, const struct replacement *r, struct err *e)
{
    char *name = store_snapshot_name(SNAPSHOT_PREFIX, r->zxid);
    char *incoming = store_snapshot_name(INCOMING_PREFIX, r->zxid);
    char *from = store_path(s->data_dir, incoming), *to = store_path(s->data_dir, name);
    int rc = disk_link(s->disk, from, to);
    if (rc == 0 || rc == -EEXIST)
        rc = disk_sync_dir(s->disk, s->data_dir);
    if (rc == 0)
        rc = disk_unlink(s->disk, from);
    if (rc == 0)
        rc = disk_sync_dir(s->disk, s->data_dir);
    if (rc < 0)
        store_io_error(s, e, rc, "give its name to", from);
    free(name);
    free(incoming);
    free(from);
    free(to);
    return rc;
}

/* 1 if the tree waits under the name for what was received, 0 if not. */
static int incoming_is_there(struct store *s, const struct replacement *r, struct err *e)
{
    struct disk_stat st;
    char *name = store_snapshot_name(INCOMING_PREFIX, r->zxid);
    char *path = store_path(s->data_dir, name);
    int rc = disk_stat(s->disk, path, &st);
    if (rc < 0 && rc != -ENOENT)
        store_io_error(s, e, rc, "look at", path);
    free(name);
    free(path);
    return rc == -ENOENT ? 0 : rc < 0 ? rc : 1;
}

/* A snapshot of the zxid is the new one, unless there was another of that zxid and the new one
 * still waits. */
static int install_history(struct store *s, const struct replacement *r, struct err *e)
{
    int rc = incoming_is_there(s, r, e);
    if (rc < 0)
        return rc;
    bool waits = rc == 1, over = r->kind == REPLACEMENT_INSTALL_OVER;
    rc = move_some(s, r, s->log_dir, LOG_PREFIX, is_any, e);
    if (rc == 0)
        rc = move_some(s, r, s->data_dir, SNAPSHOT_PREFIX,
                       waits && over ? is_any : is_not_installed, e);
    return rc == 0 && waits ? name_incoming(s, r, e) : rc;
}

static int truncate_history(struct store *s, const struct replacement *r, struct err *e)
{
    int rc = move_some(s, r, s->data_dir, SNAPSHOT_PREFIX, is_behind, e);
    return rc == 0 ? cut_log(s, r, e) : rc;
}

static int finish(struct store *s, const struct replacement *r, struct err *e)
{
    int rc = r->kind == REPLACEMENT_TRUNCATE ? truncate_history(s, r, e) : install_history(s, r, e);
    return rc == 0 ? store_remove(s, s->data_dir, REPLACEMENT, e) : rc;
}

/* Before the old history goes: what comes instead must be good. */
static int check_incoming(struct store *s, const struct replacement *r, struct err *e)
{
    int rc = r->kind == REPLACEMENT_TRUNCATE ? 0 : incoming_is_there(s, r, e);
    if (rc != 1)
        return rc;
    char *name = store_snapshot_name(INCOMING_PREFIX, r->zxid);
    rc = snapshot_verify(s, name, e);
    free(name);
    return rc;
}

int replaced_finish(struct store *s, char *dir, struct err *e)
{
    struct replacement r;
    int rc = read_replacement(s, &r, e);
    if (rc != 1)
        return rc;
    snprintf(dir, REPLACED_NAME_MAX, "%s", r.dir);
    rc = check_incoming(s, &r, e);
    if (rc >= 0)
        rc = finish(s, &r, e);
    return rc < 0 ? rc : 1;
}

static bool is_begun(struct store *s)
{
    struct disk_stat st;
    char *path = store_path(s->data_dir, REPLACEMENT);
    int rc = disk_stat(s->disk, path, &st);
    free(path);
    return rc != -ENOENT;
}

/* Unless it was begun: take away what was made for it. */
static void abandon(struct store *s, const struct replacement *r)
{
    struct buf names = {0};
    if (is_begun(s))
        return;
    char *path = store_path(s->log_dir, r->dir);
    if (disk_list(s->disk, path, &names) == 0) {
        for (size_t i = 0; i < names.len; i += strlen((char *)names.data + i) + 1)
            store_remove(s, path, (char *)names.data + i, NULL);
    }
    disk_rmdir(s->disk, path);
    buf_close(&names);
    free(path);
}

int replaced_truncate(struct store *s, int64_t zxid, const struct replaced_cut *cut, char *dir,
                      struct err *e)
{
    struct replacement r = {.kind = REPLACEMENT_TRUNCATE, .zxid = zxid};
    int rc = choose_dir(s, &r, e);
    if (rc < 0)
        return rc;
    if (cut->name)
        rc = copy_tail(s, &r, cut, e);
    if (rc == 0)
        rc = write_replacement(s, &r, e);
    if (rc < 0) {
        abandon(s, &r);
        return rc;
    }
    snprintf(dir, REPLACED_NAME_MAX, "%s", r.dir);
    return finish(s, &r, e);
}

int replaced_install(struct store *s, int64_t zxid, char *dir, struct err *e)
{
    struct replacement r = {.kind = REPLACEMENT_INSTALL, .zxid = zxid};
    struct disk_stat st;
    char *name = store_snapshot_name(SNAPSHOT_PREFIX, zxid);
    char *path = store_path(s->data_dir, name);
    if (disk_stat(s->disk, path, &st) == 0)
        r.kind = REPLACEMENT_INSTALL_OVER;
    free(name);
    free(path);
    int rc = choose_dir(s, &r, e);
    if (rc == 0)
        rc = write_replacement(s, &r, e);
    if (rc < 0)
        return rc;
    snprintf(dir, REPLACED_NAME_MAX, "%s", r.dir);
    return finish(s, &r, e);
}
