/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What scripts do on mounts. All but the first are carried out by a process of that number, in a
 * task: the script goes on meanwhile, "run" lets time pass.
 *
 *     mounts              before all others: there will be mounts
 *     mount [DRAFT_MS]    start one more
 *     wait                until all that was begun on mounts has ended
 *     on M.P append PATH TEXT | put PATH TEXT | cat PATH | ls PATH | stat PATH | mv PATH PATH
 *       | rm PATH | mkdir PATH | rmdir PATH | touch PATH
 *     on M.P open PATH [LETTERS]   w, a(ppend), c(reate), t(runcate), x, + for both ways
 *     on M.P write FD TEXT | read FD | end FD | fstat FD | trunc FD SIZE | sync FD | close FD
 *       | dup FD | fill FD SIZE | ls-some FD | drop
 *     on M.P fork         with a child that exits at once
 *     on M.P watch PATH   its events are told from now on
 *     on M.P call ...     see mount_call.c */
#include "program.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { SHELLS = 8 };

static struct process *shells[MOUNTS_MAX][SHELLS];

struct order {
    struct mountpoint *m;
    struct process *p;
    char op[16], a[64], b[64];
};

/* ---- Events ---- */

static void on_event(struct inotify *in)
{
    struct notice n;
    struct kernel *k = in->process->kernel;
    while (inotify_next(in, &n)) {
        struct buf text = {0};
        notice_text(n.mask, &text);
        sim_trace(k->w, "%s: %s sees %.*s %s", k->name, in->process->name, (int)text.len,
                  (char *)text.data, n.name ? n.name : "");
        buf_close(&text);
        free(n.name);
    }
}

static void watch(struct order *o)
{
    struct call c = {.type = CALL_WATCH, .flags = IN_ALL_EVENTS & ~IN_ACCESS};
    snprintf(c.path, sizeof(c.path), "%s", o->a);
    if (sys(o->p, &c) >= 0)
        c.inotify->on_event = on_event;
}

/* ---- Several calls in one ---- */

static void write_file(struct order *o, int flags)
{
    int64_t fd = sys_open(o->p, o->a, O_WRONLY | O_CREAT | flags);
    struct buf text = {0};
    buf_printf(&text, "%s\n", o->b);
    if (fd >= 0) {
        sys_write(o->p, (int)fd, buf_slice(&text));
        sys_close(o->p, (int)fd);
    }
    buf_close(&text);
}

static void cat(struct order *o)
{
    struct buf text = {0};
    char line[200];
    int64_t fd = sys_open(o->p, o->a, O_RDONLY);
    if (fd < 0)
        return;
    sys_read_all(o->p, (int)fd, &text);
    sim_trace(o->m->w, "%s: %s: /%s has '%s'", o->m->kernel->name, o->p->name, o->a,
              text_line(buf_slice(&text), line, sizeof(line)));
    sys_close(o->p, (int)fd);
    buf_close(&text);
}

/* One call of getdents; 0 at the end. */
static int64_t list_some(struct order *o, int fd, struct buf *names)
{
    struct call c = {.type = CALL_GETDENTS, .fd = fd, .size = 128};
    int64_t rc = sys(o->p, &c);
    for (size_t i = 0; i < c.n_entries; i++)
        buf_printf(names, " %s", c.entries[i].name);
    call_end(&c);
    return rc;
}

static void tell_names(struct order *o, const struct buf *names)
{
    sim_trace(o->m->w, "%s: %s: names%.*s", o->m->kernel->name, o->p->name, (int)names->len,
              (char *)names->data);
}

static void list(struct order *o, bool all)
{
    struct buf names = {0};
    int64_t fd = all ? sys_open(o->p, o->a, O_RDONLY | O_DIRECTORY) : atoi(o->a);
    while (fd >= 0 && list_some(o, (int)fd, &names) > 0 && all)
        continue;
    tell_names(o, &names);
    if (all && fd >= 0)
        sys_close(o->p, (int)fd);
    buf_close(&names);
}

static void open_it(struct order *o)
{
    int flags = O_RDONLY;
    for (const char *c = o->b; *c; c++) {
        flags |= *c == 'a' ? O_APPEND | O_WRONLY : *c == 'w' ? O_WRONLY : 0;
        flags |= *c == 'c' ? O_CREAT : *c == 't' ? O_TRUNC : *c == 'x' ? O_EXCL : 0;
        if (*c == '+')
            flags = (flags & ~O_ACCMODE) | O_RDWR;
    }
    sys_open(o->p, o->a, flags);
}

