/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop thread: everything that happens becomes an event of the node, and the node's effects
 * are carried out. At the end of each turn of the loop the node is flushed, so that a turn costs
 * one batch for the log and one write for each connection. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define ZK_LEVEL "3.9.3" /* the ZooKeeper whose behaviour this is */
#define VERSION_TEXT ZK_LEVEL "-zabd-" PACKAGE_VERSION

enum {
    TICK_MS = 100,
    FIRST_PURGE_MS = 60000,
    PURGE_EVERY = 10, /* snapshots */
};

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void on_snapshot_ended(void *arg)
{
    struct server *s = arg;
    s->snapshot_ended = true;
}

static void carry_out(struct server *s, const struct node_effect *fx)
{
    switch (fx->type) {
    case NODE_APPEND:
        log_thread_append(s->log, fx->batch);
        break;
    case NODE_SEND:
        net_send(fx->conn);
        break;
    case NODE_CLOSE:
        net_close(fx->conn);
        break;
    case NODE_RESUME:
        net_resume(fx->conn);
        break;
    case NODE_SNAPSHOT:
        log_thread_roll(s->log);
        snapshotter_start(&s->snapshotter, &s->loop, &s->store, node_tree(s->node),
                          on_snapshot_ended, s);
        break;
    case NODE_LOG:
        log_line(fx->level, "%s", fx->text);
        break;
    }
}

void server_step(struct server *s, struct node_event *event)
{
    event->now_ms = (int64_t)uv_now(&s->loop);
    event->wall_ms = wall_ms();
    node_step(s->node, event, &s->fx);
    if (event->type == NODE_CONN_OPENED)
        net_opened(event->owner, event->conn);
    for (size_t i = 0; i < s->fx.n; i++)
        carry_out(s, &s->fx.list[i]);
}

static void step(struct server *s, enum node_event_type type)
{
    struct node_event ev = {.type = type};
    server_step(s, &ev);
}

/* ---- Purge ---- */

static void purge(uv_work_t *work)
{
    struct server *s = work->data;
    struct err e;
    int n = store_purge(&s->store, (unsigned)s->config->purge_retain, &e);
    if (n < 0)
        log_warn("purge: %s", e.text);
    else if (n > 0)
        log_info("purge: removed %d old snapshots and logs", n);
}

static void on_purged(uv_work_t *work, int status)
{
    struct server *s = work->data;
    (void)status;
    s->purging = false;
}

static void start_purge(struct server *s)
{
    if (s->purging || s->config->purge_hours == 0)
        return;
    s->purging = true;
    s->purge_work.data = s;
    uv_queue_work(&s->loop, &s->purge_work, purge, on_purged);
}

static void on_purge_timer(uv_timer_t *timer)
{
    start_purge(timer->data);
}

/* ---- Turns of the loop ---- */

static void on_soon(uv_idle_t *idle)
{
    (void)idle;
}

