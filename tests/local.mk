# SPDX-License-Identifier: GPL-3.0-or-later
include tests/unit/local.mk
include tests/sim/local.mk
include tests/fuzz/local.mk
include tests/lint/local.mk
include tests/bats/local.mk
include tests/bench/local.mk
include tests/soak/local.mk
