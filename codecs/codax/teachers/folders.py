"""Folders of models of transformers on this machine. Nothing is downloaded."""

from __future__ import annotations

import os
import re
from pathlib import Path

from codax.teachers.teacher import TeacherError


def local_folder(name: str, variable: str) -> Path:
    """The folder of a model: that of an environment variable, else its newest snapshot in Hugging Face's cache.

    Args:
      name: of the model in the hub, "USER/NAME".
      variable: name of the environment variable.

    Raises:
      TeacherError: there is none; the message says how to get it.
    """
    if stated := os.environ.get(variable):
        if not Path(stated).is_dir():
            raise TeacherError(f"{variable}={stated}: no such folder")
        return Path(stated)
    folder = snapshot(name)
    if folder is None:
        raise TeacherError(f"{name}: not on this machine: hf download {name}, or {variable}=FOLDER")
    return folder


def snapshot(name: str) -> Path | None:
    """The newest snapshot of a model in Hugging Face's cache; None if it has none, or `name` is not "USER/NAME"."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return None
    # The rules of `huggingface_hub`, which need not be installed.
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    home = Path(os.environ.get("HF_HOME") or caches / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    snapshots = hub / f"models--{name.replace('/', '--')}" / "snapshots"
    complete = [path.parent for path in snapshots.glob("*/config.json")]
    return max(complete, key=lambda folder: folder.stat().st_mtime, default=None)
