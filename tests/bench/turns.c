/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long the longest turn of a replica is under what is known to be dear: the core alone, driven
 * as zabd drives it, without sockets and a disk. One line for each case: how many turns it took,
 * the longest, and all of them together, in milliseconds of CPU time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "zab/node.h"
#include "zab/records.h"

enum {
    TIMEOUT_MS = 4000,
    CONNS = 16,
};

struct driver {
    struct node *node;
    struct node_effects fx;
    struct node_conn *conns[CONNS];
    int64_t now_ms, appended, zxid;
    uint64_t turn_ns, longest_ns, all_ns;
    unsigned turns;
    uint64_t n_bytes;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void step(struct driver *d, struct node_event ev, struct node_conn **opened)
{
    ev.now_ms = d->now_ms;
    ev.wall_ms = 1700000000000 + d->now_ms;
    uint64_t from = now_ns();
    node_step(d->node, &ev, &d->fx);
    d->turn_ns += now_ns() - from;
    if (opened)
        *opened = ev.conn;
    for (size_t i = 0; i < d->fx.n; i++) {
        const struct node_effect *fx = &d->fx.list[i];
        if (fx->type == NODE_APPEND)
            d->appended = fx->batch->last_zxid;
        if (fx->type == NODE_SEND || fx->type == NODE_CLOSE) {
            d->n_bytes += node_conn_public(fx->conn)->out.len;
            buf_reset(&node_conn_public(fx->conn)->out);
        }
    }
}

static void end_turn(struct driver *d)
{
    step(d, (struct node_event){.type = NODE_FLUSH}, NULL);
    d->longest_ns = d->turn_ns > d->longest_ns ? d->turn_ns : d->longest_ns;
    d->all_ns += d->turn_ns;
    d->turn_ns = 0;
    d->turns++;
}

/* Those that have answers left, now that all before is sent. */
static bool drain(struct driver *d)
{
    bool some = false;
    for (size_t i = 0; i < CONNS; i++) {
        if (!d->conns[i] || !node_conn_public(d->conns[i])->more)
            continue;
        step(d, (struct node_event){.type = NODE_CONN_DRAINED, .conn = d->conns[i]}, NULL);
        some = true;
    }
    return some;
}

/* Until there is nothing left to do. */
static void settle(struct driver *d)
{
    bool some;
    do {
        some = drain(d);
        if (node_last_committed(d->node) < d->appended)
            step(d, (struct node_event){.type = NODE_PERSISTED, .zxid = d->appended}, NULL);
        end_turn(d);
    } while (some || node_last_committed(d->node) < d->appended || node_wants_turn(d->node));
}

static void begin(struct driver *d)
{
    d->turns = 0;
    d->turn_ns = d->longest_ns = d->all_ns = 0;
}

static void report(struct driver *d, const char *what)
{
    printf("%-58s %6u turns  longest %9.2f ms  all %9.2f ms  %9" PRIu64 " bytes\n", what, d->turns,
           (double)d->longest_ns / 1e6, (double)d->all_ns / 1e6, d->n_bytes);
    fflush(stdout);
}

/* ---- The tree ---- */

static void txn(struct driver *d, struct tree *t, int64_t session, int32_t type,
                struct slice record)
{
    static struct tree_outcome out;
    struct zk_txn_header h = {.client_id = session, .zxid = ++d->zxid, .time = 1, .type = type};
    if (tree_apply(t, &h, record, &out) != 0)
        abort();
}

static void add(struct driver *d, struct tree *t, const char *path, size_t size, int32_t type,
                int64_t session)
{
    static struct buf b;
    static const uint8_t data[4096];
    struct slice content = slice_of(data, size);
    buf_reset(&b);
    if (type == ZK_OP_createTTL) {
        struct zk_create_ttl_txn q = {slice_str(path), content, JUTE_VECTOR_NULL, -1, 1ll << 39};
        zk_create_ttl_txn_write(&b, &q);
    } else {
        struct zk_create_txn q = {slice_str(path), content, JUTE_VECTOR_NULL, session != 0, -1};
        zk_create_txn_write(&b, &q);
    }
    txn(d, t, session, type, buf_slice(&b));
}

static void add_many(struct driver *d, struct tree *t, const char *parent, unsigned n, int32_t type)
{
    char path[128];
    add(d, t, parent, 0, ZK_OP_create, 0);
    for (unsigned i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/node-%07u", parent, i);
        add(d, t, path, 100, type, 0);
    }
}

static void add_sessions(struct driver *d, struct tree *t, unsigned n)
{
    char path[64];
    uint8_t timeout[4];
    be32_put(timeout, TIMEOUT_MS);
    for (unsigned i = 1; i <= n; i++) {
        txn(d, t, i, ZK_OP_createSession, slice_of(timeout, sizeof(timeout)));
        snprintf(path, sizeof(path), "/ephemeral-%07u", i);
        add(d, t, path, 10, ZK_OP_create, i);
    }
}

/* ---- Clients ---- */

static void hello(struct driver *d, size_t i)
{
    static const uint8_t none[ZK_PASSWORD_SIZE];
    struct zk_connect_request q = {.timeout = 20000, .password = slice_of(none, sizeof(none))};
    struct buf b = {0};
    step(d, (struct node_event){.type = NODE_CONN_OPENED, .address = "127.0.0.1:1", .owner = d},
         &d->conns[i]);
    jute_write_int(&b, 0);
    zk_connect_request_write(&b, &q);
    be32_put(b.data, (uint32_t)(b.len - 4));
    step(d, (struct node_event){.type = NODE_CONN_DATA, .conn = d->conns[i], .data = buf_slice(&b)},
         NULL);
    settle(d);
    buf_close(&b);
}

static void ask(struct buf *out, int32_t op, const char *path)
{
    struct zk_request_header h = {1, op};
    size_t start = out->len;
    jute_write_int(out, 0);
    zk_request_header_write(out, &h);
    jute_write_buffer(out, slice_str(path));
    if (op == ZK_OP_create) {
        struct zk_acl a = {ZK_PERM_ALL, {slice_str("world"), slice_str("anyone")}};
        jute_write_buffer(out, SLICE_EMPTY);
        jute_write_int(out, 1);
        zk_acl_write(out, &a);
        jute_write_int(out, 0);
    } else if (op == ZK_OP_getChildren) {
        jute_write_bool(out, false);
    }
    be32_put(out->data + start, (uint32_t)(out->len - start - 4));
}

/* Each connection asks for the same, so often, in one turn. */
static void flood(struct driver *d, const char *what, int32_t op, const char *path, size_t n_conns,
                  unsigned times)
{
    struct buf b = {0};
    for (unsigned i = 0; i < times; i++)
        ask(&b, op, path);
    begin(d);
    for (size_t i = 0; i < n_conns; i++)
        step(
            d,
            (struct node_event){.type = NODE_CONN_DATA, .conn = d->conns[i], .data = buf_slice(&b)},
            NULL);
    d->n_bytes = 0;
    settle(d);
    report(d, what);
    buf_close(&b);
}

static void set_watches(struct driver *d, size_t conn, unsigned n)
{
    struct buf b = {0};
    struct zk_request_header h = {ZK_XID_SET_WATCHES, ZK_OP_setWatches};
    char path[64];
    jute_write_int(&b, 0);
    zk_request_header_write(&b, &h);
    jute_write_long(&b, INT64_MAX / 2);
    jute_write_int(&b, 0);
    jute_write_int(&b, (int32_t)n);
    for (unsigned i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "/%x", i);
        jute_write_buffer(&b, slice_str(path));
    }
    jute_write_int(&b, 0);
    be32_put(b.data, (uint32_t)(b.len - 4));
    begin(d);
    step(d,
         (struct node_event){.type = NODE_CONN_DATA, .conn = d->conns[conn], .data = buf_slice(&b)},
         NULL);
    settle(d);
    report(d, "setWatches of 90,000 paths");
    begin(d);
    step(d, (struct node_event){.type = NODE_CONN_CLOSED, .conn = d->conns[conn]}, NULL);
    settle(d);
    report(d, "that connection ends");
    buf_close(&b);
}

