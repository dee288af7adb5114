"""Models shipped with the package: folders with config.json, model.safetensors and a model card, README.md."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("models")
DEFAULT = "soundstream-speech"
CARD = "README.md"


def names() -> list[str]:
    """Returns the names of the shipped models in alphabetical order."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def find(model: str | Path) -> Path:
    """Returns the folder of the shipped model with this name; `model` itself if it is a folder or no such name."""
    folder = Path(model)
    return FOLDER / folder if not folder.is_dir() and str(model) in names() else folder
