"""A small WebDriver client for chromium-driver: what the tests need of a real browser, and no more."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

# Quiet, alone, and able to run as root in a container.
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--disable-dev-shm-usage",
    "--disable-default-apps", "--window-size=1280,900",
]

KEYS = {"enter": "\ue007", "tab": "\ue004", "escape": "\ue00c", "backspace": "\ue003", "up": "\ue013", "down": "\ue015"}


class WebDriverError(Exception):
    """What the driver answered, with its own short name in `kind`."""

    def __init__(self, kind, message):
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Element:
    """Something on the page."""

    def __init__(self, browser, reference):
        self.browser = browser
        self.reference = {ELEMENT: reference}
        self.path = f"/element/{reference}"

    def click(self):
        self.browser.call("POST", f"{self.path}/click", {})

    def clear(self):
        self.browser.call("POST", f"{self.path}/clear", {})

    def type(self, text):
        self.browser.call("POST", f"{self.path}/value", {"text": text})

    def attribute(self, name):
        return self.browser.call("GET", f"{self.path}/attribute/{name}")

    def prop(self, name):
        return self.browser.call("GET", f"{self.path}/property/{name}")

    @property
    def text(self):
        return self.browser.call("GET", f"{self.path}/text")

    @property
    def displayed(self):
        return self.browser.call("GET", f"{self.path}/displayed")

    @property
    def enabled(self):
        return self.browser.call("GET", f"{self.path}/enabled")

    def find(self, css):
        return Element(self.browser, self.browser.call("POST", f"{self.path}/element", by_css(css))[ELEMENT])

    def select(self, value):
        """Picks an option of a <select> by its value."""
        self.find(f'option[value="{value}"]').click()


def by_css(css):
    return {"using": "css selector", "value": css}


class Browser:
    """A browser window. Use as a context manager."""

    def __init__(self, accept_insecure_certs=False, arguments=()):
        self.profile = tempfile.mkdtemp(prefix="qwd-browser-")
        driver = shutil.which("chromedriver") or shutil.which("chromium-driver")
        assert driver, "chromium-driver is not installed: run 'make deps' as root"
        self.log = open(Path(self.profile) / "driver.log", "w+b")
        self.driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=self.log)
        try:
            self.base = f"http://127.0.0.1:{self.port()}"
            options = {"args": [*ARGUMENTS, f"--user-data-dir={self.profile}/data", *arguments]}
            capabilities = {
                "acceptInsecureCerts": accept_insecure_certs,
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            made = self.request("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
            self.session = f"/session/{made['sessionId']}"
        except BaseException:
            self.close()
            raise

    def port(self):
        """The driver says where it listens once it does."""
        for line in self.driver.stdout:
            found = re.search(rb"started successfully on port (\d+)", line)
            if found:
                return int(found[1])
        raise WebDriverError("no driver", "chromium-driver ended before it listened")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if hasattr(self, "session"):
            try:
                self.call("DELETE", "")
            except (WebDriverError, OSError):
                pass
        self.driver.terminate()
        self.driver.wait(30)
        self.driver.stdout.close()
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    # The protocol

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        # No proxy of the environment: the driver is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as refused:
            value = json.load(refused)["value"]
            raise WebDriverError(value["error"], value["message"]) from None

    def call(self, method, path, body=None):
        return self.request(method, self.session + path, body)

    # Pages

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def refresh(self):
        self.call("POST", "/refresh", {})

    @property
    def url(self):
        return self.call("GET", "/url")

    @property
    def title(self):
        return self.call("GET", "/title")

    @property
    def source(self):
        return self.call("GET", "/source")

    def find(self, css):
        return Element(self, self.call("POST", "/element", by_css(css))[ELEMENT])

    def find_all(self, css):
        return [Element(self, e[ELEMENT]) for e in self.call("POST", "/elements", by_css(css))]

    def click(self, css):
        self.find(css).click()

    def type(self, css, text):
        """Replaces what is in a field."""
        field = self.find(css)
        field.clear()
        field.type(text)

    def text(self, css="body"):
        return self.find(css).text

    def wait(self, look, seconds=30, what=None):
        """Waits until `look` gives something true, and gives that; what is not there yet is no error."""
        end = time.monotonic() + seconds
        last = None
        while True:
            try:
                found = look()
                if found:
                    return found
            except WebDriverError as error:
                # The last words are what the driver says of a page that is just being replaced.
                passing = error.kind in ("no such element", "stale element reference", "javascript error")
                if not passing and "does not belong to the document" not in str(error):
                    raise
                last = error
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {what or look}; at {self.url}; {last or ''}")
            time.sleep(0.05)

    def wait_for(self, css, seconds=30):
        """Waits for an element that can be seen."""
        def look():
            element = self.find(css)
            return element if element.displayed else None
        return self.wait(look, seconds, css)

    def shown_session(self):
        """Waits for a session's page, which renews itself; whose it is."""
        return self.wait(lambda: self.find("#session").attribute("data-session"), what="a session's page")

    def wait_state(self, state, seconds=60):
        """Waits until the screen's page says that it is in this state."""
        return self.wait(lambda: self.script("return document.documentElement.dataset.state") == state, seconds,
                         f"state {state}")

    @contextmanager
    def losing_screen(self):
        """The screen's page loses its connection in this block or soon after, however soon it has one again."""
        self.script("""
            const page = document.documentElement;
            window.lost = false;
            new MutationObserver(() => { window.lost ||= page.dataset.state !== 'connected'; })
                .observe(page, { attributeFilter: ['data-state'] });
        """)
        yield
        self.wait(lambda: self.script("return window.lost"), what="the loss")

    # Below the page

    def script(self, text, *arguments):
        return self.call("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def async_script(self, text, *arguments):
        """The script's last argument is the function to be called with the result."""
        return self.call("POST", "/execute/async", {"script": text, "args": list(arguments)})

    def keys(self, text):
        """Types into whatever has the focus, key by key."""
        actions = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def press(self, name):
        self.keys([KEYS[name]])

    def screenshot(self, path=None):
        """The window as PNG; also written to a file if one is named."""
        image = base64.b64decode(self.call("GET", "/screenshot"))
        if path:
            Path(path).write_bytes(image)
        return image

    def resize(self, width, height):
        self.call("POST", "/window/rect", {"width": width, "height": height})

    def console(self):
        """What the console said since the last time: errors and what the policy of the page refused."""
        return self.call("POST", "/se/log", {"type": "browser"})

    @property
    def cookies(self):
        return self.call("GET", "/cookie")

    def set_cookie(self, name, value, **more):
        self.call("POST", "/cookie", {"cookie": {"name": name, "value": value, **more}})

    def delete_cookies(self):
        self.call("DELETE", "/cookie")

    # Windows

    def windows(self):
        return self.call("GET", "/window/handles")

    def new_window(self):
        """Opens a window, goes there, and gives its handle."""
        handle = self.call("POST", "/window/new", {"type": "tab"})["handle"]
        self.switch(handle)
        return handle

    def switch(self, handle):
        self.call("POST", "/window", {"handle": handle})

    def close_window(self):
        self.call("DELETE", "/window")

    def cdp(self, command, **parameters):
        """A command of Chromium's own protocol."""
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def fresh(self):
        """One empty window of the usual size, no cookies, nothing stored."""
        first, *others = self.windows()
        for handle in others:
            self.switch(handle)
            self.close_window()
        self.switch(first)
        self.open("about:blank")
        self.cdp("Network.clearBrowserCookies")
        self.cdp("Network.clearBrowserCache")
        self.resize(1280, 900)
        self.console()
