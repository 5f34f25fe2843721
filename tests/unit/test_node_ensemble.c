/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Three replicas in one process: node cores with consensus between them, over queues that the
 * test delivers. Disks are lists of transactions. ENSEMBLE_SEEDS=N runs more of the random test,
 * ENSEMBLE_TRACE=1 prints what the replicas log. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history_number.h"
#include "node_lib.h"
#include "zab/rng.h"
#include "zab/store.h"

enum { REPLICAS = 3, WIRES = 64, TURNS_MAX = 20000, STEP_MS = 20 };

/* One end of a learner connection. */
struct wire_end {
    int replica; /* -1: closed */
    struct node_link *link;
    struct buf bytes; /* on the way to this end */
};

struct wire {
    bool used;
    struct wire_end ends[2]; /* 0: the learner, 1: the leader */
};

struct mail {
    int64_t from;
    struct buf message;
    bool waits;
};

struct replica {
    struct cluster *cluster;
    struct rig rig;
    bool up;
    struct tree *base;          /* the tree that the log begins with */
    struct buf log;             /* jute buffers: transactions behind it, durable */
    struct zab_history numbers; /* on the disk */
    bool disk_stands_still;
    int64_t connect_to; /* sid, 0: nobody */
    struct mail mail[REPLICAS];
    struct buf later; /* struct node_event: of a later turn */
    unsigned n_log_reads, n_installs;
};

struct cluster {
    struct zab_server servers[REPLICAS];
    struct zab_config config[REPLICAS];
    struct replica replicas[REPLICAS];
    struct wire wires[WIRES];
};

static void step(struct replica *r, struct node_event ev);

static struct tree *copy_tree(const struct tree *from)
{
    struct tree *t = tree_open(7);
    struct tree_dump d;
    struct buf b = {0};
    struct err e;
    size_t used;
    tree_dump_begin(&d, from);
    while (tree_dump_next(&d, &b))
        ;
    tree_dump_close(&d);
    struct tree_load *l = tree_load_begin(t);
    assert_int_equal(tree_load_feed(l, buf_slice(&b), &used, &e), 1);
    tree_load_close(l);
    tree_set_last_zxid(t, tree_last_zxid(from));
    buf_close(&b);
    return t;
}

/* Replay the log up to `zxid`, and cut it there. */
static struct tree *recover(struct replica *r, int64_t zxid)
{
    struct tree *t = copy_tree(r->base);
    struct tree_outcome outcome = {0};
    struct jute_reader log = jute_reader_of(buf_slice(&r->log));
    size_t keep = 0;
    while (jute_left(&log) > 0) {
        struct slice txn = jute_read_buffer(&log);
        struct jute_reader in = jute_reader_of(txn);
        struct zk_txn_header h;
        zk_txn_header_read(&in, &h);
        if (h.zxid > zxid)
            break;
        assert_int_equal(tree_apply(t, &h, jute_read_rest(&in), &outcome), 0);
        keep = r->log.len - jute_left(&log);
    }
    r->log.len = keep;
    tree_outcome_close(&outcome);
    return t;
}

static void later(struct replica *r, struct node_event ev)
{
    buf_append(&r->later, &ev, sizeof(ev));
}

static struct wire_end *end_of(struct replica *r, struct node_link *link, struct wire **wire)
{
    struct cluster *c = r->cluster;
    for (int i = 0; i < WIRES; i++) {
        for (int e = 0; e < 2 && c->wires[i].used; e++) {
            struct wire_end *end = &c->wires[i].ends[e];
            if (end->replica == r - c->replicas && end->link == link) {
                *wire = &c->wires[i];
                return end;
            }
        }
    }
    return NULL;
}

static struct wire_end *other_end(struct wire *w, const struct wire_end *end)
{
    return end == &w->ends[0] ? &w->ends[1] : &w->ends[0];
}

/* All that the link has; with a tree, that goes behind the first `before` bytes. */
static void send_link(struct replica *r, struct node_link *link, const struct tree *tree,
                      size_t before)
{
    struct wire *w;
    struct wire_end *end = end_of(r, link, &w);
    struct buf *out = &node_link_public(link)->out, *to;
    if (!end)
        return;
    to = &other_end(w, end)->bytes;
    buf_append(to, out->data, before);
    if (tree) {
        struct tree_dump d;
        tree_dump_begin(&d, tree);
        while (tree_dump_next(&d, to))
            ;
        tree_dump_close(&d);
        jute_write_buffer(to, slice_str("BenWasHere"));
        later(r, (struct node_event){.type = NODE_TREE_SENT, .link = link});
    }
    buf_append(to, out->data + before, out->len - before);
    buf_reset(out);
}

static void close_end(struct replica *r, struct node_link *link)
{
    struct wire *w;
    struct wire_end *end = end_of(r, link, &w);
    if (!end)
        return;
    struct wire_end *peer = other_end(w, end);
    if (peer->replica >= 0 && peer->link)
        later(&r->cluster->replicas[peer->replica],
              (struct node_event){.type = NODE_LINK_CLOSED, .link = peer->link});
    later(r, (struct node_event){.type = NODE_LINK_CLOSED, .link = link});
    end->replica = peer->replica = -1;
    buf_close(&end->bytes);
    buf_close(&peer->bytes);
    w->used = false;
}

