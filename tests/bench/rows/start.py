"""From the request to a screen that greets, one at a time and eight at once."""

from figures import Row, added, late, late_name, middle, value

AT_ONCE = 8


def start(places, thorough):
    """From the request to the screen's greeting, one at a time."""
    ours, bare, best, packaged = [], [], [], []
    runs = 100 if thorough else 30
    for i in range(runs):
        one(places.ours, "ours", ours)
        bare.append(places.ours.do("bare.start"))
        # The predecessor takes seconds; a few of its runs, spread over ours, tell enough.
        if i % 10 == 0:
            delay_and_start(places.peer, 0, best)
        if i % 10 == 5:
            delay_and_start(places.peer, 5, packaged)
    limit = value(middle(bare))
    return [
        Row("create to greeting, median", "ms", middle(ours), middle(bare), middle(packaged),
            f"peer at its best setting {middle(best)} ms").at_most(limit + 60),
        Row("… more than the limit", "ms", added(ours, bare)),
        Row(f"create to greeting, {late_name(ours)}", "ms", late(ours), late(bare),
            late(packaged)).at_most(value(late(bare)) + 150),
    ]


def one(place, name, series):
    took, session = place.do(f"{name}.start")
    series.append(took)
    place.do(f"{name}.stop", session)


def delay_and_start(peer, seconds, series):
    peer.do("peer.delay", seconds)
    one(peer, "peer", series)


def burst(places, thorough):
    """Eight requests at the same moment."""
    ours, bare, right, theirs, peer, cpu, bare_cpu = [], [], [], [], [], [], []
    places.peer.do("peer.delay", 0)
    for _ in range(10 if thorough else 4):
        took, results, spent = places.ours.do("ours.burst", AT_ONCE)
        ours.append(took)
        cpu.append(spent)
        right.append(count_right(results))
        for problem in (r["problem"] for r in results if "problem" in r):
            print(f"bench: of {AT_ONCE} at once: {problem}")
        took, spent = places.ours.do("bare.burst", AT_ONCE)
        bare.append(took)
        bare_cpu.append(spent)
        if len(theirs) < 3:
            took, results = places.peer.do("peer.burst", AT_ONCE)
            peer.append(took)
            theirs.append(count_right(results))
    return [
        Row(f"of {AT_ONCE} creates at once, the right machine", "", min(right), AT_ONCE, middle(theirs)).at_least(AT_ONCE),
        Row(f"{AT_ONCE} creates at once, the last greeting", "ms", middle(ours), middle(bare), middle(peer),
            "the peer's without those that failed; where the time goes, says the next row").at_most(1.3 * value(middle(bare))),
        Row("… CPU of each of them", "ms", each(cpu), each(bare_cpu),
            remark=f"{parts(cpu)}; bare {parts(bare_cpu)}"),
    ]


def each(cpu):
    """What one of a burst takes, in milliseconds."""
    return middle([1000 * sum(spent.values()) / AT_ONCE for spent in cpu])


def parts(cpu):
    """Who takes how much of it; what takes less than half a millisecond is not told."""
    names = {name for spent in cpu for name in spent}
    told = {name: value(each([{name: spent.get(name, 0)} for spent in cpu])) for name in names}
    return ", ".join(f"{name} {told[name]:.0f}" for name in sorted(told, key=told.get, reverse=True) if told[name] >= 0.5)


def count_right(results):
    return sum(result.get("right", False) for result in results)
