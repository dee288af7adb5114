"""manifest.json: maps blind ids to signals, with the SHA-256 of every file. The experimenter keeps it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from codax.errors import CodaxError, shown
from codax.listening.material import REFERENCE
from codax.storage import strict_json

FORMAT = "codax-listening-test"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The key of a test.

    Attributes:
      path: of the file.
      test: id of the test; results carry it.
      kind: "mushra" or "abx".
      items: trial id -> item, in order.
      systems: names, in order.
      names: trial id -> blind id -> "reference", "anchor35", "anchor70" or a system.
      kbps: measured bit rates of the systems, if known.
      keys: for ABX: trial id -> "a" or "b", the identity of X.
      listeners: planned number of listeners, who are numbered from 1.
      questions: ids of the questions of its page.
    """

    path: Path
    test: str
    kind: str
    items: dict[str, str]
    systems: tuple[str, ...]
    names: dict[str, dict[str, str]]
    keys: dict[str, str]
    kbps: dict[str, float] = dataclasses.field(default_factory=dict)
    listeners: int = 20
    questions: tuple[str, ...] = ()

    @property
    def anchors(self) -> bool:
        """Whether both anchors are in every trial."""
        return all({"anchor35", "anchor70"} <= set(names.values()) for names in self.names.values())


def read_manifest(path: Path) -> Manifest:
    """Reads and checks a manifest.

    Raises:
      CodaxError: not a manifest of a listening test; the message gives the reason.
    """
    data = strict_json.read_object(path, "manifest")
    if data.get("format") != FORMAT:
        raise CodaxError(f"{path}: is not a manifest of `codax mushra build`")
    if data.get("version") != VERSION:
        raise CodaxError(f"{path}: version {shown(data.get('version'))} of the manifest; this program reads {VERSION}")
    try:
        manifest = Manifest(
            path=path,
            test=str(data["test"]),
            kind=str(data["kind"]),
            items={str(trial["id"]): str(trial["item"]) for trial in data["trials"]},
            systems=tuple(str(name) for name in data["systems"]),
            names={
                str(trial["id"]): {str(entry["id"]): str(entry["name"]) for entry in trial["signals"]}
                for trial in data["trials"]
            },
            keys={str(trial["id"]): str(trial["x"]) for trial in data["trials"] if "x" in trial},
            kbps={str(name): float(rate) for name, rate in data.get("kbps", {}).items() if float(rate) > 0},
            questions=tuple(str(question["id"]) for question in data.get("questionnaire", ())),
            listeners=strict_json.whole(data.get("listeners", 20), 1),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CodaxError(f"{path}: damaged manifest ({type(error).__name__}: {error})") from error
    required = {REFERENCE, *(manifest.systems if manifest.kind == "mushra" else ())}
    if not manifest.items or any(not required <= set(names.values()) for names in manifest.names.values()):
        raise CodaxError(f"{path}: damaged manifest: a trial lacks the reference or a system")
    if manifest.kind == "abx" and not all(manifest.keys.get(trial) in ("a", "b") for trial in manifest.items):
        raise CodaxError(f"{path}: damaged manifest: a trial does not say what X is")
    return manifest