static void append(struct replica *r, const struct node_batch *b)
{
    size_t pos = 0;
    struct slice txn;
    while (txn_batch_next(&b->entries, &pos, &txn))
        jute_write_buffer(&r->log, txn);
    if (!r->disk_stands_still)
        later(r, (struct node_event){.type = NODE_PERSISTED, .zxid = b->last_zxid});
}

static void install(struct replica *r)
{
    tree_close(r->base);
    r->n_installs++;
    r->base = copy_tree(node_incoming_tree(r->rig.node));
    buf_reset(&r->log);
    later(r, (struct node_event){.type = NODE_TREE_INSTALLED});
}

static void read_log(struct replica *r, struct node_log_read *read)
{
    struct jute_reader in = jute_reader_of(buf_slice(&r->log));
    read->floor = tree_last_zxid(r->base);
    while (jute_left(&in) > 0) {
        struct slice txn = jute_read_buffer(&in);
        int64_t zxid = txn_zxid(txn.data);
        if (zxid <= read->zxid)
            read->floor = zxid;
        else if (zxid <= read->to_zxid)
            txn_entry_append(&read->entries, txn);
    }
    r->n_log_reads++;
    if (read->entries.len > read->bytes_max)
        read->rc = -E2BIG;
    later(r, (struct node_event){.type = NODE_LOG_READ, .log_read = read});
}

static void carry(struct replica *r, const struct node_effect *fx)
{
    switch (fx->type) {
    case NODE_APPEND:
        append(r, fx->batch);
        break;
    case NODE_SEND:
        if (fx->link)
            send_link(r, fx->link, NULL, 0);
        else
            take_output(node_conn_public(fx->conn)->owner);
        break;
    case NODE_CLOSE:
        if (fx->link)
            close_end(r, fx->link);
        else
            ((struct test_client *)node_conn_public(fx->conn)->owner)->closed = true;
        break;
    case NODE_PEER_SEND: {
        struct mail *m = &r->cluster->replicas[fx->sid - 1].mail[r - r->cluster->replicas];
        buf_reset(&m->message);
        buf_append(&m->message, fx->data.data, slice_size(fx->data));
        m->waits = true;
        break;
    }
    case NODE_LEADER_CONNECT:
        r->connect_to = fx->sid;
        break;
    case NODE_LEADER_CLOSE:
        r->connect_to = 0;
        break;
    case NODE_SAVE_EPOCH:
        *history_number(&r->numbers, fx->epoch_name) = fx->epoch;
        later(r, (struct node_event){.type = NODE_EPOCH_SAVED});
        break;
    case NODE_SEND_TREE:
        send_link(r, fx->link, node_tree(r->rig.node), fx->before);
        break;
    case NODE_TRUNCATE:
        later(r, (struct node_event){
                     .type = NODE_TRUNCATED, .tree = recover(r, fx->zxid), .zxid = fx->zxid});
        break;
    case NODE_INSTALL_TREE:
        install(r);
        break;
    case NODE_LOG:
        if (getenv("ENSEMBLE_TRACE"))
            printf("%d %lld: %s\n", (int)(r - r->cluster->replicas) + 1, (long long)r->rig.now_ms,
                   fx->text);
        break;
    case NODE_READ_LOG:
        read_log(r, fx->log_read);
        break;
    case NODE_RESUME:
    case NODE_SNAPSHOT:
        break;
    }
}

static void step(struct replica *r, struct node_event ev)
{
    ev.now_ms = r->rig.now_ms;
    ev.wall_ms = r->rig.wall_ms;
    node_step(r->rig.node, &ev, &r->rig.fx);
    if (ev.type == NODE_LINK_OPENED)
        *(struct node_link **)ev.owner = ev.link;
    for (size_t i = 0; i < r->rig.fx.n; i++)
        carry(r, &r->rig.fx.list[i]);
}

static void start(struct cluster *c, int i)
{
    struct replica *r = &c->replicas[i];
    struct node_config config = test_config();
    struct tree *tree = recover(r, INT64_MAX);
    config.server_id = i + 1;
    config.seed = (uint64_t)i + 1;
    config.ensemble = &c->config[i];
    config.log_base = tree_last_zxid(r->base);
    config.read_only_mode = true;
    config.history = r->numbers;
    config.history.last_zxid = tree_last_zxid(tree);
    r->rig.config = config;
    r->rig.wall_ms = 1700000000000 + r->rig.now_ms;
    r->rig.node = node_open(&r->rig.config, tree, r->rig.now_ms);
    r->up = true;
    for (int j = 0; j < REPLICAS; j++) {
        if (j == i || !c->replicas[j].up)
            continue;
        later(r, (struct node_event){.type = NODE_PEER_UP, .sid = j + 1});
        later(&c->replicas[j], (struct node_event){.type = NODE_PEER_UP, .sid = i + 1});
    }
}

