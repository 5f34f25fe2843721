/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The configuration as servers tell it (QuorumVerifier.toString()): a line for each server,
 * "server.SID=ADDRESSES:ROLE[;CLIENTS]", then "version=ZXID" in hexadecimal. Ours comes from a file
 * and has no version. A leader gives such a one the zxid of its NEWLEADER, so a version with
 * counter 0 is that of a configuration that nobody has changed since; any other is that of a
 * reconfiguration. */
#include "internal.h"

static const char version_key[] = "version=", unversioned[] = "version=0";

static struct slice next_line(struct slice *rest)
{
    const uint8_t *end = slice_size(*rest) > 0 ? memchr(rest->data, '\n', slice_size(*rest)) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : slice_size(*rest);
    struct slice line = slice_of(rest->data, len);
    size_t used = len + (end != NULL);
    *rest = slice_of(rest->data + used, slice_size(*rest) - used);
    return line;
}

static bool starts_with(struct slice line, const char *prefix)
{
    size_t n = strlen(prefix);
    return slice_size(line) >= n && memcmp(line.data, prefix, n) == 0;
}

/* The digits in front; what is too large wraps. */
static int64_t read_digits(struct slice text, unsigned base)
{
    uint64_t v = 0;
    for (size_t i = 0; i < slice_size(text); i++) {
        unsigned c = text.data[i] | 0x20;
        unsigned digit = c >= 'a' ? c - 'a' + 10 : c - '0';
        if (digit >= base)
            break;
        v = v * base + digit;
    }
    return (int64_t)v;
}

/* The role ends the line, or comes before the client's ports. */
static bool is_observer(struct slice line)
{
    static const char role[] = ":observer";
    size_t n = sizeof(role) - 1;
    for (size_t i = 0; i + n <= slice_size(line) && line.data[i] != ';'; i++) {
        if (memcmp(line.data + i, role, n) == 0)
            return true;
    }
    return false;
}

/* True if the line names one of our servers in the role that it has here. */
static bool is_one_of_ours(const struct zab *z, struct slice line, uint64_t *seen)
{
    int64_t sid = read_digits(slice_of(line.data + 7, slice_size(line) - 7), 10);
    int i = quorum_find(&z->quorum, sid);
    if (i < 0 || z->quorum.servers[i].observer != is_observer(line))
        return false;
    *seen |= UINT64_C(1) << i;
    return true;
}

/* A text that names nobody says nothing. */
static bool is_ours(const struct zab *z, struct slice text, int64_t *version)
{
    uint64_t seen = 0, all = 0;
    bool same = true;
    *version = 0;
    while (slice_size(text) > 0) {
        struct slice line = next_line(&text);
        if (starts_with(line, "server."))
            same = is_one_of_ours(z, line, &seen) && same;
        else if (starts_with(line, version_key))
            *version = read_digits(slice_of(line.data + 8, slice_size(line) - 8), 16);
    }
    for (size_t i = 0; i < z->quorum.n; i++)
        all |= UINT64_C(1) << i;
    return same && (seen == all || seen == 0);
}

/* The configuration that the leader establishes. False: it is not ours, and the replica does not
 * serve under it. */
bool membership_told(struct zab *z, struct slice text)
{
    int64_t version;
    if (slice_size(text) == 0)
        return true;
    bool same = is_ours(z, text, &version);
    if (!same && zxid_counter(version) != 0) {
        zab_look(z,
                 "the ensemble was reconfigured (version 0x%llx), and its servers are not those of "
                 "this server's lines: make them the same, and restart it",
                 (unsigned long long)version);
        return false;
    }
    if (!same)
        fx_log(z, LOG_LEVEL_WARN,
               "the leader, server %lld, has other server lines than this server: make them the "
               "same on all servers, two majorities could otherwise lead at once",
               (long long)z->vote.leader);
    else if (!z->follow.leader_is_ours)
        z->config_version = MAX(z->config_version, version);
    return true;
}

/* As a leader of the epoch tells it. */
void membership_write(const struct zab *z, struct buf *b)
{
    size_t len = z->config_text.len, tail = sizeof(unversioned) - 1;
    int64_t version = z->config_version ? z->config_version : zxid_make(z->leader.epoch, 0);
    bool has_none = len >= tail && memcmp(z->config_text.data + len - tail, unversioned, tail) == 0;
    buf_append(b, z->config_text.data, len - (has_none ? 1 : 0));
    if (has_none)
        buf_printf(b, "%llx", (unsigned long long)version);
}
