/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/mount/model.h"

struct entry {
    unsigned perms;
    const char *scheme;
    const char *id;
};

static struct jute_vector acl_of(struct buf *b, const struct entry *entries, size_t n)
{
    struct jute_builder vb = jute_vector_begin(b);
    for (size_t i = 0; i < n; i++) {
        struct zk_acl acl = {(int32_t)entries[i].perms,
                             {slice_str(entries[i].scheme), slice_str(entries[i].id)}};
        zk_acl_write(b, &acl);
        vb.count++;
    }
    jute_vector_end(&vb);
    return jute_vector_built(&vb);
}

static const struct entry world_all[] = {{ZK_PERM_ALL, "world", "anyone"}};
static const struct entry mine_and_world_read[] = {{ZK_PERM_ALL, "digest", "me:x"},
                                                   {ZK_PERM_READ, "world", "anyone"}};

static struct identity me(void)
{
    struct identity who = {0};
    identity_add(&who, slice_str("digest"), slice_str("me:x"));
    return who;
}

static void the_type_is_in_every_stat(void **state)
{
    (void)state;
    assert_true(map_is_dir(&(struct zk_stat){0}, true));
    assert_false(map_is_dir(&(struct zk_stat){0}, false));
    assert_true(map_is_dir(&(struct zk_stat){.num_children = 1}, false));
    assert_true(map_is_dir(&(struct zk_stat){.cversion = 2}, false)); /* had a child once */
}

static void modes_are_the_acl(void **state)
{
    (void)state;
    struct buf b = {0};
    struct identity who = me();
    unsigned own, world;
    struct jute_vector acl = acl_of(&b, mine_and_world_read, 2);
    map_acl_perms(&acl, &who, &own, &world);
    assert_int_equal(map_mode(false, own, world), S_IFREG | 0644);
    assert_int_equal(map_mode(true, own, world), S_IFDIR | 0755);
    map_acl_perms(&acl, &(struct identity){0}, &own, &world);
    assert_int_equal(map_mode(false, own, world), S_IFREG | 0444);
    identity_close(&who);
    buf_close(&b);
}

static void an_address_range_is_mine(void **state)
{
    (void)state;
    struct buf b = {0};
    struct identity who = {0};
    unsigned own, world;
    identity_add(&who, slice_str("ip"), slice_str("10.1.2.3"));
    struct jute_vector in = acl_of(&b, (struct entry[]){{ZK_PERM_READ, "ip", "10.1.0.0/15"}}, 1);
    map_acl_perms(&in, &who, &own, &world);
    assert_int_equal(own, ZK_PERM_READ);
    buf_reset(&b);
    struct jute_vector out = acl_of(&b, (struct entry[]){{ZK_PERM_READ, "ip", "10.2.0.0/15"}}, 1);
    map_acl_perms(&out, &who, &own, &world);
    assert_int_equal(own, 0);
    identity_close(&who);
    buf_close(&b);
}

static enum map_chmod chmod_of(const struct entry *entries, size_t n, bool with_identity,
                               mode_t mode, unsigned *world)
{
    struct buf b = {0}, out = {0};
    struct identity who = with_identity ? me() : (struct identity){0};
    unsigned own;
    struct jute_vector acl = acl_of(&b, entries, n);
    enum map_chmod rc = map_chmod(&acl, &who, false, mode, &out);
    if (rc == MAP_CHMOD_SET) {
        acl = map_acl_vector(buf_slice(&out));
        map_acl_perms(&acl, &(struct identity){0}, &own, world);
    }
    identity_close(&who);
    buf_close(&b);
    buf_close(&out);
    return rc;
}

static void chmod_that_would_hide_and_cannot_is_denied(void **state)
{
    (void)state;
    assert_int_equal(chmod_of(world_all, 1, false, 0600, NULL), MAP_CHMOD_DENIED);
    assert_int_equal(chmod_of(world_all, 1, false, 0644, NULL), MAP_CHMOD_NOTHING);
    assert_int_equal(chmod_of(world_all, 1, false, 0755, NULL), MAP_CHMOD_NOTHING);
}

static void chmod_never_grants_more_than_was_asked(void **state)
{
    (void)state;
    unsigned world = 99;
    assert_int_equal(chmod_of(world_all, 1, true, 0644, &world), MAP_CHMOD_SET);
    assert_int_equal(world, ZK_PERM_READ);
    assert_int_equal(chmod_of(world_all, 1, true, 0640, &world), MAP_CHMOD_SET);
    assert_int_equal(world, 0); /* the group is part of the world */
    assert_int_equal(chmod_of(mine_and_world_read, 2, true, 0644, &world), MAP_CHMOD_NOTHING);
    assert_int_equal(chmod_of(mine_and_world_read, 2, true, 0666, &world), MAP_CHMOD_SET);
    assert_int_equal(world & ZK_PERM_ADMIN, 0);
}

static void names_that_zookeeper_refuses(void **state)
{
    (void)state;
    char name[257];
    memset(name, 'n', sizeof(name));
    assert_int_equal(map_check_name(slice_of(name, 255)), 0);
    assert_int_equal(map_check_name(slice_of(name, 256)), ENAMETOOLONG);
    assert_int_equal(map_check_name(slice_str("a\x01")), EILSEQ);
    assert_int_equal(map_check_name(slice_str("\xff")), EILSEQ);
    assert_int_equal(map_check_name(slice_str("with space \xc3\xbc")), 0);
}

static void errors_say_what_happened(void **state)
{
    (void)state;
    assert_int_equal(map_errno(ZK_OPERATIONTIMEOUT, true), EROFS);
    assert_int_equal(map_errno(ZK_OPERATIONTIMEOUT, false), ETIMEDOUT);
    assert_int_equal(map_errno(ZK_NOAUTH, true), EACCES);
    assert_int_equal(map_errno(ZK_BADVERSION, true), ESTALE);
    assert_int_equal(map_errno(ZK_QUOTAEXCEEDED, true), EDQUOT);
    assert_int_equal(map_errno(ZK_REPLYTOOLONG, false), EMSGSIZE);
}

static void attributes_show_the_stat(void **state)
{
    (void)state;
    struct buf value = {0};
    struct node n = {.stat = {.czxid = 0x1f, .version = 3}, .acl = SLICE_NULL};
    assert_true(map_xattr(&n, "user.zk.czxid", &value));
    assert_true(slice_eq_str(buf_slice(&value), "0x1f"));
    buf_reset(&value);
    assert_true(map_xattr(&n, "user.zk.version", &value));
    assert_true(slice_eq_str(buf_slice(&value), "3"));
    buf_reset(&value);
    assert_true(map_xattr(&n, "user.zk.acl", &value));
    assert_true(slice_eq_str(buf_slice(&value), "world:anyone:cdrwa"));
    assert_false(map_xattr(&n, "user.zk.nothing", &value));
    assert_false(map_xattr(&n, "security.capability", &value));
    buf_close(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_type_is_in_every_stat),
        cmocka_unit_test(modes_are_the_acl),
        cmocka_unit_test(an_address_range_is_mine),
        cmocka_unit_test(chmod_that_would_hide_and_cannot_is_denied),
        cmocka_unit_test(chmod_never_grants_more_than_was_asked),
        cmocka_unit_test(names_that_zookeeper_refuses),
        cmocka_unit_test(errors_say_what_happened),
        cmocka_unit_test(attributes_show_the_stat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
