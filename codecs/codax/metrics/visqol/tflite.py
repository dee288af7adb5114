"""Reads TensorFlow Lite files from untrusted sources: tensors, constants and operators of a single graph.

A .tflite file is a FlatBuffer (root table Model of TensorFlow's schema.fbs). The flatbuffers package does not validate
files, so this module checks lengths: a damaged or hostile file raises ValueError, and cannot cause endless loops or
exhaust the memory. Contents are views, lists are short, and all constants together are no larger than the file.
"""

from __future__ import annotations

import dataclasses
import struct

import flatbuffers.table
import numpy as np
from flatbuffers import encode, packer
from flatbuffers.number_types import Int8Flags, Int32Flags, Uint32Flags

# TensorType of schema.fbs -> numpy.
_DTYPES = {0: np.dtype("<f4"), 2: np.dtype("<i4"), 4: np.dtype("<i8"), 6: np.dtype("?")}
_LARGEST_TENSOR = 1 << 24  # elements
_LONGEST_LIST = 256  # tensor indices or sizes
_LONGEST_NAME = 4096  # bytes


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of the graph; `constant` is None if an operator computes it."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    constant: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator: BuiltinOperator code, tensor indices (-1 = omitted optional input), options table."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None


@dataclasses.dataclass(frozen=True)
class Graph:
    """Tensors, the indices of inputs and outputs, and the operators in execution order."""

    tensors: list[Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: list[Operator]


class Table(flatbuffers.table.Table):
    """A FlatBuffer table, whose fields have the numbers of the schema.

    Offsets outside the file raise struct.error or TypeError.
    """

    def scalar(self, number: int, flags: type, default: int = 0) -> int:
        """Returns an integer field; `flags` is its type in flatbuffers.number_types."""
        return self.GetSlot(_slot(number), default, flags)

    def table(self, number: int) -> Table | None:
        place = self.Offset(_slot(number))
        return Table(self.Bytes, self.Indirect(self.Pos + place)) if place else None

    def tables(self, number: int) -> list[Table]:
        begin, count = self._vector(number, 4)
        return [Table(self.Bytes, self.Indirect(begin + 4 * i)) for i in range(count)]

    def integers(self, number: int) -> tuple[int, ...]:
        begin, count = self._vector(number, 4)
        if count > _LONGEST_LIST:
            raise ValueError(f"a list of {count} numbers")
        return struct.unpack_from(f"<{count}i", self.Bytes, begin)

    def raw(self, number: int) -> memoryview:
        begin, count = self._vector(number, 1)
        return memoryview(self.Bytes)[begin : begin + count]

    def _vector(self, number: int, item_size: int) -> tuple[int, int]:
        """Returns the offset of a vector's items and their number."""
        place = self.Offset(_slot(number))
        if not place:
            return 0, 0
        begin, count = self.Vector(place), self.VectorLen(place)
        if count * item_size > len(self.Bytes) - begin:
            raise ValueError("a list runs past the end of the file")
        return begin, count


def _slot(number: int) -> int:
    """Returns the position of a field's offset in the vtable."""
    return 4 + 2 * number


def read_graph(data: bytes) -> Graph:
    """Parses a model with a single graph.

    Raises:
      ValueError: the file is not such a model, or it is damaged.
    """
    if data[4:8] != b"TFL3":
        raise ValueError("not a TensorFlow Lite file")
    try:
        return _read_graph(data)
    except (struct.error, TypeError) as error:  # an offset after the end or before the start
        raise ValueError("an offset points outside the file") from error


def _read_graph(data: bytes) -> Graph:
    model = Table(data, encode.Get(packer.uoffset, data, 0))
    subgraphs = model.tables(2)
    if len(subgraphs) != 1:
        raise ValueError(f"{len(subgraphs)} graphs, expected one")
    graph = subgraphs[0]
    buffers = [buffer.raw(0) for buffer in model.tables(4)]
    # Old files have the operator code only in a byte (field 0), newer ones also in an integer (field 3).
    codes = [max(table.scalar(0, Int8Flags), table.scalar(3, Int32Flags)) for table in model.tables(1)]
    tensors = [_tensor(table, buffers) for table in graph.tables(0)]
    if sum(tensor.constant.nbytes for tensor in tensors if tensor.constant is not None) > len(data):
        raise ValueError("more constants than the file can hold")
    operators = []
    for table in graph.tables(3):
        code = _pick(codes, table.scalar(0, Uint32Flags), "operator code")
        operator = Operator(code, table.integers(1), table.integers(2), table.table(4))
        _check_indices(operator.inputs, len(tensors), lowest=-1)
        _check_indices(operator.outputs, len(tensors))
        operators.append(operator)
    inputs, outputs = graph.integers(1), graph.integers(2)
    _check_indices(inputs + outputs, len(tensors))
    return Graph(tensors, inputs, outputs, operators)


def _tensor(table: Table, buffers: list[memoryview]) -> Tensor:
    shape = table.integers(0)
    number = table.scalar(1, Int8Flags)
    if number not in _DTYPES:
        raise ValueError(f"tensor type {number} is not supported")
    dtype = _DTYPES[number]
    cells = 1
    for size in shape:
        if not 0 < size <= _LARGEST_TENSOR:
            raise ValueError(f"tensor of shape {shape}")
        cells *= size
        if cells > _LARGEST_TENSOR:
            raise ValueError(f"tensor of shape {shape}")
    content = _pick(buffers, table.scalar(2, Uint32Flags), "buffer")
    constant = None
    if content:
        if len(content) != cells * dtype.itemsize:
            raise ValueError(f"tensor of shape {shape} with {len(content)} bytes")
        constant = np.frombuffer(content, dtype).reshape(shape)
    name = bytes(table.raw(3)[:_LONGEST_NAME]).decode("utf-8", "replace")
    return Tensor(name, shape, dtype, constant)


def _pick(items: list, index: int, what: str):
    if index >= len(items):
        raise ValueError(f"{what} {index} does not exist")
    return items[index]


def _check_indices(indices: tuple[int, ...], count: int, lowest: int = 0) -> None:
    if any(not lowest <= index < count for index in indices):
        raise ValueError("a tensor number that does not exist")
