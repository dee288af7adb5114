"""Recognition by HuBERT with letters, as a recogniser of evaluations."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.metrics import recognizers
from codax.metrics.signals import MetricError
from codax.teachers.ctc import CtcNetwork, text_of
from codax.teachers.hubert import hidden_states, load, normalised
from safetensors.numpy import save_file
from test_teachers import SMALL, small_weights

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", "E", "T", "A"]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    head = {"lm_head.weight": (len(LETTERS), 16), "lm_head.bias": (len(LETTERS),)}
    head = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in head.items()}
    save_file(small_weights() | head, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    (tmp_path / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(LETTERS)}))
    return tmp_path


def test_letters_by_hand():
    assert text_of(["<pad>", "T", "T", "<pad>", "T", "A", "A", "|", "|", "<pad>", "|", "E", "<unk>", "|"]) == "TTA E"
    assert text_of(["|", "<pad>"]) == text_of([]) == ""


def test_the_best_letters_of_the_signal_without_padding(folder):
    audio = np.random.default_rng(2).normal(0.01, 0.1, 20_123).astype(np.float32)
    config, weights, _ = load(folder)
    state = jax.jit(hidden_states, static_argnums=0)(config, weights, normalised(jnp.asarray(audio)[None], None))[-1][0]
    scores = np.asarray(state) @ weights["lm_head.weight"].T + weights["lm_head.bias"]
    expected = text_of([LETTERS[number] for number in scores.argmax(axis=1)])
    network = CtcNetwork(folder)
    assert expected and network(audio) == expected
    assert network(audio[:100]) == ""


def test_it_is_a_recogniser_by_its_folder_or_name(folder, tmp_path, monkeypatch):
    recognizer = recognizers.open_recognizer(str(folder))
    assert isinstance(recognizer, recognizers.Ctc) and recognizer.languages == {"en"}
    assert recognizer.name.startswith("ctc/")
    assert isinstance(recognizer.transcribe(np.zeros(16_000, np.float32), "en"), str)
    snapshots = tmp_path / "cache" / "models--some--hubert" / "snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / "0").symlink_to(folder)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    assert recognizers.open_recognizer("some/hubert").name == recognizer.name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "vocab.json: not a readable vocabulary"),
        ('{"<pad>": 0, "A": 2}', "vocab.json: its letters are not numbered from 0, or it has no <pad>"),
        ('{"<pad>": 0, "A": "x"}', "vocab.json: its letters are not numbered"),
        ('{"A": 0, "B": 1}', "or it has no <pad>"),
        ('{"<pad>": 0, "A": 1}', r"model.safetensors: lm_head.weight has shape \(8, 16\), not \(2, 16\)"),
    ],
)
def test_damaged_folders_are_one_line(folder, content, reason):
    (folder / "vocab.json").write_text(content)
    with pytest.raises(MetricError, match=f"speech recogniser: .*{reason}") as stop:
        recognizers.open_recognizer(str(folder))
    assert "\n" not in str(stop.value)
