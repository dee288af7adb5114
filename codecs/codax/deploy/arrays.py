"""ONNX conversions of operations that move values: shapes, slices, padding, gathers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from codax.deploy.graph import Shape
from codax.deploy.numbers import cast
from codax.deploy.operators import Converter, Value, is_static, operator
from codax.errors import CodaxError


@operator("broadcast_in_dim")
def _broadcast(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Inserts axes of length 1 only; see `Value.actual`."""
    value, shape = inputs[0], tuple(equation.outvars[0].aval.shape)
    dimensions = equation.params["broadcast_dimensions"]
    actual: list[Any] = [1] * len(shape)
    for position, n in zip(dimensions, value.actual, strict=True):
        actual[position] = n
    if value.array is not None:
        return [Value(shape, value.dtype, tuple(actual), value.array.reshape(actual))]
    new = [axis for axis in range(len(shape)) if axis not in dimensions]
    name = c.graph.add("Unsqueeze", value.tensor, c.graph.integers(*new)) if new else value.tensor
    return [Value(shape, value.dtype, tuple(actual), tensor=name)]


@operator("reshape")
def _reshape(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    shape = equation.outvars[0].aval.shape
    return c.like(equation, "Reshape", c.full_tensor(inputs[0]), _target(c, inputs[0].shape, shape))


def _target(c: Converter, before: Shape, after: Shape) -> str:
    """The shape input of `Reshape`: 0 keeps a length, -1 stands for one unknown length, if that is sufficient."""
    lengths: list[Any] = []
    for axis, n in enumerate(after):
        if is_static([n]):
            lengths.append(int(n))
        else:
            lengths.append(0 if axis < len(before) and str(before[axis]) == str(n) else -1)
    return c.graph.shape(after) if lengths.count(-1) > 1 else c.graph.integers(*lengths)


@operator("squeeze")
def _squeeze(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    return c.like(equation, "Squeeze", c.full_tensor(inputs[0]), c.graph.integers(*equation.params["dimensions"]))


@operator("expand_dims")
def _expand_dims(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    return c.like(equation, "Unsqueeze", c.full_tensor(inputs[0]), c.graph.integers(*equation.params["dimensions"]))


@operator("unstack")
def _unstack(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    tensor, axis = c.full_tensor(inputs[0]), equation.params["axis"]
    parts = []
    for i, variable in enumerate(equation.outvars):
        index = c.graph.constant(np.asarray(i, np.int64))
        parts.append(c.node("Gather", tensor, index, shape=variable.aval.shape, dtype=variable.aval.dtype, axis=axis))
    return parts


@operator("stack")
def _stack(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    axis = equation.params["axis"]
    parts = [c.graph.add("Unsqueeze", c.full_tensor(value), c.graph.integers(axis)) for value in inputs]
    return c.like(equation, "Concat", *parts, axis=axis)


@operator("transpose")
def _transpose(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    value, order = inputs[0], list(equation.params["permutation"])
    actual = tuple(value.actual[axis] for axis in order)
    shape = equation.outvars[0].aval.shape
    if value.array is not None:
        return [dataclasses.replace(value, shape=shape, actual=actual, array=value.array.transpose(order))]
    return [c.node("Transpose", value.tensor, shape=shape, dtype=value.dtype, actual=actual, perm=order)]


@operator("rev")
def _reverse(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    axes = equation.params["dimensions"]
    from_the_end = _range(c, [-1] * len(axes), [_LOWEST] * len(axes), axes, [-1] * len(axes))
    return c.like(equation, "Slice", c.full_tensor(inputs[0]), *from_the_end)


_LOWEST = np.iinfo(np.int64).min


def _range(c: Converter, starts: Shape, ends: Shape, axes: Sequence[int], steps: Sequence[int]) -> list[str]:
    """The inputs of `Slice` after the first."""
    return [c.graph.shape(starts), c.graph.shape(ends), c.graph.integers(*axes), c.graph.integers(*steps)]


def sliced(c: Converter, value: Value, starts: Shape, ends: Shape, steps: Shape, like: Any) -> list[Value]:
    """A slice; axes that are kept completely are omitted."""
    axes = [
        axis
        for axis, (start, end, step) in enumerate(zip(starts, ends, steps, strict=True))
        if not (str(start) == "0" and str(end) == str(value.shape[axis]) and step == 1)
    ]
    if not axes:
        return [value]
    first, last, step = ([values[axis] for axis in axes] for values in (starts, ends, steps))
    inputs = _range(c, first, last, axes, step)
    return c.like(like, "Slice", c.full_tensor(value), *inputs)


@operator("slice")
def _slice(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    params = equation.params
    steps = params["strides"] or [1] * len(inputs[0].shape)
    return sliced(c, inputs[0], params["start_indices"], params["limit_indices"], steps, equation)


@operator("split")
def _split(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    sizes, axis = equation.params["sizes"], equation.params["axis"]
    if len(sizes) == 1:
        return inputs
    names = c.graph.add("Split", c.full_tensor(inputs[0]), c.graph.shape(sizes), outputs=len(sizes), axis=axis)
    avals = [variable.aval for variable in equation.outvars]
    return [Value(a.shape, np.dtype(a.dtype), a.shape, tensor=name) for a, name in zip(avals, names, strict=True)]


@operator("concatenate")
def _concatenate(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    axis = equation.params["dimension"]
    parts = [value for value in inputs if str(value.shape[axis]) != "0"]
    return parts if len(parts) == 1 else c.like(equation, "Concat", *map(c.full_tensor, parts), axis=axis)


@operator("pad")
def _pad(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    value, filler = inputs
    config = equation.params["padding_config"]
    if any(str(inside) != "0" for _, _, inside in config):
        raise CodaxError("this model cannot be exported to ONNX: padding between values is not supported")
    axes = [axis for axis, (before, after, _) in enumerate(config) if (str(before), str(after)) != ("0", "0")]
    if not axes:
        return [value]
    amounts = [config[axis][side] for side in (0, 1) for axis in axes]
    pads = c.graph.shape(amounts)
    return c.like(equation, "Pad", c.full_tensor(value), pads, c.tensor_of(filler), c.graph.integers(*axes))


@operator("iota")
def _iota(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    aval, axis = equation.outvars[0].aval, equation.params["dimension"]
    zero, one = (c.graph.constant(np.asarray(n, np.int64)) for n in (0, 1))
    length = c.graph.add("Squeeze", c.graph.shape([aval.shape[axis]]))
    numbers = c.node("Range", zero, length, one, shape=[aval.shape[axis]], dtype=np.int64)
    actual: list[Any] = [1] * len(aval.shape)
    actual[axis] = aval.shape[axis]
    numbers = cast(c, numbers, aval.dtype)
    new = [i for i in range(len(actual)) if i != axis]
    name = c.graph.add("Unsqueeze", numbers.tensor, c.graph.integers(*new)) if new else numbers.tensor
    return [Value(tuple(aval.shape), np.dtype(aval.dtype), tuple(actual), tensor=name)]


@operator("dim_as_value")
def _dimension(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    length = c.graph.add("Squeeze", c.graph.shape([equation.params["dim"]]))
    value = Value((), np.dtype(np.int64), (), tensor=length)
    return [cast(c, value, equation.outvars[0].aval.dtype)]


@operator("gather")
def _gather(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Slices at constant positions, and gathers by one index, or by several that are the leading axes."""
    value, index = inputs
    params, aval = equation.params, equation.outvars[0].aval
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    axes, dropped = list(numbers.start_index_map), list(numbers.collapsed_slice_dims)
    if index.array is not None and not index.pending_broadcast and index.array.ndim == 1 and not dropped:
        starts = [0] * len(sizes)
        for axis, start in zip(axes, index.array, strict=True):
            starts[axis] = int(start)
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        return sliced(c, value, starts, ends, [1] * len(sizes), equation)
    rest = [size for axis, size in enumerate(sizes) if axis not in dropped]
    whole = [n for axis, n in enumerate(value.shape) if axis not in dropped]
    batching = numbers.operand_batching_dims or numbers.start_indices_batching_dims
    if axes != dropped or batching or list(map(str, rest)) != list(map(str, whole)):
        raise CodaxError("this model cannot be exported to ONNX: a gather of an unsupported form")
    depth = len(index.shape) - 1  # axes of the index before the one that enumerates its components
    if len(axes) == 1:
        indices = c.graph.add("Squeeze", c.full_tensor(index), c.graph.integers(depth))
        gathered, first = c.graph.add("Gather", c.full_tensor(value), indices, axis=axes[0]), axes[0]
    elif axes == list(range(len(axes))):
        indices = c.full_tensor(cast(c, index, np.int64))
        gathered, first = c.graph.add("GatherND", c.full_tensor(value), indices), 0
    else:
        raise CodaxError("this model cannot be exported to ONNX: a gather of an unsupported form")
    # The index axes are contiguous from `first` on; JAX specifies where they and the other axes belong.
    total = depth + len(rest)
    kept = [axis for axis in range(total) if not first <= axis < first + depth]
    order = [0] * total
    for source, position in zip(kept, numbers.offset_dims, strict=True):
        order[position] = source
    index_axes = [position for position in range(total) if position not in numbers.offset_dims]
    for source, position in zip(range(first, first + depth), index_axes, strict=True):
        order[position] = source
    if order != sorted(order):
        return c.like(equation, "Transpose", gathered, perm=order)
    return [Value(aval.shape, np.dtype(aval.dtype), aval.shape, tensor=gathered)]


@operator("scatter")
def _scatter(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Replaces complete slices along one axis: x.at[..., index, ...].set(updates)."""
    value, index, updates = inputs
    numbers = equation.params["dimension_numbers"]
    axes = list(numbers.scatter_dims_to_operand_dims)
    if len(axes) != 1 or list(numbers.inserted_window_dims) != axes or len(index.shape) != 2:
        raise CodaxError("this model cannot be exported to ONNX: a scatter of an unsupported form")
    (axis,) = axes
    # The updates, with the index axis at its position in the value.
    (position,) = (i for i in range(len(updates.shape)) if i not in numbers.update_window_dims)
    order = [i for i in range(len(updates.shape)) if i != position]
    order.insert(axis, position)
    shape = [updates.shape[i] for i in order]
    name = c.full_tensor(updates)
    if order != sorted(order):
        name = c.graph.add("Transpose", name, perm=order)
    new = [i for i in range(len(shape)) if i != axis]
    flat = c.graph.add("Squeeze", c.full_tensor(index), c.graph.integers(1))
    indices = c.graph.add("Unsqueeze", flat, c.graph.integers(*new)) if new else flat
    indices = c.graph.add("Expand", indices, c.graph.shape(shape))
    return c.like(equation, "ScatterElements", c.full_tensor(value), indices, name, axis=axis)
