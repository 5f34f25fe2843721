/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listings. The first read of an open directory takes a list of its nodes, with all the Stats in
 * flight together; further reads go on in that list. The kernel keeps what it read, and reads no
 * more until something in the directory changes. All of it is done in parts (work.c), and names
 * come and go between them.
 *
 * Subdirectories that the kernel does not hold are given without a node: holding one means to
 * watch what is in it, which is due only when somebody looks at it. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

#include "zab/sort.h"

enum {
    IN_FLIGHT_MAX = 1000,
    LISTED_NAME_MAX = 1024, /* a longer one ends the whole listing in the kernel */
};

/* A name that was there when the list was taken. Another node may have it by the time it is told.
 */
struct entry {
    struct node *n;
    uint64_t slot;
    size_t name; /* where it begins in dir->names */
};

enum phase {
    DIR_TAKING,
    DIR_SORTING,
    DIR_READING,
    DIR_REPLYING,
};

struct dir {
    struct mount *m;
    struct node *n;
    struct handle *h; /* while a read waits */
    struct entry *entries;
    size_t n_entries, cap;
    struct buf names; /* of them, each with its NUL */
    struct work work;
    size_t left; /* that this part of it may still do */
    enum phase phase;
    struct cursor cursor;
    bool sorted; /* as they were taken: none has moved here */
    struct sorter sorter;
    size_t next;    /* entry to be read */
    size_t waiting; /* for those that are */
    bool filling;
    int32_t err;
    /* the read that waits; m NULL: none does */
    struct req req;
    uint64_t size;
    uint64_t offset;
};

struct dir *dir_new(struct mount *m, struct node *n)
{
    struct dir *d = mem_zalloc(sizeof(*d));
    *d = (struct dir){.m = m, .n = node_ref(n)};
    return d;
}

/* Entries that nobody reads any more. */
struct shed {
    struct work work;
    struct mount *m;
    struct entry *entries;
    size_t n;
};

static bool shed_some(struct work *w, size_t n)
{
    struct shed *s = container_of(w, struct shed, work);
    for (; n > 0 && s->n > 0; n--)
        node_unref(&s->m->nodes, s->entries[--s->n].n);
    if (s->n > 0)
        return true;
    free(s->entries);
    free(s);
    return false;
}

static void forget_entries(struct dir *d)
{
    struct shed *s = mem_zalloc(sizeof(*s));
    *s = (struct shed){.m = d->m, .entries = d->entries, .n = d->n_entries};
    d->entries = NULL;
    d->n_entries = d->cap = 0;
    buf_close(&d->names);
    if (shed_some(&s->work, d->m->config.step_names))
        work_queue(s->m, &s->work, shed_some);
}

void dir_free(struct dir *d)
{
    work_end(&d->work);
    forget_entries(d);
    node_unref(&d->m->nodes, d->n);
    free(d);
}

void req_opendir(struct mount *m, const struct mount_request *q, struct req req)
{
    struct node *n = node_find(&m->nodes, q->ino);
    if (!n || !n->is_dir)
        reply_err(req, n ? ENOTDIR : ESTALE);
    else if (m->config.stale_error && mount_is_stale(m) && n->kind == NODE_ZNODE)
        reply_err(req, EIO);
    else
        reply_add(req, MOUNT_REPLY_OPEN)->opened = handle_opened(handle_new_dir(m, n));
}

void req_releasedir(struct mount *m, const struct mount_request *q, struct req req)
{
    struct handle *h = handle_find(m, q->fh);
    reply_err(req, 0);
    if (!h)
        return;
    h->released = true;
    handle_free_unused(h);
}

/* ---- The answer from the list ---- */

static const char *entry_name(const struct dir *d, size_t i)
{
    if (i < 2)
        return i == 0 ? "." : "..";
    return (const char *)d->names.data + d->entries[i - 2].name;
}

/* An offset is the slot of the node before it, so that it means the same in another list, also
 * where a name has another node by then: nodes are listed in the order of their slots, which come
 * after 1 and 2, the offsets of "." and "..". */
