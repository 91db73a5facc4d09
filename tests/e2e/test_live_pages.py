"""The pages beside the screen's follow what happens, and say so when they cannot."""

import pytest

from browser import Browser
from conftest import SETTINGS
from test_sharing import shot, sign_in


@pytest.fixture
def owned(bed, alice):
    """Sessions of Alice's that run, in the order of their start."""
    made = [alice.create()[1]["id"] for _ in range(2)]
    yield made
    bed.ctl("stop", *(s["id"] for s in alice.call("GET", "sessions")[1]["sessions"]), check=False)


def badges(browser):
    """What each tile says of its session."""
    return browser.script("""return Object.fromEntries([...document.querySelectorAll('.tile')]
        .map((tile) => [tile.id.slice(5), tile.querySelector('.badge').textContent]))""")


def requests(browser):
    """How often the page has asked for the list."""
    return browser.script("return performance.getEntriesByType('resource').filter((e) => e.name.includes('?wait=')).length")


@pytest.mark.parametrize("path", ["sessions", ""])
def test_a_list_of_sessions_follows_without_flicker(bed, alice, owned, browser, path):
    first, second = owned
    sign_in(browser, bed, alice, path)
    browser.wait(lambda: list(badges(browser).values()) == ["Running", "Running"], what="both running")
    # The pictures tell them apart, as do the numbers and the start.
    browser.wait(lambda: all(i.prop("naturalWidth") for i in browser.find_all("img.shot")), what="pictures")
    shot(browser, f"list-{path or 'home'}")
    browser.click(f"#stop-{first} summary")
    browser.script("window.kept = [...document.querySelectorAll(`#tile-${arguments[0]} *`)]", first)
    made = alice.create()[1]["id"]
    browser.wait(lambda: badges(browser).get(made) == "Running", what="the new session")
    assert browser.script("return document.getElementById('changes').textContent").startswith("A menu: Running")
    bed.ctl("stop", "--kill", second)
    ended = {"sessions": "Ended", "": None}[path]
    browser.wait(lambda: badges(browser).get(second) == ended, what="the end of the second")
    # What had nothing to do with it is as it was: the same nodes, the confirmation open.
    assert browser.script("return kept.filter((node) => !node.isConnected).length") == 0
    assert browser.find(f"#stop-{first}").prop("open")
    shot(browser, f"list-{path or 'home'}-confirmation")
    browser.click(f"#stop-{first} a.cancel")
    assert not browser.find(f"#stop-{first}").prop("open") and browser.url == bed.url + path
    assert "left" in browser.text(f"#tile-{first} .facts") and "over left" not in browser.text()
    # A session that has just started may have no picture yet, and a style sheet has no icon.
    expected = ("/picture", "/favicon.ico")
    assert [line for line in browser.console() if not any(part in line["message"] for part in expected)] == []


def test_a_form_that_was_closed_by_a_limit_opens_when_there_is_room(bed, alice, browser, settings):
    settings(SETTINGS.replace("nb_per_user = 40", "nb_per_user = 1", 1))
    made = alice.create()[1]["id"]
    try:
        sign_in(browser, bed, alice)
        assert browser.find("#start").prop("tagName") == "SECTION"
        bed.ctl("stop", "--kill", made)
        browser.wait_for("form#start button.primary")
        # Its script works, too.
        assert browser.script("return document.getElementById('cpus').selectedOptions[0].textContent") == "1 (usual)"
    finally:
        bed.ctl("stop", "--kill", made, check=False)


def test_a_hidden_page_asks_for_nothing_and_many_pages_do_not_poll(bed, alice, owned, browser):
    sign_in(browser, bed, alice, "sessions")
    browser.wait(lambda: requests(browser) >= 1, what="the first question")
    page = browser.call("GET", "/window")
    browser.new_window()
    browser.open("about:blank")
    bed.ctl("stop", "--kill", owned[0])
    bed.wait(f"qwdctl show {owned[0]} --json | grep -q ended")
    browser.switch(page)
    browser.wait(lambda: badges(browser).get(owned[0]) == "Ended", what="the page to be up to date again")
    # The server held each question back: each answer was news, or ten seconds old.
    assert requests(browser) <= 6


