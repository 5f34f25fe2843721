/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A program that knows of a tree only what inotify has told it, as whatever reloads, indexes or
 * copies files does: it watches each directory, reads a file when an event names it, and takes away
 * what is told to be gone. When all is quiet it must have what is in the tree. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>

enum {
    PATH_SIZE = 96,
};

struct known {
    char path[PATH_SIZE];
    bool is_dir;
    int wd; /* of a directory */
    bool has_data;
    struct buf data;
};

struct mirror {
    struct mountpoint *m;
    struct process *p;
    struct inotify *in;
    struct known **known;
    size_t n, cap;
    struct task *waits;
    bool ends, over;
};

static const char *const roots[] = {"keep", "tree"};

static struct known *find(struct mirror *r, const char *path)
{
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->known[i]->path, path) == 0)
            return r->known[i];
    }
    return NULL;
}

static struct known *find_wd(struct mirror *r, int wd)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->known[i]->is_dir && r->known[i]->wd == wd)
            return r->known[i];
    }
    return NULL;
}

static struct known *add(struct mirror *r, const char *path, bool is_dir)
{
    struct known *at = find(r, path);
    if (!at) {
        ROOM_FOR_ONE(r->known, r->n, r->cap);
        at = r->known[r->n++] = mem_zalloc(sizeof(*at));
        snprintf(at->path, sizeof(at->path), "%s", path);
    }
    at->is_dir = is_dir;
    return at;
}

