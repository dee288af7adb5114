"""Convolutional ONNX graphs as differentiable JAX functions.

Nodes that do not depend on the input are evaluated once, by the `onnx` package. Convolutions are those of
`nets/conv.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codax.errors import install
from codax.nets.conv import conv_valid
from codax.nets.grouped import conv_depthwise
from codax.teachers.teacher import TeacherError

Attributes = Mapping[str, Any]


def _power(_: Attributes, x: jax.Array, exponent: Any) -> jax.Array:
    exponent = float(exponent)
    return jax.lax.integer_pow(x, int(exponent)) if exponent.is_integer() else x**exponent


def _transpose(attributes: Attributes, x: jax.Array) -> jax.Array:
    return jnp.transpose(x, attributes.get("perm"))


def _unsqueeze(_: Attributes, x: jax.Array, axes: np.ndarray) -> jax.Array:
    return jnp.expand_dims(x, tuple(axes.tolist()))


def _slice(_: Attributes, x: jax.Array, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> jax.Array:
    axes = np.arange(len(starts)) if axes is None else axes
    steps = np.ones_like(starts) if steps is None else steps
    index = [slice(None)] * x.ndim
    for axis, *bounds in zip(axes.tolist(), starts.tolist(), ends.tolist(), steps.tolist(), strict=True):
        index[axis] = slice(*bounds)
    return x[tuple(index)]


def _pad(attributes: Attributes, x: jax.Array, pads: np.ndarray, value: Any = 0.0) -> jax.Array:
    if attributes.get("mode", b"constant") != b"constant" or len(pads) != 2 * x.ndim:
        raise ValueError("Pad other than of all axes with a constant")
    return jnp.pad(x, np.reshape(pads, (2, -1)).T.tolist(), constant_values=value)


def _batch_norm(a: Attributes, x: jax.Array, scale: Any, bias: Any, mean: Any, variance: Any) -> jax.Array:
    if a.get("training_mode", 0):
        raise ValueError("BatchNormalization that is in training")
    factor = scale * jax.lax.rsqrt(variance + a.get("epsilon", 1e-5))
    return x * _by_channel(factor, x) + _by_channel(bias - mean * factor, x)


def _by_channel(values: jax.Array, x: jax.Array) -> jax.Array:
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def _conv(a: Attributes, x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """Convolves [batch, channels, time] with [features, channels / groups, width]."""
    if x.ndim != 3 or a.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise ValueError("Conv other than of one dimension with explicit padding")
    (stride,), (dilation,), groups = a.get("strides", (1,)), a.get("dilations", (1,)), a.get("group", 1)
    x = jnp.pad(x, [(0, 0), (0, 0), a.get("pads", (0, 0))])
    width = kernel.shape[2]
    if groups == x.shape[1] == kernel.shape[0]:  # of each channel alone: sums of products are much faster
        y = conv_depthwise(x, jnp.moveaxis(kernel, 2, 0), axis=2, stride=stride, dilation=dilation)
    else:
        x, kernel = jnp.swapaxes(x, 1, 2), jnp.transpose(kernel, (2, 1, 0))
        if groups == dilation == 1:
            # Folds time into blocks that divide stride and width, so that there are few views.
            block = math.gcd(stride, width)
            length = ((x.shape[1] - width) // stride * stride + width) // block
            x = x[:, : length * block].reshape(x.shape[0], length, -1)
            kernel = kernel.reshape(width // block, x.shape[2], -1)
            stride //= block
        y = jnp.swapaxes(conv_valid(x, kernel, stride=stride, dilation=dilation, groups=groups), 1, 2)
    return y if bias is None else y + _by_channel(bias, y)


_OPERATORS: dict[str, Callable[..., jax.Array]] = {
    "Add": lambda _, x, y: x + y,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "Log": lambda _, x: jnp.log(x),
    "MatMul": lambda _, x, y: x @ y,
    "Mul": lambda _, x, y: x * y,
    "Pad": _pad,
    "Pow": _power,
    "Relu": lambda _, x: jax.nn.relu(x),
    "Slice": _slice,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
_FOLDED = {"Cast", "Concat", "Constant", "ConstantOfShape", "Reshape", "Slice", "Transpose"}  # of constants alone


class Graph:
    """The network of an ONNX file with one input.

    Attributes:
      weights: float32 arrays by name, which calls take.
      output: name of the first output.
    """

    def __init__(self, path: Path) -> None:
        """Reads a file.

        Raises:
          TeacherError: it is no ONNX file or has an operator that is not supported, naming it; `onnx` is not installed.
        """
        if not path.is_file():
            raise TeacherError(f"{path}: no such file")
        try:
            import onnx
        except ImportError as error:
            raise TeacherError(f"{path}: the gradient of an ONNX teacher needs onnx: {install('teachers')}") from error
        try:
            model = onnx.load(str(path))
            onnx.checker.check_model(model)
            self._read(model.graph, onnx)
        except TeacherError as error:
            raise TeacherError(f"{path}: {error}") from error
        except Exception as error:  # of onnx, protobuf and NumPy
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TeacherError(f"{path}: not a teacher ({reason})") from error

    def _read(self, graph: Any, onnx: Any) -> None:
        from onnx.reference import ReferenceEvaluator

        stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.weights = {name: value for name, value in stored.items() if value.dtype == np.float32}
        self._constants = {name: value for name, value in stored.items() if name not in self.weights}
        (self._input,) = (source.name for source in graph.input if source.name not in stored)
        self.output, self._nodes = graph.output[0].name, []
        live = {self._input, *self.weights}
        for node in graph.node:
            is_live = bool(live.intersection(node.input))
            if node.domain not in ("", "ai.onnx") or node.op_type not in (_OPERATORS if is_live else _FOLDED):
                raise TeacherError(f"operator {node.op_type} has no gradient here")
            if is_live:
                attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
                self._nodes.append((node.op_type, attributes, tuple(node.input), node.output[0]))
                live.add(node.output[0])
            else:
                inputs: Any = {name: self._constants[name] for name in node.input if name}
                (self._constants[node.output[0]],) = ReferenceEvaluator(node).run(None, inputs)
        self._live = live

    def __call__(self, weights: Mapping[str, Any], audio: jax.Array, names: Sequence[str]) -> list[jax.Array]:
        """Computes tensors of the graph.

        Args:
          weights: as in `self.weights`.
          audio: float32 [batch, time], the input.
          names: of the tensors.

        Raises:
          TeacherError: there is no such tensor.
          ValueError: an operator has options that are not supported.
        """
        if absent := [name for name in names if name not in self._live]:
            raise TeacherError(f"has no tensor {absent[0]}")
        values: dict[str, Any] = {**self._constants, **weights, self._input: audio}
        for operator, attributes, inputs, output in self._nodes:
            arguments = [values[name] if name else None for name in inputs]
            while arguments and arguments[-1] is None:
                arguments.pop()
            values[output] = _OPERATORS[operator](attributes, *arguments)
        return [values[name] for name in names]
