#!/bin/bash
# The service in a throwaway Debian, to be looked at with a browser ('make demo'). Ctrl-C ends it.
#   MACHINE=desktop make demo    with a real desktop (made the first time, some minutes), else a small menu
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
bed=$PWD/tests/bed/bed
name=demo-$$

say() { printf 'demo: %s\n' "$*"; }

[ "$(id -u)" = 0 ] || { say "this takes root: the throwaway Debian is a container" >&2 && exit 1; }

follower=
cleanup() {
    trap '' INT TERM
    [ -z "$follower" ] || kill "$follower" 2>/dev/null || true
    say "taking everything down"
    "$bed" down "$name" >/dev/null 2>&1 || true
    say "done"
}
trap cleanup EXIT
trap 'exit 0' INT TERM HUP

inside() { "$bed" run "$name" "$@"; }

case ${MACHINE:-menu} in
    menu | desktop) ;;
    *) say "MACHINE is 'menu' or 'desktop'" >&2 && exit 2 ;;
esac

mkdir -p target
# QWD_DEB names one that has been built already.
deb=${QWD_DEB:-}
if [ -z "$deb" ]; then
    say "building the package"
    deb=$(tests/package/build-deb 2>target/demo-build.log | tail -1) ||
        { tail -20 target/demo-build.log >&2 && say "the package could not be built" >&2 && exit 1; }
fi
# Where the machine comes from; a file of this host is bound into the bed.
binds=()
case ${MACHINE:-menu} in
    menu)
        machine=menu.iso
        url=file:///usr/lib/grub-rescue/grub-rescue-cdrom.iso
        description="A small menu (GRUB), up in two seconds"
        ;;
    desktop)
        say "having a machine with a desktop built, unless there is one"
        image=$(QWD_DEB=$deb tests/bed/desktop-image | tail -1)
        machine=desktop.qcow2
        url=file:///srv/image/${image##*/}
        binds=(--bind "${image%/*}:/srv/image:ro")
        description="Debian with a desktop"
        ;;
esac

say "booting a Debian to install it in"
"$bed" up "$name" "${binds[@]}"
"$bed" put "$name" "$deb" /root/
say "installing ${deb##*/}"
inside env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "/root/${deb##*/}" >target/demo-install.log 2>&1 ||
    { tail -20 target/demo-install.log >&2 && exit 1; }
printf '[%s]\nurl=%s\ndescription=%s\n' "$machine" "$url" "$description" |
    inside sh -c 'cat >/etc/qemu-web-desktop/machines.conf'
# A machine that has just built a package is busy, and one person tries it out alone.
inside sh -c 'cat >/etc/qemu-web-desktop/config.d/demo.toml' <<'EOT'
[limits]
service_max_load = 100.0
service_max_cpu_fraction_nb_per_user = 4.0
service_max_mem_fraction_nb_per_user = 0.8
[paths]
disk_start_reserve = "1G"
disk_pause_reserve = "512M"
EOT
inside qwdctl download
port=$("$bed" forward "$name" 8080 80 --next)
cat <<EOT

    Open  http://localhost:$port/qemu-web-desktop/

    Look inside:  tests/bed/bed run $name bash
    What happens in there is shown below. Ctrl-C removes it all.

EOT
inside journalctl --follow --lines=0 --output=short --no-hostname -t qwd-portal -t qwd-launcher -t qwd-display \
    -t qwd-reaper -t qwd-session &
follower=$!
wait "$follower"
