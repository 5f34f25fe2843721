/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/mount/shell/options.h"

static int parse(struct options *o, const char *list, struct err *e)
{
    char *argv[] = {"zabfs", "h:1", "/mnt", "-o", (char *)list, NULL};
    options_init(o);
    return options_parse(o, 5, argv, e);
}

static void options_of_fstab_are_accepted(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    assert_int_equal(parse(&o, "rw,noauto,_netdev,x-systemd.automount,dev,suid,timeo=2.5", &e), 0);
    assert_int_equal(o.timeo_ms, 2500);
    assert_false(o.read_only);
    assert_string_equal(o.source, "h:1");
    assert_string_equal(o.mountpoint, "/mnt");
    options_close(&o);
}

static void each_value_is_taken(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    assert_int_equal(
        parse(&o, "ro,draft=0,cache=pages,stale=error,sync,uid=7,gid=8,allow_other", &e), 0);
    assert_true(o.read_only && o.sync && o.stale_error && o.allow_other);
    assert_int_equal(o.draft_ms, 0);
    assert_int_equal(o.cache_pages, true);
    assert_int_equal(o.uid, 7);
    assert_int_equal(o.gid, 8);
    options_close(&o);
    assert_int_equal(parse(&o, "tls_ca=/ca,tls_cert=/cert,tls_key=/key,tls_any_host", &e), 0);
    assert_string_equal(o.tls_ca, "/ca");
    assert_string_equal(o.tls_cert, "/cert");
    assert_string_equal(o.tls_key, "/key");
    assert_true(o.tls_any_host);
    options_close(&o);
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    const char *bad[] = {"nonsense", "timeo=x", "timeo=-1",     "cache=disk",
                         "stale=",   "uid=me",  "auth=nocolon", "authfile=/nonexistent"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct options o;
        struct err e = {0};
        assert_true(parse(&o, bad[i], &e) < 0);
        assert_true(e.text[0] != '\0');
        options_close(&o);
    }
}

static void a_backslash_takes_a_comma_into_a_value(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    assert_int_equal(parse(&o, "auth=digest:me:a\\,b,ro", &e), 0);
    assert_string_equal(o.auth[0], "digest:me:a,b");
    assert_true(o.read_only);
    options_close(&o);
}

static void standalone_names_a_directory(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    char *argv[] = {"zabfs", "standalone:/var/z", "/mnt", NULL};
    options_init(&o);
    assert_int_equal(options_parse(&o, 3, argv, &e), 0);
    assert_string_equal(o.data_dir, "/var/z");
    options_close(&o);
    argv[1] = "standalone:";
    options_init(&o);
    assert_int_equal(options_parse(&o, 3, argv, &e), -EINVAL);
    options_close(&o);
}

static void help_names_the_options(void **state)
{
    (void)state;
    struct buf text = {0};
    options_help(&text);
    buf_append(&text, "", 1);
    assert_non_null(strstr((char *)text.data, "authfile="));
    assert_null(strstr((char *)text.data, "_netdev"));
    buf_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_fstab_are_accepted),
        cmocka_unit_test(each_value_is_taken),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(a_backslash_takes_a_comma_into_a_value),
        cmocka_unit_test(standalone_names_a_directory),
        cmocka_unit_test(help_names_the_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
