"""The training loop."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from codax.codec import Codec
from codax.config import Config
from codax.data.pipeline import training_batches, validation_batches
from codax.training.checkpoints import Checkpoints, check_same_config, write_config
from codax.training.logging import MetricsFile, TensorBoard, Terminal, Window
from codax.training.parallel import Parallel
from codax.training.samples import Samples
from codax.training.state import TrainState, init_state, learning_rate, parameter_count
from codax.training.step import Phase, make_codebook_init, make_step, phase_at
from codax.training.stopping import BadStepGuard, StopRequest
from codax.training.validation import BATCH, Reconstructor, Validator

EXPORT_FOLDER = "export"
_STEPS_AHEAD = 2  # steps that are handed to the device before the oldest of them has finished


def train(config: Config, workdir: str | Path, *, parallel: str = "shard_map", max_steps: int | None = None) -> None:
    """Trains until `train.steps`, going on from the latest checkpoint in `workdir` if there is one.

    SIGTERM and SIGINT end the run early with a checkpoint; going on from it gives bit for bit what the run would have
    given without the interruption.

    Args:
      config: the recipe.
      workdir: folder for config.json, checkpoints/, metrics.jsonl, TensorBoard events, samples/ and export/.
      parallel: "shard_map" or "pmap".
      max_steps: stop at this step with a checkpoint, as if a signal had come; None = do not.

    Raises:
      CodaxError: unusable config, data, work directory or checkpoint; full disk; steps that stay not finite.
    """
    config.validate()
    workdir = Path(workdir)
    with contextlib.ExitStack() as stack:
        # Devices.
        mapped = Parallel(parallel)
        local_batch = mapped.local_batch(config.train.batch_size)
        is_first = jax.process_index() == 0  # the process that writes files
        terminal = stack.enter_context(Terminal(config.train.steps, quiet=not is_first))
        stop = stack.enter_context(StopRequest())
        terminal.say(f"{config.name} on {mapped.describe()}")

        # Work directory.
        checkpoints = stack.enter_context(Checkpoints(workdir, kept=config.train.checkpoints_kept))
        start = checkpoints.latest()
        if start is not None:
            check_same_config(workdir, config)
        if is_first:
            write_config(workdir, config)

        # Data.
        data = training_batches(
            config,
            split="train",
            batch_size_per_process=local_batch,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            seed=config.seed,
        )
        evaluation = Evaluation(config, workdir, is_first=is_first)

        # State.
        make = functools.partial(init_state, config)
        saved: dict = {}
        if start is None:
            state = mapped.initialise(make)
        else:
            state, saved = checkpoints.restore(start, mapped.abstract(make), data)
            terminal.say(f"going on from the checkpoint of step {start:,}")
        step = start or 0
        terminal.say(
            f"parameters: {parameter_count(state.generator):,} generator, {parameter_count(state.discriminator):,} "
            f"discriminators, {state.codebook['quantizer']['embedding'].size:,} in codebooks"
        )
        log = Log(config, workdir, terminal, after=step, saved=saved, is_first=is_first)
        stack.callback(log.close)

        # Loop.
        steps = Steps(config, mapped, terminal)
        guard = BadStepGuard(config.train.max_bad_steps)
        ahead: list[tuple[int, dict]] = []
        last = config.train.steps if max_steps is None else min(config.train.steps, max_steps)
        is_interrupted = False
        while step < last:
            if stop.requested(step):
                is_interrupted = True
                break
            with log.clock.waiting_for_data():
                batch = next(data)
            with log.clock.paused_if(steps.is_new(step)):
                state, metrics = steps(state, mapped.place(batch), step)
            step += 1
            log.add(metrics)
            ahead.append((step, metrics))
            while len(ahead) > (_STEPS_AHEAD if step < last else 0):
                guard.check(*ahead.pop(0))
            terminal.advance(step)
            if step % config.train.log_every == 0 or step == config.train.steps:
                log.report(step)
            if step % config.train.eval_every == 0 or step == config.train.steps:
                with log.clock.paused_if(True):
                    evaluation(step, state, log)
            if step % config.train.checkpoint_every == 0:
                checkpoints.save(step, state, data, log.save())

        # End.
        checkpoints.save(step, state, data, log.save())
        checkpoints.wait()
        if step < config.train.steps:
            why = "stopped on request" if is_interrupted else "stopped"
            terminal.say(f"{why} at step {step:,}; the same command with --workdir={workdir} goes on from there")
            return
        if not evaluation.has_export() and is_first:
            evaluation.export(state)  # the run was already finished, and its export was removed since
        terminal.say(f"finished {step:,} steps. Model: {workdir / EXPORT_FOLDER}  audio: {workdir / 'samples'}")


class Steps:
    """The step functions of a run: one for each phase, compiled when the phase begins."""

    def __init__(self, config: Config, mapped: Parallel, terminal: Terminal) -> None:
        self._config, self._mapped, self._terminal = config, mapped, terminal
        self._compiled: dict[Phase, Any] = {}
        self._has_codebooks = False

    def is_new(self, step: int) -> bool:
        """Is step number `step` the first of its phase in this process?"""
        return phase_at(self._config, step) not in self._compiled

    def __call__(self, state: TrainState, batch: Any, step: int) -> tuple[TrainState, dict]:
        """Runs step number `step`; the first step that quantizes starts the codebooks from its batch."""
        phase = phase_at(self._config, step)
        if phase.quantize and not self._has_codebooks:
            if not bool(state.codebook["quantizer"]["initialised"]):
                state, _ = self._mapped.compile(make_codebook_init(self._config, self._mapped.axis))(state, batch)
                self._terminal.say(f"codebooks started by k-means at step {step:,}")
            self._has_codebooks = True
        if phase in self._compiled:
            return self._compiled[phase](state, batch)
        began = time.monotonic()
        self._compiled[phase] = self._mapped.compile(make_step(self._config, phase, self._mapped.axis))
        done = jax.block_until_ready(self._compiled[phase](state, batch))
        what = [name for name, on in (("quantizer", phase.quantize), ("discriminators", phase.adversarial)) if on]
        what = " and ".join(what) or "the autoencoder alone"
        self._terminal.say(f"step with {what} compiled and run in {time.monotonic() - began:.1f} s")
        return done


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
        self._steps += 1

    @contextlib.contextmanager
    def paused_if(self, condition: bool) -> Iterator[None]:
        """Leaves the time of the block out; a step inside it is not counted either."""
        began = time.monotonic()
        steps = self._steps
        yield
        if condition:
            self._paused += time.monotonic() - began
            self._steps = steps

    def flush(self, audio_seconds: float) -> dict[str, float]:
        """Rates since the last call, with `audio_seconds` of audio in a batch over all devices."""
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
    """Collects the metrics of the steps without waiting for them, and writes a line every `train.log_every` steps."""

    def __init__(
        self, config: Config, workdir: Path, terminal: Terminal, *, after: int, saved: dict, is_first: bool
    ) -> None:
        self.clock = Clock()
        self.terminal = terminal
        self._config = config
        self._window = Window(saved.get("window"))
        self._pending: list[dict] = []
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
        """What a checkpoint must hold for the lines after it to be the same."""
        self._collect()
        return {"window": self._window.save()}

    def report(self, step: int) -> None:
        """Writes the means since the last report."""
        self._collect()
        line = self._window.flush() | {"learning_rate": float(self._rate(step - 1))}
        line |= self.clock.flush(self._audio_seconds)
        self.write(step, "train", line)
        self.terminal.report(step, line)

    def write(self, step: int, kind: str, line: dict) -> None:
        """Writes a line to metrics.jsonl and TensorBoard."""
        if self._file is not None and self.tensorboard is not None:
            self._file.write({"step": step, "kind": kind, **line})
            self.tensorboard.scalars(step, line, prefix=kind)

    def close(self) -> None:
        for file in (self._file, self.tensorboard):
            if file is not None:
                file.close()


class Evaluation:
    """Validation scores, samples and the export of the averaged generator."""

    def __init__(self, config: Config, workdir: Path, *, is_first: bool) -> None:
        self._config, self._workdir = config, workdir
        reconstruct = Reconstructor(config)
        self._validator = self._samples = None
        if config.train.eval_batches > 0:
            # Every process does the whole of it: no process then waits for another, and none needs the others' results.
            batches = validation_batches(
                config,
                batch_size_per_process=min(config.train.batch_size, BATCH),
                num_batches=config.train.eval_batches,
            )
            self._validator = Validator(config, batches, reconstruct)
        if config.train.sample_files > 0 and is_first:
            self._samples = Samples(config, workdir, reconstruct)
        self._is_first = is_first

    def __call__(self, step: int, state: TrainState, log: Log) -> None:
        """Evaluates after `step` finished steps."""
        quantize = phase_at(self._config, step - 1).quantize
        variables = jax.device_get({"params": state.average, "codebook": state.codebook})
        variables = jax.device_put(variables, jax.local_devices()[0])
        if self._validator is not None:
            scores = self._validator(variables, quantize=quantize)
            log.write(step, "validation", scores)
            shown = [f"{name} {value:.3g}" for name, value in scores.items() if name.startswith(("snr", "mel"))]
            log.terminal.say(f"validation at step {step:,}: {'  '.join(shown)}")
        if self._samples is not None and log.tensorboard is not None:
            self._samples.write(step, variables, log.tensorboard, quantize=quantize)
        if not quantize:
            log.terminal.say(f"no export yet: codebooks start at step {self._config.quantizer.start_step:,}")
        elif self._is_first:
            self.export(state)

    def export(self, state: TrainState) -> None:
        """Writes WORKDIR/export."""
        average, codebook = jax.device_get((state.average, state.codebook))
        Codec(self._config, average, codebook).save(self._workdir / EXPORT_FOLDER)

    def has_export(self) -> bool:
        return (self._workdir / EXPORT_FOLDER / "config.json").exists()
