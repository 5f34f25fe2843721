# SPDX-License-Identifier: GPL-3.0-or-later
# The session is pure; the rest is its libuv shell.
noinst_LIBRARIES += libsession.a libclient.a
libsession_a_SOURCES = %D%/session.c %D%/session_frame.c %D%/session_request.c \
	%D%/session_watch.c %D%/request.c %D%/session_impl.h
libclient_a_SOURCES = $(libsession_a_SOURCES) %D%/client.c %D%/client_conn.c %D%/client_hosts.c \
	%D%/client_request.c %D%/client_probe.c %D%/client_tls.c \
	%D%/client_word.c %D%/client_impl.h