def test_a_page_says_that_the_server_does_not_answer_and_recovers(bed, alice, owned, browser):
    with Browser() as other:
        sign_in(browser, bed, alice, "sessions")
        sign_in(other, bed, alice, f"sessions/{owned[0]}")
        other.wait(lambda: other.text("#session .badge") == "Running", what="a running session")
        bed.run("systemctl", "stop", "qwd-portal.socket", "qwd-portal.service")
        try:
            for page, name in ((browser, "list"), (other, "session")):
                page.wait(lambda: "does not answer" in page.text("#freshness"), 40, "the notice")
                shot(page, f"stale-{name}")
            other.resize(390, 844)
            shot(other, "stale-phone")
            other.new_window()
            other.open(bed.url)
            assert other.title.startswith("Service unavailable") and other.script(
                "return getComputedStyle(document.querySelector('.panel')).borderRadius") == "10px"
            shot(other, "unavailable")
        finally:
            bed.run("systemctl", "start", "qwd-portal.socket")
        browser.wait(lambda: not browser.find("#freshness").displayed, 40, "that it answers again")
        assert badges(browser)[owned[0]] == "Running"


def test_a_stop_by_somebody_else_shows_at_once_on_the_sessions_page(bed, alice, owned, browser):
    sign_in(browser, bed, alice, f"sessions/{owned[0]}")
    browser.wait(lambda: browser.text("#session .badge") == "Running", what="a running session")
    # Stopped, the guest has a second: the state between is seen or has passed.
    bed.ctl("stop", owned[0], check=False)
    browser.wait(lambda: browser.find("#session").attribute("data-state") in ("stopping", "ended"), 10, "the stop")
    browser.wait(lambda: browser.find("#session").attribute("data-state") == "ended", what="the end")
    assert "network" not in browser.text("#session .figures")
    assert not browser.find_all("#session .notice:not([hidden])")


def test_what_was_done_or_refused_has_the_focus_and_is_said(bed, alice, owned, browser):
    sign_in(browser, bed, alice, f"sessions/{owned[0]}")
    browser.click("#more button")
    browser.wait_for("#done")
    assert "was extended. It now ends" in browser.text("#done") and "left" in browser.text("#done")
    focused = "return document.activeElement.id"
    assert browser.script(focused) == "done" and "extended=" not in browser.url
    shot(browser, "extended")
    browser.resize(390, 844)
    shot(browser, "extended-phone")
    browser.resize(1280, 900)
    # The server reports everything that is missing at once; the browser's own check would report one field.
    browser.open(bed.url)
    browser.script("for (const o of document.forms.start.elements) o.checked = false")
    browser.script("document.getElementById('cpus').selectedOptions[0].value = 'many'")
    browser.click("#start button.primary")
    browser.wait_for("#errors")
    assert browser.title.startswith("Error:") and browser.script(focused) == "errors"
    assert [a.attribute("href") for a in browser.find_all("#errors a")] == ["#machine", "#cpus", "#terms"]
    shot(browser, "errors")
    box, words = browser.script("""return ['#terms', '#terms + span'].map((css) => {
        const { top, bottom, left } = document.querySelector(css).getBoundingClientRect();
        return { middle: (top + bottom) / 2, left };
    })""")
    assert abs(box["middle"] - words["middle"]) < 3 and box["left"] < words["left"]
    browser.resize(390, 844)
    assert browser.script("return document.documentElement.scrollWidth") <= 390
    shot(browser, "errors-phone")


def test_what_is_searched_for_is_what_starts(bed, browser):
    from conftest import MACHINES
    from test_catalogue import FILE, GRUB, IMAGES
    many = [f"course-{n:02}.iso" for n in range(13)]
    bed.run(" && ".join(f"ln -sf {GRUB} {IMAGES}/{name}" for name in many))
    bed.write(FILE, MACHINES + "".join(f"[{name}]\ndescription=Course number {name[7:9]}\n" for name in many))
    try:
        browser.open(bed.url)
        chosen = "return [...document.querySelectorAll('input[name=machine]:checked')].map((r) => r.value)"
        assert browser.script(chosen) == ["menu.iso"]
        browser.type("input.search", "number 07")
        assert browser.script(chosen) == ["course-07.iso"]
        assert [c.text.split("\n")[0] for c in browser.find_all("label.machine") if c.displayed] == ["Course number 07"]
        browser.type("input.search", "zzz")
        assert browser.script(chosen) == [] and not browser.find("#start button.primary").enabled
        assert browser.text("#none-found") == "No matches."
        shot(browser, "search-none")
        # What was picked is chosen again once it can be seen.
        browser.type("input.search", "menu")
        assert browser.script(chosen) == ["menu.iso"] and browser.find("#start button.primary").enabled
    finally:
        bed.write(FILE, MACHINES)
        bed.run(f"rm -f {IMAGES}/course-*.iso")
