"""Models of other projects as model folders, converted once and kept in the cache under the hash of their files."""

from __future__ import annotations

import contextlib
from pathlib import Path

from codax.codec.folder import CONFIG_FILE, WEIGHTS_FILE
from codax.codec.shipped import CARD
from codax.interop.formats import files_of, import_model
from codax.runtime import messages
from codax.storage.digests import file_sha256, sha256
from codax.storage.files import cache_folder, write_whole
from codax.storage.tensors import ModelError

_VERSION = "1"  # of the conversion; another one converts every model again


def imported(source: Path) -> Path:
    """Returns the model folder of a folder or weights file of another project.

    Raises:
      CodaxError: naming the file and the reason.
    """
    target = cache_folder() / "imports" / _digest(source)
    if not all((target / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE)):
        codec = import_model(source)
        messages.note(f"{source}: converted, and kept in {target}")
        codec.save(target)
        _keep_card(source, target)
    return target


def _keep_card(source: Path, target: Path) -> None:
    """Copies the README.md beside the weights, which may state the model's licence."""
    card = (source if source.is_dir() else source.parent) / CARD
    if card.is_file():
        with contextlib.suppress(OSError):
            write_whole(target / CARD, card.read_bytes())


def _digest(source: Path) -> str:
    """Identifies the names and contents of all files that the conversion reads."""
    try:
        parts = [f"{path.name} {file_sha256(path)}\n" for path in files_of(source)]
    except OSError as error:
        raise ModelError(f"{source}: cannot be read ({error.strerror or error})") from error
    return sha256(_VERSION, *parts).hexdigest()[:32]
