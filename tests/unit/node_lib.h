/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For the tests of the replica: a node without a network and a disk, clients that speak frames, and
 * what they were told as lines of text. Include behind cmocka.h.
 *
 * A line is "#1@2 ..." for the answer to request 1 at zxid 2, "event ...", "session ...", or
 * "closed". Unless the log is held, what is appended is durable at once. */
#ifndef NODE_LIB_H
#define NODE_LIB_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zab/node.h"
#include "zab/records.h"

enum {
    TEST_CLIENTS = 32,
    TEST_REQUESTS = 512,
    TEST_TIMEOUT_MS = 4000,
};

struct test_client {
    struct node_conn *conn;
    bool closed;
    bool greeted;
    int64_t session_id;
    uint8_t password[ZK_PASSWORD_SIZE];
    int32_t xid;
    int32_t ops[TEST_REQUESTS]; /* by xid */
    struct buf frame;
    struct buf bytes; /* from the node */
    struct buf said;
};

struct rig {
    struct node_config config;
    struct node *node;
    struct node_effects fx;
    int64_t now_ms, wall_ms;
    bool hold; /* the log */
    int64_t appended;
    unsigned n_snapshots;
    bool resumed;
    struct buf log; /* NODE_LOG */
    struct test_client clients[TEST_CLIENTS];
    unsigned n_clients;
};

static inline struct node_config test_config(void)
{
    return (struct node_config){
        .server_id = 1,
        .tick_ms = 1000,
        .min_session_timeout_ms = 2000,
        .max_session_timeout_ms = 20000,
        .packet_max = ZK_PACKET_MAX,
        .outstanding_max = 1000,
        .snap_count = 100000,
        .watches_max = 10000,
        .output_max = 16 << 20,
        .handshake_ms = 10000,
        .container_check_ms = 60000,
        .extended_types = true,
        .four_letter = "srvr, ruok",
        .version = "zabd",
        .conf_text = "clientPort=2181\n",
        .envi_text = "host.name=here\n",
        .limits = node_limits_default(),
        .seed = 1,
    };
}

static inline void rig_open_with(struct rig *rig, const struct node_config *config)
{
    *rig = (struct rig){.config = *config, .now_ms = 1000000, .wall_ms = 1700000000000};
    rig->node = node_open(&rig->config, tree_open(1), rig->now_ms);
}

static inline void rig_open(struct rig *rig)
{
    struct node_config config = test_config();
    rig_open_with(rig, &config);
}

static inline void rig_close(struct rig *rig)
{
    node_close(rig->node);
    node_effects_close(&rig->fx);
    buf_close(&rig->log);
    for (unsigned i = 0; i < rig->n_clients; i++) {
        buf_close(&rig->clients[i].frame);
        buf_close(&rig->clients[i].bytes);
        buf_close(&rig->clients[i].said);
    }
}

/* ---- Answers as text ---- */

static inline void say_string(struct jute_reader *r, struct buf *out)
{
    struct slice s = jute_read_buffer(r);
    if (slice_is_null(s))
        buf_printf(out, " null");
    else
        buf_printf(out, " %.*s", SLICE_ARG(s));
}

static inline void say_stat(struct jute_reader *r, struct buf *out)
{
    struct zk_stat s;
    zk_stat_read(r, &s);
    buf_printf(out, " {c%" PRId64 " m%" PRId64 " p%" PRId64 " v%d cv%d av%d len%d kids%d%s}",
               s.czxid, s.mzxid, s.pzxid, s.version, s.cversion, s.aversion, s.data_length,
               s.num_children, s.ephemeral_owner ? " ephemeral" : "");
}

static inline void say_strings(struct jute_reader *r, struct buf *out)
{
    for (int32_t n = jute_read_int(r); n > 0 && jute_ok(r); n--)
        say_string(r, out);
}

static inline void say_acl(struct jute_reader *r, struct buf *out)
{
    for (int32_t n = jute_read_int(r); n > 0 && jute_ok(r); n--) {
        struct zk_acl a;
        zk_acl_read(r, &a);
        buf_printf(out, " %d:%.*s:%.*s", a.perms, SLICE_ARG(a.id.scheme), SLICE_ARG(a.id.id));
    }
}

static inline void say_body(int32_t op, struct jute_reader *r, struct buf *out);

static inline void say_multi(struct jute_reader *r, struct buf *out)
{
    struct zk_multi_header mh;
    for (zk_multi_header_read(r, &mh); jute_ok(r) && !mh.done; zk_multi_header_read(r, &mh)) {
        buf_printf(out, " (");
        if (mh.type == ZK_OP_error)
            buf_printf(out, "%s/%s", zk_error_name(mh.err), zk_error_name(jute_read_int(r)));
        else
            say_body(mh.type, r, out);
        buf_printf(out, ")");
    }
}

