"""The training loop."""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path
from typing import Any

import jax

from codax.config import Config
from codax.data.pipeline import training_batches
from codax.training.checkpoints import Checkpoints, check_same_config, write_config
from codax.training.evaluation import EXPORT_FOLDER, Evaluation
from codax.training.logging import Terminal
from codax.training.parallel import Parallel
from codax.training.reporting import Log
from codax.training.state import TrainState, init_state, parameter_count
from codax.training.step import Phase, make_codebook_init, make_step, phase_at
from codax.training.stopping import BadStepGuard, StopRequest

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
        parts = [
            ("quantizer", phase.quantize),
            ("spectral loss", phase.spectral),
            ("discriminators", phase.adversarial),
        ]
        what = ", ".join(name for name, on in parts if on) or "the autoencoder alone"
        self._terminal.say(f"step with {what}: compiled and run in {time.monotonic() - began:.1f} s")
        return done
