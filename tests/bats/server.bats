# SPDX-License-Identifier: GPL-3.0-or-later
# zabd as a process: its command line and configuration, its limits, sessions.

setup() {
    load helpers
    ZAB_TEST_SERVER=zabd
    NAME=$BATS_TEST_NUMBER
    DIR=$ZAB_TMP/$NAME
    mkdir -p "$DIR"
}

# All lines of the configuration but those given (as with start_server).
config() {
    ZAB_TEST_CONFIG=$(printf '%s\n' "$@")
}

# A configuration file of just these lines.
lines() {
    printf '%s\n' "$@" >"$DIR/zoo.cfg"
}

# zabd must not start: its message and exit status.
refused() {
    run -1 timeout 10 zabd "$@" "$DIR/zoo.cfg"
}

log_has() {
    grep -qE -- "$1" "$DIR/log"
}

# ---- Command line and configuration ----

@test "help, version and keys" {
    run -0 zabd --help
    assert_line --index 0 "usage: zabd [OPTION] ZOO.CFG"
    run -0 zabd --version
    assert_output --regexp '^zabd [0-9]+\.[0-9]+'
    run -0 zabd --help-config
    assert_line "clientPort=2181"
    assert_line "dataDir="
}

@test "wrong usage ends with status 2 and the usage" {
    run -2 timeout 10 zabd
    assert_output --partial "usage: zabd"
    run -2 timeout 10 zabd a b
    assert_output --partial "usage: zabd"
    run -2 timeout 10 zabd --frobnicate
    assert_output --partial "--frobnicate"
}

@test "check-config says ok and touches nothing" {
    lines "dataDir=$DIR/data" "# a comment" "" "! another" "clientPort = 2281" "tickTime: 500"
    run -0 zabd --check-config "$DIR/zoo.cfg"
    assert_output "$DIR/zoo.cfg: ok"
    [ ! -e "$DIR/data" ]
    run -1 zabd --check-config "$DIR/none.cfg"
    assert_output --partial "$DIR/none.cfg: No such file or directory"
}

# ---- Directories and ports ----

@test "a data directory that cannot be is named" {
    touch "$DIR/file"
    lines "dataDir=$DIR/file" "clientPort=$(free_port)"
    refused
    assert_output --partial "$DIR/file"
    assert_output --partial "Not a directory"
    lines "dataDir=/proc/none/data" "clientPort=$(free_port)"
    refused
    assert_output --partial "/proc/none/data"
}

@test "a data directory that may not be written is named" {
    local obey=()
    ((EUID != 0)) || obey=(setpriv --bounding-set=-dac_override,-dac_read_search)
    mkdir -m 555 "$DIR/data"
    lines "dataDir=$DIR/data" "clientPort=$(free_port)"
    run -1 "${obey[@]}" timeout 10 zabd "$DIR/zoo.cfg"
    assert_output --partial "$DIR/data"
    assert_output --partial "Permission denied"
}

@test "a data directory has one zabd at a time" {
    start_server "$NAME"
    lines "dataDir=$DIR/data" "clientPort=$(free_port)" "clientPortAddress=127.0.0.1"
    refused
    assert_output --partial "dataDir $DIR/data is in use by another zabd"
    is_ready "$SERVER_PORT"
}

@test "a directory of logs has one zabd at a time" {
    free_port >"$DIR/port"
    lines "dataDir=$DIR/data" "dataLogDir=$DIR/logs" "clientPort=$(cat "$DIR/port")" \
        "clientPortAddress=127.0.0.1"
    start_server "$NAME"
    lines "dataDir=$DIR/other" "dataLogDir=$DIR/data/../logs" "clientPort=$(free_port)" \
        "clientPortAddress=127.0.0.1"
    refused
    assert_output --partial "dataLogDir $DIR/data/../logs is in use by another zabd"
    lines "dataDir=$DIR/logs" "clientPort=$(free_port)" "clientPortAddress=127.0.0.1"
    refused
    assert_output --partial "dataDir $DIR/logs is in use by another zabd"
    is_ready "$SERVER_PORT"
}

