# SPDX-License-Identifier: GPL-3.0-or-later
noinst_LIBRARIES += libjute.a
libjute_a_SOURCES = %D%/jute.c %D%/records.c %D%/protocol.c
