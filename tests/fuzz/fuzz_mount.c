/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a kernel, the servers and others may do to the core of the mount. The input is steps
 * (fuzz.h). The kernel is one that asks for what it holds: inode numbers and descriptors are those
 * that replies gave, or some that none did; it forgets what it was given and not more.
 *
 * What must hold: each request has one reply, of a kind that its operation can have, with what
 * belongs to it in its bounds; one injection at a time; when it is told to end, and all that was
 * asked is answered, it ends, and asks for nothing after that; who waits for the time that it names
 * is not told the same for ever; nothing is left when the kernel has forgotten all. */
#include "znodes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "zab/mount.h"

enum {
    N_REQUESTS = 1024,
    N_INOS = 256,
    N_FHS = 128,
    N_ASKED = 2048,
    N_OPENERS = 64,
    NAME_SIZE = 512,
    TIMEO_MS = 3000,
    TICKS_MAX = 2000, /* at one time */
};

struct driver {
    struct mount *m;
    struct mount_effects fx;
    struct mount_event event; /* holds the time */
    struct znodes servers;
    unsigned settings;

    struct mount_request requests[N_REQUESTS]; /* by id - 1; id 0: answered */
    size_t n_requests, n_waiting;

    struct {
        uint64_t ino, lookups;
    } inos[N_INOS];
    size_t n_inos;

    struct {
        uint64_t fh;
        bool is_dir;
    } fhs[N_FHS];
    size_t n_fhs;

    struct {
        enum zk_op op;
        struct slice record; /* on the heap */
    } asked[N_ASKED];        /* a ring */
    size_t asked_head, n_asked;

    uint64_t openers[N_OPENERS];
    size_t n_openers;

    bool injecting;
    bool asked_to_mount, mounted, stopped, ended;
};

static bool is_set(const struct driver *d, enum fuzz_mount_setting setting)
{
    return d->settings & FUZZ_MOUNT_SET(setting);
}

/* ---- What the kernel holds ---- */

static void hold_ino(struct driver *d, uint64_t ino)
{
    if (ino == 0)
        return;
    for (size_t i = 0; i < d->n_inos; i++) {
        if (d->inos[i].ino == ino) {
            d->inos[i].lookups++;
            return;
        }
    }
    ensure(d->n_inos < N_INOS);
    d->inos[d->n_inos].ino = ino;
    d->inos[d->n_inos++].lookups = 1;
}

static void hold_fh(struct driver *d, uint64_t fh, bool is_dir)
{
    if (fh == 0)
        return; /* the injector's */
    for (size_t i = 0; i < d->n_fhs; i++)
        ensure(d->fhs[i].fh != fh);
    ensure(d->n_fhs < N_FHS);
    d->fhs[d->n_fhs].fh = fh;
    d->fhs[d->n_fhs++].is_dir = is_dir;
}

/* ---- Replies ---- */

static bool may_be_plain(enum mount_op op)
{
    switch (op) {
    case MOUNT_ACCESS:
    case MOUNT_RELEASEDIR:
    case MOUNT_FLUSH:
    case MOUNT_RELEASE:
    case MOUNT_FSYNC:
    case MOUNT_UNLINK:
    case MOUNT_RMDIR:
    case MOUNT_RENAME:
        return true;
    default:
        return false;
    }
}

static void check_attr(const struct mount_entry *e, uint64_t ino)
{
    ensure(e->attr_ms >= 0 && e->entry_ms >= 0);
    ensure(e->st.st_ino == ino && e->st.st_size >= 0);
    ensure(e->st.st_mtim.tv_nsec >= 0 && e->st.st_mtim.tv_nsec < 1000000000);
    ensure(S_ISDIR(e->st.st_mode) || S_ISREG(e->st.st_mode));
}

static void check_dir(struct driver *d, const struct mount_request *q, const struct mount_reply *r)
{
    bool plus = q->op == MOUNT_READDIRPLUS;
    size_t size = 0;
    uint64_t before = q->offset;
    ensure(plus || q->op == MOUNT_READDIR);
    for (size_t i = 0; i < r->n_entries; i++) {
        const struct mount_entry *e = &r->entries[i];
        size += mount_entry_size(strlen(e->name), plus);
        ensure(e->name[0] && !strchr(e->name, '/') && strlen(e->name) <= 1024);
        ensure(e->ino != 0 && e->next > before && (!e->held || plus));
        before = e->next;
        if (e->held) {
            check_attr(e, e->ino);
            hold_ino(d, e->ino);
        }
    }
    ensure(size <= q->size);
}

