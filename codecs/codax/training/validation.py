"""Scores of the averaged generator on fixed validation crops, at every rate that the recipe reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.audio.segments import rms_scale
from codax.codec.module import CodecModel
from codax.config import Config
from codax.dsp.mel import mel_matrix
from codax.dsp.stft import magnitude, stft
from codax.losses import spectral

BATCH = 16  # most examples at a time; fixed, so that the scores do not depend on the number of devices
_MEL_WINDOW, _MELS = 1024, 64


class Reconstructor:
    """Audio through the codec at a number of quantizers that may change without a new compilation."""

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
        """Label and number of quantizers of every rate to report; the last is the highest."""
        counts = {self._config.quantizers_for(kbps) for kbps in self._config.quantizer.kbps}
        counts.add(self._config.quantizer.num_quantizers)
        return {f"{self._config.kbps(n):g}kbps": n for n in sorted(counts)}

    def __call__(self, variables: Any, audio: np.ndarray, levels: Sequence[int], *, quantize: bool = True):
        """Yields (audio [batch, time, channels], codebook metrics) for every entry of `levels`; denoising is on."""
        scale = rms_scale(audio)[:, None, None] if self._config.model.normalize else np.float32(1)
        latent = self._encode(variables, audio / scale)
        for count in levels:
            decoded, metrics = self._decode(variables, latent, jnp.int32(count), quantize)
            yield decoded * scale, metrics


class Validator:
    """`Validator(config, batches)(variables)` gives the scores as plain numbers."""

    def __init__(self, config: Config, batches: Sequence[dict[str, np.ndarray]], reconstruct: Reconstructor) -> None:
        """Args: batches as `codax.data.pipeline.validation_batches` makes them."""
        self._config, self._batches, self._reconstruct = config, batches, reconstruct
        self._score = jax.jit(lambda target, estimate: scores(config, target, estimate))

    def __call__(self, variables: Any, *, quantize: bool = True) -> dict[str, float]:
        """Means over the batches; names end in the rate (`snr/6kbps`), or in `latent` without quantization.

        Args:
          variables: {"params", "codebook"} of the averaged generator.
          quantize: False before the codebooks are started.
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
    """Losses and distances between audio [batch, time, channels], means over examples.

    Returns:
      waveform: L1; spectral: the recipe's loss on all windows; mel: mean absolute difference of natural-log mel
      magnitudes; snr and si_sdr in dB.
    """
    a = jnp.moveaxis(target, -1, 1).reshape(-1, target.shape[1])
    b = jnp.moveaxis(estimate, -1, 1).reshape(-1, target.shape[1])
    rate = config.model.sample_rate
    return {
        "waveform": spectral.waveform_l1(target, estimate),
        "spectral": spectral.multiscale_mel(target, estimate, config.loss, sample_rate=rate),
        "mel": log_mel_difference(a, b, sample_rate=rate),
        "snr": jnp.mean(snr_db(a, b)),
        "si_sdr": jnp.mean(si_sdr_db(a, b)),
    }


def log_mel_difference(target: jax.Array, estimate: jax.Array, *, sample_rate: int) -> jax.Array:
    """Mean absolute difference of log mel magnitudes of [batch, time] signals, window 1024, hop 256, floor 1e-5."""
    bank = jnp.asarray(mel_matrix(sample_rate, _MEL_WINDOW, _MELS))
    a, b = (jnp.log(magnitude(stft(x, _MEL_WINDOW, _MEL_WINDOW // 4)) @ bank + 1e-5) for x in (target, estimate))
    return jnp.mean(jnp.abs(a - b))


def snr_db(target: jax.Array, estimate: jax.Array) -> jax.Array:
    """Signal-to-noise ratio of [batch, time] signals in dB, [batch]."""
    return _ratio_db(target, target - estimate)


def si_sdr_db(target: jax.Array, estimate: jax.Array) -> jax.Array:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al., 2019) of [batch, time] signals in dB, [batch]."""
    power = jnp.sum(target**2, axis=-1, keepdims=True)
    scaled = jnp.sum(target * estimate, axis=-1, keepdims=True) / jnp.maximum(power, 1e-8) * target
    return _ratio_db(scaled, scaled - estimate)


def _ratio_db(signal: jax.Array, noise: jax.Array) -> jax.Array:
    floor = 1e-8
    return 10 * (jnp.log10(jnp.sum(signal**2, axis=-1) + floor) - jnp.log10(jnp.sum(noise**2, axis=-1) + floor))