static void expire(struct driver *d, const char *what)
{
    begin(d);
    for (int i = 0; i < 400; i++) {
        d->now_ms += 100;
        step(d, (struct node_event){.type = NODE_TICK}, NULL);
        settle(d);
    }
    report(d, what);
}

/* ---- Cases ---- */

static void open_node(struct driver *d, struct tree *t)
{
    static struct node_config config;
    config = (struct node_config){
        .server_id = 1,
        .tick_ms = 2000,
        .min_session_timeout_ms = 4000,
        .max_session_timeout_ms = 400000000,
        .packet_max = ZK_PACKET_MAX,
        .outstanding_max = 1000,
        .snap_count = INT32_MAX,
        .watches_max = 1000000,
        .output_max = 64 << 20,
        .handshake_ms = 10000,
        .container_check_ms = 60000,
        .extended_types = true,
        .four_letter = "",
        .version = "bench",
        .conf_text = "",
        .envi_text = "",
        .seed = 1,
        .limits = node_limits_default(),
    };
    d->now_ms = 1000000;
    d->appended = tree_last_zxid(t);
    d->node = node_open(&config, t, d->now_ms);
    for (size_t i = 0; i < CONNS; i++)
        hello(d, i);
}

static void close_node(struct driver *d)
{
    node_close(d->node);
    node_effects_close(&d->fx);
    *d = (struct driver){0};
}

