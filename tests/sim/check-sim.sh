#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The simulator in "make check": scripts with their traces, seeds, which must cover all that is listed
# in coverage.c, and the breakages, each of which must be noticed. SIM_SEEDS is how many seeds are run.
sim=tests/sim/sim
seeds=${SIM_SEEDS:-1000}
jobs=$(getconf _NPROCESSORS_ONLN || echo 1)
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

$sim --seeds "1-$seeds" --jobs "$jobs" || fail "seeds 1-$seeds"
$sim --operators --seeds "1-$((seeds / 10))" --jobs "$jobs" || fail "operators, seeds 1-$((seeds / 10))"

$sim --mounts 2 --seeds "1-$((seeds / 10))" --jobs "$jobs" ||
    fail "mounts, seeds 1-$((seeds / 10))"

# 5: only the whole swarm notices it, by what it has not covered.
for name in $($sim --help | sed -n 's/^    \([a-z_]*\)  .*/\1/p'); do
    what="--seeds 1-300"
    case $name in
    no_identity | no_digests) what="--operators $what" ;;
    only_exists) what="--seeds 1-600" ;;
    esac
    $sim --break "$name" $what --jobs "$jobs" >/dev/null 2>&1
    status=$?
    case $name:$status in
    only_exists:5 | *:1 | *:3) ;;
    *) fail "--break $name ends with status $status" ;;
    esac
done
exit $failed
