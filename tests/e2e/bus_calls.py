"""Runs inside a bed, as one user: calls the launcher's methods as standard input says, and prints how each ended.

In: a list of [method, signature, arguments], where an object is a record. Out: a list of [word, result]; the word is "ok", "bus" if the bus
itself refused, the last part of our own error's name, or the whole name of any other error.
"""

import json
import sys

import dbus

NAME = "org.qemuwebdesktop.Launcher1"
PATH = "/org/qemuwebdesktop/Launcher1"
OURS = "org.qemuwebdesktop.Error."

# The types of a record's fields, where dbus-python would take another.
TYPES = {"cpus": dbus.UInt32, "memory_bytes": dbus.UInt64, "lifetime_seconds": dbus.UInt64, "seconds": dbus.UInt64,
         "since": dbus.UInt64, "groups": lambda value: dbus.Array(value, "s")}


def typed(value):
    """Return an argument, its records with the types that they have on the bus."""
    if isinstance(value, dict):
        return dbus.Dictionary({key: TYPES.get(key, lambda v: v)(field) for key, field in value.items()}, "sv")
    return [typed(item) for item in value] if isinstance(value, list) else value


def call(bus, method, signature, arguments):
    try:
        result = bus.call_blocking(NAME, PATH, NAME, method, signature, typed(arguments), timeout=60)
    except dbus.DBusException as error:
        name = error.get_dbus_name()
        if name == "org.freedesktop.DBus.Error.AccessDenied":
            return ["bus", error.get_dbus_message()]
        return [name.removeprefix(OURS), error.get_dbus_message()]
    return ["ok", result]


bus = dbus.SystemBus()
json.dump([call(bus, *wanted) for wanted in json.load(sys.stdin)], sys.stdout, default=str)
