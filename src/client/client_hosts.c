/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HOST:PORT[,HOST:PORT...][/CHROOT], as ZooKeeper's connect strings are. */
#include <errno.h>
#include <stdlib.h>

#include "zab/client.h"

static bool is_port(struct slice s)
{
    long port = 0;
    for (int32_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9' || i >= 5)
            return false;
        port = port * 10 + (s.data[i] - '0');
    }
    return port > 0 && port <= 65535;
}

/* Where the host ends: behind the bracket of an IPv6 address, or before the colon. -1: bad. */
static int32_t host_length(struct slice entry)
{
    const uint8_t *end;
    if (entry.len > 0 && entry.data[0] == '[') {
        end = memchr(entry.data, ']', (size_t)entry.len);
        return end && end > entry.data + 1 ? (int32_t)(end - entry.data) + 1 : -1;
    }
    end = memchr(entry.data, ':', (size_t)entry.len);
    int32_t len = end ? (int32_t)(end - entry.data) : entry.len;
    return len > 0 && len <= 255 ? len : -1;
}

static int add_host(struct client_hosts *h, struct slice entry, struct err *e)
{
    int32_t len = host_length(entry);
    if (len < 0)
        return err_set(e, -EINVAL, "host list: '%.*s' has no host; write HOST:PORT or [IPV6]:PORT",
                       SLICE_ARG(entry));
    struct buf text = {0};
    buf_append(&text, entry.data, (size_t)len);
    if (len == entry.len) {
        buf_printf(&text, ":%d", ZK_DEFAULT_PORT);
    } else {
        struct slice port = slice_of(entry.data + len + 1, (size_t)(entry.len - len - 1));
        if (entry.data[len] != ':' || !is_port(port)) {
            buf_close(&text);
            return err_set(e, -EINVAL,
                           "host list: '%.*s': the port must be 1 to 65535, and an IPv6 address "
                           "in brackets",
                           SLICE_ARG(entry));
        }
        buf_append(&text, entry.data + len, (size_t)(entry.len - len));
    }
    h->host_port = mem_realloc(h->host_port, (h->n + 1) * sizeof(*h->host_port));
    h->host_port[h->n++] = slice_dup_str(buf_slice(&text));
    buf_close(&text);
    return 0;
}

static int parse_chroot(struct client_hosts *h, const char *chroot, struct err *e)
{
    const char *bad = *chroot ? zk_path_check(slice_str(chroot), false) : NULL;
    if (bad)
        return err_set(e, -EINVAL, "host list: chroot '%s': %s", chroot, bad);
    h->chroot = mem_strdup(strcmp(chroot, "/") == 0 ? "" : chroot);
    return 0;
}

int client_hosts_parse(struct client_hosts *h, const char *hosts, struct err *e)
{
    *h = (struct client_hosts){0};
    const char *end = strchrnul(hosts, '/');
    int rc = parse_chroot(h, end, e);
    for (const char *entry = hosts, *comma; rc == 0; entry = comma + 1) {
        comma = memchr(entry, ',', (size_t)(end - entry));
        rc = add_host(h, slice_of(entry, (size_t)((comma ? comma : end) - entry)), e);
        if (!comma)
            break;
    }
    if (rc != 0)
        client_hosts_close(h);
    return rc;
}

void client_hosts_close(struct client_hosts *h)
{
    for (unsigned i = 0; i < h->n; i++)
        free(h->host_port[i]);
    free(h->host_port);
    free(h->chroot);
    *h = (struct client_hosts){0};
}

int client_check_hosts(const char *hosts, struct err *e)
{
    struct client_hosts h;
    int rc = client_hosts_parse(&h, hosts, e);
    if (rc == 0)
        client_hosts_close(&h);
    return rc;
}
