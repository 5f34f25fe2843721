/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing the tree in pieces. The walk needs no memory but the path it is at: it goes down by the
 * links to children and up by those to parents. */
#include <stdlib.h>

#include "internal.h"

enum {
    DUMP_HEAD,
    DUMP_NODES,
    DUMP_PIECE = 64 << 10,
};

void tree_dump_begin(struct tree_dump *d, const struct tree *t)
{
    *d = (struct tree_dump){.tree = t, .stage = DUMP_HEAD, .node = NODE_ROOT};
}

void tree_dump_close(struct tree_dump *d)
{
    buf_close(&d->path);
}

static int session_compare(const void *a, const void *b)
{
    const struct session *const *sa = a, *const *sb = b;
    return ((*sa)->id > (*sb)->id) - ((*sa)->id < (*sb)->id);
}

static void dump_sessions(const struct tree *t, struct buf *out)
{
    const struct session **sorted = mem_alloc(t->n_sessions * sizeof(struct session *));
    size_t n = 0;
    HMAP_FOR_EACH (s, &t->sessions, const struct session, by_id) {
        if (s->open)
            sorted[n++] = s;
    }
    ensure(n == t->n_sessions);
    qsort(sorted, n, sizeof(struct session *), session_compare);
    jute_write_int(out, (int32_t)n);
    for (size_t i = 0; i < n; i++) {
        jute_write_long(out, sorted[i]->id);
        jute_write_int(out, sorted[i]->timeout_ms);
    }
    free(sorted);
}

static void dump_acls(const struct tree *t, struct buf *out)
{
    struct jute_builder vb = jute_vector_begin(out);
    LIST_FOR_EACH (acl, &t->acls.by_order, struct acl, by_order) {
        if (acl->refs == 0)
            continue;
        struct jute_vector v = acl_vector(acl);
        jute_write_long(out, acl->id);
        jute_write_vector(out, &v);
        vb.count++;
    }
    jute_vector_end(&vb);
}

static void dump_node(const struct znode *n, const struct buf *path, struct buf *out)
{
    struct zk_stat_persisted stat;
    znode_stat_persisted(n, &stat);
    jute_write_buffer(out, buf_slice(path));
    jute_write_buffer(out, znode_data(n));
    jute_write_long(out, znode_acl_id(n));
    zk_stat_persisted_write(out, &stat);
}

/* To the next node, and its path with it. */
static bool dump_advance(struct tree_dump *d)
{
    const struct tree *t = d->tree;
    uint32_t next = znode_walk(t, NODE_ROOT, d->node);
    if (next == NODE_NONE)
        return false;
    for (uint32_t i = d->node; i != znode_at(t, next)->parent; i = znode_at(t, i)->parent)
        d->path.len -= znode_at(t, i)->name_len + 1u;
    struct slice name = znode_name(znode_at(t, next));
    buf_append(&d->path, "/", 1);
    buf_append(&d->path, name.data, slice_size(name));
    d->node = next;
    return true;
}

bool tree_dump_next(struct tree_dump *d, struct buf *out)
{
    size_t start = out->len;
    if (d->stage == DUMP_HEAD) {
        dump_sessions(d->tree, out);
        dump_acls(d->tree, out);
        d->stage = DUMP_NODES;
    }
    do {
        dump_node(znode_at(d->tree, d->node), &d->path, out);
        if (!dump_advance(d)) {
            jute_write_buffer(out, slice_str("/"));
            return false;
        }
    } while (out->len - start < DUMP_PIECE);
    return true;
}
