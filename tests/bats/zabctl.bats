# SPDX-License-Identifier: GPL-3.0-or-later
# Each test works below a node of its own.

setup_file() {
    load helpers
    start_server
    export SERVER_PORT
}

teardown_file() {
    load helpers
    stop_server
}

setup() {
    load helpers
    zabctl -s "127.0.0.1:$SERVER_PORT" create "/t$BATS_TEST_NUMBER"
    export ZABCTL_SERVERS=127.0.0.1:$SERVER_PORT/t$BATS_TEST_NUMBER
    DIR=$BATS_TEST_TMPDIR
}

contains() {
    grep -qF -- "$2" "$1"
}

@test "what is set is what get prints" {
    zabctl create /a
    run -0 zabctl get /a
    assert_output ""
    zabctl set /a hello
    run -0 zabctl get /a
    assert_output hello
    zabctl create /b ""
    run -0 zabctl --json get /b
    assert_output --partial '"data":""'
    run -0 zabctl --json get /
    assert_output --partial '"data":null'
}

@test "data goes in and out byte by byte" {
    printf 'a\0b\n\377\n\n' >"$DIR/in"
    zabctl create /a - <"$DIR/in"
    zabctl get -o /a >"$DIR/out"
    cmp "$DIR/in" "$DIR/out"
    printf 'no line break' | zabctl set /a -
    [ "$(zabctl get -o /a | wc -c)" = 13 ]
    [ "$(zabctl get /a | wc -c)" = 14 ]
}

@test "data that is not text is base64 in JSON" {
    printf '\377\376' | zabctl create /a -
    run -0 zabctl get --json /a
    assert_output --partial '"base64":"//4="'
    printf 'x\0y' | zabctl set /a -
    run -0 zabctl get --json /a
    assert_output --partial '"data":"x\u0000y"'
}

@test "a large value passes, a larger one is refused before it is sent" {
    head -c 1000000 /dev/zero >"$DIR/large"
    zabctl create /a - <"$DIR/large"
    zabctl get -o /a | cmp - "$DIR/large"
    head -c 1100000 /dev/zero >"$DIR/larger"
    run -1 zabctl set /a - <"$DIR/larger"
    assert_output --partial "larger than a server takes"
}

@test "a list that is too long is refused with its size, and taken with --max-reply" {
    local words node pid
    zabctl create -p /some/big
    # 70,000 names of 60 bytes: 70,000 times 64 bytes are 4.3 MiB.
    ROOT=/t$BATS_TEST_NUMBER py <<'END'
from zk import *
zk = connect()
pending = []
for first in range(0, 70000, 1000):
    t = zk.transaction()
    for i in range(first, first + 1000):
        t.create(f"{ROOT}/some/big/{i:060}")
    pending.append(t.commit_async())
for answer in pending:
    assert len(answer.get(30)) == 1000
END
    background zabctl watch -r / >"$DIR/out" 2>"$DIR/err"
    pid=$BACKGROUND_PID
    for words in "ls /some/big" "ls -l /some/big" "ls -R /" "tree /some" "rm -r /some"; do
        # shellcheck disable=SC2086
        run -8 zabctl $words
        assert_output "zabctl: /some/big: the answer is longer than this client takes (it has 4.3 MiB, \
the limit is 4.0 MiB; zabctl --max-reply=5M takes it)"
    done
    run -0 zabctl ls /some
    [ "$(zabctl --max-reply=5M ls /some/big | wc -l)" = 70000 ]
    run -0 bash -c 'zabctl --max-reply=5M tree / | tail -1'
    assert_output "70003 nodes, 0 bytes, 0 ephemeral"
    zabctl --max-reply 16M rm -r /some
    run -0 zabctl ls /
    assert_output ""
    wait_for 5 contains "$DIR/out" "deleted /some"
    end_process "$pid" TERM
    [ ! -s "$DIR/err" ]
}

