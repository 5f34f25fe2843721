# SPDX-License-Identifier: GPL-3.0-or-later
# What is promised when a server hangs or restarts, a right is taken away, a file is replaced while it
# is read, or the process that raises the events dies.

setup_file() {
    load mount_helpers
    start_mounts
}

teardown_file() {
    load mount_helpers
    stop_mounts
}

setup() {
    load mount_helpers
    use_mounts
    FS="python3 $BATS_TEST_DIRNAME/mount_outage.py"
    M=$ZAB_TMP/m$BATS_TEST_NUMBER
}

teardown() {
    # A test that failed may have left its server stopped.
    [ ! -e "$ZAB_TMP/${OWN:-none}/pid" ] || kill -CONT "$(cat "$ZAB_TMP/$OWN/pid")" 2>/dev/null || true
}

# A server and a mount of its own for this test, at $M.
own_mount() {
    unset ZAB_TEST_CONFIG
    OWN=own$BATS_TEST_NUMBER
    start_server "$OWN"
    export ZABCTL_SERVERS=127.0.0.1:$SERVER_PORT
    start_mount "$M" "" "$1"
}

signal_own() {
    kill "-$1" "$(cat "$ZAB_TMP/$OWN/pid")"
}

end_own() {
    stop_mount "$M"
    stop_server "$OWN"
}

is_stale() {
    [ "$(status_of "$M" stale)" = yes ]
}

is_fresh() {
    [ "$(status_of "$M" stale)" = no ]
}

size_is() {
    [ "$(stat -c %s "$1")" = "$2" ]
}

# ---- Waits ----

@test "a server that hangs: no request waits longer than timeo, and each says why it failed" {
    own_mount timeo=4
    mkdir "$M/d"
    echo x >"$M/d/file"
    echo x >"$M/d/other"
    zabctl create /d/unread x
    wait_for 5 test -e "$M/d/unread"
    signal_own STOP
    $FS waits "$M/d" >"$LOGS/waits"
    signal_own CONT
    cat "$LOGS/waits"
    assert_equal "$(wc -l <"$LOGS/waits")" 9
    # A second and a half are for a machine that has other work.
    assert_equal "$(awk '$3 > 5500' "$LOGS/waits")" ""
    assert_equal "$(awk '$2 !~ /^(ETIMEDOUT|EROFS)$/ && $1 !~ /^(stat|read)$/' "$LOGS/waits")" ""
    assert_equal "$(awk '$1 == "read" && $2 !~ /^(ETIMEDOUT|EIO)$/' "$LOGS/waits")" ""
    wait_for 15 is_fresh
    echo again >"$M/d/file"
    assert_equal "$(zabctl get /d/file)" again
    end_own
}

@test "a server that restarts while it is asked: the read goes on, and does not fail" {
    require_program ss
    own_mount timeo=20
    local i=0 command
    for command in cat stat ls; do
        ((i += 1))
        zabctl create "/d$i"
        zabctl create "/d$i/f" x
        wait_for 5 test -d "$M/d$i"
        signal_own STOP
        case $command in
        ls) ls "$M/d$i" ;;
        *) $command "$M/d$i/f" ;;
        esac >"$LOGS/$command" 2>&1 &
        local reader=$!
        wait_for 5 waits_for_an_answer
        kill_server "$OWN"
        start_server "$OWN"
        if ! wait "$reader"; then
            cat "$LOGS/$command"
            return 1
        fi
        wait_for 15 is_fresh
    done
    assert_equal "$(cat "$LOGS/cat") $(cat "$LOGS/ls")" "x f"
    end_own
}

# There is more than a ping (12 bytes) in the stopped server's receive queue.
waits_for_an_answer() {
    ss -Htn "sport = :$SERVER_PORT" | awk '$2 > 16 { found = 1 } END { exit !found }'
}

@test "a server that hangs: what was read is read, also if it had just been changed" {
    own_mount timeo=2
    echo old >"$M/f"
    content_is "$M/f" old
    zabctl set /f "the new one"
    # Now the mount knows of the change, but has not read the new content.
    wait_for 5 size_is "$M/f" 11
    signal_own STOP
    wait_for 15 is_stale
    local start=$SECONDS
    run timeout 10 cat "$M/f"
    assert_success
    assert_output --regexp '^(old|the new one)$'
    ((SECONDS - start <= 1))
    signal_own CONT
    wait_for 15 is_fresh
    wait_for 5 content_is "$M/f" "the new one"
    end_own
}

@test "the log names the file whose content was lost, and why" {
    own_mount timeo=0.5,draft=0
    exec 7>"$M/precious"
    echo x >&7
    kill_server "$OWN"
    wait_for 10 is_stale
    exec 7>&- || true
    wait_for 10 grep -E '/precious.*(not committed|Read-only|timed out|lost)|(not committed|lost).*/precious' \
        "$M.log"
    start_server "$OWN"
    wait_for 15 is_fresh
    end_own
}

# ---- Rights that are taken away ----