/* So many bytes, as head -c writes them. */
static void fill(struct order *o)
{
    struct buf piece = {0};
    size_t left = strtoull(o->b, NULL, 10);
    int64_t rc = 1;
    while (left > 0 && rc > 0) {
        size_t n = MIN(left, (size_t)65536);
        buf_reset(&piece);
        memset(buf_extend(&piece, n), 'x', n);
        rc = sys_write(o->p, atoi(o->a), buf_slice(&piece));
        left -= n;
    }
    buf_close(&piece);
}

static void fork_child(struct order *o)
{
    struct call c = {.type = CALL_FORK};
    struct call end = {.type = CALL_EXIT};
    if (sys(o->p, &c) >= 0)
        sys(c.child, &end);
}

/* ---- One call ---- */

static bool by_descriptor(struct order *o)
{
    static const struct {
        const char *op;
        enum call_type type;
    } ops[] = {{"fstat", CALL_FSTAT}, {"trunc", CALL_FTRUNCATE}, {"sync", CALL_FSYNC},
               {"close", CALL_CLOSE}, {"dup", CALL_DUP},         {"end", CALL_LSEEK},
               {"write", CALL_WRITE}, {"read", CALL_READ}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (strcmp(ops[i].op, o->op) != 0)
            continue;
        char line[200];
        struct call c = {.type = ops[i].type, .fd = atoi(o->a), .offset = -1};
        c.size = c.type == CALL_READ ? 4096 : strtoull(o->b, NULL, 10);
        c.whence = SEEK_END;
        if (c.type == CALL_LSEEK)
            c.offset = 0;
        if (c.type == CALL_WRITE)
            buf_printf(&c.data, "%s", o->b);
        sys(o->p, &c);
        if (c.type == CALL_READ)
            sim_trace(o->m->w, "%s: %s: reads '%s'", o->m->kernel->name, o->p->name,
                      text_line(buf_slice(&c.data), line, sizeof(line)));
        call_end(&c);
        return true;
    }
    return false;
}

static bool by_name(struct order *o)
{
    static const struct {
        const char *op;
        enum call_type type;
    } ops[] = {{"stat", CALL_STAT},   {"rm", CALL_UNLINK},    {"mkdir", CALL_MKDIR},
               {"rmdir", CALL_RMDIR}, {"touch", CALL_UTIMES}, {"mv", CALL_RENAME}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (strcmp(ops[i].op, o->op) != 0)
            continue;
        struct call c = {.type = ops[i].type, .mode = 0777};
        snprintf(c.path, sizeof(c.path), "%s", o->a);
        snprintf(c.path2, sizeof(c.path2), "%s", o->b);
        sys(o->p, &c);
        return true;
    }
    return false;
}

static void one_call(struct order *o)
{
    if (!mount_call(o->p, o->a, o->b))
        sim_fail(o->m->w, SIM_USAGE, "not understood: call %s %s", o->a, o->b);
}

static void run(struct world *w, void *arg)
{
    struct order *o = arg;
    static const struct {
        const char *op;
        void (*run)(struct order *o);
    } ops[] = {{"cat", cat},         {"watch", watch}, {"open", open_it},
               {"fork", fork_child}, {"fill", fill},   {"call", one_call}};
    (void)w;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (strcmp(ops[i].op, o->op) == 0)
            ops[i].run(o);
    }
    if (strcmp(o->op, "append") == 0 || strcmp(o->op, "put") == 0)
        write_file(o, *o->op == 'a' ? O_APPEND : O_TRUNC);
    else if (strcmp(o->op, "ls") == 0 || strcmp(o->op, "ls-some") == 0)
        list(o, o->op[2] == '\0');
    else if (strcmp(o->op, "drop") == 0)
        kernel_drop_caches(o->m->kernel, 1);
    else if (!by_descriptor(o))
        by_name(o);
    o->m->n_programs--;
    free(o);
}

bool mount_command(struct world *w, const char *line)
{
    unsigned mount = 0, shell = 0;
    struct order *o = mem_zalloc(sizeof(*o));
    int n = sscanf(line, "on %u.%u %15s %63s %63[^\n]", &mount, &shell, o->op, o->a, o->b);
    if (n < 3 || mount >= w->n_mounts || shell >= SHELLS) {
        free(o);
        return false;
    }
    o->m = w->mounts[mount];
    if (!shells[mount][shell])
        shells[mount][shell] = program_process(o->m, "sh");
    o->p = shells[mount][shell];
    o->m->n_programs++;
    task_start(w, 0, run, o);
    return true;
}

bool mount_commands_ended(const struct world *w)
{
    for (unsigned i = 0; i < w->n_mounts; i++) {
        if (w->mounts[i]->n_programs > 0)
            return false;
    }
    return true;
}

void mount_commands_begin(void)
{
    memset(shells, 0, sizeof(shells));
}
