"""Changed files end in one clear error or in audio, quickly and without taking memory."""

import time
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from codax import audio
from codax.config import LanguageModelConfig
from codax.containers import codax_coding
from codax.errors import CodaxError
from codax.lm.storage import save_lm
from fake_codec import FakeCodec
from mutations import COUNT, mutated, sealed
from tiny_models import random_lm

SECONDS = 0.1  # of audio
SLOWEST = 20.0  # seconds of work; hundreds of times what it takes
LARGEST = 64 << 20  # bytes


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The folder of a language model, and a file by each method."""
    folder, codec = tmp_path_factory.mktemp("files"), FakeCodec()
    config = codec.config
    config.lm = LanguageModelConfig(dim=16, layers=1, heads=2, hidden=16, past_seconds=0.05)
    save_lm(random_lm(config, 0), config, folder / "lm")
    signal = np.sin(np.arange(int(8000 * SECONDS)) / 20)[:, None].astype(np.float32)
    audio.write(folder / "in.wav", 0.5 * signal, 8000)
    coded = {}
    for method in (None, "adaptive", "lm"):
        path = folder / f"{method}.codax"
        codax_coding.encode(codec, folder / "in.wav", path, num_quantizers=3, entropy=method, lm=str(folder / "lm"))
        coded[method] = path.read_bytes()
    audio.write(folder / "in.wav", np.concatenate([0.5 * signal, 0.25 * signal, 0.5 * signal], axis=1), 8000)
    codax_coding.encode(codec, folder / "in.wav", path := folder / "shared.codax", num_quantizers=3)
    coded["shared"] = path.read_bytes()
    return folder, coded


@pytest.mark.parametrize(("method", "share"), [(None, 3), ("adaptive", 3), ("lm", 5), ("shared", 5)])
def test_codax_files(files, tmp_path, method, share):
    folder, coded = files
    data, rng, codec = coded[method], np.random.default_rng(0), FakeCodec()
    path, out = tmp_path / "a.codax", tmp_path / "a.wav"
    ends: Counter[str] = Counter()
    tracemalloc.start()
    try:
        for _ in range(COUNT // share):
            changed = mutated(data, rng)
            path.write_bytes(sealed(changed) if rng.random() < 0.7 else changed)
            out.unlink(missing_ok=True)
            tracemalloc.reset_peak()
            started = time.perf_counter()
            try:
                report = codax_coding.decode(lambda _: codec, path, out, lm=str(folder / "lm"), conceal=True)
            except CodaxError as error:
                assert str(path) in str(error), error
                assert "\n" not in str(error)
                assert not out.exists()
                ends[str(error).split(": ")[1][:20]] += 1
            else:
                assert out.exists()
                if report.seconds:  # of no audio there is nothing to read
                    assert audio.info(out).seconds == pytest.approx(report.seconds)
                ends["concealed" if report.damage else "decoded"] += 1
            assert time.perf_counter() - started < SLOWEST
            assert tracemalloc.get_traced_memory()[1] < LARGEST
    finally:
        tracemalloc.stop()
    assert len(ends) > 5
    assert ends["decoded"] + ends["concealed"] > 0, ends
