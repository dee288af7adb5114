"""The training loop."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from codax.codec.codec import Codec
from codax.config import Config
from codax.data.pipeline import training_batches
from codax.quantizers.registry import make_quantizer
from codax.teachers.open import open_differentiable, open_teacher
from codax.teachers.teacher import Teacher
from codax.training import language, samples_page
from codax.training.checkpoints import Checkpoints
from codax.training.compilation import compile_programs
from codax.training.evaluator import BEST_FOLDER, EXPORT_FOLDER, CodecEvaluator
from codax.training.parallel import Parallel
from codax.training.programs import Programs
from codax.training.reporting import Log, show_compilation
from codax.training.start import adopt, resume, start_from
from codax.training.state import TrainState, init_state
from codax.training.step import Phase, make_codebook_init, phase_at
from codax.training.stopping import BadStepGuard, StopRequest
from codax.training.terminal import Terminal
from codax.training.watchdog import Watchdog
from codax.training.workdir import alone_in, check_same_config, write_config

_STEPS_AHEAD = 2  # steps that the device may have queued


def train(config: Config, workdir: str | Path, *, parallel: str = "shard_map", max_steps: int | None = None) -> None:
    """Trains a codec, or with `lm.codec` a language model, until `train.steps`; resumes from the latest checkpoint.

    SIGTERM and SIGINT end the run early with a checkpoint. The resumed run equals the uninterrupted one bit for bit.

    Args:
      config: the recipe.
      workdir: folder for config.json, checkpoints/, metrics.jsonl, TensorBoard events, samples/ and export/.
      parallel: "shard_map" or "pmap".
      max_steps: stop at this step with a checkpoint, as after a signal; None = `train.steps`.

    Raises:
      CodaxError: unusable config, data, work directory or checkpoint; another run in the work directory; full disk;
        too many non-finite steps.
    """
    config.validate()
    codec = None  # only for language models, which learn its codes
    if config.lm.codec:
        config, codec = language.with_codec(config)
    workdir = Path(workdir)
    with contextlib.ExitStack() as stack:
        # ---- Devices ------------------------------------------------------------------------------------------------
        mapped = Parallel(parallel)
        local_batch = mapped.local_batch(config.train.batch_size, config.memory.accumulate)
        is_first = jax.process_index() == 0  # this process writes files
        terminal = stack.enter_context(Terminal(config.train.steps, quiet=not is_first))
        terminal.say(f"{config.name} on {mapped.describe()}")

        # ---- Work directory -----------------------------------------------------------------------------------------
        if is_first:
            stack.enter_context(alone_in(workdir))
        checkpoints = stack.enter_context(
            Checkpoints(workdir, kept=config.train.checkpoints_kept, best=config.train.checkpoints_best)
        )
        stop = stack.enter_context(StopRequest(checkpoints.kept))
        start = checkpoints.latest()
        if config.train.start_from:
            config = adopt(config, workdir if start is not None else None)
        if start is not None:
            check_same_config(workdir, config)
        if is_first:
            write_config(workdir, config)

        # ---- Data ---------------------------------------------------------------------------------------------------
        make_batches = training_batches if codec is None else functools.partial(language.training_batches, codec=codec)
        data = make_batches(
            config,
            split="train",
            batch_size_per_process=local_batch,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            seed=config.seed,
        )
        stack.callback(data.close)
        watchdog = stack.enter_context(Watchdog(config.data.timeout_seconds, lambda _: _no_data(config, checkpoints)))

        # ---- Model and state ----------------------------------------------------------------------------------------
        parts = _parts_of(config, codec, workdir, mapped, is_first=is_first)
        evaluator, frozen = parts.evaluator, parts.frozen
        saved: dict = {}
        if start is None:
            state = mapped.initialise(parts.make_state)
            if config.train.start_from:
                state = start_from(config, state, mapped.state_sharding)
                terminal.say(
                    f"starting from {config.train.start_from}, with its network and codebooks instead of the recipe's"
                )
        else:
            state, saved = resume(checkpoints, start, mapped.abstract(parts.make_state), data)
            terminal.say(f"resuming from the checkpoint of step {start:,}")
        step = start or 0
        terminal.say(evaluator.describe(state))
        log = Log(config, workdir, terminal, after=step, saved=saved, is_first=is_first)
        stack.callback(log.close)

        guard = BadStepGuard(config.train.max_bad_steps)
        programs, compiled = Programs(config, mapped), dict[Phase, Any]()
        ahead: list[tuple[int, dict]] = []
        last = config.train.steps if max_steps is None else min(config.train.steps, max_steps)
        is_interrupted, has_codebooks, score = False, False, None
        while step < last:
            if stop.requested(step):
                is_interrupted = True
                break

            # ---- Step -----------------------------------------------------------------------------------------------
            with log.clock.waiting_for_data(), watchdog.watching():
                batch = next(data)
            phase = phase_at(config, step)
            is_new = phase not in compiled
            with log.clock.step(is_compiled=is_new), stop.patient(is_new):
                batch = mapped.place(parts.prepare(batch))
                if phase.quantize and not has_codebooks:
                    state, has_codebooks = _with_codebooks(config, mapped, terminal, state, batch), True
                began = time.monotonic()
                if is_new:
                    compiled[phase] = programs.step(phase)
                    how = show_compilation(compile_programs(programs.outline(phase, state, batch, *frozen)), terminal)
                state, metrics = compiled[phase](state, batch, *frozen)
                if is_new:
                    jax.block_until_ready(state)
                    terminal.say(f"step with {phase}: compiled and run in {time.monotonic() - began:.1f} s{how}")
            step, score = step + 1, None
            ahead.append((step, metrics))
            while len(ahead) > (_STEPS_AHEAD if step < last else 0):
                guard.check(*ahead.pop(0))

            # ---- Log ------------------------------------------------------------------------------------------------
            log.add(metrics)
            terminal.advance(step)
            if step % config.train.log_every == 0 or step == config.train.steps:
                log.report(step)

            # ---- Evaluate -------------------------------------------------------------------------------------------
            if step % config.train.eval_every == 0 or step == config.train.steps:
                with log.clock.paused_if(True), stop.patient():
                    score = evaluator(step, state, log)
                    if log.is_best(score) and is_first:
                        evaluator.export(state, BEST_FOLDER)
            elif evaluator.writes_samples(step):
                with log.clock.paused_if(True), stop.patient():
                    evaluator.sample(step, state, log)

            # ---- Checkpoint -----------------------------------------------------------------------------------------
            if step % config.train.checkpoint_every == 0:
                with stop.patient():
                    checkpoints.save(step, mapped.shared(state), data, log.save(), score)

        with stop.patient():
            checkpoints.save(step, mapped.shared(state), data, log.save(), score)
            checkpoints.wait()
        if is_first and step >= config.train.steps and not evaluator.has_export() and _has_model(config):
            evaluator.export(state)  # the run was complete already, but its export has been removed
        terminal.say(_outcome(config, workdir, step, is_interrupted=is_interrupted))


@dataclasses.dataclass(frozen=True)
class _Parts:
    """What the loop needs of a codec or of a language model.

    Attributes:
      make_state: returns a fresh state.
      evaluator: evaluates, writes samples and exports.
      prepare: adds to a batch what the step needs.
      frozen: arrays that the step takes after the batch.
    """

    make_state: Callable[[], TrainState]
    evaluator: Any
    prepare: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
    frozen: list[Any]


def _parts_of(config: Config, codec: Codec | None, workdir: Path, mapped: Parallel, *, is_first: bool) -> _Parts:
    if codec is not None:
        make_state = functools.partial(language.init_state, config)
        prepare = functools.partial(language.add_codes, config, codec)
        return _Parts(make_state, language.LanguageEvaluator(config, codec, workdir), prepare, [])
    evaluator, frozen = CodecEvaluator(config, workdir, is_first=is_first), []
    prepare = functools.partial(_add_features, _live_teacher(config))
    if config.loss.self_supervised > 0:
        frozen = [jax.device_put(open_differentiable(config), mapped.state_sharding)]
    return _Parts(functools.partial(init_state, config), evaluator, prepare, frozen)


def _has_model(config: Config) -> bool:
    """Whether the last step of a run uses codebooks, without which a codec cannot be exported."""
    return bool(config.lm.codec) or phase_at(config, config.train.steps - 1).quantize


def _outcome(config: Config, workdir: Path, step: int, *, is_interrupted: bool) -> str:
    """The last line of a run."""
    if step < config.train.steps:
        why = "stopped on request" if is_interrupted else "stopped"
        return f"{why} at step {step:,}; the same command with --workdir={workdir} resumes it"
    if not _has_model(config):
        start = config.quantizer.start_step
        return f"finished {step:,} steps without a model: the codebooks would start at step {start:,}"
    page = samples_page.page_of(workdir)
    audio = f"  audio: {page}" if page.exists() else ""
    return f"finished {step:,} steps. Model: {workdir / EXPORT_FOLDER}{audio}"


def _no_data(config: Config, checkpoints: Checkpoints) -> str:
    source = config.lm.tokens or ", ".join(config.data.mixture.specs.values()) or config.data.source
    return f"{source}: no batch for {config.data.timeout_seconds:g} s (data.timeout_seconds); {checkpoints.kept()}"


def _live_teacher(config: Config) -> Teacher | None:
    """Opens the network that computes features of batches; None if the data has them, or if they are not used."""
    return open_teacher(config) if config.loss.distillation > 0 and not config.teacher.precomputed else None


def _add_features(teacher: Teacher | None, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return batch if teacher is None else batch | {"features": teacher(batch["audio"].mean(axis=-1))}


def _with_codebooks(config: Config, mapped: Parallel, terminal: Terminal, state: TrainState, batch: Any) -> TrainState:
    """Initialises the codebooks from a batch, unless they are initialised already."""
    if bool(state.codebook["quantizer"]["initialised"]):
        return state
    state, _ = mapped.compile(make_codebook_init(config, mapped.axis))(state, batch)
    start = make_quantizer(config).describe().start
    terminal.say(f"codebooks started {start} at step {int(state.step):,}")
    return state
