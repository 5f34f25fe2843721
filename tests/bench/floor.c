/* SPDX-License-Identifier: GPL-3.0-or-later */
/* floor DIR: what no durable server can be faster than on this machine: the median of one
 * fdatasync behind a small write into a preallocated file in DIR, and of one round trip over
 * loopback TCP between two processes. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    TIMES = 2000,
    ENTRY = 170, /* bytes of a setData of 100 bytes in the log */
    PREALLOCATED = 4 << 20,
};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double us[TIMES])
{
    qsort(us, TIMES, sizeof(*us), compare);
    return us[TIMES / 2];
}

static double sync_us(const char *dir)
{
    static char zeros[PREALLOCATED];
    static double us[TIMES];
    char path[4096], entry[ENTRY];
    memset(entry, 'x', sizeof(entry));
    snprintf(path, sizeof(path), "%s/floor.%d", dir, (int)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        die(path);
    unlink(path);
    if (write(fd, zeros, sizeof(zeros)) != sizeof(zeros) || fsync(fd) != 0)
        die(path);
    for (int i = 0; i < TIMES; i++) {
        double start = now_us();
        if (pwrite(fd, entry, ENTRY, (off_t)i * ENTRY) != ENTRY || fdatasync(fd) != 0)
            die(path);
        us[i] = now_us() - start;
    }
    close(fd);
    return median(us);
}

/* Send back what comes, until the other side closes. */
static void echo(int listener)
{
    char bytes[ENTRY];
    int on = 1, fd = accept(listener, NULL, NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (ssize_t n; (n = read(fd, bytes, sizeof(bytes))) > 0;) {
        if (write(fd, bytes, (size_t)n) != n)
            break;
    }
    _exit(0);
}

static double round_trip_us(void)
{
    static double us[TIMES];
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    char bytes[ENTRY] = {0};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || bind(listener, (struct sockaddr *)&sin, len) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&sin, &len) != 0)
        die("listen");
    if (fork() == 0)
        echo(listener);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sin, len) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (int i = 0; i < TIMES; i++) {
        double start = now_us();
        if (write(fd, bytes, ENTRY) != ENTRY || recv(fd, bytes, ENTRY, MSG_WAITALL) != ENTRY)
            die("round trip");
        us[i] = now_us() - start;
    }
    close(fd);
    return median(us);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: floor DIR\n");
        return 2;
    }
    printf("fdatasync_us=%.1f ", sync_us(argv[1]));
    printf("round_trip_us=%.1f\n", round_trip_us());
    return 0;
}