@test "a right that was taken away is noticed within -o acl_timeo=, and is ATTRIB" {
    local guest=$ZAB_TMP/guest$BATS_TEST_NUMBER
    start_mount "$M" "" auth=digest:alice:secret
    start_mount "$guest" "" acl_timeo=1
    echo secret >"$M$T/f"
    wait_for 5 content_is "$guest$T/f" secret
    (A=$guest$T start_watch w "$guest$T")
    chmod 600 "$M$T/f"
    wait_for 5 cannot_read "$guest$T/f"
    fails_with "Permission denied" cat "$guest$T/f"
    wait_for 5 grep -q "^ATTRIB .*/f" "$LOGS/w.raw"
    # And given back.
    chmod 644 "$M$T/f"
    wait_for 5 content_is "$guest$T/f" secret
    stop_mount "$guest"
    stop_mount "$M"
}

cannot_read() {
    ! cat "$1" >/dev/null 2>&1
}

@test "allow_other: what others may no longer read they cannot read after -o acl_timeo=" {
    require_nobody
    chmod 755 "$ZAB_TMP"
    start_mount "$M" "" auth=digest:alice:secret,allow_other,acl_timeo=1
    echo secret >"$M$T/f"
    run -0 as_nobody cat "$M$T/f"
    assert_output secret
    local other=$ZAB_TMP/other$BATS_TEST_NUMBER
    start_mount "$other" "" auth=digest:alice:secret
    wait_for 5 test -e "$other$T/f"
    chmod 600 "$other$T/f"
    wait_for 5 nobody_cannot_read "$M$T/f"
    run as_nobody cat "$M$T/f"
    assert_failure
    assert_output --partial "Permission denied"
    run -0 cat "$M$T/f"
    assert_output secret
    stop_mount "$other"
    stop_mount "$M"
}

nobody_cannot_read() {
    ! as_nobody cat "$1" >/dev/null 2>&1
}

# ---- Files that are replaced ----

@test "a file that is replaced by rename, from two mounts: whoever reads it never misses it" {
    echo first >"$A/f"
    wait_for 5 content_is "$B/f" first
    local mount i writers=() readers=() failed=0
    for mount in "$A" "$B"; do
        for i in 1 2; do
            background $FS read-until "$mount/f" "$LOGS/stop" >>"$LOGS/readers" 2>&1
            readers+=("$BACKGROUND_PID")
            background $FS replace "$mount/f" "${mount//\//_}$i" 250 >>"$LOGS/writers" 2>&1
            writers+=("$BACKGROUND_PID")
        done
    done
    for i in "${writers[@]}"; do
        wait "$i" || failed=1
    done
    touch "$LOGS/stop"
    for i in "${readers[@]}"; do
        wait "$i" || failed=1
    done
    cat "$LOGS/writers" "$LOGS/readers"
    ((failed == 0))
}

# ---- The process that raises the events ----

# The child of the mount that is neither a fusermount3 nor a zabd.
injector_of() {
    ps -o pid=,comm= --ppid "$(cat "$1.pid")" | awk '$2 !~ /^(fusermount|zabd)/ { print $1; exit }'
}

other_injector() {
    local now
    now=$(injector_of "$M")
    [ -n "$now" ] && [ "$now" != "$1" ]
}

@test "the injector is killed: events come again, and the status says that it was restarted" {
    start_mount "$M"
    local injector
    injector=$(injector_of "$M")
    [ -n "$injector" ]
    (A=$M$T start_watch w "$M$T")
    zabctl create "$T/before" x
    wait_for 5 grep -q "CREATE .*/before" "$LOGS/w.raw"
    kill -9 "$injector"
    zabctl create "$T/after" x
    wait_for 5 grep -q "CREATE .*/after" "$LOGS/w.raw"
    wait_for 5 other_injector "$injector"
    grep -Eiq '^injector[a-z_]*: .*[1-9]' "$M/.zabfs/status"
    grep -iq injector "$M.log"
    # The new one holds no mount open either.
    kill -9 "$(cat "$M.pid")"
    wait_for 5 not_mounted "$M"
}

not_mounted() {
    ! is_mounted "$1"
}

@test "the injector is killed among many changes: a mirror has the tree afterwards" {
    start_mount "$M"
    local injector
    injector=$(injector_of "$M")
    mkdir "$A"/d{0,1,2,3}
    wait_for 5 test -d "$M$T/d3"
    ROOT=$M$T py "$injector" <<'P'
import os, signal, sys
from mount_mirror import *
on = Remote(os.environ["T"], os.environ["B"])
root = os.environ["ROOT"]
follower = Follower(root)
for i in range(60):
    on.create(f"d{i % 4}/n{i}", f"{i}")
    if i == 30:
        os.kill(int(sys.argv[1]), signal.SIGKILL)
on.settle()
follower.check(on.tree())
follower.end()
P
    stop_mount "$M"
}

@test "the injector is stopped: the mount goes on without it" {
    start_mount "$M"
    local injector
    injector=$(injector_of "$M")
    start_watch w "$M"
    kill -STOP "$injector"
    local i
    for i in 1 2 3; do
        echo $i >"$A/f"
        wait_for 5 content_is "$M$T/f" $i
        timeout 5 sh -c "echo $i >'$M$T/g'"
        wait_for 5 content_is "$A/g" $i
    done
    kill -CONT "$injector" 2>/dev/null || true
    wait_for 10 grep -q "CREATE .*/f" "$LOGS/w.raw"
    stop_mount "$M"
}
