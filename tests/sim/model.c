/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The array of nodes, and what can be asked about it. */
#include "sim.h"

static struct model_node *place(const struct model *m, const char *path, bool *there)
{
    size_t i = 0;
    int order = 1;
    while (i < m->n_nodes && (order = strcmp(m->nodes[i].path, path)) < 0)
        i++;
    *there = i < m->n_nodes && order == 0;
    return m->nodes + i;
}

struct model_node *model_find(const struct model *m, const char *path)
{
    bool there;
    struct model_node *n = place(m, path, &there);
    return there ? n : NULL;
}

struct model_node *model_add(struct model *m, const char *path)
{
    bool there;
    ROOM_FOR_ONE(m->nodes, m->n_nodes, m->cap_nodes);
    struct model_node *n = place(m, path, &there);
    ensure(!there);
    memmove(n + 1, n, (size_t)(m->nodes + m->n_nodes - n) * sizeof(*n));
    m->n_nodes++;
    *n = (struct model_node){.data_len = 0};
    snprintf(n->path, sizeof(n->path), "%s", path);
    return n;
}

void model_remove(struct model *m, struct model_node *n)
{
    size_t behind = (size_t)(m->nodes + m->n_nodes - n) - 1;
    memmove(n, n + 1, behind * sizeof(*n));
    m->n_nodes--;
}

/* What a new tree has. */
void model_open(struct model *m)
{
    static const struct model_acl open_to_all = {1, {{ZK_PERM_ALL, MODEL_WORLD}}};
    static const struct model_acl read_only = {1, {{ZK_PERM_READ, MODEL_WORLD}}};
    static const char *const paths[] = {"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"};
    *m = (struct model){0};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        model_add(m, paths[i])->acl = open_to_all;
    model_find(m, "/zookeeper/config")->acl = read_only;
    model_find(m, "/zookeeper/config")->aversion = -1;
}

static void *copy_of(const void *items, size_t n, size_t size)
{
    void *copy = mem_alloc(MAX(n, 1) * size);
    if (n > 0)
        memcpy(copy, items, n * size);
    return copy;
}

/* The events are not copied: they belong to one transaction. */
void model_copy(struct model *to, const struct model *from)
{
    *to = (struct model){
        .nodes = copy_of(from->nodes, from->n_nodes, sizeof(*from->nodes)),
        .n_nodes = from->n_nodes,
        .cap_nodes = MAX(from->n_nodes, 1),
        .sessions = copy_of(from->sessions, from->n_sessions, sizeof(*from->sessions)),
        .n_sessions = from->n_sessions,
        .cap_sessions = MAX(from->n_sessions, 1),
    };
}

void model_close(struct model *m)
{
    free(m->nodes);
    free(m->sessions);
    free(m->events);
}

struct model_session *model_session(const struct model *m, int64_t id)
{
    for (size_t i = 0; i < m->n_sessions; i++) {
        if (m->sessions[i].id == id)
            return &m->sessions[i];
    }
    return NULL;
}

bool model_is_below(const char *path, const char *above)
{
    size_t len = strcmp(above, "/") == 0 ? 0 : strlen(above);
    return strncmp(path, above, len) == 0 && path[len] == '/' && path[len + 1] != '\0';
}

static bool is_child(const char *path, const char *parent)
{
    size_t len = strcmp(parent, "/") == 0 ? 0 : strlen(parent);
    return model_is_below(path, parent) && !strchr(path + len + 1, '/');
}

int32_t model_children(const struct model *m, const char *path)
{
    int32_t count = 0;
    for (size_t i = 0; i < m->n_nodes; i++)
        count += is_child(m->nodes[i].path, path);
    return count;
}

void model_parent(const char *path, char parent[MODEL_PATH_MAX])
{
    snprintf(parent, MODEL_PATH_MAX, "%s", path);
    char *slash = strrchr(parent, '/');
    slash[slash == parent ? 1 : 0] = '\0';
}

bool model_allows(const struct model_acl *acl, unsigned ids, int32_t perms)
{
    for (int i = 0; i < acl->n; i++) {
        if ((acl->entry[i].perms & perms) && (acl->entry[i].who & (ids | MODEL_WORLD)))
            return true;
    }
    return false;
}

/* Containers and nodes with a time to live can have children, those of sessions cannot. */
bool model_is_of_session(int64_t owner)
{
    return owner != 0 && owner != INT64_MIN && (uint64_t)owner >> 56 != 0xff;
}

/* What the Stat of a node shows: its cversion counts creations and removals of children, and of
 * owners it shows sessions only. */
void model_data_text(const struct model_node *n, struct buf *out)
{
    if (n->data_len < 0)
        buf_printf(out, "null");
    else
        buf_printf(out, "'%.*s'", n->data_len, n->data);
    if (n->pad > 0)
        buf_printf(out, "+%d", n->pad);
}

void model_stat_text(const struct model *m, const struct model_node *n, struct buf *out)
{
    int32_t children = model_children(m, n->path);
    buf_printf(out,
               "{c=0x%" PRIx64 " m=0x%" PRIx64 " p=0x%" PRIx64 " ct=%" PRId64 " mt=%" PRId64
               " v=%d cv=%d av=%d owner=0x%" PRIx64 " len=%d children=%d}",
               (uint64_t)n->czxid, (uint64_t)n->mzxid, (uint64_t)n->pzxid, n->ctime, n->mtime,
               n->version, 2 * n->creations - children, n->aversion,
               model_is_of_session(n->owner) ? (uint64_t)n->owner : 0, MAX(n->data_len, 0) + n->pad,
               children);
}

void model_acl_text(const struct model_acl *acl, bool masked, struct buf *out)
{
    for (int i = 0; i < acl->n; i++) {
        enum model_who who = acl->entry[i].who;
        buf_printf(out, "[%d %s%s]", (int)acl->entry[i].perms,
                   who == MODEL_WORLD   ? "world"
                   : who == MODEL_ALICE ? "alice"
                                        : "bob",
                   masked && who != MODEL_WORLD ? " masked" : "");
    }
}

void model_event(struct model *m, enum zk_event_type type, const struct model_node *n)
{
    ROOM_FOR_ONE(m->events, m->n_events, m->cap_events);
    struct model_event *ev = &m->events[m->n_events++];
    *ev = (struct model_event){.type = type, .acl = n->acl};
    memcpy(ev->path, n->path, sizeof(ev->path));
}
