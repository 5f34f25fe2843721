/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Processes: descriptors, one system call at a time, fork, exec, exit, and being killed. */
#include "sim.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

static const char *const names[] = {
    [CALL_OPEN] = "open",   [CALL_CLOSE] = "close",       [CALL_DUP] = "dup",
    [CALL_READ] = "read",   [CALL_WRITE] = "write",       [CALL_LSEEK] = "lseek",
    [CALL_FSTAT] = "fstat", [CALL_STAT] = "stat",         [CALL_FTRUNCATE] = "ftruncate",
    [CALL_FSYNC] = "fsync", [CALL_TRUNCATE] = "truncate", [CALL_UTIMES] = "utimes",
    [CALL_CHMOD] = "chmod", [CALL_ACCESS] = "access",     [CALL_GETDENTS] = "getdents",
    [CALL_MKDIR] = "mkdir", [CALL_MKNOD] = "mknod",       [CALL_UNLINK] = "unlink",
    [CALL_RMDIR] = "rmdir", [CALL_RENAME] = "rename",     [CALL_STATFS] = "statfs",
    [CALL_WATCH] = "watch", [CALL_FORK] = "fork",         [CALL_EXEC] = "exec",
    [CALL_EXIT] = "exit",
};

const char *call_name(enum call_type type)
{
    return names[type];
}

static bool has_path(enum call_type type)
{
    switch (type) {
    case CALL_OPEN:
    case CALL_STAT:
    case CALL_TRUNCATE:
    case CALL_UTIMES:
    case CALL_CHMOD:
    case CALL_ACCESS:
    case CALL_MKDIR:
    case CALL_MKNOD:
    case CALL_UNLINK:
    case CALL_RMDIR:
    case CALL_RENAME:
    case CALL_WATCH:
        return true;
    default:
        return false;
    }
}

static void flags_text(int flags, struct buf *out)
{
    static const char *const modes[] = {"r", "w", "rw", "?"};
    buf_printf(out, " %s", modes[flags & O_ACCMODE]);
    buf_printf(out, "%s%s%s%s", flags & O_CREAT ? " creat" : "", flags & O_EXCL ? " excl" : "",
               flags & O_TRUNC ? " trunc" : "", flags & O_APPEND ? " append" : "");
}

void call_text(const struct call *c, struct buf *out)
{
    bool named = has_path(c->type);
    buf_printf(out, "%s", names[c->type]);
    if (named)
        buf_printf(out, " /%s", c->path);
    else if (c->type != CALL_FORK && c->type != CALL_EXIT && c->type != CALL_EXEC)
        buf_printf(out, " %d", c->fd);
    if (c->type == CALL_RENAME)
        buf_printf(out, " /%s", c->path2);
    if (c->type == CALL_OPEN)
        flags_text(c->flags, out);
    if (c->type == CALL_WRITE)
        buf_printf(out, " %zu bytes", c->data.len);
    if (c->type == CALL_READ || c->type == CALL_TRUNCATE || c->type == CALL_FTRUNCATE)
        buf_printf(out, " %" PRIu64, c->size);
    if (c->type == CALL_LSEEK)
        buf_printf(out, " %" PRId64 " %s", c->offset,
                   c->whence == SEEK_SET   ? "set"
                   : c->whence == SEEK_CUR ? "cur"
                                           : "end");
}

/* ---- By path, with one more try ---- */

static int on_path(struct process *p, struct call *c, int flags)
{
    struct dentry *d;
    int rc = path_walk(p, c->path, flags, &d);
    if (rc < 0)
        return rc;
    struct inode *i = d->inode;
    struct world *w = p->kernel->w;
    switch (c->type) {
    case CALL_STAT:
        rc = inode_getattr(p, i, NULL, true);
        c->st = i->st;
        break;
    case CALL_TRUNCATE:
        rc = inode_is_dir(i) ? -EISDIR : file_truncate(p, d, NULL, c->size);
        break;
    case CALL_UTIMES:
    case CALL_CHMOD:
        lock_exclusive(w, &i->lock);
        rc = inode_setattr(p, i, NULL, c->type == CALL_CHMOD ? MOUNT_SET_MODE : MOUNT_SET_MTIME_NOW,
                           c->mode, 0);
        lock_release(w, &i->lock);
        if (rc == 0)
            notify_dentry(d, IN_ATTRIB);
        break;
    case CALL_ACCESS: {
        const struct mount_request r = {.op = MOUNT_ACCESS, .ino = i->nodeid, .mask = c->whence};
        rc = queue_ask_plain(p->kernel, p, &r);
        break;
    }
    default: /* CALL_WATCH */
        if (!c->inotify)
            c->inotify = inotify_new(p, c->size);
        rc = inotify_add(c->inotify, i, (uint32_t)c->flags);
        break;
    }
    dentry_put(d);
    return rc;
}

/* ---- Descriptors ---- */

static struct file *file_of(struct process *p, int fd)
{
    return fd >= 0 && fd < KERNEL_FDS ? p->fds[fd] : NULL;
}