static void end_turn(struct server *s)
{
    if (s->snapshot_ended) {
        s->snapshot_ended = false;
        step(s, NODE_SNAPSHOT_DONE);
        if (++s->n_snapshots % PURGE_EVERY == 0)
            start_purge(s);
    }
    net_tell_drained(s);
    step(s, NODE_FLUSH);
    if (list_is_empty(&s->drained))
        uv_idle_stop(&s->soon);
    else
        uv_idle_start(&s->soon, on_soon);
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

static void on_tick(uv_timer_t *timer)
{
    struct server *s = timer->data;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    struct node_gauges gauges = {.open_fds = s->base_fds + (int64_t)s->n_conns,
                                 .max_fds = (int64_t)files.rlim_cur};
    node_set_gauges(s->node, &gauges);
    net_close_overdue(s);
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

/* One process at a time may own a data directory. */
static int lock_data_dir(struct server *s, struct err *e)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/zabd.lock", s->config->data_dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (s->lock_fd < 0)
        return err_set(e, -errno, "%s: %s; dataDir must be a directory that zabd may write", path,
                       strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(e, -EBUSY, "dataDir %s is in use by another zabd; stop that one first",
                       s->config->data_dir);
    return 0;
}

static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int64_t count_open_files(void)
{
    int64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static char *envi_text(const struct config *c)
{
    struct buf b = {0};
    struct utsname u;
    char cwd[4096] = "", host[256] = "";
    uname(&u);
    gethostname(host, sizeof(host) - 1);
    if (!getcwd(cwd, sizeof(cwd)))
        cwd[0] = '\0';
    buf_printf(&b, "host.name=%s\nos.name=%s\nos.arch=%s\nos.version=%s\nuser.dir=%s\nconfig=%s\n",
               host, u.sysname, u.machine, u.release, cwd, c->path);
    *buf_extend(&b, 1) = '\0';
    return (char *)b.data;
}

static int recover(struct server *s, struct tree **tree, struct err *e)
{
    struct store_recovery r;
    uint64_t seed = 0, start = uv_hrtime();
    if (getrandom(&seed, sizeof(seed), 0) < 0)
        return err_set(e, -errno, "no random numbers: %s", strerror(errno));
    *tree = tree_open(seed);
    int rc = store_recover(&s->store, *tree, &r, e);
    if (rc != 0)
        return rc;
    if (r.note[0])
        log_warn("recovery: %s", r.note);
    if (r.torn_tail)
        log_warn("recovery: an unfinished transaction at the end of the log, which nobody was told "
                 "of, was cut off");
    log_info("recovered %zu nodes to zxid 0x%" PRIx64 ", %" PRIu64
             " transactions replayed, in %" PRIu64 " ms",
             tree_count(*tree), (uint64_t)r.last_zxid, r.n_txns, (uv_hrtime() - start) / 1000000);
    return 0;
}

static void open_node(struct server *s, struct tree *tree)
{
    const struct config *c = s->config;
    uint64_t seed = uv_hrtime();
    if (getrandom(&seed, sizeof(seed), 0) < 0)
        log_warn("no random numbers for hash keys: %s", strerror(errno));
    s->envi_text = envi_text(c);
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
        .handshake_ms = (int)c->handshake_ms,
        .container_check_ms = (int)c->container_check_ms,
        .skip_acl = c->skip_acl,
        .enforce_quota = c->enforce_quota,
        .extended_types = c->extended_types,
        .super_digest = c->super_digest,
        .four_letter = c->four_letter,
        .version = VERSION_TEXT,
        .conf_text = (const char *)c->text.data,
        .envi_text = s->envi_text,
        .seed = seed,
    };
    s->node = node_open(&nc, tree, (int64_t)uv_now(&s->loop));
}

static void start_handles(struct server *s)
{
    uv_async_init(&s->loop, &s->persisted, on_persisted);
    uv_check_init(&s->loop, &s->turn_end);
    uv_idle_init(&s->loop, &s->soon);
    uv_timer_init(&s->loop, &s->tick);
    uv_timer_init(&s->loop, &s->purge_timer);
    uv_signal_init(&s->loop, &s->sigterm);
    uv_signal_init(&s->loop, &s->sigint);
    s->persisted.data = s->turn_end.data = s->tick.data = s->purge_timer.data = s;
    s->sigterm.data = s->sigint.data = s;
    uv_check_start(&s->turn_end, on_turn_end);
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    if (s->config->purge_hours > 0)
        uv_timer_start(&s->purge_timer, on_purge_timer, FIRST_PURGE_MS,
                       (uint64_t)s->config->purge_hours * 3600 * 1000);
    uv_signal_start(&s->sigterm, on_signal, SIGTERM);
    uv_signal_start(&s->sigint, on_signal, SIGINT);
}

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

/* All that was appended reaches the disk; clients find out by their lost connection. */
static void shut_down(struct server *s)
{
    snapshotter_stop(&s->snapshotter);
    net_close_all(s);
    uv_check_stop(&s->turn_end);
    uv_idle_stop(&s->soon);
    uv_run(&s->loop, UV_RUN_NOWAIT);
    log_thread_stop(s->log);
    uv_walk(&s->loop, close_handle, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    node_close(s->node);
}

int server_run(const struct config *config, struct err *e)
{
    struct server *s = mem_zalloc(sizeof(*s));
    struct tree *tree = NULL;
    s->config = config;
    s->lock_fd = -1;
    list_init(&s->conns);
    list_init(&s->drained);
    uv_loop_init(&s->loop);
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    int rc = store_open(&s->store, disk_posix(), config->data_dir, config->log_dir, e);
    if (rc == 0)
        rc = lock_data_dir(s, e);
    if (rc == 0)
        rc = recover(s, &tree, e);
    if (rc == 0)
        rc = net_listen(s, e);
    if (rc != 0) {
        if (tree)
            tree_close(tree);
        goto out;
    }
    uv_update_time(&s->loop);
    open_node(s, tree);
    s->read_buffer = mem_alloc(READ_SIZE);
    start_handles(s);
    s->log = log_thread_start(&s->store, (uint64_t)config->prealloc_kib << 10, config->force_sync,
                              config->fsync_warning_ms, on_log_persisted, s);
    s->base_fds = count_open_files();
    log_info("serving clients on port %d", (int)config->client_port);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    shut_down(s);
out:
    node_effects_close(&s->fx);
    store_close(&s->store);
    uv_loop_close(&s->loop);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->read_buffer);
    free(s->envi_text);
    free(s);
    return rc;
}
