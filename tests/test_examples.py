"""The examples, run as a user runs them."""

import contextlib
import dataclasses
import importlib.util
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from codax.audio import from_int16, to_int16
from codax.codec.codec import Codec
from codax.containers import packets
from codax.containers.codax_coding import describe
from codax.errors import CodaxError
from zoo import mimi_config

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_a_call_over_a_socket(tmp_path: Path) -> None:
    codec = Codec.init_random(mimi_config(), seed=1)
    codec.save(tmp_path / "model")
    samples = to_int16(np.random.default_rng(0).normal(0, 0.2, 8_000 + 5).astype(np.float32)).astype("<i2")
    run = [sys.executable, str(EXAMPLES / "socket_call.py")]
    model = ["--model", str(tmp_path / "model")]
    with subprocess.Popen(
        [*run, "listen", *model, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as listener:
        assert listener.stderr is not None
        port = re.findall(rb"port (\d+)", listener.stderr.readline())[0].decode()
        talker = subprocess.run(
            [*run, "talk", *model, "--port", port, "--kbps", "6"],
            input=samples.tobytes(),
            capture_output=True,
            check=False,
            timeout=120,
        )
        heard, stderr_text = listener.communicate(timeout=120)
    assert talker.returncode == 0, talker.stderr
    assert listener.returncode == 0, stderr_text
    audio = from_int16(samples)[None, :, None]
    expected = to_int16(codec.decode(codec.encode(audio, kbps=6))[0, :, 0])
    np.testing.assert_allclose(np.frombuffer(heard, "<i2"), expected, atol=1)
    text = stderr_text.decode()
    assert "1.00 s heard" in text
    bits, wire = (int(n) for n in re.findall(r"(\d+) bits per second of codes, (\d+) with", text)[0])
    assert 5_900 < bits < 6_100 and wire > bits
    delay = int(re.findall(r"heard (\d+) ms after", text)[0])
    assert delay >= 2  # the frame's own length, at least: it is spoken at the pace of a microphone


class Call:
    """A connection to a listener; `send` gives whether it is still open after the answer, if one is expected."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)

    def accepted(self, header: bytes) -> bool:
        self.socket.sendall(header)
        return self.socket.recv(1) == b"!"

    def is_cut_off(self, data: bytes = b"") -> bool:
        try:
            self.socket.sendall(data)
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


def test_callers_that_send_something_else_disturb_nobody(tmp_path: Path) -> None:
    codecs = [Codec.init_random(mimi_config(), seed=seed) for seed in (1, 2)]
    for number, codec in enumerate(codecs):
        codec.save(tmp_path / f"model{number}")
    rate, quantizers = codecs[0].config.model.sample_rate, codecs[0].config.quantizer.num_quantizers
    meta, other = (describe(codec, sample_rate=rate, channels=1, num_quantizers=quantizers) for codec in codecs)
    header, greeting = packets.header(meta), b'{"began": 1.0}\n'
    long = packets.last_packet(np.zeros((1, packets.MOST_FRAMES, quantizers), np.int32), 0, meta)
    excess = packets.last_packet(np.zeros((1, 1, quantizers), np.int32), 0xFFFFFFFF, meta)
    strangers = {
        "bad magic": [b"GET / HTTP/1.1\r\n\r\n" + b"x" * 200],
        "which differs from tiny_mimi here": [packets.header(other)],
        "not that of a call": [packets.header(dataclasses.replace(meta, codebook_size=3, sample_rate=rate + 1))],
        "greeting": [header, b"x" * 1_000_000],
        "greeting is": [header, b'{"began": ' + b"9" * 180 + b"e999}\n"],
        "greeting is not": [header, b'{"began": NaN}\n'],
        "greeting is not one": [header, b"[" * 199 + b"\n"],
        f"{packets.MOST_FRAMES} frames": [header, greeting + long],
        "too many": [header, greeting + excess],
        "checksum": [header, greeting + b"\x01\x00" + b"x" * 1000],
        "nothing complete was received within 1 s": [header, greeting + b"\x01"],
    }
    run, model = [sys.executable, str(EXAMPLES / "socket_call.py")], ["--model", str(tmp_path / "model0")]
    with contextlib.ExitStack() as stack:
        command = [*run, "listen", *model, "--port", "0", "--timeout", "1"]
        listener = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        stack.callback(listener.kill)
        assert listener.stderr is not None
        port = int(re.findall(rb"port (\d+)", listener.stderr.readline())[0])
        for reason, (start, *rest) in strangers.items():
            call = Call(port)
            if rest:
                assert call.accepted(start), reason
            assert call.is_cut_off(*rest or [start]), reason
            assert reason in listener.stderr.readline().decode()
        silent = [Call(port) for _ in range(3)]  # while others are heard
        sound = np.random.default_rng(0).integers(-9999, 9999, 4000).astype("<i2")
        talker = subprocess.run(
            [*run, "talk", *model, "--port", str(port), "--no-pace"],
            input=sound.tobytes(),
            capture_output=True,
            check=False,
            timeout=120,
        )
        heard, messages = listener.communicate(timeout=120)
        del silent
    assert talker.returncode == 0, talker.stderr
    assert listener.returncode == 0 and f"{4000 / rate:.2f} s heard" in messages.decode()
    assert len(heard) == 2 * 4000 and b"Traceback" not in messages


def test_a_listener_that_does_not_answer_or_breaks_off(tmp_path: Path) -> None:
    Codec.init_random(mimi_config(), seed=1).save(tmp_path / "model")
    with socket.create_server(("127.0.0.1", 0)) as door:
        command = [sys.executable, str(EXAMPLES / "socket_call.py"), "talk", "--model", str(tmp_path / "model")]
        talker = subprocess.Popen(
            [*command, "--port", str(door.getsockname()[1])],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        door.accept()[0].close()
        _, message = talker.communicate(timeout=120)
    assert talker.returncode == 1 and message.startswith("error: ") and message.count("\n") == 1


@pytest.mark.parametrize(
    "line", [b"", b"[" * 200, b'{"began": NaN}', b'{"began": ' + b"9" * 150 + b"}", b'{"began": []}', b"\xff\n", b"{}"]
)
def test_greetings_that_are_none_are_refused(line: bytes) -> None:
    spec = importlib.util.spec_from_file_location("socket_call", EXAMPLES / "socket_call.py")
    assert spec is not None and spec.loader is not None
    call = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(call)
    assert call.start_of_call(b'{"began": 12.5}\n') == 12.5
    with pytest.raises(CodaxError, match="not one line of JSON"):
        call.start_of_call(line)
