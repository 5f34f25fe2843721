# SPDX-License-Identifier: GPL-3.0-or-later
noinst_LIBRARIES += liblog.a libutil.a
libutil_a_SOURCES = %D%/mem.c %D%/buf.c %D%/hmap.c %D%/err.c %D%/rng.c %D%/log_limit.c %D%/arena.c %D%/sort.c
liblog_a_SOURCES = %D%/log.c
