"""Operations of JAX as ONNX graphs, one by one, for lengths that are open."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from codax.deploy.trace import to_graph  # noqa: E402 (needs onnx)
from codax.nets.padding import pad_time  # noqa: E402
from onnx import helper  # noqa: E402

KERNEL = np.random.default_rng(1).standard_normal((3, 4, 6)).astype(np.float32)
TABLE = np.random.default_rng(2).standard_normal((7, 5)).astype(np.float32)


def blocks(x: jax.Array, size: int) -> jax.Array:
    count = -(-x.shape[1] // size)
    return jnp.pad(x, ((0, 0), (0, count * size - x.shape[1]), (0, 0))).reshape(x.shape[0], count, size, 4)


def lstm_like(x: jax.Array) -> jax.Array:
    def step(carry: jax.Array, row: jax.Array):
        carry = jnp.tanh(0.5 * carry + row)
        return carry, (carry, row.sum())

    last, (rows, sums) = lax.scan(step, jnp.zeros((x.shape[0], 4)), jnp.moveaxis(x, 1, 0), reverse=True)
    return rows * sums[:, None, None] + last


FUNCTIONS = {
    "expm1 near 0": lambda x: jnp.expm1(1e-4 * x) * 1e4,
    "elu": jax.nn.elu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "softmax": lambda x: jax.nn.softmax(x, axis=1),
    "layer norm": lambda x: (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5),
    "powers": lambda x: x**3 + jnp.abs(x) ** 0.5 + jnp.square(x),
    "whole numbers": lambda x: (jnp.floor(5 * x).astype(jnp.int32) // 3, jnp.floor(5 * x).astype(jnp.int32) % 4),
    "truth": lambda x: jnp.where((x > 0) & ~(x > 1) | jnp.isclose(x, 0), x, jnp.clip(x, -0.5, 0.5)),
    "reflection": lambda x: pad_time(x, 3, 2, "reflect"),
    "replication": lambda x: pad_time(x, 3, 2, "replicate"),
    "reversal": lambda x: x[:, ::-1],
    "each second": lambda x: x[:, 1::2] if isinstance(x.shape[1], int) else x[:, 1 : x.shape[1] : 2],
    "folding": lambda x: x.reshape(x.shape[0], x.shape[1] // 2, 8) @ jnp.ones((8, 3)),
    "blocks": lambda x: blocks(x, 5),
    "counting": lambda x: x + jnp.arange(x.shape[1])[:, None] * (x.shape[1] - 3),
    "gather": lambda x: jnp.asarray(TABLE)[jnp.argmax(x, axis=-1)],
    "gather by two": lambda x: jnp.asarray(TABLE)[jnp.argmin(x, axis=-1), jnp.argmax(x, axis=-1)],
    "take": lambda x: jnp.take(x, jnp.maximum(0, jnp.arange(x.shape[1]) - 2), axis=1),
    "scatter": lambda x: x.at[:, jnp.asarray([3, 1])].set(-1.0),
    "separate channels": lambda x: jnp.stack([i * row for i, row in enumerate(jnp.unstack(x, axis=2))], axis=-1),
    "running sum": lambda x: jnp.cumsum(x, axis=1),
    "products": lambda x: (jnp.einsum("btc,bsc->bts", x, x) @ x, jnp.einsum("btc,ucv->vbut", x, KERNEL)),
    "loop": lstm_like,
    "convolution": lambda x: lax.conv_general_dilated(
        x, KERNEL, (2,), [(1, 4)], rhs_dilation=(2,), dimension_numbers=("NWC", "WIO", "NWC")
    ),
    "convolution in groups": lambda x: lax.conv_general_dilated(
        x, KERNEL[:, :2], (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"), feature_group_count=2
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operation(name: str) -> None:
    def function(x: jax.Array) -> tuple[jax.Array, ...]:
        y = FUNCTIONS[name](x)
        return y if isinstance(y, tuple) else (y,)

    batch, time = export.symbolic_shape("batch, time", constraints=["time >= 6"])
    structs = {"x": jax.ShapeDtypeStruct((batch, 2 * time, 4), jnp.float32)}
    count = len(jax.eval_shape(function, structs["x"]))
    graph = to_graph("test", function, structs, [f"y{i}" for i in range(count)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for shape in ((1, 12, 4), (3, 18, 4)):
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        for actual, expected in zip(session.run(None, {"x": x}), function(jnp.asarray(x)), strict=True):
            assert actual.dtype == expected.dtype
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
