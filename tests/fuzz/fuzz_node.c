/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes of clients into a node with a tree that has everything. The input is steps (fuzz.h) on a
 * few connections.
 *
 * What must hold: answers are whole frames, and none of them shows a transaction that is not
 * persisted; a second tree that applies the log is the node's tree, byte for byte. */
#include "fuzz.h"
#include "zab/node.h"

enum {
    N_CONNS = 4,
    REPLY_HEADER_SIZE = 16,
};

struct client {
    struct node_conn *conn; /* NULL: not connected */
    bool framed;            /* it began with a frame, not with a four-letter word */
    bool has_session;       /* the ConnectResponse has come */
    bool slow;              /* it does not read */
    bool closing;
    int64_t session_id; /* the last one it had */
    uint8_t password[ZK_PASSWORD_SIZE];
};

struct driver {
    struct node *node;
    struct node_effects fx;
    struct node_event event; /* holds the time */
    struct client clients[N_CONNS];
    struct buf log;
    int64_t appended, persisted;
    bool snapshot_running;
};

static void take_connect_response(struct client *c, struct slice frame)
{
    struct jute_reader r = jute_reader_of(frame);
    struct zk_connect_response response;
    zk_connect_response_read(&r, &response);
    ensure(jute_ok(&r) && response.password.len == ZK_PASSWORD_SIZE);
    c->has_session = true;
    c->session_id = response.session_id;
    memcpy(c->password, response.password.data, ZK_PASSWORD_SIZE);
}

static void take_reply(const struct driver *d, struct slice frame)
{
    struct jute_reader r = jute_reader_of(frame);
    struct zk_reply_header header;
    zk_reply_header_read(&r, &header);
    ensure(jute_ok(&r) && header.zxid <= d->persisted);
}

static void take_output(struct driver *d, struct node_conn_public *conn)
{
    struct client *c = conn->owner;
    struct jute_reader r = jute_reader_of(buf_slice(&conn->out));
    while (c->framed && jute_left(&r) > 0) {
        struct slice frame = jute_read_buffer(&r);
        ensure(jute_ok(&r) && !slice_is_null(frame));
        if (c->has_session)
            take_reply(d, frame);
        else
            take_connect_response(c, frame);
    }
    if (c->slow)
        conn->in_flight += conn->out.len;
    buf_reset(&conn->out);
}

static void carry_out(struct driver *d, const struct node_effect *fx)
{
    struct node_conn_public *conn = fx->conn ? node_conn_public(fx->conn) : NULL;
    switch (fx->type) {
    case NODE_APPEND:
        ensure(fx->batch->first_zxid > d->appended);
        ensure(fx->batch->last_zxid >= fx->batch->first_zxid);
        buf_append(&d->log, fx->batch->entries.data, fx->batch->entries.len);
        d->appended = fx->batch->last_zxid;
        break;
    case NODE_SEND:
        take_output(d, conn);
        break;
    case NODE_CLOSE:
        take_output(d, conn);
        ((struct client *)conn->owner)->closing = true;
        break;
    case NODE_RESUME:
        ensure(!conn->paused);
        break;
    case NODE_SNAPSHOT:
        ensure(!d->snapshot_running);
        d->snapshot_running = true;
        break;
    case NODE_LOG:
        ensure(fx->text[0]);
        break;
    case NODE_SAVE_EPOCH:
        ensure(strcmp(fx->epoch_name, "decidedZxid") == 0);
        break;
    default:
        ensure(!"a single replica has no peers");
    }
}

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

static void end_turn(struct driver *d)
{
    if (d->snapshot_running) {
        d->snapshot_running = false;
        step(d, NODE_SNAPSHOT_DONE);
    }
    do
        step(d, NODE_FLUSH);
    while (node_wants_turn(d->node));
    for (size_t i = 0; i < N_CONNS; i++) {
        if (d->clients[i].closing)
            hang_up(d, &d->clients[i]);
    }
}

static void persist(struct driver *d)
{
    step(d, NODE_FLUSH);
    d->event.zxid = d->persisted = d->appended;
    step(d, NODE_PERSISTED);
    end_turn(d);
}

