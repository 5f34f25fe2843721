/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client that had to be content with a server without a quorum asks the others, by the
 * four-letter word for it, whether they have one. */
#include "client_impl.h"

#include <stdlib.h>

enum {
    PROBE_TIMEOUT_MS = 1000,
};

struct client_probe {
    struct client *client; /* NULL: dropped */
    unsigned host;
};

static void on_answer(void *arg, const struct client_reply *reply)
{
    struct client_probe *probe = arg;
    struct client *c = probe->client;
    unsigned host = probe->host;
    free(probe);
    if (!c)
        return;
    c->probe = NULL;
    client_on_probed(c, host, slice_eq_str(reply->body, "rw"));
}

void client_probe_start(struct client *c, unsigned host)
{
    if (c->probe)
        return;
    c->probe = mem_alloc(sizeof(*c->probe));
    *c->probe = (struct client_probe){c, host};
    int rc = client_four_letter(c->loop, c->config.tls, c->hosts.host_port[host], "isro",
                                PROBE_TIMEOUT_MS, on_answer, c->probe, NULL);
    ensure(rc == 0); /* client_open() parsed the host */
}

void client_probe_drop(struct client *c)
{
    if (c->probe)
        c->probe->client = NULL;
    c->probe = NULL;
}
