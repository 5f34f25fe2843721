/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paths, part by part, and the hash of a path: that of its parent combined with its last part, so
 * that a walk from the root has the hashes of all ancestors in passing. */
#ifndef ZAB_TREE_PATH_H
#define ZAB_TREE_PATH_H

#include "zab/hmap.h"
#include "zab/protocol.h"

struct path_parts {
    const uint8_t *pos; /* at a slash, or at the end */
    const uint8_t *end;
};

/* `path` begins with a slash. "/" has no parts. */
static inline struct path_parts path_parts_of(struct slice path)
{
    return (struct path_parts){path.data, path.data + (path.len > 1 ? path.len : 0)};
}

static inline bool path_parts_next(struct path_parts *p, struct slice *name)
{
    if (p->pos == p->end)
        return false;
    const uint8_t *start = p->pos + 1;
    const uint8_t *slash = memchr(start, '/', (size_t)(p->end - start));
    p->pos = slash ? slash : p->end;
    *name = slice_of(start, (size_t)(p->pos - start));
    return true;
}

/* Into the parent's path and the last part; false if there is none of either. What is wrong
 * further up is found by looking for the parent. */
static inline bool path_split(struct slice path, struct slice *parent, struct slice *name)
{
    if (path.len < 2 || path.data[0] != '/' || path.data[path.len - 1] == '/')
        return false;
    *parent = zk_path_parent(path);
    *name = zk_path_name(path);
    int32_t slash = path.len - name->len - 1;
    return slash == 0 || path.data[slash - 1] != '/';
}

static inline uint64_t path_hash_child(uint64_t parent_hash, struct slice name)
{
    return hash_bytes(name.data, slice_size(name), parent_hash);
}

#endif
