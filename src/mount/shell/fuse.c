/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The FUSE session: mounted by libfuse, read by the loop. The descriptor does not block; a turn of
 * the loop takes a bounded number of requests, so that the servers' answers get their turn. */
#include "shell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum {
    REQUESTS_A_TURN = 32,
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

int fuse_shell_mount(struct shell *sh, struct err *e)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    const struct options *o = &sh->opt;
    struct buf list = {0};
    buf_printf(&list,
               "nosuid,nodev,subtype=zabfs%s%s,fsname=", o->allow_other ? ",allow_other" : "",
               o->allow_other || o->default_permissions ? ",default_permissions" : "");
    append_escaped(&list, o->fsname ? o->fsname : o->source);
    buf_append(&list, "", 1);
    if (fuse_opt_add_arg(&args, "zabfs") != 0 || fuse_opt_add_arg(&args, "-o") != 0 ||
        fuse_opt_add_arg(&args, (char *)list.data) != 0)
        ensure_failed("fuse_opt_add_arg", __FILE__, __LINE__);
    const struct fuse_lowlevel_ops ops = shell_fuse_ops(sh);
    sh->session = fuse_session_new(&args, &ops, sizeof(ops), sh);
    int rc = 0;
    if (!sh->session) {
        rc = err_set(e, -EINVAL, "libfuse refuses the options '%s'", (char *)list.data);
    } else if (fuse_session_mount(sh->session, o->mountpoint) != 0) {
        fuse_session_destroy(sh->session);
        sh->session = NULL;
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
    struct shell *sh = poll->data;
    (void)events;
    int rc = status < 0 ? status : 1;
    for (int n = 0; n < REQUESTS_A_TURN && rc > 0; n++) {
        rc = fuse_session_receive_buf(sh->session, &sh->fuse_buf);
        if (rc > 0)
            fuse_session_process_buf(sh->session, &sh->fuse_buf);
    }
    if (rc == -EAGAIN || rc == -EINTR || (rc > 0 && !fuse_session_exited(sh->session)))
        return;
    /* Unmounted by somebody. */
    uv_poll_stop(poll);
    shell_step(sh, &(struct mount_event){.type = MOUNT_STOP});
}

void fuse_shell_start(struct shell *sh)
{
    int fd = fuse_session_fd(sh->session);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    uv_poll_init(sh->loop, &sh->poll, fd);
    sh->poll.data = sh;
    uv_poll_start(&sh->poll, UV_READABLE, on_readable);
}

void fuse_shell_unmount(struct shell *sh)
{
    if (!sh->session)
        return;
    uv_poll_stop(&sh->poll);
    fuse_session_unmount(sh->session);
}
