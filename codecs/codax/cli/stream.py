"""`codax stream`: encodes raw PCM to packets and decodes packets to PCM, in real time; prints latencies at the end."""

from __future__ import annotations

import dataclasses
import enum
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, BinaryIO

import numpy as np
import typer

import codax
from codax.cli import pipes
from codax.cli.options import Kbps, Model
from codax.codec import shipped
from codax.errors import CodaxError
from codax.runtime import messages

if TYPE_CHECKING:
    from codax.audio.channels import ChannelMap

stream_app = typer.Typer(help="Encode and decode through pipes, in real time.", no_args_is_help=True)
_READ_BYTES = 1 << 16
# Chunk sizes in frames; all are compiled before the first sample is read, so that a live stream never waits for it.
_SIZES = (1, 8, 64)


class PcmFormat(enum.StrEnum):
    """Sample formats of a pipe, little-endian, with interleaved channels."""

    f32 = "f32"
    s16 = "s16"


_Format = Annotated[
    PcmFormat, typer.Option("--format", help="Samples: 32-bit float or 16-bit integer, little-endian, interleaved.")
]
_Channels = Annotated[
    str | None,
    typer.Option(
        metavar="N|each|mix|mid-side",
        help="Channels of the PCM, each coded, also equal ones, because a pipe cannot know them beforehand; or how to "
        "code the two of stereo: each, mixed to one, or as mid and side. Default: the model's number.",
    ),
]


@dataclasses.dataclass
class Delays:
    """Latencies of a session, recorded whenever it gives output.

    Attributes:
      samples: age of the oldest sample in the output, in samples of the signal.
      seconds: computation time.
    """

    rate: int
    samples: list[int] = dataclasses.field(default_factory=list)
    seconds: list[float] = dataclasses.field(default_factory=list)

    def add(self, samples: int, began: float) -> None:
        self.samples.append(samples)
        self.seconds.append(time.perf_counter() - began)

    def __str__(self) -> str:
        if not self.samples:
            return "no output"
        audio, work = 1000 / self.rate * np.asarray(self.samples), 1000 * np.asarray(self.seconds)
        return (
            f"latency {np.median(audio):.1f} ms of audio (first {audio[0]:.1f}, most {audio.max():.1f}), "
            f"computing {np.median(work):.1f} ms (most {work.max():.1f})"
        )


@stream_app.command("encode")
def encode_command(
    model: Model = shipped.DEFAULT,
    kbps: Kbps = None,
    channels: _Channels = None,
    form: _Format = PcmFormat.f32,
    denoise: Annotated[bool, typer.Option("--denoise", help="Remove noise, with a model trained for it.")] = False,
) -> None:
    """Encode PCM at the model's rate from stdin to packets on stdout; a packet is sent when its frames are complete."""
    from codax.audio.channels import still_equal
    from codax.containers import origin, packets
    from codax.containers.codax_coding import describe
    from codax.containers.signals import Report, split_streams

    source, target = pipes.stdin("PCM"), pipes.stdout("packets")
    codec = codax.load(model)
    config = codec.config
    mapped = _channel_map(channels, config.model.audio_channels)
    meta = describe(
        codec,
        sample_rate=config.model.sample_rate,
        channels=mapped,
        num_quantizers=config.quantizers_for(kbps),
        denoise=denoise,
    )
    encoder = codec.stream_encoder(num_quantizers=meta.num_quantizers, batch=meta.streams, denoise=denoise)
    encoder.prepare(_SIZES)
    origin.remember(codec)
    size = target.write(packets.header(meta))
    target.flush()
    delays, consumed, produced = Delays(meta.sample_rate), 0, 0
    first = [0] * mapped.channels  # for each channel the first one that has been equal so far
    for signal in _samples(source, form, mapped.channels):
        began = time.perf_counter()
        consumed += len(signal)
        first = still_equal(first, signal)
        codes = encoder.push(split_streams(mapped.forward(signal), config.model.audio_channels))
        size += sum(target.write(packet) for packet in packets.packets(codes, meta))
        target.flush()
        if codes.shape[1]:
            delays.add(consumed - produced, began)
            produced += codes.shape[1] * config.hop
    codes = encoder.finish()
    size += target.write(packets.last_packet(codes, produced + codes.shape[1] * config.hop - consumed, meta))
    target.flush()
    report = Report(consumed / meta.sample_rate, size, 0.0)
    notes = [f"{report.seconds:.2f} s, {delays}", f"{report.kbps:.2f} kbps with headers"]
    notes.append(mapped.rates(config.kbps(meta.num_quantizers)))
    if consumed and meta.streams > 1 and not any(first):
        notes.append("the channels were equal: --channels mix codes them once")
    _report("; ".join(filter(None, notes)))


