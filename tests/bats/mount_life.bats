# SPDX-License-Identifier: GPL-3.0-or-later
# Servers and mounts that die, hang and come back; and how a mount is started.

setup_file() {
    load mount_helpers
    require_fuse
    start_server
    export SERVER_PORT
}

teardown_file() {
    load mount_helpers
    [ ! -e "$ZAB_TMP/server/pid" ] || stop_server
}

setup() {
    load mount_helpers
    LOGS=$BATS_TEST_TMPDIR
    A=$ZAB_TMP/m$BATS_TEST_NUMBER
    T=/t$BATS_TEST_NUMBER
    export ZABCTL_SERVERS=127.0.0.1:$SERVER_PORT
    is_ready "$SERVER_PORT" || start_server # a test that failed may have ended it
    zabctl create "$T"
}

teardown() {
    local pid
    # A test that failed may have left a process stopped.
    for pid in "$A.pid" "$ZAB_TMP/server/pid"; do
        [ ! -e "$pid" ] || kill -CONT "$(cat "$pid")" 2>/dev/null || true
    done
    if is_mounted "$A"; then
        fusermount3 -uz "$A"
    fi
}

kill_server() {
    local pid
    pid=$(cat "$ZAB_TMP/server/pid")
    kill -9 "$pid"
    wait_for 5 process_is_gone "$pid"
}

is_stale() {
    [ "$(status_of "$A" stale)" = yes ]
}

is_fresh() {
    [ "$(status_of "$A" stale)" = no ]
}

# What the command takes, in whole seconds, is at most so much.
takes_at_most() {
    local limit=$1 start=$SECONDS
    shift
    run timeout 30 "$@"
    ((SECONDS - start <= limit))
}

@test "the server is killed and restarted under load: what close acknowledged is there" {
    start_mount "$A" "" timeo=5
    start_watch w "$A$T"
    background python3 "$BATS_TEST_DIRNAME/mount_calls.py" write-on "$A$T" "$LOGS/stop" \
        >"$LOGS/acknowledged" 2>"$LOGS/errors"
    local writer=$BACKGROUND_PID i
    for i in 1 2 3; do
        wait_for 10 acknowledged $((i * 100))
        kill_server
        start_server
        wait_for 15 is_fresh
    done
    wait_for 10 acknowledged "$(($(wc -l <"$LOGS/acknowledged") + 100))"
    touch "$LOGS/stop"
    wait "$writer"
    zabctl ls "$T" >"$LOGS/there"
    sort "$LOGS/acknowledged" | comm -23 - "$LOGS/there" >"$LOGS/lost"
    assert_equal "$(cat "$LOGS/lost")" ""
    tail -1 "$LOGS/acknowledged" | {
        read -r last
        assert_equal "$(zabctl get "$T/$last")" "$last"
    }
    # A watcher that waited all the time still gets what comes.
    zabctl create "$T/later" x
    wait_for 5 grep -q "CREATE .*/later" "$LOGS/w.raw"
    stop_mount "$A"
}

acknowledged() {
    [ "$(wc -l <"$LOGS/acknowledged")" -ge "$1" ]
}

@test "the server hangs: each call returns within timeo, and what is known is read" {
    start_mount "$A" "" timeo=1
    echo known >"$A$T/known"
    mkdir "$A$T/d"
    cat "$A$T/known"
    ls "$A$T"
    kill -STOP "$(cat "$ZAB_TMP/server/pid")"
    takes_at_most 4 bash -c "echo x >'$A$T/new'"
    takes_at_most 4 mkdir "$A$T/e"
    assert_failure
    takes_at_most 4 mv "$A$T/known" "$A$T/other"
    assert_failure
    takes_at_most 4 rm "$A$T/known"
    assert_failure
    takes_at_most 4 touch "$A$T/known"
    assert_failure
    takes_at_most 4 sh -c ": >'$A$T/known'"
    assert_failure
    takes_at_most 4 stat "$A/none/at/all"
    takes_at_most 1 cat "$A$T/known"
    assert_output known
    takes_at_most 1 ls "$A$T"
    assert_line known
    takes_at_most 1 cat "$A/.zabfs/status"
    assert_line "stale: yes"
    kill -CONT "$(cat "$ZAB_TMP/server/pid")"
    wait_for 15 is_fresh
    echo again >"$A$T/known"
    assert_equal "$(zabctl get "$T/known")" again
    stop_mount "$A"
}

