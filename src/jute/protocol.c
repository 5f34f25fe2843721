/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of the protocol's numbers, and its rules for paths. */
#include "zab/protocol.h"

const char *zk_op_name(int32_t op)
{
    switch (op) {
#define OP_NAME(name, number)                                                                      \
    case number:                                                                                   \
        return #name;
        ZK_OPS(OP_NAME)
    default:
        return NULL;
    }
}

const char *zk_error_text(int32_t error)
{
    switch (error) {
#define ERROR_TEXT(name, number, text)                                                             \
    case number:                                                                                   \
        return text;
        ZK_ERRORS(ERROR_TEXT)
    default:
        return "unknown error";
    }
}

const char *zk_error_name(int32_t error)
{
    switch (error) {
#define ERROR_NAME(name, number, text)                                                             \
    case number:                                                                                   \
        return #name;
        ZK_ERRORS(ERROR_NAME)
    default:
        return "UNKNOWN";
    }
}

/* One UTF-8 sequence at `p` with `left` bytes: its length, and the code point in *c; 0 if it is
 * not well formed (overlong, surrogate, beyond U+10FFFF, cut off). */
static size_t utf8_next(const uint8_t *p, size_t left, uint32_t *c)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;
    if (n > left || p[0] > 0xf4 || (p[0] >= 0x80 && p[0] < 0xc2))
        return 0;
    *c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *c = *c << 6 | (p[i] & 0x3f);
    }
    bool bad = n > 1 && (*c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000));
    return bad ? 0 : n;
}

/* The code points that ZooKeeper refuses: control characters, private use, not characters, and
 * what Java writes as a surrogate pair. */
static bool is_forbidden(uint32_t c)
{
    return c <= 0x1f || (c >= 0x7f && c <= 0x9f) || (c >= 0xe000 && c <= 0xf8ff) || c >= 0xfff0;
}

/* `open`: a sequence number will be appended, so that it may be empty or dots yet. */
static const char *check_part(const uint8_t *part, size_t len, bool open)
{
    if (len == 0 && !open)
        return "an empty name between two slashes, or a slash at the end";
    if (len == 1 && part[0] == '.' && !open)
        return "'.' is not a name";
    if (len == 2 && part[0] == '.' && part[1] == '.' && !open)
        return "'..' is not a name";
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c;
        n = utf8_next(part + i, len - i, &c);
        if (n == 0)
            return "not UTF-8";
        if (is_forbidden(c))
            return "a character that is not allowed";
    }
    return NULL;
}

const char *zk_path_check(struct slice path, bool sequential)
{
    if (path.len <= 0)
        return "an empty path";
    if (path.data[0] != '/')
        return "the path must start with a slash";
    size_t len = (size_t)path.len;
    if (len == 1)
        return NULL;
    for (size_t start = 1; start <= len;) {
        const uint8_t *slash = memchr(path.data + start, '/', len - start);
        size_t end = slash ? (size_t)(slash - path.data) : len;
        const char *bad = check_part(path.data + start, end - start, sequential && !slash);
        if (bad)
            return bad;
        start = end + 1;
    }
    return NULL;
}

struct slice zk_path_name(struct slice path)
{
    ensure(path.len > 1 && path.data[0] == '/');
    const uint8_t *slash = memrchr(path.data, '/', (size_t)path.len);
    return slice_of(slash + 1, (size_t)(path.data + path.len - slash - 1));
}

struct slice zk_path_parent(struct slice path)
{
    ensure(path.len > 1 && path.data[0] == '/');
    const uint8_t *slash = memrchr(path.data, '/', (size_t)path.len);
    return slice_of(path.data, MAX((size_t)(slash - path.data), 1));
}
