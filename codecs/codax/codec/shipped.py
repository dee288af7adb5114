"""Models that ship in the package, each a folder with config.json, model.safetensors and a model card, README.md."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("models")
DEFAULT = "soundstream-speech"
CARD = "README.md"


def names() -> list[str]:
    """Of the shipped models, in alphabetical order."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def find(model: str | Path) -> Path:
    """The folder `model`, or if there is no such folder, that of the shipped model of this name, if there is one."""
    folder = Path(model)
    return FOLDER / folder if not folder.is_dir() and str(model) in names() else folder
