"""The signals of a listening test: reads them from folders, compares them and prepares them for playback."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from codax import audio as audio_files
from codax.baselines.anchors import EDGES, anchor
from codax.errors import CodaxError
from codax.listening.alignment import delay
from codax.listening.loudness import BLOCK, integrated_loudness
from codax.storage import strict_json
from codax.storage.digests import file_sha256
from codax.storage.files import files_by_name

REFERENCE = "reference"
ANCHORS = tuple(EDGES)
RESERVED = (REFERENCE, *ANCHORS)
MOST_SIGNALS = 12  # per trial: hidden reference, two anchors, nine systems (BS.1534-3)
MOST_SECONDS = 12.0
FEWEST_ITEMS = 5
LATEST = 0.02  # seconds by which a system's signal may be late or early without a warning
SLACK = 0.1  # seconds by which the length of a system's signal may differ


@dataclasses.dataclass(frozen=True)
class Signal:
    """One version of an item.

    Attributes:
      name: "reference", "anchor35", "anchor70", or the system.
      audio: int16 [time, channels], as played by the page.
      loudness: of `audio` in LUFS (BS.1770); -inf if it is silent or shorter than 400 ms.
      peak: before the trial's gain, 1 = full scale.
      gain_db: gain of this signal to match the reference's loudness.
      source: path of the file within its folder; "" for generated signals.
      source_sha256: of that file.
    """

    name: str
    audio: np.ndarray
    loudness: float
    peak: float
    gain_db: float = 0.0
    source: str = ""
    source_sha256: str = ""


@dataclasses.dataclass(frozen=True)
class Item:
    """An excerpt with all its versions, the reference first; all have the same rate (Hz), shape and trial gain."""

    name: str
    rate: int
    gain_db: float
    signals: tuple[Signal, ...]


@dataclasses.dataclass(frozen=True)
class Rules:
    """Requirements on the material.

    Attributes:
      tolerance: largest loudness difference between a system and the reference, in LU.
      match: adjust systems outside of the tolerance to the reference's loudness instead of rejecting them.
      anchors: whether to make the two low-pass anchors.
    """

    tolerance: float = 0.5
    match: bool = False
    anchors: bool = True


def find_items(folder: Path) -> dict[str, Path]:
    """Audio files below a folder by their path without suffix, sorted.

    Raises:
      CodaxError: no such folder, no audio in it, or two files with the same name.
    """
    return files_by_name(folder, audio_files.AUDIO_SUFFIXES)


def systems_of_evaluation(folder: Path) -> tuple[Path, dict[str, Path]]:
    """Reference folder and systems of an evaluation (the folder that eval.py wrote with --out).

    Raises:
      CodaxError: the folder holds no decoded audio.
    """
    audio = folder / "audio"
    reference = audio / "original"
    if not reference.is_dir():
        raise CodaxError(f"{folder}: holds no audio/original; give the folder that eval.py wrote with --out")
    systems = {path.name: path for path in sorted(audio.iterdir()) if path.is_dir() and path != reference}
    if not systems:
        raise CodaxError(f"{audio}: holds no system beside the original")
    return reference, systems


def rates_of_evaluation(folder: Path) -> dict[str, float]:
    """Measured kbps of the systems in an evaluation's results.json, if there is one and they have a rate.

    Raises:
      CodaxError: the file cannot be read.
    """
    path = folder / "results.json"
    if not path.exists():
        return {}
    try:
        systems = strict_json.read_object(path, "table of results")["systems"]
        rates = {entry["key"]: entry["bits_per_second"] for entry in systems}
        return {key: round(rate["mean"] / 1000, 4) for key, rate in rates.items() if rate is not None}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CodaxError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error


def load_items(
    reference: Path, systems: Mapping[str, Path], rules: Rules, *, names: Sequence[str] | None = None
) -> tuple[list[Item], list[str]]:
    """Reads and checks all signals of a test.

    Args:
      reference: folder of the originals.
      systems: folder by name of system, with every item under the reference's file name (the suffix may differ).
      rules: requirements.
      names: items to use; None = all.

    Returns:
      The items, and warnings, one line each.

    Raises:
      CodaxError: naming the file and the reason.
    """
    originals = find_items(reference)
    chosen = list(originals) if names is None else list(names)
    folders = {system: find_items(folder) for system, folder in systems.items()}
    for system, files in folders.items():
        if missing := [name for name in chosen if name not in files]:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise CodaxError(f"{systems[system]}: system {system} lacks item {missing[0]}{more}")
    items, warnings = [], []
    for name in chosen:
        versions = {REFERENCE: originals[name]} | {system: files[name] for system, files in folders.items()}
        roots = {REFERENCE: reference, **systems}
        item, notes = _load_item(name, versions, roots, rules)
        items.append(item)
        warnings += notes
    if len(items) < FEWEST_ITEMS:
        warnings.append(f"{len(items)} items: BS.1534-3 asks for at least {FEWEST_ITEMS}")
    recommended = math.ceil(1.5 * len(systems))
    if FEWEST_ITEMS <= len(items) < recommended:
        warnings.append(f"{len(items)} items for {len(systems)} systems: BS.1534-3 recommends {recommended}")
    return items, warnings


def check_systems(systems: Mapping[str, Path], *, anchors: bool) -> None:
    """Raises CodaxError for no systems, too many, or a name with another meaning in results."""
    if not systems:
        raise CodaxError("no system to rate: give --systems NAME=DIR or --evaluation DIR")
    for name in systems:
        if name.lower() in RESERVED:
            raise CodaxError(f"--systems {name}: this name is reserved for the {name.lower()} of every trial")
    signals = len(systems) + 1 + (len(ANCHORS) if anchors else 0)
    if anchors and signals > MOST_SIGNALS:
        raise CodaxError(
            f"{len(systems)} systems make {signals} signals per trial with hidden reference and anchors; "
            f"BS.1534-3 allows {MOST_SIGNALS}"
        )


def _load_item(name: str, files: Mapping[str, Path], roots: Mapping[str, Path], rules: Rules) -> tuple[Item, list[str]]:
    notes: list[str] = []
    original, rate = audio_files.read(files[REFERENCE])
    if original.shape[1] > 2:
        raise CodaxError(f"{files[REFERENCE]}: {original.shape[1]} channels; listening tests take mono and stereo")
    if len(original) / rate > MOST_SECONDS:
        notes.append(f"{files[REFERENCE]}: {len(original) / rate:.1f} s; BS.1534-3 asks for at most {MOST_SECONDS:g} s")
    versions: dict[str, tuple[np.ndarray, float]] = {REFERENCE: (original, 0.0)}
    target = integrated_loudness(original, rate)
    if _is_silent(original, rate, target):
        raise CodaxError(f"{files[REFERENCE]}: is silent, so nothing can be rated against it")
    for system, path in files.items():
        if system == REFERENCE:
            continue
        signal, note = _read_like(path, files[REFERENCE], original, rate)
        loudness = integrated_loudness(signal, rate)
        if _is_silent(signal, rate, loudness):
            raise CodaxError(f"{path}: is silent, and the reference is not")
        gain, warning = _level(path, loudness, target, rules)
        late = delay(original, signal, rate)
        if abs(late) > LATEST:
            shift = f"about {abs(late) * 1000:.0f} ms {'later' if late > 0 else 'earlier'}"
            notes.append(f"{path}: {shift} than {files[REFERENCE]}; BS.1534-3 asks for aligned signals")
        versions[system] = (signal * np.float32(10 ** (gain / 20)), gain)
        notes += [line for line in (note, warning) if line]
    for anchor_name in ANCHORS if rules.anchors else ():
        try:
            versions[anchor_name] = (anchor(anchor_name, original, rate), 0.0)
        except CodaxError as error:
            raise CodaxError(f"{files[REFERENCE]}: {error}") from error
    peaks = {version: float(np.abs(signal).max()) for version, (signal, _) in versions.items()}
    loudest = max(peaks, key=lambda version: peaks[version])
    # One gain for the whole trial: a signal that would clip in 16 bits must not become softer than the others.
    gain = min(1.0, 32767 / 32768 / peaks[loudest]) if peaks[loudest] > 0 else 1.0
    if gain < 1 and peaks[loudest] > 1:
        subject = f"{files[REFERENCE]}: its {loudest}" if loudest in ANCHORS else f"{files[loudest]}: it"
        notes.append(
            f"{subject} peaks at {peaks[loudest]:.3f} of full scale; "
            f"the whole trial is attenuated by {-20 * math.log10(gain):.2f} dB"
        )
    signals = []
    for version, (signal, own_gain) in versions.items():
        path = files.get(version)
        played = audio_files.to_int16(signal * np.float32(gain))
        signals.append(
            Signal(
                name=version,
                audio=played,
                loudness=integrated_loudness(audio_files.from_int16(played), rate),
                peak=peaks[version],
                gain_db=own_gain,
                source=path.relative_to(roots[version]).as_posix() if path else "",
                source_sha256=file_sha256(path) if path else "",
            )
        )
    return Item(name, rate, 20 * math.log10(gain), tuple(signals)), notes


def _read_like(path: Path, reference_path: Path, reference: np.ndarray, rate: int) -> tuple[np.ndarray, str]:
    """A system's signal with the length of the reference, and a note if it was changed."""
    signal, own_rate = audio_files.read(path)
    if own_rate != rate:
        raise CodaxError(f"{path}: {own_rate} Hz, but {reference_path} has {rate} Hz")
    if signal.shape[1] != reference.shape[1]:
        raise CodaxError(f"{path}: {signal.shape[1]} channels, but {reference_path} has {reference.shape[1]}")
    excess = len(signal) - len(reference)
    if excess == 0:
        return signal, ""
    if abs(excess) > SLACK * rate:
        raise CodaxError(
            f"{path}: {abs(excess) / rate * 1000:.0f} ms {'longer' if excess > 0 else 'shorter'} than "
            f"{reference_path}; at most {SLACK * 1000:.0f} ms can be cut or padded"
        )
    note = f"{path}: {abs(excess)} samples {'cut from' if excess > 0 else 'of silence added to'} its end"
    return np.pad(signal[: len(reference)], ((0, max(0, -excess)), (0, 0))), note


def _is_silent(signal: np.ndarray, rate: int, loudness: float) -> bool:
    """Whether nothing is audible: no sample of 16 bits, or all below the gate of the loudness (-70 LUFS)."""
    return not audio_files.to_int16(signal).any() or (len(signal) >= BLOCK * rate and not math.isfinite(loudness))


def _level(path: Path, loudness: float, target: float, rules: Rules) -> tuple[float, str]:
    """Gain in dB for a system's signal, and a warning."""
    if not (math.isfinite(target) and math.isfinite(loudness)):  # too short for a loudness
        return 0.0, ""
    difference = loudness - target
    if abs(difference) <= rules.tolerance:
        return 0.0, ""
    deviation = f"{abs(difference):.2f} LU {'louder' if difference > 0 else 'softer'} than the reference"
    if not rules.match:
        raise CodaxError(
            f"{path}: {deviation}; at most {rules.tolerance:g} is allowed (--lufs-tolerance), or use --match-loudness"
        )
    return -difference, f"{path}: {deviation}; compensated"
