/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rounds: what events or an outage have made doubtful is read again, all of it in flight together;
 * then it is compared with what the watchers know, and the difference goes to the injector.
 *
 * While the injector is behind, the next round waits, so that changes come together per node. A
 * round is as large as the change that it is about: it goes on in slices, one a step, and requests
 * are answered between them. */
#include "core.h"

#include <stdlib.h>

#include "zab/sort.h"

enum {
    BACKLOG_MAX = 256,
    BACKLOG_RETRY_MS = 5,
    PASSES_MAX = 8,
    IN_FLIGHT_MAX = 1000,
    CANDIDATES_MAX = 64, /* that are looked at for one rename */
};

enum phase {
    ROUND_READING,
    ROUND_INDEXING,
    ROUND_COMPARING, /* reading the contents of what may have been renamed */
    ROUND_SORTING,
    ROUND_RENAMING,
    ROUND_SORTING_AGAIN,
    ROUND_TELLING,
    ROUND_LEAVING,
};

/* A node of the round. The indexes keep a round of many nodes from being quadratic. */
struct member {
    struct node *node;
    bool gone; /* these three are its place in the order */
    size_t depth;
    int64_t zxid;
    struct hmap_node by_name;   /* of its own */
    struct hmap_node by_parent; /* when it was taken */
    struct hmap_node by_state;  /* what a node that was renamed to it had */
};

struct round {
    struct mount *m;
    struct member **members;
    size_t n, cap;
    size_t at;      /* the next in this phase */
    size_t to_take; /* dirty nodes that belong to this pass */
    bool renamed;   /* something was */
    size_t waiting; /* for answers */
    uint64_t serial;
    unsigned passes;
    enum phase phase;
    struct sorter sorter; /* it has the members while it sorts */
    struct hmap by_name, by_parent, by_state;
};

void round_schedule(struct mount *m)
{
    if (!m->round && !m->stopping)
        m->round_at = MIN(m->round_at, m->now_ms);
}

static void go_on_soon(struct round *r)
{
    r->m->round_at = r->m->now_ms;
}

/* ---- The nodes ---- */

static void add_member(struct round *r, struct node *n)
{
    struct member *b = mem_zalloc(sizeof(*b));
    if (r->n == r->cap) {
        r->cap = MAX(16, 2 * r->cap);
        r->members = mem_realloc(r->members, r->cap * sizeof(*r->members));
    }
    r->members[r->n++] = b;
    b->node = n; /* with the list's reference */
    hmap_insert(&r->by_name, &b->by_name, hash_bytes(n->name, strlen(n->name), 0));
    if (n->parent)
        hmap_insert(&r->by_parent, &b->by_parent, hash_u64(n->parent->id));
}

/* Of those that this pass is about, a slice. */
static void take_dirty(struct round *r)
{
    for (size_t n = r->m->config.step_names; n > 0 && r->to_take > 0; n--, r->to_take--) {
        struct node *dirty = LIST_FIRST(&r->m->dirty, struct node, dirty);
        list_remove(&dirty->dirty);
        r->m->n_dirty--;
        add_member(r, dirty);
    }
}

static size_t depth(const struct node *n)
{
    size_t d = 0;
    for (; n->parent; n = n->parent)
        d++;
    return d;
}

/* What is gone first, from below; then what is there, from above, in the order of its making. */
static int by_order(const void *pa, const void *pb)
{
    const struct member *a = *(struct member *const *)pa, *b = *(struct member *const *)pb;
    if (a->gone != b->gone)
        return a->gone ? -1 : 1;
    if (a->depth != b->depth)
        return (a->depth < b->depth) == a->gone ? 1 : -1;
    return a->zxid < b->zxid ? -1 : a->zxid > b->zxid;
}

static void place(struct member *b)
{
    const struct node *n = b->node;
    b->gone = n->life == NODE_GONE;
    b->depth = depth(n);
    b->zxid = n->told ? n->stat.mzxid : n->stat.czxid;
}

static bool is_sorting(const struct round *r)
{
    return r->sorter.items != NULL;
}

static void sort_some(struct round *r)
{
    if (!sorter_go_on(&r->sorter, r->m->config.step_names))
        r->members = sorter_take(&r->sorter);
}

static bool is_watchable(const struct node *n)
{
    return node_is_held(n) || (n->parent && node_is_held(n->parent));
}

/* ---- Telling ---- */