@test "a port that is taken, and an address that is not here" {
    start_server "$NAME"
    lines "dataDir=$DIR/other" "clientPort=$SERVER_PORT" "clientPortAddress=127.0.0.1"
    refused
    assert_output --partial "cannot listen on port $SERVER_PORT of 127.0.0.1: address already in"
    lines "dataDir=$DIR/other" "clientPort=$SERVER_PORT" "clientPortAddress=192.0.2.1"
    refused
    assert_output --partial "192.0.2.1"
    is_ready "$SERVER_PORT"
}

@test "log files in dataDir are not overlooked when dataLogDir is another" {
    start_server "$NAME"
    zabctl -s "127.0.0.1:$SERVER_PORT" create /a
    stop_server "$NAME"
    lines "dataDir=$DIR/data" "dataLogDir=$DIR/logs" "clientPort=$SERVER_PORT"
    refused
    assert_output --partial "correct dataLogDir"
}

# ---- Start and end ----

@test "SIGTERM ends it at once with status 0, with clients and requests on the way" {
    start_server "$NAME"
    py "$(cat "$DIR/pid")" <<'END'
from zk import *
wire = Wire()
assert wire.open_session()
for i in range(2000):
    wire.request(CREATE, text(b"/n%d" % i) + text(b"") + struct.pack(">iii", 0, 0, 0))
    wire.request(EXISTS, text(b"/n") + b"\0")
start = time.monotonic()
os.kill(int(sys.argv[1]), 15)
try:
    while True:
        wire.receive()
except (EOFError, ConnectionResetError):
    assert time.monotonic() - start < 2
END
    wait "$(cat "$DIR/pid")"
    log_has "stopping on SIGTERM"
}

@test "SIGINT ends it as well" {
    start_server "$NAME"
    end_process "$(cat "$DIR/pid")" INT
    log_has "stopping on SIGINT"
}

@test "a start over and over leaves no session and no node behind" {
    local i
    for i in 1 2 3; do
        start_server "$NAME"
        zabctl -s "127.0.0.1:$SERVER_PORT" create "/n$i"
        stop_server "$NAME"
    done
    start_server "$NAME"
    run -0 zabctl -s "127.0.0.1:$SERVER_PORT" ls /
    assert_output "n1
n2
n3
zookeeper"
    run -0 word dump
    assert_line "Global Sessions(0):"
}

# ---- Four-letter words ----

@test "srvr, stat and mntr tell the same numbers" {
    start_server "$NAME"
    zabctl -s "127.0.0.1:$SERVER_PORT" create /a 12345
    run -0 word srvr
    assert_line --index 0 --regexp '^Zookeeper version: [0-9.]+-zabd-[0-9.]+, built on [-0-9]+ [0-9:]+ UTC$'
    assert_line --regexp '^Latency min/avg/max: [0-9]+/[0-9.]+/[0-9]+$'
    assert_line --regexp '^Received: [0-9]+$'
    assert_line --regexp '^Zxid: 0x[0-9a-f]+$'
    assert_line "Mode: standalone"
    local nodes
    nodes=$(sed -n 's/Node count: //p' <<<"$output")
    run -0 word stat
    assert_line "Clients:"
    assert_line --regexp '^ /127\.0\.0\.1:[0-9]+\[1\]\(queued=0,recved=[0-9]+,sent=[0-9]+\)$'
    assert_line "Node count: $nodes"
    run -0 word mntr
    assert_line "zk_znode_count	$nodes"
    assert_line "zk_server_state	standalone"
    run -1 grep -v "^zk_[a-z_]*	[^	]*$" <<<"$output"
}

@test "ruok, isro, conf and envi" {
    start_server "$NAME"
    run -0 word ruok
    assert_output imok
    run -0 word isro
    assert_output rw
    run -0 word conf
    assert_line "clientPort=$SERVER_PORT"
    assert_line "dataDir=$DIR/data/version-2"
    run -0 word envi
    assert_line "Environment:"
    assert_line --partial "zookeeper.version="
    assert_line "config=$DIR/zoo.cfg"
}

