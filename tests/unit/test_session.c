/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The session, driven by hand. What it asks for is written down as words, one effect behind the
 * other, and so are the packets that it sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "zab/session.h"

enum {
    TIMEOUT_MS = 6000,
    SESSION_ID = 0x77,
};

static const uint8_t password[ZK_PASSWORD_SIZE] = "0123456789abcdef";

struct driver {
    struct session session;
    int64_t now_ms;
    struct buf bytes; /* from the server, whole conversation of one input */
    struct buf said;
};

static void note_effect(struct driver *d, const struct session_effect *fx)
{
    switch (fx->type) {
    case SESSION_DO_CONNECT:
        buf_printf(&d->said, "connect ");
        break;
    case SESSION_DO_DISCONNECT:
        buf_printf(&d->said, "disconnect ");
        break;
    case SESSION_DO_PROBE:
        buf_printf(&d->said, "probe ");
        break;
    case SESSION_TELL_STATE:
        buf_printf(&d->said, "%s ", client_state_name(fx->state));
        break;
    case SESSION_TELL_REPLY:
        buf_printf(&d->said, "%s=%d ", (const char *)fx->reply.tag.arg, fx->reply.err);
        if (fx->reply.body.len > 0)
            buf_printf(&d->said, "'%.*s' ", SLICE_ARG(fx->reply.body));
        if (fx->reply.too_long > 0)
            buf_printf(&d->said, "(%d bytes) ", fx->reply.too_long);
        break;
    case SESSION_TELL_EVENT:
        buf_printf(&d->said, "event:%d%.*s ", fx->event.type, SLICE_ARG(fx->event.path));
        break;
    case SESSION_TELL_NOTE:
        buf_printf(&d->said, "note ");
        break;
    }
}

/* What the session has asked for since the last call. */
static const char *said(struct driver *d)
{
    static char text[4096];
    struct session_effect fx;
    buf_reset(&d->said);
    while (session_next_effect(&d->session, &fx))
        note_effect(d, &fx);
    ensure(d->said.len < sizeof(text));
    memcpy(text, d->said.data ? d->said.data : (uint8_t *)"", d->said.len);
    text[d->said.len > 0 ? d->said.len - 1 : 0] = '\0';
    return text;
}

static void note_watches(struct driver *d, struct jute_reader *r, int n_kinds)
{
    static const char *const kinds[] = {"data", "exist", "child", "persistent", "recursive"};
    buf_printf(&d->said, "@%lld", (long long)jute_read_long(r));
    for (int kind = 0; kind < n_kinds; kind++) {
        for (int32_t n = jute_read_int(r); n > 0; n--) {
            struct slice path = jute_read_buffer(r);
            buf_printf(&d->said, " %s:%.*s", kinds[kind], SLICE_ARG(path));
        }
    }
    assert_true(jute_done(r));
}

static void note_packet(struct driver *d, struct slice frame)
{
    struct jute_reader r = jute_reader_of(frame);
    struct zk_request_header header;
    zk_request_header_read(&r, &header);
    buf_printf(&d->said, "%s", zk_op_name(header.type));
    if (header.xid == ZK_XID_SET_WATCHES)
        note_watches(d, &r, header.type == ZK_OP_setWatches2 ? 5 : 3);
    buf_printf(&d->said, " ");
}

/* The packets that the session wants to send, and take them. */
static const char *sent(struct driver *d)
{
    static char text[4096];
    struct buf *out = session_output(&d->session);
    buf_reset(&d->said);
    for (size_t pos = 0; pos < out->len;) {
        size_t len = be32_get(out->data + pos);
        note_packet(d, slice_of(out->data + pos + 4, len));
        pos += 4 + len;
    }
    buf_reset(out);
    memcpy(text, d->said.data ? d->said.data : (uint8_t *)"", d->said.len);
    text[d->said.len > 0 ? d->said.len - 1 : 0] = '\0';
    return text;
}

static void receive(struct driver *d)
{
    session_received(&d->session, d->now_ms, buf_slice(&d->bytes));
}

static size_t frame_begin(struct driver *d)
{
    jute_write_int(&d->bytes, 0);
    return d->bytes.len;
}

static void frame_end(struct driver *d, size_t start)
{
    be32_put(d->bytes.data + start - 4, (uint32_t)(d->bytes.len - start));
}

static void put_connect_response(struct driver *d, int64_t id, int timeout_ms, bool read_only)
{
    const struct zk_connect_response response = {
        .timeout = timeout_ms, .session_id = id, .password = {password, ZK_PASSWORD_SIZE}};
    size_t start = frame_begin(d);
    zk_connect_response_write(&d->bytes, &response);
    jute_write_bool(&d->bytes, read_only);
    frame_end(d, start);
}

