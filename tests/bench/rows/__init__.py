"""The measurements. Each takes both places and how thorough to be, and gives rows.

What is compared takes turns, so that a busy machine is as busy for the one as for the other."""

from .cold import cold
from .idle import idle
from .install import install
from .many import many
from .memory import memory
from .pages import pages
from .start import burst, start
from .wire import connect, gateway, round_trip

ALL = (start, burst, memory, pages, cold, idle, gateway, round_trip, connect, many, install)
