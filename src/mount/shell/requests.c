/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What libfuse calls, as requests to the core. */
#include "shell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

enum {
    WRITE_MAX = 1 << 20,
};

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    /* Times and truncation are ours. Without ATOMIC_O_TRUNC the kernel asks for the truncation
     * of an open by itself, so that the committed size stays what others see. */
    conn->want &=
        ~(unsigned)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS_AUTO |
                    FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                    FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_IOCTL_DIR);
    conn->want |= conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_EXPLICIT_INVAL_DATA |
                                   FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_HANDLE_KILLPRIV);
    conn->max_write = WRITE_MAX;
    conn->max_background = 64;
    (void)userdata;
}

/* ---- Requests ---- */

static struct mount_request request_of(fuse_req_t req, enum mount_op op, fuse_ino_t ino,
                                       const struct fuse_file_info *fi)
{
    const struct shell *sh = fuse_req_userdata(req);
    pid_t pid = fuse_req_ctx(req)->pid;
    return (struct mount_request){.id = (uintptr_t)req,
                                  .op = op,
                                  .pid = pid,
                                  .injected = pid == atomic_load(&sh->child.pid),
                                  .ino = ino,
                                  .fh = fi ? fi->fh : 0,
                                  .open_flags = fi ? fi->flags : 0};
}

static void tell(fuse_req_t req, const struct mount_request *q)
{
    shell_request(fuse_req_userdata(req), q);
}

static void plain(fuse_req_t req, enum mount_op op, fuse_ino_t ino, const struct fuse_file_info *fi)
{
    struct mount_request q = request_of(req, op, ino, fi);
    tell(req, &q);
}

static void named(fuse_req_t req, enum mount_op op, fuse_ino_t parent, const char *name,
                  mode_t mode, const struct fuse_file_info *fi)
{
    struct mount_request q = request_of(req, op, parent, fi);
    q.name = name;
    q.mode = mode;
    tell(req, &q);
}

static void sized(fuse_req_t req, enum mount_op op, fuse_ino_t ino, const char *name, size_t size,
                  off_t off, const struct fuse_file_info *fi)
{
    struct mount_request q = request_of(req, op, ino, fi);
    q.name = name;
    q.size = size;
    q.offset = (uint64_t)off;
    tell(req, &q);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    named(req, MOUNT_LOOKUP, parent, name, 0, NULL);
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
    struct mount_request q = request_of(req, MOUNT_FORGET, ino, NULL);
    q.lookups = lookups;
    tell(req, &q);
    fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct mount_request q = request_of(req, MOUNT_FORGET, 0, NULL);
    struct mount_forget *list = mem_alloc(count * sizeof(*list));
    for (size_t i = 0; i < count; i++)
        list[i] = (struct mount_forget){forgets[i].ino, forgets[i].nlookup};
    q.forgets = list;
    q.n_forgets = count;
    tell(req, &q);
    free(list);
    fuse_reply_none(req);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    plain(req, MOUNT_GETATTR, ino, fi);
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
    struct mount_request q = request_of(req, MOUNT_SETATTR, ino, fi);
    q.set = (to_set & FUSE_SET_ATTR_MODE ? MOUNT_SET_MODE : 0) |
            (to_set & FUSE_SET_ATTR_SIZE ? MOUNT_SET_SIZE : 0) |
            (to_set & FUSE_SET_ATTR_MTIME_NOW ? MOUNT_SET_MTIME_NOW : 0);
    q.mode = attr->st_mode;
    q.size = (uint64_t)attr->st_size;
    tell(req, &q);
}

static void on_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
    struct mount_request q = request_of(req, MOUNT_ACCESS, ino, NULL);
    q.mask = mask;
    tell(req, &q);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
    plain(req, MOUNT_STATFS, ino, NULL);
}

static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    sized(req, MOUNT_GETXATTR, ino, name, size, 0, NULL);
}

static void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    sized(req, MOUNT_LISTXATTR, ino, NULL, size, 0, NULL);
}

static void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    plain(req, MOUNT_OPENDIR, ino, fi);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    sized(req, MOUNT_READDIR, ino, NULL, size, off, fi);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                           struct fuse_file_info *fi)
{
    sized(req, MOUNT_READDIRPLUS, ino, NULL, size, off, fi);
}

static void on_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    plain(req, MOUNT_RELEASEDIR, ino, fi);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    plain(req, MOUNT_OPEN, ino, fi);
}

static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    named(req, MOUNT_CREATE, parent, name, mode, fi);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    sized(req, MOUNT_READ, ino, NULL, size, off, fi);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    struct mount_request q = request_of(req, MOUNT_WRITE, ino, fi);
    q.data = slice_of(data, size);
    q.offset = (uint64_t)off;
    tell(req, &q);
}

static void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    plain(req, MOUNT_FLUSH, ino, fi);
}

static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    plain(req, MOUNT_RELEASE, ino, fi);
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    plain(req, MOUNT_FSYNC, ino, fi);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    named(req, MOUNT_MKDIR, parent, name, mode, NULL);
}

static void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    (void)rdev;
    named(req, MOUNT_MKNOD, parent, name, mode, NULL);
}

static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    named(req, MOUNT_UNLINK, parent, name, 0, NULL);
}

static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    named(req, MOUNT_RMDIR, parent, name, 0, NULL);
}

static void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    (void)target;
    named(req, MOUNT_SYMLINK, parent, name, 0, NULL);
}

static void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    (void)ino;
    named(req, MOUNT_LINK, parent, name, 0, NULL);
}

static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags)
{
    struct mount_request q = request_of(req, MOUNT_RENAME, parent, NULL);
    q.name = name;
    q.new_ino = new_parent;
    q.new_name = new_name;
    q.flags = flags;
    tell(req, &q);
}

/* A lock that other machines know nothing of is worse than none. */
static void on_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
    (void)ino;
    (void)fi;
    (void)lock;
    fuse_reply_err(req, ENOLCK);
}

static void on_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
                     int sleep)
{
    (void)ino;
    (void)fi;
    (void)sleep;
    fuse_reply_err(req, lock->l_type == F_UNLCK ? 0 : ENOLCK);
}

static void on_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, op & LOCK_UN ? 0 : ENOLCK);
}

static const struct fuse_lowlevel_ops ops = {
    .init = on_init,
    .lookup = on_lookup,
    .forget = on_forget,
    .forget_multi = on_forget_multi,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .access = on_access,
    .statfs = on_statfs,
    .getxattr = on_getxattr,
    .listxattr = on_listxattr,
    .opendir = on_opendir,
    .readdir = on_readdir,
    .readdirplus = on_readdirplus,
    .releasedir = on_releasedir,
    .open = on_open,
    .create = on_create,
    .read = on_read,
    .write = on_write,
    .flush = on_flush,
    .release = on_release,
    .fsync = on_fsync,
    .mkdir = on_mkdir,
    .mknod = on_mknod,
    .unlink = on_unlink,
    .rmdir = on_rmdir,
    .symlink = on_symlink,
    .link = on_link,
    .rename = on_rename,
};

struct fuse_lowlevel_ops shell_fuse_ops(const struct shell *sh)
{
    struct fuse_lowlevel_ops all = ops;
    if (sh->opt.local_locks)
        return all; /* the kernel keeps them */
    all.getlk = on_getlk;
    all.setlk = on_setlk;
    all.flock = on_flock;
    return all;
}
