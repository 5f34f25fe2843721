/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For the test of the kernel's model: a world without servers, and a file system in memory that
 * answers at once or late. */
#include "test_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- A world without servers ---- */

struct world w;

bool chance(struct world *world, unsigned one_in)
{
    return !world->options.script && rng_one_in(&world->rng, one_in);
}

int64_t between(struct world *world, int64_t low, int64_t high)
{
    return low + (int64_t)rng_below(&world->rng, (uint64_t)(high - low + 1));
}

/* The next event is the last of the array. */
void sim_at(struct world *world, int64_t delay_ms, void (*happen)(struct world *world, void *arg),
            void *arg)
{
    ROOM_FOR_ONE(world->heap, world->n_heap, world->cap_heap);
    int64_t at_ms = world->now_ms + delay_ms;
    size_t i = 0;
    while (i < world->n_heap && world->heap[i].at_ms > at_ms)
        i++;
    memmove(world->heap + i + 1, world->heap + i, (world->n_heap - i) * sizeof(world->heap[0]));
    world->heap[i] = (struct sim_event){at_ms, world->n_events++, happen, arg};
    world->n_heap++;
}

bool sim_step(struct world *world)
{
    if (world->n_heap == 0)
        return false;
    struct sim_event ev = world->heap[--world->n_heap];
    world->now_ms = ev.at_ms;
    ev.happen(world, ev.arg);
    return true;
}