@test "-o stale=error: reads fail while there is no server" {
    echo x | zabctl create "$T/f" -
    start_mount "$A" "" stale=error,timeo=1
    cat "$A$T/f"
    stop_server
    wait_for 15 cannot_read "$A$T/f"
    fails_with "Input/output error" cat "$A$T/f"
    wait_for 5 cannot_stat "$A$T/f"
    start_server
    wait_for 15 content_is "$A$T/f" x
    stop_mount "$A"
}

cannot_read() {
    ! cat "$1" >/dev/null 2>&1
}

cannot_stat() {
    ! stat "$1" >/dev/null 2>&1
}

@test "the session expires while the mount is stopped, and it carries on" {
    local session
    start_mount "$A"
    echo x >"$A$T/f"
    session=$(status_of "$A" session)
    kill -STOP "$(cat "$A.pid")"
    zabctl set "$T/f" y
    wait_for 20 session_is_gone "$session"
    kill -CONT "$(cat "$A.pid")"
    wait_for 10 content_is "$A$T/f" y
    [ "$(status_of "$A" session)" != "$session" ]
    echo z >"$A$T/f"
    assert_equal "$(zabctl get "$T/f")" z
    stop_mount "$A"
}

session_is_gone() {
    exec 9<>"/dev/tcp/127.0.0.1/$SERVER_PORT"
    printf cons >&9
    ! grep -q "sid=$1" <&9
}

@test "SIGTERM commits drafts, unmounts and ends the session" {
    start_mount "$A" "" draft=0
    local session pid
    session=$(status_of "$A" session)
    exec 7>"$A$T/f"
    echo draft >&7
    run -3 zabctl get "$T/f"
    pid=$(cat "$A.pid")
    kill "$pid"
    wait_for 5 process_is_gone "$pid"
    assert_equal "$(zabctl get "$T/f")" draft
    ! is_mounted "$A"
    session_is_gone "$session"
    exec 7>&- || true
}

@test "fusermount3 -u ends the program" {
    start_mount "$A"
    echo x >"$A$T/f"
    fusermount3 -u "$A"
    wait_for 5 process_is_gone "$(cat "$A.pid")"
    assert_equal "$(zabctl get "$T/f")" x
    [ ! -e "$A$T" ]
}

@test "kill -9 leaves no dead mount" {
    start_mount "$A"
    kill -9 "$(cat "$A.pid")"
    wait_for 5 not_mounted "$A"
    ls "$A"
    start_mount "$A"
    stop_mount "$A"
}

not_mounted() {
    ! is_mounted "$1"
}

@test "in the background: it returns when the mount can be used" {
    mkdir "$A"
    # Nor does it keep the output open that the shell waits for.
    run -0 timeout 10 zabfs "127.0.0.1:$SERVER_PORT" "$A" -o "log=$LOGS/log" 3>&-
    assert_output ""
    mkdir "$A$T/d"
    echo x >"$A$T/f"
    assert_equal "$(zabctl get "$T/f")" x
    fusermount3 -u "$A"
    wait_for 5 grep -q mounted "$LOGS/log"
    mkdir "$A$T" # below the mount point there is nothing of it
}

