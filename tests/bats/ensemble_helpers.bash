# SPDX-License-Identifier: GPL-3.0-or-later
# For the .bats files of ensembles. The servers of the ensemble NAME are numbered from 1, each with
# its directory $ZAB_TMP/NAME/I. What runs one is "zabd" or "zookeeper" ($ZAB_TEST_SERVER).
#
#   make_ensemble NAME N [LINE...]   the files of N servers; LINEs are more lines of each zoo.cfg. With
#                           $OBSERVER the server of that number is one. With $NETWORK each is on a
#                           host of its own (see the program network), and the clients on another
#   use_ensemble NAME       sets E (its directory), N, ALL (their numbers) and HOSTS
#   start I..., stop I..., kill9 I..., wipe I...
#   start_theirs I...       the same servers as Apache ZooKeeper
#   signal SIGNAL I...
#   wait_formed I...        until all of these serve, one of them as the leader
#   leader, follower        prints the number of the leader, of the first follower
#   ens PROGRAM ARGUMENT... of ensemble.py
source "${BASH_SOURCE[0]%/*}/helpers.bash"
NETWORK_TOOL=${BASH_SOURCE[0]%/*}/network

# $1 consecutive ports that nothing uses and that the kernel gives to no outgoing connection.
free_ports() {
    python3 - "$1" <<'END_OF_PROGRAM'
import random, socket, sys
count = int(sys.argv[1])
while True:
    first = random.randrange(10000, 32000 - count)
    sockets = []
    try:
        for port in range(first, first + count):
            sockets.append(socket.socket())
            sockets[-1].bind(("127.0.0.1", port))
    except OSError:
        continue
    finally:
        for s in sockets:
            s.close()
    print(*range(first, first + count))
    break
END_OF_PROGRAM
}

make_ensemble() {
    local name=$1 n=$2 i host=127.0.0.1 ports lines=
    shift 2
    mkdir -p "$ZAB_TMP/$name"
    [ -z "${NETWORK:-}" ] || make_network "$ZAB_TMP/$name/network" "$n"
    read -ra ports < <(free_ports $((3 * n)))
    for ((i = 0; i < n; i++)); do
        [ -z "${NETWORK:-}" ] || host=10.99.0.$((i + 1))
        lines+="server.$((i + 1))=$host:${ports[3 * i]}:${ports[3 * i + 1]}"
        [ "$((i + 1))" != "${OBSERVER:-}" ] || lines+=:observer
        lines+=";$host:${ports[3 * i + 2]}"$'\n'
        echo "$host:${ports[3 * i + 2]}" >>"$ZAB_TMP/$name/hosts"
    done
    for ((i = 1; i <= n; i++)); do
        mkdir -p "$ZAB_TMP/$name/$i/data"
        echo "$i" >"$ZAB_TMP/$name/$i/data/myid"
        cat >"$ZAB_TMP/$name/$i/zoo.cfg" <<EOC
tickTime=250
initLimit=20
syncLimit=8
maxSessionTimeout=30000
dataDir=$ZAB_TMP/$name/$i/data
admin.enableServer=false
extendedTypesEnabled=true
4lw.commands.whitelist=*
$(printf '%s\n' "$@")
$lines
EOC
        [ "$i" != "${OBSERVER:-}" ] || echo peerType=observer >>"$ZAB_TMP/$name/$i/zoo.cfg"
    done
}

make_network() {
    local i
    [ "$(id -u)" = 0 ] || skip "only root can make a network of namespaces"
    "$NETWORK_TOOL" up "$1" "$2" 2>"$1.err" 3>&- || skip "no network of namespaces: $(cat "$1.err")"
    for i in "$1"/*; do
        record_pid "$(cat "$i")"
    done
}

network() {
    local command=$1
    shift
    "$NETWORK_TOOL" "$command" "$E/network" "$@"
}

use_ensemble() {
    E=$ZAB_TMP/$1
    CLIENT=()
    [ ! -e "$E/network" ] || CLIENT=("$NETWORK_TOOL" in "$E/network" 0)
    mapfile -t HOST_OF <"$E/hosts"
    N=${#HOST_OF[@]}
    HOST_OF=(none "${HOST_OF[@]}")
    ALL=$(seq -s ' ' "$N")
    HOSTS=$(paste -s -d , "$E/hosts")
    export HOSTS ZABCTL_SERVERS=$HOSTS
}

run_peer() {
    local on=()
    [ ! -e "$E/network" ] || on=("$NETWORK_TOOL" in "$E/network" "$2")
    case $ZAB_TEST_SERVER in
    zabd)
        exec "${on[@]}" zabd "$1"
        ;;
    zookeeper)
        exec "${on[@]}" java -Xmx160m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dzookeeper.admin.enableServer=false \
            -cp "$ZOOKEEPER_CLASSES" org.apache.zookeeper.server.quorum.QuorumPeerMain "$1"
        ;;
    esac
}

start() {
    local i
    for i in "$@"; do
        run_peer "$E/$i/zoo.cfg" "$i" >>"$E/$i/log" 2>&1 3>&- &
        echo $! >"$E/$i/pid"
        record_pid $!
        disown
    done
}

# As Apache ZooKeeper, which reads no zstd.
start_theirs() {
    local i
    for i in "$@"; do
        find "$E/$i/data" -name 'snapshot.*.zst' -exec zstd -dq --rm {} +
    done
    ZAB_TEST_SERVER=zookeeper start "$@"
}

signal() {
    local name=$1 i
    shift
    for i in "$@"; do
        kill "-$name" "$(cat "$E/$i/pid")" || {
            echo "server $i has died; its log:" >&2
            tail -n 20 "$E/$i/log" >&2
            return 1
        }
    done
}

# It must have been alive.
end_with() {
    local name=$1 i
    shift
    signal "$name" "$@"
    for i in "$@"; do
        wait_for 20 process_is_gone "$(cat "$E/$i/pid")"
    done
}

stop() {
    end_with TERM "$@"
}

kill9() {
    end_with KILL "$@"
}

wipe() {
    local i
    for i in "$@"; do
        rm -rf "$E/$i/data/version-2"
    done
}

# The answer of server $1 to the four-letter word $2.
ask() {
    timeout 2 "${CLIENT[@]}" bash -c 'exec 4<>"/dev/tcp/$1/$2" && printf %s "$3" >&4 && cat <&4' \
        - "${HOST_OF[$1]%:*}" "${HOST_OF[$1]#*:}" "$2" 2>/dev/null
}

mode_of() {
    ask "$1" srvr | sed -n 's/^Mode: //p'
}

have_formed() {
    local i modes=
    for i in "$@"; do
        modes+=" $(mode_of "$i")"
    done
    [ "$(wc -w <<<"$modes")" = $# ] && [ "$(grep -ow leader <<<"$modes" | wc -l)" = 1 ]
}

wait_formed() {
    wait_for 30 have_formed "$@" || {
        tail -n 20 "$E"/*/log >&2
        return 1
    }
}

