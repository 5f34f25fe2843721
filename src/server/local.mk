# SPDX-License-Identifier: GPL-3.0-or-later
sbin_PROGRAMS += zabd
zabd_SOURCES = \
	%D%/main.c %D%/server.h %D%/server.c %D%/net.c %D%/config.h %D%/config.c \
	%D%/logthread.h %D%/logthread.c %D%/snapshotter.h %D%/snapshotter.c
zabd_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS)
zabd_LDADD = \
	libnode.a libstore.a libtree.a libjute.a liblog.a libutil.a \
	$(UV_LIBS) $(ZSTD_LIBS) $(ZLIB_LIBS) $(CRYPTO_LIBS)
