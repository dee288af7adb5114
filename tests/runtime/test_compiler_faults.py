"""Faults of XLA on CPUs that codax excludes or works around: each program here must end, and give the right numbers."""

import os
import subprocess
import sys

import jax
import pytest

# Under JAX 0.11.1 and 0.11.2, which pyproject.toml excludes, an FFT that runs on a worker of XLA's pool gives parts of
# its work to that pool and waits for them: once all workers wait, nothing moves again. There this hangs in its first
# steps.
FFTS = """
import jax, jax.numpy as jnp

@jax.jit
def step(x, w):
    total = 0.0
    for part in w:
        y = jnp.tanh(x @ part)  # runs on a worker of the pool before each FFT
        total += jnp.abs(jnp.fft.rfft(y, axis=-1)).sum()
    return total

x, w = jnp.ones((4, 32, 64)), jax.random.normal(jax.random.key(0), (6, 64, 1024))
for _ in range(60):
    step(x, w).block_until_ready()
print("done")
"""
# jax#39103: 0.10.2 is wrong in the last row.
PRODUCTS = """
import jax, jax.numpy as jnp

def norms(rows):
    return jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2))(rows)

i = jnp.arange(32_769, dtype=jnp.float32)
last = float(jax.jit(norms)(jnp.stack((i, 0 * i, 0 * i), axis=1))[-1])
assert last == 32_768.0**2, last
"""
# jax#40412 and jax#39257: 0.10.2 ends in a segmentation fault at both, 0.11.0 at the second.
RANKS = """
import jax, jax.numpy as jnp

a, b = (jax.random.normal(jax.random.key(k), (3, 1, 2, 2, 8, 8, 8)) for k in (0, 1))
assert jnp.allclose(jax.jit(lambda a, b: jnp.sum(a * b, axis=3))(a, b), jnp.sum(a * b, axis=3), atol=1e-5)
wide = jax.jit(lambda x, y: jnp.log(jnp.sum(x[..., None, None, None, None, None] * y, axis=2)))
assert jnp.allclose(wide(jnp.ones((10, 4, 6)), jnp.ones((10, 4, 6, 9, 9, 9, 9, 9))), jnp.log(6.0))
"""
SET_UP = "from codax.runtime.program import program\nwith program():\n    exec({code!r}, {{}})"
SEEN = """
import os
from codax.runtime.program import program

with program():
    print(os.environ.get("XLA_FLAGS", ""))
"""


def run(code: str, **environment: str) -> str:
    """What a program prints; it must end within a minute."""
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | {"JAX_PLATFORMS": "cpu"} | environment
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip()


def test_ffts_within_one_program_do_not_wait_for_each_other() -> None:
    assert run(FFTS) == "done"


@pytest.mark.parametrize("code", [PRODUCTS, RANKS], ids=["products", "ranks"])
def test_programs_compute_what_they_should(code: str) -> None:
    run(SET_UP.format(code=code))


@pytest.mark.skipif(jax.__version_info__[:2] != (0, 10), reason="a fault of JAX 0.10")
@pytest.mark.parametrize("code", [PRODUCTS, RANKS], ids=["products", "ranks"])
def test_without_the_setup_they_do_not(code: str) -> None:
    with pytest.raises(AssertionError):
        run(code)


def test_fusions_are_left_out_where_they_are_wrong() -> None:
    flag = "--xla_cpu_experimental_ynn_fusion_type="
    added = flag if jax.__version_info__ < (0, 12) else ""
    assert run(SEEN) == added
    assert run(SEEN, XLA_FLAGS="--xla_a=1") == f"--xla_a=1 {added}".strip()
    assert run(SEEN, XLA_FLAGS=f"{flag}dot") == f"{flag}dot"
