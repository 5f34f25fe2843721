/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A draft becomes one transaction.
 *
 *   whole    create the node, or set it whatever its version is: the last writer wins
 *   edit     set it if it still has the version that was edited; else ESTALE
 *   append   read, set if that is still the version, and again until it is
 *
 * When the connection is lost over it, the node is read on the next one: if it has what was sent,
 * the transaction took place; if it has the version of before, it did not, and is sent again. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct commit {
    struct handle *h;
    struct mount *m;
    struct content *base; /* that an append goes behind: read for it */
    struct buf sent;
    struct buf acl;
    size_t appended;
    unsigned cuts;    /* the draft's when it was sent */
    uint64_t changes; /* the handle's when it was sent */
    int64_t deadline_ms;
    int32_t version; /* known before it was sent, -1: none */
    bool is_sent;    /* and its answer has not come */
    bool compared;   /* with what is there */
    bool exists;     /* a create found the node there */
    bool anew;       /* a set found it gone: create it */
    unsigned place;  /* the node's when it was sent */
};

struct waiter {
    struct list link;
    commit_done *done;
    void *arg;
    uint64_t changes;
    const struct req *telling;
    bool joined; /* when the commit was under way: its failure is not this one's */
};

static void commit_send(struct commit *c);
static void commit_begin(struct handle *h);
static void on_append_base(void *arg, struct node *n, int32_t err);

static void again(struct commit *c)
{
    c->is_sent = false;
    if (c->h->draft.mode == DRAFT_APPEND && !c->anew)
        fetch_data(c->m, c->h->node, on_append_base, c);
    else
        commit_send(c);
}

/* ---- The end ---- */

static void answer_waiters(struct handle *h, uint64_t changes, int err)
{
    struct list ready;
    list_init(&ready);
    LIST_FOR_EACH_SAFE (w, &h->waiters, struct waiter, link) {
        if (err != 0 ? !w->joined : w->changes <= changes) {
            list_remove(&w->link);
            list_append(&ready, &w->link);
        }
        w->joined = false;
    }
    LIST_FOR_EACH_SAFE (w, &ready, struct waiter, link) {
        list_remove(&w->link);
        w->done(w->arg, err);
        free(w);
    }
}

void commit_free(struct commit *c)
{
    if (!c)
        return;
    content_unref(c->base);
    buf_close(&c->sent);
    buf_close(&c->acl);
    free(c);
}

static void log_failure(struct handle *h, int err)
{
    struct buf path = {0};
    node_path(h->node, &path);
    effect_log(h->mount, LOG_LEVEL_WARN, "a write to %.*s was not committed: %s",
               SLICE_ARG(buf_slice(&path)), strerror(err));
    h->mount->count.commits_failed++;
    buf_reset(&h->mount->last_error);
    buf_printf(&h->mount->last_error, "%.*s: %s", SLICE_ARG(buf_slice(&path)), strerror(err));
    buf_close(&path);
}

/* A draft that could not be committed stays what it is while somebody has the file open: it is
 * tried again, and whoever closes the file is told of the error. */
static void commit_end(struct commit *c, int err)
{
    struct handle *h = handle_ref(c->h); /* who waits may let go of it */
    uint64_t changes = c->changes;
    h->lost = 0;
    h->commit = NULL;
    if (err != 0 && c->is_sent)
        h->doubt = c; /* it may have taken place: the next try looks first */
    else
        commit_free(c);
    if (err != 0) {
        log_failure(h, err);
        h->changed_ms = h->mount->now_ms; /* not again at once */
        h->refused = err != EIO && err != EROFS && err != ETIMEDOUT;
        if (h->released)
            h->draft.dirty = false;
    }
    answer_waiters(h, changes, err);
    bool more = !list_is_empty(&h->waiters) || (h->released && h->draft.dirty);
    if (more && !h->commit)
        commit_begin(h);
    handle_unref(h);
}

/* Does an event of the kernel's own follow? A close and a truncation raise one; what is committed
 * at another time, or after its caller has given up, has to be told. */
static bool is_told(const struct handle *h)
{
    LIST_FOR_EACH (w, &h->waiters, struct waiter, link) {
        if (w->telling && pending_waits(*w->telling))
            return true;
    }
    return false;
}

