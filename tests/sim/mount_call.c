/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One system call that a line of text tells, and what it gave, in the words that
 * tests/bats/mount_programs.py has for the same call on a real file system:
 *
 *     on M.P call NAME [fd=N] [path=PATH] [to=PATH] [flags=N] [size=N] [offset=N] [whence=N]
 *       [mask=N] [byte=C]
 *
 * What is opened gets the descriptor that the line names. A write is of `size` bytes. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- What is to be done ---- */

static bool set_field(struct call *c, char *byte, const char *word)
{
    const char *value = strchr(word, '=');
    size_t len = value ? (size_t)(value - word) : 0;
    struct slice key = slice_of((const uint8_t *)word, len);
    if (!value)
        return false;
    int64_t number = strtoll(++value, NULL, 10);
    if (slice_eq_str(key, "fd"))
        c->fd = (int)number;
    else if (slice_eq_str(key, "path"))
        snprintf(c->path, sizeof(c->path), "%s", value);
    else if (slice_eq_str(key, "to"))
        snprintf(c->path2, sizeof(c->path2), "%s", value);
    else if (slice_eq_str(key, "flags"))
        c->flags = (int)number;
    else if (slice_eq_str(key, "size"))
        c->size = (uint64_t)number;
    else if (slice_eq_str(key, "offset"))
        c->offset = number;
    else if (slice_eq_str(key, "whence") || slice_eq_str(key, "mask"))
        c->whence = (int)number;
    else if (slice_eq_str(key, "byte"))
        *byte = *value;
    else
        return false;
    return true;
}

static bool fill_call(struct call *c, const char *name, char *fields)
{
    char *state, byte = 'x';
    enum call_type type = CALL_OPEN;
    while (type < CALL_N_TYPES && strcmp(call_name(type), name) != 0)
        type++;
    *c = (struct call){.type = type, .mode = 0777, .offset = -1};
    for (char *w = strtok_r(fields, " ", &state); w; w = strtok_r(NULL, " ", &state)) {
        if (!set_field(c, &byte, w))
            return false;
    }
    if (type == CALL_WRITE && c->size > 0)
        memset(buf_extend(&c->data, c->size), byte, c->size);
    return type < CALL_N_TYPES;
}

/* ---- What it gave ---- */

/* "3a2.": three times a, two zeros. */
static void tell_bytes(struct buf *out, struct slice bytes)
{
    size_t n = slice_size(bytes);
    for (size_t from = 0, to = 0; from < n; from = to) {
        while (to < n && bytes.data[to] == bytes.data[from])
            to++;
        buf_printf(out, "%zu%c", to - from, bytes.data[from] ? bytes.data[from] : '.');
    }
}

static void tell_stat(struct buf *out, const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        buf_printf(out, "directory");
    else
        buf_printf(out, "file %" PRId64 " %u", (int64_t)st->st_size, (unsigned)st->st_nlink);
}

static int by_name(const void *a, const void *b)
{
    const struct call_entry *one = a, *other = b;
    return strcmp(one->name, other->name);
}

static void tell_names(struct buf *out, struct call *c)
{
    qsort(c->entries, c->n_entries, sizeof(*c->entries), by_name);
    for (size_t i = 0; i < c->n_entries; i++)
        buf_printf(out, "%s%s", i > 0 ? " " : "", c->entries[i].name);
}

static void tell(struct world *w, struct call *c)
{
    struct buf text = {0};
    if (c->rc >= 0 && c->type == CALL_READ)
        tell_bytes(&text, buf_slice(&c->data));
    else if (c->rc >= 0 && (c->type == CALL_STAT || c->type == CALL_FSTAT))
        tell_stat(&text, &c->st);
    else if (c->rc >= 0 && c->type == CALL_GETDENTS)
        tell_names(&text, c);
    else
        buf_printf(&text, "%" PRId64, c->rc);
    sim_trace(w, "= %.*s", (int)text.len, text.data ? (char *)text.data : "");
    buf_close(&text);
}

/* ---- The call ---- */

/* From the first name to the last, however many calls that takes. */
static void list(struct process *p, struct call *c)
{
    struct call rewind = {.type = CALL_LSEEK, .fd = c->fd, .whence = SEEK_SET};
    size_t n = 0;
    c->size = 4096;
    if (p->fds[c->fd] && inode_is_dir(p->fds[c->fd]->inode))
        sys(p, &rewind);
    while (sys(p, c) >= 0 && c->n_entries > n)
        n = c->n_entries;
}

static void take_fd(struct process *p, const struct call *c)
{
    struct file *f = p->fds[c->rc], *before = p->fds[c->fd];
    if (c->rc == c->fd)
        return;
    p->fds[c->rc] = NULL;
    p->fds[c->fd] = f;
    if (before)
        file_close(p, before);
}

bool mount_call(struct process *p, const char *name, char *fields)
{
    struct call c;
    bool understood = fill_call(&c, name, fields);
    if (understood && c.type == CALL_GETDENTS)
        list(p, &c);
    else if (understood)
        sys(p, &c);
    if (understood && c.type == CALL_OPEN && c.rc >= 0) {
        take_fd(p, &c);
        c.rc = 0;
    }
    tell(p->kernel->w, &c);
    call_end(&c);
    return understood;
}
