/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How often has the process that opened a file it open for writing now? Only /proc can tell: the
 * kernel sends a FLUSH for each descriptor that is closed, by whomever.
 *
 * Nothing on the mount is asked: statx without synchronisation takes what the kernel has. It costs
 * 10 us a descriptor, so that more than a few are looked at on a thread of the pool, and many not
 * at all. */
#include "shell.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
    DESCRIPTORS_NOW = 32,  /* so many are looked at on the loop's thread, */
    DESCRIPTORS_MAX = 512, /* and so many at all */
};

struct opener_look {
    uv_work_t work;
    struct shell *sh;
    pid_t pid;
    uint64_t ino;
    dev_t dev;
    struct mount_event seen;
};

/* The number behind `key` at the start of a line. */
static bool find_number(const char *text, const char *key, int base, uint64_t *value)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, strlen(key)) == 0) {
            *value = strtoull(line + strlen(key), NULL, base);
            return true;
        }
        if (*line == '\0')
            break;
    }
    return false;
}

/* The same near the beginning of a file; a negative errno if it cannot be opened. */
static int read_number(const char *path, const char *key, int base, uint64_t *value)
{
    char text[512];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t len = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[MAX(len, 0)] = '\0';
    return find_number(text, key, base, value);
}

/* 1 or 0; -1: we may not look. */
static int is_open_for_writing(pid_t pid, const char *fd)
{
    char path[320];
    uint64_t flags = O_RDONLY;
    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, fd);
    int rc = read_number(path, "flags:", 8, &flags);
    if (rc < 0)
        return rc == -ENOENT ? 0 : -1; /* closed meanwhile */
    return rc > 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH);
}

static int is_file(int dir, const char *fd, const struct opener_look *l)
{
    struct statx st;
    if (statx(dir, fd, AT_STATX_DONT_SYNC, STATX_INO, &st) != 0)
        return errno == EACCES || errno == EPERM ? -1 : 0;
    return st.stx_ino == l->ino && makedev(st.stx_dev_major, st.stx_dev_minor) == l->dev;
}

static DIR *open_descriptors(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    return pid > 0 ? opendir(path) : NULL;
}

/* Reading the directory makes an inode for each. Before Linux 6.2 it has no size, but for how many
 * there is room is known. */
static bool has_many(DIR *dir, pid_t pid)
{
    struct stat st;
    char path[64];
    uint64_t room = 0;
    if (fstat(dirfd(dir), &st) == 0 && st.st_size > 0)
        return st.st_size > DESCRIPTORS_MAX;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    read_number(path, "FDSize:", 10, &room);
    return room > DESCRIPTORS_MAX;
}

/* -1: there are more than `max`, or we may not look. */
static int count_in(DIR *dir, const struct opener_look *l, int max)
{
    int count = 0, n = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        if (n++ == max)
            return -1;
        int found = is_file(dirfd(dir), e->d_name, l);
        if (found > 0)
            found = is_open_for_writing(l->pid, e->d_name);
        if (found < 0)
            return -1;
        count += found;
    }
    return count;
}

/* Is `thread` one of the process that `pid` is a thread of? */
static enum mount_yes is_thread_of(pid_t pid, pid_t thread)
{
    char path[64];
    if (pid == thread)
        return MOUNT_YES;
    snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)pid, (int)thread);
    if (access(path, F_OK) == 0)
        return MOUNT_YES;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    return access(path, F_OK) == 0 ? MOUNT_NO : MOUNT_UNKNOWN;
}

static void on_pool(uv_work_t *work)
{
    struct opener_look *l = work->data;
    DIR *dir = open_descriptors(l->pid);
    if (dir)
        l->seen.opener.count = count_in(dir, l, DESCRIPTORS_MAX);
    if (dir)
        closedir(dir);
}

static void on_counted(uv_work_t *work, int status)
{
    struct opener_look *l = work->data;
    (void)status;
    shell_step(l->sh, &l->seen);
    free(l);
}

bool opener_look(struct shell *sh, const struct mount_effect *e, struct mount_event *seen)
{
    struct opener_look l = {.sh = sh, .pid = e->opener.pid, .ino = e->opener.ino, .dev = sh->dev};
    l.seen.type = MOUNT_OPENER_SEEN;
    l.seen.opener.id = e->opener.id;
    l.seen.opener.count = -1;
    l.seen.opener.own = is_thread_of(l.pid, e->opener.closer);
    for (unsigned i = 0; i < e->opener.n_others; i++) {
        if (is_thread_of(l.pid, e->opener.others[i]) == MOUNT_YES)
            l.seen.opener.same |= UINT32_C(1) << i;
    }
    DIR *dir = open_descriptors(l.pid);
    bool looks = dir && !has_many(dir, l.pid);
    if (looks)
        l.seen.opener.count = count_in(dir, &l, DESCRIPTORS_NOW);
    bool known = !looks || l.seen.opener.count >= 0;
    if (dir)
        closedir(dir);
    *seen = l.seen;
    if (known)
        return true;
    struct opener_look *later = mem_alloc(sizeof(*later));
    *later = l;
    later->work.data = later;
    if (uv_queue_work(sh->loop, &later->work, on_pool, on_counted) == 0)
        return false;
    free(later);
    return true;
}
