/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads from the server. They leave with the watches in one write and are answered in order, so
 * that whatever changes after the answer comes as an event.
 *
 * A Stat comes with the ACL (getACL); whether an empty node without a history of children is a
 * directory is said by its data alone (null or empty), and costs one read more. */
#include "core.h"

#include <stdlib.h>

static unsigned node_place(struct node *n)
{
    return node_znode(n)->place;
}

enum fetch_what {
    FETCH_STAT,
    FETCH_DATA,
    FETCH_LIST,
};

struct fetch {
    struct work work;
    enum fetch_what what;
    struct mount *m;
    struct node *n;
    fetch_done *done;
    void *arg;
    struct zk_stat stat;
    struct buf acl;
    void (*start)(struct fetch *f);
    unsigned place;
    int64_t deadline_ms;
};

static struct fetch *fetch_new(struct mount *m, struct node *n, fetch_done *done, void *arg)
{
    struct fetch *f = mem_zalloc(sizeof(*f));
    *f = (struct fetch){.m = m, .n = node_ref(n), .done = done, .arg = arg, .place = node_place(n)};
    f->deadline_ms = m->now_ms + m->config.timeo_ms;
    return f;
}

static void fetch_end(struct fetch *f, struct node *n, int32_t err)
{
    struct mount *m = f->m;
    struct node *before = f->n;
    node_ref(n);
    f->done(f->arg, n, err);
    node_unref(&m->nodes, n);
    node_unref(&m->nodes, before);
    buf_close(&f->acl);
    free(f);
}

static bool is_no_answer(int32_t err)
{
    return err == ZK_CONNECTIONLOSS || err == ZK_SESSIONEXPIRED || err == ZK_OPERATIONTIMEOUT;
}

/* In an outage an older content is better than none. Who was told of a newer one is told again,
 * when that can be read. */
static bool content_will_do(const struct node *n, struct node *z)
{
    if (n->content && n->content->mzxid < z->told_mzxid && z->told_mzxid != INT64_MAX)
        z->unread = true;
    return n->content != NULL;
}

/* While there is no connection, what is known has to do, and is better than no answer. */
static bool is_known(const struct fetch *f)
{
    struct node *z = node_znode(f->n);
    if (!mount_is_cut_off(f->m) || f->m->config.stale_error || z->life != NODE_LIVE)
        return false;
    return f->what == FETCH_STAT || (f->what == FETCH_DATA && content_will_do(f->n, z)) ||
           (f->what == FETCH_LIST && z->listed);
}

/* Of a directory that is gone, or another one, what is below it goes first, in parts; then it is
 * asked for again. */
static bool below_go_on(struct work *w, size_t n)
{
    struct fetch *f = container_of(w, struct fetch, work);
    if (!know_gone_below(f->m, f->n, &n))
        return true;
    f->start(f);
    return false;
}

/* False: no more than what goes at once. */
static bool below_go(struct fetch *f)
{
    size_t n = f->m->config.step_names;
    if (!f->n->parent || know_gone_below(f->m, f->n, &n))
        return false;
    work_queue(f->m, &f->work, below_go_on);
    return true;
}

static void fetch_failed(struct fetch *f, int32_t err)
{
    if (is_no_answer(err) && is_known(f)) {
        fetch_end(f, f->n, ZK_OK);
        return;
    }
    if (mount_may_retry(f->m, err, f->deadline_ms)) {
        f->start(f);
        return;
    }
    if (err == ZK_NONODE && below_go(f))
        return;
    if (err == ZK_NONODE && f->n->life != NODE_PENDING)
        know_gone(f->m, f->n);
    if (is_no_answer(err) && f->what == FETCH_DATA)
        node_znode(f->n)->unread = true;
    if (err == ZK_NOAUTH && f->what == FETCH_STAT)
        know_closed(f->m, f->n);
    if (err == ZK_NOAUTH && f->what == FETCH_DATA)
        node_drop_content(&f->m->nodes, f->n);
    fetch_end(f, f->n, err);
}

typedef void node_request(struct mount *m, struct slice path, answer_done *done, void *arg);

/* It was renamed while the answer was under way, so that the answer is about something else: then
 * the question is asked again. */
static bool fetch_again(struct fetch *f)
{
    if (f->place == node_place(f->n) || f->m->closed)
        return false;
    f->place = node_place(f->n);
    f->start(f);
    return true;
}

static void ask(struct fetch *f, node_request *request, answer_done *done)
{
    struct buf path = {0};
    node_path(f->n, &path);
    request(f->m, buf_slice(&path), done, f);
    buf_close(&path);
}

/* ---- Stat ---- */