/* `data` is in the tree, with this Stat. */
static void commit_landed(struct commit *c, const struct zk_stat *stat, struct slice data)
{
    struct handle *h = c->h;
    struct mount *m = c->m;
    struct node *n = know_place(m, node_znode(h->node));
    bool watched = n->life == NODE_LIVE;
    struct node *z = know_stat(m, n, stat, n->is_dir || map_is_dir(stat, false));
    m->count.commits++;
    h->commits++;
    if (z == node_znode(h->node)) {
        struct content *now = content_new(data, stat);
        if (is_told(h))
            sync_data_told(z);
        else
            know_dirty(m, z);
        node_set_content(&m->nodes, h->node, now);
        if ((h->flags & O_ACCMODE) == O_RDWR) {
            content_unref(h->pinned);
            h->pinned = content_ref(now);
        }
        content_unref(now);
        if (m->config.cache == MOUNT_CACHE_PAGES && !m->closed)
            effect_add(m, MOUNT_INVAL_INODE)->inval.ino = h->node->id;
    }
    if (!watched || z != n)
        know_dirty(m, z); /* what happened before it was watched */
    draft_committed(&h->draft, c->appended, c->cuts, c->changes == h->changes, stat->version);
    commit_end(c, 0);
}

/* ---- After a lost connection ---- */

static void verify(struct commit *c);

static void on_verify(void *arg, const struct answer *reply)
{
    struct commit *c = arg;
    struct zk_get_data_response get = {.data = SLICE_EMPTY};
    struct jute_reader in = jute_reader_of(reply->body);
    struct slice sent = buf_slice(&c->sent);
    if (mount_may_retry(c->m, reply->err, c->deadline_ms)) {
        verify(c);
        return;
    }
    if (reply->err == ZK_OK)
        zk_get_data_response_read(&in, &get);
    if (reply->err != ZK_OK && reply->err != ZK_NONODE) {
        commit_end(c, map_errno_unknown(reply->err));
        return;
    }
    if (!jute_ok(&in)) {
        commit_end(c, EIO);
        return;
    }
    const struct commit_look look = {
        .gone = reply->err == ZK_NONODE,
        .mode = c->h->draft.mode,
        .version = c->version,
        .now = get.stat.version,
        .same = slice_size(get.data) == slice_size(sent) && slice_starts_with(get.data, sent),
        .begins = slice_starts_with(get.data, sent),
    };
    switch (decide_after_look(&look)) {
    case COMMIT_LANDED:
        commit_landed(c, &get.stat, get.data);
        break;
    case COMMIT_AGAIN:
        again(c);
        break;
    case COMMIT_RACED:
        c->is_sent = false;
        commit_end(c, ESTALE);
        break;
    default:
        commit_end(c, EIO);
    }
}

static void verify(struct commit *c)
{
    struct buf path = {0};
    node_path(c->h->node, &path);
    ask_sync(c->m, buf_slice(&path), NULL, NULL); /* what is on its way has landed by then */
    ask_get(c->m, buf_slice(&path), on_verify, c);
    buf_close(&path);
}

/* ---- The transaction ---- */

/* A file that another machine removed while it was written is made anew: the write comes after the
 * removal. What was removed here, or was committed before, is a file without a name, and what is
 * written to it goes with it. */
static bool may_create(const struct commit *c)
{
    const struct node *n = c->h->node;
    return c->h->commits == 0 && c->h->draft.mode != DRAFT_EDIT && n->kind == NODE_ZNODE &&
           !n->removed_here && node_is_linked(n->parent);
}

static void commit_nowhere(struct commit *c)
{
    struct handle *h = c->h;
    bool raced = h->draft.mode == DRAFT_EDIT && h->commits == 0 && !h->node->removed_here;
    if (!raced)
        h->draft.dirty = h->draft.written = false;
    commit_end(c, raced ? ESTALE : 0);
}

/* There is no time for another try; or whoever waited was told of an error, and must not find it
 * done much later, on top of what came since. */
static bool is_late(const struct commit *c)
{
    LIST_FOR_EACH (w, &c->h->waiters, struct waiter, link) {
        if (w->telling && !pending_waits(*w->telling))
            return true;
    }
    return c->m->closed || mount_is_stale(c->m) || c->m->now_ms > c->deadline_ms;
}