# mount(8) runs mount.fuse, and clears PATH before.
@test "options as mount(8) and /etc/fstab give them" {
    require_program mount.fuse
    [ "$(id -u)" = 0 ] || skip "mount(8) needs root"
    mkdir "$A"
    mount.fuse "zabfs#127.0.0.1:$SERVER_PORT$T" "$A" \
        -o rw,noatime,nosuid,nodev,_netdev,nofail,x-systemd.automount,timeo=5 3>&-
    echo x >"$A/f"
    run grep -F " $A " /proc/self/mounts
    assert_output --regexp "^127.0.0.1:$SERVER_PORT$T .* fuse.zabfs rw,.*nosuid,nodev"
    umount "$A"
    assert_equal "$(zabctl get "$T/f")" x
    mount.fuse "127.0.0.1:$SERVER_PORT$T" "$A" -o ro,allow_other -t fuse.zabfs 3>&-
    run bash -c "echo y >'$A/f'"
    assert_output --partial "Read-only file system"
    umount "$A"
}

@test "an unprivileged user mounts by fusermount3" {
    require_nobody
    as_nobody sh -c 'exec 9<>/dev/fuse' 2>/dev/null || skip "other users cannot open /dev/fuse"
    mkdir "$A"
    chmod 755 "$ZAB_TMP"
    chown 65534 "$A"
    as_nobody "$ZAB_BUILD/zabfs" "127.0.0.1:$SERVER_PORT" "$A" 3>&-
    as_nobody sh -c "echo mine >'$A$T/f'"
    run -0 as_nobody stat -c '%u %U' "$A$T/f"
    assert_output --partial 65534
    run ls "$A"
    as_nobody fusermount3 -u "$A"
    assert_equal "$(zabctl get "$T/f")" mine
}

@test "allow_other: others use it within the modes, without it not at all" {
    require_nobody
    chmod 755 "$ZAB_TMP"
    start_mount "$A" "" auth=digest:u:p
    echo x >"$A$T/f"
    run as_nobody cat "$A$T/f"
    assert_failure
    stop_mount "$A"
    start_mount "$A" "" auth=digest:u:p,allow_other
    run -0 as_nobody cat "$A$T/f"
    assert_output x
    as_nobody sh -c "echo y >'$A$T/g'"
    chmod 644 "$A$T/f"
    run as_nobody sh -c "echo y >'$A$T/f'"
    assert_output --partial "Permission denied"
    chmod 600 "$A$T/f"
    run as_nobody cat "$A$T/f"
    assert_output --partial "Permission denied"
    run -0 cat "$A$T/f"
    assert_output x
    stop_mount "$A"
}

# zabfs does not start with these arguments; what it says is the output.
refuses() {
    run -1 timeout 20 zabfs "$@" 3>&-
}

@test "standalone: it starts, restarts its zabd, keeps the data, and has one master" {
    [ "$ZAB_TEST_SERVER" = zabd ] || skip "standalone runs zabd"
    local data=$ZAB_TMP/data$BATS_TEST_NUMBER pid
    start_mount "$A" "standalone:$data" timeo=10
    echo kept >"$A/f"
    mkdir "$A/d"
    pid=$(pgrep -P "$(cat "$A.pid")" -x zabd)
    kill -9 "$pid"
    wait_for 15 writes_again
    assert_equal "$(cat "$A/f")" kept
    mkdir "$A.second"
    refuses "standalone:$data" "$A.second"
    assert_output --partial "$data"
    [ -z "$(ls "$A.second")" ]
    echo still >"$A/g"
    stop_mount "$A"
    start_mount "$A" "standalone:$data"
    assert_equal "$(cat "$A/f" "$A/g")" "kept
still"
    [ -d "$A/d" ]
    pid=$(pgrep -P "$(cat "$A.pid")" -x zabd)
    stop_mount "$A"
    process_is_gone "$pid"
}

writes_again() {
    touch "$A/again" 2>/dev/null
}

