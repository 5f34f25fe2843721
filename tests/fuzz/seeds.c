/* SPDX-License-Identifier: GPL-3.0-or-later */
/* seeds FROM TO: make the inputs that the fuzzers start from, TO/NAME/..., out of the recorded
 * conversation in FROM and of the sample log. */
#include "seeds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zlib.h>

#include "zab/disk_mem.h"
#include "zab/session.h"

static const char *from, *to;

static _Noreturn void die(const char *what, const char *path)
{
    fprintf(stderr, "seeds: cannot %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void make_dir(const char *path)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        die("make", path);
}

void write_seed(const char *fuzzer, const char *name, struct buf *b)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", to, fuzzer);
    make_dir(path);
    snprintf(path, sizeof(path), "%s/%s/%s", to, fuzzer, name);
    FILE *f = fopen(path, "we");
    if (!f || fwrite(b->data, 1, b->len, f) != b->len || fclose(f) != 0)
        die("write", path);
    buf_reset(b);
}

void append_byte(struct buf *b, uint8_t v)
{
    *buf_extend(b, 1) = v;
}

/* ---- The recorded files: lines of hexadecimal digits, and comments ---- */

static void append_hex(struct buf *b, const char *hex)
{
    unsigned v;
    for (; sscanf(hex, "%2x", &v) == 1; hex += 2)
        append_byte(b, (uint8_t)v);
}

void read_hex(const char *name, take_line *take, void *arg)
{
    char path[1024], *line = NULL;
    size_t cap = 0;
    struct buf bytes = {0};
    snprintf(path, sizeof(path), "%s/%s", from, name);
    FILE *f = fopen(path, "re");
    if (!f)
        die("read", path);
    while (getline(&line, &cap, f) > 0) {
        buf_reset(&bytes);
        if (line[0] != '#')
            append_hex(&bytes, line);
        if (bytes.len > 0)
            take(arg, &bytes);
    }
    fclose(f);
    free(line);
    buf_close(&bytes);
}

static void append_line(void *arg, const struct buf *line)
{
    buf_append(arg, line->data, line->len);
}

/* ---- The conversation ---- */

void append_piece(struct buf *b, const struct buf *piece)
{
    append_byte(b, (uint8_t)(piece->len >> 8));
    append_byte(b, (uint8_t)piece->len);
    buf_append(b, piece->data, piece->len);
}

static void append_client_frame(void *arg, const struct buf *frame)
{
    append_byte(arg, FUZZ_STEP(FUZZ_NODE_FRAME, 0));
    append_piece(arg, frame);
    append_byte(arg, FUZZ_STEP(FUZZ_NODE_PERSIST, 0));
}

/* A request, and the answer to it. */
static void append_server_frame(void *arg, const struct buf *frame)
{
    struct buf *b = arg;
    if (b->len > 2 && frame->data[0] != 0xff)
        append_byte(b, FUZZ_STEP(FUZZ_SESSION_REQUEST, frame->data[3] & 7));
    append_byte(b, FUZZ_STEP(FUZZ_SESSION_FRAME, 0));
    append_piece(b, frame);
}

/* A session, and the head of a reply that is longer than what it takes, with some of its body. */
static void write_long_reply(struct buf *b)
{
    const struct zk_connect_response session = {
        .timeout = 6000, .session_id = 1, .password = slice_str("0123456789abcdef")};
    const struct zk_reply_header header = {.xid = 1};
    struct buf piece = {0};
    append_byte(b, 0);
    append_byte(b, FUZZ_STEP(FUZZ_SESSION_CONNECTED, 0));
    zk_connect_response_write(&piece, &session);
    append_byte(b, FUZZ_STEP(FUZZ_SESSION_FRAME, 0));
    append_piece(b, &piece);
    append_byte(b, FUZZ_STEP(FUZZ_SESSION_REQUEST, 0));
    buf_reset(&piece);
    jute_write_int(&piece, SESSION_REPLY_DEFAULT + 1);
    zk_reply_header_write(&piece, &header);
    jute_write_long(&piece, 0);
    append_byte(b, FUZZ_STEP(FUZZ_SESSION_BYTES, 0));
    append_piece(b, &piece);
    write_seed("session", "long", b);
    buf_close(&piece);
}

/* A record of the given kind for each frame; the fuzzer finds out the right one. */
static void write_record(void *arg, const struct buf *frame)
{
    unsigned *n = arg;
    struct buf b = {0};
    char name[32];
    append_byte(&b, (uint8_t)*n);
    buf_append(&b, frame->data, frame->len);
    snprintf(name, sizeof(name), "frame%u", (*n)++);
    write_seed("records", name, &b);
    buf_close(&b);
}

