"""Evaluation every `train.eval_every` steps: validation scores, samples and the export of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from codax.codec.codec import Codec
from codax.config import Config
from codax.data.pipeline import validation_batches
from codax.errors import CodaxError
from codax.quantizers.registry import make_quantizer
from codax.training.reporting import Log
from codax.training.samples import Samples, is_early
from codax.training.state import TrainState, parameter_count
from codax.training.step import phase_at
from codax.training.validation import BATCH, Reconstructor, Validator

EXPORT_FOLDER = "export"
BEST_FOLDER = "best"


class CodecEvaluator:
    """Validation scores, samples and the export of the averaged generator."""

    def __init__(self, config: Config, workdir: Path, *, is_first: bool) -> None:
        """Args: is_first, whether this process writes files. Raises CodaxError if there is no validation audio."""
        self._config, self._workdir = config, workdir
        reconstruct = Reconstructor(config)
        self._validator = self._samples = None
        if config.train.eval_batches > 0:
            # Every process validates on all batches, so that none waits for another's results.
            batches = validation_batches(
                config,
                batch_size_per_process=min(config.train.batch_size, BATCH),
                num_batches=config.train.eval_batches,
            )
            self._validator = Validator(config, batches, reconstruct)
        if config.train.sample_files > 0 and is_first:
            self._samples = Samples(config, workdir, reconstruct)
        self._is_first = is_first

    def describe(self, state: TrainState) -> str:
        """Returns the sizes of the networks, for the log."""
        quantizer = make_quantizer(self._config)
        return (
            f"parameters: {parameter_count(state.generator):,} generator, {parameter_count(state.discriminator):,} "
            f"discriminators, {quantizer.describe().codebook_values:,} in codebooks"
        )

    def __call__(self, step: int, state: TrainState, log: Log) -> float | None:
        """Evaluates after `step` finished steps.

        Returns:
          The mel distance of validation, mean over the rates; lower is better. None without validation or codes.
        """
        score = None
        quantize = phase_at(self._config, step - 1).quantize
        variables = _variables(state)
        if self._validator is not None:
            scores = self._validator(variables, quantize=quantize)
            log.write(step, "validation", scores)
            shown = [f"{name} {value:.3g}" for name, value in scores.items() if name.startswith(("snr", "mel"))]
            log.terminal.say(f"validation at step {step:,}: {'  '.join(shown)}")
            if quantize:
                score = float(np.mean([value for name, value in scores.items() if name.startswith("mel/")]))
        self._write_samples(step, variables, log, quantize=quantize)
        if not quantize:
            log.terminal.say(f"no export yet: codebooks start at step {self._config.quantizer.start_step:,}")
        elif self._is_first:
            self.export(state)
        return score

    def writes_samples(self, step: int) -> bool:
        """Whether this process writes samples at a step without evaluation."""
        return self._samples is not None and is_early(step)

    def sample(self, step: int, state: TrainState, log: Log) -> None:
        """Writes samples between evaluations. Training does not depend on it."""
        quantize = phase_at(self._config, step - 1).quantize
        page = self._write_samples(step, _variables(state), log, quantize=quantize)
        if page is not None:
            log.terminal.say(f"audio of step {step:,}: {page}")

    def _write_samples(self, step: int, variables: Any, log: Log, *, quantize: bool) -> Path | None:
        """Writes samples and returns the path of their page; if that fails, only warns."""
        if self._samples is None or log.tensorboard is None:
            return None
        try:
            return self._samples.write(step, variables, log.tensorboard, quantize=quantize)
        except CodaxError as error:
            log.terminal.warn(str(error))
            return None

    def export(self, state: TrainState, folder: str = EXPORT_FOLDER) -> None:
        """Writes WORKDIR/FOLDER."""
        average, codebook = jax.device_get((state.average, state.codebook))
        Codec(self._config, average, codebook).save(self._workdir / folder)

    def has_export(self) -> bool:
        return (self._workdir / EXPORT_FOLDER / "config.json").exists()


def _variables(state: TrainState) -> Any:
    """The averaged generator and the codebooks on one device."""
    variables = jax.device_get({"params": state.average, "codebook": state.codebook})
    return jax.device_put(variables, jax.local_devices()[0])