static void stop(struct cluster *c, int i)
{
    struct replica *r = &c->replicas[i];
    for (int w = 0; w < WIRES; w++) {
        for (int e = 0; e < 2 && c->wires[w].used; e++) {
            if (c->wires[w].ends[e].replica == i)
                close_end(r, c->wires[w].ends[e].link);
        }
    }
    r->up = false;
    r->connect_to = 0;
    for (size_t pos = 0; pos < r->later.len; pos += sizeof(struct node_event)) {
        struct node_event ev;
        memcpy(&ev, r->later.data + pos, sizeof(ev));
        if (ev.type == NODE_LOG_READ)
            step(r, ev);
    }
    buf_reset(&r->later);
    for (unsigned k = 0; k < r->rig.n_clients; k++)
        r->rig.clients[k].conn = NULL;
    node_close(r->rig.node);
    for (int j = 0; j < REPLICAS; j++)
        r->mail[j].waits = c->replicas[j].mail[i].waits = false;
}

static void connect_wires(struct cluster *c, int i)
{
    struct replica *r = &c->replicas[i], *leader = &c->replicas[r->connect_to - 1];
    if (!leader->up)
        return;
    r->connect_to = 0;
    for (int w = 0; w < WIRES; w++) {
        struct wire *wire = &c->wires[w];
        if (wire->used)
            continue;
        *wire = (struct wire){.used = true, .ends = {{.replica = i}, {.replica = -1}}};
        wire->ends[1].replica = (int)(leader - c->replicas);
        step(leader, (struct node_event){
                         .type = NODE_LINK_OPENED, .owner = &wire->ends[1].link, .address = "l:1"});
        if (wire->used)
            step(r, (struct node_event){.type = NODE_LINK_OPENED,
                                        .owner = &wire->ends[0].link,
                                        .address = "f:1",
                                        .to_leader = true});
        return;
    }
}

static void attend(struct cluster *c, int i)
{
    struct replica *r = &c->replicas[i];
    r->rig.now_ms += STEP_MS;
    r->rig.wall_ms += STEP_MS;
    if (!r->up)
        return;
    struct buf now = r->later;
    r->later = (struct buf){0};
    for (size_t pos = 0; pos < now.len; pos += sizeof(struct node_event)) {
        struct node_event ev;
        memcpy(&ev, now.data + pos, sizeof(ev));
        step(r, ev);
    }
    buf_close(&now);
    for (int j = 0; j < REPLICAS; j++) {
        if (!r->mail[j].waits)
            continue;
        r->mail[j].waits = false;
        step(r, (struct node_event){.type = NODE_PEER_MESSAGE,
                                    .sid = j + 1,
                                    .data = buf_slice(&r->mail[j].message)});
    }
    if (r->connect_to > 0)
        connect_wires(c, i);
    for (int w = 0; w < WIRES; w++) {
        for (int e = 0; e < 2 && c->wires[w].used; e++) {
            struct wire_end *end = &c->wires[w].ends[e];
            if (end->replica != i || end->bytes.len == 0 || !end->link)
                continue;
            struct buf bytes = end->bytes;
            end->bytes = (struct buf){0};
            step(r, (struct node_event){
                        .type = NODE_LINK_DATA, .link = end->link, .data = buf_slice(&bytes)});
            buf_close(&bytes);
        }
    }
    step(r, (struct node_event){.type = NODE_TICK});
    step(r, (struct node_event){.type = NODE_FLUSH});
}

static void turn(struct cluster *c)
{
    for (int i = 0; i < REPLICAS; i++)
        attend(c, i);
}

static void open_cluster(struct cluster *c)
{
    *c = (struct cluster){0};
    for (int i = 0; i < REPLICAS; i++) {
        c->servers[i] = (struct zab_server){.sid = i + 1, .weight = 1};
        c->config[i] = (struct zab_config){.sid = i + 1,
                                           .servers = c->servers,
                                           .n_servers = REPLICAS,
                                           .tick_ms = 1000,
                                           .init_limit = 10,
                                           .sync_limit = 5,
                                           .config_text = slice_str("version=0"),
                                           .fresh_id = i + 71};
        c->replicas[i].cluster = c;
        c->replicas[i].base = tree_open(7);
        c->replicas[i].rig.now_ms = 1000000;
    }
    for (int i = 0; i < REPLICAS; i++)
        start(c, i);
}

static void close_cluster(struct cluster *c)
{
    for (int i = 0; i < REPLICAS; i++) {
        struct replica *r = &c->replicas[i];
        if (r->up)
            stop(c, i);
        tree_close(r->base);
        buf_close(&r->log);
        buf_close(&r->later);
        node_effects_close(&r->rig.fx);
        buf_close(&r->rig.log);
        for (int j = 0; j < REPLICAS; j++)
            buf_close(&r->mail[j].message);
        for (unsigned k = 0; k < r->rig.n_clients; k++) {
            buf_close(&r->rig.clients[k].frame);
            buf_close(&r->rig.clients[k].bytes);
            buf_close(&r->rig.clients[k].said);
        }
    }
}

