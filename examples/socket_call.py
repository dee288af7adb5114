"""Live speech over a socket with any streaming codec: PCM in at one process, PCM out at the other.

    python examples/socket_call.py listen --model MODEL --port 7000 > heard.pcm
    python examples/socket_call.py talk --model MODEL --port 7000 --kbps 1.1 < microphone.pcm

PCM is 16-bit little-endian mono at the model's rate. `talk` reads a file at the pace of a microphone (or with
`--no-pace`, stdin as it arrives). At the end `listen` reports the bits per second on the wire, and the delay from the
first sample of each frame to its output; both processes must share a clock.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections.abc import Iterator

import codax
import numpy as np
from codax.containers import packets
from codax.containers.codax_coding import describe
from codax.errors import CodaxError
from codax.storage import strict_json

GREETING_BYTES = 200  # at most
PIECE_SECONDS = 0.01  # chunk length of a microphone


def microphone(codec: codax.Codec, pace: bool) -> Iterator[np.ndarray]:
    """Yields chunks of stdin, float32 [1, time, 1]; with `pace`, each at the time of its last sample."""
    rate = codec.config.model.sample_rate
    samples = max(1, round(PIECE_SECONDS * rate))
    began, consumed = time.monotonic(), 0
    while data := sys.stdin.buffer.read(2 * samples):
        consumed += len(data) // 2
        if pace:
            time.sleep(max(0.0, began + consumed / rate - time.monotonic()))
        yield codax.audio.from_int16(np.frombuffer(data, "<i2", count=len(data) // 2))[None, :, None]


def talk(codec: codax.Codec, host: str, port: int, kbps: float | None, pace: bool) -> None:
    """Encodes stdin and sends every frame as soon as it is complete."""
    config = codec.config
    rate, quantizers = config.model.sample_rate, config.quantizers_for(kbps)
    meta = describe(codec, sample_rate=rate, channels=1, num_quantizers=quantizers)
    encoder = codec.stream_encoder(num_quantizers=meta.num_quantizers)
    encoder.prepare([1])  # compiles before the call
    with socket.create_connection((host, port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(packets.header(meta))
        if not line.recv(1):  # the other side is ready: it has compiled for this number of codebooks
            raise CodaxError("the call was not accepted")
        line.sendall(json.dumps({"began": time.time()}).encode() + b"\n")
        consumed = frames = 0
        for piece in microphone(codec, pace):
            codes = encoder.push(piece)
            consumed, frames = consumed + piece.shape[1], frames + codes.shape[1]
            for packet in packets.packets(codes, meta):
                line.sendall(packet)
        codes = encoder.finish()
        frames += codes.shape[1]
        line.sendall(packets.last_packet(codes, frames * config.hop - consumed, meta))


def greeting(line: bytes) -> float:
    """The caller's clock when it began, in seconds. Raises CodaxError if the line is not a greeting."""
    try:
        return float(strict_json.parse(line)["began"])
    except (strict_json.JSONError, KeyError, TypeError, ValueError) as error:
        raise CodaxError(f"greeting: not the JSON that a caller sends ({error})") from error


def listen(codec: codax.Codec, host: str, port: int) -> None:
    """Takes one call and writes what it hears to stdout, every frame as soon as it is there."""
    rate, hop = codec.config.model.sample_rate, codec.config.hop
    decoder = codec.stream_decoder()
    with socket.create_server((host, port)) as door:
        print(f"listening on port {door.getsockname()[1]}", file=sys.stderr, flush=True)
        line, _ = door.accept()
    delays, payload, wire, received = [], 0, 0, 0
    with line, line.makefile("rb") as stream:
        meta = packets.read_header(stream.read)
        if meta.model_hash != codec.hash:
            raise CodaxError(f"the caller's model is {meta.model_id}, which differs from {codec.model_id} here")
        decoder.prepare([1], meta.num_quantizers)
        line.sendall(b"!")
        began = greeting(stream.readline(GREETING_BYTES))
        for codes, excess in packets.read_packets(stream.read, meta):
            audio = decoder.push(codes)
            if excess is not None:
                audio = np.concatenate([audio, decoder.finish()], axis=1)
                audio = audio[:, : audio.shape[1] - excess]
            sys.stdout.buffer.write(codax.audio.to_int16(audio[0, :, 0]).astype("<i2").tobytes())
            sys.stdout.buffer.flush()
            if audio.shape[1]:
                delays.append(time.time() - began - received / rate)
            received += audio.shape[1]
            payload += codes.size * meta.bits_per_code
            wire += 8 * sum(len(packet) for packet in packets.packets(codes, meta))
    seconds = max(received / rate, hop / rate)
    milliseconds = 1000 * np.asarray(delays or [0.0])
    print(
        f"{received / rate:.2f} s heard; {payload / seconds:.0f} bits per second of codes, {wire / seconds:.0f} with "
        f"packet heads; a frame of {1000 * hop / rate:.0f} ms was heard {np.median(milliseconds):.0f} ms after its "
        f"first sample (median; 99th percentile {np.percentile(milliseconds, 99):.0f} ms)",
        file=sys.stderr,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=["listen", "talk"])
    parser.add_argument("--model", required=True, help="model folder, or the name of a shipped model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0: any free port, which `listen` prints")
    parser.add_argument("--kbps", type=float, help="for `talk`; default: all codebooks")
    parser.add_argument("--no-pace", dest="pace", action="store_false", help="for `talk`: stdin is already live")
    options = parser.parse_args()
    codec = codax.load(options.model)
    if not codec.streams or codec.config.model.audio_channels != 1:
        raise CodaxError(f"model {codec.model_id} does not stream mono audio")
    if options.role == "listen":
        listen(codec, options.host, options.port)
    else:
        talk(codec, options.host, options.port, options.kbps, options.pace)


if __name__ == "__main__":
    try:
        main()
    except (CodaxError, OSError) as error:
        sys.exit(f"error: {error}")
