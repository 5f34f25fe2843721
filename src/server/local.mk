# SPDX-License-Identifier: GPL-3.0-or-later
sbin_PROGRAMS += zabd
zabd_SOURCES = \
	%D%/main.c %D%/server.h %D%/server.c %D%/net.c %D%/config.h %D%/config.c %D%/conf.c \
	%D%/config_keys.h %D%/config_keys.c %D%/config_dynamic.c %D%/config_directory.c \
	%D%/properties.h %D%/properties.c %D%/config_ensemble.c %D%/process.h %D%/process.c \
	%D%/ensemble.h %D%/ensemble.c %D%/greeting.h %D%/greeting.c %D%/peers.h %D%/peers.c \
	%D%/links.h %D%/links.c %D%/dial.h %D%/dial.c %D%/stream.h %D%/stream.c \
	%D%/stream_tls.c %D%/secure.h %D%/secure.c \
	%D%/child.h %D%/child.c %D%/tree_sender.c %D%/snapshotter.h %D%/snapshotter.c \
	%D%/logthread.h %D%/logthread.c %D%/history.h %D%/history.c
zabd_CPPFLAGS = $(AM_CPPFLAGS) -DBUILD_DATE='"$(BUILD_DATE)"'
zabd_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS)
zabd_LDADD = \
	libnode.a libzab.a libstore.a libtree.a libjute.a libzabtls.a liblog.a libutil.a \
	$(UV_LIBS) $(ZSTD_LIBS) $(ZLIB_LIBS) $(SSL_LIBS) \
	$(CRYPTO_LIBS)
