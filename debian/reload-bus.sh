# shellcheck shell=sh
# Added by debian/rules, between the users and what runs as them
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
	dbus-send --system --type=method_call --print-reply --dest=org.freedesktop.DBus / \
		org.freedesktop.DBus.ReloadConfig >/dev/null || true
fi
# End of the section added by debian/rules
