/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What processes do on mounts. Each program is a task of its own that makes one system call after
 * the other, and says to mountcheck.c what it was told. The names:
 *
 *     /log/N    lines are appended, by all mounts; nothing else happens to them
 *     /keep/N   always there, replaced as a whole by anybody, or by a rename
 *     /closed/N always there; raw clients forbid to read it, and allow it again
 *     /own/...  each of one process only, which knows what must be in it
 *     /tree/... comes and goes, by mounts and by raw clients
 *
 * What is written as a whole says how long it is, and with which number it was made. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>

enum { KEEPS = 3, PROGRAMS = 3 };

/* ---- System calls ---- */

void program_pause(struct world *w, int64_t ms)
{
    task_wake(w, task_running(), ms);
    task_sleep(w);
}

int64_t sys(struct process *p, struct call *c)
{
    struct world *w = p->kernel->w;
    program_pause(w, chance(w, 3) ? between(w, 0, 20) : 0);
    if (p->killed || p->gone)
        c->rc = -ESRCH;
    else
        kernel_call_now(p, c);
    return c->rc;
}

int64_t sys_open(struct process *p, const char *path, int flags)
{
    struct call c = {.type = CALL_OPEN, .flags = flags, .mode = 0666};
    snprintf(c.path, sizeof(c.path), "%s", path);
    return sys(p, &c);
}

int64_t sys_close(struct process *p, int fd)
{
    struct call c = {.type = CALL_CLOSE, .fd = fd};
    return sys(p, &c);
}

int64_t sys_path(struct process *p, enum call_type type, const char *path)
{
    struct call c = {.type = type, .mode = 0777};
    snprintf(c.path, sizeof(c.path), "%s", path);
    return sys(p, &c);
}

static int64_t sys_rename(struct process *p, const char *from, const char *to)
{
    struct call c = {.type = CALL_RENAME};
    snprintf(c.path, sizeof(c.path), "%s", from);
    snprintf(c.path2, sizeof(c.path2), "%s", to);
    return sys(p, &c);
}

/* All of it, or an error. */
int64_t sys_write(struct process *p, int fd, struct slice data)
{
    size_t done = 0;
    while (done < slice_size(data)) {
        struct call c = {.type = CALL_WRITE, .fd = fd, .offset = -1};
        buf_append(&c.data, data.data + done, slice_size(data) - done);
        int64_t rc = sys(p, &c);
        call_end(&c);
        if (rc < 0)
            return rc;
        done += (size_t)rc;
    }
    return (int64_t)done;
}

/* Up to the end; the result is the caller's. */
int64_t sys_read_all(struct process *p, int fd, struct buf *out)
{
    for (;;) {
        struct call c = {.type = CALL_READ, .fd = fd, .offset = -1, .size = 4096};
        int64_t rc = sys(p, &c);
        if (rc > 0)
            buf_append(out, c.data.data, c.data.len);
        call_end(&c);
        if (rc <= 0)
            return rc;
    }
}

static void sys_exit(struct process *p)
{
    struct call c = {.type = CALL_EXIT};
    sys(p, &c);
}

/* ---- Whole contents ---- */

static void whole_content(struct world *w, struct buf *out)
{
    char head[MODEL_DATA_MAX];
    int pad = chance(w, 3) ? (int)between(w, 0, 200) : 0;
    int n = snprintf(head, sizeof(head), "%" PRIu64 ":%d:", ++w->n_tokens, pad);
    buf_append(out, head, (size_t)n);
    memset(buf_extend(out, (size_t)pad), '~', (size_t)pad);
}

static int64_t write_whole(struct process *p, const char *path, int flags)
{
    struct world *w = p->kernel->w;
    struct buf data = {0};
    int64_t fd = sys_open(p, path, O_WRONLY | flags), rc = fd;
    if (fd >= 0) {
        whole_content(w, &data);
        rc = sys_write(p, (int)fd, buf_slice(&data));
        int64_t closed = sys_close(p, (int)fd);
        rc = rc < 0 ? rc : closed;
    }
    buf_close(&data);
    return rc;
}

