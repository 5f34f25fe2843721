/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The replica's watches, and who may do what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node_lib.h"

static int setup(void **state)
{
    struct rig *rig = malloc(sizeof(*rig));
    rig_open(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

/* ---- Watches ---- */

static void a_watch_fires_once_and_before_the_answer(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    do_read(rig, c, ZK_OP_exists, "/a", true);
    assert_said(c, "#1@1 NONODE");
    do_create(rig, c, "/a", ZK_PERSISTENT);
    assert_said(c, "event created /a\n#2@2 OK /a");
    do_versioned(rig, c, ZK_OP_setData, "/a", -1);
    assert_said(c, "#3@3 OK {c2 m3 p2 v1 cv0 av0 len3 kids0}");
    do_read(rig, c, ZK_OP_getData, "/a", true);
    do_read(rig, c, ZK_OP_getChildren, "/a", true);
    said(c);
    do_create(rig, c, "/a/b", ZK_PERSISTENT);
    assert_said(c, "event children /a\n#6@4 OK /a/b");
    do_versioned(rig, c, ZK_OP_delete, "/a/b", -1);
    do_versioned(rig, c, ZK_OP_delete, "/a", -1);
    assert_said(c, "#7@5 OK\nevent deleted /a\n#8@6 OK");
}

static void persistent_watches_stay(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *deep = client_open(rig), *w = client_open(rig);
    do_watch(rig, c, ZK_OP_addWatch, "/a", ZK_WATCH_PERSISTENT);
    do_watch(rig, deep, ZK_OP_addWatch, "/", ZK_WATCH_PERSISTENT_RECURSIVE);
    do_watch(rig, w, ZK_OP_addWatch, "/", 2);
    assert_said(w, "#1@3 BADARGUMENTS");
    said(c);
    said(deep);
    do_create(rig, w, "/a", ZK_PERSISTENT);
    do_create(rig, w, "/a/b", ZK_PERSISTENT);
    do_versioned(rig, w, ZK_OP_setData, "/a", -1);
    do_versioned(rig, w, ZK_OP_setData, "/a/b", -1);
    do_versioned(rig, w, ZK_OP_delete, "/a/b", -1);
    assert_said(c, "event created /a\nevent children /a\nevent changed /a\nevent children /a");
    assert_said(deep, "event created /a\nevent created /a/b\nevent changed /a\nevent changed /a/b\n"
                      "event deleted /a/b");
    do_watch(rig, c, ZK_OP_removeWatches, "/a", ZK_WATCHER_DATA);
    do_watch(rig, c, ZK_OP_checkWatches, "/a", ZK_WATCHER_PERSISTENT);
    do_watch(rig, c, ZK_OP_removeWatches, "/a", ZK_WATCHER_ANY);
    do_watch(rig, c, ZK_OP_checkWatches, "/a", ZK_WATCHER_PERSISTENT);
    do_watch(rig, c, ZK_OP_checkWatches, "/a", 9);
    do_versioned(rig, w, ZK_OP_delete, "/a", -1);
    assert_said(c, "#2@8 NOWATCHER\n#3@8 OK\n#4@8 OK\n#5@8 NOWATCHER\n#6@8 BADARGUMENTS");
}

static void whoever_may_not_read_is_not_told(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *w = client_open(rig);
    do_auth(rig, w, "digest", "alice:secret");
    do_watch(rig, c, ZK_OP_addWatch, "/", ZK_WATCH_PERSISTENT_RECURSIVE);
    do_read(rig, c, ZK_OP_exists, "/a", true);
    said(c);
    do_create_acl(rig, w, "/a", ZK_PERM_ALL, "auth", "");
    do_versioned(rig, w, ZK_OP_setData, "/a", -1);
    do_versioned(rig, w, ZK_OP_delete, "/a", -1);
    assert_said(c, "");
}

static void set_watches(struct rig *rig, struct test_client *c, int64_t zxid,
                        const char *const paths[5])
{
    struct buf *b = ask_begin(c, ZK_XID_SET_WATCHES, ZK_OP_setWatches2);
    jute_write_long(b, zxid);
    for (int i = 0; i < 5; i++) {
        jute_write_int(b, paths[i] ? 1 : 0);
        if (paths[i])
            jute_write_buffer(b, slice_str(paths[i]));
    }
    frame_send(rig, c);
}

static void what_was_missed_is_told_after_a_reconnect(void **state)
{
    static const char *const all[] = {"/a", "/b", "/c", "/d", "/e"};
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *w = client_open(rig);
    do_create(rig, w, "/a", ZK_PERSISTENT);
    do_create(rig, w, "/c", ZK_PERSISTENT);
    set_watches(rig, c, 4, all);
    assert_said(c, "#-8@4 OK");
    client_gone(rig, c);
    do_versioned(rig, w, ZK_OP_setData, "/a", -1);
    do_create(rig, w, "/b", ZK_PERSISTENT);
    do_create(rig, w, "/c/c", ZK_PERSISTENT);
    struct test_client *again = client_resume(rig, c);
    said(again);
    set_watches(rig, again, 4, all);
    assert_said(again, "event changed /a\nevent created /b\nevent children /c\n#-8@7 OK");
    do_versioned(rig, w, ZK_OP_setData, "/a", -1);
    do_create(rig, w, "/d", ZK_PERSISTENT);
    assert_said(again, "event created /d");
}

static void nor_of_what_was_missed(void **state)
{
    static const char *const exist[] = {NULL, "/a", NULL, NULL, NULL};
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *w = client_open(rig);
    do_auth(rig, w, "digest", "alice:secret");
    do_create_acl(rig, w, "/a", ZK_PERM_ALL, "auth", "");
    set_watches(rig, c, 0, exist);
    assert_said(c, "#-8@3 OK");
}

/* ---- Who may do what ---- */

static void digests_open_what_they_closed(void **state)
{
    struct rig *rig = *state;
    struct test_client *alice = client_open(rig), *bob = client_open(rig);
    do_create_acl(rig, alice, "/x", ZK_PERM_ALL, "auth", "");
    assert_said(alice, "#1@2 INVALIDACL");
    do_auth(rig, alice, "digest", "alice:secret");
    assert_said(alice, "#-4@2 OK");
    do_create_acl(rig, alice, "/a", ZK_PERM_ALL, "auth", "");
    assert_said(alice, "#2@3 OK /a");
    do_auth(rig, bob, "digest", "alice:wrong");
    said(bob);
    do_read(rig, bob, ZK_OP_getData, "/a", false);
    do_create(rig, bob, "/a/b", ZK_PERSISTENT);
    do_versioned(rig, bob, ZK_OP_setData, "/a", -1);
    do_versioned(rig, bob, ZK_OP_setACL, "/a", -1);
    do_path(rig, bob, ZK_OP_getACL, "/a");
    assert_said(bob, "#1@3 NOAUTH\n#2@3 NOAUTH\n#3@3 NOAUTH\n#4@3 NOAUTH\n#5@3 NOAUTH");
    do_path(rig, alice, ZK_OP_getACL, "/a");
    assert_said(alice, "#3@3 OK 31:digest:alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E= "
                       "{c3 m3 p3 v0 cv0 av0 len1 kids0}");
    do_auth(rig, bob, "digest", "alice:secret");
    said(bob);
    do_versioned(rig, bob, ZK_OP_setData, "/a", -1);
    assert_said(bob, "#6@4 OK {c3 m4 p3 v1 cv0 av0 len3 kids0}");
}

static void hashes_are_shown_to_admins_only(void **state)
{
    struct rig *rig = *state;
    struct test_client *alice = client_open(rig), *bob = client_open(rig);
    struct zk_acl all = {ZK_PERM_ALL, {slice_str("auth"), SLICE_EMPTY}};
    struct zk_acl read = {ZK_PERM_READ, {slice_str("world"), slice_str("anyone")}};
    do_auth(rig, alice, "digest", "alice:secret");
    struct buf *b = ask(alice, ZK_OP_create);
    jute_write_buffer(b, slice_str("/a"));
    jute_write_buffer(b, slice_str("x"));
    jute_write_int(b, 2);
    zk_acl_write(b, &all);
    zk_acl_write(b, &read);
    jute_write_int(b, 0);
    frame_send(rig, alice);
    do_path(rig, bob, ZK_OP_getACL, "/a");
    assert_said(bob, "#1@3 OK 31:digest:alice:x 1:world:anyone {c3 m3 p3 v0 cv0 av0 len1 kids0}");
}

static void addresses_are_identities(void **state)
{
    struct rig *rig = *state;
    struct test_client *here = client_open(rig), *there = client_at(rig, "10.0.1.1:4000");
    client_hello(rig, there, TEST_TIMEOUT_MS, 0, NULL, 0);
    said(there);
    do_create_acl(rig, here, "/net", ZK_PERM_ALL, "ip", "10.0.0.0/24");
    do_create_acl(rig, here, "/bad", ZK_PERM_ALL, "ip", "10.0.0.0/33");
    do_create_acl(rig, here, "/bad", ZK_PERM_ALL, "ip", "here");
    do_create_acl(rig, here, "/bad", ZK_PERM_ALL, "digest", "no-colon");
    do_create_acl(rig, here, "/bad", ZK_PERM_ALL, "world", "somebody");
    do_create_acl(rig, here, "/bad", ZK_PERM_ALL, "x509", "cn");
    do_versioned(rig, here, ZK_OP_setData, "/net", -1);
    assert_said(here, "#1@3 OK /net\n#2@3 INVALIDACL\n#3@3 INVALIDACL\n#4@3 INVALIDACL\n"
                      "#5@3 INVALIDACL\n#6@3 INVALIDACL\n#7@4 OK {c3 m4 p3 v1 cv0 av0 len3 kids0}");
    do_versioned(rig, there, ZK_OP_setData, "/net", -1);
    assert_said(there, "#1@4 NOAUTH");
}

/* As with ZooKeeper, whose hash is over all of it. */
static void a_digest_without_a_colon_is_a_user(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    do_auth(rig, c, "digest", "blah");
    do_create_acl(rig, c, "/mine", ZK_PERM_ALL, "auth", "");
    do_create_acl(rig, c, "/a", ZK_PERM_ALL, "digest", "blah:W/H9kn37hnlJai5s8Ay+UMHIcUU=");
    do_auth(rig, c, "digest", "");
    do_versioned(rig, c, ZK_OP_setData, "/a", -1);
    do_path(rig, c, ZK_OP_getACL, "/mine");
    assert_said(c, "#-4@1 OK\n#1@2 OK /mine\n#2@3 OK /a\n#-4@3 OK\n"
                   "#3@4 OK {c3 m4 p3 v1 cv0 av0 len3 kids0}\n"
                   "#4@4 OK 31:digest:blah:W/H9kn37hnlJai5s8Ay+UMHIcUU= "
                   "{c2 m2 p2 v0 cv0 av0 len1 kids0}");
}

static void digests_may_be_of_another_kind_or_off(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.digest_alg = "SHA-256";
    rig_open_with(&rig, &config);
    struct test_client *c = client_open(&rig);
    /* of alice:secret, by sha256sum */
    do_auth(&rig, c, "digest", "alice:secret");
    do_create_acl(&rig, c, "/a", ZK_PERM_ALL, "digest",
                  "alice:PRHcR5wI47NodzED1kdmwuQgzjlyeTL88tj02dWZvlk=");
    do_versioned(&rig, c, ZK_OP_setData, "/a", -1);
    assert_said(c, "#-4@1 OK\n#1@2 OK /a\n#2@3 OK {c2 m3 p2 v1 cv0 av0 len3 kids0}");
    rig_close(&rig);

    config.digest_disabled = true;
    rig_open_with(&rig, &config);
    c = client_open(&rig);
    do_create_acl(&rig, c, "/a", ZK_PERM_ALL, "digest", "a:b");
    do_auth(&rig, c, "digest", "alice:secret");
    assert_said(c, "#1@1 INVALIDACL\n#-4@1 AUTHFAILED\nclosed");
    rig_close(&rig);
}

static void the_super_digest_may_do_all(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.super_digest = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="; /* of super:secret */
    rig_open_with(&rig, &config);
    struct test_client *alice = client_open(&rig), *admin = client_open(&rig);
    do_auth(&rig, alice, "digest", "alice:secret");
    do_create_acl(&rig, alice, "/a", ZK_PERM_ALL, "auth", "");
    do_auth(&rig, admin, "digest", "super:guess");
    do_read(&rig, admin, ZK_OP_exists, "/a", false);
    do_auth(&rig, admin, "digest", "super:secret");
    do_versioned(&rig, admin, ZK_OP_delete, "/a", -1);
    assert_said(admin, "#-4@3 OK\n#1@3 NOAUTH\n#-4@3 OK\n#2@4 OK");
    rig_close(&rig);
}

static void the_certificate_is_an_identity(void **state)
{
    struct node_config config = test_config();
    struct rig rig;
    (void)state;
    config.super_x509 = "CN=root";
    rig_open_with(&rig, &config);
    struct test_client *alice = client_open(&rig), *bob = client_open(&rig),
                       *root = client_open(&rig);
    rig_step(&rig, (struct node_event){
                       .type = NODE_CONN_SECURED, .conn = alice->conn, .x509 = "CN=alice,O=us"});
    rig_step(&rig,
             (struct node_event){.type = NODE_CONN_SECURED, .conn = root->conn, .x509 = "CN=root"});
    do_auth(&rig, alice, "x509", "");
    do_create_acl(&rig, alice, "/a", ZK_PERM_ALL, "auth", "");
    do_create_acl(&rig, alice, "/b", ZK_PERM_ALL, "x509", "CN=bob,O=us");
    do_create_acl(&rig, alice, "/c", ZK_PERM_ALL, "x509", "");
    do_versioned(&rig, alice, ZK_OP_delete, "/a", -1);
    do_versioned(&rig, alice, ZK_OP_setData, "/b", -1);
    assert_said(alice, "#-4@3 OK\n#1@4 OK /a\n#2@5 OK /b\n#3@5 INVALIDACL\n#4@6 OK\n#5@6 NOAUTH");
    do_versioned(&rig, root, ZK_OP_delete, "/b", -1);
    assert_said(root, "#1@7 OK");
    do_auth(&rig, bob, "x509", "CN=bob,O=us");
    assert_said(bob, "#-4@7 AUTHFAILED\nclosed");
    rig_close(&rig);
}

static void an_unknown_scheme_closes_the_connection(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig), *d = client_open(rig);
    do_auth(rig, c, "kerberos", "ticket");
    assert_said(c, "#-4@2 AUTHFAILED\nclosed");
    do_auth(rig, d, "x509", "CN=me");
    assert_said(d, "#-4@2 AUTHFAILED\nclosed");
}

static void multi_checks_permissions_of_what_it_makes(void **state)
{
    struct rig *rig = *state;
    struct test_client *c = client_open(rig);
    struct buf *b = ask(c, ZK_OP_multi);
    multi_op(b, ZK_OP_create);
    jute_write_buffer(b, slice_str("/a"));
    jute_write_buffer(b, slice_str(""));
    write_world(b, ZK_PERM_READ);
    jute_write_int(b, 0);
    multi_op(b, ZK_OP_create);
    write_create(b, "/a/b", "", ZK_PERSISTENT);
    multi_end(rig, c);
    assert_said(c, "#1@1 OK (OK/OK) (NOAUTH/NOAUTH)");
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(a_watch_fires_once_and_before_the_answer),
        NODE_TEST(persistent_watches_stay),
        NODE_TEST(whoever_may_not_read_is_not_told),
        NODE_TEST(what_was_missed_is_told_after_a_reconnect),
        NODE_TEST(nor_of_what_was_missed),
        NODE_TEST(digests_open_what_they_closed),
        NODE_TEST(hashes_are_shown_to_admins_only),
        NODE_TEST(addresses_are_identities),
        NODE_TEST(a_digest_without_a_colon_is_a_user),
        cmocka_unit_test(digests_may_be_of_another_kind_or_off),
        cmocka_unit_test(the_super_digest_may_do_all),
        cmocka_unit_test(the_certificate_is_an_identity),
        NODE_TEST(an_unknown_scheme_closes_the_connection),
        NODE_TEST(multi_checks_permissions_of_what_it_makes),
    };
    return cmocka_run_group_tests_name("node watches", tests, NULL, NULL);
}
