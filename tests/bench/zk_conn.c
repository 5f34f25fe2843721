/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zk_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 512,
    READ_SIZE = 64 << 10,
    SESSION_MS = 300000, /* longer than any load, so that it needs no pings */
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "the server closed it");
    exit(1);
}

uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void zk_loop_init(struct zk_loop *loop)
{
    *loop = (struct zk_loop){.epfd = epoll_create1(EPOLL_CLOEXEC)};
    if (loop->epfd < 0)
        die("epoll");
}

static void wait_for(struct zk_loop *loop, struct zk_conn *c, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};
    if (epoll_ctl(loop->epfd, op, c->fd, &ev) != 0)
        die("epoll");
}

/* ---- Requests ---- */

static size_t frame_begin(struct zk_conn *c)
{
    jute_write_int(&c->out, 0);
    return c->out.len;
}

static void frame_end(struct zk_conn *c, size_t start)
{
    be32_put(c->out.data + start - 4, (uint32_t)(c->out.len - start));
}

static size_t request_begin(struct zk_conn *c, enum zk_op op)
{
    size_t start = frame_begin(c);
    const struct zk_request_header header = {++c->last_xid, op};
    ensure(c->outstanding < ZK_CONN_OUTSTANDING_MAX);
    c->sent_us[(c->first + c->outstanding++) % ZK_CONN_OUTSTANDING_MAX] = now_us();
    zk_request_header_write(&c->out, &header);
    return start;
}

void zk_conn_create(struct zk_conn *c, const char *path, struct slice data)
{
    struct buf acl = {0};
    const struct zk_acl open = {ZK_PERM_ALL, {slice_str("world"), slice_str("anyone")}};
    zk_acl_write(&acl, &open);
    const struct zk_create_request q = {slice_str(path), data, {1, buf_slice(&acl)}, ZK_PERSISTENT};
    size_t start = request_begin(c, ZK_OP_create);
    zk_create_request_write(&c->out, &q);
    frame_end(c, start);
    buf_close(&acl);
}

void zk_conn_delete(struct zk_conn *c, const char *path)
{
    const struct zk_path_version q = {slice_str(path), -1};
    size_t start = request_begin(c, ZK_OP_delete);
    zk_path_version_write(&c->out, &q);
    frame_end(c, start);
}

void zk_conn_set(struct zk_conn *c, const char *path, struct slice data)
{
    const struct zk_set_data q = {slice_str(path), data, -1};
    size_t start = request_begin(c, ZK_OP_setData);
    zk_set_data_write(&c->out, &q);
    frame_end(c, start);
}

void zk_conn_get(struct zk_conn *c, const char *path, bool watch)
{
    const struct zk_watched_read q = {slice_str(path), watch};
    size_t start = request_begin(c, ZK_OP_getData);
    zk_watched_read_write(&c->out, &q);
    frame_end(c, start);
}

void zk_conn_sync(struct zk_conn *c, const char *path)
{
    const struct zk_path q = {slice_str(path)};
    size_t start = request_begin(c, ZK_OP_sync);
    zk_path_write(&c->out, &q);
    frame_end(c, start);
}

/* ---- The socket ---- */

static void request_session(struct zk_conn *c)
{
    static const uint8_t no_password[ZK_PASSWORD_SIZE];
    const struct zk_connect_request q = {.timeout = SESSION_MS,
                                         .password = slice_of(no_password, ZK_PASSWORD_SIZE)};
    size_t start = frame_begin(c);
    zk_connect_request_write(&c->out, &q);
    jute_write_bool(&c->out, false);
    frame_end(c, start);
}

static struct sockaddr_in parse_host(const char *host)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    char ip[INET_ADDRSTRLEN];
    const char *colon = strchr(host, ':');
    size_t len = colon ? (size_t)(colon - host) : 0;
    if (colon && len < sizeof(ip)) {
        memcpy(ip, host, len);
        ip[len] = '\0';
        sin.sin_port = htons((uint16_t)atoi(colon + 1));
        if (inet_pton(AF_INET, ip, &sin.sin_addr) == 1)
            return sin;
    }
    fprintf(stderr, "%s: not of the form ADDRESS:PORT\n", host);
    exit(2);
}

void zk_conn_open(struct zk_loop *loop, struct zk_conn *c, const char *host)
{
    struct sockaddr_in sin = parse_host(host);
    int on = 1;
    *c = (struct zk_conn){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) != 0)
        die(host);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->sent_us = mem_alloc(ZK_CONN_OUTSTANDING_MAX * sizeof(*c->sent_us));
    wait_for(loop, c, EPOLL_CTL_ADD, EPOLLIN);
    request_session(c);
    zk_conn_flush(loop, c);
}

void zk_conn_flush(struct zk_loop *loop, struct zk_conn *c)
{
    while (c->out.len > 0) {
        ssize_t n = write(c->fd, c->out.data, c->out.len);
        if (n < 0 && errno != EAGAIN)
            die("write");
        if (n < 0)
            break;
        buf_consume(&c->out, (size_t)n);
    }
    bool blocked = c->out.len > 0;
    if (blocked != c->blocked)
        wait_for(loop, c, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    c->blocked = blocked;
}

static void take_session(struct zk_conn *c, struct jute_reader *r)
{
    struct zk_connect_response response;
    zk_connect_response_read(r, &response);
    errno = EPROTO;
    if (!jute_ok(r) || response.session_id == 0)
        die("no session");
    c->has_session = true;
}

static void take_frame(struct zk_loop *loop, struct zk_conn *c, struct slice frame)
{
    struct jute_reader r = jute_reader_of(frame);
    struct zk_reply_header header;
    if (!c->has_session) {
        take_session(c, &r);
        return;
    }
    zk_reply_header_read(&r, &header);
    if (header.xid == ZK_XID_WATCH) {
        c->n_events++;
        return;
    }
    errno = EPROTO;
    if (!jute_ok(&r) || c->outstanding == 0)
        die("a reply without a request");
    uint64_t us = now_us() - c->sent_us[c->first];
    c->first = (c->first + 1) % ZK_CONN_OUTSTANDING_MAX;
    c->outstanding--;
    if (loop->on_reply)
        loop->on_reply(loop->arg, c, header.err, us);
}

static void receive(struct zk_loop *loop, struct zk_conn *c)
{
    ssize_t n = read(c->fd, buf_extend(&c->in, READ_SIZE), READ_SIZE);
    c->in.len -= READ_SIZE - (size_t)MAX(n, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    errno = n == 0 ? 0 : errno;
    if (n <= 0)
        die("connection");
    size_t pos = 0;
    while (c->in.len - pos >= 4 && c->in.len - pos - 4 >= be32_get(c->in.data + pos)) {
        size_t len = be32_get(c->in.data + pos);
        take_frame(loop, c, slice_of(c->in.data + pos + 4, len));
        pos += 4 + len;
    }
    buf_consume(&c->in, pos);
    if (loop->on_read)
        loop->on_read(loop->arg, c);
    zk_conn_flush(loop, c);
}

void zk_loop_poll(struct zk_loop *loop, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(loop->epfd, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++) {
        if (events[i].events & EPOLLOUT)
            zk_conn_flush(loop, events[i].data.ptr);
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            receive(loop, events[i].data.ptr);
    }
}

void zk_conn_finish(struct zk_loop *loop, struct zk_conn *c)
{
    zk_conn_flush(loop, c);
    while (c->outstanding > 0)
        zk_loop_poll(loop, 100);
}
