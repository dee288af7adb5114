"""Encodes audio files to containers and decodes them in bounded memory, as `codax encode` and `codax decode` do."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from codax.audio.channels import Mode
from codax.codec import shipped
from codax.containers import codax_coding, ecdc_coding, origin
from codax.containers.ecdc import SUFFIX
from codax.containers.frequencies import find_lm
from codax.containers.signals import Progress, Report
from codax.containers.streamed import ContainerReader
from codax.errors import CodaxError
from codax.storage import files
from codax.storage.files import claim_output

if TYPE_CHECKING:
    from codax.codec.codec import Codec

SUFFIXES = (".codax", SUFFIX)  # of the names of containers

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
    channels: Mode | None = None,
    progress: Progress = lambda seconds: None,
) -> Report:
    """Encodes an audio file of any rate, length and channel count into a `.codax` file, or EnCodec's `.ecdc`.

    The folder of a loaded model is stored in the user's cache, so that `decode_file` finds it.

    Args:
      source: audio file.
      target: container to write; it appears when it is complete, and replaces an existing file. The suffix ".ecdc"
        selects EnCodec's format.
      model: a codec, or what `codax.load` takes.
      kbps: kilobits per second and stream (channel, for a mono model); None = the model's highest.
      denoise: remove noise; the model must have been trained to.
      entropy: entropy coding with "adaptive" frequencies or a language model ("lm"); "best" selects "lm" if the model
        has one, else "adaptive"; None = none. `.ecdc` files support EnCodec's language model ("lm") only.
      lm: folder of the language model, for "lm" and "best"; None = `lm` in the model's folder, if it exists.
      channels: "each" codes every channel (of a model of several channels, every group of them) at the rate `kbps`;
        "mix" codes their mean, and the file has one channel; "mid-side" codes the mean and half the difference of two.
        Equal channels are coded once and all restored. None = "each"; in `.ecdc` files the model's number of channels.
      progress: called with the seconds of audio done so far.

    Returns:
      Seconds of audio, bytes of the container, elapsed seconds, and the sum of the channels' rates.

    Raises:
      CodaxError: naming the file, such as a target with another suffix, or the option that the model does not support.
    """
    claim_output(target, source, overwrite=True, suffixes=SUFFIXES)
    codec = _load(model) if isinstance(model, str | os.PathLike) else model
    from codax.codec.checks import checked_denoise  # imports JAX, as loading a model does

    checked_denoise(codec.config, denoise)
    quantizers = codec.config.quantizers_for(kbps)
    folder = None if entropy in (None, "adaptive") else find_lm(codec, lm)
    as_ecdc = os.fspath(target).lower().endswith(SUFFIX)
    if as_ecdc and entropy is not None and folder is None:
        raise CodaxError(f"entropy: {SUFFIX} files support EnCodec's language model only (lm)")
    if lm is not None and folder is None:
        raise CodaxError(f"lm: entropy is {entropy}; only lm and best use a language model (--entropy)")
    if as_ecdc:
        if channels not in (None, "mix"):
            raise CodaxError(f"channels: {SUFFIX} files have the channels of the model, not {channels!r}")
        return ecdc_coding.encode(
            codec, source, target, num_quantizers=quantizers, lm=folder, mix=channels == "mix", progress=progress
        )
    method = entropy if entropy != "best" else "adaptive" if folder is None else "lm"
    report = codax_coding.encode(
        codec,
        source,
        target,
        num_quantizers=quantizers,
        denoise=denoise,
        entropy=method,
        lm=lm,
        channels=channels or "each",
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
    load: Callable[[str], Codec] | None = None,
) -> Report:
    """Decodes a container into an audio file of the original rate, channel count and length.

    Args:
      source: a `.codax` file, or EnCodec's `.ecdc`.
      target: audio file to write; its extension selects the format.
      model: the codec that wrote it, or what `codax.load` takes; None = find it by the hash in the container. `.ecdc`
        files have no hash, so they need `model`.
      lm: folder of the language model, if one coded the codes; None = `lm` in the model's folder.
      conceal: replace damaged entropy-coded blocks by silence, instead of rejecting the file; not for `.ecdc`.
      progress: called with the seconds of audio done so far.
      load: loads a model by its folder or name, such as a cached `codax.load`; None = `codax.load`.

    Returns:
      Seconds of audio, bytes of the container, elapsed seconds, and the concealed damage.

    Raises:
      CodaxError: naming the file.
    """
    claim_output(target, source, overwrite=True)
    load = load or _load
    if os.fspath(source).lower().endswith(SUFFIX):
        if conceal:
            raise CodaxError(f"{source}: {SUFFIX} files have no blocks in which damage can be concealed (--damaged)")
        if model is None:
            raise CodaxError(f"{source}: {SUFFIX} files do not say which model wrote them: name it (--model)")
        codec = load(os.fspath(model)) if isinstance(model, str | os.PathLike) else model
        file = ecdc_coding.read(source, find_lm(codec, lm))
        return ecdc_coding.decode(codec, file, source, target, progress=progress)
    find = functools.partial(origin.find, source=source, model=model, load=load)
    return codax_coding.decode(find, source, target, lm=lm, conceal=conceal, progress=progress)


def files_below(folder: Path) -> list[Path]:
    """The containers below a folder, at any depth, sorted by path."""
    return sorted(map(Path, files.files_below(folder, SUFFIXES)))


def seconds_in(source: Name, *, conceal: bool = False) -> float:
    """Checks a container as `decode_file` does; returns its seconds of audio. Raises CodaxError naming it."""
    if os.fspath(source).lower().endswith(SUFFIX):
        return ecdc_coding.seconds_in(source)
    with ContainerReader(source, conceal=conceal) as reader:
        return reader.meta.seconds


def _load(model: Name) -> Codec:
    import codax

    return codax.load(os.fspath(model))
