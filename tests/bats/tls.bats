# SPDX-License-Identifier: GPL-3.0-or-later
# TLS on the client port: who comes in, who one is then, and what zoo.cfg can say.

setup_file() {
    load tls_helpers
    make_certs
}

setup() {
    load tls_helpers
    ZAB_TEST_SERVER=zabd
    NAME=$BATS_TEST_NUMBER
    DIR=$ZAB_TMP/$NAME
    export ZABCTL_TLS_CA=$CERTS/ca.pem ZABCTL_TLS_CERT=$CERTS/alice.pem
}

# A server with a secure port, $TLS_PORT, and a plain one; more lines of zoo.cfg.
start_secure() {
    TLS_PORT=$(free_port)
    ZAB_TEST_CONFIG=$(
        stores ssl.
        printf '%s\n' "secureClientPort=$TLS_PORT" secureClientPortAddress=127.0.0.1 "$@"
    )
    ZABCTL_TLS_CA='' ZABCTL_TLS_CERT='' start_server "$NAME"
    export ZABCTL_SERVERS=127.0.0.1:$TLS_PORT
}

logged() {
    grep -qE -- "$1" "$DIR/log"
}

plainly() {
    env -u ZABCTL_TLS_CA -u ZABCTL_TLS_CERT zabctl -s "127.0.0.1:$SERVER_PORT" "$@"
}

s_client() {
    timeout 10 openssl s_client -connect "127.0.0.1:$TLS_PORT" -CAfile "$CERTS/ca.pem" \
        -cert "$CERTS/alice.pem" -verify_return_error "$@"
}

@test "zabctl speaks TLS, and refuses a server that is not who it should be" {
    start_secure
    zabctl create /a secret
    [ "$(zabctl get /a)" = secret ]
    [ "$(plainly get /a)" = secret ]
    run -0 zabctl status
    assert_output --regexp "127.0.0.1:$TLS_PORT +standalone"
    run -10 zabctl -t 1 --tls-ca "$CERTS/other-ca.pem" get /a
    assert_output --partial "the certificate CN=server,O=zabfs is not accepted"
    run -10 zabctl -t 1 -s "127.0.0.1:$SERVER_PORT" get /a
    run -10 env -u ZABCTL_TLS_CA -u ZABCTL_TLS_CERT zabctl -t 1 get /a
    stop_server "$NAME"
    start_as elsewhere
    run -10 zabctl -t 1 get /a
    assert_output --partial "the certificate CN=elsewhere,O=zabfs is not for 127.0.0.1"
    [ "$(zabctl --tls-any-host get /a)" = secret ]
    stop_server "$NAME"
}

# The server again, with another key store.
start_as() {
    sed -i "s|server.pem|$1.pem|" "$DIR/zoo.cfg"
    ZABCTL_TLS_CA='' ZABCTL_TLS_CERT='' start_server "$NAME"
}

@test "a client without a certificate of a trusted authority gets nothing" {
    start_secure ssl.clientAuth=need
    run -10 env -u ZABCTL_TLS_CERT zabctl -t 1 ls /
    assert_output --partial "certificate required"
    run -10 zabctl -t 1 --tls-cert "$CERTS/intruder.pem" ls /
    assert_output --partial "refused by the other side"
    logged 'TLS: the certificate CN=intruder is not accepted'
    logged 'TLS: peer did not return a certificate'
    printf 'ruok' >"/dev/tcp/127.0.0.1/$TLS_PORT"
    wait_for 5 logged 'TLS: the other side does not speak it'
    stop_server "$NAME"
}