static void put_reply(struct driver *d, int32_t xid, int64_t zxid, int32_t err, const char *body)
{
    const struct zk_reply_header header = {.xid = xid, .zxid = zxid, .err = err};
    size_t start = frame_begin(d);
    zk_reply_header_write(&d->bytes, &header);
    buf_append(&d->bytes, body, strlen(body));
    frame_end(d, start);
}

static void put_event(struct driver *d, enum zk_event_type type, const char *path)
{
    const struct zk_reply_header header = {.xid = ZK_XID_WATCH, .zxid = -1};
    const struct zk_watcher_event event = {type, ZK_STATE_SYNC_CONNECTED, slice_str(path)};
    size_t start = frame_begin(d);
    zk_reply_header_write(&d->bytes, &header);
    zk_watcher_event_write(&d->bytes, &event);
    frame_end(d, start);
}

static void answer(struct driver *d, int32_t xid, int64_t zxid, int32_t err, const char *body)
{
    buf_reset(&d->bytes);
    put_reply(d, xid, zxid, err, body);
    receive(d);
}

static void fire(struct driver *d, enum zk_event_type type, const char *path)
{
    buf_reset(&d->bytes);
    put_event(d, type, path);
    receive(d);
}

/* The connect request of a session: the id that it asks for, and the zxid it has seen. */
static struct zk_connect_request connect_request(struct driver *d)
{
    struct buf *out = session_output(&d->session);
    struct jute_reader r = jute_reader_of(buf_slice(out));
    struct zk_connect_request request;
    assert_int_equal(jute_read_int(&r), out->len - 4);
    zk_connect_request_read(&r, &request);
    jute_read_bool(&r);
    assert_true(jute_done(&r));
    buf_reset(out);
    return request;
}

static void establish_as(struct driver *d, int64_t id, bool read_only)
{
    session_connected(&d->session, d->now_ms);
    connect_request(d);
    buf_reset(&d->bytes);
    put_connect_response(d, id, TIMEOUT_MS, read_only);
    receive(d);
}

static void establish(struct driver *d)
{
    establish_as(d, SESSION_ID, false);
}

static void open_with(struct driver *d, unsigned n_hosts, bool read_only_ok)
{
    *d = (struct driver){.now_ms = 1000};
    const struct session_config config = {
        .n_hosts = n_hosts,
        .timeout_ms = TIMEOUT_MS,
        .reply_max = SESSION_REPLY_MIN,
        .read_only_ok = read_only_ok,
        .seed = 42,
    };
    session_init(&d->session, &config);
    session_start(&d->session, d->now_ms);
    assert_string_equal(said(d), "connect");
}

static void open_connected(struct driver *d)
{
    open_with(d, 2, false);
    establish(d);
    assert_string_equal(said(d), "connected");
}

static void close_driver(struct driver *d)
{
    session_free(&d->session);
    buf_close(&d->bytes);
    buf_close(&d->said);
}

static void ask(struct driver *d, enum zk_op op, const char *path, int32_t number, char *name)
{
    struct buf *b = session_request_begin(&d->session, op);
    jute_write_buffer(b, slice_str(path));
    if (op == ZK_OP_addWatch || op == ZK_OP_removeWatches || op == ZK_OP_delete)
        jute_write_int(b, number);
    else
        jute_write_bool(b, number);
    session_request_end(&d->session, d->now_ms, (struct session_tag){NULL, name});
}

static void lose(struct driver *d)
{
    session_disconnected(&d->session, d->now_ms);
}

/* Tick at each deadline until `ms` have gone by. */
static void pass(struct driver *d, int64_t ms)
{
    int64_t end = d->now_ms + ms, deadline;
    while ((deadline = session_deadline(&d->session)) <= end) {
        d->now_ms = MAX(deadline, d->now_ms);
        session_tick(&d->session, d->now_ms);
    }
    d->now_ms = end;
}

/* ---- Connecting ---- */

static void a_new_session_sends_what_was_asked_before_it_was_there(void **state)
{
    (void)state;
    struct driver d;
    open_with(&d, 1, false);
    ask(&d, ZK_OP_exists, "/a", false, "first");
    ask(&d, ZK_OP_getData, "/b", false, "second");
    session_connected(&d.session, d.now_ms);
    struct zk_connect_request request = connect_request(&d);
    assert_int_equal(request.session_id, 0);
    assert_int_equal(request.timeout, TIMEOUT_MS);
    assert_int_equal(request.password.len, ZK_PASSWORD_SIZE);
    put_connect_response(&d, SESSION_ID, 4000, false);
    receive(&d);
    assert_string_equal(said(&d), "connected");
    assert_string_equal(sent(&d), "exists getData");
    assert_int_equal(d.session.timeout_ms, 4000);
    buf_reset(&d.bytes);
    put_reply(&d, 1, 5, ZK_NONODE, "dropped");
    put_reply(&d, 2, 6, 0, "body");
    receive(&d);
    assert_string_equal(said(&d), "first=-101 second=0 'body'");
    assert_int_equal(d.session.last_zxid, 6);
    close_driver(&d);
}

