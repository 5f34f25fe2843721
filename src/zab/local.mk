# SPDX-License-Identifier: GPL-3.0-or-later
noinst_LIBRARIES += libzab.a
libzab_a_SOURCES = \
	%D%/effect.c %D%/election.c %D%/identity.c %D%/internal.h %D%/leader.c %D%/leader_commit.c \
	%D%/leader_sync.c %D%/learner.c %D%/learner_sync.c %D%/membership.c %D%/notification.c %D%/quorum.c \
	%D%/trailer.c %D%/zab.c
