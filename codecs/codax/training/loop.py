"""The training loop."""

from __future__ import annotations

import contextlib
from pathlib import Path

import jax

from codax.config import Config
from codax.data.pipeline import training_batches
from codax.training import language
from codax.training.checkpoints import Checkpoints, check_same_config, write_config
from codax.training.evaluation import BEST_FOLDER, EXPORT_FOLDER
from codax.training.logs import Terminal
from codax.training.parallel import Parallel
from codax.training.reporting import Log
from codax.training.start import start_from
from codax.training.stopping import BadStepGuard, StopRequest
from codax.training.tasks import CodecTask
from codax.training.watchdog import Watchdog

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
    codec = None
    if config.lm.codec:
        config, codec = language.with_codec(config)
    workdir = Path(workdir)
    with contextlib.ExitStack() as stack:
        # Devices.
        mapped = Parallel(parallel)
        local_batch = mapped.local_batch(config.train.batch_size, config.memory.accumulate)
        is_first = jax.process_index() == 0  # the process that writes files
        terminal = stack.enter_context(Terminal(config.train.steps, quiet=not is_first))
        stop = stack.enter_context(StopRequest())
        terminal.say(f"{config.name} on {mapped.describe()}")

        # Work directory.
        checkpoints = stack.enter_context(
            Checkpoints(workdir, kept=config.train.checkpoints_kept, best=config.train.checkpoints_best)
        )
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
        stack.callback(data.close)
        if codec is None:
            task = CodecTask(config, mapped, terminal, workdir)
        else:
            task = language.LanguageTask(config, codec, mapped, workdir)

        # State.
        saved: dict = {}
        if start is None:
            state = mapped.initialise(task.make_state)
            if config.train.start_from:
                state = start_from(config, state, mapped.state_sharding)
                terminal.say(f"starting from {config.train.start_from}")
        else:
            state, saved = checkpoints.restore(start, mapped.abstract(task.make_state), data)
            terminal.say(f"going on from the checkpoint of step {start:,}")
        step = start or 0
        terminal.say(task.describe(state))
        log = Log(config, workdir, terminal, after=step, saved=saved, is_first=is_first)
        stack.callback(log.close)

        # Loop.
        guard = BadStepGuard(config.train.max_bad_steps)
        ahead: list[tuple[int, dict]] = []
        dog = stack.enter_context(Watchdog(config.data.timeout_seconds, lambda: _no_data(config, checkpoints)))
        last = config.train.steps if max_steps is None else min(config.train.steps, max_steps)
        is_interrupted, score = False, None
        while step < last:
            if stop.requested(step):
                is_interrupted = True
                break
            with log.clock.waiting_for_data(), dog.watching():
                batch = next(data)
            batch = task.prepare(batch)
            with log.clock.paused_if(task.is_new(step)):
                state, metrics = task.run(state, mapped.place(batch), step)
            step, score = step + 1, None
            log.add(metrics)
            ahead.append((step, metrics))
            while len(ahead) > (_STEPS_AHEAD if step < last else 0):
                guard.check(*ahead.pop(0))
            terminal.advance(step)
            if step % config.train.log_every == 0 or step == config.train.steps:
                log.report(step)
            if step % config.train.eval_every == 0 or step == config.train.steps:
                with log.clock.paused_if(True):
                    score = task.evaluate(step, state, log)
                    if log.is_best(score) and is_first:
                        task.export(state, BEST_FOLDER)
            if step % config.train.checkpoint_every == 0:
                checkpoints.save(step, mapped.shared(state), data, log.save(), score)

        # End.
        checkpoints.save(step, mapped.shared(state), data, log.save(), score)
        checkpoints.wait()
        if step < config.train.steps:
            why = "stopped on request" if is_interrupted else "stopped"
            terminal.say(f"{why} at step {step:,}; the same command with --workdir={workdir} goes on from there")
            return
        if not task.has_export() and is_first:
            task.export(state)  # the run was already finished, and its export was removed since
        terminal.say(f"finished {step:,} steps. Model: {workdir / EXPORT_FOLDER}  audio: {workdir / 'samples'}")


def _no_data(config: Config, checkpoints: Checkpoints) -> str:
    source = ", ".join(config.data.mixture.specs.values()) or config.data.source
    return f"{source}: no batch for {config.data.timeout_seconds:g} s (data.timeout_seconds); {checkpoints.kept()}"
