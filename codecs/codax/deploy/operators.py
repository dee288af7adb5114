"""From the operations of a traced JAX function to those of an ONNX graph; each kind registers its conversion here.

Whatever does not depend on the inputs is computed here. Broadcasts are left out as long as only element-wise operations
follow, for ONNX broadcasts by itself.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from codax.deploy.graph import Graph, Shape
from codax.errors import CodaxError

UNROLLED = 64  # longest loop that is written out
LARGEST_FOLDED = 1 << 20  # values of a constant that is larger than what it is computed from
_INLINED = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint")


@dataclasses.dataclass(frozen=True)
class Value:
    """A value of the traced function: known, or a tensor of the graph.

    `actual` is the shape of what is at hand. Where it has 1 and `shape` something else, it has still to be broadcast.
    """

    shape: tuple[Any, ...]
    dtype: np.dtype
    actual: tuple[Any, ...]
    array: np.ndarray | None = None
    tensor: str = ""

    @staticmethod
    def known(array: Any) -> Value:
        array = np.asarray(array)
        return Value(array.shape, array.dtype, array.shape, array)

    @property
    def thin(self) -> bool:
        return self.actual != self.shape


Operator = Callable[["Converter", Any, list[Value]], list[Value]]
OPERATORS: dict[str, Operator] = {}  # by the name of JAX's primitive
FUNCTIONS: dict[str, Operator] = {}  # by that of a compiled function, which is converted as a whole


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Registers what converts these primitives."""

    def register(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


class Converter:
    """Writes the operations of a traced function into a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
        """Converts a jaxpr whose inputs have these values, and gives those of its outputs."""
        values: dict[Any, Value] = {}

        def read(atom: Any) -> Value:
            return Value.known(atom.val) if isinstance(atom, Literal) else values[atom]

        values.update(zip(jaxpr.constvars, map(Value.known, consts), strict=True))
        values.update(zip(jaxpr.invars, inputs, strict=True))
        for equation in jaxpr.eqns:
            results = self._equation(equation, [read(atom) for atom in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, inputs: list[Value]) -> list[Value]:
        name, params = equation.primitive.name, equation.params
        if name in _INLINED:
            if params.get("name") in FUNCTIONS:
                return FUNCTIONS[params["name"]](self, equation, inputs)
            inner = params.get("jaxpr") or params.get("call_jaxpr") or params.get("fun_jaxpr")
            if hasattr(inner, "jaxpr"):
                return self.run(inner.jaxpr, inner.consts, inputs)
            return self.run(inner, (), inputs)
        folded = self._folded(equation, inputs)
        if folded is not None:
            return folded
        if name not in OPERATORS:
            raise CodaxError(f"this model cannot be exported to ONNX: no operation there for JAX's {name}")
        return OPERATORS[name](self, equation, inputs)

    def _folded(self, equation: Any, inputs: list[Value]) -> list[Value] | None:
        """The results, if they follow from known values alone and are not much larger than these."""
        shapes = [variable.aval.shape for variable in equation.outvars]
        if any(value.array is None for value in inputs) or not all(map(is_static, shapes)):
            return None
        largest = max([LARGEST_FOLDED, *(math.prod(value.shape) for value in inputs if is_static(value.shape))])
        if any(math.prod(shape) > largest for shape in shapes) or equation.primitive.name in ("scan", "dim_as_value"):
            return None
        if any(not is_static(value.shape) for value in inputs):
            return None
        arrays = [jax.numpy.asarray(np.broadcast_to(value.array, value.shape)) for value in inputs]  # type: ignore
        with jax.ensure_compile_time_eval():
            results = equation.primitive.bind(*arrays, **equation.params)
        return [Value.known(x) for x in (results if equation.primitive.multiple_results else [results])]

    def node(
        self, kind: str, *inputs: str, shape: Shape, dtype: Any, actual: Shape | None = None, **attributes: Any
    ) -> Value:
        """A node with one output of that shape and type."""
        tensor = self.graph.add(kind, *inputs, **attributes)
        shape = tuple(shape)
        return Value(shape, np.dtype(dtype), shape if actual is None else tuple(actual), tensor=tensor)

    def like(self, equation: Any, kind: str, *inputs: str, **attributes: Any) -> list[Value]:
        """The result of an equation with one output: that of a node."""
        aval = equation.outvars[0].aval
        return [self.node(kind, *inputs, shape=aval.shape, dtype=aval.dtype, **attributes)]

    def at_hand(self, value: Value) -> str:
        """The tensor with a value, perhaps not broadcast."""
        return value.tensor if value.array is None else self.graph.constant(value.array)

    def whole(self, value: Value) -> str:
        """The tensor with a value in its full shape."""
        if not value.thin:
            return self.at_hand(value)
        return self.graph.add("Expand", self.at_hand(value), self.graph.shape(value.shape))


def is_static(shape: Shape) -> bool:
    return all(isinstance(n, int | np.integer) for n in shape)
