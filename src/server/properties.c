/* SPDX-License-Identifier: GPL-3.0-or-later */
/* java.util.Properties.load(). A logical line is put together from the natural ones, with its
 * escapes still in it; then it is split and the two halves are unescaped. Java takes a file for
 * ISO-8859-1; what is valid UTF-8 is taken for that here, since the other way round it would be
 * nonsense. */
#include "properties.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX = 1 << 20,
    KEYS_MAX = 4096,
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static bool is_line_end(uint8_t c)
{
    return c == '\n' || c == '\r';
}

/* ---- Characters ---- */

static void put_utf8(struct buf *out, uint32_t c)
{
    uint8_t b[4];
    size_t n = 0;
    if (c < 0x80) {
        b[n++] = (uint8_t)c;
    } else if (c < 0x800) {
        b[n++] = (uint8_t)(0xc0 | c >> 6);
        b[n++] = (uint8_t)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        b[n++] = (uint8_t)(0xe0 | c >> 12);
        b[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        b[n++] = (uint8_t)(0x80 | (c & 0x3f));
    } else {
        b[n++] = (uint8_t)(0xf0 | c >> 18);
        b[n++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        b[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        b[n++] = (uint8_t)(0x80 | (c & 0x3f));
    }
    buf_append(out, b, n);
}

static bool is_utf8(struct slice text)
{
    const uint8_t *p = text.data, *end = p + slice_size(text);
    while (p < end) {
        size_t more = *p < 0x80 ? 0 : *p >> 5 == 6 ? 1 : *p >> 4 == 14 ? 2 : *p >> 3 == 30 ? 3 : 4;
        if (more > 3 || (size_t)(end - p) <= more)
            return false;
        for (p++; more > 0; more--) {
            if (*p++ >> 6 != 2)
                return false;
        }
    }
    return true;
}

/* Four hexadecimal digits at `p`, or -1. */
static int32_t hex4(const uint8_t *p, const uint8_t *end)
{
    int32_t v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef", *d = p[i] ? strchr(digits, p[i] | 0x20) : NULL;
        if (!d || (p[i] < 'A' && p[i] > '9'))
            return -1;
        v = v << 4 | (int32_t)(d - digits);
    }
    return v;
}

/* What follows \u at `*p`, two of them for a character beyond 16 bits. */
static bool take_unicode(const uint8_t **p, const uint8_t *end, struct buf *out)
{
    int32_t c = hex4(*p, end);
    if (c <= 0)
        return false;
    *p += 4;
    if (c >> 10 == 0xd800 >> 10 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        int32_t low = hex4(*p + 2, end);
        if (low >> 10 == 0xdc00 >> 10) {
            *p += 6;
            c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
        }
    }
    put_utf8(out, c >> 11 == 0xd800 >> 11 ? '?' : (uint32_t)c);
    return true;
}

/* ---- A logical line ---- */

/* Its escapes carried out, and no white space at its ends: the caller's, or NULL. */
static char *unescape(const uint8_t *p, const uint8_t *end)
{
    static const char letters[] = "tnrf", meanings[] = "\t\n\r\f";
    struct buf out = {0};
    while (p < end) {
        uint8_t c = *p++;
        if (c == '\\' && p < end) {
            c = *p++;
            if (c == 'u') {
                if (take_unicode(&p, end, &out))
                    continue;
                buf_close(&out);
                return NULL;
            }
            const char *letter = strchr(letters, c);
            c = letter && *letter ? (uint8_t)meanings[letter - letters] : c;
        }
        buf_append(&out, &c, 1);
    }
    *buf_extend(&out, 1) = '\0';
    size_t from = 0, len = out.len - 1;
    while (from < len && out.data[from] <= ' ')
        from++;
    while (len > from && out.data[len - 1] <= ' ')
        len--;
    char *text = slice_dup_str(slice_of(out.data + from, len - from));
    buf_close(&out);
    return text;
}

static bool is_separator(uint8_t c)
{
    return c == '=' || c == ':' || is_blank(c);
}

static void add(struct properties *p, const struct property *new)
{
    for (size_t i = 0; i < p->n; i++) {
        struct property *old = &p->list[i];
        if (strcmp(old->key, new->key) != 0)
            continue;
        free(old->key);
        free(old->value);
        *old = (struct property){new->key, new->value, new->line, old->line};
        return;
    }
    p->list = mem_realloc(p->list, (p->n + 1) * sizeof(*p->list));
    p->list[p->n++] = *new;
}

static int take_line(struct properties *p, const char *name, unsigned line, struct slice text,
                     struct err *e)
{
    const uint8_t *start = text.data, *end = start + slice_size(text), *key_end = start;
    while (key_end < end && !is_separator(*key_end))
        key_end += *key_end == '\\' && key_end + 1 < end ? 2 : 1;
    const uint8_t *value = key_end;
    while (value < end && is_blank(*value))
        value++;
    if (value < end && (*value == '=' || *value == ':'))
        value++;
    while (value < end && is_blank(*value))
        value++;
    if (p->n == KEYS_MAX)
        return err_set(e, -E2BIG, "%s:%u: more than %d keys", name, line, KEYS_MAX);
    struct property new = {unescape(start, key_end), unescape(value, end), line, 0};
    if (new.key &&new.value) {
        add(p, &new);
        return 0;
    }
    free(new.key);
    free(new.value);
    return err_set(e, -EINVAL, "%s:%u: \\u needs four hexadecimal digits, and not 0000", name,
                   line);
}

/* ---- The file ---- */

/* From the natural line at `*at` on, as many as one logical line has: append them to `out`, without
 * what joins them. `*at` and `*line` go on. */
static void join_lines(struct slice text, size_t *at, unsigned *line, struct buf *out)
{
    size_t size = slice_size(text);
    const uint8_t *t = text.data;
    for (;;) {
        while (*at < size && is_blank(t[*at]))
            ++*at;
        size_t start = *at, backslashes = 0;
        bool comment = out->len == 0 && start < size && (t[start] == '#' || t[start] == '!');
        for (; *at < size && !is_line_end(t[*at]); ++*at)
            backslashes = t[*at] == '\\' ? backslashes + 1 : 0;
        size_t len = *at - start;
        *at += *at + 1 < size && t[*at] == '\r' && t[*at + 1] == '\n' ? 2 : *at < size;
        ++*line;
        if (comment)
            return;
        bool goes_on = backslashes % 2 == 1;
        buf_append(out, t + start, len - goes_on);
        if (!goes_on || *at >= size)
            return;
    }
}

static int parse(struct properties *p, const char *name, struct slice text, struct err *e)
{
    struct buf logical = {0};
    unsigned line = 1;
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < slice_size(text);) {
        unsigned first = line;
        buf_reset(&logical);
        join_lines(text, &at, &line, &logical);
        if (logical.len > 0)
            rc = take_line(p, name, first, buf_slice(&logical), e);
    }
    buf_close(&logical);
    return rc;
}

int properties_parse(struct properties *p, const char *name, struct slice text, struct err *e)
{
    *p = (struct properties){0};
    if (slice_size(text) > 0 && memchr(text.data, '\0', slice_size(text)))
        return err_set(e, -EINVAL, "%s: a byte of it is zero; it must be a text", name);
    if (is_utf8(text))
        return parse(p, name, text, e);
    struct buf utf8 = {0};
    for (size_t i = 0; i < slice_size(text); i++)
        put_utf8(&utf8, text.data[i]);
    int rc = parse(p, name, buf_slice(&utf8), e);
    buf_close(&utf8);
    return rc;
}

int properties_load(struct properties *p, const char *path, struct err *e)
{
    struct buf text = {0};
    *p = (struct properties){0};
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, -errno, "%s: %s; name a configuration file that can be read", path,
                       strerror(errno));
    buf_reserve(&text, FILE_MAX + 1);
    text.len = fread(text.data, 1, FILE_MAX + 1, f);
    int rc = 0;
    if (ferror(f))
        rc = err_set(e, -EIO, "%s: cannot be read", path);
    else if (text.len > FILE_MAX)
        rc = err_set(e, -EFBIG, "%s: larger than %d bytes", path, FILE_MAX);
    else
        rc = properties_parse(p, path, buf_slice(&text), e);
    fclose(f);
    buf_close(&text);
    return rc;
}

void properties_close(struct properties *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->list[i].key);
        free(p->list[i].value);
    }
    free(p->list);
    *p = (struct properties){0};
}
