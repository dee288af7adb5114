"""Speech recognition by HuBERT or WavLM, from folders of transformers' `HubertForCTC` and `WavLMForCTC`.

A linear layer gives the scores of the letters of each frame. The best letter of each frame is taken, repetitions are
merged and blanks dropped (greedy decoding of connectionist temporal classification, Graves et al. 2006).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.storage import strict_json
from codax.teachers import hubert
from codax.teachers.teacher import TeacherError

_SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")  # the first is the blank
_SPACE = "|"


class CtcNetwork:
    """A recogniser of whole signals.

    Args:
      folder: with config.json, vocab.json and weights.

    Raises:
      TeacherError: naming the file and the reason.
    """

    sample_rate = 16_000

    def __init__(self, folder: Path) -> None:
        config, weights, normalise = hubert.load(folder)
        path = folder / "vocab.json"
        numbers = strict_json.read_object(path, "vocabulary", TeacherError)
        if sorted(numbers.values(), key=str) != sorted(range(len(numbers)), key=str) or _SPECIAL[0] not in numbers:
            raise TeacherError(f"{path}: its letters are not numbered from 0, or it has no {_SPECIAL[0]}")
        self._letters = sorted(numbers, key=numbers.__getitem__)
        for name, shape in (("weight", (len(numbers), config.hidden_size)), ("bias", (len(numbers),))):
            actual = weights[f"lm_head.{name}"].shape if f"lm_head.{name}" in weights else None
            if actual != shape:
                raise TeacherError(f"{hubert.weights_of(folder)}: lm_head.{name} has shape {actual}, not {shape}")
        self._config, self._weights = config, jax.device_put(weights)

        def run(w: Any, audio: jax.Array, lengths: jax.Array) -> jax.Array:
            audio = hubert.normalised(audio, lengths) if normalise else audio
            states = hubert.hidden_states(config, w, audio, lengths, alone=True)
            return jnp.argmax(states[-1] @ w["lm_head.weight"].T + w["lm_head.bias"], axis=-1)

        self._run = jax.jit(run)

    def __call__(self, audio: np.ndarray) -> str:
        """The text of mono speech, float32 [time] at 16 kHz; "" if it is shorter than a frame.

        The audio is padded to whole seconds, which have no effect, to limit the number of compiled programs.
        """
        frames = int(self._config.frames(len(audio)))
        if frames < 1:
            return ""
        padded = np.pad(np.asarray(audio, np.float32), (0, -len(audio) % self.sample_rate))[None]
        best = np.asarray(self._run(self._weights, padded, jnp.asarray([len(audio)])))[0, :frames]
        return text_of([self._letters[number] for number in best])


def text_of(letters: Sequence[str]) -> str:
    """The text of the best letters of all frames."""
    kept = [letter for letter, _ in itertools.groupby(letters) if letter not in _SPECIAL]
    return " ".join("".join(kept).replace(_SPACE, " ").split())
