# SPDX-License-Identifier: GPL-3.0-or-later
# TLS between servers: of zabd alone, together with Apache ZooKeeper, and the way to it.

setup_file() {
    load tls_helpers
    make_certs
}

setup() {
    load tls_helpers
    ZAB_TEST_SERVER=zabd
    require_server
    require_kazoo
}

secure_lines() {
    echo sslQuorum=true
    stores ssl.quorum. "$@"
}

make_secure_ensemble() {
    local lines
    mapfile -t lines < <(secure_lines)
    make_ensemble "$1" "$2" "${lines[@]}"
    use_ensemble "$1"
}

# The learner's or the election port (1 or 2) of server $2.
port_of() {
    sed -n "s/^server\.$2=127.0.0.1:\([0-9]*\):\([0-9]*\).*/\\$1/p" "$E/1/zoo.cfg"
}

# What a server says to bytes on one of its ports: nothing.
says_nothing() {
    local said
    said=$(timeout 5 bash -c 'exec 4<>"/dev/tcp/127.0.0.1/$0" && printf "$1" >&4 && cat <&4' "$1" "$2" |
        tr -d '\0' | head -c 100)
    [ -z "$said" ]
}

@test "servers with certificates are an ensemble; who has none gets nothing" {
    make_secure_ensemble secure 3
    start $ALL
    wait_formed $ALL
    start_load written
    local before port
    before=$(leader)
    kill9 "$before"
    wait_formed $(followers_and_others "$before")
    load_goes_on
    start "$before"
    wait_formed $ALL
    load_goes_on

    # A whole tree, larger than a socket takes at once.
    py <<'PY'
from ensemble import *
client = connect(HOSTS[0])
client.create("/big")
for n in range(40):
    client.create("/big/%d" % n, bytes([n]) * 900000)
PY
    local f
    f=$(follower)
    kill9 "$f"
    wipe "$f"
    start "$f"
    wait_formed $ALL
    log_has "$(leader)" 'a learner took the tree: [0-9]{8} bytes'
    load_goes_on

    for port in $(port_of 1 1) $(port_of 2 1) $(port_of 1 2) $(port_of 2 2); do
        says_nothing "$port" '\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03'
        says_nothing "$port" '\x00\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00'
        run ! openssl s_client -connect "127.0.0.1:$port" -tls1_2 </dev/null
        run ! openssl s_client -connect "127.0.0.1:$port" -tls1_2 -cert "$CERTS/intruder.pem" </dev/null
    done
    log_has 1 'TLS: the certificate CN=intruder is not accepted'
    log_has 1 'TLS: peer did not return a certificate'
    log_has 1 'TLS: the other side does not speak it'
    check_load
    stop $ALL
}

followers_and_others() {
    local i
    for i in $ALL; do
        [ "$i" = "$1" ] || echo "$i"
    done
}

@test "a server whose certificate is not good enough stays outside" {
    make_secure_ensemble outside 3
    sed -i 's/server.pem/intruder.pem/' "$E/3/zoo.cfg"
    start $ALL
    wait_formed 1 2
    wait_for 10 log_has 2 'TLS: the certificate CN=intruder is not accepted'
    [ -z "$(mode_of 3)" ]
    # Good for another host only.
    stop 3
    sed -i 's/intruder.pem/elsewhere.pem/' "$E/3/zoo.cfg"
    start 3
    wait_for 10 log_has 2 'the certificate CN=elsewhere,O=zabfs is not for 127.0.0.1'
    [ -z "$(mode_of 3)" ]
    stop 3
    sed -i 's/elsewhere.pem/server.pem/' "$E/3/zoo.cfg"
    start 3
    wait_formed $ALL
    stop $ALL
}

# Each server line gets a secure client port as well; theirs are in SECURE.
add_secure_ports() {
    local i n ports
    read -ra ports < <(free_ports "$N")
    SECURE=
    for n in $ALL; do
        SECURE+=${SECURE:+,}127.0.0.1:${ports[n - 1]}
        for i in $ALL; do
            sed -i "s|^server\\.$n=.*|&;127.0.0.1:${ports[n - 1]}|" "$E/$i/zoo.cfg"
        done
        stores ssl. >>"$E/$n/zoo.cfg"
    done
}

@test "server lines have secure client ports, and a certificate's name is known on all servers" {
    local i host
    make_secure_ensemble lines 3
    add_secure_ports
    start $ALL
    wait_formed $ALL
    export ZABCTL_TLS_CA=$CERTS/ca.pem ZABCTL_TLS_CERT=$CERTS/alice.pem
    run -0 zabctl -s "$SECURE" status
    for i in $ALL; do
        host=$(cut -d , -f "$i" <<<"$SECURE")
        zabctl -s "$host" create "/of-$i" x
        zabctl -s "$host" acl "/of-$i" auth::cdrwa
        [ "$(zabctl -s "$host" get "/of-$i")" = x ]
        zabctl -s "$host" set "/of-$i" y
        run -7 env ZABCTL_TLS_CERT="$CERTS/elsewhere.pem" zabctl -s "$host" set "/of-$i" z
    done
    stop $ALL
}

# ---- The way to TLS, server by server, while clients write ----

# Servers come back one by one, with these lines in place of the former ones.
roll() {
    local i run=$1
    shift
    for i in $ALL; do
        stop "$i"
        sed -i '/^sslQuorum=/d; /^portUnification=/d' "$E/$i/zoo.cfg"
        printf '%s\n' "$@" >>"$E/$i/zoo.cfg"
        load_goes_on
        "$run" "$i"
        wait_formed $ALL
        load_goes_on
    done
}

change_to_tls() {
    local run=$1 lines
    mapfile -t lines < <(stores ssl.quorum.)
    make_ensemble "$2" 3 "${lines[@]}"
    use_ensemble "$2"
    "$run" $ALL
    wait_formed $ALL
    start_load changing
    roll "$run" sslQuorum=false portUnification=true
    roll "$run" sslQuorum=true portUnification=true
    roll "$run" sslQuorum=true portUnification=false
    check_load
}

@test "a running ensemble changes to TLS one server after the other" {
    change_to_tls start rolling
    says_nothing "$(port_of 2 1)" '\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03'
    log_has 1 'TLS: the other side does not speak it'
    stop $ALL
}

# ---- With Apache ZooKeeper ----

@test "zabd and Apache ZooKeeper lead and follow each other over TLS" {
    require_program java
    require_program zstd
    [ -e "$ZOOKEEPER_JAR" ] || skip "Apache ZooKeeper is not installed ($ZOOKEEPER_JAR)"
    make_secure_ensemble mixed 3
    start 1 2
    wait_formed 1 2
    start_theirs 3
    wait_formed $ALL
    [ "$(leader)" = 2 ]
    start_load mixed
    kill9 3
    wipe 3
    load_goes_on
    start_theirs 3
    wait_formed $ALL
    load_goes_on
    check_load
    kill9 2
    wait_formed 1 3
    start 2
    wait_formed $ALL
    [ "$(leader)" = 3 ]
    start_load led-by-theirs
    kill9 1
    wipe 1
    load_goes_on
    start 1
    wait_formed $ALL
    load_goes_on
    check_load
    stop $ALL
}