@test "cons, dump, wchs and wchc know a session, its ephemeral node and its watch" {
    start_server "$NAME"
    py >"$DIR/out" <<'END'
from zk import *
def word(w):
    s = socket.create_connection(("127.0.0.1", PORT))
    s.sendall(w)
    return s.makefile().read()
wire = Wire()
wire.open_session()
assert wire.create(b"/e", flags=1) == 0
assert wire.call(GET_DATA, text(b"/e") + b"\1") == 0
sid = f"0x{wire.session:x}"
cons, dump, wchc = word(b"cons"), word(b"dump"), word(b"wchc")
assert f"sid={sid},lop=GETD,est=" in cons and ",to=10000,lcxid=0x1,lzxid=0x2," in cons, cons
assert f"{sid}\t10000ms\n" in dump and f"{sid}:\n\t/e\n" in dump, dump
assert "Sessions with Ephemerals (1):" in dump, dump
assert word(b"wchs") == "1 connections watching 1 paths\nTotal watches:1\n"
assert wchc == f"{sid}\n\t/e\n\n", wchc
assert word(b"crst") == "Connection stats reset.\n"
assert f"recved=0,sent=0,sid={sid},lop=NA" in word(b"cons")
assert word(b"srst") == "Server stats reset.\n"
assert "zk_packets_received\t0\n" in word(b"mntr")
END
}

@test "the whitelist says which words are answered" {
    config "4lw.commands.whitelist=ruok, srvr"
    start_server "$NAME"
    run -0 word ruok
    assert_output imok
    run -0 word mntr
    assert_output "mntr is not executed because it is not in the whitelist."
    run -0 word srvr
    assert_line "Mode: standalone"
}

# ---- The log ----

# Of each port that refuses them: the first few are named, the rest is counted.
@test "a flood of refused connections is a few lines in the log" {
    local quorum election
    quorum=$(free_port)
    election=$(free_port)
    mkdir -p "$DIR/data"
    echo 1 >"$DIR/data/myid"
    config standaloneEnabled=false "server.1=127.0.0.1:$quorum:$election"
    start_server "$NAME"
    for port in "$SERVER_PORT" "$quorum" "$election"; do
        : >"$DIR/log"
        python3 - "$port" <<'END'
import socket, sys
for i in range(1500):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
        s.sendall(b"\0\0\0\4abcd" + bytes(64))
        s.settimeout(10)
        try:
            s.recv(1)
        except ConnectionResetError:
            pass
END
        wait_for 10 log_has "warn  [0-9]+ more like it suppressed: .*(closed|not one of ours)"
        [ "$(grep -cE "closed|not one of ours" "$DIR/log")" -ge 11 ]
        [ "$(wc -l <"$DIR/log")" -lt 300 ]
    done
}

# ---- Connections ----

@test "maxClientCnxns limits the connections of an address" {
    config maxClientCnxns=3
    start_server "$NAME"
    py <<'END'
from zk import *
def new():
    wire = Wire()
    try:
        return wire if wire.open_session() else None
    except (EOFError, OSError):
        return None
three = [wait_for(5, new) for i in range(3)]
assert new() is None
three.pop().socket.close()
three.append(wait_for(5, new))
assert all(wire.call(EXISTS, text(b"/") + b"\0") == 0 for wire in three)
END
    log_has "has 3 connections already \(maxClientCnxns\)"
}

@test "a frame that is too large or negative ends its connection, and no other" {
    config jute.maxbuffer=4096
    start_server "$NAME"
    py <<'END'
from zk import *
good = Wire()
good.open_session()
for size in 4097, 0x7fffffff, -1, -0x80000000:
    for with_session in False, True:
        wire = Wire()
        if with_session:
            wire.open_session()
        wire.socket.sendall(struct.pack(">i", size))
        assert wire.is_closed(), size
wire = Wire()
wire.send(b"this is no ConnectRequest")
assert wire.is_closed()
assert good.create(b"/a", bytes(4000)) == 0
END
    log_has "a frame of 4097 bytes, 4096 are allowed \(jute.maxbuffer\)"
    log_has "its first frame is no ConnectRequest"
}

@test "a frame may come byte by byte" {
    start_server "$NAME"
    py <<'END'
from zk import *
wire = Wire()
wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
wire.send = lambda frame: [wire.socket.sendall(bytes([b]))
                           for b in struct.pack(">i", len(frame)) + frame]
wire.open_session()
assert wire.create(b"/a", b"data") == 0
assert wire.call(EXISTS, text(b"/a") + b"\0") == 0
END
}

