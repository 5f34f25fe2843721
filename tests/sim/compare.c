/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Trees of replicas against the model, and against the bytes that all trees of that zxid have. */
#include "sim.h"

uint64_t tree_digest(const struct tree *t)
{
    struct tree_dump d;
    struct buf b = {0};
    tree_dump_begin(&d, t);
    while (tree_dump_next(&d, &b))
        continue;
    tree_dump_close(&d);
    uint64_t digest = hash_bytes(b.data, b.len, 1);
    buf_close(&b);
    return digest;
}

static void znode_text(const struct tree *tree, const struct znode *z, struct buf *out)
{
    struct buf answer = {0};
    struct zk_stat stat;
    struct request as_data = {.op.type = ZK_OP_getData}, as_acl = {.op.type = ZK_OP_getACL};
    struct jute_vector acl = tree_acl(tree, znode_acl_id(z));
    znode_stat(z, &stat);
    jute_write_buffer(&answer, znode_data(z));
    zk_stat_write(&answer, &stat);
    answer_text(&as_data, ZK_OK, buf_slice(&answer), out);
    buf_reset(&answer);
    jute_write_vector(&answer, &acl);
    zk_stat_write(&answer, &stat);
    answer_text(&as_acl, ZK_OK, buf_slice(&answer), out);
    buf_close(&answer);
}

static void node_text(const struct model *m, const struct model_node *n, struct buf *out)
{
    buf_printf(out, "OK ");
    model_data_text(n, out);
    model_stat_text(m, n, out);
    buf_printf(out, "OK ");
    model_acl_text(&n->acl, false, out);
    model_stat_text(m, n, out);
}

static void compare_node(struct world *w, const struct tree *tree, const struct model *m,
                         const struct model_node *n, const char *what)
{
    struct buf is = {0}, must = {0};
    const struct znode *z = tree_find(tree, slice_str(n->path));
    if (z)
        znode_text(tree, z, &is);
    node_text(m, n, &must);
    if (!slice_eq(buf_slice(&is), buf_slice(&must)))
        sim_fail(w, SIM_BROKEN, "%s: %s is\n  %.*s\nand must be\n  %.*s", what, n->path,
                 (int)is.len, (char *)is.data, (int)must.len, (char *)must.data);
    buf_close(&is);
    buf_close(&must);
}

static void compare_sessions(struct world *w, const struct tree *tree, const struct model *m,
                             const char *what)
{
    for (size_t i = 0; i < m->n_sessions; i++) {
        int32_t timeout_ms;
        if (!tree_session_timeout(tree, m->sessions[i].id, &timeout_ms) ||
            timeout_ms != m->sessions[i].timeout_ms)
            sim_fail(w, SIM_BROKEN, "%s: session 0x%" PRIx64 " is not right", what,
                     (uint64_t)m->sessions[i].id);
    }
    if (tree_session_count(tree) != m->n_sessions)
        sim_fail(w, SIM_BROKEN, "%s: %zu sessions, %zu must be there", what,
                 tree_session_count(tree), m->n_sessions);
}

void compare_tree(struct world *w, const struct tree *tree, const struct entry *e, const char *what)
{
    const struct model *m = &e->after;
    bool committed = journal_is_committed(w, e);
    cover_point(committed ? COVER_check_digest : COVER_check_tree);
    if (m->n_nodes > 100)
        cover_point(COVER_crowd);
    for (size_t i = 0; i < m->n_nodes && !w->unmodelled; i++)
        compare_node(w, tree, m, &m->nodes[i], what);
    if (!w->unmodelled && tree_count(tree) != m->n_nodes + 1)
        sim_fail(w, SIM_BROKEN, "%s: %zu nodes, %zu must be there", what, tree_count(tree) - 1,
                 m->n_nodes);
    compare_sessions(w, tree, m, what);
    if (committed && tree_digest(tree) != e->digest)
        sim_fail(w, SIM_BROKEN, "%s: its bytes differ from those of a tree with the same log",
                 what);
}
