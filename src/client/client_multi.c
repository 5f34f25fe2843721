/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Multis: operations, each behind a header that names it, and their results likewise. */
#include "client_impl.h"

enum {
    REQUEST_OVERHEAD = 8 + 9, /* request header, last multi header */
};

void client_write_set(struct client *c, struct buf *b, struct slice path, struct slice data,
                      int32_t version)
{
    client_write_path(c, b, path);
    jute_write_buffer(b, data);
    jute_write_int(b, version);
}

void client_write_create(struct client *c, struct buf *b, struct slice path, struct slice data,
                         const struct jute_vector *acl, int32_t mode)
{
    client_write_path(c, b, path);
    jute_write_buffer(b, data);
    if (acl) {
        jute_write_vector(b, acl);
    } else {
        const struct zk_acl anyone = {ZK_PERM_ALL, {slice_str("world"), slice_str("anyone")}};
        jute_write_int(b, 1);
        zk_acl_write(b, &anyone);
    }
    jute_write_int(b, mode);
}

static struct buf *op_begin(struct client_multi *m, enum zk_op op)
{
    const struct zk_multi_header header = {.type = op, .done = false, .err = -1};
    zk_multi_header_write(&m->buf, &header);
    m->n_ops++;
    return &m->buf;
}

static void path_version_op(struct client_multi *m, enum zk_op op, struct slice path,
                            int32_t version)
{
    struct buf *b = op_begin(m, op);
    client_write_path(m->client, b, path);
    jute_write_int(b, version);
}

void client_multi_begin(struct client_multi *m, struct client *c)
{
    *m = (struct client_multi){.client = c};
}

void client_multi_create(struct client_multi *m, struct slice path, struct slice data,
                         const struct jute_vector *acl, int32_t mode)
{
    enum zk_op op = mode == ZK_CONTAINER ? ZK_OP_createContainer : ZK_OP_create2;
    client_write_create(m->client, op_begin(m, op), path, data, acl, mode);
}

void client_multi_set(struct client_multi *m, struct slice path, struct slice data, int32_t version)
{
    client_write_set(m->client, op_begin(m, ZK_OP_setData), path, data, version);
}

void client_multi_delete(struct client_multi *m, struct slice path, int32_t version)
{
    path_version_op(m, ZK_OP_delete, path, version);
}

void client_multi_check(struct client_multi *m, struct slice path, int32_t version)
{
    path_version_op(m, ZK_OP_check, path, version);
}

size_t client_multi_size(const struct client_multi *m)
{
    return m->buf.len + REQUEST_OVERHEAD;
}

bool client_multi_next(struct jute_reader *body, int32_t *op, int32_t *err, struct zk_stat *stat)
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

int32_t client_multi_error(struct slice body)
{
    struct jute_reader r = jute_reader_of(body);
    struct zk_stat stat;
    int32_t op, err;
    while (client_multi_next(&r, &op, &err, &stat)) {
        if (err != 0)
            return err;
    }
    return jute_ok(&r) ? 0 : ZK_MARSHALLINGERROR;
}