static void a_lost_session_is_resumed_with_its_password_and_zxid(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_exists, "/a", false, "known");
    answer(&d, 1, 99, 0, "");
    ask(&d, ZK_OP_exists, "/a", false, "sent");
    said(&d);
    lose(&d);
    assert_string_equal(said(&d), "sent=-4 connecting connect");
    ask(&d, ZK_OP_exists, "/a", false, "kept");
    session_connected(&d.session, d.now_ms);
    struct zk_connect_request request = connect_request(&d);
    assert_int_equal(request.session_id, SESSION_ID);
    assert_int_equal(request.last_zxid_seen, 99);
    assert_memory_equal(d.session.password, password, ZK_PASSWORD_SIZE);
    buf_reset(&d.bytes);
    put_connect_response(&d, SESSION_ID, TIMEOUT_MS, false);
    receive(&d);
    assert_string_equal(said(&d), "connected");
    assert_string_equal(sent(&d), "exists");
    close_driver(&d);
}

static void an_expired_session_is_told_and_a_new_one_begins(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_addWatch, "/p", ZK_WATCH_PERSISTENT, "watch");
    ask(&d, ZK_OP_exists, "/one-shot", true, "exists");
    buf_reset(&d.bytes);
    put_reply(&d, 1, 7, 0, "");
    put_reply(&d, 2, 7, 0, "");
    receive(&d);
    lose(&d);
    ask(&d, ZK_OP_exists, "/a", false, "waiting");
    said(&d);
    establish_as(&d, 0, false);
    assert_string_equal(said(&d), "waiting=-112 disconnect expired connecting connect");
    session_connected(&d.session, d.now_ms);
    assert_int_equal(connect_request(&d).session_id, 0);
    buf_reset(&d.bytes);
    put_connect_response(&d, SESSION_ID + 1, TIMEOUT_MS, false);
    receive(&d);
    assert_string_equal(said(&d), "connected");
    assert_string_equal(sent(&d), "setWatches2@7 persistent:/p");
    close_driver(&d);
}

static void hosts_are_tried_at_once_and_then_with_growing_pauses(void **state)
{
    (void)state;
    struct driver d;
    open_with(&d, 3, false);
    lose(&d);
    assert_string_equal(said(&d), "connecting connect");
    lose(&d);
    assert_string_equal(said(&d), "connect");
    int64_t most = 0, total = 0;
    for (int i = 0; i < 12; i++) {
        lose(&d);
        assert_string_equal(said(&d), "");
        int64_t pause = session_deadline(&d.session) - d.now_ms;
        assert_in_range(pause, 1, SESSION_BACKOFF_MAX_MS);
        most = MAX(most, pause);
        total += pause;
        pass(&d, pause);
        assert_string_equal(said(&d), "connect");
    }
    assert_true(most > SESSION_BACKOFF_MAX_MS / 2);
    assert_true(total > 4 * SESSION_BACKOFF_MAX_MS);
    close_driver(&d);
}

static void every_host_is_tried_in_an_order_of_the_seed(void **state)
{
    (void)state;
    unsigned orders = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        const struct session_config config = {.n_hosts = 3, .timeout_ms = 1000, .seed = seed};
        struct session s;
        session_init(&s, &config);
        unsigned seen = 0;
        for (int i = 0; i < 3; i++)
            seen |= 1u << s.order[i];
        assert_int_equal(seen, 7);
        orders |= 1u << s.order[0];
        session_free(&s);
    }
    assert_int_equal(orders, 7);
}

static void a_host_that_does_not_answer_gets_its_share_of_the_timeout(void **state)
{
    (void)state;
    struct driver d;
    open_with(&d, 3, false);
    pass(&d, TIMEOUT_MS / 3 - 1);
    assert_string_equal(said(&d), "");
    pass(&d, 1);
    assert_string_equal(said(&d), "note disconnect connecting connect");
    session_connected(&d.session, d.now_ms);
    pass(&d, TIMEOUT_MS / 3);
    assert_string_equal(said(&d), "note disconnect connect");
    close_driver(&d);
}

static void a_server_that_accepts_and_drops_is_not_asked_in_a_tight_loop(void **state)
{
    (void)state;
    struct driver d;
    open_with(&d, 1, false);
    for (int i = 0; i < 5; i++) {
        establish(&d);
        said(&d);
        lose(&d);
        assert_string_equal(said(&d), "connecting");
        pass(&d, SESSION_BACKOFF_MAX_MS);
        assert_string_equal(said(&d), "connect");
    }
    establish(&d);
    pass(&d, SESSION_BACKOFF_MAX_MS);
    said(&d);
    lose(&d);
    assert_string_equal(said(&d), "connecting connect");
    close_driver(&d);
}

