"""Builds a listening test: items under blind ids, the page that plays them, and the manifest that identifies them."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from codax.errors import CodaxError
from codax.listening import page, questionnaire
from codax.listening.manifest import FORMAT, VERSION
from codax.listening.material import REFERENCE, Item, Rules, Signal, check_systems, find_items, load_items
from codax.storage.digests import sha256
from codax.storage.files import write_whole
from codax.storage.staging import staged

LARGE_PAGE = 150_000_000  # bytes; larger single files are too much for many browsers


@dataclasses.dataclass(frozen=True)
class Plan:
    """Options of a test.

    Attributes:
      kind: "mushra" or "abx".
      title: shown to the listeners; must not name a system.
      seed: of blind ids, choice of items, orders, and of X in ABX.
      embed: whether audio is inside the page, otherwise in a folder beside it.
      training: trials of the training page; their ratings are dropped.
      listeners: planned number of listeners.
      items: number of items to use; None = all.
      repeats: ABX trials of each item and system.
      questions: of the questionnaire, as `questionnaire.read_questions` gives them; None = the usual ones.
    """

    kind: str = "mushra"
    title: str = "Listening test"
    seed: int = 0
    embed: bool = True
    training: int = 1
    listeners: int = 20
    items: int | None = None
    repeats: int = 1
    questions: list[dict[str, Any]] | None = None


@dataclasses.dataclass(frozen=True)
class Built:
    """The result of a build: the manifest's content, and warnings, one line each."""

    manifest: dict[str, Any]
    warnings: list[str]


def build(
    reference: Path,
    systems: Mapping[str, Path],
    out: Path,
    plan: Plan,
    rules: Rules,
    *,
    kbps: Mapping[str, float] | None = None,
) -> Built:
    """Writes index.html, manifest.json and, unless embedded, audio/ to `out`. The same seed gives the same bytes.

    Args:
      reference: folder of the originals.
      systems: folder by name of system.
      out: folder to write to.
      plan: options of the test.
      rules: requirements on the material; ABX has no anchors.
      kbps: measured bit rates of systems, for the analysis.

    Raises:
      CodaxError: naming the file and the reason; nothing is then written.
    """
    rules = dataclasses.replace(rules, anchors=plan.kind == "mushra")
    check_systems(systems, anchors=rules.anchors)
    questions = questionnaire.DEFAULT if plan.questions is None else plan.questions
    _refuse_names("--title", plan.title, systems)
    for text in questionnaire.texts(plan.questions or []):
        _refuse_names("--questionnaire", text, systems)
    rng = np.random.default_rng([plan.seed, 1534])
    names = list(find_items(reference))
    if plan.items is not None and plan.items < len(names):
        names = [names[i] for i in sorted(rng.permutation(len(names))[: plan.items])]
    items, warnings = load_items(reference, systems, rules, names=names)
    if plan.training > len(items):
        raise CodaxError(f"--training {plan.training}: the test has {len(items)} items")
    if plan.training == 0:
        warnings.append("no training: BS.1534-3 requires it")
    make = _mushra_trials if plan.kind == "mushra" else _abx_trials
    trials, shown, audio = make(items, plan, _BlindIds(rng), rng)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "test": "",
        "kind": plan.kind,
        "title": plan.title,
        "seed": plan.seed,
        "listeners": plan.listeners,
        "systems": list(systems),
        "kbps": dict(kbps or {}),
        "lufs_tolerance": rules.tolerance,
        "questionnaire": questions,
        "warnings": warnings,
        "trials": trials,
    }
    # Results carry this id, so that results of another test or build are detected.
    manifest["test"] = sha256(_as_json(manifest)).hexdigest()[:16]
    content = {
        "kind": plan.kind,
        "test": manifest["test"],
        "title": plan.title,
        "seed": plan.seed,
        "listeners": plan.listeners,
        "questions": questions,
        "training": [shown[i]["id"] for i in sorted(rng.permutation(len(shown))[: plan.training])],
        "trials": shown,
    }
    if plan.embed and (size := sum(map(len, audio.values())) * 4 // 3) > LARGE_PAGE:
        warnings.append(f"the page holds {size / 1e6:.0f} MB of audio: --side-folder loads one trial at a time")
    _write(out, manifest, page.render(content, audio if plan.embed else {}), {} if plan.embed else audio)
    return Built(manifest, warnings)


def _write(out: Path, manifest: dict[str, Any], html: str, audio: Mapping[str, bytes]) -> None:
    """Writes the page, its audio folder if there is `audio`, and the manifest, which gets the hashes of the files."""
    with staged(out) as folder:
        write_whole(folder / "index.html", html)
        files = {"index.html": html.encode()}
        if audio:
            (folder / "audio").mkdir()
        for blind, data in audio.items():
            files[f"audio/{blind}.js"] = page.side_script(blind, data)
            write_whole(folder / "audio" / f"{blind}.js", files[f"audio/{blind}.js"])
        manifest["files"] = {name: sha256(data).hexdigest() for name, data in files.items()}
        write_whole(folder / "manifest.json", _as_json(manifest) + "\n")


class _BlindIds:
    """Random ids that reveal nothing about the signal, not even by their order."""

    def __init__(self, rng: np.random.Generator):
        self._rng, self._used = rng, set[str]()

    def __call__(self) -> str:
        while (name := f"{self._rng.integers(16**8):08x}") in self._used:
            pass
        self._used.add(name)
        return name


def _mushra_trials(
    items: Sequence[Item], plan: Plan, blind: _BlindIds, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, bytes]]:
    """Returns the trials for the manifest, the trials for the page, and the audio by blind id."""
    trials, shown, audio = [], [], {}
    for item in items:
        trial, opened = blind(), blind()
        waves = {blind(): (signal, wave(signal.audio, item.rate)) for signal in item.signals}
        audio |= {key: data for key, (_, data) in waves.items()}
        audio[opened] = wave(item.signals[0].audio, item.rate)
        trials.append(
            _about(item, trial)
            | {
                "reference": opened,
                "signals": [_entry(key, signal, data) for key, (signal, data) in waves.items()],
            }
        )
        # Sorted by id, the signals are in random order, from which each listener's order is derived.
        shown.append({"id": trial, "reference": opened, "signals": sorted(waves)})
    return trials, sorted(shown, key=lambda trial: trial["id"]), audio


