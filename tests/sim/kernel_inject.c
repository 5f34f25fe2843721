/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the core has done off its thread: invalidations and the injector's system calls, one behind
 * the other. Each waits for locks that others hold, so that a core that waits for it before it
 * answers those has locked itself out. The injector is a process as any other, and goes through
 * the same names; it can be killed at any time, and is replaced. */
#include "sim.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>

struct kernel_order {
    struct list link;
    struct kernel *k;
    enum mount_effect_type type;
    enum mount_inject kind;
    bool is_dir, attr_only;
    int64_t size;
    uint64_t ino;
    char *path, *from, *name;
    /* Of an injection. */
    struct process *process;
    struct task *waiter; /* that goes on when it has ended */
    bool over, given_up;
    int rc;
    unsigned users; /* the list, and the job */
};

static void order_put(struct kernel_order *o)
{
    if (--o->users > 0)
        return;
    free(o->path);
    free(o->from);
    free(o->name);
    free(o);
}

/* ---- Invalidations ---- */

/* fuse_reverse_inval_entry(): nothing changes if the name is not known. */
static void inval_entry(struct kernel *k, const struct kernel_order *o)
{
    struct inode *dir = inode_find(k, o->ino);
    if (!dir || !inode_is_dir(dir))
        return;
    inode_ref(dir);
    lock_exclusive(k->w, &dir->lock);
    if (!list_is_empty(&dir->names)) {
        struct dentry *at = LIST_FIRST(&dir->names, struct dentry, of_inode);
        struct dentry *d = dentry_find(at, o->name);
        if (d) {
            cover_mount(MOUNT_POINT_inval_entry);
            dentry_ref(d);
            inode_dir_changed(dir);
            dentry_invalidate(d);
            dentry_expire(d);
            dentry_put(d);
        }
    }
    lock_release(k->w, &dir->lock);
    inode_put(dir);
}

/* fuse_reverse_inval_inode() */
static void inval_inode(struct kernel *k, const struct kernel_order *o)
{
    struct inode *i = inode_find(k, o->ino);
    if (!i)
        return;
    cover_mount(MOUNT_POINT_inval_inode);
    i->attr_version = ++k->attr_version;
    inode_invalidate_attr(i);
    if (o->attr_only)
        return;
    inode_drop_pages(i);
    i->listing.has_pages = false;
}

/* ---- The injector ---- */

static const char *below(const struct kernel *k, const char *path)
{
    size_t len = strlen(k->mountpoint);
    path += strncmp(path, k->mountpoint, len) == 0 ? len : 0;
    while (*path == '/')
        path++;
    return path;
}

static int perform(struct process *p, struct call *c)
{
    call_perform(p, c);
    return (int)c->rc;
}

static int rewrite(struct process *p, const struct kernel_order *o)
{
    struct call c = {.type = CALL_OPEN, .flags = O_WRONLY | O_NOFOLLOW | O_NONBLOCK};
    snprintf(c.path, sizeof(c.path), "%s", below(p->kernel, o->path));
    int fd = perform(p, &c);
    if (fd < 0)
        return fd;
    struct call truncate = {.type = CALL_FTRUNCATE, .fd = fd, .size = (uint64_t)o->size};
    struct call close = {.type = CALL_CLOSE, .fd = fd};
    int rc = o->size < 0 ? 0 : perform(p, &truncate);
    perform(p, &close);
    return rc;
}

static int inject(struct process *p, const struct kernel_order *o)
{
    static const enum call_type types[][2] = {
        [MOUNT_INJECT_CREATE] = {CALL_MKNOD, CALL_MKDIR},
        [MOUNT_INJECT_DELETE] = {CALL_UNLINK, CALL_RMDIR},
        [MOUNT_INJECT_ATTRIB] = {CALL_UTIMES, CALL_UTIMES},
        [MOUNT_INJECT_RENAME] = {CALL_RENAME, CALL_RENAME},
        [MOUNT_INJECT_PROBE] = {CALL_STATFS, CALL_STATFS},
    };
    if (o->kind == MOUNT_INJECT_DATA)
        return rewrite(p, o);
    struct call c = {.type = types[o->kind][o->is_dir], .mode = o->is_dir ? 0777 : 0666};
    if (o->kind == MOUNT_INJECT_RENAME) {
        snprintf(c.path, sizeof(c.path), "%s", below(p->kernel, o->from));
        snprintf(c.path2, sizeof(c.path2), "%s", below(p->kernel, o->path));
    } else if (o->kind != MOUNT_INJECT_PROBE) {
        snprintf(c.path, sizeof(c.path), "%s", below(p->kernel, o->path));
    }
    return perform(p, &c);
}