/* ---- Programs ---- */

static void name_of(char *out, size_t size, const char *dir, int64_t n)
{
    snprintf(out, size, "%s/%" PRId64, dir, n);
}

/* echo line >> path */
int64_t append_line(struct program *g, const char *path, char *line, size_t size)
{
    struct world *w = g->m->w;
    snprintf(line, size, "%s %" PRIu64 "\n", g->m->kernel->name, ++w->n_tokens);
    mountcheck_append_begins(w, line);
    int64_t fd = sys_open(g->p, path, O_WRONLY | O_APPEND | O_CREAT), rc = fd;
    if (fd >= 0) {
        rc = sys_write(g->p, (int)fd, slice_str(line));
        int64_t closed = sys_close(g->p, (int)fd);
        rc = rc < 0 ? rc : closed;
    }
    mountcheck_append_ended(w, line, rc);
    return rc;
}

static void append_lines(struct program *g)
{
    struct world *w = g->m->w;
    for (int64_t n = between(w, 1, 8); n > 0 && !g->p->gone; n--) {
        char path[32], line[48];
        name_of(path, sizeof(path), "log", between(w, 0, MOUNT_LOGS - 1));
        append_line(g, path, line, sizeof(line));
    }
}

static void replace_keep(struct program *g)
{
    struct world *w = g->m->w;
    for (int64_t n = between(w, 1, 6); n > 0 && !g->p->gone; n--) {
        char path[32], other[32];
        name_of(path, sizeof(path), "keep", between(w, 0, KEEPS - 1));
        snprintf(other, sizeof(other), "keep/new%d", (int)g->p->pid);
        if (chance(w, 2))
            write_whole(g->p, path, O_CREAT | O_TRUNC);
        else if (write_whole(g->p, other, O_CREAT | O_TRUNC) >= 0)
            sys_rename(g->p, other, path);
    }
}

static void read_keep(struct program *g)
{
    struct world *w = g->m->w;
    for (int64_t n = between(w, 1, 12); n > 0 && !g->p->gone; n--) {
        char path[32];
        name_of(path, sizeof(path), "keep", between(w, 0, KEEPS - 1));
        struct buf data = {0};
        struct call c = {.type = chance(w, 2) ? CALL_OPEN : CALL_STAT, .flags = O_RDONLY};
        snprintf(c.path, sizeof(c.path), "%s", path);
        int64_t fd = sys(g->p, &c), began_ms = c.began_ms;
        mountcheck_missed(g->m, &c);
        if (c.type != CALL_OPEN || fd < 0)
            continue;
        if (sys_read_all(g->p, (int)fd, &data) == 0)
            mountcheck_read(g->m, path, buf_slice(&data), began_ms);
        sys_close(g->p, (int)fd);
        buf_close(&data);
    }
}

/* All names; 0 or an error. */
static int64_t list_dir(struct program *g, const char *dir, struct buf *names)
{
    struct world *w = g->m->w;
    int64_t fd = sys_open(g->p, dir, O_RDONLY | O_DIRECTORY), rc = fd;
    while (fd >= 0) {
        struct call c = {.type = CALL_GETDENTS, .fd = (int)fd};
        c.size = chance(w, 2) ? 4096 : (uint64_t)between(w, 64, 128);
        rc = sys(g->p, &c);
        for (size_t i = 0; i < c.n_entries; i++)
            buf_append(names, c.entries[i].name, strlen(c.entries[i].name) + 1);
        call_end(&c);
        if (rc <= 0)
            break;
    }
    if (fd >= 0)
        sys_close(g->p, (int)fd);
    return rc;
}

static void list_keep(struct program *g)
{
    struct buf names = {0};
    if (list_dir(g, "keep", &names) == 0)
        mountcheck_listed(g->m, &names);
    buf_close(&names);
}

static void look_at_closed(struct program *g)
{
    struct world *w = g->m->w;
    struct buf data = {0}, names = {0};
    char path[32];
    name_of(path, sizeof(path), "closed", between(w, 0, MOUNT_CLOSED - 1));
    int64_t fd = sys_open(g->p, path, O_RDONLY);
    if (fd >= 0) {
        sys_read_all(g->p, (int)fd, &data);
        sys_close(g->p, (int)fd);
    }
    aclcheck_listed(g->m, list_dir(g, "closed", &names), &names);
    buf_close(&data);
    buf_close(&names);
}

