/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop thread: everything that happens becomes an event of the node, and the node's effects
 * are carried out. At the end of each turn of the loop the node is flushed, so that a turn costs
 * one batch for the log and one write for each connection. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZK_LEVEL "3.9.3" /* the ZooKeeper whose behaviour this is */
#define VERSION_TEXT ZK_LEVEL "-zabd-" PACKAGE_VERSION ", built on " BUILD_DATE

enum {
    TICK_MS = 100,
    PURGE_EVERY = 10, /* snapshots */
};

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void on_soon(uv_idle_t *idle)
{
    (void)idle;
}

void server_wake(struct server *s)
{
    uv_idle_start(&s->soon, on_soon);
}

void server_step_later(struct server *s, const struct node_event *event)
{
    struct later *l = &s->later;
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 8;
        l->list = mem_realloc(l->list, l->cap * sizeof(*l->list));
    }
    l->list[l->n++] = *event;
    server_wake(s);
}

static void on_snapshot_ended(void *arg)
{
    struct node_event ev = {.type = NODE_SNAPSHOT_DONE};
    server_step_later(arg, &ev);
}

static struct stream *stream_of(const struct node_effect *fx)
{
    return (fx->link ? node_link_public(fx->link) : node_conn_public(fx->conn))->owner;
}

static void take_snapshot(struct server *s)
{
    if (s->stopping)
        return;
    log_thread_roll(s->log);
    snapshotter_start(&s->snapshotter, &s->loop, &s->store, node_tree(s->node), on_snapshot_ended,
                      s);
}

static void carry_out(struct server *s, const struct node_effect *fx)
{
    switch (fx->type) {
    case NODE_APPEND:
        log_thread_append(s->log, fx->batch);
        break;
    case NODE_SEND:
        stream_send(stream_of(fx));
        break;
    case NODE_CLOSE:
        stream_close(stream_of(fx));
        break;
    case NODE_RESUME:
        stream_resume(stream_of(fx));
        break;
    case NODE_SNAPSHOT:
        take_snapshot(s);
        break;
    case NODE_LOG:
        log_line(fx->level, "%s", fx->text);
        break;
    case NODE_PEER_SEND:
        peers_send(s->peers, fx->sid, fx->data);
        break;
    case NODE_LEADER_CONNECT:
        links_connect(s, fx->sid);
        break;
    case NODE_LEADER_CLOSE:
        links_stop_connecting(s);
        break;
    case NODE_SAVE_EPOCH:
        history_save_epoch(s, fx->epoch_name, fx->epoch);
        break;
    case NODE_SEND_TREE:
        snapshotter_cancel(&s->snapshotter); /* one process at a time that holds a tree */
        ensure(tree_last_zxid(node_tree(s->node)) == fx->zxid);
        stream_send_tree(stream_of(fx), node_tree(s->node), fx->before);
        break;
    case NODE_TRUNCATE:
        history_truncate(s, fx->zxid);
        break;
    case NODE_INSTALL_TREE:
        history_install(s, node_incoming_tree(s->node));
        break;
    case NODE_READ_LOG:
        history_read_log(s, fx->log_read);
        break;
    }
}

void server_step(struct server *s, struct node_event *event)
{
    event->now_ms = (int64_t)uv_now(&s->loop);
    event->wall_ms = wall_ms();
    node_step(s->node, event, &s->fx);
    if (event->type == NODE_CONN_OPENED || event->type == NODE_LINK_OPENED)
        stream_opened(event);
    for (size_t i = 0; i < s->fx.n; i++)
        carry_out(s, &s->fx.list[i]);
}

static void step(struct server *s, enum node_event_type type)
{
    struct node_event ev = {.type = type};
    server_step(s, &ev);
}

/* ---- Turns of the loop ---- */

/* Those that are added meanwhile as well. */
static void run_later(struct server *s)
{
    for (size_t i = 0; i < s->later.n; i++) {
        struct node_event ev = s->later.list[i];
        server_step(s, &ev);
        if (ev.type == NODE_SNAPSHOT_DONE && ++s->n_snapshots % PURGE_EVERY == 0)
            history_purge(s);
    }
    s->later.n = 0;
}

