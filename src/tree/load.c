/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a tree from a stream that arrives in chunks of any size.
 *
 * The stream is a sequence of units: a number, a session, the head of an ACL, an element of it, a
 * node. unit_need() says from the bytes at hand how many a unit needs at least, so that a unit is
 * parsed once, when it is whole. A unit that lies within a chunk is parsed where it is; one that
 * does not is gathered in `pending`. */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"
#include "path.h"

enum unit {
    UNIT_SESSION_COUNT,
    UNIT_SESSION,
    UNIT_ACL_COUNT,
    UNIT_ACL,
    UNIT_ACL_ELEMENT,
    UNIT_NODE,
    UNIT_END,
};

enum {
    STAT_PERSISTED_SIZE = 60,
};

struct loaded_acl {
    int64_t id;
    int32_t count;
    size_t start; /* in acl_bytes */
    size_t size;
    struct acl *acl; /* NULL: open */
};

struct tree_load {
    struct tree *tree;
    enum unit unit;
    int32_t left; /* units of this kind, or elements of this ACL */
    int32_t acls_left;
    bool have_root;
    struct buf pending;
    struct buf acl_bytes;
    struct loaded_acl *acls;
    size_t n_acls, cap_acls;
};

struct tree_load *tree_load_begin(struct tree *t)
{
    struct tree_load *l = mem_zalloc(sizeof(*l));
    l->tree = t;
    l->unit = UNIT_SESSION_COUNT;
    tree_clear(t);
    return l;
}

void tree_load_close(struct tree_load *l)
{
    buf_close(&l->pending);
    buf_close(&l->acl_bytes);
    free(l->acls);
    free(l);
}

/* ---- How large a unit is ---- */

/* Where a string that begins at `offset` ends, or, if its length is not there yet, a place behind
 * what is. A negative length is none: parsing will tell. */
static size_t string_end(struct slice bytes, size_t offset)
{
    if (slice_size(bytes) < offset + 4)
        return offset + 4;
    int32_t len = (int32_t)be32_get(bytes.data + offset);
    return offset + 4 + (size_t)MAX(len, 0);
}

static bool is_end_mark(struct slice bytes)
{
    static const uint8_t mark[] = {0, 0, 0, 1, '/'};
    return slice_starts_with(bytes, slice_of(mark, sizeof(mark)));
}

static size_t unit_need(enum unit unit, struct slice bytes)
{
    size_t path_end;
    switch (unit) {
    case UNIT_SESSION_COUNT:
    case UNIT_ACL_COUNT:
        return 4;
    case UNIT_SESSION:
    case UNIT_ACL:
        return 8 + 4;
    case UNIT_ACL_ELEMENT:
        path_end = string_end(bytes, 4);
        return path_end > slice_size(bytes) ? path_end + 4 : string_end(bytes, path_end);
    case UNIT_NODE:
        path_end = string_end(bytes, 0);
        if (path_end > slice_size(bytes) || is_end_mark(bytes))
            return path_end;
        return string_end(bytes, path_end) + 8 + STAT_PERSISTED_SIZE;
    case UNIT_END:
        break;
    }
    return 0;
}

/* ---- Units ---- */

static int take_count(struct tree_load *l, struct jute_reader *r, enum unit unit, struct err *e)
{
    l->left = jute_read_int(r);
    if (l->left < 0)
        return err_set(e, -EBADMSG, "snapshot: negative number of %s: %d",
                       unit == UNIT_SESSION ? "sessions" : "ACLs", l->left);
    l->acls_left = l->left;
    l->unit = unit;
    return 0;
}

static int take_session(struct tree_load *l, struct jute_reader *r)
{
    int64_t id = jute_read_long(r);
    tree_session_open(l->tree, id, jute_read_int(r));
    l->left--;
    return 0;
}

static int take_acl(struct tree_load *l, struct jute_reader *r, struct err *e)
{
    int64_t id = jute_read_long(r);
    int32_t count = jute_read_int(r);
    if (id < 1 || id > INT64_MAX / 2)
        return err_set(e, -EBADMSG, "snapshot: ACL number %lld is out of range", (long long)id);
    if (count < 0)
        return err_set(e, -EBADMSG, "snapshot: ACL %lld has a negative number of entries: %d",
                       (long long)id, count);
    if (l->n_acls == l->cap_acls) {
        l->cap_acls = MAX(l->cap_acls * 2, 16);
        l->acls = mem_realloc(l->acls, l->cap_acls * sizeof(*l->acls));
    }
    l->acls[l->n_acls++] = (struct loaded_acl){.id = id, .count = count, .start = l->acl_bytes.len};
    l->left = count;
    l->acls_left--;
    l->unit = UNIT_ACL_ELEMENT;
    return 0;
}

