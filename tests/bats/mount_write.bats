# SPDX-License-Identifier: GPL-3.0-or-later
# What is written becomes one transaction: counted by the znode's version.

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

# The command, run in this test's directory, is one commit of f with this content: where there
# was no f, and where there was one.
one_commit() {
    local content=$1 shell=$2 command=$3 version
    rm -f "$A/f"
    for version in 0 1; do
        (cd "$A" && "$shell" -c "$command" 2>/dev/null)
        wait_for 5 version_is "$T/f" "$version"
        zabctl get -o "$T/f" >"$LOGS/content"
        printf "$content" | cmp - "$LOGS/content"
    done
    # No later commit either: the next one counts one.
    echo last >"$A/f"
    assert_equal "$command: $(version_of "$T/f")" "$command: 2"
}

version_is() {
    [ "$(version_of "$1")" = "$2" ]
}

@test "each pattern of a shell is exactly one commit, whole" {
    local shell
    for shell in bash dash; do
        command -v $shell >/dev/null || continue
        one_commit 'a\n' $shell 'echo a >f'
        one_commit 'a\nb\n' $shell '{ echo a; echo b; } >f'
        one_commit 'a\nb\n' $shell '(echo a; (echo b)) >f'
        one_commit 'a\nc\n' $shell '{ echo a; echo b >&2; echo c; } >f'
        one_commit 'a\nb\n' $shell '{ echo a; /bin/echo b; } >f'
        one_commit 'a\nb\n' $shell 'exec 3>f; echo a >&3; /bin/echo b >&3; exec 3>&-'
        one_commit '1\n2\n3\n' $shell 'for i in 1 2 3; do echo $i; done >f'
        one_commit 'a\nb\n' $shell '{ echo a & wait; /bin/echo b & wait; } >f'
    done
}

@test "each pattern of a program is exactly one commit, whole" {
    printf 'from a file\n' >"$LOGS/in"
    one_commit 'a\n' bash 'echo a | tee f'
    one_commit 'from a file\n' bash "cat '$LOGS/in' >f"
    one_commit 'a\nb\n' bash 'printf "b\na\n" | sort -o f'
    one_commit 'ab' python3 'with open("f", "w") as f: f.write("a"); f.flush(); f.write("b")'
    one_commit 'ab' bash 'printf ab | dd of=f bs=1'
    one_commit 'a\nb\n' bash '(exec 4>f; (echo a >&4); exec 5>&4 4>&-; echo b >&5)'
}

@test "cp onto a file that is there is one commit" {
    printf new >"$LOGS/in"
    printf old >"$A/f"
    cp "$LOGS/in" "$A/f"
    assert_equal "$(version_of "$T/f")" 1
    assert_equal "$(zabctl get "$T/f")" new
}

@test ": > f empties a file, and makes an empty one" {
    : >"$A/f"
    wait_for 5 version_is "$T/f" 0
    echo x >"$A/f"
    : >"$A/f"
    wait_for 5 version_is "$T/f" 2
    run -0 zabctl --json get "$T/f"
    assert_output --partial '"data":""'
}

@test "the file appears with its content, and is never seen empty" {
    exec 7>"$A/f"
    echo part >&7
    [ ! -e "$B/f" ]
    run -3 zabctl stat "$T/f"
    echo rest >&7
    exec 7>&-
    wait_for 5 content_is "$B/f" "part
rest"
    exec 7>"$A/f"
    run -0 cat "$A/f" "$B/f"
    assert_output "part
rest
part
rest"
    run -0 stat -c %s "$A/f"
    assert_output 10
    exec 7>&-
}

@test "the last writer wins" {
    exec 7>"$A/f" 8>"$B/f"
    echo first >&7
    echo second >&8
    exec 8>&-
    exec 7>&-
    assert_equal "$(zabctl get "$T/f")" first
    wait_for 5 content_is "$B/f" first
}

@test "8 shells append through two mounts, and no line is lost" {
    local shell mount pids=()
    for shell in 1 2 3 4 5 6 7 8; do
        mount=$A
        ((shell % 2)) || mount=$B
        (for i in $(seq 25); do echo "$shell $i" >>"$mount/log" || echo failed; done) >"$LOGS/$shell" &
        pids+=($!)
    done
    wait "${pids[@]}"
    assert_equal "$(cat "$LOGS"/[1-8])" ""
    zabctl get "$T/log" >"$LOGS/log"
    assert_equal "$(wc -l <"$LOGS/log")" 200
    for shell in 1 2 3 4 5 6 7 8; do
        assert_equal "$(sed -n "s/^$shell //p" "$LOGS/log")" "$(seq 25)"
    done
}

wait_for_jobs() {
    local pid
    for pid in $(jobs -p); do
        wait "$pid" || true
    done
}