def _abx_trials(
    items: Sequence[Item], plan: Plan, blind: _BlindIds, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, bytes]]:
    """As `_mushra_trials`: A is the reference, B the system, and X a copy of one of them with its own id."""
    trials, shown, audio = [], [], {}
    for item in items:
        waves = {signal.name: (blind(), signal, wave(signal.audio, item.rate)) for signal in item.signals}
        audio |= {key: data for key, _, data in waves.values()}
        for system, coded in waves.items():
            if system == REFERENCE:
                continue
            # X is A in half of the repeats, as nearly as possible.
            odd = [str(rng.choice(["a", "b"]))] * (plan.repeats % 2)
            answers = rng.permutation(["a", "b"] * (plan.repeats // 2) + odd)
            for answer in answers:
                trial, hidden = blind(), blind()
                versions = {"a": waves[REFERENCE], "b": coded}
                audio[hidden] = versions[str(answer)][2]
                trials.append(
                    _about(item, trial)
                    | {
                        "system": system,
                        "x": str(answer),
                        "hidden": hidden,
                        "signals": [_entry(*version) for version in versions.values()],
                    }
                )
                shown.append({"id": trial, "signals": [waves[REFERENCE][0], coded[0], hidden]})
    return trials, sorted(shown, key=lambda trial: trial["id"]), audio


def _about(item: Item, trial: str) -> dict[str, Any]:
    frames, channels = item.signals[0].audio.shape
    return {
        "id": trial,
        "item": item.name,
        "rate": item.rate,
        "channels": channels,
        "frames": frames,
        "gain_db": round(item.gain_db, 4),
    }


def _entry(blind: str, signal: Signal, data: bytes) -> dict[str, Any]:
    return {
        "id": blind,
        "name": signal.name,
        "source": signal.source,
        "source_sha256": signal.source_sha256,
        "sha256": sha256(data).hexdigest(),
        "lufs": round(signal.loudness, 3) if math.isfinite(signal.loudness) else None,
        "peak": round(signal.peak, 5),
        "gain_db": round(signal.gain_db, 4),
    }


def wave(audio: np.ndarray, rate: int) -> bytes:
    """A 16-bit WAV file of int16 [time, channels] at `rate` Hz."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _refuse_names(option: str, text: str, systems: Mapping[str, Path]) -> None:
    words = text.lower().split()
    for name in systems:
        if name.lower() in words:
            raise CodaxError(f"{option}: names system {name}, which listeners must not know")


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