/* What srvr says: "leader", "follower", or NULL while it does not serve. */
static bool serves(struct cluster *c, int i, const char *mode)
{
    struct replica *r = &c->replicas[i];
    if (!r->up)
        return false;
    struct test_client probe = {0};
    struct node_event ev = {.type = NODE_CONN_OPENED,
                            .owner = &probe,
                            .address = "9.9.9.9:9",
                            .now_ms = r->rig.now_ms,
                            .wall_ms = r->rig.wall_ms};
    struct node_effects fx = {0};
    node_step(r->rig.node, &ev, &fx);
    ev.type = NODE_CONN_DATA;
    ev.data = slice_str("srvr");
    node_step(r->rig.node, &ev, &fx);
    struct buf *out = &node_conn_public(ev.conn)->out;
    *buf_extend(out, 1) = '\0';
    bool yes = strstr((const char *)out->data, mode) != NULL;
    ev.type = NODE_CONN_CLOSED;
    node_step(r->rig.node, &ev, &fx);
    node_effects_close(&fx);
    return yes;
}

static int leader_of(struct cluster *c)
{
    for (int i = 0; i < REPLICAS; i++) {
        if (serves(c, i, "Mode: leader"))
            return i;
    }
    return -1;
}

/* Until all that are up serve, one of them as leader. */
static int settle(struct cluster *c)
{
    for (int t = 0; t < TURNS_MAX; t++) {
        int up = 0, serving = 0;
        for (int i = 0; i < REPLICAS; i++) {
            up += c->replicas[i].up;
            serving += serves(c, i, "Mode: ");
        }
        if (up == serving && leader_of(c) >= 0)
            return leader_of(c);
        turn(c);
    }
    fail_msg("no leader");
    return -1;
}

/* A new session, or that of `old`. */
static struct test_client *connect_as(struct cluster *c, int i, const struct test_client *old,
                                      bool read_only)
{
    struct rig *rig = &c->replicas[i].rig;
    struct test_client *cl = &rig->clients[rig->n_clients++];
    static const struct test_client none;
    old = old ? old : &none;
    *cl = (struct test_client){0};
    struct node_event ev = {.type = NODE_CONN_OPENED,
                            .owner = cl,
                            .address = "10.0.0.1:1",
                            .now_ms = rig->now_ms,
                            .wall_ms = rig->wall_ms};
    node_step(rig->node, &ev, &rig->fx);
    cl->conn = ev.conn;
    struct buf b = {0};
    struct zk_connect_request q = {.timeout = TEST_TIMEOUT_MS,
                                   .session_id = old->session_id,
                                   .password = slice_of(old->password, ZK_PASSWORD_SIZE)};
    jute_write_int(&b, 0);
    zk_connect_request_write(&b, &q);
    jute_write_bool(&b, read_only);
    be32_put(b.data, (uint32_t)b.len - 4);
    step(&c->replicas[i],
         (struct node_event){.type = NODE_CONN_DATA, .conn = cl->conn, .data = buf_slice(&b)});
    buf_close(&b);
    return cl;
}

static struct test_client *connect_client(struct cluster *c, int i)
{
    return connect_as(c, i, NULL, false);
}

static void ask_create(struct cluster *c, int i, struct test_client *cl, const char *path,
                       int32_t mode)
{
    struct buf b = {0};
    struct zk_request_header h = {++cl->xid, ZK_OP_create};
    cl->ops[h.xid] = h.type;
    jute_write_int(&b, 0);
    zk_request_header_write(&b, &h);
    write_create(&b, path, "data", mode);
    be32_put(b.data, (uint32_t)b.len - 4);
    step(&c->replicas[i],
         (struct node_event){.type = NODE_CONN_DATA, .conn = cl->conn, .data = buf_slice(&b)});
    buf_close(&b);
}

static void ask_exists(struct cluster *c, int i, struct test_client *cl, const char *path)
{
    struct buf b = {0};
    struct zk_request_header h = {++cl->xid, ZK_OP_exists};
    cl->ops[h.xid] = h.type;
    jute_write_int(&b, 0);
    zk_request_header_write(&b, &h);
    jute_write_buffer(&b, slice_str(path));
    jute_write_bool(&b, false);
    be32_put(b.data, (uint32_t)b.len - 4);
    step(&c->replicas[i],
         (struct node_event){.type = NODE_CONN_DATA, .conn = cl->conn, .data = buf_slice(&b)});
    buf_close(&b);
}

/* Turns until the client was told something. */
static const char *hear(struct cluster *c, struct test_client *cl)
{
    for (int t = 0; t < TURNS_MAX; t++) {
        say_frames(cl);
        if (cl->said.len > 0 || cl->closed)
            return said(cl);
        turn(c);
    }
    fail_msg("nothing was heard");
    return NULL;
}

static void assert_same_trees(struct cluster *c)
{
    struct buf dumps[REPLICAS] = {{0}};
    for (int t = 0; t < 100; t++)
        turn(c);
    for (int i = 0; i < REPLICAS; i++) {
        struct tree_dump d;
        tree_dump_begin(&d, node_tree(c->replicas[i].rig.node));
        while (tree_dump_next(&d, &dumps[i]))
            ;
        tree_dump_close(&d);
        assert_int_equal(dumps[i].len, dumps[0].len);
        assert_memory_equal(dumps[i].data, dumps[0].data, dumps[0].len);
    }
    for (int i = 0; i < REPLICAS; i++)
        buf_close(&dumps[i]);
}