static inline void say_body(int32_t op, struct jute_reader *r, struct buf *out)
{
    switch (op) {
    case ZK_OP_create:
    case ZK_OP_sync:
        say_string(r, out);
        break;
    case ZK_OP_create2:
    case ZK_OP_createTTL:
    case ZK_OP_createContainer:
    case ZK_OP_getData:
        say_string(r, out);
        say_stat(r, out);
        break;
    case ZK_OP_exists:
    case ZK_OP_setData:
    case ZK_OP_setACL:
        say_stat(r, out);
        break;
    case ZK_OP_getChildren:
    case ZK_OP_getEphemerals:
        say_strings(r, out);
        break;
    case ZK_OP_getChildren2:
        say_strings(r, out);
        say_stat(r, out);
        break;
    case ZK_OP_getACL:
        say_acl(r, out);
        say_stat(r, out);
        break;
    case ZK_OP_getAllChildrenNumber:
    case ZK_OP_addWatch:
        buf_printf(out, " %d", jute_read_int(r));
        break;
    case ZK_OP_multi:
    case ZK_OP_multiRead:
        say_multi(r, out);
        break;
    case ZK_OP_whoAmI:
        for (int32_t n = jute_read_int(r); n > 0; n--) {
            say_string(r, out);
            say_string(r, out);
        }
        break;
    default:
        break;
    }
}

static inline void say_greeting(struct test_client *c, struct jute_reader *r)
{
    struct zk_connect_response resp;
    zk_connect_response_read(r, &resp);
    if (jute_left(r) > 0)
        jute_read_bool(r);
    c->greeted = true;
    if (resp.session_id == 0) {
        buf_printf(&c->said, "refused");
        return;
    }
    buf_printf(&c->said, "session %d ms", resp.timeout);
    c->session_id = resp.session_id;
    assert_int_equal(resp.password.len, ZK_PASSWORD_SIZE);
    memcpy(c->password, resp.password.data, ZK_PASSWORD_SIZE);
}

static inline void say_event(struct jute_reader *r, struct buf *out)
{
    static const char *const names[] = {"?", "created", "deleted", "changed", "children"};
    struct zk_watcher_event ev;
    zk_watcher_event_read(r, &ev);
    buf_printf(out, "event %s %.*s", ev.type >= 1 && ev.type <= 4 ? names[ev.type] : "?",
               SLICE_ARG(ev.path));
}

static inline void say_frame(struct test_client *c, struct slice frame)
{
    struct jute_reader r = jute_reader_of(frame);
    struct zk_reply_header h;
    if (c->said.len > 0)
        buf_printf(&c->said, "\n");
    if (!c->greeted) {
        say_greeting(c, &r);
    } else {
        zk_reply_header_read(&r, &h);
        if (h.xid == ZK_XID_WATCH) {
            say_event(&r, &c->said);
        } else {
            buf_printf(&c->said, "#%d@%" PRId64 " %s", h.xid, h.zxid, zk_error_name(h.err));
            if (h.err == ZK_OK && h.xid > 0)
                say_body(c->ops[h.xid], &r, &c->said);
        }
    }
    if (!jute_done(&r))
        buf_printf(&c->said, " (bad)");
}

static inline void say_frames(struct test_client *c)
{
    size_t pos = 0;
    while (c->bytes.len - pos >= 4) {
        size_t len = be32_get(c->bytes.data + pos);
        if (c->bytes.len - pos - 4 < len)
            break;
        say_frame(c, slice_of(c->bytes.data + pos + 4, len));
        pos += 4 + len;
    }
    buf_consume(&c->bytes, pos);
}

/* What the client was told since the last call. Valid until then. */
static inline const char *said(struct test_client *c)
{
    static char text[1 << 16];
    say_frames(c);
    if (c->closed)
        buf_printf(&c->said, "%sclosed", c->said.len > 0 ? "\n" : "");
    c->closed = false;
    snprintf(text, sizeof(text), "%.*s", (int)c->said.len,
             c->said.data ? (char *)c->said.data : "");
    buf_reset(&c->said);
    return text;
}

#define assert_said(client, text) assert_string_equal(said(client), text)

/* ---- Events and effects ---- */

static inline void take_output(struct test_client *c)
{
    struct buf *out = &node_conn_public(c->conn)->out;
    buf_append(&c->bytes, out->data, out->len);
    buf_reset(out);
}