@test "the certificate is an identity for ACLs, and can be the superuser's" {
    start_secure X509AuthenticationProvider.superUser=CN=server,O=zabfs
    zabctl create /mine x
    zabctl acl /mine auth::cdrwa
    [ "$(zabctl acl /mine)" = "x509:CN=alice,O=zabfs:cdrwa" ]
    [ "$(zabctl get /mine)" = x ]
    run -7 plainly get /mine
    run -7 env ZABCTL_TLS_CERT="$CERTS/elsewhere.pem" zabctl get /mine
    [ "$(zabctl --tls-cert "$CERTS/server.pem" get /mine)" = x ]
    zabctl --tls-cert "$CERTS/server.pem" acl /mine x509:CN=elsewhere,O=zabfs:r
    [ "$(zabctl --tls-cert "$CERTS/elsewhere.pem" get /mine)" = x ]
    run -7 zabctl get /mine
    stop_server "$NAME"
}

@test "kazoo and openssl s_client speak to it, and large answers come whole" {
    start_secure ssl.enabledProtocols=TLSv1.2,TLSv1.3
    TLS_PORT=$TLS_PORT py "$CERTS" <<'PY'
import os, sys
from kazoo.client import KazooClient
certs = sys.argv[1]
zk = KazooClient("127.0.0.1:" + os.environ["TLS_PORT"], use_ssl=True, ca=certs + "/ca.pem",
                 certfile=certs + "/alice.crt", keyfile=certs + "/alice.key")
zk.start(timeout=10)
data = os.urandom(1000000)
for i in range(20):
    zk.create("/big%d" % i, data)
asked = [zk.get_async("/big%d" % i) for i in range(20)]
assert all(a.get(timeout=20)[0] == data for a in asked)
seen = []
zk.get("/big0", watch=seen.append)
zk.set("/big0", b"small")
assert zk.get("/big0")[0] == b"small" and len(seen) == 1
zk.stop()
PY
    local version
    for version in tls1_2 tls1_3; do
        run -0 s_client "-$version" -quiet -servername localhost <<<"$(printf srvr)"
        assert_output --partial "Mode: standalone"
    done
    run ! s_client -tls1_1 </dev/null
    stop_server "$NAME"
}

@test "who says nothing is let go" {
    start_secure ssl.handshakeDetectionTimeoutMillis=300
    exec 5<>"/dev/tcp/127.0.0.1/$TLS_PORT"
    printf '\x16\x03\x01\x02\x00' >&5
    run -0 timeout 5 cat <&5
    exec 5>&-
    stop_server "$NAME"
}

@test "one port for both, if zoo.cfg says so" {
    start_secure client.portUnification=yes ssl.clientAuth=none
    export ZABCTL_SERVERS=127.0.0.1:$SERVER_PORT
    zabctl create /a both
    [ "$(plainly get /a)" = both ]
    [ "$(env -u ZABCTL_TLS_CERT zabctl get /a)" = both ]
    [ "$(word ruok)" = imok ]
    stop_server "$NAME"
}

@test "a mount over TLS" {
    load mount_helpers
    require_fuse
    start_secure
    start_mount "$DIR/mnt" "127.0.0.1:$TLS_PORT" \
        "tls_ca=$CERTS/ca.pem,tls_cert=$CERTS/alice.crt,tls_key=$CERTS/alice.key"
    echo hello >"$DIR/mnt/file"
    [ "$(plainly get /file)" = hello ]
    zabctl set /file $'again\n'
    wait_for 5 content_is "$DIR/mnt/file" again
    stop_mount "$DIR/mnt"
    run -1 zabfs "127.0.0.1:$TLS_PORT" "$DIR/mnt" -o "timeo=1,tls_ca=$CERTS/none.pem"
    assert_output --partial "tls_ca: $CERTS/none.pem: No such file"
    stop_server "$NAME"
}

@test "zabctl and a mount speak TLS with Apache ZooKeeper" {
    load mount_helpers
    require_fuse
    ZAB_TEST_SERVER=zookeeper start_secure \
        serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory
    zabctl create /mine x
    zabctl acl /mine auth::cdrwa
    [ "$(zabctl acl /mine)" = "x509:CN=alice,O=zabfs:cdrwa" ]
    [ "$(zabctl get /mine)" = x ]
    run -10 zabctl -t 1 --tls-cert "$CERTS/intruder.pem" get /mine
    start_mount "$DIR/mnt" "127.0.0.1:$TLS_PORT" "tls_ca=$CERTS/ca.pem,tls_cert=$CERTS/alice.pem"
    [ "$(cat "$DIR/mnt/mine")" = x ]
    stop_mount "$DIR/mnt"
    stop_server "$NAME"
}

