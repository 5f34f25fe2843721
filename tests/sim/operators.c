/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What operators do to a whole ensemble (--operators): an old disk is put back, a backup is
 * restored, an ensemble is set up beside a machine of the one before, servers are added; in any
 * order of starting, and not always as the manual has it. And what a machine does to itself: the
 * tree of one server is not that of the others any more.
 *
 * An ensemble may then go back behind what it has acknowledged, or refuse to serve: so here nothing
 * is compared with the model. What must hold is less: nothing that was acknowledged is gone from
 * all disks, with what a history has replaced (`replaced-...`) and what operators have put aside;
 * nothing of a backup is gone from the disks that it was restored to; and replicas that serve
 * together have the same tree. */
#include "sim.h"

enum {
    KEYS_MAX = 4096,
    ASIDE_MAX = 8,
};

enum { ON_DISK = 1, ACKED = 2, IN_BACKUP = 4 };

/* Of the run: there is one at a time. */
static struct {
    uint8_t keys[KEYS_MAX]; /* flags */
    unsigned n_keys;
    struct disk_mem *aside[ASIDE_MAX];
    size_t n_aside;
    bool quiet;   /* clients make nothing new */
    unsigned odd; /* the key that one server has forgotten */
    bool has_odd;
    bool may_refuse; /* what was done is not as the manual has it */
} run;

/* ---- Clients: each node has a name of its own ---- */

void operators_told(const struct request *r, int32_t err)
{
    unsigned key;
    if (err == ZK_OK && sscanf(r->op.path, "/key%u", &key) == 1)
        run.keys[key] |= ACKED;
}

static void act(struct world *w, void *arg)
{
    struct client *c = arg;
    if (c->running && c->n_waiting < 4 && run.n_keys < KEYS_MAX && !run.quiet &&
        session_state(&c->session) == CLIENT_CONNECTED) {
        struct request *r = request_new(w, c);
        r->op = (struct op){.type = ZK_OP_create, .acl = {1, {{ZK_PERM_ALL, MODEL_WORLD}}}};
        snprintf(r->op.path, sizeof(r->op.path), "/key%05u", run.n_keys++);
        client_request(w, c, r);
    }
    sim_at(w, between(w, 5, 60), act, c);
}

static void pass(struct world *w, int64_t ms)
{
    int64_t end = w->now_ms + ms;
    while (w->n_heap > 0 && w->heap[0].at_ms <= end)
        sim_step(w);
    w->now_ms = end;
}

/* ---- Servers ---- */

static bool serves(const struct server *s)
{
    return s->up && node_is_serving(s->node);
}

static void start_now(struct world *w, void *server)
{
    struct server *s = server;
    s->held = false;
    server_start(w, s);
}

static void start_sometime(struct world *w, struct server *s)
{
    sim_at(w, chance(w, 2) ? between(w, 0, 500) : between(w, 0, 20000), start_now, s);
}

static void stop(struct world *w, struct server *s)
{
    s->held = true;
    server_stop(w, s, false, "by its operator");
}

static void replace_disk(struct server *s, struct disk_mem *disk)
{
    ensure(run.n_aside < ASIDE_MAX);
    run.aside[run.n_aside++] = s->disk;
    s->disk = disk;
}

static void stop_all(struct world *w)
{
    for (unsigned i = 0; i < w->n_servers; i++)
        stop(w, &w->servers[i]);
}

static struct server *any_server(struct world *w)
{
    return &w->servers[rng_below(&w->rng, w->n_servers)];
}

static void find_keys(void *arg, const char *path, struct slice bytes)
{
    uint8_t flag = *(uint8_t *)arg;
    (void)path;
    for (size_t i = 0; i + 9 <= slice_size(bytes); i++) {
        unsigned key;
        char text[10] = "";
        memcpy(text, bytes.data + i, 9);
        if (text[0] == '/' && sscanf(text, "/key%5u", &key) == 1 && key < KEYS_MAX)
            run.keys[key] |= flag;
    }
}

static void look_for_keys(struct world *w, struct disk_mem *m, uint8_t flag)
{
    disks_each_file(m, w->options.breakage != BREAK_no_identity, find_keys, &flag);
}

/* ---- What they do ---- */

static struct disk_mem *take_backup(struct world *w, struct server *s, bool only_history)
{
    stop(w, s);
    struct disk_mem *copy = disks_copy(w, s->disk, only_history);
    start_now(w, s);
    return copy;
}

