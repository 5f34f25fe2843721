/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests as records, with the chroot put in front of their paths and taken off the replies'. */
#include "client_impl.h"

/* ---- Chroot ---- */

void client_write_path(struct client *c, struct buf *b, struct slice path)
{
    if (c->chroot.len == 0) {
        jute_write_buffer(b, path);
        return;
    }
    struct slice below = slice_eq_str(path, "/") ? SLICE_EMPTY : path;
    jute_write_int(b, (int32_t)(slice_size(c->chroot) + slice_size(below)));
    buf_append(b, c->chroot.data, slice_size(c->chroot));
    buf_append(b, below.data, slice_size(below));
}

bool client_strip_chroot(const struct client *c, struct slice *path)
{
    if (c->chroot.len == 0)
        return true;
    if (!slice_starts_with(*path, c->chroot))
        return false;
    struct slice below = slice_of(path->data + c->chroot.len, (size_t)(path->len - c->chroot.len));
    if (below.len > 0 && below.data[0] != '/')
        return false;
    *path = below.len > 0 ? below : slice_str("/");
    return true;
}

/* A body that begins with a path: the same without the chroot. */
static struct slice strip_body(struct client *c, struct slice body)
{
    struct jute_reader r = jute_reader_of(body);
    struct slice path = jute_read_buffer(&r);
    if (!jute_ok(&r) || !client_strip_chroot(c, &path))
        return body;
    buf_reset(&c->scratch);
    jute_write_buffer(&c->scratch, path);
    struct slice rest = jute_read_rest(&r);
    buf_append(&c->scratch, rest.data, slice_size(rest));
    return buf_slice(&c->scratch);
}

/* ---- Replies ---- */

static bool begins_with_path(int32_t op)
{
    return op == ZK_OP_create2 || op == ZK_OP_createContainer || op == ZK_OP_createTTL ||
           op == ZK_OP_sync;
}

void client_deliver(struct client *c, const struct session_reply *reply)
{
    client_done *done = (client_done *)reply->tag.call;
    if (!done)
        return;
    struct client_reply told = {.err = reply->err, .zxid = reply->zxid, .body = reply->body};
    if (reply->op == ZK_OP_multi && reply->err == 0)
        told.err = client_multi_error(reply->body);
    else if (c->chroot.len > 0 && reply->err == 0 && begins_with_path(reply->op))
        told.body = strip_body(c, reply->body);
    done(reply->tag.arg, &told);
}

/* ---- Requests ---- */

static void submit(struct client *c, client_done *done, void *arg)
{
    const struct session_tag tag = {.call = (void (*)(void))done, .arg = arg};
    session_request_end(&c->session, (int64_t)uv_now(c->loop), tag);
}

static void read_request(struct client *c, enum zk_op op, struct slice path, bool watch,
                         client_done *done, void *arg)
{
    struct buf *b = session_request_begin(&c->session, op);
    client_write_path(c, b, path);
    jute_write_bool(b, watch);
    submit(c, done, arg);
}

static void path_request(struct client *c, enum zk_op op, struct slice path, client_done *done,
                         void *arg)
{
    client_write_path(c, session_request_begin(&c->session, op), path);
    submit(c, done, arg);
}

/* A path and a version, a mode or a type. */
static void path_int_request(struct client *c, enum zk_op op, struct slice path, int32_t number,
                             client_done *done, void *arg)
{
    struct buf *b = session_request_begin(&c->session, op);
    client_write_path(c, b, path);
    jute_write_int(b, number);
    submit(c, done, arg);
}

void client_get(struct client *c, struct slice path, bool watch, client_done *done, void *arg)
{
    read_request(c, ZK_OP_getData, path, watch, done, arg);
}

void client_exists(struct client *c, struct slice path, bool watch, client_done *done, void *arg)
{
    read_request(c, ZK_OP_exists, path, watch, done, arg);
}

void client_children(struct client *c, struct slice path, bool watch, client_done *done, void *arg)
{
    read_request(c, ZK_OP_getChildren2, path, watch, done, arg);
}

void client_set(struct client *c, struct slice path, struct slice data, int32_t version,
                client_done *done, void *arg)
{
    struct buf *b = session_request_begin(&c->session, ZK_OP_setData);
    client_write_set(c, b, path, data, version);
    submit(c, done, arg);
}

static bool mode_has_ttl(int32_t mode)
{
    return mode == ZK_PERSISTENT_TTL || mode == ZK_PERSISTENT_SEQUENTIAL_TTL;
}

void client_create(struct client *c, struct slice path, struct slice data,
                   const struct jute_vector *acl, int32_t mode, int64_t ttl_ms, client_done *done,
                   void *arg)
{
    bool ttl = mode_has_ttl(mode);
    struct buf *b =
        session_request_begin(&c->session, ttl                    ? ZK_OP_createTTL
                                           : mode == ZK_CONTAINER ? ZK_OP_createContainer
                                                                  : ZK_OP_create2);
    client_write_create(c, b, path, data, acl, mode);
    if (ttl)
        jute_write_long(b, ttl_ms);
    submit(c, done, arg);
}

void client_delete(struct client *c, struct slice path, int32_t version, client_done *done,
                   void *arg)
{
    path_int_request(c, ZK_OP_delete, path, version, done, arg);
}

void client_sync(struct client *c, struct slice path, client_done *done, void *arg)
{
    path_request(c, ZK_OP_sync, path, done, arg);
}

void client_get_acl(struct client *c, struct slice path, client_done *done, void *arg)
{
    path_request(c, ZK_OP_getACL, path, done, arg);
}

void client_set_acl(struct client *c, struct slice path, const struct jute_vector *acl,
                    int32_t version, client_done *done, void *arg)
{
    struct buf *b = session_request_begin(&c->session, ZK_OP_setACL);
    client_write_path(c, b, path);
    jute_write_vector(b, acl);
    jute_write_int(b, version);
    submit(c, done, arg);
}

void client_add_watch(struct client *c, struct slice path, enum zk_watch_mode mode,
                      client_done *done, void *arg)
{
    path_int_request(c, ZK_OP_addWatch, path, mode, done, arg);
}

void client_remove_watch(struct client *c, struct slice path, enum zk_watcher_type type,
                         client_done *done, void *arg)
{
    path_int_request(c, ZK_OP_removeWatches, path, type, done, arg);
}

void client_who_am_i(struct client *c, client_done *done, void *arg)
{
    session_request_begin(&c->session, ZK_OP_whoAmI);
    submit(c, done, arg);
}

void client_multi_submit(struct client_multi *m, client_done *done, void *arg)
{
    struct buf *b = session_request_begin(&m->client->session, ZK_OP_multi);
    buf_append(b, m->buf.data, m->buf.len);
    const struct zk_multi_header end = {.type = -1, .done = true, .err = -1};
    zk_multi_header_write(b, &end);
    submit(m->client, done, arg);
    buf_close(&m->buf);
}
