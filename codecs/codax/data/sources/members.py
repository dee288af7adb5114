"""One utterance of an archive, what is known of it, and the limits that every kind of archive keeps."""

from __future__ import annotations

import dataclasses
from typing import Any

from codax.data import manifest
from codax.errors import CodaxError

MAX_AUDIO_BYTES = 1 << 31
MAX_SIDE_BYTES = 1 << 20  # of a text or a JSON object beside audio
MAX_TEXT_BYTES = 1 << 17  # of all that is kept of these


class ArchiveError(CodaxError):
    """A file that is damaged or not what its name says; `reason` says how, without the file's name."""

    def __init__(self, path: str, reason: object):
        self.reason = " ".join(str(reason).split())[:200].rstrip(".") or type(reason).__name__
        super().__init__(f"{path}: {self.reason}")


@dataclasses.dataclass(frozen=True)
class Member:
    """An utterance: an audio file's bytes, its extension, and what is known of it; or `reason` why it is left out."""

    key: str
    data: bytes = b""
    suffix: str = ""
    facts: dict[str, str] = dataclasses.field(default_factory=dict)
    reason: str = ""


def known_facts(row: dict[str, Any]) -> dict[str, str]:
    """What a row or a JSON object tells of an utterance, under the names that manifests have."""
    found = {}
    for name in ("text", "language", "speaker", "licence", "split"):
        for alias in manifest.ALIASES.get(name, (name,)):
            value = row.get(alias)
            if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
                found[name] = str(value).strip().encode("utf-8", "replace").decode()  # JSON can name half characters
                break
    return found
