# SPDX-License-Identifier: GPL-3.0-or-later
# What zabd does with what a crash, a bad disk or a full one left of its files.
# $ZAB_KILL_ROUNDS: how often it is killed under load (20).

setup() {
    load helpers
    ZAB_TEST_SERVER=zabd
    NAME=$BATS_TEST_NUMBER
    DIR=$ZAB_TMP/$NAME
    FILES=$DIR/data/version-2
    export ZAB_TEST_CONFIG=
}

# Nodes FIRST to LAST of /nodes, one transaction each, the last one the last in the log.
create_nodes() {
    py "$1" "$2" <<'END'
from zk import *
client = connect()
client.ensure_path("/nodes")
for i in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
    client.create(f"/nodes/{i:04}", b"%d" % i)
leave()
END
}

# Are nodes 1 to $1 there, and no others?
assert_nodes() {
    run -0 zabctl -s "127.0.0.1:$SERVER_PORT" ls /nodes
    assert_output "$(seq -f %04g "$1")"
}

newest() {
    find "$FILES" -name "$1.*" ! -name '*.tmp' -printf '%T@ %p\n' | sort -n | tail -n "${2:-1}" | head -n 1 |
        cut -d' ' -f2
}

# One behind the last byte that is not zero.
content_size() {
    python3 -c 'import sys; print(len(open(sys.argv[1], "rb").read().rstrip(b"\0")))' "$1"
}

# Change one bit of byte $2 of file $1.
flip() {
    python3 -c '
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    byte = f.read(1)[0]
    f.seek(-1, 1)
    f.write(bytes([byte ^ 16]))' "$1" "$2"
}

refused() {
    run -1 timeout 10 zabd "$DIR/zoo.cfg"
    assert_output --partial "restore version-2 from a backup"
}

log_has() {
    grep -qE -- "$1" "$DIR/log"
}

# ---- Crashes ----

@test "kill -9 under load loses nothing that was acknowledged" {
    ZAB_TEST_CONFIG=snapCount=400
    local i pid
    for ((i = 0; i < ${ZAB_KILL_ROUNDS:-20}; i++)); do
        start_server "$NAME"
        pid=$(cat "$DIR/pid")
        load_tree "$DIR/state" "$pid" $((20 + i * 397 % 1500))
        wait_for 10 process_is_gone "$pid"
    done
    start_server "$NAME"
    load_tree "$DIR/state"
    stop_server "$NAME"
}

# See load.py.
load_tree() {
    py "$@" <"$BATS_TEST_DIRNAME/load.py"
}

@test "an unfinished entry at the log's end is cut off, and the log goes on" {
    start_server "$NAME"
    create_nodes 1 20
    kill_server "$NAME"
    local log end cut n=20
    log=$(newest log)
    for cut in 1 2 30; do
        end=$(content_size "$log")
        truncate -s $((end - cut)) "$log"
        start_server "$NAME"
        log_has "recovery: dropped an incomplete transaction at the end of the log"
        assert_nodes $((n - 1))
        create_nodes $n $n
        kill_server "$NAME"
        log=$(newest log)
    done
}

@test "half of an entry behind the log's end is cut off" {
    start_server "$NAME"
    create_nodes 1 5
    kill_server "$NAME"
    local log size
    log=$(newest log)
    size=$(content_size "$log")
    truncate -s "$size" "$log"
    printf '\0\0\0\0\1\2\3\4\0\0\0\100\1\2\3' >>"$log"
    start_server "$NAME"
    assert_nodes 5
    stop_server "$NAME"
    start_server "$NAME"
    assert_nodes 5
}

# ---- Damage ----

