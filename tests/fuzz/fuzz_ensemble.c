/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One of three servers (server.h), with whatever the other two, its clients and its own disk may
 * do. The input is steps (fuzz.h). */
#include "server.h"

/* ---- Of the other servers ---- */

static int64_t read_zxid(const struct server *s, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    int64_t distance = (what & 15) < 8 ? what & 15 : (what & 15) - 16, zxid = 0;
    switch ((enum fuzz_zxid)((what >> 4) % FUZZ_ZXIDS)) {
    case FUZZ_ZXID_LOGGED:
        zxid = node_last_proposed(s->node);
        break;
    case FUZZ_ZXID_NEXT:
        zxid = node_last_proposed(s->node) + 1;
        break;
    case FUZZ_ZXID_EPOCH:
        zxid = zxid_make(s->numbers.accepted_epoch, 0);
        break;
    case FUZZ_ZXID_NEW:
        zxid = zxid_make(s->numbers.accepted_epoch + 1, 0);
        break;
    case FUZZ_ZXID_FIRST:
        zxid = zxid_make(1, 1);
        break;
    case FUZZ_ZXID_ZERO:
        break;
    default:
        for (int i = 0; i < 8; i++)
            zxid = (int64_t)((uint64_t)zxid << 8 | fuzz_byte(in));
    }
    return (int64_t)((uint64_t)zxid + (uint64_t)distance);
}

static void receive_message(struct server *s, int64_t sid, struct slice message)
{
    s->event.sid = sid;
    server_step(s, NODE_PEER_UP);
    s->event.data = message;
    server_step(s, NODE_PEER_MESSAGE);
}

static void vote(struct server *s, int64_t sid, struct fuzz_input *in)
{
    struct buf b = {0};
    jute_write_int(&b, fuzz_byte(in) & 3);
    jute_write_long(&b, fuzz_byte(in));
    jute_write_long(&b, read_zxid(s, in));
    jute_write_long(&b, s->round);
    jute_write_long(&b, s->numbers.current_epoch);
    jute_write_int(&b, 2);
    jute_write_buffer(&b, SLICE_EMPTY);
    receive_message(s, sid, buf_slice(&b));
    buf_close(&b);
}

static void open_link(struct server *s, struct link *l)
{
    s->event.to_leader = l == &s->links[TO_LEADER];
    if (l->link || (s->event.to_leader && !s->connecting))
        return;
    if (s->event.to_leader)
        s->connecting = false;
    s->event.owner = l;
    s->event.address = "10.0.0.1:3888";
    server_step(s, NODE_LINK_OPENED);
    l->link = s->event.link;
}

static void receive_bytes(struct server *s, struct link *l, struct slice bytes)
{
    if (!l->link || l->closing || node_link_public(l->link)->paused)
        return;
    struct slice copy = fuzz_copy(bytes.data, slice_size(bytes));
    s->event.link = l->link;
    s->event.data = copy;
    server_step(s, NODE_LINK_DATA);
    fuzz_piece_free(copy);
}

static void receive_packet(struct server *s, struct link *l, int32_t type, int64_t zxid,
                           struct slice data)
{
    struct zk_quorum_packet p = {type, zxid, data, JUTE_VECTOR_NULL};
    struct buf b = {0};
    zk_quorum_packet_write(&b, &p);
    receive_bytes(s, l, buf_slice(&b));
    buf_close(&b);
}

static void receive_request(struct server *s, struct link *l, struct fuzz_input *in)
{
    uint8_t which = fuzz_byte(in);
    int32_t type = (int8_t)fuzz_byte(in);
    struct slice piece = fuzz_piece(in);
    struct buf b = {0};
    jute_write_long(&b, which < N_CONNS ? s->clients[which].session_id : which);
    jute_write_int(&b, 1);
    jute_write_int(&b, type);
    buf_append(&b, piece.data, slice_size(piece));
    receive_packet(s, l, ZAB_REQUEST, -1, buf_slice(&b));
    fuzz_piece_free(piece);
    buf_close(&b);
}

