# SPDX-License-Identifier: GPL-3.0-or-later
# The model is pure; the rest is its shell around libfuse, libuv and the client.
noinst_LIBRARIES += libmodel.a
libmodel_a_SOURCES = %D%/node.c %D%/map.c %D%/sync.c %D%/draft.c %D%/options.c %D%/model.h

bin_PROGRAMS += zabfs
zabfs_SOURCES = %D%/main.c %D%/fuse.c %D%/reply.c %D%/lookup.c %D%/dir.c %D%/file.c %D%/handle.c \
	%D%/opener.c %D%/commit.c %D%/setattr.c %D%/namespace.c %D%/rename.c %D%/movedir.c %D%/know.c \
	%D%/watch.c %D%/fetch.c %D%/round.c %D%/inject.c %D%/inject_child.c %D%/injected.c %D%/status.c \
	%D%/standalone.c %D%/mount.h %D%/inject.h
zabfs_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS) $(UV_CFLAGS) $(CRYPTO_CFLAGS)
zabfs_LDADD = libmodel.a libclient.a libjute.a libzabtls.a liblog.a libutil.a $(FUSE_LIBS) \
	$(UV_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS)
