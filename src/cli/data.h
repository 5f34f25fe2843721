/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of "zabctl data" share: a data directory that no zabd uses. */
#ifndef ZAB_CLI_DATA_H
#define ZAB_CLI_DATA_H

#include "cli.h"
#include "zab/store.h"

struct data {
    const char *dir;     /* dataDir */
    const char *log_dir; /* dataLogDir, if it is another one */
    struct store store;
    int locks[2]; /* of both; -1: none */
    bool yes;     /* what is asked was answered before */
};

/* The numbers that a server keeps beside its history, in the order in which they are shown. */
enum { DATA_NUMBERS = 6 };
extern const char *const data_numbers[DATA_NUMBERS];

/* The number of that name: false if there is none. */
bool data_number(struct data *d, const char *name, int64_t *value);

/* data_show.c: all that is in it, whether a zabd uses it or not. The exit code. */
int data_show(struct cli *cli, struct data *d, bool in_use);

#endif
