"""What a plan is made of, on programs and numbers small enough to check by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from codax.config import Config
from codax.config.recipe_files import load_recipe
from codax.errors import CodaxError
from codax.nets.conv import default_lowering
from codax.planning.abstract_step import abstract_step, heaviest_phase
from codax.planning.chips import CHIPS, GIB, roofline
from codax.planning.collectives import Exchange, collectives
from codax.planning.compiling import Compiled, Memory, Piece, TooBig, judged, parse_memory
from codax.planning.loops import loop_factor, product_flops
from codax.planning.plan import Plan, advice, as_values
from codax.planning.search import Largest, largest
from codax.planning.targets import Target, open_target
from codax.runtime.platforms import platform, tracing_for
from codax.training.parallel import Parallel
from codax.training.step import Phase

PROGRAM = """
ENTRY %main {
  %a = f32[4,8]{1,0:T(8,128)} parameter(0)
  %all-reduce.1 = (f32[4,8]{1,0:T(8,128)}, bf16[16]{0:T(128)}, /*index=2*/pred[]{:T(128)}) all-reduce(%a, %b, %c), to_apply=%add
  %all-reduce.2 = s32[3]{0} all-reduce-start(%d), replica_groups={}
  %all-reduce.3 = s32[3]{0} all-reduce-done(%all-reduce.2)
  ROOT %all-gather.1 = (f32[2]{0}, f32[8]{0}) all-gather-start(%e), dimensions={0}
  %fusion = f32[9] fusion(%all-reduce.3), kind=kLoop
}
"""  # noqa: E501


def test_collectives_are_read_from_a_program() -> None:
    actual = collectives(PROGRAM)
    assert actual == {"all-reduce": Exchange(2, 4 * 32 + 2 * 16 + 1 + 4 * 3), "all-gather": Exchange(1, 4 * 8)}


def test_loops_count_as_often_as_they_run() -> None:
    kernel = jnp.ones((8, 8))

    def program(x):
        y = x @ kernel  # 2 x 4 x 8 x 8
        return jax.lax.scan(lambda carry, _: (jnp.tanh(carry @ kernel), None), y, length=5)[0]

    jaxpr = jax.make_jaxpr(program)(jnp.ones((4, 8)))
    assert product_flops(jaxpr, loops=False) == 2 * 512
    assert product_flops(jaxpr, loops=True) == 6 * 512
    assert loop_factor(jaxpr) == 3
    conv = jax.make_jaxpr(
        lambda x, k: jax.lax.conv_general_dilated(x, k, (2,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))
    )(jnp.ones((3, 11, 4)), jnp.ones((5, 4, 6)))
    assert product_flops(conv, loops=True) == 2 * (3 * 4 * 6) * (5 * 4)


def test_the_least_time_of_a_step() -> None:
    line = roofline(CHIPS["v5e"], flops=197e9, accessed=1.638e9, reduced=100e6, devices=16)
    np.testing.assert_allclose(line.compute, 1e-3)
    np.testing.assert_allclose(line.memory, 2e-3)
    np.testing.assert_allclose(line.network, 2 * 15 / 16 * 100e6 / 200e9)
    assert (line.step, line.bound) == (line.memory, "memory")
    assert roofline(CHIPS["v4"], flops=1.0, accessed=0.0, reduced=1e9, devices=1).network == 0


def test_the_compiler_says_what_it_lacks() -> None:
    message = (
        "RESOURCE_EXHAUSTED: the total memory required for HLO temporaries (20.50G) exceeds available HBM (15.75G)."
    )
    assert parse_memory(message) == (int(20.5 * GIB), int(15.75 * GIB))
    assert parse_memory("Used 812.00M of 15.25G hbm.") == (812 * 2**20, int(15.25 * GIB))
    assert parse_memory("something else") == (None, None)


def needing(fixed: float, each: float, capacity: float):
    """A compiler of programs that need `fixed` bytes and `each` for an example; and the batches that it was given."""
    asked: list[int] = []

    def attempt(n: int) -> Compiled | TooBig:
        asked.append(n)
        size = int(fixed + each * n)
        if size > capacity:
            return TooBig(size, int(capacity), ())
        return Compiled(Memory(0, 0, 0, size, 0), (), {}, ())

    return attempt, asked


@pytest.mark.parametrize("start", [1, 4, 90, 4000])
@pytest.mark.parametrize("fixed", [0, 500])
def test_the_largest_batch_is_found_in_few_tries(start: int, fixed: float) -> None:
    attempt, asked = needing(fixed, 10, 1000)
    true = (1000 - fixed) // 10
    actual = largest(attempt, start, 1000)
    assert actual.refused is not None and actual.fits <= true < actual.refused
    assert actual.refused - actual.fits <= max(1, actual.fits // 16)
    assert len(asked) == len(set(asked)) <= 8


def test_batches_are_multiples_and_may_not_fit_at_all() -> None:
    attempt, asked = needing(0, 10, 1000)
    actual = largest(attempt, 6, 1000, multiple=4)
    assert all(n % 4 == 0 for n in asked) and actual.fits >= 92
    attempt, _ = needing(2000, 10, 1000)
    assert largest(attempt, 6, 1000) == Largest(0, 1)


def test_advice_is_one_line_with_what_to_change() -> None:
    config = Config()
    target = Target("v5e:4x4", "tpu", [None] * 16, CHIPS["v5e"], CHIPS["v5e"].memory)
    too_big = Plan(config, target, 8, TooBig(17 * GIB, int(15.75 * GIB), ()), Largest(3, 4))
    assert not too_big.fits
    line = advice(too_big)
    assert "8 examples of 1 s do not fit one device of v5e:4x4 (17.0 GiB needed, 15.75 GiB available)" in line
    changes = ("train.batch_size=48", "memory.remat=nets", "train.programs=one", "memory.accumulate=2", "more devices")
    for change in changes:
        assert change in line
    values = as_values(too_big)
    assert values["fits"] is False and values["largest_per_device_batch"] == 3


def test_pieces_must_fit_together() -> None:
    chip = CHIPS["v5e"]
    target = Target("v5e:1x1", "tpu", [None], chip, chip.memory)
    memory = Memory(GIB, GIB, GIB, 16 * GIB, 0)
    piece = Piece("forward", 1.0, memory, 1.0, 1.0)
    assert judged(Compiled(memory, (piece, piece), {}, ()), target) == TooBig(17 * GIB, 16 * GIB, ())
    alone = Compiled(memory, (piece,), {}, ())  # the compiler accepted it
    assert judged(alone, target) is alone
    small = Compiled(Memory(GIB, GIB, GIB, 15 * GIB, 0), (piece, piece), {}, ())
    assert judged(small, target) is small


def test_functions_are_traced_for_the_planned_platform() -> None:
    with tracing_for("tpu"):
        assert (platform(), default_lowering()) == ("tpu", "native")
    assert platform() == jax.default_backend()


def test_the_heaviest_phase_has_all_that_is_ever_on() -> None:
    config = Config()
    config.quantizer.start_step, config.discriminator.start_step, config.discriminator.every = 10, 20, 3
    assert heaviest_phase(config) == Phase(quantize=True, spectral=True, adversarial=True)
    config.loss.adversarial = config.loss.feature = 0.0
    assert heaviest_phase(config) == Phase(quantize=True, spectral=True, adversarial=False)


@pytest.mark.parametrize("name", ["v5e", "v5e:", "v5e:four", "v9:2x2", "cpu:0", "cpu:9", "cpu:²", "cpu"])
def test_unknown_topologies_are_refused(name: str) -> None:
    with pytest.raises(CodaxError, match=rf"--topology {name}: must be v4, v5e, v5p, v6e with a shape"):
        open_target(name)


def test_without_libtpu_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    actual = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "libtpu" else actual(name))
    with pytest.raises(CodaxError, match=r"libtpu, .* is not installed: pip install .*\[plan\]"):
        open_target("v5e:4x4")


def test_the_codec_of_a_language_model_may_be_a_shipped_one() -> None:
    config = load_recipe(Path(__file__).parents[2] / "configs" / "speech_lm.py")
    step = abstract_step(config, Parallel(), 2)
    assert step.batch["codes"].shape == (2 * jax.device_count(), 300, 8)
    assert step.state.generator["kernel"].shape == (256, 8, 1024)