static void tell_data_file(struct mount *m, struct node *dir, int32_t before)
{
    struct node *n = node_ref(node_data_file(&m->nodes, dir));
    bool was = before > 0, is = dir->stat.data_length > 0;
    if (was && is)
        inject_push(m, MOUNT_INJECT_DATA, n, NULL, NULL, NULL);
    else if (is)
        inject_push(m, MOUNT_INJECT_CREATE, n, NULL, NULL, NULL);
    else if (was)
        inject_push(m, MOUNT_INJECT_DELETE, n, NULL, NULL, NULL);
    node_unref(&m->nodes, n);
}

static void tell(struct mount *m, struct node *n)
{
    unsigned changes = sync_changes(n);
    if (changes == 0)
        return;
    int32_t told_length = n->told_length;
    bool watchable = is_watchable(n);
    sync_told(n);
    if (!watchable)
        return;
    if (changes & SYNC_CREATED)
        inject_push(m, MOUNT_INJECT_CREATE, n, NULL, NULL, NULL);
    if (changes & SYNC_DELETED)
        inject_push(m, MOUNT_INJECT_DELETE, n, NULL, NULL, NULL);
    if ((changes & SYNC_DATA) && n->is_dir)
        tell_data_file(m, n, told_length);
    else if (changes & SYNC_DATA)
        inject_push(m, MOUNT_INJECT_DATA, n, NULL, NULL, NULL);
    if (changes & SYNC_ACL)
        inject_push(m, MOUNT_INJECT_ATTRIB, n, NULL, NULL, NULL);
}

/* ---- Renames ---- */

static uint64_t state_hash(int64_t zxid, const struct node *n)
{
    return hash_u64(hash_u64((uint64_t)zxid) ^
                    hash_u64((uint64_t)n->stat.data_length << 1 | n->is_dir));
}

static void index_new(struct round *r, struct member *b)
{
    const struct node *to = b->node;
    if (to->kind == NODE_ZNODE && sync_changes(to) & (SYNC_CREATED | SYNC_DATA))
        hmap_insert(&r->by_state, &b->by_state, state_hash(to->stat.mzxid, to));
}

/* The new or changed node that `from` has become, or NULL. `maybe`: as far as is known yet. */
static struct node *find_renamed(struct round *r, const struct node *from, bool maybe)
{
    size_t n = 0;
    if (from->life != NODE_GONE || !from->parent)
        return NULL;
    int64_t zxid = from->gone_zxid > 0 ? from->gone_zxid : from->parent->stat.pzxid;
    HMAP_FOR_EACH_WITH_HASH (b, &r->by_state, state_hash(zxid, from), struct member, by_state) {
        struct node *to = b->node;
        if (to != from && sync_is_rename(from, to, maybe) &&
            sync_changes(to) & (SYNC_CREATED | SYNC_DATA))
            return to;
        if (++n == CANDIDATES_MAX)
            return NULL;
    }
    return NULL;
}

/* The nodes below a directory that was renamed are found again by their names. */
static void revive_below(struct round *r, struct node *dir, int64_t zxid)
{
    HMAP_FOR_EACH_WITH_HASH (b, &r->by_parent, hash_u64(dir->id), struct member, by_parent) {
        struct node *n = b->node;
        if (n->life != NODE_GONE || n->parent != dir || n->kind != NODE_ZNODE || !n->told)
            continue; /* what was told to be gone does not come back */
        struct node *to = node_child(&r->m->nodes, dir, slice_str(n->name));
        if (to && to != n && to->is_dir == n->is_dir && to->life == NODE_LIVE) {
            know_revived(r->m, n, to, zxid);
            revive_below(r, n, zxid);
        }
    }
}

/* What had this name before, and is gone, goes first. */
static void tell_gone(struct round *r, const struct node *dir, const char *name)
{
    uint64_t hash = hash_bytes(name, strlen(name), 0);
    HMAP_FOR_EACH_WITH_HASH (b, &r->by_name, hash, struct member, by_name) {
        struct node *n = b->node;
        if (n->life == NODE_GONE && n->parent == dir && n->given && strcmp(n->name, name) == 0)
            tell(r->m, n);
    }
}

