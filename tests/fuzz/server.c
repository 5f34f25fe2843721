/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The node, its disk and its effects. Logs are batches one behind the other; a tree is kept as its
 * dump. */
#include "server.h"

#include "../unit/history_number.h"

#include <errno.h>

/* A voter, and an observer; server 4 is one, too. */
static const struct zab_server servers[2][N_SERVERS] = {
    {{.sid = 1, .weight = 1},
     {.sid = 2, .weight = 1},
     {.sid = 3, .weight = 1},
     {.sid = 4, .observer = true}},
    {{.sid = 1, .observer = true},
     {.sid = 2, .weight = 1},
     {.sid = 3, .weight = 1},
     {.sid = 4, .observer = true}},
};

/* ---- The disk ---- */

static struct tree *load_base(const struct server *s)
{
    struct tree *t = tree_open(1);
    struct tree_load *load = tree_load_begin(t);
    struct err e;
    size_t used;
    int rc = tree_load_feed(load, buf_slice(&s->base), &used, &e);
    ensure(rc == 1);
    tree_load_close(load);
    tree_set_last_zxid(t, s->base_zxid);
    return t;
}

static void set_base(struct server *s, const struct tree *t)
{
    buf_reset(&s->base);
    fuzz_tree_dump(t, &s->base);
    s->base_zxid = s->appended = tree_last_zxid(t);
    buf_reset(&s->log);
}

/* The log's part up to `zxid`, and its last zxid. */
static struct buf log_prefix(const struct server *s, int64_t zxid, int64_t *last)
{
    struct buf prefix = {.data = s->log.data};
    struct slice txn;
    *last = s->base_zxid;
    for (size_t pos = 0; txn_batch_next(&s->log, &pos, &txn) && txn_zxid(txn.data) <= zxid;) {
        prefix.len = pos;
        *last = txn_zxid(txn.data);
    }
    return prefix;
}

static struct tree *replay(const struct server *s, int64_t zxid, int64_t *last)
{
    struct tree *t = load_base(s);
    struct buf prefix = log_prefix(s, zxid, last);
    fuzz_tree_apply(t, &prefix);
    return t;
}

static void append(struct server *s, struct node_batch *b)
{
    struct slice txn;
    int64_t zxid = 0;
    ensure(!s->truncating && !s->installing);
    ensure(txn_zxid(b->entries.data + TXN_ENTRY_HEAD) == b->first_zxid);
    for (size_t pos = 0; txn_batch_next(&b->entries, &pos, &txn);) {
        struct jute_reader r = jute_reader_of(txn);
        struct zk_txn_header header;
        zk_txn_header_read(&r, &header);
        zxid = header.zxid;
        ensure(zxid == s->appended + 1 ||
               (zxid_epoch(zxid) > zxid_epoch(s->appended) && zxid_counter(zxid) == 1));
        ensure(jute_ok(&r) && tree_check_txn(&header, jute_read_rest(&r)));
        s->appended = zxid;
    }
    ensure(zxid == b->last_zxid);
    fuzz_seal_log(b->entries.data, b->entries.len);
    buf_append(&s->log, b->entries.data, b->entries.len);
    buf_append(&s->batches, &zxid, sizeof(zxid));
}

static void save_epoch(struct server *s, const struct node_effect *fx)
{
    ensure(!s->saving);
    s->saving = history_number(&s->numbers, fx->epoch_name);
    s->saved_number = fx->epoch;
    bool is_id = s->saving == &s->numbers.ensemble_id || s->saving == &s->numbers.proposed_id;
    ensure(is_id || s->saved_number >= *s->saving);
}

static void read_log(struct server *s, struct node_log_read *read)
{
    int64_t last;
    struct buf all = log_prefix(s, read->to_zxid, &last);
    read->rc = read->zxid < s->base_zxid ? -ENODATA : 0;
    struct buf lower = log_prefix(s, read->zxid, &read->floor);
    if (read->rc == 0 && all.len > lower.len)
        buf_append(&read->entries, all.data + lower.len, all.len - lower.len);
}

/* ---- What leaves ---- */

static void take_answers(struct server *s, struct node_conn_public *conn)
{
    struct client *c = conn->owner;
    struct jute_reader r = jute_reader_of(buf_slice(&conn->out));
    while (jute_left(&r) > 0) {
        struct jute_reader frame = jute_reader_of(jute_read_buffer(&r));
        struct zk_connect_response response;
        struct zk_reply_header header;
        if (c->has_session) {
            zk_reply_header_read(&frame, &header);
            ensure(jute_ok(&frame) && header.zxid <= node_last_committed(s->node));
        } else {
            zk_connect_response_read(&frame, &response);
            ensure(jute_ok(&frame) && response.password.len == ZK_PASSWORD_SIZE);
            c->has_session = true;
            c->session_id = response.session_id;
            memcpy(c->password, response.password.data, ZK_PASSWORD_SIZE);
        }
        ensure(jute_ok(&r));
    }
    buf_reset(&conn->out);
}

