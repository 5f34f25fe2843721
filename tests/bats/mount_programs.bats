# SPDX-License-Identifier: GPL-3.0-or-later
# The judgement of the real kernel: the same random programs of system calls on the mount, on a tmpfs,
# and on the simulator's model of the kernel over the mount's core. What must be the same, and what is
# known to differ from POSIX, is said in mount_programs.py. MOUNT_PROGRAMS is how many are run (400).

setup_file() {
    load mount_helpers
    start_mounts rw,draft=0
}

teardown_file() {
    load mount_helpers
    stop_mounts
}

setup() {
    load mount_helpers
    use_mounts
    LOCAL=$(mktemp -d /dev/shm/zab-programs.XXXXXX) || skip "there is no /dev/shm"
    PROGRAMS="python3 $BATS_TEST_DIRNAME/mount_programs.py"
    SIM=$ZAB_BUILD/tests/sim/sim
    [ -x "$SIM" ] || skip "no tests/sim/sim in $ZAB_BUILD"
}

teardown() {
    rm -rf "$LOCAL"
}

@test "random programs of system calls give the same on the mount, on tmpfs and on the model" {
    run $PROGRAMS compare "$LOCAL" "$A" "$SIM" 1 "${MOUNT_PROGRAMS:-400}"
    echo "$output"
    assert_success
    $PROGRAMS same "$A" "$B"
}
