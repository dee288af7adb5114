"""Converts a JAX function to an ONNX graph with symbolic input lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from onnx import helper

from codax.deploy import arrays, loops, numbers
from codax.deploy.graph import Graph, tensor_info
from codax.deploy.operators import Converter, Value

KINDS = (arrays, loops, numbers)  # modules that register conversions


def to_graph(name: str, function: Callable[..., Any], inputs: dict[str, Any], outputs: Sequence[str]) -> Any:
    """Traces a function of arrays and converts it to an ONNX graph.

    Args:
      name: of the graph.
      function: takes one array per input and returns a tuple with one array per output.
      inputs: name -> `jax.ShapeDtypeStruct`; shapes may be symbolic (`jax.export.symbolic_shape`).
      outputs: names.

    Raises:
      CodaxError: an operation of the function has no conversion.
    """
    traced = jax.make_jaxpr(function)(*inputs.values())
    graph = Graph()
    converter = Converter(graph)
    values = []
    for tensor, struct in inputs.items():
        graph.define_lengths(tensor, struct.shape)
        values.append(Value(struct.shape, np.dtype(struct.dtype), struct.shape, tensor=tensor))
    results = converter.run(traced.jaxpr, traced.consts, values)
    for tensor, value in zip(outputs, results, strict=True):
        result = converter.full_tensor(value)
        graph.nodes.append(helper.make_node("Identity", [result], [tensor]))
    return graph.finish(
        name,
        [tensor_info(tensor, struct.dtype, struct.shape) for tensor, struct in inputs.items()],
        [tensor_info(tensor, value.dtype, value.shape) for tensor, value in zip(outputs, results, strict=True)],
    )
