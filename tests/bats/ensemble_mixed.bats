# SPDX-License-Identifier: GPL-3.0-or-later
# Ensembles of zabd and Apache ZooKeeper: each leads and follows the other, and each takes the
# other's place on its data directory, under load.

setup() {
    load ensemble_helpers
    require_program java
    require_program zstd
    [ -e "$ZOOKEEPER_JAR" ] || skip "Apache ZooKeeper is not installed ($ZOOKEEPER_JAR)"
    ZAB_TEST_SERVER=zabd
    require_server
    require_kazoo
}

start_ours() {
    ZAB_TEST_SERVER=zabd start "$@"
}

# Server $1 comes back, by function $2, after $3 more acknowledged writes; wiped if $4 says so.
comes_back() {
    kill9 "$1"
    load_goes_on "$3"
    [ "${4:-}" != wiped ] || wipe "$1"
    "$2" "$1"
    wait_formed $ALL
    load_goes_on
}

@test "zabd and Apache ZooKeeper lead and follow each other through kills and wiped disks" {
    make_ensemble mixed 3 snapCount=400
    use_ensemble mixed
    start_ours 1 2
    wait_formed 1 2
    start_theirs 3
    wait_formed $ALL
    [ "$(leader)" = 2 ]
    start_load led-by-zabd
    comes_back 3 start_theirs 30
    log_has 2 'learner 3 at 0x[0-9a-f]+: DIFF'
    more_than_is_kept_for_learners
    comes_back 3 start_theirs 30 wiped
    log_has 2 'learner 3 at 0x0: SNAP'
    comes_back 2 start_ours 30
    check_load

    # With nothing on the way the largest number is elected.
    [ "$(leader)" = 3 ] || kill9 "$(leader)"
    wait_for 20 leads 3
    start_ours_that_ended 1 2
    wait_formed $ALL
    start_load led-by-zookeeper
    local before
    before=$(count_in_log 1 'following: server 3')
    comes_back 1 start_ours 30
    comes_back 1 start_ours 900 wiped
    wait_for 5 belong_together 1 2
    [ "$(count_in_log 1 'following: server 3')" = $((before + 2)) ]
    comes_back 3 start_theirs 30
    check_load
    stop $ALL
}

more_than_is_kept_for_learners() {
    py <<'PY'
from ensemble import *
client = connect(HOSTS[1])
client.create("/big")
for n in range(20):
    client.set("/big", bytes([n]) * 900000)
PY
}

leads() {
    [ "$(mode_of "$1")" = leader ]
}

# ZooKeeper's leader does not tell them of which ensemble they are.
belong_together() {
    cmp -s "$E/$1/data/version-2/ensembleId" "$E/$2/data/version-2/ensembleId"
}

start_ours_that_ended() {
    local i
    for i in "$@"; do
        ! process_is_gone "$(cat "$E/$i/pid")" || start_ours "$i"
    done
}

@test "three Apache ZooKeeper are replaced by zabd one by one, and back, under load" {
    make_ensemble rolling 3 snapCount=400
    use_ensemble rolling
    start_theirs $ALL
    wait_formed $ALL
    start_load rolling
    local i
    for i in $ALL; do
        stop "$i"
        load_goes_on
        start_ours "$i"
        wait_formed $ALL
        load_goes_on 150
    done
    for i in $ALL; do
        stop "$i"
        load_goes_on
        start_theirs "$i"
        wait_formed $ALL
        load_goes_on 150
    done
    check_load
    stop $ALL
}

# With reconfigEnabled ZooKeeper moves the server lines to zoo.cfg.dynamic.VERSION, which is all that
# says to each of ours that it is not alone.
@test "each of ours takes the place of one whose server lines ZooKeeper has moved" {
    local each
    make_ensemble dynamic 3 reconfigEnabled=true
    use_ensemble dynamic
    start_theirs $ALL
    wait_formed $ALL
    zabctl create /theirs x
    for each in $ALL; do
        run -1 grep ^server "$E/$each/zoo.cfg"
        grep -q "^dynamicConfigFile=.*/zoo.cfg.dynamic.100000000" "$E/$each/zoo.cfg"
        stop "$each"
        start_ours "$each"
        wait_formed $ALL
        zabctl create "/ours-$each" x
    done
    ens same
    run -0 zabctl get /zookeeper/config
    assert_line "version=100000000"
    stop $ALL
}

# Their leader gives the configuration a version, which their followers say; a leader of ours takes it.
@test "ours leads followers of ZooKeeper that know a version of the configuration" {
    make_ensemble versions 3 reconfigEnabled=true
    use_ensemble versions
    start_theirs 1 2
    wait_formed 1 2
    start_ours 3
    wait_formed $ALL
    [ "$(leader)" = 2 ]
    start_load versions
    kill9 2
    wait_for 20 leads 3
    wait_for 20 have_formed 1 3
    load_goes_on
    start_theirs 2
    wait_formed $ALL
    [ "$(leader)" = 3 ]
    load_goes_on
    check_load
    stop $ALL
}

# A leader of ZooKeeper's does not know what ours call the ensemble: they tell each other.
@test "after a lost disk beside ZooKeeper ours go on without it" {
    make_ensemble named 3
    use_ensemble named
    start_ours 1 2
    wait_formed 1 2
    start_theirs 3
    wait_formed $ALL
    kill9 2
    wait_for 20 leads 3
    wait_for 20 have_formed 1 3
    zabctl create /kept x
    wipe 2
    start_ours 2
    wait_formed $ALL
    wait_for 5 test -s "$E/2/data/version-2/ensembleId"
    [ "$(cat "$E/2/data/version-2/ensembleId")" = "$(cat "$E/1/data/version-2/ensembleId")" ]
    kill9 3
    wait_for 20 leads 2
    wait_for 20 have_formed 1 2
    [ "$(zabctl get /kept)" = x ]
    stop 1 2
}
