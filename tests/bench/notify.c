/* SPDX-License-Identifier: GPL-3.0-or-later */
/* notify HOST:PORT DIR [-n changes]: changes made at the server, as a watcher of the mount DIR
 * sees them by inotify.
 *
 * First one change at a time: how long from sending it to its event. Then -n changes of 100 files
 * as fast as the server takes them, while the watcher reads each file that an event names, as a
 * program that reloads its configuration does. A final state is lost if the last thing that the
 * watcher read of a file is not what was written last. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "zk_conn.h"

enum {
    FILES = 100,
    SINGLE_CHANGES = 300,
    OUTSTANDING = 16,
    EVENT_WAIT_MS = 5000, /* an event that takes longer counts as lost */
    QUIET_MS = 3000,      /* no more events after so long */
    PATH_SIZE = 4096,
};

struct watch {
    struct zk_loop loop;
    struct zk_conn conn;
    const char *dir;
    int inotify;
    int wds[FILES];
    unsigned long written[FILES]; /* the number that was written last */
    unsigned long seen[FILES];    /* that was read last */
    bool fired[FILES];
    unsigned long n_events;
};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void file_path(const struct watch *w, unsigned i, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/notify/f%u", w->dir, i);
}

static void change(struct watch *w, unsigned i, unsigned long number)
{
    char path[64], text[32];
    snprintf(path, sizeof(path), "/notify/f%u", i);
    snprintf(text, sizeof(text), "%lu\n", number);
    w->written[i] = number;
    zk_conn_set(&w->conn, path, slice_str(text));
    zk_conn_flush(&w->loop, &w->conn);
}

static void make_files(struct watch *w)
{
    char path[64];
    zk_conn_create(&w->conn, "/notify", SLICE_NULL);
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(path, sizeof(path), "/notify/f%u", i);
        zk_conn_create(&w->conn, path, slice_str("0\n"));
    }
    zk_conn_finish(&w->loop, &w->conn);
}

/* The mount hears of a file a moment after the server has it. */
static void watch_files(struct watch *w)
{
    char path[PATH_SIZE];
    uint64_t end = now_us() + EVENT_WAIT_MS * 1000;
    w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    for (unsigned i = 0; i < FILES; i++) {
        file_path(w, i, path);
        while (access(path, R_OK) != 0 && now_us() < end)
            usleep(1000);
        w->wds[i] = inotify_add_watch(w->inotify, path, IN_MODIFY);
        if (w->wds[i] < 0)
            die(path);
    }
}

static void take_event(struct watch *w, const struct inotify_event *ev)
{
    if (ev->mask & IN_Q_OVERFLOW) {
        fprintf(stderr, "notify: the queue of events overflowed\n");
        exit(1);
    }
    for (unsigned i = 0; i < FILES; i++) {
        if (w->wds[i] == ev->wd && ev->mask & IN_MODIFY) {
            w->fired[i] = true;
            w->n_events++;
        }
    }
}

/* Take in events; false if none came in time. */
static bool wait_events(struct watch *w, int timeout_ms)
{
    _Alignas(struct inotify_event) char bytes[64 << 10];
    struct pollfd fd = {w->inotify, POLLIN, 0};
    if (poll(&fd, 1, timeout_ms) <= 0)
        return false;
    ssize_t n = read(w->inotify, bytes, sizeof(bytes));
    if (n < 0)
        die("inotify");
    for (char *p = bytes; p < bytes + n;) {
        const struct inotify_event *ev = (const struct inotify_event *)p;
        take_event(w, ev);
        p += sizeof(*ev) + ev->len;
    }
    return true;
}

static void read_fired(struct watch *w)
{
    char path[PATH_SIZE], text[64];
    for (unsigned i = 0; i < FILES; i++) {
        if (!w->fired[i])
            continue;
        w->fired[i] = false;
        file_path(w, i, path);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n < 0)
            die(path);
        close(fd);
        text[n] = '\0';
        w->seen[i] = strtoul(text, NULL, 10);
    }
}

/* ---- One at a time ---- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure_latency(struct watch *w)
{
    uint64_t us[SINGLE_CHANGES];
    unsigned n = 0;
    for (unsigned long k = 1; k <= SINGLE_CHANGES; k++) {
        unsigned i = (unsigned)(k % FILES);
        uint64_t start = now_us();
        change(w, i, k);
        while (!w->fired[i] && wait_events(w, EVENT_WAIT_MS))
            continue;
        if (w->fired[i])
            us[n++] = now_us() - start;
        zk_conn_finish(&w->loop, &w->conn);
        read_fired(w);
    }
    qsort(us, n, sizeof(*us), compare);
    printf("changes=%d events=%u p50_ms=%.3f p99_ms=%.3f ", SINGLE_CHANGES, n,
           n ? (double)us[n / 2] / 1e3 : -1, n ? (double)us[n * 99 / 100] / 1e3 : -1);
}

/* ---- A storm ---- */

static void measure_storm(struct watch *w, unsigned long changes)
{
    unsigned lost = 0;
    w->n_events = 0;
    for (unsigned long k = 0; k < changes; k++) {
        change(w, (unsigned)(k % FILES), SINGLE_CHANGES + 1 + k);
        while (w->conn.outstanding >= OUTSTANDING)
            zk_loop_poll(&w->loop, 100);
        if (wait_events(w, 0))
            read_fired(w);
    }
    zk_conn_finish(&w->loop, &w->conn);
    while (wait_events(w, QUIET_MS))
        read_fired(w);
    for (unsigned i = 0; i < FILES; i++)
        lost += w->seen[i] != w->written[i];
    printf("storm_changes=%lu storm_events=%lu lost=%u\n", changes, w->n_events, lost);
}

int main(int argc, char **argv)
{
    static struct watch w;
    unsigned long changes = 10000;
    optind = 3;
    for (int o; argc > 2 && (o = getopt(argc, argv, "n:")) > 0;)
        changes = o == 'n' ? strtoul(optarg, NULL, 10) : 0;
    if (argc < 3 || changes == 0) {
        fprintf(stderr, "usage: notify HOST:PORT DIR [-n changes]\n");
        return 2;
    }
    w.dir = argv[2];
    zk_loop_init(&w.loop);
    zk_conn_open(&w.loop, &w.conn, argv[1]);
    while (!w.conn.has_session)
        zk_loop_poll(&w.loop, 100);
    make_files(&w);
    watch_files(&w);
    measure_latency(&w);
    measure_storm(&w, changes);
    return 0;
}