/* Names that nobody else has. */
static void make_own(struct program *g)
{
    struct world *w = g->m->w;
    for (int64_t n = between(w, 1, 5); n > 0 && !g->p->gone; n--) {
        struct call c = {.type = chance(w, 2) ? CALL_MKDIR : CALL_MKNOD, .mode = 0777};
        snprintf(c.path, sizeof(c.path), "own/%" PRIu64, ++w->n_tokens);
        if (chance(w, 3)) {
            c.type = CALL_OPEN;
            c.flags = O_WRONLY | O_CREAT | O_EXCL;
        }
        sys(g->p, &c);
        mountcheck_made(g->m, &c);
        if (c.type == CALL_OPEN && c.rc >= 0)
            sys_close(g->p, (int)c.rc);
        if (c.rc < 0)
            continue;
        bool dir = c.type == CALL_MKDIR;
        if (chance(w, 2)) {
            c.type = CALL_RENAME;
            c.flags = 0;
            snprintf(c.path2, sizeof(c.path2), "own/%" PRIu64, ++w->n_tokens);
            sys(g->p, &c);
            mountcheck_made(g->m, &c);
            if (c.rc < 0)
                continue;
            memcpy(c.path, c.path2, sizeof(c.path));
        }
        c.type = dir ? CALL_RMDIR : CALL_UNLINK;
        sys(g->p, &c);
        mountcheck_made(g->m, &c);
    }
}

static void any_tree_path(struct world *w, char *path, size_t size)
{
    static const char *const names[] = {"a", "b", "c", "a/x", "a/y", "b/x", "a/x/z"};
    snprintf(path, size, "tree/%s", names[rng_below(&w->rng, ARRAY_LEN(names))]);
}

static void change_tree(struct program *g)
{
    struct world *w = g->m->w;
    for (int64_t n = between(w, 1, 12); n > 0 && !g->p->gone; n--) {
        char path[32], other[32];
        any_tree_path(w, path, sizeof(path));
        any_tree_path(w, other, sizeof(other));
        switch (between(w, 0, 11)) {
        case 0:
        case 1:
            write_whole(g->p, path, O_CREAT | O_TRUNC);
            break;
        case 2:
            sys_path(g->p, CALL_MKDIR, path);
            break;
        case 3:
            sys_path(g->p, CALL_UNLINK, path);
            break;
        case 4:
            sys_path(g->p, CALL_RMDIR, path);
            break;
        case 5:
        case 6:
            sys_rename(g->p, path, other);
            break;
        case 7:
            sys_path(g->p, CALL_UTIMES, path);
            break;
        case 8:
            sys_path(g->p, CALL_TRUNCATE, path);
            break;
        case 9:
            sys_path(g->p, chance(w, 2) ? CALL_CHMOD : CALL_ACCESS, path);
            break;
        default:
            sys_path(g->p, CALL_STAT, path);
            break;
        }
    }
}

static void run_program(struct world *w, void *arg)
{
    struct program *g = arg;
    static void (*const programs[])(struct program * g) = {
        append_lines, append_lines, replace_keep, read_keep, read_keep,      list_keep,
        make_own,     change_tree,  change_tree,  own_file,  look_at_closed, follow_log,
    };
    while (!w->faults_off && !w->options.script) {
        g->p = program_process(g->m, "program");
        g->run = programs[rng_below(&w->rng, ARRAY_LEN(programs))];
        g->run(g);
        if (!g->p->gone)
            sys_exit(g->p);
        program_pause(w, between(w, 0, 100));
    }
    g->m->n_programs--;
    free(g);
}

struct process *program_process(struct mountpoint *m, const char *name)
{
    return kernel_process(m->kernel, name);
}