static int take_acl_element(struct tree_load *l, struct jute_reader *r, struct err *e)
{
    const uint8_t *start = r->pos;
    struct loaded_acl *acl = &l->acls[l->n_acls - 1];
    zk_acl_read(r, &(struct zk_acl){0});
    size_t size = (size_t)(r->pos - start);
    if (acl->size + size > TREE_RECORD_MAX)
        return err_set(e, -EFBIG, "snapshot: ACL %lld is larger than %d bytes", (long long)acl->id,
                       TREE_RECORD_MAX);
    buf_append(&l->acl_bytes, start, size);
    acl->size += size;
    l->left--;
    return 0;
}

static int acl_compare(const void *a, const void *b)
{
    const struct loaded_acl *aa = a, *ab = b;
    return (aa->id > ab->id) - (aa->id < ab->id);
}

/* Equal ACLs become one, with the smaller number. */
static int finish_acls(struct tree_load *l, struct err *e)
{
    if (l->n_acls > 0)
        qsort(l->acls, l->n_acls, sizeof(*l->acls), acl_compare);
    for (size_t i = 0; i < l->n_acls; i++) {
        struct loaded_acl *acl = &l->acls[i];
        struct jute_vector v = {acl->count, SLICE_EMPTY};
        if (acl->size > 0)
            v.bytes = slice_of(l->acl_bytes.data + acl->start, acl->size);
        if (i > 0 && l->acls[i - 1].id == acl->id)
            return err_set(e, -EBADMSG, "snapshot: ACL %lld is there twice", (long long)acl->id);
        acl->acl = acl_insert(&l->tree->acls, acl->id, &v);
    }
    buf_close(&l->acl_bytes);
    return 0;
}

/* A snapshot that ZooKeeper took while it went on working has nodes that are younger than its
 * ACLs. Nobody may touch such a node until the log, which repeats its creation, tells its ACL. (An
 * empty ACL would allow everything.) */
static struct acl *acl_of_nobody(struct tree *t)
{
    const struct zk_acl nobody = {0, {slice_str("world"), slice_str("anyone")}};
    struct buf acl = {0};
    zk_acl_write(&acl, &nobody);
    struct acl *found = acl_intern(&t->acls, &(struct jute_vector){1, buf_slice(&acl)});
    buf_close(&acl);
    return found;
}

static struct acl *acl_of_node(struct tree_load *l, int64_t id)
{
    const struct loaded_acl key = {.id = id};
    if (id == -1)
        return NULL;
    const struct loaded_acl *found = NULL;
    if (l->n_acls > 0)
        found = bsearch(&key, l->acls, l->n_acls, sizeof(key), acl_compare);
    if (!found)
        return acl_of_nobody(l->tree);
    acl_ref(found->acl);
    return found->acl;
}

static void znode_fill(struct tree_load *l, uint32_t i, int64_t acl,
                       const struct zk_stat_persisted *stat)
{
    struct znode *n = znode_at(l->tree, i);
    n->acl = acl_of_node(l, acl);
    n->czxid = stat->czxid;
    n->mzxid = stat->mzxid;
    n->ctime = stat->ctime;
    n->mtime = stat->mtime;
    n->version = stat->version;
    if (stat->pzxid != stat->czxid || stat->cversion != 0 || stat->aversion != 0) {
        struct extra *e = znode_make_extra(n);
        e->pzxid = stat->pzxid;
        e->cversion = stat->cversion;
        e->aversion = stat->aversion;
    }
    if (i != NODE_ROOT)
        znode_set_owner(l->tree, i, stat->ephemeral_owner);
}

/* The node's slot, added below its parent; NODE_NONE with the reason in `e`. */
static uint32_t place_node(struct tree_load *l, struct slice path, struct slice data, struct err *e)
{
    struct tree *t = l->tree;
    if (path.len == 0 && !l->have_root) {
        l->have_root = true;
        znode_set_data(t, znode_at(t, NODE_ROOT), data);
        return NODE_ROOT;
    }
    const char *problem = "bad path";
    struct slice parent_path, name;
    if (l->have_root && path_split(path, &parent_path, &name)) {
        uint64_t hash = 0;
        uint32_t parent = znode_find(t, parent_path, &hash);
        hash = path_hash_child(hash, name);
        if (parent == NODE_NONE)
            problem = "no parent before";
        else if (znode_find_child(t, parent, hash, name) != NODE_NONE)
            problem = "a second node";
        else
            return znode_add(t, parent, hash, name, data);
    }
    err_set(e, -EBADMSG, "snapshot: %s \"%.*s\"", problem, SLICE_ARG(path));
    return NODE_NONE;
}

