# SPDX-License-Identifier: GPL-3.0-or-later
# zoo.cfg: what ZooKeeper starts with, zabd starts with, and means the same; what protects and is not
# there is refused.

setup() {
    load helpers
    ZAB_TEST_SERVER=zabd
    NAME=$BATS_TEST_NUMBER
    DIR=$ZAB_TMP/config-$NAME
    mkdir -p "$DIR"
}

# A configuration file of just these lines.
lines() {
    printf '%s\n' "$@" >"$DIR/zoo.cfg"
}

# Of a file of these bytes (as printf has them) beside dataDir, and what "conf" answers: its keys.
conf_of() {
    local pid
    PORT=$(free_port)
    lines "dataDir=$DIR/data" "4lw.commands.whitelist=*" clientPortAddress=127.0.0.1 "clientPort=$PORT"
    printf "$1" >>"$DIR/zoo.cfg"
    rm -rf "$DIR/data"
    zabd "$DIR/zoo.cfg" 2>"$DIR/log" 3>&- &
    pid=$!
    record_pid "$pid"
    wait_for 20 is_ready "$PORT"
    CONF=$(SERVER_PORT=$PORT word conf)
    end_process "$pid" TERM
}

conf_has() {
    grep -qxF -- "$1" <<<"$CONF" || {
        echo "$CONF" >&2
        return 1
    }
}

refused() {
    run -1 timeout 10 zabd "$@" "$DIR/zoo.cfg"
}

@test "a wrong value is named with its line, key and bounds" {
    lines "dataDir=$DIR/data" "" "clientPort=65536"
    run -1 zabd --check-config "$DIR/zoo.cfg"
    assert_output --partial "zoo.cfg:3: clientPort: \"65536\" is not a whole number from 0 to 65535"
    lines "dataDir=$DIR/data" "sslQuorum=maybe"
    run -1 zabd --check-config "$DIR/zoo.cfg"
    assert_output "zabd: $DIR/zoo.cfg:2: sslQuorum: \"maybe\" is neither yes nor no"
    lines "dataDir=$DIR/data" "zab.logLevel=loud"
    run -1 zabd --check-config "$DIR/zoo.cfg"
    assert_output --partial "zab.logLevel: \"loud\" is none of error, warn, info, debug"
    lines "dataDir="
    refused
    assert_output --partial "$DIR/zoo.cfg:1: dataDir: the value is empty"
}

# Those that are Java's system properties have their default then, as with ZooKeeper.
@test "every number has bounds, and what is beyond them is refused or named" {
    local key value bad n=0
    while IFS== read -r key value; do
        [[ $value =~ ^-?[0-9]+$ ]] || continue
        for bad in 99999999999999 12x; do
            lines "dataDir=$DIR/data" "$key=$bad"
            run zabd --check-config "$DIR/zoo.cfg"
            assert_output --partial "zoo.cfg:2: $key: \"$bad\" is not a whole number from "
            [ "$status" = 1 ] || assert_output --partial "; using $value"
        done
        n=$((n + 1))
    done < <(zabd --help-config)
    ((n >= 20))
}

@test "what is missing or contradicts itself is said" {
    lines "clientPort=2281"
    refused
    assert_output --partial "$DIR/zoo.cfg: dataDir is not set"
    lines "dataDir=$DIR/data" "minSessionTimeout=9000" "maxSessionTimeout=8000"
    refused
    assert_output --partial "minSessionTimeout 9000 is larger than maxSessionTimeout 8000"
}

