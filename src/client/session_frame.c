/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames on the wire: a 32-bit length, then the bytes.
 *
 * Frames are taken out of the received bytes in place; only one that has not arrived whole is
 * copied. Of one that is too long the reply's header is taken, and what follows is skipped piece by
 * piece. What breaks a rule of the protocol ends the connection, since nothing behind it
 * can be trusted. */
#include "session_impl.h"

enum {
    FRAME_HEAD = 4,
    REPLY_HEAD = 16, /* struct zk_reply_header */
    KEPT_MAX = 1 << 20,
};

size_t session_frame_begin(struct buf *b, int32_t xid, int32_t op)
{
    const struct zk_request_header header = {.xid = xid, .type = op};
    size_t start = b->len;
    jute_write_int(b, 0);
    zk_request_header_write(b, &header);
    return start;
}

void session_frame_end(struct buf *b, size_t start)
{
    be32_put(b->data + start, (uint32_t)(b->len - start - FRAME_HEAD));
}

void session_write_connect(struct session *s)
{
    /* A session that only servers without a quorum have seen is not known to any other. */
    const struct zk_connect_request request = {
        .last_zxid_seen = s->last_zxid,
        .timeout = s->config.timeout_ms,
        .session_id = s->seen_read_write ? s->id : 0,
        .password = slice_of(s->password, sizeof(s->password)),
    };
    jute_write_int(&s->out, 0);
    zk_connect_request_write(&s->out, &request);
    jute_write_bool(&s->out, s->config.read_only_ok);
    session_frame_end(&s->out, 0);
}

static void take_connect_response(struct session *s, int64_t now_ms, struct slice frame)
{
    struct jute_reader r = jute_reader_of(frame);
    struct zk_connect_response response;
    zk_connect_response_read(&r, &response);
    bool read_only = jute_left(&r) > 0 && jute_read_bool(&r);
    if (!jute_ok(&r)) {
        session_fail(s, now_ms, "bad connect response of %d bytes", frame.len);
        return;
    }
    if (response.session_id == 0 || response.timeout <= 0) {
        if (s->id != 0)
            session_expired(s, now_ms);
        else
            session_fail(s, now_ms, "the server gave no session");
        return;
    }
    if (response.password.len != ZK_PASSWORD_SIZE) {
        session_fail(s, now_ms, "session password of %d bytes", response.password.len);
        return;
    }
    if (read_only && !s->config.read_only_ok) {
        session_fail(s, now_ms, "the server has no quorum");
        return;
    }
    s->id = response.session_id;
    s->timeout_ms = response.timeout;
    memcpy(s->password, response.password.data, ZK_PASSWORD_SIZE);
    session_established(s, now_ms, read_only);
}

static void take_event(struct session *s, int64_t now_ms, int64_t zxid, struct jute_reader *r)
{
    struct zk_watcher_event event;
    zk_watcher_event_read(r, &event);
    if (!jute_ok(r) || slice_is_null(event.path)) {
        session_fail(s, now_ms, "bad watch event");
        return;
    }
    session_watch_fired(s, &event);
    struct session_effect *fx = session_add_effect(s, SESSION_TELL_EVENT);
    fx->event = event;
    fx->event_zxid = zxid;
}

/* `too_long`: the bytes of a frame whose body is not taken, else 0. */
static void take_reply(struct session *s, int64_t now_ms, const struct zk_reply_header *header,
                       struct slice body, int32_t too_long)
{
    const struct session_request *oldest = session_oldest(s);
    if (s->n_sent == 0) {
        session_fail(s, now_ms, "reply %d without a request", header->xid);
        return;
    }
    if (header->xid != oldest->xid) {
        session_fail(s, now_ms, "reply %d where %d (%s) was due", header->xid, oldest->xid,
                     zk_op_name(oldest->op));
        return;
    }
    /* A server's refusal may carry no zxid; ours never goes back. */
    s->last_zxid = MAX(s->last_zxid, header->zxid);
    const struct session_reply reply = {
        .err = header->err, .zxid = header->zxid, .body = body, .too_long = too_long};
    session_answer(s, &reply);
}