static size_t index_of(const struct dir *d, uint64_t offset)
{
    size_t low = 0, high = d->n_entries;
    if (offset < 2)
        return offset;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (d->entries[middle].slot <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low + 2;
}

/* Has it an entry of its own beside the one at `at`, since it got this name while the list was
 * taken? */
static bool has_other_entry(const struct dir *d, const struct node *n, const char *name, size_t at)
{
    for (size_t i = index_of(d, n->slot - 1); i < d->n_entries + 2; i++) {
        if (d->entries[i - 2].slot != n->slot)
            return false;
        if (i != at && strcmp(entry_name(d, i), name) == 0)
            return true;
    }
    return false;
}

/* Entry 0 is ".", 1 is "..", then the names. NULL: nothing has this name any more. */
static struct node *entry_node(const struct dir *d, size_t i)
{
    if (i < 2)
        return i == 0 || !d->n->parent ? d->n : d->n->parent;
    struct node *n = d->entries[i - 2].n;
    const char *name = entry_name(d, i);
    if (n->life != NODE_GONE && n->parent == d->n && strcmp(n->shown, name) == 0)
        return n;
    n = lookup_known(d->m, d->n, name);
    bool other = n && n->kind == NODE_ZNODE && n->life != NODE_PENDING;
    return other && !has_other_entry(d, n, name, i) ? n : NULL;
}

static void fill_entry(struct dir *d, size_t i, struct node *n, bool plus, struct mount_entry *e)
{
    struct mount *m = d->m;
    reply_entry_fill(m, n, e);
    if (n->life == NODE_NAMED)
        e->st.st_mode = 0; /* of a kind that is not known */
    e->name = arena_str(&m->fx->arena, entry_name(d, i));
    e->next = i < 2 ? i + 1 : d->entries[i - 2].slot;
    e->held = plus && i >= 2 && n->life == NODE_LIVE && (!n->is_dir || node_is_held(n));
    n->given = true;
    if (e->held)
        reply_give(m, n);
}

/* False: so many names are gone that it has to go on after them. */
static bool reply_from(struct dir *d)
{
    bool plus = d->req.op == MOUNT_READDIRPLUS;
    size_t room = d->size, n = 0, i = index_of(d, d->offset), end = d->n_entries + 2;
    size_t most = MIN(end - i, room / mount_entry_size(1, plus));
    struct mount_entry *entries = arena_alloc(&d->m->fx->arena, most * sizeof(*entries));
    for (; i < end && n < most && d->left > 0; i++) {
        struct node *node = entry_node(d, i);
        size_t len = mount_entry_size(strlen(entry_name(d, i)), plus);
        if (!node) {
            d->left--;
            continue;
        }
        if (len > room)
            break;
        room -= len;
        fill_entry(d, i, node, plus, &entries[n++]);
    }
    if (n == 0 && d->left == 0 && i < end) {
        d->offset = d->entries[i - 3].slot;
        return false;
    }
    struct mount_reply *r = reply_add(d->req, MOUNT_REPLY_DIR);
    r->entries = entries;
    r->n_entries = n;
    return true;
}

/* ---- Taking the list ---- */

/* readdir(3) takes ENOENT for the end of a directory that was removed. What is mounted is not to
 * look like an empty one, to rsync --delete above all. */
static int list_errno(const struct dir *d)
{
    return d->err == ZK_NONODE && !d->n->parent ? ESTALE : map_errno(d->err, false);
}

static bool is_listed(const struct node *n)
{
    return n->kind == NODE_ZNODE && n->life != NODE_PENDING && strlen(n->shown) <= LISTED_NAME_MAX;
}

static int by_slot(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void add_entry(struct dir *d, struct node *n)
{
    if (d->n_entries == d->cap) {
        d->cap = MAX(2 * d->cap, d->n->n_children + 2);
        d->entries = mem_realloc(d->entries, d->cap * sizeof(*d->entries));
    }
    if (d->n_entries > 0 && d->entries[d->n_entries - 1].slot > n->slot)
        d->sorted = false;
    d->entries[d->n_entries++] = (struct entry){node_ref(n), n->slot, d->names.len};
    buf_append(&d->names, n->shown, strlen(n->shown) + 1);
}

static void take_some(struct dir *d)
{
    for (; d->left > 0; d->left--) {
        struct node *n = cursor_next(&d->cursor);
        if (!n) {
            cursor_close(&d->m->nodes, &d->cursor);
            if (!d->sorted)
                sorter_begin(&d->sorter, d->entries, d->n_entries, sizeof(*d->entries), by_slot);
            d->phase = d->sorted ? DIR_READING : DIR_SORTING;
            return;
        }
        if (d->n->kind == NODE_CONTROL_DIR || is_listed(n))
            add_entry(d, n);
        d->n->list_lacks |= n->life == NODE_PENDING;
    }
}

static void sort_some(struct dir *d)
{
    if (sorter_go_on(&d->sorter, d->left)) {
        d->left = 0;
        return;
    }
    d->entries = sorter_take(&d->sorter);
    d->phase = DIR_READING;
}

static void go_on(struct dir *d);

static void on_entry(void *arg, struct node *n, int32_t err)
{
    struct dir *d = arg;
    (void)n;
    (void)err; /* what cannot be read is listed by its name */
    d->waiting--;
    if (!d->filling)
        go_on(d);
}

/* Not all at once: a directory may have very many. False: answers have to come first. */
static bool read_some(struct dir *d)
{
    d->filling = true; /* what is known already is answered within the call */
    for (; d->left > 0 && d->next < d->n_entries && d->waiting < IN_FLIGHT_MAX; d->left--) {
        d->waiting++;
        fetch_attr(d->m, d->entries[d->next++].n, on_entry, d);
    }
    d->filling = false;
    if (d->next == d->n_entries && d->waiting == 0)
        d->phase = DIR_REPLYING;
    return d->phase == DIR_REPLYING || d->left == 0;
}

static bool reply(struct dir *d)
{
    if (d->err != ZK_OK)
        reply_err(d->req, list_errno(d));
    else if (!reply_from(d))
        return false;
    d->req = (struct req){0};
    handle_unref(d->h);
    return true;
}

static bool do_some(struct work *w, size_t n)
{
    struct dir *d = container_of(w, struct dir, work);
    for (d->left = n; d->left > 0;) {
        switch (d->phase) {
        case DIR_TAKING:
            take_some(d);
            break;
        case DIR_SORTING:
            sort_some(d);
            break;
        case DIR_READING:
            if (!read_some(d))
                return false;
            break;
        case DIR_REPLYING:
            if (reply(d))
                return false;
            break;
        }
    }
    return true;
}

static void go_on(struct dir *d)
{
    if (!work_waits(&d->work) && do_some(&d->work, d->m->config.step_names))
        work_queue(d->m, &d->work, do_some);
}

static void take_list(struct dir *d)
{
    forget_entries(d);
    d->sorted = true;
    d->next = d->waiting = 0;
    if (d->n->kind == NODE_ZNODE && d->n->stat.data_length > 0)
        add_entry(d, node_data_file(&d->m->nodes, d->n));
    d->n->list_lacks = false;
    cursor_open(&d->m->nodes, &d->cursor, d->n);
    d->phase = DIR_TAKING;
    go_on(d);
}

static void tell(struct dir *d)
{
    d->phase = DIR_REPLYING;
    go_on(d);
}

static void on_list(void *arg, struct node *n, int32_t err)
{
    struct dir *d = arg;
    if (n != d->n)
        err = ZK_NONODE;
    if (err == ZK_OK && !n->listed && n->kind == NODE_ZNODE)
        err = n->too_long > 0 ? ZK_REPLYTOOLONG : ZK_NOAUTH;
    if (err == ZK_OK) {
        take_list(d);
    } else {
        d->err = err;
        tell(d);
    }
}

void req_readdir(struct mount *m, const struct mount_request *q, struct req req)
{
    struct handle *h = handle_find(m, q->fh);
    struct dir *d = h ? h->dir : NULL;
    if (!d || d->req.m) {
        reply_err(req, d ? EBUSY : EBADF); /* the kernel reads a directory one call at a time */
        return;
    }
    d->h = handle_ref(h);
    d->req = req;
    d->size = q->size;
    d->offset = q->offset;
    d->err = ZK_OK;
    if (q->offset > 0 && d->entries)
        tell(d);
    else if (d->n->kind != NODE_ZNODE || d->n->life == NODE_GONE)
        take_list(d);
    else if (d->n->dirty_list && m->connected)
        fetch_list(m, d->n, on_list, d);
    else
        fetch_entry(m, d->n, on_list, d);
}