@test "server lines are checked, and say which of them this server is" {
    local two=("server.1=a:2888:3888;2281" "server.2=b:2888:3888")
    lines "dataDir=$DIR/data" "server.1=a:2888:3888"
    run -0 zabd --check-config "$DIR/zoo.cfg"
    assert_line --partial "$DIR/zoo.cfg: one server line is not an ensemble; this is a single replica"
    lines "dataDir=$DIR/data" "server.1=a:2888"
    refused
    assert_output --partial "$DIR/zoo.cfg:2: server.1: \"a:2888\" is not of the form HOST:PORT:PORT"
    lines "dataDir=$DIR/data" "weight.3=2" "${two[@]}"
    refused
    assert_output --partial "$DIR/zoo.cfg:2: weight.3: there is no server.3"
    for observers in "${two[*]/3888/3888:observer}" "${two[0]/3888/3888:observer}" \
        "${two[0]} ${two[1]/3888/3888:observer}"; do
        lines "dataDir=$DIR/data" $observers
        refused
        assert_output --partial "observers need two participants"
    done
    lines "dataDir=$DIR/data" "weight.2=2" "${two[@]}"
    refused
    assert_output --partial "$DIR/data/myid: No such file or directory; with server lines it must"
    mkdir "$DIR/data"
    echo one >"$DIR/data/myid"
    refused
    assert_output --partial "$DIR/data/myid: \"one\" is not a server number"
    echo 3 >"$DIR/data/myid"
    refused
    assert_output --partial "$DIR/data/myid: 3 has no line server.3 in $DIR/zoo.cfg"
    echo 1 >"$DIR/data/myid"
    run -0 zabd --check-config "$DIR/zoo.cfg"
    lines "dataDir=$DIR/data" "clientPort=2282" "${two[@]}"
    refused
    assert_output --partial "clientPort 2282 is not the client port 2281 of server.1"
}

@test "an unknown key is a warning with its line and what was meant; ZooKeeper's are known" {
    lines "dataDir=$DIR/data" "frob=1" "clientport=2281" "initLimit=10" "admin.enableServer=false" \
        "netty.x=1" "audit.enable=true"
    run -0 zabd --check-config "$DIR/zoo.cfg"
    assert_line --partial "warn  $DIR/zoo.cfg:2: unknown key \"frob\" is ignored"
    assert_line --partial "zoo.cfg:3: unknown key \"clientport\" is ignored; did you mean \"clientPort\"?"
    assert_line --partial "info  $DIR/zoo.cfg: these keys have no effect here: admin.enableServer netty.x"
    assert_line --partial "zoo.cfg:7: audit.enable is ignored: there is no audit log"
    [ "${#lines[@]}" = 5 ]
}

# ---- As Java reads it ----

@test "separators, escapes and continued lines are java.util.Properties'" {
    conf_of 'tickTime 400\nmaxClientCnxns\\: 7\ninitLimit : \\\n   12\nsync\\\n  Limit\\u003d=1\npreAllocSize=\\u0031\\u0030\\u0030\n'
    conf_has "tickTime=400"
    conf_has "initLimit=12"
    conf_has "preAllocSize=100"
    grep -q 'unknown key "maxClientCnxns:" is ignored; did you mean "maxClientCnxns"?' "$DIR/log"
    grep -q 'unknown key "syncLimit="' "$DIR/log"
}

@test "an escaped address and escaped server lines are those that were meant" {
    mkdir "$DIR/data"
    echo 1 >"$DIR/data/myid"
    printf 'dataDir=%s\nserver.1=127.0.0.1\\:2888\\:3888\\:participant;127.0.0.1\\:2281\n' "$DIR/data" >"$DIR/zoo.cfg"
    printf 'server.2=b\\:2888\\:3888\r\nserver.3 = c:2888:3888 \r\n' >>"$DIR/zoo.cfg"
    run -0 zabd --check-config "$DIR/zoo.cfg"
    assert_output "$DIR/zoo.cfg: ok"
    rm "$DIR/data/myid"
    for address in '\:\:1' '[::1]' '0:0:0:0:0:0:0:1%lo' '::1'; do
        lines "dataDir=$DIR/data" "clientPort=$(free_port)" "clientPortAddress=$address"
        zabd "$DIR/zoo.cfg" 2>"$DIR/log" 3>&- &
        record_pid $!
        wait_for 10 grep -q "serving clients" "$DIR/log"
        end_process $! TERM
    done
}

