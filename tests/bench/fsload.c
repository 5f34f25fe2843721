/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fsload DIR MODE [-k files] [-d seconds] [-s bytes] [-f descriptors]: small files, one after the
 * other, with the system calls of a shell; one line of figures, name=value. SIGTERM ends it before
 * its time. With -f the process has so many other descriptors.
 *
 *     read    open, read, close
 *     stat
 *     ls      read the directory
 *     write   open and truncate, write, close: echo > FILE
 *     create  the same with a new file each time */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "zab/buf.h"
#include "zab/rng.h"

struct load {
    const char *dir;
    unsigned files;
    double seconds;
    size_t size;
    uint8_t *value;
    struct rng rng;
    unsigned long created;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void write_file(const struct load *l, const char *path, int flags)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
    if (fd < 0 || write(fd, l->value, l->size) != (ssize_t)l->size || close(fd) != 0) {
        perror(path);
        exit(1);
    }
}

static void do_read(struct load *l, const char *path)
{
    char bytes[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, bytes, sizeof(bytes)) != (ssize_t)l->size || close(fd) != 0) {
        perror(path);
        exit(1);
    }
}

static void do_stat(struct load *l, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || st.st_size != (off_t)l->size) {
        perror(path);
        exit(1);
    }
}

static void do_ls(struct load *l, const char *path)
{
    unsigned n = 0;
    (void)path;
    DIR *d = opendir(l->dir);
    while (d && readdir(d))
        n++;
    if (!d || n < l->files) {
        perror(l->dir);
        exit(1);
    }
    closedir(d);
}

static void do_write(struct load *l, const char *path)
{
    write_file(l, path, O_CREAT | O_TRUNC);
}

static void do_create(struct load *l, const char *path)
{
    char name[4096];
    snprintf(name, sizeof(name), "%s.%d.%lu", path, (int)getpid(), l->created++);
    write_file(l, name, O_CREAT | O_TRUNC);
}

static const struct {
    const char *name;
    void (*run)(struct load *l, const char *path);
} modes[] = {
    {"read", do_read}, {"stat", do_stat}, {"ls", do_ls}, {"write", do_write}, {"create", do_create},
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void file_path(const struct load *l, unsigned i, char path[2048])
{
    snprintf(path, 2048, "%s/k%u", l->dir, i);
}

static void make_files(const struct load *l)
{
    char path[2048];
    mkdir(l->dir, 0755);
    for (unsigned i = 0; i < l->files; i++) {
        file_path(l, i, path);
        write_file(l, path, O_CREAT | O_TRUNC);
    }
}

static void run(struct load *l, size_t mode)
{
    uint64_t *took = NULL, start = now_ns(), now = start;
    size_t n = 0, cap = 0;
    char path[2048];
    while (!interrupted && now - start < (uint64_t)(l->seconds * 1e9)) {
        if (n == cap) {
            cap = MAX(cap * 2, 1u << 16);
            took = mem_realloc(took, cap * sizeof(*took));
        }
        file_path(l, (unsigned)rng_below(&l->rng, l->files), path);
        uint64_t before = now_ns();
        modes[mode].run(l, path);
        now = now_ns();
        took[n++] = now - before;
    }
    qsort(took, n, sizeof(*took), compare);
    printf("ops=%zu ops_per_s=%.0f p50_us=%.2f p99_us=%.2f worst_us=%.2f\n", n,
           (double)n / ((double)(now - start) / 1e9), (double)took[n / 2] / 1e3,
           (double)took[n * 99 / 100] / 1e3, (double)took[n - 1] / 1e3);
    free(took);
}

static void open_others(unsigned n)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (; n > 0; n--) {
        if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) {
            perror("/dev/null");
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    struct load l = {.files = 100, .seconds = 3, .size = 100};
    size_t mode = 0;
    while (argc > 2 && mode < ARRAY_LEN(modes) && strcmp(argv[2], modes[mode].name) != 0)
        mode++;
    optind = 3;
    for (int o; argc > 2 && (o = getopt(argc, argv, "k:d:s:f:")) > 0;) {
        if (o == 'k')
            l.files = (unsigned)atoi(optarg);
        else if (o == 'd')
            l.seconds = atof(optarg);
        else if (o == 's')
            l.size = (size_t)atol(optarg);
        else if (o == 'f')
            open_others((unsigned)atoi(optarg));
        else
            mode = ARRAY_LEN(modes);
    }
    if (argc < 3 || mode == ARRAY_LEN(modes) || l.files == 0 || l.size > 4000) {
        fprintf(stderr, "usage: fsload DIR read|stat|ls|write|create [-k files] [-d seconds] "
                        "[-s bytes] [-f descriptors]\n");
        return 2;
    }
    l.dir = argv[1];
    l.value = mem_alloc(l.size);
    memset(l.value, 'x', l.size);
    signal(SIGTERM, on_signal);
    make_files(&l);
    run(&l, mode);
    free(l.value);
    return 0;
}
