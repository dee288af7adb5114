"""`codax plan` as a user runs it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from tiny_run import WHOLE_STEP, environment, run_program, tiny_config, write_recipe

needs_libtpu = pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed")


@pytest.fixture
def plan(tmp_path: Path):
    """Runs the command on the tiny recipe."""
    recipe = write_recipe(tmp_path / "tiny.py", tiny_config(**WHOLE_STEP))

    def call(*arguments: str):
        command = ("-m", "codax.cli.main", "plan", "--config", recipe, *arguments)
        return run_program(*command, env=environment())

    return call


def test_cpu_devices(plan, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    done = plan("--topology", "cpu:2", "--config.memory.accumulate=2", "--json", "--out", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    values = json.loads(done.stdout)
    assert values == json.loads(file.read_text())
    assert (values["devices"], values["per_device_batch"], values["accumulate"]) == (2, 4, 2)
    assert values["fits"] and values["flops"] > 0 and values["bytes_accessed"] > 0
    memory = values["memory_bytes"]
    assert memory["temporaries"] > 0
    # Most of the state goes in and comes out in its own place.
    assert memory["arguments"] > memory["aliased"] > 0.5 * memory["outputs"] > 0
    names = [program["name"] for program in values["programs"]]
    assert names[0] == "forward" and "update generator" in names
    assert all(program["compile_cpu_seconds"] > 0 for program in values["programs"])
    assert memory["code"] == sum(program["memory_bytes"]["code"] for program in values["programs"])
    assert values["collectives"]["all-reduce"]["bytes"] > 4 * 1000  # gradients of more than a thousand parameters
    assert "roofline" not in values


def test_what_cannot_be_planned_is_one_line(run, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "tiny.py", tiny_config(**WHOLE_STEP))
    for arguments, reason in (
        (("--topology", "cpu:3"), "train.batch_size = 8: must be a multiple of the 3 devices"),
        (("--topology", "cpu:1", "--config.train.size=3"), "unknown config field train.size"),
        (("--topology", "cpu:1", "extra"), "unexpected argument 'extra'"),
    ):
        status, out, err = run("plan", "--config", recipe, *arguments)
        assert (status, out) == (1, "")
        assert err.startswith("codax: ") and err.count("\n") == 1 and reason in err


@needs_libtpu
def test_a_tpu_slice(plan) -> None:
    done = plan("--topology", "v5e:2x2", "--level", "O0", "--no-search", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    values = json.loads(done.stdout)
    assert (values["chip"], values["devices"], values["fits"]) == ("TPU v5e", 4, True)
    assert values["collectives"]["all-reduce"]["bytes"] > 4 * 1000
    assert 0 < values["roofline"]["step_seconds"] < 1


@needs_libtpu
def test_a_batch_that_does_not_fit(plan) -> None:
    done = plan("--topology", "v5e:1x1", "--level", "O0", "--no-search", f"--config.train.batch_size={2**22}")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "do not fit one device of v5e:1x1" in done.stderr
    assert "--config.memory.remat=nets" in done.stderr and "--config.memory.accumulate=2" in done.stderr
