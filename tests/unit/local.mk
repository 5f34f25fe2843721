# SPDX-License-Identifier: GPL-3.0-or-later
# One program a module, each a cmocka group. UNIT_LIBS are the pure archives, in link order.
if HAVE_CMOCKA
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

unit_tests = %D%/test_session %D%/test_client %D%/test_util %D%/test_jute
unit_tests += %D%/test_disk %D%/test_txnlog %D%/test_snapshot %D%/test_recovery
unit_tests += %D%/test_replaced %D%/test_node_trees
unit_tests += %D%/test_tree %D%/test_watch %D%/test_node %D%/test_node_watch %D%/test_node_limits
unit_tests += %D%/test_node_load
unit_tests += %D%/test_node_ensemble
unit_tests += %D%/test_mount_core %D%/test_mount_told %D%/test_mount_node %D%/test_mount_decide %D%/test_mount_draft %D%/test_mount_map %D%/test_mount_options \
	%D%/test_mount_size
unit_tests += %D%/test_ensemble %D%/test_properties %D%/test_tls
unit_tests += %D%/test_zab_quorum %D%/test_zab_election %D%/test_zab_learner
unit_tests += %D%/test_zab_leader %D%/test_zab_identity %D%/test_zab_cluster
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

%C%_test_util_SOURCES = %D%/test_util.c
%C%_test_util_CFLAGS = $(UNIT_CFLAGS)
%C%_test_util_LDADD = libutil.a $(CMOCKA_LIBS)

%C%_test_jute_SOURCES = %D%/test_jute.c
%C%_test_jute_CFLAGS = $(UNIT_CFLAGS)
%C%_test_jute_LDADD = libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_ensemble_SOURCES = %D%/test_ensemble.c src/server/ensemble.c src/server/greeting.c
%C%_test_ensemble_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/server
%C%_test_ensemble_CFLAGS = $(UNIT_CFLAGS)
%C%_test_ensemble_LDADD = libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_properties_SOURCES = %D%/test_properties.c src/server/properties.c
%C%_test_properties_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/server
%C%_test_properties_CFLAGS = $(UNIT_CFLAGS)
%C%_test_properties_LDADD = libutil.a $(CMOCKA_LIBS)

%C%_test_session_SOURCES = %D%/test_session.c
%C%_test_session_CFLAGS = $(UNIT_CFLAGS)
%C%_test_session_LDADD = libsession.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_client_SOURCES = %D%/test_client.c
%C%_test_client_CFLAGS = $(UNIT_CFLAGS)
%C%_test_client_LDADD = libclient.a libjute.a libzabtls.a liblog.a libutil.a $(UV_LIBS) $(SSL_LIBS) \
	$(CRYPTO_LIBS) $(CMOCKA_LIBS)

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

%C%_test_replaced_SOURCES = %D%/test_replaced.c %D%/store_lib.h
%C%_test_replaced_CFLAGS = $(UNIT_CFLAGS)
%C%_test_replaced_LDADD = $(STORE_LIBS) $(CMOCKA_LIBS)

%C%_test_tree_SOURCES = %D%/test_tree.c %D%/tree_zookeeper.h
%C%_test_tree_CFLAGS = $(UNIT_CFLAGS)
%C%_test_tree_LDADD = libtree.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_watch_SOURCES = %D%/test_watch.c
%C%_test_watch_CFLAGS = $(UNIT_CFLAGS)
%C%_test_watch_LDADD = libtree.a libutil.a $(CMOCKA_LIBS)

NODE_LIBS = libnode.a libzab.a $(STORE_LIBS) $(CRYPTO_LIBS)

%C%_test_node_SOURCES = %D%/test_node.c %D%/node_lib.h
%C%_test_node_CFLAGS = $(UNIT_CFLAGS)
%C%_test_node_LDADD = $(NODE_LIBS) $(CMOCKA_LIBS)

%C%_test_node_watch_SOURCES = %D%/test_node_watch.c %D%/node_lib.h
%C%_test_node_watch_CFLAGS = $(UNIT_CFLAGS)
%C%_test_node_watch_LDADD = $(NODE_LIBS) $(CMOCKA_LIBS)

%C%_test_node_ensemble_SOURCES = %D%/test_node_ensemble.c %D%/node_lib.h
%C%_test_node_ensemble_CFLAGS = $(UNIT_CFLAGS)
%C%_test_node_ensemble_LDADD = $(NODE_LIBS) $(CMOCKA_LIBS)

%C%_test_node_limits_SOURCES = %D%/test_node_limits.c %D%/node_lib.h
%C%_test_node_limits_CFLAGS = $(UNIT_CFLAGS)
%C%_test_node_limits_LDADD = $(NODE_LIBS) $(CMOCKA_LIBS)