static int close_fd(struct process *p, int fd)
{
    struct file *f = file_of(p, fd);
    if (!f)
        return -EBADF;
    p->fds[fd] = NULL; /* before the FLUSH */
    return file_close(p, f);
}

static int dup_fd(struct process *p, struct call *c)
{
    struct file *f = file_of(p, c->fd);
    int to = (int)c->offset;
    if (!f || to >= KERNEL_FDS)
        return -EBADF;
    if (to == c->fd)
        return to;
    for (to = MAX(to, 0); c->offset < 0 && to < KERNEL_FDS && p->fds[to];)
        to++;
    if (to == KERNEL_FDS)
        return -EMFILE;
    struct file *before = p->fds[to];
    p->fds[to] = file_ref(f);
    p->cloexec[to] = false;
    if (before)
        file_close(p, before); /* its error is lost, as dup2() has it */
    return to;
}

static void with_file(struct process *p, struct call *c)
{
    struct file *f = file_of(p, c->fd);
    if (!f) {
        c->rc = -EBADF;
        return;
    }
    file_ref(f);
    switch (c->type) {
    case CALL_READ:
        call_read(p, c, f);
        break;
    case CALL_WRITE:
        call_write(p, c, f);
        break;
    case CALL_LSEEK:
        call_lseek(p, c, f);
        break;
    case CALL_FSTAT:
        c->rc = inode_getattr(p, f->inode, NULL, true);
        c->st = f->inode->st;
        break;
    case CALL_FTRUNCATE:
        call_ftruncate(p, c, f);
        break;
    case CALL_FSYNC:
        call_fsync(p, c, f);
        break;
    default:
        call_getdents(p, c, f);
        break;
    }
    file_put(f);
}

/* ---- fork, exec, exit ---- */

struct process *kernel_process(struct kernel *k, const char *name)
{
    struct process *p = mem_zalloc(sizeof(*p));
    p->kernel = k;
    p->pid = ++k->next_pid;
    snprintf(p->name, sizeof(p->name), "%.10s %d", name, (int)p->pid);
    list_init(&p->instances);
    list_append(&k->processes, &p->link);
    return p;
}

static void call_fork(struct process *p, struct call *c)
{
    struct process *child = kernel_process(p->kernel, c->path[0] ? c->path : "child");
    for (int fd = 0; fd < KERNEL_FDS; fd++) {
        child->fds[fd] = p->fds[fd] ? file_ref(p->fds[fd]) : NULL;
        child->cloexec[fd] = p->cloexec[fd];
    }
    c->child = child;
    c->rc = child->pid;
}

static void call_exec(struct process *p)
{
    for (int fd = 0; fd < KERNEL_FDS; fd++) {
        if (p->fds[fd] && p->cloexec[fd])
            close_fd(p, fd);
    }
}

/* Its table is gone before the first of its descriptors is flushed. */
static void call_exit(struct process *p)
{
    struct file *fds[KERNEL_FDS];
    memcpy(fds, p->fds, sizeof(fds));
    memset(p->fds, 0, sizeof(p->fds));
    p->exiting = true;
    for (int fd = 0; fd < KERNEL_FDS; fd++) {
        if (fds[fd])
            file_close(p, fds[fd]);
    }
    LIST_FOR_EACH_SAFE (in, &p->instances, struct inotify, link)
        inotify_close(in);
    p->gone = true;
}

/* How often a process has a file open for writing, as /proc has it; -1: it does not tell. */
int kernel_count_open(struct kernel *k, pid_t pid, uint64_t ino)
{
    int count = 0;
    LIST_FOR_EACH (p, &k->processes, struct process, link) {
        if (p->pid != pid)
            continue;
        for (int fd = 0; fd < KERNEL_FDS; fd++) {
            const struct file *f = p->fds[fd];
            count += f && f->inode->nodeid == ino && file_is_written(f);
        }
        return p->gone ? -1 : count;
    }
    return -1;
}

/* ---- Calls ---- */

static void by_path(struct process *p, struct call *c)
{
    c->rc = on_path(p, c, 0);
    if (c->rc == -ESTALE)
        c->rc = on_path(p, c, WALK_REVAL);
}

static void call_statfs(struct process *p, struct call *c)
{
    const struct mount_request r = {.op = MOUNT_STATFS, .ino = KERNEL_ROOT};
    c->rc = queue_ask_plain(p->kernel, p, &r);
}

/* All of a call, in the task that runs. */
void call_perform(struct process *p, struct call *c)
{
    c->rc = 0;
    switch (c->type) {
    case CALL_OPEN:
        call_open(p, c);
        break;
    case CALL_CLOSE:
        c->rc = close_fd(p, c->fd);
        break;
    case CALL_DUP:
        c->rc = dup_fd(p, c);
        break;
    case CALL_MKDIR:
    case CALL_MKNOD:
        call_make(p, c);
        break;
    case CALL_UNLINK:
    case CALL_RMDIR:
        call_remove(p, c);
        break;
    case CALL_RENAME:
        call_rename(p, c);
        break;
    case CALL_STATFS:
        call_statfs(p, c);
        break;
    case CALL_FORK:
        call_fork(p, c);
        break;
    case CALL_EXEC:
        call_exec(p);
        break;
    case CALL_EXIT:
        call_exit(p);
        break;
    default:
        if (has_path(c->type))
            by_path(p, c);
        else
            with_file(p, c);
    }
}

