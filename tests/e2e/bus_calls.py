"""Runs inside a bed, as one user: calls the launcher's methods as standard input says, and prints how each ended.

In: a list of [method, signature, arguments]. Out: a list of [word, result]; the word is "ok", "bus" if the bus
itself refused, the last part of our own error's name, or the whole name of any other error.
"""

import json
import sys

import dbus

NAME = "org.qemuwebdesktop.Launcher1"
PATH = "/org/qemuwebdesktop/Launcher1"
OURS = "org.qemuwebdesktop.Error."


def call(bus, method, signature, arguments):
    try:
        result = bus.call_blocking(NAME, PATH, NAME, method, signature, arguments, timeout=60)
    except dbus.DBusException as error:
        name = error.get_dbus_name()
        if name == "org.freedesktop.DBus.Error.AccessDenied":
            return ["bus", error.get_dbus_message()]
        return [name.removeprefix(OURS), error.get_dbus_message()]
    return ["ok", result]


bus = dbus.SystemBus()
json.dump([call(bus, *wanted) for wanted in json.load(sys.stdin)], sys.stdout, default=str)