@test "the last of equal keys counts, and the other is named" {
    conf_of 'tickTime=300\ntickTime=500\n'
    conf_has "tickTime=500"
    grep -q "zoo.cfg:6: tickTime is set in line 5 too; the last one counts" "$DIR/log"
}

@test "a file that is no text is refused" {
    printf 'dataDir=%s\ntickTime=\0\n' "$DIR/data" >"$DIR/zoo.cfg"
    refused
    assert_output --partial "a byte of it is zero"
    lines "dataDir=$DIR/data" 'clientPortAddress=\u12'
    refused
    assert_output --partial "zoo.cfg:2: \\u needs four hexadecimal digits"
}

# ---- As ZooKeeper reads each value ----

@test "words that are not yes or no mean what they mean to ZooKeeper" {
    local word
    for word in "skipACL=true no" "skipACL=YES no" "forceSync=off yes" "forceSync=false yes" \
        "leaderServes=False yes" "extendedTypesEnabled=on no" "DigestAuthenticationProvider.enabled=1 no"; do
        lines "dataDir=$DIR/data" "${word% *}"
        run -0 zabd --check-config "$DIR/zoo.cfg"
        assert_line --partial "zoo.cfg:2: ${word%%=*}: \"$(sed 's/.*=\(.*\) .*/\1/' <<<"$word")\" means \"${word##* }\" here"
    done
    for word in skipACL=yes skipACL=no forceSync=no forceSync=true enforceQuota=TRUE standaloneEnabled=true; do
        lines "dataDir=$DIR/data" "$word"
        run -0 zabd --check-config "$DIR/zoo.cfg"
        assert_output "$DIR/zoo.cfg: ok"
    done
}

@test "skipACL=true leaves ACLs as they are" {
    ZAB_TEST_CONFIG=$'skipACL=true\nzookeeper.skipACL=yes'
    start_server "config-$NAME"
    zabctl -s "127.0.0.1:$SERVER_PORT" create /closed x
    zabctl -s "127.0.0.1:$SERVER_PORT" acl /closed world:anyone:a
    run -7 zabctl -s "127.0.0.1:$SERVER_PORT" get /closed
    grep -q "zookeeper.skipACL has no effect, as with ZooKeeper; the key is skipACL" "$DIR/log"
}

@test "numbers are corrected as ZooKeeper corrects them" {
    conf_of 'autopurge.snapRetainCount=1\nautopurge.purgeInterval=-1\nmaxClientCnxns=-1\nznode.container.checkIntervalMs=1\njute.maxbuffer=0x2faf080\nsnapCount=010\n'
    grep -q "autopurge.snapRetainCount 1 is too few; using 3" "$DIR/log"
    conf_has "maxClientCnxns=0"
    run -1 grep -E "snapCount|maxbuffer" "$DIR/log"
    lines "dataDir=$DIR/data" jute.maxbuffer=1073741824
    run -0 zabd --check-config "$DIR/zoo.cfg"
    assert_line --partial "jute.maxbuffer 1073741824 is larger than zabd can serve; using 62914560"
    lines "dataDir=$DIR/data" jute.maxbuffer=50
    run -0 zabd --check-config "$DIR/zoo.cfg"
    assert_output "$DIR/zoo.cfg: ok"
}

@test "jute.maxbuffer=50000000 takes a node of 40 MB" {
    ZAB_TEST_CONFIG=jute.maxbuffer=50000000
    start_server "config-$NAME"
    py <<'END'
from zk import *
wire = Wire()
wire.open_session()
import struct
data = b"x" * 40_000_000
body = struct.pack(">ii", 1, 1) + struct.pack(">i", 4) + b"/big" + struct.pack(">i", len(data)) + data
body += struct.pack(">iii", 1, 31, 5) + b"world" + struct.pack(">i", 6) + b"anyone" + struct.pack(">i", 0)
wire.send(body)
END
    run -0 zabctl -s "127.0.0.1:$SERVER_PORT" stat /big
    assert_output --partial 40000000
}

