# shellcheck shell=sh
# Sessions of 23.02 have no unit: nobody ends their programs but the administrator.
report_old_sessions() {
    names='' pids=''
    for process in /proc/[0-9]*; do
        [ "$(stat -c %U "$process" 2>/dev/null)" = _qemu-web-desktop ] || continue
        if grep -qs qwd-portal.service "$process/cgroup" || grep -qs '^State:[[:space:]]*Z' "$process/status"; then
            continue
        fi
        read -r name <"$process/comm" || continue
        names="$names $name(${process#/proc/})" pids="$pids ${process#/proc/}"
    done 2>/dev/null
    if [ -n "$pids" ]; then
        echo "qemu-web-desktop: a session of the version before (23.02) still runs, outside this service:$names." \
            "Have its work saved, then end it: 'kill$pids'" >&2
    fi
}