@test "O_EXCL through two mounts has one winner each time" {
    local i won
    for i in $(seq 20); do
        (set -C && echo a >"$A/lock$i") 2>/dev/null && echo a >>"$LOGS/won" &
        (set -C && echo b >"$B/lock$i") 2>/dev/null && echo b >>"$LOGS/won" &
        wait_for_jobs
        won=$(tail -1 "$LOGS/won")
        assert_equal "$(wc -l <"$LOGS/won")" "$i"
        assert_equal "$(zabctl get "$T/lock$i")" "$won"
    done
    fails_with "cannot overwrite existing file" bash -c "set -C; echo x >'$A/lock1'"
}

@test "mkdir through two mounts has one winner each time" {
    local i
    for i in $(seq 20); do
        mkdir "$A/$i" 2>/dev/null && echo a >>"$LOGS/won" &
        mkdir "$B/$i" 2>/dev/null && echo b >>"$LOGS/won" &
        wait_for_jobs
        assert_equal "$(wc -l <"$LOGS/won")" "$i"
    done
}

@test "fsync commits at once, and close then has nothing left to do" {
    run -0 $FS fsync "$A/f" "zabctl get $T/f"
    assert_output "synced"
    assert_equal "$(version_of "$T/f")" 0
}

@test "a draft without writes for a while is committed, and writing goes on" {
    exec 7>"$A/f"
    echo one >&7
    wait_for 5 content_is "$B/f" one
    echo two >&7
    wait_for 5 content_is "$B/f" "one
two"
    exec 7>&-
    assert_equal "$(version_of "$T/f")" 1
}

@test "-o draft=0 waits for the close, -o draft=SECONDS no longer than that" {
    local dir=$ZAB_TMP/draft
    start_mount "$dir" "" draft=0
    exec 7>"$dir$T/f"
    echo one >&7
    exec 8>"$A/g"
    echo two >&8
    wait_for 5 content_is "$B/g" two
    [ ! -e "$B/f" ]
    exec 7>&- 8>&-
    wait_for 5 content_is "$B/f" one
    stop_mount "$dir"
    start_mount "$dir" "" draft=0.2
    exec 7>"$dir$T/h"
    echo three >&7
    wait_for 3 content_is "$B/h" three
    exec 7>&-
    stop_mount "$dir"
}

@test "close returns the error of its commit" {
    echo x >"$A/f"
    run $FS close-error "$A/f" "zabctl acl $T/f world:anyone:ra"
    assert_output EACCES
    assert_equal "$(zabctl get "$T/f")" x
}

@test "touch bumps the version and keeps the data; given times are accepted" {
    echo x >"$A/f"
    touch "$A/f"
    assert_equal "$(version_of "$T/f")" 1
    assert_equal "$(zabctl get "$T/f")" x
    touch -d 2001-01-01 "$A/f"
    assert_equal "$(version_of "$T/f")" 1
    mkdir "$A/d"
    touch "$A/d"
    [ -d "$A/d" ]
    run -0 zabctl --json get "$T/d"
    assert_output --partial '"data":null'
}

@test "truncate cuts and extends, one commit each" {
    printf 123456789 >"$A/f"
    truncate -s 4 "$A/f"
    assert_equal "$(zabctl get "$T/f")" 1234
    truncate -s 6 "$A/f"
    zabctl get -o "$T/f" | cmp - <(printf '1234\0\0')
    truncate -s 0 "$A/f"
    assert_equal "$(version_of "$T/f")" 3
    assert_equal "$(stat -c %s "$A/f")" 0
}

@test "writing in the middle keeps the rest" {
    printf 123456789 >"$A/f"
    printf AB | dd of="$A/f" bs=1 seek=3 conv=notrunc status=none
    assert_equal "$(zabctl get "$T/f")" 123AB6789
    assert_equal "$(version_of "$T/f")" 1
    exec 7<>"$A/f"
    read -r -n 2 -u 7
    printf xy >&7
    exec 7>&-
    assert_equal "$(zabctl get "$T/f")" 12xyB6789
    $FS update "$A/f" 0 ZZ
    assert_equal "$(zabctl get "$T/f")" ZZxyB6789
}

@test "rename over a file is a set for its watchers, with no gap" {
    echo old >"$A/f"
    echo new >"$A/f.tmp"
    background zabctl watch "$T/f" >"$LOGS/watch"
    local watch=$BACKGROUND_PID version
    wait_for 5 sees_changes
    version=$(version_of "$T/f")
    mv "$A/f.tmp" "$A/f"
    assert_equal "$(zabctl get "$T/f")" new
    assert_equal "$(version_of "$T/f")" "$((version + 1))"
    assert_equal "$(zabctl ls "$T")" f
    zabctl rm "$T/f"
    wait_for 5 grep -q deleted "$LOGS/watch"
    assert_equal "$(uniq "$LOGS/watch")" "changed $T/f
deleted $T/f"
    end_process "$watch" TERM || true
}

sees_changes() {
    zabctl set "$T/f" x
    [ -s "$LOGS/watch" ]
}