/* The leader is asked for something. */
static void take_question(struct server *s, const struct zk_quorum_packet *p)
{
    struct jute_reader r = jute_reader_of(p->data);
    int64_t session_id = jute_read_long(&r);
    struct asked asked = {session_id, jute_read_int(&r), jute_read_int(&r)};
    if (p->type == ZAB_REQUEST && jute_ok(&r))
        buf_append(&s->asked, &asked, sizeof(asked));
    else if (p->type == ZAB_REVALIDATE)
        buf_append(&s->revalidations, &session_id, sizeof(session_id));
}

static void take_packets(struct server *s, struct node_conn_public *link, size_t len)
{
    struct jute_reader r = jute_reader_of(slice_of(link->out.data, len));
    while (jute_left(&r) > 0) {
        struct zk_quorum_packet p;
        zk_quorum_packet_read(&r, &p);
        ensure(jute_ok(&r));
        if (link->owner == &s->links[TO_LEADER])
            take_question(s, &p);
    }
    buf_consume(&link->out, len);
}

static void take_message(struct server *s, struct slice message)
{
    struct jute_reader r = jute_reader_of(message);
    (void)jute_read_int(&r);
    (void)jute_read_long(&r);
    (void)jute_read_long(&r);
    s->round = jute_read_long(&r);
    ensure(jute_ok(&r));
}

static void carry_out_for_link(struct server *s, const struct node_effect *fx)
{
    struct node_conn_public *link = node_link_public(fx->link);
    if (fx->type == NODE_SEND || fx->type == NODE_CLOSE)
        take_packets(s, link, link->out.len);
    else if (fx->type == NODE_SEND_TREE)
        take_packets(s, link, fx->before);
    if (fx->type == NODE_CLOSE)
        ((struct link *)link->owner)->closing = true;
}

static void carry_out(struct server *s, const struct node_effect *fx)
{
    if (fx->link) {
        carry_out_for_link(s, fx);
        return;
    }
    switch (fx->type) {
    case NODE_APPEND:
        append(s, fx->batch);
        break;
    case NODE_CLOSE:
        ((struct client *)node_conn_public(fx->conn)->owner)->closing = true; /* fall through */
    case NODE_SEND:
        take_answers(s, node_conn_public(fx->conn));
        break;
    case NODE_PEER_SEND:
        take_message(s, fx->data);
        break;
    case NODE_LEADER_CONNECT:
    case NODE_LEADER_CLOSE:
        s->connecting = fx->type == NODE_LEADER_CONNECT;
        break;
    case NODE_SAVE_EPOCH:
        save_epoch(s, fx);
        break;
    case NODE_TRUNCATE:
        ensure(s->batches.len == 0 && !s->truncating && !s->installing);
        s->truncating = true;
        s->truncate_zxid = fx->zxid;
        break;
    case NODE_INSTALL_TREE:
        ensure(s->batches.len == 0 && !s->truncating && !s->installing);
        s->installing = true;
        break;
    case NODE_READ_LOG:
        buf_append(&s->log_reads, &fx->log_read, sizeof(fx->log_read));
        break;
    case NODE_SNAPSHOT:
        ensure(!s->snapshot_running);
        s->snapshot_running = true;
        break;
    default:
        break;
    }
}

/* ---- What happens ---- */

void server_step(struct server *s, enum node_event_type type)
{
    s->event.type = type;
    node_step(s->node, &s->event, &s->fx);
    for (size_t i = 0; i < s->fx.n; i++)
        carry_out(s, &s->fx.list[i]);
}

void server_hang_up(struct server *s, struct client *c)
{
    if (!c->conn)
        return;
    s->event.conn = c->conn;
    c->conn = NULL;
    c->closing = false;
    server_step(s, NODE_CONN_CLOSED);
}

void server_unlink(struct server *s, struct link *l)
{
    if (!l->link)
        return;
    s->event.link = l->link;
    *l = (struct link){0};
    server_step(s, NODE_LINK_CLOSED);
}

void server_end_turn(struct server *s)
{
    if (s->snapshot_running) {
        s->snapshot_running = false;
        server_step(s, NODE_SNAPSHOT_DONE);
    }
    server_step(s, NODE_FLUSH);
    for (size_t i = 0; i < N_CONNS; i++) {
        if (s->clients[i].closing)
            server_hang_up(s, &s->clients[i]);
    }
    for (size_t i = 0; i < N_LINKS; i++) {
        if (s->links[i].closing)
            server_unlink(s, &s->links[i]);
    }
}

