"""Sessions by the hundred, their QEMU a stand-in that only opens its sockets."""

from figures import Row, late, late_name, middle, value

FEW = 10


def many(places, thorough):
    """What a crowd of sessions does to the next start, to lists, to the reaper and to memory."""
    count, runs = (500, 100) if thorough else (100, 30)
    ours = places.ours
    with ours.stand_in():
        at = {size: crowd(ours, size, runs) for size in (FEW, count)}
        ours.do("ours.disperse")
    places.peer.do("peer.delay", 0)
    theirs = places.peer.do("peer.fill", count, 300 if thorough else 30)
    listed = [places.peer.do("peer.listing") for _ in range(3)]
    places.peer.do("peer.disperse")
    few, crowded = at[FEW], at[count]
    name, reached = f"{count} sessions: ", f"peer: with the {len(theirs)} it got to in the time it was given"
    return [
        Row(f"{name}create to greeting, {late_name(crowded['start'])}", "ms", late(crowded["start"]), late(few["start"]),
            late(theirs), f"limit: ours with {FEW}; {reached}").at_most(2 * value(late(few["start"]))),
        Row(f"{name}list", "ms", middle(crowded["list"]), middle(few["list"]), middle(listed), reached).at_most(20),
        Row(f"{name}a pass of the reaper", "ms", middle(crowded["sweep"]), middle(few["sweep"])).at_most(100),
        Row(f"{name}launcher's memory", "MB", crowded["memory"], few["memory"]).at_most(20),
    ]


def crowd(place, size, runs):
    """All figures with so many sessions there."""
    place.do("ours.fill", size)
    figures = {"start": [], "list": [place.do("ours.listing") for _ in range(10)],
               "sweep": [place.do("ours.sweep") for _ in range(10)]}
    for _ in range(runs):
        took, session = place.do("ours.start")
        figures["start"].append(took)
        place.do("ours.stop", session)
    figures["memory"] = place.do("processes.memory")["qwd-launcher"] / 1000
    return figures
