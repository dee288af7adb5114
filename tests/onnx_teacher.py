"""A small ONNX teacher that tests write: two convolutions, 100 frames a second of 16 kHz audio, 6 channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_teacher(path: Path, operator: str = "Relu") -> Path:
    """Writes the file; `operator` is the activation's."""
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    arrays = {
        "axes": np.array([1]),
        "first": rng.standard_normal((8, 1, 40)).astype(np.float32) / 4,
        "bias": rng.standard_normal(8).astype(np.float32) / 4,
        "second": rng.standard_normal((6, 8, 8)).astype(np.float32) / 8,
    }
    nodes = [
        helper.make_node("Unsqueeze", ["audio", "axes"], ["wave"]),
        helper.make_node("Conv", ["wave", "first", "bias"], ["low"], strides=[20], pads=[10, 10]),
        helper.make_node(operator, ["low"], ["active"]),
        helper.make_node("Conv", ["active", "second"], ["high"], strides=[8]),
        helper.make_node("Transpose", ["high"], ["features"], perm=[0, 2, 1]),
    ]
    values = [
        helper.make_tensor_value_info(name, 1, shape)
        for name, shape in [("audio", ["batch", "time"]), ("features", ["batch", "frames", 6])]
    ]
    stored = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph(nodes, "teacher", values[:1], values[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path
