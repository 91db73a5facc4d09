#!/bin/bash
# All tests of 'make check': unit tests, the package's files, and the installed package in a
# throwaway Debian. The last line is "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$(realpath "$0")")/.." || exit
out=target/check
mkdir -p "$out" && rm -f "$out"/*.log
passed=0 failed=0 skipped=0
export PYTHONDONTWRITEBYTECODE=1

# stage NAME COUNTER CMD…: run, keep the output, count.
stage() {
    local name=$1 counter=$2 log=$out/$1.log before=$failed status
    shift 2
    printf '\n== %s\n' "$name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    "$counter" "$log"
    # What broke before it could count anything has failed, too.
    if [ "$status" != 0 ] && [ "$failed" = "$before" ]; then failed=$((failed + 1)); fi
}

count_nothing() { :; }

count_cargo() {
    local p f s
    read -r p f s < <(awk '/^test result:/ { p += $4; f += $6; s += $8 } END { print p + 0, f + 0, s + 0 }' "$1")
    add "$p" "$f" "$s"
}

# pytest's last line: "1 failed, 2 passed, 3 skipped, 1 error in 4.5s".
count_pytest() {
    local last
    last=$(grep -E ' in [0-9.]+s' "$1" | tail -1)
    add "$(word passed)" $(($(word failed) + $(word 'errors?'))) "$(word skipped)"
}

word() { grep -oE "[0-9]+ $1\b" <<<"$last" | grep -oE '^[0-9]+' || echo 0; }

add() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3)); }

run_pytest() {
    # The one that the package python3-pytest belongs to.
    /usr/bin/python3 -m pytest -p no:cacheprovider -q -rsfE --durations=20 "$@"
    local status=$?
    # 5: there was no test.
    [ "$status" != 5 ] || status=0
    return "$status"
}

build() {
    tests/package/build-deb | tee "$out/deb"
}

# A test that waits for ever is to fail, and the others to be run.
stage unit count_cargo timeout --kill-after=10 1800 cargo test --locked --no-fail-fast
stage files count_pytest run_pytest tests/package
if [ "$(id -u)" != 0 ]; then
    printf '\nSKIPPED [1] tests/e2e: the throwaway Debian takes root\n' | tee "$out/e2e.log"
    skipped=$((skipped + 1))
else
    if [ -z "${QWD_DEB:-}" ]; then
        stage deb count_nothing build
        QWD_DEB=$(tail -1 "$out/deb")
        export QWD_DEB
    fi
    if [ -e "$QWD_DEB" ]; then
        # Two files at a time, each worker with a bed of its own: most tests wait for a guest or a timeout.
        stage e2e count_pytest run_pytest -n 2 --dist loadfile tests/e2e
    fi
fi

printf '\n'
grep -hE '^SKIPPED|^test .* \.\.\. ignored' "$out"/*.log
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