/* The loop's time is that of the moment when it woke up. */
static void note_turn(struct server *s)
{
    int64_t ms = (int64_t)(uv_hrtime() / 1000000) - (int64_t)uv_now(&s->loop);
    s->turn_ms = MAX(s->turn_ms, ms);
}

static void end_turn(struct server *s)
{
    streams_tell_drained(s);
    do {
        run_later(s);
        step(s, NODE_FLUSH);
    } while (s->later.n > 0);
    if (list_is_empty(&s->drained) && !node_wants_turn(s->node))
        uv_idle_stop(&s->soon);
    else
        server_wake(s);
    note_turn(s);
}

static void on_turn_end(uv_check_t *check)
{
    end_turn(check->data);
}

/* On the log thread. */
static void on_log_persisted(void *arg, int64_t zxid)
{
    struct server *s = arg;
    atomic_store(&s->persisted_zxid, zxid);
    uv_async_send(&s->persisted);
}

static void on_persisted(uv_async_t *async)
{
    struct server *s = async->data;
    struct node_event ev = {.type = NODE_PERSISTED, .zxid = atomic_load(&s->persisted_zxid)};
    server_step(s, &ev);
}

static void set_gauges(struct server *s)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    struct node_gauges gauges = {.open_fds = s->base_fds + (int64_t)s->n_streams,
                                 .max_fds = (int64_t)files.rlim_cur,
                                 .turn_ms = s->turn_ms,
                                 .free_bytes = disk_free_bytes(s->store.disk, s->store.log_dir)};
    node_set_gauges(s->node, &gauges);
    s->turn_ms = 0;
    history_make_room(s, gauges.free_bytes);
}

static void on_tick(uv_timer_t *timer)
{
    struct server *s = timer->data;
    set_gauges(s);
    log_tick(false);
    streams_close_overdue(s);
    secure_tick(&s->secure, s->config, uv_now(&s->loop));
    if (s->peers) {
        peers_tick(s->peers);
        links_tick(s);
    }
    step(s, NODE_TICK);
    end_turn(s);
}

/* ---- Start and stop ---- */

static void on_signal(uv_signal_t *sig, int signum)
{
    struct server *s = sig->data;
    log_info("stopping on %s", signum == SIGTERM ? "SIGTERM" : "SIGINT");
    s->stopping = true;
    uv_stop(&s->loop);
}

static int lock_dir(const char *dir, const char *key, int *fd, struct err *e)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/zabd.lock", dir);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*fd < 0)
        return err_set(e, -errno, "%s: %s; %s must be a directory that zabd may write", path,
                       strerror(errno), key);
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(e, -EBUSY, "%s %s is in use by another zabd; stop that one first", key, dir);
    return 0;
}

