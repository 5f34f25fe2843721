/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The model of the kernel by itself: over a file system that is a few lines long, what requests it
 * makes, and that it forgets what it has looked up. The sequences are those that Linux 6.18 made
 * over a libfuse file system that answered as this one does. */
#include "test_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

/* ---- One call after the other ---- */

static int64_t last_rc;
static struct process *self;

static void done(struct process *p, struct call *c)
{
    (void)p;
    last_rc = c->rc;
}

static void settle(void)
{
    while (sim_step(&w))
        continue;
}

static int64_t call(struct call c)
{
    kernel_call(self, &c, done);
    settle();
    return last_rc;
}

static int64_t on(enum call_type type, const char *path)
{
    struct call c = {.type = type};
    snprintf(c.path, sizeof(c.path), "%s", path);
    return call(c);
}

static int open_file(const char *path, int flags)
{
    struct call c = {.type = CALL_OPEN, .flags = flags, .mode = 0666};
    snprintf(c.path, sizeof(c.path), "%s", path);
    return (int)call(c);
}

static int64_t on_fd(enum call_type type, int fd)
{
    return call((struct call){.type = type, .fd = fd, .offset = -1});
}

static int64_t write_text(int fd, const char *text)
{
    struct call c = {.type = CALL_WRITE, .fd = fd, .offset = -1};
    buf_printf(&c.data, "%s", text);
    int64_t rc = call(c);
    buf_close(&c.data);
    return rc;
}

static void expect(const char *what, const char *must)
{
    if (!slice_eq_str(buf_slice(&seen), must)) {
        fprintf(stderr, "%s: the requests are\n%.*sand must be\n%s", what, (int)seen.len,
                (char *)seen.data, must);
        exit(1);
    }
    buf_reset(&seen);
}

static void begin(uint64_t seed, const char *script)
{
    memset(&w, 0, sizeof(w));
    w.options.script = script;
    w.options.seed = w.rng.state = seed;
    memset(nodes, 0, sizeof(nodes));
    nodes[1] = (struct node){.is_dir = true, .links = 1};
    k = kernel_open(&w, 0, "/mnt");
    k->deliver = deliver;
    k->on_injected = on_injected;
    k->io_max = 1 << 20;
    entry_ms = 1000000;
    late_ms = 0;
    buf_reset(&seen);
}

static void end(void)
{
    settle();
    ensure(kernel_is_idle(k) && tasks_alive() == 0);
    kernel_drop_caches(k, 1);
    settle();
    for (size_t i = 2; i < NODES; i++) {
        if (nodes[i].lookups != 0)
            sim_fail(&w, SIM_BROKEN, "node %zu is held by %" PRId64 " lookups", i,
                     nodes[i].lookups);
    }
    kernel_close(k);
    free(w.heap);
}

static void exit_process(struct process *p)
{
    const struct call c = {.type = CALL_EXIT};
    if (!p->gone && !p->busy && !p->killed)
        kernel_call(p, &c, NULL);
}

/* ---- The sequences of the real one ---- */

static void test_file(void)
{
    begin(1, "");
    self = kernel_process(k, "test");
    add(1, "f", false);
    on(CALL_STAT, "f");
    expect("stat", "LOOKUP 1 f\n");
    int fd = open_file("f", O_RDWR);
    on_fd(CALL_FSTAT, fd);
    expect("open, fstat", "OPEN 2\n");
    write_text(fd, "hello");
    on_fd(CALL_FSTAT, fd);
    expect("write, fstat", "WRITE 2 0+5\nGETATTR 2\n");
    write_text(fd, "hello");
    ensure(call((struct call){.type = CALL_LSEEK, .fd = fd, .whence = SEEK_END}) == 10);
    ensure(call((struct call){.type = CALL_LSEEK, .fd = fd, .whence = SEEK_END}) == 10);
    expect("write, SEEK_END twice", "WRITE 2 5+5\nGETATTR 2 fh\n");
    on_fd(CALL_FSYNC, fd);
    call((struct call){.type = CALL_FTRUNCATE, .fd = fd, .size = 3});
    on_fd(CALL_CLOSE, fd);
    expect("fsync, ftruncate, close", "FSYNC 2\nSETATTR 2 3 fh\nFLUSH 2\nRELEASE 2\n");
    on_fd(CALL_CLOSE, open_file("f", O_WRONLY | O_TRUNC | O_CREAT));
    expect("open(O_TRUNC)", "OPEN 2\nSETATTR 2 0\nFLUSH 2\nRELEASE 2\n");
    fd = open_file("f", O_WRONLY | O_APPEND);
    write_text(fd, "abc");
    write_text(fd, "abc");
    on_fd(CALL_CLOSE, fd);
    expect("append", "OPEN 2\nWRITE 2 0+3\nWRITE 2 3+3\nFLUSH 2\nRELEASE 2\n");
    on(CALL_UTIMES, "f");
    on(CALL_TRUNCATE, "f");
    expect("utimes, truncate", "SETATTR 2 0\nSETATTR 2 0\n");
    open_errors = 2;
    ensure(open_file("f", O_RDONLY) == -ESTALE);
    expect("ESTALE", "OPEN 2\nLOOKUP 1 f\nOPEN 2\n");
    exit_process(self);
    end();
}

