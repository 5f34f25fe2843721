# SPDX-License-Identifier: GPL-3.0-or-later
# Programs that watch files, as they are: they follow what others change in mount $A. Each is skipped
# where it is not installed.

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
    FS="python3 $BATS_TEST_DIRNAME/mount_consumers.py"
    CONSUMER=
}

teardown() {
    [ -z "$CONSUMER" ] || end_process "$CONSUMER" TERM || true
}

# Its output is $LOGS/out. It ends with the test.
consumer() {
    background "$@" >"$LOGS/out" 2>"$LOGS/err"
    CONSUMER=$BACKGROUND_PID
}

said() {
    grep -qE -- "$1" "$LOGS/out"
}

answers_are() {
    [ "$("${@:2}" 2>/dev/null)" = "$1" ]
}

# A tree that is made, changed, moved and removed by another mount.
mkdir_elsewhere() {
    mkdir "$B/$1"
    wait_for 5 test -d "$A/$1"
}

@test "inotifywait -m" {
    require_program inotifywait
    consumer inotifywait -m -r --format '%e %w%f' "$A"
    wait_for 10 grep -q established "$LOGS/err"
    echo x >"$B/f"
    wait_for 5 said "^CREATE .*/f$"
    wait_for 5 said "^CLOSE_WRITE.* .*/f$"
    mv "$B/f" "$B/g"
    wait_for 5 said "^MOVED_TO .*/g$"
    rm "$B/g"
    wait_for 5 said "^DELETE .*/g$"
    mkdir "$B/d"
    wait_for 5 said "^CREATE,ISDIR .*/d$"
    # A watch is put on it when the event has come.
    wait_for 5 follows_new_directory
}

follows_new_directory() {
    echo x >"$B/d/f$RANDOM"
    said "^CLOSE_WRITE.* .*/d/f"
}

@test "python-watchdog" {
    python3 -c 'import watchdog' 2>/dev/null || skip "python-watchdog is not installed"
    mkdir_elsewhere d
    consumer $FS watch "$A"
    wait_for 10 said ready
    echo x >"$B/f"
    wait_for 5 said "^created f$"
    wait_for 5 said "^modified f$"
    mv "$B/f" "$B/d/g"
    wait_for 5 said "^moved f d/g$"
    rm "$B/d/g"
    wait_for 5 said "^deleted d/g$"
}

@test "entr runs its command at each change" {
    require_program entr
    echo 0 >"$A/f"
    wait_for 5 content_is "$B/f" 0
    # It runs at the start, too.
    echo "$A/f" >"$LOGS/list"
    consumer sh -c 'exec entr -n cp "$1" "$2" <"$3"' sh "$A/f" "$LOGS/copy" "$LOGS/list"
    wait_for 5 content_is "$LOGS/copy" 0
    local i
    for i in 1 2 3; do
        echo $i >"$B/f"
        wait_for 5 content_is "$LOGS/copy" $i
    done
    echo last >"$B/f.tmp"
    mv "$B/f.tmp" "$B/f"
    wait_for 5 content_is "$LOGS/copy" last
}

@test "fswatch" {
    require_program fswatch
    consumer fswatch -r -l 0.1 "$A"
    local i
    wait_for 10 fswatch_follows
    echo x >"$B/f"
    wait_for 5 said "/f$"
    mv "$B/f" "$B/g"
    wait_for 5 said "/g$"
}

# It does not say when it is ready.
fswatch_follows() {
    echo x >"$B/ready"
    said "/ready$"
}

@test "lsyncd keeps a copy" {
    require_program lsyncd
    require_program rsync
    mkdir_elsewhere d
    echo before >"$B/d/before"
    wait_for 5 content_is "$A/d/before" before
    mkdir "$LOGS/copy"
    consumer lsyncd -nodaemon -delay 1 -rsync "$A" "$LOGS/copy"
    wait_for 15 content_is "$LOGS/copy/d/before" before
    local i
    for i in $(seq 20); do
        echo $i >"$B/d/$i"
    done
    mv "$B/d/before" "$B/after"
    rm "$B/d/7"
    mkdir "$B/e"
    echo x >"$B/e/f"
    wait_for 20 diff -r "$B" "$LOGS/copy"
}

@test "dnsmasq --hostsdir answers with what is there" {
    require_program dnsmasq
    [ "$(id -u)" = 0 ] || skip "needs root"
    local dir=$ZAB_TMP/hosts port
    port=$(free_port)
    mkdir "$A/hosts"
    echo "10.0.0.1 one.test" >"$A/hosts/one"
    chmod 755 "$ZAB_TMP"
    start_mount "$dir" "" allow_other
    consumer dnsmasq -k -C /dev/null -p "$port" --listen-address=127.0.0.1 --bind-interfaces --no-resolv \
        --no-hosts --user=nobody --pid-file= --hostsdir="$dir$T/hosts"
    wait_for 10 answers_are 10.0.0.1 $FS resolve "$port" one.test
    echo "10.0.0.2 two.test" >"$B/hosts/two"
    wait_for 5 answers_are 10.0.0.2 $FS resolve "$port" two.test
    echo "10.0.0.3 three.test" >"$LOGS/three"
    cp "$LOGS/three" "$B/hosts/.three"
    mv "$B/hosts/.three" "$B/hosts/three"
    wait_for 5 answers_are 10.0.0.3 $FS resolve "$port" three.test
    end_process "$CONSUMER" TERM || true
    CONSUMER=
    stop_mount "$dir"
}

# The configuration is replaced by another mount; at each event the server takes it again. The last
# one is live.
reloads() {
    local signal=$1 configure=$2 port i
    shift 2
    port=$(free_port)
    "$configure" "$port" 0 >"$A/conf"
    wait_for 5 test -s "$B/conf"
    consumer "$@"
    wait_for 10 answers_are "version 0" $FS http "$port"
    start_watch w "$A"
    background reload_at_events "$CONSUMER" "$signal"
    for i in 1 2 3 4 5; do
        "$configure" "$port" $i >"$B/conf.tmp"
        mv "$B/conf.tmp" "$B/conf"
        wait_for 10 answers_are "version $i" $FS http "$port"
    done
    for i in $(seq 6 20); do
        "$configure" "$port" $i >"$B/conf.tmp"
        mv "$B/conf.tmp" "$B/conf"
    done
    wait_for 10 answers_are "version 20" $FS http "$port"
}

# As long as the process is there.
reload_at_events() {
    local seen=0 now
    while kill -0 "$1" 2>/dev/null; do
        now=$(grep -cE '^(CLOSE_WRITE|MOVED_TO).*/conf$' "$LOGS/w.raw") || true
        if ((now > seen)); then
            kill -"$2" "$1"
            seen=$now
        fi
        sleep 0.05
    done
}

nginx_configuration() {
    cat <<C
daemon off;
pid $LOGS/pid;
error_log stderr;
events {}
http {
    access_log off;
    server {
        listen 127.0.0.1:$1;
        location / { return 200 "version $2\n"; }
    }
}
C
}

@test "nginx, reloaded at each event" {
    require_program nginx
    reloads HUP nginx_configuration nginx -e stderr -p "$LOGS" -c "$A/conf"
}

haproxy_configuration() {
    cat <<C
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend f
    bind 127.0.0.1:$1
    http-request return status 200 content-type text/plain string "version $2\n"
C
}

@test "haproxy, reloaded at each event" {
    require_program haproxy
    reloads USR2 haproxy_configuration haproxy -W -db -f "$A/conf"
}
