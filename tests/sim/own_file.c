/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file that only one process and its children write to: what it reads, and what is in the tree
 * behind its close, must be what POSIX says. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { OWN_MAX = 300 };

struct own {
    struct program *g;
    char path[48];
    int fd;
    struct buf must; /* what the file is */
    int64_t pos;
    bool append, lost; /* an error came: nothing is known any more */
    bool too_large;    /* a write did not fit, so that the close must fail */
};

static bool fails(struct own *o, const char *what, int64_t rc)
{
    if (rc >= 0)
        return false;
    (void)what;
    o->lost = true;
    return true;
}

static void own_write(struct own *o)
{
    struct world *w = o->g->m->w;
    struct call c = {.type = CALL_WRITE, .fd = o->fd, .offset = -1};
    buf_printf(&c.data, "%" PRIu64 "#", ++w->n_tokens);
    size_t at = o->append ? o->must.len : (size_t)o->pos, end = at + c.data.len;
    int64_t rc = sys(o->g->p, &c);
    if (!fails(o, "write", rc)) {
        if ((size_t)rc != c.data.len)
            o->lost = true;
        if (end > o->must.len) {
            size_t before = o->must.len;
            buf_extend(&o->must, end - before);
            if (at > before)
                memset(o->must.data + before, 0, at - before);
        }
        memcpy(o->must.data + at, c.data.data, c.data.len);
        o->pos = (int64_t)end;
    }
    call_end(&c);
}

static _Noreturn void fail_own(struct own *o, const char *what, struct slice is)
{
    sim_fail(o->g->m->w, SIM_BROKEN, "%s: /%s: %s gives '%.*s' (%d), and must give '%.*s' (%zu)",
             o->g->m->kernel->name, o->path, what, SLICE_ARG(is), (int)is.len, (int)o->must.len,
             (char *)o->must.data, o->must.len);
}

static void own_read(struct own *o)
{
    struct world *w = o->g->m->w;
    struct call c = {.type = CALL_READ, .fd = o->fd, .size = OWN_MAX * 2};
    c.offset = between(w, 0, (int64_t)o->must.len);
    int64_t rc = sys(o->g->p, &c);
    size_t left = o->must.len - (size_t)c.offset;
    cover_mount(MOUNT_POINT_check_draft);
    if (!fails(o, "read", rc) && checks(w, MOUNT_CHECK_draft) &&
        !slice_eq(buf_slice(&c.data),
                  slice_of(o->must.data ? o->must.data + c.offset : (uint8_t *)"", left)))
        fail_own(o, "reading the draft", buf_slice(&c.data));
    call_end(&c);
}

static void own_seek(struct own *o)
{
    struct world *w = o->g->m->w;
    struct call c = {.type = CALL_LSEEK, .fd = o->fd};
    c.whence = chance(w, 2) ? SEEK_END : SEEK_SET;
    c.offset = c.whence == SEEK_END ? 0 : between(w, 0, (int64_t)o->must.len + 5);
    int64_t rc = sys(o->g->p, &c);
    int64_t must = c.whence == SEEK_END ? (int64_t)o->must.len : c.offset;
    if (fails(o, "lseek", rc))
        return;
    cover_mount(MOUNT_POINT_check_size);
    if (rc != must && checks(w, MOUNT_CHECK_size))
        sim_fail(w, SIM_BROKEN, "%s: /%s: lseek to its end gives %" PRId64 ", and must %" PRId64,
                 o->g->m->kernel->name, o->path, rc, must);
    o->pos = rc;
}

static void own_fstat(struct own *o)
{
    struct world *w = o->g->m->w;
    struct call c = {.type = CALL_FSTAT, .fd = o->fd};
    int64_t rc = sys(o->g->p, &c);
    if (!fails(o, "fstat", rc) && checks(w, MOUNT_CHECK_size) &&
        (size_t)c.st.st_size != o->must.len)
        sim_fail(w, SIM_BROKEN, "%s: /%s: fstat gives %" PRId64 " bytes, and must %zu",
                 o->g->m->kernel->name, o->path, (int64_t)c.st.st_size, o->must.len);
}

static void own_truncate(struct own *o)
{
    struct world *w = o->g->m->w;
    struct call c = {.type = CALL_FTRUNCATE, .fd = o->fd};
    c.size = (uint64_t)between(w, 0, (int64_t)o->must.len + 5);
    int64_t rc = sys(o->g->p, &c);
    size_t before = o->must.len;
    if (fails(o, "ftruncate", rc))
        return;
    if (c.size > before)
        memset(buf_extend(&o->must, c.size - before), 0, c.size - before);
    o->must.len = c.size;
}

