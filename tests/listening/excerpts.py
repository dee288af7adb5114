"""Excerpts to listen to, and results of listeners that rate as they are told."""

import json
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def excerpt(seed: int, *, rate: int = RATE, seconds: float = 1.0) -> np.ndarray:
    """A few partials under a slow envelope, [time]; its loudness is that of every other seed within a decibel or so."""
    time = np.arange(round(rate * seconds)) / rate
    partials = [
        np.sin(2 * np.pi * f * (1 + seed / 9) * time) / k for k, f in enumerate((200, 500, 1300, 2900, 5100), 1)
    ]
    return 0.15 * np.sum(partials, axis=0) * (0.6 + 0.4 * np.cos(2 * np.pi * 2 * time))


def write_material(folder: Path) -> Path:
    """Writes ref/, secretone/ and secrettwo/ with five items to a folder; returns it."""
    for item in range(5):
        clean = excerpt(item)
        for system, noise in (("ref", 0.0), ("secretone", 0.001), ("secrettwo", 0.004)):
            (folder / system).mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(item)
            soundfile.write(folder / system / f"item{item}.wav", clean + noise * rng.standard_normal(len(clean)), RATE)
    return folder


def systems_of(material: Path) -> dict[str, Path]:
    return {name: material / name for name in ("secretone", "secrettwo")}


def result_of(folder: Path, listener: int, scores: dict[str, float], path: Path, **items: dict[str, float]) -> Path:
    """Writes a result as the page would: the same `scores` by name everywhere, but for those of some `items`."""
    manifest = json.loads((folder / "manifest.json").read_text())
    trials = []
    for trial in manifest["trials"]:
        given = scores | items.get(trial["item"], {})
        ratings = [{"signal": entry["id"], "score": given[entry["name"]]} for entry in trial["signals"]]
        trials.append({"trial": trial["id"], "comment": "", "seconds": 12.5, "ratings": ratings})
    content = {
        "format": "codax-listening-result",
        "version": 1,
        "kind": "mushra",
        "test": manifest["test"],
        "session": f"session-{listener}",
        "listener": listener,
        "questionnaire": {"playback": "closed headphones"},
        "trials": trials,
    }
    path.write_text(json.dumps(content))
    return path