static void take_packet(struct session *s, int64_t now_ms, struct slice frame)
{
    struct jute_reader r = jute_reader_of(frame);
    struct zk_reply_header header;
    zk_reply_header_read(&r, &header);
    if (!jute_ok(&r)) {
        session_fail(s, now_ms, "packet of %d bytes, too short for a reply", frame.len);
    } else if (header.xid == ZK_XID_WATCH) {
        take_event(s, now_ms, header.zxid, &r);
    } else if (header.xid == ZK_XID_AUTH) {
        if (header.err != 0)
            session_auth_refused(s);
    } else if (header.xid == ZK_XID_SET_WATCHES) {
        if (header.err != 0)
            session_fail(s, now_ms, "watches could not be set again: %s",
                         zk_error_text(header.err));
    } else if (header.xid != ZK_XID_PING) {
        take_reply(s, now_ms, &header, jute_read_rest(&r), 0);
    }
}

/* Replies to what was answered already are of no interest any more. */
static void take_goodbye(struct session *s, struct slice frame)
{
    struct jute_reader r = jute_reader_of(frame);
    if (jute_read_int(&r) == s->close_xid && jute_ok(&r))
        session_closed(s);
}

static void take_frame(struct session *s, int64_t now_ms, struct slice frame)
{
    if (s->phase == SESSION_HANDSHAKE)
        take_connect_response(s, now_ms, frame);
    else if (s->phase == SESSION_CLOSING)
        take_goodbye(s, frame);
    else
        take_packet(s, now_ms, frame);
}

/* The head of a frame of `len` bytes, which is longer than what is taken. Only the answer to a
 * request can be that long without being nonsense. */
static void take_long_frame(struct session *s, int64_t now_ms, struct slice head, int32_t len)
{
    struct jute_reader r = jute_reader_of(head);
    struct zk_reply_header header;
    zk_reply_header_read(&r, &header);
    s->skip = (size_t)len - REPLY_HEAD;
    if (s->phase == SESSION_CLOSING)
        take_goodbye(s, head);
    else if (header.xid < 0)
        session_fail(s, now_ms, "frame of %d bytes that is no reply", len);
    else
        take_reply(s, now_ms, &header, SLICE_EMPTY, len);
}

static void refuse_length(struct session *s, int64_t now_ms, int32_t len)
{
    if (s->phase == SESSION_CLOSING)
        session_closed(s);
    else
        session_fail(s, now_ms, "frame of %d bytes", len);
}

static bool is_receiving(const struct session *s)
{
    return session_is_online(s) || s->phase == SESSION_HANDSHAKE || s->phase == SESSION_CLOSING;
}

/* Take what `bytes` begin with: how many were taken, 0 if more have to come first. */
static size_t take_next(struct session *s, int64_t now_ms, struct slice bytes)
{
    size_t size = slice_size(bytes);
    if (s->skip > 0) {
        size_t skipped = MIN(s->skip, size);
        s->skip -= skipped;
        return skipped;
    }
    if (size < FRAME_HEAD)
        return 0;
    int32_t len = (int32_t)be32_get(bytes.data);
    bool too_long = len > s->config.reply_max;
    if (len < 0 || len > SESSION_FRAME_MAX || (too_long && s->phase == SESSION_HANDSHAKE)) {
        refuse_length(s, now_ms, len);
        return 0;
    }
    size_t wanted = too_long ? REPLY_HEAD : (size_t)len;
    if (size - FRAME_HEAD < wanted)
        return 0;
    struct slice frame = slice_of(bytes.data + FRAME_HEAD, wanted);
    if (too_long)
        take_long_frame(s, now_ms, frame, len);
    else
        take_frame(s, now_ms, frame);
    return FRAME_HEAD + wanted;
}

/* Returns how many bytes were taken. */
static size_t take_all(struct session *s, int64_t now_ms, struct slice bytes)
{
    size_t pos = 0, taken = 1;
    while (is_receiving(s) && taken > 0) {
        taken = take_next(s, now_ms, slice_of(bytes.data + pos, slice_size(bytes) - pos));
        pos += taken;
    }
    return pos;
}

void session_received(struct session *s, int64_t now_ms, struct slice bytes)
{
    s->last_recv = now_ms;
    buf_consume(&s->in, s->in_used);
    s->in_used = 0;
    if (s->in.len == 0 && s->in.cap > KEPT_MAX)
        buf_close(&s->in);
    if (s->in.len == 0) {
        size_t taken = take_all(s, now_ms, bytes);
        buf_append(&s->in, bytes.data + taken, slice_size(bytes) - taken);
    } else {
        buf_append(&s->in, bytes.data, slice_size(bytes));
        s->in_used = take_all(s, now_ms, buf_slice(&s->in));
    }
}

struct buf *session_output(struct session *s)
{
    return &s->out;
}
