"""Debian's chromium, headless, and what tests ask of a page that is open in it.

Running this module (`python -m tests.support.browser`) installs chromium where that needs no
person: on Debian, as root.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.provision import UnavailableError, main_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Nothing leaves this computer, whatever a page or the browser itself asks for.
    *("--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)
PATIENCE = 120_000
"""Longest time (milliseconds) that a page may take for one thing."""
OUTSIDE = ("http", "https", "ws", "wss", "ftp")

PROBLEMS_OF_LAYOUT = """() => {
  const found = [], near = 1.5;
  const name = (it) => `<${it.tagName.toLowerCase()} class="${it.getAttribute("class") || ""}"> `
    + JSON.stringify((it.textContent || "").trim().slice(0, 40));
  const box = (it) => it.getBoundingClientRect();
  const scrolls = (it) => ["auto", "scroll"].includes(getComputedStyle(it).overflowX);
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth)
    found.push(`the page is ${root.scrollWidth} px wide in a window of ${innerWidth} px`);
  for (const it of document.body.querySelectorAll("*")) {
    const {left, right, width, height} = box(it), style = getComputedStyle(it);
    // What is far off on purpose is shown when the keyboard comes to it.
    if (!width || !height || right < 0 || (it.closest("svg") && it.tagName !== "svg")) continue;
    let around = it.parentElement;
    while (around && !scrolls(around)) around = around.parentElement;
    if (!around && (right > innerWidth + near || left < -near))
      found.push(`${name(it)} lies outside the window: ${left} to ${right}`);
    if (!it.childElementCount && /^[\\p{L}\\d.,:+−]+$/u.test(it.textContent.trim())) {
      const range = document.createRange();
      range.selectNodeContents(it);
      const lines = new Set([...range.getClientRects()].map((line) => Math.round(line.top)));
      if (lines.size > 1) found.push(`${name(it)} is broken over ${lines.size} lines`);
    }
    if (["hidden", "clip"].includes(style.overflowX) && it.tagName !== "svg"
        && it.clientWidth > 1 && it.scrollWidth > it.clientWidth + near)
      found.push(`${name(it)} is cut: ${it.scrollWidth} px in ${it.clientWidth} px`);
  }
  for (const svg of document.querySelectorAll("svg")) {
    const frame = box(svg), texts = [];
    if (!frame.width) continue;
    const clips = getComputedStyle(svg).overflowX !== "visible";
    const drawn = "path, rect, circle, ellipse, line, polygon, polyline, text, use";
    for (const it of svg.querySelectorAll(drawn)) {
      const {left, right, top, bottom, width, height} = box(it);
      if (it.closest("defs, clipPath, pattern, symbol, marker, [clip-path]")) continue;
      if (!width && !height) continue;
      const isText = it.tagName === "text";
      // A text's box has room for accents; what runs on to the next day may be cut at the edge.
      const above = isText ? height / 4 : near;
      const runsOn = clips && !isText && width > 16;
      const beyond = runsOn ? 0 : Math.max(frame.left - left, right - frame.right);
      if (Math.max(beyond, frame.top - top - above + near, bottom - frame.bottom) > near)
        found.push(`${name(it)} leaves its picture: ${[left, right, top, bottom].map(Math.round)}`
          + ` in ${[frame.left, frame.right, frame.top, frame.bottom].map(Math.round)}`);
      if (!isText || !it.textContent.trim()) continue;
      if (height < 7) found.push(`${name(it)} is too small to be read: ${height} px`);
      for (const other of texts) {
        const its = box(other);
        const across = Math.min(right, its.right) - Math.max(left, its.left);
        const along = Math.min(bottom, its.bottom) - Math.max(top, its.top);
        if (across > 2 && along > height / 3) found.push(`${name(it)} covers ${name(other)}`);
      }
      texts.push(it);
    }
  }
  return [...new Set(found)];
}"""
"""Returns in words what lies outside the window or its picture, is cut, broken or covered."""


def chromium() -> str:
    """Return the path of the browser.

    Raises:
        UnavailableError: there is none, or nothing to drive it with.
    """
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise UnavailableError("The tests of pages need a browser: install Debian's chromium.")
    if find_spec("playwright") is None:
        raise UnavailableError(
            "The tests of pages need Playwright for Python: pip install -e '.[test]'."
        )
    return path


@contextmanager
def browser() -> Iterator[Browser]:
    """Run the browser beside the block, with a new and empty profile.

    Raises:
        UnavailableError: there is none here.
    """
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        try:
            yield started
        finally:
            started.close()


class Watched:
    """A page that is open in a window of its own, and what it asked for and complained about."""

    def __init__(
        self, browser: Browser, url: str, *, width: int = 1400, dark: bool = False
    ) -> None:
        self.complaints: list[str] = []
        """Errors and warnings of the console, and errors of scripts."""
        self.requests: list[str] = []
        """The addresses that were asked for."""
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def on_paper(self, width: int) -> None:
        """Show the page as it is printed."""
        self.page.emulate_media(media="print")
        self.page.set_viewport_size({"width": width, "height": 900})

    @property
    def layout_problems(self) -> list[str]:
        """What lies outside the window or its picture, is cut, or is too small to be read."""
        found: list[str] = self.page.evaluate(PROBLEMS_OF_LAYOUT)
        return found

    def violations(self) -> list[str]:
        """Return each rule of accessibility that the page breaks, with the first places."""
        script = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
        self.page.evaluate(script)
        found: dict[str, Any] = self.page.evaluate(
            "() => axe.run(document, {resultTypes: ['violations']})"
        )
        return [
            f"{rule['id']}: {rule['help']} {[node['html'][:160] for node in rule['nodes'][:3]]}"
            for rule in found["violations"]
        ]


def asked_of_the_network(page: Path) -> list[str]:
    """Open a file in a browser of its own; return each address on a network that it asked for.

    Read from the browser's log of the network, without what the browser asked for by itself.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder, "network.json")
        own = [f"--user-data-dir={folder}/profile", f"--log-net-log={log}", "--dump-dom"]
        subprocess.run(
            [chromium(), *OPTIONS, *own, page.as_uri()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=PATIENCE / 1000 * 3,
        )
        asked = json.loads(log.read_text("utf-8"))
    starts = asked["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    requests = [event.get("params", {}) for event in asked["events"] if event["type"] == starts]
    return [
        request["url"]
        for request in requests
        if "file:" in request.get("network_isolation_key", "")
        and urlsplit(request["url"]).scheme in OUTSIDE
    ]


def main() -> int:
    """Have a browser for the tests of pages, or say in one line why not; return the exit code."""
    return main_of("a browser for the tests of pages", chromium, "chromium")


if __name__ == "__main__":
    sys.exit(main())
