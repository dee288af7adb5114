"""Checkpoints of a training run: the whole state, the position in the data and the unfinished log window.

Orbax writes each checkpoint in the background to a temporary folder and renames the folder when it is complete, so that
the files of a killed process are never mistaken for a checkpoint. Checksums are added afterwards.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import jax

from codax.data.batches import PositionError
from codax.errors import CodaxError
from codax.training import checksums

FOLDER = "checkpoints"


class CheckpointError(CodaxError):
    """A checkpoint that cannot be written or read; the message names the folder."""


class Checkpoints:
    """The checkpoints below a work directory: `with Checkpoints(workdir, kept=3) as c: c.save(...)`."""

    def __init__(self, workdir: str | Path, *, kept: int, best: int = 0) -> None:
        """Opens or creates WORKDIR/checkpoints; keeps the latest `kept` checkpoints and the `best` of lowest score.

        Raises:
          CheckpointError: the folder cannot be created or read.
        """
        from orbax.checkpoint import v1 as ocp

        policies = ocp.training.preservation_policies
        lowest = policies.BestN(
            get_metric_fn=lambda metrics: metrics["score"], reverse=True, n=best, keep_checkpoints_without_metrics=False
        )
        self.folder = Path(workdir).absolute() / FOLDER
        self.saved_step: int | None = None
        self._unsealed: int | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._manager: Any = ocp.training.Checkpointer(
                self.folder,  # pyright: ignore[reportArgumentType]
                save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),  # pyright: ignore[reportArgumentType]
                preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(max(1, kept)), lowest]),  # pyright: ignore[reportArgumentType]
                cleanup_tmp_directories=True,
            )
        except Exception as error:
            raise CheckpointError(f"{self.folder}: cannot be used for checkpoints ({_reason(error)})") from error

    def latest(self) -> int | None:
        """Returns the step of the newest complete checkpoint, or None."""
        return max(self._steps(), default=None)

    def kept(self) -> str:
        """Says in a message which checkpoint can be resumed."""
        if not self.folder.is_dir():
            return "the folder is missing"
        step = self.latest()
        return "there is no earlier checkpoint" if step is None else f"the checkpoint of step {step} is intact"

    def _steps(self) -> list[int]:
        return [c.step for c in self._manager.checkpoints if (self.folder / str(c.step) / "state").is_dir()]

    def restore(self, step: int, state: Any, data: Any) -> tuple[Any, dict]:
        """Reads a checkpoint, which may come from another number of processes or devices.

        Args:
          step: from `latest`.
          state: tree of `jax.ShapeDtypeStruct` with shardings, or a function that makes it from the saved tree.
          data: the Grain iterator, which is moved to the saved position.

        Returns:
          The state, and the `log` that was passed to `save`.

        Raises:
          CheckpointError: the files are damaged or missing, or the audio has changed.
        """
        where = self.folder / str(step)
        self._check(where)
        position = _position(where / "data")
        try:
            about = self._manager.checkpointables_metadata(step)
            tree = state(about.metadata["state"]) if callable(state) else state
            targets = {"state": tree} | ({"data": data} if position is None else {})
            loaded = self._manager.load_checkpointables(step, targets)
            if position is not None:
                data.set_state(position)
            log = json.loads((about.custom_metadata or {}).get("log", "{}"))
        except Exception as error:
            if (refused := next((one for one in _chain(error) if isinstance(one, PositionError)), None)) is not None:
                raise CheckpointError(f"{where}: cannot resume: {refused}") from error
            raise self._damaged(where, _reason(error)) from error
        self.saved_step = step
        return loaded["state"], log

    def save(self, step: int, state: Any, data: Any, log: dict, score: float | None = None) -> None:
        """Waits for the previous checkpoint, then starts to write this one in the background.

        Args:
          step: number of finished steps.
          state: tree of arrays, which are copied before this returns.
          data: the Grain iterator.
          log: a few plain values.
          score: an evaluation's score at this step; lower is better.

        Raises:
          CheckpointError: this checkpoint cannot be started, or the previous one could not be written (full disk).
        """
        if step == self.saved_step:
            return
        self.wait()
        try:
            self.folder.stat()  # Orbax would make a missing folder again, without the earlier checkpoints
            # As text, since Orbax's own JSON may change the type of numbers.
            self._manager.save_checkpointables_async(
                step,
                {"state": state, "data": data},
                force=True,
                metrics=None if score is None or not math.isfinite(score) else {"score": score},
                custom_metadata={"log": json.dumps(log)},
            )
        except Exception as error:
            raise self._failed(error) from error
        self.saved_step = self._unsealed = step

    def wait(self) -> None:
        """Waits until the last checkpoint is on the disk.

        Raises:
          CheckpointError: the checkpoint could not be written.
        """
        try:
            self._manager.wait()
            self._seal()
        except Exception as error:
            raise self._failed(error) from error

    def _seal(self) -> None:
        """Adds checksums to the checkpoint that was written last."""
        if self._unsealed is not None and jax.process_index() == 0:
            checksums.write(self.folder / str(self._unsealed))
        self._unsealed = None

    def _check(self, where: Path) -> None:
        try:
            problem = checksums.problem(where)
        except OSError as error:
            problem = error.strerror or str(error)
        if problem:
            raise self._damaged(where, problem)

    def _damaged(self, where: Path, reason: str) -> CheckpointError:
        others = "; remove that folder to resume from the checkpoint before it" if len(self._steps()) > 1 else ""
        return CheckpointError(f"{where}: cannot be restored ({reason}{others})")

    def _failed(self, error: BaseException) -> CheckpointError:
        self.saved_step = self._unsealed = None
        if jax.process_index() == 0:
            self._remove_unfinished()
        return CheckpointError(f"{self.folder}: a checkpoint could not be written ({_reason(error)}); {self.kept()}")

    def _remove_unfinished(self) -> None:
        """Removes the files of a checkpoint that failed, which other threads of Orbax may still write for a moment."""
        quiet = 0
        for _ in range(30):
            folders = list(self.folder.glob("*.orbax-checkpoint-tmp"))
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            quiet = 0 if folders else quiet + 1
            if quiet == 3:
                return
            time.sleep(0.1)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._manager.close()
            if kind is None:
                self._seal()
        except Exception as error:
            if kind is None:
                raise self._failed(error) from error


def _position(folder: Path) -> dict | None:
    """Returns the position in the data if another number of processes saved it; None = the same number, or unknown.

    All processes have consumed the same number of batches, and together they consume the same examples whatever their
    number (`codax.data.pipeline`). Their positions are therefore equal.

    Raises:
      CheckpointError: the processes' positions are incomplete or differ.
    """
    files = sorted(folder.glob("process_*-of-*.json"))
    if not files or list(folder.glob(f"process_*-of-{jax.process_count()}.json")):
        return None
    try:
        positions = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: cannot be restored (the position in the data: {error})") from error
    if len(files) != int(files[0].stem.rpartition("-")[2]) or any(p != positions[0] for p in positions):
        raise CheckpointError(f"{folder}: cannot be restored (the processes' positions in the data do not agree)")
    return positions[0]


def _chain(error: BaseException) -> list[BaseException]:
    """Returns an exception, its cause, the cause's cause, and so on."""
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        seen.append(at)
        at = at.__cause__ or at.__context__
    return seen


def _reason(error: BaseException) -> str:
    """Returns the reason for an error as one line."""
    seen = _chain(error)
    for one in seen:
        if isinstance(one, OSError) and one.errno is not None:
            return os.strerror(one.errno)
    # The root cause is the most specific; the exceptions around it only say what the library was doing.
    text = " ".join(str(seen[-1]).split())
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
        if os.strerror(code) in text:
            return os.strerror(code)
    return text[:200] or type(error).__name__
