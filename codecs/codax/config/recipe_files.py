"""Loads recipes: Python files whose `get_config()` returns a `Config`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from codax.config import Config, ConfigError


def load_recipe(path: str | Path) -> Config:
    """Runs a recipe file and returns its config.

    Args:
      path: the file; text after a colon is an argument of its `get_config`, as in "configs/dac_44khz.py:16khz".

    Raises:
      ConfigError: the file does not exist, or running it fails; the message names the file.
    """
    name, has_argument, argument = str(path).partition(":")
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if not Path(name).is_file() or spec is None or spec.loader is None:
        raise ConfigError(f"{name}: no such recipe")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config(*[argument] * bool(has_argument))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{name}: get_config() failed ({reason})") from error
    if not isinstance(config, Config):
        raise ConfigError(f"{name}: get_config() must return a codax.config.Config, not {type(config).__name__}")
    return config
