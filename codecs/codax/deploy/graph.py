"""Builder of ONNX graphs: nodes, constants, and lengths that are known only at run time."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from codax.storage.digests import sha256

Shape = Sequence[Any]  # integers and symbolic dimensions of jax.export
OPSET, IR_VERSION = 18, 8  # released in 2022: supported by the runtimes of browsers
TYPES = {np.dtype(d): helper.np_dtype_to_tensor_dtype(np.dtype(d)) for d in ("float32", "int32", "int64", "bool")}


class Graph:
    """Nodes in order, and constants that are shared by content.

    The body of a loop is a `Graph` with a `parent`: it can use the names of its parent, which holds all constants.
    """

    def __init__(self, parent: Graph | None = None) -> None:
        self.root: Graph = parent.root if parent else self
        self.nodes: list[Any] = []
        self._names = 0
        self._outputs: dict[str, Any] = {}  # node -> names of its outputs
        self._constants: dict[str, Any] = {}  # digest of the content -> tensor
        self._lengths: list[Any] = []  # nodes that compute lengths, placed before all others
        self._known: dict[str, str] = {}  # length or shape -> name

    def name(self, kind: str) -> str:
        self.root._names += 1
        return f"{kind}_{self.root._names}"

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; returns the name of its output, or a list of names if there are several.

        An identical existing node is reused.
        """
        key = f"{operator}{inputs}{attributes}"
        if key in self._outputs:
            return self._outputs[key]
        names = [self.name(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        self._outputs[key] = names[0] if outputs == 1 else names
        return self._outputs[key]

    def constant(self, array: Any) -> str:
        """The name of a tensor with these values. The transpose of an existing tensor is not stored again."""
        array = np.asarray(array)
        tensors = self.root._constants
        if array.ndim == 2 and min(array.shape) > 1 and (other := tensors.get(_digest(array.T))):
            key = f"transpose {other.name}"
            if key not in self.root._known:
                self.root._known[key] = name = self.name("transpose")
                self.root._lengths.append(helper.make_node("Transpose", [other.name], [name], perm=[1, 0]))
            return self.root._known[key]
        digest = _digest(array)
        if digest not in tensors:
            tensors[digest] = numpy_helper.from_array(np.array(array, order="C"), self.name("constant"))
        return tensors[digest].name

    def integers(self, *values: int) -> str:
        return self.constant(np.asarray(values, np.int64))

    def define_lengths(self, name: str, shape: Shape) -> None:
        """Defines the symbols of an input's shape that appear alone or times a constant."""
        for axis, length in enumerate(shape):
            match _parsed(length):
                case ast.Name(id=symbol):
                    factor = 1
                case ast.BinOp(left=ast.Constant(value=int(factor)), op=ast.Mult(), right=ast.Name(id=symbol)):
                    pass
                case _:
                    continue
            if symbol not in self._known:
                whole = self._length_node("Shape", name, start=axis, end=axis + 1)
                self._known[symbol] = whole if factor == 1 else self._length_node("Div", whole, self.integers(factor))

    def shape(self, shape: Shape) -> str:
        """The name of an int64 vector of these lengths."""
        if all(isinstance(n, int | np.integer) for n in shape):
            return self.integers(*map(int, shape))
        key = f"[{', '.join(map(str, shape))}]"
        root = self.root
        if key not in root._known:
            parts = [root._length(_parsed(n)) for n in shape]
            root._known[key] = parts[0] if len(parts) == 1 else root._length_node("Concat", *parts, axis=0)
        return root._known[key]

    def _length(self, tree: ast.AST) -> str:
        """An int64 vector of size one: the value of a symbolic dimension, in the notation of JAX."""
        text = ast.unparse(tree)
        if text not in self._known:
            self._known[text] = self._computed(tree)
        return self._known[text]

    def _computed(self, tree: ast.AST) -> str:
        match tree:
            case ast.Constant(value=int(value)):
                return self.integers(value)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._length_node("Neg", self._length(operand))
            case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int(power))):
                name = self._length(left)
                for _ in range(power - 1):
                    name = self._length_node("Mul", name, self._length(left))
                return name
            case ast.BinOp(left=left, op=(ast.Add() | ast.Sub() | ast.Mult()) as op, right=right):
                operator = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul"}[type(op)]
                return self._length_node(operator, self._length(left), self._length(right))
            case ast.Call(func=ast.Name(id="max" | "min" | "mod" as function), args=[a, b]):
                return self._length_node(function.capitalize(), self._length(a), self._length(b))
            case ast.Call(func=ast.Name(id="floordiv"), args=[a, b]):
                # ONNX rounds towards zero; after subtracting the remainder the division is exact.
                rest = self._length_node("Mod", self._length(a), self._length(b))
                return self._length_node("Div", self._length_node("Sub", self._length(a), rest), self._length(b))
        raise ValueError(f"{ast.unparse(tree)}: a length that cannot be computed")

    def _length_node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = self.name("length")
        self._lengths.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def finish(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """The graph with these inputs and outputs (see `tensor_info`), without unused nodes."""
        needed, nodes = {info.name for info in outputs}, []
        for node in reversed(self._lengths + self.nodes):
            if needed.intersection(node.output):
                needed.update(_read(node))
                nodes.append(node)
        constants = [tensor for tensor in self._constants.values() if tensor.name in needed]
        return helper.make_graph(nodes[::-1], name, inputs, outputs, initializer=constants)


def _read(node: Any) -> Iterator[str]:
    """Names that a node uses, including those used by its body."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _read(inner)
        yield from (info.name for info in attribute.g.output)


def tensor_info(name: str, dtype: Any, shape: Shape | None) -> Any:
    """Name, type and shape of an input or output; symbolic dimensions keep their names."""
    lengths = None if shape is None else [n if isinstance(n, int) else str(n) for n in shape]
    return helper.make_tensor_value_info(name, TYPES.get(np.dtype(dtype), TensorProto.UNDEFINED), lengths)


def _parsed(length: Any) -> ast.AST:
    """Parses a dimension: JAX prints symbolic ones as sums of products, with `^` for powers."""
    return ast.parse(str(length).replace("^", "**"), mode="eval").body


def _digest(array: np.ndarray) -> str:
    return f"{array.dtype}{array.shape}{sha256(array).hexdigest()}"