static void check_data(const struct mount_request *q, const struct mount_reply *r)
{
    ensure(q->op == MOUNT_READ || q->op == MOUNT_GETXATTR || q->op == MOUNT_LISTXATTR);
    ensure(slice_size(r->data) <= q->size);
    fuzz_piece_free(fuzz_copy(r->data.data, slice_size(r->data)));
}

static void take_entry(struct driver *d, const struct mount_entry *e)
{
    ensure(e->entry_ms >= 0);
    if (e->ino != 0)
        check_attr(e, e->ino);
    hold_ino(d, e->ino);
}

static void check_reply(struct driver *d, const struct mount_request *q,
                        const struct mount_reply *r)
{
    switch (r->type) {
    case MOUNT_REPLY_ERR:
        ensure(r->err >= 0 && r->err < 4096 && (r->err > 0 || may_be_plain(q->op)));
        break;
    case MOUNT_REPLY_ENTRY:
        ensure(q->op == MOUNT_LOOKUP || q->op == MOUNT_MKDIR || q->op == MOUNT_MKNOD ||
               (q->op == MOUNT_CREATE && q->injected));
        take_entry(d, &r->entry);
        break;
    case MOUNT_REPLY_ATTR:
        ensure(q->op == MOUNT_GETATTR || q->op == MOUNT_SETATTR);
        check_attr(&r->entry, q->ino);
        break;
    case MOUNT_REPLY_OPEN:
        ensure(q->op == MOUNT_OPEN || q->op == MOUNT_OPENDIR);
        hold_fh(d, r->opened.fh, q->op == MOUNT_OPENDIR);
        break;
    case MOUNT_REPLY_CREATE:
        ensure(q->op == MOUNT_CREATE && r->entry.ino != 0);
        take_entry(d, &r->entry);
        hold_fh(d, r->opened.fh, false);
        break;
    case MOUNT_REPLY_DATA:
        check_data(q, r);
        break;
    case MOUNT_REPLY_SIZE:
        ensure(q->op == MOUNT_WRITE ? r->size == slice_size(q->data)
                                    : (q->op == MOUNT_GETXATTR || q->op == MOUNT_LISTXATTR));
        break;
    case MOUNT_REPLY_DIR:
        check_dir(d, q, r);
        break;
    case MOUNT_REPLY_STATFS:
        ensure(q->op == MOUNT_STATFS && r->room.block > 0 && r->room.free <= r->room.blocks &&
               r->room.names_free <= r->room.names);
        break;
    }
}

static void take_reply(struct driver *d, const struct mount_reply *r)
{
    ensure(r->id > 0 && r->id <= d->n_requests);
    struct mount_request *q = &d->requests[r->id - 1];
    ensure(q->id == r->id && q->op == r->op && q->op != MOUNT_FORGET);
    check_reply(d, q, r);
    q->id = 0;
    d->n_waiting--;
}

/* ---- Effects ---- */

static void take_ask(struct driver *d, const struct mount_effect *e)
{
    ensure(d->n_asked < N_ASKED);
    size_t at = (d->asked_head + d->n_asked++) % N_ASKED;
    d->asked[at].op = e->ask.op;
    d->asked[at].record = fuzz_copy(e->ask.record.data, slice_size(e->ask.record));
}

static void take_inject(struct driver *d, const struct mount_effect *e)
{
    ensure(d->mounted && !d->injecting && e->inject.path);
    ensure(slice_starts_with(slice_str(e->inject.path), slice_str("/mnt")));
    ensure(e->inject.kind != MOUNT_INJECT_RENAME || e->inject.from);
    d->injecting = true;
}

