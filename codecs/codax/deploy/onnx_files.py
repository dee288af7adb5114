"""Exports a codec as ONNX files, one for each of its programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from codax.codec.codec import Codec
from codax.deploy.about import about, about_text
from codax.deploy.check import check
from codax.deploy.programs import programs
from codax.deploy.runtime import ABOUT, Runtime
from codax.errors import CodaxError, install
from codax.runtime.platforms import tracing_for
from codax.storage.tensors import write_folder

METADATA = "codax"  # metadata key, in each file, of the contents of codec.json


def onnx_models(codec: Codec) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The contents of codec.json, and the ONNX model of each program.

    Raises:
      CodaxError: the `onnx` package is missing, or the model has an operation without a conversion.
    """
    try:
        from onnx import helper
    except ImportError as error:
        raise CodaxError(f"writing ONNX files needs the package onnx: {install('onnx')}") from error
    from codax.deploy.graph import IR_VERSION, OPSET
    from codax.deploy.trace import to_graph

    exported = programs(codec)
    facts, models = about(codec, exported, ".onnx"), {}
    for program in exported:
        with tracing_for("cpu"):
            graph = to_graph(program.name, program.function, program.inputs, program.outputs)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="codax"
        )
        helper.set_model_props(model, {METADATA: json.dumps(facts)})
        models[program.name] = model.SerializeToString(deterministic=True)
    return facts, models


def export_onnx(codec: Codec, folder: str | Path, *, compare: bool = True) -> str:
    """Writes codec.json and NAME.onnx for each program; with `compare`, runs the programs first and compares results.

    Returns:
      A summary of the comparison for the user.

    Raises:
      CodaxError: the codec cannot be exported, onnxruntime gives other results than JAX, or a file cannot be written.
    """
    facts, models = onnx_models(codec)
    report = check(codec, Runtime(facts, models)) if compare else "not compared with JAX"
    write_folder(folder, {f"{name}.onnx": model for name, model in models.items()} | {ABOUT: about_text(facts)})
    return report
