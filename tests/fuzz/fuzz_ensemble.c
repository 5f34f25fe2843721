/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One of three servers, with whatever the other two, its clients and its own disk may do. The input
 * is steps (fuzz.h).
 *
 * What must hold: what is appended follows on and can be applied; what leaves is whole packets and
 * whole answers; the tree is what the log, as far as it is committed, makes of the tree that it
 * begins with. */
#include "fuzz.h"
#include "zab/node.h"

#include <errno.h>

enum {
    N_CONNS = 4,
    N_LINKS = 4,
    TO_LEADER = 3,
    N_SERVERS = 3,
};

struct client {
    struct node_conn *conn; /* NULL: not connected */
    bool has_session;       /* the ConnectResponse has come */
    bool closing;
    int64_t session_id; /* the last one it had */
    uint8_t password[ZK_PASSWORD_SIZE];
};

struct link {
    struct node_link *link; /* NULL: not connected */
    bool closing;
};

/* What the leader was asked for. */
struct asked {
    int64_t session_id;
    int32_t cxid, type;
};

struct driver {
    struct node *node;
    struct node_effects fx;
    struct node_event event; /* holds the time */
    struct client clients[N_CONNS];
    struct link links[N_LINKS];
    bool connecting;

    struct buf base; /* a dump: the tree that the log begins with */
    int64_t base_zxid;
    struct buf log;
    struct buf batches; /* int64_t: the last zxid of each that is not persisted */
    int64_t appended;
    int64_t accepted_epoch, current_epoch, saved_epoch;
    int64_t *saving; /* one of those, or NULL */
    int64_t truncate_zxid;
    bool truncating, installing, snapshot_running;
    struct buf log_reads; /* struct node_log_read * */

    int64_t round;            /* of its election */
    struct buf asked;         /* struct asked */
    struct buf revalidations; /* int64_t: session ids */
};

static const struct zab_server servers[N_SERVERS] = {
    {.sid = 1, .weight = 1}, {.sid = 2, .weight = 1}, {.sid = 3, .weight = 1}};
static const struct zab_config ensemble = {.sid = 1,
                                           .servers = servers,
                                           .n_servers = N_SERVERS,
                                           .tick_ms = 2000,
                                           .init_limit = 10,
                                           .sync_limit = 5,
                                           .config_text = {(const uint8_t *)"version=0", 9}};

/* ---- The disk ---- */

static struct tree *load_base(const struct driver *d)
{
    struct tree *t = tree_open(1);
    struct tree_load *load = tree_load_begin(t);
    struct err e;
    size_t used;
    int rc = tree_load_feed(load, buf_slice(&d->base), &used, &e);
    ensure(rc == 1);
    tree_load_close(load);
    tree_set_last_zxid(t, d->base_zxid);
    return t;
}

static void set_base(struct driver *d, const struct tree *t)
{
    buf_reset(&d->base);
    fuzz_tree_dump(t, &d->base);
    d->base_zxid = d->appended = tree_last_zxid(t);
    buf_reset(&d->log);
}

/* The log's part up to `zxid`, and its last zxid. */
static struct buf log_prefix(const struct driver *d, int64_t zxid, int64_t *last)
{
    struct buf prefix = {.data = d->log.data};
    struct slice txn;
    *last = d->base_zxid;
    for (size_t pos = 0; txn_batch_next(&d->log, &pos, &txn) && txn_zxid(txn.data) <= zxid;) {
        prefix.len = pos;
        *last = txn_zxid(txn.data);
    }
    return prefix;
}

static struct tree *replay(const struct driver *d, int64_t zxid, int64_t *last)
{
    struct tree *t = load_base(d);
    struct buf prefix = log_prefix(d, zxid, last);
    fuzz_tree_apply(t, &prefix);
    return t;
}

