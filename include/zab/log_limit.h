/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many log lines of one kind are worth writing: the first few of each second, and then how many
 * more there were. Lines are of one kind if they differ in numbers, addresses and quoted words
 * alone, so that whoever connects ten thousand times a second fills no disk with that. */
#ifndef ZAB_LOG_LIMIT_H
#define ZAB_LOG_LIMIT_H

#include "zab/base.h"

enum {
    LOG_LIMIT_KINDS = 64,    /* that are known at a time */
    LOG_LIMIT_PER_KIND = 10, /* lines a second */
    LOG_LIMIT_IN_ALL = 200,  /* of all kinds; urgent lines do not count */
    LOG_LIMIT_WINDOW_MS = 1000,
    LOG_LIMIT_SAMPLE = 160,
};

struct log_limit_kind {
    uint64_t hash; /* 0: unused */
    int64_t since_ms;
    unsigned n;          /* lines in this second */
    uint64_t suppressed; /* of them */
    int level;
    char sample[LOG_LIMIT_SAMPLE];
};

/* All zero to begin with. */
struct log_limit {
    struct log_limit_kind kinds[LOG_LIMIT_KINDS];
    int64_t since_ms;
    unsigned n;
};

/* Is the line to be written? `level` is only remembered. */
bool log_limit_admits(struct log_limit *l, const char *text, int level, bool urgent,
                      int64_t now_ms);

/* A kind whose second is over and of which lines were suppressed: copied to `out` and forgotten.
 * False when there is none; call until then. `all`: seconds that are not over as well. */
bool log_limit_next(struct log_limit *l, int64_t now_ms, bool all, struct log_limit_kind *out);

#endif