static void a_server_without_quorum_serves_only_who_accepts_it(void **state)
{
    (void)state;
    struct driver d;
    open_with(&d, 2, false);
    establish_as(&d, SESSION_ID, true);
    assert_string_equal(said(&d), "note disconnect connecting connect");
    close_driver(&d);

    open_with(&d, 2, true);
    establish_as(&d, SESSION_ID, true);
    assert_string_equal(said(&d), "read-only");
    lose(&d);
    session_connected(&d.session, d.now_ms);
    assert_int_equal(connect_request(&d).session_id, 0);
    close_driver(&d);
}

static void a_read_only_session_moves_to_a_server_that_has_a_quorum(void **state)
{
    (void)state;
    struct driver d;
    open_with(&d, 2, true);
    unsigned first = d.session.order[0];
    establish_as(&d, SESSION_ID, true);
    assert_string_equal(said(&d), "read-only");
    pass(&d, SESSION_PROBE_MIN_MS);
    assert_string_equal(said(&d), "probe");
    session_probed(&d.session, d.now_ms, first, false);
    assert_string_equal(said(&d), "");
    session_probed(&d.session, d.now_ms, first, true);
    assert_int_equal(d.session.effects[1].type, SESSION_TELL_STATE);
    assert_int_equal(d.session.effects[2].host, first);
    assert_string_equal(said(&d), "disconnect connecting connect");
    session_probed(&d.session, d.now_ms, first, true);
    assert_string_equal(said(&d), "");
    establish(&d);
    pass(&d, SESSION_PROBE_MIN_MS);
    assert_string_equal(said(&d), "connected");
    close_driver(&d);
}

/* ---- Clocks ---- */

static void silence_is_broken_by_pings_and_ends_the_connection(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    pass(&d, TIMEOUT_MS / 3 - 1);
    assert_string_equal(sent(&d), "");
    pass(&d, 1);
    assert_string_equal(sent(&d), "ping");
    answer(&d, ZK_XID_PING, 0, 0, "");
    pass(&d, TIMEOUT_MS / 3 * 2 - 1);
    assert_string_equal(sent(&d), "ping");
    assert_string_equal(said(&d), "");
    pass(&d, 1);
    assert_string_equal(said(&d), "note disconnect connecting connect");
    close_driver(&d);
}

static void a_ping_comes_at_least_every_ten_seconds(void **state)
{
    (void)state;
    struct driver d;
    open_with(&d, 1, false);
    session_connected(&d.session, d.now_ms);
    connect_request(&d);
    put_connect_response(&d, SESSION_ID, 3600 * 1000, false);
    receive(&d);
    assert_int_equal(session_deadline(&d.session), d.now_ms + SESSION_PING_MAX_MS);
    close_driver(&d);
}

static void requests_run_out_of_time_while_there_is_no_connection(void **state)
{
    (void)state;
    struct driver d;
    open_with(&d, 1, false);
    ask(&d, ZK_OP_exists, "/a", true, "early");
    pass(&d, 1000);
    ask(&d, ZK_OP_exists, "/b", false, "late");
    pass(&d, TIMEOUT_MS - 1001);
    assert_string_equal(said(&d), "");
    pass(&d, 1);
    assert_non_null(strstr(said(&d), "early=-7"));
    pass(&d, SESSION_BACKOFF_MAX_MS / 2);
    assert_string_equal(said(&d), "connect");
    establish(&d);
    assert_string_equal(sent(&d), "exists");
    answer(&d, 2, 1, 0, "");
    assert_string_equal(said(&d), "connected late=0");
    close_driver(&d);
}

static void a_request_without_an_answer_ends_the_connection(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_exists, "/a", false, "stuck");
    for (int ms = 0; ms < TIMEOUT_MS - 1000; ms += 1000) {
        pass(&d, 1000);
        answer(&d, ZK_XID_PING, 0, 0, "");
    }
    assert_string_equal(said(&d), "");
    pass(&d, 1000);
    assert_string_equal(said(&d), "note disconnect stuck=-4 connecting connect");
    close_driver(&d);
}

/* ---- Watches ---- */

