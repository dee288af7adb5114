"""Loads recipes: Python files whose `get_config()` returns a `Config`."""

from __future__ import annotations

import importlib.util
import itertools
import re
from pathlib import Path

from codax.config import Config, ConfigError
from codax.config.section import Section, nearest, unknown_field


def packaged() -> dict[str, Path]:
    """Returns the recipes that come with codax by name: those in the package, or of the checkout it is in."""
    package = Path(__file__).parents[1]
    for folder in (package / "recipes", package.parents[1] / "configs"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.py"))}
    return {}


def load_recipe(path: str | Path) -> Config:
    """Runs a recipe file and returns its config.

    Args:
      path: the file, or the name of a recipe that comes with codax, such as "quickstart"; text after a colon is
        an argument of its `get_config`, as in "configs/dac_44khz.py:16khz".

    Raises:
      ConfigError: the file does not exist, or running it fails; the message names the file.
    """
    name, has_argument, argument = str(path).partition(":")
    if not Path(name).is_file():
        known = packaged()
        recipes = itertools.chain(known, Path(name).parent.glob("*.py"), Path("configs").glob("*.py"))
        if name not in known:
            raise ConfigError(f"{name}: no such recipe{nearest(name, [str(recipe) for recipe in recipes])}")
        name = str(known[name])
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{name}: not a recipe, which is a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise ConfigError(f"has no get_config(){nearest('get_config', list(vars(module)))}")
        config = module.get_config(*[argument] * bool(has_argument))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{name}: {_of_section(reason) or f'get_config() failed ({reason})'}") from error
    if not isinstance(config, Config):
        raise ConfigError(f"{name}: get_config() must return a codax.config.Config, not {type(config).__name__}")
    return config


def _of_section(reason: str) -> str:
    """The message for an unknown argument of a section's class; "" for other errors."""
    match = re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", reason)
    classes = {cls.__name__: cls for cls in _subclasses(Section)}
    return str(unknown_field(classes[match[1]], match[2])) if match and match[1] in classes else ""


def _subclasses(cls: type[Section]) -> list[type[Section]]:
    return [cls, *itertools.chain.from_iterable(map(_subclasses, cls.__subclasses__()))]
