"""Outputs of a run's numbers: means over a window, `metrics.jsonl`, TensorBoard and the terminal."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from codax.errors import CodaxError
from codax.storage.files import write_whole

METRICS_FILE = "metrics.jsonl"
_MOST_STEPS = 2**53  # below it, floats are exact
_COUNTERS = ("bad_steps", "bad_total")  # reported by their last value, not their mean


class Window:
    """Elementwise means of metrics over the steps in which they are present and finite.

    The sums can be saved and restored, so that a resumed run reports the same means.
    """

    def __init__(self, saved: dict | None = None) -> None:
        self._sums: dict[str, tuple[np.ndarray, np.ndarray]] = {
            name: (np.asarray(total, np.float64), np.asarray(count, np.float64))
            for name, (total, count) in (saved or {}).items()
        }

    def add(self, metrics: dict[str, Any]) -> None:
        """Adds the metrics of one step: numbers or arrays."""
        for name, value in metrics.items():
            now = np.asarray(value, np.float64)
            finite = np.isfinite(now)
            if name in self._sums and name not in _COUNTERS:
                total, count = self._sums[name]
            else:
                total = count = np.zeros(now.shape)
            self._sums[name] = (total + np.where(finite, now, 0.0), count + finite)

    def save(self) -> dict:
        """Returns the sums as plain values, which `Window` takes as `saved`."""
        return {name: [total.tolist(), count.tolist()] for name, (total, count) in self._sums.items()}

    def flush(self) -> dict[str, Any]:
        """Returns the means and empties the window; an array gives its mean and, as NAME_levels, a list."""
        line: dict[str, Any] = {}
        for name, (total, count) in self._sums.items():
            mean = total / np.where(count > 0, count, np.nan)
            if mean.ndim:
                line[name] = float(np.mean(mean))
                line[f"{name}_levels"] = mean.tolist()
            else:
                line[name] = int(mean) if name in _COUNTERS else float(mean)
        self._sums = {}
        return _plain(line)


def _plain(value: Any) -> Any:
    """Returns values for JSON: None instead of non-finite numbers, which it lacks."""
    match value:
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case float() if not math.isfinite(value):
            return None
    return value


class MetricsFile:
    """WORKDIR/metrics.jsonl, with one JSON object per line; each has "step" and "kind" ("train" or "validation")."""

    def __init__(self, workdir: Path, *, after: int) -> None:
        """Opens the file for appending and removes lines after step `after`, from which the run resumes.

        Raises:
          CodaxError: the file cannot be written.
        """
        self.path = workdir / METRICS_FILE
        try:
            if self.path.exists():
                kept = [
                    line
                    for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines()
                    if _parsed(line)["step"] <= after
                ]
                write_whole(self.path, "".join(f"{line}\n" for line in kept))
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise self._failed(error) from error

    def write(self, line: dict) -> None:
        """Appends a line and flushes it to the operating system; numbers that are not finite become null."""
        try:
            self._file.write(json.dumps(_plain(line), allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> CodaxError:
        return CodaxError(f"{self.path}: cannot be written ({error.strerror or error})")


def _parsed(line: str) -> dict[str, Any]:
    """Returns the values of a line, numbers as floats; only an infinite step for a damaged line."""
    try:
        values = json.loads(line, parse_int=float)  # an integer of many digits is infinite
        if 0 <= (step := float(values["step"])) < _MOST_STEPS:
            return values | {"step": step}
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return {"step": math.inf}


def read_metrics(workdir: Path) -> Iterator[dict[str, Any]]:
    """Yields the complete lines of the metrics file, if it exists. Raises OSError: it cannot be read."""
    if (workdir / METRICS_FILE).exists():
        with (workdir / METRICS_FILE).open(encoding="utf-8", errors="replace") as file:
            yield from (values for values in map(_parsed, file) if math.isfinite(values["step"]))


class TensorBoard:
    """Event file in WORKDIR with scalars, audio and images.

    It bypasses tensorboardX's queue and thread, in which a full disk would cause a traceback.
    """

    def __init__(self, workdir: Path, *, after: int) -> None:
        """Opens a new event file; TensorBoard hides events of earlier files after step `after`."""
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._event, self._folder = Event, workdir
        try:
            self._file = EventsWriter(str(workdir / "events"), f".{os.getpid()}")
            start = SessionLog(status=SessionLog.START)
            self._file.write_event(Event(wall_time=time.time(), step=after + 1, session_log=start))
        except OSError as error:
            raise self._failed(error) from error

    def scalars(self, step: int, values: dict[str, Any], *, prefix: str) -> None:
        """Writes every number in `values` as PREFIX/NAME, without lists and None."""
        from tensorboardX import summary

        scalars = {f"{prefix}/{name}": v for name, v in values.items() if isinstance(v, int | float)}
        self._write(step, [value for name, v in scalars.items() for value in summary.scalar(name, v).value])

    def audio(self, step: int, name: str, audio: np.ndarray, sample_rate: int) -> None:
        """Writes audio [time, channels]; TensorBoard plays up to two channels."""
        from tensorboardX import summary

        self._write(step, summary.audio(name, np.clip(audio[:, :2], -1.0, 1.0), sample_rate).value)

    def png(self, step: int, name: str, png: bytes, size: tuple[int, int]) -> None:
        """Writes an encoded image of size (width, height)."""
        from tensorboardX.proto.summary_pb2 import Summary

        image = Summary.Image(width=size[0], height=size[1], colorspace=4, encoded_image_string=png)
        self._write(step, [Summary.Value(tag=name, image=image)])

    def _write(self, step: int, values: Iterable[Any]) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        try:
            self._file.write_event(self._event(wall_time=time.time(), step=step, summary=Summary(value=list(values))))
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> CodaxError:
        return CodaxError(f"{self._folder}: TensorBoard events cannot be written ({error.strerror or error})")
