"""Writes audio and spectrograms of a few validation examples to WORKDIR/samples and TensorBoard."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from codax import audio
from codax.audio.spectrograms import spectrograms
from codax.config import Config
from codax.data.pipeline import validation_batches
from codax.errors import CodaxError
from codax.storage.files import write_whole
from codax.training import samples_page
from codax.training.logs import TensorBoard
from codax.training.validation import Reconstructor

SECONDS = 4.0  # of an example, for listening
FIRST_STEP = 200  # of the first samples, which can be heard long before the first evaluation of a long run
_TENSORBOARD_FILES = 2


def is_early(step: int) -> bool:
    """Whether samples are written between evaluations: at `FIRST_STEP`, and later at powers of two."""
    return step == FIRST_STEP or (step > FIRST_STEP and step & (step - 1) == 0)


class Samples:
    """Writes originals and reconstructions at every rate.

    WORKDIR/samples/step_STEP holds 00_original.wav, 00_6kbps.wav, 00.png and so on. The folders of steps that are
    `is_early` are kept, and those of the last `train.checkpoints_kept` evaluations. Recipes that denoise add the noisy
    input, 00_input.wav. WORKDIR/samples/index.html plays and shows them, with the losses until then.
    """

    def __init__(self, config: Config, workdir: Path, reconstruct: Reconstructor) -> None:
        """Reads `train.sample_files` crops of the validation split.

        Raises:
          CodaxError: as `validation_batches`.
        """
        self._config, self._reconstruct = config, reconstruct
        self._workdir, self._folder = workdir, workdir / samples_page.FOLDER
        longer = dataclasses.replace(config, train=dataclasses.replace(config.train, segment_seconds=SECONDS))
        (self._batch,) = validation_batches(longer, batch_size_per_process=config.train.sample_files, num_batches=1)

    def write(self, step: int, variables: Any, tensorboard: TensorBoard, *, quantize: bool = True) -> Path:
        """Writes the samples of `step` and the page of all samples, and returns the path of the page.

        Raises:
          CodaxError: the folder cannot be written.
        """
        rates = self._reconstruct.rates() if quantize else {"latent": 0}
        source = self._batch["audio"]
        signals = {"original": self._batch.get("clean", source)}
        if "clean" in self._batch:
            signals["input"] = source
        outputs = self._reconstruct(variables, source, list(rates.values()), quantize=quantize)
        # The network of a run that diverges may give values that no file holds.
        signals |= {label: np.nan_to_num(np.asarray(out)) for label, (out, _) in zip(rates, outputs, strict=True)}
        signals = {label: np.clip(signal, -1.0, 1.0) for label, signal in signals.items()}
        folder = self._folder / f"step_{step:08d}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(len(source)):
                self._write_one(step, i, {name: batch[i] for name, batch in signals.items()}, folder, tensorboard)
            self._remove_old()
            return samples_page.write(self._workdir, self._config, step)
        except OSError as error:
            raise CodaxError(f"{folder}: samples cannot be written ({error.strerror or error})") from error

    def _write_one(
        self, step: int, index: int, signals: dict[str, np.ndarray], folder: Path, tensorboard: TensorBoard
    ) -> None:
        rate = self._config.model.sample_rate
        png, size = spectrograms({name: np.mean(x, axis=1) for name, x in signals.items()}, rate)
        write_whole(folder / f"{index:02d}.png", png)
        for name, signal in signals.items():
            audio.write(folder / f"{index:02d}_{name}.wav", signal, rate)
            if index < _TENSORBOARD_FILES:
                tensorboard.audio(step, f"samples/{index:02d}_{name}", signal, rate)
        if index < _TENSORBOARD_FILES:
            tensorboard.png(step, f"samples/{index:02d}", png, size)

    def _remove_old(self) -> None:
        steps = {path: _step_of(path) for path in self._folder.iterdir()}
        regular = {path: step for path, step in steps.items() if step is not None and not is_early(step)}
        folders = sorted(regular, key=regular.__getitem__)
        for folder in folders[: -max(1, self._config.train.checkpoints_kept)]:
            shutil.rmtree(folder, ignore_errors=True)


def _step_of(folder: Path) -> int | None:
    """Returns the step of a folder of samples; None for other files."""
    match = samples_page.STEP_FOLDER.fullmatch(folder.name)
    return int(match[1]) if match else None