@test "who opens no session in time is closed" {
    config zab.handshakeTimeout=400
    start_server "$NAME"
    py <<'END'
from zk import *
start = time.monotonic()
with_session, silent, half = Wire(), Wire(), Wire()
with_session.open_session()
half.socket.sendall(b"\0\0\0\x2d\0\0")
assert silent.is_closed() and half.is_closed()
assert 0.4 <= time.monotonic() - start < 3
assert with_session.call(EXISTS, text(b"/") + b"\0") == 0
END
    log_has "no session after 400 ms \(zab.handshakeTimeout\)"
}

# They are more than a turn's work, so that the connection is paused and goes on between two reads.
@test "many large reads at once are answered" {
    start_server "$NAME"
    PY_TIMEOUT=100 py <<'END'
from zk import *
client = connect()
for i in range(40):
    client.create("/%d" % i, bytes([i]) * 900000)
for _ in range(15):
    reader = KazooClient(f"127.0.0.1:{PORT}")
    reader.start(timeout=15)
    answers = [(reader.get_async("/%d" % i), reader.get_children_async("/%d" % i),
                reader.get_acls_async("/%d" % i)) for i in range(40)]
    for i, (data, children, acls) in enumerate(answers):
        assert data.get(timeout=15)[0] == bytes([i]) * 900000
        assert children.get(timeout=15) == [] and len(acls.get(timeout=15)[0]) == 1
    reader.stop()
    reader.close()
END
}

@test "a client that does not read its answers waits, and loses none" {
    config zab.maxOutput=1048576
    start_server "$NAME"
    py <<'END'
from zk import *
slow, other = Wire(receive_buffer=4096), connect()
other.create("/a", bytes(500000))
slow.open_session()
for xid in range(40):
    slow.request(GET_DATA, text(b"/a") + b"\0", xid)
for i in range(20):
    other.create("/b", sequence=True)
for xid in range(40):
    assert slow.reply()[0] == xid
END
}

@test "a client that does not read its watch events is closed (zab.maxOutput)" {
    config zab.maxOutput=1048576
    start_server "$NAME"
    py <<'END'
from zk import *
slow, other = Wire(receive_buffer=4096), Wire()
slow.open_session()
other.open_session()
path = b"/" + b"x" * 100000
assert other.create(path) == 0
assert slow.call(ADD_WATCH, text(path) + struct.pack(">i", 0)) == 0
for i in range(200):
    assert other.call(SET_DATA, text(path) + text(b"") + struct.pack(">i", -1)) == 0
END
    wait_for 5 log_has "does not read and [0-9]+ bytes wait for it \(zab.maxOutput\)"
    wait_for 5 no_connections
}

no_connections() {
    word srvr | grep -qx 'Connections: 1'
}

# ---- Sessions ----

@test "the session timeout is negotiated between two and twenty ticks" {
    start_server "$NAME"
    py <<'END'
from zk import *
for asked, given in (1, 1000), (3000, 3000), (999999, 10000), (-5, 1000):
    wire = Wire()
    wire.open_session(asked)
    assert wire.timeout_ms == given, wire.timeout_ms
END
}

@test "an ephemeral node goes when its session expires, and not before" {
    config tickTime=250
    start_server "$NAME"
    py <<'END'
from zk import *
wire, client = Wire(), connect()
wire.open_session(1000)
assert wire.create(b"/e", flags=1) == 0
for i in range(3):
    heard = time.monotonic()
    assert wire.call(PING) == 0
    while time.monotonic() < heard + 0.7:
        assert client.exists("/e"), "gone too early"
        time.sleep(0.05)
wait_for(3, lambda: not client.exists("/e"))
assert 1 <= time.monotonic() - heard < 2
assert wire.is_closed()
again = Wire()
assert not again.open_session(1000, wire.session, wire.password)
END
    log_has "session 0x[0-9a-f]+: expired, nothing heard for 1000 ms"
}

