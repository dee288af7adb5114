"""Converts the operations of a traced JAX function to an ONNX graph; each operation registers its conversion here.

Values that do not depend on the inputs are computed during the conversion. Broadcasts before element-wise operations
are omitted, because ONNX broadcasts implicitly.
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

UNROLLED = 64  # longest loop that is unrolled
LARGEST_FOLDED = 1 << 20  # largest folded constant, in values, that may exceed its operands in size
_INLINED = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint")


@dataclasses.dataclass(frozen=True)
class Value:
    """A value of the traced function: a known array, or a tensor of the graph.

    `actual` is the shape of the stored array or tensor. Where it is 1 and `shape` is not, a broadcast is pending.
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
    def pending_broadcast(self) -> bool:
        return self.actual != self.shape


Operator = Callable[["Converter", Any, list[Value]], list[Value]]
OPERATORS: dict[str, Operator] = {}  # by name of the JAX primitive
FUNCTIONS: dict[str, Operator] = {}  # by name of a jitted function that is converted as a unit


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Registers the conversion of these primitives."""

    def register(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


class Converter:
    """Writes the operations of a traced function to a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
        """Converts a jaxpr with the given inputs; returns its outputs."""
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
            raise CodaxError(f"this model cannot be exported to ONNX: JAX's {name} is not supported")
        return OPERATORS[name](self, equation, inputs)

    def _folded(self, equation: Any, inputs: list[Value]) -> list[Value] | None:
        """The results, if they depend on known values only and are not much larger than these."""
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
        """Adds a node with one output of the given shape and type."""
        tensor = self.graph.add(kind, *inputs, **attributes)
        shape = tuple(shape)
        return Value(shape, np.dtype(dtype), shape if actual is None else tuple(actual), tensor=tensor)

    def like(self, equation: Any, kind: str, *inputs: str, **attributes: Any) -> list[Value]:
        """Adds the node that computes the only output of an equation."""
        aval = equation.outvars[0].aval
        return [self.node(kind, *inputs, shape=aval.shape, dtype=aval.dtype, **attributes)]

    def tensor_of(self, value: Value) -> str:
        """The name of a value's tensor, which may have a pending broadcast."""
        return value.tensor if value.array is None else self.graph.constant(value.array)

    def full_tensor(self, value: Value) -> str:
        """The name of a value's tensor in its full shape."""
        if not value.pending_broadcast:
            return self.tensor_of(value)
        return self.graph.add("Expand", self.tensor_of(value), self.graph.shape(value.shape))


def is_static(shape: Shape) -> bool:
    return all(isinstance(n, int | np.integer) for n in shape)
