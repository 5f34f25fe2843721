/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log lines on standard error: one line an event, with time (UTC) and level.
 *
 * Of one kind no more than a few are written in a second, and then how many there were
 * (log_limit.h).
 *
 * Only the shells log. The pure core says what is worth a line in its effects. */
#ifndef ZAB_LOG_H
#define ZAB_LOG_H

#include "zab/base.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

void log_set_level(enum log_level level);

/* The level of that name ("error", "warn", "info", "debug") or -1. */
int log_level_parse(const char *name);

/* A few times a second: say how many lines were suppressed. `last`: those of now, too. */
void log_tick(bool last);

void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
