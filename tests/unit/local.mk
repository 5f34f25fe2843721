# SPDX-License-Identifier: GPL-3.0-or-later
# One program a module, each a cmocka group. UNIT_LIBS are the pure archives, in link order.
if HAVE_CMOCKA
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

unit_tests = %D%/test_session %D%/test_client %D%/test_util %D%/test_jute
unit_tests += %D%/test_disk %D%/test_txnlog %D%/test_snapshot %D%/test_recovery
unit_tests += %D%/test_tree %D%/test_watch %D%/test_node %D%/test_node_watch %D%/test_node_limits
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

%C%_test_util_SOURCES = %D%/test_util.c
%C%_test_util_CFLAGS = $(UNIT_CFLAGS)
%C%_test_util_LDADD = libutil.a $(CMOCKA_LIBS)

%C%_test_jute_SOURCES = %D%/test_jute.c
%C%_test_jute_CFLAGS = $(UNIT_CFLAGS)
%C%_test_jute_LDADD = libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_session_SOURCES = %D%/test_session.c
%C%_test_session_CFLAGS = $(UNIT_CFLAGS)
%C%_test_session_LDADD = libsession.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_client_SOURCES = %D%/test_client.c
%C%_test_client_CFLAGS = $(UNIT_CFLAGS)
%C%_test_client_LDADD = libclient.a libjute.a libutil.a liblog.a $(UV_LIBS) $(CMOCKA_LIBS)

STORE_LIBS = libstore.a libdiskmem.a libtree.a libjute.a libutil.a $(ZSTD_LIBS) $(ZLIB_LIBS)

%C%_test_disk_SOURCES = %D%/test_disk.c
%C%_test_disk_CFLAGS = $(UNIT_CFLAGS)
%C%_test_disk_LDADD = libstore.a libdiskmem.a libutil.a $(CMOCKA_LIBS)

%C%_test_txnlog_SOURCES = %D%/test_txnlog.c %D%/store_lib.h
%C%_test_txnlog_CFLAGS = $(UNIT_CFLAGS)
%C%_test_txnlog_LDADD = $(STORE_LIBS) $(CMOCKA_LIBS)

%C%_test_snapshot_SOURCES = %D%/test_snapshot.c %D%/store_lib.h
%C%_test_snapshot_CFLAGS = $(UNIT_CFLAGS)
%C%_test_snapshot_LDADD = $(STORE_LIBS) $(CMOCKA_LIBS)

%C%_test_recovery_SOURCES = %D%/test_recovery.c %D%/store_lib.h
%C%_test_recovery_CFLAGS = $(UNIT_CFLAGS)
%C%_test_recovery_LDADD = $(STORE_LIBS) $(CMOCKA_LIBS)

%C%_test_tree_SOURCES = %D%/test_tree.c %D%/tree_zookeeper.h
%C%_test_tree_CFLAGS = $(UNIT_CFLAGS)
%C%_test_tree_LDADD = libtree.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_watch_SOURCES = %D%/test_watch.c
%C%_test_watch_CFLAGS = $(UNIT_CFLAGS)
%C%_test_watch_LDADD = libtree.a libutil.a $(CMOCKA_LIBS)

NODE_LIBS = libnode.a $(STORE_LIBS) $(CRYPTO_LIBS)

%C%_test_node_SOURCES = %D%/test_node.c %D%/node_lib.h
%C%_test_node_CFLAGS = $(UNIT_CFLAGS)
%C%_test_node_LDADD = $(NODE_LIBS) $(CMOCKA_LIBS)

%C%_test_node_watch_SOURCES = %D%/test_node_watch.c %D%/node_lib.h
%C%_test_node_watch_CFLAGS = $(UNIT_CFLAGS)
%C%_test_node_watch_LDADD = $(NODE_LIBS) $(CMOCKA_LIBS)

%C%_test_node_limits_SOURCES = %D%/test_node_limits.c %D%/node_lib.h
%C%_test_node_limits_CFLAGS = $(UNIT_CFLAGS)
%C%_test_node_limits_LDADD = $(NODE_LIBS) $(CMOCKA_LIBS)
endif
