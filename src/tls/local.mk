# SPDX-License-Identifier: GPL-3.0-or-later
noinst_LIBRARIES += libzabtls.a
libzabtls_a_SOURCES = %D%/context.c %D%/store.c %D%/rules.c %D%/conn.c %D%/name.c %D%/internal.h
libzabtls_a_CFLAGS = $(AM_CFLAGS) $(SSL_CFLAGS)