static struct cluster cluster;

static int setup(void **state)
{
    open_cluster(&cluster);
    *state = &cluster;
    return 0;
}

static int teardown(void **state)
{
    close_cluster(*state);
    return 0;
}

static void three_replicas_elect_and_all_serve(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c);
    for (int i = 0; i < REPLICAS; i++)
        assert_true(serves(c, i, i == leader ? "Mode: leader" : "Mode: follower"));
}

static void writes_at_every_replica_reach_all(void **state)
{
    struct cluster *c = *state;
    settle(c);
    for (int i = 0; i < REPLICAS; i++) {
        struct test_client *cl = connect_client(c, i);
        assert_non_null(strstr(hear(c, cl), "session"));
        char path[8];
        snprintf(path, sizeof(path), "/n%d", i);
        ask_create(c, i, cl, path, ZK_PERSISTENT);
        assert_non_null(strstr(hear(c, cl), path));
        ask_create(c, i, cl, path, ZK_PERSISTENT);
        assert_non_null(strstr(hear(c, cl), "NODEEXISTS"));
        ask_create(c, i, cl, "/e", i == 0 ? ZK_EPHEMERAL : ZK_PERSISTENT);
        hear(c, cl);
    }
    assert_same_trees(c);
    assert_non_null(tree_find(node_tree(c->replicas[2].rig.node), slice_str("/n0")));
}

/* It comes back behind by a few, and catches up; a wiped one gets the whole tree. */
static void a_lost_replica_catches_up(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c), lost = (leader + 1) % REPLICAS;
    struct test_client *cl = connect_client(c, leader);
    hear(c, cl);
    stop(c, lost);
    for (int i = 0; i < 20; i++) {
        ask_create(c, leader, cl, "/s", ZK_PERSISTENT_SEQUENTIAL);
        assert_non_null(strstr(hear(c, cl), " OK "));
    }
    start(c, lost);
    settle(c);
    assert_same_trees(c);

    stop(c, lost);
    struct replica *r = &c->replicas[lost];
    tree_close(r->base);
    r->base = tree_open(7);
    buf_reset(&r->log);
    r->numbers = (struct zab_history){0};
    ask_create(c, leader, cl, "/s", ZK_PERSISTENT_SEQUENTIAL);
    hear(c, cl);
    start(c, lost);
    settle(c);
    assert_same_trees(c);
}

/* All that the others have in memory is new: what it lacks comes from the log of the leader. */
static void a_replica_behind_the_history_gets_a_diff_from_the_log(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c), lost = (leader + 1) % REPLICAS;
    struct test_client *cl = connect_client(c, leader);
    hear(c, cl);
    stop(c, lost);
    for (int i = 0; i < 20; i++) {
        ask_create(c, leader, cl, "/s", ZK_PERSISTENT_SEQUENTIAL);
        assert_non_null(strstr(hear(c, cl), " OK "));
    }
    for (int i = 0; i < REPLICAS; i++) {
        if (i == lost)
            continue;
        stop(c, i);
        start(c, i);
    }
    leader = settle(c);
    start(c, lost);
    settle(c);
    assert_same_trees(c);
    assert_int_equal(c->replicas[leader].n_log_reads, 1);
    assert_int_equal(c->replicas[lost].n_installs, 0);
}

/* A change that nobody proposed. */
static void change_behind_its_back(struct replica *r, const char *path)
{
    struct tree *t = (struct tree *)node_tree(r->rig.node);
    struct tree_outcome outcome = {0};
    struct buf b = {0};
    struct zk_txn_header h = {.zxid = tree_last_zxid(t), .type = ZK_OP_delete};
    jute_write_buffer(&b, slice_str(path));
    assert_int_equal(tree_apply(t, &h, buf_slice(&b), &outcome), 0);
    tree_outcome_close(&outcome);
    buf_close(&b);
}

static void a_replica_that_has_diverged_takes_the_leader_s_tree(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c), bad = (leader + 1) % REPLICAS;
    struct test_client *cl = connect_client(c, leader);
    hear(c, cl);
    ask_create(c, leader, cl, "/n", ZK_PERSISTENT);
    hear(c, cl);
    for (int t = 0; t < 100; t++)
        turn(c);
    change_behind_its_back(&c->replicas[bad], "/n");
    for (int i = 0; i < 300; i++) {
        ask_create(c, leader, cl, "/s", ZK_PERSISTENT_SEQUENTIAL);
        assert_non_null(strstr(hear(c, cl), " OK "));
    }
    for (int t = 0; t < 500; t++)
        turn(c);
    settle(c);
    assert_same_trees(c);
    for (int i = 0; i < REPLICAS; i++)
        assert_int_equal(c->replicas[i].n_installs, i == bad);
}

