"""Pages through Apache, a new connection for each: requests a second, and how late the latest are."""

from figures import Row, middle, value

OURS = "http://localhost:8080/qemu-web-desktop/"
THEIRS = "http://localhost/qemu-web-desktop/"
THEIR_LIST = "http://localhost/cgi-bin/qemu-web-desktop.pl?machine=monitor&user=bench"
# So much later than a file of the same size may a page be with many clients.
CROWDED = 2
PROMPT = 15


def pages(places, thorough):
    """The first page, and the list of a person's sessions, by wrk."""
    sessions = [places.ours.do("ours.open") for _ in range(2)]
    cookie = places.ours.do("ours.cookie")
    cases = [Case(places, "landing page", OURS, None, THEIRS), Case(places, "list of sessions", OURS + "sessions", cookie, THEIR_LIST)]
    for _ in range(6 if thorough else 3):
        for case in cases:
            for clients in (1, 16):
                case.round(clients, 5 if thorough else 2)
    places.ours.do("ours.stop", *sessions)
    landing, listing = cases
    return [row for clients in (1, 16) for row in [*landing_rows(landing, clients), *list_rows(listing, clients)]]


class Case:
    """One page of ours, a file of its size, the predecessor's page; and all that was measured."""

    def __init__(self, places, name, url, cookie, peer):
        self.places, self.name = places, name
        file, self.size = places.ours.do("load.static", name.split()[0], url, cookie)
        self.ways = {"ours": (places.ours, url, cookie), "limit": (places.ours, file, None), "peer": (places.peer, peer, None)}
        self.measured = {}

    def round(self, clients, seconds):
        for way, (place, url, cookie) in self.ways.items():
            answer = place.do("load.load", url, clients, seconds, cookie)
            for what, amount in answer.items():
                self.measured.setdefault((what, way, clients), []).append(amount)

    def row(self, what, unit, clients):
        figures = {way: middle(self.measured[what, way, clients]) for way in self.ways}
        name = {"rate": self.name, "p99": f"{self.name}, p99"}[what]
        many = "1 client" if clients == 1 else f"{clients} clients"
        return Row(f"{name}, {many}", unit, figures["ours"], figures["limit"], figures["peer"], f"{self.size} bytes")


def landing_rows(case, clients):
    rate, late = case.row("rate", "/s", clients), case.row("p99", "ms", clients)
    rate.remark += ", the peer's is a file"
    return [rate.at_least(value(rate.peer)), prompt(late, clients)]


def list_rows(case, clients):
    rate, late = case.row("rate", "/s", clients), case.row("p99", "ms", clients)
    return [rate.at_least(100 * value(rate.peer)), prompt(late, clients)]


def prompt(late, clients):
    return late.at_most(PROMPT) if clients == 1 else late.at_most(CROWDED * value(late.limit))