/* Bytes from a client; the first ones open its connection. */
static void receive(struct driver *d, struct client *c, struct slice bytes, bool framed)
{
    if (!c->conn) {
        c->framed = framed;
        c->has_session = c->slow = false;
        d->event.owner = c;
        d->event.address = c == &d->clients[0] ? "[::1]:1024" : "127.0.0.1:1025";
        step(d, NODE_CONN_OPENED);
        c->conn = d->event.conn;
    }
    if (c->closing || node_conn_public(c->conn)->paused)
        return;
    d->event.conn = c->conn;
    d->event.data = bytes;
    step(d, NODE_CONN_DATA);
}

static void receive_frame(struct driver *d, struct client *c, struct slice frame)
{
    struct buf bytes = {0};
    jute_write_buffer(&bytes, frame);
    struct slice copy = fuzz_copy(bytes.data, bytes.len);
    receive(d, c, copy, true);
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
    receive_frame(d, c, buf_slice(&frame));
    buf_close(&frame);
}

static void do_read(struct driver *d, struct client *c, bool reads)
{
    c->slow = !reads;
    if (!c->conn || c->slow)
        return;
    node_conn_public(c->conn)->in_flight = 0;
    d->event.conn = c->conn;
    step(d, NODE_CONN_DRAINED);
}

static void tick(struct driver *d, uint8_t tenths)
{
    d->event.now_ms += 100 * tenths;
    d->event.wall_ms += 100 * tenths;
    step(d, NODE_TICK);
    end_turn(d);
}

static void take_step(struct driver *d, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    struct client *c = &d->clients[FUZZ_STEP_NUMBER(what) % N_CONNS];
    struct slice piece = SLICE_NULL;
    switch ((enum fuzz_node_step)(FUZZ_STEP_KIND(what) % FUZZ_NODE_STEPS)) {
    case FUZZ_NODE_BYTES:
        piece = fuzz_piece(in);
        receive(d, c, piece, false);
        break;
    case FUZZ_NODE_FRAME:
        piece = fuzz_piece(in);
        receive_frame(d, c, piece);
        break;
    case FUZZ_NODE_CONNECT:
        connect(d, c, fuzz_byte(in));
        break;
    case FUZZ_NODE_HANG_UP:
        hang_up(d, c);
        break;
    case FUZZ_NODE_READ:
        do_read(d, c, fuzz_byte(in) & 1);
        break;
    case FUZZ_NODE_TURN:
        end_turn(d);
        break;
    case FUZZ_NODE_PERSIST:
        persist(d);
        break;
    default:
        tick(d, fuzz_byte(in));
        break;
    }
    fuzz_piece_free(piece);
}

static struct node *open_node(uint8_t settings, struct tree *tree)
{
    const struct node_config config = {
        .server_id = 1,
        .tick_ms = 2000,
        .min_session_timeout_ms = 4000,
        .max_session_timeout_ms = 40000,
        .packet_max = 4096,
        .outstanding_max = 4,
        .snap_count = 8,
        .conns_max = settings & 1 ? 3 : 0,
        .conns_per_ip_max = settings & 2 ? 2 : 0,
        .watches_max = 16,
        .output_max = settings & 4 ? 512 : 1 << 20,
        .handshake_ms = 10000,
        .container_check_ms = 1000,
        .skip_acl = settings & 8,
        .enforce_quota = settings & 16,
        .extended_types = !(settings & 32),
        .super_digest = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=",
        .four_letter = settings & 64 ? "srvr, ruok" : "*",
        .version = "fuzz",
        .conf_text = "conf\n",
        .envi_text = "envi\n",
        .limits = node_limits_default(),
        .seed = 1,
    };
    return node_open(&config, tree, 0);
}

/* Commit all, and compare with a replica that has only the log. */
static void finish(struct driver *d)
{
    while (d->persisted != node_last_proposed(d->node))
        persist(d);
    ensure(node_last_committed(d->node) == d->persisted);
    struct tree *replica = fuzz_sample_tree();
    fuzz_tree_apply(replica, &d->log);
    ensure(fuzz_trees_equal(node_tree(d->node), replica));
    tree_close(replica);
    node_close(d->node);
    node_effects_close(&d->fx);
    buf_close(&d->log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    struct tree *tree = fuzz_sample_tree();
    struct driver d = {.event = {.wall_ms = 1700000000000}};
    d.appended = d.persisted = tree_last_zxid(tree);
    d.node = open_node(fuzz_byte(&in), tree);
    while (in.pos < in.end)
        take_step(&d, &in);
    finish(&d);
    return 0;
}