static void take_effect(struct driver *d, const struct mount_effect *e)
{
    ensure(!d->ended || e->type == MOUNT_REPLY || e->type == MOUNT_LOG);
    switch (e->type) {
    case MOUNT_REPLY:
        ensure(!e->in_vain);
        take_reply(d, e->reply);
        break;
    case MOUNT_ASK:
        take_ask(d, e);
        break;
    case MOUNT_INJECT:
        take_inject(d, e);
        break;
    case MOUNT_INVAL_ENTRY:
        ensure(d->asked_to_mount && e->inval.ino != 0 && e->inval.name[0]);
        break;
    case MOUNT_INVAL_INODE:
        ensure(d->asked_to_mount && e->inval.ino != 0);
        break;
    case MOUNT_LOOK_AT_OPENER:
        ensure(e->opener.pid > 0 && d->n_openers < N_OPENERS);
        d->openers[d->n_openers++] = e->opener.id;
        break;
    case MOUNT_LOG:
        ensure(e->log.text[0]);
        break;
    case MOUNT_DO_MOUNT:
        ensure(!d->asked_to_mount);
        d->asked_to_mount = true;
        break;
    case MOUNT_READY:
        ensure(d->mounted);
        break;
    case MOUNT_END:
        ensure(e->end.err <= 0 && (e->end.err == 0 || e->end.text));
        d->ended = true;
        break;
    }
}

static void step(struct driver *d, enum mount_event_type type)
{
    d->event.type = type;
    mount_step(d->m, &d->event, &d->fx);
    for (size_t i = 0; i < d->fx.n; i++)
        take_effect(d, &d->fx.list[i]);
}

static void pass(struct driver *d, int64_t ms)
{
    d->event.now_ms += ms;
    d->event.wall_ms += ms;
    if (d->ended)
        return;
    step(d, MOUNT_TICK);
    for (unsigned n = 0; mount_deadline(d->m) <= d->event.now_ms; n++) {
        ensure(n < TICKS_MAX);
        step(d, MOUNT_TICK);
    }
}

/* ---- The servers ---- */

static void tell_event(struct driver *d, enum zk_event_type type, struct slice path, int64_t zxid)
{
    d->event.watch.event = (struct zk_watcher_event){.type = type, .state = 3, .path = path};
    d->event.watch.zxid = is_set(d, FUZZ_MOUNT_NO_ZXID) ? -1 : zxid;
    step(d, MOUNT_WATCH_FIRED);
}

static void tell_events(struct driver *d)
{
    struct buf events = d->servers.events;
    const struct znodes_event *e = (void *)events.data;
    d->servers.events = (struct buf){0};
    for (size_t i = 0; i < events.len / sizeof(*e); i++) {
        struct slice path = fuzz_copy((const uint8_t *)e[i].path, strlen(e[i].path));
        if (!d->ended)
            tell_event(d, e[i].type, path, e[i].zxid);
        fuzz_piece_free(path);
        free(e[i].path);
    }
    buf_close(&events);
}

/* Carry out the oldest request, and say of it what the caller says: nothing but that changes a
 * thing if `done` is false. */
static int32_t carry_out(struct driver *d, bool done, struct buf *body)
{
    struct slice record = d->asked[d->asked_head].record;
    int32_t err = ZK_CONNECTIONLOSS;
    if (done) {
        err = znodes_answer(&d->servers, d->asked[d->asked_head].op, record, body);
        tell_events(d);
    }
    if (err != ZK_OK)
        buf_reset(body);
    fuzz_piece_free(record);
    d->asked_head = (d->asked_head + 1) % N_ASKED;
    d->n_asked--;
    return err;
}

static void answer(struct driver *d, int32_t err, struct slice body)
{
    struct slice copy = fuzz_copy(body.data, slice_size(body));
    d->event.answer.err = err;
    d->event.answer.zxid = err == ZK_CONNECTIONLOSS ? 0 : d->servers.zxid;
    d->event.answer.body = copy;
    d->event.answer.too_long = err == ZK_REPLYTOOLONG ? 5 << 20 : 0;
    step(d, MOUNT_ANSWERED);
    fuzz_piece_free(copy);
}

static void answer_well(struct driver *d, size_t n)
{
    struct buf body = {0};
    for (; n > 0 && d->n_asked > 0; n--) {
        buf_reset(&body);
        int32_t err = carry_out(d, true, &body);
        answer(d, err, buf_slice(&body));
    }
    buf_close(&body);
}