/* The old node takes the new one's place, in the model as in the kernel. */
static void tell_renamed(struct round *r, struct node *from, struct node *to)
{
    struct mount *m = r->m;
    struct node *from_parent = node_ref(from->parent);
    char *from_name = mem_strdup(from->shown);
    int64_t zxid = to->stat.mzxid;
    bool watchable = is_watchable(from) || is_watchable(to);
    know_revived(m, from, to, zxid);
    revive_below(r, from, zxid);
    tell_gone(r, from->parent, from->name);
    if (watchable)
        inject_push(m, MOUNT_INJECT_RENAME, from, from_parent, from_name, to);
    node_unref(&m->nodes, from_parent);
    free(from_name);
}

/* ---- Reading ---- */

static void go_on(struct round *r);

static void on_one(void *arg, struct node *n, int32_t err)
{
    struct round *r = arg;
    (void)n;
    (void)err;
    r->waiting--;
    go_on(r);
}

static void on_moved_stat(void *arg, struct node *n, int32_t err);

static void read_moved(struct round *r, struct node *dir, struct node *gone)
{
    struct node *n = NULL;
    if (gone->life == NODE_GONE && gone->parent->life == NODE_GONE)
        n = node_child(&r->m->nodes, dir, slice_str(gone->name));
    /* Once in a round, however many of that name are gone. */
    if (n && n->life == NODE_NAMED && n->moved_in != r->serial) {
        n->moved_in = r->serial;
        r->waiting++;
        fetch_stat(r->m, n, on_moved_stat, r);
    }
}

/* The list of a new directory. It may be one that was renamed: what has the name of something that
 * is gone is read too, for revive_below. */
static void on_new_list(void *arg, struct node *dir, int32_t err)
{
    struct round *r = arg;
    if (err == ZK_OK && r->n < dir->n_children) {
        for (size_t i = 0; i < r->n; i++)
            read_moved(r, dir, r->members[i]->node);
    } else if (err == ZK_OK) {
        LIST_FOR_EACH (child, &dir->children, struct node, siblings) {
            uint64_t hash = hash_bytes(child->name, strlen(child->name), 0);
            HMAP_FOR_EACH_WITH_HASH (b, &r->by_name, hash, struct member, by_name) {
                if (strcmp(b->node->name, child->name) == 0)
                    read_moved(r, dir, b->node);
            }
        }
    }
    on_one(r, dir, err);
}

static bool is_unlisted_dir(const struct node *n)
{
    return n->is_dir && n->life == NODE_LIVE && !n->listed;
}

static void on_moved_stat(void *arg, struct node *n, int32_t err)
{
    struct round *r = arg;
    if (err == ZK_OK && is_unlisted_dir(n))
        fetch_list(r->m, n, on_new_list, r);
    else
        on_one(r, n, err);
}

static void on_stat(void *arg, struct node *n, int32_t err)
{
    struct round *r = arg;
    /* Its making will be told, and the kernel will hold it from then on: list it before. */
    if (err == ZK_OK && is_unlisted_dir(n) && is_watchable(n) && !n->told)
        fetch_list(r->m, n, on_new_list, r);
    else
        on_one(r, n, err);
}

static void read_one(struct round *r, struct node *n)
{
    if (n->life == NODE_GONE || n->kind != NODE_ZNODE)
        return;
    if (n->dirty_list && (n->listed || n->list_moved)) {
        r->waiting++;
        fetch_list(r->m, n, on_one, r);
    }
    r->waiting++;
    fetch_stat(r->m, n, on_stat, r);
}

/* Content that somebody has read here must not seem to have moved to a file that has another. */
static void compare(struct round *r, const struct node *from)
{
    struct node *to = from->content && !from->is_dir ? find_renamed(r, from, true) : NULL;
    if (to) {
        r->waiting++;
        fetch_content(r->m, to, on_one, r);
    }
}

/* ---- The course ---- */

static void member_free(struct round *r, size_t i)
{
    struct nodes *t = &r->m->nodes;
    struct node *n = r->members[i]->node;
    if (sync_changes(n) != 0 && !r->m->closed)
        know_dirty(r->m, n); /* there was nobody to tell it by: the next round does */
    node_settle(t, n);
    node_unref(t, n);
    free(r->members[i]);
}

static void round_free(struct round *r)
{
    struct mount *m = r->m;
    m->round = NULL;
    if (is_sorting(r))
        r->members = sorter_take(&r->sorter);
    for (size_t i = r->phase == ROUND_LEAVING ? r->at : 0; i < r->n; i++)
        member_free(r, i);
    hmap_close(&r->by_name);
    hmap_close(&r->by_parent);
    hmap_close(&r->by_state);
    free(r->members);
    free(r);
}