with_mode() {
    local i
    for i in $ALL; do
        [ "$(mode_of "$i")" != "$1" ] || {
            echo "$i"
            return
        }
    done
    return 1
}

leader() {
    with_mode leader
}

follower() {
    with_mode follower
}

followers() {
    local i
    for i in $ALL; do
        [ "$(mode_of "$i")" != follower ] || echo "$i"
    done
}

log_has() {
    grep -qE -- "$2" "$E/$1/log"
}

# How often server $1's log says $2.
count_in_log() {
    grep -cE -- "$2" "$E/$1/log" || :
}

does_not_serve() {
    [ "$(ask "$1" isro)" = null ] &&
        [ "$(ask "$1" srvr)" = "This ZooKeeper instance is not currently serving requests" ]
}

# Server $1 has never had $2 MiB of memory. With a sanitizer most of it is that one's.
memory_was_below() {
    local kib
    kib=$(awk '/^VmHWM/ { print $2 }' "/proc/$(cat "$E/$1/pid")/status")
    echo "server $1 had up to $kib KiB"
    [ "$kib" -lt $(($2 * 1024)) ] || grep -qE '__(asan|tsan)_init' "$ZAB_BUILD/zabd"
}

# ---- Load, see ensemble.py ----

start_load() {
    LOAD=$E/$1
    background ens load "$LOAD" >"$LOAD.log" 2>&1
    LOAD_PID=$BACKGROUND_PID
    load_goes_on
}

acknowledged() {
    wc -l <"$LOAD.created"
}

has_acknowledged() {
    if process_is_gone "$LOAD_PID"; then
        cat "$LOAD.log" >&2
        return 1
    fi
    [ "$(acknowledged)" -ge "$1" ]
}

# Writes are acknowledged, now.
load_goes_on() {
    touch "$LOAD.created"
    wait_for 20 has_acknowledged $(($(acknowledged) + ${1:-30}))
}

# Ends it, and checks on each of the servers.
check_load() {
    touch "$LOAD.stop"
    wait_for 30 process_is_gone "$LOAD_PID"
    wait "$LOAD_PID" || {
        cat "$LOAD.log" >&2
        return 1
    }
    ens check "$LOAD"
    ens same
}

ens() {
    PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1 \
        timeout "${PY_TIMEOUT:-100}" "${CLIENT[@]}" /usr/bin/python3 "$BATS_TEST_DIRNAME/ensemble.py" "$@"
}

# A Python program on standard input, with ensemble.py and kazoo.
py() {
    PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1 \
        timeout "${PY_TIMEOUT:-60}" "${CLIENT[@]}" /usr/bin/python3 - "$@"
}

require_kazoo() {
    /usr/bin/python3 -c 'import kazoo' 2>/dev/null || skip "python3-kazoo is not installed"
}

# ---- Files of a mount ----

has_more_lines() {
    [ "$(wc -l <"$1")" -ge "$2" ]
}

# Names in $2 are those whose close was acknowledged: the shell's own echo does not look at that.
write_files() {
    local n=0 echo
    echo=$(type -P echo)
    while [ ! -e "$2.stop" ]; do
        if "$echo" "file-$n" >"$1/file-$n"; then
            echo "file-$n" >>"$2"
        fi
        n=$((n + 1))
        sleep 0.05
    done
}

# Those whose close was acknowledged (the names in $2) are in directory $1 of the mount, and on the
# servers below /files, and those who watch (the events in $3) know of them.
expect_files() {
    local name
    while read -r name; do
        [ "$(cat "$1/$name")" = "$name" ]
        wait_for 10 grep -qx "CREATE $name" "$3"
    done <"$2"
    zabctl ls /files | sort >"$2.there"
    [ -z "$(sort "$2" | comm -23 - "$2.there")" ]
}