static void fail(struct driver *d, uint8_t which, bool done)
{
#define ERROR_NUMBER(name, number, text) number,
    static const int32_t errors[] = {ZK_ERRORS(ERROR_NUMBER)};
    struct buf body = {0};
    if (d->n_asked == 0)
        return;
    carry_out(d, done, &body);
    answer(d, errors[1 + which % (ARRAY_LEN(errors) - 1)], SLICE_EMPTY);
    buf_close(&body);
}

static void mutate(struct driver *d, unsigned where, uint8_t what)
{
    struct buf body = {0};
    if (d->n_asked == 0)
        return;
    int32_t err = carry_out(d, true, &body);
    size_t at = body.len > 0 ? where % body.len : 0;
    if (what == 0)
        body.len = at;
    else if (body.len > 0)
        body.data[at] ^= what;
    answer(d, err, buf_slice(&body));
    buf_close(&body);
}

static void answer_bytes(struct driver *d, struct slice bytes)
{
    struct buf body = {0};
    if (d->n_asked == 0)
        return;
    carry_out(d, true, &body);
    answer(d, ZK_OK, bytes);
    buf_close(&body);
}

static void set_state(struct driver *d, enum client_state state)
{
    bool connected = state == CLIENT_CONNECTED || state == CLIENT_READ_ONLY;
    d->event.session = (struct mount_session){
        .state = state, .server = connected ? "h:2181" : "", .id = 7, .timeout_ms = 6000};
    step(d, MOUNT_SESSION);
}

static void lose(struct driver *d, bool done)
{
    struct buf body = {0};
    set_state(d, CLIENT_CONNECTING);
    for (size_t n = d->n_asked; n > 0; n--) {
        carry_out(d, done, &body);
        answer(d, ZK_CONNECTIONLOSS, SLICE_EMPTY);
    }
    buf_close(&body);
}

/* ---- Others ---- */

static void name_of(uint8_t number, char name[NAME_SIZE])
{
    static const char *const names[] = {
        "a",           "b", "c",    "d",  "e",       ".data",        ".zabfs", "status",
        ".data@znode", "f", "f\n1", "17", "x@znode", ".zabfs@znode", "\xff"};
    if (number % 32 < ARRAY_LEN(names)) {
        snprintf(name, NAME_SIZE, "%s", names[number % 32]);
        return;
    }
    size_t len = number % 32 == 31 ? 300 : 255u - number % 32;
    memset(name, 'l', len);
    name[len] = '\0';
}

static void others(struct driver *d, uint8_t which, uint8_t number, uint8_t how)
{
    struct znodes *t = &d->servers;
    char name[NAME_SIZE], path[1024];
    const char *dir = t->list[which % t->n].path, *to;
    name_of(number, name);
    if (number == 0)
        snprintf(path, sizeof(path), "%.500s", dir);
    else
        snprintf(path, sizeof(path), "%.500s/%s", dir[1] ? dir : "", name);
    struct slice data = slice_of("hello, and good bye", how % 20);
    switch ((enum fuzz_mount_change)(how % FUZZ_MOUNT_CHANGES)) {
    case FUZZ_MOUNT_CREATE_FILE:
    case FUZZ_MOUNT_CREATE_DIR:
    case FUZZ_MOUNT_CREATE_EPHEMERAL:
        znodes_create(t, path,
                      how % FUZZ_MOUNT_CHANGES == FUZZ_MOUNT_CREATE_DIR ? SLICE_NULL : data,
                      how % FUZZ_MOUNT_CHANGES == FUZZ_MOUNT_CREATE_EPHEMERAL);
        break;
    case FUZZ_MOUNT_SET_DATA:
        znodes_set(t, path, data);
        break;
    case FUZZ_MOUNT_DELETE:
        znodes_delete(t, path);
        break;
    case FUZZ_MOUNT_MOVE:
        to = t->list[how / FUZZ_MOUNT_CHANGES % t->n].path;
        snprintf(path, sizeof(path), "%.500s/%s", to[1] ? to : "", name);
        znodes_move(t, dir, path);
        break;
    default:
        znodes_set_acl(t, path, how / FUZZ_MOUNT_CHANGES % ZNODES_ACLS);
        break;
    }
    tell_events(d);
}

/* ---- The kernel ---- */

