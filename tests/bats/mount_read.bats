# SPDX-License-Identifier: GPL-3.0-or-later
# Readers see one version, whole; and what is known costs no second request.

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
    FS="python3 $BATS_TEST_DIRNAME/mount_calls.py"
}

@test "an open file is one version, whatever happens to its name" {
    printf '1111\n2222\n' >"$A/f"
    local line
    exec 7<"$A/f"
    read -r line <&7
    zabctl set "$T/f" "something else, and longer"
    wait_for 5 content_is "$A/f" "something else, and longer"
    read -r line <&7
    assert_equal "$line" 2222
    exec 7<&-

    exec 7<"$A/f"
    echo new >"$B/f.tmp"
    mv "$B/f.tmp" "$B/f"
    wait_for 5 content_is "$A/f" new
    assert_equal "$(cat <&7)" "something else, and longer"
    exec 7<&-

    exec 7<"$A/f"
    zabctl rm "$T/f"
    wait_for 5 gone "$A/f"
    assert_equal "$(cat <&7)" new
    exec 7<&-
}

@test "a file that is unlinked while it is open can be read and written" {
    echo x >"$A/f"
    exec 7<>"$A/f"
    rm "$A/f"
    echo y >&7
    exec 7>&-
    run -3 zabctl stat "$T/f"
    [ ! -e "$A/f" ]
}

@test "8 shells write lines through two mounts, and readers on both see one whole line" {
    local size shell mount pids=() readers=()
    # $FS read-lines knows a line by its only character.
    for size in 10 3000 70000; do
        printf "%0${size}d" 0 | tr 0 "${size:0:1}" >"$LOGS/$size"
        echo >>"$LOGS/$size"
    done
    cp "$LOGS/10" "$A/f"
    wait_for 5 test -s "$B/f"
    for mount in "$A" "$B"; do
        background $FS read-lines "$mount/f" 11,3001,70001 5000 >>"$LOGS/readers" 2>&1
        readers+=("$BACKGROUND_PID")
    done
    for shell in 1 2 3 4 5 6 7 8; do
        mount=$A
        ((shell % 2)) || mount=$B
        background write_until "$LOGS/stop" "$mount/f" 10 3000 70000
        pids+=("$BACKGROUND_PID")
    done
    local ok=0
    for pid in "${readers[@]}"; do
        wait "$pid" || ok=1
    done
    touch "$LOGS/stop"
    wait "${pids[@]}"
    cat "$LOGS/readers"
    return $ok
}

write_until() {
    local lines=() size stop=$1 file=$2
    shift 2
    for size; do
        lines+=("$(cat "$LOGS/$size")")
    done
    while [ ! -e "$stop" ]; do
        echo "${lines[RANDOM % ${#lines[@]}]}" >"$file"
    done
}

@test "a directory of 10,000 entries is listed whole" {
    /usr/bin/python3 -c "import kazoo" || skip "kazoo is not installed"
    mkdir "$A/many"
    /usr/bin/python3 - "$SERVER_PORT" "$T/many" <<'P'
import logging, sys
from kazoo.client import KazooClient
zk = KazooClient("127.0.0.1:" + sys.argv[1])
zk.start()
made = [zk.create_async(f"{sys.argv[2]}/{i:05}", b"x") for i in range(10000)]
for m in made:
    m.get()
zk.stop()
P
    wait_for 20 count_is "$B/many" 10000
    wait_for 20 count_is "$A/many" 10000
    ls "$A/many" | cmp - <(seq -f %05.0f 0 9999)
    find "$B/many" -type f -size 1 | sort | sed 's|.*/||' | cmp - <(seq -f %05.0f 0 9999)
    zabctl create "$T/many/one-more" x
    wait_for 5 test -e "$A/many/one-more"
    wait_for 5 count_is "$A/many" 10001
    zabctl set "$T/many/00500" "changed"
    wait_for 5 content_is "$A/many/00500" changed
}

count_is() {
    [ "$(ls -f "$1" | grep -cv '^\.')" = "$2" ]
}

@test "a directory that changes while it is read lists what was there all the time" {
    local i
    for i in $(seq 100); do
        zabctl create "$T/old$i" x
    done
    wait_for 5 count_is "$B" 100
    background create_many
    local pid=$BACKGROUND_PID
    while kill -0 "$pid" 2>/dev/null; do
        assert_equal "$(ls "$B" | grep -c old)" 100
    done
    wait_for 5 count_is "$B" 200
}

create_many() {
    local i
    for i in $(seq 100); do
        : >"$A/new$i"
    done
}

@test "a second stat, or of what is not there, raises no request, and a second ls two" {
    local i
    mkdir "$A/sub"
    for i in 1 2 3 4 5; do
        echo $i >"$A/sub/$i"
    done
    wait_for 5 test -e "$B/sub/5"
    wait_for 5 costs 0 stat "$B/sub" "$B/sub/1" "$B/sub/2" "$B/sub/3"
    wait_for 5 costs 0 test ! -e "$B/sub/none"
    wait_for 5 costs 2 ls "$B/sub" # opendir and releasedir
    # ... and the caches hold only until the change.
    echo more than one character >"$A/sub/3"
    touch "$A/sub/none"
    wait_for 5 test -e "$B/sub/none"
    wait_for 5 content_is "$B/sub/3" "more than one character"
    assert_equal "$(stat -c %s "$B/sub/3")" 24
    assert_equal "$(ls "$B/sub" | wc -l)" 6
}

# How many requests the command raises; reading the status takes some itself.
costs() {
    local first second third expected=$1
    shift
    first=$(status_of "$ZAB_TMP/b" requests)
    second=$(status_of "$ZAB_TMP/b" requests)
    "$@" >/dev/null
    third=$(status_of "$ZAB_TMP/b" requests)
    ((third - second == second - first + expected))
}

@test "-o sync sees at once what another machine has written" {
    local dir=$ZAB_TMP/sync i
    echo 0 >"$A/f"
    start_mount "$dir" "" sync
    for i in $(seq 50); do
        echo $i >"$A/f"
        assert_equal "$(cat "$dir$T/f")" $i
    done
    stop_mount "$dir"
}

@test "-o cache=pages can be mapped and shared, and follows changes" {
    local dir=$ZAB_TMP/pages
    echo one >"$A/f"
    start_mount "$dir" "" cache=pages
    content_is "$dir$T/f" one
    python3 - "$dir$T/f" <<'P'
import mmap, sys
with open(sys.argv[1], "rb") as f:
    assert mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:] == b"one\n"
P
    echo a longer one >"$A/f"
    wait_for 5 content_is "$dir$T/f" "a longer one"
    echo written >"$dir$T/f"
    content_is "$dir$T/f" written
    stop_mount "$dir"
}

@test "what is executed or mapped is there whole" {
    local program
    program=$(type -P true)
    cat "$program" >"$A/true"
    wait_for 5 cmp -s "$program" "$B/true"
    cp "$(type -P sort)" "$A/sort" # is made empty first
    wait_for 5 cmp -s "$(type -P sort)" "$B/sort"
}
