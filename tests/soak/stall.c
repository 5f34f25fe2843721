/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A disk that is slow or stands still, for tests: loaded by LD_PRELOAD, it holds up each fsync()
 * and fdatasync() for as many milliseconds as the file $ZAB_STALL says, and no longer than the file
 * is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t stall_ms(void)
{
    const char *name = getenv("ZAB_STALL");
    FILE *f = name ? fopen(name, "re") : NULL;
    if (!f)
        return 0;
    char line[32] = "";
    int64_t ms = fgets(line, sizeof(line), f) ? strtoll(line, NULL, 10) : 0;
    fclose(f);
    return ms;
}

static void stall(void)
{
    int64_t begin_ms = now_ms();
    while (now_ms() - begin_ms < stall_ms())
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static int call(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))(uintptr_t)dlsym(RTLD_NEXT, name);
    stall();
    return real(fd);
}

int fdatasync(int fd)
{
    return call("fdatasync", fd);
}

int fsync(int fd)
{
    return call("fsync", fd);
}
