# SPDX-License-Identifier: GPL-3.0-or-later
# Who follows the inotify events of mount $A has the tree, whatever others do to it, and how fast.

setup_file() {
    load mount_helpers
    start_mounts
}

teardown_file() {
    load mount_helpers
    stop_mounts
}

setup() {
    load mount_helpers
    use_mounts
}

# The mirror's directories, in this one of the test.
make_directories() {
    local dir
    mkdir -p "$A/$1"
    for dir in d0 d1 d2 d3; do
        mkdir "$A/$1/$dir"
        wait_for 5 test -d "$B/$1/$dir"
    done
}

# The rounds, the changes in each, and how many a second.
follows() {
    make_directories .
    py "$@" <<'P'
import os, sys
from mount_mirror import *
run(Remote(os.environ["T"], os.environ["B"]), os.environ["A"], 1, *map(int, sys.argv[1:]))
P
}

@test "control: the mirror is right about a local directory" {
    mkdir "$LOGS/local"
    py "$LOGS/local" <<'P'
import sys
from mount_mirror import *
run(Local(sys.argv[1]), sys.argv[1], 1, 3, 300, 500)
P
}

@test "10 random changes a second: the mirror has the tree when it is quiet" {
    follows 2 20 10
}

@test "100 random changes a second: the mirror has the tree each time it is quiet" {
    follows 5 80 100
}

@test "500 random changes a second: the mirror has the tree each time it is quiet" {
    follows 5 300 500
}

@test "files that are gone again at once: each that was told as made is told as deleted" {
    local ms
    for ms in 1 2 5; do
        make_directories "$ms"
        A=$A/$ms T=$T/$ms py "$ms" <<'P'
import os, sys
from mount_mirror import *
come_and_go(Remote(os.environ["T"], None), os.environ["A"], 150, int(sys.argv[1]))
P
    done
}

@test "one file removed and another of its length made at once: no rename, the new content is told" {
    local reads
    for reads in True False; do
        make_directories "$reads"
        A=$A/$reads T=$T/$reads py <<P
import os
from mount_mirror import *
exchanged(Remote(os.environ["T"], None), os.environ["A"], 20, $reads)
P
    done
}
