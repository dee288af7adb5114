"""Audio files to containers and back, block by block, so that the memory needed does not grow with the length."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from codax import audio
from codax.audio.decoders import equal_blocks
from codax.containers.blockfile import new_coding
from codax.containers.container import METHODS, Meta
from codax.containers.containerfile import ContainerReader, ContainerWriter
from codax.entropy import coding
from codax.entropy.adaptive import AdaptiveModel
from codax.errors import CodaxError

# Audio handed to the model at a time, over all streams.
_BLOCK_SECONDS = 8.0
CODED_SECONDS = 10.0  # of a block that is entropy-coded on its own
_FADE_SECONDS = 0.005

Progress = Callable[[float], None]


@dataclasses.dataclass(frozen=True)
class Report:
    """What was done: seconds of audio, bytes of the container, seconds it took (without loading the model)."""

    seconds: float
    file_bytes: int
    elapsed: float
    damage: str = ""  # what was concealed

    @property
    def kbps(self) -> float:
        """Kilobits per second of the whole file, header included."""
        return 8 * self.file_bytes / self.seconds / 1000 if self.seconds else 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio per second of work."""
        return self.seconds / max(self.elapsed, 1e-9)


def encode_file(
    codec: Any,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    num_quantizers: int,
    denoise: bool = False,
    entropy: str | None = None,
    lm: str | None = None,
    show: Progress = lambda seconds: None,
) -> Report:
    """Encodes an audio file of any rate and channel count into a `.codax` file.

    A model with fewer channels than the file codes groups of channels on their own; one with more gets the last channel
    repeated.

    Args:
      codec: a `codax.Codec`.
      source: audio file.
      target: container to write; appears when it is complete.
      num_quantizers: quantizers to use, 1 to all.
      denoise: ask the model to remove noise.
      entropy: "adaptive" and "lm" code the codes by their frequencies, which makes the file smaller; None packs them.
      lm: folder of the language model for "lm"; None = `lm` in the codec's.
      show: called with the seconds of audio done so far.

    Raises:
      AudioError, ContainerError: naming the file.
    """
    refuse_same(source, target)
    described = audio.info(source)
    config = codec.config
    group = config.model.audio_channels
    streams = -(-described.channels // group)
    meta = Meta(
        model_id=codec.model_id,
        model_hash=codec.hash,
        sample_rate=described.rate,
        channels=described.channels,
        num_samples=0,
        codebook_size=config.quantizer.codebook_size,
        num_quantizers=num_quantizers,
        streams=streams,
        denoised=denoise,
        scaled=config.model.normalize,
    )
    model = None
    if entropy is not None:
        model, block_frames = frequency_model(codec, entropy, num_quantizers, streams, lm)
        meta = dataclasses.replace(meta, coding=new_coding(entropy, model, block_frames))
    begin = time.perf_counter()
    size = block_samples(config, streams)
    with ContainerWriter(target, meta, model) as writer:
        encoder = codec.block_encoder(num_quantizers=num_quantizers, batch=streams, denoise=denoise)

        def count(frames: int) -> None:
            writer.num_samples += frames

        last: np.ndarray | None = None
        for block in model_blocks(source, described, config.model.sample_rate, size, count):
            if len(block) < size:  # as only the last one can be
                last = split_streams(block, group)
            else:
                writer.write(encoder.push(split_streams(block, group)))
            show(writer.num_samples / described.rate)
        writer.write(encoder.finish(last))
        writer.scales = encoder.scales
    return Report(writer.meta.seconds, writer.meta.file_bytes, time.perf_counter() - begin)


def decode_file(
    load: Callable[[Meta], Any],
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    lm: str | None = None,
    conceal: bool = False,
    show: Progress = lambda seconds: None,
) -> Report:
    """Decodes a `.codax` file into an audio file of the original rate, channel count and length.

    Args:
      load: given the container's description, returns the `codax.Codec` that wrote it.
      source: container; checked as a whole before anything is written.
      target: audio file to write; the extension is the format.
      lm: folder of the language model that the file was coded with, if it was; None = `lm` in the codec's.
      conceal: be silent where entropy-coded blocks are damaged, instead of refusing the file.
      show: called with the seconds of audio done so far.

    Raises:
      AudioError, ContainerError, CodaxError: naming the file.
    """
    refuse_same(source, target)
    with ContainerReader(source, conceal=conceal) as reader:
        meta = reader.meta
        with audio.AudioWriter(target, meta.sample_rate, meta.channels) as writer:
            codec = load(meta)
            check_fit(codec, meta, source)
            begin = time.perf_counter()
            config = codec.config
            decoder = codec.block_decoder(
                length=audio.resampled_length(meta.num_samples, meta.sample_rate, config.model.sample_rate),
                frames=meta.frames,
                scales=reader.scales(),
                batch=meta.streams,
                denoise=meta.denoised,
            )
            resample = audio.StreamResampler(config.model.sample_rate, meta.sample_rate, meta.channels)

            model = None
            if meta.coding is not None:
                method = METHODS[meta.coding.method]
                model, _ = frequency_model(codec, method, meta.num_quantizers, meta.streams, lm)
            hop_seconds = config.hop / config.model.sample_rate
            gaps = [[round(frame * hop_seconds * meta.sample_rate) for frame in gap] for gap in reader.damaged]

            def append(block: np.ndarray) -> None:
                kept = block[: meta.num_samples - writer.frames]
                writer.write(mute(kept, writer.frames, gaps, meta.sample_rate) if gaps else kept)

            block_frames = block_samples(config, meta.streams) // config.hop
            last: np.ndarray | None = None
            for codes in reader.blocks(block_frames, model):
                if codes.shape[1] < block_frames:  # as only the last one can be
                    last = codes
                else:
                    append(resample(join_streams(decoder.push(codes), meta.channels)))
                    show(writer.frames / meta.sample_rate)
            append(resample(join_streams(decoder.finish(last), meta.channels)))
            append(resample(np.zeros((0, meta.channels), np.float32), last=True))
            # Rounding of the two resamplings can leave a few samples open; check_fit has bounded them.
            append(np.zeros((meta.num_samples - writer.frames, meta.channels), np.float32))
            show(writer.frames / meta.sample_rate)
    damage = reader.describe_damage() if reader.damaged else ""
    return Report(meta.seconds, reader.file_bytes, time.perf_counter() - begin, damage)


def frequency_model(
    codec: Any, method: str, num_quantizers: int, streams: int, lm: str | None
) -> tuple[coding.Model, int]:
    """The model of the codes' frequencies that a method has, and the frames of a block that suit it.

    Raises:
      CodaxError: the language model is missing, or for other codes.
    """
    if method == "adaptive":
        return AdaptiveModel(codec.usage()[:num_quantizers], streams), round(CODED_SECONDS * codec.config.frame_rate)
    from codax.lm.integer import IntegerModel
    from codax.lm.storage import load_integers

    folder = find_lm(codec, lm)
    if folder is None:
        raise CodaxError(f"model {codec.model_id} has no language model: give its folder with --lm")
    config, arrays = load_integers(folder)
    if config.codebook_size != codec.config.quantizer.codebook_size:
        raise CodaxError(f"{folder}: a language model of other codes than those of model {codec.model_id}")
    model = IntegerModel(config, arrays, num_quantizers, streams)
    return model, model.most_frames


def find_lm(codec: Any, lm: str | None) -> Path | None:
    """The folder of a codec's language model: `lm`, or the one inside the codec's own; None if there is none."""
    from codax.lm.storage import has_lm

    if lm is not None:
        return Path(lm)
    own = Path(codec.path) / "lm" if codec.path is not None else None
    return own if own is not None and has_lm(own) else None


def mute(block: np.ndarray, start: int, gaps: list[list[int]], rate: int) -> np.ndarray:
    """A block [time, channels] that starts at sample `start`, silent within `gaps`, with fades of 5 ms outside them."""
    position = np.arange(start, start + len(block))
    gain = np.ones(len(block), np.float32)
    for first, stop in gaps:
        outside = np.maximum(first - position, position - stop + 1)  # samples; negative inside
        gain = np.minimum(gain, np.clip(outside / (_FADE_SECONDS * rate), 0, 1))
    return (block * gain[:, None]).astype(np.float32)


def check_fit(codec: Any, meta: Meta, source: str | os.PathLike[str]) -> None:
    """Raises CodaxError if the codes of a container are not what this model can have made of such audio."""
    config = codec.config
    if meta.codebook_size != config.quantizer.codebook_size or meta.num_quantizers > config.quantizer.num_quantizers:
        raise CodaxError(
            f"{source}: holds {meta.num_quantizers} quantizers of {meta.codebook_size} entries; model {codec.model_id} "
            f"has {config.quantizer.num_quantizers} of {config.quantizer.codebook_size}"
        )
    if meta.streams != -(-meta.channels // config.model.audio_channels):
        raise CodaxError(
            f"{source}: {meta.channels} channels in {meta.streams} streams do not come from model {codec.model_id}, "
            f"which has {config.model.audio_channels}"
        )
    if meta.scaled != config.model.normalize:
        what = "has no scales" if config.model.normalize else "has scales"
        raise CodaxError(f"{source}: {what}, other than files of model {codec.model_id}")
    # The encoder pads the last frame, so codes never cover less than the audio. One frame of tolerance for rounding.
    held = (meta.frames + 1) * config.hop / config.model.sample_rate
    if held < meta.seconds:
        raise CodaxError(
            f"{source}: {meta.frames} frames of model {codec.model_id} cannot hold the {meta.seconds:g} seconds that "
            "the file claims"
        )


def refuse_same(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Raises CodaxError if both names are one existing file, which would be lost."""
    if Path(source).exists() and Path(target).exists() and os.path.samefile(source, target):
        raise CodaxError(f"{target}: input and output are the same file")


def split_streams(block: np.ndarray, group: int) -> np.ndarray:
    """[time, channels] to [streams, time, group], the last channel repeated to fill the last stream."""
    missing = -block.shape[1] % group
    if missing:
        block = np.concatenate([block, np.repeat(block[:, -1:], missing, axis=1)], axis=1)
    return np.ascontiguousarray(block.reshape(len(block), -1, group).transpose(1, 0, 2), np.float32)


def join_streams(streams: np.ndarray, channels: int) -> np.ndarray:
    """[streams, time, group] to [time, channels]: the inverse of `split_streams`.

    A single channel that was repeated is the mean of its copies; other repeated channels are dropped.
    """
    block = streams.transpose(1, 0, 2).reshape(streams.shape[1], streams.shape[0] * streams.shape[2])
    return block.mean(axis=1, keepdims=True) if channels == 1 else block[:, :channels]


def block_samples(config: Any, streams: int) -> int:
    """Samples handed to the model at a time: frames in a power of two, the sizes that sessions run in one piece."""
    frames = max(1, round(_BLOCK_SECONDS / max(2, streams) * config.frame_rate))
    return config.hop << (frames.bit_length() - 1)


def model_blocks(
    source: str | os.PathLike[str],
    described: audio.AudioInfo,
    rate: int,
    size: int,
    count: Callable[[int], None] = lambda frames: None,
) -> Iterator[np.ndarray]:
    """Yields an audio file at `rate` Hz in blocks float32 [size, channels]; the last one is shorter.

    `count` is called with the frames of every piece that is read of the file, at its own rate.
    """
    resample = audio.StreamResampler(described.rate, rate, described.channels)

    def pieces() -> Iterator[np.ndarray]:
        for block in audio.blocks(source, size / rate):
            count(len(block))
            yield resample(block)
        yield resample(np.zeros((0, described.channels), np.float32), last=True)

    return equal_blocks(pieces(), size)
