# SPDX-License-Identifier: GPL-3.0-or-later
# Ensembles without TLS whose own ports strangers speak to (hostile.py): whatever they say, no
# election is held for it, writes go on, and memory stays what it was.

setup_file() {
    load ensemble_helpers
    ZAB_TEST_SERVER=zabd
    require_server
    require_kazoo
}

setup() {
    load ensemble_helpers
    ZAB_TEST_SERVER=zabd
}

# Three servers, and load on them.
attacked() {
    make_ensemble "$1" 3
    use_ensemble "$1"
    start $ALL
    wait_formed $ALL
    start_load load
    SERVERS=$(sed -n 's/^server\.\([0-9]*\)=\([^;]*\);.*/\1=\2/p' "$E/1/zoo.cfg" | paste -s -d ,)
    export SERVERS
}

# ATTACKs of hostile.py for $2 seconds, of which more than a few packets must have been sent.
attack() {
    local sent
    sent=$(timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/hostile.py" "$1" "$2")
    echo "$1: $sent packets"
    [ "$sent" -gt 100 ]
}

start_attack() {
    background timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/hostile.py" "$1" "$2" >"$E/attack"
    ATTACK_PID=$BACKGROUND_PID
}

stop_attack() {
    ! process_is_gone "$ATTACK_PID"
    end_process "$ATTACK_PID" TERM || :
}

epoch_of() {
    local zxid
    zxid=$(ask "$1" srvr | sed -n 's/^Zxid: //p')
    echo $((zxid >> 32))
}

# Function $1 and what follows it is no reason for an election.
without_election() {
    local l epoch
    l=$(leader)
    epoch=$(epoch_of "$l")
    "$@"
    [ "$(leader)" = "$l" ]
    [ "$(epoch_of "$l")" = "$epoch" ]
}

# The leader is lost, and comes back. One of the others leads, in an epoch that is not absurd: one number
# may take it up by 65536.
next_leader() {
    local l epoch others
    l=$(leader)
    epoch=$(epoch_of "$l")
    kill9 "$l"
    others=$(tr ' ' '\n' <<<"$ALL" | grep -vx "$l" | paste -s -d ' ')
    wait_for 40 have_formed $others
    load_goes_on
    [ "$(epoch_of "$(leader)")" -gt "$epoch" ]
    [ "$(epoch_of "$(leader)")" -lt $((epoch + 70000)) ]
    start "$l"
}

@test "learners with the servers' numbers replace none, and writes go on" {
    attacked infos
    start_attack infos 50
    load_goes_on 300
    without_election load_goes_on 300
    next_leader
    wait_formed $ALL
    load_goes_on 300
    stop_attack
    wait_formed $ALL
    check_load
    stop $ALL
}

@test "absurd epochs at the learners' port change nothing, also for the next leader" {
    attacked epochs
    without_election attack epochs 3
    next_leader
    wait_formed $ALL
    without_election attack epochs,steps 3
    load_goes_on 100
    next_leader
    wait_formed $ALL
    start_attack epochs 50
    next_leader
    stop_attack
    wait_formed $ALL
    check_load
    stop $ALL
    local i
    for i in $ALL; do
        [ "$(cat "$E/$i/data/version-2/acceptedEpoch")" -lt 200000 ]
    done
}

@test "absurd rounds and votes change nothing, neither do they keep servers from an election" {
    attacked rounds
    without_election attack rounds,votes 3
    next_leader
    wait_formed $ALL
    start_attack rounds 50
    load_goes_on 100
    next_leader
    stop_attack
    wait_formed $ALL
    check_load
    stop $ALL
}

@test "packets of 64 MiB take no memory" {
    attacked lengths
    without_election attack heads,lengths 4
    load_goes_on 100
    local i
    for i in $ALL; do
        memory_was_below "$i" 100
    done
    check_load
    stop $ALL
}

@test "silence, half packets and garbage keep nobody from anything" {
    attacked halves
    start_attack silence,halves,garbage 50
    without_election load_goes_on 300
    next_leader
    stop_attack
    wait_formed $ALL
    check_load
    stop $ALL
}