static void watches_that_have_not_fired_are_set_again_before_requests(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_getData, "/data", true, "a");
    ask(&d, ZK_OP_exists, "/missing", true, "b");
    ask(&d, ZK_OP_getChildren2, "/dir", true, "c");
    ask(&d, ZK_OP_addWatch, "/all", ZK_WATCH_PERSISTENT_RECURSIVE, "d");
    ask(&d, ZK_OP_getData, "/fired", true, "e");
    ask(&d, ZK_OP_getData, "/refused", true, "f");
    ask(&d, ZK_OP_addWatch, "/removed", ZK_WATCH_PERSISTENT, "g");
    ask(&d, ZK_OP_removeWatches, "/removed", ZK_WATCHER_ANY, "h");
    ask(&d, ZK_OP_getData, "/plain", false, "i");
    ask(&d, ZK_OP_getData, "/unanswered", true, "j");
    for (int32_t xid = 1; xid <= 9; xid++)
        answer(&d, xid, 50, xid == 2 || xid == 6 ? ZK_NONODE : 0, "");
    fire(&d, ZK_EVENT_DATA_CHANGED, "/fired");
    fire(&d, ZK_EVENT_DATA_CHANGED, "/all");
    lose(&d);
    ask(&d, ZK_OP_exists, "/later", false, "later");
    establish(&d);
    assert_string_equal(sent(&d), "setWatches2@50 data:/data exist:/missing child:/dir "
                                  "recursive:/all exists");
    close_driver(&d);
}

static void servers_before_3_6_get_the_packet_they_know(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_getData, "/data", true, "a");
    answer(&d, 1, 50, 0, "");
    lose(&d);
    establish(&d);
    assert_string_equal(sent(&d), "setWatches@50 data:/data");
    close_driver(&d);
}

static void many_watches_are_set_in_packets_of_bounded_size(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    for (int32_t i = 1; i <= 9000; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/a/directory/and-a-node-%05d", i);
        ask(&d, i % 2 ? ZK_OP_getData : ZK_OP_getChildren, path, true, "read");
        answer(&d, i, i, 0, "");
        session_next_effect(&d.session, &(struct session_effect){0});
    }
    lose(&d);
    establish(&d);
    struct buf *out = session_output(&d.session);
    size_t packets = 0, total = 0;
    for (size_t pos = 0; pos < out->len; packets++) {
        struct jute_reader r = jute_reader_of(slice_of(out->data + pos + 4, out->len - pos - 4));
        struct zk_request_header header;
        struct zk_set_watches watches;
        zk_request_header_read(&r, &header);
        zk_set_watches_read(&r, &watches);
        assert_true(jute_ok(&r));
        total += (size_t)(watches.data_watches.count + watches.child_watches.count);
        size_t size = 4 + be32_get(out->data + pos);
        assert_true(size <= SESSION_WATCH_PACKET_MAX);
        pos += size;
    }
    assert_int_equal(total, 9000);
    assert_int_equal(packets, 3);
    close_driver(&d);
}

static void an_event_comes_before_the_reply_that_shows_the_change(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_getData, "/a", true, "old");
    answer(&d, 1, 1, 0, "1");
    assert_string_equal(said(&d), "old=0 '1'");
    ask(&d, ZK_OP_getData, "/a", false, "new");
    buf_reset(&d.bytes);
    put_event(&d, ZK_EVENT_DATA_CHANGED, "/a");
    put_reply(&d, 2, 2, 0, "2");
    receive(&d);
    assert_string_equal(said(&d), "event:3/a new=0 '2'");
    close_driver(&d);
}

/* ---- Auth and end ---- */

static void auth_is_sent_first_on_each_connection(void **state)
{
    (void)state;
    struct driver d;
    open_with(&d, 1, false);
    session_add_auth(&d.session, d.now_ms, slice_str("digest"), slice_str("u:p"));
    ask(&d, ZK_OP_getData, "/a", true, "read");
    establish(&d);
    assert_string_equal(sent(&d), "auth getData");
    answer(&d, ZK_XID_AUTH, 0, 0, "");
    answer(&d, 1, 3, 0, "");
    session_add_auth(&d.session, d.now_ms, slice_str("digest"), slice_str("v:q"));
    assert_string_equal(sent(&d), "auth");
    pass(&d, 1500);
    lose(&d);
    establish(&d);
    assert_string_equal(sent(&d), "auth auth setWatches@3 data:/a");
    close_driver(&d);
}

static void a_refused_auth_answers_all_and_is_final(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    session_add_auth(&d.session, d.now_ms, slice_str("nonsense"), slice_str("x"));
    ask(&d, ZK_OP_exists, "/a", false, "before");
    answer(&d, ZK_XID_AUTH, 0, ZK_AUTHFAILED, "");
    assert_string_equal(said(&d), "disconnect auth-failed before=-115");
    ask(&d, ZK_OP_exists, "/a", false, "after");
    assert_string_equal(said(&d), "after=-115");
    assert_int_equal(session_deadline(&d.session), INT64_MAX);
    session_close(&d.session, d.now_ms);
    assert_string_equal(said(&d), "disconnect closed");
    close_driver(&d);
}

static void closing_waits_for_the_server_but_not_longer_than_a_second(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_exists, "/a", false, "open");
    session_close(&d.session, d.now_ms);
    assert_string_equal(said(&d), "open=-4");
    assert_string_equal(sent(&d), "exists closeSession");
    answer(&d, 1, 1, 0, "");
    assert_string_equal(said(&d), "");
    answer(&d, 2, 1, 0, "");
    assert_string_equal(said(&d), "disconnect closed");
    close_driver(&d);

    open_connected(&d);
    session_close(&d.session, d.now_ms);
    pass(&d, SESSION_CLOSE_MS);
    assert_string_equal(said(&d), "disconnect closed");
    close_driver(&d);
}