@test "each kind of failure has its exit status and says what to do" {
    zabctl create -p /a/b
    run -3 zabctl get /none
    assert_output "zabctl: /none: no such node"
    run -3 zabctl create /none/x
    assert_output --partial "-p creates it"
    run -4 zabctl create /a
    assert_output "zabctl: /a: node exists"
    run -5 zabctl set -v 7 /a x
    assert_output --partial "version conflict"
    run -5 zabctl rm -v 7 /a/b
    run -6 zabctl rm /a
    assert_output --partial "rm -r"
    zabctl acl /a world:anyone:r
    run -7 zabctl set /a x
    assert_output --partial "--auth"
    run -7 zabctl --auth nonsense:x ls /
    run -10 zabctl -t 1 -s "127.0.0.1:$(free_port)" ls /
    assert_output --partial "within 1 s: connection refused"
}

@test "a lost connection leaves a change in doubt, and no read" {
    py <<'END'
import subprocess
from zk import *

server = socket.create_server(("127.0.0.1", 0))

def serve():
    """Give each client a session, and leave at its first request."""
    while True:
        connection, _ = server.accept()
        connection.recv(1000)
        connection.sendall(struct.pack(">iiiq", 36, 0, 10000, 1) + text(bytes(16)))
        connection.recv(1000)
        connection.close()

threading.Thread(target=serve, daemon=True).start()
READS = "get /a", "ls /a", "tree /a", "stat /a", "acl /a", "sync /a", "rm -r /a"
CHANGES = "set /a x", "create /a", "create -p /a/b", "rm /a", "acl /a world:anyone:r"
for words in READS + CHANGES:
    said = "zabctl: /a: connection lost"
    if words in CHANGES:
        said += " (the change may or may not have been made; check before you repeat it)"
    ended = subprocess.run(["zabctl", "-s", f"127.0.0.1:{server.getsockname()[1]}", *words.split()],
                           capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (10, said + "\n"), (words, ended)
END
}

@test "wrong usage names the option and the value" {
    run -2 zabctl
    run -2 zabctl frobnicate
    assert_output --partial "'frobnicate'"
    run -2 zabctl ls --frob
    assert_output --partial "--frob"
    run -2 zabctl set -v x /a y
    assert_output --partial "-v 'x'"
    run -2 zabctl -t 0 ls
    assert_output --partial "-t '0'"
    run -2 zabctl --max-reply 3T ls
    assert_output --partial "--max-reply '3T'"
    run -2 zabctl --auth nocolon ls
    assert_output --partial "'nocolon'"
    run -2 zabctl -s host:99999 ls
    assert_output --partial "host:99999"
    run -2 zabctl ls relative
    assert_output --partial "'relative'"
    run -2 zabctl get
    assert_output --partial "usage: zabctl get PATH"
    run -2 zabctl create -e -c /a
    run -2 zabctl rm /
}

@test "ls lists sorted, long and recursive" {
    zabctl create -p /dir/b/deep 12345
    zabctl create /dir/a
    run -0 zabctl ls /dir
    assert_output "a
b"
    run -0 zabctl ls -R /dir
    assert_output "/dir
/dir/a
/dir/b
/dir/b/deep"
    run -0 zabctl ls -l /dir/b
    assert_output --regexp '^p +0 +5 +0 [0-9T:.-]+Z deep$'
    run -0 zabctl ls --json /dir
    assert_output '["a","b"]'
    run -0 zabctl ls -l --json /dir/b
    assert_output --partial '"dataLength":5'
}

@test "tree indents and counts" {
    zabctl create -p /x/y abc
    run -0 zabctl tree
    assert_output "/  (1)
  x  (1)
    y

3 nodes, 3 bytes, 0 ephemeral"
    run -0 zabctl tree --json /x
    assert_output --partial '"nodes":2'
}

@test "sequential nodes print their path and count up" {
    run -0 zabctl create -s /n-
    assert_output /n-0000000000
    run -0 zabctl create -s /n- data
    assert_output /n-0000000001
    run -0 zabctl create --json -s /n-
    assert_output '{"path":"/n-0000000002"}'
}

@test "container and TTL nodes" {
    zabctl create -c /c
    zabctl create /c/child
    run -0 zabctl create -s --ttl 60000 /t-
    assert_output /t-0000000001
    run -2 zabctl create --ttl 0 /t
    assert_output --partial "--ttl '0'"
}

@test "an ephemeral node lives as long as its command" {
    background zabctl create -e /e held >"$DIR/out"
    local pid=$BACKGROUND_PID
    wait_for 5 contains "$DIR/out" /e
    run -0 zabctl stat /e
    assert_line "kind: ephemeral"
    end_process "$pid" TERM
    run -3 zabctl stat /e
}

@test "rm -r removes many nodes, and -f forgives" {
    local i
    for i in 1 2 3; do
        zabctl create -p "/many/$i/x/y"
    done
    run -6 zabctl rm /many
    zabctl rm -r /many
    run -3 zabctl stat /many
    run -3 zabctl rm -r /many
    zabctl rm -rf /many
    zabctl rm -f /many
    zabctl create -p /kept/guarded/x
    zabctl acl /kept/guarded world:anyone:r
    run -7 zabctl rm -r /kept
    assert_output --partial "/kept/guarded/x: permission denied"
}

@test "an ACL is printed as it is set" {
    zabctl create /a
    run -0 zabctl acl /a
    assert_output world:anyone:cdrwa
    zabctl --auth digest:u:p acl /a auth::cdrwa world:anyone:r
    run -0 zabctl --auth digest:u:p acl /a
    assert_line --regexp '^digest:u:.*=:cdrwa$'
    assert_line world:anyone:r
    run -7 zabctl set /a x
    zabctl --auth digest:u:p set /a x
    run -2 zabctl acl /a world:anyone:z
    assert_output --partial "'world:anyone:z'"
}

@test "watch prints changes as they happen, and -1 ends after the first" {
    background zabctl watch -r / >"$DIR/all"
    local all=$BACKGROUND_PID
    background zabctl watch -1 /a >"$DIR/first"
    local first=$BACKGROUND_PID
    wait_for 5 two_watches
    zabctl create /a 1
    zabctl set /a 2
    zabctl rm /a
    wait_for 5 contains "$DIR/all" "deleted /a"
    run cat "$DIR/all"
    assert_output "created /a
changed /a
deleted /a"
    wait "$first"
    run cat "$DIR/first"
    assert_output "created /a"
    end_process "$all" INT
}

two_watches() {
    local text
    text=$(exec 4<>"/dev/tcp/127.0.0.1/$SERVER_PORT" && printf wchs >&4 && cat <&4)
    [[ $text == *"Total watches:2"* ]]
}

@test "a watch survives the server's restart" {
    background zabctl watch --json / >"$DIR/out" 2>"$DIR/err"
    local pid=$BACKGROUND_PID
    wait_for 5 sees_changes
    stop_server
    wait_for 5 contains "$DIR/err" "connection lost"
    start_server
    wait_for 10 contains "$DIR/err" "again"
    : >"$DIR/out"
    zabctl create /after
    wait_for 5 contains "$DIR/out" '"path":"/'
    end_process "$pid" TERM
}

sees_changes() {
    zabctl set / x
    [ -s "$DIR/out" ]
}

@test "status knows who answers" {
    run -0 zabctl status
    assert_line --partial standalone
    local port
    port=$(free_port)
    run -1 zabctl -t 1 -s "127.0.0.1:$SERVER_PORT,127.0.0.1:$port" status
    assert_line --regexp "127.0.0.1:$port +no answer"
    run -0 zabctl --json status
    assert_output --partial '"mode":"standalone"'
}

@test "sync" {
    zabctl sync
    zabctl sync /
}

@test "output that nobody takes is a failure, without a signal's noise" {
    local i
    zabctl create /a
    run -1 bash -c 'zabctl ls / >/dev/full'
    assert_output --partial "standard output"
    run bash -c 'set -o pipefail; zabctl ls -R / | :; echo $?'
    refute_output --partial "zabctl:"
    run -1 bash -c 'zabctl ls / >&-'
}

@test "help comes from the table of commands" {
    run -0 zabctl --help
    assert_output --partial "  create "
    run -0 zabctl create --help
    assert_output --partial "--ttl MILLISECONDS"
    run -0 zabctl help rm
    assert_output --partial "--force"
    run -2 zabctl help nothing
    run -0 zabctl help --roff
    assert_line ".SS \"zabctl ls [PATH]\""
}
