"""A JAX function as an ONNX graph, with the lengths of its inputs left open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from onnx import helper

from codax.deploy import arrays, loops, numbers
from codax.deploy.graph import Graph, tensor_info
from codax.deploy.operators import Converter, Value

KINDS = (arrays, loops, numbers)  # of operations; they register their conversions


def to_graph(name: str, function: Callable[..., Any], inputs: dict[str, Any], outputs: Sequence[str]) -> Any:
    """Traces a function of arrays and writes it as an ONNX graph.

    Args:
      name: of the graph.
      function: takes as many arrays as there are inputs and gives a tuple of as many as there are names of outputs.
      inputs: `jax.ShapeDtypeStruct`s by name; their shapes may be symbolic (`jax.export.symbolic_shape`).

    Raises:
      CodaxError: the function does something for which there is no conversion.
    """
    traced = jax.make_jaxpr(function)(*inputs.values())
    graph = Graph()
    converter = Converter(graph)
    values = []
    for tensor, struct in inputs.items():
        graph.know_lengths(tensor, struct.shape)
        values.append(Value(struct.shape, np.dtype(struct.dtype), struct.shape, tensor=tensor))
    results = converter.run(traced.jaxpr, traced.consts, values)
    for tensor, value in zip(outputs, results, strict=True):
        whole = converter.whole(value)
        graph.nodes.append(helper.make_node("Identity", [whole], [tensor]))
    return graph.finish(
        name,
        [tensor_info(tensor, struct.dtype, struct.shape) for tensor, struct in inputs.items()],
        [tensor_info(tensor, value.dtype, value.shape) for tensor, value in zip(outputs, results, strict=True)],
    )
