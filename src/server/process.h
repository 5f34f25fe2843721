/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the process has and is. */
#ifndef ZAB_SERVER_PROCESS_H
#define ZAB_SERVER_PROCESS_H

#include "config.h"

void process_raise_file_limit(void);
int64_t process_count_open_files(void);

/* What the word "envi" answers; the caller's to free. */
char *process_envi_text(const struct config *c);

#endif
