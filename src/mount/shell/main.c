/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zabfs: connect, mount, answer; on SIGTERM commit what is open, unmount, end the session.
 *
 * In the background the parent waits until the mount has answered a system call, so that whoever
 * started it finds a mount or an error, and nothing between. */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

uint64_t mount_now_ms(const struct mount *m)
{
    return uv_now(m->loop);
}

bool mount_is_stale(const struct mount *m)
{
    return !m->connected && mount_now_ms(m) - m->disconnected_ms >= (uint64_t)m->opt.timeo_ms;
}

bool mount_may_retry(const struct mount *m, int32_t zk_err, uint64_t deadline_ms)
{
    return (zk_err == ZK_CONNECTIONLOSS || zk_err == ZK_SESSIONEXPIRED) && !m->closed &&
           mount_now_ms(m) < deadline_ms;
}

/* ---- Identity ---- */

/* A digest's id is the user and the base64 of the SHA-1 of "user:password". */
static void add_digest(struct identity *who, const char *credential)
{
    unsigned char sha[EVP_MAX_MD_SIZE];
    unsigned char base64[2 * EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct buf id = {0};
    if (EVP_Digest(credential, strlen(credential), sha, &len, EVP_sha1(), NULL) != 1)
        return;
    EVP_EncodeBlock(base64, sha, (int)len);
    buf_printf(&id, "%.*s:%s", (int)strcspn(credential, ":"), credential, (char *)base64);
    identity_add(who, slice_str("digest"), buf_slice(&id));
    buf_close(&id);
}

static void on_who(void *arg, const struct client_reply *reply)
{
    struct mount *m = arg;
    struct zk_who_am_i_response who;
    struct jute_reader in = jute_reader_of(reply->body);
    if (reply->err != ZK_OK)
        return; /* before 3.7: what we know ourselves has to do */
    zk_who_am_i_response_read(&in, &who);
    if (!jute_ok(&in))
        return;
    struct jute_reader it = jute_vector_iter(&who.client_info);
    for (int32_t i = 0; i < who.client_info.count; i++) {
        struct zk_client_info info;
        zk_client_info_read(&it, &info);
        if (jute_ok(&it) && !slice_eq_str(info.auth_scheme, "digest"))
            identity_add(&m->who, info.auth_scheme, info.user);
    }
}

static void find_identity(struct mount *m)
{
    identity_close(&m->who);
    for (size_t i = 0; i < m->opt.n_auth; i++) {
        const char *auth = m->opt.auth[i];
        const char *credential = strchr(auth, ':') + 1;
        if (strncmp(auth, "digest:", 7) == 0)
            add_digest(&m->who, credential);
    }
    client_who_am_i(m->client, on_who, m);
}

/* ---- Start ---- */

static _Noreturn void fail(const struct err *e)
{
    fprintf(stderr, "zabfs: %s\n", e->text);
    exit(1);
}

static void start_failed(struct mount *m, struct err *e)
{
    fprintf(stderr, "zabfs: %s\n", e->text);
    m->exit_code = 1;
    mount_stop(m);
}

void mount_ready(struct mount *m)
{
    log_set_level(LOG_LEVEL_INFO);
    if (m->ready_fd < 0) {
        log_info("mounted %s on %s", m->opt.source, m->opt.mountpoint);
        return;
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = m->opt.log ? open(m->opt.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : null;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    if (write(m->ready_fd, "", 1) < 0)
        log_warn("nobody waits for the mount");
    close(m->ready_fd);
    m->ready_fd = -1;
    log_info("mounted %s on %s", m->opt.source, m->opt.mountpoint);
}

static void on_root(void *arg, struct node *n, int32_t zk_err)
{
    struct mount *m = arg;
    struct err e;
    (void)n;
    if (zk_err == ZK_NONODE)
        err_set(&e, -ENOENT, "%s: the chroot does not exist on the server", m->opt.source);
    else if (zk_err != ZK_OK)
        err_set(&e, -EIO, "%s: cannot read the root: %s", m->opt.source, zk_error_text(zk_err));
    if (zk_err != ZK_OK) {
        start_failed(m, &e);
        return;
    }
    if (fuse_shell_mount(m, &e) < 0) {
        start_failed(m, &e);
        return;
    }
    fuse_shell_start(m);
    if (inject_start(m) < 0) {
        err_set(&e, -EAGAIN, "cannot start a thread");
        start_failed(m, &e);
    }
}

static void on_connect_timeout(uv_timer_t *timer)
{
    struct mount *m = timer->data;
    struct err e;
    err_set(&e, -ETIMEDOUT, "%s: no server has answered within %d.%d seconds (-o timeo=)",
            m->opt.source, m->opt.timeo_ms / 1000, m->opt.timeo_ms % 1000 / 100);
    start_failed(m, &e);
}

static void on_state(void *arg, enum client_state state)
{
    struct mount *m = arg;
    bool connected = state == CLIENT_CONNECTED;
    log_info("%s %s", client_state_name(state), client_server(m->client));
    if (m->connected && !connected) {
        m->disconnected_ms = mount_now_ms(m);
        m->disconnected_at = time(NULL);
    }
    bool came = connected && !m->connected;
    m->connected = connected;
    if (state == CLIENT_AUTH_FAILED && !m->session) {
        struct err e;
        err_set(&e, -EACCES, "%s: authentication failed (-o auth= or authfile=)", m->opt.source);
        start_failed(m, &e);
        return;
    }
    if (!came || m->stopping)
        return;
    find_identity(m);
    if (m->session) {
        round_everything(m);
        return;
    }
    uv_timer_stop(&m->round_timer);
    fetch_entry(m, m->nodes.root, on_root, m);
}

static void on_event(void *arg, const struct zk_watcher_event *event)
{
    watch_event(arg, event);
}

/* ---- End ---- */

static void on_closed(void *arg)
{
    struct mount *m = arg;
    uv_stop(m->loop);
}

static void on_all_committed(void *arg, int err)
{
    struct mount *m = arg;
    if (err != 0)
        log_error("a write was lost at the end: %s", strerror(err));
    m->closed = true;
    fuse_shell_unmount(m);
    client_close(m->client, on_closed, m);
}

void mount_stop(struct mount *m)
{
    if (m->stopping)
        return;
    m->stopping = true;
    uv_timer_stop(&m->round_timer);
    commit_all(m, NULL, on_all_committed, m);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    mount_stop(signal->data);
}

/* ---- The loop ---- */

static void init(struct mount *m)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    m->loop = uv_default_loop();
    nodes_init(&m->nodes);
    list_init(&m->drafts);
    list_init(&m->dirty);
    uv_timer_init(m->loop, &m->round_timer);
    uv_timer_init(m->loop, &m->draft_timer);
    m->round_timer.data = m->draft_timer.data = m;
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        uv_signal_init(m->loop, &m->signals[i]);
        m->signals[i].data = m;
        uv_signal_start(&m->signals[i], on_signal, signals[i]);
    }
    signal(SIGPIPE, SIG_IGN);
}

static int run(struct mount *m)
{
    struct err e;
    if (inject_child_start(&m->child, m->opt.mountpoint, m->opt.auto_unmount) < 0)
        ensure_failed("inject_child_start", __FILE__, __LINE__);
    init(m);
    if (m->opt.data_dir && standalone_start(m, m->opt.data_dir, &e) < 0)
        fail(&e);
    struct client_config config = {
        .hosts = m->standalone ? standalone_hosts(m->standalone) : m->opt.source,
        .timeout_ms = 0,
        .request_timeout_ms = m->opt.timeo_ms,
        .tls = m->tls,
        .on_state = on_state,
        .on_event = on_event,
        .arg = m,
    };
    if (client_open(m->loop, &config, &m->client, &e) < 0)
        fail(&e);
    for (size_t i = 0; i < m->opt.n_auth; i++) {
        const char *auth = m->opt.auth[i];
        const char *colon = strchr(auth, ':');
        char *scheme = slice_dup_str(slice_of(auth, (size_t)(colon - auth)));
        client_add_auth(m->client, scheme, slice_str(colon + 1));
        free(scheme);
    }
    uv_timer_start(&m->round_timer, on_connect_timeout, (uint64_t)m->opt.timeo_ms, 0);
    uv_run(m->loop, UV_RUN_DEFAULT);
    inject_stop(m);
    standalone_stop(m->standalone);
    if (m->session)
        fuse_session_destroy(m->session);
    return m->exit_code;
}

/* The parent's part: wait for the mount's byte; its exit code if none comes. */
static int wait_for_mount(pid_t pid, int fd)
{
    char byte;
    ssize_t n;
    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    (void)pid;
    return n == 1 ? 0 : 1;
}

static void go_background(struct mount *m)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        ensure_failed("pipe2", __FILE__, __LINE__);
    pid_t pid = fork();
    if (pid < 0) {
        perror("zabfs: fork");
        exit(1);
    }
    if (pid > 0) {
        close(fds[1]);
        exit(wait_for_mount(pid, fds[0]));
    }
    close(fds[0]);
    setsid();
    if (chdir("/") < 0)
        perror("zabfs: chdir /");
    m->ready_fd = fds[1];
    log_set_level(LOG_LEVEL_WARN); /* the terminal hears of trouble only */
}