static void test_names(void)
{
    begin(1, "");
    self = kernel_process(k, "test");
    add(1, "f", false);
    add(1, "d", true);
    on(CALL_STAT, "f");
    on(CALL_STAT, "none");
    on(CALL_STAT, "none");
    expect("stat of none", "LOOKUP 1 f\nLOOKUP 1 none\n");
    on(CALL_MKDIR, "none");
    expect("mkdir", "LOOKUP 1 none\nMKDIR 1 none\n");
    on(CALL_RMDIR, "none");
    expect("rmdir", "RMDIR 1 none\nFORGET 4 1\n");
    on(CALL_RENAME, "f");
    struct call c = {.type = CALL_RENAME, .path = "f", .path2 = "g"};
    buf_reset(&seen);
    call(c);
    expect("rename", "LOOKUP 1 g\nRENAME 1 f g\n");
    on(CALL_STAT, "g");
    on(CALL_STAT, "f");
    expect("stat behind it", "GETATTR 2\nLOOKUP 1 f\n");
    on(CALL_UNLINK, "g");
    expect("unlink", "UNLINK 1 g\nFORGET 2 1\n");
    on_fd(CALL_CLOSE, open_file("f", O_WRONLY | O_CREAT | O_EXCL));
    expect("O_EXCL", "LOOKUP 1 f\nCREATE 1 f\nFLUSH 2\nRELEASE 2\n");
    exit_process(self);
    end();
}

static void expect_events(struct inotify *in, const char *must)
{
    struct buf text = {0};
    for (struct notice n; inotify_next(in, &n);) {
        notice_text(n.mask, &text);
        buf_printf(&text, " %s\n", n.name ? n.name : "");
        free(n.name);
    }
    if (!slice_eq_str(buf_slice(&text), must)) {
        fprintf(stderr, "the events are\n%.*sand must be\n%s", (int)text.len, (char *)text.data,
                must);
        exit(1);
    }
    buf_close(&text);
}

static struct inotify *watching;

static void watch_done(struct process *p, struct call *c)
{
    (void)p;
    watching = c->inotify;
}

static struct inotify *watch_path(const char *path)
{
    struct call c = {.type = CALL_WATCH, .flags = IN_ALL_EVENTS};
    snprintf(c.path, sizeof(c.path), "%s", path);
    kernel_call(self, &c, watch_done);
    settle();
    return watching;
}

static void test_events(void)
{
    begin(1, "");
    self = kernel_process(k, "test");
    add(1, "f", false);
    struct inotify *dir = watch_path(""), *file = watch_path("f");
    int fd = open_file("f", O_RDWR | O_TRUNC);
    write_text(fd, "x");
    on_fd(CALL_CLOSE, fd);
    on(CALL_UTIMES, "f");
    on(CALL_TRUNCATE, "f");
    expect_events(dir, "OPEN f\nMODIFY f\nCLOSE_WRITE f\nATTRIB f\nMODIFY f\n");
    expect_events(file, "OPEN \nMODIFY \nCLOSE_WRITE \nATTRIB \nMODIFY \n");
    fd = open_file("f", O_RDWR);
    on(CALL_UNLINK, "f");
    write_text(fd, "y");
    on_fd(CALL_CLOSE, fd);
    expect_events(dir, "OPEN f\nDELETE f\nMODIFY f\nCLOSE_WRITE f\n");
    expect_events(file, "OPEN \nATTRIB \nMODIFY \nCLOSE_WRITE \nDELETE_SELF \nIGNORED \n");
    on_fd(CALL_CLOSE, open_file("f", O_RDWR | O_CREAT | O_EXCL));
    struct call c = {.type = CALL_RENAME, .path = "f", .path2 = "g"};
    call(c);
    fd = open_file("", O_RDONLY | O_DIRECTORY);
    struct call list = {.type = CALL_GETDENTS, .fd = fd, .size = 4096};
    call(list);
    on_fd(CALL_CLOSE, fd);
    on(CALL_UNLINK, "g");
    expect_events(dir, "CREATE f\nOPEN f\nCLOSE_WRITE f\nMOVED_FROM f\nMOVED_TO g\nOPEN,ISDIR \n"
                       "ACCESS,ISDIR \nCLOSE_NOWRITE,ISDIR \nDELETE g\n");
    exit_process(self);
    end();
}

