"""Encodes audio files to `.codax` files and decodes them, block by block in bounded memory."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from codax import audio
from codax.audio.channels import ChannelMap, channel_map, shared_streams
from codax.audio.segments import bounds
from codax.containers.blocks import new_coding
from codax.containers.container import Meta
from codax.containers.frequencies import frequency_model
from codax.containers.header_fields import METHODS
from codax.containers.signals import (
    Progress,
    Report,
    block_samples,
    join_streams,
    model_blocks,
    split_streams,
)
from codax.containers.streamed import ContainerReader, ContainerWriter
from codax.errors import CodaxError

if TYPE_CHECKING:
    from codax.codec.codec import Codec
    from codax.config import Config

EQUALITY_SECONDS = 4.0  # of audio in which channels are compared at a time
_FADE_SECONDS = 0.005
_ROUNDING = 2  # frames: a sample more, from rounding in the resampling, adds at most a frame to two segments


def describe(
    codec: Codec, *, sample_rate: int, channels: int | ChannelMap, num_quantizers: int, denoise: bool = False
) -> Meta:
    """Describes the codes of audio before encoding; samples and frames are counted later.

    A model with fewer channels than the audio codes groups of channels independently; for a model with more channels
    the last channel is repeated. A number of channels stands for the map that codes each.
    """
    model = codec.config.model
    if isinstance(channels, int):
        channels = ChannelMap(channels, model.audio_channels)
    return Meta(
        model_id=codec.model_id,
        model_hash=codec.hash,
        sample_rate=sample_rate,
        channels=channels.restored,
        num_samples=0,
        codebook_size=codec.config.quantizer.codebook_size,
        num_quantizers=num_quantizers,
        streams=channels.streams,
        denoised=denoise,
        scaled=model.normalize,
        mid_side=channels.mid_side,
        shared=channels.shared,
    )


def channels_of(codec: Codec, meta: Meta) -> ChannelMap:
    """Returns the map by which a model codes the channels of a container."""
    return ChannelMap(meta.channels, codec.config.model.audio_channels, mid_side=meta.mid_side, shared=meta.shared)


def encode(
    codec: Codec,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    num_quantizers: int,
    denoise: bool = False,
    entropy: str | None = None,
    lm: str | os.PathLike[str] | None = None,
    channels: str = "each",
    progress: Progress = lambda seconds: None,
) -> Report:
    """Encodes an audio file of any rate and channel count into a `.codax` file.

    Args:
      codec: the codec.
      source: audio file.
      target: container to write; it appears when it is complete.
      num_quantizers: number of quantizers to use.
      denoise: whether to remove noise.
      entropy: "adaptive" or "lm" entropy-codes the codes, which makes the file smaller; None packs them.
      lm: folder of the language model for "lm"; None = `lm` in the codec's folder.
      channels: "each", "mix" or "mid-side"; see `codax.audio.channels`. Equal channels are coded once.
      progress: called with the seconds of audio done so far.

    Raises:
      AudioError, ContainerError: naming the file.
    """
    described, config = audio.info(source), codec.config
    group = config.model.audio_channels
    mapped = channel_map(
        channels, described.channels, group, audio.blocks(source, EQUALITY_SECONDS), name=os.fspath(source)
    )
    meta = describe(codec, sample_rate=described.rate, channels=mapped, num_quantizers=num_quantizers, denoise=denoise)
    model = None
    if entropy is not None:
        model, block_frames = frequency_model(codec, entropy, num_quantizers, meta.streams, lm, encoding=True)
        meta = dataclasses.replace(meta, coding=new_coding(entropy, model, block_frames))
    begin = time.perf_counter()
    size = block_samples(config, meta.streams)
    with ContainerWriter(target, meta, model) as writer:
        encoder = codec.block_encoder(num_quantizers=num_quantizers, batch=meta.streams, denoise=denoise)

        def count(frames: int) -> None:
            writer.num_samples += frames

        last: np.ndarray | None = None
        for block in model_blocks(source, described, config.model.sample_rate, size, count, mapped):
            if len(block) < size:  # only the last one can be
                last = split_streams(block, group)
            else:
                writer.write(encoder.push(split_streams(block, group)))
            progress(writer.num_samples / described.rate)
        writer.write(encoder.finish(last))
        writer.scales = encoder.scales
    rates = mapped.rates(config.kbps(num_quantizers))
    if rates and entropy is not None:
        rates += " before entropy coding"
    return Report(writer.meta.seconds, writer.meta.file_bytes, time.perf_counter() - begin, rates=rates)


def decode(
    load: Callable[[Meta], Codec],
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    lm: str | os.PathLike[str] | None = None,
    conceal: bool = False,
    progress: Progress = lambda seconds: None,
) -> Report:
    """Decodes a `.codax` file into an audio file of the original rate, channel count and length.

    Args:
      load: maps the container's description to the codec that wrote it.
      source: container; all of it is checked before anything is written.
      target: audio file to write; its extension selects the format.
      lm: folder of the language model, if one coded the codes; None = `lm` in the codec's folder.
      conceal: replace damaged entropy-coded blocks by silence, instead of rejecting the file.
      progress: called with the seconds of audio done so far.

    Raises:
      AudioError, ContainerError, CodaxError: naming the file.
    """
    with ContainerReader(source, conceal=conceal) as reader:
        meta = reader.meta
        with audio.AudioWriter(target, meta.sample_rate, meta.channels) as writer:
            codec = load(meta)
            check_fit(codec, meta, source)
            begin = time.perf_counter()
            gaps = _gaps(reader, codec.config)
            for block in _decoded(codec, reader, lm):
                kept = block[: meta.num_samples - writer.frames]
                writer.write(mute(kept, writer.frames, gaps, meta.sample_rate) if gaps else kept)
                progress(writer.frames / meta.sample_rate)
            # Rounding in the two resamplings can leave a few samples missing; check_fit has bounded them.
            writer.write(np.zeros((meta.num_samples - writer.frames, meta.channels), np.float32))
            progress(writer.frames / meta.sample_rate)
    damage = reader.describe_damage() if reader.damaged else ""
    return Report(meta.seconds, reader.file_bytes, time.perf_counter() - begin, damage)


def _decoded(codec: Codec, reader: ContainerReader, lm: str | os.PathLike[str] | None) -> Iterator[np.ndarray]:
    """Yields the audio of a container, float32 [time, channels] at its rate, in blocks."""
    meta, model_rate = reader.meta, codec.config.model.sample_rate
    decoder = codec.block_decoder(
        length=audio.resampled_length(meta.num_samples, meta.sample_rate, model_rate),
        frames=meta.frames,
        scales=reader.scales(),
        batch=meta.streams,
        denoise=meta.denoised,
    )
    mapped = channels_of(codec, meta)
    resample = audio.StreamResampler(model_rate, meta.sample_rate, mapped.coded)
    model = None
    if meta.coding is not None:
        model, _ = frequency_model(codec, METHODS[meta.coding.method], meta.num_quantizers, meta.streams, lm)
    block_frames = block_samples(codec.config, meta.streams) // codec.config.hop
    last: np.ndarray | None = None
    for codes in reader.blocks(block_frames, model):
        if codes.shape[1] < block_frames:  # only the last one can be
            last = codes
        else:
            yield mapped.backward(resample(join_streams(decoder.push(codes), mapped.coded)))
    yield mapped.backward(resample(join_streams(decoder.finish(last), mapped.coded)))
    yield mapped.backward(resample(np.zeros((0, mapped.coded), np.float32), last=True))


def _gaps(reader: ContainerReader, config: Config) -> list[tuple[int, int]]:
    """Returns the first sample that every damaged block changes, and the first after them, at the file's rate."""
    meta, hop, rate = reader.meta, config.hop, config.model.sample_rate
    gaps = [(first * hop, stop * hop) for first, stop in reader.damaged]
    if config.segment[0]:
        # Segments overlap, so a frame does not begin at its index times the hop; and each is decoded as a whole.
        spans = bounds(audio.resampled_length(meta.num_samples, meta.sample_rate, rate), *config.segment)
        ends = np.cumsum([-(-(stop - start) // hop) for start, stop in spans])
        indices = [np.searchsorted(ends, (first, stop - 1), "right") for first, stop in reader.damaged]
        gaps = [(part[0][0], part[-1][1]) for first, last in indices if (part := spans[first : last + 1])]
    return [(round(first / rate * meta.sample_rate), round(stop / rate * meta.sample_rate)) for first, stop in gaps]


def check_fit(codec: Codec, meta: Meta, source: str | os.PathLike[str]) -> None:
    """Raises CodaxError if this model cannot have made the codes of a container from such audio."""
    config = codec.config
    if meta.codebook_size != config.quantizer.codebook_size or meta.num_quantizers > config.quantizer.num_quantizers:
        raise CodaxError(
            f"{source}: holds {meta.num_quantizers} quantizers of {meta.codebook_size} entries; model {codec.model_id} "
            f"has {config.quantizer.num_quantizers} of {config.quantizer.codebook_size}"
        )
    group = config.model.audio_channels
    if channels_of(codec, meta).streams != meta.streams or shared_streams(meta.shared, group) != meta.shared:
        raise CodaxError(
            f"{source}: {meta.channels} channels in {meta.streams} streams do not come from model {codec.model_id}, "
            f"which has {config.model.audio_channels}"
        )
    if meta.scaled != config.model.normalize:
        one, other = ("no", "has some") if config.model.normalize else ("segment", "uses none")
        raise CodaxError(f"{source}: has {one} scales; model {codec.model_id} {other}")
    # The encoder pads the last frame, so codes cover all of the audio. One frame is the tolerance for rounding.
    held = (meta.frames + 1) * config.hop / config.model.sample_rate
    if held < meta.seconds:
        raise CodaxError(
            f"{source}: {meta.frames} frames of model {codec.model_id} cannot hold the {meta.seconds:g} seconds that "
            "the file claims"
        )
    length = audio.resampled_length(meta.num_samples, meta.sample_rate, config.model.sample_rate)
    most = sum(-(-(stop - start) // config.hop) for start, stop in bounds(length, *config.segment))
    if meta.frames > most + _ROUNDING:
        raise CodaxError(
            f"{source}: holds {meta.frames} frames of model {codec.model_id}, but its {meta.seconds:g} seconds of "
            f"audio have {most}"
        )


def mute(block: np.ndarray, start: int, gaps: list[tuple[int, int]], rate: int) -> np.ndarray:
    """Mutes `gaps` in a block [time, channels] that starts at sample `start`, with fades of 5 ms outside them."""
    position = np.arange(start, start + len(block))
    gain = np.ones(len(block), np.float32)
    for first, stop in gaps:
        outside = np.maximum(first - position, position - stop + 1)  # samples; negative inside
        gain = np.minimum(gain, np.clip(outside / (_FADE_SECONDS * rate), 0, 1))
    return (block * gain[:, None]).astype(np.float32)
