"""The work directory of a run: one run at a time, with the config that it started with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codax.config import Config, ConfigError
from codax.errors import CodaxError
from codax.storage.files import write_whole
from codax.storage.locks import locked

CONFIG_FILE = "config.json"
LOCK_FILE = ".lock"

# Fields that a resumed run may change: they do not change the numbers that a step computes. train.steps may, through
# the learning rate, but a run must be extensible.
FREE_FIELDS = frozenset(
    {
        "train.steps",
        "train.log_every",
        "train.eval_every",
        "train.eval_batches",
        "train.checkpoint_every",
        "train.checkpoints_kept",
        "train.checkpoints_best",
        "train.sample_files",
        "train.max_bad_steps",
        "quantizer.alarm_coverage",
        "discriminator.alarm_chance",
        "discriminator.alarm_certain",
        "discriminator.alarm_steps",
        "data.cache_dir",
        "data.read_threads",
        "data.worker_processes",
        "data.prefetch",
        "data.accept_changes",
        "data.memory_mb",
        "data.timeout_seconds",
    }
)


@contextlib.contextmanager
def alone_in(workdir: str | Path) -> Iterator[None]:
    """Locks a work directory, which is created, during the block; one process of a run does so for all.

    Raises:
      CodaxError: another run is training there, or the directory cannot be written.
    """
    workdir = Path(workdir)
    with contextlib.ExitStack() as stack:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(workdir / LOCK_FILE, f"{workdir}: another run is training there"))
        except OSError as error:
            raise CodaxError(f"{workdir}: cannot be locked ({error.strerror or error})") from error
        yield


def check_same_config(workdir: str | Path, config: Config) -> None:
    """Checks that a run resumes with the config that it started with, apart from `FREE_FIELDS`.

    Raises:
      ConfigError: names the first field of WORKDIR/config.json that differs.
    """
    path = Path(workdir) / CONFIG_FILE
    try:
        # Fields that are newer than the run, and those without effect, have their defaults.
        before = _flat(Config.load(path).acting().to_dict())
    except ConfigError as error:
        raise ConfigError(f"there are checkpoints, but their config cannot be read: {error}") from error
    now = _flat(config.acting().to_dict())
    for name in [*now, *(n for n in before if n not in now)]:
        if name not in FREE_FIELDS and before.get(name) != now.get(name):
            raise ConfigError(
                f"{path}: the checkpoints there have {name} = {before.get(name)!r}, not {now.get(name)!r}; "
                "use another --workdir or the same config"
            )


def write_config(workdir: str | Path, config: Config) -> None:
    """Writes WORKDIR/config.json atomically.

    Raises:
      CodaxError: the folder cannot be written.
    """
    path = Path(workdir) / CONFIG_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, config.to_json())
    except OSError as error:
        raise CodaxError(f"{path}: cannot be written ({error.strerror or error})") from error


def _flat(values: dict, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
