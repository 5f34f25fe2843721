/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The format of java.util.Properties: what Java 17 makes of the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "properties.h"

/* "key=value" of each, with a | between them. */
static const char *parsed(const char *text)
{
    static char out[4096];
    struct properties p;
    struct err e;
    size_t len = 0;
    out[0] = '\0';
    if (properties_parse(&p, "f", slice_str(text), &e) != 0)
        len = (size_t)snprintf(out, sizeof(out), "%s", e.text);
    for (size_t i = 0; i < p.n && len < sizeof(out); i++)
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s=%s", i > 0 ? "|" : "",
                                p.list[i].key, p.list[i].value);
    properties_close(&p);
    return out;
}

static void lines_are_split_as_java_splits_them(void **state)
{
    static const char *const cases[][2] = {
        {"a=b", "a=b"},
        {"a=b\r\nc=d\re=f\n", "a=b|c=d|e=f"},
        {"  a = b  \n\t c\t:\td ", "a=b|c=d"},
        {"a b\nc  \t d e", "a=b|c=d e"},
        {"a\nb=\n=c", "a=|b=|=c"},
        {"a==b\nc=:d\ne = = f", "a==b|c=:d|e== f"},
        {"#a=b\n!c=d\n  # e\n\n  \ng=#h!", "g=#h!"},
        {"# no \\\na=b", "a=b"},
        {"a=b\\\n   c\\\r\n\t#d\ne=f", "a=bc#d|e=f"},
        {"a=b\\\\\nc=d", "a=b\\|c=d"},
        {"a=b\\", "a=b"},
        {"a\\\nb=c", "ab=c"},
        {"a=\\\n\nb=c", "a=|b=c"},
        {"a\\=b\\:c\\ d=e\\=f", "a=b:c d=e=f"},
        {"\\#a=\\!b\\q", "#a=!bq"},
        {"a=b\\tc\\nd\\fe\\rf", "a=b\tc\nd\fe\rf"},
        {"a=\\u0041\\u00fc\\u20AC", "a=A\xc3\xbc\xe2\x82\xac"},
        {"a=\\ud83d\\ude00 \\ud83d", "a=\xf0\x9f\x98\x80 ?"},
        {"a=\xc3\xbc", "a=\xc3\xbc"},
        {"a=\xfc", "a=\xc3\xbc"},
        {"a=1\nb=2\na=3", "a=3|b=2"},
        {"a=\\u12", "f:1: \\u needs four hexadecimal digits, and not 0000"},
        {"\n\na=\\u12x4", "f:3: \\u needs four hexadecimal digits, and not 0000"},
        {"a=\\u0000", "f:1: \\u needs four hexadecimal digits, and not 0000"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(parsed(cases[i][0]), cases[i][1]);
}

static void lines_are_counted(void **state)
{
    struct properties p;
    struct err e;
    (void)state;
    assert_int_equal(properties_parse(&p, "f", slice_str("#\n\na=\\\n  1\nb=2\n! \\\na=3\n"), &e),
                     0);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.list[0].value, "3");
    assert_int_equal(p.list[0].line, 7);
    assert_int_equal(p.list[0].was_line, 3);
    assert_int_equal(p.list[1].line, 5);
    assert_int_equal(p.list[1].was_line, 0);
    properties_close(&p);
}

static void a_byte_of_zero_is_refused(void **state)
{
    struct properties p;
    struct err e;
    (void)state;
    assert_true(properties_parse(&p, "f", slice_of("a=\0b", 4), &e) < 0);
    assert_string_equal(e.text, "f: a byte of it is zero; it must be a text");
    properties_close(&p);
}

static void keys_are_limited(void **state)
{
    struct properties p;
    struct buf text = {0};
    struct err e;
    (void)state;
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, "k%d\n", i);
    assert_true(properties_parse(&p, "f", buf_slice(&text), &e) < 0);
    assert_string_equal(e.text, "f:4097: more than 4096 keys");
    properties_close(&p);
    buf_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_split_as_java_splits_them),
        cmocka_unit_test(lines_are_counted),
        cmocka_unit_test(a_byte_of_zero_is_refused),
        cmocka_unit_test(keys_are_limited),
    };
    return cmocka_run_group_tests_name("properties", tests, NULL, NULL);
}