static int take_node(struct tree_load *l, struct jute_reader *r, struct err *e)
{
    struct zk_stat_persisted stat;
    if (is_end_mark(slice_of(r->pos, jute_left(r)))) {
        jute_read_buffer(r);
        l->unit = UNIT_END;
        return 0;
    }
    struct slice path = jute_read_buffer(r);
    struct slice data = jute_read_buffer(r);
    int64_t acl = jute_read_long(r);
    zk_stat_persisted_read(r, &stat);
    if (!jute_ok(r))
        return err_set(e, -EBADMSG, "snapshot: the node \"%.*s\" cannot be read", SLICE_ARG(path));
    uint32_t i = place_node(l, path, data, e);
    if (i == NODE_NONE)
        return -EBADMSG;
    znode_fill(l, i, acl, &stat);
    return 0;
}

static int take_unit(struct tree_load *l, struct slice bytes, struct err *e)
{
    struct jute_reader r = jute_reader_of(bytes);
    int rc = 0;
    switch (l->unit) {
    case UNIT_SESSION_COUNT:
        rc = take_count(l, &r, UNIT_SESSION, e);
        break;
    case UNIT_SESSION:
        rc = take_session(l, &r);
        break;
    case UNIT_ACL_COUNT:
        rc = take_count(l, &r, UNIT_ACL, e);
        break;
    case UNIT_ACL:
        rc = take_acl(l, &r, e);
        break;
    case UNIT_ACL_ELEMENT:
        rc = take_acl_element(l, &r, e);
        break;
    case UNIT_NODE:
        rc = take_node(l, &r, e);
        break;
    case UNIT_END:
        break;
    }
    if (rc == 0 && !jute_done(&r))
        rc = err_set(e, -EBADMSG, "snapshot: a string has a negative length");
    return rc;
}

/* On to the kind of unit that comes next, past those of which there are none left. */
static int next_unit(struct tree_load *l, struct err *e)
{
    if (l->unit == UNIT_SESSION && l->left == 0)
        l->unit = UNIT_ACL_COUNT;
    if (l->unit == UNIT_ACL_ELEMENT && l->left == 0)
        l->unit = UNIT_ACL;
    if (l->unit == UNIT_ACL && l->acls_left == 0) {
        l->unit = UNIT_NODE;
        return finish_acls(l, e);
    }
    return 0;
}

static int finish(struct tree_load *l, struct err *e)
{
    if (!l->have_root)
        return err_set(e, -EBADMSG, "snapshot: there is no root node");
    acls_purge(&l->tree->acls);
    tree_add_builtin(l->tree);
    quota_recompute_all(l->tree);
    return 1;
}

/* Take one unit, or all of the chunk into `pending`. */
static int feed_some(struct tree_load *l, struct slice chunk, size_t *used, struct err *e)
{
    bool gathering = l->pending.len > 0;
    struct slice have = gathering ? buf_slice(&l->pending) : chunk;
    size_t need = unit_need(l->unit, have);
    *used = 0;
    if (need > TREE_RECORD_MAX)
        return err_set(e, -EFBIG, "snapshot: a record of %zu bytes, more than %d", need,
                       TREE_RECORD_MAX);
    if (need > slice_size(have)) {
        size_t more = MIN(slice_size(chunk), gathering ? need - l->pending.len : SIZE_MAX);
        buf_append(&l->pending, chunk.data, more);
        *used = more;
        return 0;
    }
    int rc = take_unit(l, slice_of(have.data, need), e);
    if (gathering)
        buf_reset(&l->pending);
    else
        *used = need;
    return rc < 0 ? rc : next_unit(l, e);
}

int tree_load_feed(struct tree_load *l, struct slice chunk, size_t *used, struct err *e)
{
    *used = 0;
    while (l->unit != UNIT_END) {
        struct slice rest = slice_of(chunk.data + *used, slice_size(chunk) - *used);
        size_t some;
        bool stuck = rest.len == 0 && l->pending.len < unit_need(l->unit, buf_slice(&l->pending));
        if (stuck)
            return 0;
        int rc = feed_some(l, rest, &some, e);
        *used += some;
        if (rc < 0)
            return rc;
    }
    return finish(l, e);
}
