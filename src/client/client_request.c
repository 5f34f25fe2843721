/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests as records, with the chroot put in front of their paths and taken off the replies'. */
#include "client_impl.h"

/* ---- Chroot ---- */

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
    struct client_reply told = {
        .err = reply->err, .zxid = reply->zxid, .body = reply->body, .too_long = reply->too_long};
    if (reply->op == ZK_OP_multi && reply->err == 0)
        told.err = request_multi_error(reply->body);
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
    request_read(session_request_begin(&c->session, op), c->chroot, path, watch);
    submit(c, done, arg);
}

static void path_request(struct client *c, enum zk_op op, struct slice path, client_done *done,
                         void *arg)
{
    request_path(session_request_begin(&c->session, op), c->chroot, path);
    submit(c, done, arg);
}

static void path_int_request(struct client *c, enum zk_op op, struct slice path, int32_t number,
                             client_done *done, void *arg)
{
    request_path_int(session_request_begin(&c->session, op), c->chroot, path, number);
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
    request_set(session_request_begin(&c->session, ZK_OP_setData), c->chroot, path, data, version);
    submit(c, done, arg);
}

void client_create(struct client *c, struct slice path, struct slice data,
                   const struct jute_vector *acl, int32_t mode, int64_t ttl_ms, client_done *done,
                   void *arg)
{
    request_create(session_request_begin(&c->session, request_create_op(mode)), c->chroot, path,
                   data, acl, mode, ttl_ms);
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
    request_set_acl(session_request_begin(&c->session, ZK_OP_setACL), c->chroot, path, acl,
                    version);
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

void client_multi(struct client *c, struct request_multi *m, client_done *done, void *arg)
{
    client_request(c, ZK_OP_multi, request_multi_end(m), done, arg);
    request_multi_close(m);
}

void client_request(struct client *c, enum zk_op op, struct slice record, client_done *done,
                    void *arg)
{
    buf_append(session_request_begin(&c->session, op), record.data, slice_size(record));
    submit(c, done, arg);
}

struct slice client_chroot(const struct client *c)
{
    return c->chroot;
}