static void propose(struct server *s, int32_t packet_type, struct zk_txn_header header,
                    struct slice record)
{
    struct buf b = {0};
    header.time = s->event.wall_ms;
    if (packet_type == ZAB_INFORMANDACTIVATE)
        jute_write_long(&b, 3);
    zk_txn_header_write(&b, &header);
    buf_append(&b, record.data, slice_size(record));
    receive_packet(s, &s->links[TO_LEADER], packet_type, header.zxid, buf_slice(&b));
    buf_close(&b);
}

static void receive_txn(struct server *s, struct fuzz_input *in)
{
    int32_t packet_type = fuzz_byte(in);
    struct zk_txn_header header = {.client_id = 1, .type = (int8_t)fuzz_byte(in)};
    header.zxid = read_zxid(s, in);
    struct slice piece = fuzz_piece(in);
    propose(s, packet_type, header, piece);
    fuzz_piece_free(piece);
}

/* The leader has an error, or a session, for the first that it was asked for. */
static void answer_asked(struct server *s, bool commits)
{
    struct link *l = &s->links[TO_LEADER];
    struct asked asked;
    uint8_t record[4] = {0, 0, 0x20, 0};
    if (s->asked.len == 0)
        return;
    memcpy(&asked, s->asked.data, sizeof(asked));
    buf_consume(&s->asked, sizeof(asked));
    bool creates = asked.type == ZK_OP_createSession;
    struct zk_txn_header header = {.client_id = asked.session_id,
                                   .cxid = asked.cxid,
                                   .zxid = node_last_proposed(s->node) + 1,
                                   .type = creates ? ZK_OP_createSession : ZK_OP_error};
    if (zxid_epoch(header.zxid) < s->numbers.current_epoch)
        header.zxid = zxid_make(s->numbers.current_epoch, 1);
    if (asked.type == ZK_OP_sync)
        receive_packet(s, l, ZAB_SYNC, 0, SLICE_NULL);
    else
        propose(s, ZAB_PROPOSAL, header, slice_of(record, sizeof(record)));
    if (asked.type != ZK_OP_sync && commits)
        receive_packet(s, l, ZAB_COMMIT, header.zxid, SLICE_NULL);
}

static void revalidate(struct server *s, uint8_t valid)
{
    int64_t session_id;
    struct buf b = {0};
    if (s->revalidations.len == 0)
        return;
    memcpy(&session_id, s->revalidations.data, sizeof(session_id));
    buf_consume(&s->revalidations, sizeof(session_id));
    jute_write_long(&b, session_id);
    jute_write_bool(&b, valid & 1);
    receive_packet(s, &s->links[TO_LEADER], ZAB_REVALIDATE, -1, buf_slice(&b));
    buf_close(&b);
}

static void receive_tree(struct server *s, uint8_t missing)
{
    struct tree *t = fuzz_sample_tree();
    struct buf b = {0};
    fuzz_tree_dump(t, &b);
    jute_write_buffer(&b, slice_str("BenWasHere"));
    b.len -= MIN(missing, b.len);
    receive_bytes(s, &s->links[TO_LEADER], buf_slice(&b));
    tree_close(t);
    buf_close(&b);
}

/* ---- Of clients ---- */

static void receive_frame(struct server *s, struct client *c, struct slice frame)
{
    struct buf bytes = {0};
    if (!c->conn) {
        c->has_session = false;
        s->event.owner = c;
        s->event.address = "127.0.0.1:1025";
        server_step(s, NODE_CONN_OPENED);
        c->conn = s->event.conn;
    }
    if (c->closing || node_conn_public(c->conn)->paused)
        return;
    jute_write_buffer(&bytes, frame);
    struct slice copy = fuzz_copy(bytes.data, bytes.len);
    s->event.conn = c->conn;
    s->event.data = copy;
    server_step(s, NODE_CONN_DATA);
    fuzz_piece_free(copy);
    buf_close(&bytes);
}

