"""Chromium without a window, driven by WebDriver over plain HTTP: enough of it for a page of ours."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium with chromedriver (Debian: apt-get install chromium chromium-driver)"


def programs() -> tuple[str, str] | None:
    """Paths of browser and driver, or None."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """A browser with one page: `with Browser(folder) as b: b.open(path)`; `folder` gets its profile and downloads.

    `more` are further arguments of its command line.
    """

    def __init__(
        self, folder: Path, *, width: int = 1280, height: int = 900, dark: bool = False, more: Sequence[str] = ()
    ):
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy for this machine itself
        actual = programs()
        assert actual is not None, MISSING
        browser, driver = actual
        self._process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        port = (
            next(line for line in self._process.stdout if "success" in line and "on port" in line)
            .split("on port")[1]
            .strip(" .\n")
        )
        self._root = f"http://127.0.0.1:{port}"
        arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--autoplay-policy=no-user-gesture-required",
            f"--window-size={width},{height}",
            f"--user-data-dir={folder / 'profile'}",
            *(["--force-dark-mode"] if dark else []),
            *more,
        ]
        options = {
            "binary": browser,
            "args": arguments,
            "prefs": {"download.default_directory": str(folder), "download.prompt_for_download": False},
        }
        expected = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        try:
            session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": expected}})
        except BaseException:
            self._process.kill()
            raise
        self._root += f"/session/{session['sessionId']}"

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._call("DELETE", "", None)
        finally:
            self._process.terminate()
            self._process.wait(10)

    def _call(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with self._opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, page: Path | str) -> None:
        """Opens a file or an address."""
        self._call("POST", "/url", {"url": page.absolute().as_uri() if isinstance(page, Path) else page})

    def reload(self) -> None:
        self._call("POST", "/refresh", {})

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs the body of a function with `arguments` and gives what it returns, a promise's value too."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, condition: str, *arguments: Any, seconds: float = 20.0) -> None:
        """Waits for a JavaScript expression to be true."""
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})", *arguments):
            assert time.monotonic() < end, f"{condition} did not come true; the page says: {self.text()}"
            time.sleep(0.02)

    def text(self) -> str:
        return self.run("return document.body.innerText")

    def click(self, selector: str) -> None:
        """A click of the mouse on the one element that is meant."""
        self._call("POST", f"/element/{self._actual(selector)}/click", {})

    def choose(self, selector: str, path: Path) -> None:
        """Gives a file, or a folder, to an input that asks for one."""
        self._call("POST", f"/element/{self._actual(selector)}/value", {"text": str(path)})

    def _actual(self, selector: str) -> str:
        actual = self._call("POST", "/element", {"using": "css selector", "value": selector})
        return next(iter(actual.values()))

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Gives the page another size in CSS pixels; a phone also has touch."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        body = {"cmd": "Emulation.setDeviceMetricsOverride", "params": size}
        self._call("POST", "/goog/cdp/execute", body)

    def dark(self, on: bool = True) -> None:
        """Tells the page that its user prefers dark colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self._call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}})

    def labels(self, selector: str) -> list[str]:
        """The accessible names of elements, as a screen reader says them."""
        elements = self._call("POST", "/elements", {"using": "css selector", "value": selector})
        return [self._call("GET", f"/element/{next(iter(e.values()))}/computedlabel", None) for e in elements]

    def press(self, *keys: str) -> None:
        """Keys one after the other, to whatever has the focus."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def log(self, kind: str = "browser") -> list[dict[str, Any]]:
        """What was logged since the last call: "browser" for errors of the page, "performance" for the network."""
        return self._call("POST", "/se/log", {"type": kind})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot", None)))