/* The last two are none. */
static uint64_t pick_ino(const struct driver *d, uint8_t number)
{
    size_t at = number % (d->n_inos + 2);
    return at < d->n_inos ? d->inos[at].ino : at == d->n_inos ? 1 << 20 : 0;
}

static uint64_t pick_fh(const struct driver *d, uint8_t number)
{
    size_t at = number % (d->n_fhs + 2);
    return at < d->n_fhs ? d->fhs[at].fh : at == d->n_fhs ? 1 << 20 : 0;
}

static void send_request(struct driver *d, struct mount_request *q)
{
    if (!d->asked_to_mount)
        return; /* there is nothing that anybody could ask */
    if (q->op != MOUNT_FORGET) {
        ensure(d->n_requests < N_REQUESTS);
        q->id = d->n_requests + 1;
        d->requests[d->n_requests++] = *q;
        d->n_waiting++;
    }
    d->event.request = q;
    step(d, MOUNT_REQUEST);
}

static void forget(struct driver *d, size_t at, uint64_t lookups)
{
    struct mount_request q = {.op = MOUNT_FORGET, .ino = d->inos[at].ino};
    q.lookups = MIN(lookups, d->inos[at].lookups);
    if (q.ino == 1 || q.lookups == 0)
        return;
    d->inos[at].lookups -= q.lookups;
    send_request(d, &q);
}

static void release(struct driver *d, size_t at, bool abandoned)
{
    struct mount_request q = {.op = d->fhs[at].is_dir ? MOUNT_RELEASEDIR : MOUNT_RELEASE,
                              .fh = d->fhs[at].fh,
                              .abandoned = abandoned};
    d->fhs[at] = d->fhs[--d->n_fhs];
    send_request(d, &q);
}

static int open_flags(uint8_t more)
{
    static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY};
    return modes[more & 3] | (more & 4 ? O_APPEND : 0) | (more & 8 ? O_EXCL : 0) |
           (more & 16 ? O_TRUNC : 0);
}

/* What the byte `more` is to each operation. */
static void add_more(struct mount_request *q, uint8_t more)
{
    static const uint64_t sizes[] = {0, 1, 5, 30, 200, 700, 4096, 1 << 20};
    q->mode = (q->op == MOUNT_MKDIR ? S_IFDIR : S_IFREG) | (more & 1   ? 0600
                                                            : more & 2 ? 0644
                                                                       : 0666);
    q->open_flags = open_flags(more);
    q->size = sizes[more & 7];
    q->offset = more >> 3 == 31 ? UINT64_MAX : more >> 3;
    q->mask = more;
    q->flags = more % 5;
    q->set = more & 7;
    if (q->op == MOUNT_SETATTR)
        q->size = sizes[more >> 3 & 7];
}

static void request(struct driver *d, struct fuzz_input *in, uint8_t number, bool injected)
{
    static const char *const xattrs[] = {"user.zk.czxid", "user.zk.acl", "user.zk.version",
                                         "security.selinux"};
    char name[NAME_SIZE], new_name[NAME_SIZE];
    enum mount_op op = fuzz_byte(in) % MOUNT_N_OPS;
    uint8_t ino = fuzz_byte(in), name_number = fuzz_byte(in), more = fuzz_byte(in);
    struct mount_request q = {
        .op = op, .injected = injected, .pid = number % 4, .ino = pick_ino(d, ino)};
    struct slice data = SLICE_EMPTY;
    if (op == MOUNT_FORGET || op == MOUNT_RELEASE || op == MOUNT_RELEASEDIR)
        return; /* steps of their own */
    add_more(&q, more);
    name_of(name_number, name);
    name_of(more / 5, new_name);
    q.name = op == MOUNT_GETXATTR ? xattrs[name_number % ARRAY_LEN(xattrs)] : name;
    q.new_name = new_name;
    if (op == MOUNT_RENAME)
        q.new_ino = pick_ino(d, fuzz_byte(in));
    if (op == MOUNT_READ || op == MOUNT_WRITE || op == MOUNT_READDIR || op == MOUNT_READDIRPLUS ||
        op == MOUNT_FLUSH || op == MOUNT_FSYNC || number >= 4)
        q.fh = pick_fh(d, ino);
    if (op == MOUNT_WRITE) {
        data = fuzz_piece(in);
        q.data = data;
    }
    send_request(d, &q);
    if (op == MOUNT_WRITE)
        fuzz_piece_free(data);
}

