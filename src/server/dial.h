/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connecting to a host by name: resolved anew each time, each of its addresses is tried in turn,
 * and nothing waits for it. */
#ifndef ZAB_SERVER_DIAL_H
#define ZAB_SERVER_DIAL_H

#include <uv.h>

struct dial;

/* `done` is called once, from the loop: with a connected socket that is the callee's, or a
 * negative errno. `timeout_ms` is for each address. NULL: it could not even be begun. */
struct dial *dial_start(uv_loop_t *loop, const char *host, int port, uint64_t timeout_ms,
                        void (*done)(void *arg, int fd), void *arg);

/* `done` is not called any more. */
void dial_cancel(struct dial *d);

#endif
