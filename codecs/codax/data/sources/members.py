"""The utterances of archives, their metadata, and the size limits of all kinds of archives."""

from __future__ import annotations

import dataclasses
from typing import Any

from codax.data import manifest
from codax.errors import CodaxError

MAX_AUDIO_BYTES = 1 << 31
MAX_SIDE_BYTES = 1 << 20  # of a text or JSON member
MAX_TEXT_BYTES = 1 << 17  # of all metadata of an utterance


class ArchiveError(CodaxError):
    """An archive is damaged or not what its name says; `reason` explains it without the file name."""

    def __init__(self, path: str, reason: object):
        self.reason = " ".join(str(reason).split())[:200].rstrip(".") or type(reason).__name__
        super().__init__(f"{path}: {self.reason}")


@dataclasses.dataclass(frozen=True)
class Member:
    """An utterance: the bytes of an audio file, its extension and its metadata; or the `reason` why it is skipped."""

    key: str
    data: bytes = b""
    suffix: str = ""
    facts: dict[str, str] = dataclasses.field(default_factory=dict)
    reason: str = ""


def known_facts(row: dict[str, Any]) -> dict[str, str]:
    """The metadata in a row or a JSON object, under the column names of manifests."""
    facts = {}
    for name in ("text", "language", "speaker", "licence", "split"):
        for alias in manifest.ALIASES.get(name, (name,)):
            value = row.get(alias)
            if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
                facts[name] = str(value).strip().encode("utf-8", "replace").decode()  # JSON allows lone surrogates
                break
    return facts
