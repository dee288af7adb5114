"""Reports of a run's numbers, which are the same in a resumed run but for times; only a report waits for the device."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
import numpy as np

from codax.config import Config
from codax.losses.adversarial import CHANCE
from codax.runtime.messages import clock
from codax.training.alarms import CollapseAlarm, DiscriminatorAlarm
from codax.training.compilation import Compiled
from codax.training.logs import MetricsFile, TensorBoard, Window
from codax.training.optimizers import learning_rate
from codax.training.terminal import Terminal

_LONG = 20.0  # seconds of a program's compilation that is reported on its own


def show_compilation(programs: Iterable[Compiled], terminal: Terminal) -> str:
    """Compiles programs, shows each, and returns a summary in parentheses; "" for one program or none."""
    began, done = time.monotonic(), list[Compiled]()
    for program in programs:
        done.append(program)
        left = clock(program.left * (time.monotonic() - began) / len(done))
        text = f"compiled {program.name} in {program.seconds:.0f} s; {program.left} programs and about {left} left"
        if not terminal.show(text) and program.seconds > _LONG and program.left:
            terminal.say(text)
    if len(done) < 2:
        return ""
    longest, cached = max(done, key=lambda each: each.seconds), sum(each.is_cached for each in done)
    kept = f", {cached} of them from the cache" if cached else ""
    return f" ({len(done)} programs{kept}; the longest: {longest.name}, {longest.seconds:.1f} s)"


class Clock:
    """Time of the steps since the last report, without compilation and evaluation."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._start, self._paused, self._waited, self._steps = time.monotonic(), 0.0, 0.0, 0

    @contextlib.contextmanager
    def waiting_for_data(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._waited += time.monotonic() - began

    @contextlib.contextmanager
    def paused_if(self, condition: bool) -> Iterator[None]:
        """Excludes the block's time if `condition` is true."""
        began = time.monotonic()
        yield
        if condition:
            self._paused += time.monotonic() - began

    @contextlib.contextmanager
    def step(self, *, is_compiled: bool) -> Iterator[None]:
        """Counts the block as a step, unless `is_compiled`: then its time is excluded."""
        with self.paused_if(is_compiled):
            yield
        self._steps += not is_compiled

    def flush(self, audio_seconds: float) -> dict[str, float]:
        """Returns rates since the last call; a batch over all devices has `audio_seconds` of audio."""
        elapsed = max(1e-9, time.monotonic() - self._start - self._paused)
        rate = self._steps / elapsed
        share = min(1.0, self._waited / elapsed)
        self._begin()
        return {
            "time/steps_per_second": rate,
            "time/audio_seconds_per_second": rate * audio_seconds,
            "time/data_share": share,
        }


class Log:
    """Collects the metrics of steps without waiting for the device, and reports their means."""

    def __init__(
        self, config: Config, workdir: Path, terminal: Terminal, *, after: int, saved: dict, is_first: bool
    ) -> None:
        self.clock = Clock()
        self.terminal = terminal
        self._config = config
        self._window = Window(saved.get("window"))
        self._pending: list[dict] = []
        self._best: float | None = saved.get("best")
        self._alarm = CollapseAlarm(config.quantizer.alarm_coverage, saved.get("alarm"))
        chance = CHANCE[config.loss.adversarial_form]
        self._discriminator_alarm = DiscriminatorAlarm(config.discriminator, chance, saved.get("discriminator_alarm"))
        self._file = MetricsFile(workdir, after=after) if is_first else None
        self.tensorboard = TensorBoard(workdir, after=after) if is_first else None
        self._rate = learning_rate(config.optimizer, config.optimizer.learning_rate, config.train.steps)
        self._audio_seconds = config.train.batch_size * config.segment_samples / config.model.sample_rate

    def add(self, metrics: dict) -> None:
        self._pending.append(metrics)

    def _collect(self) -> None:
        for metrics in jax.device_get(self._pending):
            self._window.add(metrics)
        self._pending = []

    def save(self) -> dict:
        """Returns the state that a resumed run needs to write the same lines."""
        self._collect()
        alarms = {"alarm": self._alarm.save(), "discriminator_alarm": self._discriminator_alarm.save()}
        return {"window": self._window.save(), "best": self._best} | alarms

    def is_best(self, score: float | None) -> bool:
        """Whether an evaluation's score is lower than all previous ones; remembers it if so."""
        if score is None or not math.isfinite(score) or (self._best is not None and score >= self._best):
            return False
        self._best = score
        return True

    def report(self, step: int) -> None:
        """Writes the means since the last report."""
        self._collect()
        line = self._window.flush() | {"learning_rate": np.asarray(self._rate(step - 1)).item()}
        line |= self.clock.flush(self._audio_seconds)
        self.write(step, "train", line)
        self.terminal.report(step, line)
        for warning in self._alarm.check(step, line) + self._discriminator_alarm.check(step, line):
            self.terminal.warn(warning)

    def write(self, step: int, kind: str, line: dict) -> None:
        """Writes a line to metrics.jsonl and TensorBoard."""
        if self._file is not None and self.tensorboard is not None:
            self._file.write({"step": step, "kind": kind, **line})
            self.tensorboard.scalars(step, line, prefix=kind)

    def close(self) -> None:
        for file in (self._file, self.tensorboard):
            if file is not None:
                file.close()
