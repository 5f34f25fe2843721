/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is in a data directory: read as a recovery reads it, but nothing is changed, and what is bad
 * is named and passed over. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "data.h"

struct file {
    char *name;
    int64_t zxid; /* in its name */
    int64_t bytes;
    int64_t first, last; /* a log's transactions */
    uint64_t n;          /* transactions, or nodes */
    char *fault;         /* NULL: it can be read */
};

struct files {
    struct file *list;
    size_t n;
};

/* ---- Listing ---- */

static int64_t size_of(struct data *d, const char *dir, const char *name)
{
    char path[4096];
    struct stat st;
    (void)d;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static int compare(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    return (x->zxid > y->zxid) - (x->zxid < y->zxid);
}

static void list(struct data *d, const char *dir, const char *prefix, struct files *out)
{
    struct buf names = {0};
    size_t len = strlen(prefix);
    *out = (struct files){0};
    disk_list(d->store.disk, dir, &names);
    for (size_t i = 0; i < names.len; i += strlen((char *)names.data + i) + 1) {
        const char *name = (char *)names.data + i;
        char *end;
        if (strncmp(name, prefix, len) != 0 || !name[len])
            continue;
        uint64_t zxid = strtoull(name + len, &end, 16);
        if (zxid > INT64_MAX || (*end != '\0' && *end != '.') || strcmp(end, ".tmp") == 0)
            continue;
        out->list = mem_realloc(out->list, (out->n + 1) * sizeof(*out->list));
        out->list[out->n++] = (struct file){.name = mem_strdup(name),
                                            .zxid = (int64_t)zxid,
                                            .bytes = size_of(d, dir, name),
                                            .first = -1,
                                            .last = -1};
    }
    if (out->n > 0)
        qsort(out->list, out->n, sizeof(*out->list), compare);
    buf_close(&names);
}

static void files_close(struct files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->list[i].name);
        free(f->list[i].fault);
    }
    free(f->list);
}

/* ---- Reading ---- */

static void verify_snapshots(struct data *d, struct files *snapshots)
{
    for (size_t i = 0; i < snapshots->n; i++) {
        struct file *f = &snapshots->list[i];
        struct err e;
        struct tree *t = tree_open((uint64_t)time(NULL));
        if (snapshot_load(&d->store, f->name, t, &e) == 0)
            f->n = tree_count(t);
        else
            f->fault = mem_strdup(e.text);
        tree_close(t);
    }
}

/* The file that has `zxid`, at `*at` or behind it. */
static struct file *file_of(struct files *logs, size_t *at, int64_t zxid)
{
    while (*at + 1 < logs->n && logs->list[*at + 1].zxid <= zxid)
        ++*at;
    return &logs->list[*at];
}

static void read_logs(struct data *d, struct files *logs)
{
    struct txnlog_reader *r;
    struct slice txn;
    struct err e;
    size_t at = 0;
    if (logs->n == 0)
        return;
    int rc = txnlog_read(&d->store, -1, &r, &e);
    if (rc == 0) {
        while ((rc = txnlog_reader_next(r, &txn, &e)) == 1) {
            int64_t zxid = txn_zxid(txn.data);
            struct file *f = file_of(logs, &at, zxid);
            f->first = f->n++ == 0 ? zxid : f->first;
            f->last = zxid;
        }
        txnlog_reader_close(r);
    }
    if (rc < 0)
        logs->list[at].fault = mem_strdup(e.text);
}

/* Where a recovery would end, if it can; else -1. */
static int64_t end_of_history(const struct files *snapshots, const struct files *logs)
{
    int64_t last = -1;
    for (size_t i = 0; i < snapshots->n; i++) {
        if (!snapshots->list[i].fault)
            last = snapshots->list[i].zxid;
    }
    for (size_t i = 0; i < logs->n; i++) {
        if (logs->list[i].fault)
            return -1;
        last = last >= 0 ? MAX(last, logs->list[i].last) : last;
    }
    return last;
}

/* ---- Printing ---- */

static void print_files(const char *title, const char *what, const struct files *f)
{
    printf("%s:\n", title);
    if (f->n == 0)
        puts("  none");
    for (size_t i = 0; i < f->n; i++) {
        const struct file *x = &f->list[i];
        printf("  %-28s %12" PRId64 " bytes  ", x->name, x->bytes);
        if (x->first >= 0)
            printf("0x%" PRIx64 " to 0x%" PRIx64 ", ", (uint64_t)x->first, (uint64_t)x->last);
        printf("%" PRIu64 " %s", x->n, what);
        if (x->fault)
            printf("; DAMAGED: %s", x->fault);
        putchar('\n');
    }
}

