/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deliberate wrongs in what the replica sends, to see that the checks notice (--break). While they
 * are on, all that there is to send leaves at once, so that it begins with a whole frame. */
#include "sim.h"

bool tamper_is_on(const struct world *w)
{
    switch (w->options.breakage) {
    case BREAK_lose_event:
    case BREAK_repeat_event:
    case BREAK_late_event:
    case BREAK_swap_answers:
    case BREAK_lose_answer:
    case BREAK_wrong_zxid:
        return true;
    default:
        return false;
    }
}

static size_t frame_size(const struct buf *out, size_t at)
{
    return at < out->len ? 4 + (size_t)be32_get(out->data + at) : 0;
}

static int32_t frame_xid(const struct buf *out, size_t at)
{
    return at < out->len ? (int32_t)be32_get(out->data + at + 4) : 0;
}

static void cut_out(struct buf *out, size_t at, size_t len)
{
    memmove(out->data + at, out->data + at + len, out->len - at - len);
    out->len -= len;
}

/* Append a copy of what is at `from`, then move all of it before `to`. */
static void put_in(struct buf *out, size_t from, size_t len, size_t to)
{
    uint8_t *copy = mem_alloc(len);
    memcpy(copy, out->data + from, len);
    buf_extend(out, len);
    memmove(out->data + to + len, out->data + to, out->len - to - len);
    memcpy(out->data + to, copy, len);
    free(copy);
}

static void tamper_at(enum breakage b, struct buf *out, size_t at)
{
    size_t len = frame_size(out, at), next = at + len, next_len = frame_size(out, next);
    bool is_event = frame_xid(out, at) == ZK_XID_WATCH, is_answer = frame_xid(out, at) > 0;
    bool before_answer = frame_xid(out, next) > 0;
    if ((b == BREAK_lose_event && is_event) || (b == BREAK_lose_answer && is_answer)) {
        cut_out(out, at, len);
    } else if (b == BREAK_repeat_event && is_event) {
        put_in(out, at, len, at);
    } else if (b == BREAK_wrong_zxid && is_answer) {
        be64_put(out->data + at + 8, be64_get(out->data + at + 8) + 1);
    } else if ((b == BREAK_late_event && is_event && before_answer) ||
               (b == BREAK_swap_answers && is_answer && before_answer)) {
        put_in(out, next, next_len, at);
        cut_out(out, next + next_len, next_len);
    }
}

void tamper(struct world *w, struct conn *conn, struct buf *out)
{
    if (!tamper_is_on(w) || out->len == 0)
        return;
    size_t at = conn->greeting_sent ? 0 : frame_size(out, 0);
    conn->greeting_sent = true;
    for (size_t len; (len = frame_size(out, at)) > 0; at += len) {
        if (chance(w, 10)) {
            tamper_at(w->options.breakage, out, at);
            return;
        }
    }
}
