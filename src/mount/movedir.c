/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory moves as one multi: all below it is read, created under the new path and deleted
 * under the old one, the versions checked. What does not fit in a packet is EXDEV, and mv copies.
 */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

struct item {
    struct item *next;
    struct movedir *move;
    struct buf path; /* under the old path; "" for the directory itself */
    struct buf data;
    struct buf acl;
    bool null;
    int32_t version;
};

struct movedir {
    struct mount *m;
    struct buf from;
    struct buf to;
    bool replace;
    struct item *first; /* a parent before its children */
    struct item *last;
    size_t bytes;
    size_t waiting;
    int err;
    movedir_done *done;
    void *arg;
};

static void movedir_end(struct movedir *d, int err)
{
    d->done(d->arg, err);
    for (struct item *i = d->first, *next; i; i = next) {
        next = i->next;
        buf_close(&i->path);
        buf_close(&i->data);
        buf_close(&i->acl);
        free(i);
    }
    buf_close(&d->from);
    buf_close(&d->to);
    free(d);
}

static void join(const struct buf *dir, const struct buf *below, struct buf *path)
{
    buf_reset(path);
    buf_append(path, dir->data, dir->len);
    buf_append(path, below->data, below->len);
}

/* ---- The multi ---- */

static void on_multi(void *arg, const struct answer *reply)
{
    struct movedir *d = arg;
    int err = map_errno(reply->err, true);
    /* Something in it changed while it was read: whoever asked may ask again. */
    if (reply->err == ZK_BADVERSION || reply->err == ZK_NOTEMPTY)
        err = EBUSY;
    movedir_end(d, err);
}

static void add_deletes(struct request_multi *multi, struct movedir *d, struct item *i,
                        struct buf *path)
{
    size_t n = 0;
    for (struct item *k = d->first; k; k = k->next)
        n++;
    struct item **all = mem_alloc(n * sizeof(*all));
    for (n = 0; i; i = i->next)
        all[n++] = i;
    while (n-- > 0) {
        join(&d->from, &all[n]->path, path);
        request_multi_delete(multi, buf_slice(path), all[n]->version);
    }
    free(all);
}

static void send_multi(struct movedir *d)
{
    struct request_multi multi;
    struct buf path = {0};
    request_multi_begin(&multi, d->m->config.chroot);
    if (d->replace)
        request_multi_delete(&multi, buf_slice(&d->to), -1);
    for (struct item *i = d->first; i; i = i->next) {
        struct jute_vector acl = map_acl_vector(buf_slice(&i->acl));
        join(&d->to, &i->path, &path);
        request_multi_create(&multi, buf_slice(&path), i->null ? SLICE_NULL : buf_slice(&i->data),
                             &acl, ZK_PERSISTENT);
    }
    add_deletes(&multi, d, d->first, &path);
    bool fits = request_multi_size(&multi) <= ZK_PACKET_MAX;
    buf_close(&path);
    if (fits) {
        ask_multi(d->m, &multi, on_multi, d);
        return;
    }
    request_multi_close(&multi);
    movedir_end(d, EXDEV);
}

/* ---- Reading what is there ---- */

/* An answer that cannot be read is one that was not given. */
static int32_t answer_err(const struct answer *reply, const struct jute_reader *in)
{
    return reply->err == ZK_OK && !jute_ok(in) ? ZK_MARSHALLINGERROR : reply->err;
}

static void item_read(struct movedir *d, struct slice below);

static void one_came(struct movedir *d)
{
    if (--d->waiting > 0)
        return;
    if (d->err != 0)
        movedir_end(d, d->err);
    else
        send_multi(d);
}

static void item_failed(struct movedir *d, int32_t err)
{
    if (d->err == 0)
        d->err = err == ZK_NONODE ? EBUSY : map_errno(err, true);
}

static void on_data(void *arg, const struct answer *reply)
{
    struct item *i = arg;
    struct movedir *d = i->move;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_get_data_response get;
    zk_get_data_response_read(&in, &get);
    int32_t err = answer_err(reply, &in);
    if (err != ZK_OK) {
        item_failed(d, err);
    } else if (get.stat.ephemeral_owner != 0) {
        d->err = EXDEV;
    } else {
        i->null = slice_is_null(get.data);
        i->version = get.stat.version;
        buf_append(&i->data, get.data.data, slice_size(get.data));
        d->bytes += i->data.len + 2 * i->path.len;
    }
    if (d->bytes > ZK_PACKET_MAX && d->err == 0)
        d->err = EXDEV;
    one_came(d);
}

static void on_acl(void *arg, const struct answer *reply)
{
    struct item *i = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_get_acl_response get;
    zk_get_acl_response_read(&in, &get);
    int32_t err = answer_err(reply, &in);
    if (err != ZK_OK)
        item_failed(i->move, err);
    else
        jute_write_vector(&i->acl, &get.acl);
    one_came(i->move);
}

static void on_children(void *arg, const struct answer *reply)
{
    struct item *i = arg;
    struct movedir *d = i->move;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_get_children2_response get;
    zk_get_children2_response_read(&in, &get);
    int32_t err = answer_err(reply, &in);
    if (err != ZK_OK) {
        item_failed(d, err);
        one_came(d);
        return;
    }
    struct jute_reader it = jute_vector_iter(&get.children);
    struct buf below = {0};
    for (int32_t k = 0; k < get.children.count && d->err == 0; k++) {
        struct slice name = jute_read_buffer(&it);
        join(&i->path, &(struct buf){0}, &below);
        buf_append(&below, "/", 1);
        buf_append(&below, name.data, slice_size(name));
        item_read(d, buf_slice(&below));
    }
    buf_close(&below);
    one_came(d);
}

static void item_read(struct movedir *d, struct slice below)
{
    struct item *i = mem_zalloc(sizeof(*i));
    struct buf path = {0};
    i->move = d;
    buf_append(&i->path, below.data, slice_size(below));
    if (d->last)
        d->last->next = i;
    else
        d->first = i;
    d->last = i;
    join(&d->from, &i->path, &path);
    d->waiting += 3;
    ask_get_acl(d->m, buf_slice(&path), on_acl, i);
    ask_children(d->m, buf_slice(&path), on_children, i);
    ask_get(d->m, buf_slice(&path), on_data, i);
    buf_close(&path);
}

void movedir_start(struct mount *m, struct node *from, struct slice to_path, bool replace,
                   movedir_done *done, void *arg)
{
    struct movedir *d = mem_zalloc(sizeof(*d));
    *d = (struct movedir){.m = m, .replace = replace, .done = done, .arg = arg};
    node_path(from, &d->from);
    buf_append(&d->to, to_path.data, slice_size(to_path));
    item_read(d, SLICE_EMPTY);
}