static bool is_same_dir(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* One process at a time may own a data directory, and the directory of a log. */
static int lock_dirs(struct server *s, struct err *e)
{
    const struct config *c = s->config;
    int rc = lock_dir(c->data_dir, "dataDir", &s->lock_fd, e);
    if (rc == 0 && c->log_dir && !is_same_dir(c->data_dir, c->log_dir))
        rc = lock_dir(c->log_dir, "dataLogDir", &s->log_lock_fd, e);
    return rc;
}

/* Not 0, which is no id. */
static int64_t fresh_id(void)
{
    uint64_t id = uv_hrtime();
    if (getrandom(&id, sizeof(id), 0) < 0)
        log_warn("no random number for an ensemble's id: %s", strerror(errno));
    return (int64_t)(id >> 1 | 1);
}

/* What the node is to know of the ensemble, and of what is on disk. */
static int set_ensemble(struct server *s, struct node_config *nc, struct err *e)
{
    const struct config *c = s->config;
    for (size_t i = 0; i < c->ensemble.n; i++)
        s->zab_servers[i] = c->ensemble.servers[i].zab;
    ensemble_text(&c->ensemble, c->version, &s->ensemble_text);
    s->ensemble = (struct zab_config){
        .sid = c->own->zab.sid,
        .servers = s->zab_servers,
        .n_servers = c->ensemble.n,
        .tick_ms = (int)c->tick_ms,
        .init_limit = (int)c->init_limit,
        .sync_limit = (int)c->sync_limit,
        .config_text = buf_slice(&s->ensemble_text),
        .fresh_id = fresh_id(),
        .config_version = c->version,
    };
    nc->server_id = c->own->zab.sid;
    nc->ensemble = &s->ensemble;
    bool told = false;
    int rc;
    do
        rc = history_read_epochs(s, &nc->history, e);
    while (history_waits_for_room(rc, e, &told));
    return rc;
}

/* The tree is the node's then. */
static int open_node(struct server *s, struct tree *tree, const struct store_recovery *r,
                     struct err *e)
{
    const struct config *c = s->config;
    uint64_t seed = uv_hrtime();
    if (getrandom(&seed, sizeof(seed), 0) < 0)
        log_warn("no random numbers for hash keys: %s", strerror(errno));
    s->envi_text = process_envi_text(c);
    conf_text(c, s->client_port, &s->conf_text);
    *buf_extend(&s->conf_text, 1) = '\0';
    struct node_config nc = {
        .server_id = 1,
        .tick_ms = (int)c->tick_ms,
        .min_session_timeout_ms = (int)c->min_session_timeout_ms,
        .max_session_timeout_ms = (int)c->max_session_timeout_ms,
        .packet_max = (uint32_t)c->packet_max,
        .outstanding_max = (uint32_t)c->outstanding_max,
        .snap_count = (uint32_t)c->snap_count,
        .conns_max = (uint32_t)c->max_conns,
        .conns_per_ip_max = (uint32_t)c->max_client_conns,
        .watches_max = (uint32_t)c->max_watches,
        .output_max = (size_t)c->max_output,
        .reserved_bytes = c->reserved_kib << 10,
        .handshake_ms = (int)c->handshake_ms,
        .container_check_ms = (int)c->container_check_ms,
        .skip_acl = c->skip_acl,
        .enforce_quota = c->enforce_quota,
        .extended_types = c->extended_types,
        .read_only_mode = c->read_only_mode,
        .leader_is_reserved = c->own && !c->leader_serves,
        .digest_disabled = !c->digest_enabled,
        .digest_alg = c->digest_alg,
        .super_digest = c->super_digest,
        .super_x509 = c->super_x509,
        .four_letter = c->four_letter,
        .version = VERSION_TEXT,
        .conf_text = (const char *)s->conf_text.data,
        .envi_text = s->envi_text,
        .limits = node_limits_default(),
        .seed = seed,
        .history.last_zxid = tree_last_zxid(tree),
        .log_base = r->snapshot_zxid,
        .log_txns = r->n_txns,
        .log_bytes = r->n_bytes,
    };
    int rc = c->own ? set_ensemble(s, &nc, e) : 0;
    if (rc != 0)
        return rc;
    uv_update_time(&s->loop);
    s->node = node_open(&nc, tree, (int64_t)uv_now(&s->loop));
    return 0;
}

static void start_handles(struct server *s)
{
    uv_async_init(&s->loop, &s->persisted, on_persisted);
    uv_check_init(&s->loop, &s->turn_end);
    uv_idle_init(&s->loop, &s->soon);
    uv_timer_init(&s->loop, &s->tick);
    uv_signal_init(&s->loop, &s->sigterm);
    uv_signal_init(&s->loop, &s->sigint);
    s->persisted.data = s->turn_end.data = s->tick.data = s;
    s->sigterm.data = s->sigint.data = s;
    uv_check_start(&s->turn_end, on_turn_end);
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    history_start(s);
    uv_signal_start(&s->sigterm, on_signal, SIGTERM);
    uv_signal_start(&s->sigint, on_signal, SIGINT);
}

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void close_handles(struct server *s)
{
    uv_walk(&s->loop, close_handle, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    LIST_FOR_EACH_SAFE (l, &s->listeners, struct listener, link)
        free(l);
}

/* All that was appended reaches the disk; clients find out by their lost connection. */
static void shut_down(struct server *s)
{
    snapshotter_close(&s->snapshotter);
    if (s->peers)
        peers_close_connections(s->peers);
    links_stop_connecting(s);
    streams_end_all(s);
    uv_check_stop(&s->turn_end);
    uv_idle_stop(&s->soon);
    uv_run(&s->loop, UV_RUN_NOWAIT);
    log_thread_stop(s->log);
}

static int listen_all(struct server *s, struct err *e)
{
    int rc = net_listen_for_clients(s, e);
    if (rc == 0 && s->config->own)
        rc = links_start(s, e);
    if (rc == 0 && s->config->own)
        rc = peers_start(s, e);
    return rc;
}

static void say_what_it_serves(const struct server *s)
{
    const struct config *c = s->config;
    char plain[32] = "", secure[32] = "";
    if (s->client_port > 0)
        snprintf(plain, sizeof(plain), "%d", s->client_port);
    if (c->secure_client_port > 0)
        snprintf(secure, sizeof(secure), "%s%" PRId64 " (TLS)", *plain ? " and " : "",
                 c->secure_client_port);
    if (c->own)
        log_info("serving clients on port %s%s as server.%" PRId64 ", %s of %zu servers", plain,
                 secure, c->own->zab.sid, c->own->zab.observer ? "an observer" : "a participant",
                 c->ensemble.n);
    else
        log_info("serving clients on port %s%s as a single replica", plain, secure);
}

static void serve(struct server *s)
{
    const struct config *c = s->config;
    s->read_buffer = mem_alloc(READ_SIZE);
    start_handles(s);
    s->log = log_thread_start(&s->store, (uint64_t)c->prealloc_kib << 10, c->force_sync,
                              c->fsync_warning_ms, on_log_persisted, s);
    s->base_fds = process_count_open_files();
    set_gauges(s);
    say_what_it_serves(s);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    shut_down(s);
}

/* What is on disk. On a full one it waits, since a process that ends would only be started again.
 */
static int open_history(struct server *s, struct tree **tree, struct store_recovery *r,
                        struct err *e)
{
    bool told = false;
    int rc;
    do {
        rc = store_open(&s->store, disk_posix(), s->config->data_dir, s->config->log_dir, e);
        s->store.has_peers = s->config->own != NULL;
    } while (history_waits_for_room(rc, e, &told));
    if (rc == 0)
        rc = lock_dirs(s, e);
    if (rc != 0)
        return rc;
    do
        rc = history_recover(s, tree, r, e);
    while (history_waits_for_room(rc, e, &told));
    return rc;
}

/* Up to the node: its tree, its place in the ensemble, and all ports. */
static int start(struct server *s, struct err *e)
{
    struct tree *tree = NULL;
    struct store_recovery r;
    int rc = secure_open(&s->secure, s->config, e);
    if (rc == 0)
        rc = open_history(s, &tree, &r, e);
    if (rc == 0)
        rc = listen_all(s, e);
    if (rc == 0)
        rc = open_node(s, tree, &r, e);
    if (rc != 0 && tree)
        tree_close(tree);
    return rc;
}

int server_run(const struct config *config, struct err *e)
{
    struct server *s = mem_zalloc(sizeof(*s));
    s->config = config;
    s->lock_fd = s->log_lock_fd = -1;
    list_init(&s->listeners);
    list_init(&s->streams);
    list_init(&s->drained);
    uv_loop_init(&s->loop);
    signal(SIGPIPE, SIG_IGN);
    process_raise_file_limit();
    int rc = start(s, e);
    if (rc == 0)
        serve(s);
    close_handles(s);
    if (s->node) {
        history_stop(s);
        node_close(s->node);
    }
    if (s->peers)
        peers_free(s->peers);
    node_effects_close(&s->fx);
    store_close(&s->store);
    uv_loop_close(&s->loop);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    if (s->log_lock_fd >= 0)
        close(s->log_lock_fd);
    secure_close(&s->secure);
    buf_close(&s->plain);
    buf_close(&s->ensemble_text);
    buf_close(&s->conf_text);
    free(s->later.list);
    free(s->read_buffer);
    free(s->envi_text);
    free(s);
    log_tick(true);
    return rc;
}
