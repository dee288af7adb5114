"""ONNX conversions of element-wise operations, matrix products, convolutions and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from codax.deploy.graph import TYPES
from codax.deploy.operators import FUNCTIONS, Converter, Value, operator
from codax.errors import CodaxError
from codax.nets.elu import expm1_of_negative
from codax.nets.snake import sine_squared

_ELEMENTWISE = {
    "add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min", "pow": "Pow",
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos",
    "tanh": "Tanh", "logistic": "Sigmoid", "erf": "Erf", "floor": "Floor", "ceil": "Ceil",
    "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
    "and": "And", "or": "Or", "not": "Not",
}  # fmt: skip
_REDUCTIONS = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}
_IDENTITIES = ("stop_gradient", "copy", "copy_p", "optimization_barrier", "reduce_precision", "sharding_constraint")


def elementwise(c: Converter, kind: str, *values: Value, dtype: Any = None, **attributes: Any) -> Value:
    """A node whose inputs are broadcast to each other; scalars may replace arrays."""
    shape = max((value.shape for value in values), key=len)
    actual = list(shape)
    for axis in range(len(shape)):
        if all(len(value.shape) == 0 or value.actual[axis] != shape[axis] for value in values):
            actual[axis] = 1
    names = [c.tensor_of(value) for value in values]
    return c.node(kind, *names, shape=shape, actual=actual, dtype=dtype or values[-1].dtype, **attributes)


def number(value: float, like: Value) -> Value:
    """A scalar with the type of another value."""
    return Value.known(np.asarray(value, like.dtype))


@operator(*_ELEMENTWISE)
def _elementwise(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    name = equation.primitive.name
    if name in ("and", "or", "not") and inputs[0].dtype != np.bool_:
        raise CodaxError(f"this model cannot be exported to ONNX: {name} of {inputs[0].dtype}")
    if name == "mul" and inputs[0].array is not None and not inputs[0].shape and inputs[0].array == 1:
        return [inputs[1]]
    return [elementwise(c, _ELEMENTWISE[name], *inputs, dtype=equation.outvars[0].aval.dtype)]


@operator(*_IDENTITIES)
def _identity(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    return inputs


@operator("ne")
def _different(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [elementwise(c, "Not", elementwise(c, "Equal", *inputs, dtype=np.bool_))]


@operator("expm1")
def _expm1(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    """tanh(x / 2) (exp(x) + 1). exp(x) - 1 would lose digits near 0, which can change codes."""
    (x,) = inputs
    half = elementwise(c, "Tanh", elementwise(c, "Mul", x, number(0.5, x)))
    return [elementwise(c, "Mul", half, elementwise(c, "Add", elementwise(c, "Exp", x), number(1, x)))]


FUNCTIONS[expm1_of_negative.__name__] = _expm1


def _sine_squared(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    sine = elementwise(c, "Sin", *inputs)
    return [elementwise(c, "Mul", sine, sine)]


FUNCTIONS[sine_squared.__name__] = _sine_squared


@operator("erfc")
def _erfc(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [elementwise(c, "Sub", number(1, inputs[0]), elementwise(c, "Erf", *inputs))]


@operator("rsqrt")
def _rsqrt(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [elementwise(c, "Reciprocal", elementwise(c, "Sqrt", *inputs))]


@operator("square")
def _square(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [elementwise(c, "Mul", inputs[0], inputs[0])]


@operator("integer_pow")
def _integer_power(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    if equation.params["y"] == 2:
        return _square(c, equation, inputs)
    return [elementwise(c, "Pow", inputs[0], number(equation.params["y"], inputs[0]))]


@operator("rem")
def _remainder(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [elementwise(c, "Mod", *inputs, fmod=1)]  # the sign of the dividend, as in JAX


@operator("select_n")
def _select(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    which, *cases = inputs
    if which.dtype != np.bool_ or len(cases) != 2:
        raise CodaxError("this model cannot be exported to ONNX: a selection of more than two values")
    return [elementwise(c, "Where", which, cases[1], cases[0])]


@operator("clamp")
def _clamp(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    low, x, high = inputs
    return [elementwise(c, "Min", high, elementwise(c, "Max", low, x))]


@operator("convert_element_type")
def _cast(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [cast(c, inputs[0], equation.params["new_dtype"])]


def cast(c: Converter, value: Value, dtype: Any) -> Value:
    if np.dtype(dtype) not in TYPES:
        raise CodaxError(f"this model cannot be exported to ONNX: it computes in {np.dtype(dtype).name}")
    if value.dtype == np.dtype(dtype):
        return value
    return elementwise(c, "Cast", value, dtype=dtype, to=TYPES[np.dtype(dtype)])


@operator(*_REDUCTIONS)
def _reduce(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    axes = c.graph.integers(*equation.params["axes"])
    return c.like(equation, _REDUCTIONS[equation.primitive.name], c.full_tensor(inputs[0]), axes, keepdims=0)


@operator("argmax", "argmin")
def _position(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    kind, (axis,) = {"argmax": "ArgMax", "argmin": "ArgMin"}[equation.primitive.name], equation.params["axes"]
    aval = equation.outvars[0].aval
    position = c.node(kind, c.full_tensor(inputs[0]), shape=aval.shape, dtype=np.int64, axis=axis, keepdims=0)
    return [cast(c, position, aval.dtype)]


@operator("cumsum")
def _cumulative_sum(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    axis = c.graph.constant(np.asarray(equation.params["axis"], np.int64))
    return c.like(equation, "CumSum", c.full_tensor(inputs[0]), axis, reverse=int(equation.params["reverse"]))


@operator("dot_general")
def _product(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Both operands as matrices [batch..., rows, inner] and [batch..., inner, columns]."""
    (contract, batch), aval = equation.params["dimension_numbers"], equation.outvars[0].aval
    free = [
        [axis for axis in range(len(value.shape)) if axis not in (*contract[i], *batch[i])]
        for i, value in enumerate(inputs)
    ]
    # Without batch axes, and with all rows leading, the left operand needs no reshape: MatMul uses the last two axes.
    orders = [[*batch[0], *free[0], *contract[0]], [*batch[1], *contract[1], *free[1]]]
    plain = not batch[0] and len(contract[0]) == 1 and len(free[1]) == 1 and len(free[0]) >= 1
    sides = []
    for i, (value, order) in enumerate(zip(inputs, orders, strict=True)):
        name, shape = _permuted(c, value, order), [value.shape[axis] for axis in order]
        groups = (
            [len(batch[i]), len(free[i]), len(contract[i])]
            if i == 0
            else [len(batch[i]), len(contract[i]), len(free[i])]
        )
        if not plain and groups[1:] != [1, 1]:
            leading, middle = shape[: groups[0]], shape[groups[0] : groups[0] + groups[1]]
            matrix = [*leading, _size(middle), _size(shape[groups[0] + groups[1] :])]
            name = c.graph.add("Reshape", name, c.graph.shape(matrix))
        sides.append(name)
    if plain or (len(free[0]), len(free[1])) == (1, 1):
        return c.like(equation, "MatMul", *sides)
    return c.like(equation, "Reshape", c.graph.add("MatMul", *sides), c.graph.shape(aval.shape))


