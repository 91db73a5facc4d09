#!/bin/bash
# All tests of 'make check-vm': the installed package in a virtual machine with a kernel of its own.
# The last line is "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$(realpath "$0")")/.." || exit
out=target/check-vm
mkdir -p "$out" && rm -f "$out"/*
export PYTHONDONTWRITEBYTECODE=1

if [ "$(id -u)" != 0 ]; then
    printf 'SKIPPED [1] tests/vm: the virtual machine takes root\n'
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

# What could not even be tried has failed.
failed() {
    echo "check-vm: $*"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

if [ -z "${QWD_DEB:-}" ]; then
    QWD_DEB=$(tests/package/build-deb 2>"$out/deb.log" | tail -1) || QWD_DEB=
    [ -e "$QWD_DEB" ] || { tail -30 "$out/deb.log" && failed "the package could not be built"; }
    export QWD_DEB
fi

# What makes the image needs minutes, once; no test's time counts it.
tests/bed/vm image || failed "the virtual machine's image could not be made"
/usr/bin/python3 -m pytest -p no:cacheprovider -q -rsfE --durations=8 tests/vm "$@" 2>&1 | tee "$out/vm.log"
status=${PIPESTATUS[0]}

# pytest's last line: "1 failed, 2 passed, 3 skipped, 1 error in 4.5s".
last=$(grep -E ' in [0-9.]+s' "$out/vm.log" | tail -1)
word() { grep -oE "[0-9]+ $1\b" <<<"$last" | grep -oE '^[0-9]+' || echo 0; }
passed=$(word passed) broken=$(($(word failed) + $(word 'errors?'))) skipped=$(word skipped)
[ "$status" = 0 ] || [ "$broken" != 0 ] || broken=1
printf '\n'
grep -E '^SKIPPED' "$out/vm.log"
echo "$passed passed, $broken failed, $skipped skipped"
[ "$broken" = 0 ]
