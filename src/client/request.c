/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zab/request.h"

enum {
    MULTI_OVERHEAD = 8 + 9, /* request header, last multi header */
};

void request_path(struct buf *b, struct slice chroot, struct slice path)
{
    if (chroot.len <= 0) {
        jute_write_buffer(b, path);
        return;
    }
    struct slice below = slice_eq_str(path, "/") ? SLICE_EMPTY : path;
    jute_write_int(b, (int32_t)(slice_size(chroot) + slice_size(below)));
    buf_append(b, chroot.data, slice_size(chroot));
    buf_append(b, below.data, slice_size(below));
}

void request_read(struct buf *b, struct slice chroot, struct slice path, bool watch)
{
    request_path(b, chroot, path);
    jute_write_bool(b, watch);
}

void request_path_int(struct buf *b, struct slice chroot, struct slice path, int32_t number)
{
    request_path(b, chroot, path);
    jute_write_int(b, number);
}

void request_set(struct buf *b, struct slice chroot, struct slice path, struct slice data,
                 int32_t version)
{
    request_path(b, chroot, path);
    jute_write_buffer(b, data);
    jute_write_int(b, version);
}

void request_set_acl(struct buf *b, struct slice chroot, struct slice path,
                     const struct jute_vector *acl, int32_t version)
{
    request_path(b, chroot, path);
    jute_write_vector(b, acl);
    jute_write_int(b, version);
}

static bool mode_has_ttl(int32_t mode)
{
    return mode == ZK_PERSISTENT_TTL || mode == ZK_PERSISTENT_SEQUENTIAL_TTL;
}

enum zk_op request_create_op(int32_t mode)
{
    return mode_has_ttl(mode)     ? ZK_OP_createTTL
           : mode == ZK_CONTAINER ? ZK_OP_createContainer
                                  : ZK_OP_create2;
}

void request_create(struct buf *b, struct slice chroot, struct slice path, struct slice data,
                    const struct jute_vector *acl, int32_t mode, int64_t ttl_ms)
{
    request_path(b, chroot, path);
    jute_write_buffer(b, data);
    if (acl) {
        jute_write_vector(b, acl);
    } else {
        const struct zk_acl anyone = {ZK_PERM_ALL, {slice_str("world"), slice_str("anyone")}};
        jute_write_int(b, 1);
        zk_acl_write(b, &anyone);
    }
    jute_write_int(b, mode);
    if (mode_has_ttl(mode))
        jute_write_long(b, ttl_ms);
}

/* ---- Multi ---- */

void request_multi_begin(struct request_multi *m, struct slice chroot)
{
    *m = (struct request_multi){.chroot = chroot};
}

static struct buf *op_begin(struct request_multi *m, enum zk_op op)
{
    const struct zk_multi_header header = {.type = op, .done = false, .err = -1};
    zk_multi_header_write(&m->buf, &header);
    m->n_ops++;
    return &m->buf;
}

void request_multi_create(struct request_multi *m, struct slice path, struct slice data,
                          const struct jute_vector *acl, int32_t mode)
{
    request_create(op_begin(m, request_create_op(mode)), m->chroot, path, data, acl, mode, 0);
}

void request_multi_set(struct request_multi *m, struct slice path, struct slice data,
                       int32_t version)
{
    request_set(op_begin(m, ZK_OP_setData), m->chroot, path, data, version);
}

void request_multi_delete(struct request_multi *m, struct slice path, int32_t version)
{
    request_path_int(op_begin(m, ZK_OP_delete), m->chroot, path, version);
}

void request_multi_check(struct request_multi *m, struct slice path, int32_t version)
{
    request_path_int(op_begin(m, ZK_OP_check), m->chroot, path, version);
}

size_t request_multi_size(const struct request_multi *m)
{
    return m->buf.len + MULTI_OVERHEAD;
}

struct slice request_multi_end(struct request_multi *m)
{
    const struct zk_multi_header end = {.type = -1, .done = true, .err = -1};
    zk_multi_header_write(&m->buf, &end);
    return buf_slice(&m->buf);
}

void request_multi_close(struct request_multi *m)
{
    buf_close(&m->buf);
}

bool request_multi_next(struct jute_reader *body, int32_t *op, int32_t *err, struct zk_stat *stat)
{
    struct zk_multi_header header;
    zk_multi_header_read(body, &header);
    if (!jute_ok(body) || header.done)
        return false;
    *op = header.type;
    *err = 0;
    memset(stat, 0, sizeof(*stat));
    switch (header.type) {
    case ZK_OP_create:
        jute_read_buffer(body);
        break;
    case ZK_OP_create2:
    case ZK_OP_createContainer:
    case ZK_OP_createTTL:
        jute_read_buffer(body);
        zk_stat_read(body, stat);
        break;
    case ZK_OP_setData:
        zk_stat_read(body, stat);
        break;
    case ZK_OP_delete:
    case ZK_OP_check:
        break;
    case ZK_OP_error:
        *err = jute_read_int(body);
        break;
    default:
        jute_fail(body);
    }
    return jute_ok(body);
}

int32_t request_multi_error(struct slice body)
{
    struct jute_reader r = jute_reader_of(body);
    struct zk_stat stat;
    int32_t op, err;
    while (request_multi_next(&r, &op, &err, &stat)) {
        if (err != 0)
            return err;
    }
    return jute_ok(&r) ? 0 : ZK_MARSHALLINGERROR;
}
