"""EnCodec's models on the command line: their own container, `.codax` with segments, import and export."""

import json
import sys
from pathlib import Path

import codax
import numpy as np
import pytest
from codax import audio
from codax.audio import resample
from codax.codec.codec import Codec
from codax.config import presets
from codax.containers import ecdc
from codax.containers.streamed import ContainerReader
from codax.interop import encodec_lm
from codax.lm.config import LMConfig
from codax.lm.predictor import parameter_shapes
from safetensors.numpy import save_file

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = {"24khz": presets.encodec_24khz, "48khz": presets.encodec_48khz}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders with small models of the shapes that `.ecdc` files know."""
    folder = tmp_path_factory.mktemp("models")
    for kind, make in KINDS.items():
        config = make()
        config.model.channels, config.model.dimension, config.model.strides = 2, 8, (16, 20)
        config.model.seanet.lstm_layers = 1
        Codec.init_random(config, seed=1).save(folder / kind)
    return folder


def _write(name: str, seconds: float, channels: int, rate: int = 44_100) -> np.ndarray:
    signal = np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate), channels)).astype(np.float32)
    audio.write(name, signal, rate, subtype="FLOAT")
    return signal


@pytest.mark.parametrize(("kind", "channels"), [("24khz", 2), ("48khz", 1)])
def test_an_ecdc_file_holds_what_the_library_gives(run_here, models, kind, channels):
    signal = _write("in.wav", 9.3, channels)
    codec = codax.load(models / kind)
    config = codec.config
    status, out, err = run_here("encode", "in.wav", "a.ecdc", "--model", models / kind, "--kbps", "6")
    assert (status, err) == (0, "")
    assert out.startswith("a.ecdc: 9.30 s, ")
    assert ("2 channels, mixed to one: 6 kbps" in out) == (channels == 2)
    file = ecdc.read("a.ecdc")
    mixed = signal.mean(axis=1, keepdims=True) if kind == "24khz" else np.repeat(signal, 2, axis=1)[:, :2]
    mixed = signal if channels == config.model.audio_channels else mixed
    tokens = codec.encode(resample(mixed, 44_100, config.model.sample_rate)[None], kbps=6)
    assert (file.model, file.length) == (f"encodec_{kind}", tokens.length)
    # Resampled in other pieces: rounding may turn a near tie between two codes.
    assert file.codes.shape == tokens.codes[0].shape
    assert np.mean(file.codes == tokens.codes[0]) > 0.98
    if tokens.scales is not None:
        np.testing.assert_allclose(file.scales, tokens.scales[0], rtol=1e-4)
    status, out, err = run_here("decode", "a.ecdc", "out.wav", "--model", models / kind)
    assert (status, err) == (0, "")
    actual, rate = audio.read("out.wav")
    assert (rate, actual.shape) == (config.model.sample_rate, (tokens.length, config.model.audio_channels))
    scales = None if file.scales is None else file.scales[None]
    same = codax.Tokens(file.codes[None], file.length, rate, config.model.audio_channels, scales=scales)
    np.testing.assert_allclose(actual, np.clip(codec.decode(same)[0], -1, 1), atol=1.1 / 32768)
    facts = json.loads(run_here("info", "a.ecdc", "--json")[1])
    assert (facts["kind"], facts["num_quantizers"]) == ("ecdc", file.codebooks)


def test_an_ecdc_file_of_a_mix_for_a_stereo_model(run_here, models):
    signal = _write("in.wav", 1.0, 2, 48_000)
    audio.write("mix.wav", signal.mean(axis=1, keepdims=True), 48_000, subtype="FLOAT")
    options = ("--model", models / "48khz", "--kbps", "3")
    assert (
        "2 channels, mixed to one: 3 kbps" in run_here("encode", "in.wav", "a.ecdc", *options, "--channels", "mix")[1]
    )
    assert run_here("encode", "mix.wav", "b.ecdc", *options)[0] == 0
    with open("a.ecdc", "rb") as first, open("b.ecdc", "rb") as second:
        assert first.read() == second.read()


@pytest.mark.parametrize("channels", [2, 3])
def test_a_codax_file_of_a_model_with_segments(run_here, models, channels):
    signal = _write("in.wav", 2.5, channels, 22_050)
    assert run_here("encode", "in.wav", "a.codax", "--model", models / "48khz", "--kbps", "3")[0] == 0
    streams = -(-channels // 2)
    with ContainerReader("a.codax") as reader:
        assert (reader.meta.scaled, reader.meta.segments, reader.meta.streams) == (True, 3, streams)
        assert reader.meta.num_samples == len(signal)
        scales = reader.scales()
    assert scales is not None
    np.testing.assert_allclose(scales[0, 0], 0.1 / np.sqrt(2), rtol=0.15)
    assert run_here("decode", "a.codax", "b.wav")[0] == 0
    assert audio.info("b.wav") == audio.info("in.wav")
    facts = json.loads(run_here("info", "a.codax", "--json")[1])
    assert facts["segments"] == 3
    assert facts["code_bytes"] == facts["frames"] * 2 * 10 * streams // 8
    if channels == 2:
        codec = codax.load(models / "48khz")
        expected = codec.decode(codec.encode(signal[None], sample_rate=22_050, kbps=3))[0]
        error = audio.read("b.wav")[0] - np.clip(expected, -1, 1)
        assert np.linalg.norm(error) < 0.2 * np.linalg.norm(expected)  # but for codes that rounding turned


def test_files_and_models_that_do_not_fit(run_here, models):
    _write("in.wav", 1.2, 2)
    assert run_here("encode", "in.wav", "a.ecdc", "--model", models / "48khz")[0] == 0
    for args, reason in [
        (("decode", "a.ecdc", "b.wav"), "a.ecdc: .ecdc files do not say which model wrote them: name it (--model)"),
        (("decode", "a.ecdc", "b.wav", "--model", models / "24khz"), "a.ecdc: written by encodec_48khz; model"),
        (("encode", "absent.wav", "b.ecdc", "--model", models / "24khz"), "absent.wav: no such file"),
        (("encode", "in.wav", "no/b.ecdc", "--model", models / "24khz"), "no/b.ecdc: cannot be written"),
        (("import", "in.wav", "m"), "in.wav"),
        (("export", "absent", "m"), "absent: no such model folder"),
    ]:
        status, out, err = run_here(*args)
        assert (status, out) == (1, "")
        assert err.startswith("codax: ")
        assert err.count("\n") == 1
        assert reason in err


def test_compressed_ecdc_files_need_their_model_and_pytorch(run_here, models, monkeypatch, tmp_path):
    _write("in.wav", 0.3, 1)
    for args in (("--entropy",), ("--entropy=lm",), ("--entropy=adaptive", "--lm", "absent")):
        _, _, err = run_here("encode", "in.wav", "a.ecdc", "--model", models / "24khz", *args)
        assert "entropy: .ecdc files support EnCodec's language model only (lm)" in err
    with np.load(GOLDEN / "ecdc.npz") as arrays:
        data = arrays["encodec_24khz/bytes"].tobytes()
    (tmp_path / "c.ecdc").write_bytes(data.replace(b'"lm": false', b'"lm": true ', 1))
    assert json.loads(run_here("info", "c.ecdc", "--json")[1])["compressed"] is True
    status, _, err = run_here("decode", "c.ecdc", "b.wav", "--model", models / "24khz")
    assert (status, "c.ecdc: compressed by EnCodec's language model: give its folder (--lm)" in err) == (1, True)

    lm = LMConfig(codebooks=32, dim=16, layers=1, hidden=16)
    weights = {name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(lm).items()}
    save_file(encodec_lm.from_codax(weights, lm), tmp_path / "lm.safetensors")
    status, out, _ = run_here("import", "lm.safetensors", "lm")
    assert (status, out.startswith("lm: language model of 32 codebooks")) == (0, True)
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, err = run_here("decode", "c.ecdc", "b.wav", "--model", models / "24khz", "--lm", "lm")
    assert (status, "need PyTorch" in err) == (1, True)


@pytest.mark.parametrize("kind", KINDS)
def test_export_and_import(run_here, models, kind):
    status, out, _ = run_here("export", models / kind, "theirs", "--format", "huggingface")
    assert (status, out) == (0, "theirs: huggingface\n")
    status, out, _ = run_here("import", "theirs", "ours")
    assert status == 0
    assert out.startswith("ours: ")
    first, repeated = codax.load(models / kind), codax.load("ours")
    for name, value in first.flat().items():
        np.testing.assert_array_equal(repeated.flat()[name], value, err_msg=name)
