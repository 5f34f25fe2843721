# SPDX-License-Identifier: GPL-3.0-or-later
# What zabd(8) tells operators to do, step by step as it is written there, and "zabctl data".

setup() {
    load ensemble_helpers
    ZAB_TEST_SERVER=zabd
    ZAB=$ZAB_TMP/op$BATS_TEST_NUMBER
    mkdir -p "$ZAB"
}

# An ensemble of $1 servers with a few nodes, made through clients.
ensemble() {
    make_ensemble "op-$BATS_TEST_NUMBER" "$@"
    use_ensemble "op-$BATS_TEST_NUMBER"
    start $ALL
    wait_formed $ALL
    fill 1 20
}

fill() {
    local i
    for ((i = $1; i <= $2; i++)); do
        zabctl create "/node-$i" "value-$i"
    done >/dev/null
}

# Nodes 1 to $1, and no more, on each of the servers $2...
has_nodes() {
    local n=$1 i host
    shift
    for i in "$@"; do
        host=${HOST_OF[$i]}
        wait_for 20 serves "$i"
        [ "$(zabctl -s "$host" get "/node-$n")" = "value-$n" ] || return 1
        run -3 zabctl -s "$host" get "/node-$((n + 1))"
    done
}

data() {
    echo "$E/$1/data"
}

# Of server $1, to $2, as the manual has it.
backup() {
    mkdir -p "$2/version-2"
    cp "$(data "$1")"/version-2/snapshot.* "$2/version-2/"
    cp "$(data "$1")"/version-2/log.* "$2/version-2/"
}

move_away() {
    local i
    for i in "$@"; do
        mv "$(data "$i")/version-2" "$(data "$i")/away-$(date +%s%N)"
    done
}

# ---- zabctl data ----

@test "data show prints what is there, as text and as JSON" {
    ensemble 3
    stop $ALL
    run -0 zabctl data show "$(data 1)"
    assert_line "myid: 1"
    assert_line "currentEpoch: 1"
    assert_line --regexp '^  snapshot\.0\.zst +[0-9]+ bytes  5 nodes$'
    assert_line --regexp '^  log\.100000001 +[0-9]+ bytes  0x100000001 to 0x1000000[0-9a-f]+, [0-9]+ transactions$'
    assert_line --regexp '^the history ends at zxid 0x1000000[0-9a-f]+$'
    zabctl --json data show "$(data 1)" | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert d["myid"] == "1" and d["currentEpoch"] == "1" and not d["inUse"], d
assert d["logs"][0]["last"] == d["lastZxid"] and d["logs"][0]["transactions"] >= 20, d
assert d["snapshots"][0]["nodes"] == 5 and "fault" not in d["snapshots"][0], d'
    printf x | dd of="$(data 1)/version-2/log.100000001" bs=1 seek=200 conv=notrunc status=none
    run -1 zabctl data show "$(data 1)"
    assert_output --partial "DAMAGED: "
    assert_line "the history cannot be read"
    run -1 zabctl data show "$ZAB"
    assert_output --partial "$ZAB/version-2: there is no such directory"
}

@test "data refuses what a zabd uses, what is empty and what is damaged" {
    local action id
    ensemble 3
    for action in init-restore accept-loss make-single; do
        run -1 zabctl data "$action" --yes "$(data 2)"
        assert_output "zabctl: data: $(data 2) is in use by a zabd; stop that first"
    done
    run -0 zabctl data show "$(data 2)"
    assert_line --partial "version-2, in use by a zabd"
    stop $ALL
    mkdir -p "$ZAB/empty/version-2"
    for action in init-restore make-single; do
        run -1 zabctl data "$action" "$ZAB/empty"
        assert_output --partial "$ZAB/empty/version-2 has no history"
    done
    id=$(cat "$(data 1)/version-2/ensembleId")
    printf x | dd of="$(data 1)/version-2/log.100000001" bs=1 seek=200 conv=notrunc status=none
    for action in init-restore make-single; do
        run -1 zabctl data "$action" "$(data 1)"
        assert_output --partial "log.100000001"
        [ "$(cat "$(data 1)/version-2/ensembleId")" = "$id" ]
        [ -e "$(data 1)/myid" ]
    done
    run -2 zabctl data frob "$ZAB"
    assert_output --partial "'frob' is none of show, init-restore, accept-loss, make-single"
    run -1 zabctl data accept-loss "$(data 2)" <<<no
    assert_line --partial "writes that were acknowledged"
    assert_output --partial "zabctl: data: accept-loss: nothing was changed"
    [ ! -e "$(data 2)/version-2/acceptedLoss" ]
    run -0 zabctl data accept-loss "$(data 2)" <<<yes
    grep -qw 1 "$(data 2)/version-2/acceptedLoss"
}