static void a_session_that_has_moved_writes_only_where_it_is(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c), from = (leader + 1) % REPLICAS, to = (leader + 2) % REPLICAS;
    struct test_client *old = connect_client(c, from);
    hear(c, old);
    struct test_client *now = connect_as(c, to, old, false);
    assert_non_null(strstr(hear(c, now), "session"));
    ask_create(c, from, old, "/late", ZK_PERSISTENT);
    assert_string_equal(hear(c, old), "closed");
    ask_create(c, to, now, "/now", ZK_PERSISTENT);
    assert_non_null(strstr(hear(c, now), "/now"));
    now = connect_as(c, leader, now, false);
    assert_non_null(strstr(hear(c, now), "session"));
    ask_create(c, leader, now, "/leader", ZK_PERSISTENT);
    assert_non_null(strstr(hear(c, now), "/leader"));
    assert_null(tree_find(node_tree(c->replicas[leader].rig.node), slice_str("/late")));
}

/* The client has given up its first connection there, which the replica does not know yet. */
static void two_connections_of_one_session_get_an_answer_each(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c), at = (leader + 1) % REPLICAS;
    struct test_client *writer = connect_client(c, leader), *old = connect_client(c, at);
    hear(c, writer);
    hear(c, old);
    struct test_client *first = connect_as(c, at, old, false);
    struct test_client *second = connect_as(c, at, old, false);
    for (int t = 0; t < 20; t++) {
        ask_create(c, leader, writer, "/s", ZK_PERSISTENT_SEQUENTIAL);
        turn(c);
    }
    assert_non_null(strstr(hear(c, second), "session"));
    assert_true(first->closed && !second->closed);
}

/* Replica `at` forwards it for the client, which did not ask. */
static void forward_request(struct cluster *c, int at, const struct test_client *cl, int32_t op,
                            struct slice body)
{
    struct buf request = {0};
    jute_write_long(&request, cl->session_id);
    jute_write_int(&request, 7);
    jute_write_int(&request, op);
    buf_append(&request, body.data, slice_size(body));
    struct zk_quorum_packet p = {ZAB_REQUEST, -1, buf_slice(&request), JUTE_VECTOR_NULL};
    for (int i = 0; i < WIRES; i++) {
        if (c->wires[i].used && c->wires[i].ends[0].replica == at)
            zk_quorum_packet_write(&c->wires[i].ends[1].bytes, &p);
    }
    buf_close(&request);
}

/* The bytes of the answer of replica `at` to a PING of its leader with so many bytes of ours. */
static size_t ping_answer(struct cluster *c, int at, size_t n_ours)
{
    size_t answer = SIZE_MAX;
    struct buf ours = {0}, bytes = {0};
    jute_write_int(&ours, 0x7a616264);
    jute_write_long(&ours, -1);
    jute_write_long(&ours, 0);
    jute_write_bool(&ours, false);
    struct zk_quorum_packet p = {ZAB_PING, 0, slice_of(ours.data, n_ours), JUTE_VECTOR_NULL};
    zk_quorum_packet_write(&bytes, &p);
    for (int i = 0; i < WIRES; i++) {
        struct wire *w = &c->wires[i];
        if (!w->used || w->ends[0].replica != at)
            continue;
        size_t before = w->ends[1].bytes.len;
        step(&c->replicas[at], (struct node_event){.type = NODE_LINK_DATA,
                                                   .link = w->ends[0].link,
                                                   .data = buf_slice(&bytes)});
        step(&c->replicas[at], (struct node_event){.type = NODE_FLUSH});
        struct jute_reader r = jute_reader_of(buf_slice(&w->ends[1].bytes));
        r.pos += before;
        zk_quorum_packet_read(&r, &p);
        if (jute_ok(&r) && p.type == ZAB_PING)
            answer = slice_size(p.data);
    }
    buf_close(&ours);
    buf_close(&bytes);
    return answer;
}

/* One of before digests were answered would read that as sessions, and let all of them expire. */
static void a_leader_of_before_is_answered_with_sessions_alone(void **state)
{
    struct cluster *c = *state;
    int at = (settle(c) + 1) % REPLICAS;
    assert_int_equal(ping_answer(c, at, 21) % 12, 21 % 12);
    assert_int_equal(ping_answer(c, at, 20) % 12, 0);
}

/* ZooKeeper's followers forward a bare check, which is no transaction. */
static void what_cannot_be_a_transaction_is_refused(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c), at = (leader + 1) % REPLICAS;
    struct test_client *cl = connect_client(c, at);
    struct buf body = {0};
    hear(c, cl);
    jute_write_buffer(&body, slice_str("/"));
    jute_write_int(&body, -1);
    forward_request(c, at, cl, ZK_OP_check, buf_slice(&body));
    buf_reset(&body);
    write_create(&body, "/large", "", ZK_PERSISTENT);
    memset(buf_extend(&body, ZK_PACKET_MAX), 0, ZK_PACKET_MAX);
    forward_request(c, at, cl, ZK_OP_create, buf_slice(&body));
    ask_create(c, at, cl, "/after", ZK_PERSISTENT);
    assert_non_null(strstr(hear(c, cl), "/after"));
    assert_same_trees(c);
    assert_null(tree_find(node_tree(c->replicas[leader].rig.node), slice_str("/large")));
    assert_int_equal(leader_of(c), leader);
    buf_close(&body);
}

