/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What each read answers. */
#include "sim.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void read_children(const struct model *m, const struct model_node *n, struct buf *answer)
{
    const char *names[1024];
    size_t count = 0, len = strcmp(n->path, "/") == 0 ? 0 : strlen(n->path);
    for (size_t i = 0; i < m->n_nodes; i++) {
        const char *path = m->nodes[i].path;
        if (model_is_below(path, n->path) && !strchr(path + len + 1, '/')) {
            ensure(count < ARRAY_LEN(names));
            names[count++] = path + len + 1;
        }
    }
    qsort(names, count, sizeof(names[0]), by_name);
    for (size_t i = 0; i < count; i++)
        buf_printf(answer, "%s ", names[i]);
}

static void read_ephemerals(const struct model *m, const struct request *r, struct buf *answer)
{
    for (size_t i = 0; i < m->n_nodes; i++) {
        const struct model_node *n = &m->nodes[i];
        if (n->owner == r->session_id && strncmp(n->path, r->op.path, strlen(r->op.path)) == 0)
            buf_printf(answer, "%s ", n->path);
    }
}

static void read_acl(const struct model *m, const struct request *r, const struct model_node *n,
                     struct buf *answer)
{
    model_acl_text(&n->acl, !model_allows(&n->acl, r->ids, ZK_PERM_ADMIN), answer);
    model_stat_text(m, n, answer);
}

static int count_below(const struct model *m, const char *path)
{
    int count = 0;
    for (size_t i = 0; i < m->n_nodes; i++)
        count += model_is_below(m->nodes[i].path, path);
    return count;
}

static int32_t read_node(const struct model *m, const struct request *r, struct buf *answer)
{
    const struct model_node *n = model_find(m, r->op.path);
    int32_t perms = r->op.type == ZK_OP_getACL ? ZK_PERM_READ | ZK_PERM_ADMIN : ZK_PERM_READ;
    if (!n)
        return r->op.type != ZK_OP_exists || model_is_path(r->op.path, false) ? ZK_NONODE
                                                                              : ZK_BADARGUMENTS;
    if (!model_allows(&n->acl, r->ids, perms))
        return ZK_NOAUTH;
    switch (r->op.type) {
    case ZK_OP_getData:
        model_data_text(n, answer);
        model_stat_text(m, n, answer);
        break;
    case ZK_OP_exists:
        model_stat_text(m, n, answer);
        break;
    case ZK_OP_getChildren:
        read_children(m, n, answer);
        break;
    case ZK_OP_getChildren2:
        read_children(m, n, answer);
        model_stat_text(m, n, answer);
        break;
    case ZK_OP_getACL:
        read_acl(m, r, n, answer);
        break;
    case ZK_OP_getAllChildrenNumber:
        buf_printf(answer, "%d", count_below(m, r->op.path));
        break;
    default:
        ensure(!"a read that the model does not know");
    }
    return ZK_OK;
}

void model_read(const struct model *m, const struct request *r, struct buf *answer)
{
    buf_printf(answer, "OK ");
    if (r->op.type == ZK_OP_sync) {
        buf_printf(answer, "%s", r->op.path);
    } else if (r->op.type == ZK_OP_getEphemerals) {
        read_ephemerals(m, r, answer);
    } else {
        int32_t err = read_node(m, r, answer);
        if (err == ZK_OK)
            return;
        buf_reset(answer);
        buf_printf(answer, "%s", zk_error_name(err));
    }
}
