"""The examples, run as a user runs them."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from codax.audio import from_int16, to_int16
from codax.codec.codec import Codec
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
        heard, said = listener.communicate(timeout=120)
    assert talker.returncode == 0, talker.stderr
    assert listener.returncode == 0, said
    audio = from_int16(samples)[None, :, None]
    expected = to_int16(codec.decode(codec.encode(audio, kbps=6))[0, :, 0])
    np.testing.assert_allclose(np.frombuffer(heard, "<i2"), expected, atol=1)
    text = said.decode()
    assert "1.00 s heard" in text
    bits, wire = (int(n) for n in re.findall(r"(\d+) bits per second of codes, (\d+) with", text)[0])
    assert 5_900 < bits < 6_100 and wire > bits
    delay = int(re.findall(r"heard (\d+) ms after", text)[0])
    assert delay >= 2  # the frame's own length, at least: it is spoken at the pace of a microphone


def test_another_model_is_refused(tmp_path: Path) -> None:
    for seed in (1, 2):
        Codec.init_random(mimi_config(), seed=seed).save(tmp_path / f"model{seed}")
    run = [sys.executable, str(EXAMPLES / "socket_call.py")]
    with subprocess.Popen(
        [*run, "listen", "--model", str(tmp_path / "model1"), "--port", "0"], stderr=subprocess.PIPE
    ) as listener:
        assert listener.stderr is not None
        port = re.findall(rb"port (\d+)", listener.stderr.readline())[0].decode()
        subprocess.run(
            [*run, "talk", "--model", str(tmp_path / "model2"), "--port", port],
            input=b"",
            capture_output=True,
            check=False,
            timeout=120,
        )
        _, said = listener.communicate(timeout=120)
    assert listener.returncode == 1
    assert said.decode().strip().endswith("which differs from tiny_mimi here")
    assert "Traceback" not in said.decode()


@pytest.mark.parametrize(
    "line", [b"", b"[" * 200, b'{"began": NaN}', b'{"began": ' + b"9" * 150 + b"}", b'{"began": []}', b"\xff\n", b"{}"]
)
def test_greetings_that_are_none_are_refused(line: bytes) -> None:
    spec = importlib.util.spec_from_file_location("socket_call", EXAMPLES / "socket_call.py")
    assert spec is not None and spec.loader is not None
    call = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(call)
    assert call.greeting(b'{"began": 12.5}\n') == 12.5
    with pytest.raises(CodaxError, match="greeting: not the JSON that a caller sends"):
        call.greeting(line)
