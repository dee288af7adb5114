"""The Linen module of a codec: encoder, quantizer and decoder, built from a `Config`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from codax.codec.microbatches import join, split
from codax.config import Config
from codax.dsp.distances import rms_scale
from codax.nets import families
from codax.nets.film import make_film
from codax.quantizers.registry import make_quantizer


@flax.struct.dataclass
class ForwardOutput:
    """Outputs of a training forward pass."""

    audio: jax.Array  # [batch, time, channels], the reconstruction
    commitment: jax.Array | None  # scalar; None when quantization is off
    codes: jax.Array | None  # int32 [batch, frames, levels]; None when quantization is off
    semantic: jax.Array | None  # [batch, frames, semantic_dimension]; None without that head or without quantization
    metrics: dict[str, jax.Array]
    codebook: jax.Array | None = None  # scalar, the loss of entries that are trained by gradient


class CodecModel(nn.Module):
    """Audio [batch, time, channels] <-> codes int32 [batch, frames, quantizers].

    `condition` is the denoising input of models with FiLM: float32 [batch, frames], 1 = on; None = off everywhere.
    """

    config: Config
    remat: str = "none"  # in training, as `MemoryConfig.remat`
    pieces: int = 1  # in training, as `MemoryConfig.accumulate`

    def setup(self) -> None:
        c = self.config
        dtype = jnp.bfloat16 if c.train.compute_dtype == "bfloat16" else None
        family, remat = families.of(c.model), self.remat == "blocks"
        self.encoder = family.encoder(c.model, dtype=dtype, remat=remat)
        self.decoder = family.decoder(c.model, dtype=dtype, remat=remat)
        self.quantizer = make_quantizer(c)
        if c.model.film != "none":
            self.film = make_film(c.model)
        if c.model.semantic_dimension:
            self.transform = nn.Dense(c.model.semantic_dimension)

    def _modulate(self, x: jax.Array, condition: jax.Array | None, side: str) -> jax.Array:
        if self.config.model.film != side:
            return x
        return self.film(x, jnp.zeros(x.shape[:2]) if condition is None else condition)

    def encode_latent(
        self, audio: jax.Array, condition: jax.Array | None = None, valid: jax.Array | None = None
    ) -> jax.Array:
        """Maps audio to the latent, float32 [batch, ceil(time / hop), dimension].

        `valid` (int32 scalar) is the length of the signal in samples, if `audio` is padded.
        """
        latent = self.encoder(audio) if valid is None else self.encoder(audio, valid)
        return self._modulate(latent.astype(jnp.float32), condition, "encoder")

    def _normalized(self, audio: jax.Array) -> tuple[jax.Array, jax.Array | float]:
        """Returns audio divided by its scale (`dsp.distances.rms_scale`), and the scale; an example is one segment."""
        if not self.config.model.normalize:
            return audio, 1.0
        scale = rms_scale(audio)[:, None, None]
        return audio / scale, scale

    def decode_latent(self, latent: jax.Array, condition: jax.Array | None = None) -> jax.Array:
        """Maps a latent to audio, float32 [batch, frames * hop, channels]."""
        return self.decoder(self._modulate(latent, condition, "decoder")).astype(jnp.float32)

    def encode(
        self,
        audio: jax.Array,
        num_quantizers: int | None = None,
        condition: jax.Array | None = None,
        valid: jax.Array | None = None,
    ) -> jax.Array:
        """Maps audio to codes of the first `num_quantizers` quantizers (None = all)."""
        return self.quantizer.encode(self.encode_latent(audio, condition, valid), num_quantizers)

    def decode(self, codes: jax.Array, condition: jax.Array | None = None) -> jax.Array:
        """Maps codes of any number of quantizers to audio."""
        return amplified(self.config, self.decode_latent(self.quantizer.decode(codes), condition), codes)

    def semantic(self, codes: jax.Array) -> jax.Array:
        """Maps the first codes of [batch, frames, n] to features [batch, frames, semantic_dimension]."""
        return self.transform(self.quantizer.decode(codes[..., :1]))

    def initialise_codebooks(self, audio: jax.Array, key: jax.Array, axis: str | None = None) -> None:
        """Initialises the codebooks from the latent of `audio`; apply with `mutable=["codebook"]`."""
        latent = self._in_pieces(CodecModel.encode_latent, self._normalized(audio)[0])
        self.quantizer.initialise(latent, key, axis)

    def _in_pieces(self, method: Callable[..., jax.Array], *arrays: jax.Array | None) -> jax.Array:
        """Applies a method to arrays [batch, ...] in microbatches, with rematerialisation, as the fields say.

        Only its output exists for the whole batch, which is small compared with the activations.
        """
        if self.is_initializing() or (self.remat != "nets" and self.pieces == 1):
            return method(self, *arrays)
        rematerialised = nn.remat(method, prevent_cse=self.pieces == 1)  # loops need no guard against CSE
        if self.pieces == 1:
            return rematerialised(self, *arrays)

        def body(model: CodecModel, _: None, piece: tuple[jax.Array | None, ...]) -> tuple[None, jax.Array]:
            return None, rematerialised(model, *piece)

        loop = nn.scan(body, variable_broadcast="params", split_rngs={"params": False})
        return join(loop(self, None, split(arrays, self.pieces))[1])

    def __call__(
        self,
        audio: jax.Array,
        *,
        levels: jax.Array,
        key: jax.Array,
        quantize: bool = True,
        update: bool = False,
        axis: str | None = None,
        condition: jax.Array | None = None,
        bypass: jax.Array | None = None,
        revive: jax.Array | bool = True,
    ) -> ForwardOutput:
        """Runs one training forward pass; see `quantizers.base.Quantizer` for the arguments.

        With `quantize=False` the decoder gets the unquantized latent.
        """
        audio, scale = self._normalized(audio)
        latent = self._in_pieces(CodecModel.encode_latent, audio, condition)
        if not quantize and not self.is_initializing():
            decoded = self._in_pieces(CodecModel.decode_latent, latent, condition) * scale
            return ForwardOutput(decoded, None, None, None, {})
        out = self.quantizer(latent, levels=levels, key=key, update=update, axis=axis, bypass=bypass, revive=revive)
        decoded = self._in_pieces(CodecModel.decode_latent, out.quantized, condition) * scale
        semantic = self.transform(out.first) if self.config.model.semantic_dimension else None
        return ForwardOutput(decoded, out.commitment, out.codes, semantic, out.metrics, out.codebook)


def amplified(config: Config, audio: jax.Array, codes: jax.Array) -> jax.Array:
    """Applies `model.gains_db` to audio that was decoded from codes; their number of levels may be symbolic."""
    if not config.model.gains:
        return audio
    gains = jnp.asarray(config.model.gains, jnp.float32)
    levels = jnp.sum(jnp.ones_like(codes[0, 0]))
    return audio * jnp.sum(jnp.where(jnp.arange(1, len(gains) + 1) == levels, gains, 0.0))


def init_variables(config: Config, seed: jax.Array | int = 0) -> Any:
    """Returns the initial {"params", "codebook"} of a codec."""
    audio = jnp.zeros((1, 4 * config.hop, config.model.audio_channels))
    key = jax.random.key(seed)
    return CodecModel(config).init(key, audio, levels=jnp.ones(1, jnp.int32), key=key)
