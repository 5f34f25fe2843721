/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The FUSE session: mounted by libfuse, read by the loop. The descriptor does not block; a turn of
 * the loop takes a bounded number of requests, so that the servers' answers get their turn. */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum {
    REQUESTS_A_TURN = 32,
    WRITE_MAX = 1 << 20,
};

static void req_init(void *userdata, struct fuse_conn_info *conn)
{
    struct mount *m = userdata;
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
    (void)m;
}

static const struct fuse_lowlevel_ops ops = {
    .init = req_init,
    .lookup = req_lookup,
    .forget = req_forget,
    .forget_multi = req_forget_multi,
    .getattr = req_getattr,
    .setattr = req_setattr,
    .access = req_access,
    .statfs = req_statfs,
    .getxattr = req_getxattr,
    .listxattr = req_listxattr,
    .opendir = req_opendir,
    .readdir = req_readdir,
    .readdirplus = req_readdirplus,
    .releasedir = req_releasedir,
    .open = req_open,
    .create = req_create,
    .read = req_read,
    .write = req_write,
    .flush = req_flush,
    .release = req_release,
    .fsync = req_fsync,
    .mkdir = req_mkdir,
    .mknod = req_mknod,
    .unlink = req_unlink,
    .rmdir = req_rmdir,
    .symlink = req_symlink,
    .link = req_link,
    .rename = req_rename,
};

/* fsname is shown by mount(8); a comma in it would end the option. */
static void append_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == ',' || *text == '\\')
            buf_append(out, "\\", 1);
        buf_append(out, text, 1);
    }
}

int fuse_shell_mount(struct mount *m, struct err *e)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    const struct options *o = &m->opt;
    struct buf list = {0};
    buf_printf(&list,
               "nosuid,nodev,subtype=zabfs%s%s,fsname=", o->allow_other ? ",allow_other" : "",
               o->allow_other || o->default_permissions ? ",default_permissions" : "");
    append_escaped(&list, o->fsname ? o->fsname : o->source);
    buf_append(&list, "", 1);
    if (fuse_opt_add_arg(&args, "zabfs") != 0 || fuse_opt_add_arg(&args, "-o") != 0 ||
        fuse_opt_add_arg(&args, (char *)list.data) != 0)
        ensure_failed("fuse_opt_add_arg", __FILE__, __LINE__);
    m->session = fuse_session_new(&args, &ops, sizeof(ops), m);
    int rc = 0;
    if (!m->session) {
        rc = err_set(e, -EINVAL, "libfuse refuses the options '%s'", (char *)list.data);
    } else if (fuse_session_mount(m->session, o->mountpoint) != 0) {
        fuse_session_destroy(m->session);
        m->session = NULL;
        rc = err_set(e, -EIO,
                     "cannot mount on %s: see the line above; it must be an empty directory "
                     "of yours, and /dev/fuse and fusermount3 must be there",
                     o->mountpoint);
    }
    buf_close(&list);
    fuse_opt_free_args(&args);
    return rc;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct mount *m = poll->data;
    (void)events;
    int rc = status < 0 ? status : 1;
    for (int n = 0; n < REQUESTS_A_TURN && rc > 0; n++) {
        rc = fuse_session_receive_buf(m->session, &m->fuse_buf);
        if (rc > 0) {
            m->count.requests++;
            fuse_session_process_buf(m->session, &m->fuse_buf);
        }
    }
    if (rc == -EAGAIN || rc == -EINTR || (rc > 0 && !fuse_session_exited(m->session)))
        return;
    /* Unmounted by somebody. */
    uv_poll_stop(poll);
    mount_stop(m);
}

void fuse_shell_start(struct mount *m)
{
    int fd = fuse_session_fd(m->session);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    uv_poll_init(m->loop, &m->poll, fd);
    m->poll.data = m;
    uv_poll_start(&m->poll, UV_READABLE, on_readable);
}

void fuse_shell_unmount(struct mount *m)
{
    if (!m->session)
        return;
    uv_poll_stop(&m->poll);
    fuse_session_unmount(m->session);
}