void server_persist(struct server *s, bool one)
{
    server_step(s, NODE_FLUSH);
    if (s->batches.len > 0) {
        size_t at = one ? 0 : s->batches.len - sizeof(s->event.zxid);
        memcpy(&s->event.zxid, s->batches.data + at, sizeof(s->event.zxid));
        buf_consume(&s->batches, at + sizeof(s->event.zxid));
        server_step(s, NODE_PERSISTED);
    }
    server_end_turn(s);
}

static void cut_log(struct server *s)
{
    s->truncating = false;
    s->event.tree = NULL;
    if (s->truncate_zxid >= s->base_zxid) {
        s->event.tree = replay(s, s->truncate_zxid, &s->appended);
        s->log.len = log_prefix(s, s->truncate_zxid, &s->event.zxid).len;
    }
    server_step(s, NODE_TRUNCATED);
}

static void finish_reads(struct server *s)
{
    while (s->log_reads.len > 0) {
        memcpy(&s->event.log_read, s->log_reads.data, sizeof(s->event.log_read));
        buf_consume(&s->log_reads, sizeof(s->event.log_read));
        read_log(s, s->event.log_read);
        server_step(s, NODE_LOG_READ);
    }
}

/* What was asked of the disk, but for persisting. */
void server_finish_disk(struct server *s)
{
    if (s->saving) {
        *s->saving = s->saved_number;
        s->saving = NULL;
        server_step(s, NODE_EPOCH_SAVED);
    }
    if (s->truncating)
        cut_log(s);
    if (s->installing) {
        s->installing = false;
        set_base(s, node_incoming_tree(s->node));
        server_step(s, NODE_TREE_INSTALLED);
    }
    finish_reads(s);
}

void server_tick(struct server *s, uint8_t tenths)
{
    s->event.now_ms += 100 * tenths;
    s->event.wall_ms += 100 * tenths;
    server_step(s, NODE_TICK);
    server_end_turn(s);
}

/* ---- From its start to its end ---- */

/* One number is saved at a time here: that of what is decided is not. */
static struct node_limits fuzz_limits(void)
{
    struct node_limits limits = node_limits_default();
    limits.decided_every_ms = INT64_MAX / 2;
    return limits;
}

void server_open(struct server *s, uint8_t settings)
{
    struct tree *tree = tree_open(1);
    *s = (struct server){.event = {.wall_ms = 1700000000000}};
    s->ensemble = (struct zab_config){.sid = 1,
                                      .servers = servers[settings >> 3 & 1],
                                      .n_servers = N_SERVERS,
                                      .tick_ms = 2000,
                                      .init_limit = 10,
                                      .sync_limit = 5,
                                      .config_text = slice_str("version=0"),
                                      .fresh_id = 71};
    s->numbers.accepted_epoch = s->numbers.current_epoch = 1;
    set_base(s, tree);
    tree_close(tree);
    fuzz_sample_log(&s->log);
    fuzz_seal_log(s->log.data, s->log.len);
    tree = replay(s, INT64_MAX, &s->appended);
    s->numbers.last_zxid = tree_last_zxid(tree);
    const struct node_config config = {
        .server_id = 1,
        .tick_ms = 2000,
        .min_session_timeout_ms = 4000,
        .max_session_timeout_ms = 40000,
        .packet_max = 4096,
        .outstanding_max = 4,
        .snap_count = 8,
        .watches_max = 16,
        .output_max = settings & 1 ? 512 : 1 << 20,
        .handshake_ms = 10000,
        .container_check_ms = 1000,
        .skip_acl = settings & 2,
        .extended_types = true,
        .read_only_mode = settings & 4,
        .four_letter = "*",
        .version = "fuzz",
        .conf_text = "conf\n",
        .envi_text = "envi\n",
        .limits = fuzz_limits(),
        .seed = 1,
        .ensemble = &s->ensemble,
        .history = s->numbers,
        .log_base = s->base_zxid,
    };
    s->node = node_open(&config, tree, 0);
}

/* The tree is what the log says. */
static void check_tree(struct server *s)
{
    int64_t last;
    struct tree *replica = replay(s, node_last_committed(s->node), &last);
    tree_set_config(replica, s->ensemble.config_text, 0);
    ensure(fuzz_trees_equal(node_tree(s->node), replica));
    tree_close(replica);
}

void server_close(struct server *s)
{
    struct buf *bufs[] = {&s->base,      &s->log,   &s->batches,
                          &s->log_reads, &s->asked, &s->revalidations};
    server_end_turn(s);
    check_tree(s);
    finish_reads(s);
    node_close(s->node);
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_close(bufs[i]);
    node_effects_close(&s->fx);
}
