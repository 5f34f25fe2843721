/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zabfs: connect, mount, answer; on SIGTERM commit what is open, unmount, end the session.
 *
 * In the background the parent waits until the mount has answered a system call, so that whoever
 * started it finds a mount or an error, and nothing between. */
#include "shell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- Identity ---- */

/* A digest's id is the user and the base64 of the SHA-1 of "user:password". */
static void add_digest(struct shell *sh, const char *credential)
{
    unsigned char sha[EVP_MAX_MD_SIZE];
    unsigned char base64[2 * EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct buf id = {0};
    if (EVP_Digest(credential, strlen(credential), sha, &len, EVP_sha1(), NULL) != 1)
        return;
    EVP_EncodeBlock(base64, sha, (int)len);
    buf_printf(&id, "%.*s:%s", (int)strcspn(credential, ":"), credential, (char *)base64);
    mount_add_identity(sh->core, slice_str("digest"), buf_slice(&id));
    buf_close(&id);
}

/* ---- Start ---- */

static _Noreturn void fail(const struct err *e)
{
    fprintf(stderr, "zabfs: %s\n", e->text);
    exit(1);
}

static void on_closed(void *arg)
{
    struct shell *sh = arg;
    uv_stop(sh->loop);
}

void shell_end(struct shell *sh, int err, const char *text)
{
    if (sh->ended)
        return;
    sh->ended = true;
    if (err != 0) {
        fprintf(stderr, "zabfs: %s: %s\n", sh->opt.source, text);
        sh->exit_code = 1;
    }
    fuse_shell_unmount(sh);
    client_close(sh->client, on_closed, sh);
}

void shell_ready(struct shell *sh)
{
    struct statx st;
    if (statx(AT_FDCWD, sh->opt.mountpoint, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0)
        sh->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
    log_set_level(LOG_LEVEL_INFO);
    if (sh->ready_fd < 0) {
        log_info("mounted %s on %s", sh->opt.source, sh->opt.mountpoint);
        return;
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log =
        sh->opt.log ? open(sh->opt.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : null;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    if (write(sh->ready_fd, "", 1) < 0)
        log_warn("nobody waits for the mount");
    close(sh->ready_fd);
    sh->ready_fd = -1;
    log_info("mounted %s on %s", sh->opt.source, sh->opt.mountpoint);
}

static void on_connect_timeout(uv_timer_t *timer)
{
    struct shell *sh = timer->data;
    struct err e;
    err_set(&e, -ETIMEDOUT, "no server has answered within %d.%d seconds (-o timeo=)",
            sh->opt.timeo_ms / 1000, sh->opt.timeo_ms % 1000 / 100);
    shell_end(sh, e.code, e.text);
}

static void on_state(void *arg, enum client_state state)
{
    struct shell *sh = arg;
    struct mount_event e = {.type = MOUNT_SESSION};
    if (state == CLIENT_AUTH_FAILED && !sh->session) {
        shell_end(sh, -EACCES, "authentication failed (-o auth= or authfile=)");
        return;
    }
    if (state == CLIENT_CONNECTED)
        uv_timer_stop(&sh->connect_timer);
    e.session.state = state;
    e.session.server = client_server(sh->client);
    e.session.id = client_session_id(sh->client);
    e.session.timeout_ms = client_timeout_ms(sh->client);
    shell_step(sh, &e);
}

static void on_event(void *arg, const struct zk_watcher_event *event, int64_t zxid)
{
    struct mount_event e = {.type = MOUNT_WATCH_FIRED};
    e.watch.event = *event;
    e.watch.zxid = zxid;
    shell_step(arg, &e);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    shell_step(signal->data, &(struct mount_event){.type = MOUNT_STOP});
}

/* ---- The loop ---- */

static void init(struct shell *sh)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    sh->loop = uv_default_loop();
    sh->armed = INT64_MAX;
    uv_timer_init(sh->loop, &sh->connect_timer);
    uv_timer_init(sh->loop, &sh->core_timer);
    uv_idle_init(sh->loop, &sh->core_idle);
    sh->connect_timer.data = sh->core_timer.data = sh->core_idle.data = sh;
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        uv_signal_init(sh->loop, &sh->signals[i]);
        sh->signals[i].data = sh;
        uv_signal_start(&sh->signals[i], on_signal, signals[i]);
    }
    signal(SIGPIPE, SIG_IGN);
}

static void open_client(struct shell *sh)
{
    struct err e;
    const struct client_config config = {
        .hosts = sh->standalone ? standalone_hosts(sh->standalone) : sh->opt.source,
        .request_timeout_ms = sh->opt.timeo_ms,
        .reply_max = sh->opt.max_reply,
        .tls = sh->tls,
        .on_state = on_state,
        .on_event = on_event,
        .arg = sh,
    };
    if (client_open(sh->loop, &config, &sh->client, &e) < 0)
        fail(&e);
}

static void open_core(struct shell *sh)
{
    const struct options *o = &sh->opt;
    const struct mount_config config = {
        .source = o->source,
        .mountpoint = o->mountpoint,
        .chroot = client_chroot(sh->client),
        .timeo_ms = o->timeo_ms,
        .draft_ms = o->draft_ms,
        .cache = o->cache_pages ? MOUNT_CACHE_PAGES : MOUNT_CACHE_VERSIONS,
        .acl_timeo_ms = o->acl_timeo_ms,
        .skip_unchanged = o->skip_unchanged,
        .ignore_modes = o->ignore_modes,
        .umask = o->umask,
        .sync = o->sync,
        .stale_error = o->stale_error,
        .read_only = o->read_only,
        .uid = o->uid,
        .gid = o->gid,
    };
    sh->core = mount_open(&config, (int64_t)uv_now(sh->loop));
    for (size_t i = 0; i < o->n_auth; i++) {
        const char *auth = o->auth[i];
        const char *colon = strchr(auth, ':');
        char *scheme = slice_dup_str(slice_of(auth, (size_t)(colon - auth)));
        client_add_auth(sh->client, scheme, slice_str(colon + 1));
        if (strcmp(scheme, "digest") == 0)
            add_digest(sh, colon + 1);
        free(scheme);
    }
}

static int run(struct shell *sh)
{
    struct err e;
    if (inject_child_start(&sh->child, sh->opt.mountpoint, sh->opt.auto_unmount) < 0)
        ensure_failed("inject_child_start", __FILE__, __LINE__);
    init(sh);
    if (sh->opt.data_dir && standalone_start(sh, sh->opt.data_dir, &e) < 0)
        fail(&e);
    open_client(sh);
    open_core(sh);
    uv_timer_start(&sh->connect_timer, on_connect_timeout, (uint64_t)sh->opt.timeo_ms, 0);
    uv_run(sh->loop, UV_RUN_DEFAULT);
    inject_stop(sh);
    standalone_stop(sh->standalone);
    if (sh->session)
        fuse_session_destroy(sh->session);
    mount_close(sh->core);
    mount_effects_close(&sh->fx);
    free(sh->later);
    return sh->exit_code;
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

static void go_background(struct shell *sh)
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
    sh->ready_fd = fds[1];
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

/* One over the other would leave the first below, with its session. */
static void check_not_mounted(const char *path)
{
    FILE *f = setmntent("/proc/self/mounts", "re");
    for (struct mntent *e; f && (e = getmntent(f));) {
        if (strcmp(e->mnt_dir, path) != 0 || strcmp(e->mnt_type, "fuse.zabfs") != 0)
            continue;
        fprintf(stderr, "zabfs: %s: %s is mounted there already; fusermount3 -u %s unmounts it\n",
                path, e->mnt_fsname, path);
        exit(1);
    }
    if (f)
        endmntent(f);
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
static int open_tls(struct shell *sh, struct err *e)
{
    const struct client_tls tls = {.prefix = "tls_",
                                   .ca = sh->opt.tls_ca,
                                   .cert = sh->opt.tls_cert,
                                   .key = sh->opt.tls_key,
                                   .any_host = sh->opt.tls_any_host};
    if (sh->opt.tls_ca && sh->opt.data_dir)
        return err_set(e, -EINVAL, "option tls_ca=: a server of its own speaks no TLS");
    return client_tls_open(&sh->tls, &tls, e);
}

int main(int argc, char **argv)
{
    static struct shell sh = {.ready_fd = -1};
    struct err e;
    options_init(&sh.opt);
    if (options_parse(&sh.opt, argc, argv, &e) < 0)
        fail(&e);
    if (sh.opt.help) {
        print_help(sh.opt.help_roff);
        return 0;
    }
    if (sh.opt.version) {
        printf("zabfs " PACKAGE_VERSION "\n");
        return 0;
    }
    options_hide_auth(argc, argv);
    if (sh.opt.remount)
        return 0; /* the kernel does that itself; there is nothing here that can change */
    if (!sh.opt.data_dir && client_check_hosts(sh.opt.source, &e) < 0)
        fail(&e);
    if (open_tls(&sh, &e) < 0)
        fail(&e);
    check_mountpoint(sh.opt.mountpoint);
    make_absolute(&sh.opt.mountpoint);
    check_not_mounted(sh.opt.mountpoint);
    if (sh.opt.data_dir)
        make_absolute(&sh.opt.data_dir);
    if (sh.opt.log)
        make_absolute(&sh.opt.log);
    if (!sh.opt.foreground)
        go_background(&sh);
    int code = run(&sh);
    tls_context_close(sh.tls);
    options_close(&sh.opt);
    return code;
}