@test "a closed session takes its ephemeral nodes along at once" {
    start_server "$NAME"
    py <<'END'
from zk import *
wire, client = Wire(), connect()
wire.open_session()
wire.create(b"/e", flags=1)
assert client.exists("/e")
assert wire.call(CLOSE) == 0
assert not client.exists("/e")
END
}

@test "a session moves to another connection, with its password only" {
    start_server "$NAME"
    py <<'END'
from zk import *
first, second, thief = Wire(), Wire(), Wire()
first.open_session()
assert first.create(b"/e", flags=1) == 0
assert not thief.open_session(10000, first.session, b"x" * 16)
assert first.call(EXISTS, text(b"/e") + b"\0") == 0
assert second.open_session(10000, first.session, first.password)
assert first.is_closed()
assert second.call(EXISTS, text(b"/e") + b"\0") == 0
END
    log_has "wrong password for session"
}

@test "a session outlives a restart and a kill, with its ephemeral nodes" {
    start_server "$NAME"
    py >"$DIR/session" <<'END'
from zk import *
wire = Wire()
wire.open_session()
wire.create(b"/e", flags=1)
print(wire.session, wire.password.hex())
END
    kill_server "$NAME"
    start_server "$NAME"
    stop_server "$NAME"
    start_server "$NAME"
    py $(cat "$DIR/session") <<'END'
from zk import *
session, password = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
wire = Wire()
assert wire.open_session(10000, session, password)
assert wire.session == session and wire.password == password
assert connect().get("/e")[1].ephemeralOwner == session
assert wire.call(CLOSE) == 0
assert not connect().exists("/e")
END
}

@test "a client from the future of this server is not served" {
    start_server "$NAME"
    py <<'END'
from zk import *
wire = Wire()
try:
    wire.open_session(seen=0x100000000)
    assert False, "served"
except (EOFError, ConnectionResetError):
    pass
END
    log_has "it has seen zxid 0x100000000 and the last one here is 0x"
}

# ---- Nodes that go by themselves ----

@test "a TTL node goes when its time is over, unless it has children" {
    config znode.container.checkIntervalMs=100
    start_server "$NAME"
    export ZABCTL_SERVERS=127.0.0.1:$SERVER_PORT
    local start=$EPOCHREALTIME
    zabctl create --ttl 700 /t
    zabctl create --ttl 100 /parent
    zabctl create /parent/child
    wait_for 5 is_gone /t
    awk "BEGIN {exit !($EPOCHREALTIME - $start >= 0.7)}"
    zabctl stat /parent
    zabctl rm /parent/child
    wait_for 5 is_gone /parent
}

@test "a container goes after its last child, and not before its first" {
    config znode.container.checkIntervalMs=100
    start_server "$NAME"
    export ZABCTL_SERVERS=127.0.0.1:$SERVER_PORT
    zabctl create -c /never-used
    zabctl create -c /used
    zabctl create /used/a
    zabctl create --ttl 100 /later
    wait_for 5 is_gone /later
    zabctl stat /used/a
    zabctl rm /used/a
    wait_for 5 is_gone /used
    zabctl stat /never-used
}

is_gone() {
    run zabctl stat "$1"
    [ "$status" = 3 ]
}

@test "without extendedTypesEnabled a TTL node is refused" {
    config extendedTypesEnabled=false
    start_server "$NAME"
    run ! zabctl -s "127.0.0.1:$SERVER_PORT" create --ttl 1000 /t
    run -0 zabctl -s "127.0.0.1:$SERVER_PORT" ls /
    assert_output zookeeper
}

# ---- Snapshots ----

@test "snapshots one right behind the other, while writes go on" {
    config snapCount=2
    start_server "$NAME"
    py <<'END'
from zk import *
wire = Wire()
wire.open_session()
wire.create(b"/a")
for i in range(2000):
    wire.request(SET_DATA, text(b"/a") + text(bytes(1000)) + struct.pack(">i", i))
    if i % 20 == 19:
        assert all(wire.reply()[2] == 0 for j in range(20))
END
    stop_server "$NAME"
    [ "$(grep -c "snapshot at 0x" "$DIR/log")" -ge 10 ]
    start_server "$NAME"
    run -0 zabctl -s "127.0.0.1:$SERVER_PORT" stat /a
    assert_line --regexp '^version: +2000$'
}
