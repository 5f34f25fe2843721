/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much room is there? What a quota of the CHROOT leaves; without one, what one more file may
 * have: a server tells of no other limit. */
#include "core.h"

#include <stdlib.h>

enum {
    BLOCK = 4096,
};

struct statfs {
    struct req req;
    int64_t bytes_max, names_max; /* -1: no limit */
    int64_t bytes, names;
};

/* The number behind `key`= in "count=5,bytes=-1=;byteHardLimit=7". */
static int64_t number_of(struct slice text, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i + len < slice_size(text); i++) {
        bool begins = i == 0 || text.data[i - 1] == ',' || text.data[i - 1] == ';';
        if (!begins || memcmp(text.data + i, key, len) != 0 || text.data[i + len] != '=')
            continue;
        int64_t n = 0;
        for (size_t k = i + len + 1; k < slice_size(text) && text.data[k] >= '0' &&
                                     text.data[k] <= '9' && n < INT64_MAX / 16;
             k++)
            n = 10 * n + (text.data[k] - '0');
        bool none = i + len + 1 < slice_size(text) && text.data[i + len + 1] == '-';
        return none ? -1 : n;
    }
    return -1;
}

static int64_t lower(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

static void statfs_end(struct statfs *s)
{
    struct mount_reply *r = reply_add(s->req, MOUNT_REPLY_STATFS);
    r->room.block = BLOCK;
    r->room.blocks = r->room.free = ZK_PACKET_MAX / BLOCK + 1;
    if (s->bytes_max >= 0) {
        r->room.blocks = (uint64_t)s->bytes_max / BLOCK;
        r->room.free = (uint64_t)MAX(s->bytes_max - s->bytes, 0) / BLOCK;
    }
    if (s->names_max >= 0) {
        r->room.names = (uint64_t)s->names_max;
        r->room.names_free = (uint64_t)MAX(s->names_max - s->names, 0);
    }
    free(s);
}

static struct slice data_of(const struct answer *answer)
{
    struct jute_reader in = jute_reader_of(answer->body);
    struct zk_get_data_response get;
    zk_get_data_response_read(&in, &get);
    return answer->err == ZK_OK && jute_ok(&in) ? get.data : SLICE_EMPTY;
}

static void on_stats(void *arg, const struct answer *answer)
{
    struct statfs *s = arg;
    s->bytes = MAX(number_of(data_of(answer), "bytes"), 0);
    s->names = MAX(number_of(data_of(answer), "count"), 0);
    statfs_end(s);
}

/* A node of the CHROOT's quota, which is outside of it. */
static void ask_quota(struct statfs *s, const char *name, answer_done *done)
{
    struct mount *m = s->req.m;
    struct buf path = {0};
    buf_printf(&path, "/zookeeper/quota%.*s/%s", SLICE_ARG(m->config.chroot), name);
    ask_get_absolute(m, buf_slice(&path), done, s);
    buf_close(&path);
}

static void on_limits(void *arg, const struct answer *answer)
{
    struct statfs *s = arg;
    struct slice text = data_of(answer);
    s->bytes_max = lower(number_of(text, "bytes"), number_of(text, "byteHardLimit"));
    s->names_max = lower(number_of(text, "count"), number_of(text, "countHardLimit"));
    if (s->bytes_max < 0 && s->names_max < 0)
        statfs_end(s);
    else
        ask_quota(s, "zookeeper_stats", on_stats);
}

void req_statfs(struct mount *m, const struct mount_request *q, struct req req)
{
    struct statfs *s = mem_zalloc(sizeof(*s));
    *s = (struct statfs){.req = req, .bytes_max = -1, .names_max = -1};
    if (q->injected || mount_is_cut_off(m))
        statfs_end(s);
    else
        ask_quota(s, "zookeeper_limits", on_limits);
}