/* The directories that were set aside, a name after the other. */
static void list_aside(struct data *d, struct buf *out)
{
    struct buf names = {0};
    disk_list(d->store.disk, d->store.data_dir, &names);
    for (size_t i = 0; i < names.len; i += strlen((char *)names.data + i) + 1) {
        const char *name = (char *)names.data + i;
        if (strncmp(name, "replaced-", 9) == 0)
            buf_append(out, name, strlen(name) + 1);
    }
    buf_close(&names);
}

static void read_myid(const struct data *d, char *text, size_t size)
{
    char path[4096];
    text[0] = '\0';
    snprintf(path, sizeof(path), "%s/myid", d->dir);
    FILE *f = fopen(path, "re");
    if (f && !fgets(text, (int)size, f))
        text[0] = '\0';
    if (f)
        fclose(f);
    for (size_t i = 0; text[i]; i++) {
        if (text[i] < ' ')
            text[i] = '\0';
    }
}

static void print_number(const char *name, int64_t value)
{
    if (strcmp(name, "decidedZxid") == 0)
        printf("%s: 0x%" PRIx64 "\n", name, (uint64_t)value);
    else
        printf("%s: %" PRId64 "\n", name, value);
}

static void print_text(struct data *d, bool in_use, const struct files *snapshots,
                       const struct files *logs, int64_t last, const struct buf *aside)
{
    char myid[32];
    int64_t value;
    printf("%s%s\n", d->store.data_dir, in_use ? ", in use by a zabd" : "");
    read_myid(d, myid, sizeof(myid));
    if (myid[0])
        printf("myid: %s\n", myid);
    for (size_t i = 0; i < DATA_NUMBERS; i++) {
        if (data_number(d, data_numbers[i], &value))
            print_number(data_numbers[i], value);
    }
    print_files("snapshots", "nodes", snapshots);
    print_files("logs", "transactions", logs);
    if (aside->len > 0)
        puts("set aside:");
    for (size_t i = 0; i < aside->len; i += strlen((char *)aside->data + i) + 1)
        printf("  %s\n", (char *)aside->data + i);
    if (last >= 0)
        printf("the history ends at zxid 0x%" PRIx64 "\n", (uint64_t)last);
    else
        puts(snapshots->n + logs->n > 0 ? "the history cannot be read" : "there is no history");
}

static json_t *json_zxid(int64_t zxid)
{
    char text[32];
    snprintf(text, sizeof(text), "0x%" PRIx64, (uint64_t)zxid);
    return zxid >= 0 ? json_string(text) : json_null();
}

static json_t *json_files(const struct files *f, const char *what)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->n; i++) {
        const struct file *x = &f->list[i];
        json_t *o =
            json_pack("{s:s, s:I, s:I, s:o, s:s*}", "name", x->name, "bytes", (json_int_t)x->bytes,
                      what, (json_int_t)x->n, "zxid", json_zxid(x->zxid), "fault", x->fault);
        if (x->first >= 0) {
            json_object_set_new(o, "first", json_zxid(x->first));
            json_object_set_new(o, "last", json_zxid(x->last));
        }
        json_array_append_new(list, o);
    }
    return list;
}

static void print_json(struct data *d, bool in_use, const struct files *snapshots,
                       const struct files *logs, int64_t last, const struct buf *aside)
{
    char myid[32], text[32];
    int64_t value;
    json_t *names = json_array();
    for (size_t i = 0; i < aside->len; i += strlen((char *)aside->data + i) + 1)
        json_array_append_new(names, json_string((char *)aside->data + i));
    read_myid(d, myid, sizeof(myid));
    json_t *o = json_pack("{s:s, s:b, s:s*, s:o, s:o, s:o, s:o}", "dir", d->store.data_dir, "inUse",
                          in_use, "myid", myid[0] ? myid : NULL, "snapshots",
                          json_files(snapshots, "nodes"), "logs", json_files(logs, "transactions"),
                          "replaced", names, "lastZxid", json_zxid(last));
    for (size_t i = 0; i < DATA_NUMBERS; i++) {
        if (!data_number(d, data_numbers[i], &value))
            continue;
        snprintf(text, sizeof(text), "%" PRId64, value);
        json_object_set_new(o, data_numbers[i], json_string(text));
    }
    cli_json_print(o);
}

int data_show(struct cli *cli, struct data *d, bool in_use)
{
    struct files snapshots, logs;
    struct buf aside = {0};
    list(d, d->store.data_dir, "snapshot.", &snapshots);
    list(d, d->store.log_dir, "log.", &logs);
    list_aside(d, &aside);
    verify_snapshots(d, &snapshots);
    read_logs(d, &logs);
    int64_t last = end_of_history(&snapshots, &logs);
    bool empty = snapshots.n + logs.n == 0;
    (cli->json ? print_json : print_text)(d, in_use, &snapshots, &logs, last, &aside);
    files_close(&snapshots);
    files_close(&logs);
    buf_close(&aside);
    return last >= 0 || empty ? CLI_OK : CLI_FAILED;
}
