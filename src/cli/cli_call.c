/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client behind calls that wait, and what its errors mean to a user. */
#include "cli.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void on_event(void *arg, const struct zk_watcher_event *event, int64_t zxid)
{
    (void)zxid;
    struct cli *cli = arg;
    if (cli->on_event)
        cli->on_event(cli, event);
}

static void on_state(void *arg, enum client_state state)
{
    struct cli *cli = arg;
    if (cli->on_state)
        cli->on_state(cli, state);
}

static void add_auth(struct client *client, const char *auth)
{
    const char *colon = strchr(auth, ':');
    char *scheme = slice_dup_str(slice_of(auth, (size_t)(colon - auth)));
    client_add_auth(client, scheme, slice_str(colon + 1));
    free(scheme);
}

struct client *cli_client(struct cli *cli)
{
    if (cli->client)
        return cli->client;
    const struct client_config config = {.hosts = cli->servers,
                                         .timeout_ms = cli->timeout_ms,
                                         .request_timeout_ms = cli->timeout_ms,
                                         .reply_max = cli->max_reply,
                                         .tls = cli->tls_context,
                                         .on_state = on_state,
                                         .on_event = on_event,
                                         .arg = cli};
    uv_loop_init(&cli->loop);
    int rc = client_open(&cli->loop, &config, &cli->client, NULL);
    ensure(rc == 0); /* main checked the list of hosts */
    for (size_t i = 0; i < cli->n_auths; i++)
        add_auth(cli->client, cli->auths[i]);
    return cli->client;
}

static void on_closed(void *arg)
{
    struct cli *cli = arg;
    cli->client = NULL;
}

void cli_close(struct cli *cli)
{
    if (!cli->client)
        return;
    cli->on_state = NULL;
    client_close(cli->client, on_closed, cli);
    while (cli->client)
        uv_run(&cli->loop, UV_RUN_ONCE);
    /* A resolver that hangs may keep the loop busy; the process ends all the same. */
    uv_run(&cli->loop, UV_RUN_NOWAIT);
    uv_loop_close(&cli->loop);
}

void cli_call_done(void *arg, const struct client_reply *reply)
{
    struct cli_call *call = arg;
    call->done = true;
    call->err = reply->err;
    call->too_long = reply->too_long;
    buf_append(&call->body, reply->body.data, slice_size(reply->body));
}

void cli_call_reset(struct cli_call *call)
{
    call->done = false;
    buf_reset(&call->body);
}

int32_t cli_wait(struct cli *cli, struct cli_call *call)
{
    while (!call->done)
        uv_run(&cli->loop, UV_RUN_ONCE);
    if (call->err == ZK_REPLYTOOLONG)
        cli->too_long = call->too_long;
    return call->err;
}

struct jute_reader cli_wait_reader(struct cli *cli, struct cli_call *call)
{
    cli_wait(cli, call);
    return jute_reader_of(buf_slice(&call->body));
}

/* ---- Staying in the foreground ---- */

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct cli *cli = handle->data;
    cli->stop = true;
}

void cli_run_until_stopped(struct cli *cli)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    uv_signal_t signals[ARRAY_LEN(numbers)];
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uv_signal_init(&cli->loop, &signals[i]);
        signals[i].data = cli;
        uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
    while (!cli->stop)
        uv_run(&cli->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    uv_run(&cli->loop, UV_RUN_NOWAIT);
}

/* ---- Errors ---- */

static const struct {
    int32_t err;
    enum cli_exit code;
    const char *remedy;
} errors[] = {
    {ZK_NONODE, CLI_NO_NODE, NULL},
    {ZK_NODEEXISTS, CLI_EXISTS, NULL},
    {ZK_BADVERSION, CLI_BAD_VERSION, "zabctl stat shows the node's version"},
    {ZK_NOTEMPTY, CLI_NOT_EMPTY, "zabctl rm -r removes the children too"},
    {ZK_NOAUTH, CLI_NO_PERMISSION, "zabctl --auth authenticates, zabctl acl shows who may"},
    {ZK_AUTHFAILED, CLI_NO_PERMISSION,
     "the server rejected --auth: wrong scheme, or not of the form digest:USER:PASSWORD"},
    {ZK_REPLYTOOLONG, CLI_TOO_LONG, NULL},
    {ZK_OPERATIONTIMEOUT, CLI_NO_CONNECTION, NULL},
    {ZK_CONNECTIONLOSS, CLI_NO_CONNECTION, NULL},
    {ZK_SESSIONEXPIRED, CLI_NO_CONNECTION, NULL},
    {ZK_UNIMPLEMENTED, CLI_FAILED,
     "the server does not support it; TTL nodes need extendedTypesEnabled=yes there"},
};

static const char *too_long_text(const struct cli *cli)
{
    static char text[128];
    const int32_t mib = 1 << 20;
    snprintf(text, sizeof(text),
             "it has %.1f MiB, the limit is %.1f MiB; zabctl --max-reply=%dM takes it",
             (double)cli->too_long / mib, (double)cli->max_reply / mib,
             (cli->too_long + mib - 1) / mib);
    return text;
}

int cli_fail_with(struct cli *cli, struct slice path, int32_t err, const char *remedy)
{
    enum cli_exit code = CLI_FAILED;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        if (errors[i].err == err) {
            code = errors[i].code;
            remedy = remedy ? remedy : errors[i].remedy;
        }
    }
    if (err == ZK_REPLYTOOLONG)
        remedy = too_long_text(cli);
    if (err == ZK_OPERATIONTIMEOUT)
        cli_error("no connection to %s within %d s: %s", cli->servers, cli->timeout_ms / 1000,
                  client_problem(cli->client));
    else
        cli_error("%.*s: %s%s%s%s", SLICE_ARG(path), zk_error_text(err), remedy ? " (" : "",
                  remedy ? remedy : "", remedy ? ")" : "");
    return code;
}

int cli_fail(struct cli *cli, struct slice path, int32_t err)
{
    return cli_fail_with(cli, path, err, NULL);
}

int cli_fail_change(struct cli *cli, struct slice path, int32_t err)
{
    const char *remedy = NULL;
    if (err == ZK_CONNECTIONLOSS)
        remedy = "the change may or may not have been made; check before you repeat it";
    return cli_fail_with(cli, path, err, remedy);
}