@stream_app.command("decode")
def decode_command(
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Model folder or name. Default: found by the stream's hash.")
    ] = None,
    form: _Format = PcmFormat.f32,
) -> None:
    """Packets on stdin to PCM at the model's rate on stdout, each packet's audio as soon as it is there."""
    from codax.containers import origin, packets
    from codax.containers.codax_coding import channels_of, check_fit
    from codax.containers.container import ContainerError
    from codax.containers.signals import join_streams

    source, target = pipes.stdin("packets"), pipes.stdout("PCM")
    try:
        meta = packets.read_header(source.read)
        codec = origin.find(meta, "stdin", model, codax.load)
        check_fit(codec, meta, "stdin")
        mapped = channels_of(codec, meta)
        decoder = codec.stream_decoder(batch=meta.streams, denoise=meta.denoised)
        decoder.prepare(_SIZES, meta.num_quantizers)
        delays, consumed, produced = Delays(meta.sample_rate), 0, 0
        for codes, excess in packets.read_packets(source.read, meta):
            began = time.perf_counter()
            consumed += codes.shape[1] * codec.config.hop
            signal = packets.decode(decoder, codes, excess)
            target.write(_bytes(mapped.backward(join_streams(signal, mapped.coded)), form))
            target.flush()
            if signal.shape[1]:
                delays.add(consumed - produced, began)
                produced += signal.shape[1]
    except ContainerError as error:
        raise ContainerError(f"stdin: {error}") from error
    _report(f"{produced / meta.sample_rate:.2f} s, {delays}")


def _channel_map(channels: str | None, group: int) -> ChannelMap:
    """The map of a number of channels, each coded, of a mode for stereo, or of the model's channels (`group`)."""
    from codax.audio.channels import MODES, channel_map
    from codax.config.checks import MOST_CHANNELS

    if channels in MODES:
        return channel_map(channels, 2, group)
    number = group if channels is None else int(channels) if channels.isascii() and channels.isdigit() else 0
    if not 1 <= number <= MOST_CHANNELS:
        raise CodaxError(f"--channels: {channels} is neither 1 to {MOST_CHANNELS} nor one of {', '.join(MODES)}")
    return channel_map("each", number, group)


def _samples(source: BinaryIO, form: PcmFormat, channels: int) -> Iterator[np.ndarray]:
    """Yields the available samples, float32 [time, channels], until the end."""
    from codax.audio import from_int16

    dtype = np.dtype("<f4" if form is PcmFormat.f32 else "<i2")
    rest = b""
    while data := os.read(source.fileno(), _READ_BYTES):
        data = rest + data
        whole = len(data) // (dtype.itemsize * channels) * (dtype.itemsize * channels)
        rest = data[whole:]
        signal = np.frombuffer(data[:whole], dtype).reshape(-1, channels)
        signal = signal.astype(np.float32) if form is PcmFormat.f32 else from_int16(signal)
        if not np.isfinite(signal).all():
            raise CodaxError("stdin: holds samples that are not finite numbers; is it 32-bit float?")
        yield signal
    if rest:
        raise CodaxError(f"stdin: ends within a sample of {channels} channels: {len(rest)} bytes remain")


def _bytes(signal: np.ndarray, form: PcmFormat) -> bytes:
    from codax.audio import to_int16

    return (signal.astype("<f4") if form is PcmFormat.f32 else to_int16(signal).astype("<i2")).tobytes()


def _report(text: str) -> None:
    messages.note(f"codax stream: {text}")