@test "data finds the log in a dataLogDir, and locks both" {
    local d=$ZAB/data l=$ZAB/log port
    port=$(free_port)
    mkdir -p "$d" "$l"
    printf '%s\n' "dataDir=$d" "dataLogDir=$l" tickTime=250 clientPortAddress=127.0.0.1 "clientPort=$port" >"$ZAB/zoo.cfg"
    zabd "$ZAB/zoo.cfg" 2>"$ZAB/server.log" 3>&- &
    record_pid $!
    wait_for 20 is_ready "$port"
    zabctl -s "127.0.0.1:$port" create /a x
    mkdir -p "$ZAB/other/version-2"
    run -1 zabctl data init-restore "$ZAB/other" --log-dir "$l"
    assert_output --partial "is in use by a zabd"
    end_process $! TERM
    run -0 zabctl data show "$d" --log-dir "$l"
    assert_line --regexp '^  log\.1 .* 0x1 to 0x[0-9a-f]+, [0-9]+ transactions$'
    zabctl data init-restore "$d" --log-dir "$l"
    run -0 zabctl data make-single "$d" --log-dir "$l"
    zabd "$ZAB/zoo.cfg" 2>"$ZAB/server.log" 3>&- &
    record_pid $!
    wait_for 20 is_ready "$port"
    [ "$(zabctl -s "127.0.0.1:$port" get /a)" = x ]
    end_process $! TERM
}

@test "what root does to a directory of another stays that one's" {
    [ "$(id -u)" = 0 ] || skip "only root can act for another"
    ensemble 3
    stop $ALL
    chmod 755 "$ZAB_TMP"
    chown -R nobody "$(data 1)"
    # It acts as another user, and then LeakSanitizer cannot look at it.
    ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-} zabctl data init-restore "$(data 1)"
    [ -z "$(find "$(data 1)" ! -user nobody)" ]
}

# ---- BACKUP and RESTORE ----

@test "a single replica is restored from a backup" {
    local b=$ZAB/backup
    SINGLE=$ZAB/single
    mkdir -p "$SINGLE/data"
    PORT=$(free_port)
    printf '%s\n' "dataDir=$SINGLE/data" tickTime=250 clientPortAddress=127.0.0.1 "clientPort=$PORT" >"$SINGLE/zoo.cfg"
    export ZABCTL_SERVERS=127.0.0.1:$PORT
    run_single
    fill 1 10
    mkdir -p "$b/version-2"
    cp "$SINGLE/data"/version-2/snapshot.* "$b/version-2/"
    cp "$SINGLE/data"/version-2/log.* "$b/version-2/"
    fill 11 12
    zabctl data show "$b"
    end_process "$SINGLE_PID" TERM
    mv "$SINGLE/data/version-2" "$SINGLE/away"
    cp -r "$b/version-2" "$SINGLE/data/"
    run_single
    [ "$(zabctl get /node-10)" = value-10 ]
    run -3 zabctl get /node-11
    end_process "$SINGLE_PID" TERM
}

run_single() {
    zabd "$SINGLE/zoo.cfg" 2>>"$SINGLE/log" 3>&- &
    SINGLE_PID=$!
    record_pid "$SINGLE_PID"
    wait_for 20 is_ready "${ZABCTL_SERVERS#*:}"
}

# Steps 1 to 3 of "A whole ensemble".
restore() {
    local i
    move_away $ALL
    cp -r "$ZAB/backup/version-2" "$(data 2)/"
    run -0 zabctl data init-restore "$(data 2)"
    assert_output --partial "begins a new ensemble with it"
    for i in 1 3; do
        cp -r "$(data 2)/version-2" "$(data "$i")/"
    done
}

