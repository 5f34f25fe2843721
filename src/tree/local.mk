# SPDX-License-Identifier: GPL-3.0-or-later
noinst_LIBRARIES += libtree.a
libtree_a_SOURCES = \
	%D%/acl.c %D%/apply.c %D%/dump.c %D%/internal.h %D%/load.c %D%/znode.c %D%/op.c \
	%D%/path.h %D%/quota.c %D%/session.c %D%/tree.c %D%/watch.c
