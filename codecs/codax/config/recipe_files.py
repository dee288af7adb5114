"""Recipe files by path: Python files whose `get_config()` returns a `Config`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from codax.config import Config, ConfigError


def load_recipe(path: str | Path) -> Config:
    """The config of a recipe file, which is run.

    Raises:
      ConfigError: there is no such file.
    """
    path = Path(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ConfigError(f"{path}: no such recipe")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()
