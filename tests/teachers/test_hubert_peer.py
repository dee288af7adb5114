"""Live comparison of HuBERT, WavLM and its x-vectors with transformers on random weights, where it is installed.

pip install torch==2.13.0 transformers
"""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from codax.teachers.ctc import CtcNetwork, text_of
from codax.teachers.hubert import HubertTeacher, hidden_states, load
from codax.teachers.xvector import XVectors

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
LARGE = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True,
}  # fmt: skip
SIZES = {
    "base": ("Hubert", {}),
    "large": ("Hubert", {**LARGE, "conv_bias": True}),
    "wavlm-base-plus": ("WavLM", {}),
    "wavlm-large": ("WavLM", LARGE),
}


@pytest.fixture(scope="module", params=list(SIZES))
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hubert")
    torch.manual_seed(0)
    kind, size = SIZES[request.param]
    config = getattr(transformers, f"{kind}Config")(**size)
    model = getattr(transformers, f"{kind}Model")(config).eval()
    with torch.no_grad():  # norms and biases that do something
        for parameter in model.parameters():
            if parameter.ndim in (1, 4):  # WavLM's scale of gates, too
                parameter.add_(0.1 * torch.randn_like(parameter))
        for name, parameter in model.named_parameters():
            if name.endswith("rel_attn_embed.weight"):
                parameter.normal_()
    model.save_pretrained(folder)
    return model, folder


@pytest.mark.parametrize("masked", [False, True])
def test_every_layer(pair, masked: bool) -> None:
    model, folder = pair
    config, weights, normalise = load(folder)
    assert normalise
    audio = np.random.default_rng(0).standard_normal((2, 16_000 + 123)).astype(np.float32)
    lengths = np.array([audio.shape[1], 9000])
    there = np.arange(audio.shape[1]) < lengths[:, None]
    audio = np.where(there, audio, 0).astype(np.float32)
    with torch.no_grad():
        mask = torch.from_numpy(there.astype(np.int64)) if masked else None
        output = model(torch.from_numpy(audio), attention_mask=mask, output_hidden_states=True)
    expected = [*output.hidden_states[:-1], output.last_hidden_state]
    actual = jax.jit(hidden_states, static_argnums=0)(config, weights, audio, lengths if masked else None)
    assert len(actual) == len(expected)
    frames = config.frames(lengths) if masked else [actual[0].shape[1]] * 2
    for ours, theirs in zip(actual, expected, strict=True):
        for row, count in enumerate(frames):
            a, b = np.asarray(ours)[row, :count], theirs[row, :count].numpy()
            assert np.linalg.norm(a - b) / np.linalg.norm(b) < 1e-4


def test_a_teacher_gives_one_layer_or_the_mean(pair) -> None:
    model, folder = pair
    audio = np.random.default_rng(0).standard_normal((1, 16_000)).astype(np.float32)
    normed = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
    with torch.no_grad():
        output = model(torch.from_numpy(normed), output_hidden_states=True)
    states = [*output.hidden_states[:-1], output.last_hidden_state]
    for layer, expected in ((3, states[3]), (None, torch.stack(states).mean(0))):
        actual = HubertTeacher(folder, layer)(audio)
        assert np.linalg.norm(actual - expected.numpy()) / np.linalg.norm(expected.numpy()) < 1e-4


@pytest.mark.parametrize("weighted", [False, True])
def test_x_vectors(tmp_path, weighted: bool) -> None:
    """Of the size of microsoft/wavlm-base-plus-sv; padding to whole seconds has no effect."""
    torch.manual_seed(0)
    model = transformers.WavLMForXVector(transformers.WavLMConfig(use_weighted_layer_sum=weighted)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim in (1, 4):
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    network = XVectors(tmp_path)
    for length in (16_000, 23_456):
        audio = np.random.default_rng(length).standard_normal(length).astype(np.float32)
        normed = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
        with torch.no_grad():
            expected = model(torch.from_numpy(normed)[None]).embeddings[0].numpy()
        assert np.linalg.norm(network(audio) - expected) / np.linalg.norm(expected) < 1e-4


def test_letters(tmp_path) -> None:
    """The best letter of every frame, of the size of facebook/hubert-large-ls960-ft."""
    torch.manual_seed(0)
    config = transformers.HubertConfig(**LARGE | {"num_hidden_layers": 2, "conv_bias": True, "vocab_size": 32})
    model = transformers.HubertForCTC(config).eval()
    model.save_pretrained(tmp_path)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    (tmp_path / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
    audio = np.random.default_rng(0).standard_normal(23_456).astype(np.float32)
    normed = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
    with torch.no_grad():
        best = model(torch.from_numpy(normed)[None]).logits[0].argmax(-1).tolist()
    assert CtcNetwork(tmp_path)(audio) == text_of([letters[number] for number in best]) != ""
