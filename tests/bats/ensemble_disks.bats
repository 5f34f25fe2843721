# SPDX-License-Identifier: GPL-3.0-or-later
# Ensembles of zabd whose disks are full: who has no room waits, ends neither itself nor the others,
# and comes back by itself; elections need no room.

setup_file() {
    load ensemble_helpers
    ZAB_TEST_SERVER=zabd
    require_server
    require_kazoo
}

setup() {
    load ensemble_helpers
    ZAB_TEST_SERVER=zabd
}

# Disks of $1 KiB, one for each server's files, that go with the process that holds them.
small_disks() {
    local script='cd "$1"; for i in $2; do
            mkdir -p $i/data/version-2 && mount -t tmpfs -o size=$3k none $i/data/version-2 || exit 1
        done; : >disks; exec sleep 600'
    background unshare -m sh -c "$script" - "$E" "$ALL" "$1"
    DISKS=$BACKGROUND_PID
    wait_for 5 has_disks || skip "cannot mount a tmpfs: this needs root"
    run_peer() {
        exec nsenter -t "$DISKS" -m zabd "$1"
    }
}

has_disks() {
    ! process_is_gone "$DISKS" && [ -e "$E/disks" ]
}

# Run on server $1's disk.
on_disk() {
    local i=$1
    shift
    nsenter -t "$DISKS" -m sh -c "cd '$E/$i/data/version-2' && $*"
}

fill() {
    local i
    for i in "$@"; do
        on_disk "$i" 'cat /dev/zero >foreign 2>/dev/null' || :
    done
}

is_alive() {
    ! process_is_gone "$(cat "$E/$1/pid")"
}

@test "a follower whose disk is full waits, the others go on, and it comes back when there is room" {
    make_ensemble full 3
    use_ensemble full
    small_disks 8192
    start $ALL
    wait_formed $ALL
    local f
    f=$(follower)
    start_load one
    fill "$f"
    wait_for 20 log_has "$f" "no space left on the device .*; writes wait"
    load_goes_on 200
    is_alive "$f"
    on_disk "$f" rm foreign
    wait_for 20 log_has "$f" "the log goes on"
    wait_formed $ALL
    check_load
    stop $ALL
}

@test "servers whose disks are full start, elect a leader and are read from" {
    make_ensemble elect 3
    use_ensemble elect
    small_disks 8192
    start $ALL
    wait_formed $ALL
    zabctl create /kept value
    local i
    for i in 1 2; do
        fill $ALL
        kill9 $ALL
        start $ALL
        wait_formed $ALL
    done
    for i in $ALL; do
        on_disk "$i" rm foreign
    done
    wait_for 20 zabctl create /after
    [ "$(zabctl get /kept)" = value ]
    for i in $ALL; do
        is_alive "$i"
    done
    ens same
    stop $ALL
}