@test "RENAME_NOREPLACE and RENAME_EXCHANGE" {
    echo 1 >"$A/one"
    echo 2 >"$A/two"
    run $FS rename noreplace "$A/one" "$A/two"
    assert_output EEXIST
    run -0 $FS rename noreplace "$A/one" "$A/three"
    assert_equal "$(zabctl get "$T/three")" 1
    run -0 $FS rename exchange "$A/two" "$A/three"
    assert_equal "$(zabctl get "$T/two") $(zabctl get "$T/three")" "1 2"
    assert_equal "$(cat "$A/two" "$A/three")" "1
2"
    wait_for 5 content_is "$B/two" 1
    run $FS rename exchange "$A/two" "$A/none"
    assert_output ENOENT
}

@test "a directory moves with all that is in it, in one transaction" {
    mkdir -p "$A/from/sub/deep"
    echo 1 >"$A/from/f"
    echo 2 >"$A/from/sub/deep/g"
    wait_for 5 content_is "$B/from/sub/deep/g" 2
    mv "$A/from" "$A/to"
    run -0 bash -c "cd '$A' && find . | sort"
    assert_output ".
./to
./to/f
./to/sub
./to/sub/deep
./to/sub/deep/g"
    assert_equal "$(cat "$A/to/f" "$A/to/sub/deep/g")" "1
2"
    assert_equal "$(zabctl stat "$T/to" | sed -n 's/^czxid//p')" \
        "$(zabctl stat "$T/to/sub/deep/g" | sed -n 's/^czxid//p')"
    wait_for 5 content_is "$B/to/sub/deep/g" 2
    wait_for 5 gone "$B/from"
    mkdir "$A/full"
    echo x >"$A/full/x"
    fails_with "Directory not empty" mv -T "$A/to" "$A/full"
    mkdir "$A/empty"
    mv -T "$A/to" "$A/empty"
    assert_equal "$(cat "$A/empty/f")" 1
    run $FS rename plain "$A/empty" "$A/empty/sub/below"
    assert_output EINVAL
}

@test "a directory beyond the packet limit is EXDEV, and mv copies it" {
    local i
    mkdir "$A/from"
    for i in 1 2 3; do
        head -c 500000 /dev/urandom >"$LOGS/$i"
        cp "$LOGS/$i" "$A/from/$i"
    done
    run $FS rename plain "$A/from" "$A/to"
    assert_output EXDEV
    mv "$A/from" "$A/to"
    for i in 1 2 3; do
        cmp "$LOGS/$i" "$A/to/$i"
    done
    [ ! -e "$A/from" ]
}

@test "cp -a, rsync -a and tar bring a tree in and out as it was" {
    local dir=$LOGS/tree
    mkdir -p "$dir/a/b" "$dir/empty"
    for i in 1 2 3 4 5; do
        head -c "$((i * 1000))" /dev/urandom >"$dir/a/b/$i"
    done
    : >"$dir/a/nothing"
    find "$dir" -type f -exec chmod 644 {} +
    cp -a "$dir" "$A/cp"
    diff -r "$dir" "$A/cp"
    tar -C "$dir" -cf - . | (mkdir "$A/tar" && tar -C "$A/tar" -xf -)
    diff -r "$dir" "$A/tar"
    tar -C "$A/tar" -cf - . | (mkdir "$LOGS/out" && tar -C "$LOGS/out" -xf -)
    diff -r "$dir" "$LOGS/out"
    if command -v rsync >/dev/null; then
        rsync -a "$dir/" "$A/rsync/"
        diff -r "$dir" "$A/rsync"
        rsync -a "$A/rsync/" "$LOGS/back/"
        diff -r "$dir" "$LOGS/back"
    fi
    wait_for 10 diff -r "$dir" "$B/cp"
}

@test "sed -i and vi edit in place" {
    printf 'alpha\nbeta\n' >"$A/f"
    sed -i s/alpha/gamma/ "$A/f"
    assert_equal "$(zabctl get "$T/f")" "gamma
beta"
    assert_equal "$(zabctl ls "$T")" f
    require_program vi
    vi -es -u NONE -c '%s/beta/delta/' -c wq "$A/f" </dev/null
    assert_equal "$(zabctl get "$T/f")" "gamma
delta"
    vi -es -u NONE -c 'set writebackup backupcopy=no' -c 's/$/!/' -c wq "$A/f" </dev/null
    assert_equal "$(zabctl get "$T/f")" "gamma
delta!"
    wait_for 5 content_is "$B/f" "gamma
delta!"
    assert_equal "$(zabctl ls "$T")" f
}

@test "git works in it" {
    require_program git
    export GIT_CONFIG_GLOBAL=/dev/null HOME=$LOGS
    git init -q "$A/repo"
    cd "$A/repo"
    git config user.name zab
    git config user.email zab@example.org
    echo content >file
    git add file
    git commit -q -m first
    echo more >>file
    git commit -q -a -m second
    git fsck --strict
    git clone -q "$A/repo" "$LOGS/clone"
    assert_equal "$(cat "$LOGS/clone/file")" "content
more"
    run -0 git status --short
    assert_output ""
}