void sim_trace(struct world *world, const char *fmt, ...)
{
    va_list ap;
    if (!world->options.trace)
        return;
    printf("[%6" PRId64 "] ", world->now_ms);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

void sim_detail(struct world *world, const char *fmt, ...)
{
    va_list ap;
    if (!world->options.trace)
        return;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

void sim_fail(struct world *world, enum sim_exit code, const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 ": ", world->options.seed);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    _exit(code);
}

/* ---- A file system ---- */

struct node nodes[NODES];

struct kernel *k;
struct buf seen;
int64_t entry_ms, late_ms;
int open_errors;

const char *mount_op_name(enum mount_op op)
{
    static const char *const names[] = {
        "LOOKUP", "FORGET",  "GETATTR", "SETATTR", "ACCESS",     "STATFS", "GETXATTR",
        "LISTX",  "OPENDIR", "READDIR", "RDPLUS",  "RELEASEDIR", "OPEN",   "CREATE",
        "READ",   "WRITE",   "FLUSH",   "RELEASE", "FSYNC",      "MKDIR",  "MKNOD",
        "UNLINK", "RMDIR",   "SYMLINK", "LINK",    "RENAME",
    };
    return names[op];
}

size_t mount_entry_size(size_t name_len, bool plus)
{
    return (plus ? 128 : 0) + 24 + (name_len + 7) / 8 * 8;
}

static struct node *child(uint64_t parent, const char *name)
{
    for (size_t i = 2; i < NODES; i++) {
        if (nodes[i].parent == parent && strcmp(nodes[i].name, name) == 0)
            return &nodes[i];
    }
    return NULL;
}

static void fill(const struct node *n, struct mount_entry *e)
{
    *e = (struct mount_entry){.ino = (uint64_t)(n - nodes), .entry_ms = entry_ms};
    e->attr_ms = entry_ms;
    e->st = (struct stat){.st_ino = e->ino,
                          .st_mode = n->is_dir ? S_IFDIR | 0777 : S_IFREG | 0666,
                          .st_nlink = n->links,
                          .st_size = (off_t)n->size};
}

struct node *add(uint64_t parent, const char *name, bool is_dir)
{
    size_t i = 2;
    while (i < NODES && (nodes[i].parent != 0 || nodes[i].lookups > 0))
        i++;
    if (i == NODES)
        return NULL;
    nodes[i] = (struct node){.parent = parent, .is_dir = is_dir, .links = 1};
    snprintf(nodes[i].name, sizeof(nodes[i].name), "%s", name);
    return &nodes[i];
}

static void remove_node(struct node *n)
{
    n->parent = 0;
    n->links = 0;
}

static int answer_lookup(const struct mount_request *r, struct mount_reply *a)
{
    struct node *n = child(r->ino, r->name);
    a->type = MOUNT_REPLY_ENTRY;
    a->entry = (struct mount_entry){.entry_ms = entry_ms};
    if (n) {
        fill(n, &a->entry);
        n->lookups++;
    }
    return 0;
}

static int answer_make(const struct mount_request *r, struct mount_reply *a)
{
    struct node *n = child(r->ino, r->name);
    if (n && (r->op != MOUNT_CREATE || (r->open_flags & O_EXCL)))
        return EEXIST;
    if (n && n->is_dir)
        return EISDIR;
    if (!n)
        n = add(r->ino, r->name, r->op == MOUNT_MKDIR);
    if (!n)
        return ENOSPC;
    n->lookups++;
    fill(n, &a->entry);
    a->opened = (struct mount_opened){.fh = a->entry.ino, .direct_io = true};
    a->type = r->op == MOUNT_CREATE ? MOUNT_REPLY_CREATE : MOUNT_REPLY_ENTRY;
    return 0;
}

static bool is_empty(uint64_t ino)
{
    for (size_t i = 2; i < NODES; i++) {
        if (nodes[i].parent == ino)
            return false;
    }
    return true;
}

static int answer_remove(const struct mount_request *r)
{
    struct node *n = child(r->ino, r->name);
    if (!n || (n->is_dir && !is_empty((uint64_t)(n - nodes))))
        return n ? ENOTEMPTY : ENOENT;
    remove_node(n);
    return 0;
}

static int answer_rename(const struct mount_request *r)
{
    struct node *from = child(r->ino, r->name), *to = child(r->new_ino, r->new_name);
    if (!from || (to && to->is_dir && !is_empty((uint64_t)(to - nodes))))
        return from ? ENOTEMPTY : ENOENT;
    if (to)
        remove_node(to);
    from->parent = r->new_ino;
    snprintf(from->name, sizeof(from->name), "%s", r->new_name);
    return 0;
}

static int answer_data(const struct mount_request *r, struct mount_reply *a)
{
    struct node *n = &nodes[r->ino];
    size_t len = slice_size(r->data);
    if (r->op == MOUNT_READ) {
        size_t at = MIN(r->offset, n->size);
        a->type = MOUNT_REPLY_DATA;
        a->data = slice_of(n->data + at, MIN(r->size, n->size - at));
        return 0;
    }
    if (r->offset + len > SIZE_MAX_FILE)
        return EFBIG;
    memcpy(n->data + r->offset, r->data.data, len);
    n->size = MAX(n->size, r->offset + len);
    a->type = MOUNT_REPLY_SIZE;
    a->size = len;
    return 0;
}

static int answer_list(const struct mount_request *r, struct mount_reply *a)
{
    static struct mount_entry entries[NODES];
    size_t room = r->size;
    a->type = MOUNT_REPLY_DIR;
    a->entries = entries;
    for (size_t i = MAX(r->offset + 1, 2); i < NODES; i++) {
        size_t size = mount_entry_size(strlen(nodes[i].name), true);
        if (nodes[i].parent != r->ino || size > room)
            continue;
        room -= size;
        struct mount_entry *e = &entries[a->n_entries++];
        fill(&nodes[i], e);
        e->name = nodes[i].name;
        e->next = i;
        e->held = i % 3 > 0;
        nodes[i].lookups += e->held;
    }
    return 0;
}

static int answer(const struct mount_request *r, struct mount_reply *a)
{
    struct node *n = &nodes[r->ino];
    switch (r->op) {
    case MOUNT_LOOKUP:
        return answer_lookup(r, a);
    case MOUNT_SETATTR:
        if (r->set & MOUNT_SET_SIZE) {
            memset(n->data + MIN(n->size, r->size), 0, SIZE_MAX_FILE - MIN(n->size, r->size));
            n->size = r->size;
        }
        /* fall through */
    case MOUNT_GETATTR:
        fill(n, &a->entry);
        a->type = MOUNT_REPLY_ATTR;
        return 0;
    case MOUNT_OPEN:
        if (open_errors > 0 && open_errors-- > 0)
            return ESTALE;
        /* fall through */
    case MOUNT_OPENDIR:
        a->type = MOUNT_REPLY_OPEN;
        a->opened = (struct mount_opened){.fh = r->ino, .direct_io = true};
        a->opened.cache_dir = a->opened.keep_cache = r->op == MOUNT_OPENDIR;
        return 0;
    case MOUNT_CREATE:
    case MOUNT_MKDIR:
    case MOUNT_MKNOD:
        return answer_make(r, a);
    case MOUNT_UNLINK:
    case MOUNT_RMDIR:
        return answer_remove(r);
    case MOUNT_RENAME:
        return answer_rename(r);
    case MOUNT_READ:
    case MOUNT_WRITE:
        return answer_data(r, a);
    case MOUNT_READDIRPLUS:
        return answer_list(r, a);
    default:
        return 0;
    }
}

/* ---- Requests and replies ---- */

static void note(const struct mount_request *r)
{
    buf_printf(&seen, "%s %" PRIu64, mount_op_name(r->op), r->ino);
    if (r->name)
        buf_printf(&seen, " %s", r->name);
    if (r->new_name)
        buf_printf(&seen, " %s", r->new_name);
    if (r->op == MOUNT_WRITE)
        buf_printf(&seen, " %" PRIu64 "+%zu", r->offset, slice_size(r->data));
    if (r->op == MOUNT_SETATTR)
        buf_printf(&seen, " %" PRIu64, r->size);
    if ((r->op == MOUNT_GETATTR || r->op == MOUNT_SETATTR) && r->fh > 0)
        buf_printf(&seen, " fh");
    if (r->op == MOUNT_FORGET)
        buf_printf(&seen, " %" PRIu64, r->lookups);
    buf_printf(&seen, "\n");
}

struct late {
    struct mount_reply reply;
    struct buf bytes;
};

/* What was not taken is undone, as the shell does it. */
static void reply(const struct mount_reply *a)
{
    if (kernel_reply(k, a) || a->type == MOUNT_REPLY_ERR)
        return;
    if ((a->type == MOUNT_REPLY_ENTRY || a->type == MOUNT_REPLY_CREATE) && a->entry.ino > 0)
        nodes[a->entry.ino].lookups--;
    for (size_t i = 0; i < a->n_entries; i++)
        nodes[a->entries[i].ino].lookups -= a->entries[i].held;
}

static void reply_late(struct world *world, void *arg)
{
    struct late *l = arg;
    (void)world;
    reply(&l->reply);
    buf_close(&l->bytes);
    free(l);
}

void deliver(struct kernel *kernel, const struct mount_request *r)
{
    struct mount_reply a = {.id = r->id, .op = r->op};
    (void)kernel;
    note(r);
    if (r->op == MOUNT_FORGET) {
        nodes[r->ino].lookups -= (int64_t)r->lookups;
        ensure(nodes[r->ino].lookups >= 0);
        return;
    }
    a.err = answer(r, &a);
    if (a.err != 0)
        a.type = MOUNT_REPLY_ERR;
    if (late_ms == 0 || a.n_entries > 0) {
        reply(&a);
        return;
    }
    struct late *l = mem_zalloc(sizeof(*l));
    l->reply = a;
    buf_append(&l->bytes, a.data.data, slice_size(a.data));
    l->reply.data = buf_slice(&l->bytes);
    sim_at(&w, between(&w, 0, late_ms), reply_late, l);
}

void on_injected(struct kernel *kernel, int rc)
{
    (void)kernel;
    (void)rc;
}