int main(int argc, char **argv)
{
    unsigned scale = argc > 1 && strcmp(argv[1], "--quick") == 0 ? 20 : 1;
    struct driver d = {0};
    struct tree *t = tree_open(1);
    add_sessions(&d, t, 40000 / scale);
    open_node(&d, t);
    expire(&d, "40,000 sessions with an ephemeral node each die");
    close_node(&d);

    t = tree_open(1);
    add_many(&d, t, "/half", 500000 / scale, ZK_OP_create);
    add_many(&d, t, "/other", 500000 / scale, ZK_OP_create);
    open_node(&d, t);
    flood(&d, "getAllChildrenNumber x 4,000 of 500,000 nodes, 4 clients",
          ZK_OP_getAllChildrenNumber, "/half", 4, 1000 / scale);
    flood(&d, "getChildren of 500,000 nodes, once", ZK_OP_getChildren, "/half", 1, 1);
    flood(&d, "getChildren of 500,000 nodes x 10, 4 clients", ZK_OP_getChildren, "/half", 4, 10);
    flood(&d, "sync x 64,000, 16 clients", ZK_OP_sync, "/half", 16, 4000);
    flood(&d, "create x 64,000, 16 clients", ZK_OP_create, "/half", 16, 4000);
    flood(&d, "limits of a quota on 1,000,000 nodes (a)", ZK_OP_create,
          "/zookeeper/quota/zookeeper_limits", 1, 1);
    flood(&d, "limits of a quota on 1,000,000 nodes (b)", ZK_OP_create,
          "/zookeeper/quota/zookeeper_stats", 1, 1);
    set_watches(&d, CONNS - 1, 90000);
    close_node(&d);

    t = tree_open(1);
    add_many(&d, t, "/ttl", 500000 / scale, ZK_OP_createTTL);
    open_node(&d, t);
    d.now_ms += 61000;
    begin(&d);
    step(&d, (struct node_event){.type = NODE_TICK}, NULL);
    settle(&d);
    report(&d, "a look at 500,000 TTL nodes");
    close_node(&d);
    return 0;
}
