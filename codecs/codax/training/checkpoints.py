"""Checkpoints of a training run: the whole state, the position in the data and the unfinished log window.

Orbax writes each checkpoint in the background into a temporary folder and renames it when it is complete, so that what
a killed process leaves behind is never taken for a checkpoint.
"""

from __future__ import annotations

import errno
import functools
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import jax

from codax.config import Config, ConfigError
from codax.data.batches import PositionError
from codax.errors import CodaxError
from codax.files import write_whole

CONFIG_FILE = "config.json"
FOLDER = "checkpoints"

# What may differ from one start of a run to the next: nothing here changes a number that a step computes (train.steps
# does where the learning rate follows it, and is the point of going on).
FREE_FIELDS = frozenset(
    {
        "train.steps",
        "train.log_every",
        "train.eval_every",
        "train.eval_batches",
        "train.checkpoint_every",
        "train.checkpoints_kept",
        "train.sample_files",
        "train.max_bad_steps",
        "data.cache_dir",
        "data.read_threads",
        "data.worker_processes",
        "data.prefetch",
        "data.accept_changes",
        "data.memory_mb",
    }
)


class CheckpointError(CodaxError):
    """A checkpoint that cannot be written or read; the message names the folder."""


class Checkpoints:
    """The checkpoints below a work directory: `with Checkpoints(workdir, kept=3) as c: c.save(...)`."""

    def __init__(self, workdir: str | Path, *, kept: int) -> None:
        """Opens WORKDIR/checkpoints, which is created; the latest `kept` are kept.

        Raises:
          CheckpointError: the folder cannot be created or read.
        """
        from orbax.checkpoint import v1 as ocp

        # Orbax reports every save at length, and a failed one with the tracebacks of its threads; what matters comes
        # back as an exception.
        for library in ("absl", "asyncio"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        _hide_closed_loops()
        self.folder = Path(workdir).absolute() / FOLDER
        self.saved_step: int | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._manager: Any = ocp.training.Checkpointer(
                self.folder,  # pyright: ignore[reportArgumentType]
                save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),  # pyright: ignore[reportArgumentType]
                preservation_policy=ocp.training.preservation_policies.LatestN(max(1, kept)),  # pyright: ignore[reportArgumentType]
                cleanup_tmp_directories=True,
            )
        except Exception as error:
            raise CheckpointError(f"{self.folder}: cannot be used for checkpoints ({_reason(error)})") from error

    def latest(self) -> int | None:
        """Step of the newest complete checkpoint; None = there is none."""
        return max(self._steps(), default=None)

    def _steps(self) -> list[int]:
        return [c.step for c in self._manager.checkpoints if (self.folder / str(c.step) / "state").is_dir()]

    def restore(self, step: int, state: Any, data: Any) -> tuple[Any, dict]:
        """Reads a checkpoint.

        Args:
          step: from `latest`.
          state: tree of `jax.ShapeDtypeStruct` with shardings.
          data: the Grain iterator, which is moved to the saved position.

        Returns:
          The state, and the dict that was given to `save` as `log`.

        Raises:
          CheckpointError: the files are damaged, or come from another number of processes or other audio.
        """
        try:
            loaded = self._manager.load_checkpointables(step, {"state": state, "data": data})
            log = json.loads((self._manager.checkpointables_metadata(step).custom_metadata or {}).get("log", "{}"))
        except Exception as error:
            where = self.folder / str(step)
            if (where / "data").is_dir() and not list((where / "data").glob(f"*-of-{jax.process_count()}.json")):
                wrong = f"it was written by another number of processes than {jax.process_count()}"
                raise CheckpointError(f"{where}: cannot be restored: {wrong}") from error
            if (refused := next((one for one in _chain(error) if isinstance(one, PositionError)), None)) is not None:
                raise CheckpointError(f"{where}: cannot be gone on with: {refused}") from error
            others = "remove that folder to go on from the checkpoint before it" if len(self._steps()) > 1 else ""
            reason = f"{_reason(error)}; {others}" if others else _reason(error)
            raise CheckpointError(f"{where}: cannot be restored ({reason})") from error
        self.saved_step = step
        return loaded["state"], log

    def save(self, step: int, state: Any, data: Any, log: dict) -> None:
        """Starts writing a checkpoint in the background, once the one before it is written.

        Args:
          step: finished steps.
          state: tree of arrays; they are copied before this returns.
          data: the Grain iterator.
          log: plain values, small.

        Raises:
          CheckpointError: this checkpoint cannot be started or the one before could not be written (full disk).
        """
        if step == self.saved_step:
            return
        self.wait()
        try:
            # Kept as text: Orbax stores metadata as JSON, and numbers must come back as they were.
            self._manager.save_checkpointables_async(
                step, {"state": state, "data": data}, force=True, custom_metadata={"log": json.dumps(log)}
            )
        except Exception as error:
            raise self._failed(error) from error
        self.saved_step = step

    def wait(self) -> None:
        """Waits until what was saved is on the disk.

        Raises:
          CheckpointError: it could not be written.
        """
        try:
            self._manager.wait()
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: BaseException) -> CheckpointError:
        kept = self.latest()
        safe = f"the checkpoint of step {kept} is intact" if kept is not None else "there is no earlier checkpoint"
        return CheckpointError(f"{self.folder}: a checkpoint could not be written ({_reason(error)}); {safe}")

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._manager.close()
        except Exception as error:
            if kind is None:
                raise self._failed(error) from error


def _chain(error: BaseException) -> list[BaseException]:
    """An exception, what caused it, and so on."""
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        seen.append(at)
        at = at.__cause__ or at.__context__
    return seen


def _reason(error: BaseException) -> str:
    """One line that says what went wrong."""
    seen = _chain(error)
    for one in seen:
        if isinstance(one, OSError) and one.errno is not None:
            return os.strerror(one.errno)
    # The first exception of the chain is the library's own report; the ones around it say what it was doing.
    text = " ".join(str(seen[-1]).split())
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
        if os.strerror(code) in text:
            return os.strerror(code)
    return text[:200] or type(error).__name__


def check_same_config(workdir: str | Path, config: Config) -> None:
    """Refuses to go on with a run under a config that would make it another run.

    Raises:
      ConfigError: naming the first field of WORKDIR/config.json that differs and may not.
    """
    path = Path(workdir) / CONFIG_FILE
    try:
        before = _flat(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: there are checkpoints, but their config cannot be read ({error})") from error
    # A field that is younger than the run has been at its default.
    before = _flat(json.loads(Config().to_json())) | before
    now = _flat(json.loads(config.to_json()))
    for name in [*now, *(n for n in before if n not in now)]:
        if name not in FREE_FIELDS and before.get(name) != now.get(name):
            raise ConfigError(
                f"{path}: the checkpoints there have {name} = {before.get(name)!r}, not {now.get(name)!r}; "
                "use another --workdir or the same config"
            )


def write_config(workdir: str | Path, config: Config) -> None:
    """Writes WORKDIR/config.json as a whole or not at all.

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


@functools.cache
def _hide_closed_loops() -> None:
    """Keeps a failed save to its one line: writers still at work then report, each by itself, a closed loop.

    Those that had not begun are reported as never awaited.
    """
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
    show = sys.unraisablehook

    def show_others(report: sys.UnraisableHookArgs) -> None:
        if not (report.exc_type is RuntimeError and str(report.exc_value) == "Event loop is closed"):
            show(report)

    sys.unraisablehook = show_others
