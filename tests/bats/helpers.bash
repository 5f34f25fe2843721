# SPDX-License-Identifier: GPL-3.0-or-later
# For all .bats files: load helpers. They use the programs of $ZAB_BUILD, run their servers on
# free loopback ports, and keep all files below $ZAB_TMP (see run.sh).
#
#   start_server [NAME]     a server of its own; sets SERVER_PORT, and what stop_server needs
#   stop_server [NAME]      ends it (fails if it has died before); its data stays, and
#                           start_server NAME goes on with it
#   background COMMAND...   run it in the background, recorded for the clean-up; sets BACKGROUND_PID
#   wait_for SECONDS COMMAND...   until COMMAND succeeds, or fail
#
# $ZAB_TEST_SERVER chooses the server: zabd (the build tree's; the default) or zookeeper
# (Apache ZooKeeper as Debian has it).
bats_require_minimum_version 1.5.0
load /usr/lib/bats/bats-support/load
load /usr/lib/bats/bats-assert/load

PATH=$ZAB_BUILD:$PATH
: "${ZAB_TEST_SERVER:=zabd}"
ZOOKEEPER_JAR=/usr/share/java/zookeeper.jar
# For TLS it needs parts of Netty that Debian's package does not name.
ZOOKEEPER_CLASSES=$ZOOKEEPER_JAR:/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar

require_program() {
    command -v "$1" >/dev/null || skip "$1 is not installed"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A process that is still there when run.sh ends is killed by it.
record_pid() {
    echo "$1 $(ps -o lstart= -p "$1" | tr -d ' ')" >>"$ZAB_TMP/pids"
}

background() {
    "$@" 3>&- &
    BACKGROUND_PID=$!
    record_pid "$BACKGROUND_PID"
}

# The signal, and then wait for the end; the process's exit status.
end_process() {
    kill -"$2" "$1" 2>/dev/null
    wait "$1"
}

wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        if ((SECONDS >= deadline)); then
            echo "not within the time: $*" >&2
            return 1
        fi
        sleep 0.05
    done
}

is_ready() {
    zabctl -t 1 -s "127.0.0.1:$1" status >/dev/null 2>&1
}

# $ZAB_TEST_CONFIG: more lines of zoo.cfg.
write_config() {
    mkdir -p "$1/data"
    cat >"$1/zoo.cfg" <<EOC
tickTime=500
dataDir=$1/data
clientPortAddress=127.0.0.1
clientPort=$2
admin.enableServer=false
extendedTypesEnabled=true
4lw.commands.whitelist=*
${ZAB_TEST_CONFIG:-}
EOC
}

run_server() {
    case $ZAB_TEST_SERVER in
    zabd)
        exec zabd "$1"
        ;;
    zookeeper)
        exec java -Xmx256m -XX:TieredStopAtLevel=1 \
            -cp "$ZOOKEEPER_CLASSES" org.apache.zookeeper.server.ZooKeeperServerMain "$1"
        ;;
    esac
}

require_server() {
    case $ZAB_TEST_SERVER in
    zabd)
        [ -x "$ZAB_BUILD/zabd" ] || skip "no zabd in $ZAB_BUILD"
        ;;
    zookeeper)
        require_program java
        [ -e "$ZOOKEEPER_JAR" ] || skip "Apache ZooKeeper is not installed ($ZOOKEEPER_JAR)"
        ;;
    *)
        echo "ZAB_TEST_SERVER must be zabd or zookeeper, not '$ZAB_TEST_SERVER'" >&2
        return 1
        ;;
    esac
}

start_server() {
    local name=${1:-server} dir
    require_server
    dir=$ZAB_TMP/$name
    if [ ! -e "$dir/port" ]; then
        mkdir -p "$dir"
        free_port >"$dir/port"
        write_config "$dir" "$(cat "$dir/port")"
    fi
    SERVER_PORT=$(cat "$dir/port")
    run_server "$dir/zoo.cfg" >>"$dir/log" 2>&1 3>&- &
    echo $! >"$dir/pid"
    record_pid $!
    if ! wait_for 20 is_ready "$SERVER_PORT"; then
        cat "$dir/log" >&2
        return 1
    fi
}

stop_server() {
    local dir=$ZAB_TMP/${1:-server} pid
    pid=$(cat "$dir/pid")
    if ! kill "$pid" 2>/dev/null; then
        echo "the server has died; its log:" >&2
        cat "$dir/log" >&2
        return 1
    fi
    wait_for 10 process_is_gone "$pid"
}

process_is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

# As a crash: no chance to tidy up.
kill_server() {
    local pid
    pid=$(cat "$ZAB_TMP/${1:-server}/pid")
    kill -9 "$pid"
    wait_for 10 process_is_gone "$pid"
}

# The answer to a four-letter word of the server at SERVER_PORT.
word() {
    (exec 4<>"/dev/tcp/127.0.0.1/$SERVER_PORT" && printf %s "$1" >&4 && timeout 10 cat <&4)
}

# A Python program on standard input, with zk.py and kazoo.
py() {
    /usr/bin/python3 -c 'import kazoo' 2>/dev/null || skip "python3-kazoo is not installed"
    SERVER_PORT=$SERVER_PORT PYTHONPATH=${BASH_SOURCE[0]%/*} PYTHONDONTWRITEBYTECODE=1 \
        timeout "${PY_TIMEOUT:-60}" /usr/bin/python3 - "$@"
}
