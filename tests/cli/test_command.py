"""The command as a user runs it: a process of its own, a real model with random weights."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from codax import audio
from codax.config import Config, EMAQuantizerConfig, SoundStreamConfig

_SECONDS = 1.3


def _save_models(folder) -> None:
    """Writes the models `tiny`, and `other`, which has the same network and other weights."""
    import jax
    import jax.numpy as jnp
    from codax.codec.codec import Codec
    from codax.codec.module import CodecModel

    config = Config(
        name="tiny",
        model=SoundStreamConfig(sample_rate=16_000, channels=2, strides=(10, 16), dilations=(1,), dimension=8),
        quantizer=EMAQuantizerConfig(num_quantizers=4, codebook_size=1000, kbps=(1.0, 4.0)),
    )

    def initial():
        key = jax.random.key(0)
        audio = jnp.zeros((1, 4 * config.hop, 1))
        return CodecModel(config).init(key, audio, levels=jnp.ones(1, jnp.int32), key=key)

    # Random numbers in the shapes of a model: compiling its own initialisation takes longer than all of these tests.
    shapes = jax.eval_shape(initial)
    for seed, name in enumerate(("tiny", "other")):
        rng = np.random.default_rng(seed)
        values = jax.tree.map(lambda x, rng=rng: rng.normal(0, 0.3, x.shape).astype(x.dtype), shapes)
        Codec(config, values["params"], values["codebook"]).save(folder / name)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two models, `tiny` and `other`, and in.wav, 44.1 kHz stereo."""
    folder = tmp_path_factory.mktemp("command")
    _save_models(folder)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (round(_SECONDS * 44_100), 2))
    audio.write(folder / "in.wav", noise, 44_100)
    return folder


def _start(place, *args: str) -> subprocess.Popen[str]:
    """The command as users run it: compiled in full."""
    environment = os.environ | {"CODAX_CACHE": str(place / "cache"), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    environment.pop("CODAX_MODELS", None)
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "codax.cli.main", *args]
    return subprocess.Popen(command, cwd=place, env=environment, text=True, stdout=pipe, stderr=pipe)


def _codax(place, *args: str) -> tuple[int, str, str]:
    process = _start(place, *args)
    out, err = process.communicate()
    return process.returncode, out, err


def test_encode_decode_and_info(place):
    status, out, err = _codax(place, "encode", "in.wav", "a.codax", "--model", "tiny")
    assert (status, err) == (0, "")
    # 100 frames a second, 4 quantizers of 10 bits, 2 channels; 39 bytes and the name
    size = 130 * 4 * 10 * 2 // 8 + 39 + 4
    assert out.startswith(f"a.codax: 1.30 s, {size:,} bytes, ")
    assert (place / "a.codax").stat().st_size == size

    assert _codax(place, "decode", "a.codax", "out.wav")[::2] == (0, "")  # the model is found by its hash
    assert audio.info(place / "out.wav") == audio.info(place / "in.wav")
    assert np.ptp(audio.read(place / "out.wav")[0]) > 0

    facts = json.loads(_codax(place, "info", "a.codax", "--json")[1])
    assert facts["model"] == "tiny"
    assert facts["kbps_of_codes"] == 8.0
    status, _, err = _codax(place, "decode", "a.codax", "b.wav", "--model", "other")
    assert status == 1
    assert err.startswith(f"codax: a.codax: encoded with model tiny with weights {facts['model_hash']}, but other")
    assert err.count("\n") == 1
    assert not (place / "b.wav").exists()


def test_files_equal_the_library(place):
    import codax
    from codax.containers.streamed import ContainerReader

    codec = codax.load(place / "tiny")
    assert _codax(place, "encode", "in.wav", "lib.codax", "--model", "tiny", "--kbps", "2")[0] == 0
    signal, rate = audio.read(place / "in.wav")
    tokens = codec.encode(signal.T[:, :, None], sample_rate=rate, kbps=2.0)
    with ContainerReader(place / "lib.codax") as reader:
        codes = np.concatenate(list(reader.blocks(50)), axis=1)
        assert reader.meta.model_hash == codec.hash
    assert codes.shape == np.shape(tokens.codes)
    # The two resample in different pieces: rounding may turn a near tie between two codes.
    assert np.mean(codes == np.asarray(tokens.codes)) > 0.99


def test_info_of_a_model(place):
    facts = json.loads(_codax(place, "info", "tiny", "--json")[1])
    expected = {
        "kind": "model", "name": "tiny", "family": "soundstream", "sample_rate": 16_000, "channels": 1, "hop": 160,
        "frame_rate": 100.0, "latency_ms": 10.0, "num_quantizers": 4, "kbps_max": 4.0, "kbps_per_quantizer": 1.0,
    }  # fmt: skip
    assert facts.items() >= expected.items()
    assert facts["config"]["quantizer"]["codebook_size"] == 1000
    assert facts["parameters"] > 1000
    (place / "broken").mkdir()
    for name in ("config.json", "model.safetensors"):
        (place / "broken" / name).write_bytes((place / "tiny" / name).read_bytes()[:50])
        status, _, err = _codax(place, "info", "broken")
        assert status == 1
        assert err.startswith("codax: broken")
        (place / "broken" / "config.json").write_bytes((place / "tiny" / "config.json").read_bytes())


def test_light_commands_import_no_jax():
    code = "import sys, codax.cli.main, codax.cli.info, codax.containers.whole_files; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_terminated_command_leaves_nothing(place):
    audio.write(place / "long.wav", np.random.default_rng(0).uniform(-0.5, 0.5, (16_000 * 600, 1)), 16_000)
    before = set(place.iterdir())
    process = _start(place, "encode", "long.wav", "long.codax", "--model", "tiny")
    while process.poll() is None and not any(f.suffix == ".part" for f in place.iterdir()):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    process.communicate()
    assert set(place.iterdir()) == before
