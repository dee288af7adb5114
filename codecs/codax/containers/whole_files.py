"""Audio files to containers and back, in bounded memory: what `codax encode` and `codax decode` do, as functions."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Literal

from codax.codec import shipped
from codax.containers import codax_coding, ecdc_coding, origin
from codax.containers.ecdc import SUFFIX
from codax.containers.frequencies import find_lm
from codax.containers.signals import Progress, Report
from codax.containers.streamed import ContainerReader
from codax.errors import CodaxError

if TYPE_CHECKING:
    from codax.codec.codec import Codec

Name = str | os.PathLike[str]


def encode_file(
    source: Name,
    target: Name,
    *,
    model: Codec | Name = shipped.DEFAULT,
    kbps: float | None = None,
    denoise: bool = False,
    entropy: Literal["adaptive", "lm", "best"] | None = None,
    lm: Name | None = None,
    progress: Progress = lambda seconds: None,
) -> Report:
    """Encodes an audio file of any rate, length and channel count into a `.codax` file, or EnCodec's `.ecdc`.

    Where the model was loaded from a folder, a note in the user's cache says so: `decode_file` then finds it.

    Args:
      source: audio file.
      target: container to write, which appears when it is complete; ".ecdc" at the end makes it EnCodec's.
      model: a codec, a model folder or the name of a shipped model.
      kbps: kilobits per second and stream (channel, for a mono model); None = the model's highest.
      denoise: remove noise, with a model that was trained to.
      entropy: entropy coding: "adaptive" by the frequencies of the codes, "lm" by a language model, "best" by that if
        the model has one; None = none. `.ecdc` files know "lm", of EnCodec's.
      lm: folder of the language model; None = `lm` in the model's folder, if it is there.
      progress: called with the seconds of audio done so far.

    Returns:
      Seconds of audio, bytes of the container, and how long it took.

    Raises:
      CodaxError: naming the file, or what the model cannot do.
    """
    codec = _load(model) if isinstance(model, str | os.PathLike) else model
    if denoise and codec.config.model.film == "none":
        raise CodaxError(f"denoise: model {codec.model_id} was not trained to remove noise (model.film is none)")
    quantizers = codec.config.quantizers_for(kbps)
    folder = None if entropy in (None, "adaptive") else find_lm(codec, lm)
    if os.fspath(target).lower().endswith(SUFFIX):
        if entropy is not None and folder is None:
            raise CodaxError(f"entropy: {SUFFIX} files are compressed by EnCodec's language model alone (lm)")
        return ecdc_coding.encode(codec, source, target, num_quantizers=quantizers, lm=folder, progress=progress)
    method = entropy if entropy != "best" else "adaptive" if folder is None else "lm"
    report = codax_coding.encode(
        codec,
        source,
        target,
        num_quantizers=quantizers,
        denoise=denoise,
        entropy=method,
        lm=lm,
        progress=progress,
    )
    origin.remember(codec)
    return report


def decode_file(
    source: Name,
    target: Name,
    *,
    model: Codec | Name | None = None,
    lm: Name | None = None,
    conceal: bool = False,
    progress: Progress = lambda seconds: None,
) -> Report:
    """Decodes a container into an audio file of the original rate, channel count and length.

    Args:
      source: a `.codax` file, or EnCodec's `.ecdc`.
      target: audio file to write; the extension is the format.
      model: the codec that wrote it, its folder or name; None = found by the hash in the container. `.ecdc` files have
        none, so they need it.
      lm: folder of the language model that the codes were coded with, if they were; None = `lm` in the model's folder.
      conceal: be silent where entropy-coded blocks are damaged, instead of refusing the file.
      progress: called with the seconds of audio done so far.

    Returns:
      Seconds of audio, bytes of the container, how long it took, and what was damaged.

    Raises:
      CodaxError: naming the file.
    """
    if os.fspath(source).lower().endswith(SUFFIX):
        if model is None:
            raise CodaxError(f"{source}: {SUFFIX} files do not say which model wrote them: name it (--model)")
        codec = _load(model) if isinstance(model, str | os.PathLike) else model
        file = ecdc_coding.read(source, find_lm(codec, lm))
        return ecdc_coding.decode(codec, file, source, target, progress=progress)
    load = functools.partial(origin.find, source=source, model=model, load=_load)
    return codax_coding.decode(load, source, target, lm=lm, conceal=conceal, progress=progress)


def seconds_in(source: Name, *, conceal: bool = False) -> float:
    """Seconds of audio in a container, which is checked as `decode_file` does. Raises CodaxError naming it."""
    if os.fspath(source).lower().endswith(SUFFIX):
        return ecdc_coding.seconds_in(source)
    with ContainerReader(source, conceal=conceal) as reader:
        return reader.meta.seconds


def _load(model: Name) -> Codec:
    import codax

    return codax.load(os.fspath(model))
