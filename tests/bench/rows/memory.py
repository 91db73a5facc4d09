"""Memory of what runs besides the virtual machines."""

from figures import Row, slope

# What works for a session without being of the package.
HELPERS = ("apache2", "systemd", "dbus", "socat")
# The predecessor's pages are made within Apache.
PEER = ("apache2", "websockify", "sh")


def memory(places, thorough):
    """What our programs take while nothing goes on, and what sessions and viewers add."""
    count = 16 if thorough else 8
    idle, sessions, viewers = grow(places.ours, "ours", count)
    places.peer.do("peer.fresh")
    places.peer.do("peer.delay", 0)
    # Their first session starts what all later ones share, and their first viewer too.
    peer_idle, peer_sessions, peer_viewers = grow(places.peer, "peer", count // 2)
    own = [name for name in idle if name not in HELPERS]
    return [
        Row("memory, everything idle", "MB", total(idle, own) / 1000, peer=total(peer_sessions[0], PEER) / 1000,
            remark=f"{parts(idle, own)}; peer: after its first session, before it {total(peer_idle, PEER) / 1000:.1f}, "
                   f"Apache included (ours with it {total(idle, [*own, 'apache2']) / 1000:.1f})").at_most(25),
        Row("memory, each session", "kB", adds(sessions, own), peer=adds(peer_sessions, PEER),
            remark=f"{adds(sessions, [*own, 'systemd', 'dbus']):.0f} kB with systemd and D-Bus").at_most(50),
        Row("memory, each viewer", "kB", adds(viewers, own), peer=adds(peer_viewers, PEER),
            remark=f"{adds(viewers, [*own, 'apache2']):.0f} kB with Apache").at_most(200),
    ]


def grow(place, name, count):
    """The figures idle, after each of so many sessions, and after a viewer on each."""
    idle = place.do("processes.memory")
    sessions, opened, viewed = [], [], []
    for _ in range(count):
        opened.append(place.do(f"{name}.open"))
        sessions.append(place.do("processes.memory"))
    for session in opened:
        place.do(f"{name}.view", session)
        viewed.append(place.do("processes.memory"))
    place.do(f"{name}.leave")
    place.do(f"{name}.stop", *opened)
    return idle, sessions, viewed


def total(figures, names):
    return sum(figures.get(name, 0) for name in names)


def adds(series, names):
    return slope([total(point, names) for point in series])


def parts(figures, names):
    return ", ".join(f"{name.removeprefix('qwd-')} {figures[name] / 1000:.1f}" for name in sorted(names))
