"""The lattice ensemble that maps speech features to a score, evaluated from its TensorFlow Lite graph.

Each of 85 features (21 bands x 4 and the quantile `tau`) passes through piecewise-linear calibrators; 60 lattices of 12
calibrated values each interpolate between 4096 corners; a weighted sum and an output calibrator give the score
(Gupta et al., "Monotonic calibrated interpolated look-up tables", 2016). The graph consists of sixteen kinds of
operators, which are executed here one by one, so no separate reimplementation of the model can deviate from it.

The graph is evaluated in float64, from inputs rounded to float32. The output calibrator amplifies rounding by 36, so
float32 runtimes differ by up to 7e-5 from this value.
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from collections.abc import Callable, Mapping

import numpy as np
from flatbuffers.number_types import Int8Flags, Int32Flags

from codax.metrics.visqol.tflite import Graph, Operator, Table, read_graph

BANDS = 21
FEATURES = frozenset(
    {"tau"} | {f"{name}{band}" for name in ("fvnsim", "fvnsim10_", "fstdnsim", "fvdegenergy") for band in range(BANDS)}
)
# Limits for invalid files; the model's largest tensor has 4096 cells, all together 800 000.
_LARGEST_RESULT = 1 << 14
_LARGEST_SUM = 1 << 23

Operation = Callable[[list[np.ndarray], Table | None, Operator], "np.ndarray | list[np.ndarray]"]


@dataclasses.dataclass(frozen=True)
class LatticeEnsemble:
    """A loaded model; call it with features by name.

    Attributes:
        graph: the operators.
        constants: tensor index -> value, floats in float64.
        inputs: feature name -> tensor index.
    """

    graph: Graph
    constants: dict[int, np.ndarray]
    inputs: dict[str, int]

    @classmethod
    def from_bytes(cls, data: bytes) -> LatticeEnsemble:
        """Reads the model from the bytes of its file.

        Raises:
            ValueError: the file is damaged, or another kind of model.
        """
        graph = read_graph(data)
        if len(graph.outputs) != 1:
            raise ValueError(f"{len(graph.outputs)} outputs, expected one")
        unknown = {op.code for op in graph.operators} - set(_OPERATIONS)
        if unknown:
            raise ValueError(f"operators {sorted(unknown)} are not supported")
        with np.errstate(all="ignore"):  # a damaged constant may be NaN; the result is checked
            constants = {
                index: tensor.constant.astype(np.float64) if tensor.dtype.kind == "f" else tensor.constant
                for index, tensor in enumerate(graph.tensors)
                if tensor.constant is not None
            }
        model = cls(graph, constants, _feature_inputs(graph))
        model(dict.fromkeys(FEATURES, 0.5))  # rejects an invalid graph here instead of at the first score
        return model

    def __call__(self, features: Mapping[str, float]) -> float:
        """The score for one set of features.

        Raises:
            ValueError: features are missing, or the graph cannot be evaluated.
        """
        missing = FEATURES - set(features)
        if missing:
            raise ValueError(f"{len(missing)} features are missing, {min(missing)} among them")
        values = dict(self.constants)
        for name, index in self.inputs.items():
            values[index] = np.full(self.graph.tensors[index].shape, np.float32(features[name]), np.float64)
        cells = 0
        with np.errstate(all="ignore"):  # the result is checked at the end
            for op in self.graph.operators:
                cells += self._run(op, values)
                if cells > _LARGEST_SUM:
                    raise ValueError("the graph is too large")
        result = values.get(self.graph.outputs[0])
        if result is None or result.size != 1 or not np.isfinite(result).all():
            raise ValueError("the graph does not give one finite number")
        return float(result.reshape(()))

    def _run(self, op: Operator, values: dict[int, np.ndarray]) -> int:
        """Executes one operator and stores its results; returns their number of cells.

        The shapes of results in the file are not checked: its converter left 1 in many places.
        """
        try:
            operands = [values[index] for index in op.inputs if index >= 0]
            results = _OPERATIONS[op.code](operands, op.options, op)
        except (KeyError, IndexError, TypeError, AttributeError, struct.error) as error:
            raise ValueError(f"operator {op.code} cannot be run: {error!r}") from None
        results = results if isinstance(results, list) else [results]
        values.update(zip(op.outputs, results, strict=True))
        return sum(result.size for result in results)


def _feature_inputs(graph: Graph) -> dict[str, int]:
    """Feature name -> input tensor.

    The inputs are named Placeholder_N in arbitrary order. Each is expanded and passed to the calibrator whose
    operators contain the feature's name, as in "calibrated_lattice_ensemble/tfl_calib_fvnsim0/sub".
    """
    expanded = {op.outputs[0]: op.inputs[0] for op in graph.operators if op.code == _EXPAND_DIMS and op.outputs}
    inputs: dict[str, int] = {}
    remaining = set(graph.inputs)
    for op in graph.operators:
        source = expanded.get(op.inputs[0]) if op.inputs else None
        if op.code != _SUB or source not in remaining or not op.outputs:
            continue
        match = re.search(r"tfl_calib_(\w+)/sub", graph.tensors[op.outputs[0]].name)
        if match and source is not None:
            inputs[match[1]] = source
    if set(inputs) != FEATURES or len(set(inputs.values())) != len(remaining):
        raise ValueError(f"{len(set(inputs) & FEATURES)} of {len(FEATURES)} expected input features found")
    return inputs


def _plain(options: Table | None, field: int, result: np.ndarray) -> np.ndarray:
    """Returns the result if the operator has no fused activation (`field` is the field number in its options)."""
    if options is not None and options.scalar(field, Int8Flags):
        raise ValueError("fused activations are not supported")
    return result


def _bounded(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns `shape` if its size is plausible."""
    if len(shape) > 8 or math.prod(max(1, abs(size)) for size in shape) > _LARGEST_RESULT:
        raise ValueError(f"a tensor of shape {shape} is too large")
    return shape