@test "new certificates are taken without a new start, if they are good" {
    cp "$CERTS/server.pem" "$CERTS/changing.pem"
    start_secure "ssl.keyStore.location=$CERTS/changing.pem" client.certReload=true
    zabctl create /a x
    echo nonsense >"$CERTS/changing.pem"
    wait_for 10 logged 'changing.pem: it has no private key.*what was read before stays'
    [ "$(zabctl get /a)" = x ]
    cp "$CERTS/elsewhere.pem" "$CERTS/changing.pem"
    wait_for 10 logged 'ssl.keyStore and ssl.trustStore were read again'
    run -10 zabctl -t 1 get /a
    assert_output --partial "the certificate CN=elsewhere,O=zabfs is not for 127.0.0.1"
    stop_server "$NAME"
}

# ---- zoo.cfg ----

# zabd must not start, nor find the file good; $1 is in what it says.
refused() {
    local part=$1
    shift
    mkdir -p "$DIR"
    printf '%s\n' "dataDir=$DIR/data" "$@" >"$DIR/zoo.cfg"
    run -1 timeout 10 zabd --check-config "$DIR/zoo.cfg"
    assert_output --partial "$part"
    run -1 timeout 10 zabd "$DIR/zoo.cfg"
    assert_output --partial "$part"
}

@test "what is wrong with TLS in zoo.cfg is named" {
    local port=secureClientPort=1 key=ssl.keyStore.location trust=ssl.trustStore.location
    mkdir -p "$DIR"
    refused "$key is not set" $port
    refused "$key: $DIR/none.pem: No such file" $port "$key=$DIR/none.pem" "$trust=$CERTS/ca.pem"
    refused "$trust is not set" $port "$key=$CERTS/server.pem"
    printf '\xfe\xed\xfe\xed\0\0\0\2' >"$DIR/k.jks"
    refused "keytool -importkeystore" $port "$key=$DIR/k.jks" "$trust=$CERTS/ca.pem"
    refused "ssl.ocsp is not supported" $port $(stores ssl.) ssl.ocsp=true
    refused 'ssl.clientAuth: "maybe"' $port $(stores ssl.) ssl.clientAuth=maybe
    refused 'ssl.protocol: "TLSv1.1"' $port $(stores ssl.) ssl.protocol=TLSv1.1
    refused "ssl.keyStore.passwordPath: $DIR/none" $port $(stores ssl.) \
        "ssl.keyStore.passwordPath=$DIR/none"
    refused "no secureClientPort" secureClientPortAddress=127.0.0.1
}

@test "a locked key store, a PKCS12 trust store, and passwords that nobody sees" {
    openssl pkcs8 -topk8 -in "$CERTS/server.key" -passout pass:sesame -out "$CERTS/locked.pem"
    cat "$CERTS/server.crt" >>"$CERTS/locked.pem"
    openssl pkcs12 -export -nokeys -in "$CERTS/ca.pem" -passout pass:sesame -out "$CERTS/ca.p12"
    echo sesame >"$CERTS/password"
    TLS_PORT=$(free_port)
    ZAB_TEST_CONFIG=$(printf '%s\n' "secureClientPort=$TLS_PORT" \
        "ssl.keyStore.location=$CERTS/locked.pem" "ssl.keyStore.passwordPath=$CERTS/password" \
        "ssl.trustStore.location=$CERTS/ca.p12" ssl.trustStore.password=sesame)
    ZABCTL_TLS_CA='' ZABCTL_TLS_CERT='' start_server "$NAME"
    zabctl -s "127.0.0.1:$TLS_PORT" ls /
    run -0 word conf
    assert_output --partial "secureClientPort=$TLS_PORT"
    refute_output --partial sesame
    stop_server "$NAME"
}
