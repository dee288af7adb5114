"""Names on the hub: OWNER/NAME, with a folder or file in the repository behind it, and a revision."""

from __future__ import annotations

import dataclasses
import re

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".th")  # a repository is not called so
_NO_MODELS = (".codax", ".ecdc", ".json", ".jsonl", ".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")


@dataclasses.dataclass(frozen=True)
class HubName:
    """A model on the hub.

    Attributes:
      repo: "owner/name".
      path: folder or file in the repository; "" = its root.
      revision: a branch, tag or commit; None = the main branch.
    """

    repo: str
    path: str = ""
    revision: str | None = None

    def __str__(self) -> str:
        return "/".join(filter(None, (self.repo, self.path))) + (f"@{self.revision}" if self.revision else "")


def parse(text: str) -> HubName | None:
    """Returns the parts of OWNER/NAME[/PATH][@REVISION]; None if the text is no such name."""
    name, at, revision = text.partition("@")
    owner, _, rest = name.partition("/")
    repo, _, path = rest.partition("/")
    parts = [owner, repo, *(path.split("/") if path else ())]
    if not all(map(_PART.fullmatch, parts)) or (at and not _REVISION.fullmatch(revision)):
        return None
    if text.lower().endswith(_NO_MODELS) or repo.lower().endswith(WEIGHTS):
        return None
    return HubName(f"{owner}/{repo}", path, revision or None)