@test "a flipped bit anywhere in the log is found, named, and not guessed around" {
    start_server "$NAME"
    create_nodes 1 20
    stop_server "$NAME"
    local log size at byte
    log=$(newest log)
    size=$(content_size "$log")
    cp "$log" "$DIR/good"
    for ((at = 7; at < size; at += size / 40)); do
        flip "$log" "$at"
        refused
        assert_output --partial "log file $log, byte "
        byte=${output#*, byte }
        ((${byte%%:*} <= at))
        cp "$DIR/good" "$log"
    done
    start_server "$NAME"
    assert_nodes 20
}

@test "a log file that is missing is noticed" {
    ZAB_TEST_CONFIG=snapCount=1000000
    local n second
    for n in 5 10 15; do
        start_server "$NAME"
        create_nodes $((n - 4)) "$n"
        stop_server "$NAME"
    done
    second=$(newest log 2)
    mv "$second" "$DIR/second"
    refused
    assert_output --partial "transactions between them are missing"
    mv "$DIR/second" "$second"
    start_server "$NAME"
    assert_nodes 15
}

# 120 nodes, the server stopped, some snapshots taken on the way, the logs all there. From now on it
# takes no more, so that what a test does to the newest is found.
with_snapshots() {
    ZAB_TEST_CONFIG=$(printf '%s\n' snapCount=20 autopurge.purgeInterval=0)
    start_server "$NAME"
    local n
    for n in 30 60 90 120; do
        create_nodes $((n - 29)) "$n"
        wait_for 5 has_snapshots $((n / 30 + 1))
    done
    create_nodes 121 122
    stop_server "$NAME"
    sed -i 's/^snapCount=.*/snapCount=1000000/' "$DIR/zoo.cfg"
    SNAPSHOT=$(newest snapshot)
}

has_snapshots() {
    [ "$(find "$FILES" -name 'snapshot.*.zst' | wc -l)" -ge "$1" ]
}

@test "for a snapshot that is cut short the one before it is taken" {
    with_snapshots
    local size
    size=$(stat -c %s "$SNAPSHOT")
    for size in $((size - 1)) $((size / 2)) 10 0; do
        truncate -s "$size" "$SNAPSHOT"
        start_server "$NAME"
        log_has "recovery: .*$SNAPSHOT"
        assert_nodes 122
        kill_server "$NAME"
        : >"$DIR/log"
    done
}

@test "for a snapshot with a flipped bit the one before it is taken" {
    with_snapshots
    # A few bits of a zstd frame mean nothing: the first that does, from the middle on.
    local at=$(($(stat -c %s "$SNAPSHOT") / 2))
    flip "$SNAPSHOT" $at
    while zstd -tq "$SNAPSHOT" 2>/dev/null; do
        flip "$SNAPSHOT" $at
        flip "$SNAPSHOT" $((++at))
    done
    start_server "$NAME"
    log_has "recovery: .*$SNAPSHOT"
    assert_nodes 122
}

@test "without a good snapshot it does not start" {
    with_snapshots
    local file
    for file in "$FILES"/snapshot.*; do
        truncate -s 20 "$file"
    done
    run -1 timeout 10 zabd "$DIR/zoo.cfg"
    assert_output --partial "no snapshot can be read; the newest: "
    assert_output --partial "$SNAPSHOT"
    rm "$FILES"/snapshot.*
    refused
    assert_output --partial "has no snapshot"
}

@test "an older snapshot is no way back when the log from it is gone" {
    with_snapshots
    truncate -s 20 "$SNAPSHOT"
    rm "$FILES"/log.*
    run -1 timeout 10 zabd "$DIR/zoo.cfg"
    assert_output --partial "before the snapshot"
    assert_output --partial "$SNAPSHOT"
}

# ---- A full disk ----

# A disk of its own for the data, of $1 KiB; it goes with the process that holds it.
small_disk() {
    mkdir -p "$DIR/data"
    background unshare -m sh -c "mount -t tmpfs -o size=$1k none '$DIR/data' && exec sleep 600"
    DISK=$BACKGROUND_PID
    wait_for 5 on_disk mountpoint -q "$DIR/data" || skip "cannot mount a tmpfs: this needs root"
}

on_disk() {
    kill -0 "$DISK" 2>/dev/null && nsenter -t "$DISK" -m "$@"
}

start_on_disk() {
    run_server() {
        exec nsenter -t "$DISK" -m zabd "$1"
    }
    start_server "$NAME"
}

# Prints how many nodes were acknowledged before a write was refused; $1: how many there are.
fill_disk() {
    py "${1:-0}" <<'END'
import sys
from zk import *
wire = Wire()
wire.open_session()
n, err = int(sys.argv[1]), 0
assert n > 0 or wire.create(b"/nodes") == 0
while err == 0:
    err = wire.create(b"/nodes/%04d" % (n + 1), bytes(10000))
    n += err == 0
assert err == -1
print(n)
END
}

count_nodes() {
    zabctl -s "127.0.0.1:$SERVER_PORT" ls /nodes | wc -l
}

can_write() {
    zabctl -s "127.0.0.1:$SERVER_PORT" create "$1"
}

@test "on a full disk reads go on and writes are refused, until there is room" {
    small_disk 3072
    start_on_disk
    local n
    n=$(fill_disk)
    ((n > 50))
    wait_for 5 log_has "error the disk of the log is full .*zab.reservedSpace"
    run -1 --separate-stderr can_write /more
    [[ $stderr == *"system error"* ]]
    [ "$(count_nodes)" = "$n" ]
    on_disk mount -o remount,size=64m "$DIR/data"
    wait_for 5 can_write /more
    wait_for 5 log_has "writes are taken"
    stop_server "$NAME"
    start_on_disk
    [ "$(count_nodes)" = "$n" ]
    stop_server "$NAME"
}

# New sessions are not refused as writes are: at last one finds no room, be it in the log or in the
# file that says how far the log is decided.
open_sessions_until_no_room() {
    local deadline=$((SECONDS + 120))
    until log_has "error cannot write .*: no space left on the device .*; writes wait"; do
        ((SECONDS < deadline)) || return 1
        zabctl -t 1 -s "127.0.0.1:$SERVER_PORT" ls / >/dev/null 2>&1 || :
    done
}

@test "on a disk that somebody else fills writes wait, and go on when there is room" {
    small_disk 3072
    start_on_disk
    local n
    n=$(fill_disk)
    on_disk sh -c "cat /dev/zero >'$DIR/data/foreign' 2>/dev/null" || :
    open_sessions_until_no_room
    run ! can_write /more
    ! process_is_gone "$(cat "$DIR/pid")"
    on_disk rm "$DIR/data/foreign"
    wait_for 5 log_has "the log goes on"
    [ "$(count_nodes)" = "$n" ]
    on_disk mount -o remount,size=64m "$DIR/data"
    wait_for 5 can_write /more
    kill -9 "$(cat "$DIR/pid")"
    start_on_disk
    [ "$(count_nodes)" = "$n" ]
    zabctl -s "127.0.0.1:$SERVER_PORT" get /more
    stop_server "$NAME"
}

@test "a start on a disk without any room waits, and says so" {
    small_disk 3072
    start_on_disk
    local n
    n=$(fill_disk)
    stop_server "$NAME"
    on_disk sh -c "rm '$DIR/data/version-2/snapshot.0.zst' && cat /dev/zero >'$DIR/data/foreign' 2>/dev/null" || :
    on_disk sh -c "mkdir '$DIR/data/old' && mv '$DIR'/data/version-2/* '$DIR/data/old'" || skip "no room at all"
    background nsenter -t "$DISK" -m zabd "$DIR/zoo.cfg" 2>"$DIR/waits"
    wait_for 5 grep "no space left on the device .*; the start waits" "$DIR/waits"
    on_disk rm "$DIR/data/foreign"
    wait_for 5 is_ready "$SERVER_PORT"
}

@test "starts on a full disk change nothing" {
    small_disk 3072
    start_on_disk
    local n i
    n=$(fill_disk)
    for i in 1 2 3; do
        stop_server "$NAME"
        start_on_disk
        [ "$(count_nodes)" = "$n" ]
        n=$(fill_disk "$n") # what was free of the log file that has ended
    done
    on_disk mount -o remount,size=64m "$DIR/data"
    wait_for 5 can_write /more
    stop_server "$NAME"
}