static inline void carry_out(struct rig *rig)
{
    for (size_t i = 0; i < rig->fx.n; i++) {
        const struct node_effect *fx = &rig->fx.list[i];
        struct test_client *c = fx->conn ? node_conn_public(fx->conn)->owner : NULL;
        switch (fx->type) {
        case NODE_APPEND:
            assert_true(fx->batch->first_zxid == rig->appended + 1);
            rig->appended = fx->batch->last_zxid;
            break;
        case NODE_SEND:
            take_output(c);
            break;
        case NODE_CLOSE:
            take_output(c);
            c->closed = true;
            break;
        case NODE_RESUME:
            rig->resumed = true;
            break;
        case NODE_SNAPSHOT:
            rig->n_snapshots++;
            break;
        case NODE_LOG:
            buf_printf(&rig->log, "%s\n", fx->text);
            break;
        case NODE_SAVE_EPOCH:
            assert_string_equal(fx->epoch_name, "decidedZxid");
            break;
        default:
            fail_msg("an effect of an ensemble");
        }
    }
}

static inline void rig_step(struct rig *rig, struct node_event ev)
{
    ev.now_ms = rig->now_ms;
    ev.wall_ms = rig->wall_ms;
    node_step(rig->node, &ev, &rig->fx);
    carry_out(rig);
}

static inline void rig_flush(struct rig *rig)
{
    rig_step(rig, (struct node_event){.type = NODE_FLUSH});
}

/* All that was appended is durable. */
static inline void rig_persist(struct rig *rig)
{
    rig_step(rig, (struct node_event){.type = NODE_PERSISTED, .zxid = rig->appended});
    rig_flush(rig);
}

static inline void rig_turn(struct rig *rig)
{
    rig_flush(rig);
    while ((!rig->hold && rig->appended > node_last_committed(rig->node)) ||
           node_wants_turn(rig->node)) {
        if (!rig->hold && rig->appended > node_last_committed(rig->node))
            rig_persist(rig);
        else
            rig_flush(rig);
    }
}

static inline void rig_tick(struct rig *rig, int64_t ms)
{
    rig->now_ms += ms;
    rig->wall_ms += ms;
    rig_step(rig, (struct node_event){.type = NODE_TICK});
    rig_turn(rig);
}

static inline void rig_hold(struct rig *rig)
{
    rig->hold = true;
}

static inline void rig_release(struct rig *rig)
{
    rig->hold = false;
    rig_turn(rig);
}

/* ---- Clients ---- */

static inline struct test_client *client_at(struct rig *rig, const char *address)
{
    struct test_client *c = &rig->clients[rig->n_clients++];
    struct node_event ev = {.type = NODE_CONN_OPENED, .owner = c, .address = address};
    ev.now_ms = rig->now_ms;
    ev.wall_ms = rig->wall_ms;
    node_step(rig->node, &ev, &rig->fx);
    c->conn = ev.conn;
    carry_out(rig);
    return c;
}

static inline void client_bytes(struct rig *rig, struct test_client *c, const void *data,
                                size_t len)
{
    rig_step(rig, (struct node_event){
                      .type = NODE_CONN_DATA, .conn = c->conn, .data = slice_of(data, len)});
    rig_turn(rig);
}

/* The socket is gone. */
static inline void client_gone(struct rig *rig, struct test_client *c)
{
    rig_step(rig, (struct node_event){.type = NODE_CONN_CLOSED, .conn = c->conn});
    rig_turn(rig);
}

static inline void frame_send(struct rig *rig, struct test_client *c)
{
    be32_put(c->frame.data, (uint32_t)(c->frame.len - 4));
    client_bytes(rig, c, c->frame.data, c->frame.len);
    buf_reset(&c->frame);
}

static inline void client_hello(struct rig *rig, struct test_client *c, int timeout_ms,
                                int64_t session_id, const uint8_t *password, int64_t seen_zxid)
{
    static const uint8_t none[ZK_PASSWORD_SIZE];
    struct zk_connect_request q = {.last_zxid_seen = seen_zxid,
                                   .timeout = timeout_ms,
                                   .session_id = session_id,
                                   .password = slice_of(password ? password : none, sizeof(none))};
    jute_write_int(&c->frame, 0);
    zk_connect_request_write(&c->frame, &q);
    jute_write_bool(&c->frame, false);
    frame_send(rig, c);
}

/* A client with a session. */
static inline struct test_client *client_open(struct rig *rig)
{
    struct test_client *c = client_at(rig, "10.0.0.1:4000");
    client_hello(rig, c, TEST_TIMEOUT_MS, 0, NULL, 0);
    if (!rig->hold)
        assert_said(c, "session 4000 ms");
    return c;
}

