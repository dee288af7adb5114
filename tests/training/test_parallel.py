"""One device gives what several devices, and several processes, give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from codax.config import Config
from codax.errors import CodaxError
from codax.training.parallel import Parallel
from codax.training.processes import initialize_distributed, named_processes
from codax.training.programs import in_pieces
from codax.training.state import init_state
from codax.training.step import phase_at
from tiny_run import ROOT, WHOLE_STEP, WORKER, environment, free_port, tiny_config
from worker import (
    dac_config,
    excerpt_config,
    mapped_steps,
    mimi_config,
    option_config,
    per_rate_config,
    piecewise_steps,
    plain_steps,
    step_config,
)


@pytest.fixture(scope="module")
def one_device() -> dict[str, np.ndarray]:
    return plain_steps(step_config())


def assert_close(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(actual) == set(expected)
    for name, value in expected.items():
        largest = np.nanmax(np.abs(value), initial=1.0)  # a level without frames has no use
        np.testing.assert_allclose(actual[name], value, rtol=1e-5, atol=1e-5 * largest, err_msg=name)


def test_the_compared_steps_do_all_they_should(one_device: dict[str, np.ndarray]) -> None:
    assert one_device["state.bad_total"] == 0
    assert one_device["state.codebook['quantizer']['initialised']"]
    assert sum(one_device[f"step{i}['codebook/dead']"].sum() for i in range(3)) > 0
    for name in ("adversarial", "feature", "discriminator", "commitment", "spectral", "waveform"):
        assert one_device[f"step2['loss/{name}']"] > 0


@pytest.mark.parametrize("kind", ["shard_map", "pmap"])
def test_eight_devices_equal_one(kind: str, one_device: dict[str, np.ndarray]) -> None:
    assert_close(mapped_steps(step_config(), Parallel(kind)), one_device)


@pytest.mark.parametrize("kind", ["one device", "shard_map", pytest.param("pmap", marks=pytest.mark.nightly)])
def test_a_program_for_each_stage_gives_what_one_program_gives(kind: str) -> None:
    mapped = Parallel(devices=jax.devices()[:1]) if kind == "one device" else Parallel(kind)
    assert_close(piecewise_steps(excerpt_config(), mapped), plain_steps(excerpt_config()))


def on_devices(config: Config, count: int = 2) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What a recipe's steps give on several devices, and on one."""
    mapped = Parallel(devices=jax.devices()[:count])
    assert mapped.devices == count and mapped.kind == "shard_map"
    initial = jax.jit(lambda: init_state(config))()
    one = plain_steps(config, initial)
    return mapped_steps(config, mapped, initial), one  # which takes the state's place


@pytest.mark.parametrize("adversary", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_mimi_is_the_same_on_devices(adversary: bool) -> None:
    config = mimi_config()
    if not adversary:
        config.loss.adversarial = config.loss.feature = 0.0
    several, one = on_devices(config)
    dead = [one[f"step{i}['codebook/dead']"].sum() for i in range(3)]
    assert dead[0] > 0 and dead[1] == 0  # every other step
    assert_close(several, one)


def test_discriminators_for_each_rate_are_the_same_on_devices() -> None:
    several, one = on_devices(per_rate_config())
    counts = one["state.discriminator_optimizer[0].count"]
    assert counts.shape == (2,) and counts.min() > 0
    assert_close(several, one)


def test_dac_is_the_same_on_eight_devices() -> None:
    several, one = on_devices(dac_config(), 8)
    for name in ("adversarial", "feature", "commitment", "codebook", "spectral"):
        assert one[f"step2['loss/{name}']"] > 0
    assert one["state.codebook['quantizer']['count']"].sum() > 0
    assert_close(several, one)


@pytest.mark.parametrize(  # the others are above
    "option", ["normalised", "fsq", pytest.param("rotation", marks=pytest.mark.nightly)]
)
def test_options_of_the_quantizer_are_the_same_on_eight_devices(option: str) -> None:
    several, one = on_devices(option_config(option), 8)
    assert one["state.codebook['quantizer']['count']"].sum() > 0
    assert one["state.bad_total"] == 0
    assert_close(several, one)


@pytest.mark.parametrize("kind", ["shard_map", pytest.param("pmap", marks=pytest.mark.nightly)])
def test_two_processes_of_four_devices_equal_one(kind: str, one_device: dict[str, np.ndarray], tmp_path: Path) -> None:
    port, processes = free_port(), []
    for index in range(2):
        names = {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(index)}
        env = environment(XLA_FLAGS="--xla_force_host_platform_device_count=4", **names)
        command = [sys.executable, str(WORKER), "steps", str(tmp_path / "out.npz"), kind]
        processes.append(subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True))
    errors = [process.communicate(timeout=600)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert_close(dict(np.load(tmp_path / "out.npz")), one_device)


def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = Parallel()
    monkeypatch.setattr(mapped, "devices", 8)
    with pytest.raises(CodaxError, match=r"train\.batch_size = 12: must be a multiple of the 8 devices"):
        mapped.local_batch(12)
    with pytest.raises(CodaxError, match="must be one of shard_map, pmap"):
        Parallel("pjit")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("host:1", None, 0), "the flag --num_processes is not set"),
        ((None, 2, 0), "the flag --coordinator is not set"),
        (("host:1", 2, 2), "process 2 of 2: they are counted from 0"),
    ],
)
def test_flags_that_do_not_fit(given: tuple, message: str) -> None:
    with pytest.raises(CodaxError, match=message):
        initialize_distributed(*given)


@pytest.mark.parametrize(
    ("processes", "reason", "is_told"),
    [
        (4, "INTERNAL: Gloo all-reduce failed: Connection reset by peer\nbarrier", True),
        (4, "UNAVAILABLE: The following tasks are unhealthy", True),
        (4, "RESOURCE_EXHAUSTED: Out of memory", False),
        (1, "UNAVAILABLE: no device", False),
    ],
)
def test_a_lost_process_is_told_in_one_line(
    processes: int, reason: str, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    with pytest.raises(CodaxError if is_told else jax.errors.JaxRuntimeError) as caught, named_processes():
        raise jax.errors.JaxRuntimeError(reason)
    if is_told:
        line = str(caught.value)
        assert "\n" not in line and reason.splitlines()[0] in line and line.startswith("process 0 of 4 lost")


def test_an_incomplete_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.setenv("JAX_PROCESS_ID", "0")
    with pytest.raises(CodaxError, match="JAX_COORDINATOR_ADDRESS is not set"):
        initialize_distributed()


@pytest.mark.parametrize("change", ["train__programs", "discriminator__drawn"])
def test_pmap_in_several_processes_has_no_pieces(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    config = tiny_config(**WHOLE_STEP, **{change: "pieces" if change == "train__programs" else 1})
    mapped = Parallel("pmap")
    phase = phase_at(config, 0)
    assert in_pieces(config, phase, mapped)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(CodaxError, match=r"--parallel=pmap: .* needs --parallel=shard_map"):
        in_pieces(config, phase, mapped)
    config.train.programs, config.discriminator.drawn = "auto", 0
    assert not in_pieces(config, phase_at(config, 0), mapped)
