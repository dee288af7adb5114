"""Serves the page of a listening test, and collects the results that it sends; see docs/listening.md.

Only index.html and the files of audio/ can be read. manifest.json, which identifies the signals, and the results of the
listeners have no address. Requests have limits of size, time and number, because anyone may send them.
"""

from __future__ import annotations

import contextlib
import http
import re
import shutil
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from codax.errors import CodaxError
from codax.listening.inbox import MOST_BYTES, Inbox
from codax.listening.manifest import Manifest, read_manifest
from codax.storage.files import require_file

RESULTS = "results"  # the address, beside the page, that results are sent to
_PAGE = re.compile(r"/(?:index\.html)?(?:\?[^ ]*)?")
_AUDIO = re.compile(r"/(audio/[0-9a-f]{8}\.js)")
_NOWHERE, _HERE = (f'<meta name="results" content="{address}">'.encode() for address in ("", RESULTS))
_SECONDS = 30.0  # to send a request; also the longest pause of a reader
_MOST_REQUESTS = 64  # at once


class Server(ThreadingHTTPServer):
    """Serves the folder of a test; `serve_forever` answers requests, each in a thread, until `shutdown`.

    Args:
      test: folder that `codax mushra build` wrote.
      out: folder of the results; those in it are kept.
      address: host and port; port 0 = any free one.
      report: called with a line for each stored result, and for each one that could not be stored.

    Raises:
      CodaxError: the folder has no test, a file in `out` is not a result of it, or the address cannot be used.
    """

    daemon_threads = True

    def __init__(
        self, test: Path, out: Path, address: tuple[str, int], report: Callable[[str], None] = lambda line: None
    ) -> None:
        self.manifest: Manifest = read_manifest(test / "manifest.json")
        self.test, self._report = test, report
        require_file(test / "index.html")
        page = (test / "index.html").read_bytes()
        if page.count(_NOWHERE) != 1:
            raise CodaxError(f"{test / 'index.html'}: is not a page that can send results; build the test again")
        self.page = page.replace(_NOWHERE, _HERE)
        self.inbox = Inbox(out, self.manifest)
        self._free = threading.BoundedSemaphore(_MOST_REQUESTS)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        try:
            super().__init__(address, _Handler)
        except (OSError, OverflowError, TypeError, UnicodeError) as error:  # the latter: names that no host has
            reason = getattr(error, "strerror", None) or error
            raise CodaxError(f"{address[0]}:{address[1]}: cannot be served ({reason})") from error

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://[{host}]:{port}/" if ":" in str(host) else f"http://{host}:{port}/"

    def report(self, line: str) -> None:
        with contextlib.suppress(OSError):  # results are stored although nobody reads the lines any more
            self._report(line)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def server_close(self) -> None:
        super().server_close()
        if hasattr(self, "inbox"):
            self.inbox.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away


class _Handler(BaseHTTPRequestHandler):
    """Answers one request: a page, an audio file, or a result to store."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version, sys_version = "codax", ""
    error_message_format, error_content_type = "%(message)s\n", "text/plain; charset=utf-8"
    timeout = _SECONDS

    def handle(self) -> None:
        # A client that sends a byte now and then would hold its thread for ever.
        self._alarm = threading.Timer(_SECONDS, self._hang_up)
        self._alarm.daemon = True
        self._alarm.start()
        try:
            super().handle()
        finally:
            self._alarm.cancel()

    def _hang_up(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RD)
        except OSError:
            pass

    def do_GET(self) -> None:
        self._alarm.cancel()
        if _PAGE.fullmatch(self.path):
            self._answer(http.HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
            return
        match = _AUDIO.fullmatch(self.path)
        path = self.server.test / match[1] if match else None
        if path is None or not path.is_file():
            self._say(http.HTTPStatus.NOT_FOUND, "no such file")
            return
        with path.open("rb") as file:
            self._head(http.HTTPStatus.OK, path.stat().st_size, "text/javascript")
            shutil.copyfileobj(file, self.wfile)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != f"/{RESULTS}":
            self._say(http.HTTPStatus.NOT_FOUND, "no such address")
        elif self.headers.get_content_type() != "application/json":  # other pages may not send this type unasked
            self._say(http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "results are application/json")
        elif not re.fullmatch("[0-9]{1,12}", length):
            self._say(http.HTTPStatus.LENGTH_REQUIRED, "the request lacks its length")
        elif int(length) > MOST_BYTES:
            self._say(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"longer than {MOST_BYTES} bytes")
        else:
            data = self.rfile.read(int(length))
            self._alarm.cancel()
            self._store(data)

    def _store(self, data: bytes) -> None:
        try:
            session = self.server.inbox.add(data)
        except CodaxError as error:
            self._say(http.HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:
            self.server.report(f"a result cannot be stored ({error.strerror or error})")
            self._say(http.HTTPStatus.INSUFFICIENT_STORAGE, "the result cannot be stored")
        else:
            trials = len(session.answers) or len(session.scores())
            self.server.report(f"listener {session.listener}: {trials} of {len(self.server.manifest.items)} trials")
            self._say(http.HTTPStatus.OK, "stored")

    def _say(self, status: http.HTTPStatus, line: str) -> None:
        self._answer(status, f"{line}\n".encode(), "text/plain; charset=utf-8")

    def _answer(self, status: http.HTTPStatus, body: bytes, kind: str) -> None:
        self._head(status, len(body), kind)
        for start in range(0, len(body), 1 << 16):  # the time limit is one for each piece
            self.wfile.write(body[start : start + (1 << 16)])

    def _head(self, status: http.HTTPStatus, length: int, kind: str) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(length), "Cache-Control": "no-store"}
        for name, value in (headers | {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass
