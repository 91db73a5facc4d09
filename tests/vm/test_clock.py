"""A session's end keeps to the clock on the wall, which only a kernel that is the test's alone can set."""

from contextlib import contextmanager

from test_attacks_timers import timers, without_our_programs
from test_units import gone


@contextmanager
def clock_moved(bed, seconds):
    """The clock is moved by so many seconds while none of our programs runs, and moved back at the end."""
    with without_our_programs(bed):
        bed.run("date", "-s", f"{seconds} seconds")
        try:
            yield
        finally:
            bed.run("date", "-s", f"{-seconds} seconds")


def test_a_clock_that_is_set_forward_past_the_end_ends_a_session(bed, session):
    made = session("--lifetime", "1h")["id"]
    with clock_moved(bed, 7200):
        bed.wait(f"! systemctl is-active -q qwd-session-{made}", 30)
        gone(bed, made)


def test_a_clock_that_is_set_back_moves_the_end_along(bed, session):
    made = session("--lifetime", "20s")["id"]
    end = bed.json("show", made)["expires_at"]
    timer = f"qwd-expire@{made}.{end}.timer"
    with clock_moved(bed, -3600):
        # The seconds that were left have passed, but it is not the end yet.
        bed.wait(f"systemctl show -P LastTriggerUSec {timer} | grep -q .")
        assert timers(bed, made) == {timer: "waiting"}
        bed.run("systemctl", "is-active", "-q", f"qwd-session-{made}")
    # The clock is right again, and the end has come.
    bed.wait(f"! systemctl is-active -q qwd-session-{made}", 30)
    gone(bed, made)
