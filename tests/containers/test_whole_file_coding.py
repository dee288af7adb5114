"""`codax.encode_file` and `codax.decode_file`: what the commands do, as functions of the library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import codax
import numpy as np
import pytest
import small_models
from codax import audio
from codax.config import Config, presets
from codax.containers import ecdc_coding, frequencies
from codax.containers.streamed import ContainerReader
from codax.errors import CodaxError


def tiny(seed: int) -> codax.Codec:
    config = Config(name="tiny")
    config.model.sample_rate, config.model.channels, config.model.strides, config.model.dimension = 8000, 2, (8, 10), 8
    config.model.dilations = (1,)
    config.quantizer.num_quantizers, config.quantizer.codebook_size, config.quantizer.kbps = 3, 16, ()
    return codax.Codec.init_random(config, seed=seed)


@pytest.fixture(scope="module")
def codec() -> codax.Codec:
    return tiny(1)


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CODAX_MODELS", raising=False)
    audio.write(tmp_path / "in.wav", np.random.default_rng(0).normal(0, 0.1, (12_345, 2)), 11_025)
    return tmp_path / "in.wav"


def test_a_file_finds_the_model_that_encoded_it(codec: codax.Codec, sound: Path) -> None:
    folder, target, out = sound.with_name("model"), sound.with_suffix(".codax"), sound.with_name("out.wav")
    codec.save(folder)
    seen: list[float] = []
    report = codax.encode_file(sound, target, model=folder, kbps=codec.config.kbps(2), progress=seen.append)
    assert (report.file_bytes, report.seconds) == (target.stat().st_size, 12_345 / 11_025)
    assert seen[-1] == report.seconds
    with ContainerReader(target) as reader:
        assert (reader.meta.num_quantizers, reader.meta.streams, reader.meta.model_hash) == (2, 2, codec.hash)
    assert codax.decode_file(target, out).file_bytes == report.file_bytes
    assert audio.info(out) == audio.info(sound)
    codax.decode_file(target, sound.with_name("same.wav"), model=codec)
    assert sound.with_name("same.wav").read_bytes() == out.read_bytes()


def test_entropy_coding_changes_the_size_alone(codec: codax.Codec, sound: Path) -> None:
    for name, entropy in (("packed", None), ("best", "best"), ("adaptive", "adaptive")):
        codax.encode_file(sound, sound.with_name(f"{name}.codax"), model=codec, entropy=entropy)
        codax.decode_file(sound.with_name(f"{name}.codax"), sound.with_name(f"{name}.wav"), model=codec)
    best, adaptive = (sound.with_name(f"{name}.codax").read_bytes() for name in ("best", "adaptive"))
    assert best == adaptive != sound.with_name("packed.codax").read_bytes()
    assert sound.with_name("best.wav").read_bytes() == sound.with_name("packed.wav").read_bytes()


def test_concealed_blocks_mute_their_segments(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, paths = small_models.codec("encodec_48khz"), [sound.with_name(name) for name in ("a.codax", "b.codax")]
    (length, stride), hop = made.config.segment, made.config.hop
    assert stride % hop == 0 != length - stride
    monkeypatch.setattr(frequencies, "CODED_SECONDS", 0.33)
    audio.write(sound, np.random.default_rng(0).normal(0, 0.1, (32_000, 2)), 8_000)
    codax.encode_file(sound, paths[0], model=made, entropy="adaptive")
    data = bytearray(paths[0].read_bytes())
    data[len(data) * 2 // 3] ^= 1
    paths[1].write_bytes(data)
    with ContainerReader(paths[1], conceal=True) as reader:
        ((first, stop),) = reader.damaged
    for path in paths:
        codax.decode_file(path, path.with_suffix(".wav"), model=made, conceal=True)
    whole, concealed = (audio.read(path.with_suffix(".wav"))[0] for path in paths)
    frames, fade = length // hop, 40
    start, end = first // frames * stride, (stop - 1) // frames * stride + length
    assert 16_000 < start < end < 30_000
    assert not concealed[start:end].any()
    np.testing.assert_array_equal(concealed[: start - fade], whole[: start - fade])
    np.testing.assert_array_equal(concealed[end + fade :], whole[end + fade :])


def test_what_does_not_fit_is_refused(codec: codax.Codec, sound: Path) -> None:
    target, out = sound.with_suffix(".codax"), sound.with_name("out.wav")
    codax.encode_file(sound, target, model=codec)
    before = sorted(sound.parent.iterdir())
    other = tiny(2)
    with pytest.raises(CodaxError, match=f"but the model given is tiny with weights {other.hash.hex()}"):
        codax.decode_file(target, out, model=other)
    with pytest.raises(CodaxError, match="encoded with model tiny .*, which is not found"):
        codax.decode_file(target, out)
    with pytest.raises(CodaxError, match="model tiny has no language model"):
        codax.encode_file(sound, sound.with_name("b.codax"), model=codec, entropy="lm")
    for name in ("b.codax", "b.ecdc"):
        with pytest.raises(CodaxError, match="model tiny was not trained to denoise"):
            codax.encode_file(sound, sound.with_name(name), model=codec, denoise=True)
        with pytest.raises(CodaxError, match=r"lm: entropy is None; only lm and best use a language model"):
            codax.encode_file(sound, sound.with_name(name), model=codec, lm="lm")
    with pytest.raises(CodaxError, match=r"lm: entropy is adaptive; only lm and best use a language model"):
        codax.encode_file(sound, sound.with_name("b.codax"), model=codec, entropy="adaptive", lm="lm")
    with pytest.raises(CodaxError, match=r"model tiny does not have the shape of those that \.ecdc files are for"):
        codax.encode_file(sound, sound.with_name("b.ecdc"), model=codec)
    with pytest.raises(CodaxError, match=r"b\.ecdc: \.ecdc files have no blocks in which damage can be concealed"):
        codax.decode_file("b.ecdc", out, model=codec, conceal=True)
    with pytest.raises(CodaxError, match="do not say which model wrote them"):
        codax.decode_file("b.ecdc", out)
    assert sorted(sound.parent.iterdir()) == before


@pytest.mark.parametrize("family", ["soundstream", "dac"])
def test_ecdc_files_are_for_the_networks_of_encodec(family: str) -> None:
    config = presets.encodec_24khz()
    assert ecdc_coding.kind_of(config) == "encodec_24khz"
    config.model = config.model.of_class(family)
    with pytest.raises(CodaxError, match=r"does not have the shape of those that \.ecdc files are for"):
        ecdc_coding.kind_of(config)


def test_names_are_listed_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys, codax; names = {'load', 'Codec', 'Tokens', 'Config', 'encode_file', 'decode_file', 'tokens'}\n"
        "assert names <= set(dir(codax)) and names == set(codax.__all__)\n"
        "assert 'jax' not in sys.modules and 'numpy' not in sys.modules\n"
        "assert codax.encode_file and codax.Config\n"
        "assert 'jax' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