/* ---- Long replies ---- */

/* A reply whose frame has `size` bytes. */
static void put_sized_reply(struct driver *d, int32_t xid, int32_t err, int32_t size)
{
    const struct zk_reply_header header = {.xid = xid, .zxid = 50, .err = err};
    size_t start = frame_begin(d);
    zk_reply_header_write(&d->bytes, &header);
    size_t body = (size_t)size - (d->bytes.len - start);
    memset(buf_extend(&d->bytes, body), 'x', body);
    frame_end(d, start);
}

static void answer_sized(struct driver *d, int32_t xid, int32_t err, int32_t size)
{
    buf_reset(&d->bytes);
    put_sized_reply(d, xid, err, size);
    receive(d);
}

/* What the session says of d->bytes when they come piece by piece. It keeps none of them but what
 * it needs of a head. */
static const char *said_in_pieces(struct driver *d, size_t piece)
{
    static char all[4096];
    all[0] = '\0';
    for (size_t pos = 0; pos < d->bytes.len; pos += piece) {
        size_t n = MIN(piece, d->bytes.len - pos);
        session_received(&d->session, d->now_ms, slice_of(d->bytes.data + pos, n));
        const char *text = said(d);
        if (*text)
            snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ", text);
        assert_in_range(d->session.in.len - d->session.in_used, 0, 64);
    }
    return all;
}

static void a_reply_that_is_too_long_fails_its_request_alone(void **state)
{
    (void)state;
    static const size_t pieces[] = {1,  2,  3,  4,    5,     16,      19,
                                    20, 21, 37, 1000, 65536, 1048597, 2 * SESSION_REPLY_MIN};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct driver d;
        open_connected(&d);
        ask(&d, ZK_OP_getChildren2, "/big", true, "big");
        ask(&d, ZK_OP_getData, "/a", false, "a");
        ask(&d, ZK_OP_exists, "/b", false, "b");
        buf_reset(&d.bytes);
        put_sized_reply(&d, 1, 0, SESSION_REPLY_MIN + 1);
        put_event(&d, ZK_EVENT_DATA_CHANGED, "/c");
        put_reply(&d, 2, 51, 0, "A");
        put_reply(&d, 3, 52, 0, "B");
        assert_string_equal(said_in_pieces(&d, pieces[i]),
                            "big=-1000 (1048577 bytes) event:3/c a=0 'A' b=0 'B' ");
        assert_int_equal(d.session.phase, SESSION_ESTABLISHED);
        /* The server has set the watch. */
        sent(&d);
        lose(&d);
        establish(&d);
        assert_string_equal(sent(&d), "setWatches@52 child:/big");
        close_driver(&d);
    }
}

static void the_longest_reply_that_is_taken_is_told_whole(void **state)
{
    (void)state;
    struct driver d;
    struct session_effect fx;
    open_connected(&d);
    ask(&d, ZK_OP_getData, "/a", false, "a");
    answer_sized(&d, 1, 0, SESSION_REPLY_MIN);
    assert_true(session_next_effect(&d.session, &fx));
    assert_int_equal(fx.reply.err, 0);
    assert_int_equal(fx.reply.too_long, 0);
    assert_int_equal(fx.reply.body.len, SESSION_REPLY_MIN - 16);
    assert_string_equal(said(&d), "");
    close_driver(&d);
}

static void a_refusal_that_is_too_long_stays_the_servers(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_exists, "/a", true, "a");
    answer_sized(&d, 1, ZK_NONODE, SESSION_REPLY_MIN + 1);
    assert_string_equal(said(&d), "a=-101");
    close_driver(&d);
}

/* Neither what is no reply nor a reply that was not due. */
static void other_frames_that_are_too_long_end_the_connection(void **state)
{
    (void)state;
    static const int32_t xids[] = {ZK_XID_WATCH, ZK_XID_PING, ZK_XID_AUTH, ZK_XID_SET_WATCHES, 2};
    for (size_t i = 0; i < ARRAY_LEN(xids); i++) {
        struct driver d;
        open_connected(&d);
        ask(&d, ZK_OP_exists, "/a", false, "a");
        answer_sized(&d, xids[i], 0, SESSION_REPLY_MIN + 1);
        assert_string_equal(said(&d), "note disconnect a=-4 connecting connect");
        close_driver(&d);
    }
    struct driver d;
    open_with(&d, 2, false);
    session_connected(&d.session, d.now_ms);
    answer_sized(&d, 0, 0, SESSION_REPLY_MIN + 1);
    assert_string_equal(said(&d), "note disconnect connecting connect");
    close_driver(&d);
}

