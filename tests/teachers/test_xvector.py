"""Speaker embeddings by WavLM equal those of transformers, and damaged folders are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from codax.teachers.folders import local_folder
from codax.teachers.teacher import TeacherError
from codax.teachers.xvector import XVectors
from golden.make_xvector import signals, write_folder
from safetensors.numpy import load_file, save_file

GOLDEN = Path(__file__).parents[1] / "golden" / "xvector.npz"


@pytest.fixture(params=[False, True])
def weighted(request) -> bool:
    return request.param


def test_embeddings_are_those_of_transformers(tmp_path, weighted):
    write_folder(tmp_path, weighted=weighted)
    network = XVectors(tmp_path)
    with np.load(GOLDEN) as golden:
        for signal in signals():
            expected = golden[f"{len(signal)}/{weighted}"]
            np.testing.assert_allclose(network(signal), expected, atol=2e-5 * np.abs(expected).max())


def test_signals_that_are_too_short(tmp_path):
    write_folder(tmp_path, weighted=False)
    network = XVectors(tmp_path)
    least = 15 * 320 + 400  # 16 frames: the head shortens them by 14
    assert np.isfinite(network(signals()[0][:least])).all()
    with pytest.raises(TeacherError, match=f"too short for a speaker embedding: {least - 1} samples, {least} are"):
        network(signals()[0][: least - 1])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tdnn_kernel": [5, 3]}, "config.json: tdnn_dim, tdnn_kernel or tdnn_dilation is invalid"),
        ({"tdnn_dilation": [0, 2, 3, 1, 1]}, "config.json: tdnn_dim, tdnn_kernel or tdnn_dilation is invalid"),
        ({"tdnn_dim": "wide"}, "config.json: config field tdnn_dim: expected a list"),
        ({"tdnn_dim": [8, 8, 8, 8, 13]}, r"model.safetensors: feature_extractor.weight has shape \(6, 24\), not"),
        ({"use_weighted_layer_sum": True}, "model.safetensors: layer_weights is missing"),
    ],
)
def test_damaged_folders_are_refused(tmp_path, change, reason):
    write_folder(tmp_path, weighted=False)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(TeacherError, match=reason) as stop:
        XVectors(tmp_path)
    assert "\n" not in str(stop.value)


def test_a_teacher_alone_is_no_speaker_network(tmp_path):
    write_folder(tmp_path, weighted=False)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({k: v for k, v in weights.items() if k.startswith("wavlm.")}, tmp_path / "model.safetensors")
    with pytest.raises(TeacherError, match=r"projector\.weight is missing"):
        XVectors(tmp_path)


def test_where_folders_are_looked_for(tmp_path, monkeypatch):
    for name in ("HF_HUB_CACHE", "CODAX_HERE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(TeacherError, match="a/b: not on this machine: hf download a/b, or CODAX_HERE=FOLDER"):
        local_folder("a/b", "CODAX_HERE")
    snapshot = tmp_path / "hub" / "models--a--b" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    with pytest.raises(TeacherError, match="not on this machine"):  # an interrupted download
        local_folder("a/b", "CODAX_HERE")
    (snapshot / "config.json").write_text("{}")
    assert local_folder("a/b", "CODAX_HERE") == snapshot
    (tmp_path / "huggingface").symlink_to(tmp_path)
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert local_folder("a/b", "CODAX_HERE").samefile(snapshot)
    monkeypatch.setenv("CODAX_HERE", str(tmp_path))
    assert local_folder("a/b", "CODAX_HERE") == tmp_path
    monkeypatch.setenv("CODAX_HERE", str(tmp_path / "none"))
    with pytest.raises(TeacherError, match=r"CODAX_HERE=.*none: no such folder"):
        local_folder("a/b", "CODAX_HERE")
