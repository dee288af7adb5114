"""The folder of results that listeners send: one file for each listener's session, which nobody else can replace."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from codax.errors import CodaxError
from codax.listening.manifest import Manifest
from codax.listening.results import Session, parse_result
from codax.storage.files import require_file, write_whole

MOST_BYTES = 1 << 21  # of a result
_SENT = Path("result")  # names what arrives in messages
# The page draws 128 random bits for a session. Only its browser knows them, so only it can replace its file.
_SESSION = re.compile(r"[0-9a-f]{32}")


class Inbox:
    """Checks results as the analysis does, and stores each as `listenerN-SESSION.json`.

    A page sends after every trial. A result replaces that of the same session unless it has fewer trials.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Reads what the folder has; creates it if it does not exist.

        Raises:
          CodaxError: a file in it is not a result of this test, or the folder cannot be written.
        """
        self._folder, self._manifest, self._lock = folder, manifest, threading.Lock()
        self._most = max(100, 10 * manifest.listeners)  # sessions; bounds the disk that strangers can fill
        self._sizes: dict[str, tuple[str, int]] = {}  # session -> name of its file, number of ratings
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CodaxError(f"{folder}: cannot be written ({error.strerror or error})") from error
        for path in sorted(folder.glob("*.json")):
            require_file(path)
            if path.stat().st_size > MOST_BYTES:
                raise CodaxError(f"{path}: longer than {MOST_BYTES} bytes")
            session = parse_result(path, path.read_bytes(), manifest)
            self._sizes[session.session] = (path.name, session.size)

    def close(self) -> None:
        """Waits for a result that is being written, and accepts no more, so that the process can end."""
        self._lock.acquire()

    def add(self, data: bytes) -> Session:
        """Stores a result, and returns it.

        Raises:
          CodaxError: it is not a result that the page of this test sends; nothing is then stored.
          OSError: the disk is full, or the folder cannot be written; an earlier result is kept.
        """
        if len(data) > MOST_BYTES:
            raise CodaxError(f"{_SENT}: longer than {MOST_BYTES} bytes")
        with self._lock:  # one at a time, because parsed JSON may need 30 times the memory of its text
            return self._add(data)

    def _add(self, data: bytes) -> Session:
        session = parse_result(_SENT, data, self._manifest)
        if not _SESSION.fullmatch(session.session):
            raise CodaxError(f"{_SENT}: the session is not one that the page makes")
        listener = session.listener
        if not re.fullmatch("[1-9][0-9]{0,11}", listener) or int(listener) > self._manifest.listeners:
            raise CodaxError(f"{_SENT}: the listener's number must be 1 to {self._manifest.listeners}")
        if not session.questionnaire.keys() <= set(self._manifest.questions):
            raise CodaxError(f"{_SENT}: answers to questions that the page does not ask")
        if not session.size:
            raise CodaxError(f"{_SENT}: no trial was finished")
        name = f"listener{listener}-{session.session}.json"
        known, size = self._sizes.get(session.session, (name, 0))
        if known != name:
            raise CodaxError(f"{_SENT}: this session belongs to another listener")
        if not size and len(self._sizes) >= self._most:
            raise CodaxError(f"{_SENT}: {self._most} sessions are stored, and no more are accepted")
        if session.size >= size:
            write_whole(self._folder / name, data)
            self._sizes[session.session] = (name, session.size)
        return session
