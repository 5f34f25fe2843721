/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An error that a person will read: a negative errno for the program, a sentence for the person.
 * The sentence names the thing, the value and what to do about it. */
#ifndef ZAB_ERR_H
#define ZAB_ERR_H

#include "zab/base.h"

struct err {
    int code; /* 0 or a negative errno */
    char text[512];
};

/* Fill `e` (which may be NULL) and return `code`, so that a function can `return err_set(...)`. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