static void commit_failed(struct commit *c, int32_t err)
{
    struct handle *h = c->h;
    const struct commit_failure failure = {
        .err = err,
        .sent = c->is_sent,
        .late = is_late(c),
        .mode = h->draft.mode,
        .life = h->node->life,
        .exists = c->exists,
        .anew = c->anew,
        .moved = c->place != node_znode(h->node)->place,
        .may_create = may_create(c),
    };
    if (err != ZK_CONNECTIONLOSS && err != ZK_SESSIONEXPIRED)
        c->is_sent = false; /* the server has refused it, or never saw it */
    switch (decide_after_failure(&failure)) {
    case COMMIT_AGAIN:
        again(c);
        break;
    case COMMIT_CREATE:
        c->anew = h->node->life != NODE_PENDING;
        c->exists = false;
        commit_send(c);
        break;
    case COMMIT_SET:
        c->anew = false;
        c->exists = true;
        again(c);
        break;
    case COMMIT_VERIFY:
        verify(c);
        break;
    case COMMIT_NOWHERE:
        know_gone(c->m, node_znode(h->node));
        commit_nowhere(c);
        break;
    default:
        commit_end(c, map_errno(err, true));
    }
}

static void on_set(void *arg, const struct answer *reply)
{
    struct commit *c = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_stat stat;
    if (reply->err != ZK_OK) {
        commit_failed(c, reply->err);
        return;
    }
    zk_stat_read(&in, &stat);
    if (jute_ok(&in))
        commit_landed(c, &stat, buf_slice(&c->sent));
    else
        commit_end(c, EIO);
}

static void on_create(void *arg, const struct answer *reply)
{
    struct commit *c = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_create2_response created;
    if (reply->err != ZK_OK) {
        commit_failed(c, reply->err);
        return;
    }
    zk_create2_response_read(&in, &created);
    if (jute_ok(&in))
        commit_landed(c, &created.stat, buf_slice(&c->sent));
    else
        commit_end(c, EIO);
}

/* A directory that never had a child and gets data would be a file: it gets the history of a child
 * in the same transaction. */
static void on_data_multi(void *arg, const struct answer *reply)
{
    struct commit *c = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_stat stat = {0};
    int32_t op = 0, err = 0;
    if (reply->err != ZK_OK) {
        commit_failed(c, reply->err);
        return;
    }
    while (op != ZK_OP_setData && request_multi_next(&in, &op, &err, &stat))
        ;
    if (op != ZK_OP_setData) {
        commit_end(c, EIO);
        return;
    }
    stat.cversion += 2;
    know_dirty(c->m, node_znode(c->h->node));
    commit_landed(c, &stat, buf_slice(&c->sent));
}

static void send_data_multi(struct commit *c, struct slice dir, int32_t version)
{
    struct request_multi multi;
    struct buf child = {0};
    buf_append(&child, dir.data, slice_size(dir));
    buf_printf(&child, "%s.data", dir.len > 1 ? "/" : "");
    request_multi_begin(&multi, c->m->config.chroot);
    request_multi_set(&multi, dir, buf_slice(&c->sent), version);
    request_multi_create(&multi, buf_slice(&child), SLICE_EMPTY, NULL, ZK_PERSISTENT);
    request_multi_delete(&multi, buf_slice(&child), -1);
    ask_multi(c->m, &multi, on_data_multi, c);
    buf_close(&child);
}

static void send_create(struct commit *c, struct slice path)
{
    struct handle *h = c->h;
    struct jute_vector acl;
    buf_reset(&c->acl);
    bool own = create_acl(c->m, false, h->mode, &c->acl);
    acl = map_acl_vector(buf_slice(&c->acl));
    c->version = -1;
    ask_create(c->m, path, buf_slice(&c->sent), own ? &acl : NULL, on_create, c);
}

static void send_set(struct commit *c, struct slice path)
{
    struct handle *h = c->h;
    struct node *n = h->node;
    bool any = h->draft.mode == DRAFT_WHOLE;
    c->version = c->base ? c->base->version : any ? node_znode(n)->stat.version : h->draft.base;
    int32_t version = any ? -1 : c->version;
    if (n->kind == NODE_DATA && n->parent->stat.cversion == 0)
        send_data_multi(c, path, version);
    else
        ask_set(c->m, path, buf_slice(&c->sent), version, on_set, c);
}

static void on_there(void *arg, struct node *n, int32_t err)
{
    struct commit *c = arg;
    (void)n;
    if (err == ZK_OK)
        commit_send(c);
    else
        commit_failed(c, err);
}

/* Is that what is there already, as far as is known? */
static bool is_unchanged(const struct commit *c)
{
    const struct node *n = c->h->node, *z = node_znode(c->h->node);
    return n->content && n->content->mzxid == z->stat.mzxid && z->life == NODE_LIVE &&
           slice_eq(content_slice(n->content), buf_slice(&c->sent));
}

