"""The measurements. Each takes the place and how thorough to be, and gives rows.

What is compared takes turns, so that a busy machine is as busy for the one as for the other."""

from statistics import median

from figures import Row, p99, p99_name, slope, spread

AT_ONCE = 8


def start(place, thorough):
    """From the request to the screen's greeting, one at a time."""
    ours, bare = [], []
    for _ in range(100 if thorough else 30):
        took, session = place.do("ours.start")
        ours.append(took)
        place.do("ours.stop", session)
        bare.append(place.do("bare.start"))
    middle, late = median(bare), p99(bare)
    return [
        Row("create to greeting, median", median(ours), "ms", middle,
            remark=f"{spread(ours)}, bare {spread(bare)}").at_most(middle + 60),
        Row(f"create to greeting, {p99_name(ours)}", p99(ours), "ms", late).at_most(late + 150),
    ]


def burst(place, thorough):
    """Eight requests at the same moment."""
    ours, bare, right = [], [], []
    for _ in range(5 if thorough else 3):
        took, results = place.do("ours.burst", AT_ONCE)
        ours.append(took)
        right.append(sum(f"qwd-{r['session']}" in r["name"] for r in results if "name" in r))
        for problem in (r["problem"] for r in results if "problem" in r):
            print(f"bench: of {AT_ONCE} at once: {problem}")
        bare.append(place.do("bare.burst", AT_ONCE))
    middle = median(bare)
    return [
        Row(f"of {AT_ONCE} creates at once, the right machine", min(right), "").exactly(AT_ONCE),
        Row(f"{AT_ONCE} creates at once, the last greeting", median(ours), "ms", middle,
            remark=f"{spread(ours)}, bare {spread(bare)}").at_most(1.3 * middle),
    ]


def memory(place, thorough):
    """What our programs take while nothing goes on, and what sessions and viewers add."""
    count = 16 if thorough else 8
    idle = place.do("memory.now")
    sessions, points = [], []
    for _ in range(count):
        sessions.append(place.do("ours.open"))
        points.append(place.do("memory.now"))
    viewed = []
    for session in sessions:
        place.do("ours.view", session)
        viewed.append(place.do("memory.now"))
    place.do("ours.leave")
    place.do("ours.stop", *sessions)
    adds = lambda series, *names: slope([sum(point[name] for name in names) for point in series])
    return [
        Row("memory, everything idle", idle["ours"] / 1000, "MB", remark=parts(idle)).at_most(25),
        Row("memory, each session", adds(points, "ours"), "kB",
            remark=f"{adds(points, 'ours', 'systemd', 'dbus'):.0f} kB with systemd and D-Bus").at_most(50),
        Row("memory, each viewer", adds(viewed, "ours"), "kB",
            remark=f"{adds(viewed, 'ours', 'apache2'):.0f} kB with Apache").at_most(200),
    ]


def parts(figures):
    return ", ".join(f"{name.removeprefix('qwd-')} {kb / 1000:.1f}" for name, kb in sorted(figures["programs"].items()))


ALL = (start, burst, memory)
