"""Codecs of command lines really run: a program that halves the amplitude resolution stands for one."""

import json
import sys

import numpy as np
import pytest
from codax.baselines import external, specs
from codax.baselines.base import BaselineError

CODEC = """
import struct, sys
import numpy as np
way, source, target, form = sys.argv[1:]
if way == "encode":
    samples = np.fromfile(source, "<i2")
    if form == "g192":
        frames = [(x >> 8) & 0xFF for x in samples]
        with open(target, "wb") as file:
            for x in frames:  # a frame of 8 bits for every sample
                bits = [0x81 if (int(x) >> i) & 1 else 0x7F for i in range(8)]
                file.write(struct.pack("<10H", 0x6B21, 8, *bits))
    else:
        (samples >> 8).astype("i1").tofile(target)
elif form == "g192":
    words = np.fromfile(source, "<u2").reshape(-1, 10)[:, 2:]
    values = ((words == 0x81) << np.arange(8)).sum(axis=1).astype("u1").view("i1")
    (values.astype("<i2") << 8).tofile(target)
else:
    (np.fromfile(source, "i1").astype("<i2") << 8).tofile(target)
"""


@pytest.fixture
def make(tmp_path):
    """Writes a JSON file and returns its spec."""
    (tmp_path / "codec.py").write_text(CODEC)

    def write(form: str = "plain", **changes) -> str:
        run = f"{sys.executable} {tmp_path / 'codec.py'}"
        values = {
            "name": "halves", "kbps": 128.0, "rates": [16000], "format": "s16",
            "encode": f"{run} encode {{input}} {{output}} {form}",
            "decode": f"{run} decode {{input}} {{output}} {form}",
        } | changes  # fmt: skip
        path = tmp_path / "halves.json"
        path.write_text(json.dumps(values))
        return f"external:{path}"

    return write


def test_another_description_is_another_codec(make) -> None:
    descriptions = [specs.parse(make(**changes)).description for changes in ({}, {}, {"delay": 3}, {"kbps": 64.0})]
    assert descriptions[0] == descriptions[1] and len(set(descriptions)) == 3


def signal() -> np.ndarray:
    return (0.3 * np.sin(np.arange(1600)[:, None] * [0.05, 0.11])).astype(np.float32)


@pytest.mark.parametrize("form", ["plain", "g192"])
def test_audio_and_size_of_the_file(make, form) -> None:
    baseline = specs.parse(make(form, size="g192" if form == "g192" else "file"))
    assert (baseline.name, baseline.kbps, baseline.mono) == ("halves", 128.0, True)
    coded = baseline.code(signal(), 16_000)
    assert coded.audio.shape == (1600, 2)
    np.testing.assert_allclose(coded.audio, signal(), atol=2 / 256)
    assert coded.file_bytes == coded.payload_bytes == 2 * 1600  # a byte a sample, in the test format too


def test_wav_files_and_the_rate(make, tmp_path) -> None:
    copy = f"{sys.executable} -c \"import shutil, sys; assert sys.argv[3] == '24000'; shutil.copy(*sys.argv[1:3])\""
    commands = {"encode": f"{copy} {{input}} {{output}} {{rate}}", "decode": f"{copy} {{input}} {{output}} {{rate}}"}
    baseline = specs.parse(make(format="wav", mono=False, rates=[24000, 8000], suffix=".wav", **commands))
    assert baseline.rates == (8000, 24000)
    coded = baseline.code(signal(), 24_000)
    np.testing.assert_allclose(coded.audio, signal(), atol=1 / 32768)
    assert coded.file_bytes == 44 + 4 * 1600


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encode": "no-such-program {input} {output}"}, "no-such-program is not installed"),
        ({"decode": "cat {input}"}, "decode must contain {input} and {output}"),
        ({"encode": "cat '{input} {output}"}, "encode is no command line .No closing quotation"),
        ({"decode": 'cat "{input} {output}'}, "decode is no command line"),
        ({"decode": "cat {input} {output} \\"}, "decode is no command line"),
        ({"encode": "cat\0 {input} {output}"}, "must not contain NUL"),
        ({"suffix": "/../../x"}, "suffix must consist of"),
        ({"kbps": 0.0}, "kbps must be positive"),
        ({"name": ""}, "name, encode and decode must be given"),
        ({"format": "flac"}, "format must be wav or s16"),
        ({"mono": False}, "raw samples have one channel"),
        ({"size": "bits"}, "size must be file or g192"),
        ({"rates": "16000"}, "rates"),
        ({"speed": 1}, "speed"),
    ],
)
def test_what_is_wrong_with_the_file(make, changes, reason) -> None:
    with pytest.raises(BaselineError, match=reason) as caught:
        specs.parse(make(**changes))
    assert "halves.json" in str(caught.value)


def test_a_missing_or_damaged_file_is_named(tmp_path) -> None:
    with pytest.raises(BaselineError, match=r"absent\.json"):
        specs.parse(f"external:{tmp_path}/absent.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(BaselineError, match=r"bad\.json"):
        specs.parse(f"external:{tmp_path}/bad.json")


def test_programs_that_fail(make) -> None:
    fails = (
        f"{sys.executable} -c \"import sys; print('no licence', file=sys.stderr); sys.exit(3)\" {{input}} {{output}}"
    )
    with pytest.raises(BaselineError, match=r"ended with status 3 \(no licence\)"):
        specs.parse(make(encode=fails)).code(signal(), 16_000)
    sleeps = f'{sys.executable} -c "import time; time.sleep(60)" {{input}} {{output}}'
    with pytest.raises(BaselineError, match=r"took longer than 0\.2 s"):
        specs.parse(make(encode=sleeps, timeout_seconds=0.2)).code(signal(), 16_000)
    silent = f"{sys.executable} -c pass {{input}} {{output}}"
    with pytest.raises(BaselineError, match="no message"):
        specs.parse(make(decode=silent)).code(signal(), 16_000)


def test_files_of_another_format_than_g192() -> None:
    with pytest.raises(BaselineError, match=r"G\.192"):
        external.g192_bits(b"\x21\x6b\x08\x00\x7f\x00", "x")
    assert external.g192_bits(b"", "x") == 0
