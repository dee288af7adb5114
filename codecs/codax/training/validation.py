"""Scores of the averaged generator on fixed validation crops, at every rate of the recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.codec.module import CodecModel
from codax.config import Config
from codax.dsp import distances
from codax.dsp.mel import mel_matrix
from codax.dsp.stft import magnitude, stft
from codax.losses import spectral

BATCH = 16  # largest batch; fixed, so that the scores do not depend on the number of devices
_MEL_WINDOW, _MELS = 1024, 64
_ENERGY_FLOOR = 1e-8


class Reconstructor:
    """Encodes and decodes audio; changing the number of quantizers does not recompile."""

    def __init__(self, config: Config) -> None:
        self._config, model = config, CodecModel(config)
        film = config.model.film != "none"

        def encode(variables: Any, audio: jax.Array) -> Any:
            frames = audio.shape[1] // config.hop
            on = jnp.ones((audio.shape[0], frames)) if film else None
            return model.apply(variables, audio, on, method=CodecModel.encode_latent)

        def through(m: CodecModel, latent: jax.Array, levels: jax.Array, quantize: bool):
            metrics = {}
            if quantize:
                levels = jnp.full(latent.shape[:1], levels)
                out = m.quantizer(latent, levels=levels, key=jax.random.key(0), update=False)
                latent, metrics = out.quantized, out.metrics
            on = jnp.ones(latent.shape[:2]) if film else None
            return m.decode_latent(latent, on), metrics

        def decode(variables: Any, latent: jax.Array, levels: jax.Array, quantize: bool):
            return model.apply(variables, latent, levels, quantize, method=through)

        self._encode = jax.jit(encode)
        self._decode = jax.jit(decode, static_argnums=3)

    def rates(self) -> dict[str, int]:
        """Returns the label and number of quantizers of every rate to report; the last is the highest."""
        counts = {self._config.quantizers_for(kbps) for kbps in self._config.quantizer.kbps}
        counts.add(self._config.quantizer.num_quantizers)
        return {f"{self._config.kbps(n):g}kbps": n for n in sorted(counts)}

    def __call__(self, variables: Any, audio: np.ndarray, levels: Sequence[int], *, quantize: bool = True):
        """Yields (audio [batch, time, channels], codebook metrics) for each number in `levels`; denoising is on."""
        scale = distances.rms_scale(audio)[:, None, None] if self._config.model.normalize else np.float32(1)
        latent = self._encode(variables, audio / scale)
        for count in levels:
            decoded, metrics = self._decode(variables, latent, jnp.int32(count), quantize)
            yield decoded * scale, metrics


class Validator:
    """Computes the scores as plain numbers: `Validator(config, batches, reconstruct)(variables)`."""

    def __init__(self, config: Config, batches: Sequence[dict[str, np.ndarray]], reconstruct: Reconstructor) -> None:
        """Args: batches, from `codax.data.pipeline.validation_batches`."""
        self._config, self._batches, self._reconstruct = config, batches, reconstruct
        self._score = jax.jit(lambda target, estimate: scores(config, target, estimate))

    def __call__(self, variables: Any, *, quantize: bool = True) -> dict[str, float]:
        """Returns means over the batches; names end in the rate (`snr/6kbps`), or in `latent` without quantization.

        Args:
          variables: {"params", "codebook"} of the averaged generator.
          quantize: False before the codebooks are initialised.
        """
        rates = self._reconstruct.rates() if quantize else {"latent": 0}
        sums: dict[str, float] = {}
        for batch in self._batches:
            target = batch.get("clean", batch["audio"])
            outputs = self._reconstruct(variables, batch["audio"], list(rates.values()), quantize=quantize)
            for label, (audio, codebook) in zip(rates, outputs, strict=True):
                values = {f"{name}/{label}": v for name, v in self._score(target, audio).items()}
                if label == list(rates)[-1]:
                    values |= {f"codebook/{name}": jnp.mean(v) for name, v in codebook.items()}
                for name, value in jax.device_get(values).items():
                    sums[name] = sums.get(name, 0.0) + float(value)
        return {name: value / len(self._batches) for name, value in sums.items()}


def scores(config: Config, target: jax.Array, estimate: jax.Array) -> dict[str, jax.Array]:
    """Computes losses and distances between audio [batch, time, channels], means over examples.

    Returns:
      waveform: L1; spectral: the recipe's loss on all windows; mel: mean absolute difference of natural-log mel
      magnitudes (not the `mel` of evaluations); snr and si_sdr in dB.
    """
    a = jnp.moveaxis(target, -1, 1).reshape(-1, target.shape[1])
    b = jnp.moveaxis(estimate, -1, 1).reshape(-1, target.shape[1])
    rate = config.model.sample_rate
    return {
        "waveform": spectral.waveform_l1(target, estimate),
        "spectral": spectral.multiscale_mel(target, estimate, config.loss, sample_rate=rate),
        "mel": distances.log_distance(_mel(a, rate), _mel(b, rate)),
        "snr": jnp.mean(distances.snr(a, b, floor=_ENERGY_FLOOR)),
        "si_sdr": jnp.mean(distances.si_sdr(a, b, floor=_ENERGY_FLOOR)),
    }


def _mel(audio: jax.Array, sample_rate: int) -> jax.Array:
    """Mel magnitudes of [batch, time]: window 1024, hop 256, 64 filters."""
    return magnitude(stft(audio, _MEL_WINDOW, _MEL_WINDOW // 4)) @ mel_matrix(sample_rate, _MEL_WINDOW, _MELS)