@test "standalone: what is wrong is said at once" {
    [ "$ZAB_TEST_SERVER" = zabd ] || skip "standalone runs zabd"
    local data=$LOGS/data
    mkdir "$A"
    refuses standalone: "$A"
    assert_output --partial "standalone:DATADIR"
    refuses standalone:/none/such "$A"
    assert_output --partial "/none/such"
    mkdir "$data"
    echo nonsense >"$data/zoo.cfg"
    refuses "standalone:$data" "$A" -o timeo=2
    assert_output --partial "$data/zoo.cfg"
    printf 'dataDir=%s/data\nclientPort=%s\ntickTime=soon\n' "$data" "$(free_port)" >"$data/zoo.cfg"
    refuses "standalone:$data" "$A" -o timeo=2
    assert_output --partial "zabd.log"
}

@test "bad sources and options are named" {
    local server=127.0.0.1:$SERVER_PORT
    mkdir "$A"
    run -1 zabfs
    assert_output --partial "usage: zabfs"
    refuses "$server"
    assert_output --partial "usage: zabfs"
    refuses "$server" "$A" "$A/b"
    assert_output --partial "'$A/b'"
    refuses "$server" "$A" --frob
    assert_output --partial "'--frob'"
    refuses "$server" "$A" -o rw,frob=1
    assert_output --partial "frob=1"
    refuses "$server" "$A" -o timeo=soon
    assert_output --partial "timeo=soon"
    refuses "$server" "$A" -o timeo=0
    assert_output --partial "timeo="
    refuses "$server" "$A" -o cache=some
    assert_output --partial "cache=some"
    refuses "$server" "$A" -o stale=maybe
    assert_output --partial "stale=maybe"
    refuses "$server" "$A" -o auth=nocolon
    assert_output --partial "SCHEME:CREDENTIAL"
    refuses "$server" "$A" -o authfile=/none
    assert_output --partial "/none"
    refuses host:99999 "$A"
    assert_output --partial "host:99999"
    refuses host:port "$A"
    assert_output --partial "host:port"
    refuses "$server" "$A/none"
    assert_output --partial "$A/none"
    refuses "$server/none" "$A"
    assert_output --partial "/none: the chroot does not exist"
    refuses "127.0.0.1:$(free_port)" "$A" -o timeo=1
    assert_output --partial "within 1.0 seconds"
    touch "$A.file"
    refuses "$server" "$A.file"
    assert_output --partial "$A.file: Not a directory"
    ! is_mounted "$A"
}

@test "an authfile is read and not shown" {
    echo "digest:user:secret" >"$LOGS/auth"
    start_mount "$A" "" "authfile=$LOGS/auth"
    (umask 077 && echo x >"$A$T/f")
    run -0 zabctl --auth digest:user:secret get "$T/f"
    run -7 zabctl get "$T/f"
    run cat "$A.log" "$A/.zabfs/status"
    refute_output --partial secret
    stop_mount "$A"
}

@test "--help names each option, --version the version" {
    run -0 zabfs --help
    local option
    for option in timeo= draft= cache= sync stale= ro auth= authfile= uid= gid= allow_other log=; do
        assert_line --regexp "^  $option"
    done
    run -0 zabfs --version
    assert_output --regexp '^zabfs [0-9]'
}

@test "uid= and gid= own all files" {
    start_mount "$A" "" uid=1234,gid=4321
    echo x >"$A$T/f"
    run -0 stat -c '%u %g' "$A$T/f" "$A$T"
    assert_output "1234 4321
1234 4321"
    stop_mount "$A"
}

@test "files move between two mounts as between two file systems" {
    local other=$ZAB_TMP/other$BATS_TEST_NUMBER
    start_mount "$A"
    zabctl create "$T/root"
    start_mount "$other" "127.0.0.1:$SERVER_PORT$T/root"
    echo x >"$A$T/f"
    mkdir "$A$T/d"
    echo y >"$A$T/d/g"
    mv "$A$T/f" "$A$T/d" "$other"
    assert_equal "$(zabctl get "$T/root/f") $(zabctl get "$T/root/d/g")" "x y"
    run -0 zabctl ls "$T"
    assert_output root
    stop_mount "$other"
    stop_mount "$A"
}
