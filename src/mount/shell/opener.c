/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Has the process that opened a file let go of it? Only /proc can tell: the kernel sends a FLUSH
 * for each descriptor that is closed, by whomever. fdinfo names the inode's number, so that
 * nothing on the mount itself is touched. */
#include "shell.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    DESCRIPTORS_MAX = 4096, /* to look at, while the loop waits */
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

/* 1 if this descriptor is on the inode, open for writing; -1 if the kernel does not say. */
static int is_file(int dir, const char *fd, uint64_t ino)
{
    char text[512];
    int info = openat(dir, fd, O_RDONLY | O_CLOEXEC);
    if (info < 0)
        return 0; /* closed meanwhile */
    ssize_t len = read(info, text, sizeof(text) - 1);
    close(info);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    uint64_t number, flags;
    if (!find_number(text, "ino:", 10, &number) || !find_number(text, "flags:", 8, &flags))
        return -1;
    return number == ino && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH);
}

int opener_count(pid_t opener, uint64_t ino)
{
    char path[64];
    if (opener <= 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)opener);
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    int count = 0;
    int n = 0;
    for (struct dirent *e; count == 0 && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        count = ++n > DESCRIPTORS_MAX ? -1 : is_file(dirfd(dir), e->d_name, ino);
    }
    closedir(dir);
    return count;
}