static void a_connection_lost_in_a_long_reply_is_followed_by_a_whole_one(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_getData, "/a", false, "a");
    ask(&d, ZK_OP_getData, "/b", false, "b");
    buf_reset(&d.bytes);
    put_sized_reply(&d, 1, 0, SESSION_REPLY_MIN + 1);
    session_received(&d.session, d.now_ms, slice_of(d.bytes.data, 1000));
    assert_string_equal(said(&d), "a=-1000 (1048577 bytes)");
    lose(&d);
    assert_string_equal(said(&d), "b=-4 connecting connect");
    establish(&d);
    assert_string_equal(said(&d), "connected");
    close_driver(&d);
}

static void the_servers_goodbye_may_follow_a_long_reply(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_getData, "/a", false, "a");
    ask(&d, ZK_OP_getData, "/b", false, "b");
    buf_reset(&d.bytes);
    put_sized_reply(&d, 1, 0, SESSION_REPLY_MIN + 1);
    put_sized_reply(&d, 2, 0, SESSION_REPLY_MIN + 1);
    put_reply(&d, 3, 51, 0, "");
    session_received(&d.session, d.now_ms, slice_of(d.bytes.data, 1000));
    assert_string_equal(said(&d), "a=-1000 (1048577 bytes)");
    session_close(&d.session, d.now_ms);
    assert_string_equal(said(&d), "b=-4");
    session_received(&d.session, d.now_ms, slice_of(d.bytes.data + 1000, d.bytes.len - 1000));
    assert_string_equal(said(&d), "disconnect closed");
    close_driver(&d);
}

/* ---- Hostile bytes ---- */

static void replies_out_of_order_end_the_connection(void **state)
{
    (void)state;
    struct driver d;
    open_connected(&d);
    ask(&d, ZK_OP_exists, "/a", false, "a");
    answer(&d, 2, 1, 0, "");
    assert_string_equal(said(&d), "note disconnect a=-4 connecting connect");
    establish(&d);
    said(&d);
    answer(&d, 1, 1, 0, "");
    assert_non_null(strstr(said(&d), "note disconnect"));
    close_driver(&d);
}

static void frames_of_impossible_length_end_the_connection(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0x80000000, 0xffffffff, SESSION_FRAME_MAX + 1, 0x7fffffff};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct driver d;
        uint8_t head[4];
        open_connected(&d);
        be32_put(head, lengths[i]);
        session_received(&d.session, d.now_ms, slice_of(head, 4));
        assert_string_equal(said(&d), "note disconnect connecting connect");
        close_driver(&d);
    }
}

/* Everything that a server may say, in answer to what `converse` asks. */
static void good_conversation(struct driver *d)
{
    put_connect_response(d, SESSION_ID, TIMEOUT_MS, false);
    put_reply(d, ZK_XID_AUTH, 0, 0, "");
    put_reply(d, 1, 1, 0, "data of the node");
    put_event(d, ZK_EVENT_DATA_CHANGED, "/a");
    put_reply(d, ZK_XID_PING, 1, 0, "");
    put_reply(d, 2, 2, ZK_NONODE, "");
    put_reply(d, 3, 2, 0, "x");
}

static void converse(struct driver *d)
{
    open_with(d, 1, false);
    session_add_auth(&d->session, d->now_ms, slice_str("digest"), slice_str("u:p"));
    ask(d, ZK_OP_getData, "/a", true, "1");
    ask(d, ZK_OP_exists, "/b", true, "2");
    ask(d, ZK_OP_addWatch, "/c", ZK_WATCH_PERSISTENT, "3");
    session_connected(&d->session, d->now_ms);
    buf_reset(&d->bytes);
    good_conversation(d);
}

static void a_conversation_may_arrive_in_any_pieces(void **state)
{
    (void)state;
    struct driver d;
    converse(&d);
    size_t len = d.bytes.len;
    close_driver(&d);
    for (size_t cut = 1; cut <= len; cut++) {
        struct buf all = {0};
        converse(&d);
        for (size_t pos = 0; pos < len; pos += cut) {
            size_t piece = MIN(cut, len - pos);
            session_received(&d.session, d.now_ms, slice_of(d.bytes.data + pos, piece));
            buf_printf(&all, "%s ", said(&d));
        }
        assert_non_null(strstr((const char *)all.data, "1=0 'data of the node'"));
        assert_non_null(strstr((const char *)all.data, "3=0 'x'"));
        assert_int_equal(d.session.phase, SESSION_ESTABLISHED);
        buf_close(&all);
        close_driver(&d);
    }
}

/* A connection that the session itself has dropped is not reported lost. */
static void lose_if_connected(struct driver *d)
{
    if (d->session.phase != SESSION_CONNECTING && d->session.phase != SESSION_WAITING)
        lose(d);
}

