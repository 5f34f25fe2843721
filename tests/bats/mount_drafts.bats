# SPDX-License-Identifier: GPL-3.0-or-later
# A draft is what its descriptor shows, and is committed whole, or an error says that it was not:
# whatever else its process has open, and whatever happens to the servers meanwhile.

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
    FS="python3 $BATS_TEST_DIRNAME/mount_drafts.py"
    LOCAL=$LOGS/local
    mkdir "$LOCAL"
}

version_is() {
    [ "$(version_of "$1")" = "$2" ]
}

# ---- What the descriptor shows ----

# The command on a directory prints here what it prints on a local one.
as_local() {
    local command=$1
    shift
    $FS "$command" "$LOCAL" "$@" >"$LOGS/expected"
    $FS "$command" "$A" "$@" >"$LOGS/actual"
    diff "$LOGS/expected" "$LOGS/actual" | head -40
    cmp "$LOGS/expected" "$LOGS/actual"
}

@test "fstat, SEEK_END, reads and listings show what was written and made" {
    as_local posix
}

@test "fstat and SEEK_END of a file that was opened with O_TRUNC: it is empty" {
    as_local truncated
}

@test "a descriptor with O_APPEND that may read reads what it has appended" {
    as_local appended
}

@test "ftruncate on a descriptor with O_APPEND" {
    as_local truncated-append
}

@test "500 random programs on one descriptor do here what they do on a local directory" {
    as_local programs 1 500
}

@test "a write moves the time that fstat shows, and its close that of stat" {
    $FS times "$A/f"
}

@test "fstat shows the draft, stat and others' reads what was committed" {
    run -0 $FS both-sizes "$A/f"
    assert_output "1 8 1 8
2 8 2 8
3 8 3 8
4 8 4 8
5 8 5 8
5"
}

# ---- Two descriptors of one process ----

@test "with the file open a second time, close has committed: what is read then is there" {
    $FS second "$A/f" r+b
    $FS second "$A/g" ab
}

@test "with the file open a second time, close returns the error of its commit" {
    run -0 $FS second-error "$A/f" "$T/f"
    assert_output "close ESTALE
close ok"
    assert_equal "$(zabctl get "$T/f")" "by another"
}

@test "with the file open a second time, the last of two copies' closes is the one commit" {
    run -0 $FS second-copy "$A/f"
    assert_output "b'old'
b'one two'"
    assert_equal "$(version_of "$T/f")" 1
}

# ---- Outages ----

# A server and a mount of its own for this test, at $M; the server is killed and started by name.
own_mount() {
    unset ZAB_TEST_CONFIG
    OWN=own$BATS_TEST_NUMBER
    start_server "$OWN"
    export ZABCTL_SERVERS=127.0.0.1:$SERVER_PORT
    M=$ZAB_TMP/m$BATS_TEST_NUMBER
    start_mount "$M" "" "$1"
}

# As own_mount; and a program has written to the draft of $M/f, which `tell` drives.
own_draft() {
    own_mount "$1"
    mkfifo "$LOGS/commands"
    exec 6<>"$LOGS/commands"
    background $FS on-command "$M/f" "$LOGS/commands" 6>&- >"$LOGS/said" 2>&1
    wait_for 5 said_lines 1
}

said_lines() {
    [ "$(wc -l <"$LOGS/said")" -ge "$1" ]
}

# The answer to the command is $output.
tell() {
    local lines
    lines=$(wc -l <"$LOGS/said")
    echo "$1" >&6
    wait_for 20 said_lines $((lines + 1))
    output=$(tail -1 "$LOGS/said")
}

is_stale() {
    [ "$(status_of "$M" stale)" = yes ]
}

is_fresh() {
    [ "$(status_of "$M" stale)" = no ]
}

# Killed for so long that what the mount tries meanwhile meets its bounds: a commit with timeo=0.3
# is given up within a second.
outage() {
    kill_server "$OWN"
    wait_for 10 is_stale
    sleep 2.5
}

back_again() {
    start_server "$OWN"
    wait_for 15 is_fresh
}

end_own() {
    exec 6>&-
    stop_mount "$M"
    stop_server "$OWN"
}

@test "an outage while the file is open: it is committed by the close, or before" {
    own_draft timeo=0.3,draft=0.1
    outage
    back_again
    tell close
    assert_output "close ok"
    assert_equal "$(zabctl get /f)" "written before"
    end_own
}

@test "an outage while the file is open: what waits is committed when the servers are back" {
    own_draft timeo=0.3,draft=0.1
    outage
    back_again
    wait_for 5 has_content /f "written before"
    tell write
    tell close
    assert_output "close ok"
    assert_equal "$(zabctl get /f)" "written before
written later"
    end_own
}

has_content() {
    [ "$(zabctl get "$1" 2>/dev/null)" = "$2" ]
}

@test "an outage, and a child that exits: close is ok only if the content is there" {
    own_draft timeo=0.3,draft=0.1
    outage
    tell child
    back_again
    tell child
    tell close
    assert_output "close ok"
    assert_equal "$(zabctl get /f)" "written before"
    end_own
}

@test "an outage, and a child that exits: close in the outage returns the error" {
    own_draft timeo=0.3,draft=0.1
    outage
    tell child
    tell child
    tell close
    local said=$output
    back_again
    # On a busy machine the draft may have been committed before the outage began.
    if [ "$said" = "close ok" ]; then
        assert_equal "$(zabctl get /f)" "written before"
    else
        assert_regex "$said" '^close E(ROFS|TIMEDOUT|IO)$'
    fi
    end_own
}