# One that has seen a transaction of epoch $1 may open a session at $2.
serves_client_of() {
    python3 - "$1" "${2#*:}" <<'END'
import socket, struct, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=10) as s:
    s.sendall(struct.pack(">iiqiqi", 44, 0, int(sys.argv[1]) << 32 | 99, 10000, 0, 16) + bytes(16))
    assert len(s.recv(4)) == 4
END
}

@test "an ensemble is restored from a backup, its servers started in any order" {
    local order
    ensemble 3
    backup 3 "$ZAB/backup"
    zabctl data show "$ZAB/backup"
    fill 21 30
    for order in "1 2 3" "3 1 2" "2 3 1"; do
        stop $ALL
        restore
        for i in $order; do
            start "$i"
            sleep 0.4
        done
        wait_formed $ALL
        has_nodes 20 $ALL
        serves_client_of 5 "${HOST_OF[1]}"
        fill 21 22
        ens same
    done
}

@test "a restored server goes on where the others follow with empty directories" {
    ensemble 3
    backup 3 "$ZAB/backup"
    fill 21 30
    stop $ALL
    move_away $ALL
    cp -r "$ZAB/backup/version-2" "$(data 2)/"
    zabctl data init-restore "$(data 2)"
    start 2
    wait_for 10 log_has 2 "looking for a leader"
    start 1 3
    wait_formed $ALL
    has_nodes 20 $ALL
}

# ---- LOSING DISKS ----

@test "one server whose disk was replaced gets the tree from the leader" {
    ensemble 3
    stop "$(leader)"
    local i lost
    for i in $ALL; do
        [ -n "$(mode_of "$i")" ] || lost=$i
    done
    wipe "$lost"
    fill 21 25
    start "$lost"
    wait_formed $ALL
    has_nodes 25 $ALL
}

@test "after the disks of a majority were lost the server that has one leads, when all are there" {
    local order
    ensemble 3
    for order in "1 2" "2 1"; do
        stop $ALL
        zabctl data show "$(data 3)"
        wipe 1 2
        start 3
        wait_for 10 log_has 3 "looking for a leader"
        start $order
        wait_formed $ALL
        [ "$(mode_of 3)" = leader ]
        has_nodes 20 $ALL
    done
}

@test "empty servers wait for the one that has a history" {
    ensemble 3
    stop $ALL
    wipe 1
    start 1 2
    sleep 2
    does_not_serve 1
    does_not_serve 2
    start 3
    wait_formed $ALL
    has_nodes 20 $ALL
}

@test "accept-loss lets an empty server vote when the third does not come back" {
    ensemble 3
    stop $ALL
    wipe 1
    start 1 2
    sleep 2
    does_not_serve 1
    does_not_serve 2
    stop 1
    wipe 1
    zabctl data accept-loss --yes "$(data 1)"
    start 1
    wait_formed 1 2
    [ "$(mode_of 2)" = leader ]
    has_nodes 20 1 2
}

# ---- CHANGING THE SERVERS ----

@test "a single replica grows to three" {
    make_ensemble "op-$BATS_TEST_NUMBER" 3
    use_ensemble "op-$BATS_TEST_NUMBER"
    SINGLE=$E/1
    cp "$SINGLE/zoo.cfg" "$SINGLE/three.cfg"
    rm "$SINGLE/data/myid"
    sed -i '/^server/d' "$SINGLE/zoo.cfg"
    printf '%s\n' clientPortAddress=127.0.0.1 "clientPort=${HOST_OF[1]#*:}" >>"$SINGLE/zoo.cfg"
    export ZABCTL_SERVERS=${HOST_OF[1]}
    run_single
    fill 1 20
    end_process "$SINGLE_PID" TERM
    mv "$SINGLE/three.cfg" "$SINGLE/zoo.cfg"
    echo 1 >"$SINGLE/data/myid"
    use_ensemble "op-$BATS_TEST_NUMBER"
    start 1
    wait_for 10 log_has 1 "looking for a leader"
    start 2 3
    wait_formed $ALL
    [ "$(mode_of 1)" = leader ]
    has_nodes 20 $ALL
}