void call_end(struct call *c)
{
    for (size_t i = 0; i < c->n_entries; i++)
        free(c->entries[i].name);
    free(c->entries);
    buf_close(&c->data);
    memset(c, 0, sizeof(*c));
}

static void trace_result(struct process *p, const struct call *c)
{
    struct buf text = {0};
    call_text(c, &text);
    if (c->rc < 0)
        buf_printf(&text, " = %s", strerror((int)-c->rc));
    else
        buf_printf(&text, " = %" PRId64, c->rc);
    if (c->rc >= 0 && (c->type == CALL_STAT || c->type == CALL_FSTAT))
        buf_printf(&text, " size %" PRId64, (int64_t)c->st.st_size);
    sim_trace(p->kernel->w, "%s: %s: %.*s", p->kernel->name, p->name, (int)text.len,
              (char *)text.data);
    buf_close(&text);
}

/* In the task that runs. One that is killed meanwhile ends. */
void kernel_call_now(struct process *p, struct call *c)
{
    p->busy = true;
    c->began_ms = p->kernel->w->now_ms;
    cover(COVER_CALL, (int32_t)c->type, 0);
    call_perform(p, c);
    cover(COVER_CALL_RC, (int32_t)c->type, (int32_t)MIN(c->rc, 0));
    trace_result(p, c);
    if (p->killed && !p->gone)
        call_exit(p);
    p->busy = false;
}

static void run_call(struct world *w, void *arg)
{
    struct process *p = arg;
    struct call *c = &p->call;
    kernel_call_now(p, c);
    (void)w;
    struct call over = *c;
    memset(c, 0, sizeof(*c));
    if (p->done)
        p->done(p, &over);
    call_end(&over);
}

void kernel_call(struct process *p, const struct call *c,
                 void (*done)(struct process *p, struct call *c))
{
    ensure(!p->busy && !p->gone);
    p->call = *c;
    p->call.data = (struct buf){0};
    buf_append(&p->call.data, c->data.data, c->data.len);
    p->call.began_ms = p->kernel->w->now_ms;
    p->busy = true;
    p->done = done;
    task_start(p->kernel->w, chance(p->kernel->w, 3) ? between(p->kernel->w, 0, 3) : 0, run_call,
               p);
}

/* One that is in no call ends at once. */
void kernel_end_killed(struct process *p)
{
    if (p->busy || p->gone || p->exiting)
        return;
    const struct call c = {.type = CALL_EXIT};
    kernel_call(p, &c, NULL);
}

/* ---- A mount ---- */

struct kernel *kernel_open(struct world *w, unsigned index, const char *mountpoint)
{
    struct kernel *k = mem_zalloc(sizeof(*k));
    *k = (struct kernel){.w = w, .index = index, .mountpoint = mountpoint};
    snprintf(k->name, sizeof(k->name), "mount %u", index);
    list_init(&k->inodes);
    list_init(&k->files);
    list_init(&k->processes);
    list_init(&k->orders);
    lock_init(&k->rename_lock);
    queue_init(k);
    k->io_max = w->options.script || chance(w, 2) ? 1 << 20 : (uint32_t)between(w, 32, 96);
    k->dirbuf_max = chance(w, 2) ? 4096 : (uint32_t)between(w, 400, 1000);
    k->kills = chance(w, 3);
    k->reply_lost_once_killed = chance(w, 2);
    k->next_pid = (pid_t)(1000 * (index + 1));
    k->attr_version = 1;
    struct mount_entry e = {.ino = KERNEL_ROOT, .st = {.st_mode = S_IFDIR | 0755, .st_nlink = 1}};
    struct inode *root = inode_get(k, &e, 0, 0);
    root->nlookup = 0; /* nobody looks it up, and it is never forgotten */
    k->root = dentry_new(NULL, "");
    dentry_hash(k->root, root);
    return k;
}

bool kernel_is_idle(const struct kernel *k)
{
    LIST_FOR_EACH (p, &k->processes, struct process, link) {
        if (p->busy)
            return false;
    }
    return list_is_empty(&k->queue) && list_is_empty(&k->asked) && !k->working;
}

static void process_free(struct process *p)
{
    list_remove(&p->link);
    free(p);
}

/* All of its processes have ended. */
void kernel_close(struct kernel *k)
{
    k->gone = true;
    kernel_drop_caches(k, 1);
    LIST_FOR_EACH_SAFE (p, &k->processes, struct process, link)
        process_free(p);
    k->root->hashed = false;
    dentry_put(k->root);
    LIST_FOR_EACH (f, &k->files, struct file, link)
        sim_fail(k->w, SIM_BROKEN, "%s: a file of process %d is open at the end", k->name,
                 (int)f->opener);
    LIST_FOR_EACH (i, &k->inodes, struct inode, link)
        sim_fail(k->w, SIM_BROKEN, "%s: inode %" PRIu64 " is used at the end", k->name, i->nodeid);
    queue_close(k);
    free(k);
}
