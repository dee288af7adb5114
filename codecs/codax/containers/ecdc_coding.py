"""Encodes audio files to EnCodec's `.ecdc` files and decodes them, with a model of EnCodec's architecture."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codax import audio
from codax.audio.channels import ChannelMap
from codax.config import Config, EncodecConfig
from codax.containers import ecdc, ecdc_lm
from codax.containers.signals import Progress, Report, block_samples, model_blocks
from codax.errors import CodaxError
from codax.storage.files import write_whole

if TYPE_CHECKING:
    from codax.codec.codec import Codec


def kind_of(config: Config) -> str:
    """Returns the name of this architecture in `.ecdc` files.

    Raises:
      CodaxError: the format has no name for it.
    """
    model = config.model
    length, stride = config.segment
    for name, kind in ecdc.KINDS.items():
        properties = (model.sample_rate, model.audio_channels, config.hop, length, stride, model.normalize)
        required = (kind.sample_rate, kind.channels, kind.hop, kind.segment, kind.stride, kind.scaled)
        small = config.quantizer.num_quantizers <= kind.codebooks
        fits = properties == required and small and config.quantizer.codebook_size == 1 << ecdc.BITS
        if fits and isinstance(model, EncodecConfig):  # another network's codes would decode to noise in EnCodec
            return name
    raise CodaxError(f"model {config.name} does not have the shape of those that {ecdc.SUFFIX} files are for")


def encode(
    codec: Codec,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    num_quantizers: int,
    lm: str | os.PathLike[str] | None = None,
    mix: bool = False,
    progress: Progress = lambda seconds: None,
) -> Report:
    """Encodes an audio file into an `.ecdc` file: resampled to the model's rate, mixed to mono or doubled to stereo.

    The arguments are those of `codax_coding.encode`, except that `lm` is the folder of EnCodec's language model, which
    compresses the codes (None = no compression), and that `mix` mixes the channels to one also for a stereo model.

    Raises:
      CodaxError: naming the file.
    """
    described = audio.info(source)
    rate, channels = codec.config.model.sample_rate, codec.config.model.audio_channels
    begin = time.perf_counter()
    name = kind_of(codec.config)
    kind, builder = ecdc.KINDS[name], ecdc.Builder(name, num_quantizers)
    encoder = codec.block_encoder(num_quantizers=num_quantizers)
    length = written = 0  # samples; segments

    def write(codes: np.ndarray, frames: list[int] | None) -> None:
        """Writes codes of segments with these numbers of frames; None = of full segments."""
        nonlocal written
        if encoder.scales is None:
            builder.write(codes[0])
            return
        scales = encoder.scales[0, written:]
        counts = frames[written:] if frames is not None else [-(-kind.segment // kind.hop)] * len(scales)
        for part, scale in zip(np.split(codes[0], np.cumsum(counts)[:-1]), scales, strict=False):
            builder.write(part, float(scale))
        written += len(scales)

    mapped = ChannelMap(described.channels, mixed=described.channels > 1 and (mix or channels == 1))
    for block in model_blocks(source, described, rate, block_samples(codec.config, 1), mapped=mapped if mix else None):
        length += len(block)
        write(encoder.push(with_channels(block, channels)[None]), None)
        progress(length / rate)
    write(encoder.finish(), ecdc.segment_frames(kind, length))
    data = builder.finish(length)
    if lm is not None:
        data = ecdc_lm.compress(ecdc.from_bytes(data), _arithmetic(lm).begin)
    try:
        write_whole(Path(target), data)
    except OSError as error:
        raise CodaxError(f"{target}: cannot be written ({error.strerror or error})") from error
    rates = mapped.rates(codec.config.kbps(num_quantizers)) if mapped.mixed else ""
    return Report(length / rate, len(data), time.perf_counter() - begin, rates=rates)


def decode(
    codec: Codec,
    file: ecdc.Ecdc,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    progress: Progress = lambda seconds: None,
) -> Report:
    """Decodes `file`, the content of `source`, into an audio file with the model's rate and channels.

    Raises:
      CodaxError: naming the file; also if the model has another architecture than the one that the file names.
    """
    if kind_of(codec.config) != file.model:
        raise CodaxError(f"{source}: written by {file.model}; model {codec.model_id} has another shape")
    if file.codebooks > codec.config.quantizer.num_quantizers:
        most = codec.config.quantizer.num_quantizers
        raise CodaxError(f"{source}: has {file.codebooks} codebooks; model {codec.model_id} has {most}")
    begin = time.perf_counter()
    rate = codec.config.model.sample_rate
    scales = None if file.scales is None else file.scales[None]
    decoder = codec.block_decoder(length=file.length, frames=sum(file.frames), scales=scales)
    with audio.AudioWriter(target, rate, codec.config.model.audio_channels) as writer:

        def append(signal: np.ndarray) -> None:
            writer.write(signal[0, : file.length - writer.frames])
            progress(writer.frames / rate)

        for codes in file.blocks(block_samples(codec.config, 1) // codec.config.hop):
            append(decoder.push(codes[None]))
        append(decoder.finish())
    return Report(file.length / rate, os.path.getsize(source), time.perf_counter() - begin)


def read(source: str | os.PathLike[str], lm: str | os.PathLike[str] | None) -> ecdc.Ecdc:
    """Reads an `.ecdc` file; `lm` is the folder of EnCodec's language model, for compressed codes.

    Raises:
      CodaxError: naming the file.
    """
    data = ecdc.read_bytes(source)
    try:
        if not ecdc.parse_header(data).compressed:
            return ecdc.from_bytes(data)
        if lm is None:
            raise CodaxError("compressed by EnCodec's language model: give its folder (--lm)")
        return ecdc_lm.decompress(data, _arithmetic(lm).begin)
    except CodaxError as error:
        raise CodaxError(f"{source}: {error}") from error


def seconds_in(source: str | os.PathLike[str]) -> float:
    """Returns the seconds of audio in an `.ecdc` file, from its header. Raises CodaxError naming the file."""
    try:
        header = ecdc.parse_header(ecdc.read_bytes(source))
    except CodaxError as error:
        raise CodaxError(f"{source}: {error}") from error
    return header.length / header.kind.sample_rate


def _arithmetic(lm: str | os.PathLike[str]) -> Any:
    """Loads EnCodec's language model with EnCodec's arithmetic."""
    from codax.interop.encodec_lm_torch import TorchLM
    from codax.lm.storage import load_lm

    return TorchLM(load_lm(Path(lm), coding=True))


def with_channels(signal: np.ndarray, channels: int) -> np.ndarray:
    """Converts [time, any] to [time, channels]: takes the mean for mono, doubles one channel, drops excess ones."""
    if channels == 1:
        return signal.mean(axis=1, keepdims=True, dtype=np.float32)
    return np.repeat(signal, channels, axis=1) if signal.shape[1] == 1 else signal[:, :channels]
