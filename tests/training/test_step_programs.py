"""The programs of a step are known from shapes, and are all compiled before it runs."""

from __future__ import annotations

import threading
from typing import Any

import jax
import numpy as np
import pytest
from codax.errors import CodaxError
from codax.training import compilation
from codax.training.compilation import Program, compile_programs
from codax.training.parallel import Parallel
from codax.training.programs import Programs
from codax.training.state import init_state
from codax.training.step import phase_at
from tiny_run import WHOLE_STEP, tiny_config, voices

COMPILATION = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compilations():
    """Counts the programs that are compiled."""
    seen: list[float] = []

    def listen(event: str, seconds: float, **_: Any) -> None:
        if event == COMPILATION:
            seen.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize(("form", "devices"), [("pieces", 1), ("pieces", 2), ("one", 1)])
def test_a_step_compiles_nothing_after_its_programs(compilations: list[float], form: str, devices: int) -> None:
    config = tiny_config(**WHOLE_STEP | {"discriminator__wave_scales": 2}, discriminator__shared_forward=True)
    config.train.programs = form
    mapped = Parallel(devices=jax.devices()[:devices])
    state: Any = mapped.initialise(lambda: init_state(config))
    batch = mapped.place({"audio": np.float32(voices(4, config.segment_samples))})
    programs, phase = Programs(config, mapped), phase_at(config, 0)
    listed = programs.outline(phase, state, batch)
    done = list(compile_programs(listed))
    assert {each.name for each in done} == {each.name for each in listed}
    assert [each.left for each in done] == list(reversed(range(len(listed))))
    names = {"forward", "shared pass wave0", "shared pass wave1", "update generator"}
    assert names <= {each.name for each in listed} if form == "pieces" else len(listed) == 1
    compilations.clear()
    after, _ = programs.step(phase)(state, batch)
    jax.block_until_ready(after)
    assert int(after.step) == 1 and int(after.bad_total) == 0
    assert not compilations
    assert not programs.outline(phase, after, batch) or form == "one"


def test_phases_share_programs() -> None:
    config = tiny_config(**WHOLE_STEP | {"discriminator__wave_scales": 2}, discriminator__drawn=1)
    mapped = Parallel(devices=jax.devices()[:1])
    state = mapped.abstract(lambda: init_state(config))
    batch = {"audio": jax.ShapeDtypeStruct((4, config.segment_samples, 1), np.float32)}
    programs = Programs(config, mapped)
    phases = list(dict.fromkeys(phase_at(config, step) for step in range(20)))
    names = [[each.name for each in programs.outline(phase, state, batch)] for phase in phases]
    assert len(phases) == 2 and "forward" in names[0] and "update generator" in names[0]
    assert names[1] and all(
        name.split()[-1].startswith("wave") or "discriminators" in name or "choose" in name for name in names[1]
    )


class Lowered:
    """Takes the place of a jitted function, and of what its `lower` returns."""

    def __init__(self, started: list[str], name: str, end: Any) -> None:
        self._started, self._name, self._end = started, name, end

    def lower(self) -> Lowered:
        return self

    def compile(self) -> None:
        self._started.append(self._name)
        if isinstance(self._end, Exception):
            raise self._end
        self._end.wait(60)


def test_an_error_is_one_line_and_begins_no_other_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation.cores, "usable", lambda: 2)
    started, endless = list[str](), threading.Event()
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no memory\n  and a long report")
    ends = {"later": endless, "second later": endless, "bad": full, "first": endless}
    programs = [Program(name, Lowered(started, name, end), ()) for name, end in ends.items()]
    with pytest.raises(CodaxError) as failure:
        list(compile_programs(programs))
    assert str(failure.value) == "bad: this part of the step cannot be compiled (RESOURCE_EXHAUSTED: no memory)"
    endless.set()
    assert {"first", "bad"} <= set(started) and "later" not in started


def test_an_interruption_waits_for_no_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation.cores, "usable", lambda: 1)
    started, done, endless = list[str](), threading.Event(), threading.Event()
    done.set()
    ends = {"later": endless, "running": endless, "first": done}
    programs = compile_programs([Program(name, Lowered(started, name, end), ()) for name, end in ends.items()])
    assert next(programs).name == "first"
    programs.close()
    endless.set()
    assert "later" not in started