static void put_old_disk_back(struct world *w)
{
    struct server *s = any_server(w);
    struct disk_mem *old = take_backup(w, s, false);
    pass(w, between(w, 1000, 5000));
    sim_trace(w, "operator: the old disk of %s is put back", s->name);
    if (chance(w, 2))
        stop_all(w);
    else
        stop(w, s);
    replace_disk(s, old);
}

static void write_number(struct disk *d, const char *name, int64_t value)
{
    char path[64];
    snprintf(path, sizeof(path), "/data/version-2/%s", name);
    (void)disk_unlink(d, path);
    struct store store = {.disk = d, .data_dir = "/data/version-2", .log_dir = "/data/version-2"};
    struct err e;
    ensure(store_epoch_write(&store, name, value, &e) == 0);
}

/* As `zabctl data init-restore` does it. */
static void init_restore(struct world *w, struct disk_mem *m)
{
    struct disk *d = disk_mem_disk(m);
    struct store store;
    struct store_recovery r;
    struct err e;
    struct tree *t = tree_open(0);
    ensure(store_open(&store, d, "/data", w->options.seed % 2 ? "/log" : NULL, &e) == 0);
    if (store_recover(&store, t, &r, &e) < 0)
        sim_fail(w, SIM_BROKEN, "a backup cannot be read: %s", e.text);
    store_close(&store);
    int64_t zxid = tree_last_zxid(t);
    tree_close(t);
    write_number(d, "acceptedEpoch", zxid_epoch(zxid));
    write_number(d, "currentEpoch", zxid_epoch(zxid));
    write_number(d, "decidedZxid", zxid);
    write_number(d, "ensembleId", (int64_t)(rng_next(&w->rng) >> 1 | 1));
}

static void restore(struct world *w)
{
    struct server *from = any_server(w);
    struct disk_mem *backup = take_backup(w, from, true);
    bool by_the_book = chance(w, 2), to_all = chance(w, 2);
    look_for_keys(w, backup, IN_BACKUP);
    pass(w, between(w, 1000, 5000));
    stop_all(w);
    run.may_refuse = !by_the_book;
    if (by_the_book)
        init_restore(w, backup);
    struct server *to = any_server(w);
    sim_trace(w, "operator: a backup is restored to %s%s%s", to_all ? "all" : to->name,
              by_the_book ? "" : ", without init-restore",
              to_all ? "" : ", and the others are empty");
    for (unsigned i = 0; i < w->n_servers; i++) {
        struct server *s = &w->servers[i];
        replace_disk(s, s == to || to_all ? disks_copy(w, backup, false)
                                          : disk_mem_open(rng_next(&w->rng)));
    }
    disk_mem_close(backup);
}

static void set_up_beside_old(struct world *w)
{
    struct server *old = any_server(w);
    stop_all(w);
    sim_trace(w, "operator: all but %s are set up once more", old->name);
    for (unsigned i = 0; i < w->n_servers; i++) {
        struct server *s = &w->servers[i];
        if (s == old)
            continue;
        replace_disk(s, disk_mem_open(rng_next(&w->rng)));
        start_now(w, s);
    }
    pass(w, between(w, 1000, 8000));
}

static void grow(struct world *w)
{
    sim_trace(w, "operator: the servers become %u, one after the other", w->n_servers);
    for (unsigned i = 0; i < w->n_servers; i++) {
        struct server *s = &w->servers[i];
        stop(w, s);
        s->n_known = w->n_servers;
        pass(w, between(w, 0, 1000));
        start_now(w, s);
        pass(w, chance(w, 2) ? 5000 : between(w, 0, 1000));
    }
}

static struct server *who_leads(struct world *w)
{
    for (unsigned i = 0; i < w->n_servers; i++) {
        struct server *s = &w->servers[i];
        if (serves(s) && node_state(s->node) == ZAB_LEADING)
            return s;
    }
    return NULL;
}

/* A node is gone from the tree of one server, the leader or another. The others put it right, not
 * it them. */
static void diverge(struct world *w)
{
    struct server *leader = who_leads(w), *s = leader && chance(w, 2) ? leader : any_server(w);
    if (!serves(s))
        return;
    struct tree *t = (struct tree *)node_tree(s->node);
    struct zk_txn_header h = {.zxid = tree_last_zxid(t), .type = ZK_OP_delete};
    struct tree_outcome outcome = {0};
    struct buf body = {0};
    for (run.odd = 0; run.odd < run.n_keys && !(run.keys[run.odd] & ACKED); run.odd++)
        continue;
    char path[16];
    snprintf(path, sizeof(path), "/key%05u", run.odd);
    if (!tree_find(t, slice_str(path)))
        return;
    sim_trace(w, "%s, which %s, forgets %s", s->name, s == leader ? "leads" : "follows", path);
    jute_write_buffer(&body, slice_str(path));
    ensure(tree_apply(t, &h, buf_slice(&body), &outcome) == 0);
    buf_close(&body);
    tree_outcome_close(&outcome);
    run.has_odd = true;
}