static void a_conversation_may_end_anywhere(void **state)
{
    (void)state;
    struct driver d;
    converse(&d);
    size_t len = d.bytes.len;
    close_driver(&d);
    for (size_t end = 0; end < len; end++) {
        converse(&d);
        session_received(&d.session, d.now_ms, slice_of(d.bytes.data, end));
        lose(&d);
        said(&d);
        pass(&d, 2 * TIMEOUT_MS);
        assert_int_equal(d.session.n, 0); /* each request had its answer */
        close_driver(&d);
    }
}

/* A frame whose length is right and whose content is cut off. */
static void frames_cut_short_are_refused_or_harmless(void **state)
{
    (void)state;
    struct driver d;
    converse(&d);
    struct buf good = {0};
    buf_append(&good, d.bytes.data, d.bytes.len);
    close_driver(&d);
    for (size_t pos = 0; pos < good.len; pos += 4 + be32_get(good.data + pos)) {
        for (uint32_t len = 0; len < be32_get(good.data + pos); len++) {
            converse(&d);
            session_received(&d.session, d.now_ms, slice_of(good.data, pos));
            buf_reset(&d.bytes);
            jute_write_int(&d.bytes, (int32_t)len);
            buf_append(&d.bytes, good.data + pos + 4, len);
            receive(&d);
            lose_if_connected(&d);
            said(&d);
            pass(&d, 2 * TIMEOUT_MS);
            assert_int_equal(d.session.n, 0);
            close_driver(&d);
        }
    }
    buf_close(&good);
}

static void random_bytes_do_no_harm(void **state)
{
    (void)state;
    struct rng rng = {7};
    for (int round = 0; round < 3000; round++) {
        struct driver d;
        converse(&d);
        for (uint64_t hits = 1 + rng_below(&rng, 8); hits > 0; hits--)
            d.bytes.data[rng_below(&rng, d.bytes.len)] ^= (uint8_t)(1 + rng_below(&rng, 255));
        receive(&d);
        said(&d);
        lose_if_connected(&d);
        pass(&d, 2 * TIMEOUT_MS);
        said(&d);
        assert_int_equal(d.session.n, 0);
        close_driver(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_session_sends_what_was_asked_before_it_was_there),
        cmocka_unit_test(a_lost_session_is_resumed_with_its_password_and_zxid),
        cmocka_unit_test(an_expired_session_is_told_and_a_new_one_begins),
        cmocka_unit_test(hosts_are_tried_at_once_and_then_with_growing_pauses),
        cmocka_unit_test(every_host_is_tried_in_an_order_of_the_seed),
        cmocka_unit_test(a_host_that_does_not_answer_gets_its_share_of_the_timeout),
        cmocka_unit_test(a_server_that_accepts_and_drops_is_not_asked_in_a_tight_loop),
        cmocka_unit_test(a_server_without_quorum_serves_only_who_accepts_it),
        cmocka_unit_test(a_read_only_session_moves_to_a_server_that_has_a_quorum),
        cmocka_unit_test(silence_is_broken_by_pings_and_ends_the_connection),
        cmocka_unit_test(a_ping_comes_at_least_every_ten_seconds),
        cmocka_unit_test(requests_run_out_of_time_while_there_is_no_connection),
        cmocka_unit_test(a_request_without_an_answer_ends_the_connection),
        cmocka_unit_test(watches_that_have_not_fired_are_set_again_before_requests),
        cmocka_unit_test(servers_before_3_6_get_the_packet_they_know),
        cmocka_unit_test(many_watches_are_set_in_packets_of_bounded_size),
        cmocka_unit_test(an_event_comes_before_the_reply_that_shows_the_change),
        cmocka_unit_test(auth_is_sent_first_on_each_connection),
        cmocka_unit_test(a_refused_auth_answers_all_and_is_final),
        cmocka_unit_test(closing_waits_for_the_server_but_not_longer_than_a_second),
        cmocka_unit_test(a_reply_that_is_too_long_fails_its_request_alone),
        cmocka_unit_test(the_longest_reply_that_is_taken_is_told_whole),
        cmocka_unit_test(a_refusal_that_is_too_long_stays_the_servers),
        cmocka_unit_test(other_frames_that_are_too_long_end_the_connection),
        cmocka_unit_test(a_connection_lost_in_a_long_reply_is_followed_by_a_whole_one),
        cmocka_unit_test(the_servers_goodbye_may_follow_a_long_reply),
        cmocka_unit_test(replies_out_of_order_end_the_connection),
        cmocka_unit_test(frames_of_impossible_length_end_the_connection),
        cmocka_unit_test(a_conversation_may_arrive_in_any_pieces),
        cmocka_unit_test(a_conversation_may_end_anywhere),
        cmocka_unit_test(frames_cut_short_are_refused_or_harmless),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
