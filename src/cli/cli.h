/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the commands of zabctl share. A command is a file that defines one struct command; the
 * table of them is in main.c. Its texts are the program's help and its manual page.
 *
 * Commands are written as if calls blocked: make the request with cli_call_done, then cli_wait()
 * runs the loop until the answer is there. */
#ifndef ZAB_CLI_H
#define ZAB_CLI_H

#include <jansson.h>

#include "zab/client.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NO_NODE = 3,
    CLI_EXISTS = 4,
    CLI_BAD_VERSION = 5,
    CLI_NOT_EMPTY = 6,
    CLI_NO_PERMISSION = 7,
    CLI_TOO_LONG = 8,
    CLI_NO_CONNECTION = 10,
};

struct cli_option {
    int letter;       /* above 255: it has only a long name */
    const char *name; /* NULL: end of the table */
    const char *arg;  /* of its value, NULL if it takes none */
    const char *help;
};

struct cli;

struct command {
    const char *name;
    const char *args;    /* as in the synopsis */
    const char *summary; /* a line */
    const char *text;    /* paragraphs with an empty line between, "" if there is no more to say */
    const struct cli_option *options; /* NULL if there are none */
    int (*run)(struct cli *cli, int argc, char **argv);
};

struct cli {
    const struct command *command; /* that is running */
    const char *servers;
    int timeout_ms;
    int32_t max_reply; /* bytes of the longest answer taken */
    bool json;
    char **auths;
    size_t n_auths;
    struct client_tls tls;
    struct tls_context *tls_context; /* NULL: plain connections */
    uv_loop_t loop;
    struct client *client; /* NULL before the first request */
    int32_t too_long;      /* bytes of the last answer that was longer */
    void (*on_event)(struct cli *cli, const struct zk_watcher_event *event);
    void (*on_state)(struct cli *cli, enum client_state state);
    bool stop; /* a signal came, or a command has seen enough */
};

extern const struct command *const cli_commands[]; /* NULL at the end */
extern const struct cli_option cli_options[];

/* ---- cli_option.c ---- */

/* getopt_long over the command's table: a letter, -1 at the end of the options (argv + optind is
 * the rest), '?' after it has said what is wrong. */
int cli_getopt(struct cli *cli, int argc, char **argv);

/* The same for the options in front of the command. */
int cli_getopt_global(int argc, char **argv);

/* 0, or CLI_USAGE and a message if there are not `min` to `max` arguments behind the options. */
int cli_check_args(struct cli *cli, int argc, int min, int max);

/* A number from `min` to `max`, or CLI_USAGE and a message that names option and value. */
int cli_parse_number(const char *option, const char *value, int64_t min, int64_t max,
                     int64_t *number);

/* 0 and the path, or CLI_USAGE and a message. */
int cli_parse_path(const char *arg, bool sequential, struct slice *path);

/* The data argument, or standard input for "-": append it to `data`. */
int cli_read_data(const char *arg, struct buf *data);

/* ---- cli_help.c ---- */

void cli_print_help(void);
void cli_print_command_help(const struct command *command);
void cli_print_roff(void);
const struct command *cli_find_command(const char *name);

/* ---- cli_call.c ---- */

struct cli_call {
    bool done;
    int32_t err;
    int32_t too_long;
    struct buf body;
};

/* The client, opened with the first call. */
struct client *cli_client(struct cli *cli);
void cli_close(struct cli *cli);

/* A client_done whose argument is a struct cli_call. */
void cli_call_done(void *arg, const struct client_reply *reply);

/* Run the loop until the call is done; its err. */
int32_t cli_wait(struct cli *cli, struct cli_call *call);

/* The same, and the reply's body as a struct zk_REC, which borrows the call's. */
#define cli_wait_record(cli, call, rec, out)                                                       \
    ({                                                                                             \
        struct jute_reader record_reader_ = cli_wait_reader(cli, call);                            \
        if ((call)->err == 0) {                                                                    \
            zk_##rec##_read(&record_reader_, out);                                                 \
            if (!jute_ok(&record_reader_))                                                         \
                (call)->err = ZK_MARSHALLINGERROR;                                                 \
        }                                                                                          \
        (call)->err;                                                                               \
    })
struct jute_reader cli_wait_reader(struct cli *cli, struct cli_call *call);

/* Start over with the next request; the caller closes with buf_close(&call->body). */
void cli_call_reset(struct cli_call *call);

/* Run until cli->stop, which SIGINT, SIGTERM and SIGHUP set. */
void cli_run_until_stopped(struct cli *cli);

/* Say what went wrong at `path`, with the remedy if there is one; the exit code for it. */
int cli_fail(struct cli *cli, struct slice path, int32_t err);

/* The same with a remedy of the command's own. */
int cli_fail_with(struct cli *cli, struct slice path, int32_t err, const char *remedy);

/* The same for a request that changes something: where the connection was lost, nobody knows
 * whether it did. */
int cli_fail_change(struct cli *cli, struct slice path, int32_t err);

/* ---- cli_output.c ---- */

void cli_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void cli_print_slice(struct slice s);
void cli_print_stat(const struct zk_stat *stat);
const char *cli_time_text(int64_t time_ms);

/* "persistent" or "ephemeral". Servers do not tell container and TTL nodes from other persistent
 * ones. */
const char *cli_kind_text(const struct zk_stat *stat);

json_t *cli_json_slice(struct slice s);
json_t *cli_json_stat(const struct zk_stat *stat);

/* Put data into an object: "data", or "base64" if it is not text. */
void cli_json_set_data(json_t *object, struct slice data);

/* One line on standard output; takes the reference. */
void cli_json_print(json_t *json);

/* Flush standard output: 0, or the exit code if it does not take more. Silent for a closed pipe. */
int cli_flush(void);

/* ---- acl_text.c ---- */

/* "SCHEME:ID:PERMS" to an ACL; NULL or what is wrong. The slices borrow `text`. */
const char *cli_acl_parse(const char *text, struct zk_acl *acl);
void cli_acl_print(struct buf *b, const struct zk_acl *acl);

/* ---- cli_walk.c ---- */

/* A tree of nodes, parents before children, the children of a node side by side and sorted. */
struct cli_walk {
    struct cli *cli;
    struct cli_walk_node *nodes;
    size_t n, cap;
    size_t n_asked, n_answered;
    int32_t err;   /* the walk is not complete, */
    size_t failed; /* since this node could not be listed */
};

struct cli_walk_node {
    char *path;
    struct zk_stat stat;
    int32_t err; /* ZK_NONODE: it is gone meanwhile; ZK_NOAUTH: it may not be listed */
    size_t parent;
    size_t first_child, n_children;
};

/* 0, or the exit code after a message. To be closed in any case. */
int cli_walk(struct cli *cli, struct slice path, struct cli_walk *walk);
void cli_walk_close(struct cli_walk *walk);

/* The node behind `i` when parents come first and siblings in order; walk->n at the end. */
size_t cli_walk_next(const struct cli_walk *walk, size_t i);
size_t cli_walk_depth(const struct cli_walk *walk, size_t i);
struct slice cli_walk_path(const struct cli_walk *walk, size_t i);

/* Say which nodes could not be listed: 0 or CLI_NO_PERMISSION. */
int cli_walk_report(const struct cli_walk *walk);

#endif