static void whoever_waits_for_a_leader_that_does_not_come_is_sent_away(void **state)
{
    struct cluster *c = *state;
    struct replica *r = &c->replicas[0];
    struct node_link *link = NULL;
    bool closed = false;
    stop(c, 1);
    stop(c, 2);
    turn(c);
    step(r, (struct node_event){.type = NODE_LINK_OPENED, .owner = &link, .address = "l:1"});
    for (int t = 0; t < 2 * 10000 / STEP_MS && !closed; t++) {
        r->rig.now_ms += STEP_MS;
        step(r, (struct node_event){.type = NODE_LINK_DATA, .link = link, .data = slice_str("?")});
        step(r, (struct node_event){.type = NODE_TICK});
        for (size_t i = 0; i < r->rig.fx.n; i++)
            closed |= r->rig.fx.list[i].type == NODE_CLOSE && r->rig.fx.list[i].link == link;
    }
    assert_true(closed);
}

/* 64 MiB would be kept for each connection, before anybody has said whose it is. */
static void a_stranger_on_the_learner_port_has_little_room(void **state)
{
    struct cluster *c = *state;
    struct replica *r = &c->replicas[settle(c)];
    struct node_link *link = NULL;
    uint8_t head[16];
    bool closed = false;
    be32_put(head, ZAB_FOLLOWERINFO);
    be64_put(head + 4, 0);
    be32_put(head + 12, 3000);
    step(r, (struct node_event){.type = NODE_LINK_OPENED, .owner = &link, .address = "l:1"});
    step(r, (struct node_event){
                .type = NODE_LINK_DATA, .link = link, .data = slice_of(head, sizeof(head))});
    for (size_t i = 0; i < r->rig.fx.n; i++)
        closed |= r->rig.fx.list[i].type == NODE_CLOSE && r->rig.fx.list[i].link == link;
    assert_true(closed);
}

/* The others may have gone on without it, and deleted what it refuses for. */
static void a_leader_refuses_with_a_quorum_only(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c);
    struct test_client *cl = connect_client(c, leader);
    hear(c, cl);
    ask_create(c, leader, cl, "/x", ZK_PERSISTENT);
    assert_non_null(strstr(hear(c, cl), "/x"));
    ask_create(c, leader, cl, "/x", ZK_PERSISTENT);
    assert_non_null(strstr(hear(c, cl), "NODEEXISTS"));
    stop(c, (leader + 1) % REPLICAS);
    stop(c, (leader + 2) % REPLICAS);
    ask_create(c, leader, cl, "/x", ZK_PERSISTENT);
    assert_string_equal(hear(c, cl), "closed");
}

/* Whether a session lives is in the leader's memory. */
static void a_session_moves_while_the_leaders_disk_stands_still(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c), from = (leader + 1) % REPLICAS, to = (leader + 2) % REPLICAS;
    struct test_client *cl = connect_client(c, from);
    assert_non_null(strstr(hear(c, cl), "session"));
    c->replicas[leader].disk_stands_still = true;
    ask_create(c, from, cl, "/x", ZK_PERSISTENT);
    assert_non_null(strstr(hear(c, cl), "/x"));
    struct test_client *moved = connect_as(c, to, cl, false);
    assert_non_null(strstr(hear(c, moved), "session"));
    c->replicas[leader].disk_stands_still = false;
}

/* Its connection is elsewhere than the leader, which ends the session. */
static void a_connection_ends_with_its_session(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c), at = (leader + 1) % REPLICAS;
    struct test_client *cl = connect_client(c, at);
    hear(c, cl);
    for (int t = 0; t < TURNS_MAX && !cl->closed; t++)
        turn(c);
    assert_true(cl->closed);
}

static void without_a_quorum_reads_are_served_to_who_asks_for_that(void **state)
{
    struct cluster *c = *state;
    int leader = settle(c), left = (leader + 1) % REPLICAS;
    struct test_client *cl = connect_client(c, left);
    hear(c, cl);
    ask_create(c, left, cl, "/there", ZK_PERSISTENT);
    hear(c, cl);
    stop(c, leader);
    stop(c, (leader + 2) % REPLICAS);
    for (int t = 0; t < TURNS_MAX && !serves(c, left, "Mode: read-only"); t++)
        turn(c);
    assert_true(serves(c, left, "Mode: read-only"));
    cl = connect_client(c, left);
    assert_string_equal(hear(c, cl), "closed");
    struct test_client *first = connect_as(c, left, NULL, true);
    assert_non_null(strstr(hear(c, first), "session"));
    cl = connect_as(c, left, first, true);
    assert_non_null(strstr(hear(c, cl), "session"));
    assert_true(first->closed);
    ask_create(c, left, cl, "/not", ZK_PERSISTENT);
    assert_non_null(strstr(hear(c, cl), "NOTREADONLY"));
    ask_exists(c, left, cl, "/there");
    assert_non_null(strstr(hear(c, cl), " OK "));
    start(c, leader);
    settle(c);
    assert_true(cl->closed);
    assert_true(serves(c, left, "Mode: follower") || serves(c, left, "Mode: leader"));
    start(c, (leader + 2) % REPLICAS);
    settle(c);
    assert_same_trees(c);
}

