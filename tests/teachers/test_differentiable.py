"""Teachers as differentiable functions: equal to the teachers of distillation, and with gradients that are right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.audio import resample
from codax.config import Config, ConfigError
from codax.teachers import hubert, onnx
from codax.teachers.fitting import resample_blocks, resampling_matrix
from codax.teachers.onnx_graph import Graph
from codax.teachers.open import KINDS, Kind, open_differentiable
from codax.teachers.teacher import Differentiable, TeacherError
from onnx_teacher import write_teacher
from safetensors.numpy import save_file
from test_teachers import SMALL, small_weights


def config_of(source: str | Path, **loss: object) -> Config:
    config = Config.from_dict({"loss": {"self_supervised": 1.0, "self_supervised_teacher": str(source), **loss}})
    config.model.sample_rate = 16_000
    return config


def speech(examples: int, samples: int, rate: int = 16_000) -> np.ndarray:
    """Harmonic tones with moving pitch and loudness, and a little noise: float32 [examples, samples]."""
    rng, time = np.random.default_rng(0), np.arange(samples) / rate
    phase = 2 * np.pi * (rng.uniform(90, 220, (examples, 1)) * time + 4 * np.sin(3 * time))
    tone = sum(np.sin(k * phase) / k for k in range(1, 20)) * (0.1 + 0.1 * np.sin(20 * time))
    return (tone + 1e-3 * rng.standard_normal((examples, samples))).astype(np.float32)


def assert_gradient(function: Callable, weights: Any, audio: np.ndarray) -> None:
    """Compares the derivative along a direction with the difference between two points on it, in double precision."""
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        weights, audio = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), (weights, audio))
        direction = rng.standard_normal(audio.shape)
        mixing = rng.standard_normal(jax.eval_shape(function, weights, audio).shape)
        total = jax.jit(lambda x: jnp.mean(function(weights, x) * mixing))
        gradient = jax.jit(jax.grad(total))(audio)
        difference = (total(audio + 1e-9 * direction) - total(audio - 1e-9 * direction)) / 2e-9
        np.testing.assert_allclose(difference, np.vdot(gradient, direction), rtol=1e-4)


@pytest.fixture(scope="module")
def student() -> Graph:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    return Graph(onnx.wakehubert())


def test_the_student_equals_onnxruntime(student: Graph) -> None:
    runtime = onnx.OnnxTeacher(onnx.wakehubert(), 16_000)
    assert len(student.weights) == 42
    function = jax.jit(lambda weights, audio: student(weights, audio, [student.output])[0])
    for examples, samples in [(1, 400), (3, 8_000), (2, 12_345)]:
        audio = speech(examples, samples)
        np.testing.assert_allclose(function(student.weights, audio), runtime(audio), atol=1e-4)


def test_the_students_gradient_is_that_of_differences(student: Graph) -> None:
    assert_gradient(lambda w, x: student(w, x, [student.output])[0], student.weights, speech(2, 3_200))


def test_layers_of_the_student(student: Graph) -> None:
    teacher = open_differentiable(config_of("wakehubert", self_supervised_layers=(0, 8)))
    first, last = teacher(speech(2, 8_000)[..., None])
    assert first.shape == last.shape == (2, 25, 256)
    weights = student.weights
    output = last @ weights["student.out.weight"][:, :, 0].T + weights["student.out.bias"]
    (expected,) = open_differentiable(config_of("wakehubert"))(speech(2, 8_000)[..., None])
    np.testing.assert_allclose(output, expected, atol=1e-4)
    with pytest.raises(TeacherError, match=r"wakehubert\.onnx: layer 9 is not in 0 to 8"):
        open_differentiable(config_of("wakehubert", self_supervised_layers=(9,)))


def test_files_of_others(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = write_teacher(tmp_path / "a.onnx")
    runtime, audio = onnx.OnnxTeacher(path, 16_000), speech(2, 2_000)
    (features,) = open_differentiable(config_of(path))(audio[..., None])
    np.testing.assert_allclose(features, runtime(audio), atol=1e-5)
    graph = Graph(path)
    assert_gradient(lambda w, x: graph(w, x, ["features"])[0], graph.weights, audio)
    with pytest.raises(TeacherError, match=r"a\.onnx: operator Cos has no gradient here"):
        open_differentiable(config_of(write_teacher(path, "Cos")))
    with pytest.raises(TeacherError, match=r"a\.onnx: layer 1 is unknown"):
        open_differentiable(config_of(write_teacher(path), self_supervised_layers=(1,)))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(TeacherError, match=r"a\.onnx: not a teacher"):
        open_differentiable(config_of(path))
    with pytest.raises(TeacherError, match=r"b\.onnx: no such file"):
        open_differentiable(config_of(tmp_path / "b.onnx"))


@pytest.mark.parametrize("kind", ["hubert", "wavlm"])
def test_hubert_and_wavlm(kind: str, tmp_path: Path) -> None:
    weights = small_weights()
    if kind == "wavlm":
        rng = np.random.default_rng(1)
        weights = {name.replace("hubert.", "wavlm."): value for name, value in weights.items()}
        weights["wavlm.encoder.layers.0.attention.rel_attn_embed.weight"] = rng.standard_normal((8, 2), np.float32)
        for i in range(2):
            place = f"wavlm.encoder.layers.{i}.attention"
            weights[f"{place}.gru_rel_pos_linear.weight"] = rng.standard_normal((8, 8), np.float32)
            weights[f"{place}.gru_rel_pos_linear.bias"] = rng.standard_normal(8, np.float32)
            weights[f"{place}.gru_rel_pos_const"] = np.ones((1, 2, 1, 1), np.float32)
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(SMALL | {"model_type": kind, "num_buckets": 8}))
    audio = speech(2, 3_200)
    (mean,) = open_differentiable(config_of(tmp_path))(audio[..., None])
    np.testing.assert_allclose(mean, hubert.HubertTeacher(tmp_path, None)(audio), atol=1e-5)
    teacher = open_differentiable(config_of(tmp_path, self_supervised_layers=(0, 2)))
    for layer, features in zip((0, 2), teacher(audio[..., None]), strict=True):
        np.testing.assert_allclose(features, hubert.HubertTeacher(tmp_path, layer)(audio), atol=1e-5)
    plain = hubert.differentiable(tmp_path, (0, 2))
    assert_gradient(lambda w, x: plain.features(w, x)[1], plain.weights, audio)
    # The program takes the weights as an argument.
    size = sum(value.nbytes for value in jax.tree.leaves(teacher))
    assert len(jax.jit(lambda t, x: t(x)[0]).lower(teacher, audio[..., None]).as_text()) < size


@pytest.mark.parametrize("rate", [24_000, 44_100, 8_000])
def test_resampling_is_that_of_the_package(rate: int) -> None:
    matrix, audio = resampling_matrix(rate, 16_000), speech(2, rate // 2 - 37, rate)
    expected = resample(audio.T, rate, 16_000).T
    actual = jax.jit(lambda x: resample_blocks(matrix, x, expected.shape[1]))(audio)
    # Where the two rates do not end together, soxr's last samples are of a shorter filter.
    np.testing.assert_allclose(actual[:, :-200], expected[:, :-200], atol=1e-4)
    assert np.isfinite(actual).all()
    with pytest.raises(TeacherError, match="audio at 44099 Hz cannot be resampled to 16000 Hz"):
        resampling_matrix(44_099, 16_000)


def test_a_teacher_at_another_rate_takes_channels_together(student: Graph) -> None:
    config = config_of("wakehubert")
    config.model.sample_rate, config.model.audio_channels = 24_000, 2
    audio = speech(2, 24_000, 24_000)[..., None] * np.array([0.5, 1.5], np.float32)
    (features,) = open_differentiable(config)(audio)
    at_16 = resample(audio.mean(axis=-1).T, 24_000, 16_000).T
    np.testing.assert_allclose(features, onnx.OnnxTeacher(onnx.wakehubert(), 16_000)(at_16), atol=1e-3)


def test_teachers_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(_, layers) -> Differentiable:
        return Differentiable(16_000, {}, lambda weights, audio: [audio[:, ::320, None][:, 1000:]])

    names = {"plain": None, "short": short}
    for name, differentiable in names.items():
        kind = Kind(lambda source, name=name: source == name, None, None, differentiable)  # pyright: ignore[reportArgumentType]
        monkeypatch.setitem(KINDS, name, kind)
    with pytest.raises(TeacherError, match=r"teacher plain: has no gradient, which loss\.self_supervised needs"):
        open_differentiable(config_of("plain"))
    with pytest.raises(TeacherError, match="teacher short: fails on training examples of .* samples"):
        open_differentiable(config_of("short"))
    assert open_differentiable(config_of("absent", self_supervised=0.0)) is None
    values = {"loss": {"self_supervised": 1.0}, "teacher": {"source": "precomputed"}}
    with pytest.raises(
        ConfigError, match=r"self_supervised_teacher = '': must be a teacher when teacher\.source is pre"
    ):
        Config.from_dict(values)
