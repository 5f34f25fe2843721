# SPDX-License-Identifier: GPL-3.0-or-later
noinst_LIBRARIES += libnode.a
libnode_a_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
libnode_a_SOURCES = \
	%D%/internal.h %D%/links.h %D%/node.c %D%/conn.c %D%/request.c %D%/reply.c %D%/read.c \
	%D%/watchops.c %D%/propose.c %D%/prepare.c %D%/change.c %D%/link.c %D%/ensemble.c %D%/forward.c \
	%D%/history.c %D%/logread.c %D%/commit.c %D%/tracker.c %D%/acl.c %D%/work.c %D%/digest.c \
	%D%/treequeue.c %D%/room.c %D%/rewind.c %D%/fourletter.c