@test "an ensemble shrinks to a single replica, and not by accident" {
    ensemble 3
    stop $ALL
    SINGLE=$E/2
    sed -i '/^server/d' "$SINGLE/zoo.cfg"
    printf '%s\n' clientPortAddress=127.0.0.1 "clientPort=${HOST_OF[2]#*:}" >>"$SINGLE/zoo.cfg"
    run -1 timeout 10 zabd "$SINGLE/zoo.cfg"
    assert_output --partial "zabctl data make-single $(data 2)"
    run -0 zabctl data make-single "$(data 2)"
    assert_output --partial "is a single replica's"
    [ "$(cat "$(data 2)"/version-2/replaced-*/myid)" = 2 ]
    [ "$(cat "$(data 2)"/version-2/replaced-*/currentEpoch)" = 1 ]
    export ZABCTL_SERVERS=${HOST_OF[2]}
    run_single
    has_nodes 20 2
    end_process "$SINGLE_PID" TERM
}

# The new machine is a directory and ports of its own.
@test "a machine is replaced by another one" {
    local old=1 last i ports new
    ensemble 3
    [ "$(leader)" != 1 ] || old=2
    last=$(leader)
    read -ra ports < <(free_ports 3)
    new=127.0.0.1:${ports[0]}:${ports[1]}
    stop "$old"
    sed -i "s/^server\.$old=.*/server.$old=$new;127.0.0.1:${ports[2]}/" "$E"/*/zoo.cfg
    for i in $ALL; do
        if [ "$i" != "$old" ] && [ "$i" != "$last" ]; then
            stop "$i"
            start "$i"
            wait_for 20 is_follower "$i"
        fi
    done
    stop "$last"
    start "$last"
    wait_for 20 serves "$last"
    HOST_OF[old]=127.0.0.1:${ports[2]}
    mv "$(data "$old")" "$E/$old/old"
    mkdir "$(data "$old")"
    echo "$old" >"$(data "$old")/myid"
    start "$old"
    wait_formed $ALL
    has_nodes 20 $ALL
}

# Nothing of what it has is lost by that, and nothing of the others.
@test "a machine of before the restore is refused, and says why" {
    local old=$ZAB/old
    ensemble 3
    backup 3 "$ZAB/backup"
    fill 21 30
    stop $ALL
    cp -r "$(data 1)" "$old"
    restore
    start $ALL
    wait_formed $ALL
    fill 21 22
    stop 1
    mv "$(data 1)" "$ZAB/of-the-restore"
    mv "$old" "$(data 1)"
    start 1
    wait_for 20 log_has 1 "belongs to another ensemble"
    wait_for 20 eval 'log_has 2 "belongs to another ensemble" || log_has 3 "belongs to another ensemble"'
    has_nodes 22 2 3
    does_not_serve 1
    stop 1
    run -0 zabctl data show "$(data 1)"
    cp -r "$(data 1)" "$ZAB/look"
    zabctl data make-single "$ZAB/look"
    use_single "$ZAB/look"
    has_nodes_of_single 30
    end_process "$SINGLE_PID" TERM
    use_ensemble "op-$BATS_TEST_NUMBER"
    move_away 1
    start 1
    wait_formed $ALL
    has_nodes 22 1
}

# A configuration of its own for the directory $1, and start it.
use_single() {
    SINGLE=$ZAB/single
    mkdir -p "$SINGLE"
    PORT=$(free_port)
    printf '%s\n' "dataDir=$1" clientPortAddress=127.0.0.1 "clientPort=$PORT" >"$SINGLE/zoo.cfg"
    export ZABCTL_SERVERS=127.0.0.1:$PORT
    run_single
}

has_nodes_of_single() {
    [ "$(zabctl get "/node-$1")" = "value-$1" ]
    run -3 zabctl get "/node-$(($1 + 1))"
}

is_follower() {
    [ "$(mode_of "$1")" = follower ]
}

serves() {
    [ "$(ask "$1" isro)" = rw ]
}
