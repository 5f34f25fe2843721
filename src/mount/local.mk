# SPDX-License-Identifier: GPL-3.0-or-later
# The core is pure; shell/ carries out its effects with libfuse, libuv, the client and /proc.
noinst_LIBRARIES += libmount.a libmountoptions.a
libmount_a_SOURCES = %D%/acl.c %D%/ask.c %D%/close.c %D%/commit.c %D%/core.c %D%/core.h %D%/decide.c %D%/dir.c %D%/draft.c %D%/drafts.c \
	%D%/effects.c %D%/fetch.c %D%/file.c %D%/handle.c %D%/inject.c %D%/injected.c %D%/know.c %D%/listing.c \
	%D%/lookup.c %D%/map.c %D%/model.h %D%/movedir.c %D%/namespace.c %D%/node.c %D%/pending.c \
	%D%/rename.c %D%/reply.c %D%/round.c %D%/setattr.c %D%/statfs.c %D%/status.c %D%/sync.c \
	%D%/watch.c %D%/work.c
libmountoptions_a_SOURCES = %D%/shell/options.c %D%/shell/options.h

bin_PROGRAMS += zabfs
zabfs_SOURCES = %D%/shell/main.c %D%/shell/fuse.c %D%/shell/effects.c %D%/shell/inject.c \
	%D%/shell/inject.h %D%/shell/inject_child.c %D%/shell/opener.c %D%/shell/replies.c %D%/shell/requests.c %D%/shell/standalone.c %D%/shell/shell.h
zabfs_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS) $(UV_CFLAGS) $(CRYPTO_CFLAGS)
zabfs_LDADD = libmount.a libmountoptions.a libclient.a libjute.a libzabtls.a liblog.a libutil.a $(FUSE_LIBS) \
	$(UV_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS)
