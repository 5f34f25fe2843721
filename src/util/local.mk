# SPDX-License-Identifier: GPL-3.0-or-later
noinst_LIBRARIES += libutil.a liblog.a
libutil_a_SOURCES = %D%/mem.c %D%/buf.c %D%/hmap.c %D%/err.c %D%/rng.c
liblog_a_SOURCES = %D%/log.c