static void connect(struct server *s, struct client *c, uint8_t which)
{
    const struct client *old = &s->clients[(which - 1u) % N_CONNS];
    struct zk_connect_request request = {
        .timeout = 4000,
        .session_id = which == 0 ? 0 : old->session_id,
        .password = slice_of(old->password, ZK_PASSWORD_SIZE),
    };
    struct buf frame = {0};
    zk_connect_request_write(&frame, &request);
    jute_write_bool(&frame, which & 128);
    receive_frame(s, c, buf_slice(&frame));
    buf_close(&frame);
}

/* ---- Steps ---- */

static void take_piece(struct server *s, enum fuzz_ensemble_step kind, uint8_t number,
                       struct fuzz_input *in)
{
    struct link *l = &s->links[number % N_LINKS];
    int32_t type = kind == FUZZ_ENSEMBLE_PACKET ? fuzz_byte(in) : 0;
    int64_t zxid = kind == FUZZ_ENSEMBLE_PACKET ? read_zxid(s, in) : 0;
    struct slice piece = fuzz_piece(in);
    if (kind == FUZZ_ENSEMBLE_MESSAGE)
        receive_message(s, number, piece);
    else if (kind == FUZZ_ENSEMBLE_LINK_BYTES)
        receive_bytes(s, l, piece);
    else if (kind == FUZZ_ENSEMBLE_PACKET)
        receive_packet(s, l, type, zxid, piece);
    else
        receive_frame(s, &s->clients[number % N_CONNS], piece);
    fuzz_piece_free(piece);
}

static void take_step(struct server *s, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in), number = FUZZ_STEP_NUMBER(what);
    enum fuzz_ensemble_step kind =
        (enum fuzz_ensemble_step)(FUZZ_STEP_KIND(what) % FUZZ_ENSEMBLE_STEPS);
    switch (kind) {
    case FUZZ_ENSEMBLE_VOTE:
        vote(s, number, in);
        break;
    case FUZZ_ENSEMBLE_LINK:
        open_link(s, &s->links[number % N_LINKS]);
        break;
    case FUZZ_ENSEMBLE_UNLINK:
        server_unlink(s, &s->links[number % N_LINKS]);
        break;
    case FUZZ_ENSEMBLE_REQUEST:
        receive_request(s, &s->links[number % N_LINKS], in);
        break;
    case FUZZ_ENSEMBLE_TXN:
        receive_txn(s, in);
        break;
    case FUZZ_ENSEMBLE_ANSWER:
        answer_asked(s, number == 0);
        break;
    case FUZZ_ENSEMBLE_REVALIDATE:
        revalidate(s, fuzz_byte(in));
        break;
    case FUZZ_ENSEMBLE_TREE:
        receive_tree(s, fuzz_byte(in));
        break;
    case FUZZ_ENSEMBLE_CONNECT:
        connect(s, &s->clients[number % N_CONNS], fuzz_byte(in));
        break;
    case FUZZ_ENSEMBLE_HANG_UP:
        server_hang_up(s, &s->clients[number % N_CONNS]);
        break;
    case FUZZ_ENSEMBLE_TURN:
        server_end_turn(s);
        break;
    case FUZZ_ENSEMBLE_PERSIST:
        server_persist(s, number != 0);
        break;
    case FUZZ_ENSEMBLE_DONE:
        server_finish_disk(s);
        break;
    case FUZZ_ENSEMBLE_TICK:
        server_tick(s, fuzz_byte(in));
        break;
    default:
        take_piece(s, kind, number, in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    struct server s;
    server_open(&s, fuzz_byte(&in));
    while (in.pos < in.end)
        take_step(&s, &in);
    server_close(&s);
    return 0;
}