/* It is what the servers have, too; or it is not, and then it is written. */
static void on_checked(void *arg, const struct answer *reply)
{
    struct commit *c = arg;
    struct handle *h = c->h;
    if (reply->err == ZK_OK) {
        draft_committed(&h->draft, c->appended, c->cuts, c->changes == h->changes, c->version);
        commit_end(c, 0);
    } else if (reply->err == ZK_BADVERSION || reply->err == ZK_NONODE) {
        know_dirty(c->m, node_znode(h->node));
        again(c);
    } else {
        commit_failed(c, reply->err);
    }
}

/* Nothing is to be done. False: it is not known yet whether that is so, or it is not so. */
static bool skip_unchanged(struct commit *c)
{
    struct handle *h = c->h;
    if (!c->m->config.skip_unchanged || h->node->life != NODE_LIVE || h->node->kind != NODE_ZNODE)
        return false;
    if (!c->compared) {
        c->compared = true;
        fetch_content(c->m, h->node, on_there, c);
        return true;
    }
    if (!is_unchanged(c))
        return false;
    struct request_multi multi;
    struct buf path = {0};
    node_path(h->node, &path);
    c->version = h->node->content->version;
    request_multi_begin(&multi, c->m->config.chroot);
    request_multi_check(&multi, buf_slice(&path), c->version);
    ask_multi(c->m, &multi, on_checked, c);
    buf_close(&path);
    return true;
}

static void commit_send(struct commit *c)
{
    struct handle *h = c->h;
    struct node *n = h->node;
    bool gone = node_znode(n)->life == NODE_GONE || n->life == NODE_GONE;
    if (gone && !may_create(c)) {
        commit_nowhere(c);
        return;
    }
    bool create = (gone || c->anew || n->life == NODE_PENDING) && !c->exists;
    if (create) {
        content_unref(c->base);
        c->base = NULL;
    } else if (h->draft.mode == DRAFT_APPEND && !c->base) {
        again(c);
        return;
    }
    buf_reset(&c->sent);
    draft_result(&h->draft, c->base, &c->sent);
    c->appended = h->draft.data.len;
    c->cuts = h->draft.cuts;
    c->changes = h->changes;
    c->place = node_znode(n)->place;
    if (h->draft.too_large || c->sent.len > handle_limit(h)) {
        commit_end(c, EFBIG);
        return;
    }
    if (!create && skip_unchanged(c))
        return;
    struct buf path = {0};
    node_path(n, &path);
    c->is_sent = true;
    if (create)
        send_create(c, buf_slice(&path));
    else
        send_set(c, buf_slice(&path));
    buf_close(&path);
}

/* Nothing is committed on a base that was not read. */
static void on_append_base(void *arg, struct node *n, int32_t err)
{
    struct commit *c = arg;
    struct node *mine = c->h->node;
    content_unref(c->base);
    c->base = NULL;
    if (err == ZK_OK && n != mine && mine->kind == NODE_ZNODE)
        err = ZK_NONODE;
    if (err == ZK_OK && mine->life != NODE_PENDING && mine->content)
        c->base = content_ref(mine->content);
    if (err != ZK_OK)
        commit_failed(c, err);
    else if (is_late(c))
        commit_end(c, ETIMEDOUT);
    else
        commit_send(c);
}

/* ---- The beginning ---- */

static void commit_begin(struct handle *h)
{
    if (h->doubt) {
        h->commit = h->doubt;
        h->doubt = NULL;
        h->commit->deadline_ms = h->mount->now_ms + h->mount->config.timeo_ms;
        verify(h->commit);
        return;
    }
    struct commit *c = mem_zalloc(sizeof(*c));
    *c = (struct commit){.h = h, .m = h->mount};
    c->deadline_ms = h->mount->now_ms + h->mount->config.timeo_ms;
    c->changes = h->changes;
    h->commit = c;
    if (h->draft.mode == DRAFT_APPEND && h->node->life == NODE_LIVE)
        fetch_content(h->mount, h->node, on_append_base, c);
    else
        commit_send(c);
}

void commit_start(struct handle *h, const struct req *telling, commit_done *done, void *arg)
{
    if (!h->draft.dirty && !h->commit) {
        if (done)
            done(arg, 0);
        return;
    }
    if (done) {
        struct waiter *w = mem_zalloc(sizeof(*w));
        *w = (struct waiter){.done = done,
                             .arg = arg,
                             .changes = h->changes,
                             .telling = telling,
                             .joined = h->commit != NULL};
        list_append(&h->waiters, &w->link);
    }
    if (!h->commit)
        commit_begin(h);
}
