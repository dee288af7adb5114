"""Makes xvector.npz with transformers' `WavLMForXVector`: embeddings of the signals and weights that are made here.

pip install torch==2.13.0 transformers==5.24.0
python tests/golden/make_xvector.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent
LENGTHS = (16_000, 9_123)  # samples
_WIDTH, _HIDDEN, _INNER, _LAYERS, _HEADS, _BUCKETS = 8, 16, 24, 2, 2, 16


def small_config(*, weighted: bool) -> dict[str, Any]:
    """Content of config.json of a WavLM of two layers with a small head."""
    return {
        "model_type": "wavlm", "hidden_size": _HIDDEN, "num_hidden_layers": _LAYERS, "num_attention_heads": _HEADS,
        "intermediate_size": _INNER, "conv_dim": [_WIDTH] * 7, "num_conv_pos_embedding_groups": 4,
        "num_buckets": _BUCKETS, "max_bucket_distance": 40, "tdnn_dim": [8, 8, 8, 8, 12],
        "tdnn_kernel": [5, 3, 3, 1, 1],
        "tdnn_dilation": [1, 2, 3, 1, 1], "xvector_output_dim": 6, "use_weighted_layer_sum": weighted,
    }  # fmt: skip


def small_weights(*, weighted: bool) -> dict[str, np.ndarray]:
    """Random weights of it, with the names of transformers."""
    body = {f"feature_extractor.conv_layers.{i}.conv": (_WIDTH, 1 if i == 0 else _WIDTH, kernel)
            for i, kernel in enumerate((10, 3, 3, 3, 3, 2, 2))}  # fmt: skip
    shapes = {f"wavlm.{name}.weight": shape for name, shape in body.items()}
    linear = {"wavlm.feature_projection.projection": (_HIDDEN, _WIDTH), "projector": (8, _HIDDEN)}
    norms = {"feature_extractor.conv_layers.0.layer_norm": _WIDTH, "feature_projection.layer_norm": _WIDTH}
    norms["encoder.layer_norm"] = _HIDDEN
    for i in range(_LAYERS):
        layer = f"encoder.layers.{i}"
        norms |= {f"{layer}.layer_norm": _HIDDEN, f"{layer}.final_layer_norm": _HIDDEN}
        names = ("q_proj", "k_proj", "v_proj", "out_proj")
        linear |= {f"wavlm.{layer}.attention.{name}": (_HIDDEN, _HIDDEN) for name in names}
        linear |= {f"wavlm.{layer}.attention.gru_rel_pos_linear": (8, _HIDDEN // _HEADS)}
        linear |= {f"wavlm.{layer}.feed_forward.intermediate_dense": (_INNER, _HIDDEN)}
        linear |= {f"wavlm.{layer}.feed_forward.output_dense": (_HIDDEN, _INNER)}
        shapes[f"wavlm.{layer}.attention.gru_rel_pos_const"] = (1, _HEADS, 1, 1)
    linear |= {f"tdnn.{i}.kernel": shape for i, shape in enumerate([(8, 40), (8, 24), (8, 24), (8, 8), (12, 8)])}
    linear["feature_extractor"] = (6, 24)
    for name, size in norms.items():
        shapes |= {f"wavlm.{name}.weight": (size,), f"wavlm.{name}.bias": (size,)}
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    shapes["wavlm.encoder.layers.0.attention.rel_attn_embed.weight"] = (_BUCKETS, _HEADS)
    place = "wavlm.encoder.pos_conv_embed.conv"
    shapes |= {f"{place}.parametrizations.weight.original0": (1, 1, 128), f"{place}.bias": (_HIDDEN,)}
    shapes[f"{place}.parametrizations.weight.original1"] = (_HIDDEN, 4, 128)
    if weighted:
        shapes["layer_weights"] = (_LAYERS + 1,)
    rng = np.random.default_rng(5)
    return {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in sorted(shapes.items())}


def write_folder(folder: Path, *, weighted: bool) -> None:
    """Writes config.json and model.safetensors."""
    save_file(small_weights(weighted=weighted), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(small_config(weighted=weighted)))


def signals() -> list[np.ndarray]:
    """Noise float32 [time] at 16 kHz."""
    rng = np.random.default_rng(6)
    return [rng.normal(0.01, 0.1, length).astype(np.float32) for length in LENGTHS]


def main() -> None:
    import torch
    from transformers import WavLMConfig, WavLMForXVector

    actual = {}
    for weighted in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            write_folder(Path(folder), weighted=weighted)
            model, about = WavLMForXVector.from_pretrained(
                folder, config=WavLMConfig(**small_config(weighted=weighted)), output_loading_info=True
            )
        unused = ("classifier", "objective", "wavlm.masked_spec_embed")  # of training
        missing = [name for name in about["missing_keys"] if not name.startswith(unused)]
        assert not missing and not about["unexpected_keys"], about
        for length, signal in zip(LENGTHS, signals(), strict=True):
            normal = (signal - signal.mean()) / np.sqrt(signal.var() + 1e-7)
            with torch.no_grad():
                embedding = model.eval()(torch.from_numpy(normal)[None]).embeddings[0]
            actual[f"{length}/{weighted}"] = embedding.numpy()
    np.savez_compressed(FOLDER / "xvector.npz", **actual)


if __name__ == "__main__":
    main()
