"""The way from a viewer to a screen: CPU and bytes, round trips, greetings. The stand-in is at its end."""

from contextlib import contextmanager

from figures import Row, added, middle, value

# Of the stand-in in the predecessor's bed.
PORT = 7000
SIZES = {True: 256, False: 128}


@contextmanager
def wires(places):
    """Both beds ready: a session with the stand-in, a token that leads to one."""
    ours, peer = places.ours, places.peer
    with ours.stand_in():
        session = ours.do("ours.open")
    peer.do("peer.delay", 0)
    # Its proxy is started by its first session.
    first = peer.do("peer.open")
    ours.do("wire.begin", session)
    peer.do("wire.begin", peer.do("peer.point", PORT))
    try:
        yield {"ours": (ours, "service"), "relay": (ours, "relay"), "relays": (ours, "relays"),
               "direct": (ours, "direct"), "peer": (peer, "service"), "peer's direct": (peer, "direct")}
    finally:
        for place in (ours, peer):
            place.do("wire.end")
        peer.do("peer.stop", first)
        ours.do("ours.stop", session)


def gateway(places, thorough):
    """What a screen's bytes cost on their way, down and up, with one viewer and with eight."""
    rows = []
    with wires(places) as ways:
        for up in (False, True):
            for viewers in (1, 8):
                told = {way: [] for way in ("ours", "relay", "relays", "peer")}
                for _ in range(8 if thorough else 3):
                    for way, results in told.items():
                        place, name = ways[way]
                        results.append(place.do("wire.transfer", name, up, viewers, SIZES[thorough] // viewers))
                rows.append(gateway_row("up" if up else "down", viewers, told))
    return rows


def gateway_row(direction, viewers, told):
    cpu = {way: middle([sum(result["cpu"].values()) for result in results]) for way, results in told.items()}
    rate = {way: middle([result["rate"] for result in results]) for way, results in told.items()}
    own = middle([result["cpu"]["qwd-display"] for result in told["ours"]])
    beyond = ", a third of the peer's is less than a relay takes" if value(cpu["peer"]) / 3 < value(cpu["relay"]) else ""
    many = "1 viewer" if viewers == 1 else f"{viewers} viewers"
    return Row(f"CPU of bytes {direction}, {many}", "s/10⁹", cpu["ours"], cpu["relay"], cpu["peer"],
               f"two relays in a row {value(cpu['relays']):.2f}; the display alone {own.value:.2f}; "
               f"MB/s {rate['ours'].value:.0f}, relay {rate['relay'].value:.0f}, "
               f"peer {rate['peer'].value:.0f}{beyond}").at_most(value(cpu["peer"]) / 3, 1.5 * value(cpu["relay"]))


def round_trip(places, thorough):
    """Ten bytes there and ten back, and what the way adds to that."""
    count = 500 if thorough else 200
    with wires(places) as ways:
        times = {way: [] for way in ways}
        for _ in range(10 if thorough else 5):
            for way, (place, name) in ways.items():
                times[way].append(value(middle(place.do("wire.round_trips", name, count))))
    ours, relay, relays = (added(times[way], times["direct"]) for way in ("ours", "relay", "relays"))
    # What differs by more than it is says nothing about twice of it.
    noise = relay.greatest - relay.least > relay.value
    goals = (60,) if noise else (60, 2 * value(relay))
    remark = f"two relays in a row {relays}; direct {middle(times['direct'])} µs" + (", the relay's share is noise" if noise else "")
    return [Row("10 bytes there and back, added", "µs", ours, relay, added(times["peer"], times["peer's direct"]),
                remark).at_most(*goals)]


def connect(places, thorough):
    """From connecting to the greeting, with few sessions and with a thousand."""
    rounds, rows = 8 if thorough else 4, []
    with wires(places) as ways:
        few = greetings(ways, rounds)
        places.peer.do("peer.tokens", 1000)
        places.ours.do("ours.records", 1000)
        many = greetings(ways, rounds)
        places.ours.do("ours.records", 0)
        places.peer.do("peer.tokens", 0)
    for name, times in (("", few), (", 1000 sessions", many)):
        rows.append(Row(f"connect to greeting{name}", "ms", middle(times["ours"]), middle(times["direct"]),
                        middle(times["peer"])).at_most(3))
    return rows


def greetings(ways, rounds):
    times = {way: [] for way in ("ours", "direct", "peer")}
    for _ in range(rounds):
        for way, series in times.items():
            place, name = ways[way]
            series += place.do("wire.greetings", name, 20)
    return times
