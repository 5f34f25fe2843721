# SPDX-License-Identifier: GPL-3.0-or-later
bin_PROGRAMS += zabctl
zabctl_SOURCES = %D%/main.c %D%/cli.h %D%/cli_call.c %D%/cli_help.c %D%/cli_option.c \
	%D%/cli_output.c %D%/cli_walk.c %D%/acl_text.c %D%/cmd_acl.c %D%/cmd_create.c %D%/cmd_get.c \
	%D%/cmd_ls.c %D%/cmd_rm.c %D%/cmd_set.c %D%/cmd_stat.c %D%/cmd_status.c %D%/cmd_sync.c \
	%D%/cmd_tree.c %D%/cmd_watch.c %D%/cmd_data.c %D%/data.h %D%/data_show.c
zabctl_LDADD = libclient.a libstore.a libtree.a libjute.a libzabtls.a liblog.a libutil.a \
	$(UV_LIBS) $(JANSSON_LIBS) $(ZSTD_LIBS) $(ZLIB_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS)