static void print_help(bool roff)
{
    struct buf text = {0};
    if (roff)
        options_roff(&text);
    else
        options_help(&text);
    printf("%.*s", SLICE_ARG(buf_slice(&text)));
    buf_close(&text);
}

static void check_mountpoint(const char *path)
{
    struct stat st;
    int err = stat(path, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (err == 0)
        return;
    fprintf(stderr, "zabfs: mount point %s: %s\n", path, strerror(err));
    exit(1);
}

/* Paths are made absolute before the process goes to /. */
static void make_absolute(char **path)
{
    char *real = realpath(*path, NULL);
    if (!real && **path != '/') {
        char cwd[PATH_MAX];
        struct buf joined = {0};
        if (!getcwd(cwd, sizeof(cwd)))
            return;
        buf_printf(&joined, "%s/%s", cwd, *path);
        real = slice_dup_str(buf_slice(&joined));
        buf_close(&joined);
    }
    if (real) {
        free(*path);
        *path = real;
    }
}

/* Before the process goes to /, and says what is wrong to the log. */
static int open_tls(struct mount *m, struct err *e)
{
    const struct client_tls tls = {.prefix = "tls_",
                                   .ca = m->opt.tls_ca,
                                   .cert = m->opt.tls_cert,
                                   .key = m->opt.tls_key,
                                   .any_host = m->opt.tls_any_host};
    if (m->opt.tls_ca && m->opt.data_dir)
        return err_set(e, -EINVAL, "option tls_ca=: a server of its own speaks no TLS");
    return client_tls_open(&m->tls, &tls, e);
}

int main(int argc, char **argv)
{
    static struct mount m = {.ready_fd = -1};
    struct err e;
    options_init(&m.opt);
    if (options_parse(&m.opt, argc, argv, &e) < 0)
        fail(&e);
    if (m.opt.help) {
        print_help(m.opt.help_roff);
        return 0;
    }
    if (m.opt.version) {
        printf("zabfs " PACKAGE_VERSION "\n");
        return 0;
    }
    if (!m.opt.data_dir && client_check_hosts(m.opt.source, &e) < 0)
        fail(&e);
    if (open_tls(&m, &e) < 0)
        fail(&e);
    check_mountpoint(m.opt.mountpoint);
    make_absolute(&m.opt.mountpoint);
    if (m.opt.data_dir)
        make_absolute(&m.opt.data_dir);
    if (m.opt.log)
        make_absolute(&m.opt.log);
    if (!m.opt.foreground)
        go_background(&m);
    int code = run(&m);
    tls_context_close(m.tls);
    options_close(&m.opt);
    return code;
}
