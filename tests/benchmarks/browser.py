"""Show a page in a real browser, without a window and without a network.

It uses the browser's own command line, so no driver has to be installed and kept in step with it.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

INSTALL = "no browser found: install Chromium, Chrome or Edge (`apt-get install chromium`, `brew install chromium`)"

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge")
_APPLICATIONS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # root, as whom containers run, may not use it; the page is our own
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers give it 64 MB
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--proxy-server=127.0.0.1:9",  # where nobody listens: the network is cut off
    "--proxy-bypass-list=<-loopback>",
    "--enable-logging=stderr",
    "--window-size=1100,2000",
    "--virtual-time-budget=20000",  # ms that pass at once, and only then the page is read
)
_CONSOLE = re.compile(r"CONSOLE[:(]\d+\)?\] (.*)")


@dataclass(frozen=True)
class Shown:
    """A page after loading: its elements as text, and what was written to the console."""

    elements: str
    console: list[str]


def find() -> str | None:
    """Return the command of an installed browser, or `None`."""
    found = [shutil.which(name) for name in _NAMES] + [shutil.which(path) for path in _APPLICATIONS]
    return next((command for command in found if command), None)


def show(page: Path, profile: Path, *options: str) -> Shown:
    """Show the page in a browser with a new profile in that directory, and with more options of its command line."""
    browser = find()
    assert browser, INSTALL
    command = [browser, *_OPTIONS, *options, f"--user-data-dir={profile}", "--dump-dom", page.resolve().as_uri()]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)  # noqa: S603  # found above
    assert ended.returncode == 0, ended.stderr
    return Shown(ended.stdout, _CONSOLE.findall(ended.stderr))


if __name__ == "__main__":  # for .ci/run, which installs one where there is none
    sys.exit(find() is None)
