/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The process that makes the injector's system calls.
 *
 * It is a process, not a thread, because it must not have /dev/fuse open: a system call on the
 * mount cannot be killed once its request was read. If zabfs is killed, its descriptor closes, the
 * kernel fails the call with ENOTCONN, and no dead mount stays. */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHILD_FD = 3, /* its only descriptor besides the standard ones */
};

/* The root of the mount, held for the time of one call: names are looked up from there, so that
 * when the mount is gone nothing happens to what is below its mount point. `dev`: of our mount, 0
 * while that is not known. */
static int open_root(const char *mountpoint, dev_t dev)
{
    struct statx st;
    int root = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || dev == 0)
        return root;
    int rc = statx(root, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st);
    if (rc == 0 && makedev(st.stx_dev_major, st.stx_dev_minor) == dev)
        return root;
    close(root);
    errno = ENOTCONN;
    return -1;
}

static int rewrite(int root, const char *path, int64_t size)
{
    int fd = openat(root, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -1;
    int rc = size < 0 ? 0 : ftruncate(fd, size);
    close(fd);
    return rc;
}

static int probe(const char *mountpoint, dev_t *dev)
{
    struct statvfs vfs;
    struct stat st;
    int rc = statvfs(mountpoint, &vfs);
    if (rc == 0 && stat(mountpoint, &st) == 0)
        *dev = st.st_dev;
    return rc;
}

static int perform(int root, const struct inject_call *call, const char *path, const char *from)
{
    switch (call->kind) {
    case MOUNT_INJECT_CREATE:
        return call->is_dir ? mkdirat(root, path, 0777) : mknodat(root, path, S_IFREG | 0666, 0);
    case MOUNT_INJECT_DELETE:
        return unlinkat(root, path, call->is_dir ? AT_REMOVEDIR : 0);
    case MOUNT_INJECT_DATA:
        return rewrite(root, path, call->size);
    case MOUNT_INJECT_ATTRIB:
        return utimensat(root, path, NULL, AT_SYMLINK_NOFOLLOW);
    case MOUNT_INJECT_RENAME:
        return renameat(root, from, root, path);
    case MOUNT_INJECT_PROBE:
        break;
    }
    errno = EINVAL;
    return -1;
}

/* Below the root; "." is the root. */
static const char *below(const char *mountpoint, const char *path)
{
    size_t len = strlen(mountpoint);
    path += strncmp(path, mountpoint, len) == 0 ? len : 0;
    while (*path == '/')
        path++;
    return *path ? path : ".";
}

static int call_one(const struct inject_call *call, const char *mountpoint, const char *path,
                    const char *from, dev_t *dev)
{
    if (call->kind == MOUNT_INJECT_PROBE)
        return probe(mountpoint, dev);
    int root = open_root(mountpoint, *dev);
    if (root < 0)
        return -1;
    int rc = perform(root, call, below(mountpoint, path), below(mountpoint, from));
    int saved = errno;
    close(root);
    errno = saved;
    return rc;
}

/* Is this still our mount: the same device at the same place? */
static bool is_mounted(const char *mountpoint, dev_t dev)
{
    char *line = NULL;
    size_t cap = 0;
    bool found = false;
    FILE *f = fopen("/proc/self/mountinfo", "re");
    while (f && !found && getline(&line, &cap, f) > 0) {
        unsigned a, b;
        found = sscanf(line, "%*d %*d %u:%u", &a, &b) == 2 && makedev(a, b) == dev &&
                strstr(line, " fuse.zabfs ") && strstr(line, mountpoint);
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* zabfs ended without unmounting. fusermount3's auto_unmount would give up where a process is still
 * in the mount, and would take the next mount of the same place for this one. So does a device's
 * number, which is used again: a mount that answers is another. */
static void clean_up(const char *mountpoint, dev_t dev)
{
    struct statvfs st;
    if (dev == 0 || !is_mounted(mountpoint, dev) || statvfs(mountpoint, &st) == 0 ||
        errno != ENOTCONN || umount2(mountpoint, MNT_DETACH) == 0)
        return;
    execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", mountpoint, (char *)NULL);
}

static _Noreturn void child_main(int fd, const char *mountpoint, bool auto_unmount)
{
    dev_t dev = 0;
    static char packet[INJECT_PACKET_MAX];
    /* The end comes with the end of the socket. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    setsid();
    /* Whoever reads the output of zabfs must not wait for this process. */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || chdir("/") < 0)
        _exit(1);
    for (int std = STDIN_FILENO; std <= STDERR_FILENO; std++)
        dup2(null, std);
    umask(0);
    for (;;) {
        struct inject_call call;
        ssize_t len = recv(fd, packet, sizeof(packet), 0);
        if (len <= (ssize_t)sizeof(call))
            break;
        memcpy(&call, packet, sizeof(call));
        const char *path = packet + sizeof(call);
        const char *from = path + strlen(path) + 1;
        int32_t rc = call_one(&call, mountpoint, path, from, &dev) < 0 ? -errno : 0;
        if (send(fd, &rc, sizeof(rc), MSG_NOSIGNAL) < 0)
            break;
    }
    if (auto_unmount)
        clean_up(mountpoint, dev);
    _exit(0);
}

int inject_child_start(struct inject_child *child, const char *mountpoint, bool auto_unmount)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        /* Above all not /dev/fuse, which is there when the mount is. */
        if (fds[1] != CHILD_FD)
            dup2(fds[1], CHILD_FD);
        close_range(CHILD_FD + 1, ~0U, 0);
        child_main(CHILD_FD, mountpoint, auto_unmount);
    }
    close(fds[1]);
    child->fd = fds[0];
    atomic_store(&child->pid, pid);
    return pid < 0 ? -errno : 0;
}

void inject_child_end(struct inject_child *child)
{
    pid_t pid = atomic_load(&child->pid);
    close(child->fd);
    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int inject_child_call(struct inject_child *child, const struct inject_call *call, const char *path,
                      const char *from)
{
    struct buf packet = {0};
    int32_t rc = -EPIPE;
    buf_append(&packet, call, sizeof(*call));
    buf_append(&packet, path, strlen(path) + 1);
    buf_append(&packet, from ? from : "", from ? strlen(from) + 1 : 1);
    if (packet.len > INJECT_PACKET_MAX)
        rc = -ENAMETOOLONG;
    else if (send(child->fd, packet.data, packet.len, MSG_NOSIGNAL) < 0 ||
             recv(child->fd, &rc, sizeof(rc), 0) != sizeof(rc))
        rc = -EPIPE;
    buf_close(&packet);
    return rc;
}