/* ---- Steps ---- */

static void told(struct driver *d, unsigned number)
{
    static const int codes[] = {0, -ENOENT, -EPIPE, -EIO, -EEXIST, -ETIMEDOUT, -ESTALE, -EINTR};
    if (!d->injecting)
        return;
    d->injecting = false;
    d->event.rc = codes[number];
    step(d, MOUNT_INJECTED);
}

static void opener_seen(struct driver *d, uint8_t what)
{
    if (d->n_openers == 0)
        return;
    size_t at = what / 12 % d->n_openers;
    d->event.opener.id = d->openers[at];
    d->event.opener.count = what % 4 - 1;
    d->event.opener.own = what / 4 % 3;
    d->openers[at] = d->openers[--d->n_openers];
    step(d, MOUNT_OPENER_SEEN);
}

static void mounted(struct driver *d)
{
    if (!d->asked_to_mount || d->mounted)
        return;
    d->mounted = true;
    step(d, MOUNT_MOUNTED);
}

static void stop(struct driver *d)
{
    if (d->stopped)
        return;
    d->stopped = true;
    step(d, MOUNT_STOP);
}

/* Room for all that a step may give. */
static bool has_room(const struct driver *d)
{
    return d->n_inos < N_INOS - 150 && d->n_fhs < N_FHS - 1 && d->n_openers < N_OPENERS - 1 &&
           d->n_asked < N_ASKED / 2 && d->n_requests < N_REQUESTS - N_FHS - 1;
}

static void take_event(struct driver *d, struct fuzz_input *in, unsigned number)
{
    struct slice path = fuzz_piece(in);
    tell_event(d, (enum zk_event_type)(number + 1), path, d->servers.zxid);
    fuzz_piece_free(path);
}

static void take_answer_bytes(struct driver *d, struct fuzz_input *in)
{
    struct slice bytes = fuzz_piece(in);
    answer_bytes(d, bytes);
    fuzz_piece_free(bytes);
}

static void take_step(struct driver *d, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in), a, b;
    unsigned number = FUZZ_STEP_NUMBER(what);
    switch ((enum fuzz_mount_step)(FUZZ_STEP_KIND(what) % FUZZ_MOUNT_STEPS)) {
    case FUZZ_MOUNT_SESSION:
        set_state(d, number % (CLIENT_CLOSED + 1));
        break;
    case FUZZ_MOUNT_REQUEST:
        request(d, in, number, false);
        break;
    case FUZZ_MOUNT_INJECTED:
        request(d, in, number, true);
        break;
    case FUZZ_MOUNT_ANSWER:
        answer_well(d, number + 1);
        break;
    case FUZZ_MOUNT_ANSWER_ALL:
        answer_well(d, 1000);
        break;
    case FUZZ_MOUNT_FAIL:
        fail(d, fuzz_byte(in), number & 1);
        break;
    case FUZZ_MOUNT_MUTATE:
        a = fuzz_byte(in);
        b = fuzz_byte(in);
        mutate(d, (unsigned)a << 8 | b, fuzz_byte(in));
        break;
    case FUZZ_MOUNT_ANSWER_BYTES:
        take_answer_bytes(d, in);
        break;
    case FUZZ_MOUNT_LOST:
        lose(d, number & 1);
        break;
    case FUZZ_MOUNT_OTHERS:
        a = fuzz_byte(in);
        b = fuzz_byte(in);
        others(d, a, b, fuzz_byte(in));
        break;
    case FUZZ_MOUNT_EVENT:
        take_event(d, in, number);
        break;
    case FUZZ_MOUNT_TOLD:
        told(d, number);
        break;
    case FUZZ_MOUNT_OPENER:
        opener_seen(d, fuzz_byte(in));
        break;
    case FUZZ_MOUNT_TICK:
        pass(d, fuzz_byte(in));
        break;
    case FUZZ_MOUNT_DEADLINE:
        if (mount_deadline(d->m) != INT64_MAX)
            pass(d, MAX(mount_deadline(d->m) - d->event.now_ms, 0));
        break;
    case FUZZ_MOUNT_WAIT:
        pass(d, 1000 * number);
        break;
    case FUZZ_MOUNT_FORGET:
        forget(d, fuzz_byte(in) % d->n_inos, number + 1);
        break;
    case FUZZ_MOUNT_RELEASE:
        a = fuzz_byte(in);
        if (d->n_fhs > 0)
            release(d, a % d->n_fhs, number & 1);
        break;
    case FUZZ_MOUNT_MOUNTED:
        mounted(d);
        break;
    default:
        stop(d);
        break;
    }
}