@test "fsync fails in an outage, and is ok after it" {
    own_draft timeo=0.3,draft=0.1
    outage
    tell fsync
    assert_regex "$output" '^fsync E(ROFS|TIMEDOUT|IO)$'
    back_again
    tell fsync
    assert_output "fsync ok"
    assert_equal "$(zabctl get /f)" "written before"
    tell close
    assert_output "close ok"
    end_own
}

@test "an append whose base is being read when the connection breaks is made, or fails; none is lost" {
    require_program ss
    own_mount timeo=5
    local other=$ZAB_TMP/other$BATS_TEST_NUMBER pid
    start_mount "$other"
    seq 5 >"$M/log"
    wait_for 5 content_is "$other/log" "$(seq 5)"
    # Now $M knows the new version, but not its content.
    echo 6 >>"$other/log"
    wait_for 5 size_is "$M/log" 12
    kill -STOP "$(cat "$ZAB_TMP/$OWN/pid")"
    echo 7 >>"$M/log" 2>"$LOGS/append" &
    pid=$!
    # The request is on its way: the append waits for the answer.
    wait_for 5 waits_for_an_answer
    kill_server "$OWN"
    start_server "$OWN"
    local expected=6
    if wait "$pid"; then
        expected=7
    fi
    wait_for 15 is_fresh
    assert_equal "$(zabctl get /log)" "$(seq "$expected")"
    wait_for 5 content_is "$M/log" "$(seq "$expected")"
    echo more >>"$M/log"
    assert_equal "$(zabctl get /log)" "$(seq "$expected")
more"
    stop_mount "$other"
    end_own
}

size_is() {
    [ "$(stat -c %s "$1")" = "$2" ]
}

# There is more than a ping (12 bytes) in the stopped server's receive queue.
waits_for_an_answer() {
    ss -Htn "sport = :$SERVER_PORT" | awk '$2 > 16 { found = 1 } END { exit !found }'
}

# ---- What is too large ----

@test "a write that is refused as too large leaves nothing: close says so, the old content stays" {
    echo old >"$A/f"
    run -0 $FS too-large "$A/f" O_TRUNC
    assert_output "write EFBIG
close EFBIG"
    assert_equal "$(zabctl get "$T/f")" old
    assert_equal "$(cat "$A/f")" old
    assert_equal "$(version_of "$T/f")" 0
    run bash -c "head -c 3000000 /dev/zero >'$A/f'"
    assert_failure
    assert_output --partial "File too large"
    assert_equal "$(zabctl get "$T/f")" old
}

@test "a new file that is refused as too large is not made" {
    run -0 $FS too-large "$A/f" O_TRUNC
    assert_output "write EFBIG
close EFBIG"
    run -3 zabctl stat "$T/f"
    [ ! -e "$A/f" ]
    [ -z "$(ls -A "$A")" ]
}

@test "an append that is refused as too large leaves nothing of itself" {
    echo old >"$A/f"
    run -0 $FS too-large "$A/f" O_APPEND
    assert_output "write EFBIG
close EFBIG"
    assert_equal "$(zabctl get -o "$T/f" | wc -c)" 4
    echo more >>"$A/f"
    assert_equal "$(zabctl get "$T/f")" "old
more"
}

# A packet has at most 1,048,575 bytes. A set has 20 bytes beside path and data, a create with the
# ACL of anyone 47.
@test "the largest file is what the server takes, to the byte; one byte more is EFBIG" {
    local packet=1048575 path=$T/f connections
    connections=$(grep -c ' connected ' "$ZAB_TMP/a.log")
    run -0 $FS exactly "$A/f" $((packet - 47 - ${#path}))
    assert_output ok
    run -0 $FS exactly "$A/g" $((packet - 47 - ${#path} + 1))
    assert_output "EFBIG File too large"
    [ ! -e "$A/g" ]
    run -0 $FS exactly "$A/f" $((packet - 20 - ${#path}))
    assert_output ok
    run -0 $FS exactly "$A/f" $((packet - 20 - ${#path} + 1))
    assert_output "EFBIG File too large"
    # The mount has kept its connection.
    assert_equal "$(zabctl get -o "$T/f" | wc -c)" $((packet - 20 - ${#path}))
    assert_equal "$(version_of "$T/f")" 1
    assert_equal "$(grep -c ' connected ' "$ZAB_TMP/a.log")" "$connections"
}

# ---- Many descriptors ----

require_descriptors() {
    local limit
    limit=$(ulimit -Hn)
    [ "$limit" = unlimited ] || ((limit >= $1)) || skip "a process may have only $limit descriptors"
}

@test "close in a process with 4,000 descriptors is not many times slower, for it and for others" {
    require_descriptors 4200
    run $FS many-descriptors "$A/f" "$ZAB_TMP/a/.zabfs/status" "$LOGS/stop" 4000
    echo "$output"
    assert_success
}

@test "one commit also in a process with 5,000 descriptors" {
    require_descriptors 5200
    $FS many-one-commit "$A/f" 5000
    assert_equal "$(zabctl get "$T/f") $(version_of "$T/f")" "ab 0"
}