static bool is_at_or_below(const char *path, const char *above)
{
    size_t len = strlen(above);
    return strncmp(path, above, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static void join(char out[PATH_SIZE], const char *dir, const char *name)
{
    size_t len = strlen(dir);
    ensure(len + 1 + strlen(name) < PATH_SIZE);
    memcpy(out, dir, len);
    out[len] = '/';
    memcpy(out + len + 1, name, strlen(name) + 1);
}

/* With what is below it. */
static void take_away(struct mirror *r, const char *path)
{
    char above[PATH_SIZE];
    snprintf(above, sizeof(above), "%s", path);
    for (size_t i = r->n; i > 0; i--) {
        struct known *at = r->known[i - 1];
        if (!is_at_or_below(at->path, above))
            continue;
        memmove(&r->known[i - 1], &r->known[i], (r->n - i) * sizeof(r->known[0]));
        r->n--;
        buf_close(&at->data);
        free(at);
    }
}

/* ---- Looking ---- */

static bool is_passing(int64_t rc)
{
    return rc == -EIO || rc == -EROFS || rc == -ETIMEDOUT || rc == -EAGAIN;
}

/* What an outage refuses is asked for again. */
static int64_t insist(struct mirror *r, struct call *c)
{
    struct call copy = *c;
    int64_t rc = sys(r->p, c);
    while (is_passing(rc) && !r->ends) {
        program_pause(r->m->w, 100);
        *c = copy;
        rc = sys(r->p, c);
    }
    return rc;
}

static int64_t open_it(struct mirror *r, const char *path, int flags)
{
    struct call c = {.type = CALL_OPEN, .flags = flags};
    snprintf(c.path, sizeof(c.path), "%s", path);
    return insist(r, &c);
}

static void read_file(struct mirror *r, const char *path)
{
    struct buf data = {0};
    int64_t rc = -EAGAIN;
    while (is_passing(rc) && !r->ends) {
        int64_t fd = open_it(r, path, O_RDONLY);
        buf_reset(&data);
        rc = fd < 0 ? fd : sys_read_all(r->p, (int)fd, &data);
        if (fd >= 0)
            sys_close(r->p, (int)fd);
        if (is_passing(rc))
            program_pause(r->m->w, 100);
    }
    if (rc == -ENOENT)
        take_away(r, path); /* one that was never committed is not told to be gone */
    if (rc == 0) {
        struct known *at = add(r, path, false);
        buf_reset(&at->data);
        buf_append(&at->data, data.data, data.len);
        at->has_data = true;
    }
    buf_close(&data);
}

static void scan(struct mirror *r, const char *path);

static void look(struct mirror *r, const char *path)
{
    struct call c = {.type = CALL_STAT};
    snprintf(c.path, sizeof(c.path), "%s", path);
    int64_t rc = insist(r, &c);
    if (rc == -ENOENT)
        take_away(r, path);
    if (rc < 0)
        return;
    struct known *at = find(r, path);
    if (at && at->is_dir != S_ISDIR(c.st.st_mode))
        take_away(r, path);
    if (S_ISDIR(c.st.st_mode))
        scan(r, path);
    else
        read_file(r, path);
}

static int64_t list_once(struct mirror *r, const char *path, struct buf *names)
{
    int64_t fd = open_it(r, path, O_RDONLY | O_DIRECTORY), rc = fd;
    buf_reset(names);
    while (fd >= 0 && rc >= 0) {
        struct call c = {.type = CALL_GETDENTS, .fd = (int)fd, .size = 4096};
        rc = sys(r->p, &c);
        for (size_t i = 0; i < c.n_entries; i++) {
            if (c.entries[i].name[0] != '.')
                buf_append(names, c.entries[i].name, strlen(c.entries[i].name) + 1);
        }
        call_end(&c);
        if (rc == 0)
            break;
    }
    if (fd >= 0)
        sys_close(r->p, (int)fd);
    return rc;
}

static void list(struct mirror *r, const char *path, struct buf *names)
{
    int64_t rc = list_once(r, path, names);
    while (is_passing(rc) && !r->ends) {
        program_pause(r->m->w, 100);
        rc = list_once(r, path, names);
    }
}

/* A watch first, then what is there. */
static void scan(struct mirror *r, const char *path)
{
    struct buf names = {0};
    struct call c = {.type = CALL_WATCH, .inotify = r->in};
    c.flags = IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |
              IN_DELETE_SELF;
    snprintf(c.path, sizeof(c.path), "%s", path);
    int64_t wd = insist(r, &c);
    if (wd < 0)
        return;
    struct known *before = find_wd(r, (int)wd);
    if (before && strcmp(before->path, path) != 0)
        take_away(r, before->path);
    add(r, path, true)->wd = (int)wd;
    list(r, path, &names);
    for (size_t i = 0; i < names.len; i += strlen((char *)names.data + i) + 1) {
        char below[PATH_SIZE];
        join(below, path, (char *)names.data + i);
        look(r, below);
    }
    buf_close(&names);
}

static void scan_all(struct mirror *r)
{
    while (r->n > 0)
        take_away(r, r->known[0]->path);
    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        scan(r, roots[i]);
}

/* ---- Events ---- */

static void take_event(struct mirror *r, const struct notice *n)
{
    char path[PATH_SIZE];
    struct buf text = {0};
    if (n->mask & IN_Q_OVERFLOW) {
        sim_trace(r->m->w, "%s: the mirror's queue ran over", r->m->kernel->name);
        scan_all(r);
        return;
    }
    const struct known *dir = find_wd(r, n->wd);
    if (!dir || !n->name)
        return;
    join(path, dir->path, n->name);
    notice_text(n->mask, &text);
    sim_trace(r->m->w, "%s: the mirror hears %.*s %s", r->m->kernel->name, (int)text.len,
              (char *)text.data, path);
    buf_close(&text);
    if (n->name[0] == '.')
        return;
    /* What is made in the place of something else need not be told as its end too: where that was
     * made here, at a name that was found free, the kernel tells of no more. */
    if (n->mask & (IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM))
        take_away(r, path);
    if (n->mask & (IN_DELETE | IN_MOVED_FROM))
        return;
    if (n->mask & IN_ISDIR)
        scan(r, path);
    else if (n->mask & (IN_CREATE | IN_MOVED_TO))
        look(r, path);
    else if (n->mask & (IN_MODIFY | IN_CLOSE_WRITE))
        read_file(r, path);
}

static void on_event(struct inotify *in)
{
    struct mirror *r = in->arg;
    struct task *t = r->waits;
    r->waits = NULL;
    if (t)
        task_wake(r->m->w, t, chance(r->m->w, 3) ? between(r->m->w, 0, 50) : 0);
}

static void run(struct world *w, void *arg)
{
    struct mirror *r = arg;
    struct notice n;
    scan_all(r);
    while (!r->ends) {
        if (!inotify_next(r->in, &n)) {
            r->waits = task_running();
            task_sleep(w);
            continue;
        }
        take_event(r, &n);
        free(n.name);
    }
    struct call c = {.type = CALL_EXIT};
    kernel_call_now(r->p, &c);
    r->over = true;
}

void mirror_begin(struct mountpoint *m)
{
    struct mirror *r = m->mirror = mem_zalloc(sizeof(*r));
    r->m = m;
    r->p = program_process(m, "mirror");
    r->in = inotify_new(r->p, chance(m->w, 4) ? (size_t)between(m->w, 2, 20) : KERNEL_EVENTS);
    r->in->on_event = on_event;
    r->in->arg = r;
    task_start(m->w, 0, run, r);
}

bool mirror_is_quiet(const struct mountpoint *m)
{
    const struct mirror *r = m->mirror;
    return !r || r->over || (r->waits && r->in->n == 0);
}

bool mirror_is_over(const struct mountpoint *m)
{
    return !m->mirror || m->mirror->over;
}

void mirror_end(struct mountpoint *m)
{
    struct mirror *r = m->mirror;
    if (!r || r->ends)
        return;
    r->ends = true;
    struct task *t = r->waits;
    r->waits = NULL;
    if (t)
        task_wake(m->w, t, 0);
}

void mirror_free(struct mountpoint *m)
{
    struct mirror *r = m->mirror;
    if (!r)
        return;
    while (r->n > 0)
        take_away(r, r->known[0]->path);
    free(r->known);
    free(r);
}

/* ---- Against the tree ---- */

bool shown_as_dir(const struct znode *z)
{
    struct zk_stat stat;
    znode_stat(z, &stat);
    return slice_is_null(znode_data(z)) || stat.num_children > 0 || stat.cversion > 0;
}

static void compare_node(struct mirror *r, const struct znode *z, size_t *n)
{
    struct world *w = r->m->w;
    const struct tree *t = w->shadow;
    struct buf path = {0};
    tree_path(t, z, &path);
    buf_append(&path, "", 1);
    const char *name = (char *)path.data + 1;
    const struct known *at = find(r, name);
    (*n)++;
    if (!at)
        sim_fail(w, SIM_BROKEN, "%s: the mirror has not heard of /%s", r->m->kernel->name, name);
    if (at->is_dir != shown_as_dir(z))
        sim_fail(w, SIM_BROKEN, "%s: the mirror takes /%s for a %s", r->m->kernel->name, name,
                 at->is_dir ? "directory" : "file");
    struct slice data = slice_is_null(znode_data(z)) ? SLICE_EMPTY : znode_data(z);
    if (!at->is_dir && !slice_eq(data, buf_slice(&at->data)))
        sim_fail(w, SIM_BROKEN, "%s: the mirror has '%.*s' in /%s, where '%.*s' is",
                 r->m->kernel->name, (int)at->data.len, (char *)at->data.data, name,
                 SLICE_ARG(data));
    buf_close(&path);
    for (const struct znode *c = tree_first_child(t, z); c; c = tree_next_child(t, c))
        compare_node(r, c, n);
}

void mirror_compare(struct mountpoint *m)
{
    struct mirror *r = m->mirror;
    size_t n = 0;
    cover_mount(MOUNT_POINT_check_mirror);
    if (!r || r->over || !checks(m->w, MOUNT_CHECK_mirror))
        return;
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        char path[16];
        snprintf(path, sizeof(path), "/%s", roots[i]);
        const struct znode *z = tree_find(m->w->shadow, slice_str(path));
        if (z)
            compare_node(r, z, &n);
    }
    for (size_t i = 0; i < r->n; i++) {
        char path[100];
        snprintf(path, sizeof(path), "/%s", r->known[i]->path);
        if (!tree_find(m->w->shadow, slice_str(path)))
            sim_fail(m->w, SIM_BROKEN, "%s: the mirror still has %s, which is gone",
                     m->kernel->name, path);
    }
}