def _elementwise(function: Callable[..., np.ndarray]) -> Operation:
    """An operator with two broadcast operands; its options, if any, begin with the fused activation."""

    def run(operands: list[np.ndarray], options: Table | None, op: Operator) -> np.ndarray:
        _bounded(np.broadcast_shapes(*(operand.shape for operand in operands)))
        # The options of MINIMUM and EQUAL have no fields; reading field 0 gives no activation.
        return _plain(options, 0, function(*operands))

    return run


def _matrix_product(operands: list[np.ndarray], options: Table | None, op: Operator) -> np.ndarray:
    left, right = operands
    if options is not None and (options.scalar(0, Int8Flags) or options.scalar(1, Int8Flags)):
        raise ValueError("transposed matrix products are not supported")
    _bounded((*left.shape[:-1], right.shape[-1]))
    return left @ right


def _dense(operands: list[np.ndarray], options: Table | None, op: Operator) -> np.ndarray:
    values, weights = operands[:2]
    if len(operands) > 2:
        raise ValueError("a bias is not supported")
    rows = values.reshape(-1, weights.shape[1])
    _bounded((len(rows), len(weights)))
    return _plain(options, 0, rows @ weights.T)


def _concatenate(operands: list[np.ndarray], options: Table | None, op: Operator) -> np.ndarray:
    axis = options.scalar(0, Int32Flags) if options is not None else 0
    _bounded((sum(operand.size for operand in operands),))
    return _plain(options, 1, np.concatenate(operands, axis=axis))


def _split(operands: list[np.ndarray], options: Table | None, op: Operator) -> list[np.ndarray]:
    axis, values = operands
    return np.split(values, len(op.outputs), axis=int(axis.reshape(())))


def _fill(operands: list[np.ndarray], options: Table | None, op: Operator) -> np.ndarray:
    shape, value = operands
    return np.full(_bounded(tuple(int(size) for size in shape)), value.reshape(()))


_SUB, _EXPAND_DIMS = 41, 70
# BuiltinOperator of TensorFlow Lite's schema.fbs.
_OPERATIONS: dict[int, Operation] = {
    0: _elementwise(np.add),
    2: _concatenate,
    9: _dense,
    18: _elementwise(np.multiply),
    19: lambda operands, options, op: np.maximum(operands[0], 0),  # RELU
    22: lambda operands, options, op: operands[0].reshape(_bounded(tuple(operands[1].tolist()))),  # RESHAPE
    _SUB: _elementwise(np.subtract),
    49: _split,
    53: lambda operands, options, op: operands[0].astype(np.float64),  # CAST, of a comparison to a number
    57: _elementwise(np.minimum),
    _EXPAND_DIMS: lambda operands, options, op: np.expand_dims(operands[0], int(operands[1].reshape(()))),
    71: _elementwise(np.equal),
    77: lambda operands, options, op: np.array(operands[0].shape, np.int32),  # SHAPE
    94: _fill,
    101: lambda operands, options, op: np.abs(operands[0]),  # ABS
    126: _matrix_product,
}