/* A child has written nothing: its close knows of no error. */
static void child_closes(struct own *o, struct process *child)
{
    struct world *w = o->g->m->w;
    int64_t rc = sys_close(child, o->fd);
    bool unknown = rc == -ESRCH || rc == -EINTR || rc == -ENOTCONN || rc == -ETIMEDOUT;
    cover_mount(MOUNT_POINT_check_error);
    if (rc < 0 && !unknown && !o->g->p->killed && checks(w, MOUNT_CHECK_error))
        sim_fail(w, SIM_BROKEN, "%s: /%s: the close of a child that wrote nothing says %s",
                 o->g->m->kernel->name, o->path, strerror((int)-rc));
}

/* What a shell does: a child with all descriptors, that execs or exits before the parent closes. */
static void own_fork(struct own *o)
{
    struct call c = {.type = CALL_FORK};
    if (sys(o->g->p, &c) < 0 || !c.child)
        return;
    if (chance(o->g->m->w, 2))
        child_closes(o, c.child);
    struct call end = {.type = CALL_EXIT};
    sys(c.child, &end);
    if (!c.child->gone) /* it was killed while it slept */
        kernel_end_killed(c.child);
}

static void own_dup(struct own *o)
{
    struct call c = {.type = CALL_DUP, .fd = o->fd, .offset = -1};
    int64_t fd = sys(o->g->p, &c);
    if (fd < 0)
        return;
    int64_t rc = sys_close(o->g->p, chance(o->g->m->w, 2) ? o->fd : (int)fd);
    fails(o, "close of a copy", rc);
    o->fd = o->g->p->fds[o->fd] ? o->fd : (int)fd;
}

/* A znode holds no more than a packet. */
static void own_too_large(struct own *o)
{
    struct call c = {.type = CALL_WRITE, .fd = o->fd, .offset = 2 * ZK_PACKET_MAX};
    if (o->append || !chance(o->g->m->w, 4))
        return;
    buf_append(&c.data, "x", 1);
    o->too_large = sys(o->g->p, &c) == -EFBIG;
    o->lost = true;
    call_end(&c);
}

static void own_act(struct own *o)
{
    static void (*const acts[])(struct own * o) = {own_write, own_write, own_read,
                                                   own_seek,  own_fstat, own_truncate,
                                                   own_fork,  own_dup,   own_too_large};
    struct world *w = o->g->m->w;
    acts[rng_below(&w->rng, ARRAY_LEN(acts))](o);
    if (chance(w, 10)) {
        struct call c = {.type = CALL_FSYNC, .fd = o->fd};
        if (!fails(o, "fsync", sys(o->g->p, &c)))
            mountcheck_content(o->g->m, o->path, buf_slice(&o->must), "fsync");
    }
    if (chance(w, 20))
        program_pause(w, between(w, 0, 3000));
}

/* What is written to a file without a name goes with it. */
static void close_unlinked(struct own *o)
{
    struct call c = {.type = CALL_UNLINK};
    snprintf(c.path, sizeof(c.path), "%s", o->path);
    int64_t rc = sys(o->g->p, &c);
    int64_t closed = sys_close(o->g->p, o->fd);
    o->lost = true;
    if (rc == 0 && closed == 0)
        mountcheck_made(o->g->m, &c);
}

static void own_close(struct own *o)
{
    struct world *w = o->g->m->w;
    if (chance(w, 12)) {
        close_unlinked(o);
        return;
    }
    int64_t rc = sys_close(o->g->p, o->fd);
    if (o->too_large)
        cover_mount(MOUNT_POINT_check_too_large);
    if (rc == 0 && o->too_large && checks(w, MOUNT_CHECK_content))
        sim_fail(w, SIM_BROKEN, "%s: /%s: a write did not fit, and close says 0",
                 o->g->m->kernel->name, o->path);
    if (!fails(o, "close", rc) && !o->lost)
        mountcheck_content(o->g->m, o->path, buf_slice(&o->must), "close");
}

/* One time that it is open. */
static void own_open(struct own *o)
{
    static const int flags[] = {O_RDWR, O_RDWR | O_TRUNC, O_RDWR | O_APPEND};
    struct world *w = o->g->m->w;
    int how = flags[rng_below(&w->rng, ARRAY_LEN(flags))];
    int64_t fd = sys_open(o->g->p, o->path, how | O_CREAT);
    if (fails(o, "open", fd))
        return;
    o->fd = (int)fd;
    o->pos = 0;
    o->append = how & O_APPEND;
    if (how & O_TRUNC)
        o->must.len = 0;
    for (int64_t n = between(w, 0, 8); n > 0 && !o->lost && !o->g->p->gone; n--)
        own_act(o);
    own_close(o);
}

void own_file(struct program *g)
{
    struct world *w = g->m->w;
    struct own o = {.g = g};
    snprintf(o.path, sizeof(o.path), "own/f%" PRIu64, ++w->n_tokens);
    for (int64_t n = between(w, 1, 4); n > 0 && !g->p->gone && !o.lost && o.must.len < OWN_MAX; n--)
        own_open(&o);
    buf_close(&o.must);
}