@test "clientPort=0 is any port that is free, and the log says which" {
    local port
    lines "dataDir=$DIR/data" clientPort=0 clientPortAddress=127.0.0.1
    zabd "$DIR/zoo.cfg" 2>"$DIR/log" 3>&- &
    record_pid $!
    wait_for 10 grep -q "serving clients" "$DIR/log"
    port=$(sed -n 's/.*serving clients on port \([0-9]*\) .*/\1/p' "$DIR/log")
    is_ready "$port"
    end_process $! TERM
}

# ---- What protects ----

@test "what protects and is not there is refused by name" {
    local key
    for key in authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider \
        requireClientAuthScheme=sasl sessionRequireClientSASLAuth=true enforce.auth.enabled=true \
        zookeeper.enforce.auth.enabled=true quorum.auth.enableSasl=true jaasLoginRenew=3600000 \
        authProvider.x509=com.example.Mine ssl.context.supplier.class=a.B ssl.quorum.context.supplier.class=a.B \
        ssl.authProvider=mine fips-mode=true ensembleAuthName=one oraclePath=/x setX509ClientIdAsAcl=true; do
        lines "dataDir=$DIR/data" "$key"
        refused
        assert_output --partial "zabd: $DIR/zoo.cfg:2: ${key#zookeeper.}: "
        assert_output --partial "remove the line if that is what you want"
        [ ! -e "$DIR/data" ]
    done
    lines "dataDir=$DIR/data" enforce.auth.enabled=false quorum.auth.enableSasl=false enforce.auth.schemes=sasl \
        authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider ssl.authProvider=x509
    run -0 zabd --check-config "$DIR/zoo.cfg"
    lines "dataDir=$DIR/data" DigestAuthenticationProvider.digestAlg=SHA-257
    refused
    assert_output --partial "digestAlg: OpenSSL knows no hash \"SHA-257\""
}

@test "digests are of the hash that the file names, or off" {
    ZAB_TEST_CONFIG=DigestAuthenticationProvider.digestAlg=SHA-256
    start_server "config-$NAME"
    run -0 zabctl -s "127.0.0.1:$SERVER_PORT" --auth digest:alice:secret create /a x
    zabctl -s "127.0.0.1:$SERVER_PORT" acl /a \
        digest:alice:PRHcR5wI47NodzED1kdmwuQgzjlyeTL88tj02dWZvlk=:cdrwa
    run -7 zabctl -s "127.0.0.1:$SERVER_PORT" get /a
    run -0 zabctl -s "127.0.0.1:$SERVER_PORT" --auth digest:alice:secret get /a
}

# ---- Who the ensemble is ----

dynamic() {
    lines "dataDir=$DIR/data" standaloneEnabled=false "dynamicConfigFile=$DIR/zoo.cfg.dynamic"
    mkdir -p "$DIR/data"
    echo 2 >"$DIR/data/myid"
}

@test "the server lines may be in the file of dynamicConfigFile" {
    dynamic
    refused
    assert_output --partial "$DIR/zoo.cfg: dynamicConfigFile $DIR/zoo.cfg.dynamic is not there"
    printf 'server.%s=127.0.0.1:1:%s:participant;2281\n' 1 2 2 3 >"$DIR/zoo.cfg.dynamic"
    run -0 zabd --check-config "$DIR/zoo.cfg"
    printf 'weight.1=2\nweight.2=1\ngroup.1=1:2\nversion=100000000\n' >>"$DIR/zoo.cfg.dynamic"
    run -0 zabd --check-config "$DIR/zoo.cfg"
    echo tickTime=2000 >>"$DIR/zoo.cfg.dynamic"
    refused
    assert_output --partial "$DIR/zoo.cfg.dynamic:7: \"tickTime\" is not a key of this file"
    : >"$DIR/zoo.cfg.dynamic"
    refused
    assert_output --partial "dynamicConfigFile $DIR/zoo.cfg.dynamic has no server line"
    echo server.2=127.0.0.1:1:2 >>"$DIR/zoo.cfg"
    refused
    assert_output --partial "$DIR/zoo.cfg:4: server.2 must be in the file of dynamicConfigFile"
}

