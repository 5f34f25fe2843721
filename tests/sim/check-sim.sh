#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The simulator in "make check": scripts with their traces, seeds, and the breakages, each of which
# must be noticed. SIM_SEEDS is how many seeds are run.
sim=tests/sim/sim
seeds=${SIM_SEEDS:-400}
failed=0

fail() {
    echo "FAIL: $*"
    failed=1
}

for script in "${srcdir:-.}"/tests/sim/scripts/*.sim; do
    $sim --script "$script" || fail "$script"
done

for servers in 1 3+1; do
    one=$($sim --seed 7 --servers $servers --trace | cksum)
    two=$($sim --seed 7 --servers $servers --trace | cksum)
    [ "$one" = "$two" ] || fail "one seed gave two runs"
done

$sim --seeds "1-$seeds" || fail "seeds 1-$seeds"

for name in $($sim --help | sed -n 's/^    \([a-z_]*\)  .*/\1/p'); do
    $sim --break "$name" --seeds 1-200 >/dev/null 2>&1
    status=$?
    case $status in
    1 | 3) ;;
    *) fail "--break $name ends with status $status" ;;
    esac
done
exit $failed