/* ---- What must hold ---- */

static void check_odd(struct world *w)
{
    char path[16];
    snprintf(path, sizeof(path), "/key%05u", run.odd);
    for (unsigned i = 0; run.has_odd && i < w->n_servers; i++) {
        const struct server *s = &w->servers[i];
        if (serves(s) && !tree_find(node_tree(s->node), slice_str(path)))
            sim_fail(w, SIM_BROKEN, "%s still has not got %s back", s->name, path);
    }
}

static void check_disks(struct world *w)
{
    for (unsigned i = 0; i < w->n_servers; i++)
        look_for_keys(w, w->servers[i].disk, ON_DISK);
    for (unsigned i = 0; i < run.n_keys; i++) {
        if ((run.keys[i] & IN_BACKUP) && !(run.keys[i] & ON_DISK))
            sim_fail(w, SIM_BROKEN, "/key%05u was in the backup, and is on no disk", i);
    }
    for (size_t i = 0; i < run.n_aside; i++)
        look_for_keys(w, run.aside[i], ON_DISK);
    for (unsigned i = 0; i < run.n_keys; i++) {
        if ((run.keys[i] & ACKED) && !(run.keys[i] & ON_DISK))
            sim_fail(w, SIM_BROKEN, "/key%05u was acknowledged, and is on no disk", i);
    }
}

static void check_together(struct world *w)
{
    for (unsigned i = 0; i < w->n_servers; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct server *a = &w->servers[i], *b = &w->servers[j];
            if (!serves(a) || !serves(b) ||
                zxid_epoch(node_last_committed(a->node)) !=
                    zxid_epoch(node_last_committed(b->node)))
                continue;
            if (tree_digest(node_tree(a->node)) != tree_digest(node_tree(b->node)))
                sim_fail(w, SIM_BROKEN, "%s and %s serve together, with different trees", a->name,
                         b->name);
        }
    }
}

/* A majority of all servers follows one leader. */
static void check_service(struct world *w)
{
    unsigned n = 0, leaders = 0;
    for (unsigned i = 0; i < w->n_servers; i++) {
        n += serves(&w->servers[i]);
        leaders += serves(&w->servers[i]) && node_state(w->servers[i].node) == ZAB_LEADING;
    }
    if (!run.may_refuse && (leaders != 1 || 2 * n <= w->n_servers))
        sim_fail(w, SIM_STALLED, "%u of %u serve, with %u leaders", n, w->n_servers, leaders);
}

void operators_run(struct world *w)
{
    static void (*const deeds[])(struct world * w) = {
        [DEED_OLD_DISK] = put_old_disk_back,
        [DEED_RESTORE] = restore,
        [DEED_SET_UP_BESIDE] = set_up_beside_old,
        [DEED_DIVERGE] = diverge,
        [DEED_GROW] = grow,
    };
    enum deed deed = (enum deed)rng_below(&w->rng, N_DEEDS);
    memset(&run, 0, sizeof(run));
    w->lenient = w->faults_off = true;
    world_set_servers(w, deed == DEED_GROW || chance(w, 4) ? 5 : 3, 0);
    for (unsigned i = 0; i < w->n_servers; i++) {
        struct server *s = &w->servers[i];
        s->n_known = deed == DEED_GROW ? 3 : w->n_servers;
        if (i < s->n_known)
            server_start(w, s);
    }
    for (; w->n_clients < 3; w->n_clients++) {
        client_start(w, &w->clients[w->n_clients], w->n_clients);
        sim_at(w, 1, act, &w->clients[w->n_clients]);
    }
    pass(w, between(w, 1000, 4000));
    deeds[deed](w);
    cover(COVER_DEED, (int32_t)deed, 0);
    for (unsigned i = 0; i < w->n_servers; i++) {
        if (!w->servers[i].up)
            start_sometime(w, &w->servers[i]);
    }
    pass(w, 40000);
    run.quiet = true;
    pass(w, 10000);
    check_service(w);
    check_odd(w);
    check_together(w);
    check_disks(w);
    sim_trace(w, "seed %" PRIu64 ": %u keys", w->options.seed, run.n_keys);
    for (size_t i = 0; i < run.n_aside; i++)
        disk_mem_close(run.aside[i]);
}