static void append(struct driver *d, struct node_batch *b)
{
    struct slice txn;
    int64_t zxid = 0;
    ensure(!d->truncating && !d->installing);
    ensure(txn_zxid(b->entries.data + TXN_ENTRY_HEAD) == b->first_zxid);
    for (size_t pos = 0; txn_batch_next(&b->entries, &pos, &txn);) {
        struct jute_reader r = jute_reader_of(txn);
        struct zk_txn_header header;
        zk_txn_header_read(&r, &header);
        zxid = header.zxid;
        ensure(zxid == d->appended + 1 ||
               (zxid_epoch(zxid) > zxid_epoch(d->appended) && zxid_counter(zxid) == 1));
        ensure(jute_ok(&r) && tree_check_txn(&header, jute_read_rest(&r)));
        d->appended = zxid;
    }
    ensure(zxid == b->last_zxid);
    fuzz_seal_log(b->entries.data, b->entries.len);
    buf_append(&d->log, b->entries.data, b->entries.len);
    buf_append(&d->batches, &zxid, sizeof(zxid));
}

static void save_epoch(struct driver *d, const struct node_effect *fx)
{
    ensure(!d->saving);
    d->saving = fx->epoch_name[0] == 'a' ? &d->accepted_epoch : &d->current_epoch;
    d->saved_epoch = fx->epoch;
    ensure(d->saved_epoch >= *d->saving);
}

static void read_log(struct driver *d, struct node_log_read *read)
{
    int64_t last;
    struct buf all = log_prefix(d, read->to_zxid, &last);
    read->rc = read->zxid < d->base_zxid ? -ENODATA : 0;
    struct buf lower = log_prefix(d, read->zxid, &read->floor);
    if (read->rc == 0 && all.len > lower.len)
        buf_append(&read->entries, all.data + lower.len, all.len - lower.len);
}

/* ---- What leaves ---- */