static void stat_known(struct fetch *f, bool is_dir)
{
    if (know_is_another(f->n, &f->stat, is_dir) && below_go(f))
        return;
    struct node *n = know_stat(f->m, f->n, &f->stat, is_dir);
    struct jute_vector acl = map_acl_vector(buf_slice(&f->acl));
    know_acl(f->m, n, &acl);
    fetch_end(f, n, ZK_OK);
}

static void on_type(void *arg, const struct answer *reply)
{
    struct fetch *f = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_get_data_response get;
    if (fetch_again(f))
        return;
    if (reply->err != ZK_OK && reply->err != ZK_NOAUTH) {
        fetch_failed(f, reply->err);
        return;
    }
    bool null = false;
    if (reply->err == ZK_OK) {
        zk_get_data_response_read(&in, &get);
        if (!jute_ok(&in)) {
            fetch_failed(f, ZK_MARSHALLINGERROR);
            return;
        }
        null = slice_is_null(get.data);
        f->stat = get.stat;
    }
    stat_known(f, map_is_dir(&f->stat, null));
}

static void stat_came(struct fetch *f)
{
    bool is_dir = map_is_dir(&f->stat, false);
    /* What is known of this version needs no second look. */
    bool known = f->n->life == NODE_LIVE && f->n->stat.mzxid == f->stat.mzxid &&
                 f->n->stat.czxid == f->stat.czxid;
    if (!is_dir && f->stat.data_length == 0 && known && f->n->parent)
        stat_known(f, f->n->is_dir);
    else if (!is_dir && f->stat.data_length == 0)
        ask(f, ask_get, on_type);
    else
        stat_known(f, is_dir);
}

static void on_exists(void *arg, const struct answer *reply)
{
    struct fetch *f = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    if (fetch_again(f))
        return;
    if (reply->err != ZK_OK) {
        fetch_failed(f, reply->err);
        return;
    }
    zk_stat_read(&in, &f->stat);
    if (jute_ok(&in))
        stat_came(f);
    else
        fetch_failed(f, ZK_MARSHALLINGERROR);
}

static void on_acl(void *arg, const struct answer *reply)
{
    struct fetch *f = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_get_acl_response get;
    if (fetch_again(f))
        return;
    if (reply->err == ZK_NOAUTH) {
        ask(f, ask_exists, on_exists);
        return;
    }
    if (reply->err != ZK_OK) {
        fetch_failed(f, reply->err);
        return;
    }
    zk_get_acl_response_read(&in, &get);
    if (!jute_ok(&in)) {
        fetch_failed(f, ZK_MARSHALLINGERROR);
        return;
    }
    jute_write_vector(&f->acl, &get.acl);
    f->stat = get.stat;
    stat_came(f);
}

static void stat_start(struct fetch *f)
{
    struct buf path = {0};
    buf_reset(&f->acl);
    watch_apply(f->m, f->n);
    node_path(f->n, &path);
    ask_get_acl(f->m, buf_slice(&path), on_acl, f);
    buf_close(&path);
}

void fetch_stat(struct mount *m, struct node *n, fetch_done *done, void *arg)
{
    struct fetch *f = fetch_new(m, n, done, arg);
    f->start = stat_start;
    stat_start(f);
}

/* ---- Data ---- */

static void on_data(void *arg, const struct answer *reply)
{
    struct fetch *f = arg;
    struct mount *m = f->m;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_get_data_response get;
    if (fetch_again(f))
        return;
    if (reply->err != ZK_OK) {
        fetch_failed(f, reply->err);
        return;
    }
    zk_get_data_response_read(&in, &get);
    if (!jute_ok(&in)) {
        fetch_failed(f, ZK_MARSHALLINGERROR);
        return;
    }
    struct node *n = f->n;
    struct node *znode =
        know_stat(m, node_znode(n), &get.stat, map_is_dir(&get.stat, slice_is_null(get.data)));
    if (n->kind == NODE_ZNODE)
        n = znode;
    if (znode->acl_version != znode->stat.aversion)
        znode->fresh = false;
    struct content *c = content_new(get.data, &get.stat);
    node_set_content(&m->nodes, n, c);
    content_unref(c);
    fetch_end(f, n, ZK_OK);
}

static void data_start(struct fetch *f)
{
    watch_apply(f->m, node_znode(f->n));
    ask(f, ask_get, on_data);
}

void fetch_data(struct mount *m, struct node *n, fetch_done *done, void *arg)
{
    struct fetch *f = fetch_new(m, n, done, arg);
    f->what = FETCH_DATA;
    f->start = data_start;
    data_start(f);
}

/* ---- Children ---- */

