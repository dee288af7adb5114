"""Live speech over a socket with any streaming codec: PCM in at one process, PCM out at the other.

    python examples/socket_call.py listen --model MODEL --port 7000 > heard.pcm
    python examples/socket_call.py talk --model MODEL --port 7000 --kbps 1.1 < microphone.pcm

PCM is 16-bit little-endian mono at the model's rate. `talk` reads a file at the pace of a microphone (or with
`--no-pace`, stdin as it arrives). After a call `listen` reports the bits per second on the wire, and the delay from the
first sample of each frame to its output; both processes must share a clock.

`listen` ends after one whole call, or `--calls` of them. A caller that is silent, or sends something else than a call,
loses its connection with one line on stderr; it disturbs neither the call that is being heard nor those that follow.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator

import codax
import numpy as np
from codax.containers import packets
from codax.containers.codax_coding import describe
from codax.containers.container import Meta
from codax.errors import CodaxError
from codax.storage import strict_json

PIECE_SECONDS = 0.01  # chunk length of a microphone
PACKET_SECONDS = 1.0  # most audio in a packet; `talk` sends a frame at a time
ANSWER_SECONDS = 120.0  # until `listen` has compiled for the number of codebooks
GREETING_BYTES = 200
MOST_CALLERS = 16  # connections at a time


class Line:
    """The receiving side of a connection. A message must arrive within `seconds`, however its bytes are spread."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self.next_message()

    def next_message(self) -> None:
        self._deadline = time.monotonic() + self._seconds

    def read(self, size: int) -> bytes:
        """Returns `size` bytes, or fewer if the connection ends before. Raises CodaxError after the deadline."""
        data = bytearray()
        while len(data) < size:
            try:
                self._connection.settimeout(max(1e-3, self._deadline - time.monotonic()))
                part = self._connection.recv(min(size - len(data), 1 << 16))
            except TimeoutError as error:
                raise CodaxError(f"nothing complete was received within {self._seconds:g} s") from error
            if not part:
                break
            data += part
        return bytes(data)

    def read_line(self) -> bytes:
        """Returns the bytes before the next newline, or the first `GREETING_BYTES` of them."""
        line = bytearray()
        while len(line) < GREETING_BYTES and (byte := self.read(1)) not in (b"", b"\n"):
            line += byte
        return bytes(line)


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


