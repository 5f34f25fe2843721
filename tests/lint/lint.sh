#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The rules of the code base that a compiler does not hold: layers, purity, form. Prints each
# place that breaks one. Needs: srcdir (the source), the archives in the current directory.
set -u
src=${srcdir:-.}
bad=0

complain() {
    [ -n "$2" ] || return 0
    printf '%s:\n%s\n' "$1" "$2" | sed '2,$s/^/    /'
    bad=1
}

# What the pure archives may take from outside: memory, strings, and formatting into memory.
allowed='abort|strerror|strftime|gmtime_r|calloc|free|malloc|realloc|memchr|memcmp|memcpy|memmove|memrchr|memset|bcmp|strchr|strrchr|strcmp|strncmp|strlen|strspn|strcspn|strtoul|strtol|strtoll|__isoc23_strto.*|snprintf|vsnprintf|__snprintf_chk|__vsnprintf_chk|__memcpy_chk|__memmove_chk|__strcpy_chk|fprintf|__fprintf_chk|stderr|qsort|bsearch|inet_pton|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|CRYPTO_memcmp|EVP_Q_digest|EVP_EncodeBlock|__ctype_b_loc|__tls_get_addr'
sanitizer='__(a|t|ub|l)san_.*|__sanitizer_.*|__interceptor.*|__asan.*|__tsan.*|__gcov.*|llvm_gcov.*|__llvm.*'
own=$(nm --defined-only libutil.a libjute.a libtree.a libzab.a libstore.a libnode.a \
    libsession.a libmount.a 2>/dev/null |
    awk 'NF == 3 && $2 ~ /[A-Z]/ {print $3}' | sort -u)
for archive in libutil.a libjute.a libtree.a libzab.a libnode.a libsession.a libmount.a; do
    found=$(nm -u "$archive" 2>/dev/null | awk '$1 == "U" {print $2}' | sort -u |
        grep -vxE "$allowed|$sanitizer" | grep -vxF "$own")
    complain "$archive is pure, but calls" "$found"
done

cd "$src" || exit 2
sources=$(find include src tests -name '*.[ch]' | sort)

complain '<uv.h> belongs into src/server, src/mount/shell, the shell of src/client and src/cli' \
    "$(grep -lE '#include <uv' $sources |
        grep -vE '^(src/server/|src/client/client|src/mount/shell/|src/cli/|include/zab/client.h)')"
complain 'libfuse belongs into src/mount/shell' \
    "$(grep -lE '#include <fuse' $sources | grep -v '^src/mount/shell/')"
complain '<openssl/ssl.h> belongs into src/tls' \
    "$(grep -lE '#include <openssl/ssl' $sources | grep -v '^src/tls/')"
complain 'upwards in the layers (util <- jute <- tree, zab <- node)' "$(
    grep -HnE '#include "zab/(jute|protocol|records|tree|watch|node|store|client|session)\.h"' src/util/*.c
    grep -HnE '#include "zab/(tree|watch|node|store|client|session)\.h"' src/jute/*.c
    grep -HnE '#include "zab/(node|store|client|session)\.h"' src/tree/*.[ch]
    grep -HnE '#include "zab/(tree|watch|node|store|client|session)\.h"' src/zab/*.[ch]
    grep -HnE '#include "zab/(tree|node|store|client|session)\.h"' src/zab/*.[ch]
    grep -HnE '#include "zab/(client|session)\.h"' src/node/*.[ch] src/store/*.[ch]
    grep -HnE '#include "zab/(tree|zab|node|store|client)\.h"' src/mount/*.[ch]
)"
complain 'no SPDX line' \
    "$(find include src tests contrib man configure.ac Makefile.am .ci -type f |
        grep -vE '\.(hex|sim)$|~$' | xargs grep -L 'SPDX-License-Identifier: GPL-3.0-or-later')"
complain 'unfinished' "$(grep -nwE 'TODO|FIXME|XXX' $sources)"
complain 'not for our strings' "$(grep -nE '\b(strcpy|strcat|sprintf|gets|system)\(' $sources)"
complain 'more than 600 lines in a file' \
    "$(wc -l $(find include src -name '*.[ch]') | awk '$2 != "total" && $1 > 600 {print $2 " (" $1 ")"}')"
complain 'more than 80 lines in a function' "$(for f in $(find src -name '*.c'); do
    awk -v f="$f" '/^{/ {s = NR} /^}/ && s {if (NR - s > 80) print f ":" s; s = 0}' "$f"
done)"
complain 'lines of more than 100 columns' "$(grep -nE '^.{101,}' $sources)"
if clang-format --version 2>/dev/null | grep -q 'version 14'; then
    complain 'clang-format would change' \
        "$(for f in $sources; do clang-format --dry-run -Werror "$f" 2>/dev/null || echo "$f"; done)"
fi
exit $bad
