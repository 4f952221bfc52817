"""A headless Chromium that opens pages for tests: WebDriver's protocol over HTTP, as `chromedriver` speaks it."""

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

__all__ = ["Browser", "missing_programs", "opened"]

_PROGRAMS = ("chromium", "chromedriver")
_OPEN = build_opener(ProxyHandler({})).open


def missing_programs() -> list[str]:
    """The programs that are not on the path."""
    return [name for name in _PROGRAMS if shutil.which(name) is None]


class Browser:
    """One session: a page, its console, what it asked the network for, scripts in it, the mouse, and pictures."""

    def __init__(self, address: str, capabilities: dict[str, Any]) -> None:
        self._address = address
        session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._address = f"{address}/session/{session['sessionId']}"

    def open(self, file: Path) -> None:
        """Open a file and wait until its page is drawn."""
        self._ask("POST", "/url", {"url": file.resolve().as_uri()})
        self.wait("return document.documentElement.dataset.drawn === 'yes'")

    def run(self, script: str) -> Any:
        """Return what a script returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def wait(self, script: str, seconds: float = 30.0) -> Any:
        """Wait until a script returns something true, and return that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(script):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    def point(self, x: float, y: float) -> None:
        """Move the mouse to a place of the window, in two steps, as a hand does."""
        moves = [{"type": "pointerMove", "duration": 20, "x": round(x + d), "y": round(y + d)} for d in (-3, 0)]
        pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": moves}
        self._ask("POST", "/actions", {"actions": [pointer]})

    def prefer(self, name: str) -> None:
        """Let the system of the browser ask for light or dark."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self._devtools("Emulation.setEmulatedMedia", features=features)

    def complaints(self) -> list[str]:
        """What the console has of warnings and errors since the last call."""
        entries = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since the last call, but for those of the browser's own pages."""
        entries = self._ask("POST", "/se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in sent if not url.startswith(("data:", "blob:", "chrome"))]

    def picture(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def pdf(self) -> bytes:
        """The page as it prints."""
        return base64.b64decode(self._ask("POST", "/print", {"orientation": "landscape"}))

    def close(self) -> None:
        """End the session."""
        self._ask("DELETE", "")

    def _devtools(self, command: str, **params: Any) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = Request(self._address + path, content, {"Content-Type": "application/json"}, method=method)
        with _OPEN(request, timeout=120) as answer:
            return json.load(answer)["value"]


@contextmanager
def opened(folder: Path) -> Iterator[Browser]:
    """Start a browser that keeps its profile in a folder, and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["chromedriver", f"--port={port}", f"--log-path={folder / 'driver.log'}"]
    arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1300,1500",
    ]
    options = {"args": [*arguments, f"--user-data-dir={folder / 'profile'}"], "binary": shutil.which("chromium")}
    logs = {"browser": "ALL", "performance": "ALL"}
    capabilities = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        try:
            browser = _connected(f"http://127.0.0.1:{port}", capabilities)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            driver.terminate()


def _connected(address: str, capabilities: dict[str, Any]) -> Browser:
    for _ in range(200):
        try:
            _OPEN(f"{address}/status", timeout=5).close()
            break
        except URLError:
            time.sleep(0.05)
    return Browser(address, capabilities)
