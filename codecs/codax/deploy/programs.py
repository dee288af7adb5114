"""The exported programs: encoder and decoder as functions of arrays, for complete signals and frame by frame.

Batch size, number of frames and number of quantizers are symbolic; audio has whole frames. See docs/deployment.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from codax.codec.codec import Codec
from codax.codec.module import CodecModel, amplified
from codax.errors import CodaxError

Struct = jax.ShapeDtypeStruct


@dataclasses.dataclass(frozen=True)
class Program:
    """A function of arrays.

    Attributes:
      function: takes the inputs in order, returns a tuple of the outputs.
      inputs: name -> shape and type.
      outputs: names.
      states: for streaming programs, pairs of a state input (initially zeros) and the output that replaces it in the
        next call. The program that starts a stream has only the outputs.
      frames: number of frames per call; 0 = any.
    """

    name: str
    function: Callable[..., tuple[Any, ...]]
    inputs: dict[str, Struct]
    outputs: tuple[str, ...]
    states: tuple[tuple[str, str], ...] = ()
    frames: int = 0


def programs(codec: Codec) -> list[Program]:
    """The programs of a codec: encoder and decoder, and their streaming steps if it can stream.

    Raises:
      CodaxError: the codec computes in a type that is not supported everywhere.
    """
    config = codec.config
    if config.train.compute_dtype != "float32":
        raise CodaxError(
            f"model {codec.model_id} computes in {config.train.compute_dtype}: set train.compute_dtype to float32 in "
            "its config.json to export it"
        )
    exported = [_whole(codec, side) for side in (_encode, _decode)]
    if codec.streams:
        for side in (_encode, _decode):
            if codec.engine.start_frames > 1:
                exported.append(_step(codec, side, first=True))
            exported.append(_step(codec, side))
    return exported


@dataclasses.dataclass(frozen=True)
class _Side:
    """Encoder or decoder, as a function of named arrays."""

    name: str
    inputs: Callable[[Codec, Any, Any, Any], dict[str, Struct]]  # takes codec, batch, frames and quantizers
    output: str
    rates: bool  # whether an input has a symbolic number of quantizers
    apply: Callable[..., Any]  # takes the codec, the inputs, and further arguments of `Module.apply`


def _encoder_inputs(codec: Codec, batch: Any, frames: Any, quantizers: Any) -> dict[str, Struct]:
    config = codec.config
    inputs = {"audio": Struct((batch, frames * config.hop, config.model.audio_channels), jnp.float32)}
    if codec.engine.pads_inside and config.model.causal:
        inputs["length"] = Struct((), jnp.int32)  # of the signal; the layers pad the remainder by their own rule
    return inputs | _denoise(codec, "encoder")


def _decoder_inputs(codec: Codec, batch: Any, frames: Any, quantizers: Any) -> dict[str, Struct]:
    return {"codes": Struct((batch, frames, quantizers), jnp.int32)} | _denoise(codec, "decoder")


def _denoise(codec: Codec, side: str) -> dict[str, Struct]:
    """The denoising input (1 or 0) of models that denoise on this side."""
    return {"denoise": Struct((), jnp.float32)} if codec.config.model.film == side else {}


def _apply_encoder(codec: Codec, given: dict[str, jax.Array], stream: dict[str, Any], **options: Any) -> Any:
    audio = given["audio"]
    condition = _condition(given, audio.shape[0], audio.shape[1] // codec.config.hop)
    variables = {**codec.engine.folded, **stream}
    return codec.module.apply(
        variables, audio, None, condition, given.get("length"), method=CodecModel.encode, **options
    )


def _apply_decoder(codec: Codec, given: dict[str, jax.Array], stream: dict[str, Any], **options: Any) -> Any:
    codes = given["codes"]
    latent, variables = _dequantized(codec, codes), {**codec.engine.folded, **stream}
    condition = _condition(given, codes.shape[0], codes.shape[1])
    audio: Any = codec.module.apply(variables, latent, condition, method=CodecModel.decode_latent, **options)
    if not options:
        return amplified(codec.config, audio, codes)
    return amplified(codec.config, audio[0], codes), audio[1]  # with the state of a stream


_encode = _Side("encoder", _encoder_inputs, "codes", False, _apply_encoder)
_decode = _Side("decoder", _decoder_inputs, "audio", True, _apply_decoder)


def _condition(given: dict[str, jax.Array], batch: Any, frames: Any) -> jax.Array | None:
    return jnp.broadcast_to(given["denoise"], (batch, frames)) if "denoise" in given else None


def _dequantized(codec: Codec, codes: jax.Array) -> Any:
    """Latents of codes whose number of quantizers may be symbolic."""
    return codec.module.apply(codec.engine.folded, codes, method=lambda model, c: model.quantizer.decode_any(c))


def _dimensions(codec: Codec, side: _Side, frames: int | None = None) -> tuple[Any, Any, Any]:
    """Batch, frames and quantizers of a side: symbols, or the given `frames`; 0 if a side does not have them."""
    bounds = {
        "batch": "batch >= 1",
        "frames": f"frames >= {codec.engine.start_frames}",
        "quantizers": f"quantizers <= {codec.config.quantizer.num_quantizers}",
    }
    # A symbol that is in no input shape must not be defined.
    known = ({} if frames is None else {"frames": frames}) | ({} if side.rates else {"quantizers": 0})
    names = [name for name in bounds if name not in known]
    symbols = export.symbolic_shape(", ".join(names), constraints=[bounds[name] for name in names])
    dimensions = dict(zip(names, symbols, strict=True)) | known
    return dimensions["batch"], dimensions["frames"], dimensions["quantizers"]


def _with_clear_errors(function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """Reports in one line if the function cannot be traced with symbolic lengths."""

    def run(*arrays: jax.Array) -> tuple[Any, ...]:
        try:
            return function(*arrays)
        except jax.errors.InconclusiveDimensionOperation as error:
            raise CodaxError(f"this model cannot be exported for all lengths: {str(error).splitlines()[0]}") from error

    return run


def _whole(codec: Codec, side: _Side) -> Program:
    inputs = side.inputs(codec, *_dimensions(codec, side))

    def run(*arrays: jax.Array) -> tuple[Any, ...]:
        return (side.apply(codec, dict(zip(inputs, arrays, strict=True)), {}),)

    return Program(side.name, _with_clear_errors(run), inputs, (side.output,))


def _step(codec: Codec, side: _Side, *, first: bool = False) -> Program:
    """One frame with its previous state, or with `first` the frames that start a stream."""
    start = codec.engine.start_frames
    frames = start if first else 1
    batch, _, quantizers = _dimensions(codec, side, frames)
    inputs = side.inputs(codec, batch, frames, quantizers)

    def begin(given: dict[str, jax.Array]) -> Any:
        return side.apply(codec, given, {"stream": {}}, mutable=["stream"])

    _, after = jax.eval_shape(begin, side.inputs(codec, batch, start, quantizers))
    paths, structure = jax.tree_util.tree_flatten_with_path(after["stream"])
    shapes = {jax.tree_util.keystr(path, simple=True, separator="."): shape for path, shape in paths}
    states = {} if first else shapes

    def run(*arrays: jax.Array) -> tuple[Any, ...]:
        given = dict(zip([*inputs, *states], arrays, strict=True))
        before = {} if first else structure.unflatten([given[name] for name in states])
        y, after = side.apply(codec, given, {"stream": before}, mutable=["stream"])
        return (y, *jax.tree.leaves(after["stream"]))

    return Program(
        f"{side.name}_{'start' if first else 'step'}",
        _with_clear_errors(run),
        inputs | states,
        (side.output, *(f"{name}.next" for name in shapes)),
        tuple((name, f"{name}.next") for name in shapes),
        frames,
    )
