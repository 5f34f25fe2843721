/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The leader's history goes on from another place than ours: the log was cut, or the leader's tree
 * was installed. The packets that follow were held back meanwhile. */
#include "internal.h"

static void replace_tree(struct node *n, struct tree *tree)
{
    HMAP_FOR_EACH_SAFE (s, &n->sessions, struct session, by_id)
        tracker_remove(n, s);
    if (tree != n->tree)
        node_drop_tree(n, n->tree);
    n->tree = tree;
    tree_set_config(tree, n->config.ensemble->config_text, n->config.ensemble->config_version);
    history_reset(n);
    tracker_load(n);
    n->last_committed = n->last_proposed = n->logged = n->persisted = tree_last_zxid(tree);
    n->decided = MIN(n->decided, n->persisted);
    n->history_base = n->log_base = n->persisted;
    digest_forget(n);
}

static void take_again(struct node *n)
{
    struct node_link *l = link_to_leader(n);
    if (l) {
        link_hold(l, false);
        link_take(n, l);
    }
}

/* As recovery would, since the log may be ahead of the tree. */
static struct tree *apply_rest(struct node *n, const struct buf *rest)
{
    struct slice txn;
    for (size_t pos = 0; txn_batch_next(rest, &pos, &txn);) {
        struct zk_txn_header header;
        struct jute_reader in = jute_reader_of(txn);
        zk_txn_header_read(&in, &header);
        int rc = tree_apply(n->tree, &header, jute_read_rest(&in), &n->outcome);
        ensure(rc == 0);
    }
    return n->tree;
}

void ensemble_truncated(struct node *n, const struct node_event *event)
{
    struct tree *tree = event->rest ? apply_rest(n, event->rest) : event->tree;
    int64_t zxid = event->zxid;
    if (tree)
        replace_tree(n, tree);
    ensemble_tell(n, tree ? ZAB_EV_TRUNCATED : ZAB_EV_TRUNCATE_FAILED, zxid);
    take_again(n);
}

void ensemble_tree_installed(struct node *n)
{
    struct tree *tree = n->incoming;
    n->incoming = NULL;
    replace_tree(n, tree);
    ensemble_tell(n, ZAB_EV_TREE_INSTALLED, n->persisted);
    take_again(n);
}

const struct tree *node_incoming_tree(const struct node *n)
{
    return n->incoming;
}
