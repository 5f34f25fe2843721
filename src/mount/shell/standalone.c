/* SPDX-License-Identifier: GPL-3.0-or-later */
/* standalone:DATADIR: a private zabd, started before the mount and stopped after it. Its
 * configuration is made the first time and is the user's from then on. */
#include "shell.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RESTART_MS = 1000,
    STOP_MS = 5000,
};

struct standalone {
    struct shell *sh;
    char *config;
    char *log;
    char program[PATH_MAX];
    char hosts[32];
    int lock;  /* the directory, open and locked */
    pid_t pid; /* 0: not running */
    uv_timer_t timer;
};

/* ---- The configuration ---- */

static bool port_is_free(int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static int write_config(const char *path, const char *data_dir, struct err *e)
{
    int port = ZK_DEFAULT_PORT;
    while (port < 65535 && !port_is_free(port))
        port++;
    FILE *f = fopen(path, "wxe");
    if (!f)
        return err_set(e, -errno, "cannot make %s: %s", path, strerror(errno));
    fprintf(f, "tickTime=2000\ndataDir=%s/data\nclientPortAddress=127.0.0.1\nclientPort=%d\n",
            data_dir, port);
    if (fclose(f) != 0)
        return err_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

static int read_port(const char *path, int *port, struct err *e)
{
    char line[1024];
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, -errno, "cannot read %s: %s", path, strerror(errno));
    *port = 0;
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, " clientPort = %d", port) == 1 ||
            sscanf(line, " clientPort=%d", port) == 1)
            break;
    }
    fclose(f);
    if (*port <= 0 || *port > 65535)
        return err_set(e, -EINVAL, "%s names no clientPort", path);
    return 0;
}

/* ---- The process ---- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/* Beside our own executable, in ../sbin, in PATH. */
static int find_program(struct standalone *s, struct err *e)
{
    char self[PATH_MAX - 32];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len > 0) {
        self[len] = '\0';
        *strrchr(self, '/') = '\0';
        snprintf(s->program, sizeof(s->program), "%s/zabd", self);
        if (is_program(s->program))
            return 0;
        snprintf(s->program, sizeof(s->program), "%s/../sbin/zabd", self);
        if (is_program(s->program))
            return 0;
    }
    const char *path = getenv("PATH");
    for (const char *end; path && *path != '\0'; path = *end == '\0' ? end : end + 1) {
        end = strchrnul(path, ':');
        snprintf(s->program, sizeof(s->program), "%.*s/zabd", (int)(end - path), path);
        if (is_program(s->program))
            return 0;
    }
    return err_set(e, -ENOENT, "zabd is neither beside zabfs nor in PATH; standalone: needs it");
}

static void child(const struct standalone *s, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int null = open("/dev/null", O_RDONLY);
    if (log < 0 || null < 0 || getppid() != parent)
        _exit(126);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    execl(s->program, "zabd", s->config, (char *)NULL);
    _exit(127);
}

static void spawn(struct standalone *s)
{
    pid_t parent = getpid();
    s->pid = fork();
    if (s->pid == 0)
        child(s, parent);
    if (s->pid < 0) {
        log_error("cannot start %s: %s", s->program, strerror(errno));
        s->pid = 0;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct standalone *s = timer->data;
    int status;
    if (s->pid > 0 && waitpid(s->pid, &status, WNOHANG) != s->pid)
        return;
    if (s->pid > 0)
        log_warn("zabd ended with status 0x%x; see %s; starting it again", (unsigned)status,
                 s->log);
    spawn(s);
}

/* One zabfs runs the server of a directory. */
static int lock_directory(struct standalone *s, const char *dir, struct err *e)
{
    s->lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->lock < 0)
        return err_set(e, -errno, "cannot open %s: %s", dir, strerror(errno));
    if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
        return err_set(e, -errno,
                       "%s is in use by another zabfs; mount its server instead: see %s/zoo.cfg",
                       dir, dir);
    return 0;
}

int standalone_start(struct shell *sh, const char *data_dir, struct err *e)
{
    struct standalone *s = mem_zalloc(sizeof(*s));
    struct buf text = {0};
    int port;
    s->sh = sh;
    sh->standalone = s;
    if (mkdir(data_dir, 0755) < 0 && errno != EEXIST)
        return err_set(e, -errno, "cannot make %s: %s", data_dir, strerror(errno));
    char *dir = realpath(data_dir, NULL);
    if (!dir)
        return err_set(e, -errno, "%s: %s", data_dir, strerror(errno));
    buf_printf(&text, "%s/zoo.cfg", dir);
    s->config = slice_dup_str(buf_slice(&text));
    buf_reset(&text);
    buf_printf(&text, "%s/zabd.log", dir);
    s->log = slice_dup_str(buf_slice(&text));
    buf_close(&text);
    int rc = lock_directory(s, dir, e);
    if (rc == 0)
        rc = find_program(s, e);
    if (rc == 0 && access(s->config, F_OK) != 0)
        rc = write_config(s->config, dir, e);
    if (rc == 0)
        rc = read_port(s->config, &port, e);
    free(dir);
    if (rc < 0)
        return rc;
    snprintf(s->hosts, sizeof(s->hosts), "127.0.0.1:%d", port);
    spawn(s);
    uv_timer_init(sh->loop, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_timer, RESTART_MS, RESTART_MS);
    return 0;
}

const char *standalone_hosts(const struct standalone *s)
{
    return s->hosts;
}

void standalone_stop(struct standalone *s)
{
    if (!s)
        return;
    if (s->timer.data)
        uv_timer_stop(&s->timer);
    if (s->pid > 0) {
        kill(s->pid, SIGTERM);
        for (int ms = 0; ms < STOP_MS && waitpid(s->pid, NULL, WNOHANG) == 0; ms += 10)
            usleep(10000);
    }
    close(s->lock);
    free(s->config);
    free(s->log);
    free(s);
}