@test "the newest version of the dynamic file counts" {
    local i
    dynamic
    for i in "" .100000000 .a00000000 .20000000g .next; do
        printf 'server.%s=127.0.0.1:1:%s;2281\n' 1 2 2 3 >"$DIR/zoo.cfg.dynamic$i"
    done
    printf 'server.%s=127.0.0.1:1:%s;2281\n' 1 2 2 3 3 4 >"$DIR/zoo.cfg.dynamic.a00000000"
    echo 3 >"$DIR/data/myid"
    run -0 zabd --check-config "$DIR/zoo.cfg"
    assert_line --partial "the servers are those of $DIR/zoo.cfg.dynamic.a00000000, the newest version"
    rm "$DIR/zoo.cfg.dynamic"
    run -0 zabd --check-config "$DIR/zoo.cfg"
}

@test "standaloneEnabled=false makes an ensemble of one" {
    local port
    port=$(free_port)
    mkdir -p "$DIR/data"
    echo 1 >"$DIR/data/myid"
    lines "dataDir=$DIR/data" tickTime=250 standaloneEnabled=false "server.1=127.0.0.1:$(free_port):$(free_port);127.0.0.1:$port"
    zabd "$DIR/zoo.cfg" 2>"$DIR/log" 3>&- &
    record_pid $!
    wait_for 20 is_ready "$port"
    zabctl -s "127.0.0.1:$port" create /a x
    run -0 zabctl -s "127.0.0.1:$port" status
    assert_output --partial leader
    end_process $! TERM
    lines "dataDir=$DIR/data" standaloneEnabled=false
    refused
    assert_output --partial "standaloneEnabled=false, but there is no server line"
}

@test "a directory of an ensemble is no single replica's" {
    mkdir -p "$DIR/data/version-2"
    echo 1 >"$DIR/data/myid"
    lines "dataDir=$DIR/data" "clientPort=$(free_port)"
    run -0 zabd --check-config "$DIR/zoo.cfg"
    assert_line --partial "data/myid has no effect without server lines"
    touch "$DIR/data/version-2/snapshot.300000001.zst"
    refused
    assert_output --partial "$DIR/data has been a server of an ensemble (myid, and a snapshot of epoch 3)"
    rm "$DIR/data/myid"
    run -0 zabd --check-config "$DIR/zoo.cfg"
    for name in currentEpoch acceptedEpoch; do
        echo 4 >"$DIR/data/version-2/$name"
        for mode in "" --check-config; do
            refused $mode
            assert_output --partial "$DIR/data has been a server of an ensemble ($name 4), but $DIR/zoo.cfg has no server lines"
            assert_output --partial "zabctl data make-single $DIR/data"
        done
        echo 0 >"$DIR/data/version-2/$name"
    done
    echo four >"$DIR/data/version-2/$name"
    refused
    assert_output --partial "has been a server of an ensemble ($name 1)"
    echo 4 >"$DIR/data/version-2/$name"
    lines "dataDir=$DIR/data" "server.1=127.0.0.1:1:2"
    refused
    assert_output --partial "has no lines of the other servers"
}

@test "a server starts when one of its addresses can be listened to" {
    local port
    port=$(free_port)
    mkdir -p "$DIR/data"
    echo 1 >"$DIR/data/myid"
    lines "dataDir=$DIR/data" tickTime=250 standaloneEnabled=false electionPortBindRetry=1 \
        "server.1=unavailable.invalid:1:2|127.0.0.1:$(free_port):$(free_port);127.0.0.1:$port"
    zabd "$DIR/zoo.cfg" 2>"$DIR/log" 3>&- &
    record_pid $!
    wait_for 20 is_ready "$port"
    grep -q "unavailable.invalid: .*; its other addresses are used" "$DIR/log"
    end_process $! TERM
    sed -i 's/|127.*;/;/' "$DIR/zoo.cfg"
    refused
    assert_output --partial "in server.1: the address unavailable.invalid"
}