/* ---- Anything at random ---- */

static uint64_t calls_left, effects_left;

static void any_call(struct process *p, struct call *before);

static void any_path(char *path, size_t size)
{
    static const char *const paths[] = {"a",   "b",     "d",     "d/a",     "d/b",
                                        "d/e", "d/e/x", "d/e/y", "none/at", "d/e/z"};
    snprintf(path, size, "%s", paths[rng_below(&w.rng, ARRAY_LEN(paths))]);
}

static void any_call(struct process *p, struct call *before)
{
    static const int flags[] = {O_RDONLY, O_RDWR | O_CREAT, O_WRONLY | O_TRUNC | O_CREAT,
                                O_RDWR | O_APPEND, O_RDWR | O_CREAT | O_EXCL};
    struct call c = {.type = (enum call_type)between(&w, 0, CALL_WATCH), .mode = 0666};
    if (before && before->child)
        any_call(before->child, NULL);
    if (p->gone || p->busy)
        return;
    if (calls_left == 0 || --calls_left == 0 || chance(&w, 40))
        c.type = CALL_EXIT;
    else if (chance(&w, 30) && k->next_pid < 60)
        c.type = CALL_FORK;
    any_path(c.path, sizeof(c.path));
    any_path(c.path2, sizeof(c.path2));
    c.fd = (int)between(&w, 0, 3);
    c.offset = c.type == CALL_DUP || chance(&w, 2) ? -1 : between(&w, 0, 20);
    c.size = (uint64_t)between(&w, 0, 400);
    c.flags = c.type == CALL_RENAME ? 0 : flags[rng_below(&w.rng, ARRAY_LEN(flags))];
    if (c.type == CALL_WATCH)
        c.flags = IN_ALL_EVENTS;
    if (c.type == CALL_WRITE)
        buf_printf(&c.data, "some text");
    if (chance(&w, 50))
        kernel_drop_caches(k, (unsigned)between(&w, 1, 3));
    kernel_call(p, &c, any_call);
    buf_close(&c.data);
    if (chance(&w, 60))
        kernel_kill(p);
}

static void any_effect(struct world *world, void *arg)
{
    char path[300], from[300];
    struct mount_effect e = {.type = chance(world, 2) ? MOUNT_INJECT : MOUNT_INVAL_ENTRY};
    any_path(path, sizeof(path));
    any_path(from, sizeof(from));
    (void)arg;
    if (calls_left == 0 || --effects_left == 0)
        return;
    if (e.type == MOUNT_INJECT) {
        e.inject.kind = (enum mount_inject)between(world, 0, MOUNT_INJECT_PROBE);
        e.inject.is_dir = e.inject.kind < MOUNT_INJECT_DATA && chance(world, 2);
        e.inject.path = path;
        e.inject.from = e.inject.kind == MOUNT_INJECT_RENAME ? from : NULL;
    } else {
        e.inval.ino = (uint64_t)between(world, 1, 5);
        e.inval.name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        e.type = chance(world, 3) ? MOUNT_INVAL_INODE : MOUNT_INVAL_ENTRY;
    }
    kernel_effect(k, &e);
    if (chance(world, 10))
        kernel_kill_injector(k);
    sim_at(world, between(world, 0, 30), any_effect, NULL);
}

static void test_random(uint64_t seed)
{
    begin(seed, NULL);
    entry_ms = chance(&w, 2) ? 0 : between(&w, 1, 100);
    late_ms = chance(&w, 2) ? 0 : between(&w, 1, 30);
    k->io_max = (uint32_t)between(&w, 1, 20);
    k->next_pid = 1;
    add(1, "d", true);
    calls_left = 400;
    effects_left = 200;
    for (int i = 0; i < 4; i++)
        any_call(kernel_process(k, "random"), NULL);
    any_effect(&w, NULL);
    settle();
    LIST_FOR_EACH (p, &k->processes, struct process, link)
        exit_process(p);
    end();
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    static struct cover_count counts[COVER_SLOTS];
    coverage_begin(counts);
    test_file();
    test_names();
    test_events();
    w.options.trace = seed > 0;
    for (uint64_t i = seed > 0 ? seed : 1; i <= (seed > 0 ? seed : 300); i++)
        test_random(i);
    buf_close(&seen);
    return 0;
}