static void take_answers(struct driver *d, struct node_conn_public *conn)
{
    struct client *c = conn->owner;
    struct jute_reader r = jute_reader_of(buf_slice(&conn->out));
    while (jute_left(&r) > 0) {
        struct jute_reader frame = jute_reader_of(jute_read_buffer(&r));
        struct zk_connect_response response;
        struct zk_reply_header header;
        if (c->has_session) {
            zk_reply_header_read(&frame, &header);
            ensure(jute_ok(&frame) && header.zxid <= node_last_committed(d->node));
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
static void take_question(struct driver *d, const struct zk_quorum_packet *p)
{
    struct jute_reader r = jute_reader_of(p->data);
    int64_t session_id = jute_read_long(&r);
    struct asked asked = {session_id, jute_read_int(&r), jute_read_int(&r)};
    if (p->type == ZAB_REQUEST && jute_ok(&r))
        buf_append(&d->asked, &asked, sizeof(asked));
    else if (p->type == ZAB_REVALIDATE)
        buf_append(&d->revalidations, &session_id, sizeof(session_id));
}

static void take_packets(struct driver *d, struct node_conn_public *link, size_t len)
{
    struct jute_reader r = jute_reader_of(slice_of(link->out.data, len));
    while (jute_left(&r) > 0) {
        struct zk_quorum_packet p;
        zk_quorum_packet_read(&r, &p);
        ensure(jute_ok(&r));
        if (link->owner == &d->links[TO_LEADER])
            take_question(d, &p);
    }
    buf_consume(&link->out, len);
}

static void take_message(struct driver *d, struct slice message)
{
    struct jute_reader r = jute_reader_of(message);
    (void)jute_read_int(&r);
    (void)jute_read_long(&r);
    (void)jute_read_long(&r);
    d->round = jute_read_long(&r);
    ensure(jute_ok(&r));
}

static void carry_out_for_link(struct driver *d, const struct node_effect *fx)
{
    struct node_conn_public *link = node_link_public(fx->link);
    if (fx->type == NODE_SEND || fx->type == NODE_CLOSE)
        take_packets(d, link, link->out.len);
    else if (fx->type == NODE_SEND_TREE)
        take_packets(d, link, fx->before);
    if (fx->type == NODE_CLOSE)
        ((struct link *)link->owner)->closing = true;
}

static void carry_out(struct driver *d, const struct node_effect *fx)
{
    if (fx->link) {
        carry_out_for_link(d, fx);
        return;
    }
    switch (fx->type) {
    case NODE_APPEND:
        append(d, fx->batch);
        break;
    case NODE_CLOSE:
        ((struct client *)node_conn_public(fx->conn)->owner)->closing = true; /* fall through */
    case NODE_SEND:
        take_answers(d, node_conn_public(fx->conn));
        break;
    case NODE_PEER_SEND:
        take_message(d, fx->data);
        break;
    case NODE_LEADER_CONNECT:
    case NODE_LEADER_CLOSE:
        d->connecting = fx->type == NODE_LEADER_CONNECT;
        break;
    case NODE_SAVE_EPOCH:
        save_epoch(d, fx);
        break;
    case NODE_TRUNCATE:
        ensure(d->batches.len == 0 && !d->truncating && !d->installing);
        d->truncating = true;
        d->truncate_zxid = fx->zxid;
        break;
    case NODE_INSTALL_TREE:
        ensure(d->batches.len == 0 && !d->truncating && !d->installing);
        d->installing = true;
        break;
    case NODE_READ_LOG:
        buf_append(&d->log_reads, &fx->log_read, sizeof(fx->log_read));
        break;
    case NODE_SNAPSHOT:
        ensure(!d->snapshot_running);
        d->snapshot_running = true;
        break;
    default:
        break;
    }
}

/* ---- What happens ---- */

static void step(struct driver *d, enum node_event_type type)
{
    d->event.type = type;
    node_step(d->node, &d->event, &d->fx);
    for (size_t i = 0; i < d->fx.n; i++)
        carry_out(d, &d->fx.list[i]);
}

static void hang_up(struct driver *d, struct client *c)
{
    if (!c->conn)
        return;
    d->event.conn = c->conn;
    c->conn = NULL;
    c->closing = false;
    step(d, NODE_CONN_CLOSED);
}

static void unlink_one(struct driver *d, struct link *l)
{
    if (!l->link)
        return;
    d->event.link = l->link;
    *l = (struct link){0};
    step(d, NODE_LINK_CLOSED);
}

static void end_turn(struct driver *d)
{
    if (d->snapshot_running) {
        d->snapshot_running = false;
        step(d, NODE_SNAPSHOT_DONE);
    }
    step(d, NODE_FLUSH);
    for (size_t i = 0; i < N_CONNS; i++) {
        if (d->clients[i].closing)
            hang_up(d, &d->clients[i]);
    }
    for (size_t i = 0; i < N_LINKS; i++) {
        if (d->links[i].closing)
            unlink_one(d, &d->links[i]);
    }
}

static void persist(struct driver *d, bool one)
{
    step(d, NODE_FLUSH);
    if (d->batches.len > 0) {
        size_t at = one ? 0 : d->batches.len - sizeof(d->event.zxid);
        memcpy(&d->event.zxid, d->batches.data + at, sizeof(d->event.zxid));
        buf_consume(&d->batches, at + sizeof(d->event.zxid));
        step(d, NODE_PERSISTED);
    }
    end_turn(d);
}

static void cut_log(struct driver *d)
{
    d->truncating = false;
    d->event.tree = NULL;
    if (d->truncate_zxid >= d->base_zxid) {
        d->event.tree = replay(d, d->truncate_zxid, &d->appended);
        d->log.len = log_prefix(d, d->truncate_zxid, &d->event.zxid).len;
    }
    step(d, NODE_TRUNCATED);
}

static void finish_reads(struct driver *d)
{
    while (d->log_reads.len > 0) {
        memcpy(&d->event.log_read, d->log_reads.data, sizeof(d->event.log_read));
        buf_consume(&d->log_reads, sizeof(d->event.log_read));
        read_log(d, d->event.log_read);
        step(d, NODE_LOG_READ);
    }
}

/* What was asked of the disk, but for persisting. */
static void finish_disk(struct driver *d)
{
    if (d->saving) {
        *d->saving = d->saved_epoch;
        d->saving = NULL;
        step(d, NODE_EPOCH_SAVED);
    }
    if (d->truncating)
        cut_log(d);
    if (d->installing) {
        d->installing = false;
        set_base(d, node_incoming_tree(d->node));
        step(d, NODE_TREE_INSTALLED);
    }
    finish_reads(d);
}

static void tick(struct driver *d, uint8_t tenths)
{
    d->event.now_ms += 100 * tenths;
    d->event.wall_ms += 100 * tenths;
    step(d, NODE_TICK);
    end_turn(d);
}

/* ---- Of the other servers ---- */

static int64_t read_zxid(const struct driver *d, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    int64_t distance = (what & 15) < 8 ? what & 15 : (what & 15) - 16, zxid = 0;
    switch ((enum fuzz_zxid)((what >> 4) % FUZZ_ZXIDS)) {
    case FUZZ_ZXID_LOGGED:
        zxid = node_last_proposed(d->node);
        break;
    case FUZZ_ZXID_NEXT:
        zxid = node_last_proposed(d->node) + 1;
        break;
    case FUZZ_ZXID_EPOCH:
        zxid = zxid_make(d->accepted_epoch, 0);
        break;
    case FUZZ_ZXID_NEW:
        zxid = zxid_make(d->accepted_epoch + 1, 0);
        break;
    default:
        for (int i = 0; i < 8; i++)
            zxid = (int64_t)((uint64_t)zxid << 8 | fuzz_byte(in));
    }
    return (int64_t)((uint64_t)zxid + (uint64_t)distance);
}

static void receive_message(struct driver *d, int64_t sid, struct slice message)
{
    d->event.sid = sid;
    step(d, NODE_PEER_UP);
    d->event.data = message;
    step(d, NODE_PEER_MESSAGE);
}

static void vote(struct driver *d, int64_t sid, struct fuzz_input *in)
{
    struct buf b = {0};
    jute_write_int(&b, fuzz_byte(in) & 3);
    jute_write_long(&b, fuzz_byte(in));
    jute_write_long(&b, read_zxid(d, in));
    jute_write_long(&b, d->round);
    jute_write_long(&b, d->current_epoch);
    jute_write_int(&b, 2);
    jute_write_buffer(&b, SLICE_EMPTY);
    receive_message(d, sid, buf_slice(&b));
    buf_close(&b);
}

static void open_link(struct driver *d, struct link *l)
{
    d->event.to_leader = l == &d->links[TO_LEADER];
    if (l->link || (d->event.to_leader && !d->connecting))
        return;
    if (d->event.to_leader)
        d->connecting = false;
    d->event.owner = l;
    d->event.address = "10.0.0.1:3888";
    step(d, NODE_LINK_OPENED);
    l->link = d->event.link;
}

static void receive_bytes(struct driver *d, struct link *l, struct slice bytes)
{
    if (!l->link || l->closing || node_link_public(l->link)->paused)
        return;
    struct slice copy = fuzz_copy(bytes.data, slice_size(bytes));
    d->event.link = l->link;
    d->event.data = copy;
    step(d, NODE_LINK_DATA);
    fuzz_piece_free(copy);
}

static void receive_packet(struct driver *d, struct link *l, int32_t type, int64_t zxid,
                           struct slice data)
{
    struct zk_quorum_packet p = {type, zxid, data, JUTE_VECTOR_NULL};
    struct buf b = {0};
    zk_quorum_packet_write(&b, &p);
    receive_bytes(d, l, buf_slice(&b));
    buf_close(&b);
}

static void receive_request(struct driver *d, struct link *l, struct fuzz_input *in)
{
    uint8_t which = fuzz_byte(in);
    int32_t type = (int8_t)fuzz_byte(in);
    struct slice piece = fuzz_piece(in);
    struct buf b = {0};
    jute_write_long(&b, which < N_CONNS ? d->clients[which].session_id : which);
    jute_write_int(&b, 1);
    jute_write_int(&b, type);
    buf_append(&b, piece.data, slice_size(piece));
    receive_packet(d, l, ZAB_REQUEST, -1, buf_slice(&b));
    fuzz_piece_free(piece);
    buf_close(&b);
}

static void propose(struct driver *d, int32_t packet_type, struct zk_txn_header header,
                    struct slice record)
{
    struct buf b = {0};
    header.time = d->event.wall_ms;
    zk_txn_header_write(&b, &header);
    buf_append(&b, record.data, slice_size(record));
    receive_packet(d, &d->links[TO_LEADER], packet_type, header.zxid, buf_slice(&b));
    buf_close(&b);
}

static void receive_txn(struct driver *d, struct fuzz_input *in)
{
    int32_t packet_type = fuzz_byte(in);
    struct zk_txn_header header = {.client_id = 1, .type = (int8_t)fuzz_byte(in)};
    header.zxid = read_zxid(d, in);
    struct slice piece = fuzz_piece(in);
    propose(d, packet_type, header, piece);
    fuzz_piece_free(piece);
}

/* The leader has an error, or a session, for the first that it was asked for. */
static void answer_asked(struct driver *d)
{
    struct asked asked;
    uint8_t record[4] = {0, 0, 0x20, 0};
    if (d->asked.len == 0)
        return;
    memcpy(&asked, d->asked.data, sizeof(asked));
    buf_consume(&d->asked, sizeof(asked));
    bool creates = asked.type == ZK_OP_createSession;
    struct zk_txn_header header = {.client_id = asked.session_id,
                                   .cxid = asked.cxid,
                                   .zxid = node_last_proposed(d->node) + 1,
                                   .type = creates ? ZK_OP_createSession : ZK_OP_error};
    if (zxid_epoch(header.zxid) < d->current_epoch)
        header.zxid = zxid_make(d->current_epoch, 1);
    if (asked.type == ZK_OP_sync)
        receive_packet(d, &d->links[TO_LEADER], ZAB_SYNC, 0, SLICE_NULL);
    else
        propose(d, ZAB_PROPOSAL, header, slice_of(record, sizeof(record)));
}

static void revalidate(struct driver *d, uint8_t valid)
{
    int64_t session_id;
    struct buf b = {0};
    if (d->revalidations.len == 0)
        return;
    memcpy(&session_id, d->revalidations.data, sizeof(session_id));
    buf_consume(&d->revalidations, sizeof(session_id));
    jute_write_long(&b, session_id);
    jute_write_bool(&b, valid & 1);
    receive_packet(d, &d->links[TO_LEADER], ZAB_REVALIDATE, -1, buf_slice(&b));
    buf_close(&b);
}

static void receive_tree(struct driver *d, uint8_t missing)
{
    struct tree *t = fuzz_sample_tree();
    struct buf b = {0};
    fuzz_tree_dump(t, &b);
    jute_write_buffer(&b, slice_str("BenWasHere"));
    b.len -= MIN(missing, b.len);
    receive_bytes(d, &d->links[TO_LEADER], buf_slice(&b));
    tree_close(t);
    buf_close(&b);
}

/* ---- Of clients ---- */

static void receive_frame(struct driver *d, struct client *c, struct slice frame)
{
    struct buf bytes = {0};
    if (!c->conn) {
        c->has_session = false;
        d->event.owner = c;
        d->event.address = "127.0.0.1:1025";
        step(d, NODE_CONN_OPENED);
        c->conn = d->event.conn;
    }
    if (c->closing || node_conn_public(c->conn)->paused)
        return;
    jute_write_buffer(&bytes, frame);
    struct slice copy = fuzz_copy(bytes.data, bytes.len);
    d->event.conn = c->conn;
    d->event.data = copy;
    step(d, NODE_CONN_DATA);
    fuzz_piece_free(copy);
    buf_close(&bytes);
}

static void connect(struct driver *d, struct client *c, uint8_t which)
{
    const struct client *old = &d->clients[(which - 1u) % N_CONNS];
    struct zk_connect_request request = {
        .timeout = 4000,
        .session_id = which == 0 ? 0 : old->session_id,
        .password = slice_of(old->password, ZK_PASSWORD_SIZE),
    };
    struct buf frame = {0};
    zk_connect_request_write(&frame, &request);
    jute_write_bool(&frame, which & 128);
    receive_frame(d, c, buf_slice(&frame));
    buf_close(&frame);
}

/* ---- Steps ---- */

static void take_piece(struct driver *d, enum fuzz_ensemble_step kind, uint8_t number,
                       struct fuzz_input *in)
{
    struct link *l = &d->links[number % N_LINKS];
    int32_t type = kind == FUZZ_ENSEMBLE_PACKET ? fuzz_byte(in) : 0;
    int64_t zxid = kind == FUZZ_ENSEMBLE_PACKET ? read_zxid(d, in) : 0;
    struct slice piece = fuzz_piece(in);
    if (kind == FUZZ_ENSEMBLE_MESSAGE)
        receive_message(d, number, piece);
    else if (kind == FUZZ_ENSEMBLE_LINK_BYTES)
        receive_bytes(d, l, piece);
    else if (kind == FUZZ_ENSEMBLE_PACKET)
        receive_packet(d, l, type, zxid, piece);
    else
        receive_frame(d, &d->clients[number % N_CONNS], piece);
    fuzz_piece_free(piece);
}

static void take_step(struct driver *d, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in), number = FUZZ_STEP_NUMBER(what);
    enum fuzz_ensemble_step kind =
        (enum fuzz_ensemble_step)(FUZZ_STEP_KIND(what) % FUZZ_ENSEMBLE_STEPS);
    switch (kind) {
    case FUZZ_ENSEMBLE_VOTE:
        vote(d, number, in);
        break;
    case FUZZ_ENSEMBLE_LINK:
        open_link(d, &d->links[number % N_LINKS]);
        break;
    case FUZZ_ENSEMBLE_UNLINK:
        unlink_one(d, &d->links[number % N_LINKS]);
        break;
    case FUZZ_ENSEMBLE_REQUEST:
        receive_request(d, &d->links[number % N_LINKS], in);
        break;
    case FUZZ_ENSEMBLE_TXN:
        receive_txn(d, in);
        break;
    case FUZZ_ENSEMBLE_ANSWER:
        answer_asked(d);
        break;
    case FUZZ_ENSEMBLE_REVALIDATE:
        revalidate(d, fuzz_byte(in));
        break;
    case FUZZ_ENSEMBLE_TREE:
        receive_tree(d, fuzz_byte(in));
        break;
    case FUZZ_ENSEMBLE_CONNECT:
        connect(d, &d->clients[number % N_CONNS], fuzz_byte(in));
        break;
    case FUZZ_ENSEMBLE_HANG_UP:
        hang_up(d, &d->clients[number % N_CONNS]);
        break;
    case FUZZ_ENSEMBLE_TURN:
        end_turn(d);
        break;
    case FUZZ_ENSEMBLE_PERSIST:
        persist(d, number != 0);
        break;
    case FUZZ_ENSEMBLE_DONE:
        finish_disk(d);
        break;
    case FUZZ_ENSEMBLE_TICK:
        tick(d, fuzz_byte(in));
        break;
    default:
        take_piece(d, kind, number, in);
    }
}

static struct node *open_node(uint8_t settings, struct tree *tree, struct driver *d)
{
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
        .seed = 1,
        .ensemble = &ensemble,
        .history = {tree_last_zxid(tree), d->accepted_epoch, d->current_epoch},
        .log_base = tree_last_zxid(tree),
    };
    return node_open(&config, tree, 0);
}

/* The tree is what the log says. */
static void check_tree(struct driver *d)
{
    int64_t last;
    struct tree *replica = replay(d, node_last_committed(d->node), &last);
    tree_set_config(replica, ensemble.config_text, 0);
    ensure(fuzz_trees_equal(node_tree(d->node), replica));
    tree_close(replica);
}

static void finish(struct driver *d)
{
    struct buf *bufs[] = {&d->base,      &d->log,   &d->batches,
                          &d->log_reads, &d->asked, &d->revalidations};
    end_turn(d);
    check_tree(d);
    finish_reads(d);
    node_close(d->node);
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_close(bufs[i]);
    node_effects_close(&d->fx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    struct driver d = {.event = {.wall_ms = 1700000000000}};
    struct tree *tree = fuzz_sample_tree();
    d.accepted_epoch = d.current_epoch = 1;
    set_base(&d, tree);
    d.node = open_node(fuzz_byte(&in), tree, &d);
    while (in.pos < in.end)
        take_step(&d, &in);
    finish(&d);
    return 0;
}