static void write_conversation(struct buf *b)
{
    static const char *const words[] = {"srvr", "stat", "mntr", "cons", "wchs", "wchp", "ruok"};
    struct buf piece = {0};
    unsigned n_frames = 0;
    append_byte(b, 0);
    read_hex("client.hex", append_client_frame, b);
    write_seed("node", "client", b);
    append_byte(b, 0);
    append_byte(b, FUZZ_STEP(FUZZ_SESSION_CONNECTED, 0));
    read_hex("server.hex", append_server_frame, b);
    write_seed("session", "server", b);
    write_long_reply(b);
    read_hex("client.hex", write_record, &n_frames);
    read_hex("server.hex", write_record, &n_frames);
    append_byte(b, 0);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        buf_reset(&piece);
        buf_append(&piece, words[i], strlen(words[i]));
        append_byte(b, FUZZ_STEP(FUZZ_NODE_BYTES, i & 3));
        append_piece(b, &piece);
        append_byte(b, FUZZ_STEP(FUZZ_NODE_TURN, 0));
    }
    write_seed("node", "words", b);
    buf_close(&piece);
}

/* ---- Files ---- */

static void write_log(const char *name, uint8_t settings, const struct buf *log)
{
    struct buf b = {0};
    append_byte(&b, settings);
    buf_append(&b, log->data, log->len);
    write_seed("log", name, &b);
    buf_close(&b);
}

static void write_logs(void)
{
    struct buf log = {0};
    struct zk_file_header header = {0x5a4b4c47, 2, 0}; /* "ZKLG" */
    read_hex("log.hex", append_line, &log);
    write_log("recorded", 0, &log);
    buf_reset(&log);
    zk_file_header_write(&log, &header);
    size_t start = log.len;
    fuzz_sample_log(&log);
    fuzz_seal_log(log.data + start, log.len - start);
    write_log("sample", 0, &log);
    write_log("sealed", 1, &log);
    write_log("two", 3 | 16 << 2, &log);
    buf_close(&log);
}

static void write_gzip(struct buf *plain, struct buf *b)
{
    z_stream z = {.next_in = plain->data, .avail_in = (uInt)plain->len};
    ensure(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY) == Z_OK);
    size_t bound = deflateBound(&z, plain->len);
    append_byte(b, 0);
    z.next_out = buf_extend(b, bound);
    z.avail_out = (uInt)bound;
    ensure(deflate(&z, Z_FINISH) == Z_STREAM_END);
    b->len -= z.avail_out;
    deflateEnd(&z);
    write_seed("snapshot", "gzip", b);
}

static void write_zstd(struct buf *b)
{
    struct disk_mem *mem = disk_mem_open(1);
    struct store store;
    struct err e;
    struct disk_file *file;
    struct tree *t = fuzz_sample_tree();
    tree_set_last_zxid(t, 5);
    ensure(store_open(&store, disk_mem_disk(mem), "/d", NULL, &e) == 0);
    ensure(snapshot_save(&store, t, NULL, &e) == 0);
    ensure(disk_open(store.disk, "/d/version-2/snapshot.5.zst", DISK_READ, &file) == 0);
    size_t size = (size_t)disk_size(file);
    append_byte(b, 0);
    ensure(disk_read(file, buf_extend(b, size), size, 0) == (int64_t)size);
    write_seed("snapshot", "zstd", b);
    disk_close(file);
    tree_close(t);
    store_close(&store);
    disk_mem_close(mem);
}

static void write_snapshots(struct buf *b)
{
    struct buf plain = {0};
    read_hex("snapshot.hex", append_line, &plain);
    for (uint8_t sealed = 0; sealed < 2; sealed++) {
        append_byte(b, sealed);
        buf_append(b, plain.data, plain.len);
        write_seed("snapshot", sealed ? "sealed" : "plain", b);
    }
    write_gzip(&plain, b);
    write_zstd(b);
    buf_close(&plain);
}

static void write_trees(struct buf *b)
{
    struct tree *t = fuzz_sample_tree();
    append_byte(b, 7);
    fuzz_tree_dump(t, b);
    write_seed("load", "sample", b);
    tree_close(t);
}

/* A handshake, something to say for each, and the end; see fuzz_tls.c. */
static void write_tls(struct buf *b)
{
    static const uint8_t steps[] = {0x00, 255, 0x20, 255, 0x00, 255, 0x20, 255, 0x01, 3,  0x21, 200,
                                    0x00, 100, 0x00, 255, 0x20, 255, 0x04, 0,   0x00, 255};
    for (uint8_t version = 0; version < 2; version++) {
        append_byte(b, version);
        buf_append(b, steps, sizeof(steps));
        write_seed("tls", version ? "1.2" : "1.3", b);
    }
}

int main(int argc, char **argv)
{
    struct buf b = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: seeds FROM TO\n");
        return 2;
    }
    from = argv[1];
    to = argv[2];
    make_dir(to);
    write_conversation(&b);
    write_ensemble_seeds(&b);
    write_mount_seeds(&b);
    write_logs();
    write_snapshots(&b);
    write_trees(&b);
    write_tls(&b);
    buf_printf(&b, "# a comment\ntickTime=2000\ndataDir: /d\nclientPort = 2181\n"
                   "forceSync=no\n4lw.commands.whitelist=*\nzab.logLevel=warn\nother=1\n");
    write_seed("config", "sample", &b);
    buf_close(&b);
    return 0;
}
