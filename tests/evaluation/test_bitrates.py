"""`eval.py --report=bitrates`: rates of real files beside those promised and published."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from codax import audio
from codax.codec.codec import Codec
from codax.config import Config
from codax.errors import CodaxError
from codax.evaluation import bitrates

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "data").mkdir()
    for i in range(2):
        audio.write(tmp_path / f"data/{i}.wav", np.random.default_rng(i).uniform(-0.3, 0.3, (12_000, 1)), 8000)
    config = Config(name="encodec_24khz")
    config.model.sample_rate, config.model.channels, config.model.strides = 8000, 4, (2, 4)
    config.model.dimension, config.model.dilations = 8, (1,)
    config.quantizer.num_quantizers, config.quantizer.codebook_size = 3, 64
    config.quantizer.kbps = (6.0, 18.0)
    Codec.init_random(config).save(tmp_path / "model")
    return tmp_path


def test_rates_of_a_model(place) -> None:
    low, high = bitrates.measure(str(place / "model"), [], str(place / "data"), seconds=2.0)
    assert (low.model, low.random, low.quantizers, low.frame_rate, low.nominal) == ("encodec_24khz", False, 1, 1000, 6)
    # 2 s of codes, a header of at most 64 bytes, and checksums.
    assert 6.0 < low.file < 6.0 + 8 * 80 / 2000 and 18.0 < high.file < 18.4
    assert low.adaptive is not None and low.adaptive < 1.1 * low.file and low.lm is None
    assert low.latency_ms == 1.0 and low.encode_speed > 0 and low.decode_speed > 0
    assert (low.paper, low.paper_coded, low.paper_latency_ms) == ("arXiv 2210.13438", 4.1, 13.3)
    assert high.paper_coded is None


def test_recipes_and_the_table(place) -> None:
    run = [sys.executable, str(ROOT / "eval.py"), "--report=bitrates", f"--data={place / 'data'}", "--seconds=1"]
    run += [f"--recipes={ROOT / 'configs/quickstart.py'}", f"--out={place / 'out'}"]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "quickstart *" in done.stdout and "random weights" in done.stdout
    with open(place / "out" / "bitrates.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["nominal"]) for line in lines] == [6, 12, 18]
    assert all(line["adaptive"] == "" and line["random"] == "True" for line in lines)


def test_nothing_to_measure() -> None:
    with pytest.raises(CodaxError, match="nothing to measure"):
        bitrates.measure([], [], "starter", seconds=1.0)
    with pytest.raises(CodaxError, match=r"absent\.py"):
        bitrates.measure([], ["absent.py"], "starter", seconds=1.0)


@pytest.mark.parametrize(
    ("flags", "idle"),
    [
        (["--report=bitrates", "--kbps=6"], "kbps"),
        (["--report=bitrates", "--snr=5"], "snr"),
        (["--seconds=3"], "seconds"),
        (["--out=out", "--noise=starter-noise"], "noise"),
        (["--out=out", "--labels=labels"], "labels"),
        (["--out=out", "--channels=mix"], "channels"),
    ],
)
def test_flags_without_effect(flags, idle) -> None:
    run = [sys.executable, str(ROOT / "eval.py"), *flags]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"--{idle} has no effect with" in done.stderr