static void round_end(struct round *r)
{
    struct mount *m = r->m;
    round_free(r);
    m->count.rounds++;
    if (!list_is_empty(&m->dirty))
        round_schedule(m);
}

static void step_one(struct round *r, size_t i)
{
    struct node *n = r->phase == ROUND_LEAVING ? NULL : r->members[i]->node, *to;
    switch (r->phase) {
    case ROUND_READING:
        read_one(r, n);
        break;
    case ROUND_INDEXING:
        index_new(r, r->members[i]);
        break;
    case ROUND_COMPARING:
        compare(r, n);
        break;
    case ROUND_SORTING:
    case ROUND_SORTING_AGAIN:
        place(r->members[i]);
        if (i + 1 == r->n)
            sorter_begin(&r->sorter, r->members, r->n, sizeof(*r->members), by_order);
        break;
    case ROUND_RENAMING:
        /* A directory before those in it, which it takes along. */
        n = r->members[r->n - 1 - i]->node;
        to = find_renamed(r, n, false);
        if (to)
            tell_renamed(r, n, to);
        r->renamed |= to != NULL;
        break;
    case ROUND_TELLING:
        tell(r->m, n);
        break;
    case ROUND_LEAVING:
        member_free(r, i);
        break;
    }
}

/* All of this phase is done. False: so is the round. */
static bool next_phase(struct round *r)
{
    bool tells = r->m->connected && !r->m->stopping;
    switch (r->phase) {
    case ROUND_READING:
        if (r->to_take > 0) {
            take_dirty(r);
            return true;
        }
        /* What was found to be new or gone belongs to this round: both halves of a rename do. */
        if (r->passes < PASSES_MAX && !list_is_empty(&r->m->dirty) && r->m->connected) {
            r->passes++;
            r->to_take = r->m->n_dirty;
            take_dirty(r);
            return true;
        }
        break;
    case ROUND_COMPARING:
        if (!tells)
            r->phase = ROUND_TELLING; /* nothing is told */
        break;
    case ROUND_RENAMING:
        if (!r->renamed)
            r->phase = ROUND_SORTING_AGAIN;
        break;
    case ROUND_INDEXING:
    case ROUND_SORTING:
    case ROUND_SORTING_AGAIN:
    case ROUND_TELLING:
        break;
    case ROUND_LEAVING:
        return false;
    }
    r->phase++;
    r->at = 0;
    return true;
}

/* Called when an answer has come, and for each slice. */
static void go_on(struct round *r)
{
    if (r->m->round_at <= r->m->now_ms)
        return; /* the next slice is due */
    while (r->at == r->n && r->waiting == 0 && !is_sorting(r)) {
        if (!next_phase(r)) {
            round_end(r);
            return;
        }
    }
    if (is_sorting(r) || (r->at < r->n && r->waiting < IN_FLIGHT_MAX))
        go_on_soon(r);
}

static void slice(struct round *r)
{
    size_t end = MIN(r->n, r->at + r->m->config.step_names);
    if (is_sorting(r))
        sort_some(r);
    /* Answers that are there already do not end the phase within it. */
    r->waiting++;
    while (r->at < end)
        step_one(r, r->at++);
    r->waiting--;
    go_on(r);
}

/* The time for a slice of the round, or for a new one, has come. */
void round_begin(struct mount *m)
{
    if (m->round) {
        slice(m->round);
        return;
    }
    if (!m->connected)
        return;
    if (m->n_injections > BACKLOG_MAX) {
        m->round_at = m->now_ms + BACKLOG_RETRY_MS;
        return;
    }
    m->round = mem_zalloc(sizeof(*m->round));
    m->round->m = m;
    m->round->serial = m->count.rounds + 1;
    m->round->passes = 1;
    m->round->to_take = m->n_dirty;
    take_dirty(m->round);
    slice(m->round);
}

void round_everything(struct mount *m)
{
    HMAP_FOR_EACH (n, &m->nodes.by_id, struct node, by_id) {
        if (n->kind != NODE_ZNODE || n->life == NODE_GONE)
            continue;
        if (n->listed)
            know_dirty_list(m, n);
        else
            know_dirty(m, n);
    }
    if (!list_is_empty(&m->dirty))
        round_schedule(m);
}

void round_close(struct mount *m)
{
    if (m->round)
        round_free(m->round);
}