static void make_file(struct program *g, const char *dir, int64_t n)
{
    char path[32];
    int64_t rc;
    name_of(path, sizeof(path), dir, n);
    while ((rc = write_whole(g->p, path, O_CREAT | O_TRUNC)) < 0 && rc != -EACCES)
        program_pause(g->m->w, 50);
}

/* The first mount makes what has to be there. */
static void make_dirs(struct program *g)
{
    static const char *const dirs[] = {"log", "keep", "own", "tree", "closed"};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        while (sys_path(g->p, CALL_MKDIR, dirs[i]) < 0 && sys_path(g->p, CALL_STAT, dirs[i]) < 0)
            program_pause(g->m->w, 50);
    }
    for (int64_t i = 0; i < KEEPS; i++)
        make_file(g, "keep", i);
    for (int64_t i = 0; i < MOUNT_CLOSED; i++)
        make_file(g, "closed", i);
}

static void begin(struct world *w, void *arg)
{
    struct mountpoint *m = arg;
    struct program g = {.m = m, .p = program_process(m, "first")};
    make_dirs(&g);
    sys_exit(g.p);
    mirror_begin(m);
    m->n_programs--;
    for (int i = 0; i < PROGRAMS && !w->options.script; i++) {
        struct program *program = mem_zalloc(sizeof(*program));
        program->m = m;
        m->n_programs++;
        task_start(w, between(w, 0, 100), run_program, program);
    }
}

void programs_begin(struct mountpoint *m)
{
    if (m->w->options.script)
        return;
    m->n_programs++;
    task_start(m->w, 0, begin, m);
}

/* ---- What happens to mounts ---- */

void programs_drop(struct world *w, void *arg)
{
    struct mountpoint *m = arg;
    if (w->faults_off || w->options.script)
        return;
    kernel_check_waits(m->kernel);
    if (chance(w, 3))
        kernel_drop_caches(m->kernel, (unsigned)between(w, 1, 4));
    if (chance(w, 20))
        kernel_kill_injector(m->kernel);
    LIST_FOR_EACH (p, &m->kernel->processes, struct process, link) {
        if (m->kernel->kills && !p->injector && !p->gone && strncmp(p->name, "program", 7) == 0 &&
            chance(w, 30)) {
            cover_mount(MOUNT_POINT_program_killed);
            kernel_kill(p);
            w->n_killed++;
            break;
        }
    }
    sim_at(w, between(w, 1, 400), programs_drop, m);
}

/* ---- Raw clients ---- */

static void fill_whole(struct world *w, struct op *op)
{
    op->pad = chance(w, 3) ? (int)between(w, 0, 200) : 0;
    op->data_len = snprintf(op->data, sizeof(op->data), "%" PRIu64 ":%d:", ++w->n_tokens, op->pad);
}

static void fill_one(struct world *w, struct op *op)
{
    char path[48];
    op->version = -1;
    op->acl = (struct model_acl){1, {{ZK_PERM_ALL, MODEL_WORLD}}};
    if (chance(w, 4)) {
        op->type = ZK_OP_setData;
        snprintf(op->path, sizeof(op->path), "/keep/%d", (int)between(w, 0, KEEPS - 1));
        fill_whole(w, op);
        return;
    }
    any_tree_path(w, path, sizeof(path));
    snprintf(op->path, sizeof(op->path), "/%s", path);
    switch (between(w, 0, 2)) {
    case 0:
        op->type = ZK_OP_create;
        if (chance(w, 4))
            op->data_len = -1;
        else
            fill_whole(w, op);
        break;
    case 1:
        op->type = ZK_OP_delete;
        break;
    default:
        op->type = ZK_OP_setData;
        fill_whole(w, op);
        break;
    }
}

void raw_fill(struct world *w, struct request *r)
{
    if (chance(w, 20)) {
        aclcheck_fill(w, &r->op);
        return;
    }
    if (!chance(w, 4)) {
        fill_one(w, &r->op);
        return;
    }
    r->op.type = ZK_OP_multi;
    r->n_parts = (int)between(w, 1, MODEL_PARTS_MAX);
    for (int i = 0; i < r->n_parts; i++)
        fill_one(w, &r->parts[i]);
}
