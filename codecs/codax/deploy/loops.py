"""Loops in ONNX: unrolled if short and of constant length, otherwise a `Scan` with a body."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from onnx import helper

from codax.deploy.graph import Graph, tensor_info
from codax.deploy.operators import UNROLLED, Converter, Value, operator


@operator("scan")
def _scan(c: Converter, equation: Any, inputs: list[Value]) -> list[Value]:
    params = equation.params
    if "ft_in" in params:  # JAX from 0.12 on
        consts, carry, rows = (list(part) for part in params["ft_in"].update(inputs).unpack())
    else:
        first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
        consts, carry, rows = inputs[:first], inputs[first:last], inputs[last:]
    run = _unrolled if isinstance(params["length"], int) and params["length"] <= UNROLLED else _as_scan
    return run(c, equation, consts, carry, rows)


def _unrolled(c: Converter, equation: Any, consts: list[Value], carry: list[Value], rows: list[Value]) -> list[Value]:
    params, body = equation.params, equation.params["jaxpr"]
    steps = range(params["length"])
    stacks: list[list[Value]] = []
    for i in reversed(steps) if params["reverse"] else steps:
        results = c.run(body.jaxpr, body.consts, [*consts, *carry, *(_row(c, value, i) for value in rows)])
        carry = results[: len(carry)]
        stacks.append(results[len(carry) :])
    if params["reverse"]:
        stacks.reverse()
    stacked = []
    for variable, parts in zip(equation.outvars[len(carry) :], zip(*stacks, strict=True), strict=True):
        zero = c.graph.integers(0)
        names = [c.graph.add("Unsqueeze", c.full_tensor(part), zero) for part in parts]
        aval = variable.aval
        stacked.append(c.node("Concat", *names, shape=aval.shape, dtype=aval.dtype, axis=0))
    return [*carry, *stacked]


def _row(c: Converter, value: Value, i: int) -> Value:
    if value.array is not None:
        row = value.array[i if value.actual[0] != 1 else 0]
        return dataclasses.replace(value, shape=value.shape[1:], actual=row.shape, array=row)
    index = c.graph.constant(np.asarray(i, np.int64))
    return c.node("Gather", c.full_tensor(value), index, shape=value.shape[1:], dtype=value.dtype, axis=0)


def _as_scan(c: Converter, equation: Any, consts: list[Value], carry: list[Value], rows: list[Value]) -> list[Value]:
    """The body refers to constants and other outer values by name."""
    params, body = equation.params, equation.params["jaxpr"]
    graph = Graph(c.graph)
    infos, inner = [], []
    for value, shape in [*((v, v.shape) for v in carry), *((v, v.shape[1:]) for v in rows)]:
        name = graph.name("element")
        infos.append(tensor_info(name, value.dtype, shape))
        inner.append(Value(shape, value.dtype, shape, tensor=name))
    inside = Converter(graph)
    results = inside.run(body.jaxpr, body.consts, [*consts, *inner])
    names = [graph.name("result") for _ in results]
    for name, value in zip(names, results, strict=True):
        # Every result needs a name of its own: also outer values, unchanged inputs and duplicates.
        graph.nodes.append(helper.make_node("Identity", [inside.full_tensor(value)], [name]))
    ends = [tensor_info(name, value.dtype, value.shape) for name, value in zip(names, results, strict=True)]
    directions = {"scan_input_directions": len(rows), "scan_output_directions": len(results) - len(carry)}
    outputs = c.graph.add(
        "Scan",
        *(c.full_tensor(value) for value in [*carry, *rows]),
        outputs=len(results),
        body=graph.finish(c.graph.name("body"), infos, ends),
        num_scan_inputs=len(rows),
        **{name: [int(params["reverse"])] * count for name, count in directions.items() if count},
    )
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return [
        Value(variable.aval.shape, np.dtype(variable.aval.dtype), variable.aval.shape, tensor=name)
        for variable, name in zip(equation.outvars, outputs, strict=True)
    ]