def talk(codec: codax.Codec, host: str, port: int, kbps: float | None, pace: bool, seconds: float) -> None:
    """Encodes stdin and sends every frame as soon as it is complete."""
    config = codec.config
    rate, quantizers = config.model.sample_rate, config.quantizers_for(kbps)
    meta = describe(codec, sample_rate=rate, channels=1, num_quantizers=quantizers)
    encoder = codec.stream_encoder(num_quantizers=meta.num_quantizers)
    encoder.prepare([1])  # compiles before the call
    with socket.create_connection((host, port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.settimeout(ANSWER_SECONDS)
        line.sendall(packets.header(meta))
        if line.recv(1) != b"!":  # the other side is ready: it has compiled for this number of codebooks
            raise CodaxError("the call was not accepted")
        line.settimeout(seconds)
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


class Listener:
    """Takes calls, one at a time, and writes what it hears to stdout, every frame as soon as it is there."""

    def __init__(self, codec: codax.Codec, seconds: float, calls: int) -> None:
        """Args: seconds that a caller may need for a message; calls, the number of whole calls, 0 = without end."""
        self._codec, self._seconds, self._calls = codec, seconds, calls
        self._callers = threading.BoundedSemaphore(MOST_CALLERS)
        self._speaker = threading.Lock()  # of the caller that is heard
        self._is_done = threading.Event()
        self._failure: OSError | None = None  # of stdout

    def listen(self, host: str, port: int) -> None:
        """Answers callers until the last call is complete. Raises OSError if stdout or the port fails."""
        with socket.create_server((host, port)) as door:
            print(f"listening on port {door.getsockname()[1]}", file=sys.stderr, flush=True)
            door.settimeout(0.2)
            while not self._is_done.is_set():
                try:
                    connection, address = door.accept()
                except TimeoutError:
                    continue
                if self._callers.acquire(blocking=False):
                    threading.Thread(target=self._answer, args=(connection, address[0]), daemon=True).start()
                else:
                    connection.close()
        if self._failure is not None:
            raise self._failure

    def _answer(self, connection: socket.socket, caller: str) -> None:
        """Hears a caller to the end. Whatever goes wrong concerns this caller only."""
        try:
            with connection:
                report = self._hear(connection)
            print(report, file=sys.stderr, flush=True)
            if self._calls == 0:
                self._is_done.set()
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"caller {caller} was cut off: {reason}", file=sys.stderr, flush=True)
        finally:
            self._callers.release()

    def _hear(self, connection: socket.socket) -> str:
        line = Line(connection, self._seconds)
        meta = packets.read_header(line.read)
        self._check(meta)
        if not self._speaker.acquire(blocking=False):
            raise CodaxError("another caller is being heard")
        try:
            decoder = self._codec.stream_decoder()
            decoder.prepare([1], meta.num_quantizers)
            line.next_message()
            connection.settimeout(self._seconds)
            connection.sendall(b"!")
            began = start_of_call(line.read_line())
            heard = Heard(self._codec, meta, began)
            for codes, excess in packets.read_packets(line.read, meta):
                self._write(heard.decoded(decoder, codes, excess))
                line.next_message()
            self._calls -= 1
            return heard.report()
        finally:
            self._speaker.release()

    def _check(self, meta: Meta) -> None:
        """Refuses streams that `talk` does not send with the model of this side."""
        model = self._codec.config.model
        if meta.model_hash != self._codec.hash:
            raise CodaxError(f"the caller's model is {meta.model_id}, which differs from {self._codec.model_id} here")
        expected = describe(self._codec, sample_rate=model.sample_rate, channels=1, num_quantizers=meta.num_quantizers)
        if packets.header(meta) != packets.header(expected):
            raise CodaxError("the header is not that of a call with this model")

    def _write(self, audio: np.ndarray) -> None:
        try:
            sys.stdout.buffer.write(codax.audio.to_int16(audio).astype("<i2").tobytes())
            sys.stdout.buffer.flush()
        except OSError as error:
            self._failure = error
            self._is_done.set()
            raise


class Heard:
    """Decodes the packets of a call, and counts."""

    def __init__(self, codec: codax.Codec, meta: Meta, began: float) -> None:
        self._rate, self._hop, self._meta, self._began = meta.sample_rate, codec.config.hop, meta, began
        self._delays: list[float] = []
        self._payload = self._wire = self._received = 0

    def decoded(
        self, decoder: codax.codec.streaming.StreamDecoder, codes: np.ndarray, excess: int | None
    ) -> np.ndarray:
        """Returns the audio [time] of a packet. Raises CodaxError if its lengths are impossible."""
        if codes.shape[1] * self._hop > max(self._hop, PACKET_SECONDS * self._rate):
            raise CodaxError(f"a packet of {codes.shape[1]} frames is longer than {PACKET_SECONDS:g} s")
        audio = packets.decode(decoder, codes, excess)
        if audio.shape[1]:
            self._delays.append(time.time() - self._began - self._received / self._rate)
        self._received += audio.shape[1]
        self._payload += codes.size * self._meta.bits_per_code
        self._wire += 8 * sum(len(packet) for packet in packets.packets(codes, self._meta))
        return audio[0, :, 0]

    def report(self) -> str:
        seconds = max(self._received / self._rate, self._hop / self._rate)
        milliseconds = 1000 * np.asarray(self._delays or [0.0])
        return (
            f"{self._received / self._rate:.2f} s heard; {self._payload / seconds:.0f} bits per second of codes, "
            f"{self._wire / seconds:.0f} with packet heads; a frame of {1000 * self._hop / self._rate:.0f} ms was "
            f"heard {np.median(milliseconds):.0f} ms after its first sample (median; 99th percentile "
            f"{np.percentile(milliseconds, 99):.0f} ms)"
        )


def start_of_call(greeting: bytes) -> float:
    """Reads the time of the first sample, in seconds, from the caller's greeting. Raises CodaxError."""
    try:
        return float(strict_json.parse(greeting)["began"])
    except (strict_json.JSONError, KeyError, TypeError, ValueError) as error:
        raise CodaxError('the greeting is not one line of JSON with the number "began"') from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=["listen", "talk"])
    parser.add_argument("--model", required=True, help="model folder, or the name of a shipped model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0: any free port, which `listen` prints")
    parser.add_argument("--kbps", type=float, help="for `talk`; default: all codebooks")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds that the other side may be silent")
    parser.add_argument("--calls", type=int, default=1, help="for `listen`: whole calls before it ends; 0: no end")
    parser.add_argument("--no-pace", dest="pace", action="store_false", help="for `talk`: stdin is already live")
    options = parser.parse_args()
    codec = codax.load(options.model)
    if not codec.streams or codec.config.model.audio_channels != 1:
        raise CodaxError(f"model {codec.model_id} does not stream mono audio")
    if options.role == "listen":
        Listener(codec, options.timeout, options.calls).listen(options.host, options.port)
    else:
        talk(codec, options.host, options.port, options.kbps, options.pace, options.timeout)


if __name__ == "__main__":
    try:
        main()
    except (CodaxError, OSError) as error:
        sys.exit(f"error: {error}")
