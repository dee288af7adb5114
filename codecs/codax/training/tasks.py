"""What the training loop trains: a codec."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from codax.config import Config
from codax.teachers.open import open_teacher
from codax.training.evaluation import EXPORT_FOLDER, Evaluation
from codax.training.logs import Terminal
from codax.training.parallel import Parallel
from codax.training.reporting import Log
from codax.training.state import TrainState, init_state, parameter_count
from codax.training.step import Phase, make_codebook_init, make_step, phase_at


class CodecTask:
    """The step functions of a run, one for each phase, compiled when the phase begins; and its evaluation.

    Attributes:
      make_state: makes the state to start from.
    """

    def __init__(self, config: Config, mapped: Parallel, terminal: Terminal, workdir: Path) -> None:
        """Raises CodaxError if there is no audio to evaluate on, or the teacher is missing or does not fit."""
        self._config, self._mapped, self._terminal = config, mapped, terminal
        self.make_state = functools.partial(init_state, config)
        self._evaluation = Evaluation(config, workdir, is_first=jax.process_index() == 0)
        self._compiled: dict[Phase, Any] = {}
        self._has_codebooks = False
        live = config.loss.distillation > 0 and not config.teacher.precomputed
        self._teacher = open_teacher(config) if live else None

    def describe(self, state: TrainState) -> str:
        """For the log: what is trained."""
        # Entries that are learned by gradient are parameters of the generator; some quantizers have none.
        entries = (state.codebook["quantizer"] | state.generator.get("quantizer", {})).get("embedding")
        return (
            f"parameters: {parameter_count(state.generator):,} generator, {parameter_count(state.discriminator):,} "
            f"discriminators, {0 if entries is None else entries.size:,} in codebooks"
        )

    def prepare(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Makes what the step takes of a batch of this process: adds the teacher's features, if it has none."""
        if self._teacher is None:
            return batch
        return batch | {"features": self._teacher(batch["audio"].mean(axis=-1))}

    def is_new(self, step: int) -> bool:
        """Is step number `step` the first of its phase in this process?"""
        return phase_at(self._config, step) not in self._compiled

    def run(self, state: TrainState, batch: Any, step: int) -> tuple[TrainState, dict]:
        """Runs step number `step`; the first step that quantizes starts the codebooks from its batch."""
        phase = phase_at(self._config, step)
        if phase.quantize and not self._has_codebooks:
            if not bool(state.codebook["quantizer"]["initialised"]):
                state, _ = self._mapped.compile(make_codebook_init(self._config, self._mapped.axis))(state, batch)
                how = "by k-means" if self._config.quantizer.kind == "average" else "from the latent's scale"
                self._terminal.say(f"codebooks started {how} at step {step:,}")
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

    def evaluate(self, step: int, state: TrainState, log: Log) -> float | None:
        """Evaluates, and exports the model, after `step` finished steps; see `Evaluation`."""
        return self._evaluation(step, state, log)

    def export(self, state: TrainState, folder: str = EXPORT_FOLDER) -> None:
        """Writes WORKDIR/FOLDER."""
        self._evaluation.export(state, folder)

    def has_export(self) -> bool:
        return self._evaluation.has_export()