%C%_test_node_trees_SOURCES = %D%/test_node_trees.c
%C%_test_node_trees_CFLAGS = $(UNIT_CFLAGS)
%C%_test_node_trees_LDADD = $(NODE_LIBS) $(CMOCKA_LIBS)

%C%_test_node_load_SOURCES = %D%/test_node_load.c %D%/node_lib.h
%C%_test_node_load_CFLAGS = $(UNIT_CFLAGS)
%C%_test_node_load_LDADD = $(NODE_LIBS) $(CMOCKA_LIBS)

MOUNT_CORE = %D%/mount_lib.h tests/fuzz/znodes.c tests/fuzz/znodes.h

%C%_test_mount_core_SOURCES = %D%/test_mount_core.c $(MOUNT_CORE)
%C%_test_mount_core_CFLAGS = $(UNIT_CFLAGS)
%C%_test_mount_core_LDADD = libmount.a libsession.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_mount_told_SOURCES = %D%/test_mount_told.c $(MOUNT_CORE)
%C%_test_mount_told_CFLAGS = $(UNIT_CFLAGS)
%C%_test_mount_told_LDADD = libmount.a libsession.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_mount_size_SOURCES = %D%/test_mount_size.c
%C%_test_mount_size_CFLAGS = $(UNIT_CFLAGS)
%C%_test_mount_size_LDADD = libmount.a libsession.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_mount_node_SOURCES = %D%/test_mount_node.c
%C%_test_mount_node_CFLAGS = $(UNIT_CFLAGS)
%C%_test_mount_node_LDADD = libmount.a libsession.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_mount_decide_SOURCES = %D%/test_mount_decide.c
%C%_test_mount_decide_CFLAGS = $(UNIT_CFLAGS)
%C%_test_mount_decide_LDADD = libmount.a libsession.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_mount_draft_SOURCES = %D%/test_mount_draft.c
%C%_test_mount_draft_CFLAGS = $(UNIT_CFLAGS)
%C%_test_mount_draft_LDADD = libmount.a libsession.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_mount_map_SOURCES = %D%/test_mount_map.c
%C%_test_mount_map_CFLAGS = $(UNIT_CFLAGS)
%C%_test_mount_map_LDADD = libmount.a libsession.a libjute.a libutil.a $(CMOCKA_LIBS)

%C%_test_mount_options_SOURCES = %D%/test_mount_options.c
%C%_test_mount_options_CFLAGS = $(UNIT_CFLAGS)
%C%_test_mount_options_LDADD = libmountoptions.a libclient.a libzabtls.a liblog.a libjute.a \
	libutil.a $(UV_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS) $(CMOCKA_LIBS)

%C%_test_tls_SOURCES = %D%/test_tls.c %D%/tls_lib.h
%C%_test_tls_CFLAGS = $(UNIT_CFLAGS) $(SSL_CFLAGS)
%C%_test_tls_LDADD = libzabtls.a libutil.a $(SSL_LIBS) $(CRYPTO_LIBS) $(CMOCKA_LIBS)

ZAB_LIBS = libzab.a libjute.a libutil.a

%C%_test_zab_quorum_SOURCES = %D%/test_zab_quorum.c
%C%_test_zab_quorum_CFLAGS = $(UNIT_CFLAGS)
%C%_test_zab_quorum_LDADD = $(ZAB_LIBS) $(CMOCKA_LIBS)

%C%_test_zab_election_SOURCES = %D%/test_zab_election.c %D%/zab_lib.h
%C%_test_zab_election_CFLAGS = $(UNIT_CFLAGS)
%C%_test_zab_election_LDADD = $(ZAB_LIBS) $(CMOCKA_LIBS)

%C%_test_zab_learner_SOURCES = %D%/test_zab_learner.c %D%/zab_lib.h
%C%_test_zab_learner_CFLAGS = $(UNIT_CFLAGS)
%C%_test_zab_learner_LDADD = $(ZAB_LIBS) $(CMOCKA_LIBS)

%C%_test_zab_leader_SOURCES = %D%/test_zab_leader.c %D%/zab_lib.h
%C%_test_zab_leader_CFLAGS = $(UNIT_CFLAGS)
%C%_test_zab_leader_LDADD = $(ZAB_LIBS) $(CMOCKA_LIBS)

%C%_test_zab_identity_SOURCES = %D%/test_zab_identity.c %D%/zab_lib.h
%C%_test_zab_identity_CFLAGS = $(UNIT_CFLAGS)
%C%_test_zab_identity_LDADD = $(ZAB_LIBS) $(CMOCKA_LIBS)

%C%_test_zab_cluster_SOURCES = %D%/test_zab_cluster.c %D%/zab_cluster.c %D%/zab_cluster.h
%C%_test_zab_cluster_CFLAGS = $(UNIT_CFLAGS)
%C%_test_zab_cluster_LDADD = $(ZAB_LIBS) $(CMOCKA_LIBS)
endif