/* A task of its own, since it may be left behind. */
static void job(struct world *w, void *arg)
{
    struct kernel_order *o = arg;
    struct process *p = o->process;
    o->rc = inject(p, o);
    o->over = true;
    if (p->killed) {
        struct call c = {.type = CALL_EXIT};
        call_perform(p, &c);
    }
    if (!o->given_up)
        task_wake(w, o->waiter, 0);
    order_put(o);
}

static const char *const kinds[] = {"create", "delete", "data", "attrib", "rename", "probe"};

static void carry_out_inject(struct kernel *k, struct kernel_order *o)
{
    if (!k->injector || k->injector->killed) {
        k->injector = kernel_process(k, "injector");
        k->injector->injector = true;
    }
    k->n_injected++;
    cover(COVER_MOUNT_INJECT, (int32_t)o->kind, o->is_dir);
    o->process = k->injector;
    o->waiter = task_running();
    o->process->arg = o;
    sim_trace(k->w, "%s: injects %s %s%s%s", k->name, kinds[o->kind], o->from ? o->from : "",
              o->from ? " -> " : "", o->path ? o->path : "");
    o->users++;
    task_start(k->w, 0, job, o);
    task_sleep(k->w);
    int rc = o->given_up ? -EPIPE : o->rc;
    o->process->arg = NULL;
    sim_trace(k->w, "%s: injected %s%s%s", k->name, kinds[o->kind], rc < 0 ? ": " : "",
              rc < 0 ? strerror(-rc) : "");
    cover(COVER_MOUNT_INJECTED, rc, 0);
    k->on_injected(k, rc);
}

void kernel_kill_injector(struct kernel *k)
{
    struct process *p = k->injector;
    if (!p || p->killed)
        return;
    struct kernel_order *o = p->arg;
    kernel_kill(p);
    if (!o || o->over || o->given_up)
        return;
    cover_mount(MOUNT_POINT_injector_killed);
    o->given_up = true;
    task_wake(k->w, o->waiter, 0);
}

/* ---- One behind the other ---- */

static void work(struct world *w, void *arg)
{
    struct kernel *k = arg;
    while (!list_is_empty(&k->orders)) {
        struct kernel_order *o = LIST_FIRST(&k->orders, struct kernel_order, link);
        list_remove(&o->link);
        if (o->type == MOUNT_INVAL_ENTRY)
            inval_entry(k, o);
        else if (o->type == MOUNT_INVAL_INODE)
            inval_inode(k, o);
        else
            carry_out_inject(k, o);
        order_put(o);
    }
    k->working = false;
    (void)w;
}

static char *copy(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

void kernel_effect(struct kernel *k, const struct mount_effect *e)
{
    struct kernel_order *o = mem_zalloc(sizeof(*o));
    if (k->gone) {
        free(o);
        return;
    }
    *o = (struct kernel_order){.k = k, .type = e->type, .users = 1};
    if (e->type == MOUNT_INJECT) {
        o->kind = e->inject.kind;
        o->is_dir = e->inject.is_dir;
        o->size = e->inject.size;
        o->path = copy(e->inject.path);
        o->from = copy(e->inject.from);
    } else {
        o->ino = e->inval.ino;
        o->name = copy(e->inval.name);
        o->attr_only = e->inval.attr_only;
    }
    list_append(&k->orders, &o->link);
    if (k->working)
        return;
    k->working = true;
    task_start(k->w, chance(k->w, 3) ? between(k->w, 0, 20) : 0, work, k);
}
