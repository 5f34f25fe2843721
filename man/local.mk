# SPDX-License-Identifier: GPL-3.0-or-later
# What a program says about itself in its help is printed by the program into its page as well.
dist_man_MANS += %D%/zabd.8 %D%/zabfs-architecture.7 %D%/zabfs-protocol.7
nodist_man_MANS = %D%/zabctl.1 %D%/zabd.conf.5 %D%/zabfs.8
EXTRA_DIST += %D%/zabd.conf.5.in %D%/zabfs.8.in
CLEANFILES += $(nodist_man_MANS)

# $(call page,COMMAND,MARK): the .in file with the line MARK replaced by what COMMAND prints.
page = $(MKDIR_P) %D% && $(1) >$@.part && \
	sed -e '/$(2)/{r $@.part' -e 'd;}' $(srcdir)/$@.in >$@.tmp && \
	rm $@.part && mv $@.tmp $@

%D%/zabctl.1: zabctl$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) %D% && ./zabctl$(EXEEXT) help --roff >$@.tmp && mv $@.tmp $@

%D%/zabd.conf.5: %D%/zabd.conf.5.in zabd$(EXEEXT)
	$(AM_V_GEN)$(call page,./zabd$(EXEEXT) --help-config=roff,@KEYS@)

%D%/zabfs.8: %D%/zabfs.8.in zabfs$(EXEEXT)
	$(AM_V_GEN)$(call page,./zabfs$(EXEEXT) --help=roff,@OPTIONS@)