/* ---- Beginning and end ---- */

static void begin(struct driver *d)
{
    const struct mount_config config = {
        .source = "h:2181",
        .mountpoint = "/mnt",
        .chroot = slice_str(d->servers.chroot),
        .timeo_ms = TIMEO_MS,
        .draft_ms = is_set(d, FUZZ_MOUNT_NO_DRAFT_TIME) ? 0 : 500,
        .cache = is_set(d, FUZZ_MOUNT_PAGES) ? MOUNT_CACHE_PAGES : MOUNT_CACHE_VERSIONS,
        .acl_timeo_ms = is_set(d, FUZZ_MOUNT_NO_ACL_TIMEO) ? 0 : 1000,
        .sync = is_set(d, FUZZ_MOUNT_SYNC),
        .stale_error = is_set(d, FUZZ_MOUNT_STALE_ERROR),
        .read_only = is_set(d, FUZZ_MOUNT_READ_ONLY),
        .skip_unchanged = is_set(d, FUZZ_MOUNT_SKIP_UNCHANGED),
        .ignore_modes = is_set(d, FUZZ_MOUNT_IGNORE_MODES),
        .umask = 022,
    };
    d->m = mount_open(&config, d->event.now_ms);
    hold_ino(d, 1);
    if (is_set(d, FUZZ_MOUNT_IDENTITY))
        mount_add_identity(d->m, slice_str("digest"), slice_str("me:x"));
    if (!is_set(d, FUZZ_MOUNT_BEGUN))
        return;
    set_state(d, CLIENT_CONNECTED);
    answer_well(d, 1000);
    mounted(d);
    told(d, 0);
}

/* All that waits for the outside is told that there is nothing more. */
static void finish(struct driver *d)
{
    if (is_set(d, FUZZ_MOUNT_CUT_OFF) && !d->ended)
        lose(d, false);
    stop(d);
    for (unsigned n = 0; !d->ended; n++) {
        struct buf body = {0};
        ensure(n < 4 * N_ASKED && d->n_asked > 0);
        pass(d, 20);
        if (d->n_asked > 0) {
            carry_out(d, false, &body);
            answer(d, ZK_CONNECTIONLOSS, SLICE_EMPTY);
        }
    }
    while (d->n_asked > 0) {
        struct buf body = {0};
        carry_out(d, false, &body);
        answer(d, ZK_CONNECTIONLOSS, SLICE_EMPTY);
    }
    while (d->n_openers > 0)
        opener_seen(d, 0);
    told(d, 2);
    while (d->n_fhs > 0)
        release(d, 0, false);
    for (size_t i = 0; i < d->n_inos; i++)
        forget(d, i, UINT64_MAX);
    ensure(d->n_waiting == 0);
    mount_close(d->m);
    mount_effects_close(&d->fx);
    znodes_close(&d->servers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct driver d;
    struct fuzz_input in = {data, data + size};
    d = (struct driver){.event = {.now_ms = 1000000, .wall_ms = 1700000000000}};
    d.settings = fuzz_byte(&in);
    d.settings |= (unsigned)fuzz_byte(&in) << 8;
    znodes_open(&d.servers, is_set(&d, FUZZ_MOUNT_CHROOT) ? "/r" : "", is_set(&d, FUZZ_MOUNT_MANY));
    if (is_set(&d, FUZZ_MOUNT_QUOTA))
        d.servers.quota = "count=5,bytes=-1=;byteHardLimit=70000;countHardLimit=-1";
    begin(&d);
    while (in.pos < in.end && !d.ended && has_room(&d))
        take_step(&d, &in);
    finish(&d);
    return 0;
}