def _size(shape: list[Any]) -> Any:
    size: Any = 1
    for n in shape:
        size = size * n
    return size


def _permuted(c: Converter, value: Value, order: list[int]) -> str:
    name = c.full_tensor(value)
    return name if order == sorted(order) else c.graph.add("Transpose", name, perm=order)


@operator("conv_general_dilated")
def _convolution(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    params, aval = equation.params, equation.outvars[0].aval
    numbers = params["dimension_numbers"]
    if set(params["lhs_dilation"]) != {1} or params["batch_group_count"] != 1:
        raise CodaxError("this model cannot be exported to ONNX: a convolution with a dilated input")
    pads = [before for before, _ in params["padding"]] + [after for _, after in params["padding"]]
    x, kernel = _permuted(c, inputs[0], [*numbers.lhs_spec]), _permuted(c, inputs[1], [*numbers.rhs_spec])
    y = c.graph.add(
        "Conv", x, kernel,
        strides=list(params["window_strides"]),
        dilations=list(params["rhs_dilation"]),
        group=params["feature_group_count"],
        pads=pads,
    )  # fmt: skip
    back = [int(i) for i in np.argsort(numbers.out_spec)]
    return (
        c.like(equation, "Transpose", y, perm=back)
        if back != sorted(back)
        else [Value(aval.shape, np.dtype(aval.dtype), aval.shape, tensor=y)]
    )