/* A new connection for a session. */
static inline struct test_client *client_resume(struct rig *rig, const struct test_client *old)
{
    struct test_client *c = client_at(rig, "10.0.0.1:4001");
    client_hello(rig, c, TEST_TIMEOUT_MS, old->session_id, old->password, 0);
    return c;
}

static inline struct buf *ask_begin(struct test_client *c, int32_t xid, int32_t op)
{
    struct zk_request_header h = {xid, op};
    buf_reset(&c->frame);
    jute_write_int(&c->frame, 0);
    zk_request_header_write(&c->frame, &h);
    return &c->frame;
}

/* Open the next request; the caller writes its record and calls frame_send(). */
static inline struct buf *ask(struct test_client *c, int32_t op)
{
    ensure(c->xid + 1 < TEST_REQUESTS);
    c->ops[++c->xid] = op;
    return ask_begin(c, c->xid, op);
}

static inline void write_world(struct buf *b, int32_t perms)
{
    struct zk_acl a = {perms, {slice_str("world"), slice_str("anyone")}};
    jute_write_int(b, 1);
    zk_acl_write(b, &a);
}

static inline void write_acl(struct buf *b, int32_t perms, const char *scheme, const char *id)
{
    struct zk_acl a = {perms, {slice_str(scheme), slice_str(id)}};
    jute_write_int(b, 1);
    zk_acl_write(b, &a);
}

static inline void write_create(struct buf *b, const char *path, const char *data, int32_t mode)
{
    jute_write_buffer(b, slice_str(path));
    jute_write_buffer(b, slice_str(data));
    write_world(b, ZK_PERM_ALL);
    jute_write_int(b, mode);
}

static inline void do_create(struct rig *rig, struct test_client *c, const char *path, int32_t mode)
{
    write_create(ask(c, ZK_OP_create), path, "x", mode);
    frame_send(rig, c);
}

static inline void do_create_acl(struct rig *rig, struct test_client *c, const char *path,
                                 int32_t perms, const char *scheme, const char *id)
{
    struct buf *b = ask(c, ZK_OP_create);
    jute_write_buffer(b, slice_str(path));
    jute_write_buffer(b, slice_str("x"));
    write_acl(b, perms, scheme, id);
    jute_write_int(b, 0);
    frame_send(rig, c);
}

static inline void do_versioned(struct rig *rig, struct test_client *c, int32_t op,
                                const char *path, int32_t version)
{
    struct buf *b = ask(c, op);
    jute_write_buffer(b, slice_str(path));
    if (op == ZK_OP_setData)
        jute_write_buffer(b, slice_str("new"));
    if (op == ZK_OP_setACL)
        write_world(b, ZK_PERM_READ | ZK_PERM_ADMIN);
    jute_write_int(b, version);
    frame_send(rig, c);
}

static inline void do_read(struct rig *rig, struct test_client *c, int32_t op, const char *path,
                           bool watch)
{
    struct zk_watched_read q = {slice_str(path), watch};
    zk_watched_read_write(ask(c, op), &q);
    frame_send(rig, c);
}

/* A request that is a path only. */
static inline void do_path(struct rig *rig, struct test_client *c, int32_t op, const char *path)
{
    jute_write_buffer(ask(c, op), slice_str(path));
    frame_send(rig, c);
}

static inline void do_watch(struct rig *rig, struct test_client *c, int32_t op, const char *path,
                            int32_t type)
{
    struct zk_watch_request q = {slice_str(path), type};
    zk_watch_request_write(ask(c, op), &q);
    frame_send(rig, c);
}

static inline void do_auth(struct rig *rig, struct test_client *c, const char *scheme,
                           const char *auth)
{
    struct zk_auth_packet q = {0, slice_str(scheme), slice_str(auth)};
    zk_auth_packet_write(ask_begin(c, ZK_XID_AUTH, ZK_OP_auth), &q);
    frame_send(rig, c);
}

static inline void do_close(struct rig *rig, struct test_client *c)
{
    ask(c, ZK_OP_closeSession);
    frame_send(rig, c);
}

static inline void multi_op(struct buf *b, int32_t op)
{
    zk_multi_header_write(b, &(struct zk_multi_header){op, false, -1});
}

static inline void multi_end(struct rig *rig, struct test_client *c)
{
    zk_multi_header_write(&c->frame, &(struct zk_multi_header){-1, true, -1});
    frame_send(rig, c);
}

#endif
