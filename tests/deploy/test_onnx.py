"""Exported ONNX programs in onnxruntime, compared with the codec in JAX."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from codax.deploy.check import check, through_streams
from codax.errors import CodaxError
from codax.nets import families
from small_models import FAMILIES, STREAMING, codec, config, signal

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from codax.deploy import operators  # noqa: E402 (needs onnx)
from codax.deploy.onnx_files import METADATA, export_onnx, onnx_models  # noqa: E402
from codax.deploy.runtime import Runtime  # noqa: E402


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("exported")


def exported(folders: Path, name: str) -> Runtime:
    folder = folders / name
    if not folder.exists():
        export_onnx(codec(name), folder, compare=False)
    return Runtime.load(folder)


@pytest.mark.parametrize("name", FAMILIES)
def test_codes_are_equal_for_every_batch_and_length(folders: Path, name: str) -> None:
    runtime, made = exported(folders, name), codec(name)
    for batch, frames in ((1, 16), (2, 27)):
        audio = signal(made, batch, frames, seed=frames)
        codes = made.engine.encode_piece(audio, False)
        assert codes.shape == (batch, frames, 4) and len(np.unique(codes)) > 5
        np.testing.assert_array_equal(runtime.encode(audio), codes)
        for levels in (2, 4):
            restored = made.engine.decode_piece(codes[..., :levels], False)
            np.testing.assert_allclose(runtime.decode(codes[..., :levels]), restored, atol=1e-5)


@pytest.mark.parametrize("name", ["soundstream", "encodec_24khz"])
def test_signals_that_end_within_a_frame(folders: Path, name: str) -> None:
    runtime, made = exported(folders, name), codec(name)
    audio = signal(made, 2, 27)[:, :-5]
    np.testing.assert_array_equal(runtime.encode(audio), made.engine.encode_piece(audio, False))


@pytest.mark.parametrize("name", STREAMING)
def test_frame_by_frame(folders: Path, name: str) -> None:
    runtime, made = exported(folders, name), codec(name)
    audio = signal(made, 2, 27)
    codes = made.engine.encode_piece(audio, False)
    streamed, restored = through_streams(runtime, audio, codes)
    np.testing.assert_array_equal(streamed, codes)
    np.testing.assert_allclose(restored, made.engine.decode_piece(codes, False), atol=1e-5)


def test_integers_are_floats_of_their_type(folders: Path) -> None:
    runtime, made = exported(folders, "soundstream"), codec("soundstream")
    samples = np.rint(8_000 * signal(made, 1, 16)).clip(-32768, 32767).astype(np.int16)
    codes = made.encode(samples).codes
    np.testing.assert_array_equal(runtime.encode(samples), codes)
    np.testing.assert_array_equal(runtime.encode(samples[0]), codes)
    np.testing.assert_array_equal(runtime.decode(codes.astype(np.int64)), runtime.decode(codes))
    stream = runtime.stream("encoder")
    np.testing.assert_array_equal(stream.push(samples[:, : made.config.hop]), codes[:, :1])


def spoiled_audio(audio: np.ndarray) -> list[np.ndarray]:
    values = [np.where(np.arange(audio.shape[1])[:, None] == 3, value, audio) for value in (np.nan, -np.inf, 1e30)]
    return [*values, audio.astype(np.int64), np.moveaxis(audio, 1, 2), audio[..., :0]]


def spoiled_codes(codes: np.ndarray) -> list[np.ndarray]:
    return [
        codes - 32,
        codes + 32,
        codes.astype(np.int64) + 2**32,
        codes * np.nan,
        codes[0],
        codes[..., :0],
        codes[:, :0],
    ]


@pytest.mark.parametrize("name", ["soundstream", "encodec_24khz"])
def test_rejected_input_leaves_streams_as_they_were(folders: Path, name: str) -> None:
    runtime, made = exported(folders, name), codec(name)
    audio = signal(made, 1, 20)
    codes = runtime.encode(audio)
    for side, whole, unit, spoiled, expected in (
        ("encoder", audio, made.config.hop, spoiled_audio, codes),
        ("decoder", codes, 1, spoiled_codes, runtime.decode(codes)),
    ):
        stream, parts, start = runtime.stream(side), [], 0
        while start < whole.shape[1]:
            part = whole[:, start : start + stream.frames * unit]
            for bad in (*spoiled(part), np.concatenate([part, part]), np.concatenate([part, part], axis=1)):
                with pytest.raises(CodaxError, match="^(audio|codes) "):
                    stream.push(bad)
            parts.append(stream.push(part))
            start += part.shape[1]
        np.testing.assert_allclose(np.concatenate(parts, axis=1), expected, atol=1e-5)


def test_programs_reject_invalid_audio_and_codes(folders: Path) -> None:
    runtime, made = exported(folders, "encodec_24khz"), codec("encodec_24khz")
    audio = signal(made, 1, 16)
    for bad in (*spoiled_audio(audio), np.zeros((1, 1, 16_000)), np.zeros((1, 16_000))):
        with pytest.raises(CodaxError, match="^audio "):
            runtime.encode(bad)
    codes = runtime.encode(audio)
    for bad in spoiled_codes(codes)[:-1]:
        with pytest.raises(CodaxError, match="^codes must"):
            runtime.decode(bad)
    with pytest.raises(CodaxError, match="7 frames of codes: the program needs at least 8"):
        runtime.decode(codes[:, :7])


def test_a_hundred_clips(folders: Path) -> None:
    runtime, made = exported(folders, "soundstream"), codec("soundstream")
    audio = signal(made, 100, 64, seed=1000)
    codes = made.engine.encode_piece(audio, False)
    np.testing.assert_array_equal(runtime.encode(audio), codes)
    np.testing.assert_allclose(runtime.decode(codes), made.engine.decode_piece(codes, False), atol=1e-5)


def test_denoising_is_a_switch(folders: Path) -> None:
    runtime, made = exported(folders, "denoise"), codec("denoise")
    audio = signal(made, 1, 30)
    off, on = (made.engine.encode_piece(audio, denoise) for denoise in (False, True))
    assert (off != on).any()
    np.testing.assert_array_equal(runtime.encode(audio, denoise=True), on)
    stream = runtime.stream("encoder", denoise=True)
    hop = made.config.hop
    streamed = [stream.push(audio[:, i : i + hop]) for i in range(0, audio.shape[1], hop)]
    np.testing.assert_array_equal(np.concatenate(streamed, axis=1), on)


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - set(STREAMING)))
def test_what_is_not_causal_does_not_stream(folders: Path, name: str) -> None:
    with pytest.raises(CodaxError, match="not causal and cannot stream"):
        exported(folders, name).stream("encoder")
    assert sorted(path.name for path in (folders / name).iterdir()) == ["codec.json", "decoder.onnx", "encoder.onnx"]


def test_each_file_says_what_the_codec_is(folders: Path) -> None:
    exported(folders, "encodec_24khz")
    folder, made = folders / "encodec_24khz", codec("encodec_24khz")
    facts = json.loads((folder / "codec.json").read_text())
    assert (facts["sample_rate"], facts["hop"], facts["quantizers"], facts["codebook_size"]) == (8_000, 8, 4, 32)
    assert facts["kbps"] == [5.0, 10.0, 15.0, 20.0] and facts["hash"] == made.hash.hex()
    assert (
        facts["least_frames"]
        == facts["programs"]["encoder_start"]["frames"]
        == families.facts(made.config.model).start_frames
        == 8
    )
    assert {path.name for path in folder.glob("*.onnx")} == {p["file"] for p in facts["programs"].values()}
    for name, program in facts["programs"].items():
        model = onnx.load(folder / program["file"])
        onnx.checker.check_model(model, full_check=True)
        assert json.loads({p.key: p.value for p in model.metadata_props}[METADATA]) == facts
        assert [tensor.name for tensor in model.graph.input] == [tensor["name"] for tensor in program["inputs"]], name
        assert [tensor.name for tensor in model.graph.output] == program["outputs"]


def test_weights_are_stored_once(folders: Path) -> None:
    exported(folders, "soundstream")
    arrays = codec("soundstream").flat()
    needed = sum(value.nbytes for name, value in arrays.items() if "params.encoder" in name)
    needed += arrays["codebook.quantizer.embedding"].nbytes
    model = onnx.load(folders / "soundstream" / "encoder.onnx")
    stored = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    assert needed <= stored < 1.05 * needed + 2_000


def test_the_same_bytes_each_time() -> None:
    assert onnx_models(codec("mimi")) == onnx_models(codec("mimi"))


def test_another_codec_is_noticed() -> None:
    models = onnx_models(codec("soundstream"))
    assert "100.00% of" in check(codec("soundstream"), Runtime(*models))
    made = codec("denoise")
    with pytest.raises(CodaxError, match="tiny_denoise: onnxruntime does not give the results of the codec: "):
        check(made, Runtime(*models))


def test_what_a_program_does_not_have_is_refused() -> None:
    runtime = Runtime(*onnx_models(codec("soundstream")))
    codes = np.zeros((1, 9, 1), np.int32)
    with pytest.raises(CodaxError, match="was not trained to denoise"):
        runtime.decode(codes, denoise=True)
    with pytest.raises(CodaxError, match="side 'enc': must be encoder or decoder"):
        runtime.stream("enc")


def test_what_cannot_be_exported_is_refused(monkeypatch, tmp_path) -> None:
    import_module("codax.deploy.numbers")  # fills the table
    monkeypatch.delitem(operators.OPERATORS, "dot_general")
    with pytest.raises(CodaxError, match="JAX's dot_general is not supported"):
        export_onnx(codec("soundstream"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    halves = config("soundstream")
    halves.train.compute_dtype = "bfloat16"
    made = type(codec("soundstream")).init_random(halves)
    with pytest.raises(CodaxError, match="tiny_soundstream computes in bfloat16: set train.compute_dtype to float32"):
        export_onnx(made, tmp_path / "out")


def test_a_folder_that_is_damaged(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(CodaxError, match="codec.json: not a readable description of an exported codec"):
        Runtime.load(tmp_path)
    export_onnx(codec("soundstream"), tmp_path, compare=False)
    (tmp_path / "decoder.onnx").write_bytes(b"no model")
    with pytest.raises(CodaxError, match="decoder.onnx: not an ONNX model that can be run"):
        Runtime.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"hop": 0},
        {"hop": 10**12},
        {"least_frames": 10**12},
        {"channels": "x"},
        {"quantizers": None},
        {"programs": {}},
        {"programs": {"encoder": {"file": "encoder.onnx"}}},
        {"programs": 3},
    ],
)
def test_a_changed_description_is_refused(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "codec.json"
    tensor = {"name": "audio", "dtype": "float32", "shape": ["batch", "8*frames", 1]}
    program = {"file": "encoder.onnx", "inputs": [tensor], "outputs": ["codes"]}
    facts = {"channels": 1, "hop": 8, "codebook_size": 32, "quantizers": 4, "least_frames": 1}
    path.write_text(json.dumps({**facts, "programs": {"encoder": program, "decoder": program}, **change}))
    with pytest.raises(CodaxError, match=r"codec\.json: not the description of an exported codec"):
        Runtime.load(tmp_path)
