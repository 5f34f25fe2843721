/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers from the wire, in the words of the model. */
#include "sim.h"

static void stat_text(struct jute_reader *r, struct buf *out)
{
    struct zk_stat s;
    zk_stat_read(r, &s);
    buf_printf(out,
               "{c=0x%" PRIx64 " m=0x%" PRIx64 " p=0x%" PRIx64 " ct=%" PRId64 " mt=%" PRId64
               " v=%d cv=%d av=%d owner=0x%" PRIx64 " len=%d children=%d}",
               (uint64_t)s.czxid, (uint64_t)s.mzxid, (uint64_t)s.pzxid, s.ctime, s.mtime, s.version,
               s.cversion, s.aversion, (uint64_t)s.ephemeral_owner, s.data_length, s.num_children);
}

static void string_text(struct jute_reader *r, struct buf *out)
{
    struct slice s = jute_read_buffer(r);
    buf_printf(out, "%.*s", SLICE_ARG(s));
}

static void padded_text(struct slice s, struct buf *out)
{
    int len = s.len;
    while (len > 0 && s.data[len - 1] == '~')
        len--;
    buf_printf(out, "'%.*s'", len, (const char *)s.data);
    if (len < s.len)
        buf_printf(out, "+%d", s.len - len);
}

static void data_text(struct jute_reader *r, struct buf *out)
{
    struct slice s = jute_read_buffer(r);
    if (slice_is_null(s))
        buf_printf(out, "null");
    else
        padded_text(s, out);
}

static int by_bytes(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int order = memcmp(x->data, y->data, MIN(slice_size(*x), slice_size(*y)));
    return order ? order : x->len - y->len;
}

/* As a set: in the order of their names. */
static void strings_text(struct jute_reader *r, struct buf *out)
{
    struct slice names[1024];
    int32_t n = jute_read_int(r);
    for (int32_t i = 0; i < n && i < (int32_t)ARRAY_LEN(names); i++)
        names[i] = jute_read_buffer(r);
    if (!jute_ok(r) || n < 0 || n > (int32_t)ARRAY_LEN(names))
        return;
    qsort(names, (size_t)n, sizeof(names[0]), by_bytes);
    for (int32_t i = 0; i < n; i++)
        buf_printf(out, "%.*s ", SLICE_ARG(names[i]));
}

static void acl_text(struct jute_reader *r, struct buf *out)
{
    int32_t n = jute_read_int(r);
    for (int32_t i = 0; i < n && jute_ok(r); i++) {
        struct zk_acl a;
        zk_acl_read(r, &a);
        struct slice who = slice_eq_str(a.id.scheme, "world") ? a.id.scheme : a.id.id;
        size_t len = 0;
        while (len < slice_size(who) && who.data[len] != ':')
            len++;
        buf_printf(out, "[%d %.*s%s]", a.perms, (int)len, (const char *)who.data,
                   slice_size(who) == len + 2 && who.data[len + 1] == 'x' ? " masked" : "");
    }
}

/* The result of one write, `type` as its answer names it. */
static void result_text(int32_t type, struct jute_reader *r, struct buf *out)
{
    switch (type) {
    case ZK_OP_create:
        string_text(r, out);
        break;
    case ZK_OP_create2:
    case ZK_OP_createTTL:
    case ZK_OP_createContainer:
        string_text(r, out);
        stat_text(r, out);
        break;
    case ZK_OP_setData:
    case ZK_OP_setACL:
        stat_text(r, out);
        break;
    default:
        break;
    }
}

/* In a multi, creates that answer with a Stat all have one type. */
static int32_t type_in_multi(int32_t type)
{
    return type == ZK_OP_createTTL || type == ZK_OP_createContainer ? ZK_OP_create2 : type;
}

static void multi_text(const struct request *q, struct jute_reader *r, struct buf *out)
{
    struct zk_multi_header mh;
    for (int i = 0;; i++) {
        zk_multi_header_read(r, &mh);
        if (!jute_ok(r) || mh.done)
            return;
        if (mh.type == ZK_OP_error) {
            int32_t err = jute_read_int(r);
            buf_printf(out, "(error %s%s)", zk_error_name(err), err == mh.err ? "" : " or another");
        } else if (i >= q->n_parts || mh.type != type_in_multi(q->parts[i].type)) {
            buf_printf(out, "(an answer of type %d)", mh.type);
            return;
        } else {
            buf_printf(out, "(");
            result_text(mh.type, r, out);
            buf_printf(out, ")");
        }
    }
}

static void body_text(const struct request *q, struct jute_reader *r, struct buf *out)
{
    switch (q->op.type) {
    case ZK_OP_multi:
        multi_text(q, r, out);
        break;
    case ZK_OP_getData:
        data_text(r, out);
        stat_text(r, out);
        break;
    case ZK_OP_exists:
        stat_text(r, out);
        break;
    case ZK_OP_getChildren:
    case ZK_OP_getEphemerals:
        strings_text(r, out);
        break;
    case ZK_OP_getChildren2:
        strings_text(r, out);
        stat_text(r, out);
        break;
    case ZK_OP_getACL:
        acl_text(r, out);
        stat_text(r, out);
        break;
    case ZK_OP_getAllChildrenNumber:
        buf_printf(out, "%d", jute_read_int(r));
        break;
    case ZK_OP_sync:
        string_text(r, out);
        break;
    case ZK_OP_addWatch:
        jute_read_int(r);
        break;
    default:
        result_text(q->op.type, r, out);
        break;
    }
}

void answer_text(const struct request *q, int32_t err, struct slice body, struct buf *out)
{
    struct jute_reader r = jute_reader_of(body);
    if (err == ZK_OK) {
        buf_printf(out, "OK ");
        body_text(q, &r, out);
    } else {
        buf_printf(out, "%s", zk_error_name(err));
    }
    if (!jute_ok(&r))
        buf_printf(out, " (cut off)");
    else if (jute_left(&r) > 0)
        buf_printf(out, " (and %zu bytes more)", jute_left(&r));
}