static void a_lost_leader_is_replaced_and_nothing_is_lost(void **state)
{
    struct cluster *c = *state;
    for (int round = 0; round < 4; round++) {
        int leader = settle(c);
        int at = (leader + 1) % REPLICAS;
        struct test_client *cl = connect_client(c, at);
        assert_non_null(strstr(hear(c, cl), "session"));
        char path[16];
        snprintf(path, sizeof(path), "/round%d", round);
        ask_create(c, at, cl, path, ZK_PERSISTENT);
        assert_non_null(strstr(hear(c, cl), path));
        stop(c, leader);
        int next = settle(c);
        assert_true(next != leader);
        assert_non_null(tree_find(node_tree(c->replicas[next].rig.node), slice_str(path)));
        start(c, leader);
        settle(c);
        assert_same_trees(c);
    }
}

static void drop_client(struct cluster *c, int i, struct test_client *cl)
{
    struct rig *rig = &c->replicas[i].rig;
    if (c->replicas[i].up && cl->conn)
        step(&c->replicas[i], (struct node_event){.type = NODE_CONN_CLOSED, .conn = cl->conn});
    buf_close(&cl->frame);
    buf_close(&cl->bytes);
    buf_close(&cl->said);
    rig->n_clients--;
}

/* A session at a replica, and one create. True if it was acknowledged within some turns. */
static bool try_create(struct cluster *c, int i, const char *path, unsigned turns)
{
    struct test_client *cl = connect_client(c, i);
    bool asked = false, done = false;
    for (unsigned t = 0; t < turns && !done && c->replicas[i].up && !cl->closed; t++) {
        say_frames(cl);
        if (!asked && cl->greeted) {
            ask_create(c, i, cl, path, ZK_PERSISTENT);
            asked = true;
        }
        done = asked && memmem(cl->said.data, cl->said.len, " OK ", 4) != NULL;
        turn(c);
    }
    drop_client(c, i, cl);
    return done;
}

/* Replicas come and go; whatever was acknowledged is in every tree in the end. */
static void nothing_acknowledged_is_lost(void **state)
{
    struct cluster *c = *state;
    const char *more = getenv("ENSEMBLE_SEEDS");
    uint64_t seeds = more ? strtoull(more, NULL, 10) : 12;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct rng rng = {seed};
        bool acked[60] = {false};
        char path[32];
        for (unsigned k = 0; k < ARRAY_LEN(acked); k++) {
            int i = (int)rng_below(&rng, REPLICAS);
            if (rng_one_in(&rng, 3) && c->replicas[i].up)
                stop(c, i);
            else if (!c->replicas[i].up)
                start(c, i);
            for (uint64_t t = rng_below(&rng, 150); t > 0; t--)
                turn(c);
            snprintf(path, sizeof(path), "/s%d-%u", (int)seed, k);
            i = (int)rng_below(&rng, REPLICAS);
            acked[k] = c->replicas[i].up && try_create(c, i, path, 60);
        }
        for (int i = 0; i < REPLICAS; i++) {
            if (!c->replicas[i].up)
                start(c, i);
        }
        settle(c);
        assert_same_trees(c);
        unsigned n = 0;
        for (unsigned k = 0; k < ARRAY_LEN(acked); k++) {
            snprintf(path, sizeof(path), "/s%d-%u", (int)seed, k);
            n += acked[k];
            if (acked[k])
                assert_non_null(tree_find(node_tree(c->replicas[0].rig.node), slice_str(path)));
        }
        assert_true(n > 0);
    }
}

#define ENSEMBLE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENSEMBLE_TEST(three_replicas_elect_and_all_serve),
        ENSEMBLE_TEST(writes_at_every_replica_reach_all),
        ENSEMBLE_TEST(a_lost_replica_catches_up),
        ENSEMBLE_TEST(a_replica_behind_the_history_gets_a_diff_from_the_log),
        ENSEMBLE_TEST(a_replica_that_has_diverged_takes_the_leader_s_tree),
        ENSEMBLE_TEST(a_session_that_has_moved_writes_only_where_it_is),
        ENSEMBLE_TEST(two_connections_of_one_session_get_an_answer_each),
        ENSEMBLE_TEST(a_leader_of_before_is_answered_with_sessions_alone),
        ENSEMBLE_TEST(what_cannot_be_a_transaction_is_refused),
        ENSEMBLE_TEST(whoever_waits_for_a_leader_that_does_not_come_is_sent_away),
        ENSEMBLE_TEST(a_connection_ends_with_its_session),
        ENSEMBLE_TEST(a_stranger_on_the_learner_port_has_little_room),
        ENSEMBLE_TEST(a_leader_refuses_with_a_quorum_only),
        ENSEMBLE_TEST(a_session_moves_while_the_leaders_disk_stands_still),
        ENSEMBLE_TEST(without_a_quorum_reads_are_served_to_who_asks_for_that),
        ENSEMBLE_TEST(a_lost_leader_is_replaced_and_nothing_is_lost),
        ENSEMBLE_TEST(nothing_acknowledged_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