static void on_barrier(void *arg, const struct answer *reply)
{
    struct fetch *f = arg;
    if (reply->err == ZK_OK || reply->err == ZK_NONODE || reply->err == ZK_NOAUTH)
        fetch_end(f, f->n, ZK_OK);
    else
        fetch_failed(f, reply->err);
}

/* The watches on the children are on their way: wait until they are set. */
static void on_listed(void *arg, bool there)
{
    struct fetch *f = arg;
    if (f->m->closed || !there)
        fetch_end(f, f->n, there ? ZK_OK : ZK_NONODE);
    else
        ask(f, ask_exists, on_barrier);
}

static void on_children(void *arg, const struct answer *reply)
{
    struct fetch *f = arg;
    struct jute_reader in = jute_reader_of(reply->body);
    struct zk_get_children2_response children;
    if (fetch_again(f))
        return;
    if (reply->err == ZK_REPLYTOOLONG) {
        know_too_long(f->m, f->n, reply->too_long);
        fetch_end(f, f->n, ZK_OK);
        return;
    }
    if (reply->err == ZK_NOAUTH) {
        /* Nothing in it can be seen; what is in it can be used. */
        f->n->dirty_list = false;
        fetch_end(f, f->n, ZK_OK);
        return;
    }
    if (reply->err != ZK_OK) {
        fetch_failed(f, reply->err);
        return;
    }
    zk_get_children2_response_read(&in, &children);
    if (!jute_ok(&in)) {
        fetch_failed(f, ZK_MARSHALLINGERROR);
        return;
    }
    if (!node_is_linked(f->n)) {
        fetch_end(f, f->n, ZK_NONODE);
        return;
    }
    listing_start(f->m, f->n, &children.children, reply->zxid, on_listed, f);
}

static void list_start(struct fetch *f)
{
    struct node *dir = f->n;
    if (!dir->listed) {
        dir->many = dir->stat.num_children > NODE_MANY_CHILDREN;
        watch_set(f->m, dir, dir->many ? NODE_WATCH_BELOW : NODE_WATCH_OWN);
    }
    ask(f, ask_children, on_children);
}

/* Its list was longer than what is taken, and has not become shorter since. */
static bool is_too_long(const struct node *dir)
{
    return dir->too_long > 0 && dir->stat.num_children >= dir->too_long;
}

void fetch_list(struct mount *m, struct node *dir, fetch_done *done, void *arg)
{
    if (is_too_long(dir)) {
        dir->dirty_list = false;
        done(arg, dir, ZK_OK);
        return;
    }
    struct fetch *f = fetch_new(m, dir, done, arg);
    f->what = FETCH_LIST;
    f->start = list_start;
    list_start(f);
}

/* ---- What is not known yet ---- */

static bool may_serve(struct mount *m, struct node *n)
{
    struct node *z = node_znode(n);
    if (n->kind == NODE_CONTROL_DIR || n->kind == NODE_STATUS)
        return true;
    if (z->life == NODE_PENDING || z->life == NODE_GONE)
        return true;
    return z->life == NODE_LIVE && ((z->fresh && !acl_is_old(m, z)) || mount_is_cut_off(m));
}

void fetch_attr(struct mount *m, struct node *n, fetch_done *done, void *arg)
{
    if (may_serve(m, n))
        done(arg, n, ZK_OK);
    else
        fetch_stat(m, node_znode(n), done, arg);
}

static void on_entry_stat(void *arg, struct node *n, int32_t err)
{
    struct fetch *f = arg;
    if (err == ZK_OK && n->is_dir && !n->listed && n->kind == NODE_ZNODE && node_is_linked(n)) {
        fetch_list(f->m, n, f->done, f->arg);
    } else {
        f->done(f->arg, n, err);
    }
    node_unref(&f->m->nodes, f->n);
    free(f);
}

void fetch_entry(struct mount *m, struct node *n, fetch_done *done, void *arg)
{
    struct fetch *f = fetch_new(m, n, done, arg);
    fetch_attr(m, n, on_entry_stat, f);
}

void fetch_content(struct mount *m, struct node *n, fetch_done *done, void *arg)
{
    struct node *z = node_znode(n);
    bool current = n->content && n->content->mzxid == z->stat.mzxid;
    bool outage = mount_is_cut_off(m) && !m->config.stale_error && content_will_do(n, z);
    if (z->life == NODE_GONE || z->life == NODE_PENDING)
        done(arg, n, n->content || z->life == NODE_PENDING ? ZK_OK : ZK_NONODE);
    else if ((current && z->fresh && !m->config.sync) || outage)
        done(arg, n, ZK_OK);
    else
        fetch_data(m, n, done, arg);
}
