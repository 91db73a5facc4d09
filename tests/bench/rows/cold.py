"""A screen's page in a browser that has none of it yet."""

from browser import Browser
from figures import Row, middle

# Everything that was fetched, when the last of it was there, and how much it was.
FETCHED = """
const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
return {files: all.length, bytes: all.reduce((sum, e) => sum + e.encodedBodySize, 0), ms: Math.max(...all.map(e => e.responseEnd))};
"""
CONNECTED = "return document.documentElement.dataset.state == 'connected' || document.documentElement.classList.contains('noVNC_connected')"


def cold(places, thorough):
    """A screen's page with all its files, in a browser whose cache is empty."""
    ours, peer = places.ours, places.peer
    peer.do("peer.delay", 0)
    session, other = ours.do("ours.open"), peer.do("peer.open")
    origin = f"http://localhost:{ours.bed.forward()}"
    screens = f"http://localhost:{peer.bed.forward(6080)}"
    pages = {
        "ours": f"{origin}/qemu-web-desktop/sessions/{session}/screen",
        "peer": f"{screens}/vnc.html?resize=scale&autoconnect=true&path=?token={other['token']}",
    }
    told = {name: [] for name in pages}
    with Browser() as browser:
        browser.open(f"{origin}/qemu-web-desktop/")
        name, cookie = ours.do("ours.cookie").split("=", 1)
        for _ in range(20 if thorough else 6):
            for who, page in pages.items():
                browser.fresh()
                browser.open(f"{origin}/qemu-web-desktop/")
                browser.set_cookie(name, cookie)
                browser.cdp("Network.clearBrowserCache")
                browser.open(page)
                browser.wait(lambda: browser.script(CONNECTED), 60, "a screen")
                told[who].append(browser.script(FETCHED))
    ours.do("ours.stop", session)
    peer.do("peer.stop", other)
    series = lambda who, what: middle([each[what] for each in told[who]])
    size = lambda who: f"{told[who][-1]['files']} files, {told[who][-1]['bytes'] / 1000:.0f} kB"
    return [Row("screen's page complete in a cold browser", "ms", series("ours", "ms"), peer=series("peer", "ms"),
                remark=f"{size('ours')}; peer {size('peer')}").at_most(250)]
