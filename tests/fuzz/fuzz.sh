#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Build the fuzzers in fuzz-build/, make the seeds, and run each fuzzer: for FUZZ_SECONDS seconds,
# or, as a test, over a fixed number of inputs. What FUZZERS names is run, else all. An input
# that hurts is left in fuzz-build/ and named; run it again with
#     fuzz-build/tests/fuzz/fuzz_NAME FILE
# Needs: srcdir (the source), to be run in the top of a build tree.
set -eu
src=$(cd "${srcdir:-.}" && pwd)

skip() {
    echo "skipped: $1"
    exit 77
}

if [ -z "${FUZZ_SECONDS:-}" ] && grep -q '^CFLAGS = .*-fsanitize' Makefile; then
    skip 'the fuzzers bring sanitizers of their own, and run in builds without them'
fi
mkdir -p fuzz-build
cd fuzz-build
echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p && n > 9; }' >probe.c
clang -fsanitize=fuzzer,address -o probe probe.c 2>probe.log ||
    skip "clang with its fuzzer runtime is not installed (Debian: clang): $(head -n 1 probe.log)"

if [ ! -f Makefile ]; then
    sanitize='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'
    "$src/configure" -q --enable-werror CC=clang CFLAGS="-g -O1 $sanitize"
fi
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s V=0 -j"$(nproc)" fuzz-programs
rm -rf seeds
tests/fuzz/seeds "$src/tests/fuzz/recorded" seeds

# A number from the input that sizes an allocation is an error: hence the limit on malloc.
run() {
    mkdir -p "corpus/$1"
    tests/fuzz/fuzz_"$1" -seed=1 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=48 \
        -max_len=4096 -artifact_prefix="$PWD/$1-" "$2" "corpus/$1" "seeds/$1" >"fuzz_$1.log" 2>&1 || {
        tail -n 40 "fuzz_$1.log"
        echo "fuzz_$1: failed"
        return 1
    }
    echo "fuzz_$1: $(sed -n 's/^Done \([0-9]*\) runs.*/\1 inputs/p' "fuzz_$1.log")"
}

# Name and number of inputs of a test, which is a few seconds.
failed=0
while read -r name inputs; do
    case " ${FUZZERS:-$name} " in
    *" $name "*) ;;
    *) continue ;;
    esac
    if [ -n "${FUZZ_SECONDS:-}" ]; then
        run "$name" "-max_total_time=$FUZZ_SECONDS" || failed=1
    else
        rm -rf "corpus/$name"
        run "$name" "-runs=$inputs" || failed=1
    fi
done <<END
config 20000
ensemble 2000
load 10000
log 4000
mount 4000
node 4000
records 1000000
session 20000
snapshot 4000
tls 1500
END
exit $failed
