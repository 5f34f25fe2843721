# SPDX-License-Identifier: GPL-3.0-or-later
noinst_HEADERS = \
	%D%/zab/base.h %D%/zab/buf.h %D%/zab/client.h %D%/zab/disk.h %D%/zab/disk_mem.h \
	%D%/zab/err.h %D%/zab/hmap.h %D%/zab/jute.h %D%/zab/list.h %D%/zab/node.h %D%/zab/log.h %D%/zab/log_limit.h %D%/zab/protocol.h %D%/zab/records.h \
	%D%/zab/rng.h %D%/zab/session.h %D%/zab/sort.h %D%/zab/store.h %D%/zab/tls.h %D%/zab/tree.h %D%/zab/watch.h %D%/zab/zab.h
