/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Interned ACLs with reference counts.
 *
 * A new ACL gets the number behind the largest that is there, so that the numbers depend only on
 * the ACLs in the tree and not on those that once were: a replica that loaded a snapshot goes on
 * like one that did not. The ACL of most trees, world:anyone, has no entry at all. */
#include "internal.h"

#include <stdlib.h>

static const uint8_t open_acl[] = {0,   0, 0, ZK_PERM_ALL, 0, 0,   0,   5,   'w', 'o', 'r', 'l',
                                   'd', 0, 0, 0,           6, 'a', 'n', 'y', 'o', 'n', 'e'};

static bool acl_is_open(const struct jute_vector *v)
{
    return v->count < 0 ||
           (v->count == 1 && slice_eq(v->bytes, slice_of(open_acl, sizeof(open_acl))));
}

void acls_init(struct acls *a, uint64_t seed)
{
    *a = (struct acls){.seed = seed};
    list_init(&a->by_order);
    list_init(&a->dead);
}

static void acl_free(struct acls *a, struct acl *acl)
{
    hmap_remove(&a->by_id, &acl->by_id);
    hmap_remove(&a->by_content, &acl->by_content);
    list_remove(&acl->by_order);
    list_remove(&acl->dead);
    free(acl);
}

void acls_close(struct acls *a)
{
    LIST_FOR_EACH_SAFE (acl, &a->by_order, struct acl, by_order)
        acl_free(a, acl);
    hmap_close(&a->by_id);
    hmap_close(&a->by_content);
}

static uint64_t acl_hash(const struct acls *a, const struct jute_vector *v)
{
    return hash_bytes(v->bytes.data, slice_size(v->bytes), a->seed);
}

static struct acl *acl_find_content(const struct acls *a, const struct jute_vector *v)
{
    HMAP_FOR_EACH_WITH_HASH (acl, &a->by_content, acl_hash(a, v), struct acl, by_content) {
        if (acl->count == v->count && slice_eq(slice_of(acl->bytes, (size_t)acl->size),
                                               slice_of(v->bytes.data, slice_size(v->bytes))))
            return acl;
    }
    return NULL;
}

static struct acl *acl_new(struct acls *a, int64_t id, const struct jute_vector *v)
{
    size_t size = slice_size(v->bytes);
    struct acl *acl = mem_alloc(sizeof(*acl) + size);
    *acl = (struct acl){.id = id, .count = v->count, .size = (int32_t)size};
    if (size > 0)
        memcpy(acl->bytes, v->bytes.data, size);
    hmap_insert(&a->by_id, &acl->by_id, hash_u64((uint64_t)id));
    hmap_insert(&a->by_content, &acl->by_content, acl_hash(a, v));
    list_append(&a->by_order, &acl->by_order);
    list_init(&acl->dead);
    list_append(&a->dead, &acl->dead);
    return acl;
}

static int64_t acl_largest_id(const struct acls *a)
{
    if (list_is_empty(&a->by_order))
        return 0;
    return LIST_ENTRY(a->by_order.prev, struct acl, by_order)->id;
}

struct acl *acl_intern(struct acls *a, const struct jute_vector *v)
{
    if (acl_is_open(v))
        return NULL;
    struct acl *acl = acl_find_content(a, v);
    if (!acl)
        acl = acl_new(a, acl_largest_id(a) + 1, v);
    acl_ref(acl);
    return acl;
}

struct acl *acl_insert(struct acls *a, int64_t id, const struct jute_vector *v)
{
    if (acl_is_open(v))
        return NULL;
    struct acl *acl = acl_find_content(a, v);
    if (acl)
        return acl;
    ensure(id > acl_largest_id(a));
    return acl_new(a, id, v);
}

void acl_ref(struct acl *acl)
{
    if (acl && acl->refs++ == 0)
        list_remove(&acl->dead);
}

void acl_unref(struct acls *a, struct acl *acl)
{
    if (!acl)
        return;
    ensure(acl->refs > 0);
    if (--acl->refs == 0)
        list_append(&a->dead, &acl->dead);
}

void acls_purge(struct acls *a)
{
    LIST_FOR_EACH_SAFE (acl, &a->dead, struct acl, dead)
        acl_free(a, acl);
}

struct jute_vector tree_acl(const struct tree *t, int64_t acl_id)
{
    HMAP_FOR_EACH_WITH_HASH (acl, &t->acls.by_id, hash_u64((uint64_t)acl_id), struct acl, by_id) {
        if (acl->id == acl_id)
            return acl_vector(acl);
    }
    ensure(acl_id == -1);
    return (struct jute_vector){1, slice_of(open_acl, sizeof(open_acl))};
}
